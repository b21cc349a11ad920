// SPDX-License-Identifier: Apache-2.0
/*
 * Gateways. What they heard and sent is counted by hours of the clock, so "the last hour" is the one
 * that runs and the share of the one before that still belongs to it.
 */
#include "api/inside.h"

#include <stdlib.h>

#define HOUR_US        (3600 * US_PER_S)
#define DEMODULATORS   8                       /* frames that a gateway of the common kind hears at once */
#define GATEWAYS_MAX   10000

/* ------------------------------------------------------------------ names, for the pages of devices */

static int by_eui(const void *a, const void *b)
{
    u64 x = ((const struct gateway_name *)a)->eui, y = ((const struct gateway_name *)b)->eui;
    return x < y ? -1 : x > y;
}

enum err gateways_load(struct gateway_names *out, struct call *call)
{
    struct db_query *q = db_query(call->db,
                                  "SELECT " GATEWAY_ROW("") " FROM gateway WHERE tenant = $1 LIMIT $2");
    struct arena *arena = call->rq->arena;
    size_t room = 128;
    enum err err;
    *out = (struct gateway_names){ arena_array(arena, struct gateway_name, room), 0 };
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, GATEWAYS_MAX);
    while ((err = db_step(q)) == OK) {
        if (!gateway_good(q, 0))
            continue;
        if (out->n == room) {
            struct gateway_name *wider = arena_array(arena, struct gateway_name, room * 2);
            memcpy(wider, out->list, sizeof *wider * room);
            out->list = wider;
            room *= 2;
        }
        out->list[out->n++] = (struct gateway_name){ (u64)db_i64(q, 1),
                                                     str_copy(arena, db_str(q, 2)) };
    }
    qsort(out->list, out->n, sizeof out->list[0], by_eui);
    return err;
}

struct str gateway_name(const struct gateway_names *names, u64 eui)
{
    struct gateway_name key = { .eui = eui };
    const struct gateway_name *found = bsearch(&key, names->list, names->n, sizeof key, by_eui);
    return found ? found->name : S("");
}

/* ------------------------------------------------------------------ the page */

struct hour { double rx_ok, rx_bad, rx_air_us, tx, tx_air_us; };

/* Where the four rows begin of which a gateway is made. One that is damaged is as if it were not there. */
enum { SEEN_AT = GATEWAY_COLUMNS + 1, HOUR_AT = SEEN_AT + SEEN_COLUMNS + 1, BEFORE_AT = HOUR_AT + HOUR_COLUMNS + 1 };

static void add_hour(struct hour *h, struct db_query *q, int at, double part)
{
    if (!hour_good(q, at))
        return;
    h->rx_ok     += (double)column_or(q, at + 3, 0) * part;
    h->rx_bad    += (double)column_or(q, at + 4, 0) * part;
    h->rx_air_us += (double)column_or(q, at + 5, 0) * part;
    h->tx        += (double)column_or(q, at + 6, 0) * part;
    h->tx_air_us += (double)column_or(q, at + 7, 0) * part;
}

/* Half duplex: while it sends it hears nothing, so its own airtime takes all demodulators. */
static double load_pct(const struct hour *h)
{
    double busy = h->rx_air_us / DEMODULATORS + h->tx_air_us;
    return fmin(100, busy / (double)HOUR_US * 100);
}

static void write_gateway(struct json_out *o, struct db_query *q, i64 now_us)
{
    i64 seen_us = seen_good(q, SEEN_AT) ? column_or(q, SEEN_AT + 2, 0) : 0;
    struct hour h = { 0 };
    add_hour(&h, q, HOUR_AT, 1);
    add_hour(&h, q, BEFORE_AT, 1 - (double)(now_us % HOUR_US) / (double)HOUR_US);
    json_open_object(o);
    member_eui(o, S("eui"), (u64)db_i64(q, 1));
    json_member_str(o, S("name"), db_str(q, 2));
    member_place(o, column_degrees(q, 3), column_degrees(q, 4));
    json_member_str(o, S("state"), state_words(gateway_state(seen_us, now_us)));
    member_time(o, S("last_seen"), seen_us);
    json_member_fixed(o, S("rx_ok_hour"), h.rx_ok, 0);
    json_member_fixed(o, S("rx_bad_hour"), h.rx_bad, 0);
    json_member_fixed(o, S("tx_hour"), h.tx, 0);
    json_member_fixed(o, S("load_pct"), load_pct(&h), 1);
    json_member_null(o, S("ack_ratio"));           /* what gateways say of it is not kept yet */
    json_member_bool(o, S("simulated"), db_i64(q, 7) != 0);
    json_close(o);
}

static enum err write_gateways(struct json_out *o, struct call *call, i64 now_us)
{
    struct db_query *q = db_query(
        call->db,
        "SELECT " GATEWAY_ROW("g.") ", " SEEN_ROW("s.") ", " HOUR_ROW("n.") ", " HOUR_ROW("b.") " "
        "FROM gateway g LEFT JOIN gateway_state s ON s.tenant = g.tenant AND s.eui = g.eui "
        "LEFT JOIN gateway_hour n ON n.tenant = g.tenant AND n.eui = g.eui AND n.hour = $1 "
        "LEFT JOIN gateway_hour b ON b.tenant = g.tenant AND b.eui = g.eui AND b.hour = $2 "
        "WHERE g.tenant = $3 ORDER BY g.eui LIMIT $4");
    enum err err;
    db_bind_i64(q, 1, now_us / HOUR_US);
    db_bind_i64(q, 2, now_us / HOUR_US - 1);
    db_bind_i64(q, 3, (i64)call->tenant);
    db_bind_i64(q, 4, GATEWAYS_MAX);
    while ((err = db_step(q)) == OK)
        if (gateway_good(q, 0))
            write_gateway(o, q, now_us);
    return err;
}

static enum err write_strangers(struct json_out *o, struct call *call)
{
    struct db_query *q = db_query(
        call->db, "SELECT " STRANGER_ROW("s.") " FROM stranger s LEFT JOIN gateway g "
                  "ON g.tenant = s.tenant AND g.eui = s.eui WHERE s.tenant = $1 AND g.eui IS NULL "
                  "ORDER BY s.last_seen_us DESC LIMIT 100");
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    while ((err = db_step(q)) == OK) {
        if (!stranger_good(q, 0))
            continue;
        json_open_object(o);
        member_eui(o, S("eui"), (u64)db_i64(q, 1));
        member_time(o, S("last_seen"), db_i64(q, 2));
        json_member_i64(o, S("datagrams"), db_i64(q, 3));
        json_close(o);
    }
    return err;
}

void get_gateways(struct call *call)
{
    struct page p;
    page_begin(&p, call);
    json_open_object(&p.out);
    json_key(&p.out, S("gateways"));
    json_open_array(&p.out);
    if (!store_good(call, write_gateways(&p.out, call, sys_clock().us)))
        return;
    json_close(&p.out);
    json_key(&p.out, S("unknown"));
    json_open_array(&p.out);
    if (!store_good(call, write_strangers(&p.out, call)))
        return;
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}
