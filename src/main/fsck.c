// SPDX-License-Identifier: Apache-2.0
/*
 * `hotaru fsck`: says exactly what is wrong with a store, and changes nothing.
 *
 *   pages     what SQLite itself notices: b-trees, order, indexes, NULLs (PRAGMA integrity_check)
 *   schema    its text against the sum that was kept when its version was new
 *   rows      each row against its sum
 *   chains    each row that another points to is there and is the right one
 *   seals     each day that is over has the events it had; tables that only grow have not shrunk
 *   counters  rows behind know the events they claim to know; what was sent was reserved
 *
 * Each question is a read transaction of its own, so a daemon that runs beside keeps folding its log.
 * What is below the mark "cut" was taken away by retention, and is not missed.
 */
#include "main/fsck.h"
#include "flow/flow.h"
#include "mac/mac.h"
#include "main/settings.h"
#include "main/verbs.h"

#include <inttypes.h>
#include <openssl/evp.h>

#define SAID_MAX 200                     /* of one kind; the rest is counted */
#define DAY_US   (86400 * US_PER_S)

struct fsck {
    struct fsck_report *report;
    struct db *db;
    struct arena *arena;
    FILE *words, *rows;
    u64 said;                            /* of the present kind */
    bool strict;                         /* a row without a sum is damaged */
    i64 cut, rolled, ended, unsealed;
    i64 version;                         /* of the schema: a store that no daemon of ours has opened yet may be older */
};

/* Every table; those without a sum are read, too: what cannot be read is said. */
static const struct table { const char *name, *select; int keys; } tables[] = {
    { "tenant",        "SELECT * FROM tenant",        1 }, { "mark",          "SELECT * FROM mark",          2 },
    { "token",         "SELECT * FROM token",         1 }, { "gateway",       "SELECT * FROM gateway",       2 },
    { "device",        "SELECT * FROM device",        2 }, { "join_state",    "SELECT * FROM join_state",    2 },
    { "dev_nonce",     "SELECT * FROM dev_nonce",     3 }, { "session",       "SELECT * FROM session",       3 },
    { "device_state",  "SELECT * FROM device_state",  2 }, { "uplink",        "SELECT * FROM uplink",        2 },
    { "uplink_copies", "SELECT * FROM uplink_copies", 2 }, { "subject_key",   "SELECT * FROM subject_key",   2 },
    { "refusal",       "SELECT * FROM refusal",       3 }, { "downlink",      "SELECT * FROM downlink",      3 },
    { "intent",        "SELECT * FROM intent",        3 }, { "entity",        "SELECT * FROM entity",        2 },
    { "reading",       "SELECT * FROM reading",       2 }, { "gateway_state", "SELECT * FROM gateway_state", 2 },
    { "gateway_hour",  "SELECT * FROM gateway_hour",  3 }, { "stranger",      "SELECT * FROM stranger",      2 },
    { "day_seal",      "SELECT * FROM day_seal",      2 }, { "mac_state",     "SELECT * FROM mac_state",     2 },
    { "mac_log",       "SELECT * FROM mac_log",       3 }, { "gateway_key",   "SELECT * FROM gateway_key",   3 },
};

i64 fsck_since(const char *table)
{
    static const struct { const char *name; i64 schema; } younger[] = { { "mac_state", 3 }, { "mac_log", 3 }, { "gateway_key", 4 } };
    for (size_t i = 0; i < COUNT(younger); i++)
        if (str_eq(str_z(younger[i].name), str_z(table)))
            return younger[i].schema;
    return 0;
}

static void say(struct fsck *f, const char *what, struct str key, const char *en, const char *ja)
{
    f->report->wrong++;
    if (f->said++ < SAID_MAX)
        (void)fprintf(f->words, key.n ? "%s (%.*s): %s / %s\n" : "%s%.*s: %s / %s\n", what, STR(key), en, ja);
    else if (f->said == SAID_MAX + 1)
        (void)fprintf(f->words, "%s: … and more of this kind / ほかにもあります\n", what);
}

/* Each question sees one moment, and the marks of that moment. */
static enum err begin(struct fsck *f)
{
    f->said = 0;
    enum err err = db_begin(f->db);
    if (err != OK)
        return err;
    if (mac_mark_read(f->db, "cut", &f->cut) == ERR_INVALID)
        f->cut = INT64_MAX;
    if (mac_mark_read(f->db, "rolled", &f->rolled) == ERR_INVALID)
        f->rolled = 0;
    if (mac_mark_read(f->db, "unsealed", &f->unsealed) == ERR_INVALID)
        f->unsealed = 0;
    if (mac_mark_read(f->db, "ended", &f->ended) == ERR_INVALID)
        f->ended = INT64_MAX;
    return OK;
}

static void end(struct fsck *f, enum err err, const char *what)
{
    if (err != OK && err != ERR_NOT_FOUND)
        say(f, what, str_copy(f->arena, db_error(f->db)), "cannot be read to its end", "最後まで読めません");
    db_rollback(f->db);
}

/* ------------------------------------------------------------------ pages and schema */

static void check_pages(struct fsck *f)
{
    enum err err = begin(f);
    if (err == OK && !db_is_postgres(f->db)) {
        struct db_query *q = db_query(f->db, "PRAGMA integrity_check(1000)");
        while ((err = db_step(q)) == OK)
            if (!str_eq(db_str(q, 0), S("ok")))
                say(f, "page", db_str(q, 0), "the file is damaged", "ファイルが壊れています");
        db_reset(q);
    }
    end(f, err, "pages");
}

/* The versions are 1, 2, … and the file's own number says the same. */
static void check_versions(struct fsck *f)
{
    struct db_query *q = db_query(f->db, "SELECT v.version, v.compatible_from, u.user_version FROM schema_version v, "
                                         "pragma_user_version u ORDER BY v.version");
    i64 n = 0, version = 0, file = 0;
    bool good = true;
    while (db_step(q) == OK) {
        version = db_i64(q, 0);
        good &= version == ++n && db_i64(q, 1) >= 1 && db_i64(q, 1) <= version;
        file = db_i64(q, 2);
    }
    db_reset(q);
    f->strict = db_sums_all(f->db) || !good || version != file;
    if (!good || version != file)
        say(f, "schema_version", S(""), "the versions of the schema do not follow each other", "版の番号が続いていません");
}

/* True: all tables are there as we know them, so that questions over several may be asked. */
static bool check_schema(struct fsck *f)
{
    i64 was = 0;
    u64 before = f->report->wrong;
    enum err err = begin(f);
    f->version = db_schema_version(f->db);
    if (err == OK && !db_is_postgres(f->db)) {
        for (size_t i = 0; i < COUNT(tables); i++) {
            if (fsck_since(tables[i].name) > f->version)
                continue;
            struct db_query *q = db_query(f->db, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1");
            db_bind_str(q, 1, str_z(tables[i].name));
            if ((err = db_step(q)) == ERR_NOT_FOUND)
                say(f, "table", str_z(tables[i].name), "is not there", "表がありません");
            db_reset(q);
        }
        check_versions(f);
        struct str name = str_fmt(f->arena, "schema %lld", (long long)db_schema_version(f->db));
        bool read = mac_mark_read(f->db, name.p, &was) == OK;
        if (read && was == 0 && db_sums_all(f->db))
            say(f, "mark", name, "is not there: rows of this table are lost", "この表の行が失われています");
        if (read && was != 0 && was != (i64)db_schema_sum(f->db))
            say(f, "schema", S(""), "its text is not what it was", "表の定義が変わっています");
    }
    end(f, err, "schema");
    return f->report->wrong == before;
}

/* ------------------------------------------------------------------ rows */

static void print_row(struct fsck *f, const char *table, struct db_query *q, int n)
{
    (void)fputs(table, f->rows);
    for (int i = 0; i < n; i++)
        switch (db_kind(q, i)) {
        case DB_NULL:   (void)fputs("\t-", f->rows); break;
        case DB_I64:    (void)fprintf(f->rows, "\t%" PRId64, db_i64(q, i)); break;
        case DB_DOUBLE: (void)fprintf(f->rows, "\t%.17g", db_double(q, i)); break;
        case DB_TEXT:   (void)fprintf(f->rows, "\t\"%.*s\"", STR(db_str(q, i))); break;
        case DB_BYTES:  {
            struct arena one = *f->arena;
            (void)fprintf(f->rows, "\tx%.*s", STR(hex_str(&one, db_bytes(q, i))));
            break;
        }
        }
    (void)fputc('\n', f->rows);
}

static void check_table(struct fsck *f, const struct table *t)
{
    char key[DB_KEY_TEXT];
    enum err err = begin(f);
    struct db_query *q = err == OK ? db_query(f->db, t->select) : NULL;
    while (q && (err = db_step(q)) == OK) {
        int n = db_columns(q);
        bool has_sum = str_eq(str_z(db_column_name(q, n - 1)), S("sum"));
        enum db_sum sum = has_sum ? db_row_sum(q, 0, n - 1, t->name) : DB_SUM_NONE;
        f->report->rows++;
        f->report->unsummed += has_sum && sum == DB_SUM_NONE;
        if (sum == DB_SUM_WRONG || (has_sum && sum == DB_SUM_NONE && f->strict))
            say(f, t->name, db_key_text(q, 0, t->keys, key, sizeof key), "its checksum is wrong: the row is damaged",
                "検査値が合いません（行が壊れています）");
        else if (f->rows)
            print_row(f, t->name, q, has_sum ? n - 1 : n);
    }
    end(f, err, t->name);
}

/* ------------------------------------------------------------------ chains, orphans, counters */

/* One question: every row it gives is wrong. Its columns are the key; $1: cut or rolled. */
static const struct question { const char *what; enum { ASKS_NOTHING, ASKS_CUT, ASKS_ROLLED, ASKS_ENDED } asks; const char *sql, *en, *ja; }
questions[] = {
    { "uplink", ASKS_CUT,
      "SELECT u.tenant, u.id, u.dev_eui, u.prev FROM uplink u LEFT JOIN uplink p ON p.tenant = u.tenant AND p.id = u.prev "
      "WHERE u.prev > 0 AND u.prev >= $1 AND (p.id IS NULL OR p.dev_eui <> u.dev_eui OR u.prev >= u.id)",
      "the device's uplink before it is lost", "同じ機器のひとつ前の電文が失われています" },
    { "device_state", ASKS_CUT,
      "SELECT s.tenant, s.dev_eui, s.last_uplink FROM device_state s LEFT JOIN uplink u ON u.tenant = s.tenant AND "
      "u.id = s.last_uplink WHERE s.last_uplink > 0 AND s.last_uplink >= $1 AND (u.id IS NULL OR u.dev_eui <> s.dev_eui)",
      "the device's last uplink is lost", "機器の最後の電文が失われています" },
    { "uplink", ASKS_ROLLED,
      "SELECT u.tenant, u.id, u.dev_eui FROM uplink u LEFT JOIN device_state s ON s.tenant = u.tenant AND "
      "s.dev_eui = u.dev_eui WHERE u.id <= $1 AND (s.dev_eui IS NULL OR s.last_uplink < u.id)",
      "the device's counter row does not know it", "機器の番号の行がこの電文を知りません" },
    { "device_state", ASKS_ROLLED,
      "SELECT s.tenant, s.dev_eui, s.fcnt_up, MAX(u.fcnt) FROM uplink u JOIN device_state s ON s.tenant = u.tenant AND "
      "s.dev_eui = u.dev_eui WHERE u.id <= $1 AND s.session = u.session AND u.fcnt > s.fcnt_up "
      "GROUP BY s.tenant, s.dev_eui, s.fcnt_up",
      "its uplink counter is below one that was accepted", "番号が受け付け済みの電文より小さくなっています" },
    { "session", ASKS_ROLLED,
      "SELECT n.tenant, n.dev_eui, n.id FROM session n LEFT JOIN device_state s ON s.tenant = n.tenant AND "
      "s.dev_eui = n.dev_eui WHERE n.state = 1 AND n.id <= $1 AND s.dev_eui IS NULL",
      "is in use, and the device's counter row is lost", "使用中の接続の番号の行が失われています" },
    { "downlink", ASKS_NOTHING,
      "SELECT w.tenant, w.dev_eui, w.id, w.fcnt FROM session n JOIN downlink w ON w.tenant = n.tenant AND "
      "w.dev_eui = n.dev_eui WHERE n.state = 1 AND w.id > n.id AND w.fcnt >= n.down_reserved AND "
      "w.fcnt >= n.app_down_reserved AND EXISTS (SELECT 1 FROM uplink u WHERE u.tenant = n.tenant AND u.id > n.id AND "
      "u.id < w.sent_us AND u.session = n.id)",
      "its counter was never reserved", "予約していない番号で送られています" },
    { "join_state", ASKS_NOTHING,
      "SELECT j.tenant, j.dev_eui, j.join_nonce, n.used FROM join_state j JOIN (SELECT tenant, dev_eui, COUNT(*) AS used "
      "FROM dev_nonce GROUP BY tenant, dev_eui) n ON n.tenant = j.tenant AND n.dev_eui = j.dev_eui WHERE j.join_nonce < n.used",
      "fewer joins than DevNonces: it went back", "JoinNonce が参加の回数より小さくなっています" },
    { "join_state", ASKS_ENDED,
      "SELECT j.tenant, j.dev_eui FROM join_state j LEFT JOIN session n ON n.tenant = j.tenant AND n.dev_eui = j.dev_eui "
      "WHERE n.id IS NULL AND EXISTS (SELECT 1 FROM dev_nonce x WHERE x.tenant = j.tenant AND x.dev_eui = j.dev_eui AND "
      "x.joined_us > $1)",
      "the device joined, and its session is lost", "参加済みの機器の接続が失われています" },
    { "dev_nonce", ASKS_NOTHING,
      "SELECT n.tenant, n.dev_eui, n.nonce FROM dev_nonce n LEFT JOIN join_state j ON j.tenant = n.tenant AND "
      "j.dev_eui = n.dev_eui WHERE j.dev_eui IS NULL",
      "the device joined, and its JoinNonce is lost", "参加済みの機器の JoinNonce が失われています" },
    { "reading", ASKS_CUT,
      "SELECT r.tenant, r.id, r.prev FROM reading r LEFT JOIN reading p ON p.tenant = r.tenant AND p.id = r.prev "
      "WHERE r.prev > 0 AND r.prev >= $1 AND (p.id IS NULL OR p.entity <> r.entity OR r.prev >= r.id)",
      "the entity's reading before it is lost", "ひとつ前の測定が失われています" },
    { "entity", ASKS_CUT,
      "SELECT e.tenant, e.id, e.last_reading FROM entity e LEFT JOIN reading r ON r.tenant = e.tenant AND "
      "r.id = e.last_reading WHERE e.last_reading > 0 AND e.last_reading >= $1 AND (r.id IS NULL OR r.entity <> e.id)",
      "its last reading is lost", "最後の測定が失われています" },
    { "reading", ASKS_CUT,
      "SELECT r.tenant, r.id, r.uplink FROM reading r LEFT JOIN uplink u ON u.tenant = r.tenant AND u.id = r.uplink "
      "WHERE r.uplink > 0 AND r.uplink >= $1 AND u.id IS NULL",
      "the uplink that it came from is lost", "もとの電文が失われています" },
    { "reading", ASKS_NOTHING,
      "SELECT r.tenant, r.id, r.entity FROM reading r LEFT JOIN entity e ON e.tenant = r.tenant AND e.id = r.entity "
      "WHERE e.id IS NULL OR e.last_reading < r.id",
      "its entity is lost, or does not know it", "この測定の対象が失われているか、この測定を知りません" },
    { "uplink_copies", ASKS_CUT,
      "SELECT x.tenant, x.id FROM uplink_copies x LEFT JOIN uplink u ON u.tenant = x.tenant AND u.id = x.id "
      "WHERE x.id >= $1 AND u.id IS NULL",
      "its uplink is lost", "もとの電文が失われています" },
    { "intent", ASKS_CUT,
      "SELECT i.tenant, i.id, i.kind FROM intent i LEFT JOIN uplink u ON u.tenant = i.tenant AND u.id = i.id "
      "WHERE i.id >= $1 AND u.id IS NULL",
      "the uplink that it is about is lost", "もとの電文が失われています" },
    { "uplink", ASKS_NOTHING,
      "SELECT u.tenant, u.id, u.dev_eui FROM uplink u LEFT JOIN device d ON d.tenant = u.tenant AND d.dev_eui = u.dev_eui "
      "WHERE d.dev_eui IS NULL",
      "its device is not registered any more", "機器の登録が失われています" },
    { "session", ASKS_NOTHING,
      "SELECT n.tenant, n.dev_eui, n.id FROM session n LEFT JOIN device d ON d.tenant = n.tenant AND d.dev_eui = n.dev_eui "
      "WHERE d.dev_eui IS NULL",
      "its device is not registered any more", "機器の登録が失われています" },
    { "join_state", ASKS_NOTHING,
      "SELECT j.tenant, j.dev_eui FROM join_state j LEFT JOIN device d ON d.tenant = j.tenant AND d.dev_eui = j.dev_eui "
      "WHERE d.dev_eui IS NULL",
      "its device is not registered any more", "機器の登録が失われています" },
    { "device_state", ASKS_NOTHING,
      "SELECT s.tenant, s.dev_eui FROM device_state s LEFT JOIN device d ON d.tenant = s.tenant AND d.dev_eui = s.dev_eui "
      "WHERE d.dev_eui IS NULL",
      "its device is not registered any more", "機器の登録が失われています" },
    { "gateway_state", ASKS_NOTHING,
      "SELECT s.tenant, s.eui FROM gateway_state s LEFT JOIN gateway g ON g.tenant = s.tenant AND g.eui = s.eui "
      "WHERE g.eui IS NULL",
      "its gateway is not registered any more", "ゲートウェイの登録が失われています" },
};

static void ask(struct fsck *f, const struct question *question)
{
    char key[DB_KEY_TEXT];
    enum err err = begin(f);
    struct db_query *q = err == OK ? db_query(f->db, question->sql) : NULL;
    if (q && question->asks != ASKS_NOTHING)
        db_bind_i64(q, 1, question->asks == ASKS_CUT ? f->cut : question->asks == ASKS_ENDED ? f->ended : f->rolled);
    while (q && (err = db_step(q)) == OK)
        say(f, question->what, db_key_text(q, 0, db_columns(q), key, sizeof key), question->en, question->ja);
    end(f, err, question->what);
}

/* Tables that only grow: fewer rows than the last census found are too few. */
static void check_census(struct fsck *f)
{
    const char *mark, *sql;
    enum err err = begin(f);
    for (size_t i = 0; err == OK && flow_census(i, &mark, &sql); i++) {
        struct db_query *q = db_query(f->db, sql);
        i64 had = 0;
        if (str_find(str_z(sql), S("$1")) >= 0)
            db_bind_i64(q, 1, MAX(f->unsealed, f->cut));
        if ((err = db_step(q)) == OK && f->cut <= f->unsealed && mac_mark_read(f->db, mark, &had) == OK && db_i64(q, 0) < had)
            say(f, mark + 5, str_fmt(f->arena, "%lld of %lld", (long long)db_i64(q, 0), (long long)had), "rows are lost",
                "行が失われています");
        db_reset(q);
    }
    end(f, err, "census");
}

/* ------------------------------------------------------------------ seals */

struct seal { struct seal *next; u64 tenant; i64 day, uplinks, readings; u8 hash[SEAL_BYTES]; bool good; };

static struct seal *load_seals(struct fsck *f, enum err *err)
{
    struct seal *first = NULL, **last = &first;
    struct db_query *q =
        db_query(f->db, "SELECT tenant, day, uplinks, readings, hash, sum FROM day_seal ORDER BY tenant, day");
    while ((*err = db_step(q)) == OK) {
        struct seal *s = *last = arena_new(f->arena, struct seal);
        *s = (struct seal){ .tenant = (u64)db_i64(q, 0), .day = db_i64(q, 1), .uplinks = db_i64(q, 2),
                            .readings = db_i64(q, 3), .good = db_row_sum(q, 0, 5, "day_seal") != DB_SUM_WRONG };
        memcpy(s->hash, db_bytes(q, 4).p, MIN(db_bytes(q, 4).n, (size_t)SEAL_BYTES));
        last = &s->next;
    }
    return first;
}

static const struct { char kind; int columns; const char *sql; } sealed[] = {
    { 'u', UPLINK_COLUMNS,  "SELECT " UPLINK_ROW("") " FROM uplink WHERE tenant = $1 AND id >= $2 AND id < $3 ORDER BY id" },
    { 'r', READING_COLUMNS, "SELECT " READING_ROW("") " FROM reading WHERE tenant = $1 AND id >= $2 AND id < $3 ORDER BY id" },
    { 'c', COPIES_COLUMNS,  "SELECT " COPIES_ROW("") " FROM uplink_copies WHERE tenant = $1 AND id >= $2 AND id < $3 ORDER BY id" },
};

static enum err feed(struct fsck *f, EVP_MD_CTX *hash, const struct seal *s, int which, i64 *n)
{
    struct db_query *q = db_query(f->db, sealed[which].sql);
    enum err err;
    db_bind_i64(q, 1, (i64)s->tenant);
    db_bind_i64(q, 2, s->day * DAY_US);
    db_bind_i64(q, 3, (s->day + 1) * DAY_US);
    for (*n = 0; (err = db_step(q)) == OK; ++*n)
        seal_row(hash, sealed[which].kind, db_i64(q, 1), db_row_crc(q, 0, sealed[which].columns));
    return err;
}

static enum err check_seal(struct fsck *f, EVP_MD_CTX *hash, const struct seal *s, struct bytes before)
{
    i64 uplinks = 0, readings = 0;
    i64 copies = 0;
    u8  is[SEAL_BYTES];
    struct str day = { wall_str(f->arena, (struct wall){ s->day * DAY_US }).p, 10 };
    if (s->day * DAY_US < f->cut)
        return OK;
    seal_begin(hash, before, s->tenant, s->day);
    enum err err = feed(f, hash, s, 0, &uplinks);
    if (err == ERR_NOT_FOUND)
        err = feed(f, hash, s, 1, &readings);
    if (err == ERR_NOT_FOUND)
        err = feed(f, hash, s, 2, &copies);
    seal_end(hash, is);
    if (err != ERR_NOT_FOUND)
        return err;
    if (uplinks != s->uplinks || readings != s->readings) {
        struct str words = str_fmt(f->arena, "it had %lld uplinks and %lld readings when it was sealed, and has %lld and %lld",
                                   (long long)s->uplinks, (long long)s->readings, (long long)uplinks, (long long)readings);
        say(f, "day", day, words.p, "封をした日の電文と測定の数が合いません");
    } else if (memcmp(is, s->hash, SEAL_BYTES) != 0) {
        say(f, "day", day, "as many events as when it was sealed, but not the same", "封をした日の内容が変わっています");
    }
    return OK;
}

static void check_seals(struct fsck *f)
{
    enum err err = begin(f);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    struct seal *before = NULL;
    if (err != OK) {
        EVP_MD_CTX_free(hash);
        return;
    }
    struct seal *first = load_seals(f, &err);
    for (struct seal *s = first; s && (err == OK || err == ERR_NOT_FOUND); before = s, s = s->next) {
        bool chained = before && before->tenant == s->tenant;
        if (chained && before->day + 1 != s->day)
            say(f, "day", str_fmt(f->arena, "%lld", (long long)before->day + 1), "its seal is lost", "日の封が失われています");
        /* What stands before a first seal that is left, or behind one that is damaged, is not known. */
        bool known = chained ? before->good && before->day + 1 == s->day : true;
        if (s->good && known)
            err = check_seal(f, hash, s, chained ? (struct bytes){ before->hash, SEAL_BYTES } : (struct bytes){ s->hash, 0 });
    }
    EVP_MD_CTX_free(hash);
    end(f, err, "day_seal");
}

/* What it changed still has our sums, over what was there before: nothing can be said of them now. */
static bool older_wrote(struct fsck *f)
{
    bool older = false;
    enum err err = begin(f);
    if (err == OK && (err = mac_older_wrote(f->db, &older)) == OK && older && db_sums_all(f->db))
        say(f, "store", S(""), "an older program wrote here last: start this one once, then ask again",
            "前の版のプログラムが最後に書きました。この版で一度起動してから確かめてください");
    else
        older = false;
    end(f, err, "uplink");
    return older;
}

/* ------------------------------------------------------------------ all of it */

void fsck_store(struct fsck_report *out, struct str where, FILE *words, FILE *rows, struct arena *arena)
{
    struct str why = S("");
    *out = (struct fsck_report){ 0 };
    struct fsck f = { .report = out, .arena = arena, .words = words, .rows = rows };
    if (db_open(&f.db, where, DB_READER, &why, arena) != OK) {
        (void)fprintf(words, "the store cannot be opened: %.*s / 保存先を開けません\n", STR(why));
        out->wrong = 1;
        out->unreadable = true;
        return;
    }
    check_pages(&f);
    bool whole = check_schema(&f) && !older_wrote(&f);
    for (size_t i = 0; i < COUNT(tables) && whole; i++)
        if (fsck_since(tables[i].name) <= f.version)
            check_table(&f, &tables[i]);
    for (size_t i = 0; i < COUNT(questions) && whole; i++)
        ask(&f, &questions[i]);
    if (whole) {
        check_census(&f);
        check_seals(&f);
    }
    db_close(f.db);
}

int verb_fsck(struct verb_call *call)
{
    struct settings s;
    struct str why = S("");
    struct fsck_report report;
    bool dump = settings_flag(&call->argc, call->argv, "--dump");
    if (settings_read(&s, &call->argc, call->argv, &why, call->boot) != OK || call->argc != 0) {
        (void)fprintf(stderr, "hotaru: %.*s\n", STR(why.n ? why : S("fsck [--data DIR] [--dump]")));
        return 2;
    }
    log_set_level(LOG_NOTHING);                /* what is found is said here, not logged as well */
    fsck_store(&report, s.text[SET_store].n ? s.text[SET_store] : s.text[SET_data], dump ? stderr : stdout,
               dump ? stdout : NULL, call->boot);
    FILE *out = dump ? stderr : stdout;
    if (report.unreadable)
        return 2;
    if (report.unsummed)
        (void)fprintf(out, "%llu of %llu rows have no checksum: they are from before there were any / "
                           "検査値のない行があります（以前の版で書かれたもの）\n",
                      (unsigned long long)report.unsummed, (unsigned long long)report.rows);
    if (report.wrong == 0)
        (void)fprintf(out, "sound: %llu rows / 異常はありません（%llu 行）\n", (unsigned long long)report.rows,
                      (unsigned long long)report.rows);
    else
        (void)fprintf(out, "%llu things are wrong, in %llu rows that could be read; nothing was changed / "
                           "%llu 件の異常があります（何も変更していません）\n",
                      (unsigned long long)report.wrong, (unsigned long long)report.rows, (unsigned long long)report.wrong);
    return report.wrong ? 1 : 0;
}
