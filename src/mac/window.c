// SPDX-License-Identifier: Apache-2.0
/*
 * Copies of one frame. The first valid copy is the uplink; a window then stays open for the others,
 * which complete the metadata and decide which gateway answers. Windows are a ring: opened in the
 * order of time, all equally long, so the next to close is always the oldest open one.
 *
 *     first ............ open ............ next
 *     closed, still known | waits for copies | free
 */
#include "mac/inside.h"

static struct window *at(struct mac *mac, u64 n)
{
    return &mac->windows[n & (WINDOWS - 1)];
}

static void forget_first(struct mac *mac)
{
    struct window *w = at(mac, mac->window_first);
    (void)map_remove(&mac->by_phy, w->hash, (u32)(mac->window_first & (WINDOWS - 1)));
    mac->window_first++;
}

struct window *window_of_copy(struct mac *mac, struct bytes phy, u32 mic)
{
    u64 hash = hash_bytes(phy);
    struct map_walk walk = map_walk(&mac->by_phy, hash);
    for (u32 i; (i = map_next(&mac->by_phy, &walk)) != MAP_NONE;)
        if (mac->windows[i].hash == hash && mac->windows[i].mic == mic)
            return &mac->windows[i];
    return NULL;
}

/* NULL: all windows are open, more frames a second than the table was made for. */
struct window *window_open(struct env *env, enum window_kind kind, const struct frame *frame, u32 mic, i64 window_us)
{
    struct mac *mac = env->mac;
    if (mac->window_next - mac->window_open >= WINDOWS)
        return NULL;
    while (mac->window_next - mac->window_first >= WINDOWS)
        forget_first(mac);
    struct window *w = at(mac, mac->window_next);
    *w = (struct window){ .hash     = hash_bytes(frame->phy),
                          .mic      = mic,
                          .kind     = (u8)kind,
                          .open     = true,
                          .batch    = mac->batch,
                          .close_at = mono_after(frame->heard, window_us) };
    window_add(w, frame);
    map_put(&mac->by_phy, w->hash, (u32)(mac->window_next & (WINDOWS - 1)));
    mac->window_next++;
    return w;
}

#define OFF_HZ 10000        /* neighbouring channels are 200 kHz apart */
#define OFF_US 2000         /* between two antennas of one gateway */

/* One transmission has one frequency and data rate, and one gateway hears it at one time. What comes while
 * the window is open and says otherwise was sent again by somebody quick; the device does not listen for an
 * answer to that. */
static bool is_same_sending(const struct window *w, const struct radio *r)
{
    const struct radio *first = &w->copy[0];
    i32 off_hz = (i32)(r->freq_hz - first->freq_hz);
    if (off_hz > OFF_HZ || off_hz < -OFF_HZ || r->sf != first->sf || r->bw_hz != first->bw_hz)
        return false;
    for (u32 i = 0; i < w->copies; i++) {
        i32 off_us = (i32)(r->tmst_us - w->copy[i].tmst_us);
        if (w->copy[i].gateway == r->gateway && (off_us > OFF_US || off_us < -OFF_US))
            return false;
    }
    return true;
}

/* One gateway counts once, with its best antenna; of more gateways than there is room, the best stay. */
static void add(struct window *w, const struct radio *radio)
{
    u32 worst = 0;
    if (w->open && w->copies > 0 && !is_same_sending(w, radio))
        return;
    for (u32 i = 0; i < w->copies; i++) {
        if (w->copy[i].gateway == radio->gateway) {
            if (w->copy[i].snr_cb < radio->snr_cb)
                w->copy[i] = *radio;
            return;
        }
        if (w->copy[i].snr_cb < w->copy[worst].snr_cb)
            worst = i;
    }
    w->heard = (u8)MIN(w->heard + 1, UINT8_MAX);
    if (w->copies < COPIES_MAX)
        w->copy[w->copies++] = *radio;
    else if (radio->snr_cb > w->copy[worst].snr_cb)
        w->copy[worst] = *radio;
}

void window_add(struct window *w, const struct frame *frame)
{
    struct radio radio = frame->radio;
    radio.kept_us = (u32)MIN(frame->kept_us, (i64)UINT32_MAX);
    add(w, &radio);
}

/* The batch was lost: its windows never were. They are the youngest. Those of before that closed in it are open
 * again: their frames are accepted, and owed an answer as long as there is time for one. */
void windows_drop_batch(struct env *env)
{
    struct mac *mac = env->mac;
    u64 again = MAX(mac->window_kept, mac->window_first);
    while (again < mac->window_open && mono_since(env_now(env), at(mac, again)->close_at) > LATE_COPY_US)
        again++;
    for (u64 n = again; n < mac->window_open; n++)
        at(mac, n)->open = true;
    mac->window_open = again;
    answers_undo(mac);
    while (mac->window_next > mac->window_first && at(mac, mac->window_next - 1)->batch == mac->batch) {
        mac->window_next--;
        (void)map_remove(&mac->by_phy, at(mac, mac->window_next)->hash, (u32)(mac->window_next & (WINDOWS - 1)));
    }
    mac->window_open = mac->window_kept = MIN(mac->window_open, mac->window_next);     /* some may have closed in it */
}

static bool is_event(const struct window *w)
{
    return w->kind == WINDOW_UPLINK || w->kind == WINDOW_LATE;
}

static void write_copies(struct env *env, const struct window *w)
{
    u8 room[COPIES_MAX * MAC_RADIO_BYTES];
    struct buf b = BUF(room);
    struct db_query *q = env_query(env, "INSERT INTO uplink_copies (tenant, id, radio, sum) VALUES ($1, $2, $3, $4) "
                                        "ON CONFLICT (tenant, id) DO UPDATE SET radio = excluded.radio, sum = excluded.sum");
    if (!q)
        return;
    for (u32 i = 0; i < w->copies; i++)
        radio_write(&b, &w->copy[i]);
    db_bind_i64(q, 1, env->mac->devices[w->device].tenant);
    db_bind_i64(q, 2, w->id);
    db_bind_bytes(q, 3, buf_bytes(&b));
    db_bind_sum(q, 4, "uplink_copies");
    (void)env_run(env, q);
}

void window_late(struct env *env, struct window *w, const struct radio *radio)
{
    add(w, radio);
    if (is_event(w))
        write_copies(env, w);
}

static void close_window(struct env *env, struct window *w)
{
    w->open = false;
    if (is_event(w) && w->copies > 1)
        write_copies(env, w);
    if (w->kind != WINDOW_LATE)
        answer_window(env, w);
}

struct mono mac_tick(struct env *env)
{
    struct mac *mac = env->mac;
    struct mono now = env_now(env);
    while (mac->window_open < mac->window_next && !mono_before(now, at(mac, mac->window_open)->close_at) &&
           env->failed == OK)
        close_window(env, at(mac, mac->window_open++));
    while (mac->window_first < mac->window_open &&
           mono_since(now, at(mac, mac->window_first)->close_at) > LATE_COPY_US)
        forget_first(mac);
    return mac->window_open < mac->window_next ? at(mac, mac->window_open)->close_at
                                               : mono_after(now, 3600 * US_PER_S);
}
