// SPDX-License-Identifier: Apache-2.0
/* Any lines as an Authorization and a tenant header. Nobody gets more than the public's right without one of
 * the three keys that were given out, and nobody gets another key's right. */
#include "test/fuzz/kit/city.h"
#include "test/fuzz/fuzz.h"

#include "access/access.h"

static struct str keys[RIGHT_ADMIN + 1];

static struct city *with_keys(void)
{
    static struct city *c;
    if (c)
        return c;
    c = city_begin();
    for (enum right r = RIGHT_READ; r <= RIGHT_ADMIN; r++) {
        enum err err = access_token_new(c->env.db, 1, r, S("key"), 1, c->env.random, c->env.world, &keys[r], &c->boot);
        assert(err == OK);
    }
    return c;
}

FUZZ(p, n)
{
    struct city *c = with_keys();
    struct arena a = arena_make(1 << 12);
    struct str rest = { (const char *)p, n }, header = str_cut(&rest, '\n'), given = header;
    struct caller caller;
    enum err err = access_caller(&caller, &(struct access){ .dev = false }, c->env.db, header, rest, true, &a);
    assert(err == OK || err == ERR_DENIED || err == ERR_NOT_FOUND);
    (void)str_cut(&given, ' ');
    given = str_trim(given);
    enum right due = RIGHT_PUBLIC;
    for (enum right r = RIGHT_READ; r <= RIGHT_ADMIN; r++)
        if (str_eq(given, keys[r]))
            due = r;
    for (enum right r = RIGHT_PUBLIC; err == OK && r <= RIGHT_ADMIN; r++) {
        assert(!access_decide(&caller, caller.tenant, r) || r <= due);
        assert(!access_decide(&caller, caller.tenant + 1, r) || r == RIGHT_PUBLIC);
    }
    arena_free(&a);
    return 0;
}
