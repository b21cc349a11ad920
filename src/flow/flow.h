/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_FLOW_H
#define HOTARU_FLOW_H

/* flow: the spine, the only place that knows the order. uplink.c is the way of an uplink. */
#include "core/core.h"

/* The way of an uplink, from the air to the city. Nothing of it is visible before flow_commit. */
enum drop flow_uplink(struct env *env, const struct frame *frame);
/* The second half of the way for a JavaScript codec: its answer, or why there is none. */
enum err flow_reading(struct env *env, const struct uplink *uplink, struct str answer);
enum err flow_undecoded(struct env *env, const struct uplink *uplink, struct str why);

/* Closes what is due (windows, answers). Returns when to come again. */
struct mono flow_tick(struct env *env);
/* Writes behind; a batch of its own, and *err is what became of it. How many rows went. */
size_t flow_idle(struct env *env, size_t max, enum err *err);

/*
 * The end of a batch. OK: it is on the disk, its intents may be carried out (env->outbox), then
 * flow_done() forgets it. Anything else: nothing of it happened, neither there nor in memory.
 */
enum err flow_commit(struct env *env);
void     flow_done(struct env *env);

/*
 * What the store does for itself (keep.c): days that are over are sealed, and events older than keep_us
 * go (0: none ever; on a full disk also younger ones, the oldest first). A portion at a time, each a
 * batch of its own; true: there is more to do now.
 */
void flow_keep_start(struct env *env, i64 keep_us);
bool flow_keep(struct env *env, enum err *err);
enum err flow_keep_last(struct env *env);              /* before a stop: a census of the tables that only grow */
void flow_keep_stop(struct env *env);
/* The i-th of the census: its mark, and the question that counts. False: there are no more. */
bool flow_census(size_t i, const char **mark, const char **sql);

/* A day's seal, made by hand: `before` is the hash of the day before, empty for the first. */
#define SEAL_BYTES 32
struct evp_md_ctx_st;
void seal_begin(struct evp_md_ctx_st *hash, struct bytes before, u64 tenant, i64 day);
void seal_row(struct evp_md_ctx_st *hash, char kind, i64 id, u32 crc);
void seal_end(struct evp_md_ctx_st *hash, u8 out[SEAL_BYTES]);

/* Uplinks that wait for their codec, oldest first, with ids above `after`: into `out`. On the writer. */
size_t flow_waiting(struct env *env, i64 after, struct uplink *out, size_t max);

#endif
