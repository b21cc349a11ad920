/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_QUALITY_H
#define HOTARU_QUALITY_H

/*
 * quality: stage 3, reading -> judged reading. Each field gets a flag and, where it is not the normal
 * one, a reason in words. A suspect value is never hidden and never made up: it travels with its flag.
 *
 *   missing   the codec said so                                            *
 *   range     outside what the profile believes                           !
 *   change    faster than the profile believes, against the last good one &
 *
 * Age is not judged here: a value is as old as the moment it is looked at. quality_stale() says when.
 */
#include "core/core.h"

enum err quality_judge(struct env *env, struct reading *reading);

/* A value this old is stale: two reporting intervals and 30 s without a newer one (river.md, section 6). */
static inline i64 quality_stale_us(const struct profile *profile)
{
    return (2 * (i64)profile->interval_s + 30) * US_PER_S;
}

#endif
