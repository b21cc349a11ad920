// SPDX-License-Identifier: Apache-2.0
/*
 * The codec child in the box: second body of the daemon's side of it, with a child that is only a
 * clock. Answers come in order and later, by the watch on a descriptor of the box's own:
 *
 *     start -> hello -> head of the queue in work -> answer -> next head …
 *
 * What can go wrong goes wrong here as it does there (edge/codec_child.c): the child does not start,
 * dies while it says hello, dies at a call, is so slow that the daemon forgives it once and kills it
 * the second time; a codec that killed three children rests; the queue is full.
 *
 * There is no JavaScript. The one script of the simulated city's devices (hotaru-snow-pump.js) is
 * carried out in C, known by its first comment and held to the script's own examples by a test.
 */
#include "box/box.h"

#include "edge/codec_child.h"
#include "wire/json.h"

#define START_US     (40 * US_PER_MS)
#define RESPAWN_US   (5 * US_PER_S)
#define WALL_US      (1 * US_PER_S)
#define KILLS_MAX    3
#define REST_US      (60 * US_PER_S)
#define REST_US_MAX  (3600 * US_PER_S)
#define FORGIVE_US   (3600 * US_PER_S)
#define ANSWER_MAX   4096

enum { CODEC_FD = 2000, CODEC_FDS = 1000 };

struct call {
    u64 id;
    u32 codec, input_n;
    u8  function, starved;
    char input[CODEC_INPUT_MAX];
};

enum script { SCRIPT_OTHER, SCRIPT_SNOW_PUMP };
struct source {
    u64 tenant;
    struct str text;
    enum script script;
    u8  kills;
    struct mono killed, rests_until;
    i64 rest_us;
};

struct codec_child {
    struct codec_child_calls calls;
    int  fd;                             /* -1: no child */
    bool ready, working;                 /* it said hello; the head is in its hands */
    bool dies;                           /* instead of what it is about to say */
    struct mono since, says;             /* when it began with that, and when it says it */
    struct mono next_start;              /* not before */
    struct call *waiting;                /* a ring */
    size_t first, count;
    struct source *sources;
    size_t sources_count;
    struct arena boot, event;            /* the sources' texts; one answer */
    struct codec_child_counts counts;
};

static struct codec_faults faults = { .answer_us = 400 };
static u32 children;                     /* open in this life */

struct codec_faults *codec_faults(void)
{
    return &faults;
}

/* ------------------------------------------------------------------ the script, in C */

struct reply { enum codec_refusal refusal; struct str words, result; };

static struct reply refusal(enum codec_refusal of, struct str words)
{
    return (struct reply){ of, words.n ? words : str_z(codec_refusal_words(of)), S("") };
}

struct given { const struct json *input, *list; struct arena *arena; };

static i64 byte_at(const struct given *g, size_t index)
{
    i64 v = 0;
    (void)json_i64(&v, json_at(g->list, index));
    return v;
}

static i64 u16_at(const struct given *g, size_t index)
{
    return byte_at(g, index) << 8 | byte_at(g, index + 1);
}

static bool port_is(const struct given *g, i64 port)
{
    i64 v;
    return json_i64(&v, json_get(g->input, S("fPort"))) && v == port;
}

static void write_errors(struct json_out *o, struct str words)
{
    json_open_object(o);
    json_key(o, S("errors"));
    json_open_array(o);
    json_put_str(o, words);
    json_close(o);
    json_close(o);
}

static void pump_uplink(struct json_out *o, const struct given *g)
{
    const struct json *port = json_get(g->input, S("fPort"));
    if (!port_is(g, 2)) {
        write_errors(o, str_fmt(g->arena, "port %.*s, expected 2", STR(port ? port->raw : S("undefined"))));
        return;
    }
    if (g->list->members != 10) {
        write_errors(o, str_fmt(g->arena, "%u bytes, expected 10", g->list->members));
        return;
    }
    json_open_object(o);
    json_key(o, S("data"));
    json_open_object(o);
    json_member_str(o, S("pump"), byte_at(g, 0) & 1 ? S("on") : S("off"));
    json_member_bool(o, S("snowfall"), byte_at(g, 0) & 2);
    json_member_double(o, S("pressure"), (double)u16_at(g, 1) / 10);
    json_member_double(o, S("current"), (double)u16_at(g, 3) / 100);
    json_member_double(o, S("temperature"), (i16)u16_at(g, 5) / 10.0);
    json_member_double(o, S("water_table"), (double)u16_at(g, 7) / 100);
    json_member_i64(o, S("battery"), byte_at(g, 9));
    json_close(o);
    json_close(o);
}

static void pump_order(struct json_out *o, const struct given *g)
{
    struct str pump = json_str(json_get(json_get(g->input, S("data")), S("pump")), g->arena);
    bool on = str_eq(pump, S("on"));
    if (!on && !str_eq(pump, S("off"))) {
        write_errors(o, S("pump must be \"on\" or \"off\""));
        return;
    }
    json_open_object(o);
    json_member_i64(o, S("fPort"), 10);
    json_key(o, S("bytes"));
    json_open_array(o);
    json_put_i64(o, on);
    json_close(o);
    json_close(o);
}

static void pump_mirror(struct json_out *o, const struct given *g)
{
    if (!port_is(g, 10) || g->list->members != 1 || byte_at(g, 0) > 1) {
        write_errors(o, S("not a pump command"));
        return;
    }
    json_open_object(o);
    json_key(o, S("data"));
    json_open_object(o);
    json_member_str(o, S("pump"), byte_at(g, 0) == 1 ? S("on") : S("off"));
    json_close(o);
    json_close(o);
}

static struct reply carry_out(enum script script, u8 function, struct str input, struct arena *arena)
{
    static void (*const pump[CODEC_FUNCTIONS])(struct json_out *o, const struct given *g) = {
        [CODEC_DECODE_UPLINK]   = pump_uplink,
        [CODEC_ENCODE_DOWNLINK] = pump_order,
        [CODEC_DECODE_DOWNLINK] = pump_mirror,
    };
    struct given g = { .arena = arena };
    if (script != SCRIPT_SNOW_PUMP)
        return refusal(CODEC_NO_FUNCTION, S("the box knows only the script of the snow-melting pump"));
    if (json_read(&g.input, input, arena, JSON_STRICT, NULL) != OK || !json_is(g.input, JSON_OBJECT))
        return refusal(CODEC_BAD_INPUT, S(""));
    g.list = json_get(g.input, S("bytes"));
    if (function != CODEC_ENCODE_DOWNLINK && !json_is(g.list, JSON_ARRAY))
        return refusal(CODEC_THREW, S("TypeError: undefined is not an object (evaluating 'b.length')"));
    struct text     text = text_make(arena, ANSWER_MAX);
    struct json_out o    = json_out_make(&text);
    pump[function](&o, &g);
    assert(json_out_good(&o));
    return (struct reply){ CODEC_DONE, S("decoded"), text_str(&text) };
}

/* ------------------------------------------------------------------ the child's life */

static struct call *head(struct codec_child *c)
{
    return &c->waiting[c->first];
}

static i64 takes_us(void)
{
    i64 us = box_happens(CHANCE_CODEC, faults.slow) ? faults.slow_us : faults.answer_us;
    return us + (i64)(sim_chance_unit(box_chance(CHANCE_CODEC)) * (double)us / 2);
}

static void work(struct codec_child *c, struct mono since, i64 us)
{
    c->since = since;
    c->says  = mono_after(since, us);
    c->dies  = box_happens(CHANCE_CODEC, faults.dies);
}

static void start(struct codec_child *c, struct mono now)
{
    c->next_start = mono_after(now, RESPAWN_US);
    if (box_happens(CHANCE_CODEC, faults.dies / 2))       /* no room for another process */
        return;
    c->counts.started++;
    c->fd    = CODEC_FD + (int)(c->counts.started % CODEC_FDS);
    c->ready = c->working = false;
    work(c, now, START_US);
    if (c->calls.watch)
        c->calls.watch(c->calls.of, c->fd);
    box_readable(c->fd, c->says);
}

static void bury(struct codec_child *c)
{
    if (c->calls.watch)
        c->calls.watch(c->calls.of, -1);
    c->fd = -1;
}

static void pump(struct codec_child *c, struct mono now)
{
    if (c->fd < 0 && c->count > 0 && !mono_before(now, c->next_start))
        start(c, now);
    if (c->fd >= 0 && c->ready && !c->working && c->count > 0) {
        c->working = true;
        work(c, now, takes_us());
    }
    if (c->fd >= 0 && (c->working || !c->ready))
        box_readable(c->fd, c->says);
}

/* ------------------------------------------------------------------ answers */

static void deliver(struct codec_child *c, struct reply r)
{
    u64 id = head(c)->id;
    c->first   = (c->first + 1) % CODEC_WAITING_MAX;
    c->count--;
    c->working = false;
    c->counts.answered++;
    if (c->calls.answered)
        c->calls.answered(c->calls.of, &(struct codec_answer){ .id = id, .refusal = r.refusal, .result = r.result,
                                                               .words = r.words });
}

/* What the script said then; one that was not kept threw. */
static struct reply carry_out_again(const struct call *call)
{
    struct reply r = { .refusal = CODEC_THREW, .words = S("the answer of then was not kept") };
    u8 refusal;
    if (!replay_answer(call->id, &r.result, &refusal) || refusal >= CODEC_REFUSAL_KINDS)
        return r;
    r.refusal = (enum codec_refusal)refusal;
    r.words   = str_z(codec_refusal_words(r.refusal));
    return r;
}

static void answer_head(struct codec_child *c)
{
    const struct call *call = head(c);
    arena_reset(&c->event);
    if (replay_given()) {
        deliver(c, carry_out_again(call));
        return;
    }
    deliver(c, carry_out(c->sources[call->codec].script, call->function, (struct str){ call->input, call->input_n },
                         &c->event));
}

static void blame(struct source *s, struct mono now)
{
    if (mono_since(now, s->killed) > FORGIVE_US) {
        s->kills   = 0;
        s->rest_us = REST_US;
    }
    s->killed = now;
    if (++s->kills < KILLS_MAX)
        return;
    s->kills       = KILLS_MAX - 1;
    s->rests_until = mono_after(now, s->rest_us);
    s->rest_us     = MIN(s->rest_us * 2, REST_US_MAX);
}

static void after_death(struct codec_child *c, enum codec_refusal why, struct mono now)
{
    bool was_ready = c->ready, at_work = c->working;
    bury(c);
    c->working = false;
    c->counts.killed_cpu += why == CODEC_TOO_SLOW;
    c->counts.crashed    += why == CODEC_CRASHED;
    if (!was_ready) {
        while (c->count > 0)
            deliver(c, refusal(CODEC_NO_CHILD, S("")));
        return;
    }
    c->next_start = now;
    if (at_work) {
        blame(&c->sources[head(c)->codec], now);
        deliver(c, refusal(why, S("")));
    }
    pump(c, now);
}

void codec_child_readable(struct codec_child *c, struct mono now)
{
    while (c->fd >= 0 && (c->working || !c->ready) && !mono_before(now, c->says)) {
        if (c->dies) {
            after_death(c, CODEC_CRASHED, now);
            return;
        }
        if (c->working)
            answer_head(c);
        c->ready = true;
        if (c->count > 0) {                  /* it does not wait for us: the next was in its socket */
            c->working = true;
            work(c, c->says, takes_us());
        }
    }
    pump(c, now);
}

/* A second without an answer and without CPU: the machine was slow. Once. */
void codec_child_tick(struct codec_child *c, struct mono now)
{
    codec_child_readable(c, now);
    if (c->fd < 0 || !c->working || mono_since(now, c->since) < WALL_US)
        return;
    if (head(c)->starved++) {
        after_death(c, CODEC_TOO_SLOW, now);
        return;
    }
    bury(c);
    c->working    = false;
    c->next_start = now;
    pump(c, now);
}

/* ------------------------------------------------------------------ the face */

struct codec_child *codec_child_make(struct codec_child_calls calls, struct mono now)
{
    struct codec_child *c = boot_take(sizeof *c);
    c->calls   = calls;
    c->fd      = -1;
    c->boot    = arena_make(16 * 1024);
    c->event   = arena_make(16 * 1024);
    c->waiting = boot_take(sizeof *c->waiting * CODEC_WAITING_MAX);
    c->sources = boot_take(sizeof *c->sources * CODEC_CODECS_MAX);
    children++;
    start(c, now);
    return c;
}

void codec_child_close(struct codec_child *c)
{
    if (c->fd >= 0)
        bury(c);
    arena_free(&c->boot);
    arena_free(&c->event);
    boot_release(c->waiting);
    boot_release(c->sources);
    boot_release(c);
    children--;
}

u32 codec_child_codec(struct codec_child *c, u64 tenant, struct str source)
{
    for (size_t i = 0; i < c->sources_count; i++)
        if (c->sources[i].tenant == tenant && str_eq(c->sources[i].text, source))
            return (u32)i;
    if (c->sources_count == CODEC_CODECS_MAX || source.n > CODEC_SOURCE_MAX || !str_is_utf8(source) ||
        (source.n > 0 && memchr(source.p, 0, source.n)))
        return CODEC_NONE_SUCH;
    bool pump = str_find(source, S("// Hotaru's demo snow-melting pump")) >= 0;
    c->sources[c->sources_count] = (struct source){ .tenant  = tenant,
                                                    .text    = str_copy(&c->boot, source),
                                                    .script  = pump ? SCRIPT_SNOW_PUMP : SCRIPT_OTHER,
                                                    .rest_us = REST_US };
    return (u32)c->sources_count++;
}

enum codec_refusal codec_child_decode(struct codec_child *c, u64 id, u32 codec, enum codec_function function,
                                      struct str input, struct mono now)
{
    assert(codec < c->sources_count && function < CODEC_FUNCTIONS);
    if (input.n > CODEC_INPUT_MAX || (input.n > 0 && memchr(input.p, 0, input.n)))
        return CODEC_BAD_INPUT;
    if (mono_before(now, c->sources[codec].rests_until))
        return CODEC_RESTING;
    if (c->fd < 0 && mono_before(now, c->next_start))
        return CODEC_NO_CHILD;
    if (c->count == CODEC_WAITING_MAX || box_happens(CHANCE_CODEC, faults.full))
        return CODEC_FULL;
    struct call *call = &c->waiting[(c->first + c->count++) % CODEC_WAITING_MAX];
    call->id       = id;
    call->codec    = codec;
    call->function = (u8)function;
    call->starved  = 0;
    call->input_n  = (u32)input.n;
    memcpy(call->input, input.p, input.n);
    c->counts.asked++;
    pump(c, now);
    return CODEC_DONE;
}

struct mono codec_child_rests_until(const struct codec_child *c, u32 codec)
{
    assert(codec < c->sources_count);
    return c->sources[codec].rests_until;
}

int    codec_child_fd(const struct codec_child *c)      { return c->fd; }
int    codec_child_pid(const struct codec_child *c)     { return c->fd < 0 ? 0 : c->fd; }
size_t codec_child_waiting(const struct codec_child *c) { return c->count; }

struct codec_child_counts codec_child_counts(const struct codec_child *c)
{
    return c->counts;
}

struct str codec_child_jail(const struct codec_child *c)
{
    return c->ready ? S("refused: everything, for there is no process") : S("");
}

/* Nobody can wait in a time that stands still: the answer is there at once. */
struct codec_answer codec_child_decode_wait(struct codec_child *c, u32 codec, enum codec_function function,
                                            struct str input, struct arena *arena)
{
    assert(codec < c->sources_count && function < CODEC_FUNCTIONS);
    struct reply r = carry_out(c->sources[codec].script, (u8)function, input, arena);
    return (struct codec_answer){ .refusal = r.refusal, .result = r.result, .words = r.words };
}

/* serve() closes its child in every case. */
void codec_end_life(void)
{
    assert(children == 0);
}
