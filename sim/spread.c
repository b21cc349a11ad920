// SPDX-License-Identifier: Apache-2.0
/* Latencies by octave and 64 steps in it: any value is known to 1.6 %, as HDR histograms do it. */
#include "sim/inside.h"

static u32 bucket_of(i64 us)
{
    u64 v = us < 0 ? 0 : (u64)us;
    if (v < SPREAD_STEPS)
        return (u32)v;
    u32 octave = 63 - (u32)__builtin_clzll(v) - 6;           /* v >> octave is 64 .. 127 */
    u32 bucket = (octave + 1) * SPREAD_STEPS + (u32)(v >> octave) - SPREAD_STEPS;
    return MIN(bucket, (u32)SPREAD_BUCKETS - 1);
}

/* The upper edge: never better than it was. */
static i64 value_of(u32 bucket)
{
    u32 octave = bucket / SPREAD_STEPS;
    if (octave == 0)
        return bucket;
    return (i64)(((u64)(bucket % SPREAD_STEPS + SPREAD_STEPS + 1) << (octave - 1)) - 1);
}

void sim_spread_add(struct spread *s, i64 us)
{
    s->count[bucket_of(us)]++;
    s->n++;
    s->max = MAX(s->max, us);
}

i64 sim_spread_at(const struct spread *s, double share)
{
    u64 wanted = (u64)((double)s->n * share), sum = 0;
    for (u32 i = 0; i < SPREAD_BUCKETS; i++) {
        sum += s->count[i];
        if (sum > wanted)
            return MIN(value_of(i), s->max);
    }
    return s->max;
}
