// SPDX-License-Identifier: Apache-2.0
#include "edge/gateways.h"

#include "edge/capture.h"
#include "edge/downs.h"
#include "edge/heard.h"
#include "flow/flow.h"
#include "mac/mac.h"
#include "wire/semtech.h"

#define SILENT_US        (60 * US_PER_S)     /* an address this long silent may be replaced by another */
#define PATH_US          (90 * US_PER_S)     /* a downlink path without PULL_DATA is gone */
#define JUMP_US          (30 * US_PER_S)     /* a concentrator's clock this far from where it should be began anew */
#define KEPT_US          (2 * US_PER_S)      /* told so much later than frames before it, a frame was kept, */
#define KEPT_AGREE_US    (2 * US_PER_S)      /* if both clocks of its gateway say so, this far apart at most */
#define ANSWER_US        (1 * US_PER_S)      /* a TX_ACK later than this does not come */
#define DATAGRAMS_PER_S  2000                /* share of one gateway */

struct link {
    struct address pull, push;
    struct mono pull_at, push_at;
    bool has_pull, has_push;
    u8   version;
    struct share share;                       /* of datagrams */
    u32  tmst_us;                             /* the concentrator's clock at its last frame that was told at once, */
    i64  wall_us;                             /* the gateway's own clock there, or 0: it has none, */
    struct mono tmst_at;                      /* and ours */
    bool has_tmst;
};

struct gateways {
    struct env *env;
    struct udp *udp;
    struct capture *capture;
    struct link *links;  u32 links_n;
    struct downs *downs;
    struct arena datagram;                    /* JSON and frames of one datagram */
    struct datagram in[UDP_BATCH], out[UDP_BATCH];
    u8  acks[UDP_BATCH][4];
    size_t out_n;
};

/* The road for downlinks; below. */
static bool reaches(void *of, u64 gateway);
static enum road_says send(void *of, const struct road_send *what, struct mono *answer_by, struct str *why);

struct gateways *gateways_make(struct env *env, struct udp *udp)
{
    struct gateways *g = boot_take(sizeof *g);
    g->env      = env;
    g->udp      = udp;
    g->downs    = downs_make(env);
    g->datagram = arena_make(1 << 20);
    downs_road(g->downs, &(struct road){ .of = g, .reaches = reaches, .send = send });
    return g;
}

void gateways_capture(struct gateways *g, struct capture *capture)
{
    g->capture = capture;
}

void gateways_close(struct gateways *g)
{
    arena_free(&g->datagram);
    boot_release(g->links);
    downs_close(g->downs);
    boot_release(g);
}

static struct link *link_of(struct gateways *g, u32 gateway)
{
    if (gateway >= g->links_n) {
        u32 n    = mac_gateway_count(g->env->mac);
        g->links = boot_grow(g->links, g->links_n * sizeof *g->links, n * sizeof *g->links);
        g->links_n = n;
    }
    return &g->links[gateway];
}

/* ------------------------------------------------------------------ who speaks */

/* A new port of the same host is a NAT at work; a new host waits until the old one has been silent. */
static bool source_is_its_own(struct env *env, const struct link *l, struct address peer)
{
    struct mono now = env_now(env);
    bool pull_alive = l->has_pull && mono_since(now, l->pull_at) < SILENT_US;
    bool push_alive = l->has_push && mono_since(now, l->push_at) < SILENT_US;
    return !((pull_alive && !address_same_host(l->pull, peer)) || (push_alive && !address_same_host(l->push, peer)));
}

static enum drop drop_of(enum semtech_fault fault)
{
    static const enum drop drops[] = {
        [SEMTECH_FINE]       = PASS,           [SEMTECH_SHORT]  = DROP_SHORT_DATAGRAM,
        [SEMTECH_VERSION]    = DROP_UDP_VERSION, [SEMTECH_KIND] = DROP_UDP_KIND,
        [SEMTECH_FIELD]      = DROP_RXPK_FIELD, [SEMTECH_BASE64] = DROP_BASE64,
        [SEMTECH_SIZE]       = DROP_SIZE_DIFFERS, [SEMTECH_MODULATION] = DROP_MODULATION,
        [SEMTECH_LONG]       = DROP_TOO_LONG,
    };
    return drops[fault];
}

/* ------------------------------------------------------------------ PUSH_DATA */

static void to_frame(struct frame *f, const struct semtech_rx *rx, u64 eui, struct env *env)
{
    *f = (struct frame){ .phy      = rx->phy,
                         .received = env_clock(env),
                         .heard    = env_now(env),
                         .radio    = { .gateway    = eui,
                                       .tmst_us    = rx->tmst_us,
                                       .freq_hz    = rx->freq_hz,
                                       .bw_hz      = rx->bw_hz,
                                       .bitrate    = rx->bitrate,
                                       .rssi_dbm   = rx->rssi_dbm,
                                       .snr_cb     = rx->snr_cb,
                                       .sf         = rx->sf,
                                       .antenna    = rx->antenna,
                                       .rf_chain   = rx->rf_chain,
                                       .gateway_us = rx->gateway_us } };
}

/*
 * How long a gateway kept a frame before it told us (promises R11): how much longer it was under way than
 * the last that came at once. Each of its clocks may be wrong, set, or begun anew, and its downlinks hang
 * on the answer, so both must say the same, the concentrator's within its turn of 71 minutes. 0: it was not
 * kept, or nobody can know: a gateway without a clock, or before its first frame of now.
 */
static i64 kept_us(const struct link *l, const struct radio *r, struct mono now)
{
    i64 by_wall = mono_since(now, l->tmst_at) - (r->gateway_us - l->wall_us);
    i32 differ  = (i32)((u32)mono_since(now, l->tmst_at) - (r->tmst_us - l->tmst_us) - (u32)by_wall);
    bool known  = l->has_tmst && l->wall_us != 0 && r->gateway_us != 0;
    return known && by_wall > KEPT_US && differ < KEPT_AGREE_US && differ > -KEPT_AGREE_US ? by_wall : 0;
}

/* A concentrator that restarts counts from another number: windows on its old clock mean nothing. Frames
 * may come a little late or out of order, so only a large difference is a jump. Unless the gateway has a clock
 * of its own, and that says that the frame is of now, it may as well be telling what it had kept: then others
 * go first, and if there are none it is asked all the same. One that did restart refuses by itself. */
static void watch_clock(struct gateways *g, struct link *l, u64 eui, const struct radio *r)
{
    struct mono now = env_now(g->env);
    u32 expected = l->tmst_us + (u32)mono_since(now, l->tmst_at);
    i32 off = (i32)(r->tmst_us - expected);
    i64 by_wall = mono_since(now, l->tmst_at) - (r->gateway_us - l->wall_us);
    bool jumped = l->has_tmst && (off > JUMP_US || off < -JUMP_US);
    bool sure   = l->wall_us != 0 && r->gateway_us != 0 && by_wall < KEPT_US && by_wall > -KEPT_US;
    l->tmst_us  = r->tmst_us;
    l->wall_us  = r->gateway_us;
    l->tmst_at  = now;
    l->has_tmst = true;
    if (jumped && sure)                                /* its RX2 is on the old clock too */
        downs_void(g->downs, eui, S("the gateway's clock began anew: it has restarted"));
    else if (jumped)
        downs_doubt(g->downs, eui);
}

static void take_rxpk(struct gateways *g, const struct json *rxpk, const struct semtech_message *m, u32 gateway)
{
    struct semtech_rx rx;
    struct frame frame;
    enum semtech_fault fault = semtech_rx_read(&rx, rxpk, &g->datagram);
    bool bad_crc = fault == SEMTECH_FINE && rx.crc == SEMTECH_CRC_BAD;
    u32  air_us  = fault == SEMTECH_FINE && rx.sf ? lora_airtime_us(rx.sf, rx.bw_hz, rx.phy.n, true) : 0;
    mac_gateway_heard(g->env, gateway, S(""), true, !bad_crc && fault == SEMTECH_FINE, air_us);
    if (fault != SEMTECH_FINE || bad_crc) {
        g->env->dropped[bad_crc ? DROP_BAD_CRC : drop_of(fault)]++;
        return;
    }
    if (!heard_in_region(mac_gateway_region(g->env->mac, gateway), rx.freq_hz)) {
        g->env->dropped[DROP_FREQUENCY]++;
        return;
    }
    to_frame(&frame, &rx, m->eui, g->env);
    frame.kept_us = kept_us(link_of(g, gateway), &frame.radio, frame.heard);
    if (frame.kept_us == 0)
        watch_clock(g, link_of(g, gateway), m->eui, &frame.radio);
    (void)flow_uplink(g->env, &frame);
}

/* A bad object costs itself only; a text that is no JSON costs the datagram. */
static enum drop take_push(struct gateways *g, const struct semtech_message *m, u32 gateway)
{
    const struct json *doc;
    u32 n = 0;
    if (json_read(&doc, m->json, &g->datagram, JSON_LENIENT, NULL) != OK || !json_is(doc, JSON_OBJECT))
        return DROP_JSON;
    const struct json *rxpk = json_get(doc, S("rxpk"));
    if (rxpk && !json_is(rxpk, JSON_ARRAY))
        return DROP_RXPK_FIELD;
    JSON_EACH (one, rxpk) {
        if (++n > SEMTECH_RXPK_MAX)
            return DROP_RXPK_TOO_MANY;
        take_rxpk(g, one, m, gateway);
    }
    return PASS;
}

/* ------------------------------------------------------------------ TX_ACK */

/* The token names the request; the EUI in the datagram must be the one that was asked. */
static enum drop take_tx_ack(struct gateways *g, const struct semtech_message *m)
{
    struct str error;
    if (!semtech_ack_error(&error, m, &g->datagram))
        return DROP_JSON;
    struct str words = error.n > 0 ? str_fmt(&g->datagram, "the gateway refused: %.*s", STR(error)) : S("");
    return downs_outcome(g->downs, m->eui, m->token, error.n > 0 ? OUTCOME_REFUSED : OUTCOME_TAKEN, words) ? PASS : DROP_TXACK;
}

/* ------------------------------------------------------------------ all datagrams */

static void acknowledge(struct gateways *g, const struct semtech_message *m, struct address peer)
{
    u8 *ack = g->acks[g->out_n];
    g->out[g->out_n++] = (struct datagram){ peer, semtech_ack(ack, m) };
}

static enum drop take(struct gateways *g, const struct datagram *d)
{
    struct semtech_message m;
    struct env *env = g->env;
    enum semtech_fault fault = semtech_parse(&m, d->bytes);
    if (fault != SEMTECH_FINE)
        return drop_of(fault);
    u32 gateway = mac_gateway(env->mac, m.eui);
    if (gateway == MAC_NONE) {
        mac_stranger(env, m.eui, address_str(&g->datagram, d->peer));
        return DROP_UNKNOWN_GATEWAY;
    }
    struct link *l = link_of(g, gateway);
    if (!source_is_its_own(env, l, d->peer))           /* before the share: a stranger must not use it up */
        return DROP_FOREIGN_SOURCE;
    if (!share_take(&l->share, env_now(env), DATAGRAMS_PER_S))
        return DROP_GATEWAY_FLOOD;
    l->version = m.version;
    if (m.kind == SEMTECH_TX_ACK)
        return take_tx_ack(g, &m);
    bool pull = m.kind == SEMTECH_PULL_DATA;
    bool moved = pull && (!l->has_pull || !address_eq(l->pull, d->peer));
    mac_gateway_heard(env, gateway, moved ? address_str(&g->datagram, d->peer) : S(""), false, false, 0);
    if (pull) {
        l->pull     = d->peer;
        l->pull_at  = env_now(env);
        l->has_pull = true;
    } else {
        l->push     = d->peer;
        l->push_at  = env_now(env);
        l->has_push = true;
    }
    enum drop drop = pull ? PASS : take_push(g, &m, gateway);
    if (drop == PASS)
        acknowledge(g, &m, d->peer);
    return drop;
}

static void capture(struct gateways *g, const struct datagram *d)
{
    capture_put(g->capture, &(struct capture_record){ .kind = CAPTURE_DATAGRAM, .mono = env_now(g->env),
                                                      .wall = env_clock(g->env), .peer = d->peer, .bytes = d->bytes });
}

enum err gateways_receive(struct gateways *g)
{
    struct env *env = g->env;
    size_t n = udp_receive(g->udp, g->in);
    g->out_n = 0;
    for (size_t i = 0; i < n && env->failed == OK; i++) {
        arena_reset(&g->datagram);
        if (g->capture)
            capture(g, &g->in[i]);
        enum drop drop = take(g, &g->in[i]);
        if (drop != PASS)
            env->dropped[drop]++;
    }
    env->counted[COUNT_BATCHED] += n;
    enum err err = flow_commit(env);
    if (err == OK)
        (void)udp_send(g->udp, g->out, g->out_n);
    else
        env->dropped[DROP_STORE] += g->out_n;
    return err;
}

/* ------------------------------------------------------------------ downlinks */

static bool reaches(void *of, u64 eui)
{
    struct gateways *g = of;
    u32 gateway = mac_gateway(g->env->mac, eui);
    return gateway != MAC_NONE && link_of(g, gateway)->has_pull;
}

static enum road_says send(void *of, const struct road_send *what, struct mono *answer_by, struct str *why)
{
    struct gateways *g = of;
    struct env *env = g->env;
    const struct transmission *t = &what->downlink->tries[what->from];
    const struct link *l = link_of(g, mac_gateway(env->mac, t->gateway));
    if (mono_since(env_now(env), l->pull_at) > PATH_US) {
        *why = S("the gateway has no open path for downlinks (no PULL_DATA)");
        return ROAD_GONE;
    }
    struct semtech_tx tx = { .tmst_us   = t->tmst_us,
                             .freq_hz   = t->freq_hz,
                             .bw_hz     = t->bw_hz,
                             .bitrate   = t->bitrate,
                             .power_dbm = t->power_dbm,
                             .sf        = t->sf,
                             .rf_chain  = t->rf_chain,
                             .phy       = what->downlink->phy };
    arena_reset(&g->datagram);
    struct datagram d = { l->pull, semtech_tx_write(&tx, l->version, what->token, &g->datagram) };
    (void)udp_send(g->udp, &d, 1);
    *answer_by = mono_after(env_now(env), ANSWER_US);
    *why = S("sent to a gateway of protocol 1, which does not answer");
    return l->version == 1 ? ROAD_DONE : ROAD_SENT;            /* version 1 has no TX_ACK */
}

struct downs *gateways_downs(struct gateways *g)
{
    return g->downs;
}

void gateways_send(struct gateways *g, const struct downlink *downlink)
{
    downs_add(g->downs, downlink);
}

struct mono gateways_due(const struct gateways *g)
{
    return downs_due(g->downs);
}

struct mono gateways_tick(struct gateways *g)
{
    return downs_tick(g->downs);
}
