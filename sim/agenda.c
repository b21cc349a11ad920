// SPDX-License-Identifier: Apache-2.0
/* What happens next: a binary heap by time, and by arrival where times are equal. */
#include "sim/inside.h"

static bool sooner(const struct event *a, const struct event *b)
{
    return a->at.us != b->at.us ? a->at.us < b->at.us : a->order < b->order;
}

static void swap(struct event *a, struct event *b)
{
    struct event t = *a;
    *a = *b;
    *b = t;
}

void sim_agenda_put(struct agenda *a, struct mono at, enum event_kind kind, u32 who, u32 gen)
{
    if (a->n == a->room) {
        u32 room = MAX(1024u, a->room * 2);
        a->heap  = boot_grow(a->heap, a->room * sizeof *a->heap, room * sizeof *a->heap);
        a->room  = room;
    }
    u32 i = a->n++;
    a->heap[i] = (struct event){ at, a->order++, (u32)kind, who, gen };
    for (; i > 0 && sooner(&a->heap[i], &a->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&a->heap[i], &a->heap[(i - 1) / 2]);
}

static void sink(struct agenda *a)
{
    for (u32 i = 0, least = 0;; i = least) {
        for (u32 child = 2 * i + 1; child <= 2 * i + 2; child++)
            if (child < a->n && sooner(&a->heap[child], &a->heap[least]))
                least = child;
        if (least == i)
            return;
        swap(&a->heap[i], &a->heap[least]);
    }
}

bool sim_agenda_next(const struct agenda *a, struct mono *at)
{
    if (a->n == 0)
        return false;
    *at = a->heap[0].at;
    return true;
}

bool sim_agenda_take(struct agenda *a, struct event *out, struct mono now)
{
    if (a->n == 0 || mono_before(now, a->heap[0].at))
        return false;
    *out = a->heap[0];
    a->heap[0] = a->heap[--a->n];
    sink(a);
    return true;
}
