/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_FLOW_INSIDE_H
#define HOTARU_FLOW_INSIDE_H

#include "codec/codec.h"
#include "context/context.h"
#include "flow/flow.h"
#include "history/history.h"
#include "mac/mac.h"
#include "quality/quality.h"

static inline bool is_join(const struct frame *frame)
{
    return frame->phy.n > 0 && frame->phy.p[0] >> 5 == MTYPE_JOIN_REQUEST;
}

enum err  go_on(struct env *env, struct reading *reading);

/* steps.c: the joints between two nouns */
enum drop ask_codec(struct env *env, const struct uplink *uplink);
bool      read_table(struct env *env, struct reading *out, const struct codec *codec, const struct uplink *uplink);

#endif
