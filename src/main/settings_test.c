// SPDX-License-Identifier: Apache-2.0
#include "main/settings.h"

#include "base/test.h"
#include "sys/sys.h"

static enum err read_file(struct settings *out, struct str text, struct str *why)
{
    struct str path = str_fmt(test_arena(), "%s/conf", test_folder());
    char *argv[] = { (char[]){ "-c" }, (char *)(uintptr_t)path.p };
    *out = (struct settings){ 0 };
    EQ(sys_file_write(path.p, bytes_of(text), 0600), OK);
    return settings_read(out, &(int){ 2 }, argv, why, test_arena());
}

static enum err read_word(struct settings *out, const char *value, struct str *why)
{
    char *argv[] = { (char[]){ "--city_ja" }, (char *)(uintptr_t)str_copy(test_arena(), str_z(value)).p };
    *out = (struct settings){ 0 };
    return settings_read(out, &(int){ 2 }, argv, why, test_arena());
}

TEST(what_is_printed_reads_back_the_same)
{
    struct settings s, again;
    struct str why = S("");
    struct text t = text_make(test_arena(), 1 << 16);
    EQ(read_word(&s, " 富山市 ", &why), OK);
    STR_EQ(s.text[SET_city_ja], S("富山市"));
    settings_print(&s, &t);
    EQ(read_file(&again, text_str(&t), &why), OK);
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        STR_EQ(s.text[i], again.text[i]);
        EQ(s.number[i], again.number[i]);
    }
}

TEST(a_value_is_one_line_without_control_characters)
{
    struct settings s;
    struct str why = S("");
    EQ(read_word(&s, "a\nspeed = 600", &why), ERR_INVALID);
    TRUE(str_starts(why, S("city_ja: one line")));
    EQ(read_file(&s, S("city_ja = a\0b\n"), &why), ERR_INVALID);
    EQ(read_file(&s, S("city_ja = a\x7f\n"), &why), ERR_INVALID);
    EQ(read_file(&s, S("city_ja = a\r\n"), &why), OK);
}
