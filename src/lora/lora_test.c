// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "lora/lora.h"

/* A seeded stream of its own: the same tests every time. */
static u64 dice(u64 *seed)
{
    *seed += 0x9E3779B97F4A7C15;
    u64 z = (*seed ^ *seed >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static void dice_bytes(u64 *seed, u8 *p, size_t n)
{
    while (n--)
        *p++ = (u8)dice(seed);
}

static struct bytes hex(const char *digits)
{
    u8 *p = arena_array(test_arena(), u8, LORA_AIR_MAX + 1);
    size_t n = 0;
    TRUE(hex_read(p, LORA_AIR_MAX + 1, &n, str_z(digits)));
    return (struct bytes){ p, n };
}

/* ------------------------------------------------------------------ counters */

#define FCNT(seen, air, is) EQ(lora_fcnt_extend(seen, air), is)

/* The low half comes from the air, the high half from memory. */
TEST(a_counter_only_ever_moves_forward)
{
    /*   we saw      air says   so it is    */
    FCNT(0,          0,         0);           /* first frame of a session        */
    FCNT(7,          7,         7);           /* the same again: a repetition    */
    FCNT(7,          9000,      9000);        /* a long silence                  */
    FCNT(0xFFFF,     0,         0x10000);     /* the low half turned over        */
    FCNT(0xFFFF,     0xFFFF,    0xFFFF);
    FCNT(0x10000,    1,         0x10001);
    FCNT(0x1FFFF,    0,         0x20000);
    FCNT(7,          6,         0x10006);     /* an old frame: its MIC will fail */
    FCNT(0xFFFF0007, 6,         0xFFFF0006);  /* nothing lies beyond 32 bits     */
}

/* ------------------------------------------------------------------ frames */

static const char uplink[] = "40b298000084020006c8080d02e8c77b482c5701ae948b2e";

TEST(every_shorter_prefix_of_a_frame_is_refused_or_another_frame)
{
    /* A data frame has no length of its own: cut in its payload it is still a frame, whose MIC
     * fails. Cut in its header it is not. */
    struct bytes whole = hex(uplink);
    size_t header = 1 + LORA_FHDR_MIN + 4;
    struct lora_frame f;
    for (size_t n = 0; n < header + LORA_MIC_SIZE; n++)
        EQ(lora_frame_parse(&f, (struct bytes){ whole.p, n }), LORA_TRUNCATED);
    for (size_t n = header + LORA_MIC_SIZE; n <= whole.n; n++)
        EQ(lora_frame_parse(&f, (struct bytes){ whole.p, n }), LORA_OK);
}

TEST(every_shorter_prefix_of_a_join_frame_is_refused)
{
    struct bytes join = hex("0039363463336913aa05693574323831330489c65b1304");
    struct bytes rejoin0 = hex("c0000302010807060504030201020111da47bd");
    struct bytes rejoin1 = hex("c00108070605040302010807060504030201020167f9abe7");
    struct bytes accept = hex("20093880000000b2980000020170b78c40bf8c10c78ce0ce8cb0d68c001d37236d");
    struct lora_join_request r;
    struct lora_rejoin j;
    struct lora_join_accept a;
    for (size_t n = 0; n < join.n; n++)
        EQ(lora_join_request_parse(&r, (struct bytes){ join.p, n }), LORA_TRUNCATED);
    for (size_t n = 0; n < rejoin0.n; n++)
        EQ(lora_rejoin_parse(&j, (struct bytes){ rejoin0.p, n }), LORA_TRUNCATED);
    for (size_t n = 0; n < rejoin1.n; n++)
        EQ(lora_rejoin_parse(&j, (struct bytes){ rejoin1.p, n }), LORA_TRUNCATED);
    for (size_t n = 0; n < accept.n; n++)
        if (n != LORA_JOIN_ACCEPT_SIZE)             /* there it is one without a CFList */
            EQ(lora_join_accept_parse(&a, (struct bytes){ accept.p, n }), LORA_TRUNCATED);
    u8 longer[LORA_JOIN_REQUEST_SIZE + 1] = { 0 };
    EQ(lora_join_request_parse(&r, (struct bytes){ longer, sizeof longer }), LORA_TOO_LONG);
}

TEST(a_frame_that_cannot_be_has_a_reason)
{
    struct lora_frame f;
    struct lora_rejoin j;
    struct bytes body;
    u8 long_frame[LORA_AIR_MAX + 1] = { 0x40 };
    EQ(lora_frame_parse(&f, (struct bytes){ NULL, 0 }), LORA_TRUNCATED);
    EQ(lora_frame_parse(&f, (struct bytes){ long_frame, sizeof long_frame }), LORA_TOO_LONG);
    EQ(lora_frame_parse(&f, hex("41f17dbe4900020001954378762b11ff0d")), LORA_BAD_MAJOR);
    EQ(lora_frame_parse(&f, hex("00f17dbe4900020001954378762b11ff0d")), LORA_BAD_MTYPE);
    EQ(lora_frame_parse(&f, hex("e0f17dbe4900020001954378762b11ff0d")), LORA_BAD_MTYPE);
    /* FOptsLen 15, port 0 */
    EQ(lora_frame_parse(&f, hex("40f17dbe490f0200010203040506070809101112131415002b11ff0d")),
       LORA_FOPTS_AND_PORT0);
    EQ(lora_frame_parse(&f, hex("40f17dbe490f02000102030405060708091011121314002b11ff")),
       LORA_TRUNCATED);
    EQ(lora_rejoin_parse(&j, hex("c0030302010807060504030201020111da47bd")), LORA_BAD_REJOIN_TYPE);
    EQ(lora_proprietary_parse(&body, hex("e0")), LORA_OK);
    EQ(body.n, 0);
    for (int e = 0; e < LORA_ERR_KINDS; e++)
        TRUE(str_z(lora_err_words((enum lora_err)e)).n > 0);
}

TEST(what_cannot_be_said_is_not_built)
{
    u8 room[LORA_AIR_MAX], bytes[LORA_AIR_MAX] = { 0 };
    struct buf b = BUF(room);
    struct lora_frame f = { .mtype = MTYPE_DATA_UP, .fport = FPORT_MAC, .fopts = { bytes, 1 } };
    EQ(lora_frame_build(&b, &f), LORA_FOPTS_AND_PORT0);
    f = (struct lora_frame){ .mtype = MTYPE_DATA_UP, .fport = 1, .fopts = { bytes, 16 } };
    EQ(lora_frame_build(&b, &f), LORA_TOO_LONG);
    f = (struct lora_frame){ .mtype = MTYPE_DATA_UP, .fport = FPORT_NONE, .payload = { bytes, 1 } };
    EQ(lora_frame_build(&b, &f), LORA_BAD_FIELD);
    f = (struct lora_frame){ .mtype = MTYPE_DATA_UP, .fport = 1, .payload = { bytes, 243 } };
    EQ(lora_frame_build(&b, &f), LORA_TOO_LONG);
    f = (struct lora_frame){ .mtype = MTYPE_JOIN_ACCEPT };
    EQ(lora_frame_build(&b, &f), LORA_BAD_MTYPE);
    struct buf small = buf_of(room, 12);
    f = (struct lora_frame){ .mtype = MTYPE_DATA_UP, .fport = 1 };
    EQ(lora_frame_build(&small, &f), LORA_NO_ROOM);
    EQ(b.n, 0);
}

static struct lora_frame random_frame(u64 *seed, u8 pool[LORA_AIR_MAX])
{
    dice_bytes(seed, pool, LORA_AIR_MAX);
    struct lora_frame f = {
        .mtype    = (enum lora_mtype)(MTYPE_DATA_UP + dice(seed) % 4),
        .mhdr_rfu = dice(seed) % 8,
        .fctrl    = (u8)(dice(seed) & 0xF0),
        .fcnt_low = (u16)dice(seed),
        .fport    = (i16)((int)(dice(seed) % 257) - 1),
        .devaddr  = (u32)dice(seed),
        .mic      = (u32)dice(seed),
    };
    if (f.fport != FPORT_MAC)
        f.fopts = (struct bytes){ pool, dice(seed) % 16 };
    if (f.fport != FPORT_NONE)
        f.payload = (struct bytes){ pool + f.fopts.n,
                                    dice(seed) % (LORA_PAYLOAD_MAX - f.fopts.n + 1) };
    f.fctrl |= (u8)f.fopts.n;
    return f;
}

TEST(building_mirrors_parsing_for_any_frame)
{
    u64 seed = 1;
    for (int i = 0; i < 2000; i++) {
        u8 pool[LORA_AIR_MAX], air[LORA_AIR_MAX], again[LORA_AIR_MAX];
        struct lora_frame f = random_frame(&seed, pool), g;
        struct buf a = BUF(air), b = BUF(again);
        EQ(lora_frame_build(&a, &f), LORA_OK);
        EQ(lora_frame_parse(&g, buf_bytes(&a)), LORA_OK);
        EQ(lora_frame_build(&b, &g), LORA_OK);
        BYTES_EQ(buf_bytes(&a), buf_bytes(&b));
        TRUE(f.mtype == g.mtype && f.devaddr == g.devaddr && f.fctrl == g.fctrl && f.mic == g.mic
             && f.fport == g.fport && f.fcnt_low == g.fcnt_low && bytes_eq(f.payload, g.payload));
    }
}

/* ------------------------------------------------------------------ sealing */

static void random_keys(u64 *seed, struct lora_key k[4])
{
    u8 raw[16];
    for (int i = 0; i < 4; i++) {
        dice_bytes(seed, raw, sizeof raw);
        lora_key_set(&k[i], raw);
    }
}

TEST(what_is_sealed_opens_and_a_bent_bit_does_not)
{
    u64 seed = 2;
    struct lora_key k[4] = { { 0 } };
    for (int i = 0; i < 500; i++) {
        u8 pool[LORA_AIR_MAX], air[LORA_AIR_MAX], room[LORA_AIR_MAX];
        struct lora_frame f = random_frame(&seed, pool), g, open;
        bool v1_1 = i & 1;
        struct lora_session s = { v1_1, &k[0], &k[v1_1 ? 1 : 0], &k[v1_1 ? 2 : 0], &k[3] };
        struct lora_mic_terms terms = { (u16)dice(&seed), dice(&seed) % 8, dice(&seed) % 16 };
        u32 fcnt = (u32)dice(&seed);
        struct buf a = BUF(air);
        random_keys(&seed, k);
        EQ(lora_frame_seal(&a, &f, &s, fcnt, terms), LORA_OK);
        EQ(lora_frame_parse(&g, buf_bytes(&a)), LORA_OK);
        TRUE(lora_frame_verify(&g, &s, fcnt, terms));
        TRUE(!lora_frame_verify(&g, &s, fcnt + 0x10000, terms));
        lora_frame_open(&open, room, &g, &s, fcnt);
        BYTES_EQ(open.fopts, f.fopts);
        BYTES_EQ(open.payload, f.payload);
        air[1 + dice(&seed) % (a.n - 1)] ^= (u8)(1 << dice(&seed) % 8);
        TRUE(lora_frame_parse(&g, buf_bytes(&a)) || !lora_frame_verify(&g, &s, fcnt, terms));
    }
    for (int i = 0; i < 4; i++)
        lora_key_clear(&k[i]);
}

TEST(a_payload_whose_key_is_held_elsewhere_stays_as_it_is)
{
    static const u8 raw[16] = { 1 };
    struct lora_key k = { 0 };
    struct lora_session s = { false, &k, &k, &k, NULL };
    struct lora_frame air, open;
    u8 room[LORA_AIR_MAX];
    lora_key_set(&k, raw);
    EQ(lora_frame_parse(&air, hex(uplink)), LORA_OK);
    lora_frame_open(&open, room, &air, &s, 2);
    BYTES_EQ(open.payload, air.payload);
    BYTES_EQ(open.fopts, air.fopts);
    lora_key_clear(&k);
    TRUE(!lora_key_is_set(&k));
}

/* RFC 4493 §4: key, and the lengths that make each way through CMAC. */
TEST(cmac_is_that_of_rfc_4493)
{
    static const struct { size_t n; const char *mac; } example[] = {
        {  0, "bb1d6929e95937287fa37d129b756746" }, { 16, "070a16b46b4d4144f79bdd9dd04a287c" },
        { 40, "dfa66747de9ae63030ca32611497c827" }, { 64, "51f0bebf7e3b9d92fc49741779363cfe" },
    };
    struct bytes msg = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                           "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    struct lora_key k = { 0 };
    u8 mac[16];
    lora_key_set(&k, hex("2b7e151628aed2a6abf7158809cf4f3c").p);
    for (size_t i = 0; i < COUNT(example); i++) {
        lora_cmac(mac, &k, NULL, (struct bytes){ msg.p, example[i].n });
        BYTES_EQ(((struct bytes){ mac, 16 }), hex(example[i].mac));
        if (example[i].n < 16)
            continue;
        lora_cmac(mac, &k, msg.p, (struct bytes){ msg.p + 16, example[i].n - 16 });
        BYTES_EQ(((struct bytes){ mac, 16 }), hex(example[i].mac));
    }
    lora_key_clear(&k);
}

TEST(a_key_wrap_of_an_impossible_length_is_refused)
{
    static const u8 zeros[80];
    u8 out[80];
    TRUE(!lora_key_wrap(out, (struct bytes){ zeros, 15 }, (struct bytes){ zeros, 16 }));
    TRUE(!lora_key_wrap(out, (struct bytes){ zeros, 16 }, (struct bytes){ zeros, 8 }));
    TRUE(!lora_key_wrap(out, (struct bytes){ zeros, 16 }, (struct bytes){ zeros, 20 }));
    TRUE(!lora_key_unwrap(out, (struct bytes){ zeros, 16 }, (struct bytes){ zeros, 7 }));
    TRUE(!lora_key_unwrap(out, (struct bytes){ zeros, 16 }, (struct bytes){ zeros, 80 }));
    TRUE(!lora_key_unwrap(out, (struct bytes){ zeros, 16 }, (struct bytes){ zeros, 24 }));
}

TEST(a_join_accept_of_1_1_is_bound_to_its_request)
{
    static const u8 raw[16] = { 7 };
    u8 air[LORA_AIR_MAX], room[LORA_AIR_MAX];
    struct lora_join_terms terms = { JOIN_REQ_TYPE_JOIN, 77, 0x70b3d57ed0000001 }, other = terms;
    struct lora_join_accept a = { .opt_neg = true, .rx2_dr = 2, .rx_delay = 5, .join_nonce = 3,
                                  .net_id = 1, .devaddr = 0x02000001 }, b;
    struct lora_key k = { 0 };
    struct buf out = BUF(air);
    lora_key_set(&k, raw);
    EQ(lora_join_accept_seal(&out, &a, &k, raw, terms), LORA_OK);
    EQ(lora_join_accept_open(&b, room, buf_bytes(&out), &k), LORA_OK);
    TRUE(b.rx_delay == 5 && b.devaddr == a.devaddr && lora_join_accept_verify(&b, &k, terms));
    other.dev_nonce = 78;
    TRUE(!lora_join_accept_verify(&b, &k, other));
    EQ(lora_join_accept_open(&b, room, (struct bytes){ air, 18 }, &k), LORA_TRUNCATED);
    EQ(lora_join_accept_open(&b, room, (struct bytes){ air, 16 }, &k), LORA_TRUNCATED);
    EQ(lora_join_accept_open(&b, room, (struct bytes){ air, 34 }, &k), LORA_TOO_LONG);
    lora_key_clear(&k);
}

/* ------------------------------------------------------------------ addresses */

TEST(addresses_of_a_network_stay_inside_it)
{
    EQ(lora_devaddr_room(0x000000), 1 << 25);
    EQ(lora_devaddr_room(0xE00000), 1 << 7);
    EQ(lora_devaddr_make(0x000000, 1), 1);
    EQ(lora_devaddr_make(0x000013, 5), 0x26000005);
    EQ(lora_devaddr_make(0x000013, 0x02000005), 0x26000005);         /* numbers wrap */
    TRUE(lora_devaddr_is_of(0x27FFFFFF, 0x000013) && !lora_devaddr_is_of(0x28000000, 0x000013));
    u32 id;
    u8 type;
    TRUE(lora_devaddr_nwk_id(&id, &type, 0x26000005) && id == 0x13 && type == 0);
    TRUE(!lora_devaddr_nwk_id(&id, &type, 0xFF000000));
}

/* ------------------------------------------------------------------ MAC commands */

static struct str words(const char *commands, enum lora_dir dir)
{
    struct text t = text_make(test_arena(), 4096);
    lora_commands_text(&t, hex(commands), dir);
    return text_str(&t);
}

TEST(commands_are_read_until_one_is_unknown)
{
    STR_EQ(words("0352070001", LORA_DOWN),
           S("LinkADRReq data_rate=5 tx_power=2 ch_mask=0x0007 ch_mask_cntl=0 nb_trans=1"));
    STR_EQ(words("06c8080d", LORA_UP), S("DevStatusAns battery=200 margin_db=8; DeviceTimeReq"));
    STR_EQ(words("0680ff", LORA_DOWN), S("DevStatusReq; ? 80ff"));
    STR_EQ(words("020305", LORA_UP), S("LinkCheckReq; LinkADRAns channel_mask_ack=yes "
                                       "data_rate_ack=no power_ack=yes"));
    STR_EQ(words("03", LORA_UP), S("? 03"));
    STR_EQ(words("42b001", LORA_DOWN), S("? 42b001"));
    STR_EQ(words("2002", LORA_UP), S("DeviceModeInd class=C"));
    STR_EQ(words("", LORA_UP), S(""));
}

TEST(a_key_inside_a_command_is_not_printed)
{
    struct str w = words("4303bc040302018000000001020304050607080102030405060708", LORA_DOWN);
    TRUE(str_ends(w, S("root_wor_s_key=(secret)")));
}

TEST(a_command_has_a_struct_and_its_mirror)
{
    struct lora_link_adr_req in = { .data_rate = 5, .tx_power = 2, .ch_mask = 7, .nb_trans = 1 };
    struct lora_link_adr_req out;
    struct lora_link_adr_ans ans;
    struct lora_command c;
    u8 room[8];
    struct buf b = BUF(room);
    EQ(lora_link_adr_req_build(&b, &in), LORA_OK);
    BYTES_EQ(buf_bytes(&b), hex("0352070001"));
    struct cur cur = cur_of(buf_bytes(&b));
    TRUE(lora_command_next(&c, &cur, LORA_DOWN));
    TRUE(lora_link_adr_req_parse(&out, &c) && memcmp(&in, &out, sizeof in) == 0);
    TRUE(!lora_link_adr_ans_parse(&ans, &c));                        /* another command */
    TRUE(!lora_command_next(&c, &cur, LORA_DOWN) && !cur.bad);
}

TEST(a_command_that_does_not_fit_leaves_the_buffer_as_it_was)
{
    struct lora_link_adr_req adr = { .data_rate = 5 };
    struct lora_duty_cycle_req duty = { .max_duty_cycle = 16 };
    u8 room[5];
    struct buf b = BUF(room);
    EQ(lora_command_build_empty(&b, LORA_DOWN, CID_DEV_STATUS), LORA_OK);
    EQ(lora_link_adr_req_build(&b, &adr), LORA_NO_ROOM);
    TRUE(b.n == 1 && !b.bad);
    EQ(lora_duty_cycle_req_build(&b, &duty), LORA_BAD_FIELD);
    EQ(lora_command_build_empty(&b, LORA_UP, 0x80), LORA_UNKNOWN_COMMAND);
    duty.max_duty_cycle = 15;
    EQ(lora_duty_cycle_req_build(&b, &duty), LORA_OK);
    BYTES_EQ(buf_bytes(&b), hex("06040f"));
}

/* Every bit that a field names comes back from a struct, whatever the other bits were. */
TEST(every_command_survives_a_round_trip_of_random_bytes)
{
    u64 seed = 3;
    for (int i = 0; i < 20000; i++) {
        u8 raw[LORA_COMMAND_MAX + 8], one[LORA_COMMAND_MAX], two[LORA_COMMAND_MAX];
        alignas(max_align_t) u8 in[64] = { 0 }, again[64] = { 0 };
        enum lora_dir dir = (enum lora_dir)(i & 1);
        struct lora_command c, d;
        struct buf a = BUF(one), b = BUF(two);
        dice_bytes(&seed, raw, sizeof raw);
        raw[0] %= CID_NOTIFY_NEW_END_DEVICE + 1;
        struct cur cur = cur_of((struct bytes){ raw, sizeof raw });
        if (!lora_command_next(&c, &cur, dir))
            continue;
        size_t size = c.kind->struct_size;
        TRUE(lora_command_parse(in, size, &c));
        EQ(lora_command_build(&a, dir, raw[0], in, size), LORA_OK);
        struct cur back = cur_of(buf_bytes(&a));
        TRUE(lora_command_next(&d, &back, dir) && d.kind == c.kind);
        TRUE(lora_command_parse(again, size, &d));
        EQ(lora_command_build(&b, dir, raw[0], again, size), LORA_OK);
        BYTES_EQ(buf_bytes(&a), buf_bytes(&b));
    }
}

TEST(no_field_reaches_beyond_its_command)
{
    for (int dir = LORA_UP; dir <= LORA_DOWN; dir++)
        for (int cid = 0; cid < 256; cid++) {
            const struct lora_command_kind *k = lora_command_kind((enum lora_dir)dir, (u8)cid);
            u64 taken[4] = { 0 };
            for (const struct lora_field *f = k ? k->field : NULL; f && f->name; f++) {
                TRUE(f->first_bit + f->bits <= 8 * k->size);
                for (unsigned bit = f->first_bit; bit < f->first_bit + (unsigned)f->bits; bit++) {
                    TRUE(!(taken[bit / 64] >> bit % 64 & 1));       /* nor do two overlap */
                    taken[bit / 64] |= 1ull << bit % 64;
                }
            }
        }
}

/* ------------------------------------------------------------------ packages */

TEST(a_tail_is_as_long_as_the_fields_before_it_say)
{
    struct lora_command c;
    struct lora_mc_session_ans_v1 ans;
    struct lora_data_fragment fragment;
    u8 room[LORA_PAYLOAD_MAX];
    struct buf b = BUF(room);
    struct cur started = cur_of(hex("0402000400")), refused = cur_of(hex("041e"));
    struct cur cut = cur_of(hex("04020004"));
    TRUE(lora_package_next(&c, &started, PACKAGE_MULTICAST, 1, LORA_UP));
    TRUE(lora_mc_session_ans_v1_parse(&ans, &c) && ans.time_to_start == 1024);
    TRUE(!lora_data_fragment_parse(&fragment, &c));
    ans.dr_error = true;                                    /* an error has no time to start */
    EQ(lora_mc_session_ans_v1_build(&b, c.kind, &ans), LORA_BAD_FIELD);
    ans.time_to_start = -1;
    EQ(lora_mc_session_ans_v1_build(&b, c.kind, &ans), LORA_OK);
    BYTES_EQ(buf_bytes(&b), hex("0406"));
    TRUE(lora_package_next(&c, &refused, PACKAGE_MULTICAST, 1, LORA_UP));
    TRUE(lora_mc_session_ans_v1_parse(&ans, &c) && ans.time_to_start == -1);
    TRUE(!lora_package_next(&c, &cut, PACKAGE_MULTICAST, 1, LORA_UP) && cut.bad);
    struct cur rest = cur_of(hex("080084"));                /* a fragment without data */
    TRUE(lora_package_next(&c, &rest, PACKAGE_FRAGMENT, 2, LORA_DOWN));
    TRUE(lora_data_fragment_parse(&fragment, &c) && fragment.data.n == 0 && fragment.n == 1024);
    TRUE(!lora_package_kind(PACKAGE_FRAGMENT, 1, LORA_UP, 0x04));       /* since version 2 */
    TRUE(!lora_package_kind(PACKAGE_CLOCK, 3, LORA_UP, 0x00));
}

TEST(the_first_fragments_are_the_data_and_the_last_is_filled_with_zeros)
{
    u8 out[4];
    struct bytes data = hex("0102030405060708090a");
    lora_fragment(out, data, 4, 1, 1);
    BYTES_EQ(((struct bytes){ out, 4 }), hex("01020304"));
    lora_fragment(out, data, 4, 3, 2);
    BYTES_EQ(((struct bytes){ out, 4 }), hex("090a0000"));
}

/* ------------------------------------------------------------------ airtime, class B, words */

TEST(airtime_is_that_of_section_5_6)
{
    static const struct { size_t bytes; bool crc; u32 us[6]; } row[] = {
        /*               SF7    SF8     SF9     SF10    SF11    SF12 */
        { 13, true,  {  46336,  82432, 164864, 288768, 577536, 1155072 } },
        { 24, true,  {  61696, 113152, 205824, 370688, 823296, 1482752 } },
        { 33, true,  {  71936, 133632, 246784, 452608, 987136, 1810432 } },
        { 64, true,  { 118016, 215552, 390144, 698368, 1560576, 2793472 } },
        { 12, false, {  41216,  72192, 144384, 288768, 577536, 991232 } },
        { 33, false, {  71936, 133632, 246784, 452608, 905216, 1810432 } },
    };
    for (size_t i = 0; i < COUNT(row); i++)
        for (u8 sf = 7; sf <= 12; sf++)
            EQ(lora_airtime_us(sf, 125000, row[i].bytes, row[i].crc), row[i].us[sf - 7]);
    EQ(lora_airtime_us(4, 125000, 10, true), 0);
    EQ(lora_airtime_us(7, 0, 10, true), 0);
}

TEST(every_data_rate_has_an_airtime)
{
    const struct lora_region *eu = lora_region_by_name(S("EU868"));
    EQ(lora_dr_airtime_us(eu, DR_5, 13, true), 46336);
    EQ(lora_dr_airtime_us(eu, DR_7, 13, true), 24 * 8 * 20);     /* 24 bytes at 50 kbit/s */
    /* LR-FHSS 1/3, 10 bytes: 3 headers, 306 coded bits in 7 fragments: 662 bits of 2.048 ms */
    EQ(lora_dr_airtime_us(eu, DR_8, 10, true), 662 * 2048);
    EQ(lora_dr_airtime_us(eu, DR_15, 10, true), 0);
}

TEST(the_demodulation_floor_falls_by_2_5_db_a_step)
{
    EQ(lora_required_snr_cb(6), -50);
    EQ(lora_required_snr_cb(7), -75);
    EQ(lora_required_snr_cb(12), -200);
}

/* A stupid search over every slot of every period, against the formula. */
TEST(the_next_ping_slot_is_the_next_one)
{
    u64 seed = 4;
    for (int i = 0; i < 40; i++) {
        u32 devaddr = (u32)dice(&seed);
        u16 nb = lora_ping_nb((u8)(dice(&seed) % 8));
        i64 after = (i64)(dice(&seed) % 1000000000000), found = 0;
        for (i64 beacon = after / 128000000 * 128; !found; beacon += 128) {
            i64 offset = lora_ping_offset((u32)beacon, devaddr, (u16)(4096 / nb));
            for (i64 slot = offset; slot < 4096 && !found; slot += 4096 / nb)
                if (beacon * US_PER_S + 2120000 + slot * 30000 > after)
                    found = beacon * US_PER_S + 2120000 + slot * 30000;
        }
        EQ(lora_ping_next_us(after, devaddr, nb), found);
    }
}

TEST(beacons_of_every_spreading_factor_mirror)
{
    for (u8 sf = 8; sf <= 12; sf++) {
        struct lora_beacon b = { 2, 1, 1400000000, -1234567, 7654321 }, c;
        u8 room[LORA_BEACON_MAX];
        struct buf out = BUF(room);
        EQ(lora_beacon_build(&out, sf, &b), LORA_OK);
        EQ(out.n, sf == 8 ? 19 : 2 * sf - 1);
        EQ(lora_beacon_parse(&c, sf, buf_bytes(&out)), LORA_OK);
        TRUE(c.param == 2 && c.info_desc == 1 && c.gps_s == b.gps_s);
        TRUE(c.lat == b.lat && c.lng == b.lng);
        room[out.n - 3] ^= 1;
        EQ(lora_beacon_parse(&c, sf, buf_bytes(&out)), LORA_BAD_CRC);
        EQ(lora_beacon_parse(&c, sf, (struct bytes){ room, out.n - 1 }), LORA_TRUNCATED);
    }
}

TEST(a_frame_can_be_said_in_words)
{
    struct text t = text_make(test_arena(), 4096);
    lora_phy_text(&t, hex(uplink));
    STR_EQ(text_str(&t), S("UnconfirmedDataUp DevAddr=000098b2 FCtrl=ADR FCnt=2 "
                           "FOpts=[DevStatusAns battery=200 margin_db=8; DeviceTimeReq] FPort=2 "
                           "FRMPayload=7 bytes "
                           "MIC=ae948b2e"));
    t = text_make(test_arena(), 4096);
    lora_phy_text(&t, hex("000100000000000000010000d07ed5b37001006e78a86a"));
    STR_EQ(text_str(&t), S("JoinRequest JoinEUI=0000000000000001 DevEUI=70b3d57ed0000001 "
                           "DevNonce=1 MIC=6e78a86a"));
    t = text_make(test_arena(), 4096);
    lora_phy_text(&t, hex("40b298"));
    STR_EQ(text_str(&t), S("UnconfirmedDataUp: shorter than its own lengths say"));
}

TEST(a_version_is_read_as_people_write_it)
{
    enum lora_version v;
    for (int i = 0; i < LORA_VERSIONS; i++) {
        TRUE(lora_version_read(&v, lora_version_str((enum lora_version)i)));
        EQ(v, i);
    }
    TRUE(lora_version_read(&v, S("1.1.0")));
    EQ(v, LORAWAN_1_1);
    TRUE(!lora_version_read(&v, S("1.0.5")) && !lora_version_read(&v, S("")));
}
