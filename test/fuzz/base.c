// SPDX-License-Identifier: Apache-2.0
/* Any text as each of the small things that base and sys read: what is accepted and written is read
 * back the same, and a clever reader agrees with the C library's. */
#include "test/fuzz/fuzz.h"

#include "sys/sys.h"

#include <errno.h>
#include <stdlib.h>

static void bytes_and_back(struct str s, struct arena *a)
{
    u8 *one = arena_take(a, s.n + 1, 1), *two = arena_take(a, s.n + 1, 1);
    size_t n, m;
    bool plain = hex_read(one, s.n, &n, hex_str(a, bytes_of(s)));
    assert(plain && str_eq(str_of((struct bytes){ one, n }), s));
    plain = base64_read(one, s.n, &n, base64_str(a, bytes_of(s)));
    assert(plain && str_eq(str_of((struct bytes){ one, n }), s));
    if (hex_read(one, s.n, &n, s))
        assert(n * 2 == s.n && str_eq_nocase(hex_str(a, (struct bytes){ one, n }), s));
    if (base64_read(one, s.n, &n, s)) {
        plain = base64_read(two, s.n, &m, base64_str(a, (struct bytes){ one, n }));
        assert(plain && bytes_eq((struct bytes){ one, n }, (struct bytes){ two, m }));
    }
}

static void numbers(struct str s, struct arena *a)
{
    const char *zero_ended = str_copy(a, s).p;
    i64 i;
    double d;
    errno = 0;
    if (str_to_i64(&i, s))
        assert(i == strtoll(zero_ended, NULL, 10) && errno == 0 && (s.n > 60 || str_to_double(&d, s)));
    if (str_to_double(&d, s))
        assert(d == strtod(zero_ended, NULL));
}

static void times_and_places(struct str s, struct arena *a)
{
    struct wall w, v;
    struct address x, y;
    if (wall_read(&w, s)) {
        bool four_digits = w.us >= -62167219200LL * US_PER_S && w.us < 253402300800LL * US_PER_S;
        bool back = wall_read(&v, wall_str(a, w));
        assert(back == four_digits && (!back || (w.us >= v.us && w.us - v.us < US_PER_MS)));
    }
    if (address_read(&x, s)) {
        bool back = address_read(&y, address_str(a, x));
        assert(back && address_eq(x, y));
    }
}

FUZZ(p, n)
{
    struct arena a = arena_make(1 << 14);
    struct str s = { (const char *)p, n }, rest = s;
    size_t pieces = 0;
    bytes_and_back(s, &a);
    numbers(s, &a);
    times_and_places(s, &a);
    while (rest.n > 0)
        pieces += str_cut(&rest, ',').n + 1;
    assert(pieces == n || pieces == n + 1);
    assert(str_trim(s).n <= n && (!str_is_utf8(s) || str_is_utf8(str_trim(s))));
    arena_free(&a);
    return 0;
}
