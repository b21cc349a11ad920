/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_SIM_WORLD_H
#define HOTARU_SIM_WORLD_H

/*
 * The world that is sensed: pure functions of (seed, scene, world second). Nothing here remembers,
 * so the same seed gives the same readings whoever asks and in whatever order.
 *
 * World seconds run `speed` times faster than real ones and repeat every day of 86,400. Children
 * are the exception: their second is a real one, for a walk sped up is a ride on the time stamps.
 */
#include "base/base.h"

/* ------------------------------------------------------------------ chance */
u64    sim_hash(u64 seed, u64 a, u64 b);
double sim_unit(u64 hash);                          /* 0 <= x < 1 */
double sim_normal(u64 hash);                        /* mean 0, deviation 1 */

struct chance { u64 state; };                       /* a stream, for the radio and the people */
u64    sim_chance_next(struct chance *c);
double sim_chance_unit(struct chance *c);
double sim_chance_normal(struct chance *c);
double sim_chance_between(struct chance *c, double low, double high);
u32    sim_chance_below(struct chance *c, u32 n);   /* 0 .. n-1 */

/* ------------------------------------------------------------------ the clock */
enum scene { SCENE_CALM, SCENE_FLOOD, SCENE_SNOW, SCENE_MORNING, SCENE_ALL, SCENES };
bool sim_scene_read(enum scene *out, struct str word);

struct world {
    u64         seed;
    enum scene  scene;
    double      speed;          /* world seconds a real second */
    struct mono start;
};

#define WORLD_DAY_S 86400.0
double sim_world_s(const struct world *w, struct mono now);
double sim_world_hour(const struct world *w, double t_s);          /* time of day, 0 <= h < 24 */
double sim_cycle_h(double t_s);    /* hours into the repeating day */

struct place { double lat, lon; };
double sim_distance_m(struct place a, struct place b);
struct place sim_place_moved(struct place p, double north_m, double east_m);

/* ------------------------------------------------------------------ the sky */
double sim_sky_mm_h(const struct world *w, struct place p, double t_s); /* water, as rain or snow */
double sim_sky_celsius(const struct world *w, struct place p, double t_s);
double sim_sky_snow_share(const struct world *w, struct place p, double t_s); /* 0 rain .. 1 snow */
double sim_sky_snow_cm_h(const struct world *w, struct place p, double t_s);
double sim_sky_snow_depth_cm(const struct world *w, struct place p, double t_s);
double sim_sky_humidity_pct(const struct world *w, struct place p, double t_s);
/* The storm's runoff: the hours of its crests and their weight; NULL-free, ends with weight 0. */
struct crest { double at_h, weight; };
const struct crest *sim_sky_crests(const struct world *w);

/* ------------------------------------------------------------------ rivers */
struct gauge {
    struct place at;
    double       km;            /* along the river, from the top of the drawn line */
    double       base_m, rise_m;/* level on a dry day; what the scene's flood adds at its peak */
    double       travel_h;      /* from the rain upstream to the first rise here */
    double       peak_h;        /* from the first rise to the peak */
    bool         faulty;        /* its sensor jumps to 27.95 m for a while */
};
double sim_river_level_m(const struct world *w, const struct gauge *g, double t_s);  /* the water */
/* the sensor */
double sim_river_reading_m(const struct world *w, const struct gauge *g, double t_s);
/* Base, rise and times of a gauge on the river of that name. */
void sim_river_settle(struct gauge *g, struct str river, double km);

/* ------------------------------------------------------------------ snow-melting pumps */
enum pump_fault { PUMP_SOUND, PUMP_DRY_WELL, PUMP_STAYS_OFF, PUMP_STAYS_ON };
enum pump_order { PUMP_AUTO, PUMP_ORDER_OFF, PUMP_ORDER_ON };        /* by downlink, port 10 */
struct pump { struct place at; u64 salt; enum pump_fault fault; };
struct pump_reading {
    bool   on, snowfall;
    double kpa, amperes, celsius, well_m;     /* well: water below ground */
};
/* What passers-by see, without the well: that remembers half a day, and is asked for when it is sent. */
void sim_pump_seen(bool *on, bool *snowfall, const struct world *w, const struct pump *p, enum pump_order order, double t_s);
struct pump_reading sim_pump_reading(const struct world *w, const struct pump *p,
                                     enum pump_order order, double t_s);
bool sim_pump_wants(const struct world *w, const struct pump *p, double t_s);  /* its own control */
bool sim_pump_snowfall(const struct world *w, const struct pump *p, double t_s);

/* ------------------------------------------------------------------ streets and fields */
bool sim_spot_occupied(const struct world *w, u64 salt, double t_s);
struct paddy_reading { double level_m, celsius; };
struct paddy_reading sim_paddy_reading(const struct world *w, struct place at, u64 salt,
                                       double t_s);

/* A child: a home, a school, a walk of a few straight streets. Real seconds since the start. */
struct child { struct place home, school; u64 salt; };
enum child_doing { CHILD_HOME, CHILD_TO_SCHOOL, CHILD_AT_SCHOOL, CHILD_TO_HOME };
struct place sim_child_at(const struct child *c, double real_s, enum child_doing *doing);
/* What the tracker makes of it: the same with a GPS error of some metres. */
struct place sim_child_fix(const struct child *c, double real_s, enum child_doing *doing);

/* Batteries sink slowly; `weak` ones are near their end. */
double sim_battery_pct(u64 salt, bool weak, double t_s);

#endif
