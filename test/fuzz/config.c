// SPDX-License-Identifier: Apache-2.0
/* Any text as a configuration file, and any word as a value on the command line: what is accepted is
 * printed, read again as a file, and is the same. */
#include "test/fuzz/fuzz.h"

#include "main/settings.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static enum err read_file(struct settings *out, struct bytes text, char *value, struct arena *a)
{
    struct str why = S("");
    char path[64];
    int fd = memfd_create("config", MFD_CLOEXEC);
    assert(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char *argv[] = { (char[]){ "-c" }, path, (char[]){ "--city-ja" }, value };
    enum err err = settings_read(out, &(int){ value ? 4 : 2 }, argv, &why, a);
    (void)close(fd);
    assert(err == OK || (err == ERR_INVALID && why.n > 0));
    return err;
}

FUZZ(p, n)
{
    struct arena a = arena_make(1 << 16);
    struct settings s = { 0 }, again = { 0 };
    struct text once = text_make(&a, 1 << 22), twice = text_make(&a, 1 << 22);
    struct str text = { (const char *)p, n }, value = str_cut(&text, '\n');
    char *word = (char *)(uintptr_t)str_copy(&a, value).p;
    if (read_file(&s, bytes_of(text), value.n ? word : NULL, &a) == OK) {
        settings_print(&s, &once);
        enum err err = read_file(&again, bytes_of(text_str(&once)), NULL, &a);
        assert(err == OK && memcmp(s.number, again.number, sizeof s.number) == 0);
        for (int i = 0; i < SETTINGS_COUNT; i++)
            assert(str_eq(s.text[i], again.text[i]));
        settings_print(&again, &twice);
        assert(str_eq(text_str(&once), text_str(&twice)));
    }
    arena_free(&a);
    return 0;
}
