/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_STATION_PLAN_H
#define HOTARU_EDGE_STATION_PLAN_H

/* What a Station is told of its radio: the region's rates and channels, or those of the national plan on top. */
#include "lora/lora.h"
#include "wire/station.h"

/* `station` and `model` are its own words about itself. The name of the region in *as_is was none that Station knows. */
void station_plan(struct station_config *out, const struct lora_region *region, const struct lora_plan *plan, struct str station,
                  struct str model, bool *as_is);
/* May a gateway of that region have heard something there? */
bool station_plan_hears(const struct lora_region *region, const struct lora_plan *plan, u32 hz);

#endif
