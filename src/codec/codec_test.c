// SPDX-License-Identifier: Apache-2.0
#include "codec/codec.h"

#include "base/embedded.h"
#include "base/test.h"

/* A codec from the text of a profile; the parts every profile needs are put around it. */
static enum err parse(struct codec *out, struct str codec, struct str fields, struct str *why)
{
    struct arena *a = test_arena();
    struct str text =
        str_fmt(a,
                "{\"id\":\"x\",\"kind\":\"other\",\"name\":{\"ja\":\"x\",\"en\":\"x\"},"
                "\"region\":\"AS923-1\",\"codec\":%.*s,\"fields\":%.*s}",
                STR(codec), STR(fields));
    struct profiles *list = arena_new(a, struct profiles);
    enum err err = profiles_read(list, &(struct profile_text){ S("x.json"), text }, 1, why, a);
    return err ? err : codec_parse(out, &list->list[0], why, a);
}

static struct codec_result *read_hex(struct str codec, int fport, const char *hex)
{
    struct codec_result *out = arena_new(test_arena(), struct codec_result);
    struct codec *c = arena_new(test_arena(), struct codec);
    struct str why = S("");
    u8     *payload = arena_array(test_arena(), u8, 255);
    size_t  n = 0;
    TRUE(hex_read(payload, 255, &n, str_z(hex)));
    enum err err = parse(c, codec, S("{}"), &why);
    STR_EQ(why, S(""));
    if (!err)
        EQ(codec_read(out, c, fport, (struct bytes){ payload, n }, test_arena()), OK);
    return out;
}

/* A table of one row of that kind, over those bytes: its digits. */
static void gives(const char *row, const char *hex, const char *digits)
{
    struct str codec = str_fmt(
        test_arena(), "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":0,%s}]}", row);
    struct codec_result *out = read_hex(codec, 1, hex);
    EQ(out->count, 1);
    STR_EQ(out->fields[0].text, str_z(digits));
    if (out->fields[0].kind == FIELD_NUMBER) {
        double d = 0;
        TRUE(str_to_double(&d, str_z(digits)) && d == out->fields[0].number);
    }
}

TEST(a_number_keeps_the_digits_of_its_scale)
{
    /*     row                                                   bytes       digits */
    gives("\"type\":\"i16be\",\"scale\":0.001",                  "04d2",     "1.234");
    gives("\"type\":\"i16be\",\"scale\":0.001",                  "fb2e",     "-1.234");
    gives("\"type\":\"i16be\",\"scale\":0.001",                  "ffff",     "-0.001");
    gives("\"type\":\"i16be\",\"scale\":0.001",                  "0000",     "0.000");
    gives("\"type\":\"i32be\",\"scale\":1e-7",                   "80000000", "-214.7483648");
    gives("\"type\":\"i32be\",\"scale\":1e-07",                  "15df55b0", "36.6958000");
    gives("\"type\":\"u32be\"",                                  "ffffffff", "4294967295");
    gives("\"type\":\"u32le\",\"scale\":1e3",                    "01000000", "1000");
    gives("\"type\":\"u32be\",\"scale\":0.999999999", "ffffffff", "4294967290.705032705");
    gives("\"type\":\"u8\",\"scale\":0.5,\"offset\":-40",        "65",       "10.5");
    gives("\"type\":\"u8\",\"scale\":1,\"offset\":0.25",         "01",       "1.25");
    gives("\"type\":\"u8\",\"scale\":-1.5",                      "03",       "-4.5");
}

TEST(a_scale_is_read_however_json_writes_it)
{
    gives("\"type\":\"u8\",\"scale\":1E+2",                     "07",       "700");
    gives("\"type\":\"u8\",\"scale\":1E2",                      "07",       "700");
    gives("\"type\":\"u8\",\"scale\":12.5e1",                   "02",       "250");
    gives("\"type\":\"u8\",\"scale\":1e-12",                    "07",       "0.000000000007");
    gives("\"type\":\"u8\",\"scale\":1000000000",               "ff",       "255000000000");
    gives("\"type\":\"u32be\",\"mask\":4294967295",             "ffffffff", "4294967295");
    gives("\"type\":\"u8\",\"scale\":1,\"offset\":-1e12",       "01",       "-999999999999");
}

TEST(every_type_reads_its_bytes)
{
    gives("\"type\":\"u8\"",    "80",       "128");
    gives("\"type\":\"i8\"",    "80",       "-128");
    gives("\"type\":\"u16be\"", "8001",     "32769");
    gives("\"type\":\"i16be\"", "8001",     "-32767");
    gives("\"type\":\"u16le\"", "0180",     "32769");
    gives("\"type\":\"i16le\"", "0180",     "-32767");
    gives("\"type\":\"u24be\"", "800001",   "8388609");
    gives("\"type\":\"u24le\"", "010080",   "8388609");
    gives("\"type\":\"u32be\"", "80000001", "2147483649");
    gives("\"type\":\"i32be\"", "80000001", "-2147483647");
    gives("\"type\":\"u32le\"", "01000080", "2147483649");
    gives("\"type\":\"i32le\"", "01000080", "-2147483647");
}

TEST(bits_are_cut_by_mask_and_shift)
{
    gives("\"type\":\"u8\",\"mask\":240,\"shift\":4",     "a5",   "10");
    gives("\"type\":\"u8\",\"mask\":1",                   "a5",   "1");
    gives("\"type\":\"u16be\",\"mask\":16383,\"scale\":0.001", "cbc6", "3.014");
    gives("\"type\":\"i16be\",\"mask\":65535",            "ffff", "65535");
}

TEST(a_raw_value_may_be_a_word_or_no_reading)
{
    gives("\"type\":\"u8\",\"text\":{\"0\":\"free\",\"1\":\"occupied\"}", "01", "occupied");
    gives("\"type\":\"u8\",\"text\":{\"0\":\"free\",\"1\":\"occupied\"}", "07",
          "the profile has no word for 7");
    gives("\"type\":\"i16be\",\"absent\":32767", "7fff", "the device says that it has no reading");
    gives("\"type\":\"i16be\",\"absent\":-1",    "ffff", "the device says that it has no reading");
}

static const char river_text[] = "{\"type\":\"table\",\"fields\":["
    "{\"name\":\"level\",\"at\":0,\"type\":\"i16be\",\"scale\":0.001,\"port\":2},"
    "{\"name\":\"battery\",\"at\":2,\"type\":\"u8\",\"port\":2}]}";

TEST(a_short_frame_gives_what_it_holds_and_says_so)
{
    for (size_t n = 0; n <= 3; n++) {
        struct codec_result *out = read_hex(str_z(river_text), 2,
                                            n == 0   ? ""
                                            : n == 1 ? "04"
                                            : n == 2 ? "04d2"
                                                     : "04d255");
        EQ(out->count, n < 2 ? 0 : n == 2 ? 1 : 2);
        EQ(out->errors.n > 0, n < 3);
    }
    STR_EQ(read_hex(str_z(river_text), 2, "04d2")->errors, S("2 bytes: too short for battery"));
    STR_EQ(read_hex(str_z(river_text), 3, "04d255")->errors, S("the layout has nothing on port 3"));
}

TEST(a_codec_member_that_cannot_work_is_refused_with_words)
{
    static const char *const bad[] = {
        "{}", "{\"type\":\"lua\"}", "{\"type\":\"table\"}", "{\"type\":\"table\",\"fields\":[]}",
        "{\"type\":\"table\",\"fields\":[{}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"type\":\"u8\"}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":0,\"type\":\"u9\"}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":-1,\"type\":\"u8\"}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":999,\"type\":\"u8\"}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":0,\"type\":\"u8\",\"scale\":\"1\"}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":0,\"type\":\"u8\",\"scale\":1e-13}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":0,\"type\":\"u8\",\"scale\":1e99}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":0,\"type\":\"u8\",\"scale\":1.0000000001}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":0,\"type\":\"u8\",\"shift\":32}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":0,\"type\":\"u8\",\"port\":0}]}",
        "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":0,\"type\":\"u8\",\"text\":{\"a\":\"b\"}}]}",
#define ROW(rest) "{\"type\":\"table\",\"fields\":[{\"name\":\"v\",\"at\":0,\"type\":\"u8\"," rest "}]}"
        ROW("\"mask\":-1"), ROW("\"mask\":4294967296"), ROW("\"mask\":\"ff\""), ROW("\"offset\":\"1\""), ROW("\"offset\":1e13"),
        ROW("\"scale\":1000000001"), ROW("\"scale\":-1000000001"), ROW("\"offset\":12345678901234567890"), ROW("\"scale\":1E+13"),
        ROW("\"scale\":1000000,\"offset\":1e-5"), ROW("\"scale\":1e-12,\"offset\":1234567"), ROW("\"scale\":12345678e12"),
        ROW("\"scale\":0.0000000000001"), ROW("\"text\":{\"0\":1}"), ROW("\"port\":256"), ROW("\"shift\":-1"),
        "{\"type\":\"js\",\"file\":\"Upper.js\"}", "{\"type\":\"js\",\"file\":\"a/b.js\"}", "{\"type\":\"js\",\"file\":\"a b.js\"}",
        "{\"type\":\"js\",\"file\":\"a{.js\"}", "{\"type\":\"js\",\"file\":\"a:.js\"}",
        "{\"type\":\"js\",\"file\":\"a-very-long-name-of-a-file-that-nobody-would-ever-want-to-type-or-read.js\"}",
        "{\"type\":\"js\"}", "{\"type\":\"js\",\"file\":\"../x.js\"}", "{\"type\":\"js\",\"file\":\"/x.js\"}",
        "{\"type\":\"js\",\"file\":\".js\"}", "{\"type\":\"js\",\"file\":\"x.py\"}",
        "{\"type\":\"cayenne\",\"absent\":{\"a\":\"b\"}}",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct codec c;
        struct str   why = S("");
        EQ(parse(&c, str_z(bad[i]), S("{}"), &why), ERR_INVALID);
        TRUE(str_starts(why, S("profile x: codec")));
    }
}

TEST(cayenne_reads_every_type_of_the_original_document)
{
    struct codec_result *out = read_hex(S("{\"type\":\"cayenne\"}"), 1,
        "03670110" "056700ff"                       /* the document's first example */
        "067104d2fb2e0000"                          /* its second: acceleration */
        "018806765ff2960a0003e8");                  /* its third: position */
    EQ(out->count, 8);
    STR_EQ(out->fields[0].name, S("temperature_3"));
    STR_EQ(out->fields[0].text, S("27.2"));
    STR_EQ(out->units[0], S("CEL"));
    STR_EQ(out->fields[1].text, S("25.5"));
    STR_EQ(out->fields[2].name, S("accelerometer_6.x"));
    STR_EQ(out->fields[2].text, S("1.234"));
    STR_EQ(out->fields[3].text, S("-1.234"));
    STR_EQ(out->fields[5].name, S("gps_1.latitude"));
    STR_EQ(out->fields[5].text, S("42.3519"));
    STR_EQ(out->fields[6].text, S("-87.9094"));
    STR_EQ(out->fields[7].text, S("10.00"));
}

TEST(cayenne_stops_where_the_length_is_not_known)
{
    STR_EQ(read_hex(S("{\"type\":\"cayenne\"}"), 1, "0368b401ee0102")->errors,
           S("type 238 is not known: the rest is not read"));
    EQ(read_hex(S("{\"type\":\"cayenne\"}"), 1, "0368b401ee0102")->count, 1);
    STR_EQ(read_hex(S("{\"type\":\"cayenne\"}"), 1, "0368b40167ff")->errors,
           S("the last value is cut short"));
    STR_EQ(read_hex(S("{\"type\":\"cayenne\"}"), 1, "03")->errors,
           S("the last value is cut short"));
    STR_EQ(read_hex(S("{\"type\":\"cayenne\"}"), 1, "")->errors, S("an empty frame"));
    struct text many = text_make(test_arena(), 1000);
    for (int i = 0; i < 80; i++)
        text_put(&many, S("016600"));
    text_char(&many, 0);
    struct codec_result *out = read_hex(S("{\"type\":\"cayenne\"}"), 1, many.p);
    TRUE(out->count <= FIELDS_MAX && out->count >= FIELDS_MAX - 2);
    STR_EQ(out->errors, S("more than 64 fields: the rest is not read"));
}

/* ------------------------------------------------------------------ answers of JavaScript */

static struct codec_result *flat(struct str fields, struct str answer, enum err expected)
{
    struct codec_result *out = arena_new(test_arena(), struct codec_result);
    struct codec *c = arena_new(test_arena(), struct codec);
    struct str why = S("");
    EQ(parse(c, S("{\"type\":\"js\",\"file\":\"x.js\",\"absent\":{\"probe\":[327.67,-1]}}"), fields,
             &why),
       OK);
    EQ(codec_flatten(out, c, answer, test_arena()), expected);
    return out;
}

TEST(nested_answers_become_flat_names)
{
    struct codec_result *out = flat(S("{}"),
                                    S("{\"data\":{\"a\":{\"b\":1,\"c\":[2,{\"d\":3}]},\"pm2.5\":4,"
                                      "\"t\":{\"displayName\":\"T\",\"value\":21.50,\"unit\":"
                                      "\"°C\"},\"e\":{\"data\":7,\"unit\":\"Wh\"},"
                                      "\"on\":true,\"s\":\"text\",\"empty\":{},\"n\":null},"
                                      "\"errors\":[\"x\",\"y\"],\"warnings\":[\"z\"]}"),
                                    OK);
    static const char *const names[] = { "a.b", "a.c.0", "a.c.1.d", "pm2.5", "t",
                                         "e",   "on",    "s",       "n" };
    EQ(out->count, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++)
        STR_EQ(out->fields[i].name, str_z(names[i]));
    STR_EQ(out->fields[4].text, S("21.50"));
    STR_EQ(out->units[4], S("°C"));
    STR_EQ(out->units[5], S("Wh"));
    TRUE(out->fields[6].kind == FIELD_BOOL && out->fields[6].boolean);
    STR_EQ(out->fields[7].text, S("text"));
    EQ(out->fields[8].kind, FIELD_MISSING);
    STR_EQ(out->errors, S("x; y"));
    STR_EQ(out->warnings, S("z"));
}

TEST(an_object_is_a_measure_only_when_it_says_nothing_else)
{
    struct codec_result *out = flat(S("{}"), S("{\"data\":{\"m\":{\"value\":1,\"age\":2},"
                                               "\"v\":{\"value\":[3]},\"u\":{\"unit\":4}}}"), OK);
    static const char *const names[] = { "m.value", "m.age", "v.value.0", "u.unit" };
    EQ(out->count, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++)
        STR_EQ(out->fields[i].name, str_z(names[i]));
}

TEST(a_text_becomes_a_number_only_where_the_profile_says_so)
{
    const struct str fields =
        str_z("{\"coerced\":{\"attr\":\"a\",\"unit\":\"CEL\",\"number\":true},"
              "\"numeric\":{\"attr\":\"b\",\"unit\":\"MMT\"},\"ranged\":{\"attr\":\"c\",\"min\":0},"
              "\"word\":{\"attr\":\"d\"}}");
    struct codec_result *out =
        flat(fields,
             S("{\"data\":{\"coerced\":\" 28.40 \",\"numeric\":\"28.40\","
               "\"ranged\":\"No Sensor\",\"word\":\"28.40\",\"other\":\"0.00\"}}"),
             OK);
    EQ(out->fields[0].kind, FIELD_NUMBER);
    NEAR(out->fields[0].number, 28.4, 0);
    STR_EQ(out->fields[0].text, S("28.40"));
    EQ(out->fields[1].kind, FIELD_MISSING);
    EQ(out->fields[2].kind, FIELD_MISSING);
    EQ(out->fields[2].flag, FLAG_MISSING);
    STR_EQ(out->fields[2].reason, S("the codec says \"No Sensor\""));
    EQ(out->fields[3].kind, FIELD_TEXT);
    EQ(out->fields[4].kind, FIELD_TEXT);
    TRUE(out->fields[3].rule && !out->fields[4].rule);
    EQ(flat(fields, S("{\"data\":{\"coerced\":\"nan\"}}"), OK)->fields[0].kind, FIELD_MISSING);
}

TEST(a_sentinel_is_no_reading)
{
    EQ(flat(S("{}"), S("{\"data\":{\"probe\":327.67}}"), OK)->fields[0].kind, FIELD_MISSING);
    EQ(flat(S("{}"), S("{\"data\":{\"probe\":-1}}"), OK)->fields[0].kind, FIELD_MISSING);
    EQ(flat(S("{}"), S("{\"data\":{\"probe\":327.66}}"), OK)->fields[0].kind, FIELD_NUMBER);
    EQ(flat(S("{}"), S("{\"data\":{\"other\":327.67}}"), OK)->fields[0].kind, FIELD_NUMBER);
}

TEST(a_hostile_answer_is_bounded)
{
    struct text many = text_make(test_arena(), 1 << 20), deep = text_make(test_arena(), 1 << 16);
    text_put(&many, S("{\"data\":{\"x\":0"));
    for (int i = 0; i < 200; i++)
        text_fmt(&many, ",\"k%d\":%d", i, i);
    text_put(&many, S("}}"));
    struct codec_result *out = flat(S("{}"), text_str(&many), OK);
    EQ(out->count, FIELDS_MAX);
    STR_EQ(out->warnings, S("64 fields are the limit: further ones were left out"));
    text_put(&deep, S("{\"data\":"));
    for (int i = 0; i < 5000; i++)
        text_put(&deep, S("{\"a\":"));
    (void)flat(S("{}"), text_str(&deep), ERR_INVALID);
    (void)flat(S("{}"), S("{\"data\":[1,2]}"), ERR_INVALID);
    (void)flat(S("{}"), S("{\"data\":\"x\"}"), ERR_INVALID);
    (void)flat(S("{}"), S("[]"), ERR_INVALID);
    (void)flat(S("{}"), S("{}"), ERR_INVALID);
    (void)flat(S("{}"), S(""), ERR_INVALID);
    EQ(flat(S("{}"), S("{\"errors\":[\"wrong port\"]}"), OK)->count, 0);
    out = flat(S("{}"),
               S("{\"data\":{\"__proto__\":{\"a\":1},\"b\":{\"__proto__\":2},\"\":3,\"c\":1e999,"
                 "\"d\":4}}"),
               OK);
    EQ(out->count, 2);
    EQ(out->fields[0].kind, FIELD_MISSING);
    STR_EQ(out->fields[1].name, S("d"));
    TRUE(out->errors.n > 0);
}

TEST(the_input_of_a_codec_is_the_frame_and_nothing_else)
{
    STR_EQ(codec_input(2, (struct bytes){ (const u8 *)"\x00\xff\x0a", 3 },
                       (struct wall){ 1767366000123000 }, test_arena()),
           S("{\"bytes\":[0,255,10],\"fPort\":2,\"recvTime\":\"2026-01-02T15:00:00.123Z\"}"));
}

/* ------------------------------------------------------------------ what ships */

static struct profiles *shipped(void)
{
    struct profile_text *texts = arena_array(test_arena(), struct profile_text, 500);
    struct profiles *out = arena_new(test_arena(), struct profiles);
    size_t n = 0;
    struct str why = S("");
    for (const struct embedded *e = embedded_files; e->name && n < 500; e++)
        if (str_starts(str_z(e->name), S("data/profiles/")))
            texts[n++] =
                (struct profile_text){ str_z(e->name), { (const char *)e->p, (size_t)e->n } };
    EQ(profiles_read(out, texts, n, &why, test_arena()), OK);
    STR_EQ(why, S(""));
    return out;
}

TEST(every_shipped_profile_parses_and_its_codec_file_is_there)
{
    struct profiles *profiles = shipped();
    struct codecs codecs;
    struct str why = S("");
    EQ(codecs_parse(&codecs, profiles, &why, test_arena()), OK);
    STR_EQ(why, S(""));
    TRUE(profiles->count >= 40);
    for (size_t i = 0; i < profiles->count; i++) {
        const struct codec *c = codec_of(&codecs, &profiles->list[i]);
        struct str file = str_fmt(test_arena(), "data/codecs/%.*s", STR(c->file));
        if (c->kind == CODEC_JS && !embedded_file(file).p)
            test_fail(__FILE__, __LINE__, "%.*s is not there", STR(file));
    }
}

static const struct field *field_named(const struct codec_result *r, struct str name)
{
    for (size_t i = 0; i < r->count; i++)
        if (str_eq(r->fields[i].name, name))
            return &r->fields[i];
    return NULL;
}

/* The example's values are all there, and nothing else is. */
static void compare(struct str id, const struct codec_result *out, const struct json *data)
{
    EQ(out->count, data ? data->members : 0);
    JSON_EACH (v, data) {
        const struct field *f = field_named(out, v->key);
        double number = 0;
        bool same = f
                    && (f->kind == FIELD_NUMBER ? json_double(&number, v) && number == f->number
                        : f->kind == FIELD_TEXT ? str_eq(f->text, json_str(v, test_arena()))
                                                : false);
        if (!same)
            test_fail(__FILE__, __LINE__, "%.*s: %.*s", STR(id), STR(v->key));
    }
}

TEST(every_example_of_a_table_decodes_as_it_says)
{
    struct profiles *profiles = shipped();
    size_t run = 0;
    for (const struct embedded *e = embedded_files; e->name; e++) {
        const struct json *doc;
        struct codec codec;
        struct str why = S("");
        if (!str_starts(str_z(e->name), S("data/codecs/examples/")))
            continue;
        EQ(json_read(&doc, (struct str){ (const char *)e->p, (size_t)e->n }, test_arena(),
                     JSON_STRICT, NULL),
           OK);
        if (!json_is(json_get(doc, S("codec")), JSON_NULL))
            continue;
        const struct profile *p =
            profile_find(profiles, json_str(json_get(doc, S("profile")), test_arena()));
        TRUE(p && codec_parse(&codec, p, &why, test_arena()) == OK && codec_is_table(&codec));
        JSON_EACH (v, json_get(doc, S("examples"))) {
            struct codec_result *out = arena_new(test_arena(), struct codec_result);
            u8     payload[255];
            size_t n   = 0;
            i64 fport = 0;
            struct str id = json_str(json_get(v, S("id")), test_arena());
            TRUE(json_i64(&fport, json_get(v, S("fPort"))));
            TRUE(hex_read(payload, sizeof payload, &n,
                          json_str(json_get(v, S("bytes")), test_arena())));
            EQ(codec_read(out, &codec, (int)fport, (struct bytes){ payload, n }, test_arena()), OK);
            compare(id, out, json_get(json_get(v, S("expected")), S("data")));
            run++;
        }
    }
    TRUE(run >= 10);
}

TEST(no_payload_whatsoever_breaks_a_reader)
{
    struct profiles *profiles = shipped();
    struct codec_result *out = arena_new(test_arena(), struct codec_result);
    struct codecs codecs;
    struct arena  event = arena_make(1 << 16);
    struct str    why   = S("");
    u64 seed = 1;
    EQ(codecs_parse(&codecs, profiles, &why, test_arena()), OK);
    for (int i = 0; i < 20000; i++) {
        const struct codec *codec = &codecs.of[hash_u64(seed++) % codecs.count];
        u8     payload[64];
        size_t n = hash_u64(seed++) % (sizeof payload + 1);
        for (size_t k = 0; k < n; k++)
            payload[k] = (u8)hash_u64(seed++);
        for (size_t k = 1; k < n; k += 4)                /* often a type that Cayenne knows */
            payload[k] = (u8)(0x64 + payload[k] % 32);
        arena_reset(&event);
        enum err err = codec_read(out, codec, 2, (struct bytes){ payload, n }, &event);
        TRUE(err == (codec_is_table(codec) ? OK : ERR_UNSUPPORTED) && out->count <= FIELDS_MAX);
    }
    arena_free(&event);
}

TEST(a_profile_without_a_codec_is_fine_and_one_with_a_bad_codec_is_refused_in_the_list)
{
    struct codec c;
    struct str why = S("");
    EQ(parse(&c, S("null"), S("{}"), &why), OK);
    struct codec_result *out = arena_new(test_arena(), struct codec_result);
    EQ(codec_read(out, &c, 2, bytes_of(S("abc")), test_arena()), ERR_UNSUPPORTED);
    EQ(out->count, 0);
    struct profiles none = { NULL, 0 };
    struct codecs codecs;
    EQ(codecs_parse(&codecs, &none, &why, test_arena()), OK);
    struct profile bad = { .id = S("x"), .codec = arena_new(test_arena(), struct json) };
    EQ(codecs_parse(&codecs, &(struct profiles){ &bad, 1 }, &why, test_arena()), ERR_INVALID);
    TRUE(str_starts(why, S("profile x: codec")));
}
