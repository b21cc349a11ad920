// SPDX-License-Identifier: Apache-2.0
/*
 * Levels along a river. Each burst of rain becomes a crest that starts upstream and travels down: a
 * gauge answers with a gamma-shaped hydrograph, quick to rise and slow to fall, later and broader
 * the further down it stands. Rises stay under 2.5 m/h, as the fastest plausible ones of the public
 * feed do; only the faulty sensor jumps, to the 27.95 m that a broken gauge in the prefecture
 * really reported.
 */
#include "sim/world.h"

#include <math.h>

static const struct river {
    const char *name;
    double base_m, rise_m;     /* at the lower end of the drawn line */
    double peak_h;             /* at its upper end */
    double km_h;               /* how fast a crest travels */
} rivers[] = {
    { "神通川",   1.30, 5.6, 3.4, 11 },
    { "常願寺川", 0.90, 3.0, 2.4, 14 },
    { "井田川",   0.80, 3.4, 2.2,  9 },
    { "熊野川",   0.60, 2.9, 1.9,  9 },
    { "いたち川", 0.35, 1.9, 1.2,  7 },
    { "山田川",   0.50, 2.2, 1.6,  9 },
    { "白岩川",   0.45, 2.3, 1.7,  7 },
    { "松川",     0.25, 1.3, 1.0,  6 },
};

void sim_river_settle(struct gauge *g, struct str name, double km)
{
    const struct river *r = &rivers[0];
    for (size_t i = 0; i < COUNT(rivers); i++)
        if (str_eq(str_z(rivers[i].name), name))
            r = &rivers[i];
    double down = km / (km + 8);           /* the upper reaches are steeper and shallower */
    g->km       = km;
    g->base_m   = r->base_m * (0.7 + 0.3 * down);
    g->rise_m   = r->rise_m * (0.6 + 0.4 * down);
    g->travel_h = 0.3 + km / r->km_h;
    g->peak_h   = r->peak_h + km * 0.025;
}

/* 1 at x = 1, nothing before 0, a long tail. */
static double hydrograph(double x)
{
    double y = x > 0 ? x * exp(1 - x) : 0;
    return y * y;
}

double sim_river_level_m(const struct world *w, const struct gauge *g, double t_s)
{
    double h = sim_cycle_h(t_s), flood = 0;
    for (const struct crest *c = sim_sky_crests(w); c->weight > 0; c++) {
        double x = h - c->at_h - g->travel_h;
        /* yesterday's tail: the world repeats without a step */
        flood += c->weight * (hydrograph(x / g->peak_h) + hydrograph((x + 24) / g->peak_h));
    }
    return g->base_m + g->rise_m * flood;
}

static bool in_fault(const struct world *w, double t_s)
{
    double h = sim_cycle_h(t_s);
    return (w->scene == SCENE_FLOOD || w->scene == SCENE_ALL) && h >= 1.5 && h < 3.5;
}

double sim_river_reading_m(const struct world *w, const struct gauge *g, double t_s)
{
    if (g->faulty && in_fault(w, t_s))
        return 27.95;
    u64 salt = (u64)(g->at.lat * 1e6) << 32 ^ (u64)(g->at.lon * 1e6);
    double ripple = 0.006 * sim_normal(sim_hash(w->seed, salt, (u64)(t_s / 30)));
    return sim_river_level_m(w, g, t_s) + ripple;
}
