// SPDX-License-Identifier: Apache-2.0
#include "edge/websocket.h"

#include <openssl/sha.h>

/* ------------------------------------------------------------------ a request */

#define LINES_MAX 48

/* A line without its CR LF. False: none is there yet. */
static bool take_line(struct str *line, struct bytes *rest)
{
    const u8 *end = memchr(rest->p, '\n', rest->n);
    if (!end)
        return false;
    *line = (struct str){ (const char *)rest->p, (size_t)(end - rest->p) };
    rest->n -= line->n + 1;
    rest->p = end + 1;
    return true;
}

static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((u8)s.p[i] < ' ' || (u8)s.p[i] > 0x7E)
            return false;
    return true;
}

static bool read_request_line(struct ws_head *out, struct str line)
{
    out->method = str_cut(&line, ' ');
    out->path   = str_cut(&line, ' ');
    return str_eq(line, S("HTTP/1.1")) && out->method.n > 0 && out->path.n > 0 && out->path.p[0] == '/';
}

/* "keep-alive, Upgrade" */
static bool has_word(struct str list, struct str word)
{
    while (list.n > 0)
        if (str_eq_nocase(str_trim(str_cut(&list, ',')), word))
            return true;
    return false;
}

struct seen { bool upgrade, connection, version, length; };

static bool take_once(struct str *out, struct str value)
{
    bool first = out->n == 0 && value.n > 0;
    *out = value;
    return first;
}

static bool read_header(struct ws_head *out, struct seen *seen, struct str line)
{
    ptrdiff_t colon = str_find(line, S(":"));
    if (colon <= 0 || line.p[0] == ' ' || line.p[colon - 1] == ' ' || !is_printable(line))
        return false;
    struct str name = { line.p, (size_t)colon }, value = str_trim((struct str){ line.p + colon + 1, line.n - (size_t)colon - 1 });
    if (str_eq_nocase(name, S("Upgrade")))
        seen->upgrade = has_word(value, S("websocket"));
    else if (str_eq_nocase(name, S("Connection")))
        seen->connection = has_word(value, S("upgrade"));
    else if (str_eq_nocase(name, S("Sec-WebSocket-Version")))
        seen->version = str_eq(value, S("13"));
    else if (str_eq_nocase(name, S("Host")))
        return take_once(&out->host, value);
    else if (str_eq_nocase(name, S("Authorization")))
        return take_once(&out->authorization, value);
    else if (str_eq_nocase(name, S("Sec-WebSocket-Key")))
        return take_once(&out->key, value);
    else if (str_eq_nocase(name, S("Transfer-Encoding")))
        return false;
    else if (str_eq_nocase(name, S("Content-Length"))) {
        bool digits = value.n > 0 && value.p[0] >= '0' && value.p[0] <= '9';
        if (seen->length || !digits || !str_to_i64(&out->length, value))
            return false;
        seen->length = true;
    }
    return true;
}

enum ws_says ws_head_read(struct ws_head *out, size_t *used, struct bytes in)
{
    struct bytes rest = { in.p, MIN(in.n, (size_t)WS_HEAD_MAX) };
    struct seen seen = { false, false, false, false };
    struct str line;
    *out = (struct ws_head){ 0 };
    for (int i = 0; take_line(&line, &rest); i++) {
        if (!str_ends(line, S("\r")) || i > LINES_MAX)
            return WS_BAD;
        line.n--;
        if (i == 0 && (!is_printable(line) || !read_request_line(out, line)))
            return WS_BAD;
        if (i > 0 && line.n > 0 && !read_header(out, &seen, line))
            return WS_BAD;
        if (i > 0 && line.n == 0) {
            *used = (size_t)(rest.p - in.p);
            out->upgrade = seen.upgrade && seen.connection && seen.version && out->key.n > 0;
            return WS_FINE;
        }
    }
    return in.n >= WS_HEAD_MAX ? WS_BAD : WS_MORE;
}

struct str ws_welcome(struct str key, struct arena *arena)
{
    u8 hash[SHA_DIGEST_LENGTH];
    struct str text = str_fmt(arena, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", STR(key));
    (void)SHA1((const u8 *)text.p, text.n, hash);
    struct str proof = base64_str(arena, (struct bytes){ hash, sizeof hash });
    return str_fmt(arena, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %.*s\r\n\r\n", STR(proof));
}

struct str ws_refusal(int status, struct str words, struct arena *arena)
{
    const char *name = status == 400 ? "Bad Request" : status == 401 ? "Unauthorized" : status == 403 ? "Forbidden"
                     : status == 404 ? "Not Found" : status == 413 ? "Content Too Large" : "Service Unavailable";
    return str_fmt(arena, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%.*s\n",
                   status, name, words.n + 1, STR(words));
}

/* ------------------------------------------------------------------ frames */

static enum ws_says wrong(struct ws_frame *out, u16 fault)
{
    out->fault = fault;
    return WS_BAD;
}

static bool is_known(u8 op)
{
    return op <= WS_BINARY || (op >= WS_CLOSE && op <= WS_PONG);
}

enum ws_says ws_frame_read(struct ws_frame *out, size_t *used, u8 *in, size_t n, size_t most)
{
    *out = (struct ws_frame){ 0 };
    if (n < 2)
        return WS_MORE;
    bool control = in[0] & 8;
    u64 length = in[1] & 0x7F;
    size_t head = length == 126 ? 4 : length == 127 ? 10 : 2;
    out->fin = in[0] & 0x80;
    out->op  = in[0] & 15;
    if (in[0] & 0x70 || !is_known(out->op) || !(in[1] & 0x80) || (control && (length > 125 || !out->fin)))
        return wrong(out, WS_PROTOCOL);
    if (n < head)
        return WS_MORE;
    if (head == 4)
        length = get_u16be(in + 2);
    if (head == 10)
        length = get_u64be(in + 2);
    if (length > most)
        return wrong(out, WS_TOO_LONG);
    if (n < head + 4 + length)
        return WS_MORE;
    const u8 *mask = in + head;
    u8 *payload = in + head + 4;
    for (size_t i = 0; i < length; i++)
        payload[i] ^= mask[i % 4];
    out->payload = (struct bytes){ payload, (size_t)length };
    *used = head + 4 + (size_t)length;
    return WS_FINE;
}

struct bytes ws_frame_write(enum ws_op op, struct bytes payload, struct arena *arena)
{
    struct buf b = buf_of(arena_take(arena, payload.n + WS_FRAME_HEAD_MAX, 1), payload.n + WS_FRAME_HEAD_MAX);
    buf_u8(&b, (u8)(0x80 | op));
    if (payload.n < 126)
        buf_u8(&b, (u8)payload.n);
    else if (payload.n < 65536) {
        buf_u8(&b, 126);
        buf_u16be(&b, (u16)payload.n);
    } else {
        buf_u8(&b, 127);
        buf_u64be(&b, payload.n);
    }
    buf_put(&b, payload);
    return buf_bytes(&b);
}

struct bytes ws_close_write(u16 code, struct arena *arena)
{
    u8 payload[2];
    put_u16be(payload, code);
    return ws_frame_write(WS_CLOSE, (struct bytes){ payload, 2 }, arena);
}
