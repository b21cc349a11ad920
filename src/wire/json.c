// SPDX-License-Identifier: Apache-2.0
/*
 * The JSON reader: a text becomes a tree of values that borrow it (json_value.c says what they mean).
 *
 * It is one loop over values with an explicit stack of open arrays and objects, so the
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
#include "wire/inside.h"

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
    while (p < end && json_plain(*p))
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
    int high = json_hex4(p + 2, end);
    if (high < 0) {
        fault(v, JSON_ESCAPE);
        return p + 2;
    }
    if (high < 0xD800 || high > 0xDFFF)
        return p + 6;
    bool pair = high < 0xDC00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u'
             && (json_hex4(p + 8, end) & ~0x3FF) == 0xDC00;
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
        size_t n = (u8)*p < 0x20 ? 0 : json_utf8_size(p, end);
        if (n == 0)
            fault(v, (u8)*p < 0x20 ? JSON_CONTROL : JSON_UTF8);
        p += n ? n : 1;
    }
    v->raw = (struct str){ from + 1, (size_t)(p - from) - 1 };
    r->p = p + 1;
    return OK;
}

/* ------------------------------------------------------------------ numbers and words */

static inline const char *skip_digits(const char *p, const char *end)
{
    while (p < end && json_digit(*p))
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

/* Characters that belong to a bare word, sound or not. */
static inline bool is_word(char c)
{
    return json_digit(c) || ((u8)(c | 0x20) >= 'a' && (u8)(c | 0x20) <= 'z')
        || c == '-' || c == '+' || c == '.' || c == '_';
}

/* true, false, null, a number, or a bare word that is none of them. */
static enum err read_word(struct reader *r, struct json *v)
{
    const char *from = r->p, *p = from;

    if (*from == '-' || json_digit(*from)) {
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
        if (long_or_powered && json_beyond_double(v->raw))
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
    v->key = !sound ? S("") : v->escaped ? json_unescape(v->raw, r->arena) : v->raw;
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
        return refuse_at(r, from, ERR_INVALID, json_words(v));
    const struct json *twice = v->kind == JSON_OBJECT ? json_duplicate(v, r->arena) : NULL;
    return twice ? refuse_at(r, twice->raw.p, ERR_INVALID, json_fault_words[JSON_TWICE]) : OK;
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
