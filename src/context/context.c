// SPDX-License-Identifier: Apache-2.0
#include "context/context.h"

#include <math.h>

#define ATTRIBUTES_BYTES_MAX (64 * 1024)

/* "urn:ngsi-ld:WaterObserved:{dev_eui}" with the EUI in the hole. */
static struct str entity_id(const struct device_ref *device, struct arena *arena)
{
    struct str  form = device->profile->entity_id;
    ptrdiff_t   hole = str_find(form, S("{dev_eui}"));
    if (hole < 0)
        return form;
    size_t after = (size_t)hole + S("{dev_eui}").n;
    return str_fmt(arena, "%.*s%016llx%.*s", (int)hole, form.p, (unsigned long long)device->dev_eui,
                   (int)(form.n - after), form.p + after);
}

/* The entity's row is damaged: its attributes begin anew, its history goes on where the row points,
 * if that is a reading of this entity. */
static enum err keep_chain(struct env *env, struct reading *reading)
{
    struct db_query *q = db_query(env->db, "SELECT " READING_ROW("") " FROM reading WHERE tenant = $1 AND id = $2");
    db_bind_i64(q, 1, (i64)reading->device.tenant);
    db_bind_i64(q, 2, reading->before_reading);
    enum err err = db_step(q);
    if (err != OK || !reading_good(q, 0) || !str_eq(db_str(q, 2), reading->entity))
        reading->before_reading = 0;
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err context_load(struct env *env, struct reading *reading)
{
    if (reading->device.profile->entity_id.n == 0)
        return OK;
    struct db_query *q =
        env_query(env, "SELECT " ENTITY_ROW("") " FROM entity WHERE tenant = $1 AND id = $2");
    if (!q)
        return env->failed;
    reading->entity = entity_id(&reading->device, &env->event);
    db_bind_i64(q, 1, (i64)reading->device.tenant);
    db_bind_str(q, 2, reading->entity);
    enum err err = db_step(q);
    if (err == OK)
        reading->before_reading = db_i64(q, 4);
    bool damaged = err == OK && !entity_good(q, 0);
    if (err == OK && !damaged) {
        reading->before_text     = str_copy(&env->event, db_str(q, 3));
        reading->before_created  = (struct wall){ db_i64(q, 5) };
        reading->before_modified = (struct wall){ db_i64(q, 6) };
        if (json_read(&reading->before, reading->before_text, &env->event, JSON_STRICT, NULL) != OK)
            log_line(LOG_ERROR, "context entity=%.*s its stored attributes cannot be read", STR(reading->entity));
    }
    db_reset(q);
    if (damaged)
        return keep_chain(env, reading);
    return err == ERR_NOT_FOUND ? OK : err;
}

static struct str attr_name(const struct field *f)
{
    return f->rule && f->rule->attr.n ? f->rule->attr : f->name;
}

/* NGSI-LD has no null value (4.5.1): a missing one keeps the value before, under the flag that says so. */
static void write_value(struct json_out *o, const struct field *f, const struct json *before, struct str at)
{
    switch (f->kind) {
    case FIELD_NUMBER:  json_member_raw(o, S("value"), f->text); break;     /* the digits as they came */
    case FIELD_TEXT:    json_member_str(o, S("value"), f->text); break;
    case FIELD_BOOL:    json_member_bool(o, S("value"), f->boolean); break;
    case FIELD_MISSING: json_member_value(o, S("value"), json_get(before, S("value")));
                        json_member_value(o, S("observedAt"), json_get(before, S("observedAt")));
                        return;
    }
    json_member_str(o, S("observedAt"), at);
}

static void write_sub(struct json_out *o, struct str name, struct str value)
{
    json_key(o, name);
    json_open_object(o);
    json_member_str(o, S("type"), S("Property"));
    json_member_str(o, S("value"), value);
    json_close(o);
}

/* The last believed value: carried along while the present one is not. */
static void write_last_good(struct json_out *o, const struct json *before)
{
    const struct json *good = json_get(before, S("lastGood"));
    if (good) {
        json_member_value(o, S("lastGood"), good);
        return;
    }
    if (!json_is(json_get(before, S("value")), JSON_NUMBER))
        return;
    json_key(o, S("lastGood"));
    json_open_object(o);
    json_member_str(o, S("type"), S("Property"));
    json_member_value(o, S("value"), json_get(before, S("value")));
    json_member_value(o, S("observedAt"), json_get(before, S("observedAt")));
    json_close(o);
}

static void write_attribute(struct json_out *o, const struct field *f, const struct reading *r, struct str at)
{
    const struct json *before = json_get(r->before, attr_name(f));
    if (f->kind == FIELD_MISSING && !before)
        return;
    json_key(o, attr_name(f));
    json_open_object(o);
    json_member_str(o, S("type"), S("Property"));
    write_value(o, f, before, at);
    if (f->rule && f->rule->unit.n)
        json_member_str(o, S("unitCode"), f->rule->unit);
    write_sub(o, S("quality"), flag_sign(f->flag));
    if (f->reason.n)
        write_sub(o, S("qualityReason"), f->reason);
    if (f->flag != FLAG_NORMAL && before)
        write_last_good(o, before);
    json_close(o);
}

static void write_time(struct json_out *o, struct str name, struct str at)
{
    json_key(o, name);
    json_open_object(o);
    json_member_str(o, S("type"), S("Property"));
    json_key(o, S("value"));
    json_open_object(o);
    json_member_str(o, S("@type"), S("DateTime"));
    json_member_str(o, S("@value"), at);
    json_close(o);
    json_close(o);
}

static void write_place(struct json_out *o, const struct device_ref *d)
{
    json_key(o, S("location"));
    json_open_object(o);
    json_member_str(o, S("type"), S("GeoProperty"));
    json_key(o, S("value"));
    json_open_object(o);
    json_member_str(o, S("type"), S("Point"));
    json_key(o, S("coordinates"));
    json_open_array(o);
    json_put_fixed(o, d->longitude, 6);
    json_put_fixed(o, d->latitude, 6);
    json_close(o);
    json_close(o);
    json_close(o);
}

static bool is_static(struct str name)
{
    return str_eq(name, S("name")) || str_eq(name, S("location")) || str_eq(name, S("refDevice")) ||
           str_eq(name, S("dateObserved"));
}

static bool in_reading(const struct reading *r, struct str name)
{
    for (size_t i = 0; i < r->count; i++)
        if (str_eq(attr_name(&r->fields[i]), name))
            return true;
    return false;
}

/* What every entity says of itself: name, place, the device behind it, and when it was last seen. */
static void write_self(struct json_out *o, const struct reading *r, struct str at, struct arena *arena)
{
    const struct device_ref *d = &r->device;
    json_key(o, S("name"));
    json_open_object(o);
    json_member_str(o, S("type"), S("Property"));
    json_member_str(o, S("value"), d->name);
    json_close(o);
    if (!isnan(d->latitude) && !isnan(d->longitude))
        write_place(o, d);
    json_key(o, S("refDevice"));
    json_open_object(o);
    json_member_str(o, S("type"), S("Relationship"));
    json_member_str(o, S("object"), str_fmt(arena, "urn:ngsi-ld:Device:%016llx", (unsigned long long)d->dev_eui));
    json_close(o);
    write_time(o, S("dateObserved"), at);
}

/* A reading from behind joins the chain; what the entity shows is younger and stays as it is. */
static enum err store_entity(struct env *env, const struct change *change)
{
    const struct reading *r = change->reading;
    bool shown = !r->behind || !r->before;
    struct db_query *q = env_query(
        env, "INSERT INTO entity (tenant, id, type, attributes, last_reading, created_us, modified_us, sum) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant, id) DO UPDATE SET type = excluded.type, "
             "attributes = excluded.attributes, last_reading = excluded.last_reading, created_us = excluded.created_us, "
             "modified_us = excluded.modified_us, sum = excluded.sum");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, (i64)r->device.tenant);
    db_bind_str(q, 2, r->entity);
    db_bind_str(q, 3, r->device.profile->entity_type);
    db_bind_str(q, 4, shown ? change->whole : r->before_text);
    db_bind_i64(q, 5, change->id);
    db_bind_i64(q, 6, r->before_created.us ? r->before_created.us : r->received.us);
    db_bind_i64(q, 7, shown ? r->received.us : r->before_modified.us);
    db_bind_sum(q, 8, "entity");
    return env_run(env, q);
}

enum err context_merge(struct env *env, struct change *change, struct reading *reading)
{
    struct text     delta = text_make(&env->event, ATTRIBUTES_BYTES_MAX), whole = text_make(&env->event, ATTRIBUTES_BYTES_MAX);
    struct json_out d = json_out_make(&delta), w = json_out_make(&whole);
    struct str      at = wall_str(&env->event, reading->observed);
    *change = (struct change){ .reading = reading };
    if (reading->entity.n == 0 || reading->count == 0)
        return OK;
    json_open_object(&d);
    json_open_object(&w);
    write_self(&w, reading, at, &env->event);
    for (size_t i = 0; i < reading->count; i++) {
        if (is_static(attr_name(&reading->fields[i])))
            continue;                                  /* a codec's field may not rename the gauge */
        write_attribute(&d, &reading->fields[i], reading, at);
        write_attribute(&w, &reading->fields[i], reading, at);
    }
    JSON_EACH (old, reading->before)
        if (!is_static(old->key) && !in_reading(reading, old->key))
            json_member_value(&w, old->key, old);
    json_close(&d);
    json_close(&w);
    if (!json_out_good(&w)) {                          /* it holds all that the delta holds */
        log_line(LOG_WARN, "context entity=%.*s reading=%lld larger than an entity may be", STR(reading->entity),
                 (long long)reading->uplink_id);
        return OK;
    }
    change->id         = env_next_id(env);
    change->attributes = text_str(&delta);
    change->whole      = text_str(&whole);
    env->counted[COUNT_READINGS]++;
    return store_entity(env, change);
}
