// SPDX-License-Identifier: Apache-2.0
/* The disk's own facts, with SQLite and the daemon's store on it. What the box brings else is stood in for here. */
#include "base/test.h"
#include "box/disk.h"
#include "db/db.h"

#include <sqlite3.h>
#include <stdarg.h>

/* ------------------------------------------------------------------ a box with nothing but a disk */

static struct box *box(void)
{
    static struct box one;
    return &one;
}

struct box *box_here(void) { return box(); }
struct chance *box_chance(enum stream stream) { return &box()->chance[stream]; }
bool box_happens(enum stream stream, double p) { return sim_chance_unit(box_chance(stream)) < p; }
void box_wait(i64 us) { box()->now.us += us; }
struct wall sys_clock(void) { return (struct wall){ box()->now.us + 1771000000LL * US_PER_S }; }

bool box_boundary(enum boundary kind)
{
    struct box *b = box();
    b->boundaries[kind]++;
    if (b->cut_in > 0 && --b->cut_in == 0)
        b->dead = true;
    return !b->dead;
}

static void begin(u64 seed)
{
    *box() = (struct box){ .alive = true };
    for (int i = 0; i < CHANCES; i++)
        box()->chance[i].state = seed * 977 + (u64)i;
    disk_begin(box());
}

static u32 below(u32 n)
{
    return sim_chance_below(box_chance(CHANCE_CITY), n);
}

static void cut(enum cut how)
{
    box()->cut_in = 0;
    disk_settle(how);
    box()->dead = false;
}

/* ------------------------------------------------------------------ SQLite, as the store uses it */

static sqlite3 *open_db(const char *settings)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2("/data/t.db", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        (void)sqlite3_exec(db, settings, NULL, NULL, NULL);
    }
    return db;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static i64 ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    i64 value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

static bool is_whole(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    bool good = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) == SQLITE_OK &&
                sqlite3_step(stmt) == SQLITE_ROW && str_eq(str_z((const char *)sqlite3_column_text(stmt, 0)), S("ok"));
    sqlite3_finalize(stmt);
    return good;
}

#define WAL_FULL "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0"

/* Writes rows until the machine dies; returns how many were committed. Row n: n, and n in a second tree. */
static i64 write_until_dead(const char *settings, i64 from)
{
    sqlite3 *db = open_db(settings);
    i64 done = from;
    (void)run(db, "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, v TEXT, k INTEGER)");
    (void)run(db, "CREATE INDEX IF NOT EXISTS i ON t (k)");
    while (!box()->dead) {
        i64 n = done + 1 + below(3);
        (void)run(db, "BEGIN IMMEDIATE");
        for (i64 i = done + 1; i <= n; i++)
            (void)run(db, str_fmt(test_arena(), "INSERT INTO t VALUES (%lld, hex(zeroblob(%u)), abs(random()) %% 1000)",
                                  (long long)i, below(900)).p);
        if (run(db, "COMMIT") == SQLITE_OK && !box()->dead)
            done = n;
        if (below(12) == 0)
            (void)run(db, below(2) ? "PRAGMA wal_checkpoint(PASSIVE)" : "PRAGMA wal_checkpoint(TRUNCATE)");
    }
    EQ(sqlite3_close(db), SQLITE_OK);
    return done;
}

struct outcome { i64 committed, rows_lost; u32 cuts_with_loss, broken; };

/* Lives of one database, each ended by such a cut at a random boundary. */
static struct outcome live(const char *settings, enum cut how, int lives, bool lies)
{
    struct outcome o = { 0 };
    begin(how + 11);
    disk_here()->sync_lies = lies;
    for (int i = 0; i < lives; i++) {
        i64 first = o.committed;
        box()->cut_in = 1 + below(i % 4 ? 60 : 400);
        i64 committed = write_until_dead(settings, o.committed);
        cut(how);
        sqlite3 *db = open_db(settings);
        i64 rows = ask(db, "SELECT count(*) FROM t");
        bool whole = is_whole(db) && (rows < 0 || rows == ask(db, "SELECT coalesce(max(n), 0) FROM t"));
        rows = MAX(rows, (i64)0);
        EQ(sqlite3_close(db), SQLITE_OK);
        o.broken += !whole;
        o.cuts_with_loss += rows < committed;
        o.rows_lost += MAX(committed - rows, (i64)0);
        o.committed = rows;
        if (!whole || rows < first) {            /* what is broken breaks every later life: begin anew */
            begin((u64)i + 1000);
            disk_here()->sync_lies = lies;
            o.committed = 0;
        }
        arena_reset(test_arena());
    }
    return o;
}

static void keeps_all(enum cut how)
{
    struct outcome o = live(WAL_FULL, how, 300, false);
    EQ(o.rows_lost, 0);
    EQ(o.broken, 0);
    TRUE(o.committed > 1000);
}

TEST(a_process_cut_loses_no_committed_row) { keeps_all(CUT_PROCESS); }
TEST(a_power_cut_that_loses_what_was_not_synced_loses_no_committed_row) { keeps_all(CUT_POWER_LOSE); }
TEST(a_power_cut_that_keeps_any_of_it_loses_no_committed_row) { keeps_all(CUT_POWER_REORDER); }
TEST(a_power_cut_that_tears_loses_no_committed_row) { keeps_all(CUT_POWER_TEAR); }
