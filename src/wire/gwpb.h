/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_WIRE_GWPB_H
#define HOTARU_WIRE_GWPB_H

/*
 * wire/gwpb: what gateways and a network server say to each other over MQTT in ChirpStack's world (package gw of
 * the public chirpstack-api: gateway-bridge 4, mqtt-forwarder, concentratord), as far as we need it. Each message
 * has two forms, protobuf and the JSON of protobuf; which one it is, is told by its first byte. One table for each
 * message is the reader and the writer of both.
 *
 * Pure: bytes in, structs out, and back. What is read borrows the message or the arena. A field that is not there
 * is zero, as proto3 has it; what we do not know is passed over.
 */
#include "base/base.h"

enum gwpb_kind { GWPB_UPLINK, GWPB_DOWNLINK, GWPB_ACK, GWPB_STATS, GWPB_CONN, GWPB_KINDS };

/* One of Modulation's; the number is its field's. */
enum gwpb_modulation { GWPB_NO_MODULATION = 0, GWPB_LORA = 3, GWPB_FSK = 4, GWPB_LR_FHSS = 5 };
enum gwpb_crc { GWPB_CRC_NONE, GWPB_CRC_BAD, GWPB_CRC_OK };
enum { GWPB_CR_4_5 = 1 };
enum { GWPB_AT_ONCE = 1, GWPB_DELAY = 2, GWPB_GPS = 3 };                        /* Timing: the field's number */
enum { GWPB_IGNORED = 0, GWPB_TAKEN = 1, GWPB_STATUSES = 12 };                  /* TxAckStatus */
enum { GWPB_OFFLINE = 0, GWPB_ONLINE = 1 };

struct gwpb_uplink {                   /* UplinkFrame */
    u64 eui;                           /* 0: it names none */
    struct bytes phy, context;
    u32 freq_hz, modulation, bw_hz, sf, bitrate;
    i32 rssi_dbm;
    double snr_db;                     /* may be NaN or infinite: the sender's */
    u32 antenna, board, crc;
    i64 gateway_us;                    /* since 1970; 0: the gateway has no time */
};

#define GWPB_ITEMS_MAX 4
struct gwpb_item {                     /* DownlinkFrameItem */
    struct bytes phy, context;
    u32 freq_hz, modulation, bw_hz, sf, code_rate, deviation_hz, bitrate;
    bool inverted;
    i32 power_dbm;                     /* EIRP */
    u32 board, antenna, timing;
    i64 delay_us;                      /* behind the uplink that `context` stands for */
};
struct gwpb_downlink { u64 eui; u32 id, items_n; struct gwpb_item items[GWPB_ITEMS_MAX]; };

struct gwpb_status { u32 status; };
struct gwpb_ack { u64 eui; u32 id, items_n; struct gwpb_status items[GWPB_ITEMS_MAX]; };     /* DownlinkTxAck */
struct gwpb_stats { u64 eui; i64 gateway_us; u32 received, received_ok, asked, emitted; };   /* GatewayStats */
struct gwpb_conn { u64 eui; u32 state; };                                                    /* ConnState */

struct gwpb {
    enum gwpb_kind kind;
    union {
        struct gwpb_uplink uplink;
        struct gwpb_downlink downlink;
        struct gwpb_ack ack;
        struct gwpb_stats stats;
        struct gwpb_conn conn;
    };
};

#define GWPB_MESSAGE_MAX 16384         /* stats of a busy gateway with all their maps stay below */

bool gwpb_is_json(struct bytes message);
/* ERR_TOO_LARGE: beyond a limit above; ERR_INVALID. */
enum err gwpb_read(struct gwpb *out, enum gwpb_kind kind, struct bytes message, struct arena *arena);
/* Empty: it does not fit into GWPB_MESSAGE_MAX. */
struct bytes gwpb_write(const struct gwpb *of, bool json, struct arena *arena);
/* What a status says, for people: "too late". */
struct str gwpb_status_words(u32 status);

#endif
