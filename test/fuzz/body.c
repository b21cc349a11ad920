// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as the body of a request that writes: a downlink, a table of devices, a table of gateways; the
 * first byte chooses. An answer of success tells what the store then holds, one of refusal changed nothing.
 */
#include "test/fuzz/kit/door.h"
#include "test/fuzz/fuzz.h"

#include "wire/json.h"

static const char *const paths[] = {
    "/v1/devices/70B3D57ED0000001/downlinks", "/v1/import/devices", "/v1/import/gateways", "/v1/import/devices?dry_run=1",
};

static i64 rows(struct city *c)
{
    return city_count(c, "SELECT (SELECT COUNT(*) FROM device) + (SELECT COUNT(*) FROM gateway) + (SELECT COUNT(*) FROM downlink)");
}

/* What the answer says was made. */
static i64 created(const struct door_answer *answer, struct arena *a)
{
    const struct json *doc;
    i64 n = 0;
    bool dry;
    enum err err = json_read(&doc, answer->body, a, JSON_STRICT, NULL);
    assert(err == OK);
    if (answer->status == 202)
        return 1;
    return json_bool(&dry, json_get(doc, S("dry_run"))) && !dry && json_i64(&n, json_get(doc, S("created"))) ? n : 0;
}

FUZZ(p, n)
{
    struct city *c = city_begin();
    struct arena a = arena_make(1 << 16);
    struct door_answer answer;
    i64 before = rows(c);
    struct str head = str_fmt(&a, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", paths[n ? p[0] & 3 : 0], n ? n - 1 : 0);
    struct text request = text_make(&a, 1 << 20);
    text_put(&request, head);
    text_put(&request, (struct str){ (const char *)p + 1, n ? n - 1 : 0 });
    door_ask(&answer, c, bytes_of(text_str(&request)), true, &a);
    door_check(&answer, &a);
    assert(answer.status == 200 || answer.status == 202 || (answer.status >= 400 && answer.status < 500));
    assert(rows(c) - before == (answer.status < 300 ? created(&answer, &a) : 0));
    struct mac_numbers had = mac_numbers(c->env.mac);
    city_restart(c);                          /* what was kept can be read at the next start, and is the same */
    struct mac_numbers has = mac_numbers(c->env.mac);
    assert(had.devices == has.devices && had.gateways == has.gateways);
    arena_free(&a);
    return 0;
}
