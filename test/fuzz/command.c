// SPDX-License-Identifier: Apache-2.0
/* Any bytes as commands of the MAC or of a package; the first byte chooses which and the direction.
 * A command that was read can be built, and what was built reads and builds the same. */
#include "test/fuzz/fuzz.h"

#include "lora/lora.h"

static void mirror(const struct lora_command *c)
{
    alignas(max_align_t) u8 in[80] = { 0 }, again[80] = { 0 };
    u8 one[LORA_PAYLOAD_MAX], two[LORA_PAYLOAD_MAX];
    struct buf a = BUF(one), b = BUF(two);
    size_t size = c->kind->struct_size;
    assert(size <= sizeof in && lora_command_parse(in, size, c));
    assert(lora_command_build_as(&a, c->kind, in, size) == LORA_OK && a.n == c->body.n + 1);
    struct lora_command d = { c->kind, { one + 1, a.n - 1 } };
    assert(lora_command_parse(again, size, &d));
    assert(lora_command_build_as(&b, c->kind, again, size) == LORA_OK);
    assert(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
}

FUZZ(p, n)
{
    struct cur c = cur_of((struct bytes){ p + 1, n ? n - 1 : 0 }), k = c;
    enum lora_dir dir = n && p[0] & 1 ? LORA_DOWN : LORA_UP;
    struct arena a = arena_make(1 << 12);
    struct text words = text_make(&a, 1 << 20);
    struct lora_command command;
    lora_commands_text(&words, (struct bytes){ c.p, c.n }, dir);
    while (n && lora_command_next(&command, &c, dir))
        mirror(&command);
    enum lora_package package = (enum lora_package)((n ? p[0] >> 2 : 0) % LORA_PACKAGES);
    while (n && lora_package_next(&command, &k, package, p[0] & 2 ? 2 : 1, dir))
        mirror(&command);
    arena_free(&a);
    return 0;
}
