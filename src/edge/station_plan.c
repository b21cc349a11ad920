// SPDX-License-Identifier: Apache-2.0
#include "edge/station_plan.h"

static bool is_of(const struct lora_plan *plan, const struct lora_region *region)
{
    return plan && plan->region == region;
}

/* Station knows LoRa of SF7 to SF12, and FSK. */
static struct station_dr rate(const struct lora_region *region, u32 dr)
{
    const struct lora_dr *d = &region->dr[dr];
    if (d->modulation == MOD_FSK)
        return (struct station_dr){ 0, 0, false };
    if (d->modulation != MOD_LORA || d->sf < 7)
        return (struct station_dr){ -1, 0, false };
    return (struct station_dr){ (i8)d->sf, (u16)(d->bw_hz / 1000), region->down_dr_min > 0 && dr >= region->down_dr_min };
}

static void add(struct station_config *c, u32 hz, u8 dr_min, u8 dr_max, u32 bw_hz)
{
    if (c->channels_n < STATION_CHANNELS)
        c->channel[c->channels_n++] = (struct station_channel){ hz, dr_min, dr_max, (u16)(bw_hz / 1000) };
}

static void add_channels(struct station_config *c, const struct lora_region *region, const struct lora_plan *plan)
{
    if (is_of(plan, region)) {
        for (u32 i = 0; i < plan->channel_count; i++)
            add(c, plan->channel_hz[i], plan->dr_min, plan->dr_max, 125000);
        return;
    }
    for (size_t k = 0; k < COUNT(region->up); k++)
        for (u32 i = 0; i < region->up[k].count; i++)
            add(c, region->up[k].first_hz + i * region->up[k].step_hz, region->up[k].dr_min, region->up[k].dr_max,
                region->dr[region->up[k].dr_min].bw_hz);
}

static void widen(struct station_config *c, u32 low, u32 high)
{
    c->min_hz = c->min_hz == 0 ? low : MIN(c->min_hz, low);
    c->max_hz = MAX(c->max_hz, high);
}

static void range(struct station_config *c, const struct lora_region *region, const struct lora_plan *plan)
{
    if (is_of(plan, region)) {
        widen(c, plan->min_hz, plan->max_hz);
        return;
    }
    for (size_t i = 0; i < region->sub_band_count; i++)
        widen(c, region->sub_band[i].min_hz, region->sub_band[i].max_hz);
    for (u32 i = 0; i < c->channels_n; i++)
        widen(c, c->channel[i].hz, c->channel[i].hz);
    widen(c, region->rx2_hz, region->rx2_hz);
}

void station_plan(struct station_config *out, const struct lora_region *region, const struct lora_plan *plan, struct str station,
                  struct str model, bool *as_is)
{
    *out = (struct station_config){ .model = model };
    out->region   = station_region(str_z(region->name), station, as_is);
    out->eirp_dbm = is_of(plan, region) ? plan->eirp_dbm_max : (i16)(region->eirp_cdbm / 100);
    for (u32 i = 0; i < STATION_DRS; i++)
        out->dr[i] = rate(region, i);
    add_channels(out, region, plan);
    range(out, region, plan);
}

bool station_plan_hears(const struct lora_region *region, const struct lora_plan *plan, u32 hz)
{
    struct station_config c = { 0 };
    add_channels(&c, region, plan);
    range(&c, region, plan);
    return hz >= c.min_hz && hz <= c.max_hz;
}
