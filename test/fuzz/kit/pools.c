// SPDX-License-Identifier: Apache-2.0
/*
 * Large pools that live as long as the daemon, but here as long as an input: taken from the kernel once, and
 * given back page by page, as many as were touched. The allocator of the sanitizer would mark megabytes each
 * time. Small blocks go to it as ever.
 */
#include "base/base.h"

#include <sys/mman.h>

#define LARGE (1 << 19)

static struct { void *p; size_t n; bool used; } pools[16];

void *__wrap_boot_take(size_t n);
void *__real_boot_take(size_t n);
void  __wrap_boot_release(void *p);
void  __real_boot_release(void *p);

void *__wrap_boot_take(size_t n)
{
    for (size_t i = 0; n >= LARGE && i < COUNT(pools); i++) {
        if (pools[i].used || (pools[i].n && pools[i].n != n))
            continue;
        if (!pools[i].n)
            pools[i].p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert(pools[i].p != MAP_FAILED);
        pools[i].n    = n;
        pools[i].used = true;
        return pools[i].p;
    }
    return __real_boot_take(n);
}

void __wrap_boot_release(void *p)
{
    for (size_t i = 0; p && i < COUNT(pools); i++)
        if (pools[i].p == p) {
            (void)madvise(p, pools[i].n, MADV_DONTNEED);
            pools[i].used = false;
            return;
        }
    __real_boot_release(p);
}
