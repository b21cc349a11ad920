/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_ACCESS_H
#define HOTARU_ACCESS_H

/*
 * access: who may do what. One decision function for every door, default deny. Roles, people and
 * grants come with the work on sharing; the door through which they will go is here, and every route
 * passes it already.
 */
#include "db/db.h"

/* Rights, each containing those before it. */
enum right { RIGHT_PUBLIC, RIGHT_READ, RIGHT_COMMAND, RIGHT_ADMIN };
const char *right_words(enum right right);

struct caller { enum right right; u64 tenant; struct str name; };

struct access { bool dev; };      /* dev: loopback callers may do everything; refused on other addresses */

/*
 * Who calls: `authorization` is the header ("Bearer …"), `tenant` the NGSILD-Tenant header or empty.
 * ERR_NOT_FOUND: no such tenant. ERR_DENIED: a token that is not known. No token: the public.
 */
enum err access_caller(struct caller *out, const struct access *access, struct db *db, struct str authorization,
                       struct str tenant, bool from_loopback, struct arena *arena);

/* The one decision. */
bool access_decide(const struct caller *caller, u64 tenant, enum right wanted);

/* Makes a token of 256 random bits with that right and stores its hash; the text is shown once. */
enum err access_token_new(struct db *writer, u64 tenant, enum right right, struct str name, i64 now_us,
                          void (*random)(void *, u8 *, size_t), void *world, struct str *token, struct arena *arena);

/* ------------------------------------------------------------------ gateways (gateway_key.c) */

/*
 * A gateway that comes by TLS shows a token or a certificate, which were registered for it alone. Both are kept as
 * SHA-256. One key opens the door for frames (LNS), that for settings (CUPS), or both.
 */
#define GATEWAY_KEY_HASH 32
enum gateway_door { DOOR_LNS = 1, DOOR_CUPS = 2 };
enum gateway_key_kind { KEY_TOKEN, KEY_CERTIFICATE };
struct gateway_key {
    u64  tenant, eui;
    u8   hash[GATEWAY_KEY_HASH];
    enum gateway_key_kind kind;
    u8   doors;
    i64  created_us, expires_us, used_us;
    bool replaced;
    i64  crc;
};
#define GATEWAY_KEYS_MAX 8             /* of one gateway */

/* All that are well, the oldest first; *n of them. */
enum err access_gateway_keys(struct gateway_key out[GATEWAY_KEYS_MAX], size_t *n, struct db *db, u64 tenant, u64 eui);
/* OK with the key: it opens this door now. ERR_DENIED, or what the store says. */
enum err access_gateway_key(struct gateway_key *out, struct db *db, u64 tenant, u64 eui, const u8 hash[GATEWAY_KEY_HASH],
                            enum gateway_door door, i64 now_us);
void     access_gateway_hash(u8 hash[GATEWAY_KEY_HASH], struct str token);
/* The token in an Authorization header: behind "Bearer", or all of it. */
struct str access_gateway_token(struct str authorization);
/* Writes or takes away the row, in the writer's batch. */
enum err access_gateway_key_put(struct db *writer, const struct gateway_key *key);
enum err access_gateway_key_remove(struct db *writer, const struct gateway_key *key);
/* A new token for these doors; its text is given once. ERR_FULL: it has GATEWAY_KEYS_MAX keys. */
enum err access_gateway_token_new(struct db *writer, struct gateway_key *out, void (*random)(void *, u8 *, size_t), void *world,
                                  struct str *token, struct arena *arena);

#endif
