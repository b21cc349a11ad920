/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_DB_RIG_H
#define HOTARU_DB_RIG_H

/* For tests: a store in which one call fails. */
#include "db/inside.h"

/* The body of the store with a call that fails. Tests run one after the other: one is enough. */
static struct { struct db_body body; const struct db_body *real; i64 until; } fault;

static inline bool fault_is_due(void) { return fault.until > 0 && --fault.until == 0; }

static inline enum err fault_run(struct db_query *q)
{
    bool due = fault_is_due();
    if (due)
        fault.real->reset(q);
    return due ? ERR_FULL : fault.real->run(q);
}

static inline enum err fault_step(struct db_query *q)
{
    bool due = fault_is_due();
    if (due)
        fault.real->reset(q);
    return due ? ERR_FULL : fault.real->step(q);
}

static inline enum err fault_begin(struct db *db)  { return fault_is_due() ? ERR_FULL : fault.real->begin(db); }
static inline enum err fault_commit(struct db *db) { return fault_is_due() ? ERR_FULL : fault.real->commit(db); }

/* The n-th call from now fails, once, as on a full disk. 0: none. */
static inline void fault_at(struct db *db, i64 n)
{
    fault.real  = db->body;
    fault.body  = *fault.real;
    fault.until = n;
    fault.body.run = fault_run, fault.body.step = fault_step, fault.body.begin = fault_begin, fault.body.commit = fault_commit;
    db->body = &fault.body;
}

#endif
