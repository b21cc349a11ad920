// SPDX-License-Identifier: Apache-2.0
/*
 * Disk truth: how long the data folder takes to say that something is on the disk. A disk or hypervisor
 * that answers in less than 20 us has not written anything, and what it acknowledges is gone with the
 * power; one that takes more than 20 ms makes gateways wait longer than they do. Flash drives with
 * power-loss protection answer in 20 to 200 us honestly.
 */
#include "main/verbs.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { SYNCS = 64, BLOCK = 4096, LIES_US = 20, SLOW_US = 20000 };

static int by_size(const void *a, const void *b)
{
    i64 x = *(const i64 *)a, y = *(const i64 *)b;
    return (x > y) - (x < y);
}

static bool measure(i64 us[SYNCS], const char *path)
{
    static const u8 block[BLOCK];
    bool good = true;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (int i = 0; i < SYNCS && fd >= 0 && good; i++) {
        i64 before = sys_now().us;
        good  = pwrite(fd, block, BLOCK, (off_t)i * BLOCK) == BLOCK && fdatasync(fd) == 0;
        us[i] = sys_now().us - before;
    }
    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(path);
    }
    return fd >= 0 && good;
}

void disk_truth(struct text *out, struct str folder, struct arena *arena)
{
    i64 us[SYNCS];
    if (!measure(us, str_fmt(arena, "%.*s/hotaru.check", STR(folder)).p)) {
        text_fmt(out, "# disk: nothing can be written to %.*s yet, so its sync was not measured\n", STR(folder));
        return;
    }
    qsort(us, SYNCS, sizeof us[0], by_size);
    text_fmt(out, "# disk: %.*s takes %lld us to sync 4 KiB (median of %d; fastest %lld, slowest %lld)\n", STR(folder),
             (long long)us[SYNCS / 2], SYNCS, (long long)us[0], (long long)us[SYNCS - 1]);
    if (us[SYNCS / 2] < LIES_US)
        text_put(out, S("# WARNING: that is faster than any disk writes: the disk or the hypervisor says it is written before it\n"
                        "# is, or this is memory (tmpfs). What Hotaru acknowledges here is lost with the power.\n"
                        "# 警告: 書き込みが完了する前に完了と答えています。停電でデータが失われます。\n"));
    else if (us[SYNCS / 2] > SLOW_US)
        text_put(out, S("# WARNING: that is slow: acknowledgements to gateways wait for it. Put the folder on a faster disk.\n"
                        "# 警告: ディスクが遅く、ゲートウェイへの応答が遅れます。\n"));
}
