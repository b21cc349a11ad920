/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_SYS_CONNECT_H
#define HOTARU_SYS_CONNECT_H

/*
 * A TCP connection that we open to somebody else. Nothing blocks: whoever watches connection_fd looks again when it is
 * readable, and now and then besides, for the answer of a name server does not show there.
 */
#include "sys/sys.h"

struct connection;
enum connection_is { CONNECTION_NONE, CONNECTION_OPENING, CONNECTION_OPEN, CONNECTION_OVER };

struct connection *connection_make(void);
int  connection_fd(const struct connection *c);        /* the same for its life, whatever is opened and stopped */
/* "[::1]", "127.0.0.1" or a name. Every start tries the next of a name's addresses first. */
void connection_start(struct connection *c, struct str host, u16 port);
/* Moves it on. *why in words when it is over; they live until the next start. */
enum connection_is connection_is(struct connection *c, struct str *why);
/* 0: nothing now, or it is over. */
size_t connection_read(struct connection *c, u8 *out, size_t room);
/* What the kernel took; for the rest one looks again. */
size_t connection_write(struct connection *c, struct bytes bytes);
void connection_stop(struct connection *c);
void connection_free(struct connection *c);

#endif
