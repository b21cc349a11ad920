// SPDX-License-Identifier: Apache-2.0
#include "edge/stations.h"

#include "access/access.h"
#include "edge/cups.h"
#include "edge/downs.h"
#include "edge/heard.h"
#include "edge/station_plan.h"
#include "edge/tls.h"
#include "edge/websocket.h"
#include "flow/flow.h"
#include "mac/mac.h"
#include "wire/station.h"

#define CITY            1                    /* the tenant whose gateways come here, until there are others */
#define LINKS_MAX       20000
#define ANONYMOUS_MAX   2048                 /* connections that have not said who they are, */
#define ANONYMOUS_HOST  256                  /* and of one host */
#define HELLO_US        (10 * US_PER_S)      /* so long they may take to say it */
#define WATCH_US        US_PER_S             /* how often all of them are looked at */
#define PING_US         (30 * US_PER_S)
#define SILENT_US       (90 * US_PER_S)      /* three pings without an answer: nobody is there */
#define MESSAGE_MAX     16384
#define IN_MAX          (MESSAGE_MAX + WS_FRAME_HEAD_MAX)
#define MESSAGES_PER_S  1000                 /* share of one gateway */
#define KEPT_US         (2 * US_PER_S)       /* told so much later than frames before it, a frame was kept */
#define FORGET_US       (3600 * US_PER_S)    /* a radio's clock drifts: this old, its time is learnt anew */
#define OVER_US         (1 * US_PER_S)       /* behind the end of a transmission its dntxed does not come any more */
#define SENT_MAX        16
#define DAY_US          (86400 * US_PER_S)

enum stage { AT_HEAD, AT_BODY, AT_ASKING, AT_TALK, AT_ANSWER };

/* When RX1 of a transmission begins on the radio's clock: which window it was in is known when it has left. */
struct sent { u16 token; i64 rx1_xtime; };

struct station {
    struct stations *of;
    struct station *next, *before;           /* of the anonymous, of the links, or of the gone */
    struct tcp_link *tcp;
    struct tls_link *tls;
    struct address peer;
    enum stage stage;
    bool gone, doomed, in_parts;
    struct mono since, heard, pinged;
    struct share share;
    u64  eui;
    u32  gateway;
    struct ws_head head;                     /* CUPS only: what its body belongs to */
    u8  *in; size_t in_n, in_room;           /* what has come and is not whole yet */
    u8  *parts; size_t parts_n, parts_room;  /* of a message in several frames */
    struct bytes answer;                     /* leaves after the commit */
    struct sent sent[SENT_MAX]; u32 sent_n;
};

/* The clock of a gateway's radio, as its last frame that came at once showed it. */
struct radio_clock { i64 session, us; struct mono at; bool known; };

struct stations {
    struct env *env;
    struct downs *downs;
    struct stations_settings set;
    struct tcp *tcp;
    struct tls *tls;
    struct station *anonymous, *links, *gone;
    u32 anonymous_n;
    struct station **by_gateway;  struct radio_clock *clocks;  u32 gateways_n;
    struct mono watched, warned;
    struct arena event, answers;
};

/* ------------------------------------------------------------------ lists */

static struct station **list_of(struct station *st)
{
    return st->gone ? &st->of->gone : st->stage == AT_TALK ? &st->of->links : &st->of->anonymous;
}

static void link_in(struct station *st)
{
    struct station **list = list_of(st);
    st->before = NULL;
    st->next   = *list;
    if (*list)
        (*list)->before = st;
    *list = st;
}

static void unlink_from(struct station *st)
{
    *(st->before ? &st->before->next : list_of(st)) = st->next;
    if (st->next)
        st->next->before = st->before;
}

static struct station **place_of(struct stations *s, u32 gateway)
{
    if (gateway >= s->gateways_n) {
        u32 n = mac_gateway_count(s->env->mac);
        s->by_gateway = boot_grow(s->by_gateway, s->gateways_n * sizeof *s->by_gateway, n * sizeof *s->by_gateway);
        s->clocks     = boot_grow(s->clocks, s->gateways_n * sizeof *s->clocks, n * sizeof *s->clocks);
        s->gateways_n = n;
    }
    return &s->by_gateway[gateway];
}

/* It is forgotten; its memory goes when nobody up the stack can hold it any more. */
static void leave(struct station *st)
{
    struct stations *s = st->of;
    if (st->gone)
        return;
    unlink_from(st);
    s->anonymous_n -= st->stage != AT_TALK;
    bool was_link = st->stage == AT_TALK && *place_of(s, st->gateway) == st;
    st->gone = true;
    st->tcp  = NULL;
    link_in(st);
    if (was_link) {
        *place_of(s, st->gateway) = NULL;
        downs_void(s->downs, st->eui, S("the gateway's connection is gone"));
    }
}

static void sweep(struct stations *s)
{
    while (s->gone) {
        struct station *st = s->gone;
        s->gone = st->next;
        if (st->tls)
            tls_forget(st->tls);
        boot_release(st->in);
        boot_release(st->parts);
        boot_release(st);
    }
}

/* ------------------------------------------------------------------ to the wire */

static void count(struct stations *s, enum drop drop)
{
    if (drop != PASS)
        s->env->dropped[drop]++;
}

static bool flush(struct station *st)
{
    struct bytes wire;
    while ((wire = tls_out(st->tls)).n > 0)
        if (!tcp_send(st->tcp, wire))
            return false;
    return true;
}

/* False: it reads slower than it is told. It is hung up on when nobody up the stack holds it. */
static bool put(struct station *st, struct bytes clear)
{
    if (st->gone || st->doomed)
        return false;
    bool good = st->tls ? tls_write(st->tls, clear) && flush(st) : tcp_send(st->tcp, clear);
    st->doomed = !good;
    if (!good)
        count(st->of, DROP_STATION_SLOW);
    return good;
}

static bool put_text(struct station *st, struct str text)
{
    return put(st, ws_frame_write(WS_TEXT, bytes_of(text), &st->of->event));
}

static void hang_up(struct station *st)
{
    struct tcp_link *tcp = st->tcp;
    if (st->gone)
        return;
    if (st->tls && !st->doomed) {
        tls_goodbye(st->tls);
        (void)flush(st);
    }
    bool doomed = st->doomed;
    leave(st);
    if (doomed)
        tcp_drop(tcp);
    else
        tcp_end(tcp);
}

static void close_with(struct station *st, u16 code, enum drop drop)
{
    count(st->of, drop);
    (void)put(st, ws_close_write(code, &st->of->event));
    hang_up(st);
}

static void refuse(struct station *st, int status, struct str words, enum drop drop)
{
    count(st->of, drop);
    (void)put(st, bytes_of(ws_refusal(status, words, &st->of->event)));
    hang_up(st);
}

/* ------------------------------------------------------------------ who it is */

/* The transaction of the batch, for those who write by themselves. */
static bool open_batch(struct env *env)
{
    return env_query(env, "SELECT number FROM tenant WHERE number = 1") != NULL;
}

static void remember_use(struct stations *s, struct gateway_key *used, enum gateway_door door)
{
    struct env *env = s->env;
    if (used->used_us != 0 || door != DOOR_LNS)
        return;
    used->used_us = env_clock(env).us;
    if (!open_batch(env))
        return;
    enum err err = access_gateway_key_put(env->db, used);
    if (err == OK)
        err = cups_retire(env, used);
    if (err != OK)
        env->failed = err;
}

/* Its token or its certificate opens this door; a gateway of a machine under development may have none. */
static bool may_enter(struct station *st, u64 eui, struct str authorization, enum gateway_door door)
{
    struct stations *s = st->of;
    struct gateway_key key, all[GATEWAY_KEYS_MAX];
    u8 hash[GATEWAY_KEY_HASH];
    i64 now_us = env_clock(s->env).us;
    size_t n;
    if (authorization.n > 0) {
        access_gateway_hash(hash, access_gateway_token(authorization));
        if (access_gateway_key(&key, s->env->db, CITY, eui, hash, door, now_us) == OK && key.kind == KEY_TOKEN) {
            remember_use(s, &key, door);
            return true;
        }
    }
    static_assert(TLS_PRINT == GATEWAY_KEY_HASH, "a certificate is kept as SHA-256");
    if (st->tls && tls_client(st->tls, hash) &&
        access_gateway_key(&key, s->env->db, CITY, eui, hash, door, now_us) == OK && key.kind == KEY_CERTIFICATE) {
        remember_use(s, &key, door);
        return true;
    }
    return s->set.dev && access_gateway_keys(all, &n, s->env->db, CITY, eui) == OK && n == 0;
}

/* PASS, or why this gateway does not come in. */
static enum drop judge(struct station *st, u64 eui, struct str authorization, enum gateway_door door)
{
    struct stations *s = st->of;
    if (mac_gateway(s->env->mac, eui) == MAC_NONE) {
        mac_stranger(s->env, eui, address_str(&s->event, st->peer));
        return DROP_UNKNOWN_GATEWAY;
    }
    if (may_enter(st, eui, authorization, door))
        return PASS;
    if (mono_since(env_now(s->env), s->warned) >= US_PER_S) {          /* who knocks does not fill the log */
        s->warned = env_now(s->env);
        log_line(LOG_WARN, "station gateway=%016llx from=%.*s refused: neither its token nor its certificate", (unsigned long long)eui,
                 STR(address_str(&s->event, st->peer)));
    }
    return DROP_STATION_KEY;
}

/* ------------------------------------------------------------------ discovery */

static bool is_host(struct str host)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
                    c == ':' || c == '[' || c == ']';
        if (!good)
            return false;
    }
    return host.n > 0 && host.n <= 90;
}

/* Back by the road it came: through a NAT our own address says nothing. Station wants the port spelled out. */
static struct str uri_of(struct station *st, u64 eui)
{
    struct stations *s = st->of;
    struct str host = str_of((struct bytes){ st->parts, st->parts_n });
    if (!is_host(host))
        host = address_str(&s->event, tcp_address(s->tcp));
    ptrdiff_t bracket = str_find(host, S("]"));
    struct str behind = { host.p + (bracket < 0 ? 0 : bracket), host.n - (size_t)(bracket < 0 ? 0 : bracket) };
    const char *port = str_find(behind, S(":")) >= 0 ? "" : st->tls ? ":443" : ":80";
    return str_fmt(&s->event, "%s://%.*s%s/router/%016llX", st->tls ? "wss" : "ws", STR(host), port, (unsigned long long)eui);
}

static void answer_discovery(struct station *st, struct str text)
{
    struct stations *s = st->of;
    u64 eui = 0;
    if (station_ask_read(&eui, text, &s->event) != STATION_FINE) {
        close_with(st, WS_POLICY, DROP_JSON);
        return;
    }
    enum drop drop = judge(st, eui, st->head.authorization, DOOR_LNS);
    count(s, drop);
    struct str uri = uri_of(st, eui);
    if (drop != PASS)
        (void)put_text(st, station_answer_error(eui, S("this gateway is not registered here, or shows another key"), &s->event));
    else
        (void)put_text(st, station_answer_uri(eui, uri, &s->event));
    close_with(st, WS_GOODBYE, PASS);
}

/* ------------------------------------------------------------------ frames */

/* A gateway may have several concentrators: one of them tells the time. */
static bool is_other_unit(const struct radio_clock *c, i64 xtime)
{
    return c->session >> 8 != xtime >> 56;
}

/*
 * How long a gateway kept a frame before it told us (promises R11): its radio's clock, which is one of 48 bits that
 * a restart begins anew under another session number, says how much longer it was under way than the last that came
 * at once. The windows of a frame that was kept are over.
 */
static i64 kept_us(struct radio_clock *c, i64 xtime, struct mono now)
{
    i64 session = xtime >> 48, us = xtime & ((1LL << 48) - 1);
    bool fresh = c->known && mono_since(now, c->at) < FORGET_US;
    i64 late = fresh && c->session == session ? mono_since(now, c->at) - (us - c->us) : 0;
    if (late > KEPT_US || (fresh && is_other_unit(c, xtime)))
        return MAX(late, 0);
    *c = (struct radio_clock){ .session = session, .us = us, .at = now, .known = true };
    return 0;
}

static i64 gateway_us(const struct station_frame *f, i64 now_us)
{
    i64 us = f->gps_us > 0 ? station_utc_of(f->gps_us) : f->utc_us;
    return us > now_us - DAY_US && us < now_us + DAY_US ? us : 0;
}

static void to_frame(struct frame *out, const struct station *st, const struct station_frame *f, const struct lora_dr *rate)
{
    struct env *env = st->of->env;
    struct buf context = buf_of(out->radio.context, RADIO_CONTEXT);
    *out = (struct frame){ .phy      = f->phy,
                           .received = env_clock(env),
                           .heard    = env_now(env),
                           .radio    = { .gateway    = st->eui,
                                         .tmst_us    = (u32)f->xtime,
                                         .freq_hz    = f->freq_hz,
                                         .bw_hz      = rate->modulation == MOD_LORA ? rate->bw_hz : 0,
                                         .bitrate    = rate->bit_rate,
                                         .rssi_dbm   = f->rssi_dbm,
                                         .snr_cb     = f->snr_cb,
                                         .sf         = rate->sf,
                                         .antenna    = f->rctx >= 0 && f->rctx < 256 ? (u8)f->rctx : (u8)0,
                                         .gateway_us = gateway_us(f, env_clock(env).us) } };
    buf_u64le(&context, (u64)f->xtime);
    buf_u64le(&context, (u64)f->rctx);
    out->radio.context_n = (u8)context.n;
}

static enum drop take_frame(struct station *st, const struct station_frame *f)
{
    struct stations *s = st->of;
    const struct lora_region *region = mac_gateway_region(s->env->mac, st->gateway);
    const struct lora_dr *rate = &region->dr[f->dr];
    struct radio_clock *clock = &s->clocks[st->gateway];
    struct frame frame;
    bool known = f->dr < LORA_DRS && (rate->modulation == MOD_LORA || rate->modulation == MOD_FSK);
    u32 air_us = known ? lora_dr_airtime_us(region, f->dr, f->phy.n, true) : 0;
    mac_gateway_heard(s->env, st->gateway, S(""), true, true, air_us);
    if (!known)
        return DROP_MODULATION;
    if (!station_plan_hears(region, s->set.plan, f->freq_hz))
        return DROP_FREQUENCY;
    if (clock->known && !is_other_unit(clock, f->xtime) && clock->session != f->xtime >> 48)
        downs_void(s->downs, st->eui, S("the gateway's clock began anew: its radio has restarted"));
    to_frame(&frame, st, f, rate);
    frame.kept_us = kept_us(clock, f->xtime, frame.heard);
    (void)flow_uplink(s->env, &frame);
    return PASS;
}

/* ------------------------------------------------------------------ the other messages */

/* Its own words about itself, fit for a line of the log. */
static struct str plain(struct arena *a, struct str words)
{
    struct str out = str_copy(a, (struct str){ words.p, MIN(words.n, (size_t)48) });
    for (size_t i = 0; i < out.n; i++)
        if ((u8)out.p[i] <= ' ' || (u8)out.p[i] > 0x7E)
            ((char *)(uintptr_t)out.p)[i] = '_';
    return out;
}

static enum drop take_version(struct station *st, const struct station_version *v)
{
    struct stations *s = st->of;
    struct station_config config;
    bool as_is;
    const struct lora_region *region = mac_gateway_region(s->env->mac, st->gateway);
    station_plan(&config, region, s->set.plan, v->station, v->model, &as_is);
    config.now_us = env_clock(s->env).us;
    log_line(as_is ? LOG_WARN : LOG_INFO, "station gateway=%016llx version=%.*s model=%.*s region=%.*s%s", (unsigned long long)st->eui,
             STR(plain(&s->event, v->station)), STR(plain(&s->event, v->model)), STR(config.region),
             as_is ? ": a name that it may not know; it drops every downlink then" : "");
    (void)put_text(st, station_config_write(&config, &s->event));
    return PASS;
}

static enum drop take_sent(struct station *st, const struct station_sent *sent)
{
    struct stations *s = st->of;
    struct str words = S("");
    if (sent->diid < 0 || sent->diid > UINT16_MAX)
        return DROP_TXACK;
    for (u32 i = 0; i < SENT_MAX; i++)
        if (st->sent[i].token == (u16)sent->diid && st->sent[i].rx1_xtime != 0 && sent->xtime != 0)
            words = sent->xtime - st->sent[i].rx1_xtime > 500 * US_PER_MS ? S("in RX2") : S("in RX1");
    return downs_outcome(s->downs, st->eui, (u16)sent->diid, OUTCOME_EMITTED, words) ? PASS : DROP_TXACK;
}

static enum drop take_message(struct station *st, const struct station_message *m)
{
    struct stations *s = st->of;
    switch (m->kind) {
    case STATION_FRAME:   return take_frame(st, &m->frame);
    case STATION_VERSION: return take_version(st, &m->version);
    case STATION_SENT:    return take_sent(st, &m->sent);
    case STATION_TIME:
        (void)put_text(st, station_time_write(m->time.txtime_us, station_gps_of(env_clock(s->env).us), &s->event));
        return PASS;
    case STATION_NOTE:    return PASS;
    case STATION_OTHER:   break;
    }
    return DROP_STATION_KIND;
}

static enum drop drop_of(enum station_fault fault)
{
    static const enum drop drops[] = { [STATION_FINE] = PASS, [STATION_JSON] = DROP_JSON, [STATION_FIELD] = DROP_STATION_FIELD,
                                       [STATION_LONG] = DROP_TOO_LONG };
    return drops[fault];
}

/* A message that cannot be read costs itself only. */
static void take_text(struct station *st, struct str text)
{
    struct stations *s = st->of;
    struct station_message m;
    if (st->stage == AT_ASKING) {
        answer_discovery(st, text);
        return;
    }
    if (!share_take(&st->share, env_now(st->of->env), MESSAGES_PER_S)) {
        count(s, DROP_GATEWAY_FLOOD);
        return;
    }
    enum station_fault fault = station_read(&m, text, &s->event);
    count(s, fault == STATION_FINE ? take_message(st, &m) : drop_of(fault));
}

/* ------------------------------------------------------------------ WebSocket */

static void grow(u8 **room, size_t *room_n, size_t used, size_t want)
{
    if (want <= *room_n)
        return;
    size_t n = MAX(want, *room_n * 2);
    *room    = boot_grow(*room, used, n);
    *room_n  = n;
}

static void add_part(struct station *st, const struct ws_frame *f)
{
    grow(&st->parts, &st->parts_room, st->parts_n, st->parts_n + f->payload.n);
    if (f->payload.n > 0)
        memcpy(st->parts + st->parts_n, f->payload.p, f->payload.n);
    st->parts_n += f->payload.n;
}

/* A message in several frames is put together up to the limit of one. */
static void take_data(struct station *st, const struct ws_frame *f)
{
    bool begins = f->op != WS_CONTINUATION, whole = begins && f->fin;
    if (begins == st->in_parts || (st->stage == AT_ASKING && !whole)) {
        close_with(st, WS_PROTOCOL, DROP_STATION_FRAME);
        return;
    }
    if (f->op == WS_BINARY) {                      /* a remote shell's, which nobody opened */
        close_with(st, WS_POLICY, DROP_STATION_KIND);
        return;
    }
    if (whole) {
        take_text(st, str_of(f->payload));
        return;
    }
    if (begins)
        st->parts_n = 0;
    st->in_parts = !f->fin;
    if (st->parts_n + f->payload.n > MESSAGE_MAX) {
        close_with(st, WS_TOO_LONG, DROP_STATION_LONG);
        return;
    }
    add_part(st, f);
    if (f->fin) {
        take_text(st, str_of((struct bytes){ st->parts, st->parts_n }));
        st->parts_n = 0;
    }
}

static void take_ws(struct station *st, const struct ws_frame *f)
{
    st->heard = env_now(st->of->env);
    bool whole = f->op == WS_TEXT && f->fin;       /* has its share as a message */
    if (st->stage == AT_TALK && !whole && f->op != WS_CLOSE && !share_take(&st->share, env_now(st->of->env), MESSAGES_PER_S)) {
        close_with(st, WS_POLICY, DROP_GATEWAY_FLOOD);
        return;
    }
    switch (f->op) {
    case WS_PING:  (void)put(st, ws_frame_write(WS_PONG, f->payload, &st->of->event)); break;
    case WS_PONG:  break;
    case WS_CLOSE: close_with(st, WS_GOODBYE, PASS); break;
    default:       take_data(st, f); break;
    }
}

static size_t take_frames(struct station *st)
{
    struct ws_frame f;
    size_t used;
    switch (ws_frame_read(&f, &used, st->in, st->in_n, MESSAGE_MAX)) {
    case WS_MORE: return 0;
    case WS_BAD:
        close_with(st, f.fault, f.fault == WS_TOO_LONG ? DROP_STATION_LONG : DROP_STATION_FRAME);
        return 0;
    case WS_FINE: break;
    }
    take_ws(st, &f);
    return used;
}

/* ------------------------------------------------------------------ the request */

/* A gateway that comes again takes the place of what is left of its last connection. */
static void become_link(struct station *st, u64 eui)
{
    struct stations *s = st->of;
    struct station **place = place_of(s, mac_gateway(s->env->mac, eui));
    if (*place)
        close_with(*place, WS_GOODBYE, PASS);
    unlink_from(st);
    s->anonymous_n--;
    st->stage   = AT_TALK;
    st->eui     = eui;
    st->gateway = mac_gateway(s->env->mac, eui);
    st->heard   = st->pinged = env_now(s->env);
    st->share   = (struct share){ MESSAGES_PER_S, st->heard };
    link_in(st);
    *place = st;
    mac_gateway_heard(s->env, st->gateway, address_str(&s->event, st->peer), false, false, 0);
}

static void begin_link(struct station *st, const struct ws_head *h, struct str name)
{
    u64 eui;
    if (!station_eui_read(&eui, name)) {
        refuse(st, 404, S("there is no such gateway"), DROP_STATION_HTTP);
        return;
    }
    enum drop drop = judge(st, eui, h->authorization, DOOR_LNS);
    if (drop != PASS) {
        refuse(st, drop == DROP_STATION_KEY ? 401 : 403, S("this gateway is not registered here, or shows another key"), drop);
        return;
    }
    if (put(st, bytes_of(ws_welcome(h->key, &st->of->event))))
        become_link(st, eui);
}

/* What the answer to the question needs of the head: by then its bytes are gone. */
static void begin_discovery(struct station *st, const struct ws_head *h)
{
    size_t n = h->host.n + h->authorization.n;
    grow(&st->parts, &st->parts_room, 0, n + 1);
    memcpy(st->parts, h->host.p ? h->host.p : "", h->host.n);
    memcpy(st->parts + h->host.n, h->authorization.p ? h->authorization.p : "", h->authorization.n);
    st->parts_n = h->host.n;
    st->head = (struct ws_head){ .authorization = { (char *)st->parts + h->host.n, h->authorization.n } };
    st->stage = AT_ASKING;
    (void)put(st, bytes_of(ws_welcome(h->key, &st->of->event)));
}

static void begin_update(struct station *st, const struct ws_head *h)
{
    if (h->length <= 0 || h->length > CUPS_BODY_MAX) {
        refuse(st, 413, S("a body of at most 8 KiB with its Content-Length is needed"), DROP_STATION_LONG);
        return;
    }
    grow(&st->parts, &st->parts_room, 0, h->authorization.n + 1);
    memcpy(st->parts, h->authorization.p ? h->authorization.p : "", h->authorization.n);
    st->head  = (struct ws_head){ .length = h->length, .authorization = { (char *)st->parts, h->authorization.n } };
    st->stage = AT_BODY;
}

static size_t take_head(struct station *st)
{
    struct ws_head h;
    size_t used;
    switch (ws_head_read(&h, &used, (struct bytes){ st->in, st->in_n })) {
    case WS_MORE: return 0;
    case WS_BAD:  refuse(st, 400, S("this is no request that can be understood"), DROP_STATION_HTTP); return 0;
    case WS_FINE: break;
    }
    struct str name = h.path;
    if (str_eq(h.method, S("POST")) && str_eq(h.path, S("/update-info")))
        begin_update(st, &h);
    else if (!str_eq(h.method, S("GET")) || !h.upgrade)
        refuse(st, 400, S("a WebSocket is wanted here"), DROP_STATION_HTTP);
    else if (str_eq(h.path, S("/router-info")))
        begin_discovery(st, &h);
    else if (str_starts(h.path, S("/router/")))
        begin_link(st, &h, (struct str){ name.p + 8, name.n - 8 });
    else
        refuse(st, 404, S("/router-info, /router/EUI and /update-info are here"), DROP_STATION_HTTP);
    return used;
}

/* ------------------------------------------------------------------ CUPS */

static size_t take_body(struct station *st)
{
    struct stations *s = st->of;
    struct cups_request rq;
    size_t n = (size_t)st->head.length;
    if (st->in_n < n)
        return 0;
    enum drop drop = cups_read(&rq, str_of((struct bytes){ st->in, n }), &s->event);
    if (drop == PASS)
        drop = judge(st, rq.router, st->head.authorization, DOOR_CUPS);
    if (drop != PASS) {
        refuse(st, drop == DROP_STATION_KEY ? 401 : drop == DROP_UNKNOWN_GATEWAY ? 403 : 400,
               S("this gateway is not registered here, or shows another key"), drop);
        return 0;
    }
    struct bytes trust = s->tls ? tls_trust(s->tls, &s->event) : (struct bytes){ NULL, 0 };
    st->answer = cups_answer(s->env, CITY, &rq, trust, &s->answers);
    st->stage  = AT_ANSWER;
    return n;
}

/* What hangs on the commit. A store that failed gives no answer at all: Station comes again. */
static void answer_waiting(struct stations *s, enum err committed)
{
    for (struct station *next, *st = s->anonymous; st; st = next) {
        next = st->next;
        if (st->stage != AT_ANSWER)
            continue;
        if (committed == OK)
            (void)put(st, st->answer);
        hang_up(st);
    }
    arena_reset(&s->answers);
}

/* ------------------------------------------------------------------ from the wire */

static size_t take_some(struct station *st)
{
    arena_reset(&st->of->event);
    switch (st->stage) {
    case AT_HEAD:   return take_head(st);
    case AT_BODY:   return take_body(st);
    case AT_ASKING:
    case AT_TALK:   return take_frames(st);
    case AT_ANSWER: break;
    }
    return 0;
}

static void take_all(struct station *st)
{
    size_t at = 0, used = 1;
    u8 *all = st->in;
    size_t n = st->in_n;
    while (used > 0 && at < n && !st->gone && !st->doomed && st->of->env->failed == OK) {
        st->in   = all + at;
        st->in_n = n - at;
        used = take_some(st);
        at += used;
    }
    st->in   = all;
    st->in_n = n - at;
    if (at > 0 && at < n)
        memmove(all, all + at, n - at);
    if (st->in_n == 0) {                           /* ten thousand of them wait, most of the time with nothing */
        boot_release(st->in);
        st->in = NULL;
        st->in_room = 0;
    }
}

static void take_clear(struct station *st, struct bytes b)
{
    while (b.n > 0 && !st->gone && !st->doomed && st->stage != AT_ANSWER) {
        size_t n = MIN(b.n, IN_MAX - st->in_n);
        if (st->of->env->failed != OK) {           /* nothing can be kept now: it comes again */
            close_with(st, WS_AGAIN, DROP_STORE);
            return;
        }
        assert(n > 0);                             /* what fits IN_MAX is whole, or was refused */
        grow(&st->in, &st->in_room, st->in_n, st->in_n + n);
        memcpy(st->in + st->in_n, b.p, n);
        st->in_n += n;
        b.p += n, b.n -= n;
        take_all(st);
    }
}

static void take_tls(struct station *st, struct bytes wire)
{
    u8 clear[4096];
    size_t n;
    bool good = tls_take(st->tls, wire) && flush(st);
    while (good && !st->gone && !st->doomed && (n = tls_read(st->tls, clear, sizeof clear)) > 0)
        take_clear(st, (struct bytes){ clear, n });
    if (st->gone)
        return;
    if (!good && !tls_is_up(st->tls)) {
        (void)flush(st);                           /* the alert */
        count(st->of, DROP_STATION_TLS);
    }
    if (!good || tls_is_over(st->tls))
        hang_up(st);
    else
        (void)flush(st);
}

static void received(void *of, struct bytes b)
{
    struct station *st = of;
    if (st->tls)
        take_tls(st, b);
    else
        take_clear(st, b);
    if (st->doomed)
        hang_up(st);
}

static void closed(void *of)
{
    leave(of);
}

static bool has_room(struct stations *s, struct address peer)
{
    u32 n = 0;
    for (const struct station *st = s->anonymous; st && n < ANONYMOUS_HOST; st = st->next)
        n += address_same_host(st->peer, peer);
    return s->anonymous_n < ANONYMOUS_MAX && n < ANONYMOUS_HOST;
}

static void *opened(void *door, struct tcp_link *link, struct address peer)
{
    struct stations *s = door;
    if (!has_room(s, peer)) {
        count(s, DROP_STATION_MANY);
        return NULL;
    }
    struct station *st = boot_take(sizeof *st);
    *st = (struct station){ .of = s, .tcp = link, .peer = peer, .since = env_now(s->env), .gateway = MAC_NONE,
                            .tls = s->tls ? tls_link(s->tls) : NULL };
    s->anonymous_n++;
    link_in(st);
    return st;
}

enum err stations_receive(struct stations *s)
{
    s->env->counted[COUNT_BATCHED] += tcp_turn(s->tcp);
    enum err err = flow_commit(s->env);
    answer_waiting(s, err);
    sweep(s);
    return err;
}

/* ------------------------------------------------------------------ downlinks */

static bool reaches(void *of, u64 eui)
{
    struct stations *s = of;
    u32 gateway = mac_gateway(s->env->mac, eui);
    return gateway != MAC_NONE && *place_of(s, gateway) != NULL;
}

static void read_context(struct station_down *out, const struct transmission *t)
{
    struct cur c = cur_of((struct bytes){ t->context, t->context_n });
    out->xtime = (i64)cur_u64le(&c);
    out->rctx  = (i64)cur_u64le(&c);
}

/* Both windows at once: Station falls back to RX2 by itself, so the frame must not go to another gateway before
 * its answer can have come. */
static enum road_says send(void *of, const struct road_send *what, struct mono *answer_by, struct str *why)
{
    struct stations *s = of;
    const struct transmission *t = &what->downlink->tries[what->from];
    struct station *st = *place_of(s, mac_gateway(s->env->mac, t->gateway));
    struct station_down down = { .dev_eui = what->downlink->dev_eui, .diid = what->token, .phy = what->downlink->phy,
                                 .now_us = env_clock(s->env).us };
    struct mono end = { 0 };
    u32 rx1_us = 0;
    *why = S("the gateway's connection is gone");
    if (!st || t->context_n != 16)
        return ROAD_GONE;
    read_context(&down, t);
    for (u32 i = 0; i < what->n; i++) {
        const struct transmission *one = &t[i];
        *(one->window == 1 ? &down.rx1 : &down.rx2) = (struct station_window){ true, one->dr, one->freq_hz };
        rx1_us = one->delay_us - (one->window == 2 ? LORA_RX2_AFTER_RX1_S * (u32)US_PER_S : 0);
        end    = (struct mono){ MAX(end.us, mono_after(one->at, one->airtime_us).us) };
    }
    down.rx_delay_s = (u8)(rx1_us / US_PER_S);
    arena_reset(&s->event);
    if (!put_text(st, station_down_write(&down, &s->event)))
        return ROAD_GONE;
    st->sent[st->sent_n++ % SENT_MAX] = (struct sent){ what->token, down.xtime + rx1_us };
    *answer_by = mono_after(end, OVER_US);
    return ROAD_SENT;
}

/* ------------------------------------------------------------------ time passes */

static bool watch_anonymous(struct stations *s, struct mono now)
{
    bool ended = false;
    for (struct station *next, *st = s->anonymous; st; st = next) {
        next = st->next;
        if (mono_since(now, st->since) < HELLO_US && !st->doomed)
            continue;
        if (!st->doomed)
            count(s, st->tls && !tls_is_up(st->tls) ? DROP_STATION_TLS : DROP_STATION_SILENT);
        st->doomed = ended = true;
        hang_up(st);
    }
    return ended;
}

static bool watch_links(struct stations *s, struct mono now)
{
    bool ended = false;
    for (struct station *next, *st = s->links; st; st = next) {
        next = st->next;
        if (mono_since(now, st->heard) >= SILENT_US) {
            count(s, DROP_STATION_SILENT);
            st->doomed = true;
        } else if (mono_since(now, st->pinged) >= PING_US) {
            st->pinged = now;
            (void)put(st, ws_frame_write(WS_PING, (struct bytes){ NULL, 0 }, &s->event));
        }
        ended |= st->doomed;
        if (st->doomed)
            hang_up(st);
    }
    return ended;
}

bool stations_tick(struct stations *s)
{
    struct mono now = env_now(s->env);
    if (mono_since(now, s->watched) < WATCH_US)
        return false;
    s->watched = now;
    arena_reset(&s->event);
    bool anonymous = watch_anonymous(s, now), links = watch_links(s, now);
    sweep(s);
    return anonymous || links;
}

/* ------------------------------------------------------------------ start and stop */

struct stations *stations_open(struct env *env, struct downs *downs, const struct stations_settings *set, struct str *why,
                               struct arena *arena)
{
    struct stations *s = boot_take(sizeof *s);
    struct tcp_calls calls = { opened, received, closed, s };
    s->env   = env;
    s->downs = downs;
    s->set   = *set;
    if (set->certificate)
        s->tls = tls_open(set->certificate, set->key, why, arena);
    if (!set->certificate && !address_is_loopback(set->at))
        *why = S("lns: without lns.crt and lns.key in the data folder only an address of this machine is served");
    else if (s->tls || !set->certificate)
        s->tcp = tcp_open(set->at, &calls, LINKS_MAX, why, arena);
    if (!s->tcp) {
        if (s->tls)
            tls_close(s->tls);
        boot_release(s);
        return NULL;
    }
    s->event   = arena_make(1 << 16);
    s->answers = arena_make(1 << 14);
    downs_road(downs, &(struct road){ .of = s, .both_windows = true, .reaches = reaches, .send = send });
    return s;
}

int stations_fd(const struct stations *s)
{
    return tcp_fd(s->tcp);
}

struct address stations_address(const struct stations *s)
{
    return tcp_address(s->tcp);
}

static void forget_all(struct station *st)
{
    while (st) {
        struct station *next = st->next;
        if (st->tls)
            tls_forget(st->tls);
        boot_release(st->in);
        boot_release(st->parts);
        boot_release(st);
        st = next;
    }
}

void stations_close(struct stations *s)
{
    tcp_close(s->tcp);
    forget_all(s->anonymous);
    forget_all(s->links);
    forget_all(s->gone);
    boot_release(s->by_gateway);
    boot_release(s->clocks);
    arena_free(&s->event);
    arena_free(&s->answers);
    if (s->tls)
        tls_close(s->tls);
    boot_release(s);
}
