/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_BASE_H
#define HOTARU_BASE_H

/*
 * base: bytes, text, arenas, maps and two clocks. Knows nothing of cities.
 *
 * Views (`struct bytes`, `struct str`) borrow: they live as long as what they point into. A
 * function that returns memory takes the arena it comes from, and there are three lifetimes:
 * boot (never freed), pool (room fixed at start), event (forgotten when the event is over).
 */

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t  u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t   i8;
typedef int16_t  i16;
typedef int32_t  i32;
typedef int64_t  i64;

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* What can go wrong, as far as a caller can act on it. Refusals of the outside world are enum drop. */
#define ERRS(X)                                                     \
    X(OK, "fine")                                                   \
    X(ERR_INVALID, "not well formed")                               \
    X(ERR_NOT_FOUND, "there is no such thing")                      \
    X(ERR_CONFLICT, "it exists already")                            \
    X(ERR_TOO_LARGE, "larger than its limit")                       \
    X(ERR_DENIED, "not allowed")                                    \
    X(ERR_FULL, "no room: the store or a pool is full")             \
    X(ERR_BUSY, "busy; the same call may succeed later")            \
    X(ERR_IO, "the disk, the database or the network failed")       \
    X(ERR_DAMAGED, "the store is damaged")                          \
    X(ERR_UNSUPPORTED, "known, but not done here")

enum err {
#define ERR_ENUM(name, words) name,
    ERRS(ERR_ENUM)
#undef ERR_ENUM
    ERR_KINDS
};

/* The words for an error, for people. Never NULL. */
const char *err_words(enum err err);

/* ------------------------------------------------------------------ views */

struct bytes { const u8 *p; size_t n; };
struct str   { const char *p; size_t n; };

/* A string literal as a view. */
#define S(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
/* For printf("%.*s", STR(s)). */
#define STR(s) (int)(s).n, (s).p

static inline struct bytes bytes_of(struct str s) { return (struct bytes){ (const u8 *)s.p, s.n }; }
static inline struct str   str_of(struct bytes b) { return (struct str){ (const char *)b.p, b.n }; }
/* A zero-ended string from outside C's rules (argv, getenv, a library); NULL becomes empty. */
struct str str_z(const char *zero_ended);
bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);          /* ASCII letters only */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s);                       /* without ASCII blanks at both ends */
/* Cuts *rest at the first `sep`: returns what stood before it, *rest becomes what follows. */
struct str str_cut(struct str *rest, char sep);
/* Where `what` begins in `s`, or -1. */
ptrdiff_t str_find(struct str s, struct str what);
bool str_to_i64(i64 *out, struct str s);                 /* whole string, decimal, no overflow */
bool str_to_double(double *out, struct str s);           /* whole string, JSON number grammar plus a sign */
bool str_is_utf8(struct str s);                          /* no overlong forms, no surrogates */

bool bytes_eq(struct bytes a, struct bytes b);

/* Big-endian and little-endian loads and stores; the caller owns the length. */
static inline u16 get_u16be(const u8 *p) { return (u16)(p[0] << 8 | p[1]); }
static inline u32 get_u32be(const u8 *p)
{
    return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}
static inline u64 get_u64be(const u8 *p) { return (u64)get_u32be(p) << 32 | get_u32be(p + 4); }
static inline u16 get_u16le(const u8 *p) { return (u16)(p[1] << 8 | p[0]); }
static inline u32 get_u32le(const u8 *p)
{
    return (u32)p[3] << 24 | (u32)p[2] << 16 | (u32)p[1] << 8 | p[0];
}
static inline u64 get_u64le(const u8 *p) { return (u64)get_u32le(p + 4) << 32 | get_u32le(p); }
static inline void put_u16be(u8 *p, u16 v) { p[0] = (u8)(v >> 8); p[1] = (u8)v; }
static inline void put_u32be(u8 *p, u32 v) { put_u16be(p, (u16)(v >> 16)); put_u16be(p + 2, (u16)v); }
static inline void put_u64be(u8 *p, u64 v) { put_u32be(p, (u32)(v >> 32)); put_u32be(p + 4, (u32)v); }
static inline void put_u16le(u8 *p, u16 v) { p[0] = (u8)v; p[1] = (u8)(v >> 8); }
static inline void put_u24le(u8 *p, u32 v) { p[0] = (u8)v; p[1] = (u8)(v >> 8); p[2] = (u8)(v >> 16); }
static inline void put_u32le(u8 *p, u32 v) { put_u16le(p, (u16)v); put_u16le(p + 2, (u16)(v >> 16)); }
static inline void put_u64le(u8 *p, u64 v) { put_u32le(p, (u32)v); put_u32le(p + 4, (u32)(v >> 32)); }

/* ------------------------------------------------------------------ arena */

/*
 * Memory by lifetime. A copy of the struct is a mark: what is taken through the copy is forgotten
 * when the copy is (the blocks stay with the original, so a copy must not outlive it and only one
 * of the two may be taken from at a time).
 * Out of memory: a limit was set wrong; the program says so and stops.
 */
struct arena_block;
struct arena {
    struct arena_block *first, *block;   /* the chain, and where we take from now */
    size_t used;                         /* bytes of `block` already given away */
};

struct arena arena_make(size_t first_block_bytes);
void  arena_free(struct arena *a);
void  arena_reset(struct arena *a);                       /* forget all, keep the blocks */
size_t arena_bytes(const struct arena *a);                /* bytes the chain holds, for metrics */
void *arena_take(struct arena *a, size_t n, size_t align);/* zeroed; never NULL */
#define arena_new(a, type)           ((type *)arena_take((a), sizeof(type), alignof(type)))
#define arena_array(a, type, count)  ((type *)arena_take((a), sizeof(type) * (size_t)(count), alignof(type)))

/* The boot lifetime: zeroed, never freed. realloc-like growth for pools that follow the data. */
void *boot_take(size_t n);
void *boot_grow(void *old, size_t old_bytes, size_t new_bytes);   /* new room is zeroed */
void  boot_release(void *p);                                      /* gives a grown pool back */

struct str   str_copy(struct arena *a, struct str s);     /* also zero-ended one byte past its end */
struct bytes bytes_copy(struct arena *a, struct bytes b);
struct str   str_fmt(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct str   hex_str(struct arena *a, struct bytes b);    /* lower case */
/* Reads hex digits (any case) into `out`; false when odd, foreign or longer than `room`. */
bool hex_read(u8 *out, size_t room, size_t *n, struct str hex);

/* ------------------------------------------------------------------ cursor: reads, and remembers failure */

/* After a short read every later read gives zero and `bad` stays: one check at the end covers all. */
struct cur { const u8 *p; size_t n; bool bad; };

static inline struct cur cur_of(struct bytes b) { return (struct cur){ b.p, b.n, false }; }
u8   cur_u8(struct cur *c);
u16  cur_u16le(struct cur *c);
u32  cur_u24le(struct cur *c);
u32  cur_u32le(struct cur *c);
u64  cur_u64le(struct cur *c);
u16  cur_u16be(struct cur *c);
u32  cur_u32be(struct cur *c);
u64  cur_u64be(struct cur *c);
struct bytes cur_take(struct cur *c, size_t n);
struct bytes cur_rest(struct cur *c);
static inline size_t cur_left(const struct cur *c) { return c->bad ? 0 : c->n; }

/* ------------------------------------------------------------------ buffer: writes, and remembers failure */

/* A fixed room; writing past it sets `bad` and writes nothing more. */
struct buf { u8 *p; size_t n, room; bool bad; };

#define BUF(array) ((struct buf){ (array), 0, sizeof(array), false })
static inline struct buf buf_of(u8 *p, size_t room) { return (struct buf){ p, 0, room, false }; }
static inline struct bytes buf_bytes(const struct buf *b) { return (struct bytes){ b->p, b->n }; }
void buf_u8(struct buf *b, u8 v);
void buf_u16le(struct buf *b, u16 v);
void buf_u24le(struct buf *b, u32 v);
void buf_u32le(struct buf *b, u32 v);
void buf_u64le(struct buf *b, u64 v);
void buf_u16be(struct buf *b, u16 v);
void buf_u32be(struct buf *b, u32 v);
void buf_u64be(struct buf *b, u64 v);
void buf_put(struct buf *b, struct bytes v);

/* ------------------------------------------------------------------ text: grows in an arena */

/* Output text. Grows by doubling inside its arena up to `limit` bytes, then remembers `bad`. */
struct text { struct arena *arena; char *p; size_t n, room, limit; bool bad; };

struct text text_make(struct arena *a, size_t limit);
void text_put(struct text *t, struct str s);
void text_char(struct text *t, char c);
void text_u64(struct text *t, u64 v);
void text_fmt(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_hex(struct text *t, struct bytes b);
static inline struct str text_str(const struct text *t) { return (struct str){ t->p, t->n }; }

/* ------------------------------------------------------------------ base64 (RFC 4648) */

/*
 * Reads base64 as gateways write it: padded or not, standard or URL-safe alphabet or both in one
 * string, CR/LF anywhere. False on a foreign character, a lone last digit, or more than `room` bytes.
 */
bool base64_read(u8 *out, size_t room, size_t *n, struct str in);
struct str base64_str(struct arena *a, struct bytes b);   /* standard alphabet, padded */

/* ------------------------------------------------------------------ checksums */

/* CRC-32C of `b` behind what `crc` stands for; 0 begins. crc32c_plain: without the processor's help. */
u32 crc32c(u32 crc, struct bytes b);
u32 crc32c_plain(u32 crc, struct bytes b);

/* ------------------------------------------------------------------ maps */

u64 hash_u64(u64 x);
u64 hash_bytes(struct bytes b);

/*
 * u64 key -> u32 value (an index into a pool); open addressing, grows by doubling. One key may
 * stand several times (a DevAddr shared by sessions): map_next walks them.
 */
struct map { u64 *keys; u32 *values; u32 room, used, dead; };
#define MAP_NONE UINT32_MAX
void map_put(struct map *m, u64 key, u32 value);          /* value must not be MAP_NONE - 1 .. MAP_NONE */
void map_reserve(struct map *m, u32 n);                   /* so many more are put without growing in between */
u32  map_get(const struct map *m, u64 key);               /* the first, or MAP_NONE */
bool map_remove(struct map *m, u64 key, u32 value);       /* that pair */
struct map_walk { u64 key; u32 at; };
struct map_walk map_walk(const struct map *m, u64 key);
u32  map_next(const struct map *m, struct map_walk *w);   /* the next value of the key, or MAP_NONE */
size_t map_bytes(const struct map *m);

/* ------------------------------------------------------------------ time */

struct mono { i64 us; };        /* since boot; never jumps: windows, timeouts */
struct wall { i64 us; };        /* since 1970 UTC; NTP may move it: what people read */

static inline bool mono_before(struct mono a, struct mono b) { return a.us < b.us; }
static inline struct mono mono_after(struct mono a, i64 us) { return (struct mono){ a.us + us }; }
static inline i64 mono_since(struct mono now, struct mono then) { return now.us - then.us; }

#define US_PER_MS 1000LL
#define US_PER_S  1000000LL

/* "2026-02-10T07:00:00.123Z" (24 characters). */
struct str wall_str(struct arena *a, struct wall w);
/* ISO 8601 / RFC 3339: date, time, optional fraction, Z or offset. False if not one. */
bool wall_read(struct wall *out, struct str s);

/* ------------------------------------------------------------------ log */

/* One line per outcome on stderr: `word key=value …`. No payloads, keys or positions of people. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_NOTHING };
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_set_level(enum log_level least);
/* A broken promise of ours, or a limit set wrong: says why and stops with exit code 70. */
_Noreturn void die(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
