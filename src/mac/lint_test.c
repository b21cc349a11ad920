// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "mac/lint.h"

static const char *lint(const char *hex)
{
    u8 key[16];
    size_t n;
    TRUE(hex_read(key, 16, &n, str_z(hex)) && n == 16);
    const struct lint *found = lint_key(key, 0x70B3D57ED0001234, 0x0102030405060708);
    TRUE(!found || str_is_utf8(str_z(found->ja)));
    return found ? found->en : NULL;
}

TEST(keys_that_are_no_secrets_are_named)
{
    static const struct { const char *hex, *words; } rows[] = {
        { "00000000000000000000000000000000", "one byte repeated" },
        { "ffffffffffffffffffffffffffffffff", "one byte repeated" },
        { "0102030405060708090a0b0c0d0e0f10", "counted on" },
        { "0f0e0d0c0b0a09080706050403020100", "counted on" },
        { "2b7e151628aed2a6abf7158809cf4f3c", "printed" },
        { "00112233445566778899aabbccddeeff", "printed" },
        { "deadbeefcafebabedeadbeefcafebabe", "repeats" },
        { "deadbeefdeadbeef0badf00d0badf00d", "repeats" },
        { "70b3d57ed0001234a1b2c3d4e5f60718", "EUI" },
        { "a1b2c3d4e5f607183412 00d07ed5b370", "EUI" },
        { "a1b2c3d4e5f60718 0102030405060708", "EUI" },
        { "00000000000000000000000000000001", "too few" },
        { "00010001000100020003000000010005", "too few" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char digits[33];
        size_t n = 0;
        for (const char *p = rows[i].hex; *p && n < 32; p++)
            if (*p != ' ')
                digits[n++] = *p;
        digits[n] = 0;
        const char *words = lint(digits);
        if (!words || str_find(str_z(words), str_z(rows[i].words)) < 0)
            test_fail(__FILE__, __LINE__, "%s: %s", rows[i].hex, words ? words : "nothing is said");
    }
}

TEST(a_random_key_is_not_blamed)
{
    u64 chance = 7;
    for (int i = 0; i < 20000; i++) {
        u8 key[16];
        chance = hash_u64(chance);
        put_u64le(key, chance);
        chance = hash_u64(chance);
        put_u64le(key + 8, chance);
        TRUE(lint_key(key, 0x70B3D57ED0001234, 0x0102030405060708) == NULL);
    }
}
