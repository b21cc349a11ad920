// SPDX-License-Identifier: Apache-2.0
/*
 * The disk of the box: files as programs see them, and as they would rest if the power went now.
 *
 *     seen     what read() returns: the page cache
 *     ops      what was done since the last sync, in order
 *     rests    what is on the medium; a sync carries the ops over
 *
 * A process that dies takes nothing with it: `seen` stays, and the ops still wait for a sync. A power
 * cut leaves `rests`, with as much of the ops as the medium had taken by itself:
 *
 *     CUT_POWER_LOSE      none of them
 *     CUT_POWER_REORDER   any of them: each is there or not
 *     CUT_POWER_TEAR      the first few in order, the last of these torn at a sector's edge
 *
 * for each file by itself: nothing orders two files but a sync between.
 *
 * Names. Making, replacing (sys_file_write) and removing a file are ops too. They become durable in
 * order (file systems journal names), by a sync of that file, as ext4 and XFS do it, or by a sync of the
 * folder, which SQLite makes with the first sync of a new journal or log and sys_file_write after its
 * rename. All files lie in one folder; folders themselves are simply there (sys_folder_make syncs what
 * holds them). A removal that nobody synced is undone by a power cut: the file comes back.
 *
 * A sync that fails does what Linux does: it reports once, and calls the pages clean. Programs go on
 * seeing what they wrote, no later sync carries it over, and the power cut takes it. So a program that
 * tries again and is told "fine" believes in something that is not there; after the error only bytes
 * written anew are safe. (Linux writes whole pages, so a neighbour's later write may save such bytes;
 * here it never does.)
 *
 * Not modelled: a sector half written (the medium's own checksum makes that an error, not a mixture),
 * stale bytes in a file that grew (they are zero), a medium that turns syncs around.
 *
 * The box has one disk as a machine has; disk_here() is to it what box_here() is to the box.
 */
#include "box/disk.h"

#include <stdio.h>

struct disk *disk_here(void)
{
    static struct disk disk;
    return &disk;
}

/* ------------------------------------------------------------------ contents */

static void room_for(struct content *c, i64 n)
{
    if (n <= c->room)
        return;
    i64 room = MAX(MAX(n, c->room * 2), (i64)1 << 14);
    c->p     = boot_grow(c->p, (size_t)c->room, (size_t)room);
    c->room  = room;
}

static void put(struct content *c, i64 at, const u8 *p, i64 n)
{
    room_for(c, at + n);
    if (n > 0)
        memcpy(c->p + at, p, (size_t)n);
    c->n = MAX(c->n, at + n);
}

static void set_length(struct content *c, i64 n)
{
    i64 end = MIN(c->n, c->room);
    if (n < end)
        memset(c->p + n, 0, (size_t)(end - n));
    c->n = n;
}

static void copy(struct content *to, const struct content *from)
{
    set_length(to, 0);
    put(to, 0, from->p, MIN(from->n, from->room));
    to->n = from->n;
}

static void drop(struct content *c)
{
    boot_release(c->p);
    *c = (struct content){ NULL, 0, 0 };
}

/* ------------------------------------------------------------------ operations */

static void *more(void *p, size_t *room, size_t needed, size_t size)
{
    if (needed <= *room)
        return p;
    size_t grown = MAX(MAX(needed, *room * 2), (size_t)64);
    p     = boot_grow(p, *room * size, grown * size);
    *room = grown;
    return p;
}

static void remember(struct file *f, enum deed deed, i64 at, struct bytes b)
{
    f->ops   = more(f->ops, &f->ops_room, f->ops_n + 1, sizeof *f->ops);
    f->bytes = more(f->bytes, &f->bytes_room, f->bytes_n + b.n, 1);
    if (b.n)
        memcpy(f->bytes + f->bytes_n, b.p, b.n);
    f->ops[f->ops_n++] = (struct op){ deed, at, (i64)b.n, f->bytes_n };
    f->bytes_n += b.n;
}

static inline bool names(const struct op *op) { return op->deed >= DEED_MADE; }

/* The first n of its bytes; all of them unless it is torn. */
static void carry_out(struct content *c, bool *there, const struct file *f, const struct op *op, i64 n)
{
    if (names(op)) {
        *there = op->deed != DEED_REMOVED;
        set_length(c, 0);
    }
    if (op->deed == DEED_LENGTH)
        set_length(c, op->at);
    if (op->n > 0)
        put(c, op->at, f->bytes + op->bytes, n);
}

static void forget_ops(struct file *f)
{
    f->ops_n = f->bytes_n = 0;
}

static void deed(struct file *f, enum deed what, i64 at, struct bytes b)
{
    i64 was = f->seen.n;
    remember(f, what, at, b);
    carry_out(&f->seen, &f->there, f, &f->ops[f->ops_n - 1], (i64)b.n);
    disk_here()->used += f->seen.n - was;
}

static void carry_over(struct file *f)
{
    for (size_t i = 0; i < f->ops_n; i++)
        carry_out(&f->rests, &f->rests_there, f, &f->ops[i], f->ops[i].n);
    forget_ops(f);
}

/* Makes the last change of the name durable; what was done to the file since still waits. */
static void carry_name_over(struct file *f)
{
    size_t n = f->ops_n;
    while (n > 0 && !names(&f->ops[n - 1]))
        n--;
    if (n == 0)
        return;
    carry_out(&f->rests, &f->rests_there, f, &f->ops[n - 1], f->ops[n - 1].n);
    memmove(f->ops, f->ops + n, (f->ops_n - n) * sizeof *f->ops);
    f->ops_n -= n;
    if (f->ops_n == 0)
        forget_ops(f);
}

/* ------------------------------------------------------------------ faults */

static bool comes_due(i64 *in)
{
    return *in > 0 && --*in == 0;
}

static bool fits(i64 more_bytes)
{
    struct disk *d = disk_here();
    if (more_bytes <= 0 || d->used + more_bytes <= d->faults.room_bytes)
        return true;
    d->counts.refused_full++;
    return false;
}

bool disk_take_room(i64 bytes)
{
    if (!fits(bytes))
        return false;
    disk_here()->used += bytes;
    return true;
}

/* A change of a file that makes it longer by that much. */
static enum err may_write(i64 more_bytes)
{
    struct disk *d = disk_here();
    if (!box_boundary(BOUNDARY_WRITE))
        return ERR_IO;
    if (comes_due(&d->faults.fail_write_in)) {
        d->counts.failed++;
        return ERR_IO;
    }
    if (comes_due(&d->faults.full_write_in)) {
        d->counts.refused_full++;
        return ERR_FULL;
    }
    if (!fits(more_bytes))
        return ERR_FULL;
    d->counts.writes++;
    return OK;
}

/* *fails: the disk says no, and what that means for the pages is the caller's matter. */
static enum err may_sync(bool *fails)
{
    struct disk *d = disk_here();
    *fails = false;
    if (!box_boundary(BOUNDARY_SYNC))
        return ERR_IO;
    bool slow = d->faults.sync_slow > 0 && box_happens(CHANCE_DISK, d->faults.sync_slow);
    i64  us   = slow ? d->faults.sync_slow_us : d->faults.sync_us;
    if (us > 0)
        box_wait(us);
    *fails = comes_due(&d->faults.fail_sync_in);
    d->counts.failed += *fails;
    d->counts.syncs += !*fails;
    return *fails ? ERR_IO : OK;
}

/* ------------------------------------------------------------------ files */

static bool is_free(const struct file *f)
{
    return !f->there && !f->rests_there && f->ops_n == 0 && f->opened == 0;
}

static bool is_named(const struct file *f, const char *name)
{
    return !is_free(f) && str_eq(str_z(f->name), str_z(name));
}

struct file *disk_find(const char *name)
{
    struct disk *d = disk_here();
    for (size_t i = 0; i < DISK_FILES; i++)
        if (d->file[i].there && is_named(&d->file[i], name))
            return &d->file[i];
    return NULL;
}

/* Also one that was removed and may come back. */
static struct file *place_for(const char *name)
{
    struct disk *d = disk_here();
    struct file *empty = NULL;
    for (size_t i = DISK_FILES; i-- > 0;) {
        if (is_named(&d->file[i], name))
            return &d->file[i];
        if (is_free(&d->file[i]))
            empty = &d->file[i];
    }
    if (!empty)
        die("the box's disk has room for %d files", DISK_FILES);
    (void)snprintf(empty->name, sizeof empty->name, "%s", name);
    empty->temporary = empty->locked = false;
    return empty;
}

enum err disk_make(struct file **out, const char *name)
{
    if ((*out = disk_find(name)))
        return OK;
    enum err err = may_write(0);
    if (err)
        return err;
    *out = place_for(name);
    deed(*out, DEED_MADE, 0, (struct bytes){ NULL, 0 });
    return OK;
}

enum err disk_write(struct file *f, i64 at, struct bytes b)
{
    enum err err = may_write(at + (i64)b.n - f->seen.n);
    if (err)
        return err;
    deed(f, DEED_WRITE, at, b);
    disk_here()->counts.bytes += b.n;
    return OK;
}

enum err disk_length(struct file *f, i64 n)
{
    enum err err = may_write(n - f->seen.n);
    if (!err && n != f->seen.n)
        deed(f, DEED_LENGTH, n, (struct bytes){ NULL, 0 });
    return err;
}

enum err disk_sync(struct file *f)
{
    bool     fails;
    enum err err = may_sync(&fails);
    if (fails) {
        disk_here()->counts.lost_writes += f->ops_n;
        carry_name_over(f);                  /* names go through the journal, which has not failed */
        forget_ops(f);
    }
    if (!err && !disk_here()->sync_lies)
        carry_over(f);
    return err;
}

enum err disk_sync_names(void)
{
    struct disk *d = disk_here();
    bool     fails;
    enum err err = may_sync(&fails);
    for (size_t i = 0; i < DISK_FILES && !err && !d->sync_lies; i++)
        carry_name_over(&d->file[i]);
    return err;
}

enum err disk_remove(struct file *f)
{
    enum err err = may_write(0);
    if (!err)
        deed(f, DEED_REMOVED, 0, (struct bytes){ NULL, 0 });
    return err;
}

void disk_forget(struct file *f)
{
    disk_here()->used -= f->seen.n;
    forget_ops(f);
    set_length(&f->seen, 0);
    set_length(&f->rests, 0);
    f->there = f->rests_there = false;
}

bool disk_read(const struct file *f, i64 at, u8 *out, i64 n)
{
    i64 stored = MIN(f->seen.n, f->seen.room);
    i64 got    = MAX(MIN(n, stored - at), (i64)0);
    if (got > 0)
        memcpy(out, f->seen.p + at, (size_t)got);
    memset(out + got, 0, (size_t)(n - got));
    return at + n <= f->seen.n;
}

/* ------------------------------------------------------------------ the second body of sys/file.c */

enum err sys_file_read(struct bytes *out, const char *path, size_t max, struct arena *arena)
{
    const struct file *f = disk_find(path);
    if (box_here()->dead)
        return ERR_IO;
    if (!f)
        return ERR_NOT_FOUND;
    if ((size_t)f->seen.n > max)
        return ERR_TOO_LARGE;
    u8 *p = arena_take(arena, (size_t)f->seen.n + 1, 1);
    (void)disk_read(f, 0, p, f->seen.n);
    *out = (struct bytes){ p, (size_t)f->seen.n };
    return OK;
}

/* The file beside is written and synced, renamed, and the folder synced: four moments to die in. */
enum err sys_file_write(const char *path, struct bytes content, int mode)
{
    bool fails;
    (void)mode;
    if (str_z(path).n + S(".new").n >= DISK_NAME)
        return ERR_TOO_LARGE;
    if (may_write((i64)content.n) || may_sync(&fails) || may_write(0))
        return ERR_IO;
    struct file *f = place_for(path);
    assert(f->opened == 0);                  /* nobody replaces a database under its connections */
    deed(f, DEED_REPLACED, 0, content);
    disk_here()->counts.bytes += content.n;
    return disk_sync_names() ? ERR_IO : OK;
}

enum err sys_file_again(const char *path)
{
    u8  block[1 << 16];
    struct file *f = disk_find(path);
    if (!f)
        return box_here()->dead ? ERR_IO : OK;
    for (i64 at = 0, n; at < f->seen.n; at += n) {
        n = MIN((i64)sizeof block, f->seen.n - at);
        (void)disk_read(f, at, block, n);
        if (disk_write(f, at, (struct bytes){ block, (size_t)n }))
            return ERR_IO;
    }
    return disk_sync(f) || disk_sync_names() ? ERR_IO : OK;
}

enum err sys_folder_make(const char *path)
{
    if (str_z(path).n == 0)
        return ERR_INVALID;
    return box_here()->dead ? ERR_IO : OK;
}

bool sys_file_size(i64 *bytes, const char *path)
{
    const struct file *f = disk_find(path);
    if (!f)
        return false;
    *bytes = f->seen.n;
    return true;
}

bool sys_file_reserve(const char *path, i64 bytes)
{
    struct file *f;
    return disk_make(&f, path) == OK && disk_length(f, bytes > 0 ? MAX(bytes, f->seen.n) : 0) == OK;
}

bool sys_folder_room(i64 *bytes, const char *path)
{
    const struct disk *d = disk_here();
    (void)path;
    *bytes = MAX(d->faults.room_bytes - d->used, (i64)0);
    return !box_here()->dead;
}

bool sys_folder_is_remote(const char *path)
{
    (void)path;
    return false;
}

struct sys_lock { struct file *file; };

enum err sys_lock_file(struct sys_lock **out, const char *path, struct str *holder, struct arena *arena)
{
    struct file *f;
    if (box_here()->dead || disk_make(&f, path))
        return ERR_IO;
    if (f->locked) {
        *holder = str_copy(arena, S("1"));
        return ERR_CONFLICT;
    }
    f->locked    = true;
    *out         = boot_take(sizeof **out);
    (*out)->file = f;
    return OK;
}

void sys_unlock_file(struct sys_lock *lock)
{
    lock->file->locked = false;
    boot_release(lock);
}

/* ------------------------------------------------------------------ what a cut leaves */

static size_t count_names(const struct file *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->ops_n; i++)
        n += names(&f->ops[i]);
    return n;
}

static bool heads(struct chance *chance)
{
    return sim_chance_next(chance) >> 63;
}

/* Names in order up to some moment; of the writes to the file that has the name then, any. */
static size_t keep_some(struct file *f, struct chance *chance)
{
    size_t kept = 0, seen = 0, last = sim_chance_below(chance, (u32)count_names(f) + 1);
    for (size_t i = 0; i < f->ops_n; i++) {
        const struct op *op = &f->ops[i];
        seen += names(op);
        bool stays = names(op) ? seen <= last : seen == last && heads(chance);
        if (stays)
            carry_out(&f->rests, &f->rests_there, f, op, op->n);
        kept += stays;
    }
    return kept;
}

/* How many of its bytes are on the medium: up to the edge of a sector within. */
static i64 torn_at(const struct op *op, struct chance *chance)
{
    i64 first = (op->at / DISK_SECTOR + 1) * DISK_SECTOR - op->at;
    if (op->deed != DEED_WRITE || first >= op->n)
        return op->n;
    u32 edges = (u32)((op->n - first - 1) / DISK_SECTOR) + 1;
    return first + (i64)sim_chance_below(chance, edges) * DISK_SECTOR;
}

static size_t keep_beginning(struct file *f, struct chance *chance, bool *torn)
{
    size_t kept = f->ops_n ? sim_chance_below(chance, (u32)f->ops_n + 1) : 0;
    for (size_t i = 0; i < kept; i++) {
        const struct op *op = &f->ops[i];
        i64 n = i + 1 == kept ? torn_at(op, chance) : op->n;
        *torn = *torn || n < op->n;
        carry_out(&f->rests, &f->rests_there, f, op, n);
    }
    return kept;
}

static void lose_power(struct file *f, enum cut cut)
{
    struct disk   *d = disk_here();
    struct chance *chance = box_chance(CHANCE_DISK);
    bool   torn = false;
    size_t kept = cut == CUT_POWER_REORDER ? keep_some(f, chance) : cut == CUT_POWER_TEAR ? keep_beginning(f, chance, &torn) : 0;
    d->counts.lost_writes += f->ops_n - kept;
    d->counts.torn += torn;
    forget_ops(f);
    f->there = f->rests_there;
    if (!f->there)
        set_length(&f->rests, 0);
    copy(&f->seen, &f->rests);
}

void disk_settle(enum cut cut)
{
    struct disk *d = disk_here();
    d->used = 0;
    for (size_t i = 0; i < DISK_FILES; i++) {
        struct file *f = &d->file[i];
        assert(f->opened == 0 && f->shm.users == 0);    /* serve() closes what it opened, also in vain */
        f->locked = false;
        if (cut != CUT_PROCESS)
            lose_power(f, cut);
        d->used += f->seen.n;
    }
    vfs_begin();
}

/* ------------------------------------------------------------------ from outside */

void disk_begin(struct box *b)
{
    struct disk *d = disk_here();
    (void)b;
    for (size_t i = 0; i < DISK_FILES; i++) {
        struct file *f = &d->file[i];
        assert(f->opened == 0);
        drop(&f->seen);
        drop(&f->rests);
        boot_release(f->ops);
        boot_release(f->bytes);
    }
    *d = (struct disk){ .faults = { .room_bytes = (i64)1 << 40 } };
    vfs_begin();
}

struct disk_faults *disk_faults(void) { return &disk_here()->faults; }
struct disk_counts disk_counts(void) { return disk_here()->counts; }
i64 disk_used_bytes(void) { return disk_here()->used; }

/* What rests of it and is not only promised. */
static i64 bytes_at_rest(const struct file *f, const char *path)
{
    bool wanted = path ? str_eq(str_z(f->name), str_z(path)) : !str_ends(str_z(f->name), S("-wal"));
    return f->there && f->rests_there && wanted ? MIN(MIN(f->rests.n, f->rests.room), MIN(f->seen.n, f->seen.room)) : 0;
}

void disk_rot(const char *path, struct str *where, struct arena *arena)
{
    struct disk   *d = disk_here();
    struct chance *chance = box_chance(CHANCE_DISK);
    i64 total = 0;
    for (size_t i = 0; i < DISK_FILES; i++)
        total += bytes_at_rest(&d->file[i], path);
    *where = S("nothing rests there");
    if (total == 0)
        return;
    i64 at  = (i64)(sim_chance_next(chance) % (u64)total);
    u32 bit = sim_chance_below(chance, 8);
    struct file *f = d->file;
    for (; at >= bytes_at_rest(f, path); f++)
        at -= bytes_at_rest(f, path);
    f->rests.p[at] ^= (u8)(1u << bit);
    f->seen.p[at] ^= (u8)(1u << bit);
    *where = str_fmt(arena, "%s byte %lld bit %u", f->name, (long long)at, bit);
}
