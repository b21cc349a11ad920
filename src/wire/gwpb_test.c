// SPDX-License-Identifier: Apache-2.0
/*
 * Messages as ChirpStack's own bindings write them (@chirpstack/chirpstack-api 4.19.0), byte for byte, and the same in
 * the JSON of gateway-bridge and mqtt-forwarder.
 */
#include "base/test.h"
#include "wire/gwpb.h"

#include <math.h>

#define EUI 0x0016C001FF10A235ULL
#define GATEWAY "30303136633030316666313061323335"
/* rx_info with all its fields, also those that we pass over; 105 bytes. */
#define RX "2a690a10" GATEWAY "1095ea9bae0f1a0b08809d80cc0610959aef3a220608808fa9b505309fffffffffffffffff013d0000f0c0" \
           "40034801500258016a040a0b0c0d7a190a10726567696f6e5f636f6e6669675f696412056173393233800102"
#define PHY "0a0a40010203048000000102"

static const char up_lora[] = PHY "22120880d49bb803120a1a0808c8d007100a2801" RX;
static const char up_fsk[]  = PHY "22120880d49bb803120a220808a8c30110d08603" RX;
static const char up_hop[]  = PHY "22120880d49bb803120a2a0808a8ae0820071819" RX;
static const char ack[]     = "3210" GATEWAY "10f8acd191012a0208022a0208012a00";
static const char stats[]   = "8a0110" GATEWAY "120608809d80cc0628ac0230ab0238024001520a0a056d6f64656c1201786a090880d49bb80310"
                              "ac028201060a024f4b1001";
static const char online[]  = "1a10" GATEWAY "1001";
static const char down[]    = "18f8acd191012a380a0c6001020304200000010203041a280880eaeab703100d1a0c1a0a08c8d00710092801200120022801"
                              "320612040a0208013a040a0b0c0d2a380a0c6001020304200000010203041a280880d49bb803100d1a0c1a0a08c8d007100a"
                              "2801200120022801320612040a0208023a040a0b0c0d3a10" GATEWAY;

static struct bytes hex(const char *text)
{
    struct str t = str_z(text);
    u8 *p = arena_take(test_arena(), t.n / 2, 1);
    size_t n;
    TRUE(hex_read(p, t.n / 2, &n, t));
    return (struct bytes){ p, n };
}

static struct gwpb *read_of(enum gwpb_kind kind, struct bytes message, enum err want)
{
    struct gwpb *g = arena_new(test_arena(), struct gwpb);
    EQ(gwpb_read(g, kind, message, test_arena()), want);
    return g;
}
static struct gwpb *pb(enum gwpb_kind kind, const char *text)   { return read_of(kind, hex(text), OK); }
static struct gwpb *json(enum gwpb_kind kind, const char *text) { return read_of(kind, bytes_of(str_z(text)), OK); }
static void no_pb(enum gwpb_kind kind, const char *text)        { (void)read_of(kind, hex(text), ERR_INVALID); }
static void no_json(enum gwpb_kind kind, const char *text)      { (void)read_of(kind, bytes_of(str_z(text)), ERR_INVALID); }

static void is_the_uplink(const struct gwpb *g)
{
    const struct gwpb_uplink *u = &g->uplink;
    EQ(u->eui, EUI);
    BYTES_EQ(u->phy, hex("40010203048000000102"));
    BYTES_EQ(u->context, hex("0a0b0c0d"));
    EQ(u->freq_hz, 923200000);
    EQ(u->modulation, GWPB_LORA);
    EQ(u->bw_hz, 125000);
    EQ(u->sf, 10);
    EQ(u->rssi_dbm, -97);
    NEAR(u->snr_db, -7.5, 0);
    EQ(u->board, 2);
    EQ(u->antenna, 1);
    EQ(u->crc, GWPB_CRC_OK);
    EQ(u->gateway_us / 1000, 1770000000123);
}

TEST(an_uplink_reads_the_same_in_both_forms)
{
    is_the_uplink(pb(GWPB_UPLINK, up_lora));
    is_the_uplink(json(GWPB_UPLINK,
        "{\"phyPayload\":\"QAECAwSAAAABAg==\",\"txInfo\":{\"frequency\":923200000,\"modulation\":{\"lora\":{\"bandwidth\":125000,"
        "\"spreadingFactor\":10,\"codeRate\":\"CR_4_5\",\"polarizationInversion\":false}}},\"rxInfo\":{\"gatewayId\":"
        "\"0016c001ff10a235\",\"uplinkId\":4123456789,\"gwTime\":\"2026-02-02T02:40:00.123Z\",\"timeSinceGpsEpoch\":\"1454s\","
        "\"rssi\":-97,\"snr\":-7.5,\"channel\":3,\"rfChain\":1,\"board\":2,\"antenna\":1,\"location\":null,\"context\":\"CgsMDQ==\","
        "\"metadata\":{\"region_config_id\":\"as923\"},\"crcStatus\":\"CRC_OK\"}}"));
    /* protobuf's other spellings: names as in the .proto, numbers in quotes, enums as numbers */
    is_the_uplink(json(GWPB_UPLINK,
        "{\"phy_payload\":\"QAECAwSAAAABAg\",\"tx_info\":{\"frequency\":\"923200000\",\"modulation\":{\"lora\":{\"bandwidth\":\"125000\","
        "\"spreading_factor\":\"10\"}}},\"rx_info\":{\"gateway_id\":\"0016C001FF10A235\",\"gw_time\":\"2026-02-02T11:40:00.123+09:00\","
        "\"rssi\":\"-97\",\"snr\":\"-7.5\",\"board\":\"2\",\"antenna\":\"1\",\"context\":\"CgsMDQ\",\"crc_status\":2}}"));
}

TEST(other_modulations_are_told_apart)
{
    EQ(pb(GWPB_UPLINK, up_fsk)->uplink.modulation, GWPB_FSK);
    EQ(pb(GWPB_UPLINK, up_fsk)->uplink.bitrate, 50000);
    EQ(pb(GWPB_UPLINK, up_fsk)->uplink.sf, 0);
    EQ(pb(GWPB_UPLINK, up_hop)->uplink.modulation, GWPB_LR_FHSS);
    EQ(json(GWPB_UPLINK, "{\"txInfo\":{\"modulation\":{\"lrFhss\":{\"gridSteps\":25}}}}")->uplink.modulation, GWPB_LR_FHSS);
    EQ(json(GWPB_UPLINK, "{\"txInfo\":{\"modulation\":{\"fsk\":{\"datarate\":50000}}}}")->uplink.bitrate, 50000);
}

TEST(an_answer_tells_each_item)
{
    static const char text[] = "{\"gatewayId\":\"0016c001ff10a235\",\"downlinkId\":305419896,\"items\":[{\"status\":\"TOO_LATE\"},"
                               "{\"status\":\"OK\"},{\"status\":\"IGNORED\"}]}";
    const struct gwpb *both[] = { pb(GWPB_ACK, ack), json(GWPB_ACK, text) };
    for (size_t i = 0; i < COUNT(both); i++) {
        const struct gwpb_ack *a = &both[i]->ack;
        EQ(a->eui, EUI);
        EQ(a->id, 0x12345678);
        EQ(a->items_n, 3);
        EQ(a->items[0].status, 2);
        EQ(a->items[1].status, GWPB_TAKEN);
        EQ(a->items[2].status, GWPB_IGNORED);
    }
    STR_EQ(gwpb_status_words(2), S("too late"));
    TRUE(gwpb_status_words(11).n > 0);
    STR_EQ(gwpb_status_words(12), S("a reason that is not known here"));
    STR_EQ(gwpb_status_words(UINT32_MAX), S("a reason that is not known here"));
}

TEST(statistics_and_states_are_read)
{
    const struct gwpb_stats *s = &pb(GWPB_STATS, stats)->stats;
    EQ(s->eui, EUI);
    EQ(s->gateway_us, 1770000000LL * US_PER_S);
    EQ(s->received, 300);
    EQ(s->received_ok, 299);
    EQ(s->asked, 2);
    EQ(s->emitted, 1);
    s = &json(GWPB_STATS, "{\"gatewayId\":\"0016c001ff10a235\",\"rxPacketsReceivedOk\":7,\"rxPacketsPerFrequency\":{\"923200000\":7}}")->stats;
    EQ(s->eui, EUI);
    EQ(s->received_ok, 7);
    EQ(pb(GWPB_CONN, online)->conn.state, GWPB_ONLINE);
    EQ(json(GWPB_CONN, "{\"gatewayId\":\"0016c001ff10a235\",\"state\":\"ONLINE\"}")->conn.state, GWPB_ONLINE);
    EQ(json(GWPB_CONN, "{\"gatewayId\":\"0016c001ff10a235\"}")->conn.state, GWPB_OFFLINE);
    EQ(pb(GWPB_CONN, "")->conn.eui, 0);
}

static struct gwpb the_downlink(void)
{
    struct gwpb g = { .kind = GWPB_DOWNLINK, .downlink = { .eui = EUI, .id = 0x12345678, .items_n = 2 } };
    for (u32 i = 0; i < 2; i++)
        g.downlink.items[i] = (struct gwpb_item){ .phy = hex("600102030420000001020304"), .context = hex("0a0b0c0d"),
            .freq_hz = i ? 923200000 : 922400000, .modulation = GWPB_LORA, .bw_hz = 125000, .sf = i ? 10 : 9,
            .code_rate = GWPB_CR_4_5, .inverted = true, .power_dbm = 13, .board = 2, .antenna = 1, .timing = GWPB_DELAY,
            .delay_us = (i + 1) * US_PER_S };
    return g;
}

/* Fields may stand in any order; ours rise, the bindings' do not where the number of code_rate is above its neighbour's. */
TEST(a_downlink_is_what_chirpstack_would_send)
{
    struct gwpb g = the_downlink();
    struct bytes ours = gwpb_write(&g, false, test_arena());
    EQ(ours.n, hex(down).n);
    struct gwpb *back = read_of(GWPB_DOWNLINK, ours, OK), *theirs = pb(GWPB_DOWNLINK, down);
    STR_EQ(str_of(gwpb_write(back, true, test_arena())), str_of(gwpb_write(theirs, true, test_arena())));
    EQ(theirs->downlink.items[1].delay_us, 2 * US_PER_S);
    EQ(theirs->downlink.items[1].freq_hz, 923200000);
}

TEST(a_downlink_in_JSON_has_the_names_and_kinds_of_protobuf)
{
    struct gwpb g = the_downlink();
    g.downlink.items_n = 1;
    g.downlink.items[0].delay_us = 1500000;
    STR_EQ(str_of(gwpb_write(&g, true, test_arena())),
           S("{\"downlinkId\":305419896,\"items\":[{\"phyPayload\":\"YAECAwQgAAABAgME\",\"txInfo\":{\"frequency\":922400000,\"power\":13,"
             "\"modulation\":{\"lora\":{\"bandwidth\":125000,\"spreadingFactor\":9,\"polarizationInversion\":true,\"codeRate\":\"CR_4_5\"}},"
             "\"board\":2,\"antenna\":1,\"timing\":{\"delay\":{\"delay\":\"1.500000s\"}},\"context\":\"CgsMDQ==\"}}],"
             "\"gatewayId\":\"0016c001ff10a235\"}"));
}

TEST(every_shorter_message_is_refused_or_says_less)
{
    struct bytes whole = hex(up_lora);
    u32 refused = 0;
    for (size_t n = 0; n < whole.n; n++) {
        struct gwpb *g = arena_new(test_arena(), struct gwpb);
        enum err err = gwpb_read(g, GWPB_UPLINK, bytes_copy(test_arena(), (struct bytes){ whole.p, n }), test_arena());
        TRUE(err == OK || err == ERR_INVALID);
        refused += err != OK;
    }
    EQ(refused, whole.n - 3);                  /* not at the ends of its three fields: nothing, the frame, tx_info */
}

TEST(what_is_no_protobuf_is_refused)
{
    no_pb(GWPB_UPLINK, "0a");                              /* a length that is not there */
    no_pb(GWPB_UPLINK, "0a05ff");                          /* longer than what follows */
    no_pb(GWPB_UPLINK, "00");                              /* field 0 */
    no_pb(GWPB_UPLINK, "0b0c");                            /* a group */
    no_pb(GWPB_UPLINK, "0e");                              /* wire kinds that do not exist */
    no_pb(GWPB_UPLINK, "0f");
    no_pb(GWPB_UPLINK, "0801");                            /* bytes as a number */
    no_pb(GWPB_UPLINK, "0affffffffffffffffff01");          /* a length of 2^64 - 1 */
    no_pb(GWPB_UPLINK, "f8ffffffffffffffffffff01");        /* eleven bytes of one number */
    no_pb(GWPB_UPLINK, "2a020a01");                        /* inside a message */
    no_pb(GWPB_UPLINK, "2a040a02" "3030");                 /* an EUI of two digits */
    no_pb(GWPB_UPLINK, "2a120a10" "30303136633030316666313061323367");   /* and one with a g */
    no_pb(GWPB_UPLINK, "2a041a020d00");                    /* seconds that are no number */
}

TEST(what_is_not_known_is_passed_over)
{
    struct gwpb *g = pb(GWPB_UPLINK, "d2860302ffff" "d88603ffffffffffffffffff01" "e186030000000000000000" "e5860300000000" PHY);
    EQ(g->uplink.phy.n, 10);
}

TEST(the_last_of_several_counts_and_messages_join)
{
    struct gwpb *g = pb(GWPB_UPLINK, "0a0101" "0a0202" "03" "2a0230052a023006" "2a025001");
    BYTES_EQ(g->uplink.phy, hex("0203"));
    EQ(g->uplink.rssi_dbm, 6);
    EQ(g->uplink.board, 1);
    EQ(pb(GWPB_UPLINK, "2208120222001202" "1a00")->uplink.modulation, GWPB_LORA);       /* one of: the last */
}

TEST(what_is_no_such_JSON_is_refused)
{
    static const char *const bad[] = {
        "{", "{}x", "{\"phyPayload\":5}", "{\"phyPayload\":\"*\"}", "{\"txInfo\":[]}", "{\"txInfo\":{\"frequency\":-1}}",
        "{\"txInfo\":{\"frequency\":4294967296}}", "{\"txInfo\":{\"frequency\":1.5}}", "{\"txInfo\":{\"frequency\":\"x\"}}",
        "{\"rxInfo\":{\"rssi\":2147483648}}", "{\"rxInfo\":{\"gatewayId\":\"0016\"}}", "{\"rxInfo\":{\"gatewayId\":7}}",
        "{\"rxInfo\":{\"crcStatus\":\"FINE\"}}", "{\"rxInfo\":{\"crcStatus\":true}}", "{\"rxInfo\":{\"snr\":\"warm\"}}",
        "{\"rxInfo\":{\"gwTime\":\"yesterday\"}}", "{\"rxInfo\":{},\"rxInfo\":{}}",
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        no_json(GWPB_UPLINK, bad[i]);
    no_json(GWPB_ACK, "{\"items\":{}}");
    no_json(GWPB_ACK, "{\"items\":[7]}");
    no_json(GWPB_DOWNLINK, "{\"items\":[{\"txInfo\":{\"timing\":{\"delay\":{\"delay\":\"1\"}}}}]}");
    no_json(GWPB_DOWNLINK, "{\"items\":[{\"txInfo\":{\"timing\":{\"delay\":{\"delay\":\"1e99s\"}}}}]}");
}

TEST(numbers_that_are_none_are_kept_for_who_judges_them)
{
    TRUE(isnan(json(GWPB_UPLINK, "{\"rxInfo\":{\"snr\":\"NaN\"}}")->uplink.snr_db));
    TRUE(isinf(json(GWPB_UPLINK, "{\"rxInfo\":{\"snr\":\"-Infinity\"}}")->uplink.snr_db));
    EQ(json(GWPB_UPLINK, "{\"rxInfo\":{\"gwTime\":\"1969-12-31T23:59:59Z\"}}")->uplink.gateway_us, 0);
    EQ(json(GWPB_UPLINK, "{\"rxInfo\":{\"gwTime\":\"9999-01-01T00:00:00Z\"}}")->uplink.gateway_us, 0);
    TRUE(isnan(pb(GWPB_UPLINK, "2a053d0000c07f")->uplink.snr_db));
    TRUE(isinf(pb(GWPB_UPLINK, "2a053d0000807f")->uplink.snr_db));
    EQ(json(GWPB_UPLINK, "{\"rxInfo\":{\"crcStatus\":77}}")->uplink.crc, 77);
    EQ(pb(GWPB_UPLINK, "2a121a1008" "ffffffffffffffff7f" "10" "8094ebdc03")->uplink.gateway_us, 0);   /* year 292 billion */
}

TEST(lists_and_messages_have_their_limits)
{
    (void)read_of(GWPB_ACK, hex("2a002a002a002a00"), OK);
    (void)read_of(GWPB_ACK, hex("2a002a002a002a002a00"), ERR_TOO_LARGE);
    (void)read_of(GWPB_ACK, bytes_of(S("{\"items\":[{},{},{},{},{}]}")), ERR_TOO_LARGE);
    u8 *zeros = arena_take(test_arena(), GWPB_MESSAGE_MAX + 1, 1);
    (void)read_of(GWPB_STATS, (struct bytes){ zeros, GWPB_MESSAGE_MAX + 1 }, ERR_TOO_LARGE);
    struct gwpb g = the_downlink();
    g.downlink.items[0].phy = (struct bytes){ zeros, GWPB_MESSAGE_MAX };
    EQ(gwpb_write(&g, false, test_arena()).n, 0);
    EQ(gwpb_write(&g, true, test_arena()).n, 0);
}

TEST(whatever_is_written_reads_back)
{
    for (u64 seed = 1; seed < 400; seed++) {
        u64 r = hash_u64(seed);
        struct gwpb g = { .kind = GWPB_UPLINK, .uplink = { .eui = r | 1, .phy = { (const u8 *)&r, r % 8 },
            .context = { (const u8 *)&r, r % 5 }, .freq_hz = (u32)r, .modulation = r % 3 ? GWPB_LORA : GWPB_FSK, .rssi_dbm = (i32)(r >> 7),
            .snr_db = (double)(i16)r / 4, .antenna = (u32)(r >> 40), .board = (u32)(r >> 50), .crc = (u32)(r % 3),
            .gateway_us = (i64)(r % 4000000000000LL) * 1000 } };
        if (g.uplink.modulation == GWPB_LORA)
            g.uplink.bw_hz = 125000, g.uplink.sf = 7 + (u32)(r % 6);
        else
            g.uplink.bitrate = 50000;
        struct bytes bin = gwpb_write(&g, false, test_arena()), text = gwpb_write(&g, true, test_arena());
        struct gwpb *a = read_of(GWPB_UPLINK, bin, OK), *b = read_of(GWPB_UPLINK, text, OK);
        BYTES_EQ(gwpb_write(b, false, test_arena()), bin);
        BYTES_EQ(gwpb_write(a, true, test_arena()), text);
    }
}
