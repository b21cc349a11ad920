// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "mac/calendar.h"

#define SECOND US_PER_S

static struct calendar_rules of(const char *region, const char *plan)
{
    return (struct calendar_rules){ lora_region_by_name(str_z(region)), plan ? lora_plan_by_name(str_z(plan)) : NULL };
}

static struct calendar_send at(i64 at_us, u32 airtime_ms, u32 hz)
{
    return (struct calendar_send){ at_us, airtime_ms * 1000, hz, 0 };
}

TEST(a_gateway_sends_one_frame_at_a_time_whatever_its_frequency)
{
    struct calendar c = { 0 };
    struct calendar_rules r = of("US915", NULL);
    calendar_take(&c, &r, &(struct calendar_send){ 10 * SECOND, 400000, 923300000, 0 });
    static const struct { i64 at_us; u32 airtime_ms; int says; } rows[] = {
        { 10 * SECOND, 400, CALENDAR_BUSY },
        { 10 * SECOND - 200000, 300, CALENDAR_BUSY },
        { 10 * SECOND - 430000, 400, CALENDAR_FREE },          /* ends 30 ms before */
        { 10 * SECOND - 429000, 400, CALENDAR_BUSY },
        { 10 * SECOND + 429000, 400, CALENDAR_BUSY },
        { 10 * SECOND + 430000, 400, CALENDAR_FREE },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct calendar_send s = at(rows[i].at_us, rows[i].airtime_ms, 923900000);
        EQ(calendar_ask(&c, &r, &s), rows[i].says);
    }
}

TEST(in_japan_a_gateway_is_silent_for_50_ms_and_sends_no_longer_than_4_s)
{
    struct calendar c = { 0 };
    struct calendar_rules r = of("AS923-1", "AS923-1-JP");
    struct calendar_send first = at(10 * SECOND, 1000, 923200000), soon = at(11 * SECOND + 49000, 100, 923400000),
                         later = at(11 * SECOND + 50000, 100, 923400000), longest = at(20 * SECOND, 4000, 923200000),
                         longer = at(20 * SECOND, 4001, 923200000);
    calendar_take(&c, &r, &first);
    EQ(calendar_ask(&c, &r, &soon), CALENDAR_BUSY);
    EQ(calendar_ask(&c, &r, &later), CALENDAR_FREE);
    EQ(calendar_ask(&c, &r, &longest), CALENDAR_FREE);
    EQ(calendar_ask(&c, &r, &longer), CALENDAR_LONG);
}

TEST(in_japan_a_frequency_outside_the_carrier_sense_list_is_refused)
{
    struct calendar c = { 0 };
    struct calendar_rules r = of("AS923-1", "AS923-1-JP");
    struct calendar_send out = at(SECOND, 100, 924800000);
    EQ(calendar_ask(&c, &r, &out), CALENDAR_FREQUENCY);
}

TEST(the_sub_bands_of_europe_have_an_allowance_each_and_get_it_back_with_time)
{
    struct calendar c = { 0 };
    struct calendar_rules r = of("EU868", NULL);
    i64 now = 5 * 3600 * SECOND;
    int sent = 0;
    struct calendar_send s = at(now, 1000, 868100000);
    for (; calendar_ask(&c, &r, &s) == CALENDAR_FREE; s.at_us += 2 * SECOND, sent++)
        calendar_take(&c, &r, &s);
    EQ(calendar_ask(&c, &r, &s), CALENDAR_SPENT);
    EQ(sent, 36);                                              /* 1 % of an hour */
    EQ(calendar_used_permille(&c, &r, s.at_us, 868100000), 1000);
    struct calendar_send rx2 = at(s.at_us, 1000, 869525000), tomorrow = at(now + 3700 * SECOND, 1000, 868100000),
                         early = at(now + 3000 * SECOND, 1000, 868100000);
    EQ(calendar_ask(&c, &r, &rx2), CALENDAR_FREE);             /* another band: 10 % */
    EQ(calendar_ask(&c, &r, &early), CALENDAR_SPENT);
    EQ(calendar_ask(&c, &r, &tomorrow), CALENDAR_FREE);
    EQ(calendar_used_permille(&c, &r, now + 3700 * SECOND, 868100000), 0);
}

TEST(what_was_not_sent_after_all_is_given_back)
{
    struct calendar c = { 0 };
    struct calendar_rules r = of("EU868", NULL);
    struct calendar_send s = at(7200 * SECOND, 36000, 868100000), other = at(7300 * SECOND, 1000, 868100000);
    s.batch = 7;
    calendar_take(&c, &r, &s);
    EQ(calendar_ask(&c, &r, &other), CALENDAR_SPENT);
    EQ(calendar_ask(&c, &r, &s), CALENDAR_SPENT);
    calendar_give_back(&c, &r, 6);
    EQ(calendar_ask(&c, &r, &s), CALENDAR_SPENT);
    calendar_give_back(&c, &r, 7);
    EQ(calendar_ask(&c, &r, &other), CALENDAR_FREE);
    EQ(calendar_ask(&c, &r, &s), CALENDAR_FREE);
}

TEST(a_full_calendar_forgets_what_ends_first)
{
    struct calendar c = { 0 };
    struct calendar_rules r = of("US915", NULL);
    for (int i = 0; i < CALENDAR_SLOTS + 1; i++)
        calendar_take(&c, &r, &(struct calendar_send){ (100 - i) * SECOND, 100000, 923300000, 0 });
    struct calendar_send first = at(84 * SECOND, 100, 923300000), last = at(100 * SECOND, 100, 923300000),
                         forgotten = at(85 * SECOND, 100, 923300000);
    EQ(calendar_ask(&c, &r, &last), CALENDAR_BUSY);
    EQ(calendar_ask(&c, &r, &first), CALENDAR_BUSY);
    EQ(calendar_ask(&c, &r, &forgotten), CALENDAR_FREE);
}

/* Whatever is taken in whatever order, no hour of any five-minute grid holds more than the law allows. */
TEST(no_hour_ever_holds_more_than_its_allowance)
{
    struct calendar c = { 0 };
    struct calendar_rules r = of("EU868", NULL);
    static u32 minute[60 * 24];
    u64 chance = 1;
    i64 now = 0;
    memset(minute, 0, sizeof minute);
    while (now < 24 * 3600 * SECOND - 60 * SECOND) {
        chance = hash_u64(chance);
        now += (i64)(chance % 20) * SECOND / 4;
        struct calendar_send s = at(now, 200 + (u32)(chance >> 40) % 1200, 868300000);
        if (calendar_ask(&c, &r, &s) != CALENDAR_FREE)
            continue;
        calendar_take(&c, &r, &s);
        minute[now / (60 * SECOND)] += s.airtime_us;
    }
    u64 most = 0, all = 0;
    for (int from = 0; from + 55 <= 60 * 24; from += 5) {
        u64 sum = 0;
        for (int i = 0; i < 55; i++)
            sum += minute[from + i];
        most = MAX(most, sum);
    }
    for (size_t i = 0; i < COUNT(minute); i++)
        all += minute[i];
    TRUE(most <= 36 * (u64)SECOND);
    TRUE(all > 22 * 36 * (u64)SECOND);                         /* and what is allowed can be used */
}
