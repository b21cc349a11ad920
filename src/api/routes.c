// SPDX-License-Identifier: Apache-2.0
/* The table of routes, the router, and the one place that asks who may. */
#include "api/inside.h"

#include "base/embedded.h"
#include "edge/capture.h"
#include "mac/mac.h"
#include "sys/lock.h"
#include "sys/sys.h"

#define KIB 1024

const struct route routes[] = {
    { "GET",  "/health",                        RIGHT_PUBLIC,  HTTP_READS,  get_health,   "is the daemon alive, and what does it run on", 0 },
    { "GET",  "/metrics",                       RIGHT_READ,    HTTP_READS,  get_metrics,  "counters for Prometheus", 0 },
    { "GET",  "/v1/routes",                     RIGHT_PUBLIC,  HTTP_READS,  get_routes,   "this table", 0 },
    { "GET",  "/v1/drops",                      RIGHT_READ,    HTTP_READS,  get_drops,    "every refusal: its word, its words, how often", 0 },
    { "GET",  "/v1/city",                       RIGHT_READ,    HTTP_READS,  get_city,     "the city, its counts, and whether it is simulated", 0 },
    { "GET",  "/v1/findings",                   RIGHT_READ,    HTTP_READS,  get_findings, "what is wrong now", 0 },
    { "GET",  "/v1/map",                        RIGHT_READ,    HTTP_READS,  get_map,      "every place with its value, flag and age", 0 },
    { "GET",  "/v1/devices",                    RIGHT_READ,    HTTP_READS,  get_devices,  "devices by name or EUI", 0 },
    { "GET",  "/v1/devices/:dev_eui",           RIGHT_READ,    HTTP_READS,  get_device,   "one device", 0 },
    { "GET",  "/v1/devices/:dev_eui/frames",    RIGHT_READ,    HTTP_READS,  get_frames,   "its last frames, both directions, and refusals", 0 },
    { "GET",  "/v1/devices/:dev_eui/series",    RIGHT_READ,    HTTP_READS,  get_series,   "one attribute over time", 0 },
    { "GET",  "/v1/devices/:dev_eui/radio",     RIGHT_READ,    HTTP_READS,  get_radio,    "what its radio does, is asked to do, and why", 0 },
    { "GET",  "/v1/devices/:dev_eui/why",       RIGHT_READ,    HTTP_READS,  get_why,      "why its last frames were refused", 0 },
    { "GET",  "/v1/devices/:dev_eui/downlinks", RIGHT_READ,    HTTP_READS,  get_downlinks, "downlinks and what became of them", 0 },
    { "POST", "/v1/devices/:dev_eui/downlinks", RIGHT_COMMAND, HTTP_WRITES, post_downlink, "queue a downlink", 16 * KIB },
    { "GET",  "/v1/gateways",                   RIGHT_READ,    HTTP_READS,  get_gateways, "gateways: last heard, load, who knocks unregistered", 0 },
    { "POST", "/v1/import/devices",             RIGHT_ADMIN,   HTTP_WRITES, post_import_devices, "register devices from CSV (dry_run=1: only check)", 64 * KIB * KIB },
    { "POST", "/v1/import/gateways",            RIGHT_ADMIN,   HTTP_WRITES, post_import_gateways, "register gateways from CSV (dry_run=1: only check)", 8 * KIB * KIB },
    { "GET",  "/v1/stream",                     RIGHT_READ,    HTTP_READS,  get_stream,   "server-sent events of changes or uplinks", 0 },
    { "GET",  "/ngsi-ld/v1/entities",           RIGHT_READ,    HTTP_READS,  get_entities, "NGSI-LD: query entities", 0 },
    { "GET",  "/ngsi-ld/v1/entities/:id",       RIGHT_READ,    HTTP_READS,  get_entity,   "NGSI-LD: one entity", 0 },
    { "GET",  "/ngsi-ld/v1/temporal/entities/:id", RIGHT_READ, HTTP_READS,  get_temporal, "NGSI-LD: an entity over time", 0 },
    { "GET",  "/:file*",                        RIGHT_PUBLIC,  HTTP_READS,  get_portal,   "the screens", 0 },
};
const size_t routes_count = COUNT(routes);

/* ------------------------------------------------------------------ the router */

/* Pattern and path, segment by segment; ":name*" at the end takes the rest. */
static bool matches(struct str pattern, struct str path, struct str param[HTTP_PARAMS_MAX])
{
    int n = 0;
    (void)str_cut(&pattern, '/');
    (void)str_cut(&path, '/');
    while (pattern.n > 0) {
        struct str p = str_cut(&pattern, '/');
        if (p.n > 0 && p.p[0] == ':' && p.p[p.n - 1] == '*') {
            param[n] = path;
            return true;
        }
        if (path.n == 0)
            return false;
        struct str s = str_cut(&path, '/');
        if (p.n > 0 && p.p[0] == ':')
            param[n++] = s;
        else if (!str_eq(p, s))
            return false;
    }
    return path.n == 0;
}

static bool is_api(struct str path)
{
    return str_starts(path, S("/v1/")) || str_starts(path, S("/ngsi-ld/"));
}

static enum http_where route(void *of, struct http_request *rq, size_t *body_max)
{
    (void)of;
    bool head = str_eq(rq->method, S("HEAD"));
    *body_max = 0;
    for (size_t i = 0; i < routes_count; i++) {
        const struct route *r = &routes[i];
        if (r->handler == get_portal && is_api(rq->path))
            continue;
        if (!str_eq(head ? S("GET") : rq->method, str_z(r->method)) || !matches(str_z(r->path), rq->path, rq->param))
            continue;
        rq->route = (void *)(uintptr_t)r;
        *body_max = r->body_max;
        return r->where;
    }
    *body_max = 16 * KIB;                              /* read and forgotten, so that the answer arrives */
    return HTTP_READS;
}

/* The methods of a path that exists: 405 must name them. */
static struct str allowed(struct http_request *rq)
{
    struct text t = text_make(rq->arena, 256);
    struct str ignored[HTTP_PARAMS_MAX];
    for (size_t i = 0; i < routes_count; i++)
        if (routes[i].handler != get_portal && matches(str_z(routes[i].path), rq->path, ignored))
            text_fmt(&t, "%s%s", t.n ? ", " : "", routes[i].method);
    return text_str(&t);
}

static void no_route(struct call *call)
{
    struct str methods = allowed(call->rq);
    if (methods.n == 0) {
        answer_problem(call, 404, "not found", S("there is nothing at this path; GET /v1/routes lists what there is"));
        return;
    }
    answer_problem(call, 405, "method not allowed", str_fmt(call->rq->arena, "this path takes %.*s", STR(methods)));
    http_answer_header(call->a, S("Allow"), methods);
}

/* Every request passes here: who calls, for which tenant, and may they. */
static void decide_and_call(struct call *call)
{
    const struct route *r = call->rq->route;
    if (!call->db) {
        answer_unreadable(call);
        return;
    }
    enum err err = access_caller(&call->caller, &call->api->access, call->db, http_header(call->rq, S("Authorization")),
                                 http_header(call->rq, S("NGSILD-Tenant")), call->rq->from_loopback, call->rq->arena);
    if (err == ERR_NOT_FOUND) {
        answer_problem(call, 404, "no such tenant", S("the tenant named by NGSILD-Tenant does not exist"));
        return;
    }
    if (err != OK && err != ERR_DENIED) {              /* nobody knows who that is */
        (void)store_good(call, err);
        return;
    }
    call->tenant = call->caller.tenant;
    if (r && err == OK && access_decide(&call->caller, call->tenant, r->right)) {
        r->handler(call);
        return;
    }
    if (!r && (err == OK || !is_api(call->rq->path))) {
        no_route(call);
        return;
    }
    bool known = err == OK && call->caller.right > RIGHT_PUBLIC;
    answer_problem(call, known ? 403 : 401, known ? "not allowed" : "who are you",
                   known ? S("this key does not have the right that the route needs")
                         : S("send a key: Authorization: Bearer …  (the first one stands in admin.token of the data folder)"));
    if (!known)
        http_answer_header(call->a, S("WWW-Authenticate"), S("Bearer"));
}

static void read_call(void *of, struct http_request *rq, struct http_answer *a)
{
    struct api *api  = of;
    struct call call = { .api = api, .rq = rq, .a = a, .db = reader_take(api->readers) };
    decide_and_call(&call);
    if (call.db)
        reader_give(api->readers, call.db);
    http_answer_header(a, S("X-Content-Type-Options"), S("nosniff"));
}

static void failed_call(void *of, struct http_request *rq, struct http_answer *a, enum err err)
{
    struct call call = { .api = of, .rq = rq, .a = a };
    *a = (struct http_answer){ 0 };
    if (err == ERR_FULL)
        answer_problem(&call, 507, "store full", S("the store has no room; nothing of this request was kept"));
    else if (err == ERR_BUSY)
        answer_problem(&call, 503, "stopping", S("the daemon is stopping; nothing of this request was kept"));
    else
        answer_problem(&call, 500, "store failed", S("the store failed; nothing of this request was kept"));
}

/* That a write was asked for is kept; of its body only a downlink's: lists hold keys. */
static void capture_write(const struct api *api, const struct http_request *rq)
{
    const struct route *r = rq->route;
    if (api->capture && r)
        capture_put(api->capture, &(struct capture_record){ .kind = CAPTURE_WRITE, .mono = env_now(api->env),
                                                            .wall = env_clock(api->env), .method = rq->method, .path = rq->path,
                                                            .bytes = r->handler == post_downlink ? rq->body : (struct bytes){ NULL, 0 } });
}

static void write_call(void *of, struct http_request *rq, struct http_answer *a)
{
    struct api *api  = of;
    struct call call = { .api = api, .rq = rq, .a = a, .db = api->env->db };
    capture_write(api, rq);
    arena_reset(&api->env->event);
    if (api->env->full)
        failed_call(of, rq, a, ERR_FULL);
    else
        decide_and_call(&call);
    http_answer_header(a, S("X-Content-Type-Options"), S("nosniff"));
}

struct http_calls api_calls(struct api *api)
{
    return (struct http_calls){ .route = route, .read = read_call, .write = write_call, .failed = failed_call, .of = api };
}

/* ------------------------------------------------------------------ the daemon about itself */

void api_count(struct api *api)
{
    struct env *env = api->env;
    struct api_counts *c = api->counts;
    struct mac_numbers n = mac_numbers(env->mac);
    lock_take(api->counts_lock);
    memcpy(c->dropped, env->dropped, sizeof c->dropped);
    memcpy(c->counted, env->counted, sizeof c->counted);
    c->last_id      = env->last_id;
    c->stored_id    = env->stored_id;
    c->dirty        = (i64)n.dirty;
    c->devices      = (i64)n.devices;
    c->gateways     = (i64)n.gateways;
    c->windows      = (i64)n.windows;
    c->memory_bytes = (i64)n.bytes;
    c->full_us      = !env->full ? 0 : c->full_us ? c->full_us : env_clock(env).us;
    lock_give(api->counts_lock);
}

struct api_counts api_counts_read(const struct api *api)
{
    lock_take(api->counts_lock);
    struct api_counts c = *api->counts;
    lock_give(api->counts_lock);
    return c;
}

void get_health(struct call *call)
{
    struct page p;
    struct db_damaged one;
    u64 damaged;
    const struct api_counts now = api_counts_read(call->api);
    bool full = now.full_us != 0;
    (void)db_damage_list(call->api->damage, &one, 1, &damaged);
    page_begin(&p, call);
    json_open_object(&p.out);
    json_member_str(&p.out, S("status"), full ? S("full") : damaged ? S("damaged") : S("ok"));
    json_member_str(&p.out, S("version"), call->api->version);
    json_member_str(&p.out, S("store"), full ? S("full") : db_version(call->db, call->rq->arena));
    json_member_u64(&p.out, S("damaged_rows"), damaged);
    json_member_i64(&p.out, S("last_event"), now.last_id);
    json_member_i64(&p.out, S("uptime_s"), mono_since(sys_now(), call->api->started) / US_PER_S);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

struct metric { const char *name, *type, *help; i64 value; };

void get_metrics(struct call *call)
{
    const struct api_counts now = api_counts_read(call->api), *c = &now;
    struct db_damaged one;
    u64 damaged;
    (void)db_damage_list(call->api->damage, &one, 1, &damaged);
    const struct metric metrics[] = {
        { "hotaru_uplinks_total", "counter", "unique uplinks committed", (i64)c->counted[COUNT_UPLINKS] },
        { "hotaru_copies_total", "counter", "further copies of them", (i64)c->counted[COUNT_COPIES] },
        { "hotaru_readings_total", "counter", "readings that changed an entity", (i64)c->counted[COUNT_READINGS] },
        { "hotaru_joins_total", "counter", "joins accepted", (i64)c->counted[COUNT_JOINS] },
        { "hotaru_downlinks_total", "counter", "downlinks handed to gateways", (i64)c->counted[COUNT_DOWNLINKS] },
        { "hotaru_commits_total", "counter", "commits", (i64)c->counted[COUNT_COMMITS] },
        { "hotaru_commit_microseconds_total", "counter", "time spent in commits", (i64)c->counted[COUNT_COMMIT_US] },
        { "hotaru_datagrams_total", "counter", "datagrams from gateways", (i64)c->counted[COUNT_BATCHED] },
        { "hotaru_last_event", "gauge", "id of the newest event", c->last_id },
        { "hotaru_devices", "gauge", "devices registered", c->devices },
        { "hotaru_gateways", "gauge", "gateways registered", c->gateways },
        { "hotaru_windows_open", "gauge", "uplinks whose copies may still come", c->windows },
        { "hotaru_behind_rows", "gauge", "rows that wait to be written behind", c->dirty },
        { "hotaru_device_memory_bytes", "gauge", "memory of devices, sessions and their maps", c->memory_bytes },
        { "hotaru_store_full", "gauge", "1: the disk is full and new data are refused", c->full_us != 0 },
        { "hotaru_store_damaged_rows", "gauge", "rows found damaged since the start: hotaru fsck names them", (i64)damaged },
        { "process_resident_memory_bytes", "gauge", "resident memory", sys_rss_bytes() },
        { "process_cpu_microseconds_total", "counter", "CPU time, user and system", sys_cpu_us() },
    };
    struct text t = text_make(call->rq->arena, 1 << 20);
    for (size_t i = 0; i < COUNT(metrics); i++)
        text_fmt(&t, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", metrics[i].name, metrics[i].help, metrics[i].name,
                 metrics[i].type, metrics[i].name, (long long)metrics[i].value);
    text_put(&t, S("# HELP hotaru_drops_total refusals by their word\n# TYPE hotaru_drops_total counter\n"));
    for (enum drop d = PASS + 1; d < DROP_KINDS; d++)
        text_fmt(&t, "hotaru_drops_total{word=\"%s\"} %llu\n", drop_name(d), (unsigned long long)c->dropped[d]);
    *call->a = (struct http_answer){ .status = 200, .type = S("text/plain; version=0.0.4; charset=utf-8"),
                                     .body = bytes_of(text_str(&t)) };
}

void get_routes(struct call *call)
{
    struct page p;
    page_begin(&p, call);
    json_open_object(&p.out);
    json_key(&p.out, S("routes"));
    json_open_array(&p.out);
    for (size_t i = 0; i < routes_count; i++) {
        json_open_object(&p.out);
        json_member_str(&p.out, S("method"), str_z(routes[i].method));
        json_member_str(&p.out, S("path"), str_z(routes[i].path));
        json_member_str(&p.out, S("right"), str_z(right_words(routes[i].right)));
        json_member_str(&p.out, S("words"), str_z(routes[i].words));
        json_close(&p.out);
    }
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

void get_drops(struct call *call)
{
    const struct api_counts now = api_counts_read(call->api);
    struct page p;
    page_begin(&p, call);
    json_open_object(&p.out);
    json_key(&p.out, S("drops"));
    json_open_array(&p.out);
    for (enum drop d = PASS + 1; d < DROP_KINDS; d++) {
        json_open_object(&p.out);
        json_member_str(&p.out, S("word"), str_z(drop_name(d)));
        json_member_str(&p.out, S("words"), str_z(drop_words(d)));
        json_member_u64(&p.out, S("count"), now.dropped[d]);
        json_close(&p.out);
    }
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

/* ------------------------------------------------------------------ the screens */

static const struct { const char *suffix, *type; } types[] = {
    { ".html", "text/html; charset=utf-8" },        { ".js", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },          { ".json", "application/json" },
    { ".geojson", "application/geo+json" },         { ".svg", "image/svg+xml" },
    { ".png", "image/png" },                        { ".woff2", "font/woff2" },
    { ".webmanifest", "application/manifest+json" }, { ".txt", "text/plain; charset=utf-8" },
};

/* Nothing inline, nothing from elsewhere, no text that becomes markup (Trusted Types). portal/README.md. */
#define POLICY "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'; " \
               "require-trusted-types-for 'script'; trusted-types default"

void get_portal(struct call *call)
{
    struct str name = call->rq->param[0].n ? call->rq->param[0] : S("index.html");
    struct bytes file = embedded_file(str_fmt(call->rq->arena, "portal/dist/%.*s", STR(name)));
    bool page = !file.p && !memchr(name.p, '.', name.n);       /* the app's own addresses */
    if (page) {
        name = S("index.html");
        file = embedded_file(S("portal/dist/index.html"));
    }
    if (!file.p) {
        answer_problem(call, 404, "not found", S("there is no such file"));
        return;
    }
    *call->a = (struct http_answer){ .status = 200, .type = S("application/octet-stream"), .body = file };
    for (size_t i = 0; i < COUNT(types); i++)
        if (str_ends(name, str_z(types[i].suffix)))
            call->a->type = str_z(types[i].type);
    http_answer_header(call->a, S("Content-Security-Policy"), S(POLICY));
    http_answer_header(call->a, S("Referrer-Policy"), S("no-referrer"));
    http_answer_header(call->a, S("Cache-Control"), S("no-cache"));
}
