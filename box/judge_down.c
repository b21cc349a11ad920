// SPDX-License-Identifier: Apache-2.0
/*
 * Downlinks, at the moment they leave the daemon. Whose it is says the frame itself: a data frame by
 * the session whose key verifies it, a join-accept by the device whose AppKey opens it. Then:
 *
 *     counter       one ciphertext for ever, above all of earlier lives, below the durable reservation
 *     rows          DevNonce, JoinNonce, session and downlink stand in the store already
 *     time          exactly the device's RX1 or RX2 after its uplink, on the clock of that gateway
 *     radio         frequency and data rate of that window, power and airtime within the law
 */
#include "box/judge.h"

#include "wire/json.h"

#define UNANSWERED_MAX 25                /* of one life */
#define NEAR_US     (20 * US_PER_S)      /* a gateway's clock further off has begun anew meanwhile */
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

/* Too late at the gateway: a slow way or disk may do that; on a sound way with a quick uplink it must not be. */
static void check_in_time(const struct down *d, const struct catch *h)
{
    struct judge *j = judge_here();
    const struct box *b = j->box;
    const struct gateway *g = &b->sim.gateways[d->gateway];
    const struct path *p = net_path(d->gateway);
    const struct said *s = &j->said.p[h->said];
    i32 ahead = (i32)(d->tmst - sim_gateway_tmst(g, b->sim.started, b->now));
    i64 trip  = p->delay_us + g->backhaul_us;
    if (ahead >= trip + JIT_LEAD_US || ahead < -NEAR_US || ahead > NEAR_US)
        return;
    j->table.late_downlinks++;
    /* What waited behind a slow disk is late after it is well again, too. */
    bool sound = way_is_sound(d->gateway) && mono_since(b->now, p->cut_until) > NEAR_US &&
                 mono_since(b->now, j->ill_at) > NEAR_US;
    if (sound && h->quick && mono_since(b->now, j->life_began) > NEAR_US)
        box_broken("window", "the answer to %.*s leaves %lld ms before its time, and needs %lld ms", STR(judge_what(s)),
                   (long long)(ahead / 1000), (long long)((trip + JIT_LEAD_US) / 1000));
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
    check_in_time(d, h);
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

static const struct catch *caught(u32 gateway, u32 said)
{
    const struct listener *l = listener_of(gateway);
    for (u32 i = 0; i < MIN(l->heard_n, (u32)HEARD); i++) {
        const struct catch *h = &l->heard[(l->heard_n - 1 - i) % HEARD];
        if (h->said == said)
            return h;
    }
    return NULL;
}

void down_owed(u32 gateway, u32 said)
{
    struct judge *j = judge_here();
    const struct said *s = &j->said.p[said];
    const struct catch *h = caught(gateway, said);
    if (!h || !h->quick || (s->talk == NOBODY && store_has_nonce(s->device, (u16)s->fcnt) != SEEN))
        return;
    if (s->talk != NOBODY && j->talks.p[s->talk].stored_most > s->fcnt)
        return;                                    /* a thief brought what nobody had heard: late, and never answered */
    struct owed *o = list_add(&j->owed);
    *o = (struct owed){ said, j->life, mono_after(j->box->now, (h->listens.delay_s + 2) * US_PER_S) };
}

/* Every gateway that heard it was well and had a sound way, so whichever was chosen could be asked. */
static bool could_be_asked(u32 said)
{
    const struct box *b = judge_here()->box;
    for (u32 g = 0; g < b->sim.gateways_n; g++)
        if (caught(g, said) && (!way_is_sound(g) || mono_since(b->now, net_path(g)->cut_until) < 2 * NEAR_US ||
                                mono_since(b->now, b->sim.gateways[g].silent_until) < 2 * NEAR_US))
            return false;
    return true;
}

static void check_owed(const struct owed *o)
{
    struct judge *j = judge_here();
    const struct box *b = j->box;
    const struct said *s = &j->said.p[o->said];
    /* Of two joins of a device at the same time, one from a thief, the newer is answered. */
    bool another = s->talk == NOBODY && mono_since(b->now, speaker_of(s->device)->accepted_at) < NEAR_US;
    if (s->answered || another || o->life != b->life || !b->alive || b->dead || mono_since(b->now, j->life_began) < 2 * NEAR_US ||
        mono_since(b->now, j->ill_at) < 2 * NEAR_US || s->listens.delay_s == 0 || !could_be_asked(o->said))
        return;
    /* One in a thousand has a reason that is not understood yet; a daemon that does not answer does so more than once. */
    if (j->unanswered_life != b->life)
        j->unanswered_life = b->life, j->unanswered = 0;
    j->unanswered_all++;
    if (++j->unanswered < UNANSWERED_MAX)
        return;
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

void down_refused(u32 gateway, u16 token, struct str json)
{
    struct listener *l = listener_of(gateway);
    if (str_find(json, S("error")) < 0 || str_find(json, S("NONE")) >= 0)
        return;
    for (u32 i = 0; i < MIN(l->asked_n, (u32)ASKS); i++)
        if (l->asked[i].token == token)
            l->asked[i].refused = true;
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
