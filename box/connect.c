// SPDX-License-Identifier: Apache-2.0
/* The box calls nobody: the door for MQTT gateways stays shut there. */
#include "sys/connect.h"

static _Noreturn void never(void) { die("a connection outwards in the box"); }

struct connection *connection_make(void) { never(); }
int  connection_fd(const struct connection *c) { (void)c, never(); }
void connection_start(struct connection *c, struct str host, u16 port) { (void)c, (void)host, (void)port, never(); }
enum connection_is connection_is(struct connection *c, struct str *why) { (void)c, (void)why, never(); }
size_t connection_read(struct connection *c, u8 *out, size_t room) { (void)c, (void)out, (void)room, never(); }
size_t connection_write(struct connection *c, struct bytes bytes) { (void)c, (void)bytes, never(); }
void connection_stop(struct connection *c) { (void)c, never(); }
void connection_free(struct connection *c) { (void)c, never(); }
