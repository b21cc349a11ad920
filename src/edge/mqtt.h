/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_MQTT_H
#define HOTARU_EDGE_MQTT_H

/*
 * The door for gateways that speak MQTT through a broker, as ChirpStack's gateway-bridge, mqtt-forwarder and
 * concentratord do: `PREFIX/gateway/EUI/event/up` and its like come in, `PREFIX/gateway/EUI/command/down` goes out.
 * docs/adr/0017 says why the client is our own: what a broker gives us is acknowledged (PUBACK) after the commit
 * that holds it, and not before, so a frame that the broker has taken outlives us.
 *
 * The way to the broker is handed in (mqtt_way.h, or a test's own), so nothing here knows of sockets.
 */
#include "core/core.h"

struct downs;
struct mqtt;

enum mqtt_way_is { MQTT_WAY_OPENING, MQTT_WAY_OPEN, MQTT_WAY_OVER };
struct mqtt_way {
    void *of;
    void (*start)(void *of);
    enum mqtt_way_is (*is)(void *of, struct str *why);         /* moves it on */
    size_t (*read)(void *of, u8 *out, size_t room);            /* 0: nothing now */
    size_t (*write)(void *of, struct bytes bytes);             /* how much of it was taken */
    void (*stop)(void *of);
};

#define MQTT_PREFIXES_MAX 16
struct mqtt_settings {
    struct str client, user, password;  bool has_user;
    struct str prefixes[MQTT_PREFIXES_MAX];  u32 prefixes_n;   /* empty text: topics begin with "gateway/" */
};

/* Prefixes are words with commas or blanks between; none at all is the empty one. False, with words: one that is no topic,
 * or too many. */
bool mqtt_prefixes_read(struct mqtt_settings *out, struct str words, struct str *why, struct arena *arena);

/* The settings' texts are borrowed. */
struct mqtt *mqtt_make(struct env *env, struct downs *downs, const struct mqtt_settings *set, const struct mqtt_way *way);
void mqtt_close(struct mqtt *m);
/* Whenever the way has something, and several times a second besides. True: a batch has ended, *err says how; messages of
 * one that failed are given again by the broker. */
bool mqtt_turn(struct mqtt *m, enum err *err);
bool mqtt_is_up(const struct mqtt *m);

#endif
