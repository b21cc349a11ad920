/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_WIRE_JSON_H
#define HOTARU_WIRE_JSON_H

/*
 * wire/json: JSON as evidence (RFC 8259). docs/adr/0010 says why it is our own.
 *
 * What a gateway or a person wrote is kept as written: a number is a view of its digits (1.10 stays
 * 1.10, 23 digits stay 23 digits) and a string without escapes is a view of its characters. A value
 * that cannot be believed (1e999, NaN, half a surrogate pair) becomes JSON_BAD with a reason, and
 * its neighbours stay readable: one broken rxpk object must not cost the others. A text whose
 * structure is broken is refused whole, with the byte and the words.
 *
 * Everything read lives in the arena and borrows the text: keep both as long as the values.
 * All getters take NULL for "there is no such value", so that chains need one check at the end:
 *
 *     const struct json *doc;
 *     struct json_error  error;
 *     if (json_read(&doc, text, arena, JSON_LENIENT, &error)) …
 *     JSON_EACH (rx, json_get(doc, S("rxpk")))
 *         if (!json_u64(&tmst, json_get(rx, S("tmst")))) …
 */
#include "base/base.h"

enum json_kind {
    JSON_BAD, JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT
};

/* Why a value is JSON_BAD. */
#define JSON_FAULTS(X)                                                              \
    X(JSON_SOUND,         "fine")                                                   \
    X(JSON_NO_WORD,       "not a JSON number, true, false or null")                 \
    X(JSON_TOO_BIG,       "a number beyond the range of a double")                  \
    X(JSON_CONTROL,       "a bare control character in a string")                   \
    X(JSON_ESCAPE,        "an unknown escape in a string")                          \
    X(JSON_SURROGATE,     "half a surrogate pair in a string")                      \
    X(JSON_UTF8,          "a string that is not UTF-8")                             \
    X(JSON_BAD_KEY,       "the member's name is not a sound string")                \
    X(JSON_DEEP,          "nested deeper than the limit")                           \
    X(JSON_TWICE,         "a name that stands twice in its object")

enum json_fault {
#define JSON_FAULT_ENUM(name, words) name,
    JSON_FAULTS(JSON_FAULT_ENUM)
#undef JSON_FAULT_ENUM
    JSON_FAULT_KINDS
};

struct json {
    struct str   raw;        /* as written: a string without its quotes, all else whole */
    struct str   key;        /* of an object's member: unescaped; empty for a bad key */
    struct json *first;      /* of an array or object */
    struct json *next;       /* in the same array or object */
    u32          members;    /* of an array or object */
    u8           kind;       /* enum json_kind */
    u8           fault;      /* enum json_fault, when the kind is JSON_BAD */
    bool         escaped;    /* a string whose raw text holds escapes */
};

#define JSON_DEPTH_MAX 64

struct json_limits {
    u32  depth_max;          /* up to JSON_DEPTH_MAX; a deeper value is JSON_BAD */
    u32  members_max;        /* values in the whole text; more refuse it with ERR_TOO_LARGE */
    bool bom;                /* tolerate a byte order mark in front */
    bool strict;             /* a bad value or a name twice refuses the text */
};
/* Gateways: keep the good neighbours. People and programs at our doors: all or nothing. */
#define JSON_LENIENT ((struct json_limits){ JSON_DEPTH_MAX, 10000, true, false })
#define JSON_STRICT  ((struct json_limits){ JSON_DEPTH_MAX, 10000, false, true })

struct json_error {
    size_t      at;          /* byte offset in the text */
    const char *words;       /* for people; never NULL after a refusal */
};

/* ERR_INVALID or ERR_TOO_LARGE with *error filled; `error` may be NULL. */
enum err json_read(const struct json **out, struct str text, struct arena *arena,
                   struct json_limits limits, struct json_error *error);

static inline bool json_is(const struct json *v, enum json_kind kind)
{
    return v && v->kind == kind;
}
/* The first child, or NULL for anything that has none. */
static inline const struct json *json_first(const struct json *v) { return v ? v->first : NULL; }
#define JSON_EACH(item, of) \
    for (const struct json *item = json_first(of); item; item = item->next)

/* The first member of that name, or NULL (also when `object` is none). */
const struct json *json_get(const struct json *object, struct str key);
/* The element at that place of an array (or object), or NULL. */
const struct json *json_at(const struct json *array, size_t index);
/* The first member whose name stands before it already, or NULL. */
const struct json *json_duplicate(const struct json *object, struct arena *arena);
/* Why a JSON_BAD value is bad. Never NULL. */
const char *json_words(const struct json *v);

/* Exact or false: false for NULL, another kind, a fraction, or a number that does not fit.
 * 5, 5.0 and 50e-1 are all five. */
bool json_i64(i64 *out, const struct json *v);
bool json_u64(u64 *out, const struct json *v);
/* The nearest double. */
bool json_double(double *out, const struct json *v);
bool json_bool(bool *out, const struct json *v);
/* A string unescaped (a view of the text where it holds no escapes); empty for anything else. */
struct str json_str(const struct json *v, struct arena *arena);

/* ------------------------------------------------------------------ writer */

/*
 * Writes into a text: commas by itself, every string escaped so that it is safe inside HTML and
 * script as well (<, >, &, U+2028, U+2029), bytes that are not UTF-8 as U+FFFD. Whoever opens
 * closes: json_out_good() says whether the text is one whole value.
 */
struct json_out {
    struct text *text;
    u64  object[2], filled[2];   /* one bit per open level: is it an object, does it need a comma */
    u32  depth;
    bool keyed;                  /* a key waits for its value */
    bool bad;                    /* a broken promise of the caller: wrong nesting, a stray key */
};

static inline struct json_out json_out_make(struct text *text)
{
    return (struct json_out){ .text = text };
}
/* Nothing open, no wrong nesting, and the text kept within its limit. */
bool json_out_good(const struct json_out *o);

void json_open_object(struct json_out *o);
void json_open_array(struct json_out *o);
void json_close(struct json_out *o);                       /* whichever is open */
void json_key(struct json_out *o, struct str key);

void json_put_str(struct json_out *o, struct str v);
void json_put_i64(struct json_out *o, i64 v);
void json_put_u64(struct json_out *o, u64 v);
/* The shortest that reads back, or rounded (1.234); null for NaN and ∞. */
void json_put_double(struct json_out *o, double v);
void json_put_fixed(struct json_out *o, double v, int decimals);
void json_put_bool(struct json_out *o, bool v);
void json_put_null(struct json_out *o);
/* JSON already: a number as written, a stored object. */
void json_put_raw(struct json_out *o, struct str json);
/* NULL and JSON_BAD become null. */
void json_put_value(struct json_out *o, const struct json *v);

/* A key and its value in one line. */
void json_member_str(struct json_out *o, struct str key, struct str v);
void json_member_i64(struct json_out *o, struct str key, i64 v);
void json_member_u64(struct json_out *o, struct str key, u64 v);
void json_member_double(struct json_out *o, struct str key, double v);
void json_member_fixed(struct json_out *o, struct str key, double v, int decimals);
void json_member_bool(struct json_out *o, struct str key, bool v);
void json_member_null(struct json_out *o, struct str key);
void json_member_raw(struct json_out *o, struct str key, struct str json);
void json_member_value(struct json_out *o, struct str key, const struct json *v);

#endif
