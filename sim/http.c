// SPDX-License-Identifier: Apache-2.0
/* The least HTTP/1.1 that enrols a city: one request, one connection, the whole answer. */
#include "sim/inside.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_MAX (1u << 20)
#define PATIENCE_S 30

/* "http://host:port/path"; the port is 80 when none stands there. */
bool sim_http_url(struct str url, struct str *host, struct str *port, struct str *path)
{
    struct str scheme = S("http://");
    if (!str_starts(url, scheme))
        return false;
    struct str rest = { url.p + scheme.n, url.n - scheme.n };
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/')
        end++;
    *path = end < rest.n ? (struct str){ rest.p + end, rest.n - end } : S("/");
    struct str where = { rest.p, end };
    *host = str_cut(&where, ':');
    *port = where.n ? where : S("80");
    return host->n > 0;
}

int sim_http_connect(struct str host, struct str port, struct arena *a)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found = NULL;
    if (getaddrinfo(str_copy(a, host).p, str_copy(a, port).p, &hints, &found) != 0)
        return -1;
    int fd = -1;
    for (struct addrinfo *i = found; i && fd < 0; i = i->ai_next) {
        fd = socket(i->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval patience = { .tv_sec = PATIENCE_S };
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (fd >= 0 && connect(fd, i->ai_addr, i->ai_addrlen) != 0) {
            (void)close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

static bool send_all(int fd, struct str s)
{
    for (ssize_t n; s.n > 0; s.p += n, s.n -= (size_t)n)
        if ((n = send(fd, s.p, s.n, MSG_NOSIGNAL)) <= 0)
            return false;
    return true;
}

/* "HTTP/1.1 200 OK" */
static int status_of(struct str answer)
{
    i64 status;
    struct str version = str_cut(&answer, ' ');
    if (!str_starts(version, S("HTTP/1.")) || !str_to_i64(&status, str_cut(&answer, ' ')))
        return -1;
    return (int)status;
}

int sim_http(struct str url, const char *method, struct str path, struct str token,
             struct str content, struct arena *a, struct str *body)
{
    struct str host, port, base;
    *body = S("no answer");
    if (!sim_http_url(url, &host, &port, &base)) {
        *body = S("not an http:// address");
        return -1;
    }
    int fd = sim_http_connect(host, port, a);
    if (fd < 0) {
        *body = S("nobody listens there");
        return -1;
    }
    struct str login = token.n ? str_fmt(a, "Authorization: Bearer %.*s\r\n", STR(token)) : S("");
    struct str head =
        str_fmt(a,
                "%s %.*s HTTP/1.1\r\nHost: %.*s:%.*s\r\nConnection: close\r\n%.*s"
                "Content-Type: text/csv; charset=utf-8\r\nContent-Length: %zu\r\n\r\n",
                method, STR(path), STR(host), STR(port), STR(login), content.n);
    struct text answer = text_make(a, ANSWER_MAX);
    char room[4096];
    bool sent = send_all(fd, head) && send_all(fd, content);
    for (ssize_t n; sent && (n = recv(fd, room, sizeof room, 0)) > 0;)
        text_put(&answer, (struct str){ room, (size_t)n });
    (void)close(fd);
    struct str all = text_str(&answer);
    ptrdiff_t end = str_find(all, S("\r\n\r\n"));
    if (end >= 0)
        *body = (struct str){ all.p + end + 4, all.n - (size_t)end - 4 };
    return status_of(all);
}
