// SPDX-License-Identifier: Apache-2.0
/*
 * The program as whoever types its verbs sees it: words and exit codes. It is run as a process of its
 * own, with the folder of the test as its working folder.
 */
#include "base/test.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char river_csv[] = "dev_eui,join_eui,app_key,name,profile\n"
                                "70B3D57ED0000001,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80001,神通川,hotaru-river-level\n";
static const char gateway_csv[] = "gateway_eui,name,region\nA000000000000001,北,AS923-1\n";

/* What `hotaru WORDS` says, on both of its outputs, and its exit code; -1: it was ended by a signal. */
static int hotaru(struct str *said, const char *words)
{
    struct text t = text_make(test_arena(), 1 << 20);
    char room[4096];
    FILE *out = popen(str_fmt(test_arena(), "cd %s && %s/hotaru %s 2>&1", test_folder(), HOTARU_BUILD, words).p, "r");
    for (size_t n; out && (n = fread(room, 1, sizeof room, out)) > 0;)
        text_put(&t, (struct str){ room, n });
    int status = out ? pclose(out) : -1;
    *said = text_str(&t);
    return status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Exit code and words at once. */
static void says(const char *file, int line, const char *words, int code, const char *part)
{
    struct str said;
    int is = hotaru(&said, words);
    if (is != code)
        test_fail(file, line, "hotaru %s: exit %d, not %d: %.*s", words, is, code, STR(said));
    if (str_find(said, str_z(part)) < 0)
        test_fail(file, line, "hotaru %s says \"%.*s\", without \"%s\"", words, STR(said), part);
}
#define SAYS(words, code, part) says(__FILE__, __LINE__, words, code, part)

static const char *in_folder(const char *name)
{
    return str_fmt(test_arena(), "%s/%s", test_folder(), name).p;
}

static void put(const char *name, struct str text)
{
    EQ(sys_file_write(in_folder(name), bytes_of(text), 0600), OK);
}

/* A store in `data` with a gateway and a device. */
static void make_store(void)
{
    put("devices.csv", str_z(river_csv));
    put("gateways.csv", str_z(gateway_csv));
    SAYS("import gateways.csv --data data", 0, "1 rows: 1 new, 0 changed");
    SAYS("import devices.csv --data data", 0, "1 rows: 1 new, 0 changed");
}

/* From that byte on the file is what it was not. */
static void spoil(const char *name, off_t from)
{
    int fd = open(in_folder(name), O_WRONLY);
    off_t end = lseek(fd, 0, SEEK_END);
    for (off_t at = from; at < end; at += 4096)
        TRUE(pwrite(fd, "\377\377\377\377\377\377\377\377\377\377\377\377", 12, at) == 12);
    (void)close(fd);
}

/* A supervisor that started it again and again would hide why, and mend nothing. */
TEST(a_start_on_damaged_pages_names_what_helps_and_asks_for_no_restart)
{
    static const off_t pages[] = { 0, 4096 };
    for (size_t i = 0; i < COUNT(pages); i++) {
        make_store();
        spoil("data/hotaru.db", pages[i]);
        SAYS("serve --data data --http 127.0.0.1:0 --udp 127.0.0.1:0", 1, "`hotaru fsck` says where");
        SAYS("serve --data data --http 127.0.0.1:0 --udp 127.0.0.1:0", 1, "`hotaru restore` puts a backup in its place");
        struct str said;
        TRUE(hotaru(&said, "fsck --data data") >= 1);
        TRUE(hotaru(&said, "backup copy --data data") == 1);
        TRUE(unlink(in_folder("data/hotaru.db")) == 0);
        (void)unlink(in_folder("data/kek"));
    }
}
