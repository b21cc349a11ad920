// SPDX-License-Identifier: Apache-2.0
/* Addresses as text, as bytes and as sockets name them. Pure: no socket is opened. */
#include "sys/name.h"

#include <arpa/inet.h>
#include <netinet/in.h>

bool address_read(struct address *out, struct str text)
{
    char host[64];
    i64  port;
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == ':')
            colon = (ptrdiff_t)i;
    if (colon < 0 || !str_to_i64(&port, (struct str){ text.p + colon + 1, text.n - (size_t)colon - 1 }) || port < 0 ||
        port > 65535)
        return false;
    struct str h = { text.p, (size_t)colon };
    bool six = h.n > 2 && h.p[0] == '[' && h.p[h.n - 1] == ']';
    if (six)
        h = (struct str){ h.p + 1, h.n - 2 };
    if (str_eq(h, S("localhost")))
        h = S("127.0.0.1");
    if (h.n >= sizeof host)
        return false;
    memcpy(host, h.p, h.n);
    host[h.n] = 0;
    *out = (struct address){ .family = six ? 6 : 4, .port = (u16)port };
    return inet_pton(six ? AF_INET6 : AF_INET, host, out->ip) == 1;
}

struct str address_str(struct arena *arena, struct address a)
{
    char host[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(a.family == 6 ? AF_INET6 : AF_INET, a.ip, host, sizeof host);
    return str_fmt(arena, a.family == 6 ? "[%s]:%u" : "%s:%u", host, (unsigned)a.port);
}

bool address_same_host(struct address a, struct address b)
{
    return a.family == b.family && memcmp(a.ip, b.ip, sizeof a.ip) == 0;
}

bool address_eq(struct address a, struct address b)
{
    return address_same_host(a, b) && a.port == b.port;
}

bool address_is_loopback(struct address a)
{
    static const u8 six[16] = { [15] = 1 };
    return a.family == 6 ? memcmp(a.ip, six, 16) == 0 : a.ip[0] == 127;
}

socklen_t name_of_address(struct sockaddr_storage *out, struct address a)
{
    memset(out, 0, sizeof *out);
    if (a.family == 6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port   = htons(a.port);
        memcpy(&in6->sin6_addr, a.ip, 16);
        return sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = AF_INET;
    in->sin_port   = htons(a.port);
    memcpy(&in->sin_addr, a.ip, 4);
    return sizeof *in;
}

struct address address_of_name(const struct sockaddr_storage *name)
{
    struct address a = { 0 };
    if (name->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)name;
        a.family = 6;
        a.port   = ntohs(in6->sin6_port);
        memcpy(a.ip, &in6->sin6_addr, 16);
    } else {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)name;
        a.family = 4;
        a.port   = ntohs(in4->sin_port);
        memcpy(a.ip, &in4->sin_addr, 4);
    }
    return a;
}
