// SPDX-License-Identifier: Apache-2.0
/*
 * PHYPayload <-> structs. Every parser has a builder that is its mirror: build(parse(x)) == x for
 * every x that parses, which is what test/fuzz/frame.c asks. Views borrow; nothing is decrypted
 * here, and no key is asked.
 */
#include "lora/inside.h"

const char *lora_err_words(enum lora_err err)
{
#define LORA_ERR_WORDS(name, words) words,
    static const char *const why[] = { LORA_ERRS(LORA_ERR_WORDS) };
#undef LORA_ERR_WORDS
    static_assert(COUNT(why) == LORA_ERR_KINDS, "every refusal has words");
    return (unsigned)err < COUNT(why) ? why[err] : "an unknown refusal";
}

const char *lora_mtype_words(enum lora_mtype mtype)
{
    static const char *const words[] = {
        [MTYPE_JOIN_REQUEST]   = "JoinRequest",
        [MTYPE_JOIN_ACCEPT]    = "JoinAccept",
        [MTYPE_DATA_UP]        = "UnconfirmedDataUp",
        [MTYPE_DATA_DOWN]      = "UnconfirmedDataDown",
        [MTYPE_CONFIRMED_UP]   = "ConfirmedDataUp",
        [MTYPE_CONFIRMED_DOWN] = "ConfirmedDataDown",
        [MTYPE_REJOIN_REQUEST] = "RejoinRequest",
        [MTYPE_PROPRIETARY]    = "Proprietary",
    };
    return (unsigned)mtype < COUNT(words) ? words[mtype] : "?";
}

enum lora_err lora_mtype_of(enum lora_mtype *out, struct bytes phy)
{
    if (phy.n == 0)
        return LORA_TRUNCATED;
    if (phy.n > LORA_AIR_MAX)
        return LORA_TOO_LONG;
    if (phy.p[0] & 3)
        return LORA_BAD_MAJOR;
    *out = (enum lora_mtype)(phy.p[0] >> 5);
    return LORA_OK;
}

/* The first step of every parser: the kind, and the frame cut into what is signed and its MIC. */
static enum lora_err take_apart(struct cur *signed_part, u32 *mic, struct bytes phy,
                                enum lora_mtype want)
{
    enum lora_mtype mtype;
    enum lora_err err = lora_mtype_of(&mtype, phy);
    if (err)
        return err;
    if (mtype != want)
        return LORA_BAD_MTYPE;
    if (phy.n < 1 + LORA_MIC_SIZE)
        return LORA_TRUNCATED;
    *signed_part = cur_of((struct bytes){ phy.p, phy.n - LORA_MIC_SIZE });
    *mic = get_u32le(phy.p + phy.n - LORA_MIC_SIZE);
    return LORA_OK;
}

static enum lora_err whole(const struct cur *c)
{
    return c->bad ? LORA_TRUNCATED : c->n ? LORA_TOO_LONG : LORA_OK;
}

static enum lora_err written(const struct buf *b) { return b->bad ? LORA_NO_ROOM : LORA_OK; }

/* ------------------------------------------------------------------ data */

enum lora_err lora_frame_parse(struct lora_frame *out, struct bytes phy)
{
    struct lora_frame f = { .fport = FPORT_NONE };
    enum lora_err err = lora_mtype_of(&f.mtype, phy);
    if (err)
        return err;
    if (!lora_mtype_is_data(f.mtype))
        return LORA_BAD_MTYPE;

    struct cur body;
    err = take_apart(&body, &f.mic, phy, f.mtype);
    if (err)
        return err;
    f.signed_part = (struct bytes){ body.p, body.n };
    f.mhdr_rfu = mhdr_rfu(cur_u8(&body));
    f.devaddr  = cur_u32le(&body);
    f.fctrl    = cur_u8(&body);
    f.fcnt_low = cur_u16le(&body);
    f.fopts    = cur_take(&body, f.fctrl & FCTRL_FOPTS_LEN);
    if (cur_left(&body) > 0) {
        f.fport   = cur_u8(&body);
        f.payload = cur_rest(&body);
    }
    if (body.bad)
        return LORA_TRUNCATED;
    if (f.fport == FPORT_MAC && f.fopts.n > 0)      /* 1.0.x §4.3.2: such a frame is ignored */
        return LORA_FOPTS_AND_PORT0;
    *out = f;
    return LORA_OK;
}

enum lora_err lora_frame_build(struct buf *out, const struct lora_frame *f)
{
    if (!lora_mtype_is_data(f->mtype))
        return LORA_BAD_MTYPE;
    if (f->fopts.n > LORA_FOPTS_MAX)
        return LORA_TOO_LONG;
    if (f->fport == FPORT_MAC && f->fopts.n > 0)
        return LORA_FOPTS_AND_PORT0;
    size_t port = f->fport == FPORT_NONE ? 0 : 1;
    if (!port && f->payload.n)                      /* a payload needs a port */
        return LORA_BAD_FIELD;
    if (1 + LORA_FHDR_MIN + f->fopts.n + port + f->payload.n + LORA_MIC_SIZE > LORA_AIR_MAX)
        return LORA_TOO_LONG;

    buf_u8(out, mhdr_make(f->mtype, f->mhdr_rfu));
    buf_u32le(out, f->devaddr);
    buf_u8(out, (u8)((f->fctrl & ~FCTRL_FOPTS_LEN) | (u8)f->fopts.n));
    buf_u16le(out, f->fcnt_low);
    buf_put(out, f->fopts);
    if (port) {
        buf_u8(out, (u8)f->fport);
        buf_put(out, f->payload);
    }
    buf_u32le(out, f->mic);
    return written(out);
}

static_assert((int)FCTRL_FOPTS_LEN == (int)LORA_FOPTS_MAX, "the nibble can name every legal FOpts");
static_assert(1 + LORA_FHDR_MIN + 1 + LORA_PAYLOAD_MAX + LORA_MIC_SIZE <= LORA_AIR_MAX,
              "the longest payload still fits a frame");

u32 lora_fcnt_extend(u32 seen, u16 low)
{
    u32 fcnt = (seen & 0xFFFF0000) | low;
    if (fcnt >= seen || seen >= 0xFFFF0000)         /* 32 bits are the end of a session */
        return fcnt;
    return fcnt + 0x10000;
}

/* ------------------------------------------------------------------ join */

enum lora_err lora_join_request_parse(struct lora_join_request *out, struct bytes phy)
{
    struct lora_join_request r = { 0 };
    struct cur body;
    enum lora_err err = take_apart(&body, &r.mic, phy, MTYPE_JOIN_REQUEST);
    if (err)
        return err;
    r.signed_part = (struct bytes){ body.p, body.n };
    r.mhdr_rfu  = mhdr_rfu(cur_u8(&body));
    r.join_eui  = cur_u64le(&body);
    r.dev_eui   = cur_u64le(&body);
    r.dev_nonce = cur_u16le(&body);
    if ((err = whole(&body)))
        return err;
    *out = r;
    return LORA_OK;
}

enum lora_err lora_join_request_build(struct buf *out, const struct lora_join_request *r)
{
    buf_u8(out, mhdr_make(MTYPE_JOIN_REQUEST, r->mhdr_rfu));
    buf_u64le(out, r->join_eui);
    buf_u64le(out, r->dev_eui);
    buf_u16le(out, r->dev_nonce);
    buf_u32le(out, r->mic);
    return written(out);
}

/* DLSettings: | OptNeg 1 | RX1DROffset 3 | RX2 data rate 4 | */
enum lora_err lora_join_accept_parse(struct lora_join_accept *out, struct bytes decrypted)
{
    struct lora_join_accept a = { 0 };
    struct cur body;
    enum lora_err err = take_apart(&body, &a.mic, decrypted, MTYPE_JOIN_ACCEPT);
    if (err)
        return err;
    a.signed_part = (struct bytes){ body.p, body.n };
    a.mhdr_rfu   = mhdr_rfu(cur_u8(&body));
    a.join_nonce = cur_u24le(&body);
    a.net_id     = cur_u24le(&body);
    a.devaddr    = cur_u32le(&body);
    u8 dl_settings = cur_u8(&body);
    a.opt_neg       = dl_settings >> 7;
    a.rx1_dr_offset = dl_settings >> 4 & 7;
    a.rx2_dr        = dl_settings & 15;
    a.rx_delay   = cur_u8(&body);
    a.has_cflist = cur_left(&body) > 0;
    if (a.has_cflist) {
        struct bytes list = cur_take(&body, LORA_CFLIST_SIZE);
        if (!body.bad)
            memcpy(a.cflist, list.p, LORA_CFLIST_SIZE);
    }
    if ((err = whole(&body)))
        return err;
    *out = a;
    return LORA_OK;
}

enum lora_err lora_join_accept_build(struct buf *out, const struct lora_join_accept *a)
{
    if (a->rx1_dr_offset > 7 || a->rx2_dr > 15 || a->join_nonce >> 24 || a->net_id >> 24)
        return LORA_BAD_FIELD;
    buf_u8(out, mhdr_make(MTYPE_JOIN_ACCEPT, a->mhdr_rfu));
    buf_u24le(out, a->join_nonce);
    buf_u24le(out, a->net_id);
    buf_u32le(out, a->devaddr);
    buf_u8(out, (u8)(a->opt_neg << 7 | a->rx1_dr_offset << 4 | a->rx2_dr));
    buf_u8(out, a->rx_delay);
    if (a->has_cflist)
        buf_put(out, (struct bytes){ a->cflist, sizeof a->cflist });
    buf_u32le(out, a->mic);
    return written(out);
}

/* ------------------------------------------------------------------ rejoin, proprietary */

enum lora_err lora_rejoin_parse(struct lora_rejoin *out, struct bytes phy)
{
    struct lora_rejoin r = { 0 };
    struct cur body;
    enum lora_err err = take_apart(&body, &r.mic, phy, MTYPE_REJOIN_REQUEST);
    if (err)
        return err;
    r.signed_part = (struct bytes){ body.p, body.n };
    r.mhdr_rfu = mhdr_rfu(cur_u8(&body));
    r.type     = cur_u8(&body);
    if (r.type > 2)
        return LORA_BAD_REJOIN_TYPE;
    if (r.type == 1)
        r.join_eui = cur_u64le(&body);
    else
        r.net_id = cur_u24le(&body);
    r.dev_eui  = cur_u64le(&body);
    r.rj_count = cur_u16le(&body);
    if ((err = whole(&body)))
        return err;
    *out = r;
    return LORA_OK;
}

enum lora_err lora_rejoin_build(struct buf *out, const struct lora_rejoin *r)
{
    if (r->type > 2)
        return LORA_BAD_REJOIN_TYPE;
    if (r->net_id >> 24)
        return LORA_BAD_FIELD;
    buf_u8(out, mhdr_make(MTYPE_REJOIN_REQUEST, r->mhdr_rfu));
    buf_u8(out, r->type);
    if (r->type == 1)
        buf_u64le(out, r->join_eui);
    else
        buf_u24le(out, r->net_id);
    buf_u64le(out, r->dev_eui);
    buf_u16le(out, r->rj_count);
    buf_u32le(out, r->mic);
    return written(out);
}

enum lora_err lora_proprietary_parse(struct bytes *body, struct bytes phy)
{
    enum lora_mtype mtype;
    enum lora_err err = lora_mtype_of(&mtype, phy);
    if (err)
        return err;
    if (mtype != MTYPE_PROPRIETARY)
        return LORA_BAD_MTYPE;
    *body = (struct bytes){ phy.p + 1, phy.n - 1 };
    return LORA_OK;
}

enum lora_err lora_proprietary_build(struct buf *out, struct bytes body)
{
    if (body.n + 1 > LORA_AIR_MAX)
        return LORA_TOO_LONG;
    buf_u8(out, mhdr_make(MTYPE_PROPRIETARY, 0));
    buf_put(out, body);
    return written(out);
}

/* ------------------------------------------------------------------ CFList, frequencies */

#define GHZ_2_4 2400000000u

u32 lora_freq_hz(u32 coded) { return coded >= GHZ_2_4 / 200 ? coded * 200 : coded * 100; }
u32 lora_freq_coded(u32 hz) { return hz >= GHZ_2_4 ? hz / 200 : hz / 100; }

enum { CFLIST_TYPE_AT = LORA_CFLIST_SIZE - 1 };

enum lora_err lora_cflist_parse(struct lora_cflist *out, const u8 in[LORA_CFLIST_SIZE])
{
    struct lora_cflist list = { .type = in[CFLIST_TYPE_AT] };
    struct cur c = cur_of((struct bytes){ in, LORA_CFLIST_SIZE });
    if (list.type > 1)
        return LORA_BAD_CFLIST;
    if (list.type == 0)
        for (size_t i = 0; i < COUNT(list.freq_hz); i++)
            list.freq_hz[i] = lora_freq_hz(cur_u24le(&c));
    else
        for (size_t i = 0; i < COUNT(list.ch_mask); i++)
            list.ch_mask[i] = cur_u16le(&c);
    *out = list;
    return LORA_OK;
}

enum lora_err lora_cflist_build(u8 out[LORA_CFLIST_SIZE], const struct lora_cflist *list)
{
    if (list->type > 1)
        return LORA_BAD_CFLIST;
    memset(out, 0, LORA_CFLIST_SIZE);
    struct buf b = buf_of(out, CFLIST_TYPE_AT);
    if (list->type == 0)
        for (size_t i = 0; i < COUNT(list->freq_hz); i++)
            buf_u24le(&b, lora_freq_coded(list->freq_hz[i]));
    else
        for (size_t i = 0; i < COUNT(list->ch_mask); i++)
            buf_u16le(&b, list->ch_mask[i]);
    out[CFLIST_TYPE_AT] = list->type;
    return LORA_OK;
}

/* ------------------------------------------------------------------ relay (TS011 §9) */

/*
 * | UplinkMetadata 3 | UplinkFreq 3 | PHYPayload |
 * metadata, from bit 0: DR 4, SNR + 20 dB 5, -RSSI - 15 dBm 7, WOR channel 2, RFU 6
 */
enum lora_err lora_relay_uplink_parse(struct lora_relay_uplink *out, struct bytes payload)
{
    struct cur c = cur_of(payload);
    u32 meta = cur_u24le(&c);
    struct lora_relay_uplink r = {
        .dr          = meta & 15,
        .snr_db      = (i16)((int)(meta >> 4 & 31) - 20),
        .rssi_dbm    = (i16)(-15 - (int)(meta >> 9 & 127)),
        .wor_channel = meta >> 16 & 3,
        .freq_hz     = lora_freq_hz(cur_u24le(&c)),
        .phy         = cur_rest(&c),
    };
    if (c.bad || r.phy.n == 0)
        return LORA_TRUNCATED;
    *out = r;
    return LORA_OK;
}

enum lora_err lora_relay_uplink_build(struct buf *out, const struct lora_relay_uplink *r)
{
    int snr = r->snr_db + 20, rssi = -15 - r->rssi_dbm;
    if (r->dr > 15 || snr < 0 || snr > 31 || rssi < 0 || rssi > 127 || r->wor_channel > 3)
        return LORA_BAD_FIELD;
    buf_u24le(out, (u32)r->dr | (u32)snr << 4 | (u32)rssi << 9 | (u32)r->wor_channel << 16);
    buf_u24le(out, lora_freq_coded(r->freq_hz));
    buf_put(out, r->phy);
    return written(out);
}

enum lora_err lora_relay_downlink_parse(struct bytes *phy, struct bytes payload)
{
    if (payload.n == 0)
        return LORA_TRUNCATED;
    *phy = payload;
    return LORA_OK;
}

enum lora_err lora_relay_downlink_build(struct buf *out, struct bytes phy)
{
    buf_put(out, phy);
    return written(out);
}

/* ------------------------------------------------------------------ NetID and DevAddr */

/* Bits of NwkID and NwkAddr by NetID type (Backend Interfaces §11.1); the prefix takes type + 1. */
static const struct { u8 id, addr; } nwk_bits[8] = {
    { 6, 25 }, { 6, 24 }, { 9, 20 }, { 11, 17 }, { 12, 15 }, { 13, 13 }, { 15, 10 }, { 17, 7 },
};

u8  lora_net_id_type(u32 net_id) { return net_id >> 21 & 7; }
u32 lora_devaddr_room(u32 net_id) { return 1u << nwk_bits[lora_net_id_type(net_id)].addr; }

void lora_devaddr_prefix(u32 *prefix, u8 *bits, u32 net_id)
{
    u8 type = lora_net_id_type(net_id);
    u8 id = nwk_bits[type].id, addr = nwk_bits[type].addr;
    u32 ones = ~(0xFFFFFFFFu >> type);              /* `type` ones and a zero lead the address */
    *prefix = ones | (net_id & ((1u << id) - 1)) << addr;
    *bits = (u8)(type + 1 + id);
}

u32 lora_devaddr_make(u32 net_id, u32 number)
{
    u32 prefix;
    u8 bits;
    lora_devaddr_prefix(&prefix, &bits, net_id);
    return prefix | (number & (lora_devaddr_room(net_id) - 1));
}

bool lora_devaddr_is_of(u32 devaddr, u32 net_id)
{
    return lora_devaddr_make(net_id, devaddr) == devaddr;
}

bool lora_devaddr_nwk_id(u32 *nwk_id, u8 *type, u32 devaddr)
{
    u8 t = 0;
    while (t < 8 && devaddr << t >> 31)
        t++;
    if (t == 8)
        return false;
    *type = t;
    *nwk_id = devaddr >> nwk_bits[t].addr & ((1u << nwk_bits[t].id) - 1);
    return true;
}
