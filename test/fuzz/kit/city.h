/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_FUZZ_CITY_H
#define HOTARU_FUZZ_CITY_H

/*
 * A small city for targets that need a store: four devices, two gateways, clocks and chance of its
 * own, SQLite in memory-backed /dev/shm. One a process; city_begin makes it what it was at first.
 *
 * An oracle that stands behind all of them: whatever text is bound to a statement is UTF-8 without a
 * NUL. PostgreSQL takes nothing else, and a batch with such a text in it would be lost whole.
 */
#include "codec/codec.h"
#include "core/core.h"
#include "mac/mac.h"

#define GATEWAY_A 0xA000000000000001ULL
#define GATEWAY_B 0xA000000000000002ULL
#define RIVER     0x70B3D57ED0000001ULL      /* a table codec */
#define SCRIPTED  0x70B3D57ED0000002ULL      /* a JavaScript codec */
#define TRACKER   0x70B3D57ED0000003ULL      /* personal */
#define NEWER     0x70B3D57ED0000004ULL      /* LoRaWAN 1.1 */
#define JOIN_EUI  0x70B3D57ED0FFFFFFULL
#define CITY_START_US (1770000000LL * US_PER_S)

struct city {
    struct env env;
    struct mono now;
    struct wall clock;
    u64 chance;
    struct codecs codecs;
    struct arena boot;
    struct str folder;
};

/* Profiles only, those that ship; nothing is opened. For targets that need no store. */
void city_profiles(struct profiles *profiles, struct codecs *codecs, struct arena *boot);
struct city *city_begin(void);
void city_restart(struct city *c);           /* the process dies and starts again; an open batch is lost */
void city_pass(struct city *c, i64 us);      /* both clocks */
i64  city_count(struct city *c, const char *sql);
/* The folder of this run, made in FUZZ_FOLDER or /dev/shm; gone when the process ends well. */
struct str city_folder(struct arena *arena);

#endif
