// SPDX-License-Identifier: Apache-2.0
/*
 * What became of a device's frames: uplinks, downlinks and joins, refusals, in one line of time; its
 * downlinks alone; its refusals alone.
 */
#include "api/inside.h"

#include "mac/mac.h"

#include <stdlib.h>

#define FRAMES_MAX 500

/* ------------------------------------------------------------------ frames */

struct frame_row {
    i64  id, time_us;
    const char *direction;
    i64  fcnt, fport, size;                    /* -1: none, or not for anybody's eyes */
    bool confirmed, late, is_uplink;
    struct bytes radio;                        /* copies of an uplink */
    u64  gateway;                              /* of a downlink or a refusal; 0: none */
    struct str mac, drop, words, state, reason;
};
struct frame_rows { struct frame_row *row; size_t n, room; };

static struct str commands_words(struct arena *arena, struct bytes commands)
{
    struct text t = text_make(arena, 4096);
    if (commands.n > 0)
        lora_commands_text(&t, commands, LORA_UP);
    return text_str(&t);
}

/* The chain of the device's uplinks, newest to oldest, in one query. */
static enum err add_uplinks(struct frame_rows *rows, struct call *call, const struct device_row *d,
                            i64 limit)
{
    struct db_query *q = db_query(
        call->db,
        "WITH RECURSIVE chain (id, n) AS ("
        "SELECT last_uplink, 1 FROM device_state WHERE tenant = $1 AND dev_eui = $2 "
        "UNION ALL SELECT u.prev, c.n + 1 FROM chain c "
        "JOIN uplink u ON u.tenant = $1 AND u.id = c.id WHERE c.n < $3 AND u.prev > 0 AND u.prev < u.id) "
        "SELECT u.id, u.received_us, u.fcnt, u.flags, u.fopts, u.payload, u.radio, x.radio, "
        UPLINK_ROW("u.") ", " COPIES_ROW("x.") " "
        "FROM chain c JOIN uplink u ON u.tenant = $1 AND u.id = c.id AND u.dev_eui = $2 "
        "LEFT JOIN uplink_copies x ON x.tenant = $1 AND x.id = c.id");
    struct arena *arena = call->rq->arena;
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, limit);
    while ((err = db_step(q)) == OK && rows->n < rows->room) {
        if (!uplink_good(q, 8))
            continue;
        bool copies = copies_good(q, 8 + UPLINK_COLUMNS + 1) && !db_is_null(q, 7);
        i64 flags = db_i64(q, 3), fport = (flags & 0x1FF) - 1;
        bool hidden = d->personal || (flags & UPLINK_PERSONAL);
        struct frame_row *f = &rows->row[rows->n++];
        *f = (struct frame_row){ .id = db_i64(q, 0),
                                 .time_us = db_i64(q, 1),
                                 .direction = "up",
                                 .is_uplink = !hidden,
                                 .late = flags & UPLINK_LATE,
                                 .fcnt = -1,
                                 .fport = -1,
                                 .size = -1 };
        if (hidden)
            continue;
        f->fcnt      = db_i64(q, 2);
        f->fport     = fport;
        f->size      = (i64)db_bytes(q, 5).n;
        f->confirmed = flags & UPLINK_CONFIRMED;
        f->mac       = commands_words(arena, fport == 0 ? db_bytes(q, 5) : db_bytes(q, 4));
        f->radio     = bytes_copy(arena, db_bytes(q, copies ? 7 : 6));
    }
    db_reset(q);
    return err;
}

static enum err add_downlinks(struct frame_rows *rows, struct call *call,
                              const struct device_row *d, i64 limit)
{
    struct db_query *q = db_query(
        call->db,
        "SELECT id, kind, state, confirmed, fport, LENGTH(payload), sent_us, fcnt, gateway, "
        "mac, reason, " DOWN_ROW("") " FROM downlink WHERE tenant = $1 AND dev_eui = $2 ORDER BY id DESC LIMIT $3");
    struct arena *arena = call->rq->arena;
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, limit);
    while ((err = db_step(q)) == OK && rows->n < rows->room) {
        if (!down_good(q, 11))
            continue;
        struct frame_row *f = &rows->row[rows->n++];
        *f = (struct frame_row){ .id        = db_i64(q, 0),
                                 .time_us   = db_i64(q, 6) > 0 ? db_i64(q, 6) : db_i64(q, 0),
                                 .direction = db_i64(q, 1) == DOWN_JOIN ? "join" : "down",
                                 .state     = down_state_words((enum down_state)db_i64(q, 2)),
                                 .fcnt = -1, .fport = -1, .size = -1 };
        if (d->personal)
            continue;
        f->confirmed = db_i64(q, 3) != 0;
        f->fport     = db_i64(q, 4);
        f->size      = db_i64(q, 5);
        f->fcnt      = db_i64(q, 7);
        f->gateway   = (u64)db_i64(q, 8);
        f->mac       = str_copy(arena, db_str(q, 9));
        f->reason    = str_copy(arena, db_str(q, 10));
    }
    db_reset(q);
    return err;
}

/* A refusal without a gateway is ours: something that could not be sent. */
static const char *refused_direction(enum drop drop, u64 gateway)
{
    if (drop == DROP_JOIN_MIC || drop == DROP_DEVNONCE || drop == DROP_JOIN_REPEATED || drop == DROP_JOIN_LATE ||
        drop == DROP_JOIN_SPENT)
        return "join";
    return gateway ? "up" : "down";
}

static enum err add_refusals(struct frame_rows *rows, struct call *call, const struct device_row *d)
{
    struct db_query *q = db_query(
        call->db,
        "SELECT id, word, gateway, detail, " REFUSAL_ROW("") " FROM refusal WHERE tenant = $1 AND dev_eui = $2 "
        "ORDER BY id DESC LIMIT 64");
    struct arena *arena = call->rq->arena;
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    while ((err = db_step(q)) == OK && rows->n < rows->room) {
        if (!refusal_good(q, 4))
            continue;
        enum drop drop = drop_named(db_str(q, 1));
        u64 gateway = (u64)db_i64(q, 2);
        rows->row[rows->n++] =
            (struct frame_row){ .id = db_i64(q, 0),
                                .time_us = db_i64(q, 0),
                                .direction = refused_direction(drop, gateway),
                                .gateway = d->personal ? 0 : gateway,
                                .drop = str_copy(arena, db_str(q, 1)),
                                .words = str_z(drop_words(drop)),
                                .reason = d->personal ? S("") : str_copy(arena, db_str(q, 3)),
                                .fcnt = -1,
                                .fport = -1,
                                .size = -1 };
    }
    db_reset(q);
    return err;
}

static int newest_first(const void *a, const void *b)
{
    const struct frame_row *x = a, *y = b;
    if (x->time_us != y->time_us)
        return x->time_us > y->time_us ? -1 : 1;
    return x->id > y->id ? -1 : x->id < y->id;
}

static int data_rate(const struct lora_region *region, const struct radio *r)
{
    return r->sf ? lora_dr_find(region, LORA_UP, r->sf, r->bw_hz)
                 : lora_dr_find_fsk(region, r->bitrate);
}

static void write_copy(struct json_out *o, const struct gateway_names *names, u64 gateway,
                       const struct radio *r)
{
    json_open_object(o);
    member_eui(o, S("gateway"), gateway);
    json_member_str(o, S("name"), gateway_name(names, gateway));
    if (r) {
        json_member_i64(o, S("rssi_dbm"), r->rssi_dbm);
        json_member_fixed(o, S("snr_db"), r->snr_cb / 10.0, 1);
    } else {
        json_member_null(o, S("rssi_dbm"));
        json_member_null(o, S("snr_db"));
    }
    json_close(o);
}

static void write_radio(struct json_out *o, const struct frame_row *f,
                        const struct lora_region *region, const struct gateway_names *names)
{
    struct cur c = cur_of(f->radio), first = c;
    struct radio r;
    bool heard = f->is_uplink && mac_radio_read(&r, &first);
    member_count(o, S("dr"), heard ? data_rate(region, &r) : -1);
    member_count(o, S("freq_hz"), heard ? (i64)r.freq_hz : -1);
    json_key(o, S("copies"));
    json_open_array(o);
    while (f->is_uplink && mac_radio_read(&r, &c))
        write_copy(o, names, r.gateway, &r);
    if (f->gateway)
        write_copy(o, names, f->gateway, NULL);
    json_close(o);
}

static void write_frame(struct json_out *o, const struct frame_row *f,
                        const struct lora_region *region, const struct gateway_names *names)
{
    json_open_object(o);
    json_member_i64(o, S("id"), f->id);
    member_time(o, S("time"), f->time_us);
    json_member_str(o, S("direction"), str_z(f->direction));
    member_count(o, S("fcnt"), f->fcnt);
    member_count(o, S("fport"), f->fport);
    json_member_bool(o, S("confirmed"), f->confirmed);
    json_member_bool(o, S("late"), f->late);
    member_count(o, S("size"), f->size);
    json_member_str(o, S("mac"), f->mac);
    write_radio(o, f, region, names);
    member_words(o, S("drop"), f->drop);
    json_member_str(o, S("words"), f->words);
    member_words(o, S("state"), f->state);
    json_member_str(o, S("reason"), f->reason);
    json_close(o);
}

void frames_page(struct call *call, u64 dev_eui, i64 limit)
{
    struct page p;
    struct device_row d;
    struct gateway_names names;
    struct frame_rows rows = { .room = (size_t)limit * 2 + 64 };
    rows.row = arena_array(call->rq->arena, struct frame_row, rows.room);
    if (!device_find(&d, call, dev_eui) || !store_good(call, gateways_load(&names, call)) ||
        !store_good(call, add_uplinks(&rows, call, &d, limit)) ||
        !store_good(call, add_downlinks(&rows, call, &d, limit)) ||
        !store_good(call, add_refusals(&rows, call, &d)))
        return;
    qsort(rows.row, rows.n, sizeof rows.row[0], newest_first);
    page_begin(&p, call);
    json_open_object(&p.out);
    json_key(&p.out, S("frames"));
    json_open_array(&p.out);
    for (size_t i = 0; i < MIN(rows.n, (size_t)limit); i++)
        write_frame(&p.out, &rows.row[i], d.profile ? d.profile->region : NULL, &names);
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

void get_frames(struct call *call)
{
    u64 dev_eui;
    i64 limit;
    if (param_eui(call, 0, &dev_eui) && query_i64(call, S("limit"), 50, 1, FRAMES_MAX, &limit))
        frames_page(call, dev_eui, limit);
}

/* ------------------------------------------------------------------ downlinks */

static void write_downlink(struct json_out *o, struct db_query *q, bool personal)
{
    u64 gateway = personal ? 0 : (u64)db_i64(q, 8);
    json_open_object(o);
    json_member_i64(o, S("id"), db_i64(q, 0));
    member_count(o, S("fport"), personal ? -1 : db_i64(q, 1));
    member_count(o, S("size"), personal ? -1 : db_i64(q, 2));
    json_member_bool(o, S("confirmed"), db_i64(q, 3) != 0);
    json_member_str(o, S("state"), down_state_words((enum down_state)db_i64(q, 4)));
    json_member_str(o, S("reason"), personal ? S("") : db_str(q, 5));
    member_time(o, S("created_at"), db_i64(q, 0));
    member_time(o, S("sent_at"), db_i64(q, 6));
    member_words(o, S("gateway"), gateway ? eui_text(o->text->arena, gateway) : S(""));
    member_count(o, S("fcnt"), personal ? -1 : db_i64(q, 7));
    json_close(o);
}

void downlinks_page(struct call *call, u64 dev_eui, i64 limit)
{
    struct page p;
    struct device_row d;
    enum err err;
    if (!device_find(&d, call, dev_eui))
        return;
    struct db_query *q = db_query(
        call->db,
        "SELECT id, fport, LENGTH(payload), confirmed, state, reason, sent_us, fcnt, gateway, " DOWN_ROW("")
        " FROM downlink WHERE tenant = $1 AND dev_eui = $2 AND kind = 0 "
        "ORDER BY id DESC LIMIT $3");
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    db_bind_i64(q, 3, limit);
    page_begin(&p, call);
    json_open_object(&p.out);
    json_key(&p.out, S("downlinks"));
    json_open_array(&p.out);
    while ((err = db_step(q)) == OK)
        if (down_good(q, 9))
            write_downlink(&p.out, q, d.personal);
    if (!store_good(call, err))
        return;
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

void get_downlinks(struct call *call)
{
    u64 dev_eui;
    i64 limit;
    if (param_eui(call, 0, &dev_eui) && query_i64(call, S("limit"), 50, 1, FRAMES_MAX, &limit))
        downlinks_page(call, dev_eui, limit);
}

/* ------------------------------------------------------------------ why */

void why_page(struct call *call, u64 dev_eui)
{
    struct page p;
    struct device_row d;
    struct gateway_names names;
    struct frame_rows rows = { .row = arena_array(call->rq->arena, struct frame_row, 64),
                               .room = 64 };
    if (!device_find(&d, call, dev_eui) || !store_good(call, gateways_load(&names, call)) ||
        !store_good(call, add_refusals(&rows, call, &d)))
        return;
    page_begin(&p, call);
    json_open_object(&p.out);
    json_key(&p.out, S("refusals"));
    json_open_array(&p.out);
    for (const struct frame_row *f = rows.row; f < rows.row + rows.n; f++) {
        json_open_object(&p.out);
        json_member_i64(&p.out, S("id"), f->id);
        member_time(&p.out, S("time"), f->time_us);
        json_member_str(&p.out, S("drop"), f->drop);
        json_member_str(&p.out, S("words"), f->words);
        json_member_str(&p.out, S("detail"), f->reason);
        member_words(&p.out, S("gateway"),
                     f->gateway ? eui_text(call->rq->arena, f->gateway) : S(""));
        json_member_str(&p.out, S("name"), f->gateway ? gateway_name(&names, f->gateway) : S(""));
        json_close(&p.out);
    }
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

void get_why(struct call *call)
{
    u64 dev_eui;
    if (param_eui(call, 0, &dev_eui))
        why_page(call, dev_eui);
}
