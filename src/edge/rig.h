/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_RIG_H
#define HOTARU_EDGE_RIG_H

/* For tests of the doors of gateways: two gateways and a device on a store of their own, and a clock of ours. */
#include "base/test.h"
#include "codec/codec.h"
#include "flow/flow.h"
#include "mac/mac.h"

#define EUI_A   0xA000000000000001ULL
#define EUI_B   0xA000000000000002ULL
#define DEVICE  0x70B3D57ED0000001ULL
#define DEVADDR 0x01020304

struct world { struct mono now; struct wall clock; u64 chance; };

struct rig {
    struct env env;
    struct world world;
    struct codecs codecs;
    struct arena boot;
    struct lora_key nwk, app;          /* of the device */
    u32 fcnt;
};

static inline struct mono rig_now(void *w) { return ((struct world *)w)->now; }
static inline struct wall rig_clock(void *w) { return ((struct world *)w)->clock; }
static inline void rig_chance(void *w, u8 *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (u8)(((struct world *)w)->chance = hash_u64(((struct world *)w)->chance));
}

static inline void rig_enrol(struct rig *r)
{
    static const u8 nwk[16] = { 1, 2, 3 }, app[16] = { 4, 5, 6 };
    EQ(mac_bench_gateway(&r->env, EUI_A), OK);
    EQ(mac_bench_gateway(&r->env, EUI_B), OK);
    EQ(mac_bench_device(&r->env, DEVICE, DEVADDR, nwk, app, &r->env.profiles.list[0]), OK);
    EQ(flow_commit(&r->env), OK);
    flow_done(&r->env);
    lora_key_set(&r->nwk, nwk);
    lora_key_set(&r->app, app);
}

static inline void rig_open(struct rig *r)
{
    static const struct profile_text profiles[] = {
        { { "plain", 5 },
          S("{\"id\":\"plain\",\"name\":{\"ja\":\"素\",\"en\":\"plain\"},\"kind\":\"other\",\"lorawan\":\"1.0.3\","
            "\"region\":\"AS923-1\",\"codec\":{\"type\":\"none\"},\"personal\":null,\"interval_s\":600,\"fields\":{}}") },
    };
    static const u8 kek[32] = { 1, 2, 3 };
    struct mac_settings set = { .kek = { kek, 32 }, .plan = lora_plan_by_name(S("AS923-1-JP")), .window_us = 200000,
                                .keys_cached = 64 };
    struct str why = S("");
    r->world = (struct world){ { 1000 * US_PER_S }, { 1770000000LL * US_PER_S }, 42 };
    r->boot  = arena_make(1 << 16);
    r->env   = (struct env){ .now = rig_now, .clock = rig_clock, .random = rig_chance, .world = &r->world, .codecs = &r->codecs,
                             .event = arena_make(1 << 16), .batch = arena_make(1 << 16) };
    EQ(profiles_read(&r->env.profiles, profiles, COUNT(profiles), &why, &r->boot), OK);
    EQ(codecs_parse(&r->codecs, &r->env.profiles, &why, &r->boot), OK);
    EQ(db_open(&r->env.db, str_z(test_folder()), DB_WRITER, &why, &r->boot), OK);
    EQ(mac_start(&r->env, &set, &why), OK);
    EQ(flow_commit(&r->env), OK);
    flow_done(&r->env);
    rig_enrol(r);
}

static inline void rig_close(struct rig *r)
{
    mac_stop(&r->env);
    db_close(r->env.db);
    lora_key_clear(&r->nwk);
    lora_key_clear(&r->app);
    arena_free(&r->env.event);
    arena_free(&r->env.batch);
    arena_free(&r->boot);
}

static inline void rig_pass(struct rig *r, i64 us)
{
    r->world.now.us += us;
    r->world.clock.us += us;
}

#endif
