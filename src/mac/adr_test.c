// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "mac/adr.h"

static const struct adr_policy usual = { .dr_max = 5, .power_most = 7, .nb_trans_most = 3, .margin_cb = 100 };

/* n uplinks of one SNR, of which each `step`-th counter was heard. */
static struct adr_heard heard_of(int snr_cb, u32 n, u32 step)
{
    return (struct adr_heard){ .n = (u8)n, .first_fcnt = 1000, .last_fcnt = 1000 + (n - 1) * step, .sum_cb = snr_cb * (i32)n,
                               .best_cb = (i16)snr_cb };
}

static struct adr_says decide(const char *region, struct adr_state now, int snr_cb, u32 n, u32 step)
{
    struct adr_heard heard = heard_of(snr_cb, n, step);
    return adr_decide(lora_region_by_name(str_z(region)), &usual, now, &heard, test_arena());
}

TEST(adr_spends_what_is_spare_on_the_data_rate_first_and_on_power_then)
{
    static const struct { int snr_cb; struct adr_state now, to; } rows[] = {
        { -105, { 2, 0, 1 }, { 2, 0, 1 } },     /* SF10 needs -15: 4.5 dB above, all of it kept in hand: less power is not possible */
        {  -50, { 2, 0, 1 }, { 2, 0, 1 } },     /* 10.0 dB above: just the margin */
        {  -20, { 2, 0, 1 }, { 3, 0, 1 } },     /* one step */
        {   40, { 2, 0, 1 }, { 5, 0, 1 } },     /* three */
        {  100, { 2, 0, 1 }, { 5, 2, 1 } },     /* five: three data rates, two powers */
        {  100, { 5, 2, 1 }, { 5, 4, 1 } },     /* SF7 needs -7.5: 17.5 above, two steps more */
        {    0, { 5, 2, 1 }, { 5, 1, 1 } },     /* 2.5 dB of the margin are missing: a step of power back */
        { -100, { 5, 7, 1 }, { 5, 2, 1 } },     /* five steps back, and never a slower data rate */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct adr_says says = decide("AS923-1", rows[i].now, rows[i].snr_cb, ADR_HISTORY, 1);
        EQ(says.to.dr, rows[i].to.dr);
        EQ(says.to.tx_power, rows[i].to.tx_power);
        EQ(says.to.nb_trans, rows[i].to.nb_trans);
        EQ(says.changes, memcmp(&rows[i].now, &rows[i].to, sizeof rows[i].to) != 0);
    }
}

TEST(adr_climbs_out_of_the_slowest_data_rate_after_four_uplinks)
{
    TRUE(!decide("EU868", (struct adr_state){ 0, 0, 1 }, 50, 3, 1).changes);
    EQ(decide("EU868", (struct adr_state){ 0, 0, 1 }, 50, 4, 1).to.dr, 5);
}

TEST(with_a_short_history_the_mean_decides_and_with_a_full_one_the_best)
{
    const struct lora_region *as923 = lora_region_by_name(S("AS923-1"));
    struct adr_heard heard = heard_of(-60, 5, 1);
    heard.best_cb = 40;
    EQ(adr_decide(as923, &usual, (struct adr_state){ 2, 0, 1 }, &heard, test_arena()).to.dr, 2);
    heard = heard_of(-60, ADR_HISTORY, 1);
    heard.best_cb = 40;
    EQ(adr_decide(as923, &usual, (struct adr_state){ 2, 0, 1 }, &heard, test_arena()).to.dr, 5);
}

TEST(what_is_lost_buys_repetitions_and_they_are_given_back)
{
    EQ(decide("EU868", (struct adr_state){ 5, 0, 1 }, 25, 20, 1).to.nb_trans, 1);
    EQ(decide("EU868", (struct adr_state){ 5, 0, 1 }, 25, 20, 2).to.nb_trans, 3);        /* half of them lost */
    EQ(decide("EU868", (struct adr_state){ 5, 0, 3 }, 25, 20, 1).to.nb_trans, 2);
    EQ(decide("EU868", (struct adr_state){ 5, 0, 1 }, 25, 19, 2).to.nb_trans, 1);        /* not yet known */
}

TEST(adr_stays_within_the_profile_and_what_the_device_has_refused)
{
    struct adr_heard heard = heard_of(100, ADR_HISTORY, 3);
    struct adr_policy narrow = { .dr_min = 2, .dr_max = 3, .power_most = 1, .nb_trans_most = 1, .margin_cb = 0 };
    struct adr_says says = adr_decide(lora_region_by_name(S("AS923-1")), &narrow, (struct adr_state){ 2, 0, 1 }, &heard, test_arena());
    EQ(says.to.dr, 3);
    EQ(says.to.tx_power, 1);
    EQ(says.to.nb_trans, 1);
}

TEST(adr_never_asks_for_what_is_not_lora)
{
    for (size_t i = 0; lora_region_at(i); i++) {
        const struct lora_region *region = lora_region_at(i);
        struct adr_policy open = { .dr_max = 15, .power_most = 15, .nb_trans_most = 3 };
        struct adr_heard heard = heard_of(900, ADR_HISTORY, 1);
        for (u8 dr = 0; dr < LORA_DRS; dr++) {
            struct adr_says says = adr_decide(region, &open, (struct adr_state){ dr, 0, 1 }, &heard, test_arena());
            TRUE(!says.changes || region->dr[says.to.dr].modulation == MOD_LORA);
            TRUE(says.to.dr <= MAX(dr, region->adr_dr_max));
            TRUE(says.to.tx_power <= region->tx_power_max);
        }
    }
}

TEST(adr_says_why_in_words)
{
    STR_EQ(decide("AS923-1", (struct adr_state){ 2, 0, 1 }, 45, 20, 1).words,
           S("20 uplinks at DR2, best SNR 4.5 dB; it needs -15.0, 10.0 are kept in hand: +3 steps of 3 dB; 0 % lost; DR2 -> DR5"));
    STR_EQ(decide("AS923-1", (struct adr_state){ 5, 0, 1 }, 25, 6, 1).words,
           S("6 uplinks at DR5, mean SNR 2.5 dB; it needs -7.5, 10.0 are kept in hand: +0 steps of 3 dB; nothing to change"));
}
