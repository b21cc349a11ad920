// SPDX-License-Identifier: Apache-2.0
#include "edge/heard.h"

bool share_take(struct share *share, struct mono now, i64 per_s)
{
    i64 earned = mono_since(now, share->refilled) * per_s / US_PER_S;
    if (earned > 0) {
        share->tokens   = MIN(share->tokens + earned, per_s);
        share->refilled = now;
    }
    return share->tokens-- > 0 || (share->tokens = 0);
}

bool heard_in_region(const struct lora_region *r, u32 hz)
{
    for (size_t i = 0; i < COUNT(r->sub_band) && i < r->sub_band_count; i++)
        if (hz >= r->sub_band[i].min_hz && hz <= r->sub_band[i].max_hz)
            return true;
    /* National plans step out of the region's default sub-band (Japan: 920.6 to 928 MHz). */
    u32 first = r->up[0].first_hz;
    return hz + 10000000 > first && hz < first + 10000000 + r->up[0].step_hz * r->up[0].count;
}
