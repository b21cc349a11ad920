// SPDX-License-Identifier: Apache-2.0
/*
 * Who hears whom. Log-distance path loss of a low city (131 dB at one kilometre, 38 dB a decade)
 * with 6 dB of shadowing that belongs to the pair and never changes; the caller adds the fading of
 * the moment. The same path serves both ways. Figures are typical of published urban 900 MHz
 * campaigns, not of Toyama.
 */
#include "sim/inside.h"

#include <math.h>

#define LOSS_1KM_DB    131.0
#define LOSS_DECADE_DB 38.0
#define SHADOW_DB      6.0
#define GATEWAY_DBI    3.0
#define CAPTURE_DB     6.0

double sim_radio_dbm(u64 seed, struct place a, u64 who_a, struct place b, u64 who_b)
{
    double km = sim_distance_m(a, b) / 1000;
    double shadow = SHADOW_DB * sim_normal(sim_hash(seed, who_a, who_b));
    return GATEWAY_DBI - LOSS_1KM_DB - LOSS_DECADE_DB * log10(km < 0.03 ? 0.03 : km) + shadow;
}

/* Thermal noise in 125 kHz and 6 dB of receiver. */
double sim_radio_noise_dbm(void)
{
    return -117;
}

bool sim_radio_captures(double wanted_dbm, double other_dbm)
{
    return wanted_dbm - other_dbm >= CAPTURE_DB;
}
