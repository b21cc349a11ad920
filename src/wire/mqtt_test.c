// SPDX-License-Identifier: Apache-2.0
/* Packets as the standard draws them, and what no broker may send. */
#include "base/test.h"
#include "wire/mqtt.h"

static struct bytes hex(const char *text)
{
    struct str t = str_z(text);
    u8 *p = arena_take(test_arena(), t.n / 2, 1);
    size_t n;
    TRUE(hex_read(p, t.n / 2, &n, t));
    return (struct bytes){ p, n };
}

static struct mqtt_packet read_of(const char *text, enum mqtt_says want)
{
    struct mqtt_packet p;
    const char *why = NULL;
    EQ(mqtt_read(&p, hex(text), 64, &why), want);
    TRUE((want == MQTT_FAULT) == (why != NULL));
    return p;
}

TEST(a_connect_is_as_the_standard_draws_it)
{
    u8 room[64];
    struct buf b = BUF(room);
    mqtt_connect_write(&b, &(struct mqtt_connect){ .client = S("hotaru"), .keep_alive_s = 30 });
    BYTES_EQ(buf_bytes(&b), hex("101200044d51545404" "00001e" "0006686f74617275"));
    b = BUF(room);
    mqtt_connect_write(&b, &(struct mqtt_connect){ .client = S("h"), .user = S("u"), .password = S("pw"), .has_user = true, .keep_alive_s = 1 });
    BYTES_EQ(buf_bytes(&b), hex("101400044d51545404" "c00001" "000168" "000175" "00027077"));
}

TEST(the_small_packets_are_written)
{
    u8 room[64];
    struct buf b = BUF(room);
    struct str filters[] = { S("a/+"), S("b") };
    mqtt_subscribe_write(&b, 1, filters, 2);
    mqtt_puback_write(&b, 0xBEEF);
    mqtt_short_write(&b, MQTT_PINGREQ);
    mqtt_short_write(&b, MQTT_DISCONNECT);
    mqtt_publish_write(&b, S("t"), hex("0102"));
    BYTES_EQ(buf_bytes(&b), hex("820c" "0001" "0003612f2b01" "00016201" "4002beef" "c000" "e000" "3005" "000174" "0102"));
}

TEST(a_packet_without_room_leaves_nothing_of_itself)
{
    u8 room[8];
    struct buf b = BUF(room);
    mqtt_puback_write(&b, 1);
    mqtt_publish_write(&b, S("topic"), hex("0102"));
    TRUE(b.bad);
    EQ(b.n, 4);
}

TEST(what_a_broker_says_is_read)
{
    struct mqtt_packet p = read_of("20020100", MQTT_PACKET);
    EQ(p.kind, MQTT_CONNACK);
    TRUE(p.session && p.code == 0);
    p = read_of("20020005", MQTT_PACKET);
    EQ(p.code, 5);
    p = read_of("9004000101ff", MQTT_PACKET);
    EQ(p.id, 1);
    BYTES_EQ(p.payload, hex("01ff"));
    EQ(read_of("d000", MQTT_PACKET).kind, MQTT_PINGRESP);
    EQ(read_of("40020007", MQTT_PACKET).id, 7);
    p = read_of("3a08" "0003612f62" "0102" "63" "d000", MQTT_PACKET);
    EQ(p.size, 10);
    STR_EQ(p.topic, S("a/b"));
    EQ(p.id, 0x0102);
    TRUE(p.dup && !p.retain && p.qos == 1);
    BYTES_EQ(p.payload, hex("63"));
    p = read_of("3103" "000161", MQTT_PACKET);
    TRUE(p.retain && p.qos == 0 && p.payload.n == 0 && p.id == 0);
}

TEST(every_shorter_packet_waits_for_more)
{
    static const char *const whole[] = { "20020100", "9004000101ff", "3a080003612f62010263", "d000", "40020007" };
    for (size_t i = 0; i < COUNT(whole); i++)
        for (size_t n = 0; n < hex(whole[i]).n; n++) {
            struct mqtt_packet p;
            const char *why = NULL;
            EQ(mqtt_read(&p, bytes_copy(test_arena(), (struct bytes){ hex(whole[i]).p, n }), 64, &why), MQTT_MORE);
        }
}

TEST(what_no_broker_may_send_is_a_fault)
{
    static const char *const bad[] = {
        "0000", "1000", "5002", "f000", "8000", "e000", "c000",  /* kinds of a client, or of nobody */
        "ffffffffff01", "30ffffffffff01",                      /* a length of five bytes */
        "2001ff", "200301000000", "20020201", "20020101", "20020200",   /* CONNACK of other sizes, flags, or a session for a stranger */
        "21020000", "d100", "d00100",                          /* flags, and a body, that are none */
        "90ffff7f", "9002" "0001", "90030000" "01", "4003000100", "40020000",
        "3000", "300100", "3003" "000261", "3203" "000161", "3205000161" "0000",   /* shorter than its head; no number */
        "3404" "000161" "00", "3604" "000161" "00",            /* QoS 2, and 3 */
        "3002" "0000", "3003" "00012b", "3003" "000123", "3003" "000100", "3004" "0002c328",   /* topics that are none */
        "30ffff7f" "0401",                                     /* a topic of 1,025 bytes */
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        (void)read_of(bad[i], MQTT_FAULT);
}

TEST(a_message_above_the_limit_is_told_without_its_bytes)
{
    struct mqtt_packet p = read_of("3246" "000161" "0009" "ffff", MQTT_PACKET);   /* 65 bytes of payload, two of them here */
    TRUE(p.cut);
    EQ(p.id, 9);
    EQ(p.size, 7);
    EQ(p.skip, 65);
    EQ(p.payload.n, 0);
    p = read_of("3285808080" "01", MQTT_FAULT);
    p = read_of("32ffffff7f" "000161" "0009", MQTT_PACKET);                       /* the longest there is */
    EQ(p.skip, 268435455 - 5);
    (void)read_of("3246" "000161" "00", MQTT_MORE);
}

TEST(every_refusal_has_words)
{
    for (unsigned code = 0; code < 256; code++)
        TRUE(mqtt_code_words((u8)code)[0] != 0);
}
