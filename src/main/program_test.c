// SPDX-License-Identifier: Apache-2.0
/*
 * The program as whoever types its verbs sees it: words and exit codes. It is run as a process of its
 * own, with the folder of the test as its working folder.
 */
#include "db/both.h"
#include "db/db.h"

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

/* ------------------------------------------------------------------ backup and restore */

static struct str backup_with(const char *folder, const char *more)
{
    struct str said;
    EQ(hotaru(&said, str_fmt(test_arena(), "backup %s --data data %s", folder, more).p), 0);
    return said;
}

/* The rows that both have, without what a restore changes: "table<TAB>columns" lines of fsck --dump. */
static struct str dump(const char *words, const char *table)
{
    struct str said, line;
    struct text t = text_make(test_arena(), 1 << 16);
    (void)hotaru(&said, str_fmt(test_arena(), "fsck --dump %s", words).p);
    while (said.n > 0) {
        line = str_cut(&said, '\n');
        if (str_starts(line, str_fmt(test_arena(), "%s\t", table)))
            text_fmt(&t, "%.*s\n", STR(line));
    }
    return text_str(&t);
}

TEST(a_backup_is_put_back_whole_and_never_over_a_store)
{
    make_store();
    TRUE(str_find(backup_with("copy", ""), S("The key file is not in it")) >= 0);
    TRUE(str_find(backup_with("keyed", "--with-key"), S("The key file is in it")) >= 0);
    SAYS("backup copy --data data", 1, "copy is not an empty folder");
    SAYS("restore copy --data data", 1, "data is not empty: a restore never writes over a store");
    SAYS("restore copy --data back", 0, "Put the key file to back/kek");
    SAYS("restore keyed --data other/", 0, "downlink counters jumped ahead by 10");
    SAYS("restore keyed --data ended --end-sessions", 0, "All 0 sessions have ended");
    STR_EQ(dump("--data other", "device"), dump("--data data", "device"));
    TRUE(dump("--data other", "device").n > 0);
    SAYS("fsck --data other", 0, "sound: ");
    SAYS("import devices.csv --data other", 0, "0 new, 1 changed");                 /* the key opens what is in it */
    SAYS("import devices.csv --data back", 1, "the key file back/kek is missing");
}

/* A store that is older than sums has rows without; its copy is not called damaged for that. */
TEST(a_copy_of_a_store_that_is_older_than_sums_is_sound)
{
    struct db *db;
    struct str why;
    make_store();
    EQ(db_open(&db, str_z(in_folder("data")), DB_WRITER, &why, test_arena()), OK);
    EQ(db_exec(db, "UPDATE schema_version SET applied_at = 'before' WHERE version = 1; UPDATE gateway SET sum = NULL"), OK);
    db_close(db);
    SAYS("fsck --data data", 0, "1 of ");
    TRUE(str_find(backup_with("copy", ""), S("damaged")) < 0);
    SAYS("fsck --data copy", 0, "rows have no checksum");
    SAYS("restore copy --data back", 0, "Restored: back");
    SAYS("fsck --data back", 0, "rows have no checksum");
}

/* The same on a server: the copy is a folder of SQLite, and goes back into a server or stays one. */
static void server_and_back(struct str where)
{
    const char *to = str_fmt(test_arena(), "'%.*s'", STR(where)).p, *a = to;
#define ON(fmt) str_fmt(test_arena(), fmt, a).p
    put("devices.csv", str_z(river_csv));
    put("gateways.csv", str_z(gateway_csv));
    SAYS(ON("import gateways.csv --data data --store %s"), 0, "1 rows: 1 new, 0 changed");
    SAYS(ON("import devices.csv --data data --store %s"), 0, "1 rows: 1 new, 0 changed");
    SAYS(ON("fsck --data data --store %s"), 0, "sound: ");
    SAYS(ON("backup copy --with-key --data data --store %s"), 0, "The key file is in it");
    SAYS("fsck --data copy", 0, "sound: ");
    SAYS(ON("restore copy --data back --store %s"), 1, "the store on PostgreSQL is not empty");
    struct str before = dump(ON("--data data --store %s"), "device");
    TRUE(before.n > 0);
    STR_EQ(dump("--data copy", "device"), before);
    SAYS("restore copy --data folder", 0, "Restored: folder");
    SAYS("import devices.csv --data folder", 0, "0 new, 1 changed");
    struct db *db;
    struct str why;
    EQ(db_open(&db, where, DB_WRITER, &why, test_arena()), OK);
    EQ(db_exec(db, "DELETE FROM device; DELETE FROM gateway; DELETE FROM token; DELETE FROM mark"), OK);
    db_close(db);
    SAYS(ON("restore copy --data again --store %s"), 0, "Restored: again");
    STR_EQ(dump(ON("--data again --store %s"), "device"), before);
    SAYS(ON("fsck --data again --store %s"), 0, "sound: ");
    SAYS(ON("import devices.csv --data again --store %s"), 0, "0 new, 1 changed");
    TRUE(access(in_folder("again/kek"), R_OK) == 0 && access(in_folder("again/hotaru.db"), F_OK) != 0);
#undef ON
}

TEST(a_store_on_postgresql_is_backed_up_into_a_folder_and_put_back_into_a_server)
{
    on_postgres(server_and_back);
}
