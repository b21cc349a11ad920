/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_WEBSOCKET_H
#define HOTARU_EDGE_WEBSOCKET_H

/*
 * The server's half of WebSocket (RFC 6455) and as much HTTP/1.1 as comes before it. Pure: bytes in, bytes out.
 * docs/adr/0016 says why it is ours.
 *
 * One frame, as a client sends it (the server's have no mask):
 *
 *     | FIN RSV3 op4 | MASK1 len7 | len 0, 2 or 8 | mask 4 | payload |
 */
#include "base/base.h"

enum ws_says { WS_MORE, WS_FINE, WS_BAD };

/* ------------------------------------------------------------------ a request */

#define WS_HEAD_MAX 4096
struct ws_head {
    struct str method, path, host, authorization, key;
    i64  length;                     /* Content-Length; 0 without one */
    bool upgrade;                    /* it asks for WebSocket 13, and has a key */
};
/* WS_FINE: *used bytes were the head. WS_BAD: it is no request, or one that can be read in two ways (two lengths, a
 * transfer encoding, folded lines). Views borrow `in`. */
enum ws_says ws_head_read(struct ws_head *out, size_t *used, struct bytes in);
/* 101 Switching Protocols. */
struct str ws_welcome(struct str key, struct arena *arena);
/* Any other answer, after which the connection ends. */
struct str ws_refusal(int status, struct str words, struct arena *arena);

/* ------------------------------------------------------------------ frames */

enum ws_op { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
enum { WS_GOODBYE = 1000, WS_PROTOCOL = 1002, WS_NOT_TEXT = 1007, WS_POLICY = 1008, WS_TOO_LONG = 1009, WS_AGAIN = 1013 };
struct ws_frame {
    bool fin;
    u8   op;                         /* enum ws_op */
    u16  fault;                      /* WS_BAD: why, as a close code */
    struct bytes payload;            /* unmasked where it stands */
};
/* One frame of a client, with a payload of at most `most` bytes. */
enum ws_says ws_frame_read(struct ws_frame *out, size_t *used, u8 *in, size_t n, size_t most);
#define WS_FRAME_HEAD_MAX 14
/* A frame of the server, whole. */
struct bytes ws_frame_write(enum ws_op op, struct bytes payload, struct arena *arena);
struct bytes ws_close_write(u16 code, struct arena *arena);

#endif
