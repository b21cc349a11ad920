// SPDX-License-Identifier: Apache-2.0
#include "edge/http.h"

#include "sys/name.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#define HEAD_BYTES_MAX  (32 * 1024)
#define CONNECTIONS_MAX 2048
#define IDLE_S          30                /* slow readers and writers of heads are let go */
#define WRITES_AT_ONCE  256
#define STREAM_BYTES    (64 * 1024)
#define STREAMS_MAX     512

enum progress { READING, WAITING, ANSWERED };

/* One request from its first byte to the last of its answer. */
struct conn {
    struct http *http;
    struct MHD_Connection *mhd;
    struct arena arena;
    struct http_request rq;
    struct http_answer a;
    enum progress progress;
    enum http_where where;
    size_t body_max;
    u8 *body; size_t body_n, body_room;
    bool too_large;
    struct conn *next_write;              /* waiting for the loop */
    /* a stream */
    struct conn *next_stream;
    bool streaming, suspended, idle, ended, woken;
    struct arena chunk;
    struct str rest;
};

struct http {
    struct MHD_Daemon *mhd;
    struct http_calls calls;
    struct loop_wake *writes_wake;
    pthread_mutex_t lock;
    struct conn *writes, **writes_last;
    struct conn *running;                 /* taken by the loop, answered after the commit */
    struct conn *streams;
    u32 streams_n;
    bool closing;
};

/* ------------------------------------------------------------------ what a handler may ask */

struct str http_query(const struct http_request *rq, struct str name)
{
    const char *value = NULL;
    size_t n = 0;
    if (MHD_lookup_connection_value_n(rq->connection, MHD_GET_ARGUMENT_KIND, name.p, name.n, &value, &n) != MHD_YES ||
        !value)
        return S("");
    return (struct str){ value, n };
}

struct listing { struct str *names, *values; size_t n, room; };

static enum MHD_Result list_query(void *arg, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value,
                                  size_t value_n)
{
    struct listing *l = arg;
    (void)kind;
    if (l->n < l->room) {
        l->names[l->n]  = (struct str){ key, key_n };
        l->values[l->n] = (struct str){ value ? value : "", value ? value_n : 0 };
    }
    l->n++;
    return MHD_YES;
}

size_t http_queries(const struct http_request *rq, struct str *names, struct str *values, size_t room)
{
    struct listing l = { names, values, 0, room };
    (void)MHD_get_connection_values_n(rq->connection, MHD_GET_ARGUMENT_KIND, list_query, &l);
    return l.n;
}

bool http_has_query(const struct http_request *rq, struct str name)
{
    return MHD_lookup_connection_value_n(rq->connection, MHD_GET_ARGUMENT_KIND, name.p, name.n, NULL, NULL) == MHD_YES;
}

struct str http_header(const struct http_request *rq, struct str name)
{
    const char *value = NULL;
    size_t n = 0;
    if (MHD_lookup_connection_value_n(rq->connection, MHD_HEADER_KIND, name.p, name.n, &value, &n) != MHD_YES || !value)
        return S("");
    return (struct str){ value, n };
}

/* ------------------------------------------------------------------ streams */

static ssize_t stream_read(void *arg, uint64_t pos, char *out, size_t room)
{
    struct conn *c = arg;
    struct http *h = c->http;
    (void)pos;
    if (c->rest.n == 0) {
        struct text t;
        bool idle;
        pthread_mutex_lock(&h->lock);
        idle     = c->idle;
        c->idle  = false;
        c->woken = false;
        pthread_mutex_unlock(&h->lock);
        arena_reset(&c->chunk);
        t = text_make(&c->chunk, STREAM_BYTES * 4);
        c->a.stream(h->calls.of, &c->rq, &t, idle);
        c->rest = text_str(&t);
    }
    if (c->rest.n == 0) {
        pthread_mutex_lock(&h->lock);
        bool sleep = !c->woken && !h->closing;
        if (sleep) {
            c->suspended = true;
            MHD_suspend_connection(c->mhd);
        }
        bool end = h->closing;
        pthread_mutex_unlock(&h->lock);
        return end ? MHD_CONTENT_READER_END_OF_STREAM : 0;
    }
    size_t n = MIN(room, c->rest.n);
    memcpy(out, c->rest.p, n);
    c->rest.p += n;
    c->rest.n -= n;
    return (ssize_t)n;
}

static bool stream_begin(struct conn *c)
{
    struct http *h = c->http;
    pthread_mutex_lock(&h->lock);
    bool room = h->streams_n < STREAMS_MAX;
    if (room) {
        c->streaming   = true;
        c->next_stream = h->streams;
        h->streams     = c;
        h->streams_n++;
    }
    pthread_mutex_unlock(&h->lock);
    if (room)
        c->chunk = arena_make(4096);
    return room;
}

static void stream_end(struct conn *c)
{
    struct http *h = c->http;
    pthread_mutex_lock(&h->lock);
    for (struct conn **at = &h->streams; *at; at = &(*at)->next_stream)
        if (*at == c) {
            *at = c->next_stream;
            h->streams_n--;
            break;
        }
    pthread_mutex_unlock(&h->lock);
    arena_free(&c->chunk);
}

void http_wake_streams(struct http *h, bool idle)
{
    pthread_mutex_lock(&h->lock);
    for (struct conn *c = h->streams; c; c = c->next_stream) {
        c->idle |= idle;
        c->woken = true;
        if (c->suspended) {
            c->suspended = false;
            MHD_resume_connection(c->mhd);
        }
    }
    pthread_mutex_unlock(&h->lock);
}

/* ------------------------------------------------------------------ answers */

static enum MHD_Result send_answer(struct conn *c)
{
    struct http_answer *a = &c->a;
    struct MHD_Response *r;
    int status = a->status;
    if (status == 0 && !stream_begin(c)) {
        *a = (struct http_answer){ .status = 503, .type = S("text/plain"), .body = bytes_of(S("too many streams are open\n")) };
        status = 503;
    }
    if (status == 0) {
        r      = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BYTES, stream_read, c, NULL);
        status = 200;
    } else {
        r = MHD_create_response_from_buffer(a->body.n, (void *)(uintptr_t)a->body.p, MHD_RESPMEM_PERSISTENT);
    }
    if (!r)
        return MHD_NO;
    if (a->type.n)
        (void)MHD_add_response_header(r, "Content-Type", str_copy(&c->arena, a->type).p);
    for (size_t i = 0; i < a->headers_n; i++)
        (void)MHD_add_response_header(r, str_copy(&c->arena, a->headers[i].name).p,
                                      str_copy(&c->arena, a->headers[i].value).p);
    enum MHD_Result result = MHD_queue_response(c->mhd, (unsigned)status, r);
    MHD_destroy_response(r);
    return result;
}

static void plain(struct conn *c, int status, struct str words)
{
    c->a = (struct http_answer){ .status = status, .type = S("text/plain; charset=utf-8"), .body = bytes_of(words) };
    http_answer_header(&c->a, S("Connection"), S("close"));
    c->progress = ANSWERED;
}

/* ------------------------------------------------------------------ requests */

struct head_count { int lengths, encodings; bool odd; };

static enum MHD_Result count_head(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct head_count *n = arg;
    bool length = str_eq_nocase(str_z(key), S("Content-Length"));
    (void)kind;
    for (const char *c = key; *c; c++)
        n->odd |= (u8)*c <= ' ';                           /* "Content-Length : 5" (RFC 9112, 5.1) */
    for (const char *c = value; length && c && *c; c++)
        n->odd |= *c < '0' || *c > '9';                    /* "5 0", folded */
    n->lengths += length;
    n->encodings += str_eq_nocase(str_z(key), S("Transfer-Encoding"));
    return MHD_YES;
}

/* What two programs in a row could read differently (request smuggling) is refused, not interpreted. */
static bool head_is_plain(struct conn *c)
{
    struct head_count n = { 0 };
    (void)MHD_get_connection_values(c->mhd, MHD_HEADER_KIND, count_head, &n);
    return !n.odd && n.lengths <= 1 && n.encodings <= 1 && !(n.lengths && n.encodings);
}

/* %XX in place, except %00: decoded it would end the text, and what stands behind it would be lost. */
static size_t unescape(void *arg, struct MHD_Connection *mhd, char *s)
{
    size_t n = 0, got;
    (void)arg, (void)mhd;
    for (const char *from = s; *from; n++) {
        struct str digits = { from + 1, from[1] && from[2] ? 2 : 0 };
        u8 byte;
        if (*from == '%' && digits.n && hex_read(&byte, 1, &got, digits) && byte) {
            s[n] = (char)byte;
            from += 3;
        } else {
            s[n] = *from++;
        }
    }
    s[n] = 0;
    return n;
}

static bool path_is_plain(struct str path)
{
    return path.n > 0 && path.p[0] == '/' && str_find(path, S("%00")) < 0 && str_find(path, S("/../")) < 0 &&
           str_find(path, S("/./")) < 0 && !str_ends(path, S("/..")) && !str_ends(path, S("/.")) &&
           !memchr(path.p, '\\', path.n) && str_is_utf8(path);
}

static bool is_loopback(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr)
        return false;
    if (info->client_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)info->client_addr;
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    }
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)info->client_addr;
    return info->client_addr->sa_family == AF_INET && (ntohl(in->sin_addr.s_addr) >> 24) == 127;
}

static struct conn *begin(struct http *h, struct MHD_Connection *mhd, const char *url, const char *method)
{
    struct conn *c = boot_take(sizeof *c);
    c->http  = h;
    c->mhd   = mhd;
    c->arena = arena_make(16 * 1024);
    c->rq    = (struct http_request){ .method = str_copy(&c->arena, str_z(method)), .path = str_copy(&c->arena, str_z(url)),
                                      .arena = &c->arena, .connection = mhd, .from_loopback = is_loopback(mhd) };
    if (!head_is_plain(c))
        plain(c, 400, S("two lengths, or a length beside an encoding\n"));
    else if (!path_is_plain(c->rq.path))
        plain(c, 400, S("not a plain path\n"));
    else
        c->where = h->calls.route(h->calls.of, &c->rq, &c->body_max);
    return c;
}

static void take_body(struct conn *c, const char *data, size_t n)
{
    if (n > c->body_max - MIN(c->body_n, c->body_max)) {
        c->too_large = true;
        return;
    }
    if (c->body_n + n > c->body_room) {
        size_t room = MAX(c->body_room * 2, c->body_n + n);
        c->body      = boot_grow(c->body, c->body_n, room);
        c->body_room = room;
    }
    memcpy(c->body + c->body_n, data, n);
    c->body_n += n;
}

/* False when we are closing: nobody would wake it again, and MHD does not stop over one that sleeps. */
static bool hand_to_loop(struct conn *c)
{
    struct http *h = c->http;
    pthread_mutex_lock(&h->lock);
    bool open = !h->closing;
    if (open) {
        c->progress = WAITING;
        MHD_suspend_connection(c->mhd);
        c->next_write   = NULL;
        *h->writes_last = c;
        h->writes_last  = &c->next_write;
    }
    pthread_mutex_unlock(&h->lock);
    if (open)
        loop_wake(h->writes_wake);
    return open;
}

static enum MHD_Result take(void *arg, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
                            const char *data, size_t *n, void **state)
{
    struct http *h = arg;
    struct conn *c = *state;
    (void)version;
    if (!c) {
        *state = c = begin(h, mhd, url, method);
        return c->progress == ANSWERED ? send_answer(c) : MHD_YES;
    }
    if (*n > 0) {
        take_body(c, data, *n);
        *n = 0;
        return MHD_YES;
    }
    if (c->too_large)
        plain(c, 413, S("the body is larger than this route takes\n"));
    if (c->progress == READING) {
        c->rq.body = (struct bytes){ c->body, c->body_n };
        if (c->where == HTTP_WRITES && hand_to_loop(c))
            return MHD_YES;
        if (c->where == HTTP_WRITES)
            h->calls.failed(h->calls.of, &c->rq, &c->a, ERR_BUSY);
        else
            h->calls.read(h->calls.of, &c->rq, &c->a);
        c->progress = ANSWERED;
    }
    return c->progress == ANSWERED ? send_answer(c) : MHD_YES;
}

static void completed(void *arg, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode code)
{
    struct conn *c = *state;
    (void)arg, (void)mhd, (void)code;
    if (!c)
        return;
    if (c->streaming)
        stream_end(c);
    arena_free(&c->arena);
    boot_release(c->body);
    boot_release(c);
    *state = NULL;
}

/* ------------------------------------------------------------------ the loop's side */

size_t http_run_writes(struct http *h)
{
    struct conn *list, **last = &h->running;
    size_t n = 0;
    pthread_mutex_lock(&h->lock);
    list = h->writes;
    for (struct conn *c = list; c && n < WRITES_AT_ONCE; n++)
        c = c->next_write;
    h->running = list;
    for (size_t i = 0; i < n; i++)
        last = &(*last)->next_write;
    h->writes = *last;
    *last     = NULL;
    if (!h->writes)
        h->writes_last = &h->writes;
    bool more = h->writes != NULL;
    pthread_mutex_unlock(&h->lock);
    for (struct conn *c = h->running; c; c = c->next_write)
        h->calls.write(h->calls.of, &c->rq, &c->a);
    if (more)
        loop_wake(h->writes_wake);
    return n;
}

void http_finish_writes(struct http *h, enum err committed)
{
    struct conn *next;
    for (struct conn *c = h->running; c; c = next) {
        next = c->next_write;
        if (committed != OK)
            h->calls.failed(h->calls.of, &c->rq, &c->a, committed);
        c->progress = ANSWERED;
        MHD_resume_connection(c->mhd);
    }
    h->running = NULL;
}

struct http *http_open(struct address at, const struct http_calls *calls, struct loop_wake *writes, int threads,
                       struct str *why, struct arena *arena)
{
    struct http *h = boot_take(sizeof *h);
    struct sockaddr_storage name;
    (void)name_of_address(&name, at);
    h->calls       = *calls;
    h->writes_wake = writes;
    h->writes_last = &h->writes;
    pthread_mutex_init(&h->lock, NULL);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | (at.family == 6 ? MHD_USE_IPv6 : 0u);
    h->mhd = MHD_start_daemon(flags, at.port, NULL, NULL, take, h, MHD_OPTION_SOCK_ADDR, &name,
                              MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_UNESCAPE_CALLBACK, unescape,
                              NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                              (size_t)HEAD_BYTES_MAX, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                              MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_THREAD_POOL_SIZE,
                              (unsigned)threads, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!h->mhd) {
        *why = str_fmt(arena, "cannot listen for HTTP at %.*s: is another program there?", STR(address_str(arena, at)));
        boot_release(h);
        return NULL;
    }
    return h;
}

u16 http_port(const struct http *h)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}

void http_close(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    h->closing = true;
    h->running = h->writes;
    h->writes  = NULL;
    h->writes_last = &h->writes;
    pthread_mutex_unlock(&h->lock);
    http_finish_writes(h, ERR_BUSY);
    http_wake_streams(h, false);
    MHD_stop_daemon(h->mhd);
    pthread_mutex_destroy(&h->lock);
    boot_release(h);
}
