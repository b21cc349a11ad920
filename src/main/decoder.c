// SPDX-License-Identifier: Apache-2.0
/*
 * Decode intents and the jailed child that carries them out. The rows of the intent table are the
 * queue; what is in flight is a small part of it. After a start, or when the child was full, the
 * rest is fetched from the rows, oldest first.
 */
#include "main/daemon.h"

#include "codec/codec.h"
#include "edge/capture.h"
#include "edge/codec_child.h"
#include "flow/flow.h"
#include "mac/mac.h"
#include "sys/sys.h"

#define IN_FLIGHT 128
#define AGAIN_US  (1 * US_PER_S)

struct asked { bool used; struct uplink uplink; u8 payload[LORA_AIR_MAX]; };

struct decoder {
    struct env *env;
    struct codec_child *child;
    struct capture *capture;
    struct loop *loop;
    struct loop_watch *watch;
    u32 *handles;                          /* of each profile's codec */
    struct asked asked[IN_FLIGHT];
    u32  in_flight;
    bool behind;                           /* rows wait in the table that are not in flight */
    i64  after;                            /* … above this one; 0: from the oldest */
    bool left;                             /* rows were left: a codec rests, the child was full */
    struct mono left_until;
    i64  highest;                          /* newest uplink ever asked: rows above it are new */
    struct mono again;
    void (*commit)(void *of);
    void *of;
    struct arena scratch;
};

static void readable(void *arg)
{
    struct decoder *d = arg;
    codec_child_readable(d->child, sys_now());
    d->commit(d->of);
}

/* These say nothing of the codec or the frame: the row stays, and is asked again. */
static bool passes(enum codec_refusal r)
{
    return r == CODEC_FULL || r == CODEC_NO_CHILD || r == CODEC_RESTING;
}

/* All rows are looked at again later; until then rows that were left hold up nobody else's. */
static void leave_row(struct decoder *d, struct mono until)
{
    if (!d->left || mono_before(until, d->left_until))
        d->left_until = until;
    d->left = true;
}

static void answered(void *of, const struct codec_answer *answer)
{
    struct decoder *d = of;
    struct asked *a = NULL;
    for (u32 i = 0; i < IN_FLIGHT && !a; i++)
        if (d->asked[i].used && (u64)d->asked[i].uplink.id == answer->id)
            a = &d->asked[i];
    if (!a)
        return;
    if (d->capture && a->uplink.device.profile->personal.n == 0)
        capture_put(d->capture, &(struct capture_record){ .kind = CAPTURE_ANSWER, .mono = sys_now(), .wall = sys_clock(),
                                                          .id = answer->id, .refusal = (u8)answer->refusal,
                                                          .bytes = bytes_of(answer->result) });
    if (!mac_device_ref(d->env, a->uplink.device.dev_eui, &a->uplink.device))
        log_line(LOG_WARN, "codec answer for a device that is gone");
    else if (passes(answer->refusal))
        leave_row(d, mono_after(sys_now(), AGAIN_US));
    else if (answer->refusal == CODEC_DONE)
        (void)flow_reading(d->env, &a->uplink, answer->result);
    else
        (void)flow_undecoded(d->env, &a->uplink, answer->words);
    a->used = false;
    d->in_flight--;
}

static void watch(void *of, int fd)
{
    struct decoder *d = of;
    if (d->watch)
        loop_unwatch(d->watch);
    d->watch = fd >= 0 ? loop_watch(d->loop, fd, readable, d) : NULL;
}

static u32 handle_of(struct decoder *d, const struct settings *s, const struct codec *codec, struct arena *boot)
{
    struct str source;
    if (codec->kind != CODEC_JS)
        return CODEC_NONE_SUCH;
    if (codec_source(&source, s, codec->file, boot) != OK) {
        log_line(LOG_ERROR, "codec file=%.*s is not there: its devices stay undecoded", STR(codec->file));
        return CODEC_NONE_SUCH;
    }
    return codec_child_codec(d->child, 1, source);
}

struct decoder *decoder_make(struct env *env, const struct settings *settings, struct loop *loop, void (*commit)(void *of),
                             void *of, struct arena *boot)
{
    struct decoder *d = boot_take(sizeof *d);
    *d = (struct decoder){ .env = env, .loop = loop, .commit = commit, .of = of, .behind = true,
                           .scratch = arena_make(1 << 14) };
    d->child   = codec_child_make((struct codec_child_calls){ answered, watch, d }, sys_now());
    d->handles = arena_array(boot, u32, env->profiles.count + 1);
    for (size_t i = 0; i < env->profiles.count; i++)
        d->handles[i] = handle_of(d, settings, codec_of(env->codecs, &env->profiles.list[i]), boot);
    return d;
}

void decoder_capture(struct decoder *d, struct capture *capture)
{
    d->capture = capture;
}

static struct asked *place(struct decoder *d, i64 id)
{
    struct asked *free_one = NULL;
    for (u32 i = 0; i < IN_FLIGHT; i++) {
        if (d->asked[i].used && d->asked[i].uplink.id == id)
            return NULL;                                       /* it is in flight already */
        if (!d->asked[i].used)
            free_one = &d->asked[i];
    }
    return free_one;
}

static void ask(struct decoder *d, const struct uplink *u)
{
    struct asked *a = place(d, u->id);
    u32 handle = d->handles[u->device.profile->number];
    if (!a)
        return;
    if (handle == CODEC_NONE_SUCH) {
        (void)flow_undecoded(d->env, u, S("the codec's file is missing or cannot be used"));
        return;
    }
    struct mono now = sys_now(), rests_until = codec_child_rests_until(d->child, handle);
    if (mono_before(now, rests_until)) {
        leave_row(d, rests_until);
        return;
    }
    arena_reset(&d->scratch);
    *a = (struct asked){ .used = true, .uplink = *u };
    memcpy(a->payload, u->payload.p, MIN(u->payload.n, sizeof a->payload));
    a->uplink.payload.p = a->payload;
    enum codec_refusal r = codec_child_decode(d->child, (u64)u->id, handle, CODEC_DECODE_UPLINK,
                                              codec_input(u->fport, u->payload, u->received, &d->scratch), now);
    d->in_flight++;
    if (r == CODEC_DONE)
        return;
    a->used = false;
    d->in_flight--;
    if (passes(r))
        leave_row(d, mono_after(now, AGAIN_US));
    else
        (void)flow_undecoded(d->env, u, str_z(codec_refusal_words(r)));
}

void decoder_ask(struct decoder *d, const struct uplink *uplink)
{
    if (d->behind || d->in_flight == IN_FLIGHT)
        d->behind = true;
    else
        ask(d, uplink);
}

static void catch_up(struct decoder *d)
{
    struct uplink waiting[IN_FLIGHT];
    size_t n = flow_waiting(d->env, d->after, waiting, IN_FLIGHT);
    d->behind = n == IN_FLIGHT;
    d->after  = d->behind ? waiting[n - 1].id : 0;
    for (size_t i = 0; i < n; i++)
        ask(d, &waiting[i]);
}

void decoder_tick(struct decoder *d)
{
    struct mono now = sys_now();
    codec_child_tick(d->child, now);
    if (d->left && !d->behind && !mono_before(now, d->left_until)) {
        d->left   = false;
        d->behind = true;
    }
    if (d->behind && d->in_flight == 0 && !mono_before(now, d->again)) {
        d->again = mono_after(now, codec_child_waiting(d->child) ? AGAIN_US : AGAIN_US / 20);
        catch_up(d);
    }
}

bool decoder_busy(const struct decoder *d)
{
    return d->behind || d->in_flight > 0;
}

void decoder_close(struct decoder *d)
{
    codec_child_close(d->child);
    arena_free(&d->scratch);
}
