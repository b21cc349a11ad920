/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_LORA_INSIDE_H
#define HOTARU_LORA_INSIDE_H

#include "lora/lora.h"

/* AES-128 decryption under a raw key: join-accepts and McKeys on the server's side. */
void aes_decrypt(u8 *out, const u8 raw[16], const u8 *in, size_t blocks);
/* AES-128 encryption of `blocks` blocks in one call; `out` may be `in`. */
void aes_blocks(u8 *out, const struct lora_key *k, const u8 *in, size_t blocks);

/* The first four bytes of a CMAC, first byte lowest. */
static inline u32 mic_of(const u8 mac[16]) { return get_u32le(mac); }

/* Rows of the command tables, out of the lists in lora.h. */
#define FIELD(T, name, kind, first, bits) \
    { #name, LORA_##kind, bits, first, offsetof(struct lora_##T, name) },
#define COMMAND_KIND(id, way, size, since, name, tag) \
    { name, #tag, id, LORA_##way, size, since, sizeof(struct lora_##tag), \
      { FIELDS_##tag(FIELD, tag) } }
#define EMPTY_KIND(id, way, size, since, name) \
    { name, NULL, id, LORA_##way, size, since, 0, { { 0 } } }

/* Takes one command of `kind` (NULL: unknown) and its CID off *c; false sets c->bad. */
bool command_next(struct lora_command *out, struct cur *c, const struct lora_command_kind *kind,
                  size_t bytes_max);

/* MHDR: | MType 3 | RFU 3 | Major 2 | */
static inline u8 mhdr_make(enum lora_mtype mtype, u8 rfu)
{
    return (u8)((u8)mtype << 5 | (rfu & 7) << 2);
}
static inline u8 mhdr_rfu(u8 mhdr) { return mhdr >> 2 & 7; }

#endif
