// SPDX-License-Identifier: Apache-2.0
/*
 * Server-sent events: a cursor over the store, so that nothing is lost between an answer and the
 * next. Events become visible in the order of their ids: there is one writer, it gives them in
 * order, and a commit shows all of a batch at once. So "greater than the last one sent" is complete.
 *
 *     ?kind=change   what a reading changed in an entity (default)
 *     ?kind=uplink   every stored uplink, also of devices without a codec
 *     ?since=ID, Last-Event-ID   go on behind that event; absent: from now on
 */
#include "api/inside.h"

#include "mac/mac.h"

#define ID_MAX        (((i64)1 << 53) - 1)     /* what a browser's number holds */
#define ROWS_A_LOOK   100
#define LOOK_BYTES    (60 * 1024)              /* what is more comes with the next look */
#define EVENT_BYTES   (128 * 1024)

/* ------------------------------------------------------------------ events */

static void write_value(struct json_out *o, const struct json *attribute, struct arena *arena)
{
    json_key(o, attribute->key);
    json_open_object(o);
    json_member_value(o, S("value"), json_get(attribute, S("value")));
    member_words(o, S("unit"), attribute_text(attribute, S("unitCode"), arena));
    json_member_str(o, S("flag"), attribute_flag(attribute, arena));
    member_words(o, S("observed_at"), attribute_text(attribute, S("observedAt"), arena));
    json_close(o);
}

/* Columns: id, entity, type, dev_eui, name, observed_us, attributes, flags of its uplink. `behind`: it is
 * history, and what the entity is now stays. */
static void write_change(struct json_out *o, struct db_query *q, struct arena *arena)
{
    json_member_str(o, S("entity"), db_str(q, 1));
    bool entity = !db_is_null(q, 2) && entity_good(q, 8 + READING_COLUMNS + 1);
    bool device = !db_is_null(q, 4) && device_good(q, 8 + READING_COLUMNS + 1 + ENTITY_COLUMNS + 1);
    json_member_str(o, S("type"), entity ? db_str(q, 2) : S(""));
    member_eui(o, S("device"), (u64)db_i64(q, 3));
    json_member_str(o, S("name"), device ? db_str(q, 4) : S(""));
    member_time(o, S("at"), db_i64(q, 5));
    json_member_bool(o, S("behind"), !db_is_null(q, 7) && (db_i64(q, 7) & UPLINK_BEHIND));
    json_key(o, S("attrs"));
    json_open_object(o);
    JSON_EACH (attribute, stored_object(db_str(q, 6), arena))
        write_value(o, attribute, arena);
    json_close(o);
}

/* Columns: id, dev_eui, fcnt, flags, radio */
static void write_uplink(struct json_out *o, struct db_query *q, struct arena *arena)
{
    i64 flags = db_i64(q, 3), fport = (flags & 0x1FF) - 1;
    bool personal = flags & UPLINK_PERSONAL;
    struct cur c = cur_of(db_bytes(q, 4));
    struct radio r;
    /* Which gateway heard a person's device is a track. */
    bool shown = mac_radio_read(&r, &c) && !personal;
    (void)arena;
    member_eui(o, S("device"), (u64)db_i64(q, 1));
    json_member_i64(o, S("fcnt"), db_i64(q, 2));
    if (shown && fport >= 0)
        json_member_i64(o, S("fport"), fport);
    else
        json_member_null(o, S("fport"));
    if (shown) {
        member_eui(o, S("gateway"), r.gateway);
        json_member_i64(o, S("rssi_dbm"), r.rssi_dbm);
        json_member_fixed(o, S("snr_db"), r.snr_cb / 10.0, 1);
    } else {
        json_member_null(o, S("gateway"));
        json_member_null(o, S("rssi_dbm"));
        json_member_null(o, S("snr_db"));
    }
    json_member_bool(o, S("late"), flags & UPLINK_LATE);
    json_member_bool(o, S("personal"), personal);
}

/* One event in the form of text/event-stream; JSON has no bare line ends. */
static struct str event(const struct stream *s, struct db_query *q, struct arena *arena)
{
    struct text     t = text_make(arena, EVENT_BYTES);
    struct json_out o = json_out_make(&t);
    text_fmt(&t, "id: %lld\nevent: %s\ndata: ", (long long)db_i64(q, 0),
             s->uplinks ? "uplink" : "change");
    json_open_object(&o);
    json_member_i64(&o, S("id"), db_i64(q, 0));
    (s->uplinks ? write_uplink : write_change)(&o, q, arena);
    json_close(&o);
    text_put(&t, S("\n\n"));
    if (!t.bad)
        return text_str(&t);
    log_line(LOG_WARN, "stream event=%lld words=\"larger than an event may be\"",
             (long long)db_i64(q, 0));
    return S("");
}

/* ------------------------------------------------------------------ the cursor */

static const char uplinks_after[] =
    "SELECT id, dev_eui, fcnt, flags, radio, " UPLINK_ROW("") " FROM uplink WHERE tenant = $1 AND id > $2 "
    "ORDER BY id LIMIT $3";
static const char changes_after[] =
    "SELECT r.id, r.entity, e.type, r.dev_eui, d.name, r.observed_us, r.attributes, u.flags, "
    READING_ROW("r.") ", " ENTITY_ROW("e.") ", " DEVICE_ROW("d.") " FROM reading r "
    "LEFT JOIN entity e ON e.tenant = r.tenant AND e.id = r.entity "
    "LEFT JOIN device d ON d.tenant = r.tenant AND d.dev_eui = r.dev_eui "
    "LEFT JOIN uplink u ON u.tenant = r.tenant AND u.id = r.uplink "
    "WHERE r.tenant = $1 AND r.id > $2 ORDER BY r.id LIMIT $3";

static struct db_query *rows_after(const struct stream *s, struct db *db)
{
    struct db_query *q = db_query(db, s->uplinks ? uplinks_after : changes_after);
    db_bind_i64(q, 1, (i64)s->tenant);
    db_bind_i64(q, 2, s->at);
    db_bind_i64(q, 3, ROWS_A_LOOK);
    return q;
}

bool stream_look(struct stream *s, struct db *db, struct text *out)
{
    struct arena scratch = arena_make(32 * 1024);
    struct db_query *q = rows_after(s, db);
    enum err err;
    size_t n = 0;
    for (; (err = db_step(q)) == OK; n++) {
        arena_reset(&scratch);
        bool whole = s->uplinks ? uplink_good(q, 5) : reading_good(q, 8);
        struct str e = whole ? event(s, q, &scratch) : S("");      /* a damaged event is passed over */
        if (out->n > 0 && out->n + e.n > LOOK_BYTES)
            break;
        text_put(out, e);
        s->at = db_i64(q, 0);
    }
    db_reset(q);
    arena_free(&scratch);
    if (err != OK && err != ERR_NOT_FOUND)
        log_line(LOG_WARN, "stream store=%s words=\"%.*s\"", err_words(err), STR(db_error(db)));
    return err == ERR_NOT_FOUND && n < ROWS_A_LOOK;
}

/* Most commits carry no event, and a look at the store is dear: its pages are read anew after each commit.
 * What a commit carried is said after it, so who reads that first misses nothing. 0: nobody says so here. */
static void look(void *of, struct http_request *rq, struct text *out, bool idle)
{
    struct api    *api = of;
    struct stream *s = rq->route;
    i64 stored = api_counts_read(api).stored_id;
    struct db *db = stored == 0 || s->seen < stored ? reader_take(api->readers) : NULL;
    if (db) {
        if (stream_look(s, db, out))
            s->seen = stored;
        reader_give(api->readers, db);
    }
    if (idle && out->n == 0)
        text_put(out, S(": ping\n\n"));
}

/* The newest event there is: a stream without a cursor begins behind it. */
static enum err newest(i64 *id, struct call *call, bool uplinks)
{
    static const char uplink[]  = "SELECT id FROM uplink WHERE tenant = $1 ORDER BY id DESC LIMIT 1";
    static const char reading[] = "SELECT id FROM reading WHERE tenant = $1 ORDER BY id DESC LIMIT 1";
    struct db_query *q = db_query(call->db, uplinks ? uplink : reading);
    db_bind_i64(q, 1, (i64)call->tenant);
    enum err err = db_step(q);
    *id = err == OK ? db_i64(q, 0) : 0;
    db_reset(q);
    return err;
}

/* Last-Event-ID counts more: a browser that comes back sends it beside the old address. */
static bool read_cursor(struct call *call, i64 *at)
{
    struct str last = http_header(call->rq, S("Last-Event-ID"));
    if (last.n > 0 && str_to_i64(at, last) && *at >= 0)
        return true;
    return query_i64(call, S("since"), -1, 0, ID_MAX, at);
}

void get_stream(struct call *call)
{
    struct stream *s = arena_new(call->rq->arena, struct stream);
    struct str kind = http_query(call->rq, S("kind"));
    s->tenant  = call->tenant;
    s->uplinks = str_eq(kind, S("uplink"));
    if (kind.n > 0 && !s->uplinks && !str_eq(kind, S("change"))) {
        answer_problem(call, 400, "wrong parameter", S("kind: change or uplink"));
        return;
    }
    if (!read_cursor(call, &s->at) ||
        (s->at < 0 && !store_good(call, newest(&s->at, call, s->uplinks))))
        return;
    call->rq->route = s;               /* the route was taken: now the place carries the cursor */
    call->a->status  = 0;
    call->a->type    = S("text/event-stream");
    call->a->stream  = look;
    http_answer_header(call->a, S("Cache-Control"), S("no-store"));
    http_answer_header(call->a, S("X-Accel-Buffering"), S("no"));      /* a proxy must not collect */
}
