/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_CALENDAR_H
#define HOTARU_CALENDAR_H

/*
 * The air of one gateway: what it is going to send, and what the law still lets it send. A gateway sends one
 * frame at a time and hears nothing meanwhile. Pure; times are ours, in microseconds that do not jump.
 *
 * Japan (ARIB STD-T108): a send is at most 4 s, then 50 ms of silence; above 923.4 MHz 400 ms, 2 ms and 360 s
 * an hour. Regions with duty cycles (RP002): so much of each hour in each sub-band.
 */
#include "lora/lora.h"

#define CALENDAR_SLOTS   16           /* transmissions to come that are kept */
#define CALENDAR_BUDGETS 6            /* sub-bands of a region */
#define CALENDAR_PARTS   12           /* of an hour: what was sent is known to five minutes */
#define CALENDAR_GAP_US  (30 * US_PER_MS)      /* between two frames of a gateway's own queue */

/* With its silence; until 0: unused. `batch` is its owner's name for it. */
struct calendar_slot { i64 from_us, until_us; u32 airtime_us, hz, batch; };
struct calendar_budget { i64 part; u32 used_us[CALENDAR_PARTS]; };
struct calendar {
    struct calendar_slot slot[CALENDAR_SLOTS];
    struct calendar_budget budget[CALENDAR_BUDGETS];
};

struct calendar_rules { const struct lora_region *region; const struct lora_plan *plan; };  /* plan NULL: none */
struct calendar_send { i64 at_us; u32 airtime_us, hz, batch; };

#define CALENDAR_SAYS(X)                                                            \
    X(CALENDAR_FREE,      "")                                                       \
    X(CALENDAR_BUSY,      "the gateway is sending something else at that time")     \
    X(CALENDAR_LONG,      "the frame would be on the air for longer than is allowed")        \
    X(CALENDAR_FREQUENCY, "the frequency is not one that this gateway may send on")          \
    X(CALENDAR_SPENT,     "the gateway has sent as much in this band as an hour allows")
enum calendar_says {
#define CALENDAR_ENUM(name, words) name,
    CALENDAR_SAYS(CALENDAR_ENUM)
#undef CALENDAR_ENUM
    CALENDAR_SAYINGS
};
struct str calendar_words(enum calendar_says says);

/* May it be sent then? The first reason against it. */
enum calendar_says calendar_ask(const struct calendar *c, const struct calendar_rules *rules, const struct calendar_send *send);
/* It is going to be. A full calendar forgets what ends first. */
void calendar_take(struct calendar *c, const struct calendar_rules *rules, const struct calendar_send *send);
/* What was planned under that name is not sent after all. */
void calendar_give_back(struct calendar *c, const struct calendar_rules *rules, u32 batch);
/* What of the hour's allowance of the band of that frequency is used, in thousandths; 0 where there is none. */
u32 calendar_used_permille(const struct calendar *c, const struct calendar_rules *rules, i64 now_us, u32 hz);

#endif
