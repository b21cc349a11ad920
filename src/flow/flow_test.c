// SPDX-License-Identifier: Apache-2.0
/*
 * The way of an uplink with a clock of our own and a device that is not the server's code path: it
 * seals and opens frames with lora/ from its side. A store of its own for each test.
 */
#include "base/test.h"
#include "codec/codec.h"
#include "flow/flow.h"
#include "history/history.h"
#include "mac/mac.h"
#include "wire/json.h"

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

static struct mono now(void *w) { return ((struct world *)w)->now; }
static struct wall wall(void *w) { return ((struct world *)w)->clock; }
static void chance(void *w, u8 *out, size_t n)
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

static void start(struct city *c)
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
    EQ(db_open(&c->env.db, str_z(test_folder()), DB_WRITER, &why, &c->boot), OK);
    EQ(mac_start(&c->env, &set, &why), OK);
    STR_EQ(why.n > 30 ? why : S(""), S(""));
    EQ(flow_commit(&c->env), OK);
    flow_done(&c->env);
}

static void stop(struct city *c)
{
    flow_keep_stop(&c->env);
    mac_stop(&c->env);
    db_close(c->env.db);
    arena_free(&c->env.event);
    arena_free(&c->env.batch);
    arena_free(&c->boot);
}

/* The process dies: nothing is written behind, the store is opened again. */
static void crash(struct city *c)
{
    if (c->env.open)
        db_rollback(c->env.db);
    stop(c);
    start(c);
}

static struct city *city_make(void)
{
    struct city *c = arena_new(test_arena(), struct city);
    struct import_report report;
    c->world = (struct world){ { 1000000 }, { 1770000000LL * US_PER_S }, 42 };
    start(c);
    EQ(mac_import(&c->env, 1, IMPORT_GATEWAYS, str_z(gateways_csv), false, &report, test_arena()), OK);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, str_z(devices_csv), false, &report, test_arena()), OK);
    return c;
}

static void pass(struct city *c, i64 us)
{
    c->world.now.us += us;
    c->world.clock.us += us;
}

static enum drop hear_on(struct city *c, struct bytes phy, u64 gateway, i16 snr_cb, u32 freq_hz, u8 sf)
{
    struct frame f = { .phy = phy, .heard = c->world.now, .received = c->world.clock,
                       .radio = { .gateway = gateway, .tmst_us = (u32)c->world.now.us, .freq_hz = freq_hz, .bw_hz = 125000,
                                  .sf = sf, .snr_cb = snr_cb, .rssi_dbm = -90 } };
    return flow_uplink(&c->env, &f);
}

static enum drop hear(struct city *c, struct bytes phy, u64 gateway, i16 snr_cb)
{
    return hear_on(c, phy, gateway, snr_cb, 923200000, 10);
}

/* Commits, and returns the last downlink that is to be sent, or NULL. */
static struct downlink *settle(struct city *c)
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

static struct downlink *after_window(struct city *c)
{
    (void)settle(c);
    pass(c, 200000);
    (void)flow_tick(&c->env);
    return settle(c);
}

static struct node node_of(u64 dev_eui)
{
    struct node n = { .dev_eui = dev_eui };
    size_t got;
    TRUE(hex_read(n.app_key, 16, &got, S("5d1e9b3fa7260c48e1937ab4d2f80000")));
    n.app_key[15] = (u8)dev_eui;
    return n;
}

static struct bytes join_request(struct node *n)
{
    struct buf b = buf_of(arena_take(test_arena(), 64, 1), 64);
    struct lora_key key = { 0 };
    lora_key_set(&key, n->app_key);
    struct lora_join_request r = { .dev_nonce = n->dev_nonce, .join_eui = JOIN_EUI, .dev_eui = n->dev_eui };
    EQ(lora_join_request_seal(&b, &r, &key), LORA_OK);
    lora_key_clear(&key);
    return buf_bytes(&b);
}

static void take_accept(struct node *n, const struct downlink *d)
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

static void join(struct city *c, struct node *n)
{
    EQ(hear(c, join_request(n), GATEWAY_A, 50), PASS);
    take_accept(n, after_window(c));
}

static struct bytes say(struct node *n, const char *payload, size_t size, bool confirmed, struct bytes fopts)
{
    struct buf b = buf_of(arena_take(test_arena(), 256, 1), 256);
    struct lora_session s = { false, &n->nwk, &n->nwk, &n->nwk, &n->app };
    struct lora_frame f = { .mtype = confirmed ? MTYPE_CONFIRMED_UP : MTYPE_DATA_UP, .fport = 2, .devaddr = n->devaddr,
                            .fopts = fopts, .payload = { (const u8 *)payload, size } };
    EQ(lora_frame_seal(&b, &f, &s, n->fcnt++, (struct lora_mic_terms){ 0 }), LORA_OK);
    return buf_bytes(&b);
}
#define LEVEL(n) say((n), "\x04\xd2\x5a", 3, false, (struct bytes){ NULL, 0 })       /* 1.234 m, 90 % */

static void forget(struct node *n)
{
    lora_key_clear(&n->nwk);
    lora_key_clear(&n->app);
}

static i64 count(struct city *c, const char *sql)
{
    struct db_query *q = db_query(c->env.db, sql);
    TRUE(q != NULL);
    i64 n = db_step(q) == OK ? db_i64(q, 0) : -1;
    db_reset(q);
    return n;
}

#define DAY_US (86400 * US_PER_S)

/* Idle as long as there is something to do. */
static void rest(struct city *c)
{
    enum err err = OK;
    while (flow_idle(&c->env, 100, &err) > 0)
        ;
    EQ(err, OK);
    for (int i = 0; i < 200 && (flow_keep(&c->env, &err) || i < 3); i++)
        EQ(err, OK);
}

static struct str seal_of(struct city *c, i64 day)
{
    struct db_query *q = db_query(c->env.db, "SELECT hash FROM day_seal WHERE day = $1");
    db_bind_i64(q, 1, day);
    struct str hash = db_step(q) == OK ? hex_str(test_arena(), db_bytes(q, 0)) : S("none");
    db_reset(q);
    return hash;
}

TEST(a_day_that_is_over_is_sealed_once_and_the_same_after_a_crash)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    flow_keep_start(&c->env, 0);
    join(c, &n);
    i64 day = c->world.clock.us / DAY_US;
    for (int i = 0; i < 9; i++) {
        EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, DAY_US / 3);
    }
    EQ(count(c, "SELECT COUNT(*) FROM day_seal"), 0);
    rest(c);
    EQ(count(c, "SELECT COUNT(*) FROM day_seal"), 2);                   /* the third is not over for the events */
    EQ(count(c, "SELECT SUM(uplinks) FROM day_seal"), count(c, "SELECT SUM(readings) FROM day_seal"));
    struct str first = seal_of(c, day), second = seal_of(c, day + 1);
    TRUE(first.n == 64 && second.n == 64 && !str_eq(first, second));
    EQ(db_exec(c->env.db, "DELETE FROM day_seal"), OK);
    crash(c);
    flow_keep_start(&c->env, 0);
    enum err err;
    (void)flow_keep(&c->env, &err);                                     /* a portion, and the process dies */
    crash(c);
    flow_keep_start(&c->env, 0);
    rest(c);
    STR_EQ(seal_of(c, day), first);
    STR_EQ(seal_of(c, day + 1), second);
    EQ(db_exec(c->env.db, "DELETE FROM day_seal; UPDATE uplink SET received_us = received_us + 1 WHERE id = "
                          "(SELECT MIN(id) FROM uplink)"), OK);
    crash(c);
    flow_keep_start(&c->env, 0);
    rest(c);
    TRUE(!str_eq(seal_of(c, day), first));                              /* what a lost or changed row does to a seal … */
    TRUE(!str_eq(seal_of(c, day + 1), second));                         /* … and to all behind it */
    forget(&n), stop(c);
}

TEST(what_is_older_than_it_is_kept_goes_and_no_frame_of_it_is_new_again)
{
    struct city *c = city_make();
    struct node n[2] = { node_of(RIVER), node_of(TRACKER) };
    struct bytes heard[40];
    flow_keep_start(&c->env, 3 * DAY_US);
    join(c, &n[0]), join(c, &n[1]);
    for (size_t i = 0; i < COUNT(heard); i++) {
        heard[i] = LEVEL(&n[i % 2 && i < 20]);                          /* the second is silent from the middle on */
        EQ(hear(c, heard[i], GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, DAY_US / 4);
        if (i % 5 == 4)
            rest(c);
    }
    pass(c, DAY_US);
    rest(c);
    TRUE(count(c, "SELECT COUNT(*) FROM uplink") < 14);
    i64 cut = count(c, "SELECT value FROM mark WHERE name = 'cut'");
    TRUE(cut > 0 && count(c, "SELECT MIN(id) FROM uplink") >= cut);     /* below it a chain was cut, not lost */
    EQ(count(c, "SELECT COUNT(*) FROM reading WHERE uplink < (SELECT MIN(id) FROM uplink)"), 0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT(heard); i++)
            EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_REPEATED);
        (void)settle(c);
        crash(c);
    }
    flow_keep_start(&c->env, 3 * DAY_US);
    pass(c, 9 * DAY_US);
    rest(c);
    TRUE(count(c, "SELECT COUNT(*) FROM uplink") <= 1);                 /* the newest may stand; nothing is new */
    EQ(count(c, "SELECT COUNT(*) FROM entity"), 1);
    crash(c);
    for (size_t i = 0; i < COUNT(heard); i++)
        EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_REPEATED);
    for (size_t i = 0; i < COUNT(n); i++) {
        EQ(hear(c, LEVEL(&n[i]), GATEWAY_A, 50), PASS);
        (void)settle(c);
        forget(&n[i]);
    }
    stop(c);
}

/* Rows that know the counters may be behind when the events would go: then they stay. */
TEST(no_event_goes_before_its_counter_is_in_a_row)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    enum err err;
    flow_keep_start(&c->env, DAY_US);
    join(c, &n);
    struct bytes heard = LEVEL(&n);
    EQ(hear(c, heard, GATEWAY_A, 50), PASS);
    (void)after_window(c);
    pass(c, 5 * DAY_US);
    for (int i = 0; i < 10; i++)
        (void)flow_keep(&c->env, &err);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 1);
    crash(c);
    EQ(hear(c, heard, GATEWAY_A, 50), DROP_REPEATED);
    (void)settle(c);
    flow_keep_start(&c->env, DAY_US);
    rest(c);
    pass(c, 3600 * US_PER_S);
    rest(c);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 0);
    forget(&n), stop(c);
}

TEST(on_a_full_disk_nothing_new_is_taken_and_the_oldest_goes_first_where_that_is_wanted)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    struct bytes heard[30];
    flow_keep_start(&c->env, 365 * DAY_US);
    join(c, &n);
    for (size_t i = 0; i < COUNT(heard); i++) {
        heard[i] = LEVEL(&n);
        EQ(hear(c, heard[i], GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, DAY_US / 2);
    }
    rest(c);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 30);
    c->env.full = true;
    struct bytes next = LEVEL(&n);
    EQ(hear(c, next, GATEWAY_A, 50), DROP_STORE);
    EQ(flow_commit(&c->env), ERR_FULL);
    flow_done(&c->env);
    for (int i = 0; i < 5; i++) {
        pass(c, 2 * US_PER_S);
        rest(c);
    }
    i64 left = count(c, "SELECT COUNT(*) FROM uplink");
    TRUE(left < 30 && left > 15);
    EQ(count(c, "SELECT fcnt FROM uplink ORDER BY id LIMIT 1"), 30 - left);
    c->env.full = false;
    EQ(hear(c, next, GATEWAY_A, 50), PASS);
    (void)settle(c);
    crash(c);
    for (size_t i = 0; i < COUNT(heard); i++)
        EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_REPEATED);
    forget(&n), stop(c);
}

static void bend(struct city *c, const char *sql)
{
    crash(c);
    EQ(db_exec(c->env.db, sql), OK);
    crash(c);
}

/* Rows that are damaged at start: each costs what it was, and nothing more. */
TEST(a_damaged_counter_row_is_read_again_from_the_events)
{
    static const char *const bends[] = { "UPDATE device_state SET fcnt_up = 0", "UPDATE mark SET value = value + 99000000000",
                                         "UPDATE device_state SET fcnt_up = 65000; UPDATE mark SET value = 7" };
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    struct bytes heard[20];
    join(c, &n);
    for (size_t i = 0; i < COUNT(heard); i++) {
        heard[i] = LEVEL(&n);
        EQ(hear(c, heard[i], GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, US_PER_S);
    }
    rest(c);
    for (size_t b = 0; b < COUNT(bends); b++) {
        bend(c, bends[b]);
        for (size_t i = 0; i < COUNT(heard); i++)
            EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_REPEATED);
        EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
        (void)settle(c);
        rest(c);
    }
    forget(&n), stop(c);
}

TEST(a_session_whose_counter_is_damaged_ends_when_its_events_are_gone)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER), other = node_of(SCRIPTED);
    struct bytes heard[6];
    flow_keep_start(&c->env, 2 * DAY_US);
    join(c, &n);
    for (size_t i = 0; i < COUNT(heard); i++) {
        heard[i] = LEVEL(&n);
        EQ(hear(c, heard[i], GATEWAY_A, 50), PASS);
        (void)after_window(c);
        pass(c, DAY_US);
        rest(c);
    }
    join(c, &other);                                                    /* its events are all there */
    struct bytes young = LEVEL(&other);
    EQ(hear(c, young, GATEWAY_A, 50), PASS);
    (void)after_window(c);
    rest(c);
    bend(c, "UPDATE device_state SET fcnt_up = 0");
    for (size_t i = 0; i < COUNT(heard); i++)
        EQ(hear(c, heard[i], GATEWAY_A, 50), DROP_UNKNOWN_DEVADDR);
    EQ(hear(c, young, GATEWAY_A, 50), DROP_REPEATED);
    EQ(hear(c, LEVEL(&other), GATEWAY_A, 50), PASS);
    (void)settle(c);
    forget(&n), forget(&other), stop(c);
}

TEST(a_damaged_session_or_device_is_not_believed_and_the_others_go_on)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER), other = node_of(SCRIPTED);
    join(c, &n), join(c, &other);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    EQ(hear(c, LEVEL(&other), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    bend(c, "UPDATE session SET down_reserved = down_reserved - 32 WHERE dev_eui = 8121069293711392769");
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), DROP_UNKNOWN_DEVADDR);
    EQ(hear(c, LEVEL(&other), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    n.dev_nonce++;
    pass(c, 10 * US_PER_S);
    join(c, &n);                                                        /* a join mends it */
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    bend(c, "UPDATE join_state SET join_nonce = 0 WHERE dev_eui = 8121069293711392769");
    n.dev_nonce++;
    pass(c, 10 * US_PER_S);
    join(c, &n);
    TRUE(count(c, "SELECT join_nonce FROM join_state WHERE dev_eui = 8121069293711392769") > 1 << 22);
    bend(c, "UPDATE device SET name = 'x' WHERE dev_eui = 8121069293711392769");
    n.dev_nonce++;
    EQ(hear(c, join_request(&n), GATEWAY_A, 50), DROP_UNKNOWN_DEVICE);
    EQ(hear(c, LEVEL(&other), GATEWAY_A, 50), PASS);
    (void)settle(c);
    forget(&n), forget(&other), stop(c);
}

TEST(a_damaged_entity_begins_anew_and_keeps_its_history)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    bend(c, "UPDATE entity SET attributes = '{}'");
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    EQ(count(c, "SELECT COUNT(*) FROM reading r JOIN reading p ON p.tenant = r.tenant AND p.id = r.prev"), 1);
    bend(c, "UPDATE entity SET last_reading = 12345");
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    EQ(count(c, "SELECT COUNT(*) FROM reading WHERE prev = 0"), 2);     /* the chain is cut, and says so */
    forget(&n), stop(c);
}

TEST(a_reading_travels_from_the_air_to_its_entity)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    const struct json *attributes;
    double level;
    join(c, &n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    struct db_query *q = db_query(c->env.db, "SELECT attributes, id FROM entity");
    EQ(db_step(q), OK);
    STR_EQ(db_str(q, 1), S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"));
    EQ(json_read(&attributes, str_copy(test_arena(), db_str(q, 0)), test_arena(), JSON_STRICT, NULL), OK);
    STR_EQ(json_get(json_get(attributes, S("waterLevel")), S("value"))->raw, S("1.234"));
    TRUE(json_double(&level, json_get(json_get(attributes, S("waterLevel")), S("value"))));
    STR_EQ(json_str(json_get(json_get(attributes, S("waterLevel")), S("unitCode")), test_arena()), S("MTR"));
    STR_EQ(json_str(json_get(json_get(json_get(attributes, S("waterLevel")), S("quality")), S("value")), test_arena()), S(""));
    db_reset(q);
    EQ(count(c, "SELECT COUNT(*) FROM reading"), 1);
    forget(&n), stop(c);
}

/* Two rows under one id would be one: the old command under the new one's name. */
TEST(ids_of_downlinks_rise_over_a_start_with_the_clock_set_back)
{
    struct city *c = city_make();
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

/* A list that is imported every night must not cost memory every night. */
TEST(the_same_table_again_takes_no_room)
{
    struct city *c = city_make();
    struct import_report report;
    u64 before = mac_numbers(c->env.mac).bytes;
    for (int i = 0; i < 300; i++) {
        EQ(mac_import(&c->env, 1, IMPORT_GATEWAYS, str_z(gateways_csv), false, &report, test_arena()), OK);
        EQ(mac_import(&c->env, 1, IMPORT_DEVICES, str_z(devices_csv), false, &report, test_arena()), OK);
        EQ(report.updated, report.rows);
    }
    EQ(mac_numbers(c->env.mac).bytes, before);
    struct device_ref d;
    TRUE(mac_device_ref(&c->env, RIVER, &d) && str_eq(d.name, S("神通川")));
    stop(c);
}

TEST(thirty_copies_of_a_frame_are_one_event)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    struct bytes phy = LEVEL(&n);
    EQ(hear(c, phy, GATEWAY_A, 50), PASS);
    for (int i = 0; i < 30; i++)
        EQ(hear(c, phy, i % 2 ? GATEWAY_A : GATEWAY_B, (i16)i), DROP_COPY);
    (void)after_window(c);
    pass(c, 4 * US_PER_S);
    EQ(hear(c, phy, 0xA000000000000003ULL, 10), DROP_COPY);             /* seconds later: still the same frame */
    (void)settle(c);
    pass(c, 20 * US_PER_S);
    (void)flow_tick(&c->env);
    EQ(hear(c, phy, GATEWAY_A, 50), DROP_REPEATED);                     /* and a replay is a replay */
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 1);
    EQ(count(c, "SELECT LENGTH(radio) FROM uplink_copies"), 3 * MAC_RADIO_BYTES);
    forget(&n), stop(c);
}

TEST(a_frame_heard_before_a_crash_is_not_new_after_it)
{
    struct city *c = city_make();
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

TEST(rows_behind_catch_up_in_any_portion_and_after_a_failure)
{
    struct city *c = city_make();
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

TEST(what_a_failed_commit_takes_back_never_happened)
{
    struct city *c = city_make();
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

TEST(a_devnonce_is_never_forgotten)
{
    struct city *c = city_make();
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

TEST(the_old_session_lives_until_the_first_uplink_under_the_new_one)
{
    struct city *c = city_make();
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
TEST(a_session_that_waits_outlives_later_joins_until_its_device_speaks)
{
    struct city *c = city_make();
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

TEST(a_confirmed_uplink_is_acknowledged_in_its_window)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    pass(c, 10 * US_PER_S);                                             /* the join-accept is in the air until then */
    u32 tmst = (u32)c->world.now.us;
    EQ(hear(c, say(&n, "\1\2\3", 3, true, (struct bytes){ NULL, 0 }), GATEWAY_A, 50), PASS);
    struct downlink *d = after_window(c);
    struct lora_frame f;
    TRUE(d != NULL);
    if (d) {
        EQ(lora_frame_parse(&f, d->phy), LORA_OK);
        TRUE(f.fctrl & FCTRL_ACK);
        EQ(lora_mic_down(&n.nwk, f.signed_part, n.devaddr, f.fcnt_low), f.mic);
        EQ(d->tries[0].tmst_us, tmst + 5000000);
        EQ(d->tries[0].freq_hz, 923200000);
        EQ(d->tries[1].tmst_us, tmst + 6000000);
    }
    forget(&n), stop(c);
}

TEST(no_downlink_counter_is_used_twice_across_crashes)
{
    struct city *c = city_make();
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

TEST(the_gateway_with_the_better_signal_answers)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    struct bytes phy = say(&n, "\1\2\3", 3, true, (struct bytes){ NULL, 0 });
    EQ(hear(c, phy, GATEWAY_A, -140), PASS);
    EQ(hear(c, phy, GATEWAY_B, -60), DROP_COPY);
    struct downlink *d = after_window(c);
    TRUE(d && d->tries[0].gateway == GATEWAY_B && d->tries_count == 4);
    forget(&n), stop(c);
}

TEST(what_a_thief_sends_again_while_copies_are_awaited_is_not_answered)
{
    struct { u64 gateway; u32 freq_hz; u8 sf; i64 after_us; u64 answers; } again[] = {
        { GATEWAY_B, 923400000, 10, 100000, GATEWAY_A },        /* another frequency */
        { GATEWAY_B, 923200000, 9,  100000, GATEWAY_A },        /* another data rate */
        { GATEWAY_A, 923200000, 10, 100000, GATEWAY_A },        /* the same gateway, again */
        { GATEWAY_B, 923200000, 10, 0,      GATEWAY_B },        /* an honest copy */
    };
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    for (size_t i = 0; i < COUNT(again); i++) {
        pass(c, 10 * US_PER_S);
        struct bytes phy = say(&n, "\1\2\3", 3, true, (struct bytes){ NULL, 0 });
        u32 tmst = (u32)c->world.now.us;
        EQ(hear(c, phy, GATEWAY_A, -140), PASS);
        pass(c, again[i].after_us);
        EQ(hear_on(c, phy, again[i].gateway, -60, again[i].freq_hz, again[i].sf), DROP_COPY);
        struct downlink *d = after_window(c);
        TRUE(d && d->tries[0].gateway == again[i].answers);
        for (u32 k = 0; d && k < d->tries_count; k++)
            EQ((d->tries[k].tmst_us - tmst) % US_PER_S, 0);
    }
    forget(&n), stop(c);
}

/* LoRaWAN 1.1: NwkKey signs the join, the accept is signed by JSIntKey, uplinks carry two MICs of which one
 * knows data rate and channel, and the ACK names the uplink it acknowledges. */
TEST(a_device_of_1_1_joins_speaks_and_is_acknowledged_by_the_counter_it_used)
{
    struct city *c = city_make();
    struct lora_key nwk_root = { 0 }, app_root = { 0 }, js_int = { 0 }, keys[4] = { { 0 } };
    struct lora_join_accept a;
    struct lora_session_raw raw;
    struct lora_frame down;
    u8 nwk[16], app[16], js[16], room[LORA_AIR_MAX];
    size_t got;
    TRUE(hex_read(nwk, 16, &got, S("6f9c1a2277d0458eb1c3a4f507182930")) && hex_read(app, 16, &got, S("5d1e9b3fa7260c48e1937ab4d2f80004")));
    lora_key_set(&nwk_root, nwk);
    lora_key_set(&app_root, app);
    lora_derive_js_int(js, &nwk_root, NEWER);
    lora_key_set(&js_int, js);

    struct buf request = buf_of(arena_take(test_arena(), 64, 1), 64);
    EQ(lora_join_request_seal(&request, &(struct lora_join_request){ .dev_nonce = 7, .join_eui = JOIN_EUI, .dev_eui = NEWER },
                              &nwk_root), LORA_OK);
    EQ(hear(c, buf_bytes(&request), GATEWAY_A, 50), PASS);
    struct downlink *d = after_window(c);
    TRUE(d && lora_join_accept_open(&a, room, d->phy, &nwk_root) == LORA_OK);
    TRUE(a.opt_neg && lora_join_accept_verify(&a, &js_int, (struct lora_join_terms){ JOIN_REQ_TYPE_JOIN, 7, JOIN_EUI }));

    lora_derive_session_1_1(&raw, &nwk_root, &app_root, a.join_nonce, JOIN_EUI, 7);
    const u8 *const raws[4] = { raw.f_nwk_s_int, raw.s_nwk_s_int, raw.nwk_s_enc, raw.app_s };
    for (size_t i = 0; i < 4; i++)
        lora_key_set(&keys[i], raws[i]);
    struct lora_session s = { true, &keys[0], &keys[1], &keys[2], &keys[3] };
    for (u32 fcnt = 0; fcnt < 3; fcnt++) {
        struct buf up = buf_of(arena_take(test_arena(), 256, 1), 256);
        struct lora_frame f = { .mtype = MTYPE_CONFIRMED_UP, .fport = 2, .devaddr = a.devaddr,
                                .fopts = { (const u8 *)"\x0b\x01", fcnt == 0 ? 2 : 0 }, .payload = bytes_of(S("hello")) };
        pass(c, 10 * US_PER_S);
        EQ(lora_frame_seal(&up, &f, &s, fcnt, (struct lora_mic_terms){ .tx_dr = 2, .tx_ch = 0 }), LORA_OK);
        EQ(hear(c, buf_bytes(&up), GATEWAY_A, 50), PASS);
        d = after_window(c);
        TRUE(d && lora_frame_parse(&down, d->phy) == LORA_OK && (down.fctrl & FCTRL_ACK));
        TRUE(d && lora_frame_verify(&down, &s, down.fcnt_low, (struct lora_mic_terms){ .conf_fcnt = (u16)fcnt }));
        lora_frame_open(&down, room, &down, &s, down.fcnt_low);
        TRUE(str_starts(str_of(down.fopts), S("\x0b\x01")) == (fcnt == 0));       /* RekeyConf to its RekeyInd */
        if (fcnt == 0)
            crash(c);
    }
    for (size_t i = 0; i < 4; i++)
        lora_key_clear(&keys[i]);
    lora_key_clear(&nwk_root), lora_key_clear(&app_root), lora_key_clear(&js_int);
    stop(c);
}

TEST(a_queued_downlink_is_offered_once_and_never_again_after_a_crash)
{
    struct city *c = city_make();
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

TEST(japan_switches_the_dwell_limit_off_once)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    struct lora_frame f;
    join(c, &n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    struct downlink *d = after_window(c);
    TRUE(d && lora_frame_parse(&f, d->phy) == LORA_OK);
    if (d)
        BYTES_EQ(f.fopts, ((struct bytes){ (const u8 *)"\x09\x03", 2 }));   /* dwell 0/0, 13 dBm */
    EQ(hear(c, say(&n, "\4\322\132", 3, false, (struct bytes){ (const u8 *)"\x09", 1 }), GATEWAY_A, 50), PASS);
    TRUE(after_window(c) == NULL);
    crash(c);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    TRUE(after_window(c) == NULL);                                      /* and is remembered */
    forget(&n), stop(c);
}

TEST(a_device_that_never_answers_is_not_asked_for_ever)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    int asked = 0;
    join(c, &n);
    for (int i = 0; i < 20; i++) {
        pass(c, 10 * US_PER_S);
        EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
        asked += after_window(c) != NULL;
    }
    EQ(asked, 8);
    forget(&n), stop(c);
}

TEST(a_scripted_reading_waits_for_its_codec_also_across_a_crash)
{
    struct city *c = city_make();
    struct node n = node_of(SCRIPTED);
    struct uplink waiting[4];
    join(c, &n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    crash(c);
    EQ(flow_waiting(&c->env, 0, waiting, COUNT(waiting)), 1);
    EQ(flow_reading(&c->env, &waiting[0], S("{\"data\":{\"temperature\":1.5}}")), OK);
    (void)settle(c);
    EQ(flow_waiting(&c->env, 0, waiting, COUNT(waiting)), 0);
    EQ(count(c, "SELECT COUNT(*) FROM reading"), 1);
    forget(&n), stop(c);
}

/* A text that the store does not take would cost the batch, again after each start: the codec is asked again. */
TEST(a_codec_may_say_anything_and_the_batch_is_kept)
{
    struct city *c = city_make();
    struct node n = node_of(SCRIPTED);
    static const char *const errors[] = { "a\\u0000b", ("\xcf" "2"), "%s" };
    struct uplink waiting;
    join(c, &n);
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct text t = text_make(test_arena(), 4096);
        for (int k = 0; k < 199; k++)
            text_char(&t, 'x');
        text_put(&t, S("水"));                                          /* the limit is inside this character */
        EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
        (void)settle(c);
        EQ(flow_waiting(&c->env, 0, &waiting, 1), 1);
        struct str words = str_eq(str_z(errors[i]), S("%s")) ? text_str(&t) : str_z(errors[i]);
        EQ(flow_reading(&c->env, &waiting, str_fmt(test_arena(), "{\"errors\":[\"%.*s\"]}", STR(words))), OK);
        (void)settle(c);
        EQ(flow_waiting(&c->env, 0, &waiting, 1), 0);
    }
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    EQ(flow_waiting(&c->env, 0, &waiting, 1), 1);
    EQ(flow_undecoded(&c->env, &waiting, S("thrown \0-\xff")), OK);
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM refusal WHERE detail = 'thrown ?-?'"), 1);
    EQ(count(c, "SELECT COUNT(*) FROM refusal WHERE detail = 'a?b'"), 1);
    forget(&n), stop(c);
}

TEST(a_personal_payload_goes_nowhere_in_clear)
{
    struct city *c = city_make();
    struct node n = node_of(TRACKER);
    join(c, &n);
    EQ(hear(c, say(&n, "\x15\xdf\x4b\x2a\x5a", 5, false, (struct bytes){ NULL, 0 }), GATEWAY_A, 50), PASS);
    (void)settle(c);
    (void)flow_idle(&c->env, 100, &(enum err){ OK });
    EQ(count(c, "SELECT COUNT(*) FROM entity"), 0);
    EQ(count(c, "SELECT COUNT(*) FROM reading"), 0);
    EQ(count(c, "SELECT COUNT(*) FROM intent"), 0);
    EQ(count(c, "SELECT battery_pct FROM device_state"), 90);
    struct db_query *q = db_query(c->env.db, "SELECT id, payload FROM uplink");
    EQ(db_step(q), OK);
    i64 id = db_i64(q, 0);
    struct bytes sealed = bytes_copy(test_arena(), db_bytes(q, 1)), clear;
    db_reset(q);
    TRUE(str_find(str_of(sealed), S("\x15\xdf\x4b\x2a")) < 0);
    EQ(mac_subject_open(&clear, c->env.db, mac_kek(c->env.mac), 1, TRACKER, id, sealed, test_arena()), OK);
    BYTES_EQ(clear, bytes_of(S("\x15\xdf\x4b\x2a\x5a")));
    EQ(db_exec(c->env.db, "DELETE FROM subject_key"), OK);              /* erased is unreadable */
    EQ(mac_subject_open(&clear, c->env.db, mac_kek(c->env.mac), 1, TRACKER, id, sealed, test_arena()), ERR_NOT_FOUND);
    forget(&n), stop(c);
}

TEST(a_jump_is_flagged_and_the_last_believed_value_stays)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    const struct json *a;
    join(c, &n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    for (int i = 0; i < 3; i++) {                                       /* 14.000 m, again and again */
        pass(c, 600 * US_PER_S);
        EQ(hear(c, say(&n, "\x36\xb0\x5a", 3, false, (struct bytes){ NULL, 0 }), GATEWAY_A, 50), PASS);
        (void)settle(c);
        struct db_query *q = db_query(c->env.db, "SELECT attributes FROM entity");
        EQ(db_step(q), OK);
        EQ(json_read(&a, str_copy(test_arena(), db_str(q, 0)), test_arena(), JSON_STRICT, NULL), OK);
        db_reset(q);
        a = json_get(a, S("waterLevel"));
        STR_EQ(json_get(a, S("value"))->raw, S("14.000"));
        STR_EQ(json_str(json_get(json_get(a, S("quality")), S("value")), test_arena()), S("&"));
        STR_EQ(json_get(json_get(a, S("lastGood")), S("value"))->raw, S("1.234"));
    }
    forget(&n), stop(c);
}

TEST(frames_are_refused_by_their_own_word)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    struct bytes whole = LEVEL(&n);
    struct { const char *hex; enum drop drop; } facts[] = {
        { "", DROP_TRUNCATED },          { "40", DROP_TRUNCATED },       { "400102030400000001020304", DROP_UNKNOWN_DEVADDR },
        { "41010203040000000102030405", DROP_MAJOR },                    { "60010203040000000102030405", DROP_MTYPE },
        { "20010203040000000102030405060708090a0b", DROP_MTYPE },        { "e0010203", DROP_PROPRIETARY },
        { "c0010203040000000102030405", DROP_REJOIN },
        { "00ffffffd07ed5b37001000ad07ed5b370000001020304", DROP_UNKNOWN_DEVICE },
        { "00ffffffd07ed5b370010000d07ed5b370010001020304", DROP_JOIN_MIC },
        { "00ffffffd07ed5b370010000d07ed5b3700100010203", DROP_TRUNCATED },
        { "00ffffffd07ed5b370010000d07ed5b37001000102030405", DROP_TOO_LONG },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        u8 phy[64];
        size_t size;
        TRUE(hex_read(phy, sizeof phy, &size, str_z(facts[i].hex)));
        enum drop got = hear(c, (struct bytes){ phy, size }, GATEWAY_A, 50);
        if (got != facts[i].drop)
            test_fail(__FILE__, __LINE__, "%s is %s, not %s", facts[i].hex, drop_name(got), drop_name(facts[i].drop));
    }
    for (size_t size = 0; size < whole.n; size++)
        TRUE(hear(c, (struct bytes){ whole.p, size }, GATEWAY_A, 50) != PASS);
    u8 *bent = (u8 *)(uintptr_t)bytes_copy(test_arena(), whole).p;
    bent[whole.n - 1] ^= 1;
    EQ(hear(c, (struct bytes){ bent, whole.n }, GATEWAY_A, 50), DROP_BAD_MIC);
    EQ(hear(c, whole, GATEWAY_A, 50), PASS);
    n.fcnt += 20000;
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), DROP_FCNT_GAP);
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 1);
    TRUE(count(c, "SELECT COUNT(*) FROM refusal WHERE word = 'DROP_FCNT_GAP'") == 1);
    forget(&n), stop(c);
}

TEST(an_import_is_whole_or_nothing)
{
    struct city *c = city_make();
    struct import_report r;
    i64 before = count(c, "SELECT COUNT(*) FROM device");
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES,
                  S("dev_eui;join_eui;app_key;name;profile\r\n"
                    "70B3D57ED0000010;70B3D57ED0FFFFFF;6f9c1a2277d0458eb1c3a4f507182930;\"良い; 名前\";river\r\n"
                    "70B3D57ED000001;70B3D57ED0FFFFFF;00000000000000000000000000000000;;nothing\r\n"),
                  false, &r, test_arena()),
       ERR_INVALID);
    EQ(r.errors, 4);                                        /* EUI too short, key weak, no name, no profile */
    EQ(r.first->line, 3);
    STR_EQ(r.first->column, S("dev_eui"));
    EQ(count(c, "SELECT COUNT(*) FROM device"), before);
    struct str good = S("\xef\xbb\xbf" "dev_eui,join_eui,app_key,name,profile\n"
                        "70-B3-D5-7E-D0-00-00-10,70B3D57ED0FFFFFF,6f9c1a2277d0458eb1c3a4f507182930,水位,river\n");
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, good, true, &r, test_arena()), OK);
    EQ(count(c, "SELECT COUNT(*) FROM device"), before);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, good, false, &r, test_arena()), OK);
    EQ(r.created, 1);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, good, false, &r, test_arena()), OK);
    EQ(r.updated, 1);
    EQ(count(c, "SELECT COUNT(*) FROM device"), before + 1);
    EQ(count(c, "SELECT COUNT(*) FROM device WHERE app_key = X'6f9c1a2277d0458eb1c3a4f507182930'"), 0);   /* wrapped */
    stop(c);
}

/* ------------------------------------------------------------------ late frames */

static enum drop hear_kept(struct city *c, struct bytes phy, i64 gateway_us)
{
    struct frame f = { .phy = phy, .heard = c->world.now, .received = c->world.clock,
                       .radio = { .gateway = GATEWAY_B, .tmst_us = 5, .freq_hz = 923200000, .bw_hz = 125000, .sf = 10,
                                  .snr_cb = 10, .rssi_dbm = -90, .gateway_us = gateway_us } };
    return flow_uplink(&c->env, &f);
}

struct seen { size_t n; i64 observed[8]; };
static bool keep_seen(void *arg, const struct history_row *row)
{
    struct seen *s = arg;
    s->observed[s->n++] = row->observed.us;
    return s->n < COUNT(s->observed);
}

static struct str entity_row(struct city *c)
{
    struct db_query *q = db_query(c->env.db, "SELECT attributes, modified_us FROM entity");
    EQ(db_step(q), OK);
    struct str text = str_fmt(test_arena(), "%.*s %lld", STR(db_str(q, 0)), (long long)db_i64(q, 1));
    db_reset(q);
    return text;
}

TEST(a_late_reading_joins_the_history_and_leaves_what_the_entity_is_now)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    struct seen all = { 0 }, early = { 0 };
    join(c, &n);
    i64 first = c->world.clock.us;
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    struct bytes kept = say(&n, "\x06\x40\x0a", 3, false, (struct bytes){ NULL, 0 });     /* 1.6 m, 10 % */
    pass(c, 3 * 86400 * US_PER_S);
    i64 last = c->world.clock.us;
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    struct str before = entity_row(c);
    pass(c, 60 * US_PER_S);
    EQ(hear_kept(c, kept, first + 600 * US_PER_S), PASS);
    TRUE(after_window(c) == NULL);
    STR_EQ(entity_row(c), before);
    EQ(count(c, "SELECT COUNT(*) FROM reading"), 3);
    EQ(count(c, "SELECT COUNT(*) FROM reading WHERE attributes LIKE '%1.600%' AND attributes NOT LIKE '%lastGood%'"), 1);
    struct str urn = S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001");
    EQ(history_walk(c->env.db, 1, urn, (struct wall){ first }, (struct wall){ last }, keep_seen, &all), OK);
    EQ(all.n, 3);
    /* The newest of the chain is older than what is asked for; the walk goes on behind it. */
    EQ(history_walk(c->env.db, 1, urn, (struct wall){ last }, (struct wall){ last }, keep_seen, &early), OK);
    EQ(early.n, 1);
    (void)flow_idle(&c->env, 100, &(enum err){ OK });
    EQ(count(c, "SELECT battery_pct FROM device_state"), 90);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);                              /* and the chain goes on */
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM reading r JOIN reading p ON p.id = r.prev"), 3);
    EQ(hear_kept(c, kept, first), DROP_COPY);
    forget(&n), stop(c);
}

TEST(a_late_frame_of_a_script_is_late_after_a_crash_too)
{
    struct city *c = city_make();
    struct node n = node_of(SCRIPTED);
    struct uplink waiting[4];
    join(c, &n);
    struct bytes kept = LEVEL(&n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    EQ(flow_waiting(&c->env, 0, waiting, COUNT(waiting)), 1);
    EQ(flow_reading(&c->env, &waiting[0], S("{\"data\":{\"temperature\":1.5}}")), OK);
    (void)settle(c);
    struct str before = entity_row(c);
    pass(c, 60 * US_PER_S);
    EQ(hear_kept(c, kept, 0), PASS);
    (void)settle(c);
    crash(c);
    EQ(flow_waiting(&c->env, 0, waiting, COUNT(waiting)), 1);
    TRUE(waiting[0].late && waiting[0].behind);
    EQ(flow_reading(&c->env, &waiting[0], S("{\"data\":{\"temperature\":99}}")), OK);
    (void)settle(c);
    STR_EQ(entity_row(c), before);
    EQ(count(c, "SELECT COUNT(*) FROM reading"), 2);
    forget(&n), stop(c);
}
