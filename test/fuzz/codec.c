// SPDX-License-Identifier: Apache-2.0
/* Any text as what a JavaScript codec answered, any bytes as the payload of every profile that ships:
 * the fields are within their limits, and each can stand in an entity. The first byte chooses. */
#include "test/fuzz/kit/city.h"
#include "test/fuzz/fuzz.h"

#include <math.h>

static bool can_be_bound(struct str s) { return s.n == 0 || (str_is_utf8(s) && !memchr(s.p, 0, s.n)); }

static void check(const struct codec_result *r, struct arena *a)
{
    assert(r->count <= FIELDS_MAX && can_be_bound(r->errors) && can_be_bound(r->warnings));
    for (size_t i = 0; i < r->count; i++) {
        const struct field *f = &r->fields[i];
        const struct json *back;
        double d;
        assert(f->name.n > 0 && str_is_utf8(f->name) && str_is_utf8(f->text) && str_is_utf8(f->reason));
        if (f->kind != FIELD_NUMBER)
            continue;
        enum err err = json_read(&back, f->text, a, JSON_STRICT, NULL);
        assert(err == OK && json_double(&d, back) && isfinite(f->number) && d == f->number);
    }
}

FUZZ(p, n)
{
    static struct profiles profiles;
    static struct codecs codecs;
    static struct arena boot;
    static struct codec_result result;
    struct arena a = arena_make(1 << 16);
    if (!profiles.count) {
        boot = arena_make(1 << 20);
        city_profiles(&profiles, &codecs, &boot);
    }
    if (n > 0 && p[0] < profiles.count) {
        struct str answer = { (const char *)p + 1, n - 1 };
        if (codec_flatten(&result, &codecs.of[p[0]], answer, &a) == OK)
            check(&result, &a);
    } else if (n > 0) {
        for (size_t i = 0; i < codecs.count; i++)
            if (codec_read(&result, &codecs.of[i], p[0] & 1 ? 2 : p[0], (struct bytes){ p + 1, MIN(n - 1, 242) }, &a) == OK)
                check(&result, &a);
    }
    arena_free(&a);
    return 0;
}
