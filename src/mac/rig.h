/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_MAC_RIG_H
#define HOTARU_MAC_RIG_H

/*
 * A rig for the tests of mac: two clocks and a chance that the test turns, a store of its own, two
 * gateways, devices of 1.0.3, 1.0.4 and 1.1 that seal and open frames with lora/ from their side. No
 * flow: a frame goes to mac alone, and rig_commit is the end of the batch.
 */
#include "base/test.h"
#include "mac/inside.h"

#define GATEWAY_A 0xA000000000000001ULL
#define GATEWAY_B 0xA000000000000002ULL
#define RIVER     0x70B3D57ED0000001ULL        /* 1.0.3: any DevNonce */
#define COUNTING  0x70B3D57ED0000002ULL        /* 1.0.4: a DevNonce that rises */
#define NEWER     0x70B3D57ED0000004ULL        /* 1.1 */
#define BAG       0x70B3D57ED0000008ULL        /* 1.0.3, personal */
#define JOIN_EUI  0x70B3D57ED0FFFFFFULL

struct rig {
    struct env env;
    struct mono now;
    struct wall clock;
    u64  chance;
    bool stuck;                                /* chance gives the same for ever */
    struct arena boot;
};

struct node {
    u64 dev_eui;
    u8  app_key[16], nwk_key[16];
    bool v1_1;
    u16 dev_nonce;
    u32 devaddr, join_nonce, fcnt;
    struct lora_key keys[SESSION_KEYS];
};

/* How a frame reached us, where it is not by gateway A, now. */
struct by { u64 gateway; i64 gateway_us, kept_us, tmst_us; i16 snr_cb; u32 freq_hz; u8 sf; bool fsk; };

static inline struct mono rig_now(void *w) { return ((struct rig *)w)->now; }
static inline struct wall rig_clock(void *w) { return ((struct rig *)w)->clock; }
static inline void rig_chance(void *w, u8 *out, size_t n)
{
    struct rig *c = w;
    for (size_t i = 0; i < n; i++)
        out[i] = c->stuck ? 7 : (u8)(c->chance = hash_u64(c->chance));
}

static inline const u8 *rig_kek(void)
{
    static const u8 kek[32] = { 1, 2, 3 };
    return kek;
}

static inline enum err rig_open(struct rig *c, const u8 *kek, struct str *why)
{
    static const struct profile_text profiles[] = {
#define RIG_PROFILE(name, version, personal)                                                                       \
    { { name, sizeof name - 1 }, S("{\"id\":\"" name "\",\"name\":{\"ja\":\"a\",\"en\":\"a\"},\"kind\":\"other\"," \
      "\"lorawan\":\"" version "\",\"region\":\"AS923-1\",\"codec\":{\"type\":\"none\"}," personal                 \
      "\"interval_s\":600,\"fields\":{}}") }
        RIG_PROFILE("any", "1.0.3", ""), RIG_PROFILE("count", "1.0.4", ""), RIG_PROFILE("newer", "1.1", ""),
        RIG_PROFILE("bag", "1.0.3", "\"personal\":\"routes\","),
    };
    struct mac_settings set = { .kek = { kek, 32 }, .plan = lora_plan_by_name(S("AS923-1-JP")), .window_us = 200000,
                                .keys_cached = 64 };
    c->env = (struct env){ .now = rig_now, .clock = rig_clock, .random = rig_chance, .world = c,
                           .event = arena_make(1 << 16), .batch = arena_make(1 << 16) };
    c->boot = arena_make(1 << 16);
    EQ(profiles_read(&c->env.profiles, profiles, COUNT(profiles), why, &c->boot), OK);
    EQ(db_open(&c->env.db, str_z(test_folder()), DB_WRITER, why, &c->boot), OK);
    EQ(db_exec(c->env.db, "PRAGMA synchronous = OFF"), OK);       /* the order of commits is tested here, not the disk */
    return mac_start(&c->env, &set, why);
}

/* The end of a batch, as flow_commit ends it; `sent` gets the last downlink that is to leave, or NULL. */
static inline enum err rig_commit(struct rig *c, struct downlink **sent)
{
    enum err err = c->env.failed;
    if (c->env.open && err == OK)
        err = db_commit(c->env.db);
    else if (c->env.open)
        db_rollback(c->env.db);
    c->env.open   = false;
    c->env.failed = OK;
    if (err == OK)
        mac_keep(&c->env);
    else
        mac_undo(&c->env);
    for (struct intent *i = err == OK ? c->env.outbox.first : NULL; i && sent; i = i->next) {
        *sent  = arena_new(test_arena(), struct downlink);
        **sent = i->downlink;
        (*sent)->phy = bytes_copy(test_arena(), i->downlink.phy);
    }
    c->env.outbox = (struct outbox){ 0 };
    arena_reset(&c->env.batch);
    arena_reset(&c->env.event);
    return err;
}

static inline void rig_stop(struct rig *c)
{
    if (c->env.open)
        db_rollback(c->env.db);
    mac_stop(&c->env);
    db_close(c->env.db);
    arena_free(&c->env.event);
    arena_free(&c->env.batch);
    arena_free(&c->boot);
}

/* The process dies: what was not committed is gone, nothing is written behind. */
static inline void rig_crash(struct rig *c)
{
    struct str why;
    rig_stop(c);
    EQ(rig_open(c, rig_kek(), &why), OK);
    EQ(rig_commit(c, NULL), OK);
}

static inline struct rig *rig_make(void)
{
    static const char devices[] = "dev_eui,join_eui,app_key,nwk_key,name,profile\n"
        "70B3D57ED0000001,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80001,,a,any\n"
        "70B3D57ED0000002,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80002,,b,count\n"
        "70B3D57ED0000004,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80004,6f9c1a2277d0458eb1c3a4f507182930,c,newer\n"
        "70B3D57ED0000008,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80008,,d,bag\n";
    static const char gateways[] = "gateway_eui,name,region\nA000000000000001,n,AS923-1\nA000000000000002,s,AS923-1\n";
    struct rig *c = arena_new(test_arena(), struct rig);
    struct import_report report;
    struct str why = S("");
    *c = (struct rig){ .now = { 1000 * US_PER_S }, .clock = { 1770000000LL * US_PER_S }, .chance = 42 };
    EQ(rig_open(c, rig_kek(), &why), OK);
    EQ(rig_commit(c, NULL), OK);
    EQ(mac_import(&c->env, 1, IMPORT_GATEWAYS, str_z(gateways), false, &report, test_arena()), OK);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, str_z(devices), false, &report, test_arena()), OK);
    return c;
}

static inline void rig_pass(struct rig *c, i64 us)
{
    c->now.us += us;
    c->clock.us += us;
}

/* A frame by its way to mac; what it became, in `out`. */
static inline enum drop rig_hear(struct rig *c, struct uplink *out, struct bytes phy, struct by by)
{
    struct uplink scratch;
    struct frame f = { .phy = phy, .heard = c->now, .received = c->clock, .kept_us = by.kept_us,
                       .radio = { .gateway = by.gateway ? by.gateway : GATEWAY_A, .gateway_us = by.gateway_us,
                                  .freq_hz = by.freq_hz ? by.freq_hz : 923200000, .bw_hz = by.fsk ? 0 : 125000,
                                  .bitrate = by.fsk ? 50000 : 0, .sf = by.fsk ? 0 : by.sf ? by.sf : 10, .rssi_dbm = -90,
                                  .tmst_us = (u32)(by.tmst_us ? by.tmst_us : c->now.us), .snr_cb = by.snr_cb ? by.snr_cb : 50 } };
    if (phy.n > 0 && phy.p[0] >> 5 == MTYPE_JOIN_REQUEST)
        return mac_join(&c->env, &f);
    return mac_uplink(&c->env, out ? out : &scratch, &f);
}
#define NOW ((struct by){ 0 })

/* Commits, waits until the windows have closed, and gives what is to be sent, or NULL. */
static inline struct downlink *rig_answer(struct rig *c)
{
    struct downlink *sent = NULL;
    EQ(rig_commit(c, NULL), OK);
    rig_pass(c, 200000);
    (void)mac_tick(&c->env);
    EQ(rig_commit(c, &sent), OK);
    return sent;
}

static inline struct node rig_node(u64 dev_eui)
{
    struct node n = { .dev_eui = dev_eui, .v1_1 = dev_eui == NEWER };
    size_t got;
    TRUE(hex_read(n.app_key, 16, &got, S("5d1e9b3fa7260c48e1937ab4d2f80000")));
    TRUE(hex_read(n.nwk_key, 16, &got, S("6f9c1a2277d0458eb1c3a4f507182930")));
    n.app_key[15] = (u8)dev_eui;
    return n;
}

static inline struct bytes rig_request(const struct node *n)
{
    struct buf b = buf_of(arena_take(test_arena(), 64, 1), 64);
    struct lora_key key = { 0 };
    struct lora_join_request r = { .dev_nonce = n->dev_nonce, .join_eui = JOIN_EUI, .dev_eui = n->dev_eui };
    lora_key_set(&key, n->v1_1 ? n->nwk_key : n->app_key);
    EQ(lora_join_request_seal(&b, &r, &key), LORA_OK);
    lora_key_clear(&key);
    return buf_bytes(&b);
}

static inline void rig_forget(struct node *n)
{
    for (int i = 0; i < SESSION_KEYS; i++)
        lora_key_clear(&n->keys[i]);
}

static inline bool rig_take_accept(struct node *n, const struct downlink *d)
{
    struct lora_join_accept a;
    struct lora_session_raw raw = { 0 };
    struct lora_key root = { 0 }, app = { 0 };
    u8 room[LORA_AIR_MAX];
    lora_key_set(&root, n->v1_1 ? n->nwk_key : n->app_key);
    lora_key_set(&app, n->app_key);
    bool good = d && lora_join_accept_open(&a, room, d->phy, &root) == LORA_OK;
    if (good && n->v1_1)
        lora_derive_session_1_1(&raw, &root, &app, a.join_nonce, JOIN_EUI, n->dev_nonce);
    else if (good)
        lora_derive_session(&raw, &root, a.join_nonce, a.net_id, n->dev_nonce);
    const u8 *const raws[SESSION_KEYS] = { raw.f_nwk_s_int, raw.s_nwk_s_int, raw.nwk_s_enc, raw.app_s };
    for (int i = 0; good && i < SESSION_KEYS; i++)
        lora_key_set(&n->keys[i], raws[i]);
    if (good)
        n->devaddr = a.devaddr, n->join_nonce = a.join_nonce, n->fcnt = 0;
    lora_key_clear(&root);
    lora_key_clear(&app);
    return good;
}

static inline void rig_join(struct rig *c, struct node *n)
{
    EQ(rig_hear(c, NULL, rig_request(n), NOW), PASS);
    TRUE(rig_take_accept(n, rig_answer(c)));
    rig_pass(c, 10 * US_PER_S);
}

/* All of its sessions do what is wanted of their radio: nothing is asked of it. */
static inline void rig_settle(struct rig *c, const struct node *n)
{
    u32 device = map_get(&c->env.mac->by_eui, n->dev_eui);
    for (u32 i = 0; i < c->env.mac->sessions_n; i++)
        if (c->env.mac->sessions[i].device == device)
            c->env.mac->sessions[i].settled = talk_mark(&c->env, device);
}

static inline struct lora_session rig_session(const struct node *n)
{
    const struct lora_key *f = &n->keys[KEY_F_NWK_S_INT];
    return (struct lora_session){ n->v1_1, f, n->v1_1 ? &n->keys[KEY_S_NWK_S_INT] : f, n->v1_1 ? &n->keys[KEY_NWK_S_ENC] : f,
                                  &n->keys[KEY_APP_S] };
}

/* The frame with that counter, for ever the same. */
static inline struct bytes rig_frame(const struct node *n, u32 fcnt, bool confirmed, u8 fctrl, struct str fopts)
{
    struct buf b = buf_of(arena_take(test_arena(), 64, 1), 64);
    struct lora_session s = rig_session(n);
    struct lora_frame f = { .mtype = confirmed ? MTYPE_CONFIRMED_UP : MTYPE_DATA_UP, .fport = 2, .devaddr = n->devaddr,
                            .fctrl = fctrl, .fopts = bytes_of(fopts), .payload = bytes_of(S("abc")) };
    EQ(lora_frame_seal(&b, &f, &s, fcnt, (struct lora_mic_terms){ .tx_dr = 2, .tx_ch = 0 }), LORA_OK);
    return buf_bytes(&b);
}
/* The same with all that a frame and its MIC can say. */
static inline struct bytes rig_seal(const struct node *n, u32 fcnt, struct lora_frame f, struct lora_mic_terms terms)
{
    struct buf b = buf_of(arena_take(test_arena(), 256, 1), 256);
    struct lora_session s = rig_session(n);
    f.devaddr = n->devaddr;
    EQ(lora_frame_seal(&b, &f, &s, fcnt, terms), LORA_OK);
    return buf_bytes(&b);
}
static inline struct bytes rig_plain(const struct node *n, u32 fcnt) { return rig_frame(n, fcnt, false, 0, S("")); }

/* A frame by itself: heard, committed, its window closed and forgotten, so that nothing is a copy any more. */
static inline enum drop rig_alone(struct rig *c, struct uplink *out, struct bytes phy, struct by by)
{
    enum drop drop = rig_hear(c, out, phy, by);
    EQ(rig_commit(c, NULL), OK);
    rig_pass(c, 10 * US_PER_S);
    (void)mac_tick(&c->env);
    rig_pass(c, 10 * US_PER_S);
    (void)mac_tick(&c->env);
    EQ(rig_commit(c, NULL), OK);
    return drop;
}

static inline i64 rig_count(struct rig *c, const char *sql)
{
    struct db_query *q = db_query(c->env.db, sql);
    TRUE(q != NULL);
    i64 n = q && db_step(q) == OK ? db_i64(q, 0) : -1;
    if (q)
        db_reset(q);
    return n;
}

/* From now on rows of a table of which `those` is true cannot be read: each look at one is an error. */
static inline void rig_break_some(struct rig *c, const char *table, const char *those)
{
    struct str sql = str_fmt(test_arena(), "ALTER TABLE %s RENAME COLUMN tenant TO away; ALTER TABLE %s ADD COLUMN tenant BIGINT "
                                           "GENERATED ALWAYS AS (CASE WHEN %s THEN length(zeroblob(999999999)) ELSE away END)",
                             table, table, those);
    EQ(db_exec(c->env.db, sql.p), OK);
}

static inline void rig_break(struct rig *c, const char *table) { rig_break_some(c, table, "1"); }

static inline void rig_mend(struct rig *c, const char *table)
{
    struct str sql = str_fmt(test_arena(), "ALTER TABLE %s DROP COLUMN tenant; ALTER TABLE %s RENAME COLUMN away TO tenant",
                             table, table);
    EQ(db_exec(c->env.db, sql.p), OK);
}

/* From now on rows of a table of which `those` is true can be neither written nor deleted; none stands yet. */
static inline void rig_lock(struct rig *c, const char *table, const char *those)
{
    struct str sql = str_fmt(test_arena(), "CREATE INDEX locked ON %s (abs(-9223372036854775807 - (tenant >= 0))) WHERE %s",
                             table, those);
    EQ(db_exec(c->env.db, sql.p), OK);
}

static inline void rig_unlock(struct rig *c)
{
    EQ(db_exec(c->env.db, "DROP INDEX locked"), OK);
}

/* The words of the newest refusal. */
static inline struct str rig_refusal(struct rig *c)
{
    struct db_query *q = db_query(c->env.db, "SELECT word, detail FROM refusal ORDER BY id DESC LIMIT 1");
    TRUE(q && db_step(q) == OK);
    struct str words = str_fmt(test_arena(), "%.*s %.*s", STR(db_str(q, 0)), STR(db_str(q, 1)));
    db_reset(q);
    return words;
}

/* As it is when a frame has come: its row is read. */
static inline struct session *rig_current(struct rig *c, u64 dev_eui, int which)
{
    const struct device *d = &c->env.mac->devices[map_get(&c->env.mac->by_eui, dev_eui)];
    if (d->session[which] == MAC_NONE)
        return NULL;
    TRUE(session_ready(&c->env, d->session[which]));
    return &c->env.mac->sessions[d->session[which]];
}

#endif
