/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_WIRE_STATION_H
#define HOTARU_WIRE_STATION_H

/*
 * wire/station: what LoRa Basics Station says to its network server and is told (LNS protocol 2, JSON over
 * WebSocket). Pure: text in, structs out, and back. What is read borrows the text or the arena.
 *
 * Station takes a frame apart before it sends it, so its bytes are put together again here, exactly: the MIC covers
 * them. EUIs stand as "70-B3-…" with the most significant byte first, DevAddr and MIC as signed 32-bit integers.
 * An xtime is 64 bits (radio unit, radio session, microseconds) and goes back unchanged: a parser that reads numbers
 * as doubles loses it in seven starts of eight.
 */
#include "base/base.h"
#include "wire/json.h"

#define STATION_PHY_MAX 255
#define STATION_DRS     16

enum station_kind {
    STATION_VERSION, STATION_FRAME, STATION_SENT, STATION_TIME, STATION_NOTE,
    STATION_OTHER            /* a kind that we did not ask for, or do not know */
};
enum station_fault { STATION_FINE, STATION_JSON, STATION_FIELD, STATION_LONG };

/* A frame and how it was heard: jreq, updf, propdf. */
struct station_frame {
    struct bytes phy;
    u8  dr;
    u32 freq_hz;
    i64 xtime, rctx;
    i64 gps_us;              /* GPS time of the end of the frame, or 0 */
    i64 utc_us;              /* Station's own clock when it passed the frame on, or 0 */
    i16 rssi_dbm, snr_cb;
};
struct station_version { struct str station, firmware, package, model, features; i64 protocol; };
/* dntxed: it has left the antenna. There is no message for one that has not. */
struct station_sent { i64 diid, xtime; };
/* timesync, as Station asks: its own clock, to be given back as it is. */
struct station_time { i64 txtime_us; };

struct station_message {
    enum station_kind kind;
    struct str name;         /* msgtype */
    union {
        struct station_frame frame;
        struct station_version version;
        struct station_sent sent;
        struct station_time time;
        struct str note;     /* event, alarm: the whole text */
    };
};
enum station_fault station_read(struct station_message *out, struct str text, struct arena *arena);

/* EUIs: 16 hex digits, with or without dashes or colons between bytes; ID6 ("::aa1", "1:2::3"); a JSON integer. */
bool station_eui_read(u64 *eui, struct str text);
struct str station_eui_str(struct arena *arena, u64 eui);         /* "70-B3-D5-7E-D0-00-00-01" */

/* ------------------------------------------------------------------ discovery */

/* The first message at /router-info. */
enum station_fault station_ask_read(u64 *eui, struct str text, struct arena *arena);
/* The answer: where to connect, or why not. A uri of more than STATION_URI_MAX characters is not understood. */
#define STATION_URI_MAX 127
struct str station_answer_uri(u64 eui, struct str uri, struct arena *arena);
struct str station_answer_error(u64 eui, struct str words, struct arena *arena);

/* ------------------------------------------------------------------ router_config */

struct station_dr { i8 sf; u16 bw_khz; bool down_only; };          /* sf 0: FSK; -1: not used */
struct station_channel { u32 hz; u8 dr_min, dr_max; u16 bw_khz; };
#define STATION_CHANNELS 64
struct station_config {
    struct str region;                 /* as station_region says */
    struct str model;                  /* decides between sx1301_conf and sx1302_conf */
    u32 min_hz, max_hz;
    i16 eirp_dbm;
    struct station_dr dr[STATION_DRS];
    struct station_channel channel[STATION_CHANNELS]; u32 channels_n;
    i64 now_us;                        /* server's time, for MuxTime */
};
/* The name that this Station understands for a region; of one it does not know it drops every downlink. `as_is`:
 * no name fits, the region's own is sent. */
struct str station_region(struct str region, struct str station, bool *as_is);
struct str station_config_write(const struct station_config *c, struct arena *arena);

/* ------------------------------------------------------------------ downlinks and time */

struct station_window { bool has; u8 dr; u32 hz; };
struct station_down {
    u64 dev_eui;
    i64 diid;
    struct bytes phy;
    u8  rx_delay_s;                    /* until RX1, also where only RX2 is given */
    struct station_window rx1, rx2;
    i64 xtime, rctx;                   /* of the frame that it answers */
    i64 now_us;
};
struct str station_down_write(const struct station_down *d, struct arena *arena);
struct str station_time_write(i64 txtime_us, i64 gps_us, struct arena *arena);

/* Microseconds since 1980-01-06 without leap seconds, and since 1970 with them. */
i64 station_gps_of(i64 utc_us);
i64 station_utc_of(i64 gps_us);

#endif
