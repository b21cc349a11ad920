// SPDX-License-Identifier: Apache-2.0
/*
 * Snow-melting pumps. A pump starts when its detector sees snow at 2 °C or less and runs on for ten
 * minutes after the last flake; a downlink on port 10 overrules it until the sky changes its mind
 * (device.c). Three of the city's pumps are broken in the three ways that matter: a dry well
 * (runs, no pressure), one that should run and does not, one that runs without snow.
 */
#include "sim/world.h"

#include <math.h>

#define RESIDUAL_S  600.0
#define DETECTOR_C  2.0

bool sim_pump_snowfall(const struct world *w, const struct pump *p, double t_s)
{
    /* Detectors differ: 0.2 to 0.8 cm/h, so that a street does not start as one. */
    double floor = 0.2 + 0.6 * sim_unit(hash_u64(p->salt));
    return sim_sky_snow_cm_h(w, p->at, t_s) > floor;
}

bool sim_pump_wants(const struct world *w, const struct pump *p, double t_s)
{
    for (double back = 0; back <= RESIDUAL_S; back += RESIDUAL_S / 4) {
        double t = t_s - back;
        if (t >= 0 && sim_pump_snowfall(w, p, t) && sim_sky_celsius(w, p->at, t) <= DETECTOR_C)
            return true;
    }
    return false;
}

static bool runs(const struct world *w, const struct pump *p, enum pump_order order, double t_s)
{
    if (p->fault == PUMP_STAYS_OFF)
        return false;
    if (order != PUMP_AUTO)
        return order == PUMP_ORDER_ON;
    return p->fault == PUMP_STAYS_ON || sim_pump_wants(w, p, t_s);
}

/* Hours of pumping in the neighbourhood, the old ones half forgotten after three: the well's
 * draw-down. */
static double drawn_h(const struct world *w, const struct pump *p, double t_s)
{
    double sum = 0;
    for (double back = 0; back < 12 * 3600 && back <= t_s; back += 1200)
        sum += sim_pump_wants(w, p, t_s - back) ? exp2(-back / 10800) / 3 : 0;
    return sum;
}

void sim_pump_seen(bool *on, bool *snowfall, const struct world *w, const struct pump *p, enum pump_order order, double t_s)
{
    *on       = runs(w, p, order, t_s);
    *snowfall = sim_pump_snowfall(w, p, t_s);
}

struct pump_reading sim_pump_reading(const struct world *w, const struct pump *p,
                                     enum pump_order order, double t_s)
{
    struct pump_reading r = { .on = runs(w, p, order, t_s),
                              .snowfall = sim_pump_snowfall(w, p, t_s) };
    u64    now   = sim_hash(w->seed, p->salt, (u64)(t_s / 60));
    double own   = sim_unit(hash_u64(p->salt + 7));
    double rated = 9 + 9 * own;
    r.celsius = sim_sky_celsius(w, p->at, t_s) + 0.15 * sim_normal(now);
    r.well_m  = 1.1 + 2.5 * own + (2.2 + 2 * own) * drawn_h(w, p, t_s) + (r.on ? 1.8 : 0);
    r.kpa     = r.on ? 190 + 90 * own + 3 * sim_normal(now + 1) : 0.4 * sim_unit(now);
    r.amperes = r.on ? rated * (1 + 0.02 * sim_normal(now + 2)) : 0;
    if (p->fault == PUMP_DRY_WELL) {
        r.well_m = 24.5 + 0.3 * sim_unit(now);
        r.kpa    = r.on ? 1.5 * sim_unit(now + 3) : 0;
        r.amperes *= 0.45;                                /* it turns in air */
    }
    return r;
}
