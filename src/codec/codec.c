// SPDX-License-Identifier: Apache-2.0
/*
 * The face of the stage: a profile's codec member is parsed once, at start, into a struct codec;
 * the readers then add fields through the verbs below, which know the limit of 64 fields and the
 * profile's rules (which values say "no reading", which texts are numbers).
 */
#include "codec/inside.h"

#include <math.h>

static const struct { struct str name; enum codec_kind kind; } kinds[] = {
    { { "none", 4 }, CODEC_NONE },       { { "table", 5 }, CODEC_TABLE },
    { { "cayenne", 7 }, CODEC_CAYENNE }, { { "js", 2 }, CODEC_JS },
};

/* ------------------------------------------------------------------ parse */

/* The file stands in data/codecs/: a plain name, so that no profile can point elsewhere. */
static bool plain_name(struct str s)
{
    if (s.n < 4 || s.n > 64 || s.p[0] == '.' || !str_ends(s, S(".js")))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

static const char *parse_absent(struct codec *out, const struct json *absent, struct arena *boot)
{
    u32 most = 0;
    JSON_EACH (of, absent)
        most += of->members ? of->members : 1;
    struct codec_absent *list = arena_array(boot, struct codec_absent, most ? most : 1);
    out->absent = list;
    JSON_EACH (of, absent) {
        const struct json *value = of->kind == JSON_ARRAY ? of->first : of;
        for (; value; value = of->kind == JSON_ARRAY ? value->next : NULL) {
            struct codec_absent one = { .name = of->key };
            if (!json_double(&one.number, value))
                return "codec.absent: numbers, or lists of them";
            list[out->absent_count++] = one;
        }
    }
    return NULL;
}

static const char *parse_kind(struct codec *out, const struct json *codec, struct arena *boot)
{
    struct str type = json_str(json_get(codec, S("type")), boot);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (!str_eq(type, kinds[i].name))
            continue;
        out->kind = kinds[i].kind;
        if (out->kind == CODEC_TABLE)
            return codec_table_parse(out, json_get(codec, S("fields")), boot);
        out->file = json_str(json_get(codec, S("file")), boot);
        if (out->kind == CODEC_JS && !plain_name(out->file))
            return "codec.file: a plain name that ends in .js";
        return NULL;
    }
    return "codec.type: none of table, cayenne, js, none";
}

enum err codec_parse(struct codec *out, const struct profile *profile, struct str *why,
                     struct arena *boot)
{
    const struct json *codec = profile->codec;
    *out = (struct codec){ .kind = CODEC_NONE, .profile = profile };
    if (!codec || codec->kind == JSON_NULL)
        return OK;
    const char *wrong = parse_kind(out, codec, boot);
    const struct json *absent = json_get(codec, S("absent"));
    if (!wrong && absent)
        wrong = parse_absent(out, absent, boot);
    if (!wrong)
        return OK;
    *why = str_fmt(boot, "profile %.*s: %s", STR(profile->id), wrong);
    return ERR_INVALID;
}

enum err codecs_parse(struct codecs *out, const struct profiles *profiles, struct str *why,
                      struct arena *boot)
{
    struct codec *list = arena_array(boot, struct codec, profiles->count ? profiles->count : 1);
    *out = (struct codecs){ list, profiles->count };
    for (size_t i = 0; i < profiles->count; i++) {
        enum err err = codec_parse(&list[i], &profiles->list[i], why, boot);
        if (err)
            return err;
    }
    return OK;
}

/* ------------------------------------------------------------------ read */

enum err codec_read(struct codec_result *out, const struct codec *codec, int fport,
                    struct bytes payload, struct arena *arena)
{
    out->count  = 0;
    out->errors = out->warnings = S("");
    if (!codec_is_table(codec))
        return ERR_UNSUPPORTED;
    if (codec->kind == CODEC_TABLE)
        codec_table_read(out, codec, fport, payload, arena);
    else
        codec_cayenne_read(out, codec, payload, arena);
    return OK;
}

struct str codec_input(int fport, struct bytes payload, struct wall received, struct arena *arena)
{
    struct text     text = text_make(arena, 4096);
    struct json_out json = json_out_make(&text);
    json_open_object(&json);
    json_key(&json, S("bytes"));
    json_open_array(&json);
    for (size_t i = 0; i < payload.n; i++)
        json_put_u64(&json, payload.p[i]);
    json_close(&json);
    json_member_i64(&json, S("fPort"), fport);
    json_member_str(&json, S("recvTime"), wall_str(arena, received));
    json_close(&json);
    assert(json_out_good(&json));        /* 255 bytes are at most 1 KiB of digits */
    return text_str(&text);
}

/* ------------------------------------------------------------------ adding fields */

void codec_complain(struct str *list, struct str words, struct arena *arena)
{
    const size_t room = 500;
    if (list->n > room)
        return;
    *list = list->n ? str_fmt(arena, "%.*s; %.*s", STR(*list), STR(words)) : words;
}

static struct field *add(struct codec_result *out, const struct codec *codec, struct str name,
                         enum field_kind kind)
{
    assert(out->count < FIELDS_MAX);     /* the readers ask first */
    out->units[out->count] = S("");
    struct field *f = &out->fields[out->count++];
    *f = (struct field){ .name = name, .rule = profile_field(codec->profile, name), .kind = kind };
    return f;
}

void codec_add_missing(struct codec_result *out, const struct codec *codec, struct str name,
                       struct str reason)
{
    struct field *f = add(out, codec, name, FIELD_MISSING);
    f->text = f->reason = reason;
    f->flag = FLAG_MISSING;
}

static bool says_absent(const struct codec *codec, struct str name, double number)
{
    for (u32 i = 0; i < codec->absent_count; i++)
        if (codec->absent[i].number == number && str_eq(codec->absent[i].name, name))
            return true;
    return false;
}

void codec_add_digits(struct codec_result *out, const struct codec *codec, struct str name,
                      double number, struct str digits)
{
    if (says_absent(codec, name, number)) {
        codec_add_missing(out, codec, name, S("the device says that it has no reading"));
        return;
    }
    struct field *f = add(out, codec, name, FIELD_NUMBER);
    f->number = number;
    f->text   = digits;
}

void codec_add_number(struct codec_result *out, const struct codec *codec, struct str name, i64 raw,
                      struct codec_decimal scale, struct codec_decimal offset, struct arena *arena)
{
    static const u64 power[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000,
                                 1000000000, 10000000000, 100000000000, 1000000000000 };
    assert(scale.places == offset.places && scale.places < COUNT(power));
    i64 whole = raw * scale.digits + offset.digits;  /* 33 bits by 9 digits, plus 10^18 at most */
    u64 size  = whole < 0 ? 0 - (u64)whole : (u64)whole;
    const char *sign = whole < 0 ? "-" : "";
    struct str digits = scale.places == 0
        ? str_fmt(arena, "%s%llu", sign, (unsigned long long)size)
        : str_fmt(arena, "%s%llu.%0*llu", sign, (unsigned long long)(size / power[scale.places]),
                  scale.places, (unsigned long long)(size % power[scale.places]));
    double number = 0;
    bool   read   = str_to_double(&number, digits);
    assert(read);
    codec_add_digits(out, codec, name, number, digits);
}

/* A unit or a limit in the profile says that the field is for numbers. */
static bool is_numeric(const struct profile_field *rule)
{
    return rule && (rule->number || rule->unit.n > 0 || !isnan(rule->min) || !isnan(rule->max));
}

void codec_add_text(struct codec_result *out, const struct codec *codec, struct str name,
                    struct str text, struct arena *arena)
{
    const struct profile_field *rule = profile_field(codec->profile, name);
    struct str trimmed = str_trim(text);
    double     number;
    if (!is_numeric(rule)) {
        add(out, codec, name, FIELD_TEXT)->text = text;
    } else if (rule->number && str_to_double(&number, trimmed)) {
        codec_add_digits(out, codec, name, number, trimmed);
    } else {
        codec_add_missing(out, codec, name,
                          str_fmt(arena, "the codec says \"%.*s\"", STR(words_sound(arena, text, 80))));
    }
}

void codec_add_bool(struct codec_result *out, const struct codec *codec, struct str name,
                    bool value)
{
    add(out, codec, name, FIELD_BOOL)->boolean = value;
}
