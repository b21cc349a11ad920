// SPDX-License-Identifier: Apache-2.0
/*
 * CRC-32C (Castagnoli, reflected 0x82F63B78; RFC 3720, appendix B.4): by the processor's own
 * instruction where it has one (SSE 4.2), else four bits at a time from a table of sixteen.
 * Finds every error of up to 32 neighbouring bits; it is no defence against forgery.
 */
#include "base/base.h"

static const u32 nibbles[16] = {
    0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
    0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
};

u32 crc32c_plain(u32 crc, struct bytes b)
{
    crc = ~crc;
    for (size_t i = 0; i < b.n; i++) {
        crc ^= b.p[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static u32 by_instruction(u32 crc, struct bytes b)
{
    u64 wide = (u32)~crc;
    for (; b.n >= 8; b.p += 8, b.n -= 8)
        wide = __builtin_ia32_crc32di(wide, get_u64le(b.p));
    u32 narrow = (u32)wide;
    if (b.n >= 4) {
        narrow = __builtin_ia32_crc32si(narrow, get_u32le(b.p));
        b.p += 4, b.n -= 4;
    }
    for (; b.n > 0; b.p++, b.n--)
        narrow = __builtin_ia32_crc32qi(narrow, *b.p);
    return ~narrow;
}

u32 crc32c(u32 crc, struct bytes b)
{
    return __builtin_cpu_supports("sse4.2") ? by_instruction(crc, b) : crc32c_plain(crc, b);
}
#else
u32 crc32c(u32 crc, struct bytes b) { return crc32c_plain(crc, b); }
#endif
