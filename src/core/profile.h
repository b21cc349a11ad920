/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_PROFILE_H
#define HOTARU_PROFILE_H

/* A device profile: what a kind of device measures, how it speaks, and what to believe of it. */
#include "base/base.h"
#include "lora/lora.h"
#include "wire/json.h"

enum field_role { ROLE_NONE, ROLE_BATTERY_PCT };

/* One field of the codec's result, and the entity attribute it becomes. */
struct profile_field {
    struct str name, attr, unit, ja, en;     /* unit: UN/CEFACT code, may be empty */
    double min, max;                         /* NAN: no limit */
    double rate_per_h;                       /* largest believable change; NAN: no limit */
    enum field_role role;
    bool main;                               /* the value a map shows */
    bool number;                             /* text that is a number is read as one */
};

struct profile {
    struct str id, ja, en, kind;
    struct str personal;                     /* the only app that gets the reading; empty: not personal */
    struct str entity_type, entity_id;       /* id with {dev_eui} in it; empty: no entity */
    const struct lora_region *region;
    enum lora_version version;
    int  rx1_delay_s;
    int  rx1_dr_offset, rx2_dr;              /* -1: the region's */
    i64  rx2_hz;                             /* 0: the region's */
    int  duty_exp;                           /* the device may send 1/2^n of the time */
    int  fixed_dr;                           /* -1: the device's own, or what ADR finds */
    bool adr;                                /* for what stands still; a tracker's signal of before says nothing of now */
    u8   adr_dr_min, adr_dr_max, adr_power_most, adr_nb_trans_most;
    int  adr_margin_db;
    int  interval_s;                         /* expected reporting; silent after 2 intervals + 30 s */
    const struct json *codec;
    const struct profile_field *fields;
    size_t fields_count;
    u32  number;                             /* place in the list */
};

/* From 1.0.4 on a DevNonce is a counter; before it is drawn by chance. */
static inline bool profile_nonce_counts(const struct profile *p) { return p->version >= LORAWAN_1_0_4; }

struct profiles { const struct profile *list; size_t count; };

/* The texts of data/profiles/, a later one of the same id wins. They are kept: boot lifetime.
 * ERR_INVALID with words that name the file and the member. */
struct profile_text { struct str file, json; };
enum err profiles_read(struct profiles *out, const struct profile_text *texts, size_t n, struct str *why,
                       struct arena *boot);
const struct profile *profile_find(const struct profiles *profiles, struct str id);
const struct profile_field *profile_field(const struct profile *profile, struct str name);

#endif
