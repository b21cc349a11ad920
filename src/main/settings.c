// SPDX-License-Identifier: Apache-2.0
#include "main/settings.h"

#include "sys/sys.h"

static const struct {
    const char *name;
    enum setting_kind kind;
    const char *otherwise, *unit;
    i64 least, most;
    const char *words;
} table[] = {
#define SETTING_ROW(name, kind, otherwise, unit, least, most, words) \
    { #name, SETTING_##kind, otherwise, unit, least, most, words },
    SETTINGS(SETTING_ROW)
#undef SETTING_ROW
};

/* "window_ms" and "window-ms" are the same word. */
static bool same_name(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (a.p[i] != b.p[i] && !(a.p[i] == '-' && b.p[i] == '_'))
            return false;
    return true;
}

static int find(struct str name)
{
    for (int i = 0; i < SETTINGS_COUNT; i++)
        if (same_name(name, str_z(table[i].name)))
            return i;
    return -1;
}

static bool read_hex(i64 *out, struct str text)
{
    u8 bytes[4] = { 0 };
    size_t n;
    if (text.n == 0 || text.n > 8 || text.n % 2 || !hex_read(bytes + 4 - text.n / 2, text.n / 2, &n, text))
        return false;
    *out = get_u32be(bytes);
    return true;
}

/* What can stand in a line of the file, so that what is printed reads back. */
static bool is_one_line(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((u8)text.p[i] < ' ' || text.p[i] == 0x7F)
            return false;
    return true;
}

static bool set(struct settings *s, int i, struct str text, struct str *why, struct arena *boot)
{
    text = str_trim(text);
    if (!is_one_line(text)) {
        *why = str_fmt(boot, "%s: one line without control characters is needed", table[i].name);
        return false;
    }
    bool good = true;
    s->text[i] = str_copy(boot, text);
    if (table[i].kind == SETTING_NUMBER)
        good = str_to_i64(&s->number[i], text) && s->number[i] >= table[i].least && s->number[i] <= table[i].most;
    if (table[i].kind == SETTING_HEX)
        good = read_hex(&s->number[i], text) && s->number[i] <= table[i].most;
    if (table[i].kind == SETTING_FLAG) {
        s->number[i] = str_eq(text, S("yes"));
        good = s->number[i] || str_eq(text, S("no"));
    }
    if (good)
        return true;
    if (table[i].kind == SETTING_NUMBER)
        *why = str_fmt(boot, "%s = %.*s: a number from %lld to %lld %s is needed", table[i].name, STR(text),
                       (long long)table[i].least, (long long)table[i].most, table[i].unit);
    else
        *why = str_fmt(boot, "%s = %.*s: %s is needed", table[i].name, STR(text),
                       table[i].kind == SETTING_FLAG ? "yes or no" : "hexadecimal digits");
    return false;
}

static enum err read_file(struct settings *s, const char *path, struct str *why, struct arena *boot)
{
    struct bytes file;
    struct str   rest, line;
    enum err err = sys_file_read(&file, path, 1 << 20, boot);
    if (err != OK) {
        *why = str_fmt(boot, "%s: %s", path, err_words(err));
        return err;
    }
    rest = str_of(file);
    for (int number = 1; rest.n > 0; number++) {
        line = str_trim(str_cut(&rest, '\n'));
        if (line.n == 0 || line.p[0] == '#')
            continue;
        struct str name = str_trim(str_cut(&line, '='));
        int i = find(name);
        struct str wrong = S("there is no such setting");
        if (i < 0 || !set(s, i, line, &wrong, boot)) {
            *why = str_fmt(boot, "%s, line %d: %.*s: %.*s", path, number, STR(name), STR(wrong));
            return ERR_INVALID;
        }
    }
    return OK;
}

/* The file first, whatever its place among the arguments: what is said on the command line wins. */
static enum err read_named_file(struct settings *s, int *argc, char **argv, struct str *why, struct arena *boot)
{
    int kept = 0;
    const char *path = NULL;
    for (int i = 0; i < *argc; i++) {
        if (str_eq(str_z(argv[i]), S("-c")) && i + 1 < *argc)
            path = argv[++i];
        else
            argv[kept++] = argv[i];
    }
    *argc = kept;
    return path ? read_file(s, path, why, boot) : OK;
}

enum err settings_read(struct settings *out, int *argc, char **argv, struct str *why, struct arena *boot)
{
    int kept = 0;
    for (int i = 0; i < SETTINGS_COUNT; i++)
        if (!set(out, i, str_z(table[i].otherwise), why, boot))
            return ERR_INVALID;
    enum err err = read_named_file(out, argc, argv, why, boot);
    for (int i = 0; i < *argc && err == OK; i++) {
        struct str word = str_z(argv[i]);
        int at = str_starts(word, S("--")) ? find((struct str){ word.p + 2, word.n - 2 }) : -1;
        if (at < 0) {
            argv[kept++] = argv[i];
            continue;
        }
        bool flag = table[at].kind == SETTING_FLAG;
        if (!flag && i + 1 >= *argc) {
            *why = str_fmt(boot, "%s needs a value", argv[i]);
            return ERR_INVALID;
        }
        if (!set(out, at, flag ? S("yes") : str_z(argv[++i]), why, boot))
            return ERR_INVALID;
    }
    *argc = kept;
    return err;
}

bool settings_flag(int *argc, char **argv, const char *word)
{
    int kept = 0, all = *argc;
    for (int i = 0; i < all; i++)
        if (!str_eq(str_z(argv[i]), str_z(word)))
            argv[kept++] = argv[i];
    *argc = kept;
    return kept < all;
}

void settings_print(const struct settings *s, struct text *out)
{
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        text_fmt(out, "# %s", table[i].words);
        if (table[i].unit[0])
            text_fmt(out, " (%s)", table[i].unit);
        if (table[i].otherwise[0])
            text_fmt(out, "; default %s", table[i].otherwise);
        text_fmt(out, "\n%s = %.*s\n\n", table[i].name, STR(s->text[i]));
    }
}
