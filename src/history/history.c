// SPDX-License-Identifier: Apache-2.0
#include "history/history.h"

enum err history_append(struct env *env, struct change *change)
{
    const struct reading *r = change->reading;
    if (change->id == 0)
        return OK;
    struct db_query *q = env_query(env, "INSERT INTO reading (tenant, id, entity, prev, uplink, dev_eui, observed_us, "
                                        "attributes, sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, (i64)r->device.tenant);
    db_bind_i64(q, 2, change->id);
    db_bind_str(q, 3, r->entity);
    db_bind_i64(q, 4, r->before_reading);
    db_bind_i64(q, 5, r->uplink_id);
    db_bind_i64(q, 6, (i64)r->device.dev_eui);
    db_bind_i64(q, 7, r->observed.us);
    db_bind_str(q, 8, change->attributes);
    db_bind_sum(q, 9, "reading");
    return env_run(env, q);
}

static enum err newest(i64 *id, struct db *db, u64 tenant, struct str entity)
{
    struct db_query *q = db_query(db, "SELECT " ENTITY_ROW("") " FROM entity WHERE tenant = $1 AND id = $2");
    db_bind_i64(q, 1, (i64)tenant);
    db_bind_str(q, 2, entity);
    enum err err = db_step(q);
    if (err == OK) {
        (void)entity_good(q, 0);       /* noted; the readings themselves say whose they are */
        *id = db_i64(q, 4);
    }
    db_reset(q);
    return err;
}

/* A row's id is when we took it, and that falls from row to row; what was observed may be older by as long
 * as a gateway was cut off. Nothing is observed after it was taken, but a clock may be set back between
 * the two: so the walk goes on a day past `from`. */
#define CLOCK_US (86400 * US_PER_S)

enum err history_walk(struct db *db, u64 tenant, struct str entity, struct wall from, struct wall to,
                      history_visit *visit, void *arg)
{
    i64 id = 0;
    enum err err = newest(&id, db, tenant, entity);
    while (err == OK && id > 0) {
        struct db_query *q =
            db_query(db, "SELECT " READING_ROW("") " FROM reading WHERE tenant = $1 AND id = $2");
        db_bind_i64(q, 1, (i64)tenant);
        db_bind_i64(q, 2, id);
        if ((err = db_step(q)) != OK) {
            db_reset(q);
            return err == ERR_NOT_FOUND ? OK : err;      /* retention ended the chain */
        }
        if (!str_eq(db_str(q, 2), entity)) {             /* a damaged row led here */
            db_reset(q);
            return OK;
        }
        struct history_row row = { id, { db_i64(q, 6) }, db_str(q, 7) };
        i64  prev = db_i64(q, 3) < id ? db_i64(q, 3) : 0;
        bool more = id >= from.us - CLOCK_US;
        if (reading_good(q, 0) && row.observed.us >= from.us && row.observed.us <= to.us)
            more = visit(arg, &row);
        db_reset(q);
        id = more ? prev : 0;
    }
    return err;
}
