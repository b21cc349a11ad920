// SPDX-License-Identifier: Apache-2.0
/*
 * The daemon: doors around one loop. Every door ends in finish(): the batch has been committed (or
 * not), its intents are carried out, those who watch are told, and the next thing that is due is put
 * into the timer. An I/O error of the store is final: exit 75, and the supervisor starts us again. One
 * of its pages that is damaged is final, too: exit 1, because no start would mend it.
 */
#include "main/daemon.h"

#include "api/api.h"
#include "edge/capture.h"
#include "edge/gateways.h"
#include "edge/http.h"
#include "edge/stations.h"
#include "flow/flow.h"
#include "mac/mac.h"
#include "sys/lock.h"
#include "sys/sys.h"

#include <stdio.h>
#include <unistd.h>

#define TURN_US     (10 * US_PER_MS)     /* how often things that are due are looked at while there are any */
#define REST_US     (200 * US_PER_MS)    /* and when there are none */
#define FOLD_US     (1 * US_PER_S)       /* how often the log is folded into the store when all is quiet */
#define BEHIND_ROWS 256                  /* rows written behind at a time */
#define PING_US     (15 * US_PER_S)
#define EXIT_AGAIN  75                   /* the supervisor starts us again */
#define EXIT_NEVER  1
#define ADVICE      "The store is damaged: `hotaru fsck` says where, `hotaru backup` saves what can be read, " \
                    "`hotaru restore` puts a backup in its place"
#define BUSY_PER_S  500                  /* datagrams a second from which on rows behind wait for a quieter moment … */
#define BEHIND_MAX  100000               /* … but not more of them than this, so that a start has few events to read again … */
#define BEHIND_US   (20 * US_PER_S)      /* … and not for longer, so that pages do not call silent who was heard */

struct daemon {
    struct env env;
    const struct settings *set;
    struct loop *loop;
    struct loop_timer *timer;
    struct loop_wake *writes;
    struct udp *udp;
    struct gateways *gateways;
    struct broker *broker;
    struct stations *stations;               /* NULL: no address was set for them */
    struct http *http;
    struct decoder *decoder;
    struct capture *capture;
    struct api api;
    struct api_counts counts;
    struct mono folded, pinged, written, quiet, kept;
    u64 datagrams_before;
    i64 told_id;                         /* those who watch know of everything up to it */
    bool behind;                         /* too many rows are: all of them are written, each turn some */
    bool stopping;
    int exit_code;
};

/* ------------------------------------------------------------------ the end of a batch */

static void carry_out(struct daemon *d)
{
    for (struct intent *i = d->env.outbox.first; i; i = i->next) {
        if (i->kind == INTENT_DOWNLINK)
            gateways_send(d->gateways, &i->downlink);
        else
            decoder_ask(d->decoder, &i->uplink);
    }
    flow_done(&d->env);
}

static void store_failed(struct daemon *d, enum err err)
{
    if (err == ERR_FULL) {
        if (!d->env.full)
            log_line(LOG_ERROR, "store full: new data are refused, nothing accepted is lost; make room");
        d->env.full = true;
        db_release_reserve(d->env.db);                 /* for counters, answers and retention */
        return;
    }
    if (err == ERR_BUSY) {                             /* PostgreSQL, SQLSTATE 40001: nothing happened, the next batch may go */
        log_line(LOG_WARN, "store busy: a batch was refused and not acknowledged");
        return;
    }
    d->exit_code = err == ERR_DAMAGED ? EXIT_NEVER : EXIT_AGAIN;
    log_line(LOG_ERROR, "store failed: %s; stopping%s", err_words(err),
             err == ERR_DAMAGED ? ". " ADVICE : ", so that a restart reads what is on the disk");
    loop_stop(d->loop);
}

static void finish(struct daemon *d, enum err committed)
{
    if (committed != OK) {
        flow_done(&d->env);
        api_count(&d->api);                            /* what was refused is seen while it is refused */
        store_failed(d, committed);
        return;
    }
    carry_out(d);
    api_count(&d->api);
    if (d->told_id == d->env.stored_id)
        return;
    d->told_id = d->env.stored_id;
    http_wake_streams(d->http, false);
}

static void commit(void *arg)
{
    struct daemon *d = arg;
    finish(d, flow_commit(&d->env));
    /* What carrying out wrote (a codec that is missing, a queue that is full) is a batch of its own. */
    if (d->env.open)
        finish(d, flow_commit(&d->env));
}

/* ------------------------------------------------------------------ what wakes us */

static void schedule(struct daemon *d)
{
    bool busy = decoder_busy(d->decoder) || d->counts.windows > 0 || d->counts.dirty > 0;
    struct mono at = mono_after(sys_now(), busy ? TURN_US : REST_US), due = gateways_due(d->gateways);
    loop_timer_at(d->timer, mono_before(due, at) ? due : at);
}

/* The end of what a door of gateways took in; what one gateway refused leaves by the next at once. */
static void taken(struct daemon *d, enum err err)
{
    finish(d, err);
    if (err == OK && !mono_before(sys_now(), gateways_due(d->gateways)))
        (void)gateways_tick(d->gateways);
    if (d->env.open)
        commit(d);
}

static void datagrams(void *arg)
{
    struct daemon *d = arg;
    taken(d, gateways_receive(d->gateways));
}

static void stations(void *arg)
{
    struct daemon *d = arg;
    taken(d, stations_receive(d->stations));
}

/* As datagrams(), for gateways behind a broker. */
static void messages(void *arg)
{
    struct daemon *d = arg;
    enum err err = OK;
    if (broker_turn(d->broker, &err))
        taken(d, err);
}

static void writes(void *arg)
{
    struct daemon *d = arg;
    if (http_run_writes(d->http) == 0)
        return;
    enum err err = flow_commit(&d->env);
    http_finish_writes(d->http, err);
    finish(d, err);
}

static bool is_busy(struct daemon *d, struct mono now)
{
    u64 datagrams = d->env.counted[COUNT_BATCHED] - d->datagrams_before;
    d->datagrams_before = d->env.counted[COUNT_BATCHED];
    return (i64)datagrams * US_PER_S > BUSY_PER_S * mono_since(now, d->written);
}

/* Rows behind and the log: when nobody waits, except that neither may grow without end. A checkpoint
 * writes back the pages that rows behind have touched, so it is cheap while they wait. The mark that says
 * from which event on a start must read moves with a whole round over the rows: one that was begun because
 * too many are behind is gone to its end. */
static void housekeeping(struct daemon *d)
{
    struct mono now = sys_now();
    d->behind = d->behind ? mac_numbers(d->env.mac).round : d->counts.dirty > BEHIND_MAX;
    if (mono_since(now, d->written) >= (d->behind ? TURN_US : 4 * TURN_US)) {
        bool busy = is_busy(d, now);
        d->written = now;
        enum err err = OK;
        bool late = mono_since(now, d->quiet) > BEHIND_US;
        size_t rows = !busy || late || d->behind ? flow_idle(&d->env, BEHIND_ROWS, &err) : 0;
        if (rows > 0)
            api_count(&d->api);
        if (!busy || (late && rows < BEHIND_ROWS))
            d->quiet = now;
        if (err == OK && (!busy || d->env.full || mono_since(now, d->kept) >= FOLD_US)) {
            d->kept = now;
            (void)flow_keep(&d->env, &err);
        }
        if (err != OK)
            store_failed(d, err);
    }
    if (d->env.full && db_has_room(d->env.db)) {
        log_line(LOG_INFO, "store room=again");
        d->env.full = false;
        api_count(&d->api);
    }
    if (mono_since(now, d->folded) >= FOLD_US) {
        enum err err = db_idle(d->env.db, d->set->number[SET_wal_mb] << 20);
        d->folded = sys_now();
        if (err != OK)
            store_failed(d, err);
    }
    if (mono_since(now, d->pinged) >= PING_US) {
        d->pinged = now;
        http_wake_streams(d->http, true);
    }
}

static void turn(void *arg)
{
    struct daemon *d = arg;
    arena_reset(&d->env.event);
    (void)flow_tick(&d->env);
    (void)gateways_tick(d->gateways);
    if (d->stations && stations_tick(d->stations))
        api_count(&d->api);                            /* who was hung up on is seen at once */
    decoder_tick(d->decoder);
    if (d->env.open || d->env.outbox.count || d->env.failed != OK)
        commit(d);
    if (d->exit_code == 0)
        messages(d);
    if (d->exit_code == 0)
        housekeeping(d);
    schedule(d);
}

static void stop(void *arg)
{
    struct daemon *d = arg;
    d->stopping = true;
    loop_stop(d->loop);
}

/* ------------------------------------------------------------------ start and stop */

static bool fail(struct str why)
{
    (void)fprintf(stderr, "hotaru: %.*s\n", STR(why));
    return false;
}

static bool open_capture(struct daemon *d, struct str *why, struct arena *boot)
{
    i64 ring_bytes = d->set->number[SET_capture_mb] << 20;
    if (ring_bytes == 0)
        return true;
    d->capture = capture_open(d->set->text[SET_data].p, ring_bytes, why, boot);
    capture_put(d->capture, &(struct capture_record){ .kind = CAPTURE_START, .mono = sys_now(), .wall = sys_clock(),
                                                      .bytes = bytes_of(S(HOTARU_VERSION)) });
    d->env.world = d->api.capture = d->capture;
    return d->capture != NULL;
}

/* Its certificate stands in the data folder; without one it serves this machine only. */
static bool open_stations(struct daemon *d, struct str *why, struct arena *boot)
{
    struct str data = d->set->text[SET_data], at = d->set->text[SET_lns];
    struct stations_settings set = { .plan = lora_plan_by_name(d->set->text[SET_plan]), .dev = d->set->number[SET_dev] != 0 };
    const char *certificate = str_fmt(boot, "%.*s/lns.crt", STR(data)).p, *key = str_fmt(boot, "%.*s/lns.key", STR(data)).p;
    i64 bytes;
    if (at.n == 0)
        return true;
    *why = S("lns: an address and a port are needed, such as 0.0.0.0:8887");
    if (!address_read(&set.at, at))
        return false;
    *why = S("dev asks no login and is for addresses of this machine only");
    if (set.dev && !address_is_loopback(set.at))
        return false;
    if (sys_file_size(&bytes, certificate)) {
        set.certificate = certificate;
        set.key         = key;
    }
    d->stations = stations_open(&d->env, gateways_downs(d->gateways), &set, why, boot);
    if (d->stations)
        (void)loop_watch(d->loop, stations_fd(d->stations), stations, d);
    return d->stations != NULL;
}

static bool open_doors(struct daemon *d, struct arena *boot)
{
    struct str why = S("");
    struct address udp_at, http_at;
    if (!address_read(&udp_at, d->set->text[SET_udp]))
        return fail(S("udp: an address and a port are needed, such as 127.0.0.1:1700"));
    if (!address_read(&http_at, d->set->text[SET_http]))
        return fail(S("http: an address and a port are needed, such as 127.0.0.1:8080"));
    if (d->set->number[SET_dev] && !(address_is_loopback(udp_at) && address_is_loopback(http_at)))
        return fail(S("dev asks no login and is for addresses of this machine only"));
    d->udp = udp_open(udp_at, (int)(d->set->number[SET_receive_mb] << 20), &why, boot);
    if (!d->udp)
        return fail(why);
    if (!open_capture(d, &why, boot))
        return fail(why);
    d->gateways = gateways_make(&d->env, d->udp);
    gateways_capture(d->gateways, d->capture);
    d->decoder  = decoder_make(&d->env, d->set, d->loop, commit, d, boot);
    decoder_capture(d->decoder, d->capture);
    struct http_calls calls = api_calls(&d->api);
    d->http = http_open(http_at, &calls, d->writes, (int)d->set->number[SET_http_threads], &why, boot);
    if (!d->http)
        return fail(why);
    if (!open_stations(d, &why, boot))
        return fail(why);
    if (!broker_open(&d->broker, &d->env, gateways_downs(d->gateways), d->set, d->loop, messages, d, &why, boot))
        return fail(why);
    (void)loop_watch(d->loop, udp_fd(d->udp), datagrams, d);
    return true;
}

static void make_api(struct daemon *d)
{
    d->api = (struct api){ .env      = &d->env,
                           .profiles = &d->env.profiles,
                           .access   = { .dev = d->set->number[SET_dev] != 0 },
                           .city_ja  = d->set->text[SET_city_ja],
                           .city_en  = d->set->text[SET_city_en],
                           .version  = S(HOTARU_VERSION),
                           .speed    = (double)d->set->number[SET_speed],
                           .started  = sys_now(),
                           .readers  = readers_make(d->set->text[d->set->text[SET_store].n ? SET_store : SET_data]),
                           .counts   = &d->counts,
                           .damage   = d->env.damage,
                           .counts_lock = lock_make() };
    readers_watch(d->api.readers, d->env.damage);
}

static void say_ready(struct daemon *d, struct arena *boot)
{
    struct address at;
    (void)address_read(&at, d->set->text[SET_http]);
    at.port = http_port(d->http);
    struct str lns = d->stations ? str_fmt(boot, " lns %.*s", STR(address_str(boot, stations_address(d->stations)))) : S("");
    printf("hotaru %s ready: http://%.*s udp %.*s%.*s store %.*s devices %lld gateways %lld\n", HOTARU_VERSION,
           STR(address_str(boot, at)), STR(address_str(boot, udp_address(d->udp))), STR(lns), STR(db_version(d->env.db, boot)),
           (long long)d->counts.devices, (long long)d->counts.gateways);
    (void)fflush(stdout);
}

static void close_doors(struct daemon *d)
{
    if (d->http)
        http_close(d->http);
    if (d->decoder)
        decoder_close(d->decoder);
    if (d->stations)
        stations_close(d->stations);
    broker_close(d->broker);
    if (d->gateways)
        gateways_close(d->gateways);
    if (d->udp)
        udp_close(d->udp);
    capture_close(d->capture);
    if (d->api.readers)
        readers_close(d->api.readers);
}

/* What waits in memory only: rows behind. What was accepted is on the disk already. */
static void write_all_behind(struct daemon *d)
{
    enum err err = OK;
    while (d->exit_code == 0 && flow_idle(&d->env, BEHIND_ROWS * 4, &err) > 0)
        ;
    if (d->exit_code == 0 && err == OK)
        err = flow_keep_last(&d->env);
    if (err != OK)                                     /* the next start rolls them forward from the events */
        store_failed(d, err);
    else if (d->exit_code == 0)
        (void)db_idle(d->env.db, 0);
}

int serve(const struct settings *settings, struct arena *boot)
{
    struct daemon *d = boot_take(sizeof *d);
    struct str why = S("");
    d->set = settings;
    sys_no_core_dumps();
    enum err err = engine_open(&d->env, settings, &why, boot);
    if (err != OK) {
        (void)fail(err == ERR_DAMAGED ? str_fmt(boot, "%.*s. %s", STR(why), ADVICE) : why);
        engine_close(&d->env);
        return err == ERR_IO || err == ERR_FULL ? EXIT_AGAIN : EXIT_NEVER;      /* a disk may be well again a little later */
    }
    d->loop   = loop_make();
    d->timer  = loop_timer(d->loop, turn, d);
    d->writes = loop_wake_make(d->loop, writes, d);
    make_api(d);
    api_count(&d->api);
    if (open_doors(d, boot)) {
        loop_on_stop_signals(d->loop, stop, d);
        schedule(d);
        say_ready(d, boot);
        loop_run(d->loop);
        if (d->stopping)
            write_all_behind(d);
    } else {
        d->exit_code = 1;
    }
    close_doors(d);
    engine_close(&d->env);
    if (d->stopping)
        log_line(LOG_INFO, "stopped");
    return d->exit_code;
}
