// SPDX-License-Identifier: Apache-2.0
/* What packet forwarders send, as the protocol document and the forwarders themselves write it. */
#include "base/test.h"
#include "wire/semtech.h"

/* ------------------------------------------------------------------ datagrams */

static enum semtech_fault parse(struct semtech_message *m, const char *hex)
{
    u8 *room = arena_take(test_arena(), 64, 1);
    size_t n;
    TRUE(hex_read(room, 64, &n, str_z(hex)));
    return semtech_parse(m, (struct bytes){ room, n });
}

TEST(a_datagram_is_version_token_kind_and_eui)
{
    struct semtech_message m;
    EQ(parse(&m, "02beef00a84041fffe1234567b7d"), SEMTECH_FINE);
    EQ(m.version, 2);
    EQ(m.token, 0xBEEF);
    EQ(m.kind, SEMTECH_PUSH_DATA);
    TRUE(m.eui == 0xA84041FFFE123456ULL);
    STR_EQ(m.json, S("{}"));
    EQ(parse(&m, "01000002a84041fffe123456"), SEMTECH_FINE);
    EQ(m.version, 1);
    EQ(m.kind, SEMTECH_PULL_DATA);
    STR_EQ(m.json, S(""));
    EQ(parse(&m, "02000105a84041fffe123456"), SEMTECH_FINE);
    EQ(m.kind, SEMTECH_TX_ACK);
}

TEST(every_shorter_prefix_of_a_datagram_is_refused)
{
    static const u8 whole[] = { 2, 0, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8 };
    struct semtech_message m;
    for (size_t n = 0; n < sizeof whole; n++)
        EQ(semtech_parse(&m, (struct bytes){ whole, n }), SEMTECH_SHORT);
    EQ(semtech_parse(&m, (struct bytes){ whole, sizeof whole }), SEMTECH_FINE);
}

TEST(only_what_a_gateway_sends_is_taken)
{
    struct semtech_message m;
    for (int version = 0; version < 256; version++)
        for (int kind = 0; kind < 256; kind++) {
            u8 d[12] = { (u8)version, 0, 0, (u8)kind };
            bool known = version == 1 || version == 2, sent = kind == 0 || kind == 2 || kind == 5;
            EQ(semtech_parse(&m, (struct bytes){ d, 12 }), !known ? SEMTECH_VERSION
                                                           : sent ? SEMTECH_FINE
                                                                  : SEMTECH_KIND);
        }
}

TEST(an_acknowledgement_is_four_bytes_with_the_same_token)
{
    u8 room[4];
    struct semtech_message push = { .version = 2, .token = 0xABCD, .kind = SEMTECH_PUSH_DATA };
    struct semtech_message pull = { .version = 1, .token = 0x0102, .kind = SEMTECH_PULL_DATA };
    static const u8 push_ack[] = { 2, 0xAB, 0xCD, 1 }, pull_ack[] = { 1, 1, 2, 4 };
    BYTES_EQ(semtech_ack(room, &push), ((struct bytes){ push_ack, 4 }));
    BYTES_EQ(semtech_ack(room, &pull), ((struct bytes){ pull_ack, 4 }));
}

/* ------------------------------------------------------------------ rxpk */

static enum semtech_fault read_rx(struct semtech_rx *rx, struct str text)
{
    const struct json *doc;
    EQ(json_read(&doc, text, test_arena(), JSON_LENIENT, NULL), OK);
    return semtech_rx_read(rx, doc, test_arena());
}

#define HEAD                                                                                                           \
    "{\"tmst\":3512348611,\"chan\":2,\"rfch\":0,\"freq\":922.4,\"stat\":1,\"modu\":\"LORA\",\"datr\":\"SF7BW125\","    \
    "\"codr\":\"4/6\",\"rssi\":-35,\"lsnr\":5.1,\"size\":4,\"data\":\"QL7pAA==\""
#define RX(more) read_rx(&rx, S(HEAD more "}"))
/* The same with one member written otherwise: the head without it, and then it. */
#define BUT(member)                                                                                                    \
    read_rx(                                                                                                           \
        &rx,                                                                                                           \
        S("{\"tmst\":1,\"freq\":922.4,\"modu\":\"LORA\",\"datr\":\"SF10BW125\",\"rssi\":-35,\"lsnr\":5," member "}"))
#define DATA        "\"data\":\"QL7pAA==\""

TEST(an_rxpk_of_the_protocol_document_is_read)
{
    struct semtech_rx rx;
    static const u8 phy[] = { 0x40, 0xbe, 0xe9, 0x00 };
    EQ(RX(""), SEMTECH_FINE);
    EQ(rx.tmst_us, 3512348611);
    EQ(rx.freq_hz, 922400000);
    EQ(rx.sf, 7);
    EQ(rx.bw_hz, 125000);
    EQ(rx.rssi_dbm, -35);
    EQ(rx.snr_cb, 51);
    EQ(rx.crc, SEMTECH_CRC_OK);
    EQ(rx.gateway_us, 0);
    EQ(rx.rf_chain, 0);
    BYTES_EQ(rx.phy, ((struct bytes){ phy, 4 }));
    EQ(RX(",\"jver\":1,\"mid\":8,\"rssis\":-37,\"foff\":-120,\"tmms\":1400000000000,\"ftime\":0,\"aesk\":0"),
       SEMTECH_FINE);
}

TEST(megahertz_are_rounded_to_hertz)
{
    static const struct { const char *mhz; u32 hz; } rows[] = {
        /* the double is a little less than the number written: cut off, it would miss by one */
        { "922.4", 922400000 }, { "922.6", 922600000 },      { "923.4", 923400000 },       { "920.6", 920600000 },
        { "923.2", 923200000 }, { "923.200000", 923200000 }, { "923.1999996", 923200000 }, { "923.200001", 923200001 },
        { "868.3", 868300000 }, { "9.222e2", 922200000 },    { "433.175", 433175000 },     { "2425.0", 2425000000u },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct semtech_rx rx;
        struct str text = str_fmt(test_arena(),
                                  "{\"tmst\":1,\"freq\":%s,\"modu\":\"LORA\",\"datr\":\"SF7BW125\",\"rssi\":-1,"
                                  "\"lsnr\":1,\"data\":\"QL7pAA==\"}",
                                  rows[i].mhz);
        EQ(read_rx(&rx, text), SEMTECH_FINE);
        EQ(rx.freq_hz, rows[i].hz);
    }
}

TEST(data_is_base64_in_all_its_spellings)
{
    static const u8 phy[] = { 0xfb, 0xef, 0xbe, 0xbf, 0xff, 0xff };
    static const char *const same[] = {
        "++++v///", "----v___", "+-+-v/_/", "--++v_//", "++++\\r\\nv///", "++++v///\\n"
    };
    struct semtech_rx rx;
    for (size_t i = 0; i < COUNT(same); i++) {
        struct str text = str_fmt(test_arena(),
                                  "{\"tmst\":1,\"freq\":922.4,\"modu\":\"LORA\",\"datr\":\"SF7BW125\",\"rssi\":-1,"
                                  "\"lsnr\":1,\"data\":\"%s\"}",
                                  same[i]);
        EQ(read_rx(&rx, text), SEMTECH_FINE);
        BYTES_EQ(rx.phy, ((struct bytes){ phy, 6 }));
    }
    EQ(BUT("\"data\":\"QL7pAA==\""), SEMTECH_FINE);
    EQ(rx.phy.n, 4);
    EQ(BUT("\"data\":\"QL7pAA\""), SEMTECH_FINE);          /* without its padding */
    EQ(rx.phy.n, 4);
    EQ(BUT("\"data\":\"QL7pAA=\""), SEMTECH_FINE);
    EQ(rx.phy.n, 4);
    EQ(BUT("\"data\":\"\""), SEMTECH_FINE);                /* empty: for lora/ to refuse */
    EQ(rx.phy.n, 0);
}

TEST(data_that_is_no_base64_is_refused)
{
    struct semtech_rx rx;
    EQ(BUT("\"data\":\"QL7pA\""), SEMTECH_BASE64);         /* a lone last digit */
    EQ(BUT("\"data\":\"QL 7pAA==\""), SEMTECH_BASE64);
    EQ(BUT("\"data\":\"QL7p!A==\""), SEMTECH_BASE64);
    EQ(BUT("\"data\":\"QL==7pAA\""), SEMTECH_BASE64);
    EQ(BUT("\"data\":\"QL7p\\u0000A==\""), SEMTECH_BASE64);
    EQ(BUT("\"data\":\"富山\""), SEMTECH_BASE64);
    EQ(BUT("\"data\":\"\\ud800\""), SEMTECH_FIELD);        /* no string at all */
    EQ(BUT("\"data\":\"QL7p\nAA==\""), SEMTECH_FIELD);     /* a bare control character ends a JSON string's soundness */
    EQ(BUT("\"data\":5"), SEMTECH_FIELD);
    EQ(BUT("\"data\":null"), SEMTECH_FIELD);
    EQ(BUT("\"data\":[\"QL7pAA==\"]"), SEMTECH_FIELD);
    EQ(BUT("\"mid\":0"), SEMTECH_FIELD);                   /* missing */
}

TEST(size_is_what_the_data_holds_or_absent)
{
    struct semtech_rx rx;
    EQ(BUT(DATA), SEMTECH_FINE);
    EQ(BUT(DATA ",\"size\":4"), SEMTECH_FINE);
    EQ(BUT(DATA ",\"size\":4.0"), SEMTECH_FINE);
    EQ(BUT(DATA ",\"size\":3"), SEMTECH_SIZE);
    EQ(BUT(DATA ",\"size\":5"), SEMTECH_SIZE);
    EQ(BUT(DATA ",\"size\":-4"), SEMTECH_SIZE);
    EQ(BUT(DATA ",\"size\":\"4\""), SEMTECH_SIZE);
    EQ(BUT(DATA ",\"size\":18446744073709551620"), SEMTECH_SIZE);
}

TEST(a_frame_has_at_most_255_bytes)
{
    for (size_t size = 250; size <= 400; size++) {
        u8 *p = arena_take(test_arena(), size, 1);
        struct semtech_rx rx;
        struct str text = str_fmt(test_arena(),
                                  "{\"tmst\":1,\"freq\":922.4,\"modu\":\"LORA\",\"datr\":\"SF7BW125\",\"rssi\":-1,"
                                  "\"lsnr\":1,\"data\":\"%.*s\"}",
                                  STR(base64_str(test_arena(), (struct bytes){ p, size })));
        EQ(read_rx(&rx, text), size <= 255 ? SEMTECH_FINE : SEMTECH_LONG);
        EQ(rx.phy.n, size <= 255 ? size : 0);
    }
}

static enum semtech_fault read_modulation(struct semtech_rx *rx, const char *members)
{
    return read_rx(rx, str_fmt(test_arena(),
                               "{\"tmst\":1,\"freq\":922.4,\"rssi\":-1,\"lsnr\":1,\"data\":\"QL7pAA==\"%s}", members));
}

TEST(the_rate_of_lora_is_a_string_and_of_fsk_a_number)
{
    static const struct { const char *members; u8 sf; u32 bw_hz, bitrate; } rows[] = {
        { ",\"modu\":\"LORA\",\"datr\":\"SF12BW125\"", 12, 125000, 0 },
        { ",\"modu\":\"LORA\",\"datr\":\"SF7BW250\"",   7, 250000, 0 },
        { ",\"modu\":\"LORA\",\"datr\":\"SF5BW500\"",   5, 500000, 0 },
        { ",\"modu\":\"LORA\",\"datr\":\"SF8BW812\"",   8, 812000, 0 },
        { ",\"modu\":\"FSK\",\"datr\":50000",           0,      0, 50000 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct semtech_rx rx;
        EQ(read_modulation(&rx, rows[i].members), SEMTECH_FINE);
        EQ(rx.sf, rows[i].sf);
        EQ(rx.bw_hz, rows[i].bw_hz);
        EQ(rx.bitrate, rows[i].bitrate);
    }
}

TEST(other_modulations_and_rates_are_not_known)
{
    static const char *const rows[] = {
        ",\"modu\":\"FSK\",\"datr\":\"50000\"",      ",\"modu\":\"FSK\",\"datr\":0",
        ",\"modu\":\"FSK\",\"datr\":1e9",            ",\"modu\":\"FSK\",\"datr\":50000.5",
        ",\"modu\":\"FSK\",\"datr\":-50000",         ",\"modu\":\"LORA\",\"datr\":50000",
        ",\"modu\":\"LORA\",\"datr\":\"SF4BW125\"",  ",\"modu\":\"LORA\",\"datr\":\"SF13BW125\"",
        ",\"modu\":\"LORA\",\"datr\":\"SF10\"",      ",\"modu\":\"LORA\",\"datr\":\"BW125\"",
        ",\"modu\":\"LORA\",\"datr\":\"SFBW\"",      ",\"modu\":\"LORA\",\"datr\":\"SF10BW\"",
        ",\"modu\":\"LORA\",\"datr\":\"SF10BW0\"",   ",\"modu\":\"LORA\",\"datr\":\"SF10BW-125\"",
        ",\"modu\":\"LORA\",\"datr\":\"SF10BW9999999\"", ",\"modu\":\"LORA\",\"datr\":\"\"",
        ",\"modu\":\"LORA\"",                        ",\"modu\":\"LR-FHSS\",\"datr\":\"M0CW137\"",
        ",\"modu\":\"lora\",\"datr\":\"SF7BW125\"",  ",\"modu\":7,\"datr\":\"SF7BW125\"",
        ",\"datr\":\"SF7BW125\"",                    "",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct semtech_rx rx;
        EQ(read_modulation(&rx, rows[i]), SEMTECH_MODULATION);
    }
}

TEST(stat_says_whether_the_checksum_was_right)
{
    struct semtech_rx rx;
    EQ(BUT(DATA), SEMTECH_FINE);
    EQ(rx.crc, SEMTECH_CRC_OK);                            /* absent: forwarders that send only good ones */
    EQ(BUT(DATA ",\"stat\":1"), SEMTECH_FINE);
    EQ(rx.crc, SEMTECH_CRC_OK);
    EQ(BUT(DATA ",\"stat\":0"), SEMTECH_FINE);
    EQ(rx.crc, SEMTECH_CRC_NONE);
    EQ(BUT(DATA ",\"stat\":-1"), SEMTECH_FINE);
    EQ(rx.crc, SEMTECH_CRC_BAD);
    EQ(BUT(DATA ",\"stat\":2"), SEMTECH_FIELD);
    EQ(BUT(DATA ",\"stat\":0.5"), SEMTECH_FIELD);
    EQ(BUT(DATA ",\"stat\":true"), SEMTECH_FIELD);
}

TEST(numbers_that_cannot_be_are_refused)
{
    struct semtech_rx rx;
    static const char *const rows[] = {
        "\"tmst\":4294967296", "\"tmst\":18446744073709551616",
        "\"tmst\":-1",         "\"tmst\":1.5",
        "\"tmst\":\"1\"",      "\"tmst\":NaN",
        "\"freq\":NaN",        "\"freq\":1e999",
        "\"freq\":-922.4",     "\"freq\":-0",
        "\"freq\":0",          "\"freq\":1e9",
        "\"freq\":\"922.4\"",  "\"freq\":922400000",
        "\"rssi\":NaN",        "\"rssi\":1e6",
        "\"rssi\":\"-1\"",     "\"lsnr\":Infinity",
        "\"lsnr\":-4000",      "\"lsnr\":null",
    };
    static const char *const rest[] = { "\"tmst\":1", "\"freq\":922.4", "\"rssi\":-1", "\"lsnr\":1" };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text t = text_make(test_arena(), 1 << 10);
        text_fmt(&t, "{%s,\"modu\":\"LORA\",\"datr\":\"SF7BW125\",\"data\":\"QL7pAA==\"", rows[i]);
        for (size_t k = 0; k < COUNT(rest); k++)
            if (memcmp(rest[k], rows[i], 6) != 0)
                text_fmt(&t, ",%s", rest[k]);
        text_put(&t, S("}"));
        EQ(read_rx(&rx, text_str(&t)), SEMTECH_FIELD);
    }
    EQ(read_rx(
           &rx,
           S("{\"tmst\":4294967295,\"freq\":922.4,\"modu\":\"LORA\",\"datr\":\"SF7BW125\",\"rssi\":-0,\"lsnr\":-0," DATA
             "}")),
       SEMTECH_FINE);
    EQ(rx.tmst_us, UINT32_MAX);
}

TEST(what_nobody_reads_may_be_anything)
{
    struct semtech_rx rx;
    EQ(RX(",\"chan\\u0031\":NaN,\"foff\":1e999,\"codr\\t\":\"\xff\",\"x\":[[[]]]"), SEMTECH_FINE);
    EQ(RX(",\"tmms\":-1,\"ftime\":{},\"jver\":[]"), SEMTECH_FINE);
}

TEST(a_name_that_stands_twice_refuses_its_object)
{
    struct semtech_rx rx;
    EQ(RX(",\"data\":\"AAAA\""), SEMTECH_FIELD);
    EQ(RX(",\"chan\":3"), SEMTECH_FIELD);
    EQ(RX(",\"d\\u0061ta\":\"AAAA\""), SEMTECH_FIELD);      /* the same name in other letters */
}

TEST(what_is_no_object_is_no_rxpk)
{
    struct semtech_rx rx;
    static const char *const rows[] = { "5", "null", "\"x\"", "[]", "{}", "true" };
    for (size_t i = 0; i < COUNT(rows); i++)
        EQ(read_rx(&rx, str_z(rows[i])), SEMTECH_FIELD);
}

TEST(forwarders_pad_with_blanks)
{
    struct semtech_rx rx;
    EQ(read_rx(&rx, S(" {\"tmst\" : 12 ,\t\"freq\":  922.400000,\"chan\": 0,\"mid\": 0, "
                      "\"modu\":\"LORA\",\r\n\"datr\":\"SF7BW125\","
                      "\"rssi\":-12 ,\"lsnr\": 9.8 ,\"size\": 4 ,\"data\":\"QL7pAA==\" } ")),
       SEMTECH_FINE);
    EQ(rx.snr_cb, 98);
}

TEST(a_gateway_without_gps_has_no_time)
{
    static const struct { const char *time; i64 us; } rows[] = {
        { "\"2026-02-10T07:00:00.000000Z\"", 1770706800000000 },
        { "\"2026-02-10T07:00:00.528002Z\"", 1770706800528002 },
        { "\"1970-01-01T00:00:01Z\"", 1000000 },
        { "\"2038-01-19T03:14:08Z\"", 2147483648000000 },
        { "\"9999-12-31T23:59:59Z\"", 253402300799000000 },
        { "\"2026-02-30T07:00:00Z\"", 0 },                  /* no such day */
        { "\"GPS lost\"", 0 }, { "\"\"", 0 }, { "null", 0 }, { "1770706800", 0 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct semtech_rx rx;
        EQ(read_rx(&rx, str_fmt(test_arena(), HEAD ",\"time\":%s}", rows[i].time)), SEMTECH_FINE);
        EQ(rx.gateway_us, rows[i].us);
    }
}

TEST(of_several_antennas_the_best_one_counts)
{
    struct semtech_rx rx;
#define TWO "{\"tmst\":1,\"freq\":922.4,\"modu\":\"LORA\",\"datr\":\"SF10BW125\"," DATA
    EQ(read_rx(&rx,
               S(TWO
                 ",\"rsig\":[{\"ant\":0,\"chan\":1,\"rssic\":-75,\"lsnr\":-3.5},{\"ant\":1,\"rssic\":-80,\"lsnr\":9.2},"
                 "{\"ant\":2,\"rssic\":-70,\"lsnr\":1},{\"ant\":3,\"rssic\":-70,\"lsnr\":1},{\"ant\":4,\"rssic\":-70,"
                 "\"lsnr\":1},"
                 "{\"ant\":5,\"rssic\":-70,\"lsnr\":1},{\"ant\":6,\"rssic\":-70,\"lsnr\":1},{\"ant\":7,\"rssic\":-70,"
                 "\"lsnr\":1}]}")),
       SEMTECH_FINE);
    EQ(rx.antenna, 1);
    EQ(rx.snr_cb, 92);
    EQ(rx.rssi_dbm, -80);
    EQ(read_rx(&rx, S(TWO ",\"rsig\":[5,null,{\"ant\":300,\"rssic\":-75,\"lsnr\":2},{\"rssic\":\"x\",\"lsnr\":9}]}")),
       SEMTECH_FINE);
    EQ(rx.antenna, 0);
    EQ(rx.snr_cb, 20);
    EQ(read_rx(&rx, S(TWO ",\"rsig\":[]}")), SEMTECH_FIELD);
    EQ(read_rx(&rx, S(TWO ",\"rsig\":7}")), SEMTECH_FIELD);
    EQ(read_rx(&rx, S(TWO "}")), SEMTECH_FIELD);
}

TEST(every_cut_of_an_rxpk_is_refused_or_whole)
{
    struct str whole = S(HEAD ",\"time\":\"2026-02-10T07:00:00Z\",\"rsig\":[{\"ant\":0,\"rssic\":-75,\"lsnr\":-3.5}]}");
    for (size_t n = 0; n < whole.n; n++) {
        const struct json *doc;
        TRUE(json_read(&doc, (struct str){ whole.p, n }, test_arena(), JSON_LENIENT, NULL) != OK);
    }
}

/* ------------------------------------------------------------------ txpk */

TEST(a_downlink_is_written_as_forwarders_read_it)
{
    struct semtech_tx tx = { .tmst_us = 3512348611u, .freq_hz = 922400000, .bw_hz = 125000, .power_dbm = 13, .sf = 10,
                             .phy = bytes_of(S("\x60\x01\x02\x03\xfb\xff")) };
    struct bytes out = semtech_tx_write(&tx, 2, 0xBEEF, test_arena());
    static const u8 head[] = { 2, 0xBE, 0xEF, 3 };
    BYTES_EQ(((struct bytes){ out.p, 4 }), ((struct bytes){ head, 4 }));
    STR_EQ(
        str_of((struct bytes){ out.p + 4, out.n - 4 }),
        S("{\"txpk\":{\"imme\":false,\"tmst\":3512348611,\"freq\":922.400000,\"rfch\":0,\"powe\":13,\"modu\":\"LORA\","
          "\"datr\":\"SF10BW125\",\"codr\":\"4/5\",\"ipol\":true,\"ncrc\":true,\"size\":6,\"data\":\"YAECA/v/\"}}"));
}

TEST(frequencies_of_downlinks_are_exact_to_the_hertz)
{
    static const u32 hz[] = { 920600000, 922000000, 922200000, 922400000, 922600000,
                              923200000, 923400000, 928000000, 868100001 };
    for (size_t i = 0; i < COUNT(hz); i++) {
        struct semtech_tx tx = { .freq_hz = hz[i], .bw_hz = 125000, .sf = 7 };
        struct bytes out = semtech_tx_write(&tx, 2, 0, test_arena());
        const struct json *doc;
        double mhz;
        EQ(json_read(&doc, str_of((struct bytes){ out.p + 4, out.n - 4 }), test_arena(), JSON_STRICT, NULL), OK);
        TRUE(json_double(&mhz, json_get(json_get(doc, S("txpk")), S("freq"))));
        EQ((u32)(mhz * 1e6 + 0.5), hz[i]);
    }
}

TEST(an_fsk_downlink_has_a_bitrate_and_a_deviation)
{
    struct semtech_tx tx = { .tmst_us = 5, .freq_hz = 923200000, .bitrate = 50000, .power_dbm = -1, .rf_chain = 1,
                             .phy = bytes_of(S("\x60")) };
    struct bytes out = semtech_tx_write(&tx, 1, 7, test_arena());
    STR_EQ(str_of((struct bytes){ out.p + 4, out.n - 4 }), S("{\"txpk\":{\"imme\":false,\"tmst\":5,\"freq\":923.200000,"
                                                             "\"rfch\":1,\"powe\":-1,\"modu\":\"FSK\",\"datr\":50000,"
                                                             "\"fdev\":25000,\"size\":1,\"data\":\"YA==\"}}"));
}

TEST(the_longest_downlink_fits_a_datagram)
{
    u8 *phy = arena_take(test_arena(), SEMTECH_PHY_MAX, 1);
    struct semtech_tx tx = { .tmst_us   = UINT32_MAX,
                             .freq_hz   = 2425000000u,
                             .bw_hz     = 812000,
                             .power_dbm = -128,
                             .sf        = 12,
                             .rf_chain  = 255,
                             .phy       = { phy, SEMTECH_PHY_MAX } };
    TRUE(semtech_tx_write(&tx, 2, 0xFFFF, test_arena()).n < 1000);      /* forwarders read 1,000 bytes */
}

/* ------------------------------------------------------------------ TX_ACK */

TEST(a_tx_ack_says_what_became_of_a_downlink)
{
    static const struct { const char *json; bool read; const char *error; } rows[] = {
        { "", true, "" },
        { "  ", true, "" },
        { "{}", true, "" },
        { "{\"txpk_ack\":{}}", true, "" },
        { "{\"txpk_ack\":{\"error\":\"NONE\"}}", true, "" },
        { "{\"txpk_ack\":{\"error\":\"TX_POWER\"}}", true, "" }, /* before v1.5: sent all the same */
        { "{\"txpk_ack\":{\"warn\":\"TX_POWER\",\"value\":20}}", true, "" },
        { "{\"txpk_ack\":{\"error\":\"TOO_LATE\"}}", true, "TOO_LATE" },
        { "{\"txpk_ack\": {\"error\": \"COLLISION_PACKET\" }}\n", true, "COLLISION_PACKET" },
        { "{\"txpk_ack\":{\"error\":\"GPS_UNLOCKED\",\"warn\":\"TX_POWER\"}}", true, "GPS_UNLOCKED" },
        { "{\"txpk_ack\":{\"error\":\"something new\"}}", true, "something new" },
        { "{\"txpk_ack\":{\"error\":5}}", false, "" },
        { "{\"txpk_ack\":{\"error\":\"\xff\"}}", false, "" },
        { "[]", false, "" },
        { "{\"txpk_ack\":", false, "" },
        { "TOO_LATE", false, "" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct semtech_message m = { .kind = SEMTECH_TX_ACK, .json = str_z(rows[i].json) };
        struct str error;
        EQ(semtech_ack_error(&error, &m, test_arena()), rows[i].read);
        STR_EQ(error, str_z(rows[i].error));
    }
}
