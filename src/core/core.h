/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_CORE_H
#define HOTARU_CORE_H

/*
 * core: the nouns that travel (frame, uplink, reading, change), the env that every stage is handed,
 * and the outbox. docs/architecture.md draws the way.
 */
#include "base/base.h"
#include "core/profile.h"
#include "core/rows.h"
#include "db/db.h"
#include "lora/lora.h"

/* ------------------------------------------------------------------ refusals: counted, never thrown */

#define DROPS(X)                                                                                        \
    X(PASS,                   "accepted")                                                               \
    X(DROP_SHORT_DATAGRAM,    "datagram shorter than its header")                                       \
    X(DROP_UDP_VERSION,       "gateway protocol version is neither 1 nor 2")                            \
    X(DROP_UDP_KIND,          "message kind that a gateway does not send")                              \
    X(DROP_UNKNOWN_GATEWAY,   "gateway is not registered")                                              \
    X(DROP_FOREIGN_SOURCE,    "gateway's EUI from another address while the old one is alive")          \
    X(DROP_GATEWAY_FLOOD,     "gateway sends more than its share")                                      \
    X(DROP_JSON,              "gateway's JSON cannot be read")                                          \
    X(DROP_RXPK_FIELD,        "rxpk lacks a field or has one of the wrong kind")                        \
    X(DROP_RXPK_TOO_MANY,     "more rxpk in one datagram than the limit")                               \
    X(DROP_BASE64,            "rxpk data is not base64")                                                \
    X(DROP_SIZE_DIFFERS,      "rxpk size differs from its data")                                        \
    X(DROP_MODULATION,        "modulation or data rate is not known here")                              \
    X(DROP_FREQUENCY,         "frequency outside the region of the gateway")                            \
    X(DROP_BAD_CRC,           "gateway marked the frame's checksum as bad")                             \
    X(DROP_TRUNCATED,         "shorter than its own lengths say")                                       \
    X(DROP_TOO_LONG,          "longer than a LoRaWAN frame can be")                                     \
    X(DROP_MAJOR,             "LoRaWAN major version is not 1")                                         \
    X(DROP_MTYPE,             "message type that a device does not send")                               \
    X(DROP_PROPRIETARY,       "proprietary frame: not handled")                                         \
    X(DROP_MAC_TWICE,         "MAC commands both in FOpts and on port 0")                               \
    X(DROP_REJOIN,            "rejoin-request: not handled yet")                                        \
    X(DROP_UNKNOWN_DEVICE,    "no device with that DevEUI and JoinEUI")                                 \
    X(DROP_UNKNOWN_DEVADDR,   "no session with that DevAddr")                                           \
    X(DROP_BAD_MIC,           "no session key verifies it")                                             \
    X(DROP_JOIN_MIC,          "join-request: the device's root key does not verify it")                 \
    X(DROP_DEVNONCE,          "join-request: DevNonce was used before")                                 \
    X(DROP_JOIN_LATE,         "join-request: its gateway kept it until nobody listened for the answer")  \
    X(DROP_JOIN_SPENT,        "join-request: all JoinNonces of the device were given")                  \
    X(DROP_JOIN_REPEATED,     "join-request: another copy of one that is being answered")               \
    X(DROP_COPY,              "another gateway's copy of an accepted frame")                            \
    X(DROP_REPEATED,          "counter already seen")                                                   \
    X(DROP_FCNT_GAP,          "counter further ahead than MaxFCntGap")                                  \
    X(DROP_KEY,               "stored key cannot be unwrapped: is the key file the right one?")         \
    X(DROP_SPENT,             "nothing is sent: the session's downlink counters are spent; the device has to join again") \
    X(DROP_NO_ROOM,           "a table of the server is full")                                          \
    X(DROP_STORE,             "the store refused it; nothing was acknowledged")                         \
    X(DROP_CODEC,             "payload codec failed")                                                   \
    X(DROP_CODEC_PORT,        "payload codec has no layout for this port")                              \
    X(DROP_TXACK,             "acknowledgement of a transmission that was not asked for")                \
    X(DROP_STATION_TLS,       "station: the TLS handshake failed, or took too long")                    \
    X(DROP_STATION_HTTP,      "station: not a request that this door answers")                          \
    X(DROP_STATION_KEY,       "station: neither its token nor its certificate is the gateway's")        \
    X(DROP_STATION_FRAME,     "station: not WebSocket as a client speaks it")                           \
    X(DROP_STATION_LONG,      "station: message longer than the limit")                                 \
    X(DROP_STATION_KIND,      "station: message of a kind that nobody asked for")                       \
    X(DROP_STATION_FIELD,     "station: message lacks a field or has one of the wrong kind")            \
    X(DROP_STATION_SLOW,      "station: reads slower than it is told")                                  \
    X(DROP_STATION_SILENT,    "station: said nothing for too long")                                     \
    X(DROP_STATION_MANY,      "station: too many connections that have not said who they are")           \
    X(DROP_MQTT_TOPIC,        "MQTT: a topic that no gateway of ours has")                              \
    X(DROP_MQTT_MESSAGE,      "MQTT: message cannot be read, or lacks a field")                         \
    X(DROP_MQTT_EUI,          "MQTT: message names another gateway than its topic")

enum drop {
#define DROP_ENUM(name, words) name,
    DROPS(DROP_ENUM)
#undef DROP_ENUM
    DROP_KINDS
};
const char *drop_name(enum drop drop);      /* "DROP_BAD_MIC" */
const char *drop_words(enum drop drop);
/* The refusal of that name, as the store keeps it; DROP_KINDS: none. */
enum drop drop_named(struct str name);

/* Words of somebody else (a codec's errors, a gateway's) as they may be stored: UTF-8 without a NUL, what is
 * not becomes '?', and cut between two characters at `most` bytes. The store takes no other text, and what
 * it does not take costs the whole batch. */
struct str words_sound(struct arena *arena, struct str words, size_t most);

/* ------------------------------------------------------------------ noun 1: frame */

#define RADIO_CONTEXT 24
/* How one gateway heard a frame. Times of the concentrator are its own 32-bit microseconds, which wrap. */
struct radio {
    u64  gateway;            /* EUI */
    u32  tmst_us;            /* concentrator's clock at the end of the frame */
    u32  freq_hz;
    u32  bw_hz;              /* 0: FSK */
    u32  bitrate;            /* FSK only */
    i16  rssi_dbm;
    i16  snr_cb;             /* centibel: 75 is 7.5 dB */
    u8   sf;                 /* 0: FSK */
    u8   antenna;
    u8   rf_chain;
    i64  gateway_us;         /* gateway's own wall clock, or 0: it has none */
    u32  kept_us;            /* so long its gateway had it before it told us; as far as is known */
    u8   context_n;          /* what its road wants back with an answer: Station's xtime and rctx, an MQTT gateway's */
    u8   context[RADIO_CONTEXT];       /* context; not stored, for it means nothing later */
};

struct frame {
    struct bytes phy;        /* PHYPayload; borrows the datagram */
    struct radio radio;
    struct wall  received;
    struct mono  heard;
    i64          kept_us;    /* so long its gateway had it before it told us; 0: not, as far as is known */
};

/* ------------------------------------------------------------------ noun 2: uplink */

struct device_ref {
    u64  tenant;
    u64  dev_eui;
    u32  index;              /* in mac's pool, while the process lives */
    const struct profile *profile;
    struct str name;
    double latitude, longitude;   /* NAN: not known */
    bool simulated;
};

struct uplink {
    i64  id;                 /* of the event; for ever */
    struct device_ref device;
    u32  fcnt;
    int  fport;              /* -1: none */
    bool confirmed;
    bool late;               /* its gateway kept it: nothing is answered any more */
    bool behind;             /* a younger frame of its device was accepted before it */
    struct bytes payload;    /* in clear; empty on port 0 */
    struct wall  received;   /* by us; late: by its gateway, where that is known */
    struct radio radio;      /* of the first copy */
};

/* ------------------------------------------------------------------ noun 3: reading */

enum field_kind { FIELD_MISSING, FIELD_NUMBER, FIELD_TEXT, FIELD_BOOL };

/* Quality flags in the published vocabulary of Miyagi Prefecture's river pages. */
#define FLAGS(X)                                    \
    X(FLAG_NORMAL,   "",  "normal")                 \
    X(FLAG_RANGE,    "!", "out of range")           \
    X(FLAG_CHANGE,   "&", "change too large")       \
    X(FLAG_MISSING,  "*", "missing")
enum flag {
#define FLAG_ENUM(name, sign, words) name,
    FLAGS(FLAG_ENUM)
#undef FLAG_ENUM
    FLAG_KINDS
};
struct str flag_sign(enum flag flag);

#define FIELDS_MAX 64
struct field {
    struct str name;                   /* as the codec calls it */
    const struct profile_field *rule;  /* what the profile says of it, or NULL */
    enum field_kind kind;
    double     number;
    struct str text;                   /* number: its digits; text: itself; missing: the reason */
    bool       boolean;
    enum flag  flag;
    struct str reason;                 /* of the flag, for people; may be empty */
};

struct reading {
    i64  uplink_id;
    struct device_ref device;
    struct wall received;
    struct wall observed;              /* the device's own time where it has one, else received */
    bool behind;                       /* belongs to history alone: a younger one came before it */
    struct field fields[FIELDS_MAX];
    size_t count;
    /* The entity as it was before this reading, read once for quality and context. */
    struct str entity;                 /* its id; empty: the profile names none */
    const struct json *before;         /* its attributes, or NULL: a new entity */
    i64  before_reading;               /* head of its chain of readings, or 0 */
    struct str  before_text;           /* the same as they are stored */
    struct wall before_created, before_modified;       /* 0: a new entity */
};

/* ------------------------------------------------------------------ noun 4: change */

struct change {
    i64 id;                            /* of the event that the reading became; 0: nothing changed */
    const struct reading *reading;
    struct str attributes;             /* NGSI-LD object of what changed */
    struct str whole;                  /* NGSI-LD object of the entity as it is now */
};

/* ------------------------------------------------------------------ intents: what is to be done after the commit */

enum down_kind { DOWN_DATA, DOWN_NETWORK, DOWN_JOIN };
#define DOWN_STATES(X)                              \
    X(DOWN_QUEUED,   "queued")                      \
    X(DOWN_OFFERED,  "offered")                     \
    X(DOWN_ACCEPTED, "accepted")                    \
    X(DOWN_FAILED,   "failed")                      \
    X(DOWN_EXPIRED,  "expired")                     \
    X(DOWN_UNKNOWN,  "unknown")                     \
    X(DOWN_CONFIRMED, "confirmed")
enum down_state {
#define DOWN_ENUM(name, words) name,
    DOWN_STATES(DOWN_ENUM)
#undef DOWN_ENUM
    DOWN_STATE_KINDS
};
struct str down_state_words(enum down_state state);

/* One chance to transmit: a window of one gateway. */
struct transmission {
    u64  gateway;
    u32  tmst_us;            /* when, on the clock of that concentrator */
    struct mono at;          /* the same on ours, as well as we know it */
    u32  freq_hz, bw_hz, bitrate;
    u8   sf, antenna, rf_chain;
    i8   power_dbm;          /* EIRP */
    u32  airtime_us;
    u32  delay_us;           /* behind the end of the uplink */
    u8   dr;                 /* data rate in its region */
    u8   window;             /* 1 or 2 */
    u8   context_n;          /* of the copy that it answers */
    u8   context[RADIO_CONTEXT];
};

#define TRIES_MAX 4
struct downlink {
    u64  tenant, dev_eui;
    i64  id;                 /* row of the downlink table */
    struct bytes phy;        /* encrypted, with its MIC */
    struct transmission tries[TRIES_MAX];   /* in order of preference */
    u32  tries_count;
};

enum intent_kind { INTENT_DOWNLINK, INTENT_DECODE };
struct intent {
    struct intent *next;
    enum intent_kind kind;
    struct downlink downlink;
    struct uplink uplink;    /* INTENT_DECODE: its bytes are copied into the batch arena */
};
struct outbox { struct intent *first, **last; size_t count; };

/* ------------------------------------------------------------------ env */

struct mac;
struct codecs;
struct keep;

/* Everything a stage may touch. No stage has globals; no stage asks the OS. */
struct env {
    struct mono (*now)(void *world);
    struct wall (*clock)(void *world);
    void        (*random)(void *world, u8 *out, size_t n);
    void         *world;
    struct db    *db;        /* the writer */
    struct arena  event;     /* forgotten when the event is over */
    struct arena  batch;     /* forgotten when the batch is committed and its intents carried out */
    struct outbox outbox;
    struct profiles profiles;
    struct mac    *mac;
    struct codecs *codecs;
    struct keep   *keep;     /* flow/keep.c, or NULL: nothing is sealed or taken away */
    struct db_damage *damage;   /* what was found damaged, or NULL */
    bool full;               /* the disk is: new data are refused, what was promised still commits */
    double sim_speed;        /* an hour of the simulated world is 1/sim_speed of ours; 1 or 0: no matter */
    i64  last_id;            /* the highest event id given */
    i64  stored_id;          /* the highest when the last commit was done: nothing newer is in the store */
    bool open;               /* a transaction is open */
    enum err failed;         /* the first error of the store in this batch: nothing of it is acknowledged */
    u64  dropped[DROP_KINDS];
    u64  counted[8];         /* enum counted */
};

enum counted { COUNT_UPLINKS, COUNT_READINGS, COUNT_JOINS, COUNT_DOWNLINKS, COUNT_COPIES, COUNT_COMMITS, COUNT_COMMIT_US,
               COUNT_BATCHED };

static inline struct mono env_now(struct env *env) { return env->now(env->world); }
static inline struct wall env_clock(struct env *env) { return env->clock(env->world); }

/* A new event id: rises always, is the time in microseconds since 1970 unless the clock went back. */
i64 env_next_id(struct env *env);
/* The query of this text on the writer, inside the batch's transaction (opened when needed).
 * NULL after the store has failed: then the batch is lost and the caller gives up. */
struct db_query *env_query(struct env *env, const char *sql);
/* Runs a statement of the batch and remembers a failure. */
enum err env_run(struct env *env, struct db_query *q);

struct intent *outbox_add(struct env *env, enum intent_kind kind);

#endif
