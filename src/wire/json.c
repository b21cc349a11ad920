// SPDX-License-Identifier: Apache-2.0
/*
 * The JSON reader and writer.
 *
 * The reader is one loop over values with an explicit stack of open arrays and objects, so the
 * depth of the input never becomes depth of ours. Three kinds of trouble are kept apart:
 *
 *   a value   that has clear borders and no meaning (1e999, nan, "\ud800", "\x"): JSON_BAD, go on;
 *   a text    whose borders are unclear (a missing comma, quote or bracket): refused with the byte;
 *   a size    beyond the limits: too many values refuse the text, a too deep value is JSON_BAD
 *             and skipped by counting brackets.
 *
 * Speed comes from not touching things: strings are looked at eight bytes a step and stay views,
 * numbers are only checked, nodes come from the arena by the dozen.
 */
#include "wire/json.h"

#include <math.h>
#include <stdio.h>

static const char *const fault_words[] = {
#define FAULT_WORDS(name, words) [name] = words,
    JSON_FAULTS(FAULT_WORDS)
#undef FAULT_WORDS
};
static_assert(COUNT(fault_words) == JSON_FAULT_KINDS, "every fault has words");

struct reader {
    const char  *p, *end, *begin;
    struct arena *arena;
    struct json  *free, *free_end;       /* nodes taken from the arena ahead */
    u32           values;
    struct json_limits limits;
    struct json_error  error;
};

/* What is open around the place we read. */
struct open { struct json *parent, **tail; };

static enum err read_values(struct reader *r, struct json *root);
static char blank(struct reader *r);
static enum err refuse(struct reader *r, const char *words);

enum err json_read(const struct json **out, struct str text, struct arena *arena,
                   struct json_limits limits, struct json_error *error)
{
    text = text.n ? text : S("");                /* a body that never came points nowhere */
    struct reader r = { text.p, text.p + text.n, text.p, arena, NULL, NULL, 0, limits, { 0, "" } };
    struct json   root;
    enum err      err = OK;

    *out = NULL;
    if (str_starts(text, S("\xEF\xBB\xBF"))) {
        if (!limits.bom)
            err = refuse(&r, "a byte order mark in front");
        r.p += 3;
    }
    if (!err)
        err = read_values(&r, &root);
    if (!err && (blank(&r), r.p < r.end))
        err = refuse(&r, "more text behind the value");
    if (error)
        *error = r.error;
    if (!err)
        *out = root.first;
    return err;
}

/* ------------------------------------------------------------------ small looks ahead */

/* The next byte that is no blank; a zero byte is legal nowhere outside a string, so it means the
 * end. */
static char blank(struct reader *r)
{
    while (r->p < r->end) {
        char c = *r->p;
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return c;
        r->p++;
    }
    return '\0';
}

static enum err refuse_at(struct reader *r, const char *p, enum err err, const char *words)
{
    r->error = (struct json_error){ (size_t)(p - r->begin), words };
    return err;
}

static enum err refuse(struct reader *r, const char *words)
{
    return refuse_at(r, r->p, ERR_INVALID, r->p == r->end ? "the text ends too early" : words);
}

static struct json *take(struct reader *r)
{
    enum { CHUNK_MIN = 8, CHUNK_MAX = 256, BYTES_PER_VALUE = 12 };

    if (r->free == r->free_end) {
        size_t guess = CHUNK_MIN + (size_t)(r->end - r->p) / BYTES_PER_VALUE;
        size_t n = MIN(guess, (size_t)CHUNK_MAX);
        r->free = arena_array(r->arena, struct json, n);
        r->free_end = r->free + n;
    }
    return r->free++;
}

static inline void fault(struct json *v, enum json_fault why)
{
    if (v->fault != JSON_SOUND)
        return;                                  /* the first reason is the one to tell */
    v->kind = JSON_BAD;
    v->fault = (u8)why;
}

/* ------------------------------------------------------------------ strings */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The four digits after \u, or -1. */
static int hex4(const char *p, const char *end)
{
    if (end - p < 4)
        return -1;
    int a = hex_digit(p[0]), b = hex_digit(p[1]), c = hex_digit(p[2]), d = hex_digit(p[3]);
    return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

/* Bytes of the well-formed UTF-8 sequence at p (RFC 3629, section 4), or 0. */
static size_t utf8_size(const char *at, const char *end)
{
    const u8 *p = (const u8 *)at;
    size_t    n = (size_t)(end - at);
    u8        low = 0x80, high = 0xBF;           /* of the second byte */

    if (n >= 1 && p[0] < 0x80)
        return 1;
    if (n < 2 || p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    if (p[0] == 0xE0) low = 0xA0;                /* no overlong forms */
    if (p[0] == 0xED) high = 0x9F;               /* no surrogates */
    if (p[0] == 0xF0) low = 0x90;
    if (p[0] == 0xF4) high = 0x8F;               /* nothing above U+10FFFF */
    if (p[1] < low || p[1] > high)
        return 0;

    size_t size = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (n < size)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return size;
}

static inline bool plain(char c) { return (u8)c >= 0x20 && (u8)c < 0x80 && c != '"' && c != '\\'; }

/* The first byte that is a quote, a backslash, a control or no ASCII. */
static inline const char *skip_plain(const char *p, const char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const u64 ones = 0x0101010101010101, tops = 0x8080808080808080;

    for (; end - p >= 8; p += 8) {
        u64 w;
        memcpy(&w, p, 8);
        u64 quote = w ^ ones * '"', slash = w ^ ones * '\\';
        /* A borrow can mark a byte wrongly only above a true mark: the lowest mark is true. */
        u64 marks =
            (w | (w - ones * 0x20) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & tops;
        if (marks)
            return p + __builtin_ctzll(marks) / 8;
    }
#endif
    while (p < end && plain(*p))
        p++;
    return p;
}

/* From a backslash to behind its escape. A pair of \u escapes is one; half a pair is a fault. */
static const char *skip_escape(const char *p, const char *end, struct json *v)
{
    v->escaped = true;
    if (end - p < 2)
        return end;
    if (p[1] != 'u') {
        bool known = memchr("\"\\/bfnrt", p[1], 8) != NULL;
        if (!known)
            fault(v, JSON_ESCAPE);
        /* Step over ASCII only: a foreign byte still has to pass as UTF-8, a control as a control. */
        return p + (known ? 2 : 1);
    }
    int high = hex4(p + 2, end);
    if (high < 0) {
        fault(v, JSON_ESCAPE);
        return p + 2;
    }
    if (high < 0xD800 || high > 0xDFFF)
        return p + 6;
    bool pair = high < 0xDC00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u'
             && (hex4(p + 8, end) & ~0x3FF) == 0xDC00;
    if (!pair)
        fault(v, JSON_SURROGATE);
    return p + (pair ? 12 : 6);
}

/* A string from its opening quote to behind the closing one: v->raw, v->escaped, perhaps a fault. */
static enum err read_string(struct reader *r, struct json *v)
{
    const char *from = r->p, *p = from + 1, *end = r->end;

    for (;;) {
        p = skip_plain(p, end);
        if (p >= end)
            return refuse_at(r, from, ERR_INVALID, "a string without an end");
        if (*p == '"')
            break;
        if (*p == '\\') {
            p = skip_escape(p, end, v);
            continue;
        }
        size_t n = (u8)*p < 0x20 ? 0 : utf8_size(p, end);
        if (n == 0)
            fault(v, (u8)*p < 0x20 ? JSON_CONTROL : JSON_UTF8);
        p += n ? n : 1;
    }
    v->raw = (struct str){ from + 1, (size_t)(p - from) - 1 };
    r->p = p + 1;
    return OK;
}

static char *put_utf8(char *q, u32 c)
{
    if (c < 0x80) {
        *q++ = (char)c;
        return q;
    }
    if (c < 0x800) {
        *q++ = (char)(0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *q++ = (char)(0xE0 | c >> 12);
        } else {
            *q++ = (char)(0xF0 | c >> 18);
            *q++ = (char)(0x80 | (c >> 12 & 0x3F));
        }
        *q++ = (char)(0x80 | (c >> 6 & 0x3F));
    }
    *q++ = (char)(0x80 | (c & 0x3F));
    return q;
}

/* A sound raw string without its escapes; never longer than it was. */
static struct str unescape(struct str raw, struct arena *arena)
{
    char *begin = arena_array(arena, char, raw.n + 1), *q = begin;
    const char *p = raw.p, *end = raw.p + raw.n;

    while (p < end) {
        if (*p != '\\') {
            *q++ = *p++;
            continue;
        }
        char c = p[1];
        p += 2;
        if (c != 'u') {
            *q++ = c == 'b' ? '\b' : c == 'f' ? '\f' : c == 'n' ? '\n' : c == 'r' ? '\r'
                 : c == 't' ? '\t' : c;
            continue;
        }
        u32 code = (u32)hex4(p, end);
        p += 4;
        if (code >= 0xD800 && code <= 0xDBFF) {
            code = 0x10000 + ((code - 0xD800) << 10) + ((u32)hex4(p + 2, end) - 0xDC00);
            p += 6;
        }
        q = put_utf8(q, code);
    }
    return (struct str){ begin, (size_t)(q - begin) };
}

/* ------------------------------------------------------------------ numbers and words */

static inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

static inline const char *skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

/*
 * Behind the number at p, or NULL when there is none (RFC 8259, section 6):
 *     number = [ "-" ] int [ "." 1*DIGIT ] [ ("e" / "E") [ "-" / "+" ] 1*DIGIT ]
 */
static const char *skip_number(const char *p, const char *end)
{
    if (p < end && *p == '-')
        p++;
    const char *digits = p;
    p = skip_digits(p, end);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return NULL;
    if (p < end && *p == '.') {
        const char *fraction = ++p;
        p = skip_digits(p, end);
        if (p == fraction)
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        const char *exponent = p;
        p = skip_digits(p, end);
        if (p == exponent)
            return NULL;
    }
    return p;
}

/*
 * A number taken apart: ± mantissa × 10^scale, the mantissa without zeros at its end. `exact` is
 * false when the mantissa has more digits than fit; `top` is the power of ten of the first digit.
 */
struct decimal { u64 mantissa; i64 scale, top; bool negative, exact; };

static i64 read_exponent(const char *p, const char *end)
{
    const i64 far = 1000000000000;               /* beyond any count of digits in a text */
    bool negative = p < end && *p == '-';
    i64  e = 0;

    for (p += p < end && (*p == '-' || *p == '+'); p < end; p++)
        e = MIN(far, e * 10 + (*p - '0'));
    return negative ? -e : e;
}

static struct decimal take_apart(struct str number)
{
    struct decimal d = { .exact = true };
    const char *p = number.p, *end = p + number.n;
    i64  zeros = 0, fraction = 0, significant = 0;
    bool point = false;

    if (p < end && *p == '-') {
        d.negative = true;
        p++;
    }
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        fraction += point;
        if (significant == 0 && *p == '0')
            continue;
        significant++;
        if (*p == '0') {
            zeros++;
            continue;
        }
        for (; zeros >= 0 && d.exact; zeros--)
            d.exact = !__builtin_mul_overflow(d.mantissa, 10u, &d.mantissa);
        zeros = 0;
        if (d.exact)
            d.exact = !__builtin_add_overflow(d.mantissa, (u64)(*p - '0'), &d.mantissa);
    }
    i64 exponent = p < end ? read_exponent(p + 1, end) : 0;
    d.scale = exponent - fraction + zeros;
    d.top = significant ? exponent - fraction + significant - 1 : INT64_MIN;
    return d;
}

/* By its first forty digits: the nearest double but for numbers made to sit between two. */
static bool nearest_double(double *out, struct str number, const struct decimal *d)
{
    enum { DIGITS = 40, DECADE_MIN = -400, DECADE_MAX = 308 };   /* doubles end at 1.797…e308 */
    char   digits[DIGITS + 1], text[DIGITS + 16];
    size_t n = 0;

    if (d->top < DECADE_MIN || d->top > DECADE_MAX) {
        *out = d->negative ? -0.0 : 0.0;
        return d->top < DECADE_MIN;
    }
    for (const char *p = number.p; p < number.p + number.n && n < DIGITS && *p != 'e' && *p != 'E';
         p++)
        if (is_digit(*p) && (n > 0 || *p != '0'))
            digits[n++] = *p;
    digits[n] = '\0';
    int size = snprintf(text, sizeof text, "%s%se%d", d->negative ? "-" : "", digits,
                        (int)(d->top - (i64)n + 1));
    return str_to_double(out, (struct str){ text, (size_t)size });
}

static bool beyond_double(struct str number)
{
    double v;
    struct decimal d = take_apart(number);
    return !nearest_double(&v, number, &d);
}

/* Characters that belong to a bare word, sound or not. */
static inline bool is_word(char c)
{
    return is_digit(c) || ((u8)(c | 0x20) >= 'a' && (u8)(c | 0x20) <= 'z')
        || c == '-' || c == '+' || c == '.' || c == '_';
}

/* true, false, null, a number, or a bare word that is none of them. */
static enum err read_word(struct reader *r, struct json *v)
{
    const char *from = r->p, *p = from;

    if (*from == '-' || is_digit(*from)) {
        p = skip_number(from, r->end);
        v->kind = JSON_NUMBER;
    }
    if (!p)
        p = from;
    bool number = p > from;
    while (p < r->end && is_word(*p)) {
        number = false;
        p++;
    }
    r->p = p;
    v->raw = (struct str){ from, (size_t)(p - from) };
    if (number) {
        bool long_or_powered =
            v->raw.n > 300 || memchr(from, 'e', v->raw.n) || memchr(from, 'E', v->raw.n);
        if (long_or_powered && beyond_double(v->raw))
            fault(v, JSON_TOO_BIG);
        return OK;
    }
    if (v->raw.n == 0)
        return refuse(r, "a value is missing");
    if (str_eq(v->raw, S("true")))
        v->kind = JSON_TRUE;
    else if (str_eq(v->raw, S("false")))
        v->kind = JSON_FALSE;
    else if (str_eq(v->raw, S("null")))
        v->kind = JSON_NULL;
    else
        fault(v, JSON_NO_WORD);
    return OK;
}

/* ------------------------------------------------------------------ the tree */

/* An array or object too deep to be read: only its end is looked for. */
static enum err skip_deep(struct reader *r, struct json *v)
{
    struct json unused = { .kind = JSON_STRING };
    const char *from = r->p;
    size_t      open = 0;

    do {
        if (r->p == r->end)
            return refuse(r, "a bracket is missing");
        char c = *r->p;
        if (c == '"') {
            enum err err = read_string(r, &unused);
            if (err)
                return err;
            continue;
        }
        if (c == '[' || c == '{')
            open++;
        if (c == ']' || c == '}')
            open--;
        r->p++;
    } while (open > 0);
    v->raw = (struct str){ from, (size_t)(r->p - from) };
    fault(v, JSON_DEEP);
    return OK;
}

static enum err begin_element(struct reader *r, struct open *in, struct json **node)
{
    if (r->values++ >= r->limits.members_max)
        return refuse_at(r, r->p, ERR_TOO_LARGE, "more values than the limit");
    struct json *v = *node = take(r);
    *in->tail = v;
    in->tail = &v->next;
    in->parent->members++;
    return OK;
}

/* The name and the colon of a member. Under a bad name the value is read for its borders only. */
static enum err begin_member(struct reader *r, struct open *in, struct json **node)
{
    enum err err;

    if (blank(r) != '"')
        return refuse(r, "a name in quotes is missing");
    if ((err = begin_element(r, in, node)))
        return err;

    struct json *v = *node;
    v->kind = JSON_STRING;
    if ((err = read_string(r, v)))
        return err;
    bool sound = v->kind != JSON_BAD;
    if (!sound)
        v->fault = JSON_BAD_KEY;
    v->key = !sound ? S("") : v->escaped ? unescape(v->raw, r->arena) : v->raw;
    v->escaped = false;
    if (blank(r) != ':')
        return refuse(r, "a colon is missing");
    r->p++;
    return OK;
}

static enum err next_value(struct reader *r, struct open *in, struct json **node)
{
    return in->parent->kind == JSON_ARRAY ? begin_element(r, in, node) : begin_member(r, in, node);
}

/* Behind every finished value: a bad name spoils it, and the strict refuse what is bad. */
static enum err finish_value(struct reader *r, struct json *v, const char *from)
{
    if (v->fault != JSON_SOUND)
        v->kind = JSON_BAD;
    if (!r->limits.strict)
        return OK;
    if (v->kind == JSON_BAD)
        return refuse_at(r, from, ERR_INVALID, fault_words[v->fault]);
    const struct json *twice = v->kind == JSON_OBJECT ? json_duplicate(v, r->arena) : NULL;
    return twice ? refuse_at(r, twice->raw.p, ERR_INVALID, fault_words[JSON_TWICE]) : OK;
}

static enum err read_leaf(struct reader *r, struct json *v, char c)
{
    const char *from = r->p;
    enum err    err;

    if (c == '\0')
        return refuse(r, "a value is missing");
    if (c == '"') {
        v->kind = JSON_STRING;
        err = read_string(r, v);
    } else if (c == '[' || c == '{') {
        err = skip_deep(r, v);
    } else {
        err = read_word(r, v);
    }
    return err ? err : finish_value(r, v, from);
}

static char closing(const struct open *in) { return in->parent->kind == JSON_ARRAY ? ']' : '}'; }

/* Behind a value: closes what ends here, up to the comma before the next one or to the end of all. */
static enum err close_levels(struct reader *r, const struct open *stack, struct open **in)
{
    while (*in > stack) {
        struct json *parent = (*in)->parent;
        char c = blank(r), end = closing(*in);

        if (c != ',' && c != end)
            return refuse(r, end == ']' ? "a comma or ] is missing" : "a comma or } is missing");
        r->p++;
        if (c == ',')
            return OK;
        parent->raw.n = (size_t)(r->p - parent->raw.p);
        enum err err = finish_value(r, parent, parent->raw.p);
        if (err)
            return err;
        (*in)--;
    }
    return OK;
}

static enum err read_values(struct reader *r, struct json *root)
{
    struct open  stack[JSON_DEPTH_MAX + 1], *in = stack;
    struct open *deepest = stack + MIN(r->limits.depth_max, (u32)JSON_DEPTH_MAX);
    struct json *v = NULL;

    /* The value itself hangs in an array of one that nobody sees. */
    *root = (struct json){ .kind = JSON_ARRAY };
    *in = (struct open){ root, &root->first };
    enum err err = begin_element(r, in, &v);

    while (!err) {
        char c = blank(r);

        if ((c == '[' || c == '{') && in < deepest) {
            /* The kind stands even under a bad name until the end: brackets must match. */
            v->kind = c == '[' ? JSON_ARRAY : JSON_OBJECT;
            v->raw.p = r->p++;
            *++in = (struct open){ v, &v->first };
            if (blank(r) != closing(in)) {
                err = next_value(r, in, &v);
                continue;
            }
        } else if ((err = read_leaf(r, v, c))) {
            return err;
        }
        err = close_levels(r, stack, &in);
        if (err || in == stack)
            return err;
        err = next_value(r, in, &v);
    }
    return err;
}

/* ------------------------------------------------------------------ getters */

static inline bool is_named(const struct json *v, struct str key)
{
    return v->key.n == key.n && v->fault != JSON_BAD_KEY
        && (key.n == 0 || memcmp(v->key.p, key.p, key.n) == 0);
}

const struct json *json_get(const struct json *object, struct str key)
{
    if (!json_is(object, JSON_OBJECT))
        return NULL;
    JSON_EACH (v, object)
        if (is_named(v, key))
            return v;
    return NULL;
}

const struct json *json_at(const struct json *array, size_t index)
{
    const struct json *v = json_first(array);
    while (v && index-- > 0)
        v = v->next;
    return v;
}

/* Order by name, then by place. */
struct place { const struct json *v; u32 at; };

static bool stands_before(struct place a, struct place b)
{
    int order = memcmp(a.v->key.p, b.v->key.p, MIN(a.v->key.n, b.v->key.n));
    if (order)
        return order < 0;
    return a.v->key.n != b.v->key.n ? a.v->key.n < b.v->key.n : a.at < b.at;
}

static void merge(struct place *to, const struct place *a, const struct place *a_end,
                  const struct place *b_end)
{
    const struct place *b = a_end;
    while (a < a_end || b < b_end)
        *to++ = b == b_end || (a < a_end && stands_before(*a, *b)) ? *a++ : *b++;
}

/* Sorting holds whatever names somebody chooses; a hash table would not. */
static const struct json *duplicate_of_many(const struct json *object, struct arena *arena)
{
    u32 n = 0;
    struct arena  mark = *arena;
    struct place *now = arena_array(&mark, struct place, object->members);
    struct place *other = arena_array(&mark, struct place, object->members);

    JSON_EACH (v, object)
        if (v->fault != JSON_BAD_KEY) {
            now[n] = (struct place){ v, n };
            n++;
        }
    for (u32 width = 1; width < n; width *= 2) {
        for (u32 i = 0; i < n; i += 2 * width)
            merge(other + i, now + i, now + MIN(i + width, n), now + MIN(i + 2 * width, n));
        struct place *swap = now;
        now = other;
        other = swap;
    }
    const struct place *found = NULL;
    for (u32 i = 1; i < n; i++)
        if (str_eq(now[i - 1].v->key, now[i].v->key) && (!found || now[i].at < found->at))
            found = &now[i];
    return found ? found->v : NULL;
}

const struct json *json_duplicate(const struct json *object, struct arena *arena)
{
    enum { FEW = 24 };

    if (!json_is(object, JSON_OBJECT))
        return NULL;
    if (object->members > FEW)
        return duplicate_of_many(object, arena);
    JSON_EACH (v, object)
        for (const struct json *before = object->first; before != v; before = before->next)
            if (v->fault != JSON_BAD_KEY && is_named(before, v->key))
                return v;
    return NULL;
}

const char *json_words(const struct json *v)
{
    return !v ? "missing" : fault_words[v->fault];
}

/* The size of an integer, or false when it is none or needs more than 64 bits. */
static bool magnitude(u64 *out, const struct decimal *d)
{
    u64 m = d->mantissa;
    if (!d->exact || (m != 0 && d->scale < 0))
        return false;
    for (i64 i = 0; m != 0 && i < d->scale; i++)
        if (__builtin_mul_overflow(m, 10u, &m))
            return false;
    *out = m;
    return true;
}

bool json_u64(u64 *out, const struct json *v)
{
    u64 m;
    if (!json_is(v, JSON_NUMBER))
        return false;
    struct decimal d = take_apart(v->raw);
    if (!magnitude(&m, &d) || (d.negative && m != 0))
        return false;
    *out = m;
    return true;
}

bool json_i64(i64 *out, const struct json *v)
{
    u64 m;
    if (!json_is(v, JSON_NUMBER))
        return false;
    struct decimal d = take_apart(v->raw);
    if (!magnitude(&m, &d) || m > (u64)INT64_MAX + d.negative)
        return false;
    *out = d.negative ? (i64)(0 - m) : (i64)m;
    return true;
}

bool json_double(double *out, const struct json *v)
{
    /* Both the mantissa and the power are exact in a double, so one rounding remains. */
    static const double power[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (!json_is(v, JSON_NUMBER))
        return false;
    struct decimal d = take_apart(v->raw);
    if (!d.exact || d.mantissa > 1ULL << 53 || d.scale < -22 || d.scale > 22)
        return nearest_double(out, v->raw, &d);
    double m = (double)d.mantissa;
    m = d.scale < 0 ? m / power[-d.scale] : m * power[d.scale];
    *out = d.negative ? -m : m;
    return true;
}

bool json_bool(bool *out, const struct json *v)
{
    if (!json_is(v, JSON_TRUE) && !json_is(v, JSON_FALSE))
        return false;
    *out = v->kind == JSON_TRUE;
    return true;
}

struct str json_str(const struct json *v, struct arena *arena)
{
    if (!json_is(v, JSON_STRING))
        return S("");
    return v->escaped ? unescape(v->raw, arena) : v->raw;
}

/* ------------------------------------------------------------------ writer */

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
static inline bool harmless(char c) { return plain(c) && c != '<' && c != '>' && c != '&'; }

static void put_quoted(struct text *t, struct str s)
{
    const char *p = s.n ? s.p : "", *end = p + s.n, *run = p;     /* an empty view may point nowhere */

    text_char(t, '"');
    while (p < end) {
        if (harmless(*p)) {
            p++;
            continue;
        }
        size_t n = (u8)*p < 0x80 ? 0 : utf8_size(p, end);
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
    if (before_value(o))
        text_fmt(o->text, "%lld", (long long)v);
}

void json_put_u64(struct json_out *o, u64 v)
{
    if (before_value(o))
        text_fmt(o->text, "%llu", (unsigned long long)v);
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
