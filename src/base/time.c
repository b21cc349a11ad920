// SPDX-License-Identifier: Apache-2.0
/* Civil time from and to microseconds since 1970 UTC, without the C library's time zone state. */
#include "base/base.h"

#define DAY_S 86400LL

/* Days since 1970-01-01 of a proleptic Gregorian date; years count from March so that the leap day ends one. */
static i64 days_of(i64 y, i64 m, i64 d)
{
    y -= m <= 2;
    i64 era = (y >= 0 ? y : y - 399) / 400;
    i64 yoe = y - era * 400;
    i64 doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(i64 days, i64 *y, i64 *m, i64 *d)
{
    days += 719468;
    i64 era = (days >= 0 ? days : days - 146096) / 146097;
    i64 doe = days - era * 146097;
    i64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    i64 doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    i64 mp  = (5 * doy + 2) / 153;
    *d      = doy - (153 * mp + 2) / 5 + 1;
    *m      = mp < 10 ? mp + 3 : mp - 9;
    *y      = yoe + era * 400 + (*m <= 2);
}

static char *put_number(char *p, i64 v, int digits, char behind)
{
    for (int i = digits; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    p[digits] = behind;
    return p + digits + 1;
}

struct str wall_str(struct arena *a, struct wall w)
{
    i64 ms   = w.us >= 0 ? w.us / US_PER_MS : (w.us - 999) / US_PER_MS;
    i64 s    = ms >= 0 ? ms / 1000 : (ms - 999) / 1000;
    i64 days = s >= 0 ? s / DAY_S : (s - (DAY_S - 1)) / DAY_S;
    i64 y, m, d, day_s = s - days * DAY_S;
    date_of(days, &y, &m, &d);
    if (y < 0 || y > 9999)
        return str_fmt(a, "%04lld-%02lld-%02lldT%02lld:%02lld:%02lld.%03lldZ", (long long)y, (long long)m,
                       (long long)d, (long long)(day_s / 3600), (long long)(day_s / 60 % 60),
                       (long long)(day_s % 60), (long long)(ms - s * 1000));
    char *text = arena_take(a, sizeof "2026-02-10T07:00:00.123Z", 1);
    char *p = put_number(text, y, 4, '-');
    p = put_number(p, m, 2, '-');
    p = put_number(p, d, 2, 'T');
    p = put_number(p, day_s / 3600, 2, ':');
    p = put_number(p, day_s / 60 % 60, 2, ':');
    p = put_number(p, day_s % 60, 2, '.');
    p = put_number(p, ms - s * 1000, 3, 'Z');
    return (struct str){ text, (size_t)(p - text) };
}

static i64 number(struct cur *c, int digits)
{
    i64 v = 0;
    for (; digits > 0; digits--) {
        u8 digit = cur_u8(c);
        if (digit < '0' || digit > '9')
            c->bad = true;
        v = v * 10 + (digit - '0');
    }
    return v;
}

static void literal(struct cur *c, char a, char b)
{
    u8 got = cur_u8(c);
    if (got != (u8)a && got != (u8)b)
        c->bad = true;
}

/* Digits beyond microseconds are read and dropped. */
static i64 fraction_us(struct cur *c)
{
    i64 us = 0, unit = 100000;
    if (cur_left(c) == 0 || (c->p[0] != '.' && c->p[0] != ','))
        return 0;
    (void)cur_u8(c);
    if (cur_left(c) == 0 || c->p[0] < '0' || c->p[0] > '9')
        c->bad = true;
    while (cur_left(c) > 0 && c->p[0] >= '0' && c->p[0] <= '9') {
        us += (cur_u8(c) - '0') * unit;
        unit /= 10;
    }
    return us;
}

static i64 offset_s(struct cur *c)
{
    u8 sign = cur_u8(c);
    if (sign == 'Z' || sign == 'z')
        return 0;
    if (sign != '+' && sign != '-')
        c->bad = true;
    i64 hours = number(c, 2);
    if (cur_left(c) > 0 && c->p[0] == ':')
        (void)cur_u8(c);
    i64 minutes = number(c, 2);
    if (hours > 23 || minutes > 59)
        c->bad = true;
    return (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

static i64 month_days(i64 y, i64 m)
{
    static const u8 days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return days[m - 1] + (m == 2 && leap);
}

bool wall_read(struct wall *out, struct str s)
{
    struct cur c = cur_of(bytes_of(s));
    i64 y = number(&c, 4);
    literal(&c, '-', '-');
    i64 m = number(&c, 2);
    literal(&c, '-', '-');
    i64 d = number(&c, 2);
    literal(&c, 'T', 't');
    i64 hour = number(&c, 2);
    literal(&c, ':', ':');
    i64 minute = number(&c, 2);
    literal(&c, ':', ':');
    i64 second = number(&c, 2);
    i64 us     = fraction_us(&c);
    i64 zone_s = offset_s(&c);
    if (c.bad || cur_left(&c) > 0 || m < 1 || m > 12 || d < 1 || d > month_days(y, m) || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    i64 s1970 = days_of(y, m, d) * DAY_S + hour * 3600 + minute * 60 + second - zone_s;
    *out      = (struct wall){ s1970 * US_PER_S + us };
    return true;
}
