// SPDX-License-Identifier: Apache-2.0
/* The way of an uplink, from the air to its entity and back. */
#include "flow/rig.h"
#include "history/history.h"
#include "wire/json.h"

TEST(a_reading_travels_from_the_air_to_its_entity)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    const struct json *attributes;
    double level;
    join(c, &n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    struct db_query *q = db_query(c->env.db, "SELECT attributes, id FROM entity");
    EQ(db_step(q), OK);
    STR_EQ(db_str(q, 1), S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001"));
    EQ(json_read(&attributes, str_copy(test_arena(), db_str(q, 0)), test_arena(), JSON_STRICT, NULL), OK);
    STR_EQ(json_get(json_get(attributes, S("waterLevel")), S("value"))->raw, S("1.234"));
    TRUE(json_double(&level, json_get(json_get(attributes, S("waterLevel")), S("value"))));
    STR_EQ(json_str(json_get(json_get(attributes, S("waterLevel")), S("unitCode")), test_arena()), S("MTR"));
    STR_EQ(json_str(json_get(json_get(json_get(attributes, S("waterLevel")), S("quality")), S("value")), test_arena()), S(""));
    db_reset(q);
    EQ(count(c, "SELECT COUNT(*) FROM reading"), 1);
    forget(&n), stop(c);
}

/* A list that is imported every night must not cost memory every night. */
TEST(the_same_table_again_takes_no_room)
{
    struct city *c = city_make();
    struct import_report report;
    u64 before = mac_numbers(c->env.mac).bytes;
    for (int i = 0; i < 300; i++) {
        EQ(mac_import(&c->env, 1, IMPORT_GATEWAYS, str_z(gateways_csv), false, &report, test_arena()), OK);
        EQ(mac_import(&c->env, 1, IMPORT_DEVICES, str_z(devices_csv), false, &report, test_arena()), OK);
        EQ(report.updated, report.rows);
    }
    EQ(mac_numbers(c->env.mac).bytes, before);
    struct device_ref d;
    TRUE(mac_device_ref(&c->env, RIVER, &d) && str_eq(d.name, S("神通川")));
    stop(c);
}

BOTH(thirty_copies_of_a_frame_are_one_event)
{
    struct city *c = city_in(where);
    struct node n = node_of(RIVER);
    join(c, &n);
    struct bytes phy = LEVEL(&n);
    EQ(hear(c, phy, GATEWAY_A, 50), PASS);
    for (int i = 0; i < 30; i++)
        EQ(hear(c, phy, i % 2 ? GATEWAY_A : GATEWAY_B, (i16)i), DROP_COPY);
    (void)after_window(c);
    pass(c, 4 * US_PER_S);
    EQ(hear(c, phy, 0xA000000000000003ULL, 10), DROP_COPY);             /* seconds later: still the same frame */
    (void)settle(c);
    pass(c, 20 * US_PER_S);
    (void)flow_tick(&c->env);
    EQ(hear(c, phy, GATEWAY_A, 50), DROP_REPEATED);                     /* and a replay is a replay */
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 1);
    EQ(count(c, "SELECT LENGTH(radio) FROM uplink_copies"), 3 * MAC_RADIO_BYTES);
    forget(&n), stop(c);
}

TEST(a_confirmed_uplink_is_acknowledged_in_its_window)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    pass(c, 10 * US_PER_S);                                             /* the join-accept is in the air until then */
    u32 tmst = (u32)c->world.now.us;
    EQ(hear(c, say(&n, "\1\2\3", 3, true, (struct bytes){ NULL, 0 }), GATEWAY_A, 50), PASS);
    struct downlink *d = after_window(c);
    struct lora_frame f;
    TRUE(d != NULL);
    if (d) {
        EQ(lora_frame_parse(&f, d->phy), LORA_OK);
        TRUE(f.fctrl & FCTRL_ACK);
        EQ(lora_mic_down(&n.nwk, f.signed_part, n.devaddr, f.fcnt_low), f.mic);
        EQ(d->tries[0].tmst_us, tmst + 5000000);
        EQ(d->tries[0].freq_hz, 923200000);
        EQ(d->tries[1].tmst_us, tmst + 6000000);
    }
    forget(&n), stop(c);
}

TEST(the_gateway_with_the_better_signal_answers)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    struct bytes phy = say(&n, "\1\2\3", 3, true, (struct bytes){ NULL, 0 });
    EQ(hear(c, phy, GATEWAY_A, -140), PASS);
    EQ(hear(c, phy, GATEWAY_B, -60), DROP_COPY);
    struct downlink *d = after_window(c);
    TRUE(d && d->tries[0].gateway == GATEWAY_B && d->tries_count == 4);
    forget(&n), stop(c);
}

TEST(what_a_thief_sends_again_while_copies_are_awaited_is_not_answered)
{
    struct { u64 gateway; u32 freq_hz; u8 sf; i64 after_us; u64 answers; } again[] = {
        { GATEWAY_B, 923400000, 10, 100000, GATEWAY_A },        /* another frequency */
        { GATEWAY_B, 923200000, 9,  100000, GATEWAY_A },        /* another data rate */
        { GATEWAY_A, 923200000, 10, 100000, GATEWAY_A },        /* the same gateway, again */
        { GATEWAY_B, 923200000, 10, 0,      GATEWAY_B },        /* an honest copy */
    };
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    for (size_t i = 0; i < COUNT(again); i++) {
        pass(c, 10 * US_PER_S);
        struct bytes phy = say(&n, "\1\2\3", 3, true, (struct bytes){ NULL, 0 });
        u32 tmst = (u32)c->world.now.us;
        EQ(hear(c, phy, GATEWAY_A, -140), PASS);
        pass(c, again[i].after_us);
        EQ(hear_on(c, phy, again[i].gateway, -60, again[i].freq_hz, again[i].sf), DROP_COPY);
        struct downlink *d = after_window(c);
        TRUE(d && d->tries[0].gateway == again[i].answers);
        for (u32 k = 0; d && k < d->tries_count; k++)
            EQ((d->tries[k].tmst_us - tmst) % US_PER_S, 0);
    }
    forget(&n), stop(c);
}

/* LoRaWAN 1.1: NwkKey signs the join, the accept is signed by JSIntKey, uplinks carry two MICs of which one
 * knows data rate and channel, and the ACK names the uplink it acknowledges. */
TEST(a_device_of_1_1_joins_speaks_and_is_acknowledged_by_the_counter_it_used)
{
    struct city *c = city_make();
    struct lora_key nwk_root = { 0 }, app_root = { 0 }, js_int = { 0 }, keys[4] = { { 0 } };
    struct lora_join_accept a;
    struct lora_session_raw raw;
    struct lora_frame down;
    u8 nwk[16], app[16], js[16], room[LORA_AIR_MAX];
    size_t got;
    TRUE(hex_read(nwk, 16, &got, S("6f9c1a2277d0458eb1c3a4f507182930")) && hex_read(app, 16, &got, S("5d1e9b3fa7260c48e1937ab4d2f80004")));
    lora_key_set(&nwk_root, nwk);
    lora_key_set(&app_root, app);
    lora_derive_js_int(js, &nwk_root, NEWER);
    lora_key_set(&js_int, js);

    struct buf request = buf_of(arena_take(test_arena(), 64, 1), 64);
    EQ(lora_join_request_seal(&request, &(struct lora_join_request){ .dev_nonce = 7, .join_eui = JOIN_EUI, .dev_eui = NEWER },
                              &nwk_root), LORA_OK);
    EQ(hear(c, buf_bytes(&request), GATEWAY_A, 50), PASS);
    struct downlink *d = after_window(c);
    TRUE(d && lora_join_accept_open(&a, room, d->phy, &nwk_root) == LORA_OK);
    TRUE(a.opt_neg && lora_join_accept_verify(&a, &js_int, (struct lora_join_terms){ JOIN_REQ_TYPE_JOIN, 7, JOIN_EUI }));

    lora_derive_session_1_1(&raw, &nwk_root, &app_root, a.join_nonce, JOIN_EUI, 7);
    const u8 *const raws[4] = { raw.f_nwk_s_int, raw.s_nwk_s_int, raw.nwk_s_enc, raw.app_s };
    for (size_t i = 0; i < 4; i++)
        lora_key_set(&keys[i], raws[i]);
    struct lora_session s = { true, &keys[0], &keys[1], &keys[2], &keys[3] };
    for (u32 fcnt = 0; fcnt < 3; fcnt++) {
        struct buf up = buf_of(arena_take(test_arena(), 256, 1), 256);
        struct lora_frame f = { .mtype = MTYPE_CONFIRMED_UP, .fport = 2, .devaddr = a.devaddr,
                                .fopts = { (const u8 *)"\x0b\x01", fcnt == 0 ? 2 : 0 }, .payload = bytes_of(S("hello")) };
        pass(c, 10 * US_PER_S);
        EQ(lora_frame_seal(&up, &f, &s, fcnt, (struct lora_mic_terms){ .tx_dr = 2, .tx_ch = 0 }), LORA_OK);
        EQ(hear(c, buf_bytes(&up), GATEWAY_A, 50), PASS);
        d = after_window(c);
        TRUE(d && lora_frame_parse(&down, d->phy) == LORA_OK && (down.fctrl & FCTRL_ACK));
        TRUE(d && lora_frame_verify(&down, &s, down.fcnt_low, (struct lora_mic_terms){ .conf_fcnt = (u16)fcnt }));
        lora_frame_open(&down, room, &down, &s, down.fcnt_low);
        TRUE(str_starts(str_of(down.fopts), S("\x0b\x01")) == (fcnt == 0));       /* RekeyConf to its RekeyInd */
        if (fcnt == 0)
            crash(c);
    }
    for (size_t i = 0; i < 4; i++)
        lora_key_clear(&keys[i]);
    lora_key_clear(&nwk_root), lora_key_clear(&app_root), lora_key_clear(&js_int);
    stop(c);
}

TEST(japan_switches_the_dwell_limit_off_once)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    struct lora_frame f;
    join(c, &n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    struct downlink *d = after_window(c);
    TRUE(d && lora_frame_parse(&f, d->phy) == LORA_OK);
    if (d)
        BYTES_EQ(f.fopts, ((struct bytes){ (const u8 *)"\x09\x03\x07\x07\x40\xbf\x8c\x50", 8 }));   /* dwell 0/0, 13 dBm; the eighth channel */
    EQ(hear(c, say(&n, "\4\322\132", 3, false, (struct bytes){ (const u8 *)"\x09\x07\x03", 3 }), GATEWAY_A, 50), PASS);
    d = after_window(c);
    TRUE(d && lora_frame_parse(&f, d->phy) == LORA_OK && f.fopts.n == 0);    /* the device waits for any downlink */
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    TRUE(after_window(c) == NULL);
    crash(c);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    TRUE(after_window(c) == NULL);                                      /* and is remembered */
    forget(&n), stop(c);
}

TEST(a_device_that_never_answers_is_not_asked_for_ever)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    int asked = 0;
    join(c, &n);
    for (int i = 0; i < 150; i++) {
        pass(c, 10 * US_PER_S);
        EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
        asked += after_window(c) != NULL;
    }
    EQ(asked, 8);
    forget(&n), stop(c);
}

TEST(a_scripted_reading_waits_for_its_codec_also_across_a_crash)
{
    struct city *c = city_make();
    struct node n = node_of(SCRIPTED);
    struct uplink waiting[4];
    join(c, &n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    crash(c);
    EQ(flow_waiting(&c->env, 0, waiting, COUNT(waiting)), 1);
    EQ(flow_reading(&c->env, &waiting[0], S("{\"data\":{\"temperature\":1.5}}")), OK);
    (void)settle(c);
    EQ(flow_waiting(&c->env, 0, waiting, COUNT(waiting)), 0);
    EQ(count(c, "SELECT COUNT(*) FROM reading"), 1);
    forget(&n), stop(c);
}

/* A text that the store does not take would cost the batch, again after each start: the codec is asked again. */
TEST(a_codec_may_say_anything_and_the_batch_is_kept)
{
    struct city *c = city_make();
    struct node n = node_of(SCRIPTED);
    static const char *const errors[] = { "a\\u0000b", ("\xcf" "2"), "%s" };
    struct uplink waiting;
    join(c, &n);
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct text t = text_make(test_arena(), 4096);
        for (int k = 0; k < 199; k++)
            text_char(&t, 'x');
        text_put(&t, S("水"));                                          /* the limit is inside this character */
        EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
        (void)settle(c);
        EQ(flow_waiting(&c->env, 0, &waiting, 1), 1);
        struct str words = str_eq(str_z(errors[i]), S("%s")) ? text_str(&t) : str_z(errors[i]);
        EQ(flow_reading(&c->env, &waiting, str_fmt(test_arena(), "{\"errors\":[\"%.*s\"]}", STR(words))), OK);
        (void)settle(c);
        EQ(flow_waiting(&c->env, 0, &waiting, 1), 0);
    }
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    EQ(flow_waiting(&c->env, 0, &waiting, 1), 1);
    EQ(flow_undecoded(&c->env, &waiting, S("thrown \0-\xff")), OK);
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM refusal WHERE detail = 'thrown ?-?'"), 1);
    EQ(count(c, "SELECT COUNT(*) FROM refusal WHERE detail = 'a?b'"), 1);
    forget(&n), stop(c);
}

TEST(a_personal_payload_goes_nowhere_in_clear)
{
    struct city *c = city_make();
    struct node n = node_of(TRACKER);
    join(c, &n);
    EQ(hear(c, say(&n, "\x15\xdf\x4b\x2a\x5a", 5, false, (struct bytes){ NULL, 0 }), GATEWAY_A, 50), PASS);
    (void)settle(c);
    (void)flow_idle(&c->env, 100, &(enum err){ OK });
    EQ(count(c, "SELECT COUNT(*) FROM entity"), 0);
    EQ(count(c, "SELECT COUNT(*) FROM reading"), 0);
    EQ(count(c, "SELECT COUNT(*) FROM intent"), 0);
    EQ(count(c, "SELECT battery_pct FROM device_state"), 90);
    struct db_query *q = db_query(c->env.db, "SELECT id, payload FROM uplink");
    EQ(db_step(q), OK);
    i64 id = db_i64(q, 0);
    struct bytes sealed = bytes_copy(test_arena(), db_bytes(q, 1)), clear;
    db_reset(q);
    TRUE(str_find(str_of(sealed), S("\x15\xdf\x4b\x2a")) < 0);
    EQ(mac_subject_open(&clear, c->env.db, mac_kek(c->env.mac), 1, TRACKER, id, sealed, test_arena()), OK);
    BYTES_EQ(clear, bytes_of(S("\x15\xdf\x4b\x2a\x5a")));
    EQ(db_exec(c->env.db, "DELETE FROM subject_key"), OK);              /* erased is unreadable */
    EQ(mac_subject_open(&clear, c->env.db, mac_kek(c->env.mac), 1, TRACKER, id, sealed, test_arena()), ERR_NOT_FOUND);
    forget(&n), stop(c);
}

TEST(a_jump_is_flagged_and_the_last_believed_value_stays)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    const struct json *a;
    join(c, &n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    for (int i = 0; i < 3; i++) {                                       /* 14.000 m, again and again */
        pass(c, 600 * US_PER_S);
        EQ(hear(c, say(&n, "\x36\xb0\x5a", 3, false, (struct bytes){ NULL, 0 }), GATEWAY_A, 50), PASS);
        (void)settle(c);
        struct db_query *q = db_query(c->env.db, "SELECT attributes FROM entity");
        EQ(db_step(q), OK);
        EQ(json_read(&a, str_copy(test_arena(), db_str(q, 0)), test_arena(), JSON_STRICT, NULL), OK);
        db_reset(q);
        a = json_get(a, S("waterLevel"));
        STR_EQ(json_get(a, S("value"))->raw, S("14.000"));
        STR_EQ(json_str(json_get(json_get(a, S("quality")), S("value")), test_arena()), S("&"));
        STR_EQ(json_get(json_get(a, S("lastGood")), S("value"))->raw, S("1.234"));
    }
    forget(&n), stop(c);
}

TEST(frames_are_refused_by_their_own_word)
{
    struct city *c = city_make();
    struct node n = node_of(RIVER);
    join(c, &n);
    struct bytes whole = LEVEL(&n);
    struct { const char *hex; enum drop drop; } facts[] = {
        { "", DROP_TRUNCATED },          { "40", DROP_TRUNCATED },       { "400102030400000001020304", DROP_UNKNOWN_DEVADDR },
        { "41010203040000000102030405", DROP_MAJOR },                    { "60010203040000000102030405", DROP_MTYPE },
        { "20010203040000000102030405060708090a0b", DROP_MTYPE },        { "e0010203", DROP_PROPRIETARY },
        { "c0010203040000000102030405", DROP_REJOIN },
        { "00ffffffd07ed5b37001000ad07ed5b370000001020304", DROP_UNKNOWN_DEVICE },
        { "00ffffffd07ed5b370010000d07ed5b370010001020304", DROP_JOIN_MIC },
        { "00ffffffd07ed5b370010000d07ed5b3700100010203", DROP_TRUNCATED },
        { "00ffffffd07ed5b370010000d07ed5b37001000102030405", DROP_TOO_LONG },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        u8 phy[64];
        size_t size;
        TRUE(hex_read(phy, sizeof phy, &size, str_z(facts[i].hex)));
        enum drop got = hear(c, (struct bytes){ phy, size }, GATEWAY_A, 50);
        if (got != facts[i].drop)
            test_fail(__FILE__, __LINE__, "%s is %s, not %s", facts[i].hex, drop_name(got), drop_name(facts[i].drop));
    }
    for (size_t size = 0; size < whole.n; size++)
        TRUE(hear(c, (struct bytes){ whole.p, size }, GATEWAY_A, 50) != PASS);
    u8 *bent = (u8 *)(uintptr_t)bytes_copy(test_arena(), whole).p;
    bent[whole.n - 1] ^= 1;
    EQ(hear(c, (struct bytes){ bent, whole.n }, GATEWAY_A, 50), DROP_BAD_MIC);
    EQ(hear(c, whole, GATEWAY_A, 50), PASS);
    n.fcnt += 20000;
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), DROP_FCNT_GAP);
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM uplink"), 1);
    TRUE(count(c, "SELECT COUNT(*) FROM refusal WHERE word = 'DROP_FCNT_GAP'") == 1);
    forget(&n), stop(c);
}

TEST(an_import_is_whole_or_nothing)
{
    struct city *c = city_make();
    struct import_report r;
    i64 before = count(c, "SELECT COUNT(*) FROM device");
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES,
                  S("dev_eui;join_eui;app_key;name;profile\r\n"
                    "70B3D57ED0000010;70B3D57ED0FFFFFF;6f9c1a2277d0458eb1c3a4f507182930;\"良い; 名前\";river\r\n"
                    "70B3D57ED000001;70B3D57ED0FFFFFF;00000000000000000000000000000000;;nothing\r\n"),
                  false, &r, test_arena()),
       ERR_INVALID);
    EQ(r.errors, 4);                                        /* EUI too short, key weak, no name, no profile */
    EQ(r.first->line, 3);
    STR_EQ(r.first->column, S("dev_eui"));
    EQ(count(c, "SELECT COUNT(*) FROM device"), before);
    struct str good = S("\xef\xbb\xbf" "dev_eui,join_eui,app_key,name,profile\n"
                        "70-B3-D5-7E-D0-00-00-10,70B3D57ED0FFFFFF,6f9c1a2277d0458eb1c3a4f507182930,水位,river\n");
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, good, true, &r, test_arena()), OK);
    EQ(count(c, "SELECT COUNT(*) FROM device"), before);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, good, false, &r, test_arena()), OK);
    EQ(r.created, 1);
    EQ(mac_import(&c->env, 1, IMPORT_DEVICES, good, false, &r, test_arena()), OK);
    EQ(r.updated, 1);
    EQ(count(c, "SELECT COUNT(*) FROM device"), before + 1);
    EQ(count(c, "SELECT COUNT(*) FROM device WHERE app_key = X'6f9c1a2277d0458eb1c3a4f507182930'"), 0);   /* wrapped */
    stop(c);
}

/* ------------------------------------------------------------------ late frames */

static enum drop hear_kept(struct city *c, struct bytes phy, i64 gateway_us)
{
    struct frame f = { .phy = phy, .heard = c->world.now, .received = c->world.clock,
                       .radio = { .gateway = GATEWAY_B, .tmst_us = 5, .freq_hz = 923200000, .bw_hz = 125000, .sf = 10,
                                  .snr_cb = 10, .rssi_dbm = -90, .gateway_us = gateway_us } };
    return flow_uplink(&c->env, &f);
}

struct seen { size_t n; i64 observed[8]; };
static bool keep_seen(void *arg, const struct history_row *row)
{
    struct seen *s = arg;
    s->observed[s->n++] = row->observed.us;
    return s->n < COUNT(s->observed);
}

static struct str entity_row(struct city *c)
{
    struct db_query *q = db_query(c->env.db, "SELECT attributes, modified_us FROM entity");
    EQ(db_step(q), OK);
    struct str text = str_fmt(test_arena(), "%.*s %lld", STR(db_str(q, 0)), (long long)db_i64(q, 1));
    db_reset(q);
    return text;
}

BOTH(a_late_reading_joins_the_history_and_leaves_what_the_entity_is_now)
{
    struct city *c = city_in(where);
    struct node n = node_of(RIVER);
    struct seen all = { 0 }, early = { 0 };
    join(c, &n);
    i64 first = c->world.clock.us;
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    struct bytes kept = say(&n, "\x06\x40\x0a", 3, false, (struct bytes){ NULL, 0 });     /* 1.6 m, 10 % */
    pass(c, 3 * 86400 * US_PER_S);
    i64 last = c->world.clock.us;
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)after_window(c);
    struct str before = entity_row(c);
    pass(c, 60 * US_PER_S);
    EQ(hear_kept(c, kept, first + 600 * US_PER_S), PASS);
    TRUE(after_window(c) == NULL);
    STR_EQ(entity_row(c), before);
    EQ(count(c, "SELECT COUNT(*) FROM reading"), 3);
    EQ(count(c, "SELECT COUNT(*) FROM reading WHERE attributes LIKE '%1.600%' AND attributes NOT LIKE '%lastGood%'"), 1);
    struct str urn = S("urn:ngsi-ld:WaterObserved:70b3d57ed0000001");
    EQ(history_walk(c->env.db, 1, urn, (struct wall){ first }, (struct wall){ last }, keep_seen, &all), OK);
    EQ(all.n, 3);
    /* The newest of the chain is older than what is asked for; the walk goes on behind it. */
    EQ(history_walk(c->env.db, 1, urn, (struct wall){ last }, (struct wall){ last }, keep_seen, &early), OK);
    EQ(early.n, 1);
    (void)flow_idle(&c->env, 100, &(enum err){ OK });
    EQ(count(c, "SELECT battery_pct FROM device_state"), 90);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);                              /* and the chain goes on */
    (void)settle(c);
    EQ(count(c, "SELECT COUNT(*) FROM reading r JOIN reading p ON p.id = r.prev"), 3);
    EQ(hear_kept(c, kept, first), DROP_COPY);
    forget(&n), stop(c);
}

BOTH(a_late_frame_of_a_script_is_late_after_a_crash_too)
{
    struct city *c = city_in(where);
    struct node n = node_of(SCRIPTED);
    struct uplink waiting[4];
    join(c, &n);
    struct bytes kept = LEVEL(&n);
    EQ(hear(c, LEVEL(&n), GATEWAY_A, 50), PASS);
    (void)settle(c);
    EQ(flow_waiting(&c->env, 0, waiting, COUNT(waiting)), 1);
    EQ(flow_reading(&c->env, &waiting[0], S("{\"data\":{\"temperature\":1.5}}")), OK);
    (void)settle(c);
    struct str before = entity_row(c);
    pass(c, 60 * US_PER_S);
    EQ(hear_kept(c, kept, 0), PASS);
    (void)settle(c);
    crash(c);
    EQ(flow_waiting(&c->env, 0, waiting, COUNT(waiting)), 1);
    TRUE(waiting[0].late && waiting[0].behind);
    EQ(flow_reading(&c->env, &waiting[0], S("{\"data\":{\"temperature\":99}}")), OK);
    (void)settle(c);
    STR_EQ(entity_row(c), before);
    EQ(count(c, "SELECT COUNT(*) FROM reading"), 2);
    forget(&n), stop(c);
}
