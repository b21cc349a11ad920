/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_MAC_H
#define HOTARU_MAC_H

/*
 * mac: stage 1, frame -> uplink, and the answers the radio owes: joins, acknowledgements, downlinks.
 *
 *   registry.c  devices and gateways, in memory and in the store; import.c: from CSV
 *   session.c   sessions, their keys (wrapped; expanded ones in a bounded cache) and counters
 *   uplink.c    a data frame: session, 32-bit counter, MIC, the event row
 *   late.c      frames that come behind their time: which counters were seen; replay.c: its window
 *   join.c      OTAA: DevNonces never forgotten, the old session kept until the first new uplink
 *   window.c    copies of one frame: published on the first, completed until the window closes
 *   answer.c    what goes back when it closes: RX1/RX2, gateway choice, counters reserved ahead
 *   talk.c      what a device's radio is asked to do; params.c, settle.c, adr.c: the rules of it
 *   calendar.c  the air of a gateway; lint.c: keys that are none
 *   queue.c     application downlinks and what became of them
 *   refuse.c    the last refusals of a device, in words
 *   restore.c   what a store from a backup must forget
 *   subject.c   personal devices: payloads encrypted under a key of their own
 *   radio.c     how a frame was heard, as bytes
 *
 * One thread: the loop's. What a failed commit takes back from the store, mac_undo takes back here.
 */
#include "core/core.h"

struct mac_settings {
    struct bytes kek;                 /* 16 or 32 bytes; copied; never stored */
    const struct lora_plan *plan;     /* national law on top of its region, or NULL */
    u32  net_id;
    i64  window_us;                   /* de-duplication; 200 ms */
    u32  keys_cached;                 /* expanded keys, a power of two */
};

/* Small facts of the store: "rolled", "cut", … 0: never written. ERR_INVALID: the row is damaged. */
enum err mac_mark_read(struct db *db, const char *name, i64 *value);
enum err mac_mark_write(struct env *env, const char *name, i64 value);

/* Was the program that stored the newest uplink one that knows no sums? */
enum err mac_older_wrote(struct db *db, bool *older);

/* Reads where devices, sessions and gateways are found and rolls the counters forward. env->db must be open. */
enum err mac_start(struct env *env, const struct mac_settings *settings, struct str *why);
void     mac_stop(struct env *env);
/* Rows that nothing has needed since the start, so that damage is told before a frame meets it: looks at up
 * to `max`. 0: all were read. */
size_t   mac_read_on(struct env *env, size_t max);

/* PASS: `out` is the new uplink, its row is in the batch. Anything else: nothing more is to be done.
 * Views in `out` live as long as the event. */
enum drop mac_uplink(struct env *env, struct uplink *out, const struct frame *frame);
/* PASS: the join is in the batch, its accept leaves when the window closes. */
enum drop mac_join(struct env *env, const struct frame *frame);

/* Closes the windows that are due; returns when the next one is (or an hour from now). */
struct mono mac_tick(struct env *env);
/* Writes up to `max` rows behind, gateways' hours now and then. Nothing to write: returns 0. */
size_t mac_flush(struct env *env, size_t max);

/* After the commit / instead of it: what this batch changed in memory stays / is taken back. */
void mac_keep(struct env *env);
void mac_undo(struct env *env);

/* ------------------------------------------------------------------ gateways */
#define MAC_NONE UINT32_MAX
u32  mac_gateway(const struct mac *mac, u64 eui);                  /* index, or MAC_NONE */
const struct lora_region *mac_gateway_region(const struct mac *mac, u32 index);
u32  mac_gateway_count(const struct mac *mac);
/* Something was heard of it: counts for its page. air_us 0: no frame. */
void mac_gateway_heard(struct env *env, u32 index, struct str address, bool frame, bool crc_ok, u32 air_us);
void mac_gateway_sent(struct env *env, u32 index, u32 air_us);
void mac_stranger(struct env *env, u64 eui, struct str address);

/* ------------------------------------------------------------------ downlinks */
struct downlink_new { u64 tenant, dev_eui; int fport; bool confirmed; struct bytes payload; i64 expires_us; };
/* OK with *id; ERR_NOT_FOUND, ERR_INVALID (port), ERR_TOO_LARGE, ERR_FULL (queue of 64). *why in words.
 * expires_us 0: never; what is more than 30 days ahead is 30 days. */
enum err mac_downlink_add(struct env *env, const struct downlink_new *in, i64 *id, struct str *why);
/* What became of a downlink that left as an intent. */
void mac_downlink_result(struct env *env, u64 tenant, u64 dev_eui, i64 id, enum down_state state, struct str reason,
                         u64 gateway);
/* A battery level that a reading carried. */
void mac_battery(struct env *env, const struct device_ref *device, int pct);

/* ------------------------------------------------------------------ refusals */
/* Keeps the refusal for `hotaru why`; dev_eui 0: no device is known. At most 50 a second are kept. */
void mac_refuse(struct env *env, u64 tenant, u64 dev_eui, enum drop drop, u64 gateway, struct str detail);

/* ------------------------------------------------------------------ import */
enum import_kind { IMPORT_DEVICES, IMPORT_GATEWAYS };
struct import_error { u32 line; struct str column; struct str ja, en; struct import_error *next; };
struct import_report { u32 rows, created, updated, errors; struct import_error *first; };
/* All or nothing. Errors by line and column (at most 100 kept). ERR_INVALID with errors; a store error. */
enum err mac_import(struct env *env, u64 tenant, enum import_kind kind, struct str csv, bool dry_run,
                    struct import_report *report, struct arena *arena);
/* A store that comes from a backup, before its first start: counters jump over all that may have been used
 * since taken_us, what waited to be sent is given up; or all sessions end. In batches of its own. */
struct restored { i64 jump; bool spent; u64 sessions, downlinks; };
enum err mac_restored(struct env *env, i64 taken_us, bool end_sessions, struct restored *out);

/* Benches: a million devices with ready sessions, without CSV. */
enum err mac_bench_device(struct env *env, u64 dev_eui, u32 devaddr, const u8 nwk_s_key[16], const u8 app_s_key[16],
                          const struct profile *profile);
enum err mac_bench_gateway(struct env *env, u64 eui);

/* ------------------------------------------------------------------ for pages */
/* One copy in the bytes of uplink.radio / uplink_copies.radio; false at the end. */
bool mac_radio_read(struct radio *out, struct cur *c);
#define MAC_RADIO_BYTES 40
/* uplink.flags: fport + 1 in bits 0-8, and these. Behind: its counter was below one accepted before it,
 * so it says nothing of now. Late: behind, or told by its gateway when its receive windows were over. */
enum { UPLINK_CONFIRMED = 1 << 9, UPLINK_ADR = 1 << 10, UPLINK_PERSONAL = 1 << 11, UPLINK_LATE = 1 << 12,
       UPLINK_BEHIND = 1 << 13 };
/* Gives the clear payload of a personal device's uplink to the app that the profile names. */
enum err mac_subject_open(struct bytes *out, struct db *db, struct bytes kek, u64 tenant, u64 dev_eui, i64 id,
                          struct bytes sealed, struct arena *arena);

/* The key under which keys are wrapped; for mac_subject_open. */
struct bytes mac_kek(const struct mac *mac);
/* The device as stages see it; false: it is not registered any more. */
bool mac_device_ref(struct env *env, u64 dev_eui, struct device_ref *out);

struct mac_numbers { u64 devices, sessions, gateways, windows, bytes, dirty; bool round; /* over the rows behind, under way */ };
struct mac_numbers mac_numbers(const struct mac *mac);

#endif
