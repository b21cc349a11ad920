// SPDX-License-Identifier: Apache-2.0
/*
 * For builds that count lines, and only for them (Makefile, `counting`). gcc's counters are written when a process
 * ends in order. Half of what our tests show is processes that do not: daemons that are killed, and the
 * codec child, which may open no file and ends by _exit or by a signal. So the counters live in pages that
 * two processes share: the one that counts, and a keeper, born before the first line of it and before any
 * jail. When the first is gone, however it went, the keeper writes what it had counted:
 *
 *     process    counts … counts … killed
 *     keeper     . . . waits . . . . . . . writes the counters, ends
 *
 * The program itself is the same one, and its jail is the real one. While a keeper lives it holds a shared
 * lock on the file `keepers` in the build's folder: `flock keepers true` returns when all have written.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char cover_first[], cover_end[];     /* counters.ld */
void __gcov_dump(void);

static pid_t counting;
static bool *written;                       /* by the process itself, at an orderly end */

/* Without the C library: a keeper's birth is no fork that begin_again would hear of. */
static pid_t split(void) { return (pid_t)syscall(SYS_fork); }

/* A name of its own, no words of the process it waits for, and none of its descriptors but two. */
static void step_aside(int argc, char **argv, int process, int lock)
{
    (void)setsid();
    (void)prctl(PR_SET_NAME, "counters", 0, 0, 0);
    for (int i = 0; i < argc; i++)
        memset(argv[i], 0, strlen(argv[i]));
    for (int fd = 0; fd < 1024; fd++)
        if (fd != process && fd != lock)
            (void)close(fd);
}

static _Noreturn void wait_and_write(int process)
{
    struct pollfd gone = { .fd = process, .events = POLLIN };
    while (poll(&gone, 1, -1) < 0)
        continue;
    if (!*written)
        __gcov_dump();
    _exit(0);
}

/* A grandchild: whoever waits for children does not meet it. */
static void leave_a_keeper(int argc, char **argv)
{
    int status = 0, process = (int)syscall(SYS_pidfd_open, counting, 0);
    int lock = open(COVER_KEEPERS, O_RDWR | O_CREAT, 0666);
    pid_t child = process < 0 || lock < 0 ? -1 : split();
    if (child == 0) {
        if (flock(lock, LOCK_SH) != 0)
            _exit(1);
        pid_t keeper = split();
        if (keeper != 0)
            _exit(keeper < 0);
        step_aside(argc, argv, process, lock);
        wait_and_write(process);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        (void)fputs("test/cover: nobody keeps the counters\n", stderr);
        _exit(99);
    }
    (void)close(process);
    (void)close(lock);
}

static void begin(int argc, char **argv)
{
    size_t n = (size_t)(cover_end - cover_first);
    written = mmap(NULL, sizeof *written, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (written == MAP_FAILED || mmap(cover_first, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != cover_first) {
        (void)fputs("test/cover: the counters cannot be shared\n", stderr);
        _exit(99);
    }
    counting = getpid();
    leave_a_keeper(argc, argv);
}

/* A fork counts from zero, in pages of its own: gcc adds a file's counts to those in memory when it writes,
 * and counters in pages of two processes would be doubled by each of them. */
static void begin_again(void) { begin(0, NULL); }

/* After gcc's own constructors, before all of ours: codec_child_test.c has one that never returns. */
__attribute__((constructor(101))) static void begin_first(int argc, char **argv)
{
    begin(argc, argv);
    (void)pthread_atfork(NULL, NULL, begin_again);
}

/* The last destructor but gcc's, which writes. */
__attribute__((destructor(101))) static void end(void)
{
    *written = true;
}
