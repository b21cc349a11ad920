// SPDX-License-Identifier: Apache-2.0
/*
 * A LoRaWAN 1.0.3 class A device, as its own flash and radio chip see it: it joins, builds uplinks,
 * opens two windows, understands downlinks. It knows neither server nor clock (those: turn.c).
 *
 * In AS923 it boots with the dwell limit on, so that at DR2 it may send 11 bytes until a
 * TxParamSetupReq says otherwise. Frame counters and nonces go to disk before they go on the air.
 */
#include "sim/inside.h"

#define EIRP_DBM_JAPAN 13            /* 20 mW and an antenna without gain */

const struct lora_region *sim_region(void)
{
    return lora_region_by_name(S("AS923-1"));
}

void sim_device_boot(struct device *d)
{
    const struct lora_region *r = sim_region();
    struct kept *k = &d->kept;
    memset(k->channels, 0, sizeof k->channels);
    for (u32 i = 0; i < r->up[0].count && i < CHANNELS_MAX; i++)
        k->channels[i] = (struct channel){ r->up[0].first_hz + i * r->up[0].step_hz, 0,
                                           r->up[0].dr_min, r->up[0].dr_max, true };
    k->joined        = false;
    k->rx1_delay_s   = LORA_RX1_DELAY_S;
    k->rx1_dr_offset = 0;
    k->rx2_hz        = r->rx2_hz;
    k->rx2_dr        = r->rx2_dr;
    k->dwell_up      = r->boot_dwell_up;
    k->dwell_down    = r->boot_dwell_down;
    k->eirp_index    = lora_eirp_index(r->eirp_cdbm / 100);
    k->dr            = d->dr_installed;
    k->power         = 0;
    k->nb_trans      = 1;
    k->duty          = 0;
    k->fcnt_up = k->fcnt_down = 0;
    d->sticky_n = d->once_n = 0;
    d->adr_ack_count = 0;
    d->ack_owed = d->awaits_ack = false;
}

void sim_device_keys(struct device *d)
{
    lora_key_set(&d->app_key, d->kept.app_key);
    if (!d->kept.joined)
        return;
    lora_key_set(&d->nwk_s_key, d->kept.nwk_s_key);
    lora_key_set(&d->app_s_key, d->kept.app_s_key);
}

static struct lora_session session_of(const struct device *d)
{
    return (struct lora_session){ false, &d->nwk_s_key, &d->nwk_s_key, &d->nwk_s_key,
                                  &d->app_s_key };
}

double sim_device_eirp_dbm(const struct device *d)
{
    int most = MIN(lora_eirp_dbm(d->kept.eirp_index), EIRP_DBM_JAPAN);
    return most - 2 * d->kept.power;
}

/* ------------------------------------------------------------------ joining */

#define JOIN_EUI 0x02484F5441FF0001u     /* locally administered, spells HOTA */

/* 1.0.3 asks for a random nonce, 1.0.4 for a counter; the city has both kinds. */
bool sim_device_join_request(struct device *d, struct buf *out, struct chance *chance)
{
    sim_device_boot(d);
    d->kept.dev_nonce =
        d->nonce_random ? (u16)sim_chance_next(chance) : (u16)(d->kept.dev_nonce + 1);
    if (d->joins_failed)                 /* further down with every failure, and around again */
        d->kept.dr = (u8)(DR_2 + (d->dr_installed - DR_2 + 3 * (d->joins_failed % 4)) % 4);
    struct lora_join_request r = { .join_eui = JOIN_EUI, .dev_eui = d->kept.dev_eui,
                                   .dev_nonce = d->kept.dev_nonce };
    d->joining = true;
    return lora_join_request_seal(out, &r, &d->app_key) == LORA_OK;
}

static void add_channels(struct device *d, const u8 raw[LORA_CFLIST_SIZE])
{
    struct lora_cflist list;
    u32 first = sim_region()->up[0].count;
    if (lora_cflist_parse(&list, raw) != LORA_OK || list.type != 0)
        return;
    for (u32 i = 0; i < COUNT(list.freq_hz); i++)
        if (list.freq_hz[i])
            d->kept.channels[first + i] = (struct channel){ list.freq_hz[i], 0, DR_0, DR_5, true };
}

static enum heard heard_join_accept(struct device *d, struct bytes phy)
{
    struct lora_join_accept a;
    u8 room[LORA_AIR_MAX];
    if (lora_join_accept_open(&a, room, phy, &d->app_key) != LORA_OK ||
        !lora_join_accept_verify(&a, &d->app_key, (struct lora_join_terms){ 0 }))
        return HEARD_NOT_MINE;
    struct lora_session_raw raw;
    struct kept *k = &d->kept;
    lora_derive_session(&raw, &d->app_key, a.join_nonce, a.net_id, k->dev_nonce);
    memcpy(k->nwk_s_key, raw.f_nwk_s_int, 16);
    memcpy(k->app_s_key, raw.app_s, 16);
    lora_wipe(&raw, sizeof raw);
    k->devaddr       = a.devaddr;
    k->rx1_dr_offset = a.rx1_dr_offset;
    k->rx2_dr        = a.rx2_dr;
    k->rx1_delay_s   = (u8)MAX(a.rx_delay & 15, 1);
    k->dr            = d->dr_installed;
    k->joined        = true;
    if (a.has_cflist)
        add_channels(d, a.cflist);
    d->joining      = false;
    d->joins_failed = d->acks_failed = 0;
    sim_device_keys(d);
    return HEARD_JOINED;
}

/* ------------------------------------------------------------------ up */

static int answers_room(const struct device *d)
{
    return MIN(lora_payload_max(sim_region(), d->kept.dr, d->kept.dwell_up), (int)LORA_FOPTS_MAX);
}

/* As many whole commands as there is room for, the oldest promises first. */
static struct bytes answers(struct device *d, u8 room[16])
{
    struct buf all = buf_of(room, 16), out = buf_of(room, 0);
    u8 raw[40];
    struct buf b = BUF(raw);
    buf_put(&b, (struct bytes){ d->sticky, d->sticky_n });
    buf_put(&b, (struct bytes){ d->once, d->once_n });
    if (d->check_link)
        (void)lora_command_build_empty(&b, LORA_UP, CID_LINK_CHECK);
    if (d->ask_time)
        (void)lora_command_build_empty(&b, LORA_UP, CID_DEVICE_TIME);
    struct cur c = cur_of(buf_bytes(&b));
    struct lora_command command;
    int most = answers_room(d);
    while (lora_command_next(&command, &c, LORA_UP)) {
        if ((int)(all.n + 1 + command.body.n) > most)
            break;
        buf_u8(&all, command.kind->cid);
        buf_put(&all, command.body);
        out = all;
    }
    return (struct bytes){ room, out.n };
}

int sim_device_room(const struct device *d)
{
    int answered = d->sticky_n + d->once_n + d->check_link + d->ask_time;
    int room = lora_payload_max(sim_region(), d->kept.dr, d->kept.dwell_up) -
               MIN(answered, answers_room(d));
    return MAX(room, 0);
}

/* §4.3.1.1: unheard for long, ask; unheard for longer, speak louder, then slower. */
static void back_off(struct device *d)
{
    d->adr_ack_count++;
    if (d->adr_ack_count < LORA_ADR_ACK_LIMIT + LORA_ADR_ACK_DELAY ||
        d->adr_ack_count % LORA_ADR_ACK_DELAY)
        return;
    u8 slowest = d->kept.dwell_up ? DR_2 : DR_0;
    if (d->kept.power > 0)
        d->kept.power = 0;
    else if (d->kept.dr > slowest)
        d->kept.dr--;
    else
        for (u32 i = 0; i < sim_region()->up[0].count; i++)
            d->kept.channels[i].on = true;
}

bool sim_device_uplink(struct device *d, struct buf *out, struct bytes reading)
{
    u8 fopts[16];
    bool adr = d->kind != KIND_TRACKER;              /* what moves keeps its rate */
    if (adr)
        back_off(d);
    struct lora_frame f = {
        .mtype   = d->confirmed ? MTYPE_CONFIRMED_UP : MTYPE_DATA_UP,
        .fctrl   = (u8)((adr ? FCTRL_ADR : 0) | (d->ack_owed ? FCTRL_ACK : 0) |
                        (adr && d->adr_ack_count >= LORA_ADR_ACK_LIMIT ? FCTRL_ADR_ACK_REQ : 0)),
        .fport   = FPORT_NONE,
        .devaddr = d->kept.devaddr,
        .fopts   = answers(d, fopts),
    };
    int most = lora_payload_max(sim_region(), d->kept.dr, d->kept.dwell_up);
    d->more  = reading.n > 0 && (int)(f.fopts.n + reading.n) > most;
    if (reading.n > 0 && !d->more) {
        f.fport   = READING_PORT;
        f.payload = reading;
    }
    struct lora_session session = session_of(d);
    if (lora_frame_seal(out, &f, &session, d->kept.fcnt_up, (struct lora_mic_terms){ 0 }) !=
        LORA_OK)
        return false;
    d->kept.fcnt_up++;
    d->once_n   = 0;
    d->ack_owed = d->check_link = d->ask_time = false;
    return true;
}

bool sim_device_channel(const struct device *d, struct chance *chance, u32 *hz, u32 *down_hz)
{
    u32 fit[CHANNELS_MAX], n = 0;
    for (u32 i = 0; i < CHANNELS_MAX; i++) {
        const struct channel *c = &d->kept.channels[i];
        if (c->hz && c->on && d->kept.dr >= c->dr_min && d->kept.dr <= c->dr_max)
            fit[n++] = i;
    }
    if (n == 0)
        return false;
    const struct channel *c = &d->kept.channels[fit[sim_chance_below(chance, n)]];
    *hz      = c->hz;
    *down_hz = c->down_hz ? c->down_hz : c->hz;
    return true;
}

void sim_device_windows(struct device *d, struct mono sent, u32 down_hz)
{
    i64 delay_s = d->joining ? LORA_JOIN_RX1_DELAY_S : d->kept.rx1_delay_s;
    int dr = lora_rx1_dr(sim_region(), d->up_dr, d->joining ? 0 : d->kept.rx1_dr_offset,
                         d->kept.dwell_down);
    d->rx1 = (struct window){ mono_after(sent, delay_s * US_PER_S), down_hz, (u8)MAX(dr, 0) };
    d->rx2 = (struct window){ mono_after(sent, (delay_s + LORA_RX2_AFTER_RX1_S) * US_PER_S),
                              d->kept.rx2_hz, d->kept.rx2_dr };
}

/* ------------------------------------------------------------------ down */

static enum heard heard_data(struct device *d, struct bytes phy, u8 room[LORA_AIR_MAX],
                             struct bytes *payload, i16 *port)
{
    struct lora_frame air, plain;
    if (!d->kept.joined || lora_frame_parse(&air, phy) != LORA_OK ||
        air.devaddr != d->kept.devaddr || lora_mtype_dir(air.mtype) != LORA_DOWN)
        return HEARD_NOT_MINE;
    struct lora_session session = session_of(d);
    u32 fcnt = lora_fcnt_extend(d->kept.fcnt_down, air.fcnt_low);
    if (!lora_frame_verify(&air, &session, fcnt, (struct lora_mic_terms){ 0 }))
        return HEARD_NOT_MINE;
    lora_frame_open(&plain, room, &air, &session, fcnt);
    d->kept.fcnt_down = fcnt + 1;
    d->adr_ack_count  = 0;
    d->sticky_n       = 0;                           /* the network has heard them */
    if (plain.fctrl & FCTRL_ACK) {
        d->awaits_ack  = false;
        d->acks_failed = 0;
    }
    d->ack_owed = plain.mtype == MTYPE_CONFIRMED_DOWN;
    d->more     = d->more || (plain.fctrl & FCTRL_FPENDING) || d->ack_owed;
    sim_commands_obey(d, plain.fport == FPORT_MAC ? plain.payload : plain.fopts);
    if (plain.fport > FPORT_MAC) {
        *payload = plain.payload;
        *port    = plain.fport;
    }
    return HEARD_DATA;
}

enum heard sim_device_heard(struct device *d, struct bytes phy, i16 snr_cb, u8 room[LORA_AIR_MAX],
                            struct bytes *payload, i16 *port)
{
    enum lora_mtype mtype;
    *payload = (struct bytes){ NULL, 0 };
    *port    = FPORT_NONE;
    if (lora_mtype_of(&mtype, phy) != LORA_OK)
        return HEARD_NOT_MINE;
    i16 before = d->snr_cb;
    d->snr_cb  = snr_cb;
    enum heard heard = d->joining && mtype == MTYPE_JOIN_ACCEPT ? heard_join_accept(d, phy)
                       : !d->joining && lora_mtype_is_data(mtype)
                           ? heard_data(d, phy, room, payload, port)
                           : HEARD_NOT_MINE;
    if (heard == HEARD_NOT_MINE)
        d->snr_cb = before;
    return heard;
}
