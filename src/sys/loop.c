// SPDX-License-Identifier: Apache-2.0
/* The loop: libuv behind our own words. All of it lives as long as the process. */
#include "sys/sys.h"

#include <uv.h>

struct loop { uv_loop_t uv; loop_call *on_stop; void *on_stop_arg; uv_signal_t signals[3]; };
struct loop_watch { uv_poll_t uv; loop_call *call; void *arg; };
struct loop_timer { uv_timer_t uv; loop_call *call; void *arg; };
struct loop_wake { uv_async_t uv; loop_call *call; void *arg; };

static void need(int rc, const char *what)
{
    if (rc != 0)
        die("the loop: %s: %s", what, uv_strerror(rc));
}

struct loop *loop_make(void)
{
    struct loop *loop = boot_take(sizeof *loop);
    need(uv_loop_init(&loop->uv), "start");
    return loop;
}

void loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

static void readable(uv_poll_t *uv, int status, int events)
{
    struct loop_watch *w = uv->data;
    (void)status, (void)events;
    w->call(w->arg);
}

struct loop_watch *loop_watch(struct loop *loop, int fd, loop_call *call, void *arg)
{
    struct loop_watch *w = boot_take(sizeof *w);
    *w         = (struct loop_watch){ .call = call, .arg = arg };
    w->uv.data = w;
    need(uv_poll_init(&loop->uv, &w->uv, fd), "watch");
    need(uv_poll_start(&w->uv, UV_READABLE, readable), "watch");
    return w;
}

static void closed(uv_handle_t *uv)
{
    boot_release(uv->data);
}

void loop_unwatch(struct loop_watch *w)
{
    uv_close((uv_handle_t *)&w->uv, closed);
}

static void timed(uv_timer_t *uv)
{
    struct loop_timer *t = uv->data;
    t->call(t->arg);
}

struct loop_timer *loop_timer(struct loop *loop, loop_call *call, void *arg)
{
    struct loop_timer *t = boot_take(sizeof *t);
    *t         = (struct loop_timer){ .call = call, .arg = arg };
    t->uv.data = t;
    need(uv_timer_init(&loop->uv, &t->uv), "timer");
    return t;
}

/* Rounded up to libuv's milliseconds: never early. */
void loop_timer_at(struct loop_timer *t, struct mono when)
{
    i64 us = mono_since(when, sys_now());
    uv_update_time(t->uv.loop);
    need(uv_timer_start(&t->uv, timed, us <= 0 ? 0 : (u64)((us + 999) / 1000), 0), "timer");
}

static void woken(uv_async_t *uv)
{
    struct loop_wake *w = uv->data;
    w->call(w->arg);
}

struct loop_wake *loop_wake_make(struct loop *loop, loop_call *call, void *arg)
{
    struct loop_wake *w = boot_take(sizeof *w);
    *w         = (struct loop_wake){ .call = call, .arg = arg };
    w->uv.data = w;
    need(uv_async_init(&loop->uv, &w->uv, woken), "wake");
    return w;
}

void loop_wake(struct loop_wake *w)
{
    (void)uv_async_send(&w->uv);
}

static void signalled(uv_signal_t *uv, int number)
{
    struct loop *loop = uv->data;
    (void)number;
    loop->on_stop(loop->on_stop_arg);
}

void loop_on_stop_signals(struct loop *loop, loop_call *call, void *arg)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
    loop->on_stop     = call;
    loop->on_stop_arg = arg;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        loop->signals[i].data = loop;
        need(uv_signal_init(&loop->uv, &loop->signals[i]), "signal");
        loop->signals[i].data = loop;
        need(uv_signal_start(&loop->signals[i], signalled, numbers[i]), "signal");
    }
}
