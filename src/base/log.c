// SPDX-License-Identifier: Apache-2.0
/* Lines on stderr; the journal or the terminal adds what it wants. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The one process-wide setting: what is worth a line. Set once at start. */
static enum log_level least_level = LOG_INFO;

void log_set_level(enum log_level least)
{
    least_level = least;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    char    line[1024];
    va_list args;
    if (level < least_level)
        return;
    int head = snprintf(line, sizeof line, "%s ", names[level]);
    va_start(args, fmt);
    int n = vsnprintf(line + head, sizeof line - (size_t)head - 1, fmt, args);
    va_end(args);
    size_t end = (size_t)head + (size_t)MAX(n, 0);
    end        = MIN(end, sizeof line - 2);
    line[end]  = '\n';
    (void)fwrite(line, 1, end + 1, stderr);      /* one write: lines of threads do not mix */
}

_Noreturn void die(const char *fmt, ...)
{
    va_list args;
    (void)fputs("hotaru: ", stderr);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(70);
}
