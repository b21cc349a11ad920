// SPDX-License-Identifier: Apache-2.0
/* What must not go back: counters, nonces, sessions and downlinks, through crashes and commits that fail. */
#include "flow/rig.h"

/* Two rows under one id would be one: the old command under the new one's name. */
BOTH(ids_of_downlinks_rise_over_a_start_with_the_clock_set_back)
{
    struct city *c = city_in(where);
    struct downlink_new in = { .tenant = 1, .dev_eui = RIVER, .fport = 10, .payload = { (const u8 *)"\x01", 1 } };
    struct str why;
    i64 id, last = 0;
    for (int i = 0; i < 6; i++) {
        pass(c, i == 0 ? 400LL * 86400 * US_PER_S : -3600 * US_PER_S);
        for (int k = 0; k < 3; k++) {
            EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
            (void)settle(c);
            TRUE(id > last);
            last = id;
        }
        if (i == 3)
            (void)count(c, "DELETE FROM mark WHERE name = 'downlink'");
        if (i == 4)
            (void)count(c, "UPDATE mark SET value = 5 WHERE name = 'downlink'");
        crash(c);
    }
    EQ(count(c, "SELECT COUNT(*) FROM downlink"), 18);
    stop(c);
}

BOTH(a_frame_heard_before_a_crash_is_not_new_after_it)
{
    struct city *c = city_in(where);
    struct node n = node_of(RIVER);
    join(c, &n);
    struct bytes heard[50];
    for (size_t i = 0; i < COUNT(heard); i++) {
        heard[i] = LEVEL(&n);
        EQ(hear(c, heard[i], GATEWAY_A, 50), PASS);
        (void)settle(c);
    }
    crash(c);
    for (size_t i = 0; i < COUNT(heard); i++)
        EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_REPEATED);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    (void)flow_idle(&c->env, 1000, &(enum err){ OK });                                     /* now the row carries it */
    crash(c);
    EQ(hear(c, heard[49], GATEWAY_A, 50), DROP_REPEATED);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 51);
    forget(&n), stop(c);
}

BOTH(rows_behind_catch_up_in_any_portion_and_after_a_failure)
{
    struct city *c = city_in(where);
    struct node n[3] = { node_of(RIVER), node_of(SCRIPTED), node_of(TRACKER) };
    struct bytes heard[9];
    for (size_t i = 0; i < 3; i++)
        join(c, &n[i]);
    for (size_t i = 0; i < COUNT(heard); i++) {
        pass(c, US_PER_S);
        heard[i] = LEVEL(&n[i % 3]);
        EQ(hear(c, heard[i], GATEWAY_A, 50), PASS);
        (void)settle(c);
        if (i == 3) {
            TRUE(flow_idle(&c->env, 1, &(enum err){ OK }) > 0);                            /* one of three */
            crash(c);
            for (size_t k = 0; k <= i; k++)
                EQ(hear(c, heard[k], GATEWAY_A, 50), DROP_REPEATED);
        }
        if (i == 6) {
            TRUE(mac_flush(&c->env, 10) > 0);
            c->env.failed = ERR_FULL;
            EQ(flow_commit(&c->env), ERR_FULL);
            flow_done(&c->env);
            EQ(mac_numbers(c->env.mac).dirty, 3);
            TRUE(flow_idle(&c->env, 2, &(enum err){ OK }) > 0);
        }
    }
    crash(c);
    for (size_t i = 0; i < COUNT(heard); i++)
        EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_REPEATED);
    for (size_t i = 0; i < 3; i++) {
        EQ(hear(c, LEVEL(&n[i]), GATEWAY_A, 50), PASS);
        forget(&n[i]);
    }
    stop(c);
}

BOTH(what_a_failed_commit_takes_back_never_happened)
{
    struct city *c = city_in(where);
    struct node n = node_of(RIVER);
    join(c, &n);
    struct bytes phy = LEVEL(&n);
    EQ(hear(c, phy, GATEWAY_A, 50), PASS);
    c->env.failed = ERR_FULL;
    EQ(flow_commit(&c->env), ERR_FULL);
    flow_done(&c->env);
    EQ(hear(c, phy, GATEWAY_A, 50), PASS);                              /* neither a copy nor a repetition */
    pass(c, 300 * US_PER_MS);
    (void)flow_tick(&c->env);                                           /* its window closes in the batch that fails */
    c->env.failed = ERR_FULL;
    EQ(flow_commit(&c->env), ERR_FULL);
    flow_done(&c->env);
    EQ(hear(c, phy, GATEWAY_A, 50), PASS);
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 1);
    n.dev_nonce = 7;
    struct bytes request = join_request(&n);
    EQ(hear(c, request, GATEWAY_A, 50), PASS);
    c->env.failed = ERR_FULL;
    EQ(flow_commit(&c->env), ERR_FULL);
    flow_done(&c->env);
    pass(c, 10 * US_PER_S);
    (void)flow_tick(&c->env);
    EQ(hear(c, request, GATEWAY_A, 50), PASS);                          /* its DevNonce is still unused */
    take_accept(&n, after_window(c));
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    forget(&n), stop(c);
}

/* The disk was full for a moment when the window closed: the frame is accepted, and its device waits. */
BOTH(an_answer_whose_batch_failed_is_in_the_next)
{
    struct city *c = city_in(where);
    struct node n = node_of(RIVER);
    join(c, &n);
    pass(c, 10 * US_PER_S);
    for (u32 fails = 0; fails < 3; fails++) {
        u32 tmst = (u32)c->world.now.us;
        EQ(hear(c, say(&n, "\1\2\3", 3, true, (struct bytes){ NULL, 0 }), GATEWAY_A, 50), PASS);
        (void)settle(c);
        pass(c, 200 * US_PER_MS);
        for (u32 i = 0; i < fails; i++) {
            (void)flow_tick(&c->env);
            struct node other = node_of(TRACKER);
            other.dev_nonce = (u16)(10 * fails + i);
            (void)hear(c, join_request(&other), GATEWAY_A, 50);         /* its window opens in the batch that fails */
            c->env.failed = ERR_FULL;
            EQ(flow_commit(&c->env), ERR_FULL);
            flow_done(&c->env);
            pass(c, 10 * US_PER_MS);
        }
        (void)flow_tick(&c->env);
        struct downlink *d = settle(c);
        TRUE(d != NULL);
        if (d) {
            EQ(d->tries[0].tmst_us, tmst + 5000000);                    /* the air that was planned for it is free again */
            EQ(d->tries[1].tmst_us, tmst + 6000000);
        }
        (void)flow_tick(&c->env);
        TRUE(settle(c) == NULL);                                        /* once */
        pass(c, 20 * US_PER_S);
    }
    EQ(count(c, "SELECT COUNT(*) FROM downlink WHERE kind = 1"), 3);
    EQ(hear(c, say(&n, "\1\2\3", 3, true, (struct bytes){ NULL, 0 }), GATEWAY_A, 50), PASS);
    (void)settle(c);
    for (int i = 0; i < 2; i++) {
        pass(c, 3 * US_PER_S);
        (void)flow_tick(&c->env);
        c->env.failed = ERR_FULL;
        EQ(flow_commit(&c->env), ERR_FULL);
        flow_done(&c->env);
    }
    (void)flow_tick(&c->env);
    TRUE(settle(c) == NULL);                                            /* its device does not listen any more */
    forget(&n), stop(c);
}

BOTH(a_devnonce_is_never_forgotten)
{
    struct city *c = city_in(where);
    struct node n = node_of(RIVER);
    struct bytes requests[20];
    for (u16 i = 0; i < COUNT(requests); i++) {
        n.dev_nonce = (u16)(i * 77);
        requests[i] = join_request(&n);
        EQ(hear(c, requests[i], GATEWAY_A, 50), PASS);
        EQ(hear(c, requests[i], GATEWAY_B, 50), DROP_JOIN_REPEATED);    /* a copy is no reuse */
        (void)after_window(c);
        pass(c, 30 * US_PER_S);
        (void)flow_tick(&c->env);
    }
    crash(c);
    for (size_t i = 0; i < COUNT(requests); i++)
        EQ(hear(c, requests[i], GATEWAY_A, 50), DROP_DEVNONCE);
    stop(c);
}

BOTH(the_old_session_lives_until_the_first_uplink_under_the_new_one)
{
    struct city *c = city_in(where);
    struct node old = node_of(RIVER), new = node_of(RIVER);
    join(c, &old);
    EQ(hear(c, LEVEL(&old), GATEWAY_A, 50), PASS);
    (void)settle(c);
    new.dev_nonce = 1;
    join(c, &new);
    EQ(hear(c, LEVEL(&old), GATEWAY_A, 50), PASS);                      /* the accept may have been lost */
    (void)settle(c);
    crash(c);
    EQ(hear(c, LEVEL(&old), GATEWAY_A, 50), PASS);
    EQ(hear(c, LEVEL(&new), GATEWAY_A, 50), PASS);
    (void)settle(c);
    TRUE(hear(c, LEVEL(&old), GATEWAY_A, 50) != PASS);
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM session"), 1);
    crash(c);
    EQ(hear(c, LEVEL(&new), GATEWAY_A, 50), PASS);
    forget(&old), forget(&new), stop(c);
}

/* A join-request that was not heard in its time is sent again by a thief, or was kept by a gateway. */
BOTH(a_session_that_waits_outlives_later_joins_until_its_device_speaks)
{
    struct city *c = city_in(where);
    struct node n = node_of(RIVER), late = node_of(RIVER);
    n.dev_nonce = 100;
    join(c, &n);
    for (late.dev_nonce = 1; late.dev_nonce <= 3; late.dev_nonce++) {
        pass(c, 10 * US_PER_S);
        EQ(hear(c, join_request(&late), GATEWAY_A, 50), PASS);
        TRUE(after_window(c) != NULL);
        if (late.dev_nonce == 2)
            crash(c);
    }
    EQ(count(c, "SELECT COUNT(*) FROM session WHERE state = 0"), 4);
    struct bytes first = LEVEL(&n);
    EQ(hear(c, first, GATEWAY_A, 50), PASS);
    c->env.failed = ERR_FULL;
    EQ(flow_commit(&c->env), ERR_FULL);
    flow_done(&c->env);
    EQ(hear(c, first, GATEWAY_A, 50), PASS);                            /* what a failed batch decided is not decided */
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM session WHERE state = 1"), 1);
    EQ(count(c, "SELECT COUNT(*) FROM session WHERE state = 0"), 3);    /* they came after it: one of them may be heard yet */
    crash(c);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    for (late.dev_nonce = 11; late.dev_nonce <= 13; late.dev_nonce++) {
        EQ(hear(c, join_request(&late), GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, 10 * US_PER_S);
    }
    EQ(count(c, "SELECT COUNT(*) FROM session WHERE state = 0"), 4);    /* there is room for a few, not for all */
    late.dev_nonce = 14;
    join(c, &late);
    EQ(hear(c, LEVEL(&late), GATEWAY_A, 50), PASS);
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM session"), 1);                    /* the newest was heard: all others are over */
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), DROP_UNKNOWN_DEVADDR);
    i64 accepts = count(c, "SELECT COUNT(*) FROM downlink WHERE kind = 2");
    for (late.dev_nonce = 21; late.dev_nonce <= 22; late.dev_nonce++)
        EQ(hear(c, join_request(&late), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    EQ(count(c, "SELECT COUNT(*) FROM downlink WHERE kind = 2"), accepts + 1);    /* of two at once the newer is answered */
    forget(&n), forget(&late), stop(c);
}

BOTH(no_downlink_counter_is_used_twice_across_crashes)
{
    struct city *c = city_in(where);
    struct node n = node_of(RIVER);
    i64 last = -1;
    join(c, &n);
    for (int i = 0; i < 200; i++) {
        struct lora_frame f;
        EQ(hear(c, say(&n, "\1\2\3", 3, true, (struct bytes){ NULL, 0 }), GATEWAY_A, 50), PASS);
        struct downlink *d = after_window(c);
        TRUE(d && lora_frame_parse(&f, d->phy) == LORA_OK);
        if (!d)
            break;
        TRUE(f.fcnt_low > last);
        last = f.fcnt_low;
        pass(c, US_PER_S);
        if (i % 7 == 3)
            crash(c);
    }
    forget(&n), stop(c);
}

BOTH(a_queued_downlink_is_offered_once_and_never_again_after_a_crash)
{
    struct city *c = city_in(where);
    struct node n = node_of(RIVER);
    struct downlink_new in = { 1, RIVER, 10, false, bytes_of(S("hello")), 0 };
    struct str why;
    i64 id;
    join(c, &n);
    EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
    (void)settle(c);
    crash(c);                                                           /* what was queued is still queued */
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    struct downlink *d = after_window(c);
    TRUE(d && d->id == id);
    EQ(count(c, "SELECT state FROM downlink WHERE kind = 0"), DOWN_OFFERED);
    crash(c);
    EQ(count(c, "SELECT state FROM downlink WHERE kind = 0"), DOWN_UNKNOWN);
    pass(c, 10 * US_PER_S);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    d = after_window(c);
    TRUE(!d || d->id != id);
    in.fport = 0;
    EQ(mac_downlink_add(&c->env, &in, &id, &why), ERR_INVALID);
    in.fport = 1, in.dev_eui = 5;
    EQ(mac_downlink_add(&c->env, &in, &id, &why), ERR_NOT_FOUND);
    forget(&n), stop(c);
}

/* A jump writes rows whole, with a new sum: what was damaged must not become sound by it. */
BOTH(a_restore_jumps_over_all_counters_and_believes_no_damaged_row)
{
    struct city *c = city_in(where);
    struct node n = node_of(RIVER), other = node_of(SCRIPTED);
    struct downlink_new in = { 1, RIVER, 10, false, bytes_of(S("hello")), 0 };
    struct restored done;
    struct lora_frame f;
    struct str why;
    i64 id;
    join(c, &n), join(c, &other);
    EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
    (void)settle(c);
    (void)count(c, "UPDATE join_state SET join_nonce = 0 WHERE dev_eui = 8121069293711392769");
    EQ(mac_restored(&c->env, c->world.clock.us - 100 * US_PER_S, false, &done), OK);
    EQ(done.jump, 1124);
    EQ(done.sessions, 2);
    EQ(done.downlinks, 3);                                              /* the two accepts, too */
    EQ(count(c, "SELECT state FROM downlink WHERE kind = 0"), DOWN_UNKNOWN);
    crash(c);
    pass(c, 10 * US_PER_S);
    EQ(hear(c, say(&n, "\1\2\3", 3, true, (struct bytes){ NULL, 0 }), GATEWAY_A, 50), PASS);
    struct downlink *d = after_window(c);
    TRUE(d && lora_frame_parse(&f, d->phy) == LORA_OK && f.fcnt_low >= 1124);
    for (int i = 0; i < 2; i++) {
        struct node *again = i ? &other : &n;
        again->dev_nonce++;
        pass(c, 10 * US_PER_S);
        join(c, again);
    }
    TRUE(count(c, "SELECT join_nonce FROM join_state WHERE dev_eui = 8121069293711392769") > 1 << 22);      /* where none was */
    i64 jumped = count(c, "SELECT join_nonce FROM join_state WHERE dev_eui = 8121069293711392770");
    TRUE(jumped > 1124 && jumped < 1200);
    forget(&n), forget(&other), stop(c);
}
