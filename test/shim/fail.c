// SPDX-License-Identifier: Apache-2.0
/*
 * The n-th failure (LD_PRELOAD): one call of a kind fails once, all others pass.
 *
 *     HOTARU_FAIL_DIR=/folder      whose files are meant (absolute); of memory: everybody's
 *     HOTARU_FAIL_WHAT=…           write, sync, open, resize, name (rename, unlink, mkdir) or malloc
 *     HOTARU_FAIL_ERRNO=5          what the call says then
 *     HOTARU_FAIL_TRACE=1          and who called it, on stderr
 *     HOTARU_FAIL_BOARD=/file      struct board, shared with the test, which says when to begin to count
 *
 * The board also tells whether a file was synced again after its sync had failed: what a second sync
 * says of pages that the first one dropped is not true, so nobody may ask.
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
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

/* nth.mjs reads and writes it by these offsets: little-endian, 8 bytes each, then the words. */
struct board {
    _Atomic uint64_t armed, n, seen, failed, again;
    char words[256];                     /* which call failed, or was made again */
};

enum what { WRITE, SYNC, OPEN, RESIZE, NAME, MALLOC, KINDS };

static const char *const names[KINDS] = { "write", "sync", "open", "resize", "name", "malloc" };

static struct {
    struct board *board;                 /* NULL: nothing fails */
    char      dir[PATH_MAX];
    size_t    dir_n;
    enum what what;
    int       error;
    bool      trace;
    bool      ours[FDS_MAX];
    _Atomic ino_t unsynced;              /* the file whose sync has failed */
} shim;

__attribute__((constructor)) static void begin(void)
{
    const char *dir = getenv("HOTARU_FAIL_DIR"), *what = getenv("HOTARU_FAIL_WHAT");
    const char *board = getenv("HOTARU_FAIL_BOARD"), *error = getenv("HOTARU_FAIL_ERRNO");
    if (!dir || !what || !board)
        return;
    shim.dir_n = (size_t)snprintf(shim.dir, sizeof shim.dir, "%s", dir);
    shim.error = error ? atoi(error) : EIO;
    shim.trace = getenv("HOTARU_FAIL_TRACE") != NULL;
    while (shim.what < KINDS && strcmp(names[shim.what], what) != 0)
        shim.what++;
    int   fd = (int)syscall(SYS_openat, AT_FDCWD, board, O_RDWR | O_CLOEXEC, 0);
    void *p  = fd < 0 ? MAP_FAILED : (void *)syscall(SYS_mmap, NULL, sizeof *shim.board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED || shim.what == KINDS)
        abort();
    (void)syscall(SYS_close, fd);
    shim.board = p;
}

static void say(const char *call, const char *path)
{
    if (shim.board->words[0] == 0)
        (void)snprintf(shim.board->words, sizeof shim.board->words, "%s %s", call, path ? path : "");
}

/* Is this the one? */
static bool fails(enum what what, const char *call, const char *path)
{
    if (!shim.board || what != shim.what || !atomic_load(&shim.board->armed) ||
        atomic_fetch_add(&shim.board->seen, 1) + 1 != atomic_load(&shim.board->n))
        return false;
    atomic_store(&shim.board->failed, 1);
    if (what != MALLOC)
        say(call, path);
    if (shim.trace) {
        void *callers[40];
        backtrace_symbols_fd(callers, backtrace(callers, 40), 2);
    }
    errno = shim.error;
    return true;
}

static bool below(const char *path)
{
    char here[PATH_MAX] = "", whole[PATH_MAX * 2];
    if (!shim.board || !path || (path[0] != '/' && !getcwd(here, sizeof here)))
        return false;
    (void)snprintf(whole, sizeof whole, "%s%s%s", here, path[0] == '/' ? "" : "/", path);
    return strncmp(whole, shim.dir, shim.dir_n) == 0;
}

static bool is_ours(int fd) { return shim.board && fd >= 0 && fd < FDS_MAX && shim.ours[fd]; }

/* Of a descriptor: its name is looked up only when it is the one. */
static bool fails_fd(enum what what, const char *call, int fd)
{
    char link[64], path[PATH_MAX] = "";
    if (!is_ours(fd))
        return false;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (atomic_load(&shim.board->seen) + 1 == atomic_load(&shim.board->n)) {
        ssize_t n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = 0;
    }
    return fails(what, call, path);
}

/* ------------------------------------------------------------------ files */

static int open_any(int at, const char *path, int flags, mode_t mode)
{
    bool ours = below(path);
    if (ours && fails(OPEN, "open", path))
        return -1;
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && fd < FDS_MAX)
        shim.ours[fd] = ours;
    return fd;
}

#include "open.h"

FACE int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        shim.ours[fd] = false;
    return (int)syscall(SYS_close, fd);
}

#define WRITING(call, fd, doing) fails_fd(WRITE, call, fd) ? -1 : (ssize_t)doing

FACE ssize_t write(int fd, const void *p, size_t n)                    { return WRITING("write", fd, syscall(SYS_write, fd, p, n)); }
FACE ssize_t pwrite(int fd, const void *p, size_t n, off_t at)         { return WRITING("pwrite", fd, syscall(SYS_pwrite64, fd, p, n, at)); }
FACE ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)       { return WRITING("pwrite", fd, syscall(SYS_pwrite64, fd, p, n, at)); }
FACE ssize_t writev(int fd, const struct iovec *v, int n)              { return WRITING("writev", fd, syscall(SYS_writev, fd, v, n)); }
FACE ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)   { return WRITING("pwritev", fd, syscall(SYS_pwritev, fd, v, n, at, 0)); }
FACE ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at) { return WRITING("pwritev", fd, syscall(SYS_pwritev, fd, v, n, at, 0)); }

FACE int ftruncate(int fd, off_t size)   { return fails_fd(RESIZE, "ftruncate", fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size); }
FACE int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }
FACE int fallocate(int fd, int mode, off_t at, off_t n)
{
    return fails_fd(RESIZE, "fallocate", fd) ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, n);
}
FACE int fallocate64(int fd, int mode, off_t at, off_t n) { return fallocate(fd, mode, at, n); }
FACE int posix_fallocate(int fd, off_t at, off_t n)       { return fallocate(fd, 0, at, n) == 0 ? 0 : errno; }
FACE int posix_fallocate64(int fd, off_t at, off_t n)     { return fallocate(fd, 0, at, n) == 0 ? 0 : errno; }

FACE int unlink(const char *path)                 { return below(path) && fails(NAME, "unlink", path) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0); }
FACE int rename(const char *from, const char *to) { return below(to) && fails(NAME, "rename to", to) ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to); }
FACE int mkdir(const char *path, mode_t mode)     { return below(path) && fails(NAME, "mkdir", path) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode); }

/* A file is known again by its inode, whatever descriptor it is synced through. Folders are left out: SQLite
 * does not look at what their sync says, and has no other answer than the next one. */
static int sync_any(int fd, const char *name, long call)
{
    struct stat st;
    if (!is_ours(fd) || fstat(fd, &st) != 0)
        return (int)syscall(call, fd);
    if (st.st_ino == atomic_load(&shim.unsynced))
        atomic_fetch_add(&shim.board->again, 1);
    if (!fails_fd(SYNC, name, fd))
        return (int)syscall(call, fd);
    if (S_ISREG(st.st_mode))
        atomic_store(&shim.unsynced, st.st_ino);
    errno = shim.error;
    return -1;
}
FACE int fsync(int fd)     { return sync_any(fd, "fsync", SYS_fsync); }
FACE int fdatasync(int fd) { return sync_any(fd, "fdatasync", SYS_fdatasync); }

/* ------------------------------------------------------------------ memory */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *old, size_t n);
void *__libc_memalign(size_t align, size_t n);

static bool no_memory(void)
{
    if (!fails(MALLOC, "malloc", NULL))
        return false;
    errno = ENOMEM;
    return true;
}

FACE void *malloc(size_t n)                      { return no_memory() ? NULL : __libc_malloc(n); }
FACE void *calloc(size_t n, size_t each)         { return no_memory() ? NULL : __libc_calloc(n, each); }
FACE void *realloc(void *old, size_t n)          { return no_memory() ? NULL : __libc_realloc(old, n); }
FACE void *memalign(size_t align, size_t n)      { return no_memory() ? NULL : __libc_memalign(align, n); }
FACE void *aligned_alloc(size_t align, size_t n) { return no_memory() ? NULL : __libc_memalign(align, n); }
FACE int posix_memalign(void **out, size_t align, size_t n)
{
    void *p = no_memory() ? NULL : __libc_memalign(align, n);
    if (p)
        *out = p;
    return p ? 0 : ENOMEM;
}
