// SPDX-License-Identifier: Apache-2.0
/*
 * The map: every place with its live value, in three queries. Entities name the device that they
 * came from (refDevice), so they find their device's point without a query each.
 */
#include "api/inside.h"

#define POINTS_MAX 20000

/* What stands at a device's point. */
struct shown { struct json value; struct str unit, flag, observed; };

static const struct json nothing = { .kind = JSON_NULL, .raw = { "null", 4 } };

static struct json kept(const struct json *v, struct arena *arena)
{
    bool plain = v && v->kind >= JSON_FALSE && v->kind <= JSON_STRING;
    return plain ? (struct json){ .kind = v->kind, .escaped = v->escaped,
                                  .raw = str_copy(arena, v->raw) }
                 : nothing;
}

static void keep_main(struct shown *s, struct device_row *d, const struct json *attributes,
                      struct arena *scratch, struct arena *arena)
{
    const struct profile_field *main = main_field(d->profile);
    const struct json *attribute = main ? json_get(attributes, field_attribute(main)) : NULL;
    if (!attribute || d->personal)
        return;
    s->value    = kept(json_get(attribute, S("value")), arena);
    s->unit     = str_copy(arena, attribute_text(attribute, S("unitCode"), scratch));
    s->flag     = str_copy(arena, attribute_flag(attribute, scratch));
    s->observed = str_copy(arena, attribute_text(attribute, S("observedAt"), scratch));
    d->flagged  = s->flag.n > 0;
}

/* Where an entity stands that no device of ours feeds. */
static bool place_of(double *lat, double *lon, const struct json *attributes)
{
    const struct json *value = json_get(json_get(attributes, S("location")), S("value"));
    const struct json *point = json_get(value, S("coordinates"));
    return json_double(lon, json_at(point, 0)) && json_double(lat, json_at(point, 1));
}

static void write_stranger(struct json_out *o, struct str id, const struct json *attributes,
                           i64 modified_us, struct arena *scratch)
{
    double lat, lon;
    struct str name = attribute_text(json_get(attributes, S("name")), S("value"), scratch);
    if (!place_of(&lat, &lon, attributes))
        return;
    json_open_object(o);
    json_member_str(o, S("id"), id);
    json_member_null(o, S("device"));
    json_member_str(o, S("kind"), S("other"));
    json_member_str(o, S("name"), name.n ? name : id);
    member_place(o, lat, lon);
    json_member_str(o, S("state"), state_words(STATE_WORKS));
    json_member_null(o, S("attr"));
    json_member_null(o, S("value"));
    json_member_null(o, S("unit"));
    json_member_null(o, S("flag"));
    member_time(o, S("observed_at"), modified_us);
    json_member_bool(o, S("personal"), false);
    json_close(o);
}

/* Fills what the devices' points show; entities without a device become points at once. */
static enum err load_entities(struct shown *shown, struct device_rows *rows, struct page *p,
                              struct call *call)
{
    struct db_query *q = db_query(
        call->db, "SELECT " ENTITY_ROW("") " FROM entity WHERE tenant = $1 LIMIT $2");
    struct arena scratch = arena_make(16 * 1024);
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, POINTS_MAX);
    while ((err = db_step(q)) == OK) {
        arena_reset(&scratch);
        if (!entity_good(q, 0))
            continue;
        const struct json *attributes = stored_object(db_str(q, 3), &scratch);
        struct device_row *d = devices_find(rows, entity_device(attributes, &scratch));
        if (d)
            keep_main(&shown[d - rows->row], d, attributes, &scratch, call->rq->arena);
        else
            write_stranger(&p->out, db_str(q, 1), attributes, db_i64(q, 6), &scratch);
    }
    arena_free(&scratch);
    return err;
}

static void write_device(struct json_out *o, const struct device_row *d, const struct shown *s,
                         i64 now_us)
{
    const struct profile_field *main = d->personal ? NULL : main_field(d->profile);
    struct arena *arena = o->text->arena;
    struct str id = device_entity(d, arena), eui = eui_text(arena, d->dev_eui);
    json_open_object(o);
    json_member_str(o, S("id"), id.n ? id : str_fmt(arena, "urn:hotaru:device:%.*s", STR(eui)));
    json_member_str(o, S("device"), eui);
    json_member_str(o, S("kind"), d->profile ? d->profile->kind : S("other"));
    json_member_str(o, S("name"), d->name);
    member_place(o, d->lat, d->lon);
    json_member_str(o, S("state"), state_words(device_state(d, now_us)));
    member_words(o, S("attr"), main ? field_attribute(main) : S(""));
    json_member_value(o, S("value"), &s->value);
    member_words(o, S("unit"), s->unit);
    if (main && s->observed.n)
        json_member_str(o, S("flag"), s->flag);
    else
        json_member_null(o, S("flag"));
    if (s->observed.n)
        json_member_str(o, S("observed_at"), s->observed);
    else
        member_time(o, S("observed_at"), d->heard_us);
    json_member_bool(o, S("personal"), d->personal);
    json_close(o);
}

static enum err write_gateways(struct json_out *o, struct call *call, i64 now_us)
{
    struct db_query *q = db_query(
        call->db,
        "SELECT " GATEWAY_ROW("g.") ", " SEEN_ROW("s.") " FROM gateway g LEFT JOIN "
        "gateway_state s ON s.tenant = g.tenant AND s.eui = g.eui WHERE g.tenant = $1 LIMIT $2");
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, POINTS_MAX);
    while ((err = db_step(q)) == OK) {
        if (!gateway_good(q, 0))
            continue;
        i64 seen_us = seen_good(q, GATEWAY_COLUMNS + 1) ? column_or(q, GATEWAY_COLUMNS + 3, 0) : 0;
        json_open_object(o);
        json_member_str(o, S("id"),
                        str_fmt(o->text->arena, "urn:hotaru:gateway:%016llX",
                                (unsigned long long)db_i64(q, 1)));
        json_member_null(o, S("device"));
        json_member_str(o, S("kind"), S("gateway"));
        json_member_str(o, S("name"), db_str(q, 2));
        member_place(o, column_degrees(q, 3), column_degrees(q, 4));
        json_member_str(o, S("state"), state_words(gateway_state(seen_us, now_us)));
        json_member_null(o, S("attr"));
        json_member_null(o, S("value"));
        json_member_null(o, S("unit"));
        json_member_null(o, S("flag"));
        member_time(o, S("observed_at"), seen_us);
        json_member_bool(o, S("personal"), false);
        json_close(o);
    }
    return err;
}

void get_map(struct call *call)
{
    struct page p;
    struct device_rows rows;
    i64 now_us = sys_clock().us;
    if (!store_good(call, devices_load(&rows, call, POINTS_MAX)))
        return;
    struct shown *shown = arena_array(call->rq->arena, struct shown, rows.n + 1);
    for (size_t i = 0; i < rows.n; i++)
        shown[i].value = nothing;
    page_begin(&p, call);
    json_open_object(&p.out);
    member_time(&p.out, S("now"), now_us);
    json_key(&p.out, S("points"));
    json_open_array(&p.out);
    if (!store_good(call, load_entities(shown, &rows, &p, call)))
        return;
    for (size_t i = 0; i < rows.n; i++)
        write_device(&p.out, &rows.row[i], &shown[i], now_us);
    if (!store_good(call, write_gateways(&p.out, call, now_us)))
        return;
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}
