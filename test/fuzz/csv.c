// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a table: lines rise, cells are UTF-8 within their limits, and what was read, quoted and
 * read again is the same. */
#include "test/fuzz/fuzz.h"

#include "wire/csv.h"

static void put_line(struct text *t, const struct str *cells, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        text_put(t, i ? S(",\"") : S("\""));
        for (size_t k = 0; k < cells[i].n; k++) {
            if (cells[i].p[k] == '"')
                text_char(t, '"');
            text_char(t, cells[i].p[k]);
        }
        text_char(t, '"');
    }
    text_char(t, '\n');
}

static void check_again(const struct str *cells, size_t n, struct arena *a)
{
    struct text t = text_make(a, 1 << 24);
    struct str  again[CSV_COLUMNS_MAX];
    size_t k;
    text_put(&t, S("a,b\n"));                                      /* the head line chooses the comma */
    put_line(&t, cells, n);
    struct csv csv = csv_make(text_str(&t), a);
    enum csv_fault fault = csv_next(&csv, again, &k);
    assert(fault == CSV_FINE && k == 2);
    fault = csv_next(&csv, again, &k);
    if (n == 1 && cells[0].n == 0)
        return;
    assert(fault == CSV_FINE && k == n);
    for (size_t i = 0; i < n; i++)
        assert(str_eq(cells[i], again[i]));
}

FUZZ(p, n)
{
    struct arena a = arena_make(1 << 14);
    struct str cells[CSV_COLUMNS_MAX];
    struct csv csv = csv_make((struct str){ (const char *)p, n }, &a);
    enum csv_fault fault;
    size_t k;
    u32 line = 0;
    while ((fault = csv_next(&csv, cells, &k)) == CSV_FINE) {
        assert(csv.line > line && k >= 1 && k <= CSV_COLUMNS_MAX);
        line = csv.line;
        for (size_t i = 0; i < k; i++)
            assert(cells[i].n <= CSV_CELL_MAX && str_is_utf8(cells[i]) &&
                   !(cells[i].n && memchr(cells[i].p, 0, cells[i].n)));
        check_again(cells, k, &a);
    }
    assert(csv_fault_words(fault)[0]);
    arena_free(&a);
    return 0;
}
