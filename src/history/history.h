/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_HISTORY_H
#define HOTARU_HISTORY_H

/*
 * history: stage 5, change -> series. One row a reading, chained per entity from the newest to the
 * oldest, so that writing is an append and reading a range is a walk. The row's id is the event's.
 */
#include "core/core.h"

enum err history_append(struct env *env, struct change *change);

struct history_row {
    i64 id;
    struct wall observed;
    struct str attributes;     /* NGSI-LD object of what changed; lives until the next row */
};
typedef bool history_visit(void *arg, const struct history_row *row);   /* false: enough */

/*
 * Walks an entity's readings from the newest to the oldest on a reader's connection: those observed
 * in [from, to]. ERR_NOT_FOUND: no such entity. Late readings stand in the order of their arrival.
 */
enum err history_walk(struct db *db, u64 tenant, struct str entity, struct wall from, struct wall to,
                      history_visit *visit, void *arg);

#endif
