// SPDX-License-Identifier: Apache-2.0
/* What changes something: on the loop, as part of a batch, answered after its commit. */
#include "api/api.h"

#include "flow/flow.h"
#include "mac/mac.h"

static void write_report(struct call *call, const struct import_report *r, bool dry_run, int status)
{
    struct page p;
    page_begin(&p, call);
    json_open_object(&p.out);
    json_member_u64(&p.out, S("rows"), r->rows);
    json_member_u64(&p.out, S("created"), status == 200 ? r->created : 0);
    json_member_u64(&p.out, S("updated"), status == 200 ? r->updated : 0);
    json_member_bool(&p.out, S("dry_run"), dry_run);
    json_member_u64(&p.out, S("errors_total"), r->errors);
    json_key(&p.out, S("errors"));
    json_open_array(&p.out);
    for (const struct import_error *e = r->first; e; e = e->next) {
        json_open_object(&p.out);
        json_member_u64(&p.out, S("line"), e->line);
        json_member_str(&p.out, S("column"), e->column);
        json_member_str(&p.out, S("ja"), e->ja);
        json_member_str(&p.out, S("en"), e->en);
        json_close(&p.out);
    }
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, status);
}

/* A table is a batch of its own: what came before it in this one is committed first. */
static void import(struct call *call, enum import_kind kind)
{
    struct import_report report;
    struct env *env = call->api->env;
    bool dry_run = str_eq(http_query(call->rq, S("dry_run")), S("1"));
    if (flow_commit(env) != OK) {
        answer_problem(call, 500, "store failed", S("nothing of this table was kept"));
        return;
    }
    enum err err = mac_import(env, call->tenant, kind, str_of(call->rq->body), dry_run, &report, call->rq->arena);
    if (err == OK || err == ERR_INVALID)
        write_report(call, &report, dry_run, err == OK ? 200 : 422);
}

void post_import_devices(struct call *call)
{
    import(call, IMPORT_DEVICES);
}

void post_import_gateways(struct call *call)
{
    import(call, IMPORT_GATEWAYS);
}

static const char *read_downlink(struct call *call, struct downlink_new *d, const struct json *doc)
{
    i64 fport, expires_s = 86400;
    u8 *payload = arena_take(call->rq->arena, LORA_AIR_MAX * 2, 1);
    const struct json *expires = json_get(doc, S("expires_s"));
    size_t n;
    if (!json_i64(&fport, json_get(doc, S("fport"))) || fport < 0 || fport > 255)
        return "fport: a number from 1 to 223";
    if (!json_is(json_get(doc, S("payload")), JSON_STRING) ||
        !hex_read(payload, LORA_AIR_MAX * 2, &n, json_str(json_get(doc, S("payload")), call->rq->arena)))
        return "payload: hexadecimal digits, two a byte";
    if (json_get(doc, S("confirmed")) && !json_bool(&d->confirmed, json_get(doc, S("confirmed"))))
        return "confirmed: true or false";
    if (expires && (!json_i64(&expires_s, expires) || expires_s < 1 || expires_s > 30 * 86400))
        return "expires_s: seconds from 1 to 2592000 (30 days)";
    d->fport      = (int)fport;
    d->payload    = (struct bytes){ payload, n };
    d->expires_us = env_clock(call->api->env).us + expires_s * US_PER_S;
    return NULL;
}

void post_downlink(struct call *call)
{
    struct downlink_new d = { .tenant = call->tenant };
    const struct json *doc;
    struct json_error error;
    struct str why;
    struct page p;
    i64 id;
    if (!param_eui(call, 0, &d.dev_eui))
        return;
    if (json_read(&doc, str_of(call->rq->body), call->rq->arena, JSON_STRICT, &error) != OK) {
        answer_problem(call, 400, "not JSON", str_fmt(call->rq->arena, "byte %zu: %s", error.at, error.words));
        return;
    }
    const char *wrong = read_downlink(call, &d, doc);
    if (wrong) {
        answer_problem(call, 400, "not a downlink", str_z(wrong));
        return;
    }
    enum err err = mac_downlink_add(call->api->env, &d, &id, &why);
    if (err != OK) {
        answer_problem(call, err == ERR_NOT_FOUND ? 404 : err == ERR_FULL ? 429 : err == ERR_TOO_LARGE ? 413 : 400,
                       "not queued", err == ERR_NOT_FOUND ? S("there is no device with this EUI") : why);
        return;
    }
    page_begin(&p, call);
    json_open_object(&p.out);
    json_member_i64(&p.out, S("id"), id);
    json_member_str(&p.out, S("state"), S("queued"));
    json_close(&p.out);
    page_answer(&p, call, 202);
}
