// SPDX-License-Identifier: Apache-2.0
/* Pools, the undo of a batch, and the rows that are written behind. */
#include "mac/inside.h"

void *pool_at(void **pool, u32 *n, u32 *room, size_t size)
{
    if (*n == *room) {
        u32 more = *room ? *room * 2 : 256;
        *pool    = boot_grow(*pool, *room * size, more * size);
        *room    = more;
    }
    return (u8 *)*pool + (size_t)(*n)++ * size;
}

struct str name_of(const struct mac *mac, u32 offset)
{
    return str_z(mac->names + offset);
}

u32 name_add(struct mac *mac, struct str name)
{
    if (mac->names_n + name.n + 1 > mac->names_room) {
        u32 room   = MAX(mac->names_room * 2, (u32)(mac->names_n + name.n + 4096));
        mac->names = boot_grow(mac->names, mac->names_room, room);
        mac->names_room = room;
    }
    u32 at = mac->names_n;
    memcpy(mac->names + at, name.p, name.n);
    mac->names[at + name.n] = 0;
    mac->names_n += (u32)name.n + 1;
    return at;
}

u32 name_keep(struct mac *mac, u32 at, struct str name)
{
    return str_eq(name_of(mac, at), name) ? at : name_add(mac, name);
}

struct device_ref device_ref(const struct env *env, u32 index)
{
    const struct device *d = &env->mac->devices[index];
    return (struct device_ref){ .tenant    = d->tenant,
                                .dev_eui   = d->dev_eui,
                                .index     = index,
                                .profile   = &env->profiles.list[d->profile],
                                .name      = name_of(env->mac, d->name),
                                .latitude  = degrees_of_e7(d->latitude_e7),
                                .longitude = degrees_of_e7(d->longitude_e7),
                                .simulated = d->simulated };
}

struct bytes mac_kek(const struct mac *mac)
{
    return mac->set.kek;
}

bool mac_device_ref(struct env *env, u64 dev_eui, struct device_ref *out)
{
    u32 index = registry_find(env, dev_eui);
    if (index == MAC_NONE)
        return false;
    *out = device_ref(env, index);
    return true;
}

/* ------------------------------------------------------------------ undo */

static struct undo *undo_new(struct env *env, u32 index, bool is_device)
{
    struct undo *u = arena_new(&env->batch, struct undo);
    *u = (struct undo){ .next = env->mac->undo, .index = index, .is_device = is_device };
    env->mac->undo = u;
    return u;
}

void touch_device(struct env *env, u32 index)
{
    struct device *d = &env->mac->devices[index];
    if (d->batch == env->mac->batch)
        return;
    undo_new(env, index, true)->was.device = *d;
    d->batch = env->mac->batch;
}

void touch_session(struct env *env, u32 index)
{
    struct session *s = &env->mac->sessions[index];
    if (s->batch == env->mac->batch)
        return;
    undo_new(env, index, false)->was.session = *s;
    s->batch = env->mac->batch;
}

void mac_keep(struct env *env)
{
    struct mac *mac = env->mac;
    for (u32 i = 0; i < mac->freed_n; i++)
        *(u32 *)pool_at((void **)&mac->free_sessions, &mac->free_n, &mac->free_room, sizeof(u32)) = mac->freed_now[i];
    mac->freed_n = mac->flushing_n = 0;
    mac->window_kept = mac->window_open;
    mac->undo    = NULL;
    mac->batch++;
}

/* The maps follow the pools: a session that was not there before leaves by_devaddr, and the reverse. */
static void restore_session(struct mac *mac, u32 index, const struct session *was)
{
    struct session *s = &mac->sessions[index];
    if (s->used && !was->used)
        (void)map_remove(&mac->by_devaddr, s->devaddr, index);
    if (!s->used && was->used)
        map_put(&mac->by_devaddr, was->devaddr, index);
    *s = *was;
    if (!s->used)
        *(u32 *)pool_at((void **)&mac->free_sessions, &mac->free_n, &mac->free_room, sizeof(u32)) = index;
}

void mac_undo(struct env *env)
{
    struct mac *mac = env->mac;
    for (struct undo *u = mac->undo; u; u = u->next) {
        if (u->is_device) {
            bool dirty = mac->devices[u->index].dirty;
            mac->devices[u->index]       = u->was.device;
            mac->devices[u->index].dirty = dirty;            /* its row is behind either way */
        } else {
            restore_session(mac, u->index, &u->was.session);
        }
    }
    windows_drop_batch(env);
    late_forget(mac);
    for (u32 i = 0; i < mac->flushing_n; i++)
        mark_dirty(env, mac->flushing[i]);
    if (mac->flushing_n > 0) {
        mac->sweep_at = 0;                                   /* the sweep begins anew, and the mark stays */
        mac->sweep_id = -1;
        mac->rolled   = 0;
    }
    mac->freed_n = mac->flushing_n = 0;
    mac->undo    = NULL;
    mac->batch++;
    mac->generation++;                                       /* no cached key outlives a session taken back */
}

/* ------------------------------------------------------------------ written behind */

void mark_dirty(struct env *env, u32 device)
{
    struct device *d = &env->mac->devices[device];
    env->mac->dirty_n += !d->dirty;
    d->dirty = true;
}

static enum err write_state(struct env *env, const struct device *d)
{
    const struct session *s = d->session[0] == MAC_NONE ? NULL : &env->mac->sessions[d->session[0]];
    struct db_query *q = env_query(
        env, "INSERT INTO device_state (tenant, dev_eui, last_uplink, session, fcnt_up, battery_pct, sum) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, dev_eui) DO UPDATE SET "
             "last_uplink = excluded.last_uplink, session = excluded.session, fcnt_up = excluded.fcnt_up, "
             "battery_pct = excluded.battery_pct, sum = excluded.sum");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    db_bind_i64(q, 3, d->last_uplink);
    db_bind_i64(q, 4, s ? s->id : 0);
    db_bind_i64(q, 5, s ? s->fcnt_up : -1);
    db_bind_i64(q, 6, d->battery_pct);
    db_bind_sum(q, 7, "device_state");
    return env_run(env, q);
}

enum err mac_mark_write(struct env *env, const char *name, i64 value)
{
    struct db_query *q = env_query(env, "INSERT INTO mark (tenant, name, value, sum) VALUES ($1, $2, $3, $4) ON CONFLICT "
                                        "(tenant, name) DO UPDATE SET value = excluded.value, sum = excluded.sum");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, 0);
    db_bind_str(q, 2, str_z(name));
    db_bind_i64(q, 3, value);
    db_bind_sum(q, 4, "mark");
    return env_run(env, q);
}

enum err mac_mark_read(struct db *db, const char *name, i64 *value)
{
    struct db_query *q = db_query(db, "SELECT tenant, name, value, sum FROM mark WHERE tenant = 0 AND name = $1");
    *value = 0;
    db_bind_str(q, 1, str_z(name));
    enum err err = db_step(q);
    if (err == OK && db_row_good(q, 0, 3, "mark", 2))
        *value = db_i64(q, 2);
    else if (err == OK)
        err = ERR_INVALID;
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* The hour so far, and what came since: rx_ok, rx_bad, rx_air_us, tx, tx_air_us. A damaged hour begins anew. */
enum { HOUR_COUNTS = 5 };

static enum err read_hour(struct env *env, const struct gateway *g, i64 hour, i64 count[HOUR_COUNTS])
{
    struct db_query *q = env_query(env, "SELECT tenant, eui, hour, rx_ok, rx_bad, rx_air_us, tx, tx_air_us, sum FROM gateway_hour "
                                        "WHERE tenant = $1 AND eui = $2 AND hour = $3");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, g->tenant);
    db_bind_i64(q, 2, (i64)g->eui);
    db_bind_i64(q, 3, hour);
    enum err err = db_step(q);
    bool good = err == OK && db_row_good(q, 0, 8, "gateway_hour", 3);
    for (int i = 0; i < HOUR_COUNTS && good; i++)
        count[i] += db_i64(q, 3 + i);
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err write_hour(struct env *env, const struct gateway *g)
{
    i64 hour = g->last_seen.us / (3600 * US_PER_S);
    i64 count[HOUR_COUNTS] = { g->rx_ok, g->rx_bad, (i64)g->rx_air_us, g->tx, (i64)g->tx_air_us };
    enum err err = read_hour(env, g, hour, count);
    struct db_query *q = err == OK
        ? env_query(env, "INSERT INTO gateway_hour (tenant, eui, hour, rx_ok, rx_bad, rx_air_us, tx, tx_air_us, sum) "
                         "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant, eui, hour) DO UPDATE SET "
                         "rx_ok = excluded.rx_ok, rx_bad = excluded.rx_bad, rx_air_us = excluded.rx_air_us, "
                         "tx = excluded.tx, tx_air_us = excluded.tx_air_us, sum = excluded.sum")
        : NULL;
    if (!q)
        return err == OK ? env->failed : (env->failed = err);
    db_bind_i64(q, 1, g->tenant);
    db_bind_i64(q, 2, (i64)g->eui);
    db_bind_i64(q, 3, hour);
    for (int i = 0; i < HOUR_COUNTS; i++)
        db_bind_i64(q, 4 + i, count[i]);
    db_bind_sum(q, 9, "gateway_hour");
    return env_run(env, q);
}

static enum err write_gateway(struct env *env, struct gateway *g)
{
    struct db_query *q = env_query(env, "INSERT INTO gateway_state (tenant, eui, last_seen_us, address, sum) "
                                        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, eui) DO UPDATE SET "
                                        "last_seen_us = excluded.last_seen_us, address = excluded.address, "
                                        "sum = excluded.sum");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, g->tenant);
    db_bind_i64(q, 2, (i64)g->eui);
    db_bind_i64(q, 3, g->last_seen.us);
    db_bind_str(q, 4, str_z(g->address));
    db_bind_sum(q, 5, "gateway_state");
    enum err err = env_run(env, q);
    if (err == OK)
        err = write_hour(env, g);
    g->rx_ok = g->rx_bad = g->tx = 0;
    g->rx_air_us = g->tx_air_us = 0;
    g->dirty = false;
    return err;
}

static enum err write_stranger(struct env *env, struct stranger *s)
{
    struct db_query *q = env_query(env, "INSERT INTO stranger (tenant, eui, last_seen_us, datagrams, address, sum) "
                                        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, eui) DO UPDATE SET "
                                        "last_seen_us = excluded.last_seen_us, datagrams = excluded.datagrams, "
                                        "address = excluded.address, sum = excluded.sum");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, 1);
    db_bind_i64(q, 2, (i64)s->eui);
    db_bind_i64(q, 3, s->last_seen.us);
    db_bind_i64(q, 4, s->datagrams);
    db_bind_str(q, 5, str_z(s->address));
    db_bind_sum(q, 6, "stranger");
    s->dirty = false;
    return env_run(env, q);
}

#define GATEWAYS_EVERY_US (2 * US_PER_S)

static size_t flush_gateways(struct env *env)
{
    struct mac *mac = env->mac;
    size_t n = 0;
    if (mono_since(env_now(env), mac->gateways_flushed) < GATEWAYS_EVERY_US)
        return 0;
    mac->gateways_flushed = env_now(env);
    for (u32 i = 0; i < mac->gateways_n; i++)
        if (mac->gateways[i].dirty && env->failed == OK) {
            (void)write_gateway(env, &mac->gateways[i]);
            n++;
        }
    for (u32 i = 0; i < mac->strangers_n; i++)
        if (mac->strangers[i].dirty && env->failed == OK) {
            (void)write_stranger(env, &mac->strangers[i]);
            n++;
        }
    return n;
}

static size_t sweep(struct env *env, size_t max)
{
    struct mac *mac = env->mac;
    size_t n = 0;
    u32 end = MIN(mac->sweep_at + SWEEP_MAX, mac->devices_n);
    for (; mac->sweep_at < end && n < max && env->failed == OK; mac->sweep_at++) {
        struct device *d = &mac->devices[mac->sweep_at];
        if (!d->dirty)
            continue;
        mac->flushing[mac->flushing_n++] = mac->sweep_at;
        d->dirty = false;
        mac->dirty_n--;
        (void)write_state(env, d);
        n++;
    }
    return n;
}

/*
 * Rows behind are written in the order of their keys (devices are read in that order at start), so
 * that a portion of them touches few pages: in the order of their events every row would be a page of
 * its own. When a sweep has come to the end, every event that was there when it began is in a row,
 * and the mark says so: at start only younger events are rolled forward.
 */
size_t mac_flush(struct env *env, size_t max)
{
    struct mac *mac = env->mac;
    i64 covered = -1;
    size_t n = 0;
    if (mac->dirty_n > 0) {
        if (mac->sweep_id < 0)
            mac->sweep_id = env->last_id;
        n = sweep(env, MIN(max, (size_t)FLUSH_MAX));
        if (mac->sweep_at >= mac->devices_n) {
            covered       = mac->sweep_id;
            mac->sweep_at = 0;
            mac->sweep_id = -1;
        }
        if (mac->dirty_n == 0)
            covered = env->last_id;
    }
    if (covered > mac->rolled) {
        (void)mac_mark_write(env, "rolled", covered);
        mac->rolled = covered;
        n += n == 0;
    }
    return n + flush_gateways(env);
}

struct mac_numbers mac_numbers(const struct mac *mac)
{
    u64 bytes = (u64)mac->devices_room * sizeof(struct device) + (u64)mac->sessions_room * sizeof(struct session) +
                map_bytes(&mac->by_eui) + map_bytes(&mac->by_devaddr) + mac->names_room +
                (u64)mac->late_room * sizeof(struct late);
    return (struct mac_numbers){ mac->devices_n, mac->sessions_n - mac->free_n, mac->gateways_n,
                                 mac->window_next - mac->window_open, bytes, mac->dirty_n,
                                 mac->dirty_n > 0 && mac->sweep_id >= 0 };
}
