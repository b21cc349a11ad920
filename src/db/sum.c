// SPDX-License-Identifier: Apache-2.0
/*
 * Rows that know when they are damaged. SQLite notices nothing when a bit in a row turns over; so a
 * row carries a CRC-32C over its other columns, made here while they are bound and made again while
 * they are read. It belongs to the values, not to a database: both bodies share it.
 *
 *     for each column that is not NULL, in the table's order (`sum` itself is not counted):
 *     | 1        | 1    | 4 LE   | n           |
 *     | position | kind | length | the value   |      integers and doubles: 8 bytes, little-endian
 *     and behind them the table's name
 *
 * A NULL adds nothing: a column that a later schema adds leaves the sums of older rows right.
 * What is found damaged is noted once a row, for the log, the findings and /health.
 */
#include "db/inside.h"
#include "sys/lock.h"
#include "sys/sys.h"

#include <stdio.h>

enum { HEAD = 6 };

static u32 put_element(u32 crc, int position, enum db_kind kind, struct bytes value)
{
    u8 head[HEAD] = { (u8)position, (u8)kind };
    for (int i = 0; i < 4; i++)
        head[2 + i] = (u8)(value.n >> (8 * i));
    crc = crc32c(crc, (struct bytes){ head, HEAD });
    return crc32c(crc, value);
}

static u32 put_number(u32 crc, int position, enum db_kind kind, u64 bits)
{
    u8 element[HEAD + 8] = { (u8)position, (u8)kind, 8 };
    for (int i = 0; i < 8; i++)
        element[HEAD + i] = (u8)(bits >> (8 * i));
    return crc32c(crc, (struct bytes){ element, sizeof element });
}

/* SQLite keeps no sign of a zero. */
static u64 double_bits(double v)
{
    u64 bits;
    v = v == 0 ? 0 : v;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

u32 db_sum_i64(u32 crc, int position, i64 v) { return put_number(crc, position, DB_I64, (u64)v); }

u32 db_sum_double(u32 crc, int position, double v)
{
    return put_number(crc, position, DB_DOUBLE, double_bits(v));
}

u32 db_sum_bytes(u32 crc, int position, enum db_kind kind, struct bytes v)
{
    return put_element(crc, position, kind, v);
}

u32 db_sum_column(u32 crc, int position, struct db_query *q, int column)
{
    enum db_kind kind = q->db->body->kind(q, column);
    switch (kind) {
    case DB_NULL:   return crc;
    case DB_I64:    return db_sum_i64(crc, position, db_i64(q, column));
    case DB_DOUBLE: return db_sum_double(crc, position, db_double(q, column));
    case DB_TEXT:   return db_sum_bytes(crc, position, kind, bytes_of(db_str(q, column)));
    case DB_BYTES:  return db_sum_bytes(crc, position, kind, db_bytes(q, column));
    }
    return crc;
}

u32 db_row_crc(struct db_query *q, int from, int n)
{
    u32 crc = 0;
    for (int i = 0; i < n; i++)
        crc = db_sum_column(crc, i + 1, q, from + i);
    return crc;
}

bool db_sums_all(const struct db *db) { return db->summed; }
void db_sums_some(struct db *db) { db->summed = false; }

enum db_sum db_row_sum(struct db_query *q, int from, int n, const char *table)
{
    if (db_is_null(q, from + n))
        return q->db->summed ? DB_SUM_WRONG : DB_SUM_NONE;
    u32 crc = crc32c(db_row_crc(q, from, n), bytes_of(str_z(table)));
    return db_i64(q, from + n) == (i64)crc ? DB_SUM_RIGHT : DB_SUM_WRONG;
}

/* ------------------------------------------------------------------ what was found damaged */

struct db_damage {
    struct lock *lock;
    u64 count;
    size_t n;
    struct db_damaged row[DB_DAMAGED_MAX];
};

struct db_damage *db_damage_make(void)
{
    struct db_damage *d = boot_take(sizeof *d);
    d->lock = lock_make();
    return d;
}

void db_damage_free(struct db_damage *d)
{
    if (!d)
        return;
    lock_free(d->lock);
    boot_release(d);
}

void db_damage_watch(struct db *db, struct db_damage *d) { db->damage = d; }

static bool same_row(const struct db_damaged *row, const char *table, struct str key)
{
    return str_eq(str_z(row->table), str_z(table)) && str_eq(str_z(row->key), key);
}

/* False: this row was noted before, or there is no room for more names (they are still counted). */
static bool keep(struct db_damage *d, const char *table, struct str key)
{
    bool known = false;
    lock_take(d->lock);
    for (size_t i = 0; i < d->n && !known; i++)
        known = same_row(&d->row[i], table, key);
    bool kept = !known && d->n < DB_DAMAGED_MAX;
    d->count += !known;
    if (kept) {
        struct db_damaged *row = &d->row[d->n++];
        row->since_us = sys_clock().us;
        (void)snprintf(row->table, sizeof row->table, "%s", table);
        (void)snprintf(row->key, sizeof row->key, "%.*s", STR(key));
    }
    lock_give(d->lock);
    return kept;
}

void db_damage_note(struct db *db, const char *table, struct str key)
{
    key.n = MIN(key.n, (size_t)DB_KEY_TEXT - 1);
    if (!db->damage || keep(db->damage, table, key))
        log_line(LOG_ERROR, "store damaged table=%s row=\"%.*s\" words=\"it is not used; hotaru fsck says more\"",
                 table, STR(key));
}

size_t db_damage_list(struct db_damage *d, struct db_damaged *out, size_t room, u64 *count)
{
    *count = 0;
    if (!d)
        return 0;
    lock_take(d->lock);
    size_t n = MIN(d->n, room);
    memcpy(out, d->row, n * sizeof *out);
    *count = d->count;
    lock_give(d->lock);
    return n;
}

struct str db_key_text(struct db_query *q, int from, int n, char *room, size_t size)
{
    size_t at = 0;
    for (int i = from; i < from + n; i++) {
        const char *name = q->db->body->name(q, i);
        bool eui = str_ends(str_z(name), S("eui"));
        int  put = q->db->body->kind(q, i) == DB_TEXT
                       ? snprintf(room + at, size - at, "%s%s %.*s", i > from ? ", " : "", name, STR(db_str(q, i)))
                       : snprintf(room + at, size - at, eui ? "%s%s %016llX" : "%s%s %lld", i > from ? ", " : "", name,
                                  (long long)db_i64(q, i));
        at = MIN(at + (size_t)MAX(put, 0), size - 1);
    }
    return (struct str){ room, at };
}

bool db_row_good(struct db_query *q, int from, int n, const char *table, int keys)
{
    char room[DB_KEY_TEXT];
    /* The other side of a LEFT JOIN, where there is no row: every row has its tenant. */
    if (db_is_null(q, from) || db_row_sum(q, from, n, table) != DB_SUM_WRONG)
        return true;
    db_damage_note(q->db, table, db_key_text(q, from, keys, room, sizeof room));
    return false;
}
