// SPDX-License-Identifier: Apache-2.0
/*
 * Class B (LoRaWAN 1.0.4 §13): time is cut into 128 s beacon periods, each with 4096 ping slots of
 * 30 ms that begin 2.12 s after the beacon. Where a device's first slot lies is an AES block over
 * the beacon's time and its address, under a key of zeros: a hash, not a secret.
 */
#include "lora/inside.h"

enum { US_PERIOD = LORA_BEACON_PERIOD_S * 1000000 };

static u16 offset_under(const struct lora_key *zero, u32 beacon_gps_s, u32 devaddr, u16 ping_period)
{
    u8 block[16] = { 0 };
    put_u32le(block, beacon_gps_s);
    put_u32le(block + 4, devaddr);
    aes_blocks(block, zero, block, 1);
    return get_u16le(block) % ping_period;
}

u16 lora_ping_offset(u32 beacon_gps_s, u32 devaddr, u16 ping_period)
{
    static const u8 zeros[16];
    struct lora_key zero = { 0 };
    assert(ping_period > 0);
    lora_key_set(&zero, zeros);
    u16 offset = offset_under(&zero, beacon_gps_s, devaddr, ping_period);
    lora_key_clear(&zero);
    return offset;
}

i64 lora_ping_next_us(i64 after_gps_us, u32 devaddr, u16 ping_nb)
{
    assert(ping_nb > 0 && LORA_PING_SLOTS % ping_nb == 0);
    i64 slot_us = LORA_PING_SLOT_MS * US_PER_MS;
    i64 period_us = LORA_PING_SLOTS / ping_nb * slot_us;
    i64 beacon_us = after_gps_us < 0 ? 0 : after_gps_us / US_PERIOD * US_PERIOD;
    for (;; beacon_us += US_PERIOD) {
        u16 offset = lora_ping_offset((u32)(beacon_us / US_PER_S), devaddr,
                                      (u16)(LORA_PING_SLOTS / ping_nb));
        i64 first = beacon_us + LORA_BEACON_RESERVED_MS * US_PER_MS + offset * slot_us;
        i64 n = after_gps_us < first ? 0 : (after_gps_us - first) / period_us + 1;
        if (n < ping_nb)
            return first + n * period_us;
    }
}

u16 lora_crc16(struct bytes b)
{
    unsigned crc = 0;
    for (size_t i = 0; i < b.n; i++) {
        crc ^= (unsigned)b.p[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021u : 0)) & 0xFFFF;
    }
    return (u16)crc;
}

/* RFU bytes in front (the last one is Param) and behind, by spreading factor. */
static bool layout(size_t *front, size_t *back, u8 sf)
{
    if (sf < 8 || sf > 12)
        return false;
    *front = sf - 7u;
    *back  = sf == 8 ? 3 : sf - 9u;
    return true;
}

enum { BEACON_TIME_CRC = 6, BEACON_GW_SPECIFIC = 7 };

enum lora_err lora_beacon_parse(struct lora_beacon *out, u8 sf, struct bytes frame)
{
    size_t front, back;
    struct cur c = cur_of(frame);
    if (!layout(&front, &back, sf))
        return LORA_BAD_FIELD;
    if (frame.n != front + BEACON_TIME_CRC + BEACON_GW_SPECIFIC + back + 2)
        return frame.n < front + BEACON_TIME_CRC + BEACON_GW_SPECIFIC + back + 2 ? LORA_TRUNCATED
                                                                                 : LORA_TOO_LONG;
    struct bytes time_part = { frame.p, front + 4 };
    struct bytes gw_part = { frame.p + front + BEACON_TIME_CRC, BEACON_GW_SPECIFIC + back };
    struct lora_beacon b = { 0 };
    b.param = cur_take(&c, front).p[front - 1];
    b.gps_s = cur_u32le(&c);
    u16 time_crc = cur_u16le(&c);
    b.info_desc = cur_u8(&c);
    b.lat = (i32)(cur_u24le(&c) << 8) / 256;        /* sign-extends 24 bits */
    b.lng = (i32)(cur_u24le(&c) << 8) / 256;
    cur_take(&c, back);
    u16 gw_crc = cur_u16le(&c);
    assert(!c.bad);                                 /* the length was asked above */
    if (time_crc != lora_crc16(time_part) || gw_crc != lora_crc16(gw_part))
        return LORA_BAD_CRC;
    *out = b;
    return LORA_OK;
}

enum lora_err lora_beacon_build(struct buf *out, u8 sf, const struct lora_beacon *b)
{
    size_t front, back;
    if (!layout(&front, &back, sf))
        return LORA_BAD_FIELD;
    u8 room[LORA_BEACON_MAX] = { 0 };
    struct buf f = BUF(room);
    f.n = front - 1;                                /* RFU: zeros */
    buf_u8(&f, b->param);
    buf_u32le(&f, b->gps_s);
    buf_u16le(&f, lora_crc16((struct bytes){ room, f.n }));
    size_t gw_at = f.n;
    buf_u8(&f, b->info_desc);
    buf_u24le(&f, (u32)b->lat & 0xFFFFFF);
    buf_u24le(&f, (u32)b->lng & 0xFFFFFF);
    f.n += back;
    buf_u16le(&f, lora_crc16((struct bytes){ room + gw_at, f.n - gw_at }));
    assert(!f.bad);
    buf_put(out, buf_bytes(&f));
    return out->bad ? LORA_NO_ROOM : LORA_OK;
}
