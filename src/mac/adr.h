/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_ADR_H
#define HOTARU_ADR_H

/*
 * Adaptive data rate: which data rate, power and number of repetitions a device should use, and why, in
 * words (LoRaWAN 1.0.x, 4.3.1.1 and 5.2; the standard leaves the choice to the network). Pure.
 *
 * What is spare of the signal after what its data rate needs and a margin buys steps of 3 dB: first a
 * faster data rate, then less power. A data rate is never lowered: the device does that itself when it is
 * not heard (ADRACKReq). With less than a full history the mean decides instead of the best signal, and power stays, so
 * that a device at DR0 does not stay there for days. What is lost buys repetitions.
 */
#include "lora/lora.h"

#define ADR_HISTORY 20                /* uplinks that are looked at */
#define ADR_LEAST   4                 /* fewer say nothing */

/* What uplinks of one data rate and power showed; of each the best copy. */
struct adr_heard { u32 first_fcnt, last_fcnt; i32 sum_cb; i16 best_cb; u8 n, dr; };

struct adr_policy {
    u8  dr_min, dr_max;               /* what the profile and the region allow */
    u8  power_most;                   /* highest TXPower index that the device can; 0 is full power */
    u8  nb_trans_most;                /* 1 to 3 */
    i16 margin_cb;                    /* kept in hand: 100 is 10 dB */
};
struct adr_state { u8 dr, tx_power, nb_trans; };         /* of the device, as its newest uplink showed it */

struct adr_says { struct adr_state to; bool changes; struct str words; };

/* `words` in the arena: the inputs and what follows of them; empty when too little was heard, or when the data rate
 * is not LoRa. */
struct adr_says adr_decide(const struct lora_region *region, const struct adr_policy *policy, struct adr_state now,
                           const struct adr_heard *heard, struct arena *arena);

#endif
