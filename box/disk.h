/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_BOX_DISK_H
#define HOTARU_BOX_DISK_H

/* What disk.c and vfs.c share: files as programs see them and as they rest. disk.c's essay says what is modelled. */
#include "box/box.h"

enum { DISK_SECTOR = 512, DISK_FILES = 64, DISK_NAME = 256, SHM_LOCKS = 8, SHM_REGIONS = 128 };

/* Bytes at and beyond `room` are zero and take no memory. */
struct content { u8 *p; i64 n, room; };

/* What was done to a file since its last sync, in order. */
enum deed { DEED_WRITE, DEED_LENGTH, DEED_MADE, DEED_REPLACED, DEED_REMOVED };
struct op { enum deed deed; i64 at, n; size_t bytes; };     /* bytes: where its n bytes begin in file.bytes */

/* The write-ahead log's index: memory that all connections share. */
struct shm { u8 *region[SHM_REGIONS]; int regions, region_bytes; u32 users, shared[SHM_LOCKS]; const void *exclusive[SHM_LOCKS]; };

struct file {
    char name[DISK_NAME];
    bool there, rests_there;            /* for programs; after a power cut */
    bool temporary, locked;             /* goes with its handle; sys_lock_file */
    struct content seen, rests;
    struct op *ops;
    u8  *bytes;
    size_t ops_n, ops_room, bytes_n, bytes_room;
    u32  opened;
    u32  readers;                       /* connections with a lock, the writer too */
    const void *writer;                 /* the one with RESERVED or more */
    bool pending;                       /* it waits for the readers: no new ones */
    struct shm shm;
};

struct disk {
    struct file file[DISK_FILES];
    i64  used;
    u32  temporary;                     /* names given to files without one */
    struct disk_faults faults;
    struct disk_counts counts;
    bool sync_lies;                     /* for the test that must be able to fail */
};
struct disk *disk_here(void);

/* Each asks box_boundary first, then the faults. OK, ERR_IO, ERR_FULL; after an error nothing has changed. */
struct file *disk_find(const char *name);
enum err disk_make(struct file **out, const char *name);
enum err disk_write(struct file *f, i64 at, struct bytes bytes);
enum err disk_length(struct file *f, i64 n);
enum err disk_sync(struct file *f);
enum err disk_sync_names(void);         /* of the folder */
enum err disk_remove(struct file *f);
void disk_forget(struct file *f);       /* a temporary file, with its handle */
/* False: shorter than asked; the rest is zero. */
bool disk_read(const struct file *f, i64 at, u8 *out, i64 n);
/* Counts memory that stands for a file against the room. */
bool disk_take_room(i64 bytes);

void vfs_begin(void);

#endif
