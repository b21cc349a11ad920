// SPDX-License-Identifier: Apache-2.0
/*
 * The gateways' door with real datagrams of this machine and a clock of our own. The other side is
 * written here, byte by byte. A store of its own for each test.
 */
#include "edge/capture.h"
#include "edge/gateways.h"
#include "edge/rig.h"
#include "wire/json.h"

struct city {
    struct rig r;
    struct udp *udp;
    struct gateways *door;
    struct address at;
};

static struct udp *socket_at(const char *host)
{
    struct address at;
    struct str why;
    TRUE(address_read(&at, str_fmt(test_arena(), "%s:0", host)));
    struct udp *udp = udp_open(at, 4 << 20, &why, test_arena());
    TRUE(udp != NULL);
    return udp;
}

static struct city *city_make(void)
{
    struct city *c = arena_new(test_arena(), struct city);
    rig_open(&c->r);
    c->udp  = socket_at("127.0.0.1");
    c->at   = udp_address(c->udp);
    c->door = gateways_make(&c->r.env, c->udp);
    return c;
}

static void stop(struct city *c)
{
    gateways_close(c->door);
    udp_close(c->udp);
    rig_close(&c->r);
}

static void pass(struct city *c, i64 us)
{
    rig_pass(&c->r, us);
}

/* ------------------------------------------------------------------ the gateway's side */

static void send_bytes(struct city *c, struct udp *from, struct bytes bytes)
{
    struct datagram d = { c->at, bytes };
    EQ(udp_send(from, &d, 1), 1);
}

static void say(struct city *c, struct udp *from, u8 version, u16 token, u8 kind, u64 eui, struct str json)
{
    u8 *room = arena_take(test_arena(), 12 + json.n, 1);
    struct buf b = buf_of(room, 12 + json.n);
    buf_u8(&b, version);
    buf_u16be(&b, token);
    buf_u8(&b, kind);
    buf_u64be(&b, eui);
    buf_put(&b, bytes_of(json));
    send_bytes(c, from, buf_bytes(&b));
}

enum { PUSH = 0, PULL = 2, TX_ACK = 5 };

/* What arrived at a socket: one datagram of it as hex of its head, and its JSON. */
struct heard { size_t n; u8 version, kind; u16 token; struct str json; };

static struct heard hear(struct udp *at)
{
    static struct datagram in[UDP_BATCH];
    struct heard h = { .n = udp_receive(at, in) };
    if (h.n == 0)
        return h;
    struct bytes last = bytes_copy(test_arena(), in[h.n - 1].bytes);
    h.version = last.p[0];
    h.token   = get_u16be(last.p + 1);
    h.kind    = last.p[3];
    h.json    = str_of((struct bytes){ last.p + 4, last.n - 4 });
    return h;
}

/* One turn of the daemon: datagrams, then what is due. */
static void turn(struct city *c)
{
    EQ(gateways_receive(c->door), OK);
    flow_done(&c->r.env);
    (void)gateways_tick(c->door);
    EQ(flow_commit(&c->r.env), OK);
    flow_done(&c->r.env);
}

static u64 dropped(const struct city *c, enum drop drop) { return c->r.env.dropped[drop]; }

/* ------------------------------------------------------------------ who is answered */

TEST(a_registered_gateway_is_acknowledged_with_its_token)
{
    struct city *c = city_make();
    struct udp *pull = socket_at("127.0.0.1"), *push = socket_at("127.0.0.1");
    say(c, pull, 2, 0xBEEF, PULL, EUI_A, S(""));
    say(c, push, 2, 0x1234, PUSH, EUI_A, S("{\"stat\":{\"rxnb\":2}}"));
    turn(c);
    struct heard a = hear(pull), b = hear(push);
    EQ(a.n, 1);
    EQ(a.token, 0xBEEF);
    EQ(a.kind, 4);
    EQ(a.json.n, 0);
    EQ(b.n, 1);
    EQ(b.token, 0x1234);
    EQ(b.kind, 1);
    EQ(b.json.n, 0);
    udp_close(pull), udp_close(push), stop(c);
}

TEST(a_gateway_that_is_not_registered_hears_nothing)
{
    struct city *c = city_make();
    struct udp *s = socket_at("127.0.0.1");
    say(c, s, 2, 1, PULL, 0xDEAD, S(""));
    say(c, s, 2, 2, PUSH, 0xDEAD, S("{}"));
    say(c, s, 2, 3, TX_ACK, 0xDEAD, S(""));
    turn(c);
    EQ(hear(s).n, 0);
    EQ(dropped(c, DROP_UNKNOWN_GATEWAY), 3);
    udp_close(s), stop(c);
}

TEST(what_no_gateway_sends_is_dropped_in_silence)
{
    struct city *c = city_make();
    struct udp *s = socket_at("127.0.0.1");
    static const u8 zeros[12];
    for (size_t n = 0; n < 12; n++) {
        u8 d[12] = { 2, 0, 0, n % 2 ? PUSH : PULL };
        send_bytes(c, s, (struct bytes){ d, n });
    }
    turn(c);
    EQ(dropped(c, DROP_SHORT_DATAGRAM), 12);
    send_bytes(c, s, (struct bytes){ zeros, 12 });
    say(c, s, 3, 0, PULL, EUI_A, S(""));
    turn(c);
    EQ(dropped(c, DROP_UDP_VERSION), 2);
    say(c, s, 2, 0, 1, EUI_A, S(""));
    say(c, s, 2, 0, 3, EUI_A, S("{}"));
    say(c, s, 2, 0, 4, EUI_A, S(""));
    turn(c);
    EQ(dropped(c, DROP_UDP_KIND), 3);
    static const char *const bad[] = { "", "{", "[]", "5", "{\"rxpk\":[{]}", "null", "\xff" };
    for (size_t i = 0; i < COUNT(bad); i++)
        say(c, s, 2, 0, PUSH, EUI_A, str_z(bad[i]));
    turn(c);
    EQ(dropped(c, DROP_JSON), COUNT(bad));
    say(c, s, 2, 0, PUSH, EUI_A, S("{\"rxpk\":{}}"));
    turn(c);
    EQ(dropped(c, DROP_RXPK_FIELD), 1);
    EQ(hear(s).n, 0);
    udp_close(s), stop(c);
}

/* Nothing is acknowledged by a batch that the store did not take. */
TEST(a_commit_that_fails_acknowledges_nothing)
{
    struct city *c = city_make();
    struct udp *s = socket_at("127.0.0.1");
    say(c, s, 2, 1, PULL, EUI_A, S(""));
    c->r.env.failed = ERR_FULL;
    EQ(gateways_receive(c->door), ERR_FULL);
    flow_done(&c->r.env);
    EQ(hear(s).n, 0);
    say(c, s, 2, 2, PULL, EUI_A, S(""));
    turn(c);
    EQ(hear(s).token, 2);
    udp_close(s), stop(c);
}

TEST(an_eui_does_not_move_while_its_address_is_alive)
{
    struct city *c = city_make();
    struct udp *home = socket_at("127.0.0.1"), *port = socket_at("127.0.0.1"), *thief = socket_at("127.0.0.2");
    say(c, home, 2, 1, PULL, EUI_A, S(""));
    turn(c);
    EQ(hear(home).n, 1);
    say(c, thief, 2, 2, PULL, EUI_A, S(""));
    say(c, thief, 2, 3, PUSH, EUI_A, S("{}"));
    say(c, thief, 2, 4, TX_ACK, EUI_A, S(""));
    turn(c);
    EQ(hear(thief).n, 0);
    EQ(dropped(c, DROP_FOREIGN_SOURCE), 3);
    say(c, port, 2, 5, PULL, EUI_A, S(""));                /* another port of the same host: a NAT at work */
    turn(c);
    EQ(hear(port).n, 1);
    say(c, thief, 2, 6, PULL, EUI_B, S(""));               /* another gateway may stand there */
    turn(c);
    EQ(hear(thief).n, 1);
    pass(c, 59 * US_PER_S);
    say(c, thief, 2, 7, PULL, EUI_A, S(""));
    turn(c);
    EQ(hear(thief).n, 0);
    pass(c, 2 * US_PER_S);                                 /* a minute of silence: it has moved house */
    say(c, thief, 2, 8, PULL, EUI_A, S(""));
    turn(c);
    EQ(hear(thief).n, 1);
    say(c, home, 2, 9, PULL, EUI_A, S(""));
    turn(c);
    EQ(hear(home).n, 0);
    udp_close(home), udp_close(port), udp_close(thief), stop(c);
}

TEST(one_gateway_has_its_share_and_no_more)
{
    struct city *c = city_make();
    struct udp *loud = socket_at("127.0.0.1"), *thief = socket_at("127.0.0.2"), *calm = socket_at("127.0.0.1");
    size_t answered = 0;
    for (int round = 0; round < 15; round++) {
        for (u16 i = 0; i < 200; i++)
            say(c, loud, 2, i, PULL, EUI_A, S(""));
        turn(c);
        answered += hear(loud).n;
        for (u16 i = 0; i < 20; i++)
            say(c, thief, 2, i, PULL, EUI_A, S(""));       /* a stranger does not use up its share */
        turn(c);
    }
    EQ(answered, 2000);
    EQ(dropped(c, DROP_GATEWAY_FLOOD), 1000);
    EQ(dropped(c, DROP_FOREIGN_SOURCE), 300);
    say(c, calm, 2, 1, PULL, EUI_B, S(""));
    turn(c);
    EQ(hear(calm).n, 1);                                   /* another one's share is its own */
    pass(c, 10 * US_PER_MS);
    for (u16 i = 0; i < 30; i++)
        say(c, loud, 2, i, PULL, EUI_A, S(""));
    turn(c);
    EQ(hear(loud).n, 20);                                  /* 2,000 a second */
    udp_close(loud), udp_close(thief), udp_close(calm), stop(c);
}

/* ------------------------------------------------------------------ frames */

static struct str frame_of(struct city *c, struct str data)
{
    if (data.n == 0) {
        struct buf b = buf_of(arena_take(test_arena(), 64, 1), 64);
        struct lora_session s = { false, &c->r.nwk, &c->r.nwk, &c->r.nwk, &c->r.app };
        struct lora_frame f = { .mtype = MTYPE_DATA_UP, .fport = 2, .devaddr = 0x01020304,
                                .payload = bytes_of(S("abc")) };
        EQ(lora_frame_seal(&b, &f, &s, c->r.fcnt++, (struct lora_mic_terms){ 0 }), LORA_OK);
        data = base64_str(test_arena(), buf_bytes(&b));
    }
    return str_fmt(test_arena(),
                   "{\"tmst\":%u,\"freq\":923.2,\"stat\":1,\"modu\":\"LORA\",\"datr\":\"SF10BW125\",\"rssi\":-90,"
                   "\"lsnr\":5,\"data\":\"%.*s\"}",
                   (unsigned)(u32)c->r.world.now.us, STR(data));
}

static void push(struct city *c, struct udp *from, u64 eui, struct str rxpk)
{
    say(c, from, 2, 0x5555, PUSH, eui, str_fmt(test_arena(), "{\"rxpk\":[%.*s]}", STR(rxpk)));
}

TEST(what_comes_through_the_door_is_kept_as_it_came)
{
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1");
    struct str why = S("");
    struct bytes half[2], all;
    struct capture_record r;
    const char *folder = test_folder();
    struct capture *capture = capture_open(folder, 1 << 20, &why, test_arena());
    gateways_capture(c->door, capture);
    say(c, a, 2, 0x1234, PULL, EUI_A, S(""));
    send_bytes(c, a, bytes_of(S("no gateway says this")));
    turn(c);
    EQ(capture_kept(capture), 2);
    capture_close(capture);
    for (int i = 0; i < 2; i++)
        EQ(sys_file_read(&half[i], str_fmt(test_arena(), "%s/capture.%d", folder, i).p, 1 << 20, test_arena()), OK);
    EQ(capture_join(&all, half, test_arena()), OK);
    struct cur cur = cur_of(all);
    TRUE(capture_next(&cur, &r));
    EQ(r.kind, CAPTURE_DATAGRAM);
    EQ(r.mono.us, c->r.world.now.us);
    EQ(r.wall.us, c->r.world.clock.us);
    TRUE(address_eq(r.peer, udp_address(a)));
    EQ(r.bytes.n, 12);
    TRUE(capture_next(&cur, &r));
    STR_EQ(str_of(r.bytes), S("no gateway says this"));
    udp_close(a);
    stop(c);
}

TEST(a_bad_object_costs_itself_only)
{
    struct city *c = city_make();
    struct udp *s = socket_at("127.0.0.1");
    struct str one = frame_of(c, S("")), two = frame_of(c, S(""));
    push(c, s, EUI_A,
         str_fmt(test_arena(), "%.*s,{\"tmst\":NaN},5,%.*s,%.*s", STR(one), STR(frame_of(c, S("Q!"))), STR(two)));
    turn(c);
    EQ(hear(s).n, 1);
    EQ(dropped(c, DROP_RXPK_FIELD), 2);
    EQ(dropped(c, DROP_BASE64), 1);
    EQ(c->r.env.counted[COUNT_UPLINKS], 2);
    udp_close(s), stop(c);
}

TEST(a_datagram_carries_255_frames_and_no_more)
{
    struct city *c = city_make();
    struct udp *s = socket_at("127.0.0.1");
    for (u32 n = 254; n <= 257; n++) {
        struct text t = text_make(test_arena(), 1 << 18);
        for (u32 i = 0; i < n; i++)
            text_fmt(&t, "%s%.*s", i ? "," : "", STR(frame_of(c, S(""))));
        push(c, s, EUI_A, text_str(&t));
        turn(c);
        EQ(hear(s).n, n <= 255);
    }
    EQ(dropped(c, DROP_RXPK_TOO_MANY), 2);
    EQ(c->r.env.counted[COUNT_UPLINKS], 254 + 3 * 255);
    udp_close(s), stop(c);
}

TEST(a_frame_outside_the_region_is_not_of_this_network)
{
    struct city *c = city_make();
    struct udp *s = socket_at("127.0.0.1");
    static const struct { const char *mhz; bool inside; } rows[] = {
        { "868.1", false }, { "902.3", false }, { "915.0", true },    { "920.6", true },
        { "928.0", true },  { "940.0", false }, { "433.175", false }, { "2403.0", false },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        u64 before = dropped(c, DROP_FREQUENCY);
        struct str rxpk =
            str_fmt(test_arena(),
                    "{\"tmst\":1,\"freq\":%s,\"modu\":\"LORA\",\"datr\":\"SF10BW125\",\"rssi\":-90,\"lsnr\":5,"
                    "\"data\":\"QAECAwQAAAABAgME\"}",
                    rows[i].mhz);
        push(c, s, EUI_A, rxpk);
        turn(c);
        EQ(dropped(c, DROP_FREQUENCY) - before, !rows[i].inside);
    }
    udp_close(s), stop(c);
}

TEST(a_bad_checksum_is_counted_and_goes_no_further)
{
    struct city *c = city_make();
    struct udp *s = socket_at("127.0.0.1");
    struct str good = frame_of(c, S(""));
    ptrdiff_t at = str_find(good, S("\"stat\":1"));
    struct str bad = str_fmt(test_arena(), "%.*s\"stat\":-1%s", (int)at, good.p, good.p + at + 8);
    push(c, s, EUI_A, bad);
    turn(c);
    EQ(hear(s).n, 1);
    EQ(dropped(c, DROP_BAD_CRC), 1);
    EQ(c->r.env.counted[COUNT_UPLINKS], 0);
    push(c, s, EUI_A, good);
    turn(c);
    EQ(c->r.env.counted[COUNT_UPLINKS], 1);
    udp_close(s), stop(c);
}

/* ------------------------------------------------------------------ downlinks */

static struct downlink downlink_of(struct city *c, u32 tries)
{
    struct downlink_new in = { 1, DEVICE, 10, false, bytes_of(S("x")), 0 };
    struct downlink d = { .tenant = 1, .dev_eui = DEVICE, .phy = bytes_of(S("\x60\x04\x03\x02\x01")),
                          .tries_count = tries };
    struct str why;
    EQ(mac_downlink_add(&c->r.env, &in, &d.id, &why), OK);
    EQ(flow_commit(&c->r.env), OK);
    flow_done(&c->r.env);
    for (u32 i = 0; i < tries; i++)
        d.tries[i] = (struct transmission){ .gateway    = i < 2 ? EUI_A : EUI_B,
                                            .tmst_us    = 7000000 + i,
                                            .freq_hz    = i % 2 ? 923200000 : 922400000,
                                            .bw_hz      = 125000,
                                            .sf         = (u8)(i % 2 ? 10 : 9),
                                            .power_dbm  = 13,
                                            .airtime_us = 200000,
                                            .at         = mono_after(c->r.world.now, (5 + i % 2) * US_PER_S),
                                            .window     = (u8)(1 + i % 2) };
    return d;
}

/* "failed: the words" */
static struct str state_of(struct city *c, i64 id)
{
    struct db_query *q =
        db_query(c->r.env.db, "SELECT state, reason FROM downlink WHERE tenant = 1 AND dev_eui = $1 AND id = $2");
    db_bind_i64(q, 1, (i64)DEVICE);
    db_bind_i64(q, 2, id);
    EQ(db_step(q), OK);
    struct str words =
        str_fmt(test_arena(), "%.*s: %.*s", STR(down_state_words((enum down_state)db_i64(q, 0))), STR(db_str(q, 1)));
    db_reset(q);
    return words;
}

static void open_path(struct city *c, struct udp *s, u64 eui, u8 version)
{
    say(c, s, version, 1, PULL, eui, S(""));
    turn(c);
    EQ(hear(s).n, 1);
}

TEST(a_downlink_goes_where_pull_data_came_from_in_its_time)
{
    struct city *c = city_make();
    struct udp *pull = socket_at("127.0.0.1"), *up = socket_at("127.0.0.1");
    open_path(c, pull, EUI_A, 2);
    say(c, up, 2, 1, PUSH, EUI_A, S("{}"));
    turn(c);
    (void)hear(up);
    struct downlink d = downlink_of(c, 1);
    gateways_send(c->door, &d);
    turn(c);
    pass(c, 4199 * US_PER_MS);                             /* 801 ms before its time */
    turn(c);
    EQ(hear(pull).n, 0);
    pass(c, 1 * US_PER_MS);
    turn(c);
    struct heard h = hear(pull);
    EQ(h.n, 1);
    EQ(h.kind, 3);
    EQ(h.version, 2);
    STR_EQ(h.json,
           S("{\"txpk\":{\"imme\":false,\"tmst\":7000000,\"freq\":922.400000,\"rfch\":0,\"powe\":13,\"modu\":\"LORA\","
             "\"datr\":\"SF9BW125\",\"codr\":\"4/5\",\"ipol\":true,\"ncrc\":true,\"size\":5,\"data\":\"YAQDAgE=\"}}"));
    EQ(hear(up).n, 0);
    say(c, pull, 2, h.token, TX_ACK, EUI_A, S(""));
    turn(c);
    STR_EQ(state_of(c, d.id), S("accepted: "));
    pass(c, 10 * US_PER_S);
    turn(c);
    STR_EQ(state_of(c, d.id), S("accepted: "));
    udp_close(pull), udp_close(up), stop(c);
}

TEST(without_an_answer_nobody_knows)
{
    struct city *c = city_make();
    struct udp *s = socket_at("127.0.0.1");
    open_path(c, s, EUI_A, 2);
    struct downlink d = downlink_of(c, 2);
    gateways_send(c->door, &d);
    pass(c, 4200 * US_PER_MS);
    turn(c);
    u16 token = hear(s).token;
    pass(c, 999 * US_PER_MS);
    turn(c);
    STR_EQ(state_of(c, d.id), S("queued: "));
    pass(c, 1 * US_PER_MS);
    turn(c);
    STR_EQ(state_of(c, d.id), S("unknown: the gateway did not answer"));
    pass(c, 5 * US_PER_S);
    turn(c);
    EQ(hear(s).n, 0);                                      /* it may have been sent: never a second time */
    say(c, s, 2, token, TX_ACK, EUI_A, S(""));
    turn(c);
    EQ(dropped(c, DROP_TXACK), 1);                         /* too late to be believed */
    udp_close(s), stop(c);
}

TEST(an_answer_must_be_of_the_gateway_that_was_asked)
{
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1"), *b = socket_at("127.0.0.1");
    open_path(c, a, EUI_A, 2);
    open_path(c, b, EUI_B, 2);
    struct downlink d = downlink_of(c, 1);
    gateways_send(c->door, &d);
    say(c, a, 2, 0, TX_ACK, EUI_A, S(""));                 /* nothing has left yet */
    turn(c);
    EQ(dropped(c, DROP_TXACK), 1);
    pass(c, 4200 * US_PER_MS);
    turn(c);
    u16 token = hear(a).token;
    say(c, a, 2, (u16)(token + 1), TX_ACK, EUI_A, S("{\"txpk_ack\":{\"error\":\"TX_FREQ\"}}"));
    say(c, b, 2, token, TX_ACK, EUI_B, S("{\"txpk_ack\":{\"error\":\"TX_FREQ\"}}"));
    turn(c);
    EQ(dropped(c, DROP_TXACK), 3);
    say(c, a, 2, token, TX_ACK, EUI_A, S("{\"txpk_ack\":"));
    turn(c);
    EQ(dropped(c, DROP_JSON), 1);
    STR_EQ(state_of(c, d.id), S("queued: "));
    say(c, a, 2, token, TX_ACK, EUI_A, S("{\"txpk_ack\":{\"error\":\"NONE\"}}"));
    turn(c);
    STR_EQ(state_of(c, d.id), S("accepted: "));
    say(c, a, 2, token, TX_ACK, EUI_A, S(""));
    turn(c);
    EQ(dropped(c, DROP_TXACK), 4);                         /* once is enough */
    udp_close(a), udp_close(b), stop(c);
}

static void refuse(struct city *c, struct udp *s, u64 eui, u16 token, const char *error)
{
    say(c, s, 2, token, TX_ACK, eui, str_fmt(test_arena(), "{\"txpk_ack\":{\"error\":\"%s\"}}", error));
    turn(c);
}

TEST(an_error_brings_the_next_window_and_then_the_next_gateway)
{
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1"), *b = socket_at("127.0.0.1");
    open_path(c, a, EUI_A, 2);
    open_path(c, b, EUI_B, 2);
    struct downlink d = downlink_of(c, 4);                 /* A RX1, A RX2, B RX1, B RX2 */
    gateways_send(c->door, &d);
    pass(c, 4200 * US_PER_MS);
    turn(c);
    struct heard one = hear(a);
    EQ(one.n, 1);
    refuse(c, a, EUI_A, one.token, "TOO_LATE");
    EQ(hear(a).n, 0);
    pass(c, 1000 * US_PER_MS);                             /* 800 ms before RX2 */
    turn(c);
    struct heard two = hear(a);
    EQ(two.n, 1);
    TRUE(str_find(two.json, S("\"freq\":923.200000")) > 0 && two.token != one.token);
    refuse(c, a, EUI_A, two.token, "COLLISION_PACKET");
    turn(c);
    struct heard three = hear(b);                          /* B's RX1 has passed */
    EQ(three.n, 1);
    TRUE(str_find(three.json, S("\"tmst\":7000003")) > 0);
    refuse(c, b, EUI_B, three.token, "TX_FREQ");
    STR_EQ(state_of(c, d.id), S("failed: the gateway refused: TX_FREQ"));
    udp_close(a), udp_close(b), stop(c);
}

TEST(a_window_that_has_passed_is_not_tried)
{
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1");
    open_path(c, a, EUI_A, 2);
    struct downlink d = downlink_of(c, 2);
    gateways_send(c->door, &d);
    pass(c, 4200 * US_PER_MS);
    turn(c);
    struct heard one = hear(a);
    pass(c, 900 * US_PER_MS);
    say(c, a, 2, one.token, TX_ACK, EUI_A, S("{\"txpk_ack\":{\"error\":\"TOO_LATE\"}}"));
    pass(c, 850 * US_PER_MS);                              /* 50 ms before RX2: a queue wants 60 */
    turn(c);
    EQ(hear(a).n, 0);
    STR_EQ(state_of(c, d.id), S("failed: the gateway refused: TOO_LATE"));
    udp_close(a), stop(c);
}

/* A commit that took long: the loop looks at what is due when it is past. */
TEST(what_was_held_up_until_its_time_had_come_does_not_leave)
{
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1");
    open_path(c, a, EUI_A, 2);
    struct downlink two = downlink_of(c, 2), one = downlink_of(c, 1);
    gateways_send(c->door, &two);
    gateways_send(c->door, &one);
    pass(c, 4950 * US_PER_MS);                             /* 50 ms before RX1 */
    turn(c);
    EQ(hear(a).n, 0);
    STR_EQ(state_of(c, one.id), S("failed: its time had come before it could leave"));
    pass(c, 250 * US_PER_MS);                              /* 800 ms before RX2 */
    turn(c);
    struct heard h = hear(a);
    EQ(h.n, 1);
    TRUE(str_find(h.json, S("\"tmst\":7000001")) > 0);
    udp_close(a), stop(c);
}

TEST(a_gateway_without_an_open_path_is_passed_over)
{
    struct city *c = city_make();
    struct udp *b = socket_at("127.0.0.1");
    open_path(c, b, EUI_B, 2);
    struct downlink d = downlink_of(c, 4);
    gateways_send(c->door, &d);
    pass(c, 4200 * US_PER_MS);
    for (int i = 0; i < 5; i++)
        turn(c);
    struct heard h = hear(b);
    EQ(h.n, 1);
    TRUE(str_find(h.json, S("\"tmst\":7000002")) > 0);     /* RX1 of B */
    say(c, b, 2, h.token, TX_ACK, EUI_B, S(""));
    turn(c);
    STR_EQ(state_of(c, d.id), S("accepted: "));

    pass(c, 91 * US_PER_S);                                /* its PULL_DATA is too long ago */
    d = downlink_of(c, 4);
    gateways_send(c->door, &d);
    pass(c, 4200 * US_PER_MS);
    for (int i = 0; i < 5; i++) {
        turn(c);
        pass(c, 400 * US_PER_MS);
    }
    EQ(hear(b).n, 0);
    STR_EQ(state_of(c, d.id), S("failed: the gateway has no open path for downlinks (no PULL_DATA)"));
    udp_close(b), stop(c);
}

TEST(protocol_version_1_knows_no_answer)
{
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1");
    open_path(c, a, EUI_A, 1);
    struct downlink d = downlink_of(c, 1);
    gateways_send(c->door, &d);
    pass(c, 4200 * US_PER_MS);
    turn(c);
    EQ(hear(a).version, 1);
    STR_EQ(state_of(c, d.id), S("accepted: sent to a gateway of protocol 1, which does not answer"));
    udp_close(a), stop(c);
}

TEST(a_gateway_that_restarted_does_not_get_windows_of_its_old_clock)
{
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1"), *b = socket_at("127.0.0.1");
    open_path(c, a, EUI_A, 2);
    open_path(c, b, EUI_B, 2);
    push(c, a, EUI_A, frame_of(c, S("")));
    turn(c);
    struct downlink d = downlink_of(c, 4);
    gateways_send(c->door, &d);
    pass(c, US_PER_S);
    struct str later = frame_of(c, S(""));
    ptrdiff_t at = str_find(later, S(","));
    push(c, a, EUI_A, str_fmt(test_arena(), "{\"tmst\":1234%.*s", (int)(later.n - (size_t)at), later.p + at));
    turn(c);
    pass(c, 3200 * US_PER_MS);
    for (int i = 0; i < 3; i++)
        turn(c);
    struct heard h = hear(b);
    EQ(h.n, 1);
    TRUE(str_find(h.json, S("\"tmst\":7000002")) > 0);
    struct heard old = hear(a);
    TRUE(old.kind != 3);
    udp_close(a), udp_close(b), stop(c);
}

/* The device's next frame, heard `age_us` ago by a gateway whose wall clock is wrong by `wrong_us`. */
static struct str told(struct city *c, i64 age_us, i64 wrong_us)
{
    struct str rxpk = frame_of(c, S("")), time = wall_str(test_arena(), (struct wall){ c->r.world.clock.us - age_us + wrong_us });
    ptrdiff_t at = str_find(rxpk, S(","));
    return str_fmt(test_arena(), "{\"tmst\":%u,\"time\":\"%.*s\"%.*s", (unsigned)(u32)(c->r.world.now.us - age_us), STR(time),
                   (int)(rxpk.n - (size_t)at), rxpk.p + at);
}

/* A gateway without a clock of its own tells what it had kept, or has restarted: nobody knows which. */
TEST(a_gateway_that_may_have_restarted_is_asked_when_there_is_no_other)
{
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1"), *b = socket_at("127.0.0.1");
    open_path(c, a, EUI_A, 2);
    open_path(c, b, EUI_B, 2);
    push(c, a, EUI_A, frame_of(c, S("")));
    turn(c);
    struct downlink alone = downlink_of(c, 2), both = downlink_of(c, 4);
    gateways_send(c->door, &alone);
    gateways_send(c->door, &both);
    pass(c, US_PER_S);
    for (int i = 0; i < 3; i++) {                          /* from another hour, and of now, by turns */
        struct str kept = frame_of(c, S(""));
        ptrdiff_t at = str_find(kept, S(","));
        push(c, a, EUI_A, str_fmt(test_arena(), "{\"tmst\":%d%.*s", 1234 + i, (int)(kept.n - (size_t)at), kept.p + at));
        push(c, a, EUI_A, frame_of(c, S("")));
        turn(c);
    }
    (void)hear(a);
    pass(c, 3200 * US_PER_MS);
    turn(c);
    struct heard h = hear(a);
    EQ(h.n, 1);
    EQ(h.kind, 3);
    TRUE(str_find(h.json, S("\"tmst\":7000000")) > 0);
    struct heard other = hear(b);
    EQ(other.n, 1);
    TRUE(str_find(other.json, S("\"tmst\":7000002")) > 0);
    refuse(c, b, EUI_B, other.token, "TX_FREQ");
    pass(c, US_PER_S);
    turn(c);
    h = hear(b);
    EQ(h.n, 1);
    pass(c, 900 * US_PER_MS);
    refuse(c, b, EUI_B, h.token, "TOO_LATE");              /* A's windows are over, too */
    STR_EQ(state_of(c, both.id), S("failed: the gateway refused: TOO_LATE"));
    udp_close(a), udp_close(b), stop(c);
}

/* Its wall clock goes on and its concentrator's does not; or both are of another hour, and do not agree how long ago. */
TEST(a_gateway_has_surely_restarted_when_its_wall_clock_goes_on)
{
    struct { const char *tmst; i64 age_us; const char *state; } facts[] = {
        { "1234",   0,                 "failed: the gateway's clock began anew: it has restarted" },
        { "567890", 3600 * US_PER_S,   "queued: " },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct city *c = city_make();
        struct udp *a = socket_at("127.0.0.1");
        pass(c, 7200 * US_PER_S);
        open_path(c, a, EUI_A, 2);
        push(c, a, EUI_A, told(c, 0, 0));
        turn(c);
        struct downlink d = downlink_of(c, 1);
        gateways_send(c->door, &d);
        pass(c, US_PER_S);
        struct str rxpk = told(c, facts[i].age_us, 0);
        ptrdiff_t at = str_find(rxpk, S(","));
        push(c, a, EUI_A, str_fmt(test_arena(), "{\"tmst\":%s%.*s", facts[i].tmst, (int)(rxpk.n - (size_t)at), rxpk.p + at));
        turn(c);
        STR_EQ(state_of(c, d.id), str_z(facts[i].state));
        udp_close(a), stop(c);
    }
}

TEST(when_the_next_transmission_is_due_is_known_without_looking)
{
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1"), *b = socket_at("127.0.0.1");
    open_path(c, a, EUI_A, 2);
    open_path(c, b, EUI_B, 2);
    (void)gateways_tick(c->door);
    struct downlink d = downlink_of(c, 4);
    struct mono sent = c->r.world.now;
    gateways_send(c->door, &d);
    EQ(mono_since(gateways_due(c->door), sent), 4200 * US_PER_MS);
    pass(c, 4200 * US_PER_MS);
    turn(c);
    EQ(mono_since(gateways_due(c->door), c->r.world.now), US_PER_S);      /* until the gateway has answered */
    u16 token = hear(a).token;
    pass(c, 900 * US_PER_MS);
    say(c, a, 2, token, TX_ACK, EUI_A, S("{\"txpk_ack\":{\"error\":\"TOO_LATE\"}}"));
    EQ(gateways_receive(c->door), OK);
    flow_done(&c->r.env);
    EQ(mono_since(gateways_due(c->door), c->r.world.now), 100 * US_PER_MS);           /* RX2 */
    pass(c, 700 * US_PER_MS);
    turn(c);
    say(c, a, 2, hear(a).token, TX_ACK, EUI_A, S("{\"txpk_ack\":{\"error\":\"COLLISION_PACKET\"}}"));
    EQ(gateways_receive(c->door), OK);
    flow_done(&c->r.env);
    TRUE(!mono_before(c->r.world.now, gateways_due(c->door)));            /* the other gateway's, at once */
    udp_close(a), udp_close(b), stop(c);
}

static i64 last_flags(struct city *c)
{
    struct db_query *q = db_query(c->r.env.db, "SELECT flags FROM uplink ORDER BY id DESC LIMIT 1");
    EQ(db_step(q), OK);
    i64 flags = db_i64(q, 0);
    db_reset(q);
    return flags & (UPLINK_LATE | UPLINK_BEHIND);
}

TEST(what_both_clocks_of_a_gateway_call_old_was_kept)
{
    static const i64 hour = 3600 * US_PER_S;
    struct { i64 age_us, wrong_us; bool late; const char *what; } facts[] = {
        { 0,           0,     false, "a frame of now" },
        { hour,        0,     true,  "kept for an hour" },
        { 30 * hour,   0,     true,  "kept for longer than the concentrator's clock can tell" },
        { 7 * US_PER_S, 0,    true,  "kept for just too long" },
        { 5 * US_PER_S, 0,    false, "a little late, but its windows are open" },
        { 0,           0,     false, "and a frame of now again" },
        { 0,           -hour, false, "its wall clock was set back: nothing is late" },
        { 0,           -hour, false, "and stays back" },
        { hour,        -hour, true,  "kept, by a clock that is wrong" },
        { 0,           0,     false, "its wall clock is right again" },
    };
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1");
    open_path(c, a, EUI_A, 2);
    pass(c, 40 * hour);
    for (size_t i = 0; i < COUNT(facts); i++) {
        pass(c, 60 * US_PER_S);
        push(c, a, EUI_A, told(c, facts[i].age_us, facts[i].wrong_us));
        turn(c);
        if ((last_flags(c) == UPLINK_LATE) != facts[i].late)
            test_fail(__FILE__, __LINE__, "%s: flags %lld", facts[i].what, (long long)last_flags(c));
    }
    EQ(c->r.env.counted[COUNT_UPLINKS], COUNT(facts));
    udp_close(a), stop(c);
}

TEST(a_backlog_among_frames_of_now_does_not_look_like_a_restart)
{
    struct city *c = city_make();
    struct udp *a = socket_at("127.0.0.1");
    open_path(c, a, EUI_A, 2);
    pass(c, 7200 * US_PER_S);
    push(c, a, EUI_A, told(c, 0, 0));
    turn(c);
    (void)hear(a);
    open_path(c, a, EUI_A, 2);
    struct downlink d = downlink_of(c, 1);
    gateways_send(c->door, &d);
    for (int i = 0; i < 4; i++) {
        pass(c, US_PER_S);
        push(c, a, EUI_A, told(c, (3600 - i * 700) * US_PER_S, 0));
        push(c, a, EUI_A, told(c, 0, 0));
        turn(c);
    }
    (void)hear(a);
    pass(c, 200 * US_PER_MS);
    turn(c);
    EQ(hear(a).kind, 3);                                    /* it left */
    udp_close(a), stop(c);
}

TEST(a_full_table_of_transmissions_says_so)
{
    struct city *c = city_make();
    struct downlink d = downlink_of(c, 1);
    struct downlink one = d;
    one.id = 0;
    for (int i = 0; i < 4096; i++)
        gateways_send(c->door, &one);
    gateways_send(c->door, &d);
    EQ(flow_commit(&c->r.env), OK);
    flow_done(&c->r.env);
    STR_EQ(state_of(c, d.id), S("failed: too many transmissions are under way"));
    stop(c);
}

/* ChirpStack #362: every device of a batch with one address. */
TEST(a_thousand_sessions_on_one_devaddr_are_told_apart)
{
    struct city *c = city_make();
    struct udp *s = socket_at("127.0.0.1");
    for (u64 i = 0; i < 1000; i++) {
        u8 nwk[16] = { 9, (u8)i, (u8)(i >> 8) }, app[16] = { 8, (u8)i, (u8)(i >> 8) };
        EQ(mac_bench_device(&c->r.env, 0x1000 + i, 0x01020304, nwk, app, &c->r.env.profiles.list[0]), OK);
    }
    EQ(flow_commit(&c->r.env), OK);
    flow_done(&c->r.env);
    push(c, s, EUI_A, frame_of(c, S("")));
    turn(c);
    EQ(hear(s).n, 1);
    EQ(c->r.env.counted[COUNT_UPLINKS], 1);
    push(c, s, EUI_A, frame_of(c, S("QAQDAgEAAAABAgME")));      /* of nobody's */
    turn(c);
    EQ(dropped(c, DROP_BAD_MIC), 1);
    udp_close(s), stop(c);
}
