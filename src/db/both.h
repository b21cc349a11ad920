/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_DB_BOTH_H
#define HOTARU_DB_BOTH_H

/*
 * For tests: a fact that stands twice, on SQLite in a folder of its own, and on PostgreSQL in a schema
 * of its own where $HOTARU_POSTGRES names a server (test/postgres.sh start prints it). BOTH(name) is
 * the fact name and the fact postgres_name; its body is given `where`, which db_open takes.
 */
#include "base/test.h"
#include "sys/sys.h"

#include <libpq-fe.h>
#include <stdlib.h>

static inline bool server_exec(const char *sql)
{
    PGconn   *conn = PQconnectdb(getenv("HOTARU_POSTGRES"));
    PGresult *r = PQexec(conn, sql);
    bool      good = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
    PQclear(r);
    PQfinish(conn);
    return good;
}

static inline void on_sqlite(void (*fact)(struct str where))
{
    fact(str_fmt(test_arena(), "%s/store", test_folder()));
}

static inline void on_postgres(void (*fact)(struct str where))
{
    struct str url = str_z(getenv("HOTARU_POSTGRES"));
    u8         name[8];

    if (url.n == 0) {
        test_skip("no PostgreSQL: HOTARU_POSTGRES is not set (test/postgres.sh start)");
        return;
    }
    sys_random(name, sizeof name);
    struct str schema =
        str_fmt(test_arena(), "t_%.*s", STR(hex_str(test_arena(), (struct bytes){ name, 8 })));
    TRUE(server_exec(str_fmt(test_arena(), "CREATE SCHEMA %.*s", STR(schema)).p));
    fact(str_fmt(test_arena(), "%.*s%coptions=-csearch_path%%3D%.*s", STR(url),
                 str_find(url, S("?")) < 0 ? '?' : '&', STR(schema)));
    TRUE(server_exec(str_fmt(test_arena(), "SET client_min_messages = warning; DROP SCHEMA %.*s CASCADE",
                             STR(schema)).p));
}

#define BOTH(name)                                       \
    static void both_##name(struct str where);           \
    TEST(name) { on_sqlite(both_##name); }               \
    TEST(postgres_##name) { on_postgres(both_##name); }  \
    static void both_##name(struct str where)

#endif
