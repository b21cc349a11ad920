// SPDX-License-Identifier: Apache-2.0
/*
 * The way of an uplink, stage after stage. No stage knows another; what a stage wants done in the
 * world it puts into the outbox, and that is carried out after the commit. docs/architecture.md
 * draws the same in a picture.
 */
#include "flow/inside.h"

enum drop flow_uplink(struct env *env, const struct frame *frame)
{
    struct uplink  uplink;
    struct reading reading;

    arena_reset(&env->event);
    if (env->full) {                                   /* what room there is, is for what was promised already */
        env->failed = env->failed == OK ? ERR_FULL : env->failed;
        env->dropped[DROP_STORE]++;
        return DROP_STORE;
    }
    enum drop drop = is_join(frame) ? mac_join(env, frame) : mac_uplink(env, &uplink, frame);
    env->dropped[drop]++;
    if (drop != PASS || is_join(frame) || uplink.fport <= 0)
        return drop;

    const struct codec *codec = codec_of(env->codecs, uplink.device.profile);
    if (codec->kind == CODEC_NONE)
        return PASS;
    if (!codec_is_table(codec))                        /* JavaScript: the answer comes back to flow_reading() */
        return ask_codec(env, &uplink);
    if (read_table(env, &reading, codec, &uplink))
        (void)go_on(env, &reading);
    return env->failed == OK ? PASS : DROP_STORE;
}

/* From the reading to the city. */
enum err go_on(struct env *env, struct reading *reading)
{
    struct change change;
    enum err      err;

    if (reading->device.profile->personal.n > 0)       /* only for the app it names: none is built yet, so it ends here */
        return OK;

    if ((err = context_load(env, reading)) != OK)           return err;
    if ((err = quality_judge(env, reading)) != OK)          return err;
    if ((err = context_merge(env, &change, reading)) != OK) return err;
    return history_append(env, &change);
}
