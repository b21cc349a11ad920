/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log between power.c, which writes it inside the daemon, and undo.c, which reads it when the
 * daemon is dead. It stands outside of the watched folder and is written before the deed:
 *
 *     | struct entry | path | second path | old bytes |  | struct entry | …
 *
 * An entry that is cut short belongs to a deed that was not done.
 */
#ifndef POWER_H
#define POWER_H

#include <stdint.h>

#define ENTRY_MAGIC 0x7265776Fu

enum deed {
    DEED_WRITE,          /* old bytes: what stood there, as far as the file reached */
    DEED_RESIZE,         /* ftruncate, fallocate, O_TRUNC; old bytes: what was cut off */
    DEED_CREATE,         /* path */
    DEED_UNLINK,         /* path; its inode lives on as a link in the graveyard */
    DEED_RENAME,         /* path to second path; what stood there lives on likewise */
    DEED_FOLDER,         /* path: mkdir */
    DEED_SYNC            /* file: everything before is on the disk, of this file or of this folder's names */
};

struct entry {
    uint32_t magic, deed;
    uint64_t file;                       /* inode; of DEED_RENAME: the one that moves */
    uint64_t folder;                     /* of names: the inode of the folder they stand in */
    uint64_t replaced;                   /* DEED_RENAME: the inode that had the name before, or 0 */
    int64_t  at, size, old_size, new_size;
    uint32_t path_n, second_n;
    uint64_t old_n;
};

#endif
