// SPDX-License-Identifier: Apache-2.0
/*
 * Migrations: numbered, forward only, inside the binary.
 *
 * schema/NNNN-words.sql brings a store from version NNNN-1 to NNNN, in one transaction together
 * with its row in schema_version: a power cut leaves the old version or the new one, and the next
 * start goes on from there. A line
 *
 *     -- compatible from 3
 *
 * says that a program which knows migrations up to 3 can still use the store afterwards (a new
 * table or column that it does not touch); without the line only programs that know NNNN can. Such
 * an older program opens the newer store and leaves its schema alone; that is the way back from an
 * upgrade.
 *
 * One text serves both databases. What only one of them wants stands in a marked comment:
 * a comment that begins with sqlite: (or postgres:) is bared for that one.
 */
#include "base/embedded.h"
#include "db/inside.h"
#include "sys/sys.h"

#include <stdio.h>

static const char version_table[] =
    "CREATE TABLE schema_version ("
    " version BIGINT NOT NULL,"
    " compatible_from BIGINT NOT NULL,"
    " applied_at TEXT NOT NULL,"
    " words TEXT NOT NULL,"
    " PRIMARY KEY (version))";

/* ------------------------------------------------------------------ the list */

/* "schema/0001-way.sql" → 1 and "way". */
static bool read_name(struct migration *m, struct str name)
{
    struct str folder = S("schema/"), ending = S(".sql");

    if (!str_starts(name, folder) || !str_ends(name, ending))
        return false;
    struct str rest = { name.p + folder.n, name.n - folder.n - ending.n };
    struct str number = str_cut(&rest, '-');
    m->words = rest;
    return number.n == 4 && str_to_i64(&m->version, number) && m->version > 0;
}

static i64 read_compatible(const struct migration *m)
{
    struct str rest = m->sql, mark = S("-- compatible from ");
    i64 from;

    while (rest.n > 0) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (!str_starts(line, mark))
            continue;
        line = str_trim((struct str){ line.p + mark.n, line.n - mark.n });
        if (!str_to_i64(&from, line) || from < 1 || from > m->version)
            die("schema %lld: \"compatible from\" names no version", (long long)m->version);
        return from;
    }
    return m->version;
}

size_t db_migrations(struct migration *out, size_t room)
{
    size_t n = 0;

    for (const struct embedded *e = embedded_files; e->name; e++) {   /* ordered by name */
        struct migration m = { .sql = { (const char *)e->p, (size_t)e->n } };
        if (!read_name(&m, str_z(e->name)))
            continue;
        m.compatible_from = read_compatible(&m);
        if (n == room || m.version != (i64)n + 1)
            die("schema %s is not number %zu of at most %zu", e->name, n + 1, room);
        out[n++] = m;
    }
    return n;
}

/* ------------------------------------------------------------------ one text for both */

/* Bares the comments that are marked for this database. */
static struct str translate(const struct db *db, struct str sql, struct arena *arena)
{
    struct str  mark = db_is_postgres(db) ? S("/*postgres:") : S("/*sqlite:");
    struct text t = text_make(arena, sql.n + 1);

    for (;;) {
        ptrdiff_t at = str_find(sql, mark);
        if (at < 0)
            break;
        text_put(&t, (struct str){ sql.p, (size_t)at });
        sql = (struct str){ sql.p + at + mark.n, sql.n - (size_t)at - mark.n };
        ptrdiff_t end = str_find(sql, S("*/"));
        if (end < 0)
            break;
        text_put(&t, (struct str){ sql.p, (size_t)end });
        sql = (struct str){ sql.p + end + 2, sql.n - (size_t)end - 2 };
    }
    text_put(&t, sql);
    return str_copy(arena, text_str(&t));        /* zero-ended */
}

/* ------------------------------------------------------------------ versions */

static enum err find_version_table(struct db *db, bool *there)
{
    struct db_query *q = db_is_postgres(db)
        ? db_query(db, "SELECT 1 FROM pg_tables WHERE schemaname = current_schema()"
                       " AND tablename = 'schema_version'")
        : db_query(db, "SELECT 1 FROM sqlite_schema WHERE type = 'table'"
                       " AND name = 'schema_version'");
    enum err err = db_step(q);
    *there = err == OK;
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

struct schema { i64 version, compatible_from; };

static enum err ask_schema(struct schema *out, struct db *db)
{
    bool there;
    *out = (struct schema){ 0, 0 };
    enum err err = find_version_table(db, &there);
    if (err || !there)
        return err;
    struct db_query *q =
        db_query(db, "SELECT max(version), max(compatible_from) FROM schema_version");
    err = db_step(q);
    if (!err)
        *out = (struct schema){ db_i64(q, 0), db_i64(q, 1) };
    db_reset(q);
    return err;
}

i64 db_schema_version(struct db *db)
{
    struct schema schema;
    return ask_schema(&schema, db) ? 0 : schema.version;
}

u32 db_schema_sum(struct db *db)
{
    u32 crc = 0;
    if (db_is_postgres(db))
        return 0;
    struct db_query *q = db_query(db, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name");
    while (db_step(q) == OK)
        for (int i = 0; i < 4; i++)
            crc = db_sum_column(crc, i + 1, q, i);
    db_reset(q);
    return crc;
}

/* Can a program that knows `n` migrations use it? */
static enum err judge(const struct schema *schema, size_t n, struct str *why, struct arena *arena)
{
    if (schema->compatible_from <= (i64)n)
        return OK;
    *why = str_fmt(arena, "the store has schema %lld, which needs a program that knows schema %lld; this one"
                   " knows %zu: install the newer version again", (long long)schema->version,
                   (long long)schema->compatible_from, n);
    return ERR_CONFLICT;
}

enum err db_schema_check(struct db *db, const struct migration *list, size_t n, struct str *why,
                         struct arena *arena)
{
    struct schema schema;
    (void)list;

    enum err err = ask_schema(&schema, db);
    if (!err && schema.version == 0 && n > 0) {
        *why = S("the store is empty: start the writer first");
        return ERR_NOT_FOUND;
    }
    return err ? err : judge(&schema, n, why, arena);
}

/* ------------------------------------------------------------------ one step */

static enum err record(struct db *db, const struct migration *m, struct str at, struct arena *arena)
{
    struct db_query *q = db_query(db, "INSERT INTO schema_version (version, compatible_from, applied_at, words)"
                                      " VALUES ($1, $2, $3, $4)");
    db_bind_i64(q, 1, m->version);
    db_bind_i64(q, 2, m->compatible_from);
    db_bind_str(q, 3, at);
    db_bind_str(q, 4, m->words);
    enum err err = db_run(q);
    if (err || db_is_postgres(db))
        return err;
    return db_exec(db, str_fmt(arena, "PRAGMA user_version = %lld", (long long)m->version).p);
}

static enum err apply(struct db *db, const struct migration *m, struct str at, struct arena *arena)
{
    enum err err = db_begin(db);
    if (err)
        return err;
    if (m->version == 1)
        err = db_exec(db, version_table);
    if (!err)
        err = db_exec(db, translate(db, m->sql, arena).p);
    if (!err)
        err = record(db, m, at, arena);
    if (!err)
        return db_commit(db);
    db_rollback(db);
    return err;
}

enum err db_migrate(struct db *db, const struct migration *list, size_t n, struct str *why,
                    struct arena *arena)
{
    struct schema schema;
    struct str at = wall_str(arena, sys_clock());          /* one time for all: db_sums_all asks it */
    enum err err = ask_schema(&schema, db);

    if (!err)
        err = judge(&schema, n, why, arena);
    for (size_t i = (size_t)schema.version; !err && i < n; i++) {
        err = apply(db, &list[i], at, arena);
        if (!err)
            log_line(LOG_INFO, "store schema=%lld words=\"%.*s\"", (long long)list[i].version,
                     STR(list[i].words));
        else
            *why = str_fmt(arena, "migration %lld (%.*s) failed: %.*s", (long long)list[i].version,
                           STR(list[i].words), STR(db_error(db)));
    }
    if (err && why->n == 0)
        *why = str_fmt(arena, "the schema of the store cannot be read: %.*s", STR(db_error(db)));
    return err;
}
