// SPDX-License-Identifier: Apache-2.0
/* What a device's radio does, what it is asked to do, and why: the talk of mac/talk.c, for people. */
#include "api/inside.h"

#include "mac/params.h"

#define LOG_MAX 32

static void write_params(struct json_out *o, struct str key, const struct params *p)
{
    json_key(o, key);
    json_open_object(o);
    member_count(o, S("dr"), p->dr == PARAMS_KEEP ? -1 : p->dr);
    json_member_i64(o, S("tx_power"), p->tx_power == PARAMS_KEEP ? 0 : p->tx_power);
    json_member_i64(o, S("nb_trans"), p->nb_trans == PARAMS_KEEP ? 1 : p->nb_trans);
    json_member_i64(o, S("rx1_delay_s"), p->rx1_delay_s);
    json_member_i64(o, S("rx1_dr_offset"), p->rx1_dr_offset);
    json_member_i64(o, S("rx2_dr"), p->rx2_dr);
    json_member_i64(o, S("rx2_hz"), p->rx2_hz);
    json_member_i64(o, S("max_eirp_dbm"), lora_eirp_dbm(p->eirp_index));
    json_member_bool(o, S("uplink_dwell"), p->dwell_up);
    json_member_bool(o, S("downlink_dwell"), p->dwell_down);
    json_member_i64(o, S("duty_cycle_exp"), p->duty_exp);
    json_key(o, S("channels"));
    json_open_array(o);
    for (int i = 0; i < PARAMS_CHANNELS; i++)
        if (p->channel[i].up_hz) {
            json_open_object(o);
            json_member_i64(o, S("index"), i);
            json_member_i64(o, S("freq_hz"), p->channel[i].up_hz);
            json_member_i64(o, S("down_hz"), p->down_hz[i]);
            json_member_bool(o, S("on"), p->mask[0] >> i & 1);
            json_close(o);
        }
    json_close(o);
    json_close(o);
}

static void write_asks(struct json_out *o, struct str key, u16 set)
{
    json_key(o, key);
    json_open_array(o);
    for (int ask = 0; ask < ASKS; ask++)
        if (set >> ask & 1)
            json_put_str(o, params_ask_words((enum params_ask)ask));
    json_close(o);
}

/* Of the session that speaks now; null: the device does all that is wanted since it joined, or never spoke. */
static enum err write_state(struct json_out *o, struct call *call, u64 dev_eui)
{
    struct params_state s;
    struct db_query *q = db_query(call->db, "SELECT m.tenant, m.dev_eui, m.session, m.state, m.sum FROM mac_state m "
                                            "JOIN session s ON s.tenant = m.tenant AND s.dev_eui = m.dev_eui AND s.id = m.session "
                                            "WHERE m.tenant = $1 AND m.dev_eui = $2 AND s.state = 1");
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    enum err err = db_step(q);
    bool there = err == OK && db_row_good(q, 0, 4, "mac_state", 2) && params_read(&s, db_bytes(q, 3));
    db_reset(q);
    if (there) {
        write_params(o, S("does"), &s.now);
        write_asks(o, S("asked"), s.talk.asked);
        write_asks(o, S("refused"), s.talk.refused);
    } else {
        json_member_null(o, S("does"));
    }
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err write_log(struct json_out *o, struct call *call, u64 dev_eui)
{
    struct db_query *q = db_query(call->db, "SELECT tenant, dev_eui, slot, id, words, sum FROM mac_log WHERE tenant = $1 AND "
                                            "dev_eui = $2 ORDER BY id DESC LIMIT $3");
    enum err err;
    db_bind_i64(q, 1, (i64)call->tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    db_bind_i64(q, 3, LOG_MAX);
    while ((err = db_step(q)) == OK) {
        if (!db_row_good(q, 0, 5, "mac_log", 3))
            continue;
        json_open_object(o);
        member_time(o, S("time"), db_i64(q, 3));
        json_member_str(o, S("words"), db_str(q, 4));
        json_close(o);
    }
    return err;
}

void radio_page(struct call *call, u64 dev_eui)
{
    struct page p;
    struct device_row d;
    if (!device_find(&d, call, dev_eui))
        return;
    page_begin(&p, call);
    json_open_object(&p.out);
    if (!store_good(call, write_state(&p.out, call, dev_eui)))
        return;
    json_key(&p.out, S("log"));
    json_open_array(&p.out);
    if (!d.personal && !store_good(call, write_log(&p.out, call, dev_eui)))     /* its signal over time would be a track */
        return;
    json_close(&p.out);
    json_close(&p.out);
    page_answer(&p, call, 200);
}

void get_radio(struct call *call)
{
    u64 dev_eui;
    if (param_eui(call, 0, &dev_eui))
        radio_page(call, dev_eui);
}
