// SPDX-License-Identifier: Apache-2.0
/* The entity as it is now: what a reading changes of it, what stays, and what a damaged row costs. */
#include "context/context.h"

#include "base/test.h"

#include <math.h>

#define DEVICE  0x70B3D57ED0000001ULL
#define ENTITY  S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001")
#define AT_US   (1770000000LL * US_PER_S)
#define SELF    "{\"name\":{\"type\":\"Property\",\"value\":\"Bridge\"}," PLACE "\"refDevice\":{\"type\":\"Relationship\"," \
                "\"object\":\"urn:ngsi-ld:Device:70b3d57ed0000001\"},\"dateObserved\":{\"type\":\"Property\",\"value\":{" \
                "\"@type\":\"DateTime\",\"@value\":\"2026-02-02T02:40:00.000Z\"}}"
#define PLACE   "\"location\":{\"type\":\"GeoProperty\",\"value\":{\"type\":\"Point\",\"coordinates\":[137.200000,36.700000]}},"
#define FINE    "\"quality\":{\"type\":\"Property\",\"value\":\"\"}"
#define NOW     "\"observedAt\":\"2026-02-02T02:40:00.000Z\""
#define THEN    "\"observedAt\":\"2026-02-02T02:30:00.000Z\""

static const struct profile_field level = { .name = { "level", 5 }, .attr = { "waterLevel", 10 }, .unit = { "MTR", 3 } };
static const struct profile_field bare = { .name = { "bare", 4 } };
static const struct profile gauge = { .entity_type = { "WaterObserved", 13 }, .entity_id = { "urn:ngsi-ld:WaterObserved:{dev_eui}", 35 } };

struct rig { struct env env; struct reading reading; struct change change; };

static struct wall clock_of(void *w) { (void)w; return (struct wall){ AT_US }; }

static struct rig *rig_make(void)
{
    struct rig *r = arena_new(test_arena(), struct rig);
    struct str why = S("");
    r->env = (struct env){ .clock = clock_of, .event = arena_make(1 << 16), .batch = arena_make(1024) };
    EQ(db_open(&r->env.db, str_z(test_folder()), DB_WRITER, &why, test_arena()), OK);
    return r;
}

static void rig_stop(struct rig *r)
{
    if (r->env.open)
        db_rollback(r->env.db);
    db_close(r->env.db);
    arena_free(&r->env.event);
    arena_free(&r->env.batch);
}

/* A reading of the gauge; its fields are the caller's. */
static struct reading *reading(struct rig *r, i64 uplink, const struct profile *profile)
{
    r->reading = (struct reading){ .uplink_id = uplink, .received = { AT_US + uplink }, .observed = { AT_US },
                                   .device = { .tenant = 1, .dev_eui = DEVICE, .profile = profile, .name = S("Bridge"),
                                               .latitude = 36.7, .longitude = 137.2 } };
    return &r->reading;
}

static void field(struct reading *r, struct field f) { r->fields[r->count++] = f; }

static void merge(struct rig *r)
{
    EQ(context_load(&r->env, &r->reading), OK);
    EQ(context_merge(&r->env, &r->change, &r->reading), OK);
}

/* The reading before that the chain shows to. */
static void put_reading(struct rig *r, i64 id, struct str entity, bool damaged)
{
    struct db_query *q = env_query(&r->env, "INSERT INTO reading (tenant, id, entity, prev, uplink, dev_eui, observed_us, "
                                            "attributes, sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    db_bind_i64(q, 1, 1);
    db_bind_i64(q, 2, id);
    db_bind_str(q, 3, entity);
    for (int at = 4; at < 8; at++)
        db_bind_i64(q, at, 0);
    db_bind_str(q, 8, S("{}"));
    db_bind_sum(q, 9, damaged ? "entity" : "reading");
    EQ(env_run(&r->env, q), OK);
}

static void put_entity(struct rig *r, i64 last, struct str attributes, bool damaged)
{
    struct db_query *q = env_query(&r->env, "INSERT INTO entity (tenant, id, type, attributes, last_reading, created_us, "
                                            "modified_us, sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    db_bind_i64(q, 1, 1);
    db_bind_str(q, 2, ENTITY);
    db_bind_str(q, 3, gauge.entity_type);
    db_bind_str(q, 4, attributes);
    db_bind_i64(q, 5, last);
    db_bind_i64(q, 6, 11);
    db_bind_i64(q, 7, 22);
    db_bind_sum(q, 8, damaged ? "reading" : "entity");
    EQ(env_run(&r->env, q), OK);
}

static struct str stored(struct rig *r, i64 *last, i64 *created, i64 *modified)
{
    struct db_query *q = env_query(&r->env, "SELECT " ENTITY_ROW("") " FROM entity");
    TRUE(q && db_step(q) == OK && entity_good(q, 0));
    STR_EQ(db_str(q, 1), ENTITY);
    STR_EQ(db_str(q, 2), S("WaterObserved"));
    struct str attributes = str_copy(test_arena(), db_str(q, 3));
    *last = db_i64(q, 4), *created = db_i64(q, 5), *modified = db_i64(q, 6);
    db_reset(q);
    return attributes;
}

TEST(an_entity_says_its_name_its_place_its_device_and_what_was_read)
{
    struct rig *r = rig_make();
    i64 last, created, modified;
    struct reading *x = reading(r, 1, &gauge);
    field(x, (struct field){ .name = S("level"), .rule = &level, .kind = FIELD_NUMBER, .number = 1.5, .text = S("1.50") });
    field(x, (struct field){ .name = S("bare"), .rule = &bare, .kind = FIELD_TEXT, .text = S("du \"sel\"") });
    field(x, (struct field){ .name = S("wet"), .kind = FIELD_BOOL, .boolean = true });
    field(x, (struct field){ .name = S("dry"), .kind = FIELD_MISSING, .flag = FLAG_MISSING, .reason = S("broken") });
    field(x, (struct field){ .name = S("name"), .kind = FIELD_TEXT, .text = S("a codec's name") });
    field(x, (struct field){ .name = S("location"), .kind = FIELD_NUMBER, .number = 1, .text = S("1") });
    merge(r);
#define READ "\"waterLevel\":{\"type\":\"Property\",\"value\":1.50," NOW ",\"unitCode\":\"MTR\"," FINE "}," \
             "\"bare\":{\"type\":\"Property\",\"value\":\"du \\\"sel\\\"\"," NOW "," FINE "},"             \
             "\"wet\":{\"type\":\"Property\",\"value\":true," NOW "," FINE "}"
    STR_EQ(r->change.attributes, S("{" READ "}"));
    STR_EQ(r->change.whole, S(SELF "," READ "}"));
    STR_EQ(stored(r, &last, &created, &modified), r->change.whole);
    EQ(last, r->change.id);
    EQ(created, x->received.us);
    EQ(modified, x->received.us);
    EQ(r->env.counted[COUNT_READINGS], 1);
    rig_stop(r);
}

TEST(a_device_whose_place_is_not_known_says_none)
{
    static const struct { double latitude, longitude; } facts[] = { { (double)NAN, (double)NAN }, { 36.7, (double)NAN }, { (double)NAN, 137.2 } };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct rig *r = rig_make();
        struct reading *x = reading(r, 1, &gauge);
        x->device.latitude = facts[i].latitude, x->device.longitude = facts[i].longitude;
        field(x, (struct field){ .name = S("wet"), .kind = FIELD_BOOL });
        merge(r);
        TRUE(str_find(r->change.whole, S("location")) < 0 && str_find(r->change.whole, S("\"wet\"")) > 0);
        rig_stop(r);
    }
}

#define BEFORE "{\"dateObserved\":{\"type\":\"Property\",\"value\":1},\"waterLevel\":{\"type\":\"Property\",\"value\":1.50," THEN ",\"unitCode\":\"MTR\"," FINE "}," \
               "\"battery\":{\"type\":\"Property\",\"value\":90," THEN "," FINE "}}"

/* What is kept of the level, by what came: 1.50 stood there before. */
TEST(what_is_not_believed_or_missing_keeps_the_last_good_value_beside_it)
{
    static const struct { struct str before; struct field f; struct str level; } facts[] = {
        { S(BEFORE), { .kind = FIELD_NUMBER, .text = { "9", 1 }, .flag = FLAG_RANGE, .reason = { "high", 4 } },
          S("{\"type\":\"Property\",\"value\":9," NOW ",\"unitCode\":\"MTR\",\"quality\":{\"type\":\"Property\",\"value\":\"!\"},"
            "\"qualityReason\":{\"type\":\"Property\",\"value\":\"high\"},\"lastGood\":{\"type\":\"Property\",\"value\":1.50," THEN "}}") },
        { S(BEFORE), { .kind = FIELD_MISSING, .flag = FLAG_MISSING },
          S("{\"type\":\"Property\",\"value\":1.50," THEN ",\"unitCode\":\"MTR\",\"quality\":{\"type\":\"Property\",\"value\":\"*\"},"
            "\"lastGood\":{\"type\":\"Property\",\"value\":1.50," THEN "}}") },
        { S("{\"waterLevel\":{\"value\":9," NOW ",\"lastGood\":{\"type\":\"Property\",\"value\":1.25," THEN "}}}"),
          { .kind = FIELD_NUMBER, .text = { "8", 1 }, .flag = FLAG_CHANGE },
          S("{\"type\":\"Property\",\"value\":8," NOW ",\"unitCode\":\"MTR\",\"quality\":{\"type\":\"Property\",\"value\":\"\\u0026\"},"
            "\"lastGood\":{\"type\":\"Property\",\"value\":1.25," THEN "}}") },
        { S("{\"waterLevel\":{\"value\":9," NOW ",\"lastGood\":{\"type\":\"Property\",\"value\":1.25," THEN "}}}"),
          { .kind = FIELD_NUMBER, .text = { "2", 1 } },
          S("{\"type\":\"Property\",\"value\":2," NOW ",\"unitCode\":\"MTR\"," FINE "}") },
        { S("{\"waterLevel\":{\"value\":\"dry\"," THEN "}}"), { .kind = FIELD_NUMBER, .text = { "9", 1 }, .flag = FLAG_RANGE },
          S("{\"type\":\"Property\",\"value\":9," NOW ",\"unitCode\":\"MTR\",\"quality\":{\"type\":\"Property\",\"value\":\"!\"}}") },
        { S("{}"), { .kind = FIELD_NUMBER, .text = { "9", 1 }, .flag = FLAG_RANGE },
          S("{\"type\":\"Property\",\"value\":9," NOW ",\"unitCode\":\"MTR\",\"quality\":{\"type\":\"Property\",\"value\":\"!\"}}") },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct rig *r = rig_make();
        const struct json *whole = NULL;
        put_entity(r, 5, facts[i].before, false);
        struct reading *x = reading(r, 1, &gauge);
        field(x, facts[i].f);
        x->fields[0].name = S("level"), x->fields[0].rule = &level;
        merge(r);
        EQ(x->before_reading, 5);
        EQ(json_read(&whole, r->change.whole, test_arena(), JSON_STRICT, NULL), OK);
        STR_EQ(json_get(whole, S("waterLevel"))->raw, facts[i].level);
        rig_stop(r);
    }
}

TEST(what_a_reading_does_not_speak_of_stays_as_it_was)
{
    struct rig *r = rig_make();
    i64 last, created, modified;
    put_entity(r, 5, S(BEFORE), false);
    field(reading(r, 1, &gauge), (struct field){ .name = S("level"), .rule = &level, .kind = FIELD_NUMBER, .text = S("2") });
    merge(r);
    STR_EQ(stored(r, &last, &created, &modified),
           S(SELF ",\"waterLevel\":{\"type\":\"Property\",\"value\":2," NOW ",\"unitCode\":\"MTR\"," FINE "},"
             "\"battery\":{\"type\":\"Property\",\"value\":90," THEN "," FINE "}}"));
    EQ(created, 11);
    EQ(modified, AT_US + 1);
    rig_stop(r);
}

TEST(a_reading_from_behind_joins_the_chain_and_shows_nothing)
{
    struct rig *r = rig_make();
    i64 last, created, modified;
    put_entity(r, 5, S(BEFORE), false);
    struct reading *x = reading(r, 1, &gauge);
    x->behind = true;
    field(x, (struct field){ .name = S("level"), .rule = &level, .kind = FIELD_NUMBER, .text = S("2") });
    merge(r);
    STR_EQ(stored(r, &last, &created, &modified), S(BEFORE));
    EQ(last, r->change.id);
    EQ(created, 11);
    EQ(modified, 22);
    rig_stop(r);
    r = rig_make();
    x = reading(r, 1, &gauge);
    x->behind = true;                                          /* the first of all is shown, from behind or not */
    field(x, (struct field){ .name = S("wet"), .kind = FIELD_BOOL });
    merge(r);
    STR_EQ(stored(r, &last, &created, &modified), r->change.whole);
    rig_stop(r);
}

TEST(where_there_is_no_entity_or_nothing_was_read_nothing_changes)
{
    static const struct profile none = { .entity_id = { "", 0 } };
    struct rig *r = rig_make();
    field(reading(r, 1, &none), (struct field){ .name = S("wet"), .kind = FIELD_BOOL });
    merge(r);
    EQ(r->change.id, 0);
    TRUE(!r->env.open);                                        /* the store was not even asked */
    (void)reading(r, 1, &gauge);
    merge(r);
    EQ(r->change.id, 0);
    EQ(r->env.counted[COUNT_READINGS], 0);
    rig_stop(r);
}

TEST(an_entity_may_be_called_without_its_device)
{
    static const struct profile one = { .entity_type = { "T", 1 }, .entity_id = { "urn:ngsi-ld:T:only", 18 } };
    struct rig *r = rig_make();
    field(reading(r, 1, &one), (struct field){ .name = S("wet"), .kind = FIELD_BOOL });
    merge(r);
    STR_EQ(r->reading.entity, S("urn:ngsi-ld:T:only"));
    rig_stop(r);
}

TEST(an_entity_that_would_be_too_large_stays_as_it_is)
{
    struct rig *r = rig_make();
    i64 last, created, modified;
    put_entity(r, 5, S(BEFORE), false);
    struct reading *x = reading(r, 1, &gauge);
    for (int i = 0; i < FIELDS_MAX; i++)
        field(x, (struct field){ .name = str_fmt(test_arena(), "f%d", i), .kind = FIELD_TEXT, .text = str_fmt(test_arena(), "%01000d", i) });
    merge(r);
    EQ(r->change.id, 0);
    STR_EQ(stored(r, &last, &created, &modified), S(BEFORE));
    EQ(last, 5);
    rig_stop(r);
}

/* The chain goes on where a damaged row still points to a sound reading of this entity, and nowhere else. */
TEST(an_entity_whose_row_is_damaged_begins_anew_and_its_history_goes_on)
{
    static const struct { struct str entity; bool damaged; i64 last, kept; } facts[] = {
        { S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"), false, 7, 7 },
        { S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"), false, 8, 0 },
        { S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"), true, 7, 0 },
        { S("urn:ngsi-ld:WaterObserved:another"), false, 7, 0 },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct rig *r = rig_make();
        put_reading(r, 7, facts[i].entity, facts[i].damaged);
        put_entity(r, facts[i].last, S(BEFORE), true);
        field(reading(r, 1, &gauge), (struct field){ .name = S("wet"), .kind = FIELD_BOOL });
        merge(r);
        TRUE(!r->reading.before && str_find(r->change.whole, S("battery")) < 0);
        EQ(r->reading.before_reading, facts[i].kept);
        rig_stop(r);
    }
}

TEST(attributes_that_are_no_json_are_as_if_there_were_none)
{
    struct rig *r = rig_make();
    put_entity(r, 5, S("{\"battery\":"), false);
    field(reading(r, 1, &gauge), (struct field){ .name = S("wet"), .kind = FIELD_BOOL });
    merge(r);
    EQ(r->reading.before_reading, 5);
    STR_EQ(r->change.whole, S(SELF ",\"wet\":{\"type\":\"Property\",\"value\":false," NOW "," FINE "}}"));
    rig_stop(r);
}

TEST(a_store_that_fails_is_told_by_each_step)
{
    struct rig *r = rig_make();
    struct reading *x = reading(r, 1, &gauge);
    field(x, (struct field){ .name = S("wet"), .kind = FIELD_BOOL });
    r->env.failed = ERR_FULL;
    EQ(context_load(&r->env, x), ERR_FULL);
    x->entity = ENTITY;
    EQ(context_merge(&r->env, &r->change, x), ERR_FULL);
    r->env.failed = OK;
    put_entity(r, 7, S(BEFORE), true);
    put_reading(r, 7, ENTITY, false);
    EQ(db_exec(r->env.db, "ALTER TABLE reading RENAME COLUMN dev_eui TO away; ALTER TABLE reading ADD COLUMN dev_eui BIGINT "
                          "GENERATED ALWAYS AS (length(zeroblob(999999999)))"), OK);
    enum err err = context_load(&r->env, x);
    TRUE(err != OK && err != ERR_NOT_FOUND);
    rig_stop(r);
}
