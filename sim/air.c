// SPDX-License-Identifier: Apache-2.0
/*
 * What is on the air. A frame is judged when it ends, gateway by gateway: is it strong enough for
 * its spreading factor, did another of the same channel and factor drown it, was the gateway itself
 * sending (half-duplex: it was deaf)? At most the eight best hear it, as in a real city.
 */
#include "sim/inside.h"

#define REMEMBERED_US (4 * US_PER_S) /* longer than the longest frame: overlaps are still known */
#define COPIES_MAX    8
#define FADING_DB     2.0
#define LBT_DBM       (-80.0)
#define BACKHAUL_LOSS 0.003
#define BACKHAUL_EXTRA_US 120000.0

static bool overlaps(const struct flight *a, const struct flight *b)
{
    return mono_before(a->start, b->end) && mono_before(b->start, a->end);
}

static double required_snr_db(const struct flight *f)
{
    return lora_required_snr_cb(f->sf) / 10.0;
}

static u32 free_slot(const struct sim *s, struct mono now)
{
    for (u32 i = 0; i < FLIGHTS; i++)
        if (!s->flights[i].used || mono_since(now, s->flights[i].end) > REMEMBERED_US)
            return i;
    return FLIGHTS;
}

static double to_gateway(const struct sim *s, const struct flight *f, const struct gateway *g)
{
    return f->dbm + sim_radio_dbm(s->world.seed, f->at, s->devices[f->who].salt, g->at, g->eui);
}

static double to_device(const struct sim *s, const struct flight *f, const struct device *d)
{
    const struct gateway *g = &s->gateways[f->who];
    struct place at = d->at;
    enum child_doing doing;
    if (d->kind == KIND_TRACKER)
        at = sim_child_at(&d->child, (double)mono_since(f->start, s->started) / (double)US_PER_S,
                          &doing);
    return f->dbm + d->antenna_db + sim_radio_dbm(s->world.seed, at, d->salt, g->at, g->eui);
}

/* A receiver finds a preamble that begins within a few symbols of where it listens. */
static bool in_window(const struct window *w, const struct flight *f)
{
    i64 symbol_us = (i64)8 << f->sf;                        /* at 125 kHz */
    i64 apart_us  = mono_since(f->start, w->at);
    i64 width_us  = MAX(8000, 3 * symbol_us);
    return w->hz == f->hz && w->dr == f->dr && apart_us > -width_us && apart_us < width_us;
}

static void lock_on(struct sim *s, const struct flight *f, u32 index)
{
    for (u32 i = 0; i < s->devices_n; i++) {
        struct device *d = &s->devices[i];
        if (d->state != DEVICE_WINDOWS || d->hearing ||
            !(in_window(&d->rx1, f) || in_window(&d->rx2, f)))
            continue;
        if (to_device(s, f, d) - sim_radio_noise_dbm() > required_snr_db(f) - 3)
            d->hearing = index + 1;
    }
}

bool sim_air_launch(struct sim *s, const struct flight *f)
{
    u32 i = free_slot(s, f->start);
    if (i == FLIGHTS)
        return false;
    s->flights[i]      = *f;
    s->flights[i].used = true;
    s->flights_n       = MAX(s->flights_n, i + 1);
    if (s->launched)
        s->launched(s->launched_of, &s->flights[i]);
    sim_agenda_put(&s->agenda, f->end, EVENT_FLIGHT_END, i, 0);
    if (!f->up)
        lock_on(s, f, i);
    return true;
}

/* ARIB STD-T108: a device that hears -80 dBm on its channel waits. So it does at a full table. */
bool sim_air_busy(const struct sim *s, const struct device *d, u32 hz, struct mono now)
{
    for (u32 i = 0; i < s->flights_n; i++) {
        const struct flight *f = &s->flights[i];
        if (!f->used || f->hz != hz || !mono_before(now, f->end) || mono_before(now, f->start))
            continue;
        double dbm = f->dbm + sim_radio_dbm(s->world.seed, d->at, d->salt, f->at, f->who);
        if (dbm > LBT_DBM)
            return true;
    }
    return free_slot(s, now) == FLIGHTS;
}

/* ------------------------------------------------------------------ up */

static bool gateway_was_sending(const struct sim *s, const struct gateway *g,
                                const struct flight *f)
{
    for (u32 i = 0; i < s->flights_n; i++) {
        const struct flight *o = &s->flights[i];
        if (o->used && !o->up && o->who == g->index && overlaps(o, f))
            return true;
    }
    return false;
}

static bool drowned_at_gateway(const struct sim *s, const struct gateway *g, const struct flight *f,
                               double dbm)
{
    for (u32 i = 0; i < s->flights_n; i++) {
        const struct flight *o = &s->flights[i];
        if (o != f && o->used && o->up && o->hz == f->hz && o->sf == f->sf && overlaps(o, f) &&
            !sim_radio_captures(dbm, to_gateway(s, o, g)))
            return true;
    }
    return false;
}

struct copy { double dbm; u32 gateway; i8 stat; };

/* What this gateway made of it: stat 1, -1 (a bad checksum is reported too) or 0, nothing. */
static i8 judge(struct sim *s, const struct gateway *g, const struct flight *f, double dbm)
{
    double spare = dbm - sim_radio_noise_dbm() - required_snr_db(f);
    if (!sim_gateway_works(g, f->end) || spare < -1.5)
        return 0;
    if (gateway_was_sending(s, g, f)) {
        s->tally.deaf++;
        return 0;
    }
    if (drowned_at_gateway(s, g, f, dbm)) {
        s->tally.collided++;
        return sim_chance_unit(&s->chance) < 0.3 ? -1 : 0;
    }
    if (spare < 0) {
        s->tally.weak++;
        return sim_chance_unit(&s->chance) < 0.4 ? -1 : 0;
    }
    return 1;
}

static void keep_best(struct copy *best, u32 *n, struct copy c)
{
    u32 at = *n < COPIES_MAX ? (*n)++ : COPIES_MAX;
    while (at > 0 && best[at - 1].dbm < c.dbm) {
        if (at < COPIES_MAX)
            best[at] = best[at - 1];
        at--;
    }
    if (at < COPIES_MAX)
        best[at] = c;
}

static void report(struct sim *s, const struct flight *f, struct copy c)
{
    struct gateway *g = &s->gateways[c.gateway];
    double snr = c.dbm - sim_radio_noise_dbm();
    struct reception r = { .n = f->n, .dr = f->dr, .stat = c.stat, .hz = f->hz,
                           .tmst = sim_gateway_tmst(g, s->started, f->end),
                           .rssi_dbm = (i16)(c.dbm > -20 ? -20 : c.dbm),
                           .snr_cb = (i16)((snr > 12 ? 12 : snr) * 10) };
    memcpy(r.phy, f->phy, f->n);
    if (c.stat < 0) {
        s->tally.corrupt++;
        for (int i = 0; i < 3; i++)
            r.phy[sim_chance_below(&s->chance, f->n)] ^=
                (u8)(1 + sim_chance_below(&s->chance, 255));
    } else
        s->tally.copies++;
    double late = sim_chance_unit(&s->chance);           /* most are quick, few are late */
    r.at = mono_after(f->end, g->backhaul_us + (i64)(late * late * BACKHAUL_EXTRA_US));
    if (sim_chance_unit(&s->chance) >= BACKHAUL_LOSS)
        sim_door_heard(s, g, &r);
}

static void land_up(struct sim *s, const struct flight *f)
{
    struct copy best[COPIES_MAX];
    u32  n = 0;
    bool heard = false;
    for (u32 i = 0; i < s->gateways_n; i++) {
        struct copy c = {
            to_gateway(s, f, &s->gateways[i]) + FADING_DB * sim_chance_normal(&s->chance), i, 0
        };
        c.stat = judge(s, &s->gateways[i], f, c.dbm);
        if (c.stat)
            keep_best(best, &n, c);
    }
    for (u32 i = 0; i < n; i++) {
        report(s, f, best[i]);
        heard = heard || best[i].stat > 0;
    }
    s->tally.heard += heard;
    s->tally.lost  += !heard;
    struct device *d = &s->devices[f->who];
    d->state   = DEVICE_WINDOWS;
    d->hearing = 0;
    sim_device_windows(d, f->end, d->up_hz);
    sim_agenda_put(&s->agenda, mono_after(d->rx2.at, 100 * US_PER_MS), EVENT_DEVICE_CLOSE, d->index,
                   ++d->close_gen);
}

/* ------------------------------------------------------------------ down */

static bool drowned_at_device(const struct sim *s, const struct device *d, const struct flight *f,
                              double dbm)
{
    for (u32 i = 0; i < s->flights_n; i++) {
        const struct flight *o = &s->flights[i];
        if (o != f && o->used && !o->up && o->hz == f->hz && o->sf == f->sf && overlaps(o, f) &&
            !sim_radio_captures(dbm, to_device(s, o, d)))
            return true;
    }
    return false;
}

static void land_down(struct sim *s, const struct flight *f, u32 index)
{
    for (u32 i = 0; i < s->devices_n; i++) {
        struct device *d = &s->devices[i];
        if (d->hearing != index + 1)
            continue;
        double dbm = to_device(s, f, d) + FADING_DB * sim_chance_normal(&s->chance);
        if (dbm - sim_radio_noise_dbm() < required_snr_db(f) || drowned_at_device(s, d, f, dbm)) {
            s->tally.missed++;
            d->hearing = 0;
        } else
            sim_turn_heard(s, d, f, dbm, f->end);
    }
}

void sim_air_land(struct sim *s, u32 index)
{
    if (s->flights[index].up)
        land_up(s, &s->flights[index]);
    else
        land_down(s, &s->flights[index], index);
}

/* ------------------------------------------------------------------ strangers */

/* Another network's frame, or noise that looked like one. */
void sim_air_noise(struct sim *s, struct mono now)
{
    struct gateway *g = &s->gateways[sim_chance_below(&s->chance, s->gateways_n)];
    bool stranger = sim_chance_unit(&s->chance) < 0.25;
    struct reception r = { .n = (u8)(20 + sim_chance_below(&s->chance, 20)), .dr = DR_2,
                           .stat = stranger ? 1 : -1, .hz = sim_region()->up[0].first_hz,
                           .tmst = sim_gateway_tmst(g, s->started, now), .rssi_dbm = -121,
                           .snr_cb = (i16)(-20 - (int)sim_chance_below(&s->chance, 120)),
                           .at = mono_after(now, g->backhaul_us) };
    for (u32 i = 0; i < r.n; i++)
        r.phy[i] = (u8)sim_chance_next(&s->chance);
    if (stranger) {
        r.phy[0] = MTYPE_DATA_UP << 5;
        put_u32le(r.phy + 1, lora_devaddr_make(0x00003C, (u32)sim_chance_next(&s->chance)));
        r.phy[5] = 0;
    }
    if (sim_gateway_works(g, now))
        sim_door_heard(s, g, &r);
    double in_s = sim_chance_between(&s->chance, 3, 15);
    sim_agenda_put(&s->agenda, mono_after(now, (i64)(in_s * (double)US_PER_S)), EVENT_NOISE, 0, 0);
}
