// SPDX-License-Identifier: Apache-2.0
/* A chain of readings from the newest to the oldest: what a walk shows, where it ends, and what it believes. */
#include "history/history.h"

#include "base/test.h"

#define DAY_US  (86400 * US_PER_S)
#define AT_US   (1770000000LL * US_PER_S)
#define ENTITY  S("urn:ngsi-ld:WaterObserved:1")
#define ALWAYS  (struct wall){ INT64_MIN / 2 }, (struct wall){ INT64_MAX }

struct rig { struct env env; struct text seen; size_t enough; };

static struct rig *rig_make(void)
{
    struct rig *r = arena_new(test_arena(), struct rig);
    struct str why = S("");
    r->env = (struct env){ .event = arena_make(1024), .batch = arena_make(1024) };
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

/* One more reading of the entity, observed so many days after the first of all. */
static void append(struct rig *r, i64 id, i64 prev, i64 observed_day)
{
    struct reading x = { .entity = ENTITY, .before_reading = prev, .uplink_id = id, .observed = { AT_US + observed_day * DAY_US },
                         .device = { .tenant = 1, .dev_eui = 5 } };
    struct change c = { .id = id, .reading = &x, .attributes = str_fmt(test_arena(), "{\"day\":%lld}", (long long)observed_day) };
    EQ(history_append(&r->env, &c), OK);
}

static void head(struct rig *r, i64 last)
{
    struct db_query *q = env_query(&r->env, "INSERT INTO entity (tenant, id, type, attributes, last_reading, created_us, "
                                            "modified_us, sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    db_bind_i64(q, 1, 1);
    db_bind_str(q, 2, ENTITY);
    db_bind_str(q, 3, S("WaterObserved"));
    db_bind_str(q, 4, S("{}"));
    db_bind_i64(q, 5, last);
    db_bind_i64(q, 6, AT_US);
    db_bind_i64(q, 7, AT_US);
    db_bind_sum(q, 8, "entity");
    EQ(env_run(&r->env, q), OK);
}

static i64 id_on(i64 day) { return AT_US + day * DAY_US; }

static bool see(void *arg, const struct history_row *row)
{
    struct rig *r = arg;
    text_fmt(&r->seen, "%.*s@%lld ", STR(row->attributes), (long long)((row->observed.us - AT_US) / DAY_US));
    return --r->enough > 0;
}

static struct str walk(struct rig *r, struct wall from, struct wall to, size_t enough, enum err expected)
{
    r->seen   = text_make(test_arena(), 10000);
    r->enough = enough;
    EQ(history_walk(r->env.db, 1, ENTITY, from, to, see, r), expected);
    return text_str(&r->seen);
}

static struct wall day(i64 d) { return (struct wall){ AT_US + d * DAY_US }; }

TEST(a_walk_shows_the_newest_first_within_its_interval_and_until_it_is_enough)
{
    struct rig *r = rig_make();
    for (i64 d = 1; d <= 9; d++)
        append(r, id_on(d), d > 1 ? id_on(d - 1) : 0, d);
    head(r, id_on(9));
    STR_EQ(walk(r, ALWAYS, 3, OK), S("{\"day\":9}@9 {\"day\":8}@8 {\"day\":7}@7 "));
    STR_EQ(walk(r, day(4), day(6), 99, OK), S("{\"day\":6}@6 {\"day\":5}@5 {\"day\":4}@4 "));
    STR_EQ(walk(r, day(9), day(9), 99, OK), S("{\"day\":9}@9 "));
    STR_EQ(walk(r, day(10), day(20), 99, OK), S(""));
    STR_EQ(walk(r, day(-20), day(0), 99, OK), S(""));
    rig_stop(r);
}

TEST(what_came_late_stands_where_it_arrived_and_is_found_by_when_it_was_observed)
{
    struct rig *r = rig_make();
    append(r, id_on(1), 0, 1);
    append(r, id_on(8), id_on(1), 2);                          /* six days behind */
    append(r, id_on(9), id_on(8), 9);
    head(r, id_on(9));
    STR_EQ(walk(r, day(2), day(3), 99, OK), S("{\"day\":2}@2 "));
    rig_stop(r);
}

TEST(a_walk_goes_on_for_the_day_that_a_clock_may_be_set_back_and_no_further)
{
    struct rig *r = rig_make();
    append(r, id_on(1), 0, 7);                                 /* nobody is so far from the truth */
    append(r, id_on(4), id_on(1), 4);
    append(r, id_on(5), id_on(4), 7);
    append(r, id_on(6), id_on(5), 6);                          /* the clock was set back two days before it */
    head(r, id_on(6));
    STR_EQ(walk(r, day(7), day(8), 99, OK), S("{\"day\":7}@7 "));
    rig_stop(r);
}

TEST(a_chain_ends_where_retention_took_the_rest_and_where_it_leads_astray)
{
    struct rig *r = rig_make();
    append(r, id_on(2), id_on(1), 2);                          /* the first day is gone */
    append(r, id_on(3), id_on(2), 3);
    head(r, id_on(3));
    STR_EQ(walk(r, ALWAYS, 99, OK), S("{\"day\":3}@3 {\"day\":2}@2 "));
    EQ(db_exec(r->env.db, "UPDATE reading SET entity = 'another' WHERE prev = 1770086400000000"), OK);
    STR_EQ(walk(r, ALWAYS, 99, OK), S("{\"day\":3}@3 "));
    rig_stop(r);
}

TEST(a_damaged_reading_is_left_out_and_a_chain_that_turns_back_ends)
{
    struct rig *r = rig_make();
    append(r, id_on(1), id_on(3), 1);                          /* round and round */
    append(r, id_on(2), id_on(1), 2);
    append(r, id_on(3), id_on(2), 3);
    head(r, id_on(3));
    EQ(db_exec(r->env.db, "UPDATE reading SET attributes = '{\"day\":99}' WHERE prev = 1770086400000000"), OK);
    STR_EQ(walk(r, ALWAYS, 99, OK), S("{\"day\":3}@3 {\"day\":1}@1 "));
    rig_stop(r);
}

TEST(what_is_not_known_or_cannot_be_read_is_said)
{
    struct rig *r = rig_make();
    STR_EQ(walk(r, ALWAYS, 99, ERR_NOT_FOUND), S(""));
    head(r, 0);
    STR_EQ(walk(r, ALWAYS, 99, OK), S(""));                    /* an entity without a reading */
    EQ(db_exec(r->env.db, "DELETE FROM entity"), OK);
    append(r, id_on(1), 0, 1);
    head(r, id_on(1));
    EQ(db_exec(r->env.db, "ALTER TABLE reading RENAME COLUMN dev_eui TO away; ALTER TABLE reading ADD COLUMN dev_eui BIGINT "
                          "GENERATED ALWAYS AS (length(zeroblob(999999999)))"), OK);
    r->seen = text_make(test_arena(), 100);
    enum err err = history_walk(r->env.db, 1, ENTITY, ALWAYS, see, r);
    TRUE(err != OK && err != ERR_NOT_FOUND && r->seen.n == 0);
    rig_stop(r);
}

TEST(nothing_is_appended_for_no_change_and_nothing_after_the_store_failed)
{
    struct rig *r = rig_make();
    struct reading x = { .entity = ENTITY };
    struct change none = { .reading = &x }, one = { .id = 1, .reading = &x, .attributes = S("{}") };
    EQ(history_append(&r->env, &none), OK);
    TRUE(!r->env.open);
    r->env.failed = ERR_FULL;
    EQ(history_append(&r->env, &one), ERR_FULL);
    rig_stop(r);
}
