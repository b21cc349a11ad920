// SPDX-License-Identifier: Apache-2.0
/*
 * Keys out of keys: every one is a single AES block under its parent,
 *
 *     | purpose 1 | what makes it unique, little-endian | 0 … |
 *
 * LoRaWAN 1.0.x §6.2.5, 1.1 §6.1.1.3 and §6.2.5, TS005 §4, TS011 §5.
 */
#include "lora/inside.h"

static void derive(u8 out[16], const struct lora_key *k, struct buf *block)
{
    assert(!block->bad);
    memset(block->p + block->n, 0, block->room - block->n);
    aes_blocks(out, k, block->p, 1);
}

static void derive_const(u8 out[16], const struct lora_key *k, u8 purpose)
{
    u8 block[16] = { purpose };
    aes_blocks(out, k, block, 1);
}

static void derive_addr(u8 out[16], const struct lora_key *k, u8 purpose, u32 devaddr)
{
    u8 block[16] = { purpose };
    put_u32le(block + 1, devaddr);
    aes_blocks(out, k, block, 1);
}

static void derive_eui(u8 out[16], const struct lora_key *k, u8 purpose, u64 dev_eui)
{
    u8 block[16] = { purpose };
    put_u64le(block + 1, dev_eui);
    aes_blocks(out, k, block, 1);
}

/* | purpose | JoinNonce 3 | NetID 3 | DevNonce 2 | */
static void derive_1_0(u8 out[16], const struct lora_key *k, u8 purpose, u32 join_nonce, u32 net_id,
                       u16 dev_nonce)
{
    u8 block[16];
    struct buf b = BUF(block);
    buf_u8(&b, purpose);
    buf_u24le(&b, join_nonce);
    buf_u24le(&b, net_id);
    buf_u16le(&b, dev_nonce);
    derive(out, k, &b);
}

/* | purpose | JoinNonce 3 | JoinEUI 8 | DevNonce 2 | */
static void derive_1_1(u8 out[16], const struct lora_key *k, u8 purpose, u32 join_nonce,
                       u64 join_eui, u16 dev_nonce)
{
    u8 block[16];
    struct buf b = BUF(block);
    buf_u8(&b, purpose);
    buf_u24le(&b, join_nonce);
    buf_u64le(&b, join_eui);
    buf_u16le(&b, dev_nonce);
    derive(out, k, &b);
}

void lora_derive_session(struct lora_session_raw *out, const struct lora_key *app_key,
                         u32 join_nonce, u32 net_id, u16 dev_nonce)
{
    derive_1_0(out->f_nwk_s_int, app_key, 0x01, join_nonce, net_id, dev_nonce);
    derive_1_0(out->app_s, app_key, 0x02, join_nonce, net_id, dev_nonce);
    memcpy(out->s_nwk_s_int, out->f_nwk_s_int, 16);
    memcpy(out->nwk_s_enc, out->f_nwk_s_int, 16);
}

void lora_derive_session_1_1(struct lora_session_raw *out, const struct lora_key *nwk_key,
                             const struct lora_key *app_key, u32 join_nonce, u64 join_eui,
                             u16 dev_nonce)
{
    derive_1_1(out->f_nwk_s_int, nwk_key, 0x01, join_nonce, join_eui, dev_nonce);
    derive_1_1(out->app_s,       app_key, 0x02, join_nonce, join_eui, dev_nonce);
    derive_1_1(out->s_nwk_s_int, nwk_key, 0x03, join_nonce, join_eui, dev_nonce);
    derive_1_1(out->nwk_s_enc,   nwk_key, 0x04, join_nonce, join_eui, dev_nonce);
}

void lora_derive_js_enc(u8 out[16], const struct lora_key *nwk_key, u64 dev_eui)
{
    derive_eui(out, nwk_key, 0x05, dev_eui);
}

void lora_derive_js_int(u8 out[16], const struct lora_key *nwk_key, u64 dev_eui)
{
    derive_eui(out, nwk_key, 0x06, dev_eui);
}

void lora_derive_mc_root(u8 out[16], const struct lora_key *gen_app_key)
{
    derive_const(out, gen_app_key, 0x00);
}

void lora_derive_mc_root_1_1(u8 out[16], const struct lora_key *app_key)
{
    derive_const(out, app_key, 0x20);
}

void lora_derive_mc_ke(u8 out[16], const struct lora_key *mc_root)
{
    derive_const(out, mc_root, 0x00);
}

void lora_derive_mc_app_s(u8 out[16], const struct lora_key *mc_key, u32 mc_addr)
{
    derive_addr(out, mc_key, 0x01, mc_addr);
}

void lora_derive_mc_nwk_s(u8 out[16], const struct lora_key *mc_key, u32 mc_addr)
{
    derive_addr(out, mc_key, 0x02, mc_addr);
}

void lora_mc_key_encrypt(u8 out[16], const u8 mc_ke[16], const u8 mc_key[16])
{
    aes_decrypt(out, mc_ke, mc_key, 1);
}

void lora_derive_root_wor_s(u8 out[16], const struct lora_key *nwk_s_enc)
{
    derive_const(out, nwk_s_enc, 0x01);
}

void lora_derive_wor_s_int(u8 out[16], const struct lora_key *root_wor_s, u32 devaddr)
{
    derive_addr(out, root_wor_s, 0x01, devaddr);
}

void lora_derive_wor_s_enc(u8 out[16], const struct lora_key *root_wor_s, u32 devaddr)
{
    derive_addr(out, root_wor_s, 0x02, devaddr);
}
