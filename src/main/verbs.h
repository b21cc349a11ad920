/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_VERBS_H
#define HOTARU_VERBS_H

/* What `hotaru VERB` does. Exit codes: 0 done, 1 it could not be done (why is on stderr), 2 not understood. */
#include "base/base.h"

struct verb_call { int argc; char **argv; const char *program; struct arena *boot; };
typedef int verb_run(struct verb_call *call);
struct verb { const char *name; verb_run *run; const char *usage, *words; };

verb_run verb_serve, verb_demo, verb_sim, verb_import, verb_why, verb_decode, verb_drops, verb_routes, verb_check,
         verb_version, verb_codec_worker, verb_bench_fill, verb_fsck, verb_backup, verb_restore, verb_replay,
         verb_gateway;

/* How long the folder's disk takes to keep something, as lines that begin with #. (disk.c) */
void disk_truth(struct text *out, struct str folder, struct arena *arena);

/* One POST to a daemon of this machine; the answer's body into the arena. The HTTP status, or 0 with words. */
int client_post(struct str address, struct str path, struct str token, struct bytes body, struct str *answer,
                struct str *why, struct arena *arena);

#endif
