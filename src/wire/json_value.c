// SPDX-License-Identifier: Apache-2.0
/*
 * What a value that was read means: members by name, integers and doubles by their digits, strings
 * without their escapes. Nothing is remembered: a value that nobody asks for costs nothing.
 */
#include "wire/inside.h"

#include <stdio.h>

const char *const json_fault_words[] = {
#define FAULT_WORDS(name, words) [name] = words,
    JSON_FAULTS(FAULT_WORDS)
#undef FAULT_WORDS
};
static_assert(COUNT(json_fault_words) == JSON_FAULT_KINDS, "every fault has words");

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

bool json_bool(bool *out, const struct json *v)
{
    if (!json_is(v, JSON_TRUE) && !json_is(v, JSON_FALSE))
        return false;
    *out = v->kind == JSON_TRUE;
    return true;
}

const char *json_words(const struct json *v)
{
    return !v ? "missing" : json_fault_words[v->fault];
}

/* ------------------------------------------------------------------ numbers */

/*
 * A number taken apart: ± mantissa × 10^scale, the mantissa without zeros at its end. `exact` is
 * false when the mantissa has more digits than fit; `top` is the power of ten of the first digit.
 */
struct decimal { u64 mantissa; i64 scale, top; bool negative, exact; };

static i64 read_exponent(const char *p, const char *end)
{
    const i64 far = 1000000000000;               /* beyond any count of digits in a text */
    bool negative = *p == '-';
    i64  e = 0;

    for (p += negative || *p == '+'; p < end; p++)
        e = MIN(far, e * 10 + (*p - '0'));
    return negative ? -e : e;
}

static struct decimal take_apart(struct str number)
{
    struct decimal d = { .exact = true };
    const char *p = number.p, *end = p + number.n;
    i64  zeros = 0, fraction = 0, significant = 0;
    bool point = false;

    d.negative = *p == '-';
    p += d.negative;
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
        if (json_digit(*p) && (n > 0 || *p != '0'))
            digits[n++] = *p;
    digits[n] = '\0';
    int size = snprintf(text, sizeof text, "%s%se%d", d->negative ? "-" : "", digits,
                        (int)(d->top - (i64)n + 1));
    return str_to_double(out, (struct str){ text, (size_t)size });
}

bool json_beyond_double(struct str number)
{
    double v;
    struct decimal d = take_apart(number);
    return !nearest_double(&v, number, &d);
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

/* ------------------------------------------------------------------ strings */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

int json_hex4(const char *p, const char *end)
{
    if (end - p < 4)
        return -1;
    int a = hex_digit(p[0]), b = hex_digit(p[1]), c = hex_digit(p[2]), d = hex_digit(p[3]);
    return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

size_t json_utf8_size(const char *at, const char *end)
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

struct str json_unescape(struct str raw, struct arena *arena)
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
        u32 code = (u32)json_hex4(p, end);
        p += 4;
        if (code >= 0xD800 && code <= 0xDBFF) {
            code = 0x10000 + ((code - 0xD800) << 10) + ((u32)json_hex4(p + 2, end) - 0xDC00);
            p += 6;
        }
        q = put_utf8(q, code);
    }
    return (struct str){ begin, (size_t)(q - begin) };
}

struct str json_str(const struct json *v, struct arena *arena)
{
    if (!json_is(v, JSON_STRING))
        return S("");
    return v->escaped ? json_unescape(v->raw, arena) : v->raw;
}
