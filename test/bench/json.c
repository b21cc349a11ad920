// SPDX-License-Identifier: Apache-2.0
/* How fast the JSON reader reads: a datagram with one rxpk, one with eight, an entity, plain text. */
#include "wire/json.h"

#include <stdio.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(const char *name, struct str text)
{
    enum { ROUNDS = 9 };
    struct arena arena = arena_make(1 << 20);
    size_t times = 20000000 / text.n + 1;
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_s();
        for (size_t i = 0; i < times; i++) {
            const struct json *doc;
            arena_reset(&arena);
            if (json_read(&doc, text, &arena, JSON_LENIENT, NULL))
                die("%s is refused", name);
        }
        best = MIN(best, now_s() - begin);
    }
    printf("%-10s %7zu bytes  %6.0f MB/s  %7.0f ns\n", name, text.n,
           (double)(text.n * times) / best / 1e6, best / (double)times * 1e9);
    arena_free(&arena);
}

#define RX "{\"tmst\":3512348611,\"time\":\"2026-02-10T07:00:00.123456Z\",\"chan\":2,\"rfch\":0,"    \
           "\"freq\":923.200000,\"stat\":1,\"modu\":\"LORA\",\"datr\":\"SF7BW125\",\"codr\":\"4/5\"," \
           "\"lsnr\":5.1,\"rssi\":-35,\"size\":32,"                                                   \
           "\"data\":\"QDHiASaAAQACYx3nJ1uH0qW2mG5X8Cm0yJ4pQq8=\"}"
#define ENTITY "{\"waterLevel\":{\"type\":\"Property\",\"value\":1.234,\"unitCode\":\"MTR\","         \
               "\"observedAt\":\"2026-02-10T07:00:00.123Z\",\"quality\":{\"type\":\"Property\","       \
               "\"value\":\"\"}},\"location\":{\"type\":\"GeoProperty\",\"value\":{\"type\":\"Point\"," \
               "\"coordinates\":[137.213,36.695]}},\"name\":{\"type\":\"Property\",\"value\":"          \
               "\"\xE7\xA5\x9E\xE9\x80\x9A\xE5\xB7\x9D\xE5\xA4\xA7\xE6\xA9\x8B\"}}"

int main(void)
{
    struct arena arena = arena_make(1 << 20);
    struct text  plain = text_make(&arena, 1 << 20);
    text_char(&plain, '"');
    for (int i = 0; i < 10000; i++)
        text_put(&plain, S("some words, no escapes "));
    text_char(&plain, '"');

    measure("one rxpk", S("{\"rxpk\":[" RX "]}"));
    measure("8 rxpk", S("{\"rxpk\":[" RX "," RX "," RX "," RX "," RX "," RX "," RX "," RX "]}"));
    measure("entity", S(ENTITY));
    measure("words", text_str(&plain));
    arena_free(&arena);
    return 0;
}
