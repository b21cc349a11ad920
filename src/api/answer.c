// SPDX-License-Identifier: Apache-2.0
/* Answers and parameters. */
#include "api/inside.h"

#define PAGE_BYTES_MAX (8 * 1024 * 1024)

/* ------------------------------------------------------------------ answers */

void answer_json(struct call *call, int status, struct str json)
{
    call->a->status = status;
    call->a->type   = S("application/json");
    call->a->body   = bytes_of(json);
    http_answer_header(call->a, S("Cache-Control"), S("no-store"));
}

void answer_problem(struct call *call, int status, const char *title, struct str detail)
{
    struct text     t = text_make(call->rq->arena, PAGE_BYTES_MAX);
    struct json_out o = json_out_make(&t);
    json_open_object(&o);
    json_member_str(&o, S("type"), S("about:blank"));
    json_member_str(&o, S("title"), str_z(title));
    json_member_str(&o, S("detail"), detail);
    json_member_i64(&o, S("status"), status);
    json_close(&o);
    answer_json(call, status, text_str(&t));
    call->a->type = S("application/problem+json");
}

void page_begin(struct page *page, struct call *call)
{
    page->text = text_make(call->rq->arena, PAGE_BYTES_MAX);
    page->out  = json_out_make(&page->text);
}

void page_answer(struct page *page, struct call *call, int status)
{
    if (page->text.bad)
        answer_problem(call, 500, "answer too large",
                       S("the answer is larger than 8 MiB: ask for less at once"));
    else if (!json_out_good(&page->out))
        answer_problem(call, 500, "answer broken", S("the page was not written whole"));
    else
        answer_json(call, status, text_str(&page->text));
}

void answer_unreadable(struct call *call)
{
    answer_problem(call, 503, "store not readable", S("the store cannot be read at the moment"));
}

bool store_good(struct call *call, enum err err)
{
    if (err == OK || err == ERR_NOT_FOUND)
        return true;
    log_line(LOG_ERROR, "page store=%s words=\"%.*s\"", err_words(err), STR(db_error(call->db)));
    answer_unreadable(call);
    return false;
}

/* ------------------------------------------------------------------ members */

struct str eui_text(struct arena *arena, u64 eui)
{
    return str_fmt(arena, "%016llX", (unsigned long long)eui);
}

void member_eui(struct json_out *o, struct str key, u64 eui)
{
    json_member_str(o, key, eui_text(o->text->arena, eui));
}

void member_time(struct json_out *o, struct str key, i64 us)
{
    if (us <= 0)
        json_member_null(o, key);
    else
        json_member_str(o, key, wall_str(o->text->arena, (struct wall){ us }));
}

void member_place(struct json_out *o, double lat, double lon)
{
    json_member_fixed(o, S("lat"), lat, 6);
    json_member_fixed(o, S("lon"), lon, 6);
}

void member_words(struct json_out *o, struct str key, struct str words)
{
    if (words.n)
        json_member_str(o, key, words);
    else
        json_member_null(o, key);
}

void member_count(struct json_out *o, struct str key, i64 n)
{
    if (n < 0)
        json_member_null(o, key);
    else
        json_member_i64(o, key, n);
}

const struct json *stored_object(struct str text, struct arena *arena)
{
    const struct json *doc;
    if (json_read(&doc, text, arena, JSON_LENIENT, NULL) != OK || !json_is(doc, JSON_OBJECT)) {
        log_line(LOG_ERROR, "page attributes=unreadable bytes=%zu", text.n);
        return NULL;
    }
    return doc;
}

/* ------------------------------------------------------------------ parameters */

static void refuse(struct call *call, struct str name, struct str words)
{
    answer_problem(call, 400, "wrong parameter",
                   str_fmt(call->rq->arena, "%.*s: %.*s", STR(name), STR(words)));
}

bool query_i64(struct call *call, struct str name, i64 otherwise, i64 least, i64 most, i64 *out)
{
    struct str text = http_query(call->rq, name);
    *out = otherwise;
    if (!http_has_query(call->rq, name))
        return true;
    if (str_to_i64(out, text) && *out >= least && *out <= most)
        return true;
    refuse(call, name,
           str_fmt(call->rq->arena, "a whole number from %lld to %lld", (long long)least,
                   (long long)most));
    return false;
}

bool query_time(struct call *call, struct str name, struct wall otherwise, struct wall *out)
{
    *out = otherwise;
    if (!http_has_query(call->rq, name) || wall_read(out, http_query(call->rq, name)))
        return true;
    refuse(call, name, S("a time like 2026-02-10T07:00:00Z"));
    return false;
}

bool param_eui(struct call *call, int at, u64 *out)
{
    u8 eui[8];
    size_t n;
    if (call->rq->param[at].n == 16 && hex_read(eui, sizeof eui, &n, call->rq->param[at]) &&
        n == sizeof eui) {
        *out = get_u64be(eui);
        return true;
    }
    answer_problem(call, 400, "wrong parameter", S("an EUI is 16 hexadecimal digits"));
    return false;
}
