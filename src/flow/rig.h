/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_FLOW_RIG_H
#define HOTARU_FLOW_RIG_H

/*
 * A rig for the tests of flow: the way of an uplink with a clock of our own and a device that is not
 * the server's code path: it seals and opens frames with lora/ from its side. A store of its own for
 * each test.
 */
#include "codec/codec.h"
#include "db/both.h"
#include "flow/flow.h"
#include "mac/mac.h"

#define GATEWAY_A 0xA000000000000001ULL
#define GATEWAY_B 0xA000000000000002ULL
#define RIVER     0x70B3D57ED0000001ULL
#define SCRIPTED  0x70B3D57ED0000002ULL
#define TRACKER   0x70B3D57ED0000003ULL
#define NEWER     0x70B3D57ED0000004ULL
#define JOIN_EUI  0x70B3D57ED0FFFFFFULL

struct world { struct mono now; struct wall clock; u64 chance; };

struct city {
    struct env env;
    struct world world;
    struct codecs codecs;
    struct str where;                      /* its store */
    struct arena boot;
};

struct node {
    u64 dev_eui;
    u8  app_key[16];
    u16 dev_nonce;
    u32 devaddr, fcnt;
    struct lora_session_raw raw;
    struct lora_key nwk, app;
};

static inline struct mono now(void *w) { return ((struct world *)w)->now; }
static inline struct wall wall(void *w) { return ((struct world *)w)->clock; }
static inline void chance(void *w, u8 *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (u8)(((struct world *)w)->chance = hash_u64(((struct world *)w)->chance));
}

static const struct profile_text profile_texts[] = {
    { { "river", 5 }, S("{\"id\":\"river\",\"name\":{\"ja\":\"水位\",\"en\":\"level\"},\"kind\":\"river\",\"lorawan\":\"1.0.3\","
                        "\"region\":\"AS923-1\",\"codec\":{\"type\":\"table\",\"fields\":[{\"name\":\"level\",\"at\":0,"
                        "\"type\":\"i16be\",\"scale\":0.001},{\"name\":\"battery\",\"at\":2,\"type\":\"u8\"}]},\"personal\":null,"
                        "\"interval_s\":600,\"fields\":{\"level\":{\"attr\":\"waterLevel\",\"unit\":\"MTR\",\"min\":-2,\"max\":15,"
                        "\"rate_per_h\":5,\"main\":true},\"battery\":{\"attr\":\"batteryLevel\",\"role\":\"battery_pct\"}},"
                        "\"entity\":{\"type\":\"WaterObserved\",\"id\":\"urn:ngsi-ld:WaterObserved:{dev_eui}\"}}") },
    { { "script", 6 }, S("{\"id\":\"script\",\"name\":{\"ja\":\"台本\",\"en\":\"script\"},\"kind\":\"snow\",\"lorawan\":\"1.0.3\","
                         "\"region\":\"AS923-1\",\"codec\":{\"type\":\"js\",\"file\":\"x.js\"},\"interval_s\":600,\"fields\":{},"
                         "\"entity\":{\"type\":\"Thing\",\"id\":\"urn:ngsi-ld:Thing:{dev_eui}\"}}") },
    { { "newer", 5 }, S("{\"id\":\"newer\",\"name\":{\"ja\":\"新\",\"en\":\"newer\"},\"kind\":\"other\",\"lorawan\":\"1.1\","
                        "\"region\":\"AS923-1\",\"codec\":{\"type\":\"none\"},\"interval_s\":600,\"fields\":{}}") },
    { { "bag", 3 }, S("{\"id\":\"bag\",\"name\":{\"ja\":\"かばん\",\"en\":\"bag\"},\"kind\":\"tracker\",\"lorawan\":\"1.0.3\","
                      "\"region\":\"AS923-1\",\"codec\":{\"type\":\"table\",\"fields\":[{\"name\":\"lat\",\"at\":0,\"type\":\"i32be\","
                      "\"scale\":0.0000001},{\"name\":\"battery\",\"at\":4,\"type\":\"u8\"}]},\"personal\":\"routes\",\"interval_s\":300,"
                      "\"fields\":{\"battery\":{\"attr\":\"batteryLevel\",\"role\":\"battery_pct\"}}}") },
};

static const char devices_csv[] =
    "dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated\n"
    "70B3D57ED0000001,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80001,,神通川,river,36.7,137.2,1\n"
    "70B3D57ED0000002,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80002,,消雪,script,36.7,137.2,1\n"
    "70B3D57ED0000003,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80003,,かばん,bag,,,1\n"
    "70B3D57ED0000004,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80004,6f9c1a2277d0458eb1c3a4f507182930,新,newer,,,1\n";
static const char gateways_csv[] = "gateway_eui,name,latitude,longitude,altitude_m,region,simulated\n"
                                   "A000000000000001,北,36.7,137.2,,AS923-1,1\nA000000000000002,南,36.6,137.2,,AS923-1,1\n";

static inline void start(struct city *c)
{
    static const u8 kek[32] = { 1, 2, 3 };
    struct mac_settings set = { .kek = { kek, 32 }, .plan = lora_plan_by_name(S("AS923-1-JP")), .window_us = 200000,
                                .keys_cached = 64 };
    struct str why = S("");
    c->env = (struct env){ .now = now, .clock = wall, .random = chance, .world = &c->world,
                           .event = arena_make(1 << 16), .batch = arena_make(1 << 16) };
    c->boot = arena_make(1 << 16);
    EQ(profiles_read(&c->env.profiles, profile_texts, COUNT(profile_texts), &why, &c->boot), OK);
    EQ(codecs_parse(&c->codecs, &c->env.profiles, &why, &c->boot), OK);
    c->env.codecs = &c->codecs;
    EQ(db_open(&c->env.db, c->where, DB_WRITER, &why, &c->boot), OK);
    EQ(mac_start(&c->env, &set, &why), OK);
    STR_EQ(why.n > 30 ? why : S(""), S(""));
    EQ(flow_commit(&c->env), OK);
    flow_done(&c->env);
}

static inline void stop(struct city *c)
{
    flow_keep_stop(&c->env);
    mac_stop(&c->env);
    db_close(c->env.db);
    arena_free(&c->env.event);
    arena_free(&c->env.batch);
    arena_free(&c->boot);
}

/* The process dies: nothing is written behind, the store is opened again. */
static inline void crash(struct city *c)
{
    if (c->env.open)
        db_rollback(c->env.db);
    stop(c);
    start(c);
}

static inline struct city *city_in(struct str where)
{
    struct city *c = arena_new(test_arena(), struct city);
    struct import_report report;
    c->world = (struct world){ { 1000000 }, { 1770000000LL * US_PER_S }, 42 };
    c->where = where;
    start(c);
    EQ(mac_import(&c->env, 1, IMPORT_GATEWAYS, str_z(gateways_csv), false, &report, test_arena()), OK);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, str_z(devices_csv), false, &report, test_arena()), OK);
    return c;
}

static inline struct city *city_make(void) { return city_in(str_z(test_folder())); }

static inline void pass(struct city *c, i64 us)
{
    c->world.now.us += us;
    c->world.clock.us += us;
}

static inline enum drop hear_on(struct city *c, struct bytes phy, u64 gateway, i16 snr_cb, u32 freq_hz, u8 sf)
{
    struct frame f = { .phy = phy, .heard = c->world.now, .received = c->world.clock,
                       .radio = { .gateway = gateway, .tmst_us = (u32)c->world.now.us, .freq_hz = freq_hz, .bw_hz = 125000,
                                  .sf = sf, .snr_cb = snr_cb, .rssi_dbm = -90 } };
    return flow_uplink(&c->env, &f);
}

static inline enum drop hear(struct city *c, struct bytes phy, u64 gateway, i16 snr_cb)
{
    return hear_on(c, phy, gateway, snr_cb, 923200000, 10);
}

/* Commits, and returns the last downlink that is to be sent, or NULL. */
static inline struct downlink *settle(struct city *c)
{
    struct downlink *last = NULL;
    EQ(flow_commit(&c->env), OK);
    for (struct intent *i = c->env.outbox.first; i; i = i->next)
        if (i->kind == INTENT_DOWNLINK) {
            last = arena_new(test_arena(), struct downlink);
            *last = i->downlink;
            last->phy = bytes_copy(test_arena(), i->downlink.phy);
        }
    flow_done(&c->env);
    return last;
}

static inline struct downlink *after_window(struct city *c)
{
    (void)settle(c);
    pass(c, 200000);
    (void)flow_tick(&c->env);
    return settle(c);
}

static inline struct node node_of(u64 dev_eui)
{
    struct node n = { .dev_eui = dev_eui };
    size_t got;
    TRUE(hex_read(n.app_key, 16, &got, S("5d1e9b3fa7260c48e1937ab4d2f80000")));
    n.app_key[15] = (u8)dev_eui;
    return n;
}

static inline struct bytes join_request(struct node *n)
{
    struct buf b = buf_of(arena_take(test_arena(), 64, 1), 64);
    struct lora_key key = { 0 };
    lora_key_set(&key, n->app_key);
    struct lora_join_request r = { .dev_nonce = n->dev_nonce, .join_eui = JOIN_EUI, .dev_eui = n->dev_eui };
    EQ(lora_join_request_seal(&b, &r, &key), LORA_OK);
    lora_key_clear(&key);
    return buf_bytes(&b);
}

static inline void take_accept(struct node *n, const struct downlink *d)
{
    struct lora_join_accept a;
    struct lora_key key = { 0 };
    u8 room[LORA_AIR_MAX];
    TRUE(d != NULL);
    if (!d)
        return;
    lora_key_set(&key, n->app_key);
    EQ(lora_join_accept_open(&a, room, d->phy, &key), LORA_OK);
    TRUE(lora_join_accept_verify(&a, &key, (struct lora_join_terms){ 0 }));
    lora_derive_session(&n->raw, &key, a.join_nonce, a.net_id, n->dev_nonce);
    lora_key_set(&n->nwk, n->raw.f_nwk_s_int);
    lora_key_set(&n->app, n->raw.app_s);
    lora_key_clear(&key);
    n->devaddr = a.devaddr;
    n->fcnt    = 0;
}

static inline void join(struct city *c, struct node *n)
{
    EQ(hear(c, join_request(n), GATEWAY_A, 50), PASS);
    take_accept(n, after_window(c));
}

static inline struct bytes say(struct node *n, const char *payload, size_t size, bool confirmed, struct bytes fopts)
{
    struct buf b = buf_of(arena_take(test_arena(), 256, 1), 256);
    struct lora_session s = { false, &n->nwk, &n->nwk, &n->nwk, &n->app };
    struct lora_frame f = { .mtype = confirmed ? MTYPE_CONFIRMED_UP : MTYPE_DATA_UP, .fport = 2, .devaddr = n->devaddr,
                            .fopts = fopts, .payload = { (const u8 *)payload, size } };
    EQ(lora_frame_seal(&b, &f, &s, n->fcnt++, (struct lora_mic_terms){ 0 }), LORA_OK);
    return buf_bytes(&b);
}
#define LEVEL(n) say((n), "\x04\xd2\x5a", 3, false, (struct bytes){ NULL, 0 })       /* 1.234 m, 90 % */

static inline void forget(struct node *n)
{
    lora_key_clear(&n->nwk);
    lora_key_clear(&n->app);
}

static inline i64 count(struct city *c, const char *sql)
{
    struct db_query *q = db_query(c->env.db, sql);
    TRUE(q != NULL);
    i64 n = db_step(q) == OK ? db_i64(q, 0) : -1;
    db_reset(q);
    return n;
}

#define DAY_US (86400 * US_PER_S)

/* Idle as long as there is something to do. */
static inline void rest(struct city *c)
{
    enum err err = OK;
    while (flow_idle(&c->env, 100, &err) > 0)
        ;
    EQ(err, OK);
    for (int i = 0; i < 200 && (flow_keep(&c->env, &err) || i < 3); i++)
        EQ(err, OK);
}

#endif
