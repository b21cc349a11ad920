// SPDX-License-Identifier: Apache-2.0
/* NGSI-LD as facts: names, contexts, headers, parameters, forms. The clauses are those of GS CIM
 * 009. */
#include "base/embedded.h"
#include "base/test.h"
#include "ngsi/ngsi.h"

static const struct ngsi_context *core(void)
{
    return ngsi_core_read(str_of(embedded_file(S(NGSI_CORE_FILE))), test_arena());
}

static const struct ngsi_context *user(struct str jsonld)
{
    const struct ngsi_context *c;
    struct ngsi_problem problem = { NGSI_FINE, S("") };
    if (!ngsi_context_read(&c, core(), S("https://city.example/context.jsonld"), jsonld,
                           test_arena(), &problem)) {
        test_fail(__FILE__, __LINE__, "%.*s", STR(problem.detail));
        return core();
    }
    return c;
}

/* ------------------------------------------------------------------ names */

TEST(an_entity_id_is_a_uri)
{
    static const struct { struct str text; bool is; } facts[] = {
        { S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"), 1 }, { S("https://example.org/a?b=c#d"), 1 },
        { S("urn:a1:%E5%AF%8C"), 1 },     { S("mailto:a@b"), 1 },        { S("a:b"), 1 },
        { S(""), 0 },                     { S("river"), 0 },             { S(":a"), 0 },
        { S("urn:"), 0 },                 { S("urn:ngsi-ld"), 0 },       { S("urn:ngsi-ld:"), 0 },
        { S("1a:b"), 0 },                 { S("a b:c"), 0 },             { S("urn:x1:a b"), 0 },
        { S("urn:x1:a\r\nSet-Cookie: b"), 0 }, { S("urn:x1:<script>"), 0 }, { S("urn:x1:%G0"), 0 },
        { S("urn:x1:a\0b"), 0 },          { S("urn:x1:\xE5\xAF\x8C"), 0 }, { S("urn:x1:%4"), 0 },
    };
    for (size_t i = 0; i < COUNT(facts); i++)
        if (ngsi_is_uri(facts[i].text) != facts[i].is)
            test_fail(__FILE__, __LINE__, "wrong about \"%.*s\"", STR(facts[i].text));
}

TEST(a_name_is_a_word_or_a_uri)
{
    static const struct { struct str text; bool is; } facts[] = {
        { S("waterLevel"), 1 }, { S("P-TOT"), 1 }, { S("a.b_c1"), 1 }, { S("\xE6\xB0\xB4\xE4\xBD\x8D"), 1 },
        { S("https://example.org/waterLevel"), 1 }, { S("ngsi-ld:status"), 1 },
        { S(""), 0 }, { S("1a"), 0 }, { S("_a"), 0 }, { S("a b"), 0 }, { S("a<b"), 0 }, { S("a\"b"), 0 },
        { S("a=b"), 0 }, { S("a;b"), 0 }, { S("(a)"), 0 }, { S("a'b"), 0 }, { S("\xFF"), 0 }, { S("@id"), 0 },
    };
    for (size_t i = 0; i < COUNT(facts); i++)
        if (ngsi_is_name(facts[i].text) != facts[i].is)
            test_fail(__FILE__, __LINE__, "wrong about \"%.*s\"", STR(facts[i].text));
}

/* ------------------------------------------------------------------ @context */

TEST(the_core_knows_its_own_terms_and_gives_the_rest_the_default_context)
{
    static const struct { struct str name, iri; } facts[] = {
        { S("location"),    S("https://uri.etsi.org/ngsi-ld/location") },
        { S("Property"),    S("https://uri.etsi.org/ngsi-ld/Property") },
        { S("observedAt"),  S("https://uri.etsi.org/ngsi-ld/observedAt") },
        { S("object"),      S("https://uri.etsi.org/ngsi-ld/hasObject") },
        { S("coordinates"), S("https://purl.org/geojson/vocab#coordinates") },
        { S("description"), S("http://purl.org/dc/terms/description") },
        { S("type"),        S("@type") },
        { S("waterLevel"),  S("https://uri.etsi.org/ngsi-ld/default-context/waterLevel") },
        { S("\xE6\xB0\xB4\xE4\xBD\x8D"), S("https://uri.etsi.org/ngsi-ld/default-context/\xE6\xB0\xB4\xE4\xBD\x8D") },
    };
    const struct ngsi_context *c = core();
    for (size_t i = 0; i < COUNT(facts); i++) {
        STR_EQ(ngsi_expand(c, facts[i].name, test_arena()), facts[i].iri);
        STR_EQ(ngsi_compact(c, facts[i].iri, test_arena()), facts[i].name);
    }
    STR_EQ(ngsi_expand(c, S("ngsi-ld:status"), test_arena()),
           S("https://uri.etsi.org/ngsi-ld/status"));
    STR_EQ(ngsi_expand(c, S("https://a.example/x"), test_arena()), S("https://a.example/x"));
    STR_EQ(ngsi_compact(c, S("https://a.example/x"), test_arena()), S("https://a.example/x"));
    STR_EQ(ngsi_context_url(c), S(NGSI_CORE_URL));
}

TEST(a_user_context_adds_terms_and_never_overrides_the_core)
{
    const struct ngsi_context *c = user(S("{\"@context\":[{\"sdm\":\"https://smartdatamodels.org/\","
        "\"waterLevel\":\"sdm:dataModel.Environment/waterLevel\",\"level\":{\"@id\":\"waterLevel\"},"
        "\"temperature\":{\"@id\":\"https://a.example/t\",\"@type\":\"@json\"},\"location\":\"https://evil.example/l\","
        "\"almostFull\":\"https://b.example/full\",\"dropped\":null},"
        "\"https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld\"]}"));
    struct arena *a = test_arena();
    STR_EQ(ngsi_expand(c, S("waterLevel"), a),
           S("https://smartdatamodels.org/dataModel.Environment/waterLevel"));
    STR_EQ(ngsi_expand(c, S("level"), a),
           S("https://smartdatamodels.org/dataModel.Environment/waterLevel"));
    STR_EQ(ngsi_expand(c, S("temperature"), a), S("https://a.example/t"));
    STR_EQ(ngsi_expand(c, S("location"), a), S("https://uri.etsi.org/ngsi-ld/location"));
    STR_EQ(ngsi_expand(c, S("unknown"), a),
           S("https://uri.etsi.org/ngsi-ld/default-context/unknown"));
    STR_EQ(ngsi_compact(c, S("https://smartdatamodels.org/dataModel.Environment/waterLevel"), a),
           S("level"));
    STR_EQ(ngsi_compact(c, S("https://evil.example/l"), a), S("https://evil.example/l"));
    STR_EQ(ngsi_compact(c, S("https://smartdatamodels.org/other"), a), S("sdm:other"));
    /* the short name is taken by another term: it comes back as a compact IRI (city-os §1.9) */
    STR_EQ(ngsi_compact(c, S("https://uri.etsi.org/ngsi-ld/default-context/almostFull"), a),
           S("ngsi-ld:default-context/almostFull"));
    STR_EQ(ngsi_translate(core(), c, S("ngsi-ld:default-context/almostFull"), a),
           S("ngsi-ld:default-context/almostFull"));
}

TEST(a_vocab_names_what_no_term_names)
{
    const struct ngsi_context *c = user(S("{\"@vocab\":\"https://city.example/\",\"a\":\"x\"}"));
    STR_EQ(ngsi_expand(c, S("b"), test_arena()), S("https://city.example/b"));
    STR_EQ(ngsi_expand(c, S("a"), test_arena()), S("https://city.example/x"));
    STR_EQ(ngsi_compact(c, S("https://city.example/b"), test_arena()), S("b"));
    STR_EQ(ngsi_compact(c, S("https://city.example/x"), test_arena()), S("a"));
}

TEST(a_context_that_cannot_be_used_is_refused)
{
    static const struct { struct str text; enum ngsi_error error; } facts[] = {
        { S("{\"@context\":"),                              NGSI_BAD_REQUEST_DATA },
        { S("{\"@context\":5}"),                            NGSI_BAD_REQUEST_DATA },
        { S("{\"@context\":{\"a\":5}}"),                    NGSI_BAD_REQUEST_DATA },
        { S("{\"@context\":{\"a\":{\"@id\":[]}}}"),         NGSI_BAD_REQUEST_DATA },
        { S("{\"@context\":{\"a\":{\"@id\":\"b:c\",\"@context\":{}}}}"), NGSI_BAD_REQUEST_DATA },
        { S("{\"@context\":{\"a\":\"a:x\"}}"),              NGSI_BAD_REQUEST_DATA },
        { S("{\"@context\":{\"@vocab\":\"a\"}}"),           NGSI_BAD_REQUEST_DATA },
        { S("{\"e\":\"f\",\"f\":\"e\"}"),                   NGSI_BAD_REQUEST_DATA },
        { S("{\"a\":\"b:x\",\"b\":\"c:y\",\"c\":\"a:z\"}"), NGSI_BAD_REQUEST_DATA },
        { S("{\"@context\":[\"https://other.example/c.jsonld\"]}"), NGSI_NO_CONTEXT },
        { S("{\"@context\":\"http://127.0.0.1/c\"}"),       NGSI_NO_CONTEXT },
        { S("{\"@context\":\"file:///etc/passwd\"}"),       NGSI_NO_CONTEXT },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        const struct ngsi_context *c;
        struct ngsi_problem problem = { NGSI_FINE, S("") };
        TRUE(!ngsi_context_read(&c, core(), S("x:y"), facts[i].text, test_arena(), &problem));
        EQ(problem.error, facts[i].error);
        TRUE(problem.detail.n > 0);
    }
}

/* JSON-LD 1.1, section 4.1: "Duplicate context terms are overridden using a most-recently-defined-wins mechanism." */
TEST(of_two_definitions_in_an_array_of_contexts_the_later_one_stands)
{
    const struct ngsi_context *c = user(S("{\"@context\":[{\"a\":\"https://a.example/1\",\"b\":\"https://a.example/b\"},"
                                          "{\"a\":{\"@id\":\"https://a.example/2\"},\"c\":{}}]}"));
    STR_EQ(ngsi_expand(c, S("a"), test_arena()), S("https://a.example/2"));
    STR_EQ(ngsi_expand(c, S("b"), test_arena()), S("https://a.example/b"));
    STR_EQ(ngsi_expand(c, S("c"), test_arena()), S(NGSI_DEFAULT_IRI "c"));
    STR_EQ(ngsi_compact(c, S("https://a.example/2"), test_arena()), S("a"));
    STR_EQ(ngsi_compact(c, S("https://a.example/1"), test_arena()), S("https://a.example/1"));
}

TEST(the_cores_iris_come_back_in_its_words_whatever_a_user_calls_them)
{
    const struct ngsi_context *c = user(S("{\"place\":\"https://uri.etsi.org/ngsi-ld/location\",\"s\":\"https://a.example/s#\"}"));
    STR_EQ(ngsi_compact(c, S("https://uri.etsi.org/ngsi-ld/location"), test_arena()), S("location"));
    STR_EQ(ngsi_expand(c, S("@unknown"), test_arena()), S("@unknown"));
    STR_EQ(ngsi_compact(c, S("https://a.example/s#x"), test_arena()), S("s:x"));
    struct str long_name = str_fmt(test_arena(), "s:%02048d", 1);
    STR_EQ(ngsi_expand(c, long_name, test_arena()), long_name);            /* an IRI has an end */
}

TEST(twenty_thousand_terms_are_read_and_one_more_is_too_many)
{
    for (int n = 20000; n <= 20001; n++) {
        const struct ngsi_context *c;
        struct ngsi_problem problem = { NGSI_FINE, S("") };
        struct text t = text_make(test_arena(), 1 << 20);
        for (int i = 0; i < n; i++)
            text_fmt(&t, "%c\"t%d\":\"a:%d\"", i ? ',' : '{', i, i);
        text_char(&t, '}');
        EQ(ngsi_context_read(&c, core(), S("x:y"), text_str(&t), test_arena(), &problem), n == 20000);
        EQ(problem.error, n == 20000 ? NGSI_FINE : NGSI_TOO_COMPLEX);
        if (n == 20000)
            STR_EQ(ngsi_expand(c, S("t19999"), test_arena()), S("a:19999"));
    }
}

static void read_no_core(void *of) { (void)of, (void)ngsi_core_read(S("{"), test_arena()); }

TEST(a_core_that_is_broken_ends_the_process)
{
    struct str said;
    EQ(test_apart(read_no_core, NULL, &said), 70);
    TRUE(str_starts(said, S("hotaru: the core @context: the @context is no JSON")));
}

TEST(a_request_names_a_hundred_and_no_more)
{
    for (int n = 100; n <= 101; n++) {
        struct ngsi_query   q;
        struct ngsi_problem problem = { NGSI_FINE, S("") };
        struct text t = text_make(test_arena(), 1 << 16);
        text_put(&t, S("T0"));
        for (int i = 1; i < n; i++)
            text_fmt(&t, ",T%d", i);
        struct ngsi_param p = { S("type"), text_str(&t) };
        EQ(ngsi_query_read(&q, NGSI_QUERY, &p, 1, core(), core(), test_arena(), &problem), n == 100);
        EQ(problem.error, n == 100 ? NGSI_FINE : NGSI_TOO_COMPLEX);
    }
}

TEST(terms_that_name_each_other_in_a_circle_come_to_an_end)
{
    const struct ngsi_context *c = user(S("{\"d\":\"d\",\"a\":\"b:c\",\"b\":\"e\",\"e\":\"late\"}"));
    TRUE(ngsi_expand(c, S("d"), test_arena()).n > 0);
    STR_EQ(ngsi_expand(c, S("a:x"), test_arena()), S(NGSI_DEFAULT_IRI "latecx"));    /* whatever their order */
    TRUE(ngsi_expand(c, S("a:b:c:d"), test_arena()).n > 0);
}

TEST(every_spelling_of_the_core_is_the_core)
{
    TRUE(ngsi_is_core_url(S(NGSI_CORE_URL)));
    TRUE(ngsi_is_core_url(S("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld")));
    TRUE(ngsi_is_core_url(S("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.3.jsonld")));
    TRUE(!ngsi_is_core_url(S("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-evil.jsonld")));
    TRUE(!ngsi_is_core_url(S("https://evil.example/ngsi-ld-core-context.jsonld")));
}

/* ------------------------------------------------------------------ headers */

TEST(the_accepted_media_type_is_found_by_weight_and_exactness)
{
    static const struct { struct str accept; int media; } facts[] = {      /* -1: 406 */
        { S(""), NGSI_JSON },                                   { S("*/*"), NGSI_JSON },
        { S("application/json"), NGSI_JSON },                   { S("application/ld+json"), NGSI_LD_JSON },
        { S("application/*"), NGSI_JSON },                      { S("Application/LD+JSON"), NGSI_LD_JSON },
        { S("application/ld+json, application/json"), NGSI_JSON },
        { S("application/ld+json;q=0.9, application/json;q=0.5"), NGSI_LD_JSON },
        { S("application/json;q=0.1, application/ld+json;q=0.2"), NGSI_LD_JSON },
        { S("application/json;q=0, */*;q=0.5"), NGSI_LD_JSON },
        { S("application/ld+json, */*;q=0.1"), NGSI_LD_JSON },
        { S("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), NGSI_JSON },
        { S("application/json; charset=utf-8"), NGSI_JSON },
        { S("application/ld+json ; profile=\"x\" ; q=1.0"), NGSI_LD_JSON },
        { S("text/html"), -1 }, { S("image/*"), -1 }, { S("*/*;q=0"), -1 }, { S(",,;"), -1 },
        { S("application/json;q=0"), -1 },
        { S("application/json;q=0.5, application/ld+json;q=2"), NGSI_LD_JSON },       /* no weight: as one */
        { S("application/json;q=0.5, application/ld+json;q=-1"), NGSI_LD_JSON },
        { S("application/json;q=0.5, application/ld+json;q=high"), NGSI_LD_JSON },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        enum ngsi_media media;
        int got = ngsi_accept(&media, facts[i].accept) ? (int)media : -1;
        if (got != facts[i].media)
            test_fail(__FILE__, __LINE__, "%.*s gives %d, not %d", STR(facts[i].accept), got,
                      facts[i].media);
    }
}

#define LINK(url) "<" url ">; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\""

TEST(the_link_header_names_one_context)
{
    static const struct { struct str link; bool good; struct str url; } facts[] = {
        { S(""), 1, S("") },
        { S(LINK("https://a.example/c,1;x")), 1, S("https://a.example/c,1;x") },
        { S("<https://a.example/n>; rel=\"next\""), 1, S("") },
        { S("<https://a.example/n>; rel=\"next\", " LINK("https://a.example/c")), 1, S("https://a.example/c") },
        { S("<https://a.example/c>;rel=http://www.w3.org/ns/json-ld#context"), 1, S("https://a.example/c") },
        { S(LINK("https://a.example/c") ", " LINK("https://a.example/d")), 0, S("") },
        { S("https://a.example/c; rel=\"http://www.w3.org/ns/json-ld#context\""), 0, S("") },
        { S(LINK("not a uri")), 0, S("") },
        { S("<"), 0, S("") },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct str url;
        EQ(ngsi_link_read(&url, facts[i].link), facts[i].good);
        if (facts[i].good)
            STR_EQ(url, facts[i].url);
    }
    struct str url;
    TRUE(ngsi_link_read(&url, ngsi_link(test_arena(), S(NGSI_CORE_URL))));
    STR_EQ(url, S(NGSI_CORE_URL));
}

TEST(page_links_repeat_every_other_parameter_and_nothing_foreign)
{
    struct arena *a = test_arena();
    struct str path = S("/ngsi-ld/v1/entities");
    STR_EQ(ngsi_page_link(a, path, S("type=A%2CB&limit=10&count=true&offset=10"), 10, 10, true),
           S("</ngsi-ld/v1/entities?type=A%2CB&count=true&limit=10&offset=20>; rel=\"next\", "
             "</ngsi-ld/v1/entities?type=A%2CB&count=true&limit=10&offset=0>; rel=\"prev\""));
    STR_EQ(ngsi_page_link(a, path, S(""), 20, 0, false), S(""));
    STR_EQ(ngsi_page_link(a, path, S(""), 0, 0, true), S(""));
    STR_EQ(ngsi_page_link(a, path, S("a=>\r\nX: y"), 20, 0, true),
           S("</ngsi-ld/v1/entities?a=%3E%0D%0AX:%20y&limit=20&offset=20>; rel=\"next\""));
}

/* ------------------------------------------------------------------ parameters */

static bool ask(struct ngsi_query *q, enum ngsi_operation operation, struct str raw,
                struct ngsi_problem *problem)
{
    struct ngsi_param params[16];
    size_t n;
    const struct ngsi_context *c = core();
    *problem = (struct ngsi_problem){ NGSI_FINE, S("") };
    TRUE(ngsi_params_read(params, COUNT(params), &n, raw, test_arena()));
    return ngsi_query_read(q, operation, params, n, c, c, test_arena(), problem);
}

#define Q  NGSI_QUERY
#define R  NGSI_RETRIEVE
#define TQ NGSI_TEMPORAL_QUERY
#define TR NGSI_TEMPORAL_RETRIEVE
#define AT "timeAt=2026-02-10T07:00:00Z"

TEST(a_query_is_understood_or_refused_by_its_name)
{
    static const struct { enum ngsi_operation operation; struct str raw; enum ngsi_error error; } facts[] = {
        { Q,  S(""),                                    NGSI_FINE },
        { Q,  S("type=WaterObserved&limit=1000&offset=5&count=true"), NGSI_FINE },
        { Q,  S("type=A,B|C"),                          NGSI_FINE },
        { Q,  S("type=https://a.example/A"),            NGSI_FINE },
        { Q,  S("type="),                               NGSI_BAD_REQUEST_DATA },
        { Q,  S("type=A,,B"),                           NGSI_BAD_REQUEST_DATA },
        { Q,  S("type=(A%3BB)"),                        NGSI_TOO_COMPLEX },
        { Q,  S("id=urn:ngsi-ld:A:1,urn:ngsi-ld:A:2"),  NGSI_FINE },
        { Q,  S("id=river"),                            NGSI_BAD_REQUEST_DATA },
        { Q,  S("limit=1001"),                          NGSI_TOO_MANY },
        { Q,  S("limit=-1"),                            NGSI_BAD_REQUEST_DATA },
        { Q,  S("limit=ten"),                           NGSI_BAD_REQUEST_DATA },
        { Q,  S("limit=1.5"),                           NGSI_BAD_REQUEST_DATA },
        { Q,  S("limit="),                              NGSI_BAD_REQUEST_DATA },
        { Q,  S("limit=0"),                             NGSI_BAD_REQUEST_DATA },
        { Q,  S("limit=0&count=true"),                  NGSI_FINE },
        { Q,  S("offset=-1"),                           NGSI_BAD_REQUEST_DATA },
        { Q,  S("count=True"),                          NGSI_BAD_REQUEST_DATA },
        { Q,  S("count=1"),                             NGSI_BAD_REQUEST_DATA },
        { Q,  S("attrs=waterLevel,name"),               NGSI_FINE },
        { Q,  S("attrs=a%20b"),                         NGSI_BAD_REQUEST_DATA },
        { Q,  S("attrs=%3Cscript%3E"),                  NGSI_BAD_REQUEST_DATA },
        { Q,  S("options=keyValues,sysAttrs"),          NGSI_FINE },
        { Q,  S("options=keyvalues"),                   NGSI_BAD_REQUEST_DATA },
        { Q,  S("options="),                            NGSI_BAD_REQUEST_DATA },
        { Q,  S("options=temporalValues"),              NGSI_BAD_REQUEST_DATA },
        { Q,  S("options=keyValues&format=simplified"), NGSI_FINE },
        { Q,  S("options=keyValues&format=concise"),    NGSI_BAD_REQUEST_DATA },
        { Q,  S("page=2"),                              NGSI_INVALID_REQUEST },
        { Q,  S("Type=A"),                              NGSI_INVALID_REQUEST },
        { Q,  S("type=A&type=B"),                       NGSI_INVALID_REQUEST },
        { Q,  S("timerel=after&" AT),                   NGSI_INVALID_REQUEST },
        { Q,  S("q=waterLevel%3E3"),                    NGSI_NOT_SUPPORTED },
        { Q,  S("local=true"),                          NGSI_FINE },
        { R,  S("limit=5"),                             NGSI_INVALID_REQUEST },
        { R,  S("id=urn:ngsi-ld:A:1"),                  NGSI_INVALID_REQUEST },
        { R,  S("type=A&attrs=b&format=concise&sysAttrs=true"), NGSI_FINE },
        { TQ, S("type=A"),                              NGSI_BAD_REQUEST_DATA },
        { TQ, S("timerel=after&" AT),                   NGSI_FINE },
        { TR, S(""),                                    NGSI_FINE },
        { TR, S(AT),                                    NGSI_BAD_REQUEST_DATA },
        { TR, S("timerel=after"),                       NGSI_BAD_REQUEST_DATA },
        { TR, S("timerel=since&" AT),                   NGSI_BAD_REQUEST_DATA },
        { TR, S("timerel=between&" AT),                 NGSI_BAD_REQUEST_DATA },
        { TR, S("timerel=after&" AT "&endTimeAt=2026-02-11T07:00:00Z"), NGSI_BAD_REQUEST_DATA },
        { TR, S("timerel=between&" AT "&endTimeAt=2026-02-11T07:00:00Z"), NGSI_FINE },
        { TR, S("timerel=between&" AT "&endTimeAt=2026-02-09T07:00:00Z"), NGSI_BAD_REQUEST_DATA },
        { TR, S("timerel=before&timeAt=yesterday"),     NGSI_BAD_REQUEST_DATA },
        { TR, S("timerel=before&timeAt=2026-02-10T16:00:00%2B09:00"), NGSI_FINE },
        { TR, S("timeproperty=modifiedAt"),             NGSI_FINE },
        { TR, S("timeproperty=deletedAt"),              NGSI_NOT_SUPPORTED },
        { TR, S("timeproperty=sometime"),               NGSI_BAD_REQUEST_DATA },
        { TR, S("lastN=5&options=temporalValues"),      NGSI_FINE },
        { TR, S("lastN=0"),                             NGSI_BAD_REQUEST_DATA },
        { TR, S("options=aggregatedValues"),            NGSI_NOT_SUPPORTED },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct ngsi_query   q;
        struct ngsi_problem problem;
        bool good = ask(&q, facts[i].operation, facts[i].raw, &problem);
        if (good != (facts[i].error == NGSI_FINE) || problem.error != facts[i].error)
            test_fail(__FILE__, __LINE__, "%.*s gives %d, not %d: %.*s", STR(facts[i].raw),
                      problem.error, facts[i].error, STR(problem.detail));
        TRUE(good || problem.detail.n > 0);
    }
}

TEST(a_query_holds_what_was_asked)
{
    struct ngsi_query   q;
    struct ngsi_problem problem;
    i64 from, to;

    TRUE(ask(&q, Q, S(""), &problem));
    EQ(q.limit, NGSI_LIMIT_USUAL);
    TRUE(q.format == NGSI_NORMALIZED && !q.count && !q.sys_attrs && q.types.n == 0);

    TRUE(ask(&q, Q, S("type=https://uri.etsi.org/ngsi-ld/default-context/WaterObserved|https://a.example/B&count=true"
                      "&options=sysAttrs,keyValues&attrs=ngsi-ld:location,waterLevel"), &problem));
    EQ(q.types.n, 2);
    STR_EQ(q.types.items[0], S("WaterObserved"));
    STR_EQ(q.types.items[1], S("https://a.example/B"));
    STR_EQ(q.attrs.items[0], S("location"));
    TRUE(q.count && q.sys_attrs && q.format == NGSI_SIMPLIFIED);

    TRUE(ask(&q, TR,
             S("timerel=between&timeAt=1970-01-01T00:00:01Z&endTimeAt=1970-01-01T09:00:02%2B09:00"),
             &problem));
    ngsi_time_range(&q, &from, &to);
    EQ(from, 1000000);
    EQ(to, 2000000);
    TRUE(ask(&q, TR, S("timerel=before&timeAt=1970-01-01T00:00:01Z"), &problem));
    ngsi_time_range(&q, &from, &to);
    TRUE(from == INT64_MIN && to == 1000000);
    TRUE(ask(&q, TR, S("timerel=after&timeAt=1970-01-01T00:00:01Z"), &problem));
    ngsi_time_range(&q, &from, &to);
    TRUE(from == 1000000 && to == INT64_MAX);
}

TEST(a_query_string_is_decoded_or_refused)
{
    struct ngsi_param p[2];
    size_t n;
    TRUE(ngsi_params_read(p, 2, &n, S("a=%E5%AF%8C+%2B&&b"), test_arena()));
    EQ(n, 2);
    STR_EQ(p[0].value, S("\xE5\xAF\x8C +"));
    STR_EQ(p[1].name, S("b"));
    TRUE(!ngsi_params_read(p, 2, &n, S("a=%G0"), test_arena()));
    TRUE(!ngsi_params_read(p, 2, &n, S("a=%4"), test_arena()));
    TRUE(!ngsi_params_read(p, 2, &n, S("a=%00"), test_arena()));
    TRUE(!ngsi_params_read(p, 2, &n, S("a=%FF"), test_arena()));
    TRUE(!ngsi_params_read(p, 2, &n, S("a=1&b=2&c=3"), test_arena()));
}

/* ------------------------------------------------------------------ forms */

#define LEVEL "{\"type\":\"Property\",\"value\":1.230,\"unitCode\":\"MTR\",\"observedAt\":\"2026-02-10T07:00:00.123Z\"," \
              "\"quality\":{\"type\":\"Property\",\"value\":\"!\"},\"modifiedAt\":\"2026-02-10T07:00:01.000Z\"}"
#define PLACE "{\"type\":\"GeoProperty\",\"value\":{\"type\":\"Point\",\"coordinates\":[137.213,36.695]}}"

static const struct str stored_attributes =
    S("{\"waterLevel\":" LEVEL ",\"location\":" PLACE ",\"name\":{\"type\":\"Property\",\"value\":\"\xE6\xA9\x8B\"},"
      "\"gauge\":{\"type\":\"Relationship\",\"object\":\"urn:ngsi-ld:Device:1\"},"
      "\"label\":{\"type\":\"LanguageProperty\",\"languageMap\":{\"ja\":\"\xE6\xA9\x8B\",\"en\":\"bridge\"}},"
      "\"shape\":{\"type\":\"Property\",\"value\":{\"type\":\"Point\",\"coordinates\":[0,0]}},"
      "\"raw\":{\"type\":\"JsonProperty\",\"json\":{\"type\":null}}}");

static const struct json *read_json(struct str text)
{
    const struct json *doc;
    EQ(json_read(&doc, text, test_arena(), JSON_STRICT, NULL), OK);
    return doc;
}

static struct ngsi_entity bridge(void)
{
    return (struct ngsi_entity){ S("urn:ngsi-ld:WaterObserved:1"), S("WaterObserved"), read_json(stored_attributes),
                                 { 0 }, { 1000000 } };
}

static struct str rendered(const struct ngsi_view *view)
{
    struct ngsi_entity e = bridge();
    struct text     t = text_make(test_arena(), 1 << 16);
    struct json_out o = json_out_make(&t);
    ngsi_entity_write(&o, &e, view, test_arena());
    TRUE(json_out_good(&o));
    return text_str(&t);
}

static struct ngsi_view view_of(const struct ngsi_query *q, const struct ngsi_context *c)
{
    return (struct ngsi_view){ q, c, c, false };
}

#define HEAD "{\"id\":\"urn:ngsi-ld:WaterObserved:1\",\"type\":\"WaterObserved\","

TEST(the_normalized_form_is_what_is_stored_without_system_times)
{
    struct ngsi_query q = { .format = NGSI_NORMALIZED,
                            .attrs = { (struct str[]){ S("waterLevel"), S("location") }, 2 } };
    struct ngsi_view  v = view_of(&q, core());
    STR_EQ(rendered(&v), S(HEAD
        "\"waterLevel\":{\"type\":\"Property\",\"value\":1.230,\"unitCode\":\"MTR\",\"observedAt\":"
        "\"2026-02-10T07:00:00.123Z\",\"quality\":{\"type\":\"Property\",\"value\":\"!\"}},\"location\":" PLACE "}"));
    q.attrs = (struct ngsi_list){ (struct str[]){ S("waterLevel") }, 1 };
    q.sys_attrs = true;
    STR_EQ(rendered(&v), S(HEAD "\"createdAt\":\"1970-01-01T00:00:00.000Z\",\"modifiedAt\":\"1970-01-01T00:00:01.000Z\","
                           "\"waterLevel\":" LEVEL "}"));
}

TEST(the_simplified_form_is_values_alone)
{
    struct ngsi_query q = { .format = NGSI_SIMPLIFIED };
    struct ngsi_view  v = view_of(&q, core());
    STR_EQ(rendered(&v), S(HEAD
        "\"waterLevel\":1.230,\"location\":{\"type\":\"Point\",\"coordinates\":[137.213,36.695]},"
        "\"name\":\"\xE6\xA9\x8B\",\"gauge\":\"urn:ngsi-ld:Device:1\","
        "\"label\":{\"languageMap\":{\"ja\":\"\xE6\xA9\x8B\",\"en\":\"bridge\"}},"
        "\"shape\":{\"type\":\"Point\",\"coordinates\":[0,0]},\"raw\":{\"json\":{\"type\":null}}}"));
}

TEST(the_concise_form_leaves_out_what_can_be_told)
{
    struct ngsi_query q = { .format = NGSI_CONCISE };
    struct ngsi_view  v = view_of(&q, core());
    STR_EQ(rendered(&v), S(HEAD
        "\"waterLevel\":{\"value\":1.230,\"unitCode\":\"MTR\",\"observedAt\":\"2026-02-10T07:00:00.123Z\",\"quality\":\"!\"},"
        "\"location\":{\"type\":\"Point\",\"coordinates\":[137.213,36.695]},"
        "\"name\":\"\xE6\xA9\x8B\",\"gauge\":{\"object\":\"urn:ngsi-ld:Device:1\"},"
        "\"label\":{\"languageMap\":{\"ja\":\"\xE6\xA9\x8B\",\"en\":\"bridge\"}},"
        "\"shape\":{\"type\":\"Property\",\"value\":{\"type\":\"Point\",\"coordinates\":[0,0]}},"
        "\"raw\":{\"json\":{\"type\":null}}}"));
}

TEST(names_are_written_in_the_words_of_the_request)
{
    const struct ngsi_context *c = core();
    struct ngsi_query q = { .format = NGSI_SIMPLIFIED, .attrs = { (struct str[]){ S("waterLevel"), S("name") }, 2 } };
    struct ngsi_view  v = { &q, c, user(S("{\"level\":\"https://uri.etsi.org/ngsi-ld/default-context/waterLevel\","
                                          "\"Water\":\"https://uri.etsi.org/ngsi-ld/default-context/WaterObserved\","
                                          "\"name\":\"https://schema.org/name\"}")), true };
    STR_EQ(rendered(&v), S("{\"id\":\"urn:ngsi-ld:WaterObserved:1\",\"type\":\"Water\",\"level\":1.230,"
                           "\"ngsi-ld:default-context/name\":\"\xE6\xA9\x8B\","
                           "\"@context\":\"https://city.example/context.jsonld\"}"));
}

TEST(instances_by_dataset_keep_their_ids_in_every_form)
{
    const struct json *doc = read_json(S("{\"a\":[{\"type\":\"Property\",\"value\":1},"
                                         "{\"type\":\"Property\",\"value\":2,\"datasetId\":\"urn:x1:b\"}]}"));
    static const struct { enum ngsi_format format; struct str text; } facts[] = {
        { NGSI_NORMALIZED, S("[{\"type\":\"Property\",\"value\":1},{\"type\":\"Property\",\"value\":2,\"datasetId\":\"urn:x1:b\"}]") },
        { NGSI_CONCISE,    S("[1,{\"value\":2,\"datasetId\":\"urn:x1:b\"}]") },
        { NGSI_SIMPLIFIED, S("{\"dataset\":{\"@none\":1,\"urn:x1:b\":2}}") },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct ngsi_query q = { .format = facts[i].format };
        struct ngsi_view  v = view_of(&q, core());
        struct ngsi_entity e = { S("urn:x1:e"), S("T"), doc, { 0 }, { 0 } };
        struct text     t = text_make(test_arena(), 1 << 16);
        struct json_out o = json_out_make(&t);
        ngsi_entity_write(&o, &e, &v, test_arena());
        STR_EQ(text_str(&t),
               str_fmt(test_arena(), "{\"id\":\"urn:x1:e\",\"type\":\"T\",\"a\":%.*s}",
                       STR(facts[i].text)));
    }
}

TEST(an_entity_passes_by_type_id_and_any_attribute)
{
    struct ngsi_entity  e = bridge();
    struct ngsi_query   q;
    struct ngsi_problem problem;
    static const struct { struct str raw; bool passes; } facts[] = {
        { S(""), 1 }, { S("type=WaterObserved"), 1 }, { S("type=A,WaterObserved"), 1 }, { S("type=A"), 0 },
        { S("id=urn:ngsi-ld:WaterObserved:1"), 1 }, { S("id=urn:ngsi-ld:WaterObserved:2"), 0 },
        { S("attrs=nothing,name"), 1 }, { S("attrs=nothing"), 0 }, { S("type=WaterObserved&attrs=nothing"), 0 },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        TRUE(ask(&q, Q, facts[i].raw, &problem));
        EQ(ngsi_entity_passes(&e, &q), facts[i].passes);
    }
}

/* ------------------------------------------------------------------ history */

static struct str history(struct ngsi_query *q, size_t *instances)
{
    struct ngsi_reading readings[] = {
        { 11, read_json(S("{\"waterLevel\":{\"type\":\"Property\",\"value\":1.10,\"observedAt\":\"2026-02-10T07:00:00.000Z\"}}")) },
        { 12, read_json(S("{\"waterLevel\":{\"type\":\"Property\",\"value\":1.20,\"observedAt\":\"2026-02-10T07:10:00.000Z\"},"
                          "\"batteryLevel\":{\"type\":\"Property\",\"value\":90,\"observedAt\":\"2026-02-10T07:10:00.000Z\"}}")) },
        { 13, read_json(S("{\"waterLevel\":{\"type\":\"Property\",\"value\":1.30,\"observedAt\":\"2026-02-10T07:20:00.000Z\"}}")) },
    };
    struct ngsi_entity e = {
        S("urn:ngsi-ld:WaterObserved:1"), S("WaterObserved"), NULL, { 0 }, { 0 }
    };
    struct ngsi_view   v = view_of(q, core());
    struct text     t = text_make(test_arena(), 1 << 16);
    struct json_out o = json_out_make(&t);
    ngsi_temporal_write(&o, &e, readings, COUNT(readings), &v, instances, test_arena());
    TRUE(json_out_good(&o));
    return text_str(&t);
}

TEST(history_in_temporal_values_is_pairs_of_value_and_time)
{
    size_t n;
    struct ngsi_query q = { .format = NGSI_TEMPORAL_VALUES };
    STR_EQ(history(&q, &n), S(HEAD
        "\"waterLevel\":{\"type\":\"Property\",\"values\":[[1.10,\"2026-02-10T07:00:00.000Z\"],"
        "[1.20,\"2026-02-10T07:10:00.000Z\"],[1.30,\"2026-02-10T07:20:00.000Z\"]]},"
        "\"batteryLevel\":{\"type\":\"Property\",\"values\":[[90,\"2026-02-10T07:10:00.000Z\"]]}}"));
    EQ(n, 4);
}

TEST(the_last_n_of_each_attribute_come_newest_first)
{
    size_t n;
    struct ngsi_query q = { .format = NGSI_TEMPORAL_VALUES, .last_n = 2,
                            .attrs = { (struct str[]){ S("waterLevel") }, 1 } };
    STR_EQ(history(&q, &n), S(HEAD
        "\"waterLevel\":{\"type\":\"Property\",\"values\":[[1.30,\"2026-02-10T07:20:00.000Z\"],"
        "[1.20,\"2026-02-10T07:10:00.000Z\"]]}}"));
    EQ(n, 2);
}

TEST(history_in_the_normalized_form_names_each_instance)
{
    struct ngsi_query q = { .attrs = { (struct str[]){ S("batteryLevel") }, 1 } };
    STR_EQ(history(&q, NULL), S(HEAD
        "\"batteryLevel\":[{\"type\":\"Property\",\"value\":90,\"observedAt\":\"2026-02-10T07:10:00.000Z\","
        "\"instanceId\":\"urn:ngsi-ld:Instance:12\"}]}"));
}

/* ------------------------------------------------------------------ problems */

TEST(a_problem_says_its_type_status_and_detail)
{
    static const struct { enum ngsi_error error; int status; struct str type; } facts[] = {
        { NGSI_INVALID_REQUEST, 400, S("https://uri.etsi.org/ngsi-ld/errors/InvalidRequest") },
        { NGSI_BAD_REQUEST_DATA, 400, S("https://uri.etsi.org/ngsi-ld/errors/BadRequestData") },
        { NGSI_NOT_FOUND, 404, S("https://uri.etsi.org/ngsi-ld/errors/ResourceNotFound") },
        { NGSI_NO_TENANT, 404, S("https://uri.etsi.org/ngsi-ld/errors/NonexistentTenant") },
        { NGSI_NO_CONTEXT, 504, S("https://uri.etsi.org/ngsi-ld/errors/LdContextNotAvailable") },
        { NGSI_TOO_MANY, 403, S("https://uri.etsi.org/ngsi-ld/errors/TooManyResults") },
        { NGSI_NOT_ACCEPTABLE, 406, S("about:blank") },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct ngsi_problem problem = { facts[i].error, S("<why>") };
        struct text     t = text_make(test_arena(), 1000);
        struct json_out o = json_out_make(&t);
        i64 status = 0;
        ngsi_problem_write(&o, &problem);
        const struct json *doc = read_json(text_str(&t));
        STR_EQ(json_str(json_get(doc, S("type")), test_arena()), facts[i].type);
        STR_EQ(json_str(json_get(doc, S("detail")), test_arena()), S("<why>"));
        TRUE(json_i64(&status, json_get(doc, S("status"))) && json_get(doc, S("title")));
        EQ(status, facts[i].status);
        EQ(ngsi_status(facts[i].error), facts[i].status);
    }
}
