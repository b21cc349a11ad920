/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_CODEC_LETTER_H
#define HOTARU_CODEC_LETTER_H

/*
 * What the daemon and its codec child write to each other: one SOCK_SEQPACKET message is one
 * letter, a head and then its parts, in the byte order of the machine (both ends are the same program).
 *
 *     ask    | codec_ask  | source, when `load` | input |
 *     tell   | codec_tell | words | result |
 *
 * The child answers in the order in which it was asked. Its first letter has the id CODEC_HELLO and
 * tells in words what its jail refuses.
 */
#include "edge/codec_child.h"

#define CODEC_CHILD_FD 3
#define CODEC_HELLO UINT64_MAX
#define CODEC_WORDS_MAX  200

/* Contexts the child keeps; the parent decides which codec stands in which place. */
#define CODEC_PLACES 32

struct codec_ask  { u64 id; u32 source_n, input_n; u16 place; u8 function; bool load; };
struct codec_tell { u64 id; u32 words_n, result_n; u32 refusal; u32 cpu_us; };

#define CODEC_ASK_MAX  (sizeof(struct codec_ask) + CODEC_SOURCE_MAX + CODEC_INPUT_MAX)
#define CODEC_TELL_MAX (sizeof(struct codec_tell) + CODEC_WORDS_MAX + CODEC_RESULT_MAX)

/* CPU a codec may use for one call. The child's own timer ends it; the parent watches as well. */
#define CODEC_CPU_US 50000

#endif
