// SPDX-License-Identifier: Apache-2.0
/*
 * Some days of the store in which one call fails: each of the first hundred, of the next every second,
 * and so on until there is none left. Each batch is then whole or not there, what was refused goes
 * through when it comes again, and at the end the store is the same as if nothing had happened.
 */
#include "db/rig.h"
#include "flow/rig.h"

/* Until it is accepted: after a failure it comes again, and is no copy and no repetition. */
static void insist(struct city *c, struct bytes phy, enum drop wanted)
{
    enum err err = ERR_FULL;
    enum drop drop = PASS;
    for (int i = 0; err != OK && i < 3; i++) {
        drop = hear(c, phy, GATEWAY_A, 50);
        err  = flow_commit(&c->env);
        flow_done(&c->env);
    }
    EQ(err, OK);
    EQ(drop, wanted);
}

static void close_window(struct city *c)
{
    enum err err = ERR_FULL;
    pass(c, 200000);
    for (int i = 0; err != OK && i < 3; i++) {
        (void)flow_tick(&c->env);
        err = flow_commit(&c->env);
        flow_done(&c->env);
    }
    EQ(err, OK);
    pass(c, 10 * US_PER_S);
}

static void answer_codec(struct city *c)
{
    struct uplink waiting;
    enum err err = ERR_FULL;
    for (int i = 0; err != OK && i < 3; i++) {
        if (flow_waiting(&c->env, 0, &waiting, 1) == 1)
            (void)flow_reading(&c->env, &waiting, S("{\"data\":{\"temperature\":1.5},\"errors\":[\"odd\"]}"));
        err = flow_commit(&c->env);
        flow_done(&c->env);
        if (err == OK && count(c, "SELECT COUNT(*) FROM intent") != 0)
            err = ERR_FULL;
    }
    EQ(err, OK);
}

static void order(struct city *c)
{
    struct downlink_new in = { 1, RIVER, 10, true, bytes_of(S("hello")), 0 };
    struct str why;
    enum err err = ERR_FULL;
    i64 id;
    for (int i = 0; err != OK && i < 3; i++) {
        (void)mac_downlink_add(&c->env, &in, &id, &why);
        err = flow_commit(&c->env);
        flow_done(&c->env);
    }
    EQ(err, OK);
}

/* Rows behind, the day's seal, the census, retention: what failed is done the next time. */
static void idle(struct city *c)
{
    enum err err;
    for (int i = 0; i < 80; i++) {
        (void)flow_idle(&c->env, 100, &err);
        (void)flow_keep(&c->env, &err);
        pass(c, 2 * US_PER_S);
    }
}

static i64 calls_left(struct city *c, struct node n[3])
{
    order(c);
    insist(c, LEVEL(&n[0]), PASS);
    close_window(c);
    insist(c, LEVEL(&n[1]), PASS);
    close_window(c);
    answer_codec(c);
    insist(c, say(&n[2], "\x15\xdf\x4b\x2a\x5a", 5, false, (struct bytes){ NULL, 0 }), PASS);
    close_window(c);
    n[2].dev_nonce++;
    insist(c, join_request(&n[2]), PASS);
    close_window(c);
    idle(c);
    pass(c, DAY_US);
    insist(c, LEVEL(&n[0]), PASS);
    close_window(c);
    n[0].fcnt += 20000;
    insist(c, LEVEL(&n[0]), DROP_FCNT_GAP);
    idle(c);
    pass(c, 2 * DAY_US);
    insist(c, LEVEL(&n[1]), PASS);
    idle(c);
    return fault.until;
}

static const struct { const char *sql; i64 is; } outcome[] = {
    { "SELECT COUNT(*) FROM uplink", 1 },       { "SELECT COUNT(*) FROM intent", 1 },
    { "SELECT COUNT(*) FROM reading", 0 },      { "SELECT COUNT(*) FROM entity", 2 },
    { "SELECT COUNT(*) FROM day_seal", 3 },     { "SELECT COUNT(*) FROM dev_nonce", 4 },
    { "SELECT COUNT(*) FROM device_state", 3 }, { "SELECT COUNT(*) FROM session WHERE state = 1", 3 },
    { "SELECT COUNT(*) FROM refusal WHERE word = 'DROP_FCNT_GAP'", 1 },
    { "SELECT COUNT(*) FROM downlink WHERE kind = 0", 1 },
    { "SELECT MAX(fcnt_up) FROM device_state", 1 },
};

TEST(whichever_call_of_the_store_fails_the_batch_is_whole_or_not_there)
{
    i64 left = 0;
    log_set_level(LOG_NOTHING);
    for (i64 at = 1; left == 0 && at < 2000; at += 1 + at / 100) {
        struct city *c = city_in(str_z(str_fmt(test_arena(), "%s/%lld", test_folder(), (long long)at).p));
        struct node n[3] = { node_of(RIVER), node_of(SCRIPTED), node_of(TRACKER) };
        EQ(db_exec(c->env.db, "PRAGMA synchronous = OFF"), OK);
        flow_keep_start(&c->env, DAY_US);
        for (size_t i = 0; i < COUNT(n); i++)
            join(c, &n[i]);
        fault_at(c->env.db, at);
        left = calls_left(c, n);
        fault.until = 0;
        for (size_t i = 0; i < COUNT(outcome); i++)
            if (count(c, outcome[i].sql) != outcome[i].is)
                test_fail(__FILE__, __LINE__, "call %lld: %s is %lld, not %lld", (long long)at, outcome[i].sql,
                          (long long)count(c, outcome[i].sql), (long long)outcome[i].is);
        for (size_t i = 0; i < COUNT(n); i++)
            forget(&n[i]);
        stop(c);
    }
    log_set_level(LOG_INFO);
    TRUE(left > 0);
}
