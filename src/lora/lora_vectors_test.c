// SPDX-License-Identifier: Apache-2.0
/*
 * Every vector of test/vector/vectors.json, both directions where there are two. The simulated
 * devices use this folder as the server does, so a mistake shared by both would pass every scene:
 * these vectors are what keeps lora/ honest. They are other people's (see test/vector/README.md).
 */
#include "base/test.h"
#include "lora/lora.h"
#include "wire/json.h"

#include <stdio.h>

#ifndef HOTARU_SOURCE
#define HOTARU_SOURCE "."
#endif

/* ------------------------------------------------------------------ reading vectors */

struct vector { const struct json *json; struct str id; };

static void wrong(int line, const struct vector *v, const char *what)
{
    test_fail(__FILE__, line, "%.*s: %s", STR(v->id), what);
}
#define HOLDS(v, x) do { if (!(x)) wrong(__LINE__, (v), #x); } while (0)

static struct str file_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct text t = text_make(test_arena(), 1 << 20);
    char part[4096];
    if (!f)
        return S("");
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        text_put(&t, (struct str){ part, n });
    fclose(f);
    return text_str(&t);
}

static const struct json *load(const char *path)
{
    const struct json *doc = NULL;
    struct json_limits limits = JSON_STRICT;
    limits.members_max = 1000000;
    struct json_error error;
    if (json_read(&doc, file_text(path), test_arena(), limits, &error))
        test_fail(__FILE__, __LINE__, "%s: %s", path, error.words);
    return doc;
}

static struct str text_in(const struct json *in, const char *key)
{
    return json_str(json_get(in, str_z(key)), test_arena());
}

static bool has(const struct json *in, const char *key)
{
    const struct json *v = json_get(in, str_z(key));
    return v && v->kind != JSON_NULL;
}

static struct bytes hex_in(const struct json *in, const char *key)
{
    struct str hex = text_in(in, key);
    u8 *p = arena_array(test_arena(), u8, hex.n / 2 + 1);
    size_t n = 0;
    if (!hex_read(p, hex.n / 2, &n, hex))
        test_fail(__FILE__, __LINE__, "%s is not hex", key);
    return (struct bytes){ p, n };
}

/* Display order: most significant byte first. */
static u64 be_in(const struct json *in, const char *key)
{
    struct bytes b = hex_in(in, key);
    u64 v = 0;
    for (size_t i = 0; i < b.n; i++)
        v = v << 8 | b.p[i];
    return v;
}

static u32 mic_in(const struct json *in, const char *key) { return get_u32le(hex_in(in, key).p); }

static i64 num_in(const struct json *in, const char *key)
{
    i64 n = 0;
    bool b = false;
    const struct json *v = json_get(in, str_z(key));
    if (json_bool(&b, v))
        return b;
    if (!json_i64(&n, v))
        test_fail(__FILE__, __LINE__, "%s is not a number", key);
    return n;
}

/* Expanded keys of the vector at hand; contexts are reused from one to the next. */
static struct lora_key keys[6];

static const struct lora_key *key_in(int slot, const struct json *in, const char *key)
{
    struct bytes raw = hex_in(in, key);
    if (raw.n != 16)
        return NULL;
    lora_key_set(&keys[slot], raw.p);
    return &keys[slot];
}

static void each(const char *kind, int expected, void (*check)(const struct vector *))
{
    int n = 0;
    const struct json *doc = load(HOTARU_SOURCE "/test/vector/vectors.json");
    JSON_EACH (item, json_get(doc, S("vectors"))) {
        struct vector v = { item, text_in(item, "id") };
        if (!str_eq(text_in(item, "kind"), str_z(kind)))
            continue;
        n++;
        check(&v);
    }
    EQ(n, expected);
}

static bool same(struct bytes a, const struct buf *b) { return bytes_eq(a, buf_bytes(b)); }

/* ------------------------------------------------------------------ data frames */

static void header(const struct vector *v, const struct lora_frame *f)
{
    const struct json *e = json_get(v->json, S("expect"));
    HOLDS(v, str_eq(str_z(lora_mtype_words(f->mtype)), text_in(e, "mtype")));
    HOLDS(v, f->devaddr == be_in(e, "devaddr"));
    HOLDS(v, f->fctrl == num_in(e, "fctrl"));
    HOLDS(v, !!(f->fctrl & FCTRL_ADR) == num_in(e, "adr"));
    HOLDS(v, !!(f->fctrl & FCTRL_ACK) == num_in(e, "ack"));
    HOLDS(v, f->fopts.n == (size_t)num_in(e, "fopts_len"));
    HOLDS(v, f->fcnt_low == num_in(e, "fcnt16"));
    HOLDS(v, bytes_eq(f->fopts, hex_in(e, "fopts")));
    if (lora_mtype_dir(f->mtype) == LORA_UP) {
        HOLDS(v, !!(f->fctrl & FCTRL_ADR_ACK_REQ) == num_in(e, "adr_ack_req"));
        HOLDS(v, !!(f->fctrl & FCTRL_CLASS_B) == num_in(e, "class_b"));
    } else {
        HOLDS(v, !!(f->fctrl & FCTRL_FPENDING) == num_in(e, "fpending"));
    }
    HOLDS(v, f->fport == (has(e, "fport") ? num_in(e, "fport") : FPORT_NONE));
    HOLDS(v, bytes_eq(f->payload, hex_in(e, "frmpayload")));
    HOLDS(v, f->mic == mic_in(e, "mic"));
}

static void mirror(const struct vector *v, const struct lora_frame *f)
{
    u8 room[LORA_AIR_MAX];
    struct buf b = BUF(room);
    HOLDS(v, lora_frame_build(&b, f) == LORA_OK);
    HOLDS(v, same(hex_in(v->json, "phy"), &b));
}

static void data_parse(const struct vector *v)
{
    struct lora_frame f;
    HOLDS(v, lora_frame_parse(&f, hex_in(v->json, "phy")) == LORA_OK);
    header(v, &f);
    mirror(v, &f);
}

/* Which views of the frame can be compared as plain text: those whose key is given. */
static bool plain(const struct vector *v, struct bytes got, const char *key)
{
    const struct json *e = json_get(v->json, S("expect"));
    if (!has(e, key))
        return got.n == 0;
    HOLDS(v, bytes_eq(got, hex_in(e, key)));
    return true;
}

static void data(const struct vector *v)
{
    const struct json *k = json_get(v->json, S("keys"));
    struct lora_frame air, open;
    u8 room[LORA_AIR_MAX], again[LORA_AIR_MAX];
    struct lora_session s = { .v1_1 = str_eq(text_in(v->json, "lorawan"), S("1.1")) };
    u32 fcnt = (u32)num_in(v->json, "fcnt32");
    struct lora_mic_terms terms = { 0 };
    data_parse(v);
    HOLDS(v, lora_frame_parse(&air, hex_in(v->json, "phy")) == LORA_OK);

    s.f_nwk_s_int = key_in(0, k, s.v1_1 ? "FNwkSIntKey" : "NwkSKey");
    s.s_nwk_s_int = s.v1_1 ? key_in(1, k, "SNwkSIntKey") : s.f_nwk_s_int;
    s.nwk_s_enc   = s.v1_1 ? key_in(2, k, "NwkSEncKey") : s.f_nwk_s_int;
    s.app_s       = key_in(3, k, "AppSKey");
    if (s.v1_1)
        terms = (struct lora_mic_terms){ .conf_fcnt = (u16)num_in(v->json, "conf_fcnt"),
                                         .tx_dr = (u8)num_in(v->json, "tx_dr"),
                                         .tx_ch = (u8)num_in(v->json, "tx_ch") };
    bool good = lora_frame_verify(&air, &s, fcnt, terms);
    HOLDS(v, good == num_in(v->json, "mic_valid"));
    if (s.v1_1 && !s.nwk_s_enc)                     /* the source does not give the key */
        return;
    lora_frame_open(&open, room, &air, &s, fcnt);
    bool all = plain(v, open.payload, "frmpayload_plain");
    if (s.v1_1)
        all = plain(v, open.fopts, "fopts_plain") && all;
    if (!all || !good)
        return;
    struct buf b = BUF(again);
    open.mic = 0;
    HOLDS(v, lora_frame_seal(&b, &open, &s, fcnt, terms) == LORA_OK);
    HOLDS(v, same(hex_in(v->json, "phy"), &b));
}

TEST(every_data_frame_vector_holds_in_both_directions) { each("data", 28, data); }
TEST(the_vector_whose_keys_are_unknown_still_parses)   { each("data-parse", 1, data_parse); }

static void payload_crypto(const struct vector *v)
{
    const struct lora_key *k = key_in(0, v->json, "key");
    u8 out[LORA_AIR_MAX];
    struct bytes from = hex_in(v->json, "plain"), to = hex_in(v->json, "cipher");
    enum lora_crypt what = (enum lora_crypt)be_in(v->json, "frame_type_const");
    enum lora_dir dir = (enum lora_dir)num_in(v->json, "dir");
    u32 devaddr = (u32)be_in(v->json, "devaddr"), fcnt = (u32)num_in(v->json, "fcnt32");
    lora_crypt(out, k, what, dir, devaddr, fcnt, from);
    HOLDS(v, bytes_eq(to, (struct bytes){ out, from.n }));
    lora_crypt(out, k, what, dir, devaddr, fcnt, to);
    HOLDS(v, bytes_eq(from, (struct bytes){ out, to.n }));
}

TEST(every_payload_cipher_vector_holds_in_both_directions)
{
    each("payload-crypto", 4, payload_crypto);
}

static void mic(const struct vector *v)
{
    const struct lora_key *k = key_in(0, v->json, "key");
    struct str name = text_in(v->json, "name");
    struct bytes msg = hex_in(v->json, "msg_without_mic");
    u32 devaddr = (u32)be_in(v->json, "devaddr"), fcnt = (u32)num_in(v->json, "fcnt32"), got;
    if (str_eq(name, S("ComputeLegacyUplinkMIC")))
        got = lora_mic_up(k, msg, devaddr, fcnt);
    else if (str_eq(name, S("ComputeLegacyDownlinkMIC")))
        got = lora_mic_down(k, msg, devaddr, fcnt);
    else if (str_starts(name, S("ComputeUplinkMIC")))
        got = lora_mic_up_1_1(k, k, msg, devaddr, fcnt, (struct lora_mic_terms){ 0, 0, 0 });
    else
        got = lora_mic_down_1_1(k, msg, devaddr, fcnt, 0);
    HOLDS(v, got == mic_in(v->json, "mic"));
}

TEST(every_mic_vector_holds) { each("mic", 4, mic); }

/* ------------------------------------------------------------------ joins */

static void join_request(const struct vector *v)
{
    const struct json *e = json_get(v->json, S("expect"));
    struct lora_join_request r;
    u8 room[LORA_JOIN_REQUEST_SIZE], sealed[LORA_JOIN_REQUEST_SIZE];
    struct buf b = BUF(room), s = BUF(sealed);
    struct bytes phy = hex_in(v->json, "phy");
    HOLDS(v, lora_join_request_parse(&r, phy) == LORA_OK);
    HOLDS(v, r.join_eui == be_in(e, "join_eui") && r.dev_eui == be_in(e, "dev_eui"));
    HOLDS(v, r.dev_nonce == num_in(e, "dev_nonce") && r.mic == mic_in(e, "mic"));
    HOLDS(v, lora_join_request_build(&b, &r) == LORA_OK && same(phy, &b));
    if (!has(v->json, "key"))
        return;
    const struct lora_key *k = key_in(0, v->json, "key");
    bool good = num_in(v->json, "mic_valid");
    HOLDS(v, (lora_mic_plain(k, r.signed_part) == r.mic) == good);
    HOLDS(v, lora_join_request_seal(&s, &r, k) == LORA_OK && same(phy, &s) == good);
}

TEST(every_join_request_vector_holds_in_both_directions) { each("join-request", 9, join_request); }

static void rejoin(const struct vector *v)
{
    struct lora_rejoin r;
    u8 room[LORA_AIR_MAX];
    struct buf b = BUF(room);
    struct bytes phy = hex_in(v->json, "phy");
    const struct lora_key *k = key_in(0, v->json, "key");
    HOLDS(v, lora_rejoin_parse(&r, phy) == LORA_OK);
    HOLDS(v, r.type == num_in(v->json, "rejoin_type"));
    HOLDS(v, lora_mic_plain(k, r.signed_part) == r.mic);
    r.mic = 0;
    HOLDS(v, lora_rejoin_seal(&b, &r, k) == LORA_OK && same(phy, &b));
}

TEST(every_rejoin_request_vector_holds_in_both_directions) { each("rejoin-request", 5, rejoin); }

static struct lora_join_terms join_terms(const struct vector *v)
{
    struct lora_join_terms t = { .join_req_type = JOIN_REQ_TYPE_JOIN };
    if (has(v->json, "join_eui"))
        t.join_eui = be_in(v->json, "join_eui");
    if (has(v->json, "dev_nonce"))
        t.dev_nonce = (u16)num_in(v->json, "dev_nonce");
    if (has(v->json, "dev_nonce_be"))
        t.dev_nonce = (u16)be_in(v->json, "dev_nonce_be");
    return t;
}

static void join_accept(const struct vector *v)
{
    const struct json *e = json_get(v->json, S("expect"));
    struct lora_join_accept a;
    u8 room[LORA_AIR_MAX], sealed[LORA_AIR_MAX], clear[LORA_AIR_MAX];
    struct buf s = BUF(sealed), c = BUF(clear);
    struct bytes phy = hex_in(v->json, "phy"), raw = hex_in(v->json, "key");
    const struct lora_key *crypt = key_in(0, v->json, "key");
    const struct lora_key *own = key_in(1, v->json, "mic_key"), *mic_key = own ? own : crypt;
    HOLDS(v, lora_join_accept_open(&a, room, phy, crypt) == LORA_OK);
    HOLDS(v, bytes_eq((struct bytes){ room, phy.n }, hex_in(v->json, "decrypted")));
    HOLDS(v, a.join_nonce == num_in(e, "join_nonce") && a.net_id == be_in(e, "net_id"));
    HOLDS(v, a.devaddr == be_in(e, "devaddr") && a.opt_neg == num_in(e, "opt_neg"));
    HOLDS(v, a.rx1_dr_offset == num_in(e, "rx1_dr_offset") && a.rx2_dr == num_in(e, "rx2_dr"));
    HOLDS(v, a.rx_delay == num_in(e, "rx_delay") && a.mic == mic_in(e, "mic"));
    HOLDS(v, a.has_cflist == has(e, "cflist"));
    if (a.has_cflist)
        HOLDS(v, bytes_eq((struct bytes){ a.cflist, 16 }, hex_in(e, "cflist")));
    HOLDS(v, lora_join_accept_verify(&a, mic_key, join_terms(v)));
    HOLDS(v, lora_join_accept_build(&c, &a) == LORA_OK && same(hex_in(v->json, "decrypted"), &c));
    a.mic = 0;
    HOLDS(v, lora_join_accept_seal(&s, &a, mic_key, raw.p, join_terms(v)) == LORA_OK);
    HOLDS(v, same(phy, &s));
}

TEST(every_join_accept_vector_holds_in_both_directions) { each("join-accept", 6, join_accept); }

static void join_accept_mic(const struct vector *v)
{
    const struct lora_key *k = key_in(0, v->json, "key");
    struct bytes msg = hex_in(v->json, "payload");
    u32 got = has(v->json, "join_req_type") ? lora_mic_join_accept_1_1(k, msg, join_terms(v))
                                            : lora_mic_plain(k, msg);
    HOLDS(v, got == mic_in(v->json, "mic"));
}

TEST(every_join_accept_mic_vector_holds) { each("join-accept-mic", 2, join_accept_mic); }

/* ------------------------------------------------------------------ keys */

static void session_key(u8 out[16], const struct vector *v, struct str name)
{
    const struct lora_key *root = key_in(0, v->json, "root_key");
    struct lora_session_raw raw;
    u32 nonce = (u32)be_in(v->json, "join_nonce_be");
    u16 dev_nonce = (u16)be_in(v->json, "dev_nonce_be");
    if (str_starts(name, S("1.0")))
        lora_derive_session(&raw, root, nonce, (u32)be_in(v->json, "net_id_be"), dev_nonce);
    else
        lora_derive_session_1_1(&raw, root, root, nonce, be_in(v->json, "join_eui_be"), dev_nonce);
    memcpy(out, str_ends(name, S("AppSKey"))     ? raw.app_s
              : str_ends(name, S("FNwkSIntKey")) ? raw.f_nwk_s_int
              : str_ends(name, S("SNwkSIntKey")) ? raw.s_nwk_s_int
                                                 : raw.nwk_s_enc, 16);
}

static void derivation(const struct vector *v)
{
    struct str name = text_in(v->json, "name");
    u8 out[16] = { 0 };
    if (str_starts(name, S("JSIntKey")))
        lora_derive_js_int(out, key_in(0, v->json, "root_key"), be_in(v->json, "dev_eui_be"));
    else if (str_starts(name, S("JSEncKey")))
        lora_derive_js_enc(out, key_in(0, v->json, "root_key"), be_in(v->json, "dev_eui_be"));
    else if (str_starts(name, S("RootWorSKey")))
        lora_derive_root_wor_s(out, key_in(0, v->json, has(v->json, "nwk_skey") ? "nwk_skey"
                                                                               : "nwk_s_enc_key"));
    else if (str_starts(name, S("WorSIntKey")))
        lora_derive_wor_s_int(out, key_in(0, v->json, "root_wor_s_key"),
                              (u32)be_in(v->json, "devaddr_be"));
    else if (str_starts(name, S("WorSEncKey")))
        lora_derive_wor_s_enc(out, key_in(0, v->json, "root_wor_s_key"),
                              (u32)be_in(v->json, "devaddr_be"));
    else
        session_key(out, v, name);
    HOLDS(v, bytes_eq((struct bytes){ out, 16 }, hex_in(v->json, "out")));
}

TEST(every_key_derivation_vector_holds) { each("key-derivation", 31, derivation); }

static void multicast_key(const struct vector *v)
{
    struct str name = text_in(v->json, "name");
    const struct lora_key *k = key_in(0, v->json, "key");
    u32 addr = has(v->json, "mc_addr_be") ? (u32)be_in(v->json, "mc_addr_be") : 0;
    u8 out[16];
    if (str_starts(name, S("McRootKey from GenAppKey")))
        lora_derive_mc_root(out, k);
    else if (str_starts(name, S("McRootKey from AppKey")))
        lora_derive_mc_root_1_1(out, k);
    else if (str_starts(name, S("McKEKey")))
        lora_derive_mc_ke(out, k);
    else if (str_starts(name, S("McAppSKey")))
        lora_derive_mc_app_s(out, k, addr);
    else
        lora_derive_mc_nwk_s(out, k, addr);
    HOLDS(v, bytes_eq((struct bytes){ out, 16 }, hex_in(v->json, "out")));
}

TEST(every_multicast_key_vector_holds) { each("multicast-key", 5, multicast_key); }

static void key_wrap(const struct vector *v)
{
    struct bytes kek = hex_in(v->json, "kek"), plain_key = hex_in(v->json, "plaintext");
    struct bytes wrapped = hex_in(v->json, "ciphertext");
    u8 out[72], bent[72];
    HOLDS(v, lora_key_wrap(out, kek, plain_key));
    HOLDS(v, bytes_eq((struct bytes){ out, wrapped.n }, wrapped));
    HOLDS(v, lora_key_unwrap(out, kek, wrapped));
    HOLDS(v, bytes_eq((struct bytes){ out, plain_key.n }, plain_key));
    memcpy(bent, wrapped.p, wrapped.n);
    bent[wrapped.n - 1] ^= 1;
    HOLDS(v, !lora_key_unwrap(out, kek, (struct bytes){ bent, wrapped.n }));
}

TEST(every_key_wrap_vector_holds_and_a_bent_bit_is_refused)
{
    each("rfc3394-keywrap", 6, key_wrap);
}

/* ------------------------------------------------------------------ class B, lists, addresses */

static void ping_offset(const struct vector *v)
{
    u32 beacon_gps_s = (u32)num_in(v->json, "beacon_time_gps_s");
    u16 period = (u16)num_in(v->json, "ping_period_slots");
    HOLDS(v, lora_ping_offset(beacon_gps_s, (u32)be_in(v->json, "devaddr"), period)
             == num_in(v->json, "expect_offset"));
}

static void ping_next(const struct vector *v)
{
    i64 after_us = num_in(v->json, "after_gps_ms") * US_PER_MS;
    u16 nb = (u16)num_in(v->json, "ping_nb");
    HOLDS(v, lora_ping_next_us(after_us, (u32)be_in(v->json, "devaddr"), nb)
             == num_in(v->json, "expect_gps_ms") * US_PER_MS);
}

TEST(every_ping_offset_vector_holds)    { each("classb-ping-offset", 2, ping_offset); }
TEST(every_next_ping_slot_vector_holds) { each("classb-next-ping-slot", 5, ping_next); }

/* The example of 19 bytes is the specification's layout of SF10, whatever region it names. */
static void beacon(const struct vector *v)
{
    const struct json *e = json_get(v->json, S("expect"));
    struct bytes frame = hex_in(v->json, "frame");
    u8 sf = frame.n == 19 ? 10 : 9, room[LORA_BEACON_MAX];
    struct buf out = BUF(room);
    struct lora_beacon b = { 0 };
    HOLDS(v, lora_beacon_parse(&b, sf, frame) == LORA_OK);
    HOLDS(v, b.gps_s == (has(e, "time") ? num_in(e, "time") : (i64)mic_in(e, "time_le")));
    if (has(e, "lat"))
        HOLDS(v, b.lat == num_in(e, "lat") && b.lng == num_in(e, "lng")
                 && b.info_desc == num_in(e, "info_desc"));
    HOLDS(v, lora_beacon_build(&out, sf, &b) == LORA_OK && same(frame, &out));
}

TEST(every_beacon_vector_holds_in_both_directions) { each("beacon", 4, beacon); }

static void cflist(const struct vector *v)
{
    const struct json *e = json_get(v->json, S("expect"));
    struct bytes b = hex_in(v->json, "bytes");
    struct lora_cflist list;
    u8 out[LORA_CFLIST_SIZE];
    size_t i = 0;
    i64 n = 0;
    HOLDS(v, b.n == LORA_CFLIST_SIZE && lora_cflist_parse(&list, b.p) == LORA_OK);
    HOLDS(v, list.type == num_in(e, "type"));
    JSON_EACH (f, json_get(e, S("freqs"))) {
        HOLDS(v, json_i64(&n, f) && list.freq_hz[i] == n);
        i++;
    }
    JSON_EACH (m, json_get(e, S("chmask"))) {
        HOLDS(v, json_i64(&n, m) && list.ch_mask[i] == n);
        i++;
    }
    HOLDS(v, i >= 5);
    HOLDS(v, lora_cflist_build(out, &list) == LORA_OK && bytes_eq(b, (struct bytes){ out, 16 }));
}

TEST(every_cflist_vector_holds_in_both_directions) { each("cflist", 3, cflist); }

static void net_id(const struct vector *v)
{
    u32 prefix, id = (u32)be_in(v->json, "net_id"), nwk_id;
    u8 bits, type;
    lora_devaddr_prefix(&prefix, &bits, id);
    HOLDS(v, lora_net_id_type(id) == num_in(v->json, "netid_type"));
    HOLDS(v, prefix == be_in(v->json, "devaddr_prefix") && bits == num_in(v->json, "prefix_len"));
    u32 devaddr = lora_devaddr_make(id, 5);
    HOLDS(v, devaddr == prefix + 5 && lora_devaddr_is_of(devaddr, id));
    HOLDS(v, lora_devaddr_nwk_id(&nwk_id, &type, devaddr) && type == lora_net_id_type(id));
    HOLDS(v, (nwk_id ^ id) << (32 - (bits - type - 1)) == 0);
}

TEST(every_devaddr_prefix_vector_holds) { each("netid-devaddr-prefix", 8, net_id); }

static void fctrl(const struct vector *v)
{
    static const struct { const char *name; u8 mask; } fields[] = {
        { "adr", FCTRL_ADR }, { "adr_ack_req", FCTRL_ADR_ACK_REQ }, { "ack", FCTRL_ACK },
        { "fpending_or_classb", FCTRL_FPENDING }, { "fopts_len", FCTRL_FOPTS_LEN },
    };
    const struct json *e = json_get(v->json, S("expect"));
    u8 byte = hex_in(v->json, "byte").p[0];
    for (size_t i = 0; i < COUNT(fields); i++) {
        i64 want = has(e, fields[i].name) ? num_in(e, fields[i].name) : 0;
        bool flag = fields[i].mask != FCTRL_FOPTS_LEN;
        HOLDS(v, (flag ? !!(byte & fields[i].mask) : byte & fields[i].mask) == want);
    }
}

TEST(every_fctrl_vector_holds) { each("fctrl", 5, fctrl); }

static void relay(const struct vector *v)
{
    const struct json *e = json_get(v->json, S("expect"));
    struct bytes b = hex_in(v->json, "bytes"), phy = { NULL, 0 };
    u8 room[LORA_AIR_MAX];
    struct buf out = BUF(room);
    struct lora_relay_uplink r;
    if (!has(e, "dr")) {
        HOLDS(v, lora_relay_downlink_parse(&phy, b) == LORA_OK && bytes_eq(phy, hex_in(e, "phy")));
        HOLDS(v, lora_relay_downlink_build(&out, phy) == LORA_OK && same(b, &out));
        return;
    }
    HOLDS(v, lora_relay_uplink_parse(&r, b) == LORA_OK);
    HOLDS(v, r.dr == num_in(e, "dr"));
    HOLDS(v, r.snr_db == num_in(e, "snr") && r.rssi_dbm == num_in(e, "rssi"));
    HOLDS(v, r.wor_channel == num_in(e, "wor_channel") && r.freq_hz == num_in(e, "frequency"));
    HOLDS(v, bytes_eq(r.phy, hex_in(e, "phy")));
    HOLDS(v, lora_relay_uplink_build(&out, &r) == LORA_OK && same(b, &out));
}

TEST(every_relay_vector_holds_in_both_directions) { each("relay", 2, relay); }

static void airtime(const struct vector *v)
{
    struct str cr = text_in(v->json, "cr");
    u32 us = lora_airtime_cr_us((u8)num_in(v->json, "sf"), (u32)num_in(v->json, "bw_khz") * 1000,
                                (size_t)num_in(v->json, "payload_bytes"), true, (u8)(cr.p[2] - '0'),
                                (u8)num_in(v->json, "preamble"));
    HOLDS(v, us == num_in(v->json, "expect_us"));
}

TEST(every_airtime_vector_holds) { each("airtime", 20, airtime); }

/* ------------------------------------------------------------------ commands */

/* The vectors' spelling of a field: our units stand in the name. */
static const char *vector_name(const struct lora_field *f)
{
    return strcmp(f->name, "margin_db") ? f->name : "margin";
}

/* The expected value as a number, whichever way JSON says it. */
static i64 expected_number(const struct json *e, const struct lora_field *f)
{
    const char *key = vector_name(f);
    if (f->kind == LORA_OPT && !has(e, key))
        return -1;
    if (f->kind == LORA_CLASS)
        return str_eq(text_in(e, key), S("C")) ? 2 : 0;
    return f->kind == LORA_HEX || f->kind == LORA_ADDR ? (i64)be_in(e, key) : num_in(e, key);
}

/* What the expected value looks like in the air; groups are a list of objects in JSON. */
static struct bytes expected_bytes(const struct json *e, const struct lora_field *f)
{
    if (f->kind != LORA_GROUPS)
        return hex_in(e, vector_name(f));
    u8 *p = arena_array(test_arena(), u8, 20);
    struct buf b = buf_of(p, 20);
    JSON_EACH (group, json_get(e, S("groups"))) {
        buf_u8(&b, (u8)num_in(group, "mc_group_id"));
        buf_u32le(&b, (u32)be_in(group, "mc_addr"));
    }
    return buf_bytes(&b);
}

static void put_member(u8 *in, const struct json *e, const struct lora_field *f)
{
    void *member = in + f->member;
    if (f->kind >= LORA_BYTES && f->kind <= LORA_GROUPS)
        *(struct bytes *)member = expected_bytes(e, f);
    else if (f->kind == LORA_FLAG)
        *(bool *)member = expected_number(e, f) != 0;
    else if (f->kind == LORA_INT || f->kind == LORA_SNR || f->kind == LORA_RSSI
             || f->kind == LORA_OPT)
        *(i32 *)member = (i32)expected_number(e, f);
    else
        *(u32 *)member = (u32)expected_number(e, f);
}

static void decoded(const struct vector *v, const struct lora_command *c)
{
    const struct json *e = json_get(v->json, S("expect"));
    size_t fields = 0;
    for (const struct lora_field *f = c->kind->field; f->name; f++, fields++) {
        i64 number;
        if (lora_command_number(&number, c, f))
            HOLDS(v, number == expected_number(e, f));
        else
            HOLDS(v, bytes_eq(lora_command_bytes(c, f), expected_bytes(e, f)));
    }
    HOLDS(v, fields == e->members);
}

/* Read, compared, and built again from what was read and from what was expected. */
static void both_ways(const struct vector *v, const struct lora_command *command)
{
    const struct json *e = json_get(v->json, S("expect"));
    const struct lora_command_kind *kind = command->kind;
    struct bytes b = hex_in(v->json, "bytes");
    u8 room[LORA_PAYLOAD_MAX], again[LORA_PAYLOAD_MAX];
    alignas(max_align_t) u8 in[80] = { 0 };
    struct buf out = BUF(room), mirrored = BUF(again);
    HOLDS(v, str_eq_nocase(str_z(kind->name), text_in(v->json, "command")));
    HOLDS(v, kind->struct_size <= sizeof in);
    decoded(v, command);
    for (const struct lora_field *f = kind->field; f->name; f++)
        put_member(in, e, f);
    HOLDS(v, lora_command_build_as(&out, kind, in, kind->struct_size) == LORA_OK && same(b, &out));
    HOLDS(v, lora_command_parse(in, kind->struct_size, command));
    HOLDS(v, lora_command_build_as(&mirrored, kind, in, kind->struct_size) == LORA_OK);
    HOLDS(v, same(b, &mirrored));
}

static void mac_command(const struct vector *v)
{
    enum lora_dir dir = num_in(v->json, "uplink") ? LORA_UP : LORA_DOWN;
    struct cur c = cur_of(hex_in(v->json, "bytes"));
    struct lora_command command;
    if (!lora_command_next(&command, &c, dir)) {
        wrong(__LINE__, v, "unknown or cut off");
        return;
    }
    HOLDS(v, cur_left(&c) == 0 && !c.bad);
    HOLDS(v, lora_command_by_name(text_in(v->json, "command")) == command.kind);
    both_ways(v, &command);
}

TEST(every_mac_command_vector_holds_in_both_directions) { each("mac-command", 74, mac_command); }

static void package_command(const struct vector *v)
{
    enum lora_dir dir = num_in(v->json, "uplink") ? LORA_UP : LORA_DOWN;
    struct str version = text_in(v->json, "package"), name = str_cut(&version, '/');
    enum lora_package package = str_eq(name, S("clocksync"))     ? PACKAGE_CLOCK
                              : str_eq(name, S("fragmentation")) ? PACKAGE_FRAGMENT
                                                                 : PACKAGE_MULTICAST;
    struct cur c = cur_of(hex_in(v->json, "bytes"));
    struct lora_command command;
    if (!lora_package_next(&command, &c, package, (u8)(version.p[1] - '0'), dir)) {
        wrong(__LINE__, v, "unknown or cut off");
        return;
    }
    HOLDS(v, cur_left(&c) == 0 && !c.bad);
    both_ways(v, &command);
}

TEST(every_package_command_vector_holds_in_both_directions)
{
    each("applayer-command", 61, package_command);
}

static void fragments(const struct vector *v)
{
    struct bytes data = hex_in(v->json, "data");
    size_t size = (size_t)num_in(v->json, "fragment_size");
    u8 version = str_eq(text_in(v->json, "version"), S("TS004-1.0.0")) ? 1 : 2, out[32], want[32];
    u16 n = 0;
    HOLDS(v, size <= sizeof out);
    JSON_EACH (f, json_get(v->json, S("fragments"))) {
        size_t length = 0;
        HOLDS(v, hex_read(want, sizeof want, &length, json_str(f, test_arena())) && length == size);
        lora_fragment(out, data, size, ++n, version);
        HOLDS(v, bytes_eq((struct bytes){ out, size }, (struct bytes){ want, size }));
    }
    HOLDS(v, n == 20);
}

TEST(every_fragment_vector_holds) { each("fragmentation", 2, fragments); }

/* Nothing is left out: the kinds tested above are all the kinds there are. */
TEST(all_287_vectors_are_tested)
{
    static const struct { const char *kind; int n; } tested[] = {
        { "data", 28 }, { "data-parse", 1 }, { "payload-crypto", 4 }, { "mic", 4 },
        { "join-request", 9 }, { "rejoin-request", 5 }, { "join-accept", 6 },
        { "join-accept-mic", 2 }, { "key-derivation", 31 }, { "multicast-key", 5 },
        { "rfc3394-keywrap", 6 }, { "classb-ping-offset", 2 }, { "classb-next-ping-slot", 5 },
        { "beacon", 4 }, { "cflist", 3 }, { "mac-command", 74 }, { "applayer-command", 61 },
        { "fragmentation", 2 }, { "netid-devaddr-prefix", 8 }, { "fctrl", 5 }, { "relay", 2 },
        { "airtime", 20 },
    };
    const struct json *doc = load(HOTARU_SOURCE "/test/vector/vectors.json");
    int all = 0;
    for (size_t i = 0; i < COUNT(tested); i++)
        all += tested[i].n;
    EQ(all, 287);
    EQ(json_get(doc, S("vectors"))->members, 287);
}
