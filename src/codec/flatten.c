// SPDX-License-Identifier: Apache-2.0
/*
 * The answer of a JavaScript codec as a list of fields. The codec is foreign code: its answer is
 * bounded in size, depth and number of fields, and its names are only names.
 *
 *     {"a": {"b": 1, "c": [2, 3]}}                        a.b = 1, a.c.0 = 2, a.c.1 = 3
 *     {"t": {"value": 21.5, "unit": "°C", "displayName": "Temperature"}}      t = 21.5, unit °C
 */
#include "codec/inside.h"

#define DEPTH_MAX 16
#define VALUES_MAX 4096
#define NAME_SIZE_MAX 128

struct walk {
    struct codec_result *out;
    const struct codec *codec;
    struct arena *arena;
};

static bool is_scalar(const struct json *v)
{
    return v && v->kind != JSON_ARRAY && v->kind != JSON_OBJECT;
}

/* The value of {value, unit, displayName} (some write "data" for "value"); NULL for other objects. */
static const struct json *measure_value(const struct json *v)
{
    const struct json *value = json_get(v, S("value"));
    u32 others = 0;
    if (!value)
        value = json_get(v, S("data"));
    if (v->kind != JSON_OBJECT || !is_scalar(value))
        return NULL;
    others += json_get(v, S("unit")) != NULL;
    others += json_get(v, S("displayName")) != NULL;
    return others + 1 == v->members ? value : NULL;
}

static void add_scalar(struct walk *w, struct str name, const struct json *v)
{
    double number;
    if (v->kind == JSON_NUMBER && json_double(&number, v))
        codec_add_digits(w->out, w->codec, name, number, v->raw);
    else if (v->kind == JSON_STRING)
        codec_add_text(w->out, w->codec, name, json_str(v, w->arena), w->arena);
    else if (v->kind == JSON_TRUE || v->kind == JSON_FALSE)
        codec_add_bool(w->out, w->codec, name, v->kind == JSON_TRUE);
    else
        codec_add_missing(w->out, w->codec, name,
                          v->kind == JSON_NULL ? S("the codec gives no value")
                                               : str_z(json_words(v)));
}

static bool name_is_sound(struct str name)
{
    return name.n > 0 && name.n <= NAME_SIZE_MAX && !str_eq(name, S("__proto__"))
           && !str_ends(name, S(".__proto__"));
}

static void flatten(struct walk *w, struct str name, const struct json *v);

static void flatten_children(struct walk *w, struct str name, const struct json *v)
{
    u32 index = 0;
    JSON_EACH (child, v) {
        struct str key = v->kind == JSON_ARRAY ? str_fmt(w->arena, "%u", index++) : child->key;
        flatten(w, name.n ? str_fmt(w->arena, "%.*s.%.*s", STR(name), STR(key)) : key, child);
        if (w->out->count == FIELDS_MAX)
            return;
    }
}

static void flatten(struct walk *w, struct str name, const struct json *v)
{
    const struct json *measure = measure_value(v);
    if (!name_is_sound(name)) {
        codec_complain(&w->out->errors, S("a field's name is empty, too long or __proto__"),
                       w->arena);
        return;
    }
    if (!measure && !is_scalar(v)) {
        flatten_children(w, name, v);
        return;
    }
    add_scalar(w, name, measure ? measure : v);
    if (measure)
        w->out->units[w->out->count - 1] = json_str(json_get(v, S("unit")), w->arena);
}

static void complain_all(struct str *list, const struct json *words, struct arena *arena)
{
    JSON_EACH (v, words) {
        struct str s = v->kind == JSON_STRING ? json_str(v, arena) : v->raw;
        codec_complain(list, words_sound(arena, s, 200), arena);
    }
}

enum err codec_flatten(struct codec_result *out, const struct codec *codec, struct str answer,
                       struct arena *arena)
{
    const struct json *doc;
    struct walk w = { out, codec, arena };
    out->count  = 0;
    out->errors = out->warnings = S("");
    enum err err = json_read(&doc, answer, arena,
                             (struct json_limits){ DEPTH_MAX, VALUES_MAX, false, false }, NULL);
    if (err)
        return err;
    if (!json_is(doc, JSON_OBJECT))
        return ERR_INVALID;
    complain_all(&out->errors, json_get(doc, S("errors")), arena);
    complain_all(&out->warnings, json_get(doc, S("warnings")), arena);
    const struct json *data = json_get(doc, S("data"));
    if (!data || data->kind == JSON_NULL)
        return out->errors.n ? OK : ERR_INVALID;
    if (data->kind != JSON_OBJECT)
        return ERR_INVALID;
    flatten_children(&w, S(""), data);
    if (out->count == FIELDS_MAX)
        codec_complain(&out->warnings, S("64 fields are the limit: further ones were left out"),
                       arena);
    return OK;
}
