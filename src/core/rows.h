/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_ROWS_H
#define HOTARU_ROWS_H

/*
 * Whole rows for a SELECT: every column in the table's order, then the sum over them. `t` is the
 * table's name in the statement with its dot ("u."), or "". The good() functions take the column
 * that the row begins with; false: it is damaged, noted, and not to be used.
 */
#include "db/db.h"

#define DEVICE_ROW(t)  t "tenant, " t "dev_eui, " t "join_eui, " t "name, " t "profile, " t "app_key, " t "nwk_key, "      \
                       t "latitude, " t "longitude, " t "simulated, " t "created_us, " t "sum"
#define GATEWAY_ROW(t) t "tenant, " t "eui, " t "name, " t "latitude, " t "longitude, " t "altitude_m, " t "region, "      \
                       t "simulated, " t "created_us, " t "sum"
#define STATE_ROW(t)   t "tenant, " t "dev_eui, " t "last_uplink, " t "session, " t "fcnt_up, " t "battery_pct, " t "sum"
#define SESSION_ROW(t) t "tenant, " t "dev_eui, " t "id, " t "state, " t "devaddr, " t "f_nwk_s_int_key, "                 \
                       t "s_nwk_s_int_key, " t "nwk_s_enc_key, " t "app_s_key, " t "down_reserved, "                       \
                       t "app_down_reserved, " t "rx1_delay_s, " t "rx1_dr_offset, " t "rx2_dr, " t "rx2_hz, " t "dwell, " \
                       t "sum"
#define UPLINK_ROW(t)  t "tenant, " t "id, " t "dev_eui, " t "session, " t "fcnt, " t "prev, " t "received_us, "           \
                       t "flags, " t "fopts, " t "payload, " t "radio, " t "sum"
#define COPIES_ROW(t)  t "tenant, " t "id, " t "radio, " t "sum"
#define DOWN_ROW(t)    t "tenant, " t "dev_eui, " t "id, " t "kind, " t "state, " t "confirmed, " t "fport, " t "payload, " \
                       t "expires_us, " t "sent_us, " t "fcnt, " t "gateway, " t "mac, " t "reason, " t "sum"
#define REFUSAL_ROW(t) t "tenant, " t "dev_eui, " t "slot, " t "id, " t "word, " t "gateway, " t "detail, " t "sum"
#define ENTITY_ROW(t)  t "tenant, " t "id, " t "type, " t "attributes, " t "last_reading, " t "created_us, "               \
                       t "modified_us, " t "sum"
#define READING_ROW(t) t "tenant, " t "id, " t "entity, " t "prev, " t "uplink, " t "dev_eui, " t "observed_us, "          \
                       t "attributes, " t "sum"
#define SEEN_ROW(t)    t "tenant, " t "eui, " t "last_seen_us, " t "address, " t "sum"
#define HOUR_ROW(t)    t "tenant, " t "eui, " t "hour, " t "rx_ok, " t "rx_bad, " t "rx_air_us, " t "tx, " t "tx_air_us, "  \
                       t "sum"
#define STRANGER_ROW(t) t "tenant, " t "eui, " t "last_seen_us, " t "datagrams, " t "address, " t "sum"

enum { DEVICE_COLUMNS = 11, GATEWAY_COLUMNS = 9, STATE_COLUMNS = 6, SESSION_COLUMNS = 16, UPLINK_COLUMNS = 11,
       COPIES_COLUMNS = 3, DOWN_COLUMNS = 14, REFUSAL_COLUMNS = 7, ENTITY_COLUMNS = 7, READING_COLUMNS = 8,
       SEEN_COLUMNS = 4, HOUR_COLUMNS = 8, STRANGER_COLUMNS = 5 };

static inline bool device_good(struct db_query *q, int at)  { return db_row_good(q, at, DEVICE_COLUMNS, "device", 2); }
static inline bool gateway_good(struct db_query *q, int at) { return db_row_good(q, at, GATEWAY_COLUMNS, "gateway", 2); }
static inline bool state_good(struct db_query *q, int at)   { return db_row_good(q, at, STATE_COLUMNS, "device_state", 2); }
static inline bool session_good(struct db_query *q, int at) { return db_row_good(q, at, SESSION_COLUMNS, "session", 3); }
static inline bool uplink_good(struct db_query *q, int at)  { return db_row_good(q, at, UPLINK_COLUMNS, "uplink", 2); }
static inline bool copies_good(struct db_query *q, int at)  { return db_row_good(q, at, COPIES_COLUMNS, "uplink_copies", 2); }
static inline bool down_good(struct db_query *q, int at)    { return db_row_good(q, at, DOWN_COLUMNS, "downlink", 3); }
static inline bool refusal_good(struct db_query *q, int at) { return db_row_good(q, at, REFUSAL_COLUMNS, "refusal", 3); }
static inline bool entity_good(struct db_query *q, int at)  { return db_row_good(q, at, ENTITY_COLUMNS, "entity", 2); }
static inline bool reading_good(struct db_query *q, int at) { return db_row_good(q, at, READING_COLUMNS, "reading", 2); }
static inline bool seen_good(struct db_query *q, int at)    { return db_row_good(q, at, SEEN_COLUMNS, "gateway_state", 2); }
static inline bool hour_good(struct db_query *q, int at)    { return db_row_good(q, at, HOUR_COLUMNS, "gateway_hour", 3); }
static inline bool stranger_good(struct db_query *q, int at) { return db_row_good(q, at, STRANGER_COLUMNS, "stranger", 2); }

#endif
