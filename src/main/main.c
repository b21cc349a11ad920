// SPDX-License-Identifier: Apache-2.0
/* `hotaru VERB …`: one table of verbs. */
#include "main/verbs.h"

#include <stdio.h>
#include <sys/stat.h>

static int help(struct verb_call *call);

static const struct verb verbs[] = {
    { "serve",        verb_serve,   "[--data DIR] [--http ADDR] [--udp ADDR] [-c FILE] [--dev]", "run the daemon" },
    { "demo",         verb_demo,    "[--data DIR] [--speed N]", "the daemon and the simulated city together" },
    { "sim",          verb_sim,     "--state DIR [--http URL] [--udp ADDR] [--speed N]", "the simulated city: gateways and devices over real UDP" },
    { "import",       verb_import,  "devices|gateways FILE.csv [--dry-run] [--http ADDR | --data DIR]", "register devices or gateways from CSV" },
    { "gateway",      verb_gateway, "key EUI [CERTIFICATE.pem] [--days N] [--rotate] --data DIR", "what a gateway that runs Basics Station shows at the door" },
    { "why",          verb_why,     "DEVEUI [--data DIR]", "why the last frames of a device were refused" },
    { "fsck",         verb_fsck,    "[--data DIR]", "say exactly what is wrong with a store; changes nothing" },
    { "backup",       verb_backup,  "FOLDER [--data DIR] [--with-key]", "copy a store while it is running" },
    { "restore",      verb_restore, "FOLDER --data DIR [--end-sessions]", "make a store from a backup; counters jump ahead" },
    { "replay",       verb_replay,  "FOLDER", "what a daemon heard, again, from a copy of its folder and its capture" },
    { "decode",       verb_decode,  "HEX [--keys NWKSKEY,APPSKEY [--fcnt N]] [--key APPKEY]", "explain a LoRaWAN frame" },
    { "drops",        verb_drops,   "", "every refusal and its words" },
    { "routes",       verb_routes,  "", "every HTTP route, who may call it, and what it does" },
    { "check",        verb_check,   "[-c FILE] [--name VALUE …]", "check the configuration and print it back" },
    { "version",      verb_version, "", "the version, and those of the libraries" },
    { "help",         help,         "", "this list" },
    { "codec-worker", verb_codec_worker, NULL, NULL },
    { "bench-fill",   verb_bench_fill, NULL, NULL },
};

static int help(struct verb_call *call)
{
    (void)call;
    printf("hotaru %s - a city's sensor network in one program\n\n", HOTARU_VERSION);
    for (size_t i = 0; i < COUNT(verbs); i++)
        if (verbs[i].words)
            printf("  hotaru %-8s %s\n  %-16s%s\n", verbs[i].name, verbs[i].usage, "", verbs[i].words);
    return 0;
}

int main(int argc, char **argv)
{
    (void)umask(077);                        /* what we write is for its owner, unless it says otherwise */
    struct arena boot = arena_make(1 << 20);
    struct verb_call call = { .argc = argc - 2, .argv = argv + 2, .program = argv[0], .boot = &boot };
    struct str word = argc > 1 ? str_z(argv[1]) : S("help");
    if (str_eq(word, S("--help")) || str_eq(word, S("-h")))
        word = S("help");
    if (str_eq(word, S("--version")))
        word = S("version");
    for (size_t i = 0; i < COUNT(verbs); i++)
        if (str_eq(word, str_z(verbs[i].name))) {
            int code = verbs[i].run(&call);
            arena_free(&boot);
            return code;
        }
    (void)fprintf(stderr, "hotaru: there is no verb \"%.*s\"; `hotaru help` lists them\n", STR(word));
    return 2;
}
