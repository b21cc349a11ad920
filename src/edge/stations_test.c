// SPDX-License-Identifier: Apache-2.0
/*
 * The door for stations with real sockets of this machine and a clock of our own. The other side is written here:
 * WebSocket by hand, frames sealed with lora/. TLS has its own facts (tls_test.c); here bytes are bare.
 */
#include "access/access.h"
#include "edge/cups.h"
#include "edge/downs.h"
#include "edge/rig.h"
#include "edge/station_plan.h"
#include "edge/stations.h"
#include "edge/websocket.h"
#include "wire/json.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct city {
    struct rig r;
    struct downs *downs;
    struct stations *door;
};

static struct city *city_make(bool dev)
{
    struct city *c = arena_new(test_arena(), struct city);
    struct stations_settings at = { .plan = lora_plan_by_name(S("AS923-1-JP")), .dev = dev };
    struct str why = S("");
    rig_open(&c->r);
    c->downs = downs_make(&c->r.env);
    TRUE(address_read(&at.at, S("127.0.0.1:0")));
    c->door = stations_open(&c->r.env, c->downs, &at, &why, &c->r.boot);
    TRUE(c->door != NULL);
    return c;
}

static void stop(struct city *c)
{
    stations_close(c->door);
    downs_close(c->downs);
    rig_close(&c->r);
}

static void carry_out(struct city *c)
{
    for (struct intent *i = c->r.env.outbox.first; i; i = i->next)
        if (i->kind == INTENT_DOWNLINK)
            downs_add(c->downs, &i->downlink);
    flow_done(&c->r.env);
}

/* What has arrived, until nothing more has; then what is due. */
static void turn(struct city *c)
{
    struct pollfd p = { stations_fd(c->door), POLLIN, 0 };
    while (poll(&p, 1, 2) > 0) {
        (void)stations_receive(c->door);
        carry_out(c);
    }
    (void)flow_tick(&c->r.env);
    (void)stations_tick(c->door);
    EQ(flow_commit(&c->r.env), OK);
    carry_out(c);
    (void)downs_tick(c->downs);
    EQ(flow_commit(&c->r.env), OK);
    carry_out(c);
}

static void pass(struct city *c, i64 us)
{
    rig_pass(&c->r, us);
    turn(c);
}

static u64 dropped(const struct city *c, enum drop drop) { return c->r.env.dropped[drop]; }

/* ------------------------------------------------------------------ the station's side */

struct client { int fd; u8 in[65536]; size_t n; bool over; };

static struct client *come(struct city *c)
{
    struct client *k = arena_new(test_arena(), struct client);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(stations_address(c->door).port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1;
    k->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EQ(setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    EQ(connect(k->fd, (struct sockaddr *)&in, sizeof in), 0);
    return k;
}

static void put(struct client *k, struct bytes b) { EQ(send(k->fd, b.p, b.n, MSG_NOSIGNAL), b.n); }

static void hear(struct client *k)
{
    ssize_t n;
    while ((n = recv(k->fd, k->in + k->n, sizeof k->in - k->n, MSG_DONTWAIT)) > 0)
        k->n += (size_t)n;
    k->over |= n == 0;
}

static void leave(struct client *k) { (void)close(k->fd); }

/* The first line of the answer, "HTTP/1.1 401 …"; the rest of it is forgotten. */
static int status(struct city *c, struct client *k)
{
    i64 code = 0;
    turn(c);
    hear(k);
    struct str text = { (char *)k->in, k->n };
    ptrdiff_t end = str_find(text, S("\r\n\r\n"));
    if (end < 0 || !str_to_i64(&code, (struct str){ text.p + 9, 3 }))
        return 0;
    k->n -= (size_t)end + 4;
    memmove(k->in, k->in + end + 4, k->n);
    return (int)code;
}

static int knock(struct city *c, struct client *k, const char *path, const char *headers)
{
    put(k, bytes_of(str_fmt(test_arena(), "GET %s HTTP/1.1\r\nHost: gate:8887\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                          "Sec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n%s\r\n", path, headers)));
    return status(c, k);
}

static void frame(struct client *k, u8 first, struct bytes payload)
{
    struct buf b = buf_of(arena_take(test_arena(), payload.n + 16, 1), payload.n + 16);
    buf_u8(&b, first);
    if (payload.n < 126)
        buf_u8(&b, (u8)(0x80 | payload.n));
    else {
        buf_u8(&b, 0xFE);
        buf_u16be(&b, (u16)payload.n);
    }
    buf_u32le(&b, 0);                                    /* a mask of zeros changes nothing */
    buf_put(&b, payload);
    put(k, buf_bytes(&b));
}

static void say(struct client *k, struct str text) { frame(k, 0x81, bytes_of(text)); }

/* The next frame that the door sent: its first byte, 0: none. */
static u8 next(struct client *k, struct str *text)
{
    hear(k);
    *text = S("");
    if (k->n < 2)
        return 0;
    size_t head = k->in[1] == 126 ? 4 : 2, n = head == 4 ? get_u16be(k->in + 2) : k->in[1];
    if (k->n < head + n)
        return 0;
    u8 first = k->in[0];
    *text = str_copy(test_arena(), (struct str){ (char *)k->in + head, n });
    k->n -= head + n;
    memmove(k->in, k->in + head + n, k->n);
    return first;
}

/* The next text that contains these words; empty: none. */
static struct str told(struct city *c, struct client *k, struct str words)
{
    struct str text;
    turn(c);
    for (u8 first; (first = next(k, &text)) != 0;)
        if (first == 0x81 && str_find(text, words) >= 0)
            return text;
    return S("");
}

/* The code with which the door closed; 0: it did not. */
static u16 goodbye(struct city *c, struct client *k)
{
    struct str text;
    turn(c);
    for (u8 first; (first = next(k, &text)) != 0;)
        if (first == 0x88 && text.n >= 2)
            return get_u16be((const u8 *)text.p);
    return 0;
}

static struct client *link_of(struct city *c, u64 eui)
{
    struct client *k = come(c);
    EQ(knock(c, k, str_fmt(test_arena(), "/router/%016llX", (unsigned long long)eui).p, ""), 101);
    say(k, S("{\"msgtype\":\"version\",\"station\":\"2.0.6\",\"model\":\"linux\",\"protocol\":2}"));
    TRUE(told(c, k, S("router_config")).n > 0);
    return k;
}

/* An uplink of the device as Station tells it. */
static void uplink(struct city *c, struct client *k, i64 xtime, bool confirmed)
{
    u8 room[LORA_AIR_MAX];
    struct buf phy = BUF(room);
    struct lora_session s = { false, &c->r.nwk, &c->r.nwk, &c->r.nwk, &c->r.app };
    struct lora_frame f = { .mtype = confirmed ? MTYPE_CONFIRMED_UP : MTYPE_DATA_UP, .fport = 2, .devaddr = DEVADDR, .payload = bytes_of(S("hi")) };
    EQ(lora_frame_seal(&phy, &f, &s, c->r.fcnt++, (struct lora_mic_terms){ 0 }), LORA_OK);
    say(k, str_fmt(test_arena(), "{\"msgtype\":\"updf\",\"MHdr\":%u,\"DevAddr\":%d,\"FCtrl\":%u,\"FCnt\":%u,\"FOpts\":\"\",\"FPort\":2,\"FRMPayload\":\"%.*s\","
                                 "\"MIC\":%d,\"DR\":2,\"Freq\":923400000,\"upinfo\":{\"rctx\":1,\"xtime\":%lld,\"gpstime\":0,\"rssi\":-80,\"snr\":5}}",
                   room[0], (i32)get_u32le(room + 1), room[5], get_u16le(room + 6), STR(hex_str(test_arena(), (struct bytes){ room + 9, phy.n - 13 })),
                   (i32)get_u32le(room + phy.n - 4), (long long)xtime));
}

static i64 row(struct city *c, const char *sql)
{
    struct db_query *q = db_query(c->r.env.db, sql);
    i64 v = db_step(q) == OK ? db_i64(q, 0) : -1;
    db_reset(q);
    return v;
}

static i64 number(struct str text, struct str key)
{
    const struct json *doc;
    i64 v = -1;
    TRUE(json_read(&doc, text, test_arena(), JSON_STRICT, NULL) == OK && json_i64(&v, json_get(doc, key)));
    return v;
}

/* RX1 is 5 s behind the uplink: the window for copies closes, then the answer leaves 800 ms ahead of its time. */
static void wait_for_answer(struct city *c)
{
    turn(c);
    pass(c, 250 * US_PER_MS);
    pass(c, 4000 * US_PER_MS);
}

#define X(session, us) ((i64)(session) << 48 | (i64)(us))

/* ------------------------------------------------------------------ who comes in */

TEST(a_registered_gateway_is_told_where_to_connect_and_a_stranger_is_not)
{
    struct city *c = city_make(true);
    struct client *k = come(c), *s = come(c);
    EQ(knock(c, k, "/router-info", ""), 101);
    say(k, S("{\"router\":\"a000::1\"}"));
    TRUE(str_find(told(c, k, S("uri")), S("\"uri\":\"ws://gate:8887/router/A000000000000001\"")) > 0);
    EQ(knock(c, s, "/router-info", ""), 101);
    say(s, S("{\"router\":\"::dead\"}"));
    TRUE(str_find(told(c, s, S("error")), S("uri")) < 0);
    EQ(dropped(c, DROP_UNKNOWN_GATEWAY), 1);
    hear(k), hear(s);
    TRUE(k->over && s->over);
    leave(k), leave(s), stop(c);
}

TEST(a_uri_is_made_of_what_the_gateway_called_us_if_that_is_a_name)
{
    static const struct { const char *host; const char *uri; } hosts[] = {
        { "gate.example", "ws://gate.example:80/router/A000000000000001" }, { "[::1]", "ws://[::1]:80/router/A000000000000001" },
        { "[::1]:99", "ws://[::1]:99/router/A000000000000001" }, { "a/b?", "ws://127.0.0.1:" }, { "a\"b", "ws://127.0.0.1:" },
    };
    struct city *c = city_make(true);
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct client *k = come(c);
        put(k, bytes_of(str_fmt(test_arena(), "GET /router-info HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                              "Sec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n\r\n", hosts[i].host)));
        EQ(status(c, k), 101);
        say(k, S("{\"router\":\"a000::1\"}"));
        TRUE(str_find(told(c, k, S("uri")), str_z(hosts[i].uri)) > 0);
        leave(k);
    }
    stop(c);
}

TEST(requests_that_this_door_does_not_answer_end_with_their_number)
{
    static const struct { const char *text; int status; enum drop drop; } rows[] = {
        { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, DROP_STATION_HTTP },
        { "PUT /router-info HTTP/1.1\r\n\r\n", 400, DROP_STATION_HTTP },
        { "GET /else HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n\r\n", 404, DROP_STATION_HTTP },
        { "GET /router/x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n\r\n", 404, DROP_STATION_HTTP },
        { "GET /router/0000000000000009 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n\r\n", 403,
          DROP_UNKNOWN_GATEWAY },
        { "POST /update-info HTTP/1.1\r\n\r\n", 413, DROP_STATION_LONG },
        { "POST /update-info HTTP/1.1\r\nContent-Length: 8193\r\n\r\n", 413, DROP_STATION_LONG },
        { "POST /update-info HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]", 400, DROP_JSON },
        { "POST /update-info HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400, DROP_STATION_FIELD },
        { "POST /update-info HTTP/1.1\r\nContent-Length: 18\r\n\r\n{\"router\":\"::dea\"}", 403, DROP_UNKNOWN_GATEWAY },
    };
    struct city *c = city_make(true);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct client *k = come(c);
        u64 before = dropped(c, rows[i].drop);
        put(k, bytes_of(str_z(rows[i].text)));
        EQ(status(c, k), rows[i].status);
        EQ(dropped(c, rows[i].drop), before + 1);
        hear(k);
        TRUE(k->over);
        leave(k);
    }
    stop(c);
}

TEST(a_gateway_without_a_key_comes_in_only_under_dev_and_one_with_a_key_shows_it)
{
    for (int dev = 0; dev < 2; dev++) {
        struct city *c = city_make(dev);
        struct gateway_key key = { .tenant = 1, .eui = EUI_A, .doors = DOOR_LNS, .crc = -1 };
        struct client *k = come(c), *l = come(c), *m = come(c), *n = come(c);
        struct str token;
        EQ(knock(c, k, "/router/A000000000000002", ""), dev ? 101 : 401);
        EQ(access_gateway_token_new(c->r.env.db, &key, rig_chance, &c->r.world, &token, test_arena()), OK);
        EQ(knock(c, l, "/router/A000000000000001", ""), 401);
        EQ(knock(c, m, "/router/A000000000000001", "Authorization: Bearer nonsense\r\n"), 401);
        EQ(knock(c, n, "/router/A000000000000001", str_fmt(test_arena(), "Authorization: Bearer %.*s\r\n", STR(token)).p), 101);
        EQ(dropped(c, DROP_STATION_KEY), dev ? 2 : 3);
        EQ(row(c, "SELECT used_us > 0 FROM gateway_key"), 1);
        EQ(db_exec(c->r.env.db, "DELETE FROM gateway_key"), OK);
        leave(k), leave(l), leave(m), leave(n), stop(c);
    }
}

TEST(without_tls_only_this_machine_is_served)
{
    struct city *c = city_make(true);
    struct stations_settings at = { .dev = true };
    struct str why = S("");
    TRUE(address_read(&at.at, S("0.0.0.0:0")));
    TRUE(stations_open(&c->r.env, c->downs, &at, &why, test_arena()) == NULL);
    TRUE(str_find(why, S("lns.crt")) > 0);
    stop(c);
}

TEST(a_gateway_that_comes_again_takes_the_place_of_its_last_connection)
{
    struct city *c = city_make(true);
    struct client *old = link_of(c, EUI_A), *young = link_of(c, EUI_A), *other = link_of(c, EUI_B);
    EQ(goodbye(c, old), WS_GOODBYE);
    hear(young), hear(other);
    TRUE(old->over && !young->over && !other->over);
    leave(old), leave(young), leave(other), stop(c);
}

/* ------------------------------------------------------------------ frames and answers */

TEST(an_uplink_is_stored_and_its_answer_has_both_windows_and_the_radios_time)
{
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A);
    uplink(c, k, X(0xA8, 5000000), true);
    turn(c);
    EQ(row(c, "SELECT COUNT(*) FROM uplink"), 1);
    wait_for_answer(c);
    struct str down = told(c, k, S("dnmsg"));
    EQ(number(down, S("RX1Freq")), 923400000);
    EQ(number(down, S("RX1DR")), 2);
    EQ(number(down, S("RX2Freq")), 923200000);
    EQ(number(down, S("RX2DR")), 2);
    EQ(number(down, S("RxDelay")), 5);
    EQ(number(down, S("rctx")), 1);
    TRUE(str_find(down, str_fmt(test_arena(), "\"xtime\":%lld,", (long long)X(0xA8, 5000000))) > 0);
    say(k, str_fmt(test_arena(), "{\"msgtype\":\"dntxed\",\"diid\":%lld,\"xtime\":%lld}", (long long)number(down, S("diid")), (long long)X(0xA8, 10000000)));
    turn(c);
    EQ(row(c, "SELECT state FROM downlink"), DOWN_ACCEPTED);
    leave(k), stop(c);
}

TEST(without_dntxed_nobody_knows_and_that_is_said_after_the_last_window)
{
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A);
    uplink(c, k, X(1, 5000000), true);
    wait_for_answer(c);
    TRUE(told(c, k, S("dnmsg")).n > 0);
    pass(c, 2900 * US_PER_MS);                               /* RX2 ends at 6 s and its airtime */
    EQ(row(c, "SELECT state FROM downlink"), DOWN_OFFERED);
    pass(c, 1000 * US_PER_MS);
    EQ(row(c, "SELECT state FROM downlink"), DOWN_UNKNOWN);
    leave(k), stop(c);
}

TEST(an_answer_that_nobody_asked_for_changes_nothing)
{
    static const char *const wrong[] = { "{\"msgtype\":\"dntxed\",\"diid\":70000}", "{\"msgtype\":\"dntxed\",\"diid\":-1}",
                                         "{\"msgtype\":\"dntxed\",\"diid\":7}" };
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A), *other = link_of(c, EUI_B);
    for (size_t i = 0; i < COUNT(wrong); i++)
        say(k, str_z(wrong[i]));
    turn(c);
    EQ(dropped(c, DROP_TXACK), 3);
    uplink(c, k, X(1, 5000000), true);
    wait_for_answer(c);
    i64 diid = number(told(c, k, S("dnmsg")), S("diid"));
    say(other, str_fmt(test_arena(), "{\"msgtype\":\"dntxed\",\"diid\":%lld}", (long long)diid));
    turn(c);
    EQ(dropped(c, DROP_TXACK), 4);                           /* another gateway's word */
    EQ(row(c, "SELECT state FROM downlink"), DOWN_OFFERED);
    leave(k), leave(other), stop(c);
}

TEST(a_connection_that_is_gone_ends_what_it_was_to_send)
{
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A);
    uplink(c, k, X(1, 5000000), true);
    turn(c);
    leave(k);
    wait_for_answer(c);
    EQ(row(c, "SELECT state FROM downlink"), DOWN_FAILED);
    stop(c);
}

TEST(what_was_handed_over_is_void_when_the_connection_goes)
{
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A);
    uplink(c, k, X(1, 5000000), true);
    wait_for_answer(c);
    TRUE(told(c, k, S("dnmsg")).n > 0);
    leave(k);
    turn(c);
    EQ(row(c, "SELECT state FROM downlink"), DOWN_FAILED);
    stop(c);
}

TEST(a_frame_that_was_kept_is_stored_and_not_answered)
{
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A);
    uplink(c, k, X(1, 5000000), false);
    turn(c);
    pass(c, 60 * US_PER_S);
    uplink(c, k, X(1, 15000000), true);                      /* heard ten seconds later, told sixty */
    wait_for_answer(c);
    EQ(told(c, k, S("dnmsg")).n, 0);
    EQ(row(c, "SELECT COUNT(*) FROM uplink"), 2);
    uplink(c, k, X(1, 65250000), true);                      /* and this one at once */
    wait_for_answer(c);
    TRUE(told(c, k, S("dnmsg")).n > 0);
    leave(k), stop(c);
}

TEST(another_session_of_the_radio_is_another_clock)
{
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A);
    uplink(c, k, X(1, 500000000), false);
    turn(c);
    pass(c, 10 * US_PER_S);
    uplink(c, k, X(2, 1000000), true);                       /* it has restarted */
    wait_for_answer(c);
    TRUE(told(c, k, S("dnmsg")).n > 0);
    pass(c, 5 * US_PER_S);
    uplink(c, k, X(0x102, 77), true);                        /* another concentrator of it, with a clock of its own */
    wait_for_answer(c);
    TRUE(told(c, k, S("dnmsg")).n > 0);
    leave(k), stop(c);
}

TEST(a_message_that_cannot_be_read_costs_itself_only)
{
    static const struct { const char *text; enum drop drop; } rows[] = {
        { "{", DROP_JSON }, { "[]", DROP_JSON }, { "{\"msgtype\":\"updf\"}", DROP_STATION_FIELD }, { "{\"msgtype\":\"runcmd\"}", DROP_STATION_KIND },
        { "{\"msgtype\":\"propdf\",\"FRMPayload\":\"E0\",\"DR\":9,\"Freq\":923200000,\"upinfo\":{\"xtime\":1,\"rssi\":1,\"snr\":1}}", DROP_MODULATION },
        { "{\"msgtype\":\"propdf\",\"FRMPayload\":\"E0\",\"DR\":2,\"Freq\":868100000,\"upinfo\":{\"xtime\":1,\"rssi\":1,\"snr\":1}}", DROP_FREQUENCY },
    };
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A);
    for (size_t i = 0; i < COUNT(rows); i++) {
        u64 before = dropped(c, rows[i].drop);
        say(k, str_z(rows[i].text));
        turn(c);
        EQ(dropped(c, rows[i].drop), before + 1);
    }
    say(k, S("{\"msgtype\":\"timesync\",\"txtime\":5}"));
    TRUE(str_find(told(c, k, S("timesync")), S("\"txtime\":5,\"gpstime\":1454035218")) > 0);
    leave(k), stop(c);
}

/* ------------------------------------------------------------------ limits */

TEST(a_message_in_parts_is_put_together)
{
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A);
    frame(k, 0x01, bytes_of(S("{\"msgtype\":\"time")));
    frame(k, 0x89, bytes_of(S("are you there")));
    frame(k, 0x00, bytes_of(S("sync\",\"txt")));
    frame(k, 0x80, bytes_of(S("ime\":7}")));
    TRUE(str_find(told(c, k, S("timesync")), S("\"txtime\":7")) > 0);
    leave(k), stop(c);
}

TEST(what_breaks_the_rules_of_websocket_ends_the_connection_with_its_code)
{
    static const struct { u8 first; const char *payload; u8 then; u16 code; enum drop drop; } rows[] = {
        { 0x80, "x", 0, WS_PROTOCOL, DROP_STATION_FRAME },   /* goes on with what never began */
        { 0x01, "x", 0x81, WS_PROTOCOL, DROP_STATION_FRAME },/* begins anew in the middle */
        { 0x82, "x", 0, WS_POLICY, DROP_STATION_KIND },
        { 0x83, "x", 0, WS_PROTOCOL, DROP_STATION_FRAME },
        { 0x88, "\x03\xe8", 0, WS_GOODBYE, PASS },
    };
    struct city *c = city_make(true);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct client *k = link_of(c, EUI_A);
        u64 before = dropped(c, rows[i].drop);
        frame(k, rows[i].first, bytes_of(str_z(rows[i].payload)));
        if (rows[i].then)
            frame(k, rows[i].then, bytes_of(S("y")));
        EQ(goodbye(c, k), rows[i].code);
        EQ(dropped(c, rows[i].drop), before + (rows[i].drop != PASS));
        leave(k);
    }
    stop(c);
}

TEST(a_message_has_16_kilobytes_at_most_whole_or_in_parts)
{
    static u8 much[16385];
    struct city *c = city_make(true);
    for (int parts = 0; parts < 2; parts++) {
        struct client *k = link_of(c, EUI_A);
        memset(much, ' ', sizeof much);
        if (parts) {
            frame(k, 0x01, (struct bytes){ much, 16000 });
            frame(k, 0x80, (struct bytes){ much, 385 });
        } else {
            frame(k, 0x81, (struct bytes){ much, sizeof much });
        }
        EQ(goodbye(c, k), WS_TOO_LONG);
        EQ(dropped(c, DROP_STATION_LONG), parts + 1);
        leave(k);
    }
    struct client *k = link_of(c, EUI_A);
    frame(k, 0x81, (struct bytes){ much, 16384 });
    turn(c);
    EQ(dropped(c, DROP_JSON), 1);                            /* as long as it may be, and blank */
    leave(k), stop(c);
}

TEST(one_gateway_has_its_share)
{
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A);
    for (int i = 0; i < 1100; i++) {
        say(k, S("{}"));
        if (i % 100 == 99)
            turn(c);
    }
    turn(c);
    EQ(dropped(c, DROP_GATEWAY_FLOOD), 101);                 /* its version was a message, too */
    pass(c, US_PER_S);
    say(k, S("{}"));
    turn(c);
    EQ(dropped(c, DROP_GATEWAY_FLOOD), 101);
    leave(k), stop(c);
}

TEST(pings_and_parts_have_their_share_too)
{
    static const u8 kinds[] = { 0x89, 0x8A, 0x00 };
    struct city *c = city_make(true);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct client *k = link_of(c, EUI_A);
        if (kinds[i] == 0x00)
            frame(k, 0x01, (struct bytes){ NULL, 0 });
        for (int n = 0; n < 1100 && !k->over; n++) {
            u8 bare[6] = { kinds[i], 0x80 };
            if (send(k->fd, bare, sizeof bare, MSG_NOSIGNAL) < 0)
                break;
            if (n % 100 == 99)
                turn(c), hear(k);
        }
        turn(c);
        hear(k);
        TRUE(k->over);
        EQ(dropped(c, DROP_GATEWAY_FLOOD), i + 1);
        leave(k);
    }
    stop(c);
}

TEST(who_does_not_say_who_it_is_is_hung_up_on)
{
    struct city *c = city_make(true);
    struct client *silent = come(c), *half = come(c), *asks = come(c);
    put(half, bytes_of(S("GET /router")));
    EQ(knock(c, asks, "/router-info", ""), 101);
    pass(c, 9 * US_PER_S);
    hear(silent), hear(half), hear(asks);
    TRUE(!silent->over && !half->over && !asks->over);
    pass(c, 2 * US_PER_S);
    hear(silent), hear(half), hear(asks);
    TRUE(silent->over && half->over && asks->over);
    EQ(dropped(c, DROP_STATION_SILENT), 3);
    leave(silent), leave(half), leave(asks), stop(c);
}

TEST(a_gateway_is_asked_whether_it_is_there_and_is_gone_when_it_does_not_say_so)
{
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A), *dead = link_of(c, EUI_B);
    struct str text;
    for (int i = 0; i < 5; i++) {
        pass(c, 31 * US_PER_S);
        EQ(next(k, &text), 0x89);
        frame(k, 0x8A, bytes_of(text));
        turn(c);
    }
    hear(k), hear(dead);
    TRUE(!k->over && dead->over);
    EQ(dropped(c, DROP_STATION_SILENT), 1);
    leave(k), leave(dead), stop(c);
}

TEST(a_gateway_that_does_not_read_is_let_go)
{
    struct city *c = city_make(true);
    struct client *k = link_of(c, EUI_A);
    struct str ping = S("{\"msgtype\":\"version\",\"station\":\"2.0.6\"}");
    for (int i = 0; i < 12000 && dropped(c, DROP_STATION_SLOW) == 0; i++) {
        if (send(k->fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        say(k, ping);
        if (i % 50 == 49) {
            c->r.world.now.us += US_PER_S / 10;
            turn(c);
        }
    }
    EQ(dropped(c, DROP_STATION_SLOW), 1);
    leave(k), stop(c);
}

/* ------------------------------------------------------------------ plans */

TEST(every_region_has_a_plan_that_station_can_take)
{
    for (size_t i = 0; lora_region_at(i); i++) {
        const struct lora_region *r = lora_region_at(i);
        struct station_config c;
        const struct json *doc;
        bool as_is;
        station_plan(&c, r, NULL, S("2.0.6"), S("linux"), &as_is);
        TRUE(c.channels_n > 0 && c.min_hz > 0 && c.max_hz > c.min_hz);
        TRUE(r->rx2_hz >= c.min_hz && r->rx2_hz <= c.max_hz);
        for (u32 k = 0; k < STATION_DRS; k++)
            TRUE(c.dr[k].sf == -1 || c.dr[k].sf == 0 || (c.dr[k].sf >= 7 && c.dr[k].sf <= 12));
        EQ(json_read(&doc, station_config_write(&c, test_arena()), test_arena(), JSON_STRICT, NULL), OK);
        TRUE(station_plan_hears(r, NULL, r->up[0].first_hz) && !station_plan_hears(r, NULL, 1000));
    }
}

/* ------------------------------------------------------------------ CUPS */

TEST(the_checksum_is_that_of_ieee)
{
    EQ(cups_crc(bytes_of(S("123456789"))), 0xCBF43926);
    EQ(cups_crc(bytes_of(S(""))), 0);
}

TEST(a_question_to_cups_is_read_or_refused)
{
    static const struct { const char *text; enum drop drop; } rows[] = {
        { "{\"router\":\"a000::1\",\"cupsCredCrc\":1,\"tcCredCrc\":4294967295,\"keys\":[1,2]}", PASS },
        { "{\"router\":\"a000::1\"}", PASS }, { "{\"router\":1}", PASS }, { "", DROP_JSON }, { "{\"router\":1,\"router\":2}", DROP_STATION_FIELD },
        { "{\"router\":\"x\"}", DROP_STATION_FIELD }, { "{\"router\":1,\"tcCredCrc\":4294967296}", DROP_STATION_FIELD },
        { "{\"router\":1,\"tcCredCrc\":-1}", DROP_STATION_FIELD }, { "{\"router\":1,\"keys\":7}", DROP_STATION_FIELD },
        { "{\"router\":1,\"keys\":[1,2,3,4,5,6,7,8,9]}", DROP_STATION_FIELD }, { "{\"router\":1,\"keys\":[\"a\"]}", DROP_STATION_FIELD },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cups_request rq;
        enum drop drop = cups_read(&rq, str_z(rows[i].text), test_arena());
        TRUE(drop == rows[i].drop || (drop == DROP_JSON && rows[i].drop == DROP_STATION_FIELD));
        TRUE(rq.keys_n <= CUPS_KEYS_MAX);
    }
}

static struct bytes ask_cups(struct city *c, u32 lns_crc, struct bytes trust)
{
    struct cups_request rq = { .router = EUI_A, .lns_crc = lns_crc, .keys = { 1 }, .keys_n = 1 };
    struct bytes all = cups_answer(&c->r.env, 1, &rq, trust, test_arena());
    EQ(flow_commit(&c->r.env), OK);
    flow_done(&c->r.env);
    ptrdiff_t end = str_find(str_of(all), S("\r\n\r\n"));
    TRUE(end > 0 && str_starts(str_of(all), S("HTTP/1.1 200 OK\r\n")));
    return (struct bytes){ all.p + end + 4, all.n - (size_t)end - 4 };
}

static void put_key(struct city *c, struct gateway_key *k, u8 first, u8 doors, bool replaced)
{
    *k = (struct gateway_key){ .tenant = 1, .eui = EUI_A, .hash = { first }, .doors = doors, .replaced = replaced, .crc = -1, .created_us = first };
    EQ(access_gateway_key_put(c->r.env.db, k), OK);
}

TEST(nothing_new_is_fourteen_zeros)
{
    static const u8 zeros[14];
    struct city *c = city_make(true);
    struct gateway_key k;
    struct bytes trust = bytes_of(S("0trust"));
    TRUE(bytes_eq(ask_cups(c, 1, trust), (struct bytes){ zeros, 14 }));
    put_key(c, &k, 1, DOOR_LNS | DOOR_CUPS, false);
    TRUE(bytes_eq(ask_cups(c, 1, trust), (struct bytes){ zeros, 14 }));
    put_key(c, &k, 1, DOOR_LNS | DOOR_CUPS, true);
    TRUE(bytes_eq(ask_cups(c, 1, (struct bytes){ NULL, 0 }), (struct bytes){ zeros, 14 }));      /* nothing to believe us by */
    stop(c);
}

TEST(a_token_is_rotated_in_steps_that_may_each_be_lost)
{
    struct city *c = city_make(true);
    struct gateway_key old, all[GATEWAY_KEYS_MAX], lost, fresh;
    struct bytes trust = bytes_of(S("0trust")), one, two;
    size_t n;
    put_key(c, &old, 1, DOOR_LNS | DOOR_CUPS, true);
    one = ask_cups(c, 1, trust);
    EQ(one.n, 14 + get_u16le(one.p + 4));
    EQ(access_gateway_keys(all, &n, c->r.env.db, 1, EUI_A), OK);
    EQ(n, 2);
    lost = all[1];
    EQ(lost.crc, cups_crc((struct bytes){ one.p + 6, one.n - 14 }));
    EQ(lost.doors, DOOR_LNS);
    two = ask_cups(c, 1, trust);                             /* the first answer never came */
    EQ(access_gateway_keys(all, &n, c->r.env.db, 1, EUI_A), OK);
    EQ(n, 2);
    fresh = all[1];
    TRUE(memcmp(fresh.hash, lost.hash, sizeof lost.hash) != 0);
    EQ(ask_cups(c, cups_crc((struct bytes){ two.p + 6, two.n - 14 }), trust).n, 14);
    EQ(access_gateway_key(&all[0], c->r.env.db, 1, EUI_A, old.hash, DOOR_LNS, 1), OK);             /* still good */
    EQ(cups_retire(&c->r.env, &fresh), OK);
    EQ(access_gateway_key(&all[0], c->r.env.db, 1, EUI_A, old.hash, DOOR_LNS, 1), ERR_DENIED);
    EQ(access_gateway_key(&all[0], c->r.env.db, 1, EUI_A, old.hash, DOOR_CUPS, 1), OK);            /* that door was not rotated */
    EQ(access_gateway_key(&all[0], c->r.env.db, 1, EUI_A, fresh.hash, DOOR_LNS, 1), OK);
    stop(c);
}
