// SPDX-License-Identifier: Apache-2.0
/* Facts about the world that is sensed. */
#include "base/test.h"
#include "sim/world.h"

static const struct world flood = { .seed = 7, .scene = SCENE_FLOOD, .speed = 60 };
static const struct world snow  = { .seed = 7, .scene = SCENE_SNOW, .speed = 60 };
static const struct world all   = { .seed = 7, .scene = SCENE_ALL, .speed = 60 };
static const struct place town  = { 36.695, 137.213 };

static struct gauge gauge_at(double km)
{
    struct gauge g = { .at = town };
    sim_river_settle(&g, S("神通川"), km);
    return g;
}

static double peak_s(const struct world *w, const struct gauge *g)
{
    double best_s = 0;
    for (double t_s = 0; t_s < 86400; t_s += 60)
        if (sim_river_level_m(w, g, t_s) > sim_river_level_m(w, g, best_s))
            best_s = t_s;
    return best_s;
}

TEST(a_flood_peaks_later_downstream)
{
    double before_s = 0;
    for (double km = 0; km <= 30; km += 5) {
        struct gauge g = gauge_at(km);
        double at_s = peak_s(&flood, &g);
        TRUE(at_s > before_s);
        before_s = at_s;
    }
}

TEST(a_flood_rises_by_metres_but_never_as_fast_as_a_fault)
{
    struct gauge g = gauge_at(25);
    double most = 0, fastest = 0;
    for (double t_s = 0; t_s < 2 * 86400; t_s += 600) {
        double here = sim_river_level_m(&flood, &g, t_s);
        double rise = (sim_river_level_m(&flood, &g, t_s + 600) - here) * 6;
        most    = MAX(most, here);
        fastest = MAX(fastest, rise < 0 ? -rise : rise);
    }
    TRUE(most > g.base_m + 4);
    TRUE(fastest < 2.6);
}

TEST(the_rain_comes_before_the_flood)
{
    double wettest_s = 0;
    struct gauge g = gauge_at(10);
    for (double t_s = 0; t_s < 86400; t_s += 60)
        if (sim_sky_mm_h(&flood, town, t_s) > sim_sky_mm_h(&flood, town, wettest_s))
            wettest_s = t_s;
    TRUE(sim_sky_mm_h(&flood, town, wettest_s) > 30);
    TRUE(wettest_s < peak_s(&flood, &g));
}

TEST(one_sensor_jumps_to_27_95_m_and_comes_back)
{
    struct gauge g = gauge_at(5);
    g.faulty = true;
    TRUE(sim_river_reading_m(&flood, &g, 3600) < 10);
    NEAR(sim_river_reading_m(&flood, &g, 2.5 * 3600), 27.95, 1e-9);
    TRUE(sim_river_level_m(&flood, &g, 2.5 * 3600) < 10);
    TRUE(sim_river_reading_m(&flood, &g, 6 * 3600) < 10);
}

TEST(the_same_seed_gives_the_same_readings)
{
    struct world again = flood, other = flood;
    struct gauge g = gauge_at(12);
    int differ = 0;
    other.seed = 8;
    for (double t_s = 0; t_s < 86400; t_s += 777) {
        NEAR(sim_river_reading_m(&flood, &g, t_s), sim_river_reading_m(&again, &g, t_s), 0);
        NEAR(sim_sky_mm_h(&flood, town, t_s), sim_sky_mm_h(&again, town, t_s), 0);
        EQ(sim_spot_occupied(&flood, 5, t_s), sim_spot_occupied(&again, 5, t_s));
        differ += sim_river_reading_m(&flood, &g, t_s) != sim_river_reading_m(&other, &g, t_s);
    }
    TRUE(differ > 100);
}

TEST(a_day_ends_as_it_began)
{
    for (int scene = 0; scene < SCENES; scene++) {
        struct world w = { .seed = 3, .scene = (enum scene)scene, .speed = 60 };
        struct gauge g = gauge_at(25);
        NEAR(sim_river_level_m(&w, &g, 86399), sim_river_level_m(&w, &g, 86401), 0.01);
        NEAR(sim_sky_celsius(&w, town, 86399), sim_sky_celsius(&w, town, 86401), 0.2);
        NEAR(sim_sky_snow_depth_cm(&w, town, 86399), sim_sky_snow_depth_cm(&w, town, 86401), 0.2);
    }
}

TEST(a_pump_runs_in_the_snow_and_not_without)
{
    struct pump p = { town, 42, PUMP_SOUND };
    bool ran = false, stood = false, in_rain = false;
    for (double t_s = 0; t_s < 86400; t_s += 300) {
        struct pump_reading r = sim_pump_reading(&snow, &p, PUMP_AUTO, t_s);
        ran   = ran || (r.on && r.kpa > 150 && r.amperes > 5 && r.celsius < 3);
        stood = stood || (!r.on && r.kpa < 1 && r.amperes == 0);
        in_rain = in_rain || sim_pump_reading(&flood, &p, PUMP_AUTO, t_s).on;
    }
    TRUE(ran);
    TRUE(stood);
    TRUE(!in_rain);
}

TEST(pumping_draws_the_well_down)
{
    struct pump p = { town, 42, PUMP_SOUND };
    double deepest = 0;
    for (double t_s = 0; t_s < 86400; t_s += 600)
        deepest = MAX(deepest, sim_pump_reading(&snow, &p, PUMP_AUTO, t_s).well_m);
    TRUE(deepest > sim_pump_reading(&snow, &p, PUMP_AUTO, 0).well_m + 3);
}

TEST(three_broken_pumps_show_three_faults)
{
    double snowing_s = 0;
    struct pump sound = { town, 42, PUMP_SOUND }, dry = { town, 42, PUMP_DRY_WELL },
                off = { town, 42, PUMP_STAYS_OFF }, on = { town, 42, PUMP_STAYS_ON };
    while (!sim_pump_snowfall(&snow, &sound, snowing_s))
        snowing_s += 60;
    snowing_s += 600;
    struct pump_reading a = sim_pump_reading(&snow, &sound, PUMP_AUTO, snowing_s);
    struct pump_reading b = sim_pump_reading(&snow, &dry, PUMP_AUTO, snowing_s);
    TRUE(b.on && b.kpa < 2 && b.well_m > 20 && b.amperes < a.amperes);
    struct pump_reading c = sim_pump_reading(&snow, &off, PUMP_AUTO, snowing_s);
    TRUE(c.snowfall && !c.on);
    struct pump_reading d = sim_pump_reading(&flood, &on, PUMP_AUTO, 0);
    TRUE(d.on && !d.snowfall);
}

TEST(a_pump_obeys_an_order)
{
    struct pump p = { town, 42, PUMP_SOUND };
    TRUE(sim_pump_reading(&flood, &p, PUMP_ORDER_ON, 0).on);
    TRUE(!sim_pump_reading(&flood, &p, PUMP_ORDER_OFF, 0).on);
}

TEST(in_a_winter_storm_rain_comes_first_and_snow_after)
{
    TRUE(sim_sky_mm_h(&all, town, 2 * 3600) > 10);
    NEAR(sim_sky_snow_share(&all, town, 2 * 3600), 0, 0.01);
    NEAR(sim_sky_snow_share(&all, town, 7 * 3600), 1, 0.01);
    TRUE(sim_sky_snow_depth_cm(&all, town, 12 * 3600) > 5);
    NEAR(sim_sky_snow_depth_cm(&all, town, 3 * 3600), 0, 0.5);
}

TEST(car_parks_fill_by_day)
{
    int day = 0, night = 0;
    struct world w = { .seed = 1, .scene = SCENE_MORNING, .speed = 60 };
    for (u64 spot = 0; spot < 200; spot++) {
        day   += sim_spot_occupied(&w, hash_u64(spot), 5.5 * 3600);     /* 12:00 */
        night += sim_spot_occupied(&w, hash_u64(spot), 20.5 * 3600);    /* 03:00 */
    }
    TRUE(day > 120);
    TRUE(night < 60);
}

TEST(children_walk_to_school_and_home_again)
{
    struct child c = { sim_place_moved(town, 500, -400), town, 99 };
    enum child_doing doing;
    struct place before = sim_child_at(&c, 0, &doing);
    bool met[4] = { false };
    EQ(doing, CHILD_HOME);
    for (double s = 1; s < 4 * 3600; s++) {
        struct place p = sim_child_at(&c, s, &doing);
        met[doing] = true;
        TRUE(sim_distance_m(before, p) < 2.0);         /* nobody runs, nobody jumps */
        if (doing == CHILD_AT_SCHOOL)
            TRUE(sim_distance_m(p, town) < 1);
        before = p;
    }
    TRUE(met[CHILD_HOME] && met[CHILD_TO_SCHOOL] && met[CHILD_AT_SCHOOL] && met[CHILD_TO_HOME]);
}
