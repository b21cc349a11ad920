// SPDX-License-Identifier: Apache-2.0
/*
 * @context: which IRI a short name stands for, and back.
 *
 * Of JSON-LD 1.1 this is the part that NGSI-LD needs: terms, compact IRIs, @vocab, and a protected
 * core that comes last and wins (clause 5.5.7). Scoped contexts of a user are refused; the one in
 * the core (ngsildproof) is opaque. Nothing is ever fetched.
 *
 * A context is two hash tables over one array of terms, by name and by IRI, in an arena.
 */
#include "ngsi/ngsi.h"

/* IRI_BYTES_MAX: terms that build on each other must not grow without end. */
enum { TERMS_MAX = 20000, PREFIX_DEPTH_MAX = 8, IRI_BYTES_MAX = 2048 };

struct term { struct str name, iri; };

struct ngsi_context {
    struct str   url, vocab;
    struct term *terms;
    u32          n, mask;
    u32         *by_name, *by_iri;               /* place + 1 in `terms`; 0: free */
    const struct ngsi_context *core;             /* of a user context */
};

/* ------------------------------------------------------------------ tables */

static const struct term *find(const struct ngsi_context *c, const u32 *table, bool iri,
                               struct str key)
{
    for (u64 at = hash_bytes(bytes_of(key)) & c->mask; table[at]; at = (at + 1) & c->mask) {
        const struct term *t = &c->terms[table[at] - 1];
        if (str_eq(iri ? t->iri : t->name, key))
            return t;
    }
    return NULL;
}

static const struct term *term_named(const struct ngsi_context *c, struct str name)
{
    return find(c, c->by_name, false, name);
}

static void put(const struct ngsi_context *c, u32 *table, struct str key, u32 place)
{
    u64 at = hash_bytes(bytes_of(key)) & c->mask;
    while (table[at])
        at = (at + 1) & c->mask;
    table[at] = place + 1;
}

/* Of two terms for one IRI the shorter one is used, then the one that sorts first. */
static bool is_better(struct str a, struct str b)
{
    return a.n != b.n ? a.n < b.n : memcmp(a.p, b.p, a.n) < 0;
}

static void index_iris(struct ngsi_context *c)
{
    for (u32 i = 0; i < c->n; i++) {
        u64 at = hash_bytes(bytes_of(c->terms[i].iri)) & c->mask;
        while (c->by_iri[at] && !str_eq(c->terms[c->by_iri[at] - 1].iri, c->terms[i].iri))
            at = (at + 1) & c->mask;
        if (!c->by_iri[at] || is_better(c->terms[i].name, c->terms[c->by_iri[at] - 1].name))
            c->by_iri[at] = i + 1;
    }
}

/* ------------------------------------------------------------------ reading */

struct reading {
    struct ngsi_context *context;
    struct arena        *arena;
    struct ngsi_problem *problem;
    bool                 is_core;
};

static bool refuse(struct reading *r, enum ngsi_error error, struct str detail)
{
    *r->problem = (struct ngsi_problem){ error, detail };
    return false;
}

bool ngsi_is_core_url(struct str url)
{
    static const struct str fronts[] = { S("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context"),
                                         S("http://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context") };
    for (size_t i = 0; i < COUNT(fronts); i++) {
        if (!str_starts(url, fronts[i]) || !str_ends(url, S(".jsonld")))
            continue;
        struct str rest = { url.p + fronts[i].n, url.n - fronts[i].n - S(".jsonld").n };
        return rest.n == 0 || str_starts(rest, S("-v1."));
    }
    return false;
}

static bool read_term(struct reading *r, const struct json *v)
{
    struct ngsi_context *c = r->context;
    const struct json   *id = v;

    if (str_eq(v->key, S("@vocab"))) {
        c->vocab = json_str(v, r->arena);
        return true;
    }
    if (str_starts(v->key, S("@")) || json_is(v, JSON_NULL))
        return true;                             /* @version, @protected, @base, …; null takes a term away */
    if (json_is(v, JSON_OBJECT)) {
        id = json_get(v, S("@id"));
        if (json_get(v, S("@context")) && !r->is_core)
            return refuse(r, NGSI_BAD_REQUEST_DATA,
                          S("the @context has a term with a @context of its own"));
    }
    if ((id && !json_is(id, JSON_STRING)) || (!id && !json_is(v, JSON_OBJECT)))
        return refuse(r, NGSI_BAD_REQUEST_DATA,
                      str_fmt(r->arena, "the @context defines \"%.*s\" by something that is no IRI",
                              STR(v->key)));
    struct str iri = id ? json_str(id, r->arena) : v->key;
    const struct term *known = term_named(c, v->key);
    if (known) {                                 /* the later part of an array wins (JSON-LD 1.1, 4.1) */
        c->terms[known - c->terms].iri = iri;
        return true;
    }
    if (c->n == TERMS_MAX)
        return refuse(r, NGSI_TOO_COMPLEX, S("the @context has more than 20,000 terms"));
    c->terms[c->n] = (struct term){ v->key, iri };
    put(c, c->by_name, v->key, c->n);
    c->n++;
    return true;
}

static bool read_part(struct reading *r, const struct json *v)
{
    if (json_is(v, JSON_STRING)) {
        struct str url = json_str(v, r->arena);
        if (ngsi_is_core_url(url))
            return true;
        return refuse(r, NGSI_NO_CONTEXT,
                      str_fmt(r->arena, "%.*s is not among the contexts kept here", STR(url)));
    }
    if (!json_is(v, JSON_OBJECT))
        return refuse(r, NGSI_BAD_REQUEST_DATA, S("the @context is neither an object nor a URL"));
    JSON_EACH (term, v)
        if (!read_term(r, term))
            return false;
    return true;
}

static u32 count_terms(const struct json *v)
{
    u32 n = json_is(v, JSON_OBJECT) ? v->members : 0;
    if (json_is(v, JSON_ARRAY))
        JSON_EACH (part, v)
            n += part->members;
    return n;
}

/* "prefix:rest" by the terms of the context itself, then of the core. */
static struct str expand_prefix(const struct ngsi_context *c, struct str iri, struct arena *arena)
{
    for (int depth = 0; depth < PREFIX_DEPTH_MAX; depth++) {
        struct str rest = iri, prefix = str_cut(&rest, ':');
        if (prefix.n == iri.n || str_starts(rest, S("//")))
            return iri;
        const struct term *t = c->core ? term_named(c->core, prefix) : NULL;
        t = t ? t : term_named(c, prefix);
        if (!t || str_eq(t->iri, iri) || t->iri.n + rest.n > IRI_BYTES_MAX)
            return iri;
        iri = str_fmt(arena, "%.*s%.*s", STR(t->iri), STR(rest));
    }
    return iri;
}

enum settled { UNTOUCHED, BEGUN, SETTLED };

static bool settle(struct reading *r, u8 *state, u32 i, int depth);

/* The term of the same context that a definition begins with, settled first; NULL: there is none. */
static bool settle_other(struct reading *r, u8 *state, const struct term **other, struct str name, u32 i, int depth)
{
    const struct ngsi_context *c = r->context;

    *other = c->core && term_named(c->core, name) ? NULL : term_named(c, name);
    if (!*other || *other == &c->terms[i])
        return true;
    return settle(r, state, (u32)(*other - c->terms), depth + 1);
}

/*
 * A definition may use another term, a compact IRI or @vocab; afterwards all are IRIs or keywords. One
 * that comes back to itself would mean another IRI each time (JSON-LD 1.1: "cyclic IRI mapping").
 */
static bool settle(struct reading *r, u8 *state, u32 i, int depth)
{
    struct ngsi_context *c = r->context;
    struct term *t = &c->terms[i];
    struct str   rest = t->iri, prefix = str_cut(&rest, ':'), vocab = c->vocab.n ? c->vocab : S(NGSI_DEFAULT_IRI);
    bool compact = prefix.n < t->iri.n;
    const struct term *other = NULL;

    if (state[i] == SETTLED || str_starts(t->iri, S("@")) || (compact && str_starts(rest, S("//"))))
        return true;
    if (state[i] == BEGUN || depth > PREFIX_DEPTH_MAX || (compact && rest.n > 0 && str_eq(prefix, t->name)))
        return refuse(r, NGSI_BAD_REQUEST_DATA,
                      str_fmt(r->arena, "the @context defines \"%.*s\" by itself", STR(t->name)));
    state[i] = BEGUN;
    if (!settle_other(r, state, &other, prefix, i, depth))
        return false;
    if (compact)
        t->iri = expand_prefix(c, t->iri, r->arena);
    else
        t->iri = other && other != t ? other->iri : str_fmt(r->arena, "%.*s%.*s", STR(vocab), STR(t->iri));
    state[i] = SETTLED;
    return true;
}

static bool settle_iris(struct reading *r)
{
    u8 *state = arena_array(r->arena, u8, r->context->n + 1);

    if (r->context->vocab.n > 0 && !ngsi_is_uri(r->context->vocab))
        return refuse(r, NGSI_BAD_REQUEST_DATA, S("the @vocab is no IRI"));
    for (u32 i = 0; i < r->context->n; i++)
        if (!settle(r, state, i, 0))
            return false;
    return true;
}

static bool read_context(struct reading *r, struct str jsonld)
{
    const struct json *doc, *v;
    struct json_error  error;
    struct json_limits limits = { JSON_DEPTH_MAX, 4 * TERMS_MAX, true, true };
    struct ngsi_context *c = r->context;

    if (json_read(&doc, jsonld, r->arena, limits, &error))
        return refuse(
            r, NGSI_BAD_REQUEST_DATA,
            str_fmt(r->arena, "the @context is no JSON: %s at byte %zu", error.words, error.at));
    v = json_get(doc, S("@context"));
    v = v ? v : doc;

    u32 terms = count_terms(v), room = 16;
    while (room < 2 * MIN(terms, (u32)TERMS_MAX) + 2)
        room *= 2;
    c->mask = room - 1;
    c->terms = arena_array(r->arena, struct term, terms + 1);
    c->by_name = arena_array(r->arena, u32, room);
    c->by_iri = arena_array(r->arena, u32, room);

    if (!json_is(v, JSON_ARRAY)) {
        if (!read_part(r, v))
            return false;
    } else {
        JSON_EACH (part, v)
            if (!read_part(r, part))
                return false;
    }
    if (!settle_iris(r))
        return false;
    index_iris(c);
    return true;
}

const struct ngsi_context *ngsi_core_read(struct str jsonld, struct arena *arena)
{
    struct ngsi_problem  problem;
    struct ngsi_context *c = arena_new(arena, struct ngsi_context);
    struct reading       r = { c, arena, &problem, true };

    c->url = S(NGSI_CORE_URL);
    if (!read_context(&r, jsonld))
        die("the core @context: %.*s", STR(problem.detail));
    return c;
}

bool ngsi_context_read(const struct ngsi_context **out, const struct ngsi_context *core,
                       struct str url, struct str jsonld, struct arena *arena,
                       struct ngsi_problem *problem)
{
    struct ngsi_context *c = arena_new(arena, struct ngsi_context);
    struct reading       r = { c, arena, problem, false };

    c->core = core;
    c->url = url;
    *out = c;
    return read_context(&r, jsonld);
}

struct str ngsi_context_url(const struct ngsi_context *context) { return context->url; }

/* ------------------------------------------------------------------ names and IRIs */

struct str ngsi_expand(const struct ngsi_context *c, struct str name, struct arena *arena)
{
    const struct term *t = c->core ? term_named(c->core, name) : NULL;
    t = t ? t : term_named(c, name);
    if (t)
        return t->iri;
    if (str_starts(name, S("@")))
        return name;
    if (memchr(name.p, ':', name.n))
        return expand_prefix(c, name, arena);
    struct str vocab = c->vocab.n ? c->vocab : S(NGSI_DEFAULT_IRI);
    return str_fmt(arena, "%.*s%.*s", STR(vocab), STR(name));
}

static bool expands_to(const struct ngsi_context *c, struct str name, struct str iri,
                       struct arena *arena)
{
    return name.n > 0 && str_eq(ngsi_expand(c, name, arena), iri);
}

/* "ngsi-ld:default-context/almostFull": the longest term that begins the IRI and ends at a border. */
static struct str compact_prefix(const struct ngsi_context *c, struct str iri, struct arena *arena)
{
    const struct ngsi_context *contexts[] = { c, c->core };
    const struct term *best = NULL;

    for (size_t k = 0; k < COUNT(contexts) && contexts[k]; k++)
        for (u32 i = 0; i < contexts[k]->n; i++) {
            const struct term *t = &contexts[k]->terms[i];
            bool border = t->iri.n > 0 && memchr("/#:", t->iri.p[t->iri.n - 1], 3);
            if (border && t->iri.n < iri.n && str_starts(iri, t->iri)
                && (!best || t->iri.n > best->iri.n))
                best = t;
        }
    if (!best)
        return iri;
    struct str name = str_fmt(arena, "%.*s:%.*s", STR(best->name), (int)(iri.n - best->iri.n),
                              iri.p + best->iri.n);
    return expands_to(c, name, iri, arena) ? name : iri;
}

struct str ngsi_compact(const struct ngsi_context *c, struct str iri, struct arena *arena)
{
    const struct term *own = find(c, c->by_iri, true, iri);
    const struct term *core = c->core ? find(c->core, c->core->by_iri, true, iri) : NULL;

    if (core)
        return core->name;
    if (own && expands_to(c, own->name, iri, arena))
        return own->name;
    const struct str vocabs[] = { c->vocab, S(NGSI_DEFAULT_IRI) };
    for (size_t i = 0; i < COUNT(vocabs); i++) {
        if (vocabs[i].n == 0 || !str_starts(iri, vocabs[i]))
            continue;
        struct str name = { iri.p + vocabs[i].n, iri.n - vocabs[i].n };
        if (!memchr(name.p, ':', name.n) && expands_to(c, name, iri, arena))
            return name;
    }
    return compact_prefix(c, iri, arena);
}

struct str ngsi_translate(const struct ngsi_context *from, const struct ngsi_context *to,
                          struct str name, struct arena *arena)
{
    bool plain = !memchr(name.p, ':', name.n);
    if (from == to && plain)
        return name;
    return ngsi_compact(to, ngsi_expand(from, name, arena), arena);
}
