// SPDX-License-Identifier: Apache-2.0
/* What is believed of a reading: its range, its change against the last good value, and what is missing. */
#include "quality/quality.h"

#include "base/test.h"

#include <math.h>

#define AT_US (1770000000LL * US_PER_S)
static const double none = (double)NAN;

/* "attr" as context keeps it, observed so many seconds before (or, negative, after) the reading. */
static struct str kept(const char *value, i64 ago_s, const char *good, i64 good_ago_s)
{
    struct arena *a = test_arena();
    struct text   t = text_make(a, 1000);
    text_fmt(&t, "{\"level\":{\"type\":\"Property\",\"value\":%s,\"observedAt\":\"%.*s\"", value,
             STR(wall_str(a, (struct wall){ AT_US - ago_s * US_PER_S })));
    if (good)
        text_fmt(&t, ",\"lastGood\":{\"type\":\"Property\",\"value\":%s,\"observedAt\":\"%.*s\"}", good,
                 STR(wall_str(a, (struct wall){ AT_US - good_ago_s * US_PER_S })));
    text_put(&t, S("}}"));
    return text_str(&t);
}

static struct field judged(struct str before, struct profile_field rule, double number, bool simulated, double speed)
{
    struct env env = { .event = arena_make(1024), .sim_speed = speed };
    struct reading *r = arena_new(test_arena(), struct reading);
    rule.attr = S("level");
    r->observed = (struct wall){ AT_US };
    r->device.simulated = simulated;
    r->count = 1;
    r->fields[0] = (struct field){ .name = S("x"), .rule = arena_new(test_arena(), struct profile_field), .kind = FIELD_NUMBER,
                                   .number = number, .text = str_fmt(test_arena(), "%g", number) };
    memcpy((void *)(uintptr_t)r->fields[0].rule, &rule, sizeof rule);
    if (before.n)
        EQ(json_read(&r->before, before, test_arena(), JSON_STRICT, NULL), OK);
    EQ(quality_judge(&env, r), OK);
    struct field f = r->fields[0];
    f.reason = str_copy(test_arena(), f.reason);
    arena_free(&env.event);
    return f;
}

TEST(a_number_is_believed_within_its_limits_and_where_there_are_none)
{
    static const struct { double min, max, number; enum flag flag; struct str reason; } facts[] = {
        { -2, 15, 3, FLAG_NORMAL, S("") },
        { -2, 15, -2, FLAG_NORMAL, S("") },
        { -2, 15, 15, FLAG_NORMAL, S("") },
        { -2, 15, -2.5, FLAG_RANGE, S("-2.5 is lower than -2") },
        { -2, 15, 15.5, FLAG_RANGE, S("15.5 is higher than 15") },
        { -2, (double)NAN, 1e9, FLAG_NORMAL, S("") },
        { (double)NAN, 15, -1e9, FLAG_NORMAL, S("") },
        { (double)NAN, (double)NAN, 1e9, FLAG_NORMAL, S("") },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct profile_field rule = { .min = facts[i].min, .max = facts[i].max, .rate_per_h = none };
        struct field f = judged(S(""), rule, facts[i].number, false, 0);
        EQ(f.flag, facts[i].flag);
        STR_EQ(f.reason, facts[i].reason);
    }
}

/* Five an hour are believed. */
TEST(a_change_is_believed_by_its_rate_against_the_last_good_value)
{
    const struct { struct str before; double number; enum flag flag; } facts[] = {
        { kept("1", 3600, NULL, 0), 6, FLAG_NORMAL },
        { kept("1", 3600, NULL, 0), 6.1, FLAG_CHANGE },
        { kept("1", 3600, NULL, 0), -4, FLAG_NORMAL },
        { kept("1", 3600, NULL, 0), -4.1, FLAG_CHANGE },
        { kept("1", 60, NULL, 0), 1.08, FLAG_NORMAL },
        { kept("1", 60, NULL, 0), 1.09, FLAG_CHANGE },
        { kept("1", 1, NULL, 0), 1.08, FLAG_NORMAL },           /* a second is judged as a minute */
        { kept("1", 1, NULL, 0), 1.09, FLAG_CHANGE },
        { kept("1", -3600, NULL, 0), 6, FLAG_NORMAL },          /* the clock was set back an hour */
        { kept("1", -3600, NULL, 0), 6.1, FLAG_CHANGE },
        { kept("14", 600, "1", 3600), 6, FLAG_NORMAL },         /* the 14 was not believed */
        { kept("14", 600, "1", 3600), 14, FLAG_CHANGE },
        { kept("14", 600, "\"no number\"", 3600), 1, FLAG_NORMAL },
        { kept("\"dry\"", 600, NULL, 0), 1, FLAG_NORMAL },
        { S("{\"level\":{\"value\":1}}"), 1e9, FLAG_NORMAL },   /* nobody knows when that was */
        { S("{\"level\":{\"value\":1,\"observedAt\":\"yesterday\"}}"), 1e9, FLAG_NORMAL },
        { S("{\"other\":{\"value\":1}}"), 1e9, FLAG_NORMAL },
        { S(""), 1e9, FLAG_NORMAL },
    };
    struct profile_field rule = { .min = none, .max = none, .rate_per_h = 5 };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct field f = judged(facts[i].before, rule, facts[i].number, false, 0);
        if (f.flag != facts[i].flag || (f.reason.n > 0) != (f.flag != FLAG_NORMAL))
            test_fail(__FILE__, __LINE__, "%g after %.*s: flag %d \"%.*s\"", facts[i].number, STR(facts[i].before), (int)f.flag,
                      STR(f.reason));
    }
    STR_EQ(judged(facts[1].before, rule, 6.1, false, 0).reason, S("+5.1 in 60 min; more than 5 an hour is not believed"));
    rule.max = 6;
    EQ(judged(facts[1].before, rule, 6.1, false, 0).flag, FLAG_RANGE);      /* the range is asked first */
}

TEST(an_hour_of_a_simulated_device_is_as_long_as_its_world_says)
{
    static const struct { bool simulated; double speed; enum flag flag; } facts[] = {
        { false, 0, FLAG_CHANGE }, { false, 60, FLAG_CHANGE }, { true, 0, FLAG_CHANGE },
        { true, 1, FLAG_CHANGE },  { true, 60, FLAG_NORMAL },
    };
    struct profile_field rule = { .min = none, .max = none, .rate_per_h = 5 };
    for (size_t i = 0; i < COUNT(facts); i++)
        EQ(judged(kept("1", 600, NULL, 0), rule, 10, facts[i].simulated, facts[i].speed).flag, facts[i].flag);
}

TEST(what_is_missing_is_marked_and_what_no_rule_speaks_of_is_left_alone)
{
    static const struct profile_field rule = { .attr = { "level", 5 }, .min = 0, .max = 1, .rate_per_h = 1 };
    struct env env = { .event = arena_make(1024) };
    struct reading *r = arena_new(test_arena(), struct reading);
    r->count = 4;
    r->fields[0] = (struct field){ .rule = &rule, .kind = FIELD_MISSING, .text = S("sensor unplugged") };
    r->fields[1] = (struct field){ .kind = FIELD_NUMBER, .number = 1e9, .text = S("1e9") };
    r->fields[2] = (struct field){ .rule = &rule, .kind = FIELD_TEXT, .text = S("99") };
    r->fields[3] = (struct field){ .rule = &rule, .kind = FIELD_BOOL, .boolean = true };
    EQ(quality_judge(&env, r), OK);
    EQ(r->fields[0].flag, FLAG_MISSING);
    STR_EQ(r->fields[0].reason, S("sensor unplugged"));
    for (int i = 1; i < 4; i++)
        EQ(r->fields[i].flag, FLAG_NORMAL);
    arena_free(&env.event);
}

TEST(a_value_is_stale_after_two_intervals_and_half_a_minute)
{
    EQ(quality_stale_us(&(struct profile){ .interval_s = 600 }), 1230 * US_PER_S);
    EQ(quality_stale_us(&(struct profile){ .interval_s = 1000000 }), 2000030 * US_PER_S);
}
