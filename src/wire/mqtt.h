/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_WIRE_MQTT_H
#define HOTARU_WIRE_MQTT_H

/*
 * wire/mqtt: packets of MQTT 3.1.1 (OASIS standard, 2014) as a client needs them.
 *
 *     | 1            | 1..4             | …                       |  bytes
 *     | kind | flags | remaining length | as the kind has it      |
 *
 * Pure: bytes in, structs out, and back. What is read borrows the bytes.
 */
#include "base/base.h"

enum mqtt_kind {
    MQTT_CONNECT = 1, MQTT_CONNACK, MQTT_PUBLISH, MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL, MQTT_PUBCOMP, MQTT_SUBSCRIBE,
    MQTT_SUBACK, MQTT_UNSUBSCRIBE, MQTT_UNSUBACK, MQTT_PINGREQ, MQTT_PINGRESP, MQTT_DISCONNECT
};

struct mqtt_packet {
    u8   kind;
    bool dup, retain;                  /* PUBLISH */
    u8   qos;
    u16  id;                           /* PUBACK, SUBACK, PUBLISH above QoS 0; never 0 there */
    struct str topic;
    struct bytes payload;              /* PUBLISH; SUBACK: one byte for each filter */
    bool session;                      /* CONNACK: the broker kept ours */
    u8   code;                         /* CONNACK: 0 is welcome */
    bool cut;                          /* a PUBLISH above the limit: its payload is not here … */
    u64  skip;                         /* … and this much of it comes behind `size` */
    size_t size;                       /* bytes of the input that it took */
};

enum mqtt_says { MQTT_PACKET, MQTT_MORE, MQTT_FAULT };
/* The first packet of `have`, as a broker sends them. A PUBLISH whose payload is above `payload_max` is given without it;
 * anything else above 256 bytes is a fault, as is what no broker may send. *why in words for MQTT_FAULT. */
enum mqtt_says mqtt_read(struct mqtt_packet *out, struct bytes have, size_t payload_max, const char **why);

#define MQTT_HEAD_MAX 5
#define MQTT_TOPIC_MAX 1024            /* a longer one is a fault */

/* All packets of a client. What does not fit sets b->bad and leaves b->n as it was. */
struct mqtt_connect { struct str client, user, password; bool has_user; u16 keep_alive_s; };
void mqtt_connect_write(struct buf *b, const struct mqtt_connect *connect);         /* keeps the session (clean_session 0) */
void mqtt_publish_write(struct buf *b, struct str topic, struct bytes payload);     /* QoS 0, not retained */
void mqtt_puback_write(struct buf *b, u16 id);
void mqtt_subscribe_write(struct buf *b, u16 id, const struct str *filters, size_t n);   /* QoS 1 at most */
void mqtt_short_write(struct buf *b, enum mqtt_kind kind);                          /* PINGREQ, DISCONNECT */

/* Why a broker does not let us in. Never NULL. */
const char *mqtt_code_words(u8 code);

#endif
