// SPDX-License-Identifier: Apache-2.0
#include "sys/lock.h"

#include "base/base.h"

#include <pthread.h>

struct lock { pthread_mutex_t mutex; };

struct lock *lock_make(void)
{
    struct lock *lock = boot_take(sizeof *lock);
    int rc = pthread_mutex_init(&lock->mutex, NULL);
    assert(rc == 0);
    return lock;
}

void lock_take(struct lock *lock)
{
    int rc = pthread_mutex_lock(&lock->mutex);
    assert(rc == 0);
}

void lock_give(struct lock *lock)
{
    int rc = pthread_mutex_unlock(&lock->mutex);
    assert(rc == 0);
}

void lock_free(struct lock *lock)
{
    int rc = pthread_mutex_destroy(&lock->mutex);
    assert(rc == 0);
    boot_release(lock);
}
