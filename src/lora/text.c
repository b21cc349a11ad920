// SPDX-License-Identifier: Apache-2.0
/* A frame in words, as `hotaru decode` and the frame log print it. Needs no keys, so what is
 * encrypted is printed by its length. */
#include "lora/inside.h"

/* In the order of the air, so that it can be found in the hex. */
static void mic_text(struct text *out, u32 mic)
{
    u8 b[4];
    put_u32le(b, mic);
    text_put(out, S(" MIC="));
    text_hex(out, (struct bytes){ b, sizeof b });
}

static void fctrl_text(struct text *out, u8 fctrl, enum lora_dir dir)
{
    static const struct { u8 bit; const char *word[2]; } flags[] = {
        { FCTRL_ADR,         { "ADR",       "ADR" } },
        { FCTRL_ADR_ACK_REQ, { "ADRACKReq", "RFU" } },
        { FCTRL_ACK,         { "ACK",       "ACK" } },
        { FCTRL_CLASS_B,     { "ClassB",    "FPending" } },
    };
    const char *between = " FCtrl=";
    for (size_t i = 0; i < COUNT(flags); i++)
        if (fctrl & flags[i].bit) {
            text_fmt(out, "%s%s", between, flags[i].word[dir]);
            between = "+";
        }
}

static void data_text(struct text *out, struct bytes phy)
{
    struct lora_frame f;
    enum lora_err err = lora_frame_parse(&f, phy);
    if (err) {
        text_fmt(out, ": %s", lora_err_words(err));
        return;
    }
    enum lora_dir dir = lora_mtype_dir(f.mtype);
    text_fmt(out, " DevAddr=%08x", f.devaddr);
    fctrl_text(out, f.fctrl, dir);
    text_fmt(out, " FCnt=%u", f.fcnt_low);
    if (f.fopts.n) {
        text_put(out, S(" FOpts=["));
        lora_commands_text(out, f.fopts, dir);
        text_char(out, ']');
    }
    if (f.fport != FPORT_NONE)
        text_fmt(out, " FPort=%d FRMPayload=%zu bytes", f.fport, f.payload.n);
    mic_text(out, f.mic);
}

static void join_request_text(struct text *out, struct bytes phy)
{
    struct lora_join_request r;
    enum lora_err err = lora_join_request_parse(&r, phy);
    if (err) {
        text_fmt(out, ": %s", lora_err_words(err));
        return;
    }
    text_fmt(out, " JoinEUI=%016llx DevEUI=%016llx DevNonce=%u",
             (unsigned long long)r.join_eui, (unsigned long long)r.dev_eui, r.dev_nonce);
    mic_text(out, r.mic);
}

static void rejoin_text(struct text *out, struct bytes phy)
{
    struct lora_rejoin r;
    enum lora_err err = lora_rejoin_parse(&r, phy);
    if (err) {
        text_fmt(out, ": %s", lora_err_words(err));
        return;
    }
    text_fmt(out, " type=%u", r.type);
    if (r.type == 1)
        text_fmt(out, " JoinEUI=%016llx", (unsigned long long)r.join_eui);
    else
        text_fmt(out, " NetID=%06x", r.net_id);
    text_fmt(out, " DevEUI=%016llx RJcount=%u", (unsigned long long)r.dev_eui, r.rj_count);
    mic_text(out, r.mic);
}

void lora_phy_text(struct text *out, struct bytes phy)
{
    enum lora_mtype mtype;
    enum lora_err err = lora_mtype_of(&mtype, phy);
    if (err) {
        text_put(out, str_z(lora_err_words(err)));
        return;
    }
    text_put(out, str_z(lora_mtype_words(mtype)));
    if (lora_mtype_is_data(mtype))
        data_text(out, phy);
    else if (mtype == MTYPE_JOIN_REQUEST)
        join_request_text(out, phy);
    else if (mtype == MTYPE_REJOIN_REQUEST)
        rejoin_text(out, phy);
    else
        text_fmt(out, " %zu bytes", phy.n - 1);     /* encrypted, or its owner's */
}

/* What a profile may write, and what we write of it first. */
static const struct { const char *text; enum lora_version version; } versions[] = {
    { "1.0.0", LORAWAN_1_0_0 }, { "1.0.1", LORAWAN_1_0_1 }, { "1.0.2", LORAWAN_1_0_2 }, { "1.0.3", LORAWAN_1_0_3 },
    { "1.0.4", LORAWAN_1_0_4 }, { "1.1", LORAWAN_1_1 },     { "1.1.0", LORAWAN_1_1 },   { "1.0", LORAWAN_1_0_0 },
};

bool lora_version_read(enum lora_version *out, struct str text)
{
    for (size_t i = 0; i < COUNT(versions); i++)
        if (str_eq(str_z(versions[i].text), text)) {
            *out = versions[i].version;
            return true;
        }
    return false;
}

struct str lora_version_str(enum lora_version version)
{
    return str_z(versions[version].text);
}
