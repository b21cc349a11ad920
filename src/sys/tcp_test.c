// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "sys/sys.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct side { struct tcp *tcp; struct tcp_link *last; size_t got; u32 opened, closed; bool refuse, drop, echo; };

static void *opened(void *door, struct tcp_link *link, struct address peer)
{
    struct side *s = door;
    TRUE(address_is_loopback(peer));
    s->opened++;
    s->last = link;
    return s->refuse ? NULL : s;
}

static void received(void *of, struct bytes b)
{
    struct side *s = of;
    s->got += b.n;
    if (s->echo)
        (void)tcp_send(s->last, b);
    if (s->drop)
        tcp_drop(s->last);
}

static void closed(void *of) { ((struct side *)of)->closed++; }

static struct side *door(u32 most)
{
    struct side *s = arena_new(test_arena(), struct side);
    struct tcp_calls calls = { opened, received, closed, s };
    struct address at;
    struct str why = S("");
    TRUE(address_read(&at, S("127.0.0.1:0")));
    s->tcp = tcp_open(at, &calls, most, &why, test_arena());
    TRUE(s->tcp != NULL);
    return s;
}

static int come(struct side *s)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(tcp_address(s->tcp).port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EQ(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

/* Until nothing has happened for a moment: the kernel needs a turn of its own between two ends of a machine. */
static void turn(struct side *s)
{
    struct pollfd p = { tcp_fd(s->tcp), POLLIN, 0 };
    while (poll(&p, 1, 2) > 0)
        (void)tcp_turn(s->tcp);
}

TEST(bytes_go_in_and_come_back)
{
    struct side *s = door(4);
    char back[8] = { 0 };
    int fd = come(s);
    s->echo = true;
    turn(s);
    EQ(s->opened, 1);
    EQ(tcp_links(s->tcp), 1);
    EQ(write(fd, "hello", 5), 5);
    turn(s);
    EQ(read(fd, back, sizeof back), 5);
    TRUE(memcmp(back, "hello", 5) == 0);
    (void)close(fd);
    turn(s);
    EQ(s->closed, 1);
    EQ(tcp_links(s->tcp), 0);
    tcp_close(s->tcp);
}

TEST(who_is_not_wanted_is_hung_up_on)
{
    struct side *s = door(1);
    char back[1];
    s->refuse = true;
    int fd = come(s);
    turn(s);
    EQ(read(fd, back, 1), 0);
    EQ(s->closed, 0);
    s->refuse = false;
    int first = come(s);
    turn(s);
    int second = come(s);
    turn(s);
    EQ(read(second, back, 1), 0);
    EQ(s->opened, 2);
    (void)close(fd), (void)close(first), (void)close(second);
    tcp_close(s->tcp);
}

TEST(a_link_that_was_dropped_is_called_no_more)
{
    struct side *s = door(4);
    int fd = come(s);
    s->drop = true;
    turn(s);
    EQ(write(fd, "x", 1), 1);
    turn(s);
    EQ(s->got, 1);
    EQ(s->closed, 0);
    EQ(tcp_links(s->tcp), 0);
    (void)close(fd);
    tcp_close(s->tcp);
}

TEST(a_reader_that_does_not_read_is_told_apart)
{
    struct side *s = door(4);
    static u8 much[65536];
    int fd = come(s);
    size_t taken = 0;
    turn(s);
    for (int i = 0; i < 1000 && tcp_send(s->last, (struct bytes){ much, sizeof much }); i++)
        taken += sizeof much;
    TRUE(taken > 0 && taken < 1000 * sizeof much);
    TRUE(!tcp_send(s->last, (struct bytes){ much, TCP_WAITING_MAX + 1 }));
    tcp_end(s->last);                                    /* what waits still leaves */
    size_t got = 0;
    for (ssize_t n; (n = read(fd, much, sizeof much)) > 0; got += (size_t)n)
        (void)tcp_turn(s->tcp);
    EQ(got, taken);
    EQ(tcp_links(s->tcp), 0);
    (void)close(fd);
    tcp_close(s->tcp);
}

TEST(without_descriptors_who_knocks_is_turned_away_and_the_loop_rests)
{
    struct side *s = door(4);
    struct rlimit was, none;
    char back[1];
    int fd = come(s);
    EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
    int next = open("/dev/null", O_RDONLY);
    (void)close(next);
    none = (struct rlimit){ (rlim_t)next, was.rlim_max };
    EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    turn(s);
    EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
    EQ(s->opened, 0);
    EQ(read(fd, back, 1), 0);
    (void)close(fd);
    tcp_close(s->tcp);
}

TEST(an_address_that_is_taken_is_said)
{
    struct side *s = door(1);
    struct tcp_calls calls = { opened, received, closed, s };
    struct str why = S("");
    TRUE(tcp_open(tcp_address(s->tcp), &calls, 1, &why, test_arena()) == NULL);
    TRUE(str_find(why, S("cannot listen at 127.0.0.1:")) >= 0);
    tcp_close(s->tcp);
}
