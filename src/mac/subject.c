// SPDX-License-Identifier: Apache-2.0
/*
 * Personal devices (bag trackers): what they send is stored under a key of their own, AES-256-GCM,
 * and that key is stored wrapped. Destroying the key row erases the person's payloads wherever copies
 * of the rows went (promises R24).
 *
 *     sealed = ciphertext ‖ tag 16;   nonce = event id, 12 bytes;   associated data = DevEUI, id
 *
 * An event id is given once, so a nonce is used once under its key.
 */
#include "mac/inside.h"

#include <openssl/evp.h>

#define SUBJECT_KEY 32
#define TAG 16

static void terms(u8 nonce[12], u8 ad[16], u64 dev_eui, i64 id)
{
    memset(nonce, 0, 12);
    put_u64be(nonce + 4, (u64)id);
    put_u64be(ad, dev_eui);
    put_u64be(ad + 8, (u64)id);
}

static bool crypt(bool seal, u8 *out, const u8 key[SUBJECT_KEY], u64 dev_eui, i64 id, struct bytes in)
{
    u8 nonce[12], ad[16];
    int n;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    terms(nonce, ad, dev_eui, id);
    if (!c || EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce, seal) != 1)
        die("mac: no room for a subject's cipher");      /* which says nothing about the payload */
    bool good = EVP_CipherUpdate(c, NULL, &n, ad, sizeof ad) == 1;
    if (seal) {
        good = good && EVP_CipherUpdate(c, out, &n, in.p, (int)in.n) == 1 && EVP_CipherFinal_ex(c, out + n, &n) == 1 &&
               EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, out + in.n) == 1;
    } else {
        u8 tag[TAG];
        memcpy(tag, in.p + in.n - TAG, TAG);
        good = good && EVP_CipherUpdate(c, out, &n, in.p, (int)in.n - TAG) == 1 &&
               EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 && EVP_CipherFinal_ex(c, out + n, &n) == 1;
    }
    EVP_CIPHER_CTX_free(c);
    return good;
}

static enum err read_key(u8 key[SUBJECT_KEY], struct db_query *q, struct bytes kek, u64 tenant, u64 dev_eui)
{
    if (!q)
        return ERR_IO;
    db_bind_i64(q, 1, (i64)tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    enum err err = db_step(q);
    if (err == OK) {
        struct bytes wrapped = db_bytes(q, 2);
        err = db_row_good(q, 0, 4, "subject_key", 2) && wrapped.n == SUBJECT_KEY + 8 && lora_key_unwrap(key, kek, wrapped) ? OK : ERR_DENIED;
    }
    db_reset(q);
    return err;
}

static enum err make_key(struct env *env, u8 key[SUBJECT_KEY], u64 tenant, u64 dev_eui)
{
    u8 wrapped[SUBJECT_KEY + 8];
    struct db_query *q =
        env_query(env, "INSERT INTO subject_key (tenant, dev_eui, key, created_us, sum) VALUES ($1, $2, $3, $4, $5)");
    if (!q)
        return env->failed;
    env->random(env->world, key, SUBJECT_KEY);
    if (!lora_key_wrap(wrapped, (struct bytes){ env->mac->kek, env->mac->kek_n }, (struct bytes){ key, SUBJECT_KEY }))
        return ERR_INVALID;
    db_bind_i64(q, 1, (i64)tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    db_bind_bytes(q, 3, (struct bytes){ wrapped, sizeof wrapped });
    db_bind_i64(q, 4, env_clock(env).us);
    db_bind_sum(q, 5, "subject_key");
    return env_run(env, q);
}

#define SELECT_KEY "SELECT tenant, dev_eui, key, created_us, sum FROM subject_key WHERE tenant = $1 AND dev_eui = $2"

enum err subject_seal(struct env *env, struct bytes *out, u64 tenant, u64 dev_eui, i64 id, struct bytes clear)
{
    u8 key[SUBJECT_KEY];
    struct bytes kek = { env->mac->kek, env->mac->kek_n };
    enum err err = read_key(key, env_query(env, SELECT_KEY), kek, tenant, dev_eui);
    if (err == ERR_NOT_FOUND)
        err = make_key(env, key, tenant, dev_eui);
    if (err != OK)
        return err;
    u8 *p = arena_take(&env->event, clear.n + TAG, 1);
    bool good = crypt(true, p, key, dev_eui, id, clear);
    lora_wipe(key, sizeof key);
    *out = (struct bytes){ p, clear.n + TAG };
    return good ? OK : ERR_IO;
}

enum err mac_subject_open(struct bytes *out, struct db *db, struct bytes kek, u64 tenant, u64 dev_eui, i64 id,
                          struct bytes sealed, struct arena *arena)
{
    u8 key[SUBJECT_KEY];
    if (sealed.n < TAG)
        return ERR_INVALID;
    enum err err = read_key(key, db_query(db, SELECT_KEY), kek, tenant, dev_eui);
    if (err != OK)
        return err;
    u8 *p = arena_take(arena, sealed.n, 1);
    bool good = crypt(false, p, key, dev_eui, id, sealed);
    lora_wipe(key, sizeof key);
    *out = (struct bytes){ p, sealed.n - TAG };
    return good ? OK : ERR_INVALID;
}
