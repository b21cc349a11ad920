/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_FUZZ_NODE_H
#define HOTARU_FUZZ_NODE_H

/* A device of the small city, as it is from its own side: it seals and opens frames with lora/ alone. */
#include "lora/lora.h"

struct node {
    u64  dev_eui;
    u8   app_key[16], nwk_key[16];
    bool v1_1;
    u16  dev_nonce;               /* of its newest join-request */
    u32  join_tmst_us;            /* when that one was heard, on the gateway's clock */
    bool joined;
    u32  devaddr, fcnt;
    struct lora_key keys[4];      /* f_nwk_s_int, s_nwk_s_int, nwk_s_enc, app_s */
};

void node_make(struct node *n, u64 dev_eui, bool v1_1);
void node_forget(struct node *n);
struct bytes node_join(struct node *n, struct buf *out);
/* True: it is the answer to the newest request, and the node lives under the new session. */
bool node_take_accept(struct node *n, struct bytes phy);
struct bytes node_say(struct node *n, struct buf *out, bool confirmed, struct bytes fopts, struct bytes payload);
/* Would the node believe this downlink? */
bool node_believes(const struct node *n, const struct lora_frame *down, u16 confirmed_fcnt);

#endif
