// SPDX-License-Identifier: Apache-2.0
/* JSON as facts: what is read, what is bad alone, what is refused, and the way back. */
#include "base/test.h"
#include "wire/json.h"

#include <math.h>

static const struct json *lenient(struct str text)
{
    const struct json *doc;
    return json_read(&doc, text, test_arena(), JSON_LENIENT, NULL) ? NULL : doc;
}

static struct str written(const struct json *v)
{
    struct text     t = text_make(test_arena(), 1 << 20);
    struct json_out o = json_out_make(&t);
    json_put_value(&o, v);
    TRUE(json_out_good(&o));
    return text_str(&t);
}

/* ------------------------------------------------------------------ kinds and borders */

static const struct { struct str text; u8 kind; struct str raw; } sound[] = {
    { S("null"),             JSON_NULL,   S("null") },
    { S(" true\t"),          JSON_TRUE,   S("true") },
    { S("\r\nfalse\n"),      JSON_FALSE,  S("false") },
    { S("0"),                JSON_NUMBER, S("0") },
    { S("-0"),               JSON_NUMBER, S("-0") },
    { S("1.10"),             JSON_NUMBER, S("1.10") },
    { S("-0.0e+00"),         JSON_NUMBER, S("-0.0e+00") },
    { S("1E9"),              JSON_NUMBER, S("1E9") },
    { S("12345678901234567890123"), JSON_NUMBER, S("12345678901234567890123") },
    { S("1.7976931348623157e308"),  JSON_NUMBER, S("1.7976931348623157e308") },
    { S("1e-999"),           JSON_NUMBER, S("1e-999") },
    { S("0e999"),            JSON_NUMBER, S("0e999") },
    { S("\"\""),             JSON_STRING, S("") },
    { S("\"\xE8\x9B\x8D\""), JSON_STRING, S("\xE8\x9B\x8D") },
    { S("\"\\u86CD\""),      JSON_STRING, S("\\u86CD") },
    { S("\"\\ud83d\\udca1\""), JSON_STRING, S("\\ud83d\\udca1") },
    { S("\"\\u0000\""),      JSON_STRING, S("\\u0000") },
    { S("\"\x7F\""),         JSON_STRING, S("\x7F") },
    { S("\"\xF4\x8F\xBF\xBF\""), JSON_STRING, S("\xF4\x8F\xBF\xBF") },
    { S("[]"),               JSON_ARRAY,  S("[]") },
    { S("[ ]"),              JSON_ARRAY,  S("[ ]") },
    { S("{}"),               JSON_OBJECT, S("{}") },
    { S(" { \"a\" : 1 } "),  JSON_OBJECT, S("{ \"a\" : 1 }") },
    { S("[[],[{}]]"),        JSON_ARRAY,  S("[[],[{}]]") },
};

TEST(every_sound_text_is_read_as_it_is_written)
{
    for (size_t i = 0; i < COUNT(sound); i++) {
        const struct json *doc;
        EQ(json_read(&doc, sound[i].text, test_arena(), JSON_STRICT, NULL), OK);
        TRUE(doc);
        EQ(doc ? doc->kind : 99, sound[i].kind);
        STR_EQ(doc ? doc->raw : S("nothing"), sound[i].raw);
    }
}

/* The middle one of three is bad; the first and the last stay. */
static const struct { struct str value; u8 fault; } bad_alone[] = {
    { S("1e999"),            JSON_TOO_BIG },
    { S("-1e309"),           JSON_TOO_BIG },
    { S("1.7976931348623159e308"), JSON_TOO_BIG },
    { S("0.0001e314"),       JSON_TOO_BIG },
    { S("NaN"),              JSON_NO_WORD },
    { S("nan"),              JSON_NO_WORD },
    { S("Infinity"),         JSON_NO_WORD },
    { S("-Infinity"),        JSON_NO_WORD },
    { S("-"),                JSON_NO_WORD },
    { S("+1"),               JSON_NO_WORD },
    { S("01"),               JSON_NO_WORD },
    { S("-012"),             JSON_NO_WORD },
    { S("1."),               JSON_NO_WORD },
    { S(".5"),               JSON_NO_WORD },
    { S("1.e3"),             JSON_NO_WORD },
    { S("1e"),               JSON_NO_WORD },
    { S("1e+"),              JSON_NO_WORD },
    { S("0x1F"),             JSON_NO_WORD },
    { S("1_000"),            JSON_NO_WORD },
    { S("1.2.3"),            JSON_NO_WORD },
    { S("truth"),            JSON_NO_WORD },
    { S("True"),             JSON_NO_WORD },
    { S("nul"),              JSON_NO_WORD },
    { S("undefined"),        JSON_NO_WORD },
    { S("\"\\ud800\""),      JSON_SURROGATE },
    { S("\"\\udc00\""),      JSON_SURROGATE },
    { S("\"\\ud800\\ud800\""), JSON_SURROGATE },
    { S("\"\\ud800x\""),     JSON_SURROGATE },
    { S("\"\\udc00\\ud800\""), JSON_SURROGATE },
    { S("\"\\ud800\\u0041\""), JSON_SURROGATE },
    { S("\"\\x41\""),        JSON_ESCAPE },
    { S("\"\\u12\""),        JSON_ESCAPE },
    { S("\"\\u00G0\""),      JSON_ESCAPE },
    { S("\"\\U0041\""),      JSON_ESCAPE },
    { S("\"\\ \""),          JSON_ESCAPE },
    { S("\"\\\xE8\x9B\x8D\""), JSON_ESCAPE },
    { S("\"a\nb\""),         JSON_CONTROL },
    { S("\"a\tb\""),         JSON_CONTROL },
    { S("\"\0\""),           JSON_CONTROL },
    { S("\"\x1F\""),         JSON_CONTROL },
    { S("\"\xFF\""),         JSON_UTF8 },
    { S("\"\x80\""),         JSON_UTF8 },
    { S("\"\xC0\xAF\""),     JSON_UTF8 },     /* an overlong slash */
    { S("\"\xE0\x80\xAF\""), JSON_UTF8 },
    { S("\"\xED\xA0\x80\""), JSON_UTF8 },     /* a surrogate in UTF-8 */
    { S("\"\xF4\x90\x80\x80\""), JSON_UTF8 }, /* above U+10FFFF */
    { S("\"\xE8\x9B\""),     JSON_UTF8 },     /* cut short by the quote */
    { S("\"abcdefgh\xE8\""), JSON_UTF8 },
};

TEST(a_bad_value_does_not_cost_its_neighbours)
{
    for (size_t i = 0; i < COUNT(bad_alone); i++) {
        struct text t = text_make(test_arena(), 1000);
        text_put(&t, S("{\"rxpk\":[1,"));
        text_put(&t, bad_alone[i].value);
        text_put(&t, S(",\"good\"],\"stat\":{\"time\":2}}"));

        const struct json *doc = lenient(text_str(&t)), *rxpk = json_get(doc, S("rxpk"));
        EQ(rxpk ? rxpk->members : 0, 3);
        EQ(json_is(json_at(rxpk, 0), JSON_NUMBER), true);
        TRUE(json_is(json_at(rxpk, 1), JSON_BAD));
        EQ(json_at(rxpk, 1) ? json_at(rxpk, 1)->fault : 99, bad_alone[i].fault);
        STR_EQ(json_str(json_at(rxpk, 2), test_arena()), S("good"));
        TRUE(json_is(json_get(json_get(doc, S("stat")), S("time")), JSON_NUMBER));
    }
}

TEST(the_strict_refuse_a_bad_value_with_its_place_and_words)
{
    for (size_t i = 0; i < COUNT(bad_alone); i++) {
        const struct json *doc;
        struct json_error  error;
        struct text t = text_make(test_arena(), 1000);
        text_put(&t, S("[1, "));
        text_put(&t, bad_alone[i].value);
        text_put(&t, S("]"));
        EQ(json_read(&doc, text_str(&t), test_arena(), JSON_STRICT, &error), ERR_INVALID);
        EQ(error.at, 4);
        TRUE(!doc && error.words[0]);
    }
}

/* Borders that are not clear: the whole text is refused, at this byte. */
static const struct { struct str text; size_t at; } broken[] = {
    { S(""),               0 }, { S(" \n "),           3 }, { S("[1"),             2 },
    { S("[1,"),            3 }, { S("[1,]"),           3 }, { S("[,1]"),           1 },
    { S("[1 2]"),          3 }, { S("[1}"),            2 }, { S("{\"a\":1]"),      6 },
    { S("]"),              0 }, { S("}"),              0 }, { S("{\"a\"}"),        4 },
    { S("{\"a\" 1}"),      5 }, { S("{\"a\":}"),       5 }, { S("{\"a\":1,}"),     7 },
    { S("{a:1}"),          1 }, { S("{'a':1}"),        1 }, { S("{1:1}"),          1 },
    { S("[1]]"),           3 }, { S("1 2"),            2 }, { S("{} x"),           3 },
    { S("\"abc"),          0 }, { S("\"abc\\"),        0 }, { S("\"abc\\\""),      0 },
    { S("[\"a]"),          1 }, { S("// x\n1"),        0 }, { S("1 /* x */"),      2 },
    { S("\0"),             0 }, { S("1\0"),            1 }, { S("[1,\0002]"),      3 },
    { S("\xEF\xBC\x91"),   0 }, { S("\xC2\xA0" "1"),   0 }, { S("\xFF\xFE" "1\0"), 0 },
    { S("{\"a\":1,,}"),    7 }, { S("{,}"),            1 }, { S("[\"a\":1]"),      4 },
    { S("{\"a\":[1}"),     7 }, { S("{\"a\":{\"b\"}"), 9 }, { S("'a'"),            0 },
    { S("{\"a\""),         4 }, { S("{\"a\":"),        5 }, { S("{\"a\":1"),       6 },
    { S("{\"a"),           1 }, { S("{"),              1 }, { S("["),              1 },
    { S("[\"\\ud800\\"),   1 }, { S("[nan"),           4 }, { S("#"),              0 },
};

TEST(a_text_without_clear_borders_is_refused_at_the_byte)
{
    for (size_t i = 0; i < COUNT(broken); i++) {
        const struct json *doc;
        struct json_error  error;
        EQ(json_read(&doc, broken[i].text, test_arena(), JSON_LENIENT, &error), ERR_INVALID);
        TRUE(!doc && error.words[0]);
        if (error.at != broken[i].at)
            test_fail(__FILE__, __LINE__, "%.*s: at %zu, not %zu (%s)", STR(broken[i].text),
                      error.at, broken[i].at, error.words);
    }
}

/* Under the sanitizers: a pointer to nowhere must not be counted on. */
TEST(a_text_that_never_came_is_refused)
{
    const struct json *doc;
    struct json_error  error;
    EQ(json_read(&doc, (struct str){ NULL, 0 }, test_arena(), JSON_STRICT, &error), ERR_INVALID);
    TRUE(error.at == 0 && error.words[0]);
}

TEST(every_shorter_prefix_of_an_object_is_refused)
{
    struct str whole = S("{\"rxpk\":[{\"tmst\":3512348611,\"freq\":923.2,\"data\":\"QK\\u0041==\","
                         "\"x\":[null,{}]}]}");
    TRUE(lenient(whole));
    for (size_t n = 0; n < whole.n; n++)
        TRUE(!lenient(str_copy(test_arena(), (struct str){ whole.p, n })));
}

TEST(a_byte_order_mark_is_tolerated_only_by_option)
{
    const struct json *doc;
    struct str text = S("\xEF\xBB\xBF{\"a\":1}");
    EQ(json_read(&doc, text, test_arena(), JSON_LENIENT, NULL), OK);
    EQ(json_read(&doc, text, test_arena(), JSON_STRICT, NULL), ERR_INVALID);
    TRUE(!lenient(S("\xEF\xBB\xBF")));
    TRUE(!lenient(S("\xEF\xBB\xBF\xEF\xBB\xBF" "1")));
}

/* ------------------------------------------------------------------ limits */

static struct str nested(size_t depth, struct str open, struct str middle, struct str close)
{
    struct text t = text_make(test_arena(), 1 << 20);
    for (size_t i = 0; i < depth; i++)
        text_put(&t, open);
    text_put(&t, middle);
    for (size_t i = 0; i < depth; i++)
        text_put(&t, close);
    return text_str(&t);
}

TEST(sixty_four_levels_are_read_and_the_sixty_fifth_is_bad)
{
    const struct json *doc;
    EQ(json_read(&doc, nested(64, S("["), S("1"), S("]")), test_arena(), JSON_STRICT, NULL), OK);
    EQ(json_read(&doc, nested(65, S("["), S("1"), S("]")), test_arena(), JSON_STRICT, NULL),
       ERR_INVALID);
    EQ(json_read(&doc, nested(64, S("{\"a\":"), S("1"), S("}")), test_arena(), JSON_STRICT, NULL),
       OK);
    EQ(json_read(&doc, nested(65, S("{\"a\":"), S("1"), S("}")), test_arena(), JSON_STRICT, NULL),
       ERR_INVALID);
}

TEST(a_value_nested_ten_thousand_deep_does_not_cost_its_neighbours)
{
    struct text t = text_make(test_arena(), 1 << 20);
    text_put(&t, S("{\"rxpk\":[{\"a\":"));
    text_put(&t, nested(10000, S("[{\"]\\\"\":"), S("1"), S("}]")));
    text_put(&t, S("},{\"size\":7}]}"));
    u64 size = 0;
    TRUE(json_u64(&size,
                  json_get(json_at(json_get(lenient(text_str(&t)), S("rxpk")), 1), S("size"))));
    EQ(size, 7);
    TRUE(!lenient(nested(100000, S("["), S(""), S(""))));
    TRUE(!lenient(nested(100000, S("{\"a\":"), S(""), S(""))));
}

TEST(more_values_than_the_limit_refuse_the_text)
{
    const struct json *doc;
    struct json_limits ten = JSON_LENIENT;
    ten.members_max = 10;
    EQ(json_read(&doc, S("[1,2,3,4,5,6,7,8,9]"), test_arena(), ten, NULL), OK);
    EQ(json_read(&doc, S("[1,2,3,4,5,6,7,8,9,10]"), test_arena(), ten, NULL), ERR_TOO_LARGE);
    EQ(json_read(&doc, S("[[],[],[],[],{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}]"), test_arena(),
                 ten, NULL),
       ERR_TOO_LARGE);
}

/* ------------------------------------------------------------------ names */

TEST(a_member_is_found_by_its_unescaped_name_and_the_first_one_wins)
{
    const struct json *doc = lenient(S("{\"\\u0061b\":1,\"ab\":2,\"\":3,\"a\\u0000\":4}"));
    STR_EQ(json_get(doc, S("ab"))->raw, S("1"));
    STR_EQ(json_get(doc, S(""))->raw, S("3"));
    STR_EQ(json_get(doc, S("a\0"))->raw, S("4"));
    TRUE(!json_get(doc, S("a")));
    TRUE(!json_get(json_get(doc, S("ab")), S("ab")));
    TRUE(!json_get(NULL, S("ab")));
}

TEST(a_member_with_a_bad_name_is_bad_and_is_found_under_no_name)
{
    const struct json *doc =
        lenient(S("{\"\\ud800\":{\"a\":[1,{\"b\":2}]},\"\\ud801\":1,\"c\":3,\"\":4}"));
    EQ(doc->members, 4);
    TRUE(json_is(json_at(doc, 0), JSON_BAD));
    EQ(json_at(doc, 1)->fault, JSON_BAD_KEY);
    STR_EQ(json_get(doc, S(""))->raw, S("4"));
    STR_EQ(json_get(doc, S("c"))->raw, S("3"));
    STR_EQ(written(doc), S("{\"c\":3,\"\":4}"));
    TRUE(!json_duplicate(doc, test_arena()));
    TRUE(!lenient(S("{\"\\ud800\":{\"a\":[1}]}}")));
}

TEST(a_name_that_stands_twice_is_noticed)
{
    struct arena *a = test_arena();
    const struct json *doc;
    TRUE(!json_duplicate(lenient(S("{\"a\":1,\"b\":{\"a\":2}}")), a));
    STR_EQ(json_duplicate(lenient(S("{\"a\":1,\"b\":2,\"\\u0061\":3,\"b\":4}")), a)->raw, S("3"));
    EQ(json_read(&doc, S("[{\"a\":1,\"a\":1}]"), a, JSON_STRICT, NULL), ERR_INVALID);
    EQ(json_read(&doc, S("[{\"a\":1},{\"a\":1}]"), a, JSON_STRICT, NULL), OK);
    TRUE(!json_duplicate(NULL, a));
}

/* The clever way for many names against the plain one. */
TEST(a_name_that_stands_twice_among_many_is_the_one_the_plain_search_finds)
{
    u64 seed = 1;
    for (int round = 0; round < 300; round++) {
        struct arena *a = test_arena();
        struct text t = text_make(a, 1 << 16);
        struct json_out o = json_out_make(&t);
        json_open_object(&o);
        size_t n = 1 + (seed = hash_u64(seed + 1)) % 60;
        for (size_t i = 0; i < n; i++)
            json_member_i64(
                &o, str_fmt(a, "n%llu", (unsigned long long)((seed = hash_u64(seed + 1)) % 400)),
                (i64)i);
        json_close(&o);

        const struct json *doc = lenient(text_str(&t)), *plain = NULL;
        for (const struct json *v = doc->first; v && !plain; v = v->next)
            for (const struct json *b = doc->first; b != v && !plain; b = b->next)
                if (str_eq(b->key, v->key))
                    plain = v;
        TRUE(json_duplicate(doc, a) == plain);
    }
}

/* ------------------------------------------------------------------ numbers */

static const struct { struct str raw; bool i, u; i64 i64; u64 u64; } integers[] = {
    { S("0"),                     1, 1, 0, 0 },
    { S("-0"),                    1, 1, 0, 0 },
    { S("3512348611"),            1, 1, 3512348611, 3512348611 },
    { S("9007199254740993"),      1, 1, 9007199254740993, 9007199254740993 },   /* 2^53 + 1 */
    { S("9223372036854775807"),   1, 1, INT64_MAX, INT64_MAX },
    { S("9223372036854775808"),   0, 1, 0, 9223372036854775808ULL },
    { S("-9223372036854775808"),  1, 0, INT64_MIN, 0 },
    { S("-9223372036854775809"),  0, 0, 0, 0 },
    { S("18446744073709551615"),  0, 1, 0, UINT64_MAX },
    { S("18446744073709551616"),  0, 0, 0, 0 },
    { S("18446744073709551620"),  0, 0, 0, 0 },
    { S("12345678901234567890123"), 0, 0, 0, 0 },
    { S("5.0"),                   1, 1, 5, 5 },
    { S("50e-1"),                 1, 1, 5, 5 },
    { S("5e3"),                   1, 1, 5000, 5000 },
    { S("1.5e1"),                 1, 1, 15, 15 },
    { S("1.5"),                   0, 0, 0, 0 },
    { S("1e-1"),                  0, 0, 0, 0 },
    { S("-1"),                    1, 0, -1, 0 },
    { S("1e19"),                  0, 1, 0, 10000000000000000000ULL },
    { S("1e20"),                  0, 0, 0, 0 },
    { S("0e99999999999999999999"), 1, 1, 0, 0 },
    { S("1e-99999999999999999999"), 0, 0, 0, 0 },
    { S("10000000000000000000000000e-24"), 1, 1, 10, 10 },
};

TEST(integers_are_exact_or_refused)
{
    for (size_t n = 0; n < COUNT(integers); n++) {
        i64 i = 0;
        u64 u = 0;
        const struct json *v = lenient(integers[n].raw);
        EQ(json_i64(&i, v), integers[n].i);
        EQ(json_u64(&u, v), integers[n].u);
        EQ(i, integers[n].i64);
        EQ(u == integers[n].u64, true);
    }
    i64 i;
    TRUE(!json_i64(&i, NULL) && !json_i64(&i, lenient(S("\"5\"")))
         && !json_i64(&i, lenient(S("true"))));
}

static const struct { struct str raw; double v; } doubles[] = {
    { S("0"), 0 },            { S("1.5"), 1.5 },          { S("923.2"), 923.2 },
    { S("-7.25"), -7.25 },    { S("1e22"), 1e22 },        { S("1e23"), 1e23 },
    { S("0.1"), 0.1 },        { S("1e-22"), 1e-22 },      { S("1e-23"), 1e-23 },
    { S("9007199254740993"), 9007199254740992.0 },
    { S("9007199254740993.0000000000000001"), 9007199254740994.0 },
    { S("1.7976931348623157e308"), 0x1.fffffffffffffp1023 },
    { S("4.9406564584124654e-324"), 0x0.0000000000001p-1022 },
    { S("1e-400"), 0 },       { S("123456789012345678901234567890"), 1.2345678901234568e29 },
    { S("0.00000000000000000000000000000000000000000000000000000000000000000000000001"), 1e-74 },
    { S("100000000000000000000000000000000000000000000000000000000000000000000000000000"), 1e77 },
};

TEST(doubles_are_the_nearest)
{
    for (size_t i = 0; i < COUNT(doubles); i++) {
        double v = -1;
        TRUE(json_double(&v, lenient(doubles[i].raw)));
        TRUE(memcmp(&v, &doubles[i].v, sizeof v) == 0);
    }
    double v;
    TRUE(!json_double(&v, lenient(S("1e999"))) && !json_double(&v, NULL));
    TRUE(json_double(&v, lenient(S("-0"))) && 1 / v < 0);
}

/* ------------------------------------------------------------------ strings */

static const struct { struct str text, meaning; } strings[] = {
    { S("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), S("\"\\/\b\f\n\r\t") },
    { S("\"\\u86cd\\u0041\""),             S("\xE8\x9B\x8D" "A") },
    { S("\"\\uD83D\\uDCA1x\""),            S("\xF0\x9F\x92\xA1x") },
    { S("\"\\udbff\\udfff\""),             S("\xF4\x8F\xBF\xBF") },
    { S("\"a\\u0000b\""),                  S("a\0b") },
    { S("\"\\u00e9\\u0800\""),             S("\xC3\xA9\xE0\xA0\x80") },
    { S("\"\\\\u0041\""),                  S("\\u0041") },
    { S("\"plain text of some length\""),  S("plain text of some length") },
    { S("\"12345678\\n\""),                S("12345678\n") },
};

TEST(strings_are_unescaped)
{
    for (size_t i = 0; i < COUNT(strings); i++)
        STR_EQ(json_str(lenient(strings[i].text), test_arena()), strings[i].meaning);
    struct str text = S("\"no escapes\"");
    TRUE(json_str(lenient(text), test_arena()).p == text.p + 1);
    STR_EQ(json_str(lenient(S("5")), test_arena()), S(""));
}

/* ------------------------------------------------------------------ writer */

TEST(canonical_texts_come_back_as_they_were)
{
    static const struct str texts[] = {
        S("null"), S("[]"), S("{}"), S("[{},[],\"\",0]"), S("{\"a\":{\"b\":[1,2,{\"c\":null}]},\"d\":true}"),
        S("[1.10,-0,1E9,12345678901234567890123,0.1e-7]"), S("\"\\u003c\\u003e\\u0026\\u2028\\u2029\""),
        S("\"\\\"\\\\\\n\\r\\t\\u0000\\u001f\x7F/\""), S("\"\xE8\x9B\x8D\xF0\x9F\x92\xA1\""),
        S("{\"\":\"\",\"\\n\":[[[[]]]]}"),
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        STR_EQ(written(lenient(texts[i])), texts[i]);
}

TEST(what_is_written_is_safe_inside_a_script)
{
    struct text t = text_make(test_arena(), 1000);
    struct json_out o = json_out_make(&t);
    json_put_str(&o, S("</script>&\xE2\x80\xA8<!--\xE2\x80\xA9\xE2\x80\xAA"));
    STR_EQ(text_str(&t), S("\"\\u003c/script\\u003e\\u0026\\u2028\\u003c!--\\u2029\xE2\x80\xAA\""));
}

TEST(bytes_that_are_not_text_are_written_as_the_replacement_character)
{
    struct text t = text_make(test_arena(), 1000);
    struct json_out o = json_out_make(&t);
    json_put_str(&o, S("a\xFF\xE8\x9B" "b\xC3"));
    STR_EQ(text_str(&t), S("\"a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" "b\xEF\xBF\xBD\""));
    TRUE(lenient(text_str(&t)));
}

TEST(an_object_is_written_with_its_commas)
{
    struct text t = text_make(test_arena(), 1000);
    struct json_out o = json_out_make(&t);
    json_open_object(&o);
    json_member_str(&o, S("name"), S("\xE5\xAF\x8C\xE5\xB1\xB1"));
    json_member_i64(&o, S("low"), INT64_MIN);
    json_member_u64(&o, S("high"), UINT64_MAX);
    json_key(&o, S("list"));
    json_open_array(&o);
    json_put_bool(&o, true);
    json_put_null(&o);
    json_open_object(&o);
    json_close(&o);
    json_close(&o);
    json_member_raw(&o, S("raw"), S("1.10"));
    json_close(&o);
    TRUE(json_out_good(&o));
    STR_EQ(text_str(&t), S("{\"name\":\"\xE5\xAF\x8C\xE5\xB1\xB1\",\"low\":-9223372036854775808,"
                           "\"high\":18446744073709551615,\"list\":[true,null,{}],\"raw\":1.10}"));
}

TEST(doubles_are_written_as_short_as_they_read_back)
{
    static const struct { double v; struct str text; } facts[] = {
        { 0.1, S("0.1") }, { 1.0 / 3, S("0.3333333333333333") }, { 5e-324, S("4.94065645841247e-324") },
        { 0x1.fffffffffffffp1023, S("1.7976931348623157e+308") }, { -0.0, S("-0") }, { 1e21, S("1e+21") },
        { (double)INFINITY, S("null") }, { (double)NAN, S("null") }, { 923.2, S("923.2") },
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        struct text t = text_make(test_arena(), 100);
        struct json_out o = json_out_make(&t);
        json_put_double(&o, facts[i].v);
        STR_EQ(text_str(&t), facts[i].text);
    }
    static const struct { double v; int decimals; struct str text; } fixed[] = {
        { 1.2344, 3, S("1.234") }, { -0.0004, 3, S("0.000") }, { -0.0006, 3, S("-0.001") }, { 12, 0, S("12") },
    };
    for (size_t i = 0; i < COUNT(fixed); i++) {
        struct text t = text_make(test_arena(), 100);
        struct json_out o = json_out_make(&t);
        json_put_fixed(&o, fixed[i].v, fixed[i].decimals);
        STR_EQ(text_str(&t), fixed[i].text);
    }
}

TEST(wrong_nesting_of_the_writer_is_noticed)
{
    struct text t = text_make(test_arena(), 1000);
    struct json_out o = json_out_make(&t);
    TRUE(!json_out_good(&o));                       /* nothing yet */
    json_open_object(&o);
    TRUE(!json_out_good(&o));                       /* still open */
    json_put_i64(&o, 1);                            /* a value without a key */
    TRUE(!json_out_good(&o));

    o = json_out_make(&t);
    json_open_array(&o);
    json_key(&o, S("a"));                           /* a key in an array */
    TRUE(o.bad);

    o = json_out_make(&t);
    json_put_i64(&o, 1);
    json_put_i64(&o, 2);                            /* two values */
    TRUE(o.bad);

    o = json_out_make(&t);
    json_close(&o);                                 /* nothing to close */
    TRUE(o.bad);

    o = json_out_make(&t);
    for (int i = 0; i < 1000; i++)
        json_open_array(&o);
    TRUE(o.bad);
}
