// SPDX-License-Identifier: Apache-2.0
/* The runner: `build/test [-v] [word]` runs the tests whose file:name contains the word. */
#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700
#include "base/test.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    struct test *all, *now;
    struct arena arena;
    int          passed, failed, skipped;
    bool         failed_now, skipped_now;
    char         folder[64];
} run;

void test_register(struct test *t)
{
    t->next = run.all;
    run.all = t;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list args;
    printf("%s:%d: %s: ", file, line, run.now->name);
    va_start(args, fmt);
    (void)vprintf(fmt, args);
    va_end(args);
    printf("\n");
    run.failed_now = true;
}

void test_skip(const char *why)
{
    printf("pending: %s: %s\n", run.now->name, why);
    run.skipped_now = true;
}

struct arena *test_arena(void)
{
    return &run.arena;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st, (void)flag, (void)walk;
    return remove(path);
}

const char *test_folder(void)
{
    if (!run.folder[0]) {
        const char *in = getenv("HOTARU_TMP");
        int n = snprintf(run.folder, sizeof run.folder, "%s/hotaru-test-XXXXXX", in ? in : "/tmp");
        if (n >= (int)sizeof run.folder || !mkdtemp(run.folder))
            die("no folder for the test in %s", in ? in : "/tmp");
    }
    return run.folder;
}

/* Who gives up leaves what it holds to the kernel: no leak. Nobody, where no sanitizer looks. */
extern void __lsan_disable(void) __attribute__((weak));

int test_apart(void (*body)(void *of), void *of, struct str *said)
{
    char   *room = arena_take(&run.arena, 4096, 1);
    size_t  n = 0;
    ssize_t got;
    int     ends[2], status = 0;
    if (pipe(ends) != 0)
        die("no pipe for the test");
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        if (__lsan_disable)
            __lsan_disable();
        body(of);
        exit(0);
    }
    (void)close(ends[1]);
    while (n < 4096 && (got = read(ends[0], room + n, 4096 - n)) > 0)
        n += (size_t)got;
    (void)close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child)
        die("no process for the test");
    *said = (struct str){ room, n };
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void run_one(struct test *t, bool verbose)
{
    run.now        = t;
    run.failed_now = run.skipped_now = false;
    t->run();
    if (run.folder[0])
        (void)nftw(run.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    run.folder[0] = 0;
    arena_reset(&run.arena);
    if (run.failed_now)
        run.failed++;
    else if (run.skipped_now)
        run.skipped++;
    else
        run.passed++;
    if (verbose)
        printf("%s %s\n", run.failed_now ? "FAILED" : run.skipped_now ? "pending" : "ok", t->name);
}

static bool wanted(const struct test *t, const char *word)
{
    struct str w = str_z(word);
    return !word || str_find(str_z(t->name), w) >= 0 || str_find(str_z(t->file), w) >= 0;
}

int main(int argc, char **argv)
{
    bool        verbose = argc > 1 && str_eq(str_z(argv[1]), S("-v"));
    const char *word    = argc > 1 + verbose ? argv[1 + verbose] : NULL;
    struct test *in_order = NULL;
    run.arena = arena_make(1 << 20);
    log_set_level(LOG_NOTHING);
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (run.all) {                            /* constructors register back to front */
        struct test *t = run.all;
        run.all        = t->next;
        t->next        = in_order;
        in_order       = t;
    }
    for (struct test *t = in_order; t; t = t->next)
        if (wanted(t, word))
            run_one(t, verbose);
    arena_free(&run.arena);
    printf("%d passed, %d failed, %d skipped\n", run.passed, run.failed, run.skipped);
    return run.failed != 0;
}
