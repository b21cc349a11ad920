// SPDX-License-Identifier: Apache-2.0
/*
 * What the pages know of devices and entities, the city's own page and the list of devices.
 *
 * When a device was last heard is the id of its last uplink: ids are microseconds since 1970. So a
 * list needs no look at the uplinks, except after the clock was set back: ids go on rising from where
 * it was, and until it has come there again the uplink itself says when.
 */
#include "api/inside.h"

#include "quality/quality.h"

#define DEVICES_COUNTED 1000000

struct str state_words(enum state state)
{
    static const char *const words[] = { "never", "silent", "attention", "works" };
    return str_z(words[state]);
}

/* ------------------------------------------------------------------ devices */

static i64 heard(const struct call *call, i64 uplink)
{
    if (uplink <= sys_clock().us)
        return uplink;
    struct db_query *q = db_query(call->db, "SELECT " UPLINK_ROW("") " FROM uplink WHERE tenant = $1 AND id = $2");
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, uplink);
    i64 us = db_step(q) == OK && uplink_good(q, 0) ? db_i64(q, 6) : uplink;
    db_reset(q);
    return us;
}

bool device_read(struct device_row *out, const struct call *call, struct db_query *q)
{
    struct arena *arena = call->rq->arena;
    if (!device_good(q, 0))
        return false;
    bool known = state_good(q, DEVICE_COLUMNS + 1);
    *out = (struct device_row){ .dev_eui     = (u64)db_i64(q, 1),
                                .name        = str_copy(arena, db_str(q, 3)),
                                .profile     = profile_find(call->api->profiles, db_str(q, 4)),
                                .lat         = column_degrees(q, 7),
                                .lon         = column_degrees(q, 8),
                                .simulated   = db_i64(q, 9) != 0,
                                .created_us  = db_i64(q, 10),
                                .heard_us    = known ? heard(call, column_or(q, 14, 0)) : 0,
                                .battery_pct = known ? (int)column_or(q, 17, -1) : -1 };
    out->profile_id = out->profile ? out->profile->id : str_copy(arena, db_str(q, 4));
    out->personal   = !out->profile || out->profile->personal.n > 0;
    if (out->personal)
        out->lat = out->lon = (double)NAN;
    return true;
}

enum state device_state(const struct device_row *d, i64 now_us)
{
    i64 stale_us = d->profile ? quality_stale_us(d->profile) : 3600 * US_PER_S;
    if (d->heard_us <= 0)
        return STATE_NEVER;
    i64 age_us = now_us - d->heard_us;
    if (age_us > stale_us || age_us < -stale_us)       /* in the future: the clock was wrong, nobody knows when */
        return STATE_SILENT;
    bool low = d->battery_pct >= 0 && d->battery_pct < BATTERY_LOW_PCT;
    return low || d->flagged ? STATE_ATTENTION : STATE_WORKS;
}

struct str device_entity(const struct device_row *d, struct arena *arena)
{
    struct str hole = S("{dev_eui}");
    if (d->personal || d->profile->entity_id.n == 0)
        return S("");
    struct str form = d->profile->entity_id;
    ptrdiff_t  at   = str_find(form, hole);
    if (at < 0)
        return form;
    size_t after = (size_t)at + hole.n;
    return str_fmt(arena, "%.*s%016llx%.*s", (int)at, form.p, (unsigned long long)d->dev_eui,
                   (int)(form.n - after), form.p + after);
}

void device_write(struct json_out *o, const struct device_row *d, i64 now_us)
{
    json_open_object(o);
    member_eui(o, S("dev_eui"), d->dev_eui);
    json_member_str(o, S("name"), d->name);
    json_member_str(o, S("profile"), d->profile_id);
    json_member_str(o, S("kind"), d->profile ? d->profile->kind : S("other"));
    member_place(o, d->lat, d->lon);
    json_member_str(o, S("state"), state_words(device_state(d, now_us)));
    member_time(o, S("last_heard"), d->heard_us);
    json_member_i64(o, S("interval_s"), d->profile ? d->profile->interval_s : 0);
    member_count(o, S("battery_pct"), d->battery_pct);
    member_words(o, S("entity"), device_entity(d, o->text->arena));
    json_member_bool(o, S("personal"), d->personal);
    json_member_bool(o, S("simulated"), d->simulated);
}

enum err devices_load(struct device_rows *out, struct call *call, i64 max)
{
    size_t room = 256;
    struct arena *arena = call->rq->arena;
    struct db_query *q = db_query(call->db, DEVICE_SELECT DEVICE_FROM
                                  "WHERE d.tenant = $1 ORDER BY d.dev_eui LIMIT $2");
    *out = (struct device_rows){ arena_array(arena, struct device_row, room), 0 };
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, max);
    enum err err;
    while ((err = db_step(q)) == OK) {
        if (out->n == room) {
            struct device_row *wider = arena_array(arena, struct device_row, room * 2);
            memcpy(wider, out->row, sizeof *wider * room);
            out->row = wider;
            room *= 2;
        }
        out->n += device_read(&out->row[out->n], call, q);
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

struct device_row *devices_find(const struct device_rows *rows, u64 dev_eui)
{
    size_t from = 0, to = rows->n;
    while (from < to) {
        size_t at = from + (to - from) / 2;
        if (rows->row[at].dev_eui == dev_eui)
            return &rows->row[at];
        if ((i64)rows->row[at].dev_eui < (i64)dev_eui)
            from = at + 1;
        else
            to = at;
    }
    return NULL;
}

/* ------------------------------------------------------------------ entities */

const struct profile_field *main_field(const struct profile *profile)
{
    for (size_t i = 0; profile && i < profile->fields_count; i++)
        if (profile->fields[i].main)
            return &profile->fields[i];
    return NULL;
}

struct str field_attribute(const struct profile_field *field)
{
    return field->attr.n ? field->attr : field->name;
}

struct str attribute_text(const struct json *attribute, struct str name, struct arena *arena)
{
    const struct json *v = json_get(attribute, name);
    return json_str(json_is(v, JSON_OBJECT) ? json_get(v, S("value")) : v, arena);
}

struct str attribute_flag(const struct json *attribute, struct arena *arena)
{
    return attribute_text(attribute, S("quality"), arena);
}

u64 entity_device(const struct json *attributes, struct arena *arena)
{
    struct str urn = json_str(json_get(json_get(attributes, S("refDevice")), S("object")), arena);
    struct str head = S("urn:ngsi-ld:Device:");
    u8 eui[8];
    size_t n;
    if (!str_starts(urn, head) || urn.n != head.n + 16 ||
        !hex_read(eui, sizeof eui, &n, (struct str){ urn.p + head.n, 16 }))
        return 0;
    return get_u64be(eui);
}

/* ------------------------------------------------------------------ the city */

struct city_count { i64 gateways, gateways_heard, devices, devices_heard; bool simulated; };

static enum err count_gateways(struct city_count *n, struct call *call, i64 now_us)
{
    struct db_query *q = db_query(
        call->db, "SELECT g.simulated, " SEEN_ROW("s.") " FROM gateway g LEFT JOIN gateway_state s "
                  "ON s.tenant = g.tenant AND s.eui = g.eui WHERE g.tenant = $1");
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    while ((err = db_step(q)) == OK) {
        n->gateways++;
        n->simulated |= db_i64(q, 0) != 0;
        n->gateways_heard += seen_good(q, 1) && gateway_state(column_or(q, 3, 0), now_us) == STATE_WORKS;
    }
    return err;
}

static enum err count_devices(struct city_count *n, struct call *call, i64 now_us)
{
    struct db_query *q = db_query(call->db,
                                  "SELECT d.profile, d.simulated, s.last_uplink" DEVICE_FROM
                                  "WHERE d.tenant = $1 LIMIT $2");
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, DEVICES_COUNTED);
    while ((err = db_step(q)) == OK) {
        struct device_row d = { .profile     = profile_find(call->api->profiles, db_str(q, 0)),
                                .heard_us    = heard(call, column_or(q, 2, 0)),
                                .battery_pct = -1 };
        n->devices++;
        n->simulated |= db_i64(q, 1) != 0;
        n->devices_heard += device_state(&d, now_us) == STATE_WORKS;
    }
    return err;
}

void get_city(struct call *call)
{
    struct page p;
    struct city_count n = { 0 };
    i64 now_us = sys_clock().us;
    const struct api *api = call->api;
    if (!store_good(call, count_gateways(&n, call, now_us)) ||
        !store_good(call, count_devices(&n, call, now_us)))
        return;
    page_begin(&p, call);
    json_open_object(&p.out);
    json_member_str(&p.out, S("name"), api->city_ja);
    json_member_str(&p.out, S("name_en"), api->city_en);
    json_member_bool(&p.out, S("simulated"), n.simulated);
    json_member_double(&p.out, S("speed"), n.simulated ? api->speed : 1);
    member_time(&p.out, S("now"), now_us);
    json_member_str(&p.out, S("version"), api->version);
    json_key(&p.out, S("counts"));
    json_open_object(&p.out);
    json_member_i64(&p.out, S("gateways"), n.gateways);
    json_member_i64(&p.out, S("gateways_heard"), n.gateways_heard);
    json_member_i64(&p.out, S("devices"), n.devices);
    json_member_i64(&p.out, S("devices_heard"), n.devices_heard);
    json_member_u64(&p.out, S("uplinks"), api_counts_read(api).counted[COUNT_UPLINKS]);
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

/* ------------------------------------------------------------------ the list of devices */

/*
 * What is typed is looked for as written: a part of the name, or the first or the last digits of an
 * EUI (labels on devices often show only the last ones). EUIs with their first bit set are negative
 * in the store; a digit or more fixes that bit, so a prefix is one range.
 */
struct search { bool any; struct str pattern; i64 from, to, mask, tail; };

/* % and _ are letters here. */
static struct str like_pattern(struct str q, struct arena *arena)
{
    struct text t = text_make(arena, 1024);
    text_char(&t, '%');
    for (size_t i = 0; i < q.n; i++) {
        if (q.p[i] == '%' || q.p[i] == '_' || q.p[i] == '!')
            text_char(&t, '!');
        text_char(&t, q.p[i]);
    }
    text_char(&t, '%');
    return text_str(&t);
}

/* 1 to 16 hexadecimal digits, with the separators that labels have. */
static bool read_digits(u64 *out, u32 *digits, struct str q)
{
    *out    = 0;
    *digits = 0;
    for (size_t i = 0; i < q.n; i++) {
        char c = q.p[i], letter = (char)(c | 0x20);
        if (c == '-' || c == ':')
            continue;
        int digit = c >= '0' && c <= '9' ? c - '0' : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
        if (digit < 0 || ++*digits > 16)
            return false;
        *out = *out << 4 | (u64)digit;
    }
    return *digits > 0;
}

static struct search search_for(struct str q, struct arena *arena)
{
    struct search s = { q.n > 0, like_pattern(q, arena), 1, 0, 0, 1 };     /* digits match nothing */
    u64 value;
    u32 digits;
    if (!read_digits(&value, &digits, q))
        return s;
    u32 shift = 64 - 4 * digits;
    u64 below = shift == 0 ? 0 : UINT64_MAX >> (64 - shift);
    s.from = (i64)(shift == 0 ? value : value << shift);
    s.to   = (i64)((u64)s.from | below);
    s.mask = (i64)(digits == 16 ? UINT64_MAX : ((u64)1 << (4 * digits)) - 1);
    s.tail = (i64)value;
    return s;
}

#define SEARCH " WHERE d.tenant = $1 AND ($2 = 0 OR LOWER(d.name) LIKE LOWER($3) ESCAPE '!' OR " \
               "(d.dev_eui >= $4 AND d.dev_eui <= $5) OR (d.dev_eui & $6) = $7)"

static void bind_search(struct db_query *q, const struct call *call, const struct search *s)
{
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, s->any);
    db_bind_str(q, 3, s->pattern);
    db_bind_i64(q, 4, s->from);
    db_bind_i64(q, 5, s->to);
    db_bind_i64(q, 6, s->mask);
    db_bind_i64(q, 7, s->tail);
}

static enum err count_found(i64 *total, struct call *call, const struct search *s)
{
    struct db_query *q = db_query(call->db, "SELECT COUNT(*) FROM device d" SEARCH);
    bind_search(q, call, s);
    enum err err = db_step(q);
    if (err == OK)
        *total = db_i64(q, 0);
    db_reset(q);
    return err;
}

static enum err load_found(struct device_rows *out, struct call *call, const struct search *s,
                           struct devices_asked asked)
{
    struct db_query *q = db_query(call->db, DEVICE_SELECT DEVICE_FROM SEARCH
                                  " ORDER BY d.dev_eui LIMIT $8 OFFSET $9");
    *out = (struct device_rows){ arena_array(call->rq->arena, struct device_row, asked.limit), 0 };
    bind_search(q, call, s);
    db_bind_i64(q, 8, asked.limit);
    db_bind_i64(q, 9, asked.offset);
    enum err err;
    while ((err = db_step(q)) == OK)
        out->n += device_read(&out->row[out->n], call, q);
    return err;
}

/* The entities of a page's devices, many at once. */
#define AT_ONCE 40

static enum err mark_flagged(struct device_rows *rows, struct call *call,
                             const struct str ids[AT_ONCE])
{
    struct db_query *q = db_query(
        call->db, "SELECT " ENTITY_ROW("") " FROM entity WHERE tenant = $1 AND id IN ("
                  "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, "
                  "$19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, "
                  "$34, $35, $36, $37, $38, $39, $40, $41)");
    struct arena scratch = arena_make(16 * 1024);
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    for (int i = 0; i < AT_ONCE; i++)
        db_bind_str(q, i + 2, ids[i]);
    while ((err = db_step(q)) == OK) {
        arena_reset(&scratch);
        if (!entity_good(q, 0))
            continue;
        const struct json *attributes = stored_object(db_str(q, 3), &scratch);
        struct device_row *d = devices_find(rows, entity_device(attributes, &scratch));
        const struct profile_field *main = d ? main_field(d->profile) : NULL;
        if (main)
            d->flagged = attribute_flag(json_get(attributes, field_attribute(main)), &scratch).n;
    }
    arena_free(&scratch);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err load_flags(struct device_rows *rows, struct call *call)
{
    struct str ids[AT_ONCE] = { { NULL, 0 } };
    int n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        ids[n] = device_entity(&rows->row[i], call->rq->arena);
        n += ids[n].n > 0;
        if (n < AT_ONCE && !(n > 0 && i + 1 == rows->n))
            continue;
        enum err err = mark_flagged(rows, call, ids);
        if (err != OK)
            return err;
        memset(ids, 0, sizeof ids);
        n = 0;
    }
    return OK;
}

void devices_page(struct call *call, struct devices_asked asked)
{
    struct page p;
    struct device_rows rows;
    struct search s = search_for(asked.q, call->rq->arena);
    i64 total = 0, now_us = sys_clock().us;
    if (!store_good(call, count_found(&total, call, &s)) ||
        !store_good(call, load_found(&rows, call, &s, asked)) ||
        !store_good(call, load_flags(&rows, call)))
        return;
    page_begin(&p, call);
    json_open_object(&p.out);
    json_member_i64(&p.out, S("total"), total);
    json_key(&p.out, S("devices"));
    json_open_array(&p.out);
    for (size_t i = 0; i < rows.n; i++) {
        device_write(&p.out, &rows.row[i], now_us);
        json_close(&p.out);
    }
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

#define Q_BYTES_MAX 200

void get_devices(struct call *call)
{
    struct devices_asked asked = { .q = str_trim(http_query(call->rq, S("q"))) };
    if (!query_i64(call, S("limit"), 50, 1, 1000, &asked.limit) ||
        !query_i64(call, S("offset"), 0, 0, INT32_MAX, &asked.offset))
        return;
    if (asked.q.n > Q_BYTES_MAX || !str_is_utf8(asked.q) ||
        (asked.q.n && memchr(asked.q.p, 0, asked.q.n))) {
        answer_problem(call, 400, "wrong parameter", S("q: text of at most 200 bytes"));
        return;
    }
    devices_page(call, asked);
}
