/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_FUZZ_H
#define HOTARU_FUZZ_H

/*
 * A target is one function over any bytes, `FUZZ(p, n) { …; return 0; }`; what it asserts is its
 * oracle. It stands in two programs: in the fuzzer's, under the name that libFuzzer calls, and with
 * all other targets in build/replay (replay.c), which runs the kept files under its own name.
 * A target of that name reads the seeds of corpus/NAME and what once broke it, regress/NAME.
 */
#include "base/base.h"

#ifndef FUZZ_NAME
#define FUZZ_NAME LLVMFuzzerTestOneInput
#endif
#define FUZZ(p, n)                          \
    int FUZZ_NAME(const u8 *p, size_t n);   \
    int FUZZ_NAME(const u8 *p, size_t n)

#endif
