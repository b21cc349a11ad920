// SPDX-License-Identifier: Apache-2.0
/* The joints between the nouns: codec result to reading, and the intent that waits for a script. */
#include "flow/inside.h"

static void reading_of(struct reading *out, const struct codec_result *result, const struct uplink *u)
{
    *out = (struct reading){ .uplink_id = u->id, .device = u->device, .received = u->received, .observed = u->received,
                             .behind = u->behind, .count = result->count };
    memcpy(out->fields, result->fields, result->count * sizeof out->fields[0]);
}

static void refuse_reading(struct env *env, const struct uplink *u, enum drop drop, struct str why)
{
    bool personal = u->device.profile->personal.n > 0;      /* a codec's words may repeat what it read */
    env->dropped[drop]++;
    mac_refuse(env, u->device.tenant, u->device.dev_eui, drop, u->radio.gateway, personal ? S("") : why);
}

/* Levels by their role, whatever the codec calls them; also of personal devices. An old one is no news. */
static void note_battery(struct env *env, const struct reading *r)
{
    for (size_t i = 0; i < r->count && !r->behind; i++)
        if (r->fields[i].rule && r->fields[i].rule->role == ROLE_BATTERY_PCT && r->fields[i].kind == FIELD_NUMBER)
            mac_battery(env, &r->device, (int)MAX(MIN(r->fields[i].number, 100.0), 0.0));
}

bool read_table(struct env *env, struct reading *out, const struct codec *codec, const struct uplink *u)
{
    struct codec_result *result = arena_new(&env->event, struct codec_result);
    enum err err = codec_read(result, codec, u->fport, u->payload, &env->event);
    if (err != OK || result->errors.n > 0)
        refuse_reading(env, u, DROP_CODEC, err == OK ? result->errors : str_z(err_words(err)));
    if (err != OK || result->count == 0)
        return false;
    reading_of(out, result, u);
    note_battery(env, out);
    return true;
}

/* The row and the uplink are one transaction: after a crash the codec is asked again. */
enum drop ask_codec(struct env *env, const struct uplink *u)
{
    struct db_query *q = env_query(env, "INSERT INTO intent (tenant, id, kind, tries, sum) VALUES ($1, $2, $3, $4, $5)");
    if (!q)
        return DROP_STORE;
    db_bind_i64(q, 1, (i64)u->device.tenant);
    db_bind_i64(q, 2, u->id);
    db_bind_i64(q, 3, 0);
    db_bind_i64(q, 4, 0);
    db_bind_sum(q, 5, "intent");
    if (env_run(env, q) != OK)
        return DROP_STORE;
    struct intent *i = outbox_add(env, INTENT_DECODE);
    i->uplink = *u;
    i->uplink.payload = bytes_copy(&env->batch, u->payload);
    return PASS;
}

static enum err forget_intent(struct env *env, const struct uplink *u)
{
    struct db_query *q = env_query(env, "DELETE FROM intent WHERE tenant = $1 AND id = $2 AND kind = 0");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, (i64)u->device.tenant);
    db_bind_i64(q, 2, u->id);
    return env_run(env, q);
}

enum err flow_reading(struct env *env, const struct uplink *u, struct str answer)
{
    struct reading reading;
    arena_reset(&env->event);
    struct codec_result *result = arena_new(&env->event, struct codec_result);
    enum err err = codec_flatten(result, codec_of(env->codecs, u->device.profile), answer, &env->event);
    if (err != OK)
        return flow_undecoded(env, u, S("the codec's answer is not an object with data"));
    if (result->errors.n > 0)
        refuse_reading(env, u, DROP_CODEC, result->errors);
    if ((err = forget_intent(env, u)) != OK || result->count == 0)
        return err;
    reading_of(&reading, result, u);
    note_battery(env, &reading);
    return go_on(env, &reading);
}

enum err flow_undecoded(struct env *env, const struct uplink *u, struct str why)
{
    refuse_reading(env, u, DROP_CODEC, why);
    return forget_intent(env, u);
}

struct mono flow_tick(struct env *env)
{
    return mac_tick(env);
}

size_t flow_idle(struct env *env, size_t max, enum err *err)
{
    assert(!env->open);
    size_t n = mac_flush(env, max);
    *err = n > 0 ? flow_commit(env) : OK;
    flow_done(env);
    return *err == OK ? n : 0;
}

enum err flow_commit(struct env *env)
{
    enum err err = env->failed;
    if (env->open && err == OK) {
        struct mono before = env_now(env);
        err = db_commit(env->db);
        env->counted[COUNT_COMMITS]++;
        env->counted[COUNT_COMMIT_US] += (u64)mono_since(env_now(env), before);
    } else if (env->open) {
        db_rollback(env->db);
    }
    env->open   = false;
    env->failed = OK;
    if (err == OK) {
        env->stored_id = env->last_id;
        mac_keep(env);
        return OK;
    }
    if (err != ERR_FULL)                               /* a full disk is told once, not with every batch */
        log_line(LOG_ERROR, "commit failed=%s store=\"%.*s\"", err_words(err), STR(db_error(env->db)));
    mac_undo(env);
    env->outbox = (struct outbox){ 0 };
    return err;
}

void flow_done(struct env *env)
{
    env->outbox = (struct outbox){ 0 };
    arena_reset(&env->batch);
}

size_t flow_waiting(struct env *env, i64 after, struct uplink *out, size_t max)
{
    struct db_query *q = db_query(env->db, "SELECT u.id, u.dev_eui, u.fcnt, u.flags, u.received_us, u.payload, u.radio, i.tenant "
                                           "FROM intent i JOIN uplink u ON u.tenant = i.tenant AND u.id = i.id "
                                           "WHERE i.kind = 0 AND i.id > $1 ORDER BY i.tenant, i.id");
    size_t n = 0;
    if (!q)
        return 0;
    db_bind_i64(q, 1, after);
    while (n < max && db_step(q) == OK) {
        struct uplink *u = &out[n];
        i64  flags = db_i64(q, 3);
        struct cur radio = cur_of(db_bytes(q, 6));
        *u = (struct uplink){ .id = db_i64(q, 0), .fcnt = (u32)db_i64(q, 2), .fport = (int)(flags & 511) - 1,
                              .confirmed = flags & UPLINK_CONFIRMED, .late = flags & UPLINK_LATE,
                              .behind = flags & UPLINK_BEHIND, .received = { db_i64(q, 4) } };
        (void)mac_radio_read(&u->radio, &radio);
        if (!mac_device_ref(env, (u64)db_i64(q, 1), &u->device))
            continue;
        struct bytes payload = db_bytes(q, 5);
        if (flags & UPLINK_PERSONAL)
            (void)mac_subject_open(&u->payload, env->db, mac_kek(env->mac), u->device.tenant, u->device.dev_eui, u->id,
                                   payload, &env->batch);
        else
            u->payload = bytes_copy(&env->batch, payload);
        n++;
    }
    db_reset(q);
    return n;
}
