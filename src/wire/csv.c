// SPDX-License-Identifier: Apache-2.0
#include "wire/csv.h"

const char *csv_fault_words(enum csv_fault fault)
{
    static const char *const words[] = {
        [CSV_FINE]    = "fine",
        [CSV_END]     = "no more lines",
        [CSV_QUOTE]   = "a quote that is opened and not closed, or text after a closing quote",
        [CSV_COLUMNS] = "more than 64 columns",
        [CSV_CELL]    = "a cell longer than 4096 bytes",
        [CSV_UTF8]    = "not UTF-8; save the table as \"CSV UTF-8\"",
        [CSV_NUL]     = "a NUL byte",
    };
    return words[fault];
}

struct csv csv_make(struct str text, struct arena *arena)
{
    if (str_starts(text, S("\xef\xbb\xbf")))
        text = (struct str){ text.p + 3, text.n - 3 };
    size_t commas = 0, semicolons = 0;
    for (size_t i = 0; i < text.n && text.p[i] != '\n'; i++) {
        commas += text.p[i] == ',';
        semicolons += text.p[i] == ';';
    }
    return (struct csv){ .rest = text, .separator = semicolons > commas ? ';' : ',', .next_line = 1, .arena = arena };
}

static char peek(const struct csv *c)
{
    return c->rest.n ? c->rest.p[0] : '\n';
}

static char take(struct csv *c)
{
    char ch = c->rest.p[0];
    c->rest.p++;
    c->rest.n--;
    c->next_line += ch == '\n';
    return ch;
}

static enum csv_fault quoted(struct csv *c, struct str *cell)
{
    struct text t = text_make(c->arena, CSV_CELL_MAX);
    (void)take(c);
    for (;;) {
        if (c->rest.n == 0)
            return CSV_QUOTE;
        char ch = take(c);
        if (ch == '"') {
            if (c->rest.n == 0 || c->rest.p[0] != '"')
                break;
            (void)take(c);
        }
        text_char(&t, ch);
        if (t.bad)
            return CSV_CELL;
    }
    *cell = text_str(&t);
    bool crlf = peek(c) == '\r' && (c->rest.n == 1 || c->rest.p[1] == '\n');
    return peek(c) == c->separator || peek(c) == '\n' || crlf ? CSV_FINE : CSV_QUOTE;
}

static enum csv_fault bare(struct csv *c, struct str *cell)
{
    const char *from = c->rest.p;
    while (c->rest.n && c->rest.p[0] != c->separator && c->rest.p[0] != '\n')
        (void)take(c);
    *cell = str_trim((struct str){ from, (size_t)(c->rest.p - from) });
    return cell->n > CSV_CELL_MAX ? CSV_CELL : CSV_FINE;
}

static enum csv_fault check(struct str cell)
{
    if (cell.n && memchr(cell.p, 0, cell.n))
        return CSV_NUL;
    return str_is_utf8(cell) ? CSV_FINE : CSV_UTF8;
}

static enum csv_fault line(struct csv *c, struct str cells[CSV_COLUMNS_MAX], size_t *n)
{
    for (*n = 0;; (void)take(c)) {
        if (*n == CSV_COLUMNS_MAX)
            return CSV_COLUMNS;
        enum csv_fault fault = peek(c) == '"' ? quoted(c, &cells[*n]) : bare(c, &cells[*n]);
        if (fault == CSV_FINE)
            fault = check(cells[*n]);
        if (fault != CSV_FINE)
            return fault;
        (*n)++;
        if (c->rest.n && c->rest.p[0] == '\r')
            (void)take(c);
        if (peek(c) != c->separator)
            break;
    }
    if (c->rest.n)
        (void)take(c);
    return CSV_FINE;
}

enum csv_fault csv_next(struct csv *c, struct str cells[CSV_COLUMNS_MAX], size_t *n)
{
    while (c->rest.n > 0) {
        c->line = c->next_line;
        enum csv_fault fault = line(c, cells, n);
        if (fault != CSV_FINE || *n > 1 || cells[0].n > 0)
            return fault;
    }
    return CSV_END;
}
