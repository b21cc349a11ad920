/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_CUPS_H
#define HOTARU_EDGE_CUPS_H

/*
 * CUPS: once a day a Station says which credentials it holds, as checksums, and is given what is new.
 *
 *     | len 1 | cupsUri | len 1 | tcUri | len 2 | CUPS credentials | len 2 | LNS credentials | len 4 | signature | len 4 | update |
 *
 * Little-endian; a length of 0: as it is. Nothing new is 14 zero bytes. What is rotated is the token for its frames:
 * a new one is valid before it is given, the old one until the new one was used.
 *
 * No update is ever given: a Station without a signature key runs whatever it gets, so it needs keys on both sides
 * and two people who release it, and neither exists yet.
 */
#include "access/access.h"
#include "core/core.h"

#define CUPS_BODY_MAX 8192
#define CUPS_KEYS_MAX 8
struct cups_request {
    u64 router;
    u32 cups_crc, lns_crc;               /* of the credentials it holds */
    u32 keys[CUPS_KEYS_MAX], keys_n;     /* checksums of the keys whose signature it would believe */
    struct str model, station;
};
enum drop cups_read(struct cups_request *out, struct str body, struct arena *arena);

/* The whole HTTP answer; what it promises is in the batch, so it leaves after the commit. `trust`: what Station shall
 * believe our certificate by, in DER; empty: no credentials are given. */
struct bytes cups_answer(struct env *env, u64 tenant, const struct cups_request *rq, struct bytes trust, struct arena *arena);
/* `used` has opened the door for the first time: those that it replaces go. */
enum err cups_retire(struct env *env, const struct gateway_key *used);

/* CRC-32 (IEEE 802.3), as Station counts it. */
u32 cups_crc(struct bytes b);

#endif
