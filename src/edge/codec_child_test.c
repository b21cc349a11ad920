// SPDX-License-Identifier: Apache-2.0
/*
 * The real child, in its real jail: this test binary starts itself as `codec-worker`, as the daemon
 * does. HOTARU_BENCH=1 prints what the attacks end in, and figures.
 */
#include "edge/codec_child.h"

#include "base/embedded.h"
#include "base/test.h"
#include "wire/json.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

__attribute__((constructor)) static void be_the_worker(int argc, char **argv)
{
    if (argc == 2 && str_eq(str_z(argv[1]), S("codec-worker")))
        codec_worker_main(3);
}

static struct mono now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct mono){ (i64)t.tv_sec * US_PER_S + t.tv_nsec / 1000 };
}

static struct codec_child *child(void)
{
    return codec_child_make((struct codec_child_calls){ 0 }, now());
}

static const char input[] =
    "{\"bytes\":[1,2,3],\"fPort\":7,\"recvTime\":\"2026-01-02T15:00:00.000Z\"}";

static struct codec_answer ask(struct codec_child *c, const char *source)
{
    u32 codec = codec_child_codec(c, 1, str_z(source));
    TRUE(codec != CODEC_NONE_SUCH);
    return codec_child_decode_wait(c, codec, CODEC_DECODE_UPLINK, str_z(input), test_arena());
}

static const char good[] = "function decodeUplink(i) { return { data: { n: i.bytes.length } }; }";

static bool still_works(struct codec_child *c)
{
    struct codec_answer a = ask(c, good);
    return a.refusal == CODEC_DONE && str_eq(a.result, S("{\"data\":{\"n\":3}}"));
}

/* ------------------------------------------------------------------ the examples */

static bool same(const struct json *a, const struct json *b);

static bool same_object(const struct json *a, const struct json *b)
{
    JSON_EACH (v, a)
        if (!same(v, json_get(b, v->key)))
            return false;
    return a->members == b->members;
}

static bool same_array(const struct json *a, const struct json *b)
{
    const struct json *y = b->first;
    for (const struct json *x = a->first; x && y; x = x->next, y = y->next)
        if (!same(x, y))
            return false;
    return a->members == b->members;
}

/* Numbers within 1e-9 of each other, all else exactly. */
static bool same(const struct json *a, const struct json *b)
{
    double x, y;
    if (!a || !b || a->kind != b->kind)
        return false;
    if (a->kind == JSON_NUMBER)
        return json_double(&x, a) && json_double(&y, b)
               && fabs(x - y) <= 1e-9 * fmax(fabs(x), fabs(y));
    if (a->kind == JSON_STRING)
        return str_eq(json_str(a, test_arena()), json_str(b, test_arena()));
    return a->kind == JSON_OBJECT  ? same_object(a, b)
           : a->kind == JSON_ARRAY ? same_array(a, b)
                                   : true;
}

static bool same_list(const struct json *a, const struct json *b)
{
    bool none_a = !a || a->members == 0, none_b = !b || b->members == 0;
    return none_a && none_b ? true : same(a, b);
}

static bool as_expected(const struct json *expected, const struct json *got)
{
    const struct json *data = json_get(expected, S("data"));
    if (json_get(expected, S("bytes")))
        return same(expected, got);
    return (data ? same(data, json_get(got, S("data"))) : !json_get(got, S("data")))
        && same_list(json_get(expected, S("errors")), json_get(got, S("errors")))
        && same_list(json_get(expected, S("warnings")), json_get(got, S("warnings")));
}

/* The call an example stands for: its own input, or its frame. */
static struct str input_of(const struct json *example)
{
    struct text text = text_make(test_arena(), 8192);
    struct json_out out = json_out_make(&text);
    struct str when = json_str(json_get(example, S("recvTime")), test_arena());
    u8     payload[255];
    size_t n;
    i64    fport = 1;
    if (json_get(example, S("input")))
        return json_get(example, S("input"))->raw;
    TRUE(hex_read(payload, sizeof payload, &n,
                  json_str(json_get(example, S("bytes")), test_arena())));
    (void)json_i64(&fport, json_get(example, S("fPort")));
    json_open_object(&out);
    json_key(&out, S("bytes"));
    json_open_array(&out);
    for (size_t i = 0; i < n; i++)
        json_put_u64(&out, payload[i]);
    json_close(&out);
    json_member_i64(&out, S("fPort"), fport);
    json_member_str(&out, S("recvTime"), when.n ? when : S("2026-01-01T00:00:00Z"));
    json_close(&out);
    return text_str(&text);
}

static void run_example(struct codec_child *c, u32 codec, struct str file,
                        const struct json *example)
{
    struct str name = json_str(json_get(example, S("function")), test_arena());
    enum codec_function f = str_eq(name, S("encodeDownlink"))   ? CODEC_ENCODE_DOWNLINK
                            : str_eq(name, S("decodeDownlink")) ? CODEC_DECODE_DOWNLINK
                                                                : CODEC_DECODE_UPLINK;
    const struct json *got = NULL;
    struct codec_answer a = codec_child_decode_wait(c, codec, f, input_of(example), test_arena());
    if (a.refusal == CODEC_DONE)
        EQ(json_read(&got, a.result, test_arena(), JSON_STRICT, NULL), OK);
    if (!got || !as_expected(json_get(example, S("expected")), got))
        test_fail(__FILE__, __LINE__, "%.*s: %.*s: %s %.*s %.*s", STR(file),
                  STR(json_str(json_get(example, S("id")), test_arena())),
                  codec_refusal_name(a.refusal), STR(a.words), STR(a.result));
}

TEST(every_example_decodes_in_the_child_as_its_source_says)
{
    struct codec_child *c = child();
    size_t run = 0, devices = 0;
    for (const struct embedded *e = embedded_files; e->name; e++) {
        const struct json *doc;
        if (!str_starts(str_z(e->name), S("data/codecs/examples/")))
            continue;
        EQ(json_read(&doc, (struct str){ (const char *)e->p, (size_t)e->n }, test_arena(),
                     JSON_STRICT, NULL),
           OK);
        struct str file = json_str(json_get(doc, S("codec")), test_arena());
        if (file.n == 0)
            continue;
        struct bytes source = embedded_file(str_fmt(test_arena(), "data/codecs/%.*s", STR(file)));
        u32 codec = codec_child_codec(c, 1, str_of(source));
        TRUE(source.n > 0 && codec != CODEC_NONE_SUCH);
        JSON_EACH (example, json_get(doc, S("examples")))
            run_example(c, codec, file, example), run++;
        devices++;
    }
    TRUE(run >= 65 && devices >= 34);
    codec_child_close(c);
}

/* Radio frames are whole or not there, but a device may be another generation than its profile says. */
TEST(no_shipped_codec_throws_at_a_frame_cut_short)
{
    struct codec_child *c = child();
    for (const struct embedded *e = embedded_files; e->name; e++) {
        struct str name = str_z(e->name), source = { (const char *)e->p, (size_t)e->n };
        if (!str_starts(name, S("data/codecs/")) || !str_ends(name, S(".js")))
            continue;
        u32 codec = codec_child_codec(c, 1, source);
        struct text bytes = text_make(test_arena(), 4096);
        for (int n = 0; n < 30; n++) {
            static const int ports[] = { 1, 2, 3, 8, 50, 85, 103, 127 };
            struct str frame = str_fmt(test_arena(), "{\"bytes\":[%.*s],\"fPort\":%d,\"recvTime\":\"\"}",
                                       STR(text_str(&bytes)), ports[(size_t)n % COUNT(ports)]);
            struct codec_answer a =
                codec_child_decode_wait(c, codec, CODEC_DECODE_UPLINK, frame, test_arena());
            if (a.refusal != CODEC_DONE)
                test_fail(__FILE__, __LINE__, "%.*s: %.*s: %.*s", STR(name), STR(frame), STR(a.words));
            text_fmt(&bytes, n ? ",%d" : "%d", n == 0 ? 2 : n * 37 % 256);
        }
    }
    EQ(codec_child_counts(c).started, 1);
    codec_child_close(c);
}

/* ------------------------------------------------------------------ forms a codec may have */

TEST(older_forms_are_called_as_they_expect)
{
    static const struct { const char *source, *result; } forms[] = {
        { "function Decode(fPort, bytes, variables) { return { p: fPort, b: bytes, v: typeof variables }; }",
          "{\"data\":{\"p\":7,\"b\":[1,2,3],\"v\":\"undefined\"}}" },
        { "function Decoder(bytes, port) { return { p: port, b: bytes }; }", "{\"data\":{\"p\":7,\"b\":[1,2,3]}}" },
        { "const decodeUplink = (i) => ({ data: i.fPort });", "{\"data\":7}" },
        { "var decodeUplink = function (i) { return { data: i.recvTime instanceof Date }; };", "{\"data\":true}" },
        { "let Decoder = (b, p) => p; const decodeUplink = (i) => ({ data: 'first' });", "{\"data\":\"first\"}" },
    };
    struct codec_child *c = child();
    for (size_t i = 0; i < COUNT(forms); i++)
        STR_EQ(ask(c, forms[i].source).result, str_z(forms[i].result));
    codec_child_close(c);
}

TEST(the_same_frame_gives_the_same_answer_at_any_time)
{
    static const char source[] =
        "function decodeUplink(i) { return { data: [new Date().toISOString(), Date.now(), Date(),"
        " new Date(2026, 0, 1).toISOString(), new Date(0) instanceof Date, Math.random(), Math.random(),"
        " typeof Buffer, typeof require, typeof Intl, typeof WeakRef, typeof SharedArrayBuffer, typeof WebAssembly,"
        " new (new Date().constructor)().getTime(), typeof setTimeout, typeof fetch] }; }";
    struct codec_child *c = child();
    struct codec_answer first = ask(c, source), second = ask(c, source);
    EQ(first.refusal, CODEC_DONE);
    STR_EQ(first.result, second.result);
    TRUE(str_find(first.result, S("[\"2026-01-02T15:00:00.000Z\",1767366000000,\"Fri Jan 02 2026"))
         >= 0);
    TRUE(str_find(first.result, S("\"2026-01-01T00:00:00.000Z\",true,0.")) >= 0);
    TRUE(
        str_find(
            first.result,
            S("\"undefined\",\"undefined\",\"undefined\",\"undefined\",\"undefined\",\"undefined\","
              "1767366000000,\"undefined\",\"undefined\"]"))
        >= 0);
    codec_child_close(c);
}

/* ------------------------------------------------------------------ hostile codecs */

/* What a fast and a slow machine may say: either the limit is met first, or the 50 ms are. */
static const struct { const char *what, *source; enum codec_refusal either, or; } attacks[] = {
    { "endless loop", "function decodeUplink() { while (1); }", CODEC_TOO_SLOW, CODEC_TOO_SLOW },
    { "endless loop when loaded", "for (;;);", CODEC_TOO_SLOW, CODEC_TOO_SLOW },
    { "endless loop in a getter", "function decodeUplink() { return { get data() { for (;;); } }; }",
      CODEC_TOO_SLOW, CODEC_TOO_SLOW },
    { "endless loop in the exception", "function decodeUplink() { throw { toString() { for (;;); } }; }",
      CODEC_TOO_SLOW, CODEC_TOO_SLOW },
    { "2 GB array", "function decodeUplink() { var a = new Uint8Array(2e9); a.fill(1); return { data: a.length }; }",
      CODEC_TOO_SLOW, CODEC_TOO_BIG },
    { "growing array", "function decodeUplink() { var a = []; for (;;) a.push(new Array(1e5).fill(7)); }",
      CODEC_TOO_SLOW, CODEC_TOO_BIG },
    { "growing string", "function decodeUplink() { var s = 'x'; for (;;) s += s; }", CODEC_THREW, CODEC_TOO_SLOW },
    { "deep recursion", "function decodeUplink(i) { return decodeUplink(i); }", CODEC_THREW, CODEC_TOO_SLOW },
    { "deep recursion of toString", "var o = { toString() { return '' + this; } };"
      "function decodeUplink() { return { data: '' + o }; }", CODEC_THREW, CODEC_TOO_SLOW },
    { "cycle", "function decodeUplink() { var o = {}; o.data = o; return o; }", CODEC_THREW, CODEC_THREW },
    { "deep answer", "function decodeUplink() { var o = {}; for (var i = 0; i < 1e5; i++) o = { o: o }; return o; }",
      CODEC_TOO_SLOW, CODEC_THREW },
    { "throw", "function decodeUplink() { throw new Error('no such port'); }", CODEC_THREW, CODEC_THREW },
    { "throw nothing", "function decodeUplink() { throw undefined; }", CODEC_THREW, CODEC_THREW },
    { "catastrophic regular expression",
      "function decodeUplink() { return { data: /^(a|a)*(a|a)*$/.test('a'.repeat(40) + 'b') }; }",
      CODEC_TOO_SLOW, CODEC_TOO_SLOW },
    { "answer of a million keys",
      "function decodeUplink() { var d = {}; for (var i = 0; i < 1e6; i++) d['k' + i] = i; return { data: d }; }",
      CODEC_TOO_LARGE, CODEC_TOO_SLOW },
    { "answer of 65 KiB", "function decodeUplink() { return { data: 'x'.repeat(65536) }; }",
      CODEC_TOO_LARGE, CODEC_TOO_LARGE },
    { "syntax", "function decodeUplink( {", CODEC_SYNTAX, CODEC_SYNTAX },
    { "throws when loaded", "throw new Error('no');", CODEC_SYNTAX, CODEC_SYNTAX },
    { "empty", "", CODEC_NO_FUNCTION, CODEC_NO_FUNCTION },
    { "other function", "function encodeDownlink() {}", CODEC_NO_FUNCTION, CODEC_NO_FUNCTION },
    { "answers a text", "function decodeUplink() { return 'x'; }", CODEC_NO_OBJECT, CODEC_NO_OBJECT },
    { "answers nothing", "function decodeUplink() {}", CODEC_NO_OBJECT, CODEC_NO_OBJECT },
    { "answers a function", "function decodeUplink() { return function () {}; }", CODEC_NO_OBJECT, CODEC_NO_OBJECT },
};

TEST(every_attack_ends_in_a_named_refusal_and_the_next_decode_works)
{
    struct codec_child *c = child();
    for (size_t i = 0; i < COUNT(attacks); i++) {
        struct codec_answer a = ask(c, attacks[i].source);
        if (getenv("HOTARU_BENCH"))
            printf("  %-34s %s (%.*s)\n", attacks[i].what, codec_refusal_name(a.refusal),
                   STR(a.words));
        if (a.refusal != attacks[i].either && a.refusal != attacks[i].or)
            test_fail(__FILE__, __LINE__, "%s: %s", attacks[i].what, codec_refusal_name(a.refusal));
        TRUE(a.words.n > 0 && str_is_utf8(a.words));
        if (!still_works(c))
            test_fail(__FILE__, __LINE__, "after: %s", attacks[i].what);
    }
    codec_child_close(c);
}

TEST(what_one_codec_does_to_its_world_no_other_sees)
{
    static const char polluter[] =
        "Object.prototype.n = 99; Array.prototype.length = 7; JSON.stringify = () => 'owned'; Math.min = () => 0;"
        "Object.prototype.toJSON = function () { return 'owned'; }; Date.now = () => 5; globalThis.decodeUplink2 = 1;"
        "function decodeUplink(i) { return { data: 1 }; }";
    static const char naive[] =
        "function decodeUplink(i) { var o = {}; return { data: { n: o.n === undefined, l: "
        "[].length,"
        " t: {}.toJSON === undefined, m: Math.min(3, 2), g: typeof decodeUplink2 } }; }";
    struct codec_child *c = child();
    (void)ask(c, polluter);
    STR_EQ(ask(c, naive).result,
           S("{\"data\":{\"n\":true,\"l\":0,\"t\":true,\"m\":2,\"g\":\"undefined\"}}"));
    STR_EQ(
        ask(c,
            "function decodeUplink() { return { data: JSON.parse('{\"__proto__\":{\"x\":1}}') }; }")
            .result,
        S("{\"data\":{\"__proto__\":{\"x\":1}}}"));
    /* The same source for another tenant is another world. */
    static const char counter[] = "var n = 0; function decodeUplink() { return { data: ++n }; }";
    u32 mine = codec_child_codec(c, 1, str_z(counter)),
        theirs = codec_child_codec(c, 2, str_z(counter));
    TRUE(mine != theirs);
    for (int i = 0; i < 3; i++)
        (void)codec_child_decode_wait(c, mine, CODEC_DECODE_UPLINK, str_z(input), test_arena());
    STR_EQ(
        codec_child_decode_wait(c, theirs, CODEC_DECODE_UPLINK, str_z(input), test_arena()).result,
        S("{\"data\":1}"));
    codec_child_close(c);
}

TEST(a_codec_that_killed_three_children_rests_and_the_others_do_not)
{
    struct codec_child *c = child();
    for (int i = 0; i < 3; i++)
        EQ(ask(c, attacks[0].source).refusal, CODEC_TOO_SLOW);
    EQ(ask(c, attacks[0].source).refusal, CODEC_RESTING);
    TRUE(still_works(c));
    u32 codec = codec_child_codec(c, 1, str_z(attacks[0].source));
    i64 rests_us = mono_since(codec_child_rests_until(c, codec), now());
    TRUE(rests_us > 0 && rests_us <= 60 * US_PER_S);
    struct mono later = mono_after(now(), 61 * US_PER_S);
    EQ(codec_child_decode(c, 5, codec, CODEC_DECODE_UPLINK, str_z(input), later), CODEC_DONE);
    codec_child_close(c);
}

struct heard {
    u64 ids[CODEC_WAITING_MAX];
    enum codec_refusal refusals[CODEC_WAITING_MAX];
    size_t n;
};

static void hear(void *of, const struct codec_answer *answer)
{
    struct heard *h = of;
    h->ids[h->n]        = answer->id;
    h->refusals[h->n++] = answer->refusal;
}

/* Never pid 0: that would be ourselves and all our kin. */
static void signal_child(struct codec_child *c, int number)
{
    int pid = codec_child_pid(c);
    TRUE(pid > 0 && kill(pid, number) == 0);
}

static void wait_all(struct codec_child *c)
{
    struct mono until = mono_after(now(), 20 * US_PER_S);
    while (codec_child_waiting(c) > 0 && mono_before(now(), until)) {
        codec_child_readable(c, now());
        codec_child_tick(c, now());
    }
    EQ(codec_child_waiting(c), 0);
}

TEST(calls_behind_a_killed_one_are_answered_by_the_next_child)
{
    struct heard *h = arena_new(test_arena(), struct heard);
    struct codec_child *c =
        codec_child_make((struct codec_child_calls){ .answered = hear, .of = h }, now());
    u32 fine = codec_child_codec(c, 1, str_z(good)),
        loop = codec_child_codec(c, 1, str_z(attacks[0].source));
    for (u64 i = 0; i < 100; i++)
        EQ(codec_child_decode(c, i, i == 10 || i == 50 ? loop : fine, CODEC_DECODE_UPLINK,
                              str_z(input), now()),
           CODEC_DONE);
    wait_all(c);
    EQ(h->n, 100);
    for (size_t i = 0; i < h->n; i++) {
        EQ(h->ids[i], i);
        EQ(h->refusals[i], i == 10 || i == 50 ? CODEC_TOO_SLOW : CODEC_DONE);
    }
    EQ(codec_child_counts(c).started, 3);
    EQ(codec_child_counts(c).killed_cpu, 2);
    codec_child_close(c);
}

TEST(a_child_killed_from_outside_costs_one_answer_at_most)
{
    struct heard *h = arena_new(test_arena(), struct heard);
    struct codec_child *c =
        codec_child_make((struct codec_child_calls){ .answered = hear, .of = h }, now());
    u32 fine = codec_child_codec(c, 1, str_z(good));
    TRUE(still_works(c));
    signal_child(c, SIGKILL);
    for (u64 i = 0; i < 10; i++)
        EQ(codec_child_decode(c, i, fine, CODEC_DECODE_UPLINK, str_z(input), now()), CODEC_DONE);
    wait_all(c);
    EQ(h->n, 10);
    for (size_t i = 1; i < h->n; i++)
        EQ(h->refusals[i], CODEC_DONE);
    codec_child_close(c);
}

TEST(a_machine_that_stands_still_is_not_held_against_the_codec)
{
    struct heard *h = arena_new(test_arena(), struct heard);
    struct codec_child *c =
        codec_child_make((struct codec_child_calls){ .answered = hear, .of = h }, now());
    TRUE(still_works(c));
    struct mono t = now();
    signal_child(c, SIGSTOP);
    EQ(codec_child_decode(c, 1, codec_child_codec(c, 1, str_z(good)), CODEC_DECODE_UPLINK,
                          str_z(input), t),
       CODEC_DONE);
    codec_child_tick(c, mono_after(t, 60000));
    codec_child_tick(c, mono_after(t, 990000));
    EQ(codec_child_counts(c).started, 1);
    codec_child_tick(c, mono_after(t, 1010000));
    EQ(codec_child_counts(c).started, 2);
    wait_all(c);
    EQ(h->refusals[h->n - 1], CODEC_DONE);
    codec_child_close(c);
}

TEST(a_codec_that_hoards_memory_costs_a_child_now_and_then_and_no_more)
{
    static const char hoarder[] = "var kept = []; function decodeUplink() {"
        " kept.push(new Uint8Array(8e6).fill(1)); return { data: kept.length }; }";
    struct codec_child *c = child();
    int done = 0;
    for (int i = 0; i < 40; i++) {
        done += ask(c, hoarder).refusal == CODEC_DONE;
        codec_child_tick(c, now());
    }
    TRUE(done > 30);
    TRUE(codec_child_counts(c).started >= 3); /* 40 times 8 MB through children of 96 MB */
    TRUE(still_works(c));
    codec_child_close(c);
}

TEST(more_codecs_than_contexts_still_all_work)
{
    struct codec_child *c = child();
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 80; i++) {
            struct str source =
                str_fmt(test_arena(), "function decodeUplink() { return { data: %d }; }", i);
            struct codec_answer a =
                codec_child_decode_wait(c, codec_child_codec(c, 1, source), CODEC_DECODE_UPLINK,
                                        str_z(input), test_arena());
            STR_EQ(a.result, str_fmt(test_arena(), "{\"data\":%d}", i));
        }
    EQ(codec_child_counts(c).started, 1);
    codec_child_close(c);
}

TEST(what_cannot_be_asked_is_refused_at_once)
{
    struct codec_child *c = child();
    char *large = arena_take(test_arena(), CODEC_SOURCE_MAX + 1, 1);
    memset(large, ' ', CODEC_SOURCE_MAX + 1);
    EQ(codec_child_codec(c, 1, (struct str){ large, CODEC_SOURCE_MAX + 1 }), CODEC_NONE_SUCH);
    EQ(codec_child_codec(c, 1, (struct str){ "a\0b", 3 }), CODEC_NONE_SUCH);
    EQ(codec_child_codec(c, 1, (struct str){ "\xff", 1 }), CODEC_NONE_SUCH);
    TRUE(codec_child_codec(c, 1, (struct str){ large, CODEC_SOURCE_MAX }) != CODEC_NONE_SUCH);
    u32 codec = codec_child_codec(c, 1, str_z(good));
    EQ(codec, codec_child_codec(c, 1, str_z(good)));
    EQ(codec_child_decode(c, 1, codec, CODEC_DECODE_UPLINK,
                          (struct str){ large, CODEC_INPUT_MAX + 1 }, now()),
       CODEC_BAD_INPUT);
    EQ(codec_child_decode_wait(c, codec, CODEC_DECODE_UPLINK, S("{"), test_arena()).refusal,
       CODEC_BAD_INPUT);
    EQ(codec_child_decode_wait(c, codec, CODEC_DECODE_UPLINK, S("7"), test_arena()).refusal,
       CODEC_BAD_INPUT);
    EQ(codec_child_decode_wait(c, codec, CODEC_ENCODE_DOWNLINK, S("{}"), test_arena()).refusal,
       CODEC_NO_FUNCTION);
    for (u64 i = 0; i < CODEC_WAITING_MAX; i++)
        EQ(codec_child_decode(c, i, codec, CODEC_DECODE_UPLINK, str_z(input), now()), CODEC_DONE);
    EQ(codec_child_decode(c, 999, codec, CODEC_DECODE_UPLINK, str_z(input), now()), CODEC_FULL);
    EQ(codec_child_waiting(c), CODEC_WAITING_MAX);
    codec_child_close(c);
}

/* ------------------------------------------------------------------ a machine that has nothing to give */

static i64 address_space_bytes(void)
{
    i64 pages = 0;
    char text[64];
    FILE *f = fopen("/proc/self/statm", "r");
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    struct str line = { text, n };
    if (f)
        (void)fclose(f);
    TRUE(str_to_i64(&pages, str_cut(&line, ' ')));
    return pages * sysconf(_SC_PAGESIZE);
}

/* What is asked of a child that is gone, while a limit of this process stands. */
static void ask_under(struct codec_child *c, u64 id, __rlimit_resource_t what, i64 most)
{
    struct rlimit before, now_only;
    u32 fine = codec_child_codec(c, 1, str_z(good));
    signal_child(c, SIGKILL);
    while (codec_child_pid(c))
        codec_child_readable(c, now());
    EQ(getrlimit(what, &before), 0);
    now_only = (struct rlimit){ (rlim_t)most, before.rlim_max };
    (void)setrlimit(what, &now_only);
    enum codec_refusal asked = codec_child_decode(c, id, fine, CODEC_DECODE_UPLINK, str_z(input), now());
    (void)setrlimit(what, &before);
    EQ(asked, CODEC_DONE);
}

TEST(a_child_that_cannot_be_started_is_started_later_and_the_call_waits)
{
    static const struct { __rlimit_resource_t what; i64 most; } limits[] = { { RLIMIT_NOFILE, 0 }, { RLIMIT_AS, 0 } };
    struct heard *h = arena_new(test_arena(), struct heard);
    struct codec_child *c = codec_child_make((struct codec_child_calls){ .answered = hear, .of = h }, now());
    u32 fine = codec_child_codec(c, 1, str_z(good));
    for (size_t i = 0; i < COUNT(limits); i++) {
        TRUE(still_works(c));
        ask_under(c, i, limits[i].what, limits[i].most);
        EQ(codec_child_pid(c), 0);
        EQ(codec_child_decode(c, 99, fine, CODEC_DECODE_UPLINK, str_z(input), now()), CODEC_NO_CHILD);
        codec_child_tick(c, mono_after(now(), 6 * US_PER_S));
        TRUE(codec_child_pid(c) > 0);
        wait_all(c);
        EQ(h->n, i + 1);
        EQ(h->refusals[i], CODEC_DONE);
    }
    codec_child_close(c);
}

TEST(a_child_that_dies_before_it_is_jailed_is_no_codecs_fault)
{
    struct heard *h = arena_new(test_arena(), struct heard);
    struct codec_child *c = codec_child_make((struct codec_child_calls){ .answered = hear, .of = h }, now());
    TRUE(still_works(c));
    ask_under(c, 7, RLIMIT_AS, address_space_bytes() + (64 << 20));      /* JavaScriptCore reserves 72 GB */
    TRUE(codec_child_pid(c) > 0);
    wait_all(c);
    EQ(h->n, 1);
    EQ(h->refusals[0], CODEC_NO_CHILD);
    EQ(codec_child_decode(c, 8, codec_child_codec(c, 1, str_z(good)), CODEC_DECODE_UPLINK, str_z(input), mono_after(now(), 6 * US_PER_S)),
       CODEC_DONE);
    wait_all(c);
    EQ(h->refusals[1], CODEC_DONE);
    EQ(codec_child_counts(c).crashed, 2);                               /* this one, and the one that ask_under killed */
    codec_child_close(c);
}

TEST(a_child_that_does_not_begin_within_ten_seconds_is_given_up)
{
    struct heard *h = arena_new(test_arena(), struct heard);
    struct mono t = now();
    struct codec_child *c = codec_child_make((struct codec_child_calls){ .answered = hear, .of = h }, t);
    signal_child(c, SIGSTOP);
    EQ(codec_child_decode(c, 1, codec_child_codec(c, 1, str_z(good)), CODEC_DECODE_UPLINK, str_z(input), t), CODEC_DONE);
    codec_child_tick(c, mono_after(t, 9 * US_PER_S));
    EQ(h->n, 0);
    codec_child_tick(c, mono_after(t, 11 * US_PER_S));
    EQ(h->n, 1);
    EQ(h->refusals[0], CODEC_NO_CHILD);
    EQ(codec_child_pid(c), 0);
    codec_child_close(c);
}

TEST(what_the_childs_socket_does_not_take_is_sent_when_it_has_room)
{
    struct heard *h = arena_new(test_arena(), struct heard);
    struct codec_child *c = codec_child_make((struct codec_child_calls){ .answered = hear, .of = h }, now());
    char *padding = arena_take(test_arena(), 100000, 1);
    memset(padding, ' ', 100000);
    TRUE(still_works(c));
    signal_child(c, SIGSTOP);
    for (u64 i = 0; i < 30; i++) {                                      /* 3 MB of sources, and a socket for less than one */
        u32 codec = codec_child_codec(c, 1, str_fmt(test_arena(), "function decodeUplink() { return { data: %d }; }%.*s", (int)i,
                                                    100000, padding));
        EQ(codec_child_decode(c, i, codec, CODEC_DECODE_UPLINK, str_z(input), now()), CODEC_DONE);
    }
    EQ(h->n, 0);
    signal_child(c, SIGCONT);
    wait_all(c);
    EQ(h->n, 30);
    for (u64 i = 0; i < h->n; i++) {
        EQ(h->ids[i], i);
        EQ(h->refusals[i], CODEC_DONE);
    }
    EQ(codec_child_counts(c).started, 1);
    codec_child_close(c);
}

TEST(a_call_in_a_child_above_its_memory_ends_that_child)
{
    static const char hoarder[] = "var kept = []; function decodeUplink() {"
        " kept.push(new Uint8Array(8e6).fill(1)); return { data: kept.length }; }";
    struct heard *h = arena_new(test_arena(), struct heard);
    struct codec_child *c = codec_child_make((struct codec_child_calls){ .answered = hear, .of = h }, now());
    TRUE(still_works(c));
    u32 codec = codec_child_codec(c, 1, str_z(hoarder)), fine = codec_child_codec(c, 1, str_z(good));
    struct mono until = mono_after(now(), 20 * US_PER_S);
    for (u64 i = 0; i < 24; i++) {
        EQ(codec_child_decode(c, i, codec, CODEC_DECODE_UPLINK, str_z(input), now()), CODEC_DONE);
        while (codec_child_waiting(c) > 0 && mono_before(now(), until))
            codec_child_readable(c, now());                             /* and nobody looks at its memory meanwhile */
    }
    EQ(h->n, 24);
    signal_child(c, SIGSTOP);
    EQ(codec_child_decode(c, 99, fine, CODEC_DECODE_UPLINK, str_z(input), now()), CODEC_DONE);
    codec_child_tick(c, now());
    EQ(h->n, 25);
    EQ(h->refusals[24], CODEC_TOO_BIG);
    EQ(codec_child_counts(c).killed_memory, 1);
    codec_child_close(c);
}

TEST(every_refusal_has_its_name_and_words_of_its_own)
{
    for (u32 i = 0; i < CODEC_REFUSAL_KINDS; i++) {
        TRUE(str_starts(str_z(codec_refusal_name(i)), S("CODEC_")));
        for (u32 k = 0; k < i; k++)
            TRUE(!str_eq(str_z(codec_refusal_words(i)), str_z(codec_refusal_words(k))));
    }
}

/* ------------------------------------------------------------------ the jail */

static bool status_says(int pid, const char *line)
{
    char text[4096], path[40];
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE  *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    if (f)
        (void)fclose(f);
    return str_find((struct str){ text, n }, str_z(line)) >= 0;
}

TEST(the_child_is_jailed_and_has_tried_its_doors)
{
    struct codec_child *c = child();
    TRUE(still_works(c));
    STR_EQ(codec_child_jail(c),
           S("refused: files, sockets, programs, processes, signals, executable memory"));
    TRUE(status_says(codec_child_pid(c), "NoNewPrivs:\t1"));
    TRUE(status_says(codec_child_pid(c), "Seccomp:\t2"));
    codec_child_close(c);
}

/* ------------------------------------------------------------------ figures */

static double seconds(struct mono from)
{
    return (double)mono_since(now(), from) / 1e6;
}

TEST(figures_of_the_codec_child)
{
    if (!getenv("HOTARU_BENCH"))
        return;
    struct bytes source = embedded_file(S("data/codecs/decentlab-dl-atm22.js"));
    static const char frame[] =
        "{\"bytes\":[2,8,201,0,3,128,9,129,43,128,20,129,8,128,2,127,232,128,8,128,4,11,245],"
        "\"fPort\":1,\"recvTime\":\"2026-01-02T15:00:00.000Z\"}";
    struct mono t = now();
    struct codec_child *c = child();
    TRUE(still_works(c));
    printf("  start to first answer      %8.1f ms\n", seconds(t) * 1e3);
    u32 small = codec_child_codec(c, 1, str_z(good)),
        real = codec_child_codec(c, 1, str_of(source));
    const struct { const char *what; u32 codec; const char *input; } cases[] = {
        { "smallest codec", small, input }, { "DL-ATM22, 23 bytes", real, frame } };
    for (size_t k = 0; k < COUNT(cases); k++) {
        const int calls = 20000;
        u64 cpu = 0;
        for (int i = 0; i < 2000; i++)
            (void)codec_child_decode_wait(c, cases[k].codec, CODEC_DECODE_UPLINK,
                                          str_z(cases[k].input), test_arena());
        t = now();
        for (int i = 0; i < calls; i++)
            cpu += codec_child_decode_wait(c, cases[k].codec, CODEC_DECODE_UPLINK,
                                           str_z(cases[k].input), test_arena())
                       .cpu_us;
        printf("  %-22s one by one %6.2f us, of which the child's CPU %.2f us\n", cases[k].what,
               seconds(t) * 1e6 / calls, (double)cpu / calls);
        t = now();
        for (int i = 0; i < calls; i++)
            while (codec_child_decode(c, (u64)i, cases[k].codec, CODEC_DECODE_UPLINK,
                                      str_z(cases[k].input), now())
                   == CODEC_FULL)
                codec_child_readable(c, now());
        wait_all(c);
        printf("  %-22s in a stream %.0f decodes/s\n", cases[k].what, calls / seconds(t));
    }
    t = now();
    for (int i = 0; i < 200; i++)
        (void)codec_child_decode_wait(
            c, codec_child_codec(c, 1, str_fmt(test_arena(), "//%d\n%.*s", i, STR(str_of(source)))),
            CODEC_DECODE_UPLINK, str_z(frame), test_arena());
    printf("  first call of a codec      %8.1f us\n", seconds(t) * 1e6 / 200);
    t = now();
    (void)ask(c, attacks[0].source);
    printf("  endless loop ended in      %8.1f ms", seconds(t) * 1e3);
    t = now();
    TRUE(still_works(c));
    printf(", the next decode answered %.1f ms later\n", seconds(t) * 1e3);
    char path[40], text[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/statm", codec_child_pid(c));
    FILE *f = fopen(path, "r");
    if (f && fgets(text, sizeof text, f))
        printf("  memory, pages (total resident …)  %s", text);
    if (f)
        (void)fclose(f);
    codec_child_close(c);
}
