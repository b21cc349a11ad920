// SPDX-License-Identifier: Apache-2.0
/* Application layer packages: the same walk as MAC commands over other lists, and the fragments of
 * TS004. */
#include "lora/inside.h"

#define ROW(package, id, way, size, versions, name, tag) \
    { PACKAGE_##package, versions, COMMAND_KIND(id, way, size, 0, name, tag) },
#define EMPTY_ROW(package, id, way, size, versions, name) \
    { PACKAGE_##package, versions, EMPTY_KIND(id, way, size, 0, name) },

static const struct { u8 package, versions; struct lora_command_kind kind; } rows[] = {
    LORA_PACKAGE_COMMANDS(ROW, EMPTY_ROW)
};

const struct lora_command_kind *lora_package_kind(enum lora_package package, u8 version,
                                                  enum lora_dir dir, u8 cid)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].package == package && rows[i].kind.cid == cid && rows[i].kind.dir == dir
            && version >= 1 && version <= 2 && rows[i].versions >> (version - 1) & 1)
            return &rows[i].kind;
    return NULL;
}

bool lora_package_next(struct lora_command *out, struct cur *c, enum lora_package package,
                       u8 version, enum lora_dir dir)
{
    if (cur_left(c) == 0)
        return false;
    const struct lora_command_kind *kind = lora_package_kind(package, version, dir, c->p[0]);
    return command_next(out, c, kind, LORA_PAYLOAD_MAX);
}

/* ------------------------------------------------------------------ fragments */

/* A 23-bit shift register (TS004 §8). */
static u32 prbs23(u32 x) { return x >> 1 | ((x ^ x >> 5) & 1) << 22; }

static void add_fragment(u8 *sum, struct bytes data, size_t size, size_t index)
{
    size_t at = index * size;
    for (size_t i = 0; i < size && at + i < data.n; i++)
        sum[i] ^= data.p[at + i];
}

void lora_fragment(u8 *out, struct bytes data, size_t size, u16 n, u8 version)
{
    assert(size > 0 && n > 0);
    u32 count = (u32)((data.n + size - 1) / size);
    assert(count > 0 && count <= LORA_FRAGMENTS_MAX);
    memset(out, 0, size);
    if (n <= count) {
        add_fragment(out, data, size, n - 1u);
        return;
    }
    u64 drawn[LORA_FRAGMENTS_MAX / 64 + 1] = { 0 };
    u32 power_of_two = (count & (count - 1)) == 0;
    u32 x = 1 + 1001 * (n - count);
    for (u32 coefficients = 0; coefficients < count / 2;) {
        u32 r;
        do {
            x = prbs23(x);
            r = x % (count + power_of_two);
        } while (r >= count);
        bool again = drawn[r / 64] >> r % 64 & 1;
        drawn[r / 64] |= 1ull << r % 64;
        coefficients += version == 1 || !again;
        if (!again)
            add_fragment(out, data, size, r);
    }
}
