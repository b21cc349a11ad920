/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_CONTEXT_H
#define HOTARU_CONTEXT_H

/*
 * context: stage 4, judged reading -> change. The entity as it is now: one row, its attributes one
 * NGSI-LD object in normalized form, where value, unit, time, flag and reason stand together. The
 * profile binds the codec's fields to attributes (Smart Data Models names, UN/CEFACT units).
 *
 * A flagged number keeps `lastGood` beside it, the last value that was believed: quality measures
 * the next change against that, and a public page may show it with its time.
 */
#include "core/core.h"

/* Reads the entity into reading->entity, ->before and ->before_reading; nothing for a profile without. */
enum err context_load(struct env *env, struct reading *reading);
enum err context_merge(struct env *env, struct change *change, struct reading *reading);

#endif
