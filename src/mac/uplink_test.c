// SPDX-License-Identifier: Apache-2.0
/* A data frame from its shape to its event, and what it may ask for. */
#include "mac/rig.h"

static struct bytes asking(const struct node *n, u32 fcnt, struct str commands)
{
    return rig_frame(n, fcnt, false, 0, commands);
}

/* ------------------------------------------------------------------ counters */

TEST(a_frame_of_before_with_a_bent_mic_is_nobodys)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(rig_alone(c, NULL, rig_plain(&n, 9), NOW), PASS);
    u8 *bent = (u8 *)(uintptr_t)rig_plain(&n, 5).p;
    bent[15] ^= 1;
    EQ(rig_alone(c, NULL, (struct bytes){ bent, rig_plain(&n, 5).n }, NOW), DROP_BAD_MIC);
    EQ(rig_alone(c, NULL, rig_plain(&n, 5), NOW), PASS);
    rig_forget(&n), rig_stop(c);
}

TEST(a_counter_may_leap_as_far_as_the_standard_allows)
{
    struct { u32 from, to; enum drop drop; } facts[] = {
        { 10, 10 + 16384, PASS }, { 10, 10 + 16385, DROP_FCNT_GAP }, { 10, 10 + 65535, DROP_FCNT_GAP },
        { 65000, 65000 + 16384, PASS }, { 65000, 65000 + 16385, DROP_FCNT_GAP }, { UINT32_MAX - 1, UINT32_MAX, PASS },
        { 10, 10 + 65536 + 3, DROP_BAD_MIC },                               /* further than the air can say */
    };
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(rig_alone(c, NULL, rig_plain(&n, 16385), NOW), DROP_FCNT_GAP);       /* also of the first */
    EQ(rig_alone(c, NULL, rig_plain(&n, 0), NOW), PASS);
    for (size_t i = 0; i < COUNT(facts); i++) {
        rig_current(c, RIVER, 0)->fcnt_up = facts[i].from;
        enum drop drop = rig_hear(c, NULL, rig_plain(&n, facts[i].to), NOW);
        if (drop != facts[i].drop)
            test_fail(__FILE__, __LINE__, "%u after %u: %s", facts[i].to, facts[i].from, drop_name(drop));
        c->env.failed = ERR_FULL;                                           /* each from the same beginning */
        EQ(rig_commit(c, NULL), ERR_FULL);
    }
    rig_forget(&n), rig_stop(c);
}

/* ------------------------------------------------------------------ confirmed frames that come again */

TEST(a_confirmed_frame_said_again_is_acknowledged_again_with_a_new_counter)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct lora_frame first, again;
    rig_join(c, &n);
    struct bytes phy = rig_frame(&n, 0, true, 0, S(""));
    EQ(rig_hear(c, NULL, phy, NOW), PASS);
    struct downlink *d = rig_answer(c);
    TRUE(d && lora_frame_parse(&first, d->phy) == LORA_OK && (first.fctrl & FCTRL_ACK));
    rig_pass(c, 2 * US_PER_S);
    EQ(rig_hear(c, NULL, phy, NOW), DROP_REPEATED);                         /* the same gateway, another time: sent again */
    d = rig_answer(c);
    TRUE(d && lora_frame_parse(&again, d->phy) == LORA_OK && (again.fctrl & FCTRL_ACK));
    EQ(again.fcnt_low, first.fcnt_low + 1);
    EQ(rig_count(c, "SELECT COUNT(*) FROM uplink"), 1);
    rig_pass(c, 10 * US_PER_S);
    (void)mac_tick(&c->env);
    c->env.mac->window_next = c->env.mac->window_open + WINDOWS;            /* no room to answer: it is a repetition all the same */
    EQ(rig_hear(c, NULL, phy, NOW), DROP_REPEATED);
    c->env.mac->window_next = c->env.mac->window_open;
    EQ(rig_hear(c, NULL, rig_plain(&n, 1), NOW), PASS);
    EQ(rig_hear(c, NULL, phy, NOW), DROP_REPEATED);                         /* older than the newest: nobody waits for it */
    rig_pass(c, 10 * US_PER_S);
    rig_forget(&n), rig_stop(c);
}

/* ------------------------------------------------------------------ what a 1.1 MIC knows */

TEST(a_1_1_uplink_verifies_on_the_channel_and_data_rate_it_was_sent_on)
{
    struct { u32 freq_hz; u8 sf; bool fsk; u8 dr, ch; } facts[] = {
        { 923200000, 10, false, 2, 0 }, { 923400000, 7, false, 5, 1 },
        { 922800000, 9, false, 3, 2 },  { 922400000, 12, false, 0, 7 },     /* of the Japanese plan, as the CFList counts */
        { 920000000, 10, false, 2, 0 },                                     /* of no plan: it can only be taken for the first */
        { 923200000, 0, true, 7, 0 },                                       /* FSK */
        { 923200000, 6, false, 0, 0 },                                      /* a rate that the region does not know */
    };
    struct rig *c = rig_make();
    struct node n = rig_node(NEWER);
    rig_join(c, &n);
    for (u32 i = 0; i < COUNT(facts); i++) {
        struct by by = { .freq_hz = facts[i].freq_hz, .sf = facts[i].sf, .fsk = facts[i].fsk };
        struct lora_frame f = { .mtype = MTYPE_DATA_UP, .fport = 2, .payload = bytes_of(S("abc")) };
        EQ(rig_alone(c, NULL, rig_seal(&n, i, f, (struct lora_mic_terms){ .tx_dr = 6, .tx_ch = facts[i].ch }), by), DROP_BAD_MIC);
        EQ(rig_alone(c, NULL, rig_seal(&n, i, f, (struct lora_mic_terms){ .tx_dr = facts[i].dr, .tx_ch = 15 }), by), DROP_BAD_MIC);
        EQ(rig_alone(c, NULL, rig_seal(&n, i, f, (struct lora_mic_terms){ .tx_dr = facts[i].dr, .tx_ch = facts[i].ch }), by), PASS);
    }
    struct lora_frame f = { .mtype = MTYPE_DATA_UP, .fport = 2, .payload = bytes_of(S("abc")) };
    struct by by = { .freq_hz = 922800000 };
    struct bytes phy = rig_seal(&n, 100, f, (struct lora_mic_terms){ .tx_dr = 2, .tx_ch = 0 });
    const struct lora_plan *jp = c->env.mac->set.plan;
    struct lora_plan foreign = *jp;
    foreign.region = lora_region_by_name(S("EU868"));
    c->env.mac->set.plan = &foreign;                                        /* a plan of another region has no channels here */
    EQ(rig_alone(c, NULL, phy, by), PASS);
    c->env.mac->set.plan = NULL;
    EQ(rig_alone(c, NULL, rig_seal(&n, 101, f, (struct lora_mic_terms){ .tx_dr = 2, .tx_ch = 0 }), by), PASS);
    rig_forget(&n), rig_stop(c);
}

/* 1.1, 4.4: a frame with ACK names the counter of what it acknowledges, in its MIC. */
TEST(a_1_1_acknowledgement_is_bound_to_the_downlink_it_acknowledges)
{
    struct rig *c = rig_make();
    struct node n = rig_node(NEWER);
    struct downlink_new in = { 1, NEWER, 10, true, bytes_of(S("hello")), 0 };
    struct lora_frame down, f = { .mtype = MTYPE_DATA_UP, .fport = 2, .fctrl = FCTRL_ACK, .payload = bytes_of(S("abc")) };
    struct str why;
    i64 id;
    rig_join(c, &n);
    for (int i = 0; i < 3; i++) {                                           /* so that its counter is not 0 */
        EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
        EQ(rig_hear(c, NULL, rig_plain(&n, n.fcnt++), NOW), PASS);
        struct downlink *d = rig_answer(c);
        TRUE(d && d->id == id && lora_frame_parse(&down, d->phy) == LORA_OK);
        rig_pass(c, 10 * US_PER_S);
    }
    EQ(down.fcnt_low, 2);
    EQ(rig_alone(c, NULL, rig_seal(&n, n.fcnt, f, (struct lora_mic_terms){ .conf_fcnt = 1, .tx_dr = 2 }), NOW), DROP_BAD_MIC);
    EQ(rig_alone(c, NULL, rig_seal(&n, n.fcnt, f, (struct lora_mic_terms){ .conf_fcnt = 2, .tx_dr = 2 }), NOW), PASS);
    EQ(rig_count(c, "SELECT state FROM downlink WHERE kind = 0 ORDER BY id DESC LIMIT 1"), DOWN_CONFIRMED);
    rig_forget(&n), rig_stop(c);
}

TEST(an_acknowledgement_that_comes_after_a_start_is_bound_and_counted_all_the_same)
{
    static const u64 devices[] = { NEWER, RIVER };
    for (size_t i = 0; i < COUNT(devices); i++) {
        struct rig *c = rig_make();
        struct node n = rig_node(devices[i]);
        struct downlink_new in = { 1, devices[i], 10, true, bytes_of(S("hello")), 0 };
        struct lora_frame down, f = { .mtype = MTYPE_DATA_UP, .fport = 2, .fctrl = FCTRL_ACK, .payload = bytes_of(S("abc")) };
        struct str why;
        i64 id;
        rig_join(c, &n);
        for (int k = 0; k < 2; k++) {                                       /* so that its counter is not 0 */
            EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
            EQ(rig_hear(c, NULL, rig_plain(&n, n.fcnt++), NOW), PASS);
            struct downlink *d = rig_answer(c);
            TRUE(d && d->id == id && lora_frame_parse(&down, d->phy) == LORA_OK);
            rig_pass(c, 10 * US_PER_S);
        }
        rig_crash(c);
        EQ(rig_count(c, "SELECT state FROM downlink WHERE kind = 0 ORDER BY id DESC LIMIT 1"), DOWN_UNKNOWN);
        struct lora_mic_terms terms = { .conf_fcnt = down.fcnt_low, .tx_dr = 2 };
        EQ(rig_alone(c, NULL, rig_seal(&n, n.fcnt++, f, terms), NOW), PASS);
        EQ(rig_count(c, "SELECT state FROM downlink WHERE kind = 0 ORDER BY id DESC LIMIT 1"), DOWN_CONFIRMED);
        rig_crash(c);
        EQ(rig_alone(c, NULL, rig_seal(&n, n.fcnt++, f, terms), NOW), PASS);          /* said again, and nothing is awaited */
        rig_forget(&n), rig_stop(c);
    }
}

/* ------------------------------------------------------------------ commands */

/* The commands of the next answer, as hex; "none": there is no answer. */
static struct str answer_to(struct rig *c, struct node *n, struct bytes phy, struct by by)
{
    struct lora_frame f;
    struct lora_session s = rig_session(n);
    u8 *room = arena_take(test_arena(), LORA_AIR_MAX, 1);
    EQ(rig_hear(c, NULL, phy, by), PASS);
    struct downlink *d = rig_answer(c);
    rig_pass(c, 10 * US_PER_S);
    (void)mac_tick(&c->env);
    if (!d)
        return S("none");
    TRUE(lora_frame_parse(&f, d->phy) == LORA_OK);
    struct lora_frame open = f;
    lora_frame_open(&open, room, &f, &s, f.fcnt_low);
    return hex_str(test_arena(), open.fopts);
}

TEST(what_a_device_asks_in_commands_is_answered_in_its_window)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    STR_EQ(answer_to(c, &n, asking(&n, 0, S("")), NOW), S("0903070740bf8c50"));           /* ours: TxParamSetupReq, NewChannelReq, */
    STR_EQ(answer_to(c, &n, asking(&n, 1, S("\x09\x07\x03")), NOW), S(""));               /* answered; the first waits for any downlink, */
    STR_EQ(answer_to(c, &n, asking(&n, 2, S("\x09")), NOW), S(""));                        /* and is said again: sticky */
    /* LinkCheckAns: SNR 5 dB is 20 dB above what SF10 needs, one gateway. */
    STR_EQ(answer_to(c, &n, asking(&n, 3, S("\x02")), NOW), S("021401"));
    STR_EQ(answer_to(c, &n, asking(&n, 4, S("\x02")), (struct by){ .snr_cb = -300 }), S("020001"));
    /* An unknown command ends the list; what stood before it counts. */
    STR_EQ(answer_to(c, &n, asking(&n, 5, S("\x02\xff\x02")), NOW), S("021401"));
    STR_EQ(answer_to(c, &n, asking(&n, 6, S("\xff\x02")), NOW), S("none"));
    /* On port 0 they are the payload. */
    struct lora_frame f = { .mtype = MTYPE_DATA_UP, .fport = 0, .payload = bytes_of(S("\x02")) };
    struct uplink u;
    EQ(rig_hear(c, &u, rig_seal(&n, 7, f, (struct lora_mic_terms){ 0 }), NOW), PASS);
    EQ(u.payload.n, 0);                                                                   /* nothing for a codec */
    TRUE(rig_answer(c) != NULL);
    /* RekeyInd belongs to 1.1. */
    STR_EQ(answer_to(c, &n, asking(&n, 8, S("\x0b\x01")), NOW), S("none"));
    rig_forget(&n), rig_stop(c);
}

TEST(device_time_is_the_gateways_where_it_can_be_and_ours_where_not)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    rig_settle(c, &n);
    (void)answer_to(c, &n, asking(&n, 0, S("")), NOW);
    struct { i64 off_us; bool has; } facts[] = { { 0, false }, { 1500000, true }, { -1500000, true }, { 11 * US_PER_S, true },
                                                 { -11 * US_PER_S, true } };
    for (u32 i = 0; i < COUNT(facts); i++) {
        i64 wall = c->clock.us + (facts[i].off_us / US_PER_S > -10 && facts[i].off_us / US_PER_S < 10 ? facts[i].off_us : 0);
        i64 gps  = wall - 315964800LL * US_PER_S + 18 * US_PER_S;
        u8 bytes[6] = { 0x0d };
        put_u32le(bytes + 1, (u32)(gps / US_PER_S));
        bytes[5] = (u8)(gps % US_PER_S * 256 / US_PER_S);
        struct by by = { .gateway_us = facts[i].has ? c->clock.us + facts[i].off_us : 0 };
        STR_EQ(answer_to(c, &n, asking(&n, i + 1, S("\x0d")), by), hex_str(test_arena(), (struct bytes){ bytes, 6 }));
    }
    rig_forget(&n), rig_stop(c);
}

TEST(a_battery_level_is_taken_and_not_known_is_not_a_level)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(rig_alone(c, NULL, asking(&n, 0, S("\x06\x7f\x10")), NOW), PASS);
    EQ(c->env.mac->devices[0].battery_pct, 50);
    EQ(rig_alone(c, NULL, asking(&n, 1, S("\x06\xff\x10")), NOW), PASS);     /* 255: it cannot measure */
    EQ(c->env.mac->devices[0].battery_pct, 50);
    rig_forget(&n), rig_stop(c);
}

/* A city without a national plan asks nothing, and an answer to nothing changes nothing. */
TEST(without_a_plan_no_dwell_is_asked_or_learnt)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    c->env.mac->set.plan = NULL;
    boot_release(c->env.mac->wanted);
    talk_start(&c->env);
    rig_join(c, &n);
    STR_EQ(answer_to(c, &n, asking(&n, 0, S("")), NOW), S("none"));
    STR_EQ(answer_to(c, &n, asking(&n, 1, S("\x09")), NOW), S(""));
    TRUE(!rig_current(c, RIVER, 0)->dwell_known);
    rig_forget(&n), rig_stop(c);
}

/* More frames a second than there are windows: the event stands, its questions are asked again by the device. */
TEST(an_uplink_without_room_for_its_window_is_an_event_without_an_answer)
{
    struct rig *c = rig_make();
    struct node n = rig_node(NEWER);
    rig_join(c, &n);
    static const char *const asked[] = { "\x02", "\x0d", "\x0b\x01" };
    for (u32 i = 0; i < COUNT(asked); i++) {
        c->env.mac->window_next = c->env.mac->window_open + WINDOWS;
        EQ(rig_hear(c, NULL, asking(&n, i, str_z(asked[i])), NOW), PASS);
        EQ(c->env.dropped[DROP_NO_ROOM], i + 1);
        c->env.mac->window_next = c->env.mac->window_open;
    }
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_count(c, "SELECT COUNT(*) FROM uplink"), 3);
    rig_forget(&n), rig_stop(c);
}

/* ------------------------------------------------------------------ a store that refuses */

TEST(an_uplink_that_the_store_refuses_never_happened)
{
    static const char *const tables[] = { "uplink", "subject_key" };
    struct rig *c = rig_make();
    struct node n = rig_node(BAG);
    rig_join(c, &n);
    for (size_t i = 0; i < COUNT(tables); i++) {
        rig_lock(c, tables[i], "1");
        EQ(rig_hear(c, NULL, rig_plain(&n, 0), NOW), DROP_STORE);
        TRUE(rig_commit(c, NULL) != OK);
        rig_unlock(c);
    }
    c->env.failed = ERR_FULL;
    EQ(rig_hear(c, NULL, rig_plain(&n, 0), NOW), DROP_STORE);
    EQ(rig_commit(c, NULL), ERR_FULL);
    EQ(rig_alone(c, NULL, rig_plain(&n, 0), NOW), PASS);
    EQ(rig_count(c, "SELECT COUNT(*) FROM uplink"), 1);

    struct node plain = rig_node(RIVER);
    rig_join(c, &plain);
    c->env.failed = ERR_FULL;
    EQ(rig_hear(c, NULL, rig_plain(&plain, 0), NOW), DROP_STORE);
    EQ(rig_commit(c, NULL), ERR_FULL);
    EQ(rig_alone(c, NULL, rig_plain(&plain, 0), NOW), PASS);
    rig_forget(&n), rig_forget(&plain), rig_stop(c);
}

/* What the store said is what the batch fails with: a full disk is no broken one, and the daemon goes on. */
TEST(a_personal_payload_that_cannot_be_sealed_costs_that_frame_or_says_what_the_store_said)
{
    struct rig *c = rig_make();
    struct node n = rig_node(BAG), other = rig_node(RIVER);
    rig_join(c, &n);
    rig_join(c, &other);
    EQ(rig_alone(c, NULL, rig_plain(&n, 0), NOW), PASS);
    rig_break(c, "subject_key");
    EQ(rig_hear(c, NULL, rig_plain(&n, 1), NOW), DROP_STORE);
    EQ(c->env.failed, ERR_TOO_LARGE);
    EQ(rig_commit(c, NULL), ERR_TOO_LARGE);
    rig_mend(c, "subject_key");
    EQ(db_exec(c->env.db, "UPDATE subject_key SET key = zeroblob(40), sum = NULL"), OK);      /* opens under no KEK */
    EQ(rig_hear(c, NULL, rig_plain(&n, 1), NOW), DROP_KEY);
    EQ(rig_hear(c, NULL, rig_plain(&other, 0), NOW), PASS);
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_count(c, "SELECT COUNT(*) FROM uplink"), 2);
    TRUE(str_starts(rig_refusal(c), S("DROP_KEY")));
    EQ(db_exec(c->env.db, "DELETE FROM subject_key"), OK);
    EQ(rig_alone(c, NULL, rig_plain(&n, 1), NOW), PASS);                    /* it was not lost for ever */
    rig_forget(&n), rig_forget(&other), rig_stop(c);
}

/* An id that stands already: the batch is lost at once, not when it is too late to say so. */
TEST(an_event_whose_id_was_given_before_loses_its_batch)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct uplink u;
    rig_join(c, &n);
    EQ(rig_alone(c, &u, rig_plain(&n, 0), NOW), PASS);
    c->env.last_id = u.id - 1;
    c->clock.us    = u.id;
    EQ(rig_hear(c, NULL, rig_plain(&n, 1), NOW), DROP_STORE);
    EQ(c->env.failed, ERR_CONFLICT);
    EQ(rig_commit(c, NULL), ERR_CONFLICT);
    c->env.last_id = u.id;
    EQ(rig_alone(c, NULL, rig_plain(&n, 1), NOW), PASS);
    rig_forget(&n), rig_stop(c);
}

/* The key was good when the frame came and is not when its answer is sealed: nothing leaves, no counter is used. */
TEST(an_answer_that_cannot_be_sealed_does_not_leave)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(rig_hear(c, NULL, rig_frame(&n, 0, true, 0, S("")), NOW), PASS);
    EQ(rig_commit(c, NULL), OK);
    u32 was = rig_current(c, RIVER, 0)->down_next;
    rig_current(c, RIVER, 0)->keys[KEY_APP_S][0] ^= 1;
    c->env.mac->generation++;
    TRUE(rig_answer(c) == NULL);
    EQ(rig_current(c, RIVER, 0)->down_next, was);
    rig_forget(&n), rig_stop(c);
}

/* 1 % of an hour in the sub-band of AS923, where no national plan says otherwise. */
TEST(a_gateway_that_has_sent_its_hour_is_not_asked_and_the_reason_is_said)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    rig_settle(c, &n);
    c->env.mac->set.plan = NULL;
    STR_EQ(answer_to(c, &n, asking(&n, 0, S("\x02")), NOW), S("021401"));
    for (u32 i = 0; i < c->env.mac->gateways_n; i++) {
        struct gateway *g = &c->env.mac->gateways[i];
        struct calendar_rules rules = { g->region, NULL };
        calendar_take(&g->calendar, &rules, &(struct calendar_send){ c->now.us, 36 * (u32)US_PER_S, 923200000, UINT32_MAX });
    }
    rig_pass(c, 60 * US_PER_S);
    STR_EQ(answer_to(c, &n, asking(&n, 1, S("\x02")), NOW), S("none"));
    EQ(rig_commit(c, NULL), OK);
    TRUE(str_find(rig_refusal(c), S("as much in this band as an hour allows")) >= 0);
    rig_pass(c, 3700 * US_PER_S);
    STR_EQ(answer_to(c, &n, asking(&n, 2, S("\x02")), NOW), S("021401"));
    rig_forget(&n), rig_stop(c);
}

/* A gateway that kept a frame for 3 s brings it into the window of the device's next try: its clock is at the first. */
TEST(a_copy_that_was_kept_is_answered_at_its_own_time)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    rig_settle(c, &n);
    struct bytes phy = rig_frame(&n, 0, true, 0, S(""));
    struct mono now = c->now;
    EQ(rig_hear(c, NULL, phy, (struct by){ .gateway = GATEWAY_B, .snr_cb = -50 }), PASS);
    EQ(rig_hear(c, NULL, phy, (struct by){ .kept_us = 3 * US_PER_S, .tmst_us = 77 }), DROP_COPY);
    struct downlink *d = rig_answer(c);
    TRUE(d != NULL && d->tries_count >= 2);
    for (u32 i = 0; d && i < d->tries_count; i++) {
        const struct transmission *t = &d->tries[i];
        i64 kept = t->gateway == GATEWAY_B ? 0 : 3 * US_PER_S;
        EQ(mono_since(t->at, now), t->delay_us - kept);
    }
    rig_forget(&n), rig_stop(c);
}
