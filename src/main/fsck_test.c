// SPDX-License-Identifier: Apache-2.0
/*
 * A store of four days in which everything is, and what fsck says when one thing of it is lost or
 * another. Each damage is done to a copy of its own.
 */
#include "flow/rig.h"
#include "main/fsck.h"

#include <stdio.h>

/* What fsck says of the store; *wrong: how many things. */
static struct str words_of(struct str where, struct fsck_report *report, bool rows)
{
    size_t n[2] = { 0 };
    char  *text[2] = { NULL };
    FILE  *out[2] = { open_memstream(&text[0], &n[0]), open_memstream(&text[1], &n[1]) };
    log_set_level(LOG_NOTHING);
    fsck_store(report, where, out[0], rows ? out[1] : NULL, test_arena());
    log_set_level(LOG_INFO);
    fclose(out[0]);
    fclose(out[1]);
    struct str said = str_copy(test_arena(), (struct str){ text[rows], n[rows] });
    free(text[0]);
    free(text[1]);
    return said;
}

static struct bytes data_of(struct str where)
{
    struct bytes file = { NULL, 0 };
    EQ(sys_file_read(&file, str_fmt(test_arena(), "%.*s/hotaru.db", STR(where)).p, 64 << 20, test_arena()), OK);
    return file;
}

/* Closed without a crash: everything stands in one file. */
static struct bytes four_days(struct str where)
{
    struct city *c = city_in(where);
    struct node n[3] = { node_of(RIVER), node_of(SCRIPTED), node_of(TRACKER) };
    struct downlink_new in = { 1, RIVER, 10, false, bytes_of(S("hello")), 0 };
    struct str why;
    i64 id;
    flow_keep_start(&c->env, 0);
    EQ(mac_mark_write(&c->env, str_fmt(test_arena(), "schema %lld", (long long)db_schema_version(c->env.db)).p,
                      (i64)db_schema_sum(c->env.db)), OK);
    (void)settle(c);
    for (size_t i = 0; i < COUNT(n); i++)
        join(c, &n[i]);
    for (int i = 0; i < 16; i++) {
        struct bytes phy = say(&n[i % 4 ? 0 : 1 + (i / 4) % 2], "\x04\xd2\x5a\1\2", 5, i % 2, (struct bytes){ NULL, 0 });
        EQ(hear(c, phy, GATEWAY_A, 50), PASS);
        EQ(hear(c, phy, GATEWAY_B, 60), DROP_COPY);
        (void)after_window(c);
        pass(c, DAY_US / 4);
        rest(c);
    }
    EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
    (void)settle(c);
    EQ(hear(c, LEVEL(&n[0]), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    n[0].fcnt += 20000;
    EQ(hear(c, LEVEL(&n[0]), GATEWAY_A, 50), DROP_FCNT_GAP);
    (void)settle(c);
    rest(c);
    EQ(flow_keep_last(&c->env), OK);
    for (size_t i = 0; i < COUNT(n); i++)
        forget(&n[i]);
    stop(c);
    return data_of(where);
}

static const struct { const char *sql, *said; } damages[] = {
    { "UPDATE uplink SET payload = x'00' WHERE id = (SELECT MAX(id) FROM uplink)", "uplink (tenant 1, id " },
    { "UPDATE uplink SET payload = x'00' WHERE id = (SELECT MAX(id) FROM uplink)", "its checksum is wrong" },
    { "DELETE FROM uplink WHERE id = (SELECT MAX(prev) FROM uplink)", "the device's uplink before it is lost" },
    { "DELETE FROM uplink WHERE id = (SELECT MAX(id) FROM uplink)", "the device's last uplink is lost" },
    { "UPDATE device_state SET last_uplink = 1", "the device's counter row does not know it" },
    { "UPDATE device_state SET fcnt_up = 0", "its uplink counter is below one that was accepted" },
    { "DELETE FROM device_state", "is in use, and the device's counter row is lost" },
    { "UPDATE downlink SET fcnt = 100000 WHERE kind = 1", "its counter was never reserved" },
    { "UPDATE join_state SET join_nonce = 0", "fewer joins than DevNonces: it went back" },
    { "DELETE FROM session", "the device joined, and its session is lost" },
    { "DELETE FROM join_state", "the device joined, and its JoinNonce is lost" },
    { "DELETE FROM reading WHERE id = (SELECT MAX(prev) FROM reading)", "the entity's reading before it is lost" },
    { "DELETE FROM reading WHERE id = (SELECT MAX(id) FROM reading)", "its last reading is lost" },
    { "DELETE FROM uplink WHERE id IN (SELECT uplink FROM reading)", "the uplink that it came from is lost" },
    { "DELETE FROM entity", "its entity is lost, or does not know it" },
    { "DELETE FROM uplink WHERE id IN (SELECT id FROM uplink_copies)", "uplink_copies (tenant 1, id " },
    { "DELETE FROM uplink WHERE id IN (SELECT id FROM intent)", "the uplink that it is about is lost" },
    { "DELETE FROM device", "its device is not registered any more" },
    { "INSERT INTO gateway_state (tenant, eui, last_seen_us, address) VALUES (1, 5, 1, '')", "its gateway is not registered any more" },
    { "UPDATE reading SET attributes = '{}' WHERE id = (SELECT MIN(id) FROM reading)", "as many events as when it was sealed, but not the same" },
    { "DELETE FROM uplink WHERE id = (SELECT MIN(id) FROM uplink)", "it had " },
    { "DELETE FROM day_seal WHERE day = (SELECT MIN(day) + 1 FROM day_seal)", "its seal is lost" },
    { "UPDATE day_seal SET hash = x'00' WHERE day = (SELECT MIN(day) FROM day_seal)", "day_seal (tenant 1, day " },
    { "DELETE FROM dev_nonce", "dev_nonce (0 of 3): rows are lost" },
    { "DELETE FROM refusal", "refusal (0 of 1): rows are lost" },
    { "UPDATE uplink SET sum = NULL WHERE id = (SELECT MAX(id) FROM uplink)", "an older program wrote here last" },
    { "UPDATE schema_version SET version = 5 WHERE version = 2", "the versions of the schema do not follow each other" },
    { "DROP TABLE refusal", "table (refusal): is not there" },
    { "CREATE INDEX another ON uplink (tenant, dev_eui)", "its text is not what it was" },
    { "DELETE FROM mark", "): is not there: rows of this table are lost" },
    { "UPDATE mark SET value = value + 1", "mark (tenant 0, name cut): its checksum is wrong" },
    { "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO gateway_state "
      "SELECT 1, i + 5, 1, '', 1 FROM n", "gateway_state: … and more of this kind" },
};

TEST(what_is_lost_or_another_is_named_and_what_is_sound_is_called_so)
{
    struct str where = str_fmt(test_arena(), "%s/sound", test_folder());
    struct fsck_report report;
    struct bytes sound = four_days(where);
    STR_EQ(words_of(where, &report, false), S(""));
    EQ(report.wrong, 0);
    TRUE(report.rows > 60 && report.unsummed == 0 && !report.unreadable);
    for (size_t i = 0; i < COUNT(damages); i++) {
        struct str copy = str_fmt(test_arena(), "%s/%zu", test_folder(), i), why;
        struct db *db;
        EQ(sys_folder_make(copy.p), OK);
        EQ(sys_file_write(str_fmt(test_arena(), "%.*s/hotaru.db", STR(copy)).p, sound, 0600), OK);
        EQ(db_open(&db, copy, DB_WRITER, &why, test_arena()), OK);
        if (str_find(str_z(damages[i].said), S("name cut")) >= 0)
            EQ(db_exec(db, "INSERT INTO mark VALUES (0, 'cut', 5, 1), (0, 'ended', 5, 1)"), OK);
        EQ(db_exec(db, damages[i].sql), OK);
        db_close(db);
        struct str said = words_of(copy, &report, false);
        TRUE(report.wrong > 0);
        if (str_find(said, str_z(damages[i].said)) < 0)
            test_fail(__FILE__, __LINE__, "%s: \"%.*s\", without \"%s\"", damages[i].sql, STR(said), damages[i].said);
    }
}

/* A dump says every sound row, and a damaged one never. */
TEST(a_dump_has_every_row_that_is_sound)
{
    struct str where = str_fmt(test_arena(), "%s/sound", test_folder()), why;
    struct fsck_report report;
    struct db *db;
    (void)four_days(where);
    struct str rows = words_of(where, &report, true);
    TRUE(str_find(rows, S("tenant\t1\t\"city\"\t0\n")) >= 0);
    TRUE(str_find(rows, S("\t36.700000000000003\t")) >= 0);
    TRUE(str_find(rows, S("\tx04d25a")) >= 0 && str_find(rows, S("\t-\t")) >= 0);
    EQ(db_open(&db, where, DB_WRITER, &why, test_arena()), OK);
    EQ(db_exec(db, "UPDATE tenant SET name = 'another'"), OK);
    db_close(db);
    rows = words_of(where, &report, true);
    EQ(report.wrong, 1);
    TRUE(str_find(rows, S("tenant\t")) < 0);
    struct str said = words_of(str_z(str_fmt(test_arena(), "%s/none", test_folder()).p), &report, false);
    TRUE(report.unreadable && str_find(said, S("the store cannot be opened")) >= 0);
}
