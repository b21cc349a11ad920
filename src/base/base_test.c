// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"

TEST(a_cursor_remembers_that_it_ran_out)
{
    struct cur c = cur_of((struct bytes){ (const u8 *)"\x01\x02\x03", 3 });
    EQ(cur_u16le(&c), 0x0201);
    EQ(cur_u32le(&c), 0);
    TRUE(c.bad);
    EQ(cur_u8(&c), 0);                           /* also what would still have fitted */
    EQ(cur_left(&c), 0);
}

TEST(a_buffer_never_writes_past_its_room)
{
    u8 room[3] = { 0 };
    struct buf b = BUF(room);
    buf_u16be(&b, 0x0102);
    buf_u16be(&b, 0x0304);
    TRUE(b.bad);
    EQ(b.n, 2);
    EQ(room[2], 0);
}

static bool base64_is(struct str in, struct str out)
{
    u8 room[64];
    size_t n;
    return base64_read(room, sizeof room, &n, in) && str_eq((struct str){ (char *)room, n }, out);
}

TEST(base64_is_read_as_gateways_write_it)
{
    TRUE(base64_is(S("Zm9v"), S("foo")));
    TRUE(base64_is(S("Zm9vYg=="), S("foob")));
    TRUE(base64_is(S("Zm9vYg"), S("foob")));           /* unpadded */
    TRUE(base64_is(S("Zm9v\r\nYg==\n"), S("foob")));
    TRUE(base64_is(S("-_+/"), S("\xfb\xff\xbf")));     /* both alphabets in one string */
    TRUE(!base64_is(S("Zm9vY"), S("foo")));            /* a lone digit carries no byte */
    TRUE(!base64_is(S("Zm 9v"), S("foo")));
    TRUE(!base64_is(S("Zg==Zg=="), S("ff")));
    STR_EQ(base64_str(test_arena(), bytes_of(S("foob"))), S("Zm9vYg=="));
    STR_EQ(base64_str(test_arena(), bytes_of(S("fo"))), S("Zm8="));
}

TEST(numbers_are_read_whole_or_not_at_all)
{
    i64 v;
    double d;
    TRUE(str_to_i64(&v, S("-9223372036854775808")) && v == INT64_MIN);
    TRUE(str_to_i64(&v, S("9223372036854775807")) && v == INT64_MAX);
    TRUE(!str_to_i64(&v, S("9223372036854775808")));
    TRUE(!str_to_i64(&v, S("")) && !str_to_i64(&v, S("-")) && !str_to_i64(&v, S("1 ")));
    TRUE(str_to_double(&d, S("-1.5e3")) && d == -1500);
    TRUE(!str_to_double(&d, S("nan")) && !str_to_double(&d, S("0x1p3")) && !str_to_double(&d, S("1e999")));
}

TEST(utf8_is_strict)
{
    TRUE(str_is_utf8(S("富山市 €")));
    TRUE(!str_is_utf8(S("\xc0\x80")));                 /* overlong */
    TRUE(!str_is_utf8(S("\xed\xa0\x80")));             /* surrogate */
    TRUE(!str_is_utf8(S("\xf4\x90\x80\x80")));         /* past U+10FFFF */
    TRUE(!str_is_utf8(S("\xe5\xaf")));                 /* cut */
}

TEST(times_are_read_and_written_alike)
{
    struct wall w;
    TRUE(wall_read(&w, S("2026-02-10T07:00:00.123Z")));
    STR_EQ(wall_str(test_arena(), w), S("2026-02-10T07:00:00.123Z"));
    TRUE(wall_read(&w, S("2026-02-10T16:00:00+09:00")));
    STR_EQ(wall_str(test_arena(), w), S("2026-02-10T07:00:00.000Z"));
    TRUE(wall_read(&w, S("1969-12-31T23:59:59.999Z")) && w.us == -1000);
    STR_EQ(wall_str(test_arena(), w), S("1969-12-31T23:59:59.999Z"));
    TRUE(wall_read(&w, S("2024-02-29T00:00:00Z")));
    TRUE(!wall_read(&w, S("2023-02-29T00:00:00Z")));
    TRUE(!wall_read(&w, S("2026-02-10T07:00:00")));    /* no zone: whose seven o'clock? */
    TRUE(!wall_read(&w, S("2026-13-10T07:00:00Z")));
    TRUE(!wall_read(&w, S("2026-02-10T07:00:00.Z")));
}

TEST(a_map_keeps_every_pair_of_a_shared_key)
{
    struct map m = { 0 };
    for (u32 i = 0; i < 1000; i++)
        map_put(&m, i % 10, i);
    int seen = 0;
    struct map_walk w = map_walk(&m, 7);
    for (u32 v; (v = map_next(&m, &w)) != MAP_NONE; seen++)
        EQ(v % 10, 7);
    EQ(seen, 100);
    TRUE(map_remove(&m, 7, 17));
    TRUE(!map_remove(&m, 7, 17));
    EQ(map_get(&m, 11), MAP_NONE);
    for (int round = 0; round < 100000; round++) {     /* graves do not fill it up */
        map_put(&m, 99, 5);
        TRUE(map_remove(&m, 99, 5));
    }
    TRUE(m.room <= 4096);
    boot_release(m.keys);
    boot_release(m.values);
}

TEST(an_arena_forgets_and_gives_zeroed_room_again)
{
    struct arena a = arena_make(1024);
    for (int round = 0; round < 3; round++) {
        u64 *p = arena_array(&a, u64, 1000);
        for (int i = 0; i < 1000; i++) {
            EQ(p[i], 0);
            p[i] = UINT64_MAX;
        }
        arena_reset(&a);
    }
    TRUE(arena_bytes(&a) < 20000);
    arena_free(&a);
}

/* RFC 3720, appendix B.4: the register's bytes as they are sent, here as a number. */
TEST(a_map_that_was_told_how_many_come_grows_no_more)
{
    struct map m = { 0 };
    for (u32 i = 0; i < 50; i++)
        map_put(&m, i, i);
    map_reserve(&m, 5000);
    u32 room = m.room;
    map_reserve(&m, 1);                                /* it has that room already */
    for (u32 i = 50; i < 5050; i++)
        map_put(&m, i, i);
    EQ(m.room, room);
    for (u32 i = 0; i < 5050; i++)
        EQ(map_get(&m, i), i);
    boot_release(m.keys), boot_release(m.values);
}

TEST(crc32c_is_that_of_the_standard_by_either_way)
{
    u8 block[32], up[32];
    memset(block, 0, sizeof block);
    EQ(crc32c(0, (struct bytes){ block, 32 }), 0x8A9136AA);
    memset(block, 0xFF, sizeof block);
    EQ(crc32c(0, (struct bytes){ block, 32 }), 0x62A8AB43);
    for (u8 i = 0; i < 32; i++)
        up[i] = i;
    EQ(crc32c(0, (struct bytes){ up, 32 }), 0x46DD794E);
    EQ(crc32c(0, bytes_of(S("123456789"))), 0xE3069283);
    EQ(crc32c(0, bytes_of(S(""))), 0);
    for (size_t cut = 0; cut <= 32; cut++) {
        struct bytes head = { up, cut }, tail = { up + cut, 32 - cut };
        EQ(crc32c(crc32c(0, head), tail), 0x46DD794E);
        EQ(crc32c_plain(crc32c_plain(0, head), tail), 0x46DD794E);
    }
}
