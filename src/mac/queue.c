// SPDX-License-Identifier: Apache-2.0
/*
 * Downlinks as rows: each is sent once, or ends in a state with a reason. "offered" is committed
 * before the gateway hears of it; what a crash leaves offered becomes "unknown", never sent again.
 */
#include "mac/inside.h"

enum err down_insert(struct env *env, const struct device *d, enum down_kind kind, i64 id, enum down_state state,
                     bool confirmed, int fport, struct bytes payload, i64 expires_us, i64 fcnt, u64 gateway,
                     struct str mac_words, struct str reason)
{
    struct db_query *q = env_query(env, "INSERT INTO downlink (tenant, dev_eui, id, kind, state, confirmed, fport, payload, "
                                        "expires_us, sent_us, fcnt, gateway, mac, reason) "
                                        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, id);
    db_bind_i64(q, 4, kind);
    db_bind_i64(q, 5, state);
    db_bind_i64(q, 6, confirmed);
    db_bind_i64(q, 7, fport);
    db_bind_bytes(q, 8, payload);
    db_bind_i64(q, 9, expires_us);
    db_bind_i64(q, 10, state == DOWN_QUEUED ? 0 : env_clock(env).us);
    db_bind_i64(q, 11, fcnt);
    db_bind_i64(q, 12, (i64)gateway);
    db_bind_str(q, 13, mac_words);
    db_bind_str(q, 14, reason);
    return env_run(env, q);
}

enum err mac_downlink_add(struct env *env, const struct downlink_new *in, i64 *id, struct str *why)
{
    u32 device = map_get(&env->mac->by_eui, in->dev_eui);
    *why = S("");
    if (device == MAP_NONE || env->mac->devices[device].tenant != in->tenant)
        return ERR_NOT_FOUND;
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
    *id = env_next_id(env);
    enum err err = down_insert(env, d, DOWN_DATA, *id, DOWN_QUEUED, in->confirmed, in->fport, in->payload, in->expires_us,
                               -1, 0, S(""), S(""));
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
    struct db_query *q = env_query(env, "UPDATE downlink SET state = $1, reason = $2, gateway = CASE WHEN $3 = 0 THEN "
                                        "gateway ELSE $3 END WHERE tenant = $4 AND dev_eui = $5 AND id = $6 AND state < 6");
    if (!q)
        return;
    db_bind_i64(q, 1, state);
    db_bind_str(q, 2, reason);
    db_bind_i64(q, 3, (i64)gateway);
    db_bind_i64(q, 4, (i64)tenant);
    db_bind_i64(q, 5, (i64)dev_eui);
    db_bind_i64(q, 6, id);
    (void)env_run(env, q);
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
    enum err err = q ? OK : ERR_IO;
    while (err == OK && (err = db_step(q)) == OK) {
        u32 device = map_get(&env->mac->by_eui, (u64)db_i64(q, 0));
        if (device != MAP_NONE)
            env->mac->devices[device].queued = (u8)MIN(db_i64(q, 1), QUEUE_MAX);
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err queue_load(struct env *env)
{
    struct db_query *q = env_query(env, "UPDATE downlink SET state = 5, reason = 'the server stopped before the gateway "
                                        "answered; it is not sent again' WHERE state = 1");
    enum err err = env_run(env, q);
    return err == OK ? count_queued(env) : err;
}
