// SPDX-License-Identifier: Apache-2.0
/*
 * `hotaru replay`: what came through the doors of a daemon, again, in the box. The folder is a copy
 * (a backup, or the data folder of a stopped daemon): the store as it was, the key file, the ring
 * of the capture. Nothing is written back.
 *
 * Clocks are those of the capture: the daemon sees each datagram at the time it saw it then. Codec
 * answers come from the capture, found by the uplink's id, which is a time; where there is none (a
 * personal device, or the ring had turned over) the frame stays undecoded and is counted. Import
 * lists were not kept, for they hold keys: devices enrolled during the capture are unknown here.
 *
 * What the daemon says to gateways is printed, with what it counted at the end; the same capture
 * gives the same text.
 */
#include "box/box.h"

#include "edge/capture.h"
#include "wire/semtech.h"

#define NEAR_US (100 * US_PER_MS)         /* an id made now and the id of then differ by so much at most */

static struct replay {
    bool   given;
    struct bytes records;
    struct capture_record *list;
    u32    count, at, starts, writes, unanswered, sent;
    i64    base_us;                       /* from the capture's clock to the box's */
    bool  *used;
} replay;

bool replay_given(void)
{
    return replay.given;
}

/* ------------------------------------------------------------------ what is asked of it */

bool replay_answer(u64 id, struct str *result, u8 *refusal)
{
    u32 best = replay.count;
    i64 best_us = NEAR_US;
    for (u32 i = 0; i < replay.count; i++) {
        const struct capture_record *r = &replay.list[i];
        i64 off_us = (i64)(r->id - id);
        if (r->kind != CAPTURE_ANSWER || replay.used[i] || off_us > best_us || off_us < -best_us)
            continue;
        best    = i;
        best_us = off_us < 0 ? -off_us : off_us;
    }
    if (best == replay.count) {
        replay.unanswered++;
        return false;
    }
    replay.used[best] = true;
    *result  = str_of(replay.list[best].bytes);
    *refusal = replay.list[best].refusal;
    return true;
}

/* In their order, each of its own length. */
bool replay_chance(u8 *out, size_t n)
{
    for (u32 i = 0; n <= CAPTURE_CHANCE_MAX && i < replay.count; i++) {
        const struct capture_record *r = &replay.list[i];
        if (r->kind != CAPTURE_CHANCE || replay.used[i] || r->bytes.n != n)
            continue;
        memcpy(out, r->bytes.p, n);
        replay.used[i] = true;
        return true;
    }
    return false;
}

void replay_sent(struct address to, struct bytes datagram)
{
    static const char *const kinds[] = { "PUSH_DATA", "PUSH_ACK", "PULL_DATA", "PULL_RESP", "PULL_ACK", "TX_ACK" };
    struct arena mark = box_here()->boot;
    u8 kind = datagram.n > 3 ? datagram.p[3] : 255;
    replay.sent++;
    box_log("to %.*s: %s%s%.*s", STR(address_str(&box_here()->boot, to)), kind < COUNT(kinds) ? kinds[kind] : "?",
            kind == 3 ? " " : "", kind == 3 ? (int)(datagram.n - 4) : 0, (const char *)datagram.p + 4);
    box_here()->boot = mark;
}

/* ------------------------------------------------------------------ the records, one after another */

static void answered(void *arg, int status, struct str body)
{
    const struct capture_record *r = arg;
    box_log("%.*s %.*s is answered with %d %.*s", STR(r->method), STR(r->path), status, (int)MIN(body.n, (size_t)200), body.p);
}

static void happen(void *arg, i64 number);

static void next(struct box *b)
{
    if (replay.at == replay.count)
        return;
    const struct capture_record *r = &replay.list[replay.at];
    i64 at_us = r->mono.us + replay.base_us;
    if (at_us < b->now.us || at_us > b->now.us + 40 * (86400 * US_PER_S)) {      /* the machine was started again: its clock began anew */
        replay.base_us = b->now.us - r->mono.us;
        at_us = b->now.us;
    }
    box_at((struct mono){ at_us }, BOX_ALWAYS, happen, NULL, 0);
}

static void happen(void *arg, i64 number)
{
    struct box *b = box_here();
    const struct capture_record *r = &replay.list[replay.at++];
    (void)arg, (void)number;
    b->wall_offset_us = r->wall.us - b->wall_begin.us - b->now.us;
    switch (r->kind) {
    case CAPTURE_DATAGRAM:
        net_inject(r->peer, r->bytes, b->now);
        break;
    case CAPTURE_WRITE:
        replay.writes++;
        if (r->bytes.n)
            door_ask(r->method.n == 4 ? "POST" : "PUT", r->path, S("application/json"), r->bytes, answered, (void *)(uintptr_t)r);
        else
            box_log("%.*s %.*s: its body was not kept", STR(r->method), STR(r->path));
        break;
    case CAPTURE_START:
        box_log("a start of hotaru %.*s", STR(str_of(r->bytes)));
        if (replay.starts++ > 0)
            box_stop_in_order(10 * US_PER_MS);
        break;
    case CAPTURE_ANSWER: case CAPTURE_CHANCE:
        break;
    }
    next(b);
}

static void counted(void *arg, int status, struct str body)
{
    struct str rest = body;
    (void)arg, (void)status;
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        bool worth = str_starts(line, S("hotaru_uplinks_total")) || str_starts(line, S("hotaru_joins_total")) ||
                     str_starts(line, S("hotaru_downlinks_total")) || str_starts(line, S("hotaru_drops_total"));
        if (worth && !str_ends(line, S(" 0")))
            box_log("%.*s", STR(line));
    }
}

static void count_now(void *arg, i64 number)
{
    (void)arg, (void)number;
    door_ask("GET", S("/metrics"), S(""), (struct bytes){ NULL, 0 }, counted, NULL);
}

/* ------------------------------------------------------------------ the beginning */

static bool take_file(struct box *b, struct str folder, const char *name, bool needed)
{
    struct bytes bytes;
    const char *path = str_fmt(&b->boot, "%.*s/%s", STR(folder), name).p;
    if (!replay_host_read(&bytes, path, &b->boot))
        return !needed;
    return sys_file_write(str_fmt(&b->boot, "/data/%s", name).p, bytes, 0600) == OK;
}

static bool take_records(struct box *b, struct str folder)
{
    struct bytes half[2] = { { NULL, 0 }, { NULL, 0 } };
    for (int i = 0; i < 2; i++)
        (void)replay_host_read(&half[i], str_fmt(&b->boot, "%.*s/capture.%d", STR(folder), i).p, &b->boot);
    if (capture_join(&replay.records, half, &b->boot) != OK)
        return false;
    struct capture_record r;
    for (struct cur c = cur_of(replay.records); capture_next(&c, &r);)
        replay.count++;
    replay.list = arena_array(&b->boot, struct capture_record, replay.count + 1);
    replay.used = arena_array(&b->boot, bool, replay.count + 1);
    u32 n = 0;
    for (struct cur c = cur_of(replay.records); n < replay.count && capture_next(&c, &replay.list[n]);)
        n++;
    return replay.count > 0;
}

bool replay_run(struct box *b, struct str folder, struct str *why)
{
    replay.given = true;
    *why = str_fmt(&b->boot, "%.*s needs hotaru.db, kek and a capture (capture.0, capture.1)", STR(folder));
    if (!take_file(b, folder, "hotaru.db", true) || !take_file(b, folder, "hotaru.db-wal", false) ||
        !take_file(b, folder, "kek", true) || !take_records(b, folder))
        return false;
    const struct capture_record *first = &replay.list[0], *last = &replay.list[replay.count - 1];
    replay.base_us = b->now.us + US_PER_S - first->mono.us;
    b->wall_begin  = (struct wall){ first->wall.us - b->now.us - US_PER_S };
    *disk_faults() = (struct disk_faults){ .room_bytes = (i64)1 << 40, .sync_us = 100 };
    *codec_faults() = (struct codec_faults){ .answer_us = 400 };
    b->quiet = true;                                           /* no simulated city: only what was captured */
    next(b);
    i64 lasts_us = MAX(last->wall.us - first->wall.us, (i64)0) + 70 * US_PER_S;
    struct mono end = mono_after(b->now, MIN(lasts_us, 40 * (86400 * US_PER_S)));
    box_at(mono_after(end, -2 * US_PER_S), BOX_ALWAYS, count_now, NULL, 0);
    box_live_until(end);
    box_log("replayed %u records: %u starts, %u writes, %u datagrams sent back, %u codec answers that were not kept", replay.count,
            replay.starts, replay.writes, replay.sent, replay.unanswered);
    return true;
}
