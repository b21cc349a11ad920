// SPDX-License-Identifier: Apache-2.0
/*
 * What the store does for itself when nobody waits: reads on where the start has stopped (mac/registry.c),
 * seals the days that are over, and takes away what nobody wants to keep.
 *
 * A seal is a SHA-256 over a day's events, in the order of their ids, and begins with the seal of the
 * day before: a row that is lost later, or comes from nowhere, is missed (`hotaru fsck`).
 *
 *     seal(day) = SHA-256( seal(day before, sealed) | tenant | day
 *                          | 'u' id crc  for each uplink | 'r' … for each reading
 *                          | 'c' … for each row of copies )
 *     crc is the row's CRC-32C as its columns give it; numbers are little-endian, 8 bytes, crc 4.
 *
 * Tables that only grow have no days: a census of them is taken with each seal and at the end (the marks
 * "rows TABLE"), and fewer than that are too few.
 *
 * Retention takes the oldest first, in portions. An event may only go when the rows behind know its
 * counter (the mark "rolled"), and the mark "cut" is committed with the first row that goes: below it
 * a chain that ends is a chain that was cut, not one that was lost.
 */
#include "flow/inside.h"

#include <openssl/evp.h>

#define DAY_US       (86400 * US_PER_S)
#define HOUR_US      (3600 * US_PER_S)
#define READ_ROWS    256                   /* of devices and sessions that nothing has needed since the start */
#define SETTLED_US   (60 * US_PER_S)       /* after its day a frame may still get copies, for seconds */
#define SEAL_ROWS    1000                  /* read at a time */
#define CUT_ROWS     500                   /* taken away at a time, of each table */
#define LOOK_US      (60 * US_PER_S)       /* how often it is asked whether there is something to do */
#define YOUNG_US     DAY_US                /* what is younger stays even on a full disk */
#define PORTION      20                    /* a full disk: a twentieth of the time that is kept */

static const struct { const char *mark, *sql; } census[] = {
    { "rows tenant",        "SELECT COUNT(*) FROM tenant" },        { "rows token",        "SELECT COUNT(*) FROM token" },
    { "rows gateway",       "SELECT COUNT(*) FROM gateway" },       { "rows device",       "SELECT COUNT(*) FROM device" },
    { "rows join_state",    "SELECT COUNT(*) FROM join_state" },    { "rows dev_nonce",    "SELECT COUNT(*) FROM dev_nonce" },
    { "rows device_state",  "SELECT COUNT(*) FROM device_state" },  { "rows subject_key",  "SELECT COUNT(*) FROM subject_key" },
    { "rows refusal",       "SELECT COUNT(*) FROM refusal" },       { "rows downlink",     "SELECT COUNT(*) FROM downlink" },
    { "rows entity",        "SELECT COUNT(*) FROM entity" },        { "rows stranger",     "SELECT COUNT(*) FROM stranger" },
    { "rows gateway_state", "SELECT COUNT(*) FROM gateway_state" }, { "rows gateway_hour", "SELECT COUNT(*) FROM gateway_hour" },
    { "rows day_seal",      "SELECT COUNT(*) FROM day_seal" },
    /* What no seal covers yet: from the mark "unsealed" on. */
    { "rows uplink",        "SELECT COUNT(*) FROM tenant t CROSS JOIN uplink x WHERE x.tenant = t.number AND x.id >= $1" },
    { "rows reading",       "SELECT COUNT(*) FROM tenant t CROSS JOIN reading x WHERE x.tenant = t.number AND x.id >= $1" },
    { "rows uplink_copies", "SELECT COUNT(*) FROM tenant t CROSS JOIN uplink_copies x WHERE x.tenant = t.number AND x.id >= $1" },
};
#define CENSUS_EVENTS 3

struct keep {
    i64 keep_us;                           /* 0: for ever */
    i64 cut;                               /* as the mark stands in the store */
    struct mono looked, cut_looked;
    bool reading, sealing, cutting;
    int  kind;                             /* of rows that the seal under way reads: an index of kinds */
    u64 tenant, cut_tenant;                /* whose day is sealed, whose events go */
    i64 day, at;                           /* of the seal under way: up to which id it has read */
    i64 uplinks, read;
    size_t counted;                        /* tables of the census */
    EVP_MD_CTX *hash;
};

void flow_keep_start(struct env *env, i64 keep_us)
{
    struct keep *k = env->keep = boot_take(sizeof *k);
    k->keep_us = keep_us;
    k->hash    = EVP_MD_CTX_new();
    k->counted = COUNT(census);
    if (mac_mark_read(env->db, "cut", &k->cut) != OK)
        k->cut = 0;
    k->cutting = k->cut > 0;               /* the process may have ended before all below it had gone */
    k->looked = k->cut_looked = mono_after(env_now(env), -LOOK_US);
}

void flow_keep_stop(struct env *env)
{
    if (!env->keep)
        return;
    EVP_MD_CTX_free(env->keep->hash);
    boot_release(env->keep);
    env->keep = NULL;
}

/* The one behind `after`, which is 0 at first; 0: there are no more. */
static enum err next_tenant(struct env *env, u64 after, u64 *tenant)
{
    struct db_query *q = db_query(env->db, "SELECT number FROM tenant WHERE number > $1 ORDER BY number LIMIT 1");
    db_bind_i64(q, 1, (i64)after);
    enum err err = db_step(q);
    *tenant = err == OK ? (u64)db_i64(q, 0) : 0;
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* ------------------------------------------------------------------ seals */

static void feed_number(EVP_MD_CTX *hash, u64 v, size_t bytes)
{
    u8 le[8];
    for (int i = 0; i < 8; i++)
        le[i] = (u8)(v >> (8 * i));
    (void)EVP_DigestUpdate(hash, le, bytes);
}

void seal_begin(EVP_MD_CTX *hash, struct bytes before, u64 tenant, i64 day)
{
    if (!hash || !EVP_DigestInit_ex(hash, EVP_sha256(), NULL))
        die("flow: no room for a hash");         /* a seal of nothing would say that the day was changed */
    (void)EVP_DigestUpdate(hash, before.p, before.n);
    feed_number(hash, tenant, 8);
    feed_number(hash, (u64)day, 8);
}

void seal_row(EVP_MD_CTX *hash, char kind, i64 id, u32 crc)
{
    (void)EVP_DigestUpdate(hash, &kind, 1);
    feed_number(hash, (u64)id, 8);
    feed_number(hash, crc, 4);
}

void seal_end(EVP_MD_CTX *hash, u8 out[SEAL_BYTES])
{
    unsigned n = SEAL_BYTES;
    (void)EVP_DigestFinal_ex(hash, out, &n);
}

static enum err first_event(struct env *env, u64 tenant, i64 *id)
{
    struct db_query *q = db_query(env->db, "SELECT id FROM uplink WHERE tenant = $1 ORDER BY id LIMIT 1");
    db_bind_i64(q, 1, (i64)tenant);
    enum err err = db_step(q);
    *id = err == OK ? db_i64(q, 0) : 0;
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* The day after the last that is sealed, else that of the first event; begun when it is over. */
static enum err begin_day_of(struct env *env, struct keep *k)
{
    struct db_query *q =
        db_query(env->db, "SELECT day, hash FROM day_seal WHERE tenant = $1 ORDER BY day DESC LIMIT 1");
    u8  before[SEAL_BYTES];
    size_t n = 0;
    i64 first = 0;
    db_bind_i64(q, 1, (i64)k->tenant);
    enum err err = db_step(q);
    if (err == OK) {
        k->day = db_i64(q, 0) + 1;
        n = MIN(db_bytes(q, 1).n, sizeof before);
        memcpy(before, db_bytes(q, 1).p, n);
    }
    db_reset(q);
    if (err == ERR_NOT_FOUND && (err = first_event(env, k->tenant, &first)) == OK)
        k->day = first / DAY_US;
    if (err != OK || (n == 0 && first == 0) || env->last_id < (k->day + 1) * DAY_US + SETTLED_US)
        return err;
    k->sealing  = true;
    k->kind     = 0;
    k->at       = k->day * DAY_US - 1;
    k->uplinks  = k->read = 0;
    seal_begin(k->hash, (struct bytes){ before, n }, k->tenant, k->day);
    return OK;
}

static enum err begin_day(struct env *env, struct keep *k)
{
    enum err err = next_tenant(env, 0, &k->tenant);
    while (err == OK && k->tenant && (err = begin_day_of(env, k)) == OK && !k->sealing)
        err = next_tenant(env, k->tenant, &k->tenant);
    return err;
}

static enum err write_seal(struct env *env, struct keep *k)
{
    u8 hash[SEAL_BYTES];
    struct db_query *q = env_query(env, "INSERT INTO day_seal (tenant, day, uplinks, readings, hash, sum) "
                                        "VALUES ($1, $2, $3, $4, $5, $6)");
    k->sealing = false;
    if (!q)
        return env->failed;
    seal_end(k->hash, hash);
    db_bind_i64(q, 1, (i64)k->tenant);
    db_bind_i64(q, 2, k->day);
    db_bind_i64(q, 3, k->uplinks);
    db_bind_i64(q, 4, k->read);
    db_bind_bytes(q, 5, (struct bytes){ hash, sizeof hash });
    db_bind_sum(q, 6, "day_seal");
    return env_run(env, q);
}

bool flow_census(size_t i, const char **mark, const char **sql)
{
    if (i >= COUNT(census))
        return false;
    *mark = census[i].mark;
    *sql  = census[i].sql;
    return true;
}

/* The first day that some tenant has no seal of; all its events count. */
static enum err unsealed(struct env *env, i64 *id)
{
    struct db_query *q = db_query(env->db, "SELECT MIN(x.day) FROM (SELECT MAX(day) AS day FROM day_seal GROUP BY tenant) x");
    enum err err = db_step(q);
    *id = err == OK && !db_is_null(q, 0) ? (db_i64(q, 0) + 1) * DAY_US : 0;
    db_reset(q);
    return err;
}

static enum err count_table(struct env *env, size_t i)
{
    i64 from = 0;
    bool events = i + CENSUS_EVENTS >= COUNT(census);
    enum err err = events ? unsealed(env, &from) : OK;
    if (err == OK && events)
        err = mac_mark_write(env, "unsealed", from);
    if (err != OK)
        return err;
    struct db_query *q = db_query(env->db, census[i].sql);
    if (events)
        db_bind_i64(q, 1, from);
    err = db_step(q);
    i64 rows = err == OK ? db_i64(q, 0) : 0;
    db_reset(q);
    return err == OK ? mac_mark_write(env, census[i].mark, rows) : err;
}

/* The tables of events in one batch: they are counted from one mark on. */
static enum err count_on(struct env *env, size_t *counted)
{
    size_t until = *counted + CENSUS_EVENTS < COUNT(census) ? *counted + 1 : COUNT(census);
    enum err err = OK;
    while (*counted < until && err == OK)
        err = count_table(env, (*counted)++);
    return err;
}

enum err flow_keep_last(struct env *env)
{
    enum err err = OK;
    for (size_t counted = 0; counted < COUNT(census) && err == OK;)
        err = count_on(env, &counted);
    if (err != OK && env->failed == OK)
        env->failed = err;
    err = flow_commit(env);
    flow_done(env);
    return err;
}

static const struct { char kind; int columns; const char *sql; } kinds[] = {
    { 'u', UPLINK_COLUMNS,
      "SELECT " UPLINK_ROW("") " FROM uplink WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4" },
    { 'r', READING_COLUMNS,
      "SELECT " READING_ROW("") " FROM reading WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4" },
    { 'c', COPIES_COLUMNS,
      "SELECT " COPIES_ROW("") " FROM uplink_copies WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4" },
};

/* A portion of the day's rows. *n: how many. */
static enum err read_on(struct env *env, struct keep *k, i64 *n)
{
    struct db_query *q = db_query(env->db, kinds[k->kind].sql);
    enum err err;
    db_bind_i64(q, 1, (i64)k->tenant);
    db_bind_i64(q, 2, k->at);
    db_bind_i64(q, 3, (k->day + 1) * DAY_US);
    db_bind_i64(q, 4, SEAL_ROWS);
    for (*n = 0; (err = db_step(q)) == OK; ++*n) {
        k->at = db_i64(q, 1);
        seal_row(k->hash, kinds[k->kind].kind, k->at, db_row_crc(q, 0, kinds[k->kind].columns));
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err seal_on(struct env *env, struct keep *k)
{
    i64 n;
    enum err err = read_on(env, k, &n);
    k->uplinks += k->kind == 0 ? n : 0;
    k->read    += k->kind == 1 ? n : 0;
    if (err != OK || n == SEAL_ROWS)
        return err;
    if (++k->kind == COUNT(kinds)) {
        k->counted = 0;
        return write_seal(env, k);
    }
    k->at = k->day * DAY_US - 1;
    return OK;
}

/* ------------------------------------------------------------------ retention */

/* The oldest of all tenants; 0: there is none. */
static enum err oldest_event(struct env *env, i64 *id)
{
    u64 tenant;
    i64 first;
    enum err err = next_tenant(env, 0, &tenant);
    for (*id = 0; err == OK && tenant; err = next_tenant(env, tenant, &tenant)) {
        if ((err = first_event(env, tenant, &first)) != OK)
            break;
        *id = first > 0 && (*id == 0 || first < *id) ? first : *id;
    }
    return err;
}

/* Full: a portion of what is old enough, though it should have been kept. */
static enum err cut_for_room(struct env *env, i64 *until)
{
    i64 first;
    enum err err = oldest_event(env, &first);
    i64 now = env_clock(env).us;
    if (err == OK && first > 0)
        *until = MAX(*until, MIN(first + MAX((now - first) / PORTION, HOUR_US), now - YOUNG_US));
    return err;
}

/* Until which event everything may go: by the hour, and never ahead of the rows that know its counter. */
static enum err look_for_old(struct env *env, struct keep *k)
{
    i64 until = env_clock(env).us - k->keep_us, rolled;
    enum err err = env->full ? cut_for_room(env, &until) : OK;
    if (err == OK)
        err = mac_mark_read(env->db, "rolled", &rolled);
    if (err == ERR_INVALID)                    /* damaged: nothing goes until it was written anew */
        return OK;
    until = MIN(until, rolled) / HOUR_US * HOUR_US;
    if (err != OK || until <= k->cut)
        return err;
    k->cut        = until;
    k->cut_tenant = 0;                     /* nobody: the first one's turn comes next */
    k->cutting    = true;
    return mac_mark_write(env, "cut", until);
}

static i64 cut_table(struct env *env, const char *sql, const struct keep *k)
{
    struct db_query *q = env_query(env, sql);
    if (!q)
        return 0;
    db_bind_i64(q, 1, (i64)k->cut_tenant);
    db_bind_i64(q, 2, k->cut);
    db_bind_i64(q, 3, CUT_ROWS);
    return env_run(env, q) == OK ? db_changes(env->db) : 0;
}

/* A portion of one tenant's; when it has none left, the next one's turn has come. */
static enum err cut_on(struct env *env, struct keep *k)
{
    static const char *const tables[] = {
        "DELETE FROM reading WHERE tenant = $1 AND id IN "
        "(SELECT id FROM reading WHERE tenant = $1 AND id < $2 ORDER BY id LIMIT $3)",
        "DELETE FROM uplink_copies WHERE tenant = $1 AND id IN "
        "(SELECT id FROM uplink_copies WHERE tenant = $1 AND id < $2 ORDER BY id LIMIT $3)",
        "DELETE FROM intent WHERE tenant = $1 AND kind = 0 AND id IN "
        "(SELECT id FROM intent WHERE tenant = $1 AND id < $2 ORDER BY id LIMIT $3)",
        "DELETE FROM uplink WHERE tenant = $1 AND id IN "
        "(SELECT id FROM uplink WHERE tenant = $1 AND id < $2 ORDER BY id LIMIT $3)",
    };
    i64 gone = 0;
    for (size_t i = 0; i < COUNT(tables); i++)
        gone += cut_table(env, tables[i], k);
    enum err err = env->failed;
    if (err == OK && gone == 0 && (err = next_tenant(env, k->cut_tenant, &k->cut_tenant)) == OK)
        k->cutting = k->cut_tenant != 0;
    return err;
}

/* ------------------------------------------------------------------ idle */

static bool is_time(struct env *env, struct mono *looked, i64 every_us)
{
    if (mono_since(env_now(env), *looked) < every_us)
        return false;
    *looked = env_now(env);
    return true;
}

static enum err work(struct env *env, struct keep *k)
{
    enum err err = OK;
    k->reading = mac_read_on(env, READ_ROWS) > 0;
    if (env->failed != OK)
        return env->failed;
    if (k->sealing)
        err = seal_on(env, k);
    else if (k->counted < COUNT(census))
        err = count_on(env, &k->counted);
    else if (is_time(env, &k->looked, k->day ? LOOK_US : 0))
        err = begin_day(env, k);
    if (err != OK || k->keep_us == 0)
        return err;
    if (k->cutting)
        return cut_on(env, k);
    return is_time(env, &k->cut_looked, env->full ? US_PER_S : LOOK_US) ? look_for_old(env, k) : OK;
}

bool flow_keep(struct env *env, enum err *err)
{
    struct keep *k = env->keep;
    assert(!env->open);
    *err = OK;
    if (!k)
        return false;
    struct keep before = *k;
    bool was_sealing = k->sealing;
    *err = work(env, k);
    if (*err != OK && env->failed == OK)
        env->failed = *err;
    if (env->open || env->failed != OK) {
        *err = flow_commit(env);
        flow_done(env);
    }
    if (*err != OK) {                          /* it is begun again */
        k->cut        = before.cut;
        k->cutting    = before.cutting;        /* what the mark says may go still has to */
        k->cut_tenant = before.cut_tenant;
        k->sealing    = false;
    }
    if (*err == OK && was_sealing && !k->sealing)
        k->looked = mono_after(env_now(env), -LOOK_US);         /* perhaps the next day is over too */
    bool counting = MIN(k->counted, before.counted) < COUNT(census);        /* behind the census: perhaps another day */
    return k->sealing || k->cutting || counting || k->reading;
}

