// SPDX-License-Identifier: Apache-2.0
/*
 * The HTTP door of the box: second body of edge/http.h, without sockets and threads. What the
 * daemon promised to its door and the door to the daemon is kept in the same order as there:
 *
 *     route -> body within its limit, else 413 -> read: answered at once
 *                                              -> write: waits, loop_wake
 *     http_run_writes (256)    write(), write(), …
 *     the daemon commits
 *     http_finish_writes(err)  failed() for each when it did not commit; the answers leave
 *     http_wake_streams        readers look, a moment later, as threads of their own do
 *
 * An answer that leaves is a boundary, and so is a piece of a stream: if the daemon dies there, the
 * asker hears nothing (status 0), and a reader comes back after the next start.
 *
 * Not here: what the library refuses before anybody has read it (two lengths, dot segments).
 * The tests of the real door show that.
 */
#include "box/box.h"

#include "edge/http.h"

#define WRITES_AT_ONCE 256
#define STREAM_BYTES   (64 * 1024)
#define STREAMS_MAX    512
#define STUCK_US       (30 * US_PER_S)    /* who takes nothing for so long is let go */
#define LOOK_US        (2 * US_PER_MS)    /* until a woken stream looks */
#define RETURN_US      (2 * US_PER_S)     /* until a reader tries again */

enum { QUERY_MAX = 16, HEADERS_MAX = 2, PORT_DEFAULT = 8080 };

struct pair { struct str name, value; };
struct pairs { struct pair *list; size_t n; };

/* A request from its first byte to the last of its answer. */
struct conn {
    struct arena arena;
    struct http_request rq;
    struct http_answer a;
    struct pair  query[QUERY_MAX], header[HEADERS_MAX];
    struct pairs queries, headers;
    struct conn *next;                    /* waiting for the loop, or running */
    door_answered *answered;
    void *arg;
    /* a stream */
    struct arena chunk;
    bool idle, stuck;
    struct mono stuck_at;
};

/* A reader and, while the daemon lives, its stream. */
struct follow {
    struct follow *next;
    struct door_reader *reader;
    struct conn *conn;
    bool looks;                           /* a look is on the agenda of this life */
    bool came;                            /* it has been here before */
};

struct http {
    struct http_calls calls;
    struct loop_wake *writes_wake;
    u16 port;
    struct conn *writes, **writes_last;
    struct conn *running;                 /* taken by the loop, answered after the commit */
};

/* What stands for the machine's port and the people in front of it: one process holds one box. */
static struct { struct http *open; struct follow *follows; u32 streams_n; } door;

/* ------------------------------------------------------------------ what a handler may ask */

static struct str find(struct pairs in, struct str name, bool nocase, bool *there)
{
    for (size_t i = 0; i < in.n; i++)
        if (nocase ? str_eq_nocase(in.list[i].name, name) : str_eq(in.list[i].name, name)) {
            *there = true;
            return in.list[i].value;
        }
    *there = false;
    return S("");
}

struct str http_query(const struct http_request *rq, struct str name)
{
    const struct conn *c = rq->connection;
    bool there;
    return find(c->queries, name, false, &there);
}

bool http_has_query(const struct http_request *rq, struct str name)
{
    const struct conn *c = rq->connection;
    bool there;
    (void)find(c->queries, name, false, &there);
    return there;
}

size_t http_queries(const struct http_request *rq, struct str *names, struct str *values, size_t room)
{
    const struct conn *c = rq->connection;
    for (size_t i = 0; i < c->queries.n && i < room; i++) {
        names[i]  = c->queries.list[i].name;
        values[i] = c->queries.list[i].value;
    }
    return c->queries.n;
}

struct str http_header(const struct http_request *rq, struct str name)
{
    const struct conn *c = rq->connection;
    bool there;
    return find(c->headers, name, true, &there);
}

/* ------------------------------------------------------------------ requests */

/* %XX, except %00; in a query '+' is a blank. */
static struct str decoded(struct arena *arena, struct str s, bool query)
{
    char  *out = arena_take(arena, s.n + 1, 1);
    size_t n = 0, got;
    for (size_t i = 0; i < s.n; n++) {
        u8 byte;
        if (s.p[i] == '%' && i + 2 < s.n && hex_read(&byte, 1, &got, (struct str){ s.p + i + 1, 2 }) && byte) {
            out[n] = (char)byte;
            i += 3;
        } else {
            out[n] = query && s.p[i] == '+' ? ' ' : s.p[i];
            i++;
        }
    }
    return (struct str){ out, n };
}

static void read_query(struct conn *c, struct str query)
{
    c->queries.list = c->query;
    while (query.n > 0 && c->queries.n < QUERY_MAX) {
        struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');
        c->query[c->queries.n++] = (struct pair){ decoded(&c->arena, name, true), decoded(&c->arena, value, true) };
    }
}

static struct conn *conn_make(struct str method, struct str path)
{
    struct conn *c = boot_take(sizeof *c);
    c->arena = arena_make(16 * 1024);
    c->rq = (struct http_request){ .method = str_copy(&c->arena, method), .arena = &c->arena, .connection = c, .from_loopback = true };
    c->rq.path = decoded(&c->arena, str_cut(&path, '?'), false);
    read_query(c, path);
    c->headers.list = c->header;
    return c;
}

static void add_header(struct conn *c, struct str name, struct str value)
{
    assert(c->headers.n < HEADERS_MAX);
    if (value.n > 0)
        c->header[c->headers.n++] = (struct pair){ name, str_copy(&c->arena, value) };
}

static void conn_free(struct conn *c)
{
    if (c->chunk.first)
        arena_free(&c->chunk);
    arena_free(&c->arena);
    boot_release(c);
}

/* The answer leaves, or the daemon dies with it in its hand. */
static void answer(struct conn *c)
{
    bool out = box_boundary(BOUNDARY_ANSWER);
    if (c->answered)
        c->answered(c->arg, out ? c->a.status : 0, out ? str_of(c->a.body) : S(""));
    conn_free(c);
}

static void hand_to_loop(struct http *h, struct conn *c)
{
    c->next         = NULL;
    *h->writes_last = c;
    h->writes_last  = &c->next;
    loop_wake(h->writes_wake);
}

void door_ask(const char *method, struct str path, struct str type, struct bytes body, door_answered *answered, void *arg)
{
    struct http *h = door.open;
    size_t body_max = 0;
    if (!h || box_here()->dead) {
        answered(arg, 0, S(""));
        return;
    }
    struct conn *c = conn_make(str_z(method), path);
    c->answered = answered;
    c->arg      = arg;
    add_header(c, S("Content-Type"), type);
    enum http_where where = h->calls.route(h->calls.of, &c->rq, &body_max);
    if (body.n > body_max) {
        c->a = (struct http_answer){ .status = 413, .type = S("text/plain; charset=utf-8"),
                                     .body = bytes_of(S("the body is larger than this route takes\n")) };
        http_answer_header(&c->a, S("Connection"), S("close"));
        answer(c);
        return;
    }
    c->rq.body = bytes_copy(&c->arena, body);
    if (where == HTTP_WRITES) {
        hand_to_loop(h, c);
        return;
    }
    h->calls.read(h->calls.of, &c->rq, &c->a);
    answer(c);
}

/* ------------------------------------------------------------------ the loop's side */

size_t http_run_writes(struct http *h)
{
    struct conn **last = &h->writes;
    size_t n = 0;
    for (; *last && n < WRITES_AT_ONCE; n++)
        last = &(*last)->next;
    h->running = n ? h->writes : NULL;
    h->writes  = *last;
    *last      = NULL;
    if (!h->writes)
        h->writes_last = &h->writes;
    for (struct conn *c = h->running; c; c = c->next)
        h->calls.write(h->calls.of, &c->rq, &c->a);
    if (h->writes)
        loop_wake(h->writes_wake);
    return n;
}

void http_finish_writes(struct http *h, enum err committed)
{
    struct conn *c = h->running, *next;
    h->running = NULL;
    for (; c; c = next) {
        next = c->next;
        if (committed != OK)
            h->calls.failed(h->calls.of, &c->rq, &c->a, committed);
        answer(c);
    }
}

/* ------------------------------------------------------------------ streams */

static void stream_end(struct follow *f)
{
    if (!f->conn)
        return;
    conn_free(f->conn);
    f->conn = NULL;
    door.streams_n--;
}

/* "id: 7\nevent: change\ndata: {…}\n\n"; a line that begins with ':' shows only that the daemon lives. */
static void hand_over(struct door_reader *r, struct str text)
{
    i64 id = 0;
    struct str data = S("");
    while (text.n > 0) {
        struct str value = str_cut(&text, '\n'), name = str_cut(&value, ':');
        value = str_trim(value);
        if (str_eq(name, S("id")))
            (void)str_to_i64(&id, value);
        else if (str_eq(name, S("data")))
            data = value;
        if (name.n > 0 || value.n > 0 || data.n == 0)
            continue;
        r->last = id;
        r->events++;
        r->event(r->arg, id, data);
        data = S("");
    }
}

static void come(void *arg, i64 number);

static void look_at(struct follow *f, struct mono at);

/* It takes nothing: the door holds what there is in its hands, and lets go of it after a while. */
static bool hangs(struct follow *f)
{
    struct mono now = box_here()->now;
    struct conn *c  = f->conn;
    if (mono_before(now, f->reader->hangs_until)) {
        if (!c->stuck)
            c->stuck_at = now;
        c->stuck = true;
        look_at(f, f->reader->hangs_until);
        return true;
    }
    if (c->stuck && mono_since(now, c->stuck_at) > STUCK_US) {
        stream_end(f);
        come(f, 0);
        return true;
    }
    c->stuck = false;
    return false;
}

static void look(struct follow *f)
{
    struct http *h = door.open;
    for (struct conn *c; (c = f->conn) != NULL && !hangs(f);) {
        bool idle = c->idle;
        c->idle = false;
        arena_reset(&c->chunk);
        struct text t = text_make(&c->chunk, STREAM_BYTES * 4);
        c->a.stream(h->calls.of, &c->rq, &t, idle);
        if (t.n == 0)
            return;
        if (!box_boundary(BOUNDARY_ANSWER)) {
            stream_end(f);
            return;
        }
        hand_over(f->reader, text_str(&t));
    }
}

static void looks(void *arg, i64 number)
{
    struct follow *f = arg;
    (void)number;
    f->looks = false;
    if (f->conn)
        look(f);
}

static void look_at(struct follow *f, struct mono at)
{
    if (f->looks)
        return;
    f->looks = true;
    box_at(at, box_here()->life, looks, f, 0);
}

static i64 some_of(i64 us)
{
    return (i64)(sim_chance_unit(box_chance(CHANCE_DOOR)) * (double)us);
}

static void come_at(struct follow *f, struct mono at)
{
    box_at(at, box_here()->life, come, f, 0);
}

static struct conn *ask_for_stream(struct http *h, const struct door_reader *r)
{
    size_t body_max = 0;
    struct conn *c = conn_make(S("GET"), r->path);
    if (r->last > 0)
        add_header(c, S("Last-Event-ID"), str_fmt(&c->arena, "%lld", (long long)r->last));
    if (h->calls.route(h->calls.of, &c->rq, &body_max) != HTTP_READS)
        die("%.*s is no stream", STR(r->path));
    h->calls.read(h->calls.of, &c->rq, &c->a);
    return c;
}

/* A reader comes, or comes back: from behind the last event it has. */
static void come(void *arg, i64 number)
{
    struct follow *f = arg;
    struct http   *h = door.open;
    struct mono  now = box_here()->now;
    (void)number;
    if (!h || f->conn || box_here()->dead)
        return;
    if (mono_before(now, f->reader->hangs_until)) {
        come_at(f, f->reader->hangs_until);
        return;
    }
    struct conn *c = ask_for_stream(h, f->reader);
    if (c->a.status != 0 || door.streams_n == STREAMS_MAX || !box_boundary(BOUNDARY_ANSWER)) {
        conn_free(c);
        come_at(f, mono_after(now, RETURN_US));
        return;
    }
    c->chunk = arena_make(4096);
    f->conn  = c;
    f->reader->reconnects += f->came;
    f->came  = true;
    door.streams_n++;
    look(f);
}

void door_read_always(struct door_reader *reader)
{
    struct follow *f = arena_new(&box_here()->boot, struct follow);
    *f = (struct follow){ .reader = reader, .next = door.follows };
    reader->path = str_copy(&box_here()->boot, reader->path);
    door.follows = f;
    if (door.open)
        come_at(f, box_here()->now);
}

/* `looks` are on the agenda: the door's threads look when the loop does something else. */
void http_wake_streams(struct http *h, bool idle)
{
    struct mono now = box_here()->now;
    (void)h;
    for (struct follow *f = door.follows; f; f = f->next)
        if (f->conn) {
            f->conn->idle |= idle;
            look_at(f, mono_after(now, some_of(LOOK_US)));
        }
}

/* ------------------------------------------------------------------ begin and end */

struct http *http_open(struct address at, const struct http_calls *calls, struct loop_wake *writes, int threads,
                       struct str *why, struct arena *arena)
{
    (void)threads;
    if (door.open) {
        *why = str_fmt(arena, "cannot listen for HTTP at %.*s: is another program there?", STR(address_str(arena, at)));
        return NULL;
    }
    struct http *h = boot_take(sizeof *h);
    *h = (struct http){ .calls = *calls, .writes_wake = writes, .port = at.port ? at.port : PORT_DEFAULT };
    h->writes_last = &h->writes;
    door.open      = h;
    for (struct follow *f = door.follows; f; f = f->next) {
        f->looks = false;
        come_at(f, mono_after(box_here()->now, some_of(RETURN_US)));
    }
    return h;
}

u16 http_port(const struct http *h)
{
    return h->port;
}

/* What waits is told so; who asks again at once finds nobody. */
void http_close(struct http *h)
{
    door.open  = NULL;
    h->running = h->writes;
    http_finish_writes(h, ERR_BUSY);
    for (struct follow *f = door.follows; f; f = f->next)
        stream_end(f);
    boot_release(h);
}

/* serve() closes its door in every case; what it left open would be the next life's. */
void door_end_life(void)
{
    assert(!door.open);
}
