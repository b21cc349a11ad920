// SPDX-License-Identifier: Apache-2.0
/*
 * SQLite as the body: one folder with
 *
 *     hotaru.db        what a promise spans      hotaru.lock      held by the one writer
 *     hotaru.db-wal    the log, and its index    hotaru.reserve   room for when the disk is full
 *
 * The writer is the only checkpointer (so the WAL-reset bug of 3.7.0-3.51.2 has no second party),
 * never inside a commit: automatic checkpoints are off and db_idle does them. Before the first
 * acknowledgement the log left by the last run is put into the database file and synced once.
 * Settings are asked back after they are made: a store that is not durable is not opened.
 */
#include "db/inside.h"
#include "sys/sys.h"

#include <sqlite3.h>

enum {
    RESERVE_BYTES = 64 << 20,
    LOG_ROOM = 1 << 20,              /* the least with which a full disk may be called full no more */
    CACHE_WRITER_KIB = 32 << 10,
    CACHE_READER_KIB = 4 << 10,
    BUSY_MS_OPENING = 2000,
    CHECKPOINT_PAGES = 1000,         /* a log shorter than this is not worth the two syncs */
    VALUE_BYTES_MAX = 64 << 20,
    SQL_BYTES_MAX = 100 << 10
};

struct sqlite {
    struct db    db;
    sqlite3     *handle;
    struct sys_lock *lock;           /* of hotaru.lock, or NULL */
    const char  *folder, *wal_path, *reserve_path;
    sqlite3_stmt *begin, *commit, *rollback;
    int          wal_pages;          /* in the log after the last commit */
    int          wal_pages_done;     /* of them in the database file already */
    bool         reserve_released;
    i64          reserve_bytes;      /* what it was when it was given away */
};

struct sqlite_query { struct db_query q; sqlite3_stmt *stmt; bool reads; enum err never; /* why it could not be prepared */ };

static inline struct sqlite *body(struct db *db) { return (struct sqlite *)db; }
static inline sqlite3_stmt *stmt_of(struct db_query *q) { return ((struct sqlite_query *)q)->stmt; }

/* ------------------------------------------------------------------ errors */

static enum err meaning(int rc)
{
    switch (rc) {
    case SQLITE_OK: case SQLITE_ROW: case SQLITE_DONE:
        return OK;
    case SQLITE_CONSTRAINT_PRIMARYKEY: case SQLITE_CONSTRAINT_UNIQUE: case SQLITE_CONSTRAINT_ROWID:
        return ERR_CONFLICT;
    case SQLITE_IOERR_SHMSIZE:               /* no room for the index of the log: nothing is lost */
        return ERR_FULL;
    }
    switch (rc & 0xFF) {
    case SQLITE_FULL:                   return ERR_FULL;
    case SQLITE_BUSY: case SQLITE_LOCKED: case SQLITE_INTERRUPT: return ERR_BUSY;
    case SQLITE_TOOBIG:                 return ERR_TOO_LARGE;
    case SQLITE_READONLY: case SQLITE_AUTH: case SQLITE_PERM: return ERR_DENIED;
    case SQLITE_CONSTRAINT: case SQLITE_MISMATCH:
    case SQLITE_RANGE: case SQLITE_ERROR: return ERR_INVALID;
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return ERR_DAMAGED;
    case SQLITE_NOMEM:                  die("SQLite is out of memory");
    default:                            return ERR_IO;   /* IOERR, CANTOPEN, … */
    }
}

static enum err fail(struct sqlite *s, int rc)
{
    enum err err = meaning(rc);
    if (err)
        db_remember(&s->db, str_z(sqlite3_errmsg(s->handle)));
    return err;
}

/* ------------------------------------------------------------------ statements */

/* Parameters are $1, $2, … in the order of first appearance: then both databases count alike. */
static void check_parameters(const char *sql, sqlite3_stmt *stmt)
{
    int n = sqlite3_bind_parameter_count(stmt);
    for (int i = 1; i <= n; i++) {
        i64 number = 0;
        struct str name = str_z(sqlite3_bind_parameter_name(stmt, i));
        if (name.n < 2 || name.p[0] != '$'
            || !str_to_i64(&number, (struct str){ name.p + 1, name.n - 1 }) || number != i)
            die("parameter %d is written %.*s in: %s", i, STR(name), sql);
    }
}

/* A table or column that every store has: its schema's text is damaged. */
static bool names_are_gone(struct sqlite *s)
{
    return str_starts(str_z(sqlite3_errmsg(s->handle)), S("no such "));
}

static struct db_query *make(struct db *db, const char *sql)
{
    struct sqlite       *s = body(db);
    struct sqlite_query *q = arena_new(&db->arena, struct sqlite_query);

    int rc = sqlite3_prepare_v3(s->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL);
    if (rc != SQLITE_OK || !q->stmt) {
        if ((meaning(rc) == ERR_INVALID && !names_are_gone(s)) || rc == SQLITE_OK)
            die("SQLite does not understand: %s: %s", sqlite3_errmsg(s->handle), sql);
        (void)fail(s, rc);
        q->q.bad = q->never = meaning(rc) == ERR_INVALID ? ERR_DAMAGED : meaning(rc);
    }
    check_parameters(sql, q->stmt);
    q->q.parameters = q->stmt ? sqlite3_bind_parameter_count(q->stmt) : -1;
    q->reads = q->stmt && sqlite3_stmt_readonly(q->stmt);
    return &q->q;
}

/* A statement that writes is done after its first step; one that reads looks at its parameters
 * again. */
static sqlite3_destructor_type lifetime(struct db_query *q)
{
    return ((struct sqlite_query *)q)->reads ? SQLITE_TRANSIENT : SQLITE_STATIC;
}

static void bound(struct db_query *q, int rc)
{
    if (rc == SQLITE_TOOBIG)
        q->bad = ERR_TOO_LARGE;
    else if (rc == SQLITE_NOMEM)
        die("SQLite is out of memory");
    else
        assert(rc == SQLITE_OK || !stmt_of(q));
}

static void bind_i64(struct db_query *q, int at, i64 v)
{
    bound(q, sqlite3_bind_int64(stmt_of(q), at, v));
}

static void bind_double(struct db_query *q, int at, double v)
{
    bound(q, sqlite3_bind_double(stmt_of(q), at, v));
}

static void bind_str(struct db_query *q, int at, struct str v)
{
    bound(q, sqlite3_bind_text64(stmt_of(q), at, v.p, v.n, lifetime(q), SQLITE_UTF8));
}

static void bind_bytes(struct db_query *q, int at, struct bytes v)
{
    bound(q, sqlite3_bind_blob64(stmt_of(q), at, v.p, v.n, lifetime(q)));
}

static void bind_null(struct db_query *q, int at)
{
    bound(q, sqlite3_bind_null(stmt_of(q), at));
}

static void reset(struct db_query *q)
{
    q->bad = ((struct sqlite_query *)q)->never;        /* every use says so */
    if (q->bad)
        return;
    sqlite3_reset(stmt_of(q));
    sqlite3_clear_bindings(stmt_of(q));
}

static enum err step(struct db_query *q)
{
    int rc = sqlite3_step(stmt_of(q));
    if (rc == SQLITE_ROW)
        return OK;
    enum err err = rc == SQLITE_DONE ? ERR_NOT_FOUND : fail(body(q->db), rc);
    reset(q);
    return err;
}

static enum err run(struct db_query *q)
{
    int      rc = sqlite3_step(stmt_of(q));
    enum err err = fail(body(q->db), rc);
    reset(q);
    return err;
}

static i64 changes(struct db *db, enum err *err)
{
    *err = OK;
    return sqlite3_changes64(body(db)->handle);
}

static i64 column_i64(struct db_query *q, int column)
{
    return sqlite3_column_int64(stmt_of(q), column);
}

static double column_double(struct db_query *q, int column)
{
    return sqlite3_column_double(stmt_of(q), column);
}

/* Nothing, where there is something: no memory to copy it out of its page. */
static void check_there(struct db_query *q, const void *p)
{
    if (!p && sqlite3_errcode(body(q->db)->handle) == SQLITE_NOMEM)
        die("SQLite is out of memory");
}

static struct str column_str(struct db_query *q, int column)
{
    const char *p = (const char *)sqlite3_column_text(stmt_of(q), column);
    check_there(q, p);
    return (struct str){ p ? p : "", (size_t)sqlite3_column_bytes(stmt_of(q), column) };
}

static struct bytes column_bytes(struct db_query *q, int column)
{
    const u8 *p = sqlite3_column_blob(stmt_of(q), column);
    check_there(q, p);
    return (struct bytes){ p ? p : (const u8 *)"",
                           (size_t)sqlite3_column_bytes(stmt_of(q), column) };
}

static bool column_null(struct db_query *q, int column)
{
    return sqlite3_column_type(stmt_of(q), column) == SQLITE_NULL;
}

static enum db_kind column_kind(struct db_query *q, int column)
{
    switch (sqlite3_column_type(stmt_of(q), column)) {
    case SQLITE_INTEGER: return DB_I64;
    case SQLITE_FLOAT:   return DB_DOUBLE;
    case SQLITE_TEXT:    return DB_TEXT;
    case SQLITE_BLOB:    return DB_BYTES;
    default:             return DB_NULL;
    }
}

static int column_count(struct db_query *q) { return sqlite3_column_count(stmt_of(q)); }
static const char *column_name(struct db_query *q, int column) { return sqlite3_column_name(stmt_of(q), column); }

/* ------------------------------------------------------------------ transactions */

static enum err once(struct sqlite *s, sqlite3_stmt *stmt)
{
    enum err err = fail(s, sqlite3_step(stmt));
    sqlite3_reset(stmt);
    return err;
}

static enum err begin(struct db *db) { return once(body(db), body(db)->begin); }
static enum err commit(struct db *db) { return once(body(db), body(db)->commit); }

static void rollback(struct db *db)
{
    /* A full disk or an I/O error has rolled back already. Open statements end with it. */
    for (size_t i = 0; i < DB_QUERIES_MAX; i++)
        if (db->queries[i] && db->queries[i]->stepping)
            db_reset(db->queries[i]);
    if (!sqlite3_get_autocommit(body(db)->handle))
        (void)once(body(db), body(db)->rollback);
}

static enum err exec(struct db *db, const char *sql)
{
    return fail(body(db), sqlite3_exec(body(db)->handle, sql, NULL, NULL, NULL));
}

/* ------------------------------------------------------------------ the log and the reserve */

/* Called behind every commit. */
static int count_pages(void *arg, sqlite3 *handle, const char *schema, int pages)
{
    struct sqlite *s = arg;
    (void)handle, (void)schema;
    if (pages < s->wal_pages)
        s->wal_pages_done = 0;               /* the log began anew */
    s->wal_pages = pages;
    return SQLITE_OK;
}

/* A reader that holds the log back is no error. */
static enum err checkpoint(struct sqlite *s, int kind)
{
    int pages = 0, done = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->handle, "main", kind, &pages, &done);
    if (rc == SQLITE_OK || (rc & 0xFF) == SQLITE_BUSY) {
        s->wal_pages = MAX(pages, 0);
        s->wal_pages_done = MAX(done, 0);
        return OK;
    }
    return fail(s, rc);
}

static i64 pragma_number(struct sqlite *s, const char *pragma)
{
    sqlite3_stmt *stmt = NULL;
    i64 value = 0;
    if (sqlite3_prepare_v2(s->handle, pragma, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

/* Room on the disk, beyond what the reserve gave; or pages that retention has freed inside the store,
 * as long as the log still finds a place beside it. */
static bool has_room(struct db *db)
{
    struct sqlite *s = body(db);
    i64 room, needed = MAX(2 * s->reserve_bytes, (i64)LOG_ROOM);
    if (!sys_folder_room(&room, s->folder))
        return false;
    if (room >= needed)
        return true;
    return room >= LOG_ROOM && pragma_number(s, "PRAGMA freelist_count") * pragma_number(s, "PRAGMA page_size") >= needed;
}

/* 64 MiB, or less of a small disk; allocated, not only promised. */
static void keep_reserve(struct sqlite *s)
{
    i64 room, has = 0;
    if ((sys_file_size(&has, s->reserve_path) && has > 0) || !sys_folder_room(&room, s->folder))
        return;
    i64 wanted = MIN((i64)RESERVE_BYTES, room / 8);
    /* After it was given away, it comes back when there is room for more than it. */
    if (s->reserve_released && !has_room(&s->db))
        return;
    s->reserve_released = false;
    if (wanted > 0 && !sys_file_reserve(s->reserve_path, wanted))
        log_line(LOG_WARN, "store reserve=none words=\"no room for the reserve file\"");
}

static enum err idle(struct db *db, i64 wal_bytes_max)
{
    struct sqlite *s = body(db);
    i64 wal_bytes;

    keep_reserve(s);
    if (sys_file_size(&wal_bytes, s->wal_path) && wal_bytes > wal_bytes_max)
        return checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE);
    if (s->wal_pages - s->wal_pages_done < CHECKPOINT_PAGES)
        return OK;
    return checkpoint(s, SQLITE_CHECKPOINT_PASSIVE);
}

static void release_reserve(struct db *db)
{
    struct sqlite *s = body(db);
    if (db->mode != DB_WRITER || s->reserve_released)
        return;
    s->reserve_released = true;
    (void)sys_file_size(&s->reserve_bytes, s->reserve_path);
    if (sys_file_reserve(s->reserve_path, 0))
        log_line(LOG_WARN, "store reserve=released");
}

static struct str version(struct db *db, struct arena *arena)
{
    (void)db;
    return str_fmt(arena, "sqlite %s", sqlite3_libversion());
}

/* ------------------------------------------------------------------ opening and closing */

static void close_sqlite(struct db *db)
{
    struct sqlite *s = body(db);

    for (size_t i = 0; i < DB_QUERIES_MAX; i++)
        if (db->queries[i])
            sqlite3_finalize(stmt_of(db->queries[i]));
    sqlite3_finalize(s->begin);
    sqlite3_finalize(s->commit);
    sqlite3_finalize(s->rollback);
    if (s->handle && db->mode == DB_WRITER && !db->dead)
        (void)checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE);
    int rc = sqlite3_close(s->handle);
    assert(rc == SQLITE_OK);
    if (s->lock)
        sys_unlock_file(s->lock);
}

static enum err take_lock(struct sqlite *s, const char *path, struct str *why, struct arena *arena)
{
    struct str holder = S("");
    enum err   err = sys_lock_file(&s->lock, path, &holder, arena);
    if (err == ERR_CONFLICT)
        *why = str_fmt(arena, "the store is being written by another hotaru (process %.*s)", STR(holder));
    else if (err)
        *why = str_fmt(arena, "%s cannot be opened", path);
    return err;
}

/* The first value of a PRAGMA, as text. */
static struct str ask(struct sqlite *s, const char *pragma, struct arena *arena)
{
    sqlite3_stmt *stmt = NULL;
    struct str    value = S("");
    if (sqlite3_prepare_v2(s->handle, pragma, -1, &stmt, NULL) == SQLITE_OK
        && sqlite3_step(stmt) == SQLITE_ROW)
        value = str_copy(arena, str_z((const char *)sqlite3_column_text(stmt, 0)));
    sqlite3_finalize(stmt);
    return value;
}

/* Whose file is it? A new one becomes ours; a foreign one is not touched. */
static enum err check_identity(struct sqlite *s, struct str *why, struct arena *arena)
{
    struct str pages = ask(s, "PRAGMA page_count", arena);
    if (pages.n == 0) {
        *why = str_fmt(arena, "the store cannot be read: %s", sqlite3_errmsg(s->handle));
        return fail(s, sqlite3_extended_errcode(s->handle));
    }
    struct str id = ask(s, "PRAGMA application_id", arena);
    if (str_eq(id, str_fmt(arena, "%d", DB_APPLICATION_ID)))
        return OK;
    if (str_eq(pages, S("0")) && s->db.mode == DB_WRITER)
        return exec(&s->db, str_fmt(arena, "PRAGMA application_id = %d", DB_APPLICATION_ID).p);
    if (str_eq(pages, S("0"))) {
        *why = S("the store is empty: start the writer first");
        return ERR_NOT_FOUND;
    }
    *why = S("hotaru.db is the database of another program (its application_id is not ours)");
    return ERR_CONFLICT;
}

/* What is set, and what must be answered when it is asked back. */
static const struct setting { const char *set, *ask; struct str writer, reader; } settings[] = {
    { "PRAGMA journal_mode = WAL",     "PRAGMA journal_mode",       S("wal"), S("wal") },
    { "PRAGMA synchronous = FULL",     "PRAGMA synchronous",        S("2"),   S("2")   },
    { "PRAGMA mmap_size = 0",          "PRAGMA mmap_size",          S("0"),   S("0")   },
    { "PRAGMA foreign_keys = ON",      "PRAGMA foreign_keys",       S("1"),   S("1")   },
    { "PRAGMA trusted_schema = OFF",   "PRAGMA trusted_schema",     S("0"),   S("0")   },
    { "PRAGMA cell_size_check = ON",   "PRAGMA cell_size_check",    S("1"),   S("1")   },
    { "PRAGMA temp_store = MEMORY",    "PRAGMA temp_store",         S("2"),   S("2")   },
    { "PRAGMA wal_autocheckpoint = 0", "PRAGMA wal_autocheckpoint", S("0"),   S("0")   },
    { NULL,                            "PRAGMA query_only",         S("0"),   S("1")   },
};

static enum err set_up(struct sqlite *s, struct str *why, struct arena *arena)
{
    static const struct { int what, on; } switches[] = {
        { SQLITE_DBCONFIG_DEFENSIVE, 1 },          { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
        { SQLITE_DBCONFIG_DQS_DML, 0 },            { SQLITE_DBCONFIG_DQS_DDL, 0 },
        { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },     { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
        { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
        { SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 },   /* the writer does it itself, the readers never */
    };
    static const struct { int what, most; } limits[] = {
        { SQLITE_LIMIT_ATTACHED, 0 },              { SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX },
        { SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES_MAX }, { SQLITE_LIMIT_EXPR_DEPTH, 100 },
        { SQLITE_LIMIT_COMPOUND_SELECT, 10 },      { SQLITE_LIMIT_VARIABLE_NUMBER, DB_PARAMETERS_MAX },
        { SQLITE_LIMIT_WORKER_THREADS, 0 },        { SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000 },
        { SQLITE_LIMIT_TRIGGER_DEPTH, 1 },
    };
    bool writer = s->db.mode == DB_WRITER;

    for (size_t i = 0; i < COUNT(switches); i++) {
        int is = -1;
        if (sqlite3_db_config(s->handle, switches[i].what, switches[i].on, &is)
            || is != switches[i].on) {
            *why = str_fmt(arena, "SQLite %s does not know a setting we need (%d)",
                           sqlite3_libversion(), switches[i].what);
            return ERR_UNSUPPORTED;
        }
    }
    for (size_t i = 0; i < COUNT(limits); i++)
        sqlite3_limit(s->handle, limits[i].what, limits[i].most);

    for (size_t i = 0; i < COUNT(settings); i++) {
        struct str wanted = writer ? settings[i].writer : settings[i].reader;
        enum err err = settings[i].set ? exec(&s->db, settings[i].set)
                                       : exec(&s->db, writer ? "PRAGMA query_only = OFF"
                                                             : "PRAGMA query_only = ON");
        if (err) {
            *why = str_fmt(arena, "the store cannot be opened: %.*s", STR(db_error(&s->db)));
            return err;
        }
        struct str is = ask(s, settings[i].ask, arena);
        if (!str_eq(is, wanted)) {
            *why =
                str_fmt(arena, "%s answers %.*s, not %.*s", settings[i].ask, STR(is), STR(wanted));
            return ERR_UNSUPPORTED;
        }
    }
    int kib = writer ? CACHE_WRITER_KIB : CACHE_READER_KIB;
    return exec(&s->db, str_fmt(arena, "PRAGMA cache_size = -%d", kib).p);
}

static enum err prepare_transactions(struct sqlite *s)
{
    static const char *const begins[] = { [DB_WRITER] = "BEGIN IMMEDIATE", [DB_READER] = "BEGIN" };
    const struct { sqlite3_stmt **stmt; const char *sql; } all[] = {
        { &s->begin, begins[s->db.mode] }, { &s->commit, "COMMIT" }, { &s->rollback, "ROLLBACK" },
    };
    for (size_t i = 0; i < COUNT(all); i++) {
        int rc = sqlite3_prepare_v3(s->handle, all[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                    all[i].stmt, NULL);
        if (rc != SQLITE_OK)
            return fail(s, rc);
    }
    return OK;
}

static const struct db_body sqlite_body = {
    .close = close_sqlite, .make = make,
    .bind_i64 = bind_i64, .bind_double = bind_double, .bind_str = bind_str,
    .bind_bytes = bind_bytes, .bind_null = bind_null,
    .run = run, .changes = changes, .step = step, .reset = reset,
    .i64 = column_i64, .dbl = column_double, .str = column_str, .bytes = column_bytes,
    .null = column_null, .kind = column_kind, .columns = column_count, .name = column_name,
    .begin = begin, .commit = commit, .rollback = rollback, .exec = exec,
    .idle = idle, .release_reserve = release_reserve, .has_room = has_room, .version = version, .postgres = false,
};

static enum err open_file(struct sqlite *s, const char *path, struct str *why, struct arena *arena)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE
                | SQLITE_OPEN_EXRESCODE | (s->db.mode == DB_WRITER ? SQLITE_OPEN_CREATE : 0);
    i64 bytes;

    if (s->db.mode == DB_READER && !sys_file_size(&bytes, path)) {
        *why = str_fmt(arena, "there is no store at %s yet", path);
        return ERR_NOT_FOUND;
    }
    int rc = sqlite3_open_v2(path, &s->handle, flags, NULL);
    if (rc != SQLITE_OK) {
        *why = str_fmt(arena, "%s cannot be opened: %s", path, sqlite3_errmsg(s->handle));
        return meaning(rc);
    }
    sqlite3_busy_timeout(s->handle, BUSY_MS_OPENING);
    return OK;
}

enum err sqlite_open(struct db **out, struct str where, enum db_mode mode, struct str *why,
                     struct arena *arena)
{
    struct sqlite *s = boot_take(sizeof *s);
    enum err       err = OK;

    s->db.body = &sqlite_body;
    s->db.mode = mode;
    s->db.arena = arena_make(16 << 10);
    const char *folder = s->folder = str_copy(&s->db.arena, where).p;
    const char *path = str_fmt(&s->db.arena, "%s/hotaru.db", folder).p;
    s->wal_path = str_fmt(&s->db.arena, "%s-wal", path).p;
    s->reserve_path = str_fmt(&s->db.arena, "%s/hotaru.reserve", folder).p;

    if (mode == DB_WRITER && (err = sys_folder_make(folder)))
        *why = str_fmt(arena, "the folder %s cannot be made", folder);
    /* The write-ahead log needs shared memory between the processes: no network file system has it. */
    if (!err && sys_folder_is_remote(folder)) {
        *why = str_fmt(arena, "%s lies on a network file system; the store needs a local disk",
                       folder);
        err = ERR_UNSUPPORTED;
    }
    if (!err && mode == DB_WRITER)
        err = take_lock(s, str_fmt(arena, "%s/hotaru.lock", folder).p, why, arena);
    /* What the last run could not sync may stand in memory alone; it must be on the disk before its pages are. */
    if (!err && mode == DB_WRITER && (err = sys_file_again(s->wal_path)))
        *why = str_fmt(arena, "the log %s cannot be written again", s->wal_path);
    if (!err)
        err = open_file(s, path, why, arena);
    if (!err)
        err = check_identity(s, why, arena);
    if (!err)
        err = set_up(s, why, arena);
    if (!err)
        err = prepare_transactions(s);
    if (!err && mode == DB_WRITER)
        err = checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE);
    if (err) {
        if (why->n == 0)
            *why = str_fmt(arena, "the store cannot be opened: %.*s", STR(db_error(&s->db)));
        s->db.dead = err;                        /* do not touch what we could not open */
        db_close(&s->db);
        return err;
    }
    sqlite3_wal_hook(s->handle, count_pages, s);
    sqlite3_busy_timeout(s->handle, mode == DB_WRITER ? 0 : BUSY_MS_OPENING);
    *out = &s->db;
    return OK;
}
