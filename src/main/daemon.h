/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_DAEMON_H
#define HOTARU_DAEMON_H

/* Doors wired to the spine: one loop, one writer. */
#include "core/core.h"
#include "main/settings.h"

/* An env on the machine's own clocks and chance, with its arenas and nothing else yet. */
struct env engine_env(void);
/* The store opened and the stages started, without any door: what `serve`, `import` and benches share. */
enum err engine_open(struct env *env, const struct settings *settings, struct str *why, struct arena *boot);
void     engine_close(struct env *env);
/* A codec's source: from the city's folder, else from the binary. */
enum err codec_source(struct str *out, const struct settings *settings, struct str file, struct arena *boot);

/* Exit code: 0 stopped as asked; 1 cannot start; 75 the store failed and a restart may help. */
int serve(const struct settings *settings, struct arena *boot);

struct decoder;
struct capture;
struct loop;
struct decoder *decoder_make(struct env *env, const struct settings *settings, struct loop *loop,
                             void (*commit)(void *of), void *of, struct arena *boot);
/* Answers that are nobody's personal reading are kept there as well. Borrowed. */
void decoder_capture(struct decoder *d, struct capture *capture);
void decoder_ask(struct decoder *d, const struct uplink *uplink);
void decoder_tick(struct decoder *d);
bool decoder_busy(const struct decoder *d);
void decoder_close(struct decoder *d);

/* Gateways behind an MQTT broker. NULL in *out: the settings name none. False with words: they cannot be followed.
 * `ready` is called on the loop when there is something to do, and then calls broker_turn. */
struct broker;
struct downs;
bool broker_open(struct broker **out, struct env *env, struct downs *downs, const struct settings *set, struct loop *loop,
                 void (*ready)(void *of), void *of, struct str *why, struct arena *boot);
/* True: a batch has ended, *err says how. NULL does nothing. */
bool broker_turn(struct broker *b, enum err *err);
void broker_close(struct broker *b);

#endif
