// SPDX-License-Identifier: Apache-2.0
/*
 * What is wrong now, in words, what matters first. A list that nobody can read helps nobody: more
 * than twenty of one kind become one line with their number and the first names. Rivers are counted
 * apart from everything else, so that a silent gauge is not one of forty parking places.
 */
#include "api/inside.h"

#include "mac/mac.h"

#include <stdlib.h>

#define DAY_US         (86400 * US_PER_S)
#define FINDINGS_MAX   500
#define GROUP_FROM     21                      /* of one kind */
#define GROUP_NAMES    3
#define DEVICES_MAX    200000
#define ROWS_MAX       2000                    /* of each other query */

/*  kind               word               severity     the device's noun in a group's words: ja, en */
#define KINDS(X)                                                                                                       \
    X(STORE_FULL,      "store_full",      "wrong",     "件", "stores are full")                                        \
    X(STORE_DAMAGED,   "store_damaged",   "wrong",     "行のデータが壊れています", "rows of the store are damaged")    \
    X(SUSPECT,         "reading_suspect", "wrong",     "件の値が疑わしい状態です", "values are doubtful")              \
    X(GATEWAY_SILENT,  "gateway_silent",  "wrong",     "台のゲートウェイの受信が止まっています", "gateways are silent") \
    X(DEVICE_SILENT,   "device_silent",   "silent",    "台の更新が止まっています", "devices are silent")               \
    X(GATEWAY_NEVER,   "gateway_silent",  "silent",    "台のゲートウェイが登録から一度も届いていません",               \
                                                       "gateways were never heard since they were registered")         \
    X(DEVICE_NEVER,    "device_never",    "silent",    "台が登録から一度も届いていません",                             \
                                                       "devices were never heard since they were registered")          \
    X(BATTERY,         "battery_low",     "attention", "台の電池が残り少なくなっています", "batteries run low")         \
    X(SUSPECT_OTHER,   "reading_suspect", "attention", "件の値が疑わしい状態です", "values are doubtful")              \
    X(REFUSED,         "frames_refused",  "attention", "台の電文を受け付けていません", "devices have frames refused")  \
    X(DOWNLINK_FAILED, "downlink_failed", "attention", "台への送信に失敗しています", "devices could not be sent to")

enum kind {
#define KIND_ENUM(name, word, severity, ja, en) KIND_##name,
    KINDS(KIND_ENUM)
#undef KIND_ENUM
    KIND_COUNT
};
static const struct { const char *word, *severity, *ja, *en; } kinds[] = {
#define KIND_ROW(name, word, severity, ja, en) { word, severity, ja, en },
    KINDS(KIND_ROW)
#undef KIND_ROW
};
static_assert(COUNT(kinds) == KIND_COUNT, "every kind of finding has words");

struct finding {
    struct finding *next;
    enum kind kind;
    bool river;
    i64  since_us;
    const char *type;                          /* gateway, device, entity */
    struct str id, name, value, unit, ja, en;  /* value: a number as written, or empty */
};

struct findings {
    struct call *call;
    struct arena *arena;
    struct finding *first;
    size_t n;
    i64 now_us;
    struct device_rows devices;
};

static struct finding *add(struct findings *f, enum kind kind, const char *type, struct str id,
                           struct str name, i64 since_us)
{
    struct finding *x = arena_new(f->arena, struct finding);
    *x = (struct finding){ .next = f->first, .kind = kind, .since_us = since_us, .type = type,
                           .id = id, .name = name };
    f->first = x;
    f->n++;
    return x;
}

static struct finding *add_device(struct findings *f, enum kind kind, const struct device_row *d,
                                  i64 since_us)
{
    struct finding *x = add(f, kind, "device", eui_text(f->arena, d->dev_eui), d->name, since_us);
    x->river = d->profile && str_eq(d->profile->kind, S("river"));
    return x;
}

/* ------------------------------------------------------------------ devices */

static struct str every_words(struct arena *arena, int s, bool ja)
{
    if (s >= 3600 && s % 3600 == 0)
        return ja ? str_fmt(arena, "%d 時間ごと", s / 3600) : str_fmt(arena, "every %d h", s / 3600);
    return ja ? str_fmt(arena, "%d 分ごと", MAX(s / 60, 1)) : str_fmt(arena, "every %d min", MAX(s / 60, 1));
}

static void judge_device(struct findings *f, const struct device_row *d)
{
    enum state state = device_state(d, f->now_us);
    if (state == STATE_NEVER) {
        struct finding *x = add_device(f, KIND_DEVICE_NEVER, d, d->created_us);
        x->ja = S("登録されてから一度も届いていません。");
        x->en = S("Never heard since it was registered.");
    } else if (state == STATE_SILENT) {
        struct finding *x = add_device(f, KIND_DEVICE_SILENT, d, d->heard_us);
        int every_s = d->profile ? d->profile->interval_s : 3600;
        x->ja = str_fmt(f->arena, "更新が止まっています（ふだんは %.*s）。",
                        STR(every_words(f->arena, every_s, true)));
        x->en = str_fmt(f->arena, "Nothing arrives any more; usually %.*s.",
                        STR(every_words(f->arena, every_s, false)));
    }
    if (d->battery_pct >= 0 && d->battery_pct < BATTERY_LOW_PCT) {
        struct finding *x = add_device(f, KIND_BATTERY, d, d->heard_us);
        x->value = str_fmt(f->arena, "%d", d->battery_pct);
        x->unit  = S("P1");
        x->ja    = S("電池が残り少なくなっています。");
        x->en    = S("The battery is running low.");
    }
}

static enum err find_devices(struct findings *f)
{
    enum err err = devices_load(&f->devices, f->call, DEVICES_MAX);
    for (size_t i = 0; err == OK && i < f->devices.n; i++)
        judge_device(f, &f->devices.row[i]);
    return err;
}

/* ------------------------------------------------------------------ readings */

static struct str limits_words(struct arena *arena, const struct profile_field *rule)
{
    struct text t = text_make(arena, 128);
    if (!isnan(rule->min))
        text_fmt(&t, "%g", rule->min);
    text_put(&t, S("〜"));
    if (!isnan(rule->max))
        text_fmt(&t, "%g", rule->max);
    return text_str(&t);
}

static struct str flag_ja(struct arena *arena, const struct profile_field *rule, struct str flag)
{
    if (str_eq(flag, flag_sign(FLAG_RANGE)))
        return str_fmt(arena, "%.*sの値が範囲（%.*s）を外れています。確かめてください。", STR(rule->ja),
                       STR(limits_words(arena, rule)));
    if (str_eq(flag, flag_sign(FLAG_CHANGE)))
        return str_fmt(arena, "%.*sの変わり方が大きすぎます。確かめてください。", STR(rule->ja));
    if (str_eq(flag, flag_sign(FLAG_MISSING)))
        return str_fmt(arena, "%.*sの値が欠けています。", STR(rule->ja));
    return str_fmt(arena, "%.*sの値に印（%.*s）が付いています。", STR(rule->ja), STR(flag));
}

static void judge_attribute(struct findings *f, const struct device_row *d,
                            const struct profile_field *rule, const struct json *attribute,
                            i64 modified_us, struct arena *scratch)
{
    struct str  flag = str_copy(f->arena, attribute_flag(attribute, scratch));
    struct str  reason = attribute_text(attribute, S("qualityReason"), scratch);
    struct wall at = { modified_us };
    const struct json *value = json_get(attribute, S("value"));
    if (flag.n == 0)
        return;
    (void)wall_read(&at, attribute_text(attribute, S("observedAt"), scratch));
    struct finding *x = add_device(f, rule->main ? KIND_SUSPECT : KIND_SUSPECT_OTHER, d, at.us);
    if (json_is(value, JSON_NUMBER) && !str_eq(flag, flag_sign(FLAG_MISSING)))
        x->value = str_copy(f->arena, value->raw);
    x->unit = str_copy(f->arena, attribute_text(attribute, S("unitCode"), scratch));
    x->ja   = flag_ja(f->arena, rule, flag);
    x->en   = str_fmt(f->arena, "%.*s: %.*s", STR(rule->en), STR(reason.n ? reason : S("flagged")));
}

/* The stored text is searched before it is read: flags are rare. */
static enum err find_suspects(struct findings *f)
{
    struct db_query *q = db_query(
        f->call->db,
        "SELECT " ENTITY_ROW("") " FROM entity WHERE tenant = $1 AND "
        "(attributes LIKE '%\"qualityReason\"%' OR attributes LIKE '%\"value\":\"*\"%') "
        "ORDER BY id LIMIT $2");
    struct arena scratch = arena_make(16 * 1024);
    enum err err;
    db_bind_i64(q, 1, (i64)f->call->tenant);
    db_bind_i64(q, 2, ROWS_MAX);
    while ((err = db_step(q)) == OK) {
        arena_reset(&scratch);
        if (!entity_good(q, 0))
            continue;
        const struct json *attributes = stored_object(db_str(q, 3), &scratch);
        const struct device_row *d = devices_find(&f->devices, entity_device(attributes, &scratch));
        for (size_t i = 0; d && !d->personal && i < d->profile->fields_count; i++) {
            const struct profile_field *rule = &d->profile->fields[i];
            judge_attribute(f, d, rule, json_get(attributes, field_attribute(rule)), db_i64(q, 6),
                            &scratch);
        }
    }
    arena_free(&scratch);
    return err;
}

/* ------------------------------------------------------------------ gateways */

struct silent { u64 eui; struct str name; i64 seen_us, created_us; size_t serves; };
struct silents { struct silent *list; size_t n; };

static enum err load_silent(struct silents *out, struct findings *f)
{
    struct db_query *q = db_query(
        f->call->db, "SELECT " GATEWAY_ROW("g.") ", " SEEN_ROW("s.") " FROM gateway g "
                     "LEFT JOIN gateway_state s ON s.tenant = g.tenant AND s.eui = g.eui "
                     "WHERE g.tenant = $1 AND (s.last_seen_us IS NULL OR s.last_seen_us < $2 OR "
                     "s.last_seen_us > $3) ORDER BY g.eui LIMIT $4");
    enum err err;
    *out = (struct silents){ arena_array(f->arena, struct silent, ROWS_MAX), 0 };
    db_bind_i64(q, 1, (i64)f->call->tenant);
    db_bind_i64(q, 2, f->now_us - GATEWAY_SILENT_US);
    db_bind_i64(q, 3, f->now_us + GATEWAY_SILENT_US);
    db_bind_i64(q, 4, ROWS_MAX);
    while ((err = db_step(q)) == OK)               /* what a damaged row says of its silence is not believed */
        if (gateway_good(q, 0) && seen_good(q, GATEWAY_COLUMNS + 1))
            out->list[out->n++] = (struct silent){ (u64)db_i64(q, 1), str_copy(f->arena, db_str(q, 2)),
                                                   column_or(q, GATEWAY_COLUMNS + 3, 0), db_i64(q, 8),
                                                   0 };
    return err;
}

/* How many devices were last heard through each of them: the first copy of their last uplink. */
static enum err count_served(struct silents *silents, struct findings *f)
{
    struct db_query *q = db_query(
        f->call->db, "SELECT u.radio FROM device_state s JOIN uplink u ON u.tenant = s.tenant AND "
                     "u.id = s.last_uplink WHERE s.tenant = $1 LIMIT $2");
    enum err err;
    db_bind_i64(q, 1, (i64)f->call->tenant);
    db_bind_i64(q, 2, DEVICES_MAX);
    while ((err = db_step(q)) == OK) {
        struct radio r;
        struct cur c = cur_of(db_bytes(q, 0));
        bool read = mac_radio_read(&r, &c);
        for (size_t i = 0; read && i < silents->n; i++)
            silents->list[i].serves += silents->list[i].eui == r.gateway;
    }
    return err;
}

static void judge_gateway(struct findings *f, const struct silent *g)
{
    bool never = g->seen_us <= 0;
    struct finding *x = add(f, never ? KIND_GATEWAY_NEVER : KIND_GATEWAY_SILENT, "gateway",
                            eui_text(f->arena, g->eui), g->name,
                            never ? g->created_us : g->seen_us);
    if (never) {
        x->ja = S("登録されてから一度も届いていません。");
        x->en = S("Never heard since it was registered.");
    } else if (g->serves > 0) {
        x->ja = str_fmt(f->arena, "受信が止まっています。最後にここを通った機器は %zu 台です。", g->serves);
        x->en = str_fmt(f->arena, "The gateway is silent; %zu device%s last heard through it.",
                        g->serves, g->serves == 1 ? " was" : "s were");
    } else {
        x->ja = S("受信が止まっています。");
        x->en = S("The gateway is silent.");
    }
}

static enum err find_gateways(struct findings *f)
{
    struct silents silents;
    bool any = false;
    enum err err = load_silent(&silents, f);
    for (size_t i = 0; i < silents.n; i++)
        any |= silents.list[i].seen_us > 0;
    if ((err == OK || err == ERR_NOT_FOUND) && any)
        err = count_served(&silents, f);
    for (size_t i = 0; i < silents.n; i++)
        judge_gateway(f, &silents.list[i]);
    return err;
}

/* ------------------------------------------------------------------ refusals and downlinks of the last day */

static const struct { const char *word, *ja; } refusals_ja[] = {
    { "DROP_UNKNOWN_DEVICE",  "その DevEUI と JoinEUI の機器は登録されていません" },
    { "DROP_UNKNOWN_DEVADDR", "その DevAddr の接続がありません" },
    { "DROP_BAD_MIC",         "どの鍵でも確かめられません" },
    { "DROP_JOIN_MIC",        "参加の求めが、機器の鍵で確かめられません" },
    { "DROP_DEVNONCE",        "参加の求めの番号（DevNonce）が使用済みです" },
    { "DROP_JOIN_LATE",       "参加の求めが、答えられない時刻になって届きました" },
    { "DROP_JOIN_SPENT",      "機器の参加の番号（JoinNonce）を使い切りました" },
    { "DROP_REPEATED",        "番号がもう使われています" },
    { "DROP_FCNT_GAP",        "番号が先へ飛びすぎています" },
    { "DROP_KEY",             "保存した鍵を開けません" },
    { "DROP_CODEC",           "値の読み取りに失敗しました" },
    { "DROP_CODEC_PORT",      "このポートの読み取り方がありません" },
    { "DROP_TOO_LONG",        "LoRaWAN の電文より長すぎます" },
    { "DROP_SPENT",           "下り番号を使い切ったため送信できません。機器の再参加が必要です" },
    { "DROP_NO_ROOM",         "答えられるゲートウェイがありません" },
};

static struct str refusal_ja(struct str word)
{
    for (size_t i = 0; i < COUNT(refusals_ja); i++)
        if (str_eq(str_z(refusals_ja[i].word), word))
            return str_z(refusals_ja[i].ja);
    return word;
}

static struct str refusal_en(struct str word)
{
    enum drop d = drop_named(word);
    return d == DROP_KINDS ? word : str_z(drop_words(d));
}

/* Columns: dev_eui, word, how many, first, last. Only the last ones of each device are kept. */
static void judge_refusals(struct findings *f, struct db_query *q)
{
    const struct device_row *d = devices_find(&f->devices, (u64)db_i64(q, 0));
    struct str word = str_copy(f->arena, db_str(q, 1));
    struct finding *x = d ? add_device(f, KIND_REFUSED, d, db_i64(q, 3))
                          : add(f, KIND_REFUSED, "entity",
                                str_fmt(f->arena, "urn:hotaru:refused:%.*s", STR(word)),
                                S("登録のない機器 / not registered"), db_i64(q, 3));
    x->ja = str_fmt(f->arena, "電文を受け付けませんでした（%lld 件）: %.*s",
                    (long long)db_i64(q, 2), STR(refusal_ja(word)));
    x->en = str_fmt(f->arena, "%lld frame%s refused: %.*s", (long long)db_i64(q, 2),
                    db_i64(q, 2) == 1 ? "" : "s", STR(refusal_en(word)));
}

static enum err find_refusals(struct findings *f)
{
    struct db_query *q = db_query(f->call->db, "SELECT dev_eui, word, COUNT(*), MIN(id), MAX(id) FROM refusal WHERE tenant = $1 "
                                               "AND id > $2 GROUP BY dev_eui, word ORDER BY MAX(id) DESC LIMIT $3");
    enum err err;
    db_bind_i64(q, 1, (i64)f->call->tenant);
    db_bind_i64(q, 2, f->now_us - DAY_US);
    db_bind_i64(q, 3, ROWS_MAX);
    while ((err = db_step(q)) == OK)
        judge_refusals(f, q);
    return err;
}

/* Columns: dev_eui, id, state, reason; one device's rows stand together, the newest first. */
static enum err find_downlinks(struct findings *f)
{
    struct db_query *q = db_query(
        f->call->db,
        "SELECT w.dev_eui, w.id, w.reason FROM device d CROSS JOIN downlink w WHERE "
        "d.tenant = $1 AND w.tenant = d.tenant AND w.dev_eui = d.dev_eui AND w.id > $2 "
        "AND (w.state = 3 OR (w.state = 4 AND w.kind = 0)) "
        "ORDER BY w.dev_eui, w.id DESC LIMIT $3");
    const struct device_row *last = NULL;
    struct finding *x = NULL;
    enum err err;
    db_bind_i64(q, 1, (i64)f->call->tenant);
    db_bind_i64(q, 2, f->now_us - DAY_US);
    db_bind_i64(q, 3, ROWS_MAX);
    while ((err = db_step(q)) == OK) {
        const struct device_row *d = devices_find(&f->devices, (u64)db_i64(q, 0));
        if (!d || d->personal)
            continue;
        if (d == last) {
            x->since_us = db_i64(q, 1);
            continue;
        }
        struct str reason = str_copy(f->arena, db_str(q, 2));
        last  = d;
        x     = add_device(f, KIND_DOWNLINK_FAILED, d, db_i64(q, 1));
        x->ja = str_fmt(f->arena, "送信に失敗しました: %.*s", STR(reason));
        x->en = str_fmt(f->arena, "A downlink failed: %.*s", STR(reason));
    }
    return err;
}

/* ------------------------------------------------------------------ the store itself */

static void find_store(struct findings *f)
{
    struct db_damaged row[DB_DAMAGED_MAX];
    u64 count;
    i64 full_us = api_counts_read(f->call->api).full_us;
    size_t n = db_damage_list(f->call->api->damage, row, COUNT(row), &count);
    if (full_us) {
        struct finding *x = add(f, KIND_STORE_FULL, "entity", S("urn:hotaru:store"), S("保存先 / the store"), full_us);
        x->ja = S("保存先のディスクがいっぱいです。新しいデータは受け付けていません。空きを作ってください。");
        x->en = S("The disk is full: new data are refused. Make room; nothing that was accepted is lost.");
    }
    for (size_t i = 0; i < n; i++) {
        struct str key = str_copy(f->arena, str_z(row[i].key));
        struct finding *x = add(f, KIND_STORE_DAMAGED, "entity",
                                str_fmt(f->arena, "urn:hotaru:damaged:%s:%zu", row[i].table, i),
                                str_fmt(f->arena, "%s (%.*s)", row[i].table, STR(key)), row[i].since_us);
        x->ja = S("保存した行が壊れているため、使っていません。hotaru fsck で確かめてください。");
        x->en = S("A stored row is damaged and is not used; hotaru fsck says more.");
    }
}

/* ------------------------------------------------------------------ in order, grouped */

static int by_matter(const void *a, const void *b)
{
    const struct finding *x = *(struct finding *const *)a, *y = *(struct finding *const *)b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->river != y->river)
        return x->river ? -1 : 1;
    if (x->since_us != y->since_us)
        return x->since_us < y->since_us ? -1 : 1;
    return x->id.n != y->id.n ? (x->id.n < y->id.n ? -1 : 1) : memcmp(x->id.p, y->id.p, x->id.n);
}

static struct str names_of(struct arena *arena, struct finding *const *list, struct str between)
{
    struct text t = text_make(arena, 4096);
    for (int i = 0; i < GROUP_NAMES; i++) {
        text_put(&t, i ? between : S(""));
        text_put(&t, list[i]->name);
    }
    return text_str(&t);
}

static struct finding group(struct arena *arena, struct finding *const *list, size_t n)
{
    struct finding x = *list[0];
    x.type  = "entity";
    x.id = str_fmt(arena, "urn:hotaru:group:%s:%s", kinds[x.kind].word,
                   x.river ? "river" : "other");
    x.name  = str_fmt(arena, "%.*s … (%zu)", STR(list[0]->name), n);
    x.value = x.unit = S("");
    x.ja = str_fmt(arena, "%zu %s: %.*s ほか。", n, kinds[x.kind].ja,
                   STR(names_of(arena, list, S("、"))));
    x.en = str_fmt(arena, "%zu %s: %.*s and others.", n, kinds[x.kind].en,
                   STR(names_of(arena, list, S(", "))));
    return x;
}

static void write_finding(struct json_out *o, const struct finding *x)
{
    json_open_object(o);
    json_member_str(o, S("severity"), str_z(kinds[x->kind].severity));
    json_member_str(o, S("kind"), str_z(kinds[x->kind].word));
    json_key(o, S("subject"));
    json_open_object(o);
    json_member_str(o, S("type"), str_z(x->type));
    json_member_str(o, S("id"), x->id);
    json_member_str(o, S("name"), x->name);
    json_close(o);
    member_time(o, S("since"), x->since_us);
    json_member_raw(o, S("value"), x->value.n ? x->value : S("null"));
    member_words(o, S("unit"), x->unit);
    json_member_str(o, S("ja"), x->ja);
    json_member_str(o, S("en"), x->en);
    json_close(o);
}

static void write_findings(struct json_out *o, struct findings *f)
{
    struct finding **list = arena_array(f->arena, struct finding *, f->n + 1);
    size_t n = 0, written = 0;
    for (struct finding *x = f->first; x; x = x->next) {
        x->since_us = MIN(x->since_us, f->now_us);     /* a clock that was set back: at the latest now */
        list[n++]   = x;
    }
    qsort(list, n, sizeof list[0], by_matter);
    for (size_t i = 0, same; i < n && written < FINDINGS_MAX; i += same) {
        for (same = 1; i + same < n && list[i + same]->kind == list[i]->kind &&
                       list[i + same]->river == list[i]->river;)
            same++;
        if (same >= GROUP_FROM) {
            struct finding x = group(f->arena, list + i, same);
            write_finding(o, &x);
            written++;
            continue;
        }
        for (size_t k = 0; k < same && written < FINDINGS_MAX; k++, written++)
            write_finding(o, list[i + k]);
    }
}

void get_findings(struct call *call)
{
    struct page p;
    struct findings f = { .call = call, .arena = call->rq->arena, .now_us = sys_clock().us };
    if (!store_good(call, find_devices(&f)) || !store_good(call, find_suspects(&f)) ||
        !store_good(call, find_gateways(&f)) || !store_good(call, find_refusals(&f)) ||
        !store_good(call, find_downlinks(&f)))
        return;
    find_store(&f);
    page_begin(&p, call);
    json_open_object(&p.out);
    member_time(&p.out, S("now"), f.now_us);
    json_key(&p.out, S("findings"));
    json_open_array(&p.out);
    write_findings(&p.out, &f);
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}
