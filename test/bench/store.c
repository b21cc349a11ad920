// SPDX-License-Identifier: Apache-2.0
/*
 * How fast uplinks are committed: store FOLDER|postgresql://… [seconds [plain]]
 * Rows like those of the table uplink, at 1, 64 and 512 a commit; reads by key beside it. With "plain"
 * without the rows' checksums: what they cost is the difference.
 */
#include "core/rows.h"
#include "sys/sys.h"

#include <stdio.h>
#include <stdlib.h>

static void need(struct db *db, enum err err)
{
    if (err)
        die("%s: %.*s", err_words(err), STR(db_error(db)));
}

static void put_uplink(struct db *db, i64 id, bool plain)
{
    static const u8 payload[11] = { 1, 2, 3 }, radio[48] = { 4, 5, 6 };
    struct db_query *q = db_query(db, "INSERT INTO uplink (tenant, id, dev_eui, session, fcnt, prev, received_us,"
                                      " flags, fopts, payload, radio, sum)"
                                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
    db_bind_i64(q, 1, 1);
    db_bind_i64(q, 2, id);
    db_bind_i64(q, 3, (i64)0x70B3D57ED0000000 + id % 10000);
    db_bind_i64(q, 4, id % 10000);
    db_bind_i64(q, 5, id / 10000);
    db_bind_i64(q, 6, id - 10000);
    db_bind_i64(q, 7, id);
    db_bind_i64(q, 8, 3);
    db_bind_bytes(q, 9, (struct bytes){ payload, 0 });
    db_bind_bytes(q, 10, (struct bytes){ payload, sizeof payload });
    db_bind_bytes(q, 11, (struct bytes){ radio, sizeof radio });
    if (plain)
        db_bind_null(q, 12);
    else
        db_bind_sum(q, 12, "uplink");
    need(db, db_run(q));
}

static i64 measure(struct db *db, i64 id, int rows, i64 us, bool plain)
{
    i64 began = sys_now().us, spent = 0, commits = 0, worst = 0, idle = 0;

    while (spent < us) {
        i64 before = sys_now().us;
        need(db, db_begin(db));
        for (int i = 0; i < rows; i++)
            put_uplink(db, id++, plain);
        need(db, db_commit(db));
        i64 after = sys_now().us;
        worst = MAX(worst, after - before);
        commits++;
        need(db, db_idle(db, 32 << 20));         /* as in service: off the commit path, in the measured time */
        idle += sys_now().us - after;
        spent = sys_now().us - began;
    }
    printf("%4d a commit: %8.0f rows/s  %7.0f commits/s  mean %6.0f us  worst %6lld us  idle work %2lld %%\n", rows,
           (double)(commits * rows) * 1e6 / (double)spent, (double)commits * 1e6 / (double)spent,
           (double)(spent - idle) / (double)commits, (long long)worst, (long long)(100 * idle / spent));
    return id;
}

static void measure_reads(struct db *db, i64 first, i64 last, i64 us, bool plain)
{
    i64 began = sys_now().us, spent = 0, reads = 0;
    while (spent < us) {
        for (int i = 0; i < 100; i++, reads++) {
            struct db_query *q = db_query(db, "SELECT " UPLINK_ROW("") " FROM uplink WHERE tenant = $1 AND id = $2");
            db_bind_i64(q, 1, 1);
            db_bind_i64(q, 2, first + (i64)(hash_u64((u64)reads) % (u64)(last - first)));
            need(db, db_step(q));
            if (!plain && !uplink_good(q, 0))
                die("a row is damaged");
            db_reset(q);
        }
        spent = sys_now().us - began;
    }
    printf("reads by key: %8.0f /s\n", (double)reads * 1e6 / (double)spent);
}

int main(int argc, char **argv)
{
    static const int sizes[] = { 1, 64, 512 };
    struct arena arena = arena_make(1 << 16);
    struct db   *db;
    struct str   why;
    i64 us = (argc > 2 ? atoi(argv[2]) : 5) * US_PER_S, first = sys_clock().us, id = first;

    if (argc < 2 || db_open(&db, str_z(argv[1]), DB_WRITER, &why, &arena))
        die("store FOLDER|URL [seconds]: %.*s", STR(argc < 2 ? S("which?") : why));
    printf("%.*s\n", STR(db_version(db, &arena)));
    for (size_t i = 0; i < COUNT(sizes); i++)
        id = measure(db, id, sizes[i], us, argc > 3);
    measure_reads(db, first, id, us, argc > 3);
    db_close(db);
    return 0;
}
