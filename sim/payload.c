// SPDX-License-Identifier: Apache-2.0
/*
 * Readings as bytes, in the layouts of the demo profiles (data/profiles/hotaru-*.json): fPort 2,
 * big-endian, and Cayenne LPP for the weather. A device that may send only 11 bytes leaves out the
 * last channels of a Cayenne frame: the others all fit.
 */
#include "sim/inside.h"

#include <math.h>

const char *const sim_profiles[KINDS] = {
    [KIND_RIVER]   = "hotaru-river-level", [KIND_SNOW]  = "hotaru-snow-pump",
    [KIND_WEATHER] = "hotaru-weather",     [KIND_PARKING] = "hotaru-parking",
    [KIND_PADDY]   = "hotaru-paddy",       [KIND_TRACKER] = "hotaru-bag-tracker",
};

static i16 fixed(double v, double step)
{
    double n = round(v / step);
    return (i16)(n > 32767 ? 32767 : n < -32768 ? -32768 : n);
}

static void put_i16(struct buf *out, double v, double step)
{
    buf_u16be(out, (u16)fixed(v, step));
}

static void put_u16(struct buf *out, double v, double step)
{
    double n = round(v / step);
    buf_u16be(out, (u16)(n < 0 ? 0 : n > 65535 ? 65535 : n));
}

static void build_river(struct buf *out, const struct device *d, const struct world *w, double t_s,
                        u8 battery)
{
    put_i16(out, sim_river_reading_m(w, &d->gauge, t_s), 0.001);
    buf_u8(out, battery);
}

static void build_snow(struct buf *out, const struct device *d, const struct world *w, double t_s,
                       u8 battery)
{
    struct pump_reading r = sim_pump_reading(w, &d->pump, d->order, t_s);
    buf_u8(out, (u8)(r.on | r.snowfall << 1));
    put_u16(out, r.kpa, 0.1);
    put_u16(out, r.amperes, 0.01);
    put_i16(out, r.celsius, 0.1);
    put_u16(out, r.well_m, 0.01);
    buf_u8(out, battery);
}

/* | channel | type | value |: temperature 0x67, humidity 0x68, analog input 0x02. */
static void build_weather(struct buf *out, const struct device *d, const struct world *w,
                          double t_s, u8 battery, int room)
{
    enum { TEMPERATURE = 0x67, HUMIDITY = 0x68, ANALOG = 0x02 };
    u64    now  = sim_hash(w->seed, d->salt, (u64)(t_s / 60));
    double rain = sim_sky_mm_h(w, d->at, t_s) * (1 - sim_sky_snow_share(w, d->at, t_s)) / 6;
    buf_u8(out, 1), buf_u8(out, TEMPERATURE);
    put_i16(out, sim_sky_celsius(w, d->at, t_s) + 0.1 * sim_normal(now), 0.1);
    buf_u8(out, 2), buf_u8(out, HUMIDITY);
    buf_u8(out, (u8)round(sim_sky_humidity_pct(w, d->at, t_s) * 2));
    double analog[] = { round(rain * 2) / 2, sim_sky_snow_depth_cm(w, d->at, t_s),
                        3.0 + 0.65 * battery / 100 };
    for (u8 i = 0; i < COUNT(analog) && (int)out->n + 4 <= room; i++) {
        buf_u8(out, (u8)(3 + i)), buf_u8(out, ANALOG);
        put_i16(out, analog[i], 0.01);
    }
}

static void build_paddy(struct buf *out, const struct device *d, const struct world *w, double t_s,
                        u8 battery)
{
    struct paddy_reading r = sim_paddy_reading(w, d->at, d->salt, t_s);
    put_i16(out, r.level_m, 0.001);
    put_i16(out, r.celsius, 0.1);
    buf_u8(out, battery);
}

static void build_tracker(struct buf *out, const struct device *d, double real_s, u8 battery)
{
    enum child_doing doing;
    struct place p = sim_child_fix(&d->child, real_s, &doing);
    buf_u32be(out, (u32)(i32)lround(p.lat * 1e7));
    buf_u32be(out, (u32)(i32)lround(p.lon * 1e7));
    buf_u8(out, battery);
}

void sim_payload_build(struct buf *out, struct device *d, const struct world *w, double t_s,
                       double real_s, int room)
{
    u8 battery = (u8)sim_battery_pct(d->salt, d->weak_battery, t_s);
    switch (d->kind) {
    case KIND_RIVER:   build_river(out, d, w, t_s, battery); break;
    case KIND_SNOW:    build_snow(out, d, w, t_s, battery); break;
    case KIND_WEATHER: build_weather(out, d, w, t_s, battery, room); break;
    case KIND_PARKING:
        buf_u8(out, sim_spot_occupied(w, d->salt, t_s));
        buf_u8(out, battery);
        break;
    case KIND_PADDY:   build_paddy(out, d, w, t_s, battery); break;
    case KIND_TRACKER: build_tracker(out, d, real_s, battery); break;
    case KINDS:        break;
    }
}

/* A river gauge reports each new 15 cm, a pump each start, stop and flake, a spot each car. */
u64 sim_payload_mark(struct device *d, const struct world *w, double t_s)
{
    switch (d->kind) {
    case KIND_RIVER:
        return (u64)(i64)floor((sim_river_reading_m(w, &d->gauge, t_s) + 10) / 0.15);
    case KIND_SNOW: {
        if (d->order != PUMP_AUTO && sim_pump_wants(w, &d->pump, t_s) != d->order_wanted)
            d->order = PUMP_AUTO;               /* the sky has changed its mind since the order */
        bool on, snowfall;
        sim_pump_seen(&on, &snowfall, w, &d->pump, d->order, t_s);
        return (u64)(on | snowfall << 1);
    }
    case KIND_PARKING:
        return sim_spot_occupied(w, d->salt, t_s);
    case KIND_WEATHER: case KIND_PADDY: case KIND_TRACKER: case KINDS:
        break;
    }
    return 0;
}

void sim_payload_order(struct device *d, const struct world *w, double t_s, struct bytes payload)
{
    if (d->kind != KIND_SNOW || payload.n != 1 || payload.p[0] > 1)
        return;
    d->order        = payload.p[0] ? PUMP_ORDER_ON : PUMP_ORDER_OFF;
    d->order_wanted = sim_pump_wants(w, &d->pump, t_s);
}

double sim_payload_interval_s(const struct device *d, double scale, double real_s)
{
    static const double interval_s[KINDS] = {
        [KIND_RIVER] = 600, [KIND_SNOW] = 600, [KIND_WEATHER] = 600, [KIND_PARKING] = 3600,
        [KIND_PADDY] = 1800, [KIND_TRACKER] = 3600,
    };
    enum child_doing doing;
    if (d->kind != KIND_TRACKER)
        return interval_s[d->kind] * scale;
    (void)sim_child_at(&d->child, real_s, &doing);
    bool walks = doing == CHILD_TO_SCHOOL || doing == CHILD_TO_HOME;
    return (walks ? 900 : interval_s[KIND_TRACKER]) * scale;   /* 900: a fix a minute in the demo */
}
