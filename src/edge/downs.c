// SPDX-License-Identifier: Apache-2.0
#include "edge/downs.h"

#include "mac/mac.h"

#define EARLY_US    (800 * US_PER_MS)        /* so long before its time a transmission leaves for the gateway */
#define TOO_LATE_US (60 * US_PER_MS)         /* a gateway's queue wants at least this much */
#define PENDING     4096                     /* transmissions under way */
#define ROADS       4

/* Slots are named by the token of the transmission. */
struct pending {
    bool used, sent;
    u16  token;
    u32  attempt, handed;                    /* tries[attempt] … are with the gateway: so many */
    struct mono due;                         /* when to send, or when to stop waiting for the answer */
    struct downlink downlink;
    u8   phy[LORA_AIR_MAX];
};

struct downs {
    struct env *env;
    struct road roads[ROADS];  u32 roads_n;
    struct pending *pending;  u32 pending_top;
    struct mono due;                         /* of the first of them, or earlier */
    u16 next_token;
};

struct downs *downs_make(struct env *env)
{
    struct downs *d = boot_take(sizeof *d);
    d->env     = env;
    d->due     = env_now(env);
    d->pending = boot_take(sizeof *d->pending * PENDING);
    env->random(env->world, (u8 *)&d->next_token, sizeof d->next_token);
    return d;
}

void downs_close(struct downs *d)
{
    boot_release(d->pending);
    boot_release(d);
}

void downs_road(struct downs *d, const struct road *road)
{
    assert(d->roads_n < ROADS);
    d->roads[d->roads_n++] = *road;
}

static bool is_reached(const struct downs *d, u64 gateway)
{
    for (u32 i = 0; i < d->roads_n; i++)
        if (d->roads[i].reaches(d->roads[i].of, gateway))
            return true;
    return false;
}

static void finish(struct downs *d, struct pending *p, enum down_state state, struct str reason)
{
    const struct downlink *of = &p->downlink;
    mac_downlink_result(d->env, of->tenant, of->dev_eui, of->id, state, reason, of->tries[p->attempt].gateway);
    p->used = false;
    while (d->pending_top > 0 && !d->pending[d->pending_top - 1].used)
        d->pending_top--;
}

static void wait_until(struct downs *d, struct pending *p, struct mono due)
{
    p->due = due;
    if (mono_before(due, d->due))
        d->due = due;
}

/* Moves on to the next window or gateway whose time has not passed; fails when there is none. */
static void next_try(struct downs *d, struct pending *p, struct str reason)
{
    struct mono now = env_now(d->env);
    while (++p->attempt < p->downlink.tries_count) {
        const struct transmission *t = &p->downlink.tries[p->attempt];
        if (mono_since(t->at, now) > TOO_LATE_US) {
            p->sent = false;
            wait_until(d, p, mono_after(t->at, -EARLY_US));
            return;
        }
    }
    p->attempt = p->downlink.tries_count - 1;
    finish(d, p, DOWN_FAILED, reason);
}

/* Nothing that this gateway was to try has a chance any more. */
static void next_gateway(struct downs *d, struct pending *p, struct str reason)
{
    u64 eui = p->downlink.tries[p->attempt].gateway;
    while (p->used && p->downlink.tries[p->attempt].gateway == eui)
        next_try(d, p, reason);
}

void downs_void(struct downs *d, u64 gateway, struct str words)
{
    for (u32 i = 0; i < d->pending_top; i++) {
        struct pending *p = &d->pending[i];
        if (p->used && p->downlink.tries[p->attempt].gateway == gateway)
            next_gateway(d, p, words);
    }
}

/* The windows of that gateway go behind all others'. */
static void put_last(struct downs *d, struct pending *p, u64 gateway)
{
    struct downlink *of = &p->downlink;
    struct transmission last[TRIES_MAX];
    u32 n = 0, at = p->attempt;
    for (u32 i = p->attempt; i < of->tries_count; i++)
        if (of->tries[i].gateway == gateway)
            last[n++] = of->tries[i];
        else
            of->tries[at++] = of->tries[i];
    memcpy(&of->tries[at], last, n * sizeof last[0]);
    wait_until(d, p, mono_after(of->tries[p->attempt].at, -EARLY_US));
}

void downs_doubt(struct downs *d, u64 gateway)
{
    for (u32 i = 0; i < d->pending_top; i++) {
        struct pending *p = &d->pending[i];
        if (p->used && !p->sent && p->downlink.tries[p->attempt].gateway == gateway)
            put_last(d, p, gateway);
    }
}

static struct pending *pending_of(struct downs *d, u64 gateway, u16 token)
{
    for (u32 i = 0; i < d->pending_top; i++) {
        struct pending *p = &d->pending[i];
        if (p->used && p->sent && p->token == token && p->downlink.tries[p->attempt].gateway == gateway)
            return p;
    }
    return NULL;
}

bool downs_outcome(struct downs *d, u64 gateway, u16 token, enum outcome outcome, struct str words)
{
    struct pending *p = pending_of(d, gateway, token);
    if (!p)
        return false;
    const struct transmission *t = &p->downlink.tries[p->attempt];
    if (outcome == OUTCOME_REFUSED) {
        p->attempt += p->handed - 1;                   /* it refused all that it was given */
        next_try(d, p, words);
        return true;
    }
    mac_gateway_sent(d->env, mac_gateway(d->env->mac, gateway), t->airtime_us);
    finish(d, p, DOWN_ACCEPTED, words.n > 0 ? words : t->window == 2 ? S("in RX2") : S(""));
    return true;
}

/* Windows of one gateway that may be handed over together, those whose time has passed left out in front. */
static u32 windows_of(const struct pending *p, const struct road *road)
{
    const struct downlink *of = &p->downlink;
    u32 n = 1;
    while (road->both_windows && p->attempt + n < of->tries_count &&
           of->tries[p->attempt + n].gateway == of->tries[p->attempt].gateway)
        n++;
    return n;
}

/* By the first road that leads there now: a gateway may have moved from one to another. */
static enum road_says hand_over(struct downs *d, struct pending *p, struct road_send *what, struct mono *answer_by,
                                struct str *why)
{
    enum road_says says = ROAD_GONE;
    u64 gateway = p->downlink.tries[p->attempt].gateway;
    for (u32 i = 0; i < d->roads_n && says == ROAD_GONE; i++) {
        const struct road *road = &d->roads[i];
        if (!road->reaches(road->of, gateway))
            continue;
        what->n = p->handed = windows_of(p, road);
        says = road->send(road->of, what, answer_by, why);
    }
    return says;
}

static void transmit(struct downs *d, struct pending *p)
{
    const struct transmission *t = &p->downlink.tries[p->attempt];
    struct str why = S("the gateway has no open path for downlinks");
    if (is_reached(d, t->gateway) && mono_since(t->at, env_now(d->env)) <= TOO_LATE_US) {   /* a slow disk held us up (R20) */
        next_try(d, p, S("its time had come before it could leave"));
        return;
    }
    struct road_send what = { .downlink = &p->downlink, .from = p->attempt, .token = d->next_token++ };
    struct mono answer_by = { 0 };
    enum road_says says = hand_over(d, p, &what, &answer_by, &why);
    if (says == ROAD_GONE) {
        next_gateway(d, p, why);
        return;
    }
    p->token = what.token;
    p->sent  = true;
    wait_until(d, p, answer_by);
    if (says == ROAD_DONE) {
        mac_gateway_sent(d->env, mac_gateway(d->env->mac, t->gateway), t->airtime_us);
        finish(d, p, DOWN_ACCEPTED, why);
    }
}

void downs_add(struct downs *d, const struct downlink *downlink)
{
    u32 at = 0;
    while (at < PENDING && d->pending[at].used)
        at++;
    if (at == PENDING) {
        mac_downlink_result(d->env, downlink->tenant, downlink->dev_eui, downlink->id, DOWN_FAILED,
                            S("too many transmissions are under way"), 0);
        return;
    }
    struct pending *p = &d->pending[at];
    *p = (struct pending){ .used = true, .downlink = *downlink };
    wait_until(d, p, mono_after(downlink->tries[0].at, -EARLY_US));
    memcpy(p->phy, downlink->phy.p, downlink->phy.n);
    p->downlink.phy.p = p->phy;
    d->pending_top = MAX(d->pending_top, at + 1);
}

struct mono downs_due(const struct downs *d)
{
    return d->due;
}

struct mono downs_tick(struct downs *d)
{
    struct mono now = env_now(d->env), next = mono_after(now, 3600 * US_PER_S);
    for (u32 i = 0; i < d->pending_top; i++) {
        struct pending *p = &d->pending[i];
        if (p->used && !mono_before(now, p->due)) {
            if (p->sent)
                finish(d, p, DOWN_UNKNOWN, S("the gateway did not answer"));
            else
                transmit(d, p);
        }
        if (p->used && mono_before(p->due, next))
            next = p->due;
    }
    return d->due = next;
}
