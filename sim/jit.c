// SPDX-License-Identifier: Apache-2.0
/*
 * A packet forwarder's just-in-time queue, with the figures of Semtech's: 32 entries, a frame is
 * too late within 30 ms of queue delay + 1.5 ms of start + 1 ms of margin, too early beyond 512 s,
 * and two frames collide when their sends come nearer than the queue delay. Counters are 32-bit
 * microseconds that wrap every 71.6 minutes: all arithmetic is modulo 2^32.
 */
#include "sim/inside.h"

#define TOO_EARLY_US 512000000
#define BETWEEN_US   30000

static bool collides(struct jit_item a, struct jit_item b)
{
    i32 apart = (i32)(b.tmst - a.tmst);
    return apart >= 0 ? apart < (i32)a.airtime_us + BETWEEN_US
                      : -apart < (i32)b.airtime_us + BETWEEN_US;
}

enum jit_answer sim_jit_offer(struct jit *j, u32 now_tmst, struct jit_item item)
{
    i32 ahead = (i32)(item.tmst - now_tmst);
    if (ahead < JIT_LEAD_US)
        return JIT_TOO_LATE;
    if (ahead > TOO_EARLY_US)
        return JIT_TOO_EARLY;
    if (j->n == JIT_ITEMS)
        return JIT_FULL;
    for (u32 i = 0; i < j->n; i++)
        if (collides(j->item[i], item))
            return JIT_COLLISION;
    j->item[j->n++] = item;
    return JIT_OK;
}

bool sim_jit_take(struct jit *j, u32 parcel)
{
    for (u32 i = 0; i < j->n; i++)
        if (j->item[i].parcel == parcel) {
            j->item[i] = j->item[--j->n];
            return true;
        }
    return false;
}

const char *sim_jit_words(enum jit_answer answer)
{
    static const char *const words[] = {
        [JIT_OK] = "NONE", [JIT_TOO_LATE] = "TOO_LATE", [JIT_TOO_EARLY] = "TOO_EARLY",
        [JIT_COLLISION] = "COLLISION_PACKET", [JIT_FULL] = "COLLISION_PACKET",
    };
    return words[answer];
}
