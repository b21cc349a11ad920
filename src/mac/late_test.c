// SPDX-License-Identifier: Apache-2.0
/* What gateways kept comes once, at its own time, and changes nothing of now (promises R3, R11, R12). */
#include "mac/rig.h"

static i64 flags_of(struct rig *c, u32 fcnt)
{
    struct db_query *q = db_query(c->env.db, "SELECT flags FROM uplink WHERE fcnt = $1");
    db_bind_i64(q, 1, fcnt);
    i64 flags = db_step(q) == OK ? db_i64(q, 0) : -1;
    db_reset(q);
    return flags & (UPLINK_LATE | UPLINK_BEHIND);
}

TEST(a_frame_from_behind_is_accepted_once_and_told_as_late)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct uplink u;
    rig_join(c, &n);
    for (u32 i = 0; i < 10; i++)
        if (i < 4 || i > 6)
            EQ(rig_alone(c, &u, rig_plain(&n, i), NOW), PASS);
    TRUE(!u.late && !u.behind);
    for (u32 i = 6; i >= 4; i--) {
        EQ(rig_alone(c, &u, rig_plain(&n, i), NOW), PASS);
        TRUE(u.late && u.behind && u.fcnt == i);
        EQ(flags_of(c, i), UPLINK_LATE | UPLINK_BEHIND);
    }
    EQ(flags_of(c, 9), 0);
    EQ(rig_current(c, RIVER, 0)->fcnt_up, 9);
    for (u32 i = 0; i < 10; i++)
        EQ(rig_alone(c, &u, rig_plain(&n, i), NOW), DROP_REPEATED);
    EQ(rig_alone(c, &u, rig_plain(&n, 10), NOW), PASS);
    TRUE(!u.late);
    EQ(rig_count(c, "SELECT COUNT(*) FROM uplink"), 11);
    rig_forget(&n), rig_stop(c);
}

TEST(a_late_frame_is_not_answered_and_settles_nothing)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct downlink_new in = { 1, RIVER, 10, true, bytes_of(S("hello")), 0 };
    struct str why;
    i64 id;
    rig_join(c, &n);
    rig_settle(c, &n);
    EQ(rig_hear(c, NULL, rig_frame(&n, 5, false, 0, S("")), NOW), PASS);         /* nothing is owed */
    TRUE(rig_answer(c) == NULL);
    EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
    /* Confirmed, asking for ADR, with LinkCheckReq and a battery level; and kept, with a higher counter. */
    struct bytes behind = rig_frame(&n, 3, true, FCTRL_ADR | FCTRL_ADR_ACK_REQ, S("\x02\x06\x7f\x10")),
                 kept   = rig_frame(&n, 6, true, FCTRL_ADR | FCTRL_ADR_ACK_REQ, S("\x02\x06\x7f\x10"));
    EQ(rig_hear(c, NULL, behind, NOW), PASS);
    EQ(rig_hear(c, NULL, kept, (struct by){ .kept_us = 7 * US_PER_S }), PASS);
    TRUE(rig_answer(c) == NULL);
    EQ(rig_current(c, RIVER, 0)->fcnt_up, 6);
    EQ(flags_of(c, 6), UPLINK_LATE);
    EQ(c->env.mac->devices[0].battery_pct, -1);
    rig_pass(c, 10 * US_PER_S);
    (void)mac_tick(&c->env);
    EQ(rig_hear(c, NULL, kept, (struct by){ .kept_us = 20 * US_PER_S }), DROP_REPEATED);   /* nor when it is told again */
    EQ(rig_hear(c, NULL, behind, NOW), DROP_REPEATED);
    TRUE(rig_answer(c) == NULL);

    EQ(rig_hear(c, NULL, rig_plain(&n, 7), NOW), PASS);                           /* now it listens */
    struct downlink *d = rig_answer(c);
    TRUE(d && d->id == id);
    EQ(rig_hear(c, NULL, rig_plain(&n, 2), NOW), PASS);                           /* this one was sent before that */
    EQ(rig_hear(c, NULL, rig_plain(&n, 8), (struct by){ .kept_us = 7 * US_PER_S }), PASS);
    TRUE(rig_answer(c) == NULL);
    EQ(rig_count(c, "SELECT state FROM downlink WHERE kind = 0"), DOWN_OFFERED);
    EQ(rig_hear(c, NULL, rig_frame(&n, 9, false, FCTRL_ACK, S("")), NOW), PASS);
    (void)rig_answer(c);
    EQ(rig_count(c, "SELECT state FROM downlink WHERE kind = 0"), DOWN_CONFIRMED);
    rig_forget(&n), rig_stop(c);
}

TEST(a_late_frame_stands_at_its_gateways_time_where_that_can_be)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct uplink u;
    rig_join(c, &n);
    i64 joined = rig_current(c, RIVER, 1)->id;
    rig_pass(c, 86400 * US_PER_S);
    EQ(rig_alone(c, &u, rig_plain(&n, 100), (struct by){ .gateway_us = joined + 5 }), PASS);
    EQ(u.received.us, c->clock.us - 20 * US_PER_S);                               /* not late: when we heard it */
    struct { i64 gateway_us, is; } facts[] = {
        { 0, 0 }, { joined + 3600 * US_PER_S, joined + 3600 * US_PER_S }, { joined, 0 }, { joined - 1, 0 }, { 1, 0 },
        { joined + 1, joined + 1 }, { c->clock.us + 86400 * US_PER_S, 0 },        /* 0: when we heard it */
    };
    for (u32 i = 0; i < COUNT(facts); i++) {
        i64 heard = c->clock.us;
        EQ(rig_alone(c, &u, rig_plain(&n, i), (struct by){ .gateway_us = facts[i].gateway_us }), PASS);
        EQ(u.received.us, facts[i].is ? facts[i].is : heard);
    }
    EQ(rig_count(c, "SELECT received_us FROM uplink WHERE fcnt = 1"), joined + 3600 * US_PER_S);
    rig_forget(&n), rig_stop(c);
}

/* Every counter that the window holds, in an order of chance, with deaths of the process between. */
TEST(all_that_was_never_seen_within_4096_is_accepted_exactly_once)
{
    enum { TOP = 5000 };
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    static u16 order[REPLAY_WINDOW];
    rig_join(c, &n);
    EQ(rig_alone(c, NULL, rig_plain(&n, 2000), NOW), PASS);
    EQ(rig_alone(c, NULL, rig_plain(&n, TOP), NOW), PASS);
    for (u32 i = 0; i < REPLAY_WINDOW; i++) {
        u32 at = (u32)(hash_u64(i + 1) % (i + 1));
        order[i]  = order[at];
        order[at] = (u16)(TOP - REPLAY_WINDOW + i);
    }
    for (u32 round = 0; round < 2; round++)
        for (u32 i = 0; i < REPLAY_WINDOW; i++) {
            bool new = round == 0 && order[i] != 2000;
            enum drop drop = rig_hear(c, NULL, rig_plain(&n, order[i]), NOW);
            if (drop != (new ? PASS : DROP_REPEATED))
                test_fail(__FILE__, __LINE__, "round %u: FCnt %u is %s", round, order[i], drop_name(drop));
            if (i % 100 == 99) {
                EQ(rig_commit(c, NULL), OK);
                rig_pass(c, 10 * US_PER_S);
                (void)mac_tick(&c->env);
                EQ(rig_commit(c, NULL), OK);
            }
            if (i % 1000 == 999)
                rig_crash(c);
        }
    rig_pass(c, US_PER_S);                                        /* fifty refusals a second are kept */
    EQ(rig_alone(c, NULL, rig_plain(&n, TOP - REPLAY_WINDOW - 1), NOW), DROP_REPEATED);
    TRUE(str_find(rig_refusal(c), S("highest accepted 5000: more than 4096 behind")) > 0);
    EQ(rig_alone(c, NULL, rig_plain(&n, TOP - REPLAY_WINDOW), NOW), DROP_REPEATED);
    TRUE(str_find(rig_refusal(c), S("this counter was accepted before")) > 0);
    EQ(rig_count(c, "SELECT COUNT(*) FROM uplink"), REPLAY_WINDOW + 1);
    rig_forget(&n), rig_stop(c);
}

/* ChirpStack #739: the counter turns over while frames are lost, repeated, out of order and kept, and the
 * process dies now and then. A set that forgets nothing knows what should happen. */
TEST(the_turn_of_sixteen_bits_confuses_nobody)
{
    static const u32 turns[] = { 0xFFFF, 0x10000, 0x1FFFF, 0x20000, 0xFFFFFFFF };
    enum { AROUND = 400 };
    for (size_t t = 0; t < COUNT(turns); t++) {
        struct rig *c = rig_make();
        struct node n = rig_node(RIVER);
        static bool seen[2 * AROUND];
        u32 low = turns[t] - AROUND, top = low;
        u64 chance = t + 1;
        memset(seen, 0, sizeof seen);
        n.dev_nonce = (u16)t;
        rig_join(c, &n);
        EQ(rig_alone(c, NULL, rig_plain(&n, 0), NOW), PASS);
        if (turns[t] == 0xFFFFFFFF)
            rig_current(c, RIVER, 0)->fcnt_up = low - 1;          /* 262,000 frames further on */
        for (u32 f = 16000; turns[t] != 0xFFFFFFFF && f < low; f += 16000)
            EQ(rig_alone(c, NULL, rig_plain(&n, f), NOW), PASS);
        EQ(rig_alone(c, NULL, rig_plain(&n, low), NOW), PASS);
        seen[0] = true;
        for (int i = 0; i < 1500; i++) {
            chance = hash_u64(chance);
            u32 reach = turns[t] == 0xFFFFFFFF ? AROUND : 2 * AROUND - 1;
            u32 f = chance % 3 ? low + (u32)(chance >> 8) % (top - low + 1) : top + 1 + (u32)(chance >> 8) % 3;
            if (f - low > reach)
                continue;
            bool new = !seen[f - low];
            enum drop drop = rig_hear(c, NULL, rig_plain(&n, f), (struct by){ .tmst_us = (i64)i * US_PER_S });
            if (new ? drop != PASS : drop != DROP_REPEATED && drop != DROP_COPY)
                test_fail(__FILE__, __LINE__, "highest %u, FCnt %u: %s", top, f, drop_name(drop));
            seen[f - low] = true;
            top = MAX(top, f);
            if (i % 7 == 0)
                EQ(rig_commit(c, NULL), OK);
            if (i % 200 == 199 && turns[t] != 0xFFFFFFFF) {
                EQ(rig_commit(c, NULL), OK);
                rig_crash(c);
            }
        }
        EQ(rig_commit(c, NULL), OK);
        EQ(rig_current(c, RIVER, 0)->fcnt_up, top);
        TRUE(top > turns[t] || turns[t] == 0xFFFFFFFF);
        rig_forget(&n), rig_stop(c);
    }
}

TEST(two_gateways_that_kept_the_same_backlog_give_one_event_for_each_frame)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(rig_alone(c, NULL, rig_plain(&n, 50), NOW), PASS);
    for (u32 i = 0; i < 20; i++)
        for (int g = 0; g < 3; g++) {                             /* the third time it is gateway A again */
            struct by by = { .gateway = g == 1 ? GATEWAY_B : GATEWAY_A, .tmst_us = 1000 + i };
            EQ(rig_hear(c, NULL, rig_plain(&n, i), by), g == 0 ? PASS : DROP_COPY);
        }
    TRUE(rig_answer(c) == NULL);
    EQ(rig_count(c, "SELECT COUNT(*) FROM uplink_copies"), 20);
    rig_pass(c, 4 * US_PER_S);                                    /* the window is closed, and still knows its copies */
    EQ(rig_hear(c, NULL, rig_plain(&n, 3), (struct by){ .gateway = 0xA3, .tmst_us = 5 }), DROP_COPY);
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_count(c, "SELECT LENGTH(radio) FROM uplink_copies ORDER BY LENGTH(radio) DESC LIMIT 1"), 3 * MAC_RADIO_BYTES);
    rig_pass(c, 10 * US_PER_S);
    (void)mac_tick(&c->env);
    for (u32 i = 0; i < 20; i++)
        EQ(rig_hear(c, NULL, rig_plain(&n, i), (struct by){ .gateway = GATEWAY_B }), DROP_REPEATED);
    EQ(rig_count(c, "SELECT COUNT(*) FROM uplink"), 21);
    rig_forget(&n), rig_stop(c);
}

TEST(a_late_frame_of_a_lost_batch_was_never_seen)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(rig_alone(c, NULL, rig_plain(&n, 9), NOW), PASS);
    EQ(rig_alone(c, NULL, rig_plain(&n, 5), NOW), PASS);
    EQ(rig_hear(c, NULL, rig_plain(&n, 4), NOW), PASS);
    EQ(rig_hear(c, NULL, rig_plain(&n, 20), NOW), PASS);
    c->env.failed = ERR_FULL;
    EQ(rig_commit(c, NULL), ERR_FULL);
    EQ(rig_alone(c, NULL, rig_plain(&n, 4), NOW), PASS);
    EQ(rig_alone(c, NULL, rig_plain(&n, 5), NOW), DROP_REPEATED);
    EQ(rig_alone(c, NULL, rig_plain(&n, 10), NOW), PASS);
    EQ(rig_current(c, RIVER, 0)->fcnt_up, 10);
    rig_forget(&n), rig_stop(c);
}

TEST(what_nobody_can_know_any_more_is_refused_in_words)
{
    static const char *const cuts[] = { "DELETE FROM uplink WHERE fcnt < 40",                /* retention */
                                        "UPDATE uplink SET payload = x'00' WHERE fcnt = 30",  /* damage */
                                        "UPDATE uplink SET prev = id, sum = NULL WHERE fcnt = 30" };
    for (size_t i = 0; i < COUNT(cuts); i++) {
        struct rig *c = rig_make();
        struct node n = rig_node(RIVER);
        n.dev_nonce = (u16)i;
        rig_join(c, &n);
        for (u32 f = 0; f <= 60; f += 2)
            EQ(rig_alone(c, NULL, rig_plain(&n, f), NOW), PASS);
        while (mac_flush(&c->env, 100) > 0)
            EQ(rig_commit(c, NULL), OK);
        EQ(db_exec(c->env.db, cuts[i]), OK);
        for (int life = 0; life < 2; life++) {
            EQ(rig_alone(c, NULL, rig_plain(&n, (u32)(47 + 2 * life)), NOW), PASS);           /* above the cut all is known */
            EQ(rig_alone(c, NULL, rig_plain(&n, 5), NOW), DROP_REPEATED);
            TRUE(str_find(rig_refusal(c), S("not kept any more, so it may have been accepted then")) > 0);
            EQ(rig_alone(c, NULL, rig_plain(&n, 50), NOW), DROP_REPEATED);
            rig_crash(c);
        }
        rig_forget(&n), rig_stop(c);
    }
}

/* A late frame in the chain says nothing of what lies behind it. */
TEST(a_cut_behind_a_late_frame_is_a_cut_all_the_same)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    static const u32 heard[] = { 1, 40, 7, 42 };
    rig_join(c, &n);
    for (size_t i = 0; i < COUNT(heard); i++)
        EQ(rig_alone(c, NULL, rig_plain(&n, heard[i]), NOW), PASS);
    EQ(db_exec(c->env.db, "DELETE FROM uplink WHERE fcnt = 40"), OK);
    while (mac_flush(&c->env, 100) > 0)
        EQ(rig_commit(c, NULL), OK);
    rig_crash(c);
    for (u32 f = 41; f < 42; f--)
        EQ(rig_hear(c, NULL, rig_plain(&n, f), NOW), DROP_REPEATED);              /* any of them may have been there */
    rig_forget(&n), rig_stop(c);
}

/* When all places are taken the first is given up; its events still know everything. */
TEST(windows_that_were_given_up_are_made_again_from_the_events)
{
    struct rig *c = rig_make();
    struct node n[2] = { rig_node(RIVER), rig_node(COUNTING) };
    struct mac *mac = c->env.mac;
    for (int i = 0; i < 2; i++) {
        n[i].dev_nonce = 1;
        rig_join(c, &n[i]);
        EQ(rig_alone(c, NULL, rig_plain(&n[i], 4000), NOW), PASS);
    }
    while (mac->late_n < LATE_SESSIONS)
        (void)pool_at((void **)&mac->late, &mac->late_n, &mac->late_room, sizeof *mac->late);
    for (u32 round = 0; round < 3; round++)
        for (u32 i = 0; i < 50; i++) {
            mac->late_next = i % 3 ? 0 : LATE_SESSIONS - 1;                       /* both want the same place */
            EQ(rig_alone(c, NULL, rig_plain(&n[i % 2], i * 7), NOW), round ? DROP_REPEATED : PASS);
        }
    EQ(mac->late_n, LATE_SESSIONS);
    TRUE(mac_numbers(mac).bytes < 64 << 20);
    rig_forget(&n[0]), rig_forget(&n[1]), rig_stop(c);
}

TEST(when_the_events_cannot_be_read_nothing_is_accepted_on_trust)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    for (u32 f = 10; f <= 30; f += 10)
        EQ(rig_alone(c, NULL, rig_plain(&n, f), NOW), PASS);
    rig_break(c, "uplink");
    EQ(rig_hear(c, NULL, rig_plain(&n, 25), NOW), DROP_STORE);
    EQ(rig_hear(c, NULL, rig_plain(&n, 15), NOW), DROP_STORE);                    /* the batch is lost: nothing is asked */
    TRUE(rig_commit(c, NULL) != OK);
    rig_mend(c, "uplink");
    EQ(rig_alone(c, NULL, rig_plain(&n, 25), NOW), PASS);
    rig_break(c, "uplink");
    EQ(rig_hear(c, NULL, rig_plain(&n, 5), NOW), DROP_STORE);                     /* what is known stays, the rest is asked */
    EQ(rig_hear(c, NULL, rig_plain(&n, 25), NOW), DROP_REPEATED);
    TRUE(rig_commit(c, NULL) != OK);
    rig_mend(c, "uplink");
    EQ(rig_alone(c, NULL, rig_plain(&n, 5), NOW), PASS);
    EQ(rig_alone(c, NULL, rig_plain(&n, 25), NOW), DROP_REPEATED);
    rig_forget(&n), rig_stop(c);
}

/* LoRaWAN 1.0.3, 6.2.4: both sessions may have a backlog until the first frame under the new one. */
TEST(a_backlog_belongs_to_its_session)
{
    struct rig *c = rig_make();
    struct node old = rig_node(RIVER), new = rig_node(RIVER);
    rig_join(c, &old);
    EQ(rig_alone(c, NULL, rig_plain(&old, 10), NOW), PASS);
    new.dev_nonce = 1;
    rig_join(c, &new);
    EQ(rig_alone(c, NULL, rig_plain(&old, 3), NOW), PASS);
    TRUE(rig_current(c, RIVER, 1) != NULL);                                       /* the new one still waits */
    EQ(rig_alone(c, NULL, rig_plain(&new, 5), (struct by){ .kept_us = 3600 * US_PER_S }), PASS);
    TRUE(rig_current(c, RIVER, 1) == NULL);                                       /* kept or not, the device has spoken */
    EQ(rig_alone(c, NULL, rig_plain(&old, 4), NOW), DROP_UNKNOWN_DEVADDR);        /* its keys are gone */
    for (u32 f = 0; f < 5; f++)
        EQ(rig_alone(c, NULL, rig_plain(&new, f), NOW), PASS);                    /* 3 was seen under other keys */
    rig_crash(c);
    for (u32 f = 0; f <= 5; f++)
        EQ(rig_alone(c, NULL, rig_plain(&new, f), NOW), DROP_REPEATED);
    rig_forget(&old), rig_forget(&new), rig_stop(c);
}
