// SPDX-License-Identifier: Apache-2.0
/*
 * Requests as they come: the real door on a port of this machine, the router, who may, and what each
 * route makes of its parameters. What the pages say is in pages_test.c.
 */
#include "api/rig.h"

#include "edge/capture.h"
#include "edge/http.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct door {
    struct city *c;
    struct env env;
    struct http *http;
    struct address at;
};

/* One loop for all tests: it lives as long as the process. */
static struct loop *loop;
static struct loop_wake *wake;
static struct door *open_door;

static void run_writes(void *of)
{
    (void)of;
    if (http_run_writes(open_door->http) == 0)
        return;
    http_finish_writes(open_door->http, OK);
    loop_stop(loop);
}

static struct door *door_at(const char *address)
{
    struct door *d = arena_new(test_arena(), struct door);
    struct str why = S("");
    d->c = city_make();
    d->c->api.access.dev = true;
    d->c->api.env = &d->env;
    d->env  = (struct env){ .db = d->c->db, .event = arena_make(1 << 16) };
    loop = loop ? loop : loop_make();
    wake = wake ? wake : loop_wake_make(loop, run_writes, NULL);
    open_door = d;
    struct http_calls calls = api_calls(&d->c->api);
    TRUE(address_read(&d->at, str_z(address)));
    d->http = http_open(d->at, &calls, wake, 1, &why, test_arena());
    if (d->http)
        d->at.port = http_port(d->http);
    return d;
}

static struct door *door_make(void)
{
    struct door *d = door_at("127.0.0.1:0");
    TRUE(d->http != NULL);
    return d;
}

static void door_end(struct door *d)
{
    if (d->http)
        http_close(d->http);
    arena_free(&d->env.event);
    city_end(d->c);
}

/* ------------------------------------------------------------------ the client's side */

static int dial(struct door *d)
{
    struct sockaddr_in  in  = { .sin_family = AF_INET, .sin_port = htons(d->at.port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(d->at.port) };
    bool six = d->at.family == 6;
    int  fd  = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(&in.sin_addr, d->at.ip, 4);
    memcpy(&in6.sin6_addr, d->at.ip, 16);
    struct timeval most = { .tv_sec = 10 };                             /* then a fact is false, and the test not endless */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    EQ(connect(fd, six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in, six ? sizeof in6 : sizeof in), 0);
    return fd;
}

static void say(int fd, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        TRUE(n > 0);
        if (n <= 0)
            return;
        bytes = (struct str){ bytes.p + n, bytes.n - (size_t)n };
    }
}

/* What comes until that text is in it, or until the door hangs up. */
static struct str hear(int fd, const char *until)
{
    struct text t = text_make(test_arena(), 1 << 22);
    char room[65536];
    for (ssize_t n; (n = read(fd, room, sizeof room)) > 0;) {
        text_put(&t, (struct str){ room, (size_t)n });
        if (until && str_find(text_str(&t), str_z(until)) >= 0)
            break;
    }
    return text_str(&t);
}

static int begin(struct door *d, const char *line, const char *headers, struct str body)
{
    int fd = dial(d);
    struct str length = body.n ? str_fmt(test_arena(), "Content-Length: %zu\r\n", body.n) : S("");
    say(fd, str_fmt(test_arena(), "%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%.*s%s\r\n", line, STR(length), headers));
    say(fd, body);
    return fd;
}

static struct str ask(struct door *d, const char *line, const char *headers)
{
    int fd = begin(d, line, headers, S(""));
    struct str reply = hear(fd, NULL);
    (void)close(fd);
    return reply;
}

static int status_of(struct str reply)
{
    i64 status = 0;
    TRUE(str_starts(reply, S("HTTP/1.1 ")) && str_to_i64(&status, (struct str){ reply.p + 9, 3 }));
    return (int)status;
}

struct fact { const char *line, *headers; int status; const char *says; };

static void hold(struct door *d, const struct fact *facts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct str reply = ask(d, facts[i].line, facts[i].headers);
        if (status_of(reply) != facts[i].status || str_find(reply, str_z(facts[i].says)) < 0)
            test_fail(__FILE__, __LINE__, "%s %s: %.*s", facts[i].line, facts[i].headers, STR(reply));
    }
}

/* ------------------------------------------------------------------ routes */

TEST(every_path_is_answered_by_its_route_or_in_words)
{
    static const struct fact facts[] = {
        { "GET /health", "", 200, "\"status\":\"ok\"" },
        { "GET /health", "", 200, "X-Content-Type-Options: nosniff" },
        { "GET /v1/city", "", 200, "\"name\":\"試市\"" },
        { "GET /v1/routes", "", 200, "\"path\":\"/v1/devices/:dev_eui/series\"" },
        { "GET /v1/drops", "", 200, "{\"word\":\"DROP_BAD_MIC\",\"words\":" },
        { "GET /metrics", "", 200, "hotaru_drops_total{word=\"DROP_BAD_MIC\"} 0" },
        { "GET /v1/gateways", "", 200, "\"unknown\":[]" },
        { "GET /v1/map", "", 200, "\"points\":[]" },
        { "GET /v1/findings", "", 200, "\"findings\":[]" },
        { "HEAD /health", "", 200, "application/json" },
        { "GET /v1/nothing", "", 404, "GET /v1/routes lists what there is" },
        { "GET /v1/devices/1/2/3", "", 404, "not found" },
        { "POST /v1/city", "", 405, "Allow: GET" },
        { "DELETE /v1/devices/70B3D57ED0000001/downlinks", "", 405, "Allow: GET, POST" },
        { "GET /", "", 200, "text/html; charset=utf-8" },
        { "GET /", "", 200, "Content-Security-Policy: default-src 'self'" },
        { "GET /devices/70B3D57ED0000001", "", 200, "text/html; charset=utf-8" },
        { "GET /icon.svg", "", 200, "Content-Type: image/svg+xml" },
        { "GET /nothing.js", "", 404, "there is no such file" },
    };
    struct door *d = door_make();
    hold(d, facts, COUNT(facts));
    door_end(d);
}

TEST(what_a_route_is_asked_has_limits_and_the_refusal_names_them)
{
    static const struct fact facts[] = {
        { "GET /v1/devices/70B3D57ED0000001", "", 200, "\"name\":\"神通川\"" },
        { "GET /v1/devices/70b3d57ed0000001/frames?limit=500", "", 200, "\"frames\":[]" },
        { "GET /v1/devices/70B3D57ED0000001/downlinks", "", 200, "\"downlinks\":[]" },
        { "GET /v1/devices/70B3D57ED0000001/why", "", 200, "\"refusals\":[]" },
        { "GET /v1/devices/70B3D57ED0000001/series?attr=waterLevel", "", 200, "\"unit\":\"MTR\",\"points\":[]" },
        { "GET /v1/devices/70B3D57ED0000001/series?attr=waterLevel&from=1970-01-01T00:00:00Z", "", 200, "\"points\":[]" },
        { "GET /v1/devices/70B3D57ED0000009", "", 404, "no device is registered with the DevEUI 70B3D57ED0000009" },
        { "GET /v1/devices/70B3D57ED000001", "", 400, "an EUI is 16 hexadecimal digits" },
        { "GET /v1/devices/70B3D57ED00000ZZ", "", 400, "an EUI is 16 hexadecimal digits" },
        { "GET /v1/devices/x/frames", "", 400, "an EUI is 16 hexadecimal digits" },
        { "GET /v1/devices/x/series", "", 400, "an EUI is 16 hexadecimal digits" },
        { "GET /v1/devices/x/downlinks", "", 400, "an EUI is 16 hexadecimal digits" },
        { "GET /v1/devices/x/why", "", 400, "an EUI is 16 hexadecimal digits" },
        { "GET /v1/devices/70B3D57ED0000001/frames?limit=0", "", 400, "limit: a whole number from 1 to 500" },
        { "GET /v1/devices/70B3D57ED0000001/frames?limit=501", "", 400, "limit: a whole number from 1 to 500" },
        { "GET /v1/devices/70B3D57ED0000001/downlinks?limit=x", "", 400, "limit: a whole number from 1 to 500" },
        { "GET /v1/devices/70B3D57ED0000001/series?to=yesterday", "", 400, "to: a time like 2026" },
        { "GET /v1/devices/70B3D57ED0000001/series?from=", "", 400, "from: a time like 2026" },
        { "GET /v1/devices/70B3D57ED0000001/series?limit=10001", "", 400, "limit: a whole number from 1 to 10000" },
        { "GET /v1/devices?q=%E7%A5%9E&limit=1000&offset=0", "", 200, "\"total\":1" },
        { "GET /v1/devices?limit=1001", "", 400, "limit: a whole number from 1 to 1000" },
        { "GET /v1/devices?offset=-1", "", 400, "offset: a whole number from 0 to 2147483647" },
        { "GET /v1/devices?q=%FF", "", 400, "q: text of at most 200 bytes" },
        { "GET /v1/stream?kind=everything", "", 400, "kind: change or uplink" },
        { "GET /v1/stream?since=-5", "", 400, "since: a whole number from 0 to 9007199254740991" },
    };
    struct door *d = door_make();
    device(d->c, RIVER, "神通川", "river", d->c->now_us, 90);
    hold(d, facts, COUNT(facts));
    char q[201];
    memset(q, 'a', sizeof q);
    EQ(status_of(ask(d, str_fmt(test_arena(), "GET /v1/devices?q=%.*s", 201, q).p, "")), 400);
    EQ(status_of(ask(d, str_fmt(test_arena(), "GET /v1/devices?q=%.*s", 200, q).p, "")), 200);
    door_end(d);
}

TEST(ngsi_requests_are_refused_in_the_standards_words)
{
    static const struct fact facts[] = {
        { "GET /ngsi-ld/v1/entities?type=WaterObserved", "", 200, "rel=\"http://www.w3.org/ns/json-ld#context\"" },
        { "GET /ngsi-ld/v1/entities?type=WaterObserved", "NGSILD-Tenant: city\r\n", 200, "NGSILD-Tenant: city" },
        { "GET /ngsi-ld/v1/entities?type=WaterObserved", "Accept: application/ld+json\r\n", 200, "application/ld+json" },
        { "GET /ngsi-ld/v1/entities?type=WaterObserved", "NGSILD-Tenant: none\r\n", 404, "NGSILD-Tenant" },
        { "GET /ngsi-ld/v1/entities?type=WaterObserved", "Accept: text/html\r\n", 406, "application/ld+json can be given" },
        { "GET /ngsi-ld/v1/entities?type=WaterObserved", "Link: nothing\r\n", 400, "does not name one @context" },
        { "GET /ngsi-ld/v1/entities?type=WaterObserved",
          "Link: <https://a.example/c.jsonld>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"\r\n", 504,
          "nothing is fetched" },
        { "GET /ngsi-ld/v1/entities?type=%FF", "", 400, "a parameter is not UTF-8 text" },
        { "GET /ngsi-ld/v1/entities?%FF=1", "", 400, "a parameter is not UTF-8 text" },
        { "GET /ngsi-ld/v1/entities?limit=x", "", 400, "BadRequestData" },
        { "GET /ngsi-ld/v1/entities/urn:ngsi-ld:WaterObserved:70b3d57ed0000001", "", 200, "\"type\":\"WaterObserved\"" },
        { "GET /ngsi-ld/v1/entities/x?limit=1", "", 400, "ngsi-ld/errors" },
        { "GET /ngsi-ld/v1/temporal/entities/urn:ngsi-ld:WaterObserved:70b3d57ed0000001", "", 200, "\"type\":\"WaterObserved\"" },
        { "GET /ngsi-ld/v1/temporal/entities/urn:ngsi-ld:WaterObserved:70b3d57ed0000001?timerel=never", "", 400, "ngsi-ld/errors" },
        { "GET /ngsi-ld/v1/temporal/entities/x", "", 400, "not a URI" },
    };
    struct door *d = door_make();
    entity(d->c, RIVER, "WaterObserved", attribute("waterLevel", "1.5", "", "", d->c->now_us), d->c->now_us);
    hold(d, facts, COUNT(facts));
    struct text line = text_make(test_arena(), 4096);
    text_put(&line, S("GET /ngsi-ld/v1/entities?type=a"));
    for (int i = 0; i < 64; i++)
        text_fmt(&line, "&p%d=", i);
    text_char(&line, '\0');
    TRUE(str_find(ask(d, line.p, ""), S("more parameters than any operation knows")) > 0);
    door_end(d);
}

/* ------------------------------------------------------------------ who may */

static void no_chance(void *of, u8 *out, size_t n)
{
    (void)of;
    memset(out, 7, n);
}

TEST(without_a_key_only_what_is_public_is_there)
{
    static const struct fact facts[] = {
        { "GET /health", "", 200, "\"status\":\"ok\"" },
        { "GET /v1/routes", "", 200, "\"routes\"" },
        { "GET /", "", 200, "text/html" },
        { "GET /nothing.js", "", 404, "there is no such file" },
        { "POST /", "", 404, "not found" },
        { "GET /v1/city", "", 401, "WWW-Authenticate: Bearer" },
        { "GET /v1/city", "Authorization: Bearer hotaru.00\r\n", 401, "who are you" },
        { "GET /v1/city", "Authorization: Basic eDp5\r\n", 401, "admin.token" },
        { "GET /v1/nothing", "Authorization: Bearer hotaru.00\r\n", 401, "who are you" },
    };
    struct door *d = door_make();
    d->c->api.access.dev = false;
    hold(d, facts, COUNT(facts));
    door_end(d);
}

TEST(a_key_opens_what_its_right_opens_and_no_more)
{
    struct door *d = door_make();
    struct str token;
    d->c->api.access.dev = false;
    EQ(access_token_new(d->c->db, 1, RIGHT_READ, S("reader"), 5, no_chance, NULL, &token, test_arena()), OK);
    const char *headers = str_fmt(test_arena(), "Authorization: Bearer %.*s\r\n", STR(token)).p;
    const struct fact facts[] = {
        { "GET /v1/city", headers, 200, "\"counts\"" },
        { "GET /v1/nothing", headers, 404, "not found" },
    };
    hold(d, facts, COUNT(facts));
    int fd = begin(d, "POST /v1/import/devices", headers, S("x"));
    loop_run(loop);                                                  /* a write: it is decided on the loop */
    struct str reply = hear(fd, NULL);
    EQ(status_of(reply), 403);
    TRUE(str_find(reply, S("does not have the right")) > 0);
    (void)close(fd);
    door_end(d);
}

TEST(a_store_that_cannot_be_asked_who_that_is_is_no_stranger)
{
    struct door *d = door_make();
    break_table(d->c, "token");
    sql(d->c, "ALTER TABLE tenant RENAME COLUMN number TO away; ALTER TABLE tenant ADD COLUMN number BIGINT GENERATED ALWAYS AS "
              "(length(zeroblob(999999999)) + away)");
    TRUE(str_find(ask(d, "GET /v1/city", ""), S("the store cannot be read at the moment")) > 0);
    EQ(status_of(ask(d, "GET /v1/city", "")), 503);
    door_end(d);
}

TEST(a_store_that_cannot_be_opened_is_answered_as_such)
{
    struct door *d = door_make();
    readers_close(d->c->api.readers);
    d->c->api.readers = readers_make(S("/nowhere/at/all"));
    struct str reply = ask(d, "GET /v1/city", "");
    EQ(status_of(reply), 503);
    TRUE(str_find(reply, S("store not readable")) > 0);
    door_end(d);
}

TEST(a_write_while_the_store_is_full_or_failing_keeps_nothing_and_says_so)
{
    static const struct { enum err err; int status; const char *says; } facts[] = {
        { ERR_FULL, 507, "the store has no room" },
        { ERR_BUSY, 503, "the daemon is stopping" },
        { ERR_IO, 500, "the store failed" },
    };
    struct door *d = door_make();
    d->env.full = true;
    int fd = begin(d, "POST /v1/import/devices", "", S("dev_eui\n"));
    loop_run(loop);
    struct str reply = hear(fd, NULL);
    EQ(status_of(reply), 507);
    TRUE(str_find(reply, S("nothing of this request was kept")) > 0);
    (void)close(fd);
    struct http_calls calls = api_calls(&d->c->api);
    for (size_t i = 0; i < COUNT(facts); i++) {
        calls.failed(calls.of, &d->c->rq, &d->c->a, facts[i].err);
        TRUE(str_find(str_of(d->c->a.body), str_z(facts[i].says)) > 0);
        (void)answered(d->c, facts[i].status);
    }
    door_end(d);
}

/* ------------------------------------------------------------------ what never reaches a route */

TEST(what_two_programs_could_read_differently_is_refused_before_any_route)
{
    static const struct fact facts[] = {
        { "GET /v1/city", "Content-Length: 0\r\nContent-Length: 0\r\n", 400, "" },
        { "POST /v1/city", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400, "" },
        { "GET /v1/../etc", "", 400, "not a plain path" },
        { "GET /v1/./city", "", 400, "not a plain path" },
        { "GET /v1/..", "", 400, "not a plain path" },
        { "GET /v1/.", "", 400, "not a plain path" },
        { "GET /a%00b", "", 400, "not a plain path" },
        { "GET /a\\b", "", 400, "not a plain path" },
        { "GET /%FF", "", 400, "not a plain path" },
        { "GET /%2e%2e/x", "", 400, "not a plain path" },
        { "GET /a%", "", 200, "text/html" },
        { "GET /a%zz", "", 200, "text/html" },
        { "GET /a%2", "", 200, "text/html" },
        { "GET *", "", 400, "not a plain path" },
    };
    struct door *d = door_make();
    hold(d, facts, COUNT(facts));
    door_end(d);
}

TEST(a_body_above_what_the_route_takes_is_refused)
{
    struct door *d = door_make();
    struct str body = { arena_take(test_arena(), 20000, 1), 20000 };
    memset((char *)(uintptr_t)body.p, ' ', body.n);
    int fd = begin(d, "POST /v1/nothing", "", body);
    struct str reply = hear(fd, NULL);
    EQ(status_of(reply), 413);
    TRUE(str_find(reply, S("larger than this route takes")) > 0);
    (void)close(fd);
    fd = begin(d, "POST /v1/nothing", "", (struct str){ body.p, 16384 });
    EQ(status_of(hear(fd, NULL)), 404);                                 /* read to its end, and then answered */
    (void)close(fd);
    door_end(d);
}

/* ------------------------------------------------------------------ streams */

/* An uplink, and the loop's word that there is a new event. */
static void carry(struct door *d, i64 id, u32 fcnt)
{
    uplink(d->c, RIVER, id, 0, fcnt, 3, bytes_of(S("")), GATEWAY);
    lock_take(d->c->api.counts_lock);
    d->c->counts.stored_id = id;
    lock_give(d->c->api.counts_lock);
}

TEST(a_stream_goes_on_behind_the_last_event_and_shows_that_it_lives)
{
    struct door *d = door_make();
    struct city *c = d->c;
    device(c, RIVER, "神通川", "river", c->now_us, 90);
    for (u32 i = 1; i <= 3; i++)
        carry(d, 100 + i, i);
    int fd = begin(d, "GET /v1/stream?kind=uplink&since=101", "Last-Event-ID: 102\r\n", S(""));
    struct str first = hear(fd, "id: 103\n");
    EQ(status_of(first), 200);
    TRUE(str_find(first, S("text/event-stream")) > 0 && str_find(first, S("Cache-Control: no-store")) > 0);
    TRUE(str_find(first, S("id: 102\n")) < 0);                          /* the header counts more than the address */
    carry(d, 104, 4);
    http_wake_streams(d->http, false);
    TRUE(str_find(hear(fd, "id: 104\n"), S("\"fcnt\":4")) > 0);
    http_wake_streams(d->http, true);
    TRUE(str_find(hear(fd, ": ping\n\n"), S(": ping\n\n")) >= 0);
    int other = begin(d, "GET /v1/stream?kind=uplink", "Last-Event-ID: x\r\n", S(""));
    TRUE(status_of(hear(other, "\r\n\r\n")) == 200);                    /* no cursor: from now on */
    carry(d, 105, 5);
    http_wake_streams(d->http, false);
    struct str now = hear(other, "\"fcnt\":5");
    TRUE(str_find(now, S("id: 105\n")) >= 0 && str_find(now, S("id: 104\n")) < 0);
    http_close(d->http);                                                /* ends both, and waits for neither */
    d->http = NULL;
    (void)hear(fd, NULL);
    (void)hear(other, NULL);
    (void)close(fd);
    (void)close(other);
    door_end(d);
}

TEST(more_than_512_streams_are_refused_and_a_place_that_is_left_is_free)
{
    enum { MOST = 512 };
    struct door *d = door_make();
    struct rlimit before, wide;
    static int fd[MOST + 1];
    EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    wide = (struct rlimit){ before.rlim_max, before.rlim_max };
    (void)setrlimit(RLIMIT_NOFILE, &wide);
    if (wide.rlim_cur < 2 * MOST + 100) {
        test_skip("fewer than 1,124 open files are allowed here");
        door_end(d);
        return;
    }
    for (int i = 0; i < MOST; i++) {
        fd[i] = begin(d, "GET /v1/stream", "", S(""));
        EQ(status_of(hear(fd[i], "\r\n\r\n")), 200);
    }
    struct str reply = ask(d, "GET /v1/stream", "");
    EQ(status_of(reply), 503);
    TRUE(str_find(reply, S("too many streams are open")) > 0);
    EQ(status_of(ask(d, "GET /health", "")), 200);                      /* all else goes on */
    (void)close(fd[0]);
    (void)close(fd[7]);
    int status = 503;
    for (int i = 0; i < 1000 && status == 503; i++) {                   /* until the door has seen that they left */
        http_wake_streams(d->http, true);
        fd[0] = begin(d, "GET /v1/stream", "", S(""));
        status = status_of(hear(fd[0], "\r\n\r\n"));
        if (status == 503)
            (void)close(fd[0]);
    }
    EQ(status, 200);
    fd[7] = fd[MOST - 1];
    for (int i = 0; i < MOST - 1; i++)
        (void)close(fd[i]);
    (void)setrlimit(RLIMIT_NOFILE, &before);
    door_end(d);
}

/* ------------------------------------------------------------------ writes */

TEST(a_downlink_that_cannot_be_meant_is_refused_by_its_member)
{
    static const struct { const char *body; int status; const char *detail; } facts[] = {
        { "", 400, "byte 0" },
        { "{\"fport\":1", 400, "byte 10" },
        { "{}", 400, "fport: a number from 1 to 223" },
        { "{\"fport\":-1}", 400, "fport: a number from 1 to 223" },
        { "{\"fport\":256}", 400, "fport: a number from 1 to 223" },
        { "{\"fport\":\"1\"}", 400, "fport: a number from 1 to 223" },
        { "{\"fport\":1}", 400, "payload: hexadecimal digits" },
        { "{\"fport\":1,\"payload\":12}", 400, "payload: hexadecimal digits" },
        { "{\"fport\":1,\"payload\":\"1\"}", 400, "payload: hexadecimal digits" },
        { "{\"fport\":1,\"payload\":\"00\",\"confirmed\":1}", 400, "confirmed: true or false" },
        { "{\"fport\":1,\"payload\":\"00\",\"confirmed\":true,\"expires_s\":0}", 400, "expires_s: seconds from 1 to 2592000" },
        { "{\"fport\":1,\"payload\":\"00\",\"expires_s\":2592001}", 400, "expires_s: seconds from 1 to 2592000" },
        { "{\"fport\":1,\"payload\":\"00\",\"expires_s\":\"1\"}", 400, "expires_s: seconds from 1 to 2592000" },
    };
    struct city *c = city_make();
    for (size_t i = 0; i < COUNT(facts); i++) {
        c->rq.param[0] = S("70B3D57ED0000001");
        c->rq.body = bytes_of(str_z(facts[i].body));
        post_downlink(&c->call);
        struct str detail = text_of(answered(c, facts[i].status), "detail");
        if (str_find(detail, str_z(facts[i].detail)) != 0)
            test_fail(__FILE__, __LINE__, "%s: %.*s", facts[i].body, STR(detail));
    }
    c->rq.param[0] = S("70B3");
    post_downlink(&c->call);
    STR_EQ(text_of(answered(c, 400), "detail"), S("an EUI is 16 hexadecimal digits"));
    city_end(c);
}

static struct mono some_time(void *of)
{
    (void)of;
    return (struct mono){ 4711 };
}
static struct wall some_clock(void *of)
{
    (void)of;
    return (struct wall){ 815 };
}

TEST(a_capture_keeps_that_something_was_written_and_of_a_list_nothing_else)
{
    struct door *d = door_make();
    struct str why = S("");
    struct bytes half[2], all;
    struct capture_record r;
    const char *folder = test_folder();
    d->env.now = some_time, d->env.clock = some_clock, d->env.full = true;
    d->c->api.capture = capture_open(folder, 1 << 20, &why, test_arena());
    static const char *const lines[] = { "POST /v1/import/devices", "POST /v1/devices/70B3D57ED0000001/downlinks" };
    for (size_t i = 0; i < COUNT(lines); i++) {
        int fd = begin(d, lines[i], "", S("{\"app_key\":1}"));
        loop_run(loop);
        EQ(status_of(hear(fd, NULL)), 507);
        (void)close(fd);
    }
    capture_close(d->c->api.capture);
    for (int i = 0; i < 2; i++)
        EQ(sys_file_read(&half[i], str_fmt(test_arena(), "%s/capture.%d", folder, i).p, 1 << 20, test_arena()), OK);
    EQ(capture_join(&all, half, test_arena()), OK);
    struct cur cur = cur_of(all);
    TRUE(capture_next(&cur, &r));
    EQ(r.kind, CAPTURE_WRITE);
    EQ(r.mono.us, 4711);
    STR_EQ(r.path, S("/v1/import/devices"));
    EQ(r.bytes.n, 0);                                                   /* a list holds keys */
    TRUE(capture_next(&cur, &r));
    STR_EQ(r.method, S("POST"));
    STR_EQ(str_of(r.bytes), S("{\"app_key\":1}"));
    TRUE(!capture_next(&cur, &r));
    door_end(d);
}

TEST(writes_above_what_a_batch_takes_are_in_the_next_one)
{
    enum { MANY = 300 };
    struct door *d = door_make();
    static int fd[MANY];
    d->env.full = true;
    for (int i = 0; i < MANY; i++)
        fd[i] = begin(d, "POST /v1/import/devices", "", S("x"));
    for (int i = 0; i < 3; i++)                                         /* one thread, in turns: behind this all wait */
        EQ(status_of(ask(d, "GET /health", "")), 200);
    EQ(http_run_writes(d->http), 256);
    http_finish_writes(d->http, OK);
    EQ(http_run_writes(d->http), MANY - 256);
    http_finish_writes(d->http, OK);
    EQ(http_run_writes(d->http), 0);
    for (int i = 0; i < MANY; i++) {
        EQ(status_of(hear(fd[i], NULL)), 507);
        (void)close(fd[i]);
    }
    door_end(d);
}

/* ------------------------------------------------------------------ addresses */

TEST(a_port_that_is_taken_is_said_with_its_address)
{
    struct door *d = door_make();
    struct str why = S("");
    struct http_calls calls = api_calls(&d->c->api);
    TRUE(http_open(d->at, &calls, NULL, 1, &why, test_arena()) == NULL);
    STR_EQ(why, str_fmt(test_arena(), "cannot listen for HTTP at 127.0.0.1:%d: is another program there?", d->at.port));
    door_end(d);
}

TEST(the_loopback_of_ipv6_is_this_machine_too)
{
    struct door *d = door_at("[::1]:0");
    if (!d->http) {
        test_skip("no IPv6 on this machine");
        door_end(d);
        return;
    }
    EQ(status_of(ask(d, "GET /v1/city", "")), 200);
    d->c->api.access.dev = false;
    EQ(status_of(ask(d, "GET /v1/city", "")), 401);
    door_end(d);
}
