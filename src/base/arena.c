// SPDX-License-Identifier: Apache-2.0
/* The only file that asks the C library for memory. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *next;
    size_t              room;
    _Alignas(16) u8     bytes[];
};

static struct arena_block *block_make(size_t room)
{
    struct arena_block *b = malloc(sizeof *b + room);
    if (!b)
        die("out of memory: a block of %zu bytes", room);
    b->next = NULL;
    b->room = room;
    return b;
}

struct arena arena_make(size_t first_block_bytes)
{
    struct arena_block *b = block_make(MAX(first_block_bytes, (size_t)1024));
    return (struct arena){ b, b, 0 };
}

void arena_free(struct arena *a)
{
    for (struct arena_block *b = a->first, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){ NULL, NULL, 0 };
}

void arena_reset(struct arena *a)
{
    a->block = a->first;
    a->used  = 0;
}

size_t arena_bytes(const struct arena *a)
{
    size_t n = 0;
    for (struct arena_block *b = a->first; b; b = b->next)
        n += b->room;
    return n;
}

void *arena_take(struct arena *a, size_t n, size_t align)
{
    assert(a->block && align <= 16);
    for (;;) {
        size_t at = (a->used + align - 1) & ~(align - 1);
        if (at <= a->block->room && n <= a->block->room - at) {
            a->used = at + n;
            return memset(a->block->bytes + at, 0, n);
        }
        /* The next block of an earlier, larger event is used again where it is large enough. */
        if (!a->block->next || a->block->next->room < n) {
            struct arena_block *b = block_make(MAX(a->block->room * 2, n));
            b->next        = a->block->next;
            a->block->next = b;
        }
        a->block = a->block->next;
        a->used  = 0;
    }
}

void *boot_take(size_t n)
{
    void *p = calloc(1, MAX(n, (size_t)1));
    if (!p)
        die("out of memory: %zu bytes", n);
    return p;
}

void *boot_grow(void *old, size_t old_bytes, size_t new_bytes)
{
    u8 *p = realloc(old, MAX(new_bytes, (size_t)1));
    if (!p)
        die("out of memory: %zu bytes", new_bytes);
    if (new_bytes > old_bytes)
        memset(p + old_bytes, 0, new_bytes - old_bytes);
    return p;
}

void boot_release(void *p)
{
    free(p);
}

struct str str_copy(struct arena *a, struct str s)
{
    char *p = arena_take(a, s.n + 1, 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    return (struct str){ p, s.n };
}

struct bytes bytes_copy(struct arena *a, struct bytes b)
{
    return bytes_of(str_copy(a, str_of(b)));
}

struct str str_fmt(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    size_t  left = a->block->room - a->used;         /* mostly it fits, and is formatted once */
    char   *p = (char *)a->block->bytes + a->used;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(p, left, fmt, args);
    va_end(args);
    assert(n >= 0);
    if ((size_t)n < left) {
        a->used += (size_t)n + 1;
    } else {
        p = arena_take(a, (size_t)n + 1, 1);
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return (struct str){ p, (size_t)n };
}
