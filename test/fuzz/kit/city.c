// SPDX-License-Identifier: Apache-2.0
#include "test/fuzz/kit/city.h"

#include "base/embedded.h"
#include "flow/flow.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static const struct profile_text profile_texts[] = {
    { { "river", 5 }, S("{\"id\":\"river\",\"name\":{\"ja\":\"水位\",\"en\":\"level\"},\"kind\":\"river\",\"lorawan\":\"1.0.3\","
                        "\"region\":\"AS923-1\",\"codec\":{\"type\":\"table\",\"fields\":[{\"name\":\"level\",\"at\":0,"
                        "\"type\":\"i16be\",\"scale\":0.001},{\"name\":\"battery\",\"at\":2,\"type\":\"u8\"}]},"
                        "\"interval_s\":600,\"fields\":{\"level\":{\"attr\":\"waterLevel\",\"unit\":\"MTR\",\"min\":-2,\"max\":15,"
                        "\"rate_per_h\":5,\"main\":true},\"battery\":{\"attr\":\"batteryLevel\",\"role\":\"battery_pct\"}},"
                        "\"entity\":{\"type\":\"WaterObserved\",\"id\":\"urn:ngsi-ld:WaterObserved:{dev_eui}\"}}") },
    { { "script", 6 }, S("{\"id\":\"script\",\"name\":{\"ja\":\"台本\",\"en\":\"script\"},\"kind\":\"snow\",\"lorawan\":\"1.0.3\","
                         "\"region\":\"AS923-1\",\"codec\":{\"type\":\"js\",\"file\":\"x.js\"},\"interval_s\":600,\"fields\":{"
                         "\"t\":{\"attr\":\"temperature\",\"unit\":\"CEL\",\"min\":-40,\"max\":60,\"number\":true,\"main\":true}},"
                         "\"entity\":{\"type\":\"Thing\",\"id\":\"urn:ngsi-ld:Thing:{dev_eui}\"}}") },
    { { "bag", 3 }, S("{\"id\":\"bag\",\"name\":{\"ja\":\"かばん\",\"en\":\"bag\"},\"kind\":\"tracker\",\"lorawan\":\"1.0.4\","
                      "\"region\":\"AS923-1\",\"codec\":{\"type\":\"table\",\"fields\":[{\"name\":\"lat\",\"at\":0,\"type\":\"i32be\","
                      "\"scale\":0.0000001},{\"name\":\"battery\",\"at\":4,\"type\":\"u8\"}]},\"personal\":\"routes\","
                      "\"interval_s\":300,\"fields\":{\"battery\":{\"attr\":\"batteryLevel\",\"role\":\"battery_pct\"}}}") },
    { { "newer", 5 }, S("{\"id\":\"newer\",\"name\":{\"ja\":\"新\",\"en\":\"newer\"},\"kind\":\"other\",\"lorawan\":\"1.1\","
                        "\"region\":\"AS923-1\",\"codec\":{\"type\":\"none\"},\"interval_s\":600,\"fields\":{}}") },
};

static const char devices_csv[] =
    "dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated\n"
    "70B3D57ED0000001,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80001,,神通川,river,36.7,137.2,1\n"
    "70B3D57ED0000002,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80002,,消雪,script,36.7,137.2,1\n"
    "70B3D57ED0000003,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80003,,かばん,bag,,,1\n"
    "70B3D57ED0000004,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80004,6f9c1a2277d0458eb1c3a4f507182930,新,newer,,,1\n";
static const char gateways_csv[] = "gateway_eui,name,latitude,longitude,altitude_m,region,simulated\n"
                                   "A000000000000001,北,36.7,137.2,,AS923-1,1\nA000000000000002,南,36.6,137.2,,AS923-1,1\n";

/* All that an input can have written. Devices and gateways too: an import is an input. */
static const char forget[] =
    "DELETE FROM uplink; DELETE FROM uplink_copies; DELETE FROM downlink; DELETE FROM session; DELETE FROM dev_nonce;"
    "DELETE FROM join_state; DELETE FROM device_state; DELETE FROM gateway_state; DELETE FROM gateway_hour;"
    "DELETE FROM stranger; DELETE FROM refusal; DELETE FROM intent; DELETE FROM entity; DELETE FROM reading;"
    "DELETE FROM mark; DELETE FROM subject_key; DELETE FROM device; DELETE FROM gateway;"
    "INSERT INTO device SELECT * FROM first_device; INSERT INTO gateway SELECT * FROM first_gateway";

void __wrap_db_bind_str(struct db_query *q, int at, struct str v);
void __real_db_bind_str(struct db_query *q, int at, struct str v);
void __wrap_db_bind_str(struct db_query *q, int at, struct str v)
{
    assert(v.n == 0 || (str_is_utf8(v) && !memchr(v.p, 0, v.n)));
    __real_db_bind_str(q, at, v);
}

/* ------------------------------------------------------------------ the folder */

static char folder[256];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st, (void)kind, (void)walk;
    return remove(path);
}

static void remove_folder(void)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct str city_folder(struct arena *arena)
{
    const char *in = getenv("FUZZ_FOLDER");
    (void)snprintf(folder, sizeof folder, "%s/hotaru-fuzz-XXXXXX", in ? in : "/dev/shm");
    if (!mkdtemp(folder))
        die("no folder can be made at %s", folder);
    (void)atexit(remove_folder);
    return str_copy(arena, str_z(folder));
}

/* ------------------------------------------------------------------ the city */

static struct mono now(void *of) { return ((struct city *)of)->now; }
static struct wall wall(void *of) { return ((struct city *)of)->clock; }
static void chance(void *of, u8 *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (u8)(((struct city *)of)->chance = hash_u64(((struct city *)of)->chance + 1));
}

static void must(bool good, struct str why)
{
    if (!good)
        die("the city: %.*s", STR(why));
}

void city_profiles(struct profiles *profiles, struct codecs *codecs, struct arena *boot)
{
    struct profile_text *texts = arena_array(boot, struct profile_text, 1024);
    struct str why = S("");
    size_t n = 0;
    for (const struct embedded *e = embedded_files; e->name && n < 1024; e++)
        if (str_starts(str_z(e->name), S("data/profiles/")) && str_ends(str_z(e->name), S(".json")))
            texts[n++] = (struct profile_text){ str_z(e->name), { (const char *)e->p, (size_t)e->n } };
    must(profiles_read(profiles, texts, n, &why, boot) == OK && codecs_parse(codecs, profiles, &why, boot) == OK, why);
}

static void start(struct city *c)
{
    static const u8 kek[32] = { 1, 2, 3 };
    struct mac_settings set = { .kek = { kek, 32 }, .plan = lora_plan_by_name(S("AS923-1-JP")), .window_us = 200000,
                                .keys_cached = 64 };
    struct str why = S("");
    c->env.last_id = 0;                                  /* what it was stands in the store */
    must(mac_start(&c->env, &set, &why) == OK, why);
    must(flow_commit(&c->env) == OK, S("the start cannot be committed"));
    flow_done(&c->env);
}

static void found(struct city *c)
{
    struct import_report report;
    struct str why = S("");
    log_set_level(LOG_NOTHING);
    c->boot   = arena_make(1 << 20);
    c->folder = city_folder(&c->boot);
    c->env    = (struct env){ .now = now, .clock = wall, .random = chance, .world = c, .codecs = &c->codecs,
                              .event = arena_make(1 << 16), .batch = arena_make(1 << 16) };
    c->now    = (struct mono){ US_PER_S };
    c->clock  = (struct wall){ CITY_START_US };
    must(profiles_read(&c->env.profiles, profile_texts, COUNT(profile_texts), &why, &c->boot) == OK, why);
    must(codecs_parse(&c->codecs, &c->env.profiles, &why, &c->boot) == OK, why);
    must(db_open(&c->env.db, c->folder, DB_WRITER, &why, &c->boot) == OK, why);
    start(c);
    must(mac_import(&c->env, 1, IMPORT_GATEWAYS, str_z(gateways_csv), false, &report, &c->boot) == OK, S("gateways"));
    must(mac_import(&c->env, 1, IMPORT_DEVICES, str_z(devices_csv), false, &report, &c->boot) == OK, S("devices"));
    must(db_exec(c->env.db, "CREATE TABLE first_device AS SELECT * FROM device; CREATE TABLE first_gateway AS "
                            "SELECT * FROM gateway") == OK, S("the first rows"));
}

static void stop(struct city *c)
{
    if (c->env.open)
        db_rollback(c->env.db);
    c->env.open   = false;
    c->env.failed = OK;
    mac_stop(&c->env);
    flow_done(&c->env);
}

void city_restart(struct city *c)
{
    stop(c);
    start(c);
}

struct city *city_begin(void)
{
    static struct city city, *c = &city;
    if (!c->env.db)
        found(c);
    stop(c);
    must(db_begin(c->env.db) == OK && db_exec(c->env.db, forget) == OK && db_commit(c->env.db) == OK, S("the rows stay"));
    memset(c->env.dropped, 0, sizeof c->env.dropped);
    memset(c->env.counted, 0, sizeof c->env.counted);
    c->now    = (struct mono){ US_PER_S };
    c->clock  = (struct wall){ CITY_START_US };
    c->chance = 42;
    start(c);
    return c;
}

void city_pass(struct city *c, i64 us)
{
    c->now.us += us;
    c->clock.us += us;
}

i64 city_count(struct city *c, const char *sql)
{
    struct db_query *q = db_query(c->env.db, sql);
    i64 n = db_step(q) == OK ? db_i64(q, 0) : -1;
    db_reset(q);
    return n;
}
