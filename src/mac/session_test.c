// SPDX-License-Identifier: Apache-2.0
/* Keys, counters and what is left of them after a crash (promises R3, R4, R6). */
#include "mac/rig.h"

static u32 index_of(struct rig *c, u64 dev_eui) { return map_get(&c->env.mac->by_eui, dev_eui); }

static enum drop next(struct rig *c, struct node *n) { return rig_alone(c, NULL, rig_plain(n, n->fcnt++), NOW); }

/* ------------------------------------------------------------------ keys */

TEST(keys_stand_nowhere_in_clear)
{
    struct rig *c = rig_make();
    struct node n = rig_node(NEWER);
    rig_join(c, &n);
    EQ(next(c, &n), PASS);
    const struct session *s = rig_current(c, NEWER, 0);
    u8 raw[16];
    for (int i = 0; i < SESSION_KEYS; i++) {
        TRUE(unwrap_key(c->env.mac, raw, s->keys[i]));
        struct str row = str_fmt(test_arena(), "SELECT COUNT(*) FROM session WHERE instr(f_nwk_s_int_key || s_nwk_s_int_key || "
                                 "nwk_s_enc_key || app_s_key, x'%.*s') > 0", STR(hex_str(test_arena(), (struct bytes){ raw, 8 })));
        EQ(rig_count(c, row.p), 0);
    }
    rig_forget(&n), rig_stop(c);
}

TEST(a_session_whose_key_cannot_be_opened_verifies_nothing)
{
    static const u64 euis[] = { RIVER, NEWER };
    struct rig *c = rig_make();
    for (size_t e = 0; e < COUNT(euis); e++) {
        struct node n = rig_node(euis[e]);
        n.dev_nonce = 1;
        rig_join(c, &n);
        EQ(next(c, &n), PASS);
        for (int k = 0; k < SESSION_KEYS; k++) {
            bool used = euis[e] == NEWER || k == KEY_F_NWK_S_INT || k == KEY_APP_S;
            rig_current(c, euis[e], 0)->keys[k][5] ^= 1;
            c->env.mac->generation++;                                       /* as after a restart: nothing is cached */
            EQ(next(c, &n), used ? DROP_BAD_MIC : PASS);
            rig_current(c, euis[e], 0)->keys[k][5] ^= 1;
        }
        EQ(next(c, &n), PASS);
        rig_forget(&n);
    }
    rig_stop(c);
}

TEST(a_kek_that_is_not_the_stores_is_noticed_at_the_start)
{
    static const u8 wrong[32] = { 9 };
    struct rig *c = rig_make();
    struct str why = S("");
    rig_stop(c);
    EQ(rig_open(c, wrong, &why), ERR_DENIED);
    TRUE(str_find(why, S("does not open the keys")) > 0);
    rig_stop(c);
    EQ(rig_open(c, rig_kek(), &why), OK);
    rig_stop(c);
}

/* 64 places for the keys of 40 sessions: they push each other out and come back, always the right ones. */
TEST(more_sessions_than_the_cache_has_room_for_are_served_all_the_same)
{
    struct rig *c = rig_make();
    const struct profile *any = &c->env.profiles.list[0];
    struct node n[40];
    for (u32 i = 0; i < COUNT(n); i++) {
        u8 nwk[16] = { 1, (u8)i }, app[16] = { 2, (u8)i };
        n[i] = (struct node){ .dev_eui = 1000 + i, .devaddr = 0x01000000 + i };
        lora_key_set(&n[i].keys[KEY_F_NWK_S_INT], nwk);
        lora_key_set(&n[i].keys[KEY_APP_S], app);
        EQ(mac_bench_device(&c->env, n[i].dev_eui, n[i].devaddr, nwk, app, any), OK);
    }
    EQ(rig_commit(c, NULL), OK);
    for (int round = 0; round < 3; round++)
        for (u32 i = 0; i < COUNT(n); i++) {
            struct uplink u;
            EQ(rig_hear(c, &u, rig_plain(&n[i], (u32)round), NOW), PASS);
            BYTES_EQ(u.payload, bytes_of(S("abc")));
        }
    for (u32 i = 0; i < COUNT(n); i++)
        rig_forget(&n[i]);
    rig_stop(c);
}

/* A slot of the pool is used again: no key of the one before is left under its name. */
TEST(a_session_in_an_old_place_has_its_own_keys)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER), before;
    rig_join(c, &n);
    EQ(next(c, &n), PASS);
    for (u16 i = 1; i < 6; i++) {
        before = n;
        memset(n.keys, 0, sizeof n.keys);
        n.dev_nonce = i;
        rig_join(c, &n);
        EQ(next(c, &n), PASS);
        EQ(next(c, &before), DROP_UNKNOWN_DEVADDR);
        rig_forget(&before);
    }
    TRUE(c->env.mac->sessions_n <= 3);
    rig_forget(&n), rig_stop(c);
}

TEST(a_batch_that_is_lost_gives_a_dropped_session_and_its_keys_back)
{
    struct rig *c = rig_make();
    struct node old = rig_node(NEWER), new = rig_node(NEWER);
    rig_join(c, &old);
    EQ(next(c, &old), PASS);
    new.dev_nonce = 1;
    rig_join(c, &new);
    EQ(rig_hear(c, NULL, rig_plain(&new, 0), NOW), PASS);                   /* promoted, the old one dropped */
    EQ(rig_hear(c, NULL, rig_plain(&old, 1), NOW), DROP_UNKNOWN_DEVADDR);
    c->env.failed = ERR_FULL;
    EQ(rig_commit(c, NULL), ERR_FULL);
    EQ(next(c, &old), PASS);
    EQ(next(c, &new), PASS);
    EQ(rig_count(c, "SELECT COUNT(*) FROM session"), 1);
    rig_forget(&old), rig_forget(&new), rig_stop(c);
}

/* Half the block is taken: another number is drawn. All that chance offers is taken: two share one, and both are heard. */
TEST(a_devaddr_is_one_devices_as_long_as_there_are_any)
{
    struct rig *c = rig_make();
    struct node n[3] = { rig_node(RIVER), rig_node(COUNTING), rig_node(BAG) };
    u64 chance = c->chance;
    rig_join(c, &n[0]);
    c->chance = chance;                                                     /* the same draw: it is taken */
    rig_join(c, &n[1]);
    TRUE(n[0].devaddr != n[1].devaddr);
    c->stuck = true;
    n[1].dev_nonce = 1;
    rig_join(c, &n[1]);
    rig_join(c, &n[2]);
    EQ(n[1].devaddr, n[2].devaddr);
    for (int i = 0; i < 3; i++) {
        EQ(next(c, &n[i]), PASS);
        EQ(c->env.mac->devices[index_of(c, n[i].dev_eui)].session[1], MAC_NONE);
        rig_forget(&n[i]);
    }
    rig_stop(c);
}

/* ------------------------------------------------------------------ counters */

/* Which FCntDown of each kind was sent, over kills at any moment and batches that were lost. */
TEST(a_downlink_counter_encrypts_one_frame_and_no_other)
{
    static const u64 euis[] = { RIVER, NEWER };
    for (size_t e = 0; e < COUNT(euis); e++) {
        struct rig *c = rig_make();
        struct node n = rig_node(euis[e]);
        struct downlink_new in = { 1, euis[e], 10, false, bytes_of(S("hello")), 0 };
        struct str why;
        i64 id, last[2] = { -1, -1 };
        rig_join(c, &n);
        for (int i = 0; i < 240; i++) {
            struct lora_frame f;
            if (i % 2)
                EQ(mac_downlink_add(&c->env, &in, &id, &why), OK);
            EQ(rig_hear(c, NULL, rig_frame(&n, n.fcnt++, true, 0, S("")), NOW), PASS);
            struct downlink *d = rig_answer(c);
            TRUE(d && lora_frame_parse(&f, d->phy) == LORA_OK);
            if (!d)
                break;
            int kind = euis[e] == NEWER && f.fport > 0;                     /* 1.1: AFCntDown counts application data */
            TRUE(f.fcnt_low > last[kind]);
            TRUE(f.fcnt_low - last[kind] <= DOWN_AHEAD + 4);
            last[kind] = f.fcnt_low;
            rig_pass(c, 10 * US_PER_S);
            if (i % 5 == 4)
                rig_crash(c);
            if (i % 7 == 6) {                                               /* encrypted, and the commit fails: never sent */
                EQ(rig_hear(c, NULL, rig_frame(&n, n.fcnt++, true, 0, S("")), NOW), PASS);
                EQ(rig_commit(c, NULL), OK);
                rig_pass(c, 200000);
                (void)mac_tick(&c->env);
                c->env.failed = ERR_FULL;
                EQ(rig_commit(c, NULL), ERR_FULL);
                rig_pass(c, 10 * US_PER_S);
            }
        }
        rig_forget(&n), rig_stop(c);
    }
}

/* The row that covers the counter cannot be written: nothing is encrypted. */
TEST(without_a_row_that_covers_it_no_counter_is_used)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(next(c, &n), PASS);
    struct session *s = rig_current(c, RIVER, 0);
    s->down_next = s->down_reserved - 3;                                    /* the next one wants a new reserve */
    EQ(rig_hear(c, NULL, rig_frame(&n, n.fcnt++, true, 0, S("")), NOW), PASS);
    EQ(rig_commit(c, NULL), OK);
    rig_pass(c, 200000);
    rig_lock(c, "session", "down_reserved > 32");
    struct downlink *sent = NULL;
    (void)mac_tick(&c->env);
    TRUE(rig_commit(c, &sent) != OK && !sent);
    rig_unlock(c);
    EQ(rig_current(c, RIVER, 0)->down_next, rig_current(c, RIVER, 0)->down_reserved - 3);
    rig_forget(&n), rig_stop(c);
}

TEST(a_downlink_counter_at_the_end_of_its_32_bits_sends_nothing_more)
{
    static const u64 euis[] = { RIVER, NEWER };
    for (size_t e = 0; e < COUNT(euis); e++) {
        struct rig *c = rig_make();
        struct node n = rig_node(euis[e]);
        rig_join(c, &n);
        EQ(next(c, &n), PASS);
        struct session *s = rig_current(c, euis[e], 0);
        u32 *counter  = euis[e] == NEWER ? &s->app_down_next : &s->down_next;
        u32 *reserved = euis[e] == NEWER ? &s->app_down_reserved : &s->down_reserved;
        *counter = *reserved = DOWN_SPENT - 1;
        EQ(rig_hear(c, NULL, rig_frame(&n, n.fcnt++, true, 0, S("")), NOW), PASS);
        TRUE(rig_answer(c) != NULL);                                        /* the last */
        *counter = DOWN_SPENT;
        rig_pass(c, 10 * US_PER_S);
        EQ(rig_hear(c, NULL, rig_frame(&n, n.fcnt++, true, 0, S("")), NOW), PASS);
        TRUE(rig_answer(c) == NULL);
        TRUE(str_starts(rig_refusal(c), S("DROP_SPENT")));
        rig_forget(&n), rig_stop(c);
    }
}

/* ------------------------------------------------------------------ what a start finds */

TEST(a_start_finds_counters_by_the_rows_or_by_the_events)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER), other = rig_node(NEWER);
    rig_join(c, &n);
    rig_join(c, &other);
    for (int i = 0; i < 5; i++)
        EQ(next(c, &n), PASS);
    rig_crash(c);                                                           /* by the events */
    EQ(rig_current(c, RIVER, 0)->fcnt_up, 4);
    TRUE(rig_current(c, NEWER, 0) == NULL && rig_current(c, NEWER, 1) != NULL);
    while (mac_flush(&c->env, 100) > 0)
        EQ(rig_commit(c, NULL), OK);
    EQ(rig_alone(c, NULL, rig_plain(&n, 3), NOW), DROP_REPEATED);
    rig_crash(c);                                                           /* by the row */
    EQ(rig_current(c, RIVER, 0)->fcnt_up, 4);
    EQ(next(c, &n), PASS);
    EQ(next(c, &other), PASS);
    rig_crash(c);                                                           /* by both */
    EQ(rig_current(c, RIVER, 0)->fcnt_up, 5);
    EQ(rig_current(c, NEWER, 0)->fcnt_up, 0);
    TRUE(rig_current(c, NEWER, 0)->v1_1 && !rig_current(c, RIVER, 0)->v1_1);
    rig_forget(&n), rig_forget(&other), rig_stop(c);
}

/* A start looks for a row's device close behind the last one's first. */
TEST(a_start_finds_the_device_of_a_row_however_many_without_one_lie_between)
{
    struct rig *c = rig_make();
    struct node n[12];
    for (u32 i = 0; i < COUNT(n); i++) {
        u8 nwk[16] = { 1, (u8)i }, app[16] = { 2, (u8)i };
        n[i] = (struct node){ .dev_eui = 1000 + i, .devaddr = 0x01000000 + i };
        lora_key_set(&n[i].keys[KEY_F_NWK_S_INT], nwk);
        lora_key_set(&n[i].keys[KEY_APP_S], app);
        EQ(mac_bench_device(&c->env, n[i].dev_eui, n[i].devaddr, nwk, app, &c->env.profiles.list[0]), OK);
    }
    EQ(rig_commit(c, NULL), OK);
    EQ(db_exec(c->env.db, "DELETE FROM session WHERE dev_eui BETWEEN 1001 AND 1009"), OK);
    rig_crash(c);
    for (u32 i = 0; i < COUNT(n); i++) {
        EQ(next(c, &n[i]), i == 0 || i > 9 ? PASS : DROP_UNKNOWN_DEVADDR);
        rig_forget(&n[i]);
    }
    rig_stop(c);
}

/* Rows of a device that is not registered any more, and of a session that is over. */
TEST(rows_of_what_is_gone_disturb_nobody)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER), gone = rig_node(COUNTING);
    gone.dev_nonce = n.dev_nonce = 1;
    rig_join(c, &n);
    rig_join(c, &gone);
    EQ(next(c, &n), PASS);
    EQ(next(c, &gone), PASS);
    while (mac_flush(&c->env, 100) > 0)
        EQ(rig_commit(c, NULL), OK);
    EQ(next(c, &n), PASS);
    EQ(next(c, &gone), PASS);                                               /* one event behind the mark */
    EQ(db_exec(c->env.db, "DELETE FROM device WHERE profile = 'count'"), OK);
    rig_crash(c);
    EQ(next(c, &n), PASS);
    EQ(next(c, &gone), DROP_UNKNOWN_DEVADDR);
    EQ(rig_count(c, "SELECT COUNT(*) FROM session"), 2);
    EQ(db_exec(c->env.db, "DELETE FROM session"), OK);                      /* states and events without their sessions */
    rig_crash(c);
    EQ(next(c, &n), DROP_UNKNOWN_DEVADDR);
    rig_forget(&n), rig_forget(&gone), rig_stop(c);
}

/* Each table that a start reads can be unreadable: the start says so instead of serving with old counters. */
TEST(a_start_that_cannot_read_its_counters_fails)
{
    static const char *const tables[] = { "session", "device_state", "uplink", "mark" };
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct str why;
    rig_join(c, &n);
    EQ(next(c, &n), PASS);
    while (mac_flush(&c->env, 100) > 0)
        EQ(rig_commit(c, NULL), OK);
    for (size_t i = 0; i < COUNT(tables); i++) {
        EQ(next(c, &n), PASS);                                              /* an event that no row knows */
        rig_break(c, tables[i]);
        rig_stop(c);
        if (rig_open(c, rig_kek(), &why) == OK)
            test_fail(__FILE__, __LINE__, "it starts without %s", tables[i]);
        if (sessions_load(&c->env) == OK)
            test_fail(__FILE__, __LINE__, "it has counters without %s", tables[i]);
        rig_mend(c, tables[i]);
        rig_crash(c);
        EQ(rig_current(c, RIVER, 0)->fcnt_up, n.fcnt - 1);
    }
    rig_forget(&n), rig_stop(c);
}

/* ------------------------------------------------------------------ damage (docs/adr/0014) */

static void bend(struct rig *c, const char *sql) { EQ(db_exec(c->env.db, sql), OK); }

/* A state row or the mark is damaged: all events are read. Where retention has taken some of them, a session ends
 * whose row is gone; one that began after the cut is known by what is left. */
TEST(a_session_ends_when_neither_row_nor_events_say_how_far_it_was)
{
    struct { const char *bend; bool cut_before, lives; } facts[] = {
        { "UPDATE device_state SET battery_pct = 5", true, true },          /* the cut was before the join */
        { "UPDATE device_state SET battery_pct = 5", false, false },
        { "UPDATE mark SET value = value + 1 WHERE name = 'rolled'", false, true },      /* the row says it */
        { "UPDATE mark SET value = value + 1 WHERE name = 'cut'", false, true },         /* and nobody asks */
        { "UPDATE device_state SET battery_pct = 5; UPDATE mark SET value = 1 WHERE name = 'cut'", true, false },
        { "UPDATE uplink SET payload = x'00' WHERE fcnt = 3", false, true },             /* a damaged event says nothing */
    };
    struct rig *c = rig_make();
    for (u32 i = 0; i < COUNT(facts); i++) {
        struct node n = rig_node(RIVER), waits = rig_node(COUNTING);
        n.dev_nonce = waits.dev_nonce = (u16)i;
        i64 before = c->clock.us;
        rig_join(c, &n);
        rig_join(c, &waits);                                                /* pending: it has no row to lose */
        for (int k = 0; k < 3; k++)
            EQ(next(c, &n), PASS);
        while (mac_flush(&c->env, 100) > 0)
            EQ(rig_commit(c, NULL), OK);
        EQ(mac_mark_write(&c->env, "cut", facts[i].cut_before ? before : c->clock.us), OK);
        EQ(rig_commit(c, NULL), OK);
        EQ(next(c, &n), PASS);                                              /* behind the mark */
        bend(c, facts[i].bend);
        rig_crash(c);
        enum drop drop = next(c, &n);
        if (drop != (facts[i].lives ? PASS : DROP_UNKNOWN_DEVADDR))
            test_fail(__FILE__, __LINE__, "fact %u: %s", i, drop_name(drop));
        EQ(next(c, &waits), PASS);
        while (mac_flush(&c->env, 100) > 0)
            EQ(rig_commit(c, NULL), OK);
        rig_forget(&n), rig_forget(&waits);
    }
    rig_stop(c);
}

TEST(a_session_row_of_odd_keys_is_read_and_verifies_nothing)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(next(c, &n), PASS);
    bend(c, "INSERT INTO mark (tenant, name, value) VALUES (0, 'unsummed', 1) ON CONFLICT (tenant, name) DO NOTHING");
    bend(c, "UPDATE session SET app_s_key = x'0102', sum = NULL");
    rig_crash(c);
    EQ(next(c, &n), DROP_BAD_MIC);
    rig_forget(&n), rig_stop(c);
}

/* What the device is known to do is in the row, each of it by itself. */
TEST(a_session_is_read_as_it_was_written)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(next(c, &n), PASS);
    for (int bits = 0; bits < 8; bits++) {
        u32 index = c->env.mac->devices[index_of(c, RIVER)].session[0];
        struct session *s = &c->env.mac->sessions[index];
        s->dwell_up = bits & 1, s->dwell_down = bits & 2, s->dwell_known = bits & 4;
        s->rx1_delay_s = (u8)(bits + 1), s->rx1_dr_offset = (u8)bits, s->rx2_dr = 3, s->rx2_hz = 923400000;
        EQ(session_save(&c->env, index), OK);
        EQ(rig_commit(c, NULL), OK);
        rig_crash(c);
        s = rig_current(c, RIVER, 0);
        TRUE(s->dwell_up == ((bits & 1) > 0) && s->dwell_down == ((bits & 2) > 0) && s->dwell_known == ((bits & 4) > 0));
        EQ(s->rx1_delay_s, bits + 1);
        EQ(s->rx1_dr_offset, bits);
        EQ(s->rx2_dr, 3);
        EQ(s->rx2_hz, 923400000);
    }
    rig_forget(&n), rig_stop(c);
}

/* In a batch that is lost already nothing is written, and what memory did is taken back with it. */
TEST(sessions_of_a_lost_batch_are_as_they_were)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(next(c, &n), PASS);
    u32 index = c->env.mac->devices[index_of(c, RIVER)].session[0];
    c->env.failed = ERR_FULL;
    touch_device(&c->env, index_of(c, RIVER));
    EQ(session_save(&c->env, index), ERR_FULL);
    session_drop(&c->env, index);
    c->env.mac->devices[index_of(c, RIVER)].session[0] = MAC_NONE;
    EQ(rig_hear(c, NULL, rig_plain(&n, 1), NOW), DROP_UNKNOWN_DEVADDR);
    EQ(rig_commit(c, NULL), ERR_FULL);
    n.fcnt = 1;
    EQ(next(c, &n), PASS);
    rig_forget(&n), rig_stop(c);
}
