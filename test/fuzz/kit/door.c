// SPDX-License-Identifier: Apache-2.0
#include "test/fuzz/kit/door.h"

#include "api/api.h"
#include "edge/http.h"
#include "flow/flow.h"
#include "sys/lock.h"
#include "sys/sys.h"
#include "wire/json.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS_MAX 1000

static struct MHD_Daemon *mhd;

/* No thread, no port: the door is turned by MHD_run and fed by MHD_add_connection. */
struct MHD_Daemon *__wrap_MHD_start_daemon(unsigned flags, u16 port, MHD_AcceptPolicyCallback apc, void *apc_cls,
                                           MHD_AccessHandlerCallback dh, void *dh_cls, ...);
struct MHD_Daemon *__wrap_MHD_start_daemon(unsigned flags, u16 port, MHD_AcceptPolicyCallback apc, void *apc_cls,
                                           MHD_AccessHandlerCallback dh, void *dh_cls, ...)
{
    va_list options;
    (void)flags;
    va_start(options, dh_cls);
    mhd = MHD_start_daemon_va(MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, port, apc, apc_cls, dh, dh_cls, options);
    va_end(options);
    return mhd;
}

static void nothing(void *of) { (void)of; }

static struct http *door(struct city *c)
{
    static struct api_counts counts;
    static struct api api;
    static struct http *http;
    struct str why = S("");
    if (http)
        return http;
    api = (struct api){ .env = &c->env, .profiles = &c->env.profiles, .access = { .dev = true }, .city_ja = S("試市"),
                        .city_en = S("Test City"), .version = S("0"), .speed = 1, .counts = &counts,
                        .counts_lock = lock_make(), .readers = readers_make(c->folder) };
    (void)signal(SIGPIPE, SIG_IGN);
    struct http_calls calls = api_calls(&api);
    struct address at = { .family = 4, .ip = { 127, 0, 0, 1 } };
    http = http_open(at, &calls, loop_wake_make(loop_make(), nothing, NULL), 1, &why, &c->boot);
    if (!http)
        die("the door does not open: %.*s", STR(why));
    return http;
}

static void turn(struct city *c, struct http *http)
{
    (void)MHD_run(mhd);
    if (http_run_writes(http) == 0)
        return;
    enum err err = flow_commit(&c->env);
    assert(err == OK || err == ERR_CONFLICT);
    http_finish_writes(http, err);
    flow_done(&c->env);
}

static unsigned connections(void)
{
    return MHD_get_daemon_info(mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/* Writes as much as is taken, reads what has come; false when both have come to an end. */
static bool exchange(int fd, struct bytes *request, struct text *reply)
{
    char room[65536];
    ssize_t sent = request->n ? send(fd, request->p, request->n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    ssize_t got  = recv(fd, room, sizeof room, MSG_DONTWAIT);
    if (sent > 0)
        *request = (struct bytes){ request->p + sent, request->n - (size_t)sent };
    if (got > 0)
        text_put(reply, (struct str){ room, (size_t)got });
    return sent > 0 || got > 0;
}

static struct str header(struct str head, struct str name)
{
    while (head.n > 0) {
        struct str value = str_cut(&head, '\n'), key = str_cut(&value, ':');
        if (str_eq_nocase(key, name))
            return str_trim(value);
    }
    return S("");
}

/* The first answer; behind a pipelined one may be others. */
static void read_answer(struct door_answer *out, struct str reply)
{
    ptrdiff_t end = str_find(reply, S("\r\n\r\n"));
    i64 status, size;
    *out = (struct door_answer){ 0 };
    if (end < 0 || !str_starts(reply, S("HTTP/1.")) || !str_to_i64(&status, (struct str){ reply.p + 9, 3 }))
        return;
    struct str head = { reply.p, (size_t)end }, rest = { reply.p + end + 4, reply.n - (size_t)end - 4 };
    out->status = (int)status;
    out->type   = header(head, S("Content-Type"));
    if (str_to_i64(&size, header(head, S("Content-Length"))) && size >= 0 && (size_t)size <= rest.n)
        out->body = (struct str){ rest.p, (size_t)size };
}

void door_ask(struct door_answer *out, struct city *c, struct bytes request, bool from_loopback, struct arena *arena)
{
    struct http *http = door(c);
    struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr = { htonl(from_loopback ? 0x7F000001 : 0x0A000001) } };
    struct text reply = text_make(arena, 32 << 20);
    bool head_only = str_starts(str_of(request), S("HEAD "));
    int pair[2], idle = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
        die("no socket pair");
    if (MHD_add_connection(mhd, pair[1], (struct sockaddr *)&from, sizeof from) != MHD_YES)
        die("the door takes no connection");
    for (int i = 0; i < TURNS_MAX && idle < 3; i++) {
        idle = exchange(pair[0], &request, &reply) ? 0 : idle + 1;
        turn(c, http);
    }
    (void)close(pair[0]);
    for (int i = 0; i < TURNS_MAX && connections() > 0; i++) {
        http_wake_streams(http, true);
        turn(c, http);
    }
    assert(connections() == 0);
    read_answer(out, text_str(&reply));
    if (head_only)
        out->body = S("");
}

void door_check(const struct door_answer *a, struct arena *arena)
{
    const struct json *doc;
    assert(a->status < 500 || a->status == 501 || a->status == 504 || a->status == 505);   /* methods, contexts, versions we lack */
    if (a->body.n == 0 || str_find(a->type, S("json")) < 0 || str_eq(a->type, S("application/manifest+json")))
        return;
    enum err err = json_read(&doc, a->body, arena, (struct json_limits){ JSON_DEPTH_MAX, 1000000, false, true }, NULL);
    assert(err == OK);
}
