/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_CODEC_CHILD_H
#define HOTARU_CODEC_CHILD_H

/*
 * JavaScript codecs run in a jailed child process (docs/adr/0009). This is the daemon's side of it:
 * an object without a loop of its own. main/ watches its descriptor, hands it the time, and gets
 * answers through a callback:
 *
 *     child = codec_child_make((struct codec_child_calls){ answered, watch, of });
 *     codec = codec_child_codec(child, tenant, source);         once per codec; cheap to repeat
 *     now   = codec_child_decode(child, id, codec, CODEC_DECODE_UPLINK, input, mono);
 *             CODEC_DONE: the answer comes by answered(); anything else is the answer
 *     codec_child_readable(child, mono)    when its descriptor is
 *     codec_child_tick(child, mono)        every 10 ms while calls wait, else every second
 *
 * A call that takes more than 50 ms of CPU, a second, or 128 MB kills the child. The
 * call is answered with the reason; the calls behind it are asked again of the next child and do
 * not notice. A codec that killed three children rests for a minute, then twice as long each time.
 *
 * CODEC_FULL and CODEC_NO_CHILD say nothing of the codec or the frame: ask again later.
 * CODEC_RESTING passes too. All other refusals are what this codec makes of this frame.
 */
#include "base/base.h"

#define CODEC_REFUSALS(X)                                                               \
    X(CODEC_DONE,        "decoded")                                                     \
    X(CODEC_SYNTAX,      "the codec cannot be compiled or fails when it is loaded")     \
    X(CODEC_NO_FUNCTION, "the codec has no such function")                              \
    X(CODEC_BAD_INPUT,   "what the codec is asked is not JSON")                         \
    X(CODEC_THREW,       "the codec threw an exception")                                \
    X(CODEC_NO_OBJECT,   "the codec's answer is not an object")                         \
    X(CODEC_TOO_LARGE,   "the codec's answer is larger than 64 KiB")                    \
    X(CODEC_TOO_SLOW,    "the codec used more than 50 ms of CPU: killed")               \
    X(CODEC_TOO_BIG,     "the codec used more than 128 MB of memory: killed")           \
    X(CODEC_CRASHED,     "the codec's process died")                                    \
    X(CODEC_RESTING,     "the codec was killed three times and rests")                  \
    X(CODEC_FULL,        "too many calls are waiting")                                  \
    X(CODEC_NO_CHILD,    "the codec process cannot be started")

enum codec_refusal {
#define CODEC_REFUSAL_ENUM(name, words) name,
    CODEC_REFUSALS(CODEC_REFUSAL_ENUM)
#undef CODEC_REFUSAL_ENUM
    CODEC_REFUSAL_KINDS
};
const char *codec_refusal_name(enum codec_refusal refusal);     /* "CODEC_THREW" */
const char *codec_refusal_words(enum codec_refusal refusal);

enum codec_function {
    CODEC_DECODE_UPLINK,
    CODEC_ENCODE_DOWNLINK,
    CODEC_DECODE_DOWNLINK,
    CODEC_FUNCTIONS
};

#define CODEC_SOURCE_MAX (128 << 10)
#define CODEC_RESULT_MAX (64 << 10)
#define CODEC_INPUT_MAX  (8 << 10)
#define CODEC_WAITING_MAX 256
#define CODEC_CODECS_MAX 1024
#define CODEC_NONE_SUCH UINT32_MAX

struct codec_answer {
    u64 id;
    enum codec_refusal refusal;
    struct str result;           /* JSON of what the function returned; borrowed for the call */
    struct str words; /* of the refusal, with the exception's own words where there are any */
    u32 cpu_us;                  /* CPU the call took; 0 when killed */
};

struct codec_child_calls {
    void (*answered)(void *of, const struct codec_answer *answer);
    /* The descriptor to watch for reading; -1: stop, it is about to be closed. May be NULL. */
    void (*watch)(void *of, int fd);
    void *of;
};

struct codec_child_counts { u64 asked, answered, killed_cpu, killed_memory, crashed, started; };

struct codec_child;
struct codec_child *codec_child_make(struct codec_child_calls calls, struct mono now);
/* Calls that still wait are not answered: what was not decoded is decoded after the next start. */
void codec_child_close(struct codec_child *c);

/* The codec's handle, the same for the same tenant and source; CODEC_NONE_SUCH: too large, not
 * UTF-8 text, or too many codecs. The source is copied. */
u32 codec_child_codec(struct codec_child *c, u64 tenant, struct str source);

enum codec_refusal codec_child_decode(struct codec_child *c, u64 id, u32 codec,
                                      enum codec_function function, struct str input,
                                      struct mono now);
/* Until then it would answer CODEC_RESTING. */
struct mono codec_child_rests_until(const struct codec_child *c, u32 codec);
int    codec_child_fd(const struct codec_child *c);             /* -1: no child at the moment */
void   codec_child_readable(struct codec_child *c, struct mono now);
void   codec_child_tick(struct codec_child *c, struct mono now);
size_t codec_child_waiting(const struct codec_child *c);
struct codec_child_counts codec_child_counts(const struct codec_child *c);
int    codec_child_pid(const struct codec_child *c);            /* 0: no child at the moment */
/* What the child said of its jail when it started; empty before. */
struct str codec_child_jail(const struct codec_child *c);

/* For tests and the command line: asks and waits. The answer's texts live in the arena. */
struct codec_answer codec_child_decode_wait(struct codec_child *c, u32 codec,
                                            enum codec_function function, struct str input,
                                            struct arena *arena);

/* The child itself: `hotaru codec-worker` calls it with descriptor 3. Never returns. */
_Noreturn void codec_worker_main(int fd);

#endif
