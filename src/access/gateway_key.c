// SPDX-License-Identifier: Apache-2.0
/* What a gateway shows at the TLS door, and what it opens. */
#include "access/access.h"

#include <openssl/sha.h>

#define COLUMNS "tenant, eui, hash, kind, doors, created_us, expires_us, used_us, replaced, crc"
enum { COLUMNS_N = 10 };

static bool read_row(struct gateway_key *out, struct db_query *q)
{
    struct bytes hash = db_bytes(q, 2);
    if (!db_row_good(q, 0, COLUMNS_N, "gateway_key", 3) || hash.n != GATEWAY_KEY_HASH)
        return false;
    *out = (struct gateway_key){ .tenant     = (u64)db_i64(q, 0),
                                 .eui        = (u64)db_i64(q, 1),
                                 .kind       = db_i64(q, 3) == KEY_CERTIFICATE ? KEY_CERTIFICATE : KEY_TOKEN,
                                 .doors      = (u8)db_i64(q, 4),
                                 .created_us = db_i64(q, 5),
                                 .expires_us = db_i64(q, 6),
                                 .used_us    = db_i64(q, 7),
                                 .replaced   = db_i64(q, 8) != 0,
                                 .crc        = db_i64(q, 9) };
    memcpy(out->hash, hash.p, sizeof out->hash);
    return true;
}

enum err access_gateway_keys(struct gateway_key out[GATEWAY_KEYS_MAX], size_t *n, struct db *db, u64 tenant, u64 eui)
{
    struct db_query *q = db_query(db, "SELECT " COLUMNS ", sum FROM gateway_key WHERE tenant = $1 AND eui = $2 "
                                      "ORDER BY created_us, hash LIMIT 64");
    enum err err = q ? OK : ERR_IO;
    *n = 0;
    if (!q)
        return err;
    db_bind_i64(q, 1, (i64)tenant);
    db_bind_i64(q, 2, (i64)eui);
    while ((err = db_step(q)) == OK && *n < GATEWAY_KEYS_MAX)
        *n += read_row(&out[*n], q);
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err access_gateway_key(struct gateway_key *out, struct db *db, u64 tenant, u64 eui, const u8 hash[GATEWAY_KEY_HASH],
                            enum gateway_door door, i64 now_us)
{
    struct db_query *q = db_query(db, "SELECT " COLUMNS ", sum FROM gateway_key WHERE tenant = $1 AND eui = $2 AND hash = $3");
    if (!q)
        return ERR_IO;
    db_bind_i64(q, 1, (i64)tenant);
    db_bind_i64(q, 2, (i64)eui);
    db_bind_bytes(q, 3, (struct bytes){ hash, GATEWAY_KEY_HASH });
    enum err err = db_step(q);
    bool good = err == OK && read_row(out, q);
    db_reset(q);
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    return good && out->doors & door && (out->expires_us == 0 || out->expires_us > now_us) ? OK : ERR_DENIED;
}

/* A token is 256 random bits: nobody can try them all, so it needs no slow hash. */
void access_gateway_hash(u8 hash[GATEWAY_KEY_HASH], struct str token)
{
    static_assert(GATEWAY_KEY_HASH == SHA256_DIGEST_LENGTH, "a key is kept as SHA-256");
    (void)SHA256((const u8 *)token.p, token.n, hash);
}

struct str access_gateway_token(struct str authorization)
{
    struct str rest = authorization, scheme = str_cut(&rest, ' ');
    return str_eq_nocase(scheme, S("Bearer")) ? str_trim(rest) : str_trim(authorization);
}

enum err access_gateway_key_put(struct db *writer, const struct gateway_key *k)
{
    struct db_query *q = db_query(writer, "INSERT INTO gateway_key (" COLUMNS ", sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
                                          "$10, $11) ON CONFLICT (tenant, eui, hash) DO UPDATE SET kind = excluded.kind, "
                                          "doors = excluded.doors, created_us = excluded.created_us, expires_us = "
                                          "excluded.expires_us, used_us = excluded.used_us, replaced = excluded.replaced, "
                                          "crc = excluded.crc, sum = excluded.sum");
    if (!q)
        return ERR_IO;
    db_bind_i64(q, 1, (i64)k->tenant);
    db_bind_i64(q, 2, (i64)k->eui);
    db_bind_bytes(q, 3, (struct bytes){ k->hash, sizeof k->hash });
    db_bind_i64(q, 4, k->kind);
    db_bind_i64(q, 5, k->doors);
    db_bind_i64(q, 6, k->created_us);
    db_bind_i64(q, 7, k->expires_us);
    db_bind_i64(q, 8, k->used_us);
    db_bind_i64(q, 9, k->replaced);
    db_bind_i64(q, 10, k->crc);
    db_bind_sum(q, 11, "gateway_key");
    return db_run(q);
}

enum err access_gateway_key_remove(struct db *writer, const struct gateway_key *k)
{
    struct db_query *q = db_query(writer, "DELETE FROM gateway_key WHERE tenant = $1 AND eui = $2 AND hash = $3");
    if (!q)
        return ERR_IO;
    db_bind_i64(q, 1, (i64)k->tenant);
    db_bind_i64(q, 2, (i64)k->eui);
    db_bind_bytes(q, 3, (struct bytes){ k->hash, sizeof k->hash });
    return db_run(q);
}

enum err access_gateway_token_new(struct db *writer, struct gateway_key *k, void (*random)(void *, u8 *, size_t), void *world,
                                  struct str *token, struct arena *arena)
{
    struct gateway_key others[GATEWAY_KEYS_MAX];
    size_t n;
    u8 secret[32];
    enum err err = access_gateway_keys(others, &n, writer, k->tenant, k->eui);
    if (err != OK)
        return err;
    if (n == GATEWAY_KEYS_MAX)
        return ERR_FULL;
    random(world, secret, sizeof secret);
    *token = str_fmt(arena, "hotaru.%.*s", STR(hex_str(arena, (struct bytes){ secret, sizeof secret })));
    k->kind = KEY_TOKEN;
    access_gateway_hash(k->hash, *token);
    return access_gateway_key_put(writer, k);
}
