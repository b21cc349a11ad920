// SPDX-License-Identifier: Apache-2.0
/*
 * What gateways say and are told, by two sockets each as in Semtech's forwarder: PUSH_DATA goes out
 * of one port, PULL_DATA out of another, and downlinks come back to the second.
 *
 *     | 2 | token 2 | 0 PUSH_DATA | EUI 8 | JSON |      | 2 | token 2 | 1 PUSH_ACK |
 *     | 2 | token 2 | 2 PULL_DATA | EUI 8 |             | 2 | token 2 | 4 PULL_ACK |
 *     | 2 | token 2 | 5 TX_ACK    | EUI 8 | JSON |      | 2 | token 2 | 3 PULL_RESP | JSON |
 */
#include "sim/inside.h"

#include "wire/json.h"

enum { PROTOCOL = 2, PUSH_DATA = 0, PUSH_ACK, PULL_DATA, PULL_RESP, PULL_ACK, TX_ACK, HEAD = 12 };

#define PULL_MIN_S  5.0
#define PULL_MAX_S  10.0
#define STAT_S      30.0
#define SILENCE_S   170.0            /* between two gateways that go silent, on average */

static void later(struct sim *s, struct mono now, double in_s, enum event_kind kind, u32 who)
{
    sim_agenda_put(&s->agenda, mono_after(now, (i64)(in_s * (double)US_PER_S)), kind, who, 0);
}

static void transmit(struct sim *s, const struct gateway *g, bool pull, u8 id, u16 token,
                     struct str body)
{
    size_t n = HEAD + body.n;
    u8 *p = arena_take(&s->event, n, 1);
    p[0] = PROTOCOL;
    put_u16be(p + 1, token);
    p[3] = id;
    put_u64be(p + 4, g->eui);
    if (body.n)
        memcpy(p + HEAD, body.p, body.n);
    sim_socket_send(s, g, pull, (struct bytes){ p, n });
}

static void push(struct sim *s, struct gateway *g, struct str body)
{
    u16 token = (u16)(1 + sim_chance_below(&s->chance, 65535));
    g->tokens[g->pushed % TOKENS] = token;
    g->pushed++;
    s->tally.pushed++;
    transmit(s, g, false, PUSH_DATA, token, body);
    if (sim_chance_unit(&s->chance) < 0.002)             /* some networks deliver twice */
        transmit(s, g, false, PUSH_DATA, token, body);
}

void sim_door_heard(struct sim *s, struct gateway *g, const struct reception *r)
{
    g->rxnb++;
    g->rxok += r->stat > 0;
    if (g->rx_n == RX_QUEUE)
        return;
    g->rx[g->rx_n++] = *r;
    sim_agenda_put(&s->agenda, r->at, EVENT_GATEWAY_FLUSH, g->index, 0);
}

static void acked(struct sim *s, struct gateway *g, u16 token)
{
    for (u32 i = 0; i < TOKENS; i++)
        if (token && g->tokens[i] == token) {
            g->tokens[i] = 0;
            g->acked++;
            s->tally.acked++;
            return;
        }
}

/* ------------------------------------------------------------------ down */

static void tx_ack(struct sim *s, const struct gateway *g, u16 token, const char *error)
{
    /* older forwarders say nothing when all is well, others "NONE" */
    bool spare = g->index % 3 == 0;
    struct str body = *error  ? str_fmt(&s->event, "{\"txpk_ack\":{\"error\":\"%s\"}}", error)
                      : spare ? S("")
                              : S("{\"txpk_ack\":{\"error\":\"NONE\"}}");
    transmit(s, g, true, TX_ACK, token, body);
}

static void pull_resp(struct sim *s, struct gateway *g, u16 token, struct bytes body,
                      struct mono now)
{
    for (u32 i = 0; i < PARCELS; i++) {
        struct parcel *p = &s->parcels[i];
        if (p->used)
            continue;
        *p = (struct parcel){ .used = true, .gateway = g->index, .token = token };
        const char *error = sim_parcel_read(p, body, &s->event);
        g->dwnb++;
        if (error) {
            p->used = false;
            s->tally.refused++;
            if (*error)
                tx_ack(s, g, token, error);
            return;
        }
        sim_agenda_put(&s->agenda, mono_after(now, g->backhaul_us), EVENT_GATEWAY_TAKE, i, 0);
        return;
    }
}

/* The request has come through the backhaul: into the queue with it, or back with an error. */
static void take(struct sim *s, u32 index, struct mono now)
{
    struct parcel  *p = &s->parcels[index];
    struct gateway *g = &s->gateways[p->gateway];
    if (!sim_gateway_works(g, now)) {
        p->used = false;
        return;
    }
    u32 now_tmst = sim_gateway_tmst(g, s->started, now);
    if (p->imme)
        p->tmst = now_tmst + JIT_LEAD_US;
    enum jit_answer answer =
        sim_jit_offer(&g->jit, now_tmst, (struct jit_item){ p->tmst, p->airtime_us, index });
    tx_ack(s, g, p->token, answer == JIT_OK ? "" : sim_jit_words(answer));
    if (answer != JIT_OK) {
        s->tally.refused++;
        s->tally.too_late += answer == JIT_TOO_LATE;
        p->used = false;
        return;
    }
    sim_agenda_put(&s->agenda, sim_gateway_mono(g, s->started, now, p->tmst), EVENT_GATEWAY_EMIT,
                   index, 0);
}

static void emit(struct sim *s, u32 index, struct mono now)
{
    struct parcel  *p = &s->parcels[index];
    struct gateway *g = &s->gateways[p->gateway];
    p->used = false;
    if (!sim_jit_take(&g->jit, index))
        return;
    struct flight f = { .who = p->gateway,
                        .hz = p->hz,
                        .dr = p->dr,
                        .sf = p->sf,
                        .n = p->n,
                        .start = now,
                        .end = mono_after(now, p->airtime_us),
                        .dbm = p->dbm,
                        .at = g->at };
    memcpy(f.phy, p->phy, p->n);
    g->txnb++;
    if (s->emitted)
        s->emitted(p->gateway, p, now);
    s->tally.emitted += sim_air_launch(s, &f);
}

/* ------------------------------------------------------------------ a gateway's turn */

static void pull_data(struct sim *s, struct gateway *g, struct mono now)
{
    if (sim_gateway_works(g, now))
        transmit(s, g, true, PULL_DATA, (u16)sim_chance_next(&s->chance), S(""));
    later(s, now, sim_chance_between(&s->chance, PULL_MIN_S, PULL_MAX_S), EVENT_GATEWAY_PULL,
          g->index);
}

static void silence_one(struct sim *s, struct mono now)
{
    struct gateway *g = &s->gateways[sim_chance_below(&s->chance, s->gateways_n)];
    double for_s = sim_chance_between(&s->chance, 60, 240);
    g->silent_until = mono_after(now, (i64)(for_s * (double)US_PER_S));
    later(s, now, sim_chance_between(&s->chance, 0.5, 1.5) * SILENCE_S, EVENT_GATEWAY_SILENCE, 0);
}

void sim_door_turn(struct sim *s, const struct event *e)
{
    struct gateway *g = &s->gateways[e->who < s->gateways_n ? e->who : 0];
    struct str body;
    switch (e->kind) {
    case EVENT_GATEWAY_TAKE:    take(s, e->who, e->at); return;
    case EVENT_GATEWAY_EMIT:    emit(s, e->who, e->at); return;
    case EVENT_GATEWAY_PULL:    pull_data(s, g, e->at); return;
    case EVENT_GATEWAY_SILENCE: silence_one(s, e->at); return;
    case EVENT_GATEWAY_STAT:
        if (sim_gateway_works(g, e->at))
            push(s, g, sim_gateway_stat(g, &s->event, sys_clock()));
        later(s, e->at, STAT_S, EVENT_GATEWAY_STAT, g->index);
        return;
    case EVENT_GATEWAY_FLUSH:
        body = sim_gateway_rxpk(g, &s->event, e->at, sys_clock());
        if (body.n && sim_gateway_works(g, e->at))
            push(s, g, body);
        return;
    default:
        return;
    }
}

/* ------------------------------------------------------------------ what comes back */

void sim_door_receive(struct sim *s, struct gateway *g, bool pull, struct bytes datagram, struct mono now)
{
    if (datagram.n < 4 || datagram.p[0] != PROTOCOL)
        return;
    struct arena mark = s->event;
    u16 token = get_u16be(datagram.p + 1);
    if (datagram.p[3] == PUSH_ACK && !pull)
        acked(s, g, token);
    if (datagram.p[3] == PULL_RESP && pull)
        pull_resp(s, g, token, (struct bytes){ datagram.p + 4, datagram.n - 4 }, now);
    s->event = mark;
}

void sim_door_open(struct sim *s)
{
    for (u32 i = 0; i < s->gateways_n; i++) {
        sim_socket_open(s, &s->gateways[i]);
        later(s, s->started, sim_chance_between(&s->chance, 0, 2), EVENT_GATEWAY_PULL, i);
        later(s, s->started, sim_chance_between(&s->chance, 2, STAT_S), EVENT_GATEWAY_STAT, i);
    }
    if (!s->options.steady)
        later(s, s->started, SILENCE_S, EVENT_GATEWAY_SILENCE, 0);
}
