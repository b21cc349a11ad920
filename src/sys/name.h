/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_SYS_NAME_H
#define HOTARU_SYS_NAME_H

/* An address as the sockets of this machine name it, and back. For those who hold a socket; all others use sys.h. */
#include "sys/sys.h"

#include <sys/socket.h>

/* How many bytes of *out it is. */
socklen_t name_of_address(struct sockaddr_storage *out, struct address address);
/* Of an IPv4 or IPv6 socket. */
struct address address_of_name(const struct sockaddr_storage *name);

#endif
