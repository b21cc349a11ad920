// SPDX-License-Identifier: Apache-2.0
/*
 * OTAA (LoRaWAN 1.0.3, 6.2; 1.1, 6.2). The MIC before any write. A DevNonce is never forgotten; a late
 * copy of the same join-request is a copy, not a reused nonce. The new session waits beside the old
 * one until the first uplink under it.
 */
#include "mac/inside.h"

static bool nonce_is_new(struct env *env, const struct device *d, u16 nonce)
{
    bool counts = env->profiles.list[d->profile].nonce_counts;
    struct db_query *q = env_query(env, counts ? "SELECT tenant, dev_eui, nonce, joined_us, sum FROM dev_nonce WHERE tenant = $1 AND dev_eui = $2 AND "
                                                 "nonce >= $3 LIMIT 1"
                                               : "SELECT tenant, dev_eui, nonce, joined_us, sum FROM dev_nonce WHERE tenant = $1 AND dev_eui = $2 AND "
                                                 "nonce = $3");
    if (!q)
        return false;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, nonce);
    enum err err = db_step(q);
    if (err == OK)
        (void)db_row_good(q, 0, 4, "dev_nonce", 3);    /* noted; a damaged row still counts as used */
    db_reset(q);
    if (err != OK && err != ERR_NOT_FOUND)
        env->failed = err;
    return err == ERR_NOT_FOUND;
}

static enum err keep_nonces(struct env *env, const struct device *d, u16 nonce, u32 join_nonce)
{
    struct db_query *q =
        env_query(env, "INSERT INTO dev_nonce (tenant, dev_eui, nonce, joined_us, sum) VALUES ($1, $2, $3, $4, $5)");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, nonce);
    db_bind_i64(q, 4, env_clock(env).us);
    db_bind_sum(q, 5);
    enum err err = env_run(env, q);
    q = env_query(env, "INSERT INTO join_state (tenant, dev_eui, join_nonce, sum) VALUES ($1, $2, $3, $4) "
                       "ON CONFLICT (tenant, dev_eui) DO UPDATE SET join_nonce = excluded.join_nonce, sum = excluded.sum");
    if (err != OK || !q)
        return err != OK ? err : env->failed;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, join_nonce);
    db_bind_sum(q, 4);
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

static bool wrap_session(const struct mac *mac, struct session *s, const struct lora_session_raw *raw)
{
    return wrap_key(mac, s->keys[KEY_F_NWK_S_INT], raw->f_nwk_s_int) &&
           wrap_key(mac, s->keys[KEY_S_NWK_S_INT], raw->s_nwk_s_int) &&
           wrap_key(mac, s->keys[KEY_NWK_S_ENC], raw->nwk_s_enc) && wrap_key(mac, s->keys[KEY_APP_S], raw->app_s);
}

static bool derive(struct env *env, struct session *s, const struct device *d, u16 dev_nonce)
{
    struct mac *mac = env->mac;
    struct lora_key app = { 0 }, nwk = { 0 };
    struct lora_session_raw raw;
    bool good = set_root(mac, &app, d->app_key) && (!s->v1_1 || set_root(mac, &nwk, d->nwk_key));
    if (good && s->v1_1)
        lora_derive_session_1_1(&raw, &nwk, &app, d->join_nonce, d->join_eui, dev_nonce);
    else if (good)
        lora_derive_session(&raw, &app, d->join_nonce, mac->set.net_id, dev_nonce);
    good = good && wrap_session(mac, s, &raw);
    lora_wipe(&raw, sizeof raw);
    lora_key_clear(&app);
    lora_key_clear(&nwk);
    return good;
}

/* A second join before the first uplink replaces the pending session; the current one stays. */
static enum drop make_session(struct env *env, u32 device, u16 dev_nonce, u32 *index)
{
    struct mac *mac = env->mac;
    struct device *d = &mac->devices[device];
    const struct profile *p = &env->profiles.list[d->profile];
    if (d->session[1] != MAC_NONE)
        session_drop(env, d->session[1]);
    d->session[1] = *index = session_new(env);
    struct session *s = &mac->sessions[*index];
    s->id            = env_next_id(env);
    s->device        = device;
    s->devaddr       = devaddr_new(env);
    s->down_reserved = s->app_down_reserved = DOWN_AHEAD;
    s->rx1_delay_s   = (u8)p->rx1_delay_s;
    s->rx2_dr        = p->region->rx2_dr;
    s->rx2_hz        = p->region->rx2_hz;
    s->dwell_up      = p->region->boot_dwell_up;
    s->dwell_down    = p->region->boot_dwell_down;
    s->v1_1          = p->lorawan_1_1 && d->has_nwk_key;
    if (!derive(env, s, d, dev_nonce)) {
        s->used = false;
        d->session[1] = MAC_NONE;
        return DROP_KEY;
    }
    map_put(&mac->by_devaddr, s->devaddr, *index);
    return session_insert(env, s, 0) == OK ? PASS : DROP_STORE;
}

static enum drop accept(struct env *env, const struct lora_join_request *r, u32 device, const struct frame *frame)
{
    struct device *d = &env->mac->devices[device];
    u32 session;
    touch_device(env, device);
    d->join_nonce++;
    enum drop drop = make_session(env, device, r->dev_nonce, &session);
    if (drop != PASS)
        return drop;
    if (keep_nonces(env, d, r->dev_nonce, d->join_nonce) != OK)
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

static bool mic_is_right(struct env *env, const struct lora_join_request *r, const struct device *d, bool *key_bad)
{
    struct lora_key key = { 0 };
    bool v1_1 = env->profiles.list[d->profile].lorawan_1_1 && d->has_nwk_key;
    *key_bad = !set_root(env->mac, &key, v1_1 ? d->nwk_key : d->app_key);
    bool right = !*key_bad && lora_mic_plain(&key, r->signed_part) == r->mic;
    lora_key_clear(&key);
    return right;
}

static enum drop refuse(struct env *env, const struct device *d, enum drop drop, const struct lora_join_request *r,
                        const struct frame *frame)
{
    mac_refuse(env, d ? d->tenant : 1, d ? d->dev_eui : 0, drop, frame->radio.gateway,
               str_fmt(&env->event, "DevEUI %016llx JoinEUI %016llx DevNonce %u", (unsigned long long)r->dev_eui,
                       (unsigned long long)r->join_eui, (unsigned)r->dev_nonce));
    return drop;
}

enum drop mac_join(struct env *env, const struct frame *frame)
{
    struct lora_join_request r;
    enum lora_err err = lora_join_request_parse(&r, frame->phy);
    if (err != LORA_OK)
        return err == LORA_BAD_MAJOR ? DROP_MAJOR : err == LORA_TOO_LONG ? DROP_TOO_LONG : DROP_TRUNCATED;
    struct window *w = window_of_copy(env->mac, frame->phy, r.mic);
    if (w && w->kind == WINDOW_JOIN) {
        if (w->open)
            window_add(w, &frame->radio);
        return DROP_JOIN_REPEATED;
    }
    u32 device = map_get(&env->mac->by_eui, r.dev_eui);
    const struct device *d = device == MAP_NONE ? NULL : &env->mac->devices[device];
    bool key_bad;
    if (!d || d->join_eui != r.join_eui)
        return refuse(env, NULL, DROP_UNKNOWN_DEVICE, &r, frame);
    if (!mic_is_right(env, &r, d, &key_bad))
        return refuse(env, d, key_bad ? DROP_KEY : DROP_JOIN_MIC, &r, frame);
    if (!nonce_is_new(env, d, r.dev_nonce))
        return env->failed != OK ? DROP_STORE : refuse(env, d, DROP_DEVNONCE, &r, frame);
    return accept(env, &r, device, frame);
}
