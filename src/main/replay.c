// SPDX-License-Identifier: Apache-2.0
/*
 * `hotaru replay FOLDER`: the box cannot be linked into this program, for it is another body of the
 * same operating system; it stands beside it (hotaru-city where it is installed, city where it is built).
 */
#include "main/verbs.h"

#include <stdio.h>
#include <unistd.h>

int verb_replay(struct verb_call *call)
{
    static const char *const names[] = { "hotaru-city", "city" };
    char own[1024];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own);
    if (call->argc != 1) {
        (void)fprintf(stderr, "hotaru: replay FOLDER - a copy of a data folder, with its capture (setting capture_mb)\n");
        return 2;
    }
    while (n > 0 && own[n - 1] != '/')
        n--;
    for (size_t i = 0; n > 0 && i < COUNT(names); i++) {
        const char *path = str_fmt(call->boot, "%.*s%s", (int)n, own, names[i]).p;
        char replay[] = "--replay";
        char *words[] = { (char *)(uintptr_t)path, replay, call->argv[0], NULL };
        (void)execv(path, words);                          /* comes back only when it is not there */
    }
    (void)fprintf(stderr, "hotaru: the box is not beside this program: make build/city builds it\n");
    return 1;
}
