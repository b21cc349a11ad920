// SPDX-License-Identifier: Apache-2.0
/*
 * Devices and gateways from a table. All or nothing: every line is read and every mistake is listed
 * with its line and column before anything is written. The command line and the API come here alike.
 */
#include "mac/inside.h"
#include "mac/lint.h"
#include "wire/csv.h"

#include <math.h>

#define ERRORS_KEPT 100
#define NAME_MAX_BYTES 200

struct column { struct str name; bool needed; };
static const struct column device_columns[] = {
    { { "dev_eui", 7 }, true },   { { "join_eui", 8 }, true },  { { "app_key", 7 }, true },
    { { "nwk_key", 7 }, false },  { { "name", 4 }, true },      { { "profile", 7 }, true },
    { { "latitude", 8 }, false }, { { "longitude", 9 }, false }, { { "simulated", 9 }, false },
};
static const struct column gateway_columns[] = {
    { { "gateway_eui", 11 }, true }, { { "name", 4 }, true },        { { "latitude", 8 }, false },
    { { "longitude", 9 }, false },   { { "altitude_m", 10 }, false }, { { "region", 6 }, true },
    { { "simulated", 9 }, false },
};
#define COLUMNS_MOST 9

struct importer {
    struct env *env;
    struct import_report *report;
    struct arena *arena;
    u64 tenant;
    const struct column *columns;
    size_t columns_n;
    int  place[COLUMNS_MOST];              /* where each column stands in the table, or -1 */
    u32  line;
    struct str *cells;
    size_t cells_n;
};

static void wrong(struct importer *im, struct str column, const char *ja, const char *en)
{
    struct import_error **last = &im->report->first;
    if (im->report->errors++ >= ERRORS_KEPT)
        return;
    while (*last)
        last = &(*last)->next;
    *last  = arena_new(im->arena, struct import_error);
    **last = (struct import_error){ .line = im->line, .column = str_copy(im->arena, column), .ja = str_z(ja),
                                    .en = str_z(en) };
}

static struct str cell(const struct importer *im, size_t column)
{
    int at = im->place[column];
    return at >= 0 && (size_t)at < im->cells_n ? im->cells[at] : S("");
}

static void read_head(struct importer *im)
{
    for (size_t c = 0; c < im->columns_n; c++) {
        im->place[c] = -1;
        for (size_t i = 0; i < im->cells_n; i++)
            if (str_eq_nocase(im->cells[i], im->columns[c].name))
                im->place[c] = (int)i;
        if (im->columns[c].needed && im->place[c] < 0)
            wrong(im, im->columns[c].name, "この列がありません", "this column is missing");
    }
    for (size_t i = 0; i < im->cells_n; i++) {
        bool known = false;
        for (size_t c = 0; c < im->columns_n; c++)
            known |= im->place[c] == (int)i;
        if (!known)
            wrong(im, im->cells[i], "知らない列です", "this column is not known");
    }
}

/* EUIs and keys are also written with - or : between the bytes. */
static bool hex_cell(u8 *out, size_t n, struct str text)
{
    char   digits[64];
    size_t got = 0, bytes;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '-' || text.p[i] == ':' || text.p[i] == ' ')
            continue;
        if (got == sizeof digits)
            return false;
        digits[got++] = text.p[i];
    }
    return hex_read(out, n, &bytes, (struct str){ digits, got }) && bytes == n;
}

static u64 eui_cell(struct importer *im, size_t column)
{
    u8 eui[8] = { 0 };
    if (!hex_cell(eui, 8, cell(im, column)))
        wrong(im, im->columns[column].name, "16桁の16進数ではありません", "not 16 hexadecimal digits");
    return get_u64be(eui);
}

static double degrees_cell(struct importer *im, size_t column, double most)
{
    struct str text = cell(im, column);
    double d = (double)NAN;
    if (text.n == 0)
        return d;
    if (!str_to_double(&d, text) || !(fabs(d) <= most))
        wrong(im, im->columns[column].name, "数値でないか、範囲の外です", "not a number, or out of range");
    return d;
}

static struct str name_cell(struct importer *im, size_t column)
{
    struct str name = cell(im, column);
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        wrong(im, im->columns[column].name, "空か、200バイトを超えています", "empty, or longer than 200 bytes");
    return name;
}

static bool flag_cell(struct importer *im, size_t column)
{
    struct str text = cell(im, column);
    if (text.n > 0 && !str_eq(text, S("0")) && !str_eq(text, S("1")))
        wrong(im, im->columns[column].name, "0 か 1 を書いてください", "write 0 or 1");
    return str_eq(text, S("1"));
}

static bool key_cell(struct importer *im, size_t column, u8 out[16], const struct device_new *n)
{
    if (!hex_cell(out, 16, cell(im, column))) {
        wrong(im, im->columns[column].name, "32桁の16進数ではありません", "not 32 hexadecimal digits");
        return false;
    }
    const struct lint *weak = lint_key(out, n->dev_eui, n->join_eui);
    if (weak)
        wrong(im, im->columns[column].name, weak->ja, weak->en);
    return true;
}

static void read_device(struct importer *im, struct device_new *n)
{
    struct str profile = cell(im, 5);
    *n = (struct device_new){ .tenant    = im->tenant,
                              .dev_eui   = eui_cell(im, 0),
                              .join_eui  = eui_cell(im, 1),
                              .name      = name_cell(im, 4),
                              .profile   = profile_find(&im->env->profiles, profile),
                              .latitude  = degrees_cell(im, 6, 90),
                              .longitude = degrees_cell(im, 7, 180),
                              .simulated = flag_cell(im, 8) };
    (void)key_cell(im, 2, n->app_key, n);
    if (cell(im, 3).n > 0)
        n->has_nwk_key = key_cell(im, 3, n->nwk_key, n);
    if (!n->profile)
        wrong(im, im->columns[5].name, "知らないプロファイルです", "there is no such device profile");
    else if (n->profile->version >= LORAWAN_1_1 && !n->has_nwk_key)
        wrong(im, im->columns[3].name, "LoRaWAN 1.1 には NwkKey が要ります", "LoRaWAN 1.1 needs a NwkKey");
    u32 known = registry_find(im->env, n->dev_eui);
    if (known != MAC_NONE && im->env->mac->devices[known].tenant != im->tenant)
        wrong(im, im->columns[0].name, "この機器は別のプロジェクトのものです", "this device belongs to another project");
}

static void read_gateway(struct importer *im, struct gateway_new *g)
{
    *g = (struct gateway_new){ .tenant     = im->tenant,
                               .eui        = eui_cell(im, 0),
                               .name       = name_cell(im, 1),
                               .latitude   = degrees_cell(im, 2, 90),
                               .longitude  = degrees_cell(im, 3, 180),
                               .altitude_m = degrees_cell(im, 4, 10000),
                               .region     = lora_region_by_name(cell(im, 5)),
                               .simulated  = flag_cell(im, 6) };
    if (!g->region)
        wrong(im, im->columns[5].name, "知らない地域です（例: AS923-1）", "there is no such region (for example AS923-1)");
    u32 known = mac_gateway(im->env->mac, g->eui);
    if (known != MAC_NONE && im->env->mac->gateways[known].tenant != im->tenant)
        wrong(im, im->columns[0].name, "この基地局は別のプロジェクトのものです", "this gateway belongs to another project");
}

/* The same EUI, or the same AppKey, twice in one table: a 1.0.x join-accept carries no DevEUI, so two
 * devices with one key could both take it. */
static void check_twice(struct importer *im, struct map *seen, u64 what, size_t column, const char *ja, const char *en)
{
    if (map_get(seen, what) != MAP_NONE)
        wrong(im, im->columns[column].name, ja, en);
    else
        map_put(seen, what, im->line);
}

struct rows { struct device_new *devices; struct gateway_new *gateways; u32 n, room; };

static void *row_new(struct rows *rows, enum import_kind kind)
{
    if (rows->n == rows->room) {
        u32 room = rows->room ? rows->room * 2 : 256;
        rows->devices  = kind == IMPORT_DEVICES ? boot_grow(rows->devices, rows->room * sizeof *rows->devices,
                                                            room * sizeof *rows->devices) : NULL;
        rows->gateways = kind == IMPORT_GATEWAYS ? boot_grow(rows->gateways, rows->room * sizeof *rows->gateways,
                                                             room * sizeof *rows->gateways) : NULL;
        rows->room = room;
    }
    rows->n++;
    return kind == IMPORT_DEVICES ? (void *)&rows->devices[rows->n - 1] : (void *)&rows->gateways[rows->n - 1];
}

static void read_row(struct importer *im, enum import_kind kind, struct rows *rows, struct map *euis, struct map *keys)
{
    im->report->rows++;
    if (kind == IMPORT_GATEWAYS) {
        struct gateway_new *g = row_new(rows, kind);
        read_gateway(im, g);
        check_twice(im, euis, g->eui, 0, "同じ EUI が2回あります", "the same EUI stands twice");
        im->report->updated += mac_gateway(im->env->mac, g->eui) != MAC_NONE;
        return;
    }
    struct device_new *d = row_new(rows, kind);
    read_device(im, d);
    check_twice(im, euis, d->dev_eui, 0, "同じ EUI が2回あります", "the same EUI stands twice");
    check_twice(im, keys, hash_bytes((struct bytes){ d->app_key, 16 }), 2, "同じ AppKey が2回あります",
                "the same AppKey stands twice");
    im->report->updated += registry_find(im->env, d->dev_eui) != MAC_NONE;
}

static void read_table(struct importer *im, enum import_kind kind, struct str csv, struct rows *rows)
{
    struct str  cells[CSV_COLUMNS_MAX];
    struct csv  c = csv_make(csv, im->arena);
    struct map  euis = { 0 }, keys = { 0 };
    bool head = true;
    for (;;) {
        enum csv_fault fault = csv_next(&c, cells, &im->cells_n);
        im->line  = c.line;
        im->cells = cells;
        if (fault == CSV_END)
            break;
        if (fault != CSV_FINE) {
            wrong(im, S(""), "表として読めません", csv_fault_words(fault));
            break;
        }
        if (head)
            read_head(im);
        else
            read_row(im, kind, rows, &euis, &keys);
        if (head && im->report->errors > 0)
            break;
        head = false;
    }
    if (head && im->report->errors == 0)
        wrong(im, S(""), "空の表です", "the table is empty");
    boot_release(euis.keys), boot_release(euis.values);
    boot_release(keys.keys), boot_release(keys.values);
}

/* One transaction of its own: memory follows only what the store has taken. */
static enum err write_rows(struct env *env, const struct rows *rows, enum import_kind kind)
{
    enum err err = OK;
    for (u32 i = 0; i < rows->n && err == OK; i++)
        err = kind == IMPORT_DEVICES ? registry_put_device(env, &rows->devices[i])
                                     : registry_put_gateway(env, &rows->gateways[i]);
    if (err == OK && env->open) {
        err = db_commit(env->db);
        env->open = false;
    }
    if (err != OK) {
        env->failed = err;
        return err;
    }
    for (u32 i = 0; i < rows->n; i++) {
        if (kind == IMPORT_DEVICES)
            (void)registry_add_device(env, &rows->devices[i]);
        else
            registry_add_gateway(env, &rows->gateways[i]);
    }
    return OK;
}

enum err mac_import(struct env *env, u64 tenant, enum import_kind kind, struct str csv, bool dry_run,
                    struct import_report *report, struct arena *arena)
{
    struct rows rows = { 0 };
    struct importer im = { .env = env, .report = report, .arena = arena, .tenant = tenant,
                           .columns   = kind == IMPORT_DEVICES ? device_columns : gateway_columns,
                           .columns_n = kind == IMPORT_DEVICES ? COUNT(device_columns) : COUNT(gateway_columns) };
    *report = (struct import_report){ 0 };
    assert(!env->open);
    read_table(&im, kind, csv, &rows);
    report->created = report->rows - report->updated;
    enum err err = report->errors > 0 ? ERR_INVALID : dry_run ? OK : write_rows(env, &rows, kind);
    if (rows.devices)
        lora_wipe(rows.devices, rows.room * sizeof *rows.devices);
    boot_release(rows.devices);
    boot_release(rows.gateways);
    return err;
}
