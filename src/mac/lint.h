/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_LINT_H
#define HOTARU_LINT_H

/* Root keys that are no secrets: printed in manuals, counted up, made of the device's own name. */
#include "base/base.h"

struct lint { const char *ja, *en; };
/* Why that key must not be used, in words that name no digit of it; NULL: nothing is wrong with it as far as can
 * be seen. EUIs as people write them; 0: not known. */
const struct lint *lint_key(const u8 key[16], u64 dev_eui, u64 join_eui);

#endif
