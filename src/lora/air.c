// SPDX-License-Identifier: Apache-2.0
/* Rules over the regions' data: data rates, channels, the first receive window, time on air. */
#include "lora/inside.h"

/* ------------------------------------------------------------------ data rates */

int lora_dr_find(const struct lora_region *r, enum lora_dir dir, u8 sf, u32 bw_hz)
{
    for (int dr = dir == LORA_DOWN ? r->down_dr_min : 0; dr < LORA_DRS; dr++) {
        const struct lora_dr *d = &r->dr[dr];
        if (d->modulation == MOD_LORA && d->sf == sf && d->bw_hz == bw_hz)
            return dir == LORA_UP && r->down_dr_min && dr >= r->down_dr_min ? -1 : dr;
    }
    return -1;
}

int lora_dr_find_fsk(const struct lora_region *r, u32 bit_rate)
{
    for (int dr = 0; dr < LORA_DRS; dr++)
        if (r->dr[dr].modulation == MOD_FSK && r->dr[dr].bit_rate == bit_rate)
            return dr;
    return -1;
}

static const struct lora_dr *dr_of(const struct lora_region *r, int dr)
{
    return dr >= 0 && dr < LORA_DRS && r->dr[dr].modulation ? &r->dr[dr] : NULL;
}

bool lora_dr_is_usable(const struct lora_region *r, int dr, bool dwell)
{
    const struct lora_dr *d = dr_of(r, dr);
    return d && d->m_max[dwell] > 0;
}

int lora_payload_max(const struct lora_region *r, int dr, bool dwell)
{
    const struct lora_dr *d = dr_of(r, dr);
    return d && d->m_max[dwell] ? d->m_max[dwell] - LORA_FHDR_MIN - 1 : 0;
}

/* ------------------------------------------------------------------ RX1 */

/* RP002: the uplink's data rate, slower by the offset, never below what dwell time allows. */
int lora_rx1_dr(const struct lora_region *r, int up_dr, int offset, bool dwell)
{
    const struct lora_dr *d = dr_of(r, up_dr);
    if (!d || offset < 0 || offset > r->rx1_offset_max)
        return -1;
    if (d->modulation == MOD_LR_FHSS)
        up_dr = d->rx1_as;
    int slowest = dwell ? r->rx1_dr_min_dwell : r->rx1_dr_min;
    int dr = up_dr + r->rx1_dr_base - r->rx1_offset[offset];
    return dr < slowest ? slowest : dr > r->rx1_dr_max ? r->rx1_dr_max : dr;
}

u32 lora_channel_hz(const struct lora_region *r, enum lora_dir dir, int index)
{
    const struct lora_channels *ranges = dir == LORA_UP ? r->up : r->down;
    for (size_t i = 0; i < COUNT(r->up) && index >= 0; index -= ranges[i++].count)
        if (index < ranges[i].count)
            return ranges[i].first_hz + (u32)index * ranges[i].step_hz;
    return 0;
}

int lora_channel_index(const struct lora_region *r, enum lora_dir dir, u32 hz)
{
    for (int i = 0; lora_channel_hz(r, dir, i); i++)
        if (lora_channel_hz(r, dir, i) == hz)
            return i;
    return -1;
}

u32 lora_rx1_hz(const struct lora_region *r, u32 up_hz)
{
    if (!r->rx1_modulo)
        return up_hz;
    int index = lora_channel_index(r, LORA_UP, up_hz);
    return index < 0 ? 0 : lora_channel_hz(r, LORA_DOWN, index % r->rx1_modulo);
}

const struct lora_sub_band *lora_sub_band_of(const struct lora_region *r, u32 hz)
{
    for (size_t i = 0; i < r->sub_band_count; i++)
        if (hz >= r->sub_band[i].min_hz && hz <= r->sub_band[i].max_hz)
            return &r->sub_band[i];
    return NULL;
}

static const u8 eirps[16] = { 8, 10, 12, 13, 14, 16, 18, 20, 21, 24, 26, 27, 29, 30, 33, 36 };

int lora_eirp_dbm(u8 index) { return eirps[index & 15]; }

u8 lora_eirp_index(int dbm)
{
    u8 i = COUNT(eirps) - 1;
    while (i > 0 && eirps[i] > dbm)
        i--;
    return i;
}

/* ------------------------------------------------------------------ airtime */

/*
 * Semtech AN1200.13: symbols = 8 + max(0, ceil((8 PL - 4 SF + 28 + 16 CRC) / 4 (SF - 2 DE)) · CR),
 * after a preamble of its symbols and 4.25 of sync. SF5 and SF6 sync for 6.25 (SX1280, SX126x).
 */
u32 lora_airtime_cr_us(u8 sf, u32 bw_hz, size_t bytes, bool crc, u8 cr_den, u8 preamble)
{
    if (sf < 5 || sf > 12 || bw_hz == 0)
        return 0;
    u64 chips = 1ull << sf;
    bool slow = chips * 1000 >= 16ull * bw_hz;      /* symbols of 16 ms and more */
    i64 bits = 8 * (i64)bytes - 4 * sf + 28 + (crc ? 16 : 0);
    i64 per_block = 4 * (sf - (slow ? 2 : 0));
    i64 blocks = bits > 0 ? (bits + per_block - 1) / per_block : 0;
    u64 quarters = 4ull * preamble + (sf < 7 ? 25 : 17) + 4 * (8 + (u64)blocks * cr_den);
    return (u32)((quarters * chips * 1000000 / 4 + bw_hz / 2) / bw_hz);
}

u32 lora_airtime_us(u8 sf, u32 bw_hz, size_t bytes, bool crc)
{
    return lora_airtime_cr_us(sf, bw_hz, bytes, crc, 5, 8);
}

/* Preamble 5, sync word 3, length 1, CRC 2 (RP002 §4.2). */
static u32 fsk_airtime_us(u32 bit_rate, size_t bytes)
{
    return (u32)((5 + 3 + 1 + bytes + 2) * 8 * 1000000ull / bit_rate);
}

/* 488.28125 bit/s a hop; headers of 114 bits, three at 1/3 and two at 2/3; the payload coded and
 * cut into fragments of 48 bits with 2 bits in front. */
static u32 lr_fhss_airtime_us(const struct lora_dr *d, size_t bytes)
{
    u64 headers = d->cr_num == 1 ? 3 : 2;
    u64 coded = ((bytes + 2) * 8 + 6) * 3 / d->cr_num;
    u64 bits = headers * 114 + coded + 2 * ((coded + 47) / 48);
    return (u32)(bits * 2048);
}

u32 lora_dr_airtime_us(const struct lora_region *r, int dr, size_t bytes, bool crc)
{
    const struct lora_dr *d = dr_of(r, dr);
    if (!d)
        return 0;
    switch (d->modulation) {
    case MOD_LORA:    return lora_airtime_cr_us(d->sf, d->bw_hz, bytes, crc, d->cr_den, 8);
    case MOD_FSK:     return fsk_airtime_us(d->bit_rate, bytes);
    case MOD_LR_FHSS: return lr_fhss_airtime_us(d, bytes);
    default:          return 0;
    }
}

int lora_required_snr_cb(u8 sf) { return -25 * (sf - 4); }
