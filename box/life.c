// SPDX-License-Identifier: Apache-2.0
/*
 * The daemon's lives. serve() is the daemon, whole; it is called for each life and returns when it
 * was told to stop, when its store failed (75: a supervisor starts it again), or in vain because it
 * has been dead for a while.
 */
#include "box/box.h"

#define AGAIN_US (1 * US_PER_S)           /* the supervisor's pause after an exit of its own */

bool box_boundary(enum boundary kind)
{
    struct box *b = box_here();
    if (b->dead)
        return false;
    b->boundaries[kind]++;
    if (!b->alive || b->cut_in == 0 || --b->cut_in > 0)
        return true;
    b->dead = true;
    return false;
}

void box_cut_at(u32 boundaries, enum cut cut, i64 down_us)
{
    struct box *b = box_here();
    if (!b->alive || b->cut_in > 0)
        return;
    b->cut_in  = boundaries;
    b->cut     = cut;
    b->down_us = down_us;
}

void box_stop_in_order(i64 down_us)
{
    struct box *b = box_here();
    if (!b->alive || b->dead)
        return;
    b->down_us  = down_us;
    b->stopping = true;
    box_loop_signal();
}

static void one_life(struct box *b)
{
    static const char *const words[CUTS] = { "killed", "power cut, unsynced writes lost", "power cut, unsynced writes out of order",
                                             "power cut, a write torn" };
    b->life++;
    b->starts++;
    b->alive  = true;
    b->dead   = b->stopping = false;
    b->cut_in = 0;
    arena_reset(&b->life_boot);
    box_log("life %u begins", b->life);
    int code = serve(&b->settings, &b->life_boot);
    b->alive = false;
    net_end_life();
    door_end_life();
    codec_end_life();
    box_loop_end();
    if (!replay_given())
        judge_end_life();
    disk_settle(b->dead ? b->cut : CUT_PROCESS);
    if (b->dead) {
        b->cuts[b->cut]++;
        box_log("life %u ends: %s; down for %lld ms", b->life, words[b->cut], (long long)(b->down_us / 1000));
    } else if (!b->over && !b->stopping) {
        b->exits_75 += code == 75;
        b->down_us   = AGAIN_US;
        box_log("life %u ends by itself with %d", b->life, code);
        if (code != 75 && code != 1)
            box_broken("R14", "the daemon ended by itself with %d", code);
    } else {
        b->stops += b->stopping;
        box_log("life %u ends in order with %d", b->life, code);
        if (code != 0)
            box_broken("R1", "told to stop, the daemon ended with %d", code);
    }
    b->dead = false;                                       /* the disk is there again, for who looks at what was left */
}

void box_live_until(struct mono end)
{
    struct box *b = box_here();
    b->end  = end;
    b->over = false;
    while (!b->over) {
        one_life(b);
        if (!replay_given())
            judge_whole();
        struct mono again = mono_after(b->now, b->down_us);
        while (!b->over && mono_before(b->now, again)) {
            struct mono was = b->end;
            b->end = mono_before(again, was) ? again : was;
            (void)box_step();
            b->over = b->over && !mono_before(b->now, was);
            b->end  = was;
        }
    }
}
