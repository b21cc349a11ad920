// SPDX-License-Identifier: Apache-2.0
/*
 * A device's turn: when it sends, repeats, gives up and joins again. The device itself (device.c)
 * knows no clock; this file is its timer and its application.
 *
 *     idle --send--> sending --end of frame--> windows --heard or over--> idle
 */
#include "sim/inside.h"

#define CHANGE_GAP_US     (12 * US_PER_S)      /* between two uplinks that nobody asked for */
#define CONFIRMED_SHARE   0.05
#define CONFIRMED_TRIES   4
#define ACKS_FAILED_MAX   2                    /* then it believes the network has forgotten it */
#define FALLS_SILENT_US   (240 * US_PER_S)

static double real_s(const struct sim *s, struct mono now)
{
    return (double)mono_since(now, s->started) / (double)US_PER_S;
}

void sim_turn_send_at(struct sim *s, struct device *d, struct mono at)
{
    d->due = at;
    sim_agenda_put(&s->agenda, at, EVENT_DEVICE_SEND, d->index, ++d->gen);
}

static void send_in(struct sim *s, struct device *d, struct mono now, double least_s, double most_s)
{
    double in_s = sim_chance_between(&s->chance, least_s, most_s);
    sim_turn_send_at(s, d, mono_after(now, (i64)(in_s * (double)US_PER_S)));
}

static bool is_mute(const struct sim *s, const struct device *d, struct mono now)
{
    return d->odd == ODD_NEVER ||
           (d->odd == ODD_FALLS_SILENT && mono_since(now, s->started) > FALLS_SILENT_US);
}

/* The next regular reading, from now. */
static void plan(struct sim *s, struct device *d, struct mono now)
{
    double interval_s = sim_payload_interval_s(d, s->options.interval_scale, real_s(s, now));
    send_in(s, d, now, interval_s * 0.9, interval_s * 1.1);
}

static bool build_reading(struct sim *s, struct device *d, struct buf *out, struct mono now)
{
    u8 room[READING_MAX];
    struct buf reading = BUF(room);
    double t_s  = sim_world_s(&s->world, now);
    d->check_link = sim_chance_unit(&s->chance) < 0.01;
    d->ask_time   = sim_chance_unit(&s->chance) < 0.005;
    sim_payload_build(&reading, d, &s->world, t_s, real_s(s, now), sim_device_room(d));
    d->sent_mark = sim_payload_mark(d, &s->world, t_s);
    d->sent_at   = now;
    d->confirmed = d->acks_failed > 0 || sim_chance_unit(&s->chance) < CONFIRMED_SHARE;
    if (!sim_device_uplink(d, out, buf_bytes(&reading)))
        return false;
    d->awaits_ack = d->confirmed;
    d->tries_max  = d->confirmed ? CONFIRMED_TRIES : d->kept.nb_trans;
    s->tally.uplinks++;
    return true;
}

static bool build(struct sim *s, struct device *d, struct mono now)
{
    struct buf out = BUF(d->air);
    bool ok;
    if (d->kept.joined)
        ok = build_reading(s, d, &out, now);
    else {
        ok = sim_device_join_request(d, &out, &s->chance);
        d->tries_max = 1;
    }
    d->air_n = (u8)out.n;
    sim_keep_write(s, d);                /* the counter is spent before the air has it */
    return ok && !out.bad;
}

static void send(struct sim *s, struct device *d, struct mono now)
{
    u32 hz, down_hz;
    if (is_mute(s, d, now))
        return;
    if (!d->kept.joined && d->tries == 0)
        sim_device_boot(d);
    if (!sim_device_channel(d, &s->chance, &hz, &down_hz)) {
        send_in(s, d, now, 5, 10);
        return;
    }
    if (sim_air_busy(s, d, hz, now)) {    /* carrier sense: 5 ms, then try another moment */
        send_in(s, d, now, 0.02, 0.15);
        return;
    }
    if (d->tries == 0 && !build(s, d, now)) {
        plan(s, d, now);
        return;
    }
    d->tries++;
    d->up_hz = down_hz;
    d->up_dr = d->kept.dr;
    d->state = DEVICE_SENDING;
    struct flight f = { .up = true, .who = d->index, .hz = hz, .dr = d->up_dr,
                        .sf = sim_region()->dr[d->up_dr].sf, .n = d->air_n, .start = now,
                        .dbm = sim_device_eirp_dbm(d) + d->antenna_db, .at = d->at };
    enum child_doing doing;
    if (d->kind == KIND_TRACKER)
        f.at = sim_child_at(&d->child, real_s(s, now), &doing);
    f.end = mono_after(now, lora_dr_airtime_us(sim_region(), f.dr, f.n, true));
    memcpy(f.phy, d->air, d->air_n);
    (void)sim_air_launch(s, &f);
}

/* The windows are over. What next? */
static void finish(struct sim *s, struct device *d, struct mono now, bool heard)
{
    bool was_joining = d->joining;
    d->state   = DEVICE_IDLE;
    d->hearing = 0;
    d->close_gen++;
    d->joining = false;
    if (!d->kept.joined) {
        d->tries = 0;
        d->joins_failed++;
        double wait_s = 6.0 * MIN(d->joins_failed, 10u);
        send_in(s, d, now, wait_s, wait_s * 2.5);
        return;
    }
    if (was_joining || heard) {
        d->tries = 0;
        if (was_joining)
            send_in(s, d, now, 1, 8);
        else if (d->more)
            send_in(s, d, now, 2, 5);
        else
            plan(s, d, now);
        return;
    }
    if (d->tries < d->tries_max) {                       /* 1.0.3 §4.3.1.1, ACK_TIMEOUT 1 to 3 s */
        s->tally.resent++;
        send_in(s, d, now, 1, 3);
        return;
    }
    d->tries = 0;
    if (d->awaits_ack && ++d->acks_failed >= ACKS_FAILED_MAX) {
        d->kept.joined = false;
        d->awaits_ack  = false;
        send_in(s, d, now, 2, 10);
        return;
    }
    d->awaits_ack = false;
    if (d->more)
        send_in(s, d, now, 2, 5);
    else
        plan(s, d, now);
}

static void close(struct sim *s, struct device *d, struct mono now)
{
    if (d->hearing) {                                    /* a frame is still coming in */
        const struct flight *f = &s->flights[d->hearing - 1];
        sim_agenda_put(&s->agenda, mono_after(f->end, 1), EVENT_DEVICE_CLOSE, d->index,
                       d->close_gen);
        return;
    }
    finish(s, d, now, false);
}

void sim_turn_device(struct sim *s, const struct event *e)
{
    struct device *d = &s->devices[e->who];
    if (e->kind == EVENT_DEVICE_SEND && e->gen == d->gen && d->state == DEVICE_IDLE)
        send(s, d, e->at);
    if (e->kind == EVENT_DEVICE_CLOSE && e->gen == d->close_gen && d->state == DEVICE_WINDOWS)
        close(s, d, e->at);
}

/* A downlink that was in one of its windows has ended, strong enough to be understood. */
void sim_turn_heard(struct sim *s, struct device *d, const struct flight *f, double dbm,
                    struct mono now)
{
    u8 room[LORA_AIR_MAX];
    struct bytes payload;
    i16 port;
    bool was_acked = d->awaits_ack;
    i16  snr_cb    = (i16)((dbm - sim_radio_noise_dbm()) * 10);
    d->hearing = 0;
    enum heard heard =
        sim_device_heard(d, (struct bytes){ f->phy, f->n }, snr_cb, room, &payload, &port);
    if (heard == HEARD_NOT_MINE)
        return;
    s->tally.downlinks++;
    if (heard == HEARD_JOINED) {
        s->tally.joins++;
        d->joining = true;    /* for finish(): the first reading follows soon */
    }
    if (port == ORDER_PORT) {
        sim_payload_order(d, &s->world, sim_world_s(&s->world, now), payload);
        d->more = true;                                  /* it reports what it did */
    }
    sim_keep_write(s, d);
    /* A downlink without the ACK does not end a confirmed uplink. */
    finish(s, d, now, !(was_acked && d->awaits_ack));
}

void sim_turn_changes(struct sim *s, struct mono now)
{
    double t_s = sim_world_s(&s->world, now);
    for (u32 i = 0; i < s->devices_n; i++) {
        struct device *d = &s->devices[i];
        if (d->state != DEVICE_IDLE || !d->kept.joined || d->tries > 0 || d->sent_at.us == 0 ||
            mono_since(now, d->sent_at) < CHANGE_GAP_US || mono_since(d->due, now) < 3 * US_PER_S)
            continue;
        if (sim_payload_mark(d, &s->world, t_s) != d->sent_mark)
            send_in(s, d, now, 0.2, 2.5);
    }
    /* Once a minute of the world: nothing worth a frame of its own changes faster. */
    i64 again_us = (i64)(60 / s->world.speed * (double)US_PER_S);
    sim_agenda_put(&s->agenda, mono_after(now, MIN(again_us, 60 * US_PER_S)), EVENT_CHANGES, 0, 0);
}
