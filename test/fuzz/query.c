// SPDX-License-Identifier: Apache-2.0
/* Any lines as an Accept header, a Link header, a path and a query string of NGSI-LD; the first byte chooses
 * the operation. What is accepted is within its limits, what we would write of it is read back the same. */
#include "test/fuzz/fuzz.h"

#include "base/embedded.h"
#include "ngsi/ngsi.h"

#define PARAMS 64

static void link_and_back(struct str url, struct arena *a)
{
    struct str again;
    bool read = ngsi_link_read(&again, ngsi_link(a, url));
    assert(read && str_eq(again, url));
}

static void params_and_back(const struct ngsi_param *params, size_t n, struct arena *a)
{
    struct text t = text_make(a, 1 << 20);
    struct ngsi_param again[PARAMS];
    size_t k;
    for (size_t i = 0; i < n; i++) {
        assert(str_is_utf8(params[i].name) && str_is_utf8(params[i].value));
        text_put(&t, i ? S("&") : S(""));
        for (size_t b = 0; b < params[i].name.n; b++)
            text_fmt(&t, "%%%02X", (u8)params[i].name.p[b]);
        text_char(&t, '=');
        for (size_t b = 0; b < params[i].value.n; b++)
            text_fmt(&t, "%%%02x", (u8)params[i].value.p[b]);
    }
    bool read = ngsi_params_read(again, PARAMS, &k, text_str(&t), a);
    assert(read && k == n);
    for (size_t i = 0; i < n; i++)
        assert(str_eq(params[i].name, again[i].name) && str_eq(params[i].value, again[i].value));
}

static void ask(enum ngsi_operation op, const struct ngsi_param *params, size_t n, struct arena *a)
{
    static const struct ngsi_context *core, *user;
    struct ngsi_problem problem = { NGSI_FINE, S("") };
    struct ngsi_query q;
    i64 from, to;
    if (!core) {
        static struct arena boot;
        boot = arena_make(1 << 18);
        core = ngsi_core_read(str_of(embedded_file(S(NGSI_CORE_FILE))), &boot);
        bool read = ngsi_context_read(&user, core, S("http://x/y"), S("{\"level\":\"http://x/l#a\",\"x\":\"http://x/\"}"),
                                      &boot, &problem);
        assert(read);
    }
    if (!ngsi_query_read(&q, op, params, n, user, core, a, &problem)) {
        assert(problem.error != NGSI_FINE && problem.detail.n > 0 && ngsi_status(problem.error) < 500);
        return;
    }
    assert(q.limit >= 0 && q.limit <= NGSI_LIMIT_MAX && q.offset >= 0 && q.last_n >= 0);
    const struct ngsi_list *lists[] = { &q.types, &q.ids, &q.attrs };
    for (size_t i = 0; i < COUNT(lists); i++) {
        assert(lists[i]->n <= NGSI_LIST_MAX);
        for (size_t k = 0; k < lists[i]->n; k++)
            assert(lists[i]->items[k].n > 0 && str_is_utf8(lists[i]->items[k]));
    }
    ngsi_time_range(&q, &from, &to);
    assert(from <= to);
}

static void page(struct str path, struct str raw, struct arena *a)
{
    struct str link = ngsi_page_link(a, path, raw, 20, 40, true);
    for (size_t i = 0; i < link.n; i++)
        assert(link.p[i] >= ' ' && link.p[i] < 0x7F);
}

FUZZ(p, n)
{
    struct arena a = arena_make(1 << 14);
    struct str rest = { (const char *)p + 1, n ? n - 1 : 0 };
    struct str accept = str_cut(&rest, '\n'), link = str_cut(&rest, '\n'), path = str_cut(&rest, '\n'), url;
    struct ngsi_param params[PARAMS];
    enum ngsi_media media;
    size_t k;
    assert(!ngsi_accept(&media, accept) || ngsi_media_type(media));
    if (ngsi_link_read(&url, link) && url.n > 0)
        link_and_back(url, &a);
    page(path, rest, &a);
    if (ngsi_params_read(params, PARAMS, &k, rest, &a)) {
        params_and_back(params, k, &a);
        ask((enum ngsi_operation)(1 << (n ? p[0] & 3 : 0)), params, k, &a);
    }
    arena_free(&a);
    return 0;
}
