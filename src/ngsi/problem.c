// SPDX-License-Identifier: Apache-2.0
/* What went wrong, as problem details, and the names that may be used. */
#include "ngsi/ngsi.h"

static const struct { const char *type; int status; const char *title; } errors[] = {
#define NGSI_ERROR_ROW(name, type, status, title) [name] = { type, status, title },
    NGSI_ERRORS(NGSI_ERROR_ROW)
#undef NGSI_ERROR_ROW
};
static_assert(COUNT(errors) == NGSI_ERROR_KINDS, "every error has a status and a title");

int ngsi_status(enum ngsi_error error) { return errors[error].status; }

void ngsi_problem_write(struct json_out *o, const struct ngsi_problem *problem)
{
    const char *type = errors[problem->error].type;
    struct arena *arena = o->text->arena;

    json_open_object(o);
    /* HTTP's own refusals have no NGSI-LD type (RFC 7807, section 4.2). */
    json_member_str(o, S("type"),
                    type ? str_fmt(arena, "https://uri.etsi.org/ngsi-ld/errors/%s", type)
                         : S("about:blank"));
    json_member_str(o, S("title"), str_z(errors[problem->error].title));
    if (problem->detail.n > 0)
        json_member_str(o, S("detail"), problem->detail);
    json_member_i64(o, S("status"), errors[problem->error].status);
    json_close(o);
}

/* ------------------------------------------------------------------ names */

static bool is_alpha(char c) { return (u8)((c | 0x20) - 'a') < 26; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_hex(char c) { return is_digit(c) || (u8)((c | 0x20) - 'a') < 6; }

/* unreserved, gen-delims, sub-delims (RFC 3986, section 2). */
static bool is_uri_char(char c)
{
    return is_alpha(c) || is_digit(c) || (c != '\0' && memchr("-._~:/?#[]@!$&'()*+,;=", c, 22));
}

/* urn:NID:NSS (RFC 8141): both parts are there. */
static bool is_urn(struct str rest)
{
    struct str nid = str_cut(&rest, ':');
    return nid.n >= 2 && rest.n >= 1;
}

bool ngsi_is_uri(struct str s)
{
    struct str rest = s, scheme = str_cut(&rest, ':');

    if (scheme.n == s.n || scheme.n == 0 || rest.n == 0 || !is_alpha(scheme.p[0]))
        return false;
    for (size_t i = 0; i < scheme.n; i++)
        if (!is_alpha(scheme.p[i]) && !is_digit(scheme.p[i]) && !memchr("+-.", scheme.p[i], 3))
            return false;
    for (size_t i = 0; i < rest.n; i++) {
        if (is_uri_char(rest.p[i]))
            continue;
        if (rest.p[i] != '%' || i + 2 >= rest.n || !is_hex(rest.p[i + 1]) || !is_hex(rest.p[i + 2]))
            return false;
    }
    return !str_eq_nocase(scheme, S("urn")) || is_urn(rest);
}

bool ngsi_is_name(struct str s)
{
    if (s.n == 0 || !str_is_utf8(s))
        return false;
    if (!is_alpha(s.p[0]) && (u8)s.p[0] < 0x80)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((u8)s.p[i] < 0x80 && !is_alpha(s.p[i]) && !is_digit(s.p[i])
            && !memchr("_.-", s.p[i], 3))
            return ngsi_is_uri(s);
    return true;
}
