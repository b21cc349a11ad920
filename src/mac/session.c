// SPDX-License-Identifier: Apache-2.0
/*
 * Sessions: keys stay wrapped (RFC 3394) in the store and in memory; expanded ones live in a cache of
 * fixed size. Counters: FCntUp is rolled forward from the uplink events; FCntDown is reserved ahead
 * in rows, so that after a crash the next value was never used (promises R3, R4).
 */
#include "mac/inside.h"

#define NEAR 4                        /* devices in between that have no row */

bool wrap_key(const struct mac *mac, u8 out[WRAPPED], const u8 raw[16])
{
    return lora_key_wrap(out, (struct bytes){ mac->kek, mac->kek_n }, (struct bytes){ raw, 16 });
}

bool unwrap_key(const struct mac *mac, u8 out[16], const u8 wrapped[WRAPPED])
{
    return lora_key_unwrap(out, (struct bytes){ mac->kek, mac->kek_n }, (struct bytes){ wrapped, WRAPPED });
}

/* Direct-mapped: the four keys of one session stand in four places, so they never push each other out. */
const struct lora_key *session_key(struct mac *mac, u32 session, enum which_key which)
{
    u32 name = session * SESSION_KEYS + which;
    struct cached_key *c = &mac->keys[name & (mac->set.keys_cached - 1)];
    if (c->session == name && c->generation == mac->generation)
        return &c->key;
    u8 raw[16];
    if (!unwrap_key(mac, raw, mac->sessions[session].keys[which]))
        return NULL;
    lora_key_set(&c->key, raw);
    lora_wipe(raw, sizeof raw);
    c->session    = name;
    c->generation = mac->generation;
    return &c->key;
}

static void forget_keys(struct mac *mac, u32 session)
{
    for (u32 which = 0; which < SESSION_KEYS; which++) {
        u32 name = session * SESSION_KEYS + which;
        struct cached_key *c = &mac->keys[name & (mac->set.keys_cached - 1)];
        if (c->session == name && lora_key_is_set(&c->key)) {
            lora_key_clear(&c->key);
            c->generation = mac->generation - 1;
        }
    }
}

bool session_keys(struct mac *mac, struct lora_session *out, u32 session)
{
    const struct session *s = &mac->sessions[session];
    out->v1_1        = s->v1_1;
    out->f_nwk_s_int = session_key(mac, session, KEY_F_NWK_S_INT);
    out->s_nwk_s_int = s->v1_1 ? session_key(mac, session, KEY_S_NWK_S_INT) : out->f_nwk_s_int;
    out->nwk_s_enc   = s->v1_1 ? session_key(mac, session, KEY_NWK_S_ENC) : out->f_nwk_s_int;
    out->app_s       = session_key(mac, session, KEY_APP_S);
    return out->f_nwk_s_int && out->s_nwk_s_int && out->nwk_s_enc && out->app_s;
}

u32 session_new(struct env *env)
{
    struct mac *mac = env->mac;
    u32 index;
    if (mac->free_n > 0) {
        index = mac->free_sessions[--mac->free_n];
        forget_keys(mac, index);
    } else {
        struct session *s = pool_at((void **)&mac->sessions, &mac->sessions_n, &mac->sessions_room, sizeof *s);
        index = (u32)(s - mac->sessions);
    }
    struct session *s = &mac->sessions[index];
    u32 batch = s->batch;
    *s = (struct session){ .fcnt_up = -1, .device = MAC_NONE, .batch = batch };
    touch_session(env, index);                      /* as it was: not in use */
    s->used = true;
    return index;
}

void session_drop(struct env *env, u32 index)
{
    struct mac *mac = env->mac;
    struct session *s = &mac->sessions[index];
    touch_session(env, index);
    (void)map_remove(&mac->by_devaddr, s->devaddr, index);
    forget_keys(mac, index);
    s->used = false;
    *(u32 *)pool_at((void **)&mac->freed_now, &mac->freed_n, &mac->freed_room, sizeof(u32)) = index;
    struct db_query *q = env_query(env, "DELETE FROM session WHERE tenant = $1 AND dev_eui = $2 AND id = $3");
    if (!q)
        return;
    db_bind_i64(q, 1, mac->devices[s->device].tenant);
    db_bind_i64(q, 2, (i64)mac->devices[s->device].dev_eui);
    db_bind_i64(q, 3, s->id);
    (void)env_run(env, q);
}

/* One device an address while the block lasts: 25 random bits, again when taken. */
u32 devaddr_new(struct env *env)
{
    for (int tries = 0;; tries++) {
        u32 number;
        env->random(env->world, (u8 *)&number, sizeof number);
        u32 devaddr = lora_devaddr_make(env->mac->set.net_id, number);
        if (map_get(&env->mac->by_devaddr, devaddr) == MAP_NONE || tries == 64)
            return devaddr;
    }
}

/* What the talk about its radio ended with, and the counter that an acknowledgement of 1.1 has in its MIC, stand above
 * the bits of the dwell: a program that does not know them goes on using the store. */
#define SETTLED_SHIFT   3
#define CONF_DOWN_SHIFT 16

static void bind_wrapped(struct db_query *q, int at, const struct session *s, enum which_key which)
{
    if (which == KEY_F_NWK_S_INT || which == KEY_APP_S || s->v1_1)
        db_bind_bytes(q, at, (struct bytes){ s->keys[which], WRAPPED });
    else
        db_bind_null(q, at);
}

/* The whole row, new or not: its checksum spans all of it. */
enum err session_insert(struct env *env, const struct session *s, int state)
{
    const struct device *d = &env->mac->devices[s->device];
    assert(s->row == ROW_READ);
    struct db_query *q = env_query(
        env, "INSERT INTO session (tenant, dev_eui, id, state, devaddr, f_nwk_s_int_key, s_nwk_s_int_key, nwk_s_enc_key, "
             "app_s_key, down_reserved, app_down_reserved, rx1_delay_s, rx1_dr_offset, rx2_dr, rx2_hz, dwell, sum) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) "
             "ON CONFLICT (tenant, dev_eui, id) DO UPDATE SET state = excluded.state, devaddr = excluded.devaddr, "
             "f_nwk_s_int_key = excluded.f_nwk_s_int_key, s_nwk_s_int_key = excluded.s_nwk_s_int_key, "
             "nwk_s_enc_key = excluded.nwk_s_enc_key, app_s_key = excluded.app_s_key, "
             "down_reserved = excluded.down_reserved, app_down_reserved = excluded.app_down_reserved, "
             "rx1_delay_s = excluded.rx1_delay_s, rx1_dr_offset = excluded.rx1_dr_offset, rx2_dr = excluded.rx2_dr, "
             "rx2_hz = excluded.rx2_hz, dwell = excluded.dwell, sum = excluded.sum");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, s->id);
    db_bind_i64(q, 4, state);
    db_bind_i64(q, 5, s->devaddr);
    bind_wrapped(q, 6, s, KEY_F_NWK_S_INT);
    bind_wrapped(q, 7, s, KEY_S_NWK_S_INT);
    bind_wrapped(q, 8, s, KEY_NWK_S_ENC);
    bind_wrapped(q, 9, s, KEY_APP_S);
    db_bind_i64(q, 10, s->down_reserved);
    db_bind_i64(q, 11, s->app_down_reserved);
    db_bind_i64(q, 12, s->rx1_delay_s);
    db_bind_i64(q, 13, s->rx1_dr_offset);
    db_bind_i64(q, 14, s->rx2_dr);
    db_bind_i64(q, 15, s->rx2_hz);
    db_bind_i64(q, 16, (s->dwell_up ? 1 : 0) | (s->dwell_down ? 2 : 0) | (s->dwell_known ? 4 : 0) |
                           (i64)s->settled << SETTLED_SHIFT |
                           (i64)s->conf_down << CONF_DOWN_SHIFT);
    db_bind_sum(q, 17, "session");
    return env_run(env, q);
}

enum err session_save(struct env *env, u32 index)
{
    const struct session *s = &env->mac->sessions[index];
    return session_insert(env, s, env->mac->devices[s->device].session[0] == index);
}

/*
 * Sessions that wait, newest first. Which join-accept the device heard nobody knows before it speaks: a
 * join-request that somebody repeats, or a gateway kept, may be accepted after the one that counts. So
 * all of them wait, up to a few, and the first uplink decides.
 */
static u32 next_older(const struct mac *mac, u32 index)
{
    return mac->sessions[index].older - 1;                   /* none: MAC_NONE */
}

static void drop_from(struct env *env, u32 index)
{
    for (u32 older; index != MAC_NONE; index = older) {
        older = next_older(env->mac, index);
        session_drop(env, index);
    }
}

void session_wait(struct env *env, u32 device, u32 index)
{
    struct mac *mac = env->mac;
    u32 at = index;
    touch_device(env, device);
    mac->sessions[index].older      = mac->devices[device].session[1] + 1;
    mac->devices[device].session[1] = index;
    for (int n = 1; n < WAITING_MAX && at != MAC_NONE; n++)
        at = next_older(mac, at);
    if (at == MAC_NONE || next_older(mac, at) == MAC_NONE)
        return;
    drop_from(env, next_older(mac, at));
    touch_session(env, at);
    mac->sessions[at].older = 0;
}

/* Takes it and all that are older out of the waiting ones. */
static void cut_waiting(struct env *env, u32 device, u32 index)
{
    struct mac *mac = env->mac;
    u32 at = mac->devices[device].session[1];
    if (at == index) {
        mac->devices[device].session[1] = MAC_NONE;
        return;
    }
    while (next_older(mac, at) != index)
        at = next_older(mac, at);
    touch_session(env, at);
    mac->sessions[at].older = 0;
}

/* LoRaWAN 1.0.3, 6.2.4: the old context ends with the first uplink under the new one, not before. What waited
 * when it was made ends with it; what came later waits on. */
enum err session_promote(struct env *env, u32 device, u32 index)
{
    struct device *d = &env->mac->devices[device];
    touch_device(env, device);
    touch_session(env, index);
    cut_waiting(env, device, index);
    drop_from(env, next_older(env->mac, index));
    if (d->session[0] != MAC_NONE)
        session_drop(env, d->session[0]);
    env->mac->sessions[index].older = 0;
    d->session[0] = index;
    return session_save(env, index);
}

/* The row first, the values after its commit: every send follows the commit of its own batch. A counter
 * that has come to the end of its 32 bits encrypts nothing more: the device has to join again. */
enum err session_reserve(struct env *env, u32 index)
{
    struct session *s = &env->mac->sessions[index];
    if (MAX(s->down_next, s->app_down_next) >= DOWN_SPENT)            /* 2^32 frames, or a restore (restore.c) */
        return ERR_TOO_LARGE;
    if (s->down_next + 4 <= s->down_reserved && (!s->v1_1 || s->app_down_next + 4 <= s->app_down_reserved))
        return OK;
    touch_session(env, index);
    s->down_reserved = s->down_next + DOWN_AHEAD;
    if (s->v1_1)
        s->app_down_reserved = s->app_down_next + DOWN_AHEAD;
    return session_save(env, index);
}

/* ------------------------------------------------------------------ at start */

static void take_session(struct session *s, struct db_query *q)
{
    static const int columns[SESSION_KEYS] = { 5, 6, 7, 8 };
    i64 dwell = db_i64(q, 15);
    s->down_next     = s->down_reserved     = (u32)db_i64(q, 9);         /* jumps over all that may have been used */
    s->app_down_next = s->app_down_reserved = (u32)db_i64(q, 10);
    s->rx1_delay_s   = (u8)db_i64(q, 11);
    s->rx1_dr_offset = (u8)db_i64(q, 12);
    s->rx2_dr        = (u8)db_i64(q, 13);
    s->rx2_hz        = (u32)db_i64(q, 14);
    s->dwell_up      = dwell & 1;
    s->dwell_down    = dwell & 2;
    s->dwell_known   = dwell & 4;
    s->settled       = (u8)(dwell >> SETTLED_SHIFT);
    s->conf_down     = (u16)(dwell >> CONF_DOWN_SHIFT);
    s->v1_1          = !db_is_null(q, 6);
    for (int i = 0; i < SESSION_KEYS; i++) {
        struct bytes wrapped = db_bytes(q, columns[i]);
        if (wrapped.n == WRAPPED)
            memcpy(s->keys[i], wrapped.p, WRAPPED);
    }
}

/* By what it was found at start is part of what its sum is over: it must be the same now. */
static bool is_what_was_found(const struct mac *mac, u32 index, struct db_query *q)
{
    const struct session *s = &mac->sessions[index];
    return (u32)db_i64(q, 4) == s->devaddr && (db_i64(q, 3) == 1) == (mac->devices[s->device].session[0] == index);
}

static enum err read_session(struct env *env, u32 index)
{
    struct session *s = &env->mac->sessions[index];
    const struct device *d = &env->mac->devices[s->device];
    struct db_query *q = db_query(env->db, "SELECT " SESSION_ROW("") " FROM session WHERE tenant = $1 AND dev_eui = $2 AND "
                                           "id = $3");
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, s->id);
    enum err err = db_step(q);
    if (err == OK) {
        s->row = session_good(q, 0) && is_what_was_found(env->mac, index, q) ? ROW_READ : ROW_DAMAGED;
        take_session(s, q);
    }
    db_reset(q);
    if (err != ERR_NOT_FOUND)
        return err;
    s->row = ROW_DAMAGED;
    db_damage_note(env->db, "session", str_fmt(&env->event, "tenant %u, dev_eui %016llX, id %lld", d->tenant,
                                               (unsigned long long)d->dev_eui, (long long)s->id));
    return OK;
}

bool session_ready(struct env *env, u32 index)
{
    struct session *s = &env->mac->sessions[index];
    if (!device_ready(env, s->device))
        return false;
    enum err err = s->row == ROW_UNREAD ? read_session(env, index) : OK;
    if (err != OK && env->failed == OK)
        env->failed = err;
    return s->row == ROW_READ;
}

/* Rows come in the order in which the devices were read (SQLite; another database may have its own), so
 * the next one is the last one's or stands close behind it: no look into a map for each of a million. */
static u32 device_from(const struct mac *mac, u32 last, u64 dev_eui)
{
    for (u32 i = last; i < mac->devices_n && i < last + NEAR; i++)
        if (mac->devices[i].dev_eui == dev_eui)
            return i;
    return map_get(&mac->by_eui, dev_eui);
}

static enum err load_states(struct env *env, bool *damaged)
{
    struct mac *mac = env->mac;
    struct db_query *q = db_query(env->db, "SELECT " STATE_ROW("") " FROM device_state");
    enum err err;
    u32 last = 0;
    while ((err = db_step(q)) == OK) {
        if (!state_good(q, 0)) {
            *damaged = true;
            continue;
        }
        u32 device = device_from(mac, last, (u64)db_i64(q, 1));
        if (device == MAP_NONE)
            continue;
        struct device *d = &mac->devices[last = device];
        d->state_known   = true;
        d->last_uplink   = db_i64(q, 2);
        d->battery_pct   = (i8)db_i64(q, 5);
        if (d->session[0] != MAC_NONE && mac->sessions[d->session[0]].id == db_i64(q, 3))
            mac->sessions[d->session[0]].fcnt_up = db_i64(q, 4);
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Events younger than the mark, in their order: the rows that are written behind catch up with them. */
static enum err roll_forward(struct env *env, i64 mark)
{
    struct mac *mac = env->mac;
    i64 rolled = 0;
    enum err err;
    struct db_query *q = db_query(env->db, "SELECT " UPLINK_ROW("u.") " FROM tenant t CROSS JOIN uplink u "
                                           "WHERE u.tenant = t.number AND u.id > $1 ORDER BY t.number, u.id");
    db_bind_i64(q, 1, mark);
    while ((err = db_step(q)) == OK) {
        u32 device = uplink_good(q, 0) ? map_get(&mac->by_eui, (u64)db_i64(q, 2)) : MAP_NONE;
        if (device == MAP_NONE)
            continue;
        struct device *d = &mac->devices[device];
        d->last_uplink   = MAX(d->last_uplink, db_i64(q, 1));
        if (d->session[0] != MAC_NONE && mac->sessions[d->session[0]].id == db_i64(q, 3))
            mac->sessions[d->session[0]].fcnt_up = MAX(mac->sessions[d->session[0]].fcnt_up, db_i64(q, 4));
        mark_dirty(env, device);
        rolled++;
    }
    if (rolled > 0)
        log_line(LOG_INFO, "start rolled_forward=%lld uplinks", (long long)rolled);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Retention may have taken events of these sessions: what is left of them does not say how far they were. */
static void drop_uncertain(struct env *env, i64 cut)
{
    for (u32 i = 0; i < env->mac->devices_n; i++) {
        struct device *d = &env->mac->devices[i];
        if (d->state_known || d->session[0] == MAC_NONE || env->mac->sessions[d->session[0]].id > cut)
            continue;
        session_drop(env, d->session[0]);
        d->session[0] = MAC_NONE;
        (void)mac_mark_write(env, "ended", env_clock(env).us);
    }
}

/* A mark, or what is to be believed where it is damaged. */
static enum err read_mark(struct env *env, const char *name, i64 *value, i64 otherwise, bool *damaged)
{
    enum err err = mac_mark_read(env->db, name, value);
    if (err != ERR_INVALID)
        return err;
    *value   = otherwise;
    *damaged = true;
    return OK;
}

/*
 * How far the counters were: the rows behind, and the events younger than the mark. Where one of those
 * rows or the mark itself is damaged, all events are read instead; and where events are gone already,
 * a session whose row is gone too ends, because nobody can say any more what it has accepted.
 */
static enum err counters_load(struct env *env)
{
    bool damaged = false, cut_damaged;
    i64  mark, cut;
    enum err err = load_states(env, &damaged);
    if (err == OK)
        err = read_mark(env, "cut", &cut, INT64_MAX, &cut_damaged);
    if (err == OK)
        err = read_mark(env, "rolled", &mark, 0, &damaged);
    if (err == OK)
        err = roll_forward(env, damaged ? 0 : mark);
    if (err == OK && damaged)
        drop_uncertain(env, cut);
    return err;
}

/* Rows come in no certain order: the higher id is the newer one. */
static void load_waiting(struct mac *mac, struct device *d, u32 index)
{
    u32 newer = MAC_NONE, at = d->session[1];
    for (; at != MAC_NONE && mac->sessions[at].id > mac->sessions[index].id; at = next_older(mac, at))
        newer = at;
    mac->sessions[index].older = at + 1;
    if (newer == MAC_NONE)
        d->session[1] = index;
    else
        mac->sessions[newer].older = index + 1;
}

/* Two rows that say they are the current one: one of them is damaged, or its page was doubled. What is not the
 * current one then is not what was found, and nobody uses it. */
static void load_current(struct env *env, struct device *d, u32 index)
{
    u32 other = d->session[0];
    d->session[0] = index;
    if (other != MAC_NONE && !session_ready(env, index))
        d->session[0] = other;
}

/* Columns: tenant, dev_eui, id, state, devaddr. */
static enum err load_session(struct env *env, struct db_query *q, u32 *last, bool *lost)
{
    struct mac *mac = env->mac;
    u32 device = device_from(mac, *last, (u64)db_i64(q, 1)), index = mac->sessions_n;
    if (device == MAP_NONE || mac->devices[device].tenant != (u32)db_i64(q, 0)) {
        *lost = true;                          /* this row or the device's is damaged: the device has to join again */
        return OK;
    }
    struct session *s = pool_at((void **)&mac->sessions, &mac->sessions_n, &mac->sessions_room, sizeof *s);
    *s = (struct session){ .id      = db_i64(q, 2),
                           .device  = *last = device,
                           .devaddr = (u32)db_i64(q, 4),
                           .fcnt_up = -1,
                           .used    = true,
                           .row     = ROW_UNREAD };
    env->last_id = MAX(env->last_id, s->id);
    if (db_i64(q, 3) == 1)
        load_current(env, &mac->devices[device], index);
    else
        load_waiting(mac, &mac->devices[device], index);
    return env->failed;
}

/* A session of nobody: if its row is the damaged one, it has no owner whose frames would tell. */
static enum err look_at_all(struct env *env)
{
    struct db_query *q = db_query(env->db, "SELECT " SESSION_ROW("") " FROM session");
    enum err err;
    while ((err = db_step(q)) == OK)
        (void)session_good(q, 0);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err sessions_load(struct env *env)
{
    struct mac *mac = env->mac;
    bool lost = false;
    struct db_query *q = db_query(env->db, "SELECT tenant, dev_eui, id, state, devaddr FROM session");
    enum err err;
    u32 last = 0;
    while ((err = db_step(q)) == OK && (err = load_session(env, q, &last, &lost)) == OK)
        ;
    db_reset(q);
    if (err == ERR_NOT_FOUND)
        err = lost ? look_at_all(env) : OK;
    map_reserve(&mac->by_devaddr, mac->sessions_n);
    for (u32 i = 0; i < mac->sessions_n; i++)
        map_put(&mac->by_devaddr, mac->sessions[i].devaddr, i);
    return err == OK ? counters_load(env) : err;
}
