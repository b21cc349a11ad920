// SPDX-License-Identifier: Apache-2.0
/*
 * What a request asks for.
 *
 * Parameters are one table: name, where it may stand, and the function that reads it; a parameter
 * that the specification knows and Hotaru does not do yet stands there without a function and is
 * refused with its name, not ignored: a filter that is silently dropped gives away too much. Names
 * are exact, booleans are true and false, and what no one knows is InvalidRequest.
 */
#include "ngsi/ngsi.h"

/* ------------------------------------------------------------------ media types */

static const char *const media_types[] = {
    [NGSI_JSON] = "application/json", [NGSI_LD_JSON] = "application/ld+json"
};
static_assert(COUNT(media_types) == NGSI_MEDIA_KINDS, "every medium has a type");

const char *ngsi_media_type(enum ngsi_media media) { return media_types[media]; }

/* "0.75" → 750; what is no weight counts as one. */
static int read_weight(struct str s)
{
    double q;
    if (!str_to_double(&q, s) || q < 0 || q > 1)
        return 1000;
    return (int)(q * 1000 + 0.5);
}

/* One range of an Accept header: how exactly it names the type (0: not at all), and its weight. */
static int match_range(int *weight, struct str range, struct str type)
{
    struct str parameters = range, name = str_trim(str_cut(&parameters, ';'));
    struct str major = type;

    major = str_cut(&major, '/');
    *weight = 1000;
    while (parameters.n > 0) {
        struct str value = str_cut(&parameters, ';'), key = str_trim(str_cut(&value, '='));
        if (str_eq_nocase(key, S("q")))
            *weight = read_weight(str_trim(value));
    }
    if (str_eq_nocase(name, type))
        return 3;
    if (str_ends(name, S("/*")) && str_eq_nocase((struct str){ name.p, name.n - 2 }, major))
        return 2;
    return str_eq(name, S("*/*"));
}

bool ngsi_accept(enum ngsi_media *out, struct str accept)
{
    int best = 0;

    *out = NGSI_JSON;
    if (str_trim(accept).n == 0)
        return true;
    for (int media = 0; media < NGSI_MEDIA_KINDS; media++) {
        int        exactness = 0, weight = 0, w;
        struct str rest = accept;
        while (rest.n > 0) {
            int e = match_range(&w, str_cut(&rest, ','), str_z(media_types[media]));
            if (e > exactness) {
                exactness = e;
                weight = w;
            }
        }
        if (weight > best) {                     /* of equals the first: application/json */
            best = weight;
            *out = (enum ngsi_media)media;
        }
    }
    return best > 0;
}

/* ------------------------------------------------------------------ Link (RFC 8288; clause 6.3.5) */

#define CONTEXT_RELATION "http://www.w3.org/ns/json-ld#context"

/* Up to the next `sep` that stands outside quotes and angle brackets. */
static struct str cut_outside(struct str *rest, char sep)
{
    bool   quoted = false, angled = false;
    size_t i = 0;

    for (; i < rest->n; i++) {
        char c = rest->p[i];
        if (c == '"' && !angled) quoted = !quoted;
        if (c == '<' && !quoted) angled = true;
        if (c == '>' && !quoted) angled = false;
        if (c == sep && !quoted && !angled)
            break;
    }
    struct str part = { rest->p, i };
    *rest = i < rest->n ? (struct str){ rest->p + i + 1, rest->n - i - 1 } : S("");
    return part;
}

static struct str unquoted(struct str s)
{
    s = str_trim(s);
    bool quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
    return quoted ? (struct str){ s.p + 1, s.n - 2 } : s;
}

bool ngsi_link_read(struct str *url, struct str link)
{
    *url = S("");
    link = str_trim(link);
    while (link.n > 0) {
        struct str value = cut_outside(&link, ','), target = str_trim(cut_outside(&value, ';'));
        bool       is_context = false;

        if (target.n < 2 || target.p[0] != '<' || target.p[target.n - 1] != '>')
            return false;
        while (value.n > 0) {
            struct str text = cut_outside(&value, ';'), key = str_trim(str_cut(&text, '='));
            is_context |=
                str_eq_nocase(key, S("rel")) && str_eq(unquoted(text), S(CONTEXT_RELATION));
        }
        if (!is_context)
            continue;
        if (url->n > 0)
            return false;
        *url = (struct str){ target.p + 1, target.n - 2 };
        if (!ngsi_is_uri(*url))
            return false;
    }
    return true;
}

struct str ngsi_link(struct arena *arena, struct str url)
{
    return str_fmt(arena, "<%.*s>; rel=\"" CONTEXT_RELATION "\"; type=\"application/ld+json\"",
                   STR(url));
}

/* What may stand between < and > of a Link: all else is percent-encoded. */
static void put_link_safe(struct text *t, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if ((u8)c > 0x20 && (u8)c < 0x7F && !memchr("<>\"\\^`{|}", c, 9))
            text_char(t, c);
        else
            text_fmt(t, "%%%02X", (unsigned)(u8)c);
    }
}

static void put_page(struct text *t, struct str path, struct str raw_query, i64 limit, i64 offset,
                     const char *rel)
{
    text_put(t, t->n > 0 ? S(", <") : S("<"));
    put_link_safe(t, path);
    text_char(t, '?');
    while (raw_query.n > 0) {
        struct str pair = str_cut(&raw_query, '&'), value = pair, name = str_cut(&value, '=');
        if (name.n == 0 || str_eq(name, S("limit")) || str_eq(name, S("offset")))
            continue;
        put_link_safe(t, pair);
        text_char(t, '&');
    }
    text_fmt(t, "limit=%lld&offset=%lld>; rel=\"%s\"", (long long)limit, (long long)offset, rel);
}

struct str ngsi_page_link(struct arena *arena, struct str path, struct str raw_query, i64 limit,
                          i64 offset, bool more)
{
    enum { HEADER_MAX = 16 << 10 };
    struct text t = text_make(arena, HEADER_MAX);

    if (limit <= 0)
        return S("");
    if (more)
        put_page(&t, path, raw_query, limit, offset + limit, "next");
    if (offset > 0)
        put_page(&t, path, raw_query, limit, MAX(offset - limit, (i64)0), "prev");
    return t.bad ? S("") : text_str(&t);         /* rather no links than half a header */
}

/* ------------------------------------------------------------------ the query string */

static bool decode(struct str *out, struct str s, struct arena *arena)
{
    char  *p = arena_array(arena, char, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            p[n++] = s.p[i] == '+' ? ' ' : s.p[i];
            continue;
        }
        size_t got;
        if (s.n - i < 3 || !hex_read((u8 *)p + n, 1, &got, (struct str){ s.p + i + 1, 2 }))
            return false;
        n++;
        i += 2;
    }
    *out = (struct str){ p, n };
    return str_is_utf8(*out) && !memchr(p, 0, n);
}

bool ngsi_params_read(struct ngsi_param *out, size_t room, size_t *n, struct str raw_query,
                      struct arena *arena)
{
    *n = 0;
    while (raw_query.n > 0) {
        struct str value = str_cut(&raw_query, '&');
        if (value.n == 0)
            continue;
        struct str name = str_cut(&value, '=');
        if (*n == room || !decode(&out[*n].name, name, arena)
            || !decode(&out[*n].value, value, arena))
            return false;
        (*n)++;
    }
    return true;
}

/* ------------------------------------------------------------------ parameters */

struct asking {
    struct ngsi_query         *query;
    enum ngsi_operation        operation;
    const struct ngsi_context *request, *stored;
    struct arena              *arena;
    struct ngsi_problem       *problem;
    bool                       format_said, time_at_said, end_time_at_said;
};

static bool refuse(struct asking *a, enum ngsi_error error, struct str detail)
{
    *a->problem = (struct ngsi_problem){ error, detail };
    return false;
}

static bool refuse_value(struct asking *a, const struct ngsi_param *p, const char *wanted)
{
    return refuse(
        a, NGSI_BAD_REQUEST_DATA,
        str_fmt(a->arena, "%.*s: \"%.*s\" is not %s", STR(p->name), STR(p->value), wanted));
}

static bool refuse_later(struct asking *a, struct str name)
{
    return refuse(a, NGSI_NOT_SUPPORTED, str_fmt(a->arena, "%.*s is not done here yet", STR(name)));
}

/* A list cut at commas (and `other`), each item looked at. */
static bool read_list(struct asking *a, const struct ngsi_param *p, char other,
                      struct ngsi_list *out, bool (*good)(struct str), const char *wanted,
                      bool are_names)
{
    struct str *items = arena_array(a->arena, struct str, NGSI_LIST_MAX);
    struct str  rest = p->value;
    size_t      n = 0;

    if (rest.n == 0)
        return refuse_value(a, p, wanted);
    for (size_t from = 0, i = 0; i <= rest.n; i++) {
        if (i < rest.n && rest.p[i] != ',' && rest.p[i] != other)
            continue;
        struct str item = { rest.p + from, i - from };
        from = i + 1;
        if (!good(item))
            return refuse_value(a, p, wanted);
        if (n == NGSI_LIST_MAX)
            return refuse(a, NGSI_TOO_COMPLEX,
                          str_fmt(a->arena, "%.*s names more than 100", STR(p->name)));
        items[n++] = are_names ? ngsi_translate(a->request, a->stored, item, a->arena) : item;
    }
    *out = (struct ngsi_list){ items, n };
    return true;
}

static bool read_ids(struct asking *a, const struct ngsi_param *p)
{
    return read_list(a, p, ',', &a->query->ids, ngsi_is_uri, "a list of URIs", false);
}

static bool read_attrs(struct asking *a, const struct ngsi_param *p)
{
    return read_list(a, p, ',', &a->query->attrs, ngsi_is_name, "a list of attribute names", true);
}

/* Clause 4.17. Commas and bars are OR; AND in brackets comes later. */
static bool read_types(struct asking *a, const struct ngsi_param *p)
{
    for (size_t i = 0; i < p->value.n; i++)
        if (memchr("();", p->value.p[i], 3))
            return refuse(a, NGSI_TOO_COMPLEX,
                          S("type: brackets and ; are not done here yet; use , for or"));
    return read_list(a, p, '|', &a->query->types, ngsi_is_name, "a list of types", true);
}

static bool read_count_of(struct asking *a, const struct ngsi_param *p, i64 least, i64 *out)
{
    if (!str_to_i64(out, p->value) || *out < least || p->value.p[0] == '+')
        return refuse_value(a, p, least ? "a whole number above zero" : "a whole number");
    return true;
}

static bool read_limit(struct asking *a, const struct ngsi_param *p)
{
    if (!read_count_of(a, p, 0, &a->query->limit))
        return false;
    if (a->query->limit > NGSI_LIMIT_MAX)
        return refuse(a, NGSI_TOO_MANY,
                      S("limit: 1000 is the most; follow the Link header for the rest"));
    return true;
}

static bool read_offset(struct asking *a, const struct ngsi_param *p)
{
    return read_count_of(a, p, 0, &a->query->offset);
}

static bool read_last_n(struct asking *a, const struct ngsi_param *p)
{
    return read_count_of(a, p, 1, &a->query->last_n);
}

static bool read_bool(struct asking *a, const struct ngsi_param *p, bool *out)
{
    *out = str_eq(p->value, S("true"));
    return *out || str_eq(p->value, S("false")) || refuse_value(a, p, "true or false");
}

static bool read_count(struct asking *a, const struct ngsi_param *p) { return read_bool(a, p, &a->query->count); }

static bool read_sys_attrs(struct asking *a, const struct ngsi_param *p)
{
    return read_bool(a, p, &a->query->sys_attrs);
}

static bool read_local(struct asking *a, const struct ngsi_param *p)
{
    bool unused;                                 /* all is local here */
    return read_bool(a, p, &unused);
}

#define ENTITIES ((u32)NGSI_RETRIEVE | NGSI_QUERY)
#define TEMPORAL ((u32)NGSI_TEMPORAL_RETRIEVE | NGSI_TEMPORAL_QUERY)

static bool read_format_word(struct asking *a, const struct ngsi_param *p, struct str word)
{
    static const struct { struct str word; u32 where; enum ngsi_format format; } formats[] = {
        { S("normalized"),     ENTITIES | TEMPORAL, NGSI_NORMALIZED },
        { S("concise"),        ENTITIES | TEMPORAL, NGSI_CONCISE },
        { S("simplified"),     ENTITIES,            NGSI_SIMPLIFIED },
        { S("keyValues"),      ENTITIES,            NGSI_SIMPLIFIED },
        { S("simplified"),     TEMPORAL,            NGSI_TEMPORAL_VALUES },
        { S("temporalValues"), TEMPORAL,            NGSI_TEMPORAL_VALUES },
    };
    if (str_eq(word, S("aggregatedValues")) && (a->operation & TEMPORAL))
        return refuse_later(a, word);
    for (size_t i = 0; i < COUNT(formats); i++) {
        if (!str_eq(word, formats[i].word) || !(a->operation & formats[i].where))
            continue;
        if (a->format_said && a->query->format != formats[i].format)
            return refuse(a, NGSI_BAD_REQUEST_DATA, S("two formats are asked for at once"));
        a->query->format = formats[i].format;
        a->format_said = true;
        return true;
    }
    return refuse_value(a, p, "a format of this operation");
}

static bool read_format(struct asking *a, const struct ngsi_param *p) { return read_format_word(a, p, p->value); }

static bool read_options(struct asking *a, const struct ngsi_param *p)
{
    struct str rest = p->value;
    do {
        struct str word = str_cut(&rest, ',');
        if (str_eq(word, S("sysAttrs")))
            a->query->sys_attrs = true;
        else if (!read_format_word(a, p, word))
            return false;
    } while (rest.n > 0);
    return true;
}

static bool read_timerel(struct asking *a, const struct ngsi_param *p)
{
    static const struct { struct str word; enum ngsi_timerel timerel; } words[] = {
        { S("before"), NGSI_BEFORE }, { S("after"), NGSI_AFTER }, { S("between"), NGSI_BETWEEN },
    };
    for (size_t i = 0; i < COUNT(words); i++)
        if (str_eq(p->value, words[i].word)) {
            a->query->timerel = words[i].timerel;
            return true;
        }
    return refuse_value(a, p, "before, after or between");
}

static bool read_timeproperty(struct asking *a, const struct ngsi_param *p)
{
    static const struct { struct str word; enum ngsi_timeproperty property; } words[] = {
        { S("observedAt"), NGSI_OBSERVED_AT }, { S("createdAt"), NGSI_CREATED_AT },
        { S("modifiedAt"), NGSI_MODIFIED_AT },
    };
    for (size_t i = 0; i < COUNT(words); i++)
        if (str_eq(p->value, words[i].word)) {
            a->query->timeproperty = words[i].property;
            return true;
        }
    if (str_eq(p->value, S("deletedAt")))
        return refuse_later(a, p->value);
    return refuse_value(a, p, "observedAt, createdAt or modifiedAt");
}

static bool read_time(struct asking *a, const struct ngsi_param *p, struct wall *out, bool *said)
{
    *said = true;
    return wall_read(out, p->value)
           || refuse_value(a, p, "an ISO 8601 date and time with its zone");
}

static bool read_time_at(struct asking *a, const struct ngsi_param *p)
{
    return read_time(a, p, &a->query->time_at, &a->time_at_said);
}

static bool read_end_time_at(struct asking *a, const struct ngsi_param *p)
{
    return read_time(a, p, &a->query->end_time_at, &a->end_time_at_said);
}

typedef bool read_parameter(struct asking *a, const struct ngsi_param *p);

static const struct { struct str name; u32 where; read_parameter *read; } parameters[] = {
    /*                      where it may stand                             NULL: known, not done yet */
    { S("type"),            ENTITIES | TEMPORAL,                           read_types        },
    { S("id"),              NGSI_QUERY | NGSI_TEMPORAL_QUERY,              read_ids          },
    { S("attrs"),           ENTITIES | TEMPORAL,                           read_attrs        },
    { S("limit"),           NGSI_QUERY | NGSI_TEMPORAL_QUERY,              read_limit        },
    { S("offset"),          NGSI_QUERY | NGSI_TEMPORAL_QUERY,              read_offset       },
    { S("count"),           NGSI_QUERY | NGSI_TEMPORAL_QUERY,              read_count        },
    { S("options"),         ENTITIES | TEMPORAL,                           read_options      },
    { S("format"),          ENTITIES | TEMPORAL,                           read_format       },
    { S("sysAttrs"),        ENTITIES | TEMPORAL,                           read_sys_attrs    },
    { S("local"),           ENTITIES | TEMPORAL,                           read_local        },
    { S("timerel"),         TEMPORAL,                                      read_timerel      },
    { S("timeAt"),          TEMPORAL,                                      read_time_at      },
    { S("endTimeAt"),       TEMPORAL,                                      read_end_time_at  },
    { S("timeproperty"),    TEMPORAL,                                      read_timeproperty },
    { S("lastN"),           TEMPORAL,                                      read_last_n       },
    { S("idPattern"),       NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("pick"),            ENTITIES | TEMPORAL,                           NULL },
    { S("omit"),            ENTITIES | TEMPORAL,                           NULL },
    { S("q"),               NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("csf"),             NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("georel"),          NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("geometry"),        NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("coordinates"),     NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("geoproperty"),     NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("geometryProperty"), ENTITIES,                                     NULL },
    { S("scopeQ"),          NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("lang"),            ENTITIES | TEMPORAL,                           NULL },
    { S("datasetId"),       ENTITIES | TEMPORAL,                           NULL },
    { S("expandValues"),    NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("jsonKeys"),        NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("orderBy"),         NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("orderFrom"),       NGSI_QUERY,                                    NULL },
    { S("orderGeometry"),   NGSI_QUERY,                                    NULL },
    { S("collation"),       NGSI_QUERY | NGSI_TEMPORAL_QUERY,              NULL },
    { S("join"),            ENTITIES,                                      NULL },
    { S("joinLevel"),       ENTITIES,                                      NULL },
    { S("containedBy"),     ENTITIES,                                      NULL },
    { S("aggrMethods"),     TEMPORAL,                                      NULL },
    { S("aggrPeriodDuration"), TEMPORAL,                                   NULL },
    { S("firstN"),          TEMPORAL,                                      NULL },
    { S("offsetN"),         TEMPORAL,                                      NULL },
};

static bool read_parameter_of(struct asking *a, const struct ngsi_param *p)
{
    for (size_t i = 0; i < COUNT(parameters); i++) {
        if (!str_eq(p->name, parameters[i].name) || !(a->operation & parameters[i].where))
            continue;
        return parameters[i].read ? parameters[i].read(a, p) : refuse_later(a, p->name);
    }
    return refuse(a, NGSI_INVALID_REQUEST,
                  str_fmt(a->arena, "\"%.*s\" is no parameter of this operation", STR(p->name)));
}

/* What only shows when all parameters are known (clauses 4.11, 5.5.9). */
static bool agree(struct asking *a)
{
    const struct ngsi_query *q = a->query;

    if (q->limit == 0 && !q->count)
        return refuse(a, NGSI_BAD_REQUEST_DATA, S("limit=0 asks for nothing: it needs count=true"));
    if (a->operation == NGSI_TEMPORAL_QUERY && q->timerel == NGSI_ANY_TIME)
        return refuse(a, NGSI_BAD_REQUEST_DATA, S("timerel is missing: before, after or between"));
    if (q->timerel == NGSI_ANY_TIME && (a->time_at_said || a->end_time_at_said))
        return refuse(a, NGSI_BAD_REQUEST_DATA, S("timeAt and endTimeAt need timerel"));
    if (q->timerel != NGSI_ANY_TIME && !a->time_at_said)
        return refuse(a, NGSI_BAD_REQUEST_DATA, S("timerel needs timeAt"));
    if ((q->timerel == NGSI_BETWEEN) != a->end_time_at_said)
        return refuse(a, NGSI_BAD_REQUEST_DATA,
                      S("timerel=between needs endTimeAt, and nothing else does"));
    if (q->timerel == NGSI_BETWEEN && q->end_time_at.us <= q->time_at.us)
        return refuse(a, NGSI_BAD_REQUEST_DATA, S("endTimeAt does not lie behind timeAt"));
    return true;
}

bool ngsi_query_read(struct ngsi_query *out, enum ngsi_operation operation,
                     const struct ngsi_param *params, size_t n, const struct ngsi_context *request,
                     const struct ngsi_context *stored, struct arena *arena,
                     struct ngsi_problem *problem)
{
    struct asking a = { .query = out, .operation = operation, .request = request, .stored = stored,
                        .arena = arena, .problem = problem };

    *out = (struct ngsi_query){ .limit = NGSI_LIMIT_USUAL };
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            if (str_eq(params[k].name, params[i].name))
                return refuse(&a, NGSI_INVALID_REQUEST,
                              str_fmt(arena, "\"%.*s\" is given twice", STR(params[i].name)));
        if (!read_parameter_of(&a, &params[i]))
            return false;
    }
    return agree(&a);
}

/* ------------------------------------------------------------------ questions about a query */

bool ngsi_list_has(struct ngsi_list list, struct str item)
{
    for (size_t i = 0; i < list.n; i++)
        if (str_eq(list.items[i], item))
            return true;
    return false;
}

void ngsi_time_range(const struct ngsi_query *q, i64 *from_us, i64 *to_us)
{
    *from_us = q->timerel == NGSI_AFTER || q->timerel == NGSI_BETWEEN ? q->time_at.us : INT64_MIN;
    *to_us = q->timerel == NGSI_BEFORE    ? q->time_at.us
             : q->timerel == NGSI_BETWEEN ? q->end_time_at.us
                                          : INT64_MAX;
}
