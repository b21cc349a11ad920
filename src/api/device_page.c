// SPDX-License-Identifier: Apache-2.0
/* One device: what it says now, and how one of its values changed. */
#include "api/inside.h"

#include "history/history.h"

#include <stdlib.h>

#define SERIES_MAX 10000

/* ------------------------------------------------------------------ which device */

bool device_find(struct device_row *out, struct call *call, u64 dev_eui)
{
    struct db_query *q =
        db_query(call->db, DEVICE_SELECT DEVICE_FROM "WHERE d.tenant = $1 AND d.dev_eui = $2");
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    enum err err = db_step(q);
    bool whole = err != OK || device_read(out, call, q);
    db_reset(q);
    if (!store_good(call, err))
        return false;
    if (!whole) {
        answer_problem(call, 500, "damaged", S("the row of this device is damaged: hotaru fsck names it; register the "
                                               "device again"));
        return false;
    }
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
    struct db_query *q = db_query(
        call->db, "SELECT " ENTITY_ROW("") " FROM entity WHERE tenant = $1 AND id = $2");
    *out = (struct entity_now){ .attributes = NULL };
    if (id.n == 0)
        return OK;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_str(q, 2, id);
    enum err err = db_step(q);
    if (err == OK && entity_good(q, 0))
        *out = (struct entity_now){
            str_copy(call->rq->arena, db_str(q, 2)),
            stored_object(str_copy(call->rq->arena, db_str(q, 3)), call->rq->arena), db_i64(q, 6)
        };
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

static void write_value(struct json_out *o, const struct json *attribute,
                        const struct profile_field *rule, const struct entity_now *e)
{
    struct arena *arena = o->text->arena;
    struct str observed = attribute_text(attribute, S("observedAt"), arena);
    const struct json *date = json_get(json_get(e->attributes, S("dateObserved")), S("value"));
    struct str newest = json_str(json_get(date, S("@value")), arena);
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
        member_words(o, S("received_at"), observed);   /* an older reading's: near enough */
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

struct session_now {
    i64 devaddr, joined_us, fcnt_up, fcnt_down;        /* -1, joined_us 0: none */
    u64 join_eui;
};

static enum err load_session(struct session_now *out, struct call *call, u64 dev_eui)
{
    struct db_query *q = db_query(
        call->db,
        "SELECT d.join_eui, n.devaddr, n.id, s.fcnt_up, (SELECT MAX(w.fcnt) FROM downlink w "
        "WHERE w.tenant = d.tenant AND w.dev_eui = d.dev_eui AND w.id > n.id), "
        SESSION_ROW("n.") ", " STATE_ROW("s.") " FROM device d "
        "LEFT JOIN session n ON n.tenant = d.tenant AND n.dev_eui = d.dev_eui AND n.state = 1 "
        "LEFT JOIN device_state s ON s.tenant = d.tenant AND s.dev_eui = d.dev_eui "
        "AND s.session = n.id WHERE d.tenant = $1 AND d.dev_eui = $2");
    *out = (struct session_now){ -1, 0, -1, -1, 0 };
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    enum err err = db_step(q);
    bool session = err == OK && session_good(q, 5), state = err == OK && state_good(q, 5 + SESSION_COLUMNS + 1);
    if (err == OK)
        *out = (struct session_now){ .join_eui  = (u64)db_i64(q, 0),
                                     .devaddr   = session ? column_or(q, 1, -1) : -1,
                                     .joined_us = session ? column_or(q, 2, 0) : 0,
                                     .fcnt_up   = state ? column_or(q, 3, -1) : -1,
                                     .fcnt_down = session ? column_or(q, 4, -1) : -1 };
    db_reset(q);
    return err;
}

static void write_session(struct json_out *o, const struct device_row *d,
                          const struct session_now *s)
{
    if (d->personal || s->devaddr < 0)
        json_member_null(o, S("dev_addr"));
    else
        json_member_str(o, S("dev_addr"),
                        str_fmt(o->text->arena, "%08llX", (unsigned long long)s->devaddr));
    json_member_str(o, S("lorawan"), d->profile ? lora_version_str(d->profile->version) : S(""));
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
    if (!device_find(&d, call, dev_eui) ||
        !store_good(call, load_session(&session, call, dev_eui)) ||
        !store_good(call, load_entity(&entity, call, device_entity(&d, call->rq->arena))))
        return;
    const struct profile_field *main = d.personal ? NULL : main_field(d.profile);
    const struct json *shown = main ? json_get(entity.attributes, field_attribute(main)) : NULL;
    d.flagged = attribute_flag(shown, call->rq->arena).n > 0;
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

/* ------------------------------------------------------------------ one attribute over time */

struct point { i64 id, observed_us; struct str value, flag; };       /* value: JSON text */
struct series {
    struct series_asked asked;
    struct point *points;
    size_t n;
    struct str unit;
    struct arena *arena, scratch;
};

static struct str value_text(struct series *s, const struct json *attribute, struct str flag)
{
    struct text     t = text_make(s->arena, 64 * 1024);
    struct json_out o = json_out_make(&t);
    if (str_eq(flag, flag_sign(FLAG_MISSING)))
        json_put_null(&o);             /* the entity keeps the value before; no need to repeat it */
    else
        json_put_value(&o, json_get(attribute, S("value")));
    return t.bad ? S("null") : text_str(&t);
}

static bool add_point(void *arg, const struct history_row *row)
{
    struct series *s = arg;
    arena_reset(&s->scratch);
    const struct json *attribute = json_get(stored_object(row->attributes, &s->scratch),
                                            s->asked.attr);
    if (!attribute)
        return true;
    struct str flag = attribute_flag(attribute, &s->scratch);
    if (s->unit.n == 0)
        s->unit = str_copy(s->arena, attribute_text(attribute, S("unitCode"), &s->scratch));
    s->points[s->n++] = (struct point){ row->id, row->observed.us, value_text(s, attribute, flag),
                                        str_copy(s->arena, flag) };
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
    if (!device_find(&d, call, asked.dev_eui))
        return;
    struct str entity = device_entity(&d, call->rq->arena);
    s.points  = arena_array(call->rq->arena, struct point, asked.limit);
    s.scratch = arena_make(16 * 1024);
    enum err err = entity.n ? history_walk(call->db, call->tenant, entity, asked.from, asked.to,
                                           add_point, &s)
                            : OK;
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
        !query_time(call, S("from"), (struct wall){ asked.to.us - 86400 * US_PER_S },
                    &asked.from) ||
        !query_i64(call, S("limit"), 1000, 1, SERIES_MAX, &asked.limit))
        return;
    asked.from.us = MAX(asked.from.us, 0);                 /* nothing is older than the clock's beginning */
    series_page(call, asked);
}
