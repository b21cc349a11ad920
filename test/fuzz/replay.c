// SPDX-License-Identifier: Apache-2.0
/*
 * Runs the kept files, seeds and old crashes, through their targets: one fact a file. Each target has
 * a process of its own; when that dies, the file that killed it is named and the rest goes on.
 *
 *     build/replay [TARGET [FILE…]]
 */
#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_MAX 4096
#define FILE_S    60                                 /* a file that takes longer hangs */

typedef int fuzz_target(const u8 *p, size_t n);
#define DECLARE(name) fuzz_target fuzz_##name;
FUZZ_TARGETS(DECLARE)
#define ROW(name) { #name, fuzz_##name },
static const struct { const char *name; fuzz_target *run; } targets[] = { FUZZ_TARGETS(ROW) };

struct files { const char *path[FILES_MAX]; size_t n; };

static void add_folder(struct files *files, const char *kind, const char *target, struct arena *arena)
{
    struct str folder = str_fmt(arena, "test/fuzz/%s/%s", kind, target);
    DIR *dir = opendir(folder.p);
    for (struct dirent *e; dir && (e = readdir(dir)) && files->n < FILES_MAX;)
        if (e->d_name[0] != '.')
            files->path[files->n++] = str_fmt(arena, "%.*s/%s", STR(folder), e->d_name).p;
    if (dir)
        (void)closedir(dir);
}

/* By the C library: sys/ may be the box's. In a block of its own size, so that reading past its end is seen. */
static void run_file(fuzz_target *target, const char *path)
{
    FILE *file = fopen(path, "rb");
    long  size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    u8   *bytes = malloc(size > 0 ? (size_t)size : 1);
    if (size < 0 || !bytes || fseek(file, 0, SEEK_SET) != 0 || fread(bytes, 1, (size_t)size, file) != (size_t)size)
        die("%s cannot be read", path);
    (void)fclose(file);
    (void)alarm(FILE_S);
    (void)target(bytes, (size_t)size);
    (void)alarm(0);
    free(bytes);
}

/* From file `from` on, in a process of its own. Returns the file that killed it, or files->n. */
static size_t run_some(fuzz_target *target, const struct files *files, size_t from, size_t *at)
{
    int status = 0;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        for (*at = from; *at < files->n; ++*at)
            run_file(target, files->path[*at]);
        exit(0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status == 0 ? files->n : *at;
}

static size_t run_target(const char *name, fuzz_target *target, const struct files *files, size_t *at)
{
    size_t failed = 0;
    for (size_t k = 0; (k = run_some(target, files, k, at)) < files->n; k++) {
        printf("%s: broken by %s\n", name, files->path[k]);
        failed++;
    }
    return failed;
}

int main(int argc, char **argv)
{
    size_t passed = 0, failed = 0;
    size_t *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct arena arena = arena_make(1 << 20);
    static struct files files;
    for (size_t i = 0; i < COUNT(targets); i++) {
        if (argc > 1 && !str_eq(str_z(argv[1]), str_z(targets[i].name)))
            continue;
        files.n = 0;
        for (int k = 2; k < argc; k++)
            files.path[files.n++] = argv[k];
        if (argc < 3) {
            add_folder(&files, "corpus", targets[i].name, &arena);
            add_folder(&files, "regress", targets[i].name, &arena);
        }
        size_t broken = run_target(targets[i].name, targets[i].run, &files, at);
        failed += broken;
        passed += files.n - broken;
    }
    arena_free(&arena);
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
