// SPDX-License-Identifier: Apache-2.0
/*
 * What the pages say when the store cannot be read, when rows of it are damaged, and when a row says
 * something that no row of ours should. Nobody is then shown half a page, nor a row that is not believed.
 */
#include "api/rig.h"

/* One row of everything: a gauge that is heard, flagged and sent to, by a gateway that fell silent. */
static struct city *city_full(void)
{
    struct city *c = city_make();
    i64 at = c->now_us - MINUTE_US;
    gateway(c, GATEWAY, "北", c->now_us - 10 * MINUTE_US);
    device(c, RIVER, "神通川", "river", at, 90);
    sql(c, "INSERT INTO session VALUES (1, %lld, 77, 1, 637534225, x'00', NULL, NULL, x'00', 0, 0, 5, 0, 2, 923200000, 0, NULL)",
        (long long)RIVER);
    uplink(c, RIVER, at, 0, 9, 3, bytes_of(S("")), GATEWAY);
    sql(c, "INSERT INTO downlink VALUES (1, %lld, %lld, 0, 3, 0, 2, x'01', 0, 0, 3, 5, '', 'TOO_LATE', NULL)", (long long)RIVER,
        (long long)at - 9);
    sql(c, "INSERT INTO refusal VALUES (1, %lld, 0, %lld, 'DROP_BAD_MIC', %lld, '', NULL)", (long long)RIVER, (long long)at - 5,
        (long long)GATEWAY);
    sql(c, "INSERT INTO stranger VALUES (1, 9, %lld, 812, '', NULL)", (long long)c->now_us);
    entity(c, RIVER, "WaterObserved", attribute("waterLevel", "37.8", "!", "high", at), at);
    reading(c, RIVER, at, 0, attribute("waterLevel", "37.8", "!", "high", at));
    return c;
}

/* ------------------------------------------------------------------ a store that cannot be read */

static void ask_list(struct city *c)      { devices_page(&c->call, (struct devices_asked){ .limit = 10 }); }
static void ask_device(struct city *c)    { device_page(&c->call, RIVER); }
static void ask_frames(struct city *c)    { frames_page(&c->call, RIVER, 10); }
static void ask_downlinks(struct city *c) { downlinks_page(&c->call, RIVER, 10); }
static void ask_why(struct city *c)       { why_page(&c->call, RIVER); }
static void ask_series(struct city *c)    { series_page(&c->call, (struct series_asked){ RIVER, S("waterLevel"), { 0 }, { c->now_us }, 9 }); }
static void ask_city(struct city *c)      { get_city(&c->call); }
static void ask_findings(struct city *c)  { get_findings(&c->call); }
static void ask_map(struct city *c)       { get_map(&c->call); }
static void ask_gateways(struct city *c)  { get_gateways(&c->call); }

static const struct {
    const char *name;
    void (*ask)(struct city *c);
    const char *reads[6];
} pages[] = {
    { "city",      ask_city,      { "gateway", "device" } },
    { "findings",  ask_findings,  { "device", "entity", "gateway", "uplink", "refusal", "downlink" } },
    { "map",       ask_map,       { "device", "entity", "gateway" } },
    { "gateways",  ask_gateways,  { "gateway", "stranger" } },
    { "list",      ask_list,      { "device", "entity" } },
    { "device",    ask_device,    { "device", "session", "entity" } },
    { "frames",    ask_frames,    { "device", "gateway", "uplink", "downlink", "refusal" } },
    { "downlinks", ask_downlinks, { "device", "downlink" } },
    { "why",       ask_why,       { "device", "gateway", "refusal" } },
    { "series",    ask_series,    { "device", "entity" } },
};

TEST(a_page_whose_table_cannot_be_read_says_so_and_shows_nothing_else)
{
    struct city *c = city_full();
    for (size_t i = 0; i < COUNT(pages); i++) {
        pages[i].ask(c);
        (void)answered(c, 200);
        for (size_t k = 0; k < COUNT(pages[i].reads) && pages[i].reads[k]; k++) {
            break_table(c, pages[i].reads[k]);
            pages[i].ask(c);
            if (c->a.status != 503)
                test_fail(__FILE__, __LINE__, "%s without %s is a %d", pages[i].name, pages[i].reads[k], c->a.status);
            STR_EQ(c->a.type, S("application/problem+json"));
            EQ(answered(c, 503)->members, 4);
            mend_table(c, pages[i].reads[k]);
        }
    }
    city_end(c);
}

TEST(an_ngsi_answer_whose_table_cannot_be_read_is_a_problem_in_its_words)
{
    static const char *const queries[] = { "type=WaterObserved", "type=WaterObserved&count=true", "type=WaterObserved&attrs=waterLevel",
                                           "type=WaterObserved,ParkingSpot", "id=urn:ngsi-ld:WaterObserved:70b3d57ed0000001" };
    struct city *c = city_full();
    struct ngsi_asked a;
    break_table(c, "entity");
    for (size_t i = 0; i < COUNT(queries); i++) {
        a = ngsi(c, NGSI_QUERY, queries[i]);
        a.view.query = &a.query;
        entities_page(&c->call, &a);
        STR_EQ(text_of(answered(c, 500), "type"), S("https://uri.etsi.org/ngsi-ld/errors/InternalError"));
    }
    a = ngsi(c, NGSI_RETRIEVE, "");
    a.view.query = &a.query;
    entity_page(&c->call, &a, S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"));
    (void)answered(c, 500);
    mend_table(c, "entity");
    break_table(c, "reading");
    a = ngsi(c, NGSI_TEMPORAL_RETRIEVE, "");
    a.view.query = &a.query;
    temporal_page(&c->call, &a, S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"));
    STR_EQ(text_of(answered(c, 500), "type"), S("https://uri.etsi.org/ngsi-ld/errors/InternalError"));
    city_end(c);
}

TEST(a_stream_whose_table_cannot_be_read_stays_where_it_was)
{
    struct city *c = city_full();
    struct stream s = { .tenant = 1, .at = 7 };
    struct text t = text_make(test_arena(), 1 << 18);
    break_table(c, "reading");
    stream_look(&s, c->db, &t);
    EQ(t.n, 0);
    EQ(s.at, 7);
    mend_table(c, "reading");
    stream_look(&s, c->db, &t);
    EQ(s.at, c->now_us - MINUTE_US);
    city_end(c);
}

/* ------------------------------------------------------------------ rows that are damaged */

static const struct json *member(struct city *c, void (*ask)(struct city *), const char *key)
{
    ask(c);
    return json_get(answered(c, 200), str_z(key));
}

static bool finds(struct city *c, const char *kind) { return of(member(c, ask_findings, "findings"), "kind", str_z(kind)) != NULL; }

TEST(a_damaged_device_is_on_no_page_and_its_own_says_what_to_do)
{
    struct city *c = city_full();
    damage(c, "device");
    EQ(member(c, ask_list, "devices")->members, 0);
    EQ(of(member(c, ask_map, "points"), "device", eui(RIVER)), NULL);
    ask_device(c);
    TRUE(str_find(text_of(answered(c, 500), "detail"), S("hotaru fsck")) > 0);
    struct stream s = { .tenant = 1 };
    struct text t = text_make(test_arena(), 1 << 18);
    stream_look(&s, c->db, &t);
    TRUE(str_find(text_str(&t), S("\"name\":\"\"")) > 0 && str_find(text_str(&t), S("\"waterLevel\"")) > 0);
    city_end(c);
}

TEST(a_damaged_state_is_as_if_the_device_had_never_been_heard)
{
    struct city *c = city_full();
    damage(c, "device_state");
    ask_device(c);
    const struct json *d = answered(c, 200);
    STR_EQ(text_of(d, "state"), S("never"));
    TRUE(is_null(d, "fcnt_up") && is_null(d, "battery_pct") && is_null(d, "last_heard"));
    city_end(c);
}

TEST(a_damaged_session_is_not_shown)
{
    struct city *c = city_full();
    damage(c, "session");
    ask_device(c);
    const struct json *d = answered(c, 200);
    TRUE(is_null(d, "dev_addr") && is_null(d, "joined_at") && is_null(d, "fcnt_down"));
    EQ(number_of(d, "fcnt_up"), 9);
    city_end(c);
}

TEST(a_damaged_entity_has_no_values_anywhere)
{
    struct city *c = city_full();
    EQ(member(c, ask_device, "values")->members, 1);
    TRUE(finds(c, "reading_suspect"));
    STR_EQ(text_of(json_first(member(c, ask_list, "devices")), "state"), S("attention"));
    damage(c, "entity");
    EQ(member(c, ask_device, "values")->members, 0);
    TRUE(!finds(c, "reading_suspect"));
    STR_EQ(text_of(json_first(member(c, ask_list, "devices")), "state"), S("works"));
    TRUE(is_null(of(member(c, ask_map, "points"), "device", eui(RIVER)), "value"));
    struct ngsi_asked a = ngsi(c, NGSI_QUERY, "type=WaterObserved&count=true");
    a.view.query = &a.query;
    entities_page(&c->call, &a);
    EQ(answered(c, 200)->members, 0);
    a = ngsi(c, NGSI_RETRIEVE, "");
    a.view.query = &a.query;
    entity_page(&c->call, &a, S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"));
    (void)answered(c, 404);
    struct stream s = { .tenant = 1 };
    struct text t = text_make(test_arena(), 1 << 18);
    stream_look(&s, c->db, &t);
    TRUE(str_find(text_str(&t), S("\"type\":\"\"")) > 0);
    city_end(c);
}

TEST(damaged_frames_are_left_out_and_the_others_stay)
{
    struct city *c = city_full();
    EQ(member(c, ask_frames, "frames")->members, 3);
    static const char *const tables[] = { "uplink", "downlink", "refusal" };
    for (size_t i = 0; i < COUNT(tables); i++) {
        damage(c, tables[i]);
        EQ(member(c, ask_frames, "frames")->members, 2);
        heal(c, tables[i]);
    }
    damage(c, "downlink");
    EQ(member(c, ask_downlinks, "downlinks")->members, 0);
    damage(c, "refusal");
    EQ(member(c, ask_why, "refusals")->members, 0);
    struct stream s = { .tenant = 1, .uplinks = true };
    struct text t = text_make(test_arena(), 1 << 18);
    damage(c, "uplink");
    stream_look(&s, c->db, &t);
    EQ(t.n, 0);
    EQ(s.at, c->now_us - MINUTE_US);                                    /* passed over, and not looked at again */
    city_end(c);
}

TEST(damaged_copies_leave_the_first_one)
{
    struct city *c = city_full();
    u8 room[2 * MAC_RADIO_BYTES];
    struct buf both = BUF(room);
    put_radio(&both, GATEWAY, -97, 75);
    put_radio(&both, OTHER_GW, -110, -25);
    struct db_query *q = db_query(c->db, "INSERT INTO uplink_copies (tenant, id, radio) VALUES (1, $1, $2)");
    db_bind_i64(q, 1, c->now_us - MINUTE_US);
    db_bind_bytes(q, 2, buf_bytes(&both));
    EQ(db_run(q), OK);
    EQ(json_get(json_first(member(c, ask_frames, "frames")), S("copies"))->members, 2);
    damage(c, "uplink_copies");
    EQ(json_get(json_first(member(c, ask_frames, "frames")), S("copies"))->members, 1);
    city_end(c);
}

TEST(a_damaged_gateway_has_no_point_and_no_name)
{
    struct city *c = city_full();
    TRUE(of(member(c, ask_map, "points"), "kind", S("gateway")) != NULL);
    STR_EQ(text_of(json_first(member(c, ask_why, "refusals")), "name"), S("北"));
    damage(c, "gateway");
    EQ(of(member(c, ask_map, "points"), "kind", S("gateway")), NULL);
    STR_EQ(text_of(json_first(member(c, ask_why, "refusals")), "name"), S(""));
    city_end(c);
}

TEST(what_is_damaged_or_full_is_the_first_thing_that_people_read)
{
    struct city *c = city_full();
    struct db_damage *noted = db_damage_make();
    c->api.damage = noted;
    db_damage_watch(c->db, noted);
    EQ(number_of(asked(c, get_health), "damaged_rows"), 0);
    damage(c, "entity");
    ask_device(c);
    (void)answered(c, 200);
    const struct json *health = asked(c, get_health);
    STR_EQ(text_of(health, "status"), S("damaged"));
    EQ(number_of(health, "damaged_rows"), 1);
    const struct json *first = json_first(member(c, ask_findings, "findings"));
    STR_EQ(text_of(first, "kind"), S("store_damaged"));
    STR_EQ(text_of(first, "severity"), S("wrong"));
    TRUE(str_find(text_of(json_get(first, S("subject")), "name"), S("WaterObserved")) > 0);
    c->counts.full_us = c->now_us - MINUTE_US;
    health = asked(c, get_health);
    STR_EQ(text_of(health, "status"), S("full"));
    STR_EQ(text_of(health, "store"), S("full"));
    first = json_first(member(c, ask_findings, "findings"));
    STR_EQ(text_of(first, "kind"), S("store_full"));
    STR_EQ(text_of(first, "since"), iso(c->now_us - MINUTE_US));
    get_metrics(&c->call);
    TRUE(str_find(str_of(c->a.body), S("\nhotaru_store_full 1\n")) > 0);
    TRUE(str_find(str_of(c->a.body), S("\nhotaru_store_damaged_rows 1\n")) > 0);
    city_end(c);
    db_damage_free(noted);
}

/* ------------------------------------------------------------------ rows that say what no row should */

TEST(attributes_that_are_no_object_are_logged_and_show_nothing)
{
    static const char *const texts[] = { "[1]", "{\"a\":", "" };
    struct city *c = city_full();
    for (size_t i = 0; i < COUNT(texts); i++) {
        sql(c, "UPDATE entity SET attributes = '%s'", texts[i]);
        sql(c, "UPDATE reading SET attributes = '%s'", texts[i]);
        EQ(member(c, ask_device, "values")->members, 0);
        EQ(member(c, ask_series, "points")->members, 0);
        TRUE(is_null(of(member(c, ask_map, "points"), "device", eui(RIVER)), "value"));
        struct ngsi_asked a = ngsi(c, NGSI_TEMPORAL_RETRIEVE, "");
        a.view.query = &a.query;
        temporal_page(&c->call, &a, S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"));
        EQ(json_get(answered(c, 200), S("waterLevel")), NULL);
    }
    city_end(c);
}

TEST(an_event_larger_than_an_event_may_be_is_passed_over)
{
    struct city *c = city_full();
    struct stream s = { .tenant = 1 };
    struct text t = text_make(test_arena(), 1 << 18);
    reading(c, RIVER, c->now_us, 0, S(""));
    EQ(db_exec(c->db, "UPDATE reading SET attributes = '{\"a\":{\"type\":\"Property\",\"value\":\"' || hex(zeroblob(70000)) || '\"}}' "
                      "WHERE id < (SELECT MAX(id) FROM reading)"), OK);
    stream_look(&s, c->db, &t);
    EQ(s.at, c->now_us);
    TRUE(t.n > 0 && t.n < 1000);                                        /* the small one behind it has come */
    city_end(c);
}

TEST(an_answer_above_eight_mebibytes_says_so)
{
    struct city *c = city_full();
    EQ(db_exec(c->db, "UPDATE entity SET attributes = '{\"waterLevel\":{\"type\":\"Property\",\"value\":\"' || hex(zeroblob(5000000)) "
                      "|| '\",\"quality\":{\"type\":\"Property\",\"value\":\"\"}}}'"), OK);
    ask_device(c);
    STR_EQ(text_of(answered(c, 500), "title"), S("answer too large"));
    struct ngsi_asked a = ngsi(c, NGSI_RETRIEVE, "");
    a.view.query = &a.query;
    entity_page(&c->call, &a, S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"));
    STR_EQ(text_of(answered(c, 403), "type"), S("https://uri.etsi.org/ngsi-ld/errors/TooManyResults"));
    city_end(c);
}

/* ------------------------------------------------------------------ words for what is rare */

TEST(every_flag_has_its_own_words)
{
    static const struct { const char *attr, *value, *flag, *reason, *ja, *en; bool number; } facts[] = {
        { "waterLevel", "37.8", "!", "high", "水位の値が範囲（-2〜15）を外れています", "water level: high", true },
        { "waterLevel", "3.8", "&", "4 m in 10 min", "水位の変わり方が大きすぎます", "water level: 4 m in 10 min", true },
        { "waterLevel", "3.8", "*", "no reading", "水位の値が欠けています", "water level: no reading", false },
        { "waterLevel", "3.8", "?", "", "水位の値に印（?）が付いています", "water level: flagged", true },
        { "waterLevel", "\"high\"", "!", "no number", "範囲", "water level: no number", false },
        { "batteryLevel", "101", "!", "high", "の値が範囲（〜）を外れています", "high", true },
    };
    struct city *c = city_full();
    for (size_t i = 0; i < COUNT(facts); i++) {
        sql(c, "UPDATE entity SET attributes = '{\"refDevice\":{\"type\":\"Relationship\",\"object\":\"urn:ngsi-ld:Device:%016llx\"},%.*s}'",
            (unsigned long long)RIVER, STR(attribute(facts[i].attr, facts[i].value, facts[i].flag, facts[i].reason, c->now_us)));
        if (!facts[i].reason[0] && !str_eq(str_z(facts[i].flag), S("*")))
            sql(c, "UPDATE entity SET attributes = replace(attributes, '\"unitCode\"', '\"qualityReason\":\"\",\"unitCode\"')");
        const struct json *f = of(member(c, ask_findings, "findings"), "kind", S("reading_suspect"));
        TRUE(f != NULL);
        if (!f || str_find(text_of(f, "ja"), str_z(facts[i].ja)) < 0 || str_find(text_of(f, "en"), str_z(facts[i].en)) < 0)
            test_fail(__FILE__, __LINE__, "%s: %.*s %.*s", facts[i].flag, STR(text_of(f, "ja")), STR(text_of(f, "en")));
        EQ(json_is(json_get(f, S("value")), JSON_NUMBER), facts[i].number);
        STR_EQ(text_of(f, "severity"), i + 1 < COUNT(facts) ? S("wrong") : S("attention"));       /* not its main value */
    }
    city_end(c);
}

TEST(how_often_a_silent_device_speaks_is_said_in_hours_or_minutes)
{
    static const struct { const char *profile, *en; } facts[] = {
        { "river", "usually every 10 min." }, { "park", "usually every 1 h." }, { "gate", "usually every 90 min." },
        { "quick", "usually every 1 min." },
    };
    struct city *c = city_make();
    for (size_t i = 0; i < COUNT(facts); i++)
        device(c, i + 1, facts[i].profile, facts[i].profile, c->now_us - 800 * MINUTE_US, 90);
    const struct json *list = member(c, ask_findings, "findings");
    EQ(list->members, COUNT(facts));
    JSON_EACH (f, list)
        for (size_t i = 0; i < COUNT(facts); i++)
            if (str_eq(text_of(json_get(f, S("subject")), "name"), str_z(facts[i].profile)))
                TRUE(str_ends(text_of(f, "en"), str_z(facts[i].en)));
    city_end(c);
}

TEST(what_is_refused_of_nobody_we_know_is_told_under_its_word)
{
    struct city *c = city_make();
    i64 at = c->now_us - MINUTE_US;
    device(c, TRACKER, "見守り", "bag", c->now_us, 90);
    sql(c, "INSERT INTO refusal VALUES (1, 0, 0, %lld, 'DROP_BAD_MIC', 5, '', NULL)", (long long)at);
    sql(c, "INSERT INTO refusal VALUES (1, 0, 1, %lld, 'DROP_FROM_A_LATER_VERSION', 5, '', NULL)", (long long)at);
    sql(c, "INSERT INTO refusal VALUES (1, 4711, 0, %lld, 'DROP_UNKNOWN_DEVADDR', 5, '', NULL)", (long long)at);
    sql(c, "INSERT INTO downlink VALUES (1, %lld, %lld, 0, 3, 0, 2, x'01', 0, 0, 3, 5, '', 'TOO_LATE', NULL)", (long long)TRACKER,
        (long long)at);
    sql(c, "INSERT INTO downlink VALUES (1, 4711, %lld, 0, 3, 0, 2, x'01', 0, 0, 3, 5, '', 'TOO_LATE', NULL)", (long long)at);
    const struct json *list = member(c, ask_findings, "findings");
    EQ(list->members, 3);                                               /* a person's downlink is nobody else's matter */
    static const char *const en[] = { "1 frame refused: no session key verifies it", "1 frame refused: no session has this DevAddr",
                                      "1 frame refused: DROP_FROM_A_LATER_VERSION" };
    for (size_t i = 0; i < COUNT(en); i++) {
        const struct json *f = json_at(list, i);
        STR_EQ(text_of(json_get(f, S("subject")), "type"), S("entity"));
        if (i != 1)
            STR_EQ(text_of(f, "en"), str_z(en[i]));
    }
    city_end(c);
}

TEST(a_device_says_its_version_and_an_older_value_its_own_time)
{
    static const struct { const char *profile, *lorawan; } facts[] = { { "river", "1.0.3" }, { "quick", "1.0.4" }, { "gate", "1.1" } };
    struct city *c = city_make();
    i64 at = c->now_us - MINUTE_US;
    for (size_t i = 0; i < COUNT(facts); i++) {
        device(c, i + 1, "d", facts[i].profile, c->now_us, 90);
        device_page(&c->call, i + 1);
        STR_EQ(text_of(answered(c, 200), "lorawan"), str_z(facts[i].lorawan));
    }
    sql(c, "INSERT INTO entity (tenant, id, type, attributes, last_reading, created_us, modified_us) VALUES (1, 'urn:ngsi-ld:Gate:the-one', "
           "'Gate', '{%.*s}', 5, 5, 5)", STR(attribute("opening", "7", "", "", at)));
    device_page(&c->call, 3);                                           /* the entity's name is the profile's, without an EUI */
    const struct json *d = answered(c, 200), *v = json_first(json_get(d, S("values")));
    STR_EQ(text_of(d, "entity"), S("urn:ngsi-ld:Gate:the-one"));
    STR_EQ(text_of(v, "ja"), S("開度"));
    STR_EQ(text_of(v, "received_at"), iso(at));
    TRUE(is_null(of(member(c, ask_map, "points"), "device", eui(3)), "attr"));          /* no value is its main one */
    city_end(c);
}

TEST(a_series_says_null_where_a_value_is_missing_and_keeps_the_order_of_one_moment)
{
    struct city *c = city_full();
    i64 t = c->now_us - 30 * US_PER_S;
    reading(c, RIVER, t, c->now_us - MINUTE_US, attribute("waterLevel", "37.8", "*", "no reading", t));
    reading(c, RIVER, t + 1, t, attribute("waterLevel", "1.5", "", "", t));
    reading(c, RIVER, t + 2, t + 1, attribute("waterLevel", "1.6", "", "", t));
    sql(c, "UPDATE reading SET observed_us = %lld WHERE id > %lld", (long long)t, (long long)t);
    sql(c, "UPDATE entity SET last_reading = %lld, attributes = attributes", (long long)t + 2);
    ask_series(c);
    const struct json *points = json_get(answered(c, 200), S("points"));
    EQ(points->members, 4);
    TRUE(json_is(json_at(json_at(points, 1), 1), JSON_NULL));
    STR_EQ(json_str(json_at(json_at(points, 1), 2), test_arena()), S("*"));
    STR_EQ(json_at(json_at(points, 2), 1)->raw, S("1.5"));
    STR_EQ(json_at(json_at(points, 3), 1)->raw, S("1.6"));
    EQ(db_exec(c->db, "UPDATE reading SET attributes = '{\"waterLevel\":{\"type\":\"Property\",\"value\":\"' || hex(zeroblob(40000)) || '\"}}'"), OK);
    ask_series(c);
    JSON_EACH (point, json_get(answered(c, 200), S("points")))          /* larger than any value of ours */
        TRUE(json_is(json_at(point, 1), JSON_NULL));
    city_end(c);
}

TEST(the_direction_of_a_refusal_is_that_of_its_frame)
{
    static const struct { const char *word; i64 gateway; const char *direction; } facts[] = {
        { "DROP_BAD_MIC", 5, "up" },      { "DROP_JOIN_MIC", 5, "join" },  { "DROP_DEVNONCE", 5, "join" },
        { "DROP_JOIN_REPEATED", 5, "join" }, { "DROP_JOIN_LATE", 5, "join" }, { "DROP_JOIN_SPENT", 0, "join" },
        { "DROP_SPENT", 0, "down" },      { "DROP_NO_ROOM", 0, "down" },
    };
    struct city *c = city_make();
    device(c, RIVER, "神通川", "river", c->now_us, 90);
    for (size_t i = 0; i < COUNT(facts); i++)                           /* all of one moment: the later id stands first */
        sql(c, "INSERT INTO refusal VALUES (1, %lld, %d, %lld, '%s', %lld, '', NULL)", (long long)RIVER, (int)i,
            (long long)c->now_us - 100 - (long long)i, facts[i].word, (long long)facts[i].gateway);
    const struct json *list = member(c, ask_frames, "frames");
    EQ(list->members, COUNT(facts));
    for (size_t i = 0; i < COUNT(facts); i++) {
        STR_EQ(text_of(json_at(list, i), "drop"), str_z(facts[i].word));
        STR_EQ(text_of(json_at(list, i), "direction"), str_z(facts[i].direction));
    }
    city_end(c);
}

TEST(a_frame_in_fsk_has_its_data_rate_and_one_whose_radio_is_cut_has_none)
{
    struct city *c = city_full();
    u8 room[MAC_RADIO_BYTES];
    struct buf radio = BUF(room);
    put_radio(&radio, GATEWAY, -97, 75);
    memset(room + 16, 0, 8);                                            /* no bandwidth, */
    room[20] = 0x50, room[21] = 0xC3;                                   /* 50,000 bit/s, */
    room[28] = 0;                                                       /* no spreading factor */
    sql(c, "UPDATE uplink SET radio = x'%.*s'", STR(hex_str(test_arena(), (struct bytes){ room, sizeof room })));
    const struct json *up = of(member(c, ask_frames, "frames"), "direction", S("up"));
    EQ(number_of(up, "dr"), 7);
    sql(c, "UPDATE uplink SET radio = x'0102'");
    up = of(member(c, ask_frames, "frames"), "direction", S("up"));
    TRUE(is_null(up, "dr") && is_null(up, "freq_hz"));
    EQ(json_get(up, S("copies"))->members, 0);
    struct stream s = { .tenant = 1, .uplinks = true };
    struct text t = text_make(test_arena(), 1 << 18);
    stream_look(&s, c->db, &t);
    TRUE(str_find(text_str(&t), S("\"gateway\":null,\"rssi_dbm\":null")) > 0);
    city_end(c);
}

TEST(an_entity_of_no_device_stands_where_it_says_or_nowhere)
{
    static const struct { const char *attributes; bool shown; const char *name; } facts[] = {
        { "\"location\":{\"type\":\"GeoProperty\",\"value\":{\"type\":\"Point\",\"coordinates\":[137.25,36.75]}}", true, "urn:x:1" },
        { "\"name\":{\"type\":\"Property\",\"value\":{\"value\":\"橋\"}},\"location\":{\"value\":{\"coordinates\":[137.25,36.75]}}", true, "橋" },
        { "\"location\":{\"value\":{\"coordinates\":[137.25]}}", false, "" },
        { "\"location\":{\"value\":{\"coordinates\":[\"a\",36]}}", false, "" },
        { "\"refDevice\":{\"object\":\"urn:ngsi-ld:Device:0000000000004711\"}", false, "" },
        { "\"refDevice\":{\"object\":\"urn:ngsi-ld:Device:00000000000047zz\"}", false, "" },
        { "\"refDevice\":{\"object\":\"urn:ngsi-ld:Device:1\"}", false, "" },
        { "\"refDevice\":{\"object\":\"urn:other\"}", false, "" },
    };
    struct city *c = city_make();
    sql(c, "INSERT INTO entity (tenant, id, type, attributes, last_reading, created_us, modified_us) VALUES (1, 'urn:x:1', 'X', '', 5, 5, %lld)",
        (long long)c->now_us);
    for (size_t i = 0; i < COUNT(facts); i++) {
        sql(c, "UPDATE entity SET attributes = '{%s}'", facts[i].attributes);
        const struct json *points = member(c, ask_map, "points"), *x = json_first(points);
        EQ(points->members, facts[i].shown);
        if (!facts[i].shown)
            continue;
        STR_EQ(text_of(x, "name"), str_z(facts[i].name));
        STR_EQ(json_get(x, S("lat"))->raw, S("36.750000"));
        STR_EQ(json_get(x, S("lon"))->raw, S("137.250000"));
        TRUE(is_null(x, "device"));
    }
    city_end(c);
}

TEST(what_is_no_plain_value_is_null_on_the_map_and_a_persons_value_too)
{
    struct city *c = city_full();
    i64 at = c->now_us;
    sql(c, "UPDATE entity SET attributes = '{\"refDevice\":{\"object\":\"urn:ngsi-ld:Device:%016llx\"},%.*s}'", (unsigned long long)RIVER,
        STR(attribute("waterLevel", "{\"deep\":1}", "", "", at)));
    TRUE(is_null(of(member(c, ask_map, "points"), "device", eui(RIVER)), "value"));
    device(c, TRACKER, "見守り", "bag", at, 90);
    sql(c, "UPDATE entity SET attributes = '{\"refDevice\":{\"object\":\"urn:ngsi-ld:Device:%016llx\"},%.*s}'", (unsigned long long)TRACKER,
        STR(attribute("waterLevel", "1.5", "", "", at)));
    TRUE(is_null(of(member(c, ask_map, "points"), "device", eui(TRACKER)), "value"));
    city_end(c);
}

TEST(a_city_of_many_gateways_and_devices_knows_all_their_names)
{
    struct city *c = city_make();
    EQ(db_begin(c->db), OK);
    for (u64 i = 1; i <= 300; i++) {
        gateway(c, i, str_fmt(test_arena(), "g%llu", (unsigned long long)i).p, 0);
        device(c, i, "d", "river", 0, -1);
    }
    EQ(db_commit(c->db), OK);
    sql(c, "INSERT INTO refusal VALUES (1, 300, 0, %lld, 'DROP_BAD_MIC', 299, '', NULL)", (long long)c->now_us);
    why_page(&c->call, 300);
    STR_EQ(text_of(json_first(json_get(answered(c, 200), S("refusals"))), "name"), S("g299"));
    EQ(member(c, ask_map, "points")->members, 600);
    city_end(c);
}

TEST(a_history_that_came_late_stands_in_the_order_of_its_time)
{
    struct city *c = city_make();
    struct ngsi_asked a;
    i64 t = 1770000000LL * US_PER_S;
    static const i64 minutes[] = { 0, 3, 1, 2, 4 };                     /* when the readings say that they were; they came one after another */
    entity(c, 1, "WaterObserved", attribute("waterLevel", "9", "", "", t), t);
    for (i64 i = 0; i < 5; i++) {
        reading(c, 1, t + i, i ? t + i - 1 : 0, attribute("waterLevel", str_fmt(test_arena(), "%d", (int)minutes[i]).p, "", "",
                                                          t + minutes[i] * MINUTE_US));
        sql(c, "UPDATE reading SET observed_us = %lld WHERE id = %lld", (long long)(t + minutes[i] * MINUTE_US), (long long)t + i);
    }
    sql(c, "UPDATE entity SET last_reading = %lld", (long long)t + 4);
    static const struct { const char *query; const char *values; } facts[] = {
        { "", "01234" },
        { "timerel=after&timeAt=2026-02-02T02:41:30Z", "234" },
        { "timeproperty=createdAt", "03124" },                          /* in the order in which they came */
        { "timeproperty=createdAt&timerel=after&timeAt=2027-01-01T00:00:00Z", "" },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        a = ngsi(c, NGSI_TEMPORAL_RETRIEVE, facts[i].query);
        a.view.query = &a.query;
        temporal_page(&c->call, &a, S("urn:ngsi-ld:WaterObserved:0000000000000001"));
        struct text values = text_make(test_arena(), 100);
        JSON_EACH (v, json_get(answered(c, 200), S("waterLevel")))
            text_put(&values, json_get(v, S("value"))->raw);
        STR_EQ(text_str(&values), str_z(facts[i].values));
    }
    city_end(c);
}

TEST(an_id_that_is_named_twice_is_one_entity)
{
    struct city *c = city_full();
    struct ngsi_asked a = ngsi(c, NGSI_QUERY, "id=urn:ngsi-ld:WaterObserved:70b3d57ed0000001,urn:ngsi-ld:WaterObserved:70b3d57ed0000001,"
                                              "urn:ngsi-ld:WaterObserved:7&count=true");
    a.view.query = &a.query;
    entities_page(&c->call, &a);
    STR_EQ(header(c, S("NGSILD-Results-Count"), 0), S("1"));
    EQ(answered(c, 200)->members, 1);
    city_end(c);
}

/* ------------------------------------------------------------------ connections */

static void lost(struct str where)
{
    struct city *c = city_in(where);
    struct db *first = reader_take(c->api.readers);
    TRUE(first != NULL);
    reader_give(c->api.readers, first);
    struct db_query *q = db_query(c->db, "SELECT COUNT(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                                         "pid <> pg_backend_pid() AND datname = current_database()) ended");
    EQ(db_step(q), OK);
    EQ(db_i64(q, 0), 1);
    db_reset(q);
    struct db *second = reader_take(c->api.readers);
    TRUE(second != NULL);
    c->call.db = second;
    EQ(number_of(get_list(c, ""), "total"), 0);
    reader_give(c->api.readers, second);
    city_end(c);
}
TEST(a_connection_that_the_server_ended_is_replaced) { on_postgres(lost); }

TEST(no_more_connections_are_kept_than_sixteen)
{
    struct city *c = city_make();
    struct db *taken[20], *again;
    for (size_t i = 0; i < COUNT(taken); i++)
        TRUE((taken[i] = reader_take(c->api.readers)) != NULL);
    for (size_t i = 0; i < COUNT(taken); i++)
        reader_give(c->api.readers, taken[i]);
    again = reader_take(c->api.readers);
    TRUE(again == taken[15]);                                           /* the last one that was kept comes first */
    reader_give(c->api.readers, again);
    city_end(c);
}
