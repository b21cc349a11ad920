// SPDX-License-Identifier: Apache-2.0
/*
 * RP002-1.0.4 as data, one value a band, and Japan's plan. test/vector/bands.json holds these
 * values once more, from another hand; lora_region_test.c compares the two field by field.
 *
 * What bands.json does not say is from the reference (§3): the data rates of joining, the dwell
 * time a device assumes at boot, Japan.
 */
#include "lora/inside.h"

/*                                               M without dwell, with dwell */
#define LORA_SF(spread, bw, free, dwell)   { .modulation = MOD_LORA, .sf = spread, .bw_hz = bw, \
                                             .cr_num = 4, .cr_den = 5, .m_max = { free, dwell } }
#define FSK(rate, free)                    { .modulation = MOD_FSK, .bit_rate = rate, \
                                             .m_max = { free, free } }
#define LR_FHSS(bw, num, as, free)         { .modulation = MOD_LR_FHSS, .bw_hz = bw, \
                                             .cr_num = num, .cr_den = 3, .rx1_as = as, \
                                             .m_max = { free, free } }
/* 2.4 GHz: coding rate 4/8, long interleaver */
#define LORA_LI(spread, free)              { .modulation = MOD_LORA, .sf = spread, \
                                             .bw_hz = 812000, \
                                             .cr_num = 4, .cr_den = 8, .m_max = { free, free } }

/* RX1DROffset 0…5 takes away as many data rates. */
#define OFFSETS_6  .rx1_offset_max = 5, .rx1_offset = { 0, 1, 2, 3, 4, 5 }
/* 6 and 7 add one and two. */
#define OFFSETS_8  .rx1_offset_max = 7, .rx1_offset = { 0, 1, 2, 3, 4, 5, -1, -2 }

#define ONE(hz, rate)           { hz, 0, 1, rate, rate }
#define EIGHT(hz, step, rate)   { hz, step, 8, rate, rate }

/* ------------------------------------------------------------------ AS923, four of one kind */

#define AS923(n, shift_hz, band_min, band_max) {                                                   \
    .name = "AS923-" n, .plan = "AS923-" n,                                                        \
    .up   = { { 923200000 - shift_hz, 200000, 2, DR_0, DR_5 } },                                   \
    .down = { { 923200000 - shift_hz, 200000, 2, DR_0, DR_5 } },                                   \
    .channels_max = 16,                                                                            \
    .dr = {                                                                                        \
        [DR_0] = LORA_SF(12, 125000,  59,   0),                                                    \
        [DR_1] = LORA_SF(11, 125000,  59,   0),                                                    \
        [DR_2] = LORA_SF(10, 125000, 123,  19),                                                    \
        [DR_3] = LORA_SF( 9, 125000, 123,  61),                                                    \
        [DR_4] = LORA_SF( 8, 125000, 250, 133),                                                    \
        [DR_5] = LORA_SF( 7, 125000, 250, 250),                                                    \
        [DR_6] = LORA_SF( 7, 250000, 250, 250),                                                    \
        [DR_7] = FSK(50000, 250),                                                                  \
    },                                                                                             \
    .adr_dr_max = DR_5, .join_dr_min = DR_2, .join_dr_max = DR_5,                                  \
    .rx1_dr_min = DR_0, .rx1_dr_min_dwell = DR_2, .rx1_dr_max = DR_7, OFFSETS_8,                   \
    .rx2_hz = 923200000 - shift_hz, .rx2_dr = DR_2,                                                \
    .tx_power_max = 7, .eirp_cdbm = 1600,                                                          \
    .has_tx_param_setup = true, .boot_dwell_up = true, .dwell_ms_max = 400,                        \
    .cflist_type = 0, .freq_step_hz = 100,                                                         \
    .beacon = ONE(923400000 - shift_hz, DR_3), .ping = ONE(923400000 - shift_hz, DR_3),            \
    .wor_count = 1, .wor = { { 923600000 - shift_hz, 923800000 - shift_hz, DR_3 } },               \
    .sub_band_count = 1, .sub_band = { { band_min, band_max, 10, 1600 } },                         \
}

/* ------------------------------------------------------------------ CN470, four of one kind */

#define CN470(n, beacons, rx2, modulo, channels, ...) {                                            \
    .name = "CN470-" n, .plan = "CN470-510-" n,                                                    \
    __VA_ARGS__,                                                                                   \
    .channels_max = channels, .rx1_modulo = modulo,                                                \
    .dr = {                                                                                        \
        [DR_1] = LORA_SF(11, 125000,  31,  31),                                                    \
        [DR_2] = LORA_SF(10, 125000,  94,  94),                                                    \
        [DR_3] = LORA_SF( 9, 125000, 172, 172),                                                    \
        [DR_4] = LORA_SF( 8, 125000, 250, 250),                                                    \
        [DR_5] = LORA_SF( 7, 125000, 250, 250),                                                    \
        [DR_6] = LORA_SF( 7, 500000, 250, 250),                                                    \
        [DR_7] = FSK(50000, 250),                                                                  \
    },                                                                                             \
    .adr_dr_max = DR_5, .join_dr_min = DR_1, .join_dr_max = DR_5,                                  \
    .rx1_dr_max = DR_5, OFFSETS_6,                                                                 \
    .rx2_hz = rx2, .rx2_dr = DR_0,                                                                 \
    .tx_power_max = 7, .eirp_cdbm = 1915,                                                          \
    .cflist_type = 1, .freq_step_hz = 100,                                                         \
    .beacon = beacons, .ping = beacons,                                                            \
    .wor_count = 2, .wor = { { 472100000, 485300000, DR_3 }, { 494900000, 505500000, DR_3 } },     \
    .sub_band_count = 1, .sub_band = { { 470000000, 510000000, 1000, 1915 } },                     \
}
#define HOPS { 0, 0, 0, DR_2, DR_2 }

/* The six usual data rates and what stands in DR 6 and 7. */
#define LORA_6(m2, six, seven)                                                                     \
    .dr = {                                                                                        \
        [DR_0] = LORA_SF(12, 125000,  59,  59),                                                    \
        [DR_1] = LORA_SF(11, 125000,  59,  59),                                                    \
        [DR_2] = LORA_SF(10, 125000,  m2,  m2),                                                    \
        [DR_3] = LORA_SF( 9, 125000, 123, 123),                                                    \
        [DR_4] = LORA_SF( 8, 125000, 250, 250),                                                    \
        [DR_5] = LORA_SF( 7, 125000, 250, 250),                                                    \
        [DR_6] = six, [DR_7] = seven,                                                              \
    }
#define SF7_250 LORA_SF(7, 250000, 250, 250)
#define FSK_50  FSK(50000, 250)
#define NO_DR   { .modulation = MOD_NONE }

static const struct lora_region regions[] = {
    AS923("1",       0, 923000000, 923500000),
    AS923("2", 1800000, 921400000, 922000000),
    AS923("3", 6600000, 916500000, 917000000),
    AS923("4", 5900000, 917300000, 917500000),
    {
        .name = "EU868", .plan = "EU863-870",
        .up   = { { 868100000, 200000, 3, DR_0, DR_5 } },
        .down = { { 868100000, 200000, 3, DR_0, DR_5 } },
        .channels_max = 16,
        .dr = {
            [DR_0]  = LORA_SF(12, 125000,  59,  59),
            [DR_1]  = LORA_SF(11, 125000,  59,  59),
            [DR_2]  = LORA_SF(10, 125000,  59,  59),
            [DR_3]  = LORA_SF( 9, 125000, 123, 123),
            [DR_4]  = LORA_SF( 8, 125000, 250, 250),
            [DR_5]  = LORA_SF( 7, 125000, 250, 250),
            [DR_6]  = SF7_250,
            [DR_7]  = FSK_50,
            [DR_8]  = LR_FHSS(137000, 1, DR_1,  58),
            [DR_9]  = LR_FHSS(137000, 2, DR_2, 123),
            [DR_10] = LR_FHSS(336000, 1, DR_1,  58),
            [DR_11] = LR_FHSS(336000, 2, DR_2, 123),
        },
        .adr_dr_max = DR_5, .join_dr_min = DR_0, .join_dr_max = DR_5,
        .rx1_dr_max = DR_7, OFFSETS_6,
        .rx2_hz = 869525000, .rx2_dr = DR_0,
        .tx_power_max = 7, .eirp_cdbm = 1600,
        .cflist_type = 0, .freq_step_hz = 100,
        .beacon = ONE(869525000, DR_3), .ping = ONE(869525000, DR_3),
        .wor_count = 2, .wor = { { 865100000, 865300000, DR_3 }, { 865500000, 865900000, DR_3 } },
        .sub_band_count = 6, .sub_band = {
            { 863000000, 865000000,   1, 1615 }, { 865000000, 868000000,  10, 1615 },
            { 868000000, 868600000,  10, 1615 }, { 868700000, 869200000,   1, 1615 },
            { 869400000, 869650000, 100, 2915 }, { 869700000, 870000000,  10, 1615 },
        },
    },
    {
        .name = "US915", .plan = "US902-928",
        .up   = { { 902300000, 200000, 64, DR_0, DR_3 }, { 903000000, 1600000, 8, DR_4, DR_6 } },
        .down = { { 923300000, 600000, 8, DR_8, DR_13 } },
        .channels_max = 72, .rx1_modulo = 8,
        .dr = {
            [DR_0]  = LORA_SF(10, 125000,  19,  19),
            [DR_1]  = LORA_SF( 9, 125000,  61,  61),
            [DR_2]  = LORA_SF( 8, 125000, 133, 133),
            [DR_3]  = LORA_SF( 7, 125000, 250, 250),
            [DR_4]  = LORA_SF( 8, 500000, 250, 250),
            [DR_5]  = LR_FHSS(1523000, 1, DR_0,  58),
            [DR_6]  = LR_FHSS(1523000, 2, DR_1, 133),
            [DR_8]  = LORA_SF(12, 500000,  61,  61),
            [DR_9]  = LORA_SF(11, 500000, 137, 137),
            [DR_10] = LORA_SF(10, 500000, 250, 250),
            [DR_11] = LORA_SF( 9, 500000, 250, 250),
            [DR_12] = LORA_SF( 8, 500000, 250, 250),
            [DR_13] = LORA_SF( 7, 500000, 250, 250),
        },
        .adr_dr_max = DR_3, .join_dr_min = DR_0, .join_dr_max = DR_0, .join_dr_wide = DR_4,
        .down_dr_min = DR_8, .rx1_dr_base = 10,
        .rx1_dr_min = DR_8, .rx1_dr_min_dwell = DR_8, .rx1_dr_max = DR_13,
        .rx1_offset_max = 3, .rx1_offset = { 0, 1, 2, 3 },
        .rx2_hz = 923300000, .rx2_dr = DR_8,
        .tx_power_max = 14, .eirp_cdbm = 3000,
        .boot_dwell_up = true, .dwell_ms_max = 400,
        .cflist_type = 1, .freq_step_hz = 100,
        .beacon = EIGHT(923300000, 600000, DR_8), .ping = EIGHT(923300000, 600000, DR_8),
        .wor_count = 2, .wor = { { 916700000, 918300000, DR_10 }, { 919900000, 921500000, DR_10 } },
        .sub_band_count = 2, .sub_band = {
            { 902300000, 914900000, 1000, 2315 }, { 923300000, 927500000, 1000, 2815 },
        },
    },
    {
        .name = "AU915", .plan = "AU915-928",
        .up   = { { 915200000, 200000, 64, DR_0, DR_5 }, { 915900000, 1600000, 8, DR_6, DR_7 } },
        .down = { { 923300000, 600000, 8, DR_8, DR_13 } },
        .channels_max = 72, .rx1_modulo = 8,
        .dr = {
            [DR_0]  = LORA_SF(12, 125000,  59,   0),
            [DR_1]  = LORA_SF(11, 125000,  59,   0),
            [DR_2]  = LORA_SF(10, 125000,  59,  19),
            [DR_3]  = LORA_SF( 9, 125000, 123,  61),
            [DR_4]  = LORA_SF( 8, 125000, 250, 133),
            [DR_5]  = LORA_SF( 7, 125000, 250, 250),
            [DR_6]  = LORA_SF( 8, 500000, 250, 250),
            [DR_7]  = LR_FHSS(1523000, 1, DR_1,  58),
            [DR_8]  = LORA_SF(12, 500000,  61,  61),
            [DR_9]  = LORA_SF(11, 500000, 137, 137),
            [DR_10] = LORA_SF(10, 500000, 250, 250),
            [DR_11] = LORA_SF( 9, 500000, 250, 250),
            [DR_12] = LORA_SF( 8, 500000, 250, 250),
            [DR_13] = LORA_SF( 7, 500000, 250, 250),
        },
        .adr_dr_max = DR_5, .join_dr_min = DR_2, .join_dr_max = DR_2, .join_dr_wide = DR_6,
        .down_dr_min = DR_8, .rx1_dr_base = 8,
        .rx1_dr_min = DR_8, .rx1_dr_min_dwell = DR_8, .rx1_dr_max = DR_13, OFFSETS_6,
        .rx2_hz = 923300000, .rx2_dr = DR_8,
        .tx_power_max = 14, .eirp_cdbm = 3000,
        .has_tx_param_setup = true, .boot_dwell_up = true, .dwell_ms_max = 400,
        .cflist_type = 1, .freq_step_hz = 100,
        .beacon = EIGHT(923300000, 600000, DR_8), .ping = EIGHT(923300000, 600000, DR_8),
        .wor_count = 2, .wor = { { 916700000, 918300000, DR_10 }, { 919900000, 921500000, DR_10 } },
        .sub_band_count = 1, .sub_band = { { 915000000, 928000000, 1000, 3000 } },
    },
    CN470("20A", HOPS, 486900000, 64, 64,
          .up   = { { 470300000, 200000, 32, DR_1, DR_5 }, { 503500000, 200000, 32, DR_1, DR_5 } },
          .down = { { 483900000, 200000, 64, DR_1, DR_5 } }),
    CN470("20B", HOPS, 498300000, 64, 64,
          .up   = { { 476900000, 200000, 32, DR_1, DR_5 }, { 496900000, 200000, 32, DR_1, DR_5 } },
          .down = { { 476900000, 200000, 32, DR_1, DR_5 }, { 496900000, 200000, 32, DR_1, DR_5 } }),
    CN470("26A", ONE(494900000, DR_2), 492500000, 24, 48,
          .up   = { { 470300000, 200000, 48, DR_1, DR_5 } },
          .down = { { 490100000, 200000, 24, DR_1, DR_5 } }),
    CN470("26B", ONE(504900000, DR_2), 502500000, 24, 48,
          .up   = { { 480300000, 200000, 48, DR_1, DR_5 } },
          .down = { { 500100000, 200000, 24, DR_1, DR_5 } }),
    {
        .name = "KR920", .plan = "KR920-923",
        .up   = { { 922100000, 200000, 3, DR_0, DR_5 } },
        .down = { { 922100000, 200000, 3, DR_0, DR_5 } },
        .channels_max = 16,
        LORA_6(59, NO_DR, NO_DR),
        .adr_dr_max = DR_5, .join_dr_min = DR_0, .join_dr_max = DR_5,
        .rx1_dr_max = DR_5, OFFSETS_6,
        .rx2_hz = 921900000, .rx2_dr = DR_0,
        .tx_power_max = 7, .eirp_cdbm = 1400,
        .cflist_type = 0, .freq_step_hz = 100,
        .beacon = ONE(923100000, DR_3), .ping = ONE(923100000, DR_3),
        .wor_count = 2, .wor = { { 922700000, 922900000, DR_3 }, { 923100000, 923100000, DR_3 } },
        .sub_band_count = 1, .sub_band = { { 920000000, 923000000, 1000, 1615 } },
    },
    {
        .name = "IN865", .plan = "IN865-867",
        .up   = { { 865062500, 340000, 2, DR_0, DR_5 }, { 865985000, 0, 1, DR_0, DR_5 } },
        .down = { { 865062500, 340000, 2, DR_0, DR_5 }, { 865985000, 0, 1, DR_0, DR_5 } },
        .channels_max = 16,
        LORA_6(59, NO_DR, FSK_50),
        .adr_dr_max = DR_5, .join_dr_min = DR_0, .join_dr_max = DR_5,
        .rx1_dr_max = DR_7, OFFSETS_8,
        .rx2_hz = 866550000, .rx2_dr = DR_2,
        .tx_power_max = 10, .eirp_cdbm = 3000,
        .cflist_type = 0, .freq_step_hz = 100,
        .beacon = ONE(866500000, DR_4), .ping = ONE(866500000, DR_4),
        .wor_count = 2, .wor = { { 866000000, 866200000, DR_3 }, { 866700000, 866900000, DR_3 } },
        .sub_band_count = 1, .sub_band = { { 865000000, 867000000, 1000, 1615 } },
    },
    {
        .name = "RU864", .plan = "RU864-870",
        .up   = { { 868900000, 200000, 2, DR_0, DR_5 } },
        .down = { { 868900000, 200000, 2, DR_0, DR_5 } },
        .channels_max = 16,
        LORA_6(59, SF7_250, FSK_50),
        .adr_dr_max = DR_5, .join_dr_min = DR_0, .join_dr_max = DR_5,
        .rx1_dr_max = DR_7, OFFSETS_6,
        .rx2_hz = 869100000, .rx2_dr = DR_0,
        .tx_power_max = 7, .eirp_cdbm = 1600,
        .cflist_type = 0, .freq_step_hz = 100,
        .beacon = ONE(869100000, DR_3), .ping = ONE(868900000, DR_3),
        .wor_count = 2, .wor = { { 866100000, 866300000, DR_3 }, { 866500000, 866900000, DR_3 } },
        .sub_band_count = 1, .sub_band = { { 864000000, 870000000, 10, 2215 } },
    },
    {
        .name = "EU433", .plan = "EU433",
        .up   = { { 433175000, 200000, 3, DR_0, DR_5 } },
        .down = { { 433175000, 200000, 3, DR_0, DR_5 } },
        .channels_max = 16,
        LORA_6(59, SF7_250, FSK_50),
        .adr_dr_max = DR_5, .join_dr_min = DR_0, .join_dr_max = DR_5,
        .rx1_dr_max = DR_7, OFFSETS_6,
        .rx2_hz = 434665000, .rx2_dr = DR_0,
        .tx_power_max = 5, .eirp_cdbm = 1215,
        .cflist_type = 0, .freq_step_hz = 100,
        .beacon = ONE(434655000, DR_3), .ping = ONE(434655000, DR_3),
        .sub_band_count = 1, .sub_band = { { 433175000, 434665000, 100, 1215 } },
    },
    {
        .name = "ISM2400", .plan = "ISM2400",
        .up   = { { 2403000000, 22000000, 2, DR_0, DR_7 }, { 2479000000, 0, 1, DR_0, DR_7 } },
        .down = { { 2403000000, 22000000, 2, DR_0, DR_7 }, { 2479000000, 0, 1, DR_0, DR_7 } },
        .channels_max = 16,
        .dr = {
            [DR_0] = LORA_LI(12,  59), [DR_1] = LORA_LI(11, 123), [DR_2] = LORA_LI(10, 250),
            [DR_3] = LORA_LI( 9, 250), [DR_4] = LORA_LI( 8, 250), [DR_5] = LORA_LI( 7, 250),
            [DR_6] = LORA_LI( 6, 250), [DR_7] = LORA_LI( 5, 250),
        },
        .adr_dr_max = DR_0, .join_dr_min = DR_0, .join_dr_max = DR_7,
        .rx1_dr_max = DR_7, OFFSETS_6,
        .rx2_hz = 2423000000, .rx2_dr = DR_0,
        .tx_power_max = 7, .eirp_cdbm = 1000,
        .cflist_type = 0, .freq_step_hz = 200,
        .beacon = ONE(2424000000, DR_3), .ping = ONE(2424000000, DR_3),
        .sub_band_count = 1, .sub_band = { { 2400000000, 2500000000, 1000, 1015 } },
    },
};

const struct lora_region *lora_region_at(size_t index)
{
    return index < COUNT(regions) ? &regions[index] : NULL;
}

const struct lora_region *lora_region_by_name(struct str name)
{
    for (size_t i = 0; i < COUNT(regions); i++)
        if (str_eq_nocase(name, str_z(regions[i].name))
            || str_eq_nocase(name, str_z(regions[i].plan)))
            return &regions[i];
    return str_eq_nocase(name, S("AS923")) ? &regions[0] : NULL;
}

/* ------------------------------------------------------------------ Japan */

/*
 * 電波法 and ARIB STD-T108 (reference §3.2): 920.6–928.0 MHz. Up to 923.4 MHz, after 5 ms of carrier
 * sense at −80 dBm, a send may take 4 s and 50 ms of silence follow; above, 400 ms and 360 s an hour.
 * 13 dBm EIRP stays inside every station class. Our plans keep below 923.4 MHz and so leave dwell
 * time off: SF12 with 51 bytes takes 2.79 s, and DR 2 carries 115 bytes instead of 11.
 */
#define JAPAN                                                                                      \
    .region = &regions[0], .channel_count = 8, .dr_min = DR_0, .dr_max = DR_5,                     \
    .min_hz = 920600000, .max_hz = 928000000, .lbt_dbm = -80, .lbt_us = 5000,                      \
    .eirp_dbm_max = 13, .send_ms_max = 4000, .pause_ms = 50, .long_hz_max = 923400000, \
    .short_send_ms_max = 400, .short_pause_ms = 2, .short_hour_ms_max = 360000

static const struct lora_plan plans[] = {
    {
        .name = "AS923-1-JP", JAPAN,
        .channel_hz = { 923200000, 923400000, 922800000, 923000000,
                        922600000, 922000000, 922200000, 922400000 },
    },
    {
        .name = "AS923-1-JP2", JAPAN,
        .channel_hz = { 923200000, 923400000, 920600000, 920800000,
                        921000000, 921200000, 922800000, 923000000 },
    },
};

const struct lora_plan *lora_plan_at(size_t index)
{
    return index < COUNT(plans) ? &plans[index] : NULL;
}

const struct lora_plan *lora_plan_by_name(struct str name)
{
    for (size_t i = 0; i < COUNT(plans); i++)
        if (str_eq_nocase(name, str_z(plans[i].name)))
            return &plans[i];
    return NULL;
}

bool lora_plan_has(const struct lora_plan *p, u32 hz)
{
    for (size_t i = 0; i < p->channel_count; i++)
        if (p->channel_hz[i] == hz)
            return true;
    return false;
}

static bool is_short(const struct lora_plan *p, u32 hz)
{
    return p->long_hz_max && hz > p->long_hz_max;
}

u32 lora_plan_send_ms_max(const struct lora_plan *p, u32 hz)
{
    return is_short(p, hz) ? p->short_send_ms_max : p->send_ms_max;
}

u32 lora_plan_hour_ms_max(const struct lora_plan *p, u32 hz)
{
    return is_short(p, hz) ? p->short_hour_ms_max : 0;
}

/* A gateway with carrier sense may send on its listed channels only, so RX1 (the uplink's own
 * channel) and RX2 must both be among them. */
const char *lora_plan_fault(const struct lora_plan *p)
{
    if (p->channel_count == 0 || p->channel_count > COUNT(p->channel_hz))
        return "a plan has 1 to 16 channels";
    for (size_t i = 0; i < p->channel_count; i++)
        if (p->channel_hz[i] < p->min_hz || p->channel_hz[i] > p->max_hz)
            return "a channel lies outside the band that the law gives";
    for (size_t i = 0; i < p->channel_count; i++)
        if (is_short(p, p->channel_hz[i]) && !p->dwell_up)
            return "a channel on which sends are short needs dwell time";
    for (int i = 0; lora_channel_hz(p->region, LORA_UP, i); i++)
        if (!lora_plan_has(p, lora_channel_hz(p->region, LORA_UP, i)))
            return "a default channel of the region is missing: devices join on it";
    if (p->lbt_us && !lora_plan_has(p, p->region->rx2_hz))
        return "RX2 is not among the channels: with carrier sense nothing could be sent there";
    return NULL;
}
