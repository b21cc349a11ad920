// SPDX-License-Identifier: Apache-2.0
/* Downlinks that wait, and gateways that are written behind: limits, damaged rows, a store that fails. */
#include "mac/rig.h"

static enum err ask(struct rig *c, struct downlink_new in, i64 *id, struct str *why)
{
    u8 *payload = arena_take(test_arena(), 300, 1);
    in.payload.p = payload;
    return mac_downlink_add(&c->env, &in, id, why);
}

TEST(a_downlink_that_could_never_be_sent_is_refused_in_words)
{
    static const struct { struct downlink_new in; enum err err; struct str why; } facts[] = {
        { { 1, RIVER, 10, false, { NULL, 242 }, 0 }, OK, S("") },
        { { 1, RIVER, 223, false, { NULL, 0 }, 0 }, OK, S("") },
        { { 1, RIVER, 10, false, { NULL, 243 }, 0 }, ERR_TOO_LARGE, S("payload is longer than 242 bytes, the most any data rate carries") },
        { { 1, RIVER, 0, false, { NULL, 1 }, 0 }, ERR_INVALID, S("fport is 1 to 223: 0 belongs to MAC commands, 224 and above are reserved") },
        { { 1, RIVER, 224, false, { NULL, 1 }, 0 }, ERR_INVALID, S("fport is 1 to 223: 0 belongs to MAC commands, 224 and above are reserved") },
        { { 2, RIVER, 10, false, { NULL, 1 }, 0 }, ERR_NOT_FOUND, S("") },
        { { 1, 12345, 10, false, { NULL, 1 }, 0 }, ERR_NOT_FOUND, S("") },
    };
    struct rig *c = rig_make();
    for (size_t i = 0; i < COUNT(facts); i++) {
        i64 id;
        struct str why = S("");
        EQ(ask(c, facts[i].in, &id, &why), facts[i].err);
        STR_EQ(why, facts[i].why);
    }
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_count(c, "SELECT COUNT(*) FROM downlink"), 2);
    rig_stop(c);
}

TEST(sixty_four_wait_for_one_device_and_are_counted_again_at_the_start)
{
    struct rig *c = rig_make();
    struct str why = S("");
    i64 id;
    for (int i = 0; i < 64; i++)
        EQ(ask(c, (struct downlink_new){ 1, RIVER, 10, false, { NULL, 1 }, INT64_MAX }, &id, &why), OK);
    EQ(ask(c, (struct downlink_new){ 1, RIVER, 10, false, { NULL, 1 }, INT64_MAX }, &id, &why), ERR_FULL);
    STR_EQ(why, S("64 downlinks wait for this device already"));
    EQ(rig_commit(c, NULL), OK);
    rig_crash(c);
    EQ(ask(c, (struct downlink_new){ 1, RIVER, 10, false, { NULL, 1 }, INT64_MAX }, &id, &why), ERR_FULL);
    EQ(ask(c, (struct downlink_new){ 1, COUNTING, 10, false, { NULL, 1 }, INT64_MAX }, &id, &why), OK);
    rig_stop(c);
}

TEST(a_downlink_whose_row_is_damaged_is_passed_over_and_the_next_is_sent)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct str why = S("");
    i64 damaged, sound;
    rig_join(c, &n);
    EQ(ask(c, (struct downlink_new){ 1, RIVER, 10, false, { NULL, 1 }, INT64_MAX }, &damaged, &why), OK);
    EQ(ask(c, (struct downlink_new){ 1, RIVER, 20, false, { NULL, 2 }, INT64_MAX }, &sound, &why), OK);
    EQ(rig_commit(c, NULL), OK);
    struct str sql = str_fmt(test_arena(), "UPDATE downlink SET fport = 30 WHERE id = %lld", (long long)damaged);
    EQ(db_exec(c->env.db, sql.p), OK);
    EQ(rig_hear(c, NULL, rig_plain(&n, 0), NOW), PASS);
    struct downlink *d = rig_answer(c);
    TRUE(d && d->id == sound);
    mac_downlink_result(&c->env, 1, RIVER, damaged, DOWN_ACCEPTED, S(""), GATEWAY_A);      /* of it nothing is known any more */
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_count(c, "SELECT fport FROM downlink WHERE state = 0"), 30);
    rig_forget(&n);
    rig_stop(c);
}

TEST(what_a_gateway_had_when_we_stopped_is_not_sent_again_and_a_damaged_one_is_left)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct str why = S("");
    i64 id;
    rig_join(c, &n);
    EQ(ask(c, (struct downlink_new){ 1, RIVER, 10, true, { NULL, 1 }, INT64_MAX }, &id, &why), OK);
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_hear(c, NULL, rig_plain(&n, 0), NOW), PASS);
    TRUE(rig_answer(c) != NULL);
    EQ(rig_count(c, "SELECT COUNT(*) FROM downlink WHERE state = 1 AND confirmed = 1"), 1);
    rig_crash(c);
    EQ(rig_count(c, "SELECT state FROM downlink WHERE confirmed = 1"), DOWN_UNKNOWN);
    rig_pass(c, 60 * US_PER_S);
    EQ(rig_alone(c, NULL, rig_frame(&n, 1, false, FCTRL_ACK, S("")), NOW), PASS);          /* it was heard all the same */
    EQ(rig_count(c, "SELECT state FROM downlink WHERE confirmed = 1"), DOWN_CONFIRMED);
    EQ(db_exec(c->env.db, "UPDATE downlink SET state = 1 WHERE confirmed = 1"), OK);       /* behind us: its sum is wrong */
    rig_crash(c);
    EQ(rig_count(c, "SELECT state FROM downlink WHERE confirmed = 1"), 1);
    rig_forget(&n);
    rig_stop(c);
}

TEST(a_store_that_cannot_be_read_costs_the_batch_and_not_the_downlink)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct str why = S("");
    i64 id;
    rig_join(c, &n);
    EQ(ask(c, (struct downlink_new){ 1, RIVER, 10, false, { NULL, 1 }, INT64_MAX }, &id, &why), OK);
    EQ(rig_commit(c, NULL), OK);
    rig_break(c, "downlink");
    mac_downlink_result(&c->env, 1, RIVER, id, DOWN_FAILED, S("x"), GATEWAY_A);
    TRUE(c->env.failed != OK);
    TRUE(rig_commit(c, NULL) != OK);
    EQ(rig_hear(c, NULL, rig_plain(&n, 0), NOW), PASS);
    EQ(rig_commit(c, NULL), OK);
    rig_pass(c, 200000);
    (void)mac_tick(&c->env);
    TRUE(c->env.failed != OK && rig_commit(c, NULL) != OK);
    rig_mend(c, "downlink");
    EQ(rig_count(c, "SELECT COUNT(*) FROM downlink WHERE state = 0 AND fport = 10"), 1);
    c->env.failed = ERR_FULL;
    mac_downlink_result(&c->env, 1, RIVER, id, DOWN_FAILED, S("x"), GATEWAY_A);
    EQ(ask(c, (struct downlink_new){ 1, RIVER, 10, false, { NULL, 1 }, INT64_MAX }, &id, &why), ERR_FULL);
    (void)rig_commit(c, NULL);
    rig_forget(&n);
    rig_stop(c);
}

/* ------------------------------------------------------------------ gateways, written behind */

static void flush(struct rig *c)
{
    rig_pass(c, 2 * US_PER_S);
    (void)mac_flush(&c->env, 1000);
}

TEST(an_hour_of_a_gateway_is_added_up_and_a_damaged_hour_begins_anew)
{
    struct rig *c = rig_make();
    u32 a = mac_gateway(c->env.mac, GATEWAY_A);
    c->clock.us = c->clock.us / (3600 * US_PER_S) * 3600 * US_PER_S;
    for (int round = 1; round <= 2; round++) {
        mac_gateway_heard(&c->env, a, S("192.0.2.1:1700"), true, true, 1000);
        mac_gateway_heard(&c->env, a, S("192.0.2.1:1700"), true, false, 0);
        mac_gateway_heard(&c->env, a, S("192.0.2.1:1700"), false, false, 0);
        mac_gateway_sent(&c->env, a, 500);
        flush(c);
        EQ(rig_commit(c, NULL), OK);
        EQ(rig_count(c, "SELECT rx_ok FROM gateway_hour"), round);
        EQ(rig_count(c, "SELECT rx_bad FROM gateway_hour"), round);
        EQ(rig_count(c, "SELECT tx FROM gateway_hour"), round);
        EQ(rig_count(c, "SELECT rx_air_us FROM gateway_hour"), 1000 * round);
        EQ(rig_count(c, "SELECT tx_air_us FROM gateway_hour"), 500 * round);
    }
    EQ(rig_count(c, "SELECT COUNT(*) FROM gateway_state WHERE address = '192.0.2.1:1700'"), 1);
    flush(c);
    TRUE(!c->env.open);                                        /* nothing new, nothing written */
    EQ(db_exec(c->env.db, "UPDATE gateway_hour SET rx_ok = 99"), OK);
    mac_gateway_heard(&c->env, a, S("192.0.2.1:1700"), true, true, 1000);
    flush(c);
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_count(c, "SELECT rx_ok FROM gateway_hour"), 1);
    rig_pass(c, 3600 * US_PER_S);
    mac_gateway_heard(&c->env, a, S("192.0.2.1:1700"), true, true, 1000);
    flush(c);
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_count(c, "SELECT COUNT(*) FROM gateway_hour"), 2);
    rig_stop(c);
}

TEST(a_stranger_at_the_door_is_counted_and_written_once_in_two_seconds)
{
    struct rig *c = rig_make();
    for (int i = 0; i < 5; i++)
        mac_stranger(&c->env, 0xB000000000000001ULL, S("192.0.2.9:1700"));
    flush(c);
    mac_stranger(&c->env, 0xB000000000000001ULL, S("192.0.2.9:1700"));
    (void)mac_flush(&c->env, 1000);                            /* too soon */
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_count(c, "SELECT datagrams FROM stranger"), 5);
    flush(c);
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_count(c, "SELECT datagrams FROM stranger"), 6);
    rig_stop(c);
}

TEST(counts_that_could_not_be_written_fail_the_batch)
{
    static const char *const tables[] = { "gateway_state", "gateway_hour", "stranger" };
    for (size_t i = 0; i < COUNT(tables); i++) {
        struct rig *c = rig_make();
        mac_gateway_heard(&c->env, mac_gateway(c->env.mac, GATEWAY_A), S("192.0.2.1:1700"), true, true, 1);
        mac_gateway_heard(&c->env, mac_gateway(c->env.mac, GATEWAY_B), S("192.0.2.2:1700"), true, true, 1);
        mac_stranger(&c->env, 0xB000000000000001ULL, S("192.0.2.9:1700"));
        mac_stranger(&c->env, 0xB000000000000002ULL, S("192.0.2.9:1700"));
        rig_lock(c, tables[i], "tenant >= 0");
        flush(c);
        TRUE(c->env.failed != OK && rig_commit(c, NULL) != OK);
        EQ(rig_count(c, "SELECT COUNT(*) FROM gateway_hour"), 0);
        rig_unlock(c);
        rig_stop(c);
    }
}
