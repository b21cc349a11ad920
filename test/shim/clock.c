// SPDX-License-Identifier: Apache-2.0
/*
 * A wall clock that a test can move while the program runs (LD_PRELOAD). The file HOTARU_CLOCK holds
 * eight bytes, microseconds to add, in this machine's order; it is mapped, so a write to it is seen at
 * once. Only the wall clock moves: a monotonic clock that jumped would be a broken kernel.
 *
 *     HOTARU_CLOCK=/file LD_PRELOAD=clock.so hotaru serve …
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FACE __attribute__((visibility("default")))
#define NS_PER_S 1000000000LL

typedef int clock_call(clockid_t, struct timespec *);
static const volatile int64_t *offset_us;
static clock_call *real;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("HOTARU_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset_us, PROT_READ, MAP_SHARED, fd, 0);
    if (path && at == MAP_FAILED) {
        perror(path);
        abort();
    }
    if (fd >= 0)
        (void)close(fd);
    real      = (clock_call *)(uintptr_t)dlsym(RTLD_NEXT, "clock_gettime");
    offset_us = path ? at : NULL;
}

FACE int clock_gettime(clockid_t which, struct timespec *t)
{
    int rc = real ? real(which, t) : (int)syscall(SYS_clock_gettime, which, t);
    if (rc != 0 || !offset_us || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE))
        return rc;
    int64_t ns = t->tv_nsec + *offset_us % 1000000 * 1000;
    t->tv_sec += *offset_us / 1000000 + (ns < 0 ? -1 : ns / NS_PER_S);
    t->tv_nsec = ns < 0 ? ns + NS_PER_S : ns % NS_PER_S;
    return 0;
}

FACE int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){ now.tv_sec, now.tv_nsec / 1000 };
    return 0;
}

FACE time_t time(time_t *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
