// SPDX-License-Identifier: Apache-2.0
#include "access/access.h"

#include <openssl/sha.h>

const char *right_words(enum right right)
{
    static const char *const words[] = { "public", "read", "command", "admin" };
    return (unsigned)right < COUNT(words) ? words[right] : "none";
}

/* A 256-bit random secret needs no slow hash: nobody can try them all. */
static void hash_of(u8 out[SHA256_DIGEST_LENGTH], struct str token)
{
    (void)SHA256((const u8 *)token.p, token.n, out);
}

/* A name that is no text names nobody: asking the store would cost the batch that is open on it. */
static enum err tenant_number(u64 *out, struct db *db, struct str name)
{
    if (name.n > 0 && (!str_is_utf8(name) || memchr(name.p, 0, name.n)))
        return ERR_NOT_FOUND;
    struct db_query *q = db_query(db, "SELECT number, name, created_us, sum FROM tenant WHERE name = $1");
    db_bind_str(q, 1, name.n ? name : S("city"));
    enum err err = db_step(q);
    if (err == OK && !db_row_good(q, 0, 3, "tenant", 1))
        err = ERR_NOT_FOUND;
    if (err == OK)
        *out = (u64)db_i64(q, 0);
    db_reset(q);
    return err;
}

static enum err token_right(struct caller *out, struct db *db, struct str token, struct arena *arena)
{
    u8 hash[SHA256_DIGEST_LENGTH];
    struct db_query *q = db_query(db, "SELECT tenant, hash, name, rights, created_us, sum FROM token WHERE tenant = $1 "
                                      "AND hash = $2");
    hash_of(hash, token);
    db_bind_i64(q, 1, (i64)out->tenant);
    db_bind_bytes(q, 2, (struct bytes){ hash, sizeof hash });
    enum err err = db_step(q);
    bool good = err == OK && db_row_good(q, 0, 5, "token", 1);
    if (good) {
        u64 right  = (u64)db_i64(q, 3);
        out->right = right <= RIGHT_ADMIN ? (enum right)right : RIGHT_PUBLIC;
        out->name  = str_copy(arena, db_str(q, 2));
    }
    db_reset(q);
    return err == ERR_NOT_FOUND || (err == OK && !good) ? ERR_DENIED : err;
}

enum err access_caller(struct caller *out, const struct access *access, struct db *db, struct str authorization,
                       struct str tenant, bool from_loopback, struct arena *arena)
{
    *out = (struct caller){ .right = RIGHT_PUBLIC, .name = S("public") };
    enum err err = tenant_number(&out->tenant, db, tenant);
    if (err != OK)
        return err;
    if (access->dev && from_loopback) {
        out->right = RIGHT_ADMIN;
        out->name  = S("dev");
        return OK;
    }
    if (authorization.n == 0)
        return OK;
    struct str scheme = str_cut(&authorization, ' ');
    if (!str_eq_nocase(scheme, S("Bearer")))
        return ERR_DENIED;
    return token_right(out, db, str_trim(authorization), arena);
}

bool access_decide(const struct caller *caller, u64 tenant, enum right wanted)
{
    if (wanted == RIGHT_PUBLIC)
        return true;
    return caller->tenant == tenant && caller->right >= wanted;
}

enum err access_token_new(struct db *writer, u64 tenant, enum right right, struct str name, i64 now_us,
                          void (*random)(void *, u8 *, size_t), void *world, struct str *token, struct arena *arena)
{
    u8 secret[32], hash[SHA256_DIGEST_LENGTH];
    random(world, secret, sizeof secret);
    *token = str_fmt(arena, "hotaru.%.*s", STR(hex_str(arena, (struct bytes){ secret, sizeof secret })));
    hash_of(hash, *token);
    struct db_query *q =
        db_query(writer, "INSERT INTO token (tenant, hash, name, rights, created_us, sum) VALUES ($1, $2, $3, $4, $5, $6)");
    db_bind_i64(q, 1, (i64)tenant);
    db_bind_bytes(q, 2, (struct bytes){ hash, sizeof hash });
    db_bind_str(q, 3, name);
    db_bind_i64(q, 4, right);
    db_bind_i64(q, 5, now_us);
    db_bind_sum(q, 6, "token");
    return db_run(q);
}
