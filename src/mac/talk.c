// SPDX-License-Identifier: Apache-2.0
/*
 * The talk with a device about its radio. What it does and what was asked stands in a row of its own, read only
 * while something is open: a session that does all that is wanted is `settled` with that, and costs nothing.
 * What uplinks of it showed of its signal (ADR) is in memory alone; after a start it is gathered anew.
 */
#include "mac/inside.h"

#define LOG_SLOTS 32
#define ADR_AGAIN 4                   /* with a short history ADR looks at each fourth uplink */

/* ------------------------------------------------------------------ what is wanted */

static u8 mark_of(const struct params *wanted)
{
    u8 room[PARAMS_BYTES];
    struct buf out = BUF(room);
    struct params_state s;
    memset(&s, 0, sizeof s);
    s.now = *wanted;
    params_write(&out, &s);
    return (u8)(1 + crc32c(0, buf_bytes(&out)) % 255);         /* 0 is: not settled */
}

static void want(struct wanted *w, const struct profile *p, const struct lora_plan *plan)
{
    params_wanted(&w->params, p->region, plan);
    w->params.rx1_delay_s = (u8)p->rx1_delay_s;
    w->params.duty_exp    = (u8)p->duty_exp;
    if (p->rx1_dr_offset >= 0)
        w->params.rx1_dr_offset = (u8)p->rx1_dr_offset;
    if (p->rx2_dr >= 0)
        w->params.rx2_dr = (u8)p->rx2_dr;
    if (p->rx2_hz > 0)
        w->params.rx2_hz = (u32)p->rx2_hz;
    if (p->fixed_dr >= 0)
        w->params.dr = (u8)p->fixed_dr;
    w->mark = mark_of(&w->params);
}

void talk_start(struct env *env)
{
    struct mac *mac = env->mac;
    mac->wanted = boot_take(sizeof *mac->wanted * MAX(env->profiles.count, 1));
    for (size_t i = 0; i < env->profiles.count; i++)
        want(&mac->wanted[i], &env->profiles.list[i], mac->set.plan);
}

static const struct profile *profile_of(const struct env *env, const struct session *s)
{
    return &env->profiles.list[env->mac->devices[s->device].profile];
}

static const struct wanted *wanted_of(const struct env *env, const struct session *s)
{
    return &env->mac->wanted[env->mac->devices[s->device].profile];
}

u8 talk_mark(const struct env *env, u32 device)
{
    return env->mac->wanted[env->mac->devices[device].profile].mark;
}

static struct params_terms terms_of(const struct env *env, const struct session *s, int up_dr, bool adr)
{
    const struct profile *p = profile_of(env, s);
    enum lora_version version = s->v1_1 ? LORAWAN_1_1 : MIN(p->version, LORAWAN_1_0_4);
    return (struct params_terms){ p->region, version, up_dr, adr && p->adr };
}

/* ------------------------------------------------------------------ the row */

/* No row: the device is as its join-accept left it, which is in the session, the region and the plan. */
static void begin(const struct env *env, struct params_state *out, const struct session *s)
{
    struct lora_join_accept a = { .rx_delay = s->rx1_delay_s, .rx1_dr_offset = s->rx1_dr_offset, .rx2_dr = s->rx2_dr };
    const struct lora_region *region = profile_of(env, s)->region;
    a.has_cflist = accept_cflist(env->mac, region, a.cflist);
    params_joined(out, region, &a);
    out->now.rx2_hz     = s->rx2_hz;
    out->now.dwell_up   = s->dwell_up;
    out->now.dwell_down = s->dwell_down;
    if (s->dwell_known)                                /* told by a program that knew nothing else to tell */
        out->now.eirp_index = wanted_of(env, s)->params.eirp_index;
}

static bool load(struct env *env, struct params_state *out, u32 session)
{
    const struct session *s = &env->mac->sessions[session];
    const struct device *d = &env->mac->devices[s->device];
    struct db_query *q = env_query(env, "SELECT tenant, dev_eui, session, state, sum FROM mac_state WHERE tenant = $1 AND dev_eui = $2");
    if (!q)
        return false;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    enum err err = db_step(q);
    bool there = err == OK && db_row_good(q, 0, 4, "mac_state", 2) && db_i64(q, 2) == s->id && params_read(out, db_bytes(q, 3));
    db_reset(q);
    if (err != OK && err != ERR_NOT_FOUND) {
        env->failed = err;
        return false;
    }
    if (!there)
        begin(env, out, s);
    return true;
}

static void save(struct env *env, const struct params_state *state, u32 session)
{
    const struct session *s = &env->mac->sessions[session];
    const struct device *d = &env->mac->devices[s->device];
    u8 room[PARAMS_BYTES];
    struct buf out = BUF(room);
    params_write(&out, state);
    assert(!out.bad);
    struct db_query *q = env_query(env, "INSERT INTO mac_state (tenant, dev_eui, session, state, sum) VALUES ($1, $2, $3, $4, $5) "
                                        "ON CONFLICT (tenant, dev_eui) DO UPDATE SET session = excluded.session, "
                                        "state = excluded.state, sum = excluded.sum");
    if (!q)
        return;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, s->id);
    db_bind_bytes(q, 4, buf_bytes(&out));
    db_bind_sum(q, 5, "mac_state");
    (void)env_run(env, q);
}

/* What the way of a frame needs of it at once. */
static void take_hot(struct env *env, const struct params *now, u32 session)
{
    struct session *s = &env->mac->sessions[session], was = *s;
    touch_session(env, session);
    s->rx1_delay_s   = now->rx1_delay_s;
    s->rx1_dr_offset = now->rx1_dr_offset;
    s->rx2_dr        = now->rx2_dr;
    s->rx2_hz        = now->rx2_hz;
    s->dwell_up      = now->dwell_up;
    s->dwell_down    = now->dwell_down;
    s->dwell_known  |= now->eirp_index == wanted_of(env, s)->params.eirp_index;
    if (memcmp(&was, s, sizeof was) != 0)
        (void)session_save(env, session);
}

/* ------------------------------------------------------------------ the log */

void talk_log(struct env *env, u32 device, struct str words)
{
    struct device *d = &env->mac->devices[device];
    struct db_query *q = env_query(env, "INSERT INTO mac_log (tenant, dev_eui, slot, id, words, sum) VALUES ($1, $2, $3, $4, $5, $6) "
                                        "ON CONFLICT (tenant, dev_eui, slot) DO UPDATE SET id = excluded.id, words = excluded.words, "
                                        "sum = excluded.sum");
    if (!q)
        return;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, d->log_slot++ % LOG_SLOTS);
    db_bind_i64(q, 4, env_next_id(env));
    db_bind_str(q, 5, words);
    db_bind_sum(q, 6, "mac_log");
    (void)env_run(env, q);
}

/* Each kind that the device answered no to, or answered though nobody asked. */
static void log_heard(struct env *env, u32 device, const struct params_heard *heard, const struct params_state *before,
                      const struct params_state *after)
{
    for (int ask = 0; ask < ASKS; ask++) {
        if (heard->strange >> ask & 1)
            talk_log(env, device, str_fmt(&env->event, "the device answers %.*s, which was not asked",
                                          STR(params_ask_words((enum params_ask)ask))));
        if (heard->refused >> ask & 1)
            talk_log(env, device, str_fmt(&env->event, "the device refuses %.*s; it is not asked again in this session",
                                          STR(params_ask_words((enum params_ask)ask))));
    }
    const struct params_talk *a = &before->talk, *b = &after->talk;
    if (b->power_most != a->power_most)
        talk_log(env, device, str_fmt(&env->event, "the device refuses TXPower %u; at most %u is asked for", b->power_most + 1, b->power_most));
    if (b->dr_most != a->dr_most)
        talk_log(env, device, str_fmt(&env->event, "the device refuses a data rate; at most DR%u is asked for", b->dr_most));
    if (b->mask_refused && !a->mask_refused)
        talk_log(env, device, S("the device refuses the channel mask; it keeps its own"));
    if (b->channels_refused != a->channels_refused)
        talk_log(env, device, str_fmt(&env->event, "the device refuses channels (mask %04x)", b->channels_refused));
    if ((heard->answered >> ASK_LINK_ADR & 1) && memcmp(&before->now, &after->now, sizeof before->now) != 0)
        talk_log(env, device, str_fmt(&env->event, "the device uses DR%u, TXPower %u, %u transmissions, channels %04x", after->now.dr,
                                      after->now.tx_power, after->now.nb_trans, after->now.mask[0]));
}

/* ------------------------------------------------------------------ an uplink */

static bool has_answers(struct bytes commands)
{
    struct cur c = cur_of(commands);
    struct lora_command command;
    while (lora_command_next(&command, &c, LORA_UP))
        if (params_is_answer(command.kind->cid))
            return true;
    return false;
}

bool talk_hear(struct env *env, u32 session, int up_dr, bool adr, struct bytes commands)
{
    struct session *s = &env->mac->sessions[session];
    struct params_state state, before;
    bool settled = s->settled == wanted_of(env, s)->mark;
    if ((settled && !has_answers(commands)) || !load(env, &state, session))
        return false;
    before = state;
    struct params_terms terms = terms_of(env, s, up_dr, adr);
    struct params_heard heard = params_hear(&state, &terms, commands);
    log_heard(env, s->device, &heard, &before, &state);
    if (heard.answered)
        take_hot(env, &state.now, session);
    if (heard.answered >> ASK_LINK_ADR & 1)
        s->adr.n = 0;                                  /* what was heard before says nothing of now */
    if (heard.changed)
        save(env, &state, session);
    return heard.owed;
}

/* ------------------------------------------------------------------ ADR */

/* What the best gateway heard; but a device that a second one hears shall stay heard by that one too, with half the
 * margin: then a gateway that dies silences nobody. */
static i16 signal_of(const struct window *w, int margin_cb)
{
    int best = INT16_MIN, second = INT16_MIN;
    for (u32 i = 0; i < w->copies; i++) {
        int snr = w->copy[i].snr_cb;
        second  = MAX(second, MIN(best, snr));
        best    = MAX(best, snr);
    }
    return (i16)(w->copies < 2 ? best : MIN(best, second + margin_cb / 2));
}

/* Not undone when the batch fails: an uplink that counts twice here changes no promise. */
static void note_signal(struct adr_heard *a, u8 dr, u32 fcnt, i16 snr_cb)
{
    if (a->n == 0 || a->dr != dr || fcnt < a->first_fcnt)
        *a = (struct adr_heard){ .dr = dr, .first_fcnt = fcnt, .best_cb = snr_cb };
    a->n++;
    a->best_cb    = MAX(a->best_cb, snr_cb);
    a->sum_cb    += snr_cb;
    a->last_fcnt  = fcnt;
}

static struct adr_policy policy_of(const struct profile *p, const struct params_state *state)
{
    u8 least = state->now.dwell_up ? p->region->rx1_dr_min_dwell : 0;
    return (struct adr_policy){ .dr_min        = MAX(p->adr_dr_min, least),
                                .dr_max        = MIN(p->adr_dr_max, state->talk.dr_most),
                                .power_most    = MIN(p->adr_power_most, state->talk.power_most),
                                .nb_trans_most = p->adr_nb_trans_most,
                                .margin_cb     = (i16)(p->adr_margin_db * 10) };
}

static bool decide(struct env *env, u32 session, u8 dr, struct params_state *state)
{
    struct session *s = &env->mac->sessions[session];
    const struct profile *p = profile_of(env, s);
    struct adr_policy policy = policy_of(p, state);
    struct adr_state now = { dr, state->now.tx_power, state->now.nb_trans };
    struct adr_says says = adr_decide(p->region, &policy, now, &s->adr, &env->event);
    if (s->adr.n >= ADR_HISTORY)
        s->adr.n = 0;
    if (!says.changes)
        return false;
    talk_log(env, s->device, says.words);
    state->talk.dr       = says.to.dr;
    state->talk.tx_power = says.to.tx_power;
    state->talk.nb_trans = says.to.nb_trans;
    state->talk.tries[ASK_LINK_ADR] = state->talk.wait[ASK_LINK_ADR] = 0;
    return true;
}

/* ------------------------------------------------------------------ what goes back */

static bool adr_is_due(const struct env *env, const struct window *w, const struct session *s)
{
    return w->adr && profile_of(env, s)->adr && profile_of(env, s)->fixed_dr < 0 &&
           (s->adr.n >= ADR_HISTORY || (s->adr.n > 0 && s->adr.n % ADR_AGAIN == 0));
}

void talk_ask(struct env *env, struct buf *out, const struct window *w, int up_dr)
{
    struct session *s = &env->mac->sessions[w->session];
    const struct wanted *wanted = wanted_of(env, s);
    struct params_state state;
    if (w->kind == WINDOW_UPLINK && w->adr && up_dr >= 0)
        note_signal(&s->adr, (u8)up_dr, w->fcnt, signal_of(w, profile_of(env, s)->adr_margin_db * 10));
    bool adr = w->kind == WINDOW_UPLINK && up_dr >= 0 && adr_is_due(env, w, s), settled = s->settled == wanted->mark;
    if ((settled && !adr) || !load(env, &state, w->session))
        return;
    struct params_terms terms = terms_of(env, s, up_dr, w->adr);
    bool decided = adr && decide(env, w->session, (u8)up_dr, &state);
    bool differ  = params_differ(&state, &wanted->params, &terms);
    size_t before = out->n;
    params_ask(out, &state, &wanted->params, &terms);
    if (out->n > before || decided)
        save(env, &state, w->session);
    if (differ == settled) {
        touch_session(env, w->session);
        s->settled = differ ? 0 : wanted->mark;
        (void)session_save(env, w->session);
    }
}
