// SPDX-License-Identifier: Apache-2.0
/*
 * The gateways' sockets, two each. They are not connected: when no one listens there, a forwarder in
 * the field hears of no refusal either. The box brings another body for the same two functions.
 */
#include "sim/inside.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct socket { struct sim *sim; u32 gateway; int fd; bool pull; };

bool sim_door_server(struct address *out, struct str text)
{
    static const u8 any[4] = { 0 }, here[4] = { 127, 0, 0, 1 };
    if (!address_read(out, text) || out->family != 4 || out->port == 0)
        return false;
    if (memcmp(out->ip, any, sizeof any) == 0)
        memcpy(out->ip, here, sizeof here);
    return true;
}

static struct sockaddr_in server_of(const struct sim *s)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(s->server.port) };
    memcpy(&to.sin_addr, s->server.ip, 4);
    return to;
}

void sim_socket_send(struct sim *s, const struct gateway *g, bool pull, struct bytes datagram)
{
    struct sockaddr_in to = server_of(s);
    (void)!sendto(pull ? g->pull_fd : g->push_fd, datagram.p, datagram.n, 0, (struct sockaddr *)&to,
                  sizeof to);
}

static void readable(void *arg)
{
    const struct socket *socket = arg;
    struct sim *s = socket->sim;
    u8 room[4096];
    struct sockaddr_in server = server_of(s), from;
    socklen_t from_n = sizeof from;
    for (ssize_t n; (n = recvfrom(socket->fd, room, sizeof room, 0, (struct sockaddr *)&from,
                                  &from_n)) > 0;)
        if (from.sin_port == server.sin_port && from.sin_addr.s_addr == server.sin_addr.s_addr)
            sim_door_receive(s, &s->gateways[socket->gateway], socket->pull,
                             (struct bytes){ room, (size_t)n }, sys_now());
    sim_run_due(s);
}

static int open_one(struct sim *s, u32 gateway, bool pull)
{
    struct sockaddr_in any = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) != 0)
        die("no socket for gateway %u: see ulimit -n", gateway);
    struct socket *socket = arena_new(&s->boot, struct socket);
    *socket = (struct socket){ s, gateway, fd, pull };
    (void)loop_watch(s->loop, fd, readable, socket);
    return fd;
}

void sim_socket_open(struct sim *s, struct gateway *g)
{
    g->push_fd = open_one(s, g->index, false);
    g->pull_fd = open_one(s, g->index, true);
}
