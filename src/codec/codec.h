/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_CODEC_H
#define HOTARU_CODEC_H

/*
 * codec, stage 2: uplink -> reading. Bytes become named fields.
 *
 * A profile's "codec" member says how:
 *
 *     {"type": "table", "fields": [ROW …]}   a fixed layout, read here          table.c
 *     {"type": "cayenne"}                    Cayenne LPP, read here             cayenne.c
 *     {"type": "js", "file": "NAME.js"}      TS013 JavaScript: the code runs in a jailed process of
 *                                            its own (edge/codec_child.h); its answer comes back as
 *                                            JSON and is flattened here         flatten.c
 *     {"type": "none"}                       the frame is kept and shown, nothing is read
 *
 * A ROW is {"name", "at", "type"} with, where needed, "mask", "shift", "scale", "offset", "port",
 * "text": {"0": "free"}, "absent": RAW. Any codec may say "absent": {"FIELD": NUMBER or [NUMBER …]},
 * values by which the device says that it has no reading (327.67 °C: the probe is not plugged in).
 *
 * Pure: no clock, no files, no store. A number keeps the digits its scale gives it: raw 1234 at
 * scale 0.001 is "1.234", never 1.2340000000000002. What cannot be read is no exception but words
 * beside the fields that could be.
 */
#include "core/core.h"

enum codec_kind { CODEC_NONE, CODEC_TABLE, CODEC_CAYENNE, CODEC_JS };

/* digits * 10^-places */
struct codec_decimal { i64 digits; u8 places; };

struct codec_word { i64 raw; struct str word; };

struct codec_row {
    struct str name;
    u16  at;                             /* byte offset */
    u8   type;                           /* place in the table of types */
    i16  fport;                          /* -1: any */
    u8   shift;
    bool has_absent;
    u32  mask;                           /* 0: none */
    i64  absent;                         /* raw value: no reading */
    struct codec_decimal scale, offset;  /* both with the same places */
    const struct codec_word *words;
    u32  words_count;
};

struct codec_absent { struct str name; double number; };

struct codec {
    enum codec_kind kind;
    const struct profile *profile;       /* its rules for the fields */
    struct str file;                     /* CODEC_JS: name in data/codecs/ */
    const struct codec_row *rows;
    u32  rows_count;
    const struct codec_absent *absent;
    u32  absent_count;
};

/* One codec for each profile, found by the profile's number. */
struct codecs { const struct codec *of; size_t count; };

/*
 * Fields in the order in which they were read. `units` are what the codec itself says of a unit
 * (°C, mm; Cayenne: UN/CEFACT codes); the profile's word counts more. Empty `errors`: all was read.
 */
struct codec_result {
    struct field fields[FIELDS_MAX];
    struct str   units[FIELDS_MAX];
    size_t       count;
    struct str   errors, warnings;       /* for people; several joined by "; " */
};

/* ERR_INVALID with words. What is read lives as long as the profile. */
enum err codec_parse(struct codec *out, const struct profile *profile, struct str *why,
                     struct arena *boot);
enum err codecs_parse(struct codecs *out, const struct profiles *profiles, struct str *why,
                      struct arena *boot);
static inline const struct codec *codec_of(const struct codecs *codecs,
                                           const struct profile *profile)
{
    assert(profile->number < codecs->count);
    return &codecs->of[profile->number];
}

/* Read at once, inside the stage? Otherwise the answer comes later, or there is none. */
static inline bool codec_is_table(const struct codec *codec)
{
    return codec->kind == CODEC_TABLE || codec->kind == CODEC_CAYENNE;
}

/* A table or Cayenne. ERR_UNSUPPORTED for the others. `out` borrows the arena and the codec. */
enum err codec_read(struct codec_result *out, const struct codec *codec, int fport,
                    struct bytes payload, struct arena *arena);

/* What decodeUplink is called with: {"bytes":[…],"fPort":n,"recvTime":"…"}. */
struct str codec_input(int fport, struct bytes payload, struct wall received, struct arena *arena);

/*
 * What decodeUplink returned, {"data":{…},"errors":[…],"warnings":[…]}, as a list of fields:
 * nested objects are joined with '.', arrays by index, {value, unit, displayName} becomes its value
 * with the unit kept. A text in a field for numbers becomes a number where the profile says
 * "number": true, else a missing value with the text as its reason.
 * ERR_INVALID when it is not such an object, ERR_TOO_LARGE beyond 4,096 JSON values.
 */
enum err codec_flatten(struct codec_result *out, const struct codec *codec, struct str answer,
                       struct arena *arena);

#endif
