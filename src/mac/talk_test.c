// SPDX-License-Identifier: Apache-2.0
/* The talk about a device's radio on the way of its frames: what is stored of it, and what ADR makes of what it hears. */
#include "base/test.h"
#include "mac/rig.h"

/* An uplink, and the commands that come back in its window, as hex; "none": nothing does. */
static struct str say(struct rig *c, struct node *n, u32 fcnt, u8 fctrl, struct str fopts, struct by by)
{
    struct lora_frame f;
    struct lora_session s = rig_session(n);
    u8 *room = arena_take(test_arena(), LORA_AIR_MAX, 1);
    EQ(rig_hear(c, NULL, rig_frame(n, fcnt, false, fctrl, fopts), by), PASS);
    struct downlink *d = rig_answer(c);
    rig_pass(c, 10 * US_PER_S);
    (void)mac_tick(&c->env);
    EQ(rig_commit(c, NULL), OK);
    if (!d)
        return S("none");
    TRUE(lora_frame_parse(&f, d->phy) == LORA_OK);
    struct lora_frame open = f;
    lora_frame_open(&open, room, &f, &s, f.fcnt_low);
    return hex_str(test_arena(), open.fopts);
}

/* Joined, and it does what is wanted; its next counter is 3. */
static void join_and_settle(struct rig *c, struct node *n)
{
    rig_join(c, n);
    (void)say(c, n, 0, 0, S(""), NOW);
    (void)say(c, n, 1, 0, S("\x09\x07\x03"), NOW);
    STR_EQ(say(c, n, 2, 0, S(""), NOW), S("none"));
}

static struct str newest_log(struct rig *c)
{
    struct db_query *q = db_query(c->env.db, "SELECT words FROM mac_log ORDER BY id DESC LIMIT 1");
    struct str words = db_step(q) == OK ? str_copy(test_arena(), db_str(q, 0)) : S("");
    db_reset(q);
    return words;
}

TEST(what_a_device_was_asked_and_has_answered_outlives_a_crash)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    STR_EQ(say(c, &n, 0, 0, S(""), NOW), S("0903070740bf8c50"));
    rig_crash(c);
    STR_EQ(say(c, &n, 1, 0, S("\x09\x07\x03"), NOW), S(""));
    TRUE(!rig_current(c, RIVER, 0)->dwell_up);
    rig_crash(c);
    STR_EQ(say(c, &n, 2, 0, S(""), NOW), S("none"));
    EQ(rig_current(c, RIVER, 0)->settled, talk_mark(&c->env, 0));
    rig_crash(c);
    EQ(rig_current(c, RIVER, 0)->settled, talk_mark(&c->env, 0));
    STR_EQ(say(c, &n, 3, 0, S(""), NOW), S("none"));
    EQ(rig_count(c, "SELECT COUNT(*) FROM mac_state"), 1);
    rig_forget(&n), rig_stop(c);
}

TEST(a_new_session_begins_its_talk_anew)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    (void)say(c, &n, 0, 0, S(""), NOW);
    (void)say(c, &n, 1, 0, S("\x09\x07\x03"), NOW);
    n.dev_nonce++;
    rig_join(c, &n);
    STR_EQ(say(c, &n, 0, 0, S(""), NOW), S("0903070740bf8c50"));
    rig_forget(&n), rig_stop(c);
}

TEST(a_damaged_row_of_the_talk_begins_it_anew_and_costs_nothing_else)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    (void)say(c, &n, 0, 0, S(""), NOW);
    EQ(db_exec(c->env.db, "UPDATE mac_state SET session = session, state = x'0102'"), OK);
    STR_EQ(say(c, &n, 1, 0, S(""), NOW), S("0903070740bf8c50"));
    rig_forget(&n), rig_stop(c);
}

TEST(adr_is_asked_after_four_uplinks_and_says_why)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct by loud = { .snr_cb = 50 };
    join_and_settle(c, &n);
    for (u32 i = 3; i < 6; i++)
        STR_EQ(say(c, &n, i, FCTRL_ADR, S(""), loud), S("none"));
    STR_EQ(say(c, &n, 6, FCTRL_ADR, S(""), loud), S("0350ff0001"));
    STR_EQ(newest_log(c), S("4 uplinks at DR2, mean SNR 5.0 dB; it needs -15.0, 10.0 are kept in hand: +3 steps of 3 dB; DR2 -> DR5"));
    STR_EQ(say(c, &n, 7, FCTRL_ADR, S("\x03\x07"), (struct by){ .snr_cb = 50, .sf = 7 }), S("none"));
    STR_EQ(newest_log(c), S("the device uses DR5, TXPower 0, 1 transmissions, channels 00ff"));
    EQ(rig_current(c, RIVER, 0)->adr.n, 1);                    /* what was heard before says nothing of now */
    rig_forget(&n), rig_stop(c);
}

TEST(a_device_that_does_not_ask_for_adr_is_left_its_data_rate)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    rig_settle(c, &n);
    for (u32 i = 0; i < 30; i++)
        STR_EQ(say(c, &n, i, 0, S(""), (struct by){ .snr_cb = 100 }), S("none"));
    rig_forget(&n), rig_stop(c);
}

TEST(a_decision_that_the_device_refuses_is_logged_and_not_asked_again)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct by loud = { .snr_cb = 50 };
    join_and_settle(c, &n);
    for (u32 i = 3; i < 7; i++)
        (void)say(c, &n, i, FCTRL_ADR, S(""), loud);
    STR_EQ(say(c, &n, 7, FCTRL_ADR, S("\x03\x05"), loud), S("0340ff0001"));           /* not DR5: DR4 then */
    STR_EQ(newest_log(c), S("the device refuses a data rate; at most DR4 is asked for"));
    STR_EQ(say(c, &n, 8, FCTRL_ADR, S("\x03\x05"), loud), S("0330ff0001"));
    STR_EQ(say(c, &n, 9, FCTRL_ADR, S("\x03\x05"), loud), S("none"));                  /* and stays where it is */
    rig_forget(&n), rig_stop(c);
}

/* What was stored and what memory holds go the same way when a batch is lost. */
TEST(a_talk_in_a_lost_batch_did_not_happen)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    (void)say(c, &n, 0, 0, S(""), NOW);
    struct session before = *rig_current(c, RIVER, 0);
    struct bytes phy = rig_frame(&n, 1, false, 0, S("\x09\x07\x03"));
    EQ(rig_hear(c, NULL, phy, NOW), PASS);
    c->env.failed = ERR_IO;
    EQ(rig_commit(c, NULL), ERR_IO);
    struct session after = *rig_current(c, RIVER, 0);
    EQ(after.dwell_up, before.dwell_up);
    EQ(after.settled, before.settled);
    STR_EQ(say(c, &n, 1, 0, S("\x09\x07\x03"), NOW), S(""));
    TRUE(!rig_current(c, RIVER, 0)->dwell_up);
    rig_forget(&n), rig_stop(c);
}
