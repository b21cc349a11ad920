// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "wire/csv.h"

/* The table as one line: cells in |…|, lines by their numbers; a fault ends it with its name. */
static struct str shape(struct str text)
{
    static const char *const names[] = { "FINE", "END", "QUOTE", "COLUMNS", "CELL", "UTF8", "NUL" };
    struct str  cells[CSV_COLUMNS_MAX];
    struct csv  csv = csv_make(text, test_arena());
    struct text t = text_make(test_arena(), 1 << 20);
    size_t n;
    for (;;) {
        enum csv_fault fault = csv_next(&csv, cells, &n);
        if (fault == CSV_END)
            return text_str(&t);
        text_fmt(&t, "%s%u", t.n ? " " : "", csv.line);
        if (fault != CSV_FINE) {
            text_fmt(&t, ":%s", names[fault]);
            return text_str(&t);
        }
        for (size_t i = 0; i < n; i++)
            text_fmt(&t, "|%.*s", STR(cells[i]));
    }
}

#define SHAPE(text, is) STR_EQ(shape(S(text)), S(is))

TEST(a_table_is_read_as_spreadsheets_write_it)
{
    /*    text                                 lines and cells           */
    SHAPE("a,b\nc,d\n",                        "1|a|b 2|c|d");
    SHAPE("a,b\nc,d",                          "1|a|b 2|c|d");           /* no line end at the end of the file */
    SHAPE("a,b\r\nc,d\r\n",                    "1|a|b 2|c|d");
    SHAPE("\xef\xbb\xbf" "a,b\n",              "1|a|b");                 /* a byte order mark */
    SHAPE("a;b,c\n1;2,3\n",                    "1|a;b|c 2|1;2|3");       /* as many of each: the comma */
    SHAPE("a;b;c,d\n1;2;3\n",                  "1|a|b|c,d 2|1|2|3");     /* more semicolons: they separate */
    SHAPE("\n\na\n\n\nb\n",                    "3|a 6|b");               /* empty lines are counted, not read */
    SHAPE("a,,c\n,\n",                         "1|a||c 2||");
    SHAPE("  a , b\t,c \n",                    "1|a|b|c");
    SHAPE("富山,神通川\n",                     "1|富山|神通川");
    SHAPE("",                                  "");
    SHAPE("\xef\xbb\xbf",                      "");
}

TEST(quoted_cells_hold_what_would_separate)
{
    SHAPE("\"a,b\",\"c;d\"\n",                 "1|a,b|c;d");
    SHAPE("\"a \"\"b\"\" c\"\n",               "1|a \"b\" c");
    SHAPE("\"\",x\n",                          "1||x");
    SHAPE("\" a \",x\n",                       "1| a |x");               /* blanks inside quotes are meant */
    SHAPE("\"two\nlines\",x\nnext\n",          "1|two\nlines|x 3|next"); /* the next line is the third */
    SHAPE("\"a\"\r\n\"b\"\r\n",                "1|a 2|b");
    SHAPE("\"a\"",                             "1|a");
    SHAPE("a\"b,c\n",                          "1|a\"b|c");              /* a quote inside a bare cell is a character */
}

TEST(what_cannot_be_a_table_is_refused_with_its_line)
{
    SHAPE("a,b\n\"c,d\n",                      "1|a|b 2:QUOTE");         /* opened and not closed */
    SHAPE("\"a\"b\n",                          "1:QUOTE");               /* text behind a closing quote */
    SHAPE("\"a\" ,b\n",                        "1:QUOTE");
    SHAPE("\"",                                "1:QUOTE");
    SHAPE("\"a\"\rb\n",                        "1:QUOTE");               /* a bare CR is no line end */
    SHAPE("\"a\"\r",                           "1|a");
    SHAPE("a\n\xff\n",                         "1|a 2:UTF8");
    SHAPE("a\n\x90\xcc\x92\xca\n",             "1|a 2:UTF8");            /* 神通 in Shift_JIS */
    SHAPE("\"\xed\xa0\x80\"\n",                "1:UTF8");                /* a surrogate */
    SHAPE("a\nb\0c\n",                         "1|a 2:NUL");
    SHAPE("\"b\0c\"\n",                        "1:NUL");
}

TEST(a_line_has_64_columns_and_a_cell_4096_bytes)
{
    struct text t = text_make(test_arena(), 1 << 20);
    struct str  cells[CSV_COLUMNS_MAX];
    size_t n;
    for (int i = 0; i < CSV_COLUMNS_MAX - 1; i++)
        text_char(&t, ',');
    struct csv csv = csv_make(text_str(&t), test_arena());
    EQ(csv_next(&csv, cells, &n), CSV_FINE);
    EQ(n, CSV_COLUMNS_MAX);
    text_char(&t, ',');
    csv = csv_make(text_str(&t), test_arena());
    EQ(csv_next(&csv, cells, &n), CSV_COLUMNS);
    for (int quoted = 0; quoted <= 1; quoted++)
        for (size_t size = CSV_CELL_MAX - 1; size <= CSV_CELL_MAX + 1; size++) {
            t = text_make(test_arena(), 1 << 20);
            text_put(&t, quoted ? S("\"") : S(""));
            for (size_t i = 0; i < size; i++)
                text_char(&t, 'x');
            text_put(&t, quoted ? S("\"\n") : S("\n"));
            csv = csv_make(text_str(&t), test_arena());
            EQ(csv_next(&csv, cells, &n), size <= CSV_CELL_MAX ? CSV_FINE : CSV_CELL);
        }
}

TEST(every_fault_of_a_table_has_words)
{
    for (enum csv_fault f = CSV_FINE; f <= CSV_NUL; f++)
        TRUE(str_z(csv_fault_words(f)).n > 3);
}

TEST(every_cut_of_a_table_ends)
{
    struct str whole = S("\xef\xbb\xbf" "a;\"b\"\"\n;\";c\r\n;;\n\"x\";y;z\n\n\"\";\xe5\xaf\x8c\n");
    for (size_t n = 0; n <= whole.n; n++)
        TRUE(shape((struct str){ whole.p, n }).n < 200);
}
