// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as one of the messages between gateways and a network server over MQTT, in either form. What is accepted is
 * within its limits; what is written of it reads back and is written the same, in both forms.
 */
#include "test/fuzz/fuzz.h"

#include "wire/gwpb.h"

static void check_form(const struct gwpb *g, bool json, struct arena *a)
{
    struct gwpb back;
    struct bytes once = gwpb_write(g, json, a);
    if (once.n == 0)                                       /* nothing in it, or more than there is room for */
        return;
    assert(once.n <= GWPB_MESSAGE_MAX && gwpb_is_json(once) == json);
    enum err err = gwpb_read(&back, g->kind, once, a);
    assert(err == OK && bytes_eq(gwpb_write(&back, json, a), once));
}

FUZZ(p, n)
{
    struct arena a = arena_make(1 << 16);
    struct gwpb g;
    struct cur c = cur_of((struct bytes){ p, n });
    enum gwpb_kind kind = cur_u8(&c) % GWPB_KINDS;
    if (gwpb_read(&g, kind, cur_rest(&c), &a) == OK) {
        if (kind == GWPB_UPLINK)
            assert(g.uplink.phy.n <= n && g.uplink.context.n <= n && g.uplink.gateway_us >= 0);
        if (kind == GWPB_DOWNLINK)
            assert(g.downlink.items_n <= GWPB_ITEMS_MAX);
        if (kind == GWPB_ACK) {
            assert(g.ack.items_n <= GWPB_ITEMS_MAX);
            for (u32 i = 0; i < g.ack.items_n; i++)
                assert(gwpb_status_words(g.ack.items[i].status).n > 0);
        }
        check_form(&g, false, &a);
        check_form(&g, true, &a);
    }
    arena_free(&a);
    return 0;
}
