/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_SYS_H
#define HOTARU_SYS_H

/*
 * sys: the operating system behind one face: clocks, randomness, files, one loop, datagrams, child
 * processes. The bodies here use libuv and Linux; a simulator may bring other bodies for the same face.
 */
#include "base/base.h"

/* ------------------------------------------------------------------ clocks and chance */
struct mono sys_now(void);
struct wall sys_clock(void);
void        sys_random(u8 *out, size_t n);             /* from the kernel; never fails */

/* ------------------------------------------------------------------ files */
/* Paths are zero-ended text. Whole file into the arena; ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_IO. */
enum err sys_file_read(struct bytes *out, const char *path, size_t max, struct arena *arena);
/* Written beside, synced, renamed, folder synced: there is the old file or the new one, never half. */
enum err sys_file_write(const char *path, struct bytes content, int mode);
/* Writes the file's bytes again where they stand, and syncs: what a sync that failed called clean (Linux does) reaches
 * the disk after all. OK also when there is no such file. */
enum err sys_file_again(const char *path);
enum err sys_folder_make(const char *path);            /* with its parents, mode 0700 for the last; OK when there */
bool     sys_file_size(i64 *bytes, const char *path);  /* false: there is no such file */
/* Exists afterwards with that many bytes, allocated, not only promised: false when there is no room. 0: emptied. */
bool     sys_file_reserve(const char *path, i64 bytes);
bool     sys_folder_room(i64 *bytes, const char *path);   /* what an ordinary user may still write there */
bool     sys_folder_is_remote(const char *path);          /* a network file system */
/* Holds the lock file of that path for this process until sys_unlock or its death. ERR_CONFLICT: another
 * has it, *holder is what that one wrote (its number); ERR_DENIED, ERR_IO. */
struct sys_lock;
enum err sys_lock_file(struct sys_lock **out, const char *path, struct str *holder, struct arena *arena);
void     sys_unlock_file(struct sys_lock *lock);

/* ------------------------------------------------------------------ loop */
struct loop;
struct loop_timer;
typedef void loop_call(void *arg);

struct loop *loop_make(void);
void loop_run(struct loop *loop);                      /* until loop_stop */
void loop_stop(struct loop *loop);
/* Calls `call(arg)` whenever `fd` is readable. The returned watch lives until loop_unwatch. */
struct loop_watch;
struct loop_watch *loop_watch(struct loop *loop, int fd, loop_call *call, void *arg);
void loop_unwatch(struct loop_watch *watch);
struct loop_timer *loop_timer(struct loop *loop, loop_call *call, void *arg);
void loop_timer_at(struct loop_timer *timer, struct mono when);   /* once; replaces an earlier time */
/* From any thread or a signal handler's safe point: `call(arg)` runs soon on the loop, at least once. */
struct loop_wake;
struct loop_wake *loop_wake_make(struct loop *loop, loop_call *call, void *arg);
void loop_wake(struct loop_wake *wake);
void loop_on_stop_signals(struct loop *loop, loop_call *call, void *arg);   /* SIGTERM, SIGINT, SIGHUP */

/* ------------------------------------------------------------------ datagrams */
/* An IPv4 or IPv6 address with port, comparable by bytes. */
struct address { u8 family; u8 ip[16]; u16 port; };
bool   address_read(struct address *out, struct str text);              /* "127.0.0.1:1700", "[::1]:1700" */
struct str address_str(struct arena *a, struct address address);
bool   address_same_host(struct address a, struct address b);
bool   address_eq(struct address a, struct address b);
bool   address_is_loopback(struct address a);

struct datagram { struct address peer; struct bytes bytes; };
struct udp;
#define UDP_BATCH      512
#define UDP_BYTES_MAX  65507

/* Opens and binds; NULL with words when that cannot be. */
struct udp *udp_open(struct address at, int receive_buffer_bytes, struct str *why, struct arena *arena);
int    udp_fd(const struct udp *udp);
struct address udp_address(const struct udp *udp);                      /* the port chosen, when 0 was asked */
/* What has arrived, at most UDP_BATCH; views live until the next call. */
size_t udp_receive(struct udp *udp, struct datagram out[UDP_BATCH]);
/* Best effort, like the network. Returns how many the kernel took. */
size_t udp_send(struct udp *udp, const struct datagram *datagrams, size_t n);
void   udp_close(struct udp *udp);

/* ------------------------------------------------------------------ streams */

/*
 * A TCP server without threads: whoever watches tcp_fd calls tcp_turn, and is called back. Nothing blocks, and
 * what waits to leave is bounded: a reader that is slower than TCP_WAITING_MAX is told apart by tcp_send.
 */
struct tcp;
struct tcp_link;
struct tcp_calls {
    /* Somebody connected. What comes back is `of` for the calls below; NULL: not wanted, hung up at once. */
    void *(*opened)(void *door, struct tcp_link *link, struct address peer);
    void (*received)(void *of, struct bytes bytes);                     /* at most TCP_READ_MAX; lives until it returns */
    void (*closed)(void *of);                                           /* by the other side; the last call for it */
    void *door;
};
#define TCP_READ_MAX    16384
#define TCP_WAITING_MAX 131072
#define TCP_EVENTS      64
/* `most` connections at once; more are hung up on. NULL with words when it cannot listen there. */
struct tcp *tcp_open(struct address at, const struct tcp_calls *calls, u32 most, struct str *why, struct arena *arena);
int    tcp_fd(const struct tcp *tcp);
struct address tcp_address(const struct tcp *tcp);                      /* the port chosen, when 0 was asked */
u32    tcp_links(const struct tcp *tcp);
/* What has happened since, at most TCP_EVENTS of it. Returns how many. */
size_t tcp_turn(struct tcp *tcp);
/* False: more than TCP_WAITING_MAX would wait, or it is broken; nothing of it was taken. */
bool   tcp_send(struct tcp_link *link, struct bytes bytes);
/* Hangs up; with tcp_end after what waits has left. No call follows, and the link must not be used again. */
void   tcp_end(struct tcp_link *link);
void   tcp_drop(struct tcp_link *link);
void   tcp_close(struct tcp *tcp);                                      /* and all links, without a call */

/* ------------------------------------------------------------------ the process */
i64  sys_rss_bytes(void);
i64  sys_cpu_us(void);                                  /* user + system, this process */
void sys_no_core_dumps(void);                           /* keys live in memory */

#endif
