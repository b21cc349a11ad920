// SPDX-License-Identifier: Apache-2.0
/*
 * Fixed layouts. Each row of the profile names a place in the payload, a type and what to make of
 * the raw value:  ((raw & mask) >> shift) * scale + offset.  A row may stand on one port only.
 *
 * A frame that is too short gives the fields it still holds, and words for the others.
 */
#include "codec/inside.h"

static const struct { struct str name; u8 size; bool is_signed, big_endian; } types[] = {
    { { "u8", 2 }, 1, false, true },    { { "i8", 2 }, 1, true, true },
    { { "u16be", 5 }, 2, false, true }, { { "i16be", 5 }, 2, true, true },
    { { "u16le", 5 }, 2, false, false },{ { "i16le", 5 }, 2, true, false },
    { { "u24be", 5 }, 3, false, true }, { { "u24le", 5 }, 3, false, false },
    { { "u32be", 5 }, 4, false, true }, { { "i32be", 5 }, 4, true, true },
    { { "u32le", 5 }, 4, false, false },{ { "i32le", 5 }, 4, true, false },
};

/* ------------------------------------------------------------------ parse */

#define PLACES_MAX 12
#define SCALE_DIGITS_MAX 1000000000LL /* times 2^32 stays inside 63 bits, with the offset */
#define OFFSET_DIGITS_MAX 1000000000000000000LL

static bool ten_times(struct codec_decimal *d, i64 most)
{
    if (d->digits > most / 10 || d->digits < -most / 10)
        return false;
    d->digits *= 10;
    return true;
}

bool codec_decimal_read(struct codec_decimal *out, struct str written)
{
    struct str mantissa = written, exponent;
    i64  power = 0;
    bool negative = str_starts(written, S("-")), fraction = false;
    for (size_t i = 0; i < written.n; i++) {
        if (written.p[i] != 'e' && written.p[i] != 'E')
            continue;
        mantissa.n = i;
        exponent   = (struct str){ written.p + i + 1, written.n - i - 1 };
        if (!str_to_i64(&power, exponent) || power < -PLACES_MAX || power > PLACES_MAX)
            return false;
        break;
    }
    *out = (struct codec_decimal){ 0 };
    for (size_t i = negative; i < mantissa.n; i++) {
        if (mantissa.p[i] == '.') {
            fraction = true;
            continue;
        }
        if (!ten_times(out, OFFSET_DIGITS_MAX))
            return false;
        out->digits += (mantissa.p[i] - '0') * (negative ? -1 : 1);
        power -= fraction;
    }
    for (; power > 0; power--)
        if (!ten_times(out, OFFSET_DIGITS_MAX))
            return false;
    if (power < -PLACES_MAX)
        return false;
    out->places = (u8)-power;
    return true;
}

/* Both with as many places as the finer of the two. */
static bool align(struct codec_decimal *scale, struct codec_decimal *offset)
{
    for (; scale->places < offset->places; scale->places++)
        if (!ten_times(scale, SCALE_DIGITS_MAX))
            return false;
    for (; offset->places < scale->places; offset->places++)
        if (!ten_times(offset, OFFSET_DIGITS_MAX))
            return false;
    return scale->digits >= -SCALE_DIGITS_MAX && scale->digits <= SCALE_DIGITS_MAX;
}

static const char *parse_numbers(struct codec_row *row, const struct json *v)
{
    const struct json *scale = json_get(v, S("scale")), *offset = json_get(v, S("offset"));
    row->scale.digits = 1;
    if (scale && !(scale->kind == JSON_NUMBER && codec_decimal_read(&row->scale, scale->raw)))
        return "codec.fields: scale is a number of at most 12 places";
    if (offset && !(offset->kind == JSON_NUMBER && codec_decimal_read(&row->offset, offset->raw)))
        return "codec.fields: offset is a number of at most 12 places";
    return align(&row->scale, &row->offset) ? NULL
                                            : "codec.fields: scale and offset have too many digits";
}

static bool optional_i64(i64 *out, const struct json *v, i64 least, i64 most)
{
    return !v || (json_i64(out, v) && *out >= least && *out <= most);
}

static const char *parse_places(struct codec_row *row, const struct json *v)
{
    i64 at = 0, mask = 0, shift = 0, port = -1;
    if (!json_get(v, S("at")) || !optional_i64(&at, json_get(v, S("at")), 0, 254))
        return "codec.fields: at is a byte offset, 0 to 254";
    if (!optional_i64(&mask, json_get(v, S("mask")), 0, UINT32_MAX))
        return "codec.fields: mask is 0 to 4294967295";
    if (!optional_i64(&shift, json_get(v, S("shift")), 0, 31))
        return "codec.fields: shift is 0 to 31";
    if (!optional_i64(&port, json_get(v, S("port")), 1, 255))
        return "codec.fields: port is 1 to 255";
    row->at    = (u16)at;
    row->mask  = (u32)mask;
    row->shift = (u8)shift;
    row->fport = (i16)port;
    row->has_absent = json_i64(&row->absent, json_get(v, S("absent")));
    return NULL;
}

static const char *parse_words(struct codec_row *row, const struct json *words, struct arena *boot)
{
    struct codec_word *list =
        arena_array(boot, struct codec_word, words && words->members ? words->members : 1);
    row->words = list;
    JSON_EACH (v, words) {
        struct codec_word *word = &list[row->words_count++];
        if (v->kind != JSON_STRING || !str_to_i64(&word->raw, v->key))
            return "codec.fields: text maps raw numbers to words";
        word->word = json_str(v, boot);
    }
    return NULL;
}

static const char *parse_row(struct codec_row *row, const struct json *v, struct arena *boot)
{
    struct str type = json_str(json_get(v, S("type")), boot);
    row->name = json_str(json_get(v, S("name")), boot);
    if (row->name.n == 0)
        return "codec.fields: name is needed";
    while (row->type < COUNT(types) && !str_eq(type, types[row->type].name))
        row->type++;
    if (row->type == COUNT(types))
        return "codec.fields: type is none of the known ones (u8, i16be, …)";
    const char *wrong = parse_places(row, v);
    if (!wrong)
        wrong = parse_numbers(row, v);
    return wrong ? wrong : parse_words(row, json_get(v, S("text")), boot);
}

const char *codec_table_parse(struct codec *out, const struct json *rows, struct arena *boot)
{
    if (!json_is(rows, JSON_ARRAY) || rows->members == 0 || rows->members > FIELDS_MAX)
        return "codec.fields: a list of 1 to 64 rows";
    struct codec_row *list = arena_array(boot, struct codec_row, rows->members);
    out->rows = list;
    JSON_EACH (v, rows) {
        const char *wrong = parse_row(&list[out->rows_count++], v, boot);
        if (wrong)
            return wrong;
    }
    return NULL;
}

/* ------------------------------------------------------------------ read */

static u32 load(const u8 *p, size_t size, bool big_endian)
{
    u32 v = 0;
    for (size_t i = 0; i < size; i++)
        v |= (u32)p[i] << 8 * (big_endian ? size - 1 - i : i);
    return v;
}

/* A masked value has no sign; an unmasked one has that of its type. */
static i64 raw_value(const struct codec_row *row, const u8 *payload)
{
    size_t size = types[row->type].size;
    u32    bits = load(payload + row->at, size, types[row->type].big_endian);
    if (row->mask)
        return (bits & row->mask) >> row->shift;
    if (types[row->type].is_signed && bits >> (8 * size - 1))
        return (i64)bits - ((i64)1 << 8 * size);
    return bits >> row->shift;
}

static void read_row(struct codec_result *out, const struct codec *codec,
                     const struct codec_row *row, const u8 *payload, struct arena *arena)
{
    i64 raw = raw_value(row, payload);
    if (row->has_absent && raw == row->absent) {
        codec_add_missing(out, codec, row->name, S("the device says that it has no reading"));
        return;
    }
    if (row->words_count == 0) {
        codec_add_number(out, codec, row->name, raw, row->scale, row->offset, arena);
        return;
    }
    for (u32 i = 0; i < row->words_count; i++)
        if (row->words[i].raw == raw) {
            codec_add_text(out, codec, row->name, row->words[i].word, arena);
            return;
        }
    codec_add_missing(out, codec, row->name,
                      str_fmt(arena, "the profile has no word for %lld", (long long)raw));
}

void codec_table_read(struct codec_result *out, const struct codec *codec, int fport,
                      struct bytes payload, struct arena *arena)
{
    bool here = false;
    for (u32 i = 0; i < codec->rows_count; i++) {
        const struct codec_row *row = &codec->rows[i];
        if (row->fport >= 0 && row->fport != fport)
            continue;
        here = true;
        if (row->at + (size_t)types[row->type].size <= payload.n)
            read_row(out, codec, row, payload.p, arena);
        else
            codec_complain(&out->errors, str_fmt(arena, "%zu bytes: too short for %.*s", payload.n,
                                                 STR(row->name)), arena);
    }
    if (!here)
        codec_complain(&out->errors, str_fmt(arena, "the layout has nothing on port %d", fport),
                       arena);
}
