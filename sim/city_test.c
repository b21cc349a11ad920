// SPDX-License-Identifier: Apache-2.0
/* Facts about the demo city, its gateways and what they hear. */
#include "base/test.h"
#include "sim/inside.h"
#include "sim/sim.h"
#include "wire/json.h"

static struct sim *city(u32 devices)
{
    struct sim *s = arena_new(test_arena(), struct sim);
    s->options = (struct options){ .seed = 1, .gateways = 98, .devices = devices };
    s->boot    = *test_arena();
    s->world   = (struct world){ .seed = 1, .scene = SCENE_ALL, .speed = 60 };
    s->keep_fd = -1;
    EQ(sim_city_read(&s->city, &s->boot), OK);
    sim_place_gateways(s);
    sim_place_devices(s);
    *test_arena() = s->boot;
    return s;
}

TEST(the_city_has_93_schools_5_centres_and_all_stand_inside)
{
    struct sim *s = city(520);
    EQ(s->city.sites_n, 98);
    EQ(s->gateways_n, 98);
    for (u32 i = 0; i < s->city.sites_n; i++)
        TRUE(sim_city_holds(&s->city, s->city.sites[i].at));
    TRUE(!sim_city_holds(&s->city, (struct place){ 35.68, 139.76 }));
    STR_EQ(s->city.sites[0].name, S("芝園小学校"));
    NEAR(s->city.sites[66].at.lat, 36.697, 0.001);     /* 芝園中学校: where x and y are swapped */
}

static double snr_db(const struct device *d, const struct gateway *g)
{
    return 13 + d->antenna_db + sim_radio_dbm(1, d->at, d->salt, g->at, g->eui) -
           sim_radio_noise_dbm();
}

TEST(every_device_says_that_it_is_simulated_and_is_heard_by_somebody)
{
    struct sim *s = city(520);
    u32 count[KINDS] = { 0 };
    for (u32 i = 0; i < s->devices_n; i++) {
        struct device *d = &s->devices[i];
        bool heard = false;
        count[d->kind]++;
        TRUE(str_find(d->name, S("（模擬）")) > 0);
        TRUE(sim_city_holds(&s->city, d->at));
        for (u32 g = 0; g < s->gateways_n && !heard; g++)
            heard = !s->gateways[g].never && snr_db(d, &s->gateways[g]) > -14;
        TRUE(heard);
    }
    EQ(count[KIND_RIVER], 60);
    EQ(count[KIND_SNOW], 140);
    EQ(count[KIND_WEATHER], 40);
    EQ(count[KIND_PARKING], 120);
    EQ(count[KIND_PADDY], 80);
    EQ(count[KIND_TRACKER], 80);
}

TEST(the_lists_have_a_row_for_each_and_no_place_of_a_child)
{
    struct sim *s = city(520);
    struct str rest = sim_enrol_devices(s, test_arena());
    int rows = -1, commas = 0;
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        if (str_find(line, S("hotaru-bag-tracker")) >= 0)
            TRUE(str_ends(line, S("hotaru-bag-tracker,,,1")));
        for (size_t i = 0; i < line.n; i++)
            commas += line.p[i] == ',';
        rows++;
    }
    EQ(rows, 520);
    EQ(commas, 521 * 8);
}

TEST(a_reading_has_the_bytes_its_profile_reads)
{
    static const size_t size[KINDS] = { [KIND_RIVER] = 3, [KIND_SNOW] = 10, [KIND_WEATHER] = 19,
                                        [KIND_PARKING] = 2, [KIND_PADDY] = 5, [KIND_TRACKER] = 9 };
    struct sim *s = city(520);
    for (u32 i = 0; i < s->devices_n; i += 13) {
        u8 room[READING_MAX];
        struct buf out = BUF(room);
        struct device *d = &s->devices[i];
        sim_payload_build(&out, d, &s->world, 3 * 3600, 600, 242);
        EQ(out.n, size[d->kind]);
        TRUE(!out.bad);
        if (d->kind == KIND_RIVER)
            NEAR((i16)get_u16be(room) * 0.001, sim_river_reading_m(&s->world, &d->gauge, 3 * 3600),
                 0.001);
        if (d->kind == KIND_TRACKER)
            NEAR((i32)get_u32be(room) * 1e-7, 36.69, 0.2);
    }
}

/* Before TxParamSetupReq a device at DR2 has 11 bytes: the weather leaves whole channels out. */
TEST(weather_in_eleven_bytes_keeps_whole_channels)
{
    u8 room[READING_MAX];
    struct buf out = BUF(room);
    struct device d = { .kind = KIND_WEATHER, .at = { 36.7, 137.2 }, .salt = 4 };
    struct world w = { .seed = 1 };
    sim_payload_build(&out, &d, &w, 0, 0, 11);
    EQ(out.n, 11);
    EQ(room[7], 3);
    EQ(room[8], 0x02);
}

/* ------------------------------------------------------------------ the gateway's queue */

TEST(a_gateway_refuses_what_it_cannot_send)
{
    struct jit j = { .n = 0 };
    u32 now = 0xFFFFFF00u;                              /* the counter is about to wrap */
    /*                                tmst                 airtime  parcel */
    struct jit_item soon        = { now + 30000,           50000,   1 };
    struct jit_item past        = { now - 1,               50000,   2 };
    struct jit_item good        = { now + 1000000,         50000,   3 };
    struct jit_item on_top      = { now + 1040000,         50000,   4 };
    struct jit_item just_before = { now + 930000,          50000,   5 };
    struct jit_item well_after  = { now + 1081000,         50000,   6 };
    struct jit_item far_away    = { now + 513000000,       50000,   7 };
    EQ(sim_jit_offer(&j, now, soon), JIT_TOO_LATE);
    EQ(sim_jit_offer(&j, now, past), JIT_TOO_LATE);
    EQ(sim_jit_offer(&j, now, good), JIT_OK);
    EQ(sim_jit_offer(&j, now, on_top), JIT_COLLISION);
    EQ(sim_jit_offer(&j, now, just_before), JIT_COLLISION);
    EQ(sim_jit_offer(&j, now, well_after), JIT_OK);
    EQ(sim_jit_offer(&j, now, far_away), JIT_TOO_EARLY);
    EQ(j.n, 2);
    TRUE(sim_jit_take(&j, 3));
    TRUE(!sim_jit_take(&j, 3));
    EQ(sim_jit_offer(&j, now, on_top), JIT_COLLISION);  /* with the one after it */
}

TEST(a_queue_of_32_is_full)
{
    struct jit j = { .n = 0 };
    for (u32 i = 0; i < JIT_ITEMS; i++)
        EQ(sim_jit_offer(&j, 0, (struct jit_item){ (i + 1) * 1000000, 50000, i }), JIT_OK);
    EQ(sim_jit_offer(&j, 0, (struct jit_item){ 40000000, 50000, 99 }), JIT_FULL);
}

TEST(a_gateways_clock_has_its_own_start_and_rate_and_comes_back)
{
    struct gateway g = { .ppm = 12.5, .tmst_start = 0xFFFFFF00u };
    struct mono start = { 5000000 }, later = { 5000000 + 3600 * US_PER_S };
    u32 tmst = sim_gateway_tmst(&g, start, later);
    EQ(tmst, (u32)(0xFFFFFF00u + 3600000000u + 45000u));
    struct mono back = sim_gateway_mono(&g, start, mono_after(later, -5 * US_PER_S), tmst);
    NEAR(back.us, later.us, 100);
}

TEST(a_downlink_request_is_read_as_servers_write_it)
{
    struct parcel p;
    struct str good =
        S("{\"txpk\":{\"imme\":false,\"tmst\":1000000,\"freq\":923.2,\"rfch\":0,\"powe\":13,"
          "\"modu\":\"LORA\",\"datr\":\"SF10BW125\",\"codr\":\"4/5\","
          "\"ipol\":true,\"size\":3,\"data\":\"AQID\"}}");
    struct str far = S("{\"txpk\":{\"tmst\":1,\"freq\":868.1,\"datr\":\"SF7BW125\",\"ipol\":true,"
                       "\"size\":3,\"data\":\"AQID\"}}");
    struct str short_ = S("{\"txpk\":{\"tmst\":1,\"freq\":923.2,\"datr\":\"SF7BW125\",\"ipol\":"
                          "true,\"size\":4,\"data\":\"AQID\"}}");
    TRUE(sim_parcel_read(&p, bytes_of(good), test_arena()) == NULL);
    EQ(p.hz, 923200000);
    EQ(p.sf, 10);
    EQ(p.dr, DR_2);
    EQ(p.n, 3);
    EQ(p.phy[2], 3);
    STR_EQ(str_z(sim_parcel_read(&p, bytes_of(far), test_arena())), S("TX_FREQ"));
    STR_EQ(str_z(sim_parcel_read(&p, bytes_of(short_), test_arena())), S(""));
    STR_EQ(str_z(sim_parcel_read(&p, bytes_of(S("{")), test_arena())), S(""));
}

TEST(what_a_gateway_writes_is_json_with_all_it_heard_by_now)
{
    struct gateway g = { .gps = true, .rx_n = 2 };
    g.rx[0] = (struct reception){ .phy = { 1, 2, 3 },
                                  .n = 3,
                                  .dr = DR_5,
                                  .stat = 1,
                                  .tmst = 7,
                                  .hz = 923200000,
                                  .rssi_dbm = -97,
                                  .snr_cb = 75,
                                  .at = { 100 } };
    g.rx[1] = (struct reception){ .n = 1, .dr = DR_2, .at = { 900 } };
    const struct json *doc;
    struct str text =
        sim_gateway_rxpk(&g, test_arena(), (struct mono){ 500 }, (struct wall){ 1767225600123456 });
    EQ(json_read(&doc, text, test_arena(), JSON_STRICT, NULL), OK);
    const struct json *rx = json_get(doc, S("rxpk"));
    EQ(rx->members, 1);
    STR_EQ(json_str(json_get(json_at(rx, 0), S("datr")), test_arena()), S("SF7BW125"));
    STR_EQ(json_get(json_at(rx, 0), S("lsnr"))->raw, S("7.5"));
    STR_EQ(json_str(json_get(json_at(rx, 0), S("data")), test_arena()), S("AQID"));
    EQ(g.rx_n, 1);
    EQ(sim_gateway_rxpk(&g, test_arena(), (struct mono){ 500 }, (struct wall){ 0 }).n, 0);
}

/* ------------------------------------------------------------------ agenda, latencies, bench */

TEST(an_agenda_is_kept_in_order_and_equal_times_by_arrival)
{
    struct agenda a = { .n = 0 };
    struct event e;
    struct chance c = { 5 };
    for (u32 i = 0; i < 3000; i++)
        sim_agenda_put(&a, (struct mono){ sim_chance_below(&c, 500) }, EVENT_NOISE, i, 0);
    struct event before = { .at = { -1 } };
    for (u32 i = 0; i < 3000; i++) {
        TRUE(sim_agenda_take(&a, &e, (struct mono){ 500 }));
        TRUE(before.at.us < e.at.us || (before.at.us == e.at.us && before.order < e.order));
        before = e;
    }
    TRUE(!sim_agenda_take(&a, &e, (struct mono){ 500 }));
    boot_release(a.heap);
}

TEST(a_spread_knows_its_shares_within_two_percent)
{
    struct spread *s = arena_new(test_arena(), struct spread);
    for (i64 us = 1; us <= 100000; us++)
        sim_spread_add(s, us);
    NEAR(sim_spread_at(s, 0.50), 50000, 1000);
    NEAR(sim_spread_at(s, 0.99), 99000, 2000);
    EQ(sim_spread_at(s, 1), 100000);
    EQ(s->max, 100000);
}

TEST(a_door_is_an_ipv4_address_and_everywhere_means_here)
{
    struct address at;
    TRUE(sim_door_server(&at, S("0.0.0.0:1700")));
    EQ(get_u32be(at.ip), 0x7F000001);
    EQ(at.port, 1700);
    TRUE(!sim_door_server(&at, S("[::1]:1700")));
    TRUE(!sim_door_server(&at, S("127.0.0.1")));
}

TEST(bench_devices_differ_and_come_again)
{
    u64 eui[3];
    u32 addr[3];
    u8  nwk[3][16], app[3][16];
    sim_bench_device(0, &eui[0], &addr[0], nwk[0], app[0]);
    sim_bench_device(999999, &eui[1], &addr[1], nwk[1], app[1]);
    sim_bench_device(999999, &eui[2], &addr[2], nwk[2], app[2]);
    TRUE(eui[0] != eui[1] && addr[0] != addr[1]);
    TRUE(memcmp(nwk[0], nwk[1], 16) != 0 && memcmp(nwk[1], app[1], 16) != 0);
    EQ(eui[1], eui[2]);
    EQ(addr[1], addr[2]);
    EQ(memcmp(nwk[1], nwk[2], 16), 0);
    EQ(memcmp(app[1], app[2], 16), 0);
}
