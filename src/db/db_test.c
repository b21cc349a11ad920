// SPDX-License-Identifier: Apache-2.0
/* The store's facts. Most stand twice, on SQLite and on PostgreSQL (both.h). */
#include "db/both.h"
#include "db/inside.h"

#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct db *open_store(struct str where, enum db_mode mode)
{
    struct db *db;
    struct str why;
    enum err   err = db_open(&db, where, mode, &why, test_arena());
    if (err)
        test_fail(__FILE__, __LINE__, "%s: %.*s", err_words(err), STR(why));
    return db;
}

static enum err refused(struct str where, enum db_mode mode, struct str words)
{
    struct db *db;
    struct str why;
    enum err   err = db_open(&db, where, mode, &why, test_arena());
    TRUE(!db);
    if (str_find(why, words) < 0)
        test_fail(__FILE__, __LINE__, "the words are \"%.*s\", without \"%.*s\"", STR(why),
                  STR(words));
    db_close(db);
    return err;
}

static struct db *open_with_fact(struct str where)
{
    struct db *db = open_store(where, DB_WRITER);
    EQ(db_exec(db, "CREATE TABLE fact (a BIGINT NOT NULL, b TEXT, c BYTEA, d DOUBLE PRECISION, "
                   "PRIMARY KEY (a))"),
       OK);
    return db;
}

static enum err put(struct db *db, i64 a, struct str b)
{
    struct db_query *q = db_query(db, "INSERT INTO fact (a, b) VALUES ($1, $2)");
    db_bind_i64(q, 1, a);
    db_bind_str(q, 2, b);
    return db_run(q);
}

static i64 count(struct db *db)
{
    struct db_query *q = db_query(db, "SELECT count(*) FROM fact");
    i64 n = db_step(q) == OK ? db_i64(q, 0) : -1;
    db_reset(q);
    return n;
}

/* ------------------------------------------------------------------ transactions */

BOTH(what_is_committed_is_there_after_reopening)
{
    struct db *db = open_with_fact(where);
    EQ(db_begin(db), OK);
    EQ(put(db, 1, S("\xE8\x9B\x8D")), OK);
    EQ(put(db, 2, S("two")), OK);
    EQ(db_commit(db), OK);
    EQ(put(db, 3, S("alone")), OK);
    db_close(db);

    db = open_store(where, DB_WRITER);
    EQ(count(db), 3);
    struct db_query *q = db_query(db, "SELECT b FROM fact ORDER BY a");
    EQ(db_step(q), OK);
    STR_EQ(db_str(q, 0), S("\xE8\x9B\x8D"));
    EQ(db_step(q), OK);
    EQ(db_step(q), OK);
    STR_EQ(db_str(q, 0), S("alone"));
    EQ(db_step(q), ERR_NOT_FOUND);
    EQ(db_step(q), OK);                          /* after the last row it begins anew */
    db_reset(q);
    db_close(db);
}

BOTH(what_is_rolled_back_never_was)
{
    struct db *db = open_with_fact(where);
    EQ(db_begin(db), OK);
    EQ(put(db, 1, S("x")), OK);
    EQ(count(db), 1);                            /* inside, it is seen */
    db_rollback(db);
    EQ(count(db), 0);
    EQ(db_begin(db), OK);
    EQ(put(db, 2, S("x")), OK);
    db_close(db);                                /* an open transaction ends with the connection */
    db = open_store(where, DB_WRITER);
    EQ(count(db), 0);
    db_close(db);
}

BOTH(a_key_that_stands_already_is_a_conflict)
{
    struct db *db = open_with_fact(where);
    EQ(put(db, 1, S("first")), OK);
    EQ(put(db, 1, S("second")), ERR_CONFLICT);
    TRUE(db_error(db).n > 0);
    EQ(put(db, 2, S("next")), OK);
    EQ(count(db), 2);
    db_close(db);
}

BOTH(an_error_inside_a_transaction_dooms_all_of_it)
{
    struct db *db = open_with_fact(where);
    EQ(put(db, 1, S("x")), OK);
    for (int round = 0; round < 3; round++) {
        EQ(db_begin(db), OK);
        EQ(put(db, 2, S("x")), OK);
        (void)put(db, 1, S("again"));            /* now, or at the commit */
        (void)put(db, 3, S("x"));
        EQ(db_commit(db), ERR_CONFLICT);
        EQ(count(db), 1);
    }
    EQ(db_begin(db), OK);
    EQ(put(db, 2, S("x")), OK);
    EQ(db_commit(db), OK);
    EQ(count(db), 2);
    db_close(db);
}

BOTH(whether_a_key_stood_already_can_be_asked_without_an_error)
{
    struct db *db = open_with_fact(where);
    EQ(db_begin(db), OK);
    for (int i = 0; i < 2; i++) {
        struct db_query *q =
            db_query(db, "INSERT INTO fact (a, b) VALUES ($1, $2) ON CONFLICT (a) DO NOTHING");
        db_bind_i64(q, 1, 7);
        db_bind_str(q, 2, S("x"));
        EQ(db_run(q), OK);
        EQ(db_changes(db), i == 0);
    }
    EQ(db_commit(db), OK);
    EQ(count(db), 1);
    db_close(db);
}

BOTH(ten_thousand_rows_fit_into_one_transaction)
{
    struct db *db = open_with_fact(where);
    EQ(db_begin(db), OK);
    for (i64 i = 0; i < 10000; i++)
        EQ(put(db, i, S("a row like any other")), OK);
    EQ(db_commit(db), OK);
    EQ(count(db), 10000);
    db_close(db);
}

/* ------------------------------------------------------------------ values */

BOTH(values_come_back_as_they_went_in)
{
    static const i64 integers[] = {
        0, -1, INT64_MAX, INT64_MIN, 9007199254740993, (i64)0x00005E0000000001
    };
    static const double doubles[] = { 0, -0.0, 0.1, 1e308, 5e-324, -137.213, (double)INFINITY };
    static const struct str texts[] = { S(""), S("\xE5\xAF\x8C\xE5\xB1\xB1"), S("\xF0\x9F\x92\xA1"),
                                        S("'; --\\") };
    static const struct str blobs[] = { S(""), S("\0"), S("a\0b"), S("\xFF\x00\xFE"), S("text") };
    struct db *db = open_with_fact(where);
    i64        key = 0;

    for (size_t i = 0; i < 7; i++) {
        struct db_query *q = db_query(db, "INSERT INTO fact (a, b, c, d) VALUES ($1, $2, $3, $4)");
        db_bind_i64(q, 1, i < COUNT(integers) ? integers[i] : ++key + 100);
        db_bind_str(q, 2, texts[i % COUNT(texts)]);
        db_bind_bytes(q, 3, bytes_of(blobs[i % COUNT(blobs)]));
        db_bind_double(q, 4, doubles[i]);
        EQ(db_run(q), OK);

        q = db_query(db, "SELECT a, b, c, d, a IS NULL, NULL FROM fact WHERE a = $1");
        db_bind_i64(q, 1, i < COUNT(integers) ? integers[i] : key + 100);
        EQ(db_step(q), OK);
        EQ(db_i64(q, 0), i < COUNT(integers) ? integers[i] : key + 100);
        STR_EQ(db_str(q, 1), texts[i % COUNT(texts)]);
        BYTES_EQ(db_bytes(q, 2), bytes_of(blobs[i % COUNT(blobs)]));
        double d = db_double(q, 3);
        TRUE(memcmp(&d, &doubles[i], sizeof d) == 0 || (d == 0 && doubles[i] == 0));
        EQ(db_i64(q, 4), 0);
        TRUE(db_is_null(q, 5) && !db_is_null(q, 1) && !db_is_null(q, 2));
        EQ(db_step(q), ERR_NOT_FOUND);
    }
    db_close(db);
}

BOTH(a_null_and_no_number_are_null_and_fit_every_type)
{
    struct db *db = open_with_fact(where);
    for (i64 i = 0; i < 4; i++) {                /* the type of $4 is first unknown, then double, then an integer */
        struct db_query *q = db_query(db, "INSERT INTO fact (a, b, c, d) VALUES ($1, $2, $3, $4)");
        db_bind_i64(q, 1, i);
        db_bind_null(q, 2);
        db_bind_null(q, 3);
        if (i == 0) db_bind_null(q, 4);
        if (i == 1) db_bind_double(q, 4, (double)NAN);
        if (i == 2) db_bind_double(q, 4, 1.5);
        if (i == 3) db_bind_i64(q, 4, 2);
        EQ(db_run(q), OK);
    }
    struct db_query *q = db_query(db, "SELECT d, b FROM fact ORDER BY a");
    EQ(db_step(q), OK);
    TRUE(db_is_null(q, 0) && db_is_null(q, 1));
    EQ(db_step(q), OK);
    TRUE(db_is_null(q, 0));
    EQ(db_step(q), OK);
    NEAR(db_double(q, 0), 1.5, 0);
    EQ(db_step(q), OK);
    NEAR(db_double(q, 0), 2, 0);
    EQ(db_i64(q, 0), 2);
    db_reset(q);
    db_close(db);
}

BOTH(parameters_are_forgotten_after_a_run)
{
    struct db *db = open_with_fact(where);
    EQ(put(db, 1, S("x")), OK);
    struct db_query *q = db_query(db, "INSERT INTO fact (a, b) VALUES ($1, $2)");
    db_bind_i64(q, 1, 2);
    db_bind_null(q, 2);
    EQ(db_run(q), OK);
    q = db_query(db, "SELECT b FROM fact WHERE a = $1");
    db_bind_i64(q, 1, 2);
    EQ(db_step(q), OK);
    TRUE(db_is_null(q, 0));
    db_reset(q);
    db_close(db);
}

BOTH(text_that_is_no_text_is_refused)
{
    struct db *db = open_with_fact(where);
    EQ(put(db, 1, S("a\0b")), ERR_INVALID);
    EQ(put(db, 1, S("\xFF")), ERR_INVALID);
    EQ(put(db, 1, S("good")), OK);
    EQ(db_begin(db), OK);
    EQ(put(db, 2, S("good")), OK);
    EQ(put(db, 3, S("\xED\xA0\x80")), ERR_INVALID);
    EQ(db_commit(db), ERR_INVALID);
    EQ(count(db), 1);
    db_close(db);
}

BOTH(sums_and_means_are_numbers)
{
    struct db *db = open_with_fact(where);
    static const i64 values[] = { 10000, 123456789, -20001, 3, 9000000000000000000 };
    for (size_t i = 0; i < COUNT(values); i++)
        EQ(put(db, values[i], S("")), OK);
    struct db_query *q =
        db_query(db, "SELECT sum(a), avg(a), max(a), count(*) FROM fact WHERE a < 1000000000");
    EQ(db_step(q), OK);
    EQ(db_i64(q, 0), 123446791);
    NEAR(db_double(q, 1), 30861697.75, 1e-6);
    EQ(db_i64(q, 2), 123456789);
    EQ(db_i64(q, 3), 4);
    db_reset(q);
    db_close(db);
}

BOTH(statements_may_run_between_two_steps_of_another)
{
    struct db *db = open_with_fact(where);
    for (i64 i = 0; i < 5; i++)
        EQ(put(db, i, S("x")), OK);
    EQ(db_begin(db), OK);
    struct db_query *q = db_query(db, "SELECT a FROM fact WHERE a < $1 ORDER BY a");
    db_bind_i64(q, 1, 5);
    i64 n = 0;
    while (db_step(q) == OK) {
        EQ(db_i64(q, 0), n++);
        EQ(put(db, 100 + n, S("y")), OK);
        TRUE(count(db) == 5 + n);
    }
    EQ(n, 5);
    EQ(db_commit(db), OK);
    EQ(count(db), 10);
    db_close(db);
}

/* ------------------------------------------------------------------ readers and writers */

BOTH(a_reader_sees_only_what_is_committed_and_cannot_write)
{
    struct db *writer = open_with_fact(where), *reader = open_store(where, DB_READER);
    EQ(count(reader), 0);
    EQ(db_begin(writer), OK);
    EQ(put(writer, 1, S("x")), OK);
    EQ(count(reader), 0);
    EQ(db_commit(writer), OK);
    EQ(count(reader), 1);

    EQ(db_begin(reader), OK);                    /* one snapshot for all its questions */
    EQ(count(reader), 1);
    EQ(put(writer, 2, S("x")), OK);
    EQ(count(reader), 1);
    EQ(db_commit(reader), OK);
    EQ(count(reader), 2);

    EQ(put(reader, 3, S("x")), ERR_DENIED);
    EQ(count(reader), 2);
    db_close(reader);
    EQ(put(writer, 3, S("x")), OK);
    db_close(writer);
}

/* PostgreSQL waits for a writer that has just ended; who does not want to says so in the address. */
static struct str without_patience(struct str where)
{
    return str_starts(where, S("postgres")) ? str_fmt(test_arena(), "%.*s%%20-clock_timeout%%3D1ms", STR(where)) : where;
}

BOTH(a_second_writer_is_refused_with_words)
{
    struct db *first = open_store(where, DB_WRITER);
    EQ(refused(without_patience(where), DB_WRITER, S("being written by another hotaru")), ERR_CONFLICT);
    struct db *reader = open_store(where, DB_READER);
    db_close(first);
    struct db *second = open_store(where, DB_WRITER);
    db_close(second);
    db_close(reader);
}

BOTH(a_reader_of_nothing_is_refused_with_words)
{
    EQ(refused(where, DB_READER, S("store")), ERR_NOT_FOUND);
}

BOTH(the_version_names_the_database)
{
    struct db *db = open_store(where, DB_WRITER);
    TRUE(str_starts(db_version(db, test_arena()),
                    db_is_postgres(db) ? S("postgres ") : S("sqlite 3.")));
    EQ(db_idle(db, 0), OK);
    db_close(db);
}

/* ------------------------------------------------------------------ migrations */

static struct db *open_bare(struct str where)
{
    struct db *db = NULL;
    struct str why = S("");
    bool       postgres = str_starts(where, S("postgres"));
    enum err   err = postgres ? postgres_open(&db, where, DB_WRITER, &why, test_arena())
                              : sqlite_open(&db, where, DB_WRITER, &why, test_arena());
    EQ(err, OK);
    return db;
}

static const struct migration steps[] = {
    { 1, 1, S("one"), S("CREATE TABLE one (a BIGINT, PRIMARY KEY (a)) /*sqlite: WITHOUT ROWID*/; INSERT INTO one VALUES (1);") },
    { 2, 1, S("two"), S("CREATE TABLE two (a BIGINT); -- a new table harms nobody\nINSERT INTO two VALUES (2);") },
    { 3, 3, S("three"), S("DROP TABLE one; /*postgres: SELECT 1;*/") },
};
static const struct migration broken_two = {
    2, 1, S("two"), S("CREATE TABLE two (a BIGINT); INSERT INTO nowhere VALUES (1);")
};

static i64 one_value(struct db *db, const char *sql)
{
    struct db_query *q = db_query(db, sql);
    i64 v = db_step(q) == OK ? db_i64(q, 0) : -1;
    db_reset(q);
    return v;
}

static enum err migrate(struct db *db, const struct migration *list, size_t n, struct str words)
{
    struct str why = S("");
    enum err   err = db_migrate(db, list, n, &why, test_arena());
    if (str_find(why, words) < 0)
        test_fail(__FILE__, __LINE__, "the words are \"%.*s\", without \"%.*s\"", STR(why),
                  STR(words));
    return err;
}

BOTH(migrating_twice_is_harmless)
{
    struct db *db = open_bare(where);
    EQ(migrate(db, steps, 2, S("")), OK);
    EQ(migrate(db, steps, 2, S("")), OK);
    EQ(one_value(db, "SELECT count(*) FROM one"), 1);
    EQ(one_value(db, "SELECT count(*) FROM schema_version"), 2);
    EQ(db_schema_version(db), 2);
    if (!db_is_postgres(db))
        EQ(one_value(db, "PRAGMA user_version"), 2);
    db_close(db);
}

BOTH(an_older_program_opens_a_newer_store_that_says_so_and_no_other)
{
    struct db *db = open_bare(where);
    EQ(migrate(db, steps, 2, S("")), OK);
    EQ(migrate(db, steps, 1, S("")), OK);        /* two is compatible from one */
    EQ(db_schema_version(db), 2);
    EQ(migrate(db, steps, 3, S("")), OK);
    EQ(migrate(db, steps, 2, S("the store has schema 3")), ERR_CONFLICT);
    EQ(migrate(db, steps, 0, S("install the newer version")), ERR_CONFLICT);
    db_close(db);
}

BOTH(a_store_from_the_future_is_refused_at_opening)
{
    struct db *db = open_store(where, DB_WRITER);
    EQ(db_exec(db, "INSERT INTO schema_version VALUES (9999, 9999, 'some day', 'later')"), OK);
    db_close(db);
    EQ(refused(where, DB_WRITER, S("schema 9999")), ERR_CONFLICT);
    EQ(refused(where, DB_READER, S("schema 9999")), ERR_CONFLICT);
}

BOTH(a_migration_that_fails_leaves_the_version_before_it)
{
    struct migration list[] = { steps[0], broken_two };
    struct db *db = open_bare(where);
    EQ(migrate(db, list, 2, S("migration 2 (two) failed")), ERR_INVALID);
    EQ(db_schema_version(db), 1);
    EQ(migrate(db, steps, 3, S("")), OK);
    EQ(one_value(db, "SELECT a FROM two"), 2);
    db_close(db);
}

BOTH(a_migration_that_is_killed_leaves_a_store_that_opens)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct db *db = open_bare(where);
        (void)migrate(db, steps, 1, S(""));
        (void)db_begin(db);
        (void)db_exec(db, steps[1].sql.p);
        raise(SIGKILL);
    }
    int status;
    TRUE(waitpid(child, &status, 0) == child && WIFSIGNALED(status));

    struct db *db = open_bare(where);            /* the server may take a moment to notice the death */
    EQ(db_schema_version(db), 1);
    EQ(migrate(db, steps, 2, S("")), OK);
    EQ(one_value(db, "SELECT a FROM two"), 2);
    db_close(db);
}

/* ------------------------------------------------------------------ rows that know when they are damaged */

static void put_summed(struct db *db, i64 a, double b, struct str c, struct bytes d)
{
    struct db_query *q = db_query(db, "INSERT INTO summed (a, b, c, d, e, sum) VALUES ($1, $2, $3, $4, $5, $6)");
    db_bind_i64(q, 1, a);
    db_bind_double(q, 2, b);
    db_bind_str(q, 3, c);
    db_bind_bytes(q, 4, d);
    db_bind_null(q, 5);
    db_bind_sum(q, 6, "summed");
    EQ(db_run(q), OK);
}

static struct db *open_summed(struct str where)
{
    struct db *db = open_store(where, DB_WRITER);
    EQ(db_exec(db, "CREATE TABLE summed (a BIGINT NOT NULL, b DOUBLE PRECISION, c TEXT, d BYTEA, e BIGINT, sum BIGINT,"
                   " PRIMARY KEY (a))"), OK);
    put_summed(db, 7, 36.5, S("\xe6\xb0\xb4\xe4\xbd\x8d"), bytes_of(S("abc")));
    put_summed(db, -1, -0.0, S(""), bytes_of(S("")));
    put_summed(db, 8, (double)NAN, S("x"), bytes_of(S("x")));
    return db;
}

#define SUMMED "SELECT a, b, c, d, e, sum FROM summed WHERE a = "

static enum db_sum sum_of(struct db *db, const char *sql)
{
    struct db_query *q = db_query(db, sql);
    EQ(db_step(q), OK);
    enum db_sum is = db_row_sum(q, 0, 5, "summed");
    db_reset(q);
    return is;
}

/* The same number on both databases, and in a store that is read by the next version. */
BOTH(a_rows_sum_is_over_its_values_and_says_when_one_of_them_is_another)
{
    static const char *const changes[] = {
        "UPDATE summed SET b = 36.25 WHERE a = 7", "UPDATE summed SET b = NULL WHERE a = 7",
        "UPDATE summed SET c = 'river' WHERE a = 7", "UPDATE summed SET c = '' WHERE a = 7",
        "UPDATE summed SET e = 0 WHERE a = 7", "UPDATE summed SET sum = sum + 1 WHERE a = 7",
        "UPDATE summed SET a = 9 WHERE a = 7",
    };
    struct db *db = open_summed(where);
    EQ(sum_of(db, SUMMED "7"), DB_SUM_RIGHT);
    EQ(sum_of(db, SUMMED "-1"), DB_SUM_RIGHT);
    EQ(sum_of(db, SUMMED "8"), DB_SUM_RIGHT);
    EQ(one_value(db, "SELECT sum FROM summed WHERE a = 7"), 0x45B65FF0);
    for (size_t i = 0; i < COUNT(changes); i++) {
        EQ(db_begin(db), OK);
        EQ(db_exec(db, changes[i]), OK);
        EQ(sum_of(db, i + 1 < COUNT(changes) ? SUMMED "7" : SUMMED "9"), DB_SUM_WRONG);
        db_rollback(db);
    }
    struct db_query *q = db_query(db, SUMMED "7");
    EQ(db_step(q), OK);
    EQ(db_row_sum(q, 0, 5, "another"), DB_SUM_WRONG);            /* its page belongs to another table */
    db_reset(q);
    EQ(db_exec(db, "UPDATE summed SET sum = NULL WHERE a = 7"), OK);
    EQ(sum_of(db, SUMMED "7"), DB_SUM_WRONG);                    /* a store that had sums from its first row on */
    EQ(db_exec(db, "INSERT INTO mark (tenant, name, value) VALUES (0, 'unsummed', 1)"), OK);
    db_close(db);
    db = open_store(where, DB_WRITER);
    EQ(sum_of(db, SUMMED "7"), DB_SUM_NONE);                     /* until an older program wrote there */
    EQ(db_exec(db, "DELETE FROM mark; UPDATE schema_version SET applied_at = 'before' WHERE version = 1"), OK);
    db_close(db);
    db = open_store(where, DB_WRITER);
    EQ(sum_of(db, SUMMED "7"), DB_SUM_NONE);                     /* or one that is older than sums */
    db_close(db);
}

BOTH(a_damaged_row_is_noted_once_with_its_key)
{
    struct db_damage *damage = db_damage_make();
    struct db_damaged list[4];
    struct db *db = open_summed(where);
    u64 count;
    db_damage_watch(db, damage);
    EQ(db_exec(db, "UPDATE summed SET b = 1"), OK);
    for (int round = 0; round < 3; round++) {
        struct db_query *q = db_query(db, SUMMED "7");
        EQ(db_step(q), OK);
        TRUE(!db_row_good(q, 0, 5, "summed", 1));
        db_reset(q);
    }
    EQ(db_damage_list(damage, list, COUNT(list), &count), 1);
    EQ(count, 1);
    STR_EQ(str_z(list[0].table), S("summed"));
    STR_EQ(str_z(list[0].key), S("a 7"));
    db_close(db);
    db_damage_free(damage);
}

TEST(the_embedded_schema_is_numbered_from_one)
{
    struct migration list[64];
    size_t n = db_migrations(list, COUNT(list));
    TRUE(n >= 1);
    EQ(list[0].version, 1);
    EQ(list[0].compatible_from, 1);
    STR_EQ(list[0].words, S("way"));
}

/* ------------------------------------------------------------------ SQLite alone */

TEST(a_foreign_database_is_not_touched)
{
    sqlite3 *raw;
    const char *folder = test_folder();
    EQ(sqlite3_open(str_fmt(test_arena(), "%s/hotaru.db", folder).p, &raw), SQLITE_OK);
    EQ(sqlite3_exec(raw, "CREATE TABLE theirs (x); PRAGMA application_id = 7", NULL, NULL, NULL),
       SQLITE_OK);
    sqlite3_close(raw);
    EQ(refused(str_z(folder), DB_WRITER, S("another program")), ERR_CONFLICT);
}

TEST(a_file_that_is_no_database_is_refused)
{
    struct str path = str_fmt(test_arena(), "%s/hotaru.db", test_folder());
    EQ(sys_file_write(path.p, bytes_of(S("this is a diary, and it is longer than a header of one hundred bytes, which"
                                         " a database file would have at its front")), 0600), OK);
    EQ(refused(str_z(test_folder()), DB_WRITER, S("not a database")), ERR_DAMAGED);
    EQ(refused(str_z(test_folder()), DB_READER, S("not a database")), ERR_DAMAGED);
}

/* Noise over the file's pages from one on. */
static void spoil(const char *path, off_t from_page)
{
    u8  noise[4096];
    int fd = open(path, O_WRONLY);
    off_t end = lseek(fd, 0, SEEK_END);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (u8)hash_u64(i);
    for (off_t at = from_page * 4096; at < end; at += 4096)
        TRUE(pwrite(fd, noise, sizeof noise, at) == (ssize_t)sizeof noise);
    close(fd);
}

/* A restart reads the same pages again: so this is not called an error of the disk. */
TEST(pages_that_do_not_fit_together_are_damage_and_end_the_writer)
{
    struct str where = str_fmt(test_arena(), "%s/store", test_folder());
    struct db_damage *damage = db_damage_make();
    struct db_damaged list[4];
    u64 noted;
    struct db *db = open_with_fact(where);
    off_t whole = (off_t)one_value(db, "PRAGMA page_count");
    for (i64 i = 0; i < 2000; i++)
        EQ(put(db, i, S("a row like any other, and somewhat longer than most of them are")), OK);
    db_close(db);
    spoil(str_fmt(test_arena(), "%.*s/hotaru.db", STR(where)).p, whole);
    db = open_store(where, DB_WRITER);
    struct db *reader = open_store(where, DB_READER);
    db_damage_watch(db, damage);
    db_damage_watch(reader, damage);
    for (int i = 0; i < 2; i++)                        /* a page can be shown all the same, if it needs others */
        EQ(db_step(db_query(reader, "SELECT SUM(LENGTH(b)) FROM fact")), ERR_DAMAGED);
    EQ(one_value(reader, "SELECT COUNT(*) FROM tenant"), 1);
    EQ(db_begin(db), OK);
    EQ(put(db, 1500, S("x")), ERR_DAMAGED);
    EQ(db_commit(db), ERR_DAMAGED);
    EQ(db_begin(db), ERR_DAMAGED);
    EQ(db_idle(db, 0), ERR_DAMAGED);
    EQ(db_exec(db, "SELECT 1"), ERR_DAMAGED);
    EQ(db_damage_list(damage, list, COUNT(list), &noted), 1);
    STR_EQ(str_z(list[0].table), S("page"));
    db_close(reader);
    db_close(db);
    db_damage_free(damage);
}

TEST(a_table_that_is_gone_is_damage_each_time_it_is_asked_for)
{
    struct str where = str_fmt(test_arena(), "%s/store", test_folder());
    struct db *db = open_store(where, DB_WRITER);
    EQ(db_exec(db, "DROP TABLE refusal"), OK);
    struct db *reader = open_store(where, DB_READER);
    for (int i = 0; i < 3; i++) {
        struct db_query *q = db_query(reader, "SELECT word FROM refusal WHERE tenant = $1");
        db_bind_i64(q, 1, 1);
        EQ(db_step(q), ERR_DAMAGED);
    }
    db_close(reader);
    db_close(db);
}

/* The first thing that is asked of a store is its schema; one that cannot be read is no empty store. */
TEST(a_schema_that_cannot_be_read_is_not_taken_for_a_new_store)
{
    struct str where = str_fmt(test_arena(), "%s/store", test_folder());
    db_close(open_store(where, DB_WRITER));
    const char *path = str_fmt(test_arena(), "%.*s/hotaru.db", STR(where)).p;
    int fd = open(path, O_WRONLY);
    TRUE(pwrite(fd, "\xff\xff\xff\xff\xff\xff", 6, 100) == 6);        /* the b-tree's head on the first page */
    close(fd);
    EQ(refused(where, DB_WRITER, S("malformed")), ERR_DAMAGED);
    EQ(refused(where, DB_READER, S("")), ERR_DAMAGED);
}

TEST(the_log_is_emptied_by_idle_work_and_only_by_the_writer)
{
    struct str where = str_fmt(test_arena(), "%s/store", test_folder());
    struct str wal = str_fmt(test_arena(), "%.*s/hotaru.db-wal", STR(where));
    struct bytes log;
    struct db *db = open_with_fact(where), *reader = open_store(where, DB_READER);

    for (i64 i = 0; i < 100; i++)
        EQ(put(db, i, S("x")), OK);
    db_close(reader);
    EQ(sys_file_read(&log, wal.p, 1 << 24, test_arena()), OK);
    TRUE(log.n > 100 * 4096);
    EQ(db_idle(db, 1 << 20), OK);                /* short enough to wait */
    EQ(db_idle(db, 4096), OK);
    EQ(sys_file_read(&log, wal.p, 1 << 24, test_arena()), OK);
    EQ(log.n, 0);
    EQ(count(db), 100);
    db_close(db);
}

TEST(a_log_that_is_written_again_is_the_same)
{
    struct str where = str_fmt(test_arena(), "%s/store", test_folder());
    struct str wal = str_fmt(test_arena(), "%.*s/hotaru.db-wal", STR(where));
    struct bytes before, after;
    struct db *db = open_with_fact(where);

    for (i64 i = 0; i < 100; i++)
        EQ(put(db, i, S("x")), OK);
    EQ(sys_file_read(&before, wal.p, 1 << 24, test_arena()), OK);
    TRUE(before.n > 100 * 4096);
    EQ(sys_file_again(wal.p), OK);
    EQ(sys_file_read(&after, wal.p, 1 << 24, test_arena()), OK);
    BYTES_EQ(after, before);
    EQ(sys_file_again(str_fmt(test_arena(), "%s/none", test_folder()).p), OK);
    db_close(db);
}

/* Runs `play` in a process of its own: *line stays 0 when all its needs were met, -1 when it had to
 * give up. */
struct stage { int out; };
#define NEED(x) do { if (!(x)) leave(stage, __LINE__); } while (0)

static _Noreturn void leave(const struct stage *stage, int line)
{
    if (write(stage->out, &line, sizeof line) != (ssize_t)sizeof line)
        _exit(1);
    _exit(0);
}

static int on_a_stage_of_its_own(void (*play)(const struct stage *stage, const char *folder))
{
    int pipes[2], line = -2, status;
    const char *folder = test_folder();
    if (pipe(pipes) != 0)
        return -2;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct stage stage = { pipes[1] };
        play(&stage, folder);
        leave(&stage, 0);
    }
    close(pipes[1]);
    if (read(pipes[0], &line, sizeof line) != (ssize_t)sizeof line)
        line = -2;
    close(pipes[0]);
    (void)waitpid(child, &status, 0);
    return line;
}

static bool write_line(const char *path, struct str line)
{
    int  fd = open(path, O_WRONLY);
    bool good = fd >= 0 && write(fd, line.p, line.n) == (ssize_t)line.n;
    close(fd);
    return good;
}

/* A file system that is seen by this process only, and gone with it. Whoever is not root becomes it
 * inside. */
static bool small_disk(const char *folder, const char *size)
{
    struct str uid = str_fmt(test_arena(), "0 %ld 1", (long)getuid());
    struct str gid = str_fmt(test_arena(), "0 %ld 1", (long)getgid());

    if (unshare(CLONE_NEWNS) != 0
        && (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0
            || !write_line("/proc/self/setgroups", S("deny"))
            || !write_line("/proc/self/uid_map", uid) || !write_line("/proc/self/gid_map", gid)))
        return false;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
        && mount("tmpfs", folder, "tmpfs", 0, size) == 0;
}

static enum err put_big(struct db *db, i64 key)
{
    struct db_query *q = db_query(db, "INSERT INTO fact (a, c) VALUES ($1, $2)");
    u8 *big = arena_take(test_arena(), 50000, 1);
    for (size_t i = 0; i < 50000; i++)
        big[i] = (u8)hash_u64((u64)key * 50000 + i);
    db_bind_i64(q, 1, key);
    db_bind_bytes(q, 2, (struct bytes){ big, 50000 });
    return db_run(q);
}

/* In service the log is kept shorter than the reserve: then there is always room to empty it. */
static void fill_a_small_disk(const struct stage *stage, const char *folder)
{
    if (!small_disk(folder, "size=4m"))
        leave(stage, -1);
    struct str where = str_fmt(test_arena(), "%s/store", folder);
    struct str filler = str_fmt(test_arena(), "%s/filler", folder);
    int fd = open(filler.p, O_WRONLY | O_CREAT, 0600);
    NEED(fd >= 0 && posix_fallocate(fd, 0, 1 << 20) == 0);

    struct db *db = open_with_fact(where);
    NEED(db && db_idle(db, 1 << 30) == OK);      /* makes the reserve */
    i64      rows = 0;
    enum err err = OK;
    while (!err && rows < 200) {
        NEED(db_begin(db) == OK);
        (void)put_big(db, rows);
        (void)put_big(db, rows + 1);
        err = db_commit(db);
        rows += err ? 0 : 2;
        NEED(err || db_idle(db, 256 << 10) != ERR_IO);
    }
    NEED(err == ERR_FULL);
    NEED(rows > 10 && count(db) == rows);        /* all that was acknowledged, nothing of what was not */

    db_release_reserve(db);
    NEED(put(db, 1000, S("an alarm")) == OK);    /* a small thing goes on */
    NEED(count(db) == rows + 1);

    while (!(err = put_big(db, 2000 + rows)))    /* full again */
        rows++;
    NEED(err == ERR_FULL);
    NEED(unlink(filler.p) == 0 && close(fd) == 0);
    NEED(put_big(db, 3000) == OK);               /* space appears: no restart is needed */
    NEED(db_idle(db, 1 << 16) == OK);
    NEED(put_big(db, 3001) == OK);
    i64 all = count(db);
    db_close(db);
    db = open_store(where, DB_WRITER);
    NEED(db && count(db) == all);
    db_close(db);
}

TEST(a_full_disk_refuses_and_the_store_goes_on_when_there_is_room)
{
    int line = on_a_stage_of_its_own(fill_a_small_disk);
    if (line == -1)
        test_skip("no small disk: mounting a tmpfs is not allowed here");
    else
        EQ(line, 0);                             /* else: the line of the need that was not met */
}

/* A file size limit makes write() fail with EFBIG: an I/O error that is not a full disk. */
static void break_the_disk(const struct stage *stage, const char *folder)
{
    struct str where = str_fmt(test_arena(), "%s/store", folder);
    struct db *db = open_with_fact(where);
    NEED(db && put(db, 1, S("acknowledged")) == OK);

    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit, small = { 300000, RLIM_INFINITY };
    NEED(getrlimit(RLIMIT_FSIZE, &limit) == 0 && (small.rlim_max = limit.rlim_max, true));
    NEED(setrlimit(RLIMIT_FSIZE, &small) == 0);
    enum err err = OK;
    for (i64 i = 2; i < 100 && !err; i++)
        err = put_big(db, i);
    NEED(err == ERR_IO);
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    NEED(put(db, 200, S("x")) == ERR_IO);        /* final, although the disk is well again */
    NEED(db_begin(db) == ERR_IO && db_idle(db, 0) == ERR_IO);
    db_close(db);

    db = open_store(where, DB_WRITER);           /* the supervisor starts us anew */
    NEED(db && count(db) >= 1 && put(db, 200, S("x")) == OK);
    db_close(db);
}

TEST(an_io_error_of_the_writer_is_final)
{
    EQ(on_a_stage_of_its_own(break_the_disk), 0);
}

/* ------------------------------------------------------------------ PostgreSQL alone */

TEST(a_writer_that_lost_its_connection_never_believes_again)
{
    struct str url = str_z(getenv("HOTARU_POSTGRES"));
    if (url.n == 0) {
        test_skip("no PostgreSQL: HOTARU_POSTGRES is not set (test/postgres.sh start)");
        return;
    }
    for (int in_transaction = 0; in_transaction < 2; in_transaction++) {
        struct str why = S("");
        struct db *db;
        EQ(postgres_open(&db, url, DB_WRITER, &why, test_arena()), OK);
        i64 pid = one_value(db, "SELECT pg_backend_pid()");
        if (in_transaction)
            EQ(db_begin(db), OK);
        TRUE(server_exec(
            str_fmt(test_arena(), "SELECT pg_terminate_backend(%lld, 5000)", (long long)pid).p));
        EQ(db_step(db_query(db, "SELECT 1")), ERR_IO);
        if (in_transaction)
            EQ(db_commit(db), ERR_IO);
        EQ(db_begin(db), ERR_IO);
        EQ(db_exec(db, "SELECT 1"), ERR_IO);
        db_close(db);
    }
}

/* How many wait for an advisory lock, as another session sees it; -1: nobody can say. */
static int waiting_for_lock(PGconn *conn)
{
    PGresult *r = PQexec(conn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
    i64       n = -1;
    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        (void)str_to_i64(&n, str_z(PQgetvalue(r, 0, 0)));
    PQclear(r);
    return (int)n;
}

/* The session of a writer that was killed lives on until the server has noticed: here, until the next one waits. */
TEST(a_writer_waits_for_the_session_of_the_one_before_it)
{
    struct str url = str_z(getenv("HOTARU_POSTGRES"));
    int        status = -1;
    if (url.n == 0) {
        test_skip("no PostgreSQL: HOTARU_POSTGRES is not set (test/postgres.sh start)");
        return;
    }
    PGconn *conn = PQconnectdb(url.p);
    EQ(waiting_for_lock(conn), 0);
    PQclear(PQexec(conn, "SELECT pg_advisory_lock(hashtextextended('hotaru writer of ' || current_schema(), 0))"));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct str why = S("");
        struct db *db;
        _exit(postgres_open(&db, url, DB_WRITER, &why, test_arena()) == OK ? 0 : 1);
    }
    while (waiting_for_lock(conn) == 0 && waitpid(child, &status, WNOHANG) == 0)
        ;
    EQ(status, -1);                              /* it was not refused at once */
    PQfinish(conn);
    if (status == -1)
        TRUE(waitpid(child, &status, 0) == child);
    EQ(status, 0);
}

/* ------------------------------------------------------------------ no memory */

/* How a child ends that may have `room` bytes more for SQLite, and then binds and reads a megabyte of text. */
static int end_with_room(i64 room)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct db *db = open_with_fact(str_fmt(test_arena(), "%s/little", test_folder()));
        char      *big = arena_take(test_arena(), 1 << 20, 1);
        memset(big, 'x', 1 << 20);
        close(STDERR_FILENO);
        sqlite3_hard_heap_limit64(sqlite3_memory_used() + room);
        struct db_query *q = db_query(db, "SELECT $1 || 'y'");
        db_bind_str(q, 1, (struct str){ big, 1 << 20 });
        _exit(db_step(q) == OK && db_str(q, 0).n == (1 << 20) + 1 ? 0 : 1);
    }
    int status;
    TRUE(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(sqlite_without_memory_ends_with_70_and_never_with_half_a_text)
{
    EQ(end_with_room(64 << 10), 70);             /* the parameter cannot be copied */
    EQ(end_with_room(1500 << 10), 70);           /* nor its answer be made */
    EQ(end_with_room(8 << 20), 0);
}

/* ------------------------------------------------------------------ the hardest fact */

/* A child commits and says so; it is killed at some instant; what it said is there. */
BOTH(what_was_acknowledged_survives_a_kill)
{
    struct db *db = open_with_fact(where);
    db_close(db);
    i64 said = -1, next = 0;
    for (int round = 0; round < 5; round++) {
        int pipes[2];
        EQ(pipe(pipes), 0);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            struct str why;
            if (db_open(&db, where, DB_WRITER, &why, test_arena()))
                _exit(1);
            for (i64 i = next;; i++)
                if (put(db, i, S("x")) || write(pipes[1], &i, sizeof i) != (ssize_t)sizeof i)
                    _exit(1);
        }
        close(pipes[1]);
        for (int n = 0; n < 20 + 7 * round; n++)
            if (read(pipes[0], &said, sizeof said) != (ssize_t)sizeof said)
                test_fail(__FILE__, __LINE__, "the child died by itself");
        kill(child, SIGKILL);
        while (read(pipes[0], &said, sizeof said) == (ssize_t)sizeof said)
            ;                                    /* what it had said before it died */
        close(pipes[0]);
        (void)waitpid(child, NULL, 0);

        db = open_store(where, DB_WRITER);       /* the server may take a moment to notice the death */
        if (!db)
            return;
        TRUE(count(db) >= said + 1);
        next = one_value(db, "SELECT max(a) FROM fact") + 1;
        EQ(count(db), next);
        db_close(db);
    }
}
