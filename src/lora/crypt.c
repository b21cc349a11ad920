// SPDX-License-Identifier: Apache-2.0
/*
 * MICs and encryption, and whole frames sealed and opened.
 *
 *     B0  | 49 | 0 4                     | dir | DevAddr 4 | FCnt 4 | 0 | length |  1.0, and 1.1 up
 *     B1  | 49 | ConfFCnt 2 | DR 1 | Ch 1 | dir | DevAddr 4 | FCnt 4 | 0 | length |  1.1 up
 *     B0' | 49 | ConfFCnt 2 | 0 2        | dir | DevAddr 4 | FCnt 4 | 0 | length |  1.1 down
 *     A   | 01 | 0 3 | what 1            | dir | DevAddr 4 | FCnt 4 | 0 | i      |   i = 1, 2 …
 *
 * The MIC of 1.1 uplinks is half SNwkSIntKey's over B1 and half FNwkSIntKey's over B0, so that a
 * forwarding network can check its half (1.1 §4.4).
 */
#include "lora/inside.h"

struct block { u8 b[16]; };

static struct block block_of(u8 first, u32 terms, enum lora_dir dir, u32 devaddr, u32 fcnt, u8 last)
{
    struct block x = { { first } };
    put_u32le(x.b + 1, terms);
    x.b[5] = (u8)dir;
    put_u32le(x.b + 6, devaddr);
    put_u32le(x.b + 10, fcnt);
    x.b[15] = last;
    return x;
}

static u32 mic(const struct lora_key *k, u32 terms, enum lora_dir dir, u32 devaddr, u32 fcnt,
               struct bytes msg)
{
    u8 mac[16];
    assert(msg.n <= LORA_AIR_MAX);
    struct block b0 = block_of(0x49, terms, dir, devaddr, fcnt, (u8)msg.n);
    lora_cmac(mac, k, b0.b, msg);
    return mic_of(mac);
}

u32 lora_mic_up(const struct lora_key *nwk_s, struct bytes msg, u32 devaddr, u32 fcnt)
{
    return mic(nwk_s, 0, LORA_UP, devaddr, fcnt, msg);
}

u32 lora_mic_down(const struct lora_key *nwk_s, struct bytes msg, u32 devaddr, u32 fcnt)
{
    return mic(nwk_s, 0, LORA_DOWN, devaddr, fcnt, msg);
}

u32 lora_mic_up_1_1(const struct lora_key *f_nwk_s_int, const struct lora_key *s_nwk_s_int,
                    struct bytes msg, u32 devaddr, u32 fcnt, struct lora_mic_terms terms)
{
    bool ack = msg.n > 5 && msg.p[5] & FCTRL_ACK;
    u32 covered = (ack ? terms.conf_fcnt : 0u) | (u32)terms.tx_dr << 16 | (u32)terms.tx_ch << 24;
    u32 s = mic(s_nwk_s_int, covered, LORA_UP, devaddr, fcnt, msg);
    u32 f = mic(f_nwk_s_int, 0, LORA_UP, devaddr, fcnt, msg);
    return (s & 0xFFFF) | f << 16;
}

u32 lora_mic_down_1_1(const struct lora_key *s_nwk_s_int, struct bytes msg, u32 devaddr, u32 fcnt,
                      u16 conf_fcnt)
{
    bool ack = msg.n > 5 && msg.p[5] & FCTRL_ACK;
    return mic(s_nwk_s_int, ack ? conf_fcnt : 0, LORA_DOWN, devaddr, fcnt, msg);
}

u32 lora_mic_plain(const struct lora_key *k, struct bytes msg)
{
    u8 mac[16];
    lora_cmac(mac, k, NULL, msg);
    return mic_of(mac);
}

u32 lora_mic_join_accept_1_1(const struct lora_key *js_int, struct bytes msg,
                             struct lora_join_terms terms)
{
    u8 room[11 + LORA_JOIN_ACCEPT_SIZE + LORA_CFLIST_SIZE];
    struct buf b = BUF(room);
    buf_u8(&b, terms.join_req_type);
    buf_u64le(&b, terms.join_eui);
    buf_u16le(&b, terms.dev_nonce);
    buf_put(&b, msg);
    assert(!b.bad);
    return lora_mic_plain(js_int, buf_bytes(&b));
}

void lora_crypt(u8 *out, const struct lora_key *k, enum lora_crypt what, enum lora_dir dir,
                u32 devaddr, u32 fcnt, struct bytes in)
{
    struct block stream[LORA_AIR_MAX / 16 + 1];
    size_t blocks = (in.n + 15) / 16;
    assert(in.n <= LORA_AIR_MAX);
    if (in.n == 0)
        return;
    for (size_t i = 0; i < blocks; i++)
        stream[i] = block_of(0x01, (u32)what << 24, dir, devaddr, fcnt, (u8)(i + 1));
    aes_blocks(stream[0].b, k, stream[0].b, blocks);
    for (size_t i = 0; i < in.n; i++)
        out[i] = in.p[i] ^ stream[i / 16].b[i % 16];
}

/* ------------------------------------------------------------------ data frames */

static u32 session_mic(const struct lora_session *s, enum lora_dir dir, struct bytes msg,
                       u32 devaddr, u32 fcnt, struct lora_mic_terms terms)
{
    if (!s->v1_1)
        return mic(s->f_nwk_s_int, 0, dir, devaddr, fcnt, msg);
    if (dir == LORA_UP)
        return lora_mic_up_1_1(s->f_nwk_s_int, s->s_nwk_s_int, msg, devaddr, fcnt, terms);
    return lora_mic_down_1_1(s->s_nwk_s_int, msg, devaddr, fcnt, terms.conf_fcnt);
}

bool lora_frame_verify(const struct lora_frame *f, const struct lora_session *s, u32 fcnt,
                       struct lora_mic_terms terms)
{
    enum lora_dir dir = lora_mtype_dir(f->mtype);
    return session_mic(s, dir, f->signed_part, f->devaddr, fcnt, terms) == f->mic;
}

/* The key of FRMPayload: port 0 is the network's, all others are the application's (or unknown). */
static const struct lora_key *payload_key(const struct lora_session *s, i16 fport)
{
    return fport == FPORT_MAC ? s->nwk_s_enc : s->app_s;
}

/* Both ways: the cipher is its own mirror. Moves the two views of `f` into `room`. */
static void turn(struct lora_frame *f, u8 room[LORA_AIR_MAX], const struct lora_session *s,
                 u32 fcnt)
{
    enum lora_dir dir = lora_mtype_dir(f->mtype);
    bool afcnt = dir == LORA_DOWN && f->fport > 0;
    const struct lora_key *k = payload_key(s, f->fport);
    u8 *fopts = room, *payload = room + f->fopts.n;
    assert(f->fopts.n + f->payload.n <= LORA_AIR_MAX);

    if (s->v1_1)
        lora_crypt(fopts, s->nwk_s_enc, afcnt ? LORA_CRYPT_FOPTS_AFCNT : LORA_CRYPT_FOPTS, dir,
                   f->devaddr, fcnt, f->fopts);
    else if (f->fopts.n)
        memcpy(fopts, f->fopts.p, f->fopts.n);
    if (k)
        lora_crypt(payload, k, LORA_CRYPT_PAYLOAD, dir, f->devaddr, fcnt, f->payload);
    else if (f->payload.n)
        memcpy(payload, f->payload.p, f->payload.n);
    f->fopts.p = fopts;
    f->payload.p = payload;
}

void lora_frame_open(struct lora_frame *plain, u8 room[LORA_AIR_MAX], const struct lora_frame *air,
                     const struct lora_session *s, u32 fcnt)
{
    *plain = *air;
    turn(plain, room, s, fcnt);
}

/* Writes the MIC into the place that build left for it. */
static void stamp(struct buf *out, u32 value)
{
    put_u32le(out->p + out->n - LORA_MIC_SIZE, value);
}

static struct bytes built(const struct buf *out, size_t from)
{
    return (struct bytes){ out->p + from, out->n - from - LORA_MIC_SIZE };
}

enum lora_err lora_frame_seal(struct buf *out, const struct lora_frame *f,
                              const struct lora_session *s, u32 fcnt, struct lora_mic_terms terms)
{
    u8 room[LORA_AIR_MAX];
    struct lora_frame air = *f;
    size_t from = out->n;
    if (f->fopts.n > LORA_FOPTS_MAX || f->fopts.n + f->payload.n > LORA_AIR_MAX)
        return LORA_TOO_LONG;
    air.fcnt_low = (u16)fcnt;
    turn(&air, room, s, fcnt);
    enum lora_err err = lora_frame_build(out, &air);
    if (err)
        return err;
    enum lora_dir dir = lora_mtype_dir(f->mtype);
    stamp(out, session_mic(s, dir, built(out, from), f->devaddr, fcnt, terms));
    return LORA_OK;
}

/* ------------------------------------------------------------------ join frames */

enum lora_err lora_join_request_seal(struct buf *out, const struct lora_join_request *r,
                                     const struct lora_key *k)
{
    size_t from = out->n;
    enum lora_err err = lora_join_request_build(out, r);
    if (!err)
        stamp(out, lora_mic_plain(k, built(out, from)));
    return err;
}

enum lora_err lora_rejoin_seal(struct buf *out, const struct lora_rejoin *r,
                               const struct lora_key *k)
{
    size_t from = out->n;
    enum lora_err err = lora_rejoin_build(out, r);
    if (!err)
        stamp(out, lora_mic_plain(k, built(out, from)));
    return err;
}

static u32 accept_mic(bool opt_neg, const struct lora_key *k, struct bytes msg,
                      struct lora_join_terms terms)
{
    return opt_neg ? lora_mic_join_accept_1_1(k, msg, terms) : lora_mic_plain(k, msg);
}

enum lora_err lora_join_accept_seal(struct buf *out, const struct lora_join_accept *a,
                                    const struct lora_key *mic_key, const u8 crypt_key[16],
                                    struct lora_join_terms terms)
{
    size_t from = out->n;
    enum lora_err err = lora_join_accept_build(out, a);
    if (err)
        return err;
    stamp(out, accept_mic(a->opt_neg, mic_key, built(out, from), terms));
    u8 *body = out->p + from + 1;
    aes_decrypt(body, crypt_key, body, (out->n - from - 1) / 16);
    return LORA_OK;
}

enum lora_err lora_join_accept_open(struct lora_join_accept *out, u8 room[LORA_AIR_MAX],
                                    struct bytes phy, const struct lora_key *crypt_key)
{
    enum lora_mtype mtype;
    enum lora_err err = lora_mtype_of(&mtype, phy);
    if (err)
        return err;
    if (mtype != MTYPE_JOIN_ACCEPT)
        return LORA_BAD_MTYPE;
    if (phy.n < LORA_JOIN_ACCEPT_SIZE)
        return LORA_TRUNCATED;
    if (phy.n != LORA_JOIN_ACCEPT_SIZE && phy.n != LORA_JOIN_ACCEPT_SIZE + LORA_CFLIST_SIZE)
        return phy.n < LORA_JOIN_ACCEPT_SIZE + LORA_CFLIST_SIZE ? LORA_TRUNCATED : LORA_TOO_LONG;
    room[0] = phy.p[0];
    aes_blocks(room + 1, crypt_key, phy.p + 1, (phy.n - 1) / 16);
    return lora_join_accept_parse(out, (struct bytes){ room, phy.n });
}

bool lora_join_accept_verify(const struct lora_join_accept *a, const struct lora_key *mic_key,
                             struct lora_join_terms terms)
{
    return accept_mic(a->opt_neg, mic_key, a->signed_part, terms) == a->mic;
}
