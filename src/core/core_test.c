// SPDX-License-Identifier: Apache-2.0
/* What all floors above rest on: words, ids that rise, one transaction a batch, profiles that are refused in words. */
#include "core/core.h"

#include "base/test.h"

#include <math.h>

struct rig { struct env env; i64 clock_us; };

static struct wall clock_of(void *w) { return (struct wall){ ((struct rig *)w)->clock_us }; }

static struct rig *rig_make(void)
{
    struct rig *r = arena_new(test_arena(), struct rig);
    struct str why = S("");
    r->clock_us = 1770000000LL * US_PER_S;
    r->env = (struct env){ .clock = clock_of, .world = r, .event = arena_make(1024), .batch = arena_make(1024) };
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

/* ------------------------------------------------------------------ words */

TEST(every_refusal_has_a_name_and_words_and_is_found_by_its_name)
{
    for (enum drop d = PASS; d < DROP_KINDS; d++) {
        TRUE(str_z(drop_words(d)).n > 0);
        EQ(drop_named(str_z(drop_name(d))), d);
    }
    EQ(drop_named(S("DROP_BAD_MI")), DROP_KINDS);
    EQ(drop_named(S("")), DROP_KINDS);
    STR_EQ(str_z(drop_name(DROP_KINDS)), S("DROP_UNNAMED"));
    STR_EQ(str_z(drop_words(DROP_KINDS)), S("no words for it"));
}

/* The signs are those of Miyagi Prefecture's river pages; the states stand in the API. */
TEST(flags_and_states_are_said_as_they_are_published)
{
    static const struct str signs[] = { S(""), S("!"), S("&"), S("*"), S("*") };
    static const struct str states[] = { S("queued"), S("offered"), S("accepted"), S("failed"), S("expired"),
                                         S("unknown"), S("confirmed"), S("unknown") };
    EQ(COUNT(signs), FLAG_KINDS + 1);
    for (size_t i = 0; i < COUNT(signs); i++)
        STR_EQ(flag_sign((enum flag)i), signs[i]);
    EQ(COUNT(states), DOWN_STATE_KINDS + 1);
    for (size_t i = 0; i < COUNT(states); i++)
        STR_EQ(down_state_words((enum down_state)i), states[i]);
}

TEST(words_of_others_are_stored_as_text_and_cut_between_two_characters)
{
    static const struct { struct str in; size_t most; struct str out; } facts[] = {
        { S("plain"), 100, S("plain") },      { S("plain"), 3, S("pla") },          { S("plain"), 0, S("") },
        { S("a\0b"), 100, S("a?b") },         { S("a\xff\xfe"), 100, S("a??") },    { S("水位"), 6, S("水位") },
        { S("水位"), 5, S("水") },            { S("水\xe4\xbd"), 100, S("水??") },  { S(""), 100, S("") },
        { S("\xf0\x9f\x92\xa1x"), 4, S("\xf0\x9f\x92\xa1") },                       { S("\xf0\x9f\x92\xa1"), 3, S("") },
    };
    for (size_t i = 0; i < COUNT(facts); i++)
        STR_EQ(words_sound(test_arena(), facts[i].in, facts[i].most), facts[i].out);
}

/* ------------------------------------------------------------------ env */

TEST(an_id_is_the_time_and_rises_also_where_the_clock_is_set_back)
{
    struct rig *r = rig_make();
    EQ(env_next_id(&r->env), r->clock_us);
    EQ(env_next_id(&r->env), r->clock_us + 1);
    r->clock_us -= 3600 * US_PER_S;
    EQ(env_next_id(&r->env), r->clock_us + 3600 * US_PER_S + 2);
    r->clock_us += 7200 * US_PER_S;
    EQ(env_next_id(&r->env), r->clock_us);
    rig_stop(r);
}

TEST(a_batch_begins_with_its_first_question_and_after_an_error_is_asked_nothing_more)
{
    static const char sql[] = "INSERT INTO mark (tenant, name, value) VALUES (1, 'a', 1)";
    struct rig *r = rig_make();
    TRUE(!r->env.open);
    struct db_query *q = env_query(&r->env, sql);
    TRUE(q && r->env.open);
    EQ(env_run(&r->env, q), OK);
    EQ(env_run(&r->env, env_query(&r->env, sql)), ERR_CONFLICT);
    TRUE(!env_query(&r->env, sql));
    EQ(env_run(&r->env, NULL), ERR_CONFLICT);
    EQ(r->env.failed, ERR_CONFLICT);
    EQ(db_commit(r->env.db), ERR_CONFLICT);
    r->env.open = false;
    rig_stop(r);
}

TEST(a_batch_that_cannot_begin_has_failed)
{
    struct rig *r = rig_make();
    EQ(db_exec(r->env.db, "BEGIN"), OK);                       /* somebody else's, inside which none begins */
    TRUE(!env_query(&r->env, "SELECT value FROM mark"));
    TRUE(r->env.failed != OK && !r->env.open);
    EQ(db_exec(r->env.db, "ROLLBACK"), OK);
    rig_stop(r);
}

TEST(intents_leave_in_the_order_in_which_they_came)
{
    struct rig *r = rig_make();
    for (i64 i = 0; i < 3; i++)
        outbox_add(&r->env, i == 1 ? INTENT_DECODE : INTENT_DOWNLINK)->downlink.id = i;
    EQ(r->env.outbox.count, 3);
    i64 at = 0;
    for (const struct intent *i = r->env.outbox.first; i; i = i->next, at++) {
        EQ(i->downlink.id, at);
        EQ(i->kind, at == 1 ? INTENT_DECODE : INTENT_DOWNLINK);
    }
    EQ(at, 3);
    rig_stop(r);
}

/* ------------------------------------------------------------------ profiles */

#define PROFILE(id, rest) \
    S("{\"id\":\"" id "\",\"name\":{\"ja\":\"a\",\"en\":\"b\"},\"kind\":\"other\",\"region\":\"AS923-1\"" rest "}")

static enum err read_one(struct profiles *out, struct str json, struct str *why)
{
    struct profile_text text = { S("x.json"), json };
    return profiles_read(out, &text, 1, why, test_arena());
}

TEST(a_profile_that_cannot_be_is_refused_with_its_file_and_what_is_wrong)
{
    static const struct { struct str json, why; } facts[] = {
        { S("{"), S("x.json: byte 1: the text ends too early") },
        { S("{\"id\":1,\"id\":2}"), S("x.json: byte 13: a name that stands twice in its object") },
        { S("{}"), S("x.json: id, kind, name.ja and name.en are needed") },
        { S("[]"), S("x.json: id, kind, name.ja and name.en are needed") },
        { S("{\"id\":\"a\",\"name\":{\"ja\":\"a\",\"en\":\"b\"}}"), S("x.json: id, kind, name.ja and name.en are needed") },
        { S("{\"id\":\"a\",\"kind\":\"b\",\"name\":{\"en\":\"b\"}}"), S("x.json: id, kind, name.ja and name.en are needed") },
        { S("{\"id\":\"a\",\"kind\":\"b\",\"name\":{\"ja\":\"b\"}}"), S("x.json: id, kind, name.ja and name.en are needed") },
        { S("{\"id\":\"a\",\"kind\":\"b\",\"name\":{\"ja\":\"b\",\"en\":\"b\"}}"), S("x.json: region is none of the known ones") },
        { PROFILE("a", ",\"rx1_delay_s\":0"), S("x.json: rx1_delay_s is 1 to 15") },
        { PROFILE("a", ",\"rx1_delay_s\":16"), S("x.json: rx1_delay_s is 1 to 15") },
        { PROFILE("a", ",\"entity\":{\"type\":\"T\"}"), S("x.json: entity needs both type and id") },
        { PROFILE("a", ",\"entity\":{\"id\":\"urn:x:y\"}"), S("x.json: entity needs both type and id") },
        { PROFILE("a", ",\"personal\":\"routes\",\"entity\":{\"type\":\"T\",\"id\":\"urn:x:y\"}"),
          S("x.json: a personal profile cannot name an entity") },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct profiles p;
        struct str why = S("");
        EQ(read_one(&p, facts[i].json, &why), ERR_INVALID);
        if (!str_starts(why, facts[i].why))
            test_fail(__FILE__, __LINE__, "\"%.*s\", not \"%.*s\"", STR(why), STR(facts[i].why));
    }
}

TEST(what_a_profile_leaves_out_is_usual_and_what_it_says_beside_the_kind_is_left_out)
{
    struct profiles p;
    struct str why = S("");
    EQ(read_one(&p, PROFILE("a", ",\"interval_s\":-1,\"rx1_delay_s\":\"soon\",\"fields\":{}"), &why), OK);
    EQ(p.list[0].interval_s, 3600);
    EQ(p.list[0].rx1_delay_s, 5);
    EQ(p.list[0].fields_count, 0);
    TRUE(!profile_nonce_counts(&p.list[0]) && p.list[0].version < LORAWAN_1_1);
    EQ(read_one(&p, PROFILE("a", ",\"interval_s\":1000001,\"lorawan\":\"1.0.4\",\"fields\":[1]"), &why), OK);
    EQ(p.list[0].interval_s, 3600);
    EQ(p.list[0].fields_count, 0);
    TRUE(profile_nonce_counts(&p.list[0]) && p.list[0].version < LORAWAN_1_1);
    EQ(read_one(&p, PROFILE("a", ",\"interval_s\":600,\"lorawan\":\"1.1\",\"rx1_delay_s\":15"), &why), OK);
    EQ(p.list[0].interval_s, 600);
    EQ(p.list[0].rx1_delay_s, 15);
    TRUE(profile_nonce_counts(&p.list[0]) && p.list[0].version >= LORAWAN_1_1);
}

TEST(a_field_without_words_is_called_by_its_attribute_and_without_that_by_its_own_name)
{
    struct profiles p;
    struct str why = S("");
    EQ(read_one(&p, PROFILE("a", ",\"fields\":{\"bare\":{},\"named\":{\"attr\":\"waterLevel\",\"min\":-2,\"main\":true},"
                                 "\"said\":{\"attr\":\"x\",\"en\":\"level\",\"main\":1,\"role\":\"battery_pct\"},"
                                 "\"both\":{\"en\":\"level\",\"ja\":\"水位\",\"number\":true,\"main\":false}}"), &why), OK);
    static const struct { struct str name, en, ja; bool main, number; enum field_role role; } facts[] = {
        { S("bare"), S("bare"), S("bare"), false, false, ROLE_NONE },
        { S("named"), S("waterLevel"), S("waterLevel"), true, false, ROLE_NONE },
        { S("said"), S("level"), S("level"), false, false, ROLE_BATTERY_PCT },
        { S("both"), S("level"), S("水位"), false, true, ROLE_NONE },
    };
    EQ(p.list[0].fields_count, COUNT(facts));
    for (size_t i = 0; i < COUNT(facts); i++) {
        const struct profile_field *f = profile_field(&p.list[0], facts[i].name);
        TRUE(f == &p.list[0].fields[i]);
        STR_EQ(f->en, facts[i].en);
        STR_EQ(f->ja, facts[i].ja);
        EQ(f->main, facts[i].main);
        EQ(f->number, facts[i].number);
        EQ(f->role, facts[i].role);
        TRUE(isnan(f->max) && isnan(f->rate_per_h) && isnan(f->min) == (i != 1));
    }
    TRUE(!profile_field(&p.list[0], S("nobody")));
}

TEST(of_two_profiles_of_one_id_the_later_stands_in_the_place_of_the_first)
{
    const struct profile_text texts[] = { { S("1"), PROFILE("a", ",\"interval_s\":1") },
                                          { S("2"), PROFILE("b", ",\"interval_s\":2") },
                                          { S("3"), PROFILE("a", ",\"interval_s\":3") } };
    struct profiles p;
    struct str why = S("");
    EQ(profiles_read(&p, texts, COUNT(texts), &why, test_arena()), OK);
    EQ(p.count, 2);
    EQ(profile_find(&p, S("a"))->interval_s, 3);
    EQ(profile_find(&p, S("a"))->number, 0);
    EQ(profile_find(&p, S("b"))->number, 1);
    TRUE(!profile_find(&p, S("c")));
    EQ(profiles_read(&p, NULL, 0, &why, test_arena()), OK);
    EQ(p.count, 0);
}
