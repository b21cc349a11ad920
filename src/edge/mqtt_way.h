/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_MQTT_WAY_H
#define HOTARU_EDGE_MQTT_WAY_H

/* The way to a broker: TCP, or TLS on it. */
#include "edge/mqtt.h"
#include "sys/sys.h"

struct mqtt_road;
struct mqtt_to {
    struct str host;  u16 port;        /* a name or an address; [::1] */
    const char *ca;                    /* PEM file: whose certificates the broker's may be from; NULL: no TLS */
    const char *certificate, *key;     /* PEM files: ours, or NULL */
};

/* "broker.example:1883" */
bool mqtt_to_read(struct mqtt_to *out, struct str text);
/* NULL with words. */
struct mqtt_road *mqtt_road_make(const struct mqtt_to *to, struct str *why, struct arena *arena);
struct mqtt_way mqtt_road_way(struct mqtt_road *r);
int  mqtt_road_fd(const struct mqtt_road *r);          /* readable when there is something to do */
void mqtt_road_free(struct mqtt_road *r);

#endif
