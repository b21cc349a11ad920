// SPDX-License-Identifier: Apache-2.0
/*
 * The city from data/city: outline, schools, rivers, and on them the gateways and devices of the
 * demo. Schools and outline are real and credited there; everything that is put upon them is
 * invented and says so in its name (模擬).
 */
#include "sim/inside.h"

#include "base/embedded.h"
#include "wire/json.h"

#include <math.h>

#define SITES_MAX   256
#define RIVERS_MAX  16
#define POINTS_MAX  64

/* ------------------------------------------------------------------ reading */

static bool read_point(struct place *out, const struct json *coordinates)
{
    return json_double(&out->lon, json_at(coordinates, 0)) &&
           json_double(&out->lat, json_at(coordinates, 1));
}

static const struct json *features_of(struct str file, struct arena *a)
{
    const struct json *doc;
    struct bytes raw = embedded_file(file);
    if (!raw.p || json_read(&doc, str_of(raw), a, JSON_STRICT, NULL) != OK)
        return NULL;
    return json_get(doc, S("features"));
}

/* The properties x and y are swapped between the two files: only geometry.coordinates is read. */
static enum err read_schools(struct city *c, struct str file, struct str name_key, bool elementary,
                             struct arena *a)
{
    const struct json *features = features_of(file, a);
    if (!features)
        return ERR_INVALID;
    JSON_EACH (feature, features) {
        struct site *site = &c->sites[c->sites_n];
        if (c->sites_n == SITES_MAX ||
            !read_point(&site->at, json_get(json_get(feature, S("geometry")), S("coordinates"))))
            return ERR_INVALID;
        site->name       = json_str(json_get(json_get(feature, S("properties")), name_key), a);
        site->altitude_m = (i32)MAX(5.0, (36.76 - site->at.lat) * 900);
        site->elementary = elementary;
        c->sites_n++;
    }
    return OK;
}

static enum err read_outline(struct city *c, struct arena *a)
{
    const struct json *feature =
        json_first(features_of(S("data/city/toyama_city_boundary.geojson"), a));
    const struct json *ring =
        json_at(json_get(json_get(feature, S("geometry")), S("coordinates")), 0);
    if (!ring || ring->members < 4)
        return ERR_INVALID;
    c->outline = arena_array(a, struct place, ring->members);
    JSON_EACH (point, ring)
        if (!read_point(&c->outline[c->outline_n++], point))
            return ERR_INVALID;
    return OK;
}

/* name,latitude,longitude[,more]: the next line, false at the end. Comments and heads are skipped.
 */
static bool next_line(struct str *rest, struct str *name, struct place *p, double *more)
{
    while (rest->n) {
        struct str line = str_cut(rest, '\n');
        *name = str_cut(&line, ',');
        struct str lat = str_cut(&line, ','), lon = str_cut(&line, ',');
        *more = 0;
        (void)str_to_double(more, str_trim(line));
        if (str_to_double(&p->lat, lat) && str_to_double(&p->lon, str_trim(lon)))
            return true;
    }
    return false;
}

static enum err read_rivers(struct city *c, struct arena *a)
{
    struct str rest = str_of(embedded_file(S("data/city/rivers.csv"))), name;
    struct place p;
    double more;
    c->rivers = arena_array(a, struct reach, RIVERS_MAX);
    while (next_line(&rest, &name, &p, &more)) {
        struct reach *r = c->rivers_n ? &c->rivers[c->rivers_n - 1] : NULL;
        if (!r || !str_eq(r->river, name)) {
            if (c->rivers_n == RIVERS_MAX)
                return ERR_TOO_LARGE;
            r  = &c->rivers[c->rivers_n++];
            *r = (struct reach){ name, arena_array(a, struct place, POINTS_MAX), 0, 0 };
        }
        if (r->n == POINTS_MAX)
            return ERR_TOO_LARGE;
        if (r->n)
            r->km += sim_distance_m(r->at[r->n - 1], p) / 1000;
        r->at[r->n++] = p;
    }
    return c->rivers_n ? OK : ERR_NOT_FOUND;
}

static enum err read_centres(struct city *c)
{
    struct str rest = str_of(embedded_file(S("data/city/places.csv"))), name;
    struct place p;
    double altitude_m;
    while (next_line(&rest, &name, &p, &altitude_m)) {
        if (c->sites_n == SITES_MAX)
            return ERR_TOO_LARGE;
        c->sites[c->sites_n++] = (struct site){ name, p, (i32)altitude_m, false };
    }
    return OK;
}

enum err sim_city_read(struct city *c, struct arena *boot)
{
    *c = (struct city){ .sites = arena_array(boot, struct site, SITES_MAX) };
    enum err err = read_schools(c, S("data/city/toyama_city_elementary_schools.geojson"),
                                S("A27_007"), true, boot);
    if (!err)
        err = read_schools(c, S("data/city/toyama_city_junior_high_schools.geojson"), S("A32_003"),
                           false, boot);
    if (!err)
        err = read_centres(c);
    if (!err)
        err = read_outline(c, boot);
    return err ? err : read_rivers(c, boot);
}

/* Even-odd rule. */
bool sim_city_holds(const struct city *c, struct place p)
{
    bool in = false;
    for (u32 i = 0, j = c->outline_n - 1; i < c->outline_n; j = i++) {
        struct place a = c->outline[i], b = c->outline[j];
        if ((a.lat > p.lat) != (b.lat > p.lat) &&
            p.lon < (b.lon - a.lon) * (p.lat - a.lat) / (b.lat - a.lat) + a.lon)
            in = !in;
    }
    return in;
}

struct place sim_reach_at(const struct reach *r, double km)
{
    for (u32 i = 0; i + 1 < r->n; i++) {
        double leg = sim_distance_m(r->at[i], r->at[i + 1]) / 1000;
        if (km <= leg) {
            double u = leg > 0 ? km / leg : 0;
            return (struct place){ r->at[i].lat + (r->at[i + 1].lat - r->at[i].lat) * u,
                                   r->at[i].lon + (r->at[i + 1].lon - r->at[i].lon) * u };
        }
        km -= leg;
    }
    return r->at[r->n - 1];
}

/* ------------------------------------------------------------------ gateways */

#define GATEWAY_EUI   0x02484F5441000000u    /* locally administered; the text in it is HOTA */
#define DEVICE_EUI    0x02484F5441010000u
#define NEVER_GATEWAY 40

void sim_place_gateways(struct sim *s)
{
    s->gateways_n = MIN(s->options.gateways, s->city.sites_n);
    s->gateways   = arena_array(&s->boot, struct gateway, s->gateways_n + s->options.more);
    for (u32 i = 0; i < s->gateways_n; i++) {
        const struct site *site = &s->city.sites[i];
        u64 h = sim_hash(s->options.seed, 0x6A7E, i);
        s->gateways[i] = (struct gateway){
            .index = i,
            .eui = GATEWAY_EUI + 1 + i,
            .name = str_ends(site->name, S("（模擬）"))
                        ? site->name
                        : str_fmt(&s->boot, "%.*s（模擬）", STR(site->name)),
            /* schools that share a site do not share a mast */
            .at = sim_place_moved(site->at, 12 * sim_unit(h), 12 * sim_unit(h + 1)),
            .altitude_m = site->altitude_m + 15,
            .never = i == NEVER_GATEWAY,
            .gps = sim_unit(h + 2) < 0.7,
            .ppm = 4 * sim_normal(h + 3),
            .tmst_start = (u32)sim_chance_next(&s->chance),
            .backhaul_us = (i64)(4000 + 40000 * sim_unit(h + 4) * sim_unit(h + 5)),
        };
    }
}

/* ------------------------------------------------------------------ devices */

/* Of 520; another number is shared out in these parts. */
static const u32 parts[KINDS] = {
    [KIND_RIVER] = 60,    [KIND_SNOW] = 140, [KIND_WEATHER] = 40,
    [KIND_PARKING] = 120, [KIND_PADDY] = 80, [KIND_TRACKER] = 80,
};

static struct place near(const struct sim *s, struct place p, double least_m, double most_m,
                         u64 salt)
{
    for (u64 i = 0; i < 50; i++) {
        double r = least_m + (most_m - least_m) * sim_unit(hash_u64(salt + 2 * i));
        double a = 6.283185307179586 * sim_unit(hash_u64(salt + 2 * i + 1));
        struct place q = sim_place_moved(p, r * sin(a), r * cos(a));
        if (sim_city_holds(&s->city, q))
            return q;
    }
    return p;
}

/* The n-th school north of a line, walking through them with a stride that meets all. */
static const struct site *school(const struct sim *s, u32 n, double lat_min, bool elementary)
{
    for (u32 i = n * 7;; i++) {
        const struct site *site = &s->city.sites[i % s->city.sites_n];
        if (site->at.lat >= lat_min && (!elementary || site->elementary))
            return site;
    }
}

/* Rivers get gauges by their length, each at least two. */
static void place_river(struct sim *s, struct device *d, u32 nth, u32 of)
{
    double km = 0, sum = 0;
    for (u32 i = 0; i < s->city.rivers_n; i++)
        km += s->city.rivers[i].km;
    double at = (nth + 0.5) / of * km;
    u32 r = 0;
    while (r + 1 < s->city.rivers_n && at > sum + s->city.rivers[r].km)
        sum += s->city.rivers[r++].km;
    const struct reach *reach = &s->city.rivers[r];
    d->at = sim_reach_at(reach, at - sum);
    /* Rivers are borders and the outline is coarse: a gauge that falls on the far bank stands on
     * ours. */
    for (int i = 0; i < 100 && !sim_city_holds(&s->city, d->at); i++)
        d->at.lon -= 0.0003;
    d->gauge.at = d->at;
    sim_river_settle(&d->gauge, reach->river, at - sum);
    d->gauge.faulty = nth == of / 6;
    d->name = str_fmt(&s->boot, "%.*s 水位計 %02u（模擬）", STR(reach->river), nth + 1);
}

static void place_snow(struct sim *s, struct device *d, u32 nth, u32 of)
{
    static const enum pump_fault faults[] = { PUMP_DRY_WELL, PUMP_STAYS_OFF, PUMP_STAYS_ON };
    const struct site *site = school(s, nth, 36.60, false);
    d->at   = near(s, site->at, 40, 900, d->salt);
    d->pump = (struct pump){ d->at, d->salt, PUMP_SOUND };
    for (u32 i = 0; i < COUNT(faults); i++)
        if (nth == of * (2 * i + 1) / 7)
            d->pump.fault = faults[i];
    d->name = str_fmt(&s->boot, "消雪ポンプ %.*s区 %03u（模擬）", STR(site->name), nth + 1);
}

static void place_weather(struct sim *s, struct device *d, u32 nth)
{
    const struct site *site = school(s, nth, 36.40, false);
    d->at   = near(s, site->at, 5, 60, d->salt);
    d->name = str_fmt(&s->boot, "気象計 %.*s %02u（模擬）", STR(site->name), nth + 1);
}

static void place_parking(struct sim *s, struct device *d, u32 nth)
{
    static const struct { const char *name; struct place at; } lots[] = {
        { "駅前",   { 36.7003, 137.2118 } }, { "駅北",     { 36.7052, 137.2146 } },
        { "総曲輪", { 36.6909, 137.2128 } }, { "市役所前", { 36.6957, 137.2146 } },
        { "中央通", { 36.6893, 137.2192 } }, { "岩瀬浜",   { 36.7558, 137.2283 } },
    };
    u32 lot = nth % COUNT(lots), spot = nth / (u32)COUNT(lots);
    d->at   = sim_place_moved(lots[lot].at, -5.5 * (spot / 10), 2.6 * (spot % 10));
    d->name = str_fmt(&s->boot, "%s駐車場 %02u番（模擬）", lots[lot].name, spot + 1);
}

static void place_paddy(struct sim *s, struct device *d, u32 nth)
{
    const struct site *site = school(s, nth, 36.61, false);
    /* not in the town's middle: away from the station */
    for (u32 i = 1; sim_distance_m(site->at, (struct place){ 36.695, 137.213 }) < 3500; i++)
        site = school(s, nth + i * 11, 36.61, false);
    d->at   = near(s, site->at, 500, 1800, d->salt);
    d->name = str_fmt(&s->boot, "水田 %.*s区 %02u（模擬）", STR(site->name), nth + 1);
}

/* Eight children a school. Nothing about the device tells which. */
static void place_tracker(struct sim *s, struct device *d, u32 nth)
{
    const struct site *site = school(s, nth / 8 * 3, 36.63, true);
    d->child = (struct child){ near(s, site->at, 300, 1100, d->salt), site->at, d->salt };
    d->at    = d->child.home;
    d->name  = str_fmt(&s->boot, "かばんタグ %03u（模擬）", nth + 1);
}

static void place(struct sim *s, struct device *d, u32 nth, u32 of)
{
    switch (d->kind) {
    case KIND_RIVER:   place_river(s, d, nth, of); break;
    case KIND_SNOW:    place_snow(s, d, nth, of); break;
    case KIND_WEATHER: place_weather(s, d, nth); break;
    case KIND_PARKING: place_parking(s, d, nth); break;
    case KIND_PADDY:   place_paddy(s, d, nth); break;
    case KIND_TRACKER: place_tracker(s, d, nth); break;
    case KINDS:        break;
    }
}

static double best_snr_db(const struct sim *s, const struct device *d)
{
    double best = -200;
    for (u32 i = 0; i < s->gateways_n; i++) {
        const struct gateway *g = &s->gateways[i];
        double dbm = 13 + sim_radio_dbm(s->world.seed, d->at, d->salt, g->at, g->eui);
        if (!g->never && dbm - sim_radio_noise_dbm() > best)
            best = dbm - sim_radio_noise_dbm();
    }
    return best;
}

/* A fitter puts up a mast until SF10 works with a margin, then takes the fastest rate that has one.
 */
static void install(const struct sim *s, struct device *d)
{
    double snr = best_snr_db(s, d);
    if (snr < -9) {
        d->antenna_db = -9 - snr;
        snr = -9;
    }
    d->dr_installed = DR_5;
    while (d->dr_installed > DR_2 &&
           snr < lora_required_snr_cb(sim_region()->dr[d->dr_installed].sf) / 10.0 + 6)
        d->dr_installed--;
}

void sim_place_devices(struct sim *s)
{
    u32 n = s->options.devices, given = 0, whole = 0;
    s->devices   = arena_array(&s->boot, struct device, n + s->options.more);
    s->devices_n = n;
    for (int kind = 0; kind < KINDS; kind++) {
        whole += parts[kind];
        u32 of = (u32)((u64)n * whole / 520) - given;
        for (u32 nth = 0; nth < of; nth++) {
            struct device *d = &s->devices[given + nth];
            d->index = given + nth;
            d->kind  = (enum device_kind)kind;
            d->salt  = sim_hash(s->options.seed, 0xDE71CE, d->index);
            d->kept.dev_eui = DEVICE_EUI + 1 + d->index;
            d->nonce_random = d->index % 4 == 0;
            place(s, d, nth, of);
            install(s, d);
            if (kind == KIND_PARKING && nth == 17)
                d->odd = ODD_WRONG_KEY;
            if (kind == KIND_PADDY && nth == 11)
                d->odd = ODD_NEVER;
            if (kind == KIND_WEATHER && nth == 5)
                d->odd = ODD_FALLS_SILENT;
            d->weak_battery = kind == KIND_SNOW && (nth == 8 || nth == 77);
        }
        given += of;
    }
}

/* ------------------------------------------------------------------ one more, where a scene wants it */

struct gateway *sim_place_gateway(struct sim *s, struct str name, struct place at)
{
    u32 i = s->gateways_n++;
    s->gateways[i] = (struct gateway){ .index = i, .eui = GATEWAY_EUI + 1 + i, .name = str_copy(&s->boot, name), .at = at,
                                       .altitude_m = 20, .gps = true, .backhaul_us = 20000,
                                       .tmst_start = (u32)sim_chance_next(&s->chance) };
    return &s->gateways[i];
}

/* The parts that depend on the whole city (which river, which school) are those of the nearest of its kind. */
static void fit(struct sim *s, struct device *d)
{
    switch (d->kind) {
    case KIND_RIVER:
        d->gauge.at = d->at;
        sim_river_settle(&d->gauge, s->city.rivers[0].river, s->city.rivers[0].km / 2);
        return;
    case KIND_SNOW:
        d->pump = (struct pump){ d->at, d->salt, PUMP_SOUND };
        return;
    case KIND_TRACKER:
        d->child = (struct child){ d->at, near(s, d->at, 300, 1100, d->salt), d->salt };
        return;
    case KIND_WEATHER: case KIND_PARKING: case KIND_PADDY: case KINDS:
        return;
    }
}

struct device *sim_place_device(struct sim *s, struct str name, enum device_kind kind, struct place at)
{
    struct device *d = &s->devices[s->devices_n];
    d->index = s->devices_n++;
    d->kind  = kind;
    d->salt  = sim_hash(s->options.seed, 0xDE71CE, d->index);
    d->name  = str_copy(&s->boot, name);
    d->at    = at;
    d->kept.dev_eui = DEVICE_EUI + 1 + d->index;
    fit(s, d);
    install(s, d);
    return d;
}
