// SPDX-License-Identifier: Apache-2.0
/*
 * Entities and their history in the forms a client may ask for (clauses 4.5.1-4.5.9).
 *
 * The stored form is the normalized one, so every other form is a smaller view of it. Which member
 * holds the value of an attribute, and what it is called in lists of values, is one table by
 * attribute type.
 */
#include "ngsi/ngsi.h"

static const struct kind { struct str type, value, values; bool bare; } kinds[] = {
    /* type                   member            in temporalValues     simplified: the bare value? */
    { S("Property"),         S("value"),       S("values"),       true  },
    { S("GeoProperty"),      S("value"),       S("values"),       true  },
    { S("Relationship"),     S("object"),      S("objects"),      true  },
    { S("LanguageProperty"), S("languageMap"), S("languageMaps"), false },
    { S("VocabProperty"),    S("vocab"),       S("vocabs"),       false },
    { S("JsonProperty"),     S("json"),        S("jsons"),        false },
    { S("ListProperty"),     S("valueList"),   S("valueLists"),   false },
    { S("ListRelationship"), S("objectList"),  S("objectLists"),  false },
};

static const struct kind *kind_of(const struct json *attribute)
{
    const struct json *type = json_get(attribute, S("type"));
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (json_is(type, JSON_STRING) && str_eq(type->raw, kinds[i].type))
            return &kinds[i];
    return &kinds[0];
}

/* ------------------------------------------------------------------ one attribute */

static const struct str system_members[] = { S("createdAt"), S("modifiedAt"), S("deletedAt") };
/* Members of an attribute that are no sub-attributes, besides the value's own. */
static const struct str plain_members[] = { S("type"), S("unitCode"), S("observedAt"), S("datasetId"), S("objectType"),
                                            S("valueType"), S("expiresAt"), S("instanceId"), S("createdAt"),
                                            S("modifiedAt"), S("deletedAt") };

static bool is_one_of(struct str s, const struct str *list, size_t n)
{
    return ngsi_list_has((struct ngsi_list){ list, n }, s);
}

static struct str shown_name(const struct ngsi_view *view, struct str name, struct arena *arena)
{
    return ngsi_translate(view->stored, view->request, name, arena);
}

static void put_attribute(struct json_out *o, const struct json *v, const struct ngsi_view *view,
                          enum ngsi_format format, struct arena *arena);

/* Is it a GeoJSON geometry (RFC 7946), which in the concise form needs no wrapping? */
static bool is_geometry(const struct json *v)
{
    static const struct str geometries[] = { S("Point"), S("MultiPoint"), S("LineString"), S("MultiLineString"),
                                             S("Polygon"), S("MultiPolygon") };
    const struct json *type = json_get(v, S("type"));
    return json_is(type, JSON_STRING) && is_one_of(type->raw, geometries, COUNT(geometries));
}

/* Will this member be left out? */
static bool is_hidden(struct str name, const struct ngsi_view *view, enum ngsi_format format)
{
    if (!view->query->sys_attrs && is_one_of(name, system_members, COUNT(system_members)))
        return true;
    return format == NGSI_CONCISE && str_eq(name, S("type"));
}

/* In the concise form a value that stands alone stands bare, where its type can be told without
 * "type". */
static bool stands_bare(const struct json *v, const struct kind *kind, const struct ngsi_view *view)
{
    const struct json *value = json_get(v, kind->value);

    if (!kind->bare || str_eq(kind->type, S("Relationship")) || !value)
        return false;
    JSON_EACH (member, v)
        if (member != value && !is_hidden(member->key, view, NGSI_CONCISE))
            return false;
    if (str_eq(kind->type, S("GeoProperty")))
        return is_geometry(value);
    return !json_is(value, JSON_OBJECT);         /* an object would be read as an attribute */
}

/* A GeoProperty's geometry tells its type; a Property's value that looks like one must not. */
static bool needs_type(const struct json *v, const struct kind *kind)
{
    bool geometry = is_geometry(json_get(v, kind->value));
    return str_eq(kind->value, S("value")) && geometry != str_eq(kind->type, S("GeoProperty"));
}

static void put_members(struct json_out *o, const struct json *v, const struct ngsi_view *view,
                        enum ngsi_format format, struct arena *arena)
{
    const struct kind *kind = kind_of(v);

    JSON_EACH (member, v) {
        bool type = str_eq(member->key, S("type"));
        if (is_hidden(member->key, view, format) && !(type && needs_type(v, kind)))
            continue;
        if (str_eq(member->key, kind->value)
            || is_one_of(member->key, plain_members, COUNT(plain_members))) {
            json_member_value(o, member->key, member);
        } else {
            json_key(o, shown_name(view, member->key, arena));
            put_attribute(o, member, view, format, arena);
        }
    }
}

static void put_simplified(struct json_out *o, const struct json *v)
{
    const struct kind *kind = kind_of(v);
    const struct json *value = json_get(v, kind->value);

    if (kind->bare) {
        json_put_value(o, value);
        return;
    }
    json_open_object(o);
    json_member_value(o, kind->value, value);
    json_close(o);
}

/* Instances by datasetId (clause 4.5.5): an array, or in the simplified form "dataset" by id. */
static void put_instances(struct json_out *o, const struct json *v, const struct ngsi_view *view,
                          enum ngsi_format format, struct arena *arena)
{
    if (format != NGSI_SIMPLIFIED) {
        json_open_array(o);
        JSON_EACH (instance, v)
            put_attribute(o, instance, view, format, arena);
        json_close(o);
        return;
    }
    json_open_object(o);
    json_key(o, S("dataset"));
    json_open_object(o);
    JSON_EACH (instance, v) {
        const struct json *id = json_get(instance, S("datasetId"));
        json_key(o, id ? json_str(id, arena) : S("@none"));
        put_simplified(o, instance);
    }
    json_close(o);
    json_close(o);
}

static void put_attribute(struct json_out *o, const struct json *v, const struct ngsi_view *view,
                          enum ngsi_format format, struct arena *arena)
{
    if (json_is(v, JSON_ARRAY)) {
        put_instances(o, v, view, format, arena);
        return;
    }
    if (!json_is(v, JSON_OBJECT)) {              /* stored in the concise form: no harm */
        json_put_value(o, v);
        return;
    }
    const struct kind *kind = kind_of(v);
    if (format == NGSI_SIMPLIFIED) {
        put_simplified(o, v);
    } else if (format == NGSI_CONCISE && stands_bare(v, kind, view)) {
        json_put_value(o, json_get(v, kind->value));
    } else {
        json_open_object(o);
        put_members(o, v, view, format, arena);
        json_close(o);
    }
}

/* ------------------------------------------------------------------ an entity */

static void begin_entity(struct json_out *o, const struct ngsi_entity *e,
                         const struct ngsi_view *view, struct arena *arena)
{
    json_open_object(o);
    json_member_str(o, S("id"), e->id);
    json_member_str(o, S("type"), shown_name(view, e->type, arena));
    if (view->query->sys_attrs) {
        json_member_str(o, S("createdAt"), wall_str(arena, e->created));
        json_member_str(o, S("modifiedAt"), wall_str(arena, e->modified));
    }
}

static void end_entity(struct json_out *o, const struct ngsi_view *view)
{
    /* Only the user's context is named: the core is always there (city-os §1.9). */
    if (view->inline_context)
        json_member_str(o, S("@context"), ngsi_context_url(view->request));
    json_close(o);
}

static bool is_wanted(const struct ngsi_query *q, struct str name)
{
    return q->attrs.n == 0 || ngsi_list_has(q->attrs, name);
}

bool ngsi_entity_passes(const struct ngsi_entity *e, const struct ngsi_query *q)
{
    if ((q->types.n > 0 && !ngsi_list_has(q->types, e->type))
        || (q->ids.n > 0 && !ngsi_list_has(q->ids, e->id)))
        return false;
    if (q->attrs.n == 0)
        return true;
    JSON_EACH (attribute, e->attributes)
        if (ngsi_list_has(q->attrs, attribute->key))
            return true;
    return false;
}

void ngsi_entity_write(struct json_out *o, const struct ngsi_entity *e,
                       const struct ngsi_view *view, struct arena *arena)
{
    begin_entity(o, e, view, arena);
    JSON_EACH (attribute, e->attributes) {
        if (!is_wanted(view->query, attribute->key))
            continue;
        json_key(o, shown_name(view, attribute->key, arena));
        put_attribute(o, attribute, view, view->query->format, arena);
    }
    end_entity(o, view);
}

/* ------------------------------------------------------------------ its history */

static struct str time_member(const struct ngsi_query *q)
{
    static const struct str names[] = { [NGSI_OBSERVED_AT] = S("observedAt"),
                                        [NGSI_CREATED_AT] = S("createdAt"),
                                        [NGSI_MODIFIED_AT] = S("modifiedAt") };
    return names[q->timeproperty];
}

/* [value, time], as written. */
static void put_point(struct json_out *o, const struct json *instance, const struct ngsi_view *view)
{
    json_open_array(o);
    json_put_value(o, json_get(instance, kind_of(instance)->value));
    json_put_value(o, json_get(instance, time_member(view->query)));
    json_close(o);
}

static void put_instance(struct json_out *o, const struct json *instance, i64 id,
                         const struct ngsi_view *view, struct arena *arena)
{
    json_open_object(o);
    put_members(o, instance, view, view->query->format, arena);
    if (!json_get(instance, S("instanceId")))
        json_member_str(o, S("instanceId"),
                        str_fmt(arena, "urn:ngsi-ld:Instance:%lld", (long long)id));
    json_close(o);
}

/* One attribute through time: rising, or with lastN the newest first. */
struct evolution { const struct ngsi_reading *readings; size_t n; struct str name; };

static const struct json *instance_at(const struct evolution *e, size_t at)
{
    const struct json *v = json_get(e->readings[at].attributes, e->name);
    return json_is(v, JSON_OBJECT) ? v : NULL;
}

static size_t put_evolution(struct json_out *o, const struct evolution *e,
                            const struct ngsi_view *view, struct arena *arena)
{
    bool   values = view->query->format == NGSI_TEMPORAL_VALUES, falling = view->query->last_n > 0;
    size_t most = falling ? (size_t)view->query->last_n : e->n, written = 0;
    const struct kind *kind = NULL;

    for (size_t i = 0; i < e->n && written < most; i++) {
        size_t at = falling ? e->n - 1 - i : i;
        const struct json *instance = instance_at(e, at);
        if (!instance || (values && kind && kind != kind_of(instance)))
            continue;
        if (written++ == 0) {
            kind = kind_of(instance);
            json_key(o, shown_name(view, e->name, arena));
            if (values) {
                json_open_object(o);
                json_member_str(o, S("type"), kind->type);
                json_key(o, kind->values);
            }
            json_open_array(o);
        }
        if (values)
            put_point(o, instance, view);
        else
            put_instance(o, instance, e->readings[at].id, view, arena);
    }
    if (written == 0)
        return 0;
    json_close(o);
    if (values)
        json_close(o);
    return written;
}

/* The attributes in the order they first appear; an entity has a few dozen at most. */
static size_t collect_names(struct str *names, size_t room, const struct ngsi_reading *readings,
                            size_t n, const struct ngsi_query *q)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        JSON_EACH (v, readings[i].attributes)
            if (found < room && is_wanted(q, v->key) && !is_one_of(v->key, names, found))
                names[found++] = v->key;
    return found;
}

void ngsi_temporal_write(struct json_out *o, const struct ngsi_entity *entity,
                         const struct ngsi_reading *readings, size_t n,
                         const struct ngsi_view *view, size_t *instances, struct arena *arena)
{
    enum { NAMES_MAX = 256 };
    struct str *names = arena_array(arena, struct str, NAMES_MAX);
    size_t      found = collect_names(names, NAMES_MAX, readings, n, view->query), written = 0;

    begin_entity(o, entity, view, arena);
    for (size_t i = 0; i < found; i++) {
        struct evolution e = { readings, n, names[i] };
        written += put_evolution(o, &e, view, arena);
    }
    end_entity(o, view);
    if (instances)
        *instances = written;
}
