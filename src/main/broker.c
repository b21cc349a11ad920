// SPDX-License-Identifier: Apache-2.0
/* The door for MQTT gateways as the settings want it. Without a broker in them there is none. */
#include "edge/mqtt_way.h"
#include "main/daemon.h"
#include "sys/sys.h"

#define PASSWORD_MAX 1024
#define CLIENT_MAX   23                /* MQTT 3.1.1, 3.1.3.1: what every broker takes */

struct broker { struct mqtt *door; struct mqtt_road *road; struct loop_watch *watch; };

static const char *path_or_null(struct str text)
{
    return text.n > 0 ? text.p : NULL;                 /* settings are zero-ended */
}

static bool read_password(struct mqtt_settings *out, const struct settings *set, struct str *why, struct arena *boot)
{
    struct bytes file = { NULL, 0 };
    const char *path = path_or_null(set->text[SET_mqtt_password_file]);
    enum err err = path ? sys_file_read(&file, path, PASSWORD_MAX, boot) : OK;
    out->user     = set->text[SET_mqtt_user];
    out->password = str_trim(str_of(file));
    out->has_user = out->user.n > 0;
    if (err != OK)
        *why = str_fmt(boot, "mqtt_password_file: %s: %s", path, err_words(err));
    return err == OK;
}

static bool read_settings(struct mqtt_settings *out, struct mqtt_to *to, const struct settings *set, struct str *why,
                          struct arena *boot)
{
    struct str words;
    out->client     = set->text[SET_mqtt_client];
    to->ca          = path_or_null(set->text[SET_mqtt_ca_file]);
    to->certificate = path_or_null(set->text[SET_mqtt_cert_file]);
    to->key         = path_or_null(set->text[SET_mqtt_key_file]);
    *why = S("");
    if (!mqtt_to_read(to, set->text[SET_mqtt_gateways]))
        *why = S("mqtt_gateways: a host and a port are needed, such as broker.example:8883");
    else if (out->client.n == 0 || out->client.n > CLIENT_MAX)
        *why = S("mqtt_client: a name of 1 to 23 characters is needed; the broker keeps our messages under it");
    else if (to->certificate && !to->ca)
        *why = S("mqtt_cert_file: a certificate is shown over TLS, and that needs mqtt_ca_file");
    else if (!to->certificate != !to->key)
        *why = S("mqtt_cert_file and mqtt_key_file: one of them alone is of no use");
    else if (!mqtt_prefixes_read(out, set->text[SET_mqtt_prefix], &words, boot))
        *why = str_fmt(boot, "mqtt_prefix: %.*s", STR(words));
    return why->n == 0 && read_password(out, set, why, boot);
}

bool broker_open(struct broker **out, struct env *env, struct downs *downs, const struct settings *set, struct loop *loop,
                 void (*ready)(void *of), void *of, struct str *why, struct arena *boot)
{
    struct mqtt_settings settings = { 0 };
    struct mqtt_to to = { 0 };
    *out = NULL;
    if (set->text[SET_mqtt_gateways].n == 0)
        return true;
    if (!read_settings(&settings, &to, set, why, boot))
        return false;
    struct mqtt_road *road = mqtt_road_make(&to, why, boot);
    if (!road)
        return false;
    struct mqtt_way way = mqtt_road_way(road);
    struct broker *b = *out = boot_take(sizeof *b);
    *b = (struct broker){ mqtt_make(env, downs, &settings, &way), road, loop_watch(loop, mqtt_road_fd(road), ready, of) };
    return true;
}

bool broker_turn(struct broker *b, enum err *err)
{
    return b && mqtt_turn(b->door, err);
}

void broker_close(struct broker *b)
{
    if (!b)
        return;
    loop_unwatch(b->watch);
    mqtt_close(b->door);
    mqtt_road_free(b->road);
    boot_release(b);
}
