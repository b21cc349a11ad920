/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_WIRE_INSIDE_H
#define HOTARU_WIRE_INSIDE_H

/* What the JSON reader, the values and the writer share. */
#include "wire/json.h"

extern const char *const json_fault_words[JSON_FAULT_KINDS];

static inline bool json_digit(char c) { return c >= '0' && c <= '9'; }
/* A byte of a string that needs no second look. */
static inline bool json_plain(char c) { return (u8)c >= 0x20 && (u8)c < 0x80 && c != '"' && c != '\\'; }

/* The four digits after \u, or -1. */
int json_hex4(const char *p, const char *end);
/* Bytes of the well-formed UTF-8 sequence at p (RFC 3629, section 4), or 0. */
size_t json_utf8_size(const char *at, const char *end);
/* A sound raw string without its escapes; never longer than it was. */
struct str json_unescape(struct str raw, struct arena *arena);
/* A sound number that no double can hold. */
bool json_beyond_double(struct str number);

#endif
