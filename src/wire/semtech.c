// SPDX-License-Identifier: Apache-2.0
#include "wire/semtech.h"

#include <math.h>

enum semtech_fault semtech_parse(struct semtech_message *out, struct bytes datagram)
{
    struct cur c = cur_of(datagram);
    *out = (struct semtech_message){ 0 };
    out->version = cur_u8(&c);
    out->token   = cur_u16be(&c);
    out->kind    = cur_u8(&c);
    if (c.bad)
        return SEMTECH_SHORT;
    if (out->version != 1 && out->version != 2)
        return SEMTECH_VERSION;
    if (out->kind != SEMTECH_PUSH_DATA && out->kind != SEMTECH_PULL_DATA && out->kind != SEMTECH_TX_ACK)
        return SEMTECH_KIND;
    out->eui  = cur_u64be(&c);
    out->json = str_of(cur_rest(&c));
    return c.bad ? SEMTECH_SHORT : SEMTECH_FINE;
}

struct bytes semtech_ack(u8 out[4], const struct semtech_message *of)
{
    struct buf b = buf_of(out, 4);
    buf_u8(&b, of->version);
    buf_u16be(&b, of->token);
    buf_u8(&b, of->kind == SEMTECH_PULL_DATA ? SEMTECH_PULL_ACK : SEMTECH_PUSH_ACK);
    return buf_bytes(&b);
}

/* "SF10BW125": the spreading factor and kilohertz. */
static bool read_datr(struct semtech_rx *rx, struct str datr)
{
    i64 sf, khz;
    ptrdiff_t bw = str_find(datr, S("BW"));
    if (!str_starts(datr, S("SF")) || bw < 3)
        return false;
    struct str sf_text = { datr.p + 2, (size_t)bw - 2 }, khz_text = { datr.p + bw + 2, datr.n - (size_t)bw - 2 };
    if (!str_to_i64(&sf, sf_text) || !str_to_i64(&khz, khz_text) || sf < 5 || sf > 12)
        return false;
    rx->sf    = (u8)sf;
    rx->bw_hz = khz == 7 ? 7800 : khz > 0 && khz <= 1625 ? (u32)khz * 1000 : 0;
    return rx->bw_hz != 0;
}

static enum semtech_fault read_modulation(struct semtech_rx *rx, const struct json *rxpk, struct arena *arena)
{
    struct str modu = json_str(json_get(rxpk, S("modu")), arena);
    const struct json *datr = json_get(rxpk, S("datr"));
    u64 rate;
    if (str_eq(modu, S("LORA")))
        return json_is(datr, JSON_STRING) && read_datr(rx, json_str(datr, arena)) ? SEMTECH_FINE : SEMTECH_MODULATION;
    if (!str_eq(modu, S("FSK")) || !json_u64(&rate, datr) || rate == 0 || rate > 1000000)
        return SEMTECH_MODULATION;
    rx->bitrate = (u32)rate;
    return SEMTECH_FINE;
}

static bool read_scaled(i16 *out, const struct json *v, double scale)
{
    double d;
    if (!json_double(&d, v) || !(fabs(d) * scale < 32000))
        return false;
    *out = (i16)lround(d * scale);
    return true;
}

/* Version 2 gateways with several antennas: one signal each; the best one counts. */
static void read_best_signal(struct semtech_rx *rx, const struct json *rsig)
{
    i16 best = INT16_MIN;
    JSON_EACH (one, rsig) {
        i16 snr, rssi;
        u64 antenna;
        if (!read_scaled(&snr, json_get(one, S("lsnr")), 10) || !read_scaled(&rssi, json_get(one, S("rssic")), 1) ||
            snr <= best)
            continue;
        best         = snr;
        rx->snr_cb   = snr;
        rx->rssi_dbm = rssi;
        if (json_u64(&antenna, json_get(one, S("ant"))) && antenna < 256)
            rx->antenna = (u8)antenna;
    }
}

static u8 small(const struct json *v)
{
    u64 n;
    return json_u64(&n, v) && n < 256 ? (u8)n : 0;
}

static enum semtech_fault read_phy(struct semtech_rx *rx, const struct json *rxpk, struct arena *arena)
{
    struct str data = json_str(json_get(rxpk, S("data")), arena);
    u64 size;
    if (!json_is(json_get(rxpk, S("data")), JSON_STRING))
        return SEMTECH_FIELD;
    if (data.n > 2 * SEMTECH_PHY_MAX)
        return SEMTECH_LONG;
    u8    *p = arena_take(arena, data.n, 1);
    size_t n;
    if (!base64_read(p, data.n, &n, data))
        return SEMTECH_BASE64;
    if (n > SEMTECH_PHY_MAX)
        return SEMTECH_LONG;
    if (json_get(rxpk, S("size")) && (!json_u64(&size, json_get(rxpk, S("size"))) || size != n))
        return SEMTECH_SIZE;
    rx->phy = (struct bytes){ p, n };
    return SEMTECH_FINE;
}

enum semtech_fault semtech_rx_read(struct semtech_rx *out, const struct json *rxpk, struct arena *arena)
{
    u64    tmst;
    double mhz;
    i64    crc = SEMTECH_CRC_OK;
    struct wall time;
    *out = (struct semtech_rx){ .rf_chain = small(json_get(rxpk, S("rfch"))), .antenna = small(json_get(rxpk, S("ant"))) };
    if (json_duplicate(rxpk, arena))                 /* which of the two is meant? */
        return SEMTECH_FIELD;
    if (!json_u64(&tmst, json_get(rxpk, S("tmst"))) || tmst > UINT32_MAX)
        return SEMTECH_FIELD;
    if (!json_double(&mhz, json_get(rxpk, S("freq"))) || !(mhz > 1 && mhz < 4000))
        return SEMTECH_FIELD;
    if (json_get(rxpk, S("stat")) && (!json_i64(&crc, json_get(rxpk, S("stat"))) || crc < -1 || crc > 1))
        return SEMTECH_FIELD;
    out->tmst_us = (u32)tmst;
    out->freq_hz = (u32)llround(mhz * 1e6);          /* rounded: 922.4 MHz is not 922399999 Hz */
    out->crc     = (i8)crc;
    if (wall_read(&time, json_str(json_get(rxpk, S("time")), arena)))
        out->gateway_us = time.us;
    enum semtech_fault fault = read_modulation(out, rxpk, arena);
    if (fault != SEMTECH_FINE)
        return fault;
    read_best_signal(out, json_get(rxpk, S("rsig")));
    bool has_rssi = read_scaled(&out->rssi_dbm, json_get(rxpk, S("rssi")), 1) || out->rssi_dbm != 0;
    bool has_snr  = read_scaled(&out->snr_cb, json_get(rxpk, S("lsnr")), 10) || json_get(rxpk, S("rsig")) || out->sf == 0;
    if (!has_rssi || !has_snr)
        return SEMTECH_FIELD;
    return read_phy(out, rxpk, arena);
}

struct bytes semtech_tx_write(const struct semtech_tx *tx, u8 version, u16 token, struct arena *arena)
{
    struct text     t = text_make(arena, 4096);
    struct json_out o = json_out_make(&t);
    char head[4] = { (char)version, (char)(token >> 8), (char)token, SEMTECH_PULL_RESP };
    text_put(&t, (struct str){ head, 4 });
    json_open_object(&o);
    json_key(&o, S("txpk"));
    json_open_object(&o);
    json_member_bool(&o, S("imme"), false);
    json_member_u64(&o, S("tmst"), tx->tmst_us);
    json_member_fixed(&o, S("freq"), tx->freq_hz / 1e6, 6);
    json_member_u64(&o, S("rfch"), tx->rf_chain);
    json_member_i64(&o, S("powe"), tx->power_dbm);
    json_member_str(&o, S("modu"), tx->sf ? S("LORA") : S("FSK"));
    if (tx->sf) {
        json_member_str(&o, S("datr"), str_fmt(arena, "SF%uBW%u", (unsigned)tx->sf, tx->bw_hz / 1000));
        json_member_str(&o, S("codr"), S("4/5"));
        json_member_bool(&o, S("ipol"), true);
        json_member_bool(&o, S("ncrc"), true);       /* LoRaWAN downlinks carry no payload CRC */
    } else {
        json_member_u64(&o, S("datr"), tx->bitrate);
        json_member_u64(&o, S("fdev"), 25000);
    }
    json_member_u64(&o, S("size"), tx->phy.n);
    json_member_str(&o, S("data"), base64_str(arena, tx->phy));
    json_close(&o);
    json_close(&o);
    assert(json_out_good(&o));
    return bytes_of(text_str(&t));
}

/* Old forwarders (before v1.5) answer "NONE", and TX_POWER as an error although they send. */
bool semtech_ack_error(struct str *error, const struct semtech_message *m, struct arena *arena)
{
    const struct json *doc;
    *error = S("");
    if (str_trim(m->json).n == 0)
        return true;
    if (json_read(&doc, m->json, arena, JSON_LENIENT, NULL) != OK || !json_is(doc, JSON_OBJECT))
        return false;
    const struct json *said = json_get(json_get(doc, S("txpk_ack")), S("error"));
    if (said && !json_is(said, JSON_STRING))
        return false;
    struct str word = json_str(said, arena);
    if (!str_eq(word, S("NONE")) && !str_eq(word, S("TX_POWER")))
        *error = word;
    return true;
}
