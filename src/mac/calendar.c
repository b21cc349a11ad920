// SPDX-License-Identifier: Apache-2.0
#include "mac/calendar.h"

#define HOUR_US (3600 * US_PER_S)
#define PART_US (HOUR_US / CALENDAR_PARTS)

struct str calendar_words(enum calendar_says says)
{
    static const char *const words[] = {
#define CALENDAR_WORDS(name, text) text,
        CALENDAR_SAYS(CALENDAR_WORDS)
#undef CALENDAR_WORDS
    };
    return str_z(words[says]);
}

static bool is_national(const struct calendar_rules *r)
{
    return r->plan && r->plan->region == r->region;
}

/* ------------------------------------------------------------------ budgets of an hour */

/* Which budget a frequency draws on, and how large that is; -1: no law limits it. The national plan's is
 * the first: it stands in place of the region's sub-bands. */
static int budget_of(const struct calendar_rules *r, u32 hz, i64 *hour_us)
{
    if (is_national(r)) {
        *hour_us = (i64)lora_plan_hour_ms_max(r->plan, hz) * US_PER_MS;
        return *hour_us > 0 ? 0 : -1;
    }
    const struct lora_sub_band *band = lora_sub_band_of(r->region, hz);
    *hour_us = band ? (i64)band->duty_permille * HOUR_US / 1000 : 0;
    return band && band->duty_permille < 1000 ? (int)(band - r->region->sub_band) : -1;
}

/* Forgets what is more than an hour ago. */
static void turn_to(struct calendar_budget *b, i64 part)
{
    i64 steps = MIN(MAX(part - b->part, 0), CALENDAR_PARTS);
    for (i64 i = 1; i <= steps; i++)
        b->used_us[(b->part + i) % CALENDAR_PARTS] = 0;
    b->part = MAX(b->part, part);
}

static i64 used_us(const struct calendar_budget *b, i64 part)
{
    struct calendar_budget copy = *b;
    i64 sum = 0;
    turn_to(&copy, part);
    for (int i = 0; i < CALENDAR_PARTS; i++)
        sum += copy.used_us[i];
    return sum;
}

/* Books an airtime, or takes it back. */
static void draw(struct calendar *c, const struct calendar_rules *r, const struct calendar_slot *slot, bool back)
{
    i64 hour_us, part = slot->from_us / PART_US;
    int which = budget_of(r, slot->hz, &hour_us);
    if (which < 0)
        return;
    struct calendar_budget *b = &c->budget[which];
    turn_to(b, part);
    if (b->part - part >= CALENDAR_PARTS)
        return;
    u32 *used = &b->used_us[part % CALENDAR_PARTS];
    *used = back ? *used - MIN(*used, slot->airtime_us) : *used + slot->airtime_us;
}

u32 calendar_used_permille(const struct calendar *c, const struct calendar_rules *rules, i64 now_us, u32 hz)
{
    i64 hour_us;
    int which = budget_of(rules, hz, &hour_us);
    return which >= 0 && hour_us > 0 ? (u32)(used_us(&c->budget[which], now_us / PART_US) * 1000 / hour_us) : 0;
}

/* ------------------------------------------------------------------ slots */

static struct calendar_slot slot_of(const struct calendar_rules *r, const struct calendar_send *send)
{
    bool is_short = is_national(r) && send->hz > r->plan->long_hz_max;
    i64  pause_us = !is_national(r) ? 0 : (is_short ? r->plan->short_pause_ms : r->plan->pause_ms) * US_PER_MS;
    return (struct calendar_slot){ .from_us    = send->at_us,
                                   .until_us   = send->at_us + send->airtime_us + MAX(pause_us, CALENDAR_GAP_US),
                                   .airtime_us = send->airtime_us,
                                   .hz         = send->hz,
                                   .batch      = send->batch };
}

static bool overlap(const struct calendar_slot *a, const struct calendar_slot *b)
{
    return a->until_us > b->from_us && b->until_us > a->from_us;
}

enum calendar_says calendar_ask(const struct calendar *c, const struct calendar_rules *rules, const struct calendar_send *send)
{
    struct calendar_slot wanted = slot_of(rules, send);
    i64 hour_us;
    int which = budget_of(rules, send->hz, &hour_us);
    if (is_national(rules) && !lora_plan_has(rules->plan, send->hz))
        return CALENDAR_FREQUENCY;
    if (is_national(rules) && send->airtime_us > lora_plan_send_ms_max(rules->plan, send->hz) * US_PER_MS)
        return CALENDAR_LONG;
    if (which >= 0 && used_us(&c->budget[which], send->at_us / PART_US) + send->airtime_us > hour_us)
        return CALENDAR_SPENT;
    for (int i = 0; i < CALENDAR_SLOTS; i++)
        if (overlap(&c->slot[i], &wanted))
            return CALENDAR_BUSY;
    return CALENDAR_FREE;
}

void calendar_take(struct calendar *c, const struct calendar_rules *rules, const struct calendar_send *send)
{
    struct calendar_slot *first = &c->slot[0];
    for (int i = 1; i < CALENDAR_SLOTS; i++)
        if (c->slot[i].until_us < first->until_us)
            first = &c->slot[i];
    *first = slot_of(rules, send);
    draw(c, rules, first, false);
}

void calendar_give_back(struct calendar *c, const struct calendar_rules *rules, u32 batch)
{
    for (int i = 0; i < CALENDAR_SLOTS; i++)
        if (c->slot[i].until_us != 0 && c->slot[i].batch == batch) {
            draw(c, rules, &c->slot[i], true);
            c->slot[i] = (struct calendar_slot){ 0 };
        }
}
