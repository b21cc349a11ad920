/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_DB_INSIDE_H
#define HOTARU_DB_INSIDE_H

/*
 * What the two bodies and the migrations share. A body's connection and statement begin with the
 * structs below; db.c keeps the promises that do not depend on the body (doomed transactions, the
 * final ERR_IO of a writer, text that is text) and the bodies keep the rest.
 */
#include "db/db.h"

enum {
    DB_QUERIES_MAX = 512,        /* statements of one connection: literals, so we know how many */
    DB_PARAMETERS_MAX = 64,
    DB_ERROR_MAX = 512
};

/* What a store of ours is recognised by: "HTRU" in the application_id of the SQLite header. */
#define DB_APPLICATION_ID 0x48545255

struct db_query {
    struct db  *db;
    const char *sql;
    int         parameters;      /* known after the preparation; -1 before */
    bool        stepping;        /* rows may follow: not to be bound or asked for */
    enum err    bad;             /* a parameter that cannot be stored */
    int         summed;          /* parameters 1 … summed were bound in their order; `sum` is over them */
    u32         sum;
};

struct db_body {
    void     (*close)(struct db *db);
    struct db_query *(*make)(struct db *db, const char *sql);     /* prepares, or remembers to */
    void     (*bind_i64)(struct db_query *q, int at, i64 v);
    void     (*bind_double)(struct db_query *q, int at, double v);
    void     (*bind_str)(struct db_query *q, int at, struct str v);
    void     (*bind_bytes)(struct db_query *q, int at, struct bytes v);
    void     (*bind_null)(struct db_query *q, int at);
    enum err (*run)(struct db_query *q);
    i64      (*changes)(struct db *db, enum err *err);
    enum err (*step)(struct db_query *q);
    void     (*reset)(struct db_query *q);
    i64          (*i64)(struct db_query *q, int column);
    double       (*dbl)(struct db_query *q, int column);
    struct str   (*str)(struct db_query *q, int column);
    struct bytes (*bytes)(struct db_query *q, int column);
    bool         (*null)(struct db_query *q, int column);
    enum db_kind (*kind)(struct db_query *q, int column);
    int          (*columns)(struct db_query *q);
    const char  *(*name)(struct db_query *q, int column);
    enum err (*begin)(struct db *db);
    enum err (*commit)(struct db *db);
    void     (*rollback)(struct db *db);
    enum err (*exec)(struct db *db, const char *sql);
    enum err (*idle)(struct db *db, i64 wal_bytes_max);
    void     (*release_reserve)(struct db *db);
    bool     (*has_room)(struct db *db);
    struct str (*version)(struct db *db, struct arena *arena);
    bool     postgres;
};

struct db {
    const struct db_body *body;
    enum db_mode     mode;
    struct arena     arena;                       /* lives as long as the connection */
    struct db_query *queries[DB_QUERIES_MAX];     /* open addressing by the literal's address */
    int              used;
    bool             in_transaction;
    enum err         dead;                        /* what ended the writer (ERR_IO, ERR_DAMAGED): believe nothing more */
    enum err         doomed;                      /* the first error of the transaction */
    bool             summed;                      /* a row without a sum is damaged */
    struct db_damage *damage;                     /* shared with other connections, or NULL */
    char             error[DB_ERROR_MAX];
    size_t           error_n;
};

enum err sqlite_open(struct db **out, struct str folder, enum db_mode mode, struct str *why,
                     struct arena *arena);
enum err postgres_open(struct db **out, struct str url, enum db_mode mode, struct str *why,
                       struct arena *arena);

/* Keeps the database's own words for db_error. */
void db_remember(struct db *db, struct str words);

/* ------------------------------------------------------------------ sum.c */

u32 db_sum_i64(u32 crc, int position, i64 v);
u32 db_sum_double(u32 crc, int position, double v);
u32 db_sum_bytes(u32 crc, int position, enum db_kind kind, struct bytes v);
u32 db_sum_column(u32 crc, int position, struct db_query *q, int column);

/* ------------------------------------------------------------------ migrations */

struct migration {
    i64        version;           /* 1, 2, … without gaps */
    i64        compatible_from;   /* the oldest version whose program can still use the store */
    struct str words;
    struct str sql;
};

/* The embedded schema/NNNN-words.sql, in order. */
size_t db_migrations(struct migration *out, size_t room);
/* Brings the store to the last of the list, each migration in its own transaction. */
enum err db_migrate(struct db *db, const struct migration *list, size_t n, struct str *why,
                    struct arena *arena);
/* A reader's question: is the schema one that this list's program can use? */
enum err db_schema_check(struct db *db, const struct migration *list, size_t n, struct str *why,
                         struct arena *arena);

#endif
