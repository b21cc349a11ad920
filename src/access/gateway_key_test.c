// SPDX-License-Identifier: Apache-2.0
#include "access/access.h"
#include "base/test.h"

static void chance(void *world, u8 *out, size_t n)
{
    u64 *x = world;
    for (size_t i = 0; i < n; i++)
        out[i] = (u8)(*x = hash_u64(*x));
}

static struct db *store(void)
{
    struct db *db;
    struct str why = S("");
    EQ(db_open(&db, str_z(test_folder()), DB_WRITER, &why, test_arena()), OK);
    return db;
}

static struct str token(struct db *db, u64 eui, u8 doors, i64 expires_us, u64 *world)
{
    struct gateway_key k = { .tenant = 1, .eui = eui, .doors = doors, .created_us = 1000, .expires_us = expires_us, .crc = -1 };
    struct str text = S("");
    EQ(access_gateway_token_new(db, &k, chance, world, &text, test_arena()), OK);
    return text;
}

static enum err ask(struct db *db, u64 eui, struct str text, enum gateway_door door, i64 now_us)
{
    struct gateway_key k;
    u8 hash[GATEWAY_KEY_HASH];
    access_gateway_hash(hash, access_gateway_token(text));
    return access_gateway_key(&k, db, 1, eui, hash, door, now_us);
}

TEST(a_gateways_token_opens_its_doors_until_it_expires)
{
    struct db *db = store();
    u64 world = 1;
    struct str both = token(db, 7, DOOR_LNS | DOOR_CUPS, 0, &world), short_lived = token(db, 7, DOOR_LNS, 5000, &world);
    EQ(ask(db, 7, both, DOOR_LNS, 1 << 30), OK);
    EQ(ask(db, 7, both, DOOR_CUPS, 1 << 30), OK);
    EQ(ask(db, 7, str_fmt(test_arena(), "Bearer %.*s", STR(both)), DOOR_CUPS, 9), OK);
    EQ(ask(db, 7, str_fmt(test_arena(), "bearer  %.*s ", STR(both)), DOOR_CUPS, 9), OK);
    EQ(ask(db, 8, both, DOOR_LNS, 9), ERR_DENIED);
    EQ(ask(db, 7, S("hotaru.0"), DOOR_LNS, 9), ERR_DENIED);
    EQ(ask(db, 7, S(""), DOOR_LNS, 9), ERR_DENIED);
    EQ(ask(db, 7, short_lived, DOOR_LNS, 4999), OK);
    EQ(ask(db, 7, short_lived, DOOR_LNS, 5000), ERR_DENIED);
    EQ(ask(db, 7, short_lived, DOOR_CUPS, 9), ERR_DENIED);
    db_close(db);
}

TEST(a_gateway_has_eight_keys_at_most)
{
    struct db *db = store();
    u64 world = 1;
    struct gateway_key all[GATEWAY_KEYS_MAX], one = { .tenant = 1, .eui = 7, .doors = DOOR_LNS, .crc = -1 };
    struct str text;
    size_t n;
    for (int i = 0; i < GATEWAY_KEYS_MAX; i++)
        (void)token(db, 7, DOOR_LNS, 0, &world);
    EQ(access_gateway_token_new(db, &one, chance, &world, &text, test_arena()), ERR_FULL);
    EQ(access_gateway_keys(all, &n, db, 1, 7), OK);
    EQ(n, GATEWAY_KEYS_MAX);
    EQ(access_gateway_key_remove(db, &all[0]), OK);
    EQ(access_gateway_token_new(db, &one, chance, &world, &text, test_arena()), OK);
    EQ(access_gateway_keys(all, &n, db, 1, 8), OK);
    EQ(n, 0);
    db_close(db);
}

TEST(a_damaged_key_opens_nothing)
{
    struct db *db = store();
    u64 world = 1;
    size_t n;
    struct gateway_key all[GATEWAY_KEYS_MAX];
    struct str text = token(db, 7, DOOR_LNS, 5000, &world);
    EQ(db_exec(db, "UPDATE gateway_key SET expires_us = 0"), OK);
    EQ(ask(db, 7, text, DOOR_LNS, 6000), ERR_DENIED);
    EQ(access_gateway_keys(all, &n, db, 1, 7), OK);
    EQ(n, 0);
    db_close(db);
}

TEST(what_is_written_again_is_what_is_read)
{
    struct db *db = store();
    struct gateway_key k = { .tenant = 1, .eui = 0xB0000000000000A1, .hash = { 1, 2, 3 }, .kind = KEY_CERTIFICATE, .doors = DOOR_CUPS,
                             .created_us = 1, .expires_us = 2, .used_us = 3, .replaced = true, .crc = 0xFFFFFFFF }, all[GATEWAY_KEYS_MAX];
    size_t n;
    EQ(access_gateway_key_put(db, &k), OK);
    k.used_us = 4;
    EQ(access_gateway_key_put(db, &k), OK);
    EQ(access_gateway_keys(all, &n, db, 1, k.eui), OK);
    EQ(n, 1);
    TRUE(all[0].eui == k.eui && all[0].kind == k.kind && all[0].doors == k.doors && all[0].used_us == 4 && all[0].replaced &&
         all[0].crc == k.crc && all[0].expires_us == 2 && memcmp(all[0].hash, k.hash, sizeof k.hash) == 0);
    db_close(db);
}
