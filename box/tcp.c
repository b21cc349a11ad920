// SPDX-License-Identifier: Apache-2.0
/* The box has no streams of bytes: its gateways speak datagrams. The door for stations stays shut there. */
#include "sys/sys.h"

struct tcp *tcp_open(struct address at, const struct tcp_calls *calls, u32 most, struct str *why, struct arena *arena)
{
    (void)at, (void)calls, (void)most, (void)arena;
    *why = S("there is no TCP in the box");
    return NULL;
}

/* Without a server nobody can call these. */
static _Noreturn void never(void) { die("a TCP link in the box"); }

int    tcp_fd(const struct tcp *tcp) { (void)tcp, never(); }
u32    tcp_links(const struct tcp *tcp) { (void)tcp, never(); }
size_t tcp_turn(struct tcp *tcp) { (void)tcp, never(); }
bool   tcp_send(struct tcp_link *link, struct bytes bytes) { (void)link, (void)bytes, never(); }
void   tcp_end(struct tcp_link *link) { (void)link, never(); }
void   tcp_drop(struct tcp_link *link) { (void)link, never(); }
void   tcp_close(struct tcp *tcp) { (void)tcp, never(); }
struct address tcp_address(const struct tcp *tcp) { (void)tcp, never(); }
