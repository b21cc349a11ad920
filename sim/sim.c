// SPDX-License-Identifier: Apache-2.0
/*
 * `hotaru sim`: options, and one loop. Everything that happens is on the agenda; the loop sleeps
 * until the next entry is due or a datagram comes, and carries entries out at their own nominal
 * time. Only the world is sped up: a second of radio is a second.
 */
#include "sim/sim.h"

#include "sim/inside.h"

#include <stdio.h>
#include <stdlib.h>

#define SCALE_DEFAULT    (1.0 / 15)      /* 520 devices then give 8 to 10 uplinks a second */
#define DEVICES_MAX      5200

/* ------------------------------------------------------------------ options */

enum option_kind { AS_TEXT, AS_REAL, AS_U64, AS_U32, AS_SCENE, AS_OFF };
static const struct option {
    const char *name;
    enum option_kind kind;
    size_t member;
    const char *words;
} table[] = {
    { "--state", AS_TEXT, offsetof(struct options, state),
      "folder for keys, sessions and lists (needed)" },
    { "--udp", AS_TEXT, offsetof(struct options, udp),
      "gateway door of the daemon [127.0.0.1:1700]" },
    { "--http", AS_TEXT, offsetof(struct options, http), "its HTTP door [http://127.0.0.1:8080]" },
    { "--token-file", AS_TEXT, offsetof(struct options, token_file),
      "bearer token for the imports [none]" },
    { "--speed", AS_REAL, offsetof(struct options, speed), "world seconds a second, 1..600 [60]" },
    { "--seed", AS_U64, offsetof(struct options, seed), "the same seed, the same world [1]" },
    { "--gateways", AS_U32, offsetof(struct options, gateways), "at most 98 [98]" },
    { "--devices", AS_U32, offsetof(struct options, devices), "at most 5200 [520]" },
    { "--scene", AS_SCENE, offsetof(struct options, scene),
      "calm, flood, snow, morning or all [all]" },
    { "--interval-scale", AS_REAL, offsetof(struct options, interval_scale),
      "real interval / interval of the profile [0.0667]" },
    { "--no-enrol", AS_OFF, offsetof(struct options, enrol),
      "write the lists, but bring them to nobody" },
};

static bool set_option(struct options *o, const struct option *option, struct str value)
{
    void *at = (char *)o + option->member;
    i64   n;
    switch (option->kind) {
    case AS_TEXT:  *(const char **)at = value.p; return value.n > 0;
    case AS_REAL:  return str_to_double(at, value);
    case AS_SCENE: return sim_scene_read(at, value);
    case AS_OFF:   *(bool *)at = false; return true;
    case AS_U64:
        if (!str_to_i64(&n, value) || n < 0)
            return false;
        *(u64 *)at = (u64)n;
        return true;
    case AS_U32:
        if (!str_to_i64(&n, value) || n < 1 || n > DEVICES_MAX)
            return false;
        *(u32 *)at = (u32)n;
        return true;
    }
    return false;
}

static int usage(const char *bad)
{
    (void)fprintf(stderr, "hotaru sim: %s\n", bad);
    for (size_t i = 0; i < COUNT(table); i++)
        (void)fprintf(stderr, "  %-17s %s\n", table[i].name, table[i].words);
    (void)fprintf(stderr, "  %-17s %s\n", "--load …",
                  "a load for the benches: hotaru sim --load --help");
    return 64;
}

/* NULL when all is well. */
static const char *read_options(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const struct option *option = NULL;
        for (size_t k = 0; k < COUNT(table); k++)
            if (str_eq(str_z(argv[i]), str_z(table[k].name)))
                option = &table[k];
        if (!option)
            return argv[i];
        bool takes = option->kind != AS_OFF;
        if (takes && i + 1 == argc)
            return argv[i];
        if (!set_option(o, option, takes ? str_z(argv[++i]) : S("")))
            return option->name;
    }
    if (!o->state)
        return "--state is missing";
    if (!(o->speed >= 1 && o->speed <= 600))
        return "--speed";
    return o->interval_scale > 0.001 && o->interval_scale <= 100 ? NULL : "--interval-scale";
}

/* ------------------------------------------------------------------ the loop */

static void timed(void *arg)
{
    sim_run_due(arg);
}

static void stop(void *arg)
{
    struct sim *s = arg;
    loop_stop(s->loop);
}

static void build_city(struct sim *s)
{
    u64 surprise;
    s->boot  = arena_make(1u << 20);
    s->event = arena_make(1u << 20);
    s->world = (struct world){ s->options.seed, s->options.scene, s->options.speed, sys_now() };
    sys_random((u8 *)&surprise, sizeof surprise);
    s->chance.state = s->options.seed ^ surprise;    /* the world comes again, the radio does not */
    if (!sim_door_server(&s->server, str_z(s->options.udp)))
        die("not an IPv4 address with a port: %s", s->options.udp);
    if (sim_city_read(&s->city, &s->boot) != OK)
        die("data/city inside this binary cannot be read");
    sim_place_gateways(s);
    sim_place_devices(s);
    sim_keep_open(s);
}

int sim_main(int argc, char **argv)
{
    if (argc > 1 && str_eq(str_z(argv[1]), S("--load")))
        return sim_load_main(argc - 1, argv + 1);
    struct sim *s = boot_take(sizeof *s);
    s->options = (struct options){ .udp = "127.0.0.1:1700",
                                   .http = "http://127.0.0.1:8080",
                                   .speed = 60,
                                   .seed = 1,
                                   .gateways = 98,
                                   .devices = 520,
                                   .scene = SCENE_ALL,
                                   .interval_scale = SCALE_DEFAULT,
                                   .enrol = true };
    const char *bad = read_options(&s->options, argc, argv);
    if (bad)
        return usage(bad);
    build_city(s);
    printf("simulated city: %u gateways, %u devices, world %.0f times as fast; nothing here is "
           "measured\n",
           s->gateways_n, s->devices_n, s->options.speed);
    sim_enrol(s);
    s->loop    = loop_make();
    s->timer   = loop_timer(s->loop, timed, s);
    s->started = s->told_at = s->world.start = sys_now();
    loop_on_stop_signals(s->loop, stop, s);
    sim_door_open(s);
    sim_switch_on(s);
    sim_agenda_put(&s->agenda, mono_after(s->started, REPORT_EVERY_US), EVENT_REPORT, 0, 0);
    sim_run_due(s);
    loop_run(s->loop);
    sim_report(s, sys_now());
    return 0;
}
