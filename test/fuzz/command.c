// SPDX-License-Identifier: Apache-2.0
/* Any bytes as MAC commands, the first one choosing the direction. A command that was read can be
 * built, and reads again as the same command and the same bytes (RFU bits come back as zeros). */
#include "lora/lora.h"

static void mirror(const struct lora_command *c)
{
    alignas(max_align_t) u8 in[64] = { 0 }, again[64] = { 0 };
    u8 one[LORA_COMMAND_MAX], two[LORA_COMMAND_MAX];
    struct buf a = BUF(one), b = BUF(two);
    struct lora_command d;
    size_t size = c->kind->struct_size;
    enum lora_dir dir = (enum lora_dir)c->kind->dir;
    assert(size <= sizeof in && lora_command_parse(in, size, c));
    assert(lora_command_build(&a, dir, c->kind->cid, in, size) == LORA_OK && a.n == c->body.n + 1);
    struct cur back = cur_of(buf_bytes(&a));
    assert(lora_command_next(&d, &back, dir) && d.kind == c->kind && lora_command_parse(again, size, &d));
    assert(lora_command_build(&b, dir, c->kind->cid, again, size) == LORA_OK);
    assert(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);
int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cur c = cur_of((struct bytes){ p + 1, n ? n - 1 : 0 });
    enum lora_dir dir = n && p[0] & 1 ? LORA_DOWN : LORA_UP;
    struct arena a = arena_make(1 << 12);
    struct text words = text_make(&a, 1 << 20);
    struct lora_command command;
    lora_commands_text(&words, (struct bytes){ c.p, c.n }, dir);
    while (n && lora_command_next(&command, &c, dir))
        mirror(&command);
    arena_free(&a);
    return 0;
}
