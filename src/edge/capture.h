/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_CAPTURE_H
#define HOTARU_CAPTURE_H

/*
 * What came through the daemon's doors, kept in a ring on disk, so that a night that nobody
 * understands can be run again in the box (`hotaru replay`). Two files take turns, each half of the
 * ring; the older half is emptied when the newer is full. It is an aid, not a promise: nothing is
 * synced, and a disk that refuses ends the capture with a line in the log, never the daemon.
 *
 *     | "HTRUCAP1" |  then records:
 *     | length 4 | kind 1 | zero 3 | mono_us 8 | wall_us 8 | crc32c 4 | length bytes |     little-endian
 *
 * Kept are datagrams as they came (frames stay encrypted), codec answers that are nobody's personal
 * reading, that a write was asked for, and short draws of chance (addresses, tokens). Not kept: bodies of imports (they hold keys), tokens,
 * anything of a personal device that was decrypted.
 */
#include "base/base.h"
#include "sys/sys.h"

#define CAPTURE_RECORD_MAX (128 << 10)

enum capture_kind { CAPTURE_START = 1, CAPTURE_DATAGRAM, CAPTURE_WRITE, CAPTURE_ANSWER, CAPTURE_CHANCE };
#define CAPTURE_CHANCE_MAX 8      /* bytes of a draw of chance that is kept: never a key's */

struct capture_record {
    enum capture_kind kind;
    struct mono mono;
    struct wall wall;
    struct address peer;           /* of a datagram */
    struct bytes bytes;            /* the datagram; the answer's JSON; the draw; borrowed */
    struct str method, path;       /* of a write; its body is `bytes`, empty when it was not kept */
    u64 id;                        /* of an answer: the uplink */
    u8  refusal;                   /* of an answer: enum codec_refusal */
};

struct capture;
/* NULL with words when the files cannot be opened. `ring_bytes`: of both halves. */
struct capture *capture_open(const char *folder, i64 ring_bytes, struct str *why, struct arena *arena);
/* A NULL capture takes everything and keeps nothing. */
void capture_put(struct capture *c, const struct capture_record *record);
u64  capture_kept(const struct capture *c);      /* records */
void capture_close(struct capture *c);

/* The next record of a file's bytes behind its head; false: the end, or where it was torn. */
bool capture_head(struct cur *c);
bool capture_next(struct cur *c, struct capture_record *out);
/* The two halves (files, whole) in the order of their time, joined, without heads: one list of records.
 * ERR_NOT_FOUND: both empty; ERR_INVALID: neither is one. */
enum err capture_join(struct bytes *out, const struct bytes half[2], struct arena *arena);

#endif
