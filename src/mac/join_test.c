// SPDX-License-Identifier: Apache-2.0
/* Joins: nonces that are never used twice, and what a join that is refused leaves behind: nothing (promises R5, R6). */
#include "mac/rig.h"

static struct bytes request(struct node *n, u16 nonce)
{
    n->dev_nonce = nonce;
    return rig_request(n);
}

/* What a join changes. */
struct traces { i64 nonces, sessions, states; u32 join_nonce, used; };

static struct traces traces_of(struct rig *c, u64 dev_eui)
{
    struct traces t = { rig_count(c, "SELECT COUNT(*) FROM dev_nonce"), rig_count(c, "SELECT COUNT(*) FROM session"),
                        rig_count(c, "SELECT COALESCE(SUM(join_nonce), 0) FROM join_state"),
                        c->env.mac->devices[map_get(&c->env.mac->by_eui, dev_eui)].join_nonce, 0 };
    for (u32 i = 0; i < c->env.mac->sessions_n; i++)
        t.used += c->env.mac->sessions[i].used;
    return t;
}

static bool same(struct traces a, struct traces b)
{
    return a.nonces == b.nonces && a.sessions == b.sessions && a.states == b.states && a.join_nonce == b.join_nonce &&
           a.used == b.used;
}

TEST(a_random_devnonce_is_used_once_in_any_order)
{
    static const u16 nonces[] = { 7, 0, 65535, 8, 6, 1 };
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    for (int life = 0; life < 2; life++) {
        for (size_t i = 0; i < COUNT(nonces); i++)
            EQ(rig_alone(c, NULL, request(&n, nonces[i]), NOW), life ? DROP_DEVNONCE : PASS);
        rig_crash(c);
    }
    TRUE(str_find(rig_refusal(c), S("DevNonce 1")) > 0 && str_find(rig_refusal(c), S("all of its")) < 0);
    rig_stop(c);
}

/* From 1.0.4 on (TS001-1.0.4, 6.2.5), and in 1.1. */
TEST(a_devnonce_that_counts_only_rises)
{
    static const u64 euis[] = { COUNTING, NEWER };
    struct { u16 nonce; enum drop drop; } facts[] = {
        { 5, PASS }, { 5, DROP_DEVNONCE }, { 4, DROP_DEVNONCE }, { 6, PASS }, { 0, DROP_DEVNONCE }, { 65534, PASS },
        { 7, DROP_DEVNONCE }, { 65535, PASS }, { 65535, DROP_DEVNONCE }, { 0, DROP_DEVNONCE },
    };
    struct rig *c = rig_make();
    for (size_t e = 0; e < COUNT(euis); e++) {
        struct node n = rig_node(euis[e]);
        for (size_t i = 0; i < COUNT(facts); i++) {
            EQ(rig_alone(c, NULL, request(&n, facts[i].nonce), NOW), facts[i].drop);
            bool spent = facts[i].drop != PASS && i > 7;
            if (facts[i].drop != PASS)
                TRUE((str_find(rig_refusal(c), S("all of its DevNonces were used")) > 0) == spent);
        }
    }
    rig_stop(c);
}

/* Each of the 65,536, and then none any more; the device is told apart from one that is only replayed. */
TEST(a_device_whose_devnonces_are_all_used_is_told_so_and_nothing_breaks)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    EQ(db_exec(c->env.db, "BEGIN; WITH RECURSIVE k (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n < 65534) "
                          "INSERT INTO dev_nonce (tenant, dev_eui, nonce, joined_us) SELECT 1, 0x70B3D57ED0000001, n, 0 FROM k; "
                          "COMMIT"), OK);
    for (u32 i = 0; i < 65535; i += 4321)
        EQ(rig_alone(c, NULL, request(&n, (u16)i), NOW), DROP_DEVNONCE);
    TRUE(str_find(rig_refusal(c), S("all of its")) < 0);
    EQ(rig_hear(c, NULL, request(&n, 65535), NOW), PASS);                     /* the last join of its life */
    TRUE(rig_take_accept(&n, rig_answer(c)));
    for (u32 i = 0; i < 65536; i += 4321)
        EQ(rig_alone(c, NULL, request(&n, (u16)i), NOW), DROP_DEVNONCE);
    TRUE(str_find(rig_refusal(c), S("all of its DevNonces were used; it cannot join again before it has another root key")) > 0);
    EQ(rig_alone(c, NULL, rig_plain(&n, 0), NOW), PASS);                      /* and it speaks on */
    rig_forget(&n), rig_stop(c);
}

TEST(a_joinnonce_rises_through_crashes_and_lost_batches_and_ends_at_24_bits)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    u32 last = 0;
    u16 nonce = 0;
    for (int i = 0; i < 12; i++) {
        EQ(rig_hear(c, NULL, request(&n, nonce++), NOW), PASS);
        TRUE(rig_take_accept(&n, rig_answer(c)));
        TRUE(n.join_nonce > last);
        last = n.join_nonce;
        rig_pass(c, 20 * US_PER_S);
        if (i % 3 == 1)
            rig_crash(c);
        if (i % 3 == 2) {
            EQ(rig_hear(c, NULL, request(&n, nonce), NOW), PASS);
            c->env.failed = ERR_FULL;
            EQ(rig_commit(c, NULL), ERR_FULL);
        }
    }
    u32 device = map_get(&c->env.mac->by_eui, RIVER);
    c->env.mac->devices[device].join_nonce = 0xFFFFFE;
    EQ(rig_hear(c, NULL, request(&n, nonce++), NOW), PASS);
    TRUE(rig_take_accept(&n, rig_answer(c)));
    EQ(n.join_nonce, 0xFFFFFF);
    struct traces before = traces_of(c, RIVER);
    for (int life = 0; life < 2; life++) {
        EQ(rig_alone(c, NULL, request(&n, nonce), NOW), DROP_JOIN_SPENT);
        TRUE(same(before, traces_of(c, RIVER)));
        rig_crash(c);
    }
    EQ(rig_alone(c, NULL, rig_plain(&n, 0), NOW), PASS);
    rig_forget(&n), rig_stop(c);
}

/* It would push out the session of a younger join that the device may be using already. */
TEST(a_join_request_that_a_gateway_kept_changes_nothing)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER), kept = rig_node(RIVER);
    struct bytes old = request(&kept, 1);
    n.dev_nonce = 2;
    rig_join(c, &n);
    struct traces before = traces_of(c, RIVER);
    EQ(rig_alone(c, NULL, old, (struct by){ .kept_us = 3600 * US_PER_S }), DROP_JOIN_LATE);
    TRUE(same(before, traces_of(c, RIVER)));
    EQ(rig_alone(c, NULL, rig_plain(&n, 0), NOW), PASS);
    EQ(rig_alone(c, NULL, old, (struct by){ .kept_us = 5 * US_PER_S }), PASS);   /* RX2 is still ahead */
    rig_forget(&n), rig_stop(c);
}

TEST(copies_of_a_join_request_are_no_reuse_as_long_as_the_window_is_known)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    struct bytes phy = request(&n, 1);
    EQ(rig_hear(c, NULL, phy, (struct by){ .snr_cb = -140 }), PASS);
    EQ(rig_hear(c, NULL, phy, (struct by){ .gateway = GATEWAY_B, .snr_cb = -60 }), DROP_JOIN_REPEATED);
    struct downlink *d = rig_answer(c);
    TRUE(d && d->tries[0].gateway == GATEWAY_B);
    EQ(rig_hear(c, NULL, phy, (struct by){ .gateway = GATEWAY_B }), DROP_JOIN_REPEATED);      /* closed, and known */
    EQ(rig_commit(c, NULL), OK);
    rig_pass(c, 6 * US_PER_S);
    (void)mac_tick(&c->env);
    EQ(rig_hear(c, NULL, phy, NOW), DROP_DEVNONCE);
    rig_stop(c);
}

TEST(two_joins_wait_and_the_first_uplink_under_one_ends_what_is_older)
{
    struct rig *c = rig_make();
    struct node used = rig_node(RIVER), second = rig_node(RIVER), third = rig_node(RIVER);
    rig_join(c, &used);
    EQ(rig_alone(c, NULL, rig_plain(&used, 0), NOW), PASS);
    second.dev_nonce = 1, third.dev_nonce = 2;
    rig_join(c, &second);
    rig_join(c, &third);
    EQ(rig_count(c, "SELECT COUNT(*) FROM session"), 3);
    rig_crash(c);
    EQ(rig_alone(c, NULL, rig_plain(&used, 1), NOW), PASS);
    EQ(rig_alone(c, NULL, rig_plain(&second, 0), NOW), PASS);
    EQ(rig_alone(c, NULL, rig_plain(&used, 2), NOW), DROP_UNKNOWN_DEVADDR);
    EQ(rig_alone(c, NULL, rig_plain(&third, 0), NOW), PASS);
    EQ(rig_alone(c, NULL, rig_plain(&second, 1), NOW), DROP_UNKNOWN_DEVADDR);
    EQ(rig_count(c, "SELECT COUNT(*) FROM session"), 1);
    rig_forget(&used), rig_forget(&second), rig_forget(&third), rig_stop(c);
}

/* PostgreSQL gives rows in no certain order: here the newest comes first. */
TEST(sessions_that_wait_are_ordered_by_their_ids_however_their_rows_come)
{
    struct rig *c = rig_make();
    struct node first = rig_node(RIVER), second = rig_node(RIVER), third = rig_node(RIVER);
    second.dev_nonce = 1, third.dev_nonce = 2;
    rig_join(c, &first);
    rig_join(c, &second);
    rig_join(c, &third);
    EQ(db_exec(c->env.db, "CREATE TABLE heap AS SELECT * FROM session ORDER BY id DESC; DROP TABLE session; "
                          "ALTER TABLE heap RENAME TO session; CREATE UNIQUE INDEX session_key ON session (tenant, dev_eui, id)"), OK);
    rig_crash(c);
    EQ(rig_alone(c, NULL, rig_plain(&second, 0), NOW), PASS);
    EQ(rig_alone(c, NULL, rig_plain(&first, 0), NOW), DROP_UNKNOWN_DEVADDR);        /* older: it ended */
    EQ(rig_alone(c, NULL, rig_plain(&third, 0), NOW), PASS);                        /* newer: it still waited */
    EQ(rig_count(c, "SELECT COUNT(*) FROM session"), 1);
    rig_forget(&first), rig_forget(&second), rig_forget(&third), rig_stop(c);
}

TEST(a_join_request_is_refused_by_its_own_word)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER), stranger = rig_node(0x70B3D57ED00000FFULL), forger = rig_node(RIVER);
    struct bytes whole = request(&n, 3);
    u8 *bent = (u8 *)(uintptr_t)bytes_copy(test_arena(), whole).p;
    forger.app_key[0] ^= 1;
    struct traces before = traces_of(c, RIVER);
    for (size_t i = 1; i < whole.n; i++)
        EQ(rig_hear(c, NULL, (struct bytes){ whole.p, i }, NOW), DROP_TRUNCATED);
    u8 longer[64] = { 0 };
    memcpy(longer, whole.p, whole.n);
    EQ(rig_hear(c, NULL, (struct bytes){ longer, whole.n + 1 }, NOW), DROP_TOO_LONG);
    bent[0] |= 1;
    EQ(rig_hear(c, NULL, (struct bytes){ bent, whole.n }, NOW), DROP_MAJOR);
    bent[0] &= (u8)~1, bent[1] ^= 1;
    EQ(rig_hear(c, NULL, (struct bytes){ bent, whole.n }, NOW), DROP_UNKNOWN_DEVICE);         /* another JoinEUI */
    EQ(rig_hear(c, NULL, rig_request(&stranger), NOW), DROP_UNKNOWN_DEVICE);
    EQ(rig_hear(c, NULL, rig_request(&forger), NOW), DROP_JOIN_MIC);
    TRUE(same(before, traces_of(c, RIVER)));
    rig_stop(c);
}

/* A key that the KEK does not open: the join fails in words, its DevNonce stays unused for the day it is mended. */
TEST(a_damaged_root_key_refuses_the_join_and_costs_no_nonce)
{
    struct rig *c = rig_make();
    struct { u64 dev_eui; bool nwk; } facts[] = { { RIVER, false }, { NEWER, false }, { NEWER, true } };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct node n = rig_node(facts[i].dev_eui);
        struct device *d = &c->env.mac->devices[map_get(&c->env.mac->by_eui, facts[i].dev_eui)];
        u8 *key = facts[i].nwk ? d->nwk_key : d->app_key;
        struct traces before = traces_of(c, facts[i].dev_eui);
        key[3] ^= 1;
        EQ(rig_alone(c, NULL, request(&n, (u16)(9 + i)), NOW), DROP_KEY);
        TRUE(same(before, traces_of(c, facts[i].dev_eui)));
        TRUE(str_starts(rig_refusal(c), S("DROP_KEY")));
        key[3] ^= 1;
        EQ(rig_alone(c, NULL, request(&n, (u16)(9 + i)), NOW), PASS);
    }
    rig_stop(c);
}

/* A profile of 1.1 without an NwkKey is served as 1.0: one key, one MIC. */
TEST(a_newer_device_without_its_second_key_joins_as_an_older_one)
{
    struct rig *c = rig_make();
    struct node n = rig_node(NEWER);
    c->env.mac->devices[map_get(&c->env.mac->by_eui, NEWER)].has_nwk_key = false;
    n.v1_1 = false;
    rig_join(c, &n);
    EQ(rig_alone(c, NULL, rig_plain(&n, 0), NOW), PASS);
    rig_forget(&n), rig_stop(c);
}

/* Whatever statement of a join fails, the whole batch is lost, and the same request is new afterwards. */
TEST(a_join_that_the_store_refuses_never_happened)
{
    static const char *const tables[] = { "dev_nonce", "join_state", "session" };
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER), counts = rig_node(COUNTING);
    struct traces before = traces_of(c, RIVER);
    struct bytes phy = request(&n, 4);
    for (size_t i = 0; i < COUNT(tables); i++) {
        rig_lock(c, tables[i], "1");
        EQ(rig_hear(c, NULL, phy, NOW), DROP_STORE);
        TRUE(rig_commit(c, NULL) != OK);
        rig_unlock(c);
        TRUE(same(before, traces_of(c, RIVER)));
    }
    EQ(rig_alone(c, NULL, request(&counts, 4), NOW), PASS);
    rig_break(c, "dev_nonce");
    EQ(rig_hear(c, NULL, request(&counts, 5), NOW), DROP_STORE);
    TRUE(rig_commit(c, NULL) != OK);
    rig_mend(c, "dev_nonce");
    before = traces_of(c, COUNTING);
    c->env.failed = ERR_FULL;                                                  /* something before it in the batch */
    EQ(rig_hear(c, NULL, request(&counts, 5), NOW), DROP_STORE);
    EQ(rig_hear(c, NULL, phy, NOW), DROP_STORE);
    EQ(rig_commit(c, NULL), ERR_FULL);
    TRUE(same(before, traces_of(c, COUNTING)));
    EQ(rig_alone(c, NULL, request(&counts, 5), NOW), PASS);
    EQ(rig_alone(c, NULL, phy, NOW), PASS);
    rig_stop(c);
}

/* To say more of a refusal must not cost the refusal. */
TEST(nonces_that_cannot_be_counted_are_refused_all_the_same)
{
    struct rig *c = rig_make();
    struct node n = rig_node(COUNTING);
    EQ(rig_alone(c, NULL, request(&n, 5), NOW), PASS);
    EQ(rig_alone(c, NULL, request(&n, 9), NOW), PASS);
    EQ(rig_alone(c, NULL, request(&n, 7), NOW), DROP_DEVNONCE);
    rig_break_some(c, "dev_nonce", "nonce = 9");
    EQ(rig_hear(c, NULL, request(&n, 4), NOW), DROP_DEVNONCE);
    TRUE(rig_commit(c, NULL) != OK);
    rig_mend(c, "dev_nonce");
    rig_stop(c);
}

/* The row of a DevNonce stands, whatever the reader of it thought: the join alone is refused, its batch goes on. */
TEST(a_conflict_of_nonces_costs_the_join_and_not_its_neighbours)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER), other = rig_node(COUNTING);
    struct bytes phy = request(&n, 4);
    EQ(db_exec(c->env.db, "INSERT INTO dev_nonce (tenant, dev_eui, nonce, joined_us) VALUES (1, 0x70B3D57ED0000001, 4, 0)"), OK);
    EQ(rig_hear(c, NULL, phy, NOW), DROP_DEVNONCE);
    EQ(rig_hear(c, NULL, request(&other, 4), NOW), PASS);
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_count(c, "SELECT COUNT(*) FROM session"), 1);
    rig_stop(c);
}

/* More windows than the table holds are open: the join has to be tried again, with another nonce. */
TEST(a_join_without_room_for_its_window_is_not_answered)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    c->env.mac->window_next = c->env.mac->window_open + WINDOWS;
    EQ(rig_hear(c, NULL, request(&n, 4), NOW), DROP_NO_ROOM);
    c->env.mac->window_next = c->env.mac->window_open;
    EQ(rig_commit(c, NULL), OK);
    EQ(rig_alone(c, NULL, request(&n, 4), NOW), DROP_DEVNONCE);
    EQ(rig_hear(c, NULL, request(&n, 5), NOW), PASS);
    TRUE(rig_take_accept(&n, rig_answer(c)));
    rig_forget(&n), rig_stop(c);
}
