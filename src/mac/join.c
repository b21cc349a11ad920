// SPDX-License-Identifier: Apache-2.0
/*
 * OTAA (LoRaWAN 1.0.3, 6.2; 1.1, 6.2). The MIC before any write. A DevNonce is never forgotten; a late
 * copy of the same join-request is a copy, not a reused nonce. The new session waits beside the old
 * one until the first uplink under it. A join-request that its gateway kept until the accept could not
 * be heard any more changes nothing: the device has long tried again, with another DevNonce, and the
 * session of that one must stay.
 */
#include "mac/inside.h"

/* From 1.0.4 on a DevNonce is a counter: only higher ones. */
static enum drop weigh_nonce(struct env *env, const struct device *d, u16 nonce)
{
    struct db_query *q = env_query(env, "SELECT tenant, dev_eui, nonce, joined_us, sum FROM dev_nonce WHERE tenant = $1 "
                                        "AND dev_eui = $2 AND nonce >= $3 LIMIT 1");
    if (!q)
        return DROP_STORE;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, nonce);
    enum err err = db_step(q);
    if (err == OK)
        (void)db_row_good(q, 0, 4, "dev_nonce", 3);    /* noted; a damaged row still counts as used */
    db_reset(q);
    if (err == OK)
        return DROP_DEVNONCE;
    if (err == ERR_NOT_FOUND)
        return PASS;
    env->failed = err;
    return DROP_STORE;
}

/* The row is the question and the answer: where it stands already, the nonce was used. */
static enum drop take_nonce(struct env *env, const struct device *d, u16 nonce)
{
    enum drop drop = profile_nonce_counts(&env->profiles.list[d->profile]) ? weigh_nonce(env, d, nonce) : PASS;
    if (drop != PASS)
        return drop;
    struct db_query *q = env_query(env, "INSERT INTO dev_nonce (tenant, dev_eui, nonce, joined_us, sum) "
                                        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, dev_eui, nonce) DO NOTHING");
    if (!q)
        return DROP_STORE;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, nonce);
    db_bind_i64(q, 4, env_clock(env).us);
    db_bind_sum(q, 5, "dev_nonce");
    if (env_run(env, q) != OK)
        return DROP_STORE;
    return db_changes(env->db) > 0 ? PASS : DROP_DEVNONCE;
}

static enum err keep_join_nonce(struct env *env, const struct device *d)
{
    struct db_query *q = env_query(env, "INSERT INTO join_state (tenant, dev_eui, join_nonce, sum) VALUES ($1, $2, $3, $4) "
                                        "ON CONFLICT (tenant, dev_eui) DO UPDATE SET join_nonce = excluded.join_nonce, "
                                        "sum = excluded.sum");
    assert(q);                                         /* take_nonce() has just written */
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, d->join_nonce);
    db_bind_sum(q, 4, "join_state");
    return env_run(env, q);
}

static bool set_root(const struct mac *mac, struct lora_key *key, const u8 wrapped[WRAPPED])
{
    u8 raw[16];
    if (!unwrap_key(mac, raw, wrapped))
        return false;
    lora_key_set(key, raw);
    lora_wipe(raw, sizeof raw);
    return true;
}

static void wrap_session(const struct mac *mac, struct session *s, const struct lora_session_raw *raw)
{
    const u8 *const keys[SESSION_KEYS] = { [KEY_F_NWK_S_INT] = raw->f_nwk_s_int, [KEY_S_NWK_S_INT] = raw->s_nwk_s_int,
                                           [KEY_NWK_S_ENC] = raw->nwk_s_enc,     [KEY_APP_S] = raw->app_s };
    for (int i = 0; i < SESSION_KEYS; i++) {
        bool wrapped = wrap_key(mac, s->keys[i], keys[i]);
        assert(wrapped);
    }
}

static bool derive(const struct env *env, struct session *s, const struct device *d, u32 join_nonce, u16 dev_nonce)
{
    const struct mac *mac = env->mac;
    struct lora_key app = { 0 }, nwk = { 0 };
    struct lora_session_raw raw;
    bool good = set_root(mac, &app, d->app_key);
    if (good) {
        if (s->v1_1) {
            bool opened = set_root(mac, &nwk, d->nwk_key);
            assert(opened);                            /* it has verified the request */
            lora_derive_session_1_1(&raw, &nwk, &app, join_nonce, d->join_eui, dev_nonce);
        } else {
            lora_derive_session(&raw, &app, join_nonce, mac->set.net_id, dev_nonce);
        }
        wrap_session(mac, s, &raw);
        lora_wipe(&raw, sizeof raw);
    }
    lora_key_clear(&app);
    lora_key_clear(&nwk);
    return good;
}

static bool is_1_1(const struct env *env, const struct device *d)
{
    return env->profiles.list[d->profile].version >= LORAWAN_1_1 && d->has_nwk_key;
}

/* The session as this join makes it, in nobody's table yet. */
static bool draft(const struct env *env, struct session *s, u32 device, u32 join_nonce, u16 dev_nonce)
{
    const struct device *d = &env->mac->devices[device];
    const struct profile *p = &env->profiles.list[d->profile];
    *s = (struct session){ .device            = device,
                           .fcnt_up           = -1,
                           .down_reserved     = DOWN_AHEAD,
                           .app_down_reserved = DOWN_AHEAD,
                           .rx1_delay_s       = (u8)p->rx1_delay_s,
                           .rx1_dr_offset     = (u8)MAX(p->rx1_dr_offset, 0),
                           .rx2_dr            = p->rx2_dr < 0 ? p->region->rx2_dr : (u8)p->rx2_dr,
                           .rx2_hz            = p->region->rx2_hz,
                           .dwell_up          = p->region->boot_dwell_up,
                           .dwell_down        = p->region->boot_dwell_down,
                           .v1_1              = is_1_1(env, d),
                           .used              = true };
    return derive(env, s, d, join_nonce, dev_nonce);
}

/* It waits for its first uplink beside what waits already; the current one stays. */
static enum err put_session(struct env *env, u32 *index, const struct session *made)
{
    struct mac *mac = env->mac;
    *index = session_new(env);
    struct session *s = &mac->sessions[*index];
    u32 batch = s->batch;
    *s         = *made;
    s->batch   = batch;
    s->id      = env_next_id(env);
    s->devaddr = devaddr_new(env);
    map_put(&mac->by_devaddr, s->devaddr, *index);
    session_wait(env, made->device, *index);
    return session_insert(env, s, 0);
}

/* What can be refused is refused before anything is written. */
static enum drop accept(struct env *env, const struct lora_join_request *r, u32 device, const struct frame *frame)
{
    struct device *d = &env->mac->devices[device];
    struct session made;
    u32 session;
    if (frame->kept_us > (LORA_JOIN_RX1_DELAY_S + LORA_RX2_AFTER_RX1_S) * US_PER_S)
        return DROP_JOIN_LATE;
    if (d->join_nonce >= JOIN_NONCE_MAX)
        return DROP_JOIN_SPENT;
    if (!draft(env, &made, device, d->join_nonce + 1, r->dev_nonce))
        return DROP_KEY;
    enum drop drop = take_nonce(env, d, r->dev_nonce);
    if (drop != PASS)
        return drop;
    touch_device(env, device);
    d->join_nonce++;
    if (keep_join_nonce(env, d) != OK || put_session(env, &session, &made) != OK)
        return DROP_STORE;
    struct window *w = window_open(env, WINDOW_JOIN, frame, r->mic, env->mac->set.window_us);
    if (!w)
        return DROP_NO_ROOM;
    w->id        = env->mac->sessions[session].id;
    w->device    = device;
    w->session   = session;
    w->dev_nonce = r->dev_nonce;
    env->counted[COUNT_JOINS]++;
    return PASS;
}

static bool mic_is_right(const struct env *env, const struct lora_join_request *r, const struct device *d, bool *key_bad)
{
    struct lora_key key = { 0 };
    *key_bad = !set_root(env->mac, &key, is_1_1(env, d) ? d->nwk_key : d->app_key);
    bool right = !*key_bad && lora_mic_plain(&key, r->signed_part) == r->mic;
    lora_key_clear(&key);
    return right;
}

/* All 65,536 given, or, where they count, the last of them: no join is possible any more (promises R5). */
static bool nonces_are_spent(struct env *env, const struct device *d)
{
    struct db_query *q = env_query(env, "SELECT COUNT(*), MAX(nonce) FROM dev_nonce WHERE tenant = $1 AND dev_eui = $2");
    assert(q);                                         /* take_nonce() has just asked */
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    bool counts = profile_nonce_counts(&env->profiles.list[d->profile]);
    bool spent  = db_step(q) == OK && (counts ? db_i64(q, 1) == UINT16_MAX : db_i64(q, 0) > UINT16_MAX);
    db_reset(q);
    return spent;
}

static enum drop refuse(struct env *env, const struct device *d, enum drop drop, const struct lora_join_request *r,
                        const struct frame *frame)
{
    struct str spent = drop == DROP_DEVNONCE && nonces_are_spent(env, d)
                           ? S(": all of its DevNonces were used; it cannot join again before it has another root key")
                           : S("");
    mac_refuse(env, d ? d->tenant : 1, d ? d->dev_eui : 0, drop, frame->radio.gateway,
               str_fmt(&env->event, "DevEUI %016llx JoinEUI %016llx DevNonce %u%.*s", (unsigned long long)r->dev_eui,
                       (unsigned long long)r->join_eui, (unsigned)r->dev_nonce, STR(spent)));
    return drop;
}

enum drop mac_join(struct env *env, const struct frame *frame)
{
    struct lora_join_request r;
    enum lora_err err = lora_join_request_parse(&r, frame->phy);
    if (err != LORA_OK)
        return err == LORA_BAD_MAJOR ? DROP_MAJOR : err == LORA_TOO_LONG ? DROP_TOO_LONG : DROP_TRUNCATED;
    struct window *w = window_of_copy(env->mac, frame->phy, r.mic);
    if (w) {
        if (w->open)
            window_add(w, frame);
        return DROP_JOIN_REPEATED;
    }
    u32 device = registry_find(env, r.dev_eui);
    const struct device *d = device == MAC_NONE ? NULL : &env->mac->devices[device];
    bool key_bad;
    if (env->failed != OK)
        return DROP_STORE;
    if (!d || d->join_eui != r.join_eui)
        return refuse(env, NULL, DROP_UNKNOWN_DEVICE, &r, frame);
    if (!mic_is_right(env, &r, d, &key_bad))
        return refuse(env, d, key_bad ? DROP_KEY : DROP_JOIN_MIC, &r, frame);
    enum drop drop = accept(env, &r, device, frame);
    return drop == PASS ? PASS : refuse(env, d, drop, &r, frame);
}
