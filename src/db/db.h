/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_DB_H
#define HOTARU_DB_H

/*
 * db: one SQL face, two bodies (sqlite.c, postgres.c), and the migrations.
 *
 * The store's rules stand in docs/adr/0004: one writer connection that is also the only
 * checkpointer, SQLite in WAL mode with synchronous=FULL, readers that never write, and an I/O
 * error of the writer that is final (ERR_IO: the caller stops acknowledging and exits 75). So is
 * ERR_DAMAGED, pages that do not fit together: no restart mends them.
 *
 * One SQL text serves both databases: parameters are $1, $2, … in the order of first appearance;
 * types are BIGINT, DOUBLE PRECISION, TEXT and BYTEA; ON CONFLICT names the whole primary key.
 */
#include "base/base.h"

struct db;          /* a connection: one thread at a time */
struct db_query;    /* a prepared statement of that connection; lives as long as it */

enum db_mode { DB_WRITER, DB_READER };

/*
 * Opens `where`: a folder (holds hotaru.db) or postgres://…. The writer creates the file and runs
 * the migrations; it refuses (ERR_CONFLICT) a schema newer than it can open, a foreign
 * application_id, and a second writer on the same store. *why gets words for people, in `arena`.
 */
enum err db_open(struct db **out, struct str where, enum db_mode mode, struct str *why,
                 struct arena *arena);
void     db_close(struct db *db);

/* The statement of this text; prepared once per connection and found again by the text's address,
 * so `sql` is a literal. A statement in use (stepping) must be reset before it is asked for again. */
struct db_query *db_query(struct db *db, const char *sql);

/* Parameters count from 1. Text and bytes are borrowed until db_run or the first db_step is done. */
void db_bind_i64(struct db_query *q, int at, i64 v);
void db_bind_double(struct db_query *q, int at, double v);
void db_bind_str(struct db_query *q, int at, struct str v);
void db_bind_bytes(struct db_query *q, int at, struct bytes v);
void db_bind_null(struct db_query *q, int at);

/*
 * A statement without rows. In PostgreSQL it may travel in a pipeline: an error then surfaces at
 * the latest in db_commit. OK, ERR_CONFLICT (a unique key stands already; SQLite only at once),
 * ERR_FULL, ERR_IO, ERR_DAMAGED.
 */
enum err db_run(struct db_query *q);
/* Rows changed by the last db_run that was waited for (SQLite: at once; PostgreSQL: waits). */
i64      db_changes(struct db *db);

/* On PostgreSQL the first db_step fetches all rows: LIMIT what may be large.
 * The next row: OK; no more: ERR_NOT_FOUND (and the query is reset); else an error. */
enum err db_step(struct db_query *q);
void     db_reset(struct db_query *q);      /* give up the remaining rows; parameters are cleared */

/* Columns of the current row count from 0. Views live until the next db_step or db_reset. */
i64          db_i64(struct db_query *q, int column);
double       db_double(struct db_query *q, int column);
struct str   db_str(struct db_query *q, int column);
struct bytes db_bytes(struct db_query *q, int column);
bool         db_is_null(struct db_query *q, int column);
int          db_columns(struct db_query *q);             /* of the current row */
const char  *db_column_name(struct db_query *q, int column);
enum db_kind { DB_NULL, DB_I64, DB_DOUBLE, DB_TEXT, DB_BYTES };
enum db_kind db_kind(struct db_query *q, int column);    /* as it is stored, before it is read as something else */

/* ------------------------------------------------------------------ rows that know when they are damaged */

/*
 * A row's checksum stands in its column `sum` (docs/adr/0014). Writing: bind the whole row in the
 * table's order from parameter 1 on, then the sum behind it; so a row is always written whole.
 * Reading: the row's columns in the table's order, its sum behind them. A row without a sum is from
 * before there were sums, and is taken as it is; unless the store was made with them: then it is
 * damaged. The table's name is part of the sum: a page of one
 * table that turns up in another is noticed.
 */
void db_bind_sum(struct db_query *q, int at, const char *table);
enum db_sum { DB_SUM_RIGHT, DB_SUM_NONE, DB_SUM_WRONG };
enum db_sum db_row_sum(struct db_query *q, int from, int n, const char *table);
bool        db_sums_all(const struct db *db);          /* has this store a sum on every row? */
void        db_sums_some(struct db *db);               /* not any more: write the mark "unsummed", too */
u32         db_row_crc(struct db_query *q, int from, int n);
/* The same for a row that is to be used: false when it is damaged, which is then noted under its
 * first `keys` columns. Such a row is left out, never shown. */
bool        db_row_good(struct db_query *q, int from, int n, const char *table, int keys);
/* "tenant 1, dev_eui 70B3D57ED0000001" */
struct str  db_key_text(struct db_query *q, int from, int n, char *room, size_t size);

/* What the connections of a process found damaged since it started: each row once, the first by name. */
enum { DB_DAMAGED_MAX = 64, DB_KEY_TEXT = 96 };
struct db_damaged { i64 since_us; char table[24]; char key[DB_KEY_TEXT]; };
struct db_damage;
struct db_damage *db_damage_make(void);
void   db_damage_free(struct db_damage *d);
void   db_damage_watch(struct db *db, struct db_damage *d);
void   db_damage_note(struct db *db, const char *table, struct str key);
size_t db_damage_list(struct db_damage *d, struct db_damaged *out, size_t room, u64 *count);

/* ------------------------------------------------------------------ transactions */

/* An error of any call inside a transaction dooms it, on both databases: db_commit then rolls back
 * and returns that error. To ask whether a key stands already, use ON CONFLICT (…) DO NOTHING and
 * db_changes. A writer's begin takes the write lock; a reader's transaction sees one snapshot. One
 * transaction at a time. db_commit returns OK only when the data are on the disk. After any error
 * of db_commit the transaction is rolled back; ERR_IO and ERR_DAMAGED are final for a writer. */
enum err db_begin(struct db *db);
enum err db_commit(struct db *db);
void     db_rollback(struct db *db);

/* Several statements without parameters, for schema work and tests. */
enum err db_exec(struct db *db, const char *sql);

/* Idle work of the writer: a PASSIVE checkpoint, or TRUNCATE when the log is larger than
 * `wal_bytes_max`; and the reserve file, so call it once after opening. Keep wal_bytes_max at or
 * below the reserve (64 MiB): then a full disk still has room to empty the log.
 * Nothing to do on PostgreSQL. */
enum err db_idle(struct db *db, i64 wal_bytes_max);

/* Frees the reserve file once, so that counters and alarms can still commit on a full disk
 * (promises R13). */
void     db_release_reserve(struct db *db);
/* Is there more room again than the reserve gave, on the disk or inside the store? */
bool     db_has_room(struct db *db);

/* For /health, /metrics and the start line: "sqlite 3.40.1", "postgres 15.6". */
struct str db_version(struct db *db, struct arena *arena);
bool       db_is_postgres(const struct db *db);
i64        db_schema_version(struct db *db);              /* 0: none yet */
/* CRC-32C over the text of the schema itself, which no row's sum covers; 0 on PostgreSQL. */
u32        db_schema_sum(struct db *db);
/* The last error in the database's own words, for the log; never for a client. */
struct str db_error(struct db *db);

#endif
