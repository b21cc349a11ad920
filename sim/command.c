// SPDX-License-Identifier: Apache-2.0
/*
 * MAC commands as a 1.0.3 class A device obeys them (LoRaWAN 1.0.3 §5). Answers are of two kinds:
 * those that stand in every uplink until a downlink proves that they arrived (RXParamSetup,
 * RXTimingSetup, TxParamSetup, DlChannel), and those that are said once.
 */
#include "sim/inside.h"

#define BAND_MIN_HZ 915000000u
#define BAND_MAX_HZ 928000000u
#define DR_MAX      DR_5
#define KEEP        15u              /* "leave as it is" in LinkADRReq */

static void answer(u8 *room, u8 *n, enum lora_dir dir, u8 cid, const void *fields, size_t size)
{
    struct buf out = { room, *n, 16, false };
    if (lora_command_build(&out, dir, cid, fields, size) == LORA_OK && !out.bad)
        *n = (u8)out.n;
}
#define ONCE(d, cid, fields)                                                                       \
    answer((d)->once, &(d)->once_n, LORA_UP, cid, &(fields), sizeof(fields))
#define STICKY(d, cid, fields)                                                                     \
    answer((d)->sticky, &(d)->sticky_n, LORA_UP, cid, &(fields), sizeof(fields))

static bool in_band(u32 hz)
{
    return hz >= BAND_MIN_HZ && hz <= BAND_MAX_HZ;
}

static bool usable(const struct device *d, u16 mask, u8 dr)
{
    if (dr > DR_MAX || !lora_dr_is_usable(sim_region(), dr, d->kept.dwell_up))
        return false;
    for (u32 i = 0; i < CHANNELS_MAX; i++) {
        const struct channel *c = &d->kept.channels[i];
        if (mask >> i & 1 && c->hz && dr >= c->dr_min && dr <= c->dr_max)
            return true;
    }
    return false;
}

static u16 mask_of(const struct device *d, bool on)
{
    u16 mask = 0;
    for (u32 i = 0; i < CHANNELS_MAX; i++)
        if (d->kept.channels[i].hz && (!on || d->kept.channels[i].on))
            mask |= (u16)(1u << i);
    return mask;
}

/* §5.2: ChMaskCntl 0 names channels 0 to 15, 6 is all that are defined, the rest is RFU here. */
static bool masked(u16 *mask, const struct device *d, const struct lora_link_adr_req *q)
{
    if (q->ch_mask_cntl == 6)
        *mask = mask_of(d, false);
    else if (q->ch_mask_cntl == 0)
        *mask = (u16)q->ch_mask;
    else
        return false;
    return *mask != 0 && (*mask & ~mask_of(d, false)) == 0;
}

/* Neighbouring LinkADRReq are one block: the last one's rate and power count, answers are equal. */
static void obey_link_adr(struct device *d, const struct lora_link_adr_req *last, u16 mask,
                          bool mask_ok, int block)
{
    u8 dr    = last->data_rate == KEEP ? d->kept.dr : (u8)last->data_rate;
    u8 power = last->tx_power == KEEP ? d->kept.power : (u8)last->tx_power;
    struct lora_link_adr_ans a = {
        .channel_mask_ack = mask_ok,
        .data_rate_ack    = mask_ok ? usable(d, mask, dr) : dr <= DR_MAX,
        .power_ack        = power <= sim_region()->tx_power_max,
    };
    for (int i = 0; i < block; i++)
        ONCE(d, CID_LINK_ADR, a);
    if (!a.channel_mask_ack || !a.data_rate_ack || !a.power_ack)
        return;
    for (u32 i = 0; i < CHANNELS_MAX; i++)
        d->kept.channels[i].on = mask >> i & 1;
    d->kept.dr    = dr;
    d->kept.power = power;
    if (last->nb_trans)
        d->kept.nb_trans = (u8)last->nb_trans;
}

static void obey_rx_param_setup(struct device *d, const struct lora_rx_param_setup_req *q)
{
    const struct lora_region *r = sim_region();
    struct lora_rx_param_setup_ans a = {
        .channel_ack       = in_band(q->frequency_hz),
        .rx2_data_rate_ack = q->rx2_data_rate <= DR_7,
        .rx1_dr_offset_ack = q->rx1_dr_offset <= r->rx1_offset_max,
    };
    STICKY(d, CID_RX_PARAM_SETUP, a);
    if (!a.channel_ack || !a.rx2_data_rate_ack || !a.rx1_dr_offset_ack)
        return;
    d->kept.rx2_hz        = q->frequency_hz;
    d->kept.rx2_dr        = (u8)q->rx2_data_rate;
    d->kept.rx1_dr_offset = (u8)q->rx1_dr_offset;
}

/* §5.5: battery 1 (near its end) to 254 (full), 0 on mains. The margin is the asking frame's. */
static void obey_dev_status(struct device *d)
{
    double pct = sim_battery_pct(d->salt, d->weak_battery, 0);
    i32 margin = d->snr_cb / 10;
    struct lora_dev_status_ans a = {
        .battery   = (u32)(1 + pct * 253 / 100),
        .margin_db = margin < -32 ? -32 : margin > 31 ? 31 : margin,
    };
    ONCE(d, CID_DEV_STATUS, a);
}

/* §5.6: the default channels are nobody's to change; a frequency of 0 takes a channel away. */
static void obey_new_channel(struct device *d, const struct lora_new_channel_req *q)
{
    bool place = q->ch_index >= sim_region()->up[0].count && q->ch_index < CHANNELS_MAX;
    struct lora_new_channel_ans a = {
        .channel_frequency_ok = place && (q->frequency_hz == 0 || in_band(q->frequency_hz)),
        .data_rate_range_ok   = place && q->min_dr <= q->max_dr && q->max_dr <= DR_7,
    };
    ONCE(d, CID_NEW_CHANNEL, a);
    if (a.channel_frequency_ok && a.data_rate_range_ok)
        d->kept.channels[q->ch_index] = (struct channel){
            q->frequency_hz, 0, (u8)q->min_dr, (u8)q->max_dr, q->frequency_hz != 0,
        };
}

static void obey_dl_channel(struct device *d, const struct lora_dl_channel_req *q)
{
    struct lora_dl_channel_ans a = {
        .channel_frequency_ok    = in_band(q->frequency_hz),
        .uplink_frequency_exists = q->ch_index < CHANNELS_MAX && d->kept.channels[q->ch_index].hz,
    };
    STICKY(d, CID_DL_CHANNEL, a);
    if (a.channel_frequency_ok && a.uplink_frequency_exists)
        d->kept.channels[q->ch_index].down_hz = q->frequency_hz;
}

static void obey_tx_param_setup(struct device *d, const struct lora_tx_param_setup_req *q)
{
    d->kept.eirp_index = (u8)q->max_eirp_index;
    d->kept.dwell_up   = q->uplink_dwell_400ms;
    d->kept.dwell_down = q->downlink_dwell_400ms;
    if (d->kept.dwell_up && d->kept.dr < DR_2)
        d->kept.dr = DR_2;
    answer(d->sticky, &d->sticky_n, LORA_UP, CID_TX_PARAM_SETUP, NULL, 0);
}

static void obey(struct device *d, const struct lora_command *c)
{
    struct lora_duty_cycle_req      duty;
    struct lora_rx_param_setup_req  rx;
    struct lora_new_channel_req     channel;
    struct lora_rx_timing_setup_req timing;
    struct lora_tx_param_setup_req  tx;
    struct lora_dl_channel_req      dl;
    if (lora_rx_param_setup_req_parse(&rx, c))
        obey_rx_param_setup(d, &rx);
    else if (lora_new_channel_req_parse(&channel, c))
        obey_new_channel(d, &channel);
    else if (lora_tx_param_setup_req_parse(&tx, c))
        obey_tx_param_setup(d, &tx);
    else if (lora_dl_channel_req_parse(&dl, c))
        obey_dl_channel(d, &dl);
    else if (c->kind->cid == CID_DEV_STATUS)
        obey_dev_status(d);
    else if (lora_duty_cycle_req_parse(&duty, c)) {
        d->kept.duty = (u8)duty.max_duty_cycle;
        answer(d->once, &d->once_n, LORA_UP, CID_DUTY_CYCLE, NULL, 0);
    } else if (lora_rx_timing_setup_req_parse(&timing, c)) {
        d->kept.rx1_delay_s = (u8)MAX(timing.delay_s, 1u);
        answer(d->sticky, &d->sticky_n, LORA_UP, CID_RX_TIMING_SETUP, NULL, 0);
    }
    /* LinkCheckAns and DeviceTimeAns are for the application, which here only wanted to ask. */
}

void sim_commands_obey(struct device *d, struct bytes commands)
{
    struct cur c = cur_of(commands);
    struct lora_command command;
    struct lora_link_adr_req q;
    u16  mask  = mask_of(d, true);
    bool ok    = true;
    int  block = 0;
    while (lora_command_next(&command, &c, LORA_DOWN)) {
        if (lora_link_adr_req_parse(&q, &command)) {
            ok = masked(&mask, d, &q) && ok;
            struct cur ahead = c;
            struct lora_command next;
            block++;
            if (!lora_command_next(&next, &ahead, LORA_DOWN) || next.kind->cid != CID_LINK_ADR) {
                obey_link_adr(d, &q, mask, ok, block);
                mask  = mask_of(d, true);
                ok    = true;
                block = 0;
            }
            continue;
        }
        obey(d, &command);
    }
}
