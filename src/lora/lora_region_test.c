// SPDX-License-Identifier: Apache-2.0
/*
 * The regions against bands.json, which another hand wrote from the same standard: every channel,
 * data rate, payload size, RX1 answer, beacon, power step and sub-band of the sixteen bands.
 */
#include "base/test.h"
#include "lora/lora.h"
#include "wire/json.h"

#include <stdio.h>

#ifndef HOTARU_SOURCE
#define HOTARU_SOURCE "."
#endif

static const struct { const char *band, *name; } bands[] = {
    { "AS_923",          "AS923-1" },   { "AS_923_2",        "AS923-2" },
    { "AS_923_3",        "AS923-3" },   { "AS_923_4",        "AS923-4" },
    { "EU_863_870",      "EU868" },     { "US_902_928",      "US915" },
    { "AU_915_928",      "AU915" },     { "CN_470_510_20_A", "CN470-20A" },
    { "CN_470_510_20_B", "CN470-20B" }, { "CN_470_510_26_A", "CN470-26A" },
    { "CN_470_510_26_B", "CN470-26B" }, { "KR_920_923",      "KR920" },
    { "IN_865_867",      "IN865" },     { "RU_864_870",      "RU864" },
    { "EU_433",          "EU433" },     { "ISM_2400",        "ISM2400" },
};

static struct { const char *name; } now;        /* the band at hand, for messages */

#define SAME(got, want)                                                                            \
    do {                                                                                           \
        long long g_ = (long long)(got), w_ = (long long)(want);                                   \
        if (g_ != w_)                                                                              \
            test_fail(__FILE__, __LINE__, "%s: %s is %lld, not %lld", now.name, #got, g_, w_);     \
    } while (0)

static const struct json *load(void)
{
    FILE *f = fopen(HOTARU_SOURCE "/test/vector/bands.json", "rb");
    struct text t = text_make(test_arena(), 1 << 20);
    const struct json *doc = NULL;
    struct json_limits limits = JSON_STRICT;
    char part[4096];
    limits.members_max = 1000000;
    if (!f)
        return NULL;
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        text_put(&t, (struct str){ part, n });
    fclose(f);
    TRUE(json_read(&doc, text_str(&t), test_arena(), limits, NULL) == OK);
    return json_get(doc, S("bands"));
}

static i64 num(const struct json *in, const char *key)
{
    i64 n = 0;
    bool b = false;
    const struct json *v = json_get(in, str_z(key));
    if (json_bool(&b, v))
        return b;
    if (!json_i64(&n, v))
        test_fail(__FILE__, __LINE__, "%s: no number %s", now.name, key);
    return n;
}

/* A decimal as a whole number of `unit`ths. */
static i64 scaled(const struct json *in, const char *key, double unit)
{
    double d = 0;
    json_double(&d, json_get(in, str_z(key)));
    return (i64)(d * unit + (d < 0 ? -0.5 : 0.5));
}

static const struct lora_channels *range_of(const struct lora_channels *ranges, int index)
{
    for (; index >= ranges->count; ranges++)
        index -= ranges->count;
    return ranges;
}

static void channels(const struct lora_region *r, enum lora_dir dir, const struct json *list)
{
    int i = 0;
    JSON_EACH (c, list) {
        const struct lora_channels *range = range_of(dir == LORA_UP ? r->up : r->down, i);
        SAME(lora_channel_hz(r, dir, i), num(c, "Frequency"));
        SAME(range->dr_min, num(c, "MinDataRate"));
        SAME(range->dr_max, num(c, "MaxDataRate"));
        SAME(lora_channel_index(r, dir, (u32)num(c, "Frequency")) >= 0, 1);
        i++;
    }
    SAME(lora_channel_hz(r, dir, i), 0);
}

static void data_rate(const struct lora_region *r, int dr, const struct json *d)
{
    const struct json *m = json_get(d, S("MaxMACPayloadSize")), *rate = json_get(d, S("Rate"));
    const struct json *lora = json_get(rate, S("lora")), *fsk = json_get(rate, S("fsk"));
    const struct json *hop = json_get(rate, S("lrfhss"));
    SAME(r->dr[dr].modulation, lora ? MOD_LORA : fsk ? MOD_FSK : hop ? MOD_LR_FHSS : MOD_NONE);
    if (!d)
        return;
    SAME(r->dr[dr].m_max[0], num(m, "false"));
    SAME(r->dr[dr].m_max[1], num(m, "true"));
    SAME(lora_payload_max(r, dr, false), num(m, "false") ? num(m, "false") - 8 : 0);
    if (lora) {
        SAME(r->dr[dr].sf, num(lora, "spreading_factor"));
        SAME(r->dr[dr].bw_hz, num(lora, "bandwidth"));
        enum lora_dir dir = r->down_dr_min && dr >= r->down_dr_min ? LORA_DOWN : LORA_UP;
        SAME(lora_dr_find(r, dir, r->dr[dr].sf, r->dr[dr].bw_hz), dr);
    } else if (fsk) {
        SAME(r->dr[dr].bit_rate, num(fsk, "bit_rate"));
        SAME(lora_dr_find_fsk(r, r->dr[dr].bit_rate), dr);
    } else {
        SAME(r->dr[dr].bw_hz, num(hop, "operating_channel_width"));
    }
    struct str cr = json_str(json_get(lora ? lora : hop, S("coding_rate")), test_arena());
    if (!fsk)
        SAME(cr.p[0] - '0' == r->dr[dr].cr_num && cr.p[2] - '0' == r->dr[dr].cr_den, 1);
}

/* "uplinkDR_offset_dwell" */
static void rx1(const struct lora_region *r, const struct json *table)
{
    JSON_EACH (e, table) {
        struct str rest = e->key, up = str_cut(&rest, '_'), offset = str_cut(&rest, '_');
        i64 dr = 0, u = 0, o = 0;
        TRUE(json_i64(&dr, e) && str_to_i64(&u, up) && str_to_i64(&o, offset));
        SAME(lora_rx1_dr(r, (int)u, (int)o, str_eq(rest, S("true"))), dr);
    }
}

static void rx1_channel(const struct lora_region *r, const struct json *table)
{
    JSON_EACH (e, table) {
        i64 up = 0, down = 0;
        TRUE(json_i64(&down, e) && str_to_i64(&up, e->key));
        u32 up_hz = lora_channel_hz(r, LORA_UP, (int)up);
        if (up_hz)
            SAME(lora_rx1_hz(r, up_hz), lora_channel_hz(r, LORA_DOWN, (int)down));
    }
}

static void frequencies(const struct lora_channels *c, const struct json *list)
{
    u32 n = 0;
    JSON_EACH (f, list) {
        i64 hz = 0;
        TRUE(json_i64(&hz, f));
        SAME(c->first_hz + n * c->step_hz, hz);
        n++;
    }
    SAME(c->count, n);
}

static void powers(const struct lora_region *r, const struct json *b)
{
    i64 n = 0;
    JSON_EACH (step, json_get(b, S("TxOffset"))) {
        i64 db = 0;
        TRUE(json_i64(&db, step));
        SAME(-2 * n, db);
        n++;
    }
    SAME(r->tx_power_max + 1, n);
    SAME(r->eirp_cdbm, scaled(b, "DefaultMaxEIRP", 100));
    n = 0;
    JSON_EACH (s, json_get(b, S("SubBands"))) {
        const struct lora_sub_band *sub = &r->sub_band[n++];
        SAME(sub->min_hz, num(s, "MinFrequency"));
        SAME(sub->max_hz, num(s, "MaxFrequency"));
        SAME(sub->duty_permille, scaled(s, "DutyCycle", 1000));
        SAME(sub->eirp_cdbm, scaled(s, "MaxEIRP", 100));
        SAME(lora_sub_band_of(r, sub->max_hz) != NULL, 1);
    }
    SAME(r->sub_band_count, n);
}

static void relay(const struct lora_region *r, const struct json *relay)
{
    u8 n = 0;
    JSON_EACH (w, json_get(relay, S("WORChannels"))) {
        SAME(r->wor[n].hz, num(w, "Frequency"));
        SAME(r->wor[n].ack_hz, num(w, "ACKFrequency"));
        SAME(r->wor[n].dr, num(w, "DataRateIndex"));
        n++;
    }
    SAME(r->wor_count, n);
}

static void rest(const struct lora_region *r, const struct json *b)
{
    const struct json *rx2 = json_get(b, S("DefaultRx2Parameters"));
    const struct json *beacon = json_get(b, S("Beacon"));
    const struct json *boot = json_get(b, S("BootDwellTime"));
    SAME(r->channels_max, num(b, "MaxUplinkChannels"));
    SAME(r->rx2_hz, num(rx2, "Frequency"));
    SAME(r->rx2_dr, num(rx2, "DataRateIndex"));
    SAME(r->beacon.dr_min, num(beacon, "DataRateIndex"));
    frequencies(&r->beacon, json_get(beacon, S("Frequencies")));
    frequencies(&r->ping, json_get(b, S("PingSlotFrequencies")));
    SAME(r->freq_step_hz, num(b, "FreqMultiplier"));
    SAME(r->adr_dr_max, num(b, "MaxADRDataRateIndex"));
    SAME(r->has_tx_param_setup, num(b, "TxParamSetupReqSupport"));
    struct str list = json_str(json_get(b, S("CFListType")), test_arena());
    SAME(r->cflist_type, str_eq(list, S("CHANNEL_MASKS")));
    if (!json_is(json_get(boot, S("Uplinks")), JSON_NULL)) {
        SAME(r->boot_dwell_up, num(boot, "Uplinks"));
        SAME(r->boot_dwell_down, num(boot, "Downlinks"));
    }
}

TEST(the_regions_are_what_another_hand_wrote_from_the_standard)
{
    const struct json *all = load();
    for (size_t i = 0; i < COUNT(bands); i++) {
        const struct json *b = json_get(all, str_z(bands[i].band));
        const struct lora_region *r = lora_region_by_name(str_z(bands[i].name));
        now.name = bands[i].band;
        SAME(b && r, 1);
        if (!b || !r)
            continue;
        channels(r, LORA_UP, json_get(b, S("UplinkChannels")));
        channels(r, LORA_DOWN, json_get(b, S("DownlinkChannels")));
        for (int dr = 0; dr < LORA_DRS; dr++) {
            const char *const digits[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10",
                                           "11", "12", "13", "14", "15" };
            data_rate(r, dr, json_get(json_get(b, S("DataRates")), str_z(digits[dr])));
        }
        rx1(r, json_get(b, S("Rx1DataRate")));
        rx1_channel(r, json_get(b, S("Rx1Channel")));
        powers(r, b);
        relay(r, json_get(b, S("Relay")));
        rest(r, b);
    }
    EQ(all ? all->members : 0, COUNT(bands));
    TRUE(lora_region_at(COUNT(bands) - 1) && !lora_region_at(COUNT(bands)));
}

/* ------------------------------------------------------------------ the tables of the reference */

static const struct lora_region *as923(void) { return lora_region_by_name(S("AS923")); }

TEST(as923_carries_what_section_3_1_says)
{
    /*   DR             0   1    2    3    4    5    6    7 */
    static const int free[]  = { 51, 51, 115, 115, 242, 242, 242, 242 };
    static const int dwell[] = {  0,  0,  11,  53, 125, 242, 242, 242 };
    for (int dr = 0; dr < 8; dr++) {
        EQ(lora_payload_max(as923(), dr, false), free[dr]);
        EQ(lora_payload_max(as923(), dr, true), dwell[dr]);
        EQ(lora_dr_is_usable(as923(), dr, true), dwell[dr] > 0);
    }
    EQ(lora_payload_max(as923(), 8, false), 0);
    EQ(lora_payload_max(as923(), -1, false), 0);
}

TEST(as923_answers_in_rx1_as_section_3_1_says)
{
    static const int off[8][8] = {
        { 0, 0, 0, 0, 0, 0, 1, 2 }, { 1, 0, 0, 0, 0, 0, 2, 3 }, { 2, 1, 0, 0, 0, 0, 3, 4 },
        { 3, 2, 1, 0, 0, 0, 4, 5 }, { 4, 3, 2, 1, 0, 0, 5, 6 }, { 5, 4, 3, 2, 1, 0, 6, 7 },
        { 6, 5, 4, 3, 2, 1, 7, 7 }, { 7, 6, 5, 4, 3, 2, 7, 7 },
    };
    static const int on[8][8] = {
        { 2, 2, 2, 2, 2, 2, 2, 2 }, { 2, 2, 2, 2, 2, 2, 2, 3 }, { 2, 2, 2, 2, 2, 2, 3, 4 },
        { 3, 2, 2, 2, 2, 2, 4, 5 }, { 4, 3, 2, 2, 2, 2, 5, 6 }, { 5, 4, 3, 2, 2, 2, 6, 7 },
        { 6, 5, 4, 3, 2, 2, 7, 7 }, { 7, 6, 5, 4, 3, 2, 7, 7 },
    };
    for (int dr = 0; dr < 8; dr++)
        for (int offset = 0; offset < 8; offset++) {
            EQ(lora_rx1_dr(as923(), dr, offset, false), off[dr][offset]);
            EQ(lora_rx1_dr(as923(), dr, offset, true), on[dr][offset]);
        }
    EQ(lora_rx1_dr(as923(), 0, 8, false), -1);
    EQ(lora_rx1_dr(as923(), 8, 0, false), -1);
    EQ(lora_rx1_hz(as923(), 922400000), 922400000);
    TRUE(as923()->boot_dwell_up && !as923()->boot_dwell_down);
}

TEST(up_and_down_differ_where_the_standard_says_so)
{
    const struct lora_region *us = lora_region_by_name(S("us902-928"));
    /*                 sf  bw_hz */
    EQ(lora_dr_find(us, LORA_UP,    8, 500000), 4);
    EQ(lora_dr_find(us, LORA_DOWN,  8, 500000), 12);
    EQ(lora_dr_find(us, LORA_UP,   12, 500000), -1);
    EQ(lora_dr_find(us, LORA_DOWN,  7, 125000), -1);
    EQ(lora_rx1_hz(us, 902300000), 923300000);
    EQ(lora_rx1_hz(us, 903900000), 923300000);
    EQ(lora_rx1_hz(us, 903700000), 927500000);
    EQ(lora_rx1_hz(us, 903000000), 923300000);       /* the first of the 500 kHz channels */
    EQ(lora_rx1_hz(us, 902400000), 0);
    EQ(lora_dr_find(as923(), LORA_DOWN, 10, 125000), 2);
}

TEST(the_eirp_steps_are_those_of_tx_param_setup)
{
    EQ(lora_eirp_dbm(0), 8);
    EQ(lora_eirp_dbm(3), 13);
    EQ(lora_eirp_dbm(5), 16);
    EQ(lora_eirp_dbm(15), 36);
    EQ(lora_eirp_index(13), 3);
    EQ(lora_eirp_index(15), 4);
    EQ(lora_eirp_index(0), 0);
}

/* ------------------------------------------------------------------ Japan */

TEST(the_japanese_plans_stay_inside_the_law)
{
    const struct lora_plan *jp = lora_plan_by_name(S("AS923-1-JP"));
    TRUE(jp && jp->region == as923());
    EQ(jp->lbt_dbm, -80);
    EQ(jp->eirp_dbm_max, 13);
    TRUE(lora_plan_has(jp, 922000000) && !lora_plan_has(jp, 920600000));
    for (size_t i = 0; lora_plan_at(i); i++) {
        const struct lora_plan *p = lora_plan_at(i);
        TRUE(lora_plan_fault(p) == NULL);
        for (int dr = p->dr_min; dr <= p->dr_max; dr++) {
            size_t phy = (size_t)lora_payload_max(p->region, dr, p->dwell_up) + 13;
            TRUE(lora_dr_airtime_us(p->region, dr, phy, true) <= p->send_ms_max * 1000);
        }
    }
}

TEST(a_plan_outside_the_law_says_why)
{
    struct lora_plan p = *lora_plan_by_name(S("AS923-1-JP"));
    p.channel_hz[7] = 923600000;                    /* above 923.4 MHz sends are short */
    TRUE(lora_plan_fault(&p) != NULL);
    p.dwell_up = true;
    TRUE(lora_plan_fault(&p) == NULL);
    EQ(lora_plan_send_ms_max(&p, 923400000), 4000);
    EQ(lora_plan_send_ms_max(&p, 923600000), 400);
    EQ(lora_plan_hour_ms_max(&p, 923400000), 0);
    EQ(lora_plan_hour_ms_max(&p, 923600000), 360000);
    p.channel_hz[7] = 928200000;
    TRUE(lora_plan_fault(&p) != NULL);
    p = *lora_plan_by_name(S("AS923-1-JP"));
    p.channel_hz[0] = 922800000;     /* 923.2 is where devices join and RX2 listens */
    TRUE(lora_plan_fault(&p) != NULL);
    p.channel_count = 0;
    TRUE(lora_plan_fault(&p) != NULL);
}
