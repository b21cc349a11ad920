// SPDX-License-Identifier: Apache-2.0
/* Names are asked by glibc's own threads (getaddrinfo_a); an epoll descriptor stands for whichever socket there is. */
#include "sys/connect.h"

#include "sys/name.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_MAX 256

/* What a name server is asked. It may outlive its asker: an answer under way cannot be called back. */
struct question { struct gaicb ask; char host[HOST_MAX], port[8]; struct addrinfo hints; };

struct connection {
    int fd, socket;                    /* the epoll descriptor; -1: none */
    enum connection_is is;
    bool asking, wants_room;
    u32  turn;                         /* which address of a name comes first */
    struct question *question;
    struct sockaddr_storage names[8];  socklen_t sizes[8];  u32 names_n, name;
    char why[HOST_MAX + 80];
};

struct connection *connection_make(void)
{
    struct connection *c = boot_take(sizeof *c);
    c->fd     = epoll_create1(EPOLL_CLOEXEC);
    c->socket = -1;
    if (c->fd < 0)
        die("a connection outwards: %s", strerror(errno));
    return c;
}

int connection_fd(const struct connection *c)
{
    return c->fd;
}

static void watch(struct connection *c, bool room)
{
    struct epoll_event e = { .events = EPOLLIN | (room ? (u32)EPOLLOUT : 0u) };
    if (room != c->wants_room)
        (void)epoll_ctl(c->fd, EPOLL_CTL_MOD, c->socket, &e);
    c->wants_room = room;
}

static void hang_up(struct connection *c)
{
    if (c->socket >= 0)
        (void)close(c->socket);        /* leaves the epoll set with it */
    c->socket = -1;
}

static void over(struct connection *c, const char *words)
{
    hang_up(c);
    (void)snprintf(c->why, sizeof c->why, "%s", words);
    c->is = CONNECTION_OVER;
}

/* The next address that does not refuse at once; what it says comes later. */
static void try_next(struct connection *c)
{
    int said = 0, one = 1;
    while (c->name < c->names_n) {
        u32 i = (c->name++ + c->turn) % c->names_n;
        c->socket = socket(c->names[i].ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct epoll_event e = { .events = EPOLLIN | EPOLLOUT };
        c->wants_room = true;
        if (c->socket >= 0 && (connect(c->socket, (struct sockaddr *)&c->names[i], c->sizes[i]) == 0 || errno == EINPROGRESS)) {
            (void)setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            (void)epoll_ctl(c->fd, EPOLL_CTL_ADD, c->socket, &e);
            return;
        }
        said = errno;
        hang_up(c);
    }
    over(c, said ? strerror(said) : "no address answers");
}

static void connect_result(struct connection *c)
{
    int said = 0;
    socklen_t n = sizeof said;
    struct sockaddr_storage peer;
    socklen_t peer_n = sizeof peer;
    (void)getsockopt(c->socket, SOL_SOCKET, SO_ERROR, &said, &n);
    if (said == 0 && getpeername(c->socket, (struct sockaddr *)&peer, &peer_n) == 0) {
        c->is = CONNECTION_OPEN;
        watch(c, false);
        return;
    }
    if (said == 0)
        return;                        /* not yet */
    hang_up(c);
    if (c->name < c->names_n)
        try_next(c);
    else
        over(c, strerror(said));
}

/* ------------------------------------------------------------------ names */

static bool add_name(struct connection *c, const struct sockaddr *name, socklen_t n)
{
    if (c->names_n == COUNT(c->names) || n > sizeof c->names[0])
        return false;
    memcpy(&c->names[c->names_n], name, n);
    c->sizes[c->names_n++] = n;
    return true;
}

static void add_address(struct connection *c, struct address a)
{
    struct sockaddr_storage name;
    socklen_t n = name_of_address(&name, a);
    (void)add_name(c, (struct sockaddr *)&name, n);
}

static void forget_question(struct connection *c)
{
    struct question *q = c->question;
    c->question = NULL;
    c->asking   = false;
    if (!q || gai_error(&q->ask) == EAI_INPROGRESS)
        return;                        /* its thread still writes there: a few hundred bytes, once an outage of the name server */
    if (q->ask.ar_result)
        freeaddrinfo(q->ask.ar_result);
    boot_release(q);
}

static void ask(struct connection *c, struct str host, u16 port)
{
    struct question *q = boot_take(sizeof *q);
    struct gaicb *list[1] = { &q->ask };
    (void)snprintf(q->host, sizeof q->host, "%.*s", STR(host));
    (void)snprintf(q->port, sizeof q->port, "%u", (unsigned)port);
    q->hints = (struct addrinfo){ .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    q->ask   = (struct gaicb){ .ar_name = q->host, .ar_service = q->port, .ar_request = &q->hints };
    c->question = q;
    c->asking   = true;
    int rc = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
    if (rc != 0) {
        c->question = NULL;
        c->asking   = false;
        boot_release(q);
        over(c, gai_strerror(rc));
    }
}

static void look_for_answer(struct connection *c)
{
    int rc = gai_error(&c->question->ask);
    if (rc == EAI_INPROGRESS)
        return;
    for (struct addrinfo *i = rc == 0 ? c->question->ask.ar_result : NULL; i; i = i->ai_next)
        (void)add_name(c, i->ai_addr, i->ai_addrlen);
    forget_question(c);
    if (rc == 0)
        try_next(c);
    else
        over(c, gai_strerror(rc));
}

/* ------------------------------------------------------------------ the face */

void connection_start(struct connection *c, struct str host, u16 port)
{
    char text[HOST_MAX + 8];
    struct address literal;
    connection_stop(c);
    c->turn++;
    c->is = CONNECTION_OPENING;
    if (host.n == 0 || host.n >= HOST_MAX) {
        over(c, "a host name of that length cannot be");
        return;
    }
    int n = snprintf(text, sizeof text, "%.*s:%u", STR(host), (unsigned)port);
    if (!address_read(&literal, (struct str){ text, (size_t)n })) {
        ask(c, host, port);
        return;
    }
    add_address(c, literal);
    try_next(c);
}

enum connection_is connection_is(struct connection *c, struct str *why)
{
    if (c->is == CONNECTION_OPENING && c->asking)
        look_for_answer(c);
    if (c->is == CONNECTION_OPENING && !c->asking)
        connect_result(c);
    if (c->is == CONNECTION_OVER)
        *why = str_z(c->why);
    return c->is;
}

size_t connection_read(struct connection *c, u8 *out, size_t room)
{
    if (c->is != CONNECTION_OPEN || room == 0)
        return 0;
    ssize_t n = recv(c->socket, out, room, MSG_DONTWAIT);
    if (n == 0)
        over(c, "it hung up");
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        over(c, strerror(errno));
    return n > 0 ? (size_t)n : 0;
}

size_t connection_write(struct connection *c, struct bytes bytes)
{
    size_t sent = 0;
    while (c->is == CONNECTION_OPEN && sent < bytes.n) {
        ssize_t n = send(c->socket, bytes.p + sent, bytes.n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            over(c, strerror(errno));
        else
            sent += (size_t)n;
    }
    if (c->is == CONNECTION_OPEN)
        watch(c, sent < bytes.n);
    return sent;
}

void connection_stop(struct connection *c)
{
    forget_question(c);
    hang_up(c);
    c->names_n = c->name = 0;
    c->is = CONNECTION_NONE;
}

void connection_free(struct connection *c)
{
    connection_stop(c);
    (void)close(c->fd);
    boot_release(c);
}
