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

#endif
