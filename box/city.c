// SPDX-License-Identifier: Apache-2.0
/*
 * A city from a seed: gateways, devices and keys, brought to the daemon as an operator would, and
 * what goes wrong: the daemon dies at any boundary, the power fails, the disk is slow, full or
 * broken, clocks jump, gateways lose power or their way, readers hang, strangers shout. Every fault
 * is an entry of one table: how often an hour, and what it does.
 */
#include "box/box.h"

#include "main/settings.h"

#define SWITCH_ON_US (2 * US_PER_S)       /* after the lists were taken */

static double chance(void) { return sim_chance_unit(box_chance(CHANCE_CITY)); }
static u32 below(u32 n) { return sim_chance_below(box_chance(CHANCE_CITY), n); }
static i64 between_us(double low_s, double high_s)
{
    return (i64)(sim_chance_between(box_chance(CHANCE_CITY), low_s, high_s) * (double)US_PER_S);
}

/* ------------------------------------------------------------------ what a device keeps over its own power cuts */

void sim_keep_write(struct sim *s, const struct device *d)
{
    (void)s, (void)d;                     /* a simulated device's flash never fails */
}

void sim_keep_open(struct sim *s)
{
    for (u32 i = 0; i < s->devices_n; i++) {
        struct device *d = &s->devices[i];
        sys_random(d->kept.app_key, sizeof d->kept.app_key);
        sim_device_boot(d);
        sim_device_keys(d);
    }
}

/* ------------------------------------------------------------------ faults */

static void cut(struct box *b)
{
    static const enum cut cuts[] = { CUT_PROCESS, CUT_PROCESS, CUT_POWER_LOSE, CUT_POWER_REORDER, CUT_POWER_TEAR };
    (void)b;
    i64 down_us = chance() < 0.1 ? between_us(60, 300) : between_us(0.2, 10);
    enum cut kind = cuts[below(COUNT(cuts))];             /* one draw a statement: compilers order arguments as they like */
    box_cut_at(1 + below(chance() < 0.5 ? 12 : 400), kind, down_us);
}

static void stop_in_order(struct box *b)
{
    (void)b;
    box_stop_in_order(between_us(0.5, 20));
}

static void gateway_power(struct box *b)
{
    struct gateway *g = &b->sim.gateways[below(b->sim.gateways_n)];
    g->silent_until = mono_after(b->now, between_us(5, 300));
    g->tmst_start   = (u32)sim_chance_next(box_chance(CHANCE_CITY));      /* its concentrator begins anew */
    box_log("gateway %u loses power", g->index);
}

static void gateway_way(struct box *b)
{
    u32 g = below(b->sim.gateways_n);
    struct path *p = net_path(g);
    p->keeps     = chance() < 0.7;
    p->cut_until = mono_after(b->now, chance() < 0.1 ? between_us(600, 3600) : between_us(5, 300));
    box_log("gateway %u loses its way%s", g, p->keeps ? " and keeps what it hears" : "");
}

static void way_recovers(void *arg, i64 gateway)
{
    struct path *p = net_path((u32)gateway);
    (void)arg;
    p->loss = 0.002, p->twice = 0.001, p->reorder = 0.002, p->jitter_us = 5000;
}

static void gateway_bad_way(struct box *b)
{
    u32 g = below(b->sim.gateways_n);
    struct path *p = net_path(g);
    p->loss = 0.1, p->twice = 0.05, p->reorder = 0.25, p->jitter_us = 500000;
    box_at(mono_after(b->now, between_us(30, 300)), BOX_ALWAYS, way_recovers, NULL, g);
}

static void disk_recovers(void *arg, i64 number)
{
    (void)number;
    *disk_faults() = *(struct disk_faults *)arg;
    box_log("the disk is well again");
}

static struct disk_faults sound = { .room_bytes = (i64)1 << 30, .sync_us = 300, .sync_slow_us = 20000, .sync_slow = 0.002 };

static void disk_slow(struct box *b)
{
    disk_faults()->sync_us = 15000;
    disk_faults()->sync_slow_us = 900000;
    disk_faults()->sync_slow = 0.02;
    box_log("the disk becomes slow");
    box_at(mono_after(b->now, between_us(5, 60)), BOX_ALWAYS, disk_recovers, &sound, 0);
}

static void disk_full(struct box *b)
{
    disk_faults()->room_bytes = disk_used_bytes() + (i64)below(1 << 18);
    box_log("the disk becomes full");
    box_at(mono_after(b->now, between_us(5, 90)), BOX_ALWAYS, disk_recovers, &sound, 0);
}

static void disk_full_once(struct box *b)
{
    (void)b;
    disk_faults()->full_write_in = 1 + below(60);
    box_log("the disk will be full for a moment");
}

static void disk_fails(struct box *b)
{
    (void)b;
    if (chance() < 0.5)
        disk_faults()->fail_sync_in = 1 + below(30);
    else
        disk_faults()->fail_write_in = 1 + below(200);
    box_log("the disk will fail once");
}

static void clock_jumps(struct box *b)
{
    static const double to_s[] = { 3600, -3600, 400 * 86400.0, -86400, 0, 0, 1 };
    u32 i = below(COUNT(to_s) + 1);
    if (i == COUNT(to_s))
        b->wall_offset_us = 2147483640 * US_PER_S - (b->wall_begin.us + b->now.us);      /* 2038-01-19 03:14:00 */
    else
        b->wall_offset_us = (i64)(to_s[i] * (double)US_PER_S);
    box_log("the daemon's clock jumps, %lld s off", (long long)(b->wall_offset_us / US_PER_S));
}

/* A device is switched off and on: it has forgotten its session and joins again. */
static void device_reboots(struct box *b)
{
    struct device *d = &b->sim.devices[below(b->sim.devices_n)];
    if (d->state != DEVICE_IDLE || d->odd == ODD_NEVER)
        return;
    d->kept.joined = 0;
    sim_turn_send_at(&b->sim, d, mono_after(b->now, between_us(0.1, 30)));
    box_log("device %u begins anew", d->index);
}

static void codec_trouble(struct box *b)
{
    static struct codec_faults well = { .answer_us = 400 };
    *codec_faults() = well;
    if (chance() < 0.6)
        *codec_faults() = (struct codec_faults){ .answer_us = 2000, .slow_us = 1500000, .slow = 0.1, .dies = 0.05, .full = 0.05 };
    box_log("codecs %s", codec_faults()->dies > 0 ? "have trouble" : "are well");
    (void)b;
}

static void stranger(struct box *b)
{
    u8 bytes[64];
    size_t n = 1 + below(sizeof bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (u8)sim_chance_next(box_chance(CHANCE_CITY));
    if (chance() < 0.5 && n > 12) {
        bytes[0] = 2;
        bytes[3] = (u8)(chance() < 0.5 ? 0 : 2);
    }
    struct address from = { .family = 4, .ip = { 192, 0, 2, (u8)below(256) } };
    from.port = (u16)(1024 + below(60000));
    net_inject(from, (struct bytes){ bytes, n }, b->now);
}

/* A thief with a radio sends again what was once on the air: joins, data, of today or of the beginning. */
static void thief(struct box *b)
{
    u32 frames = judge_frames();
    for (u32 n = frames ? 1 + below(20) : 0; n > 0; n--) {
        struct gateway *g = &b->sim.gateways[below(b->sim.gateways_n)];
        u32 age = below(chance() < 0.5 ? MIN(frames, 200u) : frames);
        struct bytes phy = judge_frame(frames - 1 - age);
        struct reception r = { .n = (u8)phy.n, .dr = DR_2, .stat = 1, .hz = sim_region()->up[0].first_hz,
                               .tmst = sim_gateway_tmst(g, b->sim.started, b->now) - n * 7000,    /* one after the other */
                               .rssi_dbm = -90, .snr_cb = 50,
                               .at = mono_after(b->now, g->backhaul_us) };
        memcpy(r.phy, phy.p, phy.n);
        if (sim_gateway_works(g, b->now))
            sim_door_heard(&b->sim, g, &r);
    }
}

/* ------------------------------------------------------------------ people */

static void answered(void *arg, int status, struct str body)
{
    const char *what = arg;
    (void)body;
    bool says_so = status == 503 || status == 507 || (status == 500 && disk_counts().failed > 0);
    if (status >= 500 && !says_so)
        box_broken("R13", "%s was answered with %d: %.*s", what, status, (int)MIN(body.n, (size_t)200), body.p);
}

static void order(struct box *b)
{
    const struct device *d = &b->sim.devices[below(b->sim.devices_n)];
    struct arena mark = b->sim.event;
    struct str path = str_fmt(&b->sim.event, "/v1/devices/%016llX/downlinks", (unsigned long long)d->kept.dev_eui);
    u32  on = below(2), expires_s = 60 + below(7200);
    bool confirmed = chance() < 0.3;
    struct str body = str_fmt(&b->sim.event, "{\"fport\":10,\"payload\":\"%02x\",\"confirmed\":%s,\"expires_s\":%u}", on,
                              confirmed ? "true" : "false", expires_s);
    door_ask("POST", path, S("application/json"), bytes_of(body), answered, (void *)(uintptr_t)"a downlink");
    b->sim.event = mark;
}

static void look(struct box *b)
{
    static const char *const pages[] = { "/health", "/metrics", "/v1/city", "/v1/findings", "/v1/map", "/v1/devices?limit=20",
                                         "/v1/gateways", "/ngsi-ld/v1/entities?type=WaterObserved&limit=20&count=true",
                                         "/v1/drops", "/" };
    const struct device *d = &b->sim.devices[below(b->sim.devices_n)];
    struct arena mark = b->sim.event;
    struct str path = str_z(pages[below(COUNT(pages))]);
    if (chance() < 0.4)
        path = str_fmt(&b->sim.event, "/v1/devices/%016llX%s", (unsigned long long)d->kept.dev_eui,
                       chance() < 0.5 ? "" : chance() < 0.5 ? "/frames" : "/downlinks");
    door_ask("GET", path, S(""), (struct bytes){ NULL, 0 }, answered, (void *)(uintptr_t)"a page");
    b->sim.event = mark;
}

static const struct fault { const char *name; double per_hour; void (*happens)(struct box *b); } faults[] = {
    { "cut",             3,   cut },
    { "stop",            0.5, stop_in_order },
    { "gateway power",   6,   gateway_power },
    { "gateway way",     6,   gateway_way },
    { "bad way",         6,   gateway_bad_way },
    { "slow disk",       2,   disk_slow },
    { "full disk",       0.7, disk_full },
    { "full for once",   6,   disk_full_once },
    { "failing disk",    0.7, disk_fails },
    { "clock",           0.7, clock_jumps },
    { "device",          20,  device_reboots },
    { "codec",           2,   codec_trouble },
    { "stranger",        120, stranger },
    { "thief",           30,  thief },
    { "order",           120, order },
    { "look",            60,  look },
};

static void happen(void *arg, i64 number)
{
    struct box *b = box_here();
    const struct fault *f = arg;
    if (b->quiet)
        return;
    f->happens(b);
    box_at(mono_after(b->now, between_us(0.2, 1.8) * (i64)(3600 / f->per_hour)), BOX_ALWAYS, happen, arg, number);
}

/* ------------------------------------------------------------------ the beginning */

static void bring(void *arg, i64 which);

static void brought(void *arg, int status, struct str body)
{
    struct box *b = box_here();
    bool gateways = arg == NULL;
    if (status != 200) {                                   /* it died, or its disk was full: again */
        box_log("a list was answered with %d", status);
        box_at(mono_after(b->now, US_PER_S), BOX_ALWAYS, bring, NULL, !gateways);
        return;
    }
    (void)body;
    if (gateways) {
        bring(NULL, 1);
        return;
    }
    b->sim.started = b->sim.told_at = b->sim.world.start = mono_after(b->now, SWITCH_ON_US);
    sim_door_open(&b->sim);
    sim_switch_on(&b->sim);
    scene_switched_on(b);
    for (u32 i = 0; i < COUNT(faults) && b->plan.faults; i++)
        box_at(mono_after(b->now, between_us(30, 30 + 2 * 3600 / faults[i].per_hour)), BOX_ALWAYS, happen,
               (void *)(uintptr_t)&faults[i], 0);
    box_log("the city is switched on: %u gateways, %u devices", b->sim.gateways_n, b->sim.devices_n);
}

static void bring(void *arg, i64 which)
{
    struct box *b = box_here();
    struct arena mark = b->sim.event;
    (void)arg;
    struct str list = which ? sim_enrol_devices(&b->sim, &b->sim.event) : sim_enrol_gateways(&b->sim, &b->sim.event);
    door_ask("POST", which ? S("/v1/import/devices") : S("/v1/import/gateways"), S("text/csv"), bytes_of(list), brought,
             which ? b : NULL);
    b->sim.event = mark;
}

void city_begin(struct box *b)
{
    struct sim *s = &b->sim;
    s->options = (struct options){ .state = "", .udp = "127.0.0.1:1700", .speed = b->plan.speed, .seed = b->plan.seed,
                                   .more = scene_more(), .steady = scene_given(),
                                   .gateways = b->plan.gateways, .devices = b->plan.devices, .scene = SCENE_ALL,
                                   .interval_scale = b->plan.interval_scale };
    s->boot  = arena_make(1u << 20);
    s->event = arena_make(1u << 20);
    s->world = (struct world){ s->options.seed, s->options.scene, s->options.speed, b->now };
    s->chance.state = sim_hash(b->plan.seed, 0xA1, 0);
    s->keep_fd = -1;
    if (!sim_door_server(&s->server, str_z(s->options.udp)) || sim_city_read(&s->city, &s->boot) != OK)
        die("data/city inside this program cannot be read");
    sim_place_gateways(s);
    sim_place_devices(s);
    scene_place(b);
    sim_keep_open(s);
    s->launched    = judge_launched;
    s->launched_of = b;
    *disk_faults() = sound;
    for (u32 i = 0; i < s->gateways_n; i++) {
        *net_path(i) = (struct path){ .delay_us = s->gateways[i].backhaul_us };
        if (b->plan.faults)
            way_recovers(NULL, i);
    }
    box_at(mono_after(b->now, US_PER_S), BOX_ALWAYS, bring, NULL, 0);
}
