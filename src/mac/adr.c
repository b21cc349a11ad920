// SPDX-License-Identifier: Apache-2.0
#include "mac/adr.h"

#define STEP_CB 30                    /* 3 dB: one data rate more, or one power index (2 dB) with a little in hand */

/* Repetitions by what was lost (rows: below 5, 10, 30 %, above) and what is used now. */
static const u8 repetitions[4][3] = { { 1, 1, 2 }, { 1, 2, 3 }, { 2, 3, 3 }, { 3, 3, 3 } };

static int lost_percent(const struct adr_heard *heard)
{
    i64 sent = (i64)heard->last_fcnt - heard->first_fcnt + 1;
    return (int)((sent - heard->n) * 100 / sent);
}

static u8 nb_trans(const struct adr_policy *policy, u8 now, int lost)
{
    int row = lost < 5 ? 0 : lost < 10 ? 1 : lost < 30 ? 2 : 3;
    int column = MIN(MAX(now, 1), 3) - 1;
    return MIN(repetitions[row][column], MAX(policy->nb_trans_most, 1));
}

/* Is the data rate one that ADR may ask for? Steps over what the region or a dwell time leaves out. */
static int next_dr(const struct lora_region *region, const struct adr_policy *policy, int dr)
{
    int most = MIN(policy->dr_max, region->adr_dr_max);
    for (dr++; dr <= most; dr++)
        if (dr >= policy->dr_min && region->dr[dr].modulation == MOD_LORA)
            return dr;
    return -1;
}

static void spend(const struct lora_region *region, const struct adr_policy *policy, struct adr_state *to, int steps, bool full)
{
    int power_most = full ? MIN(policy->power_most, region->tx_power_max) : 0;
    for (; steps > 0; steps--) {
        int dr = next_dr(region, policy, to->dr);
        if (dr >= 0)
            to->dr = (u8)dr;
        else if (to->tx_power < power_most)
            to->tx_power++;
    }
    for (; steps < 0 && to->tx_power > 0; steps++)
        to->tx_power--;
}

static struct str in_words(const struct adr_state *now, const struct adr_state *to, int n, int snr, int needs, int margin,
                           int steps, int lost, struct arena *arena)
{
    struct text t = text_make(arena, 1024);
    text_fmt(&t, "%d uplinks at DR%u, %s SNR %.1f dB; it needs %.1f, %.1f are kept in hand: %+d steps of 3 dB", n, now->dr,
             n >= ADR_HISTORY ? "best" : "mean", snr / 10.0, needs / 10.0, margin / 10.0, steps);
    if (n >= ADR_HISTORY)
        text_fmt(&t, "; %d %% lost", lost);
    if (to->dr != now->dr)
        text_fmt(&t, "; DR%u -> DR%u", now->dr, to->dr);
    if (to->tx_power != now->tx_power)
        text_fmt(&t, "; power %u -> %u", now->tx_power, to->tx_power);
    if (to->nb_trans != now->nb_trans)
        text_fmt(&t, "; repetitions %u -> %u", now->nb_trans, to->nb_trans);
    if (memcmp(to, now, sizeof *to) == 0)
        text_put(&t, S("; nothing to change"));
    return text_str(&t);
}

struct adr_says adr_decide(const struct lora_region *region, const struct adr_policy *policy, struct adr_state now,
                           const struct adr_heard *heard, struct arena *arena)
{
    struct adr_says says = { .to = now };
    bool full = heard->n >= ADR_HISTORY;
    if (heard->n < ADR_LEAST || now.dr >= LORA_DRS || region->dr[now.dr].modulation != MOD_LORA)
        return says;
    int needs = lora_required_snr_cb(region->dr[now.dr].sf), snr = full ? heard->best_cb : heard->sum_cb / heard->n;
    int spare = snr - needs - policy->margin_cb;
    int steps = spare >= 0 ? spare / STEP_CB : -((-spare + STEP_CB - 1) / STEP_CB);
    int lost  = lost_percent(heard);
    spend(region, policy, &says.to, steps, full);
    if (full)
        says.to.nb_trans = nb_trans(policy, now.nb_trans, lost);
    says.changes = memcmp(&says.to, &now, sizeof now) != 0;
    says.words   = in_words(&now, &says.to, heard->n, snr, needs, policy->margin_cb, steps, lost, arena);
    return says;
}
