// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes choose the next event of the small city: what its four devices say through two gateways, frames that
 * are repeated, bent or foreign, time, commits that hold and that fail, deaths of the process, orders, clocks
 * that jump. What the devices were told and what was committed is kept here, apart from the server.
 *
 *   - a frame that was kept is never new again, also not after a death; one that was not kept may be
 *   - a DevNonce whose join was kept is never accepted again
 *   - a device in good standing is heard: its next frame and its next join are accepted
 *   - no downlink counter stands under two different frames, and the device believes what it is sent
 *   - ids rise; the store holds what was kept, each once; a batch that failed leaves nothing
 */
#include "test/fuzz/kit/city.h"
#include "test/fuzz/kit/node.h"
#include "test/fuzz/fuzz.h"

#include "flow/flow.h"

#define EVENTS_MAX 48
#define NODES      4

enum { FRAME = 1, JOIN = 2 };
struct said { u64 hash; u8 kind, node; u16 nonce; };            /* a frame that the server called new */
struct sent { u64 key, hash; };                                 /* a downlink that left */

struct play {
    struct city *c;
    struct node node[NODES];
    struct {
        u8   last[LORA_AIR_MAX]; size_t last_n;                 /* what it said last */
        bool heard;                                             /* a frame of its session was kept */
        bool replaced;                                          /* a later join was new: the pending session may be gone */
        u16  confirmed;                                         /* counter of its newest frame */
    } of[NODES];
    struct said kept[EVENTS_MAX * 2], open[EVENTS_MAX * 2];     /* committed; in the batch */
    size_t kept_n, open_n;
    struct sent sent[EVENTS_MAX * 4];
    size_t sent_n;
    i64 rows, newest;
};

/* ------------------------------------------------------------------ what the store holds */

static i64 rows(struct city *c)
{
    return city_count(c, "SELECT (SELECT COUNT(*) FROM uplink) + (SELECT COUNT(*) FROM dev_nonce) + (SELECT COUNT(*) FROM "
                         "session) + (SELECT COUNT(*) FROM downlink) + (SELECT COUNT(*) FROM intent) + (SELECT COUNT(*) FROM "
                         "reading) + (SELECT COUNT(*) FROM entity) + (SELECT COUNT(*) FROM refusal)");
}

static size_t count_kept(const struct said *list, size_t n, u8 kind)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += list[i].kind == kind;
    return k;
}

static void check_store(struct play *p)
{
    struct city *c = p->c;
    struct db_query *q = db_query(c->env.db, "SELECT COUNT(*) FROM uplink WHERE id > $1");
    db_bind_i64(q, 1, p->newest);
    enum err err = db_step(q);
    assert(err == OK && (size_t)db_i64(q, 0) == count_kept(p->open, p->open_n, FRAME));   /* ids rise */
    db_reset(q);
    memcpy(&p->kept[p->kept_n], p->open, p->open_n * sizeof p->open[0]);
    p->kept_n += p->open_n;
    p->newest = MAX(p->newest, city_count(c, "SELECT MAX(id) FROM uplink"));
    p->rows   = rows(c);
}

static void check_all(const struct play *p)
{
    struct city *c = p->c;
    assert((size_t)city_count(c, "SELECT COUNT(*) FROM uplink") == count_kept(p->kept, p->kept_n, FRAME));
    assert((size_t)city_count(c, "SELECT COUNT(*) FROM dev_nonce") == count_kept(p->kept, p->kept_n, JOIN));
    assert(city_count(c, "SELECT COUNT(*) FROM (SELECT 1 FROM uplink GROUP BY session, fcnt HAVING COUNT(*) > 1) x") == 0);
}

/* ------------------------------------------------------------------ what leaves */

static void check_sent(struct play *p, u64 key, struct bytes phy)
{
    u64 hash = hash_bytes(phy);
    for (size_t i = 0; i < p->sent_n; i++)
        assert(p->sent[i].key != key || p->sent[i].hash == hash);
    if (p->sent_n < COUNT(p->sent))
        p->sent[p->sent_n++] = (struct sent){ key, hash };
}

static void deliver(struct play *p, const struct downlink *d, bool deaf)
{
    struct lora_frame f;
    for (size_t i = 0; i < NODES; i++) {
        struct node *n = &p->node[i];
        if (n->dev_eui != d->dev_eui)
            continue;
        if (d->phy.p[0] >> 5 == MTYPE_JOIN_ACCEPT) {
            bool timely = d->tries[0].tmst_us - n->join_tmst_us == 5000000 || d->tries[0].tmst_us - n->join_tmst_us == 6000000;
            if (!deaf && timely && node_take_accept(n, d->phy)) {
                p->of[i].heard = p->of[i].replaced = false;
                p->of[i].last_n = 0;                            /* of another life */
            }
            continue;
        }
        enum lora_err err = lora_frame_parse(&f, d->phy);
        assert(err == LORA_OK && d->tries_count > 0);
        bool app = n->v1_1 && f.fport > 0;
        check_sent(p, (u64)f.devaddr << 32 | (u64)app << 31 | f.fcnt_low, d->phy);
        bool believed = !n->joined || f.devaddr != n->devaddr;
        for (int back = 0; back <= p->of[i].confirmed && !believed; back++)     /* 1.1: it may answer one said again */
            believed = node_believes(n, &f, (u16)(p->of[i].confirmed - back));
        assert(believed);
    }
}

/* ------------------------------------------------------------------ the end of a batch */

static void lose(struct play *p)
{
    for (size_t i = 0; i < p->open_n; i++)
        if (p->open[i].kind == FRAME)
            p->of[p->open[i].node].heard &= p->open[i].nonce;  /* as it was before */
    p->open_n = 0;
    assert(rows(p->c) == p->rows);
}

static void settle(struct play *p, bool good, bool deaf)
{
    struct env *env = &p->c->env;
    if (!good)
        env->failed = ERR_FULL;
    enum err err = flow_commit(env);
    assert(err == (good ? OK : ERR_FULL));
    if (good) {
        check_store(p);
        for (struct intent *i = env->outbox.first; i; i = i->next)
            if (i->kind == INTENT_DOWNLINK)
                deliver(p, &i->downlink, deaf);
        p->open_n = 0;
    }
    flow_done(env);
    if (!good)
        lose(p);
}

/* ------------------------------------------------------------------ what is heard */

static bool known(const struct play *p, u64 hash)
{
    for (size_t i = 0; i < p->kept_n; i++)
        if (p->kept[i].hash == hash)
            return true;
    for (size_t i = 0; i < p->open_n; i++)
        if (p->open[i].hash == hash)
            return true;
    return false;
}

/* A DevNonce is new; from 1.0.4 on it is also higher than all before. */
static void check_nonce(const struct play *p, const struct said *said)
{
    bool counts = p->node[said->node].dev_eui == TRACKER || p->node[said->node].v1_1;
    for (size_t i = 0; said->kind == JOIN && i < p->kept_n + p->open_n; i++) {
        const struct said *old = i < p->kept_n ? &p->kept[i] : &p->open[i - p->kept_n];
        if (old->kind == JOIN && old->node == said->node)
            assert(counts ? old->nonce < said->nonce : old->nonce != said->nonce);
    }
}

static enum drop hear(struct play *p, size_t node, struct bytes phy, bool other)
{
    struct city *c = p->c;
    struct said said = { hash_bytes(phy), phy.n && phy.p[0] >> 5 == MTYPE_JOIN_REQUEST ? JOIN : FRAME, (u8)node, 0 };
    if (said.kind == JOIN && phy.n >= 19)
        said.nonce = get_u16le(phy.p + 17);
    city_pass(c, 1000);
    struct frame f = { .phy = phy, .heard = c->now, .received = c->clock,
                       .radio = { .gateway = other ? GATEWAY_B : GATEWAY_A, .tmst_us = (u32)c->now.us, .freq_hz = 923200000,
                                  .bw_hz = 125000, .sf = 10, .snr_cb = other ? -60 : 50, .rssi_dbm = -90 } };
    enum drop drop = flow_uplink(&c->env, &f);
    if (drop != PASS)
        return drop;
    assert(!known(p, said.hash));
    check_nonce(p, &said);
    if (said.kind == FRAME) {
        said.nonce = p->of[node].heard;
        p->of[node].heard = true;
    } else {
        p->of[node].replaced = true;
    }
    p->open[p->open_n++] = said;
    return PASS;
}

static void remember(struct play *p, size_t node, struct bytes phy)
{
    memcpy(p->of[node].last, phy.p, phy.n);
    p->of[node].last_n = phy.n;
}

/* Bits of `how`: 1 the other gateway, 2 leaves a nonce out, 4 says one that it left out, perhaps. */
static void join(struct play *p, size_t node, u8 how)
{
    u8 room[LORA_AIR_MAX];
    struct buf b = BUF(room);
    struct node *n = &p->node[node];
    u16 newest = n->dev_nonce;
    n->dev_nonce = (u16)(how & 2 ? newest + 1 : how & 4 && newest > 2 ? newest - 2 : newest);
    bool back = n->dev_nonce < newest;
    struct bytes phy = node_join(n, &b);
    n->join_tmst_us = (u32)p->c->now.us + 1000;
    remember(p, node, phy);
    enum drop drop = hear(p, node, phy, how & 1);
    assert(back || drop == PASS);
    if (back) {
        n->dev_nonce = newest;
        p->of[node].last_n = 0;
        n->join_tmst_us = 0;                       /* it does not listen */
    }
}

/* The server knows its session: a frame of it was kept, or no later join has taken its place. */
static bool in_standing(const struct play *p, size_t node)
{
    return p->of[node].heard || !p->of[node].replaced;
}

static void say(struct play *p, size_t node, u8 how)
{
    static const struct bytes fopts[4] = { { NULL, 0 }, { (const u8 *)"\x02", 1 }, { (const u8 *)"\x0d\x0b\x01", 3 }, { (const u8 *)"\x09", 1 } };
    u8 room[LORA_AIR_MAX];
    struct buf b = BUF(room);
    struct node *n = &p->node[node];
    if (!n->joined)
        return;
    p->of[node].confirmed = (u16)n->fcnt;
    struct bytes phy = node_say(n, &b, how & 1, fopts[how >> 1 & 3], bytes_of(how & 8 ? S("\4\322\132\1\2") : S("")));
    remember(p, node, phy);
    bool due = in_standing(p, node);
    enum drop drop = hear(p, node, phy, how & 16);
    assert(!due || drop == PASS);
}

/* What it said last, again. What a lost batch held is as new as it was before. */
static void repeat(struct play *p, size_t node, bool other)
{
    struct bytes phy = { p->of[node].last, p->of[node].last_n };
    bool is_join = phy.n && phy.p[0] >> 5 == MTYPE_JOIN_REQUEST;
    bool due = phy.n && !known(p, hash_bytes(phy)) && (is_join || in_standing(p, node));
    enum drop drop = hear(p, node, phy, other);
    assert(!due || drop == PASS);
}

/* ------------------------------------------------------------------ what else happens */

static void bend(struct play *p, size_t node, u8 how)
{
    u8 bent[LORA_AIR_MAX];
    size_t n = p->of[node].last_n;
    if (n == 0)
        return;
    memcpy(bent, p->of[node].last, n);
    bent[how % n] ^= (u8)(1 << (how >> 5));
    enum drop drop = hear(p, node, (struct bytes){ bent, n }, false);
    assert(drop != PASS);
}

static void order(struct play *p, size_t node, u8 how)
{
    struct downlink_new d = { 1, p->node[node].dev_eui, how & 64 ? 224 : 10, how & 1, bytes_of(S("a downlink for a device")),
                              how & 2 ? p->c->clock.us + US_PER_S : 0 };
    struct str why;
    i64 id;
    d.payload.n = how & 4 ? 3 : 23;
    (void)mac_downlink_add(&p->c->env, &d, &id, &why);
}

static void answer_codec(struct play *p, u8 how)
{
    static const char *const answers[] = { "{\"data\":{\"t\":21.5}}", "{\"errors\":[\"no\"]}", "{", "{\"data\":{\"t\":\"x\",\"u\":1}}" };
    struct uplink waiting;
    if (flow_waiting(&p->c->env, 0, &waiting, 1) == 1)
        (void)flow_reading(&p->c->env, &waiting, str_z(answers[how & 3]));
}

static void die_and_rise(struct play *p)
{
    city_restart(p->c);
    lose(p);
}

static void event(struct play *p, u8 what, u8 how)
{
    struct city *c = p->c;
    size_t node = what >> 4 & 3;
    switch (what & 15) {
    case 0: join(p, node, how); break;
    case 1: case 2: case 3: say(p, node, how); break;
    case 4: repeat(p, node, how & 1); break;
    case 5: bend(p, node, how); break;
    case 6: case 7: city_pass(c, how * 4000), (void)flow_tick(&c->env); break;
    case 8: city_pass(c, how * US_PER_S), (void)flow_tick(&c->env); break;
    case 9: settle(p, true, how & 1); break;
    case 10: settle(p, false, false); break;
    case 11: die_and_rise(p); break;
    case 12: order(p, node, how); break;
    case 13: (void)mac_flush(&c->env, how); break;
    case 14: answer_codec(p, how); break;
    case 15: c->clock.us += ((i64)how - 128) * 60 * US_PER_S; break;
    }
}

FUZZ(bytes, n)
{
    static struct play play;
    struct play *p = &play;
    static const u64 euis[NODES] = { RIVER, SCRIPTED, TRACKER, NEWER };
    struct cur in = cur_of((struct bytes){ bytes, n });
    memset(p, 0, sizeof *p);
    p->c = city_begin();
    p->rows = rows(p->c);
    for (size_t i = 0; i < NODES; i++)
        node_make(&p->node[i], euis[i], euis[i] == NEWER);
    for (int i = 0; i < EVENTS_MAX && cur_left(&in) > 1; i++) {
        u8 what = cur_u8(&in);
        event(p, what, cur_u8(&in));
    }
    settle(p, true, false);
    die_and_rise(p);
    for (size_t i = 0; i < NODES; i++)
        say(p, i, 0);                              /* whoever was in good standing still is */
    settle(p, true, false);
    check_all(p);
    for (size_t i = 0; i < NODES; i++)
        node_forget(&p->node[i]);
    return 0;
}
