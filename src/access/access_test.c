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
