// SPDX-License-Identifier: Apache-2.0
/*
 * MAC commands. The list in lora.h becomes one table here; reading, writing and printing walk it.
 * A command of a length nobody knows ends the walk: what follows it cannot be told apart.
 */
#include "lora/inside.h"

enum { CID_END = CID_NOTIFY_NEW_END_DEVICE + 1 };

#define ROW(id, way, size, since, name, tag) \
    [LORA_##way][id] = COMMAND_KIND(id, way, size, since, name, tag),
#define EMPTY_ROW(id, way, size, since, name) \
    [LORA_##way][id] = EMPTY_KIND(id, way, size, since, name),

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

static bool is_bytes(const struct lora_field *f)
{
    return f->kind >= LORA_BYTES && f->kind <= LORA_GROUPS;
}

static bool is_tail(const struct lora_field *f) { return f->bits == 0 || f->kind == LORA_OPT; }
static bool is_signed(const struct lora_field *f)
{
    return f->kind == LORA_INT || f->kind == LORA_SNR || f->kind == LORA_RSSI
        || f->kind == LORA_OPT;
}

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
    if (f->kind == LORA_OPT && c->body.n == c->kind->size)
        *out = -1;
    else
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
    else if (is_signed(f))
        *(i32 *)member = (i32)value;
    else
        *(u32 *)member = (u32)value;
}

static i64 load(const void *member, const struct lora_field *f)
{
    if (f->kind == LORA_FLAG)
        return *(const bool *)member;
    if (is_signed(f))
        return *(const i32 *)member;
    return *(const u32 *)member;
}

/* ------------------------------------------------------------------ commands */

/* The bytes of a tail, once the `size` bytes before it are known; `left` is all there is. */
static size_t tail_bytes(const struct lora_command_kind *kind, const u8 *body, size_t left)
{
    const struct lora_field *f = kind->field;
    bool refused = false;
    for (; f->name && !is_tail(f); f++)
        refused |= f->kind == LORA_FLAG && get_bits(body, f->first_bit, 1);
    if (!f->name)
        return 0;
    if (f->kind == LORA_REST)
        return left - kind->size;
    if (f->kind == LORA_OPT)
        return refused ? 0 : f->bits / 8u;
    u32 said = get_bits(body, f[-1].first_bit, f[-1].bits);
    if (f->kind == LORA_BYTES)
        return said;
    size_t groups = 0;
    for (; said; said &= said - 1)
        groups++;
    return 5 * groups;
}

bool command_next(struct lora_command *out, struct cur *c, const struct lora_command_kind *kind,
                  size_t bytes_max)
{
    struct cur next = *c;
    cur_u8(&next);
    if (!kind || cur_left(&next) < kind->size) {
        c->bad = true;
        return false;
    }
    size_t size = kind->size + tail_bytes(kind, next.p, next.n);
    out->kind = kind;
    out->body = cur_take(&next, size);
    if (next.bad || size + 1 > bytes_max) {
        c->bad = true;
        return false;
    }
    *c = next;
    return true;
}

bool lora_command_next(struct lora_command *out, struct cur *c, enum lora_dir dir)
{
    if (cur_left(c) == 0)
        return false;
    return command_next(out, c, lora_command_kind(dir, c->p[0]), LORA_COMMAND_MAX);
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

static enum lora_err put_field(u8 *body, const struct lora_field *f, const void *member)
{
    u32 raw;
    if (!is_bytes(f)) {
        if (!coded(&raw, f, load(member, f)))
            return LORA_BAD_FIELD;
        put_bits(body, f->first_bit, f->bits, raw);
        return LORA_OK;
    }
    struct bytes b = *(const struct bytes *)member;
    if (b.n != f->bits / 8u)
        return LORA_BAD_FIELD;
    memcpy(body + f->first_bit / 8, b.p, b.n);
    return LORA_OK;
}

/* A tail must be as long as the fields before it say. */
static enum lora_err put_tail(u8 *body, size_t *n, const struct lora_command_kind *kind,
                              const struct lora_field *f, const void *member)
{
    if (f->kind == LORA_OPT) {
        size_t want = tail_bytes(kind, body, kind->size);
        i64 value = load(member, f);
        *n += want;
        if ((value == -1) != (want == 0))
            return LORA_BAD_FIELD;
        return want ? put_field(body, f, member) : LORA_OK;
    }
    struct bytes b = *(const struct bytes *)member;
    if (*n + b.n > LORA_PAYLOAD_MAX || b.n != tail_bytes(kind, body, kind->size + b.n))
        return LORA_BAD_FIELD;
    if (b.n)
        memcpy(body + f->first_bit / 8, b.p, b.n);
    *n += b.n;
    return LORA_OK;
}

enum lora_err lora_command_build_as(struct buf *out, const struct lora_command_kind *kind,
                                    const void *in, size_t struct_size)
{
    if (!kind)
        return LORA_UNKNOWN_COMMAND;
    assert(struct_size == kind->struct_size);
    u8 whole[LORA_PAYLOAD_MAX] = { kind->cid };
    size_t n = 1u + kind->size;
    for (const struct lora_field *f = kind->field; f->name; f++) {
        const void *member = (const u8 *)in + f->member;
        enum lora_err err = is_tail(f) ? put_tail(whole + 1, &n, kind, f, member)
                                       : put_field(whole + 1, f, member);
        if (err)
            return err;
    }
    if (out->bad || n > out->room - out->n)
        return LORA_NO_ROOM;
    buf_put(out, (struct bytes){ whole, n });
    return LORA_OK;
}

enum lora_err lora_command_build(struct buf *out, enum lora_dir dir, u8 cid,
                                 const void *in, size_t struct_size)
{
    return lora_command_build_as(out, lora_command_kind(dir, cid), in, struct_size);
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
    else if (f->kind == LORA_OPT && v < 0)
        text_char(out, '-');
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
