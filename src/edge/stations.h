/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_STATIONS_H
#define HOTARU_EDGE_STATIONS_H

/*
 * The door for gateways that run LoRa Basics Station: TLS, WebSocket, JSON (LNS protocol 2), and CUPS, by which they
 * ask for new credentials. Only registered gateways that show their own token or certificate come in.
 *
 *     connection:  TLS → one HTTP request → /router-info  one question, one answer, goodbye
 *                                         → /router/EUI   a WebSocket for good: a link of that gateway
 *                                         → /update-info  CUPS: one answer, goodbye
 *
 * Nothing is acknowledged to a Station: its protocol has no word for it. A frame that was under way when we died is
 * lost (docs/promises.md). Downlinks leave by the road that downs.h asks.
 */
#include "core/core.h"
#include "sys/sys.h"

struct downs;
struct tls;
struct stations;

struct stations_settings {
    struct address at;
    const char *certificate, *key;     /* PEM files; NULL: without TLS, which is for this machine only */
    const struct lora_plan *plan;      /* national law on top of its region, or NULL */
    bool dev;                          /* a gateway that has no key at all comes in without one */
};

struct stations *stations_open(struct env *env, struct downs *downs, const struct stations_settings *set, struct str *why,
                               struct arena *arena);
int    stations_fd(const struct stations *s);
struct address stations_address(const struct stations *s);
/* Takes what has arrived and commits it; answers that hang on the commit leave after it. */
enum err stations_receive(struct stations *s);
/* Pings, and those that have been silent for too long: true when one was hung up on. In a batch; the caller commits. */
bool stations_tick(struct stations *s);
void stations_close(struct stations *s);

#endif
