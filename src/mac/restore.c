// SPDX-License-Identifier: Apache-2.0
/*
 * What a restored store must forget (docs/adr/0014). Between the backup and now the same keys were used
 * with counters that this store does not know, so each counter that must never repeat jumps over all
 * that can have been used: one answer a second, for a device of class A is silent from its uplink to
 * the end of its receive windows, and those begin after a second at the earliest.
 *
 * A device of 1.0.x refuses a downlink counter that is 16,384 or more ahead (MAX_FCNT_GAP). Where the
 * jump would come near that, the session is kept for its uplinks and its downlink counters are spent:
 * nothing is sent in it, until the device has joined again.
 */
#include "mac/inside.h"

#define JUMP_LEAST     1024
#define JUMP_MOST      12288           /* below MAX_FCNT_GAP by what the device may have missed before */
#define PORTION        1000

static u32 jumped(i64 counter, i64 jump)
{
    return jump > JUMP_MOST ? DOWN_SPENT : (u32)MIN(counter + jump, (i64)DOWN_SPENT);
}

/* A session's row, taken out before anything is written: a cursor over a table that is being written
 * may give the same row again. */
struct row { i64 number[SESSION_COLUMNS]; bool null[SESSION_COLUMNS]; u8 key[SESSION_KEYS][WRAPPED]; };
enum { FIRST_KEY = 5, DOWN_RESERVED = 9, APP_DOWN_RESERVED = 10 };
static bool is_key(int column) { return column >= FIRST_KEY && column < FIRST_KEY + SESSION_KEYS; }

static void take_row(struct row *out, struct db_query *q)
{
    *out = (struct row){ .number = { 0 } };
    for (int i = 0; i < SESSION_COLUMNS; i++) {
        out->null[i] = db_is_null(q, i);
        if (!is_key(i))
            out->number[i] = db_i64(q, i);
        else
            memcpy(out->key[i - FIRST_KEY], db_bytes(q, i).p, MIN(db_bytes(q, i).n, (size_t)WRAPPED));
    }
}

static enum err put_row(struct env *env, const struct row *row)
{
    struct db_query *q = env_query(
        env, "INSERT INTO session (tenant, dev_eui, id, state, devaddr, f_nwk_s_int_key, s_nwk_s_int_key, nwk_s_enc_key, "
             "app_s_key, down_reserved, app_down_reserved, rx1_delay_s, rx1_dr_offset, rx2_dr, rx2_hz, dwell, sum) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) "
             "ON CONFLICT (tenant, dev_eui, id) DO UPDATE SET down_reserved = excluded.down_reserved, "
             "app_down_reserved = excluded.app_down_reserved, sum = excluded.sum");
    if (!q)
        return env->failed;
    for (int i = 0; i < SESSION_COLUMNS; i++) {
        if (row->null[i])
            db_bind_null(q, i + 1);
        else if (is_key(i))
            db_bind_bytes(q, i + 1, (struct bytes){ row->key[i - FIRST_KEY], WRAPPED });
        else
            db_bind_i64(q, i + 1, row->number[i]);
    }
    db_bind_sum(q, SESSION_COLUMNS + 1, "session");
    return env_run(env, q);
}

static enum err commit(struct env *env, enum err err)
{
    if (err != OK && env->failed == OK)
        env->failed = err;
    if (env->open && env->failed == OK)
        env->failed = db_commit(env->db);
    else if (env->open)
        db_rollback(env->db);
    env->open = false;
    return env->failed;
}

/* A portion at a time, by key. */
static enum err take_portion(struct env *env, struct row *rows, size_t *n, const struct row *last)
{
    struct db_query *q = db_query(env->db, "SELECT " SESSION_ROW("") " FROM session WHERE (tenant, dev_eui, id) > "
                                           "($1, $2, $3) ORDER BY tenant, dev_eui, id LIMIT $4");
    enum err err;
    for (int i = 0; i < 3; i++)
        db_bind_i64(q, i + 1, last->number[i]);
    db_bind_i64(q, 4, PORTION);
    for (*n = 0; (err = db_step(q)) == OK; ++*n) {
        take_row(&rows[*n], q);
        rows[*n].null[0] = !session_good(q, 0);        /* damaged: it is not believed at start either */
    }
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err jump_sessions(struct env *env, i64 jump, u64 *jumps)
{
    struct row *rows = boot_take(sizeof *rows * PORTION), last = { .number = { 0, INT64_MIN, 0 } };
    enum err err = OK;
    for (size_t n = PORTION; n == PORTION && err == OK;) {
        err = take_portion(env, rows, &n, &last);
        for (size_t i = 0; i < n && err == OK; i++) {
            last = rows[i];
            if (rows[i].null[0])
                continue;
            rows[i].number[DOWN_RESERVED]     = jumped(rows[i].number[DOWN_RESERVED], jump);
            rows[i].number[APP_DOWN_RESERVED] = jumped(rows[i].number[APP_DOWN_RESERVED], jump);
            err = put_row(env, &rows[i]);
            ++*jumps;
        }
        err = commit(env, err);
    }
    boot_release(rows);
    return err;
}

struct join { i64 tenant, dev_eui, nonce; bool good; };

static enum err take_joins(struct env *env, struct join *joins, size_t *n, const struct join *last)
{
    struct db_query *q = db_query(env->db, "SELECT tenant, dev_eui, join_nonce, sum FROM join_state WHERE (tenant, dev_eui) "
                                           "> ($1, $2) ORDER BY tenant, dev_eui LIMIT $3");
    enum err err;
    db_bind_i64(q, 1, last->tenant);
    db_bind_i64(q, 2, last->dev_eui);
    db_bind_i64(q, 3, PORTION);
    for (*n = 0; (err = db_step(q)) == OK; ++*n)
        joins[*n] = (struct join){ db_i64(q, 0), db_i64(q, 1), db_i64(q, 2), db_row_good(q, 0, 3, "join_state", 2) };
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err put_join(struct env *env, const struct join *j)
{
    struct db_query *q =
        env_query(env, "INSERT INTO join_state (tenant, dev_eui, join_nonce, sum) VALUES ($1, $2, $3, $4) ON CONFLICT "
                       "(tenant, dev_eui) DO UPDATE SET join_nonce = excluded.join_nonce, sum = excluded.sum");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, j->tenant);
    db_bind_i64(q, 2, j->dev_eui);
    db_bind_i64(q, 3, j->nonce);
    db_bind_sum(q, 4, "join_state");
    return env_run(env, q);
}

static enum err jump_joins(struct env *env, i64 jump)
{
    struct join *joins = boot_take(sizeof *joins * PORTION), last = { .dev_eui = INT64_MIN };
    enum err err = OK;
    for (size_t n = PORTION; n == PORTION && err == OK;) {
        err = take_joins(env, joins, &n, &last);
        for (size_t i = 0; i < n && err == OK; i++) {
            last = joins[i];
            if (!joins[i].good)
                continue;                      /* a new sum would make it believed; so the start goes on far above all */
            joins[i].nonce = MIN(joins[i].nonce + jump, (i64)JOIN_NONCE_MAX);
            err = put_join(env, &joins[i]);
        }
        err = commit(env, err);
    }
    boot_release(joins);
    return err;
}

/* What waited may have been sent since: at most once is the promise. */
static enum err settle_downlinks(struct env *env, u64 *n)
{
    struct down_row row = { .dev_eui = INT64_MIN };
    for (;;) {
        struct db_query *q = db_query(env->db, "SELECT " DOWN_ROW("") " FROM downlink WHERE state < 2 AND (tenant, dev_eui, id) > "
                                               "($1, $2, $3) ORDER BY tenant, dev_eui, id LIMIT 1");
        db_bind_i64(q, 1, row.tenant);
        db_bind_i64(q, 2, row.dev_eui);
        db_bind_i64(q, 3, row.id);
        enum err err = db_step(q);
        bool good = err == OK && down_read(&row, q, &env->batch);
        db_reset(q);
        if (err != OK)
            return commit(env, err == ERR_NOT_FOUND ? OK : err);
        if (!good)
            continue;                          /* a damaged row is never sent either */
        row.state  = DOWN_UNKNOWN;
        row.reason = S("the store was restored from a backup: it may have been sent since, and is not sent again");
        if ((err = down_put(env, &row)) != OK)
            return commit(env, err);
        ++*n;
    }
}

static enum err end_sessions(struct env *env, u64 *n)
{
    enum err err = env_run(env, env_query(env, "DELETE FROM session"));
    *n = err == OK ? (u64)db_changes(env->db) : 0;
    return err == OK ? mac_mark_write(env, "ended", env_clock(env).us) : err;
}

enum err mac_restored(struct env *env, i64 taken_us, bool end, struct restored *out)
{
    i64 elapsed_s = MAX(env_clock(env).us - taken_us, 0) / US_PER_S, jump = JUMP_LEAST + elapsed_s;
    *out = (struct restored){ .jump = jump, .spent = jump > JUMP_MOST };
    enum err err = end ? end_sessions(env, &out->sessions) : jump_sessions(env, jump, &out->sessions);
    if (err == OK)
        err = jump_joins(env, jump);
    if (err == OK)
        err = settle_downlinks(env, &out->downlinks);
    if (err == OK)
        err = mac_mark_write(env, "restored", env_clock(env).us);
    return commit(env, err);
}
