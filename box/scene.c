// SPDX-License-Identifier: Apache-2.0
/*
 * Scenes: a city and a night in it, in sentences that the river desk can read.
 *
 *     scene    "a flood is noticed although the north gateway is down"
 *     lasts    3h
 *     gateway  north at 36.70,137.21
 *     device   river-3 river at 36.71,137.22
 *
 *     at 10m   gateway north loses its way for 30m
 *              expect device river-3 state works within 20m
 *     every 5m kill
 *     never    a downlink counter used twice
 *
 * Time begins when the lists are enrolled and the devices are switched on. A line that begins with
 * blanks goes on at the time of the line above. What a line may say is one table of sentences
 * (`city --words` prints it); a blank in it is filled as its letter says:
 *
 *     $g gateway   $d device   $t time (90s, 1h40m)   $n number   $p percent   $w word   $q "text"   $h hex
 *
 * The promises of the judge hold in every scene; a `never` line says for the reader which of them
 * the scene is about, and is refused when there is no such promise.
 */
#include "box/box.h"

#include "wire/json.h"

#include <math.h>

#define WORDS_MAX  24
#define BLANKS_MAX 4
#define NAMES_MAX  200
#define LINES_MAX  2000
#define AGAIN_US   (1 * US_PER_S)       /* an expectation looks again so often until its time is over */

struct blank { struct str text; double number; i64 us; u32 index; };
struct line;
typedef void deed(struct box *b, const struct line *l);
struct sentence { const char *words; deed *deed; const char *says; };

struct line {
    u32    number;
    struct str text;
    const struct sentence *sentence;
    struct blank blank[BLANKS_MAX];
    i64    at_us, every_us, within_us;   /* within: of an expectation */
    i64    deadline_us;
};

struct named { struct str name; struct place at; enum device_kind kind; double loss; };
static struct script {
    struct str    title;
    enum scene    world;
    struct named  gateways[NAMES_MAX], devices[NAMES_MAX];
    u32           gateways_n, devices_n, first_gateway, first_device;
    struct line  *lines;
    u32           lines_n;
    bool          given;
} scene;

u64 scene_held;

/* ------------------------------------------------------------------ deeds */

static struct gateway *gateway_of(struct box *b, const struct line *l) { return &b->sim.gateways[scene.first_gateway + l->blank[0].index]; }
static struct device *device_of(struct box *b, const struct line *l, int at) { return &b->sim.devices[scene.first_device + l->blank[at].index]; }

static void gateway_power(struct box *b, const struct line *l)
{
    struct gateway *g = gateway_of(b, l);
    g->silent_until = mono_after(b->now, l->blank[1].us);
    g->tmst_start  += 123456789;          /* its concentrator begins anew */
}

static void gateway_way(struct box *b, const struct line *l)
{
    struct path *p = net_path(gateway_of(b, l)->index);
    p->cut_until = mono_after(b->now, l->blank[1].us);
    p->keeps     = false;
}

static void gateway_keeps(struct box *b, const struct line *l)
{
    gateway_way(b, l);
    net_path(gateway_of(b, l)->index)->keeps = true;
}

static void way_is_well(void *arg, i64 gateway)
{
    struct path *p = net_path((u32)gateway);
    (void)arg;
    p->loss = p->twice = p->reorder = 0;
    p->jitter_us = 0;
}

static void gateway_bad(struct box *b, const struct line *l)
{
    struct path *p = net_path(gateway_of(b, l)->index);
    p->loss = 0.1, p->twice = 0.05, p->reorder = 0.25, p->jitter_us = 500000;
    box_at(mono_after(b->now, l->blank[1].us), BOX_ALWAYS, way_is_well, NULL, gateway_of(b, l)->index);
}

static void gateway_loses(struct box *b, const struct line *l)
{
    net_path(gateway_of(b, l)->index)->loss = l->blank[1].number / 100;
    box_at(mono_after(b->now, l->blank[2].us), BOX_ALWAYS, way_is_well, NULL, gateway_of(b, l)->index);
}

static void cut_by(enum cut cut, double deed_n, i64 down_us) { box_cut_at((u32)MAX(deed_n, 1.0), cut, down_us); }
static void kill_now(struct box *b, const struct line *l) { (void)b, (void)l; cut_by(CUT_PROCESS, 1, 2 * US_PER_S); }
static void kill_for(struct box *b, const struct line *l) { (void)b; cut_by(CUT_PROCESS, 1, l->blank[0].us); }
static void kill_at(struct box *b, const struct line *l) { (void)b; cut_by(CUT_PROCESS, l->blank[0].number, l->blank[1].us); }
static void power_now(struct box *b, const struct line *l) { (void)b, (void)l; cut_by(CUT_POWER_LOSE, 1, 5 * US_PER_S); }
static void power_for(struct box *b, const struct line *l) { (void)b; cut_by(CUT_POWER_LOSE, 1, l->blank[0].us); }
static void power_at(struct box *b, const struct line *l) { (void)b; cut_by(CUT_POWER_LOSE, l->blank[0].number, l->blank[1].us); }
static void reorder_at(struct box *b, const struct line *l) { (void)b; cut_by(CUT_POWER_REORDER, l->blank[0].number, l->blank[1].us); }
static void tear_at(struct box *b, const struct line *l) { (void)b; cut_by(CUT_POWER_TEAR, l->blank[0].number, l->blank[1].us); }
static void stop_for(struct box *b, const struct line *l) { (void)b; box_stop_in_order(l->blank[0].us); }

static struct disk_faults sound = { .room_bytes = (i64)1 << 40, .sync_us = 200 };
static void disk_is_well(void *arg, i64 number) { (void)arg, (void)number; *disk_faults() = sound; }
static void disk_full(struct box *b, const struct line *l)
{
    disk_faults()->room_bytes = disk_used_bytes();
    box_at(mono_after(b->now, l->blank[0].us), BOX_ALWAYS, disk_is_well, NULL, 0);
}
static void disk_slow(struct box *b, const struct line *l)
{
    disk_faults()->sync_us = l->blank[0].us;
    box_at(mono_after(b->now, l->blank[1].us), BOX_ALWAYS, disk_is_well, NULL, 0);
}
static void disk_fails_sync(struct box *b, const struct line *l) { (void)b; disk_faults()->fail_sync_in = (i64)l->blank[0].number; }
static void disk_fails_write(struct box *b, const struct line *l) { (void)b; disk_faults()->fail_write_in = (i64)l->blank[0].number; }

static void clock_ahead(struct box *b, const struct line *l) { b->wall_offset_us = l->blank[0].us; }
static void clock_behind(struct box *b, const struct line *l) { b->wall_offset_us = -l->blank[0].us; }
static void clock_right(struct box *b, const struct line *l) { (void)l; b->wall_offset_us = 0; }
static void clock_2038(struct box *b, const struct line *l)
{
    (void)l;
    b->wall_offset_us = 2147483640 * US_PER_S - (b->wall_begin.us + b->now.us);
}

static void device_anew(struct box *b, const struct line *l)
{
    struct device *d = device_of(b, l, 0);
    d->kept.joined = 0;
    sim_turn_send_at(&b->sim, d, mono_after(b->now, US_PER_S));
}

static void codecs_die(struct box *b, const struct line *l)
{
    (void)b;
    codec_faults()->answer_us = 1000;
    codec_faults()->dies      = l->blank[0].number / 100;
}
static void codecs_well(struct box *b, const struct line *l) { (void)b, (void)l; *codec_faults() = (struct codec_faults){ .answer_us = 400 }; }

static void heard_nothing(void *arg, int status, struct str body)
{
    const struct line *l = arg;
    (void)body;
    if (status >= 400)
        box_broken("scene", "line %u: %.*s: answered with %d", l->number, STR(l->text), status);
}

static void order_device(struct box *b, const struct line *l, bool confirmed)
{
    struct arena mark = b->sim.event;
    struct str path = str_fmt(&b->sim.event, "/v1/devices/%016llX/downlinks", (unsigned long long)device_of(b, l, 0)->kept.dev_eui);
    struct str body = str_fmt(&b->sim.event, "{\"fport\":%d,\"payload\":\"%.*s\",\"confirmed\":%s}", (int)l->blank[2].number,
                              STR(l->blank[1].text), confirmed ? "true" : "false");
    door_ask("POST", path, S("application/json"), bytes_of(body), heard_nothing, (void *)(uintptr_t)l);
    b->sim.event = mark;
}
static void order_plain(struct box *b, const struct line *l) { order_device(b, l, false); }
static void order_confirmed(struct box *b, const struct line *l) { order_device(b, l, true); }

static void stranger(struct box *b, const struct line *l)
{
    u8 bytes[256];
    size_t n;
    struct address from = { .family = 4, .ip = { 192, 0, 2, 77 }, .port = 4000 };
    if (hex_read(bytes, sizeof bytes, &n, l->blank[0].text))
        net_inject(from, (struct bytes){ bytes, n }, b->now);
}

/* ------------------------------------------------------------------ expectations */

/* True: it is as the line says. `body` is the page's. */
typedef bool holds(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a);
struct expectation { struct str (*page)(struct box *b, const struct line *l); holds *holds; };

static struct str page_device(struct box *b, const struct line *l)
{
    return str_fmt(&b->sim.event, "/v1/devices/%016llX", (unsigned long long)device_of(b, l, 0)->kept.dev_eui);
}
static struct str page_readings(struct box *b, const struct line *l)
{
    return str_fmt(&b->sim.event, "/v1/devices/%016llX/frames?limit=200", (unsigned long long)device_of(b, l, 1)->kept.dev_eui);
}
static struct str page_downlinks(struct box *b, const struct line *l)
{
    return str_fmt(&b->sim.event, "/v1/devices/%016llX/downlinks", (unsigned long long)device_of(b, l, 0)->kept.dev_eui);
}
static struct str page_findings(struct box *b, const struct line *l) { (void)b, (void)l; return S("/v1/findings"); }
static struct str page_metrics(struct box *b, const struct line *l) { (void)b, (void)l; return S("/metrics"); }
static struct str page_health(struct box *b, const struct line *l) { (void)b, (void)l; return S("/health"); }
static struct str page_given(struct box *b, const struct line *l) { (void)b; return l->blank[0].text; }

static bool state_is(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    (void)body, (void)status;
    return str_eq(json_str(json_get(doc, S("state")), a), l->blank[1].text);
}

static bool value_is(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    double v;
    (void)body, (void)status;
    JSON_EACH (one, json_get(doc, S("values")))
        if (str_eq(json_str(json_get(one, S("attr")), a), l->blank[1].text) && json_double(&v, json_get(one, S("value"))))
            return fabs(v - l->blank[2].number) <= l->blank[3].number;
    return false;
}

static bool frames_are(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    double n = 0;
    (void)body, (void)status;
    JSON_EACH (one, json_get(doc, S("frames")))
        n += str_eq(json_str(json_get(one, S("direction")), a), S("up")) && !json_is(json_get(one, S("fcnt")), JSON_NULL) &&
             !json_is(json_get(one, S("drop")), JSON_STRING);
    return n >= l->blank[0].number;
}

static bool late_frames_are(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    double n = 0;
    bool late = false;
    (void)body, (void)status, (void)a;
    JSON_EACH (one, json_get(doc, S("frames")))
        n += json_bool(&late, json_get(one, S("late"))) && late;
    return n >= l->blank[0].number;
}

static bool downlink_is(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    (void)body, (void)status;
    JSON_EACH (one, json_get(doc, S("downlinks")))
        if (str_eq(json_str(json_get(one, S("state")), a), l->blank[1].text))
            return true;
    return false;
}

/* Of a gateway or a device, by its name. */
static bool has_finding(const struct line *l, const struct json *doc, struct arena *a)
{
    JSON_EACH (one, json_get(doc, S("findings")))
        if (str_eq(json_str(json_get(one, S("kind")), a), l->blank[0].text) &&
            str_eq(json_str(json_get(json_get(one, S("subject")), S("name")), a), l->blank[1].text))
            return true;
    return false;
}
static bool finding_is(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    (void)body, (void)status;
    return has_finding(l, doc, a);
}
static bool no_finding_is(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    (void)body;
    return status == 200 && !has_finding(l, doc, a);
}

static bool drops_are(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    struct str name = str_fmt(a, "hotaru_drops_total{word=\"%.*s\"} ", STR(l->blank[0].text));
    ptrdiff_t at = str_find(body, name);
    i64 n = 0;
    (void)doc, (void)status;
    if (at < 0)
        return false;
    struct str rest = { body.p + at + name.n, body.n - (size_t)at - name.n };
    return str_to_i64(&n, str_cut(&rest, '\n')) && (double)n >= l->blank[1].number;
}

static bool store_is(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    (void)doc, (void)status;
    return str_find(body, str_fmt(a, "\"%.*s\"", STR(l->blank[0].text))) >= 0;
}

static bool answers(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    (void)doc, (void)body, (void)a;
    return status == (int)l->blank[1].number;
}
static bool says(const struct line *l, const struct json *doc, struct str body, int status, struct arena *a)
{
    (void)doc, (void)status, (void)a;
    return str_find(body, l->blank[1].text) >= 0;
}

static void expect(struct box *b, const struct line *l);

/* ------------------------------------------------------------------ the table of sentences */

#define EXPECTATIONS(X)                                                                                              \
    X("expect device $d state $w",              page_device,    state_is,     "works, attention, silent or never")   \
    X("expect device $d $w is $n +- $n",        page_device,    value_is,     "the newest value of an attribute")    \
    X("expect at least $n frames of $d",        page_readings,  frames_are,   "kept and readable, of the newest 200") \
    X("expect at least $n late frames of $d",   page_readings,  late_frames_are, "that a gateway had kept")         \
    X("expect downlink of $d $w",               page_downlinks, downlink_is,  "one of its downlinks is in that state") \
    X("expect finding $w of $q",                page_findings,  finding_is,   "on the list of what is wrong now")    \
    X("expect no finding $w of $q",             page_findings,  no_finding_is, "not on that list")                   \
    X("expect drops $w at least $n",            page_metrics,   drops_are,    "refusals by their word, since the start") \
    X("expect store $w",                        page_health,    store_is,     "a word in /health")                   \
    X("expect page $q answers $n",              page_given,     answers,      "a status")                            \
    X("expect page $q says $q",                 page_given,     says,         "a text in the answer")

static const struct sentence sentences[] = {
    { "gateway $g loses power for $t",                        gateway_power,    "its clock begins anew" },
    { "gateway $g loses its way for $t",                      gateway_way,      "nothing passes" },
    { "gateway $g loses its way for $t and keeps what it hears", gateway_keeps, "and brings it when the way is back" },
    { "gateway $g has a bad way for $t",                      gateway_bad,      "10 % lost, 5 % twice, 25 % out of order, 500 ms jitter" },
    { "gateway $g loses $p for $t",                           gateway_loses,    "datagrams, both ways" },
    { "kill",                                                 kill_now,         "SIGKILL at the next deed; back after 2 s" },
    { "kill for $t",                                          kill_for,         "back after that time" },
    { "kill at deed $n for $t",                               kill_at,          "a deed is a write, a sync, a datagram, an answer" },
    { "power cut",                                            power_now,        "unsynced writes are lost; back after 5 s" },
    { "power cut for $t",                                     power_for,        "" },
    { "power cut at deed $n for $t",                          power_at,         "" },
    { "power cut out of order at deed $n for $t",             reorder_at,       "some unsynced writes reached the disk, some did not" },
    { "power cut torn at deed $n for $t",                     tear_at,          "a write reached the disk by half" },
    { "stop for $t",                                          stop_for,         "in order, as SIGTERM" },
    { "disk full for $t",                                     disk_full,        "" },
    { "disk slow by $t for $t",                               disk_slow,        "each sync" },
    { "disk fails at sync $n",                                disk_fails_sync,  "once, from now" },
    { "disk fails at write $n",                               disk_fails_write, "" },
    { "clock ahead by $t",                                    clock_ahead,      "the daemon's wall clock" },
    { "clock behind by $t",                                   clock_behind,     "" },
    { "clock at 2038",                                        clock_2038,       "8 s before 32 bits are full" },
    { "clock right",                                          clock_right,      "" },
    { "device $d begins anew",                                device_anew,      "has forgotten its session: joins again" },
    { "device $d is ordered $h on port $n",                   order_plain,      "a downlink" },
    { "device $d is ordered $h on port $n confirmed",         order_confirmed,  "" },
    { "codecs die $p",                                        codecs_die,       "of the scripts' calls" },
    { "codecs are well",                                      codecs_well,      "" },
    { "stranger sends $h",                                    stranger,         "a datagram from an address that is no gateway's" },
#define EXPECT_ROW(words, page, holds, says) { words, expect, says },
    EXPECTATIONS(EXPECT_ROW)
#undef EXPECT_ROW
};
static const struct expectation expectations[] = {
#define EXPECT_HOW(words, page, holds, says) { page, holds },
    EXPECTATIONS(EXPECT_HOW)
#undef EXPECT_HOW
};

void scene_words(struct text *t)
{
    for (size_t i = 0; i < COUNT(sentences); i++)
        text_fmt(t, "  %-56s %s\n", sentences[i].words, sentences[i].says);
}

static const struct expectation *expectation_of(const struct line *l)
{
    size_t first = COUNT(sentences) - COUNT(expectations);
    return &expectations[(size_t)(l->sentence - sentences) - first];
}

static void look_again(void *arg, i64 number)
{
    (void)number;
    expect(box_here(), arg);
}

static void looked(void *arg, int status, struct str body)
{
    struct box *b = box_here();
    struct line *l = arg;
    const struct json *doc = NULL;
    struct arena mark = b->sim.event;
    (void)json_read(&doc, body, &b->sim.event, JSON_LENIENT, NULL);
    bool good = status > 0 && expectation_of(l)->holds(l, doc, body, status, &b->sim.event);
    b->sim.event = mark;
    if (good) {
        box_log("line %u holds: %.*s", l->number, STR(l->text));
        scene_held++;
        l->deadline_us = 0;
        return;
    }
    if (b->now.us + AGAIN_US <= l->deadline_us) {
        box_at(mono_after(b->now, AGAIN_US), BOX_ALWAYS, look_again, l, 0);
        return;
    }
    box_broken("scene", "line %u: %.*s; the last answer was %d %.*s", l->number, STR(l->text), status,
               (int)MIN(body.n, (size_t)300), body.p);
    l->deadline_us = 0;
}

static void expect(struct box *b, const struct line *line)
{
    struct line *l = (struct line *)(uintptr_t)line;
    struct arena mark = b->sim.event;
    if (l->deadline_us == 0)
        l->deadline_us = b->now.us + l->within_us;
    door_ask("GET", expectation_of(l)->page(b, l), S(""), (struct bytes){ NULL, 0 }, looked, l);
    b->sim.event = mark;
}

static void happen(void *arg, i64 number)
{
    struct box *b = box_here();
    struct line *l = arg;
    (void)number;
    if (b->quiet)
        return;
    box_log("line %u: %.*s", l->number, STR(l->text));
    l->sentence->deed(b, l);
    if (l->every_us)
        box_at(mono_after(b->now, l->every_us), BOX_ALWAYS, happen, l, 0);
}

void scene_switched_on(struct box *b)
{
    for (u32 i = 0; i < scene.lines_n; i++)
        box_at(mono_after(b->now, scene.lines[i].at_us), BOX_ALWAYS, happen, &scene.lines[i], 0);
}

void scene_place(struct box *b)
{
    struct sim *s = &b->sim;
    scene.first_gateway = s->gateways_n;
    scene.first_device  = s->devices_n;
    for (u32 i = 0; i < scene.gateways_n; i++)
        (void)sim_place_gateway(s, scene.gateways[i].name, scene.gateways[i].at);
    for (u32 i = 0; i < scene.devices_n; i++)
        (void)sim_place_device(s, scene.devices[i].name, scene.devices[i].kind, scene.devices[i].at);
    if (scene.given)
        s->options.scene = s->world.scene = scene.world;
}

bool scene_given(void) { return scene.given; }
u32  scene_more(void) { return MAX(scene.gateways_n, scene.devices_n); }

/* ------------------------------------------------------------------ reading: words of a line */

struct words { struct str word[WORDS_MAX]; u32 n; };

/* Words between blanks; "…" is one word without its quotes, # ends the line. False: too many, or an open quote. */
static bool split(struct words *out, struct str line)
{
    out->n = 0;
    for (size_t i = 0; i < line.n;) {
        if (line.p[i] == ' ' || line.p[i] == '\t') {
            i++;
            continue;
        }
        if (line.p[i] == '#')
            return true;
        if (out->n == WORDS_MAX)
            return false;
        bool quoted = line.p[i] == '"';
        size_t from = i += quoted;
        while (i < line.n && (quoted ? line.p[i] != '"' : line.p[i] != ' ' && line.p[i] != '\t'))
            i++;
        if (quoted && i == line.n)
            return false;
        out->word[out->n++] = (struct str){ line.p + from, i - from };
        i += quoted;
    }
    return true;
}

/* 90s, 30m, 1h40m, 400d, 250ms */
static bool read_time(i64 *us, struct str s)
{
    static const struct { struct str unit; i64 us; } units[] = {
        { S("ms"), US_PER_MS }, { S("d"), 86400 * US_PER_S }, { S("h"), 3600 * US_PER_S }, { S("m"), 60 * US_PER_S }, { S("s"), US_PER_S },
    };
    *us = 0;
    if (str_eq(s, S("0")))
        return true;
    while (s.n) {
        size_t digits = 0;
        i64 n;
        while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
            digits++;
        if (digits > 9 || !str_to_i64(&n, (struct str){ s.p, digits }))
            return false;
        s = (struct str){ s.p + digits, s.n - digits };
        size_t u = 0;
        while (u < COUNT(units) && !str_starts(s, units[u].unit))
            u++;
        if (u == COUNT(units))
            return false;
        *us += n * units[u].us;
        s = (struct str){ s.p + units[u].unit.n, s.n - units[u].unit.n };
    }
    return *us > 0 && *us < 36500 * (86400 * US_PER_S);
}

static bool read_place(struct place *out, struct str s)
{
    struct str lat = str_cut(&s, ',');
    return str_to_double(&out->lat, lat) && str_to_double(&out->lon, s) && fabs(out->lat) <= 90 && fabs(out->lon) <= 180;
}

static bool find_name(u32 *index, const struct named *list, u32 n, struct str name)
{
    for (*index = 0; *index < n; ++*index)
        if (str_eq(list[*index].name, name))
            return true;
    return false;
}

static bool fill(struct blank *out, char letter, struct str word)
{
    u8 bytes[256];
    size_t n;
    *out = (struct blank){ .text = word };
    switch (letter) {
    case 'g': return find_name(&out->index, scene.gateways, scene.gateways_n, word);
    case 'd': return find_name(&out->index, scene.devices, scene.devices_n, word);
    case 't': return read_time(&out->us, word);
    case 'n': return str_to_double(&out->number, word);
    case 'p':
        return str_ends(word, S("%")) && str_to_double(&out->number, (struct str){ word.p, word.n - 1 }) && out->number >= 0 &&
               out->number <= 100;
    case 'h': return hex_read(bytes, sizeof bytes, &n, word);
    default:  return true;
    }
}

/* Does the line say this sentence? Its blanks are filled. */
static bool matches(struct line *l, const struct sentence *s, const struct words *w, u32 from, u32 to)
{
    struct str rest = str_z(s->words);
    u32 blanks = 0;
    for (; rest.n; from++) {
        struct str word = str_cut(&rest, ' ');
        if (from >= to)
            return false;
        if (word.p[0] != '$') {
            if (!str_eq(word, w->word[from]))
                return false;
        } else if (!fill(&l->blank[blanks++], word.p[1], w->word[from])) {
            return false;
        }
    }
    return from == to;
}

/* ------------------------------------------------------------------ reading: lines */

struct reading_scene { struct box *b; struct str why; u32 number; i64 at_us, every_us; struct arena *a; };

static bool wrong(struct reading_scene *r, const char *words)
{
    if (r->why.n == 0)
        r->why = str_fmt(r->a, "line %u: %s", r->number, words);
    return false;
}

static bool read_deed(struct reading_scene *r, const struct words *w, u32 from, struct str text)
{
    u32 to = w->n;
    i64 within = 0;
    if (to >= from + 2 && str_eq(w->word[to - 2], S("within"))) {
        if (!read_time(&within, w->word[to - 1]))
            return wrong(r, "the time behind \"within\" is not one (90s, 1h40m)");
        to -= 2;
    }
    if (scene.lines_n == LINES_MAX)
        return wrong(r, "too many lines");
    struct line *l = &scene.lines[scene.lines_n];
    for (size_t i = 0; i < COUNT(sentences); i++)
        if (matches(l, &sentences[i], w, from, to)) {
            if (within && sentences[i].deed != expect)
                return wrong(r, "only an expectation has a \"within\"");
            l->sentence = &sentences[i];
            l->number   = r->number;
            l->text     = str_trim(text);
            l->at_us    = r->at_us;
            l->every_us = r->every_us;
            l->within_us = within;
            scene.lines_n++;
            return true;
        }
    return wrong(r, "no sentence of the table says this, or a name is not declared above, or a number is none (city --words)");
}

static bool read_gateway(struct reading_scene *r, const struct words *w)
{
    u32 twice;
    struct named *n = &scene.gateways[scene.gateways_n];
    if (w->n < 4 || !str_eq(w->word[2], S("at")) || !read_place(&n->at, w->word[3]))
        return wrong(r, "gateway NAME at LATITUDE,LONGITUDE");
    if (scene.gateways_n + 1 == NAMES_MAX || find_name(&twice, scene.gateways, scene.gateways_n, w->word[1]))
        return wrong(r, "too many gateways, or the name stands already");
    n->name = w->word[1];
    scene.gateways_n++;
    return true;
}

static bool read_device(struct reading_scene *r, const struct words *w)
{
    static const struct { struct str word; enum device_kind kind; } kinds[] = {
        { S("river"), KIND_RIVER }, { S("snow"), KIND_SNOW }, { S("weather"), KIND_WEATHER },
        { S("parking"), KIND_PARKING }, { S("paddy"), KIND_PADDY }, { S("tracker"), KIND_TRACKER },
    };
    u32 twice;
    struct named *n = &scene.devices[scene.devices_n];
    if (w->n < 5 || !str_eq(w->word[3], S("at")) || !read_place(&n->at, w->word[4]))
        return wrong(r, "device NAME river|snow|weather|parking|paddy|tracker at LATITUDE,LONGITUDE");
    if (scene.devices_n + 1 == NAMES_MAX || find_name(&twice, scene.devices, scene.devices_n, w->word[1]))
        return wrong(r, "too many devices, or the name stands already");
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (str_eq(kinds[i].word, w->word[2])) {
            n->kind = kinds[i].kind;
            n->name = w->word[1];
            scene.devices_n++;
            return true;
        }
    return wrong(r, "no such kind of device");
}

static bool read_number(double *out, struct reading_scene *r, const struct words *w, double least, double most)
{
    if (w->n == 2 && str_to_double(out, w->word[1]) && *out >= least && *out <= most)
        return true;
    return wrong(r, "a number is needed, or it is too small or too large");
}

static const char *const nevers[] = {
    "an acknowledged frame lost", "a frame stored twice", "a downlink counter used twice", "a nonce accepted twice",
    "a downlink outside its window", "an id of two frames", "a child's place anywhere",
};

static bool read_never(struct reading_scene *r, struct str line)
{
    struct str words = str_trim((struct str){ line.p + 5, line.n - 5 });
    for (size_t i = 0; i < COUNT(nevers); i++)
        if (str_eq(words, str_z(nevers[i])))
            return true;
    return wrong(r, "no such promise: see docs/promises.md and the table in box/scene.c");
}

static bool read_head(struct reading_scene *r, const struct words *w, struct str line)
{
    struct plan *plan = &r->b->plan;
    double n;
    i64 us;
    struct str first = w->word[0];
    if (str_eq(first, S("gateway")))
        return read_gateway(r, w);
    if (str_eq(first, S("device")))
        return read_device(r, w);
    if (str_eq(first, S("never")))
        return read_never(r, line);
    if (str_eq(first, S("scene")) && w->n == 2) {
        scene.title = w->word[1];
        return true;
    }
    if (str_eq(first, S("lasts")) && w->n == 2 && read_time(&us, w->word[1]) && us <= 60 * (86400 * US_PER_S)) {
        plan->hours = (double)us / 3600e6;
        return true;
    }
    if (str_eq(first, S("world")) && w->n == 2)
        return sim_scene_read(&scene.world, w->word[1]) || wrong(r, "calm, flood, snow, morning or all");
    if (str_eq(first, S("seed")) && read_number(&n, r, w, 0, 1e15)) {
        plan->seed = plan->seed ? plan->seed : (u64)n;      /* the command's goes before the scene's */
        return true;
    }
    if (str_eq(first, S("gateways")) && read_number(&n, r, w, 0, 98)) {
        plan->gateways = (u32)n;
        return true;
    }
    if (str_eq(first, S("devices")) && read_number(&n, r, w, 0, 5200)) {
        plan->devices = (u32)n;
        return true;
    }
    if (str_eq(first, S("pace")) && read_number(&n, r, w, 0.01, 100)) {
        plan->interval_scale = 1 / n;
        return true;
    }
    if (str_eq(first, S("speed")) && read_number(&n, r, w, 1, 600)) {
        plan->speed = n;
        return true;
    }
    return wrong(r, "not understood: scene, seed, lasts, world, pace, speed, gateways, devices, gateway, device, never, at, every");
}

static bool read_line(struct reading_scene *r, struct str line)
{
    struct words w;
    u32 from = 0;
    if (!split(&w, line))
        return wrong(r, "a quote is open, or there are too many words");
    if (w.n == 0)
        return true;
    bool indented = line.p[0] == ' ' || line.p[0] == '\t';
    bool at = str_eq(w.word[0], S("at")), every = str_eq(w.word[0], S("every"));
    if (!indented && !at && !every)
        return read_head(r, &w, line);
    if (at || every) {
        i64 us;
        if (w.n < 3 || !read_time(&us, w.word[1]))
            return wrong(r, "a time is needed (0, 90s, 1h40m), and what happens then");
        r->at_us    = us;
        r->every_us = every ? us : 0;
        from = 2;
    }
    ptrdiff_t start = w.word[from].p - line.p;
    if (start > 0 && line.p[start - 1] == '"')
        start--;
    return read_deed(r, &w, from, (struct str){ line.p + start, line.n - (size_t)start });
}

enum err scene_read(struct box *b, struct str text, struct str *why)
{
    struct reading_scene r = { .b = b, .a = &b->boot };
    text = str_copy(&b->boot, text);
    memset(&scene, 0, sizeof scene);
    scene.world = SCENE_ALL;
    scene.lines = arena_array(&b->boot, struct line, LINES_MAX);
    b->plan.gateways = b->plan.devices = 0;
    b->plan.faults   = false;
    if (!str_is_utf8(text)) {
        *why = S("the scene is not UTF-8 text");
        return ERR_INVALID;
    }
    while (text.n) {
        struct str line = str_cut(&text, '\n');
        r.number++;
        if (!read_line(&r, line)) {
            *why = r.why;
            return ERR_INVALID;
        }
    }
    scene.given = true;
    return OK;
}
