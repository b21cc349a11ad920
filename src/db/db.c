// SPDX-License-Identifier: Apache-2.0
/*
 * The face of the store, and the promises that hold whichever body stands behind it:
 *
 *   - a statement is prepared once and found again by the address of its literal;
 *   - an error inside a transaction dooms it: whatever the caller does next, db_commit rolls back
 *     and says that error. PostgreSQL is so by itself; SQLite would let the rest pass, and a program
 *     that is only right on one of them is wrong;
 *   - ERR_IO of a writer is final: fsync is never tried again, because a second fsync may report
 *     success for pages that the kernel has dropped. The supervisor starts us anew. ERR_DAMAGED is
 *     final too: what is written next could fall into what is still whole;
 *   - text is UTF-8 without NUL, and a double that is no number is NULL, on both.
 */
#include "db/inside.h"

#include <math.h>
#include <stdio.h>

static bool answers(struct db *db, const char *sql)
{
    struct db_query *q = db_query(db, sql);
    bool has = db_step(q) == OK;
    db_reset(q);
    return has;
}

/* Schema 2 brought the sums: a store that got it together with schema 1 never had rows without, unless
 * an older program wrote here since, which the next start marks. Where neither can be read, rows without
 * a sum are not believed. */
static bool born_with_sums(struct db *db)
{
    return db_schema_version(db) >= 2 &&
           !answers(db, "SELECT 1 FROM schema_version a JOIN schema_version b ON b.version = 2 AND "
                        "b.applied_at <> a.applied_at WHERE a.version = 1") &&
           !answers(db, "SELECT 1 FROM mark WHERE tenant = 0 AND name = 'unsummed'");
}

enum err db_open(struct db **out, struct str where, enum db_mode mode, struct str *why,
                 struct arena *arena)
{
    enum { MIGRATIONS_MAX = 256 };
    struct migration *list = arena_array(arena, struct migration, MIGRATIONS_MAX);
    size_t n = db_migrations(list, MIGRATIONS_MAX);
    bool   postgres = str_starts(where, S("postgres://")) || str_starts(where, S("postgresql://"));

    *out = NULL;
    *why = S("");
    struct db *db = NULL;
    enum err   err = postgres ? postgres_open(&db, where, mode, why, arena)
                              : sqlite_open(&db, where, mode, why, arena);
    if (err)
        return err;
    err = mode == DB_WRITER ? db_migrate(db, list, n, why, arena)
                            : db_schema_check(db, list, n, why, arena);
    if (err) {
        db_close(db);
        return err;
    }
    db->summed = born_with_sums(db);
    *out = db;
    return OK;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    if (db->in_transaction)
        db_rollback(db);
    struct arena arena = db->arena;
    db->body->close(db);
    boot_release(db);
    arena_free(&arena);
}

void db_remember(struct db *db, struct str words)
{
    words = str_trim(words);
    db->error_n = MIN(words.n, sizeof db->error);
    memcpy(db->error, words.p, db->error_n);
}

struct str db_error(struct db *db) { return (struct str){ db->error, db->error_n }; }

/* What an error means for what follows. Into a file whose pages do not fit together nothing more is written. */
static enum err settle(struct db *db, enum err err)
{
    if (!err)
        return OK;
    if (db->in_transaction && !db->doomed)
        db->doomed = err;
    if (err == ERR_DAMAGED)
        db_damage_note(db, "page", db_error(db));
    if ((err == ERR_IO || err == ERR_DAMAGED) && db->mode == DB_WRITER && !db->dead)
        db->dead = err;
    return err;
}

static enum err standing(const struct db *db) { return db->dead ? db->dead : db->doomed; }

/* ------------------------------------------------------------------ statements */

struct db_query *db_query(struct db *db, const char *sql)
{
    size_t at = (size_t)(hash_u64((u64)(uintptr_t)sql) % DB_QUERIES_MAX);

    for (; db->queries[at]; at = (at + 1) % DB_QUERIES_MAX) {
        struct db_query *q = db->queries[at];
        if (q->sql == sql) {
            assert(!q->stepping);
            return q;
        }
    }
    if (++db->used >= DB_QUERIES_MAX)
        die("more than %d statements on one connection: is one of them no literal?",
            DB_QUERIES_MAX - 1);
    struct db_query *q = db->body->make(db, sql);
    q->db = db;
    q->sql = sql;
    db->queries[at] = q;
    return q;
}

static void check_place(const struct db_query *q, int at)
{
    assert(!q->stepping && at >= 1 && at <= DB_PARAMETERS_MAX);
    assert(q->parameters < 0 || at <= q->parameters);
}

/* The sum of a row is made on the way, as long as its parameters come in their order. */
static bool in_order(struct db_query *q, int at)
{
    if (at == 1)
        q->summed = 0, q->sum = 0;
    if (at != q->summed + 1)
        return false;
    q->summed = at;
    return true;
}

void db_bind_i64(struct db_query *q, int at, i64 v)
{
    check_place(q, at);
    if (in_order(q, at))
        q->sum = db_sum_i64(q->sum, at, v);
    q->db->body->bind_i64(q, at, v);
}

void db_bind_double(struct db_query *q, int at, double v)
{
    if (isnan(v)) {
        db_bind_null(q, at);
        return;
    }
    check_place(q, at);
    if (in_order(q, at))
        q->sum = db_sum_double(q->sum, at, v);
    q->db->body->bind_double(q, at, v);
}

void db_bind_str(struct db_query *q, int at, struct str v)
{
    check_place(q, at);
    if (v.n == 0 || (!memchr(v.p, 0, v.n) && str_is_utf8(v))) {
        if (in_order(q, at))
            q->sum = db_sum_bytes(q->sum, at, DB_TEXT, bytes_of(v));
        q->db->body->bind_str(q, at, v.n ? v : S(""));
        return;
    }
    (void)in_order(q, at);
    q->bad = ERR_INVALID;
    db_remember(q->db, S("a text parameter is not UTF-8 or holds a NUL"));
}

void db_bind_bytes(struct db_query *q, int at, struct bytes v)
{
    check_place(q, at);
    if (in_order(q, at))
        q->sum = db_sum_bytes(q->sum, at, DB_BYTES, v);
    q->db->body->bind_bytes(q, at, v.n ? v : bytes_of(S("")));
}

void db_bind_null(struct db_query *q, int at)
{
    check_place(q, at);
    (void)in_order(q, at);
    q->db->body->bind_null(q, at);
}

void db_bind_sum(struct db_query *q, int at, const char *table)
{
    check_place(q, at);
    assert(q->summed == at - 1);             /* the whole row, in the table's order */
    q->db->body->bind_i64(q, at, (i64)crc32c(q->sum, bytes_of(str_z(table))));
}

/* Before a statement touches the database: what may have gone wrong already. */
static enum err ready(struct db_query *q)
{
    enum err err = standing(q->db);
    if (!err)
        err = settle(q->db, q->bad);
    if (err)
        db_reset(q);
    return err;
}

enum err db_run(struct db_query *q)
{
    assert(!q->stepping);
    enum err err = ready(q);
    return err ? err : settle(q->db, q->db->body->run(q));
}

i64 db_changes(struct db *db)
{
    enum err err = OK;
    if (standing(db))
        return 0;
    i64 n = db->body->changes(db, &err);
    (void)settle(db, err);
    return err ? 0 : n;
}

enum err db_step(struct db_query *q)
{
    enum err err = q->stepping ? standing(q->db) : ready(q);
    if (err) {
        db_reset(q);
        return err;
    }
    err = q->db->body->step(q);
    q->stepping = err == OK;
    if (err == ERR_NOT_FOUND)
        return err;
    return settle(q->db, err);
}

void db_reset(struct db_query *q)
{
    q->stepping = false;
    q->bad = OK;
    q->db->body->reset(q);
}

i64          db_i64(struct db_query *q, int column)     { return q->db->body->i64(q, column); }
double       db_double(struct db_query *q, int column)  { return q->db->body->dbl(q, column); }
struct str   db_str(struct db_query *q, int column)     { return q->db->body->str(q, column); }
struct bytes db_bytes(struct db_query *q, int column)   { return q->db->body->bytes(q, column); }
bool         db_is_null(struct db_query *q, int column) { return q->db->body->null(q, column); }
enum db_kind db_kind(struct db_query *q, int column)    { return q->db->body->kind(q, column); }
int          db_columns(struct db_query *q)             { return q->db->body->columns(q); }
const char  *db_column_name(struct db_query *q, int column) { return q->db->body->name(q, column); }

/* ------------------------------------------------------------------ transactions */

enum err db_begin(struct db *db)
{
    assert(!db->in_transaction);
    if (db->dead)
        return db->dead;
    enum err err = settle(db, db->body->begin(db));
    db->in_transaction = err == OK;
    db->doomed = OK;
    return err;
}

void db_rollback(struct db *db)
{
    if (!db->in_transaction)
        return;
    db->body->rollback(db);
    db->in_transaction = false;
    db->doomed = OK;
}

enum err db_commit(struct db *db)
{
    assert(db->in_transaction);
    enum err err = standing(db);
    if (!err)
        err = settle(db, db->body->commit(db));
    if (err) {
        db_rollback(db);
        return err;
    }
    db->in_transaction = false;
    return OK;
}

enum err db_exec(struct db *db, const char *sql)
{
    enum err err = standing(db);
    return err ? err : settle(db, db->body->exec(db, sql));
}

/* ------------------------------------------------------------------ the rest */

enum err db_idle(struct db *db, i64 wal_bytes_max)
{
    assert(!db->in_transaction);
    if (db->dead)
        return db->dead;
    return db->mode == DB_WRITER ? settle(db, db->body->idle(db, wal_bytes_max)) : OK;
}

void db_release_reserve(struct db *db) { db->body->release_reserve(db); }
bool db_has_room(struct db *db) { return db->body->has_room(db); }
struct str db_version(struct db *db, struct arena *arena) { return db->body->version(db, arena); }
bool db_is_postgres(const struct db *db) { return db->body->postgres; }
