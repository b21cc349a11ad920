// SPDX-License-Identifier: Apache-2.0
#include "main/verbs.h"

#include "api/api.h"
#include "edge/codec_child.h"
#include "flow/flow.h"
#include "mac/mac.h"
#include "main/daemon.h"
#include "main/settings.h"
#include "sim/sim.h"
#include "sys/sys.h"

#include <microhttpd.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

static int say(int code, struct str words)
{
    (void)fprintf(stderr, "hotaru: %.*s\n", STR(words));
    return code;
}

static bool read_settings(struct verb_call *call, struct settings *s)
{
    struct str why = S("");
    if (settings_read(s, &call->argc, call->argv, &why, call->boot) == OK)
        return true;
    (void)say(2, why);
    return false;
}

static bool nothing_left(const struct verb_call *call)
{
    if (call->argc == 0)
        return true;
    (void)say(2, str_fmt(call->boot, "%s is not understood", call->argv[0]));
    return false;
}

/* ------------------------------------------------------------------ running */

static bool was_given(int argc, char **argv, const char *name)
{
    for (int i = 0; i < argc; i++)
        if (str_eq(str_z(argv[i]), str_z(name)))
            return true;
    return false;
}

int verb_serve(struct verb_call *call)
{
    struct settings s;
    if (!read_settings(call, &s) || !nothing_left(call))
        return 2;
    return serve(&s, call->boot);
}

int verb_sim(struct verb_call *call)
{
    return sim_main(call->argc + 1, call->argv - 1);
}

/* The city lives in a child of its own, as it would on a machine of its own: it speaks UDP and HTTP only. */
static pid_t start_city(struct verb_call *call, const struct settings *s)
{
    char *words[] = { "hotaru", "sim",
                      "--state", (char *)(uintptr_t)str_fmt(call->boot, "%.*s/city", STR(s->text[SET_data])).p,
                      "--http",  (char *)(uintptr_t)str_fmt(call->boot, "http://%.*s", STR(s->text[SET_http])).p,
                      "--udp",   (char *)(uintptr_t)s->text[SET_udp].p,
                      "--speed", (char *)(uintptr_t)s->text[SET_speed].p, NULL };
    (void)fflush(stdout);
    pid_t daemon = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == daemon)
        (void)execv("/proc/self/exe", words);
    _exit(1);
}

int verb_demo(struct verb_call *call)
{
    struct settings s;
    bool own_speed = was_given(call->argc, call->argv, "--speed");
    if (!read_settings(call, &s) || !nothing_left(call))
        return 2;
    if (!own_speed && s.number[SET_speed] == 1) {
        s.text[SET_speed]   = S("60");
        s.number[SET_speed] = 60;
    }
    s.number[SET_dev] = 1;
    if (sys_folder_make(s.text[SET_data].p) != OK)
        return say(1, str_fmt(call->boot, "the folder %.*s cannot be made", STR(s.text[SET_data])));
    pid_t city = start_city(call, &s);
    if (city < 0)
        return say(1, S("the simulated city cannot be started"));
    printf("A simulated city: nothing here was measured. Open http://%.*s  (Ctrl-C stops both)\n", STR(s.text[SET_http]));
    int code = serve(&s, call->boot);
    (void)kill(city, SIGTERM);
    (void)waitpid(city, NULL, 0);
    return code;
}

int verb_codec_worker(struct verb_call *call)
{
    (void)call;
    codec_worker_main(3);
}

/* ------------------------------------------------------------------ import */

static int print_report(const struct import_report *r, bool dry_run, enum err err)
{
    for (const struct import_error *e = r->first; e; e = e->next)
        printf("line %u, %.*s: %.*s / %.*s\n", e->line, STR(e->column), STR(e->en), STR(e->ja));
    if (err != OK) {
        printf("%u errors in %u rows: nothing was imported\n", r->errors, r->rows);
        return 1;
    }
    printf("%u rows: %u new, %u changed%s\n", r->rows, r->created, r->updated, dry_run ? " (dry run: nothing was written)" : "");
    return 0;
}

static int import_directly(struct verb_call *call, const struct settings *s, enum import_kind kind, struct str csv, bool dry_run)
{
    struct env *env = boot_take(sizeof *env);
    struct import_report report;
    struct str why = S("");
    if (engine_open(env, s, &why, call->boot) != OK)
        return say(1, why);
    enum err err = mac_import(env, 1, kind, csv, dry_run, &report, call->boot);
    engine_close(env);
    if (err != OK && err != ERR_INVALID)
        return say(1, str_fmt(call->boot, "%s; nothing was imported", err_words(err)));
    return print_report(&report, dry_run, err);
}

static int print_answer(struct verb_call *call, int status, struct str body, bool dry_run)
{
    const struct json *doc;
    struct import_report r = { 0 };
    struct import_error **last = &r.first;
    u64 n = 0;
    if ((status != 200 && status != 422) || json_read(&doc, body, call->boot, JSON_STRICT, NULL) != OK)
        return say(1, str_fmt(call->boot, "the daemon answered %d: %.*s", status, STR(body)));
    r.rows    = json_u64(&n, json_get(doc, S("rows"))) ? (u32)n : 0;
    r.created = json_u64(&n, json_get(doc, S("created"))) ? (u32)n : 0;
    r.updated = json_u64(&n, json_get(doc, S("updated"))) ? (u32)n : 0;
    r.errors  = json_u64(&n, json_get(doc, S("errors_total"))) ? (u32)n : 0;
    JSON_EACH (e, json_get(doc, S("errors"))) {
        *last  = arena_new(call->boot, struct import_error);
        **last = (struct import_error){ .line   = json_u64(&n, json_get(e, S("line"))) ? (u32)n : 0,
                                        .column = json_str(json_get(e, S("column")), call->boot),
                                        .ja     = json_str(json_get(e, S("ja")), call->boot),
                                        .en     = json_str(json_get(e, S("en")), call->boot) };
        last = &(*last)->next;
    }
    return print_report(&r, dry_run, status == 200 ? OK : ERR_INVALID);
}

/* The kind is said, or seen in the name of the file: `hotaru import devices.csv`. */
static bool import_words(struct verb_call *call, enum import_kind *kind, const char **file, bool *dry_run)
{
    bool has_kind = false;
    *file = NULL;
    for (int i = 0; i < call->argc; i++) {
        struct str word = str_z(call->argv[i]);
        if (str_eq(word, S("--dry-run")))
            *dry_run = true;
        else if (!has_kind && (str_eq(word, S("devices")) || str_eq(word, S("gateways")))) {
            has_kind = true;
            *kind = str_eq(word, S("devices")) ? IMPORT_DEVICES : IMPORT_GATEWAYS;
        } else if (!*file)
            *file = call->argv[i];
        else
            return false;
    }
    if (*file && !has_kind)
        *kind = str_find(str_z(*file), S("gateway")) >= 0 ? IMPORT_GATEWAYS : IMPORT_DEVICES;
    return *file != NULL;
}

int verb_import(struct verb_call *call)
{
    struct settings s;
    enum import_kind kind = IMPORT_DEVICES;
    const char *file;
    struct bytes csv, token = { NULL, 0 };
    struct str answer, why = S("");
    bool dry_run = false, directly = was_given(call->argc, call->argv, "--data");
    if (!read_settings(call, &s))
        return 2;
    if (!import_words(call, &kind, &file, &dry_run))
        return say(2, S("say what to import: hotaru import devices|gateways FILE.csv [--dry-run]"));
    if (sys_file_read(&csv, file, 64 << 20, call->boot) != OK)
        return say(1, str_fmt(call->boot, "%s cannot be read (64 MB are the most)", file));
    if (directly)
        return import_directly(call, &s, kind, str_of(csv), dry_run);
    (void)sys_file_read(&token, str_fmt(call->boot, "%.*s/admin.token", STR(s.text[SET_data])).p, 1024, call->boot);
    int status = client_post(s.text[SET_http],
                             str_fmt(call->boot, "/v1/import/%s%s", kind == IMPORT_DEVICES ? "devices" : "gateways",
                                     dry_run ? "?dry_run=1" : ""),
                             str_trim(str_of(token)), csv, &answer, &why, call->boot);
    if (status == 0)
        return say(1, str_fmt(call->boot, "%.*s; with --data DIR the folder is written directly", STR(why)));
    return print_answer(call, status, answer, dry_run);
}

/* ------------------------------------------------------------------ explaining */

int verb_why(struct verb_call *call)
{
    struct settings s;
    struct db *db;
    struct str why = S("");
    u8 eui[8];
    size_t n;
    if (!read_settings(call, &s))
        return 2;
    if (call->argc != 1 || !hex_read(eui, 8, &n, str_z(call->argv[0])) || n != 8)
        return say(2, S("a DevEUI of 16 hexadecimal digits is needed"));
    if (db_open(&db, s.text[SET_store].n ? s.text[SET_store] : s.text[SET_data], DB_READER, &why, call->boot) != OK)
        return say(1, why);
    struct db_query *q = db_query(db, "SELECT id, word, gateway, detail FROM refusal WHERE dev_eui = $1 ORDER BY id DESC");
    int rows = 0;
    if (q) {
        db_bind_i64(q, 1, (i64)get_u64be(eui));
        for (; db_step(q) == OK; rows++) {
            struct str word = str_copy(call->boot, db_str(q, 1));
            enum drop drop = drop_named(word);
            const char *words = drop == DROP_KINDS ? "" : drop_words(drop);
            printf("%.*s  %-20.*s %s  (gateway %016llx; %.*s)\n", STR(wall_str(call->boot, (struct wall){ db_i64(q, 0) })),
                   STR(word), words, (unsigned long long)db_i64(q, 2), STR(db_str(q, 3)));
        }
    }
    if (rows == 0)
        printf("Nothing of %s was refused lately.\n", call->argv[0]);
    db_close(db);
    return 0;
}

int verb_drops(struct verb_call *call)
{
    (void)call;
    for (enum drop d = PASS + 1; d < DROP_KINDS; d++)
        printf("%-24s %s\n", drop_name(d), drop_words(d));
    return 0;
}

int verb_routes(struct verb_call *call)
{
    (void)call;
    for (size_t i = 0; i < routes_count; i++)
        printf("%-5s %-36s %-8s %s\n", routes[i].method, routes[i].path, right_words(routes[i].right), routes[i].words);
    return 0;
}

int verb_check(struct verb_call *call)
{
    struct settings s;
    if (!read_settings(call, &s) || !nothing_left(call))
        return 2;
    struct text t = text_make(call->boot, 1 << 16);
    settings_print(&s, &t);
    if (s.text[SET_store].n == 0)
        disk_truth(&t, s.text[SET_data], call->boot);
    printf("%.*s", STR(text_str(&t)));
    return 0;
}

int verb_version(struct verb_call *call)
{
    (void)call;
    printf("hotaru %s\nlibuv %s, libmicrohttpd %s, %s\n", HOTARU_VERSION, uv_version_string(), MHD_get_version(),
           OpenSSL_version(OPENSSL_VERSION));
    return 0;
}

/* ------------------------------------------------------------------ decode */

struct decode_keys { u8 nwk[16], app[16], root[16]; bool has_nwk, has_app, has_root; u32 fcnt; bool has_fcnt; };

static bool decode_words(struct verb_call *call, struct decode_keys *k, struct str *hex)
{
    for (int i = 0; i < call->argc; i++) {
        struct str word = str_z(call->argv[i]), value = i + 1 < call->argc ? str_z(call->argv[i + 1]) : S("");
        size_t n;
        i64 number;
        if (str_eq(word, S("--nwk")))
            i++, k->has_nwk = hex_read(k->nwk, 16, &n, value) && n == 16;
        else if (str_eq(word, S("--app")))
            i++, k->has_app = hex_read(k->app, 16, &n, value) && n == 16;
        else if (str_eq(word, S("--keys"))) {
            struct str nwk = str_cut(&value, ',');
            i++;
            k->has_nwk = hex_read(k->nwk, 16, &n, nwk) && n == 16;
            k->has_app = hex_read(k->app, 16, &n, value) && n == 16;
        } else if (str_eq(word, S("--key")))
            i++, k->has_root = hex_read(k->root, 16, &n, value) && n == 16;
        else if (str_eq(word, S("--fcnt")))
            i++, k->has_fcnt = str_to_i64(&number, value) && number >= 0 && number <= UINT32_MAX, k->fcnt = (u32)number;
        else if (hex->n == 0)
            *hex = word;
        else
            return false;
    }
    return hex->n > 0;
}

static void decode_data(struct arena *a, const struct decode_keys *k, struct bytes phy)
{
    struct lora_frame f, open;
    struct lora_key nwk = { 0 }, app = { 0 };
    u8 room[LORA_AIR_MAX];
    if (!k->has_nwk || lora_frame_parse(&f, phy) != LORA_OK)
        return;
    lora_key_set(&nwk, k->nwk);
    if (k->has_app)
        lora_key_set(&app, k->app);
    struct lora_session s = { false, &nwk, &nwk, &nwk, k->has_app ? &app : NULL };
    u32 fcnt = k->has_fcnt ? k->fcnt : f.fcnt_low;
    printf("MIC %s for FCnt %u\n", lora_frame_verify(&f, &s, fcnt, (struct lora_mic_terms){ 0 }) ? "right" : "WRONG", fcnt);
    lora_frame_open(&open, room, &f, &s, fcnt);
    if (f.fport != FPORT_NONE && (k->has_app || f.fport == 0))
        printf("FRMPayload in clear: %.*s\n", STR(hex_str(a, open.payload)));
    if (f.fport == 0) {
        struct text t = text_make(a, 1 << 16);
        lora_commands_text(&t, open.payload, lora_mtype_dir(f.mtype));
        printf("%.*s\n", STR(text_str(&t)));
    }
    lora_key_clear(&nwk);
    lora_key_clear(&app);
}

static void decode_join(const struct decode_keys *k, struct bytes phy)
{
    struct lora_join_request r;
    struct lora_join_accept a;
    struct lora_key key = { 0 };
    u8 room[LORA_AIR_MAX];
    if (!k->has_root)
        return;
    lora_key_set(&key, k->root);
    if (lora_join_request_parse(&r, phy) == LORA_OK)
        printf("MIC %s\n", lora_mic_plain(&key, r.signed_part) == r.mic ? "right" : "WRONG");
    else if (lora_join_accept_open(&a, room, phy, &key) == LORA_OK)
        printf("JoinNonce %06x NetID %06x DevAddr %08x RxDelay %u RX1DROffset %u RX2DR %u; MIC %s\n", a.join_nonce, a.net_id,
               a.devaddr, a.rx_delay, a.rx1_dr_offset, a.rx2_dr,
               lora_join_accept_verify(&a, &key, (struct lora_join_terms){ 0 }) ? "right" : "WRONG");
    lora_key_clear(&key);
}

int verb_decode(struct verb_call *call)
{
    struct decode_keys k = { 0 };
    struct str hex = S("");
    u8 phy[LORA_AIR_MAX];
    size_t n;
    if (!decode_words(call, &k, &hex))
        return say(2, S("a frame in hexadecimal digits is needed, and keys as --keys NWKSKEY,APPSKEY or --key APPKEY"));
    if (!hex_read(phy, sizeof phy, &n, hex))
        return say(2, S("these are not hexadecimal digits of at most 255 bytes"));
    struct text t = text_make(call->boot, 1 << 16);
    lora_phy_text(&t, (struct bytes){ phy, n });
    printf("%.*s\n", STR(text_str(&t)));
    decode_data(call->boot, &k, (struct bytes){ phy, n });
    decode_join(&k, (struct bytes){ phy, n });
    return 0;
}

/* ------------------------------------------------------------------ benches */

/* `bench-fill --data DIR DEVICES GATEWAYS PROFILE`: the sessions of `hotaru sim --load`, without joins. */
int verb_bench_fill(struct verb_call *call)
{
    struct settings s;
    struct str why = S("");
    i64 devices, gateways;
    if (!read_settings(call, &s) || call->argc != 3 || !str_to_i64(&devices, str_z(call->argv[0])) ||
        !str_to_i64(&gateways, str_z(call->argv[1])))
        return say(2, S("bench-fill --data DIR DEVICES GATEWAYS PROFILE"));
    struct env *env = boot_take(sizeof *env);
    if (engine_open(env, &s, &why, call->boot) != OK)
        return say(1, why);
    const struct profile *profile = profile_find(&env->profiles, str_z(call->argv[2]));
    enum err err = profile ? OK : ERR_NOT_FOUND;
    for (i64 i = 0; i < gateways && err == OK; i++)
        err = mac_bench_gateway(env, sim_bench_gateway((u64)i));
    for (i64 i = 0; i < devices && err == OK; i++) {
        u64 eui;
        u32 addr;
        u8 nwk[16], app[16];
        sim_bench_device((u64)i, &eui, &addr, nwk, app);
        err = mac_bench_device(env, eui, addr, nwk, app, profile);
        if (err == OK && i % 10000 == 9999) {
            err = flow_commit(env);
            flow_done(env);
        }
    }
    if (err == OK)
        err = flow_commit(env);
    engine_close(env);
    return err == OK ? 0 : say(1, str_z(err_words(err)));
}
