// SPDX-License-Identifier: Apache-2.0
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool read_whole(int fd, u8 *p, size_t n)
{
    while (n > 0) {
        ssize_t got = read(fd, p, n);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
    return true;
}

enum err sys_file_read(struct bytes *out, const char *path, size_t max, struct arena *arena)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    enum err err = fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ? ERR_IO : (size_t)st.st_size > max ? ERR_TOO_LARGE : OK;
    if (err == OK) {
        u8 *p = arena_take(arena, (size_t)st.st_size + 1, 1);
        *out  = (struct bytes){ p, (size_t)st.st_size };
        err   = read_whole(fd, p, out->n) ? OK : ERR_IO;
    }
    (void)close(fd);
    return err;
}

static bool write_whole(int fd, struct bytes b)
{
    while (b.n > 0) {
        ssize_t put = write(fd, b.p, b.n);
        if (put < 0 && errno != EINTR)
            return false;
        if (put > 0) {
            b.p += put;
            b.n -= (size_t)put;
        }
    }
    return true;
}

static bool sync_folder_of(const char *path)
{
    char copy[PATH_MAX];
    (void)snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = fsync(fd) == 0;
    (void)close(fd);
    return good;
}

enum err sys_file_write(const char *path, struct bytes content, int mode)
{
    char beside[PATH_MAX];
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
        return ERR_TOO_LARGE;
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return ERR_IO;
    bool good = write_whole(fd, content) && fsync(fd) == 0;
    good      = close(fd) == 0 && good;
    if (!good || rename(beside, path) != 0) {
        (void)unlink(beside);
        return ERR_IO;
    }
    return sync_folder_of(path) ? OK : ERR_IO;
}

enum err sys_file_again(const char *path)
{
    u8  block[1 << 16];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? OK : ERR_IO;
    ssize_t n;
    off_t   at = 0;
    while ((n = pread(fd, block, sizeof block, at)) > 0 && pwrite(fd, block, (size_t)n, at) == n)
        at += n;
    bool good = n == 0 && fsync(fd) == 0;
    (void)close(fd);
    return good && sync_folder_of(path) ? OK : ERR_IO;
}

enum err sys_folder_make(const char *path)
{
    char   part[PATH_MAX];
    size_t n = str_z(path).n;
    if (n == 0 || n >= sizeof part)
        return ERR_INVALID;
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != 0)
            continue;
        char was = part[i];
        part[i]  = 0;
        bool made = mkdir(part, i == n ? 0700 : 0755) == 0;
        if (!made && errno != EEXIST)
            return errno == EACCES || errno == EROFS || errno == ENOTDIR ? ERR_DENIED : ERR_IO;
        if (made && !sync_folder_of(part))
            return ERR_IO;
        part[i] = was;
    }
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? OK : ERR_IO;
}

bool sys_file_size(i64 *bytes, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    *bytes = st.st_size;
    return true;
}

bool sys_file_reserve(const char *path, i64 bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool good = bytes > 0 ? posix_fallocate(fd, 0, (off_t)bytes) == 0 : ftruncate(fd, 0) == 0;
    (void)close(fd);
    return good;
}

bool sys_folder_room(i64 *bytes, const char *path)
{
    struct statvfs disk;
    if (statvfs(path, &disk) != 0)
        return false;
    *bytes = (i64)disk.f_bavail * (i64)disk.f_frsize;
    return true;
}

bool sys_folder_is_remote(const char *path)
{
    static const u32 remote[] = { 0x6969 /* NFS */, 0x517B /* SMB */, 0xFF534D42 /* CIFS */, 0xFE534D42 /* SMB2 */,
                                  0x00C36400 /* Ceph */, 0x5346414F /* AFS */ };
    struct statfs fs;
    if (statfs(path, &fs) != 0)
        return false;
    for (size_t i = 0; i < COUNT(remote); i++)
        if ((u32)fs.f_type == remote[i])
            return true;
    return false;
}

/* ------------------------------------------------------------------ lock files */

struct sys_lock { int fd; };

enum err sys_lock_file(struct sys_lock **out, const char *path, struct str *holder, struct arena *arena)
{
    char text[32];
    int  fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EACCES || errno == EROFS ? ERR_DENIED : ERR_IO;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = pread(fd, text, sizeof text, 0);
        *holder   = str_copy(arena, str_trim((struct str){ text, (size_t)MAX(n, 0) }));
        (void)close(fd);
        return ERR_CONFLICT;
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) < 0)
        (void)0;                             /* only words for people; the lock itself holds */
    *out       = boot_take(sizeof **out);
    (*out)->fd = fd;
    return OK;
}

void sys_unlock_file(struct sys_lock *lock)
{
    (void)close(lock->fd);                   /* and with it the lock */
    boot_release(lock);
}
