// SPDX-License-Identifier: Apache-2.0
/* Datagrams by the batch: one system call for up to UDP_BATCH of them, in both directions. */
#include "sys/name.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct udp {
    int                     fd;
    u8                     *room;                 /* UDP_BATCH datagrams of the largest size */
    struct sockaddr_storage peers[UDP_BATCH];
    struct iovec            parts[UDP_BATCH];
    struct mmsghdr          messages[UDP_BATCH];
};

struct udp *udp_open(struct address at, int receive_buffer_bytes, struct str *why, struct arena *arena)
{
    struct sockaddr_storage name;
    socklen_t n  = name_of_address(&name, at);
    int       fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, n) != 0) {
        *why = str_fmt(arena, "cannot receive datagrams at %.*s: %s", STR(address_str(arena, at)), strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return NULL;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    struct udp *udp = boot_take(sizeof *udp);
    udp->fd   = fd;
    udp->room = boot_take((size_t)UDP_BATCH * UDP_BYTES_MAX);
    return udp;
}

int udp_fd(const struct udp *udp)
{
    return udp->fd;
}

struct address udp_address(const struct udp *udp)
{
    struct sockaddr_storage name = { 0 };
    socklen_t n = sizeof name;
    (void)getsockname(udp->fd, (struct sockaddr *)&name, &n);
    return address_of_name(&name);
}

size_t udp_receive(struct udp *udp, struct datagram out[UDP_BATCH])
{
    for (size_t i = 0; i < UDP_BATCH; i++) {
        udp->parts[i]    = (struct iovec){ udp->room + i * UDP_BYTES_MAX, UDP_BYTES_MAX };
        udp->messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &udp->peers[i],
                                                          .msg_namelen = sizeof udp->peers[i],
                                                          .msg_iov = &udp->parts[i],
                                                          .msg_iovlen = 1 } };
    }
    int n = recvmmsg(udp->fd, udp->messages, UDP_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++)
        out[i] = (struct datagram){ address_of_name(&udp->peers[i]),
                                    { udp->parts[i].iov_base, udp->messages[i].msg_len } };
    return n > 0 ? (size_t)n : 0;
}

size_t udp_send(struct udp *udp, const struct datagram *datagrams, size_t n)
{
    size_t sent = 0;
    while (sent < n) {
        struct sockaddr_storage peers[64];
        struct iovec            parts[64];
        struct mmsghdr          messages[64];
        unsigned batch = (unsigned)MIN(n - sent, COUNT(messages));
        for (unsigned i = 0; i < batch; i++) {
            const struct datagram *d = &datagrams[sent + i];
            parts[i]    = (struct iovec){ (void *)(uintptr_t)d->bytes.p, d->bytes.n };
            messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &peers[i],
                                                         .msg_namelen = name_of_address(&peers[i], d->peer),
                                                         .msg_iov = &parts[i],
                                                         .msg_iovlen = 1 } };
        }
        int done = sendmmsg(udp->fd, messages, batch, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done <= 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN || errno == ENOBUFS)
                break;
            done = 1;                              /* one unreachable peer must not silence the others */
        }
        sent += (size_t)done;
    }
    return sent;
}

void udp_close(struct udp *udp)
{
    (void)close(udp->fd);
    boot_release(udp->room);
    boot_release(udp);
}
