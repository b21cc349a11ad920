// SPDX-License-Identifier: Apache-2.0
/*
 * What a reader of the streams saw, and what nobody may see. The reader of uplinks is always there:
 * it must be given every stored row, in the order of ids, each once unless it had to come again.
 *
 * A tracker's place is looked for as people and programs would write it: as a decimal number of
 * degrees, as hexadecimal digits, as the bytes themselves on the disk.
 */
#include "box/judge.h"

#include "sys/sys.h"
#include "wire/json.h"

#define OVERDUE_US (10 * US_PER_S)

/* ------------------------------------------------------------------ a reader of the stream */

static bool read_event(struct str data, u64 *device, i64 *fcnt)
{
    struct judge *j = judge_here();
    const struct json *doc;
    u8 eui[8];
    size_t n;
    if (json_read(&doc, data, &j->scratch, JSON_LENIENT, NULL) != OK ||
        !hex_read(eui, sizeof eui, &n, json_str(json_get(doc, S("device")), &j->scratch)) || n != 8)
        return false;
    *device = get_u64be(eui);
    return !fcnt || json_i64(fcnt, json_get(doc, S("fcnt")));
}

static void delivered(u32 index, i64 id)
{
    struct judge *j = judge_here();
    if (index < j->next_row) {
        j->table.duplicated++;
        if (j->uplinks.reconnects == j->reconnects_uplinks)
            box_broken("R7", "event %lld was delivered twice to a reader that was always there", (long long)id);
        return;
    }
    for (u32 i = j->next_row; i < index; i++)
        if (!j->rows.p[i].lost)
            box_broken("R1", "event %lld was never delivered: %lld came after %lld", (long long)j->rows.p[i].id, (long long)id,
                       (long long)(j->next_row ? j->rows.p[j->next_row - 1].id : 0));
    j->next_row = index + 1;
    j->reconnects_uplinks = j->uplinks.reconnects;
    j->table.delivered++;
}

static void uplink(void *arg, i64 id, struct str data)
{
    struct judge *j = arg;
    struct arena mark = j->scratch;
    u64 eui;
    i64 fcnt;
    if (!row_of(id) && !store_read())
        return;
    const struct row *r = row_of(id);
    if (!r)
        box_broken("R1", "event %lld was delivered and is not in the store", (long long)id);
    else if (!read_event(data, &eui, &fcnt))
        box_broken("R7", "event %lld was delivered as: %.*s", (long long)id, (int)MIN(data.n, (size_t)200), data.p);
    else if (r->said != NOBODY) {
        const struct said *s = &j->said.p[r->said];
        if (j->box->sim.devices[s->device].kept.dev_eui != eui || s->fcnt != fcnt)
            box_broken("R7", "event %lld was delivered as another frame: %.*s", (long long)id, (int)MIN(data.n, (size_t)200), data.p);
    }
    if (r)
        delivered((u32)(r - j->rows.p), id);
    seen_text("the stream of uplinks", data);
    j->scratch = mark;
}

static void change(void *arg, i64 id, struct str data)
{
    struct judge *j = arg;
    struct arena mark = j->scratch;
    u64 eui;
    if (id <= j->change_last && j->changes.reconnects == j->reconnects_changes)
        box_broken("R7", "change %lld was delivered after %lld", (long long)id, (long long)j->change_last);
    if (!read_event(data, &eui, NULL))
        box_broken("R7", "change %lld was delivered as: %.*s", (long long)id, (int)MIN(data.n, (size_t)200), data.p);
    else if (map_get(&j->trackers, eui) != MAP_NONE)
        box_broken("personal", "a tracker's reading is in the stream: change %lld", (long long)id);
    if (id > j->change_last)
        j->reconnects_changes = j->changes.reconnects;
    j->change_last = MAX(j->change_last, id);
    seen_text("the stream of changes", data);
    j->scratch = mark;
}

void seen_begin(void)
{
    struct judge *j = judge_here();
    j->uplinks = (struct door_reader){ .path = S("/v1/stream?kind=uplink&since=0"), .event = uplink, .arg = j };
    j->changes = (struct door_reader){ .path = S("/v1/stream?kind=change&since=0"), .event = change, .arg = j };
    door_read_always(&j->uplinks);
    door_read_always(&j->changes);
}

void seen_overdue(void)
{
    struct judge *j = judge_here();
    while (j->next_row < j->rows.n && j->rows.p[j->next_row].lost)
        j->next_row++;
    if (j->next_row == j->rows.n)
        return;
    struct row *r = &j->rows.p[j->next_row];
    i64 slow_us = disk_faults()->sync_slow > 0 ? 4 * disk_faults()->sync_slow_us : 0;
    if (mono_since(j->box->now, r->seen) < OVERDUE_US + slow_us)
        return;
    box_broken("R1", "event %lld is stored since %lld s and was not delivered to a reader that is there", (long long)r->id,
               (long long)(mono_since(j->box->now, r->seen) / US_PER_S));
    j->next_row++;
}

/* ------------------------------------------------------------------ what nobody may see */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_place(u64 key)
{
    return map_get(&judge_here()->places, key) != MAP_NONE;
}

/* Numbers of a text that may be half a place; both halves of one fix make it whole: one of them alone,
 * to ten centimetres, is now and then where something else stands. */
struct halves { u32 of[32], n; };

static bool half_completes(struct halves *h, u64 e7)
{
    const struct map *degrees = &judge_here()->degrees;
    struct map_walk walk = map_walk(degrees, e7);
    for (u32 half; (half = map_next(degrees, &walk)) != MAP_NONE;) {
        for (u32 i = 0; i < h->n; i++)
            if (h->of[i] == (half ^ 1))
                return true;
        if (h->n < COUNT(h->of))
            h->of[h->n++] = half;
    }
    return false;
}

/* "36.7012345": six decimals or more, or it says nothing of a person. */
static bool number_is_place(struct halves *h, struct str s, size_t *at)
{
    i64 n = 0;
    int decimals = -1;
    size_t i = *at;
    for (; i < s.n && (is_digit(s.p[i]) || (s.p[i] == '.' && decimals < 0)); i++) {
        if (s.p[i] == '.')
            decimals = 0;
        else if (decimals < 7) {
            n = n * 10 + (s.p[i] - '0');
            decimals += decimals >= 0;
        }
        if (n > (i64)1 << 50)
            n = 0;
    }
    *at = i;
    return decimals >= 6 && half_completes(h, (u64)(decimals == 6 ? n * 10 : n));
}

static bool hex_is_place(struct str s, size_t at)
{
    u8 raw[8];
    size_t n;
    return at + 16 <= s.n && s.p[at] == '1' && (s.p[at + 1] == '5' || s.p[at + 1] == '6') &&
           hex_read(raw, sizeof raw, &n, (struct str){ s.p + at, 16 }) && is_place(get_u64be(raw));
}

void seen_text(const char *where, struct str text)
{
    struct halves halves = { .n = 0 };
    bool found = false;
    if (judge_here()->places.used == 0)
        return;
    for (size_t i = 0; i < text.n && !found;) {
        found = hex_is_place(text, i);
        if (!is_digit(text.p[i])) {
            i++;
            continue;
        }
        size_t next = i;
        found = found || number_is_place(&halves, text, &next);
        for (; i < next && !found; i++)
            found = hex_is_place(text, i);
        i = next;
    }
    if (found)
        box_broken("personal", "the place of a tracker stands in %s: %.*s", where, (int)MIN(text.n, (size_t)200), text.p);
}

static void scan_file(const char *path)
{
    struct arena room = arena_make(1 << 20);
    struct bytes file = { NULL, 0 };
    if (sys_file_read(&file, path, (size_t)1 << 30, &room) == OK)
        for (size_t i = 0; i + 8 <= file.n; i++)
            if ((file.p[i] == 0x15 || file.p[i] == 0x16) && is_place(get_u64be(file.p + i))) {
                box_broken("personal", "the place of a tracker stands in clear on the disk: %s, byte %zu", path, i);
                break;
            }
    arena_free(&room);
}

/* What was deleted may lie in free pages and in the log: there too. */
void seen_disk(void)
{
    struct arena mark = judge_here()->scratch;
    struct str data = judge_here()->box->settings.text[SET_data];
    scan_file(str_fmt(&judge_here()->scratch, "%.*s/hotaru.db", STR(data)).p);
    scan_file(str_fmt(&judge_here()->scratch, "%.*s/hotaru.db-wal", STR(data)).p);
    judge_here()->scratch = mark;
}
