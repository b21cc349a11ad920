// SPDX-License-Identifier: Apache-2.0
#include "sys/sys.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static i64 read_clock(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (i64)t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

struct mono sys_now(void)
{
    return (struct mono){ read_clock(CLOCK_MONOTONIC) };
}

struct wall sys_clock(void)
{
    return (struct wall){ read_clock(CLOCK_REALTIME) };
}

void sys_random(u8 *out, size_t n)
{
    while (n > 0) {
        ssize_t got = getrandom(out, n, 0);
        if (got < 0 && errno != EINTR)
            die("the kernel gives no randomness");
        if (got > 0) {
            out += got;
            n -= (size_t)got;
        }
    }
}

i64 sys_rss_bytes(void)
{
    long  pages = 0;
    FILE *f     = fopen("/proc/self/statm", "r");
    if (!f)
        return 0;
    if (fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    (void)fclose(f);
    return (i64)pages * sysconf(_SC_PAGESIZE);
}

i64 sys_cpu_us(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (i64)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * US_PER_S + r.ru_utime.tv_usec + r.ru_stime.tv_usec;
}

void sys_no_core_dumps(void)
{
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    (void)prctl(PR_SET_DUMPABLE, 0);
}
