// SPDX-License-Identifier: Apache-2.0
/*
 * A message is a table of its fields: number and JSON name by chirpstack-api's gw.proto, kind, and the place in
 * our struct. Messages inside a message write into the same struct, so the table's depth is the depth of all
 * reading: nothing in a message makes us recurse further.
 */
#include "wire/gwpb.h"

#include "wire/json.h"

#include <math.h>

enum kind { U32, I32, FLOAT, BOOL, EUI, BYTES, ENUM, TIME, SPAN, MESSAGE, ONE_OF, LIST };

struct field {
    u8  number, kind;
    u16 at;                            /* in the struct that the table fills */
    u16 count_at, size;                /* LIST: where its count stands, bytes of an item */
    const char *name;
    const struct field *of;            /* the fields of a message inside */
    const char *const *words;          /* ENUM; ends with NULL */
};
#define SECONDS_MAX 8000000000LL       /* the year 2223, or as long a time: exact in a double of microseconds */
#define AT(type, member) .at = offsetof(struct type, member)

static const char *const crc_words[] = { "NO_CRC", "BAD_CRC", "CRC_OK", NULL };
static const char *const code_rate_words[] = { "CR_UNDEFINED", "CR_4_5", "CR_4_6", "CR_4_7", "CR_4_8", "CR_3_8", "CR_2_6",
                                               "CR_1_4", "CR_1_6", "CR_5_6", "CR_LI_4_5", "CR_LI_4_6", "CR_LI_4_8", NULL };
static const char *const status_words[GWPB_STATUSES + 1] = { "IGNORED", "OK", "TOO_LATE", "TOO_EARLY", "COLLISION_PACKET",
                                                            "COLLISION_BEACON", "TX_FREQ", "TX_POWER", "GPS_UNLOCKED",
                                                            "QUEUE_FULL", "INTERNAL_ERROR", "DUTY_CYCLE_OVERFLOW", NULL };
static const char *const state_words[] = { "OFFLINE", "ONLINE", NULL };

/* ------------------------------------------------------------------ the messages */

static const struct field nothing[] = { { 0 } };

static const struct field up_lora[] = {
    { 1, U32, AT(gwpb_uplink, bw_hz), .name = "bandwidth" },
    { 2, U32, AT(gwpb_uplink, sf),    .name = "spreadingFactor" },
    { 0 } };
static const struct field up_fsk[] = { { 2, U32, AT(gwpb_uplink, bitrate), .name = "datarate" }, { 0 } };
static const struct field up_modulation[] = {
    { GWPB_LORA,    ONE_OF, AT(gwpb_uplink, modulation), .name = "lora",   .of = up_lora },
    { GWPB_FSK,     ONE_OF, AT(gwpb_uplink, modulation), .name = "fsk",    .of = up_fsk },
    { GWPB_LR_FHSS, ONE_OF, AT(gwpb_uplink, modulation), .name = "lrFhss", .of = nothing },
    { 0 } };
static const struct field up_tx[] = {
    { 1, U32,     AT(gwpb_uplink, freq_hz), .name = "frequency" },
    { 2, MESSAGE, .name = "modulation", .of = up_modulation },
    { 0 } };
static const struct field up_rx[] = {
    { 1,  EUI,   AT(gwpb_uplink, eui),        .name = "gatewayId" },
    { 3,  TIME,  AT(gwpb_uplink, gateway_us), .name = "gwTime" },
    { 6,  I32,   AT(gwpb_uplink, rssi_dbm),   .name = "rssi" },
    { 7,  FLOAT, AT(gwpb_uplink, snr_db),     .name = "snr" },
    { 10, U32,   AT(gwpb_uplink, board),      .name = "board" },
    { 11, U32,   AT(gwpb_uplink, antenna),    .name = "antenna" },
    { 13, BYTES, AT(gwpb_uplink, context),    .name = "context" },
    { 16, ENUM,  AT(gwpb_uplink, crc),        .name = "crcStatus", .words = crc_words },
    { 0 } };
static const struct field uplink[] = {
    { 1, BYTES,   AT(gwpb_uplink, phy), .name = "phyPayload" },
    { 4, MESSAGE, .name = "txInfo", .of = up_tx },
    { 5, MESSAGE, .name = "rxInfo", .of = up_rx },
    { 0 } };

static const struct field down_lora[] = {
    { 1, U32,  AT(gwpb_item, bw_hz),     .name = "bandwidth" },
    { 2, U32,  AT(gwpb_item, sf),        .name = "spreadingFactor" },
    { 4, BOOL, AT(gwpb_item, inverted),  .name = "polarizationInversion" },
    { 5, ENUM, AT(gwpb_item, code_rate), .name = "codeRate", .words = code_rate_words },
    { 0 } };
static const struct field down_fsk[] = {
    { 1, U32, AT(gwpb_item, deviation_hz), .name = "frequencyDeviation" },
    { 2, U32, AT(gwpb_item, bitrate),      .name = "datarate" },
    { 0 } };
static const struct field down_modulation[] = {
    { GWPB_LORA,    ONE_OF, AT(gwpb_item, modulation), .name = "lora",   .of = down_lora },
    { GWPB_FSK,     ONE_OF, AT(gwpb_item, modulation), .name = "fsk",    .of = down_fsk },
    { GWPB_LR_FHSS, ONE_OF, AT(gwpb_item, modulation), .name = "lrFhss", .of = nothing },
    { 0 } };
static const struct field delay[] = { { 1, SPAN, AT(gwpb_item, delay_us), .name = "delay" }, { 0 } };
static const struct field timing[] = {
    { GWPB_AT_ONCE, ONE_OF, AT(gwpb_item, timing), .name = "immediately", .of = nothing },
    { GWPB_DELAY,   ONE_OF, AT(gwpb_item, timing), .name = "delay",       .of = delay },
    { GWPB_GPS,     ONE_OF, AT(gwpb_item, timing), .name = "gpsEpoch",    .of = nothing },
    { 0 } };
static const struct field down_tx[] = {
    { 1, U32,     AT(gwpb_item, freq_hz),   .name = "frequency" },
    { 2, I32,     AT(gwpb_item, power_dbm), .name = "power" },
    { 3, MESSAGE, .name = "modulation", .of = down_modulation },
    { 4, U32,     AT(gwpb_item, board),     .name = "board" },
    { 5, U32,     AT(gwpb_item, antenna),   .name = "antenna" },
    { 6, MESSAGE, .name = "timing", .of = timing },
    { 7, BYTES,   AT(gwpb_item, context),   .name = "context" },
    { 0 } };
static const struct field item[] = {
    { 1, BYTES,   AT(gwpb_item, phy), .name = "phyPayload" },
    { 3, MESSAGE, .name = "txInfo", .of = down_tx },
    { 0 } };
static const struct field downlink[] = {
    { 3, U32,  AT(gwpb_downlink, id),    .name = "downlinkId" },
    { 5, LIST, AT(gwpb_downlink, items), .name = "items", .of = item, .count_at = offsetof(struct gwpb_downlink, items_n),
      .size = sizeof(struct gwpb_item) },
    { 7, EUI,  AT(gwpb_downlink, eui),   .name = "gatewayId" },
    { 0 } };

static const struct field status[] = { { 1, ENUM, AT(gwpb_status, status), .name = "status", .words = status_words }, { 0 } };
static const struct field ack[] = {
    { 2, U32,  AT(gwpb_ack, id),    .name = "downlinkId" },
    { 5, LIST, AT(gwpb_ack, items), .name = "items", .of = status, .count_at = offsetof(struct gwpb_ack, items_n),
      .size = sizeof(struct gwpb_status) },
    { 6, EUI,  AT(gwpb_ack, eui),   .name = "gatewayId" },
    { 0 } };
static const struct field stats[] = {
    { 2,  TIME, AT(gwpb_stats, gateway_us),  .name = "time" },
    { 5,  U32,  AT(gwpb_stats, received),    .name = "rxPacketsReceived" },
    { 6,  U32,  AT(gwpb_stats, received_ok), .name = "rxPacketsReceivedOk" },
    { 7,  U32,  AT(gwpb_stats, asked),       .name = "txPacketsReceived" },
    { 8,  U32,  AT(gwpb_stats, emitted),     .name = "txPacketsEmitted" },
    { 17, EUI,  AT(gwpb_stats, eui),         .name = "gatewayId" },
    { 0 } };
static const struct field conn[] = {
    { 2, ENUM, AT(gwpb_conn, state), .name = "state", .words = state_words },
    { 3, EUI,  AT(gwpb_conn, eui),   .name = "gatewayId" },
    { 0 } };

static const struct { const struct field *fields; u16 at; } messages[] = {
    [GWPB_UPLINK]   = { uplink,   offsetof(struct gwpb, uplink) },
    [GWPB_DOWNLINK] = { downlink, offsetof(struct gwpb, downlink) },
    [GWPB_ACK]      = { ack,      offsetof(struct gwpb, ack) },
    [GWPB_STATS]    = { stats,    offsetof(struct gwpb, stats) },
    [GWPB_CONN]     = { conn,     offsetof(struct gwpb, conn) },
};
static_assert(COUNT(messages) == GWPB_KINDS, "every kind is a table");

#define MEMBER(type, base, f) ((type *)(void *)((base) + (f)->at))

static u32 *count_of(u8 *base, const struct field *f) { return (u32 *)(void *)(base + f->count_at); }

/* Room for one more item of a list, or NULL. */
static u8 *next_item(u8 *base, const struct field *f)
{
    u32 *n = count_of(base, f);
    return *n == GWPB_ITEMS_MAX ? NULL : base + f->at + f->size * (*n)++;
}

static bool eui_read(u64 *out, struct str hex)
{
    u8 bytes[8];
    size_t n;
    *out = 0;
    if (hex.n == 0)
        return true;
    if (hex.n != 16 || !hex_read(bytes, sizeof bytes, &n, hex))
        return false;
    *out = get_u64be(bytes);
    return true;
}

static struct str eui_str(struct arena *arena, u64 eui)
{
    u8 bytes[8];
    put_u64be(bytes, eui);
    return eui ? hex_str(arena, (struct bytes){ bytes, sizeof bytes }) : S("");
}

/* ------------------------------------------------------------------ protobuf, reading */

enum { VARINT = 0, FIXED64 = 1, BLOCK = 2, FIXED32 = 5 };
struct part { u32 number; u8 wire; u64 value; struct bytes block; };

static u64 varint(struct cur *c)
{
    u64 v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        u8 byte = cur_u8(c);
        v |= shift < 64 ? (u64)(byte & 0x7F) << shift : 0;
        if (!(byte & 0x80))
            return v;
    }
    c->bad = true;                                     /* ten bytes are the longest */
    return 0;
}

/* False at the end, and where it cannot be read (c->bad). */
static bool next_part(struct part *out, struct cur *c)
{
    if (cur_left(c) == 0)
        return false;
    u64 tag = varint(c);
    *out = (struct part){ .number = (u32)(tag >> 3), .wire = (u8)(tag & 7) };
    if (tag >> 3 == 0 || tag >> 32)
        c->bad = true;
    else if (out->wire == VARINT)
        out->value = varint(c);
    else if (out->wire == FIXED64)
        out->value = cur_u64le(c);
    else if (out->wire == FIXED32)
        out->value = cur_u32le(c);
    else if (out->wire == BLOCK) {
        u64 n = varint(c);
        out->block = n <= cur_left(c) ? cur_take(c, (size_t)n) : (struct bytes){ NULL, 0 };
        c->bad = c->bad || out->block.n != n;
    } else
        c->bad = true;                                 /* groups: proto3 has none */
    return !c->bad;
}

/* Timestamp and Duration: seconds and nanoseconds. What no clock of ours can hold is 0. */
static bool seconds_read(i64 *us, struct bytes block)
{
    struct cur c = cur_of(block);
    struct part part;
    i64 s = 0, ns = 0;
    while (next_part(&part, &c)) {
        if (part.number > 2)
            continue;
        if (part.wire != VARINT)
            return false;
        *(part.number == 1 ? &s : &ns) = (i64)part.value;
    }
    *us = s > -SECONDS_MAX && s < SECONDS_MAX && ns > -1000000000 && ns < 1000000000 ? s * US_PER_S + ns / 1000 : 0;
    return !c.bad;
}

/* Before 1970 nobody heard anything. */
static bool time_read(i64 *us, struct bytes block)
{
    bool good = seconds_read(us, block);
    *us = MAX(*us, 0);
    return good;
}

static u8 wire_of(u8 kind)
{
    return kind == U32 || kind == I32 || kind == BOOL || kind == ENUM ? VARINT : kind == FLOAT ? FIXED32 : BLOCK;
}

static double float_of(u32 bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static enum err pb_read(u8 *base, const struct field *fields, struct bytes block);

static enum err pb_take(u8 *base, const struct field *f, const struct part *part)
{
    u8 *sub = base;
    switch ((enum kind)f->kind) {
    case U32:
    case ENUM:  *MEMBER(u32, base, f)    = (u32)part->value;           return OK;
    case I32:   *MEMBER(i32, base, f)    = (i32)(u32)part->value;      return OK;
    case BOOL:  *MEMBER(bool, base, f)   = part->value != 0;           return OK;
    case FLOAT: *MEMBER(double, base, f) = float_of((u32)part->value); return OK;
    case BYTES: *MEMBER(struct bytes, base, f) = part->block;          return OK;
    case EUI:   return eui_read(MEMBER(u64, base, f), str_of(part->block)) ? OK : ERR_INVALID;
    case TIME:  return time_read(MEMBER(i64, base, f), part->block) ? OK : ERR_INVALID;
    case SPAN:  return seconds_read(MEMBER(i64, base, f), part->block) ? OK : ERR_INVALID;
    case ONE_OF: *MEMBER(u32, base, f) = f->number;                    break;
    case LIST:   sub = next_item(base, f);                             break;
    case MESSAGE:                                                      break;
    }
    return sub ? pb_read(sub, f->of, part->block) : ERR_TOO_LARGE;
}

static const struct field *by_number(const struct field *fields, u32 number)
{
    while (fields->number && fields->number != number)
        fields++;
    return fields->number ? fields : NULL;
}

static enum err pb_read(u8 *base, const struct field *fields, struct bytes block)
{
    struct cur c = cur_of(block);
    struct part part;
    while (next_part(&part, &c)) {
        const struct field *f = by_number(fields, part.number);
        if (f && part.wire != wire_of(f->kind))
            return ERR_INVALID;
        enum err err = f ? pb_take(base, f, &part) : OK;
        if (err != OK)
            return err;
    }
    return c.bad ? ERR_INVALID : OK;
}

/* ------------------------------------------------------------------ JSON, reading */

/* Both spellings that protobuf allows: "gatewayId" and "gateway_id". */
static bool same_name(struct str key, const char *name)
{
    size_t i = 0;
    for (; i < key.n && *name; i++, name++) {
        bool turn = key.p[i] == '_' && i + 1 < key.n;
        char c = key.p[turn ? ++i : i];
        if (turn && c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        if (c != *name)
            return false;
    }
    return i == key.n && *name == 0;
}

static const struct field *by_name(const struct field *fields, struct str key)
{
    while (fields->number && !same_name(key, fields->name))
        fields++;
    return fields->number ? fields : NULL;
}

/* A number as it is or in quotes. */
static bool whole(i64 *out, const struct json *v, struct arena *arena)
{
    return json_is(v, JSON_STRING) ? str_to_i64(out, json_str(v, arena)) : json_i64(out, v);
}

static bool real(double *out, const struct json *v, struct arena *arena)
{
    struct str said = json_str(v, arena);
    if (!json_is(v, JSON_STRING))
        return json_double(out, v);
    bool above = str_eq(said, S("Infinity")), below = str_eq(said, S("-Infinity"));
    *out = above ? HUGE_VAL : below ? -HUGE_VAL : (double)NAN;
    return above || below || str_eq(said, S("NaN")) || str_to_double(out, said);
}

static bool word(u32 *out, const struct json *v, const char *const *words, struct arena *arena)
{
    struct str said = json_str(v, arena);
    i64 n;
    if (!json_is(v, JSON_STRING)) {
        *out = json_i64(&n, v) && n >= 0 && n <= UINT32_MAX ? (u32)n : 0;
        return json_is(v, JSON_NUMBER);
    }
    for (*out = 0; words[*out]; ++*out)
        if (str_eq(said, str_z(words[*out])))
            return true;
    return false;
}

static bool base64(struct bytes *out, const struct json *v, struct arena *arena)
{
    struct str text = json_str(v, arena);
    u8 *p = arena_take(arena, text.n, 1);
    *out = (struct bytes){ p, 0 };
    return json_is(v, JSON_STRING) && base64_read(p, text.n, &out->n, text);
}

/* "1.000340012s" */
static bool span(i64 *us, const struct json *v, struct arena *arena)
{
    struct str text = json_str(v, arena);
    double s;
    if (!str_ends(text, S("s")) || !str_to_double(&s, (struct str){ text.p, text.n - 1 }) || !(fabs(s) < (double)SECONDS_MAX))
        return false;
    *us = llround(s * 1e6);
    return true;
}

static bool moment(i64 *us, const struct json *v, struct arena *arena)
{
    struct wall time = { 0 };
    bool good = wall_read(&time, json_str(v, arena));
    *us = time.us > 0 && time.us < SECONDS_MAX * US_PER_S ? time.us : 0;
    return good;
}

static enum err json_take(u8 *base, const struct field *fields, const struct json *object, struct arena *arena);

static enum err list_take(u8 *base, const struct field *f, const struct json *v, struct arena *arena)
{
    if (!json_is(v, JSON_ARRAY))
        return ERR_INVALID;
    JSON_EACH (one, v) {
        u8 *sub = next_item(base, f);
        enum err err = sub ? json_take(sub, f->of, one, arena) : ERR_TOO_LARGE;
        if (err != OK)
            return err;
    }
    return OK;
}

static enum err value_take(u8 *base, const struct field *f, const struct json *v, struct arena *arena)
{
    i64 n = 0;
    bool good = false;
    switch ((enum kind)f->kind) {
    case U32:   good = whole(&n, v, arena) && n >= 0 && n <= UINT32_MAX;  *MEMBER(u32, base, f) = (u32)n; break;
    case I32:   good = whole(&n, v, arena) && n >= INT32_MIN && n <= INT32_MAX; *MEMBER(i32, base, f) = (i32)n; break;
    case BOOL:  good = json_bool(MEMBER(bool, base, f), v);                     break;
    case ENUM:  good = word(MEMBER(u32, base, f), v, f->words, arena);          break;
    case FLOAT: good = real(MEMBER(double, base, f), v, arena);                 break;
    case BYTES: good = base64(MEMBER(struct bytes, base, f), v, arena);         break;
    case EUI:   good = json_is(v, JSON_STRING) && eui_read(MEMBER(u64, base, f), json_str(v, arena)); break;
    case TIME:  good = moment(MEMBER(i64, base, f), v, arena);                  break;
    case SPAN:  good = span(MEMBER(i64, base, f), v, arena);                    break;
    case LIST:  return list_take(base, f, v, arena);
    case ONE_OF: *MEMBER(u32, base, f) = f->number;                             return json_take(base, f->of, v, arena);
    case MESSAGE:                                                               return json_take(base, f->of, v, arena);
    }
    return good ? OK : ERR_INVALID;
}

static enum err json_take(u8 *base, const struct field *fields, const struct json *object, struct arena *arena)
{
    if (!json_is(object, JSON_OBJECT))
        return ERR_INVALID;
    JSON_EACH (member, object) {
        const struct field *f = by_name(fields, member->key);
        enum err err = f && !json_is(member, JSON_NULL) ? value_take(base, f, member, arena) : OK;
        if (err != OK)
            return err;
    }
    return OK;
}

/* No protobuf message begins with this byte: it would begin a group. */
bool gwpb_is_json(struct bytes message)
{
    return message.n > 0 && message.p[0] == '{';
}

enum err gwpb_read(struct gwpb *out, enum gwpb_kind kind, struct bytes message, struct arena *arena)
{
    const struct json *doc;
    u8 *base = (u8 *)out + messages[kind].at;
    memset(out, 0, sizeof *out);
    out->kind = kind;
    if (message.n > GWPB_MESSAGE_MAX)
        return ERR_TOO_LARGE;
    if (!gwpb_is_json(message))
        return pb_read(base, messages[kind].fields, message);
    enum err err = json_read(&doc, str_of(message), arena, JSON_STRICT, NULL);
    return err == OK ? json_take(base, messages[kind].fields, doc, arena) : err;
}

/* ------------------------------------------------------------------ protobuf, writing */

static void put_varint(struct buf *b, u64 v)
{
    for (; v >= 0x80; v >>= 7)
        buf_u8(b, (u8)(v | 0x80));
    buf_u8(b, (u8)v);
}

/* A field that has its default is not written. */
static void put_number(struct buf *b, const struct field *f, u64 v)
{
    if (v == 0)
        return;
    put_varint(b, (u64)f->number << 3 | VARINT);
    put_varint(b, v);
}

static void put_block(struct buf *b, const struct field *f, struct bytes v, bool even_empty)
{
    if (v.n == 0 && !even_empty)
        return;
    put_varint(b, (u64)f->number << 3 | BLOCK);
    put_varint(b, v.n);
    buf_put(b, v);
}

static void put_float(struct buf *b, const struct field *f, double v)
{
    float narrow = (float)v;
    u32 bits;
    memcpy(&bits, &narrow, sizeof bits);
    if (bits == 0)
        return;
    put_varint(b, (u64)f->number << 3 | FIXED32);
    buf_u32le(b, bits);
}

/* Nanoseconds of a Timestamp count forward also before 1970. */
static void put_seconds(struct buf *b, const struct field *f, i64 us)
{
    static const struct field s = { .number = 1 }, ns = { .number = 2 };
    u8 room[24];
    struct buf in = BUF(room);
    i64 part = us % US_PER_S, whole_s = us / US_PER_S;
    if (f->kind == TIME && part < 0) {
        part += US_PER_S;
        whole_s--;
    }
    put_number(&in, &s, (u64)whole_s);
    put_number(&in, &ns, (u64)(part * 1000));
    put_block(b, f, buf_bytes(&in), false);
}

static struct bytes pb_write(const u8 *base, const struct field *fields, bool *bad, struct arena *arena);

static void pb_put(struct buf *b, const u8 *base, const struct field *f, struct arena *arena)
{
    switch ((enum kind)f->kind) {
    case U32:
    case ENUM:    put_number(b, f, *MEMBER(const u32, base, f));                                    break;
    case I32:     put_number(b, f, (u64)(i64)*MEMBER(const i32, base, f));                          break;
    case BOOL:    put_number(b, f, *MEMBER(const bool, base, f));                                   break;
    case FLOAT:   put_float(b, f, *MEMBER(const double, base, f));                                  break;
    case BYTES:   put_block(b, f, *MEMBER(const struct bytes, base, f), false);                     break;
    case EUI:     put_block(b, f, bytes_of(eui_str(arena, *MEMBER(const u64, base, f))), false);    break;
    case TIME:
    case SPAN:    put_seconds(b, f, *MEMBER(const i64, base, f));                                   break;
    case MESSAGE: put_block(b, f, pb_write(base, f->of, &b->bad, arena), false);                    break;
    case ONE_OF:
        if (*MEMBER(const u32, base, f) == f->number)
            put_block(b, f, pb_write(base, f->of, &b->bad, arena), true);
        break;
    case LIST:
        for (u32 i = 0; i < *(const u32 *)(const void *)(base + f->count_at); i++)
            put_block(b, f, pb_write(base + f->at + f->size * i, f->of, &b->bad, arena), true);
        break;
    }
}

static struct bytes pb_write(const u8 *base, const struct field *fields, bool *bad, struct arena *arena)
{
    struct buf b = buf_of(arena_take(arena, GWPB_MESSAGE_MAX, 1), GWPB_MESSAGE_MAX);
    for (; fields->number; fields++)
        pb_put(&b, base, fields, arena);
    *bad |= b.bad;
    return buf_bytes(&b);
}

/* ------------------------------------------------------------------ JSON, writing */

static void json_fields(struct json_out *o, const u8 *base, const struct field *fields, struct arena *arena);

static void json_object(struct json_out *o, const u8 *base, const struct field *fields, struct arena *arena)
{
    json_open_object(o);
    json_fields(o, base, fields, arena);
    json_close(o);
}

static struct str span_str(struct arena *arena, i64 us)
{
    u64 size = us < 0 ? 0 - (u64)us : (u64)us;
    return str_fmt(arena, "%s%llu.%06llus", us < 0 ? "-" : "", (unsigned long long)(size / 1000000),
                   (unsigned long long)(size % 1000000));
}

static void json_real(struct json_out *o, double v)
{
    if (isfinite(v))
        json_put_double(o, v);
    else
        json_put_str(o, isnan(v) ? S("NaN") : v > 0 ? S("Infinity") : S("-Infinity"));
}

static void json_enum(struct json_out *o, u32 v, const char *const *words)
{
    u32 n = 0;
    while (words[n])
        n++;
    if (v < n)
        json_put_str(o, str_z(words[v]));
    else
        json_put_u64(o, v);
}

static void json_field(struct json_out *o, const u8 *base, const struct field *f, struct arena *arena)
{
    if (f->kind == ONE_OF && *MEMBER(const u32, base, f) != f->number)
        return;
    if (f->kind == TIME && *MEMBER(const i64, base, f) == 0)
        return;
    json_key(o, str_z(f->name));
    switch ((enum kind)f->kind) {
    case U32:   json_put_u64(o, *MEMBER(const u32, base, f));                                           break;
    case I32:   json_put_i64(o, *MEMBER(const i32, base, f));                                           break;
    case BOOL:  json_put_bool(o, *MEMBER(const bool, base, f));                                         break;
    case FLOAT: json_real(o, *MEMBER(const double, base, f));                                           break;
    case ENUM:  json_enum(o, *MEMBER(const u32, base, f), f->words);                                    break;
    case BYTES: json_put_str(o, base64_str(arena, *MEMBER(const struct bytes, base, f)));               break;
    case EUI:   json_put_str(o, eui_str(arena, *MEMBER(const u64, base, f)));                           break;
    case TIME:  json_put_str(o, wall_str(arena, (struct wall){ *MEMBER(const i64, base, f) }));         break;
    case SPAN:  json_put_str(o, span_str(arena, *MEMBER(const i64, base, f)));                          break;
    case ONE_OF:
    case MESSAGE: json_object(o, base, f->of, arena);                                                   break;
    case LIST:
        json_open_array(o);
        for (u32 i = 0; i < *(const u32 *)(const void *)(base + f->count_at); i++)
            json_object(o, base + f->at + f->size * i, f->of, arena);
        json_close(o);
        break;
    }
}

static void json_fields(struct json_out *o, const u8 *base, const struct field *fields, struct arena *arena)
{
    for (; fields->number; fields++)
        json_field(o, base, fields, arena);
}

struct bytes gwpb_write(const struct gwpb *of, bool json, struct arena *arena)
{
    const u8 *base = (const u8 *)of + messages[of->kind].at;
    const struct field *fields = messages[of->kind].fields;
    if (!json) {
        bool bad = false;
        struct bytes out = pb_write(base, fields, &bad, arena);
        return bad ? (struct bytes){ NULL, 0 } : out;
    }
    struct text t = text_make(arena, GWPB_MESSAGE_MAX);
    struct json_out o = json_out_make(&t);
    json_object(&o, base, fields, arena);
    return json_out_good(&o) ? bytes_of(text_str(&t)) : (struct bytes){ NULL, 0 };
}

struct str gwpb_status_words(u32 status_number)
{
    static const char *const plain[GWPB_STATUSES] = {
        "it was not needed", "taken", "too late", "too early", "another frame stands at that time",
        "a beacon stands at that time", "the frequency is not one of its transmitter's", "the power is not one of its transmitter's",
        "its GPS is not locked", "its queue is full", "an error inside the gateway", "its duty cycle is used up" };
    return status_number < GWPB_STATUSES ? str_z(plain[status_number]) : S("a reason that is not known here");
}
