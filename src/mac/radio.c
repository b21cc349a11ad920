// SPDX-License-Identifier: Apache-2.0
/*
 * How a frame was heard, as bytes (little-endian):
 *
 *     | 8       | 4    | 4    | 4  | 4       | 2    | 2   | 1  | 1       | 1        | 1   | 8          |
 *     | gateway | tmst | freq | bw | bitrate | rssi | snr | sf | antenna | rf chain | RFU | gateway_us |
 */
#include "mac/inside.h"

void radio_write(struct buf *out, const struct radio *r)
{
    size_t before = out->n;
    buf_u64le(out, r->gateway);
    buf_u32le(out, r->tmst_us);
    buf_u32le(out, r->freq_hz);
    buf_u32le(out, r->bw_hz);
    buf_u32le(out, r->bitrate);
    buf_u16le(out, (u16)r->rssi_dbm);
    buf_u16le(out, (u16)r->snr_cb);
    buf_u8(out, r->sf);
    buf_u8(out, r->antenna);
    buf_u8(out, r->rf_chain);
    buf_u8(out, 0);
    buf_u64le(out, (u64)r->gateway_us);
    assert(out->bad || out->n - before == MAC_RADIO_BYTES);
}

bool mac_radio_read(struct radio *r, struct cur *c)
{
    if (cur_left(c) < MAC_RADIO_BYTES)
        return false;
    r->gateway  = cur_u64le(c);
    r->tmst_us  = cur_u32le(c);
    r->freq_hz  = cur_u32le(c);
    r->bw_hz    = cur_u32le(c);
    r->bitrate  = cur_u32le(c);
    r->rssi_dbm = (i16)cur_u16le(c);
    r->snr_cb   = (i16)cur_u16le(c);
    r->sf       = cur_u8(c);
    r->antenna  = cur_u8(c);
    r->rf_chain = cur_u8(c);
    (void)cur_u8(c);
    r->gateway_us = (i64)cur_u64le(c);
    return !c->bad;
}
