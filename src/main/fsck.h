/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_FSCK_H
#define HOTARU_FSCK_H

/* What is wrong with a store, in words. Reads only. */
#include "db/db.h"

#include <stdio.h>

struct fsck_report {
    u64 wrong;           /* things said */
    u64 rows, unsummed;  /* looked at; of them without a sum */
    bool unreadable;     /* it could not even be opened */
};

/* Says what is wrong on `words`; `rows`: every sound row besides, one a line, or NULL. */
void fsck_store(struct fsck_report *out, struct str where, FILE *words, FILE *rows, struct arena *arena);

/* The schema that brought a table; 0: the first two. A store that no daemon of ours has opened yet may lack it. */
i64 fsck_since(const char *table);

#endif
