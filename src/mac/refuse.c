// SPDX-License-Identifier: Apache-2.0
/* The last refusals, for `hotaru why`: a few slots a device, written over in turn, and at most fifty
 * rows a second: a flood of garbage must not become a flood of writes. */
#include "mac/inside.h"

#define KEPT_PER_SECOND 50
#define DETAIL_BYTES    1000

static bool may_keep(struct env *env)
{
    struct mac *mac = env->mac;
    struct mono now = env_now(env);
    if (mono_since(now, mac->refusals_since) >= US_PER_S) {
        mac->refusals_since = now;
        mac->refusals_left  = KEPT_PER_SECOND;
    }
    return mac->refusals_left > 0 && mac->refusals_left-- > 0;
}

void mac_refuse(struct env *env, u64 tenant, u64 dev_eui, enum drop drop, u64 gateway, struct str detail)
{
    u32 device = dev_eui ? map_get(&env->mac->by_eui, dev_eui) : MAP_NONE;
    u32 slot;
    if (!may_keep(env))
        return;
    if (device == MAP_NONE) {
        slot = env->mac->refusal_slot++ % REFUSAL_SLOTS_NOBODY;
    } else {
        struct device *d = &env->mac->devices[device];
        slot = d->refusal_slot++ % REFUSAL_SLOTS;
    }
    struct db_query *q = env_query(env, "INSERT INTO refusal (tenant, dev_eui, slot, id, word, gateway, detail, sum) VALUES "
                                        "($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant, dev_eui, slot) DO UPDATE SET "
                                        "id = excluded.id, word = excluded.word, gateway = excluded.gateway, "
                                        "detail = excluded.detail, sum = excluded.sum");
    if (!q)
        return;
    db_bind_i64(q, 1, (i64)tenant);
    db_bind_i64(q, 2, (i64)dev_eui);
    db_bind_i64(q, 3, slot);
    db_bind_i64(q, 4, env_next_id(env));
    db_bind_str(q, 5, str_z(drop_name(drop)));
    db_bind_i64(q, 6, (i64)gateway);
    db_bind_str(q, 7, words_sound(&env->event, detail, DETAIL_BYTES));
    db_bind_sum(q, 8, "refusal");
    (void)env_run(env, q);
}
