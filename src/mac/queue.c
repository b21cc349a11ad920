// SPDX-License-Identifier: Apache-2.0
/*
 * Downlinks as rows: each is sent once, or ends in a state with a reason. "offered" is committed
 * before the gateway hears of it; what a crash leaves offered becomes "unknown", never sent again.
 */
#include "mac/inside.h"

/* The whole row, new or not: its checksum spans all of it. */
enum err down_put(struct env *env, const struct down_row *r)
{
    struct db_query *q = env_query(env, "INSERT INTO downlink (tenant, dev_eui, id, kind, state, confirmed, fport, payload, "
                                        "expires_us, sent_us, fcnt, gateway, mac, reason, sum) "
                                        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) "
                                        "ON CONFLICT (tenant, dev_eui, id) DO UPDATE SET state = excluded.state, "
                                        "sent_us = excluded.sent_us, fcnt = excluded.fcnt, gateway = excluded.gateway, "
                                        "mac = excluded.mac, reason = excluded.reason, sum = excluded.sum");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, r->tenant);
    db_bind_i64(q, 2, r->dev_eui);
    db_bind_i64(q, 3, r->id);
    db_bind_i64(q, 4, r->kind);
    db_bind_i64(q, 5, r->state);
    db_bind_i64(q, 6, r->confirmed);
    db_bind_i64(q, 7, r->fport);
    db_bind_bytes(q, 8, r->payload);
    db_bind_i64(q, 9, r->expires_us);
    db_bind_i64(q, 10, r->sent_us);
    db_bind_i64(q, 11, r->fcnt);
    db_bind_i64(q, 12, r->gateway);
    db_bind_str(q, 13, r->mac);
    db_bind_str(q, 14, r->reason);
    db_bind_sum(q, 15, "downlink");
    return env_run(env, q);
}

/* False: damaged. What may have been sent is not sent again on the word of a broken row. */
bool down_read(struct down_row *out, struct db_query *q, struct arena *arena)
{
    *out = (struct down_row){ .tenant     = db_i64(q, 0),
                              .dev_eui    = db_i64(q, 1),
                              .id         = db_i64(q, 2),
                              .kind       = db_i64(q, 3),
                              .state      = db_i64(q, 4),
                              .confirmed  = db_i64(q, 5),
                              .fport      = db_i64(q, 6),
                              .payload    = bytes_copy(arena, db_bytes(q, 7)),
                              .expires_us = db_i64(q, 8),
                              .sent_us    = db_i64(q, 9),
                              .fcnt       = db_i64(q, 10),
                              .gateway    = db_i64(q, 11),
                              .mac        = str_copy(arena, db_str(q, 12)),
                              .reason     = str_copy(arena, db_str(q, 13)) };
    return down_good(q, 0);
}

bool down_find(struct env *env, struct down_row *out, u64 tenant, u64 dev_eui, i64 id)
{
    struct db_query *q = env_query(env, "SELECT " DOWN_ROW("") " FROM downlink WHERE tenant = $1 AND dev_eui = $2 AND "
                                        "id = $3");
    if (!q)
        return false;
    db_bind_i64(q, 1, (i64)tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    db_bind_i64(q, 3, id);
    enum err err = db_step(q);
    bool found = err == OK && down_read(out, q, &env->batch);
    if (err != OK && err != ERR_NOT_FOUND)
        env->failed = err;
    db_reset(q);
    return found;
}

/* The oldest that waits; a damaged one is passed over. */
bool down_oldest(struct env *env, struct down_row *out, u64 tenant, u64 dev_eui)
{
    struct db_query *q = env_query(env, "SELECT " DOWN_ROW("") " FROM downlink WHERE tenant = $1 AND dev_eui = $2 AND "
                                        "state = 0 ORDER BY id LIMIT 64");
    bool found = false;
    enum err err = OK;
    if (!q)
        return false;
    db_bind_i64(q, 1, (i64)tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    while (!found && (err = db_step(q)) == OK)
        found = down_read(out, q, &env->batch);
    if (err != OK && err != ERR_NOT_FOUND)
        env->failed = err;
    db_reset(q);
    return found;
}

enum err down_insert(struct env *env, const struct device *d, enum down_kind kind, i64 id, enum down_state state,
                     bool confirmed, int fport, struct bytes payload, i64 expires_us, i64 fcnt, u64 gateway,
                     struct str mac_words, struct str reason)
{
    struct down_row row = { d->tenant, (i64)d->dev_eui, id, kind, state, confirmed, fport, expires_us,
                            state == DOWN_QUEUED ? 0 : env_clock(env).us, fcnt, (i64)gateway, payload, mac_words, reason };
    enum err err = down_put(env, &row);
    return err == OK ? mac_mark_write(env, DOWN_MARK, id) : err;
}

enum err mac_downlink_add(struct env *env, const struct downlink_new *in, i64 *id, struct str *why)
{
    u32 device = registry_find(env, in->dev_eui);
    *why = S("");
    if (device == MAC_NONE || env->mac->devices[device].tenant != in->tenant)
        return env->failed != OK ? env->failed : ERR_NOT_FOUND;
    struct device *d = &env->mac->devices[device];
    if (in->fport < 1 || in->fport > 223) {
        *why = S("fport is 1 to 223: 0 belongs to MAC commands, 224 and above are reserved");
        return ERR_INVALID;
    }
    if (in->payload.n > LORA_PAYLOAD_MAX) {
        *why = S("payload is longer than 242 bytes, the most any data rate carries");
        return ERR_TOO_LARGE;
    }
    if (d->queued >= QUEUE_MAX) {
        *why = S("64 downlinks wait for this device already");
        return ERR_FULL;
    }
    i64 expires_us = MIN(in->expires_us, env_clock(env).us + DOWN_LIFE_US);
    *id = env_next_id(env);
    enum err err = down_insert(env, d, DOWN_DATA, *id, DOWN_QUEUED, in->confirmed, in->fport, in->payload, expires_us, -1, 0,
                               S(""), S(""));
    touch_device(env, device);
    d->queued++;
    return err;
}

void mac_downlink_result(struct env *env, u64 tenant, u64 dev_eui, i64 id, enum down_state state, struct str reason,
                         u64 gateway)
{
    u32 device = map_get(&env->mac->by_eui, dev_eui);
    if (state == DOWN_EXPIRED && device != MAP_NONE) {
        touch_device(env, device);
        env->mac->devices[device].queued--;
    }
    /* A confirmed one that the device acknowledged meanwhile stays confirmed. */
    struct down_row row;
    if (!down_find(env, &row, tenant, dev_eui, id) || row.state >= DOWN_CONFIRMED)
        return;
    row.state   = state;
    row.reason  = reason;
    row.gateway = gateway ? (i64)gateway : row.gateway;
    (void)down_put(env, &row);
}

/* The uplink after a confirmed downlink says whether it was heard. */
void queue_settle_ack(struct env *env, u32 session, const struct lora_frame *frame)
{
    struct session *s = &env->mac->sessions[session];
    const struct device *d = &env->mac->devices[s->device];
    if (s->awaits == 0)
        return;
    if (frame->fctrl & FCTRL_ACK)
        mac_downlink_result(env, d->tenant, d->dev_eui, s->awaits, DOWN_CONFIRMED, S(""), 0);
    else
        mac_downlink_result(env, d->tenant, d->dev_eui, s->awaits, DOWN_FAILED,
                            S("the device's next uplink did not acknowledge it"), 0);
    touch_session(env, session);
    s->awaits = 0;
}

static enum err count_queued(struct env *env)
{
    struct db_query *q = db_query(env->db, "SELECT dev_eui, COUNT(*) FROM downlink WHERE state = 0 GROUP BY tenant, dev_eui");
    enum err err;
    while ((err = db_step(q)) == OK) {
        u32 device = map_get(&env->mac->by_eui, (u64)db_i64(q, 0));
        if (device != MAP_NONE)
            env->mac->devices[device].queued = (u8)MIN(db_i64(q, 1), QUEUE_MAX);
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Its acknowledgement may come after the start, and is then as good. */
static void await_again(struct env *env, const struct down_row *row)
{
    struct mac *mac = env->mac;
    u32 device = row->confirmed ? map_get(&mac->by_eui, (u64)row->dev_eui) : MAP_NONE;
    u32 session = device == MAP_NONE ? MAC_NONE : mac->devices[device].session[0];
    if (session != MAC_NONE && mac->sessions[session].id < row->id)
        mac->sessions[session].awaits = MAX(mac->sessions[session].awaits, row->id);
}

enum err queue_load(struct env *env)
{
    struct db_query *q = env_query(env, "SELECT " DOWN_ROW("") " FROM downlink WHERE state = 1");
    struct open { struct open *next; struct down_row row; } *first = NULL;
    struct down_row row;
    enum err err = q ? OK : env->failed;
    while (err == OK && (err = db_step(q)) == OK)
        if (down_read(&row, q, &env->batch)) {
            struct open *o = arena_new(&env->batch, struct open);
            *o = (struct open){ first, row };
            first = o;
        }
    err = err == ERR_NOT_FOUND ? OK : err;
    for (struct open *o = first; o && err == OK; o = o->next) {
        o->row.state  = DOWN_UNKNOWN;
        o->row.reason = S("the server stopped before the gateway answered; it is not sent again");
        err = down_put(env, &o->row);
        await_again(env, &o->row);
    }
    return err == OK ? count_queued(env) : err;
}
