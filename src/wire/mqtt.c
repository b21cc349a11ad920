// SPDX-License-Identifier: Apache-2.0
#include "wire/mqtt.h"

#define OTHER_MAX 256                  /* packets of a broker other than PUBLISH */

static enum mqtt_says fault(const char **why, const char *words)
{
    *why = words;
    return MQTT_FAULT;
}

/* ------------------------------------------------------------------ reading */

/* 2.2.3: seven bits a byte, four bytes at most. */
static enum mqtt_says read_length(u64 *out, struct cur *c)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        if (cur_left(c) == 0)
            return MQTT_MORE;
        u8 byte = cur_u8(c);
        *out |= (u64)(byte & 0x7F) << (7 * i);
        if (!(byte & 0x80))
            return MQTT_PACKET;
    }
    return MQTT_FAULT;
}

/* 3.3.2.1: a topic that is published holds no wildcard and no NUL. */
static bool is_topic(struct str t)
{
    return t.n > 0 && str_is_utf8(t) && !memchr(t.p, 0, t.n) && !memchr(t.p, '+', t.n) && !memchr(t.p, '#', t.n);
}

/* `left` bytes follow the fixed head; `c` has those that are here. */
static enum mqtt_says read_publish(struct mqtt_packet *out, u8 flags, u64 left, struct cur c, size_t head, size_t max,
                                   const char **why)
{
    out->dup    = flags & 8;
    out->qos    = flags >> 1 & 3;
    out->retain = flags & 1;
    if (out->qos > 1)
        return fault(why, "a message above the QoS that was asked for");
    if (left < 2 + (out->qos ? 2u : 0u))
        return fault(why, "a message shorter than its head");
    if (cur_left(&c) < 2)
        return MQTT_MORE;
    size_t topic_n = cur_u16be(&c), before = 2 + topic_n + (out->qos ? 2 : 0);
    if (topic_n > MQTT_TOPIC_MAX)
        return fault(why, "a topic that is too long");
    if (before > left)
        return fault(why, "a topic longer than its message");
    u64 payload_n = left - before;
    out->cut  = payload_n > max;
    out->skip = out->cut ? payload_n : 0;
    if (cur_left(&c) < topic_n + (out->qos ? 2 : 0) + (out->cut ? 0 : payload_n))
        return MQTT_MORE;
    out->topic   = str_of(cur_take(&c, topic_n));
    out->id      = out->qos ? cur_u16be(&c) : 0;
    out->payload = out->cut ? (struct bytes){ NULL, 0 } : cur_take(&c, (size_t)payload_n);
    out->size    = head + before + (out->cut ? 0 : (size_t)payload_n);
    if (!is_topic(out->topic))
        return fault(why, "a topic that is none");
    if (out->qos && out->id == 0)
        return fault(why, "a message without its number");
    return MQTT_PACKET;
}

static enum mqtt_says read_connack(struct mqtt_packet *out, struct cur *c, const char **why)
{
    u8 flags = cur_u8(c);
    out->code    = cur_u8(c);
    out->session = flags & 1;
    if (c->bad || c->n > 0 || flags > 1 || (out->session && out->code != 0))
        return fault(why, "a CONNACK that is none");
    return MQTT_PACKET;
}

static enum mqtt_says read_answer(struct mqtt_packet *out, struct cur *c, const char **why)
{
    out->id      = cur_u16be(c);
    out->payload = cur_rest(c);
    bool codes = out->kind == MQTT_SUBACK;
    if (c->bad || out->id == 0 || codes != (out->payload.n > 0))
        return fault(why, "an acknowledgement that is none");
    return MQTT_PACKET;
}

enum mqtt_says mqtt_read(struct mqtt_packet *out, struct bytes have, size_t payload_max, const char **why)
{
    struct cur c = cur_of(have);
    u64 left;
    *out = (struct mqtt_packet){ 0 };
    if (have.n == 0)
        return MQTT_MORE;
    u8 first = cur_u8(&c);
    enum mqtt_says says = read_length(&left, &c);
    if (says != MQTT_PACKET)
        return says == MQTT_FAULT ? fault(why, "a length of more than four bytes") : says;
    size_t head = have.n - c.n;
    out->kind = first >> 4;
    if (out->kind == MQTT_PUBLISH)
        return read_publish(out, first & 15, left, c, head, payload_max, why);
    if (out->kind != MQTT_CONNACK && out->kind != MQTT_PUBACK && out->kind != MQTT_SUBACK && out->kind != MQTT_PINGRESP)
        return fault(why, "a packet that no broker sends us");
    if ((first & 15) != 0)                                     /* 2.2.2: reserved flags */
        return fault(why, "a packet with flags it has not");
    if (left > OTHER_MAX)
        return fault(why, "an answer that is too long");
    if (c.n < left)
        return MQTT_MORE;
    out->size = head + (size_t)left;
    struct cur body = cur_of(cur_take(&c, (size_t)left));
    if (out->kind == MQTT_CONNACK)
        return read_connack(out, &body, why);
    if (out->kind == MQTT_PINGRESP)
        return body.n == 0 ? MQTT_PACKET : fault(why, "a PINGRESP that is none");
    return read_answer(out, &body, why);
}

/* ------------------------------------------------------------------ writing */

static void put_head(struct buf *b, u8 first, size_t left)
{
    buf_u8(b, first);
    for (; left >= 0x80; left >>= 7)
        buf_u8(b, (u8)(left | 0x80));
    buf_u8(b, (u8)left);
}

static void put_str(struct buf *b, struct str s)
{
    b->bad = b->bad || s.n > UINT16_MAX;
    buf_u16be(b, (u16)s.n);
    buf_put(b, bytes_of(s));
}

/* A packet is written whole or not at all. */
static void whole(struct buf *b, size_t before)
{
    if (b->bad)
        b->n = before;
}

void mqtt_connect_write(struct buf *b, const struct mqtt_connect *of)
{
    size_t before = b->n;
    size_t left = 10 + 2 + of->client.n + (of->has_user ? 4 + of->user.n + of->password.n : 0);
    put_head(b, MQTT_CONNECT << 4, left);
    put_str(b, S("MQTT"));
    buf_u8(b, 4);                                              /* protocol level of 3.1.1 */
    buf_u8(b, of->has_user ? 0xC0 : 0);
    buf_u16be(b, of->keep_alive_s);
    put_str(b, of->client);
    if (of->has_user) {
        put_str(b, of->user);
        put_str(b, of->password);
    }
    whole(b, before);
}

void mqtt_publish_write(struct buf *b, struct str topic, struct bytes payload)
{
    size_t before = b->n;
    put_head(b, MQTT_PUBLISH << 4, 2 + topic.n + payload.n);
    put_str(b, topic);
    buf_put(b, payload);
    whole(b, before);
}

void mqtt_puback_write(struct buf *b, u16 id)
{
    size_t before = b->n;
    put_head(b, MQTT_PUBACK << 4, 2);
    buf_u16be(b, id);
    whole(b, before);
}

void mqtt_subscribe_write(struct buf *b, u16 id, const struct str *filters, size_t n)
{
    size_t before = b->n, left = 2;
    for (size_t i = 0; i < n; i++)
        left += 2 + filters[i].n + 1;
    put_head(b, MQTT_SUBSCRIBE << 4 | 2, left);
    buf_u16be(b, id);
    for (size_t i = 0; i < n; i++) {
        put_str(b, filters[i]);
        buf_u8(b, 1);
    }
    whole(b, before);
}

void mqtt_short_write(struct buf *b, enum mqtt_kind kind)
{
    size_t before = b->n;
    put_head(b, (u8)(kind << 4), 0);
    whole(b, before);
}

const char *mqtt_code_words(u8 code)
{
    static const char *const words[] = { "welcome", "the broker does not speak MQTT 3.1.1", "the client name is refused",
                                         "the broker has no time for us", "user or password is wrong", "not allowed" };
    return code < COUNT(words) ? words[code] : "a reason that is not known here";
}
