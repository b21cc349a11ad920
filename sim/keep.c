// SPDX-License-Identifier: Apache-2.0
/*
 * What a restart must remember: each device's keys, session, counters and nonce, as fixed records
 * of one file, mode 0600. A record is written before the frame that spends its counter goes on the
 * air, so a killed city never repeats one. Keys are made here, from the kernel, at the first start;
 * a device whose record is missing or of another build gets new ones and joins again.
 */
#include "sim/inside.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct head { char magic[8]; u32 record_bytes, version; };

static const struct head right_head = { "HOTASIM", sizeof(struct kept), 1 };

static off_t place_of(u32 index)
{
    return (off_t)(sizeof(struct head) + (size_t)index * sizeof(struct kept));
}

void sim_keep_write(struct sim *s, const struct device *d)
{
    if (s->keep_fd >= 0 &&
        pwrite(s->keep_fd, &d->kept, sizeof d->kept, place_of(d->index)) != (ssize_t)sizeof d->kept)
        die("the simulated city cannot write its state: is the disk full?");
}

static bool read_record(struct sim *s, struct device *d)
{
    struct kept k;
    if (pread(s->keep_fd, &k, sizeof k, place_of(d->index)) != (ssize_t)sizeof k ||
        k.dev_eui != d->kept.dev_eui)
        return false;
    d->kept = k;
    return true;
}

void sim_keep_open(struct sim *s)
{
    struct arena mark = s->event;
    struct head head = { 0 };
    if (sys_folder_make(s->options.state) != OK)
        die("the simulated city has no state folder: %s", s->options.state);
    const char *path = str_fmt(&s->event, "%s/devices.keep", s->options.state).p;
    s->keep_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->keep_fd < 0 || fchmod(s->keep_fd, 0600) != 0)
        die("the simulated city cannot open its state: %s", path);
    bool ours = pread(s->keep_fd, &head, sizeof head, 0) == (ssize_t)sizeof head &&
                memcmp(&head, &right_head, sizeof head) == 0;
    if (!ours &&
        pwrite(s->keep_fd, &right_head, sizeof right_head, 0) != (ssize_t)sizeof right_head)
        die("the simulated city cannot write its state: %s", path);
    for (u32 i = 0; i < s->devices_n; i++) {
        struct device *d = &s->devices[i];
        if (!ours || !read_record(s, d)) {
            sys_random(d->kept.app_key, sizeof d->kept.app_key);
            sim_device_boot(d);
            sim_keep_write(s, d);
        }
        sim_device_keys(d);
    }
    s->event = mark;
}
