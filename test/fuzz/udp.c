// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a gateway's datagram. What is accepted is within what the rest of the program relies
 * on: a frame of at most 255 bytes, a rate, a frequency, a checksum state that has a name.
 */
#include "test/fuzz/fuzz.h"

#include "wire/semtech.h"

/* PULL_RESP: what a forwarder reads of it is what was to be sent. */
static void check_written(const struct semtech_tx *tx, struct bytes out, struct arena *a)
{
    static const u8 head[4] = { 2, 0x12, 0x34, SEMTECH_PULL_RESP };
    const struct json *doc;
    u8 phy[SEMTECH_PHY_MAX];
    u64 size, tmst, rfch;
    double freq;
    size_t n;
    assert(out.n > 4 && memcmp(out.p, head, 4) == 0);
    enum err err = json_read(&doc, str_of((struct bytes){ out.p + 4, out.n - 4 }), a, JSON_STRICT, NULL);
    const struct json *t = json_get(doc, S("txpk"));
    assert(err == OK && json_u64(&size, json_get(t, S("size"))) && size == tx->phy.n);
    assert(json_u64(&tmst, json_get(t, S("tmst"))) && tmst == tx->tmst_us);
    assert(json_u64(&rfch, json_get(t, S("rfch"))) && rfch == tx->rf_chain);
    assert(json_double(&freq, json_get(t, S("freq"))) && (u32)(freq * 1e6 + 0.5) == tx->freq_hz);
    bool read = base64_read(phy, sizeof phy, &n, json_str(json_get(t, S("data")), a));
    assert(read && bytes_eq((struct bytes){ phy, n }, tx->phy));
}

static void take_rx(const struct json *rxpk, struct arena *a)
{
    struct semtech_rx rx;
    enum semtech_fault fault = semtech_rx_read(&rx, rxpk, a);
    assert(fault == SEMTECH_FINE || fault == SEMTECH_FIELD || fault >= SEMTECH_BASE64);
    if (fault != SEMTECH_FINE)
        return;
    assert(rx.phy.n <= SEMTECH_PHY_MAX && (rx.phy.n == 0 || rx.phy.p));
    assert(rx.freq_hz > 1000000 && rx.freq_hz < 4000000000u);
    assert(rx.crc >= SEMTECH_CRC_BAD && rx.crc <= SEMTECH_CRC_OK);
    assert(rx.sf ? rx.sf >= 5 && rx.sf <= 12 && rx.bw_hz > 0 : rx.bitrate > 0);
    struct semtech_tx tx = { .tmst_us  = rx.tmst_us,
                             .freq_hz  = rx.freq_hz,
                             .bw_hz    = rx.bw_hz,
                             .bitrate  = rx.bitrate,
                             .sf       = rx.sf,
                             .rf_chain = rx.rf_chain,
                             .phy      = rx.phy };
    check_written(&tx, semtech_tx_write(&tx, 2, 0x1234, a), a);
}

FUZZ(p, n)
{
    struct arena a = arena_make(1 << 14);
    struct semtech_message m;
    const struct json *doc;
    struct str error;
    u8 ack[4];
    if (semtech_parse(&m, (struct bytes){ p, n }) == SEMTECH_FINE) {
        assert(n >= 12 && m.json.n == n - 12 && semtech_ack(ack, &m).n == 4);
        assert(ack[0] == m.version && get_u16be(ack + 1) == m.token);
        bool said = semtech_ack_error(&error, &m, &a);
        assert(said || error.n == 0);
        if (json_read(&doc, m.json, &a, JSON_LENIENT, NULL) == OK)
            JSON_EACH (one, json_get(doc, S("rxpk")))
                take_rx(one, &a);
    }
    arena_free(&a);
    return 0;
}
