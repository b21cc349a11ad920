// SPDX-License-Identifier: Apache-2.0
/*
 * A small program that does to a folder what it is told and then kills itself: what the shims do is
 * shown on it before they are believed about the daemon.
 *
 *     act FOLDER WORD …     write:NAME:AT:BYTES:CHAR   cut:NAME:SIZE   grow:NAME:SIZE   sync:NAME
 *                           unlink:NAME   rename:NAME:NAME   mkdir:NAME   folder (sync the folder)
 *                           append:NAME:0|1  (numbers of 8 bytes, each said on stdout when it is written
 *                           and, with 1, synced; until it is killed)
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *words[6];

static long number(int at) { return words[at] ? atol(words[at]) : 0; }

static void split(char *word)
{
    memset(words, 0, sizeof words);
    for (size_t n = 0; n < 6 && word; n++)
        words[n] = strsep(&word, ":");
}

static int open_file(void)
{
    int fd = open(words[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        perror(words[1]);
    return fd;
}

static bool put(void)
{
    static char bytes[1 << 20];
    int fd = open_file();
    memset(bytes, words[4] ? words[4][0] : 'x', sizeof bytes);
    return pwrite(fd, bytes, (size_t)number(3), number(2)) == number(3) && close(fd) == 0;
}

static bool cut(void)  { int fd = open_file(); return ftruncate(fd, number(2)) == 0 && close(fd) == 0; }
static bool grow(void) { int fd = open_file(); return posix_fallocate(fd, 0, number(2)) == 0 && close(fd) == 0; }
static bool sync_file(void) { int fd = open_file(); return fsync(fd) == 0 && close(fd) == 0; }
static bool gone(void) { return unlink(words[1]) == 0; }
static bool moved(void) { return rename(words[1], words[2]) == 0; }
static bool made(void) { return mkdir(words[1], 0700) == 0; }

static bool sync_folder(void)
{
    int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fdatasync(fd) == 0 && close(fd) == 0;
}

static bool append(void)
{
    int fd = open_file();
    for (uint64_t n = 1;; n++) {
        if (write(fd, &n, sizeof n) != sizeof n || (number(2) && fdatasync(fd) != 0))
            return false;
        printf("%llu\n", (unsigned long long)n);
        if (fflush(stdout) != 0)
            return false;
    }
}

int main(int argc, char **argv)
{
    static const struct { const char *name; bool (*act)(void); } acts[] = {
        { "write", put }, { "cut", cut }, { "grow", grow }, { "sync", sync_file }, { "unlink", gone },
        { "rename", moved }, { "mkdir", made }, { "folder", sync_folder }, { "append", append },
    };
    if (argc < 2 || chdir(argv[1]) != 0)
        return 2;
    for (int i = 2; i < argc; i++) {
        split(argv[i]);
        size_t a = 0;
        while (a < sizeof acts / sizeof *acts && strcmp(acts[a].name, words[0]) != 0)
            a++;
        if (a == sizeof acts / sizeof *acts || !acts[a].act()) {
            perror(words[0]);
            return 1;
        }
    }
    return kill(getpid(), SIGKILL);
}
