// SPDX-License-Identifier: Apache-2.0
/* Facts about the box's network, HTTP door and codec child. Clock and agenda are stood in for here, the rest of a
 * box in disk_test.c. */
#include "base/embedded.h"
#include "base/test.h"
#include "box/box.h"
#include "edge/codec_child.h"
#include "edge/http.h"
#include "wire/json.h"

#define SECONDS(s) ((i64)(s) * US_PER_S)

/* ------------------------------------------------------------------ a clock and an agenda */

enum { ENTRIES = 4096 };
static struct { struct box_entry entry[ENTRIES]; u32 n; u64 order; } agenda;
static struct { loop_call *call; void *arg; bool pending; } watched;

void box_at(struct mono at, u32 life, box_call *call, void *arg, i64 number)
{
    assert(agenda.n < ENTRIES);
    agenda.entry[agenda.n++] = (struct box_entry){ at, ++agenda.order, life, call, arg, number };
}

static void look_now(void *arg, i64 number)
{
    (void)arg, (void)number;
    watched.pending = false;
    if (watched.call)
        watched.call(watched.arg);
}

void box_readable(int fd, struct mono at)
{
    (void)fd;
    if (watched.call && !watched.pending) {
        watched.pending = true;
        box_at(at, BOX_ALWAYS, look_now, NULL, 0);
    }
}

/* Carries out what is due until then, earliest first, and leaves the clock there. */
static void pass(i64 us)
{
    struct box *b    = box_here();
    struct mono until = mono_after(b->now, us);
    for (;;) {
        u32 first = 0;
        for (u32 i = 1; i < agenda.n; i++) {
            const struct box_entry *e = &agenda.entry[i], *f = &agenda.entry[first];
            if (e->at.us < f->at.us || (e->at.us == f->at.us && e->order < f->order))
                first = i;
        }
        if (agenda.n == 0 || agenda.entry[first].at.us > until.us)
            break;
        struct box_entry e   = agenda.entry[first];
        agenda.entry[first] = agenda.entry[--agenda.n];
        b->now.us = MAX(b->now.us, e.at.us);
        if (e.life == BOX_ALWAYS || e.life == b->life)
            e.call(e.arg, e.number);
    }
    b->now = until;
}

static void box_anew(void)
{
    if (box_here()->boot.first)
        arena_free(&box_here()->boot);
    *box_here() = (struct box){ .alive = true, .life = 1, .now = { SECONDS(1000) }, .boot = arena_make(4096) };
    for (int i = 0; i < CHANCES; i++)
        box_here()->chance[i].state = 7u + (u64)i;
    agenda.n = 0;
    watched.call    = NULL;
    watched.pending = false;
}

bool replay_given(void) { return false; }
bool replay_answer(u64 id, struct str *result, u8 *refusal) { return (void)id, (void)result, (void)refusal, false; }
void replay_sent(struct address to, struct bytes datagram) { (void)to, (void)datagram; }

/* ------------------------------------------------------------------ network */

static struct { u64 left, came, sent, arrived, received; u8 last[64]; size_t last_n; struct address from; } seen;
static struct gateway gateways[2];

void judge_up(u32 gateway, bool pull, struct bytes d)   { (void)gateway, (void)pull, (void)d, seen.left++; }
void judge_arrived(u32 gateway, struct bytes d)         { (void)gateway, (void)d, seen.came++; }
void judge_down(u32 gateway, struct bytes d)            { (void)gateway, (void)d, seen.sent++; }
void sim_door_receive(struct sim *s, struct gateway *g, bool pull, struct bytes d, struct mono now)
{
    (void)s, (void)now, (void)pull;
    seen.arrived++;
    EQ(g->index, 1);
    memcpy(seen.last, d.p, d.n);
    seen.last_n = d.n;
}

static void take(void *arg)
{
    static struct datagram in[UDP_BATCH];
    size_t n = udp_receive(arg, in);
    for (size_t i = 0; i < n; i++) {
        seen.received++;
        seen.from   = in[i].peer;
        seen.last_n = in[i].bytes.n;
        memcpy(seen.last, in[i].bytes.p, MIN(in[i].bytes.n, sizeof seen.last));
    }
}

static struct udp *net_anew(int room_bytes)
{
    struct str why = S("");
    box_anew();
    memset(&seen, 0, sizeof seen);
    gateways[1].index = 1;
    box_here()->sim.gateways   = gateways;
    box_here()->sim.gateways_n = 2;
    net_begin(box_here(), 2);
    struct address at = { .family = 4, .ip = { 127, 0, 0, 1 }, .port = 1700 };
    struct udp *udp = udp_open(at, room_bytes, &why, test_arena());
    watched.call = take;
    watched.arg  = udp;
    return udp;
}

static const u8 frames[] = "\2ab\0EUIEUIEU{\"rxpk\":[]}";

static void send_frames(void)
{
    sim_socket_send(&box_here()->sim, &gateways[1], false, (struct bytes){ frames, sizeof frames - 1 });
}

TEST(a_datagram_crosses_the_box_s_network_in_both_directions)
{
    struct udp *udp = net_anew(1 << 20);
    net_path(1)->delay_us = 30000;
    send_frames();
    pass(29999);
    EQ(seen.received, 0);
    pass(2000);
    EQ(seen.received, 1);
    BYTES_EQ(((struct bytes){ seen.last, seen.last_n }), ((struct bytes){ frames, sizeof frames - 1 }));
    EQ(udp_send(udp, &(struct datagram){ seen.from, { frames, 4 } }, 1), 1);
    pass(30000);
    EQ(seen.arrived, 1);
    EQ(seen.left, 1);
    EQ(seen.came, 1);
    EQ(seen.sent, 1);
    udp_close(udp);
}

TEST(a_nat_forgets_who_was_quiet_and_the_old_port_leads_nowhere)
{
    struct udp *udp = net_anew(1 << 20);
    send_frames();
    pass(SECONDS(1));
    struct address before = seen.from;
    send_frames();
    pass(SECONDS(90));
    TRUE(address_eq(before, seen.from));
    send_frames();
    pass(SECONDS(1));
    TRUE(address_same_host(before, seen.from) && before.port != seen.from.port);
    (void)udp_send(udp, &(struct datagram){ before, { frames, 4 } }, 1);
    pass(SECONDS(1));
    EQ(seen.arrived, 0);
    EQ(seen.sent, 1);                                      /* the daemon has done its part */
    udp_close(udp);
}

TEST(a_gateway_without_its_way_keeps_its_frames_and_sends_them_ten_times_as_fast)
{
    struct udp *udp = net_anew(1 << 20);
    *net_path(1) = (struct path){ .cut_until = mono_after(box_here()->now, SECONDS(1000)), .keeps = true };
    for (int i = 0; i < 100; i++) {
        send_frames();
        sim_socket_send(&box_here()->sim, &gateways[1], true, (struct bytes){ frames, 12 });
        pass(SECONDS(10));
    }
    EQ(seen.received, 0);
    EQ(net_counts().lost, 100);                        /* PULL_DATA is kept by nobody */
    pass(SECONDS(50));
    TRUE(seen.received > 25 && seen.received < 75);
    pass(SECONDS(150));
    EQ(seen.received, 100);
    udp_close(udp);
}

TEST(a_path_loses_and_doubles_as_often_as_it_says)
{
    struct udp *udp = net_anew(1 << 20);
    net_path(1)->loss  = 0.25;
    net_path(1)->twice = 0.5;
    for (int i = 0; i < 1000; i++) {
        send_frames();
        pass(SECONDS(1));
    }
    struct net_counts n = net_counts();
    EQ(seen.received, 1000 - n.lost + n.twice);
    TRUE(n.lost > 200 && n.lost < 300 && n.twice > 300 && n.twice < 450);
    udp_close(udp);
}

TEST(datagrams_that_nobody_takes_or_that_find_no_room_are_unheard)
{
    struct udp *udp = net_anew(10000);
    watched.call = NULL;
    for (int i = 0; i < 100; i++)
        send_frames();
    pass(SECONDS(1));
    u64 refused = net_counts().unheard;
    TRUE(refused > 80 && refused < 100);
    udp_close(udp);                                    /* and what waited is gone with the socket */
    EQ(net_counts().unheard, 100);
    send_frames();
    pass(SECONDS(1));
    EQ(net_counts().unheard, 101);
}

TEST(a_dead_daemon_sends_no_datagram)
{
    struct udp *udp = net_anew(1 << 20);
    send_frames();
    pass(SECONDS(1));
    box_here()->cut_in = 3;
    struct datagram out[5];
    for (size_t i = 0; i < COUNT(out); i++)
        out[i] = (struct datagram){ seen.from, { frames, 4 } };
    (void)udp_send(udp, out, COUNT(out));
    pass(SECONDS(1));
    EQ(seen.arrived, 2);
    udp_close(udp);
}

/* ------------------------------------------------------------------ the HTTP door */

static struct {
    struct text log;
    int  status;                       /* of the last answer */
    i64  events, newest;               /* of a stream; what it has to give */
    u32  answers;
} said;

void loop_wake(struct loop_wake *wake)                  { (void)wake, text_put(&said.log, S("wake ")); }

static enum http_where route(void *of, struct http_request *rq, size_t *body_max)
{
    (void)of;
    text_fmt(&said.log, "route ");
    *body_max = 8;
    return str_eq(rq->method, S("GET")) ? HTTP_READS : HTTP_WRITES;
}

static void stream(void *of, struct http_request *rq, struct text *out, bool idle)
{
    i64 *at = rq->route;
    (void)of;
    for (int n = 0; n < 2 && *at < said.newest; n++)
        text_fmt(out, "id: %lld\nevent: change\ndata: {\"n\":%lld}\n\n", (long long)(*at + 1), (long long)(*at + 1)), ++*at;
    if (idle && out->n == 0)
        text_put(out, S(": ping\n\n"));
}

static void read_one(void *of, struct http_request *rq, struct http_answer *a)
{
    i64 last = 0;
    (void)of;
    text_fmt(&said.log, "read %.*s q=%.*s ", STR(rq->path), STR(http_query(rq, S("q"))));
    *a = (struct http_answer){ .status = 200, .body = bytes_of(S("page")) };
    if (!str_eq(rq->path, S("/stream")))
        return;
    (void)str_to_i64(&last, http_header(rq, S("last-event-id")));
    rq->route  = arena_new(rq->arena, i64);
    *(i64 *)rq->route = last;
    a->status  = 0;
    a->stream  = stream;
}

static void write_one(void *of, struct http_request *rq, struct http_answer *a)
{
    (void)of, (void)rq;
    text_put(&said.log, S("write "));
    *a = (struct http_answer){ .status = 202, .body = bytes_of(S("done")) };
}

static void failed(void *of, struct http_request *rq, struct http_answer *a, enum err err)
{
    (void)of, (void)rq;
    text_put(&said.log, S("failed "));
    *a = (struct http_answer){ .status = err == ERR_FULL ? 507 : 503 };
}

static void answered(void *arg, int status, struct str body)
{
    (void)arg;
    said.status = status;
    said.answers++;
    text_fmt(&said.log, "%d:%.*s ", status, STR(body));
}

static struct http *door_anew(void)
{
    static const struct http_calls calls = { route, read_one, write_one, failed, NULL };
    struct str why = S("");
    said.log = text_make(test_arena(), 1 << 16);
    return http_open((struct address){ .family = 4 }, &calls, NULL, 1, &why, test_arena());
}

static void ask(const char *method, struct str path, struct str body)
{
    door_ask(method, path, S("text/plain"), bytes_of(body), answered, NULL);
}

TEST(a_request_is_routed_and_read_or_written_as_the_real_door_does_it)
{
    box_anew();
    struct http *h = door_anew();
    ask("GET", S("/a%20b+c?p=1&q=x+y%2Bz"), S(""));
    STR_EQ(text_str(&said.log), S("route read /a b+c q=x y+z 200:page "));
    said.log.n = 0;
    ask("POST", S("/a"), S("12345678"));
    ask("POST", S("/a"), S("123456789"));
    STR_EQ(text_str(&said.log), S("route wake route 413:the body is larger than this route takes\n "));
    said.log.n = 0;
    EQ(http_run_writes(h), 1);
    http_finish_writes(h, OK);
    STR_EQ(text_str(&said.log), S("write 202:done "));
    said.log.n = 0;
    ask("POST", S("/a"), S(""));
    EQ(http_run_writes(h), 1);
    http_finish_writes(h, ERR_FULL);
    STR_EQ(text_str(&said.log), S("route wake write failed 507: "));
    http_close(h);
}

TEST(at_most_256_writes_share_a_commit)
{
    box_anew();
    struct http *h = door_anew();
    said.answers = 0;
    for (int i = 0; i < 600; i++)
        ask("POST", S("/a"), S(""));
    static const size_t share[] = { 256, 256, 88, 0 };
    for (size_t i = 0; i < COUNT(share); i++) {
        EQ(http_run_writes(h), share[i]);
        http_finish_writes(h, OK);
    }
    EQ(said.answers, 600);
    http_close(h);
}

TEST(who_waits_when_the_door_closes_is_told_and_who_asks_later_hears_nothing)
{
    box_anew();
    struct http *h = door_anew();
    ask("POST", S("/a"), S(""));
    http_close(h);
    EQ(said.status, 503);
    ask("GET", S("/a"), S(""));
    EQ(said.status, 0);
    door_end_life();
}

TEST(an_answer_that_the_daemon_dies_with_is_none)
{
    box_anew();
    struct http *h = door_anew();
    ask("POST", S("/a"), S(""));
    ask("POST", S("/a"), S(""));
    (void)http_run_writes(h);
    box_here()->cut_in = 2;
    said.log.n = 0;
    http_finish_writes(h, OK);
    STR_EQ(text_str(&said.log), S("202:done 0: "));
    http_close(h);
}

static void event(void *arg, i64 id, struct str data)
{
    (void)arg;
    EQ(id, ++said.events);
    STR_EQ(data, str_fmt(test_arena(), "{\"n\":%lld}", (long long)id));
}

/* One reader for all: a box has no way to forget it. */
TEST(a_reader_of_a_stream_misses_nothing_and_hears_nothing_twice)
{
    static struct door_reader r = { .path = { "/stream", 7 }, .event = event };
    box_anew();
    said.events = said.newest = 0;
    struct http *h = door_anew();
    door_read_always(&r);
    said.newest = 5;
    pass(SECONDS(5));
    EQ(said.events, 5);
    said.newest = 9;
    http_wake_streams(h, false);
    pass(SECONDS(1));
    EQ(said.events, 9);

    r.hangs_until = mono_after(box_here()->now, SECONDS(10));      /* short: the same stream goes on */
    said.newest = 15;
    http_wake_streams(h, true);
    pass(SECONDS(9));
    EQ(said.events, 9);
    pass(SECONDS(2));
    EQ(said.events, 15);
    EQ(r.reconnects, 0);

    r.hangs_until = mono_after(box_here()->now, SECONDS(100));     /* long: the door has let go of it */
    said.newest = 20;
    http_wake_streams(h, false);
    pass(SECONDS(101));
    EQ(said.events, 20);
    EQ(r.reconnects, 1);

    said.newest = 30;                                              /* the daemon dies at the second piece */
    box_here()->cut_in = 2;
    http_wake_streams(h, false);
    pass(SECONDS(1));
    EQ(said.events, 22);
    http_close(h);
    door_end_life();
    box_here()->dead = false;
    box_here()->life++;
    h = door_anew();
    pass(SECONDS(5));
    EQ(said.events, 30);
    EQ(r.events, 30);
    EQ(r.reconnects, 2);
    http_close(h);
}

/* ------------------------------------------------------------------ the codec child */

static struct { u64 next; u32 by[CODEC_REFUSAL_KINDS]; } told;

static void told_one(void *of, const struct codec_answer *a)
{
    (void)of;
    EQ(a->id, told.next);
    told.next = a->id + 1;
    told.by[a->refusal]++;
}

static void child_readable(void *arg) { codec_child_readable(arg, box_here()->now); }

static void child_watch(void *of, int fd)
{
    (void)of;
    watched.call = fd < 0 ? NULL : child_readable;
}

static struct codec_child *child_anew(u32 *codec)
{
    box_anew();
    memset(&told, 0, sizeof told);
    *codec_faults() = (struct codec_faults){ .answer_us = 400 };
    struct codec_child *c = codec_child_make((struct codec_child_calls){ told_one, child_watch, NULL }, box_here()->now);
    watched.arg = c;
    box_readable(codec_child_fd(c), mono_after(box_here()->now, SECONDS(1) / 10));
    *codec = codec_child_codec(c, 1, str_of(embedded_file(S("data/codecs/hotaru-snow-pump.js"))));
    return c;
}

static enum codec_refusal ask_child(struct codec_child *c, u64 id, u32 codec)
{
    return codec_child_decode(c, id, codec, CODEC_DECODE_UPLINK, S("{\"bytes\":[],\"fPort\":2}"), box_here()->now);
}

static void pass_with_ticks(struct codec_child *c, i64 us)
{
    for (; us > 0; us -= 10000) {
        pass(10000);
        codec_child_tick(c, box_here()->now);
    }
}

/* Without the blanks between its parts. */
static struct str compact(struct str json)
{
    char  *out = arena_take(test_arena(), json.n + 1, 1);
    size_t n = 0;
    bool   inside = false;
    for (size_t i = 0; i < json.n; i++) {
        inside ^= json.p[i] == '"' && (i == 0 || json.p[i - 1] != '\\');
        if (inside || json.p[i] != ' ')
            out[n++] = json.p[i];
    }
    return (struct str){ out, n };
}

static struct str input_of(const struct json *example)
{
    u8  frame[64];
    i64 port = 0;
    size_t n = 0;
    if (json_get(example, S("input")))
        return json_get(example, S("input"))->raw;
    TRUE(hex_read(frame, sizeof frame, &n, json_str(json_get(example, S("bytes")), test_arena())));
    TRUE(json_i64(&port, json_get(example, S("fPort"))));
    struct text t = text_make(test_arena(), 4096);
    text_put(&t, S("{\"bytes\":["));
    for (size_t i = 0; i < n; i++)
        text_fmt(&t, i ? ",%u" : "%u", frame[i]);
    text_fmt(&t, "],\"fPort\":%lld}", (long long)port);
    return text_str(&t);
}

TEST(the_box_s_pump_answers_as_the_script_s_examples_do)
{
    u32 codec, run = 0;
    const struct json *doc;
    struct codec_child *c = child_anew(&codec);
    struct bytes file = embedded_file(S("data/codecs/examples/hotaru-snow-pump.json"));
    EQ(json_read(&doc, str_of(file), test_arena(), JSON_STRICT, NULL), OK);
    JSON_EACH (example, json_get(doc, S("examples"))) {
        struct str name = json_str(json_get(example, S("function")), test_arena());
        enum codec_function f = str_eq(name, S("encodeDownlink"))   ? CODEC_ENCODE_DOWNLINK
                                : str_eq(name, S("decodeDownlink")) ? CODEC_DECODE_DOWNLINK
                                                                    : CODEC_DECODE_UPLINK;
        struct codec_answer a = codec_child_decode_wait(c, codec, f, input_of(example), test_arena());
        EQ(a.refusal, CODEC_DONE);
        STR_EQ(a.result, compact(json_get(example, S("expected"))->raw));
        run++;
    }
    EQ(run, 6);
    EQ(codec_child_decode_wait(c, codec, CODEC_DECODE_UPLINK, S("[]"), test_arena()).refusal, CODEC_BAD_INPUT);
    EQ(codec_child_decode_wait(c, codec, CODEC_DECODE_UPLINK, S("{\"fPort\":2}"), test_arena()).refusal, CODEC_THREW);
    u32 other = codec_child_codec(c, 1, S("function decodeUplink() { return {}; }"));
    EQ(codec_child_decode_wait(c, other, CODEC_DECODE_UPLINK, S("{}"), test_arena()).refusal, CODEC_NO_FUNCTION);
    codec_child_close(c);
}

TEST(the_box_s_codec_child_answers_later_in_order_and_is_full_at_256)
{
    u32 codec;
    struct codec_child *c = child_anew(&codec);
    for (u64 i = 0; i < CODEC_WAITING_MAX; i++)
        EQ(ask_child(c, i, codec), CODEC_DONE);
    EQ(ask_child(c, 999, codec), CODEC_FULL);
    EQ(told.next, 0);
    pass(SECONDS(1));
    EQ(told.by[CODEC_DONE], CODEC_WAITING_MAX);
    EQ(codec_child_waiting(c), 0);
    codec_child_close(c);
    codec_end_life();
}

TEST(a_child_that_dies_costs_the_call_in_its_hands_and_a_codec_that_killed_three_rests)
{
    u32 codec;
    struct codec_child *c = child_anew(&codec);
    pass(SECONDS(1));
    for (u64 i = 0; i < 10; i++) {
        codec_faults()->dies = i == 0;
        EQ(ask_child(c, i, codec), CODEC_DONE);
    }
    codec_faults()->dies = 0;
    pass(SECONDS(1));
    EQ(told.by[CODEC_CRASHED], 1);
    EQ(told.by[CODEC_DONE], 9);
    for (u64 i = 10; i < 14; i++) {                    /* one to start it again, one to kill it */
        codec_faults()->dies = (double)(i % 2);
        EQ(ask_child(c, i, codec), CODEC_DONE);
        codec_faults()->dies = 0;
        pass(SECONDS(1));
    }
    EQ(told.by[CODEC_CRASHED], 3);
    EQ(ask_child(c, 14, codec), CODEC_RESTING);
    i64 rests_us = mono_since(codec_child_rests_until(c, codec), box_here()->now);
    TRUE(rests_us > SECONDS(58) && rests_us <= SECONDS(60));
    pass(SECONDS(60));
    EQ(ask_child(c, 14, codec), CODEC_DONE);
    codec_child_close(c);
}

TEST(a_child_as_slow_as_a_second_is_forgiven_once)
{
    u32 codec;
    struct codec_child *c = child_anew(&codec);
    pass(SECONDS(1));
    *codec_faults() = (struct codec_faults){ .slow_us = SECONDS(100), .slow = 1 };
    EQ(ask_child(c, 0, codec), CODEC_DONE);
    pass_with_ticks(c, SECONDS(1));
    codec_faults()->slow = 0;
    pass_with_ticks(c, SECONDS(1));
    EQ(told.by[CODEC_DONE], 1);
    codec_faults()->slow = 1;
    EQ(ask_child(c, 1, codec), CODEC_DONE);
    pass_with_ticks(c, SECONDS(3));
    EQ(told.by[CODEC_TOO_SLOW], 1);
    EQ(codec_child_counts(c).started, 3);
    codec_child_close(c);
}

TEST(a_child_that_dies_before_it_speaks_blames_no_codec)
{
    u32 codec;
    struct codec_child *c = child_anew(&codec);
    codec_child_close(c);
    c = child_anew(&codec);
    EQ(ask_child(c, 0, codec), CODEC_DONE);
    codec_child_close(c);                              /* who waits is decoded after the next start */
    EQ(told.next, 0);
    box_anew();
    *codec_faults() = (struct codec_faults){ .answer_us = 400, .dies = 1 };
    u32 dead = 0, none = 0;
    for (int i = 0; i < 40; i++) {                     /* half of them are not even started */
        memset(&told, 0, sizeof told);
        c = codec_child_make((struct codec_child_calls){ told_one, child_watch, NULL }, box_here()->now);
        watched.arg = c;
        box_readable(codec_child_fd(c), mono_after(box_here()->now, SECONDS(1) / 10));
        codec = codec_child_codec(c, 1, S("x"));
        none += ask_child(c, 0, codec) == CODEC_NO_CHILD;
        pass(SECONDS(1));
        dead += told.by[CODEC_NO_CHILD];
        codec_child_close(c);
    }
    EQ(dead + none, 40);
    TRUE(dead > 10 && none > 10);
}
