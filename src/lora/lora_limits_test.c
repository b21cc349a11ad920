// SPDX-License-Identifier: Apache-2.0
/* The edges of lora/: what each builder and table refuses, one beside the last thing it takes. */
#include "base/test.h"
#include "lora/lora.h"

static struct bytes hex(const char *text)
{
    struct str t = str_z(text);
    u8    *p = arena_take(test_arena(), t.n / 2 + 1, 1);
    size_t n;
    TRUE(hex_read(p, t.n / 2, &n, t));
    return (struct bytes){ p, n };
}

/* ------------------------------------------------------------------ frames */

TEST(a_join_accept_says_nothing_that_its_bits_cannot)
{
    static const struct { struct lora_join_accept a; enum lora_err err; } facts[] = {
        { { .rx1_dr_offset = 7, .rx2_dr = 15, .join_nonce = 0xFFFFFF, .net_id = 0xFFFFFF }, LORA_OK },
        { { .rx1_dr_offset = 8 }, LORA_BAD_FIELD },       { { .rx2_dr = 16 }, LORA_BAD_FIELD },
        { { .join_nonce = 0x1000000 }, LORA_BAD_FIELD },  { { .net_id = 0x1000000 }, LORA_BAD_FIELD },
    };
    static const u8 crypt[16] = { 9 };
    struct lora_key key = { 0 };
    lora_key_set(&key, crypt);
    for (size_t i = 0; i < COUNT(facts); i++) {
        u8 room[LORA_AIR_MAX];
        struct buf b = BUF(room);
        EQ(lora_join_accept_build(&b, &facts[i].a), facts[i].err);
        EQ(b.n, facts[i].err ? 0 : LORA_JOIN_ACCEPT_SIZE);
        b = BUF(room);
        EQ(lora_join_accept_seal(&b, &facts[i].a, &key, crypt, (struct lora_join_terms){ 0 }), facts[i].err);
    }
    lora_key_clear(&key);
}

TEST(a_join_accept_is_opened_only_at_its_two_lengths)
{
    static const u8 crypt[16] = { 9 };
    static const struct { u8 mhdr; size_t n; enum lora_err err; } facts[] = {
        { 0x20, 0, LORA_TRUNCATED },  { 0x20, 16, LORA_TRUNCATED }, { 0x20, 17, LORA_OK },       { 0x20, 18, LORA_TRUNCATED },
        { 0x20, 32, LORA_TRUNCATED }, { 0x20, 33, LORA_OK },        { 0x20, 34, LORA_TOO_LONG }, { 0x40, 17, LORA_BAD_MTYPE },
        { 0x21, 17, LORA_BAD_MAJOR },
    };
    struct lora_key key = { 0 };
    lora_key_set(&key, crypt);
    for (size_t i = 0; i < COUNT(facts); i++) {
        u8 phy[40] = { facts[i].mhdr }, room[LORA_AIR_MAX];
        struct lora_join_accept a;
        EQ(lora_join_accept_open(&a, room, (struct bytes){ phy, facts[i].n }, &key), facts[i].err);
    }
    lora_key_clear(&key);
}

TEST(each_parser_takes_its_own_kind_alone)
{
    struct lora_join_request request;
    struct lora_join_accept accept;
    struct lora_rejoin rejoin;
    struct bytes body;
    u8 phy[33] = { 0 };
    for (int mtype = 0; mtype < 8; mtype++) {
        phy[0] = (u8)(mtype << 5);
        struct bytes long_enough = { phy, 19 };
        EQ(lora_join_request_parse(&request, long_enough) != LORA_BAD_MTYPE, mtype == MTYPE_JOIN_REQUEST);
        EQ(lora_join_accept_parse(&accept, long_enough) != LORA_BAD_MTYPE, mtype == MTYPE_JOIN_ACCEPT);
        EQ(lora_rejoin_parse(&rejoin, long_enough) != LORA_BAD_MTYPE, mtype == MTYPE_REJOIN_REQUEST);
        EQ(lora_proprietary_parse(&body, long_enough), mtype == MTYPE_PROPRIETARY ? LORA_OK : LORA_BAD_MTYPE);
    }
    phy[0] = 0xC0;
    EQ(lora_rejoin_parse(&rejoin, (struct bytes){ phy, 4 }), LORA_TRUNCATED);
    EQ(lora_proprietary_parse(&body, (struct bytes){ phy, 0 }), LORA_TRUNCATED);
    STR_EQ(str_z(lora_mtype_words((enum lora_mtype)8)), S("?"));
    STR_EQ(str_z(lora_err_words(LORA_ERR_KINDS)), S("an unknown refusal"));
}

TEST(a_rejoin_request_comes_back_as_it_was_built_and_is_refused_beyond_its_types)
{
    static const u8 raw[16] = { 5 };
    struct lora_key key = { 0 };
    lora_key_set(&key, raw);
    for (u8 type = 0; type <= 3; type++) {
        u8 room[LORA_AIR_MAX];
        struct buf b = BUF(room);
        struct lora_rejoin r = { .type = type, .net_id = type == 1 ? 0 : 0xFFFFFF, .join_eui = type == 1 ? 0x0102030405060708 : 0,
                                 .dev_eui = 0x70B3D57ED0000001, .rj_count = 65535 }, back;
        EQ(lora_rejoin_seal(&b, &r, &key), type <= 2 ? LORA_OK : LORA_BAD_REJOIN_TYPE);
        if (type > 2)
            continue;
        EQ(lora_rejoin_parse(&back, buf_bytes(&b)), LORA_OK);
        TRUE(back.type == type && back.net_id == r.net_id && back.join_eui == r.join_eui && back.dev_eui == r.dev_eui &&
             back.rj_count == 65535);
        EQ(back.mic, lora_mic_plain(&key, back.signed_part));
        EQ(lora_rejoin_parse(&back, (struct bytes){ room, b.n - 1 }), LORA_TRUNCATED);
        r.net_id = 0x1000000;
        EQ(lora_rejoin_build(&b, &r), LORA_BAD_FIELD);
    }
    lora_key_clear(&key);
}

TEST(what_is_sealed_is_what_could_be_built)
{
    static const u8 raw[16] = { 5 };
    struct lora_key key = { 0 };
    lora_key_set(&key, raw);
    struct lora_session s = { false, &key, &key, &key, &key };
    struct lora_mic_terms terms = { 0 };
    u8 room[LORA_AIR_MAX], bytes[LORA_AIR_MAX + 1] = { 0 };
    static const struct { size_t fopts, payload; i16 fport; enum lora_err err; } facts[] = {
        { 15, 0, FPORT_NONE, LORA_OK },    { 16, 0, FPORT_NONE, LORA_TOO_LONG }, { 0, 242, 1, LORA_OK },
        { 0, 243, 1, LORA_TOO_LONG },      { 0, 256, 1, LORA_TOO_LONG },         { 1, 1, FPORT_MAC, LORA_FOPTS_AND_PORT0 },
        { 0, 1, FPORT_NONE, LORA_BAD_FIELD },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct buf b = BUF(room);
        struct lora_frame f = { .mtype = MTYPE_DATA_UP, .fport = facts[i].fport, .fopts = { bytes, facts[i].fopts },
                                .payload = { bytes, facts[i].payload } };
        EQ(lora_frame_seal(&b, &f, &s, 1, terms), facts[i].err);
        EQ(b.n > 0, facts[i].err == LORA_OK);
    }
    struct buf small = buf_of(room, LORA_JOIN_REQUEST_SIZE - 1);
    EQ(lora_join_request_seal(&small, &(struct lora_join_request){ 0 }, &key), LORA_NO_ROOM);
    lora_key_clear(&key);
}

TEST(a_proprietary_frame_is_its_owners_bytes_up_to_what_the_air_takes)
{
    u8 room[LORA_AIR_MAX + 8], body[LORA_AIR_MAX] = { 1, 2, 3 };
    struct buf b = BUF(room);
    struct bytes back;
    EQ(lora_proprietary_build(&b, (struct bytes){ body, LORA_AIR_MAX - 1 }), LORA_OK);
    EQ(lora_proprietary_parse(&back, buf_bytes(&b)), LORA_OK);
    BYTES_EQ(back, ((struct bytes){ body, LORA_AIR_MAX - 1 }));
    b = BUF(room);
    EQ(lora_proprietary_build(&b, (struct bytes){ body, LORA_AIR_MAX }), LORA_TOO_LONG);
    EQ(b.n, 0);
}

TEST(a_cflist_of_either_type_comes_back_and_no_other_is_read)
{
    u8 list[LORA_CFLIST_SIZE];
    struct lora_cflist hz = { .type = 0, .freq_hz = { 922000000, 922200000, 0, 868100000, 2400000000u } }, back;
    struct lora_cflist mask = { .type = 1, .ch_mask = { 0xFF00, 1, 0, 0xFFFF } }, none = { .type = 2 };
    EQ(lora_cflist_build(list, &hz), LORA_OK);
    EQ(lora_cflist_parse(&back, list), LORA_OK);
    for (size_t i = 0; i < COUNT(hz.freq_hz); i++)
        EQ(back.freq_hz[i], hz.freq_hz[i]);
    EQ(lora_cflist_build(list, &mask), LORA_OK);
    EQ(lora_cflist_parse(&back, list), LORA_OK);
    for (size_t i = 0; i < COUNT(mask.ch_mask); i++)
        EQ(back.ch_mask[i], mask.ch_mask[i]);
    EQ(lora_cflist_build(list, &none), LORA_BAD_CFLIST);
    list[LORA_CFLIST_SIZE - 1] = 2;
    EQ(lora_cflist_parse(&back, list), LORA_BAD_CFLIST);
}

TEST(what_a_relay_forwards_fits_its_bits)
{
    static const struct { u8 dr; i16 snr, rssi; u8 wor; enum lora_err err; } facts[] = {
        { 15, 11, -15, 3, LORA_OK },         { 0, -20, -142, 0, LORA_OK },      { 16, 0, -50, 0, LORA_BAD_FIELD },
        { 0, 12, -50, 0, LORA_BAD_FIELD },   { 0, -21, -50, 0, LORA_BAD_FIELD }, { 0, 0, -14, 0, LORA_BAD_FIELD },
        { 0, 0, -143, 0, LORA_BAD_FIELD },   { 0, 0, -50, 4, LORA_BAD_FIELD },
    };
    u8 room[64];
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct buf b = BUF(room);
        struct lora_relay_uplink back, r = { .dr = facts[i].dr, .snr_db = facts[i].snr, .rssi_dbm = facts[i].rssi,
                                             .wor_channel = facts[i].wor, .freq_hz = 923200000, .phy = bytes_of(S("x")) };
        EQ(lora_relay_uplink_build(&b, &r), facts[i].err);
        if (facts[i].err)
            continue;
        EQ(lora_relay_uplink_parse(&back, buf_bytes(&b)), LORA_OK);
        TRUE(back.dr == r.dr && back.snr_db == r.snr_db && back.rssi_dbm == r.rssi_dbm && back.wor_channel == r.wor_channel);
        EQ(back.freq_hz, 923200000);
        for (size_t n = 0; n < b.n; n++)                            /* also without any frame behind it */
            EQ(lora_relay_uplink_parse(&back, (struct bytes){ room, n }), LORA_TRUNCATED);
    }
    struct bytes phy;
    EQ(lora_relay_downlink_parse(&phy, (struct bytes){ room, 0 }), LORA_TRUNCATED);
    EQ(lora_relay_downlink_parse(&phy, (struct bytes){ room, 1 }), LORA_OK);
}

/* ------------------------------------------------------------------ words */

TEST(every_kind_of_frame_has_its_words)
{
    static const struct { const char *phy; struct str words; } facts[] = {
        { "c00003020108070605040302010100da47bd11", S("RejoinRequest type=0 NetID=010203 DevEUI=0102030405060708 RJcount=1 MIC=da47bd11") },
        { "c00108070605040302018877665544332211ffff01020304",
          S("RejoinRequest type=1 JoinEUI=0102030405060708 DevEUI=1122334455667788 RJcount=65535 MIC=01020304") },
        { "c00303020108070605040302010100da47bd11", S("RejoinRequest: a rejoin type other than 0, 1 and 2") },
        { "00", S("JoinRequest: shorter than its own lengths say") },
        { "e00102", S("Proprietary 2 bytes") },
        { "20aabbccdd", S("JoinAccept 4 bytes") },
        { "", S("shorter than its own lengths say") },
        { "600403020190010001020304", S("UnconfirmedDataDown DevAddr=01020304 FCtrl=ADR+FPending FCnt=1 MIC=01020304") },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct text t = text_make(test_arena(), 4096);
        lora_phy_text(&t, hex(facts[i].phy));
        STR_EQ(text_str(&t), facts[i].words);
    }
}

/* ------------------------------------------------------------------ regions */

TEST(nothing_is_known_of_a_data_rate_or_channel_that_the_region_does_not_have)
{
    const struct lora_region *r = lora_region_by_name(S("as923-1"));
    TRUE(r == lora_region_by_name(S("AS923")) && !lora_region_by_name(S("AS924")));
    static const int unknown[] = { -1, LORA_DRS, 15 };
    for (size_t i = 0; i < COUNT(unknown); i++) {
        EQ(lora_payload_max(r, unknown[i], false), 0);
        TRUE(!lora_dr_is_usable(r, unknown[i], false));
        EQ(lora_dr_airtime_us(r, unknown[i], 10, true), 0);
        EQ(lora_rx1_dr(r, unknown[i], 0, false), -1);
    }
    EQ(lora_rx1_dr(r, 2, -1, false), -1);
    EQ(lora_rx1_dr(r, 2, 8, false), -1);
    TRUE(lora_rx1_dr(r, 2, 7, false) >= 0);
    EQ(lora_dr_find_fsk(r, 50000), 7);
    EQ(lora_dr_find_fsk(r, 49999), -1);
    EQ(lora_channel_index(r, LORA_UP, 923200000), 0);
    EQ(lora_channel_index(r, LORA_UP, 923200001), -1);
    EQ(lora_channel_hz(r, LORA_UP, -1), 0);
    EQ(lora_airtime_us(4, 125000, 10, true), 0);
    EQ(lora_airtime_us(13, 125000, 10, true), 0);
    EQ(lora_airtime_us(7, 0, 10, true), 0);
    TRUE(lora_airtime_us(12, 125000, 0, false) > 0);                /* fewer bits than one symbol: the preamble alone */
    TRUE(lora_airtime_us(5, 125000, 10, true) < lora_airtime_us(7, 125000, 10, true));
    EQ(lora_eirp_index(7), 0);
    EQ(lora_eirp_dbm(lora_eirp_index(13)), 13);
    EQ(lora_eirp_dbm(lora_eirp_index(15)), 14);
    EQ(lora_eirp_dbm(lora_eirp_index(99)), 36);
}

TEST(a_frequency_lies_in_one_sub_band_or_in_none)
{
    const struct lora_region *r = lora_region_by_name(S("EU868"));
    TRUE(r && r->sub_band_count > 0);
    for (size_t i = 0; r && i < r->sub_band_count; i++) {
        TRUE(lora_sub_band_of(r, r->sub_band[i].min_hz) != NULL);
        TRUE(lora_sub_band_of(r, r->sub_band[i].max_hz) != NULL);
    }
    TRUE(r && !lora_sub_band_of(r, 1) && !lora_sub_band_of(r, 923200000));
}

TEST(a_plan_that_the_law_or_its_region_does_not_bear_is_refused_in_words)
{
    const struct lora_plan *good = lora_plan_by_name(S("as923-1-jp"));
    TRUE(good && !lora_plan_fault(good) && !lora_plan_by_name(S("AS923-1-JP3")));
    TRUE(good == lora_plan_at(0) && !lora_plan_at(99));
    struct lora_plan p[7];
    for (size_t i = 0; i < COUNT(p); i++)
        p[i] = *good;
    p[0].channel_count  = 0;
    p[1].channel_count  = COUNT(p[1].channel_hz) + 1;
    p[2].channel_hz[7]  = p[2].min_hz - 1;
    p[3].channel_hz[7]  = p[3].max_hz + 1;
    p[4].channel_hz[7]  = 923600000;
    p[5].channel_hz[0]  = 922400000;
    p[6].min_hz         = 0;                                        /* as it is, but RX2 is moved away below */
    static const char *const faults[] = {
        "a plan has 1 to 16 channels", "a plan has 1 to 16 channels", "a channel lies outside the band that the law gives",
        "a channel lies outside the band that the law gives", "a channel on which sends are short needs dwell time",
        "a default channel of the region is missing: devices join on it",
        "RX2 is not among the channels: with carrier sense nothing could be sent there",
    };
    struct lora_region moved = *good->region;
    moved.rx2_hz = 921000000;
    p[6].region  = &moved;
    for (size_t i = 0; i < COUNT(p); i++)
        STR_EQ(str_z(lora_plan_fault(&p[i])), str_z(faults[i]));
    p[6].lbt_us = 0;                                                /* who does not listen first may send anywhere */
    TRUE(!lora_plan_fault(&p[6]));
    p[4].dwell_up = true;
    TRUE(!lora_plan_fault(&p[4]));
    EQ(lora_plan_send_ms_max(good, 923400000), 4000);
    EQ(lora_plan_send_ms_max(good, 923400001), 400);
    EQ(lora_plan_hour_ms_max(good, 923400000), 0);
    EQ(lora_plan_hour_ms_max(good, 923400001), 360000);
    struct lora_plan anywhere = *good;
    anywhere.long_hz_max = 0;
    EQ(lora_plan_send_ms_max(&anywhere, 927000000), 4000);
}

/* ------------------------------------------------------------------ class B, multicast */

TEST(a_beacon_has_a_length_for_each_spreading_factor_and_two_checksums)
{
    struct lora_beacon b = { 2, 1, 1400000000, -1234567, 7654321 }, back;
    static const u8 none[] = { 0, 7, 13 };
    for (size_t i = 0; i < COUNT(none); i++) {
        u8 room[LORA_BEACON_MAX];
        struct buf out = BUF(room);
        EQ(lora_beacon_build(&out, none[i], &b), LORA_BAD_FIELD);
        EQ(lora_beacon_parse(&back, none[i], (struct bytes){ room, 17 }), LORA_BAD_FIELD);
    }
    u8 room[LORA_BEACON_MAX + 1] = { 0 };
    struct buf out = BUF(room), small = buf_of(room, 16);
    EQ(lora_beacon_build(&small, 9, &b), LORA_NO_ROOM);
    EQ(lora_beacon_build(&out, 9, &b), LORA_OK);
    EQ(lora_beacon_parse(&back, 9, (struct bytes){ room, out.n + 1 }), LORA_TOO_LONG);
    room[2] ^= 1;                                                   /* in the time */
    EQ(lora_beacon_parse(&back, 9, (struct bytes){ room, out.n }), LORA_BAD_CRC);
}

TEST(before_the_first_beacon_the_first_ping_slot_is_awaited)
{
    EQ(lora_ping_next_us(-1, 0x01020304, 1), lora_ping_next_us(0, 0x01020304, 1));
    EQ(lora_ping_next_us(-1000000000, 0x01020304, 128), lora_ping_next_us(0, 0x01020304, 128));
}

/* TS005: the device encrypts what it was sent, so the server decrypts what it sends. */
TEST(a_multicast_key_is_what_the_device_gets_by_encrypting_what_was_sent)
{
    u8 ke[16], mc[16], sent[16], got[16];
    for (u8 i = 0; i < 16; i++)
        ke[i] = i, mc[i] = (u8)(0xF0 | i);
    lora_mc_key_encrypt(sent, ke, mc);
    struct lora_key key = { 0 };
    lora_key_set(&key, ke);
    lora_aes(got, &key, sent);
    lora_key_clear(&key);
    BYTES_EQ(((struct bytes){ got, 16 }), ((struct bytes){ mc, 16 }));
    TRUE(memcmp(sent, mc, 16) != 0);
}
