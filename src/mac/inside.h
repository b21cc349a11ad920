/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_MAC_INSIDE_H
#define HOTARU_MAC_INSIDE_H

#include "mac/adr.h"
#include "mac/calendar.h"
#include "mac/mac.h"
#include "mac/params.h"

#include <math.h>

#define WRAPPED 24                    /* a 16-byte key under RFC 3394 */
#define JOIN_NONCE_MAX 0xFFFFFF       /* 24 bits; after the last one a device has joined for the last time */
#define DOWN_SPENT (UINT32_MAX - 2 * DOWN_AHEAD + 1)   /* from here on nothing is sent: the device has to join again */
#define DOWN_AHEAD 32                 /* downlink counters reserved in one row */
#define WAITING_MAX 4                 /* sessions of one device that wait for their first uplink */
#define QUEUE_MAX 64                  /* downlinks waiting for one device */
#define DOWN_LIFE_US (30 * 86400 * US_PER_S)          /* and so long at most, unless they never expire */
#define COPIES_MAX 8
#define REPLAY_WINDOW 4096            /* counters behind the highest that a late frame may still have; a power of two */
#define LATE_SESSIONS 16384           /* sessions whose windows are in memory; a power of two: 8.5 MB when all are */
#define WINDOWS 16384                 /* a power of two: frames whose copies may still come */
#define LATE_COPY_US (5 * US_PER_S)   /* so long after it closed, a window still knows its copies */
#define FLUSH_MAX 1024
#define SWEEP_MAX 65536               /* devices that one flush looks at */
#define REFUSAL_SLOTS 16
#define REFUSAL_SLOTS_NOBODY 256

#define DOWN_MARK "downlink"          /* the newest id of a downlink; their key begins with the device */

#define NOWHERE INT32_MIN
static inline i32 degrees_to_e7(double d) { return d == d ? (i32)(d * 1e7 + (d < 0 ? -0.5 : 0.5)) : NOWHERE; }
static inline double degrees_of_e7(i32 e7) { return e7 == NOWHERE ? (double)NAN : e7 / 1e7; }

/* Of a device and of a session a start reads by what they are found; their row is read whole when they are first
 * needed (docs/adr/0015). A damaged one is used by nobody, until it is registered, or has joined, anew. */
enum row_state { ROW_READ, ROW_UNREAD, ROW_DAMAGED };

enum which_key { KEY_F_NWK_S_INT, KEY_S_NWK_S_INT, KEY_NWK_S_ENC, KEY_APP_S, SESSION_KEYS };

/* A device, as long as the process lives. ~130 bytes; a million of them is the aim (B6). */
struct device {
    u64 dev_eui, join_eui;
    i64 last_uplink;                  /* head of its chain of uplinks */
    u32 tenant;
    u32 session[2];                   /* [0] current, [1] the newest that waits; MAC_NONE */
    u32 name;                         /* offset in mac->names */
    i32 latitude_e7, longitude_e7;    /* degrees * 10^7: a centimetre; NOWHERE: not given */
    u32 join_nonce;                   /* the highest ever given */
    u32 batch;                        /* the batch that touched it last: it has an undo copy */
    u16 profile;
    u8  queued;                       /* application downlinks that wait */
    u8  refusal_slot, log_slot;
    i8  battery_pct;                  /* -1: not known */
    bool simulated, dirty, has_nwk_key;
    bool state_known;                 /* at start: its row behind is there and whole */
    u8  row;                          /* enum row_state */
    u8  app_key[WRAPPED], nwk_key[WRAPPED];
};

struct session {
    i64 id;
    u32 device, devaddr;
    i64 fcnt_up;                      /* -1: none heard yet */
    u32 down_next, down_reserved;     /* FCntDown; NFCntDown in 1.1 */
    u32 app_down_next, app_down_reserved;
    u32 rx2_hz;
    u32 batch;
    u32 older;                        /* waits too, since before this one: index + 1; 0: none */
    u16 conf_down;                    /* FCntDown of the confirmed downlink that waits for its ACK */
    u8  rx1_delay_s, rx1_dr_offset, rx2_dr;
    bool dwell_up, dwell_down;        /* what the device is known to do */
    bool dwell_known;                 /* TxParamSetupAns came */
    bool v1_1, used;
    u8  settled;                      /* with what of `wanted` its talk has ended; 0: it goes on */
    u8  row;                          /* enum row_state; unread: keys, counters down and receive windows are not known yet */
    struct adr_heard adr;
    u32 late;                         /* place of its window in mac->late, when that is still its own */
    i64 awaits;                       /* downlink row whose ACK is awaited, or 0 */
    u8  keys[SESSION_KEYS][WRAPPED];
};

enum window_kind { WINDOW_UPLINK, WINDOW_LATE, WINDOW_ANSWER, WINDOW_JOIN };
struct window {
    u64 hash;                         /* of the PHYPayload */
    i64 id;                           /* uplink or session */
    struct mono close_at;
    u32 device, session, mic, fcnt, batch;
    u8  kind, copies, heard;          /* heard: copies that came, also beyond COPIES_MAX */
    bool open, confirmed, link_check, device_time, adr, adr_ack_req, rekey, owed;
    u16 dev_nonce;
    struct radio copy[COPIES_MAX];
};

struct gateway {
    u64 eui;
    u32 tenant, name;
    float latitude, longitude;
    const struct lora_region *region;
    struct wall last_seen;
    struct calendar calendar;              /* on our monotonic clock; forgotten with the process */
    char address[48];
    u32 rx_ok, rx_bad, tx;                 /* since the last flush */
    u64 rx_air_us, tx_air_us;
    bool dirty, simulated;
};

/* What a profile wants of its devices' radios. `mark` is never 0 and differs, mostly, when that does. */
struct wanted { struct params params; u8 mark; };

struct stranger { u64 eui; struct wall last_seen; u32 datagrams; char address[48]; bool dirty; };

struct cached_key { u32 session; u32 generation; struct lora_key key; };

struct undo { struct undo *next; u32 index; bool is_device; union { struct device device; struct session session; } was; };
struct added { struct added *next; u32 index; bool is_device; };

/* replay.c: which counters of a session were seen. */
struct replay {
    u64 seen[REPLAY_WINDOW / 64];     /* a ring */
    u32 highest, floor;               /* below `floor` nothing is known yet */
};
enum replay_says { REPLAY_AHEAD, REPLAY_NEW, REPLAY_SEEN, REPLAY_BEYOND, REPLAY_UNKNOWN };
void replay_start(struct replay *r, u32 highest);
enum replay_says replay_ask(const struct replay *r, u32 fcnt);
void replay_note(struct replay *r, u32 fcnt);

/* The window of one session, as far as it has been learnt from its events; late.c. */
struct late {
    i64 session;                      /* its id; 0: free */
    i64 next;                         /* the event that is to be read when more must be known; 0: all were */
    struct replay replay;
};

struct mac {
    struct mac_settings set;
    u8  kek[32];
    size_t kek_n;

    struct device  *devices;  u32 devices_n, devices_room;
    struct session *sessions; u32 sessions_n, sessions_room;
    u32 *free_sessions; u32 free_n, free_room;
    u32 *freed_now; u32 freed_n, freed_room;     /* in this batch: given back when it is kept */
    struct gateway *gateways; u32 gateways_n, gateways_room;
    char *names; u32 names_n, names_room;
    struct map by_eui, by_devaddr, by_gateway, by_phy;

    struct window *windows;
    u64 window_first, window_open, window_next;  /* ring: known, still open, next to give */
    u64 window_kept;                             /* the first that was open when the batch began */

    u32 dirty_n, sweep_at;                                /* devices whose rows are behind; the sweep over them */
    i64 sweep_id;                                         /* newest event when the sweep began; -1: none is under way */
    u32 flushing[FLUSH_MAX], flushing_n;                  /* whose rows are in this batch */
    i64 rolled;                                           /* the mark as it stands in the store */
    struct stranger strangers[100]; u32 strangers_n;

    struct wanted *wanted;                                /* by profile */
    struct late *late; u32 late_n, late_room, late_next;  /* windows of sessions that had late frames */
    struct cached_key *keys; u32 generation;
    u32 batch;
    struct undo *undo;
    u32 read_devices, read_sessions;                      /* how far idle moments have read on */
    struct mono gateways_flushed, refusals_since;
    u32 refusals_left, refusal_slot;
};

static inline struct mac *mac_of(struct env *env) { return env->mac; }

/* mac.c */
void *pool_at(void **pool, u32 *n, u32 *room, size_t size);       /* room for one more; *n is counted up */
void  touch_device(struct env *env, u32 index);                   /* before changing it */
void  touch_session(struct env *env, u32 index);
void  mark_dirty(struct env *env, u32 device);
struct str name_of(const struct mac *mac, u32 offset);
u32   name_add(struct mac *mac, struct str name);
u32   name_keep(struct mac *mac, u32 at, struct str name);        /* where it is, when it is the same name */
struct device_ref device_ref(const struct env *env, u32 index);

/* session.c */
const struct lora_key *session_key(struct mac *mac, u32 session, enum which_key which);   /* NULL: KEK is wrong */
bool  session_keys(struct mac *mac, struct lora_session *out, u32 session);
u32   session_new(struct env *env);
void  session_drop(struct env *env, u32 index);
u32   devaddr_new(struct env *env);
enum err session_insert(struct env *env, const struct session *s, int state);
void  session_wait(struct env *env, u32 device, u32 index);       /* for its first uplink */
enum err session_promote(struct env *env, u32 device, u32 index); /* one that waits becomes current */
enum err session_save(struct env *env, u32 index);                /* what changes of its row */
enum err session_reserve(struct env *env, u32 index);             /* counters ahead, when few are left */
bool  session_ready(struct env *env, u32 index);                  /* false: damaged, or env->failed */
enum err sessions_load(struct env *env);
bool  wrap_key(const struct mac *mac, u8 out[WRAPPED], const u8 raw[16]);
bool  unwrap_key(const struct mac *mac, u8 out[16], const u8 wrapped[WRAPPED]);

/* late.c: may a counter behind the highest be accepted? REPLAY_UNKNOWN also when env->failed. */
enum replay_says late_ask(struct env *env, u32 session, u32 fcnt);
void  late_note(struct env *env, u32 session, u32 fcnt);          /* accepted, behind or ahead */
void  late_forget(struct mac *mac);                               /* the chains give them again */

/* window.c */
struct window *window_of_copy(struct mac *mac, struct bytes phy, u32 mic);
struct window *window_open(struct env *env, enum window_kind kind, const struct frame *frame, u32 mic, i64 window_us);
void  window_add(struct window *w, const struct frame *frame);
void  window_late(struct env *env, struct window *w, const struct radio *radio);   /* a copy after it closed */
void  windows_drop_batch(struct env *env);

/* answer.c */
void  answer_window(struct env *env, struct window *w);
void  answers_undo(struct mac *mac);              /* what was planned for answers of a batch that was lost: its air is free */
int   uplink_dr(const struct lora_region *region, const struct radio *radio);

bool  accept_cflist(const struct mac *mac, const struct lora_region *region, u8 out[LORA_CFLIST_SIZE]);

/* talk.c */
void talk_start(struct env *env);
u8   talk_mark(const struct env *env, u32 device);
/* An uplink and the commands in it. True: the device waits for any downlink. */
bool talk_hear(struct env *env, u32 session, int up_dr, bool adr, struct bytes commands);
/* What is to be asked beside an answer; at the end of a window. */
void talk_ask(struct env *env, struct buf *out, const struct window *w, int up_dr);
void talk_log(struct env *env, u32 device, struct str words);

/* queue.c */
enum err queue_load(struct env *env);
struct down_row {
    i64 tenant, dev_eui, id, kind, state, confirmed, fport, expires_us, sent_us, fcnt, gateway;
    struct bytes payload;
    struct str mac, reason;
};
enum err down_put(struct env *env, const struct down_row *row);
bool down_find(struct env *env, struct down_row *out, u64 tenant, u64 dev_eui, i64 id);      /* in the batch's arena */
bool down_read(struct down_row *out, struct db_query *q, struct arena *arena);     /* false: damaged */
bool down_oldest(struct env *env, struct down_row *out, u64 tenant, u64 dev_eui);
enum err down_insert(struct env *env, const struct device *d, enum down_kind kind, i64 id, enum down_state state,
                     bool confirmed, int fport, struct bytes payload, i64 expires_us, i64 fcnt, u64 gateway,
                     struct str mac_words, struct str reason);
void  queue_settle_ack(struct env *env, u32 session, const struct lora_frame *frame);

/* registry.c */
struct gateway_new {
    u64 tenant, eui;
    struct str name;
    double latitude, longitude, altitude_m;        /* NAN: not given */
    const struct lora_region *region;
    bool simulated;
};
struct device_new {
    u64 tenant, dev_eui, join_eui;
    struct str name;
    const struct profile *profile;
    double latitude, longitude;
    bool simulated, has_nwk_key;
    u8 app_key[16], nwk_key[16];
};
enum err registry_load(struct env *env, struct str *why);
bool     device_ready(struct env *env, u32 index);                /* its row is read; false: damaged, or env->failed */
u32      registry_find(struct env *env, u64 dev_eui);               /* ready, or MAC_NONE */
enum err registry_put_gateway(struct env *env, const struct gateway_new *g);     /* the row, in the batch */
void     registry_add_gateway(struct env *env, const struct gateway_new *g);     /* memory, after the commit */
enum err registry_put_device(struct env *env, const struct device_new *n);
u32      registry_add_device(struct env *env, const struct device_new *n);
/* radio.c */
void  radio_write(struct buf *out, const struct radio *radio);
/* subject.c */
enum err subject_seal(struct env *env, struct bytes *out, u64 tenant, u64 dev_eui, i64 id, struct bytes clear);

#endif
