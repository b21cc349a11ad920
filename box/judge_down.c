// SPDX-License-Identifier: Apache-2.0
/*
 * Downlinks, at the moment they leave the daemon. Whose it is says the frame itself: a data frame by
 * the session whose key verifies it, a join-accept by the device whose AppKey opens it. Then:
 *
 *     counter       one ciphertext for ever, above all of earlier lives, below the durable reservation
 *     rows          DevNonce, JoinNonce, session and downlink stand in the store already
 *     time          exactly the device's RX1 or RX2 after its uplink, on the clock of that gateway; and it leaves
 *                   when it should: 800 ms before, or when the gateway before it has refused
 *     radio         frequency and data rate of that window, power and airtime within the law
 *
 * And every accepted join and confirmed frame is answered, unless one of a few exact reasons stands against it,
 * each of them decided from what the judge has seen (excuse_of).
 */
#include "box/judge.h"

#include "wire/json.h"

#define NEAR_US     (20 * US_PER_S)      /* a gateway's clock further off has begun anew meanwhile */
#define EARLY_US    (800 * US_PER_MS)    /* so long before its time a downlink leaves */
#define COPIES_US   (200 * US_PER_MS)    /* so long copies of an uplink are waited for */
#define KNOWN_US    (5 * US_PER_S)       /* so long after that they are known as copies */
#define AGAIN_US    (1 * US_PER_S)       /* what was heard so much later is no copy: it was sent again */
#define TURN_US     (50 * US_PER_MS)     /* the daemon's loop, under load */
#define SAFE_US     (500 * US_PER_MS)    /* more than any way and any gateway's queue need */
#define LAST_US     (60 * US_PER_MS)     /* what could leave no sooner than that before its time stays */
#define LISTENS_US  (50 * US_PER_MS)

struct down { struct bytes phy; u64 hash; u32 gateway, tmst, hz, airtime_us; u16 token; u8 sf; double power_dbm; bool imme; };

static bool read_down(struct down *out, struct bytes body)
{
    struct judge *j = judge_here();
    const struct json *doc;
    u64 tmst = 0;
    double mhz;
    size_t n;
    u8 *room = arena_take(&j->scratch, LORA_AIR_MAX, 1);
    if (json_read(&doc, str_of(body), &j->scratch, JSON_STRICT, NULL) != OK)
        return false;
    const struct json *tx = json_get(doc, S("txpk"));
    struct str datr = json_str(json_get(tx, S("datr")), &j->scratch);
    (void)json_bool(&out->imme, json_get(tx, S("imme")));
    if ((!json_u64(&tmst, json_get(tx, S("tmst"))) && !out->imme) || !json_double(&mhz, json_get(tx, S("freq"))) ||
        !json_double(&out->power_dbm, json_get(tx, S("powe"))) || datr.n < 8 || !str_starts(datr, S("SF")) ||
        !str_ends(datr, S("BW125")) || !base64_read(room, LORA_AIR_MAX, &n, json_str(json_get(tx, S("data")), &j->scratch)))
        return false;
    out->tmst = (u32)tmst;
    out->hz   = (u32)(mhz * 1e6 + 0.5);
    out->sf   = datr.p[2] == '1' ? (u8)(10 + datr.p[3] - '0') : (u8)(datr.p[2] - '0');
    out->phy  = (struct bytes){ room, n };
    out->hash = hash_bytes(out->phy);
    out->airtime_us = lora_airtime_us(out->sf, 125000, n, false);
    return n > 0;
}

/* ------------------------------------------------------------------ whose it is */

/* The high half of the counter is where the session stands, or beside it: a counter that went back is found too. */
static bool verifies(const struct talk *t, const struct lora_frame *f, u32 *fcnt)
{
    struct lora_key nwk = { 0 };
    struct lora_session keys = { false, &nwk, &nwk, &nwk, NULL };
    i64 high = MAX(t->down_most, 0) >> 16;
    bool found = false;
    lora_key_set(&nwk, t->nwk_s_key);
    for (i64 h = MAX(high - 1, 0); h <= high + 1 && !found; h++) {
        *fcnt = (u32)(h << 16) | f->fcnt_low;
        found = lora_frame_verify(f, &keys, *fcnt, (struct lora_mic_terms){ 0 });
    }
    lora_key_clear(&nwk);
    return found;
}

static u32 talk_of_down(const struct lora_frame *f, u32 *fcnt)
{
    struct judge *j = judge_here();
    struct map_walk walk = map_walk(&j->by_devaddr, f->devaddr);
    for (u32 talk; (talk = map_next(&j->by_devaddr, &walk)) != MAP_NONE;)
        if (verifies(&j->talks.p[talk], f, fcnt))
            return talk;
    return NOBODY;
}

static bool opens(u32 device, struct bytes phy, struct lora_join_accept *a)
{
    u8 room[LORA_AIR_MAX];
    const struct lora_key *key = &judge_here()->box->sim.devices[device].app_key;
    return lora_join_accept_open(a, room, phy, key) == LORA_OK && lora_join_accept_verify(a, key, (struct lora_join_terms){ 0 });
}

/* ------------------------------------------------------------------ its window */

static bool is_of(const struct catch *h, u32 device, bool join)
{
    const struct said *s = &judge_here()->said.p[h->said];
    return s->device == device && (s->talk == NOBODY) == join;
}

static int window_of(const struct catch *h, const struct down *d)
{
    u32 after = d->tmst - h->tmst, rx1 = h->listens.delay_s * (u32)US_PER_S;
    return after == rx1 ? 1 : after == rx1 + LORA_RX2_AFTER_RX1_S * (u32)US_PER_S ? 2 : 0;
}

/* The uplink that it answers, as that gateway heard it; *nearest when there is none: another of that device. */
static const struct catch *answered_by(const struct down *d, u32 device, bool join, const struct catch **nearest)
{
    const struct listener *l = listener_of(d->gateway);
    for (u32 i = 0; i < MIN(l->heard_n, (u32)HEARD); i++) {
        const struct catch *h = &l->heard[(l->heard_n - 1 - i) % HEARD];
        if (!is_of(h, device, join))
            continue;
        if (window_of(h, d))
            return h;
        if (!*nearest)
            *nearest = h;
    }
    return NULL;
}

static void check_radio(const struct down *d, const struct catch *h, int window)
{
    struct judge *j = judge_here();
    const struct lora_region *r = sim_region();
    const struct lora_plan *plan = lora_plan_by_name(j->box->settings.text[SET_plan]);
    struct str what = judge_what(&j->said.p[h->said]);
    int dr = window == 1 ? lora_rx1_dr(r, lora_dr_find(r, LORA_UP, h->sf, 125000), h->listens.rx1_offset, h->listens.dwell)
                         : h->listens.rx2_dr;
    u32 hz = window == 1 ? h->hz : h->listens.rx2_hz;
    if (dr < 0 || d->hz != hz || r->dr[dr].sf != d->sf)
        box_broken("window", "the answer to %.*s leaves on %u Hz SF%u; in RX%d its device listens on %u Hz SF%u", STR(what), d->hz,
                   (unsigned)d->sf, window, hz, dr < 0 ? 0u : (unsigned)r->dr[dr].sf);
    if (plan && d->power_dbm > plan->eirp_dbm_max)
        box_broken("window", "the answer to %.*s leaves with %.1f dBm, the law allows %d", STR(what), d->power_dbm, plan->eirp_dbm_max);
    u32 most_ms = h->listens.dwell ? r->dwell_ms_max : plan ? lora_plan_send_ms_max(plan, d->hz) : 0;
    if (most_ms && d->airtime_us > most_ms * 1000)
        box_broken("dwell", "the answer to %.*s takes %u us of the air, %u ms are allowed", STR(what), d->airtime_us, most_ms);
}

static i64 apart_us(const struct catch *a, const struct catch *b)
{
    i64 apart = mono_since(mono_after(a->came.at, -a->age_us), mono_after(b->came.at, -b->age_us));
    return apart < 0 ? -apart : apart;
}

/* When that sending first came to the daemon, by whichever gateway. */
static struct moment first_came(const struct catch *h)
{
    const struct box *b = judge_here()->box;
    struct moment first = h->came;
    for (u32 g = 0; g < b->sim.gateways_n; g++) {
        const struct listener *l = listener_of(g);
        for (u32 i = 0; i < MIN(l->heard_n, (u32)HEARD); i++) {
            const struct catch *c = &l->heard[(l->heard_n - 1 - i) % HEARD];
            if (c->said == h->said && c->came_life == h->came_life && mono_before(c->came.at, first.at) &&
                mono_since(h->came.at, c->came.at) < COPIES_US + KNOWN_US && apart_us(c, h) < AGAIN_US)
                first = c->came;
        }
    }
    return first;
}

/* That gateway told an earlier sending of the same frame before: to the daemon this one is the device's next try, of now,
 * whatever another gateway told of it meanwhile. Without a clock of its own nobody knows that it was kept. */
static bool told_before(u32 gateway, const struct catch *h)
{
    const struct listener *l = listener_of(gateway);
    for (u32 i = 0; i < MIN(l->heard_n, (u32)HEARD); i++) {
        const struct catch *c = &l->heard[(l->heard_n - 1 - i) % HEARD];
        if (c != h && c->said == h->said && c->came_life == h->came_life && mono_before(c->came.at, h->came.at))
            return true;
    }
    return false;
}

/* The last gateway before it that refused this downlink. */
static const struct moved *moved_of(const struct down *d)
{
    const struct judge *j = judge_here();
    for (u32 i = 0; i < MIN(j->moved_n, (u32)COUNT(j->moved)); i++) {
        const struct moved *m = &j->moved[(j->moved_n - 1 - i) % COUNT(j->moved)];
        if (m->hash == d->hash)
            return m;
    }
    return NULL;
}

/* It leaves when it should. What the daemon cannot know it has not to answer for: how long a datagram was under way;
 * so it may come too late all the same, and its gateway says so. */
static void check_in_time(const struct down *d, const struct catch *h, int window)
{
    struct judge *j = judge_here();
    const struct box *b = j->box;
    const struct gateway *g = &b->sim.gateways[d->gateway];
    i32 ahead = (i32)(d->tmst - sim_gateway_tmst(g, b->sim.started, b->now));
    i64 needs = net_path(d->gateway)->delay_us + g->backhaul_us + JIT_LEAD_US;
    j->table.late_downlinks += ahead < needs && ahead > -NEAR_US;
    if (h->came_life != b->life)
        return;
    struct moment heard = told_before(d->gateway, h) ? h->came : first_came(h);
    struct mono its_time = mono_after(heard.at, (h->listens.delay_s + (window == 2)) * US_PER_S);
    struct mono due = mono_after(its_time, -EARLY_US), closed = mono_after(heard.at, COPIES_US);
    const struct moved *m = moved_of(d);
    i64 waited = b->waited_us - heard.waited_us;
    if (mono_before(due, closed))
        due = closed;
    if (m && mono_before(due, m->at.at))
        due = m->at.at;
    i64 late = mono_since(b->now, due) - waited;
    bool soon = mono_since(its_time, b->now) < SAFE_US;        /* else it is in time wherever its gateway stands */
    if (is_full_since(heard.at))
        return;                                                /* it may have been refused, and have come again */
    if (late > TURN_US && soon)
        box_broken("window", "the answer to %.*s leaves %lld ms after it could, %lld ms before its time", STR(judge_what(&j->said.p[h->said])),
                   (long long)(late / 1000), (long long)(ahead / 1000));
    if (mono_since(its_time, b->now) + waited < LAST_US - TURN_US)
        box_broken("window", "the answer to %.*s leaves %lld ms before its time", STR(judge_what(&j->said.p[h->said])), (long long)(ahead / 1000));
}

/* For the record: what one gateway was asked to send at the same time. */
static void note_asked(const struct down *d)
{
    struct listener *l = listener_of(d->gateway);
    for (u32 i = 0; i < MIN(l->asked_n, (u32)ASKS); i++) {
        const struct asked *a = &l->asked[i];
        i32 apart = (i32)(d->tmst - a->tmst);
        bool over = apart >= 0 ? (u32)apart < a->airtime_us : (u32)-apart < d->airtime_us;
        judge_here()->overlaps += over && !a->refused && a->hash != d->hash;
    }
    l->asked[l->asked_n++ % ASKS] = (struct asked){ d->hash, d->tmst, d->airtime_us, d->token, false };
}

/* The uplink that it answers, or NULL. */
static const struct catch *check_window(const struct down *d, u32 device, bool join)
{
    const struct catch *nearest = NULL, *h = answered_by(d, device, join, &nearest);
    if (d->imme)
        box_broken("window", "a downlink for %.*s leaves at once, not in a window", STR(judge_who(device)));
    else if (!h && !nearest)
        box_broken("window", "gateway %u shall send to %.*s, and did not hear it", d->gateway, STR(judge_who(device)));
    else if (!h)
        box_broken("window", "gateway %u shall answer %.*s %u us after it, RX1 is %u s after it", d->gateway,
                   STR(judge_what(&judge_here()->said.p[nearest->said])), d->tmst - nearest->tmst, (unsigned)nearest->listens.delay_s);
    if (!h || d->imme)
        return NULL;
    judge_here()->said.p[h->said].answered = true;
    check_radio(d, h, window_of(h, d));
    check_in_time(d, h, window_of(h, d));
    return h;
}

/* ------------------------------------------------------------------ data: counters */

static void check_reserved(u32 talk, u32 fcnt)
{
    struct judge *j = judge_here();
    const struct talk *t = &j->talks.p[talk];
    i64 reserved = 0;
    u32 others_wait = 0;
    if (store_session(t->device, t->devaddr, &reserved, &others_wait) == SEEN && fcnt >= reserved)
        box_broken("R4", "%.*s DevAddr %08x: FCntDown %u leaves, and only %lld are reserved on the disk", STR(judge_who(t->device)),
                   t->devaddr, fcnt, (long long)reserved);
}

/* As many rows carry this counter as sessions of this device have used it. */
static void check_row(u32 talk, u32 fcnt)
{
    struct judge *j = judge_here();
    u32 device = j->talks.p[talk].device;
    u64 key    = counter_key(device, fcnt);
    u32 before = map_get(&j->fcnts, key), used = before == MAP_NONE ? 1 : before + 1;
    if (before != MAP_NONE)
        (void)map_remove(&j->fcnts, key, before);
    map_put(&j->fcnts, key, used);
    i64 rows = store_count_downlinks(device, fcnt);
    if (rows >= 0 && rows < used)
        box_broken("intents", "%.*s: a downlink with FCntDown %u leaves, and its row is not in the store", STR(judge_who(device)), fcnt);
}

static void note_counter(u32 talk, u32 fcnt, u64 hash)
{
    struct judge *j = judge_here();
    struct talk *t = &j->talks.p[talk];
    if (t->down_life != j->box->life) {
        t->down_life   = j->box->life;
        t->down_before = t->down_most;
    }
    if (fcnt <= t->down_before)
        box_broken("R4", "%.*s DevAddr %08x: FCntDown %u in life %u, and %lld in one before", STR(judge_who(t->device)), t->devaddr,
                   fcnt, j->box->life, (long long)t->down_before);
    t->down_most = MAX(t->down_most, (i64)fcnt);
    struct sent *s = list_add(&j->sent);
    *s = (struct sent){ hash, j->box->life, t->device };
    map_put(&j->by_down_counter, counter_key(talk, fcnt), j->sent.n - 1);
    map_put(&j->by_down_phy, hash, t->device);
    j->table.downlinks++;
}

static void take_data(const struct down *d)
{
    struct judge *j = judge_here();
    struct lora_frame f;
    u32 fcnt = 0, talk = lora_frame_parse(&f, d->phy) == LORA_OK ? talk_of_down(&f, &fcnt) : NOBODY;
    if (talk == NOBODY) {
        box_broken("R4", "gateway %u shall send a frame that no session of any device verifies", d->gateway);
        return;
    }
    u32 known = map_get(&j->by_down_counter, counter_key(talk, fcnt));
    if (known == MAP_NONE) {
        note_counter(talk, fcnt, d->hash);
        check_reserved(talk, fcnt);
        check_row(talk, fcnt);
    } else if (j->sent.p[known].hash != d->hash) {
        j->table.reused++;
        box_broken("R4", "%.*s DevAddr %08x: FCntDown %u carries another ciphertext than in life %u", STR(judge_who(j->talks.p[talk].device)),
                   f.devaddr, fcnt, j->sent.p[known].life);
    }
    const struct catch *h = check_window(d, j->talks.p[talk].device, false);
    if (!h)
        return;
    const struct said *s = &j->said.p[h->said];
    bool confirmed = s->frame.p[0] >> 5 == MTYPE_CONFIRMED_UP, says_so = f.fctrl & FCTRL_ACK;
    if (confirmed != says_so)
        box_broken("answer", "the answer to %.*s %s, and its device asked %s", STR(judge_what(s)),
                   says_so ? "acknowledges it" : "does not acknowledge it", confirmed ? "for that" : "for nothing of that kind");
}

/* ------------------------------------------------------------------ joins */

static u32 device_of_accept(const struct down *d, struct lora_join_accept *a)
{
    struct judge *j = judge_here();
    const struct listener *l = listener_of(d->gateway);
    for (u32 i = 0; i < MIN(l->heard_n, (u32)HEARD); i++) {
        const struct catch *h = &l->heard[(l->heard_n - 1 - i) % HEARD];
        const struct said *s  = &j->said.p[h->said];
        if (s->talk == NOBODY && window_of(h, d) && opens(s->device, d->phy, a))
            return s->device;
    }
    for (u32 i = 0; i < j->box->sim.devices_n; i++)
        if (opens(i, d->phy, a))
            return i;
    return NOBODY;
}

static void check_join_rows(u32 device, const struct lora_join_accept *a, const struct said *request)
{
    struct judge *j = judge_here();
    i64 reserved;
    u32 others_wait = 0;
    struct str who = judge_who(device);
    if (request && store_has_nonce(device, (u16)request->fcnt) == SEEN_NOT)
        box_broken("R5", "%.*s: a join-accept leaves, and DevNonce %u is not kept", STR(who), request->fcnt);
    i64 nonce = store_join_nonce(device);
    if (nonce >= 0 && nonce < a->join_nonce)
        box_broken("R5", "%.*s: JoinNonce %u leaves, and the store knows %lld", STR(who), a->join_nonce, (long long)nonce);
    enum seen session = store_session(device, a->devaddr, &reserved, &others_wait);
    if (session == SEEN_NOT && others_wait < WAITING)
        box_broken("intents", "%.*s: a join-accept leaves, and its session %08x is not in the store", STR(who), a->devaddr);
    j->displaced += session == SEEN_NOT && others_wait >= WAITING;
    i64 rows = store_count_downlinks(device, -1);
    if (rows >= 0 && rows < speaker_of(device)->accepts)
        box_broken("intents", "%.*s: a join-accept leaves, and its row is not in the store", STR(who));
}

static void take_accept(const struct down *d)
{
    struct judge *j = judge_here();
    struct lora_join_accept a;
    u32 device = device_of_accept(d, &a);
    if (device == NOBODY) {
        box_broken("R5", "gateway %u shall send a join-accept that opens with no device's key", d->gateway);
        return;
    }
    const struct catch *nearest = NULL, *h = answered_by(d, device, true, &nearest);
    const struct said *request = h ? &j->said.p[h->said] : NULL;
    (void)check_window(d, device, true);
    if (map_get(&j->by_down_phy, d->hash) != MAP_NONE)
        return;                                            /* the same, by another gateway or window */
    map_put(&j->by_down_phy, d->hash, device);
    struct speaker *s = speaker_of(device);
    s->accepts++;
    s->accepted_at = j->box->now;
    j->table.joins++;
    if ((i64)a.join_nonce <= s->join_nonce)
        box_broken("R5", "%.*s: JoinNonce %u after %lld", STR(judge_who(device)), a.join_nonce, (long long)s->join_nonce);
    s->join_nonce = MAX(s->join_nonce, (i64)a.join_nonce);
    if (request) {
        u64 key = (u64)device << 16 | request->fcnt;
        if (map_get(&j->by_nonce, key) != MAP_NONE) {
            j->table.repeated_nonces++;
            box_broken("R5", "%.*s: DevNonce %u is accepted a second time", STR(judge_who(device)), request->fcnt);
        } else {
            map_put(&j->by_nonce, key, 0);
        }
    }
    check_join_rows(device, &a, request);
}

/* ------------------------------------------------------------------ answers that are owed */

/* The sending that came about then: a device says a confirmed frame again. */
static const struct catch *caught(u32 gateway, u32 said, struct mono about)
{
    const struct listener *l = listener_of(gateway);
    const struct catch *best = NULL;
    i64 apart = INT64_MAX;
    for (u32 i = 0; i < MIN(l->heard_n, (u32)HEARD); i++) {
        const struct catch *h = &l->heard[(l->heard_n - 1 - i) % HEARD];
        i64 off = h->said == said && h->came_life ? mono_since(h->came.at, about) : INT64_MAX;
        off = off < 0 ? -off : off;
        if (off < apart) {
            apart = off;
            best  = h;
        }
    }
    return best;
}

void down_owed(u32 said)
{
    struct judge *j = judge_here();
    const struct said *s = &j->said.p[said];
    if (s->talk == NOBODY && (s->came_life != j->life || store_has_nonce(s->device, (u16)s->fcnt) != SEEN))
        return;                                    /* refused; or kept by a life that died before it could answer */
    if (s->talk != NOBODY && j->talks.p[s->talk].stored_most > s->fcnt)
        return;                                    /* late, and never answered (R11) */
    struct owed *o = list_add(&j->owed);
    *o = (struct owed){ said, j->life, moment_now(), mono_after(j->box->now, (s->listens.delay_s + 2) * US_PER_S) };
}

/* Of joins of a device at the same time, all but one from a thief, the newest is answered. */
static bool is_overtaken(const struct owed *o)
{
    const struct judge *j = judge_here();
    const struct said *s = &j->said.p[o->said];
    for (u32 i = (u32)(o - j->owed.p) + 1; i < j->owed.n && mono_since(j->owed.p[i].since.at, o->since.at) < AGAIN_US; i++) {
        const struct said *other = &j->said.p[j->owed.p[i].said];
        if (other->device == s->device && other->talk == NOBODY)
            return true;
    }
    return false;
}

/* Why nothing could be sent by one of the gateways that heard it. */
static enum excuse excuse_of_gateway(u32 gateway, const struct catch *h)
{
    const struct judge *j = judge_here();
    const struct box *b = j->box;
    const struct listener *l = listener_of(gateway);
    i32 off = (i32)(sim_gateway_tmst(&b->sim.gateways[gateway], b->sim.started, b->now) - h->tmst -
                    (u32)(h->age_us + mono_since(b->now, h->came.at)));
    if (h->age_us > (h->listens.delay_s + LORA_RX2_AFTER_RX1_S) * US_PER_S - LAST_US)
        return EXCUSE_OLD;                         /* it kept the frame until the windows were over */
    if (off > NEAR_US || off < -NEAR_US)
        return EXCUSE_RESTART;
    bool open = l->pull_life == j->life && mono_since(b->now, l->pull_at) < PATH_US;
    struct mono due = mono_after(h->came.at, h->listens.delay_s * US_PER_S - EARLY_US);
    return open && mono_before(mono_after(l->opened_at, TURN_US), due) ? OWED : EXCUSE_PATH;     /* it must have been read, too */
}

/* Why an answer could not leave. */
static enum excuse excuse_of(const struct owed *o)
{
    const struct judge *j = judge_here();
    const struct box *b = j->box;
    const struct said *s = &j->said.p[o->said];
    if (b->waited_us - o->since.waited_us > EARLY_US - LAST_US - TURN_US)
        return EXCUSE_HELD_UP;
    if (is_full_since(mono_after(o->since.at, s->listens.delay_s * US_PER_S - EARLY_US)))
        return EXCUSE_FULL;                        /* still, when it had to leave */
    if (s->talk != NOBODY && speaker_of(s->device)->newest_stored > s->talk)
        return EXCUSE_SESSION;                     /* a newer one has ended its own */
    if (s->talk == NOBODY && is_overtaken(o))
        return EXCUSE_JOIN;
    for (u32 g = 0; g < b->sim.gateways_n; g++) {
        const struct catch *h = caught(g, o->said, o->since.at);
        enum excuse why = h ? excuse_of_gateway(g, h) : OWED;
        if (why != OWED)
            return why;
    }
    return OWED;
}

static void check_owed(const struct owed *o)
{
    struct judge *j = judge_here();
    const struct box *b = j->box;
    const struct said *s = &j->said.p[o->said];
    if (s->answered || o->life != b->life || !b->alive || b->dead)
        return;
    enum excuse why = excuse_of(o);
    j->excused[why]++;
    if (why == OWED)
        box_broken("answer", "%.*s is accepted, and nothing was sent back in its windows", STR(judge_what(s)));
}

void down_overdue(void)
{
    struct judge *j = judge_here();
    for (; j->owed_first < j->owed.n && !mono_before(j->box->now, j->owed.p[j->owed_first].by); j->owed_first++)
        check_owed(&j->owed.p[j->owed_first]);
}

/* ------------------------------------------------------------------ taps */

void down_pull_resp(u32 gateway, u16 token, struct bytes json)
{
    struct down d = { .gateway = gateway, .token = token };
    if (!read_down(&d, json)) {
        box_broken("window", "gateway %u is asked for what it does not understand: %.*s", gateway, (int)MIN(json.n, (size_t)200),
                   (const char *)json.p);
        return;
    }
    note_asked(&d);
    if (d.phy.p[0] >> 5 == MTYPE_JOIN_ACCEPT)
        take_accept(&d);
    else
        take_data(&d);
}

static bool says_error(struct str json)
{
    return str_find(json, S("error")) >= 0 && str_find(json, S("NONE")) < 0;
}

void down_refused(u32 gateway, u16 token, struct str json)
{
    struct listener *l = listener_of(gateway);
    for (u32 i = 0; says_error(json) && i < MIN(l->asked_n, (u32)ASKS); i++)
        if (l->asked[i].token == token)
            l->asked[i].refused = true;
}

void down_moves(u32 gateway, u16 token, struct str json)
{
    struct judge *j = judge_here();
    const struct listener *l = listener_of(gateway);
    for (u32 i = 0; says_error(json) && i < MIN(l->asked_n, (u32)ASKS); i++)
        if (l->asked[i].token == token)
            j->moved[j->moved_n++ % COUNT(j->moved)] = (struct moved){ l->asked[i].hash, moment_now() };
}

static bool is_near(struct mono a, struct mono b)
{
    i64 apart = mono_since(a, b);
    return apart > -LISTENS_US && apart < LISTENS_US;
}

/* On the air: its device is in its windows then, or has given up. Counted; whether it listens on that
 * frequency and rate was judged when it left. */
void judge_emitted(u32 gateway, const struct parcel *p, struct mono at)
{
    struct judge *j = judge_here();
    u32 device = map_get(&j->by_down_phy, hash_bytes((struct bytes){ p->phy, p->n }));
    (void)gateway;
    if (device == MAP_NONE) {
        box_broken("window", "gateway %u sends what the daemon never asked for", gateway);
        return;
    }
    const struct device *d = &j->box->sim.devices[device];
    j->unlistened += !(d->state == DEVICE_WINDOWS && (is_near(at, d->rx1.at) || is_near(at, d->rx2.at)));
}
