// SPDX-License-Identifier: Apache-2.0
/*
 * SQLite's view of the box's disk: the VFS "box", and the default one.
 *
 * It answers as the unix VFS does where SQLite's way depends on the answer, so that the statements run
 * here are those that run in a city:
 *
 * - xDeviceCharacteristics: SQLITE_IOCAP_POWERSAFE_OVERWRITE and nothing else, which is the unix VFS's
 *   default. It says that a write touches no byte outside its range when the power goes, and disk.c
 *   keeps to that. Without it SQLite would fill the log up to the next sector after each commit: a way
 *   that no city takes. Nothing is promised about atomic writes or the order of appends.
 * - xSync of a journal or log that this handle has made also syncs the folder, once, and like the unix
 *   VFS does not tell when that fails. xDelete syncs it when SQLite asks.
 * - xDelete, and xOpen of a file that was not there, are changes: boundaries like a write.
 * - PRAGMA mmap_size answers 0: memory maps would write around the disk.
 *
 * Locks between connections are kept truly, those of the main file and the eight of the log's index.
 * All connections live in one process and one thread, so a lock that is taken is answered BUSY at once,
 * and xSleep, by which SQLite waits for one, moves the box's clock. The index of the log is memory, but
 * takes room like the file it is elsewhere; it goes with its last user, and so with every cut.
 *
 * After the daemon's death every file refuses to be read, too. Locks and closing still work.
 */
#include "box/disk.h"

#include <sqlite3.h>
#include <stdio.h>

struct handle {
    sqlite3_file base;
    struct file *file;
    int  level;                         /* SQLITE_LOCK_… of the main file */
    bool owes_folder;                   /* its name has not been synced */
    bool uses_shm;
    u8   shared, exclusive;             /* of the index's locks, one bit each */
};

static inline struct handle *of(sqlite3_file *base) { return (struct handle *)base; }

static int answer(enum err err, int io)
{
    return err == OK ? SQLITE_OK : err == ERR_FULL ? SQLITE_FULL : io;
}

/* ------------------------------------------------------------------ bytes */

static int vfs_read(sqlite3_file *base, void *out, int n, sqlite3_int64 at)
{
    if (box_here()->dead)
        return SQLITE_IOERR_READ;
    return disk_read(of(base)->file, at, out, n) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *p, int n, sqlite3_int64 at)
{
    return answer(disk_write(of(base)->file, at, (struct bytes){ p, (size_t)n }), SQLITE_IOERR_WRITE);
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 n)
{
    return answer(disk_length(of(base)->file, n), SQLITE_IOERR_TRUNCATE);
}

static int vfs_sync(sqlite3_file *base, int flags)
{
    struct handle *h = of(base);
    (void)flags;
    if (disk_sync(h->file))
        return SQLITE_IOERR_FSYNC;
    if (h->owes_folder)
        (void)disk_sync_names();
    h->owes_folder = false;
    return SQLITE_OK;
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *n)
{
    *n = of(base)->file->seen.n;
    return box_here()->dead ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

/* ------------------------------------------------------------------ the locks of the main file */

static int vfs_lock(sqlite3_file *base, int level)
{
    struct handle *h = of(base);
    struct file   *f = h->file;
    if (h->level >= level)
        return SQLITE_OK;
    bool others_write = f->writer && f->writer != h;
    if (others_write && (level > SQLITE_LOCK_SHARED || f->pending))
        return SQLITE_BUSY;
    if (h->level == SQLITE_LOCK_NONE)
        f->readers++;
    if (level >= SQLITE_LOCK_RESERVED)
        f->writer = h;
    if (level == SQLITE_LOCK_EXCLUSIVE) {
        f->pending = true;
        if (f->readers > 1) {
            h->level = SQLITE_LOCK_PENDING;
            return SQLITE_BUSY;
        }
    }
    h->level = level;
    return SQLITE_OK;
}

static int vfs_unlock(sqlite3_file *base, int level)
{
    struct handle *h = of(base);
    struct file   *f = h->file;
    if (h->level <= level)
        return SQLITE_OK;
    if (f->writer == h) {
        f->writer  = NULL;
        f->pending = false;
    }
    if (level == SQLITE_LOCK_NONE)
        f->readers--;
    h->level = level;
    return SQLITE_OK;
}

static int vfs_is_reserved(sqlite3_file *base, int *out)
{
    *out = of(base)->file->writer != NULL;
    return SQLITE_OK;
}

/* ------------------------------------------------------------------ the index of the log */

static int shm_map(sqlite3_file *base, int i, int bytes, int extend, void volatile **out)
{
    struct handle *h = of(base);
    struct shm    *s = &h->file->shm;
    if (!h->uses_shm)
        s->users++;
    h->uses_shm = true;
    *out = NULL;
    if (i >= SHM_REGIONS)
        return SQLITE_IOERR_SHMMAP;
    for (; s->regions <= i && extend; s->regions++) {
        if (box_here()->dead)
            return SQLITE_IOERR_SHMMAP;
        if (!disk_take_room(bytes))
            return SQLITE_IOERR_SHMSIZE;
        s->region_bytes = bytes;
        s->region[s->regions] = boot_take((size_t)bytes);
    }
    *out = i < s->regions ? s->region[i] : NULL;
    return SQLITE_OK;
}

static bool shm_is_taken(const struct handle *h, int slot, bool exclusive)
{
    const struct shm *s = &h->file->shm;
    u32 own = h->shared >> slot & 1;
    return (s->exclusive[slot] && s->exclusive[slot] != h) || (exclusive && s->shared[slot] > own);
}

static void shm_take(struct handle *h, int slot, bool exclusive)
{
    struct shm *s = &h->file->shm;
    u8 bit = (u8)(1u << slot);
    if (exclusive) {
        s->exclusive[slot] = h;
        h->exclusive |= bit;
    } else if (!(h->shared & bit)) {
        s->shared[slot]++;
        h->shared |= bit;
    }
}

static void shm_give(struct handle *h, int slot)
{
    struct shm *s = &h->file->shm;
    u8 bit = (u8)(1u << slot);
    if (h->exclusive & bit)
        s->exclusive[slot] = NULL;
    if (h->shared & bit)
        s->shared[slot]--;
    h->exclusive &= (u8)~bit;
    h->shared &= (u8)~bit;
}

static int shm_lock(sqlite3_file *base, int first, int n, int flags)
{
    struct handle *h = of(base);
    bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
    assert(first >= 0 && n > 0 && first + n <= SHM_LOCKS);
    if (flags & SQLITE_SHM_UNLOCK) {
        for (int i = first; i < first + n; i++)
            shm_give(h, i);
        return SQLITE_OK;
    }
    for (int i = first; i < first + n; i++)
        if (shm_is_taken(h, i, exclusive))
            return SQLITE_BUSY;
    for (int i = first; i < first + n; i++)
        shm_take(h, i, exclusive);
    return SQLITE_OK;
}

static void shm_barrier(sqlite3_file *base)
{
    (void)base;                              /* one thread sees everything in order */
}

static int shm_unmap(sqlite3_file *base, int remove)
{
    struct handle *h = of(base);
    struct shm    *s = &h->file->shm;
    (void)remove;
    if (!h->uses_shm)
        return SQLITE_OK;
    for (int i = 0; i < SHM_LOCKS; i++)
        shm_give(h, i);
    h->uses_shm = false;
    if (--s->users > 0)
        return SQLITE_OK;
    for (int i = 0; i < s->regions; i++)
        boot_release(s->region[i]);
    (void)disk_take_room(-(i64)s->regions * s->region_bytes);
    s->regions = 0;
    return SQLITE_OK;
}

/* ------------------------------------------------------------------ handles */

static int vfs_close(sqlite3_file *base)
{
    struct handle *h = of(base);
    (void)vfs_unlock(base, SQLITE_LOCK_NONE);
    (void)shm_unmap(base, 0);
    h->file->opened--;
    if (h->file->temporary)
        disk_forget(h->file);
    return SQLITE_OK;
}

static int vfs_control(sqlite3_file *base, int what, void *arg)
{
    switch (what) {
    case SQLITE_FCNTL_LOCKSTATE:
        *(int *)arg = of(base)->level;
        return SQLITE_OK;
    case SQLITE_FCNTL_MMAP_SIZE:
        *(sqlite3_int64 *)arg = 0;
        return SQLITE_OK;
    case SQLITE_FCNTL_POWERSAFE_OVERWRITE:
        if (*(int *)arg < 0)
            *(int *)arg = 1;
        return SQLITE_OK;
    default:
        return SQLITE_NOTFOUND;
    }
}

static int vfs_sector(sqlite3_file *base)
{
    (void)base;
    return DISK_SECTOR;
}

static int vfs_promises(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = vfs_close, .xRead = vfs_read, .xWrite = vfs_write, .xTruncate = vfs_truncate, .xSync = vfs_sync,
    .xFileSize = vfs_size, .xLock = vfs_lock, .xUnlock = vfs_unlock, .xCheckReservedLock = vfs_is_reserved,
    .xFileControl = vfs_control, .xSectorSize = vfs_sector, .xDeviceCharacteristics = vfs_promises,
    .xShmMap = shm_map, .xShmLock = shm_lock, .xShmBarrier = shm_barrier, .xShmUnmap = shm_unmap,
};

/* ------------------------------------------------------------------ names */

static enum err open_file(struct file **out, const char *name, int flags)
{
    *out = disk_find(name);
    if (*out && (flags & SQLITE_OPEN_EXCLUSIVE))
        return ERR_CONFLICT;
    if (!*out && !(flags & SQLITE_OPEN_CREATE))
        return ERR_NOT_FOUND;
    return *out ? OK : disk_make(out, name);
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *flags_out)
{
    static const int names_synced = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
    struct handle *h = of(base);
    char  own[DISK_NAME];
    (void)vfs;
    *h = (struct handle){ 0 };
    if (box_here()->dead)
        return SQLITE_CANTOPEN;
    if (!name)
        (void)snprintf(own, sizeof own, "temporary-%u", ++disk_here()->temporary);
    bool made = !disk_find(name ? name : own);
    if (open_file(&h->file, name ? name : own, flags))
        return SQLITE_CANTOPEN;
    h->file->opened++;
    h->file->temporary = !name || (flags & SQLITE_OPEN_DELETEONCLOSE);
    h->owes_folder     = made && (flags & names_synced);
    h->base.pMethods   = &methods;
    if (flags_out)
        *flags_out = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    struct file *f = disk_find(name);
    (void)vfs;
    if (!f)
        return SQLITE_IOERR_DELETE_NOENT;
    if (disk_remove(f))
        return SQLITE_IOERR_DELETE;
    return sync_folder && disk_sync_names() ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

/* As in the unix VFS an empty file does not exist: an empty journal or log says nothing. */
static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    const struct file *f = disk_find(name);
    (void)vfs;
    *out = f && (flags != SQLITE_ACCESS_EXISTS || f->seen.n > 0);
    return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
    (void)vfs;
    return snprintf(out, (size_t)room, "%s", name) < room ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* ------------------------------------------------------------------ chance and clocks */

static int vfs_random(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    for (int i = 0; i < n; i++)
        out[i] = (char)(sim_chance_next(box_chance(CHANCE_DISK)) >> 56);
    return n;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    box_wait(us);
    return us;
}

/* Julian days began 2 440 587.5 days before 1970. */
static int vfs_now_ms(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    (void)vfs;
    *out = 24405875LL * 8640000 + sys_clock().us / US_PER_MS;
    return SQLITE_OK;
}

static int vfs_now_days(sqlite3_vfs *vfs, double *out)
{
    sqlite3_int64 ms;
    int rc = vfs_now_ms(vfs, &ms);
    *out   = (double)ms / 86400000.0;
    return rc;
}

static int vfs_last_error(sqlite3_vfs *vfs, int room, char *out)
{
    (void)vfs;
    if (room > 0)
        *out = 0;
    return 0;
}

void vfs_begin(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2, .szOsFile = sizeof(struct handle), .mxPathname = DISK_NAME - 16, .zName = "box",
        .xOpen = vfs_open, .xDelete = vfs_delete, .xAccess = vfs_access, .xFullPathname = vfs_full_name,
        .xRandomness = vfs_random, .xSleep = vfs_sleep, .xCurrentTime = vfs_now_days,
        .xCurrentTimeInt64 = vfs_now_ms, .xGetLastError = vfs_last_error,
    };
    int rc = sqlite3_vfs_register(&vfs, 1);
    assert(rc == SQLITE_OK);
    /* SQLite's own generator lives as long as the process: each life of the daemon seeds it anew, as a new process would. */
    sqlite3_randomness(0, NULL);
}
