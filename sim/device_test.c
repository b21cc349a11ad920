// SPDX-License-Identifier: Apache-2.0
/* A device against a network that is made of lora/ alone: it joins, sends, obeys. */
#include "base/test.h"
#include "sim/inside.h"

static const u8 app_key_raw[16] = { 0x3C, 0x5A, 7,    0x91, 5,  6,    0xE7, 8,
                                    9,    10,   0xB1, 12,   13, 0x4E, 15,   16 };

/* The other side. */
struct network { struct lora_key app, nwk_s, app_s; u32 devaddr, fcnt_down; };

static struct device *device(u8 dr)
{
    struct device *d = arena_new(test_arena(), struct device);
    d->kind = KIND_WEATHER;
    d->dr_installed = dr;
    d->kept.dev_eui = 0x02484F5441010001u;
    memcpy(d->kept.app_key, app_key_raw, 16);
    sim_device_boot(d);
    sim_device_keys(d);
    return d;
}

/* OpenSSL's contexts are not in the arena. */
static void leave(struct device *d, struct network *n)
{
    lora_key_clear(&d->app_key);
    lora_key_clear(&d->nwk_s_key);
    lora_key_clear(&d->app_s_key);
    lora_key_clear(&n->app);
    lora_key_clear(&n->nwk_s);
    lora_key_clear(&n->app_s);
}

static struct bytes join_accept(struct network *n, const struct lora_join_request *q,
                                u8 room[LORA_AIR_MAX])
{
    struct buf out = buf_of(room, LORA_AIR_MAX);
    struct lora_session_raw raw;
    struct lora_cflist list = { .freq_hz = { 922200000, 922400000, 922600000, 922800000,
                                             923000000 } };
    struct lora_join_accept a = { .rx_delay = 5,
                                  .rx2_dr = DR_2,
                                  .has_cflist = true,
                                  .join_nonce = 0x123456,
                                  .net_id = 0x000001,
                                  .devaddr = 0x02000001 };
    EQ(lora_cflist_build(a.cflist, &list), LORA_OK);
    EQ(lora_join_accept_seal(&out, &a, &n->app, app_key_raw, (struct lora_join_terms){ 0 }),
       LORA_OK);
    lora_derive_session(&raw, &n->app, a.join_nonce, a.net_id, q->dev_nonce);
    lora_key_set(&n->nwk_s, raw.f_nwk_s_int);
    lora_key_set(&n->app_s, raw.app_s);
    n->devaddr = a.devaddr;
    return buf_bytes(&out);
}

static struct lora_session session(const struct network *n)
{
    return (struct lora_session){ false, &n->nwk_s, &n->nwk_s, &n->nwk_s, &n->app_s };
}

/* Joined, by the words of the specification. */
static struct device *joined(struct network *n, u8 dr)
{
    u8 room[LORA_AIR_MAX], answer[LORA_AIR_MAX], plain[LORA_AIR_MAX];
    struct buf out = BUF(room);
    struct chance chance = { 9 };
    struct lora_join_request q;
    struct bytes payload;
    i16 port;
    struct device *d = device(dr);
    lora_key_set(&n->app, app_key_raw);
    TRUE(sim_device_join_request(d, &out, &chance));
    EQ(lora_join_request_parse(&q, buf_bytes(&out)), LORA_OK);
    EQ(q.dev_eui, d->kept.dev_eui);
    EQ(q.mic, lora_mic_plain(&n->app, q.signed_part));
    EQ(sim_device_heard(d, join_accept(n, &q, answer), 50, plain, &payload, &port), HEARD_JOINED);
    return d;
}

static struct bytes downlink(struct network *n, struct lora_frame f, u8 room[LORA_AIR_MAX])
{
    struct buf out = buf_of(room, LORA_AIR_MAX);
    struct lora_session s = session(n);
    f.devaddr = n->devaddr;
    EQ(lora_frame_seal(&out, &f, &s, n->fcnt_down++, (struct lora_mic_terms){ 0 }), LORA_OK);
    return buf_bytes(&out);
}

static enum heard tell(struct device *d, struct network *n, struct bytes commands)
{
    u8 room[LORA_AIR_MAX], plain[LORA_AIR_MAX];
    struct bytes payload;
    i16 port;
    struct lora_frame f = { .mtype = MTYPE_DATA_DOWN, .fport = FPORT_NONE, .fopts = commands };
    return sim_device_heard(d, downlink(n, f, room), 50, plain, &payload, &port);
}
#define TELL(d, n, ...)                                                                            \
    tell(d, n, (struct bytes){ (u8[]){ __VA_ARGS__ }, sizeof((u8[]){ __VA_ARGS__ }) })

/* The next uplink as the network reads it; its fopts and payload live in `plain`. */
static struct lora_frame next_uplink(struct device *d, struct network *n, struct bytes reading,
                                     u8 room[LORA_AIR_MAX], u8 plain[LORA_AIR_MAX])
{
    struct buf out = buf_of(room, LORA_AIR_MAX);
    struct lora_frame air = { 0 }, f = { 0 };
    struct lora_session s = session(n);
    u32 fcnt = d->kept.fcnt_up;
    TRUE(sim_device_uplink(d, &out, reading));
    EQ(lora_frame_parse(&air, buf_bytes(&out)), LORA_OK);
    TRUE(lora_frame_verify(&air, &s, fcnt, (struct lora_mic_terms){ 0 }));
    lora_frame_open(&f, plain, &air, &s, fcnt);
    return f;
}

static const u8 nineteen[19] = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19
};

TEST(a_join_makes_a_session_that_the_network_reads)
{
    struct network n = { .fcnt_down = 0 };
    u8 room[LORA_AIR_MAX], plain[LORA_AIR_MAX];
    struct device *d = joined(&n, DR_5);
    EQ(d->kept.rx1_delay_s, 5);
    EQ(d->kept.channels[2].hz, 922200000);
    EQ(d->kept.channels[6].hz, 923000000);
    struct lora_frame f = next_uplink(d, &n, (struct bytes){ nineteen, 19 }, room, plain);
    EQ(f.mtype, MTYPE_DATA_UP);
    EQ(f.fport, READING_PORT);
    BYTES_EQ(f.payload, ((struct bytes){ nineteen, 19 }));
    EQ(d->kept.fcnt_up, 1);
    leave(d, &n);
}

TEST(a_join_accept_of_another_key_is_not_heard)
{
    struct network n = { .fcnt_down = 0 };
    u8 room[LORA_AIR_MAX], answer[LORA_AIR_MAX], plain[LORA_AIR_MAX];
    struct buf out = BUF(room);
    struct chance chance = { 9 };
    struct lora_join_request q;
    struct bytes payload;
    i16 port;
    struct device *d = device(DR_5);
    lora_key_set(&n.app, app_key_raw);
    TRUE(sim_device_join_request(d, &out, &chance));
    EQ(lora_join_request_parse(&q, buf_bytes(&out)), LORA_OK);
    struct bytes phy = join_accept(&n, &q, answer);
    answer[5] ^= 1;
    EQ(sim_device_heard(d, phy, 50, plain, &payload, &port), HEARD_NOT_MINE);
    TRUE(!d->kept.joined);
    leave(d, &n);
}

TEST(nonces_rise_and_are_never_spent_twice)
{
    struct device *d = device(DR_5);
    struct chance chance = { 9 };
    u16 before = d->kept.dev_nonce;
    for (int i = 0; i < 5; i++) {
        u8 room[LORA_AIR_MAX];
        struct buf out = BUF(room);
        TRUE(sim_device_join_request(d, &out, &chance));
        EQ(d->kept.dev_nonce, before + 1);
        before = d->kept.dev_nonce;
    }
    lora_key_clear(&d->app_key);
}

TEST(at_dr2_eleven_bytes_until_the_network_lifts_the_dwell_limit)
{
    struct network n = { .fcnt_down = 0 };
    u8 room[LORA_AIR_MAX], plain[LORA_AIR_MAX];
    struct device *d = joined(&n, DR_2);
    EQ(sim_device_room(d), 11);
    struct lora_frame f = next_uplink(d, &n, (struct bytes){ nineteen, 19 }, room, plain);
    EQ(f.fport, FPORT_NONE);
    TRUE(d->more);
    EQ(TELL(d, &n, CID_TX_PARAM_SETUP, 0x03), HEARD_DATA);
    EQ(sim_device_room(d), 115 - 1);
    f = next_uplink(d, &n, (struct bytes){ nineteen, 19 }, room, plain);
    EQ(f.payload.n, 19);
    BYTES_EQ(f.fopts, ((struct bytes){ (u8[]){ CID_TX_PARAM_SETUP }, 1 }));
    NEAR(sim_device_eirp_dbm(d), 13, 0);
    leave(d, &n);
}

TEST(sticky_answers_stay_until_a_downlink_and_others_are_said_once)
{
    struct network n = { .fcnt_down = 0 };
    u8 room[LORA_AIR_MAX], plain[LORA_AIR_MAX];
    struct device *d = joined(&n, DR_5);
    EQ(TELL(d, &n, CID_RX_TIMING_SETUP, 3, CID_DEV_STATUS), HEARD_DATA);
    EQ(d->kept.rx1_delay_s, 3);
    struct lora_frame f = next_uplink(d, &n, (struct bytes){ nineteen, 3 }, room, plain);
    EQ(f.fopts.n, 1 + 3);
    f = next_uplink(d, &n, (struct bytes){ nineteen, 3 }, room, plain);
    BYTES_EQ(f.fopts, ((struct bytes){ (u8[]){ CID_RX_TIMING_SETUP }, 1 }));
    EQ(TELL(d, &n, CID_DUTY_CYCLE, 0), HEARD_DATA);
    f = next_uplink(d, &n, (struct bytes){ nineteen, 3 }, room, plain);
    BYTES_EQ(f.fopts, ((struct bytes){ (u8[]){ CID_DUTY_CYCLE }, 1 }));
    leave(d, &n);
}

TEST(a_link_adr_block_is_taken_whole_or_not_at_all)
{
    struct network n = { .fcnt_down = 0 };
    u8 room[LORA_AIR_MAX], plain[LORA_AIR_MAX];
    struct device *d = joined(&n, DR_5);
    /* DR4, power 2, channels 0 to 2, twice */
    EQ(TELL(d, &n, CID_LINK_ADR, 0x42, 0x07, 0x00, 0x02), HEARD_DATA);
    EQ(d->kept.dr, DR_4);
    EQ(d->kept.power, 2);
    EQ(d->kept.nb_trans, 2);
    TRUE(d->kept.channels[2].on && !d->kept.channels[3].on);
    NEAR(sim_device_eirp_dbm(d), 13 - 4, 0);
    struct lora_frame f = next_uplink(d, &n, (struct bytes){ nineteen, 3 }, room, plain);
    BYTES_EQ(f.fopts, ((struct bytes){ (u8[]){ CID_LINK_ADR, 7 }, 2 }));
    /* a channel that does not exist: nothing of it is done */
    EQ(TELL(d, &n, CID_LINK_ADR, 0x50, 0x00, 0x01, 0x01), HEARD_DATA);
    EQ(d->kept.dr, DR_4);
    f = next_uplink(d, &n, (struct bytes){ nineteen, 3 }, room, plain);
    EQ(f.fopts.p[1] & 1, 0);
    /* two in a row are one block with two answers */
    EQ(TELL(d, &n, CID_LINK_ADR, 0x50, 0x7F, 0x00, 0x01, CID_LINK_ADR, 0x51, 0x03, 0x00, 0x01),
       HEARD_DATA);
    EQ(d->kept.dr, DR_5);
    EQ(d->kept.power, 1);
    f = next_uplink(d, &n, (struct bytes){ nineteen, 3 }, room, plain);
    EQ(f.fopts.n, 4);
    leave(d, &n);
}

TEST(channels_come_and_go_but_not_the_default_ones)
{
    struct network n = { .fcnt_down = 0 };
    struct device *d = joined(&n, DR_5);
    u8 hz[4];
    put_u24le(hz, lora_freq_coded(922000000));
    EQ(TELL(d, &n, CID_NEW_CHANNEL, 7, hz[0], hz[1], hz[2], 0x50), HEARD_DATA);
    EQ(d->kept.channels[7].hz, 922000000);
    EQ(TELL(d, &n, CID_NEW_CHANNEL, 0, hz[0], hz[1], hz[2], 0x50), HEARD_DATA);
    EQ(d->kept.channels[0].hz, 923200000);
    EQ(TELL(d, &n, CID_DL_CHANNEL, 7, hz[0], hz[1], hz[2]), HEARD_DATA);
    EQ(d->kept.channels[7].down_hz, 922000000);
    EQ(TELL(d, &n, CID_NEW_CHANNEL, 7, 0, 0, 0, 0x50), HEARD_DATA);
    EQ(d->kept.channels[7].hz, 0);
    leave(d, &n);
}

TEST(windows_open_where_the_network_will_send)
{
    struct network n = { .fcnt_down = 0 };
    struct device *d = joined(&n, DR_5);
    d->up_dr = DR_5;
    sim_device_windows(d, (struct mono){ 1000000 }, 922400000);
    EQ(d->rx1.at.us, 6000000);
    EQ(d->rx1.hz, 922400000);
    EQ(d->rx1.dr, DR_5);
    EQ(d->rx2.at.us, 7000000);
    EQ(d->rx2.hz, 923200000);
    EQ(d->rx2.dr, DR_2);
    leave(d, &n);
}

TEST(a_downlink_is_heard_once_and_an_order_reaches_the_pump)
{
    struct network n = { .fcnt_down = 40 };
    u8 room[LORA_AIR_MAX], plain[LORA_AIR_MAX], on = 1;
    struct bytes payload;
    i16 port;
    struct world w = { .seed = 1 };
    struct device *d = joined(&n, DR_5);
    struct lora_frame f = { .mtype = MTYPE_CONFIRMED_DOWN,
                            .fport = ORDER_PORT,
                            .payload = { &on, 1 } };
    struct bytes phy = downlink(&n, f, room);
    EQ(sim_device_heard(d, phy, 50, plain, &payload, &port), HEARD_DATA);
    EQ(port, ORDER_PORT);
    TRUE(d->ack_owed);
    d->kind = KIND_SNOW;
    sim_payload_order(d, &w, 0, payload);
    EQ(d->order, PUMP_ORDER_ON);
    EQ(sim_device_heard(d, phy, 50, plain, &payload, &port), HEARD_NOT_MINE);
    u8 air[LORA_AIR_MAX];
    struct lora_frame up = next_uplink(d, &n, (struct bytes){ nineteen, 3 }, air, plain);
    TRUE(up.fctrl & FCTRL_ACK);
    leave(d, &n);
}

TEST(an_unheard_device_asks_and_then_slows_down)
{
    struct network n = { .fcnt_down = 0 };
    struct device *d = joined(&n, DR_5);
    u8 room[LORA_AIR_MAX], plain[LORA_AIR_MAX];
    struct lora_frame f = { 0 };
    for (int i = 0; i < LORA_ADR_ACK_LIMIT; i++)
        f = next_uplink(d, &n, (struct bytes){ nineteen, 3 }, room, plain);
    TRUE(f.fctrl & FCTRL_ADR_ACK_REQ);
    EQ(d->kept.dr, DR_5);
    for (int i = 0; i < LORA_ADR_ACK_DELAY; i++)
        f = next_uplink(d, &n, (struct bytes){ nineteen, 3 }, room, plain);
    EQ(d->kept.dr, DR_4);
    leave(d, &n);
}
