/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_SYS_LOCK_H
#define HOTARU_SYS_LOCK_H

/* A mutual exclusion between threads. Held for a few instructions, never across a call that may wait. */
struct lock;

struct lock *lock_make(void);
void lock_take(struct lock *lock);
void lock_give(struct lock *lock);
void lock_free(struct lock *lock);

#endif
