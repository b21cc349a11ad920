// SPDX-License-Identifier: Apache-2.0
/* What the store does for itself: seals, retention, a full disk; and what damaged rows cost at a start. */
#include "flow/rig.h"

static struct str seal_of(struct city *c, i64 day)
{
    struct db_query *q = db_query(c->env.db, "SELECT hash FROM day_seal WHERE day = $1");
    db_bind_i64(q, 1, day);
    struct str hash = db_step(q) == OK ? hex_str(test_arena(), db_bytes(q, 0)) : S("none");
    db_reset(q);
    return hash;
}

TEST(a_day_that_is_over_is_sealed_once_and_the_same_after_a_crash)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    flow_keep_start(&c->env, 0);
    join(c, &n);
    i64 day = c->world.clock.us / DAY_US;
    for (int i = 0; i < 9; i++) {
        EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, DAY_US / 3);
    }
    EQ(count(c, "SELECT COUNT(*) FROM day_seal"), 0);
    rest(c);
    EQ(count(c, "SELECT COUNT(*) FROM day_seal"), 2);                   /* the third is not over for the events */
    EQ(count(c, "SELECT SUM(uplinks) FROM day_seal"), count(c, "SELECT SUM(readings) FROM day_seal"));
    struct str first = seal_of(c, day), second = seal_of(c, day + 1);
    TRUE(first.n == 64 && second.n == 64 && !str_eq(first, second));
    EQ(db_exec(c->env.db, "DELETE FROM day_seal"), OK);
    crash(c);
    flow_keep_start(&c->env, 0);
    enum err err;
    (void)flow_keep(&c->env, &err);                                     /* a portion, and the process dies */
    crash(c);
    flow_keep_start(&c->env, 0);
    rest(c);
    STR_EQ(seal_of(c, day), first);
    STR_EQ(seal_of(c, day + 1), second);
    EQ(db_exec(c->env.db, "DELETE FROM day_seal; UPDATE uplink SET received_us = received_us + 1 WHERE id = "
                          "(SELECT MIN(id) FROM uplink)"), OK);
    crash(c);
    flow_keep_start(&c->env, 0);
    rest(c);
    TRUE(!str_eq(seal_of(c, day), first));                              /* what a lost or changed row does to a seal … */
    TRUE(!str_eq(seal_of(c, day + 1), second));                         /* … and to all behind it */
    forget(&n), stop(c);
}

TEST(what_is_older_than_it_is_kept_goes_and_no_frame_of_it_is_new_again)
{
    struct city *c = city_make();
    struct node n[2] = { node_of(RIVER), node_of(TRACKER) };
    struct bytes heard[40];
    flow_keep_start(&c->env, 3 * DAY_US);
    join(c, &n[0]), join(c, &n[1]);
    for (size_t i = 0; i < COUNT(heard); i++) {
        heard[i] = LEVEL(&n[i % 2 && i < 20]);                          /* the second is silent from the middle on */
        EQ(hear(c, heard[i], GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, DAY_US / 4);
        if (i % 5 == 4)
            rest(c);
    }
    pass(c, DAY_US);
    rest(c);
    TRUE(count(c, "SELECT COUNT(*) FROM uplink") < 14);
    i64 cut = count(c, "SELECT value FROM mark WHERE name = 'cut'");
    TRUE(cut > 0 && count(c, "SELECT MIN(id) FROM uplink") >= cut);     /* below it a chain was cut, not lost */
    EQ(count(c, "SELECT COUNT(*) FROM reading WHERE uplink < (SELECT MIN(id) FROM uplink)"), 0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT(heard); i++)
            EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_REPEATED);
        (void)settle(c);
        crash(c);
    }
    flow_keep_start(&c->env, 3 * DAY_US);
    pass(c, 9 * DAY_US);
    rest(c);
    TRUE(count(c, "SELECT COUNT(*) FROM uplink") <= 1);                 /* the newest may stand; nothing is new */
    EQ(count(c, "SELECT COUNT(*) FROM entity"), 1);
    crash(c);
    for (size_t i = 0; i < COUNT(heard); i++)
        EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_REPEATED);
    for (size_t i = 0; i < COUNT(n); i++) {
        EQ(hear(c, LEVEL(&n[i]), GATEWAY_A, 50), PASS);
        (void)settle(c);
        forget(&n[i]);
    }
    stop(c);
}

/* A second tenant's events are sealed and forgotten like the first one's. */
BOTH(every_tenant_has_its_seals_and_its_retention)
{
    static const char table[] = "dev_eui,join_eui,app_key,name,profile\n"
                                "70B3D57ED0000005,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80005,b,river\n";
    struct city *c = city_in(where);
    struct node n[2] = { node_of(RIVER), node_of(RIVER + 4) };
    struct import_report report;
    EQ(db_exec(c->env.db, "INSERT INTO tenant (number, name, created_us) VALUES (7, 'other', 0)"), OK);
    EQ(mac_import(&c->env, 7, IMPORT_DEVICES, str_z(table), false, &report, test_arena()), OK);
    flow_keep_start(&c->env, 4 * DAY_US);
    join(c, &n[0]), join(c, &n[1]);
    for (int i = 0; i < 24; i++) {
        EQ(hear(c, LEVEL(&n[i % 2]), GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, DAY_US / 4);
        if (i == 11)
            rest(c);
    }
    rest(c);
    EQ(count(c, "SELECT COUNT(*) FROM day_seal WHERE tenant = 1"), 5);
    EQ(count(c, "SELECT COUNT(*) FROM day_seal WHERE tenant = 7"), 5);
    i64 cut = count(c, "SELECT value FROM mark WHERE name = 'cut'");
    TRUE(cut > 0);
    static const char *const tables[] = { "SELECT MIN(id) FROM uplink WHERE tenant = 7", "SELECT MIN(id) FROM uplink WHERE tenant = 1",
                                          "SELECT MIN(id) FROM reading WHERE tenant = 7" };
    for (size_t i = 0; i < COUNT(tables); i++)
        TRUE(count(c, tables[i]) >= cut);
    EQ(count(c, "SELECT value FROM mark WHERE name = 'rows uplink'"),           /* what no seal covers, of both */
       count(c, "SELECT COUNT(*) FROM uplink WHERE id >= (SELECT value FROM mark WHERE name = 'unsealed')"));
    forget(&n[0]), forget(&n[1]), stop(c);
}

/* Rows that know the counters may be behind when the events would go: then they stay. */
TEST(no_event_goes_before_its_counter_is_in_a_row)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    enum err err;
    flow_keep_start(&c->env, DAY_US);
    join(c, &n);
    struct bytes heard = LEVEL(&n);
    EQ(hear(c, heard, GATEWAY_A, 50), PASS);
    (void)after_window(c);
    pass(c, 5 * DAY_US);
    for (int i = 0; i < 10; i++)
        (void)flow_keep(&c->env, &err);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 1);
    crash(c);
    EQ(hear(c, heard, GATEWAY_A, 50), DROP_REPEATED);
    (void)settle(c);
    flow_keep_start(&c->env, DAY_US);
    rest(c);
    pass(c, 3600 * US_PER_S);
    rest(c);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 0);
    forget(&n), stop(c);
}

TEST(on_a_full_disk_nothing_new_is_taken_and_the_oldest_goes_first_where_that_is_wanted)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    struct bytes heard[30];
    flow_keep_start(&c->env, 365 * DAY_US);
    join(c, &n);
    for (size_t i = 0; i < COUNT(heard); i++) {
        heard[i] = LEVEL(&n);
        EQ(hear(c, heard[i], GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, DAY_US / 2);
    }
    rest(c);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 30);
    c->env.full = true;
    struct bytes next = LEVEL(&n);
    EQ(hear(c, next, GATEWAY_A, 50), DROP_STORE);
    EQ(flow_commit(&c->env), ERR_FULL);
    flow_done(&c->env);
    for (int i = 0; i < 5; i++) {
        pass(c, 2 * US_PER_S);
        rest(c);
    }
    i64 left = count(c, "SELECT COUNT(*) FROM uplink");
    TRUE(left < 30 && left > 15);
    EQ(count(c, "SELECT fcnt FROM uplink ORDER BY id LIMIT 1"), 30 - left);
    c->env.full = false;
    EQ(hear(c, next, GATEWAY_A, 50), PASS);
    (void)settle(c);
    crash(c);
    for (size_t i = 0; i < COUNT(heard); i++)
        EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_REPEATED);
    forget(&n), stop(c);
}

static void bend(struct city *c, const char *sql)
{
    crash(c);
    EQ(db_exec(c->env.db, sql), OK);
    crash(c);
}

/* Rows that are damaged at start: each costs what it was, and nothing more. */
BOTH(a_damaged_counter_row_is_read_again_from_the_events)
{
    static const char *const bends[] = { "UPDATE device_state SET fcnt_up = 0", "UPDATE mark SET value = value + 99000000000",
                                         "UPDATE device_state SET fcnt_up = 65000; UPDATE mark SET value = 7" };
    struct city *c = city_in(where);
    struct node n = node_of(RIVER);
    struct bytes heard[20];
    join(c, &n);
    for (size_t i = 0; i < COUNT(heard); i++) {
        heard[i] = LEVEL(&n);
        EQ(hear(c, heard[i], GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, US_PER_S);
    }
    rest(c);
    for (size_t b = 0; b < COUNT(bends); b++) {
        bend(c, bends[b]);
        for (size_t i = 0; i < COUNT(heard); i++)
            EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_REPEATED);
        EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
        (void)settle(c);
        rest(c);
    }
    forget(&n), stop(c);
}

TEST(a_session_whose_counter_is_damaged_ends_when_its_events_are_gone)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER), other = node_of(SCRIPTED);
    struct bytes heard[6];
    flow_keep_start(&c->env, 2 * DAY_US);
    join(c, &n);
    for (size_t i = 0; i < COUNT(heard); i++) {
        heard[i] = LEVEL(&n);
        EQ(hear(c, heard[i], GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, DAY_US);
        rest(c);
    }
    join(c, &other);                                                    /* its events are all there */
    struct bytes young = LEVEL(&other);
    EQ(hear(c, young, GATEWAY_A, 50), PASS);
    (void)after_window(c);
    rest(c);
    bend(c, "UPDATE device_state SET fcnt_up = 0");
    for (size_t i = 0; i < COUNT(heard); i++)
        EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_UNKNOWN_DEVADDR);
    EQ(hear(c, young, GATEWAY_A, 50), DROP_REPEATED);
    EQ(hear(c, LEVEL(&other), GATEWAY_A, 50), PASS);
    (void)settle(c);
    forget(&n), forget(&other), stop(c);
}

TEST(a_damaged_session_or_device_is_not_believed_and_the_others_go_on)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER), other = node_of(SCRIPTED);
    join(c, &n), join(c, &other);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    EQ(hear(c, LEVEL(&other), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    bend(c, "UPDATE session SET down_reserved = down_reserved - 32 WHERE dev_eui = 8121069293711392769");
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), DROP_UNKNOWN_DEVADDR);
    EQ(hear(c, LEVEL(&other), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    n.dev_nonce++;
    pass(c, 10 * US_PER_S);
    join(c, &n);                                                        /* a join mends it */
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    bend(c, "UPDATE join_state SET join_nonce = 0 WHERE dev_eui = 8121069293711392769");
    n.dev_nonce++;
    pass(c, 10 * US_PER_S);
    join(c, &n);
    TRUE(count(c, "SELECT join_nonce FROM join_state WHERE dev_eui = 8121069293711392769") > 1 << 22);
    bend(c, "UPDATE device SET name = 'x' WHERE dev_eui = 8121069293711392769");
    n.dev_nonce++;
    EQ(hear(c, join_request(&n), GATEWAY_A, 50), DROP_UNKNOWN_DEVICE);
    EQ(hear(c, LEVEL(&other), GATEWAY_A, 50), PASS);
    (void)settle(c);
    forget(&n), forget(&other), stop(c);
}

TEST(a_damaged_entity_begins_anew_and_keeps_its_history)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    bend(c, "UPDATE entity SET attributes = '{}'");
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    EQ(count(c, "SELECT COUNT(*) FROM reading r JOIN reading p ON p.tenant = r.tenant AND p.id = r.prev"), 1);
    bend(c, "UPDATE entity SET last_reading = 12345");
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    EQ(count(c, "SELECT COUNT(*) FROM reading WHERE prev = 0"), 2);     /* the chain is cut, and says so */
    forget(&n), stop(c);
}
