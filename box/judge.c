// SPDX-License-Identifier: Apache-2.0
/*
 * The observer. It is never killed and keeps the only truth. A frame is known from the moment it is
 * launched: which device, which session, which counter, what stands in it; so that nothing of what
 * the daemon says is believed. What is checked at each event:
 *
 *     a datagram comes  it is acknowledged at once, or the disk says why not (R13, R16)
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
#define PULL_DATA 2
#define PULL_RESP 3
#define TX_ACK    5
#define HEAD      12
#define TRACKER_PLACE 8                 /* latitude and longitude in a tracker's payload */
#define AT_ONCE_US (50 * US_PER_MS)     /* beside what the disk takes */
#define BEGINS_US  (40 * US_PER_S)      /* of a life, until readers must have what is stored */
#define RECOVERS_US (5 * US_PER_S)      /* R13: so long after there is room again */
#define ROOM_AGAIN ((i64)256 << 20)     /* a disk that was full is called so until there is plenty */
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

static bool is_near(struct place p, i64 lat_e7, i64 lon_e7)
{
    i64 lat = (i64)(p.lat * 1e7) - lat_e7, lon = (i64)(p.lon * 1e7) - lon_e7;
    return lat > -20 && lat < 20 && lon > -20 && lon < 20;
}

/* A child that stands at the school's own mast: that place is printed on the mast, and says nothing of the child. */
static bool is_public_place(i64 lat_e7, i64 lon_e7)
{
    const struct sim *s = &the_judge->box->sim;
    for (u32 i = 0; i < s->gateways_n; i++)
        if (is_near(s->gateways[i].at, lat_e7, lon_e7))
            return true;
    for (u32 i = 0; i < s->devices_n; i++)
        if (s->devices[i].kind != KIND_TRACKER && is_near(s->devices[i].at, lat_e7, lon_e7))
            return true;
    return false;
}

/* Where a child is: nobody may find these bytes or figures anywhere. */
static void note_place(struct said *s, struct bytes payload)
{
    struct judge *j = the_judge;
    if (payload.n < TRACKER_PLACE)
        return;
    s->place = get_u64be(payload.p);
    if (map_get(&j->places, s->place) != MAP_NONE || is_public_place((i32)get_u32be(payload.p), (i32)get_u32be(payload.p + 4)))
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

struct moment moment_now(void)
{
    const struct box *b = the_judge->box;
    return (struct moment){ b->now, b->waited_us };
}

static void note_heard(u32 gateway, u32 said, const struct json *rxpk)
{
    struct listener *l = listener_of(gateway);
    u64 tmst;
    double mhz;
    struct str datr = json_str(json_get(rxpk, S("datr")), &the_judge->scratch);
    if (!json_u64(&tmst, json_get(rxpk, S("tmst"))) || !json_double(&mhz, json_get(rxpk, S("freq"))) || datr.n < 4)
        return;
    u8 sf = datr.p[2] == '1' ? (u8)(10 + datr.p[3] - '0') : (u8)(datr.p[2] - '0');
    l->heard[l->heard_n++ % HEARD] = (struct catch){ .said = said, .tmst = (u32)tmst, .hz = (u32)(mhz * 1e6 + 0.5), .sf = sf,
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

/* The frames of a datagram; none of a device's: an entry all the same, for its token. */
static void take_push(u32 gateway, struct bytes datagram)
{
    struct judge *j = the_judge;
    struct listener *l = listener_of(gateway);
    const struct json *doc;
    u16 token = get_u16be(datagram.p + 1);
    u64 hash  = hash_bytes(datagram);
    bool again = false, doubtful = mark_doubtful(l, token, hash, &again);
    if (again)
        return;                                            /* some networks deliver twice */
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
}

/* ------------------------------------------------------------------ does it answer? */

static void watch_life(void)
{
    struct judge *j = the_judge;
    if (j->life == j->box->life)
        return;
    j->life       = j->box->life;
    j->life_began = j->box->now;
    j->first_ack  = false;
}

bool is_full_since(struct mono at)
{
    return the_judge->full_at.us && !mono_before(the_judge->full_at, at);
}

static void watch_disk(void)
{
    struct judge *j = the_judge;
    u64 refused = disk_counts().refused_full;
    if (refused != j->refused_full || disk_used_bytes() + ROOM_AGAIN > disk_faults()->room_bytes)
        j->full_at = j->box->now;
    j->refused_full = refused;
}

/* It came, its daemon lives, and it was not acknowledged: the disk had no room, or has failed. */
static void check_due(const struct due *e)
{
    struct judge *j = the_judge;
    const struct box *b = j->box;
    if (e->acked || e->life != b->life || !b->alive || b->dead || disk_counts().failed != e->failed ||
        disk_counts().refused_full != e->refused || is_full_since(mono_after(e->came.at, -RECOVERS_US)))
        return;
    bool after = j->full_at.us && mono_since(e->came.at, j->full_at) < 60 * US_PER_S;
    box_broken(after ? "R13" : "R16", "a datagram of gateway %u is not acknowledged %lld ms after it came%s", e->gateway,
               (long long)(mono_since(b->now, e->came.at) / 1000), after ? ", although there is room again" : "");
}

static void watch_answers(void)
{
    struct judge *j = the_judge;
    const struct box *b = j->box;
    watch_disk();
    for (; j->due_first < j->due.n; j->due_first++) {
        const struct due *e = &j->due.p[j->due_first];
        if (!e->acked && mono_since(b->now, e->came.at) < AT_ONCE_US + b->waited_us - e->came.waited_us)
            break;
        check_due(e);
    }
    if (j->due_first == j->due.n)
        j->due_first = j->due.n = 0;
}

static void answered(u32 gateway, u16 token, bool frames)
{
    struct judge *j = the_judge;
    for (u32 i = j->due_first; i < j->due.n; i++)
        if (j->due.p[i].gateway == gateway && j->due.p[i].token == token)
            j->due.p[i].acked = true;
    if (frames && !j->first_ack)                          /* what carries no frame asks nothing of the store */
        j->first_ack_us_max = MAX(j->first_ack_us_max, mono_since(j->box->now, j->life_began));
    j->first_ack = j->first_ack || frames;
}

void judge_up(u32 gateway, bool pull, struct bytes datagram)
{
    struct judge *j = the_judge;
    struct arena mark = j->scratch;
    watch_life();
    if (datagram.n < HEAD)
        return;
    if (!pull && datagram.p[3] == PUSH_DATA)
        take_push(gateway, datagram);
    if (pull && datagram.p[3] == TX_ACK && datagram.n > HEAD)
        down_refused(gateway, get_u16be(datagram.p + 1), str_of((struct bytes){ datagram.p + HEAD, datagram.n - HEAD }));
    j->scratch = mark;
}

/* The frames of a datagram are with the daemon: by that gateway, then. */
static void came(u32 gateway, u32 said)
{
    struct judge *j = the_judge;
    const struct box *b = j->box;
    struct listener *l = listener_of(gateway);
    if (j->said.p[said].came_life == 0)
        j->said.p[said].came_life = b->life;
    for (u32 i = 0; i < MIN(l->heard_n, (u32)HEARD); i++) {
        struct catch *h = &l->heard[(l->heard_n - 1 - i) % HEARD];
        if (h->said != said || h->came_life)
            continue;
        h->came_life = b->life;
        h->came      = moment_now();
        h->age_us    = (u32)(sim_gateway_tmst(&b->sim.gateways[gateway], b->sim.started, b->now) - h->tmst);
        return;
    }
}

static void push_came(u32 gateway, u16 token, u64 hash)
{
    struct judge *j = the_judge;
    struct listener *l = listener_of(gateway);
    struct due *e = list_add(&j->due);
    *e = (struct due){ .came = moment_now(), .refused = disk_counts().refused_full, .failed = disk_counts().failed,
                       .gateway = gateway, .life = j->box->life, .token = token };
    for (u32 i = 0; i < MIN(l->push_n, (u32)PUSHES); i++) {
        u32 at = (l->push_n - 1 - i) % PUSHES;
        if (l->token[at] != token || l->push[at].hash != hash)
            continue;
        for (u32 k = 0; k < l->push[at].n; k++)
            came(gateway, l->push[at].said[k]);
        return;
    }
}

static void pull_came(struct listener *l)
{
    const struct box *b = the_judge->box;
    if (l->pull_life != b->life || mono_since(b->now, l->pull_at) >= PATH_US)
        l->opened_at = b->now;
    l->pull_at   = b->now;
    l->pull_life = b->life;
}

void judge_arrived(u32 gateway, struct bytes datagram)
{
    struct judge *j = the_judge;
    struct arena mark = j->scratch;
    watch_life();
    if (datagram.n < HEAD)
        return;
    u16 token = get_u16be(datagram.p + 1);
    if (datagram.p[3] == PUSH_DATA)
        push_came(gateway, token, hash_bytes(datagram));
    if (datagram.p[3] == PULL_DATA)
        pull_came(listener_of(gateway));
    if (datagram.p[3] == TX_ACK && datagram.n > HEAD)
        down_moves(gateway, token, str_of((struct bytes){ datagram.p + HEAD, datagram.n - HEAD }));
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

static void promised(u32 index)
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
        down_owed(index);
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
            promised(l->push[i].said[k]);
    }
    answered(gateway, token, frames > 0);
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
    if (b->alive && !b->dead && mono_since(b->now, j->life_began) > BEGINS_US)
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
