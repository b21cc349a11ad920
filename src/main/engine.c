// SPDX-License-Identifier: Apache-2.0
/* The store, the profiles, the key file and the stages: everything below the doors. */
#include "main/daemon.h"

#include "access/access.h"
#include "base/embedded.h"
#include "codec/codec.h"
#include "edge/capture.h"
#include "flow/flow.h"
#include "mac/mac.h"
#include "sys/sys.h"

#include <dirent.h>
#include <openssl/crypto.h>
#include <sys/stat.h>

#define PROFILES_MAX 1024

static struct mono world_now(void *world)
{
    (void)world;
    return sys_now();
}

static struct wall world_clock(void *world)
{
    (void)world;
    return sys_clock();
}

/* `world` is the capture, or NULL. Short draws (addresses, tokens) are kept so that a replay takes the
 * same way; keys are longer and are not. */
static void world_random(void *world, u8 *out, size_t n)
{
    sys_random(out, n);
    if (world && n <= CAPTURE_CHANCE_MAX)
        capture_put(world, &(struct capture_record){ .kind = CAPTURE_CHANCE, .mono = sys_now(), .wall = sys_clock(),
                                                     .bytes = { out, n } });
}

struct env engine_env(void)
{
    return (struct env){ .now = world_now, .clock = world_clock, .random = world_random,
                         .event = arena_make(1 << 16), .batch = arena_make(1 << 20) };
}

/* ------------------------------------------------------------------ profiles */

static size_t embedded_profiles(struct profile_text *out)
{
    size_t n = 0;
    for (const struct embedded *e = embedded_files; e->name && n < PROFILES_MAX; e++)
        if (str_starts(str_z(e->name), S("data/profiles/")) && str_ends(str_z(e->name), S(".json")))
            out[n++] = (struct profile_text){ str_z(e->name), { (const char *)e->p, (size_t)e->n } };
    return n;
}

static enum err folder_profiles(struct profile_text *out, size_t *n, struct str folder, struct str *why, struct arena *boot)
{
    DIR *dir = opendir(folder.p);
    if (!dir) {
        *why = str_fmt(boot, "the folder of profiles %.*s cannot be read", STR(folder));
        return ERR_INVALID;
    }
    for (struct dirent *e; (e = readdir(dir)) && *n < PROFILES_MAX;) {
        struct bytes file;
        struct str   path = str_fmt(boot, "%.*s/%s", STR(folder), e->d_name);
        if (str_ends(path, S(".json")) && sys_file_read(&file, path.p, 1 << 20, boot) == OK)
            out[(*n)++] = (struct profile_text){ path, str_of(file) };
    }
    (void)closedir(dir);
    return OK;
}

static enum err read_profiles(struct env *env, const struct settings *s, struct str *why, struct arena *boot)
{
    struct profile_text *texts = arena_array(boot, struct profile_text, PROFILES_MAX);
    struct codecs *codecs = arena_new(boot, struct codecs);
    size_t n = embedded_profiles(texts);
    enum err err = s->text[SET_profiles].n ? folder_profiles(texts, &n, s->text[SET_profiles], why, boot) : OK;
    if (err == OK)
        err = profiles_read(&env->profiles, texts, n, why, boot);
    if (err == OK)
        err = codecs_parse(codecs, &env->profiles, why, boot);
    env->codecs = codecs;
    return err;
}

enum err codec_source(struct str *out, const struct settings *s, struct str file, struct arena *boot)
{
    struct bytes found = { NULL, 0 };
    if (memchr(file.p, '/', file.n))
        return ERR_INVALID;
    if (s->text[SET_codecs].n &&
        sys_file_read(&found, str_fmt(boot, "%.*s/%.*s", STR(s->text[SET_codecs]), STR(file)).p, 1 << 20, boot) == OK) {
        *out = str_of(found);
        return OK;
    }
    found = embedded_file(str_fmt(boot, "data/codecs/%.*s", STR(file)));
    *out  = str_of(found);
    return found.p ? OK : ERR_NOT_FOUND;
}

/* ------------------------------------------------------------------ the key file */

static bool others_may_read(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && (st.st_mode & 077) != 0;
}

/* A store with devices holds wrapped keys: a new key file could never open them, and hides what is missing. */
static bool store_has_keys(struct env *env)
{
    struct db_query *q = db_query(env->db, "SELECT 1 FROM device LIMIT 1");
    bool has = !q || db_step(q) == OK;
    if (q)
        db_reset(q);
    return has;
}

static enum err read_kek(struct env *env, u8 kek[32], const struct settings *s, struct str *why, struct arena *boot)
{
    bool own = s->text[SET_kek_file].n > 0;
    struct str path = own ? s->text[SET_kek_file] : str_fmt(boot, "%.*s/kek", STR(s->text[SET_data]));
    struct bytes file;
    size_t n;
    enum err err = sys_file_read(&file, path.p, 1024, boot);
    if (err == ERR_NOT_FOUND && store_has_keys(env)) {
        *why = str_fmt(boot, "the key file %.*s is missing, and this store was made with one: put it back", STR(path));
        return ERR_DENIED;
    }
    if (err == ERR_NOT_FOUND) {
        sys_random(kek, 32);
        struct str text = str_fmt(boot, "%.*s\n", STR(hex_str(boot, (struct bytes){ kek, 32 })));
        err = sys_file_write(path.p, bytes_of(text), 0600);
        if (err != OK)
            *why = str_fmt(boot, "the key file %.*s cannot be written", STR(path));
        return err;
    }
    if (err != OK || !hex_read(kek, 32, &n, str_trim(str_of(file))) || n != 32) {
        *why = str_fmt(boot, "the key file %.*s cannot be read: 64 hexadecimal digits are needed", STR(path));
        return err == OK ? ERR_INVALID : err;
    }
    if (others_may_read(path.p)) {
        *why = str_fmt(boot, "the key file %.*s can be read by others: chmod 600 it", STR(path));
        return ERR_DENIED;
    }
    return OK;
}

/* ------------------------------------------------------------------ the engine */

/* The first start leaves one key for the administrator, readable by the daemon's user only. */
static enum err first_token(struct env *env, const struct settings *s, struct arena *boot)
{
    struct db_query *q = env_query(env, "SELECT 1 FROM token LIMIT 1");
    struct str token;
    if (!q)
        return env->failed;
    enum err err = db_step(q);
    db_reset(q);
    if (err != ERR_NOT_FOUND)
        return err;
    err = access_token_new(env->db, 1, RIGHT_ADMIN, S("first start"), env_clock(env).us, env->random, env->world, &token, boot);
    if (err != OK)
        return err;
    return sys_file_write(str_fmt(boot, "%.*s/admin.token", STR(s->text[SET_data])).p,
                          bytes_of(str_fmt(boot, "%.*s\n", STR(token))), 0600);
}

static enum err start_mac(struct env *env, const struct settings *s, struct str *why, struct arena *boot)
{
    u8 kek[32];
    struct mac_settings mac = { .net_id      = (u32)s->number[SET_net_id],
                                .window_us   = s->number[SET_window_ms] * US_PER_MS,
                                .keys_cached = (u32)s->number[SET_keys_cached] };
    if (mac.keys_cached & (mac.keys_cached - 1)) {
        *why = S("keys_cached must be a power of two");
        return ERR_INVALID;
    }
    if (s->text[SET_plan].n && !(mac.plan = lora_plan_by_name(s->text[SET_plan]))) {
        *why = str_fmt(boot, "plan = %.*s: there is no such plan", STR(s->text[SET_plan]));
        return ERR_INVALID;
    }
    enum err err = read_kek(env, kek, s, why, boot);
    mac.kek = (struct bytes){ kek, sizeof kek };
    if (err == OK)
        err = mac_start(env, &mac, why);
    lora_wipe(kek, sizeof kek);
    return err;
}

/* What the schema's own text was when its version was new: no row's sum covers that text. */
static enum err keep_schema_sum(struct env *env, struct arena *boot)
{
    struct str name = str_fmt(boot, "schema %lld", (long long)db_schema_version(env->db));
    i64 sum = (i64)db_schema_sum(env->db), was;
    enum err err = mac_mark_read(env->db, name.p, &was);
    if (err == ERR_INVALID || (err == OK && was != 0 && was != sum))
        db_damage_note(env->db, "sqlite_schema", S("its text"));
    if (err == OK && was == 0 && sum != 0)
        err = mac_mark_write(env, name.p, sum);
    return err == ERR_INVALID ? OK : err;
}

enum err engine_open(struct env *env, const struct settings *s, struct str *why, struct arena *boot)
{
    *env = engine_env();
    env->sim_speed = (double)s->number[SET_speed];
    if (!OSSL_LIB_CTX_get0_global_default())          /* OpenSSL 3.0 makes it when first used, and then looks behind NULL */
        die("out of memory: OpenSSL cannot begin");
    enum err err = sys_folder_make(s->text[SET_data].p);
    if (err != OK) {
        *why = str_fmt(boot, "the data folder %.*s cannot be made", STR(s->text[SET_data]));
        return err;
    }
    if ((err = read_profiles(env, s, why, boot)) != OK)
        return err;
    struct str store = s->text[SET_store].n ? s->text[SET_store] : s->text[SET_data];
    if ((err = db_open(&env->db, store, DB_WRITER, why, boot)) != OK)
        return err;
    env->damage = db_damage_make();
    db_damage_watch(env->db, env->damage);
    if ((err = start_mac(env, s, why, boot)) != OK)
        return err;
    if ((err = keep_schema_sum(env, boot)) != OK)
        return err;
    flow_keep_start(env, s->number[SET_keep_days] * 86400 * US_PER_S);
    *why = S("the store cannot be written");
    if ((err = first_token(env, s, boot)) == OK)
        err = flow_commit(env);
    flow_done(env);
    return err == OK ? db_idle(env->db, 0) : err;      /* a whole checkpoint, and the reserve, before the first answer */
}

void engine_close(struct env *env)
{
    mac_stop(env);
    flow_keep_stop(env);
    if (env->db)
        db_close(env->db);
    env->db = NULL;
    db_damage_free(env->damage);
    env->damage = NULL;
    arena_free(&env->event);
    arena_free(&env->batch);
}
