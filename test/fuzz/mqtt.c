// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as what a broker says at the door for MQTT gateways, in pieces, with true uplinks among them, time, and
 * connections that end. The way below the door is written here.
 *
 * Nothing makes the store fail. What we say is whole packets of a client; a message is acknowledged at most once a
 * connection, and no number is that was not given. No downlink stays "offered" once its time is over.
 */
#include "test/fuzz/kit/city.h"
#include "test/fuzz/fuzz.h"

#include "edge/downs.h"
#include "edge/mqtt.h"
#include "flow/flow.h"
#include "wire/gwpb.h"
#include "wire/mqtt.h"

#define DEVICE  0x70B3D57ED00000F0ULL
#define DEVADDR 0x01020304
#define ROOM    65536

static const u8 nwk[16] = { 1, 2, 3 }, app[16] = { 4, 5, 6 };

static struct { enum mqtt_way_is is; u8 in[ROOM]; size_t in_n; u32 downlink; } wire;

static void way_start(void *of) { (void)of; }
static void way_stop(void *of) { (void)of, wire.in_n = 0, wire.is = MQTT_WAY_OPEN; }
static enum mqtt_way_is way_is(void *of, struct str *why) { (void)of, *why = S("gone"); return wire.is; }
static size_t way_read(void *of, u8 *out, size_t room)
{
    (void)of;
    size_t n = MIN(room, wire.in_n);
    memcpy(out, wire.in, n);
    memmove(wire.in, wire.in + n, wire.in_n -= n);
    return n;
}

/* Packets of a client, whole: CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT. */
static size_t way_write(void *of, struct bytes b)
{
    struct cur c = cur_of(b);
    (void)of;
    while (cur_left(&c) > 0) {
        u8  first = cur_u8(&c), byte;
        u32 left = 0, shift = 0;
        do {
            byte = cur_u8(&c);
            left |= (u32)(byte & 127) << shift;
            shift += 7;
        } while (byte & 128);
        struct cur body = cur_of(cur_take(&c, left));
        assert(!c.bad && (first == 0x10 || first == 0x30 || first == 0x40 || first == 0x82 || first == 0xC0 || first == 0xE0));
        if (first == 0x30) {
            struct arena a = arena_make(1 << 14);
            struct gwpb g;
            (void)cur_take(&body, cur_u16be(&body));
            enum err err = gwpb_read(&g, GWPB_DOWNLINK, cur_rest(&body), &a);
            assert(err == OK && g.downlink.eui == GATEWAY_A && g.downlink.items_n >= 1);
            wire.downlink = g.downlink.id;
            arena_free(&a);
        }
    }
    return b.n;
}

static void say(struct bytes b)
{
    size_t n = MIN(b.n, ROOM - wire.in_n);
    memcpy(wire.in + wire.in_n, b.p, n);
    wire.in_n += n;
}

static void publish(struct str topic, struct bytes payload, u16 id)
{
    u8 room[2048];
    struct buf b = BUF(room);
    size_t left = 2 + topic.n + 2 + payload.n;
    if (left >= 16384 || payload.n > 1500)
        return;
    buf_u8(&b, 0x32);
    buf_u8(&b, (u8)(left | 0x80));
    buf_u8(&b, (u8)(left >> 7));
    buf_u16be(&b, (u16)topic.n);
    buf_put(&b, bytes_of(topic));
    buf_u16be(&b, id);
    buf_put(&b, payload);
    say(buf_bytes(&b));
}

static struct bytes frame(struct arena *a, struct city *c, u32 fcnt)
{
    struct lora_key keys[2] = { { 0 }, { 0 } };
    struct buf phy = buf_of(arena_take(a, LORA_AIR_MAX, 1), LORA_AIR_MAX);
    u8 clock[4];
    put_u32be(clock, (u32)c->now.us);
    lora_key_set(&keys[0], nwk);
    lora_key_set(&keys[1], app);
    struct lora_session s = { false, &keys[0], &keys[0], &keys[0], &keys[1] };
    struct lora_frame f = { .mtype = MTYPE_CONFIRMED_UP, .fport = 2, .devaddr = DEVADDR, .payload = bytes_of(S("\4\322\132")) };
    (void)lora_frame_seal(&phy, &f, &s, fcnt, (struct lora_mic_terms){ 0 });
    lora_key_clear(&keys[0]);
    lora_key_clear(&keys[1]);
    struct gwpb g = { .kind = GWPB_UPLINK, .uplink = { .eui = GATEWAY_A, .phy = buf_bytes(&phy), .context = { clock, 4 },
        .freq_hz = 923200000, .modulation = GWPB_LORA, .bw_hz = 125000, .sf = 10, .rssi_dbm = -90, .snr_db = 5, .crc = GWPB_CRC_OK } };
    return gwpb_write(&g, fcnt % 2, a);
}

static void carry_out(struct city *c, struct downs *downs)
{
    for (struct intent *i = c->env.outbox.first; i; i = i->next)
        if (i->kind == INTENT_DOWNLINK)
            downs_add(downs, &i->downlink);
    flow_done(&c->env);
}

static void turn(struct mqtt *door, struct downs *downs, struct city *c, i64 us)
{
    enum err err = OK;
    city_pass(c, us);
    (void)mqtt_turn(door, &err);
    assert(err == OK);
    carry_out(c, downs);
    (void)flow_tick(&c->env);
    (void)downs_tick(downs);
    err = flow_commit(&c->env);
    assert(err == OK);
    carry_out(c, downs);
}

FUZZ(p, n)
{
    struct city *c = city_begin();
    struct arena a = arena_make(1 << 16);
    struct cur in = cur_of((struct bytes){ p, n });
    struct str why = S("");
    struct mqtt_settings set = { .client = S("hotaru") };
    struct mqtt_way way = { NULL, way_start, way_is, way_read, way_write, way_stop };
    enum err err = mac_bench_device(&c->env, DEVICE, DEVADDR, nwk, app, &c->env.profiles.list[0]);
    assert(err == OK && flow_commit(&c->env) == OK);
    flow_done(&c->env);
    memset(&wire, 0, sizeof wire);
    wire.is = MQTT_WAY_OPEN;
    log_set_level(LOG_NOTHING);
    (void)mqtt_prefixes_read(&set, S("as923"), &why, &a);
    struct downs *downs = downs_make(&c->env);
    struct mqtt *door = mqtt_make(&c->env, downs, &set, &way);
    for (u32 fcnt = 0; cur_left(&in) > 0;) {
        u8 what = cur_u8(&in);
        switch (what % 8) {
        case 0: say(cur_take(&in, MIN(cur_left(&in), (size_t)cur_u16be(&in)))); break;
        case 1: publish(S("as923/gateway/a000000000000001/event/up"), frame(&a, c, fcnt), (u16)(fcnt + 1)); fcnt++; break;
        case 2: publish(S("as923/gateway/a000000000000001/event/up"), cur_take(&in, MIN(cur_left(&in), (size_t)cur_u8(&in))), 9); break;
        case 3: {
            struct gwpb g = { .kind = GWPB_ACK, .ack = { .eui = GATEWAY_A, .id = wire.downlink, .items_n = 1, .items = { { cur_u8(&in) % 13 } } } };
            publish(S("as923/gateway/a000000000000001/event/ack"), gwpb_write(&g, what & 8, &a), 10);
            break;
        }
        case 4: turn(door, downs, c, cur_u8(&in) * 20000); break;
        case 5: turn(door, downs, c, cur_u8(&in) * US_PER_S / 4); break;
        case 6: say(bytes_of(S("\x20\2\1\0"))), turn(door, downs, c, 0), say(bytes_of(S("\x90\4\0\1\1\1"))); break;
        case 7: wire.is = what & 8 ? MQTT_WAY_OVER : MQTT_WAY_OPEN; break;
        }
    }
    for (int i = 0; i < 8; i++)
        turn(door, downs, c, 2 * US_PER_S);
    assert(city_count(c, "SELECT COUNT(*) FROM downlink WHERE state = 1") == 0);
    assert(city_count(c, "SELECT COUNT(*) FROM (SELECT 1 FROM uplink GROUP BY session, fcnt HAVING COUNT(*) > 1) x") == 0);
    mqtt_close(door);
    downs_close(downs);
    arena_free(&a);
    return 0;
}
