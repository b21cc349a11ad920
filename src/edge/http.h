/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_HTTP_H
#define HOTARU_EDGE_HTTP_H

/*
 * The HTTP door: libmicrohttpd with its own threads. It knows requests and answers, not what they
 * mean: api/ does. A request that reads is answered in the door's thread on a reader's connection;
 * one that writes is handed to the loop, and its answer leaves after the commit. Streams are cursors
 * over the store: after each commit their readers look for what is new.
 *
 * Refused here, before anybody reads them (docs/spec-coverage.md has the list with its tests): two
 * Content-Length, Content-Length beside Transfer-Encoding, bodies above the limit, a NUL or a dot
 * segment in the path.
 */
#include "base/base.h"
#include "sys/sys.h"

#define HTTP_PARAMS_MAX  4
#define HTTP_HEADERS_MAX 16

struct http_request {
    struct str method, path;                 /* path: decoded, without the query */
    struct str param[HTTP_PARAMS_MAX];       /* what stood at :name in the route's pattern */
    struct bytes body;
    bool from_loopback;
    struct arena *arena;                     /* lives until the answer has left */
    void *connection;                        /* for the getters below */
    void *route;                             /* the router's */
};
/* Empty when absent. Query values are decoded; a name given twice: the first. */
struct str http_query(const struct http_request *rq, struct str name);
/* All of the query in its order, at most `room`; returns how many there are, more than `room` included. */
size_t     http_queries(const struct http_request *rq, struct str *names, struct str *values, size_t room);
bool       http_has_query(const struct http_request *rq, struct str name);
struct str http_header(const struct http_request *rq, struct str name);

struct http_header { struct str name, value; };
struct http_answer {
    int status;                              /* 0: the answer is a stream */
    struct str type;                         /* Content-Type */
    struct bytes body;                       /* in the request's arena, or for ever */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t headers_n;
    /* A stream (status 0): called again and again, appends what is new to `out` (at most 64 KiB);
     * nothing new: leaves it empty and is called after the next commit. `idle`: 15 s have passed. */
    void (*stream)(void *of, struct http_request *rq, struct text *out, bool idle);
};
void http_answer_header(struct http_answer *a, struct str name, struct str value);

enum http_where { HTTP_READS, HTTP_WRITES };

struct http_calls {
    /* Finds the route; sets rq->route and rq->param. Says where it runs and how large its body may be. */
    enum http_where (*route)(void *of, struct http_request *rq, size_t *body_max);
    /* Answers on a thread of the door. */
    void (*read)(void *of, struct http_request *rq, struct http_answer *a);
    /* Answers on the loop, in a batch; `finish` is then called after the commit (or without: err). */
    void (*write)(void *of, struct http_request *rq, struct http_answer *a);
    void (*failed)(void *of, struct http_request *rq, struct http_answer *a, enum err err);
    void *of;
};

struct http;
struct http *http_open(struct address at, const struct http_calls *calls, struct loop_wake *writes, int threads,
                       struct str *why, struct arena *arena);
u16  http_port(const struct http *h);
/* On the loop: runs waiting writes (at most 256); the caller commits and says how it went. */
size_t http_run_writes(struct http *h);
void http_finish_writes(struct http *h, enum err committed);
/* On the loop, after a commit: streams look again. `idle` makes them show that they live. */
void http_wake_streams(struct http *h, bool idle);
void http_close(struct http *h);

#endif
