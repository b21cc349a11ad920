// SPDX-License-Identifier: Apache-2.0
/* The wall clock may be set to anything at any moment: ids rise, windows close, downlinks expire (promises R10). */
#include "mac/rig.h"

#define HOUR_US (3600 * US_PER_S)
#define DAY_US  (24 * HOUR_US)
#define Y2038   (2147483647LL * US_PER_S)          /* 2038-01-19 03:14:07 UTC: 31 bits of seconds are full */

/* By how much the wall clock is moved, again and again; 0: to just before 2038-01-19 03:14:08. */
static const i64 jumps[] = { HOUR_US, -HOUR_US, 400 * DAY_US, -400 * DAY_US, 0, -4000 * DAY_US, DAY_US, -1, 1, 0,
                             -20000 * DAY_US, 400 * DAY_US };

static void jump(struct rig *c, size_t i)
{
    c->clock.us = jumps[i] ? c->clock.us + jumps[i] : Y2038 - 100000;
}

TEST(ids_rise_whatever_the_clock_does)
{
    struct rig *c = rig_make();
    i64 last = 0;
    for (int round = 0; round < 50; round++)
        for (size_t i = 0; i < COUNT(jumps); i++) {
            jump(c, i);
            for (int k = 0; k < 3; k++) {
                i64 id = env_next_id(&c->env);
                TRUE(id > last && id < 1LL << 53);
                TRUE(id >= c->clock.us);
                last = id;
            }
        }
    rig_stop(c);
}

/* Every id of every table, with a death after each jump. */
TEST(no_id_is_given_twice_over_deaths_and_jumps)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct downlink_new in = { 1, RIVER, 10, false, bytes_of(S("hello")), 0 };
    struct str why;
    i64 last = 0, id;
    for (size_t i = 0; i < COUNT(jumps); i++) {
        struct uplink u;
        jump(c, i);
        n.dev_nonce = (u16)(i + 1);
        rig_join(c, &n);
        i64 session = rig_current(c, RIVER, 1)->id;
        TRUE(session > last);
        EQ(rig_alone(c, &u, rig_frame(&n, 0, true, 0, S("")), NOW), PASS);
        TRUE(u.id > session);
        EQ(u.received.us, c->clock.us - 20 * US_PER_S);                         /* the true time, whatever the id says */
        EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
        EQ(rig_commit(c, NULL), OK);
        TRUE(id > u.id);
        last = id;
        if (i % 3 == 0)
            while (mac_flush(&c->env, 100) > 0)
                EQ(rig_commit(c, NULL), OK);
        rig_crash(c);
        TRUE(c->env.last_id >= last);
        EQ(rig_current(c, RIVER, 0)->fcnt_up, 0);
        rig_forget(&n);
        memset(n.keys, 0, sizeof n.keys);
    }
    EQ(rig_count(c, "SELECT COUNT(*) - COUNT(DISTINCT id) FROM (SELECT id FROM uplink UNION ALL SELECT id FROM session UNION ALL "
                    "SELECT id FROM downlink UNION ALL SELECT id FROM refusal)"), 0);
    rig_stop(c);
}

/* What retention has taken had ids too. */
TEST(ids_go_on_behind_events_that_are_gone)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct uplink u;
    c->clock.us += 400 * DAY_US;
    rig_join(c, &n);
    EQ(rig_alone(c, &u, rig_plain(&n, 0), NOW), PASS);
    while (mac_flush(&c->env, 100) > 0)
        EQ(rig_commit(c, NULL), OK);
    EQ(db_exec(c->env.db, "DELETE FROM uplink; DELETE FROM downlink; DELETE FROM mark WHERE name = 'downlink'"), OK);
    c->clock.us -= 400 * DAY_US;
    rig_crash(c);
    TRUE(env_next_id(&c->env) > u.id);
    rig_forget(&n), rig_stop(c);
}

TEST(a_window_closes_after_its_time_whatever_the_clock_does)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    for (size_t i = 0; i < COUNT(jumps); i++) {
        struct downlink *sent = NULL;
        u32 tmst = (u32)c->now.us;
        EQ(rig_hear(c, NULL, rig_frame(&n, (u32)i, true, 0, S("")), NOW), PASS);
        jump(c, i);
        rig_pass(c, 199999);
        (void)mac_tick(&c->env);
        EQ(rig_commit(c, &sent), OK);
        TRUE(sent == NULL);
        rig_pass(c, 1);
        struct mono next = mac_tick(&c->env);
        EQ(rig_commit(c, &sent), OK);
        TRUE(sent != NULL);
        EQ(sent ? sent->tries[0].tmst_us - tmst : 0, 5 * US_PER_S);
        TRUE(mono_since(next, c->now) > 0);                                     /* no interval is negative */
        EQ(rig_hear(c, NULL, rig_frame(&n, (u32)i, true, 0, S("")), (struct by){ .gateway = GATEWAY_B }), DROP_COPY);
        rig_pass(c, 10 * US_PER_S);
        (void)mac_tick(&c->env);
    }
    rig_forget(&n), rig_stop(c);
}

/* Refusals are kept fifty a second of the clock that does not jump. */
TEST(refusals_are_kept_at_the_same_pace_whatever_the_clock_does)
{
    struct rig *c = rig_make();
    for (size_t i = 0; i < COUNT(jumps); i++) {
        i64 before = rig_count(c, "SELECT COUNT(*) FROM refusal");
        rig_pass(c, US_PER_S);
        jump(c, i);
        for (int k = 0; k < 20; k++)
            mac_refuse(&c->env, 1, 0, DROP_BAD_MIC, GATEWAY_A, S(""));
        EQ(rig_commit(c, NULL), OK);
        EQ(rig_count(c, "SELECT COUNT(*) FROM refusal"), MIN(before + 20, REFUSAL_SLOTS_NOBODY));
    }
    rig_stop(c);
}

/* ------------------------------------------------------------------ downlinks that wait */

static struct str fate(struct rig *c, i64 id)
{
    struct db_query *q = db_query(c->env.db, "SELECT state, reason FROM downlink WHERE id = $1");
    db_bind_i64(q, 1, id);
    TRUE(db_step(q) == OK);
    struct str s = str_fmt(test_arena(), "%.*s: %.*s", STR(down_state_words((enum down_state)db_i64(q, 0))), STR(db_str(q, 1)));
    db_reset(q);
    return s;
}

TEST(a_downlink_expires_by_a_clock_that_may_be_set)
{
    struct { i64 lives_us, jump_us; const char *fate; } facts[] = {
        { DAY_US,      0,             "offered: " },
        { 0,           400 * DAY_US,  "offered: " },                            /* it never expires */
        { 0,           -400 * DAY_US, "offered: " },
        { DAY_US,      DAY_US - 10,   "expired: its time was over at 2026-02-" },
        { DAY_US,      400 * DAY_US,  "expired: its time was over at 2026-02-" },
        { DAY_US,      -HOUR_US,      "offered: " },                            /* an hour longer does no harm */
        { DAY_US,      -400 * DAY_US, "expired: the server's clock was set back since it was queued" },
        { 30 * DAY_US, -HOUR_US,      "expired: the server's clock was set back since it was queued" },
        { 99 * DAY_US, 0,             "offered: " },                            /* thirty days are the most */
        { 99 * DAY_US, 31 * DAY_US,   "expired: its time was over at 2026-03-" },
    };
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct str why;
    i64 id;
    rig_join(c, &n);
    for (u32 i = 0; i < COUNT(facts); i++) {
        i64 clock = c->clock.us;
        struct downlink_new in = { 1, RIVER, 10, false, bytes_of(S("hello")), facts[i].lives_us ? clock + facts[i].lives_us : 0 };
        EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
        EQ(rig_commit(c, NULL), OK);
        c->clock.us += facts[i].jump_us;
        EQ(rig_hear(c, NULL, rig_plain(&n, i), NOW), PASS);
        (void)rig_answer(c);
        struct str is = fate(c, id);
        if (!str_starts(is, str_z(facts[i].fate)))
            test_fail(__FILE__, __LINE__, "fact %u: %.*s", i, STR(is));
        EQ(c->env.mac->devices[0].queued, 0);
        c->clock.us = clock;
        rig_pass(c, 10 * US_PER_S);
        (void)mac_tick(&c->env);
    }
    rig_forget(&n), rig_stop(c);
}

TEST(an_expired_downlink_says_which_clock_said_so)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct str why;
    i64 id, clock = c->clock.us;
    rig_join(c, &n);
    struct downlink_new in = { 1, RIVER, 10, false, bytes_of(S("hello")), clock + DAY_US };
    EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
    c->clock.us = clock + 400 * DAY_US;
    EQ(rig_hear(c, NULL, rig_plain(&n, 0), NOW), PASS);
    (void)rig_answer(c);
    STR_EQ(fate(c, id), S("expired: its time was over at 2026-02-03T02:40:00.000Z, and the device was heard again at "
                          "2027-03-09T02:40:00.200Z"));
    rig_forget(&n), rig_stop(c);
}
