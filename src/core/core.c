// SPDX-License-Identifier: Apache-2.0
#include "core/core.h"

static const struct { const char *name, *words; } drops[] = {
#define DROP_WORDS(name, words) [name] = { #name, words },
    DROPS(DROP_WORDS)
#undef DROP_WORDS
};
static_assert(COUNT(drops) == DROP_KINDS, "every refusal has words");

const char *drop_name(enum drop drop)
{
    return (unsigned)drop < DROP_KINDS ? drops[drop].name : "DROP_UNNAMED";
}

const char *drop_words(enum drop drop)
{
    return (unsigned)drop < DROP_KINDS ? drops[drop].words : "no words for it";
}

enum drop drop_named(struct str name)
{
    for (enum drop d = PASS; d < DROP_KINDS; d++)
        if (str_eq(str_z(drops[d].name), name))
            return d;
    return DROP_KINDS;
}

static const char *const flags[] = {
#define FLAG_SIGN(name, sign, words) [name] = sign,
    FLAGS(FLAG_SIGN)
#undef FLAG_SIGN
};

struct str flag_sign(enum flag flag)
{
    return str_z((unsigned)flag < FLAG_KINDS ? flags[flag] : "*");
}

/* Bytes of the character at the front; 0: there is none that can be stored. */
static size_t character(struct str s)
{
    for (size_t n = 1; n <= MIN(s.n, (size_t)4); n++)
        if (str_is_utf8((struct str){ s.p, n }))
            return s.p[0] ? n : 0;
    return 0;
}

struct str words_sound(struct arena *arena, struct str words, size_t most)
{
    struct text t = text_make(arena, most + 1);
    while (words.n > 0) {
        size_t n = character(words);
        struct str next = n ? (struct str){ words.p, n } : S("?");
        if (t.n + next.n > most)
            break;
        text_put(&t, next);
        words.p += n ? n : 1;
        words.n -= n ? n : 1;
    }
    return text_str(&t);
}

struct str down_state_words(enum down_state state)
{
    static const char *const words[] = {
#define DOWN_WORDS(name, text) [name] = text,
        DOWN_STATES(DOWN_WORDS)
#undef DOWN_WORDS
    };
    return str_z((unsigned)state < DOWN_STATE_KINDS ? words[state] : "unknown");
}

i64 env_next_id(struct env *env)
{
    i64 now      = env_clock(env).us;
    env->last_id = MAX(env->last_id + 1, now);
    return env->last_id;
}

/* The batch's transaction is opened by the first query that wants it. */
struct db_query *env_query(struct env *env, const char *sql)
{
    if (env->failed != OK)
        return NULL;
    if (!env->open && (env->failed = db_begin(env->db)) != OK)
        return NULL;
    env->open = true;
    return db_query(env->db, sql);
}

enum err env_run(struct env *env, struct db_query *q)
{
    if (!q)
        return env->failed;
    enum err err = db_run(q);
    if (err != OK)
        env->failed = err;                             /* any error dooms the transaction (db.h) */
    return err;
}

struct intent *outbox_add(struct env *env, enum intent_kind kind)
{
    struct intent *i = arena_new(&env->batch, struct intent);
    i->kind = kind;
    if (!env->outbox.first)
        env->outbox.last = &env->outbox.first;
    *env->outbox.last = i;
    env->outbox.last  = &i->next;
    env->outbox.count++;
    return i;
}
