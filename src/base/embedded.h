/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EMBEDDED_H
#define HOTARU_EMBEDDED_H

/* Files that travel inside the binary: schema/, data/, portal/dist/. Made by dist/embed.sh. */
#include "base/base.h"

struct embedded { const char *name; const u8 *p; u64 n; };   /* name relative to the source root */

/* Ends with a NULL name; ordered by name. The bytes are followed by a zero. */
extern const struct embedded embedded_files[];

/* The file of that name, or { NULL, 0 }. */
static inline struct bytes embedded_file(struct str name)
{
    for (const struct embedded *e = embedded_files; e->name; e++)
        if (str_eq(str_z(e->name), name))
            return (struct bytes){ e->p, (size_t)e->n };
    return (struct bytes){ NULL, 0 };
}

#endif
