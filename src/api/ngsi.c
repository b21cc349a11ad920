// SPDX-License-Identifier: Apache-2.0
/*
 * NGSI-LD over HTTP (ETSI GS CIM 009 V1.9.1): which rows a request wants, and the headers of its
 * answer. What it may ask and how entities look is ngsi/'s.
 *
 * A temporal answer is cut at 1,000 readings, the newest: then it is 206 with a Content-Range
 * (clause 6.3.10), as if lastN had been asked for.
 */
#include "api/inside.h"

#include "history/history.h"

#define READINGS_MAX 1000
#define PARAMS_MAX   64
#define NGSI_BYTES   (8 * 1024 * 1024)

/* ------------------------------------------------------------------ the request */

/* Everything the standard names (city-os, 1.2): what is not done here is refused by ngsi/ in words. */
static void text_percent(struct text *t, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        text_fmt(t, plain ? "%c" : "%%%02X", (u8)c);
    }
}

/* The parameters in their order; more than PARAMS_MAX: returns more, and is refused. */
static size_t read_params(struct ngsi_param *out, struct str *raw, struct call *call)
{
    struct str  names[PARAMS_MAX], values[PARAMS_MAX];
    struct text t = text_make(call->rq->arena, 64 * 1024);
    size_t n = http_queries(call->rq, names, values, PARAMS_MAX);
    for (size_t i = 0; i < MIN(n, (size_t)PARAMS_MAX); i++) {
        out[i] = (struct ngsi_param){ names[i], values[i] };
        text_fmt(&t, "%s", i ? "&" : "");
        text_percent(&t, names[i]);
        text_char(&t, '=');
        text_percent(&t, values[i]);
    }
    *raw = text_str(&t);
    return n;
}

static void refuse(struct call *call, const struct ngsi_problem *problem)
{
    struct text     t = text_make(call->rq->arena, 64 * 1024);
    struct json_out o = json_out_make(&t);
    ngsi_problem_write(&o, problem);
    answer_json(call, ngsi_status(problem->error), text_str(&t));
}

static void refuse_as(struct call *call, enum ngsi_error error, struct str detail)
{
    refuse(call, &(struct ngsi_problem){ error, detail });
}

/* No @context is fetched: the core it is, by any of its spellings. */
static bool read_context(struct ngsi_asked *asked, struct call *call)
{
    const struct ngsi_context *core = readers_core(call->api->readers);
    struct str url;
    asked->view.stored = asked->view.request = core;
    if (!ngsi_link_read(&url, http_header(call->rq, S("Link")))) {
        refuse_as(call, NGSI_BAD_REQUEST_DATA, S("the Link header does not name one @context"));
        return false;
    }
    if (url.n > 0 && !ngsi_is_core_url(url)) {
        refuse_as(call, NGSI_NO_CONTEXT,
                  str_fmt(call->rq->arena, "%.*s is not known here; nothing is fetched", STR(url)));
        return false;
    }
    return true;
}

static bool read_request(struct ngsi_asked *asked, struct call *call, enum ngsi_operation operation)
{
    struct ngsi_param   params[PARAMS_MAX];
    struct ngsi_problem problem;
    size_t n = read_params(params, &asked->raw_query, call);
    asked->view.query = &asked->query;
    if (n > PARAMS_MAX) {
        refuse_as(call, NGSI_INVALID_REQUEST, S("more parameters than any operation knows"));
        return false;
    }
    if (!read_context(asked, call))
        return false;
    if (!ngsi_accept(&asked->media, http_header(call->rq, S("Accept")))) {
        refuse_as(call, NGSI_NOT_ACCEPTABLE,
                  S("application/json and application/ld+json can be given"));
        return false;
    }
    asked->view.inline_context = asked->media == NGSI_LD_JSON;
    for (size_t i = 0; i < n; i++)
        if (!str_is_utf8(params[i].name) || !str_is_utf8(params[i].value) ||
            (params[i].value.n && memchr(params[i].value.p, 0, params[i].value.n))) {
            refuse_as(call, NGSI_INVALID_REQUEST, S("a parameter is not UTF-8 text"));
            return false;
        }
    if (ngsi_query_read(&asked->query, operation, params, n, asked->view.request,
                        asked->view.stored, call->rq->arena, &problem))
        return true;
    refuse(call, &problem);
    return false;
}

static bool check_id(struct call *call, struct str id)
{
    if (ngsi_is_uri(id))
        return true;
    refuse_as(call, NGSI_BAD_REQUEST_DATA, S("the entity's id is not a URI"));
    return false;
}

static void answer(struct call *call, struct ngsi_asked *asked, struct text *t, struct json_out *o,
                   int status)
{
    if (!json_out_good(o)) {
        refuse_as(call, t->bad ? NGSI_TOO_MANY : NGSI_INTERNAL,
                  t->bad ? S("the answer is larger than 8 MiB: ask for less at once")
                         : S("the answer was not written whole"));
        return;
    }
    answer_json(call, status, text_str(t));
    call->a->type = str_z(ngsi_media_type(asked->media));
    if (asked->media == NGSI_JSON)
        http_answer_header(call->a, S("Link"),
                           ngsi_link(call->rq->arena, ngsi_context_url(asked->view.request)));
    if (http_header(call->rq, S("NGSILD-Tenant")).n > 0)
        http_answer_header(call->a, S("NGSILD-Tenant"), http_header(call->rq, S("NGSILD-Tenant")));
}

static bool store_answers(struct call *call, enum err err)
{
    if (err == OK || err == ERR_NOT_FOUND)
        return true;
    log_line(LOG_ERROR, "ngsi store=%s words=\"%.*s\"", err_words(err), STR(db_error(call->db)));
    refuse_as(call, NGSI_INTERNAL, S("the store cannot be read at the moment"));
    return false;
}

/* ------------------------------------------------------------------ one entity */

/* Columns: the entity's row */
static struct ngsi_entity read_entity(struct db_query *q, bool with_attributes, struct arena *arena)
{
    return (struct ngsi_entity){
        .id         = str_copy(arena, db_str(q, 1)),
        .type       = str_copy(arena, db_str(q, 2)),
        .attributes = with_attributes ? stored_object(str_copy(arena, db_str(q, 3)), arena) : NULL,
        .created    = { db_i64(q, 5) },
        .modified   = { db_i64(q, 6) },
    };
}

static enum err load_entity(struct ngsi_entity *out, struct call *call, struct str id)
{
    struct db_query *q = db_query(
        call->db, "SELECT " ENTITY_ROW("") " FROM entity "
                  "WHERE tenant = $1 AND id = $2");
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_str(q, 2, id);
    enum err err = db_step(q);
    if (err == OK && !entity_good(q, 0))
        err = ERR_NOT_FOUND;
    if (err == OK)
        *out = read_entity(q, true, call->rq->arena);
    db_reset(q);
    return err;
}

/* The entity, or the answer that there is none: `type` and `attrs` are guards here (clause 5.7.1). */
static bool find(struct ngsi_entity *out, struct call *call, struct ngsi_asked *asked,
                 struct str id)
{
    if (!check_id(call, id))
        return false;
    enum err err = load_entity(out, call, id);
    if (!store_answers(call, err))
        return false;
    if (err == OK && ngsi_entity_passes(out, &asked->query))
        return true;
    refuse_as(call, NGSI_NOT_FOUND, str_fmt(call->rq->arena, "no such entity: %.*s", STR(id)));
    return false;
}

void entity_page(struct call *call, struct ngsi_asked *asked, struct str id)
{
    struct text     t = text_make(call->rq->arena, NGSI_BYTES);
    struct json_out o = json_out_make(&t);
    struct ngsi_entity e;
    if (!find(&e, call, asked, id))
        return;
    ngsi_entity_write(&o, &e, &asked->view, call->rq->arena);
    answer(call, asked, &t, &o, 200);
}

void get_entity(struct call *call)
{
    struct ngsi_asked asked = { .media = NGSI_JSON };
    if (read_request(&asked, call, NGSI_RETRIEVE))
        entity_page(call, &asked, call->rq->param[0]);
}

/* ------------------------------------------------------------------ many entities */

/* What is being written; the rows come from whichever query fits. */
struct listing {
    struct call *call;
    struct ngsi_asked *asked;
    struct json_out *out;
    i64 seen, written;
    struct arena scratch;
};

/* False: enough. A filter on attributes needs the entity's text before it can be counted. */
static bool take(struct listing *l, struct db_query *q)
{
    const struct ngsi_query *query = &l->asked->query;
    arena_reset(&l->scratch);
    bool wanted = l->seen >= query->offset && l->written < query->limit;
    struct ngsi_entity e = read_entity(q, wanted || query->attrs.n > 0, &l->scratch);
    if (!ngsi_entity_passes(&e, query))
        return true;
    l->seen++;
    if (wanted && l->seen > query->offset) {
        ngsi_entity_write(l->out, &e, &l->asked->view, &l->scratch);
        l->written++;
    }
    /* One more than the page tells that there is a next one. */
    return query->count || l->seen <= query->offset + query->limit;
}

static enum err take_all(struct listing *l, struct db_query *q)
{
    enum err err;
    while ((err = db_step(q)) == OK)
        if (entity_good(q, 0) && !take(l, q))
            break;
    db_reset(q);
    return err;
}

static int compare(struct str a, struct str b)
{
    int order = memcmp(a.p, b.p, MIN(a.n, b.n));
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

/* Named ids, each once, in their order: a look each, at most as many as ngsi/ lets be named. */
static enum err take_ids(struct listing *l, struct ngsi_list ids)
{
    struct str last = S("");
    enum err err = OK;
    for (size_t round = 0; round < ids.n && (err == OK || err == ERR_NOT_FOUND); round++) {
        struct str next = S("");
        for (size_t i = 0; i < ids.n; i++)
            if (compare(ids.items[i], last) > 0 && (next.n == 0 || compare(ids.items[i], next) < 0))
                next = ids.items[i];
        if (next.n == 0)
            break;
        struct db_query *q = db_query(
            l->call->db, "SELECT " ENTITY_ROW("") " FROM entity "
                         "WHERE tenant = $1 AND id = $2");
        db_bind_i64(q, 1, (i64)l->call->tenant);
        db_bind_str(q, 2, next);
        err  = take_all(l, q);
        last = next;
    }
    return err;
}

static enum err take_type(struct listing *l, struct str type)
{
    struct db_query *q = db_query(
        l->call->db, "SELECT " ENTITY_ROW("") " FROM entity "
                     "WHERE tenant = $1 AND type = $2 ORDER BY id");
    db_bind_i64(q, 1, (i64)l->call->tenant);
    db_bind_str(q, 2, type);
    return take_all(l, q);
}

static enum err take_any(struct listing *l)
{
    struct db_query *q = db_query(
        l->call->db, "SELECT " ENTITY_ROW("") " FROM entity "
                     "WHERE tenant = $1 ORDER BY id");
    db_bind_i64(q, 1, (i64)l->call->tenant);
    return take_all(l, q);
}

/* One type and nothing else is what everybody asks: the store counts and skips by its index. */
static enum err take_page(struct listing *l, struct str type)
{
    struct db_query *q = db_query(
        l->call->db, "SELECT " ENTITY_ROW("") " FROM entity "
                     "WHERE tenant = $1 AND type = $2 ORDER BY id LIMIT $3 OFFSET $4");
    struct ngsi_query *query = &l->asked->query;
    db_bind_i64(q, 1, (i64)l->call->tenant);
    db_bind_str(q, 2, type);
    db_bind_i64(q, 3, query->limit + 1);
    db_bind_i64(q, 4, query->offset);
    l->seen = query->offset;
    enum err err = take_all(l, q);
    if (!query->count || (err != OK && err != ERR_NOT_FOUND))
        return err;
    q = db_query(l->call->db, "SELECT COUNT(*) FROM entity WHERE tenant = $1 AND type = $2");
    db_bind_i64(q, 1, (i64)l->call->tenant);
    db_bind_str(q, 2, type);
    err = db_step(q);
    if (err == OK)
        l->seen = db_i64(q, 0);
    db_reset(q);
    return err;
}

static enum err take_wanted(struct listing *l)
{
    const struct ngsi_query *query = &l->asked->query;
    if (query->ids.n > 0)
        return take_ids(l, query->ids);
    if (query->types.n == 1)
        return query->attrs.n == 0 ? take_page(l, query->types.items[0])
                                   : take_type(l, query->types.items[0]);
    return take_any(l);
}

static void page_headers(struct call *call, const struct listing *l)
{
    const struct ngsi_query *query = &l->asked->query;
    bool more = l->seen > query->offset + l->written;
    struct str link = ngsi_page_link(call->rq->arena, call->rq->path, l->asked->raw_query,
                                     query->limit, query->offset, more);
    if (link.n)
        http_answer_header(call->a, S("Link"), link);
    if (query->count)
        http_answer_header(call->a, S("NGSILD-Results-Count"),
                           str_fmt(call->rq->arena, "%lld", (long long)l->seen));
}

void entities_page(struct call *call, struct ngsi_asked *asked)
{
    struct text     t = text_make(call->rq->arena, NGSI_BYTES);
    struct json_out o = json_out_make(&t);
    struct listing  l = { call, asked, &o, 0, 0, arena_make(64 * 1024) };
    json_open_array(&o);
    enum err err = take_wanted(&l);
    json_close(&o);
    arena_free(&l.scratch);
    if (!store_answers(call, err))
        return;
    answer(call, asked, &t, &o, 200);
    if (call->a->status == 200)
        page_headers(call, &l);
}

void get_entities(struct call *call)
{
    struct ngsi_asked asked = { .media = NGSI_JSON };
    if (read_request(&asked, call, NGSI_QUERY))
        entities_page(call, &asked);
}

/* ------------------------------------------------------------------ an entity over time */

struct evolution {
    i64  from_us, to_us;                       /* [from, to) of the time that was asked for */
    bool by_id;                        /* createdAt, modifiedAt: when we took it, which is its id */
    struct ngsi_reading *newest;
    struct wall *at;
    size_t n;
    bool cut;
    struct arena *arena;
};

static bool keep(void *arg, const struct history_row *row)
{
    struct evolution *e = arg;
    i64 at_us = e->by_id ? row->id : row->observed.us;
    if (at_us < e->from_us || at_us >= e->to_us)
        return !e->by_id || at_us >= e->from_us;   /* ids fall from row to row; times may not */
    if (e->n == READINGS_MAX) {
        e->cut = true;
        return false;
    }
    const struct json *attributes = stored_object(str_copy(e->arena, row->attributes), e->arena);
    if (attributes) {
        e->at[e->n]       = (struct wall){ at_us };
        e->newest[e->n++] = (struct ngsi_reading){ row->id, attributes };
    }
    return true;
}

static enum err load_evolution(struct evolution *e, struct call *call,
                               const struct ngsi_query *query, struct str id)
{
    *e = (struct evolution){ .by_id = query->timeproperty != NGSI_OBSERVED_AT,
                             .newest = arena_array(call->rq->arena, struct ngsi_reading,
                                                   READINGS_MAX),
                             .at = arena_array(call->rq->arena, struct wall, READINGS_MAX),
                             .arena = call->rq->arena };
    ngsi_time_range(query, &e->from_us, &e->to_us);
    /* Nothing is older than the clock's beginning, and the walk looks a day past its bounds. */
    struct wall from = { e->by_id ? 0 : MAX(e->from_us, 0) };
    struct wall to   = { e->by_id ? INT64_MAX : MAX(e->to_us, 1) - 1 };
    return history_walk(call->db, call->tenant, id, from, to, keep, e);
}

static void swap(struct evolution *e, size_t a, size_t b)
{
    struct ngsi_reading r = e->newest[a];
    struct wall at = e->at[a];
    e->newest[a] = e->newest[b];
    e->at[a]     = e->at[b];
    e->newest[b] = r;
    e->at[b]     = at;
}

/* From the oldest on. Late readings stand where they arrived; they are few, so bringing them home is short. */
static void order(struct evolution *e)
{
    for (size_t i = 0; i < e->n / 2; i++)
        swap(e, i, e->n - 1 - i);
    for (size_t i = 1; i < e->n; i++)
        for (size_t k = i; k > 0 && e->at[k - 1].us > e->at[k].us; k--)
            swap(e, k - 1, k);
}

static void say_cut(struct call *call, const struct evolution *e)
{
    struct arena *arena = call->rq->arena;
    struct str newest = wall_str(arena, e->at[e->n - 1]), oldest = wall_str(arena, e->at[0]);
    http_answer_header(call->a, S("Content-Range"),
                       str_fmt(arena, "date-time %.*s-%.*s/*", STR(newest), STR(oldest)));
}

void temporal_page(struct call *call, struct ngsi_asked *asked, struct str id)
{
    struct text     t = text_make(call->rq->arena, NGSI_BYTES);
    struct json_out o = json_out_make(&t);
    struct ngsi_entity entity;
    struct evolution e;
    if (!find(&entity, call, asked, id) ||
        !store_answers(call, load_evolution(&e, call, &asked->query, id)))
        return;
    order(&e);
    bool enough = asked->query.last_n > 0 && asked->query.last_n <= READINGS_MAX;
    bool cut    = e.cut && !enough;
    if (cut)
        asked->query.last_n = READINGS_MAX;
    ngsi_temporal_write(&o, &entity, e.newest, e.n, &asked->view, NULL, call->rq->arena);
    answer(call, asked, &t, &o, cut ? 206 : 200);
    if (cut && call->a->status == 206)
        say_cut(call, &e);
}

void get_temporal(struct call *call)
{
    struct ngsi_asked asked = { .media = NGSI_JSON };
    if (read_request(&asked, call, NGSI_TEMPORAL_RETRIEVE))
        temporal_page(call, &asked, call->rq->param[0]);
}
