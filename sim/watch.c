// SPDX-License-Identifier: Apache-2.0
/*
 * What comes out of the stream: a client of GET /v1/stream?kind=uplink (text/event-stream, mostly
 * in chunked coding) that asks of each event when its first copy was sent. Runs in a thread of its
 * own.
 */
#include "sim/inside.h"
#include "sim/sim.h"

#include <sys/socket.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

/* One `data:` line. Only two members matter; the stream's own writer is trusted to write them
 * plainly. */
static void event(struct watch *w, struct str line, struct mono now)
{
    u64 dev_eui, base;
    u32 devaddr;
    u8  eui[8], key[16];
    size_t n;
    i64 fcnt;
    ptrdiff_t device_at = str_find(line, S("\"device\":\"")),
              fcnt_at = str_find(line, S("\"fcnt\":"));
    if (device_at < 0 || fcnt_at < 0 || (size_t)device_at + 26 > line.n ||
        !hex_read(eui, 8, &n, (struct str){ line.p + device_at + 10, 16 }) || n != 8)
        return;
    struct str number = { line.p + fcnt_at + 7, 0 };
    while (number.p + number.n < line.p + line.n && number.p[number.n] >= '0' &&
           number.p[number.n] <= '9')
        number.n++;
    sim_bench_device(0, &base, &devaddr, key, key);
    dev_eui = get_u64be(eui);
    if (!str_to_i64(&fcnt, number) || dev_eui < base || dev_eui - base >= w->devices ||
        fcnt < (i64)w->fcnt_base)
        return;
    u64 unique = ((u64)fcnt - w->fcnt_base) * w->devices + (dev_eui - base);
    if (unique >= w->total || w->first_sent_us[unique] == 0)
        return;
    w->seen++;
    if (unique >= w->warm)
        sim_spread_add(&w->spread, now.us - w->first_sent_us[unique]);
}

/* Chunked coding: size in hex, CR LF, that many bytes, CR LF. */
struct reader {
    char   line[LINE_MAX_BYTES];
    size_t n;
    bool   chunked, head;                /* head: still in the answer's header */
    char   size[24];
    u32    size_n, skip;                 /* skip: CR and LF after a chunk */
    u64    left;
};

static void put(struct watch *w, struct reader *r, char c, struct mono now)
{
    if (c != '\n') {
        if (c != '\r' && r->n < sizeof r->line)
            r->line[r->n++] = c;
        return;
    }
    struct str line = { r->line, r->n };
    if (r->head && str_find(line, S("chunked")) >= 0)
        r->chunked = true;
    if (r->head && r->n == 0)
        r->head = false;
    else if (!r->head && str_starts(line, S("data:")))
        event(w, line, now);
    r->n = 0;
}

static void put_coded(struct watch *w, struct reader *r, char c, struct mono now)
{
    if (r->head || !r->chunked) {
        put(w, r, c, now);
        return;
    }
    if (r->skip > 0) {
        r->skip--;
        return;
    }
    if (r->left > 0) {
        put(w, r, c, now);
        if (--r->left == 0)
            r->skip = 2;
        return;
    }
    if (c != '\n') {
        if (r->size_n < sizeof r->size && c != '\r')
            r->size[r->size_n++] = c;
        return;
    }
    for (u32 i = 0; i < r->size_n; i++) {
        char x = r->size[i];
        int digit = x >= '0' && x <= '9'                 ? x - '0'
                    : (x | 32) >= 'a' && (x | 32) <= 'f' ? (x | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0)
            break;
        r->left = r->left * 16 + (u64)digit;
    }
    r->size_n = 0;
}

static int ask(struct watch *w, struct arena *a)
{
    struct str host, port, path;
    struct bytes token = { NULL, 0 };
    if (!sim_http_url(str_z(w->url), &host, &port, &path))
        die("not an http:// address: %s", w->url);
    if (w->token_file && sys_file_read(&token, w->token_file, 4096, a) != OK)
        die("no token in %s", w->token_file);
    int fd = sim_http_connect(host, port, a);
    if (fd < 0)
        die("nobody streams at %s", w->url);
    struct str login =
        token.n ? str_fmt(a, "Authorization: Bearer %.*s\r\n", STR(str_trim(str_of(token))))
                : S("");
    struct str head =
        str_fmt(a, "GET %.*s HTTP/1.1\r\nHost: %.*s:%.*s\r\nAccept: text/event-stream\r\n%.*s\r\n",
                STR(path), STR(host), STR(port), STR(login));
    struct timeval patience = { .tv_usec = 200000 };         /* so that `stop` is seen */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (send(fd, head.p, head.n, MSG_NOSIGNAL) != (ssize_t)head.n)
        die("the stream at %s hung up", w->url);
    return fd;
}

void *sim_watch_run(void *arg)
{
    struct watch *w = arg;
    struct arena  a = arena_make(8192);
    struct reader *r = arena_new(&a, struct reader);
    char room[65536];
    int  fd = ask(w, &a);
    r->head = true;
    __atomic_store_n(&w->connected, true, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        ssize_t n = recv(fd, room, sizeof room, 0);
        struct mono now = sys_now();
        if (n == 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            put_coded(w, r, room[i], now);
    }
    (void)close(fd);
    arena_free(&a);
    return NULL;
}
