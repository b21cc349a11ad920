// SPDX-License-Identifier: Apache-2.0
#include "access/access.h"

#include "base/test.h"

static void chance(void *of, u8 *out, size_t n)
{
    (void)of;
    memset(out, 7, n);
}

static struct db *store(struct str *token)
{
    struct db *db = NULL;
    struct str why = S("");
    EQ(db_open(&db, str_z(test_folder()), DB_WRITER, &why, test_arena()), OK);
    EQ(access_token_new(db, 1, RIGHT_COMMAND, S("key"), 1, chance, NULL, token, test_arena()), OK);
    return db;
}

TEST(a_caller_has_the_right_of_the_key_and_of_nothing_else)
{
    struct str token;
    struct db *db = store(&token);
    struct access none = { .dev = false }, dev = { .dev = true };
    struct caller caller;
    struct { struct str authorization, tenant; enum err err; enum right right; } facts[] = {
        { S(""), S(""), OK, RIGHT_PUBLIC },
        { str_fmt(test_arena(), "Bearer %.*s", STR(token)), S("city"), OK, RIGHT_COMMAND },
        { str_fmt(test_arena(), "bearer   %.*s ", STR(token)), S(""), OK, RIGHT_COMMAND },
        { str_fmt(test_arena(), "Bearer %.*s0", STR(token)), S(""), ERR_DENIED, RIGHT_PUBLIC },
        { str_fmt(test_arena(), "Basic %.*s", STR(token)), S(""), ERR_DENIED, RIGHT_PUBLIC },
        { token, S(""), ERR_DENIED, RIGHT_PUBLIC },
        { S(""), S("elsewhere"), ERR_NOT_FOUND, RIGHT_PUBLIC },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        EQ(access_caller(&caller, &none, db, facts[i].authorization, facts[i].tenant, true, test_arena()), facts[i].err);
        EQ(caller.right, facts[i].right);
        EQ(access_decide(&caller, 1, RIGHT_READ), facts[i].right >= RIGHT_READ);
        EQ(access_decide(&caller, 1, RIGHT_ADMIN), false);
        EQ(access_decide(&caller, 2, RIGHT_READ), false);
    }
    EQ(access_caller(&caller, &dev, db, S(""), S(""), true, test_arena()), OK);
    TRUE(access_decide(&caller, 1, RIGHT_ADMIN));
    EQ(access_caller(&caller, &dev, db, S(""), S(""), false, test_arena()), OK);
    TRUE(!access_decide(&caller, 1, RIGHT_READ));
    db_close(db);
}

TEST(a_tenant_that_is_no_text_does_not_cost_the_batch)
{
    struct str token;
    struct db *db = store(&token);
    struct caller caller;
    struct access access = { .dev = false };
    EQ(db_begin(db), OK);
    EQ(access_caller(&caller, &access, db, S(""), S("ci\xff"), false, test_arena()), ERR_NOT_FOUND);
    EQ(access_caller(&caller, &access, db, S(""), S("a\0b"), false, test_arena()), ERR_NOT_FOUND);
    EQ(db_commit(db), OK);
    db_close(db);
}

TEST(a_right_that_nobody_knows_is_none)
{
    static const struct { i64 right; enum right is; const char *words; } facts[] = {
        { RIGHT_PUBLIC, RIGHT_PUBLIC, "public" }, { RIGHT_READ, RIGHT_READ, "read" },   { RIGHT_COMMAND, RIGHT_COMMAND, "command" },
        { RIGHT_ADMIN, RIGHT_ADMIN, "admin" },    { -1, RIGHT_PUBLIC, "none" },         { RIGHT_ADMIN + 1, RIGHT_PUBLIC, "none" },
    };
    struct str token;
    struct db *db = store(&token);
    struct access access = { .dev = false };
    EQ(db_exec(db, "DELETE FROM token"), OK);
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct caller caller;
        EQ(access_token_new(db, 1, (enum right)facts[i].right, S("key"), 1, chance, NULL, &token, test_arena()), OK);
        struct str bearer = str_fmt(test_arena(), "Bearer %.*s", STR(token));
        EQ(access_caller(&caller, &access, db, bearer, S(""), false, test_arena()), OK);
        EQ(caller.right, facts[i].is);
        STR_EQ(caller.name, S("key"));
        STR_EQ(str_z(right_words((enum right)facts[i].right)), str_z(facts[i].words));
        TRUE(access_decide(&caller, 1, RIGHT_PUBLIC) && access_decide(&caller, 2, RIGHT_PUBLIC));
        EQ(db_exec(db, "DELETE FROM token"), OK);
    }
    db_close(db);
}

TEST(a_key_or_a_tenant_whose_row_was_changed_behind_us_opens_nothing)
{
    struct str token;
    struct db *db = store(&token);
    struct caller caller;
    struct access access = { .dev = false };
    struct str bearer = str_fmt(test_arena(), "Bearer %.*s", STR(token));
    EQ(db_exec(db, "UPDATE token SET rights = 3"), OK);
    EQ(access_caller(&caller, &access, db, bearer, S(""), false, test_arena()), ERR_DENIED);
    EQ(caller.right, RIGHT_PUBLIC);
    EQ(db_exec(db, "UPDATE tenant SET created_us = created_us + 1, sum = 5"), OK);
    EQ(access_caller(&caller, &access, db, bearer, S(""), false, test_arena()), ERR_NOT_FOUND);
    db_close(db);
}

/* Each look at a column that is computed so is an error of the store. */
#define UNREADABLE "BIGINT GENERATED ALWAYS AS (length(zeroblob(999999999)))"

TEST(a_store_that_cannot_be_read_says_so_and_not_that_the_key_is_wrong)
{
    struct str token;
    struct db *db = store(&token);
    struct caller caller;
    struct access access = { .dev = false };
    struct str bearer = str_fmt(test_arena(), "Bearer %.*s", STR(token));
    EQ(db_exec(db, "ALTER TABLE token RENAME COLUMN created_us TO away; ALTER TABLE token ADD COLUMN created_us " UNREADABLE), OK);
    enum err err = access_caller(&caller, &access, db, bearer, S(""), false, test_arena());
    TRUE(err != OK && err != ERR_DENIED && err != ERR_NOT_FOUND);
    EQ(caller.right, RIGHT_PUBLIC);
    EQ(db_exec(db, "ALTER TABLE tenant RENAME COLUMN created_us TO away; ALTER TABLE tenant ADD COLUMN created_us " UNREADABLE), OK);
    err = access_caller(&caller, &access, db, S(""), S(""), false, test_arena());
    TRUE(err != OK && err != ERR_DENIED && err != ERR_NOT_FOUND);
    db_close(db);
}
