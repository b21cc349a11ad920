// SPDX-License-Identifier: Apache-2.0
/* The disk's own facts, with SQLite and the daemon's store on it. What the box brings else is stood in for here. */
#include "base/test.h"
#include "box/disk.h"
#include "db/db.h"

#include <sqlite3.h>
#include <stdio.h>

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

/* The tests above can fail. */
TEST(without_syncs_power_cuts_lose_committed_rows)
{
    struct outcome o = live("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0", CUT_POWER_LOSE, 60, false);
    TRUE(o.cuts_with_loss > 20);
}

TEST(a_sync_that_lies_loses_committed_rows)
{
    TRUE(live(WAL_FULL, CUT_POWER_LOSE, 60, true).cuts_with_loss > 20);
    TRUE(live(WAL_FULL, CUT_POWER_REORDER, 60, true).broken > 0);
}

/* NORMAL syncs at checkpoints only: rows go, the database stays whole. */
TEST(a_sync_only_at_checkpoints_loses_rows_and_breaks_nothing)
{
    static const char normal[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0";
    for (enum cut how = CUT_POWER_LOSE; how < CUTS; how++) {
        struct outcome o = live(normal, how, 60, false);
        TRUE(o.cuts_with_loss > 10);
        EQ(o.broken, 0);
    }
}

/* A rollback journal whose removal was not synced comes back and undoes the last commit: EXTRA syncs the folder. */
TEST(a_rollback_journal_needs_its_folder_synced)
{
    TRUE(live("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL", CUT_POWER_LOSE, 40, false).cuts_with_loss > 10);
    for (enum cut how = CUT_PROCESS; how < CUTS; how++) {
        struct outcome o = live("PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA", how, 40, false);
        EQ(o.rows_lost, 0);
        EQ(o.broken, 0);
    }
}

/* ------------------------------------------------------------------ connections beside each other */

TEST(two_connections_see_each_others_commits)
{
    begin(1);
    sqlite3 *a = open_db(WAL_FULL), *b = open_db(WAL_FULL);
    EQ(run(a, "CREATE TABLE t (n); INSERT INTO t VALUES (1)"), SQLITE_OK);
    EQ(ask(b, "SELECT count(*) FROM t"), 1);
    EQ(run(b, "INSERT INTO t VALUES (2)"), SQLITE_OK);
    EQ(ask(a, "SELECT count(*) FROM t"), 2);
    EQ(sqlite3_close(b), SQLITE_OK);
    EQ(sqlite3_close(a), SQLITE_OK);
    cut(CUT_PROCESS);
}

TEST(a_reader_holds_its_snapshot_and_the_log_back)
{
    begin(2);
    int pages = 0, done = 0;
    sqlite3 *w = open_db(WAL_FULL), *r = open_db(WAL_FULL);
    EQ(run(w, "CREATE TABLE t (n); INSERT INTO t VALUES (1)"), SQLITE_OK);
    EQ(run(r, "BEGIN"), SQLITE_OK);
    EQ(ask(r, "SELECT count(*) FROM t"), 1);
    EQ(run(w, "INSERT INTO t VALUES (2)"), SQLITE_OK);
    EQ(ask(r, "SELECT count(*) FROM t"), 1);
    EQ(sqlite3_wal_checkpoint_v2(w, "main", SQLITE_CHECKPOINT_PASSIVE, &pages, &done), SQLITE_OK);
    TRUE(done < pages);
    EQ(sqlite3_wal_checkpoint_v2(w, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_BUSY);
    EQ(run(r, "COMMIT"), SQLITE_OK);
    EQ(ask(r, "SELECT count(*) FROM t"), 2);
    EQ(sqlite3_wal_checkpoint_v2(w, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
    EQ(sqlite3_close(r), SQLITE_OK);
    EQ(sqlite3_close(w), SQLITE_OK);
}

TEST(a_second_writer_waits_in_the_boxs_time_and_is_refused)
{
    begin(3);
    for (int wal = 0; wal < 2; wal++) {
        sqlite3 *a = open_db(wal ? WAL_FULL : "PRAGMA journal_mode=DELETE"), *b = open_db("");
        sqlite3_busy_timeout(b, 500);
        EQ(run(a, "CREATE TABLE IF NOT EXISTS t (n); BEGIN IMMEDIATE"), SQLITE_OK);
        i64 before = box()->now.us;
        EQ(run(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
        TRUE(box()->now.us > before);
        EQ(run(a, "COMMIT"), SQLITE_OK);
        EQ(run(b, "BEGIN IMMEDIATE; COMMIT"), SQLITE_OK);
        EQ(sqlite3_close(b), SQLITE_OK);
        EQ(sqlite3_close(a), SQLITE_OK);
    }
}

TEST(a_reader_keeps_a_writer_without_a_log_from_committing)
{
    begin(4);
    sqlite3 *w = open_db("PRAGMA journal_mode=DELETE"), *r = open_db("");
    EQ(run(w, "CREATE TABLE t (n); INSERT INTO t VALUES (1)"), SQLITE_OK);
    EQ(run(r, "BEGIN"), SQLITE_OK);
    EQ(ask(r, "SELECT count(*) FROM t"), 1);
    EQ(run(w, "BEGIN IMMEDIATE; INSERT INTO t VALUES (2)"), SQLITE_OK);
    EQ(run(w, "COMMIT"), SQLITE_BUSY);                  /* and no new reader may come: it waits with PENDING */
    sqlite3 *late = open_db("");
    EQ(ask(late, "SELECT count(*) FROM t"), -1);
    EQ(sqlite3_errcode(late), SQLITE_BUSY);
    EQ(run(r, "COMMIT"), SQLITE_OK);
    EQ(run(w, "COMMIT"), SQLITE_OK);
    EQ(ask(late, "SELECT count(*) FROM t"), 2);
    EQ(sqlite3_close(late), SQLITE_OK);
    EQ(sqlite3_close(r), SQLITE_OK);
    EQ(sqlite3_close(w), SQLITE_OK);
}

TEST(the_same_seed_writes_the_same_bytes)
{
    u64 hash[2];
    for (int i = 0; i < 2; i++) {
        (void)live(WAL_FULL, CUT_POWER_REORDER, 5, false);
        const struct file *f = disk_find("/data/t.db");
        hash[i] = hash_bytes((struct bytes){ f->seen.p, (size_t)MIN(f->seen.n, f->seen.room) });
    }
    TRUE(hash[0] == hash[1]);
}

/* ------------------------------------------------------------------ faults */

TEST(a_full_disk_refuses_and_recovers)
{
    begin(5);
    sqlite3 *db = open_db(WAL_FULL);
    EQ(run(db, "CREATE TABLE t (v); INSERT INTO t VALUES (zeroblob(5000))"), SQLITE_OK);
    disk_faults()->room_bytes = disk_used_bytes() + 30000;
    i64 rows = 1;
    int rc;
    while ((rc = run(db, "INSERT INTO t VALUES (zeroblob(5000))")) == SQLITE_OK)
        rows++;
    EQ(rc, SQLITE_FULL);
    TRUE(disk_used_bytes() <= disk_faults()->room_bytes);
    TRUE(disk_counts().refused_full > 0);
    EQ(ask(db, "SELECT count(*) FROM t"), rows);
    disk_faults()->room_bytes += 1 << 20;
    EQ(run(db, "INSERT INTO t VALUES (zeroblob(5000))"), SQLITE_OK);
    EQ(sqlite3_close(db), SQLITE_OK);
    cut(CUT_POWER_LOSE);
    db = open_db(WAL_FULL);
    EQ(ask(db, "SELECT count(*) FROM t"), rows + 1);
    EQ(sqlite3_close(db), SQLITE_OK);
    cut(CUT_PROCESS);
}

TEST(what_is_reserved_and_the_index_of_the_log_take_room)
{
    i64 room;
    begin(6);
    disk_faults()->room_bytes = 100 << 20;
    TRUE(sys_file_reserve("/data/reserve", 64 << 20));
    TRUE(sys_folder_room(&room, "/data"));
    EQ(room, 36 << 20);
    TRUE(!sys_file_reserve("/data/more", 64 << 20));
    TRUE(sys_file_reserve("/data/reserve", 0));
    i64 used = disk_used_bytes();
    EQ(used, 0);
    sqlite3 *db = open_db(WAL_FULL);
    EQ(run(db, "CREATE TABLE t (v)"), SQLITE_OK);
    i64 files = disk_find("/data/t.db")->seen.n + disk_find("/data/t.db-wal")->seen.n;
    EQ(disk_used_bytes(), files + 32768);
    EQ(sqlite3_close(db), SQLITE_OK);
    EQ(disk_used_bytes(), files);
}

TEST(a_write_that_fails_is_an_error_once)
{
    begin(7);
    sqlite3 *db = open_db(WAL_FULL);
    EQ(run(db, "CREATE TABLE t (v)"), SQLITE_OK);
    disk_faults()->fail_write_in = 1;
    EQ(run(db, "INSERT INTO t VALUES (1)"), SQLITE_IOERR);
    EQ(sqlite3_extended_errcode(db), SQLITE_IOERR_WRITE);
    EQ(run(db, "INSERT INTO t VALUES (2)"), SQLITE_OK);
    EQ(ask(db, "SELECT sum(v) FROM t"), 2);
    EQ(disk_counts().failed, 1);
    EQ(sqlite3_close(db), SQLITE_OK);
}

static struct str seen(const char *path)
{
    struct bytes b = { NULL, 0 };
    return sys_file_read(&b, path, 1000, test_arena()) ? S("nothing") : str_of(b);
}

TEST(what_a_failed_sync_was_to_keep_is_gone_at_the_power_cut_whatever_later_syncs_say)
{
    struct file *f;
    begin(8);
    EQ(disk_make(&f, "/data/f"), OK);
    EQ(disk_write(f, 0, bytes_of(S("first "))), OK);
    EQ(disk_sync(f), OK);
    EQ(disk_write(f, 6, bytes_of(S("second "))), OK);
    disk_faults()->fail_sync_in = 1;
    EQ(disk_sync(f), ERR_IO);
    EQ(disk_sync(f), OK);                                /* the lie that makes a second try dangerous */
    EQ(disk_write(f, 13, bytes_of(S("third"))), OK);
    EQ(disk_sync(f), OK);
    cut(CUT_PROCESS);
    STR_EQ(seen("/data/f"), S("first second third"));
    cut(CUT_POWER_REORDER);
    STR_EQ(seen("/data/f"), S("first \0\0\0\0\0\0\0third"));
    EQ(disk_counts().lost_writes, 1);
}

/* Which of n writes of a byte each are there, as bits; -1 when the file is not. */
static int kept_of(int n)
{
    struct str is = seen("/data/f");
    int bits = 0;
    for (size_t i = 0; i < is.n; i++)
        bits |= (is.p[i] != 0) << i;
    return str_eq(is, S("nothing")) ? -1 : bits & ((1 << n) - 1);
}

/* What may be left of three writes that nobody synced. */
TEST(a_cut_leaves_what_its_kind_says)
{
    static const u32 may[CUTS] = { 1u << 7, 1u << 0, 0xFF, 1u << 0 | 1u << 1 | 1u << 3 | 1u << 7 };
    for (enum cut how = CUT_PROCESS; how < CUTS; how++) {
        u32 met = 0;
        for (u64 seed = 0; seed < 100; seed++) {
            struct file *f;
            begin(seed);
            EQ(disk_make(&f, "/data/f"), OK);
            EQ(disk_sync(f), OK);
            for (i64 i = 0; i < 3; i++)
                EQ(disk_write(f, i, bytes_of(S("x"))), OK);
            cut(how);
            met |= 1u << kept_of(3);
        }
        EQ(met, may[how]);
    }
}

TEST(a_write_is_torn_at_the_edge_of_a_sector)
{
    u64 torn = 0;
    u32 met = 0;
    for (u64 seed = 0; seed < 100; seed++) {
        struct file *f;
        u8  was[2000], is[2000];
        i64 n = 0;
        begin(seed);
        memset(was, 'a', sizeof was);
        memset(is, 'b', sizeof is);
        EQ(disk_make(&f, "/data/f"), OK);
        EQ(disk_write(f, 0, (struct bytes){ was, sizeof was }), OK);
        EQ(disk_sync(f), OK);
        EQ(disk_write(f, 100, (struct bytes){ is, 1500 }), OK);
        cut(CUT_POWER_TEAR);
        TRUE(disk_read(f, 0, is, sizeof is));
        while (n < 1500 && is[100 + n] == 'b')
            n++;
        TRUE(n == 0 || (100 + n) % DISK_SECTOR == 0);
        TRUE(is[99] == 'a' && is[100 + n] == 'a' && is[1999] == 'a');
        met |= 1u << (100 + n) / DISK_SECTOR;
        torn += disk_counts().torn;
        EQ(disk_counts().torn + disk_counts().lost_writes, 1);
    }
    EQ(met, 0xF);
    TRUE(torn > 20);
}

TEST(a_read_beyond_the_end_is_short_and_zero)
{
    sqlite3_vfs  *vfs = (begin(16), sqlite3_vfs_find(NULL));
    sqlite3_file *file = arena_take(test_arena(), (size_t)vfs->szOsFile, 16);
    char p[4] = "????";
    STR_EQ(str_z(vfs->zName), S("box"));
    EQ(vfs->xOpen(vfs, "/data/f", file, SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE, NULL), SQLITE_CANTOPEN);
    EQ(vfs->xOpen(vfs, "/data/f", file, SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    EQ(file->pMethods->xWrite(file, "xyz", 3, 0), SQLITE_OK);
    EQ(file->pMethods->xRead(file, p, 2, 1), SQLITE_OK);
    EQ(file->pMethods->xRead(file, p, 4, 1), SQLITE_IOERR_SHORT_READ);
    EQ(memcmp(p, "yz\0\0", 4), 0);
    EQ(file->pMethods->xTruncate(file, 1), SQLITE_OK);
    EQ(file->pMethods->xTruncate(file, 3), SQLITE_OK);
    EQ(file->pMethods->xRead(file, p, 3, 0), SQLITE_OK);
    EQ(memcmp(p, "x\0\0", 3), 0);
    EQ(file->pMethods->xClose(file), SQLITE_OK);
}

TEST(sqlite_reads_the_boxs_clock)
{
    begin(17);
    sqlite3 *db = open_db("");
    box()->now.us = 90 * US_PER_S;
    EQ(ask(db, "SELECT strftime('%s', 'now')"), sys_clock().us / US_PER_S);
    EQ(sqlite3_close(db), SQLITE_OK);
}

TEST(a_sync_takes_its_time)
{
    struct file *f;
    begin(9);
    EQ(disk_make(&f, "/data/f"), OK);
    disk_faults()->sync_us = 300;
    disk_faults()->sync_slow_us = 50000;
    EQ(disk_sync(f), OK);
    EQ(box()->now.us, 300);
    disk_faults()->sync_slow = 1;
    EQ(disk_sync(f), OK);
    EQ(box()->now.us, 50300);
}

/* ------------------------------------------------------------------ files of sys */

TEST(a_file_written_whole_is_the_old_or_the_new_one_at_every_boundary)
{
    for (enum cut how = CUT_PROCESS; how < CUTS; how++)
        for (u32 at = 1; at <= 5; at++)
            for (u64 seed = 0; seed < 8; seed++) {
                begin(seed);
                EQ(sys_file_write("/data/kek", bytes_of(S("old")), 0600), OK);
                box()->cut_in = at;
                enum err err = sys_file_write("/data/kek", bytes_of(S("newer")), 0600);
                EQ(err, at <= 4 ? ERR_IO : OK);
                cut(how);
                struct str is = seen("/data/kek");
                bool newer = str_eq(is, S("newer"));
                TRUE(newer || str_eq(is, S("old")));
                TRUE(newer || err != OK);
                TRUE(!newer || at >= 4);                 /* the fourth is the folder's sync: renamed before it */
                TRUE(newer || at < 4 || how != CUT_PROCESS);
                TRUE(!newer || at > 4 || how != CUT_POWER_LOSE);
            }
}

TEST(names_that_were_not_synced_go_with_the_power)
{
    struct file *f;
    i64 n;
    begin(10);
    EQ(disk_make(&f, "/data/new"), OK);
    EQ(sys_file_write("/data/old", bytes_of(S("old")), 0600), OK);
    TRUE(sys_file_size(&n, "/data/new"));                /* the folder's sync took its name along, not its bytes */
    EQ(disk_write(f, 0, bytes_of(S("bytes"))), OK);
    EQ(disk_remove(disk_find("/data/old")), OK);
    EQ(disk_make(&f, "/data/newest"), OK);
    TRUE(!sys_file_size(&n, "/data/old"));
    cut(CUT_POWER_LOSE);
    STR_EQ(seen("/data/new"), S(""));
    STR_EQ(seen("/data/old"), S("old"));
    STR_EQ(seen("/data/newest"), S("nothing"));
    EQ(disk_used_bytes(), 3);
}

TEST(a_lock_file_is_free_after_every_cut)
{
    struct sys_lock *lock, *second;
    struct str holder = S("");
    begin(11);
    EQ(sys_lock_file(&lock, "/data/lock", &holder, test_arena()), OK);
    EQ(sys_lock_file(&second, "/data/lock", &holder, test_arena()), ERR_CONFLICT);
    sys_unlock_file(lock);
    for (enum cut how = CUT_PROCESS; how < CUTS; how++) {
        EQ(sys_lock_file(&lock, "/data/lock", &holder, test_arena()), OK);
        cut(how);
        EQ(sys_lock_file(&second, "/data/lock", &holder, test_arena()), OK);
        sys_unlock_file(second);
        boot_release(lock);
    }
}

TEST(a_dead_box_changes_and_reads_nothing)
{
    struct bytes b;
    begin(12);
    EQ(sys_file_write("/data/f", bytes_of(S("kept")), 0600), OK);
    sqlite3 *db = open_db(WAL_FULL);
    EQ(run(db, "CREATE TABLE t (v)"), SQLITE_OK);
    i64 used = disk_used_bytes();
    box()->dead = true;
    EQ(sys_file_read(&b, "/data/f", 100, test_arena()), ERR_IO);
    EQ(sys_file_write("/data/f", bytes_of(S("lost")), 0600), ERR_IO);
    TRUE(!sys_file_reserve("/data/r", 100));
    TRUE(run(db, "INSERT INTO t VALUES (1)") != SQLITE_OK);
    EQ(disk_used_bytes(), used);
    EQ(sqlite3_close(db), SQLITE_OK);
    cut(CUT_PROCESS);
    STR_EQ(seen("/data/f"), S("kept"));
    db = open_db(WAL_FULL);
    EQ(ask(db, "SELECT count(*) FROM t"), 0);
    EQ(sqlite3_close(db), SQLITE_OK);
}

TEST(rot_flips_one_bit_where_it_says_and_it_stays)
{
    struct str where, text = S("0000000000000000");
    begin(13);
    disk_rot(NULL, &where, test_arena());
    STR_EQ(where, S("nothing rests there"));
    EQ(sys_file_write("/data/t.db-wal", bytes_of(text), 0600), OK);
    disk_rot(NULL, &where, test_arena());
    STR_EQ(where, S("nothing rests there"));
    EQ(sys_file_write("/data/f", bytes_of(text), 0600), OK);
    disk_rot("/data/f", &where, test_arena());
    TRUE(str_starts(where, S("/data/f byte ")));
    cut(CUT_POWER_LOSE);
    int bits = 0;
    struct str is = seen("/data/f");
    for (size_t i = 0; i < text.n; i++)
        bits += __builtin_popcount((unsigned)(u8)(is.p[i] ^ text.p[i]));
    EQ(bits, 1);
}

TEST(a_temporary_file_goes_with_its_connection)
{
    begin(14);
    sqlite3 *db = open_db("PRAGMA journal_mode=WAL; PRAGMA temp_store=FILE; PRAGMA cache_size=5; PRAGMA cache_spill=1");
    EQ(run(db, "CREATE TABLE t (v); WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 3000) "
               "INSERT INTO t SELECT hex(randomblob(500)) FROM c"), SQLITE_OK);
    EQ(run(db, "CREATE TEMP TABLE s AS SELECT v FROM t ORDER BY v"), SQLITE_OK);
    EQ(ask(db, "SELECT count(*) FROM s"), 3000);
    TRUE(disk_here()->temporary > 0);
    EQ(sqlite3_close(db), SQLITE_OK);
    EQ(disk_used_bytes(), disk_find("/data/t.db")->seen.n + disk_find("/data/t.db-wal")->seen.n);
}

/* ------------------------------------------------------------------ the daemon's store on it */

/* One life of the store as the daemon leads it: until it dies, or its disk cannot be believed any more.
 * *kept: what a caller may count on: all that is there once it has opened, and each commit that said OK. */
static enum err store_life(i64 *kept, int commits)
{
    struct db *db;
    struct str why = S("");
    enum err err = db_open(&db, S("/data"), DB_WRITER, &why, test_arena());
    if (err)
        return err;
    err = db_exec(db, "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, v TEXT, k INTEGER);"
                      "CREATE INDEX IF NOT EXISTS i ON t (k)");
    struct db_query *q = err ? NULL : db_query(db, "SELECT coalesce(max(n), 0) FROM t");
    if (q && db_step(q) == OK && !box()->dead)
        *kept = db_i64(q, 0);
    if (q)
        db_reset(q);
    for (int i = 0; i < commits && !err && !box()->dead; i++) {
        i64 n = *kept + 1 + below(3);
        err = db_begin(db);
        for (i64 k = *kept + 1; k <= n && !err; k++)
            err = db_exec(db, str_fmt(test_arena(), "INSERT INTO t VALUES (%lld, hex(zeroblob(%u)), abs(random()) %% 1000)",
                                      (long long)k, below(900)).p);
        err = err ? err : db_commit(db);
        if (!err && !box()->dead)
            *kept = n;
        if (!err && below(4) == 0)
            err = db_idle(db, 200 << 10);
    }
    db_close(db);
    return err;
}

static i64 store_rows(bool *whole)
{
    sqlite3 *db = NULL;
    EQ(sqlite3_open("/data/hotaru.db", &db), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    i64 rows = MAX(ask(db, "SELECT count(*) FROM t"), (i64)0);
    *whole = is_whole(db) && rows == MAX(ask(db, "SELECT coalesce(max(n), 0) FROM t"), (i64)0);
    EQ(sqlite3_close(db), SQLITE_OK);
    return rows;
}

/* After the commit whose sync fails the log is whole in memory and has a hole on the disk. The next start reads the one;
 * did it put pages into the database before the hole is filled, the power could leave half of that commit. */
TEST(a_commit_whose_sync_failed_breaks_nothing_when_the_next_start_loses_power)
{
    struct db *db;
    struct str why = S("");
    bool whole;
    for (u32 at = 1; at <= 100; at++) {
        i64 kept = 0;
        begin(at);
        EQ(store_life(&kept, 5), OK);
        EQ(db_open(&db, S("/data"), DB_WRITER, &why, test_arena()), OK);
        EQ(db_begin(db), OK);
        for (int i = 0; i < 40; i++)
            EQ(db_exec(db, "INSERT INTO t SELECT max(n) + 1, hex(zeroblob(300)), abs(random()) % 1000 FROM t"), OK);
        disk_faults()->fail_sync_in = 1 + at % 2;            /* of the log's beginning, or of the commit */
        EQ(db_commit(db), ERR_IO);
        db_close(db);
        cut(CUT_PROCESS);
        box()->cut_in = 1 + at / 2;
        (void)store_life(&kept, 0);
        cut(at % 3 ? CUT_POWER_REORDER : CUT_POWER_TEAR);
        TRUE(store_rows(&whole) >= kept);
        TRUE(whole);
        EQ(store_life(&kept, 0), OK);
        arena_reset(test_arena());
    }
}

/* A life that may meet a failing sync or write and ends by some cut; one that may die while it opens; one without faults. */
TEST(the_store_keeps_what_it_committed_through_failed_syncs_and_cuts)
{
    i64 kept = 0;
    bool whole;
    begin(15);
    for (int i = 0; i < 100; i++) {
        disk_faults()->fail_sync_in = below(2) ? 1 + below(60) : 0;
        disk_faults()->fail_write_in = below(4) ? 0 : 1 + below(300);
        box()->cut_in = below(2) ? 1 + below(300) : 0;
        (void)store_life(&kept, 40);
        cut(below(2) ? CUT_PROCESS : below(CUTS));
        disk_faults()->fail_sync_in = disk_faults()->fail_write_in = 0;
        box()->cut_in = below(2) ? 1 + below(60) : 0;
        (void)store_life(&kept, 4);
        cut(below(CUTS));
        TRUE(store_rows(&whole) >= kept);
        TRUE(whole);
        EQ(store_life(&kept, 0), OK);
        cut(CUT_PROCESS);
        if (!whole)
            begin((u64)i + 100), kept = 0;
        arena_reset(test_arena());
    }
    TRUE(kept > 500);
}
