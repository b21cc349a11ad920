// SPDX-License-Identifier: Apache-2.0
/*
 * The JSON writer: straight into a text, with one bit per open level for what it is and whether a comma
 * is due. A broken promise of the caller is remembered in `bad` and writes nothing more.
 */
#include "wire/inside.h"

#include <math.h>

enum { LEVELS = 128 };

static bool bit(const u64 bits[2], u32 at) { return bits[at / 64] >> at % 64 & 1; }

static void set_bit(u64 bits[2], u32 at, bool on)
{
    u64 one = 1ULL << at % 64;
    bits[at / 64] = on ? bits[at / 64] | one : bits[at / 64] & ~one;
}

static void comma(struct json_out *o)
{
    if (bit(o->filled, o->depth))
        text_char(o->text, ',');
    set_bit(o->filled, o->depth, true);
}

/* What stands in front of every value. Level 0 holds the one value of the text. */
static bool before_value(struct json_out *o)
{
    bool in_object = bit(o->object, o->depth);
    bool second = o->depth == 0 && bit(o->filled, 0);

    o->bad |= in_object != o->keyed || second;
    if (o->bad)
        return false;
    if (!in_object)
        comma(o);
    o->keyed = false;
    return true;
}

static void open_level(struct json_out *o, bool object)
{
    if (!before_value(o))
        return;
    if (o->depth + 1 >= LEVELS) {
        o->bad = true;
        return;
    }
    text_char(o->text, object ? '{' : '[');
    o->depth++;
    set_bit(o->object, o->depth, object);
    set_bit(o->filled, o->depth, false);
}

void json_open_object(struct json_out *o) { open_level(o, true); }
void json_open_array(struct json_out *o) { open_level(o, false); }

void json_close(struct json_out *o)
{
    o->bad |= o->depth == 0 || o->keyed;
    if (o->bad)
        return;
    text_char(o->text, bit(o->object, o->depth) ? '}' : ']');
    set_bit(o->object, o->depth, false);
    o->depth--;
}

bool json_out_good(const struct json_out *o)
{
    return !o->bad && o->depth == 0 && bit(o->filled, 0) && !o->text->bad;
}

static void put_escape(struct text *t, char c)
{
    switch (c) {
    case '"':  text_put(t, S("\\\"")); return;
    case '\\': text_put(t, S("\\\\")); return;
    case '\n': text_put(t, S("\\n"));  return;
    case '\r': text_put(t, S("\\r"));  return;
    case '\t': text_put(t, S("\\t"));  return;
    default:   text_fmt(t, "\\u%04x", (unsigned)(u8)c); return;
    }
}

/* Characters that may stand in a string wherever the text lands, HTML and script included. */
static inline bool harmless(char c) { return json_plain(c) && c != '<' && c != '>' && c != '&'; }

static void put_quoted(struct text *t, struct str s)
{
    const char *p = s.n ? s.p : "", *end = p + s.n, *run = p;     /* an empty view may point nowhere */

    text_char(t, '"');
    while (p < end) {
        if (harmless(*p)) {
            p++;
            continue;
        }
        size_t n = (u8)*p < 0x80 ? 0 : json_utf8_size(p, end);
        bool line_end =
            n == 3 && memcmp(p, "\xE2\x80", 2) == 0 && (p[2] == '\xA8' || p[2] == '\xA9');
        if (n > 0 && !line_end) {
            p += n;
            continue;
        }
        text_put(t, (struct str){ run, (size_t)(p - run) });
        if (line_end)
            text_put(t, p[2] == '\xA8' ? S("\\u2028") : S("\\u2029"));
        else if ((u8)*p < 0x80)
            put_escape(t, *p);
        else
            text_put(t, S("\xEF\xBF\xBD"));
        p += n ? n : 1;
        run = p;
    }
    text_put(t, (struct str){ run, (size_t)(end - run) });
    text_char(t, '"');
}

void json_key(struct json_out *o, struct str key)
{
    o->bad |= !bit(o->object, o->depth) || o->keyed;
    if (o->bad)
        return;
    comma(o);
    put_quoted(o->text, key);
    text_char(o->text, ':');
    o->keyed = true;
}

void json_put_raw(struct json_out *o, struct str json)
{
    if (before_value(o))
        text_put(o->text, json);
}

void json_put_str(struct json_out *o, struct str v)
{
    if (before_value(o))
        put_quoted(o->text, v);
}

void json_put_i64(struct json_out *o, i64 v)
{
    if (!before_value(o))
        return;
    if (v < 0)
        text_char(o->text, '-');
    text_u64(o->text, v < 0 ? 0 - (u64)v : (u64)v);
}

void json_put_u64(struct json_out *o, u64 v)
{
    if (before_value(o))
        text_u64(o->text, v);
}

void json_put_bool(struct json_out *o, bool v) { json_put_raw(o, v ? S("true") : S("false")); }
void json_put_null(struct json_out *o) { json_put_raw(o, S("null")); }

void json_put_double(struct json_out *o, double v)
{
    enum { DIGITS_USUAL = 15, DIGITS_ALWAYS = 17 };

    if (!isfinite(v)) {
        json_put_null(o);
        return;
    }
    if (!before_value(o))
        return;
    size_t begin = o->text->n;
    for (int digits = DIGITS_USUAL; digits <= DIGITS_ALWAYS; digits++) {
        double back;
        o->text->n = begin;
        text_fmt(o->text, "%.*g", digits, v);
        struct str written = { o->text->p + begin, o->text->n - begin };
        if (o->text->bad || (str_to_double(&back, written) && memcmp(&back, &v, sizeof v) == 0))
            return;
    }
}

void json_put_fixed(struct json_out *o, double v, int decimals)
{
    if (!isfinite(v)) {
        json_put_null(o);
        return;
    }
    if (!before_value(o))
        return;
    size_t begin = o->text->n;
    text_fmt(o->text, "%.*f", decimals, v);
    if (o->text->bad || o->text->p[begin] != '-')
        return;
    for (size_t i = begin + 1; i < o->text->n; i++)
        if (o->text->p[i] != '0' && o->text->p[i] != '.')
            return;
    o->text->n = begin;                          /* no minus in front of nothing */
    text_fmt(o->text, "%.*f", decimals, 0.0);
}

void json_put_value(struct json_out *o, const struct json *v)
{
    if (!v || v->kind == JSON_BAD) {
        json_put_null(o);
    } else if (v->kind == JSON_STRING) {
        json_put_str(o, json_str(v, o->text->arena));
    } else if (v->kind != JSON_ARRAY && v->kind != JSON_OBJECT) {
        json_put_raw(o, v->raw);
    } else {                                     /* no deeper than the reader let it be */
        open_level(o, v->kind == JSON_OBJECT);
        JSON_EACH (child, v) {
            if (child->fault == JSON_BAD_KEY)
                continue;
            if (v->kind == JSON_OBJECT)
                json_key(o, child->key);
            json_put_value(o, child);
        }
        json_close(o);
    }
}

#define MEMBER(verb, type)                                                      \
    void json_member_##verb(struct json_out *o, struct str key, type v)         \
    {                                                                           \
        json_key(o, key);                                                       \
        json_put_##verb(o, v);                                                  \
    }
MEMBER(str, struct str)
MEMBER(i64, i64)
MEMBER(u64, u64)
MEMBER(double, double)
MEMBER(bool, bool)
MEMBER(raw, struct str)
MEMBER(value, const struct json *)
#undef MEMBER

void json_member_fixed(struct json_out *o, struct str key, double v, int decimals)
{
    json_key(o, key);
    json_put_fixed(o, v, decimals);
}

void json_member_null(struct json_out *o, struct str key)
{
    json_key(o, key);
    json_put_null(o);
}
