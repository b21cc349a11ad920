// SPDX-License-Identifier: Apache-2.0
#include "edge/capture.h"

#include "base/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/hotaru-capture-XXXXXX";

static void begin(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    if (!mkdtemp(folder))
        die("no temporary folder");
}

static void end(void)
{
    for (int i = 0; i < 2; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s/capture.%d", folder, i);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static struct capture_record datagram(i64 n, size_t bytes)
{
    static u8 room[1000];
    memset(room, (int)(n & 255), sizeof room);
    return (struct capture_record){ .kind = CAPTURE_DATAGRAM, .mono = { n }, .wall = { n * 10 },
                                    .peer = { .family = 4, .ip = { 10, 0, 0, 7 }, .port = 1700 }, .bytes = { room, bytes } };
}

/* Both halves of the folder's ring, as who replays it reads them. */
static enum err ring(struct bytes *out, const char *where, struct arena *a)
{
    struct bytes half[2] = { { NULL, 0 }, { NULL, 0 } };
    for (int i = 0; i < 2; i++)
        (void)sys_file_read(&half[i], str_fmt(a, "%s/capture.%d", where, i).p, (size_t)1 << 31, a);
    return capture_join(out, half, a);
}

static u32 count(const char *where, i64 *first, i64 *last, struct arena *a)
{
    struct bytes all;
    struct capture_record r;
    u32 n = 0;
    *first = *last = -1;
    if (ring(&all, where, a) != OK)
        return 0;
    for (struct cur c = cur_of(all); capture_next(&c, &r); n++) {
        if (n == 0)
            *first = r.mono.us;
        *last = r.mono.us;
    }
    return n;
}

TEST(what_was_captured_reads_back_in_its_order)
{
    struct arena a = arena_make(1 << 16);
    struct str why = S("");
    struct bytes all;
    struct capture_record r;
    begin();
    struct capture *c = capture_open(folder, 1 << 20, &why, &a);
    struct capture_record in[] = {
        { .kind = CAPTURE_START, .mono = { 1 }, .wall = { 1 }, .bytes = bytes_of(S("0.1.0")) },
        datagram(2, 30),
        { .kind = CAPTURE_WRITE, .mono = { 3 }, .wall = { 3 }, .method = S("POST"), .path = S("/v1/x?y=1"), .bytes = bytes_of(S("{}")) },
        { .kind = CAPTURE_ANSWER, .mono = { 4 }, .wall = { 4 }, .id = 99, .refusal = 4, .bytes = bytes_of(S("{\"data\":{}}")) },
    };
    for (size_t i = 0; i < COUNT(in); i++)
        capture_put(c, &in[i]);
    EQ(capture_kept(c), COUNT(in));
    capture_close(c);
    EQ(ring(&all, folder, &a), OK);
    struct cur cur = cur_of(all);
    for (size_t i = 0; i < COUNT(in); i++) {
        TRUE(capture_next(&cur, &r));
        EQ(r.kind, in[i].kind);
        EQ(r.mono.us, in[i].mono.us);
        EQ(r.id, in[i].id);
        EQ(r.refusal, in[i].refusal);
        TRUE(str_eq(r.method, in[i].method) && str_eq(r.path, in[i].path));
        TRUE(address_eq(r.peer, in[i].peer));
        TRUE(str_eq(str_of(r.bytes), str_of(in[i].bytes)));
    }
    TRUE(!capture_next(&cur, &r));
    end();
    arena_free(&a);
}

TEST(a_full_ring_forgets_the_oldest_half_and_never_grows)
{
    struct arena a = arena_make(1 << 16);
    struct str why = S("");
    i64 first, last, bytes;
    begin();
    struct capture *c = capture_open(folder, 4 * (CAPTURE_RECORD_MAX + 100), &why, &a);
    for (i64 i = 0; i < 3000; i++) {
        struct capture_record r = datagram(i, 1000);
        capture_put(c, &r);
    }
    capture_close(c);
    u32 n = count(folder, &first, &last, &a);
    EQ(last, 2999);
    EQ(first, 3000 - (i64)n);
    TRUE(n > 200 && n < 600);
    for (int i = 0; i < 2; i++) {
        TRUE(sys_file_size(&bytes, str_fmt(&a, "%s/capture.%d", folder, i).p));
        TRUE(bytes <= 2 * (CAPTURE_RECORD_MAX + 100));
    }
    end();
    arena_free(&a);
}

TEST(a_new_start_keeps_what_led_to_it)
{
    struct arena a = arena_make(1 << 16);
    struct str why = S("");
    i64 first, last;
    begin();
    for (i64 life = 0; life < 3; life++) {
        struct capture *c = capture_open(folder, 1 << 20, &why, &a);
        for (i64 i = 0; i < 5; i++) {
            struct capture_record r = datagram(life * 100 + i, 40);
            capture_put(c, &r);
        }
        capture_close(c);
    }
    EQ(count(folder, &first, &last, &a), 10);
    EQ(first, 100);
    EQ(last, 204);
    end();
    arena_free(&a);
}

TEST(a_torn_record_ends_the_list_and_a_foreign_file_is_refused)
{
    struct arena a = arena_make(1 << 16);
    struct str why = S("");
    struct bytes all;
    i64 first, last, bytes;
    begin();
    EQ(ring(&all, folder, &a), ERR_NOT_FOUND);
    struct capture *c = capture_open(folder, 1 << 20, &why, &a);
    for (i64 i = 0; i < 5; i++) {
        struct capture_record r = datagram(i, 40);
        capture_put(c, &r);
    }
    capture_close(c);
    const char *path = str_fmt(&a, "%s/capture.0", folder).p;
    TRUE(sys_file_size(&bytes, path) && truncate(path, bytes - 7) == 0);
    EQ(count(folder, &first, &last, &a), 4);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    TRUE(pwrite(fd, "x", 1, 8 + 28 + 30) == 1 && close(fd) == 0);     /* a byte of the first record */
    EQ(count(folder, &first, &last, &a), 0);
    EQ(ring(&all, folder, &a), ERR_INVALID);
    end();
    arena_free(&a);
}

TEST(a_folder_that_cannot_be_written_is_said_by_the_name_of_the_file)
{
    struct arena a = arena_make(1 << 16);
    struct str why = S("");
    TRUE(capture_open("/nowhere/at/all", 1 << 20, &why, &a) == NULL);
    STR_EQ(why, S("the capture /nowhere/at/all/capture.0 cannot be written"));
    begin();
    TRUE(mkdir(str_fmt(&a, "%s/capture.1", folder).p, 0700) == 0);      /* what stands there is no file */
    TRUE(capture_open(folder, 1 << 20, &why, &a) == NULL);
    (void)rmdir(str_fmt(&a, "%s/capture.1", folder).p);
    end();
    arena_free(&a);
}

TEST(a_file_of_somebody_else_counts_as_the_older_half)
{
    struct arena a = arena_make(1 << 16);
    struct str why = S("");
    i64 first, last;
    char text[100] = "not a capture";
    begin();
    struct capture *c = capture_open(folder, 1 << 20, &why, &a);
    struct capture_record r = datagram(5, 40);
    capture_put(c, &r);
    capture_close(c);
    int fd = open(str_fmt(&a, "%s/capture.1", folder).p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    TRUE(write(fd, text, sizeof text) == (ssize_t)sizeof text && close(fd) == 0);
    c = capture_open(folder, 1 << 20, &why, &a);                         /* begins there, and keeps what was captured */
    r = datagram(6, 40);
    capture_put(c, &r);
    capture_close(c);
    EQ(count(folder, &first, &last, &a), 2);
    EQ(first, 5);
    EQ(last, 6);
    end();
    arena_free(&a);
}

TEST(what_is_larger_than_a_record_is_left_out_and_the_rest_goes_on)
{
    struct arena a = arena_make(1 << 20);
    struct str why = S("");
    i64 first, last;
    begin();
    struct capture *c = capture_open(folder, 1 << 20, &why, &a);
    u8 *large = arena_take(&a, CAPTURE_RECORD_MAX + 1, 1);
    capture_put(c, &(struct capture_record){ .kind = CAPTURE_CHANCE, .mono = { 1 }, .bytes = { large, CAPTURE_RECORD_MAX + 1 } });
    EQ(capture_kept(c), 0);
    capture_put(c, &(struct capture_record){ .kind = CAPTURE_CHANCE, .mono = { 2 }, .bytes = { large, CAPTURE_RECORD_MAX } });
    EQ(capture_kept(c), 1);
    capture_close(c);
    EQ(count(folder, &first, &last, &a), 1);
    EQ(first, 2);
    end();
    arena_free(&a);
}

TEST(a_disk_that_refuses_ends_the_capture_and_nothing_else)
{
    struct arena a = arena_make(1 << 16);
    struct str why = S("");
    struct rlimit before;
    i64 first, last;
    begin();
    struct capture *c = capture_open(folder, 1 << 20, &why, &a);
    EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = { 4096, before.rlim_max };
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    (void)setrlimit(RLIMIT_FSIZE, &small);
    for (i64 i = 0; i < 50; i++) {
        struct capture_record r = datagram(i, 400);
        capture_put(c, &r);
    }
    (void)setrlimit(RLIMIT_FSIZE, &before);
    (void)signal(SIGXFSZ, old);
    u64 kept = capture_kept(c);
    TRUE(kept > 5 && kept < 10);
    struct capture_record r = datagram(60, 40);
    capture_put(c, &r);                                                 /* there is room again: it stays ended */
    EQ(capture_kept(c), kept);
    capture_close(c);
    EQ(count(folder, &first, &last, &a), kept);
    EQ(last, (i64)kept - 1);
    end();
    arena_free(&a);
}

TEST(records_of_a_kind_that_we_do_not_know_end_the_list)
{
    struct arena a = arena_make(1 << 16);
    struct str why = S("");
    i64 first, last;
    begin();
    struct capture *c = capture_open(folder, 1 << 20, &why, &a);
    for (i64 i = 0; i < 4; i++)
        capture_put(c, &(struct capture_record){ .kind = i == 2 ? (enum capture_kind)99 : CAPTURE_CHANCE, .mono = { i } });
    capture_close(c);
    EQ(count(folder, &first, &last, &a), 2);
    EQ(last, 1);
    end();
    arena_free(&a);
}

TEST(one_half_alone_is_read_as_it_is)
{
    struct arena a = arena_make(1 << 16);
    struct str why = S("");
    struct bytes all, half[2] = { { NULL, 0 }, { NULL, 0 } };
    begin();
    struct capture *c = capture_open(folder, 1 << 20, &why, &a);
    struct capture_record r = datagram(5, 40);
    capture_put(c, &r);
    capture_close(c);
    EQ(sys_file_read(&half[0], str_fmt(&a, "%s/capture.0", folder).p, 1 << 20, &a), OK);
    for (int turned = 0; turned < 2; turned++) {
        EQ(capture_join(&all, half, &a), OK);
        struct cur cur = cur_of(all);
        TRUE(capture_next(&cur, &r) && r.mono.us == 5 && !capture_next(&cur, &r));
        half[1] = half[0];
        half[0] = (struct bytes){ NULL, 0 };
    }
    end();
    arena_free(&a);
}
