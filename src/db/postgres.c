// SPDX-License-Identifier: Apache-2.0
/*
 * PostgreSQL as the body, by libpq.
 *
 * Inside a transaction the writer's statements travel in a pipeline: db_run only queues, and the
 * answers are read when somebody needs one (a row, a count, the commit) or when enough are on the
 * way. A commit of 512 rows is then a handful of round trips instead of 513. Parameters and results
 * are binary. A statement is prepared when it first runs, because only then the types of its
 * parameters are known.
 *
 * A select's rows are fetched at once, so that other statements may run between two steps: put a
 * LIMIT on what may be large.
 *
 * The one writer is held by an advisory lock of the session, named by the schema. (Clusters that do
 * not know advisory locks need a lease row instead; see docs/adr/0004.) The lock goes with the
 * connection, and the connection is never made anew behind the caller's back: ERR_IO is final.
 */
#include "db/inside.h"

#include <libpq-fe.h>
#include <stdio.h>

enum {
    PENDING_MAX = 256,           /* answers on the way, so that neither side's socket fills up */
    NAME_MAX_BYTES = 24,
    NUMBER_BYTES = 8
};

#define PATIENCE "5s"            /* so long a start waits for the writer's lock */

/* Object ids of the types we speak (pg_type.dat); they never change. */
enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_TEXT = 25,
       OID_FLOAT4 = 700, OID_FLOAT8 = 701, OID_VARCHAR = 1043, OID_NUMERIC = 1700 };

struct parameter {
    Oid          type;                        /* 0: null */
    u8           number[NUMBER_BYTES];        /* an i64 or double, big-endian */
    const char  *p;
    size_t       n;
};

struct postgres_query {
    struct db_query q;
    char     name[NAME_MAX_BYTES];
    bool     prepared;
    Oid      declared[DB_PARAMETERS_MAX];     /* as prepared; 0: was null, the server chose */
    int      most;                            /* the highest parameter bound */
    struct parameter parameters[DB_PARAMETERS_MAX];
    PGresult *rows;
    int      row;
};

enum pending { PENDING_RUN, PENDING_OTHER, PENDING_COMMIT, PENDING_ROWS };

struct postgres {
    struct db  db;
    PGconn    *conn;
    u32        statements;
    bool       pipeline;
    bool       broken;                        /* a pipeline met an error: not all of it was done */
    u8         pending[PENDING_MAX + 8];      /* enum pending, in the order the answers will come */
    u32        pending_n;
    i64        changes;                       /* of the last run whose answer was read */
    PGresult  *rows;                          /* of the last PENDING_ROWS */
};

static inline struct postgres *body(struct db *db) { return (struct postgres *)db; }
static inline struct postgres_query *query(struct db_query *q) { return (struct postgres_query *)q; }

/* ------------------------------------------------------------------ errors */

/* SQLSTATE classes and codes (PostgreSQL documentation, appendix A); the longest match wins. */
static const struct { const char *state; enum err err; } states[] = {
    { "23505", ERR_CONFLICT },      /* unique_violation */
    { "23",    ERR_INVALID },
    { "22",    ERR_INVALID },
    { "42501", ERR_DENIED },        /* insufficient_privilege */
    { "25006", ERR_DENIED },        /* read_only_sql_transaction */
    { "42",    ERR_INVALID },
    { "40",    ERR_BUSY },          /* 40001 serialization_failure, 40P01 deadlock: try again */
    { "55P03", ERR_BUSY },          /* lock_not_available */
    { "57014", ERR_BUSY },          /* query_canceled: a timeout */
    { "53100", ERR_FULL },          /* disk_full */
    { "53",    ERR_BUSY },          /* other lack of resources */
    { "54",    ERR_TOO_LARGE },
    { "XX001", ERR_DAMAGED },       /* data_corrupted: a page's checksum is wrong */
    { "XX002", ERR_DAMAGED },       /* index_corrupted */
};

static enum err meaning(const char *state)
{
    struct str s = str_z(state);
    for (size_t i = 0; i < COUNT(states); i++)
        if (str_starts(s, str_z(states[i].state)))
            return states[i].err;
    return ERR_IO;                  /* the connection, the server's disk, or something never seen */
}

static enum err fail_connection(struct postgres *p)
{
    db_remember(&p->db, str_z(PQerrorMessage(p->conn)));
    return ERR_IO;
}

/* What a result says; NULL is what libpq gives when the connection is gone. */
static enum err check(struct postgres *p, const PGresult *r)
{
    ExecStatusType status = r ? PQresultStatus(r) : PGRES_FATAL_ERROR;

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_PIPELINE_SYNC)
        return OK;
    if (!r || PQstatus(p->conn) == CONNECTION_BAD)
        return fail_connection(p);
    if (status == PGRES_PIPELINE_ABORTED)
        return ERR_BUSY;            /* behind the one that failed, which was heard first */
    db_remember(&p->db, str_z(PQresultErrorMessage(r)));
    return meaning(PQresultErrorField(r, PG_DIAG_SQLSTATE));
}

/* ------------------------------------------------------------------ the pipeline */

static enum err enter_pipeline(struct postgres *p)
{
    if (!p->pipeline && !PQenterPipelineMode(p->conn))
        return fail_connection(p);
    p->pipeline = true;
    return OK;
}

static void keep_answer(struct postgres *p, enum pending kind, PGresult *r)
{
    if (kind == PENDING_RUN)
        str_to_i64(&p->changes, str_z(PQcmdTuples(r)));
    if (kind == PENDING_ROWS)
        p->rows = r;
    else
        PQclear(r);
}

/* One queued statement's answer, and the NULL behind it. */
static enum err read_answer(struct postgres *p, enum pending kind)
{
    PGresult *r = PQgetResult(p->conn), *rest;
    enum err  err = check(p, r);

    if (!err && kind == PENDING_COMMIT && !str_eq(str_z(PQcmdStatus(r)), S("COMMIT"))) {
        db_remember(&p->db, S("the server rolled the transaction back"));
        err = ERR_BUSY;
    }
    if (err)
        PQclear(r);
    else
        keep_answer(p, kind, r);
    if (err != ERR_IO)
        while ((rest = PQgetResult(p->conn)))
            PQclear(rest);
    return err;
}

/* Reads all answers on the way. The first error is the one to tell. */
static enum err drain(struct postgres *p)
{
    enum err first = OK;

    if (p->pending_n == 0)
        return OK;
    if (!PQpipelineSync(p->conn))
        return fail_connection(p);
    for (u32 i = 0; i < p->pending_n; i++) {
        enum err err = read_answer(p, (enum pending)p->pending[i]);
        p->broken |= err != OK;
        first = first ? first : err;
        if (err == ERR_IO && PQstatus(p->conn) == CONNECTION_BAD)
            break;
    }
    p->pending_n = 0;
    if (PQstatus(p->conn) == CONNECTION_BAD)
        return first ? first : fail_connection(p);
    PGresult *sync = PQgetResult(p->conn);
    enum err  err = check(p, sync);
    PQclear(sync);
    return first ? first : err;
}

static enum err leave_pipeline(struct postgres *p)
{
    enum err err = drain(p);
    if (p->pipeline && !PQexitPipelineMode(p->conn) && !err)
        err = fail_connection(p);
    p->pipeline = false;
    return err;
}

static enum err queued(struct postgres *p, enum pending kind, int sent)
{
    if (!sent)
        return fail_connection(p);
    p->pending[p->pending_n++] = (u8)kind;
    return p->pending_n >= PENDING_MAX ? drain(p) : OK;
}

/* ------------------------------------------------------------------ statements */

static struct db_query *make(struct db *db, const char *sql)
{
    struct postgres_query *q = arena_new(&db->arena, struct postgres_query);
    (void)sql;
    q->q.parameters = -1;
    (void)snprintf(q->name, sizeof q->name, "h%u", body(db)->statements++);
    return &q->q;
}

static struct parameter *place(struct db_query *q, int at, Oid type)
{
    struct parameter *to = &query(q)->parameters[at - 1];
    query(q)->most = MAX(query(q)->most, at);
    *to = (struct parameter){ .type = type };
    return to;
}

static void bind_number(struct db_query *q, int at, Oid type, u64 bits)
{
    struct parameter *to = place(q, at, type);
    put_u64be(to->number, bits);
    to->p = (const char *)to->number;
    to->n = NUMBER_BYTES;
}

static void bind_i64(struct db_query *q, int at, i64 v) { bind_number(q, at, OID_INT8, (u64)v); }

static void bind_double(struct db_query *q, int at, double v)
{
    u64 bits;
    memcpy(&bits, &v, sizeof bits);
    bind_number(q, at, OID_FLOAT8, bits);
}

static void bind_str(struct db_query *q, int at, struct str v)
{
    struct parameter *to = place(q, at, OID_TEXT);
    to->p = v.p;
    to->n = v.n;
}

static void bind_bytes(struct db_query *q, int at, struct bytes v)
{
    struct parameter *to = place(q, at, OID_BYTEA);
    to->p = (const char *)v.p;
    to->n = v.n;
}

static void bind_null(struct db_query *q, int at) { place(q, at, 0); }

static void reset(struct db_query *q)
{
    struct postgres_query *pq = query(q);
    PQclear(pq->rows);
    pq->rows = NULL;
    for (int i = 0; i < pq->most; i++)
        pq->parameters[i] = (struct parameter){ 0 };
}

/* An integer where a double was declared is no new type. */
static void widen(struct parameter *to, Oid declared)
{
    if (declared != OID_FLOAT8 || to->type != OID_INT8)
        return;
    double v = (double)(i64)get_u64be(to->number);
    u64    bits;
    memcpy(&bits, &v, sizeof bits);
    put_u64be(to->number, bits);
    to->type = OID_FLOAT8;
}

/* Declared with other types than it is bound with now? A null fits every type. */
static bool declare(struct postgres_query *q)
{
    bool changed = false;
    for (int i = 0; i < q->most; i++) {
        widen(&q->parameters[i], q->declared[i]);
        if (q->parameters[i].type == 0 || q->parameters[i].type == q->declared[i])
            continue;
        q->declared[i] = q->parameters[i].type;
        changed = true;
    }
    return changed;
}

static enum err prepare(struct postgres *p, struct postgres_query *q)
{
    if (declare(q) && q->prepared) {
        size_t n = str_z(q->name).n;             /* the old one stays; there are few */
        if (n + 2 > sizeof q->name)
            die("a parameter changes its type again and again in: %s", q->q.sql);
        q->name[n] = '_';
        q->name[n + 1] = '\0';
        q->prepared = false;
    }
    if (q->prepared)
        return OK;
    q->prepared = true;
    if (p->pipeline)
        return queued(p, PENDING_OTHER,
                      PQsendPrepare(p->conn, q->name, q->q.sql, q->most, q->declared));
    PGresult *r = PQprepare(p->conn, q->name, q->q.sql, q->most, q->declared);
    enum err  err = check(p, r);
    PQclear(r);
    q->prepared = err == OK;
    return err;
}

static enum err send(struct postgres *p, struct postgres_query *q, enum pending kind)
{
    enum { BINARY = 1 };
    const char *values[DB_PARAMETERS_MAX];
    int         sizes[DB_PARAMETERS_MAX], formats[DB_PARAMETERS_MAX];

    enum err err = prepare(p, q);
    if (err)
        return err;
    for (int i = 0; i < q->most; i++) {
        if (q->parameters[i].n > INT32_MAX)
            return ERR_TOO_LARGE;
        values[i] = q->parameters[i].p;
        sizes[i] = (int)q->parameters[i].n;
        formats[i] = BINARY;
    }
    if (p->pipeline)
        return queued(
            p, kind,
            PQsendQueryPrepared(p->conn, q->name, q->most, values, sizes, formats, BINARY));

    PGresult *r = PQexecPrepared(p->conn, q->name, q->most, values, sizes, formats, BINARY);
    err = check(p, r);
    if (err)
        PQclear(r);
    else
        keep_answer(p, kind, r);
    return err;
}

static enum err run(struct db_query *q)
{
    enum err err = send(body(q->db), query(q), PENDING_RUN);
    reset(q);
    return err;
}

static i64 changes(struct db *db, enum err *err)
{
    *err = drain(body(db));
    return body(db)->changes;
}

static enum err step(struct db_query *q)
{
    struct postgres       *p = body(q->db);
    struct postgres_query *pq = query(q);
    enum err err = OK;

    if (!pq->rows) {
        err = send(p, pq, PENDING_ROWS);
        if (!err && p->pipeline && !p->rows)
            err = drain(p);
        pq->rows = p->rows;
        p->rows = NULL;
        pq->row = -1;
    }
    if (!err && pq->rows && ++pq->row < PQntuples(pq->rows))
        return OK;
    reset(q);
    return err ? err : ERR_NOT_FOUND;
}

/* ------------------------------------------------------------------ columns, in the binary format */

static const u8 *cell(struct db_query *q, int column, size_t *n, Oid *type)
{
    const struct postgres_query *pq = query(q);
    assert(pq->rows && column >= 0 && column < PQnfields(pq->rows));
    *type = PQftype(pq->rows, column);
    *n = (size_t)PQgetlength(pq->rows, pq->row, column);
    return (const u8 *)PQgetvalue(pq->rows, pq->row, column);
}

/*
 * NUMERIC, which SUM and AVG of BIGINT give (utils/adt/numeric.c, numeric_send): big-endian u16
 * ndigits, weight, sign, dscale, then digits of base 10,000; the first has the weight 10000^weight.
 */
static double numeric(const u8 *p, size_t n)
{
    enum { HEAD = 8, NEGATIVE = 0x4000, BASE = 10000 };
    double v = 0;
    if (n < HEAD)
        return 0;
    int digits = get_u16be(p), weight = (i16)get_u16be(p + 2);
    for (int i = 0; i < digits && (size_t)(HEAD + 2 * i + 2) <= n; i++)
        v = v * BASE + get_u16be(p + HEAD + 2 * i);
    for (int i = digits - 1; i < weight; i++)
        v *= BASE;
    for (int i = weight; i < digits - 1; i++)
        v /= BASE;
    return get_u16be(p + 4) == NEGATIVE ? -v : v;
}

static double column_double(struct db_query *q, int column)
{
    size_t n;
    Oid    type;
    double d;
    float  f;
    const u8 *p = cell(q, column, &n, &type);

    if (n == 0)
        return 0;
    if (type == OID_FLOAT8) {
        u64 bits = get_u64be(p);
        memcpy(&d, &bits, sizeof d);
        return d;
    }
    if (type == OID_FLOAT4) {
        u32 bits = get_u32be(p);
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    return type == OID_NUMERIC ? numeric(p, n) : (double)db_i64(q, column);
}

static i64 column_i64(struct db_query *q, int column)
{
    size_t n;
    Oid    type;
    const u8 *p = cell(q, column, &n, &type);

    if (n == 0)
        return 0;
    switch (type) {
    case OID_INT8: return (i64)get_u64be(p);
    case OID_INT4: return (i32)get_u32be(p);
    case OID_INT2: return (i16)get_u16be(p);
    case OID_BOOL: return p[0];
    case OID_FLOAT8: case OID_FLOAT4: case OID_NUMERIC: break;
    default: return 0;
    }
    double d = column_double(q, column);
    return d >= 9223372036854775807.0    ? INT64_MAX
           : d <= -9223372036854775808.0 ? INT64_MIN
                                         : (i64)d;
}

static struct bytes column_bytes(struct db_query *q, int column)
{
    size_t n;
    Oid    type;
    const u8 *p = cell(q, column, &n, &type);
    return (struct bytes){ p, n };
}

static struct str column_str(struct db_query *q, int column) { return str_of(column_bytes(q, column)); }

static bool column_null(struct db_query *q, int column)
{
    return PQgetisnull(query(q)->rows, query(q)->row, column);
}

static enum db_kind column_kind(struct db_query *q, int column)
{
    const struct postgres_query *pq = query(q);
    if (column_null(q, column))
        return DB_NULL;
    switch (PQftype(pq->rows, column)) {
    case OID_BYTEA: return DB_BYTES;
    case OID_TEXT: case OID_VARCHAR: return DB_TEXT;
    case OID_FLOAT8: case OID_FLOAT4: case OID_NUMERIC: return DB_DOUBLE;
    default: return DB_I64;
    }
}

static int column_count(struct db_query *q) { return PQnfields(query(q)->rows); }
static const char *column_name(struct db_query *q, int column) { return PQfname(query(q)->rows, column); }

/* ------------------------------------------------------------------ transactions */

static enum err simple(struct postgres *p, const char *sql)
{
    PGresult *r = PQexec(p->conn, sql);
    enum err  err = check(p, r);
    PQclear(r);
    return err;
}

static enum err begin(struct db *db)
{
    struct postgres *p = body(db);

    if (db->mode == DB_READER)
        return simple(p, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");   /* one snapshot */
    enum err err = enter_pipeline(p);
    return err ? err
               : queued(p, PENDING_OTHER,
                        PQsendQueryParams(p->conn, "BEGIN", 0, NULL, NULL, NULL, NULL, 0));
}

static enum err commit(struct db *db)
{
    struct postgres *p = body(db);

    if (!p->pipeline)
        return simple(p, "COMMIT");
    enum err err = queued(p, PENDING_COMMIT,
                          PQsendQueryParams(p->conn, "COMMIT", 0, NULL, NULL, NULL, NULL, 0));
    enum err left = leave_pipeline(p);
    return err ? err : left;
}

/* Preparations behind the statement that failed were skipped by the server: which, nobody says. */
static void forget_statements(struct postgres *p)
{
    (void)simple(p, "DEALLOCATE ALL");
    for (size_t i = 0; i < DB_QUERIES_MAX; i++)
        if (p->db.queries[i])
            query(p->db.queries[i])->prepared = false;
    p->broken = false;
}

static void rollback(struct db *db)
{
    struct postgres *p = body(db);

    for (size_t i = 0; i < DB_QUERIES_MAX; i++)
        if (db->queries[i] && db->queries[i]->stepping)
            db_reset(db->queries[i]);
    (void)leave_pipeline(p);
    if (PQstatus(p->conn) != CONNECTION_OK)
        return;
    if (PQtransactionStatus(p->conn) != PQTRANS_IDLE)
        (void)simple(p, "ROLLBACK");
    if (p->broken)
        forget_statements(p);
}

static enum err exec(struct db *db, const char *sql)
{
    struct postgres *p = body(db);
    bool     pipeline = p->pipeline;
    enum err err = leave_pipeline(p);

    if (!err)
        err = simple(p, sql);
    return !err && pipeline ? enter_pipeline(p) : err;
}

/* ------------------------------------------------------------------ opening and closing */

static enum err idle(struct db *db, i64 wal_bytes_max) { (void)db, (void)wal_bytes_max; return OK; }
static void release_reserve(struct db *db) { (void)db; }
static bool has_room(struct db *db) { (void)db; return true; }       /* the next commit tells */

static struct str version(struct db *db, struct arena *arena)
{
    struct str rest = str_z(PQparameterStatus(body(db)->conn, "server_version"));
    struct str number = str_cut(&rest, ' ');
    return str_fmt(arena, "postgres %.*s", STR(number));
}

static void close_postgres(struct db *db)
{
    for (size_t i = 0; i < DB_QUERIES_MAX; i++)
        if (db->queries[i])
            PQclear(query(db->queries[i])->rows);
    PQclear(body(db)->rows);
    PQfinish(body(db)->conn);
}

static const struct db_body postgres_body = {
    .close = close_postgres, .make = make,
    .bind_i64 = bind_i64, .bind_double = bind_double, .bind_str = bind_str,
    .bind_bytes = bind_bytes, .bind_null = bind_null,
    .run = run, .changes = changes, .step = step, .reset = reset,
    .i64 = column_i64, .dbl = column_double, .str = column_str, .bytes = column_bytes,
    .null = column_null, .kind = column_kind, .columns = column_count, .name = column_name,
    .begin = begin, .commit = commit, .rollback = rollback, .exec = exec,
    .idle = idle, .release_reserve = release_reserve, .has_room = has_room, .version = version, .postgres = true,
};

/* The first column of a one-row answer, as text. */
static struct str ask(struct postgres *p, const char *sql, struct arena *arena)
{
    PGresult  *r = PQexec(p->conn, sql);
    struct str v =
        check(p, r) || PQntuples(r) < 1 ? S("") : str_copy(arena, str_z(PQgetvalue(r, 0, 0)));
    PQclear(r);
    return v;
}

/* What must be so, or "committed" would not mean "on the disk". */
static enum err check_settings(struct postgres *p, struct str *why, struct arena *arena)
{
    static const struct { const char *name; struct str value; bool writer_only; } wanted[] = {
        { "server_encoding", S("UTF8"), false },           { "client_encoding", S("UTF8"), false },
        { "standard_conforming_strings", S("on"), false }, { "synchronous_commit", S("on"), true },
        { "fsync", S("on"), true },                        { "full_page_writes", S("on"), true },
        { "data_sync_retry", S("off"), true },
    };
    for (size_t i = 0; i < COUNT(wanted); i++) {
        if (wanted[i].writer_only && p->db.mode != DB_WRITER)
            continue;
        struct str is = ask(p, str_fmt(arena, "SHOW %s", wanted[i].name).p, arena);
        if (!str_eq(is, wanted[i].value)) {
            *why = str_fmt(arena, "the server's %s is %.*s; it must be %.*s", wanted[i].name,
                           STR(is), STR(wanted[i].value));
            return ERR_UNSUPPORTED;
        }
    }
    return OK;
}

#define LOCK_KEY "hashtextextended('hotaru writer of ' || current_schema(), 0)"

/* The server waits, so that the lock is ours the moment it is free. lock_timeout goes back to what the address asks for. */
static bool wait_for_lock(struct postgres *p, struct str patience, struct arena *arena)
{
    (void)simple(p, str_fmt(arena, "SET lock_timeout = '%.*s'", STR(patience)).p);
    bool taken = simple(p, "SELECT pg_advisory_lock(" LOCK_KEY ")") == OK;
    (void)(PQstatus(p->conn) == CONNECTION_OK && simple(p, "RESET lock_timeout"));
    return taken;
}

/*
 * The session of a daemon that was killed, or has just closed its connection, may hold the lock a moment
 * longer than the daemon lives: its start again must not fail for that. Another patience than ours is said
 * in the address (options=-clock_timeout=...).
 */
static enum err take_lock(struct postgres *p, struct str *why, struct arena *arena)
{
    struct str patience = ask(p, "SHOW lock_timeout", arena);
    if (patience.n == 0 || str_eq(patience, S("0")))
        patience = S(PATIENCE);
    if (wait_for_lock(p, patience, arena))
        return OK;
    struct str who = ask(p, "SELECT 'process ' || l.pid || coalesce(' from ' || host(a.client_addr), '')"
                            " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
                            " WHERE l.locktype = 'advisory' AND l.granted AND l.database ="
                            " (SELECT oid FROM pg_database WHERE datname = current_database())"
                            " AND l.classid::bigint << 32 | l.objid::bigint = " LOCK_KEY, arena);
    if (who.n == 0) {
        *why = str_fmt(arena, "the advisory lock of the writer cannot be had: %.*s", STR(db_error(&p->db)));
        return ERR_IO;
    }
    *why = str_fmt(arena, "the store is being written by another hotaru (server %.*s), and was still after %.*s",
                   STR(who), STR(patience));
    return ERR_CONFLICT;
}
#undef LOCK_KEY

enum err postgres_open(struct db **out, struct str url, enum db_mode mode, struct str *why,
                       struct arena *arena)
{
    static const char *const sessions[] = {
        [DB_WRITER] = "SET synchronous_commit = on; SET client_min_messages = warning; SET jit = off",
        [DB_READER] = "SET default_transaction_read_only = on; SET client_min_messages = warning;"
                      " SET jit = off; SET statement_timeout = '30s'",
    };
    struct postgres *p = boot_take(sizeof *p);
    enum err         err = OK;

    p->db.body = &postgres_body;
    p->db.mode = mode;
    p->db.arena = arena_make(16 << 10);
    const char *address = str_copy(arena, url).p;
    const char *keywords[] = { "dbname", "client_encoding", "fallback_application_name",
                               "connect_timeout", NULL };
    const char *values[] = { address, "UTF8", "hotaru", "10", NULL };
    p->conn = PQconnectdbParams(keywords, values, 1);

    if (PQstatus(p->conn) != CONNECTION_OK)
        err = fail_connection(p);
    if (!err)
        err = simple(p, sessions[mode]);
    if (!err)
        err = check_settings(p, why, arena);
    if (!err && mode == DB_WRITER)
        err = take_lock(p, why, arena);
    if (err) {
        if (why->n == 0)
            *why = str_fmt(arena, "the database cannot be opened: %.*s", STR(db_error(&p->db)));
        db_close(&p->db);
        return err;
    }
    *out = &p->db;
    return OK;
}
