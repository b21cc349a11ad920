/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_BOX_JUDGE_H
#define HOTARU_BOX_JUDGE_H

/*
 * What the files of the observer share. It keeps the only truth: what devices launched, what
 * gateways pushed, what the daemon acknowledged, sent and delivered. It looks into the store with a
 * reader's connection of its own; it never asks the daemon what is true.
 *
 *   judge.c        what devices and gateways said; acknowledgements (R1, R5, R6, R13, R16)
 *   judge_store.c  the store: every row, once, for ever the same (R1, R2, R3, R7, R12)
 *   judge_down.c   downlinks: counters, windows, rows before intents (R4, R5)
 *   judge_seen.c   what readers of streams saw; what nobody may see of a tracker (R1, R7)
 */
#include "box/box.h"

#define NOBODY  UINT32_MAX
#define PATH_US (90 * US_PER_S)         /* a gateway's path down lasts so long after a PULL_DATA */

/* Why an accepted frame may stay without an answer (judge_down.c). */
enum excuse { OWED, EXCUSE_HELD_UP, EXCUSE_FULL, EXCUSE_SESSION, EXCUSE_JOIN, EXCUSE_OLD, EXCUSE_PATH, EXCUSE_RESTART, EXCUSES };

/* How far behind the newest counter of its session a frame may be and still be new (R11).
 * 0: only what is newer than the newest. */
#define LATE_WINDOW 4096
/* So many sessions of a device wait for their first uplink; the oldest of more gives way. */
#define WAITING 4

enum { HEARD = 256, PUSHES = 512, ASKS = 16, FRAMES_A_PUSH = 8 };

/* How the device listens after it spoke. */
struct listens { u32 rx2_hz; u8 delay_s, rx1_offset, rx2_dr; bool dwell; };

/* A device's session, as the device has it. In the order of their first frames. */
struct talk {
    u32 device, devaddr;
    u8  nwk_s_key[16], app_s_key[16];
    i64 stored_most;                    /* the highest counter in the store; -1: none */
    i64 row_session;                    /* what the daemon calls it; 0: not known yet */
    i64 down_most, down_before;         /* FCntDown: the highest; the highest of earlier lives; -1 */
    u32 down_life;
};

/* One thing that a device said, however often: a counter of a session, or a join-request. */
struct said {
    struct bytes frame;
    u64 phy, plain;                     /* hashes: of the frame; of port, commands and payload in clear */
    i64 id;                             /* of its event; 0: not in the store */
    struct mono ended;                  /* its last flight */
    struct listens listens;
    u32 device, talk, fcnt;             /* talk NOBODY: a join-request, fcnt is its DevNonce */
    u64 place;                          /* a tracker's: where it is, as it stands in the payload */
    u32 came_life;                      /* when it first came to the daemon */
    bool acked, excused, doubled;       /* doubled: the device used this counter for two frames */
    bool answered;                      /* a downlink left for it */
};

/* A row of the store, in the order of ids. */
struct row { i64 id; u64 content; struct mono seen; u32 said; u8 readings; bool lost, mute; };

/* A moment: of time, and of how long the daemon had waited for its disk until then. */
struct moment { struct mono at; i64 waited_us; };

struct catch {                          /* a frame as a gateway heard and told it */
    u32 said, tmst, hz;
    u8  sf;
    u32 came_life;                      /* it came to the daemon in that life, then; 0: it did not */
    struct moment came;
    i64 age_us;                         /* so long after it was heard */
    struct listens listens;
};
struct push  { u64 hash; u32 said[FRAMES_A_PUSH]; u8 n; bool doubtful; };
struct asked { u64 hash; u32 tmst, airtime_us; u16 token; bool refused; };
struct listener {                       /* a gateway */
    struct catch heard[HEARD];
    u16  token[PUSHES];                 /* of each push; searched often */
    struct push  push[PUSHES];
    struct asked asked[ASKS];
    u32  heard_n, push_n, asked_n;
    struct mono pull_at, opened_at;     /* its last PULL_DATA that came to the daemon, the first since its path was closed, */
    u32  pull_life;                     /* and to which life of it */
};
/* A datagram that came, and is to be acknowledged. */
struct due   { struct moment came; u64 refused, failed; u32 gateway, life; u16 token; bool acked; };
/* A downlink that its gateway refused: the next one goes at once. */
struct moved { u64 hash; struct moment at; };
/* An answer that must have left by then. */
struct owed  { u32 said, life; struct moment since; struct mono by; };
struct speaker {                        /* a device */
    u32 talk, newest_stored;            /* its session now; its newest one with a row; NOBODY */
    i64 join_nonce;                     /* the highest it was given; -1 */
    i64 last_event;                     /* head of the chain of its rows */
    u32 accepts;
    struct mono accepted_at;            /* the last */
};

struct sent    { u64 hash; u32 life, device; };
struct granted { u64 hash; u32 join_nonce; };
/* A list that grows. */
#define LIST(type) struct { type *p; u32 n, room; }

struct judge {
    struct box *box;
    struct arena scratch;
    LIST(struct said) said;
    LIST(struct talk) talks;
    LIST(struct row)  rows;
    LIST(struct sent) sent;
    LIST(struct granted) granted;
    LIST(struct listener) listeners;
    LIST(struct speaker) speakers;
    LIST(struct owed) owed;
    LIST(struct due) due;
    u32  owed_first, due_first;         /* those before have been looked at */
    struct moved moved[64];
    u32  moved_n;
    u64  excused[EXCUSES];              /* answers that were owed and could not leave */
    struct map by_phy, by_counter, by_eui, by_devaddr, by_row_session, by_down_counter, by_down_phy, by_nonce,
               fcnts, places, degrees, trackers;
    u32 fixes;                          /* of trackers: latitude of the n-th is 2 n in `degrees`, longitude 2 n + 1 */
    struct judge_table table;

    /* the store */
    struct db *db;
    u32  db_life;
    i64  reading_last;
    bool codecs_ill;                    /* ever */
    u32  next_decoded;                  /* all rows before have become what they become */
    u64  power_cuts;                    /* counted at the last whole pass */
    bool whole_due;
    u64  looks, blind;                  /* looks into the store; and those that saw nothing */

    /* what readers saw */
    struct door_reader uplinks, changes;
    u32  next_row;                      /* to be delivered */
    u64  reconnects_uplinks, reconnects_changes;
    i64  change_last;

    /* does it answer? */
    u32  life;
    struct mono life_began, looked_at;
    bool first_ack;
    u64  refused_full;
    i64  first_ack_us_max;
    struct mono full_at;                /* when the disk last had no room */

    /* for the record, nothing is broken by them */
    u64 overlaps, displaced, unlistened;
};

struct judge *judge_here(void);
struct moment moment_now(void);
bool is_full_since(struct mono at);                               /* was the disk full, then or later? */
#define list_add(list) judge_grow((void **)&(list)->p, &(list)->n, &(list)->room, sizeof *(list)->p)
void *judge_grow(void **p, u32 *n, u32 *room, size_t size);      /* room for one more, zeroed */
struct speaker  *speaker_of(u32 device);
struct listener *listener_of(u32 gateway);
struct str judge_who(u32 device);                                /* its name and EUI; in the scratch */
struct str judge_what(const struct said *s);
u64  counter_key(u32 talk, u32 fcnt);
u64  plain_hash(u32 flags, struct bytes fopts, struct bytes payload);

/* judge_store.c */
bool store_open(void);                                           /* false: it cannot be read now */
void store_close(void);
bool store_read(void);                                           /* rows that are new */
struct row *row_of(i64 id);
enum seen { SEEN_NOT, SEEN, SEEN_BLIND };
enum seen store_has_nonce(u32 device, u16 nonce);
enum seen store_has_device(u32 device);
enum seen store_session(u32 device, u32 devaddr, i64 *down_reserved, u32 *others_wait);
i64  store_count_downlinks(u32 device, i64 fcnt);                /* fcnt -1: join-accepts; -1: blind */
i64  store_join_nonce(u32 device);

/* judge_down.c */
void down_pull_resp(u32 gateway, u16 token, struct bytes json);
void down_owed(u32 said);                                        /* acknowledged: a join, or a confirmed frame */
void down_overdue(void);
void down_refused(u32 gateway, u16 token, struct str json);      /* its gateway says so, */
void down_moves(u32 gateway, u16 token, struct str json);        /* and the daemon hears it */

/* judge_seen.c */
void seen_begin(void);
void seen_overdue(void);                                         /* what was stored long ago and not delivered */
void seen_text(const char *where, struct str text);              /* no tracker's place may stand there */
void seen_disk(void);

#endif
