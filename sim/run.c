// SPDX-License-Identifier: Apache-2.0
/*
 * The city's clockwork: everything that happens is on the agenda and is carried out at its own
 * nominal time, whoever turns it: `hotaru sim` in real time, the box in a time of its own.
 */
#include "sim/inside.h"

#include <stdio.h>

#define JOIN_SPREAD_S 60.0

void sim_carry_out(struct sim *s, const struct event *e)
{
    switch ((enum event_kind)e->kind) {
    case EVENT_DEVICE_SEND: case EVENT_DEVICE_CLOSE: sim_turn_device(s, e); return;
    case EVENT_FLIGHT_END: sim_air_land(s, e->who); return;
    case EVENT_GATEWAY_PULL:
    case EVENT_GATEWAY_STAT:
    case EVENT_GATEWAY_FLUSH:
    case EVENT_GATEWAY_TAKE:
    case EVENT_GATEWAY_EMIT: case EVENT_GATEWAY_SILENCE: sim_door_turn(s, e); return;
    case EVENT_NOISE:   sim_air_noise(s, e->at); return;
    case EVENT_CHANGES: sim_turn_changes(s, e->at); return;
    case EVENT_REPORT:  sim_report(s, e->at); return;
    }
}

void sim_run_due(struct sim *s)
{
    struct event e;
    struct mono  next;
    while (sim_agenda_take(&s->agenda, &e, sys_now())) {
        struct arena mark = s->event;
        sim_carry_out(s, &e);
        s->event = mark;
    }
    if (sim_agenda_next(&s->agenda, &next))
        loop_timer_at(s->timer, next);
}

/* All within the first minute; a device that kept its session proves it with a confirmed uplink. */
void sim_switch_on(struct sim *s)
{
    for (u32 i = 0; i < s->devices_n; i++) {
        struct device *d = &s->devices[i];
        double in_s = sim_chance_between(&s->chance, 1, JOIN_SPREAD_S);
        d->acks_failed = d->kept.joined ? 1 : 0;
        sim_turn_send_at(s, d, mono_after(s->started, (i64)(in_s * (double)US_PER_S)));
    }
    sim_agenda_put(&s->agenda, mono_after(s->started, US_PER_S), EVENT_CHANGES, 0, 0);
    sim_agenda_put(&s->agenda, mono_after(s->started, 2 * US_PER_S), EVENT_NOISE, 0, 0);
}

/* What is told of the tally, since the start. */
static const struct { const char *name; size_t member; } counts[] = {
    { "uplinks",   offsetof(struct tally, uplinks) },
    { "lost",      offsetof(struct tally, lost) },        /* heard by no gateway */
    { "collided",  offsetof(struct tally, collided) },    /* of copies, as the next three */
    { "weak",      offsetof(struct tally, weak) },
    { "deaf",      offsetof(struct tally, deaf) },        /* the gateway was sending */
    { "bad_crc",   offsetof(struct tally, corrupt) },
    { "repeated",  offsetof(struct tally, resent) },
    { "emitted",   offsetof(struct tally, emitted) },     /* downlinks on the air */
    { "downlinks", offsetof(struct tally, downlinks) },   /* and understood */
    { "missed",    offsetof(struct tally, missed) },
    { "refused",   offsetof(struct tally, refused) },     /* by a gateway's queue */
    { "too_late",  offsetof(struct tally, too_late) },    /* of those */
    { "pushed",    offsetof(struct tally, pushed) },
    { "acked",     offsetof(struct tally, acked) },
};

void sim_report(struct sim *s, struct mono now)
{
    const struct tally *t = &s->tally, *was = &s->told;
    double hour  = sim_world_hour(&s->world, sim_world_s(&s->world, now));
    double since = (double)mono_since(now, s->told_at) / (double)US_PER_S;
    u64 heard = t->heard - was->heard;
    u32 joined = 0, silent = 0;
    for (u32 i = 0; i < s->devices_n; i++)
        joined += s->devices[i].kept.joined;
    for (u32 i = 0; i < s->gateways_n; i++)
        silent += !sim_gateway_works(&s->gateways[i], now);
    printf("simulated city %02d:%02d joined=%u/%u uplinks_s=%.1f copies=%.1f silent_gateways=%u",
           (int)hour, (int)(hour * 60) % 60, joined, s->devices_n,
           since > 0 ? (double)(t->uplinks - was->uplinks) / since : 0,
           heard ? (double)(t->copies - was->copies) / (double)heard : 0, silent);
    for (size_t i = 0; i < COUNT(counts); i++) {
        u64 n;
        memcpy(&n, (const char *)t + counts[i].member, sizeof n);
        printf(" %s=%llu", counts[i].name, (unsigned long long)n);
    }
    printf("\n");
    (void)fflush(stdout);
    s->told    = *t;
    s->told_at = now;
    sim_agenda_put(&s->agenda, mono_after(now, REPORT_EVERY_US), EVENT_REPORT, 0, 0);
}
