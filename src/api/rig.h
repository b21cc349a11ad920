/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_API_RIG_H
#define HOTARU_API_RIG_H

/*
 * A rig for the tests of api: a city of three profiles whose rows are put into a store by hand, and what
 * a page of it answered. A page is called as the router would, without HTTP.
 */
#include "api/inside.h"

#include "base/test.h"
#include "sys/lock.h"
#include "core/core.h"
#include "mac/mac.h"

#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MINUTE_US (60 * US_PER_S)
#define RIVER     0x70B3D57ED0000001ULL
#define PARKING   0x70B3D57ED0000002ULL
#define TRACKER   0x70B3D57ED0000003ULL
#define FOREIGN   0xA84041FFFF000004ULL     /* its first bit is set: negative in the store */
#define GATEWAY   0xA000000000000001ULL
#define OTHER_GW  0xA000000000000002ULL

struct city {
    struct api api;
    struct api_counts counts;
    struct profiles profiles;
    struct db *db;
    struct http_request rq;
    struct http_answer a;
    struct call call;
    struct arena boot;
    i64 now_us;
};

static const struct profile_text rig_profiles[] = {
    { S("river"), S("{\"id\":\"river\",\"name\":{\"ja\":\"水位計\",\"en\":\"River\"},\"kind\":\"river\",\"lorawan\":\"1.0.3\","
                    "\"region\":\"AS923-1\",\"codec\":{\"type\":\"none\"},\"interval_s\":600,\"fields\":{\"level\":{\"attr\":"
                    "\"waterLevel\",\"unit\":\"MTR\",\"ja\":\"水位\",\"en\":\"water level\",\"min\":-2,\"max\":15,\"main\":true},"
                    "\"battery\":{\"attr\":\"batteryLevel\",\"unit\":\"P1\",\"role\":\"battery_pct\"}},"
                    "\"entity\":{\"type\":\"WaterObserved\",\"id\":\"urn:ngsi-ld:WaterObserved:{dev_eui}\"}}") },
    { S("park"), S("{\"id\":\"park\",\"name\":{\"ja\":\"駐車\",\"en\":\"Parking\"},\"kind\":\"parking\",\"lorawan\":\"1.0.3\","
                   "\"region\":\"AS923-1\",\"codec\":{\"type\":\"none\"},\"interval_s\":3600,\"fields\":{\"occupied\":{\"attr\":"
                   "\"status\",\"ja\":\"満空\",\"en\":\"status\",\"main\":true}},"
                   "\"entity\":{\"type\":\"ParkingSpot\",\"id\":\"urn:ngsi-ld:ParkingSpot:{dev_eui}\"}}") },
    { S("bag"), S("{\"id\":\"bag\",\"name\":{\"ja\":\"見守り\",\"en\":\"Tracker\"},\"kind\":\"tracker\",\"lorawan\":\"1.0.3\","
                  "\"region\":\"AS923-1\",\"codec\":{\"type\":\"none\"},\"personal\":\"routes\",\"interval_s\":300,\"fields\":{}}") },
    { S("gate"), S("{\"id\":\"gate\",\"name\":{\"ja\":\"水門\",\"en\":\"Gate\"},\"kind\":\"other\",\"lorawan\":\"1.1\","
                   "\"region\":\"AS923-1\",\"codec\":{\"type\":\"none\"},\"interval_s\":5400,\"fields\":{\"opening\":{"
                   "\"ja\":\"開度\",\"en\":\"opening\",\"min\":0}},"
                   "\"entity\":{\"type\":\"Gate\",\"id\":\"urn:ngsi-ld:Gate:the-one\"}}") },
    { S("quick"), S("{\"id\":\"quick\",\"name\":{\"ja\":\"速\",\"en\":\"Quick\"},\"kind\":\"other\",\"lorawan\":\"1.0.4\","
                    "\"region\":\"AS923-1\",\"codec\":{\"type\":\"none\"},\"interval_s\":30,\"fields\":{}}") },
};

static inline struct city *city_in(struct str where)
{
    struct city *c = arena_new(test_arena(), struct city);
    struct str why = S("");
    c->boot = arena_make(1 << 16);
    EQ(profiles_read(&c->profiles, rig_profiles, COUNT(rig_profiles), &why, &c->boot), OK);
    EQ(db_open(&c->db, where, DB_WRITER, &why, &c->boot), OK);
    EQ(db_exec(c->db, "INSERT INTO mark (tenant, name, value) VALUES (0, 'unsummed', 1) ON CONFLICT (tenant, name) DO NOTHING"), OK);
    db_sums_some(c->db);                                       /* the rows below are written without sums */
    c->now_us = sys_clock().us;
    c->api    = (struct api){ .profiles = &c->profiles, .city_ja = S("試市"), .city_en = S("Test City"), .version = S("0"),
                              .speed = 60, .counts = &c->counts, .counts_lock = lock_make(), .readers = readers_make(where) };
    c->rq     = (struct http_request){ .method = S("GET"), .path = S("/ngsi-ld/v1/entities"), .arena = test_arena() };
    c->call   = (struct call){ .api = &c->api, .rq = &c->rq, .a = &c->a, .db = c->db, .tenant = 1 };
    return c;
}

static inline struct city *city_make(void) { return city_in(str_z(test_folder())); }

static inline void city_end(struct city *c)
{
    lock_free(c->api.counts_lock);
    readers_close(c->api.readers);
    db_close(c->db);
    arena_free(&c->boot);
}

/* Facts that depend on the database's own words stand twice: test/postgres.sh start makes the second possible. */
static inline void server(struct str words)
{
    PGconn   *conn = PQconnectdb(getenv("HOTARU_POSTGRES"));
    PGresult *r = PQexec(conn, words.p);
    EQ(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
    PQfinish(conn);
}

static inline void on_postgres(void (*fact)(struct str where))
{
    struct str url = str_z(getenv("HOTARU_POSTGRES"));
    u8 name[8];
    if (url.n == 0) {
        test_skip("no PostgreSQL: HOTARU_POSTGRES is not set (test/postgres.sh start)");
        return;
    }
    sys_random(name, sizeof name);
    struct str schema = str_fmt(test_arena(), "t_%.*s", STR(hex_str(test_arena(), (struct bytes){ name, 8 })));
    server(str_fmt(test_arena(), "CREATE SCHEMA %.*s", STR(schema)));
    fact(str_fmt(test_arena(), "%.*s%coptions=-csearch_path%%3D%.*s", STR(url), str_find(url, S("?")) < 0 ? '?' : '&',
                 STR(schema)));
    server(str_fmt(test_arena(), "SET client_min_messages = warning; DROP SCHEMA %.*s CASCADE", STR(schema)));
}

#define BOTH(name)                                                     \
    static void name(struct str where);                                \
    TEST(sqlite_##name) { name(str_z(test_folder())); }                \
    TEST(postgres_##name) { on_postgres(name); }                       \
    static void name(struct str where)

static inline void sql(struct city *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ------------------------------------------------------------------ rows */

/* x'00' is how SQLite writes bytes; PostgreSQL writes '\\x00'. */
static inline void sql(struct city *c, const char *fmt, ...)
{
    char line[8192];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    TRUE(n > 0 && (size_t)n < sizeof line);
    struct str  rest = { line, (size_t)n };
    struct text t = text_make(test_arena(), 2 * sizeof line);
    while (db_is_postgres(c->db) && rest.n > 0) {
        ptrdiff_t at = str_find(rest, S("x'"));
        size_t    before = at < 0 ? rest.n : (size_t)at;
        text_put(&t, (struct str){ rest.p, before });
        text_put(&t, at < 0 ? S("") : S("'\\x"));
        rest.p += MIN(before + 2, rest.n);
        rest.n -= MIN(before + 2, rest.n);
    }
    text_char(&t, '\0');
    EQ(db_exec(c->db, db_is_postgres(c->db) ? t.p : line), OK);
}

static inline void device(struct city *c, u64 eui, const char *name, const char *profile, i64 heard_us, int battery)
{
    sql(c, "INSERT INTO device (tenant, dev_eui, join_eui, name, profile, app_key, latitude, longitude, simulated, created_us) "
           "VALUES (1, %lld, 5, '%s', '%s', x'00', 36.7, 137.2, 1, %lld)",
        (long long)eui, name, profile, (long long)(c->now_us - 900 * MINUTE_US));
    if (heard_us)
        sql(c, "INSERT INTO device_state (tenant, dev_eui, last_uplink, session, fcnt_up, battery_pct) "
               "VALUES (1, %lld, %lld, 77, 9, %d)", (long long)eui, (long long)heard_us, battery);
}

static inline void gateway(struct city *c, u64 eui, const char *name, i64 seen_us)
{
    sql(c, "INSERT INTO gateway (tenant, eui, name, latitude, longitude, region, simulated, created_us) "
           "VALUES (1, %lld, '%s', 36.6, 137.1, 'AS923-1', 0, %lld)", (long long)eui, name, (long long)(c->now_us - 99 * MINUTE_US));
    if (seen_us)
        sql(c, "INSERT INTO gateway_state (tenant, eui, last_seen_us, address) VALUES (1, %lld, %lld, '')", (long long)eui,
            (long long)seen_us);
}

static inline struct str iso(i64 us) { return wall_str(test_arena(), (struct wall){ us }); }

/* What context/ stores, in its words. */
static inline struct str attribute(const char *name, const char *value, const char *flag, const char *reason, i64 at_us)
{
    struct str sub = reason[0] ? str_fmt(test_arena(), ",\"qualityReason\":{\"type\":\"Property\",\"value\":\"%s\"}", reason)
                               : S("");
    return str_fmt(test_arena(), "\"%s\":{\"type\":\"Property\",\"value\":%s,\"observedAt\":\"%.*s\",\"unitCode\":\"MTR\","
                                 "\"quality\":{\"type\":\"Property\",\"value\":\"%s\"}%.*s}",
                   name, value, STR(iso(at_us)), flag, STR(sub));
}

static inline void entity(struct city *c, u64 eui, const char *type, struct str attributes, i64 at_us)
{
    sql(c, "INSERT INTO entity (tenant, id, type, attributes, last_reading, created_us, modified_us) VALUES "
           "(1, 'urn:ngsi-ld:%s:%016llx', '%s', '{\"name\":{\"type\":\"Property\",\"value\":\"n\"},\"refDevice\":{\"type\":"
           "\"Relationship\",\"object\":\"urn:ngsi-ld:Device:%016llx\"},\"dateObserved\":{\"type\":\"Property\",\"value\":{"
           "\"@type\":\"DateTime\",\"@value\":\"%.*s\"}},%.*s}', %lld, %lld, %lld)",
        type, (unsigned long long)eui, type, (unsigned long long)eui, STR(iso(at_us)), STR(attributes), (long long)at_us + 7,
        (long long)at_us, (long long)at_us + 7);
}

static inline void reading(struct city *c, u64 eui, i64 id, i64 prev, struct str attributes)
{
    sql(c, "INSERT INTO reading (tenant, id, entity, prev, uplink, dev_eui, observed_us, attributes) VALUES "
           "(1, %lld, 'urn:ngsi-ld:WaterObserved:%016llx', %lld, 0, %lld, %lld, '{%.*s}')",
        (long long)id, (unsigned long long)eui, (long long)prev, (long long)eui, (long long)id, STR(attributes));
}

/* As mac/radio.c writes it: AS923-1's DR5 on its first channel. */
static inline void put_radio(struct buf *b, u64 gw, int rssi_dbm, int snr_cb)
{
    buf_u64le(b, gw);
    buf_u32le(b, 1);
    buf_u32le(b, 923200000);
    buf_u32le(b, 125000);
    buf_u32le(b, 0);
    buf_u16le(b, (u16)rssi_dbm);
    buf_u16le(b, (u16)snr_cb);
    buf_u8(b, 7);
    buf_u8(b, 0);
    buf_u8(b, 0);
    buf_u8(b, 0);
    buf_u64le(b, 0);
}

static inline void uplink(struct city *c, u64 eui, i64 id, i64 prev, u32 fcnt, i64 flags, struct bytes fopts, u64 gw)
{
    u8 room[MAC_RADIO_BYTES];
    struct buf radio = BUF(room);
    struct db_query *q = db_query(c->db, "INSERT INTO uplink (tenant, id, dev_eui, session, fcnt, prev, received_us, flags, fopts, "
                                         "payload, radio) VALUES (1, $1, $2, 77, $3, $4, $5, $6, $7, $8, $9)");
    put_radio(&radio, gw, -97, 75);
    db_bind_i64(q, 1, id);
    db_bind_i64(q, 2, (i64)eui);
    db_bind_i64(q, 3, fcnt);
    db_bind_i64(q, 4, prev);
    db_bind_i64(q, 5, id);
    db_bind_i64(q, 6, flags);
    db_bind_bytes(q, 7, fopts);
    db_bind_bytes(q, 8, bytes_of(S("abc")));
    db_bind_bytes(q, 9, buf_bytes(&radio));
    EQ(db_run(q), OK);
}

/* ------------------------------------------------------------------ answers */

static inline const struct json *answered(struct city *c, int status)
{
    const struct json *doc = NULL;
    EQ(c->a.status, status);
    EQ(json_read(&doc, str_of(c->a.body), test_arena(), JSON_STRICT, NULL), OK);
    c->a = (struct http_answer){ 0 };
    return doc;
}

static inline const struct json *asked(struct city *c, handler *page)
{
    page(&c->call);
    return answered(c, 200);
}

static inline const struct json *get_list(struct city *c, const char *q)
{
    devices_page(&c->call, (struct devices_asked){ .limit = 100, .q = str_z(q) });
    return answered(c, 200);
}

static inline struct str text_of(const struct json *v, const char *key) { return json_str(json_get(v, str_z(key)), test_arena()); }

static inline i64 number_of(const struct json *v, const char *key)
{
    i64 n = -999;
    TRUE(json_i64(&n, json_get(v, str_z(key))));
    return n;
}

static inline bool is_null(const struct json *v, const char *key) { return json_is(json_get(v, str_z(key)), JSON_NULL); }

/* The member of an array whose `key` is that text. */
static inline const struct json *of(const struct json *list, const char *key, struct str text)
{
    JSON_EACH (v, list)
        if (str_eq(text_of(v, key), text))
            return v;
    return NULL;
}

static inline struct str eui(u64 v) { return eui_text(test_arena(), v); }

static inline struct str header(const struct city *c, struct str name, size_t which)
{
    for (size_t i = 0; i < c->a.headers_n; i++)
        if (str_eq(c->a.headers[i].name, name) && which-- == 0)
            return c->a.headers[i].value;
    return S("");
}

/* What the router makes of a query, without HTTP. */
static inline struct ngsi_asked ngsi(struct city *c, enum ngsi_operation operation, const char *query)
{
    struct ngsi_asked a = { .media = NGSI_JSON, .raw_query = str_z(query) };
    struct ngsi_param params[16];
    struct ngsi_problem problem;
    size_t n;
    const struct ngsi_context *core = readers_core(c->api.readers);
    a.view = (struct ngsi_view){ .stored = core, .request = core };
    TRUE(ngsi_params_read(params, COUNT(params), &n, str_z(query), test_arena()));
    TRUE(ngsi_query_read(&a.query, operation, params, n, core, core, test_arena(), &problem));
    return a;
}

/* ------------------------------------------------------------------ a store that is ill */

/* From now on each look at a row of that table is an error. SQLite only. */
static inline void break_table(struct city *c, const char *table)
{
    sql(c, "ALTER TABLE %s RENAME COLUMN tenant TO away; ALTER TABLE %s ADD COLUMN tenant BIGINT GENERATED ALWAYS AS "
           "(length(zeroblob(999999999)) + away)", table, table);
}

static inline void mend_table(struct city *c, const char *table)
{
    sql(c, "ALTER TABLE %s DROP COLUMN tenant; ALTER TABLE %s RENAME COLUMN away TO tenant", table, table);
}

/* Its rows' sums are wrong from now on; heal takes the sums away, which this store allows. */
static inline void damage(struct city *c, const char *table) { sql(c, "UPDATE %s SET sum = 1", table); }
static inline void heal(struct city *c, const char *table) { sql(c, "UPDATE %s SET sum = NULL", table); }

#endif
