// SPDX-License-Identifier: Apache-2.0
/*
 * AES-128 for the air: one block, CMAC (RFC 4493), and key wrap (RFC 3394).
 *
 * Everything on the hot way is built on one ECB context per key that is made once and kept:
 * a 30-byte frame costs 61 ns that way, and 307 to 1,145 ns through OpenSSL's own MAC objects
 * (docs/adr, libraries). Contexts keep OpenSSL's round keys, so AES-NI is used where it exists.
 */
#include "lora/inside.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

void lora_wipe(void *p, size_t n) { OPENSSL_cleanse(p, n); }

void aes_blocks(u8 *out, const struct lora_key *k, const u8 *in, size_t blocks)
{
    int n = 0;
    assert(k->ecb);
    if (!EVP_EncryptUpdate(k->ecb, out, &n, in, (int)(16 * blocks)) || n != (int)(16 * blocks))
        die("lora: AES refused to encrypt");
}

void aes_decrypt(u8 *out, const u8 raw[16], const u8 *in, size_t blocks)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;
    if (!c || !EVP_DecryptInit_ex(c, EVP_aes_128_ecb(), NULL, raw, NULL)
        || !EVP_CIPHER_CTX_set_padding(c, 0)
        || !EVP_DecryptUpdate(c, out, &n, in, (int)(16 * blocks)) || n != (int)(16 * blocks))
        die("lora: AES refused to decrypt");
    EVP_CIPHER_CTX_free(c);
}

/* Times x in GF(2^128), RFC 4493 §2.3; without a branch on the key. */
static void twice(u8 out[16], const u8 in[16])
{
    u8 carry = (u8)-(in[0] >> 7);
    for (int i = 0; i < 15; i++)
        out[i] = (u8)(in[i] << 1 | in[i + 1] >> 7);
    out[15] = (u8)(in[15] << 1 ^ (carry & 0x87));
}

void lora_key_set(struct lora_key *k, const u8 raw[16])
{
    static const u8 zero[16];
    u8 l[16];
    if (!k->ecb)
        k->ecb = EVP_CIPHER_CTX_new();
    if (!k->ecb || !EVP_EncryptInit_ex(k->ecb, EVP_aes_128_ecb(), NULL, raw, NULL)
        || !EVP_CIPHER_CTX_set_padding(k->ecb, 0))
        die("lora: no AES key schedule");
    aes_blocks(l, k, zero, 1);
    twice(k->k1, l);
    twice(k->k2, k->k1);
    lora_wipe(l, sizeof l);
}

void lora_key_clear(struct lora_key *k)
{
    EVP_CIPHER_CTX_free(k->ecb);        /* wipes the round keys */
    lora_wipe(k, sizeof *k);
}

void lora_aes(u8 out[16], const struct lora_key *k, const u8 in[16]) { aes_blocks(out, k, in, 1); }

static void xor_block(u8 x[16], const u8 *y)
{
    u64 a[2], b[2];
    memcpy(a, x, 16);
    memcpy(b, y, 16);
    a[0] ^= b[0];
    a[1] ^= b[1];
    memcpy(x, a, 16);
}

void lora_cmac(u8 out[16], const struct lora_key *k, const u8 prefix[16], struct bytes msg)
{
    u8 x[16] = { 0 }, last[16] = { 0 };
    if (prefix && msg.n == 0) {
        msg = (struct bytes){ prefix, 16 };
        prefix = NULL;
    }
    if (prefix)
        aes_blocks(x, k, prefix, 1);
    for (; msg.n > 16; msg.p += 16, msg.n -= 16) {
        xor_block(x, msg.p);
        aes_blocks(x, k, x, 1);
    }
    if (msg.n)
        memcpy(last, msg.p, msg.n);
    if (msg.n < 16)
        last[msg.n] = 0x80;
    xor_block(x, last);
    xor_block(x, msg.n == 16 ? k->k1 : k->k2);
    aes_blocks(out, k, x, 1);
}

/* ------------------------------------------------------------------ key wrap */

static const EVP_CIPHER *wrap_cipher(size_t kek_bytes)
{
    switch (kek_bytes) {
    case 16: return EVP_aes_128_wrap();
    case 24: return EVP_aes_192_wrap();
    case 32: return EVP_aes_256_wrap();
    default: return NULL;
    }
}

static bool wrap(u8 *out, struct bytes kek, struct bytes in, int encrypt)
{
    const EVP_CIPHER *cipher = wrap_cipher(kek.n);
    if (!cipher)
        return false;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (!c)
        die("lora: no room for a key wrap");
    EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    int n = 0;
    /* Without memory nothing is known about the key: a false "cannot be unwrapped" would refuse good frames. */
    if (!EVP_CipherInit_ex(c, cipher, NULL, kek.p, NULL, encrypt))
        die("lora: no room for a key wrap");
    bool good = EVP_CipherUpdate(c, out, &n, in.p, (int)in.n) && n == (int)in.n + (encrypt ? 8 : -8);
    EVP_CIPHER_CTX_free(c);
    return good;
}

static bool wraps(size_t plain_bytes)
{
    return plain_bytes >= 16 && plain_bytes <= 64 && plain_bytes % 8 == 0;
}

bool lora_key_wrap(u8 *out, struct bytes kek, struct bytes plain)
{
    return wraps(plain.n) && wrap(out, kek, plain, 1);
}

bool lora_key_unwrap(u8 *out, struct bytes kek, struct bytes wrapped)
{
    if (wrapped.n < 8 || !wraps(wrapped.n - 8))
        return false;
    /* OpenSSL needs room for the whole input while it works. */
    u8 room[72];
    bool good = wrap(room, kek, wrapped, 0);
    if (good)
        memcpy(out, room, wrapped.n - 8);
    else
        lora_wipe(out, wrapped.n - 8);
    lora_wipe(room, sizeof room);
    return good;
}
