// SPDX-License-Identifier: Apache-2.0
/*
 * Devices and gateways: rows in the store, and the pools in memory that the way of a frame uses.
 *
 * A start must not wait for a million whole rows. It reads by what a device and a session are found; the
 * rest of a row, and with it whether its sum is right, is read when the first frame, join or order needs
 * it, and in idle moments where nothing did (docs/adr/0015). So what is used of a row was always checked.
 */
#include "mac/inside.h"

#include <math.h>
#include <openssl/crypto.h>

/* ------------------------------------------------------------------ into memory */

static double double_or_nan(struct db_query *q, int column)
{
    return db_is_null(q, column) ? (double)NAN : db_double(q, column);
}

static bool copy_wrapped(u8 out[WRAPPED], struct bytes wrapped)
{
    if (wrapped.n != WRAPPED)
        return false;
    memcpy(out, wrapped.p, WRAPPED);
    return true;
}

/* JoinNonces only rise. Where the row that says how far is damaged, the next is taken from a range
 * that no device has reached: 2^22 and above, of 2^24. */
static u32 join_nonce(struct env *env, struct db_query *q)
{
    u32 chance;
    if (db_row_good(q, 0, 3, "join_state", 2))
        return (u32)db_i64(q, 2);
    env->random(env->world, (u8 *)&chance, sizeof chance);
    return (1u << 22) + (chance & ((1u << 22) - 1));
}

static enum err read_join_nonce(struct env *env, struct device *d)
{
    struct db_query *q = db_query(env->db, "SELECT tenant, dev_eui, join_nonce, sum FROM join_state WHERE tenant = $1 AND "
                                           "dev_eui = $2");
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    enum err err = db_step(q);
    if (err == OK)
        d->join_nonce = join_nonce(env, q);
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Columns: DEVICE_ROW. */
static enum row_state take_device(struct env *env, struct device *d, struct db_query *q)
{
    if (!device_good(q, 0))
        return ROW_DAMAGED;
    d->join_eui     = (u64)db_i64(q, 2);
    d->name         = name_add(env->mac, db_str(q, 3));
    d->has_nwk_key  = copy_wrapped(d->nwk_key, db_bytes(q, 6));
    (void)copy_wrapped(d->app_key, db_bytes(q, 5));
    d->latitude_e7  = degrees_to_e7(double_or_nan(q, 7));
    d->longitude_e7 = degrees_to_e7(double_or_nan(q, 8));
    d->simulated    = db_i64(q, 9) != 0;
    return ROW_READ;
}

/* A key that was read at start and is not found again was never that row's: its page is damaged. */
static void is_damaged(struct env *env, struct device *d)
{
    d->row = ROW_DAMAGED;
    db_damage_note(env->db, "device", str_fmt(&env->event, "tenant %u, dev_eui %016llX", d->tenant,
                                              (unsigned long long)d->dev_eui));
}

static enum err read_device(struct env *env, struct device *d)
{
    struct db_query *q = db_query(env->db, "SELECT " DEVICE_ROW("") " FROM device WHERE tenant = $1 AND dev_eui = $2");
    enum err err = read_join_nonce(env, d);
    if (err != OK)
        return err;
    db_bind_i64(q, 1, d->tenant);
    db_bind_i64(q, 2, (i64)d->dev_eui);
    err = db_step(q);
    if (err == OK)
        d->row = (u8)take_device(env, d, q);
    db_reset(q);
    if (err != ERR_NOT_FOUND)
        return err;
    is_damaged(env, d);
    return OK;
}

bool device_ready(struct env *env, u32 index)
{
    struct device *d = &env->mac->devices[index];
    enum err err = d->row == ROW_UNREAD ? read_device(env, d) : OK;
    if (err != OK && env->failed == OK)
        env->failed = err;
    return d->row == ROW_READ;
}

u32 registry_find(struct env *env, u64 dev_eui)
{
    u32 index = map_get(&env->mac->by_eui, dev_eui);
    return index != MAP_NONE && device_ready(env, index) ? index : MAC_NONE;
}

/* What devices have in common mostly is their profile, and what they come in is the order of their keys. */
struct loading { const struct profile *profile; i64 dev_eui; bool sorted; };

/* Columns: tenant, dev_eui, profile. */
static enum err load_device(struct env *env, struct db_query *q, struct loading *last, struct str *why)
{
    struct mac *mac = env->mac;
    const struct profile *p = last->profile;
    u32 index = mac->devices_n;
    if (!p || !str_eq(p->id, db_str(q, 2)))
        last->profile = p = profile_find(&env->profiles, db_str(q, 2));
    last->sorted &= index == 0 || db_i64(q, 1) > last->dev_eui;
    last->dev_eui = db_i64(q, 1);
    struct device *d = pool_at((void **)&mac->devices, &mac->devices_n, &mac->devices_room, sizeof *d);
    *d = (struct device){ .dev_eui     = (u64)db_i64(q, 1),
                          .tenant      = (u32)db_i64(q, 0),
                          .session     = { MAC_NONE, MAC_NONE },
                          .profile     = (u16)(p ? p->number : 0),
                          .battery_pct = -1,
                          .row         = ROW_UNREAD,
                          .batch       = mac->batch };
    if (p || !device_ready(env, index))
        return env->failed;
    *why = str_fmt(&env->batch, "device %016llx uses the profile %.*s, which is not in data/profiles",
                   (unsigned long long)d->dev_eui, STR(db_str(q, 2)));
    return ERR_INVALID;
}

/* One EUI twice: one of the two rows is damaged, or its whole page was doubled. The first is the one that is found.
 * In rows of rising EUIs there is none. */
static void find_devices(struct env *env, bool sorted)
{
    struct mac *mac = env->mac;
    map_reserve(&mac->by_eui, mac->devices_n);
    for (u32 i = 0; i < mac->devices_n; i++) {
        if (!sorted && map_get(&mac->by_eui, mac->devices[i].dev_eui) != MAP_NONE)
            is_damaged(env, &mac->devices[i]);
        else
            map_put(&mac->by_eui, mac->devices[i].dev_eui, i);
    }
}

static enum err load_devices(struct env *env, struct str *why)
{
    struct db_query *q = db_query(env->db, "SELECT tenant, dev_eui, profile FROM device ORDER BY tenant, dev_eui");
    struct loading last = { .sorted = true };
    enum err err = q ? OK : ERR_IO;
    while (err == OK && (err = db_step(q)) == OK)
        err = load_device(env, q, &last, why);
    if (q)
        db_reset(q);
    find_devices(env, last.sorted);
    return err == ERR_NOT_FOUND ? OK : err;
}

static void load_gateway(struct mac *mac, u64 tenant, u64 eui, struct str name, double latitude, double longitude,
                         const struct lora_region *region, bool simulated)
{
    u32 index = mac_gateway(mac, eui);
    struct gateway *g = index != MAC_NONE
                            ? &mac->gateways[index]
                            : pool_at((void **)&mac->gateways, &mac->gateways_n, &mac->gateways_room, sizeof *g);
    g->eui       = eui;
    g->tenant    = (u32)tenant;
    g->name      = name_keep(mac, g->name, name);
    g->latitude  = (float)latitude;
    g->longitude = (float)longitude;
    g->region    = region;
    g->simulated = simulated;
    if (index == MAC_NONE)
        map_put(&mac->by_gateway, eui, (u32)(g - mac->gateways));
}

static enum err load_gateways(struct env *env, struct str *why)
{
    struct db_query *q = db_query(env->db, "SELECT " GATEWAY_ROW("g.") ", COALESCE(s.last_seen_us, 0) FROM gateway g LEFT JOIN gateway_state s ON "
                                           "s.tenant = g.tenant AND s.eui = g.eui");
    enum err err = q ? OK : ERR_IO;
    while (err == OK && (err = db_step(q)) == OK) {
        if (!gateway_good(q, 0))
            continue;
        const struct lora_region *region = lora_region_by_name(db_str(q, 6));
        if (!region) {
            *why = str_fmt(&env->batch, "gateway %016llx has the region %.*s, which is not known",
                           (unsigned long long)db_i64(q, 1), STR(db_str(q, 6)));
            err = ERR_INVALID;
            break;
        }
        load_gateway(env->mac, (u64)db_i64(q, 0), (u64)db_i64(q, 1), db_str(q, 2), double_or_nan(q, 3), double_or_nan(q, 4),
                     region, db_i64(q, 7) != 0);
        env->mac->gateways[mac_gateway(env->mac, (u64)db_i64(q, 1))].last_seen.us = db_i64(q, 10);
    }
    if (q)
        db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err registry_load(struct env *env, struct str *why)
{
    enum err err = load_devices(env, why);
    return err == OK ? load_gateways(env, why) : err;
}

/* ------------------------------------------------------------------ start and stop */

/* A KEK that is not the one the keys were wrapped under must be noticed now, not at the first frame. */
static bool kek_is_right(struct env *env)
{
    struct mac *mac = env->mac;
    u8 raw[16];
    u32 i = 0;
    while (i < mac->devices_n && !device_ready(env, i) && env->failed == OK)
        i++;
    bool right = i == mac->devices_n || env->failed != OK || unwrap_key(mac, raw, mac->devices[i].app_key);
    lora_wipe(raw, sizeof raw);
    return right;
}

/* Without its mark, or with a damaged one, every row is looked at. */
static enum err newest_downlink(struct env *env, i64 *id)
{
    enum err err = mac_mark_read(env->db, DOWN_MARK, id);
    if ((err == OK && *id > 0) || (err != OK && err != ERR_INVALID))
        return err;
    struct db_query *q = db_query(env->db, "SELECT MAX(id) FROM downlink");
    err = q ? db_step(q) : ERR_IO;
    if (err == OK && !db_is_null(q, 0))
        *id = db_i64(q, 0);
    if (q)
        db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* CROSS JOIN here and in what follows: SQLite then asks tenant by tenant. Left to itself it takes the events
 * first, all there ever were. Ids of sessions are seen while they are read (session.c). */
static enum err last_ids(struct env *env)
{
    i64 rolled;
    enum err err = newest_downlink(env, &env->last_id);
    static const char *const newest[] = {
        "SELECT MAX(u.id) FROM tenant t CROSS JOIN uplink u WHERE u.tenant = t.number AND u.id = "
        "(SELECT MAX(id) FROM uplink WHERE tenant = t.number)",
        "SELECT MAX(u.id) FROM tenant t CROSS JOIN reading u WHERE u.tenant = t.number AND u.id = "
        "(SELECT MAX(id) FROM reading WHERE tenant = t.number)",
        "SELECT MAX(id) FROM refusal",
    };
    for (size_t i = 0; i < COUNT(newest) && (err == OK || err == ERR_NOT_FOUND); i++) {
        struct db_query *q = db_query(env->db, newest[i]);
        err = q ? db_step(q) : ERR_IO;
        if (err == OK && !db_is_null(q, 0))
            env->last_id = MAX(env->last_id, db_i64(q, 0));
        if (q)
            db_reset(q);
    }
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    /* What retention took had ids too; the mark of the last flush is not below them. */
    err = mac_mark_read(env->db, "rolled", &rolled);
    if (err != OK && err != ERR_INVALID)
        return err;
    /* All of them were given before now, unless the clock was set back. */
    env->last_id = MAX(MAX(env->last_id, rolled), env_clock(env).us);
    return OK;
}

enum err mac_older_wrote(struct db *db, bool *older)
{
    struct db_query *q = db_query(db, "SELECT u.sum FROM tenant t CROSS JOIN uplink u WHERE u.tenant = t.number AND u.id = "
                                      "(SELECT MAX(id) FROM uplink WHERE tenant = t.number) ORDER BY u.id DESC LIMIT 1");
    enum err err = db_step(q);
    *older = err == OK && db_is_null(q, 0);
    db_reset(q);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* A program that knows no sums wrote here after us: what it changed still has our sums, which are over
 * what was there before. Rows that can be changed count as not summed then, until they are written. */
static enum err forget_stale_sums(struct env *env)
{
    static const char *const tables[] = {
        "UPDATE device SET sum = NULL WHERE sum IS NOT NULL",        "UPDATE gateway SET sum = NULL WHERE sum IS NOT NULL",
        "UPDATE session SET sum = NULL WHERE sum IS NOT NULL",       "UPDATE join_state SET sum = NULL WHERE sum IS NOT NULL",
        "UPDATE device_state SET sum = NULL WHERE sum IS NOT NULL",  "UPDATE mark SET sum = NULL WHERE sum IS NOT NULL",
        "UPDATE entity SET sum = NULL WHERE sum IS NOT NULL",        "UPDATE downlink SET sum = NULL WHERE sum IS NOT NULL",
        "UPDATE uplink_copies SET sum = NULL WHERE sum IS NOT NULL", "UPDATE refusal SET sum = NULL WHERE sum IS NOT NULL",
        "UPDATE gateway_state SET sum = NULL WHERE sum IS NOT NULL", "UPDATE stranger SET sum = NULL WHERE sum IS NOT NULL",
        "UPDATE gateway_hour SET sum = NULL WHERE sum IS NOT NULL",
    };
    bool older;
    enum err err = mac_older_wrote(env->db, &older);
    if (older) {
        db_sums_some(env->db);
        (void)mac_mark_write(env, "unsummed", 1);
    }
    for (size_t i = 0; older && i < COUNT(tables) && env->failed == OK; i++)
        (void)env_run(env, env_query(env, tables[i]));
    return err == OK ? env->failed : err;
}

enum err mac_start(struct env *env, const struct mac_settings *settings, struct str *why)
{
    struct mac *mac = env->mac = boot_take(sizeof *mac);
    assert(settings->kek.n == 16 || settings->kek.n == 32);
    assert(settings->keys_cached && (settings->keys_cached & (settings->keys_cached - 1)) == 0);
    mac->set   = *settings;
    mac->kek_n = settings->kek.n;
    memcpy(mac->kek, settings->kek.p, settings->kek.n);
    mac->set.kek    = (struct bytes){ mac->kek, mac->kek_n };
    mac->windows    = boot_take(sizeof *mac->windows * WINDOWS);
    mac->keys       = boot_take(sizeof *mac->keys * settings->keys_cached);
    mac->generation = 1;
    mac->batch      = 1;
    mac->sweep_id   = -1;
    (void)name_add(mac, S(""));
    talk_start(env);
    *why = S("the store cannot be read");
    enum err err = forget_stale_sums(env);
    if (err == OK)
        err = registry_load(env, why);
    if (err == OK && !kek_is_right(env)) {
        *why = S("the key file does not open the keys in the store: is it the one this store was made with?");
        err  = ERR_DENIED;
    }
    if (err == OK)
        err = last_ids(env);
    if (err == OK)
        err = sessions_load(env);
    return err == OK ? queue_load(env) : err;
}

void mac_stop(struct env *env)
{
    struct mac *mac = env->mac;
    if (!mac)
        return;
    for (u32 i = 0; i < mac->set.keys_cached; i++)
        if (lora_key_is_set(&mac->keys[i].key))
            lora_key_clear(&mac->keys[i].key);
    struct map *maps[] = { &mac->by_eui, &mac->by_devaddr, &mac->by_gateway, &mac->by_phy };
    for (size_t i = 0; i < COUNT(maps); i++) {
        boot_release(maps[i]->keys);
        boot_release(maps[i]->values);
    }
    void *pools[] = { mac->devices, mac->sessions, mac->free_sessions, mac->freed_now, mac->gateways,
                      mac->names,   mac->windows,  mac->keys,          mac->late, mac->wanted };
    for (size_t i = 0; i < COUNT(pools); i++)
        boot_release(pools[i]);
    lora_wipe(mac->kek, sizeof mac->kek);
    boot_release(mac);
    env->mac = NULL;
}

size_t mac_read_on(struct env *env, size_t max)
{
    struct mac *mac = env->mac;
    size_t n = 0;
    for (; n < max && mac->read_devices < mac->devices_n && env->failed == OK; n++)
        (void)device_ready(env, mac->read_devices++);
    for (; n < max && mac->read_sessions < mac->sessions_n && env->failed == OK; n++, mac->read_sessions++)
        if (mac->sessions[mac->read_sessions].used)
            (void)session_ready(env, mac->read_sessions);
    return n;
}

/* ------------------------------------------------------------------ gateways */

u32 mac_gateway(const struct mac *mac, u64 eui)
{
    return map_get(&mac->by_gateway, eui);
}

const struct lora_region *mac_gateway_region(const struct mac *mac, u32 index)
{
    return mac->gateways[index].region;
}

u32 mac_gateway_count(const struct mac *mac)
{
    return mac->gateways_n;
}

static void put_address(char out[48], struct str address)
{
    size_t n = MIN(address.n, (size_t)47);
    memcpy(out, address.p, n);
    out[n] = 0;
}

void mac_gateway_heard(struct env *env, u32 index, struct str address, bool frame, bool crc_ok, u32 air_us)
{
    struct gateway *g = &env->mac->gateways[index];
    g->last_seen = env_clock(env);
    g->dirty     = true;
    if (address.n)
        put_address(g->address, address);
    if (!frame)
        return;
    g->rx_ok += crc_ok;
    g->rx_bad += !crc_ok;
    g->rx_air_us += air_us;
}

void mac_gateway_sent(struct env *env, u32 index, u32 air_us)
{
    struct gateway *g = &env->mac->gateways[index];
    g->dirty = true;
    g->tx++;
    g->tx_air_us += air_us;
}

void mac_stranger(struct env *env, u64 eui, struct str address)
{
    struct mac *mac = env->mac;
    struct stranger *s = NULL;
    for (u32 i = 0; i < mac->strangers_n && !s; i++)
        if (mac->strangers[i].eui == eui)
            s = &mac->strangers[i];
    if (!s) {
        if (mac->strangers_n == COUNT(mac->strangers))
            return;                                /* a hundred are enough to see that somebody knocks */
        s  = &mac->strangers[mac->strangers_n++];
        *s = (struct stranger){ .eui = eui };
    }
    s->last_seen = env_clock(env);
    s->datagrams++;
    s->dirty = true;
    put_address(s->address, address);
}

void mac_battery(struct env *env, const struct device_ref *device, int pct)
{
    touch_device(env, device->index);
    env->mac->devices[device->index].battery_pct = (i8)MIN(MAX(pct, 0), 100);
    mark_dirty(env, device->index);
}

/* ------------------------------------------------------------------ new ones */

static void bind_place(struct db_query *q, int at, double degrees)
{
    if (isnan(degrees))
        db_bind_null(q, at);
    else
        db_bind_double(q, at, degrees);
}

/* A row is written whole, so what is registered again keeps the day of its first registration. */
static i64 first_seen(struct env *env, const char *sql, u64 tenant, u64 eui)
{
    struct db_query *q = env_query(env, sql);
    i64 created = env_clock(env).us;
    if (!q)
        return created;
    db_bind_i64(q, 1, (i64)tenant);
    db_bind_i64(q, 2, (i64)eui);
    enum err err = db_step(q);
    if (err == OK)
        created = db_i64(q, 0);
    else if (err != ERR_NOT_FOUND)
        env->failed = err;
    db_reset(q);
    return created;
}

enum err registry_put_gateway(struct env *env, const struct gateway_new *g)
{
    bool known  = mac_gateway(env->mac, g->eui) != MAC_NONE;
    i64 created = !known ? env_clock(env).us
                         : first_seen(env, "SELECT created_us FROM gateway WHERE tenant = $1 AND eui = $2", g->tenant, g->eui);
    struct db_query *q = env_query(env, "INSERT INTO gateway (tenant, eui, name, latitude, longitude, altitude_m, region, "
                                        "simulated, created_us, sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON "
                                        "CONFLICT (tenant, eui) DO UPDATE SET name = excluded.name, latitude = "
                                        "excluded.latitude, longitude = excluded.longitude, altitude_m = excluded.altitude_m, "
                                        "region = excluded.region, simulated = excluded.simulated, created_us = "
                                        "excluded.created_us, sum = excluded.sum");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, (i64)g->tenant);
    db_bind_i64(q, 2, (i64)g->eui);
    db_bind_str(q, 3, g->name);
    bind_place(q, 4, g->latitude);
    bind_place(q, 5, g->longitude);
    bind_place(q, 6, g->altitude_m);
    db_bind_str(q, 7, str_z(g->region->name));
    db_bind_i64(q, 8, g->simulated);
    db_bind_i64(q, 9, created);
    db_bind_sum(q, 10, "gateway");
    return env_run(env, q);
}

void registry_add_gateway(struct env *env, const struct gateway_new *g)
{
    load_gateway(env->mac, g->tenant, g->eui, g->name, g->latitude, g->longitude, g->region, g->simulated);
}

enum err registry_put_device(struct env *env, const struct device_new *n)
{
    u8 app[WRAPPED], nwk[WRAPPED];
    bool known  = registry_find(env, n->dev_eui) != MAC_NONE;
    i64 created = !known ? env_clock(env).us
                         : first_seen(env, "SELECT created_us FROM device WHERE tenant = $1 AND dev_eui = $2", n->tenant,
                                      n->dev_eui);
    struct db_query *q = env_query(env, "INSERT INTO device (tenant, dev_eui, join_eui, name, profile, app_key, nwk_key, "
                                        "latitude, longitude, simulated, created_us, sum) VALUES ($1, $2, $3, $4, $5, $6, $7, "
                                        "$8, $9, $10, $11, $12) ON CONFLICT (tenant, dev_eui) DO UPDATE SET join_eui = "
                                        "excluded.join_eui, name = excluded.name, profile = excluded.profile, app_key = "
                                        "excluded.app_key, nwk_key = excluded.nwk_key, latitude = excluded.latitude, "
                                        "longitude = excluded.longitude, simulated = excluded.simulated, created_us = "
                                        "excluded.created_us, sum = excluded.sum");
    if (!q)
        return env->failed;
    if (!wrap_key(env->mac, app, n->app_key) || (n->has_nwk_key && !wrap_key(env->mac, nwk, n->nwk_key)))
        return ERR_INVALID;
    db_bind_i64(q, 1, (i64)n->tenant);
    db_bind_i64(q, 2, (i64)n->dev_eui);
    db_bind_i64(q, 3, (i64)n->join_eui);
    db_bind_str(q, 4, n->name);
    db_bind_str(q, 5, n->profile->id);
    db_bind_bytes(q, 6, (struct bytes){ app, WRAPPED });
    if (n->has_nwk_key)
        db_bind_bytes(q, 7, (struct bytes){ nwk, WRAPPED });
    else
        db_bind_null(q, 7);
    bind_place(q, 8, n->latitude);
    bind_place(q, 9, n->longitude);
    db_bind_i64(q, 10, n->simulated);
    db_bind_i64(q, 11, created);
    db_bind_sum(q, 12, "device");
    return env_run(env, q);
}

/* After the commit: an import that fails leaves no trace in memory. */
u32 registry_add_device(struct env *env, const struct device_new *n)
{
    struct mac *mac = env->mac;
    enum err err = OK;
    u32 index = map_get(&mac->by_eui, n->dev_eui);
    if (index == MAP_NONE) {
        struct device *d = pool_at((void **)&mac->devices, &mac->devices_n, &mac->devices_room, sizeof *d);
        index = (u32)(d - mac->devices);
        *d    = (struct device){ .dev_eui = n->dev_eui, .session = { MAC_NONE, MAC_NONE }, .battery_pct = -1, .row = ROW_UNREAD };
        map_put(&mac->by_eui, n->dev_eui, index);
    }
    struct device *d = &mac->devices[index];
    d->tenant      = (u32)n->tenant;
    if (d->row != ROW_READ)                    /* it may have joined before its row was lost: JoinNonces go on */
        err = read_join_nonce(env, d);
    if (err != OK && env->failed == OK)
        env->failed = err;
    d->join_eui    = n->join_eui;
    d->name        = name_keep(mac, d->name, n->name);
    d->latitude_e7  = degrees_to_e7(n->latitude);
    d->longitude_e7 = degrees_to_e7(n->longitude);
    d->profile     = (u16)n->profile->number;
    d->simulated   = n->simulated;
    d->has_nwk_key = n->has_nwk_key;
    d->row         = ROW_READ;
    (void)wrap_key(mac, d->app_key, n->app_key);
    if (n->has_nwk_key)
        (void)wrap_key(mac, d->nwk_key, n->nwk_key);
    return index;
}

/* ------------------------------------------------------------------ benches */

enum err mac_bench_gateway(struct env *env, u64 eui)
{
    struct gateway_new g = { 1, eui, S("bench"), NAN, NAN, NAN, lora_region_by_name(S("AS923-1")), true };
    enum err err = registry_put_gateway(env, &g);
    registry_add_gateway(env, &g);
    return err;
}

enum err mac_bench_device(struct env *env, u64 dev_eui, u32 devaddr, const u8 nwk_s_key[16], const u8 app_s_key[16],
                          const struct profile *profile)
{
    struct device_new n = { .tenant = 1, .dev_eui = dev_eui, .name = S("bench"), .profile = profile, .latitude = NAN,
                            .longitude = NAN, .simulated = true };
    enum err err = registry_put_device(env, &n);
    if (err != OK)
        return err;
    u32 device = registry_add_device(env, &n), index = session_new(env);
    struct session *s = &env->mac->sessions[index];
    s->id            = env_next_id(env);
    s->device        = device;
    s->devaddr       = devaddr;
    s->down_reserved = DOWN_AHEAD;
    s->rx1_delay_s   = 5;
    s->rx2_dr        = profile->region->rx2_dr;
    s->rx2_hz        = profile->region->rx2_hz;
    s->dwell_known   = true;
    s->settled       = talk_mark(env, device);
    if (!wrap_key(env->mac, s->keys[KEY_F_NWK_S_INT], nwk_s_key) || !wrap_key(env->mac, s->keys[KEY_APP_S], app_s_key))
        return ERR_INVALID;
    map_put(&env->mac->by_devaddr, devaddr, index);
    env->mac->devices[device].session[0] = index;
    return session_insert(env, s, 1);
}
