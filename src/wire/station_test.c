// SPDX-License-Identifier: Apache-2.0
/*
 * What a Station of 2.0.6 wrote, with numbers as it writes them; and each frame that is taken apart here as Station
 * does it must come together byte for byte.
 */
#include "base/test.h"
#include "wire/station.h"

static enum station_fault read(struct station_message *m, const char *text)
{
    return station_read(m, str_z(text), test_arena());
}

static bool same_bytes(struct bytes b, const char *hex)
{
    u8 want[256];
    size_t n;
    return hex_read(want, sizeof want, &n, str_z(hex)) && bytes_eq(b, (struct bytes){ want, n });
}

#define UPINFO "\"upinfo\":{\"rctx\":0,\"xtime\":11258999338915241,\"gpstime\":0,\"fts\":-1,\"rssi\":-71,\"snr\":9.25,\"rxtime\":1636552345.123456}"
#define UPDF(fields) "{\"msgtype\":\"updf\",\"MHdr\":64," fields ",\"RefTime\":0.000000,\"DR\":2,\"Freq\":923200000," UPINFO "}"

TEST(a_data_frame_comes_together_again_with_its_signed_numbers)
{
    struct station_message m;
    EQ(read(&m, UPDF("\"DevAddr\":-1966079,\"FCtrl\":130,\"FCnt\":65535,\"FOpts\":\"0307\",\"FPort\":2,\"FRMPayload\":\"CAFE01\",\"MIC\":-1")), STATION_FINE);
    EQ(m.kind, STATION_FRAME);
    TRUE(same_bytes(m.frame.phy, "40" "0100e2ff" "82" "ffff" "0307" "02" "cafe01" "ffffffff"));
    EQ(m.frame.xtime, 11258999338915241);
    EQ(m.frame.rctx, 0);
    EQ(m.frame.dr, 2);
    EQ(m.frame.freq_hz, 923200000);
    EQ(m.frame.rssi_dbm, -71);
    EQ(m.frame.snr_cb, 93);
    EQ(m.frame.gps_us, 0);
    EQ(m.frame.utc_us, 1636552345123456);
}

TEST(a_frame_without_a_port_has_none)
{
    struct station_message m;
    EQ(read(&m, UPDF("\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":-1,\"FRMPayload\":\"\",\"MIC\":287454020")), STATION_FINE);
    TRUE(same_bytes(m.frame.phy, "40" "01000000" "00" "0700" "44332211"));
    EQ(read(&m, UPDF("\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":0,\"FRMPayload\":\"\",\"MIC\":0")), STATION_FINE);
    TRUE(same_bytes(m.frame.phy, "40" "01000000" "00" "0700" "00" "00000000"));
}

TEST(what_contradicts_itself_is_no_frame)
{
    static const char *const wrong[] = {
        UPDF("\"DevAddr\":1,\"FCtrl\":1,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":1,\"FRMPayload\":\"\",\"MIC\":1"),
        UPDF("\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"03\",\"FPort\":1,\"FRMPayload\":\"\",\"MIC\":1"),
        UPDF("\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":-1,\"FRMPayload\":\"00\",\"MIC\":1"),
        UPDF("\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":256,\"FRMPayload\":\"00\",\"MIC\":1"),
        UPDF("\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":65536,\"FOpts\":\"\",\"FPort\":1,\"FRMPayload\":\"00\",\"MIC\":1"),
        UPDF("\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":1,\"FRMPayload\":\"0\",\"MIC\":1"),
        UPDF("\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":1,\"FRMPayload\":\"xx\",\"MIC\":1"),
        UPDF("\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":null,\"FPort\":1,\"FRMPayload\":\"00\",\"MIC\":1"),
        UPDF("\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":1,\"FRMPayload\":\"00\",\"MIC\":1.5"),
        UPDF("\"DevAddr\":8589934592,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":1,\"FRMPayload\":\"00\",\"MIC\":1"),
        UPDF("\"DevAddr\":1,\"DevAddr\":2,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":1,\"FRMPayload\":\"00\",\"MIC\":1"),
        "{\"msgtype\":\"updf\",\"MHdr\":64,\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":1,\"FRMPayload\":\"\",\"MIC\":1,\"DR\":2,\"Freq\":923200000}",
        "{\"msgtype\":\"updf\",\"MHdr\":64,\"DevAddr\":1,\"FCtrl\":0,\"FCnt\":7,\"FOpts\":\"\",\"FPort\":1,\"FRMPayload\":\"\",\"MIC\":1,\"DR\":16,\"Freq\":923200000," UPINFO "}",
        "{\"msgtype\":\"propdf\",\"FRMPayload\":\"\",\"DR\":2,\"Freq\":923200000," UPINFO "}",
        "{\"msgtype\":\"dntxed\"}", "{\"msgtype\":\"timesync\"}", "{\"msgtype\":\"timesync\",\"txtime\":1e99}",
    };
    struct station_message m;
    for (size_t i = 0; i < COUNT(wrong); i++)
        EQ(read(&m, wrong[i]), STATION_FIELD);
    EQ(read(&m, "[]"), STATION_JSON);
    EQ(read(&m, "{\"msgtype\":"), STATION_JSON);
    EQ(read(&m, ""), STATION_JSON);
}

TEST(a_frame_is_never_longer_than_the_air_carries)
{
    struct station_message m;
    for (u32 n = 240; n <= 260; n++) {
        struct text t = text_make(test_arena(), 4096);
        text_fmt(&t, "{\"msgtype\":\"propdf\",\"FRMPayload\":\"");
        for (u32 i = 0; i < n; i++)
            text_fmt(&t, "e%x", i % 16);
        text_fmt(&t, "\",\"DR\":2,\"Freq\":923200000," UPINFO "}");
        EQ(station_read(&m, text_str(&t), test_arena()), n <= 255 ? STATION_FINE : STATION_FIELD);
        if (n <= 255)
            EQ(m.frame.phy.n, n);
    }
}

TEST(a_join_request_comes_together_again)
{
    static const char *const spellings[] = { "JoinEui\":\"70-B3-D5-7E-D0-FF-FF-FF\",\"DevEui\":\"70-B3-D5-7E-D0-00-00-01",
                                             "JoinEUI\":\"70b3d57ed0ffffff\",\"DevEUI\":\"70:b3:d5:7e:d0:00:00:01" };
    struct station_message m;
    for (size_t i = 0; i < COUNT(spellings); i++) {
        struct str text = str_fmt(test_arena(), "{\"msgtype\":\"jreq\",\"MHdr\":0,\"%s\",\"DevNonce\":301,\"MIC\":-2023406815,\"RefTime\":0,"
                                                "\"DR\":5,\"Freq\":923400000," UPINFO "}", spellings[i]);
        EQ(station_read(&m, text, test_arena()), STATION_FINE);
        TRUE(same_bytes(m.frame.phy, "00" "ffffffd07ed5b370" "010000d07ed5b370" "2d01" "21436587"));
    }
}

TEST(a_proprietary_frame_is_whole_already)
{
    struct station_message m;
    EQ(read(&m, "{\"msgtype\":\"propdf\",\"FRMPayload\":\"E0010203\",\"DR\":0,\"Freq\":923200000," UPINFO "}"), STATION_FINE);
    TRUE(same_bytes(m.frame.phy, "e0010203"));
}

/* Taken apart as Station does it (lora.c of 2.0.6), for every length of FOpts and payload. */
TEST(what_was_taken_apart_comes_together_whatever_its_lengths)
{
    u64 chance = 7;
    for (u32 opts = 0; opts < 16; opts++)
        for (u32 payload = 0; payload < 60; payload += 7)
            for (int port = -1; port < 2; port++) {
                u8 phy[128];
                struct buf b = BUF(phy);
                struct station_message m;
                if (port < 0 && payload > 0)
                    continue;
                u32 addr = (u32)(chance = hash_u64(chance)), mic = (u32)(chance = hash_u64(chance));
                buf_u8(&b, 0x80);
                buf_u32le(&b, addr);
                buf_u8(&b, (u8)(0xA0 | opts));
                buf_u16le(&b, (u16)chance);
                for (u32 i = 0; i < opts; i++)
                    buf_u8(&b, (u8)i);
                if (port >= 0)
                    buf_u8(&b, (u8)port);
                for (u32 i = 0; i < payload; i++)
                    buf_u8(&b, (u8)(i * 7));
                buf_u32le(&b, mic);
                u32 at = 8 + opts;
                struct str text = str_fmt(test_arena(), "{\"msgtype\":\"updf\",\"MHdr\":128,\"DevAddr\":%d,\"FCtrl\":%u,\"FCnt\":%u,\"FOpts\":\"%.*s\","
                    "\"FPort\":%d,\"FRMPayload\":\"%.*s\",\"MIC\":%d,\"DR\":2,\"Freq\":923200000," UPINFO "}", (i32)addr, 0xA0 | opts, (u16)chance,
                    STR(hex_str(test_arena(), (struct bytes){ phy + 8, opts })), port,
                    STR(hex_str(test_arena(), (struct bytes){ phy + at + 1, payload })), (i32)mic);
                EQ(station_read(&m, text, test_arena()), STATION_FINE);
                TRUE(bytes_eq(m.frame.phy, buf_bytes(&b)));
            }
}

TEST(the_other_messages_are_known_by_their_names)
{
    struct station_message m;
    EQ(read(&m, "{\"msgtype\":\"version\",\"station\":\"2.0.6(linux/std) 2022-01-01\",\"firmware\":null,\"package\":null,\"model\":\"linux\","
                "\"protocol\":2,\"features\":\"rmtsh\"}"), STATION_FINE);
    EQ(m.kind, STATION_VERSION);
    TRUE(str_eq(m.version.model, S("linux")));
    EQ(m.version.protocol, 2);
    EQ(read(&m, "{\"msgtype\":\"dntxed\",\"seqno\":5,\"diid\":6,\"xtime\":11258999338915241}"), STATION_FINE);
    EQ(m.kind, STATION_SENT);
    EQ(m.sent.diid, 6);
    EQ(m.sent.xtime, 11258999338915241);
    EQ(read(&m, "{\"msgtype\":\"dntxed\",\"seqno\":5}"), STATION_FINE);
    EQ(m.sent.diid, 5);
    EQ(read(&m, "{\"msgtype\":\"timesync\",\"txtime\":9007199254740993}"), STATION_FINE);
    EQ(m.kind, STATION_TIME);
    EQ(m.time.txtime_us, 9007199254740993);
    EQ(read(&m, "{\"msgtype\":\"event\",\"evcat\":\"gps\"}"), STATION_FINE);
    EQ(m.kind, STATION_NOTE);
    EQ(read(&m, "{\"msgtype\":\"alarm\"}"), STATION_FINE);
    EQ(m.kind, STATION_NOTE);
    EQ(read(&m, "{\"msgtype\":\"rmtsh\"}"), STATION_FINE);
    EQ(m.kind, STATION_OTHER);
    EQ(read(&m, "{}"), STATION_FINE);
    EQ(m.kind, STATION_OTHER);
}

/* ------------------------------------------------------------------ names */

TEST(a_gateway_may_name_itself_in_several_ways)
{
    static const struct { const char *text; u64 eui; bool good; } names[] = {
        { "70-B3-D5-7E-D0-00-00-01", 0x70B3D57ED0000001, true }, { "70b3d57ed0000001", 0x70B3D57ED0000001, true },
        { "70b3:d57e:d000:1", 0x70B3D57ED0000001, true },        { "::aa1", 0xAA1, true },
        { "1::", 0x0001000000000000, true },                     { "1:2::3", 0x0001000200000003, true },
        { "b000::a1", 0xB0000000000000A1, true },                { "::", 0, true },
        { "1:2:3:4", 0x0001000200030004, true },                 { "1:2:3", 0, false },
        { "1:2:3:4:5", 0, false },                               { "1::2::3", 0, false },
        { ":", 0, false },                                       { "1:2:3:4::", 0, false },
        { "70-B3-D5-7E-D0-00-00:01", 0, false },                 { "70-B3-D5-7E-D0-00-00-0g", 0, false },
        { "", 0, false },                                        { "12345::", 0, false },
        { "aa1", 0, false },                                     { "1:2::3:", 0, false },
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        u64 eui = 0;
        bool good = station_eui_read(&eui, str_z(names[i].text));
        EQ(good, names[i].good);
        if (good && names[i].good)
            EQ(eui, names[i].eui);
    }
    TRUE(str_eq(station_eui_str(test_arena(), 0x70B3D57ED0000001), S("70-B3-D5-7E-D0-00-00-01")));
}

TEST(discovery_is_a_question_and_an_answer)
{
    u64 eui;
    EQ(station_ask_read(&eui, S("{\"router\":\"::aa1\"}"), test_arena()), STATION_FINE);
    EQ(eui, 0xAA1);
    EQ(station_ask_read(&eui, S("{\"router\":12682136550675316897}"), test_arena()), STATION_FINE);
    EQ(eui, 0xB0000000000000A1);
    EQ(station_ask_read(&eui, S("{\"router\":null}"), test_arena()), STATION_FIELD);
    EQ(station_ask_read(&eui, S("{\"router\":-1}"), test_arena()), STATION_FIELD);
    EQ(station_ask_read(&eui, S("7"), test_arena()), STATION_JSON);
    TRUE(str_eq(station_answer_uri(0xAA1, S("wss://a:1/router/0000000000000AA1"), test_arena()),
                S("{\"router\":\"00-00-00-00-00-00-0A-A1\",\"muxs\":\"hotaru\",\"uri\":\"wss://a:1/router/0000000000000AA1\"}")));
    TRUE(str_eq(station_answer_error(1, S("no"), test_arena()), S("{\"router\":\"00-00-00-00-00-00-00-01\",\"muxs\":\"hotaru\",\"error\":\"no\"}")));
}

TEST(the_regions_name_follows_the_version)
{
    static const struct { const char *region, *station, *word; bool as_is; } rows[] = {
        { "AS923-1", "2.0.6(linux/std) 2022-01-01", "AS923-1", false }, { "AS923-1", "2.0.5(x)", "AS923JP", false },
        { "AS923-1", "2.0.10", "AS923-1", false },                      { "AS923-1", "2.1.0", "AS923-1", false },
        { "AS923-1", "3", "AS923-1", false },                           { "AS923-1", "1.9.9", "AS923JP", false },
        { "AS923-1", "", "AS923JP", false },                            { "AS923-1", "minihub", "AS923JP", false },
        { "EU868", "2.0.3", "EU868", false },                           { "US915", "2.0.6", "US915", false },
        { "IN865", "2.0.6", "IN865", true },                            { "AS923-2", "2.0.6", "AS923-2", true },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool as_is;
        TRUE(str_eq(station_region(str_z(rows[i].region), str_z(rows[i].station), &as_is), str_z(rows[i].word)));
        EQ(as_is, rows[i].as_is);
    }
}

/* ------------------------------------------------------------------ what it is told */

static const struct json *whole(struct str text)
{
    const struct json *doc = NULL;
    EQ(json_read(&doc, text, test_arena(), JSON_STRICT, NULL), OK);
    return doc;
}

static i64 number(const struct json *doc, struct str key)
{
    i64 v = -999;
    TRUE(json_i64(&v, json_get(doc, key)));
    return v;
}

TEST(a_downlink_names_both_windows_as_pairs_and_gives_the_time_back)
{
    struct station_down d = { .dev_eui = 0x70B3D57ED0000001, .diid = 65535, .phy = bytes_of(S("\x60\x01\x02")), .rx_delay_s = 5,
                              .rx1 = { true, 2, 923400000 }, .rx2 = { true, 2, 923200000 }, .xtime = 11258999338915241, .rctx = 3 };
    struct str text = station_down_write(&d, test_arena());
    const struct json *doc = whole(text);
    TRUE(str_find(text, S("\"xtime\":11258999338915241,\"rctx\":3")) > 0);
    TRUE(str_find(text, S("\"pdu\":\"600102\"")) > 0);
    TRUE(str_find(text, S("\"DevEui\":\"70-B3-D5-7E-D0-00-00-01\"")) > 0);
    EQ(number(doc, S("diid")), 65535);
    EQ(number(doc, S("RxDelay")), 5);
    EQ(number(doc, S("RX1DR")), 2);
    EQ(number(doc, S("RX1Freq")), 923400000);
    EQ(number(doc, S("RX2DR")), 2);
    EQ(number(doc, S("RX2Freq")), 923200000);
    EQ(number(doc, S("dC")), 0);
    d.rx1.has = false;
    doc = whole(station_down_write(&d, test_arena()));
    TRUE(json_get(doc, S("RX1DR")) == NULL && json_get(doc, S("RX1Freq")) == NULL && json_get(doc, S("RX2Freq")) != NULL);
}

TEST(time_is_told_in_microseconds_of_gps)
{
    TRUE(str_eq(station_time_write(9007199254740993, 1452000000123456, test_arena()),
                S("{\"msgtype\":\"timesync\",\"txtime\":9007199254740993,\"gpstime\":1452000000123456}")));
    EQ(station_gps_of(1770000000LL * US_PER_S), (1770000000LL - 315964800 + 18) * US_PER_S);
    EQ(station_utc_of(station_gps_of(1234567890)), 1234567890);
}

static i64 heard_at(const struct json *conf, u32 i)
{
    const struct json *ch = json_get(conf, str_fmt(test_arena(), "chan_multiSF_%u", i));
    bool on = false;
    TRUE(json_bool(&on, json_get(ch, S("enable"))));
    if (!on)
        return 0;
    const struct json *radio = json_get(conf, str_fmt(test_arena(), "radio_%lld", (long long)number(ch, S("radio"))));
    bool works = false;
    TRUE(json_bool(&works, json_get(radio, S("enable"))) && works);
    i64 off = number(ch, S("if"));
    TRUE(off <= 400000 && off >= -400000);
    return number(radio, S("freq")) + off;
}

TEST(two_receivers_hear_the_channels_wherever_they_lie)
{
    static const struct { u32 n, hz[8]; u32 heard; } plans[] = {
        { 8, { 923200000, 923400000, 922800000, 923000000, 922600000, 922000000, 922200000, 922400000 }, 8 },
        { 8, { 923200000, 923400000, 920600000, 920800000, 921000000, 921200000, 922800000, 923000000 }, 8 },
        { 3, { 868100000, 868300000, 868500000 }, 3 },
        { 1, { 433175000 }, 1 },
        { 3, { 865062500, 865402500, 865985000 }, 3 },
        { 3, { 920000000, 922000000, 924000000 }, 2 },
        { 0, { 0 }, 0 },
    };
    for (size_t k = 0; k < COUNT(plans); k++) {
        struct station_config c = { .region = S("EU868"), .model = S("linux") };
        u32 heard = 0;
        for (u32 i = 0; i < plans[k].n; i++)
            c.channel[c.channels_n++] = (struct station_channel){ plans[k].hz[i], 0, 5, 125 };
        const struct json *conf = json_at(json_get(whole(station_config_write(&c, test_arena())), S("sx1301_conf")), 0);
        for (u32 i = 0; i < 8; i++) {
            i64 hz = heard_at(conf, i);
            heard += hz != 0;
            if (hz)
                EQ(hz, plans[k].hz[i]);
        }
        EQ(heard, plans[k].heard);
    }
}

TEST(the_concentrator_goes_by_the_name_that_the_model_says)
{
    static const struct { const char *model; bool is_1302; } models[] = {
        { "linux", false }, { "sx1302", true }, { "rak7268-sx1303", true }, { "corecell", true }, { "sx1301ar", false }, { "", false },
    };
    for (size_t i = 0; i < COUNT(models); i++) {
        struct station_config c = { .model = str_z(models[i].model), .region = S("EU868") };
        const struct json *doc = whole(station_config_write(&c, test_arena()));
        TRUE((json_get(doc, S("sx1302_conf")) != NULL) == models[i].is_1302);
        TRUE((json_get(doc, S("sx1301_conf")) != NULL) != models[i].is_1302);
        TRUE(json_is(json_get(doc, S("NetID")), JSON_NULL) && json_is(json_get(doc, S("JoinEui")), JSON_NULL));
    }
}
