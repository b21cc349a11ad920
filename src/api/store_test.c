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
