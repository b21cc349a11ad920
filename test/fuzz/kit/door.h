/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_FUZZ_DOOR_H
#define HOTARU_FUZZ_DOOR_H

/*
 * The HTTP door of the small city, whole: libmicrohttpd, edge/http.c, the router and every handler behind it,
 * but turned by hand in this thread, over a socket pair.
 */
#include "test/fuzz/kit/city.h"

struct door_answer { int status; struct str type, body; };

/* Sends the bytes as one client does, hangs up, and reads what came. status 0: nothing came. */
void door_ask(struct door_answer *out, struct city *c, struct bytes request, bool from_loopback, struct arena *arena);
/* What every answer must be: no error of ours, and whole JSON where it says so. */
void door_check(const struct door_answer *answer, struct arena *arena);

#endif
