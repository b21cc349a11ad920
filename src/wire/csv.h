/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_WIRE_CSV_H
#define HOTARU_WIRE_CSV_H

/*
 * wire/csv: tables of text (RFC 4180), as spreadsheets write them: a byte order mark, CRLF or LF,
 * comma or semicolon (whichever the head line has more of), quoted cells with doubled quotes.
 */
#include "base/base.h"

#define CSV_COLUMNS_MAX 64
#define CSV_CELL_MAX    4096

enum csv_fault { CSV_FINE, CSV_END, CSV_QUOTE, CSV_COLUMNS, CSV_CELL, CSV_UTF8, CSV_NUL };
const char *csv_fault_words(enum csv_fault fault);

struct csv { struct str rest; char separator; u32 line; u32 next_line; struct arena *arena; };

/* Chooses the separator by the first line; cells live in the arena or borrow the text. */
struct csv csv_make(struct str text, struct arena *arena);
/* The next line that is not empty: its cells, and csv->line is its number (from 1). */
enum csv_fault csv_next(struct csv *csv, struct str cells[CSV_COLUMNS_MAX], size_t *n);

#endif
