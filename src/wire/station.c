// SPDX-License-Identifier: Apache-2.0
#include "wire/station.h"

#include <math.h>

#define GPS_1970_US (315964800LL * US_PER_S)
#define LEAP_US     (18 * US_PER_S)                  /* since 2017 */

i64 station_gps_of(i64 utc_us) { return utc_us - GPS_1970_US + LEAP_US; }
i64 station_utc_of(i64 gps_us) { return gps_us + GPS_1970_US - LEAP_US; }

/* ------------------------------------------------------------------ EUIs */

static bool read_group(u64 *out, struct str hex)
{
    u8 bytes[2] = { 0 };
    size_t n;
    char padded[4] = { '0', '0', '0', '0' };
    if (hex.n == 0 || hex.n > 4)
        return false;
    memcpy(padded + 4 - hex.n, hex.p, hex.n);
    if (!hex_read(bytes, 2, &n, (struct str){ padded, 4 }))
        return false;
    *out = get_u16be(bytes);
    return true;
}

/* Groups of 16 bits behind each other; *n says how many. Empty text: none. */
static bool read_groups(u64 *out, u32 *n, struct str text)
{
    *out = 0, *n = 0;
    while (text.n > 0) {
        bool more = memchr(text.p, ':', text.n) != NULL;
        u64 group;
        if (*n == 4 || !read_group(&group, str_cut(&text, ':')) || (more && text.n == 0))
            return false;
        *out = *out << 16 | group;
        ++*n;
    }
    return true;
}

/* ID6: four groups of 16 bits, one run of zeros may be left out: "1:2::3", "::aa1", "f::". */
static bool read_id6(u64 *out, struct str text)
{
    u64 high, low;
    u32 high_n, low_n;
    ptrdiff_t gap = str_find(text, S("::"));
    if (gap < 0)
        return read_groups(out, &high_n, text) && high_n == 4;
    struct str before = { text.p, (size_t)gap }, behind = { text.p + gap + 2, text.n - (size_t)gap - 2 };
    if (!read_groups(&high, &high_n, before) || !read_groups(&low, &low_n, behind) || high_n + low_n > 3)
        return false;
    *out = low | (high_n ? high << 16 * (4 - high_n) : 0);
    return true;
}

bool station_eui_read(u64 *eui, struct str text)
{
    char digits[16];
    u8 bytes[8];
    size_t n = 0, got;
    bool dashed = text.n == 23 && (text.p[2] == '-' || text.p[2] == ':');
    if (!dashed && text.n != 16)
        return text.n < 20 && read_id6(eui, text);
    for (size_t i = 0; i < text.n; i++) {
        if (dashed && i % 3 == 2) {
            if (text.p[i] != text.p[2])
                return false;
            continue;
        }
        digits[n++] = text.p[i];
    }
    if (!hex_read(bytes, 8, &got, (struct str){ digits, 16 }))
        return !dashed && read_id6(eui, text);
    *eui = get_u64be(bytes);
    return true;
}

struct str station_eui_str(struct arena *arena, u64 eui)
{
    u8 b[8];
    put_u64be(b, eui);
    return str_fmt(arena, "%02X-%02X-%02X-%02X-%02X-%02X-%02X-%02X", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]);
}

/* ------------------------------------------------------------------ fields */

/* A cursor over an object: the first field that is missing or wrong spoils the whole, one question at the end. */
struct fields { const struct json *of; struct arena *arena; bool bad; };

static i64 whole(struct fields *f, struct str key, i64 least, i64 most)
{
    i64 v = 0;
    f->bad |= !json_i64(&v, json_get(f->of, key)) || v < least || v > most;
    return v;
}

static i64 whole_or(struct fields *f, struct str key, i64 otherwise)
{
    i64 v;
    return json_i64(&v, json_get(f->of, key)) ? v : otherwise;
}

static i16 scaled(struct fields *f, struct str key, double scale)
{
    double d = 0;
    bool good = json_double(&d, json_get(f->of, key)) && fabs(d) * scale < 32000;
    f->bad |= !good;
    return good ? (i16)lround(d * scale) : (i16)0;
}

/* Older Stations and those that were told so spell "JoinEUI". */
static u64 eui(struct fields *f, struct str key, struct str older)
{
    u64 v = 0;
    const struct json *text = json_get(f->of, key);
    if (!text)
        text = json_get(f->of, older);
    f->bad |= !json_is(text, JSON_STRING) || !station_eui_read(&v, json_str(text, f->arena));
    return v;
}

static void hex(struct fields *f, struct buf *out, struct str key)
{
    const struct json *text = json_get(f->of, key);
    struct str digits = json_str(text, f->arena);
    size_t n = 0;
    f->bad |= !json_is(text, JSON_STRING) || digits.n > 2 * (out->room - out->n) ||
              !hex_read(out->p + out->n, out->room - out->n, &n, digits);
    out->n += f->bad ? 0 : n;
}

static struct str words(struct fields *f, struct str key)
{
    return json_str(json_get(f->of, key), f->arena);
}

/* Two bytes and more of a frame: MIC and DevAddr are signed here. An unsigned one is taken as what it must mean. */
static u32 signed32(struct fields *f, struct str key)
{
    return (u32)whole(f, key, INT32_MIN, UINT32_MAX);
}

/* ------------------------------------------------------------------ frames */

/* | MHDR | JoinEUI 8 | DevEUI 8 | DevNonce 2 | MIC 4 | */
static void put_join(struct buf *b, struct fields *f)
{
    buf_u8(b, (u8)whole(f, S("MHdr"), 0, 255));
    buf_u64le(b, eui(f, S("JoinEui"), S("JoinEUI")));
    buf_u64le(b, eui(f, S("DevEui"), S("DevEUI")));
    buf_u16le(b, (u16)whole(f, S("DevNonce"), 0, 65535));
    buf_u32le(b, signed32(f, S("MIC")));
}

/* | MHDR | DevAddr 4 | FCtrl | FCnt 2 | FOpts | FPort | FRMPayload | MIC 4 | */
static void put_data(struct buf *b, struct fields *f)
{
    buf_u8(b, (u8)whole(f, S("MHdr"), 0, 255));
    buf_u32le(b, signed32(f, S("DevAddr")));
    u8 fctrl = (u8)whole(f, S("FCtrl"), 0, 255);
    buf_u8(b, fctrl);
    buf_u16le(b, (u16)whole(f, S("FCnt"), 0, 65535));
    size_t before = b->n;
    hex(f, b, S("FOpts"));
    f->bad |= b->n - before != (fctrl & 15u);
    i64 fport = whole(f, S("FPort"), -1, 255);
    if (fport >= 0)
        buf_u8(b, (u8)fport);
    before = b->n;
    hex(f, b, S("FRMPayload"));
    f->bad |= fport < 0 && b->n > before;
    buf_u32le(b, signed32(f, S("MIC")));
}

static void put_whole(struct buf *b, struct fields *f)
{
    hex(f, b, S("FRMPayload"));
}

static enum station_fault read_frame(struct station_frame *out, struct fields *f, void (*put)(struct buf *, struct fields *))
{
    struct buf b = buf_of(arena_take(f->arena, STATION_PHY_MAX, 1), STATION_PHY_MAX);
    struct fields up = { json_get(f->of, S("upinfo")), f->arena, false };
    double utc_s = 0;
    put(&b, f);
    *out = (struct station_frame){ .phy      = buf_bytes(&b),
                                   .dr       = (u8)whole(f, S("DR"), 0, STATION_DRS - 1),
                                   .freq_hz  = (u32)whole(f, S("Freq"), 1000000, UINT32_MAX),
                                   .rctx     = whole_or(&up, S("rctx"), 0),
                                   .xtime    = whole(&up, S("xtime"), INT64_MIN, INT64_MAX),
                                   .gps_us   = MAX(whole_or(&up, S("gpstime"), 0), 0),
                                   .rssi_dbm = scaled(&up, S("rssi"), 1),
                                   .snr_cb   = scaled(&up, S("snr"), 10) };
    if (json_double(&utc_s, json_get(up.of, S("rxtime"))) && utc_s > 0 && utc_s < 4e10)
        out->utc_us = llround(utc_s * 1e6);
    if (b.bad)
        return STATION_LONG;
    return f->bad || up.bad || b.n == 0 ? STATION_FIELD : STATION_FINE;
}

static enum station_fault read_join(struct station_message *m, struct fields *f) { return read_frame(&m->frame, f, put_join); }
static enum station_fault read_data(struct station_message *m, struct fields *f) { return read_frame(&m->frame, f, put_data); }
static enum station_fault read_whole(struct station_message *m, struct fields *f) { return read_frame(&m->frame, f, put_whole); }

/* ------------------------------------------------------------------ the others */

static enum station_fault read_version(struct station_message *m, struct fields *f)
{
    m->version = (struct station_version){ .station  = words(f, S("station")),
                                           .firmware = words(f, S("firmware")),
                                           .package  = words(f, S("package")),
                                           .model    = words(f, S("model")),
                                           .features = words(f, S("features")),
                                           .protocol = whole_or(f, S("protocol"), 2) };
    return STATION_FINE;
}

/* Old Stations call it seqno, those of now say both. */
static enum station_fault read_sent(struct station_message *m, struct fields *f)
{
    struct str key = json_get(f->of, S("diid")) ? S("diid") : S("seqno");
    m->sent = (struct station_sent){ whole(f, key, INT64_MIN, INT64_MAX), whole_or(f, S("xtime"), 0) };
    return f->bad ? STATION_FIELD : STATION_FINE;
}

static enum station_fault read_time(struct station_message *m, struct fields *f)
{
    m->time.txtime_us = whole(f, S("txtime"), INT64_MIN, INT64_MAX);
    return f->bad ? STATION_FIELD : STATION_FINE;
}

static enum station_fault read_note(struct station_message *m, struct fields *f)
{
    m->note = f->of->raw;
    return STATION_FINE;
}

static const struct {
    const char *name;
    enum station_kind kind;
    enum station_fault (*read)(struct station_message *, struct fields *);
} kinds[] = {
    { "updf",     STATION_FRAME,   read_data },    { "jreq",     STATION_FRAME, read_join },
    { "propdf",   STATION_FRAME,   read_whole },   { "version",  STATION_VERSION, read_version },
    { "dntxed",   STATION_SENT,    read_sent },    { "timesync", STATION_TIME,  read_time },
    { "event",    STATION_NOTE,    read_note },    { "alarm",    STATION_NOTE,  read_note },
};

enum station_fault station_read(struct station_message *out, struct str text, struct arena *arena)
{
    const struct json *doc;
    *out = (struct station_message){ .kind = STATION_OTHER };
    if (json_read(&doc, text, arena, JSON_LENIENT, NULL) != OK || !json_is(doc, JSON_OBJECT))
        return STATION_JSON;
    if (json_duplicate(doc, arena))                 /* which of the two is meant? */
        return STATION_FIELD;
    out->name = json_str(json_get(doc, S("msgtype")), arena);
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (str_eq(out->name, str_z(kinds[i].name))) {
            out->kind = kinds[i].kind;
            return kinds[i].read(out, &(struct fields){ doc, arena, false });
        }
    return STATION_FINE;
}

/* ------------------------------------------------------------------ discovery */

enum station_fault station_ask_read(u64 *eui_out, struct str text, struct arena *arena)
{
    const struct json *doc;
    if (json_read(&doc, text, arena, JSON_LENIENT, NULL) != OK || !json_is(doc, JSON_OBJECT))
        return STATION_JSON;
    const struct json *router = json_get(doc, S("router"));
    bool good = json_is(router, JSON_STRING) ? station_eui_read(eui_out, json_str(router, arena)) : json_u64(eui_out, router);
    return good ? STATION_FINE : STATION_FIELD;
}

static struct str answer(u64 router, struct str key, struct str value, struct arena *arena)
{
    struct text     t = text_make(arena, 4096);
    struct json_out o = json_out_make(&t);
    struct str name = station_eui_str(arena, router);
    json_open_object(&o);
    json_member_str(&o, S("router"), name);
    json_member_str(&o, S("muxs"), S("hotaru"));
    json_member_str(&o, key, value);
    json_close(&o);
    return text_str(&t);
}

struct str station_answer_uri(u64 router, struct str uri, struct arena *arena) { return answer(router, S("uri"), uri, arena); }
struct str station_answer_error(u64 router, struct str why, struct arena *arena) { return answer(router, S("error"), why, arena); }

/* ------------------------------------------------------------------ router_config */

static u32 number(struct str *rest)
{
    u32 v = 0;
    while (rest->n > 0 && rest->p[0] >= '0' && rest->p[0] <= '9' && v < 100000) {
        v = v * 10 + (u32)(rest->p[0] - '0');
        rest->p++, rest->n--;
    }
    if (rest->n > 0 && rest->p[0] == '.')
        rest->p++, rest->n--;
    return v;
}

/* "2.0.6(linux/std) 2022-…": is it that version or a later one? */
static bool since(struct str station, u32 a, u32 b, u32 c)
{
    u32 x = number(&station), y = number(&station), z = number(&station);
    return x != a ? x > a : y != b ? y > b : z >= c;
}

/* What Station 2.0.6 knows; a name it does not know stops every downlink, and it says so only in its own log. */
struct str station_region(struct str region, struct str station, bool *as_is)
{
    static const char *const same[] = { "EU868", "US915", "AU915", "KR920" };
    *as_is = false;
    if (str_eq(region, S("AS923-1")))
        return since(station, 2, 0, 6) ? S("AS923-1") : S("AS923JP");
    for (size_t i = 0; i < COUNT(same); i++)
        if (str_eq(region, str_z(same[i])))
            return str_z(same[i]);
    *as_is = true;
    return region;
}

/* Channels of 125 kHz under two receivers of a concentrator, each 925 kHz wide around its centre: the channels are
 * taken in the order of their frequency, the first that does not fit begins the second. */
#define REACH_HZ 800000
struct receiver { u32 low_hz, high_hz; };

static u32 centre(const struct receiver *r)
{
    return (r->low_hz + r->high_hz) / 2 / 100 * 100;
}

static void by_hz(const u32 *hz, u32 *order, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        u32 at = i;
        for (; at > 0 && hz[order[at - 1]] > hz[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

/* Which of the two hears each of the first eight; 2: neither. */
static u32 share(struct receiver out[2], u8 whose[8], const u32 *hz, u32 n)
{
    u32 order[8], used = 0;
    by_hz(hz, order, n);
    for (u32 i = 0; i < n; i++) {
        u32 f = hz[order[i]];
        if (used == 0 || f - out[used - 1].low_hz > REACH_HZ)
            used++;
        whose[order[i]] = (u8)MIN(used - 1, 2u);
        if (used > 2)
            continue;
        if (out[used - 1].low_hz == 0)
            out[used - 1].low_hz = f;
        out[used - 1].high_hz = f;
    }
    return MIN(used, 2u);
}

static void put_receivers(struct json_out *o, const struct receiver *r, u32 used, struct arena *arena)
{
    for (u32 i = 0; i < 2; i++) {
        json_key(o, str_fmt(arena, "radio_%u", i));
        json_open_object(o);
        json_member_bool(o, S("enable"), i < used);
        json_member_u64(o, S("freq"), centre(&r[MIN(i, used - 1)]));
        json_close(o);
    }
}

static void put_concentrator(struct json_out *o, const struct station_config *c, struct arena *arena)
{
    struct receiver r[2] = { { 0, 0 }, { 0, 0 } };
    u32 hz[8] = { 0 }, n = 0;
    u8  whose[8] = { 0 };
    for (u32 i = 0; i < c->channels_n && n < 8; i++)
        if (c->channel[i].bw_khz == 125)
            hz[n++] = c->channel[i].hz;
    u32 used = share(r, whose, hz, n);
    json_open_object(o);
    if (used > 0)
        put_receivers(o, r, used, arena);
    for (u32 i = 0; i < 8; i++) {
        json_key(o, str_fmt(arena, "chan_multiSF_%u", i));
        json_open_object(o);
        bool on = i < n && whose[i] < 2;
        json_member_bool(o, S("enable"), on);
        if (on) {
            json_member_u64(o, S("radio"), whose[i]);
            json_member_i64(o, S("if"), (i64)hz[i] - centre(&r[whose[i]]));
        }
        json_close(o);
    }
    json_close(o);
}

static void put_triple(struct json_out *o, i64 a, i64 b, i64 c)
{
    json_open_array(o);
    json_put_i64(o, a);
    json_put_i64(o, b);
    json_put_i64(o, c);
    json_close(o);
}

static void put_rates(struct json_out *o, const struct station_config *c)
{
    json_key(o, S("DRs"));
    json_open_array(o);
    for (u32 i = 0; i < STATION_DRS; i++)
        put_triple(o, c->dr[i].sf, c->dr[i].bw_khz, c->dr[i].down_only);
    json_close(o);
}

static void put_channels(struct json_out *o, const struct station_config *c)
{
    json_key(o, S("upchannels"));
    json_open_array(o);
    for (u32 i = 0; i < c->channels_n; i++)
        put_triple(o, c->channel[i].hz, c->channel[i].dr_min, MIN(c->channel[i].dr_max, (u8)7));
    json_close(o);
}

/* "sx1302", "sx1303" and Semtech's own name for its board. */
static bool is_sx1302(struct str model)
{
    return str_find(model, S("130")) >= 0 ? str_find(model, S("1302")) >= 0 || str_find(model, S("1303")) >= 0
                                          : str_find(model, S("corecell")) >= 0;
}

struct str station_config_write(const struct station_config *c, struct arena *arena)
{
    struct text     t = text_make(arena, 1 << 16);
    struct json_out o = json_out_make(&t);
    json_open_object(&o);
    json_member_str(&o, S("msgtype"), S("router_config"));
    json_member_null(&o, S("NetID"));              /* filters lose frames without a word: none */
    json_member_null(&o, S("JoinEui"));
    json_member_str(&o, S("region"), c->region);
    json_member_str(&o, S("hwspec"), S("sx1301/1"));
    json_key(&o, S("freq_range"));
    json_open_array(&o);
    json_put_u64(&o, c->min_hz);
    json_put_u64(&o, c->max_hz);
    json_close(&o);
    put_rates(&o, c);
    put_channels(&o, c);
    json_member_i64(&o, S("max_eirp"), c->eirp_dbm);
    json_key(&o, is_sx1302(c->model) ? S("sx1302_conf") : S("sx1301_conf"));
    json_open_array(&o);
    put_concentrator(&o, c, arena);
    json_close(&o);
    json_member_fixed(&o, S("MuxTime"), (double)c->now_us / 1e6, 6);
    json_close(&o);
    assert(json_out_good(&o));
    return text_str(&t);
}

/* ------------------------------------------------------------------ downlinks and time */

static void put_window(struct json_out *o, const struct station_window *w, struct str dr, struct str hz)
{
    if (!w->has)
        return;
    json_member_u64(o, dr, w->dr);
    json_member_u64(o, hz, w->hz);
}

struct str station_down_write(const struct station_down *d, struct arena *arena)
{
    struct text     t = text_make(arena, 4096);
    struct json_out o = json_out_make(&t);
    struct str device = station_eui_str(arena, d->dev_eui);
    json_open_object(&o);
    json_member_str(&o, S("msgtype"), S("dnmsg"));
    json_member_str(&o, S("DevEui"), device);
    json_member_i64(&o, S("dC"), 0);
    json_member_i64(&o, S("diid"), d->diid);
    json_member_str(&o, S("pdu"), hex_str(arena, d->phy));
    json_member_i64(&o, S("RxDelay"), d->rx_delay_s);
    put_window(&o, &d->rx1, S("RX1DR"), S("RX1Freq"));
    put_window(&o, &d->rx2, S("RX2DR"), S("RX2Freq"));
    json_member_i64(&o, S("priority"), 0);
    json_member_i64(&o, S("xtime"), d->xtime);
    json_member_i64(&o, S("rctx"), d->rctx);
    json_member_fixed(&o, S("MuxTime"), (double)d->now_us / 1e6, 6);
    json_close(&o);
    assert(json_out_good(&o));
    return text_str(&t);
}

struct str station_time_write(i64 txtime_us, i64 gps_us, struct arena *arena)
{
    struct text     t = text_make(arena, 512);
    struct json_out o = json_out_make(&t);
    json_open_object(&o);
    json_member_str(&o, S("msgtype"), S("timesync"));
    json_member_i64(&o, S("txtime"), txtime_us);
    json_member_i64(&o, S("gpstime"), gps_us);
    json_close(&o);
    assert(json_out_good(&o));
    return text_str(&t);
}
