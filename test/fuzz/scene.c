// SPDX-License-Identifier: Apache-2.0
/* Any text as a scene of the city in the box: refused in words that name the line, or read; and read again it
 * is the same city. It is not played. */
#include "test/fuzz/fuzz.h"

#include "box/box.h"

FUZZ(p, n)
{
    static struct box b;
    struct str text = { (const char *)p, n }, why = S("");
    struct plan once;
    b = (struct box){ .boot = arena_make(1 << 16) };
    enum err err = scene_read(&b, text, &why);
    assert(err == OK || (err == ERR_INVALID && why.n > 0));
    once = b.plan;
    u32 more = scene_more();
    b.plan = (struct plan){ 0 };
    assert(scene_read(&b, text, &why) == err);
    assert(err != OK || (scene_given() && scene_more() == more && b.plan.seed == once.seed && b.plan.devices == once.devices));
    arena_free(&b.boot);
    return 0;
}
