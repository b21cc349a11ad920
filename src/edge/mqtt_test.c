// SPDX-License-Identifier: Apache-2.0
/*
 * The door for MQTT gateways with a broker of our own making: bytes in, bytes out, no socket and no time but the test's.
 * A store of its own for each test.
 */
#include "edge/downs.h"
#include "edge/mqtt.h"
#include "edge/rig.h"
#include "wire/gwpb.h"
#include "wire/mqtt.h"

/* The way to the broker. */
struct pipe {
    enum mqtt_way_is is;
    u8 in[1 << 19]; size_t in_n;             /* on its way to the daemon */
    u8 out[1 << 17]; size_t out_n, takes;    /* from it; so much more is taken */
    u32 started, stopped;
};

struct city {
    struct rig r;
    struct downs *downs;
    struct mqtt *door;
    struct pipe pipe;
    u16 id;
};

static void pipe_start(void *of) { ((struct pipe *)of)->started++; }
static void pipe_stop(void *of)
{
    struct pipe *p = of;
    p->stopped++;
    p->in_n = 0;
    p->is = MQTT_WAY_OPENING;
}
static enum mqtt_way_is pipe_is(void *of, struct str *why)
{
    *why = S("it hung up");
    return ((struct pipe *)of)->is;
}
static size_t pipe_read(void *of, u8 *out, size_t room)
{
    struct pipe *p = of;
    size_t n = MIN(room, p->in_n);
    memcpy(out, p->in, n);
    memmove(p->in, p->in + n, p->in_n -= n);
    return n;
}
static size_t pipe_write(void *of, struct bytes b)
{
    struct pipe *p = of;
    size_t n = MIN(b.n, p->takes);
    memcpy(p->out + p->out_n, b.p, n);
    p->out_n += n;
    p->takes -= n;
    return n;
}

static void open_door(struct city *c, const char *prefixes)
{
    struct mqtt_settings set = { .client = S("hotaru"), .user = S("u"), .password = S("secret"), .has_user = true };
    struct str why = S("");
    struct mqtt_way way = { &c->pipe, pipe_start, pipe_is, pipe_read, pipe_write, pipe_stop };
    TRUE(mqtt_prefixes_read(&set, str_z(prefixes), &why, &c->r.boot));
    c->downs = downs_make(&c->r.env);
    c->door  = mqtt_make(&c->r.env, c->downs, &set, &way);
    c->pipe.takes = sizeof c->pipe.out;
}

static struct city *city_make(void)
{
    struct city *c = arena_new(test_arena(), struct city);
    log_set_level(LOG_NOTHING);
    rig_open(&c->r);
    open_door(c, "as923");
    return c;
}

static void stop(struct city *c)
{
    mqtt_close(c->door);
    downs_close(c->downs);
    rig_close(&c->r);
    log_set_level(LOG_INFO);
}

static void pass(struct city *c, i64 us)
{
    rig_pass(&c->r, us);
}

static struct bytes hex(const char *text)
{
    struct str t = str_z(text);
    u8 *p = arena_take(test_arena(), t.n / 2, 1);
    size_t n;
    TRUE(hex_read(p, t.n / 2, &n, t));
    return (struct bytes){ p, n };
}

/* ------------------------------------------------------------------ the broker's side */

static void say(struct city *c, struct bytes b)
{
    memcpy(c->pipe.in + c->pipe.in_n, b.p, b.n);
    c->pipe.in_n += b.n;
}

/* One turn of the daemon: what has come, then what is due. */
static enum err turn(struct city *c)
{
    enum err err = OK;
    bool ended = mqtt_turn(c->door, &err);
    for (struct intent *i = c->r.env.outbox.first; i; i = i->next)
        if (i->kind == INTENT_DOWNLINK)
            downs_add(c->downs, &i->downlink);
    flow_done(&c->r.env);
    if (ended && err != OK)
        return err;
    (void)flow_tick(&c->r.env);
    EQ(flow_commit(&c->r.env), OK);
    for (struct intent *i = c->r.env.outbox.first; i; i = i->next)
        if (i->kind == INTENT_DOWNLINK)
            downs_add(c->downs, &i->downlink);
    flow_done(&c->r.env);
    (void)downs_tick(c->downs);
    EQ(flow_commit(&c->r.env), OK);
    flow_done(&c->r.env);
    return OK;
}

/* What the daemon has said since; the pipe is empty afterwards. */
static struct bytes said(struct city *c)
{
    struct bytes b = bytes_copy(test_arena(), (struct bytes){ c->pipe.out, c->pipe.out_n });
    c->pipe.out_n = 0;
    return b;
}

static void up(struct city *c, const char *connack)
{
    c->pipe.is = MQTT_WAY_OPEN;
    (void)turn(c);
    say(c, hex(connack));
    (void)turn(c);
    say(c, hex("900400010101"));
    (void)turn(c);
    (void)said(c);
    TRUE(mqtt_is_up(c->door));
}

/* A PUBLISH of QoS 1; flags: 8 repeated, 1 retained. Returns its number. */
static u16 publish(struct city *c, const char *topic, struct bytes payload, u8 flags)
{
    size_t room = payload.n + 1200;
    struct buf b = buf_of(arena_take(test_arena(), room, 1), room);
    struct str t = str_z(topic);
    u32 left = (u32)(2 + t.n + 2 + payload.n);
    buf_u8(&b, (u8)(0x32 | flags));
    for (; left >= 0x80; left >>= 7)
        buf_u8(&b, (u8)(left | 0x80));
    buf_u8(&b, (u8)left);
    buf_u16be(&b, (u16)t.n);
    buf_put(&b, bytes_of(t));
    buf_u16be(&b, ++c->id);
    buf_put(&b, payload);
    say(c, buf_bytes(&b));
    return c->id;
}

static const char *topic_of(u64 eui, const char *tail)
{
    return str_fmt(test_arena(), "as923/gateway/%016llx/%s", (unsigned long long)eui, tail).p;
}

static struct bytes sealed(struct city *c, bool confirmed)
{
    struct buf b = buf_of(arena_take(test_arena(), 64, 1), 64);
    struct lora_session s = { false, &c->r.nwk, &c->r.nwk, &c->r.nwk, &c->r.app };
    struct lora_frame f = { .mtype = confirmed ? MTYPE_CONFIRMED_UP : MTYPE_DATA_UP, .fport = 2, .devaddr = 0x01020304,
                            .payload = bytes_of(S("abc")) };
    EQ(lora_frame_seal(&b, &f, &s, c->r.fcnt++, (struct lora_mic_terms){ 0 }), LORA_OK);
    return buf_bytes(&b);
}

static struct gwpb heard(struct city *c, u64 eui, struct bytes phy)
{
    u8 *clock = arena_take(test_arena(), 4, 1);
    put_u32be(clock, (u32)c->r.world.now.us);
    return (struct gwpb){ .kind = GWPB_UPLINK, .uplink = { .eui = eui, .phy = phy, .context = { clock, 4 }, .freq_hz = 923200000,
        .modulation = GWPB_LORA, .bw_hz = 125000, .sf = 10, .rssi_dbm = -90, .snr_db = 5, .board = 3, .antenna = 1, .crc = GWPB_CRC_OK } };
}

static u16 event(struct city *c, const char *topic, const struct gwpb *g, bool json)
{
    return publish(c, topic, gwpb_write(g, json, test_arena()), 0);
}

static u16 uplink(struct city *c, u64 eui, bool confirmed)
{
    struct gwpb g = heard(c, eui, sealed(c, confirmed));
    return event(c, topic_of(eui, "event/up"), &g, false);
}

static struct bytes puback(u16 id)
{
    u8 *p = arena_take(test_arena(), 4, 1);
    p[0] = 0x40, p[1] = 2;
    put_u16be(p + 2, id);
    return (struct bytes){ p, 4 };
}

static u64 dropped(const struct city *c, enum drop drop) { return c->r.env.dropped[drop]; }

/* ------------------------------------------------------------------ the connection */

TEST(a_session_is_kept_and_both_kinds_of_topics_are_asked_for)
{
    struct city *c = city_make();
    EQ(turn(c), OK);
    EQ(c->pipe.started, 1);
    EQ(said(c).n, 0);                                      /* not open yet */
    c->pipe.is = MQTT_WAY_OPEN;
    EQ(turn(c), OK);
    BYTES_EQ(said(c), hex("101d00044d51545404c0001e0006686f7461727500017500067365637265" "74"));
    say(c, hex("20020000"));
    EQ(turn(c), OK);
    struct bytes asked = said(c);
    EQ(asked.p[0], 0x82);
    TRUE(str_find(str_of(asked), S("as923/gateway/+/event/+\1")) > 0);
    TRUE(str_find(str_of(asked), S("as923/gateway/+/state/+\1")) > 0);
    TRUE(!mqtt_is_up(c->door));
    say(c, hex("900400010100"));                           /* a broker may give less than was asked */
    EQ(turn(c), OK);
    TRUE(mqtt_is_up(c->door));
    mqtt_close(c->door);
    downs_close(c->downs);
    BYTES_EQ(said(c), hex("e000"));
    open_door(c, "");
    stop(c);
}

static const char *const refusals[] = {
    "20020005", "20020002", "d000", "3003000161", "ffffffffff", "200200002002" "0000", "20020000" "900400020101",
    "20020000" "9004000101" "80", "20020000" "9003000101",
};

TEST(a_broker_that_lets_us_not_in_is_asked_again_later)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct city *c = city_make();
        c->pipe.is = MQTT_WAY_OPEN;
        (void)turn(c);
        say(c, hex(refusals[i]));
        (void)turn(c);
        (void)turn(c);
        EQ(c->pipe.stopped, 1);
        EQ(c->pipe.started, 1);
        pass(c, 1100 * US_PER_MS);
        (void)turn(c);
        EQ(c->pipe.started, 2);
        stop(c);
    }
}

TEST(attempts_grow_rarer_up_to_a_minute_and_are_spread)
{
    struct city *c = city_make();
    i64 before = 0, longest = 0;
    u32 different = 0;
    (void)turn(c);
    for (u32 i = 0; i < 12; i++) {
        i64 waited = 0, most = MIN((i64)US_PER_S << i, 60 * US_PER_S);
        EQ(c->pipe.started, i + 1);
        c->pipe.is = MQTT_WAY_OVER;
        for ((void)turn(c); c->pipe.started == i + 1; (void)turn(c)) {
            pass(c, 10 * US_PER_MS);
            waited += 10 * US_PER_MS;
        }
        TRUE(waited >= most / 2 && waited <= most + 10 * US_PER_MS);
        different += waited != before;
        before  = waited;
        longest = MAX(longest, waited);
    }
    TRUE(longest > 30 * US_PER_S && different > 8);
    stop(c);
}

TEST(a_way_that_never_opens_is_given_up)
{
    struct city *c = city_make();
    (void)turn(c);
    pass(c, 16 * US_PER_S);
    (void)turn(c);
    EQ(c->pipe.stopped, 1);
    stop(c);
}

TEST(a_new_connection_begins_with_nothing_of_the_old)
{
    struct city *c = city_make();
    up(c, "20020000");
    c->pipe.takes = 0;
    (void)uplink(c, EUI_A, false);
    (void)turn(c);
    say(c, hex("3205000161"));                             /* half a message */
    (void)turn(c);
    c->pipe.is = MQTT_WAY_OVER;
    (void)turn(c);
    pass(c, 2 * US_PER_S);
    c->pipe.takes = sizeof c->pipe.out;
    c->pipe.is = MQTT_WAY_OPEN;
    (void)turn(c);
    EQ(said(c).p[0], 0x10);
    up(c, "20020100");
    u16 id = uplink(c, EUI_A, false);
    (void)turn(c);
    BYTES_EQ(said(c), puback(id));
    stop(c);
}

TEST(a_silent_broker_is_asked_whether_it_lives)
{
    struct city *c = city_make();
    up(c, "20020000");
    pass(c, 14 * US_PER_S);
    (void)turn(c);
    EQ(said(c).n, 0);
    pass(c, 2 * US_PER_S);
    (void)turn(c);
    (void)turn(c);
    BYTES_EQ(said(c), hex("c000"));
    say(c, hex("d000"));
    (void)turn(c);
    pass(c, 11 * US_PER_S);
    (void)turn(c);
    TRUE(mqtt_is_up(c->door));
    pass(c, 5 * US_PER_S);
    (void)turn(c);
    BYTES_EQ(said(c), hex("c000"));
    pass(c, 11 * US_PER_S);
    (void)turn(c);
    TRUE(!mqtt_is_up(c->door));
    stop(c);
}

TEST(packets_may_come_byte_by_byte_and_many_at_once)
{
    struct city *c = city_make();
    up(c, "20020000");
    u16 first = uplink(c, EUI_A, false);
    static u8 all[1 << 12];
    size_t n = c->pipe.in_n;
    memcpy(all, c->pipe.in, n);
    c->pipe.in_n = 0;
    for (size_t i = 0; i < n; i++) {
        EQ(said(c).n, 0);
        say(c, (struct bytes){ all + i, 1 });
        (void)turn(c);
    }
    BYTES_EQ(said(c), puback(first));
    for (int i = 0; i < 300; i++)
        (void)uplink(c, EUI_A, false);
    (void)turn(c);
    struct bytes acks = said(c);
    EQ(acks.n, 4 * 300);
    for (u16 i = 0; i < 300; i++)
        EQ(get_u16be(acks.p + 4 * i + 2), first + 1 + i);  /* in their order */
    EQ(c->r.env.counted[COUNT_UPLINKS], 301);
    stop(c);
}

TEST(more_than_a_batch_is_taken_in_batches)
{
    struct city *c = city_make();
    up(c, "20020000");
    for (int i = 0; i < 5000; i++)
        (void)publish(c, "x", (struct bytes){ NULL, 0 }, 0);
    (void)turn(c);
    EQ(said(c).n, 4 * 2048);
    (void)turn(c);
    (void)turn(c);
    EQ(said(c).n, 4 * (5000 - 2048));
    EQ(dropped(c, DROP_MQTT_TOPIC), 5000);
    stop(c);
}

/* ------------------------------------------------------------------ uplinks */

TEST(an_uplink_is_acknowledged_after_the_commit_that_holds_it)
{
    struct city *c = city_make();
    up(c, "20020000");
    u16 id = uplink(c, EUI_A, false);
    u64 commits = c->r.env.counted[COUNT_COMMITS];
    EQ(turn(c), OK);
    TRUE(c->r.env.counted[COUNT_COMMITS] > commits);
    BYTES_EQ(said(c), puback(id));
    EQ(c->r.env.counted[COUNT_UPLINKS], 1);
    stop(c);
}

TEST(what_the_store_does_not_take_is_not_acknowledged_and_comes_again)
{
    struct city *c = city_make();
    up(c, "20020000");
    struct gwpb g = heard(c, EUI_A, sealed(c, false));
    (void)event(c, topic_of(EUI_A, "event/up"), &g, false);
    c->r.env.full = true;
    EQ(turn(c), ERR_FULL);
    EQ(said(c).n, 0);
    EQ(c->pipe.stopped, 1);                                /* 3.1.1 knows no other way to have it again */
    pass(c, 5 * US_PER_S);
    (void)turn(c);
    EQ(c->pipe.started, 1);                                /* not while there is no room */
    c->r.env.full = false;
    up(c, "20020100");
    u16 id = publish(c, topic_of(EUI_A, "event/up"), gwpb_write(&g, false, test_arena()), 8);
    EQ(turn(c), OK);
    BYTES_EQ(said(c), puback(id));
    EQ(c->r.env.counted[COUNT_UPLINKS], 1);
    id = publish(c, topic_of(EUI_A, "event/up"), gwpb_write(&g, false, test_arena()), 8);
    EQ(turn(c), OK);                                       /* and again, because our PUBACK was lost: stored once */
    BYTES_EQ(said(c), puback(id));
    EQ(c->r.env.counted[COUNT_UPLINKS], 1);
    stop(c);
}

TEST(JSON_and_other_prefixes_come_in_as_well)
{
    struct city *c = city_make();
    mqtt_close(c->door);
    downs_close(c->downs);
    open_door(c, "jp/as923, eu868");
    c->pipe.is = MQTT_WAY_OPEN;
    (void)turn(c);
    say(c, hex("20020000"));
    (void)turn(c);
    say(c, hex("9006000101010101"));
    (void)turn(c);
    struct gwpb g = heard(c, EUI_A, sealed(c, false));
    (void)event(c, "jp/as923/gateway/a000000000000001/event/up", &g, true);
    g = heard(c, EUI_A, sealed(c, false));
    (void)event(c, "eu868/gateway/A000000000000001/event/up", &g, true);
    (void)event(c, "jp/gateway/a000000000000001/event/up", &g, true);
    (void)turn(c);
    EQ(c->r.env.counted[COUNT_UPLINKS], 2);
    EQ(dropped(c, DROP_MQTT_TOPIC), 1);
    stop(c);
}

TEST(each_way_to_be_wrong_is_counted_by_name_and_acknowledged)
{
    struct city *c = city_make();
    up(c, "20020000");
    static u8 long_text[20000];
    struct bytes phy = sealed(c, false);
    struct gwpb good = heard(c, EUI_A, phy), g;
    const char *topic = topic_of(EUI_A, "event/up");
    u16 id = 0;
#define WRONG(drop, ...)                                   \
    do {                                                   \
        u64 before_ = dropped(c, drop);                    \
        g  = good;                                         \
        id = __VA_ARGS__;                                  \
        EQ(turn(c), OK);                                   \
        EQ(dropped(c, drop) - before_, 1);                 \
        BYTES_EQ(said(c), puback(id));                     \
    } while (0)
    WRONG(DROP_MQTT_TOPIC, event(c, "elsewhere/gateway/a000000000000001/event/up", &g, false));
    WRONG(DROP_MQTT_TOPIC, event(c, "as923/gateway/a00000000000000x/event/up", &g, false));
    WRONG(DROP_MQTT_TOPIC, event(c, "as923/gateway/0000000000000000/event/up", &g, false));
    WRONG(DROP_MQTT_TOPIC, event(c, "as923xgateway/a000000000000001/event/up", &g, false));
    WRONG(DROP_UNKNOWN_GATEWAY, event(c, topic_of(0xDEAD, "event/up"), &g, false));
    WRONG(DROP_MQTT_EUI, (g.uplink.eui = EUI_B, event(c, topic, &g, false)));
    WRONG(DROP_MQTT_EUI, (g.uplink.eui = 0, event(c, topic, &g, true)));
    WRONG(DROP_MQTT_MESSAGE, publish(c, topic, bytes_of(S("{\"phyPayload\":")), 0));
    WRONG(DROP_MQTT_MESSAGE, publish(c, topic, bytes_of(S("\x0a\xff")), 0));
    WRONG(DROP_TOO_LONG, publish(c, topic, (struct bytes){ long_text, sizeof long_text }, 0));
    WRONG(DROP_TOO_LONG, (g.uplink.phy = (struct bytes){ long_text, 256 }, event(c, topic, &g, false)));
    WRONG(DROP_BAD_CRC, (g.uplink.crc = GWPB_CRC_BAD, event(c, topic, &g, false)));
    WRONG(DROP_MODULATION, (g.uplink.modulation = GWPB_LR_FHSS, event(c, topic, &g, false)));
    WRONG(DROP_MODULATION, (g.uplink.modulation = GWPB_NO_MODULATION, event(c, topic, &g, false)));
    WRONG(DROP_MODULATION, (g.uplink.sf = 4, event(c, topic, &g, false)));
    WRONG(DROP_MODULATION, (g.uplink.sf = 13, event(c, topic, &g, false)));
    WRONG(DROP_MODULATION, (g.uplink.bw_hz = 7799, event(c, topic, &g, false)));
    WRONG(DROP_MODULATION, (g.uplink.bw_hz = 1625001, event(c, topic, &g, false)));
    WRONG(DROP_MODULATION, (g.uplink.modulation = GWPB_FSK, event(c, topic, &g, false)));
    WRONG(DROP_MQTT_MESSAGE, (g.uplink.rssi_dbm = -32000, event(c, topic, &g, false)));
    WRONG(DROP_MQTT_MESSAGE, (g.uplink.rssi_dbm = 32000, event(c, topic, &g, false)));
    WRONG(DROP_MQTT_MESSAGE, (g.uplink.snr_db = (double)__builtin_nanf(""), event(c, topic, &g, false)));
    WRONG(DROP_MQTT_MESSAGE, (g.uplink.snr_db = 1e9, event(c, topic, &g, true)));
    WRONG(DROP_MQTT_MESSAGE, (g.uplink.board = 256, event(c, topic, &g, false)));
    WRONG(DROP_MQTT_MESSAGE, (g.uplink.antenna = 256, event(c, topic, &g, false)));
    WRONG(DROP_FREQUENCY, (g.uplink.freq_hz = 868100000, event(c, topic, &g, false)));
    WRONG(DROP_TXACK, (g = (struct gwpb){ .kind = GWPB_ACK, .ack = { .eui = EUI_A, .id = 7 } },
                       event(c, topic_of(EUI_A, "event/ack"), &g, false)));
    EQ(c->r.env.counted[COUNT_UPLINKS], 0);
    WRONG(DROP_BAD_MIC, (g.uplink.phy = bytes_copy(test_arena(), phy), ((u8 *)(uintptr_t)g.uplink.phy.p)[phy.n - 1] ^= 1,
                         event(c, topic, &g, false)));
#undef WRONG
    (void)event(c, topic, &good, false);
    (void)turn(c);
    EQ(c->r.env.counted[COUNT_UPLINKS], 1);
    stop(c);
}

TEST(a_message_longer_than_any_room_is_passed_over_and_acknowledged_once)
{
    struct city *c = city_make();
    up(c, "20020000");
    static u8 piece[100000];
    say(c, hex("32e0fb44" "0001" "78" "7777"));            /* 1,129,952 bytes; 1,129,947 of them payload */
    for (size_t left = 1129947; left > 0;) {
        size_t n = MIN(left, sizeof piece);
        say(c, (struct bytes){ piece, n });
        EQ(turn(c), OK);
        left -= n;
    }
    BYTES_EQ(said(c), puback(0x7777));
    u16 id = uplink(c, EUI_A, false);
    EQ(turn(c), OK);
    BYTES_EQ(said(c), puback(id));
    EQ(c->r.env.counted[COUNT_UPLINKS], 1);
    stop(c);
}

TEST(what_is_retained_proves_nothing)
{
    struct city *c = city_make();
    up(c, "20020000");
    struct gwpb g = heard(c, EUI_A, sealed(c, false));
    u16 id = publish(c, topic_of(EUI_A, "event/up"), gwpb_write(&g, false, test_arena()), 1);
    EQ(turn(c), OK);
    BYTES_EQ(said(c), puback(id));
    EQ(c->r.env.counted[COUNT_UPLINKS], 0);
    stop(c);
}

TEST(one_gateway_has_its_share_of_messages)
{
    struct city *c = city_make();
    up(c, "20020000");
    for (int i = 0; i < 2100; i++)
        (void)publish(c, topic_of(EUI_A, "event/exec"), (struct bytes){ NULL, 0 }, 0);
    (void)turn(c);
    (void)turn(c);
    EQ(said(c).n, 4 * 2100);
    EQ(dropped(c, DROP_GATEWAY_FLOOD), 100);
    (void)uplink(c, EUI_B, false);
    (void)turn(c);
    EQ(c->r.env.counted[COUNT_UPLINKS], 1);
    stop(c);
}

/* ------------------------------------------------------------------ what was kept */

static u64 late(struct city *c)
{
    struct db_query *q = db_query(c->r.env.db, "SELECT COUNT(*) FROM uplink WHERE (flags & 4096) <> 0");
    i64 n = db_step(q) == OK ? db_i64(q, 0) : -1;
    db_reset(q);
    return (u64)n;
}

TEST(a_frame_that_the_broker_kept_while_we_were_away_is_late)
{
    struct city *c = city_make();
    up(c, "20020000");
    c->pipe.is = MQTT_WAY_OVER;
    (void)turn(c);
    pass(c, 600 * US_PER_S);
    up(c, "20020100");
    struct gwpb g = heard(c, EUI_A, sealed(c, true));
    g.uplink.gateway_us = c->r.world.clock.us - 300 * US_PER_S;
    (void)event(c, topic_of(EUI_A, "event/up"), &g, false);
    (void)turn(c);
    EQ(late(c), 1);
    g = heard(c, EUI_A, sealed(c, true));
    g.uplink.gateway_us = c->r.world.clock.us - 601 * US_PER_S;      /* before it: that clock is wrong */
    (void)event(c, topic_of(EUI_A, "event/up"), &g, false);
    g = heard(c, EUI_B, sealed(c, true));
    g.uplink.gateway_us = c->r.world.clock.us;
    (void)event(c, topic_of(EUI_B, "event/up"), &g, false);
    (void)turn(c);
    EQ(late(c), 1);
    EQ(c->r.env.counted[COUNT_UPLINKS], 3);
    stop(c);
}

TEST(a_frame_that_its_gateway_kept_is_late_when_both_its_clocks_say_so)
{
    struct city *c = city_make();
    up(c, "20020000");
    static const struct { i64 wall_s, tmst_s; u64 late; } rows[] = {
        { 0, 0, 0 }, { 60, 60, 1 }, { 60, 60, 2 }, { 60, 0, 2 }, { 0, 60, 2 }, { 1, 1, 2 }, { 300, 300, 3 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct gwpb g = heard(c, EUI_A, sealed(c, false));
        u8 *clock = arena_take(test_arena(), 4, 1);
        put_u32be(clock, (u32)(c->r.world.now.us - rows[i].tmst_s * US_PER_S));
        g.uplink.context = (struct bytes){ clock, 4 };
        g.uplink.gateway_us = c->r.world.clock.us - rows[i].wall_s * US_PER_S;
        (void)event(c, topic_of(EUI_A, "event/up"), &g, false);
        (void)turn(c);
        EQ(late(c), rows[i].late);
        if (rows[i].wall_s != rows[i].tmst_s) {            /* one clock alone was set: it is so from now on */
            g = heard(c, EUI_A, sealed(c, false));
            g.uplink.gateway_us = c->r.world.clock.us;
            (void)event(c, topic_of(EUI_A, "event/up"), &g, false);
            (void)turn(c);
        }
    }
    stop(c);
}

/* ------------------------------------------------------------------ downlinks */

static struct gwpb *downlink_in(struct bytes b, struct str *topic)
{
    struct mqtt_packet p;
    struct gwpb *g = arena_new(test_arena(), struct gwpb);
    const char *why;
    while (b.n > 0 && mqtt_read(&p, b, 1 << 20, &why) == MQTT_PACKET) {
        b = (struct bytes){ b.p + p.size, b.n - p.size };
        if (p.kind != MQTT_PUBLISH)
            continue;
        *topic = p.topic;
        EQ(p.qos, 0);
        TRUE(!p.retain);
        EQ(gwpb_read(g, GWPB_DOWNLINK, p.payload, test_arena()), OK);
        return g;
    }
    return NULL;
}

/* A confirmed uplink, heard by these gateways, and the answer that leaves for one of them. */
static struct gwpb *answer(struct city *c, const u64 *euis, size_t n, bool json, struct str *topic)
{
    struct bytes phy = sealed(c, true);
    for (size_t i = 0; i < n; i++) {
        struct gwpb g = heard(c, euis[i], phy);
        g.uplink.snr_db -= (double)i;
        (void)event(c, topic_of(euis[i], "event/up"), &g, json);
    }
    (void)turn(c);
    struct gwpb *g = NULL;
    for (int i = 0; i < 60 && !g; i++) {
        pass(c, 100 * US_PER_MS);
        (void)turn(c);
        g = downlink_in(said(c), topic);
    }
    return g;
}

static void ack(struct city *c, u64 eui, u32 id, const u32 *statuses, u32 n)
{
    struct gwpb g = { .kind = GWPB_ACK, .ack = { .eui = eui, .id = id, .items_n = n } };
    for (u32 i = 0; i < n; i++)
        g.ack.items[i].status = statuses[i];
    (void)event(c, topic_of(eui, "event/ack"), &g, false);
    (void)turn(c);
}

static struct str state(struct city *c)
{
    struct db_query *q = db_query(c->r.env.db, "SELECT state, reason FROM downlink ORDER BY id DESC LIMIT 1");
    struct str out = S("none");
    if (db_step(q) == OK)
        out = str_fmt(test_arena(), "%.*s: %.*s", STR(down_state_words((enum down_state)db_i64(q, 0))), STR(db_str(q, 1)));
    db_reset(q);
    return out;
}

TEST(a_downlink_names_both_windows_behind_the_context_of_its_uplink)
{
    struct city *c = city_make();
    static const u64 one[] = { EUI_A };
    static const u32 taken[] = { GWPB_TAKEN, GWPB_IGNORED }, second[] = { 2, GWPB_TAKEN };
    struct str topic = S("");
    up(c, "20020000");
    u32 clock = (u32)c->r.world.now.us;
    struct gwpb *g = answer(c, one, 1, false, &topic);
    if (!g) {
        STR_EQ(state(c), S("sent"));
        return;
    }
    STR_EQ(topic, S("as923/gateway/a000000000000001/command/down"));
    EQ(g->downlink.eui, EUI_A);
    EQ(g->downlink.items_n, 2);
    for (u32 i = 0; i < 2; i++) {
        const struct gwpb_item *t = &g->downlink.items[i];
        EQ(t->context.n, 4);
        EQ(get_u32be(t->context.p), clock);
        EQ(t->delay_us, (i64)(i + 5) * US_PER_S);
        EQ(t->timing, GWPB_DELAY);
        EQ(t->board, 3);
        EQ(t->antenna, 1);
        EQ(t->modulation, GWPB_LORA);
        EQ(t->bw_hz, 125000);
        TRUE(t->inverted && t->code_rate == GWPB_CR_4_5 && t->phy.n >= 12);
    }
    EQ(g->downlink.items[0].freq_hz, 923200000);
    ack(c, EUI_A, g->downlink.id, taken, 2);
    STR_EQ(state(c), S("accepted: "));
    ack(c, EUI_A, g->downlink.id, taken, 2);               /* once is enough */
    EQ(dropped(c, DROP_TXACK), 1);
    pass(c, 10 * US_PER_S);
    g = answer(c, one, 1, true, &topic);                   /* in the form in which the gateway speaks */
    TRUE(g != NULL);
    ack(c, EUI_A, g->downlink.id, second, 2);
    STR_EQ(state(c), S("accepted: in the next of its windows, for: the gateway refused: too late"));
    stop(c);
}

TEST(what_one_gateway_refused_goes_to_the_next)
{
    struct city *c = city_make();
    static const u64 two[] = { EUI_A, EUI_B };
    static const u32 no[] = { 4, 11 };
    struct str topic = S("");
    up(c, "20020000");
    struct gwpb *g = answer(c, two, 2, false, &topic);
    TRUE(g && g->downlink.eui == EUI_A && g->downlink.items_n == 2);
    ack(c, EUI_B, g->downlink.id, no, 2);                  /* nobody asked that one */
    EQ(dropped(c, DROP_TXACK), 1);
    ack(c, EUI_A, g->downlink.id + 65536, no, 2);          /* a number of another life */
    EQ(dropped(c, DROP_TXACK), 2);
    ack(c, EUI_A, g->downlink.id, no, 2);
    (void)turn(c);
    g = downlink_in(said(c), &topic);
    TRUE(g && g->downlink.eui == EUI_B);
    ack(c, EUI_B, g->downlink.id, no, 2);
    STR_EQ(state(c), S("failed: the gateway refused: its duty cycle is used up"));
    stop(c);
}

TEST(a_gateway_that_says_nothing_leaves_it_unknown)
{
    struct city *c = city_make();
    static const u64 one[] = { EUI_A };
    struct str topic;
    up(c, "20020000");
    TRUE(answer(c, one, 1, false, &topic) != NULL);
    pass(c, 3 * US_PER_S);
    (void)turn(c);
    STR_EQ(state(c), S("offered: "));
    pass(c, 2 * US_PER_S);
    (void)turn(c);
    STR_EQ(state(c), S("unknown: the gateway did not answer"));
    stop(c);
}

/* A confirmed uplink whose answer cannot leave, for one of four reasons. */
enum { LOST, GONE, NO_CONTEXT, DEAF };
static void is_told(int how, const char *words)
{
    struct city *c = city_make();
    up(c, "20020000");
    struct gwpb g = heard(c, EUI_A, sealed(c, true)), gone = { .kind = GWPB_CONN, .conn = { .eui = EUI_A } };
    if (how == NO_CONTEXT)
        g.uplink.context.n = 0;
    (void)event(c, topic_of(EUI_A, "event/up"), &g, false);
    (void)turn(c);
    if (how == LOST)
        c->pipe.is = MQTT_WAY_OVER;
    if (how == GONE)
        (void)event(c, topic_of(EUI_A, "state/conn"), &gone, false);
    for (int i = 0; i < 50; i++) {
        if (how == DEAF && i == 30)
            c->pipe.takes = 0;
        for (int k = 0; how == DEAF && i >= 30 && i < 39 && k < 2040; k++)     /* what waits for it fills its room */
            (void)publish(c, "x", (struct bytes){ NULL, 0 }, 0);
        pass(c, 100 * US_PER_MS);
        (void)turn(c);
    }
    STR_EQ(state(c), str_z(words));
    stop(c);
}

TEST(without_a_broker_a_downlink_says_so)
{
    is_told(LOST, "failed: there is no connection to the broker of the gateway");
}

TEST(a_gateway_that_left_its_broker_is_not_asked)
{
    is_told(GONE, "failed: the gateway has left its broker");
}

TEST(without_a_context_there_is_no_answer)
{
    is_told(NO_CONTEXT, "failed: the gateway gave nothing by which it could be answered");
}

TEST(a_broker_that_reads_nothing_is_left)
{
    is_told(DEAF, "failed: there is no connection to the broker of the gateway");
}

TEST(prefixes_are_words_of_a_topic)
{
    struct mqtt_settings set = { 0 };
    struct str why;
    TRUE(mqtt_prefixes_read(&set, S(" as923,eu868 jp/toyama ,"), &why, test_arena()));
    EQ(set.prefixes_n, 3);
    STR_EQ(set.prefixes[2], S("jp/toyama"));
    TRUE(mqtt_prefixes_read(&set, S(""), &why, test_arena()));
    EQ(set.prefixes_n, 1);
    EQ(set.prefixes[0].n, 0);
    static const char *const bad[] = { "a+", "#", "/a", "a/", "$SYS", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "\xff" };
    for (size_t i = 0; i < COUNT(bad); i++)
        TRUE(!mqtt_prefixes_read(&set, str_z(bad[i]), &why, test_arena()));
    TRUE(mqtt_prefixes_read(&set, S("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"), &why, test_arena()));
}
