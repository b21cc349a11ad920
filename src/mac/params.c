// SPDX-License-Identifier: Apache-2.0
#include "mac/params.h"

#define STORED_AS 1

static u16 with(u16 set, int bit)
{
    return (u16)(set | 1u << bit);
}

/* ------------------------------------------------------------------ the sets */

static void put_channel(struct params *p, int i, u32 hz, u8 dr_min, u8 dr_max)
{
    p->channel[i] = (struct params_channel){ hz, dr_min, dr_max };
    p->down_hz[i] = hz;
    p->mask[0]    = with(p->mask[0], i);
}

static struct params boot(const struct lora_region *region)
{
    struct params p = { .dr = PARAMS_KEEP, .nb_trans = 1, .rx1_delay_s = LORA_RX1_DELAY_S,
                        .rx2_dr = region->rx2_dr, .rx2_hz = region->rx2_hz,
                        .eirp_index = lora_eirp_index(region->eirp_cdbm / 100),
                        .adr_limit_exp = 6, .adr_delay_exp = 5, .rejoin_time_n = PARAMS_KEEP,
                        .dwell_up = region->boot_dwell_up, .dwell_down = region->boot_dwell_down };
    for (int i = 0; i < params_defaults(region); i++)
        if (params_is_fixed(region))
            p.mask[i / 16] = with(p.mask[i / 16], i % 16);
        else
            put_channel(&p, i, lora_channel_hz(region, LORA_UP, i), region->up[0].dr_min, region->up[0].dr_max);
    return p;
}

void params_begin(struct params_state *out, const struct lora_region *region)
{
    memset(out, 0, sizeof *out);
    out->now       = boot(region);
    out->talk.dr   = out->talk.tx_power = out->talk.nb_trans = PARAMS_KEEP;
    out->talk.dr_most = out->talk.power_most = PARAMS_KEEP;
}

/* Type 0: frequencies behind the default channels, all on (RP002). Type 1: the mask. */
static void take_cflist(struct params *now, const struct lora_region *region, const struct lora_cflist *list)
{
    int first = params_defaults(region);
    if (list->type == 1)
        memcpy(now->mask, list->ch_mask, sizeof now->mask);
    else
        for (int i = 0; i < 5 && first + i < PARAMS_CHANNELS && !params_is_fixed(region); i++)
            if (list->freq_hz[i] != 0)
                put_channel(now, first + i, list->freq_hz[i], region->up[0].dr_min, region->up[0].dr_max);
}

void params_joined(struct params_state *out, const struct lora_region *region, const struct lora_join_accept *accept)
{
    struct lora_cflist list;
    params_begin(out, region);
    out->now.rx1_delay_s   = (u8)MAX(accept->rx_delay & 15, 1);
    out->now.rx1_dr_offset = accept->rx1_dr_offset;
    out->now.rx2_dr        = accept->rx2_dr;
    if (accept->has_cflist && lora_cflist_parse(&list, accept->cflist) == LORA_OK)
        take_cflist(&out->now, region, &list);
}

void params_wanted(struct params *out, const struct lora_region *region, const struct lora_plan *plan)
{
    *out = boot(region);
    out->tx_power = out->nb_trans = PARAMS_KEEP;
    if (!plan || plan->region != region)
        return;
    out->eirp_index = lora_eirp_index(plan->eirp_dbm_max);
    out->dwell_up   = plan->dwell_up;
    out->dwell_down = plan->dwell_down;
    for (int i = params_defaults(region); i < plan->channel_count && !params_is_fixed(region); i++)
        put_channel(out, i, plan->channel_hz[i], plan->dr_min, plan->dr_max);
}

/* ------------------------------------------------------------------ as it is stored */

#define SMALL(p) { &(p)->rx2_dr, &(p)->rx1_dr_offset, &(p)->rx1_delay_s, &(p)->eirp_index, &(p)->duty_exp, &(p)->adr_limit_exp, \
                   &(p)->adr_delay_exp, &(p)->rejoin_time_n, &(p)->rejoin_count_n, &(p)->dr, &(p)->tx_power, &(p)->nb_trans }

static void write_params(struct buf *out, const struct params *p)
{
    const u8 *const small[] = SMALL(p);
    u16 used = 0;
    buf_u32le(out, p->rx2_hz);
    for (size_t i = 0; i < COUNT(small); i++)
        buf_u8(out, *small[i]);
    buf_u8(out, (u8)(p->dwell_up | p->dwell_down << 1));
    for (int w = 0; w < PARAMS_WORDS; w++)
        buf_u16le(out, p->mask[w]);
    for (int i = 0; i < PARAMS_CHANNELS; i++)
        used = p->channel[i].up_hz || p->down_hz[i] ? with(used, i) : used;
    buf_u16le(out, used);
    for (int i = 0; i < PARAMS_CHANNELS; i++)
        if (used >> i & 1) {
            buf_u32le(out, p->channel[i].up_hz);
            buf_u32le(out, p->down_hz[i]);
            buf_u8(out, (u8)(p->channel[i].dr_min << 4 | p->channel[i].dr_max));
        }
}

static void read_params(struct params *p, struct cur *c)
{
    u8 *const small[] = SMALL(p);
    p->rx2_hz = cur_u32le(c);
    for (size_t i = 0; i < COUNT(small); i++)
        *small[i] = cur_u8(c);
    u8 dwell = cur_u8(c);
    p->dwell_up   = dwell & 1;
    p->dwell_down = dwell >> 1 & 1;
    for (int w = 0; w < PARAMS_WORDS; w++)
        p->mask[w] = cur_u16le(c);
    u16 used = cur_u16le(c);
    for (int i = 0; i < PARAMS_CHANNELS; i++)
        if (used >> i & 1) {
            p->channel[i].up_hz = cur_u32le(c);
            p->down_hz[i]       = cur_u32le(c);
            u8 range            = cur_u8(c);
            p->channel[i].dr_min = range >> 4;
            p->channel[i].dr_max = range & 15;
        }
}

#define SETS(t) { &(t)->asked, &(t)->repeated, &(t)->refused, &(t)->channels_asked, &(t)->channels_refused, &(t)->dl_asked, &(t)->dl_refused }
#define LIMITS(t) { &(t)->dr, &(t)->tx_power, &(t)->nb_trans, &(t)->dr_most, &(t)->power_most }

void params_write(struct buf *out, const struct params_state *s)
{
    const struct params_talk *t = &s->talk;
    const u16 *const sets[] = SETS(t);
    const u8 *const limits[] = LIMITS(t);
    buf_u8(out, STORED_AS);
    write_params(out, &s->now);
    write_params(out, &t->sent);
    for (size_t i = 0; i < COUNT(sets); i++)
        buf_u16le(out, *sets[i]);
    for (size_t i = 0; i < COUNT(limits); i++)
        buf_u8(out, *limits[i]);
    buf_put(out, (struct bytes){ t->tries, sizeof t->tries });
    buf_put(out, (struct bytes){ t->wait, sizeof t->wait });
    buf_u8(out, t->mask_refused);
}

bool params_read(struct params_state *out, struct bytes stored)
{
    struct params_talk *t = &out->talk;
    struct cur c = cur_of(stored);
    u16 *const sets[] = SETS(t);
    u8 *const limits[] = LIMITS(t);
    memset(out, 0, sizeof *out);
    if (cur_u8(&c) != STORED_AS)
        return false;
    read_params(&out->now, &c);
    read_params(&t->sent, &c);
    for (size_t i = 0; i < COUNT(sets); i++)
        *sets[i] = cur_u16le(&c);
    for (size_t i = 0; i < COUNT(limits); i++)
        *limits[i] = cur_u8(&c);
    for (int i = 0; i < ASKS; i++)
        t->tries[i] = cur_u8(&c);
    for (int i = 0; i < ASKS; i++)
        t->wait[i] = cur_u8(&c);
    t->mask_refused = cur_u8(&c) & 1;
    return !c.bad && cur_left(&c) == 0;
}
