// SPDX-License-Identifier: Apache-2.0
#include "mac/lint.h"

#define VALUES_LEAST 7                /* of 16 random bytes fewer than 7 differ once in 10^8 keys */

/* Keys that stand in standards, manuals and examples, so that everybody has them. */
static const u8 published[][16] = {
    { 0x2B, 0x7E, 0x15, 0x16, 0x28, 0xAE, 0xD2, 0xA6, 0xAB, 0xF7, 0x15, 0x88, 0x09, 0xCF, 0x4F, 0x3C },   /* FIPS 197, device stacks */
    { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF },   /* RFC 3394 */
    { 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10 },
    { 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF },
    { 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00 },
    { 0x98, 0x92, 0x9B, 0x92, 0xC4, 0x9E, 0xDB, 0xA9, 0x67, 0x6D, 0x64, 0x6D, 0x3B, 0x61, 0x24, 0x56 },   /* test vectors */
    { 0x44, 0x02, 0x42, 0x41, 0xED, 0x4C, 0xE9, 0xA6, 0x8C, 0x6A, 0x8B, 0xC0, 0x55, 0x23, 0x3F, 0xD3 },
    { 0xEC, 0x92, 0x58, 0x02, 0xAE, 0x43, 0x0C, 0xA7, 0x7F, 0xD3, 0xDD, 0x73, 0xCB, 0x2C, 0xC5, 0x88 },
};

static bool is_published(const u8 key[16])
{
    for (size_t i = 0; i < COUNT(published); i++)
        if (memcmp(key, published[i], 16) == 0)
            return true;
    return false;
}

/* Each byte differs from the one before by the same: counted up, counted down, all alike. */
static bool is_counted(const u8 key[16])
{
    for (int i = 2; i < 16; i++)
        if ((u8)(key[i] - key[i - 1]) != (u8)(key[1] - key[0]))
            return false;
    return true;
}

static bool is_repeated(const u8 key[16])
{
    return memcmp(key, key + 8, 8) == 0 || (memcmp(key, key + 4, 4) == 0 && memcmp(key + 8, key + 12, 4) == 0);
}

static int values(const u8 key[16])
{
    bool seen[256] = { false };
    int  n = 0;
    for (int i = 0; i < 16; i++) {
        n += !seen[key[i]];
        seen[key[i]] = true;
    }
    return n;
}

/* In either byte order, in either half. */
static bool holds(const u8 key[16], u64 eui)
{
    u8 big[8], little[8];
    put_u64be(big, eui);
    put_u64le(little, eui);
    return eui != 0 && (memcmp(key, big, 8) == 0 || memcmp(key + 8, big, 8) == 0 || memcmp(key, little, 8) == 0 ||
                        memcmp(key + 8, little, 8) == 0);
}

const struct lint *lint_key(const u8 key[16], u64 dev_eui, u64 join_eui)
{
    static const struct lint is_known   = { "規格書や取扱説明書に載っている鍵です", "the key is printed in standards and manuals" },
                             is_counting = { "同じバイトの繰り返しか、順に増減する鍵です", "the key is one byte repeated or counted on" },
                             repeats    = { "同じ並びを繰り返す鍵です", "the key repeats itself" },
                             holds_eui  = { "電波で平文で送られる EUI を含む鍵です", "the key holds the device's own EUI, which is sent in clear" },
                             few        = { "異なるバイトが少なすぎる鍵です", "the key is made of too few different bytes" };
    if (is_published(key))
        return &is_known;
    if (is_counted(key))
        return &is_counting;
    if (is_repeated(key))
        return &repeats;
    if (holds(key, dev_eui) || holds(key, join_eui))
        return &holds_eui;
    return values(key) < VALUES_LEAST ? &few : NULL;
}
