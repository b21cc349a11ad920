// SPDX-License-Identifier: Apache-2.0
/* What a frame costs: MIC and decryption under cached keys, parsing, a key's expansion, a join. */
#include "lora/lora.h"

#include <stdio.h>
#include <time.h>

enum { ROUNDS = 9, TIMES = 200000 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct world {
    u8 air[LORA_AIR_MAX], room[LORA_AIR_MAX], raw[16], wrapped[24];
    struct bytes phy;
    struct lora_key k;
    struct lora_session s;
    struct lora_frame f;
    u32 sum;
};

static void parse(struct world *w)  { w->sum += lora_frame_parse(&w->f, w->phy); }
static void verify(struct world *w)
{
    w->sum += !lora_frame_verify(&w->f, &w->s, 7, (struct lora_mic_terms){ 0 });
}
static void decrypt(struct world *w)
{
    struct lora_frame open;
    lora_frame_open(&open, w->room, &w->f, &w->s, 7);
}
static void all(struct world *w) { parse(w); verify(w); decrypt(w); }
static void expand(struct world *w) { lora_key_set(&w->k, w->raw); }
static void unwrap(struct world *w)
{
    u8 out[16];
    w->sum += !lora_key_unwrap(out, (struct bytes){ w->raw, 16 }, (struct bytes){ w->wrapped, 24 });
}
static void join(struct world *w)
{
    u8 room[LORA_AIR_MAX];
    struct buf b = BUF(room);
    struct lora_session_raw raw;
    struct lora_join_accept a = { .join_nonce = 1, .devaddr = 1 };
    lora_derive_session(&raw, &w->k, 1, 0, 7);
    w->sum += lora_join_accept_seal(&b, &a, &w->k, w->raw, (struct lora_join_terms){ 0 });
}

static void measure(const char *name, void (*step)(struct world *), struct world *w)
{
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns();
        for (int i = 0; i < TIMES; i++)
            step(w);
        best = MIN(best, now_ns() - begin);
    }
    printf("%-28s %7.0f ns\n", name, best / TIMES);
}

int main(void)
{
    static struct world w = { .raw = { 1, 2, 3 } };
    static const u8 payload[12] = { 1 };
    struct lora_frame f = { .mtype = MTYPE_DATA_UP, .devaddr = 1, .fport = 2,
                            .payload = { payload, sizeof payload } };
    struct buf b = BUF(w.air);
    lora_key_set(&w.k, w.raw);
    lora_key_wrap(w.wrapped, (struct bytes){ w.raw, 16 }, (struct bytes){ w.raw, 16 });
    w.s = (struct lora_session){ false, &w.k, &w.k, &w.k, &w.k };
    if (lora_frame_seal(&b, &f, &w.s, 7, (struct lora_mic_terms){ 0 }))
        die("no frame");
    w.phy = buf_bytes(&b);
    printf("a frame of %zu bytes\n", w.phy.n);
    measure("parse", parse, &w);
    measure("MIC", verify, &w);
    measure("decrypt", decrypt, &w);
    measure("parse, MIC, decrypt", all, &w);
    measure("expand a key", expand, &w);
    measure("unwrap a key", unwrap, &w);
    measure("join: keys and accept", join, &w);
    lora_key_clear(&w.k);
    return w.sum != 0;
}
