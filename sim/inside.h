/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_SIM_INSIDE_H
#define HOTARU_SIM_INSIDE_H

/*
 * What the files of sim/ share. The world stands in sim/world.h. Time here is real: radio and
 * daemon know no acceleration. Everything that will happen is an entry of one heap, carried out in
 * order and *at its own nominal time*: a busy machine delays datagrams but never bends the radio.
 */
#include "lora/lora.h"
#include "sim/world.h"
#include "sys/sys.h"

struct sim;

/* ------------------------------------------------------------------ what happens next */
enum event_kind {
    EVENT_DEVICE_SEND,          /* who: device; gen must match */
    EVENT_DEVICE_CLOSE,         /* its receive windows are over */
    EVENT_FLIGHT_END,           /* who: flight */
    EVENT_GATEWAY_PULL, EVENT_GATEWAY_STAT, EVENT_GATEWAY_FLUSH,
    EVENT_GATEWAY_TAKE,         /* who: parcel: a PULL_RESP has come through the backhaul */
    EVENT_GATEWAY_EMIT,         /* who: parcel: its time has come */
    EVENT_GATEWAY_SILENCE, EVENT_NOISE, EVENT_CHANGES, EVENT_REPORT
};
struct event { struct mono at; u64 order; u32 kind, who, gen; };
struct agenda { struct event *heap; u32 n, room; u64 order; };
void sim_agenda_put(struct agenda *a, struct mono at, enum event_kind kind, u32 who, u32 gen);
/* the next that is due */
bool sim_agenda_take(struct agenda *a, struct event *out, struct mono now);
bool sim_agenda_next(const struct agenda *a, struct mono *at);

/* ------------------------------------------------------------------ the city */
struct site { struct str name; struct place at; i32 altitude_m; bool elementary; };
struct reach { struct str river; struct place *at; u32 n; double km; };
struct city {
    struct place *outline; u32 outline_n;
    struct site  *sites;   u32 sites_n;     /* schools first, then district centres */
    struct reach *rivers;  u32 rivers_n;
};
/* From data/city inside the binary. */
enum err sim_city_read(struct city *out, struct arena *boot);
bool     sim_city_holds(const struct city *c, struct place p);
struct place sim_reach_at(const struct reach *r, double km);

/* ------------------------------------------------------------------ device */
enum device_kind {
    KIND_RIVER, KIND_SNOW, KIND_WEATHER, KIND_PARKING, KIND_PADDY, KIND_TRACKER, KINDS
};
enum oddity { ODD_NOT, ODD_WRONG_KEY, ODD_NEVER, ODD_FALLS_SILENT };

enum { CHANNELS_MAX = 16 };
struct channel { u32 hz, down_hz; u8 dr_min, dr_max; bool on; };    /* hz 0: no such channel */

/* The part of a device that survives a power cut; written to the state folder as it stands. */
struct kept {
    u64 dev_eui;
    u8  app_key[16], nwk_s_key[16], app_s_key[16];
    u32 devaddr, fcnt_up, fcnt_down;        /* the next up; the least acceptable down */
    u32 rx2_hz;
    u16 dev_nonce;                          /* the last one spent, where they count */
    u8  joined, rx1_delay_s, rx1_dr_offset, rx2_dr;
    u8  dwell_up, dwell_down, eirp_index, dr, power, nb_trans, duty, filled[3];
    struct channel channels[CHANNELS_MAX];
};

enum device_state { DEVICE_IDLE, DEVICE_SENDING, DEVICE_WINDOWS };
struct window { struct mono at; u32 hz; u8 dr; };

struct device {
    /* what it is */
    u32 index;
    enum device_kind kind;
    enum oddity odd;
    struct str  name;
    struct place at;
    double antenna_db;                      /* mast and antenna, so that remote gauges are heard */
    bool   nonce_random, weak_battery;
    u8     dr_installed;                    /* what the fitter found to work here */
    u64    salt;
    struct gauge gauge;
    struct pump  pump;
    struct child child;

    /* LoRaWAN */
    struct kept kept;
    struct lora_key app_key, nwk_s_key, app_s_key;
    enum device_state state;
    u32  gen;                               /* of its pending EVENT_DEVICE_SEND */
    u8   air[LORA_AIR_MAX];                 /* the frame on its way, for repetitions */
    u8   air_n, tries, tries_max;
    bool confirmed, awaits_ack, joining, ack_owed, check_link, ask_time;
    u16  adr_ack_count;
    u32  joins_failed, acks_failed;
    u8   sticky[16], once[16];    /* MAC answers: until a downlink comes; in the next uplink */
    u8   sticky_n, once_n;
    struct window rx1, rx2;
    u32  up_hz;                             /* of the last uplink */
    u8   up_dr;
    u32  hearing, close_gen;                /* the flight it has locked on to, + 1 */
    i16  snr_cb;                            /* of the last downlink */

    /* readings */
    struct mono due, sent_at;
    u64  sent_mark;                         /* what the last uplink said, for sending on change */
    enum pump_order order;
    bool order_wanted;                      /* what its own control wanted when the order came */
    bool more;                              /* a reading waits behind MAC answers */
};

/* Fills everything but keys. */
void sim_device_boot(struct device *d);    /* region defaults, no session */
void sim_device_keys(struct device *d);    /* expands what is kept */
bool sim_device_join_request(struct device *d, struct buf *out, struct chance *chance);
/* Builds the next data frame around that reading (none: n 0). False: nothing to send yet. */
bool sim_device_uplink(struct device *d, struct buf *out, struct bytes reading);
int  sim_device_room(const struct device *d);    /* bytes of payload it may send now */
enum heard { HEARD_NOT_MINE, HEARD_JOINED, HEARD_DATA };
/* A downlink in one of its windows. A payload above port 0 is put into `room`, *port says which. */
enum heard sim_device_heard(struct device *d, struct bytes phy, i16 snr_cb, u8 room[LORA_AIR_MAX],
                            struct bytes *payload, i16 *port);
bool sim_device_channel(const struct device *d, struct chance *chance, u32 *hz, u32 *down_hz);
void sim_device_windows(struct device *d, struct mono sent, u32 down_hz);
double sim_device_eirp_dbm(const struct device *d);
/* Carries out MAC commands; puts answers into sticky and once. */
void sim_commands_obey(struct device *d, struct bytes commands);
const struct lora_region *sim_region(void);

/* ------------------------------------------------------------ readings as bytes (payload.c) */
enum { READING_PORT = 2, ORDER_PORT = 10, READING_MAX = 24 };
/* World seconds, and real seconds for the children. */
void sim_payload_build(struct buf *out, struct device *d, const struct world *w, double t_s,
                       double real_s, int room);
/* Two marks differ when a device would send on its own account. */
u64  sim_payload_mark(struct device *d, const struct world *w, double t_s);
/* How often it sends, in real seconds. */
double sim_payload_interval_s(const struct device *d, double scale, double real_s);
void sim_payload_order(struct device *d, const struct world *w, double t_s, struct bytes payload);
extern const char *const sim_profiles[KINDS];

/* ------------------------------------------------------------------ radio */
/* gain of the path, < 0 */
double sim_radio_dbm(u64 seed, struct place a, u64 who_a, struct place b, u64 who_b);
double sim_radio_noise_dbm(void);
/* Is the first understood while the second is on the same channel and spreading factor? */
bool   sim_radio_captures(double wanted_dbm, double other_dbm);

/* ------------------------------------------------------------------ a gateway's queue (jit.c) */
enum { JIT_ITEMS = 32, JIT_LEAD_US = 30000 + 1500 + 1000 };
enum jit_answer { JIT_OK, JIT_TOO_LATE, JIT_TOO_EARLY, JIT_COLLISION, JIT_FULL };
struct jit_item { u32 tmst, airtime_us, parcel; };
struct jit { struct jit_item item[JIT_ITEMS]; u32 n; };
enum jit_answer sim_jit_offer(struct jit *j, u32 now_tmst, struct jit_item item);
bool sim_jit_take(struct jit *j, u32 parcel);               /* when it is on the air */
const char *sim_jit_words(enum jit_answer answer);          /* as TX_ACK spells it */

/* ------------------------------------------------------------------ gateway */
enum { RX_QUEUE = 16, TOKENS = 64 };
struct reception {
    u8  phy[LORA_AIR_MAX], n, dr;
    i8  stat;
    u32 tmst, hz;
    i16 rssi_dbm, snr_cb;
    struct mono at;                         /* when the backhaul has carried it */
};
struct gateway {
    u32  index;
    u64  eui;
    struct str name;
    struct place at;
    i32  altitude_m;
    bool never, gps;
    double ppm;                             /* its clock against ours */
    u32  tmst_start;
    i64  backhaul_us;
    int  push_fd, pull_fd;
    struct jit jit;
    struct mono silent_until;
    struct reception rx[RX_QUEUE];
    u32  rx_n, rxnb, rxok, rxfw, dwnb, txnb, pushed, acked;
    u16  tokens[TOKENS];                    /* of the last datagrams, 0 when answered */
};
u32 sim_gateway_tmst(const struct gateway *g, struct mono start, struct mono at);
struct mono sim_gateway_mono(const struct gateway *g, struct mono start, struct mono now, u32 tmst);
/* What it has heard and its backhaul has carried by now, as JSON; empty when that is nothing. */
struct str sim_gateway_rxpk(struct gateway *g, struct arena *a, struct mono now, struct wall clock);
struct str sim_gateway_stat(struct gateway *g, struct arena *a, struct wall now);

/* A downlink on its way from PULL_RESP to the antenna. */
struct parcel {
    bool used, imme;
    u32  gateway, tmst, hz, airtime_us;
    u16  token;
    u8   sf, dr, n, phy[LORA_AIR_MAX];
    double dbm;
};
/* NULL when fine, else the TX_ACK error. */
const char *sim_parcel_read(struct parcel *out, struct bytes json, struct arena *a);

/* ------------------------------------------------------------------ what is on the air (air.c) */
enum { FLIGHTS = 1024, PARCELS = 512 };
struct flight {
    bool used, up;
    u32  who, hz;                           /* device or gateway */
    u8   dr, sf, n, phy[LORA_AIR_MAX];
    struct mono start, end;
    double dbm;                             /* radiated */
    struct place at;
};

struct tally {
    u64 joins, uplinks, heard, copies, collided, weak, deaf, lost, corrupt, downlinks, emitted,
        missed, refused, too_late, pushed, acked, resent;
};

struct options {
    const char *state, *udp, *http, *token_file;
    double speed, interval_scale;
    u64    seed;
    u32    gateways, devices;
    u32    more;                /* room for so many more of each, which a scene puts where it wants */
    enum scene scene;
    bool   enrol;
    bool   steady;              /* no gateway falls silent by chance */
};

struct sim {
    struct options options;
    struct arena   boot, event;
    struct city    city;
    struct world   world;
    struct chance  chance;
    struct agenda  agenda;
    struct gateway *gateways; u32 gateways_n;
    struct device  *devices;  u32 devices_n;
    struct flight  flights[FLIGHTS]; u32 flights_n;      /* so many were ever used */
    struct parcel  parcels[PARCELS];
    struct tally   tally, told;             /* now; at the last report */
    struct loop   *loop;
    struct loop_timer *timer;
    struct address server;
    int            keep_fd;
    struct mono    started, told_at;
    void (*launched)(void *of, const struct flight *f);   /* who wants to know what goes on the air, or NULL */
    void *launched_of;
    void (*emitted)(u32 gateway, const struct parcel *p, struct mono at);   /* a gateway puts it on the air; or NULL */
};

void sim_place_gateways(struct sim *s);
void sim_place_devices(struct sim *s);
struct gateway *sim_place_gateway(struct sim *s, struct str name, struct place at);
struct device  *sim_place_device(struct sim *s, struct str name, enum device_kind kind, struct place at);
bool sim_air_launch(struct sim *s, const struct flight *f);    /* false: no room on the air */
/* carrier sense */
bool sim_air_busy(const struct sim *s, const struct device *d, u32 hz, struct mono now);
void sim_air_land(struct sim *s, u32 flight);                             /* EVENT_FLIGHT_END */
void sim_air_noise(struct sim *s, struct mono now);
void sim_turn_device(struct sim *s, const struct event *e);    /* turn.c: a device's turn */
void sim_turn_heard(struct sim *s, struct device *d, const struct flight *f, double dbm,
                    struct mono now);
void sim_turn_changes(struct sim *s, struct mono now);
void sim_turn_send_at(struct sim *s, struct device *d, struct mono at);
void sim_run_due(struct sim *s);    /* carries out what is due, sets the timer */
#define REPORT_EVERY_US (10 * US_PER_S)
void sim_carry_out(struct sim *s, const struct event *e);      /* run.c: one entry of the agenda */
void sim_switch_on(struct sim *s);    /* puts the first entries of devices and sky on the agenda */
void sim_report(struct sim *s, struct mono now);
void sim_door_open(struct sim *s);    /* sockets and first entries of all gateways */
/* a datagram has come back to that gateway's socket */
void sim_door_receive(struct sim *s, struct gateway *g, bool pull, struct bytes datagram,
                      struct mono now);
/* socket.c: where the daemon listens, as its own setting says it: 0.0.0.0 is this machine. */
bool sim_door_server(struct address *out, struct str text);
void sim_socket_open(struct sim *s, struct gateway *g);
void sim_socket_send(struct sim *s, const struct gateway *g, bool pull, struct bytes datagram);
void sim_door_turn(struct sim *s, const struct event *e);                 /* a gateway's turn */
void sim_door_heard(struct sim *s, struct gateway *g, const struct reception *r);
static inline bool sim_gateway_works(const struct gateway *g, struct mono now)
{
    return !g->never && !mono_before(now, g->silent_until);
}

/* ------------------------------------------------------------------ state and enrolment */
void sim_keep_open(struct sim *s);    /* reads or makes keys and sessions */
void sim_keep_write(struct sim *s, const struct device *d);
struct str sim_enrol_gateways(const struct sim *s, struct arena *a);      /* CSV */
struct str sim_enrol_devices(const struct sim *s, struct arena *a);
void sim_enrol(struct sim *s);    /* files, and the daemon by HTTP */
/* One request; the answer's status, or -1 with *body saying why. */
int  sim_http(struct str url, const char *method, struct str path, struct str token,
              struct str content, struct arena *a, struct str *body);
bool sim_http_url(struct str url, struct str *host, struct str *port, struct str *path);
int  sim_http_connect(struct str host, struct str port, struct arena *a); /* a socket, or -1 */

/* ------------------------------------------------------------------ load */
int sim_load_main(int argc, char **argv);
/* Latencies from 1 µs to an hour in 64 steps an octave, as an HDR histogram keeps them. */
enum { SPREAD_STEPS = 64, SPREAD_BUCKETS = 64 * 34 };
struct spread { u64 count[SPREAD_BUCKETS], n; i64 max; };
void sim_spread_add(struct spread *s, i64 us);
i64  sim_spread_at(const struct spread *s, double share);
/* watch.c: the stream of stored uplinks; runs in a thread of its own. */
struct watch {
    const char *url, *token_file;
    u64 devices, fcnt_base, total, warm;    /* the first `warm` uplinks are not counted */
    const i64 *first_sent_us;               /* of each unique uplink; 0: not yet */
    struct spread spread;
    u64 seen;
    bool stop, connected;
};
void *sim_watch_run(void *watch);

#endif
