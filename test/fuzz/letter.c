// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as what a codec child sends that somebody else has taken over: letters of any length, among them
 * good ones, between calls that we ask, and deaths. The daemon's side of the child is compiled in here, so
 * that no process is started: its child is our end of the socket.
 *
 *     | what | … |    0 ask   1 letter of the next n bytes   2 a sound answer   3 hello   4 die   5 time passes
 *
 * Every call that was taken is answered once or still waits; an answer is in the order of the asking, and
 * within its limits.
 */
#include "test/fuzz/fuzz.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

static int child = -1;                        /* the child's end */
#define posix_spawn_file_actions_adddup2(files, fd, to) (child = fcntl((fd), F_DUPFD_CLOEXEC, 0), (void)(files), (to) < 0)
#define posix_spawn(pid, path, files, birth, argv, environment) (*(pid) = 0, (void)(argv), (void)(environment), 0)
#define kill(pid, signal) ((void)(pid), 0)
#define waitpid(pid, status, options) (*(status) = 0, (void)(pid), 0)
#include "edge/codec_child.c"

struct seen { u64 asked, answered, waiting[CODEC_WAITING_MAX]; };

static void answered(void *of, const struct codec_answer *a)
{
    struct seen *s = of;
    assert(s->answered < s->asked && a->id == s->waiting[s->answered++ % CODEC_WAITING_MAX]);
    assert(a->refusal < CODEC_REFUSAL_KINDS && a->result.n <= CODEC_RESULT_MAX + CODEC_WORDS_MAX && a->words.n > 0);
    for (size_t i = 0; i < a->result.n; i++)
        assert(a->result.p[i] || true);       /* the bytes are there to be read */
}

static void ask(struct codec_child *c, struct seen *s, u8 which, struct mono now)
{
    struct str source = which & 1 ? S("function decodeUplink(){}") : S("x");
    u64 id = ++s->asked;
    s->waiting[(id - 1) % CODEC_WAITING_MAX] = id;
    if (codec_child_decode(c, id, codec_child_codec(c, 1, source), CODEC_DECODE_UPLINK, S("{}"), now) != CODEC_DONE)
        s->asked--;
}

static void write_letter(u64 id, u32 refusal, struct str result)
{
    u8 room[256];
    struct codec_tell head = { .id = id, .result_n = (u32)result.n, .refusal = refusal };
    memcpy(room, &head, sizeof head);
    memcpy(room + sizeof head, result.p, result.n);
    (void)send(child, room, sizeof head + result.n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

FUZZ(p, n)
{
    struct seen seen = { 0 };
    struct mono now = { 100 * US_PER_S };
    struct cur in = cur_of((struct bytes){ p, n });
    struct codec_child *c = codec_child_make((struct codec_child_calls){ answered, NULL, &seen }, now);
    log_set_level(LOG_NOTHING);
    for (u8 what; cur_left(&in) > 0; now.us += 1000) {
        switch ((what = cur_u8(&in)) % 6) {
        case 0: ask(c, &seen, what, now); break;
        case 1: {
            struct bytes letter = cur_take(&in, MIN(cur_left(&in), (size_t)cur_u8(&in)));
            (void)send(child, letter.p, letter.n, MSG_DONTWAIT | MSG_NOSIGNAL);
            break;
        }
        case 2: write_letter(seen.answered + 1, what >> 4, S("{\"data\":{}}")); break;
        case 3: write_letter(CODEC_HELLO, 0, S("")); break;
        case 4: (void)shutdown(child, SHUT_RDWR); break;
        case 5: now.us += (i64)cur_u8(&in) * 10000; codec_child_tick(c, now); break;
        }
        if (c->fd >= 0)
            codec_child_readable(c, now);
        if (c->fd < 0 && child >= 0) {
            (void)close(child);
            child = -1;
        }
        assert(seen.answered + codec_child_waiting(c) == seen.asked);
    }
    codec_child_close(c);
    if (child >= 0)
        (void)close(child);
    child = -1;
    return 0;
}
