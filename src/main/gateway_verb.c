// SPDX-License-Identifier: Apache-2.0
/*
 * `hotaru gateway key EUI`: a new token for a gateway that runs Basics Station, or its own certificate, or the word
 * that what it has shall be replaced when it next asks for its settings (CUPS). Writes the folder directly, so the
 * daemon must not run on it meanwhile.
 */
#include "access/access.h"
#include "edge/tls.h"
#include "flow/flow.h"
#include "mac/mac.h"
#include "main/daemon.h"
#include "main/settings.h"
#include "main/verbs.h"

#include <stdio.h>

#define USAGE "hotaru gateway key EUI [CERTIFICATE.pem] [--days N] [--rotate] --data DIR"
#define DAY_US (86400 * US_PER_S)

struct gateway_words { u64 eui; const char *certificate; i64 days; bool rotate; };

static int say(int code, const char *words)
{
    (void)fprintf(stderr, "hotaru: %s\n", words);
    return code;
}

static bool read_words(const struct verb_call *call, struct gateway_words *w)
{
    u8 eui[8];
    size_t n;
    if (call->argc < 2 || !str_eq(str_z(call->argv[0]), S("key")) || !hex_read(eui, 8, &n, str_z(call->argv[1])) || n != 8)
        return false;
    *w = (struct gateway_words){ .eui = get_u64be(eui) };
    for (int i = 2; i < call->argc; i++) {
        struct str word = str_z(call->argv[i]);
        if (str_eq(word, S("--rotate")))
            w->rotate = true;
        else if (str_eq(word, S("--days")) && i + 1 < call->argc) {
            if (!str_to_i64(&w->days, str_z(call->argv[++i])) || w->days < 1 || w->days > 36500)
                return false;
        } else if (!str_starts(word, S("--")) && !w->certificate)
            w->certificate = call->argv[i];
        else
            return false;
    }
    return !(w->rotate && w->certificate);
}

static enum err rotate(struct env *env, u64 tenant, u64 eui, size_t *marked)
{
    struct gateway_key all[GATEWAY_KEYS_MAX];
    size_t n;
    enum err err = access_gateway_keys(all, &n, env->db, tenant, eui);
    for (size_t i = 0; i < n && err == OK; i++) {
        if (!(all[i].doors & DOOR_LNS))
            continue;
        all[i].replaced = true;
        err = access_gateway_key_put(env->db, &all[i]);
        ++*marked;
    }
    return err;
}

static int print_rotated(size_t marked)
{
    if (marked == 0)
        return say(1, "this gateway has no key that could be replaced");
    printf("It is given a new token when it next asks for its settings; the old one is good until it has used that.\n");
    return 0;
}

static int change(struct verb_call *call, struct env *env, const struct gateway_words *w)
{
    struct gateway_key key = { .tenant = 1, .eui = w->eui, .doors = DOOR_LNS | DOOR_CUPS, .created_us = env_clock(env).us, .crc = -1 };
    struct str token = S("");
    size_t marked = 0;
    if (mac_gateway(env->mac, w->eui) == MAC_NONE)
        return say(1, "this gateway is not registered: import it first");
    key.expires_us = w->days ? key.created_us + w->days * DAY_US : 0;
    key.kind       = w->certificate ? KEY_CERTIFICATE : KEY_TOKEN;
    if (w->certificate && !tls_print(w->certificate, key.hash))
        return say(1, "there is no certificate in PEM in that file");
    enum err err = db_begin(env->db);
    if (err != OK)
        return say(1, err_words(err));
    err = w->rotate      ? rotate(env, 1, w->eui, &marked)
        : w->certificate ? access_gateway_key_put(env->db, &key)
                         : access_gateway_token_new(env->db, &key, env->random, env->world, &token, call->boot);
    if (err == OK)
        err = db_commit(env->db);
    else
        db_rollback(env->db);
    if (err == ERR_FULL)
        return say(1, "this gateway has eight keys already");
    if (err != OK)
        return say(1, err_words(err));
    if (w->rotate)
        return print_rotated(marked);
    if (token.n > 0)
        printf("Authorization: Bearer %.*s\nThis line is shown once. It belongs into the gateway's tc.key and cups.key.\n", STR(token));
    else
        printf("The gateway comes in with that certificate.\n");
    return 0;
}

int verb_gateway(struct verb_call *call)
{
    struct settings s;
    struct gateway_words w;
    struct str why = S("");
    if (settings_read(&s, &call->argc, call->argv, &why, call->boot) != OK)
        return say(2, str_copy(call->boot, why).p);
    if (!read_words(call, &w))
        return say(2, USAGE);
    struct env *env = boot_take(sizeof *env);
    if (engine_open(env, &s, &why, call->boot) != OK)
        return say(1, str_copy(call->boot, why).p);
    int code = change(call, env, &w);
    engine_close(env);
    return code;
}
