// SPDX-License-Identifier: Apache-2.0
/* The talk with a device about its parameters: what is asked, again or not any more, and what it answers. */
#include "mac/params.h"

#define TRIES_MOST 8                  /* a device that never answers is left as it is */
#define WAIT_MOST  32                 /* uplinks between two tries */
#define KEEP_FIELD 15                 /* from 1.0.4 on: "leave this as it is" in DataRate and TXPower */

static bool has(u16 set, int bit) { return set >> bit & 1; }
static u16 with(u16 set, int bit) { return (u16)(set | 1u << bit); }
static u16 without(u16 set, int bit) { return (u16)(set & ~(1u << bit)); }

static int mask_words(const struct lora_region *region)
{
    return (region->channels_max + 15) / 16;
}

/* ------------------------------------------------------------------ channels */

/* What every step of the talk is about. */
struct talking { struct params_state *s; const struct params *wanted; const struct params_terms *terms; };

/* Which channels are to be asked for. The default ones cannot be changed (5.6). */
static u16 channels_open(const struct talking *t)
{
    u16 open = 0;
    for (int i = params_defaults(t->terms->region); i < PARAMS_CHANNELS && !params_is_fixed(t->terms->region); i++) {
        const struct params_channel *now = &t->s->now.channel[i], *wanted = &t->wanted->channel[i];
        bool same = now->up_hz == wanted->up_hz &&
                    (now->up_hz == 0 || (now->dr_min == wanted->dr_min && now->dr_max == wanted->dr_max));
        open = same ? open : with(open, i);
    }
    return (u16)(open & ~t->s->talk.channels_refused);
}

/* Which channels are to be answered elsewhere. One that does not exist yet comes first. */
static u16 downs_open(const struct talking *t)
{
    u16 open = 0;
    for (int i = 0; i < PARAMS_CHANNELS && !params_is_fixed(t->terms->region); i++) {
        const struct params *now = &t->s->now, *wanted = t->wanted;
        bool there = now->channel[i].up_hz != 0 && now->channel[i].up_hz == wanted->channel[i].up_hz;
        open = there && now->down_hz[i] != wanted->down_hz[i] ? with(open, i) : open;
    }
    return (u16)(open & ~t->s->talk.dl_refused);
}

static bool build_channels(struct talking *t, struct buf *out)
{
    u16 open = channels_open(t);
    t->s->talk.channels_asked = 0;
    for (int i = 0; i < PARAMS_CHANNELS; i++) {
        const struct params_channel *c = &t->s->talk.sent.channel[i];
        struct lora_new_channel_req req = { .ch_index = (u32)i, .frequency_hz = c->up_hz, .min_dr = c->dr_min, .max_dr = c->dr_max };
        if (has(open, i) && lora_new_channel_req_build(out, &req) == LORA_OK)
            t->s->talk.channels_asked = with(t->s->talk.channels_asked, i);
    }
    return t->s->talk.channels_asked != 0;
}

static bool build_downs(struct talking *t, struct buf *out)
{
    struct params_talk *talk = &t->s->talk;
    u16 open = has(talk->asked, ASK_DL_CHANNEL) ? talk->dl_asked : downs_open(t);
    talk->dl_asked = 0;
    for (int i = 0; i < PARAMS_CHANNELS; i++) {
        struct lora_dl_channel_req req = { .ch_index = (u32)i, .frequency_hz = talk->sent.down_hz[i] };
        if (has(open, i) && lora_dl_channel_req_build(out, &req) == LORA_OK)
            talk->dl_asked = with(talk->dl_asked, i);
    }
    return talk->dl_asked != 0;
}

/* Answers come in the order of the requests, which was that of the indices; -1: one too many. */
static int take_first(u16 *set)
{
    for (int i = 0; i < 16; i++)
        if (has(*set, i)) {
            *set = without(*set, i);
            return i;
        }
    return -1;
}

static bool hear_channel(struct talking *t, const struct lora_command *c)
{
    struct params *now = &t->s->now, *sent = &t->s->talk.sent;
    struct lora_new_channel_ans a = { 0 };
    int i = take_first(&t->s->talk.channels_asked);
    (void)lora_new_channel_ans_parse(&a, c);
    if (i < 0)
        return true;
    if (!a.channel_frequency_ok || !a.data_rate_range_ok) {
        t->s->talk.channels_refused = with(t->s->talk.channels_refused, i);
        return true;                                   /* the others may still be wanted */
    }
    now->channel[i] = sent->channel[i];
    now->down_hz[i] = sent->channel[i].up_hz;          /* 5.6: it is answered where it was heard */
    now->mask[0]    = now->channel[i].up_hz ? with(now->mask[0], i) : without(now->mask[0], i);
    return true;
}

static bool hear_down(struct talking *t, const struct lora_command *c)
{
    struct lora_dl_channel_ans a = { 0 };
    int i = take_first(&t->s->talk.dl_asked);
    (void)lora_dl_channel_ans_parse(&a, c);
    if (i < 0)
        return true;
    if (a.channel_frequency_ok && a.uplink_frequency_exists)
        t->s->now.down_hz[i] = t->s->talk.sent.down_hz[i];
    else
        t->s->talk.dl_refused = with(t->s->talk.dl_refused, i);
    return true;
}

/* ------------------------------------------------------------------ LinkADRReq */

/* The values of one block: always all of them, from one hand. */
struct link { u8 dr, power, nb_trans; u16 mask[PARAMS_WORDS]; };

/* A channel that the device does not know yet stays out of its mask. */
static u16 mask_of_known(const struct talking *t, int word)
{
    u16 mask = t->wanted->mask[word];
    for (int i = 0; i < 16 && !params_is_fixed(t->terms->region); i++)
        if (t->s->now.channel[i].up_hz == 0)
            mask = without(mask, i);
    return mask;
}

static u8 chosen(u8 wanted, u8 adr, u8 now, u8 most)
{
    u8 value = adr != PARAMS_KEEP ? adr : wanted != PARAMS_KEEP ? wanted : now;
    return MIN(value, most);
}

static struct link link_of(const struct talking *t)
{
    const struct params *now = &t->s->now, *wanted = t->wanted;
    const struct params_talk *talk = &t->s->talk;
    u8 up_dr = (u8)MAX(t->terms->up_dr, 0);
    struct link l = { .dr = up_dr, .power = now->tx_power,
                      .nb_trans = chosen(wanted->nb_trans, talk->nb_trans, now->nb_trans, KEEP_FIELD) };
    for (int w = 0; w < mask_words(t->terms->region); w++)
        l.mask[w] = talk->mask_refused ? now->mask[w] : mask_of_known(t, w);
    if (t->terms->adr) {
        l.dr    = chosen(wanted->dr, talk->dr, up_dr, talk->dr_most);
        l.power = chosen(wanted->tx_power, talk->tx_power, now->tx_power, talk->power_most);
    }
    return l;
}

static bool link_differs(const struct talking *t)
{
    const struct params *now = &t->s->now;
    struct link l = link_of(t);
    bool rate = t->terms->up_dr >= 0 && l.dr != t->terms->up_dr;
    return rate || l.power != now->tx_power || l.nb_trans != now->nb_trans || memcmp(l.mask, now->mask, sizeof l.mask) != 0;
}

/* One LinkADRReq: which channels its mask is of, and which are on. */
struct part { u8 cntl; u16 mask; };

/* How a fixed plan says "all on" and "all off" (RP002): with 64 + 8 channels (US915, AU915) the mask beside it is
 * that of the eight wide ones; CN470 has 64 or 48. By words of the mask. */
struct whole { u8 on, off; };
static const struct whole wholes[PARAMS_WORDS + 1] = { [3] = { 3, 4 }, [4] = { 6, 7 }, [5] = { 6, 7 } };
enum { WIDE_WORD = 4, PARTS_MOST = PARAMS_WORDS + 1 };

static int parts_from(struct part *parts, const u16 *mask, const u16 *before, int words)
{
    int n = 0;
    for (int w = 0; w < words; w++)
        if (mask[w] != before[w])
            parts[n++] = (struct part){ (u8)w, mask[w] };
    return n;
}

static int parts_over(struct part parts[PARTS_MOST], const u16 *mask, int words, bool on)
{
    u16 begin = on ? 0xFFFF : 0, before[WIDE_WORD] = { begin, begin, begin, begin };
    parts[0] = (struct part){ on ? wholes[words].on : wholes[words].off, words > WIDE_WORD ? mask[WIDE_WORD] : 0 };
    return 1 + parts_from(parts + 1, mask, before, MIN(words, WIDE_WORD));
}

/* The fewest requests that make the device's mask this one. */
static int parts_of(struct part best[PARTS_MOST], const struct lora_region *region, const u16 *mask, const u16 *now)
{
    struct part other[PARTS_MOST];
    int words = mask_words(region), n = parts_from(best, mask, now, words);
    if (n == 0)
        best[n++] = (struct part){ 0, mask[0] };       /* the mask stays; data rate or power change */
    for (int on = 0; on < 2 && wholes[words].off; on++) {
        int m = parts_over(other, mask, words, on);
        if (m < n) {
            n = m;
            memcpy(best, other, sizeof other);
        }
    }
    return n;
}

static bool build_link(struct talking *t, struct buf *out)
{
    u8 room[LORA_FOPTS_MAX];
    struct buf block = BUF(room);
    struct part parts[PARTS_MOST];
    struct params *sent = &t->s->talk.sent;
    struct link l = link_of(t);
    bool keeps = t->terms->version >= LORAWAN_1_0_4 && !t->terms->adr;
    int  n = parts_of(parts, t->terms->region, l.mask, t->s->now.mask);
    for (int i = 0; i < n; i++) {
        struct lora_link_adr_req req = { .data_rate = keeps ? KEEP_FIELD : l.dr, .tx_power = keeps ? KEEP_FIELD : l.power,
                                         .ch_mask = parts[i].mask, .ch_mask_cntl = parts[i].cntl, .nb_trans = l.nb_trans };
        if (lora_link_adr_req_build(&block, &req) != LORA_OK)
            return false;
    }
    if (block.n > out->room - out->n)
        return false;                                  /* a block is whole, or it is not a block */
    buf_put(out, buf_bytes(&block));
    sent->dr       = l.dr;
    sent->tx_power = l.power;
    sent->nb_trans = l.nb_trans;
    memcpy(sent->mask, l.mask, sizeof l.mask);
    return true;
}

/* What the device cannot do is remembered, and the next request stays below it. */
static void refuse_link(struct talking *t, const struct lora_link_adr_ans *a)
{
    struct params_talk *talk = &t->s->talk;
    if (!a->power_ack)
        talk->power_most = (u8)MAX(talk->sent.tx_power - 1, 0);
    if (!a->data_rate_ack)
        talk->dr_most = (u8)MAX(talk->sent.dr - 1, t->terms->up_dr);
    if (!a->channel_mask_ack)
        talk->mask_refused = true;
}

/* From 1.0.2 on there is an answer for each request of a block, all the same; in 1.1 one for all; before
 * 1.0.2 each stands for itself. A block that is refused in one bit changes nothing (5.2). */
static bool hear_link(struct talking *t, const struct lora_command *c)
{
    struct params *now = &t->s->now, *sent = &t->s->talk.sent;
    struct lora_link_adr_ans a = { 0 };
    (void)lora_link_adr_ans_parse(&a, c);
    if (!a.channel_mask_ack || !a.data_rate_ack || !a.power_ack) {
        refuse_link(t, &a);
        return true;                                   /* less may still be possible */
    }
    now->dr       = sent->dr;
    now->tx_power = sent->tx_power;
    now->nb_trans = sent->nb_trans;
    memcpy(now->mask, sent->mask, sizeof now->mask);
    t->s->talk.dr = t->s->talk.tx_power = t->s->talk.nb_trans = PARAMS_KEEP;
    return true;
}

/* ------------------------------------------------------------------ one request each */

static bool build_tx_param(struct talking *t, struct buf *out)
{
    const struct params *p = &t->s->talk.sent;
    return lora_tx_param_setup_req_build(out, &(struct lora_tx_param_setup_req){ .max_eirp_index       = p->eirp_index,
                                                                                 .uplink_dwell_400ms   = p->dwell_up,
                                                                                 .downlink_dwell_400ms = p->dwell_down }) == LORA_OK;
}

static bool build_rx_timing(struct talking *t, struct buf *out)
{
    return lora_rx_timing_setup_req_build(out, &(struct lora_rx_timing_setup_req){ t->s->talk.sent.rx1_delay_s }) == LORA_OK;
}

static bool build_rx_param(struct talking *t, struct buf *out)
{
    const struct params *p = &t->s->talk.sent;
    return lora_rx_param_setup_req_build(out, &(struct lora_rx_param_setup_req){ .rx1_dr_offset = p->rx1_dr_offset,
                                                                                 .rx2_data_rate = p->rx2_dr,
                                                                                 .frequency_hz  = p->rx2_hz }) == LORA_OK;
}

static bool build_duty(struct talking *t, struct buf *out)
{
    return lora_duty_cycle_req_build(out, &(struct lora_duty_cycle_req){ t->s->talk.sent.duty_exp }) == LORA_OK;
}

static bool build_adr_param(struct talking *t, struct buf *out)
{
    const struct params *p = &t->s->talk.sent;
    return lora_adr_param_setup_req_build(out, &(struct lora_adr_param_setup_req){ p->adr_limit_exp, p->adr_delay_exp }) == LORA_OK;
}

static bool build_rejoin_param(struct talking *t, struct buf *out)
{
    const struct params *p = &t->s->talk.sent;
    struct lora_rejoin_param_setup_req req = { .max_time_n = p->rejoin_time_n, .max_count_n = p->rejoin_count_n };
    return lora_rejoin_param_setup_req_build(out, &req) == LORA_OK;
}

static bool all_of_rx_param(struct talking *t, const struct lora_command *c)
{
    struct lora_rx_param_setup_ans a = { 0 };
    (void)t;
    (void)lora_rx_param_setup_ans_parse(&a, c);
    return a.channel_ack && a.rx2_data_rate_ack && a.rx1_dr_offset_ack;
}

/* ------------------------------------------------------------------ the table */

/* `hear` NULL: the answer says yes. False: it said no. What is said yes to moves from `sent` to `now`, members
 * `at` … `at + size`; without a size `hear` does it. A device may take a new RX1 delay at once, so the uplink
 * that answers is answered by it. */
struct row {
    u8   cid;
    bool sticky;
    enum lora_version since;
    const char *words;
    size_t at, size;
    bool (*build)(struct talking *, struct buf *);
    bool (*hear)(struct talking *, const struct lora_command *);
};
#define FROM_TO(first, last) \
    offsetof(struct params, first), offsetof(struct params, last) + sizeof((struct params *)0)->last - offsetof(struct params, first)

static const struct row rows[ASKS] = {
    [ASK_TX_PARAM]     = { CID_TX_PARAM_SETUP, true, LORAWAN_1_0_0, "TxParamSetupReq", FROM_TO(eirp_index, dwell_down), build_tx_param, NULL },
    [ASK_RX_TIMING]    = { CID_RX_TIMING_SETUP, true, LORAWAN_1_0_0, "RXTimingSetupReq", FROM_TO(rx1_delay_s, rx1_delay_s), build_rx_timing, NULL },
    [ASK_RX_PARAM]     = { CID_RX_PARAM_SETUP, true, LORAWAN_1_0_0, "RXParamSetupReq", FROM_TO(rx2_hz, rx1_dr_offset), build_rx_param, all_of_rx_param },
    [ASK_CHANNEL]      = { CID_NEW_CHANNEL, false, LORAWAN_1_0_0, "NewChannelReq", 0, 0, build_channels, hear_channel },
    [ASK_DL_CHANNEL]   = { CID_DL_CHANNEL, true, LORAWAN_1_0_2, "DlChannelReq", 0, 0, build_downs, hear_down },
    [ASK_DUTY]         = { CID_DUTY_CYCLE, false, LORAWAN_1_0_0, "DutyCycleReq", FROM_TO(duty_exp, duty_exp), build_duty, NULL },
    [ASK_ADR_PARAM]    = { CID_ADR_PARAM_SETUP, false, LORAWAN_1_1, "ADRParamSetupReq", FROM_TO(adr_limit_exp, adr_delay_exp), build_adr_param, NULL },
    [ASK_REJOIN_PARAM] = { CID_REJOIN_PARAM_SETUP, false, LORAWAN_1_1, "RejoinParamSetupReq", FROM_TO(rejoin_time_n, rejoin_count_n), build_rejoin_param, NULL },
    [ASK_LINK_ADR]     = { CID_LINK_ADR, false, LORAWAN_1_0_0, "LinkADRReq", 0, 0, build_link, hear_link },
};

struct str params_ask_words(enum params_ask ask)
{
    return str_z(rows[ask].words);
}

static void move(struct params *to, const struct params *from, const struct row *row)
{
    memcpy((u8 *)to + row->at, (const u8 *)from + row->at, row->size);
}

static bool differs(const struct talking *t, int ask)
{
    const struct row *row = &rows[ask];
    if (t->terms->version < row->since)
        return false;
    if (ask == ASK_CHANNEL)
        return channels_open(t) != 0;
    if (ask == ASK_DL_CHANNEL)
        return downs_open(t) != 0;
    if (ask == ASK_LINK_ADR)
        return link_differs(t);
    return memcmp((const u8 *)&t->s->now + row->at, (const u8 *)t->wanted + row->at, row->size) != 0;
}

/* A sticky request that is not answered may have been done: it is repeated, whatever is wanted now. */
static bool is_repeated(const struct params_talk *talk, int ask)
{
    return rows[ask].sticky && has(talk->asked, ask);
}

static bool is_open(const struct talking *t, int ask)
{
    const struct params_talk *talk = &t->s->talk;
    return !has(talk->refused, ask) && talk->tries[ask] < TRIES_MOST && (is_repeated(talk, ask) || differs(t, ask));
}

bool params_differ(const struct params_state *s, const struct params *wanted, const struct params_terms *terms)
{
    struct params_state copy = *s;
    struct talking t = { &copy, wanted, terms };
    for (int ask = 0; ask < ASKS; ask++)
        if (is_open(&t, ask))
            return true;
    return false;
}

/* The values that go out; LinkADRReq makes its own from one hand. */
static void take_values(struct talking *t, int ask)
{
    struct params *sent = &t->s->talk.sent;
    if (is_repeated(&t->s->talk, ask))
        return;
    if (ask == ASK_CHANNEL)
        memcpy(sent->channel, t->wanted->channel, sizeof sent->channel);
    if (ask == ASK_DL_CHANNEL)
        memcpy(sent->down_hz, t->wanted->down_hz, sizeof sent->down_hz);
    move(sent, t->wanted, &rows[ask]);
}

static u8 wait_after(u8 tries)
{
    return tries < 3 ? 0 : (u8)MIN(1 << (tries - 2), WAIT_MOST);
}

void params_ask(struct buf *out, struct params_state *s, const struct params *wanted, const struct params_terms *terms)
{
    struct talking t = { s, wanted, terms };
    struct params_talk *talk = &s->talk;
    for (int ask = 0; ask < ASKS; ask++) {
        if (!is_open(&t, ask) || talk->wait[ask] > 0 || has(talk->repeated, ask))
            continue;
        take_values(&t, ask);
        if (!rows[ask].build(&t, out))
            continue;
        talk->asked     = with(talk->asked, ask);
        talk->wait[ask] = wait_after(++talk->tries[ask]);
    }
}

static int ask_of(u8 cid)
{
    for (int ask = 0; ask < ASKS; ask++)
        if (rows[ask].cid == cid)
            return ask;
    return -1;
}

bool params_is_answer(u8 cid)
{
    return ask_of(cid) >= 0;
}

/* One request may have several answers in one uplink (LinkADRAns, NewChannelAns): all are of it. */
static void hear_answer(struct talking *t, struct params_heard *heard, int ask, const struct lora_command *c)
{
    struct params_talk *talk = &t->s->talk;
    heard->changed   = true;
    heard->answered  = with(heard->answered, ask);
    talk->asked      = without(talk->asked, ask);
    talk->tries[ask] = talk->wait[ask] = 0;
    if (!rows[ask].hear || rows[ask].hear(t, c)) {
        move(&t->s->now, &talk->sent, &rows[ask]);
    } else {
        talk->refused  = with(talk->refused, ask);
        heard->refused = with(heard->refused, ask);
    }
}

static void hear_one(struct talking *t, struct params_heard *heard, int ask, const struct lora_command *c, u16 before)
{
    if (has(t->s->talk.asked, ask) || has(heard->answered, ask))
        hear_answer(t, heard, ask, c);
    else if (!has(before, ask))
        heard->strange = with(heard->strange, ask);
    if (!rows[ask].sticky)
        return;
    t->s->talk.repeated = with(t->s->talk.repeated, ask);
    heard->owed         = true;
}

/* Answers that are not sticky come at once or never; and an uplink less to wait. */
static void grow_older(struct params_talk *talk, struct params_heard *heard)
{
    for (int ask = 0; ask < ASKS; ask++) {
        bool waited = talk->wait[ask] > 0, over = has(talk->asked, ask) && !rows[ask].sticky;
        talk->wait[ask] = (u8)(talk->wait[ask] - waited);
        talk->asked     = over ? without(talk->asked, ask) : talk->asked;
        heard->changed |= waited || over;
    }
}

struct params_heard params_hear(struct params_state *s, const struct params_terms *terms, struct bytes commands)
{
    struct params_heard heard = { 0 };
    struct talking t = { s, NULL, terms };
    struct cur c = cur_of(commands);
    struct lora_command command;
    u16 before = s->talk.repeated;
    s->talk.repeated = 0;
    while (lora_command_next(&command, &c, LORA_UP)) {
        int ask = ask_of(command.kind->cid);
        if (ask >= 0)
            hear_one(&t, &heard, ask, &command, before);
    }
    grow_older(&s->talk, &heard);
    heard.changed |= s->talk.repeated != before;
    return heard;
}
