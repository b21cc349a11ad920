// SPDX-License-Identifier: Apache-2.0
/*
 * One device: what it says now, what became of its frames, how a value changed, its downlinks, and
 * why its frames were refused.
 */
#include "api/inside.h"

#include "history/history.h"
#include "mac/mac.h"

#include <stdlib.h>

#define FRAMES_MAX 500
#define SERIES_MAX 10000

/* ------------------------------------------------------------------ which device */

static bool find(struct device_row *out, struct call *call, u64 dev_eui)
{
    struct db_query *q =
        db_query(call->db, DEVICE_COLUMNS DEVICE_FROM "WHERE d.tenant = $1 AND d.dev_eui = $2");
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    enum err err = db_step(q);
    if (err == OK)
        device_read(out, call, q);
    db_reset(q);
    if (!store_good(call, err))
        return false;
    if (err == ERR_NOT_FOUND)
        answer_problem(call, 404, "no such device",
                       str_fmt(call->rq->arena, "no device is registered with the DevEUI %016llX",
                               (unsigned long long)dev_eui));
    return err == OK;
}

/* ------------------------------------------------------------------ its page */

struct entity_now { struct str type; const struct json *attributes; i64 modified_us; };

static enum err load_entity(struct entity_now *out, struct call *call, struct str id)
{
    struct db_query *q =
        db_query(call->db, "SELECT type, attributes, modified_us FROM entity WHERE tenant = $1 AND id = $2");
    *out = (struct entity_now){ .attributes = NULL };
    if (id.n == 0)
        return OK;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_str(q, 2, id);
    enum err err = db_step(q);
    if (err == OK)
        *out = (struct entity_now){ str_copy(call->rq->arena, db_str(q, 0)),
                                    stored_object(str_copy(call->rq->arena, db_str(q, 1)), call->rq->arena),
                                    db_i64(q, 2) };
    db_reset(q);
    return err;
}

static const struct profile_field *rule_of(const struct profile *profile, struct str attribute)
{
    for (size_t i = 0; profile && i < profile->fields_count; i++)
        if (str_eq(field_attribute(&profile->fields[i]), attribute))
            return &profile->fields[i];
    return NULL;
}

static void write_value(struct json_out *o, const struct json *attribute, const struct profile_field *rule,
                        const struct entity_now *e)
{
    struct arena *arena = o->text->arena;
    struct str observed = attribute_text(attribute, S("observedAt"), arena);
    struct str newest = json_str(json_get(json_get(json_get(e->attributes, S("dateObserved")), S("value")), S("@value")), arena);
    json_open_object(o);
    json_member_str(o, S("attr"), attribute->key);
    json_member_value(o, S("value"), json_get(attribute, S("value")));
    member_words(o, S("unit"), attribute_text(attribute, S("unitCode"), arena));
    json_member_str(o, S("flag"), attribute_flag(attribute, arena));
    json_member_str(o, S("reason"), attribute_text(attribute, S("qualityReason"), arena));
    member_words(o, S("observed_at"), observed);
    if (str_eq(observed, newest))
        member_time(o, S("received_at"), e->modified_us);
    else
        member_words(o, S("received_at"), observed);       /* an older reading's: when it came is in its uplink */
    json_member_str(o, S("ja"), rule ? rule->ja : attribute->key);
    json_member_str(o, S("en"), rule ? rule->en : attribute->key);
    json_close(o);
}

/* What a reading said, not what the entity says of itself (name, place, device, time). */
static bool is_value(const struct json *attribute)
{
    return json_is(attribute, JSON_OBJECT) && json_get(attribute, S("quality")) != NULL;
}

/* In the profile's order, which is the codec's; then what the profile does not know. */
static void write_values(struct json_out *o, const struct device_row *d, const struct entity_now *e)
{
    json_key(o, S("values"));
    json_open_array(o);
    for (size_t i = 0; d->profile && i < d->profile->fields_count; i++) {
        const struct profile_field *rule = &d->profile->fields[i];
        const struct json *attribute = json_get(e->attributes, field_attribute(rule));
        if (is_value(attribute) && rule_of(d->profile, attribute->key) == rule)
            write_value(o, attribute, rule, e);
    }
    JSON_EACH (attribute, e->attributes)
        if (is_value(attribute) && !rule_of(d->profile, attribute->key))
            write_value(o, attribute, NULL, e);
    json_close(o);
}

struct session_now { i64 devaddr, joined_us, fcnt_up, fcnt_down; u64 join_eui; };   /* -1, 0: none */

static enum err load_session(struct session_now *out, struct call *call, u64 dev_eui)
{
    struct db_query *q = db_query(
        call->db, "SELECT d.join_eui, n.devaddr, n.id, s.fcnt_up, "
                  "(SELECT MAX(w.fcnt) FROM downlink w WHERE w.tenant = d.tenant AND w.dev_eui = d.dev_eui AND w.id > n.id) "
                  "FROM device d LEFT JOIN session n ON n.tenant = d.tenant AND n.dev_eui = d.dev_eui AND n.state = 1 "
                  "LEFT JOIN device_state s ON s.tenant = d.tenant AND s.dev_eui = d.dev_eui AND s.session = n.id "
                  "WHERE d.tenant = $1 AND d.dev_eui = $2");
    *out = (struct session_now){ -1, 0, -1, -1, 0 };
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    enum err err = db_step(q);
    if (err == OK)
        *out = (struct session_now){ .join_eui  = (u64)db_i64(q, 0),
                                     .devaddr   = db_is_null(q, 1) ? -1 : db_i64(q, 1),
                                     .joined_us = db_is_null(q, 2) ? 0 : db_i64(q, 2),
                                     .fcnt_up   = db_is_null(q, 3) ? -1 : db_i64(q, 3),
                                     .fcnt_down = db_is_null(q, 4) ? -1 : db_i64(q, 4) };
    db_reset(q);
    return err;
}

/* -1: null. */
static void member_count(struct json_out *o, struct str key, i64 n)
{
    if (n < 0)
        json_member_null(o, key);
    else
        json_member_i64(o, key, n);
}

static void write_session(struct json_out *o, const struct device_row *d, const struct session_now *s)
{
    if (d->personal || s->devaddr < 0)
        json_member_null(o, S("dev_addr"));
    else
        json_member_str(o, S("dev_addr"), str_fmt(o->text->arena, "%08llX", (unsigned long long)s->devaddr));
    json_member_str(o, S("lorawan"), !d->profile               ? S("")
                                     : d->profile->lorawan_1_1  ? S("1.1")
                                     : d->profile->nonce_counts ? S("1.0.4")
                                                                : S("1.0.3"));
    json_member_str(o, S("region"), d->profile ? str_z(d->profile->region->name) : S(""));
    member_count(o, S("fcnt_up"), d->personal ? -1 : s->fcnt_up);
    member_count(o, S("fcnt_down"), d->personal ? -1 : s->fcnt_down);
    member_words(o, S("join_eui"), d->personal ? S("") : eui_text(o->text->arena, s->join_eui));
    member_time(o, S("joined_at"), d->personal ? 0 : s->joined_us);
}

void device_page(struct call *call, u64 dev_eui)
{
    struct page p;
    struct device_row d;
    struct session_now session;
    struct entity_now entity;
    if (!find(&d, call, dev_eui) || !store_good(call, load_session(&session, call, dev_eui)) ||
        !store_good(call, load_entity(&entity, call, device_entity(&d, call->rq->arena))))
        return;
    const struct profile_field *main = d.personal ? NULL : main_field(d.profile);
    d.flagged = main && attribute_flag(json_get(entity.attributes, field_attribute(main)), call->rq->arena).n > 0;
    page_begin(&p, call);
    device_write(&p.out, &d, sys_clock().us);
    write_session(&p.out, &d, &session);
    write_values(&p.out, &d, &entity);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

void get_device(struct call *call)
{
    u64 dev_eui;
    if (param_eui(call, 0, &dev_eui))
        device_page(call, dev_eui);
}

/* ------------------------------------------------------------------ frames */

struct frame_row {
    i64  id, time_us;
    const char *direction;
    i64  fcnt, fport, size;                    /* -1: none, or not for anybody's eyes */
    bool confirmed, is_uplink;
    struct bytes radio;                        /* copies of an uplink */
    u64  gateway;                              /* of a downlink or a refusal; 0: none */
    struct str mac, drop, words, state, reason;
};
struct frame_rows { struct frame_row *row; size_t n, room; };

static enum drop drop_named(struct str name)
{
    for (enum drop d = PASS; d < DROP_KINDS; d++)
        if (str_eq(str_z(drop_name(d)), name))
            return d;
    return DROP_KINDS;
}

static struct str commands_words(struct arena *arena, struct bytes commands)
{
    struct text t = text_make(arena, 4096);
    if (commands.n > 0)
        lora_commands_text(&t, commands, LORA_UP);
    return text_str(&t);
}

/* The chain of the device's uplinks, newest to oldest, in one query. */
static enum err add_uplinks(struct frame_rows *rows, struct call *call, const struct device_row *d, i64 limit)
{
    struct db_query *q = db_query(
        call->db, "WITH RECURSIVE chain (id, n) AS (SELECT last_uplink, 1 FROM device_state WHERE tenant = $1 AND dev_eui = $2 "
                  "UNION ALL SELECT u.prev, c.n + 1 FROM chain c JOIN uplink u ON u.tenant = $1 AND u.id = c.id "
                  "WHERE c.n < $3 AND u.prev > 0) "
                  "SELECT u.id, u.received_us, u.fcnt, u.flags, u.fopts, u.payload, u.radio, x.radio FROM chain c "
                  "JOIN uplink u ON u.tenant = $1 AND u.id = c.id "
                  "LEFT JOIN uplink_copies x ON x.tenant = $1 AND x.id = c.id");
    struct arena *arena = call->rq->arena;
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, limit);
    while ((err = db_step(q)) == OK && rows->n < rows->room) {
        i64 flags = db_i64(q, 3), fport = (flags & 0x1FF) - 1;
        bool hidden = d->personal || (flags & 1 << 11);
        struct frame_row *f = &rows->row[rows->n++];
        *f = (struct frame_row){ .id = db_i64(q, 0), .time_us = db_i64(q, 1), .direction = "up", .is_uplink = !hidden,
                                 .fcnt = -1, .fport = -1, .size = -1 };
        if (hidden)
            continue;
        f->fcnt      = db_i64(q, 2);
        f->fport     = fport;
        f->size      = (i64)db_bytes(q, 5).n;
        f->confirmed = flags & 1 << 9;
        f->mac       = commands_words(arena, fport == 0 ? db_bytes(q, 5) : db_bytes(q, 4));
        f->radio     = bytes_copy(arena, db_bytes(q, db_is_null(q, 7) ? 6 : 7));
    }
    db_reset(q);
    return err;
}

static enum err add_downlinks(struct frame_rows *rows, struct call *call, const struct device_row *d, i64 limit)
{
    struct db_query *q = db_query(call->db, "SELECT id, kind, state, confirmed, fport, LENGTH(payload), sent_us, fcnt, gateway, "
                                            "mac, reason FROM downlink WHERE tenant = $1 AND dev_eui = $2 ORDER BY id DESC LIMIT $3");
    struct arena *arena = call->rq->arena;
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, limit);
    while ((err = db_step(q)) == OK && rows->n < rows->room) {
        struct frame_row *f = &rows->row[rows->n++];
        *f = (struct frame_row){ .id        = db_i64(q, 0),
                                 .time_us   = db_i64(q, 6) > 0 ? db_i64(q, 6) : db_i64(q, 0),
                                 .direction = db_i64(q, 1) == DOWN_JOIN ? "join" : "down",
                                 .state     = down_state_words((enum down_state)db_i64(q, 2)),
                                 .fcnt = -1, .fport = -1, .size = -1 };
        if (d->personal)
            continue;
        f->confirmed = db_i64(q, 3) != 0;
        f->fport     = db_i64(q, 4);
        f->size      = db_i64(q, 5);
        f->fcnt      = db_i64(q, 7);
        f->gateway   = (u64)db_i64(q, 8);
        f->mac       = str_copy(arena, db_str(q, 9));
        f->reason    = str_copy(arena, db_str(q, 10));
    }
    db_reset(q);
    return err;
}

/* A refusal without a gateway is ours: something that could not be sent. */
static const char *refused_direction(enum drop drop, u64 gateway)
{
    if (drop == DROP_JOIN_MIC || drop == DROP_DEVNONCE || drop == DROP_JOIN_REPEATED)
        return "join";
    return gateway ? "up" : "down";
}

static enum err add_refusals(struct frame_rows *rows, struct call *call, const struct device_row *d)
{
    struct db_query *q = db_query(call->db, "SELECT id, word, gateway, detail FROM refusal WHERE tenant = $1 AND dev_eui = $2 "
                                            "ORDER BY id DESC LIMIT 64");
    struct arena *arena = call->rq->arena;
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    while ((err = db_step(q)) == OK && rows->n < rows->room) {
        enum drop drop = drop_named(db_str(q, 1));
        u64 gateway = (u64)db_i64(q, 2);
        rows->row[rows->n++] = (struct frame_row){ .id        = db_i64(q, 0),
                                                   .time_us   = db_i64(q, 0),
                                                   .direction = refused_direction(drop, gateway),
                                                   .gateway   = d->personal ? 0 : gateway,
                                                   .drop      = str_copy(arena, db_str(q, 1)),
                                                   .words     = str_z(drop_words(drop)),
                                                   .reason    = d->personal ? S("") : str_copy(arena, db_str(q, 3)),
                                                   .fcnt = -1, .fport = -1, .size = -1 };
    }
    db_reset(q);
    return err;
}

static int newest_first(const void *a, const void *b)
{
    const struct frame_row *x = a, *y = b;
    if (x->time_us != y->time_us)
        return x->time_us > y->time_us ? -1 : 1;
    return x->id > y->id ? -1 : x->id < y->id;
}

static int data_rate(const struct lora_region *region, const struct radio *r)
{
    return r->sf ? lora_dr_find(region, LORA_UP, r->sf, r->bw_hz) : lora_dr_find_fsk(region, r->bitrate);
}

static void write_copy(struct json_out *o, const struct gateway_names *names, u64 gateway, const struct radio *r)
{
    json_open_object(o);
    member_eui(o, S("gateway"), gateway);
    json_member_str(o, S("name"), gateway_name(names, gateway));
    if (r) {
        json_member_i64(o, S("rssi_dbm"), r->rssi_dbm);
        json_member_fixed(o, S("snr_db"), r->snr_cb / 10.0, 1);
    } else {
        json_member_null(o, S("rssi_dbm"));
        json_member_null(o, S("snr_db"));
    }
    json_close(o);
}

static void write_radio(struct json_out *o, const struct frame_row *f, const struct lora_region *region,
                        const struct gateway_names *names)
{
    struct cur c = cur_of(f->radio), first = c;
    struct radio r;
    bool heard = f->is_uplink && mac_radio_read(&r, &first);
    member_count(o, S("dr"), heard ? data_rate(region, &r) : -1);
    member_count(o, S("freq_hz"), heard ? (i64)r.freq_hz : -1);
    json_key(o, S("copies"));
    json_open_array(o);
    while (f->is_uplink && mac_radio_read(&r, &c))
        write_copy(o, names, r.gateway, &r);
    if (f->gateway)
        write_copy(o, names, f->gateway, NULL);
    json_close(o);
}

static void write_frame(struct json_out *o, const struct frame_row *f, const struct lora_region *region,
                        const struct gateway_names *names)
{
    json_open_object(o);
    json_member_i64(o, S("id"), f->id);
    member_time(o, S("time"), f->time_us);
    json_member_str(o, S("direction"), str_z(f->direction));
    member_count(o, S("fcnt"), f->fcnt);
    member_count(o, S("fport"), f->fport);
    json_member_bool(o, S("confirmed"), f->confirmed);
    member_count(o, S("size"), f->size);
    json_member_str(o, S("mac"), f->mac);
    write_radio(o, f, region, names);
    member_words(o, S("drop"), f->drop);
    json_member_str(o, S("words"), f->words);
    member_words(o, S("state"), f->state);
    json_member_str(o, S("reason"), f->reason);
    json_close(o);
}

void frames_page(struct call *call, u64 dev_eui, i64 limit)
{
    struct page p;
    struct device_row d;
    struct gateway_names names;
    struct frame_rows rows = { .room = (size_t)limit * 2 + 64 };
    rows.row = arena_array(call->rq->arena, struct frame_row, rows.room);
    if (!find(&d, call, dev_eui) || !store_good(call, gateways_load(&names, call)) ||
        !store_good(call, add_uplinks(&rows, call, &d, limit)) || !store_good(call, add_downlinks(&rows, call, &d, limit)) ||
        !store_good(call, add_refusals(&rows, call, &d)))
        return;
    qsort(rows.row, rows.n, sizeof rows.row[0], newest_first);
    page_begin(&p, call);
    json_open_object(&p.out);
    json_key(&p.out, S("frames"));
    json_open_array(&p.out);
    for (size_t i = 0; i < MIN(rows.n, (size_t)limit); i++)
        write_frame(&p.out, &rows.row[i], d.profile ? d.profile->region : NULL, &names);
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

void get_frames(struct call *call)
{
    u64 dev_eui;
    i64 limit;
    if (param_eui(call, 0, &dev_eui) && query_i64(call, S("limit"), 50, 1, FRAMES_MAX, &limit))
        frames_page(call, dev_eui, limit);
}

/* ------------------------------------------------------------------ downlinks */

static void write_downlink(struct json_out *o, struct db_query *q, bool personal)
{
    u64 gateway = personal ? 0 : (u64)db_i64(q, 8);
    json_open_object(o);
    json_member_i64(o, S("id"), db_i64(q, 0));
    member_count(o, S("fport"), personal ? -1 : db_i64(q, 1));
    member_count(o, S("size"), personal ? -1 : db_i64(q, 2));
    json_member_bool(o, S("confirmed"), db_i64(q, 3) != 0);
    json_member_str(o, S("state"), down_state_words((enum down_state)db_i64(q, 4)));
    json_member_str(o, S("reason"), personal ? S("") : db_str(q, 5));
    member_time(o, S("created_at"), db_i64(q, 0));
    member_time(o, S("sent_at"), db_i64(q, 6));
    member_words(o, S("gateway"), gateway ? eui_text(o->text->arena, gateway) : S(""));
    member_count(o, S("fcnt"), personal ? -1 : db_i64(q, 7));
    json_close(o);
}

void downlinks_page(struct call *call, u64 dev_eui, i64 limit)
{
    struct page p;
    struct device_row d;
    enum err err;
    if (!find(&d, call, dev_eui))
        return;
    struct db_query *q = db_query(call->db, "SELECT id, fport, LENGTH(payload), confirmed, state, reason, sent_us, fcnt, gateway "
                                            "FROM downlink WHERE tenant = $1 AND dev_eui = $2 AND kind = 0 "
                                            "ORDER BY id DESC LIMIT $3");
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    db_bind_i64(q, 3, limit);
    page_begin(&p, call);
    json_open_object(&p.out);
    json_key(&p.out, S("downlinks"));
    json_open_array(&p.out);
    while ((err = db_step(q)) == OK)
        write_downlink(&p.out, q, d.personal);
    if (!store_good(call, err))
        return;
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

void get_downlinks(struct call *call)
{
    u64 dev_eui;
    i64 limit;
    if (param_eui(call, 0, &dev_eui) && query_i64(call, S("limit"), 50, 1, FRAMES_MAX, &limit))
        downlinks_page(call, dev_eui, limit);
}

/* ------------------------------------------------------------------ why */

void why_page(struct call *call, u64 dev_eui)
{
    struct page p;
    struct device_row d;
    struct gateway_names names;
    struct frame_rows rows = { .row = arena_array(call->rq->arena, struct frame_row, 64), .room = 64 };
    if (!find(&d, call, dev_eui) || !store_good(call, gateways_load(&names, call)) ||
        !store_good(call, add_refusals(&rows, call, &d)))
        return;
    page_begin(&p, call);
    json_open_object(&p.out);
    json_key(&p.out, S("refusals"));
    json_open_array(&p.out);
    for (const struct frame_row *f = rows.row; f < rows.row + rows.n; f++) {
        json_open_object(&p.out);
        json_member_i64(&p.out, S("id"), f->id);
        member_time(&p.out, S("time"), f->time_us);
        json_member_str(&p.out, S("drop"), f->drop);
        json_member_str(&p.out, S("words"), f->words);
        json_member_str(&p.out, S("detail"), f->reason);
        member_words(&p.out, S("gateway"), f->gateway ? eui_text(call->rq->arena, f->gateway) : S(""));
        json_member_str(&p.out, S("name"), f->gateway ? gateway_name(&names, f->gateway) : S(""));
        json_close(&p.out);
    }
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

void get_why(struct call *call)
{
    u64 dev_eui;
    if (param_eui(call, 0, &dev_eui))
        why_page(call, dev_eui);
}

/* ------------------------------------------------------------------ one attribute over time */

struct point { i64 id, observed_us; struct str value, flag; };       /* value: JSON text */
struct series { struct series_asked asked; struct point *points; size_t n; struct str unit; struct arena *arena, scratch; };

static struct str value_text(struct series *s, const struct json *attribute, struct str flag)
{
    struct text     t = text_make(s->arena, 64 * 1024);
    struct json_out o = json_out_make(&t);
    if (str_eq(flag, flag_sign(FLAG_MISSING)))
        json_put_null(&o);                         /* the entity keeps the value before; the series does not repeat it */
    else
        json_put_value(&o, json_get(attribute, S("value")));
    return t.bad ? S("null") : text_str(&t);
}

static bool add_point(void *arg, const struct history_row *row)
{
    struct series *s = arg;
    arena_reset(&s->scratch);
    const struct json *attribute = json_get(stored_object(row->attributes, &s->scratch), s->asked.attr);
    if (!attribute)
        return true;
    struct str flag = attribute_flag(attribute, &s->scratch);
    if (s->unit.n == 0)
        s->unit = str_copy(s->arena, attribute_text(attribute, S("unitCode"), &s->scratch));
    s->points[s->n++] = (struct point){ row->id, row->observed.us, value_text(s, attribute, flag), str_copy(s->arena, flag) };
    return s->n < (size_t)s->asked.limit;
}

static int oldest_first(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    if (x->observed_us != y->observed_us)
        return x->observed_us < y->observed_us ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void write_series(struct call *call, struct series *s, const struct profile_field *rule)
{
    struct page p;
    page_begin(&p, call);
    json_open_object(&p.out);
    json_member_str(&p.out, S("attr"), s->asked.attr);
    member_words(&p.out, S("unit"), s->unit.n || !rule ? s->unit : rule->unit);
    json_key(&p.out, S("points"));
    json_open_array(&p.out);
    for (size_t i = 0; i < s->n; i++) {
        json_open_array(&p.out);
        json_put_str(&p.out, wall_str(call->rq->arena, (struct wall){ s->points[i].observed_us }));
        json_put_raw(&p.out, s->points[i].value);
        json_put_str(&p.out, s->points[i].flag);
        json_close(&p.out);
    }
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

void series_page(struct call *call, struct series_asked asked)
{
    struct device_row d;
    struct series s = { .asked = asked, .arena = call->rq->arena };
    if (!find(&d, call, asked.dev_eui))
        return;
    struct str entity = device_entity(&d, call->rq->arena);
    s.points  = arena_array(call->rq->arena, struct point, asked.limit);
    s.scratch = arena_make(16 * 1024);
    enum err err = entity.n ? history_walk(call->db, call->tenant, entity, asked.from, asked.to, add_point, &s) : OK;
    arena_free(&s.scratch);
    if (!store_good(call, err))
        return;
    qsort(s.points, s.n, sizeof s.points[0], oldest_first);
    write_series(call, &s, d.personal ? NULL : rule_of(d.profile, asked.attr));
}

void get_series(struct call *call)
{
    struct series_asked asked = { .attr = http_query(call->rq, S("attr")) };
    struct wall now = sys_clock();
    if (!param_eui(call, 0, &asked.dev_eui) || !query_time(call, S("to"), now, &asked.to) ||
        !query_time(call, S("from"), (struct wall){ asked.to.us - 86400 * US_PER_S }, &asked.from) ||
        !query_i64(call, S("limit"), 1000, 1, SERIES_MAX, &asked.limit))
        return;
    asked.from.us = MAX(asked.from.us, 0);                 /* nothing is older than the clock's beginning */
    series_page(call, asked);
}
