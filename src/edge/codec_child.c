// SPDX-License-Identifier: Apache-2.0
/*
 * The daemon's side of the codec child: a queue of calls, one child, and a watch over both.
 *
 *     waiting calls, oldest first:   | sent … sent | not yet sent … |
 *                                      ^ head: the one the child works on
 *
 * The child answers in order, so an answer always belongs to the head. When the child dies, the
 * head is what killed it: it gets the refusal, and all that was sent after it is sent again to the
 * next child. What the dead child had answered before is still read first.
 *
 * Which codec stands in which of the child's 32 contexts is decided here (the least recently used
 * one goes), so that the child needs no questions back: a call that needs another codec in a place brings its
 * source along.
 *
 * The watch. The child's own timer ends a call at 50 ms of CPU. Here stand the fences behind it:
 * a second of wall time (an overloaded machine is forgiven once), memory (128 MB resident), and
 * a child that does not start (10 s).
 */
#include "edge/codec_letter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WALL_US         1000000
#define START_US        (10 * US_PER_S)
#define RESPAWN_US      (5 * US_PER_S)
#define RSS_MAX_BYTES   (128LL << 20)
#define RSS_TIDY_BYTES  (96LL << 20)     /* between calls the child is replaced quietly */
#define TICK_US         10000
#define SENT_MAX        32               /* calls in the child's socket */
#define KILLS_MAX       3
#define REST_US         (60 * US_PER_S)
#define REST_US_MAX     (3600 * US_PER_S)
#define FORGIVE_US      (3600 * US_PER_S)   /* this long without a kill and the count starts anew */
#define NO_PLACE        UINT16_MAX

struct call {
    u64 id;
    u32 codec;
    u32 input_n;
    u8  function;
    u8  starved;                         /* times it was killed without having used its CPU */
    char input[CODEC_INPUT_MAX];
};

struct source {
    u64 tenant, hash;
    char *text;
    size_t n;
    u16 place;                           /* in the child, or NO_PLACE */
    u8  kills;
    struct mono killed, rests_until;
    i64 rest_us;
};

struct codec_child {
    struct codec_child_calls calls;
    int   fd;                            /* -1: no child */
    pid_t pid;
    bool  ready;                         /* it said hello */
    bool  tidy;                          /* replace it as soon as nothing is sent */
    struct mono since;                   /* when the head began, or the child was started */
    struct mono next_start;              /* not before */
    struct mono ticked;
    i64   cpu_us_before;                 /* the child's when the watch first saw this head, or -1 */
    enum codec_refusal killed_for;       /* CODEC_DONE: we did not kill it */
    struct call *waiting;                /* a ring */
    size_t first, count, sent;
    struct source *sources;
    size_t sources_count;
    u32 places[CODEC_PLACES];            /* which codec stands there; CODEC_NONE_SUCH: none */
    u64 used[CODEC_PLACES], clock;       /* for least recently used */
    char *letter;
    char  jail[CODEC_WORDS_MAX];
    size_t jail_n;
    struct codec_child_counts counts;
    struct await *await;
};

/* The blocking form's answer, taken out of the stream. */
struct await { u64 id; bool done; struct arena *arena; struct codec_answer answer; };

/* ------------------------------------------------------------------ the child's life */

static struct call *call_at(struct codec_child *c, size_t index)
{
    return &c->waiting[(c->first + index) % CODEC_WAITING_MAX];
}

/* Nothing of the daemon's environment, signals as at birth, and no compiler in the child: it may
 * not make code. */
static int spawn(pid_t *pid, int theirs)
{
    static char *const argv[] = { "hotaru", "codec-worker", NULL };
    static char *const environment[] = {
        "JSC_useJIT=0", "JSC_useConcurrentGC=0", "JSC_numberOfGCMarkers=1", "TZ=UTC", "LANG=C", NULL
    };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t birth;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) || posix_spawnattr_init(&birth))
        return ENOMEM;
    int wrong = posix_spawn_file_actions_adddup2(&files, theirs, CODEC_CHILD_FD)
             || posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
             || posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
             || posix_spawnattr_setsigmask(&birth, &none)
             || posix_spawnattr_setsigdefault(&birth, &all)
             || posix_spawnattr_setflags(&birth, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
             || posix_spawn(pid, "/proc/self/exe", &files, &birth, argv, environment);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&birth);
    return wrong;
}

static void start(struct codec_child *c, struct mono now)
{
    int pair[2], room = 1 << 20;
    c->next_start = mono_after(now, RESPAWN_US);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return;
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    (void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    bool on = spawn(&c->pid, pair[1]) == 0;
    (void)close(pair[1]);
    if (!on) {
        (void)close(pair[0]);
        c->pid = 0;
        return;
    }
    c->fd    = pair[0];
    c->since = now;
    c->ready = c->tidy = false;
    c->killed_for    = CODEC_DONE;
    c->cpu_us_before = -1;
    c->counts.started++;
    if (c->calls.watch)
        c->calls.watch(c->calls.of, c->fd);
}

/* The child is gone, or will be now. Returns how it ended. */
static int bury(struct codec_child *c)
{
    int status = 0;
    if (c->calls.watch)
        c->calls.watch(c->calls.of, -1);
    (void)kill(c->pid, SIGKILL);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    (void)close(c->fd);
    c->fd   = -1;
    c->pid  = 0;
    c->sent = 0;
    for (size_t i = 0; i < c->sources_count; i++)
        c->sources[i].place = NO_PLACE;
    for (size_t i = 0; i < CODEC_PLACES; i++)
        c->places[i] = CODEC_NONE_SUCH;
    return status;
}

/* ------------------------------------------------------------------ asking */

static u16 place_for(struct codec_child *c, u32 codec, bool *load)
{
    struct source *s = &c->sources[codec];
    size_t oldest = 0;
    *load = s->place == NO_PLACE;
    if (*load) {
        for (size_t i = 1; i < CODEC_PLACES; i++)
            if (c->used[i] < c->used[oldest])
                oldest = i;
        if (c->places[oldest] != CODEC_NONE_SUCH)
            c->sources[c->places[oldest]].place = NO_PLACE;
        c->places[oldest] = codec;
        s->place = (u16)oldest;
    }
    c->used[s->place] = ++c->clock;
    return s->place;
}

static bool send_one(struct codec_child *c, const struct call *call)
{
    bool load;
    struct source *s = &c->sources[call->codec];
    struct codec_ask head = { .id = call->id, .function = call->function };
    head.place    = place_for(c, call->codec, &load);
    head.load     = load;
    head.source_n = load ? (u32)s->n : 0;
    head.input_n  = call->input_n;
    struct iovec parts[] = { { &head, sizeof head }, { s->text, head.source_n },
                             { (void *)(uintptr_t)call->input, call->input_n } };
    struct msghdr letter = { .msg_iov = parts, .msg_iovlen = COUNT(parts) };
    if (sendmsg(c->fd, &letter, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return true;
    if (load) {                          /* it was not put there after all */
        c->places[s->place] = CODEC_NONE_SUCH;
        c->used[s->place]   = 0;
        s->place = NO_PLACE;
    }
    return false;
}

/* Sends what the child's socket takes. The rest goes when answers make room. */
static void pump(struct codec_child *c, struct mono now)
{
    if (c->fd < 0 && c->count > 0 && !mono_before(now, c->next_start))
        start(c, now);
    while (c->fd >= 0 && c->ready && !c->tidy && c->sent < c->count && c->sent < SENT_MAX) {
        if (!send_one(c, call_at(c, c->sent)))
            return;
        if (c->sent++ == 0) {
            c->since = now;
            c->cpu_us_before = -1;
        }
    }
}

/* ------------------------------------------------------------------ answers */

static void deliver(struct codec_child *c, const struct codec_answer *answer)
{
    struct await *w = c->await;
    c->counts.answered++;
    if (w && answer->id == w->id) {
        w->answer = *answer;
        w->answer.result = str_copy(w->arena, answer->result);
        w->answer.words  = str_copy(w->arena, answer->words);
        w->done = true;
    } else if (c->calls.answered) {
        c->calls.answered(c->calls.of, answer);
    }
}

static void drop_head(struct codec_child *c)
{
    assert(c->count > 0);
    c->first = (c->first + 1) % CODEC_WAITING_MAX;
    c->count--;
    c->sent -= c->sent > 0;
}

static void refuse_head(struct codec_child *c, enum codec_refusal refusal)
{
    u64 id = call_at(c, 0)->id;
    drop_head(c);
    deliver(c, &(struct codec_answer){ .id = id, .refusal = refusal, .result = S(""),
                                       .words = str_z(codec_refusal_words(refusal)) });
}

static void take_answer(struct codec_child *c, struct bytes letter, struct mono now)
{
    struct codec_tell head;
    assert(letter.n >= sizeof head);
    memcpy(&head, letter.p, sizeof head);
    struct str words  = { (const char *)letter.p + sizeof head, head.words_n };
    struct str result = { words.p + words.n, head.result_n };
    if (letter.n != sizeof head + words.n + result.n || head.refusal >= CODEC_REFUSAL_KINDS)
        return;                          /* not from our program: the watch will end it */
    if (head.id == CODEC_HELLO) {
        c->ready  = true;
        c->jail_n = MIN(words.n, sizeof c->jail);
        memcpy(c->jail, words.p, c->jail_n);
        return;
    }
    if (c->sent == 0 || call_at(c, 0)->id != head.id)
        return;
    drop_head(c);
    c->since = now;
    c->cpu_us_before = -1;
    if (words.n == 0)
        words = str_z(codec_refusal_words(head.refusal));
    deliver(c, &(struct codec_answer){ head.id, head.refusal, result, words, head.cpu_us });
}

/* A kill is held against the codec that was at work. */
static void blame(struct codec_child *c, struct source *s, struct mono now)
{
    if (mono_since(now, s->killed) > FORGIVE_US) {
        s->kills   = 0;
        s->rest_us = REST_US;
    }
    s->killed = now;
    if (++s->kills < KILLS_MAX)
        return;
    s->kills       = KILLS_MAX - 1;      /* after the rest, one more is enough */
    s->rests_until = mono_after(now, s->rest_us);
    s->rest_us     = MIN(s->rest_us * 2, REST_US_MAX);
    log_line(LOG_WARN, "codec rests tenant=%llx codec=%zu", (unsigned long long)s->tenant,
             (size_t)(s - c->sources));
}

static void after_death(struct codec_child *c, struct mono now)
{
    bool was_ready = c->ready, at_work = c->sent > 0;
    enum codec_refusal why = c->killed_for;
    int status = bury(c);
    if (why == CODEC_DONE)
        why = WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU ? CODEC_TOO_SLOW : CODEC_CRASHED;
    c->counts.killed_cpu    += why == CODEC_TOO_SLOW;
    c->counts.killed_memory += why == CODEC_TOO_BIG;
    c->counts.crashed       += why == CODEC_CRASHED;
    if (!was_ready) {                    /* it cannot even start: no codec is to blame */
        while (c->count > 0)
            refuse_head(c, CODEC_NO_CHILD);
        return;
    }
    c->next_start = now;
    if (at_work) {
        blame(c, &c->sources[call_at(c, 0)->codec], now);
        refuse_head(c, why);
    }
    pump(c, now);
}

void codec_child_readable(struct codec_child *c, struct mono now)
{
    while (c->fd >= 0) {
        ssize_t n = recv(c->fd, c->letter, CODEC_TELL_MAX, MSG_DONTWAIT);
        if (n >= (ssize_t)sizeof(struct codec_tell)) {
            take_answer(c, (struct bytes){ (const u8 *)c->letter, (size_t)n }, now);
            continue;
        }
        if (n < 0 && (errno == EINTR || errno == ECONNRESET))
            continue;                    /* reset: what it did not read is lost, not what it said */
        if (n < 0 && errno == EAGAIN)
            break;
        after_death(c, now);
        return;
    }
    pump(c, now);
}

/* ------------------------------------------------------------------ the watch */

/* One number of the child's page in /proc; -1 when there is none. */
static i64 proc_number(pid_t pid, const char *page, int fields_before, char after)
{
    char path[48], text[512];
    i64  value = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, page);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text);
    (void)close(fd);
    struct str rest = { text, n > 0 ? (size_t)n : 0 };
    if (after)
        (void)str_cut(&rest, after);     /* the program's name may hold blanks */
    rest = str_trim(rest);
    for (; fields_before > 0; fields_before--)
        (void)str_cut(&rest, ' ');
    (void)str_to_i64(&value, str_cut(&rest, ' '));
    return value;
}

/* proc(5): utime and stime are the 14th and 15th of stat, resident pages the second of statm. */
static i64 child_cpu_us(pid_t pid)
{
    i64 user = proc_number(pid, "stat", 11, ')'), system = proc_number(pid, "stat", 12, ')');
    return user < 0 || system < 0 ? -1 : (user + system) * (US_PER_S / sysconf(_SC_CLK_TCK));
}

static i64 child_rss_bytes(pid_t pid)
{
    i64 pages = proc_number(pid, "statm", 1, 0);
    return pages < 0 ? -1 : pages * sysconf(_SC_PAGESIZE);
}

/* Kills it and settles the calls. */
static void end_child(struct codec_child *c, enum codec_refusal why, struct mono now)
{
    c->killed_for = why;
    (void)kill(c->pid, SIGKILL);
    codec_child_readable(c, now);        /* what it had answered, perhaps its end */
    if (c->fd >= 0 && c->killed_for != CODEC_DONE)
        after_death(c, now);
}

/* At the wall limit without having had its CPU: the machine was slow, not the codec. Once. */
static bool forgive_starved(struct codec_child *c, i64 cpu_us, struct mono now)
{
    struct call *head = call_at(c, 0);
    if (cpu_us < 0 || c->cpu_us_before < 0 || cpu_us - c->cpu_us_before >= CODEC_CPU_US / 2
        || head->starved++)
        return false;
    (void)bury(c);
    c->next_start = now;
    pump(c, now);
    return true;
}

static void watch_head(struct codec_child *c, struct mono now)
{
    i64 wall_us = mono_since(now, c->since);
    if (wall_us < CODEC_CPU_US)
        return;
    i64 cpu_us = child_cpu_us(c->pid);
    if (c->cpu_us_before < 0)
        c->cpu_us_before = cpu_us;
    bool timer_failed = cpu_us >= 0 && cpu_us - c->cpu_us_before >= 2 * CODEC_CPU_US;
    if (!timer_failed && (wall_us < WALL_US || forgive_starved(c, cpu_us, now)))
        return;
    end_child(c, CODEC_TOO_SLOW, now);
}

void codec_child_tick(struct codec_child *c, struct mono now)
{
    c->ticked = now;
    if (c->fd < 0) {
        pump(c, now);
        return;
    }
    codec_child_readable(c, now);        /* an answer that is already here is no delay */
    if (c->fd < 0)
        return;
    if (!c->ready) {
        if (mono_since(now, c->since) > START_US)
            end_child(c, CODEC_NO_CHILD, now);
        return;
    }
    i64 rss = child_rss_bytes(c->pid);
    if (rss > RSS_MAX_BYTES && c->sent > 0) {
        end_child(c, CODEC_TOO_BIG, now);
        return;
    }
    c->tidy = c->tidy || rss > RSS_TIDY_BYTES;
    if (c->sent > 0) {
        watch_head(c, now);
    } else if (c->tidy) {
        (void)bury(c);
        start(c, now);
    }
}

/* ------------------------------------------------------------------ the face */

struct codec_child *codec_child_make(struct codec_child_calls calls, struct mono now)
{
    struct codec_child *c = boot_take(sizeof *c);
    c->calls   = calls;
    c->fd      = -1;
    c->waiting = boot_take(sizeof *c->waiting * CODEC_WAITING_MAX);
    c->sources = boot_take(sizeof *c->sources * CODEC_CODECS_MAX);
    c->letter  = boot_take(CODEC_TELL_MAX);
    for (size_t i = 0; i < CODEC_PLACES; i++)
        c->places[i] = CODEC_NONE_SUCH;
    start(c, now);
    return c;
}

void codec_child_close(struct codec_child *c)
{
    if (c->fd >= 0)
        (void)bury(c);
    for (size_t i = 0; i < c->sources_count; i++)
        boot_release(c->sources[i].text);
    boot_release(c->sources);
    boot_release(c->waiting);
    boot_release(c->letter);
    boot_release(c);
}

u32 codec_child_codec(struct codec_child *c, u64 tenant, struct str source)
{
    u64 hash = hash_bytes(bytes_of(source));
    for (size_t i = 0; i < c->sources_count; i++) {
        struct source *s = &c->sources[i];
        if (s->tenant == tenant && s->hash == hash && str_eq((struct str){ s->text, s->n }, source))
            return (u32)i;
    }
    if (c->sources_count == CODEC_CODECS_MAX || source.n > CODEC_SOURCE_MAX || !str_is_utf8(source)
        || (source.n > 0 && memchr(source.p, 0, source.n)))
        return CODEC_NONE_SUCH;
    struct source *s = &c->sources[c->sources_count];
    *s = (struct source){ .tenant = tenant, .hash = hash, .n = source.n, .place = NO_PLACE };
    s->rest_us = REST_US;
    s->text = boot_take(source.n + 1);
    memcpy(s->text, source.p, source.n);
    return (u32)c->sources_count++;
}

enum codec_refusal codec_child_decode(struct codec_child *c, u64 id, u32 codec,
                                      enum codec_function function, struct str input,
                                      struct mono now)
{
    assert(codec < c->sources_count && function < CODEC_FUNCTIONS && id != CODEC_HELLO);
    if (input.n > CODEC_INPUT_MAX || (input.n > 0 && memchr(input.p, 0, input.n)))
        return CODEC_BAD_INPUT;
    if (mono_before(now, c->sources[codec].rests_until))
        return CODEC_RESTING;
    if (c->fd < 0 && mono_before(now, c->next_start))
        return CODEC_NO_CHILD;
    if (c->count == CODEC_WAITING_MAX)
        return CODEC_FULL;
    struct call *call = call_at(c, c->count++);
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
int    codec_child_pid(const struct codec_child *c)     { return (int)c->pid; }
size_t codec_child_waiting(const struct codec_child *c) { return c->count; }

struct codec_child_counts codec_child_counts(const struct codec_child *c)
{
    return c->counts;
}

struct str codec_child_jail(const struct codec_child *c)
{
    return (struct str){ c->jail, c->jail_n };
}

/* ------------------------------------------------------------------ the blocking form */

static struct mono now_mono(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct mono){ (i64)t.tv_sec * US_PER_S + t.tv_nsec / 1000 };
}

struct codec_answer codec_child_decode_wait(struct codec_child *c, u32 codec,
                                            enum codec_function function, struct str input,
                                            struct arena *arena)
{
    struct await w = { .id = CODEC_HELLO - 1, .arena = arena };
    w.answer = (struct codec_answer){ .id = w.id, .result = S("") };
    w.answer.refusal = codec_child_decode(c, w.id, codec, function, input, now_mono());
    w.answer.words   = str_z(codec_refusal_words(w.answer.refusal));
    if (w.answer.refusal != CODEC_DONE)
        return w.answer;
    c->await = &w;
    while (!w.done) {
        struct pollfd p = { .fd = c->fd, .events = POLLIN };
        int ready = poll(&p, 1, 5);
        struct mono now = now_mono();
        if (ready > 0)
            codec_child_readable(c, now);
        if (ready <= 0 || mono_since(now, c->ticked) > TICK_US)
            codec_child_tick(c, now);
    }
    c->await = NULL;
    return w.answer;
}
