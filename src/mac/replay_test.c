// SPDX-License-Identifier: Apache-2.0
/* The window against a set that remembers everything, wherever the counter stands and turns over. */
#include "base/test.h"
#include "mac/inside.h"

#define SPAN (6 * REPLAY_WINDOW)

/* Everything that was ever seen, from `base` on: nothing clever. */
struct stupid { u32 base, highest, floor; bool seen[SPAN + 1]; };

static enum replay_says stupid_ask(const struct stupid *s, u32 fcnt)
{
    if (fcnt > s->highest)
        return REPLAY_AHEAD;
    if ((u64)fcnt + 4096 < s->highest)
        return REPLAY_BEYOND;
    if (s->seen[fcnt - s->base])
        return REPLAY_SEEN;
    return fcnt < s->floor ? REPLAY_UNKNOWN : REPLAY_NEW;
}

static void stupid_note(struct stupid *s, u32 fcnt)
{
    s->seen[fcnt - s->base] = true;
    s->highest = MAX(s->highest, fcnt);
}

static const char *const words[] = { "ahead", "new", "seen", "beyond", "unknown" };

static bool agree(const struct replay *r, const struct stupid *s, u32 fcnt)
{
    enum replay_says clever = replay_ask(r, fcnt), stupid = stupid_ask(s, fcnt);
    if (clever != stupid)
        test_fail(__FILE__, __LINE__, "highest %u floor %u: %u is %s, not %s", r->highest, r->floor, fcnt, words[clever],
                  words[stupid]);
    return clever == stupid;
}

static bool agree_everywhere(const struct replay *r, const struct stupid *s)
{
    for (u32 i = 0; i <= SPAN; i++)
        if (!agree(r, s, s->base + i))
            return false;
    return true;
}

/* The clever and the stupid one, both begun at `base` with all below it known. */
static struct stupid *begin(struct replay *r, u32 base)
{
    struct stupid *s = arena_new(test_arena(), struct stupid);
    *s = (struct stupid){ .base = base, .highest = base };
    s->seen[0] = true;
    replay_start(r, base);
    r->floor = 0;
    return s;
}

static void note(struct replay *r, struct stupid *s, u32 fcnt)
{
    replay_note(r, fcnt);
    stupid_note(s, fcnt);
}

/* Where 16 bits turn over, where they are half, at both ends of 32 bits. */
static const u32 places[] = { 0, 1, 4095, 4096, 0x7FF0, 0xFFFF - 4096, 0xFFFE, 0xFFFF, 0x10000, 0x1FFFF, 0x1FFFF - 2048,
                              0x7FFFFFFF - 100, 0xFFFF0000, UINT32_MAX - SPAN };

TEST(a_window_starts_by_knowing_its_highest_and_nothing_below)
{
    struct replay r;
    replay_start(&r, 10000);
    EQ(replay_ask(&r, 10001), REPLAY_AHEAD);
    EQ(replay_ask(&r, 10000), REPLAY_SEEN);
    EQ(replay_ask(&r, 9999), REPLAY_UNKNOWN);
    EQ(replay_ask(&r, 10000 - 4096), REPLAY_UNKNOWN);
    EQ(replay_ask(&r, 10000 - 4097), REPLAY_BEYOND);
    EQ(replay_ask(&r, 0), REPLAY_BEYOND);
    replay_note(&r, 9990);                                  /* learnt, down to 9990 */
    r.floor = 9990;
    EQ(replay_ask(&r, 9990), REPLAY_SEEN);
    EQ(replay_ask(&r, 9991), REPLAY_NEW);
    EQ(replay_ask(&r, 9989), REPLAY_UNKNOWN);
    replay_note(&r, 10000 - 4097);                          /* beyond: it has no bit that it could set */
    EQ(replay_ask(&r, 9999), REPLAY_NEW);
}

TEST(the_highest_that_is_seen_again_changes_nothing)
{
    struct replay r;
    struct stupid *s = begin(&r, 70000);
    note(&r, s, 70000);
    note(&r, s, 70000);
    (void)agree_everywhere(&r, s);
}

/* A step of any size from a window that holds every second counter: what was between is new, what was there is not. */
TEST(every_step_ahead_keeps_what_was_seen_and_opens_what_was_jumped_over)
{
    static const u32 steps[] = { 1, 2, 3, 63, 64, 65, 127, 4094, 4095, 4096, 4097, 4098, 8191, 8192, 8193, 16384 };
    for (size_t p = 0; p < COUNT(places); p++)
        for (size_t i = 0; i < COUNT(steps); i++) {
            struct replay r;
            struct stupid *s = begin(&r, places[p]);
            for (u32 c = 2; c <= REPLAY_WINDOW; c += 2)
                note(&r, s, places[p] + c);
            note(&r, s, s->highest + steps[i]);
            if (!agree_everywhere(&r, s))
                return;
            for (u32 c = s->highest - MIN(s->highest - s->base, (u32)REPLAY_WINDOW); c < s->highest; c++)
                if (replay_ask(&r, c) == REPLAY_NEW)
                    note(&r, s, c);
            note(&r, s, s->highest + 1);
            if (!agree_everywhere(&r, s))
                return;
        }
}

/* Everything that five frames out of six neighbours can be, again and out of order too, at every place: nothing
 * is accepted twice and nothing that was never seen is refused. */
TEST(all_orders_of_a_few_counters_are_each_accepted_once)
{
    for (size_t p = 0; p < COUNT(places); p++)
        for (u32 code = 0; code < 6 * 6 * 6 * 6 * 6; code++) {
            struct replay r;
            bool seen[7] = { true };
            u32 highest = 0, rest = code;
            replay_start(&r, places[p]);
            r.floor = 0;
            for (int k = 0; k < 5; k++, rest /= 6) {
                u32 c = rest % 6 + 1;
                enum replay_says is = replay_ask(&r, places[p] + c),
                                 should = c > highest ? REPLAY_AHEAD : seen[c] ? REPLAY_SEEN : REPLAY_NEW;
                if (is != should) {
                    test_fail(__FILE__, __LINE__, "from %u, order %u: +%u is %s, not %s", places[p], code, c, words[is],
                              words[should]);
                    return;
                }
                replay_note(&r, places[p] + c);
                seen[c] = true;
                highest = MAX(highest, c);
            }
        }
}

/* A device that loses frames, a backlog in any order, replays of anything: as the air and the gateways please. */
TEST(the_window_and_a_set_that_forgets_nothing_agree_on_random_traffic)
{
    u64 chance = 739;
    for (size_t p = 0; p < COUNT(places); p++)
        for (int round = 0; round < 4; round++) {
            struct replay r;
            struct stupid *s = begin(&r, places[p]);
            u32 reach = round == 0 ? 8 : round == 1 ? 100 : round == 2 ? REPLAY_WINDOW : REPLAY_WINDOW + 200;
            for (int i = 0; i < 20000 && s->highest - s->base < SPAN - 5000; i++) {
                chance = hash_u64(chance + 1);
                u32 far  = (u32)(chance >> 8) % (reach + 1);
                u32 fcnt = chance % 4 == 0 ? s->highest + 1 + (far % 32 == 0 ? far : far % 4)
                                           : s->highest - MIN(far, s->highest - s->base);
                if (!agree(&r, s, fcnt))
                    return;
                if (replay_ask(&r, fcnt) == REPLAY_NEW || replay_ask(&r, fcnt) == REPLAY_AHEAD)
                    note(&r, s, fcnt);
            }
            if (!agree_everywhere(&r, s))
                return;
        }
}
