// SPDX-License-Identifier: Apache-2.0
/*
 * What goes back to a class A device when the window of its uplink closes (LoRaWAN 1.0.x, 3.3): a
 * join-accept, or one frame with the acknowledgement, the MAC commands that are owed and the oldest
 * application downlink. Only gateways that heard this uplink may answer: they hold its clock.
 * The counter is taken in the batch whose commit precedes the send.
 */
#include "mac/inside.h"

#define GPS_1970_US  (315964800LL * US_PER_S)      /* GPS began 1980-01-06 */
#define GPS_LEAP_S   18                            /* since 2017 */
#define CLOCK_OFF_US (10 * US_PER_S)               /* a gateway's clock that differs more from ours is not believed */
#define MARGIN_CAP_CB 100                          /* more than 10 dB buys nothing: spread the load instead */

/* ------------------------------------------------------------------ which gateway, when */

static i64 score(const struct mac *mac, const struct radio *r)
{
    u32 gateway = mac_gateway(mac, r->gateway);
    i64 margin  = r->snr_cb - lora_required_snr_cb(r->sf);
    return gateway == MAC_NONE ? INT64_MIN : MIN(margin, MARGIN_CAP_CB) - 5 * (i64)mac->gateways[gateway].tx;
}

static void best_first(const struct mac *mac, struct radio *copies, u32 n)
{
    for (u32 i = 1; i < n; i++) {
        struct radio one = copies[i];
        u32 at = i;
        for (; at > 0 && score(mac, &copies[at - 1]) < score(mac, &one); at--)
            copies[at] = copies[at - 1];
        copies[at] = one;
    }
}

struct windows { u32 rx1_us; int rx1_dr, rx2_dr; u32 rx1_hz, rx2_hz; const struct lora_region *region; };

static i8 power_dbm(const struct mac *mac, const struct lora_region *region)
{
    bool national = mac->set.plan && mac->set.plan->region == region;
    return (i8)(national ? mac->set.plan->eirp_dbm_max : region->eirp_cdbm / 100);
}

static bool transmission(const struct mac *mac, struct transmission *t, const struct windows *ws, const struct radio *r,
                         struct mono heard, int window, size_t bytes)
{
    int dr = window == 1 ? ws->rx1_dr : ws->rx2_dr;
    u32 hz = window == 1 ? ws->rx1_hz : ws->rx2_hz;
    u32 delay_us = ws->rx1_us + (window == 2 ? LORA_RX2_AFTER_RX1_S * (u32)US_PER_S : 0);
    if (dr < 0 || hz == 0)
        return false;
    const struct lora_dr *rate = &ws->region->dr[dr];
    *t = (struct transmission){ .gateway    = r->gateway,
                                .tmst_us    = r->tmst_us + delay_us,             /* wraps as the concentrator does */
                                .at         = mono_after(heard, delay_us),
                                .freq_hz    = hz,
                                .bw_hz      = rate->bw_hz,
                                .bitrate    = rate->bit_rate,
                                .sf         = rate->sf,
                                .antenna    = r->antenna,
                                .rf_chain   = 0,
                                .power_dbm  = power_dbm(mac, ws->region),
                                .airtime_us = lora_dr_airtime_us(ws->region, dr, bytes, false),
                                .delay_us   = delay_us,
                                .dr         = (u8)dr,
                                .window     = (u8)window,
                                .context_n  = r->context_n };
    memcpy(t->context, r->context, sizeof t->context);
    return t->airtime_us > 0;
}

static struct calendar_send send_of(const struct mac *mac, const struct transmission *t)
{
    return (struct calendar_send){ t->at.us, t->airtime_us, t->freq_hz, mac->batch };
}

static struct calendar_rules rules_of(const struct mac *mac, const struct gateway *g)
{
    return (struct calendar_rules){ g->region, mac->set.plan };
}

void answers_undo(struct mac *mac)
{
    for (u32 i = 0; i < mac->gateways_n; i++) {
        struct calendar_rules rules = rules_of(mac, &mac->gateways[i]);
        calendar_give_back(&mac->gateways[i].calendar, &rules, mac->batch);
    }
}

static enum calendar_says may(const struct mac *mac, const struct transmission *t)
{
    const struct gateway *g = &mac->gateways[mac_gateway(mac, t->gateway)];
    struct calendar_rules rules = rules_of(mac, g);
    struct calendar_send send = send_of(mac, t);
    return calendar_ask(&g->calendar, &rules, &send);
}

static void plan(struct mac *mac, const struct transmission *t)
{
    struct gateway *g = &mac->gateways[mac_gateway(mac, t->gateway)];
    struct calendar_rules rules = rules_of(mac, g);
    struct calendar_send send = send_of(mac, t);
    calendar_take(&g->calendar, &rules, &send);
}

/* What was found: windows that are free, those whose air is taken, and the last reason against one. */
struct found { struct transmission busy[TRIES_MAX]; u32 waiting; enum calendar_says against; };

static void weigh_window(const struct mac *mac, struct downlink *out, struct found *f, const struct transmission *t)
{
    enum calendar_says says = may(mac, t);
    if (says == CALENDAR_FREE && out->tries_count < TRIES_MAX)
        out->tries[out->tries_count++] = *t;
    else if (says == CALENDAR_BUSY && f->waiting < TRIES_MAX)
        f->busy[f->waiting++] = *t;
    f->against = says == CALENDAR_FREE ? f->against : says;
}

/* The best gateways' windows, those whose air is free first; the first choice goes into the calendar. What the law
 * forbids is no choice. *why: when there is none. */
static u32 choose(struct mac *mac, struct downlink *out, const struct windows *ws, const struct window *w, size_t bytes,
                  bool rx1_fits, bool rx2_fits, struct str *why)
{
    struct radio copies[COPIES_MAX];
    struct found f = { .waiting = 0 };
    struct mono told = mono_after(w->close_at, -mac->set.window_us);
    memcpy(copies, w->copy, w->copies * sizeof copies[0]);
    best_first(mac, copies, w->copies);
    for (u32 i = 0; i < w->copies; i++)
        for (int window = 1; window <= 2; window++) {
            struct transmission t;
            if ((window == 1 ? rx1_fits : rx2_fits) && mac_gateway(mac, copies[i].gateway) != MAC_NONE &&
                transmission(mac, &t, ws, &copies[i], mono_after(told, -(i64)copies[i].kept_us), window, bytes))
                weigh_window(mac, out, &f, &t);
        }
    for (u32 i = 0; i < f.waiting && out->tries_count < TRIES_MAX; i++)
        out->tries[out->tries_count++] = f.busy[i];    /* the gateway itself may still find room */
    if (out->tries_count > 0)
        plan(mac, &out->tries[0]);
    *why = f.against == CALENDAR_FREE ? S("no gateway that heard it can answer") : calendar_words(f.against);
    return out->tries_count;
}

static void send(struct env *env, const struct window *w, struct downlink *d, struct bytes phy, i64 id)
{
    d->tenant  = env->mac->devices[w->device].tenant;
    d->dev_eui = env->mac->devices[w->device].dev_eui;
    d->id      = id;
    d->phy     = bytes_copy(&env->batch, phy);
    outbox_add(env, INTENT_DOWNLINK)->downlink = *d;
    env->counted[COUNT_DOWNLINKS]++;
}

/* ------------------------------------------------------------------ join-accept */

/* The plan's channels after the region's own, as CFList type 0 (RP002, 2.8). */
bool accept_cflist(const struct mac *mac, const struct lora_region *region, u8 out[LORA_CFLIST_SIZE])
{
    const struct lora_plan *plan = mac->set.plan;
    struct lora_cflist list = { .type = 0 };
    int defaults = region->up[0].count + region->up[1].count, n = 0;
    if (!plan || plan->region != region || region->cflist_type != 0)
        return false;
    for (int i = defaults; i < plan->channel_count && n < 5; i++)
        list.freq_hz[n++] = plan->channel_hz[i];
    return n > 0 && lora_cflist_build(out, &list) == LORA_OK;
}

static bool seal_accept(struct env *env, struct buf *out, const struct window *w)
{
    struct mac *mac = env->mac;
    const struct device *d = &mac->devices[w->device];
    const struct session *s = &mac->sessions[w->session];
    const struct lora_region *region = env->profiles.list[d->profile].region;
    struct lora_join_accept a = { .opt_neg       = s->v1_1,
                                  .rx1_dr_offset = s->rx1_dr_offset,
                                  .rx2_dr        = s->rx2_dr,
                                  .rx_delay      = s->rx1_delay_s,
                                  .join_nonce    = d->join_nonce,
                                  .net_id        = mac->set.net_id,
                                  .devaddr       = s->devaddr };
    struct lora_join_terms terms = { JOIN_REQ_TYPE_JOIN, w->dev_nonce, d->join_eui };
    struct lora_key mic_key = { 0 };
    u8 root[16], js_int[16];
    if (!unwrap_key(mac, root, s->v1_1 ? d->nwk_key : d->app_key))
        return false;
    a.has_cflist = accept_cflist(mac, region, a.cflist);
    lora_key_set(&mic_key, root);
    if (s->v1_1) {
        lora_derive_js_int(js_int, &mic_key, d->dev_eui);
        lora_key_set(&mic_key, js_int);
        lora_wipe(js_int, sizeof js_int);
    }
    bool good = lora_join_accept_seal(out, &a, &mic_key, root, terms) == LORA_OK;
    lora_wipe(root, sizeof root);
    lora_key_clear(&mic_key);
    return good;
}

static void answer_join(struct env *env, struct window *w)
{
    const struct device *d = &env->mac->devices[w->device];
    const struct lora_region *region = env->profiles.list[d->profile].region;
    u8 room[LORA_AIR_MAX];
    struct buf phy = BUF(room);
    struct downlink down = { 0 };
    struct windows ws = { .region = region,
                          .rx1_us = LORA_JOIN_RX1_DELAY_S * (u32)US_PER_S,
                          .rx1_dr = lora_rx1_dr(region, uplink_dr(region, &w->copy[0]), 0, region->boot_dwell_down),
                          .rx1_hz = lora_rx1_hz(region, w->copy[0].freq_hz),
                          .rx2_dr = region->rx2_dr,
                          .rx2_hz = region->rx2_hz };
    if (!seal_accept(env, &phy, w))
        return;
    i64  id = env_next_id(env);
    struct str why;
    bool sent = choose(env->mac, &down, &ws, w, phy.n, true, true, &why) > 0;
    (void)down_insert(env, d, DOWN_JOIN, id, sent ? DOWN_OFFERED : DOWN_FAILED, false, -1, (struct bytes){ room, 0 }, 0, -1,
                      sent ? down.tries[0].gateway : 0,
                      str_fmt(&env->event, "DevAddr %08x", env->mac->sessions[w->session].devaddr),
                      sent ? S("") : why);
    if (sent)
        send(env, w, &down, buf_bytes(&phy), id);
}

/* ------------------------------------------------------------------ data */

static void owe_device_time(struct env *env, struct buf *out, const struct window *w)
{
    /* The time at the end of the uplink: the gateway's clock where it has one (LoRaWAN 1.0.3, 5.9) and
     * where it can be: one that says 1970 would set the clocks of a whole quarter. */
    i64 ours = env_clock(env).us - mono_since(env_now(env), w->close_at) - env->mac->set.window_us;
    i64 off  = w->copy[0].gateway_us - ours;
    i64 wall = off > -CLOCK_OFF_US && off < CLOCK_OFF_US ? w->copy[0].gateway_us : ours;
    i64 gps  = wall - GPS_1970_US + GPS_LEAP_S * US_PER_S;
    (void)lora_device_time_ans_build(out, &(struct lora_device_time_ans){ (u32)(gps / US_PER_S),
                                                                         (u32)(gps % US_PER_S * 256 / US_PER_S) });
}

static void owe_link_check(struct buf *out, const struct window *w)
{
    int margin = INT16_MIN;
    for (u32 i = 0; i < w->copies; i++)
        margin = MAX(margin, (w->copy[i].snr_cb - lora_required_snr_cb(w->copy[i].sf)) / 10);
    (void)lora_link_check_ans_build(out, &(struct lora_link_check_ans){ (u32)MIN(MAX(margin, 0), 254), w->heard });
}

static struct bytes owed_commands(struct env *env, u8 room[LORA_FOPTS_MAX], const struct window *w,
                                  const struct lora_region *region)
{
    struct buf out = buf_of(room, LORA_FOPTS_MAX);
    if (w->rekey)                                  /* 1.1, 5.10: a device says RekeyInd until it hears this */
        (void)lora_rekey_conf_build(&out, &(struct lora_rekey_conf){ .minor = 1 });
    if (w->link_check)
        owe_link_check(&out, w);
    if (w->device_time)
        owe_device_time(env, &out, w);
    if (w->kind == WINDOW_UPLINK)
        talk_ask(env, &out, w, uplink_dr(region, &w->copy[0]));
    return buf_bytes(&out);
}

struct item { i64 id; int fport; bool confirmed; struct bytes payload; };

/* Empty: it is still wanted. Its time is the wall's, for it must outlive restarts, and that clock may be
 * set: no downlink is older than DOWN_LIFE_US, so one with more than that to live was queued when the
 * clock was ahead, and nobody knows how old it is. */
static struct str why_expired(struct env *env, i64 expires_us)
{
    struct wall now = env_clock(env);
    if (expires_us <= 0)
        return S("");
    if (expires_us < now.us)
        return str_fmt(&env->batch, "its time was over at %.*s, and the device was heard again at %.*s",
                       STR(wall_str(&env->batch, (struct wall){ expires_us })), STR(wall_str(&env->batch, now)));
    if (expires_us - now.us > DOWN_LIFE_US)
        return S("the server's clock was set back since it was queued, so that its age is not known");
    return S("");
}

/* The oldest application downlink that is still wanted; those past their time end as expired. */
static bool next_item(struct env *env, struct item *out, u32 device)
{
    const struct device *d = &env->mac->devices[device];
    struct down_row row;
    while (env->mac->devices[device].queued > 0) {
        if (!down_oldest(env, &row, d->tenant, d->dev_eui))
            return false;
        *out = (struct item){ row.id, (int)row.fport, row.confirmed != 0, row.payload };
        struct str expired = why_expired(env, row.expires_us);
        if (expired.n == 0)
            return true;
        mac_downlink_result(env, d->tenant, d->dev_eui, out->id, DOWN_EXPIRED, expired, 0);
    }
    return false;
}

static void mark_offered(struct env *env, const struct device *d, i64 id, u32 fcnt, u64 gateway, struct str words)
{
    struct down_row row;
    if (!down_find(env, &row, d->tenant, d->dev_eui, id))
        return;
    row.state   = DOWN_OFFERED;
    row.fcnt    = fcnt;
    row.gateway = (i64)gateway;
    row.mac     = words;
    row.sent_us = env_clock(env).us;
    (void)down_put(env, &row);
}

/* Takes the next counter of the right kind; the row that covers it is in this batch. */
static bool take_counter(struct env *env, u32 *fcnt, u32 session, bool application)
{
    struct session *s = &env->mac->sessions[session];
    const struct device *d = &env->mac->devices[s->device];
    enum err err = session_reserve(env, session);
    if (err == ERR_TOO_LARGE)
        mac_refuse(env, d->tenant, d->dev_eui, DROP_SPENT, 0,
                   S("every downlink counter of the session was used: the device has to join again"));
    if (err != OK)
        return false;
    touch_session(env, session);
    *fcnt = s->v1_1 && application ? s->app_down_next++ : s->down_next++;
    assert(s->down_next <= s->down_reserved && s->app_down_next <= s->app_down_reserved);
    return true;
}

struct answer { struct windows ws; struct item item; bool has_item; struct bytes commands; size_t bytes; bool fits[3]; };

static struct windows data_windows(const struct env *env, const struct window *w)
{
    const struct session *s = &env->mac->sessions[w->session];
    const struct lora_region *region = env->profiles.list[env->mac->devices[w->device].profile].region;
    return (struct windows){ .region = region,
                             .rx1_us = s->rx1_delay_s * (u32)US_PER_S,
                             .rx1_dr = lora_rx1_dr(region, uplink_dr(region, &w->copy[0]), s->rx1_dr_offset, s->dwell_down),
                             .rx1_hz = lora_rx1_hz(region, w->copy[0].freq_hz),
                             .rx2_dr = s->rx2_dr,
                             .rx2_hz = s->rx2_hz };
}

static bool fits(const struct answer *a, int dr, bool dwell)
{
    return dr >= 0 && a->bytes <= (size_t)lora_payload_max(a->ws.region, dr, dwell);
}

/* What does not fit into either window now may fit later, at a faster data rate: it waits, and says why. */
static void weigh(struct env *env, struct answer *a, const struct window *w)
{
    const struct session *s = &env->mac->sessions[w->session];
    for (int round = 0; round < 2; round++) {
        a->bytes   = a->commands.n + (a->has_item ? a->item.payload.n : 0);
        a->fits[1] = fits(a, a->ws.rx1_dr, s->dwell_down);
        a->fits[2] = fits(a, a->ws.rx2_dr, s->dwell_down);
        if (a->fits[1] || a->fits[2] || !a->has_item)
            return;
        mac_refuse(env, env->mac->devices[w->device].tenant, env->mac->devices[w->device].dev_eui, DROP_TOO_LONG, 0,
                   str_fmt(&env->event, "downlink of %zu bytes waits: DR%d carries %d", a->item.payload.n, a->ws.rx1_dr,
                           lora_payload_max(a->ws.region, MAX(a->ws.rx1_dr, 0), s->dwell_down)));
        a->has_item = false;
    }
}

static bool seal(struct env *env, struct buf *phy, const struct answer *a, const struct window *w, u32 *fcnt)
{
    const struct device *d = &env->mac->devices[w->device];
    struct lora_session keys;
    bool confirmed = a->has_item && a->item.confirmed;
    struct lora_frame f = { .mtype   = confirmed ? MTYPE_CONFIRMED_DOWN : MTYPE_DATA_DOWN,
                            .fctrl   = (u8)((w->confirmed ? FCTRL_ACK : 0) | (d->queued > a->has_item ? FCTRL_FPENDING : 0)),
                            .fport   = a->has_item ? (i16)a->item.fport : FPORT_NONE,
                            .devaddr = env->mac->sessions[w->session].devaddr,
                            .fopts   = a->commands,
                            .payload = a->has_item ? a->item.payload : (struct bytes){ phy->p, 0 } };
    struct lora_mic_terms terms = { .conf_fcnt = w->confirmed ? (u16)w->fcnt : 0 };
    return session_keys(env->mac, &keys, w->session) && take_counter(env, fcnt, w->session, a->has_item) &&
           lora_frame_seal(phy, &f, &keys, *fcnt, terms) == LORA_OK;
}

static struct str commands_words(struct env *env, const struct window *w, struct bytes commands)
{
    struct text t = text_make(&env->event, 4096);
    if (w->confirmed)
        text_put(&t, S("ACK "));
    lora_commands_text(&t, commands, LORA_DOWN);
    return str_trim(text_str(&t));
}

static void note_sent(struct env *env, const struct window *w, const struct answer *a, i64 id, u32 fcnt, u64 gateway)
{
    const struct device *d = &env->mac->devices[w->device];
    struct str words = commands_words(env, w, a->commands);
    if (!a->has_item) {
        (void)down_insert(env, d, DOWN_NETWORK, id, DOWN_OFFERED, false, -1, (struct bytes){ NULL, 0 }, 0, fcnt, gateway,
                          words, S(""));
        return;
    }
    mark_offered(env, d, id, fcnt, gateway, words);
    touch_device(env, w->device);
    env->mac->devices[w->device].queued--;
    if (a->item.confirmed) {
        touch_session(env, w->session);
        env->mac->sessions[w->session].awaits    = id;
        env->mac->sessions[w->session].conf_down = (u16)fcnt;
        if (env->mac->sessions[w->session].v1_1)                   /* the MIC of its acknowledgement needs it, after a start too */
            (void)session_save(env, w->session);
    }
}

static void answer_data(struct env *env, struct window *w)
{
    u8 commands[LORA_FOPTS_MAX], room[LORA_AIR_MAX];
    struct buf phy = BUF(room);
    struct downlink down = { 0 };
    struct answer a = { .ws = data_windows(env, w) };
    u32 fcnt;
    a.commands = owed_commands(env, commands, w, a.ws.region);
    a.has_item = next_item(env, &a.item, w->device);
    if (!w->confirmed && !w->adr_ack_req && !w->owed && !a.has_item && a.commands.n == 0)
        return;
    weigh(env, &a, w);
    size_t bytes = a.bytes + LORA_FHDR_MIN + LORA_MIC_SIZE + 1 + a.has_item;
    struct str why;
    if (choose(env->mac, &down, &a.ws, w, bytes, a.fits[1], a.fits[2], &why) == 0) {
        mac_refuse(env, env->mac->devices[w->device].tenant, env->mac->devices[w->device].dev_eui, DROP_NO_ROOM, 0,
                   str_fmt(&env->event, "nothing is sent: %.*s", STR(why)));
        return;
    }
    if (!seal(env, &phy, &a, w, &fcnt))
        return;
    i64 id = a.has_item ? a.item.id : env_next_id(env);
    note_sent(env, w, &a, id, fcnt, down.tries[0].gateway);
    send(env, w, &down, buf_bytes(&phy), id);
}

void answer_window(struct env *env, struct window *w)
{
    const struct device *d = &env->mac->devices[w->device];
    if (w->session != d->session[0] && w->session != d->session[1])
        return;                                    /* ended while its window was open, or a newer join is answered */
    if (w->kind == WINDOW_JOIN)
        answer_join(env, w);
    else
        answer_data(env, w);
}
