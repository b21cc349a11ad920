/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_CODEC_INSIDE_H
#define HOTARU_CODEC_INSIDE_H

/* What the files of this folder share. */
#include "codec/codec.h"

/* raw * scale + offset, digit for digit. */
void codec_add_number(struct codec_result *out, const struct codec *codec, struct str name, i64 raw,
                      struct codec_decimal scale, struct codec_decimal offset, struct arena *arena);
/* A number as somebody else wrote it. */
void codec_add_digits(struct codec_result *out, const struct codec *codec, struct str name,
                      double number, struct str digits);
void codec_add_text(struct codec_result *out, const struct codec *codec, struct str name,
                    struct str text, struct arena *arena);
void codec_add_bool(struct codec_result *out, const struct codec *codec, struct str name,
                    bool value);
void codec_add_missing(struct codec_result *out, const struct codec *codec, struct str name,
                       struct str reason);
void codec_complain(struct str *list, struct str words, struct arena *arena);

/* A decimal as written in JSON (0.001, 1e-07, -40), up to 9 digits and 12 places. */
bool codec_decimal_read(struct codec_decimal *out, struct str written);

const char *codec_table_parse(struct codec *out, const struct json *rows, struct arena *boot);
void codec_table_read(struct codec_result *out, const struct codec *codec, int fport,
                      struct bytes payload, struct arena *arena);
void codec_cayenne_read(struct codec_result *out, const struct codec *codec, struct bytes payload,
                        struct arena *arena);

#endif
