/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_BOX_H
#define HOTARU_BOX_H

/*
 * box: the city in a box. The daemon as it is (serve.c, the stages, the gateways' door, the pages)
 * and the simulated city in one process and one thread, under a clock that jumps to the next event.
 * The box is the second body of sys/ and of the doors that are libraries (HTTP, the codec child);
 * everything else is linked unchanged (docs/adr/0012).
 *
 *     time.c    clocks, chance, the loop, timers; what happens next
 *     disk.c    files, and SQLite's own view of them: slow, full, failing, forgetful at a power cut
 *     net.c     datagrams between gateways and the daemon: lost, twice, late, out of order
 *     door.c    HTTP: requests of the city's people, streams with readers that hang
 *     codec.c   the codec child: answers late, dies, is full
 *     life.c    the daemon's lives: start, crash at a boundary, power cut, restart by a supervisor
 *     city.c    a city from a seed: what is built, what goes wrong and when
 *     judge.c   the observer: what was promised, and whether it was kept
 *     scene.c   a city from a text that the river desk can read
 *     replay.c  what a real daemon heard, again
 *     main.c    the command: seeds, scenes, hours, the table at the end
 *
 * One process holds one box (the operating system is one too), so what stands for the operating
 * system finds it by box_here(). A failing city ends with the line that replays it.
 *
 * Who runs: box_step() takes the earliest of the city's agenda and the box's own, moves the clock
 * there and carries it out. serve() is called for each life; its loop_run() is box_step() again and
 * again until the daemon stops, dies or time is over.
 *
 * Dying: everything the daemon does to the outside (a write, a sync, a datagram, an HTTP answer) is
 * a boundary. A crash is planned as "at the n-th boundary from now". From that moment `dead` stands:
 * the disk refuses everything with an I/O error and keeps nothing, datagrams and answers vanish.
 * serve() then runs to its end in vain, its memory is given back in order, and disk_settle() makes
 * the disk what the cut left: all (the process died) or what was synced, more or less (the power).
 */
#include "main/daemon.h"
#include "sim/inside.h"

struct box;
struct box *box_here(void);

/* ------------------------------------------------------------------ time.c */

typedef void box_call(void *arg, i64 number);
struct box_entry { struct mono at; u64 order; u32 life; box_call *call; void *arg; i64 number; };

/* Puts a call on the box's agenda. `life`: BOX_ALWAYS, or the life it belongs to: dropped when that has ended. */
#define BOX_ALWAYS 0
void box_at(struct mono at, u32 life, box_call *call, void *arg, i64 number);
/* The earliest entry of either agenda; false: nothing is left or time is over. */
bool box_step(void);
/* The daemon waits (a slow disk): the clock moves, whatever is due meanwhile comes late. */
void box_wait(i64 us);
/* Sets the agenda, clocks and chance to their beginnings. */
void box_time_begin(struct box *b);
/* The loop of a life that has ended. Gives back all loops, timers, watches and wakes. */
void box_loop_end(void);
void box_loop_signal(void);              /* SIGTERM */
/* Wakes the daemon's watch on that descriptor (a number of the box's own making) at that time. */
void box_readable(int fd, struct mono at);

/* ------------------------------------------------------------------ chance: one stream for each part, so
 * that a change in one does not change the others. */
enum stream { CHANCE_TIME, CHANCE_DISK, CHANCE_NET, CHANCE_DOOR, CHANCE_CODEC, CHANCE_CITY, CHANCE_SYS, CHANCES };
struct chance *box_chance(enum stream stream);
bool box_happens(enum stream stream, double probability);

/* ------------------------------------------------------------------ log: every line carries the virtual time;
 * its hash is the run's identity. Texts only, no pointers, no real time. */
void box_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A broken promise: prints it with the city's name and the line that replays it; the run fails. `rule`: "R1". */
void box_broken(const char *rule, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ------------------------------------------------------------------ life.c */
enum boundary { BOUNDARY_WRITE, BOUNDARY_SYNC, BOUNDARY_DATAGRAM, BOUNDARY_ANSWER, BOUNDARIES };
/* Called before the deed. False: the daemon is dead, the deed does not happen. */
bool box_boundary(enum boundary kind);
enum cut { CUT_PROCESS, CUT_POWER_LOSE, CUT_POWER_REORDER, CUT_POWER_TEAR, CUTS };
/* The daemon dies at the n-th boundary from now (1: the next), and comes back after `down_us`. */
void box_cut_at(u32 boundaries, enum cut cut, i64 down_us);
void box_stop_in_order(i64 down_us);                    /* as SIGTERM does */
/* Runs lives and the time between them until the clock stands at `end`. */
void box_live_until(struct mono end);

/* ------------------------------------------------------------------ disk.c */
/* Files of /data; also registers the VFS "box" as SQLite's default. */
void disk_begin(struct box *b);
/* After a life: what the cut left. Locks are free, no file is open. */
void disk_settle(enum cut cut);
struct disk_faults {
    i64 room_bytes;             /* capacity of the whole disk */
    i64 sync_us, sync_slow_us;  /* a sync takes so long; and so long with sync_slow probability */
    double sync_slow;
    i64 fail_sync_in, fail_write_in;   /* the n-th from now fails with an I/O error, once; 0: none */
    i64 full_write_in;          /* the n-th from now finds no room, once: what took it is gone again */
};
struct disk_faults *disk_faults(void);
i64  disk_used_bytes(void);
/* Flips one bit of what rests on the disk in that file (NULL: any but the log); *where says which, for the log. */
void disk_rot(const char *path, struct str *where, struct arena *arena);
struct disk_counts { u64 writes, syncs, bytes, refused_full, failed, lost_writes, torn; };
struct disk_counts disk_counts(void);

/* ------------------------------------------------------------------ net.c */
/* The way between one gateway and the daemon. */
struct path {
    double loss, twice, reorder;       /* of datagrams, each direction */
    i64    delay_us, jitter_us;
    struct mono cut_until;             /* nothing passes before; keeps: the gateway holds its frames back meanwhile */
    bool   keeps;
};
void net_begin(struct box *b, u32 gateways);
struct path *net_path(u32 gateway);
/* The daemon's sockets are gone with it. */
void net_end_life(void);
/* Garbage from an address that is no gateway's (R19), or replayed bytes. */
void net_inject(struct address from, struct bytes datagram, struct mono at);
struct net_counts { u64 up, down, lost, twice, late, unheard; };
struct net_counts net_counts(void);

/* ------------------------------------------------------------------ door.c */
typedef void door_answered(void *arg, int status, struct str body);   /* status 0: the daemon died before it answered */
/* A request to the living daemon (or status 0 at once). Path with its query. Reads are answered at once,
 * writes after their commit. Texts are copied. */
void door_ask(const char *method, struct str path, struct str type, struct bytes body, door_answered *answered, void *arg);
/* A reader of a stream that comes back after each start, from where it was. `hangs_until`: takes nothing before. */
struct door_reader {
    struct str path;                   /* "/v1/stream?kind=uplink&since=0" */
    void (*event)(void *arg, i64 id, struct str data);
    void *arg;
    i64   last;
    struct mono hangs_until;
    u64   events, reconnects;
};
void door_read_always(struct door_reader *reader);
void door_end_life(void);

/* ------------------------------------------------------------------ codec.c */
struct codec_faults { i64 answer_us, slow_us; double slow, dies, full; };
struct codec_faults *codec_faults(void);
void codec_end_life(void);

/* ------------------------------------------------------------------ judge.c */
void judge_begin(struct box *b);
/* Taps. A frame of a device goes on the air; a datagram leaves a gateway; one leaves the daemon (it is not dead). */
void judge_launched(void *box, const struct flight *f);
void judge_up(u32 gateway, bool pull, struct bytes datagram);
/* It has come to the living daemon's socket. */
void judge_arrived(u32 gateway, struct bytes datagram);
void judge_down(u32 gateway, struct bytes datagram);
/* A gateway puts a downlink on the air. */
void judge_emitted(u32 gateway, const struct parcel *p, struct mono at);
/* What devices ever sent, in that order: for thieves with a radio. */
u32 judge_frames(void);
struct bytes judge_frame(u32 number);
/* After each step: what is cheap. At ends of lives, now and then, and at the end: the whole store. */
void judge_step(void);
void judge_whole(void);
/* A life ends: the judge's own look into the store ends with it. Before disk_settle. */
void judge_end_life(void);
/* Near the end, the city rests and the daemon lives: everything must be in its place. Called by the agenda. */
void judge_rest(void *arg, i64 number);
/* Device power cuts, key changes: sessions the judge shall expect no more. */
struct judge_table { u64 acknowledged, stored, delivered, duplicated, reused, repeated_nonces, late_downlinks, downlinks, joins; };
struct judge_table judge_table(void);

/* ------------------------------------------------------------------ city.c, scene.c */
struct plan {
    const char *name;           /* "seed 7", or the scene's file */
    u64    seed;
    double hours;
    u32    gateways, devices;
    double interval_scale;      /* real interval / interval of the profile */
    bool   faults;              /* things go wrong by chance */
    double speed;               /* of the world */
    struct str scene;           /* a scene's text, or empty */
    struct arena *arena;
};
/* Builds s->gateways, s->devices and their keys from the plan's seed, enrols them by HTTP, plans its faults. */
void city_begin(struct box *b);
/* Reads a scene; ERR_INVALID with words that name the line. Instead of city_begin for scenes. */
enum err scene_read(struct box *b, struct str text, struct str *why);
bool scene_given(void);
u32  scene_more(void);                 /* gateways or devices beside the plan's numbers */
void scene_place(struct box *b);       /* puts them where they stand, before keys are made */
void scene_switched_on(struct box *b); /* time 0 of the scene */
void scene_words(struct text *t);      /* the table of sentences, for people */
extern u64 scene_held;                 /* expectations that held */

/* ------------------------------------------------------------------ replay.c */
bool replay_given(void);
/* Runs what was captured in that folder of the real machine, instead of a city. False with words. */
bool replay_run(struct box *b, struct str folder, struct str *why);
/* For codec.c: what the script answered then. For net.c: a datagram to an address that is no simulated gateway's. */
bool replay_answer(u64 id, struct str *result, u8 *refusal);
void replay_sent(struct address to, struct bytes datagram);
/* For time.c: the draw of then. */
bool replay_chance(u8 *out, size_t n);
/* main.c: a file of the real machine. */
bool replay_host_read(struct bytes *out, const char *path, struct arena *arena);

/* ------------------------------------------------------------------ the box */
struct box {
    struct plan  plan;
    struct sim   sim;
    struct settings settings;
    struct arena boot;          /* lives as long as the box */
    struct arena life_boot;     /* of serve(), one life */
    struct chance chance[CHANCES];
    struct mono  now, end;
    i64    waited_us;           /* so long the daemon has waited for its disk, ever */
    i64    wall_offset_us;      /* true time = now + wall_begin; the daemon's clock is off by this much */
    struct wall  wall_begin;
    u32    life;                /* 1, 2, …; 0: none yet */
    bool   alive, dead, over;   /* serve() runs; it has been cut; time is over */
    bool   stopping;            /* it was told to stop */
    bool   outside;             /* the city's agenda is being carried out: clocks are the city's */
    bool   quiet;               /* the city rests: only the daemon and what is on its way go on */
    u32    cut_in;              /* boundaries until the cut; 0: none is planned */
    enum cut cut;
    i64    down_us;             /* how long until the next start */
    u64    broken;              /* promises */
    u64    lines, hash;         /* of the log */
    bool   verbose;
    u64    starts, cuts[CUTS], exits_75, stops, boundaries[BOUNDARIES];
};

#endif
