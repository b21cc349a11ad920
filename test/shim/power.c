// SPDX-License-Identifier: Apache-2.0
/*
 * Power loss, the half inside the daemon (LD_PRELOAD). Every call that changes a file or a name below
 * one folder passes through, but what it overwrites goes into a log first; a sync of a file, or of a
 * folder, says that what came before is on the disk. After a SIGKILL undo.c takes back what was not:
 * reads stay true all the while, so that the program runs unchanged.
 *
 *     HOTARU_SHIM_DIR=/folder       what is watched (absolute)
 *     HOTARU_SHIM_LOG=/elsewhere    a folder on the same disk, for the log and for what was unlinked
 *     HOTARU_SHIM_CUT=n             SIGKILL to oneself before the n-th change
 *     HOTARU_SHIM_LIE=1             a disk that says "synced" and has done nothing
 *
 * A name counts as kept only when its folder was synced: POSIX promises no more. `-shm` is shared
 * memory and no promise; it is not watched, and deleted after the cut. A writable mapping of any other
 * watched file would go unseen, so it ends the program. Calls go to the kernel directly: nothing here
 * allocates, and one lock puts the calls of all threads in one order.
 */
#include "power.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 4096
#define FACE    __attribute__((visibility("default")))

static struct {
    pthread_mutex_t lock;
    char   dir[PATH_MAX], grave[PATH_MAX];
    size_t dir_n;
    int    log;                          /* -1: nothing is watched */
    bool   lie;
    long   cut, deeds;
    ino_t  file[FDS_MAX];                /* what is open and watched; 0: nothing of ours */
    char   piece[1 << 16];
} shim = { .lock = PTHREAD_MUTEX_INITIALIZER, .log = -1 };

static void say_and_abort(const char *words)
{
    (void)syscall(SYS_write, 2, words, strlen(words));
    abort();
}

__attribute__((constructor)) static void begin(void)
{
    const char *dir = getenv("HOTARU_SHIM_DIR"), *log = getenv("HOTARU_SHIM_LOG");
    const char *cut = getenv("HOTARU_SHIM_CUT"), *lie = getenv("HOTARU_SHIM_LIE");
    char path[PATH_MAX];
    if (!dir || !log)
        return;
    shim.dir_n = (size_t)snprintf(shim.dir, sizeof shim.dir, "%s", dir);
    (void)snprintf(shim.grave, sizeof shim.grave, "%s", log);
    if (snprintf(path, sizeof path, "%s/log", log) >= (int)sizeof path)
        say_and_abort("power shim: the path of the log is too long\n");
    shim.cut = cut ? atol(cut) : 0;
    shim.lie = lie && *lie == '1';
    shim.log = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (shim.log < 0)
        say_and_abort("power shim: the log cannot be written\n");
}

/* ------------------------------------------------------------------ what is watched */

/* The absolute path, when it is the folder or below it and no shared memory. */
static const char *watched(char out[PATH_MAX], int at, const char *path)
{
    char here[PATH_MAX] = "";
    size_t n;
    if (shim.log < 0 || !path || (at != AT_FDCWD && path[0] != '/'))
        return NULL;
    if (path[0] != '/' && !getcwd(here, sizeof here))
        return NULL;
    if (snprintf(out, PATH_MAX, "%s%s%s", here, path[0] == '/' ? "" : "/", path) >= PATH_MAX)
        return NULL;
    for (n = strlen(out); n > 1 && out[n - 1] == '/'; n--)
        out[n - 1] = 0;
    if (strncmp(out, shim.dir, shim.dir_n) != 0 || (out[shim.dir_n] != '/' && out[shim.dir_n] != 0))
        return NULL;
    return n > 4 && strcmp(out + n - 4, "-shm") == 0 ? NULL : out;
}

/* The inode behind a descriptor, when it is watched: a number that was closed behind our back and
 * given to a socket is not. */
static bool is_ours(int fd, struct stat *st)
{
    return shim.log >= 0 && fd >= 0 && fd < FDS_MAX && shim.file[fd] && fstat(fd, st) == 0 &&
           st->st_ino == shim.file[fd];
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? st.st_ino : 0;
}

static ino_t folder_of(const char *path)
{
    char copy[PATH_MAX];
    (void)snprintf(copy, sizeof copy, "%s", path);
    char *slash = strrchr(copy, '/');
    if (slash && slash != copy)
        *slash = 0;
    return inode_of(copy);
}

static void take_lock(void) { (void)pthread_mutex_lock(&shim.lock); }

/* A wrapper changes nothing that the caller could see. */
static void give_lock(void)
{
    int saved = errno;
    (void)pthread_mutex_unlock(&shim.lock);
    errno = saved;
}

/* ------------------------------------------------------------------ the log */

static void put(const void *p, size_t n)
{
    for (const char *c = p; n > 0;) {
        ssize_t done = syscall(SYS_write, shim.log, c, n);
        if (done <= 0)
            say_and_abort("power shim: the log cannot be written\n");
        c += done;
        n -= (size_t)done;
    }
}

/* Old bytes are read through the descriptor at hand. Only where that cannot read, by another one: to
 * close a second descriptor of the database would give up its POSIX locks. */
static void put_old(int fd, int64_t at, uint64_t n)
{
    char proc[64];
    int  by = fd;
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
        (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
        by = (int)syscall(SYS_openat, AT_FDCWD, proc, O_RDONLY | O_CLOEXEC, 0);
    }
    while (n > 0) {
        size_t piece = n < sizeof shim.piece ? (size_t)n : sizeof shim.piece;
        ssize_t got = syscall(SYS_pread64, by, shim.piece, piece, at);
        if (got <= 0)
            say_and_abort("power shim: what is overwritten cannot be read\n");
        put(shim.piece, (size_t)got);
        n -= (uint64_t)got;
        at += got;
    }
    if (by != fd)
        (void)syscall(SYS_close, by);
}

/* Every change passes here, and one of them may be where the power goes. */
static void tell(struct entry *e, const char *path, const char *second)
{
    if (++shim.deeds == shim.cut)
        (void)kill(getpid(), SIGKILL);
    struct iovec parts[3] = { { e, sizeof *e }, { (void *)(uintptr_t)path, path ? strlen(path) : 0 },
                              { (void *)(uintptr_t)second, second ? strlen(second) : 0 } };
    e->magic    = ENTRY_MAGIC;
    e->path_n   = (uint32_t)parts[1].iov_len;
    e->second_n = (uint32_t)parts[2].iov_len;
    if (syscall(SYS_writev, shim.log, parts, 3) != (long)(sizeof *e + e->path_n + e->second_n))
        say_and_abort("power shim: the log cannot be written\n");
}

static void note_write(int fd, const struct stat *st, int64_t at, size_t n)
{
    int64_t end = at + (int64_t)n;
    struct entry e = { .deed = DEED_WRITE, .file = st->st_ino, .at = at, .size = (int64_t)n, .old_size = st->st_size,
                       .new_size = end > st->st_size ? end : st->st_size };
    e.old_n = at < st->st_size ? (uint64_t)((end < st->st_size ? end : st->st_size) - at) : 0;
    tell(&e, NULL, NULL);
    put_old(fd, at, e.old_n);
}

static void note_size(int fd, const struct stat *st, int64_t size)
{
    struct entry e = { .deed = DEED_RESIZE, .file = st->st_ino, .old_size = st->st_size, .new_size = size };
    e.old_n = size < st->st_size ? (uint64_t)(st->st_size - size) : 0;
    tell(&e, NULL, NULL);
    put_old(fd, size, e.old_n);
}

static void note_name(enum deed deed, const char *path)
{
    struct entry e = { .deed = deed, .file = inode_of(path), .folder = folder_of(path) };
    tell(&e, path, NULL);
}

/* What loses its name keeps its bytes: a link in the graveyard, by inode. */
static void bury(const char *path, ino_t inode)
{
    char grave[PATH_MAX + 32];
    (void)snprintf(grave, sizeof grave, "%s/%llu", shim.grave, (unsigned long long)inode);
    if (inode && syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, grave, 0) != 0 && errno != EEXIST)
        say_and_abort("power shim: the graveyard must be on the disk of the folder\n");
}

/* ------------------------------------------------------------------ open and close */

static int open_watched(const char *path, int flags, mode_t mode)
{
    bool is_new = false;
    take_lock();
    if (flags & O_CREAT && inode_of(path) == 0) {
        note_name(DEED_CREATE, path);
        is_new = true;
    }
    /* O_TRUNC would cut before we could look: it is a resize of its own. */
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags & ~O_TRUNC, mode);
    int saved = errno;
    struct stat st;
    if (fd >= 0 && fd < FDS_MAX && fstat(fd, &st) == 0) {
        shim.file[fd] = st.st_ino;
        if (flags & O_TRUNC && !is_new && st.st_size > 0) {
            note_size(fd, &st, 0);
            (void)syscall(SYS_ftruncate, fd, 0);
        }
    }
    give_lock();
    errno = saved;
    return fd;
}

static int open_any(int at, const char *path, int flags, mode_t mode)
{
    char whole[PATH_MAX];
    if (watched(whole, at, path))
        return open_watched(whole, flags, mode);
    return (int)syscall(SYS_openat, at, path, flags, mode);
}

#include "open.h"

FACE int creat(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
FACE int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        shim.file[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

FACE void *mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    struct stat st;
    if (fd >= 0 && flags & MAP_SHARED && protection & PROT_WRITE && is_ours(fd, &st))
        say_and_abort("power shim: a watched file is mapped for writing; such writes cannot be undone\n");
    return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}
FACE void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) { return mmap64(at, n, protection, flags, fd, offset); }

/* ------------------------------------------------------------------ bytes */

static size_t all_of(const struct iovec *parts, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += parts[i].iov_len;
    return n;
}

/* at < 0: where the descriptor stands. */
static ssize_t write_any(int fd, const struct iovec *parts, int count, int64_t at)
{
    struct stat st;
    bool ours = is_ours(fd, &st);
    if (ours) {
        take_lock();
        (void)fstat(fd, &st);
        int64_t place = at >= 0 ? at : fcntl(fd, F_GETFL) & O_APPEND ? st.st_size : lseek(fd, 0, SEEK_CUR);
        note_write(fd, &st, place, all_of(parts, count));
    }
    ssize_t done = at >= 0 ? syscall(SYS_pwritev, fd, parts, count, at, at >> 32) : syscall(SYS_writev, fd, parts, count);
    if (ours)
        give_lock();
    return done;
}

static ssize_t write_one(int fd, const void *p, size_t n, int64_t at)
{
    struct iovec part = { (void *)(uintptr_t)p, n };
    return write_any(fd, &part, 1, at);
}

FACE ssize_t write(int fd, const void *p, size_t n)                   { return write_one(fd, p, n, -1); }
FACE ssize_t pwrite(int fd, const void *p, size_t n, off_t at)        { return write_one(fd, p, n, at); }
FACE ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)      { return write_one(fd, p, n, at); }
FACE ssize_t writev(int fd, const struct iovec *v, int n)             { return write_any(fd, v, n, -1); }
FACE ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)  { return write_any(fd, v, n, at); }
FACE ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at) { return write_any(fd, v, n, at); }

static int resize(int fd, int64_t size, bool only_grow, int mode, int64_t at, int64_t n)
{
    struct stat st;
    bool ours = is_ours(fd, &st);
    if (ours) {
        take_lock();
        (void)fstat(fd, &st);
        if (!only_grow || size > st.st_size)
            note_size(fd, &st, size);
    }
    int done = only_grow ? (int)syscall(SYS_fallocate, fd, mode, at, n) : (int)syscall(SYS_ftruncate, fd, size);
    if (ours)
        give_lock();
    return done;
}

FACE int ftruncate(int fd, off_t size)   { return resize(fd, size, false, 0, 0, 0); }
FACE int ftruncate64(int fd, off_t size) { return resize(fd, size, false, 0, 0, 0); }

static int fallocate_any(int fd, int mode, int64_t at, int64_t n)
{
    struct stat st;
    if (mode != 0 && is_ours(fd, &st))
        say_and_abort("power shim: only a plain fallocate can be undone\n");
    return resize(fd, at + n, true, mode, at, n);
}
FACE int fallocate(int fd, int mode, off_t at, off_t n)   { return fallocate_any(fd, mode, at, n); }
FACE int fallocate64(int fd, int mode, off_t at, off_t n) { return fallocate_any(fd, mode, at, n); }
FACE int posix_fallocate(int fd, off_t at, off_t n)       { return fallocate_any(fd, 0, at, n) == 0 ? 0 : errno; }
FACE int posix_fallocate64(int fd, off_t at, off_t n)     { return posix_fallocate(fd, at, n); }

FACE int truncate(const char *path, off_t size)
{
    int fd = open_any(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int done = ftruncate(fd, size);
    return close(fd) == 0 ? done : -1;
}
FACE int truncate64(const char *path, off_t size) { return truncate(path, size); }

/* ------------------------------------------------------------------ names */

static int unlink_any(int at, const char *path, int flags)
{
    char whole[PATH_MAX];
    if (!watched(whole, at, path))
        return (int)syscall(SYS_unlinkat, at, path, flags);
    if (flags & AT_REMOVEDIR)
        say_and_abort("power shim: rmdir cannot be undone\n");
    take_lock();
    if (inode_of(whole)) {
        bury(whole, inode_of(whole));
        note_name(DEED_UNLINK, whole);
    }
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, whole, 0);
    give_lock();
    return done;
}
FACE int unlink(const char *path)                       { return unlink_any(AT_FDCWD, path, 0); }
FACE int unlinkat(int at, const char *path, int flags)  { return unlink_any(at, path, flags); }
FACE int rmdir(const char *path)                        { return unlink_any(AT_FDCWD, path, AT_REMOVEDIR); }
FACE int remove(const char *path)                       { return unlink_any(AT_FDCWD, path, 0); }

static int rename_any(int from_at, const char *from, int to_at, const char *to)
{
    char a[PATH_MAX], b[PATH_MAX];
    bool ours = watched(a, from_at, from) != NULL;
    if (ours != (watched(b, to_at, to) != NULL))
        say_and_abort("power shim: a rename across the border of the folder cannot be undone\n");
    if (!ours)
        return (int)syscall(SYS_renameat, from_at, from, to_at, to);
    take_lock();
    struct entry e = { .deed = DEED_RENAME, .file = inode_of(a), .folder = folder_of(b), .replaced = inode_of(b) };
    bury(b, (ino_t)e.replaced);
    tell(&e, a, b);
    int done = (int)syscall(SYS_renameat, AT_FDCWD, a, AT_FDCWD, b);
    give_lock();
    return done;
}
FACE int rename(const char *from, const char *to) { return rename_any(AT_FDCWD, from, AT_FDCWD, to); }
FACE int renameat(int a, const char *from, int b, const char *to) { return rename_any(a, from, b, to); }

FACE int mkdir(const char *path, mode_t mode)
{
    char whole[PATH_MAX];
    bool ours = watched(whole, AT_FDCWD, path) != NULL;
    if (ours) {
        take_lock();
        if (!inode_of(whole))
            note_name(DEED_FOLDER, whole);
    }
    int done = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (ours)
        give_lock();
    return done;
}

/* ------------------------------------------------------------------ syncs */

static int sync_any(int fd, long call)
{
    struct stat st;
    bool ours = is_ours(fd, &st);
    if (!ours)
        return (int)syscall(call, fd);
    take_lock();
    int done = shim.lie ? 0 : (int)syscall(call, fd);
    if (done == 0 && !shim.lie) {
        struct entry e = { .deed = DEED_SYNC, .file = st.st_ino };
        tell(&e, NULL, NULL);
    }
    give_lock();
    return done;
}
FACE int fsync(int fd)     { return sync_any(fd, SYS_fsync); }
FACE int fdatasync(int fd) { return sync_any(fd, SYS_fdatasync); }
