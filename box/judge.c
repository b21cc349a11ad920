// SPDX-License-Identifier: Apache-2.0
/*
 * The observer. It is never killed and keeps the only truth. A frame is known from the moment it is
 * launched: which device, which session, which counter, what stands in it; so that nothing of what
 * the daemon says is believed. What is checked at each event:
 *
 *     PUSH_ACK leaves   every acceptable frame of that datagram stands in the store, for a reader (R1)
 *     PULL_RESP leaves  counter, reservation, rows, window, power, airtime (R4, R5; judge_down.c)
 *     an event comes    it is stored, it is the next one, an id is one frame for ever (R1, R7)
 *     a life ends       every row ever seen is there, and as it was (R1, R2, R3)
 *
 * A frame may be refused for good reasons: its counter is not new any more, its session has ended
 * with the first frame of a newer one. Those excuses are decided here, from what is stored.
 */
#include "box/judge.h"

#include "wire/json.h"

#define PUSH_DATA 0
#define PUSH_ACK  1
#define PULL_RESP 3
#define TX_ACK    5
#define HEAD      12
#define TRACKER_PLACE 8                 /* latitude and longitude in a tracker's payload */
#define SILENCE_US (20 * US_PER_S)      /* so long nobody waits for an acknowledgement (R13, R16) … */
#define SOME       12                    /* … of so many datagrams: a few have reasons of their own */
#define ROOM_AGAIN ((i64)256 << 20)     /* a disk that was full is called so until there is plenty */
#define QUICK_US   (300 * US_PER_MS)
#define LOOK_US    (250 * US_PER_MS)

static struct judge *the_judge;         /* one process holds one box, and a box one judge */

struct judge *judge_here(void)
{
    return the_judge;
}

/* ------------------------------------------------------------------ lists */

void *judge_grow(void **p, u32 *n, u32 *room, size_t size)
{
    if (*n == *room) {
        u32 more = *room ? *room * 2 : 64;
        *p    = boot_grow(*p, *room * size, more * size);
        *room = more;
    }
    return (u8 *)*p + (size_t)(*n)++ * size;
}

struct speaker *speaker_of(u32 device)
{
    struct judge *j = the_judge;
    while (j->speakers.n <= device) {
        const struct device *d = &j->box->sim.devices[j->speakers.n];
        map_put(&j->by_eui, d->kept.dev_eui, j->speakers.n);
        if (d->kind == KIND_TRACKER)
            map_put(&j->trackers, d->kept.dev_eui, j->speakers.n);
        struct speaker *s = list_add(&j->speakers);
        *s = (struct speaker){ .talk = NOBODY, .newest_stored = NOBODY, .join_nonce = -1 };
    }
    return &j->speakers.p[device];
}

struct listener *listener_of(u32 gateway)
{
    struct judge *j = the_judge;
    while (j->listeners.n <= gateway)
        (void)list_add(&j->listeners);
    return &j->listeners.p[gateway];
}

struct str judge_who(u32 device)
{
    const struct device *d = &the_judge->box->sim.devices[device];
    return str_fmt(&the_judge->scratch, "%016llx", (unsigned long long)d->kept.dev_eui);
}

struct str judge_what(const struct said *s)
{
    if (s->talk == NOBODY)
        return str_fmt(&the_judge->scratch, "%.*s join-request with DevNonce %u", STR(judge_who(s->device)), s->fcnt);
    return str_fmt(&the_judge->scratch, "%.*s DevAddr %08x FCntUp %u", STR(judge_who(s->device)),
                   the_judge->talks.p[s->talk].devaddr, s->fcnt);
}

u64 counter_key(u32 talk, u32 fcnt)
{
    return (u64)talk << 32 | fcnt;
}

u64 plain_hash(u32 flags, struct bytes fopts, struct bytes payload)
{
    return hash_u64(hash_bytes(payload) ^ hash_u64(hash_bytes(fopts) ^ hash_u64(flags)));
}

/* ------------------------------------------------------------------ a device speaks */

static u32 talk_of(const struct device *d)
{
    struct judge *j = the_judge;
    struct speaker *s = speaker_of(d->index);
    const struct kept *k = &d->kept;
    if (s->talk != NOBODY) {
        const struct talk *t = &j->talks.p[s->talk];
        if (t->devaddr == k->devaddr && memcmp(t->nwk_s_key, k->nwk_s_key, 16) == 0)
            return s->talk;
    }
    struct talk *t = list_add(&j->talks);
    *t = (struct talk){ .device = d->index, .devaddr = k->devaddr, .stored_most = -1, .down_most = -1, .down_before = -1 };
    memcpy(t->nwk_s_key, k->nwk_s_key, 16);
    memcpy(t->app_s_key, k->app_s_key, 16);
    s->talk = j->talks.n - 1;
    map_put(&j->by_devaddr, t->devaddr, s->talk);
    return s->talk;
}

static struct listens listens_of(const struct device *d, bool joins)
{
    const struct kept *k = &d->kept;
    return (struct listens){ .rx2_hz     = k->rx2_hz,
                             .delay_s    = joins ? LORA_JOIN_RX1_DELAY_S : k->rx1_delay_s,
                             .rx1_offset = joins ? 0 : k->rx1_dr_offset,
                             .rx2_dr     = k->rx2_dr,
                             .dwell      = k->dwell_down };
}

/* Where a child is: nobody may find these bytes or figures anywhere. */
static void note_place(struct said *s, struct bytes payload)
{
    struct judge *j = the_judge;
    if (payload.n < TRACKER_PLACE)
        return;
    s->place = get_u64be(payload.p);
    if (map_get(&j->places, s->place) != MAP_NONE)
        return;
    map_put(&j->places, s->place, 0);
    for (u32 i = 0; i < 2; i++) {                          /* as written with seven decimals, and with six */
        i64 e7 = (i32)get_u32be(payload.p + 4 * i), e6 = (e7 + 5) / 10 * 10;
        map_put(&j->degrees, (u64)e7, 2 * j->fixes + i);
        if (e6 != e7)
            map_put(&j->degrees, (u64)e6, 2 * j->fixes + i);
    }
    j->fixes++;
}

static void note_data(struct said *s, const struct device *d, struct bytes phy)
{
    struct judge *j = the_judge;
    struct lora_frame air, plain;
    u8 room[LORA_AIR_MAX];
    bool personal = d->kind == KIND_TRACKER;
    struct lora_session keys = { false, &d->nwk_s_key, &d->nwk_s_key, &d->nwk_s_key, &d->app_s_key };
    s->talk = talk_of(d);
    s->fcnt = d->kept.fcnt_up - 1;
    if (lora_frame_parse(&air, phy) != LORA_OK || air.fcnt_low != (u16)s->fcnt || air.devaddr != d->kept.devaddr)
        die("the judge does not understand what device %u sends", d->index);
    lora_frame_open(&plain, room, &air, &keys, s->fcnt);
    u32 flags = (u32)(plain.fport + 1) | (lora_mtype_is_confirmed(air.mtype) ? 1u << 9 : 0) |
                (air.fctrl & FCTRL_ADR ? 1u << 10 : 0) | (personal ? 1u << 11 : 0);
    s->plain = plain_hash(flags, plain.fopts, personal ? (struct bytes){ room, 0 } : plain.payload);
    if (personal && plain.fport > 0)
        note_place(s, plain.payload);
    u32 before = map_get(&j->by_counter, counter_key(s->talk, s->fcnt));
    if (before != MAP_NONE)
        s->doubled = j->said.p[before].doubled = true;
    else
        map_put(&j->by_counter, counter_key(s->talk, s->fcnt), (u32)(s - j->said.p));
}

void judge_launched(void *box, const struct flight *f)
{
    struct judge *j = the_judge;
    struct bytes phy = { f->phy, f->n };
    (void)box;
    if (!f->up)
        return;
    const struct device *d = &j->box->sim.devices[f->who];
    bool joins = phy.p[0] >> 5 == MTYPE_JOIN_REQUEST;
    u64 hash = hash_bytes(phy);
    u32 known = map_get(&j->by_phy, hash);
    if (known == MAP_NONE) {
        struct said *s = list_add(&j->said);
        known = j->said.n - 1;
        *s = (struct said){ .frame = bytes_copy(&j->box->boot, phy), .phy = hash, .device = f->who, .talk = NOBODY, .fcnt = d->kept.dev_nonce };
        map_put(&j->by_phy, hash, known);
        (void)speaker_of(f->who);
        if (!joins)
            note_data(s, d, phy);
    }
    j->said.p[known].ended   = f->end;
    j->said.p[known].listens = listens_of(d, joins);
}

u32 judge_frames(void)
{
    return the_judge->said.n;
}

struct bytes judge_frame(u32 number)
{
    return the_judge->said.p[number].frame;
}

/* ------------------------------------------------------------------ a gateway speaks */

bool way_is_sound(u32 gateway)
{
    const struct path *p = net_path(gateway);
    return p->loss < 0.01 && p->delay_us + p->jitter_us < 300 * US_PER_MS && !mono_before(the_judge->box->now, p->cut_until);
}

static void note_heard(u32 gateway, u32 said, const struct json *rxpk)
{
    const struct box *b = the_judge->box;
    struct listener *l = listener_of(gateway);
    u64 tmst;
    double mhz;
    struct str datr = json_str(json_get(rxpk, S("datr")), &the_judge->scratch);
    if (!json_u64(&tmst, json_get(rxpk, S("tmst"))) || !json_double(&mhz, json_get(rxpk, S("freq"))) || datr.n < 4)
        return;
    u8 sf = datr.p[2] == '1' ? (u8)(10 + datr.p[3] - '0') : (u8)(datr.p[2] - '0');
    u32 age_us = sim_gateway_tmst(&b->sim.gateways[gateway], b->sim.started, b->now) - (u32)tmst;
    l->heard[l->heard_n++ % HEARD] = (struct catch){ .said = said, .tmst = (u32)tmst, .hz = (u32)(mhz * 1e6 + 0.5), .sf = sf,
                                                     .quick = age_us < QUICK_US && way_is_sound(gateway),
                                                     .listens = the_judge->said.p[said].listens };
}

static struct push *push_new(struct listener *l, u64 hash, u16 token, bool doubtful)
{
    u32 at = l->push_n++ % PUSHES;
    l->token[at] = token;
    l->push[at]  = (struct push){ .hash = hash, .doubtful = doubtful };
    return &l->push[at];
}

/* A token that another datagram of this gateway carries: an acknowledgement would name both. */
static bool mark_doubtful(struct listener *l, u16 token, u64 hash, bool *again)
{
    bool doubtful = false;
    for (u32 i = 0; i < MIN(l->push_n, (u32)PUSHES); i++) {
        if (l->token[i] != token)
            continue;
        if (l->push[i].hash == hash) {
            *again = true;
            return false;
        }
        l->push[i].doubtful = doubtful = true;
    }
    return doubtful;
}

/* The frames of a datagram; none of a device's: an entry all the same, for its token, and false. */
static bool take_push(u32 gateway, struct bytes datagram)
{
    struct judge *j = the_judge;
    struct listener *l = listener_of(gateway);
    const struct json *doc;
    u16 token = get_u16be(datagram.p + 1);
    u64 hash  = hash_bytes(datagram);
    bool again = false, doubtful = mark_doubtful(l, token, hash, &again);
    if (again)
        return false;                                      /* some networks deliver twice */
    struct push *p = push_new(l, hash, token, doubtful);
    if (json_read(&doc, str_of((struct bytes){ datagram.p + HEAD, datagram.n - HEAD }), &j->scratch, JSON_LENIENT, NULL) != OK)
        die("the judge does not understand what a gateway sends");
    JSON_EACH (rxpk, json_get(doc, S("rxpk"))) {
        u8 phy[LORA_AIR_MAX];
        size_t n;
        i64 stat = 0;
        if (!json_i64(&stat, json_get(rxpk, S("stat"))) || stat != 1 ||
            !base64_read(phy, sizeof phy, &n, json_str(json_get(rxpk, S("data")), &j->scratch)))
            continue;
        u32 said = map_get(&j->by_phy, hash_bytes((struct bytes){ phy, n }));
        if (said == MAP_NONE)
            continue;                                      /* a stranger's */
        if (p->n == FRAMES_A_PUSH)
            p = push_new(l, hash, token, doubtful);
        p->said[p->n++] = said;
        note_heard(gateway, said, rxpk);
    }
    return p->n > 0;
}

/* ------------------------------------------------------------------ does it answer? */

static void begin_waiting(void)
{
    struct judge *j = the_judge;
    j->waiting = 0;
    j->mute    = false;
}

static void watch_life(void)
{
    struct judge *j = the_judge;
    if (j->life == j->box->life)
        return;
    j->life       = j->box->life;
    j->life_began = j->box->now;
    j->first_ack  = false;
    begin_waiting();
}

static void waits(u32 gateway)
{
    struct judge *j = the_judge;
    const struct box *b = j->box;
    if (!b->alive || b->dead || !listener_of(gateway)->answered || !way_is_sound(gateway))
        return;
    if (j->waiting++ == 0)
        j->waits_since = b->now;
}

/* Nothing is asked of a disk without room, and of one that is slow a little patience. */
static void watch_answers(void)
{
    struct judge *j = the_judge;
    const struct box *b = j->box;
    const struct disk_faults *f = disk_faults();
    u64 refused = disk_counts().refused_full;
    bool full = refused != j->refused_full || disk_used_bytes() + ROOM_AGAIN > f->room_bytes;
    j->refused_full = refused;
    if (full || f->sync_us > 5 * US_PER_MS || f->sync_slow > 0.01)
        j->ill_at = b->now;
    if (full || !b->alive || b->dead) {
        j->was_full = j->was_full || full;
        begin_waiting();
        return;
    }
    i64 patience = SILENCE_US + 4 * f->sync_us + (f->sync_slow > 0 ? 4 * f->sync_slow_us : 0);
    if (j->waiting < SOME || j->mute || mono_since(b->now, j->waits_since) < patience)
        return;
    j->mute = true;
    box_broken(j->was_full ? "R13" : "R16", "%u datagrams in %lld ms and no acknowledgement%s", j->waiting,
               (long long)(mono_since(b->now, j->waits_since) / 1000), j->was_full ? ", although there is room again" : "");
}

/* What carries no frame asks nothing of the store: that it is acknowledged says nothing. */
static void answered(struct listener *l, bool frames)
{
    struct judge *j = the_judge;
    l->answered = true;
    if (!frames)
        return;
    if (!j->first_ack)
        j->first_ack_us_max = MAX(j->first_ack_us_max, mono_since(j->box->now, j->life_began));
    j->first_ack = true;
    j->was_full  = false;
    begin_waiting();
}

void judge_up(u32 gateway, bool pull, struct bytes datagram)
{
    struct judge *j = the_judge;
    struct arena mark = j->scratch;
    watch_life();
    if (datagram.n < HEAD)
        return;
    if (!pull && datagram.p[3] == PUSH_DATA) {
        if (take_push(gateway, datagram))
            waits(gateway);
    }
    if (pull && datagram.p[3] == TX_ACK && datagram.n > HEAD)
        down_refused(gateway, get_u16be(datagram.p + 1), str_of((struct bytes){ datagram.p + HEAD, datagram.n - HEAD }));
    j->scratch = mark;
}

/* ------------------------------------------------------------------ what was promised */

/* Why a frame may be refused that its device truly sent, or NULL. */
static const char *excuse_of(const struct said *s)
{
    struct judge *j = the_judge;
    const struct talk *t = &j->talks.p[s->talk];
    u32 newest = speaker_of(s->device)->newest_stored;
    i64 reserved;
    u32 others_wait = 0;
    if (newest != NOBODY && newest > s->talk)
        return "a newer session has been heard";
    if (s->fcnt <= t->stored_most && t->stored_most - s->fcnt > LATE_WINDOW)
        return "a later counter is stored";
    if (s->fcnt - MAX(t->stored_most, 0) > LORA_FCNT_GAP_MAX)
        return "further ahead than MaxFCntGap";
    enum seen seen = store_session(s->device, t->devaddr, &reserved, &others_wait);
    if (seen == SEEN_BLIND)
        return "the store could not be read";
    if (seen == SEEN || t->stored_most >= 0 || others_wait < WAITING)
        return NULL;
    if (j->displaced++ < 20)
        box_log("judge: the session of %.*s gave way to another join before it was heard", STR(judge_what(s)));
    return "another join has taken the place of its session";
}

static void promised_data(struct said *s)
{
    struct judge *j = the_judge;
    if (!s->id && !store_read())
        return;                                            /* the next whole look asks again */
    if (s->id || s->doubled || s->excused)
        return;
    s->excused = excuse_of(s) != NULL;
    if (s->excused)
        return;
    i64 reserved;
    u32 others_wait = 0;
    enum seen session = store_session(s->device, j->talks.p[s->talk].devaddr, &reserved, &others_wait);
    box_broken(session == SEEN ? "R1" : "R6", "%.*s is acknowledged, and no reader finds it%s", STR(judge_what(s)),
               session == SEEN ? "" : ": its session is gone");
    s->excused = true;                                     /* told once */
}

/* An acceptable join-request is accepted, and its DevNonce is kept before anybody hears of it (R5). */
static void promised_join(struct said *s)
{
    struct judge *j = the_judge;
    if (s->excused)
        return;
    s->excused = true;
    if (mono_since(j->box->now, s->ended) > LORA_JOIN_RX1_DELAY_S * US_PER_S)
        return;                                            /* its gateway kept it: the device has tried again since */
    if (j->box->sim.devices[s->device].odd == ODD_WRONG_KEY || store_has_device(s->device) != SEEN ||
        store_has_nonce(s->device, (u16)s->fcnt) != SEEN_NOT)
        return;
    box_broken("R5", "%.*s is acknowledged, and its DevNonce is not kept", STR(judge_what(s)));
}

static void promised(u32 gateway, u32 index)
{
    struct judge *j = the_judge;
    struct said *s = &j->said.p[index];
    bool first = !s->acked;
    s->acked = true;
    if (s->talk == NOBODY)
        promised_join(s);
    else
        promised_data(s);
    s = &j->said.p[index];
    j->table.acknowledged += first && s->id != 0;
    enum lora_mtype mtype = (enum lora_mtype)(s->frame.p[0] >> 5);
    if (first && (mtype == MTYPE_JOIN_REQUEST || (mtype == MTYPE_CONFIRMED_UP && s->id)))
        down_owed(gateway, index);
}

static void take_ack(u32 gateway, u16 token)
{
    struct listener *l = listener_of(gateway);
    u32 frames = 0;
    for (u32 i = 0; i < MIN(l->push_n, (u32)PUSHES); i++) {
        if (l->token[i] != token || l->push[i].doubtful)
            continue;
        frames += l->push[i].n;
        for (u32 k = 0; k < l->push[i].n; k++)
            promised(gateway, l->push[i].said[k]);
    }
    answered(l, frames > 0);
}

void judge_down(u32 gateway, struct bytes datagram)
{
    struct judge *j = the_judge;
    struct arena mark = j->scratch;
    watch_life();
    if (datagram.n < 4)
        return;
    if (datagram.p[3] == PUSH_ACK)
        take_ack(gateway, get_u16be(datagram.p + 1));
    if (datagram.p[3] == PULL_RESP)
        down_pull_resp(gateway, get_u16be(datagram.p + 1), (struct bytes){ datagram.p + 4, datagram.n - 4 });
    j->scratch = mark;
}

/* ------------------------------------------------------------------ from time to time */

void judge_step(void)
{
    struct judge *j = the_judge;
    const struct box *b = j->box;
    if (mono_since(b->now, j->looked_at) < LOOK_US)
        return;
    j->looked_at = b->now;
    watch_life();
    watch_answers();
    down_overdue();
    j->codecs_ill = j->codecs_ill || codec_faults()->dies > 0 || codec_faults()->slow > 0 || codec_faults()->full > 0;
    if (j->whole_due && b->alive && !b->dead && mono_since(b->now, j->life_began) > US_PER_S)
        judge_whole();
    if (b->alive && !b->dead && mono_since(b->now, j->life_began) > 2 * SILENCE_US)
        seen_overdue();
}

struct judge_table judge_table(void)
{
    the_judge->table.stored = the_judge->rows.n;
    return the_judge->table;
}

void judge_begin(struct box *b)
{
    struct judge *j = the_judge = boot_take(sizeof *j);
    j->box     = b;
    j->scratch = arena_make(1 << 16);
    b->sim.emitted  = judge_emitted;
    seen_begin();
}
