// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a PHYPayload: what a parser accepts, its builder writes again byte for byte. */
#include "test/fuzz/fuzz.h"

#include "lora/lora.h"

#define MIRROR(kind)                                                                       \
    do {                                                                                   \
        struct lora_##kind x;                                                              \
        u8 room[LORA_AIR_MAX];                                                             \
        struct buf b = BUF(room);                                                          \
        if (lora_##kind##_parse(&x, in) == LORA_OK)                                        \
            assert(lora_##kind##_build(&b, &x) == LORA_OK && bytes_eq(buf_bytes(&b), in)); \
    } while (0)

FUZZ(p, n)
{
    struct bytes in = { p, n };
    struct arena a = arena_make(1 << 12);
    struct text words = text_make(&a, 1 << 16);
    struct lora_beacon beacon;
    struct lora_relay_uplink relay;
    MIRROR(frame);
    MIRROR(join_request);
    MIRROR(join_accept);
    MIRROR(rejoin);
    for (u8 sf = 8; sf <= 12; sf++)
        (void)lora_beacon_parse(&beacon, sf, in);
    (void)lora_relay_uplink_parse(&relay, in);
    lora_phy_text(&words, in);
    assert(!words.bad);
    arena_free(&a);
    return 0;
}
