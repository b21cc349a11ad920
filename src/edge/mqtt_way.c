// SPDX-License-Identifier: Apache-2.0
#include "edge/mqtt_way.h"

#include "edge/tls.h"
#include "sys/connect.h"

#define WIRE_ROOM 16384

struct mqtt_road {
    struct mqtt_to to;
    struct connection *connection;
    struct tls *tls;                   /* NULL: plain */
    struct tls_link *link;
    struct bytes rest;                 /* of tls_out, that the kernel did not take yet */
    u8 wire[WIRE_ROOM];
    struct str over;
};

bool mqtt_to_read(struct mqtt_to *out, struct str text)
{
    i64 port;
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    if (colon < 2 || !str_to_i64(&port, (struct str){ text.p + colon, text.n - colon }) || port < 1 || port > 65535)
        return false;
    out->host = (struct str){ text.p, colon - 1 };
    out->port = (u16)port;
    return true;
}

struct mqtt_road *mqtt_road_make(const struct mqtt_to *to, struct str *why, struct arena *arena)
{
    struct tls *tls = NULL;
    if (to->ca && !(tls = tls_open_client(to->host, to->ca, to->certificate, to->key, why, arena)))
        return NULL;
    struct mqtt_road *r = boot_take(sizeof *r);
    r->to  = *to;
    r->tls = tls;
    r->connection = connection_make();
    return r;
}

int mqtt_road_fd(const struct mqtt_road *r)
{
    return connection_fd(r->connection);
}

static void stop(void *of)
{
    struct mqtt_road *r = of;
    if (r->link)
        tls_forget(r->link);
    r->link = NULL;
    r->rest = (struct bytes){ NULL, 0 };
    r->over = S("");
    connection_stop(r->connection);
}

void mqtt_road_free(struct mqtt_road *r)
{
    stop(r);
    connection_free(r->connection);
    if (r->tls)
        tls_close(r->tls);
    boot_release(r);
}

/* What TLS has to say goes out before anything else; false: it waits for the kernel. */
static bool carry_out(struct mqtt_road *r)
{
    for (;;) {
        if (r->rest.n == 0)
            r->rest = tls_out(r->link);
        if (r->rest.n == 0)
            return true;
        size_t n = connection_write(r->connection, r->rest);
        r->rest = (struct bytes){ r->rest.p + n, r->rest.n - n };
        if (r->rest.n > 0)
            return false;
    }
}

/* One piece at a time: what waits is the kernel's to keep. */
static void carry_in(struct mqtt_road *r)
{
    size_t n = r->over.n == 0 ? connection_read(r->connection, r->wire, sizeof r->wire) : 0;
    if (n > 0 && !tls_take(r->link, (struct bytes){ r->wire, n }))
        r->over = tls_words(r->link);
    (void)carry_out(r);
}

static void start(void *of)
{
    struct mqtt_road *r = of;
    stop(r);
    if (r->tls)
        r->link = tls_link(r->tls);
    connection_start(r->connection, r->to.host, r->to.port);
}

static enum mqtt_way_is is(void *of, struct str *why)
{
    struct mqtt_road *r = of;
    enum connection_is state = connection_is(r->connection, why);
    if (state == CONNECTION_OVER || state == CONNECTION_NONE)
        return MQTT_WAY_OVER;
    if (state == CONNECTION_OPENING || !r->link)
        return state == CONNECTION_OPEN ? MQTT_WAY_OPEN : MQTT_WAY_OPENING;
    if (!tls_is_up(r->link))
        carry_in(r);
    if (r->over.n == 0 && tls_is_over(r->link))
        r->over = tls_words(r->link);
    *why = r->over;
    return r->over.n > 0 ? MQTT_WAY_OVER : tls_is_up(r->link) ? MQTT_WAY_OPEN : MQTT_WAY_OPENING;
}

static size_t read(void *of, u8 *out, size_t room)
{
    struct mqtt_road *r = of;
    if (!r->link)
        return connection_read(r->connection, out, room);
    size_t n = tls_read(r->link, out, room);
    if (n > 0)
        return n;
    carry_in(r);
    return tls_read(r->link, out, room);
}

static size_t write(void *of, struct bytes bytes)
{
    struct mqtt_road *r = of;
    if (!r->link)
        return connection_write(r->connection, bytes);
    if (!carry_out(r) || !tls_write(r->link, bytes))
        return 0;
    (void)carry_out(r);
    return bytes.n;
}

struct mqtt_way mqtt_road_way(struct mqtt_road *r)
{
    return (struct mqtt_way){ .of = r, .start = start, .is = is, .read = read, .write = write, .stop = stop };
}
