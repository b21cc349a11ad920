// SPDX-License-Identifier: Apache-2.0
/*
 * A data frame (LoRaWAN 1.0.x, chapter 4). In the order of what is cheap and what is certain: shape,
 * copy of an accepted frame, DevAddr, counter, MIC. State moves only after the MIC; the event row is
 * the one insert (event first), session counters follow from it.
 *
 * A frame whose counter is behind (late.c), or whose gateway had it until its receive windows were
 * over, is late: the event stands, at its own time, and that is all. No answer, no commands, and what
 * a downlink waits for is not settled by it.
 */
#include "mac/inside.h"

static enum drop drop_of(enum lora_err err)
{
    static const enum drop drops[LORA_ERR_KINDS] = {
        [LORA_TRUNCATED]       = DROP_TRUNCATED,
        [LORA_TOO_LONG]        = DROP_TOO_LONG,
        [LORA_BAD_MAJOR]       = DROP_MAJOR,
        [LORA_BAD_MTYPE]       = DROP_MTYPE,
        [LORA_FOPTS_AND_PORT0] = DROP_MAC_TWICE,
    };
    assert(drops[err] != PASS);                        /* a data frame can be wrong in these ways alone */
    return drops[err];
}

static enum drop shape(struct lora_frame *f, struct bytes phy)
{
    enum lora_mtype mtype;
    enum lora_err err = lora_mtype_of(&mtype, phy);
    if (err != LORA_OK)
        return drop_of(err);
    if (mtype == MTYPE_REJOIN_REQUEST)
        return DROP_REJOIN;
    if (mtype == MTYPE_PROPRIETARY)
        return DROP_PROPRIETARY;
    if (!lora_mtype_is_data(mtype) || lora_mtype_dir(mtype) != LORA_UP)
        return DROP_MTYPE;
    err = lora_frame_parse(f, phy);
    return err == LORA_OK ? PASS : drop_of(err);
}

int uplink_dr(const struct lora_region *region, const struct radio *radio)
{
    return radio->sf ? lora_dr_find(region, LORA_UP, radio->sf, radio->bw_hz) : lora_dr_find_fsk(region, radio->bitrate);
}

/* Index of the uplink's channel as the device counts them: the defaults, then the plan's from the CFList. */
static u8 uplink_channel(const struct env *env, const struct lora_region *region, u32 freq_hz)
{
    const struct lora_plan *plan = env->mac->set.plan;
    int index = lora_channel_index(region, LORA_UP, freq_hz);
    for (int i = 0; index < 0 && plan && plan->region == region && i < plan->channel_count; i++)
        if (plan->channel_hz[i] == freq_hz)
            index = i;
    return index < 0 ? 0 : (u8)index;
}

struct found { u32 session; u32 fcnt; enum replay_says says; struct lora_session keys; };

static bool verifies(struct env *env, struct found *hit, u32 session, u32 fcnt, const struct lora_frame *f,
                     const struct frame *frame)
{
    struct mac *mac = env->mac;
    const struct session *s = &mac->sessions[session];
    struct lora_mic_terms terms = { 0 };
    if (s->v1_1) {
        const struct lora_region *region = env->profiles.list[mac->devices[s->device].profile].region;
        terms = (struct lora_mic_terms){ .conf_fcnt = (f->fctrl & FCTRL_ACK) ? s->conf_down : 0,
                                         .tx_dr     = (u8)MAX(uplink_dr(region, &frame->radio), 0),
                                         .tx_ch     = uplink_channel(env, region, frame->radio.freq_hz) };
    }
    *hit = (struct found){ .session = session, .fcnt = fcnt };
    return session_keys(mac, &hit->keys, session) && lora_frame_verify(f, &hit->keys, fcnt, terms);
}

/* May a counter that the key has verified be accepted? */
static enum drop weigh_counter(struct env *env, struct found *hit)
{
    i64 seen = env->mac->sessions[hit->session].fcnt_up;
    hit->says = REPLAY_AHEAD;
    if ((i64)hit->fcnt > seen)
        return hit->fcnt - MAX(seen, 0) > LORA_FCNT_GAP_MAX ? DROP_FCNT_GAP : PASS;
    hit->says = late_ask(env, hit->session, hit->fcnt);
    if (hit->says == REPLAY_NEW)
        return PASS;
    return hit->says == REPLAY_UNKNOWN && env->failed != OK ? DROP_STORE : DROP_REPEATED;
}

/* What a session says of a frame that its key verifies, or DROP_BAD_MIC. The air carries 16 bits of the
 * counter: a frame of now has the next number that ends in them; one of before lands one turn ahead,
 * where its MIC fails, and one turn back is what it was. */
static enum drop try_session(struct env *env, struct found *hit, u32 session, const struct lora_frame *f,
                             const struct frame *frame)
{
    u32 seen = (u32)MAX(env->mac->sessions[session].fcnt_up, 0), fcnt = lora_fcnt_extend(seen, f->fcnt_low);
    if (verifies(env, hit, session, fcnt, f, frame) ||
        (fcnt >= 0x10000 && verifies(env, hit, session, fcnt - 0x10000, f, frame)))
        return weigh_counter(env, hit);
    return DROP_BAD_MIC;
}

static enum drop find_session(struct env *env, struct found *hit, const struct lora_frame *f, const struct frame *frame)
{
    struct map_walk walk = map_walk(&env->mac->by_devaddr, f->devaddr);
    enum drop drop = DROP_UNKNOWN_DEVADDR;
    struct found one;
    for (u32 session; (session = map_next(&env->mac->by_devaddr, &walk)) != MAP_NONE;) {
        if (!session_ready(env, session)) {            /* damaged: the device has to join again */
            if (env->failed != OK)
                return DROP_STORE;
            continue;
        }
        enum drop said = try_session(env, &one, session, f, frame);
        if (said != DROP_BAD_MIC) {
            *hit = one;
            return said;
        }
        *hit = one;
        drop = DROP_BAD_MIC;
    }
    return drop;
}

static const char *const repeated_words[] = {
    [REPLAY_SEEN]    = "this counter was accepted before",
    [REPLAY_BEYOND]  = "more than 4096 behind; what is so late is not told from a replay any more",
    [REPLAY_UNKNOWN] = "the events from before are not kept any more, so it may have been accepted then",
};

static void refuse(struct env *env, enum drop drop, const struct found *hit, const struct lora_frame *f,
                   const struct frame *frame)
{
    const struct session *s = drop == DROP_UNKNOWN_DEVADDR ? NULL : &env->mac->sessions[hit->session];
    const struct device *d = s ? &env->mac->devices[s->device] : NULL;
    struct str detail = str_fmt(&env->event, "DevAddr %08x FCnt %u", f->devaddr, (unsigned)f->fcnt_low);
    if (s && s->fcnt_up >= 0)
        detail = str_fmt(&env->event, "%.*s, highest accepted %lld", STR(detail), (long long)s->fcnt_up);
    if (drop == DROP_REPEATED)
        detail = str_fmt(&env->event, "%.*s: %s", STR(detail), repeated_words[hit->says]);
    mac_refuse(env, d ? d->tenant : 1, d ? d->dev_eui : 0, drop, frame->radio.gateway, detail);
}

/* When the gateway told us, the device had stopped listening (3.3). */
static bool is_kept(const struct session *s, const struct frame *frame)
{
    return frame->kept_us > (s->rx1_delay_s + LORA_RX2_AFTER_RX1_S) * US_PER_S;
}

/* The device did not hear our acknowledgement and says it again: answer again, with a new FCntDown. */
static void answer_again(struct env *env, const struct found *hit, const struct lora_frame *f, const struct frame *frame)
{
    const struct session *s = &env->mac->sessions[hit->session];
    if (!lora_mtype_is_confirmed(f->mtype) || (i64)hit->fcnt != s->fcnt_up || is_kept(s, frame))
        return;
    struct window *w = window_open(env, WINDOW_ANSWER, frame, f->mic, env->mac->set.window_us);
    if (!w)
        return;
    w->device    = s->device;
    w->session   = hit->session;
    w->fcnt      = hit->fcnt;
    w->confirmed = true;
}

/* A copy after the window closed, or the device speaking again: a gateway that had it once hears it a
 * second time only when it was sent a second time. */
static bool is_sent_again(const struct window *w, const struct radio *radio)
{
    for (u32 i = 0; i < w->copies; i++)
        if (w->copy[i].gateway == radio->gateway)
            return radio->tmst_us - w->copy[i].tmst_us > US_PER_S;
    return false;
}

/* A person's payload is stored under a key of its own; one that is damaged costs that person's frames alone. */
static enum drop seal_personal(struct env *env, struct bytes *payload, const struct uplink *u)
{
    enum err err = subject_seal(env, payload, u->device.tenant, u->device.dev_eui, u->id, *payload);
    if (err == OK)
        return PASS;
    if (err == ERR_DENIED)
        return DROP_KEY;
    if (env->failed == OK)
        env->failed = err;
    return DROP_STORE;
}

static enum drop insert_uplink(struct env *env, const struct uplink *u, const struct device *d, const struct lora_frame *open,
                               i64 session_id)
{
    u8 room[MAC_RADIO_BYTES];
    struct buf   radio   = BUF(room);
    struct bytes payload = open->payload;
    bool personal  = u->device.profile->personal.n > 0;
    enum drop drop = personal ? seal_personal(env, &payload, u) : PASS;
    struct db_query *q;
    if (drop != PASS)
        return drop;
    q = env_query(env, "INSERT INTO uplink (tenant, id, dev_eui, session, fcnt, prev, received_us, flags, fopts, payload, "
                       "radio, sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
    if (!q)
        return DROP_STORE;
    radio_write(&radio, &u->radio);
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, u->id);
    db_bind_i64(q, 3, (i64)d->dev_eui);
    db_bind_i64(q, 4, session_id);
    db_bind_i64(q, 5, u->fcnt);
    db_bind_i64(q, 6, d->last_uplink);
    db_bind_i64(q, 7, u->received.us);
    db_bind_i64(q, 8, (u->fport + 1) | (u->confirmed ? UPLINK_CONFIRMED : 0) |
                          ((open->fctrl & FCTRL_ADR) ? UPLINK_ADR : 0) | (personal ? UPLINK_PERSONAL : 0) |
                          (u->late ? UPLINK_LATE : 0) | (u->behind ? UPLINK_BEHIND : 0));
    db_bind_bytes(q, 9, open->fopts);
    db_bind_bytes(q, 10, payload);
    db_bind_bytes(q, 11, buf_bytes(&radio));
    db_bind_sum(q, 12, "uplink");
    return env_run(env, q) == OK ? PASS : DROP_STORE;
}

/* What the device says and asks in MAC commands. Unknown ones end the list: their length is not known. */
static void hear_commands(struct env *env, struct window *w, u32 device, u32 session, struct bytes commands, int up_dr, bool adr)
{
    bool owed = talk_hear(env, session, up_dr, adr, commands);
    if (w)
        w->owed = owed;
    struct cur c = cur_of(commands);
    struct lora_command command;
    while (lora_command_next(&command, &c, LORA_UP)) {
        struct lora_dev_status_ans status;
        if (command.kind->cid == CID_LINK_CHECK && w)
            w->link_check = true;
        else if (command.kind->cid == CID_DEVICE_TIME && w)
            w->device_time = true;
        else if (command.kind->cid == CID_REKEY && w)
            w->rekey = env->mac->sessions[session].v1_1;
        else if (lora_dev_status_ans_parse(&status, &command) && status.battery <= 254) {
            touch_device(env, device);
            env->mac->devices[device].battery_pct = (i8)(status.battery * 100 / 254);
        }
    }
}

static void accept_counters(struct env *env, const struct found *hit, i64 id)
{
    struct session *s = &env->mac->sessions[hit->session];
    struct device *d  = &env->mac->devices[s->device];
    touch_device(env, s->device);
    touch_session(env, hit->session);
    if (d->session[0] != hit->session)
        (void)session_promote(env, s->device, hit->session);
    assert((s->fcnt_up < (i64)hit->fcnt) == (hit->says == REPLAY_AHEAD));
    s->fcnt_up     = MAX(s->fcnt_up, (i64)hit->fcnt);
    d->last_uplink = id;
    late_note(env, hit->session, hit->fcnt);
    mark_dirty(env, s->device);
}

/* Two gateways may have kept the same frame: a late one has its copies too. */
static struct window *open_window(struct env *env, const struct found *hit, const struct lora_frame *f,
                                  const struct frame *frame, const struct uplink *u)
{
    struct window *w = window_open(env, u->late ? WINDOW_LATE : WINDOW_UPLINK, frame, f->mic, env->mac->set.window_us);
    if (!w) {
        env->dropped[DROP_NO_ROOM]++;                 /* the uplink stands; its copies and its answer do not */
        return NULL;
    }
    w->id          = u->id;
    w->device      = env->mac->sessions[hit->session].device;
    w->session     = hit->session;
    w->fcnt        = hit->fcnt;
    w->confirmed   = lora_mtype_is_confirmed(f->mtype);
    w->adr         = f->fctrl & FCTRL_ADR;
    w->adr_ack_req = f->fctrl & FCTRL_ADR_ACK_REQ;
    return w;
}

/* A late frame's own time is its gateway's, where that can be: after the join, before now. */
static struct wall own_time(const struct session *s, const struct frame *frame)
{
    i64 at_us = frame->radio.gateway_us;
    return at_us > s->id && at_us < frame->received.us ? (struct wall){ at_us } : frame->received;
}

static enum drop accept(struct env *env, struct uplink *out, const struct found *hit, const struct lora_frame *f,
                        const struct frame *frame)
{
    const struct session *s = &env->mac->sessions[hit->session];
    u32  device = s->device;
    i64  session_id = s->id;
    bool behind = hit->says == REPLAY_NEW, late = behind || is_kept(s, frame);
    u8  *room = arena_take(&env->event, LORA_AIR_MAX, 1);
    struct lora_frame open;
    lora_frame_open(&open, room, f, &hit->keys, hit->fcnt);
    *out = (struct uplink){ .id        = env_next_id(env),
                            .device    = device_ref(env, device),
                            .fcnt      = hit->fcnt,
                            .fport     = f->fport,
                            .confirmed = lora_mtype_is_confirmed(f->mtype),
                            .late      = late,
                            .behind    = behind,
                            .payload   = f->fport > 0 ? open.payload : (struct bytes){ room, 0 },
                            .received  = late ? own_time(s, frame) : frame->received,
                            .radio     = frame->radio };
    enum drop drop = insert_uplink(env, out, &env->mac->devices[device], &open, session_id);
    if (drop != PASS)
        return drop;
    accept_counters(env, hit, out->id);
    struct window *w = open_window(env, hit, f, frame, out);
    env->counted[COUNT_UPLINKS]++;
    if (late)
        return PASS;
    queue_settle_ack(env, hit->session, f);
    hear_commands(env, w, device, hit->session, f->fport == FPORT_MAC ? open.payload : open.fopts,
                  uplink_dr(out->device.profile->region, &frame->radio), f->fctrl & FCTRL_ADR);
    return PASS;
}

enum drop mac_uplink(struct env *env, struct uplink *out, const struct frame *frame)
{
    struct lora_frame f;
    struct found hit;
    enum drop drop = shape(&f, frame->phy);
    if (drop != PASS)
        return drop;
    struct window *w = window_of_copy(env->mac, frame->phy, f.mic);
    if (w && !is_sent_again(w, &frame->radio)) {
        env->counted[COUNT_COPIES]++;
        if (w->open)
            window_add(w, frame);
        else
            window_late(env, w, &frame->radio);
        return DROP_COPY;
    }
    drop = find_session(env, &hit, &f, frame);
    if (drop == PASS)
        drop = accept(env, out, &hit, &f, frame);
    if (drop == PASS || drop == DROP_STORE)
        return drop;
    if (drop == DROP_REPEATED)
        answer_again(env, &hit, &f, frame);
    refuse(env, drop, &hit, &f, frame);
    return drop;
}
