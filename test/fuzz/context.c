// SPDX-License-Identifier: Apache-2.0
/* Any text as a user's @context and, behind the first zero byte, as the stored attributes of an entity. A
 * name that a context gives to an IRI means that IRI again; every form of the entity is whole JSON. */
#include "test/fuzz/fuzz.h"

#include "base/embedded.h"
#include "ngsi/ngsi.h"

static void check_name(const struct ngsi_context *c, struct str name, struct arena *a)
{
    struct str iri = ngsi_expand(c, name, a), shown = ngsi_compact(c, iri, a);
    if (iri.n > 0)
        assert(str_eq(ngsi_expand(c, shown, a), iri));
}

static void check_sound(const struct json *v)
{
    assert(v->kind != JSON_BAD);
    JSON_EACH (child, v)
        check_sound(child);
}

static void render(const struct ngsi_entity *e, const struct ngsi_view *view, bool temporal, struct arena *a)
{
    const struct json *back;
    struct text     t = text_make(a, 1 << 24);
    struct json_out o = json_out_make(&t);
    const struct ngsi_reading readings[] = { { 5, e->attributes }, { 7, e->attributes } };
    if (temporal)
        ngsi_temporal_write(&o, e, readings, COUNT(readings), view, NULL, a);
    else
        ngsi_entity_write(&o, e, view, a);
    assert(json_out_good(&o));
    enum err err = json_read(&back, text_str(&t), a, (struct json_limits){ 64, 1000000, false, false }, NULL);
    assert(err == OK);
    check_sound(back);
}

FUZZ(p, n)
{
    static const struct ngsi_context *core;
    static struct arena boot;
    struct arena a = arena_make(1 << 16);
    struct str rest = { (const char *)p, n }, text = str_cut(&rest, '\0');
    const struct ngsi_context *user;
    struct ngsi_problem problem = { NGSI_FINE, S("") };
    struct ngsi_entity e = { .id = S("urn:ngsi-ld:T:1"), .type = S("T") };
    if (!core) {
        boot = arena_make(1 << 18);
        core = ngsi_core_read(str_of(embedded_file(S(NGSI_CORE_FILE))), &boot);
    }
    bool read = ngsi_context_read(&user, core, S("http://x/y"), text, &a, &problem);
    assert(read || (problem.error != NGSI_FINE && problem.detail.n > 0));
    if (!read)
        user = core;
    if (json_read(&e.attributes, rest, &a, (struct json_limits){ 16, 1000, false, true }, NULL) != OK ||
        !json_is(e.attributes, JSON_OBJECT))
        e.attributes = NULL;
    JSON_EACH (attribute, e.attributes)
        check_name(user, attribute->key, &a);
    for (u32 bits = 0; e.attributes && bits < 32; bits++) {
        struct ngsi_query q = { .format = (enum ngsi_format)(bits & 3), .sys_attrs = bits & 4, .last_n = bits & 8 ? 1 : 0 };
        struct ngsi_view view = { &q, core, user, bits & 8 };
        if (ngsi_entity_passes(&e, &q))
            render(&e, &view, bits & 16, &a);
    }
    arena_free(&a);
    return 0;
}
