// SPDX-License-Identifier: Apache-2.0
/*
 * MAC commands. The list in lora.h becomes one table here; reading, writing and printing walk it.
 * A command of a length nobody knows ends the walk: what follows it cannot be told apart.
 */
#include "lora/inside.h"

enum { CID_END = CID_NOTIFY_NEW_END_DEVICE + 1 };

#define FIELD(T, name, kind, first, bits) { #name, LORA_##kind, bits, first, offsetof(struct lora_##T, name) },
#define ROW(id, way, size, since, name, tag) \
    [LORA_##way][id] = { name, id, LORA_##way, size, since, sizeof(struct lora_##tag), { FIELDS_##tag(FIELD, tag) } },
#define EMPTY_ROW(id, way, size, since, name) \
    [LORA_##way][id] = { name, id, LORA_##way, size, since, 0, { { 0 } } },

static const struct lora_command_kind kinds[2][CID_END] = { LORA_COMMANDS(ROW, EMPTY_ROW) };

const struct lora_command_kind *lora_command_kind(enum lora_dir dir, u8 cid)
{
    return cid < CID_END && kinds[dir][cid].name ? &kinds[dir][cid] : NULL;
}

const struct lora_command_kind *lora_command_by_name(struct str name)
{
    for (int dir = LORA_UP; dir <= LORA_DOWN; dir++)
        for (u8 cid = 0; cid < CID_END; cid++)
            if (kinds[dir][cid].name && str_eq_nocase(str_z(kinds[dir][cid].name), name))
                return &kinds[dir][cid];
    return NULL;
}

/* ------------------------------------------------------------------ bits */

/* Up to 32 bits from anywhere, least significant first. */
static u32 get_bits(const u8 *p, unsigned first, unsigned bits)
{
    u64 v = 0;
    for (unsigned at = first / 8, i = 0; at <= (first + bits - 1) / 8; at++, i++)
        v |= (u64)p[at] << 8 * i;
    return (u32)(v >> first % 8 & ((1ull << bits) - 1));
}

static void put_bits(u8 *p, unsigned first, unsigned bits, u32 value)
{
    u64 v = (u64)value << first % 8;
    for (unsigned at = first / 8, i = 0; at <= (first + bits - 1) / 8; at++, i++)
        p[at] |= (u8)(v >> 8 * i);
}

static bool is_bytes(const struct lora_field *f) { return f->kind == LORA_BYTES || f->kind == LORA_KEY; }

/* What the bits mean, and back. */
static i64 meaning(const struct lora_field *f, u32 raw)
{
    switch (f->kind) {
    case LORA_INT:  return raw >> (f->bits - 1) ? (i64)raw - ((i64)1 << f->bits) : raw;
    case LORA_HZ:   return lora_freq_hz(raw);
    case LORA_SNR:  return (i64)raw - 20;
    case LORA_RSSI: return -15 - (i64)raw;
    default:        return raw;
    }
}

/* False: the value does not fit its bits. */
static bool coded(u32 *raw, const struct lora_field *f, i64 value)
{
    i64 top = (i64)1 << f->bits;
    switch (f->kind) {
    case LORA_INT:
        if (value < -top / 2 || value >= top / 2)
            return false;
        value &= top - 1;
        break;
    case LORA_HZ:   value = lora_freq_coded((u32)value); break;
    case LORA_SNR:  value += 20;                         break;
    case LORA_RSSI: value = -15 - value;                 break;
    default:        break;
    }
    *raw = (u32)value;
    return value >= 0 && value < top;
}

/* ------------------------------------------------------------------ fields */

bool lora_command_number(i64 *out, const struct lora_command *c, const struct lora_field *f)
{
    if (is_bytes(f))
        return false;
    *out = meaning(f, get_bits(c->body.p, f->first_bit, f->bits));
    return true;
}

struct bytes lora_command_bytes(const struct lora_command *c, const struct lora_field *f)
{
    size_t at = f->first_bit / 8;
    if (!is_bytes(f))
        return (struct bytes){ NULL, 0 };
    return (struct bytes){ c->body.p + at, f->bits ? f->bits / 8u : c->body.n - at };
}

/* A struct's member by its kind: the types that LORA_TYPE_… gave it. */
static void store(void *member, const struct lora_field *f, i64 value)
{
    if (f->kind == LORA_FLAG)
        *(bool *)member = value != 0;
    else if (f->kind == LORA_INT || f->kind == LORA_SNR || f->kind == LORA_RSSI)
        *(i32 *)member = (i32)value;
    else
        *(u32 *)member = (u32)value;
}

static i64 load(const void *member, const struct lora_field *f)
{
    if (f->kind == LORA_FLAG)
        return *(const bool *)member;
    if (f->kind == LORA_INT || f->kind == LORA_SNR || f->kind == LORA_RSSI)
        return *(const i32 *)member;
    return *(const u32 *)member;
}

/* ------------------------------------------------------------------ commands */

/* A command of varying length says its tail's length in the field before the tail. */
static size_t tail_bytes(const struct lora_command_kind *kind, const struct cur *c)
{
    const struct lora_field *f = kind->field;
    while (f->name && (!is_bytes(f) || f->bits))
        f++;
    if (!f->name || cur_left(c) < kind->size)
        return 0;
    return get_bits(c->p, f[-1].first_bit, f[-1].bits);
}

bool lora_command_next(struct lora_command *out, struct cur *c, enum lora_dir dir)
{
    if (cur_left(c) == 0)
        return false;
    struct cur next = *c;
    out->kind = lora_command_kind(dir, cur_u8(&next));
    if (!out->kind) {
        c->bad = true;
        return false;
    }
    out->body = cur_take(&next, out->kind->size + tail_bytes(out->kind, &next));
    if (next.bad || out->body.n >= LORA_COMMAND_MAX) {
        c->bad = true;
        return false;
    }
    *c = next;
    return true;
}

bool lora_command_parse(void *out, size_t struct_size, const struct lora_command *c)
{
    assert(struct_size == c->kind->struct_size);
    for (const struct lora_field *f = c->kind->field; f->name; f++) {
        u8 *member = (u8 *)out + f->member;
        i64 value;
        if (lora_command_number(&value, c, f))
            store(member, f, value);
        else
            *(struct bytes *)(void *)member = lora_command_bytes(c, f);
    }
    return true;
}

/* One field of the struct into the body; *n grows by a tail. */
static enum lora_err put_field(u8 *body, size_t *n, const struct lora_field *f, const u8 *in)
{
    const void *member = in + f->member;
    u32 raw;
    if (!is_bytes(f)) {
        if (!coded(&raw, f, load(member, f)))
            return LORA_BAD_FIELD;
        put_bits(body, f->first_bit, f->bits, raw);
        return LORA_OK;
    }
    struct bytes b = *(const struct bytes *)member;
    size_t at = f->first_bit / 8, size = f->bits / 8u;
    if (!size) {                        /* a tail: as long as the field before it says */
        size = (size_t)load(in + f[-1].member, f - 1);
        *n += size;
    }
    if (b.n != size || at + size > LORA_COMMAND_MAX - 1)
        return LORA_BAD_FIELD;
    if (size)
        memcpy(body + at, b.p, size);
    return LORA_OK;
}

enum lora_err lora_command_build(struct buf *out, enum lora_dir dir, u8 cid,
                                 const void *in, size_t struct_size)
{
    const struct lora_command_kind *kind = lora_command_kind(dir, cid);
    if (!kind)
        return LORA_UNKNOWN_COMMAND;
    assert(struct_size == kind->struct_size);
    u8 whole[LORA_COMMAND_MAX] = { cid };
    size_t n = 1u + kind->size;
    for (const struct lora_field *f = kind->field; f->name; f++) {
        enum lora_err err = put_field(whole + 1, &n, f, in);
        if (err)
            return err;
    }
    if (out->bad || n > out->room - out->n)
        return LORA_NO_ROOM;
    buf_put(out, (struct bytes){ whole, n });
    return LORA_OK;
}

/* ------------------------------------------------------------------ words */

static void field_text(struct text *out, const struct lora_command *c, const struct lora_field *f)
{
    i64 v = 0;
    bool number = lora_command_number(&v, c, f);
    text_fmt(out, " %s=", f->name);
    if (f->kind == LORA_KEY)
        text_put(out, S("(secret)"));
    else if (!number)
        text_hex(out, lora_command_bytes(c, f));
    else if (f->kind == LORA_FLAG)
        text_put(out, v ? S("yes") : S("no"));
    else if (f->kind == LORA_HEX)
        text_fmt(out, "0x%04llx", (unsigned long long)v);
    else if (f->kind == LORA_ADDR)
        text_fmt(out, "%08llx", (unsigned long long)v);
    else if (f->kind == LORA_CLASS && (v == 0 || v == 2))
        text_char(out, v ? 'C' : 'A');
    else
        text_fmt(out, "%lld", (long long)v);
}

void lora_command_text(struct text *out, const struct lora_command *c)
{
    text_put(out, str_z(c->kind->name));
    for (const struct lora_field *f = c->kind->field; f->name; f++)
        field_text(out, c, f);
}

void lora_commands_text(struct text *out, struct bytes commands, enum lora_dir dir)
{
    struct cur c = cur_of(commands);
    struct lora_command command;
    const char *between = "";
    while (lora_command_next(&command, &c, dir)) {
        text_put(out, str_z(between));
        lora_command_text(out, &command);
        between = "; ";
    }
    if (!c.bad)
        return;
    text_fmt(out, "%s? ", between);
    text_hex(out, (struct bytes){ c.p, c.n });
}
