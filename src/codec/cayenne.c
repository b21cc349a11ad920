// SPDX-License-Identifier: Apache-2.0
/*
 * Cayenne LPP: | channel | type | value, big-endian | again and again. The fields are named
 * type_channel, parts of a vector type_channel.part. The first twelve types are those of the
 * original document (2016); the others are the common extension numbered after IPSO objects.
 * After an unknown type nothing can be read: its length is not known.
 */
#include "codec/inside.h"

struct part { const char *name; struct codec_decimal scale; };
#define PARTS_MAX 3

static const struct type {
    u8 number, size;                     /* size of one part, bytes */
    bool is_signed;
    const char *name, *unit;             /* unit: UN/CEFACT */
    struct part parts[PARTS_MAX];
} types[] = {
    /*  no  size sign   name             unit    scale: digits, places */
    {    0, 1, false, "digital_in",      "",     { { NULL, { 1, 0 } } } },
    {    1, 1, false, "digital_out",     "",     { { NULL, { 1, 0 } } } },
    {    2, 2, true,  "analog_in",       "",     { { NULL, { 1, 2 } } } },
    {    3, 2, true,  "analog_out",      "",     { { NULL, { 1, 2 } } } },
    { 0x65, 2, false, "luminosity",      "LUX",  { { NULL, { 1, 0 } } } },
    { 0x66, 1, false, "presence",        "",     { { NULL, { 1, 0 } } } },
    { 0x67, 2, true,  "temperature",     "CEL",  { { NULL, { 1, 1 } } } },
    { 0x68, 1, false, "humidity",        "P1",   { { NULL, { 5, 1 } } } },
    { 0x71, 2, true,  "accelerometer",   "K40",
      { { "x", { 1, 3 } }, { "y", { 1, 3 } }, { "z", { 1, 3 } } } },
    { 0x73, 2, false, "barometer",       "A97",  { { NULL, { 1, 1 } } } },
    { 0x86, 2, true,  "gyrometer",       "E96",
      { { "x", { 1, 2 } }, { "y", { 1, 2 } }, { "z", { 1, 2 } } } },
    { 0x88, 3, true,  "gps",             "",
      { { "latitude", { 1, 4 } }, { "longitude", { 1, 4 } }, { "altitude", { 1, 2 } } } },
    { 0x64, 4, false, "generic",         "",     { { NULL, { 1, 0 } } } },
    { 0x74, 2, false, "voltage",         "VLT",  { { NULL, { 1, 2 } } } },
    { 0x75, 2, false, "current",         "AMP",  { { NULL, { 1, 3 } } } },
    { 0x76, 4, false, "frequency",       "HTZ",  { { NULL, { 1, 0 } } } },
    { 0x78, 1, false, "percentage",      "P1",   { { NULL, { 1, 0 } } } },
    { 0x79, 2, true,  "altitude",        "MTR",  { { NULL, { 1, 0 } } } },
    { 0x7d, 2, false, "concentration",   "59",   { { NULL, { 1, 0 } } } },
    { 0x80, 2, false, "power",           "WTT",  { { NULL, { 1, 0 } } } },
    { 0x82, 4, false, "distance",        "MTR",  { { NULL, { 1, 3 } } } },
    { 0x83, 4, false, "energy",          "KWH",  { { NULL, { 1, 3 } } } },
    { 0x84, 2, false, "direction",       "DD",   { { NULL, { 1, 0 } } } },
    { 0x85, 4, false, "unixtime",        "",     { { NULL, { 1, 0 } } } },
    { 0x87, 1, false, "colour",          "",
      { { "r", { 1, 0 } }, { "g", { 1, 0 } }, { "b", { 1, 0 } } } },
    { 0x8e, 1, false, "switch",          "",     { { NULL, { 1, 0 } } } },
};

static const struct type *type_find(u8 number)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (types[i].number == number)
            return &types[i];
    return NULL;
}

static size_t parts_of(const struct type *type)
{
    return type->parts[1].name ? PARTS_MAX : 1;
}

static i64 value_of(struct bytes b, bool is_signed)
{
    i64 v = 0;
    for (size_t i = 0; i < b.n; i++)
        v = v << 8 | b.p[i];
    return is_signed && b.p[0] >> 7 ? v - ((i64)1 << 8 * b.n) : v;
}

static void read_one(struct codec_result *out, const struct codec *codec, const struct type *type,
                     u8 channel, struct bytes value, struct arena *arena)
{
    for (size_t i = 0; i < parts_of(type); i++) {
        const struct part *part = &type->parts[i];
        struct bytes bytes = { value.p + i * type->size, type->size };
        struct str name = part->name ? str_fmt(arena, "%s_%u.%s", type->name, channel, part->name)
                                     : str_fmt(arena, "%s_%u", type->name, channel);
        codec_add_number(out, codec, name, value_of(bytes, type->is_signed), part->scale,
                         (struct codec_decimal){ 0, part->scale.places }, arena);
        out->units[out->count - 1] = str_z(type->unit);
    }
}

void codec_cayenne_read(struct codec_result *out, const struct codec *codec, struct bytes payload,
                        struct arena *arena)
{
    struct cur c = cur_of(payload);
    if (payload.n == 0)
        codec_complain(&out->errors, S("an empty frame"), arena);
    while (cur_left(&c) > 0 && out->count + PARTS_MAX <= FIELDS_MAX) {
        u8 channel = cur_u8(&c), number = cur_u8(&c);
        const struct type *type = c.bad ? NULL : type_find(number);
        if (!c.bad && !type) {
            codec_complain(&out->errors,
                           str_fmt(arena, "type %u is not known: the rest is not read", number),
                           arena);
            return;
        }
        struct bytes value = type ? cur_take(&c, type->size * parts_of(type)) : (struct bytes){ 0 };
        if (!c.bad)
            read_one(out, codec, type, channel, value, arena);
    }
    if (c.bad)
        codec_complain(&out->errors, S("the last value is cut short"), arena);
    else if (cur_left(&c) > 0)
        codec_complain(&out->errors, S("more than 64 fields: the rest is not read"), arena);
}
