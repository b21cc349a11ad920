// SPDX-License-Identifier: Apache-2.0
#include "edge/cups.h"

#include "wire/station.h"

#define CREDENTIALS_MAX 6144             /* Station reads its credentials into memory: a chain of certificates has no end */

u32 cups_crc(struct bytes b)
{
    u32 crc = ~0u;
    for (size_t i = 0; i < b.n; i++) {
        crc ^= b.p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

/* ------------------------------------------------------------------ the question */

static bool read_crc(u32 *out, const struct json *v)
{
    u64 n = 0;
    *out = 0;
    bool good = !v || (json_u64(&n, v) && n <= UINT32_MAX);
    *out = (u32)n;
    return good;
}

static bool read_keys(struct cups_request *out, const struct json *keys)
{
    bool good = !keys || json_is(keys, JSON_ARRAY);
    JSON_EACH (one, keys) {
        good &= out->keys_n < CUPS_KEYS_MAX && read_crc(&out->keys[MIN(out->keys_n, CUPS_KEYS_MAX - 1u)], one);
        out->keys_n += out->keys_n < CUPS_KEYS_MAX;
    }
    return good;
}

enum drop cups_read(struct cups_request *out, struct str body, struct arena *arena)
{
    const struct json *doc;
    *out = (struct cups_request){ 0 };
    if (json_read(&doc, body, arena, JSON_STRICT, NULL) != OK || !json_is(doc, JSON_OBJECT))
        return DROP_JSON;
    const struct json *router = json_get(doc, S("router"));
    bool good = json_is(router, JSON_STRING) ? station_eui_read(&out->router, json_str(router, arena)) : json_u64(&out->router, router);
    good &= read_crc(&out->cups_crc, json_get(doc, S("cupsCredCrc"))) && read_crc(&out->lns_crc, json_get(doc, S("tcCredCrc")));
    good &= read_keys(out, json_get(doc, S("keys")));
    out->model   = json_str(json_get(doc, S("model")), arena);
    out->station = json_str(json_get(doc, S("station")), arena);
    return good ? PASS : DROP_STATION_FIELD;
}

/* ------------------------------------------------------------------ credentials */

static bool opens_lns(const struct gateway_key *k)
{
    return k->doors & DOOR_LNS;
}

/* It goes, or opens no more than the other door. */
static enum err close_lns(struct env *env, struct gateway_key *k)
{
    if (k->doors == DOOR_LNS)
        return access_gateway_key_remove(env->db, k);
    k->doors    = DOOR_CUPS;
    k->replaced = false;
    return access_gateway_key_put(env->db, k);
}

enum err cups_retire(struct env *env, const struct gateway_key *used)
{
    struct gateway_key all[GATEWAY_KEYS_MAX];
    size_t n;
    if (used->replaced || !opens_lns(used))
        return OK;
    enum err err = access_gateway_keys(all, &n, env->db, used->tenant, used->eui);
    for (size_t i = 0; i < n && err == OK; i++)
        if (all[i].replaced && opens_lns(&all[i]))
            err = close_lns(env, &all[i]);
    return err;
}

/* A new token is wanted, and what the gateway holds is not one already. What was given before and never used was lost
 * on its way: it goes. */
static bool wants_token(struct env *env, const struct cups_request *rq, u64 tenant)
{
    struct gateway_key all[GATEWAY_KEYS_MAX];
    size_t n;
    bool wanted = false, has = false;
    if (access_gateway_keys(all, &n, env->db, tenant, rq->router) != OK)
        return false;
    for (size_t i = 0; i < n; i++) {
        wanted |= all[i].replaced && opens_lns(&all[i]);
        has    |= !all[i].replaced && opens_lns(&all[i]) && all[i].crc == rq->lns_crc;
    }
    for (size_t i = 0; i < n && wanted && !has; i++)
        if (all[i].crc >= 0 && all[i].used_us == 0 && !all[i].replaced) {
            enum err err = access_gateway_key_remove(env->db, &all[i]);
            if (err != OK)
                env->failed = err;
        }
    return wanted && !has && env->failed == OK;
}

/* | trust, DER | 0 0 0 0 (no certificate) | "Authorization: Bearer …\r\n" |; its key is in the batch. */
static struct bytes new_token(struct env *env, u64 tenant, u64 eui, struct bytes trust, struct arena *arena)
{
    static const u8 no_certificate[4];
    struct gateway_key key = { .tenant = tenant, .eui = eui, .doors = DOOR_LNS, .created_us = env_clock(env).us, .crc = -1 };
    struct buf b = buf_of(arena_take(arena, CREDENTIALS_MAX, 1), CREDENTIALS_MAX);
    struct str token;
    enum err err = access_gateway_token_new(env->db, &key, env->random, env->world, &token, arena);
    buf_put(&b, trust);
    buf_put(&b, (struct bytes){ no_certificate, sizeof no_certificate });
    buf_put(&b, bytes_of(err == OK ? str_fmt(arena, "Authorization: Bearer %.*s\r\n", STR(token)) : S("")));
    assert(!b.bad);
    key.crc = cups_crc(buf_bytes(&b));
    if (err == OK)
        err = access_gateway_key_put(env->db, &key);
    if (err != OK && err != ERR_FULL)
        env->failed = err;
    return err == OK ? buf_bytes(&b) : (struct bytes){ NULL, 0 };
}

/* ------------------------------------------------------------------ the answer */

static struct bytes segments(struct bytes lns, struct arena *arena)
{
    struct buf b = buf_of(arena_take(arena, lns.n + 14, 1), lns.n + 14);
    buf_u8(&b, 0);
    buf_u8(&b, 0);
    buf_u16le(&b, 0);
    buf_u16le(&b, (u16)lns.n);
    buf_put(&b, lns);
    buf_u32le(&b, 0);
    buf_u32le(&b, 0);
    return buf_bytes(&b);
}

struct bytes cups_answer(struct env *env, u64 tenant, const struct cups_request *rq, struct bytes trust, struct arena *arena)
{
    struct bytes lns = { NULL, 0 };
    bool room = trust.n > 0 && trust.n + 256 <= CREDENTIALS_MAX;
    if (room && env_query(env, "SELECT number FROM tenant WHERE number = 1") && wants_token(env, rq, tenant))
        lns = new_token(env, tenant, rq->router, trust, arena);
    struct bytes body = segments(lns, arena);
    struct str head = str_fmt(arena, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\n"
                                     "Connection: close\r\n\r\n", body.n);
    struct buf b = buf_of(arena_take(arena, head.n + body.n, 1), head.n + body.n);
    buf_put(&b, bytes_of(head));
    buf_put(&b, body);
    return buf_bytes(&b);
}
