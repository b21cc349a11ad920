// SPDX-License-Identifier: Apache-2.0
/* Any bytes as what a client sends to the HTTP door; the first chooses from where. No answer is an error of
 * ours, JSON is whole JSON, and who is not from this machine and has no key reads nothing of the city. */
#include "test/fuzz/kit/door.h"
#include "test/fuzz/fuzz.h"

FUZZ(p, n)
{
    struct city *c = city_begin();
    struct arena a = arena_make(1 << 16);
    struct door_answer answer;
    bool here = n && p[0] & 1;
    door_ask(&answer, c, (struct bytes){ p + 1, n ? n - 1 : 0 }, here, &a);
    door_check(&answer, &a);
    if (!here && answer.status == 200)
        assert(str_find(answer.body, S("神通川")) < 0 && str_find(answer.body, S("70B3D57ED0000001")) < 0);
    arena_free(&a);
    return 0;
}
