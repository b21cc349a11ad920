/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_HEARD_H
#define HOTARU_EDGE_HEARD_H

/* What all doors ask of a gateway and of a frame, whatever road it came by. */
#include "lora/lora.h"

/* What a gateway may say: so much a second, and as much at once after a while. Zeroed, it has been silent for ever. */
struct share { i64 tokens; struct mono refilled; };
/* Takes one. False: it has said more than its share. */
bool share_take(struct share *share, struct mono now, i64 per_s);

/* Is that a frequency on which a gateway of the region may hear a device? */
bool heard_in_region(const struct lora_region *region, u32 hz);

#endif
