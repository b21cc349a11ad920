// SPDX-License-Identifier: Apache-2.0
/* Tables of devices and gateways: all or nothing, each mistake with its line and its column. */
#include "mac/rig.h"

#define HEAD  "dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated\n"
#define EUI   "70B3D57ED0000100,70B3D57ED0FFFFFF,"
#define KEY   "5d1e9b3fa7260c48e1937ab4d2f80100"
#define KEY_2 "6f9c1a2277d0458eb1c3a4f507182930"
#define GHEAD "gateway_eui,name,latitude,longitude,altitude_m,region,simulated\n"
#define GEUI  "A000000000000100"

/* What is wrong with a table: "line column: words; …". */
static struct str faults(struct rig *c, u64 tenant, enum import_kind kind, struct str csv)
{
    struct import_report r;
    struct text t = text_make(test_arena(), 10000);
    enum err err = mac_import(&c->env, tenant, kind, csv, false, &r, test_arena());
    EQ(err, r.errors > 0 ? ERR_INVALID : OK);
    for (const struct import_error *e = r.first; e; e = e->next) {
        text_fmt(&t, "%u %.*s: %.*s; ", e->line, STR(e->column), STR(e->en));
        TRUE(e->ja.n > 0);
    }
    return text_str(&t);
}

TEST(a_table_with_a_mistake_is_refused_with_its_line_its_column_and_words)
{
    static const struct { enum import_kind kind; struct str csv, faults; } facts[] = {
        { IMPORT_DEVICES, S(""), S("0 : the table is empty; ") },
        { IMPORT_DEVICES, S("dev_eui,join_eui,name,profile,colour\n"),
          S("1 app_key: this column is missing; 1 colour: this column is not known; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY ",,a,any,91,,\n"), S("2 latitude: not a number, or out of range; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY ",,a,any,,-180.5,\n"), S("2 longitude: not a number, or out of range; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY ",,a,any,north,,\n"), S("2 latitude: not a number, or out of range; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY ",,a,any,,,yes\n"), S("2 simulated: write 0 or 1; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY ",,,any,,,\n"), S("2 name: empty, or longer than 200 bytes; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY ",,a,nothing,,,\n"), S("2 profile: there is no such device profile; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY ",,a,newer,,,\n"), S("2 nwk_key: LoRaWAN 1.1 needs a NwkKey; ") },
        { IMPORT_DEVICES, S(HEAD EUI "5d1e,,a,any,,,\n"), S("2 app_key: not 32 hexadecimal digits; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY ",5d1e,a,any,,,\n"), S("2 nwk_key: not 32 hexadecimal digits; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY KEY "00,,a,any,,,\n"), S("2 app_key: not 32 hexadecimal digits; ") },
        { IMPORT_DEVICES, S(HEAD "70B3D57ED000010,70B3D57ED0FFFFFG," KEY ",,a,any,,,\n"),
          S("2 dev_eui: not 16 hexadecimal digits; 2 join_eui: not 16 hexadecimal digits; ") },
        { IMPORT_DEVICES, S(HEAD EUI "2b7e151628aed2a6abf7158809cf4f3c,,a,any,,,\n"),
          S("2 app_key: the key is printed in standards and manuals; ") },
        { IMPORT_DEVICES, S(HEAD EUI "77777777777777777777777777777777,,a,any,,,\n"),
          S("2 app_key: the key is one byte repeated or counted on; ") },
        { IMPORT_DEVICES, S(HEAD EUI "00112233445566778899aabbccddeeff,,a,any,,,\n"),
          S("2 app_key: the key is printed in standards and manuals; ") },
        { IMPORT_DEVICES, S(HEAD EUI "000102030405060708090a0b0c0d0e0f,,a,any,,,\n"),
          S("2 app_key: the key is one byte repeated or counted on; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY ",,a,any,,,\n" EUI KEY_2 ",,b,any,,,\n"), S("3 dev_eui: the same EUI stands twice; ") },
        { IMPORT_DEVICES, S(HEAD EUI KEY ",,a,any,,,\n70B3D57ED0000101,70B3D57ED0FFFFFF," KEY ",,b,any,,,\n"),
          S("3 app_key: the same AppKey stands twice; ") },
        { IMPORT_GATEWAYS, S(GHEAD GEUI ",a,,,,AS924,\n"), S("2 region: there is no such region (for example AS923-1); ") },
        { IMPORT_GATEWAYS, S(GHEAD GEUI ",a,,,10001,AS923-1,\n"), S("2 altitude_m: not a number, or out of range; ") },
        { IMPORT_GATEWAYS, S(GHEAD GEUI ",a,,,,AS923-1,\n" GEUI ",b,,,,AS923-1,\n"), S("3 gateway_eui: the same EUI stands twice; ") },
    };
    struct rig *c = rig_make();
    i64 devices = rig_count(c, "SELECT COUNT(*) FROM device"), gateways = rig_count(c, "SELECT COUNT(*) FROM gateway");
    for (size_t i = 0; i < COUNT(facts); i++)
        STR_EQ(faults(c, 1, facts[i].kind, facts[i].csv), facts[i].faults);
    EQ(rig_count(c, "SELECT COUNT(*) FROM device"), devices);
    EQ(rig_count(c, "SELECT COUNT(*) FROM gateway"), gateways);
    TRUE(str_starts(faults(c, 1, IMPORT_DEVICES, S(HEAD "\"70B3D57ED0000100")), S("2 : ")));      /* no table */
    struct str long_name = str_fmt(test_arena(), HEAD EUI KEY ",,%0201d,any,,,\n", 1);
    STR_EQ(faults(c, 1, IMPORT_DEVICES, long_name), S("2 name: empty, or longer than 200 bytes; "));
    rig_stop(c);
}

TEST(of_many_mistakes_a_hundred_are_told_and_all_are_counted)
{
    struct rig *c = rig_make();
    struct import_report r;
    struct text t = text_make(test_arena(), 1 << 16);
    text_put(&t, S(HEAD));
    for (int i = 0; i < 150; i++)
        text_fmt(&t, "70B3D57ED0%06X,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2%06x,,,any,,,\n", 4096 + i, 4096 + i);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, text_str(&t), false, &r, test_arena()), ERR_INVALID);
    EQ(r.rows, 150);
    EQ(r.errors, 150);
    u32 told = 0, last = 0;
    for (const struct import_error *e = r.first; e; e = e->next, told++)
        last = e->line;
    EQ(told, 100);
    EQ(last, 101);
    rig_stop(c);
}

TEST(a_table_is_read_as_people_write_it)
{
    struct rig *c = rig_make();
    struct import_report r;
    struct str csv = S("PROFILE,Name,dev_eui,Join_EUI,app_key,simulated\n"
                       "any,x,70-b3-d5-7e-d0-00-01-00,70:B3:D5:7E:D0:FF:FF:FF,5d1e9b3f a7260c48 e1937ab4 d2f80100,1\n"
                       "any,y,70B3D57ED0000101,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80101\n");
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, csv, true, &r, test_arena()), OK);
    EQ(r.created, 2);
    EQ(map_get(&c->env.mac->by_eui, 0x70B3D57ED0000100), MAP_NONE);                   /* it was only asked */
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, csv, false, &r, test_arena()), OK);
    EQ(r.created, 2);
    EQ(rig_count(c, "SELECT COUNT(*) FROM device WHERE dev_eui IN (8121069293711393024, 8121069293711393025)"), 2);
    EQ(rig_count(c, "SELECT simulated FROM device WHERE name = 'x'"), 1);
    EQ(rig_count(c, "SELECT simulated FROM device WHERE name = 'y'"), 0);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, csv, false, &r, test_arena()), OK);
    EQ(r.created, 0);
    EQ(r.updated, 2);
    rig_stop(c);
}

TEST(a_device_and_a_gateway_belong_to_one_project)
{
    struct rig *c = rig_make();
    STR_EQ(faults(c, 2, IMPORT_DEVICES, S(HEAD "70B3D57ED0000001,70B3D57ED0FFFFFF," KEY ",,a,any,,,\n")),
           S("2 dev_eui: this device belongs to another project; "));
    STR_EQ(faults(c, 2, IMPORT_GATEWAYS, S(GHEAD "A000000000000001,a,,,,AS923-1,\n")),
           S("2 gateway_eui: this gateway belongs to another project; "));
    rig_stop(c);
}

TEST(more_rows_than_one_portion_of_memory_are_all_taken)
{
    struct rig *c = rig_make();
    struct import_report r;
    struct text t = text_make(test_arena(), 1 << 17);
    text_put(&t, S(HEAD));
    for (int i = 0; i < 600; i++)
        text_fmt(&t, "70B3D57ED0%06X,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2%06x,,n,any,,,\n", 4096 + i, 4096 + i);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, text_str(&t), false, &r, test_arena()), OK);
    EQ(r.created, 600);
    for (u64 i = 0; i < 600; i++)
        TRUE(map_get(&c->env.mac->by_eui, 0x70B3D57ED0001000 + i) != MAP_NONE);
    rig_stop(c);
}

TEST(a_store_that_fails_under_a_table_leaves_the_registry_as_it_was)
{
    struct rig *c = rig_make();
    struct import_report r;
    rig_lock(c, "device", "dev_eui = 8121069293711393024");
    enum err err = mac_import(&c->env, 1, IMPORT_DEVICES, S(HEAD EUI KEY ",,a,any,,,\n"), false, &r, test_arena());
    TRUE(err != OK && r.errors == 0);
    EQ(c->env.failed, err);
    EQ(map_get(&c->env.mac->by_eui, 0x70B3D57ED0000100), MAP_NONE);
    (void)rig_commit(c, NULL);
    rig_unlock(c);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, S(HEAD EUI KEY ",,a,any,,,\n"), false, &r, test_arena()), OK);
    EQ(r.created, 1);
    rig_stop(c);
}
