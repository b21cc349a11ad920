/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_HEARD_H
#define HOTARU_EDGE_HEARD_H

/* What all doors ask of a frame, whatever road it came by. */
#include "lora/lora.h"

/* Is that a frequency on which a gateway of the region may hear a device? */
bool heard_in_region(const struct lora_region *region, u32 hz);

#endif
