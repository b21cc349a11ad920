// SPDX-License-Identifier: Apache-2.0
#include "quality/quality.h"

#include <math.h>

/* Readings closer together than this are judged as if this far apart: a rate over a second says nothing. */
#define RATE_FLOOR_H (1.0 / 60)

static void mark(struct field *f, enum flag flag, struct str reason)
{
    f->flag   = flag;
    f->reason = reason;
}

static bool judge_range(struct field *f, struct arena *arena)
{
    const struct profile_field *rule = f->rule;
    bool low = f->number < rule->min, high = f->number > rule->max;   /* false where the limit is NAN */
    if (low || high)
        mark(f, FLAG_RANGE, str_fmt(arena, "%.*s is %s than %g", STR(f->text), low ? "lower" : "higher",
                                    low ? rule->min : rule->max));
    return low || high;
}

/* The last value that was believed, and when: kept by context beside the present one. */
static bool last_good(double *value, struct wall *at, const struct reading *r, const struct profile_field *rule,
                      struct arena *arena)
{
    const struct json *attr = json_get(r->before, rule->attr);
    const struct json *good = json_get(attr, S("lastGood"));
    const struct json *from = good ? good : attr;
    return json_double(value, json_get(from, S("value"))) &&
           wall_read(at, json_str(json_get(from, S("observedAt")), arena));
}

static void judge_change(struct field *f, const struct reading *r, double sim_speed, struct arena *arena)
{
    double      before, speed = r->device.simulated && sim_speed > 1 ? sim_speed : 1;
    struct wall at;
    if (isnan(f->rule->rate_per_h) || !last_good(&before, &at, r, f->rule, arena))
        return;
    /* Between the two, whichever is the older: a reading may be late, and clocks are set back. */
    double hours = MAX(fabs((double)(r->observed.us - at.us)) / 3.6e9, RATE_FLOOR_H) * speed;
    double rate  = fabs(f->number - before) / hours;
    if (rate > f->rule->rate_per_h)
        mark(f, FLAG_CHANGE, str_fmt(arena, "%+.3g in %.0f min; more than %g an hour is not believed",
                                     f->number - before, hours * 60, f->rule->rate_per_h));
}

enum err quality_judge(struct env *env, struct reading *reading)
{
    for (size_t i = 0; i < reading->count; i++) {
        struct field *f = &reading->fields[i];
        if (f->kind == FIELD_MISSING)
            mark(f, FLAG_MISSING, f->text);
        else if (f->kind == FIELD_NUMBER && f->rule && !judge_range(f, &env->event))
            judge_change(f, reading, env->sim_speed, &env->event);
    }
    return OK;
}
