/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_PARAMS_H
#define HOTARU_PARAMS_H

/*
 * What a device's radio does, and what it should do (LoRaWAN 1.0.x and 1.1, chapter 5; RP002). `now` is
 * what the device has confirmed, `wanted` what its profile, its plan and ADR ask for. One function
 * writes the commands that lead from the one to the other, one moves `now` by what the device answers.
 * Pure: no device, no store, no clock.
 *
 * Four answers are sticky (RXParamSetupAns, RXTimingSetupAns, TxParamSetupAns, DlChannelAns): the device
 * repeats them in each uplink until it hears a downlink. So such a request is repeated as it was until it is
 * answered - nobody knows whether the device did it already -, nothing of its kind is asked while the newest
 * uplink still answers the last one, and an uplink that carries such an answer is owed a downlink.
 */
#include "lora/lora.h"

#define PARAMS_CHANNELS 16            /* of a dynamic plan */
#define PARAMS_WORDS    6             /* channel mask: 96 bits */
#define PARAMS_KEEP     0xFF          /* of dr, tx_power, nb_trans: as they are */
#define PARAMS_BYTES    512           /* a params_state as it is stored, at most */

struct params_channel { u32 up_hz; u8 dr_min, dr_max; };       /* up_hz 0: there is none */

/* What stands in one row is asked for by one command. */
struct params {
    u32  rx2_hz; u8 rx2_dr, rx1_dr_offset;                /* RXParamSetupReq */
    u8   rx1_delay_s;                                     /* RXTimingSetupReq */
    u8   eirp_index; bool dwell_up, dwell_down;           /* TxParamSetupReq */
    u8   duty_exp;                                        /* DutyCycleReq: 1/2^n */
    u8   adr_limit_exp, adr_delay_exp;                    /* ADRParamSetupReq */
    u8   rejoin_time_n, rejoin_count_n;                   /* RejoinParamSetupReq; PARAMS_KEEP: never asked for */
    u8   dr, tx_power, nb_trans; u16 mask[PARAMS_WORDS];  /* LinkADRReq */
    struct params_channel channel[PARAMS_CHANNELS];       /* NewChannelReq; of dynamic plans, by the device's index */
    u32  down_hz[PARAMS_CHANNELS];                        /* DlChannelReq: where RX1 is */
};

/* What is asked for, in the order in which it is asked. */
enum params_ask { ASK_TX_PARAM, ASK_RX_TIMING, ASK_RX_PARAM, ASK_CHANNEL, ASK_DL_CHANNEL, ASK_DUTY, ASK_ADR_PARAM,
                  ASK_REJOIN_PARAM, ASK_LINK_ADR, ASKS };

/* How far the talk about it is. Zeroed is its beginning, but for the limits: params_begin(). */
struct params_talk {
    struct params sent;               /* the values of what is asked and not answered */
    u16  asked;                       /* a bit each of enum params_ask: sent, not answered */
    u16  repeated;                    /* sticky answers that the newest uplink carried */
    u16  refused;                     /* the device cannot: not asked again in this session */
    u16  channels_asked, channels_refused, dl_asked, dl_refused;     /* a bit a channel */
    u8   tries[ASKS], wait[ASKS];     /* sent without an answer; uplinks until it is sent again */
    u8   dr, tx_power, nb_trans;      /* what ADR has decided and the device has not confirmed; PARAMS_KEEP */
    u8   dr_most, power_most;         /* found by refusals: above this the device cannot */
    bool mask_refused;
};

struct params_state { struct params now; struct params_talk talk; };

/* What the device's version and its newest uplink say. */
struct params_terms {
    const struct lora_region *region;
    enum lora_version version;
    int  up_dr;                       /* of the uplink that is answered */
    bool adr;                         /* its ADR bit: the device lets us choose its data rate and power */
};

/* A fixed plan numbers its channels by itself; a dynamic one has these many of its own, which nobody changes. */
static inline bool params_is_fixed(const struct lora_region *region) { return region->channels_max > PARAMS_CHANNELS; }
static inline int  params_defaults(const struct lora_region *region) { return region->up[0].count + region->up[1].count; }

/* As a device of the region boots, before any accept. ABP devices are so. */
void params_begin(struct params_state *out, const struct lora_region *region);
/* What a join-accept told it. `cflist` NULL: none. */
void params_joined(struct params_state *out, const struct lora_region *region, const struct lora_join_accept *accept);
/* What the region, and the plan where there is one, want; a profile changes single members then. */
void params_wanted(struct params *out, const struct lora_region *region, const struct lora_plan *plan);

/* Is anything left to be asked? False also for what the device has refused or never answered. */
bool params_differ(const struct params_state *s, const struct params *wanted, const struct params_terms *terms);
/* The commands for one downlink, as far as they fit into `out`; the first are the most important. */
void params_ask(struct buf *out, struct params_state *s, const struct params *wanted, const struct params_terms *terms);

struct params_heard {
    bool changed;                     /* `now` or the talk did */
    bool owed;                        /* a sticky answer: the device waits for any downlink */
    u16  answered, refused, strange;  /* bits of enum params_ask; strange: answers to what nobody asked */
};
/* An uplink of the device and the commands in it (none: empty). */
struct params_heard params_hear(struct params_state *s, const struct params_terms *terms, struct bytes commands);

/* Is an uplink's command an answer to one of these? */
bool params_is_answer(u8 cid);

/* As it stands in the store. False: damaged, or of a version that is not known. */
void params_write(struct buf *out, const struct params_state *s);
bool params_read(struct params_state *out, struct bytes stored);

/* "LinkADRReq" … for people; enum params_ask. */
struct str params_ask_words(enum params_ask ask);

#endif
