// SPDX-License-Identifier: Apache-2.0
/*
 * The lists of the demo city, as an operator would bring them: gateways.csv and devices.csv, in the
 * state folder (the second holds keys: mode 0600) and through the daemon's import. Bringing the
 * same lists again changes nothing. One device's key is copied wrongly, as happens.
 */
#include "sim/inside.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define JOIN_EUI "02484F5441FF0001"

struct str sim_enrol_gateways(const struct sim *s, struct arena *a)
{
    struct text t = text_make(a, 1u << 22);
    text_put(&t, S("gateway_eui,name,latitude,longitude,altitude_m,region,simulated\n"));
    for (u32 i = 0; i < s->gateways_n; i++) {
        const struct gateway *g = &s->gateways[i];
        text_fmt(&t, "%016llX,%.*s,%.6f,%.6f,%d,AS923-1,1\n", (unsigned long long)g->eui,
                 STR(g->name), g->at.lat, g->at.lon, g->altitude_m);
    }
    return text_str(&t);
}

/* A child's tracker has no place on a list: where it lives is where a child lives. */
struct str sim_enrol_devices(const struct sim *s, struct arena *a)
{
    struct text t = text_make(a, 1u << 24);
    text_put(&t, S("dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated\n"));
    for (u32 i = 0; i < s->devices_n; i++) {
        const struct device *d = &s->devices[i];
        u8 key[16];
        memcpy(key, d->kept.app_key, sizeof key);
        if (d->odd == ODD_WRONG_KEY)
            key[7] ^= 0x5A;
        text_fmt(&t, "%016llX," JOIN_EUI ",", (unsigned long long)d->kept.dev_eui);
        text_hex(&t, (struct bytes){ key, sizeof key });
        text_fmt(&t, ",,%.*s,%s,", STR(d->name), sim_profiles[d->kind]);
        if (d->kind == KIND_TRACKER)
            text_put(&t, S(",,1\n"));
        else
            text_fmt(&t, "%.6f,%.6f,1\n", d->at.lat, d->at.lon);
        lora_wipe(key, sizeof key);
    }
    return text_str(&t);
}

static void nap(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

static void wait_for(struct sim *s, struct str url)
{
    struct str body;
    for (int i = 0;; i++) {
        struct arena mark = s->event;
        if (sim_http(url, "GET", S("/health"), S(""), S(""), &s->event, &body) == 200)
            return;
        if (i % 40 == 0)
            printf("simulated city: waiting for %s (%.*s)\n", s->options.http, STR(body));
        (void)fflush(stdout);
        s->event = mark;
        nap(250);
    }
}

static void bring(struct sim *s, struct str url, const char *path, struct str token, struct str csv)
{
    struct str body;
    for (int tries = 0; tries < 5; tries++) {
        int status = sim_http(url, "POST", str_z(path), token, csv, &s->event, &body);
        printf("simulated city: POST %s -> %d %.*s\n", path, status, (int)MIN(body.n, (size_t)300),
               body.p);
        if (status == 200 || status == 201 || (status >= 400 && status < 500 && status != 429))
            return;
        nap(1000);
    }
}

void sim_enrol(struct sim *s)
{
    struct arena mark = s->event;
    struct str gateways = sim_enrol_gateways(s, &s->event);
    struct str devices  = sim_enrol_devices(s, &s->event);
    const char *gateways_path = str_fmt(&s->event, "%s/gateways.csv", s->options.state).p;
    const char *devices_path  = str_fmt(&s->event, "%s/devices.csv", s->options.state).p;
    if (sys_file_write(gateways_path, bytes_of(gateways), 0644) != OK ||
        sys_file_write(devices_path, bytes_of(devices), 0600) != OK)
        die("the simulated city cannot write its lists into %s", s->options.state);
    if (s->options.enrol) {
        struct bytes token = { NULL, 0 };
        if (s->options.token_file &&
            sys_file_read(&token, s->options.token_file, 4096, &s->event) != OK)
            die("no token in %s", s->options.token_file);
        struct str url = str_z(s->options.http), login = str_trim(str_of(token));
        wait_for(s, url);
        bring(s, url, "/v1/import/gateways", login, gateways);
        bring(s, url, "/v1/import/devices", login, devices);
    }
    s->event = mark;
}
