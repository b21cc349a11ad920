/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_API_INSIDE_H
#define HOTARU_API_INSIDE_H

/*
 * What the pages share. A handler reads its parameters and calls a page with what was asked; tests
 * call the page. All queries of a page see one moment of the store (readers.c).
 *
 *   pages.c          what a device and an entity are; the city; the list of devices
 *   device_page.c    one device, and one of its values over time
 *   frames_page.c    its frames, downlinks and refusals
 *   radio_page.c     what its radio is asked to do, and why
 *   gateway_page.c   gateways        map_page.c  the map        findings_page.c  what is wrong now
 *
 * Personal devices: a page may say their state, their battery and when they were last heard. Not
 * where they are, what they say, or which gateway heard them: a list of gateways is a track.
 */
#include "api/api.h"
#include "ngsi/ngsi.h"
#include "sys/sys.h"

#include <math.h>

/* ------------------------------------------------------------------ columns that may be NULL */

static inline i64 column_or(struct db_query *q, int column, i64 otherwise)
{
    return db_is_null(q, column) ? otherwise : db_i64(q, column);
}

static inline double column_degrees(struct db_query *q, int column)
{
    return db_is_null(q, column) ? (double)NAN : db_double(q, column);
}

/* ------------------------------------------------------------------ answer.c */

void answer_unreadable(struct call *call);
/* True: go on. False: the store failed, and that has been answered. ERR_NOT_FOUND is no failure. */
bool store_good(struct call *call, enum err err);
/* 16 upper-case digits, as labels on devices show them. */
struct str eui_text(struct arena *arena, u64 eui);
void member_eui(struct json_out *o, struct str key, u64 eui);
void member_time(struct json_out *o, struct str key, i64 us);            /* 0: null */
void member_place(struct json_out *o, double lat, double lon);           /* NAN: null */
void member_words(struct json_out *o, struct str key, struct str words); /* empty: null */
void member_count(struct json_out *o, struct str key, i64 n);            /* below 0: null */
/* An object by its stored text; NULL when it cannot be read, which is logged. */
const struct json *stored_object(struct str text, struct arena *arena);

/* ------------------------------------------------------------------ pages.c: what a device row is */

#define BATTERY_LOW_PCT 20

enum state { STATE_NEVER, STATE_SILENT, STATE_ATTENTION, STATE_WORKS };
struct str state_words(enum state state);

struct device_row {
    u64  dev_eui;
    struct str name, profile_id;
    const struct profile *profile;             /* NULL: it is in data/profiles no more */
    double lat, lon;                           /* NAN: not known */
    i64  created_us, heard_us;                 /* heard_us 0: never */
    int  battery_pct;                          /* -1: not known */
    bool simulated, personal;                  /* without a profile: hidden like a personal one */
    bool flagged;                              /* its main field is */
};

/* The head and the join of every query that device_read reads; further columns stand after these. */
#define DEVICE_SELECT  "SELECT " DEVICE_ROW("d.") ", " STATE_ROW("s.")
#define DEVICE_FROM    " FROM device d LEFT JOIN device_state s ON s.tenant = d.tenant AND s.dev_eui = d.dev_eui "

/* False: its row is damaged, and is not shown. */
bool device_read(struct device_row *out, const struct call *call, struct db_query *q);
/* False: there is none of that EUI in the tenant, and that has been answered. (device_page.c) */
bool device_find(struct device_row *out, struct call *call, u64 dev_eui);
enum state device_state(const struct device_row *d, i64 now_us);
struct str device_entity(const struct device_row *d, struct arena *arena);    /* empty: none, or personal */
/* Opens an object and writes what the list shows of it; the caller closes. */
void device_write(struct json_out *o, const struct device_row *d, i64 now_us);
/* All devices of the tenant in the order of their (signed) EUI, at most `max`. */
struct device_rows { struct device_row *row; size_t n; };
enum err devices_load(struct device_rows *out, struct call *call, i64 max);
struct device_row *devices_find(const struct device_rows *rows, u64 dev_eui);

/* ------------------------------------------------------------------ pages.c: what an entity says */

const struct profile_field *main_field(const struct profile *profile);         /* NULL: the profile names none */
struct str field_attribute(const struct profile_field *field);                 /* its name in the entity */
struct str attribute_flag(const struct json *attribute, struct arena *arena);  /* "" is the good one */
/* A text member of an attribute, or the value of a sub-property of that name. */
struct str attribute_text(const struct json *attribute, struct str name, struct arena *arena);
/* The device that an entity came from; 0: none. */
u64 entity_device(const struct json *attributes, struct arena *arena);

/* ------------------------------------------------------------------ gateway_page.c */

#define GATEWAY_SILENT_US (120 * US_PER_S)     /* they ask for downlinks every 5 to 30 s */
static inline enum state gateway_state(i64 seen_us, i64 now_us)
{
    i64 age_us = now_us - seen_us;                 /* in the future: the clock was wrong, nobody knows when */
    return seen_us <= 0 ? STATE_NEVER : age_us > GATEWAY_SILENT_US || age_us < -GATEWAY_SILENT_US ? STATE_SILENT : STATE_WORKS;
}
struct gateway_name { u64 eui; struct str name; };
struct gateway_names { struct gateway_name *list; size_t n; };
enum err gateways_load(struct gateway_names *out, struct call *call);
struct str gateway_name(const struct gateway_names *names, u64 eui);           /* empty: not registered */

/* ------------------------------------------------------------------ what was asked */

struct devices_asked { i64 limit, offset; struct str q; };
void devices_page(struct call *call, struct devices_asked asked);
struct series_asked { u64 dev_eui; struct str attr; struct wall from, to; i64 limit; };
void series_page(struct call *call, struct series_asked asked);
void device_page(struct call *call, u64 dev_eui);
void frames_page(struct call *call, u64 dev_eui, i64 limit);
void downlinks_page(struct call *call, u64 dev_eui, i64 limit);
void why_page(struct call *call, u64 dev_eui);
void radio_page(struct call *call, u64 dev_eui);

struct ngsi_asked { struct ngsi_query query; struct ngsi_view view; enum ngsi_media media; struct str raw_query; };
void entity_page(struct call *call, struct ngsi_asked *asked, struct str id);
void entities_page(struct call *call, struct ngsi_asked *asked);
void temporal_page(struct call *call, struct ngsi_asked *asked, struct str id);

/* A cursor over the store: what is after `at`. */
/* `seen`: of the store, up to which commit everything was given out. */
struct stream { u64 tenant; i64 at, seen; bool uplinks; };
/* True: nothing is left. */
bool stream_look(struct stream *s, struct db *db, struct text *out);

/* ------------------------------------------------------------------ readers.c */
const struct ngsi_context *readers_core(const struct readers *readers);

#endif
