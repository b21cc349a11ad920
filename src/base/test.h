/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_TEST_H
#define HOTARU_TEST_H

/*
 * Tests as facts. TEST(a_sentence_that_is_false_when_it_fails) { EQ(…); TRUE(…); }
 * Every test of the program registers itself; the runner is base/test.c.
 */
#include "base/base.h"

struct test { const char *file, *name; void (*run)(void); struct test *next; };
void test_register(struct test *t);
void test_fail(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);
void test_skip(const char *why);                 /* counted and printed, never silent */
struct arena *test_arena(void);                  /* forgotten after each test */
/* A folder of its own for this test, removed afterwards; zero-ended. */
const char *test_folder(void);
/* Runs in a process of its own: what it exits with (0: it came back), and in *said what it wrote on stderr. */
int test_apart(void (*run)(void *of), void *of, struct str *said);

/* Under a sanitizer memory ends in its own way, not in ours. */
#if defined(__SANITIZE_ADDRESS__)
enum { TEST_SANITIZED = 1 };
#elif defined(__has_feature)
enum { TEST_SANITIZED = __has_feature(address_sanitizer) };
#else
enum { TEST_SANITIZED = 0 };
#endif

#define TEST(name)                                                                       \
    static void test_##name(void);                                                       \
    __attribute__((constructor)) static void register_##name(void)                       \
    {                                                                                    \
        static struct test t = { __FILE__, #name, test_##name, NULL };                   \
        test_register(&t);                                                               \
    }                                                                                    \
    static void test_##name(void)

#define TRUE(x)                                                                          \
    do { if (!(x)) test_fail(__FILE__, __LINE__, "not true: %s", #x); } while (0)
#define EQ(a, b)                                                                         \
    do {                                                                                 \
        long long a_ = (long long)(a), b_ = (long long)(b);                              \
        if (a_ != b_) test_fail(__FILE__, __LINE__, "%s is %lld, not %s = %lld", #a, a_, #b, b_); \
    } while (0)
#define NEAR(a, b, within)                                                               \
    do {                                                                                 \
        double a_ = (double)(a), b_ = (double)(b), w_ = (double)(within);                \
        if (!(a_ - b_ <= w_ && b_ - a_ <= w_))                                           \
            test_fail(__FILE__, __LINE__, "%s is %g, not %s = %g", #a, a_, #b, b_);       \
    } while (0)
#define STR_EQ(a, b)                                                                     \
    do {                                                                                 \
        struct str a_ = (a), b_ = (b);                                                   \
        if (!str_eq(a_, b_))                                                             \
            test_fail(__FILE__, __LINE__, "%s is \"%.*s\", not \"%.*s\"", #a, STR(a_), STR(b_)); \
    } while (0)
#define BYTES_EQ(a, b)                                                                   \
    do {                                                                                 \
        struct bytes a_ = (a), b_ = (b);                                                 \
        if (!bytes_eq(a_, b_))                                                           \
            test_fail(__FILE__, __LINE__, "%s is %.*s, not %.*s", #a,                    \
                      STR(hex_str(test_arena(), a_)), STR(hex_str(test_arena(), b_)));   \
    } while (0)

#endif
