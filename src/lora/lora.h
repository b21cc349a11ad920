/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_LORA_H
#define HOTARU_LORA_H

/*
 * lora: LoRaWAN as a specification. Frames, keys, MAC commands, regions, airtime. Pure: no device,
 * no store, no clock, no I/O; every function is decided by its arguments. The network server, the
 * simulator and `hotaru decode` share it, so it is held to vectors from elsewhere (test/vector).
 *
 *   frame.c     PHYPayload <-> structs: data, join, rejoin, proprietary, relay forward, CFList
 *   key.c       AES-128: CMAC and CTR on cached ECB contexts, key wrap (RFC 3394)
 *   crypt.c     MICs, payload encryption, seal/open of whole frames
 *   derive.c    session, join server, multicast and wake-on-radio keys
 *   command.c   MAC commands: one table for reading, writing and printing
 *   region.c    RP002-1.0.4 as data: one value a band, and Japan's plan on top of AS923-1
 *   air.c       rules over the data: data rates, channels, RX1, airtime
 *   classb.c    ping slots, beacons
 *   package.c   application layer packages: TS003 clock, TS004 fragmentation, TS005 multicast
 *   text.c      a frame in words
 *
 * Numbers: EUIs, DevAddr, NetID and nonces are integers as people write them (most significant
 * byte first); the little-endian air is this folder's business. A MIC is a u32 whose low byte is
 * first on air (Basics Station's int32). Keys are 16 bytes, first byte first.
 * Versions: "1.0" stands for every 1.0.x, "1_1" for LoRaWAN 1.1.
 */
#include "base/base.h"

/* ------------------------------------------------------------------ refusals */

#define LORA_ERRS(X) \
    X(LORA_OK,                "fine") \
    X(LORA_TRUNCATED,         "shorter than its own lengths say") \
    X(LORA_TOO_LONG,          "longer than a frame of its kind can be") \
    X(LORA_BAD_MAJOR,         "a major version other than LoRaWAN R1") \
    X(LORA_BAD_MTYPE,         "a message type that does not belong here") \
    X(LORA_FOPTS_AND_PORT0,   "MAC commands both in FOpts and on port 0") \
    X(LORA_BAD_REJOIN_TYPE,   "a rejoin type other than 0, 1 and 2") \
    X(LORA_BAD_CFLIST,        "a CFList type other than 0 and 1") \
    X(LORA_BAD_MIC,           "the key does not verify it") \
    X(LORA_BAD_CRC,           "a checksum that does not fit") \
    X(LORA_BAD_FIELD,         "a value too large for its field") \
    X(LORA_UNKNOWN_COMMAND,   "a command of unknown length: the rest cannot be read") \
    X(LORA_NO_ROOM,           "no room left in the buffer")

enum lora_err {
#define LORA_ERR_ENUM(name, words) name,
    LORA_ERRS(LORA_ERR_ENUM)
#undef LORA_ERR_ENUM
    LORA_ERR_KINDS
};
const char *lora_err_words(enum lora_err err);          /* never NULL */

/* ------------------------------------------------------------------ versions */

enum lora_version { LORAWAN_1_0_0, LORAWAN_1_0_1, LORAWAN_1_0_2, LORAWAN_1_0_3, LORAWAN_1_0_4, LORAWAN_1_1, LORA_VERSIONS };
/* "1.0.3", "1.1", "1.1.0", "1.0" (which is 1.0.0). False: none of them. */
bool lora_version_read(enum lora_version *out, struct str text);
struct str lora_version_str(enum lora_version version);

/* ------------------------------------------------------------------ frames */

enum lora_mtype {
    MTYPE_JOIN_REQUEST, MTYPE_JOIN_ACCEPT, MTYPE_DATA_UP, MTYPE_DATA_DOWN,
    MTYPE_CONFIRMED_UP, MTYPE_CONFIRMED_DOWN, MTYPE_REJOIN_REQUEST, MTYPE_PROPRIETARY
};
enum lora_dir { LORA_UP, LORA_DOWN };

enum {
    LORA_AIR_MAX   = 255,       /* PHYPayload bytes a LoRa header can announce */
    LORA_MIC_SIZE  = 4,
    LORA_FHDR_MIN  = 7,         /* DevAddr, FCtrl, FCnt */
    LORA_FOPTS_MAX = 15,
    LORA_PAYLOAD_MAX = 242,     /* FRMPayload of any data rate without FOpts */
    LORA_JOIN_REQUEST_SIZE = 23,
    LORA_JOIN_ACCEPT_SIZE  = 17,    /* 33 with a CFList */
    LORA_CFLIST_SIZE = 16,
};

/* FCtrl (1.0.x §4.3.1): 0x40 and 0x10 mean one thing up and another down. */
enum {
    FCTRL_ADR         = 0x80,
    FCTRL_ADR_ACK_REQ = 0x40,   /* up; RFU down */
    FCTRL_ACK         = 0x20,
    FCTRL_CLASS_B     = 0x10,   /* up */
    FCTRL_FPENDING    = 0x10,   /* down */
    FCTRL_FOPTS_LEN   = 0x0F,
};

enum {
    FPORT_NONE      = -1,
    FPORT_MAC       = 0,
    FPORT_MULTICAST = 200,      /* TS005 */
    FPORT_FRAGMENT  = 201,      /* TS004 */
    FPORT_CLOCK     = 202,      /* TS003 */
    FPORT_TEST      = 224,
    FPORT_RELAY     = 226,      /* TS011 */
};

/* The kind of a frame by its first byte. LORA_TRUNCATED when there is none, LORA_BAD_MAJOR. */
enum lora_err lora_mtype_of(enum lora_mtype *out, struct bytes phy);
const char *lora_mtype_words(enum lora_mtype mtype);    /* "UnconfirmedDataUp" … */
static inline bool lora_mtype_is_data(enum lora_mtype m)
{
    return m >= MTYPE_DATA_UP && m <= MTYPE_CONFIRMED_DOWN;
}
static inline bool lora_mtype_is_confirmed(enum lora_mtype m)
{
    return m == MTYPE_CONFIRMED_UP || m == MTYPE_CONFIRMED_DOWN;
}
/* Of a data frame. */
static inline enum lora_dir lora_mtype_dir(enum lora_mtype m)
{
    return m == MTYPE_DATA_DOWN || m == MTYPE_CONFIRMED_DOWN ? LORA_DOWN : LORA_UP;
}

/*
 * A data frame as it stands in the air (LoRaWAN 1.0.x, chapter 4; little-endian):
 *
 *     | 1    | 4       | 1     | 2    | 0..15 | 0..1  | 0..242     | 4   |  bytes
 *     | MHDR | DevAddr | FCtrl | FCnt | FOpts | FPort | FRMPayload | MIC |
 *
 * The views borrow the bytes that were parsed.
 */
struct lora_frame {
    enum lora_mtype mtype;
    u8           mhdr_rfu;      /* bits 4..2 of MHDR, which receivers ignore and the MIC covers */
    u8           fctrl;         /* as on air; build takes the low nibble from fopts.n instead */
    u16          fcnt_low;      /* low half of the 32-bit counter; see lora_fcnt_extend() */
    i16          fport;         /* 0..255, or FPORT_NONE: the frame carries no port */
    u32          devaddr;
    struct bytes fopts;         /* encrypted in 1.1 */
    struct bytes payload;       /* still encrypted */
    u32          mic;
    struct bytes signed_part;   /* after parse: what the MIC covers; build ignores it */
};
enum lora_err lora_frame_parse(struct lora_frame *out, struct bytes phy);
/* Writes the frame with the bytes and the MIC it is given; lora_frame_seal() makes them. */
enum lora_err lora_frame_build(struct buf *out, const struct lora_frame *f);

/* The low half comes from the air, the high half from memory: the least counter >= `seen` that ends
 * in `low`. A repetition stays itself; an old frame lands 65,536 ahead, where its MIC fails. */
u32 lora_fcnt_extend(u32 seen, u16 low);

/* | MHDR | JoinEUI 8 | DevEUI 8 | DevNonce 2 | MIC 4 |, 23 bytes */
struct lora_join_request {
    u8           mhdr_rfu;
    u16          dev_nonce;
    u64          join_eui, dev_eui;
    u32          mic;
    struct bytes signed_part;
};
enum lora_err lora_join_request_parse(struct lora_join_request *out, struct bytes phy);
enum lora_err lora_join_request_build(struct buf *out, const struct lora_join_request *r);

/*
 * The decrypted join-accept:
 * | MHDR | JoinNonce 3 | NetID 3 | DevAddr 4 | DLSettings 1 | RxDelay 1 | CFList 0 or 16 | MIC 4 |
 * On air all but MHDR is AES-*decrypted*, so that devices need encryption only.
 */
struct lora_join_accept {
    u8           mhdr_rfu;
    bool         opt_neg;       /* 1.1: the session is 1.1, the MIC is JSIntKey's */
    u8           rx1_dr_offset, rx2_dr;
    u8           rx_delay;      /* s in the low nibble; 0 means 1 s */
    bool         has_cflist;
    u32          join_nonce, net_id, devaddr;
    u8           cflist[LORA_CFLIST_SIZE];
    u32          mic;
    struct bytes signed_part;
};
enum lora_err lora_join_accept_parse(struct lora_join_accept *out, struct bytes decrypted);
enum lora_err lora_join_accept_build(struct buf *out, const struct lora_join_accept *a);

/*
 * Rejoin-request (1.1 §6.2.4):
 * types 0 and 2  | MHDR | type | NetID 3   | DevEUI 8 | RJcount0 2 | MIC 4 |, 19 bytes, SNwkSIntKey
 * type 1         | MHDR | type | JoinEUI 8 | DevEUI 8 | RJcount1 2 | MIC 4 |, 24 bytes, JSIntKey
 */
struct lora_rejoin {
    u8           mhdr_rfu;
    u8           type;          /* 0, 1, 2 */
    u16          rj_count;
    u32          net_id;        /* types 0 and 2 */
    u64          join_eui;      /* type 1 */
    u64          dev_eui;
    u32          mic;
    struct bytes signed_part;
};
enum lora_err lora_rejoin_parse(struct lora_rejoin *out, struct bytes phy);
enum lora_err lora_rejoin_build(struct buf *out, const struct lora_rejoin *r);

/* MHDR and whatever its owner likes; the body borrows. */
enum lora_err lora_proprietary_parse(struct bytes *body, struct bytes phy);
enum lora_err lora_proprietary_build(struct buf *out, struct bytes body);

/* CFList (RP002): type 0 names up to five frequencies, type 1 channel masks of 16. */
struct lora_cflist {
    u8  type;
    u32 freq_hz[5];             /* type 0; 0 is an unused place */
    u16 ch_mask[6];             /* type 1 */
};
enum lora_err lora_cflist_parse(struct lora_cflist *out, const u8 in[LORA_CFLIST_SIZE]);
enum lora_err lora_cflist_build(u8 out[LORA_CFLIST_SIZE], const struct lora_cflist *c);

/* The 24-bit frequency of commands and CFLists: 100 Hz steps, 200 Hz steps from 2.4 GHz up. No band
 * lies between 1.2 and 2.4 GHz, so the coded value says which. */
u32 lora_freq_hz(u32 coded);
u32 lora_freq_coded(u32 hz);

/* Relay TS011 on port 226: the served device's frame and how the relay heard it. */
struct lora_relay_uplink {
    u8           dr;
    u8           wor_channel;   /* 0 default, 1 second */
    i16          snr_db;        /* -20..11 */
    i16          rssi_dbm;      /* -142..-15 */
    u32          freq_hz;
    struct bytes phy;
};
enum lora_err lora_relay_uplink_parse(struct lora_relay_uplink *out, struct bytes payload);
enum lora_err lora_relay_uplink_build(struct buf *out, const struct lora_relay_uplink *r);
/* ForwardDownlinkReq is the device's frame and nothing else: at least an MHDR. */
enum lora_err lora_relay_downlink_parse(struct bytes *phy, struct bytes payload);
enum lora_err lora_relay_downlink_build(struct buf *out, struct bytes phy);

/* ------------------------------------------------------------------ NetID and DevAddr */

/* NetID: 3 bits of type, then the NwkID. DevAddr: type + 1 bits of prefix, NwkID, NwkAddr. */
u8   lora_net_id_type(u32 net_id);
/* The fixed part of every DevAddr of this network, and its length in bits (7 … 25). */
void lora_devaddr_prefix(u32 *prefix, u8 *bits, u32 net_id);
/* How many addresses the network may give away: 2^25 … 2^7. */
u32  lora_devaddr_room(u32 net_id);
/* The number-th address of the network; numbers beyond its room wrap. */
u32  lora_devaddr_make(u32 net_id, u32 number);
bool lora_devaddr_is_of(u32 devaddr, u32 net_id);
/* The NwkID inside a DevAddr and the NetID type; false for the reserved type 8 (11111111…). */
bool lora_devaddr_nwk_id(u32 *nwk_id, u8 *type, u32 devaddr);

/* ------------------------------------------------------------------ keys */

/*
 * An expanded AES-128 key: an OpenSSL ECB context (about 650 bytes on OpenSSL's heap) and the two
 * CMAC subkeys. A zeroed struct is an empty key. Setting a set key reuses its context. One thread
 * at a time. Clear wipes and gives back; raw bytes are the caller's to wipe (lora_wipe).
 */
struct lora_key { void *ecb; u8 k1[16], k2[16]; };
void lora_key_set(struct lora_key *k, const u8 raw[16]);
void lora_key_clear(struct lora_key *k);
static inline bool lora_key_is_set(const struct lora_key *k) { return k->ecb != NULL; }
void lora_wipe(void *p, size_t n);                      /* zeroing the compiler may not leave out */

void lora_aes(u8 out[16], const struct lora_key *k, const u8 in[16]);
/* AES-CMAC (RFC 4493) of prefix ‖ msg; the prefix (a B0 block) may be NULL. */
void lora_cmac(u8 out[16], const struct lora_key *k, const u8 prefix[16], struct bytes msg);

/* RFC 3394. KEK of 16, 24 or 32 bytes; plain of 16..64 bytes in eights; `out` holds plain.n + 8. */
bool lora_key_wrap(u8 *out, struct bytes kek, struct bytes plain);
/* `out` holds wrapped.n - 8. False, and out wiped: wrong KEK, damaged, an impossible length. */
bool lora_key_unwrap(u8 *out, struct bytes kek, struct bytes wrapped);

/* ------------------------------------------------------------------ MIC and encryption */

/* `msg` is MHDR … FRMPayload, the frame without its MIC. */
u32 lora_mic_up(const struct lora_key *nwk_s, struct bytes msg, u32 devaddr, u32 fcnt);
u32 lora_mic_down(const struct lora_key *nwk_s, struct bytes msg, u32 devaddr, u32 fcnt);

/* What only a 1.1 MIC covers. `conf_fcnt` counts only in a frame with ACK set. */
struct lora_mic_terms {
    u16 conf_fcnt;              /* low half of the counter of the frame that is acknowledged */
    u8  tx_dr, tx_ch;           /* uplink only: as the copy was heard */
};
u32 lora_mic_up_1_1(const struct lora_key *f_nwk_s_int, const struct lora_key *s_nwk_s_int,
                    struct bytes msg, u32 devaddr, u32 fcnt, struct lora_mic_terms terms);
u32 lora_mic_down_1_1(const struct lora_key *s_nwk_s_int, struct bytes msg, u32 devaddr, u32 fcnt,
                      u16 conf_fcnt);
/* Join-request (AppKey or NwkKey), rejoin-request, join-accept of 1.0: CMAC over the bytes. */
u32 lora_mic_plain(const struct lora_key *k, struct bytes msg);
/* Join-accept with OptNeg: JSIntKey over JoinReqType ‖ JoinEUI ‖ DevNonce ‖ msg. */
enum { JOIN_REQ_TYPE_JOIN = 0xFF };      /* a rejoin: its type 0, 1, 2 */
struct lora_join_terms {
    u8  join_req_type;
    u16 dev_nonce;              /* RJcount for a rejoin */
    u64 join_eui;
};
u32 lora_mic_join_accept_1_1(const struct lora_key *js_int, struct bytes msg,
                             struct lora_join_terms terms);

/* CTR with A-blocks: byte 4 is 0 for FRMPayload, 1 or 2 for FOpts of 1.1 (errata). Its own mirror;
 * `out` holds in.n and may be the same memory as in.p. */
enum lora_crypt { LORA_CRYPT_PAYLOAD = 0, LORA_CRYPT_FOPTS = 1, LORA_CRYPT_FOPTS_AFCNT = 2 };
void lora_crypt(u8 *out, const struct lora_key *k, enum lora_crypt what, enum lora_dir dir,
                u32 devaddr, u32 fcnt, struct bytes in);

/*
 * One session's keys, expanded. 1.0.x: the three network keys are one and the same NwkSKey, and
 * may be the same pointer. `app_s` NULL: the payload of ports above 0 stays as it is (an AppSKey
 * held elsewhere). A multicast group is a 1.0 session with McNwkSKey and McAppSKey.
 */
struct lora_session {
    bool v1_1;
    const struct lora_key *f_nwk_s_int, *s_nwk_s_int, *nwk_s_enc, *app_s;
};
bool lora_frame_verify(const struct lora_frame *f, const struct lora_session *s, u32 fcnt,
                       struct lora_mic_terms terms);
/* Decrypts fopts and payload of `air` into `room`; *plain is `air` with its views in `room`.
 * In 1.1 `fcnt` is NFCntDown or AFCntDown for downlinks, whichever the frame counts with. */
void lora_frame_open(struct lora_frame *plain, u8 room[LORA_AIR_MAX], const struct lora_frame *air,
                     const struct lora_session *s, u32 fcnt);
/* Encrypts fopts and payload, sets fcnt_low and the MIC, writes the whole frame. The mirror of
 * verify and open. `f` holds plain text and is left alone. */
enum lora_err lora_frame_seal(struct buf *out, const struct lora_frame *f,
                              const struct lora_session *s, u32 fcnt, struct lora_mic_terms terms);

/* Build with the MIC that the key makes. */
enum lora_err lora_join_request_seal(struct buf *out, const struct lora_join_request *r,
                                     const struct lora_key *k);
enum lora_err lora_rejoin_seal(struct buf *out, const struct lora_rejoin *r,
                               const struct lora_key *k);
/* Join-accept: `mic_key` is AppKey (1.0) or JSIntKey (1.1, opt_neg set); `crypt_key` is AppKey,
 * NwkKey, or JSEncKey for the answer to a rejoin; raw, as this is AES decryption. `terms`: 1.1. */
enum lora_err lora_join_accept_seal(struct buf *out, const struct lora_join_accept *a,
                                    const struct lora_key *mic_key, const u8 crypt_key[16],
                                    struct lora_join_terms terms);
/* The device's side: decrypts into `room` and parses; the MIC is checked by lora_join_accept_verify
 * because its key depends on OptNeg. */
enum lora_err lora_join_accept_open(struct lora_join_accept *out, u8 room[LORA_AIR_MAX],
                                    struct bytes phy, const struct lora_key *crypt_key);
bool lora_join_accept_verify(const struct lora_join_accept *a, const struct lora_key *mic_key,
                             struct lora_join_terms terms);

/* ------------------------------------------------------------------ key derivation */

/* Raw session keys. 1.0.x: the three network keys are equal (NwkSKey). */
struct lora_session_raw { u8 f_nwk_s_int[16], s_nwk_s_int[16], nwk_s_enc[16], app_s[16]; };
void lora_derive_session(struct lora_session_raw *out, const struct lora_key *app_key,
                         u32 join_nonce, u32 net_id, u16 dev_nonce);
void lora_derive_session_1_1(struct lora_session_raw *out, const struct lora_key *nwk_key,
                             const struct lora_key *app_key, u32 join_nonce, u64 join_eui,
                             u16 dev_nonce);
void lora_derive_js_int(u8 out[16], const struct lora_key *nwk_key, u64 dev_eui);
void lora_derive_js_enc(u8 out[16], const struct lora_key *nwk_key, u64 dev_eui);
/* Multicast (TS005 §4): McRootKey from GenAppKey (1.0.x) or AppKey (1.1), then McKEKey. */
void lora_derive_mc_root(u8 out[16], const struct lora_key *gen_app_key);
void lora_derive_mc_root_1_1(u8 out[16], const struct lora_key *app_key);
void lora_derive_mc_ke(u8 out[16], const struct lora_key *mc_root);
void lora_derive_mc_app_s(u8 out[16], const struct lora_key *mc_key, u32 mc_addr);
void lora_derive_mc_nwk_s(u8 out[16], const struct lora_key *mc_key, u32 mc_addr);
/* McKey as McGroupSetupReq carries it: AES decryption, so the McKEKey is raw. */
void lora_mc_key_encrypt(u8 out[16], const u8 mc_ke[16], const u8 mc_key[16]);
/* Relay wake-on-radio (TS011): root from NwkSEncKey (NwkSKey in 1.0.x), then per device. */
void lora_derive_root_wor_s(u8 out[16], const struct lora_key *nwk_s_enc);
void lora_derive_wor_s_int(u8 out[16], const struct lora_key *root_wor_s, u32 devaddr);
void lora_derive_wor_s_enc(u8 out[16], const struct lora_key *root_wor_s, u32 devaddr);

/* ------------------------------------------------------------------ MAC commands */

/*
 * One list makes the structs, the parsers, the builders and the words. A field is
 *     F(T, name, kind, first bit, bits)
 * counted from the first byte after the CID, least significant bit first. Bits in no field are RFU:
 * written 0, ignored when read. One list of commands stands below the fields.
 *     NUM unsigned   FLAG bool   INT two's complement   HZ 24-bit frequency   HEX a mask
 *     ADDR DevAddr   CLASS 0 A, 2 C   SNR raw - 20 dB   RSSI -15 - raw dBm   BYTES wire order
 *     KEY is BYTES that are never printed
 * Only as the last field, a tail: BYTES of 0 bits, as many as the field before says; REST, all that
 * is left; GROUPS, 5 bytes for each bit of the field before; OPT, absent (-1) when a FLAG is set.
 */
#define FIELDS_minor(F, T) F(T, minor, NUM, 0, 4)
#define FIELDS_reset_ind FIELDS_minor
#define FIELDS_reset_conf FIELDS_minor
#define FIELDS_rekey_ind FIELDS_minor
#define FIELDS_rekey_conf FIELDS_minor
#define FIELDS_link_check_ans(F, T) F(T, margin_db, NUM, 0, 8) F(T, gw_cnt, NUM, 8, 8)
#define FIELDS_link_adr_req(F, T) \
    F(T, data_rate, NUM, 4, 4) F(T, tx_power, NUM, 0, 4) F(T, ch_mask, HEX, 8, 16) \
    F(T, ch_mask_cntl, NUM, 28, 3) F(T, nb_trans, NUM, 24, 4)
#define FIELDS_link_adr_ans(F, T) \
    F(T, channel_mask_ack, FLAG, 0, 1) F(T, data_rate_ack, FLAG, 1, 1) \
    F(T, power_ack, FLAG, 2, 1)
#define FIELDS_duty_cycle_req(F, T) F(T, max_duty_cycle, NUM, 0, 4)
#define FIELDS_rx_param_setup_req(F, T) \
    F(T, rx1_dr_offset, NUM, 4, 3) F(T, rx2_data_rate, NUM, 0, 4) F(T, frequency_hz, HZ, 8, 24)
#define FIELDS_rx_param_setup_ans(F, T) \
    F(T, channel_ack, FLAG, 0, 1) F(T, rx2_data_rate_ack, FLAG, 1, 1) \
    F(T, rx1_dr_offset_ack, FLAG, 2, 1)
#define FIELDS_dev_status_ans(F, T) F(T, battery, NUM, 0, 8) F(T, margin_db, INT, 8, 6)
#define FIELDS_new_channel_req(F, T) \
    F(T, ch_index, NUM, 0, 8) F(T, frequency_hz, HZ, 8, 24) F(T, max_dr, NUM, 36, 4) \
    F(T, min_dr, NUM, 32, 4)
#define FIELDS_new_channel_ans(F, T) \
    F(T, channel_frequency_ok, FLAG, 0, 1) F(T, data_rate_range_ok, FLAG, 1, 1)
#define FIELDS_rx_timing_setup_req(F, T) F(T, delay_s, NUM, 0, 4)
#define FIELDS_tx_param_setup_req(F, T) \
    F(T, max_eirp_index, NUM, 0, 4) F(T, uplink_dwell_400ms, FLAG, 4, 1) \
    F(T, downlink_dwell_400ms, FLAG, 5, 1)
#define FIELDS_dl_channel_req(F, T) F(T, ch_index, NUM, 0, 8) F(T, frequency_hz, HZ, 8, 24)
#define FIELDS_dl_channel_ans(F, T) \
    F(T, channel_frequency_ok, FLAG, 0, 1) F(T, uplink_frequency_exists, FLAG, 1, 1)
#define FIELDS_adr_param_setup_req(F, T) F(T, limit_exp, NUM, 4, 4) F(T, delay_exp, NUM, 0, 4)
#define FIELDS_device_time_ans(F, T) \
    F(T, gps_seconds, NUM, 0, 32) F(T, fraction_1_256s, NUM, 32, 8)
#define FIELDS_force_rejoin_req(F, T) \
    F(T, period, NUM, 11, 3) F(T, max_retries, NUM, 8, 3) F(T, rejoin_type, NUM, 4, 3) \
    F(T, data_rate, NUM, 0, 4)
#define FIELDS_rejoin_param_setup_req(F, T) \
    F(T, max_time_n, NUM, 4, 4) F(T, max_count_n, NUM, 0, 4)
#define FIELDS_rejoin_param_setup_ans(F, T) F(T, time_ok, FLAG, 0, 1)
#define FIELDS_ping_slot_info_req(F, T) F(T, periodicity, NUM, 0, 3)
#define FIELDS_ping_slot_channel_req(F, T) \
    F(T, frequency_hz, HZ, 0, 24) F(T, data_rate, NUM, 24, 4)
#define FIELDS_ping_slot_channel_ans(F, T) \
    F(T, channel_frequency_ok, FLAG, 0, 1) F(T, data_rate_ok, FLAG, 1, 1)
#define FIELDS_beacon_timing_ans(F, T) F(T, delay_30ms, NUM, 0, 16) F(T, channel, NUM, 16, 8)
#define FIELDS_beacon_freq_req(F, T) F(T, frequency_hz, HZ, 0, 24)
#define FIELDS_beacon_freq_ans(F, T) F(T, beacon_frequency_ok, FLAG, 0, 1)
#define FIELDS_device_mode(F, T) F(T, class, CLASS, 0, 8)
#define FIELDS_device_mode_ind FIELDS_device_mode
#define FIELDS_device_mode_conf FIELDS_device_mode
#define FIELDS_relay_conf_req(F, T) \
    F(T, start_stop, NUM, 13, 1) F(T, cad_periodicity, NUM, 10, 3) \
    F(T, default_ch_idx, NUM, 9, 1) F(T, second_ch_idx, NUM, 7, 2) F(T, second_ch_dr, NUM, 3, 4) \
    F(T, second_ch_ack_offset, NUM, 0, 3) F(T, second_ch_freq_hz, HZ, 16, 24)
#define FIELDS_relay_conf_ans(F, T) \
    F(T, second_ch_freq_ack, FLAG, 0, 1) F(T, second_ch_ack_offset_ack, FLAG, 1, 1) \
    F(T, second_ch_dr_ack, FLAG, 2, 1) F(T, second_ch_idx_ack, FLAG, 3, 1) \
    F(T, default_ch_idx_ack, FLAG, 4, 1) F(T, cad_periodicity_ack, FLAG, 5, 1)
#define FIELDS_end_device_conf_req(F, T) \
    F(T, relay_mode_activation, NUM, 2, 2) F(T, smart_enable_level, NUM, 0, 2) \
    F(T, backoff, NUM, 17, 6) F(T, second_ch_idx, NUM, 15, 2) F(T, second_ch_dr, NUM, 11, 4) \
    F(T, second_ch_ack_offset, NUM, 8, 3) F(T, second_ch_freq_hz, HZ, 24, 24)
#define FIELDS_end_device_conf_ans(F, T) \
    F(T, second_ch_freq_ack, FLAG, 0, 1) F(T, second_ch_dr_ack, FLAG, 1, 1) \
    F(T, second_ch_idx_ack, FLAG, 2, 1) F(T, backoff_ack, FLAG, 3, 1)
/* Order of JoinEUI and DevEUI inside filter_list_eui: unverified (reference §9). */
#define FIELDS_filter_list_req(F, T) \
    F(T, filter_list_idx, NUM, 7, 4) F(T, filter_list_action, NUM, 5, 2) \
    F(T, filter_list_len, NUM, 0, 5) F(T, filter_list_eui, BYTES, 16, 0)
#define FIELDS_filter_list_ans(F, T) \
    F(T, filter_list_action_ack, FLAG, 0, 1) F(T, filter_list_len_ack, FLAG, 1, 1) \
    F(T, combined_rules_ack, FLAG, 2, 1)
#define FIELDS_update_uplink_list_req(F, T) \
    F(T, uplink_list_idx, NUM, 0, 4) F(T, reload_rate, NUM, 8, 6) F(T, bucket_size, NUM, 14, 2) \
    F(T, devaddr, ADDR, 16, 32) F(T, w_fcnt, NUM, 48, 32) F(T, root_wor_s_key, KEY, 80, 128)
#define FIELDS_ctrl_uplink_list_req(F, T) \
    F(T, uplink_list_idx, NUM, 0, 4) F(T, ctrl_uplink_action, NUM, 4, 1)
#define FIELDS_ctrl_uplink_list_ans(F, T) \
    F(T, uplink_list_idx_ack, FLAG, 0, 1) F(T, w_fcnt, NUM, 8, 32)
#define FIELDS_configure_fwd_limit_req(F, T) \
    F(T, overall_reload_rate, NUM, 0, 7) F(T, global_uplink_reload_rate, NUM, 7, 7) \
    F(T, notify_reload_rate, NUM, 14, 7) F(T, join_req_reload_rate, NUM, 21, 7) \
    F(T, reset_limit_counter, NUM, 28, 2) F(T, overall_limit_size, NUM, 32, 2) \
    F(T, global_uplink_limit_size, NUM, 34, 2) F(T, notify_limit_size, NUM, 36, 2) \
    F(T, join_req_limit_size, NUM, 38, 2)
#define FIELDS_notify_new_end_device_req(F, T) \
    F(T, devaddr, ADDR, 0, 32) F(T, wor_snr_db, SNR, 32, 5) F(T, wor_rssi_dbm, RSSI, 37, 7)

/*
 *    CID   direction  bytes  since       name, struct (its fields are FIELDS_struct)
 *    `bytes` do not count the CID. Empty commands have no struct: lora_command_build(…, NULL).
 */
#define LORA_COMMANDS(X, E) \
    X(0x01, UP,    1, SINCE_1_1, "ResetInd",              reset_ind) \
    X(0x01, DOWN,  1, SINCE_1_1, "ResetConf",             reset_conf) \
    E(0x02, UP,    0, SINCE_1_0, "LinkCheckReq") \
    X(0x02, DOWN,  2, SINCE_1_0, "LinkCheckAns",          link_check_ans) \
    X(0x03, DOWN,  4, SINCE_1_0, "LinkADRReq",            link_adr_req) \
    X(0x03, UP,    1, SINCE_1_0, "LinkADRAns",            link_adr_ans) \
    X(0x04, DOWN,  1, SINCE_1_0, "DutyCycleReq",          duty_cycle_req) \
    E(0x04, UP,    0, SINCE_1_0, "DutyCycleAns") \
    X(0x05, DOWN,  4, SINCE_1_0, "RXParamSetupReq",       rx_param_setup_req) \
    X(0x05, UP,    1, SINCE_1_0, "RXParamSetupAns",       rx_param_setup_ans) \
    E(0x06, DOWN,  0, SINCE_1_0, "DevStatusReq") \
    X(0x06, UP,    2, SINCE_1_0, "DevStatusAns",          dev_status_ans) \
    X(0x07, DOWN,  5, SINCE_1_0, "NewChannelReq",         new_channel_req) \
    X(0x07, UP,    1, SINCE_1_0, "NewChannelAns",         new_channel_ans) \
    X(0x08, DOWN,  1, SINCE_1_0, "RXTimingSetupReq",      rx_timing_setup_req) \
    E(0x08, UP,    0, SINCE_1_0, "RXTimingSetupAns") \
    X(0x09, DOWN,  1, SINCE_1_0, "TxParamSetupReq",       tx_param_setup_req) \
    E(0x09, UP,    0, SINCE_1_0, "TxParamSetupAns") \
    X(0x0A, DOWN,  4, SINCE_1_0, "DlChannelReq",          dl_channel_req) \
    X(0x0A, UP,    1, SINCE_1_0, "DlChannelAns",          dl_channel_ans) \
    X(0x0B, UP,    1, SINCE_1_1, "RekeyInd",              rekey_ind) \
    X(0x0B, DOWN,  1, SINCE_1_1, "RekeyConf",             rekey_conf) \
    X(0x0C, DOWN,  1, SINCE_1_1, "ADRParamSetupReq",      adr_param_setup_req) \
    E(0x0C, UP,    0, SINCE_1_1, "ADRParamSetupAns") \
    E(0x0D, UP,    0, SINCE_1_0, "DeviceTimeReq") \
    X(0x0D, DOWN,  5, SINCE_1_0, "DeviceTimeAns",         device_time_ans) \
    X(0x0E, DOWN,  2, SINCE_1_1, "ForceRejoinReq",        force_rejoin_req) \
    X(0x0F, DOWN,  1, SINCE_1_1, "RejoinParamSetupReq",   rejoin_param_setup_req) \
    X(0x0F, UP,    1, SINCE_1_1, "RejoinParamSetupAns",   rejoin_param_setup_ans) \
    X(0x10, UP,    1, CLASS_B,   "PingSlotInfoReq",       ping_slot_info_req) \
    E(0x10, DOWN,  0, CLASS_B,   "PingSlotInfoAns") \
    X(0x11, DOWN,  4, CLASS_B,   "PingSlotChannelReq",    ping_slot_channel_req) \
    X(0x11, UP,    1, CLASS_B,   "PingSlotChannelAns",    ping_slot_channel_ans) \
    E(0x12, UP,    0, CLASS_B,   "BeaconTimingReq") \
    X(0x12, DOWN,  3, CLASS_B,   "BeaconTimingAns",       beacon_timing_ans) \
    X(0x13, DOWN,  3, CLASS_B,   "BeaconFreqReq",         beacon_freq_req) \
    X(0x13, UP,    1, CLASS_B,   "BeaconFreqAns",         beacon_freq_ans) \
    X(0x20, UP,    1, SINCE_1_1, "DeviceModeInd",         device_mode_ind) \
    X(0x20, DOWN,  1, SINCE_1_1, "DeviceModeConf",        device_mode_conf) \
    X(0x40, DOWN,  5, RELAY,     "RelayConfReq",          relay_conf_req) \
    X(0x40, UP,    1, RELAY,     "RelayConfAns",          relay_conf_ans) \
    X(0x41, DOWN,  6, RELAY,     "EndDeviceConfReq",      end_device_conf_req) \
    X(0x41, UP,    1, RELAY,     "EndDeviceConfAns",      end_device_conf_ans) \
    X(0x42, DOWN,  2, RELAY,     "FilterListReq",         filter_list_req) \
    X(0x42, UP,    1, RELAY,     "FilterListAns",         filter_list_ans) \
    X(0x43, DOWN, 26, RELAY,     "UpdateUplinkListReq",   update_uplink_list_req) \
    E(0x43, UP,    0, RELAY,     "UpdateUplinkListAns") \
    X(0x44, DOWN,  1, RELAY,     "CtrlUplinkListReq",     ctrl_uplink_list_req) \
    X(0x44, UP,    5, RELAY,     "CtrlUplinkListAns",     ctrl_uplink_list_ans) \
    X(0x45, DOWN,  5, RELAY,     "ConfigureFwdLimitReq",  configure_fwd_limit_req) \
    E(0x45, UP,    0, RELAY,     "ConfigureFwdLimitAns") \
    X(0x46, UP,    6, RELAY,     "NotifyNewEndDeviceReq", notify_new_end_device_req)

enum {
    CID_RESET = 0x01, CID_LINK_CHECK, CID_LINK_ADR, CID_DUTY_CYCLE, CID_RX_PARAM_SETUP,
    CID_DEV_STATUS, CID_NEW_CHANNEL, CID_RX_TIMING_SETUP, CID_TX_PARAM_SETUP, CID_DL_CHANNEL,
    CID_REKEY, CID_ADR_PARAM_SETUP, CID_DEVICE_TIME, CID_FORCE_REJOIN, CID_REJOIN_PARAM_SETUP,
    CID_PING_SLOT_INFO, CID_PING_SLOT_CHANNEL, CID_BEACON_TIMING, CID_BEACON_FREQ,
    CID_DEVICE_MODE = 0x20,
    CID_RELAY_CONF = 0x40, CID_END_DEVICE_CONF, CID_FILTER_LIST, CID_UPDATE_UPLINK_LIST,
    CID_CTRL_UPLINK_LIST, CID_CONFIGURE_FWD_LIMIT, CID_NOTIFY_NEW_END_DEVICE,
};

enum lora_since { SINCE_1_0, SINCE_1_1, CLASS_B, RELAY };
enum lora_field_kind {
    LORA_NUM, LORA_FLAG, LORA_INT, LORA_HZ, LORA_HEX, LORA_ADDR, LORA_CLASS, LORA_SNR, LORA_RSSI,
    LORA_BYTES, LORA_KEY, LORA_REST, LORA_GROUPS, LORA_OPT
};
enum { LORA_FIELDS_MAX = 11, LORA_COMMAND_MAX = 27 };   /* of a MAC command, the CID counted */

struct lora_field {
    const char *name;           /* NULL after the last */
    u8  kind;                   /* enum lora_field_kind */
    u8  bits;                   /* 0: a tail */
    u16 first_bit;
    u16 member;                 /* offset in the command's struct */
};
struct lora_command_kind {
    const char *name, *tag;     /* tag: the struct's name without lora_; NULL without fields */
    u8 cid, dir, size, since;   /* size without the CID and the tail */
    u16 struct_size;
    struct lora_field field[LORA_FIELDS_MAX + 1];
};
struct lora_command {
    const struct lora_command_kind *kind;
    struct bytes body;          /* without the CID; borrowed */
};

/* NULL: unknown. */
const struct lora_command_kind *lora_command_kind(enum lora_dir dir, u8 cid);
const struct lora_command_kind *lora_command_by_name(struct str name);      /* any case */
/* The next command of FOpts or of a port 0 payload. False at the end, and at a command that is
 * unknown or cut off: then c->bad is set, and what follows cannot be read. */
bool lora_command_next(struct lora_command *out, struct cur *c, enum lora_dir dir);
/* Fills / writes the command's struct; the typed pairs below are made of these. A command that does
 * not fit is LORA_NO_ROOM and leaves the buffer as it was: the next one may be shorter. */
bool lora_command_parse(void *out, size_t struct_size, const struct lora_command *c);
enum lora_err lora_command_build(struct buf *out, enum lora_dir dir, u8 cid,
                                 const void *in, size_t struct_size);
enum lora_err lora_command_build_as(struct buf *out, const struct lora_command_kind *kind,
                                    const void *in, size_t struct_size);
/* A command without fields. */
static inline enum lora_err lora_command_build_empty(struct buf *out, enum lora_dir dir, u8 cid)
{
    return lora_command_build(out, dir, cid, NULL, 0);
}
/* One field as a number, by the table: for those who walk fields by name. False for bytes. */
bool lora_command_number(i64 *out, const struct lora_command *c, const struct lora_field *f);
struct bytes lora_command_bytes(const struct lora_command *c, const struct lora_field *f);
/* "LinkADRReq data_rate=5 tx_power=2 ch_mask=0x0007 ch_mask_cntl=0 nb_trans=1" */
void lora_command_text(struct text *out, const struct lora_command *c);
/* All of them, "; " between; what cannot be read as "? 80ff". */
void lora_commands_text(struct text *out, struct bytes commands, enum lora_dir dir);

/*
 * For every command with fields:
 *     struct lora_link_adr_req { u32 data_rate; … };
 *     bool lora_link_adr_req_parse(struct lora_link_adr_req *, const struct lora_command *);
 *     enum lora_err lora_link_adr_req_build(struct buf *, const struct lora_link_adr_req *);
 * parse is false when the command is another one; build refuses a value too large for its field.
 */
#define LORA_TYPE_NUM   u32
#define LORA_TYPE_FLAG  bool
#define LORA_TYPE_INT   i32
#define LORA_TYPE_HZ    u32
#define LORA_TYPE_HEX   u32
#define LORA_TYPE_ADDR  u32
#define LORA_TYPE_CLASS u32
#define LORA_TYPE_SNR   i32
#define LORA_TYPE_RSSI  i32
#define LORA_TYPE_BYTES struct bytes
#define LORA_TYPE_KEY   struct bytes
#define LORA_TYPE_REST  struct bytes
#define LORA_TYPE_GROUPS struct bytes
#define LORA_TYPE_OPT   i32
#define LORA_MEMBER(T, name, kind, first, bits) LORA_TYPE_##kind name;
#define LORA_PAIR(id, way, size, since, name, tag) \
    struct lora_##tag { FIELDS_##tag(LORA_MEMBER, tag) }; \
    static inline bool lora_##tag##_parse(struct lora_##tag *out, const struct lora_command *c) \
    { \
        return c->kind->cid == id && c->kind->dir == LORA_##way \
            && lora_command_parse(out, sizeof(*out), c); \
    } \
    static inline enum lora_err lora_##tag##_build(struct buf *out, const struct lora_##tag *in) \
    { \
        return lora_command_build(out, LORA_##way, id, in, sizeof(*in)); \
    }
#define LORA_NO_PAIR(id, way, size, since, name)
LORA_COMMANDS(LORA_PAIR, LORA_NO_PAIR)

/* ------------------------------------------------------------------ packages */

/*
 * The application layer packages use the same kind of list: TS003 clock synchronisation (port 202),
 * TS004 fragmentation (201), TS005 remote multicast setup (200), each in versions 1 and 2. A field
 * or command that differs between the versions has a struct of its own, _v1 or _v2.
 */
enum lora_package { PACKAGE_CLOCK, PACKAGE_FRAGMENT, PACKAGE_MULTICAST, LORA_PACKAGES };

#define FIELDS_package_version_ans(F, T) \
    F(T, package_identifier, NUM, 0, 8) F(T, package_version, NUM, 8, 8)
#define FIELDS_app_time_req(F, T) \
    F(T, device_time, NUM, 0, 32) F(T, token_req, NUM, 32, 4) F(T, ans_required, FLAG, 36, 1)
#define FIELDS_app_time_ans(F, T) F(T, time_correction, INT, 0, 32) F(T, token_ans, NUM, 32, 4)
#define FIELDS_app_time_periodicity_req(F, T) F(T, period, NUM, 0, 4)
#define FIELDS_app_time_periodicity_ans(F, T) \
    F(T, not_supported, FLAG, 0, 1) F(T, time, NUM, 8, 32)
#define FIELDS_force_resync_req(F, T) F(T, nb_transmissions, NUM, 0, 3)
#define FIELDS_frag_status_req(F, T) F(T, participants, FLAG, 0, 1) F(T, frag_index, NUM, 1, 2)
#define FIELDS_frag_status_ans_v1(F, T) \
    F(T, frag_index, NUM, 14, 2) F(T, nb_frag_received, NUM, 0, 14) F(T, missing_frag, NUM, 16, 8) \
    F(T, not_enough_matrix_memory, FLAG, 24, 1)
#define FIELDS_frag_status_ans_v2(F, T) \
    F(T, memory_error, FLAG, 0, 1) F(T, mic_error, FLAG, 1, 1) \
    F(T, session_does_not_exist, FLAG, 2, 1) F(T, frag_index, NUM, 22, 2) \
    F(T, nb_frag_received, NUM, 8, 14) F(T, missing_frag, NUM, 24, 8)
#define FIELDS_frag_setup_req_v1(F, T) \
    F(T, frag_index, NUM, 4, 2) F(T, mc_group_bit_mask, NUM, 0, 4) F(T, nb_frag, NUM, 8, 16) \
    F(T, frag_size, NUM, 24, 8) F(T, block_ack_delay, NUM, 32, 3) \
    F(T, fragmentation_matrix, NUM, 35, 3) F(T, padding, NUM, 40, 8) F(T, descriptor, BYTES, 48, 32)
#define FIELDS_frag_setup_req_v2(F, T) \
    F(T, frag_index, NUM, 4, 2) F(T, mc_group_bit_mask, NUM, 0, 4) F(T, nb_frag, NUM, 8, 16) \
    F(T, frag_size, NUM, 24, 8) F(T, block_ack_delay, NUM, 32, 3) F(T, frag_algo, NUM, 35, 3) \
    F(T, ack_reception, FLAG, 38, 1) F(T, padding, NUM, 40, 8) F(T, descriptor, BYTES, 48, 32) \
    F(T, session_cnt, NUM, 80, 16) F(T, mic, BYTES, 96, 32)
#define FIELDS_frag_setup_ans_v1(F, T) \
    F(T, encoding_unsupported, FLAG, 0, 1) F(T, not_enough_memory, FLAG, 1, 1) \
    F(T, frag_session_index_not_supported, FLAG, 2, 1) F(T, wrong_descriptor, FLAG, 3, 1) \
    F(T, frag_index, NUM, 6, 2)
#define FIELDS_frag_setup_ans_v2(F, T) \
    F(T, frag_algo_unsupported, FLAG, 0, 1) F(T, not_enough_memory, FLAG, 1, 1) \
    F(T, frag_index_unsupported, FLAG, 2, 1) F(T, wrong_descriptor, FLAG, 3, 1) \
    F(T, session_cnt_replay, FLAG, 4, 1) F(T, frag_index, NUM, 6, 2)
#define FIELDS_frag_delete_req(F, T) F(T, frag_index, NUM, 0, 2)
#define FIELDS_frag_delete_ans(F, T) \
    F(T, frag_index, NUM, 0, 2) F(T, session_does_not_exist, FLAG, 2, 1)
#define FIELDS_frag_block_received_req(F, T) F(T, frag_index, NUM, 0, 2) F(T, mic_error, FLAG, 2, 1)
#define FIELDS_frag_block_received_ans(F, T) F(T, frag_index, NUM, 0, 2)
#define FIELDS_data_fragment(F, T) \
    F(T, frag_index, NUM, 14, 2) F(T, n, NUM, 0, 14) F(T, data, REST, 16, 0)
#define FIELDS_mc_status_req(F, T) F(T, req_group_mask, NUM, 0, 4)
/* groups: | McGroupID 1 | McAddr 4 | for each */
#define FIELDS_mc_status_ans(F, T) \
    F(T, nb_total_groups, NUM, 4, 3) F(T, ans_group_mask, NUM, 0, 4) F(T, groups, GROUPS, 8, 0)
#define FIELDS_mc_setup_req(F, T) \
    F(T, mc_group_id, NUM, 0, 2) F(T, mc_addr, ADDR, 8, 32) F(T, mc_key_encrypted, KEY, 40, 128) \
    F(T, min_mc_f_count, NUM, 168, 32) F(T, max_mc_f_count, NUM, 200, 32)
#define FIELDS_mc_setup_ans(F, T) F(T, mc_group_id, NUM, 0, 2) F(T, id_error, FLAG, 2, 1)
#define FIELDS_mc_delete_req(F, T) F(T, mc_group_id, NUM, 0, 2)
#define FIELDS_mc_delete_ans(F, T) F(T, mc_group_id, NUM, 0, 2) F(T, mc_group_undefined, FLAG, 2, 1)
#define FIELDS_mc_class_c_req(F, T) \
    F(T, mc_group_id, NUM, 0, 2) F(T, session_time, NUM, 8, 32) F(T, session_timeout, NUM, 40, 4) \
    F(T, dl_frequency_hz, HZ, 48, 24) F(T, data_rate, NUM, 72, 8)
#define FIELDS_mc_class_b_req(F, T) \
    F(T, mc_group_id, NUM, 0, 2) F(T, session_time, NUM, 8, 32) F(T, periodicity, NUM, 44, 3) \
    F(T, session_timeout, NUM, 40, 4) F(T, dl_frequency_hz, HZ, 48, 24) F(T, data_rate, NUM, 72, 8)
#define FIELDS_mc_session_ans_v1(F, T) \
    F(T, mc_group_id, NUM, 0, 2) F(T, dr_error, FLAG, 2, 1) F(T, freq_error, FLAG, 3, 1) \
    F(T, mc_group_undefined, FLAG, 4, 1) F(T, time_to_start, OPT, 8, 24)
#define FIELDS_mc_session_ans_v2(F, T) \
    F(T, mc_group_id, NUM, 0, 2) F(T, dr_error, FLAG, 2, 1) F(T, freq_error, FLAG, 3, 1) \
    F(T, mc_group_undefined, FLAG, 4, 1) F(T, start_missed, FLAG, 5, 1) \
    F(T, time_to_start, OPT, 8, 24)

/* package, CID, direction, bytes, versions (a bit each), name, struct */
#define LORA_PACKAGE_COMMANDS(X, E) \
    E(CLOCK,     0x00, DOWN,  0, 3, "PackageVersionReq") \
    X(CLOCK,     0x00, UP,    2, 3, "PackageVersionAns",           package_version_ans) \
    X(CLOCK,     0x01, UP,    5, 3, "AppTimeReq",                  app_time_req) \
    X(CLOCK,     0x01, DOWN,  5, 3, "AppTimeAns",                  app_time_ans) \
    X(CLOCK,     0x02, DOWN,  1, 3, "DeviceAppTimePeriodicityReq", app_time_periodicity_req) \
    X(CLOCK,     0x02, UP,    5, 3, "DeviceAppTimePeriodicityAns", app_time_periodicity_ans) \
    X(CLOCK,     0x03, DOWN,  1, 1, "ForceDeviceResyncReq",        force_resync_req) \
    X(CLOCK,     0x03, DOWN,  1, 2, "ForceDeviceResyncCmd",        force_resync_req) \
    E(FRAGMENT,  0x00, DOWN,  0, 3, "PackageVersionReq") \
    X(FRAGMENT,  0x00, UP,    2, 3, "PackageVersionAns",           package_version_ans) \
    X(FRAGMENT,  0x01, DOWN,  1, 3, "FragSessionStatusReq",        frag_status_req) \
    X(FRAGMENT,  0x01, UP,    4, 1, "FragSessionStatusAns",        frag_status_ans_v1) \
    X(FRAGMENT,  0x01, UP,    4, 2, "FragSessionStatusAns",        frag_status_ans_v2) \
    X(FRAGMENT,  0x02, DOWN, 10, 1, "FragSessionSetupReq",         frag_setup_req_v1) \
    X(FRAGMENT,  0x02, DOWN, 16, 2, "FragSessionSetupReq",         frag_setup_req_v2) \
    X(FRAGMENT,  0x02, UP,    1, 1, "FragSessionSetupAns",         frag_setup_ans_v1) \
    X(FRAGMENT,  0x02, UP,    1, 2, "FragSessionSetupAns",         frag_setup_ans_v2) \
    X(FRAGMENT,  0x03, DOWN,  1, 3, "FragSessionDeleteReq",        frag_delete_req) \
    X(FRAGMENT,  0x03, UP,    1, 3, "FragSessionDeleteAns",        frag_delete_ans) \
    X(FRAGMENT,  0x04, UP,    1, 2, "FragDataBlockReceivedReq",    frag_block_received_req) \
    X(FRAGMENT,  0x04, DOWN,  1, 2, "FragDataBlockReceivedAns",    frag_block_received_ans) \
    X(FRAGMENT,  0x08, DOWN,  2, 3, "DataFragment",                data_fragment) \
    E(MULTICAST, 0x00, DOWN,  0, 3, "PackageVersionReq") \
    X(MULTICAST, 0x00, UP,    2, 3, "PackageVersionAns",           package_version_ans) \
    X(MULTICAST, 0x01, DOWN,  1, 3, "McGroupStatusReq",            mc_status_req) \
    X(MULTICAST, 0x01, UP,    1, 3, "McGroupStatusAns",            mc_status_ans) \
    X(MULTICAST, 0x02, DOWN, 29, 3, "McGroupSetupReq",             mc_setup_req) \
    X(MULTICAST, 0x02, UP,    1, 3, "McGroupSetupAns",             mc_setup_ans) \
    X(MULTICAST, 0x03, DOWN,  1, 3, "McGroupDeleteReq",            mc_delete_req) \
    X(MULTICAST, 0x03, UP,    1, 3, "McGroupDeleteAns",            mc_delete_ans) \
    X(MULTICAST, 0x04, DOWN, 10, 3, "McClassCSessionReq",          mc_class_c_req) \
    X(MULTICAST, 0x04, UP,    1, 1, "McClassCSessionAns",          mc_session_ans_v1) \
    X(MULTICAST, 0x04, UP,    1, 2, "McClassCSessionAns",          mc_session_ans_v2) \
    X(MULTICAST, 0x05, DOWN, 10, 3, "McClassBSessionReq",          mc_class_b_req) \
    X(MULTICAST, 0x05, UP,    1, 1, "McClassBSessionAns",          mc_session_ans_v1) \
    X(MULTICAST, 0x05, UP,    1, 2, "McClassBSessionAns",          mc_session_ans_v2)

/* The structs, each once. */
#define LORA_PACKAGE_STRUCTS(X) \
    X(package_version_ans) X(app_time_req) X(app_time_ans) X(app_time_periodicity_req) \
    X(app_time_periodicity_ans) X(force_resync_req) X(frag_status_req) X(frag_status_ans_v1) \
    X(frag_status_ans_v2) X(frag_setup_req_v1) X(frag_setup_req_v2) X(frag_setup_ans_v1) \
    X(frag_setup_ans_v2) X(frag_delete_req) X(frag_delete_ans) X(frag_block_received_req) \
    X(frag_block_received_ans) X(data_fragment) X(mc_status_req) X(mc_status_ans) X(mc_setup_req) \
    X(mc_setup_ans) X(mc_delete_req) X(mc_delete_ans) X(mc_class_c_req) X(mc_class_b_req) \
    X(mc_session_ans_v1) X(mc_session_ans_v2)

/* NULL: unknown. `version` 1 or 2. */
const struct lora_command_kind *lora_package_kind(enum lora_package package, u8 version,
                                                  enum lora_dir dir, u8 cid);
/* As lora_command_next, over a payload of the package's port. */
bool lora_package_next(struct lora_command *out, struct cur *c, enum lora_package package,
                       u8 version, enum lora_dir dir);
/* As the pairs of MAC commands; build takes the kind, since one struct may serve several. */
#define LORA_PACKAGE_PAIR(tag_)                                                                    \
    struct lora_##tag_ { FIELDS_##tag_(LORA_MEMBER, tag_) };                                       \
    static inline bool lora_##tag_##_parse(struct lora_##tag_ *out, const struct lora_command *c)  \
    {                                                                                              \
        return c->kind->tag && strcmp(c->kind->tag, #tag_) == 0                                    \
            && lora_command_parse(out, sizeof(*out), c);                                           \
    }                                                                                              \
    static inline enum lora_err lora_##tag_##_build(struct buf *out,                               \
                                                    const struct lora_command_kind *kind,          \
                                                    const struct lora_##tag_ *in)                  \
    {                                                                                              \
        return lora_command_build_as(out, kind, in, sizeof(*in));                                  \
    }
LORA_PACKAGE_STRUCTS(LORA_PACKAGE_PAIR)

/* TS004: fragments are counted from 1. The first ones are the data itself, cut in `size` bytes and
 * the last one filled with zeros; those beyond are sums (XOR) of half of them, chosen by a
 * pseudo-random row. Version 1 counts draws, version 2 distinct members. */
enum { LORA_FRAGMENTS_MAX = 16383 };
void lora_fragment(u8 *out, struct bytes data, size_t size, u16 n, u8 version);

/* ------------------------------------------------------------------ regions */

enum {
    DR_0, DR_1, DR_2, DR_3, DR_4, DR_5, DR_6, DR_7,
    DR_8, DR_9, DR_10, DR_11, DR_12, DR_13, DR_14, DR_15,
    LORA_DRS = 16
};
enum lora_modulation { MOD_NONE, MOD_LORA, MOD_FSK, MOD_LR_FHSS };

/* Defaults of every region (RP002-1.0.4 §3.3). */
enum {
    LORA_RX1_DELAY_S = 1, LORA_RX2_AFTER_RX1_S = 1,
    LORA_JOIN_RX1_DELAY_S = 5, LORA_JOIN_RX2_DELAY_S = 6,
    LORA_FCNT_GAP_MAX = 16384, LORA_ADR_ACK_LIMIT = 64, LORA_ADR_ACK_DELAY = 32,
    LORA_RETRANSMIT_MS_MIN = 1000, LORA_RETRANSMIT_MS_MAX = 3000, LORA_RELAY_FORWARD_DELAY_MS = 50,
};

struct lora_dr {
    u8  modulation;             /* enum lora_modulation; MOD_NONE is an undefined data rate */
    u8  sf;                     /* LoRa */
    u32 bw_hz;                  /* LoRa bandwidth; LR-FHSS operating channel width */
    u32 bit_rate;               /* FSK */
    u8  cr_num, cr_den;         /* 4/5; ISM2400 4/8 long interleaved; LR-FHSS 1/3, 2/3 */
    u8  rx1_as;                 /* LR-FHSS: the data rate whose RX1 it has */
    u8  m_max[2];               /* MACPayload bytes (N + 8): dwell off, dwell on; 0 is unusable */
};
/* `count` channels from first_hz by step_hz, each open to these data rates. */
struct lora_channels { u32 first_hz, step_hz; u8 count, dr_min, dr_max; };
/* Powers in hundredths of dBm: 1615 is 16.15 dBm. */
struct lora_sub_band { u32 min_hz, max_hz; u16 duty_permille; i16 eirp_cdbm; };
struct lora_wor { u32 hz, ack_hz; u8 dr; };             /* relay wake-on-radio channel */

struct lora_region {
    const char *name;           /* "AS923-1", as RP002 spells its common name */
    const char *plan;           /* "AS923-1", "EU863-870": the channel plan */
    struct lora_channels up[2], down[2];                /* default channels; count 0: unused */
    u8  channels_max;           /* 16, or all of a fixed plan */
    u8  rx1_modulo;             /* 0: RX1 on the uplink's frequency; else channel up mod this */
    struct lora_dr dr[LORA_DRS];
    u8  adr_dr_max;             /* the fastest that ADR may ask for */
    u8  join_dr_min, join_dr_max;
    u8  join_dr_wide;           /* on the 500 kHz channels of fixed plans; else 0 */
    u8  down_dr_min;            /* first data rate of downlinks: 8 where up and down differ */
    u8  rx1_dr_base;            /* added to the uplink's data rate */
    u8  rx1_dr_min, rx1_dr_min_dwell, rx1_dr_max;
    u8  rx1_offset_max;
    i8  rx1_offset[8];          /* what each RX1DROffset takes away */
    u32 rx2_hz;
    u8  rx2_dr;
    u8  tx_power_max;           /* last index; index i is 2 i dB below the maximum */
    i16 eirp_cdbm;              /* default maximum EIRP, hundredths of dBm */
    bool has_tx_param_setup;    /* TxParamSetupReq is for this region */
    bool boot_dwell_up, boot_dwell_down;    /* what a device assumes until told */
    u16 dwell_ms_max;           /* 400 where dwell exists, else 0 */
    u8  cflist_type;
    u16 freq_step_hz;           /* 100, or 200 */
    struct lora_channels beacon, ping;      /* dr_min is the data rate; count 0: hops, or none */
    u8  wor_count;
    struct lora_wor wor[2];
    u8  sub_band_count;
    struct lora_sub_band sub_band[6];
};

/* All sixteen; NULL past the end. */
const struct lora_region *lora_region_at(size_t index);
/* By name or channel plan, any case; "AS923" is AS923-1. NULL: unknown. */
const struct lora_region *lora_region_by_name(struct str name);

/* Data rate of the defined modulation, or -1. Up and down differ in US915 and AU915. */
int  lora_dr_find(const struct lora_region *r, enum lora_dir dir, u8 sf, u32 bw_hz);
int  lora_dr_find_fsk(const struct lora_region *r, u32 bit_rate);
bool lora_dr_is_usable(const struct lora_region *r, int dr, bool dwell);
/* RX1 data rate by the sentence of the standard; -1 for an uplink data rate or offset that does not
 * exist. `dwell` is the device's downlink dwell. */
int  lora_rx1_dr(const struct lora_region *r, int up_dr, int offset, bool dwell);
/* RX1 frequency before any DlChannelReq; 0 for a frequency outside a fixed plan. */
u32  lora_rx1_hz(const struct lora_region *r, u32 up_hz);
/* Default uplink channel by index and back; 0 and -1 when there is none. */
u32  lora_channel_hz(const struct lora_region *r, enum lora_dir dir, int index);
int  lora_channel_index(const struct lora_region *r, enum lora_dir dir, u32 hz);
/* Largest FRMPayload N without FOpts (FOpts take their bytes from it); 0: unusable. */
int  lora_payload_max(const struct lora_region *r, int dr, bool dwell);
/* The sub-band that holds the frequency, or NULL. */
const struct lora_sub_band *lora_sub_band_of(const struct lora_region *r, u32 hz);
/* TxParamSetupReq: 8, 10, 12, 13 … 36 dBm by index; the largest index not above a power. */
int  lora_eirp_dbm(u8 index);
u8   lora_eirp_index(int dbm);

/*
 * National law on top of a region. Japan (ARIB STD-T108, 920 MHz): carrier sense, send and pause
 * times, and a channel list out of which devices and gateways must not step.
 */
struct lora_plan {
    const char *name;           /* "AS923-1-JP" */
    const struct lora_region *region;
    u8  channel_count;
    u32 channel_hz[16];         /* the first ones are the region's default channels, in its order */
    u8  dr_min, dr_max;
    u32 min_hz, max_hz;         /* centre frequencies the law allows */
    i16 lbt_dbm;                /* carrier sense threshold; 0: none asked */
    u32 lbt_us;                 /* listening before a send */
    i16 eirp_dbm_max;
    u32 send_ms_max;            /* longest single send */
    u32 pause_ms;               /* silence of that transmitter after it */
    u32 long_hz_max;            /* channels above: the short regime of the next three lines */
    u32 short_send_ms_max;
    u32 short_pause_ms;
    u32 short_hour_ms_max;      /* sum of sends in an hour */
    bool dwell_up, dwell_down;  /* what TxParamSetupReq shall ask for */
};
const struct lora_plan *lora_plan_at(size_t index);     /* NULL past the end */
const struct lora_plan *lora_plan_by_name(struct str name);
bool lora_plan_has(const struct lora_plan *p, u32 hz);
/* What one send on that frequency may take, and the budget of an hour (0: none). */
u32 lora_plan_send_ms_max(const struct lora_plan *p, u32 hz);
u32 lora_plan_hour_ms_max(const struct lora_plan *p, u32 hz);
/* Why a plan may not be used, or NULL: a channel outside the law, one of the
 * short regime without dwell time, RX2 or a joining channel not among the channels. */
const char *lora_plan_fault(const struct lora_plan *p);

/* ------------------------------------------------------------------ airtime */

/* LoRa, explicit header, CR 4/5, preamble 8, low data rate optimisation from 16 ms symbols up.
 * Uplinks carry a CRC, downlinks none. 0 for a modulation that cannot be. */
u32 lora_airtime_us(u8 sf, u32 bw_hz, size_t bytes, bool crc);
u32 lora_airtime_cr_us(u8 sf, u32 bw_hz, size_t bytes, bool crc, u8 cr_den, u8 preamble);
/* Any data rate of a region, FSK and LR-FHSS too. */
u32 lora_dr_airtime_us(const struct lora_region *r, int dr, size_t bytes, bool crc);
/* Demodulation floor: SF7 -7.5 dB is -75, SF12 -20 dB is -200. */
int lora_required_snr_cb(u8 sf);

/* ------------------------------------------------------------------ class B */

enum {
    LORA_BEACON_PERIOD_S = 128, LORA_BEACON_RESERVED_MS = 2120, LORA_BEACON_GUARD_MS = 3000,
    LORA_PING_SLOT_MS = 30, LORA_PING_SLOTS = 4096,
};
/* Slots between pings of a device: pingNb = 2^(7 - periodicity), pingPeriod = 4096 / pingNb. */
static inline u16 lora_ping_nb(u8 periodicity) { return (u16)(1u << (7 - (periodicity & 7))); }
/* The device's first slot in the beacon period that begins at that GPS second. */
u16 lora_ping_offset(u32 beacon_gps_s, u32 devaddr, u16 ping_period);
/* The first ping slot strictly after, both GPS microseconds. `ping_nb` 1, 2, 4 … 128. */
i64 lora_ping_next_us(i64 after_gps_us, u32 devaddr, u16 ping_nb);

/*
 * | RFU | Param 1 | Time 4 | CRC 2 | InfoDesc 1 | Lat 3 | Lng 3 | RFU | CRC 2 |
 * The RFUs make the frame 17 bytes at SF9, 19 at SF8 and SF10, 21 at SF11, 23 at SF12.
 */
struct lora_beacon {
    u8  param;                  /* precision of the time in its two low bits (1.0.4); else 0 */
    u8  info_desc;              /* 0..2: GPS position of the gateway's antenna n */
    u32 gps_s;
    i32 lat, lng;               /* 24 bits: 90° and 180° are 2^23 */
};
enum { LORA_BEACON_MAX = 23 };
enum lora_err lora_beacon_parse(struct lora_beacon *out, u8 sf, struct bytes frame);
enum lora_err lora_beacon_build(struct buf *out, u8 sf, const struct lora_beacon *b);
u16 lora_crc16(struct bytes b);                         /* polynomial 0x1021, initial 0 */

/* ------------------------------------------------------------------ words */

/* A whole frame in words, without keys: "UnconfirmedDataUp DevAddr=49be7df1 FCtrl=ADR FCnt=2 …";
 * FOpts are printed as commands (of 1.0; in 1.1 they are cipher text). */
void lora_phy_text(struct text *out, struct bytes phy);

#endif
