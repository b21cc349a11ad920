// SPDX-License-Identifier: Apache-2.0
/* The operating system's side of the house: files that are whole or not there, doors, the loop. */
#include "sys/sys.h"

#include "base/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *in_folder(const char *name)
{
    return str_fmt(test_arena(), "%s/%s", test_folder(), name).p;
}

/* A path longer than the system takes. */
static const char *too_long(void)
{
    return str_fmt(test_arena(), "%s/%04096d", test_folder(), 0).p;
}

static void write_file(const char *path, struct str content)
{
    EQ(sys_file_write(path, bytes_of(content), 0600), OK);
}

static struct str content_of(const char *path)
{
    struct bytes b;
    return sys_file_read(&b, path, 1 << 20, test_arena()) == OK ? str_of(b) : S("(not read)");
}

/* ------------------------------------------------------------------ addresses */

TEST(an_address_is_read_as_it_is_written)
{
    static const struct { struct str text, back; } facts[] = {
        { S("127.0.0.1:1700"), S("127.0.0.1:1700") },   { S("localhost:80"), S("127.0.0.1:80") },
        { S("0.0.0.0:0"), S("0.0.0.0:0") },             { S("[::1]:65535"), S("[::1]:65535") },
        { S("[2001:db8::5]:1"), S("[2001:db8::5]:1") }, { S("[0:0:0:0:0:0:0:1]:1"), S("[::1]:1") },
        { S("127.0.0.1"), S("") },                      { S("127.0.0.1:"), S("") },
        { S("127.0.0.1:65536"), S("") },                { S("127.0.0.1:-1"), S("") },
        { S("127.0.0.1:x"), S("") },                    { S("::1:1700"), S("") },
        { S("[::1:1700"), S("") },                      { S("[]:1700"), S("") },
        { S("[127.0.0.1]:1700"), S("") },               { S("300.0.0.1:1700"), S("") },
        { S("river:1700"), S("") },                     { S(":1700"), S("") },
        { S("00000000000000000000000000000000000000000000000000000000000127.0.0.1:1700"), S("") },
        { S(""), S("") },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct address a;
        struct str back = address_read(&a, facts[i].text) ? address_str(test_arena(), a) : S("");
        if (!str_eq(back, facts[i].back))
            test_fail(__FILE__, __LINE__, "%.*s is read as %.*s", STR(facts[i].text), STR(back));
    }
}

TEST(two_addresses_are_one_host_by_family_and_bytes_and_one_peer_by_port_too)
{
    static const struct { struct str a, b; bool host, peer, loopback; } facts[] = {
        { S("127.0.0.1:1"), S("127.0.0.1:1"), true, true, true },   { S("127.0.0.1:1"), S("127.0.0.1:2"), true, false, true },
        { S("127.0.0.1:1"), S("127.0.0.2:1"), false, false, true }, { S("0.0.0.0:1"), S("[::]:1"), false, false, false },
        { S("[::1]:1"), S("[::1]:1"), true, true, true },           { S("[::2]:1"), S("[::1]:1"), false, false, false },
        { S("10.127.0.1:1"), S("10.127.0.1:1"), true, true, false },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct address a, b;
        TRUE(address_read(&a, facts[i].a));
        TRUE(address_read(&b, facts[i].b));
        EQ(address_same_host(a, b), facts[i].host);
        EQ(address_eq(a, b), facts[i].peer);
        EQ(address_is_loopback(a), facts[i].loopback);
    }
}

/* ------------------------------------------------------------------ files */

TEST(a_file_is_read_whole_or_it_is_said_why_not)
{
    struct bytes b;
    const char *empty = in_folder("empty"), *five = in_folder("five");
    write_file(empty, S(""));
    write_file(five, S("12345"));
    EQ(sys_file_read(&b, empty, 0, test_arena()), OK);
    EQ(b.n, 0);
    EQ(sys_file_read(&b, five, 5, test_arena()), OK);
    STR_EQ(str_of(b), S("12345"));
    EQ(sys_file_read(&b, five, 4, test_arena()), ERR_TOO_LARGE);
    EQ(sys_file_read(&b, in_folder("nobody"), 5, test_arena()), ERR_NOT_FOUND);
    EQ(sys_file_read(&b, test_folder(), 5, test_arena()), ERR_IO);               /* a folder */
    EQ(sys_file_read(&b, "/dev/null", 5, test_arena()), ERR_IO);                 /* no end that could be known */
    EQ(sys_file_read(&b, in_folder("five/below"), 5, test_arena()), ERR_IO);
}

TEST(a_file_is_replaced_whole_and_nothing_is_left_beside_it)
{
    struct stat st;
    const char *path = in_folder("x"), *beside = in_folder("x.new");
    write_file(path, S("first"));
    EQ(sys_file_write(path, bytes_of(S("second")), 0640), OK);
    STR_EQ(content_of(path), S("second"));
    EQ(stat(path, &st), 0);
    EQ(st.st_mode & 0777, 0640);
    TRUE(stat(beside, &st) != 0);
    EQ(sys_file_write(in_folder("no/such/folder"), bytes_of(S("x")), 0600), ERR_IO);
    EQ(sys_file_write(too_long(), bytes_of(S("x")), 0600), ERR_TOO_LARGE);
    EQ(mkdir(in_folder("folder"), 0700), 0);
    EQ(sys_file_write(in_folder("folder"), bytes_of(S("x")), 0600), ERR_IO);     /* a folder stands there */
    TRUE(stat(in_folder("folder.new"), &st) != 0);
}

/* In a process of its own: no file may grow beyond eight bytes any more. */
static void on_a_full_disk(void *path)
{
    struct stat st;
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 8, RLIM_INFINITY });
    const char *beside = str_fmt(test_arena(), "%s.new", (const char *)path).p;
    if (sys_file_write(path, bytes_of(S("more than eight bytes")), 0600) != ERR_IO || stat(beside, &st) == 0)
        die("a write that failed");
    if (sys_file_again(path) != ERR_IO)
        die("writing again what cannot be written");
    if (sys_file_reserve(path, 100))
        die("a reserve without room");
    (void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
}

TEST(a_write_that_fails_leaves_the_old_file_and_says_so)
{
    struct str said;
    const char *path = in_folder("x");
    write_file(path, S("old, and longer than eight"));
    EQ(test_apart(on_a_full_disk, (void *)(uintptr_t)path, &said), 0);
    STR_EQ(said, S(""));
    STR_EQ(content_of(path), S("old, and longer than eight"));
}

TEST(what_is_written_again_is_what_stood_there)
{
    const char *path = in_folder("x");
    struct str large = str_fmt(test_arena(), "%0200000d", 7);                    /* several blocks */
    write_file(path, large);
    EQ(sys_file_again(path), OK);
    STR_EQ(content_of(path), large);
    EQ(sys_file_again(in_folder("nobody")), OK);
    EQ(sys_file_again(test_folder()), ERR_IO);
}

TEST(a_folder_is_made_with_its_parents_or_it_is_said_why_not)
{
    struct stat st;
    EQ(sys_folder_make(in_folder("a/b/c")), OK);
    EQ(stat(in_folder("a/b/c"), &st), 0);
    EQ(st.st_mode & 0777, 0700);                                                 /* its keys are nobody else's */
    EQ(sys_folder_make(in_folder("a/b/c")), OK);
    EQ(sys_folder_make(in_folder("a/b")), OK);
    write_file(in_folder("file"), S("x"));
    EQ(sys_folder_make(in_folder("file")), ERR_IO);
    EQ(sys_folder_make(in_folder("file/below")), ERR_DENIED);
    EQ(sys_folder_make("/proc/1/hotaru"), ERR_IO);
    EQ(sys_folder_make(""), ERR_INVALID);
    EQ(sys_folder_make(too_long()), ERR_INVALID);
}

TEST(a_reserve_has_its_bytes_and_gives_them_back)
{
    i64 bytes = -1;
    const char *path = in_folder("reserve");
    TRUE(!sys_file_size(&bytes, path));
    TRUE(sys_file_reserve(path, 10000));
    TRUE(sys_file_size(&bytes, path) && bytes == 10000);
    TRUE(sys_file_reserve(path, 0));
    TRUE(sys_file_size(&bytes, path) && bytes == 0);
    TRUE(!sys_file_reserve(in_folder("no/such"), 1));
    TRUE(sys_folder_room(&bytes, test_folder()) && bytes > 0);
    TRUE(!sys_folder_room(&bytes, in_folder("nobody")));
    TRUE(!sys_folder_is_remote(test_folder()) && !sys_folder_is_remote(in_folder("nobody")));
}

TEST(a_lock_file_is_held_by_one_and_names_who)
{
    struct sys_lock *lock = NULL, *second = NULL;
    struct str holder = S("");
    const char *path = in_folder("lock");
    write_file(path, S("99999999999 an older and longer line"));
    EQ(sys_lock_file(&lock, path, &holder, test_arena()), OK);
    STR_EQ(content_of(path), str_fmt(test_arena(), "%ld\n", (long)getpid()));
    EQ(sys_lock_file(&second, path, &holder, test_arena()), ERR_CONFLICT);
    STR_EQ(holder, str_fmt(test_arena(), "%ld", (long)getpid()));
    sys_unlock_file(lock);
    EQ(sys_lock_file(&lock, path, &holder, test_arena()), OK);
    sys_unlock_file(lock);
    EQ(sys_lock_file(&lock, in_folder("no/such"), &holder, test_arena()), ERR_IO);
}

/* ------------------------------------------------------------------ clocks, chance, the process */

TEST(clocks_go_on_and_chance_fills_all_it_was_given)
{
    struct mono before = sys_now();
    i64 cpu_us = sys_cpu_us();
    u8  a[64] = { 0 }, b[64] = { 0 };
    sys_random(a, 64);
    sys_random(b, 32);
    TRUE(memcmp(a, b, 32) != 0);
    u8 none[32] = { 0 };
    TRUE(memcmp(a + 32, none, 32) != 0 && memcmp(b + 32, none, 32) == 0);
    TRUE(mono_since(sys_now(), before) >= 0);
    TRUE(sys_cpu_us() >= cpu_us);
    TRUE(sys_clock().us > 1750000000LL * US_PER_S);
    TRUE(sys_rss_bytes() > 1 << 20);
}

static void keep_keys(void *of)
{
    struct rlimit core;
    (void)of;
    sys_no_core_dumps();
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0 || prctl(PR_GET_DUMPABLE) != 0)
        die("it can be dumped");
}

TEST(a_process_that_holds_keys_cannot_be_dumped)
{
    struct str said;
    EQ(test_apart(keep_keys, NULL, &said), 0);
    STR_EQ(said, S(""));
}

/* ------------------------------------------------------------------ the loop */

/* What a loop made lives as long as the process. */
static struct scene {
    struct loop *loop;
    struct loop_timer *first, *second;
    struct loop_watch *watch;
    struct loop_wake *wake;
    int ends[2];
    struct text said;
} scene;

static void say(struct str what) { text_put(&scene.said, what); }
static void stop_loop(void *of) { (void)of, say(S("stop ")), loop_stop(scene.loop); }

static void first_timer(void *of)
{
    (void)of;
    say(S("first "));
    EQ(write(scene.ends[1], "x", 1), 1);
}

static void fd_readable(void *of)
{
    char c;
    (void)of;
    EQ(read(scene.ends[0], &c, 1), 1);
    say(S("read "));
    loop_unwatch(scene.watch);
    EQ(write(scene.ends[1], "y", 1), 1);                         /* nobody looks any more */
    loop_timer_at(scene.second, mono_after(sys_now(), 1));
}

static void *knock(void *of)
{
    (void)of;
    loop_wake(scene.wake);
    return NULL;
}

static void second_timer(void *of)
{
    pthread_t other;
    (void)of;
    say(S("second "));
    EQ(pthread_create(&other, NULL, knock, NULL), 0);
    EQ(pthread_join(other, NULL), 0);
}

TEST(the_loop_calls_for_times_for_what_is_readable_and_for_other_threads)
{
    scene.said   = text_make(test_arena(), 1000);
    scene.loop   = loop_make();
    scene.first  = loop_timer(scene.loop, first_timer, NULL);
    scene.second = loop_timer(scene.loop, second_timer, NULL);
    EQ(pipe(scene.ends), 0);
    scene.watch  = loop_watch(scene.loop, scene.ends[0], fd_readable, NULL);
    scene.wake   = loop_wake_make(scene.loop, stop_loop, NULL);
    loop_timer_at(scene.second, mono_after(sys_now(), 3600 * US_PER_S));
    loop_timer_at(scene.first, sys_now());                       /* due already: at once */
    loop_run(scene.loop);
    STR_EQ(text_str(&scene.said), S("first read second stop "));
    EQ(close(scene.ends[0]), 0);
    EQ(close(scene.ends[1]), 0);
}

static void ask_to_end(void *number) { (void)raise((int)(intptr_t)number); }
static void ended(void *of) { loop_stop(of); }

static void be_stopped(void *number)
{
    scene.loop  = loop_make();
    scene.first = loop_timer(scene.loop, ask_to_end, number);
    loop_on_stop_signals(scene.loop, ended, scene.loop);
    loop_timer_at(scene.first, sys_now());
    loop_run(scene.loop);
    die("stopped in order");
}

TEST(a_process_is_stopped_in_order_by_each_of_three_signals)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct str said;
        EQ(test_apart(be_stopped, (void *)(intptr_t)numbers[i], &said), 70);
        STR_EQ(said, S("hotaru: stopped in order\n"));
    }
}

static void watch_nothing(void *of)
{
    scene.loop = loop_make();
    (void)loop_watch(scene.loop, -1, stop_loop, of);
}

TEST(a_loop_that_cannot_watch_ends_the_process_in_words)
{
    struct str said;
    EQ(test_apart(watch_nothing, NULL, &said), 70);
    TRUE(str_starts(said, S("hotaru: the loop: watch: ")));
}

/* ------------------------------------------------------------------ datagrams */

static struct udp *door(struct str at)
{
    struct address a;
    struct str why = S("");
    TRUE(address_read(&a, at));
    struct udp *udp = udp_open(a, 1 << 20, &why, test_arena());
    if (!udp)
        test_skip(why.p);
    return udp;
}

/* Waits until the kernel has something: loopback is quick, and a lost datagram would wait for ever. */
static size_t receive(struct udp *udp, struct datagram *out)
{
    size_t n = 0;
    for (int i = 0; i < 1000000 && n == 0; i++)
        n = udp_receive(udp, out);
    return n;
}

static void carries(struct str at)
{
    static struct datagram got[UDP_BATCH];
    struct udp *a = door(at), *b = a ? door(at) : NULL;
    if (!b)
        return;
    TRUE(udp_fd(a) != udp_fd(b) && udp_address(a).port != 0);
    EQ(udp_receive(b, got), 0);
    struct address nowhere = udp_address(b);
    nowhere.port = 0;
    struct datagram out[] = { { udp_address(b), bytes_of(S("one")) }, { nowhere, bytes_of(S("lost")) },
                              { udp_address(b), bytes_of(S("")) }, { udp_address(b), bytes_of(S("three")) } };
    EQ(udp_send(a, out, COUNT(out)), COUNT(out));
    struct text all = text_make(test_arena(), 100);
    for (size_t count = 0; count < 3;) {
        size_t n = receive(b, got);
        if (n == 0)
            break;
        for (size_t i = 0; i < n; i++) {
            text_fmt(&all, "<%.*s>", STR(str_of(got[i].bytes)));
            TRUE(address_eq(got[i].peer, udp_address(a)));
        }
        count += n;
    }
    STR_EQ(text_str(&all), S("<one><><three>"));
    udp_close(a);
    udp_close(b);
}

TEST(a_peer_that_cannot_be_reached_does_not_silence_the_others) { carries(S("127.0.0.1:0")); }
TEST(datagrams_travel_over_ipv6_as_well) { carries(S("[::1]:0")); }

TEST(more_datagrams_than_one_call_takes_all_arrive)
{
    static struct datagram got[UDP_BATCH], out[200];
    struct udp *a = door(S("127.0.0.1:0")), *b = a ? door(S("127.0.0.1:0")) : NULL;
    size_t count = 0;
    for (size_t i = 0; b && i < COUNT(out); i++)
        out[i] = (struct datagram){ udp_address(b), bytes_of(str_fmt(test_arena(), "%03zu", i)) };
    EQ(b ? udp_send(a, out, COUNT(out)) : 0, COUNT(out));
    for (size_t n; b && count < COUNT(out) && (n = receive(b, got)) > 0;)
        for (size_t i = 0; i < n; i++, count++)
            BYTES_EQ(got[i].bytes, out[count].bytes);
    EQ(count, COUNT(out));
    udp_close(a);
    udp_close(b);
}

TEST(a_door_that_is_taken_or_not_ours_is_not_opened_and_says_which)
{
    struct address a, elsewhere;
    struct str why = S("");
    struct udp *first = door(S("127.0.0.1:0"));
    a = udp_address(first);
    TRUE(!udp_open(a, 1 << 16, &why, test_arena()));
    TRUE(str_starts(why, str_fmt(test_arena(), "cannot receive datagrams at 127.0.0.1:%u: ", (unsigned)a.port)));
    TRUE(address_read(&elsewhere, S("192.0.2.1:1700")));                      /* RFC 5737: nobody's */
    TRUE(!udp_open(elsewhere, 1 << 16, &why, test_arena()));
    udp_close(first);
}
