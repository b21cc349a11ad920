// SPDX-License-Identifier: Apache-2.0
/*
 * The program as whoever types its verbs sees it: words and exit codes. It is run as a process of its
 * own, with the folder of the test as its working folder.
 */
#include "db/both.h"
#include "db/db.h"
#include "lora/lora.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char river_csv[] = "dev_eui,join_eui,app_key,name,profile\n"
                                "70B3D57ED0000001,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80001,神通川,hotaru-river-level\n";
static const char gateway_csv[] = "gateway_eui,name,region\nA000000000000001,北,AS923-1\n";

/* Of a build with sanitizers: what lives as long as the process is not given back before its end. */
#define SANITIZED "detect_leaks=0"

/* What `hotaru WORDS` says, on both of its outputs, and its exit code; -1: it was ended by a signal. */
static int hotaru(struct str *said, const char *words)
{
    struct text t = text_make(test_arena(), 1 << 20);
    char room[4096];
    FILE *out = popen(str_fmt(test_arena(), "cd %s && ASAN_OPTIONS=%s %s/hotaru %s 2>&1", test_folder(), SANITIZED, HOTARU_BUILD, words).p, "r");
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

/* ------------------------------------------------------------------ verbs and their words */

static const struct { const char *words; int code; const char *part; } facts[] = {
    { "", 0, "hotaru serve" },
    { "--help", 0, "run the daemon" },
    { "--version", 0, "libmicrohttpd" },
    { "nothing", 2, "there is no verb \"nothing\"" },
    { "drops", 0, "DROP_FCNT_GAP" },
    { "routes", 0, "/v1/devices" },
    { "replay", 2, "replay FOLDER" },
    { "fsck --dump more", 2, "fsck [--data DIR] [--dump]" },
    { "fsck --data none", 2, "there is no store at none/hotaru.db yet" },
    { "fsck --wal_mb 1", 2, "wal_mb = 1: a number from 4 to 4096 MB is needed" },
    { "backup", 2, "say where to" },
    { "backup --into copy", 2, "say where to" },
    { "backup copy --data none", 1, "there is no store at none/hotaru.db yet" },
    { "backup copy --speed x", 2, "speed = x" },
    { "restore", 2, "say what and where to" },
    { "restore none --data back", 1, "none has no backup.json" },
    { "restore none --speed x", 2, "speed = x" },
    { "check --window-ms", 2, "--window-ms needs a value" },
    { "check --net_id 12345", 2, "hexadecimal digits is needed" },
    { "check --net_id 01020304", 2, "hexadecimal digits is needed" },
    { "check --net_id 00000a", 0, "net_id = 00000a" },
    { "check more", 2, "more is not understood" },
    { "check -c none", 2, "none: there is no such thing" },
    { "check -c bad.conf", 2, "bad.conf, line 2: wide: there is no such setting" },
    { "check -c flag.conf", 2, "flag.conf, line 1: dev: dev = perhaps: yes or no is needed" },
    { "check --data . --window-ms 100", 0, "to sync 4 KiB" },
    { "check --data none", 0, "nothing can be written to none yet" },
    { "check --store postgres://x", 0, "store = postgres://x" },
    { "why", 2, "a DevEUI of 16 hexadecimal digits is needed" },
    { "why 0102", 2, "a DevEUI of 16 hexadecimal digits is needed" },
    { "why 0102030405060708 --speed x", 2, "speed = x" },
    { "why 0102030405060708 --data none", 1, "there is no store at none/hotaru.db yet" },
    { "import", 2, "say what to import" },
    { "import devices", 2, "say what to import" },
    { "import a.csv b.csv", 2, "say what to import" },
    { "import a.csv --speed x", 2, "speed = x" },
    { "import none.csv", 1, "none.csv cannot be read" },
    { "import bad.csv --http 127.0.0.1:1", 1, "no daemon answers at 127.0.0.1:1; with --data DIR" },
    { "import bad.csv --http [::1]:1", 1, "no daemon answers at [::1]:1" },
    { "import bad.csv --http nowhere", 1, "no daemon answers at nowhere" },
    { "import bad.csv --data data", 1, "1 errors in 1 rows: nothing was imported" },
    { "import bad.csv --data bad.csv", 1, "the data folder bad.csv cannot be made" },
    { "serve more", 2, "more is not understood" },
    { "serve --speed x", 2, "speed = x" },
    { "serve --data bad.csv", 75, "the data folder bad.csv cannot be made" },
    { "serve --data data --udp nowhere", 1, "udp: an address and a port are needed" },
    { "serve --data data --http nowhere", 1, "http: an address and a port are needed" },
    { "serve --data data --dev --udp 0.0.0.0:0", 1, "dev asks no login" },
    { "serve --data data --keys_cached 65", 1, "keys_cached must be a power of two" },
    { "serve --data data --plan nowhere", 1, "plan = nowhere: there is no such plan" },
    { "serve --data data --profiles none", 1, "the folder of profiles none cannot be read" },
    { "serve --data data --profiles profiles", 1, "profiles/x.json" },
    { "serve --data data --kek_file open.kek", 1, "open.kek" },
    { "serve --data data --kek_file short.kek", 1, "short.kek" },
    { "serve --data data --kek_file none/kek", 75, "none/kek" },
    { "demo more", 2, "more is not understood" },
    { "demo --speed x", 2, "speed = x" },
    { "demo --data bad.csv", 1, "the folder bad.csv cannot be made" },
    { "bench-fill --data bench 3", 2, "bench-fill --data DIR DEVICES GATEWAYS PROFILE" },
    { "bench-fill --data bench 3 2 no-profile", 1, "there is no such thing" },
    { "bench-fill --data bench 3 2 hotaru-bench", 0, "" },
    { "bench-fill --data bad.csv 3 2 hotaru-bench", 1, "cannot be made" },
    { "decode", 2, "a frame in hexadecimal digits is needed" },
    { "decode 40 41", 2, "a frame in hexadecimal digits is needed" },
    { "decode 4", 2, "these are not hexadecimal digits" },
};

TEST(what_cannot_be_done_is_refused_in_words)
{
    put("bad.csv", S("dev_eui,join_eui,app_key,name,profile\n01,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80001,a,hotaru-bench\n"));
    put("bad.conf", S("# a comment\nwide = 7\n"));
    put("flag.conf", S("dev = perhaps\n"));
    put("open.kek", S("0102030405060708090a0b0c0d0e0f100102030405060708090a0b0c0d0e0f10\n"));
    put("short.kek", S("0102\n"));
    EQ(chmod(in_folder("open.kek"), 0644), 0);
    EQ(sys_folder_make(in_folder("profiles")), OK);
    put("profiles/x.json", S("{}"));
    for (size_t i = 0; i < COUNT(facts); i++)
        SAYS(facts[i].words, facts[i].code, facts[i].part);
}

TEST(a_frame_is_explained_as_far_as_its_keys_go)
{
    static const u8 nwk[16] = { 1 }, app[16] = { 2 };
    struct lora_key keys[2] = { 0 };
    u8 room[2][64];
    struct buf data = BUF(room[0]), ask = BUF(room[1]);
    lora_key_set(&keys[0], nwk);
    lora_key_set(&keys[1], app);
    struct lora_session s = { false, &keys[0], &keys[0], &keys[0], &keys[1] };
    struct lora_frame f = { .mtype = MTYPE_DATA_UP, .fport = 2, .devaddr = 0x01020304, .payload = bytes_of(S("abc")) };
    struct lora_join_request r = { .dev_nonce = 7, .join_eui = 1, .dev_eui = 2 };
    EQ(lora_frame_seal(&data, &f, &s, 70000, (struct lora_mic_terms){ 0 }), LORA_OK);
    EQ(lora_join_request_seal(&ask, &r, &keys[0]), LORA_OK);
    const char *phy = hex_str(test_arena(), buf_bytes(&data)).p, *request = hex_str(test_arena(), buf_bytes(&ask)).p;
    const char *k[2] = { hex_str(test_arena(), (struct bytes){ nwk, 16 }).p, hex_str(test_arena(), (struct bytes){ app, 16 }).p };
#define WORDS(...) str_fmt(test_arena(), __VA_ARGS__).p
    SAYS(WORDS("decode %s", phy), 0, "01020304");
    SAYS(WORDS("decode %s --keys %s,%s --fcnt 70000", phy, k[0], k[1]), 0, "MIC right for FCnt 70000\nFRMPayload in clear: 616263");
    SAYS(WORDS("decode %s --nwk %s --app %s --fcnt 70000", phy, k[0], k[1]), 0, "FRMPayload in clear: 616263");
    SAYS(WORDS("decode %s --nwk %s", phy, k[0]), 0, "MIC WRONG for FCnt 4464");
    SAYS(WORDS("decode %s --fcnt -1 --nwk %s", phy, k[0]), 0, "MIC WRONG for FCnt 4464");
    SAYS(WORDS("decode %s --key %s", request, k[0]), 0, "MIC right");
    SAYS(WORDS("decode %s --key %s", request, k[1]), 0, "MIC WRONG");
    SAYS(WORDS("decode %s --key %s", phy, k[1]), 0, "");
    f = (struct lora_frame){ .mtype = MTYPE_DATA_UP, .fport = 0, .devaddr = 1, .payload = bytes_of(S("\2")) };
    data = BUF(room[0]);
    EQ(lora_frame_seal(&data, &f, &s, 1, (struct lora_mic_terms){ 0 }), LORA_OK);
    SAYS(WORDS("decode %s --nwk %s", hex_str(test_arena(), buf_bytes(&data)).p, k[0]), 0, "LinkCheckReq");
    lora_key_clear(&keys[0]), lora_key_clear(&keys[1]);
}

/* ------------------------------------------------------------------ a daemon */

struct daemon_of { pid_t pid; struct str http; };

/* The daemon, ready; or no process. */
static struct daemon_of start_daemon(const char *const more[])
{
    const char *program = WORDS("%s/hotaru", HOTARU_BUILD);
    char *words[24] = { (char *)(uintptr_t)program }, line[512] = "";
    size_t n = 1, at = 0;
    int    pipes[2];
    static const char *const always[] = { "serve", "--data", "data", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0", NULL };
    for (size_t i = 0; always[i]; i++)
        words[n++] = (char *)(uintptr_t)always[i];
    for (size_t i = 0; more[i] && n < COUNT(words) - 1; i++)
        words[n++] = (char *)(uintptr_t)more[i];
    TRUE(pipe(pipes) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int log = open(in_folder("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)(dup2(pipes[1], STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0 && chdir(test_folder()) == 0);
        (void)setenv("ASAN_OPTIONS", SANITIZED, 1);
        (void)execv(program, words);
        _exit(127);
    }
    close(pipes[1]);
    for (ssize_t got; at < sizeof line - 1 && !strchr(line, '\n') && (got = read(pipes[0], line + at, sizeof line - 1 - at)) > 0;)
        at += (size_t)got, line[at] = '\0';
    close(pipes[0]);
    struct str rest = str_copy(test_arena(), (struct str){ line, at });
    ptrdiff_t from = str_find(rest, S("http://"));
    TRUE(from >= 0);
    if (from < 0)
        return (struct daemon_of){ pid, S("") };
    rest = (struct str){ rest.p + from + 7, rest.n - (size_t)from - 7 };
    return (struct daemon_of){ pid, str_copy(test_arena(), str_cut(&rest, ' ')) };
}

static int stop_daemon(struct daemon_of d)
{
    int status = -1;
    (void)kill(d.pid, SIGTERM);
    TRUE(waitpid(d.pid, &status, 0) == d.pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(a_daemon_takes_a_table_over_http_and_shares_its_folder_with_nobody_who_writes)
{
    static const char *const more[] = { "--capture_mb", "1", "--keep_days", "400", NULL };
    put("devices.csv", str_z(river_csv));
    put("gateways.csv", str_z(gateway_csv));
    put("wrong.csv", S("dev_eui,join_eui,app_key,name,profile\n01,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80001,a,none\n"));
    put("data.conf", S("data = data\n"));
    struct daemon_of d = start_daemon(more);
    const char *http = str_copy(test_arena(), d.http).p;
    SAYS(WORDS("import gateways.csv -c data.conf --http %s", http), 0, "1 rows: 1 new, 0 changed\n");
    SAYS(WORDS("import devices devices.csv --dry-run -c data.conf --http %s", http), 0, "1 new, 0 changed (dry run: nothing was written)");
    SAYS(WORDS("import devices.csv -c data.conf --http %s", http), 0, "1 rows: 1 new, 0 changed\n");
    SAYS(WORDS("import wrong.csv -c data.conf --http %s", http), 1, "line 2, dev_eui: ");
    SAYS(WORDS("import devices.csv --http %s", http), 1, "the daemon answered 401");             /* its token is in the folder */
    SAYS("import devices.csv --data data", 1, "the store is being written by another hotaru (process ");
    SAYS("serve --data data --http 127.0.0.1:0 --udp 127.0.0.1:0", 1, "the store is being written by another hotaru");
    SAYS(WORDS("serve --data other --udp 127.0.0.1:0 --http %s", http), 1, "HTTP");
    SAYS("why 70B3D57ED0000001 --data data", 0, "Nothing of 70B3D57ED0000001 was refused lately.");
    SAYS("fsck --data data", 0, "sound: ");
    SAYS("backup copy --data data", 0, "1 devices");
    EQ(stop_daemon(d), 0);
    SAYS("fsck --data data", 0, "sound: ");
    TRUE(access(in_folder("data/capture.0"), R_OK) == 0);
}

TEST(what_was_refused_is_said_with_its_words)
{
    struct db *db;
    struct str why;
    make_store();
    EQ(db_open(&db, str_z(in_folder("data")), DB_WRITER, &why, test_arena()), OK);
    EQ(db_exec(db, "INSERT INTO refusal VALUES (1, 8121069293711392769, 0, 1770000000000000, 'DROP_BAD_MIC', 5, 'detail', NULL), "
                   "(1, 8121069293711392769, 1, 1770000001000000, 'DROP_OLD', 6, '', NULL)"), OK);
    db_close(db);
    SAYS("why 70B3D57ED0000001 --data data", 0, "DROP_BAD_MIC         no session key verifies it  (gateway 0000000000000005; detail)");
    SAYS("why 70B3D57ED0000001 --data data", 0, "DROP_OLD");
}

/* ------------------------------------------------------------------ what is no backup */

TEST(what_is_no_backup_or_no_place_for_one_is_refused)
{
    static const struct { const char *json, *part; } jsons[] = {
        { "{", "cannot be understood" }, { "{}", "cannot be understood" },
        { "{\"schema\":2,\"sha256\":5,\"taken_at\":\"2026-01-01T00:00:00Z\"}", "cannot be understood" },
        { "{\"schema\":2,\"sha256\":\"00\",\"taken_at\":5}", "cannot be understood" },
        { "{\"schema\":2,\"sha256\":\"00\",\"taken_at\":\"yesterday\"}", "cannot be understood" },
        { "{\"schema\":2,\"sha256\":\"00\",\"taken_at\":\"2126-01-01T00:00:00Z\"}", "the clock of this machine is before the backup's" },
        { "{\"schema\":2,\"sha256\":\"00\",\"taken_at\":\"2026-01-01T00:00:00Z\"}", "its SHA-256 is another" },
    };
    make_store();
    (void)backup_with("copy", "");
    struct bytes json;
    EQ(sys_file_read(&json, in_folder("copy/backup.json"), 1 << 16, test_arena()), OK);
    for (size_t i = 0; i < COUNT(jsons); i++) {
        put("copy/backup.json", str_z(jsons[i].json));
        SAYS("restore copy --data back", 1, jsons[i].part);
    }
    put("copy/backup.json", str_of(json));
    SAYS("restore copy --data back", 1, "back.restoring cannot be made; if it is left from an interrupted restore, remove it");
    SAYS("restore copy --data new/deep", 1, "new/deep.restoring cannot be made");
    TRUE(rename(in_folder("copy/hotaru.db"), in_folder("copy/away.db")) == 0);
    SAYS("restore copy --data third", 1, "cannot be copied to third.restoring/hotaru.db");
    TRUE(rename(in_folder("data/kek"), in_folder("data/away")) == 0);
    SAYS("backup keyless --with-key --data data", 1, "the key file cannot be copied; the backup was not finished");
    SAYS("backup devices.csv --data data", 1, "devices.csv is not an empty folder");
    SAYS("backup new/deep --data data", 0, "new/deep");
}

/* What can be read is copied, and the words say that it is not all; it goes back only when that is wanted. */
TEST(a_damaged_store_is_copied_as_far_as_it_goes_and_goes_back_when_that_is_wanted)
{
    struct db *db;
    struct str why, said;
    make_store();
    EQ(db_open(&db, str_z(in_folder("data")), DB_WRITER, &why, test_arena()), OK);
    EQ(db_exec(db, "UPDATE gateway SET name = 'another'"), OK);
    db_close(db);
    EQ(hotaru(&said, "backup copy --data data"), 1);
    TRUE(str_find(said, S("The store itself is damaged, as said above")) >= 0);
    TRUE(str_find(said, S("gateway (tenant 1, eui A000000000000001): its checksum is wrong")) >= 0);
    SAYS("restore copy --data back", 1, "with --accept-damage it is restored all the same");
    SAYS("restore copy --data again --accept-damage", 0, "Restored: again");
    SAYS("fsck --data again", 1, "1 things are wrong");
}
