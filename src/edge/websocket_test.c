// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "edge/websocket.h"

static enum ws_says head(struct ws_head *out, const char *text)
{
    size_t used = 0;
    enum ws_says says = ws_head_read(out, &used, bytes_of(str_z(text)));
    if (says == WS_FINE)
        EQ(used, str_z(text).n);
    return says;
}

#define UPGRADE "Host: a:1\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"

TEST(a_request_for_a_websocket_is_understood)
{
    struct ws_head h;
    EQ(head(&h, "GET /router-info HTTP/1.1\r\n" UPGRADE "Authorization: Bearer abc\r\n\r\n"), WS_FINE);
    TRUE(h.upgrade && str_eq(h.path, S("/router-info")) && str_eq(h.host, S("a:1")) && str_eq(h.authorization, S("Bearer abc")));
    EQ(head(&h, "POST /update-info HTTP/1.1\r\nContent-Length: 00012\r\n\r\n"), WS_FINE);
    EQ(h.length, 12);
    TRUE(!h.upgrade);
    EQ(head(&h, "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), WS_FINE);
    TRUE(!h.upgrade);
}

TEST(every_beginning_of_a_request_waits_for_more)
{
    struct str text = S("GET / HTTP/1.1\r\n" UPGRADE "\r\n");
    struct ws_head h;
    size_t used;
    for (size_t n = 0; n < text.n; n++)
        EQ(ws_head_read(&h, &used, (struct bytes){ (const u8 *)text.p, n }), WS_MORE);
}

TEST(a_request_that_can_be_read_in_two_ways_is_none)
{
    static const char *const wrong[] = {
        "GET / HTTP/1.0\r\n\r\n", "GET /\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "get\r\n\r\n", "\r\n\r\n", "GET a HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n", "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n", "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", "GET / HTTP/1.1\r\nX: a\x01\r\n\r\n", "GET / HTTP/1.1\r\nX: \xc3\xa4\r\n\r\n",
    };
    struct ws_head h;
    for (size_t i = 0; i < COUNT(wrong); i++)
        EQ(head(&h, wrong[i]), WS_BAD);
}

TEST(a_head_has_an_end)
{
    struct text t = text_make(test_arena(), 1 << 16);
    struct ws_head h;
    text_fmt(&t, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 60; i++)
        text_fmt(&t, "X-%d: a\r\n", i);
    EQ(head(&h, str_copy(test_arena(), text_str(&t)).p), WS_BAD);
    t = text_make(test_arena(), 1 << 16);
    text_fmt(&t, "GET / HTTP/1.1\r\nX: ");
    for (int i = 0; i < 5000; i++)
        text_char(&t, 'a');
    EQ(head(&h, str_copy(test_arena(), text_str(&t)).p), WS_BAD);
}

TEST(the_proof_is_the_one_of_rfc_6455)
{
    TRUE(str_find(ws_welcome(S("dGhlIHNhbXBsZSBub25jZQ=="), test_arena()), S("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")) > 0);
}

/* ------------------------------------------------------------------ frames */

TEST(the_frames_of_rfc_6455_are_read)
{
    u8 hello[] = { 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58, 0xFF };
    struct ws_frame f;
    size_t used = 0;
    for (size_t n = 0; n < 11; n++) {
        u8 copy[12];
        memcpy(copy, hello, sizeof copy);
        EQ(ws_frame_read(&f, &used, copy, n, 100), WS_MORE);
    }
    EQ(ws_frame_read(&f, &used, hello, sizeof hello, 100), WS_FINE);
    EQ(used, 11);
    TRUE(f.fin && f.op == WS_TEXT && bytes_eq(f.payload, bytes_of(S("Hello"))));
}

TEST(what_no_client_sends_is_refused_with_its_code)
{
    static const struct { u8 in[14]; u16 fault; } wrong[] = {
        { { 0x81, 0x05 }, WS_PROTOCOL },             /* no mask */
        { { 0xC1, 0x85 }, WS_PROTOCOL },             /* a reserved bit: no extension was agreed on */
        { { 0x83, 0x80 }, WS_PROTOCOL },             /* an unknown kind */
        { { 0x8B, 0x80 }, WS_PROTOCOL },
        { { 0x09, 0x80 }, WS_PROTOCOL },             /* a ping in parts */
        { { 0x89, 0xFE }, WS_PROTOCOL },             /* a ping of more than 125 bytes */
        { { 0x81, 0xFE, 0x40, 0x01 }, WS_TOO_LONG },
        { { 0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0x40, 0x01 }, WS_TOO_LONG },
        { { 0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF }, WS_TOO_LONG },
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct ws_frame f;
        size_t used;
        u8 in[14];
        memcpy(in, wrong[i].in, sizeof in);
        EQ(ws_frame_read(&f, &used, in, sizeof in, 16384), WS_BAD);
        EQ(f.fault, wrong[i].fault);
    }
}

TEST(what_is_written_has_the_shortest_length)
{
    static const struct { size_t n, head; } rows[] = { { 0, 2 }, { 125, 2 }, { 126, 4 }, { 65535, 4 }, { 65536, 10 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        u8 *p = arena_take(test_arena(), rows[i].n + 1, 1);
        struct bytes out = ws_frame_write(WS_TEXT, (struct bytes){ p, rows[i].n }, test_arena());
        EQ(out.n, rows[i].n + rows[i].head);
        EQ(out.p[0], 0x81);
        EQ(out.p[1], rows[i].n < 126 ? rows[i].n : rows[i].n < 65536 ? 126u : 127u);
    }
    struct bytes bye = ws_close_write(WS_TOO_LONG, test_arena());
    EQ(bye.n, 4);
    EQ(get_u16be(bye.p + 2), 1009);
}
