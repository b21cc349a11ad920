// SPDX-License-Identifier: Apache-2.0
/* A connection outwards and a server of this machine, in one process, turned by hand. */
#include "base/test.h"
#include "sys/connect.h"
#include "sys/sys.h"

#define TURNS 2000000

struct other { struct tcp *server; struct tcp_link *link; struct text got; u32 closed; };

static void *opened(void *door, struct tcp_link *link, struct address peer)
{
    (void)peer;
    ((struct other *)door)->link = link;
    return door;
}
static void received(void *of, struct bytes b) { text_put(&((struct other *)of)->got, str_of(b)); }
static void closed(void *of) { ((struct other *)of)->closed++; }

static struct other *other_make(const char *at)
{
    struct other *o = arena_new(test_arena(), struct other);
    struct tcp_calls calls = { opened, received, closed, o };
    struct address address;
    struct str why = S("");
    o->got = text_make(test_arena(), 1 << 24);
    TRUE(address_read(&address, str_z(at)));
    o->server = tcp_open(address, &calls, 4, &why, test_arena());
    return o;
}

static enum connection_is reach(struct connection *c, struct other *o, enum connection_is want, struct str *why)
{
    enum connection_is is = CONNECTION_NONE;
    for (int i = 0; i < TURNS && (is = connection_is(c, why)) != want && is != CONNECTION_OVER; i++)
        if (o)
            (void)tcp_turn(o->server);
    return is;
}

TEST(a_connection_is_opened_read_written_and_ended)
{
    struct other *o = other_make("127.0.0.1:0");
    struct connection *c = connection_make();
    struct str why = S("");
    u8 room[64];
    int fd = connection_fd(c);
    EQ(connection_is(c, &why), CONNECTION_NONE);
    EQ(connection_read(c, room, sizeof room), 0);
    EQ(connection_write(c, bytes_of(S("x"))), 0);
    for (int round = 0; round < 2; round++) {
        connection_start(c, S("127.0.0.1"), tcp_address(o->server).port);
        EQ(reach(c, o, CONNECTION_OPEN, &why), CONNECTION_OPEN);
        EQ(connection_read(c, room, sizeof room), 0);      /* nothing yet, and that is no end */
        EQ(connection_is(c, &why), CONNECTION_OPEN);
        EQ(connection_write(c, bytes_of(S("hello"))), 5);
        for (int i = 0; i < TURNS && o->got.n < 5; i++)
            (void)tcp_turn(o->server);
        STR_EQ(text_str(&o->got), S("hello"));
        o->got.n = 0;
        TRUE(tcp_send(o->link, bytes_of(S("there"))));
        size_t n = 0;
        for (int i = 0; i < TURNS && n == 0; i++)
            n = connection_read(c, room, sizeof room);
        STR_EQ(str_of((struct bytes){ room, n }), S("there"));
        if (round == 0) {
            connection_stop(c);
            for (int i = 0; i < TURNS && o->closed == 0; i++)
                (void)tcp_turn(o->server);
            EQ(o->closed, 1);
        }
    }
    tcp_drop(o->link);
    (void)tcp_turn(o->server);
    for (int i = 0; i < TURNS && connection_is(c, &why) == CONNECTION_OPEN; i++)
        EQ(connection_read(c, room, sizeof room), 0);
    EQ(connection_is(c, &why), CONNECTION_OVER);
    TRUE(why.n > 0);
    EQ(connection_fd(c), fd);
    connection_free(c);
    tcp_close(o->server);
}

TEST(what_the_kernel_does_not_take_is_left_to_the_caller)
{
    struct other *o = other_make("127.0.0.1:0");
    struct connection *c = connection_make();
    struct str why = S("");
    static u8 much[1 << 22];
    size_t sent = 0, n;
    connection_start(c, S("127.0.0.1"), tcp_address(o->server).port);
    EQ(reach(c, o, CONNECTION_OPEN, &why), CONNECTION_OPEN);
    while ((n = connection_write(c, (struct bytes){ much, sizeof much })) > 0 && sent < sizeof much * 16)
        sent += n;                                         /* until its room is full: nobody reads */
    EQ(n, 0);
    EQ(connection_is(c, &why), CONNECTION_OPEN);
    for (int i = 0; i < TURNS && o->got.n < sent && sent < 1 << 24; i++)
        (void)tcp_turn(o->server);
    TRUE(connection_write(c, bytes_of(S("more"))) > 0 || sent >= 1 << 24);
    connection_free(c);
    tcp_close(o->server);
}

TEST(who_cannot_be_reached_is_told_in_words)
{
    struct other *o = other_make("127.0.0.1:0");
    struct connection *c = connection_make();
    struct str why = S("");
    u16 port = tcp_address(o->server).port;
    static char long_name[300];
    tcp_close(o->server);                                  /* nobody listens there any more */
    connection_start(c, S("127.0.0.1"), port);
    EQ(reach(c, NULL, CONNECTION_OPEN, &why), CONNECTION_OVER);
    STR_EQ(why, S("Connection refused"));
    connection_start(c, S("[::1]"), port);
    EQ(reach(c, NULL, CONNECTION_OPEN, &why), CONNECTION_OVER);
    memset(long_name, 'a', sizeof long_name);
    connection_start(c, (struct str){ long_name, sizeof long_name }, port);
    EQ(connection_is(c, &why), CONNECTION_OVER);
    connection_start(c, S(""), port);
    EQ(connection_is(c, &why), CONNECTION_OVER);
    connection_free(c);
}
