// SPDX-License-Identifier: Apache-2.0
/* One HTTP request to a daemon of this machine, for the command line. HTTP/1.0 style: the answer ends with the connection. */
#include "main/verbs.h"
#include "sys/name.h"

#include <unistd.h>

#define ANSWER_MAX (64 << 20)

static int dial(struct address a)
{
    struct sockaddr_storage name;
    socklen_t n  = name_of_address(&name, a);
    int       fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&name, n) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static bool send_all(int fd, struct bytes b)
{
    while (b.n > 0) {
        ssize_t n = send(fd, b.p, b.n, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        b.p += n;
        b.n -= (size_t)n;
    }
    return true;
}

static struct str receive_all(int fd, struct arena *arena)
{
    struct text t = text_make(arena, ANSWER_MAX);
    char room[16384];
    for (ssize_t n; (n = recv(fd, room, sizeof room, 0)) > 0;)
        text_put(&t, (struct str){ room, (size_t)n });
    return text_str(&t);
}

int client_post(struct str address, struct str path, struct str token, struct bytes body, struct str *answer,
                struct str *why, struct arena *arena)
{
    struct address at;
    int fd = address_read(&at, address) ? dial(at) : -1;
    if (fd < 0) {
        *why = str_fmt(arena, "no daemon answers at %.*s", STR(address));
        return 0;
    }
    struct str bearer = token.n ? str_fmt(arena, "Authorization: Bearer %.*s\r\n", STR(token)) : S("");
    struct str head = str_fmt(arena, "POST %.*s HTTP/1.1\r\nHost: %.*s\r\nContent-Length: %zu\r\nContent-Type: text/csv\r\n"
                                     "%.*sConnection: close\r\n\r\n",
                              STR(path), STR(address), body.n, STR(bearer));
    struct str got = send_all(fd, bytes_of(head)) && send_all(fd, body) ? receive_all(fd, arena) : S("");
    (void)close(fd);
    ptrdiff_t end = str_find(got, S("\r\n\r\n"));
    i64 status;
    if (end < 0 || got.n < 12 || !str_to_i64(&status, (struct str){ got.p + 9, 3 })) {
        *why = S("the daemon ended the connection without an answer");
        return 0;
    }
    *answer = (struct str){ got.p + end + 4, got.n - (size_t)end - 4 };
    return (int)status;
}
