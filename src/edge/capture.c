// SPDX-License-Identifier: Apache-2.0
#include "edge/capture.h"

#include <fcntl.h>
#include <unistd.h>

#define HEAD        "HTRUCAP1"
#define HEAD_BYTES  8
#define RECORD_HEAD 28
#define HALVES      2
#define ROOM        (RECORD_HEAD + CAPTURE_RECORD_MAX)

struct capture {
    const char *path[HALVES];
    int  fd[HALVES];
    int  now;                      /* which half is written */
    i64  at, half_bytes;
    u64  kept;
    bool ended;
    u8   record[ROOM];
};

static const char *half_path(const char *folder, int half, struct arena *arena)
{
    return str_fmt(arena, "%s/capture.%d", folder, half).p;
}

/* When the first record of a half was written; the beginning of time for a half that has none. */
static i64 began_us(int fd)
{
    u8 bytes[HEAD_BYTES + RECORD_HEAD];
    if (pread(fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return INT64_MIN;
    struct cur c = cur_of((struct bytes){ bytes, sizeof bytes });
    if (!capture_head(&c))
        return INT64_MIN;
    (void)cur_take(&c, 16);
    return (i64)cur_u64le(&c);
}

/* A start begins in the older half: what led to the restart is still there. */
static int older_half(const struct capture *c)
{
    return began_us(c->fd[0]) > began_us(c->fd[1]) ? 1 : 0;
}

static bool begin_half(struct capture *c, int half)
{
    c->now = half;
    c->at  = HEAD_BYTES;
    return ftruncate(c->fd[half], 0) == 0 && pwrite(c->fd[half], HEAD, HEAD_BYTES, 0) == HEAD_BYTES;
}

struct capture *capture_open(const char *folder, i64 ring_bytes, struct str *why, struct arena *arena)
{
    struct capture *c = boot_take(sizeof *c);
    for (int i = 0; i < HALVES; i++) {
        c->path[i] = half_path(folder, i, arena);
        c->fd[i]   = open(c->path[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    }
    int half = older_half(c);
    c->half_bytes = MAX(ring_bytes / HALVES, (i64)2 * ROOM);
    if (c->fd[0] < 0 || c->fd[1] < 0 || !begin_half(c, half)) {
        *why = str_fmt(arena, "the capture %s cannot be written", c->path[0]);
        capture_close(c);
        return NULL;
    }
    return c;
}

void capture_close(struct capture *c)
{
    for (int i = 0; c && i < HALVES; i++)
        if (c->fd[i] >= 0)
            (void)close(c->fd[i]);
    boot_release(c);
}

u64 capture_kept(const struct capture *c)
{
    return c ? c->kept : 0;
}

/* ------------------------------------------------------------------ a record as bytes */

static void put_bytes(struct buf *b, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        buf_u8(b, bytes.p[i]);
}

static void put_body(struct buf *b, const struct capture_record *r)
{
    switch (r->kind) {
    case CAPTURE_DATAGRAM:
        buf_u8(b, r->peer.family);
        put_bytes(b, (struct bytes){ r->peer.ip, sizeof r->peer.ip });
        buf_u16le(b, r->peer.port);
        break;
    case CAPTURE_WRITE:
        buf_u8(b, (u8)MIN(r->method.n, (size_t)255));
        buf_u16le(b, (u16)MIN(r->path.n, (size_t)65535));
        put_bytes(b, bytes_of(r->method));
        put_bytes(b, bytes_of(r->path));
        break;
    case CAPTURE_ANSWER:
        buf_u64le(b, r->id);
        buf_u8(b, r->refusal);
        break;
    case CAPTURE_START: case CAPTURE_CHANCE:
        break;
    }
    put_bytes(b, r->bytes);
}

void capture_put(struct capture *c, const struct capture_record *r)
{
    if (!c || c->ended)
        return;
    struct buf body = buf_of(c->record + RECORD_HEAD, CAPTURE_RECORD_MAX);
    put_body(&body, r);
    if (body.bad)                                          /* larger than a record: an import, say */
        return;
    struct buf head = buf_of(c->record, RECORD_HEAD);
    buf_u32le(&head, (u32)body.n);
    buf_u32le(&head, r->kind);
    buf_u64le(&head, (u64)r->mono.us);
    buf_u64le(&head, (u64)r->wall.us);
    buf_u32le(&head, crc32c(crc32c(0, (struct bytes){ c->record, head.n }), buf_bytes(&body)));
    size_t n = RECORD_HEAD + body.n;
    if (c->at + (i64)n > c->half_bytes && !begin_half(c, 1 - c->now))
        c->ended = true;
    else if (pwrite(c->fd[c->now], c->record, n, c->at) != (ssize_t)n)
        c->ended = true;
    if (c->ended)
        log_line(LOG_WARN, "capture ended: the disk refuses it");
    c->at   += (i64)n;
    c->kept += !c->ended;
}

/* ------------------------------------------------------------------ reading */

bool capture_head(struct cur *c)
{
    struct bytes head = cur_take(c, HEAD_BYTES);
    return !c->bad && memcmp(head.p, HEAD, HEAD_BYTES) == 0;
}

static bool read_body(struct cur *c, struct capture_record *r)
{
    switch (r->kind) {
    case CAPTURE_DATAGRAM:
        r->peer.family = cur_u8(c);
        struct bytes ip = cur_take(c, sizeof r->peer.ip);
        if (!c->bad)
            memcpy(r->peer.ip, ip.p, ip.n);
        r->peer.port = cur_u16le(c);
        break;
    case CAPTURE_WRITE: {
        u8  method = cur_u8(c);
        u16 path   = cur_u16le(c);
        r->method  = str_of(cur_take(c, method));
        r->path    = str_of(cur_take(c, path));
        break;
    }
    case CAPTURE_ANSWER:
        r->id      = cur_u64le(c);
        r->refusal = cur_u8(c);
        break;
    case CAPTURE_START: case CAPTURE_CHANCE:
        break;
    default:
        return false;
    }
    r->bytes = cur_rest(c);
    return !c->bad;
}

bool capture_next(struct cur *c, struct capture_record *out)
{
    if (cur_left(c) < RECORD_HEAD)
        return false;
    struct bytes whole = { c->p, RECORD_HEAD - 4 };
    u32 n = cur_u32le(c), kind = cur_u32le(c);
    *out = (struct capture_record){ .kind = (enum capture_kind)kind };
    out->mono.us = (i64)cur_u64le(c);
    out->wall.us = (i64)cur_u64le(c);
    u32 sum = cur_u32le(c);
    struct bytes body = cur_take(c, n);
    if (c->bad || n > CAPTURE_RECORD_MAX || sum != crc32c(crc32c(0, whole), body))
        return false;
    struct cur inside = cur_of(body);
    return read_body(&inside, out);
}

enum err capture_join(struct bytes *out, const struct bytes half[2], struct arena *arena)
{
    struct capture_record first_record[HALVES];
    bool has[HALVES];
    for (int i = 0; i < HALVES; i++) {
        struct cur c = cur_of(half[i]);
        has[i] = capture_head(&c) && capture_next(&c, &first_record[i]);
    }
    if (!has[0] && !has[1])
        return half[0].n || half[1].n ? ERR_INVALID : ERR_NOT_FOUND;
    int first = has[0] && has[1] ? first_record[0].wall.us > first_record[1].wall.us : !has[0];
    size_t n[HALVES] = { 0, 0 };
    for (int i = 0; i < HALVES; i++)
        n[i] = has[i] ? half[i].n - HEAD_BYTES : 0;
    u8 *p = arena_take(arena, n[0] + n[1] + 1, 1);
    if (n[first])
        memcpy(p, half[first].p + HEAD_BYTES, n[first]);
    if (n[1 - first])
        memcpy(p + n[first], half[1 - first].p + HEAD_BYTES, n[1 - first]);
    *out = (struct bytes){ p, n[0] + n[1] };
    return OK;
}
