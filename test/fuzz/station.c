// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at the door for stations: connections that come and go, requests, WebSocket, messages, true frames of a
 * device, what became of downlinks, and time. The sockets below the door are written here.
 *
 * Nothing makes the store fail. What the door says is HTTP, then whole frames of whole JSON. A connection that was
 * dropped is told nothing more. A downlink leaves only for the gateway that asks, and none stays "offered".
 */
#include "test/fuzz/kit/city.h"
#include "test/fuzz/fuzz.h"

#include "edge/cups.h"
#include "edge/downs.h"
#include "edge/stations.h"
#include "edge/websocket.h"
#include "flow/flow.h"
#include "wire/station.h"

#define DEVICE  0x70B3D57ED00000F0ULL
#define DEVADDR 0x01020304
#define LINKS   4

static const u8 nwk[16] = { 1, 2, 3 }, app[16] = { 4, 5, 6 };

/* ------------------------------------------------------------------ the wire */

struct tcp { struct tcp_calls calls; };
struct tcp_link { bool used, over; void *of; u8 out[1 << 18]; size_t n; };
static struct tcp wire;
static struct tcp_link links[LINKS];
static struct { struct tcp_link *to; struct bytes bytes; bool hangs_up; } event;

struct tcp *tcp_open(struct address at, const struct tcp_calls *calls, u32 most, struct str *why, struct arena *arena)
{
    (void)at, (void)most, (void)why, (void)arena;
    wire.calls = *calls;
    return &wire;
}

int tcp_fd(const struct tcp *t) { (void)t; return -1; }
u32 tcp_links(const struct tcp *t) { (void)t; return 0; }
void tcp_close(struct tcp *t) { (void)t; }
struct address tcp_address(const struct tcp *t) { (void)t; return (struct address){ .family = 4, .ip = { 127, 0, 0, 1 }, .port = 1 }; }

bool tcp_send(struct tcp_link *l, struct bytes b)
{
    assert(l->used && !l->over);
    if (l->n + b.n > sizeof l->out)
        return false;
    memcpy(l->out + l->n, b.p, b.n);
    l->n += b.n;
    return true;
}

void tcp_drop(struct tcp_link *l)
{
    assert(l->used && !l->over);
    l->over = true;
}

void tcp_end(struct tcp_link *l) { tcp_drop(l); }

size_t tcp_turn(struct tcp *t)
{
    struct tcp_link *l = event.to;
    if (!l->used) {
        *l = (struct tcp_link){ .used = true };
        l->of = t->calls.opened(t->calls.door, l, (struct address){ .family = 4, .ip = { 10, 0, 0, 1 }, .port = 9 });
        l->over = l->over || !l->of;
    }
    if (!l->over && event.bytes.n > 0)
        t->calls.received(l->of, event.bytes);
    if (!l->over && event.hangs_up) {
        l->over = true;
        t->calls.closed(l->of);
    }
    return 1;
}

/* ------------------------------------------------------------------ what the door has said */

/* HTTP first, then frames of a server with whole JSON. */
static void check_said(struct tcp_link *l, struct arena *a, u32 *token)
{
    struct bytes rest = { l->out, l->n };
    if (rest.n == 0)
        return;
    assert(str_starts(str_of(rest), S("HTTP/1.1 ")));
    bool welcome = str_starts(str_of(rest), S("HTTP/1.1 101 "));
    ptrdiff_t end = str_find(str_of(rest), S("\r\n\r\n"));
    assert(end > 0);
    rest.p += end + 4, rest.n -= (size_t)end + 4;
    while (welcome && rest.n > 0) {
        const struct json *doc;
        u64 n;
        assert(rest.n >= 2 && (rest.p[0] & 0xF0) == 0x80 && !(rest.p[1] & 0x80));
        size_t head = rest.p[1] == 126 ? 4 : rest.p[1] == 127 ? 10 : 2;
        size_t size = head == 4 ? get_u16be(rest.p + 2) : head == 10 ? get_u64be(rest.p + 2) : rest.p[1];
        assert(rest.n >= head + size);
        struct bytes payload = { rest.p + head, size };
        if ((rest.p[0] & 15) == WS_TEXT) {
            enum err err = json_read(&doc, str_of(payload), a, JSON_STRICT, NULL);
            assert(err == OK && json_is(doc, JSON_OBJECT));
            if (json_u64(&n, json_get(doc, S("diid"))))
                *token = (u32)n;
        }
        rest.p += head + size, rest.n -= head + size;
    }
}

/* ------------------------------------------------------------------ what happens */

struct run { struct city *c; struct downs *downs; struct stations *door; struct arena a; u32 token; };

static void carry_out(struct run *r)
{
    for (struct intent *i = r->c->env.outbox.first; i; i = i->next)
        if (i->kind == INTENT_DOWNLINK)
            downs_add(r->downs, &i->downlink);
    flow_done(&r->c->env);
}

static void hear(struct run *r, u8 which, struct bytes bytes, bool hangs_up)
{
    struct tcp_link *l = &links[which % LINKS];
    if (l->over)
        l->used = l->over = false;
    event.to = l, event.bytes = bytes, event.hangs_up = hangs_up;
    enum err err = stations_receive(r->door);
    assert(err == OK);
    carry_out(r);
    check_said(l, &r->a, &r->token);
}

static void tick(struct run *r, i64 us)
{
    city_pass(r->c, us);
    (void)flow_tick(&r->c->env);
    (void)stations_tick(r->door);
    enum err err = flow_commit(&r->c->env);
    assert(err == OK);
    carry_out(r);
    (void)downs_tick(r->downs);
    err = flow_commit(&r->c->env);
    assert(err == OK);
    carry_out(r);
}

static void say(struct run *r, u8 which, struct str text)
{
    struct buf b = buf_of(arena_take(&r->a, text.n + 8, 1), text.n + 8);
    buf_u8(&b, 0x81);
    buf_u8(&b, 0xFE);
    buf_u16be(&b, (u16)text.n);
    buf_u32le(&b, 0);
    buf_put(&b, bytes_of(text));
    hear(r, which, buf_bytes(&b), false);
}

static void come(struct run *r, u8 which, u64 eui)
{
    struct str head = str_fmt(&r->a, "GET /router/%016llX HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                     "Sec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n\r\n", (unsigned long long)eui);
    hear(r, which, bytes_of(head), false);
}

static void uplink(struct run *r, u8 which, u32 fcnt)
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
    say(r, which, str_fmt(&r->a, "{\"msgtype\":\"propdf\",\"FRMPayload\":\"%.*s\",\"DR\":2,\"Freq\":923200000,\"upinfo\":{\"rctx\":0,\"xtime\":%lld,"
                                 "\"rssi\":-80,\"snr\":5}}", STR(hex_str(&r->a, buf_bytes(&phy))), (long long)((3LL << 48) + r->c->now.us)));
}

/* The readers alone, on the whole input. */
static void read_alone(struct bytes in, struct arena *a)
{
    struct station_message m;
    struct cups_request rq;
    struct ws_head h;
    size_t used;
    u64 eui;
    if (station_read(&m, str_of(in), a) == STATION_FINE && m.kind == STATION_FRAME)
        assert(m.frame.phy.n > 0 && m.frame.phy.n <= STATION_PHY_MAX && m.frame.dr < STATION_DRS && m.frame.freq_hz >= 1000000);
    (void)station_ask_read(&eui, str_of(in), a);
    if (station_eui_read(&eui, str_of(in))) {
        u64 again;
        bool good = station_eui_read(&again, station_eui_str(a, eui));
        assert(good && again == eui);
    }
    if (cups_read(&rq, str_of(in), a) == PASS)
        assert(rq.keys_n <= CUPS_KEYS_MAX);
    if (ws_head_read(&h, &used, in) == WS_FINE)
        assert(used <= in.n && h.length >= 0 && h.path.n > 0);
}

FUZZ(p, n)
{
    struct run r = { .c = city_begin(), .a = arena_make(1 << 14) };
    struct stations_settings set = { .at = tcp_address(NULL), .plan = lora_plan_by_name(S("AS923-1-JP")), .dev = true };
    struct cur in = cur_of((struct bytes){ p, n });
    struct str why;
    enum err err = mac_bench_device(&r.c->env, DEVICE, DEVADDR, nwk, app, &r.c->env.profiles.list[0]);
    assert(err == OK && flow_commit(&r.c->env) == OK);
    flow_done(&r.c->env);
    memset(links, 0, sizeof links);
    read_alone((struct bytes){ p, n }, &r.a);
    r.downs = downs_make(&r.c->env);
    r.door  = stations_open(&r.c->env, r.downs, &set, &why, &r.a);
    for (u32 fcnt = 0; cur_left(&in) > 0;) {
        u8 what = cur_u8(&in), which = what >> 4;
        switch (what & 15) {
        case 0: hear(&r, which, cur_take(&in, MIN(cur_left(&in), (size_t)cur_u16be(&in))), false); break;
        case 1: say(&r, which, str_of(cur_take(&in, MIN(cur_left(&in), (size_t)cur_u8(&in))))); break;
        case 2: come(&r, which, GATEWAY_A); break;
        case 3: come(&r, which, GATEWAY_B); break;
        case 4: uplink(&r, which, fcnt++); break;
        case 5: say(&r, which, str_fmt(&r.a, "{\"msgtype\":\"dntxed\",\"diid\":%u,\"xtime\":%u}", r.token, what)); break;
        case 6: tick(&r, cur_u8(&in) * 20000); break;
        case 7: tick(&r, cur_u8(&in) * US_PER_S); break;
        case 8: hear(&r, which, (struct bytes){ NULL, 0 }, true); break;
        case 9: say(&r, which, S("{\"msgtype\":\"version\",\"station\":\"2.0.6\"}")); break;
        case 10: {
            struct downlink_new d = { 1, DEVICE, 10, what & 16, bytes_of(S("hello")), 0 };
            i64 id;
            (void)mac_downlink_add(&r.c->env, &d, &id, &why);
            break;
        }
        default: hear(&r, which, cur_take(&in, MIN(cur_left(&in), (size_t)(what & 15))), false); break;
        }
    }
    for (int i = 0; i < 8; i++)                    /* RX1, RX2, and the answers to both */
        tick(&r, 2 * US_PER_S);
    assert(city_count(r.c, "SELECT COUNT(*) FROM downlink WHERE state = 1") == 0);
    assert(city_count(r.c, "SELECT COUNT(*) FROM (SELECT 1 FROM uplink GROUP BY session, fcnt HAVING COUNT(*) > 1) x") == 0);
    stations_close(r.door);
    downs_close(r.downs);
    arena_free(&r.a);
    return 0;
}
