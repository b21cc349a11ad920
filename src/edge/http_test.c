// SPDX-License-Identifier: Apache-2.0
/* The HTTP door with real connections of this machine. What it carries is tested in api/ and from outside. */
#include "base/test.h"
#include "edge/http.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Requests arrive one after another: the first waits for the loop, the second is being read when the door closes. */
struct visit {
    pthread_mutex_t lock;
    pthread_cond_t  told;
    struct loop *loop;
    int asked, refused;
};

/* Or until it can no longer come: then the fact is false, and not the test endless. */
static void wait_until(struct visit *v, int *number, int least)
{
    struct timespec end;
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 10;
    while (*number < least && pthread_cond_timedwait(&v->told, &v->lock, &end) == 0)
        ;
}

/* Holds the second request back until the first one is being refused. */
static enum http_where route(void *of, struct http_request *rq, size_t *body_max)
{
    struct visit *v = of;
    (void)rq;
    *body_max = 100;
    pthread_mutex_lock(&v->lock);
    v->asked++;
    pthread_cond_broadcast(&v->told);
    if (v->asked == 2)
        wait_until(v, &v->refused, 1);
    pthread_mutex_unlock(&v->lock);
    return HTTP_WRITES;
}

static void failed(void *of, struct http_request *rq, struct http_answer *a, enum err err)
{
    struct visit *v = of;
    (void)rq;
    *a = (struct http_answer){ .status = err == ERR_BUSY ? 503 : 500, .type = S("text/plain"), .body = bytes_of(S("closing\n")) };
    pthread_mutex_lock(&v->lock);
    v->refused++;
    pthread_cond_broadcast(&v->told);
    if (v->refused == 1)
        wait_until(v, &v->refused, 2);               /* the door is closing, and stays so until the second was told */
    pthread_mutex_unlock(&v->lock);
}

static void waits(void *of) { loop_stop(((struct visit *)of)->loop); }

static int post(u16 port)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EQ(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    EQ(write(fd, head, sizeof head - 1), (i64)sizeof head - 1);
    return fd;
}

TEST(a_write_that_comes_while_the_door_closes_is_refused_and_holds_nothing_up)
{
    static struct visit v = { .lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER };
    struct http_calls calls = { .route = route, .failed = failed, .of = &v };
    struct address at;
    struct str why = S("");

    v.loop = loop_make();
    TRUE(address_read(&at, S("127.0.0.1:0")));
    struct http *http = http_open(at, &calls, loop_wake_make(v.loop, waits, &v), 2, &why, test_arena());
    TRUE(http != NULL);
    int first = post(http_port(http));
    loop_run(v.loop);                                /* until the first one waits for us */
    int second = post(http_port(http));
    pthread_mutex_lock(&v.lock);
    wait_until(&v, &v.asked, 2);
    pthread_mutex_unlock(&v.lock);
    http_close(http);
    EQ(v.refused, 2);
    (void)close(first);
    (void)close(second);
}
