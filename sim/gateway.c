// SPDX-License-Identifier: Apache-2.0
/*
 * A packet forwarder: its clock, the JSON it writes and the JSON it obeys (Semtech UDP, PROTOCOL
 * v1.6). Real ones differ: some have no GPS and write no time, and their crystals are some ppm off.
 */
#include "sim/inside.h"

#include "wire/json.h"

#include <math.h>

/* tmst: microseconds of the gateway's own crystal since it was switched on, modulo 2^32. */
u32 sim_gateway_tmst(const struct gateway *g, struct mono start, struct mono at)
{
    i64 us = mono_since(at, start);
    return g->tmst_start + (u32)(us + llround((double)us * g->ppm / 1e6));
}

/* The mirror: when that counter will stand there. The nearest such moment to `now`. */
struct mono sim_gateway_mono(const struct gateway *g, struct mono start, struct mono now, u32 tmst)
{
    i32 ahead = (i32)(tmst - sim_gateway_tmst(g, start, now));
    return mono_after(now, llround(ahead / (1 + g->ppm / 1e6)));
}

/* ------------------------------------------------------------------ up */

/* wall_str writes milliseconds; the protocol has microseconds. */
static struct str time_of(struct arena *a, struct wall w)
{
    struct str ms = wall_str(a, w);
    return str_fmt(a, "%.*s%03dZ", (int)ms.n - 1, ms.p, (int)(w.us % 1000));
}

static void put_rxpk(struct json_out *o, const struct gateway *g, const struct reception *r,
                     struct arena *a, struct wall clock, struct mono now)
{
    const struct lora_dr *dr = &sim_region()->dr[r->dr];
    struct wall heard = { clock.us - mono_since(now, r->at) - g->backhaul_us };
    json_open_object(o);
    if (g->gps)
        json_member_str(o, S("time"), time_of(a, heard));
    json_member_u64(o, S("tmst"), r->tmst);
    json_member_u64(o, S("chan"), r->hz / 200000 % 8);
    json_member_u64(o, S("rfch"), 0);
    json_member_fixed(o, S("freq"), r->hz / 1e6, 6);
    json_member_i64(o, S("stat"), r->stat);
    json_member_str(o, S("modu"), S("LORA"));
    json_member_str(o, S("datr"), str_fmt(a, "SF%uBW%u", dr->sf, dr->bw_hz / 1000));
    json_member_str(o, S("codr"), S("4/5"));
    json_member_i64(o, S("rssi"), r->rssi_dbm);
    json_member_fixed(o, S("lsnr"), r->snr_cb / 10.0, 1);
    json_member_u64(o, S("size"), r->n);
    json_member_str(o, S("data"), base64_str(a, (struct bytes){ r->phy, r->n }));
    json_close(o);
}

struct str sim_gateway_rxpk(struct gateway *g, struct arena *a, struct mono now, struct wall clock)
{
    struct text text = text_make(a, 60000);
    struct json_out o = json_out_make(&text);
    u32 left = 0, taken = 0;
    json_open_object(&o);
    json_key(&o, S("rxpk"));
    json_open_array(&o);
    for (u32 i = 0; i < g->rx_n; i++) {
        if (mono_before(now, g->rx[i].at)) {
            g->rx[left++] = g->rx[i];
            continue;
        }
        put_rxpk(&o, g, &g->rx[i], a, clock, now);
        taken++;
    }
    json_close(&o);
    json_close(&o);
    g->rx_n  = left;
    g->rxfw += taken;
    return taken ? text_str(&text) : S("");
}

/* "2014-01-12 08:59:28 GMT" */
struct str sim_gateway_stat(struct gateway *g, struct arena *a, struct wall now)
{
    struct str iso = wall_str(a, now);
    struct text text = text_make(a, 2000);
    struct json_out o = json_out_make(&text);
    json_open_object(&o);
    json_key(&o, S("stat"));
    json_open_object(&o);
    json_member_str(&o, S("time"), str_fmt(a, "%.10s %.8s GMT", iso.p, iso.p + 11));
    if (g->gps) {
        json_member_fixed(&o, S("lati"), g->at.lat, 5);
        json_member_fixed(&o, S("long"), g->at.lon, 5);
        json_member_i64(&o, S("alti"), g->altitude_m);
    }
    json_member_u64(&o, S("rxnb"), g->rxnb);
    json_member_u64(&o, S("rxok"), g->rxok);
    json_member_u64(&o, S("rxfw"), g->rxfw);
    json_member_fixed(&o, S("ackr"), g->pushed ? 100.0 * g->acked / g->pushed : 100, 1);
    json_member_u64(&o, S("dwnb"), g->dwnb);
    json_member_u64(&o, S("txnb"), g->txnb);
    json_close(&o);
    json_close(&o);
    g->rxnb = g->rxok = g->rxfw = g->dwnb = g->txnb = g->pushed = g->acked = 0;
    return text_str(&text);
}

/* ------------------------------------------------------------------ down */

#define TX_MIN_HZ  920000000u
#define TX_MAX_HZ  928000000u

/* "SF10BW125"; 0 for anything a 125 kHz LoRa plan does not send. */
static u8 spreading_of(struct str datr)
{
    i64 sf;
    struct str bw = datr;
    if (!str_starts(datr, S("SF")))
        return 0;
    bw = (struct str){ datr.p + 2, datr.n - 2 };
    struct str digits = str_cut(&bw, 'B');
    if (!str_to_i64(&sf, digits) || sf < 7 || sf > 12 || !str_eq(bw, S("W125")))
        return 0;
    return (u8)sf;
}

/* Errors are TX_ACK's words; a broken request has none, a real forwarder drops it in silence. */
const char *sim_parcel_read(struct parcel *p, struct bytes body, struct arena *a)
{
    const struct json *doc;
    u64 tmst, size;
    double mhz, powe = 14;
    bool imme = false, ipol = false;
    size_t n;
    if (json_read(&doc, str_of(body), a, JSON_LENIENT, NULL) != OK)
        return "";
    const struct json *tx = json_get(doc, S("txpk"));
    (void)json_bool(&imme, json_get(tx, S("imme")));
    (void)json_bool(&ipol, json_get(tx, S("ipol")));
    (void)json_double(&powe, json_get(tx, S("powe")));
    bool timed = json_u64(&tmst, json_get(tx, S("tmst"))) && tmst <= UINT32_MAX;
    if (!json_double(&mhz, json_get(tx, S("freq"))) || !json_u64(&size, json_get(tx, S("size"))) ||
        !base64_read(p->phy, sizeof p->phy, &n, json_str(json_get(tx, S("data")), a)) ||
        n != size || n == 0 || !ipol)
        return "";
    if (!imme && !timed)
        return json_get(tx, S("tmms")) ? "GPS_UNLOCKED" : "";
    p->sf = spreading_of(json_str(json_get(tx, S("datr")), a));
    if (p->sf == 0)
        return "";
    p->imme = imme;
    p->tmst = timed ? (u32)tmst : 0;
    p->hz   = (u32)lround(mhz * 1e6);
    p->n    = (u8)n;
    p->dr   = (u8)lora_dr_find(sim_region(), LORA_DOWN, p->sf, 125000);
    p->dbm  = powe;
    p->airtime_us = lora_airtime_us(p->sf, 125000, n, false);
    return p->hz < TX_MIN_HZ || p->hz > TX_MAX_HZ ? "TX_FREQ" : NULL;
}
