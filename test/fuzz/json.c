// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes into the JSON reader. What it accepts is written and read again: the second reading
 * knows no bad value, and the second writing is the first one, byte for byte.
 */
#include "test/fuzz/fuzz.h"

#include "wire/json.h"

static struct str write_out(struct arena *a, const struct json *doc)
{
    struct text     t = text_make(a, 1 << 24);
    struct json_out o = json_out_make(&t);
    json_put_value(&o, doc);
    assert(json_out_good(&o));
    return text_str(&t);
}

static void touch(const struct json *v, struct arena *a, bool sound)
{
    i64 i; u64 u; double d; bool b;
    assert(!sound || v->kind != JSON_BAD);
    bool is_i = json_i64(&i, v), is_u = json_u64(&u, v), is_d = json_double(&d, v);
    assert(!(is_i && is_u) || (u64)i == u);
    assert(is_d == (v->kind == JSON_NUMBER));
    (void)json_bool(&b, v);
    assert(str_is_utf8(json_str(v, a)) && json_words(v));
    (void)json_duplicate(v, a);
    JSON_EACH (child, v)
        touch(child, a, sound);
}

FUZZ(p, n)
{
    struct arena a = arena_make(1 << 16);
    const struct json *doc, *again;
    struct json_error  error;
    struct str text = { (const char *)p, n };

    enum err strict = json_read(&doc, text, &a, JSON_STRICT, &error);
    assert(!strict || (error.at <= n && error.words));
    enum err err = json_read(&doc, text, &a, JSON_LENIENT, &error);
    assert(!err || (error.at <= n && error.words[0]));
    assert(strict || !err);
    if (!err) {
        touch(doc, &a, !strict);
        struct str once = write_out(&a, doc);
        err = json_read(&again, once, &a, JSON_LENIENT, &error);
        assert(!err);
        touch(again, &a, true);
        assert(str_eq(once, write_out(&a, again)));
    }
    arena_free(&a);
    return 0;
}
