// SPDX-License-Identifier: Apache-2.0
/*
 * A TCP server: one epoll descriptor that the loop watches as it watches a datagram socket, so a test turns it by
 * hand. A link that is dropped is kept until the turn is over, for other events of that turn may still name it.
 */
#include "sys/name.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG         1024
#define ACCEPTS         64                    /* a turn: those who are here already come first */
#define USER_TIMEOUT_MS 30000                 /* what was sent and is not acknowledged so long ends the link */

struct tcp_link {
    struct tcp *tcp;
    struct tcp_link *next, *before;           /* of all, or of the dead */
    int  fd;
    bool dead, ending, writing;
    void *of;
    u8  *waiting; size_t from, until, room;   /* what waits to leave */
};

struct tcp {
    int fd, listener, spare;
    struct tcp_calls calls;
    struct tcp_link *links, *dead;
    u32 links_n, most;
    u8  room[TCP_READ_MAX];
};

/* ------------------------------------------------------------------ one link */

static void watch(struct tcp_link *l, int how)
{
    struct epoll_event e = { .events = (l->ending ? 0u : (u32)EPOLLIN) | (l->writing ? (u32)EPOLLOUT : 0u), .data.ptr = l };
    (void)epoll_ctl(l->tcp->fd, how, l->fd, &e);
}

static void bury(struct tcp_link *l)
{
    struct tcp *t = l->tcp;
    if (l->dead)
        return;
    *(l->before ? &l->before->next : &t->links) = l->next;
    if (l->next)
        l->next->before = l->before;
    t->links_n--;
    l->dead = true;
    l->next = t->dead;
    t->dead = l;
    (void)close(l->fd);
}

static void sweep(struct tcp *t)
{
    while (t->dead) {
        struct tcp_link *l = t->dead;
        t->dead = l->next;
        boot_release(l->waiting);
        boot_release(l);
    }
}

/* How many bytes the kernel took; a broken link took all, it is found by its next read. */
static size_t push(struct tcp_link *l, struct bytes b)
{
    size_t sent = 0;
    while (sent < b.n) {
        ssize_t n = send(l->fd, b.p + sent, b.n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? sent : b.n;
        sent += (size_t)n;
    }
    return sent;
}

static void keep(struct tcp_link *l, struct bytes b)
{
    size_t n = l->until - l->from;
    if (l->from > 0)
        memmove(l->waiting, l->waiting + l->from, n);
    l->from = 0, l->until = n;
    if (n + b.n > l->room) {
        size_t room = MAX((n + b.n) * 2, (size_t)4096);
        l->waiting = boot_grow(l->waiting, n, room);
        l->room    = room;
    }
    memcpy(l->waiting + n, b.p, b.n);
    l->until += b.n;
}

bool tcp_send(struct tcp_link *l, struct bytes b)
{
    size_t waits = l->until - l->from, sent = 0;
    if (l->dead || l->ending || waits + b.n > TCP_WAITING_MAX)
        return false;
    if (waits == 0)
        sent = push(l, b);
    if (sent == b.n)
        return true;
    keep(l, (struct bytes){ b.p + sent, b.n - sent });
    if (!l->writing) {
        l->writing = true;
        watch(l, EPOLL_CTL_MOD);
    }
    return true;
}

static void drain(struct tcp_link *l)
{
    l->from += push(l, (struct bytes){ l->waiting + l->from, l->until - l->from });
    if (l->from < l->until)
        return;
    boot_release(l->waiting);
    l->waiting = NULL;
    l->from = l->until = l->room = 0;
    l->writing = false;
    if (l->ending)
        bury(l);
    else
        watch(l, EPOLL_CTL_MOD);
}

void tcp_drop(struct tcp_link *l)
{
    bury(l);
}

void tcp_end(struct tcp_link *l)
{
    if (l->until == l->from || l->dead) {
        bury(l);
        return;
    }
    l->ending = true;
    watch(l, EPOLL_CTL_MOD);
}

static void take(struct tcp_link *l)
{
    struct tcp *t = l->tcp;
    ssize_t n = recv(l->fd, t->room, sizeof t->room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        t->calls.received(l->of, (struct bytes){ t->room, (size_t)n });
        return;
    }
    bury(l);
    t->calls.closed(l->of);
}

/* ------------------------------------------------------------------ the server */

static void prepare(int fd)
{
    static const struct { int level, name, value; } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },   { SOL_SOCKET, SO_KEEPALIVE, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 60 },
        { IPPROTO_TCP, TCP_KEEPINTVL, 15 }, { IPPROTO_TCP, TCP_KEEPCNT, 4 }, { IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS },
    };
    for (size_t i = 0; i < COUNT(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

/* Out of descriptors: who knocks is let in with the spare one and out again, or the kernel would tell us for ever. */
static int turn_away(struct tcp *t)
{
    (void)close(t->spare);
    int fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    t->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd;
}

static void let_in(struct tcp *t, int fd, struct address peer)
{
    struct tcp_link *l = boot_take(sizeof *l);
    *l = (struct tcp_link){ .tcp = t, .fd = fd, .next = t->links };
    prepare(fd);
    if (t->links)
        t->links->before = l;
    t->links = l;
    t->links_n++;
    watch(l, EPOLL_CTL_ADD);
    l->of = t->calls.opened(t->calls.door, l, peer);
    if (!l->of)
        bury(l);
}

static void welcome(struct tcp *t)
{
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage name = { 0 };
        socklen_t n = sizeof name;
        int fd = accept4(t->listener, (struct sockaddr *)&name, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE) && turn_away(t) >= 0)
            continue;
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0)
            return;
        if (t->links_n >= t->most)
            (void)close(fd);
        else
            let_in(t, fd, address_of_name(&name));
    }
}

size_t tcp_turn(struct tcp *t)
{
    struct epoll_event events[TCP_EVENTS];
    int n = epoll_wait(t->fd, events, TCP_EVENTS, 0);
    for (int i = 0; i < n; i++) {
        struct tcp_link *l = events[i].data.ptr;
        if (!l) {
            welcome(t);
            continue;
        }
        if (!l->dead && l->writing && events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
            drain(l);
        if (!l->dead && !l->ending && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
            take(l);
        if (!l->dead && l->ending && events[i].events & (EPOLLERR | EPOLLHUP))
            bury(l);
    }
    sweep(t);
    return n > 0 ? (size_t)n : 0;
}

struct tcp *tcp_open(struct address at, const struct tcp_calls *calls, u32 most, struct str *why, struct arena *arena)
{
    struct sockaddr_storage name;
    socklen_t n = name_of_address(&name, at);
    int one = 1, fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, n) != 0 || listen(fd, BACKLOG) != 0) {
        *why = str_fmt(arena, "cannot listen at %.*s: %s", STR(address_str(arena, at)), strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return NULL;
    }
    struct tcp *t = boot_take(sizeof *t);
    t->listener = fd;
    t->fd       = epoll_create1(EPOLL_CLOEXEC);
    t->spare    = open("/dev/null", O_RDONLY | O_CLOEXEC);
    t->calls    = *calls;
    t->most     = most;
    struct epoll_event e = { .events = EPOLLIN };
    (void)epoll_ctl(t->fd, EPOLL_CTL_ADD, fd, &e);
    return t;
}

int tcp_fd(const struct tcp *t)
{
    return t->fd;
}

u32 tcp_links(const struct tcp *t)
{
    return t->links_n;
}

struct address tcp_address(const struct tcp *t)
{
    struct sockaddr_storage name = { 0 };
    socklen_t n = sizeof name;
    (void)getsockname(t->listener, (struct sockaddr *)&name, &n);
    return address_of_name(&name);
}

void tcp_close(struct tcp *t)
{
    while (t->links)
        bury(t->links);
    sweep(t);
    (void)close(t->listener);
    (void)close(t->fd);
    (void)close(t->spare);
    boot_release(t);
}
