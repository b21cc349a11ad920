// SPDX-License-Identifier: Apache-2.0
/*
 * The command. A city is a process of its own, so that a crash of one is a fact about one; two run
 * side by side. What a city has to say comes back through a pipe as one record; what was printed
 * where errors go is shown when the city failed. A failing city ends with the line that replays it.
 */
#include "box/box.h"

#include "main/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QUIET_US    (120 * US_PER_S)      /* at the end the city rests, and everything comes to its place */

struct order {
    struct plan plan;
    u64  first, last;
    double budget_s;                      /* begin no more cities after so much real time; 0: no limit */
    u32  at_once;
    bool verbose;
    char *const *scenes;                  /* files; instead of seeds */
};

/* What a city reports. */
struct record {
    u64 seed, broken, hash, lines, uplinks, starts, stops, exits_75, cuts[CUTS], boundaries[BOUNDARIES];
    u64 held;                             /* expectations of scenes */
    double hours;
    struct judge_table judge;
    struct disk_counts disk;
    struct net_counts net;
    bool done;
};

static struct box *the_box;
static FILE *out;

struct box *box_here(void)
{
    return the_box;
}

/* ------------------------------------------------------------------ log */

void box_log(const char *fmt, ...)
{
    struct box *b = the_box;
    char line[600];
    va_list args;
    i64 us = b->now.us - 1000 * US_PER_S;
    int head = snprintf(line, sizeof line, "%02lld:%02lld:%02lld.%06lld ", (long long)(us / US_PER_S / 3600),
                        (long long)(us / US_PER_S / 60 % 60), (long long)(us / US_PER_S % 60), (long long)(us % US_PER_S));
    va_start(args, fmt);
    (void)vsnprintf(line + head, sizeof line - (size_t)head, fmt, args);
    va_end(args);
    b->lines++;
    for (const char *p = line; *p; p++)
        b->hash = (b->hash ^ (u8)*p) * 0x100000001B3u;
    if (b->verbose)
        (void)fprintf(out, "%s\n", line);
}

void box_broken(const char *rule, const char *fmt, ...)
{
    struct box *b = the_box;
    char words[500];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    b->broken++;
    box_log("BROKEN %s: %s", rule, words);
    if (b->broken > 5)
        return;
    (void)fprintf(out, "FALSE %s, %s, life %u: %s\n", rule, b->plan.name, b->life, words);
    (void)fflush(out);
}

/* ------------------------------------------------------------------ one city */

static struct settings daemon_settings(const struct plan *plan, struct arena *boot)
{
    char *words[] = { "--data", "/data", "--dev", "--http", "127.0.0.1:8080", "--udp", "127.0.0.1:1700", "--keys_cached", "1024",
                      "--speed", (char *)(uintptr_t)str_fmt(boot, "%.0f", plan->speed).p };
    char *argv[COUNT(words) + 1] = { NULL };
    int   argc = (int)COUNT(words);
    struct settings s;
    struct str why = S("");
    memcpy(argv, words, sizeof words);
    if (settings_read(&s, &argc, argv, &why, boot) != OK || argc > 0)
        die("the box's own settings are not understood: %.*s", STR(why));
    return s;
}

static void make_box(struct box *b)
{
    b->boot      = arena_make(1 << 20);
    b->life_boot = arena_make(1 << 20);
    b->hash      = 0xCBF29CE484222325u;
    the_box      = b;
}

/* The machine is there: its clock, its disk, its network. */
static void switch_on(struct box *b, u32 gateways)
{
    box_time_begin(b);
    b->settings = daemon_settings(&b->plan, &b->boot);
    disk_begin(b);
    net_begin(b, gateways);
}

/* False: the scene cannot be read, and has been told why. */
static bool run_city(struct box *b)
{
    struct str why = S("");
    make_box(b);
    if (b->plan.scene.n && scene_read(b, b->plan.scene, &why) != OK) {
        (void)fprintf(out, "FALSE %s: %.*s\n", b->plan.name, STR(why));
        return false;
    }
    switch_on(b, b->plan.gateways + scene_more());
    judge_begin(b);
    city_begin(b);
    struct mono end = mono_after(b->now, (i64)(b->plan.hours * 3600 * (double)US_PER_S));
    box_live_until(end);
    b->quiet = true;
    *disk_faults() = (struct disk_faults){ .room_bytes = (i64)1 << 40, .sync_us = 100 };
    *codec_faults() = (struct codec_faults){ .answer_us = 400 };
    box_log("the city rests");
    box_at(mono_after(b->now, QUIET_US - 5 * US_PER_S), BOX_ALWAYS, judge_rest, NULL, 0);
    box_live_until(mono_after(end, QUIET_US));
    return true;
}

static struct record record_of(const struct box *b)
{
    struct record r = { .seed = b->plan.seed, .broken = b->broken, .hash = b->hash, .lines = b->lines,
                        .uplinks = b->sim.tally.uplinks, .starts = b->starts, .stops = b->stops, .exits_75 = b->exits_75,
                        .held = scene_held, .hours = b->plan.hours, .judge = judge_table(), .disk = disk_counts(), .net = net_counts(), .done = true };
    memcpy(r.cuts, b->cuts, sizeof r.cuts);
    memcpy(r.boundaries, b->boundaries, sizeof r.boundaries);
    return r;
}

/* ------------------------------------------------------------------ what a real daemon heard */

bool replay_host_read(struct bytes *to, const char *path, struct arena *arena)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    (void)fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    u8 *p = size >= 0 ? arena_take(arena, (size_t)size + 1, 1) : NULL;
    bool good = p && fread(p, 1, (size_t)size, f) == (size_t)size;
    (void)fclose(f);
    *to = (struct bytes){ p, good ? (size_t)size : 0 };
    return good;
}

static int run_replay(const char *folder)
{
    struct box *b = boot_take(sizeof *b);
    struct str why = S("");
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup2(null, 1);
    b->plan = (struct plan){ .name = folder, .seed = 1, .speed = 1 };
    b->verbose = true;
    make_box(b);
    switch_on(b, 1);
    if (!replay_run(b, str_z(folder), &why)) {
        (void)fprintf(stderr, "replay: %.*s\n", STR(why));
        return 1;
    }
    (void)fprintf(out, "log %016llx, %llu lines\n", (unsigned long long)b->hash, (unsigned long long)b->lines);
    (void)fflush(out);
    return b->broken ? 1 : 0;
}

/* ------------------------------------------------------------------ many cities */

struct running { pid_t pid; int pipe, errors; u64 seed; };

/* A scene has a seed of its own, which --seed may replace. */
static void take_scene(struct box *b, const char *path, u64 seed)
{
    FILE *f = fopen(path, "r");
    static char text[1 << 16];
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    if (f)
        (void)fclose(f);
    if (n == 0)
        die("the scene %s cannot be read", path);
    b->plan.name  = path;
    b->plan.scene = (struct str){ text, n };
    b->plan.seed  = seed;
}

static _Noreturn void be_city(const struct order *o, u64 seed, int to, int errors)
{
    struct box *b = boot_take(sizeof *b);
    char name[64];
    b->plan      = o->plan;
    b->plan.seed = seed;
    b->verbose   = o->verbose;
    (void)snprintf(name, sizeof name, "seed %llu", (unsigned long long)seed);
    b->plan.name = name;
    if (o->scenes)
        take_scene(b, o->scenes[seed], o->plan.seed);
    (void)dup2(errors, 2);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup2(null, 1);                                   /* the daemon's ready lines */
    bool ran = run_city(b);
    (void)fflush(out);
    if (!ran)
        exit(2);
    struct record r = record_of(b);
    (void)!write(to, &r, sizeof r);
    exit(b->broken ? 1 : 0);
}

static struct running start_city(const struct order *o, u64 seed)
{
    int ends[2];
    struct running c = { .seed = seed, .errors = memfd_create("what a city says", MFD_CLOEXEC) };
    if (c.errors < 0 || pipe(ends) != 0)
        die("no pipe for a city");
    (void)fflush(out);
    c.pid = fork();
    if (c.pid == 0) {
        (void)close(ends[0]);
        be_city(o, seed, ends[1], c.errors);
    }
    (void)close(ends[1]);
    c.pipe = ends[0];
    return c;
}

static void show_errors(int fd)
{
    char tail[6000];
    off_t size = lseek(fd, 0, SEEK_END), from = MAX(size - (off_t)sizeof tail, (off_t)0);
    ssize_t n = pread(fd, tail, sizeof tail, from);
    if (n > 0)
        (void)fprintf(out, "the last it said:\n%.*s\n", (int)n, tail);
}

static struct record end_city(const struct order *o, struct running *c, int status)
{
    struct record r = { .seed = c->seed };
    bool whole = read(c->pipe, &r, sizeof r) == (ssize_t)sizeof r;
    if (!whole || !r.done || r.broken || !WIFEXITED(status) || WEXITSTATUS(status)) {
        if (!whole)
            r = (struct record){ .seed = c->seed };
        r.broken += r.broken == 0;
        if (WIFSIGNALED(status))
            (void)fprintf(out, "FALSE seed %llu: the city ended with signal %d\n", (unsigned long long)c->seed, WTERMSIG(status));
        show_errors(c->errors);
        if (o->scenes)
            (void)fprintf(out, "replay: make city SCENE=%s\n", o->scenes[c->seed]);
        else
            (void)fprintf(out, "replay: make city SEED=%llu HOURS=%g\n", (unsigned long long)c->seed, o->plan.hours);
    }
    (void)close(c->pipe);
    (void)close(c->errors);
    return r;
}

static void add(struct record *sum, const struct record *r)
{
    sum->broken += r->broken, sum->lines += r->lines, sum->uplinks += r->uplinks, sum->starts += r->starts;
    sum->stops += r->stops, sum->exits_75 += r->exits_75, sum->hours += r->hours, sum->held += r->held;
    sum->hash ^= r->hash * (2 * r->seed + 1);
    for (int i = 0; i < CUTS; i++)
        sum->cuts[i] += r->cuts[i];
    const u64 *parts[] = { (const u64 *)&r->judge, (const u64 *)&r->disk, (const u64 *)&r->net };
    u64 *sums[] = { (u64 *)&sum->judge, (u64 *)&sum->disk, (u64 *)&sum->net };
    const size_t sizes[] = { sizeof r->judge, sizeof r->disk, sizeof r->net };
    for (size_t k = 0; k < COUNT(parts); k++)
        for (size_t i = 0; i < sizes[k] / sizeof(u64); i++)
            sums[k][i] += parts[k][i];
}

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_table(const struct record *s, u64 cities, double took)
{
    u64 power = s->cuts[CUT_POWER_LOSE] + s->cuts[CUT_POWER_REORDER] + s->cuts[CUT_POWER_TEAR];
    (void)fprintf(out,
        "city: %llu cities, %.1f city-hours in %.1f s; %llu uplinks sent by devices, %llu joins, %llu downlinks\n"
        "      %llu starts: after %llu kills, %llu power cuts (%llu unsynced writes lost, %llu torn), %llu stops in order, %llu exits with 75;\n"
        "      disk: %llu writes, %llu syncs, %llu refused as full, %llu failed; network: %llu datagrams up, %llu lost, %llu twice, %llu unheard\n"
        "      acknowledged %llu, stored %llu, delivered %llu, delivered again %llu, counters reused %llu, nonces accepted twice %llu, late downlinks %llu\n"
        "      %llu expectations of scenes held; log %016llx, %llu lines\n",
        (unsigned long long)cities, s->hours, took, (unsigned long long)s->uplinks, (unsigned long long)s->judge.joins,
        (unsigned long long)s->judge.downlinks, (unsigned long long)s->starts, (unsigned long long)s->cuts[CUT_PROCESS],
        (unsigned long long)power, (unsigned long long)s->disk.lost_writes, (unsigned long long)s->disk.torn,
        (unsigned long long)s->stops, (unsigned long long)s->exits_75, (unsigned long long)s->disk.writes, (unsigned long long)s->disk.syncs,
        (unsigned long long)s->disk.refused_full, (unsigned long long)s->disk.failed, (unsigned long long)s->net.up,
        (unsigned long long)s->net.lost, (unsigned long long)s->net.twice, (unsigned long long)s->net.unheard,
        (unsigned long long)s->judge.acknowledged, (unsigned long long)s->judge.stored, (unsigned long long)s->judge.delivered,
        (unsigned long long)s->judge.duplicated, (unsigned long long)s->judge.reused, (unsigned long long)s->judge.repeated_nonces,
        (unsigned long long)s->judge.late_downlinks, (unsigned long long)s->held, (unsigned long long)s->hash, (unsigned long long)s->lines);
}

static int run_all(const struct order *o)
{
    struct running *children = boot_take(sizeof *children * o->at_once);
    struct record sum = { 0 };
    u64 next = o->first, cities = 0, failed = 0;
    u32 running = 0;
    double began = seconds();
    while (running || (next <= o->last && (o->budget_s == 0 || seconds() - began < o->budget_s))) {
        bool more = next <= o->last && (o->budget_s == 0 || seconds() - began < o->budget_s);
        if (more && running < o->at_once) {
            children[running++] = start_city(o, next++);
            continue;
        }
        int status;
        pid_t pid = wait(&status);
        for (u32 i = 0; i < running; i++)
            if (children[i].pid == pid) {
                struct record r = end_city(o, &children[i], status);
                children[i] = children[--running];
                failed += r.broken > 0;
                cities++;
                add(&sum, &r);
                break;
            }
    }
    print_table(&sum, cities, seconds() - began);
    (void)fprintf(out, "%llu passed, %llu failed\n", (unsigned long long)(cities - failed), (unsigned long long)failed);
    return failed ? 1 : 0;
}

/* ------------------------------------------------------------------ options */

static int usage(const char *bad)
{
    (void)fprintf(stderr, "city: %s is not understood\n"
                          "  --seeds A-B       cities from these seeds [1-4]      --seed N   only this one\n"
                          "  --hours H         of each city [1]                   --devices N [520]   --gateways N [21]\n"
                          "  --for SECONDS     begin no more cities after that    --at-once N [2]\n"
                          "  --calm            nothing goes wrong                 -v         print the log\n"
                          "  --scene FILE …    these scenes, to the end of the line; before it: --seed N replaces theirs\n"
                          "  --replay FOLDER   what the capture in a copy of a data folder holds, again\n"
                          "  --words           what a scene may say\n", bad);
    return 2;
}

static bool number(double *to, const char *text)
{
    return text && str_to_double(to, str_z(text)) && *to >= 0;
}

int main(int argc, char **argv)
{
    struct order o = { .plan = { .hours = 1, .gateways = 21, .devices = 520, .interval_scale = 0.92, .faults = true, .speed = 4 },
                       .first = 1, .last = 4, .at_once = 2 };
    out = fdopen(dup(1), "w");
    for (int i = 1; i < argc; i++) {
        struct str word = str_z(argv[i]);
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        double n = 0, m = 0;
        if (str_eq(word, S("--words"))) {
            struct arena a = arena_make(1 << 16);
            struct text t = text_make(&a, 1 << 15);
            scene_words(&t);
            (void)fprintf(out, "%.*s", STR(text_str(&t)));
            return fclose(out) != 0;
        }
        if (str_eq(word, S("--replay")) && value)
            return run_replay(value);
        if (str_eq(word, S("--scene")) && value) {
            o.scenes = argv + i + 1;
            o.plan.seed = o.first == o.last ? o.first : 0;
            o.first = 0, o.last = (u64)(argc - i - 2);
            break;
        }
        if (str_eq(word, S("-v"))) {
            o.verbose = true;
        } else if (str_eq(word, S("--calm"))) {
            o.plan.faults = false;
        } else if (str_eq(word, S("--seeds")) && value) {
            struct str rest = str_z(value), first = str_cut(&rest, '-');
            if (!str_to_double(&n, first) || !str_to_double(&m, rest) || m < n || n < 0)
                return usage(value);
            o.first = (u64)n, o.last = (u64)m, i++;
        } else if (number(&n, value)) {
            i++;
            if (str_eq(word, S("--seed")))           o.first = o.last = (u64)n;
            else if (str_eq(word, S("--hours")))     o.plan.hours = n;
            else if (str_eq(word, S("--devices")))   o.plan.devices = (u32)n;
            else if (str_eq(word, S("--gateways")))  o.plan.gateways = (u32)n;
            else if (str_eq(word, S("--for")))       o.budget_s = n;
            else if (str_eq(word, S("--at-once")))   o.at_once = (u32)MAX(n, 1.0);
            else return usage(argv[i - 1]);
        } else {
            return usage(argv[i]);
        }
    }
    return run_all(&o);
}
