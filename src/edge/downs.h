/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_DOWNS_H
#define HOTARU_EDGE_DOWNS_H

/*
 * Downlinks that wait to leave, and those whose gateway has not said yet what became of them. They leave a
 * little before their time, by the road that reaches the gateway now; a refusal or a road that is gone moves
 * on to the next window, then to the next gateway. What a downlink ended as enters by mac_downlink_result.
 *
 * A road is one protocol of gateways: Semtech UDP (gateways.c), Basics Station, MQTT.
 */
#include "core/core.h"

struct downs;

/* What a road says of a transmission that it was handed. */
enum road_says {
    ROAD_SENT,                         /* on its way; downs_outcome comes until *answer_by */
    ROAD_DONE,                         /* sent, and nobody will say more; *why tells it */
    ROAD_GONE                          /* the gateway cannot be reached; *why */
};
/* tries[from] … tries[from + n - 1] are windows of one gateway, in order; a road without `both_windows` is given one at
 * a time. `token` names the transmission in the gateway's answer. *why lives as long as the event. */
struct road_send { const struct downlink *downlink; u32 from, n; u16 token; };
struct road {
    void *of;
    bool both_windows;                 /* its gateways choose between RX1 and RX2 themselves */
    bool (*reaches)(void *of, u64 gateway);
    enum road_says (*send)(void *of, const struct road_send *what, struct mono *answer_by, struct str *why);
};

struct downs *downs_make(struct env *env);
void downs_close(struct downs *d);
/* At most 4; asked in this order, the next when one is gone. Kept as long as `d`; the struct is copied. */
void downs_road(struct downs *d, const struct road *road);
/* Leaves when its time comes. Its bytes are copied. */
void downs_add(struct downs *d, const struct downlink *downlink);
/* Those whose time to leave has come, and those whose answer has not. Opens a batch when there is something to say;
 * the caller commits. Returns when to come again. */
struct mono downs_tick(struct downs *d);
/* When that is, or earlier; cheap. */
struct mono downs_due(const struct downs *d);

/* A gateway says what became of it. False: nobody asked that gateway under that token. */
enum outcome { OUTCOME_TAKEN, OUTCOME_EMITTED, OUTCOME_REFUSED };
bool downs_outcome(struct downs *d, u64 gateway, u16 token, enum outcome outcome, struct str words);
/* All that this gateway was to send is void (its clock began anew, its connection is gone). */
void downs_void(struct downs *d, u64 gateway, struct str words);
/* It may be, and nobody can know: other gateways go first. */
void downs_doubt(struct downs *d, u64 gateway);

#endif
