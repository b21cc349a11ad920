// SPDX-License-Identifier: Apache-2.0
/*
 * Time in the box: one clock that jumps to the next event, one agenda beside the city's own, and the
 * second body of sys's clocks, chance and loop. Whoever waits for a disk moves the clock; what was
 * due meanwhile is carried out late, as on a real machine.
 */
#include "box/box.h"

static struct agenda_of_box { struct box_entry *heap; size_t n, room; u64 order; } agenda;

/* ------------------------------------------------------------------ chance */

struct chance *box_chance(enum stream stream)
{
    return &box_here()->chance[stream];
}

bool box_happens(enum stream stream, double probability)
{
    return probability > 0 && sim_chance_unit(box_chance(stream)) < probability;
}

void sys_random(u8 *out, size_t n)
{
    if (replay_given() && replay_chance(out, n))
        return;
    for (size_t i = 0; i < n; i++)
        out[i] = (u8)(sim_chance_next(box_chance(CHANCE_SYS)) >> 24);
}

/* ------------------------------------------------------------------ clocks */

struct mono sys_now(void)
{
    return box_here()->now;
}

/* The daemon's wall clock may be wrong; the city's is not. */
struct wall sys_clock(void)
{
    struct box *b = box_here();
    return (struct wall){ b->wall_begin.us + b->now.us + (b->outside ? 0 : b->wall_offset_us) };
}

i64  sys_rss_bytes(void) { return 0; }
i64  sys_cpu_us(void) { return 0; }
void sys_no_core_dumps(void) { }

void box_wait(i64 us)
{
    box_here()->now.us += us;
    box_here()->waited_us += us;
}

/* ------------------------------------------------------------------ the agenda: a heap, earliest first */

static bool earlier(const struct box_entry *a, const struct box_entry *b)
{
    return a->at.us != b->at.us ? a->at.us < b->at.us : a->order < b->order;
}

static void swap(size_t a, size_t b)
{
    struct box_entry e = agenda.heap[a];
    agenda.heap[a] = agenda.heap[b];
    agenda.heap[b] = e;
}

void box_at(struct mono at, u32 life, box_call *call, void *arg, i64 number)
{
    if (agenda.n == agenda.room) {
        size_t room = MAX(agenda.room * 2, (size_t)1024);
        agenda.heap = boot_grow(agenda.heap, agenda.room * sizeof *agenda.heap, room * sizeof *agenda.heap);
        agenda.room = room;
    }
    size_t i = agenda.n++;
    agenda.heap[i] = (struct box_entry){ at, ++agenda.order, life, call, arg, number };
    for (; i > 0 && earlier(&agenda.heap[i], &agenda.heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(i, (i - 1) / 2);
}

static struct box_entry take(void)
{
    struct box_entry first = agenda.heap[0];
    agenda.heap[0] = agenda.heap[--agenda.n];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < agenda.n; k++)
            if (earlier(&agenda.heap[k], &agenda.heap[least]))
                least = k;
        if (least == i)
            return first;
        swap(i, least);
        i = least;
    }
}

void box_time_begin(struct box *b)
{
    agenda.n      = 0;
    agenda.order  = 0;
    b->now        = (struct mono){ 1000 * US_PER_S };
    b->wall_begin = (struct wall){ 1780000000 * US_PER_S };
    for (u32 i = 0; i < CHANCES; i++)
        b->chance[i].state = sim_hash(b->plan.seed, 0xB0C5, i);
}

/* ------------------------------------------------------------------ what happens next */

static bool due(struct mono *at, bool *of_city)
{
    struct box *b = box_here();
    struct mono city = { INT64_MAX };
    bool has_city = !b->quiet && sim_agenda_next(&b->sim.agenda, &city);
    bool has_own  = agenda.n > 0;
    if (!has_city && !has_own)
        return false;
    *of_city = has_city && (!has_own || city.us < agenda.heap[0].at.us);
    *at      = *of_city ? city : agenda.heap[0].at;
    return true;
}

static void carry_out_city(struct box *b)
{
    struct event e;
    struct arena mark = b->sim.event;
    b->outside = true;
    if (sim_agenda_take(&b->sim.agenda, &e, b->now))
        sim_carry_out(&b->sim, &e);
    b->sim.event = mark;
    b->outside   = false;
}

bool box_step(void)
{
    struct box *b = box_here();
    struct mono at;
    bool of_city;
    if (!due(&at, &of_city) || at.us > b->end.us) {
        b->now.us = MAX(b->now.us, b->end.us);
        b->over   = true;
        return false;
    }
    b->now.us = MAX(b->now.us, at.us);
    if (of_city) {
        carry_out_city(b);
    } else {
        struct box_entry e = take();
        if (e.life == BOX_ALWAYS || (b->alive && e.life == b->life))
            e.call(e.arg, e.number);
    }
    if (!replay_given())
        judge_step();
    return true;
}

/* ------------------------------------------------------------------ the loop of one life */

struct loop { bool stopped; loop_call *on_stop; void *on_stop_arg; };
struct loop_timer { struct loop_timer *next; loop_call *call; void *arg; u32 generation; };
struct loop_watch { struct loop_watch *next; int fd; loop_call *call; void *arg; bool pending; };
struct loop_wake  { struct loop_wake *next; loop_call *call; void *arg; bool pending; };

static struct loop        the_loop;
static struct loop_timer *timers;
static struct loop_watch *watches;
static struct loop_wake  *wakes;

struct loop *loop_make(void)
{
    the_loop = (struct loop){ 0 };
    return &the_loop;
}

void loop_run(struct loop *loop)
{
    struct box *b = box_here();
    while (!loop->stopped && !b->dead && !b->over && box_step())
        ;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

struct loop_timer *loop_timer(struct loop *loop, loop_call *call, void *arg)
{
    struct loop_timer *t = boot_take(sizeof *t);
    (void)loop;
    *t     = (struct loop_timer){ .next = timers, .call = call, .arg = arg };
    timers = t;
    return t;
}

static void timed(void *arg, i64 generation)
{
    struct loop_timer *t = arg;
    if (t->generation == (u32)generation)
        t->call(t->arg);
}

/* Whole milliseconds, never early; now and then late, as timers are under load. */
void loop_timer_at(struct loop_timer *t, struct mono when)
{
    struct box *b = box_here();
    i64 us = MAX(mono_since(when, b->now), (i64)0);
    i64 late_us = box_happens(CHANCE_TIME, 0.01) ? (i64)sim_chance_below(box_chance(CHANCE_TIME), 4000) : 0;
    box_at(mono_after(b->now, (us + 999) / 1000 * 1000 + late_us), b->life, timed, t, ++t->generation);
}

struct loop_watch *loop_watch(struct loop *loop, int fd, loop_call *call, void *arg)
{
    struct loop_watch *w = boot_take(sizeof *w);
    (void)loop;
    *w      = (struct loop_watch){ .next = watches, .fd = fd, .call = call, .arg = arg };
    watches = w;
    return w;
}

/* It stays in the list, so that a call on its way finds that it is gone. */
void loop_unwatch(struct loop_watch *w)
{
    w->call = NULL;
}

static void readable(void *arg, i64 number)
{
    struct loop_watch *w = arg;
    (void)number;
    w->pending = false;
    if (w->call)
        w->call(w->arg);
}

void box_readable(int fd, struct mono at)
{
    struct box *b = box_here();
    for (struct loop_watch *w = watches; w; w = w->next)
        if (w->fd == fd && w->call && !w->pending) {
            w->pending = true;
            box_at(at, b->life, readable, w, 0);
        }
}

struct loop_wake *loop_wake_make(struct loop *loop, loop_call *call, void *arg)
{
    struct loop_wake *w = boot_take(sizeof *w);
    (void)loop;
    *w    = (struct loop_wake){ .next = wakes, .call = call, .arg = arg };
    wakes = w;
    return w;
}

static void woken(void *arg, i64 number)
{
    struct loop_wake *w = arg;
    (void)number;
    w->pending = false;
    w->call(w->arg);
}

void loop_wake(struct loop_wake *w)
{
    struct box *b = box_here();
    if (w->pending)
        return;
    w->pending = true;
    box_at(b->now, b->life, woken, w, 0);
}

void loop_on_stop_signals(struct loop *loop, loop_call *call, void *arg)
{
    loop->on_stop     = call;
    loop->on_stop_arg = arg;
}

void box_loop_signal(void)
{
    if (the_loop.on_stop)
        the_loop.on_stop(the_loop.on_stop_arg);
}

/* Calls of that life that are still on the agenda are dropped when their time comes: their life is over. */
void box_loop_end(void)
{
    for (struct loop_timer *t = timers, *next; t; t = next) {
        next = t->next;
        boot_release(t);
    }
    for (struct loop_watch *w = watches, *next; w; w = next) {
        next = w->next;
        boot_release(w);
    }
    for (struct loop_wake *w = wakes, *next; w; w = next) {
        next = w->next;
        boot_release(w);
    }
    timers   = NULL;
    watches  = NULL;
    wakes    = NULL;
    the_loop = (struct loop){ 0 };
}
