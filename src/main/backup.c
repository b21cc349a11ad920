// SPDX-License-Identifier: Apache-2.0
/*
 * `hotaru backup` and `hotaru restore` (docs/adr/0014).
 *
 * A backup is a store of its own, written row by row while the daemon runs. Events only grow, so they
 * are read in portions, each a moment of its own, until what is left is little; then one moment holds
 * the rest of them and every other table. No portion holds back the daemon's log for long, the writer
 * is never waited for, and a damaged row is noticed on the way. It is finished when its backup.json is
 * there: that is written last, when everything else is on the disk.
 *
 *     FOLDER/hotaru.db      every row              FOLDER/backup.json    what it is, with its SHA-256
 *     FOLDER/kek            only with --with-key
 *
 * A restore is made beside its place and moved there when it is whole: its counters have jumped before
 * any daemon can find it. Into PostgreSQL it goes in one transaction, when they have jumped beside it.
 */
#include "main/daemon.h"
#include "main/fsck.h"
#include "main/verbs.h"
#include "mac/mac.h"
#include "sys/sys.h"
#include "wire/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORTION      5000                      /* rows of one moment, and of one commit */
#define SETTLED_US   (60 * US_PER_S)           /* copies of a frame are written until some seconds after it */
#define BLOCK        (1 << 20)

static int fail(int code, struct str words)
{
    (void)fprintf(stderr, "hotaru: %.*s\n", STR(words));
    return code;
}

/* ------------------------------------------------------------------ files */

enum place { PLACE_FREE, PLACE_EMPTY, PLACE_TAKEN };

static enum place look_at(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    if (!dir)
        return errno == ENOENT ? PLACE_FREE : PLACE_TAKEN;
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n <= 2 ? PLACE_EMPTY : PLACE_TAKEN;
}

static bool sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return good;
}

static const char *parent_of(struct arena *a, const char *path)
{
    struct str p = str_z(path);
    while (p.n > 1 && p.p[p.n - 1] == '/')
        p.n--;
    while (p.n > 0 && p.p[p.n - 1] != '/')
        p.n--;
    return p.n == 0 ? "." : str_copy(a, p).p;
}

/* The SHA-256 of a file, which is copied to `to` on the way when that is not -1. */
static bool read_all(const char *path, int to, struct str *sha256, i64 *bytes, struct arena *arena)
{
    struct arena scratch = arena_make(BLOCK + 4096);
    u8 *block = arena_take(&scratch, BLOCK, 1), digest[32];
    unsigned n = sizeof digest;
    ssize_t got = -1;
    bool good = true;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
        die("out of memory: a hash");
    for (*bytes = 0; fd >= 0 && good && (got = read(fd, block, BLOCK)) > 0; *bytes += got) {
        (void)EVP_DigestUpdate(hash, block, (size_t)got);
        good = to < 0 || write(to, block, (size_t)got) == got;
    }
    (void)EVP_DigestFinal_ex(hash, digest, &n);
    EVP_MD_CTX_free(hash);
    if (fd >= 0)
        (void)close(fd);
    arena_free(&scratch);
    *sha256 = hex_str(arena, (struct bytes){ digest, sizeof digest });
    return fd >= 0 && got == 0 && good;
}

static struct str path_in(struct arena *a, const char *folder, const char *name) { return str_fmt(a, "%s/%s", folder, name); }

/* Nothing but the rows belongs into a backup. */
static void tidy(struct arena *a, const char *folder)
{
    static const char *const names[] = { "hotaru.db-wal", "hotaru.db-shm", "hotaru.reserve", "hotaru.lock" };
    for (size_t i = 0; i < COUNT(names); i++)
        (void)unlink(path_in(a, folder, names[i]).p);
}

/* ------------------------------------------------------------------ rows */

static const struct copied { const char *name; bool grows; const char *after, *all; } copied[] = {
    { "uplink", true,        "SELECT * FROM uplink WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4", NULL },
    { "reading", true,       "SELECT * FROM reading WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4", NULL },
    { "uplink_copies", true, "SELECT * FROM uplink_copies WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4", NULL },
    { "tenant", false, NULL, "SELECT * FROM tenant" },             { "mark", false, NULL, "SELECT * FROM mark" },
    { "token", false, NULL, "SELECT * FROM token" },               { "gateway", false, NULL, "SELECT * FROM gateway" },
    { "device", false, NULL, "SELECT * FROM device" },             { "join_state", false, NULL, "SELECT * FROM join_state" },
    { "dev_nonce", false, NULL, "SELECT * FROM dev_nonce" },       { "session", false, NULL, "SELECT * FROM session" },
    { "device_state", false, NULL, "SELECT * FROM device_state" }, { "subject_key", false, NULL, "SELECT * FROM subject_key" },
    { "refusal", false, NULL, "SELECT * FROM refusal" },           { "downlink", false, NULL, "SELECT * FROM downlink" },
    { "intent", false, NULL, "SELECT * FROM intent" },             { "entity", false, NULL, "SELECT * FROM entity" },
    { "gateway_state", false, NULL, "SELECT * FROM gateway_state" }, { "gateway_hour", false, NULL, "SELECT * FROM gateway_hour" },
    { "stranger", false, NULL, "SELECT * FROM stranger" },         { "day_seal", false, NULL, "SELECT * FROM day_seal" },
    { "mac_state", false, NULL, "SELECT * FROM mac_state" },    { "mac_log", false, NULL, "SELECT * FROM mac_log" },
    { "gateway_key", false, NULL, "SELECT * FROM gateway_key" },
};
#define GROWING 3
#define TENANTS_MAX 1024

struct backup {
    struct db *from, *to;
    struct arena *arena;
    const char *insert[COUNT(copied)];
    u64  rows[COUNT(copied)];
    i64  tenants[TENANTS_MAX];
    size_t tenants_n;
    u64  in_commit;
    bool at_once;                              /* one commit for all of it */
    i64  first_us, now_us, taken_us, last_event;
    struct mono said;
};

/* INSERT INTO uplink VALUES ($1, …): made once, so that it is prepared once. */
static const char *insert_of(struct backup *b, size_t t, int columns)
{
    if (b->insert[t])
        return b->insert[t];
    struct text s = text_make(b->arena, 4096);
    text_fmt(&s, "INSERT INTO %s VALUES (", copied[t].name);
    for (int i = 1; i <= columns; i++)
        text_fmt(&s, i > 1 ? ", $%d" : "$%d", i);
    text_char(&s, ')');
    return b->insert[t] = str_copy(b->arena, text_str(&s)).p;
}

static enum err put_row(struct backup *b, size_t t, struct db_query *row)
{
    int n = db_columns(row);
    struct db_query *q = db_query(b->to, insert_of(b, t, n));
    for (int i = 0; i < n; i++)
        switch (db_kind(row, i)) {
        case DB_NULL:   db_bind_null(q, i + 1); break;
        case DB_I64:    db_bind_i64(q, i + 1, db_i64(row, i)); break;
        case DB_DOUBLE: db_bind_double(q, i + 1, db_double(row, i)); break;
        case DB_TEXT:   db_bind_str(q, i + 1, db_str(row, i)); break;
        case DB_BYTES:  db_bind_bytes(q, i + 1, db_bytes(row, i)); break;
        }
    b->rows[t]++;
    enum err err = db_run(q);
    if (err != OK || b->at_once || ++b->in_commit % PORTION != 0)
        return err;
    if ((err = db_commit(b->to)) == OK && (err = db_idle(b->to, 16 << 20)) == OK)
        err = db_begin(b->to);
    return err;
}

static void say_progress(struct backup *b, size_t t, i64 id)
{
    if (mono_since(sys_now(), b->said) < US_PER_S)
        return;
    b->said = sys_now();
    i64 span = MAX(b->now_us - b->first_us, 1);
    (void)fprintf(stderr, "backup: %s, %llu rows, %d %% of the time that is kept\n", copied[t].name,
                  (unsigned long long)b->rows[t], (int)(100.0 * (double)(id - b->first_us) / (double)span));
}

/* A portion of a table that grows: behind *at, before `until`. *n: how many. */
static enum err copy_portion(struct backup *b, size_t t, i64 tenant, i64 *at, i64 until, i64 *n)
{
    struct db_query *q = db_query(b->from, copied[t].after);
    enum err err;
    db_bind_i64(q, 1, tenant);
    db_bind_i64(q, 2, *at);
    db_bind_i64(q, 3, until);
    db_bind_i64(q, 4, PORTION);
    for (*n = 0; (err = db_step(q)) == OK; ++*n) {
        *at = db_i64(q, 1);
        b->last_event = MAX(b->last_event, *at);
        if ((err = put_row(b, t, q)) != OK)
            break;
    }
    db_reset(q);
    say_progress(b, t, *at);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Events in moments of their own; the last minute, whose copies may still change, is left to the last moment. */
static enum err copy_events(struct backup *b, i64 at[TENANTS_MAX][GROWING])
{
    enum err err = OK;
    for (size_t i = 0; i < b->tenants_n; i++)
        for (size_t t = 0; t < GROWING && err == OK; t++)
            for (i64 n = PORTION; n == PORTION && err == OK;) {
                if ((err = db_begin(b->from)) == OK)
                    err = copy_portion(b, t, b->tenants[i], &at[i][t], b->now_us - SETTLED_US, &n);
                db_rollback(b->from);
            }
    return err;
}

static enum err copy_all(struct backup *b, size_t t)
{
    struct db_query *q = db_query(b->from, copied[t].all);
    enum err err;
    while ((err = db_step(q)) == OK)
        if ((err = put_row(b, t, q)) != OK)
            break;
    db_reset(q);
    say_progress(b, t, b->now_us);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* One moment: the rest of the events, and everything else. */
static enum err copy_moment(struct backup *b, i64 at[TENANTS_MAX][GROWING])
{
    enum err err = db_begin(b->from);
    if (err != OK)
        return err;
    for (size_t i = 0; i < b->tenants_n; i++)
        for (size_t t = 0; t < GROWING; t++)
            for (i64 n = PORTION; n == PORTION && err == OK;)
                err = copy_portion(b, t, b->tenants[i], &at[i][t], INT64_MAX, &n);
    i64 version = db_schema_version(b->from);
    for (size_t t = GROWING; t < COUNT(copied) && err == OK; t++)
        if (fsck_since(copied[t].name) <= version)
            err = copy_all(b, t);
    db_rollback(b->from);
    return err;
}

static enum err find_tenants(struct backup *b)
{
    struct db_query *q = db_query(b->from, "SELECT number FROM tenant ORDER BY number");
    enum err err;
    while ((err = db_step(q)) == OK && b->tenants_n < TENANTS_MAX)
        b->tenants[b->tenants_n++] = db_i64(q, 0);
    db_reset(q);
    q = db_query(b->from, "SELECT MIN(id) FROM uplink WHERE tenant = 1");
    if (db_step(q) == OK && !db_is_null(q, 0))
        b->first_us = db_i64(q, 0);
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err put_mark(struct backup *b, const char *name, i64 value)
{
    struct db_query *q = db_query(b->to, "INSERT INTO mark (tenant, name, value, sum) VALUES ($1, $2, $3, $4) ON CONFLICT "
                                         "(tenant, name) DO UPDATE SET value = excluded.value, sum = excluded.sum");
    db_bind_i64(q, 1, 0);
    db_bind_str(q, 2, str_z(name));
    db_bind_i64(q, 3, value);
    db_bind_sum(q, 4, "mark");
    return db_run(q);
}

/* What is said of a store itself, and not of its rows: the copy's schema is its own, and was there from the
 * first row on; so where rows have no sums yet, that must be said. */
static enum err copy_marks(struct backup *b)
{
    struct str schema = str_fmt(b->arena, "schema %lld", (long long)db_schema_version(b->to));
    enum err err = put_mark(b, schema.p, (i64)db_schema_sum(b->to));
    return err == OK && !db_sums_all(b->from) ? put_mark(b, "unsummed", 1) : err;
}

static enum err copy_store(struct backup *b)
{
    i64 (*at)[GROWING] = arena_take(b->arena, sizeof *at * TENANTS_MAX, 8);
    enum err err = find_tenants(b);
    memset(at, 0, sizeof *at * TENANTS_MAX);
    if (err == OK)
        err = db_begin(b->to);
    if (err == OK)
        err = db_exec(b->to, "DELETE FROM tenant");        /* the migrations' own row */
    if (err == OK)
        err = copy_events(b, at);
    b->taken_us = sys_clock().us;                          /* what is younger may be missing */
    if (err == OK)
        err = copy_moment(b, at);
    if (err == OK)
        err = copy_marks(b);
    return err == OK ? db_commit(b->to) : err;
}

/* ------------------------------------------------------------------ backup */

static enum err write_json(struct backup *b, const char *folder, bool with_key, i64 schema, struct arena *arena)
{
    struct str sha256;
    i64 bytes;
    struct text t = text_make(arena, 1 << 16);
    struct json_out o = json_out_make(&t);
    if (!read_all(path_in(arena, folder, "hotaru.db").p, -1, &sha256, &bytes, arena))
        return ERR_IO;
    json_open_object(&o);
    json_member_str(&o, S("hotaru"), S(HOTARU_VERSION));
    json_member_i64(&o, S("schema"), schema);
    json_member_str(&o, S("taken_at"), wall_str(arena, (struct wall){ b->taken_us }));
    json_member_i64(&o, S("last_event"), b->last_event);
    json_member_i64(&o, S("bytes"), bytes);
    json_member_str(&o, S("sha256"), sha256);
    json_member_bool(&o, S("key"), with_key);
    json_key(&o, S("rows"));
    json_open_object(&o);
    for (size_t i = 0; i < COUNT(copied); i++)
        json_member_u64(&o, str_z(copied[i].name), b->rows[i]);
    json_close(&o);
    json_close(&o);
    text_char(&t, '\n');
    return sys_file_write(path_in(arena, folder, "backup.json").p, bytes_of(text_str(&t)), 0600);
}

static bool copy_key(struct arena *a, const char *from, const char *folder)
{
    struct bytes key;
    return sys_file_read(&key, from, 4096, a) == OK && sys_file_write(path_in(a, folder, "kek").p, key, 0600) == OK;
}

static struct str key_path(struct arena *a, const struct settings *s)
{
    return s->text[SET_kek_file].n ? s->text[SET_kek_file] : str_fmt(a, "%.*s/kek", STR(s->text[SET_data]));
}

static int take_backup(struct verb_call *call, const struct settings *s, const char *folder, bool with_key)
{
    struct arena *boot = call->boot;
    struct backup *b = boot_take(sizeof *b);
    struct str why = S(""), store = s->text[SET_store].n ? s->text[SET_store] : s->text[SET_data];
    struct fsck_report report;
    *b = (struct backup){ .arena = boot, .now_us = sys_clock().us, .said = sys_now() };
    if (db_open(&b->from, store, DB_READER, &why, boot) != OK)
        return fail(1, why);
    if (db_open(&b->to, str_z(folder), DB_WRITER, &why, boot) != OK)
        return fail(1, why);
    i64 schema = db_schema_version(b->to);
    if (db_schema_version(b->from) != schema)
        return fail(1, S("the store has another schema than this program: start the daemon of this version once"));
    enum err err = copy_store(b);
    if (err != OK)
        return fail(1, str_fmt(boot, "the backup was not finished (%s; %.*s%.*s); hotaru fsck says more of the store",
                                     err_words(err), STR(db_error(b->from)), STR(db_error(b->to))));
    db_close(b->from);
    db_close(b->to);
    tidy(boot, folder);
    fsck_store(&report, str_z(folder), stdout, NULL, boot);
    tidy(boot, folder);
    if (with_key && !copy_key(boot, key_path(boot, s).p, folder))
        return fail(1, S("the key file cannot be copied; the backup was not finished"));
    if (write_json(b, folder, with_key, schema, boot) != OK || !sync_folder(parent_of(boot, folder)))
        return fail(1, S("backup.json cannot be written; the backup was not finished"));
    printf("%llu uplinks, %llu readings, %llu devices, up to %.*s: %s\n", (unsigned long long)b->rows[0],
           (unsigned long long)b->rows[1], (unsigned long long)b->rows[7],
           STR(wall_str(boot, (struct wall){ b->taken_us })), folder);
    if (with_key)
        printf("The key file is in it: who has this folder can read every key. Keep it like a safe.\n"
               "鍵ファイルを含みます。金庫と同じように保管してください。\n");
    else
        printf("The key file is not in it, on purpose; without it no device can be served. Keep a copy of %.*s elsewhere.\n"
               "鍵ファイルは含みません。別の場所に写しを保管してください。\n", STR(key_path(boot, s)));
    if (report.wrong == 0)
        return 0;
    printf("The store itself is damaged, as said above: the backup holds what could be read.\n"
           "もとの保存先が壊れています。読めたものだけを写しました。\n");
    return 1;
}

int verb_backup(struct verb_call *call)
{
    struct settings s;
    struct str why = S("");
    bool with_key = settings_flag(&call->argc, call->argv, "--with-key");
    if (settings_read(&s, &call->argc, call->argv, &why, call->boot) != OK)
        return fail(2, why);
    if (call->argc != 1 || call->argv[0][0] == '-')
        return fail(2, S("say where to: hotaru backup FOLDER [--data DIR] [--with-key]"));
    if (look_at(call->argv[0]) == PLACE_TAKEN)
        return fail(1, str_fmt(call->boot, "%s is not an empty folder", call->argv[0]));
    (void)!nice(10);                           /* only politeness: the daemon comes first */
    log_set_level(LOG_NOTHING);
    return take_backup(call, &s, call->argv[0], with_key);
}

/* ------------------------------------------------------------------ restore */

struct found { struct str sha256; i64 schema, taken_us; bool key; };

static bool read_json(struct found *out, const char *folder, struct str *why, struct arena *arena)
{
    struct bytes file;
    const struct json *doc;
    struct wall taken;
    if (sys_file_read(&file, path_in(arena, folder, "backup.json").p, 1 << 16, arena) != OK) {
        *why = str_fmt(arena, "%s has no backup.json: it is no backup, or one that was not finished", folder);
        return false;
    }
    if (json_read(&doc, str_of(file), arena, JSON_STRICT, NULL) != OK || !json_i64(&out->schema, json_get(doc, S("schema"))) ||
        !json_is(json_get(doc, S("sha256")), JSON_STRING) || !json_is(json_get(doc, S("taken_at")), JSON_STRING) ||
        !wall_read(&taken, json_str(json_get(doc, S("taken_at")), arena))) {
        *why = S("backup.json cannot be understood");
        return false;
    }
    (void)json_bool(&out->key, json_get(doc, S("key")));
    out->sha256   = json_str(json_get(doc, S("sha256")), arena);
    out->taken_us = taken.us;
    return true;
}

static bool copy_database(const char *from, const char *to, const struct found *found, struct str *why, struct arena *arena)
{
    struct str sha256;
    i64 bytes;
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && read_all(from, fd, &sha256, &bytes, arena) && fsync(fd) == 0;
    if (fd >= 0)
        good = close(fd) == 0 && good;
    if (!good)
        *why = str_fmt(arena, "%s cannot be copied to %s", from, to);
    else if (!str_eq(sha256, found->sha256))
        *why = str_fmt(arena, "%s is not the file that was backed up: its SHA-256 is another", from);
    else
        return true;
    return false;
}

static enum err jump(const char *folder, const struct found *found, bool end, struct restored *done, struct str *why,
                     struct arena *boot)
{
    struct env *env = boot_take(sizeof *env);
    *env = engine_env();
    enum err err = db_open(&env->db, str_z(folder), DB_WRITER, why, boot);
    if (err == OK) {
        err = mac_restored(env, found->taken_us, end, done);
        if (err != OK)
            *why = str_fmt(boot, "the counters cannot be raised: %s", err_words(err));
        db_close(env->db);
    }
    arena_free(&env->event);
    arena_free(&env->batch);
    boot_release(env);
    return err;
}

static void say_restored(const struct restored *r, const struct found *found, bool end, bool key, const char *data,
                         struct arena *boot)
{
    i64 elapsed_s = r->jump - 1024;
    printf("Restored: %s, as it was %lld s before now (%.*s).\n", data, (long long)elapsed_s,
           STR(wall_str(boot, (struct wall){ found->taken_us })));
    if (end)
        printf("All %llu sessions have ended: devices are heard when they have joined again.\n"
               "接続をすべて終えました。機器が再参加すると受信できます。\n", (unsigned long long)r->sessions);
    else if (r->spent)
        printf("%llu sessions: devices are heard, but nothing is sent to them until they have joined again. The backup is too\n"
               "old for a jump of their downlink counters that 1.0.x devices accept, and a counter used twice would give two\n"
               "frames one keystream.\n受信はできますが、機器が再参加するまで送信はできません。\n", (unsigned long long)r->sessions);
    else
        printf("%llu sessions: downlink counters jumped ahead by %lld, so that none is used twice.\n"
               "下り番号を %lld 進めました。\n", (unsigned long long)r->sessions, (long long)r->jump, (long long)r->jump);
    printf("Devices that joined since the backup are unknown by their new address until they join again.\n"
           "%llu downlinks that waited are not sent: they may have been sent since the backup.\n"
           "Frames and joins from between the backup and now are new to this store: whoever recorded them can play each of\n"
           "them once. With --end-sessions no such frame is believed.\n"
           "控えを取った後の電文は、記録した者が一度だけ再生できます。--end-sessions を使うと受け付けません。\n",
           (unsigned long long)r->downlinks);
    if (!key)
        printf("Put the key file to %s/kek (mode 0600) before the start. / 起動の前に鍵ファイルを戻してください。\n", data);
}

static bool is_empty(struct db *db)
{
    static const char *const tables[] = { "SELECT 1 FROM device", "SELECT 1 FROM gateway", "SELECT 1 FROM token",
                                          "SELECT 1 FROM uplink LIMIT 1", "SELECT 1 FROM mark" };
    bool empty = true;
    for (size_t i = 0; i < COUNT(tables) && empty; i++) {
        struct db_query *q = db_query(db, tables[i]);
        empty = db_step(q) == ERR_NOT_FOUND;
        db_reset(q);
    }
    return empty;
}

/* The counters have jumped in the folder; what is in it goes into the server in one transaction. The writer's
 * lock is held meanwhile, and of an interrupted one nothing is left there. */
static bool put_in_server(const char *folder, struct str server, struct str *why, struct arena *boot)
{
    struct backup *b = boot_take(sizeof *b);
    *b = (struct backup){ .arena = boot, .now_us = sys_clock().us, .said = sys_now(), .at_once = true };
    enum err err = db_open(&b->to, server, DB_WRITER, why, boot);
    if (err == OK && !is_empty(b->to)) {
        *why = S("the store on PostgreSQL is not empty: a restore never writes over a store");
        err  = ERR_CONFLICT;
    }
    if (err == OK)
        err = db_open(&b->from, str_z(folder), DB_READER, why, boot);
    if (err == OK && (err = copy_store(b)) != OK)
        *why = str_fmt(boot, "the rows cannot be written to PostgreSQL: %.*s", STR(db_error(b->to)));
    db_close(b->from);
    db_close(b->to);
    boot_release(b);
    tidy(boot, folder);
    return err == OK && unlink(path_in(boot, folder, "hotaru.db").p) == 0;
}

static int put_back(struct verb_call *call, const char *folder, const char *data, struct str server, bool end,
                    bool accept_damage)
{
    struct arena *boot = call->boot;
    struct str why = S(""), work = str_fmt(boot, "%s.restoring", data);
    struct found found = { .schema = 0 };
    struct restored done;
    struct fsck_report report;
    if (!read_json(&found, folder, &why, boot))
        return fail(1, why);
    if (found.taken_us > sys_clock().us)
        return fail(1, S("the clock of this machine is before the backup's: set it right first"));
    if (look_at(work.p) != PLACE_FREE || mkdir(work.p, 0700) != 0)
        return fail(1, str_fmt(boot, "%s cannot be made; if it is left from an interrupted restore, remove it", work.p));
    if (!copy_database(path_in(boot, folder, "hotaru.db").p, path_in(boot, work.p, "hotaru.db").p, &found, &why, boot))
        return fail(1, why);
    fsck_store(&report, work, stdout, NULL, boot);
    if (report.wrong && !accept_damage)
        return fail(1, S("the backup is damaged, as said above; with --accept-damage it is restored all the same"));
    if (jump(work.p, &found, end, &done, &why, boot) != OK)
        return fail(1, why);
    tidy(boot, work.p);
    if (server.n && !put_in_server(work.p, server, &why, boot))
        return fail(1, why);
    if (found.key && !copy_key(boot, path_in(boot, folder, "kek").p, work.p))
        return fail(1, S("the key file of the backup cannot be copied"));
    if (!sync_folder(work.p) || rename(work.p, data) != 0 || !sync_folder(parent_of(boot, data)))
        return fail(1, str_fmt(boot, "%s cannot be moved to %s", work.p, data));
    say_restored(&done, &found, end, found.key, data, boot);
    return 0;
}

int verb_restore(struct verb_call *call)
{
    struct settings s;
    struct str why = S("");
    bool end = settings_flag(&call->argc, call->argv, "--end-sessions"), accept_damage = settings_flag(&call->argc, call->argv, "--accept-damage");
    if (settings_read(&s, &call->argc, call->argv, &why, call->boot) != OK)
        return fail(2, why);
    if (call->argc != 1 || call->argv[0][0] == '-')
        return fail(2, S("say what and where to: hotaru restore FOLDER --data DIR [--end-sessions]"));
    const char *data = s.text[SET_data].p;
    log_set_level(LOG_NOTHING);
    while (s.text[SET_data].n > 1 && data[s.text[SET_data].n - 1] == '/')
        data = str_copy(call->boot, (struct str){ data, --s.text[SET_data].n }).p;
    if (look_at(data) == PLACE_TAKEN)
        return fail(1, str_fmt(call->boot, "%s is not empty: a restore never writes over a store", data));
    return put_back(call, call->argv[0], data, s.text[SET_store], end, accept_damage);
}
