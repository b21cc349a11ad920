// SPDX-License-Identifier: Apache-2.0
/*
 * Parking spots by the time of day, paddies under the sky, and children on their way.
 *
 * A child's day is shorter than a real one, its walk is not: some minutes at home, the walk to
 * school at a child's pace with waits at the corners, some minutes of school, the walk back by the
 * same streets. Nobody lives where a simulated home stands.
 */
#include "sim/world.h"

#include <math.h>

/* ------------------------------------------------------------------ parking */

/* How full a town-centre car park is, by the hour. */
static double fullness(double hour)
{
    static const double at[25] = { .12, .10, .10, .10, .12, .15, .22, .38, .58, .72, .82, .86, .84,
                                   .82, .80, .78, .76, .74, .70, .62, .50, .38, .26, .18, .12 };
    int    h = (int)hour;
    double u = hour - h;
    return at[h] * (1 - u) + at[h + 1] * u;
}

/* Time is cut into stays of one length per spot; each stay is one throw against the hour's
 * fullness. */
bool sim_spot_occupied(const struct world *w, u64 salt, double t_s)
{
    double stay_s = 1500 + 4500 * sim_unit(hash_u64(salt));
    double shift  = stay_s * sim_unit(hash_u64(salt + 1));
    u64    nth    = (u64)((t_s + shift) / stay_s);
    double begun  = (double)nth * stay_s - shift;
    double hour   = sim_world_hour(w, begun < 0 ? 0 : begun);
    return sim_unit(sim_hash(w->seed, salt, nth)) < fullness(hour);
}

/* ------------------------------------------------------------------ paddies */

/* Water is let in in the small hours and sinks over the day; rain fills up to the spillway. */
struct paddy_reading sim_paddy_reading(const struct world *w, struct place at, u64 salt, double t_s)
{
    double own   = sim_unit(hash_u64(salt));
    double hour  = sim_world_hour(w, t_s + 3600 * own);
    double sunk  = hour > 5 ? (hour - 5) / 19 : 0;
    double wet   = 0;
    for (int back = 0; back < 6; back++)
        wet +=
            sim_sky_mm_h(w, at, t_s - back * 1800) * (1 - sim_sky_snow_share(w, at, t_s)) * 0.0005;
    double level = 0.045 + 0.02 * own - 0.025 * sunk + wet;
    u64    now   = sim_hash(w->seed, salt, (u64)(t_s / 60));
    double water = sim_sky_celsius(w, at, t_s - 5400) * 0.8 + 3;
    return (struct paddy_reading){
        .level_m = (level > 0.14 ? 0.14 : level) + 0.001 * sim_normal(now),
        .celsius = (water < 0.5 ? 0.5 : water) + 0.1 * sim_normal(now + 1),
    };
}

/* ------------------------------------------------------------------ children */

#define CORNERS 3                    /* the way bends three times */

struct way { struct place at[CORNERS + 2]; double wait_s[CORNERS + 2]; };

/* Streets run north-south and east-west, as most of the plain's do: the way is cut into such legs.
 */
static struct way way_of(const struct child *c)
{
    double u = 0.25 + 0.5 * sim_unit(hash_u64(c->salt + 2));
    struct place h = c->home, s = c->school;
    struct way way = { .at = { h, { h.lat, h.lon + (s.lon - h.lon) * u },
                               { s.lat, h.lon + (s.lon - h.lon) * u }, { s.lat, s.lon }, s } };
    for (int i = 1; i <= CORNERS; i++)
        way.wait_s[i] = 10 + 50 * sim_unit(hash_u64(c->salt + 10 + (u64)i));
    return way;
}

static double walk_m(const struct way *way)
{
    double m = 0;
    for (int i = 0; i + 1 < (int)COUNT(way->at); i++)
        m += sim_distance_m(way->at[i], way->at[i + 1]);
    return m;
}

/* Where one stands after that many seconds at that pace, waits included. */
static struct place along(const struct way *way, double s, double m_s)
{
    for (int i = 0; i + 1 < (int)COUNT(way->at); i++) {
        s -= way->wait_s[i];
        if (s <= 0)
            return way->at[i];
        double leg_s = sim_distance_m(way->at[i], way->at[i + 1]) / m_s;
        if (s < leg_s) {
            double u = s / leg_s;
            return (struct place){ way->at[i].lat + (way->at[i + 1].lat - way->at[i].lat) * u,
                                   way->at[i].lon + (way->at[i + 1].lon - way->at[i].lon) * u };
        }
        s -= leg_s;
    }
    return way->at[COUNT(way->at) - 1];
}

struct place sim_child_at(const struct child *c, double real_s, enum child_doing *doing)
{
    struct way way = way_of(c);
    double m_s    = 1.0 + 0.3 * sim_unit(hash_u64(c->salt + 3));
    double walk_s = walk_m(&way) / m_s;
    for (int i = 0; i < (int)COUNT(way.wait_s); i++)
        walk_s += way.wait_s[i];
    /* One long cycle for all: leave so that the door at 24 min is met give or take two. */
    double home_s   = MAX(30.0, 1440 - walk_s + 240 * (sim_unit(hash_u64(c->salt + 4)) - 0.5));
    double school_s = 480 + 240 * sim_unit(hash_u64(c->salt + 5));
    double s = fmod(real_s, home_s + 2 * walk_s + school_s);
    *doing = s < home_s                     ? CHILD_HOME
           : s < home_s + walk_s            ? CHILD_TO_SCHOOL
           : s < home_s + walk_s + school_s ? CHILD_AT_SCHOOL
                                            : CHILD_TO_HOME;
    switch (*doing) {
    case CHILD_HOME:      return c->home;
    case CHILD_TO_SCHOOL: return along(&way, s - home_s, m_s);
    case CHILD_AT_SCHOOL: return c->school;
    case CHILD_TO_HOME:   break;
    }
    return along(&way, home_s + 2 * walk_s + school_s - s, m_s);
}

struct place sim_child_fix(const struct child *c, double real_s, enum child_doing *doing)
{
    struct place p = sim_child_at(c, real_s, doing);
    u64 now = sim_hash(c->salt, (u64)real_s, 0);
    return sim_place_moved(p, 5 * sim_normal(now), 5 * sim_normal(now + 1));
}
