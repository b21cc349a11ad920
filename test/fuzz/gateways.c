// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as what arrives at the door for gateways: datagrams from three hosts, true frames of a device,
 * PULL_DATA, answers to what we sent, and time. The sockets below the door are written here.
 *
 * No datagram makes the store fail. What is answered is answered to who asked, with four bytes. A downlink
 * leaves only for the host that last pulled, and none stays "offered" once its time is over.
 */
#include "test/fuzz/kit/city.h"
#include "test/fuzz/fuzz.h"

#include "edge/gateways.h"
#include "flow/flow.h"
#include "wire/semtech.h"

#define DEVICE  0x70B3D57ED00000F0ULL
#define DEVADDR 0x01020304

static const u8 nwk[16] = { 1, 2, 3 }, app[16] = { 4, 5, 6 };

/* ------------------------------------------------------------------ the wire */

static struct { struct datagram in; bool waiting, asking; struct address asked, pulled; u16 token; } wire;

size_t udp_receive(struct udp *udp, struct datagram out[UDP_BATCH])
{
    (void)udp;
    size_t n = wire.waiting;
    out[0] = wire.in;
    wire.waiting = false;
    return n;
}

size_t udp_send(struct udp *udp, const struct datagram *out, size_t n)
{
    (void)udp;
    assert(n <= 1);
    if (n == 0)
        return 0;
    const u8 *p = out->bytes.p;
    if (wire.asking) {
        assert(address_eq(out->peer, wire.asked) && out->bytes.n == 4 && (p[3] == SEMTECH_PUSH_ACK || p[3] == SEMTECH_PULL_ACK));
        if (p[3] == SEMTECH_PULL_ACK)
            wire.pulled = out->peer;
        return n;
    }
    assert(address_eq(out->peer, wire.pulled) && out->bytes.n > 4 && p[3] == SEMTECH_PULL_RESP);
    wire.token = get_u16be(p + 1);
    return n;
}

/* ------------------------------------------------------------------ what happens */

static void hear(struct gateways *door, struct city *c, u8 host, struct bytes bytes)
{
    wire.in    = (struct datagram){ { .family = 4, .ip = { 10, 0, 0, host }, .port = 1700 }, bytes };
    wire.asked = wire.in.peer;
    wire.waiting = wire.asking = true;
    enum err err = gateways_receive(door);
    wire.asking = false;
    assert(err == OK);
    for (struct intent *i = c->env.outbox.first; i; i = i->next)
        if (i->kind == INTENT_DOWNLINK)
            gateways_send(door, &i->downlink);
    flow_done(&c->env);
}

static void tick(struct gateways *door, struct city *c, i64 us)
{
    city_pass(c, us);
    (void)flow_tick(&c->env);
    enum err err = flow_commit(&c->env);
    assert(err == OK);
    for (struct intent *i = c->env.outbox.first; i; i = i->next)
        if (i->kind == INTENT_DOWNLINK)
            gateways_send(door, &i->downlink);
    flow_done(&c->env);
    (void)gateways_tick(door);
    err = flow_commit(&c->env);
    assert(err == OK);
    flow_done(&c->env);
}

static struct bytes datagram(struct arena *a, u8 kind, u16 token, struct str json)
{
    struct buf b = buf_of(arena_take(a, json.n + 12, 1), json.n + 12);
    buf_u8(&b, 2);
    buf_u16be(&b, token);
    buf_u8(&b, kind);
    buf_u64be(&b, GATEWAY_A);
    buf_put(&b, bytes_of(json));
    return buf_bytes(&b);
}

/* A frame of the device as its gateway reports it: the door sees all that a good one sends. */
static struct bytes say(struct arena *a, struct city *c, u32 fcnt)
{
    struct lora_key keys[2] = { { 0 }, { 0 } };
    u8 room[LORA_AIR_MAX];
    struct buf phy = BUF(room);
    lora_key_set(&keys[0], nwk);
    lora_key_set(&keys[1], app);
    struct lora_session s = { false, &keys[0], &keys[0], &keys[0], &keys[1] };
    struct lora_frame f = { .mtype = MTYPE_CONFIRMED_UP, .fport = 2, .devaddr = DEVADDR, .payload = bytes_of(S("\4\322\132")) };
    (void)lora_frame_seal(&phy, &f, &s, fcnt, (struct lora_mic_terms){ 0 });
    lora_key_clear(&keys[0]);
    lora_key_clear(&keys[1]);
    struct str data = base64_str(a, buf_bytes(&phy));
    return datagram(a, SEMTECH_PUSH_DATA, 7,
                    str_fmt(a, "{\"rxpk\":[{\"tmst\":%u,\"freq\":923.2,\"chan\":0,\"rfch\":0,\"stat\":1,\"modu\":\"LORA\",\"datr\":"
                               "\"SF10BW125\",\"codr\":\"4/5\",\"lsnr\":5.0,\"rssi\":-90,\"size\":%zu,\"data\":\"%.*s\"}]}",
                            (u32)c->now.us, phy.n, STR(data)));
}

FUZZ(p, n)
{
    struct city *c = city_begin();
    struct arena a = arena_make(1 << 14);
    struct cur in = cur_of((struct bytes){ p, n });
    enum err err = mac_bench_device(&c->env, DEVICE, DEVADDR, nwk, app, &c->env.profiles.list[0]);
    assert(err == OK && flow_commit(&c->env) == OK);
    flow_done(&c->env);
    memset(&wire, 0, sizeof wire);
    struct gateways *door = gateways_make(&c->env, NULL);
    for (u32 fcnt = 0; cur_left(&in) > 0;) {
        u8 what = cur_u8(&in);
        switch (what % 7) {
        case 0: hear(door, c, what / 7 % 3 + 1, cur_take(&in, MIN(cur_left(&in), (size_t)cur_u16be(&in)))); break;
        case 1: hear(door, c, 1, say(&a, c, fcnt++)); break;
        case 2: hear(door, c, what / 7 % 3 + 1, datagram(&a, SEMTECH_PULL_DATA, what, S(""))); break;
        case 3: {
            struct bytes said = cur_take(&in, MIN(cur_left(&in), (size_t)cur_u8(&in)));
            hear(door, c, 1, datagram(&a, SEMTECH_TX_ACK, wire.token, str_of(said)));
            break;
        }
        case 4: tick(door, c, cur_u8(&in) * 20000); break;
        case 5: tick(door, c, cur_u8(&in) * US_PER_S); break;
        case 6: {
            struct downlink_new d = { 1, DEVICE, 10, what & 8, bytes_of(S("hello")), 0 };
            struct str why;
            i64 id;
            (void)mac_downlink_add(&c->env, &d, &id, &why);
            break;
        }
        }
    }
    for (int i = 0; i < 6; i++)                    /* RX1, RX2, and the answers to both */
        tick(door, c, 2 * US_PER_S);
    assert(city_count(c, "SELECT COUNT(*) FROM downlink WHERE state = 1") == 0);
    assert(city_count(c, "SELECT COUNT(*) FROM (SELECT 1 FROM uplink GROUP BY session, fcnt HAVING COUNT(*) > 1) x") == 0);
    gateways_close(door);
    arena_free(&a);
    return 0;
}
