// SPDX-License-Identifier: Apache-2.0
#include "edge/mqtt.h"

#include "edge/downs.h"
#include "edge/heard.h"
#include "flow/flow.h"
#include "mac/mac.h"
#include "wire/gwpb.h"
#include "wire/mqtt.h"

#include <math.h>

#define KEEP_ALIVE_S     30
#define QUIET_US         (15 * US_PER_S)     /* so long without a word, and the broker is asked whether it lives … */
#define PONG_US          (10 * US_PER_S)     /* … and has so long to say so */
#define OPEN_US          (15 * US_PER_S)     /* from the first packet to the last subscription */
#define WAIT_LEAST_US    (1 * US_PER_S)      /* between two attempts, doubled up to … */
#define WAIT_MOST_US     (60 * US_PER_S)
#define GOOD_US          (30 * US_PER_S)     /* a connection that lived so long starts from the least again */
#define IN_ROOM          (256 * 1024)
#define OUT_ROOM         (64 * 1024)
#define BATCH            2048                /* messages of one batch */
#define MESSAGES_PER_S   2000                /* share of one gateway */
#define PATH_US          (600 * US_PER_S)    /* a gateway this long silent here is reached by another road, or none */
#define ANSWER_US        (2 * US_PER_S)      /* behind the end of the last window: no DownlinkTxAck comes any more */
#define KEPT_US          (2 * US_PER_S)      /* told so much later than others, a frame was kept; see kept_us */
#define KEPT_AGREE_US    (2 * US_PER_S)
#define SUBSCRIPTION     1                   /* its packet's number */

enum state { RESTING, OPENING, GREETING, SUBSCRIBING, UP };

/* One gateway. */
struct link {
    struct mono heard_at, at;               /* at: when the frame of the next two came, which was told at once */
    u32  tmst_us;                            /* its concentrator's clock there, */
    i64  wall_us;                            /* and its own, or 0: it has none */
    struct share share;
    u8   prefix;
    bool heard, json, gone, has_clocks;
};

struct mqtt {
    struct env *env;
    struct downs *downs;
    struct mqtt_settings set;
    struct mqtt_way way;
    enum state state;
    struct mono due;                         /* RESTING: the next attempt; until UP: the last moment */
    struct mono up_at, said_at, heard_at, pinged_at;
    bool pinged;
    u32  failures;
    u16  run;                                /* upper half of our downlinks' numbers: those of a life before are not ours */
    struct wall gap_from, gap_until;         /* nobody listened here: what the broker kept is from then */
    struct link *links;  u32 links_n;
    u8   in[IN_ROOM];  size_t in_n;
    u64  skip;                               /* of a message that is too long */
    u8   out[OUT_ROOM];  size_t out_n;
    u16  acks[BATCH];  size_t acks_n, taken;
    struct arena message;
};

static bool reaches(void *of, u64 gateway);
static enum road_says send(void *of, const struct road_send *what, struct mono *answer_by, struct str *why);

/* ------------------------------------------------------------------ make, close */

bool mqtt_prefixes_read(struct mqtt_settings *out, struct str words, struct str *why, struct arena *arena)
{
    out->prefixes_n = 0;
    for (struct str rest = str_trim(words); rest.n > 0; rest = str_trim(rest)) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != ',' && rest.p[n] != ' ')
            n++;
        struct str one = { rest.p, n };
        rest = (struct str){ rest.p + n + (n < rest.n), rest.n - n - (n < rest.n) };
        bool odd = n > 128 || !str_is_utf8(one) || str_find(one, S("+")) >= 0 || str_find(one, S("#")) >= 0 ||
                   str_starts(one, S("/")) || str_starts(one, S("$")) || str_ends(one, S("/"));
        if (odd || out->prefixes_n == MQTT_PREFIXES_MAX) {
            *why = str_fmt(arena, odd ? "%.*s: a prefix of topics has no + # $ and no / at its ends"
                                      : "%.*s: one prefix more than there may be", STR(one));
            return false;
        }
        if (n > 0)
            out->prefixes[out->prefixes_n++] = one;
    }
    if (out->prefixes_n == 0)
        out->prefixes[out->prefixes_n++] = S("");
    return true;
}

struct mqtt *mqtt_make(struct env *env, struct downs *downs, const struct mqtt_settings *set, const struct mqtt_way *way)
{
    struct mqtt *m = boot_take(sizeof *m);
    m->env     = env;
    m->downs   = downs;
    m->set     = *set;
    m->way     = *way;
    m->due     = env_now(env);
    m->message = arena_make(1 << 16);
    m->gap_from = (struct wall){ env->last_id };          /* an event's id is its time: the last that was heard before */
    env->random(env->world, (u8 *)&m->run, sizeof m->run);
    downs_road(downs, &(struct road){ .of = m, .both_windows = true, .reaches = reaches, .send = send });
    return m;
}

static void flush(struct mqtt *m)
{
    size_t n = m->out_n > 0 ? m->way.write(m->way.of, (struct bytes){ m->out, m->out_n }) : 0;
    if (n == 0)
        return;
    m->out_n -= n;
    memmove(m->out, m->out + n, m->out_n);
    m->said_at = env_now(m->env);
}

void mqtt_close(struct mqtt *m)
{
    if (m->state == UP && m->out_n + 2 <= OUT_ROOM) {
        struct buf b = buf_of(m->out + m->out_n, OUT_ROOM - m->out_n);
        mqtt_short_write(&b, MQTT_DISCONNECT);
        m->out_n += b.n;
        flush(m);
    }
    m->way.stop(m->way.of);
    arena_free(&m->message);
    boot_release(m->links);
    boot_release(m);
}

bool mqtt_is_up(const struct mqtt *m)
{
    return m->state == UP;
}

/* ------------------------------------------------------------------ the connection */

/* Half of the wait is chance, so that a city of programs does not knock at a broker all at once. */
static i64 wait_us(struct mqtt *m)
{
    u32 chance = 0;
    i64 most = WAIT_LEAST_US << MIN(m->failures, 10u);
    most = MIN(most, WAIT_MOST_US);
    m->env->random(m->env->world, (u8 *)&chance, sizeof chance);
    return most / 2 + (i64)(chance % 1000) * most / 2000;
}

static void lose(struct mqtt *m, struct str why)
{
    struct mono now = env_now(m->env);
    if (m->state == UP) {
        m->gap_from = env_clock(m->env);
        if (mono_since(now, m->up_at) >= GOOD_US)
            m->failures = 0;
    }
    i64 wait = wait_us(m);
    m->failures++;
    m->state = RESTING;
    m->due   = mono_after(now, wait);
    m->in_n  = m->out_n = m->acks_n = 0;
    m->skip  = 0;
    m->way.stop(m->way.of);
    log_line(LOG_WARN, "mqtt lost why=\"%.*s\" again_ms=%lld", STR(why), (long long)(wait / US_PER_MS));
}

/* Room for a packet, or nothing: a broker that reads so little is none. */
static struct buf room(struct mqtt *m)
{
    return buf_of(m->out + m->out_n, OUT_ROOM - m->out_n);
}

static bool put(struct mqtt *m, const struct buf *b)
{
    if (b->bad)
        return false;
    m->out_n += b->n;
    return true;
}

static void greet(struct mqtt *m)
{
    struct buf b = room(m);
    mqtt_connect_write(&b, &(struct mqtt_connect){ .client = m->set.client, .user = m->set.user, .password = m->set.password,
                                                   .has_user = m->set.has_user, .keep_alive_s = KEEP_ALIVE_S });
    (void)put(m, &b);
    m->state = GREETING;
    m->said_at = m->heard_at = env_now(m->env);
    m->pinged  = false;
}

static void subscribe(struct mqtt *m)
{
    struct str filters[2 * MQTT_PREFIXES_MAX];
    struct buf b = room(m);
    u32 n = 0;
    for (u32 i = 0; i < m->set.prefixes_n; i++) {
        struct str p = m->set.prefixes[i];
        const char *slash = p.n > 0 ? "/" : "";
        filters[n++] = str_fmt(&m->message, "%.*s%sgateway/+/event/+", STR(p), slash);
        filters[n++] = str_fmt(&m->message, "%.*s%sgateway/+/state/+", STR(p), slash);
    }
    mqtt_subscribe_write(&b, SUBSCRIPTION, filters, n);
    (void)put(m, &b);
    m->state = SUBSCRIBING;
}

static bool welcome(struct mqtt *m, const struct mqtt_packet *p, struct str *why)
{
    if (m->state != GREETING) {
        *why = S("the broker welcomed us twice");
        return false;
    }
    if (p->code != 0) {
        *why = str_fmt(&m->message, "the broker let us not in: %s", mqtt_code_words(p->code));
        return false;
    }
    m->gap_until = p->session ? env_clock(m->env) : m->gap_from;          /* a new session kept nothing */
    log_line(LOG_INFO, "mqtt session=%s", p->session ? "kept" : "new");
    subscribe(m);
    return true;
}

static bool subscribed(struct mqtt *m, const struct mqtt_packet *p, struct str *why)
{
    bool ours = m->state == SUBSCRIBING && p->id == SUBSCRIPTION && p->payload.n == 2 * m->set.prefixes_n;
    *why = S("the broker answered a subscription that was not asked for");
    for (size_t i = 0; ours && i < p->payload.n; i++)
        if (p->payload.p[i] > 1) {
            *why = S("the broker refused a subscription");
            ours = false;
        }
    if (!ours)
        return false;
    m->state = UP;
    m->up_at = env_now(m->env);
    log_line(LOG_INFO, "mqtt up");
    return true;
}

/* ------------------------------------------------------------------ frames */

static struct link *link_of(struct mqtt *m, u32 gateway)
{
    if (gateway >= m->links_n) {
        u32 n    = mac_gateway_count(m->env->mac);
        m->links = boot_grow(m->links, m->links_n * sizeof *m->links, n * sizeof *m->links);
        m->links_n = n;
    }
    return &m->links[gateway];
}

/*
 * So long a frame was under way, beyond what is usual (promises R11). Two witnesses are needed, for each may be wrong:
 * the gateway's own clock, and either its concentrator's clock, which says as much, or the time in which nobody
 * listened here and the broker kept what came.
 */
static i64 kept_us(const struct mqtt *m, const struct link *l, const struct radio *r, bool has_tmst)
{
    struct mono now = env_now(m->env);
    i64 wall = env_clock(m->env).us;
    if (r->gateway_us == 0)
        return 0;
    if (l->has_clocks && l->wall_us != 0 && has_tmst) {
        i64 by_wall = mono_since(now, l->at) - (r->gateway_us - l->wall_us);
        i32 differ  = (i32)((u32)mono_since(now, l->at) - (r->tmst_us - l->tmst_us) - (u32)by_wall);
        return by_wall > KEPT_US && differ < KEPT_AGREE_US && differ > -KEPT_AGREE_US ? by_wall : 0;
    }
    bool in_gap = r->gateway_us >= m->gap_from.us && r->gateway_us < m->gap_until.us;
    return in_gap && wall - r->gateway_us > KEPT_US ? wall - r->gateway_us : 0;
}

static void note_clocks(const struct mqtt *m, struct link *l, const struct radio *r, bool has_tmst)
{
    l->has_clocks = has_tmst;
    l->tmst_us    = r->tmst_us;
    l->wall_us    = r->gateway_us;
    l->at         = env_now(m->env);
}

/*
 * What a gateway calls context is the clock of its concentrator, in microseconds: alone (gateway-bridge on UDP,
 * mqtt-forwarder, concentratord) or behind the radio context of Basics Station (gateway-bridge). Others keep their secret.
 * Its board stands in front of ours, for an answer has to name it.
 */
static bool read_context(struct radio *r, const struct gwpb_uplink *u, struct mono now)
{
    bool has_tmst = u->context.n == 4 || u->context.n == 16;
    r->tmst_us = has_tmst ? get_u32be(u->context.p + u->context.n - 4) : (u32)now.us;
    if (u->context.n > 0 && u->context.n < RADIO_CONTEXT) {
        r->context[0] = (u8)u->board;
        memcpy(r->context + 1, u->context.p, u->context.n);
        r->context_n = (u8)(u->context.n + 1);
    }
    return has_tmst;
}

static enum drop is_sound(const struct gwpb_uplink *u)
{
    bool lora = u->modulation == GWPB_LORA, fsk = u->modulation == GWPB_FSK;
    if (u->crc == GWPB_CRC_BAD)
        return DROP_BAD_CRC;
    if (!(lora && u->sf >= 5 && u->sf <= 12 && u->bw_hz >= 7800 && u->bw_hz <= 1625000) &&
        !(fsk && u->bitrate > 0 && u->bitrate <= 1000000))
        return DROP_MODULATION;
    if (u->phy.n > LORA_AIR_MAX)
        return DROP_TOO_LONG;
    bool heard = u->rssi_dbm > -32000 && u->rssi_dbm < 32000 && (fsk || fabs(u->snr_db) < 3200);
    bool placed = u->board < 256 && u->antenna < 256 && u->crc <= GWPB_CRC_OK;
    return heard && placed ? PASS : DROP_MQTT_MESSAGE;
}

static void to_frame(struct frame *f, const struct gwpb_uplink *u, struct env *env)
{
    bool lora = u->modulation == GWPB_LORA;
    *f = (struct frame){ .phy      = u->phy,
                         .received = env_clock(env),
                         .heard    = env_now(env),
                         .radio    = { .gateway    = u->eui,
                                       .freq_hz    = u->freq_hz,
                                       .bw_hz      = lora ? u->bw_hz : 0,
                                       .bitrate    = lora ? 0 : u->bitrate,
                                       .rssi_dbm   = (i16)u->rssi_dbm,
                                       .snr_cb     = lora ? (i16)lround(u->snr_db * 10) : 0,
                                       .sf         = lora ? (u8)u->sf : 0,
                                       .antenna    = (u8)u->antenna,
                                       .gateway_us = u->gateway_us } };
}

/* Its refusals are counted where they are found: PASS is all that is left to say. */
static enum drop take_up(struct mqtt *m, const struct gwpb *message, u32 gateway)
{
    const struct gwpb_uplink *u = &message->uplink;
    struct frame frame;
    enum drop drop = is_sound(u);
    u32 air_us = drop == PASS && u->modulation == GWPB_LORA ? lora_airtime_us((u8)u->sf, u->bw_hz, u->phy.n, true) : 0;
    mac_gateway_heard(m->env, gateway, S(""), true, drop == PASS, air_us);
    if (drop != PASS)
        return drop;
    if (!heard_in_region(mac_gateway_region(m->env->mac, gateway), u->freq_hz))
        return DROP_FREQUENCY;
    to_frame(&frame, u, m->env);
    struct link *l = link_of(m, gateway);
    bool has_tmst = read_context(&frame.radio, u, frame.heard);
    frame.kept_us = kept_us(m, l, &frame.radio, has_tmst);
    if (frame.kept_us == 0)
        note_clocks(m, l, &frame.radio, has_tmst);
    (void)flow_uplink(m->env, &frame);
    return PASS;
}

/* A sign of life and no more. */
static enum drop take_sign(struct mqtt *m, const struct gwpb *message, u32 gateway)
{
    (void)message;
    mac_gateway_heard(m->env, gateway, S(""), false, false, 0);
    return PASS;
}

/* An item each for what we sent: one that was taken, or why none was. */
static enum drop take_ack(struct mqtt *m, const struct gwpb *message, u32 gateway)
{
    const struct gwpb_ack *a = &message->ack;
    struct str words = S("the gateway took none of its windows");
    bool taken = false;
    mac_gateway_heard(m->env, gateway, S(""), false, false, 0);
    for (u32 i = 0; i < a->items_n && !taken; i++) {
        taken = a->items[i].status == GWPB_TAKEN;
        if (taken)
            words = i == 0 ? S("") : str_fmt(&m->message, "in the next of its windows, for: %.*s", STR(words));
        else if (a->items[i].status != GWPB_IGNORED)
            words = str_fmt(&m->message, "the gateway refused: %.*s", STR(gwpb_status_words(a->items[i].status)));
    }
    bool asked = a->id >> 16 == m->run &&
                 downs_outcome(m->downs, a->eui, (u16)a->id, taken ? OUTCOME_EMITTED : OUTCOME_REFUSED, words);
    return asked ? PASS : DROP_TXACK;
}

/* ------------------------------------------------------------------ topics */

static const struct { const char *tail; enum gwpb_kind kind; enum drop (*take)(struct mqtt *, const struct gwpb *, u32); }
topics[] = {
    { "/event/up",    GWPB_UPLINK, take_up },
    { "/event/stats", GWPB_STATS,  take_sign },
    { "/event/ack",   GWPB_ACK,    take_ack },
    { "/state/conn",  GWPB_CONN,   take_sign },
};

/* PREFIX/gateway/EUI and what follows. */
static bool read_topic(const struct mqtt *m, struct str topic, u32 *prefix, u64 *eui, struct str *tail)
{
    static const char word[] = "gateway/";
    for (u32 i = 0; i < m->set.prefixes_n; i++) {
        struct str p = m->set.prefixes[i];
        size_t at = p.n > 0 ? p.n + 1 : 0, hex = at + sizeof word - 1;
        u8 bytes[8];
        size_t n;
        if (topic.n < hex + 16 || !str_starts(topic, p) || (p.n > 0 && topic.p[p.n] != '/') ||
            memcmp(topic.p + at, word, sizeof word - 1) != 0 ||
            !hex_read(bytes, sizeof bytes, &n, (struct str){ topic.p + hex, 16 }))
            continue;
        *prefix = i;
        *eui    = get_u64be(bytes);
        *tail   = (struct str){ topic.p + hex + 16, topic.n - hex - 16 };
        return *eui != 0;
    }
    return false;
}

static u64 eui_in(const struct gwpb *message)
{
    switch (message->kind) {
    case GWPB_UPLINK: return message->uplink.eui;
    case GWPB_ACK:    return message->ack.eui;
    case GWPB_STATS:  return message->stats.eui;
    case GWPB_CONN:   return message->conn.eui;
    default:          return 0;
    }
}

static void note_way(struct mqtt *m, u32 gateway, u32 prefix, bool json)
{
    struct link *l = link_of(m, gateway);
    if (!l->heard || l->prefix != prefix)
        mac_gateway_heard(m->env, gateway, str_fmt(&m->message, "mqtt %.*s", STR(m->set.prefixes[prefix])), false, false, 0);
    l->heard    = true;
    l->prefix   = (u8)prefix;
    l->json     = json;
    l->heard_at = env_now(m->env);
}

/* What is retained is what somebody said long ago: it proves nothing of now. */
static enum drop take(struct mqtt *m, const struct mqtt_packet *p)
{
    struct gwpb message;
    struct str tail;
    u32 prefix, kind = 0;
    u64 eui;
    if (p->retain)
        return PASS;
    if (!read_topic(m, p->topic, &prefix, &eui, &tail))
        return DROP_MQTT_TOPIC;
    u32 gateway = mac_gateway(m->env->mac, eui);
    if (gateway == MAC_NONE) {
        mac_stranger(m->env, eui, str_fmt(&m->message, "mqtt %.*s", STR(m->set.prefixes[prefix])));
        return DROP_UNKNOWN_GATEWAY;
    }
    if (!share_take(&link_of(m, gateway)->share, env_now(m->env), MESSAGES_PER_S))
        return DROP_GATEWAY_FLOOD;
    while (kind < COUNT(topics) && !str_eq(tail, str_z(topics[kind].tail)))
        kind++;
    if (kind == COUNT(topics))
        return PASS;                                       /* exec, raw, mesh: said to others */
    if (p->cut)
        return DROP_TOO_LONG;
    if (gwpb_read(&message, topics[kind].kind, p->payload, &m->message) != OK)
        return DROP_MQTT_MESSAGE;
    if (eui_in(&message) != eui)
        return DROP_MQTT_EUI;
    bool gone = message.kind == GWPB_CONN && message.conn.state == GWPB_OFFLINE;
    link_of(m, gateway)->gone = gone;
    if (gone)
        return PASS;                                       /* its broker says so, not the gateway: no sign of life */
    note_way(m, gateway, prefix, gwpb_is_json(p->payload));
    return topics[kind].take(m, &message, gateway);
}

/* ------------------------------------------------------------------ packets */

static void take_publish(struct mqtt *m, const struct mqtt_packet *p)
{
    enum drop drop = take(m, p);
    m->env->dropped[drop] += drop != PASS;
    if (p->qos > 0)
        m->acks[m->acks_n++] = p->id;
    m->taken++;
    m->skip = p->skip;
}

static bool take_packet(struct mqtt *m, const struct mqtt_packet *p, struct str *why)
{
    if (p->kind == MQTT_CONNACK)
        return welcome(m, p, why);
    if (m->state == GREETING) {
        *why = S("the broker spoke before it welcomed us");
        return false;
    }
    if (p->kind == MQTT_SUBACK)
        return subscribed(m, p, why);
    if (p->kind == MQTT_PUBLISH)
        take_publish(m, p);
    else if (p->kind == MQTT_PINGRESP)
        m->pinged = false;
    return true;                                           /* a PUBACK: of what nobody sent; it means nothing */
}

static size_t skip(struct mqtt *m, size_t at)
{
    size_t n = (size_t)MIN(m->skip, (u64)(m->in_n - at));
    m->skip -= n;
    return n;
}

/* All whole packets that are here, up to one batch. False: the connection is not to be trusted, *why. */
static bool take_all(struct mqtt *m, struct str *why)
{
    struct mqtt_packet p;
    enum mqtt_says says = MQTT_PACKET;
    const char *words = "";
    bool good = true;
    size_t at = 0;
    while (good && m->taken < BATCH && m->env->failed == OK) {
        at += skip(m, at);
        says = mqtt_read(&p, (struct bytes){ m->in + at, m->in_n - at }, GWPB_MESSAGE_MAX, &words);
        if (says != MQTT_PACKET)
            break;
        arena_reset(&m->message);
        good = take_packet(m, &p, why);
        at  += p.size;
    }
    memmove(m->in, m->in + at, m->in_n - at);
    m->in_n -= at;
    if (good && says == MQTT_FAULT) {
        *why = str_fmt(&m->message, "the broker sent %s", words);
        return false;
    }
    return good;
}

/* In the order in which they came (MQTT-4.6.0-2). */
static bool acknowledge(struct mqtt *m)
{
    struct buf b = room(m);
    for (size_t i = 0; i < m->acks_n; i++)
        mqtt_puback_write(&b, m->acks[i]);
    m->acks_n = 0;
    return put(m, &b);
}

static void ping(struct mqtt *m)
{
    struct mono now = env_now(m->env);
    struct buf b = room(m);
    if (m->pinged || (mono_since(now, m->said_at) < QUIET_US && mono_since(now, m->heard_at) < QUIET_US))
        return;
    mqtt_short_write(&b, MQTT_PINGREQ);
    if (put(m, &b)) {
        m->pinged    = true;
        m->pinged_at = now;
    }
}

static void listen(struct mqtt *m)
{
    size_t n;
    while (m->in_n < IN_ROOM && (n = m->way.read(m->way.of, m->in + m->in_n, IN_ROOM - m->in_n)) > 0) {
        m->in_n    += n;
        m->heard_at = env_now(m->env);
    }
}

/* The end of a batch: what is in it is acknowledged, or given to us again on the next connection. */
static bool end_batch(struct mqtt *m, enum err *err, struct str *why)
{
    m->env->counted[COUNT_BATCHED] += m->taken;
    size_t taken = m->taken;
    m->taken = 0;
    *err = flow_commit(m->env);
    if (*err != OK) {
        m->env->dropped[DROP_STORE] += taken;
        *why = S("the store refused what it gave");
        return false;
    }
    *why = S("the broker reads nothing");
    return acknowledge(m);
}

static bool is_late(struct mqtt *m, struct str *why)
{
    struct mono now = env_now(m->env);
    if (m->state != UP && mono_before(m->due, now)) {
        *why = m->state == OPENING ? S("the broker cannot be reached") : S("the broker does not answer");
        return true;
    }
    *why = S("the broker fell silent");
    return m->state == UP && m->pinged && mono_since(now, m->pinged_at) > PONG_US;
}

/* A full store takes nothing: what the broker has is safer there. */
static void begin(struct mqtt *m)
{
    struct mono now = env_now(m->env);
    if (mono_before(now, m->due) || m->env->full)
        return;
    m->state = OPENING;
    m->due   = mono_after(now, OPEN_US);
    m->way.start(m->way.of);
}

bool mqtt_turn(struct mqtt *m, enum err *err)
{
    struct str why = S("");
    bool ended = false;
    if (m->state == RESTING)
        begin(m);
    if (m->state == RESTING)
        return false;
    enum mqtt_way_is is = m->way.is(m->way.of, &why);
    if (is == MQTT_WAY_OPEN && m->state == OPENING)
        greet(m);
    if (m->state > OPENING)
        listen(m);
    bool good = take_all(m, &why);
    if (m->taken > 0) {
        struct str words;
        ended = true;
        if (!end_batch(m, err, &words)) {
            good = false;
            why  = words;
        }
    }
    if (good && m->state == UP)
        ping(m);
    flush(m);
    if (good && is == MQTT_WAY_OVER)
        good = false;
    else if (good)
        good = m->way.is(m->way.of, &why) != MQTT_WAY_OVER && !is_late(m, &why);
    if (!good)
        lose(m, why);
    return ended;
}

/* ------------------------------------------------------------------ downlinks */

static bool reaches(void *of, u64 eui)
{
    struct mqtt *m = of;
    u32 gateway = mac_gateway(m->env->mac, eui);
    if (gateway == MAC_NONE)
        return false;
    const struct link *l = link_of(m, gateway);
    return l->heard && mono_since(env_now(m->env), l->heard_at) < PATH_US;
}

static void to_item(struct gwpb_item *out, const struct transmission *t, struct bytes phy)
{
    bool lora = t->sf > 0;
    *out = (struct gwpb_item){ .phy          = phy,
                               .context      = { t->context + 1, t->context_n - 1u },
                               .board        = t->context[0],
                               .antenna      = t->antenna,
                               .freq_hz      = t->freq_hz,
                               .power_dbm    = t->power_dbm,
                               .modulation   = lora ? GWPB_LORA : GWPB_FSK,
                               .bw_hz        = lora ? t->bw_hz : 0,
                               .sf           = t->sf,
                               .code_rate    = lora ? GWPB_CR_4_5 : 0,
                               .inverted     = lora,
                               .deviation_hz = lora ? 0 : 25000,
                               .bitrate      = lora ? 0 : t->bitrate,
                               .timing       = GWPB_DELAY,
                               .delay_us     = t->delay_us };
}

/* Nothing that a broker should keep: a downlink that comes late is worth nothing. So QoS 0. */
static bool publish(struct mqtt *m, const struct link *l, const struct gwpb *message)
{
    struct str prefix = m->set.prefixes[l->prefix];
    struct str topic  = str_fmt(&m->message, "%.*s%sgateway/%016llx/command/down", STR(prefix), prefix.n > 0 ? "/" : "",
                                (unsigned long long)message->downlink.eui);
    struct buf b = room(m);
    mqtt_publish_write(&b, topic, gwpb_write(message, l->json, &m->message));
    return put(m, &b);
}

static enum road_says send(void *of, const struct road_send *what, struct mono *answer_by, struct str *why)
{
    struct mqtt *m = of;
    const struct downlink *d = what->downlink;
    const struct transmission *first = &d->tries[what->from], *last = first;
    const struct link *l = link_of(m, mac_gateway(m->env->mac, first->gateway));
    struct gwpb message = { .kind = GWPB_DOWNLINK, .downlink = { .eui = first->gateway, .id = (u32)m->run << 16 | what->token } };
    arena_reset(&m->message);
    *why = m->state != UP        ? S("there is no connection to the broker of the gateway")
         : l->gone               ? S("the gateway has left its broker")
         : first->context_n == 0 ? S("the gateway gave nothing by which it could be answered") : S("");
    if (why->n > 0)
        return ROAD_GONE;
    for (u32 i = 0; i < what->n && i < GWPB_ITEMS_MAX && first[i].context_n > 0; i++) {
        to_item(&message.downlink.items[message.downlink.items_n++], &first[i], d->phy);
        last = mono_before(last->at, first[i].at) ? &first[i] : last;
    }
    *why = S("the broker of the gateway reads nothing");
    if (!publish(m, l, &message))
        return ROAD_GONE;
    flush(m);
    *answer_by = mono_after(last->at, (i64)last->airtime_us + ANSWER_US);
    return ROAD_SENT;
}
