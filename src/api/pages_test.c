// SPDX-License-Identifier: Apache-2.0
/* Facts of the pages: what they say of a city (rig.h) and what they keep to themselves. */
#include "api/rig.h"

#include "mac/params.h"

/* ------------------------------------------------------------------ states */

BOTH(a_device_is_never_silent_attention_or_works)
{
    struct city *c = city_in(where);
    /*        eui  heard                        battery */
    device(c, 1, "never", "river", 0, -1);
    device(c, 2, "old", "river", c->now_us - 21 * MINUTE_US, 90);        /* 2 × 10 min + 30 s are over */
    device(c, 3, "late", "river", c->now_us - 20 * MINUTE_US, 90);
    device(c, 4, "low", "river", c->now_us, 19);
    device(c, 5, "enough", "river", c->now_us, 20);
    device(c, 6, "unknown", "river", c->now_us, -1);
    device(c, 7, "flagged", "river", c->now_us, 90);
    device(c, 8, "aside", "river", c->now_us, 90);
    entity(c, 7, "WaterObserved", attribute("waterLevel", "37.8", "!", "37.8 is higher than 15", c->now_us), c->now_us);
    entity(c, 8, "WaterObserved", attribute("batteryLevel", "-1", "!", "lower than 0", c->now_us), c->now_us);
    static const char *const states[] = { "never", "silent", "works", "attention", "works", "works", "attention", "works" };
    const struct json *list = json_get(get_list(c, ""), S("devices"));
    for (u64 i = 0; i < COUNT(states); i++) {
        STR_EQ(text_of(of(list, "dev_eui", eui(i + 1)), "state"), str_z(states[i]));
        device_page(&c->call, i + 1);
        STR_EQ(text_of(answered(c, 200), "state"), str_z(states[i]));
    }
    city_end(c);
}

/* Ids and times of a clock that ran ahead: what is in the future is not green, and what is known is exact. */
BOTH(a_clock_that_was_set_back_hides_no_silence)
{
    struct city *c = city_in(where);
    i64 ahead = c->now_us + 400 * 24 * 60 * MINUTE_US;
    device(c, 1, "then", "river", ahead, 90);          /* heard while it ran ahead, and not since */
    device(c, 2, "since", "river", ahead + 1, 90);     /* heard since: ids rise, its time is the right one */
    device(c, 3, "silent", "river", ahead + 2, 90);    /* the same, and silent since */
    device(c, 4, "gone", "river", ahead + 3, 90);      /* retention took its uplink */
    device(c, 5, "second", "river", c->now_us + US_PER_S, 90);
    for (u64 i = 1; i <= 3; i++)
        uplink(c, i, ahead + (i64)i - 1, 0, 9, 3, bytes_of(S("")), GATEWAY);
    sql(c, "UPDATE uplink SET received_us = %lld, sum = NULL WHERE id = %lld", (long long)(c->now_us - MINUTE_US), (long long)ahead + 1);
    sql(c, "UPDATE uplink SET received_us = %lld, sum = NULL WHERE id = %lld", (long long)(c->now_us - 21 * MINUTE_US), (long long)ahead + 2);
    gateway(c, GATEWAY, "g", ahead);
    gateway(c, OTHER_GW, "h", c->now_us + US_PER_S);
    static const char *const states[] = { "silent", "works", "silent", "silent", "works" };
    const struct json *list = json_get(get_list(c, ""), S("devices"));
    for (u64 i = 0; i < COUNT(states); i++)
        STR_EQ(text_of(of(list, "dev_eui", eui(i + 1)), "state"), str_z(states[i]));
    STR_EQ(text_of(of(list, "dev_eui", eui(2)), "last_heard"), iso(c->now_us - MINUTE_US));
    const struct json *n = json_get(asked(c, get_city), S("counts"));
    EQ(number_of(n, "devices_heard"), 2);
    EQ(number_of(n, "gateways_heard"), 1);
    size_t silent = 0, gateways = 0;
    const struct json *page = asked(c, get_findings);
    JSON_EACH (f, json_get(page, S("findings"))) {
        struct wall since, now;
        TRUE(wall_read(&since, text_of(f, "since")) && wall_read(&now, text_of(page, "now")) && since.us <= now.us);
        silent += str_eq(text_of(f, "kind"), S("device_silent"));
        gateways += str_eq(text_of(f, "kind"), S("gateway_silent"));
    }
    EQ(silent, 3);
    EQ(gateways, 1);
    city_end(c);
}

TEST(the_city_counts_what_is_heard)
{
    struct city *c = city_make();
    device(c, RIVER, "a", "river", c->now_us, 90);
    device(c, PARKING, "b", "park", c->now_us - 3 * 60 * MINUTE_US, 90);
    device(c, TRACKER, "c", "bag", 0, -1);
    gateway(c, GATEWAY, "g", c->now_us);
    gateway(c, OTHER_GW, "h", c->now_us - 60 * MINUTE_US);
    c->counts.counted[COUNT_UPLINKS] = 12;
    const struct json *city = asked(c, get_city), *n = json_get(city, S("counts"));
    STR_EQ(text_of(city, "name"), S("試市"));
    EQ(number_of(n, "devices"), 3);
    EQ(number_of(n, "devices_heard"), 1);
    EQ(number_of(n, "gateways"), 2);
    EQ(number_of(n, "gateways_heard"), 1);
    EQ(number_of(n, "uplinks"), 12);
    city_end(c);
}

/* ------------------------------------------------------------------ the list */

BOTH(a_search_takes_its_text_as_it_stands)
{
    struct city *c = city_in(where);
    device(c, RIVER, "神通川 100% 橋", "river", 0, -1);
    device(c, PARKING, "a_b!c ''quoted''", "park", 0, -1);
    device(c, FOREIGN, "Abc", "park", 0, -1);
    static const struct { const char *q; i64 found; } facts[] = {
        { "", 3 },            { "神通", 1 },      { "%", 1 },       { "_", 1 },       { "!", 1 },
        { "'quoted'", 1 },    { "' OR 1=1 --", 0 }, { "a%c", 0 },   { "aBC", 1 },     { "100%", 1 },
        { "70B3D57ED0000001", 1 }, { "70b3", 2 }, { "70-B3-D5", 2 }, { "A840", 1 },   { "0004", 1 },
        { "a84041ffff000004", 1 }, { "FFFFFFFFFFFFFFFFF", 0 },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        const struct json *page = get_list(c, facts[i].q);
        if (number_of(page, "total") != facts[i].found)
            test_fail(__FILE__, __LINE__, "\"%s\" finds %lld", facts[i].q, (long long)number_of(page, "total"));
        EQ(json_get(page, S("devices"))->members, facts[i].found);
    }
    city_end(c);
}

BOTH(a_page_of_the_list_holds_as_many_as_were_asked_for)
{
    struct city *c = city_in(where);
    for (u64 i = 1; i <= 95; i++) {
        device(c, i, "d", "river", c->now_us, 90);
        entity(c, i, "WaterObserved", attribute("waterLevel", "37.8", i % 2 ? "!" : "", i % 2 ? "high" : "", c->now_us), c->now_us);
    }
    devices_page(&c->call, (struct devices_asked){ .limit = 90, .offset = 3 });
    const struct json *page = answered(c, 200);
    EQ(number_of(page, "total"), 95);
    EQ(json_get(page, S("devices"))->members, 90);
    u64 i = 4;
    JSON_EACH (d, json_get(page, S("devices"))) {                       /* flags come in batches of entities */
        STR_EQ(text_of(d, "dev_eui"), eui(i));
        STR_EQ(text_of(d, "state"), i % 2 ? S("attention") : S("works"));
        i++;
    }
    city_end(c);
}

/* ------------------------------------------------------------------ one device */

BOTH(a_device_page_says_its_values_in_the_profiles_words)
{
    struct city *c = city_in(where);
    i64 at = c->now_us - MINUTE_US;
    device(c, RIVER, "神通川", "river", at, 90);
    sql(c, "INSERT INTO session VALUES (1, %lld, 77, 1, 637534225, x'00', NULL, NULL, x'00', 0, 0, 5, 0, 2, 923200000, 0, NULL)",
        (long long)RIVER);
    sql(c, "INSERT INTO downlink VALUES (1, %lld, 78, 1, 2, 0, -1, x'', 0, 78, 3, 5, '', '', NULL)", (long long)RIVER);
    entity(c, RIVER, "WaterObserved",
           str_fmt(test_arena(), "%.*s,%.*s", STR(attribute("extra", "\"on\"", "", "", at)),
                   STR(attribute("waterLevel", "1.230", "!", "why", at))), at);
    device_page(&c->call, RIVER);
    const struct json *d = answered(c, 200), *v = json_first(json_get(d, S("values")));
    STR_EQ(text_of(d, "dev_addr"), S("26000011"));
    EQ(number_of(d, "fcnt_up"), 9);
    EQ(number_of(d, "fcnt_down"), 3);
    STR_EQ(text_of(d, "entity"), S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"));
    EQ(json_get(d, S("values"))->members, 2);
    STR_EQ(text_of(v, "attr"), S("waterLevel"));
    STR_EQ(json_get(v, S("value"))->raw, S("1.230"));
    STR_EQ(text_of(v, "ja"), S("水位"));
    STR_EQ(text_of(v, "unit"), S("MTR"));
    STR_EQ(text_of(v, "flag"), S("!"));
    STR_EQ(text_of(v, "reason"), S("why"));
    STR_EQ(text_of(v, "received_at"), iso(at + 7));
    STR_EQ(text_of(v->next, "en"), S("extra"));
    city_end(c);
}

TEST(a_device_of_another_tenant_is_not_there)
{
    struct city *c = city_make();
    device(c, RIVER, "神通川", "river", c->now_us, 9);
    gateway(c, GATEWAY, "g", 0);
    entity(c, RIVER, "WaterObserved", attribute("waterLevel", "37.8", "!", "high", c->now_us), c->now_us);
    reading(c, RIVER, c->now_us, 0, attribute("waterLevel", "37.8", "!", "high", c->now_us));
    uplink(c, RIVER, c->now_us, 0, 9, 3, bytes_of(S("")), GATEWAY);
    c->call.tenant = 2;
    EQ(json_get(asked(c, get_findings), S("findings"))->members, 0);
    EQ(json_get(asked(c, get_map), S("points"))->members, 0);
    EQ(json_get(asked(c, get_gateways), S("gateways"))->members, 0);
    EQ(number_of(get_list(c, ""), "total"), 0);
    EQ(number_of(json_get(asked(c, get_city), S("counts")), "devices"), 0);
    void (*const of_device[])(struct call *, u64) = { device_page, why_page };
    for (size_t i = 0; i < COUNT(of_device); i++) {
        of_device[i](&c->call, RIVER);
        (void)answered(c, 404);
    }
    frames_page(&c->call, RIVER, 10);
    (void)answered(c, 404);
    for (int uplinks = 0; uplinks < 2; uplinks++) {
        struct stream s = { .tenant = 2, .uplinks = uplinks };
        struct text t = text_make(test_arena(), 1 << 18);
        stream_look(&s, c->db, &t);
        EQ(t.n, 0);
    }
    city_end(c);
}

/* ------------------------------------------------------------------ personal devices */

BOTH(a_personal_device_shows_its_state_and_nothing_that_could_be_a_track)
{
    static const char *const forbidden[] = { "A000000000000001", "北門", "36.7", "137.2", "DevAddr", "\"size\":3", "\"fport\":2",
                                             "LinkCheckReq", "rssi_dbm\":-", "000000000000005\"" };
    struct city *c = city_in(where);
    gateway(c, GATEWAY, "北門", c->now_us);
    device(c, TRACKER, "見守り 1", "bag", c->now_us, 12);
    uplink(c, TRACKER, c->now_us, 0, 9, 3 | 1 << 11, bytes_of(S("\x02")), GATEWAY);
    sql(c, "INSERT INTO refusal VALUES (1, %lld, 0, %lld, 'DROP_BAD_MIC', %lld, 'DevAddr 26000001 FCnt 3', NULL)", (long long)TRACKER,
        (long long)c->now_us - 5, (long long)GATEWAY);
    sql(c, "INSERT INTO downlink VALUES (1, %lld, %lld, 0, 3, 0, 2, x'010203', 0, 0, 3, %lld, 'LinkCheckReq', 'DevAddr', NULL)",
        (long long)TRACKER, (long long)c->now_us - 9, (long long)GATEWAY);
    device_page(&c->call, TRACKER);
    struct str bodies[8] = { str_of(c->a.body) };
    STR_EQ(text_of(answered(c, 200), "state"), S("attention"));
    devices_page(&c->call, (struct devices_asked){ .limit = 10 });
    bodies[1] = str_of(c->a.body);
    const struct json *row = json_first(json_get(answered(c, 200), S("devices")));
    TRUE(is_null(row, "lat") && is_null(row, "lon") && is_null(row, "entity"));
    EQ(number_of(row, "battery_pct"), 12);
    frames_page(&c->call, TRACKER, 10);
    bodies[2] = str_of(c->a.body);
    EQ(json_get(answered(c, 200), S("frames"))->members, 3);
    downlinks_page(&c->call, TRACKER, 10);
    bodies[3] = str_of(c->a.body);
    series_page(&c->call, (struct series_asked){ TRACKER, S("waterLevel"), { 0 }, { INT64_MAX }, 10 });
    bodies[4] = str_of(c->a.body);
    why_page(&c->call, TRACKER);
    bodies[5] = str_of(c->a.body);
    get_findings(&c->call);
    bodies[6] = str_of(c->a.body);
    struct stream s = { .tenant = 1, .uplinks = true };
    struct text t = text_make(test_arena(), 1 << 18);
    stream_look(&s, c->db, &t);
    bodies[7] = text_str(&t);
    TRUE(str_find(bodies[7], S("\"personal\":true")) > 0);
    for (size_t i = 0; i < COUNT(bodies); i++)
        for (size_t k = 0; k < COUNT(forbidden); k++)
            if (bodies[i].n == 0 || str_find(bodies[i], str_z(forbidden[k])) >= 0)
                test_fail(__FILE__, __LINE__, "answer %zu gives %s away: %.*s", i, forbidden[k], STR(bodies[i]));
    city_end(c);
}

TEST(a_device_whose_profile_is_gone_is_hidden_like_a_personal_one)
{
    struct city *c = city_make();
    device(c, RIVER, "x", "gone", c->now_us, 50);
    const struct json *d = json_first(json_get(get_list(c, ""), S("devices")));
    TRUE(is_null(d, "lat") && json_is(json_get(d, S("personal")), JSON_TRUE));
    frames_page(&c->call, RIVER, 10);
    (void)answered(c, 200);
    EQ(json_get(asked(c, get_map), S("points"))->members, 1);
    EQ(json_get(asked(c, get_findings), S("findings"))->members, 0);
    city_end(c);
}

/* ------------------------------------------------------------------ the map */

BOTH(the_map_shows_the_main_value_with_its_flag_and_age)
{
    struct city *c = city_in(where);
    i64 at = c->now_us - MINUTE_US;
    device(c, RIVER, "神通川", "river", at, 90);
    device(c, PARKING, "P1", "park", at, 90);
    device(c, TRACKER, "見守り", "bag", at, 90);
    gateway(c, GATEWAY, "北", at);
    entity(c, RIVER, "WaterObserved", attribute("waterLevel", "1.230", "&", "why", at), at);
    entity(c, PARKING, "ParkingSpot", attribute("status", "\"o\\\"k\"", "", "", at), at);
    const struct json *points = json_get(asked(c, get_map), S("points"));
    const struct json *river = of(points, "device", eui(RIVER)), *parking = of(points, "device", eui(PARKING));
    const struct json *tracker = of(points, "device", eui(TRACKER)), *g = of(points, "kind", S("gateway"));
    EQ(points->members, 4);
    STR_EQ(text_of(river, "id"), S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"));
    STR_EQ(json_get(river, S("value"))->raw, S("1.230"));
    STR_EQ(text_of(river, "flag"), S("&"));
    STR_EQ(text_of(river, "state"), S("attention"));
    STR_EQ(text_of(river, "observed_at"), iso(at));
    STR_EQ(text_of(parking, "value"), S("o\"k"));
    STR_EQ(text_of(parking, "state"), S("works"));
    TRUE(is_null(tracker, "lat") && is_null(tracker, "value") && is_null(tracker, "attr"));
    STR_EQ(text_of(tracker, "observed_at"), iso(at));
    STR_EQ(text_of(g, "state"), S("works"));
    TRUE(is_null(g, "device"));
    city_end(c);
}

/* ------------------------------------------------------------------ gateways */

BOTH(a_gateways_last_hour_is_made_of_two_hours_of_the_clock)
{
    struct city *c = city_in(where);
    i64 hour = c->now_us / (3600 * US_PER_S);
    gateway(c, GATEWAY, "北", c->now_us);
    gateway(c, OTHER_GW, "南", 0);
    sql(c, "INSERT INTO gateway_hour VALUES (1, %lld, %lld, 100, 0, 3600000000, 0, 0, NULL)", (long long)GATEWAY, (long long)hour);
    sql(c, "INSERT INTO gateway_hour VALUES (1, %lld, %lld, 1000, 0, 0, 0, 0, NULL)", (long long)GATEWAY, (long long)hour - 1);
    sql(c, "INSERT INTO gateway_hour VALUES (1, %lld, %lld, 7000, 0, 0, 0, 0, NULL)", (long long)GATEWAY, (long long)hour - 2);
    sql(c, "INSERT INTO stranger VALUES (1, 9, %lld, 812, '', NULL)", (long long)c->now_us);
    sql(c, "INSERT INTO stranger VALUES (1, %lld, %lld, 3, '', NULL)", (long long)GATEWAY, (long long)c->now_us);
    const struct json *page = asked(c, get_gateways), *list = json_get(page, S("gateways"));
    const struct json *north = of(list, "eui", eui(GATEWAY)), *south = of(list, "eui", eui(OTHER_GW));
    TRUE(number_of(north, "rx_ok_hour") >= 100 && number_of(north, "rx_ok_hour") <= 1100);
    double load = 0;
    TRUE(json_double(&load, json_get(north, S("load_pct"))));
    NEAR(load, 12.5, 0.01);
    STR_EQ(text_of(south, "state"), S("never"));
    EQ(number_of(south, "rx_ok_hour"), 0);
    EQ(json_get(page, S("unknown"))->members, 1);                       /* registered since: a stranger no more */
    EQ(number_of(json_first(json_get(page, S("unknown"))), "datagrams"), 812);
    city_end(c);
}

/* Four tables make a gateway's line; what one of them says untruly is left out, and the rest is shown. */
BOTH(what_a_damaged_row_says_of_a_gateway_is_shown_nowhere)
{
    struct city *c = city_in(where);
    i64 hour = c->now_us / (3600 * US_PER_S);
    gateway(c, GATEWAY, "北", c->now_us);
    gateway(c, OTHER_GW, "南", c->now_us - 600 * MINUTE_US);
    sql(c, "INSERT INTO gateway_hour VALUES (1, %lld, %lld, 100, 0, 0, 0, 0, 1)", (long long)GATEWAY, (long long)hour);
    sql(c, "INSERT INTO stranger VALUES (1, 9, %lld, 812, '', 1)", (long long)c->now_us);
    sql(c, "UPDATE gateway_state SET sum = 1");
    const struct json *page = asked(c, get_gateways), *list = json_get(page, S("gateways"));
    for (int i = 0; i < 2; i++) {
        const struct json *g = of(list, "eui", eui(i ? OTHER_GW : GATEWAY));
        STR_EQ(text_of(g, "state"), S("never"));
        EQ(number_of(g, "rx_ok_hour"), 0);
        STR_EQ(text_of(of(json_get(asked(c, get_map), S("points")), "name", i ? S("南") : S("北")), "state"), S("never"));
    }
    EQ(json_get(page, S("unknown"))->members, 0);
    EQ(json_get(asked(c, get_findings), S("findings"))->members, 0);    /* that a row is damaged is a finding of its own */
    EQ(number_of(json_get(asked(c, get_city), S("counts")), "gateways_heard"), 0);
    sql(c, "UPDATE gateway SET sum = 1");
    EQ(json_get(asked(c, get_gateways), S("gateways"))->members, 0);
    EQ(json_get(asked(c, get_map), S("points"))->members, 0);
    city_end(c);
}

/* ------------------------------------------------------------------ findings */

BOTH(what_matters_first_stands_first)
{
    static const char *const order[] = { "reading_suspect", "gateway_silent", "device_silent", "device_silent", "device_never",
                                         "battery_low", "frames_refused", "frames_refused", "downlink_failed" };
    struct city *c = city_in(where);
    device(c, 1, "flagged", "river", c->now_us, 90);
    device(c, 2, "old parking", "park", c->now_us - 900 * MINUTE_US, 90);
    device(c, 3, "old river", "river", c->now_us - 30 * MINUTE_US, 90);
    device(c, 4, "never", "river", 0, -1);
    device(c, 5, "low", "river", c->now_us - 1, 5);
    entity(c, 1, "WaterObserved", attribute("waterLevel", "37.812", "!", "37.812 is higher than 15", c->now_us), c->now_us);
    gateway(c, GATEWAY, "北", c->now_us - 60 * MINUTE_US);
    uplink(c, 1, c->now_us, 0, 9, 3, bytes_of(S("")), GATEWAY);
    sql(c, "INSERT INTO refusal VALUES (1, 5, 0, %lld, 'DROP_BAD_MIC', 5, '', NULL)", (long long)c->now_us - 5);
    sql(c, "INSERT INTO refusal VALUES (1, 0, 0, %lld, 'DROP_UNKNOWN_DEVADDR', 5, '', NULL)", (long long)c->now_us - 4);
    sql(c, "INSERT INTO refusal VALUES (1, 0, 1, %lld, 'DROP_UNKNOWN_DEVADDR', 5, '', NULL)", (long long)(c->now_us - 1500 * MINUTE_US));
    sql(c, "INSERT INTO downlink VALUES (1, 5, %lld, 0, 3, 0, 2, x'01', 0, 0, 3, 5, '', 'TOO_LATE', NULL)", (long long)c->now_us - 9);
    const struct json *list = json_get(asked(c, get_findings), S("findings")), *f = json_first(list);
    EQ(list->members, COUNT(order));
    for (size_t i = 0; i < COUNT(order) && f; i++, f = f->next) {
        STR_EQ(text_of(f, "kind"), str_z(order[i]));
        TRUE(text_of(f, "ja").n > 0 && text_of(f, "en").n > 0 && text_of(f, "since").n == 24);
    }
    f = json_first(list);
    STR_EQ(text_of(f, "severity"), S("wrong"));
    STR_EQ(json_get(f, S("value"))->raw, S("37.812"));
    STR_EQ(text_of(f, "unit"), S("MTR"));
    TRUE(str_find(text_of(f, "en"), S("higher than 15")) > 0);
    TRUE(str_find(text_of(f->next, "en"), S("1 device was last heard through it")) > 0);
    STR_EQ(text_of(json_get(f->next->next, S("subject")), "name"), S("old river"));      /* gauges before parking places */
    city_end(c);
}

TEST(more_than_twenty_of_a_kind_are_one_line_and_rivers_stand_apart)
{
    struct city *c = city_make();
    for (u64 i = 0; i < 21; i++)
        device(c, 100 + i, "駐車", "park", 0, -1);
    for (u64 i = 0; i < 20; i++)
        device(c, 200 + i, "川", "river", 0, -1);
    const struct json *list = json_get(asked(c, get_findings), S("findings"));
    EQ(list->members, 21);                                              /* 20 gauges and one line for 21 places */
    const struct json *group = json_at(list, 20);
    STR_EQ(text_of(json_first(list), "kind"), S("device_never"));
    STR_EQ(text_of(json_get(json_first(list), S("subject")), "type"), S("device"));
    STR_EQ(text_of(group, "kind"), S("device_never"));
    TRUE(str_find(text_of(group, "en"), S("21 devices were never heard")) == 0);
    TRUE(str_find(text_of(group, "ja"), S("駐車、駐車、駐車 ほか")) > 0);
    city_end(c);
}

TEST(no_more_than_five_hundred_findings_are_listed)
{
    struct city *c = city_make();
    EQ(db_begin(c->db), OK);
    for (u64 i = 1; i <= 700; i++)
        device(c, i, "d", i % 2 ? "river" : "park", c->now_us, 3);
    EQ(db_commit(c->db), OK);
    EQ(json_get(asked(c, get_findings), S("findings"))->members, 2);
    city_end(c);
}

/* ------------------------------------------------------------------ frames */

BOTH(a_radio_says_what_it_does_what_it_is_asked_and_why)
{
    struct city *c = city_in(where);
    struct params_state state;
    u8 room[PARAMS_BYTES];
    struct buf out = BUF(room);
    gateway(c, GATEWAY, "北", c->now_us);
    device(c, RIVER, "神通川", "river", c->now_us, 90);
    params_begin(&state, lora_region_by_name(S("AS923-1")));
    state.now.rx1_delay_s = 5;
    state.talk.asked   = 1u << ASK_CHANNEL;
    state.talk.refused = 1u << ASK_DUTY;
    params_write(&out, &state);
    radio_page(&c->call, RIVER);
    TRUE(json_is(json_get(answered(c, 200), S("does")), JSON_NULL));           /* no session speaks */
    sql(c, "INSERT INTO session VALUES (1, %lld, 77, 1, 1, x'00', NULL, NULL, x'00', 0, 0, 5, 0, 2, 923200000, 0, NULL)", (long long)RIVER);
    struct db_query *q = db_query(c->db, "INSERT INTO mac_state (tenant, dev_eui, session, state) VALUES (1, $1, 77, $2)");
    db_bind_i64(q, 1, (i64)RIVER);
    db_bind_bytes(q, 2, buf_bytes(&out));
    EQ(db_run(q), OK);
    for (i64 i = 0; i < 3; i++)
        sql(c, "INSERT INTO mac_log VALUES (1, %lld, %lld, %lld, 'decision %lld', NULL)", (long long)RIVER, (long long)i,
            (long long)(c->now_us + i), (long long)i);
    radio_page(&c->call, RIVER);
    const struct json *page = answered(c, 200), *does = json_get(page, S("does"));
    i64 n;
    TRUE(json_i64(&n, json_get(does, S("rx1_delay_s"))) && n == 5);
    TRUE(json_i64(&n, json_get(does, S("max_eirp_dbm"))) && n == 16);
    EQ(json_get(does, S("channels"))->members, 2);
    STR_EQ(json_str(json_at(json_get(page, S("asked")), 0), test_arena()), S("NewChannelReq"));
    STR_EQ(json_str(json_at(json_get(page, S("refused")), 0), test_arena()), S("DutyCycleReq"));
    EQ(json_get(page, S("log"))->members, 3);
    STR_EQ(text_of(json_at(json_get(page, S("log")), 0), "words"), S("decision 2"));
    radio_page(&c->call, RIVER + 1);
    (void)answered(c, 404);
    city_end(c);
}

BOTH(frames_of_both_directions_and_refusals_stand_newest_first)
{
    struct city *c = city_in(where);
    u8 room[2 * MAC_RADIO_BYTES];
    struct buf both = BUF(room);
    i64 t = c->now_us - 100 * US_PER_S;
    gateway(c, GATEWAY, "北", c->now_us);
    device(c, RIVER, "神通川", "river", t + 50, 90);
    uplink(c, RIVER, t + 10, 0, 1, 3, bytes_of(S("")), GATEWAY);
    uplink(c, RIVER, t + 30, t + 10, 2, 3 | UPLINK_CONFIRMED, bytes_of(S("\x02")), GATEWAY);
    uplink(c, RIVER, t + 50, t + 30, 3, UPLINK_LATE, bytes_of(S("")), OTHER_GW);
    sql(c, "INSERT INTO downlink VALUES (1, %lld, %lld, 2, 2, 0, -1, x'', 0, %lld, -1, %lld, 'DevAddr 26000001', '', NULL)",
        (long long)RIVER, (long long)t, (long long)t + 5, (long long)GATEWAY);
    sql(c, "INSERT INTO downlink VALUES (1, %lld, %lld, 0, 3, 1, 10, x'0102', 0, %lld, 4, %lld, '', 'TOO_LATE', NULL)",
        (long long)RIVER, (long long)t + 1, (long long)t + 40, (long long)GATEWAY);
    sql(c, "INSERT INTO refusal VALUES (1, %lld, 3, %lld, 'DROP_REPEATED', %lld, 'FCnt 1', NULL)", (long long)RIVER, (long long)t + 20,
        (long long)GATEWAY);
    put_radio(&both, GATEWAY, -97, 75);
    put_radio(&both, OTHER_GW, -110, -25);
    struct db_query *q = db_query(c->db, "INSERT INTO uplink_copies (tenant, id, radio) VALUES (1, $1, $2)");
    db_bind_i64(q, 1, t + 30);
    db_bind_bytes(q, 2, buf_bytes(&both));
    EQ(db_run(q), OK);

    frames_page(&c->call, RIVER, 10);
    const struct json *list = json_get(answered(c, 200), S("frames")), *f[6];
    static const char *const directions[] = { "up", "down", "up", "up", "up", "join" };
    EQ(list->members, COUNT(directions));
    for (size_t i = 0; i < COUNT(directions); i++) {
        f[i] = json_at(list, i);
        STR_EQ(text_of(f[i], "direction"), str_z(directions[i]));
    }
    TRUE(is_null(f[0], "fport"));
    EQ(number_of(f[0], "dr"), 5);
    EQ(number_of(f[0], "freq_hz"), 923200000);
    STR_EQ(text_of(json_first(json_get(f[0], S("copies"))), "name"), S(""));             /* not registered */
    STR_EQ(text_of(f[1], "state"), S("failed"));
    STR_EQ(text_of(f[1], "reason"), S("TOO_LATE"));
    EQ(number_of(f[1], "size"), 2);
    EQ(number_of(f[2], "fcnt"), 2);
    EQ(number_of(f[2], "fport"), 2);
    EQ(number_of(f[2], "size"), 3);
    TRUE(json_is(json_get(f[2], S("confirmed")), JSON_TRUE));
    TRUE(json_is(json_get(f[0], S("late")), JSON_TRUE) && json_is(json_get(f[2], S("late")), JSON_FALSE));
    STR_EQ(text_of(f[2], "mac"), S("LinkCheckReq"));
    EQ(json_get(f[2], S("copies"))->members, 2);
    STR_EQ(json_get(json_at(json_get(f[2], S("copies")), 1), S("snr_db"))->raw, S("-2.5"));
    STR_EQ(text_of(f[3], "drop"), S("DROP_REPEATED"));
    STR_EQ(text_of(f[3], "words"), S("counter already seen"));
    STR_EQ(text_of(f[3], "reason"), S("FCnt 1"));

    frames_page(&c->call, RIVER, 2);
    EQ(json_get(answered(c, 200), S("frames"))->members, 2);
    why_page(&c->call, RIVER);
    STR_EQ(text_of(json_first(json_get(answered(c, 200), S("refusals"))), "name"), S("北"));
    downlinks_page(&c->call, RIVER, 10);
    list = json_get(answered(c, 200), S("downlinks"));
    EQ(list->members, 1);
    EQ(number_of(json_first(list), "fport"), 10);
    city_end(c);
}

TEST(mac_commands_on_port_zero_are_words)
{
    struct city *c = city_make();
    device(c, RIVER, "神通川", "river", c->now_us, 90);
    uplink(c, RIVER, c->now_us, 0, 1, 1, bytes_of(S("")), GATEWAY);
    EQ(db_exec(c->db, "UPDATE uplink SET payload = x'02'"), OK);
    frames_page(&c->call, RIVER, 10);
    STR_EQ(text_of(json_first(json_get(answered(c, 200), S("frames"))), "mac"), S("LinkCheckReq"));
    city_end(c);
}

/* ------------------------------------------------------------------ series */

BOTH(a_series_rises_in_time_and_keeps_its_newest_points)
{
    struct city *c = city_in(where);
    i64 t = c->now_us - 3600 * US_PER_S;
    device(c, RIVER, "神通川", "river", c->now_us, 90);
    entity(c, RIVER, "WaterObserved", attribute("waterLevel", "1.3", "", "", t + 3), t - 7 + 3 * MINUTE_US);
    reading(c, RIVER, t + 1 * MINUTE_US, 0, attribute("waterLevel", "1.10", "", "", t));
    reading(c, RIVER, t + 2 * MINUTE_US, t + 1 * MINUTE_US, attribute("other", "5", "", "", t));
    reading(c, RIVER, t + 3 * MINUTE_US, t + 1 * MINUTE_US, attribute("waterLevel", "1.30", "!", "", t));
    EQ(db_exec(c->db, "UPDATE entity SET last_reading = (SELECT MAX(id) FROM reading)"), OK);
    series_page(&c->call, (struct series_asked){ RIVER, S("waterLevel"), { t }, { c->now_us }, 10 });
    const struct json *s = answered(c, 200), *points = json_get(s, S("points"));
    STR_EQ(text_of(s, "unit"), S("MTR"));
    EQ(points->members, 2);
    STR_EQ(json_at(json_at(points, 0), 1)->raw, S("1.10"));
    STR_EQ(json_at(json_at(points, 1), 0)->raw, iso(t + 3 * MINUTE_US));
    STR_EQ(json_at(json_at(points, 1), 2)->raw, S("!"));
    series_page(&c->call, (struct series_asked){ RIVER, S("waterLevel"), { t }, { c->now_us }, 1 });
    STR_EQ(json_at(json_at(json_get(answered(c, 200), S("points")), 0), 1)->raw, S("1.30"));
    series_page(&c->call, (struct series_asked){ RIVER, S("waterLevel"), { t }, { t + 2 * MINUTE_US }, 10 });
    EQ(json_get(answered(c, 200), S("points"))->members, 1);
    city_end(c);
}

/* ------------------------------------------------------------------ the stream */

static size_t count_of(struct str text, struct str what)
{
    size_t n = 0;
    for (ptrdiff_t at; (at = str_find(text, what)) >= 0; n++)
        text = (struct str){ text.p + at + what.n, text.n - (size_t)at - what.n };
    return n;
}

TEST(a_stream_tells_each_event_once_and_goes_on_where_it_was)
{
    struct city *c = city_make();
    struct stream s = { .tenant = 1, .at = 0, .uplinks = true };
    device(c, RIVER, "神通川", "river", c->now_us, 90);
    EQ(db_begin(c->db), OK);
    for (u32 i = 1; i <= 250; i++)
        uplink(c, RIVER, 1000 + i, 0, i, 3, bytes_of(S("")), GATEWAY);
    EQ(db_commit(c->db), OK);
    i64 last = 0;
    for (size_t looks = 0, seen = 0; seen < 250; looks++) {
        struct text t = text_make(test_arena(), 1 << 18);
        TRUE(stream_look(&s, c->db, &t) == (s.at == 1250));             /* it says so when nothing is left */
        TRUE(looks < 4 && t.n <= 64 * 1024 && t.n > 0);
        if (t.n == 0)
            break;
        struct str rest = text_str(&t);
        while (rest.n > 0) {
            struct str line = str_cut(&rest, '\n');
            i64 id;
            if (!str_starts(line, S("id: ")))
                continue;
            TRUE(str_to_i64(&id, (struct str){ line.p + 4, line.n - 4 }));
            EQ(id, last ? last + 1 : 1001);
            last = id;
            seen++;
        }
    }
    EQ(last, 1250);
    EQ(s.at, 1250);
    struct text t = text_make(test_arena(), 1 << 18);
    TRUE(stream_look(&s, c->db, &t));
    EQ(t.n, 0);                                                         /* nothing new: nothing is said */
    uplink(c, RIVER, 2000, 0, 300, 3 | UPLINK_LATE, bytes_of(S("")), GATEWAY);
    stream_look(&s, c->db, &t);
    STR_EQ(text_str(&t), S("id: 2000\nevent: uplink\ndata: {\"id\":2000,\"device\":\"70B3D57ED0000001\",\"fcnt\":300,\"fport\":2,"
                           "\"gateway\":\"A000000000000001\",\"rssi_dbm\":-97,\"snr_db\":7.5,\"late\":true,\"personal\":false}\n\n"));
    city_end(c);
}

BOTH(a_change_says_what_changed)
{
    struct city *c = city_in(where);
    struct stream s = { .tenant = 1, .at = c->now_us - 1 };
    struct text t = text_make(test_arena(), 1 << 18);
    device(c, RIVER, "神通川", "river", c->now_us, 90);
    entity(c, RIVER, "WaterObserved", attribute("waterLevel", "1.30", "", "", c->now_us), c->now_us);
    reading(c, RIVER, c->now_us - 1, 0, attribute("waterLevel", "1.10", "", "", c->now_us));
    reading(c, RIVER, c->now_us, 0, attribute("waterLevel", "1.30", "!", "", c->now_us));
    uplink(c, RIVER, c->now_us - 5, 0, 1, 3 | UPLINK_BEHIND, bytes_of(S("")), GATEWAY);
    sql(c, "UPDATE reading SET uplink = %lld", (long long)c->now_us - 5);
    stream_look(&s, c->db, &t);
    EQ(count_of(text_str(&t), S("event: change")), 1);                  /* what was before the cursor stays there */
    ptrdiff_t data = str_find(text_str(&t), S("data: ")) + 6;
    const struct json *doc = NULL;
    EQ(json_read(&doc, (struct str){ t.p + data, t.n - (size_t)data }, test_arena(), JSON_STRICT, NULL), OK);
    STR_EQ(text_of(doc, "entity"), S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"));
    STR_EQ(text_of(doc, "type"), S("WaterObserved"));
    STR_EQ(text_of(doc, "name"), S("神通川"));
    TRUE(json_is(json_get(doc, S("behind")), JSON_TRUE));               /* history; what the entity is now stays */
    const struct json *level = json_get(json_get(doc, S("attrs")), S("waterLevel"));
    STR_EQ(json_get(level, S("value"))->raw, S("1.30"));
    STR_EQ(text_of(level, "flag"), S("!"));
    city_end(c);
}

TEST(a_large_event_leaves_room_for_the_next_look)
{
    struct city *c = city_make();
    struct stream s = { .tenant = 1 };
    for (i64 i = 1; i <= 20; i++)
        reading(c, RIVER, i, 0, S(""));
    EQ(db_exec(c->db, "UPDATE reading SET attributes = '{\"a\":{\"type\":\"Property\",\"value\":\"' || hex(zeroblob(10000)) || '\"}}'"), OK);
    for (int looks = 0; s.at < 20; looks++) {
        struct text t = text_make(test_arena(), 1 << 18);
        stream_look(&s, c->db, &t);
        TRUE(looks < 10 && t.n > 0 && t.n <= 64 * 1024);
        if (t.n == 0)
            break;
    }
    city_end(c);
}

/* ------------------------------------------------------------------ readers */

BOTH(a_reader_sees_one_moment_until_it_is_given_back)
{
    struct city *c = city_in(where);
    struct db *reader = reader_take(c->api.readers);
    TRUE(reader != NULL);
    c->call.db = reader;
    EQ(number_of(get_list(c, ""), "total"), 0);
    device(c, RIVER, "神通川", "river", 0, -1);
    EQ(number_of(get_list(c, ""), "total"), 0);
    reader_give(c->api.readers, reader);
    TRUE(reader_take(c->api.readers) == reader);                        /* kept for the next request */
    EQ(number_of(get_list(c, ""), "total"), 1);
    reader_give(c->api.readers, reader);
    city_end(c);
}

/* ------------------------------------------------------------------ NGSI-LD */

static const struct json *query(struct city *c, const char *text, struct str *count)
{
    struct ngsi_asked a = ngsi(c, NGSI_QUERY, text);
    a.view.query = &a.query;
    entities_page(&c->call, &a);
    *count = header(c, S("NGSILD-Results-Count"), 0);
    return answered(c, 200);
}

BOTH(entities_are_counted_cut_and_simplified)
{
    struct city *c = city_in(where);
    struct str count;
    for (u64 i = 1; i <= 5; i++)
        entity(c, i, "WaterObserved", attribute(i == 3 ? "special" : "waterLevel", "1.5", "", "", c->now_us), c->now_us);
    entity(c, 9, "ParkingSpot", attribute("status", "\"free\"", "", "", c->now_us), c->now_us);
    static const struct { const char *query; size_t n; const char *count; } facts[] = {
        { "type=WaterObserved", 5, "" },
        { "type=WaterObserved&count=true&limit=2", 2, "5" },
        { "type=WaterObserved&count=true&limit=2&offset=4", 1, "5" },
        { "type=WaterObserved&count=true&limit=2&offset=40", 0, "5" },
        { "type=WaterObserved&count=true&limit=0", 0, "5" },
        { "type=Nothing&count=true", 0, "0" },
        { "type=WaterObserved,ParkingSpot&count=true&limit=4&offset=3", 3, "6" },
        { "attrs=special&count=true", 1, "1" },
        { "type=WaterObserved&attrs=waterLevel&count=true&limit=3", 3, "4" },
        { "id=urn:ngsi-ld:ParkingSpot:0000000000000009,urn:ngsi-ld:None:1&type=ParkingSpot&count=true", 1, "1" },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        const struct json *list = query(c, facts[i].query, &count);
        if (list->members != facts[i].n || !str_eq(count, str_z(facts[i].count)))
            test_fail(__FILE__, __LINE__, "%s: %u entities, count \"%.*s\"", facts[i].query, list->members, STR(count));
    }
    const struct json *simple = json_first(query(c, "type=ParkingSpot&options=keyValues", &count));
    STR_EQ(text_of(simple, "status"), S("free"));
    STR_EQ(text_of(simple, "type"), S("ParkingSpot"));
    struct ngsi_asked a = ngsi(c, NGSI_QUERY, "type=WaterObserved&limit=2&offset=2");
    a.view.query = &a.query;
    entities_page(&c->call, &a);
    struct str links = header(c, S("Link"), 1);
    TRUE(str_find(links, S("offset=4>; rel=\"next\"")) > 0 && str_find(links, S("offset=0>; rel=\"prev\"")) > 0);
    city_end(c);
}

TEST(one_entity_has_its_times_when_they_are_asked_for)
{
    struct city *c = city_make();
    entity(c, 1, "WaterObserved", attribute("waterLevel", "1.50", "", "", c->now_us), c->now_us);
    static const struct { const char *id, *query; int status; } facts[] = {
        { "urn:ngsi-ld:WaterObserved:0000000000000001", "", 200 },
        { "urn:ngsi-ld:WaterObserved:0000000000000001", "options=sysAttrs", 200 },
        { "urn:ngsi-ld:WaterObserved:0000000000000001", "type=ParkingSpot", 404 },
        { "urn:ngsi-ld:WaterObserved:0000000000000001", "attrs=status", 404 },
        { "urn:ngsi-ld:WaterObserved:2", "", 404 },
        { "not a uri", "", 400 },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct ngsi_asked a = ngsi(c, NGSI_RETRIEVE, facts[i].query);
        a.view.query = &a.query;
        entity_page(&c->call, &a, str_z(facts[i].id));
        const struct json *e = answered(c, facts[i].status);
        EQ(json_get(e, S("createdAt")) != NULL, i == 1);
        if (facts[i].status == 404)
            STR_EQ(text_of(e, "type"), S("https://uri.etsi.org/ngsi-ld/errors/ResourceNotFound"));
    }
    city_end(c);
}

static const struct json *temporal(struct city *c, const char *text, int status, struct str *range)
{
    struct ngsi_asked a = ngsi(c, NGSI_TEMPORAL_RETRIEVE, text);
    a.view.query = &a.query;
    temporal_page(&c->call, &a, S("urn:ngsi-ld:WaterObserved:0000000000000001"));
    *range = header(c, S("Content-Range"), 0);
    return json_get(answered(c, status), S("waterLevel"));
}

BOTH(a_long_history_is_cut_at_its_newest_thousand_and_says_so)
{
    struct city *c = city_in(where);
    struct str range;
    i64 t = 1770000000LL * US_PER_S;                                    /* 2026-02-02T02:40:00Z */
    entity(c, 1, "WaterObserved", attribute("waterLevel", "1.50", "", "", t), t);
    EQ(db_begin(c->db), OK);
    for (i64 i = 0; i < 1100; i++)
        reading(c, 1, t + i * MINUTE_US, i ? t + (i - 1) * MINUTE_US : 0,
                attribute("waterLevel", str_fmt(test_arena(), "%lld", (long long)i).p, "", "", t + i * MINUTE_US));
    EQ(db_commit(c->db), OK);
    EQ(db_exec(c->db, "UPDATE entity SET last_reading = (SELECT MAX(id) FROM reading)"), OK);

    const struct json *level = temporal(c, "", 206, &range);
    EQ(level->members, 1000);
    STR_EQ(json_get(json_first(level), S("value"))->raw, S("1099"));
    STR_EQ(range, str_fmt(test_arena(), "date-time %.*s-%.*s/*", STR(iso(t + 1099 * MINUTE_US)), STR(iso(t + 100 * MINUTE_US))));

    level = temporal(c, "timerel=between&timeAt=2026-02-02T02:50:00Z&endTimeAt=2026-02-02T03:00:00Z", 200, &range);
    EQ(level->members, 10);                                             /* the lower bound is in, the upper one is not */
    STR_EQ(json_get(json_first(level), S("value"))->raw, S("10"));
    EQ(range.n, 0);
    EQ(temporal(c, "timerel=before&timeAt=2026-02-02T02:45:00Z", 200, &range)->members, 5);
    EQ(temporal(c, "timerel=between&timeAt=2026-02-02T02:50:00Z&endTimeAt=2026-02-02T03:00:00Z&timeproperty=createdAt", 200,
                &range)->members, 10);
    level = temporal(c, "lastN=3", 200, &range);
    EQ(level->members, 3);
    STR_EQ(json_get(json_first(level), S("value"))->raw, S("1099"));
    city_end(c);
}
