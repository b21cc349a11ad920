// SPDX-License-Identifier: Apache-2.0
/*
 * Seeded chance and the world's clock. Two kinds of chance: a hash of (seed, what, when) for the
 * world, which must answer the same however often it is asked, and a stream for the radio and the
 * people.
 */
#include "sim/world.h"

#include <math.h>

u64 sim_hash(u64 seed, u64 a, u64 b)
{
    return hash_u64(hash_u64(hash_u64(seed ^ 0x9E3779B97F4A7C15u) ^ a) ^ b);
}

double sim_unit(u64 hash)
{
    return (double)(hash >> 11) / 9007199254740992.0;      /* 53 bits */
}

/* Box and Muller; the second of the pair is not kept. */
double sim_normal(u64 hash)
{
    double u = sim_unit(hash), v = sim_unit(hash_u64(hash + 1));
    return sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v);
}

/* SplitMix64 (Steele, Lea and Flood, 2014). */
u64 sim_chance_next(struct chance *c)
{
    u64 z = c->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

double sim_chance_unit(struct chance *c)
{
    return sim_unit(sim_chance_next(c));
}

double sim_chance_normal(struct chance *c)
{
    return sim_normal(sim_chance_next(c));
}

double sim_chance_between(struct chance *c, double low, double high)
{
    return low + (high - low) * sim_chance_unit(c);
}

u32 sim_chance_below(struct chance *c, u32 n)
{
    return (u32)(sim_chance_unit(c) * n);
}

bool sim_scene_read(enum scene *out, struct str word)
{
    static const char *const words[SCENES] = {
        [SCENE_CALM] = "calm", [SCENE_FLOOD] = "flood", [SCENE_SNOW] = "snow",
        [SCENE_MORNING] = "morning", [SCENE_ALL] = "all",
    };
    for (int i = 0; i < SCENES; i++)
        if (str_eq(word, str_z(words[i]))) {
            *out = (enum scene)i;
            return true;
        }
    return false;
}

double sim_world_s(const struct world *w, struct mono now)
{
    return (double)mono_since(now, w->start) / (double)US_PER_S * w->speed;
}

double sim_cycle_h(double t_s)
{
    double s = fmod(t_s, WORLD_DAY_S);
    return (s < 0 ? s + WORLD_DAY_S : s) / 3600;
}

/* A metre is the same everywhere in one city: a flat earth is right to 0.1 % over 50 km. */
#define METRES_PER_DEGREE 111195.0

static double east_scale(double lat)
{
    return METRES_PER_DEGREE * cos(lat * 0.017453292519943295);
}

double sim_distance_m(struct place a, struct place b)
{
    double north = (b.lat - a.lat) * METRES_PER_DEGREE;
    double east  = (b.lon - a.lon) * east_scale((a.lat + b.lat) / 2);
    return sqrt(north * north + east * east);
}

struct place sim_place_moved(struct place p, double north_m, double east_m)
{
    return (struct place){ p.lat + north_m / METRES_PER_DEGREE,
                           p.lon + east_m / east_scale(p.lat) };
}

double sim_battery_pct(u64 salt, bool weak, double t_s)
{
    double first = weak ? 9 : 62 + 38 * sim_unit(hash_u64(salt ^ 0xBA77));
    double now   = first - t_s / WORLD_DAY_S * 0.2;
    return now < 3 ? 3 : now;
}
