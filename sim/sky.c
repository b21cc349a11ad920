// SPDX-License-Identifier: Apache-2.0
/*
 * The sky over the city. A scene is a table: two temperatures with a front between them, and bursts
 * of precipitation that pass from west to east in three quarters of an hour and fall harder on the
 * mountains in the south. What falls is rain or snow by its temperature at the place.
 *
 * `all` is a winter storm as Hokuriku knows it: warm rain that swells the rivers, then the cold
 * front, and snow on the same streets while the crests still travel down.
 */
#include "sim/world.h"

#include <math.h>

#define BURSTS_MAX 6

struct burst { double at_h, width_h, mm_h; };

struct sky {
    double       clock_h;            /* time of day when the cycle begins */
    double       mild_c, cold_c;     /* before and after the front, at the coast */
    double       front_h, thaw_h;    /* when the cold comes and goes, hours into the cycle */
    double       swing_c;            /* day and night, half the difference */
    struct burst bursts[BURSTS_MAX];
    struct crest crests[4];          /* what the rain becomes in the rivers; ends with weight 0 */
};

static const struct sky skies[SCENES] = {
    [SCENE_CALM] = {
        .clock_h = 7, .mild_c = 15, .cold_c = 15, .front_h = 6, .thaw_h = 18, .swing_c = 5,
        .bursts = { { 9, 0.6, 1.5 } }, .crests = { { 9.3, 0.03 } },
    },
    [SCENE_FLOOD] = {
        .clock_h = 3, .mild_c = 22, .cold_c = 19, .front_h = 3, .thaw_h = 14, .swing_c = 2.5,
        .bursts = { { 0.7, 0.5, 18 }, { 1.6, 0.6, 42 }, { 3.1, 0.7, 58 }, { 5.0, 1.2, 12 } },
        .crests = { { 1.5, 0.45 }, { 3.0, 0.70 }, { 5.0, 0.12 } },
    },
    [SCENE_SNOW] = {
        .clock_h = 17, .mild_c = 4.2, .cold_c = -1.6, .front_h = 0.6, .thaw_h = 16.5, .swing_c = 1,
        .bursts = { { 1.6, 0.7, 3.5 }, { 3.2, 0.6, 5.0 }, { 5.6, 0.9, 4.0 }, { 8.5, 0.8, 4.5 },
                    { 11.0, 0.7, 3.0 } },
        .crests = { { 18, 0.06 } },
    },
    [SCENE_MORNING] = {
        .clock_h = 6.5, .mild_c = 12, .cold_c = 12, .front_h = 6, .thaw_h = 18, .swing_c = 5,
        .bursts = { { 15, 0.6, 1.5 } }, .crests = { { 15.3, 0.03 } },
    },
    [SCENE_ALL] = {
        .clock_h = 15, .mild_c = 6.5, .cold_c = -1.8, .front_h = 3.6, .thaw_h = 17, .swing_c = 0.6,
        .bursts = { { 0.8, 0.5, 16 }, { 1.7, 0.6, 34 }, { 2.7, 0.5, 40 }, { 4.9, 0.7, 4.5 },
                    { 7.0, 0.9, 5.0 }, { 10.0, 0.8, 3.5 } },
        .crests = { { 1.3, 0.45 }, { 2.6, 0.70 } },
    },
};

double sim_world_hour(const struct world *w, double t_s)
{
    return fmod(skies[w->scene].clock_h + sim_cycle_h(t_s), 24);
}

const struct crest *sim_sky_crests(const struct world *w)
{
    return skies[w->scene].crests;
}

/* The west sees everything first. */
static double local_h(struct place p, double t_s)
{
    return sim_cycle_h(t_s) - (p.lon - 137.13) / 0.25 * 0.75;
}

/* 1 at the coast, 1.8 in the mountains. */
static double mountain(struct place p)
{
    double south = (36.70 - p.lat) / 0.25;
    return 1 + 0.8 * (south < 0 ? 0 : south > 1 ? 1 : south);
}

static double smooth(double x, double from, double to)
{
    double u = (x - from) / (to - from);
    u = u < 0 ? 0 : u > 1 ? 1 : u;
    return u * u * (3 - 2 * u);
}

double sim_sky_mm_h(const struct world *w, struct place p, double t_s)
{
    double h = local_h(p, t_s), sum = 0;
    for (int i = 0; i < BURSTS_MAX && skies[w->scene].bursts[i].mm_h > 0; i++) {
        const struct burst *b = &skies[w->scene].bursts[i];
        double x = (h - b->at_h) / b->width_h;
        sum += b->mm_h * exp(-x * x);
    }
    /* Cells of some kilometres and minutes: no two gauges agree. */
    u64 cell = sim_hash(w->seed, (u64)(p.lat * 60) << 32 | (u64)(p.lon * 50), (u64)(t_s / 600));
    double v = sum * mountain(p) * (0.7 + 0.6 * sim_unit(cell));
    return v < 0.05 ? 0 : v;
}

double sim_sky_celsius(const struct world *w, struct place p, double t_s)
{
    const struct sky *sky = &skies[w->scene];
    double h     = local_h(p, t_s);
    double cold =
        smooth(h, sky->front_h, sky->front_h + 0.8) * (1 - smooth(h, sky->thaw_h, sky->thaw_h + 3));
    double coast = sky->mild_c + (sky->cold_c - sky->mild_c) * cold;
    double swing = sky->swing_c * cos((sim_world_hour(w, t_s) - 14) / 24 * 6.283185307179586);
    return coast + swing - (mountain(p) - 1) * 2.5;
}

double sim_sky_snow_share(const struct world *w, struct place p, double t_s)
{
    return 1 - smooth(sim_sky_celsius(w, p, t_s), 0.5, 2.5);
}

/* One millimetre of water is about a centimetre of fresh snow. */
double sim_sky_snow_cm_h(const struct world *w, struct place p, double t_s)
{
    return sim_sky_mm_h(w, p, t_s) * sim_sky_snow_share(w, p, t_s);
}

/*
 * What has fallen since the front, in closed form (a burst is a bell, its integral an error
 * function), less what has melted since the thaw. Bursts before the front were rain.
 */
double sim_sky_snow_depth_cm(const struct world *w, struct place p, double t_s)
{
    const struct sky *sky = &skies[w->scene];
    double h = local_h(p, t_s), sum = 0;
    if (sky->cold_c > 2)
        return 0;
    for (int i = 0; i < BURSTS_MAX && sky->bursts[i].mm_h > 0; i++) {
        const struct burst *b = &sky->bursts[i];
        if (b->at_h > sky->front_h)
            sum += b->mm_h * b->width_h * 0.886227 * (erf((h - b->at_h) / b->width_h) + 1);
    }
    return sum * mountain(p) * (1 - smooth(h, sky->thaw_h, sky->thaw_h + 4.5));
}

double sim_sky_humidity_pct(const struct world *w, struct place p, double t_s)
{
    double wet  = 1 - exp(-sim_sky_mm_h(w, p, t_s) / 3);
    double noon = cos((sim_world_hour(w, t_s) - 14) / 24 * 6.283185307179586);
    double v    = 68 - 12 * noon + 25 * wet;
    return v > 99 ? 99 : v;
}
