// SPDX-License-Identifier: Apache-2.0
/*
 * Views, cursors, buffers, text, base64 and the words of errors. Memory stands in arena.c, maps in
 * map.c, time in time.c, the log in log.c.
 */
#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *err_words(enum err err)
{
    static const char *const words[] = {
#define ERR_WORDS(name, text) text,
        ERRS(ERR_WORDS)
#undef ERR_WORDS
    };
    static_assert(COUNT(words) == ERR_KINDS, "every error has words");
    return (unsigned)err < ERR_KINDS ? words[err] : "unknown error";
}

/* ------------------------------------------------------------------ views */

struct str str_z(const char *zero_ended)
{
    return zero_ended ? (struct str){ zero_ended, strlen(zero_ended) } : S("");
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq((struct str){ s.p, prefix.n }, prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq((struct str){ s.p + s.n - suffix.n, suffix.n }, suffix);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_cut(struct str *rest, char sep)
{
    const char *at   = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    struct str  head = *rest;
    if (!at) {
        *rest = (struct str){ rest->p + rest->n, 0 };
        return head;
    }
    head.n = (size_t)(at - rest->p);
    *rest  = (struct str){ at + 1, rest->n - head.n - 1 };
    return head;
}

ptrdiff_t str_find(struct str s, struct str what)
{
    for (size_t i = 0; what.n <= s.n && i <= s.n - what.n; i++)
        if (what.n == 0 || memcmp(s.p + i, what.p, what.n) == 0)
            return (ptrdiff_t)i;
    return -1;
}

bool str_to_i64(i64 *out, struct str s)
{
    bool   minus = s.n > 0 && s.p[0] == '-';
    size_t i     = minus || (s.n > 0 && s.p[0] == '+');
    u64    limit = (u64)INT64_MAX + minus, v = 0;
    if (i >= s.n)
        return false;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        u64 digit = (u64)(s.p[i] - '0');
        if (v > (limit - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = minus ? (i64)(0 - v) : (i64)v;
    return true;
}

bool str_to_double(double *out, struct str s)
{
    char   text[64];
    char  *end;
    size_t digits = 0;
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool digit = s.p[i] >= '0' && s.p[i] <= '9';
        digits += digit;
        if (!digit && !memchr("+-.eE", s.p[i], 5))
            return false;                       /* no hex floats, no NaN, no infinity, no locale */
    }
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    errno     = 0;
    *out      = strtod(text, &end);
    return digits > 0 && end == text + s.n && *out - *out == 0;
}

bool str_is_utf8(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        u8  c    = (u8)s.p[i++];
        int more = c < 0x80 ? 0 : c >= 0xC2 && c < 0xE0 ? 1 : (c & 0xF0) == 0xE0 ? 2 : c >= 0xF0 && c < 0xF5 ? 3 : -1;
        if (more < 0 || (size_t)more > s.n - i)
            return false;
        u8 next = more ? (u8)s.p[i] : 0x80;
        if ((c == 0xE0 && next < 0xA0) || (c == 0xED && next > 0x9F) || (c == 0xF0 && next < 0x90) ||
            (c == 0xF4 && next > 0x8F))
            return false;
        for (; more > 0; more--)
            if (((u8)s.p[i++] & 0xC0) != 0x80)
                return false;
    }
    return true;
}

bool bytes_eq(struct bytes a, struct bytes b)
{
    return str_eq(str_of(a), str_of(b));
}

/* ------------------------------------------------------------------ cursor */

struct bytes cur_take(struct cur *c, size_t n)
{
    if (c->bad || n > c->n) {
        c->bad = true;
        return (struct bytes){ c->p, 0 };
    }
    struct bytes taken = { c->p, n };
    c->p += n;
    c->n -= n;
    return taken;
}

struct bytes cur_rest(struct cur *c)
{
    return cur_take(c, c->bad ? 0 : c->n);
}

#define CUR_GET(name, type, size, load)                \
    type name(struct cur *c)                           \
    {                                                  \
        struct bytes b = cur_take(c, size);            \
        return b.n == (size) ? (type)(load) : (type)0; \
    }
CUR_GET(cur_u8, u8, 1, b.p[0])
CUR_GET(cur_u16le, u16, 2, get_u16le(b.p))
CUR_GET(cur_u24le, u32, 3, (u32)get_u16le(b.p) | (u32)b.p[2] << 16)
CUR_GET(cur_u32le, u32, 4, get_u32le(b.p))
CUR_GET(cur_u64le, u64, 8, get_u64le(b.p))
CUR_GET(cur_u16be, u16, 2, get_u16be(b.p))
CUR_GET(cur_u32be, u32, 4, get_u32be(b.p))
CUR_GET(cur_u64be, u64, 8, get_u64be(b.p))

/* ------------------------------------------------------------------ buffer */

static u8 *room_for(struct buf *b, size_t n)
{
    if (b->bad || n > b->room - b->n) {
        b->bad = true;
        return NULL;
    }
    b->n += n;
    return b->p + b->n - n;
}

#define BUF_PUT(name, type, size, store)      \
    void name(struct buf *b, type v)          \
    {                                         \
        u8 *p = room_for(b, size);            \
        if (p)                                \
            store;                            \
    }
BUF_PUT(buf_u8, u8, 1, p[0] = v)
BUF_PUT(buf_u16le, u16, 2, put_u16le(p, v))
BUF_PUT(buf_u24le, u32, 3, put_u24le(p, v))
BUF_PUT(buf_u32le, u32, 4, put_u32le(p, v))
BUF_PUT(buf_u64le, u64, 8, put_u64le(p, v))
BUF_PUT(buf_u16be, u16, 2, put_u16be(p, v))
BUF_PUT(buf_u32be, u32, 4, put_u32be(p, v))
BUF_PUT(buf_u64be, u64, 8, put_u64be(p, v))

void buf_put(struct buf *b, struct bytes v)
{
    u8 *p = room_for(b, v.n);
    if (p && v.n)
        memcpy(p, v.p, v.n);
}

/* ------------------------------------------------------------------ text */

struct text text_make(struct arena *a, size_t limit)
{
    return (struct text){ .arena = a, .limit = limit };
}

static char *grow_text(struct text *t, size_t more)
{
    if (t->bad || more > t->limit - t->n) {
        t->bad = true;
        return NULL;
    }
    if (more > t->room - t->n) {
        size_t room = t->room ? t->room * 2 : 256;
        while (room < t->n + more)
            room *= 2;
        char *p = arena_take(t->arena, room, 1);
        if (t->n)
            memcpy(p, t->p, t->n);
        t->p    = p;
        t->room = room;
    }
    t->n += more;
    return t->p + t->n - more;
}

void text_put(struct text *t, struct str s)
{
    char *p = s.n ? grow_text(t, s.n) : NULL;
    if (p)
        memcpy(p, s.p, s.n);
}

void text_char(struct text *t, char c)
{
    if (!t->bad && t->n < MIN(t->room, t->limit))
        t->p[t->n++] = c;
    else
        text_put(t, (struct str){ &c, 1 });
}

void text_u64(struct text *t, u64 v)
{
    char   digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    text_put(t, (struct str){ digits + at, sizeof digits - at });
}

void text_fmt(struct text *t, const char *fmt, ...)
{
    char    small[512];
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, fmt, args);
    va_end(args);
    assert(n >= 0);
    if ((size_t)n < sizeof small) {
        text_put(t, (struct str){ small, (size_t)n });
    } else {
        char *p = arena_take(t->arena, (size_t)n + 1, 1);
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
        text_put(t, (struct str){ p, (size_t)n });
    }
    va_end(again);
}

static const char hex_digits[] = "0123456789abcdef";

void text_hex(struct text *t, struct bytes b)
{
    for (size_t i = 0; i < b.n; i++) {
        char two[2] = { hex_digits[b.p[i] >> 4], hex_digits[b.p[i] & 15] };
        text_put(t, (struct str){ two, 2 });
    }
}

struct str hex_str(struct arena *a, struct bytes b)
{
    char *p = arena_take(a, b.n * 2 + 1, 1);
    for (size_t i = 0; i < b.n; i++) {
        p[2 * i]     = hex_digits[b.p[i] >> 4];
        p[2 * i + 1] = hex_digits[b.p[i] & 15];
    }
    return (struct str){ p, b.n * 2 };
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_read(u8 *out, size_t room, size_t *n, struct str hex)
{
    *n = hex.n / 2;
    if (hex.n % 2 || *n > room)
        return false;
    for (size_t i = 0; i < *n; i++) {
        int high = hex_value(hex.p[2 * i]), low = hex_value(hex.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (u8)(high << 4 | low);
    }
    return true;
}

/* ------------------------------------------------------------------ base64 */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool base64_read(u8 *out, size_t room, size_t *n, struct str in)
{
    u32    bits = 0;
    size_t i = 0, digits = 0;
    *n = 0;
    for (; i < in.n && in.p[i] != '='; i++) {
        int v = base64_value(in.p[i]);
        if (v < 0) {
            if (in.p[i] == '\r' || in.p[i] == '\n')
                continue;
            return false;
        }
        bits = bits << 6 | (u32)v;
        if (++digits % 4 != 1) {                /* every digit but the first of four completes a byte */
            if (*n == room)
                return false;
            out[(*n)++] = (u8)(bits >> (digits % 4 == 2 ? 4 : digits % 4 == 3 ? 2 : 0));
        }
    }
    for (; i < in.n; i++)
        if (in.p[i] != '=' && in.p[i] != '\r' && in.p[i] != '\n')
            return false;
    return digits % 4 != 1;
}

struct str base64_str(struct arena *a, struct bytes b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = (b.n + 2) / 3 * 4;
    char  *p = arena_take(a, n + 1, 1);
    for (size_t i = 0, o = 0; i < b.n; i += 3, o += 4) {
        size_t left = b.n - i;
        u32    v    = (u32)b.p[i] << 16 | (u32)(left > 1 ? b.p[i + 1] : 0) << 8 | (left > 2 ? b.p[i + 2] : 0);
        p[o]        = digits[v >> 18];
        p[o + 1]    = digits[v >> 12 & 63];
        p[o + 2]    = left > 1 ? digits[v >> 6 & 63] : '=';
        p[o + 3]    = left > 2 ? digits[v & 63] : '=';
    }
    return (struct str){ p, n };
}
