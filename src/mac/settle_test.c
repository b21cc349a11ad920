// SPDX-License-Identifier: Apache-2.0
/*
 * The talk about parameters against a device that does what the standard says and nothing cleverer,
 * over a radio that loses both ways: whatever is lost, both ends agree in the end.
 */
#include "base/test.h"
#include "mac/params.h"

/* ------------------------------------------------------------------ a device (LoRaWAN chapter 5) */

struct node {
    const struct lora_region *region;
    struct params is;                  /* what it really does */
    u8  sticky[64], once[64];          /* answers: those that are repeated until a downlink, and those said once */
    size_t sticky_n, once_n;
    u8  power_most;                    /* what its radio can */
    u32 hz_most;
    bool one_answer;                   /* 1.1: one LinkADRAns for a block */
};

static void link_block(struct node *d, struct cur *c, struct lora_command first)
{
    struct params next = d->is;
    struct lora_link_adr_req r;
    struct lora_command command = first;
    size_t n = 0;
    bool mask_ok = true, more = true;
    while (more && lora_link_adr_req_parse(&r, &command)) {
        u16 mask = (u16)r.ch_mask;
        int words = d->region->channels_max / 16, on = words == 3 ? 3 : 6;       /* RP002: CN470 of 48 says it otherwise */
        if (params_is_fixed(d->region) && (int)r.ch_mask_cntl >= on) {
            for (int w = 0; w < words; w++)
                next.mask[w] = (int)r.ch_mask_cntl == on ? 0xFFFF : 0;
            if (d->region->channels_max == 72)
                next.mask[4] = mask;
        } else {
            next.mask[r.ch_mask_cntl] = mask;
        }
        n++;
        struct cur before = *c;
        more = lora_command_next(&command, c, LORA_DOWN);
        if (more && command.kind->cid != CID_LINK_ADR)
            *c = before, more = false;
    }
    u16 any = 0;
    for (int w = 0; w < PARAMS_WORDS; w++) {
        any |= next.mask[w];
        for (int i = 0; i < 16 && !params_is_fixed(d->region); i++)
            mask_ok &= w > 0 || !(next.mask[0] >> i & 1) || d->is.channel[i].up_hz != 0;
    }
    mask_ok &= any != 0;
    bool power_ok = r.tx_power == 15 || r.tx_power <= d->power_most, dr_ok = r.data_rate == 15 || r.data_rate <= d->region->adr_dr_max;
    if (mask_ok && power_ok && dr_ok) {
        next.dr       = r.data_rate == 15 ? next.dr : (u8)r.data_rate;
        next.tx_power = r.tx_power == 15 ? next.tx_power : (u8)r.tx_power;
        next.nb_trans = (u8)MAX(r.nb_trans, 1);
        d->is = next;
    }
    struct buf out = buf_of(d->once + d->once_n, sizeof d->once - d->once_n);
    for (size_t i = 0; i < (d->one_answer ? 1 : n); i++)
        (void)lora_link_adr_ans_build(&out, &(struct lora_link_adr_ans){ .channel_mask_ack = mask_ok, .data_rate_ack = dr_ok, .power_ack = power_ok });
    d->once_n += out.n;
}

static void obey(struct node *d, struct cur *c, const struct lora_command *command)
{
    struct buf once = buf_of(d->once + d->once_n, sizeof d->once - d->once_n);
    struct buf sticky = buf_of(d->sticky + d->sticky_n, sizeof d->sticky - d->sticky_n);
    struct lora_tx_param_setup_req tx;
    struct lora_rx_timing_setup_req timing;
    struct lora_rx_param_setup_req rx;
    struct lora_new_channel_req channel;
    struct lora_dl_channel_req down;
    struct lora_duty_cycle_req duty;
    struct lora_adr_param_setup_req adr;
    struct lora_rejoin_param_setup_req rejoin;
    if (command->kind->cid == CID_LINK_ADR) {
        link_block(d, c, *command);
        return;
    }
    if (lora_tx_param_setup_req_parse(&tx, command)) {
        d->is.eirp_index = (u8)tx.max_eirp_index;
        d->is.dwell_up   = tx.uplink_dwell_400ms;
        d->is.dwell_down = tx.downlink_dwell_400ms;
        (void)lora_command_build_empty(&sticky, LORA_UP, CID_TX_PARAM_SETUP);
    } else if (lora_rx_timing_setup_req_parse(&timing, command)) {
        d->is.rx1_delay_s = (u8)MAX(timing.delay_s, 1);
        (void)lora_command_build_empty(&sticky, LORA_UP, CID_RX_TIMING_SETUP);
    } else if (lora_rx_param_setup_req_parse(&rx, command)) {
        bool ok = rx.frequency_hz <= d->hz_most;
        if (ok) {
            d->is.rx2_hz        = rx.frequency_hz;
            d->is.rx2_dr        = (u8)rx.rx2_data_rate;
            d->is.rx1_dr_offset = (u8)rx.rx1_dr_offset;
        }
        (void)lora_rx_param_setup_ans_build(&sticky, &(struct lora_rx_param_setup_ans){ ok, true, true });
    } else if (lora_new_channel_req_parse(&channel, command)) {
        bool ok = channel.frequency_hz <= d->hz_most && channel.ch_index < PARAMS_CHANNELS;
        if (ok) {
            d->is.channel[channel.ch_index] = (struct params_channel){ channel.frequency_hz, (u8)channel.min_dr, (u8)channel.max_dr };
            d->is.down_hz[channel.ch_index] = channel.frequency_hz;
            d->is.mask[0] = (u16)(d->is.mask[0] | 1u << channel.ch_index);
        }
        (void)lora_new_channel_ans_build(&once, &(struct lora_new_channel_ans){ ok, true });
    } else if (lora_dl_channel_req_parse(&down, command)) {
        bool there = d->is.channel[down.ch_index].up_hz != 0;
        if (there)
            d->is.down_hz[down.ch_index] = down.frequency_hz;
        (void)lora_dl_channel_ans_build(&sticky, &(struct lora_dl_channel_ans){ true, there });
    } else if (lora_duty_cycle_req_parse(&duty, command)) {
        d->is.duty_exp = (u8)duty.max_duty_cycle;
        (void)lora_command_build_empty(&once, LORA_UP, CID_DUTY_CYCLE);
    } else if (lora_adr_param_setup_req_parse(&adr, command)) {
        d->is.adr_limit_exp = (u8)adr.limit_exp;
        d->is.adr_delay_exp = (u8)adr.delay_exp;
        (void)lora_command_build_empty(&once, LORA_UP, CID_ADR_PARAM_SETUP);
    } else if (lora_rejoin_param_setup_req_parse(&rejoin, command)) {
        d->is.rejoin_time_n  = (u8)rejoin.max_time_n;
        d->is.rejoin_count_n = (u8)rejoin.max_count_n;
        (void)lora_rejoin_param_setup_ans_build(&once, &(struct lora_rejoin_param_setup_ans){ true });
    }
    d->once_n   += once.n;
    d->sticky_n += sticky.n;
}

static void device_hears(struct node *d, struct bytes commands)
{
    struct cur c = cur_of(commands);
    struct lora_command command;
    d->sticky_n = 0;                   /* any downlink ends the repeating */
    while (lora_command_next(&command, &c, LORA_DOWN))
        obey(d, &c, &command);
}

/* What its next uplink carries. */
static struct bytes device_says(struct node *d, u8 room[64])
{
    struct buf out = buf_of(room, 64);
    buf_put(&out, (struct bytes){ d->sticky, d->sticky_n });
    buf_put(&out, (struct bytes){ d->once, d->once_n });
    d->once_n = 0;
    return buf_bytes(&out);
}

/* ------------------------------------------------------------------ the two of them */

struct pair { struct node device; struct params_state state; struct params wanted; struct params_terms terms; u32 chance; int sent; };

static bool lost(struct pair *p, u32 percent)
{
    p->chance = p->chance * 1664525u + 1013904223u;
    return (p->chance >> 8) % 100 < percent;
}

static struct pair meet(const char *region, enum lora_version version, bool adr)
{
    const struct lora_region *r = lora_region_by_name(str_z(region));
    struct pair p = { .terms = { r, version, 0, adr }, .chance = 1 };
    params_begin(&p.state, r);
    params_wanted(&p.wanted, r, NULL);
    p.device = (struct node){ .region = r, .is = p.state.now, .power_most = 15, .hz_most = UINT32_MAX, .one_answer = version == LORAWAN_1_1 };
    p.device.is.dr = 0;
    return p;
}

/* An uplink, heard or not, and what goes back. */
static void uplink(struct pair *p, u32 loss)
{
    u8 up[64], down[LORA_FOPTS_MAX];
    struct buf out = BUF(down);
    struct bytes said = device_says(&p->device, up);
    if (lost(p, loss))
        return;
    p->terms.up_dr = p->device.is.dr;
    struct params_heard heard = params_hear(&p->state, &p->terms, said);
    params_ask(&out, &p->state, &p->wanted, &p->terms);
    if (out.n == 0 && !heard.owed)
        return;
    p->sent++;
    if (!lost(p, loss))
        device_hears(&p->device, buf_bytes(&out));
}

static bool agree(const struct pair *p)
{
    struct params a = p->device.is, b = p->state.now;
    a.dr = b.dr = 0;                   /* the server sees the data rate in each uplink */
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool settled(const struct pair *p)
{
    struct params_terms terms = p->terms;
    terms.up_dr = p->device.is.dr;
    return !params_differ(&p->state, &p->wanted, &terms) && p->state.talk.repeated == 0;
}

/* Eight times nothing: what the device does then is not known any more. */
static bool given_up(const struct pair *p)
{
    for (int ask = 0; ask < ASKS; ask++)
        if (p->state.talk.tries[ask] >= 8)
            return true;
    return false;
}

static int talk_until_settled(struct pair *p, u32 loss)
{
    int n = 0;
    do
        uplink(p, loss);
    while (!settled(p) && ++n < 2000);
    for (int i = 0; i < 3; i++)
        uplink(p, 0);                  /* what was said once more in between */
    return n;
}

/* Everything that a network may want otherwise. */
static void want_all(struct pair *p)
{
    struct params *w = &p->wanted;
    w->rx1_delay_s = 5;
    w->rx1_dr_offset = 2;
    w->duty_exp = 3;
    w->adr_limit_exp = 4;
    w->rejoin_time_n = 8;
    w->rejoin_count_n = 5;
    w->eirp_index = 3;
    w->dwell_up = w->dwell_down = false;
    w->dr = 3;
    w->tx_power = 2;
    w->nb_trans = 2;
    if (params_is_fixed(p->terms.region)) {
        memset(w->mask, 0, sizeof w->mask);
        w->mask[0] = 0xFF00;
        if (p->terms.region->channels_max == 72)
            w->mask[4] = 2;
        return;
    }
    for (int i = params_defaults(p->terms.region); i < 8; i++) {
        u32 hz = w->channel[0].up_hz + (u32)i * 200000;
        w->channel[i] = (struct params_channel){ hz, 0, 5 };
        w->down_hz[i] = i == 7 ? w->channel[0].up_hz : hz;
        w->mask[0] = (u16)(w->mask[0] | 1u << i);
    }
    w->mask[0] = (u16)(w->mask[0] & ~1u);
}

TEST(both_ends_agree_in_every_region_and_version_whatever_is_lost)
{
    for (size_t r = 0; lora_region_at(r); r++)
        for (int version = 0; version < LORA_VERSIONS; version++)
            for (u32 loss = 0; loss <= 40; loss += 20) {
                struct pair p = meet(lora_region_at(r)->name, (enum lora_version)version, true);
                p.chance = (u32)(r * 1000 + (u32)version * 10 + loss);
                want_all(&p);
                int n = talk_until_settled(&p, loss);
                TRUE(n < 2000);
                if (!agree(&p) && !given_up(&p))
                    test_fail(__FILE__, __LINE__, "%s, LoRaWAN %.*s, %u %% lost: they do not agree", lora_region_at(r)->name,
                              STR(lora_version_str((enum lora_version)version)), loss);
            }
}

TEST(without_losses_all_that_is_wanted_is_reached)
{
    for (size_t r = 0; lora_region_at(r); r++) {
        struct pair p = meet(lora_region_at(r)->name, LORAWAN_1_1, true);
        const struct params *is = &p.device.is;
        want_all(&p);
        TRUE(talk_until_settled(&p, 0) < 12);
        EQ(is->rx1_delay_s, 5);
        EQ(is->rx1_dr_offset, 2);
        EQ(is->duty_exp, 3);
        EQ(is->adr_limit_exp, 4);
        EQ(is->rejoin_time_n, 8);
        EQ(is->dr, MIN(3, p.terms.region->adr_dr_max));
        EQ(is->tx_power, 2);
        EQ(is->nb_trans, 2);
        TRUE(memcmp(is->mask, p.wanted.mask, sizeof is->mask) == 0);
        TRUE(memcmp(is->channel, p.wanted.channel, sizeof is->channel) == 0);
        TRUE(memcmp(is->down_hz, p.wanted.down_hz, sizeof is->down_hz) == 0);
    }
}

TEST(a_sub_band_of_us915_is_chosen_with_two_requests)
{
    struct pair p = meet("US915", LORAWAN_1_0_3, false);
    u8 down[LORA_FOPTS_MAX];
    struct buf out = BUF(down);
    memset(p.wanted.mask, 0, sizeof p.wanted.mask);
    p.wanted.mask[0] = 0xFF00;
    p.wanted.mask[4] = 2;
    params_ask(&out, &p.state, &p.wanted, &p.terms);
    struct text words = text_make(test_arena(), 1024);
    lora_commands_text(&words, buf_bytes(&out), LORA_DOWN);
    STR_EQ(text_str(&words), S("LinkADRReq data_rate=0 tx_power=0 ch_mask=0x0002 ch_mask_cntl=7 nb_trans=1; "
                               "LinkADRReq data_rate=0 tx_power=0 ch_mask=0xff00 ch_mask_cntl=0 nb_trans=1"));
}

TEST(nothing_is_sent_when_nothing_differs)
{
    struct pair p = meet("AS923-1", LORAWAN_1_0_3, true);
    for (int i = 0; i < 100; i++)
        uplink(&p, 0);
    EQ(p.sent, 0);
}

TEST(a_sticky_answer_is_owed_a_downlink_and_its_request_is_not_sent_beside_it)
{
    struct pair p = meet("AS923-1", LORAWAN_1_0_3, false);
    u8 room[LORA_FOPTS_MAX], ans[1] = { CID_RX_TIMING_SETUP };
    struct buf out = BUF(room);
    p.wanted.rx1_delay_s = 5;
    params_ask(&out, &p.state, &p.wanted, &p.terms);
    EQ(out.n, 2);
    struct params_heard heard = params_hear(&p.state, &p.terms, (struct bytes){ ans, 1 });
    TRUE(heard.owed);
    EQ(p.state.now.rx1_delay_s, 5);
    p.wanted.rx1_delay_s = 6;
    out.n = 0;
    params_ask(&out, &p.state, &p.wanted, &p.terms);
    EQ(out.n, 0);                      /* its answer could not be told from the one that is still repeated */
    heard = params_hear(&p.state, &p.terms, (struct bytes){ ans, 1 });
    TRUE(heard.owed);
    EQ(heard.strange, 0);
    EQ(p.state.now.rx1_delay_s, 5);
    (void)params_hear(&p.state, &p.terms, (struct bytes){ ans, 0 });
    params_ask(&out, &p.state, &p.wanted, &p.terms);
    EQ(out.n, 2);
}

TEST(a_sticky_request_that_may_have_been_heard_is_repeated_as_it_was)
{
    struct pair p = meet("EU868", LORAWAN_1_0_3, false);
    u8 first[LORA_FOPTS_MAX], second[LORA_FOPTS_MAX];
    struct buf a = BUF(first), b = BUF(second);
    p.wanted.rx1_delay_s = 5;
    params_ask(&a, &p.state, &p.wanted, &p.terms);
    (void)params_hear(&p.state, &p.terms, (struct bytes){ first, 0 });
    p.wanted.rx1_delay_s = 7;
    params_ask(&b, &p.state, &p.wanted, &p.terms);
    BYTES_EQ(buf_bytes(&a), buf_bytes(&b));
}

TEST(a_device_that_never_answers_is_left_alone)
{
    struct pair p = meet("AS923-1", LORAWAN_1_0_3, true);
    u8 room[LORA_FOPTS_MAX];
    p.wanted.rx1_delay_s = 5;
    p.wanted.tx_power = 3;
    int asked = 0;
    for (int i = 0; i < 1000; i++) {
        struct buf out = BUF(room);
        (void)params_hear(&p.state, &p.terms, (struct bytes){ room, 0 });
        params_ask(&out, &p.state, &p.wanted, &p.terms);
        asked += out.n > 0;
    }
    TRUE(asked >= 8 && asked <= 16);
    TRUE(!params_differ(&p.state, &p.wanted, &p.terms));
}

TEST(an_answer_that_nobody_asked_for_changes_nothing)
{
    static const u8 all[] = { CID_TX_PARAM_SETUP, CID_RX_TIMING_SETUP, CID_RX_PARAM_SETUP, 7, CID_NEW_CHANNEL, 3,
                              CID_DL_CHANNEL, 3, CID_DUTY_CYCLE, CID_LINK_ADR, 7 };
    struct pair p = meet("AS923-1", LORAWAN_1_0_4, true);
    struct params before = p.state.now;
    struct params_heard heard = params_hear(&p.state, &p.terms, (struct bytes){ all, sizeof all });
    EQ(heard.answered, 0);
    TRUE(heard.strange != 0);
    TRUE(memcmp(&before, &p.state.now, sizeof before) == 0);
}

TEST(a_power_that_the_device_refuses_is_searched_downwards_and_found)
{
    struct pair p = meet("AS923-1", LORAWAN_1_0_3, true);
    p.device.power_most = 2;
    p.wanted.tx_power = 7;
    p.wanted.dr = 5;
    TRUE(talk_until_settled(&p, 0) < 10);
    EQ(p.device.is.tx_power, 2);
    EQ(p.device.is.dr, 5);
    TRUE(agree(&p));
}

TEST(a_channel_that_the_device_refuses_stays_out_and_the_others_come)
{
    struct pair p = meet("AS923-1", LORAWAN_1_0_3, true);
    p.device.hz_most = 924000000;
    for (int i = 2; i < 8; i++) {
        p.wanted.channel[i] = (struct params_channel){ 923600000 + (u32)(i - 2) * 200000, 0, 5 };
        p.wanted.down_hz[i] = p.wanted.channel[i].up_hz;
        p.wanted.mask[0] = (u16)(p.wanted.mask[0] | 1u << i);
    }
    TRUE(talk_until_settled(&p, 0) < 12);
    EQ(p.device.is.mask[0], 0x1F);     /* 923.2 … 924.0 */
    EQ(p.state.talk.channels_refused, 0xE0);
    TRUE(agree(&p));
}

TEST(a_channel_mask_never_leaves_with_a_data_rate_or_power_of_before)
{
    struct pair p = meet("EU868", LORAWAN_1_0_3, true);
    u8 room[LORA_FOPTS_MAX];
    struct buf out = BUF(room);
    struct lora_command command;
    struct lora_link_adr_req req;
    p.state.now.tx_power = 4;
    p.terms.up_dr = 3;
    p.wanted.mask[0] = 3;
    params_ask(&out, &p.state, &p.wanted, &p.terms);
    struct cur c = cur_of(buf_bytes(&out));
    TRUE(lora_command_next(&command, &c, LORA_DOWN) && lora_link_adr_req_parse(&req, &command));
    EQ(req.data_rate, 3);
    EQ(req.tx_power, 4);
    EQ(req.ch_mask, 3);
}

TEST(without_its_adr_bit_a_device_keeps_its_data_rate_and_power)
{
    struct pair p = meet("EU868", LORAWAN_1_0_4, false);
    p.wanted.dr = 5;
    p.wanted.tx_power = 3;
    p.wanted.mask[0] = 3;
    p.device.is.dr = 2;
    talk_until_settled(&p, 0);
    EQ(p.device.is.dr, 2);
    EQ(p.device.is.tx_power, 0);
    EQ(p.device.is.mask[0], 3);
}

TEST(the_state_of_a_talk_is_stored_and_read_again)
{
    u8 room[PARAMS_BYTES];
    struct buf out = BUF(room);
    struct params_state back;
    struct pair p = meet("AS923-1", LORAWAN_1_1, true);
    want_all(&p);
    for (int i = 0; i < 3; i++)
        uplink(&p, 30);
    params_write(&out, &p.state);
    TRUE(!out.bad);
    TRUE(params_read(&back, buf_bytes(&out)));
    TRUE(memcmp(&back, &p.state, sizeof back) == 0);
    for (size_t n = 0; n < out.n; n++)
        TRUE(!params_read(&back, (struct bytes){ room, n }));
    room[0]++;
    TRUE(!params_read(&back, buf_bytes(&out)));
}

TEST(a_join_accept_sets_what_the_device_does)
{
    const struct lora_region *as923 = lora_region_by_name(S("AS923-1"));
    struct lora_cflist list = { .type = 0, .freq_hz = { 922800000, 923000000, 922600000, 922000000, 922200000 } };
    struct lora_join_accept a = { .rx1_dr_offset = 1, .rx2_dr = 3, .rx_delay = 5, .has_cflist = true };
    struct params_state s;
    EQ(lora_cflist_build(a.cflist, &list), LORA_OK);
    params_joined(&s, as923, &a);
    EQ(s.now.mask[0], 0x7F);
    EQ(s.now.channel[6].up_hz, 922200000);
    EQ(s.now.rx1_delay_s, 5);
    EQ(s.now.rx1_dr_offset, 1);
    EQ(s.now.rx2_dr, 3);
    TRUE(s.now.dwell_up);
}

TEST(from_1_0_4_on_a_device_is_told_to_keep_what_it_chooses_itself)
{
    for (int version = LORAWAN_1_0_3; version <= LORAWAN_1_1; version++) {
        struct pair p = meet("EU868", (enum lora_version)version, false);
        u8 room[LORA_FOPTS_MAX];
        struct buf out = BUF(room);
        struct lora_command command;
        struct lora_link_adr_req req;
        p.wanted.mask[0] = 3;
        p.terms.up_dr = 4;
        params_ask(&out, &p.state, &p.wanted, &p.terms);
        struct cur c = cur_of(buf_bytes(&out));
        TRUE(lora_command_next(&command, &c, LORA_DOWN) && lora_link_adr_req_parse(&req, &command));
        EQ(req.data_rate, version >= LORAWAN_1_0_4 ? 15 : 4);
        EQ(req.tx_power, version >= LORAWAN_1_0_4 ? 15 : 0);
    }
}

TEST(a_mask_that_the_device_refuses_does_not_keep_its_data_rate_down)
{
    struct pair p = meet("EU868", LORAWAN_1_0_3, true);
    p.device.hz_most = 0;
    p.state.now.channel[3] = (struct params_channel){ 867100000, 0, 5 };      /* we believe it has it, and it has not */
    p.wanted.channel[3] = p.state.now.channel[3];
    p.state.now.down_hz[3] = p.wanted.down_hz[3] = 867100000;
    p.wanted.mask[0] = 0xF;
    p.wanted.dr = 5;
    TRUE(talk_until_settled(&p, 0) < 10);
    EQ(p.device.is.dr, 5);
    EQ(p.device.is.mask[0], 7);
}

TEST(a_block_that_does_not_fit_waits_whole)
{
    struct pair p = meet("US915", LORAWAN_1_0_3, true);
    u8 room[LORA_FOPTS_MAX];
    struct buf out = BUF(room);
    p.wanted.rx1_delay_s = 5;
    p.wanted.rx1_dr_offset = 1;
    memset(p.wanted.mask, 0, sizeof p.wanted.mask);
    p.wanted.mask[1] = 0xFF;
    p.wanted.mask[4] = 4;
    params_ask(&out, &p.state, &p.wanted, &p.terms);
    TRUE(!out.bad);
    struct text words = text_make(test_arena(), 1024);
    lora_commands_text(&words, buf_bytes(&out), LORA_DOWN);
    TRUE(str_find(text_str(&words), S("LinkADR")) < 0);
    talk_until_settled(&p, 0);
    EQ(p.device.is.mask[1], 0xFF);
    EQ(p.device.is.mask[0], 0);
}
