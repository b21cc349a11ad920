/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_API_H
#define HOTARU_API_H

/*
 * api: what HTTP means here. One table of routes says the method, the path, who may, where it runs
 * (on a reader's snapshot or on the loop, as part of a batch), the handler and the words.
 * `hotaru routes` prints it.
 *
 *   routes.c   the table, the router, the one place that asks access_decide
 *   pages.c    devices, gateways, frames, findings, the map: for the screens
 *   ngsi.c     NGSI-LD
 *   stream.c   server-sent events
 *   writes.c   import, downlinks
 *   portal.c   the embedded files
 */
#include "access/access.h"
#include "codec/codec.h"
#include "core/core.h"
#include "edge/http.h"

struct api {
    struct env *env;                 /* only handlers that run on the loop may touch it */
    const struct profiles *profiles;
    struct access access;
    struct str city_ja, city_en, version;
    double speed;                    /* how fast the simulated world goes; 1: it does not matter */
    struct mono started;
    struct readers *readers;         /* connections for the threads of the door */
    struct db_damage *damage;        /* what they and the loop found damaged; with its own lock; or NULL */
    struct api_counts *counts;       /* a copy of the loop's counters, made after each commit, under the lock */
    struct lock *counts_lock;
    struct capture *capture;         /* what was asked for is kept there as well; NULL: nowhere */
};

/* What a handler is handed. */
struct call {
    struct api *api;
    struct http_request *rq;
    struct http_answer *a;
    struct db *db;                   /* a reader's connection, or the writer's on the loop */
    u64 tenant;
    struct caller caller;
};

typedef void handler(struct call *call);

struct route {
    const char *method, *path;       /* :name takes one segment, a last :rest* takes all */
    enum right right;
    enum http_where where;
    handler *handler;
    const char *words;
    size_t body_max;
};
extern const struct route routes[];
extern const size_t routes_count;

/* Answers. JSON text is in the request's arena. */
void answer_json(struct call *call, int status, struct str json);
/* RFC 7807: {"type","title","detail","status"}. */
void answer_problem(struct call *call, int status, const char *title, struct str detail);
/* A writer and its text in the request's arena, up to 8 MiB; api_answer_out sends it. */
struct page { struct text text; struct json_out out; };
void page_begin(struct page *page, struct call *call);
void page_answer(struct page *page, struct call *call, int status);

/* Query parameters with limits; false answers 400 by itself. */
bool query_i64(struct call *call, struct str name, i64 otherwise, i64 least, i64 most, i64 *out);
bool query_time(struct call *call, struct str name, struct wall otherwise, struct wall *out);
/* ":dev_eui" and the like: 16 hex digits; false answers 400. */
bool param_eui(struct call *call, int at, u64 *out);

/* pages.c */
handler get_city, get_findings, get_map, get_devices, get_device, get_frames, get_series, get_downlinks, get_gateways,
        get_why, get_radio;
/* ngsi.c */
handler get_entity, get_entities, get_temporal;
/* stream.c */
handler get_stream;
/* writes.c */
handler post_import_devices, post_import_gateways, post_downlink;
/* routes.c */
handler get_health, get_metrics, get_routes, get_drops, get_portal;

/* ------------------------------------------------------------------ for main/ */

/* The loop writes, the door's threads read: through api_counts_read. */
struct api_counts { u64 dropped[DROP_KINDS], counted[8]; i64 last_id, stored_id, dirty, devices, gateways, windows, memory_bytes, full_us; };

struct http_calls api_calls(struct api *api);
/* Readers: connections to the same store, opened when first wanted. */
struct readers *readers_make(struct str store);
struct db *reader_take(struct readers *readers);          /* NULL: none can be opened */
void       reader_give(struct readers *readers, struct db *db);
void       readers_close(struct readers *readers);
void       readers_watch(struct readers *readers, struct db_damage *damage);     /* what they find is noted there */
/* On the loop, after a commit. */
void api_count(struct api *api);
struct api_counts api_counts_read(const struct api *api);

#endif
