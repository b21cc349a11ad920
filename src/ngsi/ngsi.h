/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_NGSI_H
#define HOTARU_NGSI_H

/*
 * ngsi: NGSI-LD as a specification (ETSI GS CIM 009 V1.9.1), pure: no store, no network, no clock.
 *
 *     context.c   @context: short names <-> IRIs, the core built in, a user context beside it
 *     request.c   what a request asks for: media types, parameters, names, times
 *     render.c    entities and their history in the forms a client may ask for
 *     problem.c   what went wrong, as problem details (RFC 7807)
 *
 * The stored form of an entity's attributes is one JSON object text in the normalized form, with
 * numbers as written and short names of the stored context:
 *
 *     {"waterLevel":{"type":"Property","value":1.234,"unitCode":"MTR","observedAt":"2026-…Z"}, …}
 */
#include "base/base.h"
#include "wire/json.h"

#define NGSI_CORE_URL     "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
#define NGSI_CORE_FILE    "data/contexts/ngsi-ld-core-context-v1.9.jsonld"
#define NGSI_DEFAULT_IRI  "https://uri.etsi.org/ngsi-ld/default-context/"

/* ------------------------------------------------------------------ problems (clause 6.3.2;
 * city-os §1.10) */

/*  name                          type                     status  title */
#define NGSI_ERRORS(X)                                                                            \
    X(NGSI_FINE,                  "",                      200, "OK")                             \
    X(NGSI_INVALID_REQUEST,       "InvalidRequest",        400, "The request is not well formed") \
    X(NGSI_BAD_REQUEST_DATA,      "BadRequestData",        400, "The request says something that cannot be") \
    X(NGSI_NOT_FOUND,             "ResourceNotFound",      404, "There is no such thing")         \
    X(NGSI_NO_TENANT,             "NonexistentTenant",     404, "There is no such tenant")        \
    X(NGSI_ALREADY_EXISTS,        "AlreadyExists",         409, "It exists already")              \
    X(NGSI_CONFLICT,              "Conflict",              409, "It contradicts what is registered") \
    X(NGSI_NOT_SUPPORTED,         "OperationNotSupported", 422, "Known, but not done here")       \
    X(NGSI_TOO_COMPLEX,           "TooComplexQuery",       403, "The query is too complex")       \
    X(NGSI_TOO_MANY,              "TooManyResults",        403, "The answer would be too large")  \
    X(NGSI_INTERNAL,              "InternalError",         500, "Something broke on our side")    \
    X(NGSI_NO_TENANTS,            "NoMultiTenantSupport",  501, "Tenants are not supported")      \
    X(NGSI_NO_CONTEXT,            "LdContextNotAvailable", 504, "The @context cannot be had")     \
    X(NGSI_LOOP,                  "LoopDetected",          508, "The request came round again")   \
    X(NGSI_NOT_ACCEPTABLE,        NULL,                    406, "None of the accepted media types can be given") \
    X(NGSI_UNSUPPORTED_MEDIA,     NULL,                    415, "The media type of the body is not understood") \
    X(NGSI_NOT_ALLOWED,           NULL,                    405, "This method is not offered here")  \
    X(NGSI_TOO_LARGE,             NULL,                    413, "The body is larger than the limit")

enum ngsi_error {
#define NGSI_ERROR_ENUM(name, type, status, title) name,
    NGSI_ERRORS(NGSI_ERROR_ENUM)
#undef NGSI_ERROR_ENUM
    NGSI_ERROR_KINDS
};

/* What a function of this folder leaves behind when it returns false. */
struct ngsi_problem { enum ngsi_error error; struct str detail; };

int         ngsi_status(enum ngsi_error error);
/* {"type":"https://uri.etsi.org/ngsi-ld/errors/…","title":…,"detail":…,"status":…} */
void        ngsi_problem_write(struct json_out *o, const struct ngsi_problem *problem);

/* ------------------------------------------------------------------ names */

bool ngsi_is_uri(struct str s);                 /* RFC 3986, absolute; a URN with its two parts */
bool ngsi_is_name(struct str s);                /* clause 4.6.2, with . and - as models use; or a URI */

/* ------------------------------------------------------------------ @context */

struct ngsi_context;

/* The core context from its document; at boot. Dies when the document is broken: it is ours. */
const struct ngsi_context *ngsi_core_read(struct str jsonld, struct arena *arena);
/*
 * A user context: {"@context": …}, an object, or an array of objects and of core URLs. Its terms
 * never override the core's. `url` is how it is named in answers. False with a problem:
 * BadRequestData, or LdContextNotAvailable for a URL inside it that is not the core's (nothing is
 * fetched).
 */
bool ngsi_context_read(const struct ngsi_context **out, const struct ngsi_context *core,
                       struct str url, struct str jsonld, struct arena *arena,
                       struct ngsi_problem *problem);
struct str ngsi_context_url(const struct ngsi_context *context);
/* Every spelling of the core's own URL: unversioned, and all versions. */
bool ngsi_is_core_url(struct str url);

/* Name, compact IRI or IRI to IRI; unknown names get the default context's IRI. */
struct str ngsi_expand(const struct ngsi_context *context, struct str name, struct arena *arena);
/* IRI to the shortest name that expands back to it. */
struct str ngsi_compact(const struct ngsi_context *context, struct str iri, struct arena *arena);
/* A name of one context as the other writes it. */
struct str ngsi_translate(const struct ngsi_context *from, const struct ngsi_context *to,
                          struct str name, struct arena *arena);

/* ------------------------------------------------------------------ headers (clause 6.3) */

enum ngsi_media { NGSI_JSON, NGSI_LD_JSON, NGSI_MEDIA_KINDS };

/* "application/json", … */
const char *ngsi_media_type(enum ngsi_media media);
/* By q-values and specificity; absent or empty is application/json. False: 406. */
bool ngsi_accept(enum ngsi_media *out, struct str accept);
/* The Link header's @context; empty URL when there is none. False: it is broken, or names two. */
bool ngsi_link_read(struct str *url, struct str link);
/* <url>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json" */
struct str ngsi_link(struct arena *arena, struct str url);
/* rel="next" and "prev" with every parameter repeated; empty when there is neither. */
struct str ngsi_page_link(struct arena *arena, struct str path, struct str raw_query, i64 limit,
                          i64 offset, bool more);

/* ------------------------------------------------------------------ parameters (city-os §1.2) */

enum ngsi_operation {
    NGSI_RETRIEVE = 1,
    NGSI_QUERY = 2,
    NGSI_TEMPORAL_RETRIEVE = 4,
    NGSI_TEMPORAL_QUERY = 8
};

enum ngsi_format { NGSI_NORMALIZED, NGSI_CONCISE, NGSI_SIMPLIFIED, NGSI_TEMPORAL_VALUES };
enum ngsi_timerel { NGSI_ANY_TIME, NGSI_BEFORE, NGSI_AFTER, NGSI_BETWEEN };
enum ngsi_timeproperty { NGSI_OBSERVED_AT, NGSI_CREATED_AT, NGSI_MODIFIED_AT };

#define NGSI_LIMIT_USUAL 20
#define NGSI_LIMIT_MAX   1000
#define NGSI_LIST_MAX    100                    /* ids, types or attributes named in one request */

struct ngsi_list { const struct str *items; size_t n; };

struct ngsi_query {
    struct ngsi_list  types;                    /* names of the stored context; any of them */
    struct ngsi_list  ids;
    struct ngsi_list  attrs;                    /* names of the stored context; any of them */
    i64               limit, offset;
    bool              count, sys_attrs;
    enum ngsi_format  format;
    enum ngsi_timerel timerel;
    enum ngsi_timeproperty timeproperty;
    struct wall       time_at, end_time_at;
    i64               last_n;                   /* 0: all */
};

struct ngsi_param { struct str name, value; };  /* decoded */

/* "a=b%20c&d" → pairs, '+' is a blank. False: broken escapes, no UTF-8, or more than `room`. */
bool ngsi_params_read(struct ngsi_param *out, size_t room, size_t *n, struct str raw_query,
                      struct arena *arena);

/* Names are translated from the request's context to the stored one. False: *problem says why. */
bool ngsi_query_read(struct ngsi_query *out, enum ngsi_operation operation,
                     const struct ngsi_param *params, size_t n, const struct ngsi_context *request,
                     const struct ngsi_context *stored, struct arena *arena,
                     struct ngsi_problem *problem);

bool ngsi_list_has(struct ngsi_list list, struct str item);
/* The interval of the temporal query as [*from, *to) in microseconds: before is exclusive, after
 * inclusive. */
void ngsi_time_range(const struct ngsi_query *query, i64 *from_us, i64 *to_us);

/* ------------------------------------------------------------------ answers (clause 4.5) */

struct ngsi_entity {
    struct str         id, type;                /* the type as stored */
    const struct json *attributes;              /* the stored form, read */
    struct wall        created, modified;
};

struct ngsi_view {
    const struct ngsi_query   *query;           /* format, attrs, sysAttrs, lastN, timeproperty */
    const struct ngsi_context *stored, *request;
    bool                       inline_context;  /* application/ld+json: @context in the body */
};

/* Does the entity pass the query's types, ids and attrs? */
bool ngsi_entity_passes(const struct ngsi_entity *entity, const struct ngsi_query *query);
void ngsi_entity_write(struct json_out *o, const struct ngsi_entity *entity,
                       const struct ngsi_view *view, struct arena *arena);

/* One row of history: attributes in the stored form, each with one instance. */
struct ngsi_reading { i64 id; const struct json *attributes; };

/*
 * The temporal evolution of an entity. `readings` rise in time, already cut to the query's
 * interval; the answer rises too, or with lastN falls, at most lastN instances an attribute.
 * *instances (may be NULL) gets how many were written.
 */
void ngsi_temporal_write(struct json_out *o, const struct ngsi_entity *entity,
                         const struct ngsi_reading *readings, size_t n,
                         const struct ngsi_view *view, size_t *instances, struct arena *arena);

#endif
