// SPDX-License-Identifier: Apache-2.0
/*
 * Power loss, the half after the kill: takes back what power.c saw and no sync covered.
 *
 *     undo FOLDER LOG loss|reorder|tear SEED
 *
 *     loss       nothing unsynced had reached the disk
 *     tear       the disk worked in order and stopped in the middle of a write, between two sectors
 *     reorder    any of it had, in any order, and some writes only by half
 *
 * All of it is taken back first, newest first, and the new bytes are kept; then what the disk is
 * supposed to have done is done again, oldest first. So each sector holds what it held at the last sync
 * or after one of the writes since, and a name stands for what it stood for then or since. Prints one line
 * of JSON: what was seen, what was not synced, what of it was kept, and how many writes were torn.
 */
#include "power.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define FILES_MAX 256

struct done {
    struct entry e;
    char    path[PATH_MAX], second[PATH_MAX];
    uint8_t *old, *new;
    int64_t new_n;
    bool    open;                        /* no sync came after it */
};

static struct { struct done *list; size_t count, room; const char *folder, *grave; } log_;
static struct { ino_t inode; int fd; } files[FILES_MAX];
static size_t files_n;
static uint64_t chance;

static void fail(const char *what, const char *of)
{
    (void)fprintf(stderr, "undo: %s %s: %s\n", what, of, strerror(errno));
    exit(1);
}

static void *take(size_t n)
{
    void *p = calloc(1, n + 1);
    if (!p)
        fail("no memory for", "the log");
    return p;
}

/* xorshift64*, below n */
static uint64_t below(uint64_t n)
{
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (chance * 2685821657736338717u >> 11) % n;
}

/* ------------------------------------------------------------------ reading */

static bool read_whole(FILE *f, void *p, size_t n) { return fread(p, 1, n, f) == n; }

/* False at the end, also when that is in the middle of an entry. */
static bool read_entry(FILE *f, struct done *d)
{
    *d = (struct done){ .open = true };
    if (!read_whole(f, &d->e, sizeof d->e))
        return false;
    if (d->e.magic != ENTRY_MAGIC || d->e.path_n >= PATH_MAX || d->e.second_n >= PATH_MAX)
        fail("not an entry in", "the log");
    d->old = take((size_t)d->e.old_n);
    return read_whole(f, d->path, d->e.path_n) && read_whole(f, d->second, d->e.second_n) &&
           read_whole(f, d->old, (size_t)d->e.old_n);
}

static bool is_name(const struct done *d)
{
    return d->e.deed == DEED_CREATE || d->e.deed == DEED_UNLINK || d->e.deed == DEED_RENAME || d->e.deed == DEED_FOLDER;
}

/* Of what is not on the disk yet, a sync takes what it covers. */
static void close_covered(uint64_t inode, size_t *from)
{
    for (size_t i = *from; i < log_.count; i++) {
        struct done *d = &log_.list[i];
        if (d->open && (is_name(d) ? d->e.folder : d->e.file) == inode)
            d->open = false;
    }
    while (*from < log_.count && !log_.list[*from].open)
        (*from)++;
}

static size_t read_log(void)
{
    char   path[PATH_MAX];
    size_t seen = 0, from = 0;
    (void)snprintf(path, sizeof path, "%s/log", log_.grave);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail("cannot read", path);
    for (struct done d; read_entry(f, &d); seen++) {
        if (d.e.deed == DEED_SYNC) {
            close_covered(d.e.file, &from);
            continue;
        }
        if (log_.count == log_.room) {
            log_.room = log_.room ? log_.room * 2 : 256;
            log_.list = realloc(log_.list, log_.room * sizeof d);
            if (!log_.list)
                fail("no memory for", path);
        }
        log_.list[log_.count++] = d;
    }
    (void)fclose(f);
    return seen;
}

/* Every file by its inode, under whatever name it has now. */
static int remember(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)walk;
    for (size_t i = 0; i < files_n; i++)
        if (files[i].inode == st->st_ino)
            return 0;
    if (kind != FTW_F || files_n == FILES_MAX)
        return 0;
    files[files_n].inode = st->st_ino;
    if ((files[files_n++].fd = open(path, O_RDWR | O_CLOEXEC)) < 0)
        fail("cannot open", path);
    return 0;
}

static int file_of(uint64_t inode)
{
    for (size_t i = 0; i < files_n; i++)
        if (files[i].inode == inode)
            return files[i].fd;
    return -1;                           /* created and gone before it had a byte */
}

static uint64_t inode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? st.st_ino : 0;
}

/* ------------------------------------------------------------------ bytes */

static void put(int fd, const uint8_t *p, int64_t n, int64_t at)
{
    if (n > 0 && pwrite(fd, p, (size_t)n, at) != n)
        fail("cannot write", "a file");
}

static void cut(int fd, int64_t size)
{
    if (ftruncate(fd, size) != 0)
        fail("cannot resize", "a file");
}

static void undo_bytes(struct done *d)
{
    int fd = file_of(d->e.file);
    if (fd < 0)
        return;
    if (d->e.deed == DEED_WRITE) {
        d->new   = take((size_t)d->e.size);
        d->new_n = pread(fd, d->new, (size_t)d->e.size, d->e.at);
    }
    cut(fd, d->e.old_size);
    put(fd, d->old, (int64_t)d->e.old_n, d->e.deed == DEED_WRITE ? d->e.at : d->e.new_size);
}

static void redo_bytes(struct done *d)
{
    int fd = file_of(d->e.file);
    if (fd < 0)
        return;
    if (d->e.deed == DEED_RESIZE)
        cut(fd, d->e.new_size);
    else
        put(fd, d->new, d->new_n, d->e.at);
}

/* How many places between two sectors a write has inside. */
static int64_t seams(const struct done *d)
{
    return d->e.deed != DEED_WRITE || d->new_n < 1 ? 0
         : (d->e.at + d->new_n - 1) / SECTOR - d->e.at / SECTOR;
}

/* Only what stands before, or behind, one of its seams. */
static void redo_torn(struct done *d)
{
    int     fd = file_of(d->e.file);
    int64_t seam = (d->e.at / SECTOR + 1 + (int64_t)below((uint64_t)seams(d))) * SECTOR - d->e.at;
    if (fd < 0)
        return;
    if (below(2))
        put(fd, d->new, seam, d->e.at);
    else
        put(fd, d->new + seam, d->new_n - seam, d->e.at + seam);
}

/* ------------------------------------------------------------------ names */

static const char *grave_of(char out[PATH_MAX], uint64_t inode)
{
    (void)snprintf(out, PATH_MAX, "%s/%llu", log_.grave, (unsigned long long)inode);
    return out;
}

static void bury(const char *path)
{
    char grave[PATH_MAX];
    struct stat st;
    if (lstat(path, &st) != 0)
        return;
    (void)grave_of(grave, st.st_ino);
    if (S_ISDIR(st.st_mode)) {
        if (rename(path, grave) != 0)
            fail("cannot take back", path);
        return;
    }
    if (link(path, grave) != 0 && errno != EEXIST)
        fail("cannot keep", path);
    (void)unlink(path);
}

/* A name that cannot be: its folder was not kept either. */
static void dig_out(uint64_t inode, const char *path)
{
    char grave[PATH_MAX];
    struct stat st;
    if (lstat(grave_of(grave, inode), &st) != 0 || inode_of(path) == inode)
        return;
    if (!S_ISDIR(st.st_mode) && inode_of(path))
        bury(path);
    if ((S_ISDIR(st.st_mode) ? rename(grave, path) : link(grave, path)) != 0 && errno != ENOENT)
        fail("cannot give back", path);
}

static void undo_name(struct done *d)
{
    switch (d->e.deed) {
    case DEED_CREATE: case DEED_FOLDER:
        d->e.file = inode_of(d->path);
        bury(d->path);
        break;
    case DEED_UNLINK:
        dig_out(d->e.file, d->path);
        break;
    case DEED_RENAME:
        if (inode_of(d->second) != d->e.file)
            break;                       /* the kill came before the deed */
        if (rename(d->second, d->path) != 0)
            fail("cannot take back", d->second);
        if (d->e.replaced)
            dig_out(d->e.replaced, d->second);
        break;
    }
}

static void redo_name(struct done *d)
{
    switch (d->e.deed) {
    case DEED_CREATE: case DEED_FOLDER:
        dig_out(d->e.file, d->path);
        break;
    case DEED_UNLINK:
        if (inode_of(d->path) == d->e.file)
            bury(d->path);
        break;
    case DEED_RENAME:
        bury(d->path);
        dig_out(d->e.file, d->second);
        break;
    }
}

/* ------------------------------------------------------------------ the cut */

static void undo_all(void)
{
    for (size_t i = log_.count; i-- > 0;)
        if (log_.list[i].open)
            is_name(&log_.list[i]) ? undo_name(&log_.list[i]) : undo_bytes(&log_.list[i]);
}

static void redo(struct done *d) { is_name(d) ? redo_name(d) : redo_bytes(d); }

struct told { size_t unsynced, kept, torn; };

static void redo_in_order(struct told *told)
{
    size_t stop = below(told->unsynced + 1);
    for (size_t i = 0, n = 0; i < log_.count; i++) {
        if (!log_.list[i].open)
            continue;
        if (n++ >= stop) {
            if (seams(&log_.list[i]) > 0) {
                redo_torn(&log_.list[i]);
                told->torn++;
            }
            return;
        }
        redo(&log_.list[i]);
        told->kept++;
    }
}

static void redo_some(struct told *told)
{
    uint64_t of_ten = (uint64_t[]){ 2, 5, 8 }[below(3)];
    for (size_t i = 0; i < log_.count; i++) {
        struct done *d = &log_.list[i];
        if (!d->open || below(10) >= of_ten)
            continue;
        bool torn = seams(d) > 0 && below(8) == 0;
        torn ? redo_torn(d) : redo(d);
        told->torn += torn;
        told->kept++;
    }
}

/* The index of the log was memory. */
static int forget_memory(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    size_t n = strlen(path);
    (void)st, (void)walk;
    return kind == FTW_F && n > 4 && strcmp(path + n - 4, "-shm") == 0 ? unlink(path) : 0;
}

static int forget(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st;
    if (walk->level > 0)
        (void)(kind == FTW_DP ? rmdir(path) : unlink(path));
    return 0;
}

int main(int argc, char **argv)
{
    struct told told = { 0, 0, 0 };
    if (argc != 5) {
        (void)fprintf(stderr, "undo FOLDER LOG loss|reorder|tear SEED\n");
        return 2;
    }
    log_.folder = argv[1];
    log_.grave  = argv[2];
    chance = strtoull(argv[4], NULL, 10) * 2654435769u + 88172645463325252u;
    size_t seen = read_log();
    (void)nftw(log_.folder, remember, 16, FTW_PHYS);
    (void)nftw(log_.grave, remember, 16, FTW_PHYS);
    for (size_t i = 0; i < log_.count; i++)
        told.unsynced += log_.list[i].open;
    undo_all();
    if (strcmp(argv[3], "tear") == 0)
        redo_in_order(&told);
    else if (strcmp(argv[3], "reorder") == 0)
        redo_some(&told);
    (void)nftw(log_.folder, forget_memory, 16, FTW_PHYS);
    (void)nftw(log_.grave, forget, 16, FTW_PHYS | FTW_DEPTH);
    printf("{\"seen\":%zu,\"unsynced\":%zu,\"kept\":%zu,\"torn\":%zu}\n", seen, told.unsynced, told.kept, told.torn);
    return 0;
}
