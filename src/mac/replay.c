// SPDX-License-Identifier: Apache-2.0
/*
 * Which counters of a session were seen, in 512 bytes: a ring of bits in the manner of RFC 6479.
 *
 *     counters   … | highest - 4096 … highest - 1 | highest |  …
 *                  beyond      in the window         seen      ahead
 *
 * Counter c has bit c mod 4096. The highest has none: it is seen, so the 4,096 behind it have the ring
 * to themselves. When a higher one comes, nothing is shifted: the old highest gets its bit and those
 * that were jumped over lose the bit of the counter 4,096 before them, which has just left.
 *
 * What was seen before the window was made is not known at first. `floor` says how far down it has
 * been learnt since; below it the answer is "unknown", never "new".
 */
#include "mac/inside.h"

static_assert((REPLAY_WINDOW & (REPLAY_WINDOW - 1)) == 0, "a counter's place in the ring survives the turn of 32 bits");

static void mark(struct replay *r, u32 fcnt)
{
    r->seen[fcnt % REPLAY_WINDOW / 64] |= 1ULL << fcnt % 64;
}

static void unmark(struct replay *r, u32 fcnt)
{
    r->seen[fcnt % REPLAY_WINDOW / 64] &= ~(1ULL << fcnt % 64);
}

static bool is_marked(const struct replay *r, u32 fcnt)
{
    return r->seen[fcnt % REPLAY_WINDOW / 64] >> fcnt % 64 & 1;
}

void replay_start(struct replay *r, u32 highest)
{
    *r = (struct replay){ .highest = highest, .floor = highest };
}

enum replay_says replay_ask(const struct replay *r, u32 fcnt)
{
    if (fcnt > r->highest)
        return REPLAY_AHEAD;
    if (r->highest - fcnt > REPLAY_WINDOW)
        return REPLAY_BEYOND;
    if (fcnt == r->highest || is_marked(r, fcnt))
        return REPLAY_SEEN;
    return fcnt < r->floor ? REPLAY_UNKNOWN : REPLAY_NEW;
}

static void advance(struct replay *r, u32 highest)
{
    u32 last = r->highest;
    r->highest = highest;
    if (highest - last > REPLAY_WINDOW) {
        memset(r->seen, 0, sizeof r->seen);
        return;
    }
    mark(r, last);
    for (u32 skipped = last + 1; skipped < highest; skipped++)
        unmark(r, skipped);
}

void replay_note(struct replay *r, u32 fcnt)
{
    if (fcnt > r->highest)
        advance(r, fcnt);
    else if (fcnt < r->highest && r->highest - fcnt <= REPLAY_WINDOW)
        mark(r, fcnt);
}
