// SPDX-License-Identifier: Apache-2.0
/* Open addressing with linear probing; at most 3/4 full counting graves, so a probe stays short. */
#include "base/base.h"

#define EMPTY MAP_NONE
#define GRAVE (MAP_NONE - 1)

u64 hash_u64(u64 x)
{
    x ^= x >> 32;                                /* multiply-xorshift: every input bit reaches every output bit */
    x *= 0xd6e8feb86659fd93ULL;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ULL;
    return x ^ x >> 32;
}

u64 hash_bytes(struct bytes b)
{
    u64 h = hash_u64(b.n + 1);
    for (; b.n >= 8; b.p += 8, b.n -= 8)
        h = hash_u64(h ^ get_u64le(b.p));
    for (size_t i = 0; i < b.n; i++)
        h = hash_u64(h ^ b.p[i]);
    return h;
}

static void place(struct map *m, u64 key, u32 value)
{
    u32 at = (u32)hash_u64(key) & (m->room - 1);
    while (m->values[at] < GRAVE)
        at = (at + 1) & (m->room - 1);
    m->dead -= m->values[at] == GRAVE;
    m->keys[at]   = key;
    m->values[at] = value;
    m->used++;
}

static void rebuild(struct map *m, u32 room)
{
    struct map old = *m;
    m->keys   = boot_take(sizeof(u64) * room);
    m->values = boot_take(sizeof(u32) * room);
    m->room   = room;
    m->used = m->dead = 0;
    memset(m->values, 0xFF, sizeof(u32) * room);
    for (u32 i = 0; i < old.room; i++)
        if (old.values[i] < GRAVE)
            place(m, old.keys[i], old.values[i]);
    boot_release(old.keys);
    boot_release(old.values);
}

void map_put(struct map *m, u64 key, u32 value)
{
    assert(value < GRAVE);
    if ((u64)(m->used + m->dead + 1) * 4 > (u64)m->room * 3)
        rebuild(m, m->room == 0 ? 64 : m->used * 2 > m->room ? m->room * 2 : m->room);
    place(m, key, value);
}

void map_reserve(struct map *m, u32 n)
{
    u32 room = MAX(m->room, 64u);
    while (((u64)m->used + m->dead + n) * 4 > (u64)room * 3)
        room *= 2;
    if (room > m->room)
        rebuild(m, room);
}

struct map_walk map_walk(const struct map *m, u64 key)
{
    return (struct map_walk){ key, m->room ? (u32)hash_u64(key) & (m->room - 1) : 0 };
}

u32 map_next(const struct map *m, struct map_walk *w)
{
    if (m->room == 0)
        return MAP_NONE;
    while (m->values[w->at] != EMPTY) {
        u32 at = w->at;
        w->at  = (at + 1) & (m->room - 1);
        if (m->values[at] != GRAVE && m->keys[at] == w->key)
            return m->values[at];
    }
    return MAP_NONE;
}

u32 map_get(const struct map *m, u64 key)
{
    struct map_walk w = map_walk(m, key);
    return map_next(m, &w);
}

bool map_remove(struct map *m, u64 key, u32 value)
{
    u32 at = m->room ? (u32)hash_u64(key) & (m->room - 1) : 0;
    for (; m->room && m->values[at] != EMPTY; at = (at + 1) & (m->room - 1)) {
        if (m->values[at] == value && m->keys[at] == key) {
            m->values[at] = GRAVE;
            m->used--;
            m->dead++;
            return true;
        }
    }
    return false;
}

size_t map_bytes(const struct map *m)
{
    return (size_t)m->room * (sizeof(u64) + sizeof(u32));
}
