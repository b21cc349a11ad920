// SPDX-License-Identifier: Apache-2.0
/*
 * What the threads of the door share: connections to the store. One is taken for a request (or for
 * one look of a stream) and given back; while it is out it stands inside a transaction, so that all
 * queries of a page see the same moment. A connection that failed is not kept.
 */
#include "api/inside.h"

#include "base/embedded.h"
#include "sys/lock.h"

#define IDLE_MAX 16

struct readers {
    struct str   where;
    struct lock *lock;
    struct db   *idle[IDLE_MAX];
    size_t       idle_n;
    struct arena arena;                        /* of the core @context */
    const struct ngsi_context *core;
    struct db_damage *damage;
};

void readers_watch(struct readers *r, struct db_damage *damage) { r->damage = damage; }

struct readers *readers_make(struct str store)
{
    struct readers *r = boot_take(sizeof *r);
    r->arena = arena_make(256 * 1024);
    r->where = str_copy(&r->arena, store);
    r->lock  = lock_make();
    r->core  = ngsi_core_read(str_of(embedded_file(S(NGSI_CORE_FILE))), &r->arena);
    return r;
}

const struct ngsi_context *readers_core(const struct readers *readers)
{
    return readers->core;
}

static struct db *pop(struct readers *r)
{
    lock_take(r->lock);
    struct db *db = r->idle_n ? r->idle[--r->idle_n] : NULL;
    lock_give(r->lock);
    return db;
}

static struct db *open_one(struct readers *r)
{
    struct arena scratch = arena_make(64 * 1024);
    struct db   *db = NULL;
    struct str   why;
    if (db_open(&db, r->where, DB_READER, &why, &scratch) != OK) {
        log_line(LOG_ERROR, "reader open=failed words=\"%.*s\"", STR(why));
        db = NULL;
    }
    if (db)
        db_damage_watch(db, r->damage);
    arena_free(&scratch);
    return db;
}

struct db *reader_take(struct readers *r)
{
    struct db *db;
    while ((db = pop(r))) {
        if (db_begin(db) == OK)
            return db;
        db_close(db);
    }
    db = open_one(r);
    if (db && db_begin(db) != OK) {
        db_close(db);
        db = NULL;
    }
    return db;
}

void reader_give(struct readers *r, struct db *db)
{
    if (!db)
        return;
    bool good = db_commit(db) == OK;           /* an error of any query comes back here */
    lock_take(r->lock);
    bool kept = good && r->idle_n < IDLE_MAX;
    if (kept)
        r->idle[r->idle_n++] = db;
    lock_give(r->lock);
    if (!kept)
        db_close(db);
}

void readers_close(struct readers *r)
{
    for (struct db *db; (db = pop(r));)
        db_close(db);
    lock_free(r->lock);
    arena_free(&r->arena);
    boot_release(r);
}
