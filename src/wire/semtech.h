/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_WIRE_SEMTECH_H
#define HOTARU_WIRE_SEMTECH_H

/*
 * wire/semtech: the gateway protocol of Semtech's packet forwarder (PROTOCOL v1.6), versions 1 and 2.
 *
 *     | 1       | 2     | 1    | 8    | rest |  bytes
 *     | version | token | kind | EUI  | JSON |     EUI and JSON where the kind has them
 *
 * Pure: bytes and JSON in, structs out, and back. What is received borrows the datagram or the arena.
 */
#include "base/base.h"
#include "wire/json.h"

enum semtech_kind {
    SEMTECH_PUSH_DATA = 0, SEMTECH_PUSH_ACK = 1, SEMTECH_PULL_DATA = 2, SEMTECH_PULL_RESP = 3, SEMTECH_PULL_ACK = 4,
    SEMTECH_TX_ACK = 5
};

enum semtech_fault {
    SEMTECH_FINE, SEMTECH_SHORT, SEMTECH_VERSION, SEMTECH_KIND, SEMTECH_FIELD, SEMTECH_BASE64, SEMTECH_SIZE,
    SEMTECH_MODULATION, SEMTECH_LONG
};

struct semtech_message {
    u8  version, kind;
    u16 token;
    u64 eui;
    struct str json;         /* empty where there is none */
};

/* A message from a gateway. The EUI is read before the JSON is touched. */
enum semtech_fault semtech_parse(struct semtech_message *out, struct bytes datagram);
/* PUSH_ACK or PULL_ACK: four bytes, never longer than what it answers. */
struct bytes semtech_ack(u8 out[4], const struct semtech_message *of);

#define SEMTECH_RXPK_MAX 255     /* in one datagram; sx1302_hal sends no more */
#define SEMTECH_PHY_MAX  255     /* bytes of a LoRa frame */

enum semtech_crc { SEMTECH_CRC_BAD = -1, SEMTECH_CRC_NONE = 0, SEMTECH_CRC_OK = 1 };

struct semtech_rx {
    u32 tmst_us;             /* concentrator's clock; wraps every 71.6 min */
    u32 freq_hz, bw_hz, bitrate;
    i64 gateway_us;          /* since 1970, or 0: the gateway has no time */
    i16 rssi_dbm, snr_cb;
    i8  crc;                 /* enum semtech_crc */
    u8  sf;                  /* 0: FSK with `bitrate` */
    u8  antenna, rf_chain;
    struct bytes phy;
};

/* One object of rxpk[]. The bytes of the frame are decoded into `arena`. */
enum semtech_fault semtech_rx_read(struct semtech_rx *out, const struct json *rxpk, struct arena *arena);

struct semtech_tx {
    u32 tmst_us;
    u32 freq_hz, bw_hz, bitrate;
    i8  power_dbm;
    u8  sf, rf_chain;
    struct bytes phy;
};

/* PULL_RESP: header and {"txpk":…}, in the arena. */
struct bytes semtech_tx_write(const struct semtech_tx *tx, u8 version, u16 token, struct arena *arena);

/* TX_ACK's error: empty when the forwarder took it ("NONE", nothing, or only a warning). False: its
 * JSON cannot be read, and it says neither. */
bool semtech_ack_error(struct str *error, const struct semtech_message *m, struct arena *arena);

#endif
