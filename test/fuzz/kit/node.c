// SPDX-License-Identifier: Apache-2.0
#include "test/fuzz/kit/node.h"

#include "test/fuzz/kit/city.h"

void node_make(struct node *n, u64 dev_eui, bool v1_1)
{
    size_t got;
    *n = (struct node){ .dev_eui = dev_eui, .v1_1 = v1_1 };
    bool read = hex_read(n->app_key, 16, &got, S("5d1e9b3fa7260c48e1937ab4d2f80000")) &&
                hex_read(n->nwk_key, 16, &got, S("6f9c1a2277d0458eb1c3a4f507182930"));
    assert(read);
    n->app_key[15] = (u8)dev_eui;
}

void node_forget(struct node *n)
{
    for (size_t i = 0; i < COUNT(n->keys); i++)
        lora_key_clear(&n->keys[i]);
}

struct bytes node_join(struct node *n, struct buf *out)
{
    struct lora_key key = { 0 };
    struct lora_join_request r = { .dev_nonce = ++n->dev_nonce, .join_eui = JOIN_EUI, .dev_eui = n->dev_eui };
    lora_key_set(&key, n->v1_1 ? n->nwk_key : n->app_key);
    enum lora_err err = lora_join_request_seal(out, &r, &key);
    assert(err == LORA_OK);
    lora_key_clear(&key);
    return buf_bytes(out);
}

bool node_take_accept(struct node *n, struct bytes phy)
{
    struct lora_join_accept a;
    struct lora_session_raw raw;
    struct lora_key root = { 0 }, app = { 0 }, js_int = { 0 };
    u8 room[LORA_AIR_MAX], js[16];
    lora_key_set(&root, n->v1_1 ? n->nwk_key : n->app_key);
    lora_key_set(&app, n->app_key);
    lora_derive_js_int(js, &root, n->dev_eui);
    lora_key_set(&js_int, js);
    bool good = lora_join_accept_open(&a, room, phy, &root) == LORA_OK && a.opt_neg == n->v1_1 &&
                lora_join_accept_verify(&a, n->v1_1 ? &js_int : &root,
                                        (struct lora_join_terms){ JOIN_REQ_TYPE_JOIN, n->dev_nonce, JOIN_EUI });
    if (good && n->v1_1)
        lora_derive_session_1_1(&raw, &root, &app, a.join_nonce, JOIN_EUI, n->dev_nonce);
    else if (good)
        lora_derive_session(&raw, &app, a.join_nonce, a.net_id, n->dev_nonce);
    const u8 *const raws[4] = { raw.f_nwk_s_int, raw.s_nwk_s_int, raw.nwk_s_enc, raw.app_s };
    for (size_t i = 0; good && i < 4; i++)
        lora_key_set(&n->keys[i], raws[i]);
    if (good) {
        n->joined  = true;
        n->devaddr = a.devaddr;
        n->fcnt    = 0;
    }
    lora_key_clear(&root), lora_key_clear(&app), lora_key_clear(&js_int);
    return good;
}

static struct lora_session session(const struct node *n)
{
    const struct lora_key *k = n->keys;
    return n->v1_1 ? (struct lora_session){ true, &k[0], &k[1], &k[2], &k[3] }
                   : (struct lora_session){ false, &k[0], &k[0], &k[0], &k[3] };
}

struct bytes node_say(struct node *n, struct buf *out, bool confirmed, struct bytes fopts, struct bytes payload)
{
    struct lora_session s = session(n);
    struct lora_frame f = { .mtype = confirmed ? MTYPE_CONFIRMED_UP : MTYPE_DATA_UP, .fport = 2, .devaddr = n->devaddr,
                            .fopts = fopts, .payload = payload };
    enum lora_err err = lora_frame_seal(out, &f, &s, n->fcnt++, (struct lora_mic_terms){ .tx_dr = 2 });
    assert(err == LORA_OK);
    return buf_bytes(out);
}

bool node_believes(const struct node *n, const struct lora_frame *down, u16 confirmed_fcnt)
{
    struct lora_session s = session(n);
    u16 conf = n->v1_1 && (down->fctrl & FCTRL_ACK) ? confirmed_fcnt : 0;
    return lora_frame_verify(down, &s, down->fcnt_low, (struct lora_mic_terms){ .conf_fcnt = conf });
}
