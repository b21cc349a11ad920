// SPDX-License-Identifier: Apache-2.0
/*
 * What stands in the store, through a reader's connection of the judge's own. Every uplink's row is
 * read once when it appears and again in whole passes; a row that was ever seen stays, as it is, for
 * ever. The connection ends with each life: what the cut left is read by a new one.
 */
#include "box/judge.h"

#include "db/db.h"

#define FLAG_PERSONAL (1 << 11)
#define OWED_US (300 * US_PER_S)         /* so long a script may take, whatever dies meanwhile */

/* ------------------------------------------------------------------ the connection */

bool store_open(void)
{
    struct judge *j = judge_here();
    const struct settings *set = &j->box->settings;
    struct str why = S("");
    j->looks++;
    if (j->db && j->db_life == j->box->life)
        return true;
    store_close();
    if (db_open(&j->db, set->text[SET_data], DB_READER, &why, &j->scratch) == OK) {
        j->db_life = j->box->life;
        return true;
    }
    j->db = NULL;
    j->blind++;
    box_log("judge: the store cannot be read: %.*s", STR(why));
    return false;
}

void store_close(void)
{
    struct judge *j = judge_here();
    if (j->db)
        db_close(j->db);
    j->db = NULL;
}

/* The disk failed under a look: nothing is known, and the connection is not kept. */
static bool went(enum err err)
{
    struct judge *j = judge_here();
    if (err == OK || err == ERR_NOT_FOUND)
        return true;
    j->blind++;
    box_log("judge: a look failed: %s: %.*s", err_words(err), STR(db_error(j->db)));
    store_close();
    return false;
}

/* ------------------------------------------------------------------ small questions */

static i64 eui_of(u32 device)
{
    return (i64)judge_here()->box->sim.devices[device].kept.dev_eui;
}

static enum seen has(struct db_query *q)
{
    enum err err = db_step(q);
    db_reset(q);
    return err == OK ? SEEN : went(err) ? SEEN_NOT : SEEN_BLIND;
}

enum seen store_has_device(u32 device)
{
    if (!store_open())
        return SEEN_BLIND;
    struct db_query *q = db_query(judge_here()->db, "SELECT 1 FROM device WHERE tenant = 1 AND dev_eui = $1");
    db_bind_i64(q, 1, eui_of(device));
    return has(q);
}

/* A nonce counts as kept also when a later one is: devices that count may be overtaken. */
enum seen store_has_nonce(u32 device, u16 nonce)
{
    if (!store_open())
        return SEEN_BLIND;
    struct db_query *q = db_query(judge_here()->db, "SELECT 1 FROM dev_nonce WHERE tenant = 1 AND dev_eui = $1 AND nonce = $2");
    db_bind_i64(q, 1, eui_of(device));
    db_bind_i64(q, 2, nonce);
    return has(q);
}

enum seen store_session(u32 device, u32 devaddr, i64 *down_reserved, u32 *others_wait)
{
    enum seen seen = SEEN_NOT;
    enum err err;
    if (!store_open())
        return SEEN_BLIND;
    struct db_query *q = db_query(judge_here()->db, "SELECT devaddr, down_reserved, state FROM session "
                                                    "WHERE tenant = 1 AND dev_eui = $1 ORDER BY id");
    db_bind_i64(q, 1, eui_of(device));
    while ((err = db_step(q)) == OK) {
        bool this_one = db_i64(q, 0) == devaddr;
        if (this_one) {
            seen = SEEN;
            *down_reserved = db_i64(q, 1);
        }
        *others_wait += !this_one && db_i64(q, 2) == 0;
    }
    return went(err) ? seen : SEEN_BLIND;
}

static i64 number(struct db_query *q)
{
    enum err err = db_step(q);
    i64 n = err == OK ? db_i64(q, 0) : 0;
    db_reset(q);
    return went(err) ? n : -1;
}

i64 store_count_downlinks(u32 device, i64 fcnt)
{
    if (!store_open())
        return -1;
    struct db_query *q = db_query(judge_here()->db, "SELECT COUNT(*) FROM downlink WHERE tenant = 1 AND dev_eui = $1 AND "
                                                    "fcnt = $2 AND state > 0 AND (fcnt >= 0 OR kind = 2)");
    db_bind_i64(q, 1, eui_of(device));
    db_bind_i64(q, 2, fcnt);
    return number(q);
}

i64 store_join_nonce(u32 device)
{
    if (!store_open())
        return -1;
    struct db_query *q = db_query(judge_here()->db, "SELECT join_nonce FROM join_state WHERE tenant = 1 AND dev_eui = $1");
    db_bind_i64(q, 1, eui_of(device));
    return number(q);
}

/* ------------------------------------------------------------------ rows of uplinks */

/* Columns: id, dev_eui, session, fcnt, flags, fopts, payload, prev */
static const char rows_after[] = "SELECT id, dev_eui, session, fcnt, flags, fopts, payload, prev FROM uplink "
                                 "WHERE tenant = 1 AND id > $1 ORDER BY id";

struct row *row_of(i64 id)
{
    struct judge *j = judge_here();
    u32 low = 0, high = j->rows.n;
    while (low < high) {
        u32 mid = low + (high - low) / 2;
        if (j->rows.p[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < j->rows.n && j->rows.p[low].id == id ? &j->rows.p[low] : NULL;
}

static u64 content_of(struct db_query *q)
{
    u64 h = hash_u64((u64)db_i64(q, 1)) ^ hash_u64((u64)db_i64(q, 2) + 1) ^ hash_u64((u64)db_i64(q, 3) << 20 | (u64)db_i64(q, 4));
    return hash_u64(h) ^ hash_u64(hash_bytes(db_bytes(q, 5)) + 2) ^ hash_u64(hash_bytes(db_bytes(q, 6)) + 3);
}

static i64 devaddr_of(i64 dev_eui, i64 session)
{
    struct db_query *q = db_query(judge_here()->db, "SELECT devaddr FROM session WHERE tenant = 1 AND dev_eui = $1 AND id = $2");
    db_bind_i64(q, 1, dev_eui);
    db_bind_i64(q, 2, session);
    i64 devaddr = db_step(q) == OK ? db_i64(q, 0) : -1;
    db_reset(q);
    return devaddr;
}

/* Which of the device's sessions the daemon means by that number. Its address says it; a session that
 * ended in the batch that held this row has none any more: then what was said in it. */
static u32 talk_of_row(struct db_query *q, u32 device, u64 plain)
{
    struct judge *j = judge_here();
    i64 session = db_i64(q, 2);
    u32 fcnt = (u32)db_i64(q, 3), talk = map_get(&j->by_row_session, (u64)session);
    if (talk != MAP_NONE)
        return talk;
    i64 devaddr = devaddr_of(db_i64(q, 1), session);
    for (u32 i = j->talks.n; i-- > 0 && talk == MAP_NONE;) {
        const struct talk *t = &j->talks.p[i];
        u32 said = map_get(&j->by_counter, counter_key(i, fcnt));
        if (t->device != device || t->row_session || said == MAP_NONE)
            continue;
        if (devaddr >= 0 ? t->devaddr == devaddr : j->said.p[said].plain == plain)
            talk = i;
    }
    if (talk == MAP_NONE)
        return MAP_NONE;
    j->talks.p[talk].row_session = session;
    map_put(&j->by_row_session, (u64)session, talk);
    return talk;
}

/* Sealed: what was said does not stand in it. */
static void check_sealed(const struct said *s, struct bytes payload)
{
    if (!s->place)
        return;
    for (size_t i = 0; i + 8 <= payload.n; i++)
        if (get_u64be(payload.p + i) == s->place)
            box_broken("personal", "%.*s: the place of a tracker stands in its row in clear", STR(judge_what(s)));
}

/* Which counters were seen is read from this chain: no link of it may be lost. */
static void check_chain(struct speaker *s, i64 id, i64 prev)
{
    if (prev != s->last_event)
        box_broken("R3", "event %lld follows %lld in the chain of its device, not %lld", (long long)id, (long long)prev,
                   (long long)s->last_event);
    s->last_event = id;
}

static void name_row(struct row *r, struct db_query *q)
{
    struct judge *j = judge_here();
    u32 device = map_get(&j->by_eui, (u64)db_i64(q, 1)), fcnt = (u32)db_i64(q, 3);
    i64 flags  = db_i64(q, 4);
    struct bytes payload = db_bytes(q, 6);
    if (device == MAP_NONE) {
        box_broken("R3", "event %lld is of a device that never spoke", (long long)r->id);
        return;
    }
    bool personal = j->box->sim.devices[device].kind == KIND_TRACKER;
    u64 plain = plain_hash((u32)flags & 0xFFF, db_bytes(q, 5), personal ? (struct bytes){ payload.p, 0 } : payload);
    u32 talk  = talk_of_row(q, device, plain);
    u32 said  = talk == MAP_NONE ? MAP_NONE : map_get(&j->by_counter, counter_key(talk, fcnt));
    if (said == MAP_NONE) {
        box_broken("R3", "event %lld, %.*s FCntUp %u: its device never said that", (long long)r->id, STR(judge_who(device)), fcnt);
        return;
    }
    struct said *s = &j->said.p[said];
    r->said = said;
    r->mute = (flags & 0x1FF) < 2;
    if (s->id)
        box_broken("R3", "%.*s is two events: %lld and %lld", STR(judge_what(s)), (long long)s->id, (long long)r->id);
    if (s->plain != plain && !s->doubled)
        box_broken("R1", "%.*s: what is stored is not what the device said%s", STR(judge_what(s)),
                   (flags & FLAG_PERSONAL) || !personal ? "" : ": a tracker's frame is stored as anybody's");
    if (personal)
        check_sealed(s, payload);
    s->id = r->id;
    check_chain(speaker_of(device), r->id, db_i64(q, 7));
    struct talk *t = &j->talks.p[talk];
    struct speaker *speaker = speaker_of(device);
    t->stored_most = MAX(t->stored_most, (i64)fcnt);
    if (speaker->newest_stored == NOBODY || speaker->newest_stored < talk)
        speaker->newest_stored = talk;
}

static void take_row(struct db_query *q)
{
    struct judge *j = judge_here();
    struct row *r = list_add(&j->rows);
    *r = (struct row){ .id = db_i64(q, 0), .content = content_of(q), .seen = j->box->now, .said = NOBODY };
    name_row(r, q);
}

bool store_read(void)
{
    struct judge *j = judge_here();
    enum err err;
    if (!store_open())
        return false;
    struct db_query *q = db_query(j->db, rows_after);
    db_bind_i64(q, 1, j->rows.n ? j->rows.p[j->rows.n - 1].id : 0);
    while ((err = db_step(q)) == OK)
        take_row(q);
    return went(err);
}

/* ------------------------------------------------------------------ whole passes */

static const char *rule_of_cuts(void)
{
    const struct box *b = judge_here()->box;
    return b->cuts[CUT_POWER_LOSE] + b->cuts[CUT_POWER_REORDER] + b->cuts[CUT_POWER_TEAR] > judge_here()->power_cuts ? "R2" : "R1";
}

static void lost(struct row *r)
{
    struct judge *j = judge_here();
    if (r->lost)
        return;
    r->lost = true;
    if (r->said == NOBODY)
        return;
    struct said *s = &j->said.p[r->said];
    box_broken(rule_of_cuts(), "%.*s was event %lld%s and is gone from the store", STR(judge_what(s)), (long long)r->id,
               s->acked ? ", was acknowledged," : "");
}

/* Every row ever seen, in step with every row there is. */
static bool compare_rows(void)
{
    struct judge *j = judge_here();
    u32 at = 0, known = j->rows.n;
    enum err err;
    struct db_query *q = db_query(j->db, rows_after);
    db_bind_i64(q, 1, 0);
    while ((err = db_step(q)) == OK) {
        i64 id = db_i64(q, 0);
        while (at < known && j->rows.p[at].id < id)
            lost(&j->rows.p[at++]);
        if (at < known && j->rows.p[at].id == id) {
            if (j->rows.p[at++].content != content_of(q))
                box_broken("R7", "event %lld is not any more what it was", (long long)id);
        } else if (known && id < j->rows.p[known - 1].id) {
            box_broken("R7", "event %lld came to stand behind newer ones that were there before it", (long long)id);
        } else {
            take_row(q);
        }
    }
    if (!went(err))
        return false;
    while (at < known)
        lost(&j->rows.p[at++]);
    return true;
}

/* What was acknowledged while the store could not be read. */
static void compare_said(void)
{
    struct judge *j = judge_here();
    for (u32 i = 0; i < j->said.n; i++) {
        struct said *s = &j->said.p[i];
        if (!s->acked || s->id || s->excused || s->doubled || s->talk == NOBODY)
            continue;
        box_broken(rule_of_cuts(), "%.*s was acknowledged and is not in the store", STR(judge_what(s)));
        s->excused = true;
    }
}

/* One reading of an uplink at most, none of a tracker's. Codecs that are tables answer in the same
 * transaction, so that there is exactly one. */
static bool read_readings(void)
{
    struct judge *j = judge_here();
    enum err err;
    struct db_query *q = db_query(j->db, "SELECT id, uplink, dev_eui, attributes FROM reading "
                                         "WHERE tenant = 1 AND id > $1 ORDER BY id");
    db_bind_i64(q, 1, j->reading_last);
    while ((err = db_step(q)) == OK) {
        struct row *r = row_of(db_i64(q, 1));
        j->reading_last = db_i64(q, 0);
        if (!r)
            box_broken("R1", "reading %lld is of an uplink that is not there", (long long)j->reading_last);
        else if (r->readings++ > 0)
            box_broken("R3", "event %lld became two readings", (long long)r->id);
        if (map_get(&j->trackers, (u64)db_i64(q, 2)) != MAP_NONE)
            box_broken("personal", "a tracker's reading stands in the history");
        seen_text("the history", db_str(q, 3));
    }
    return went(err);
}

/* A script's answer comes later: a row says that it is owed, and a refusal that there will be none. Only a few
 * refusals are kept, so nothing is asked once codecs had trouble in this city. */
static bool is_owed(const struct row *r)
{
    struct db_query *q = db_query(judge_here()->db, "SELECT 1 FROM intent WHERE tenant = 1 AND id = $1 AND kind = 0");
    db_bind_i64(q, 1, r->id);
    return has(q) != SEEN_NOT;
}

static bool is_refused(const struct row *r)
{
    struct db_query *q = db_query(judge_here()->db, "SELECT 1 FROM refusal WHERE tenant = 1 AND dev_eui = $1 AND "
                                                    "word = 'DROP_CODEC' AND id > $2");
    db_bind_i64(q, 1, eui_of(judge_here()->said.p[r->said].device));
    db_bind_i64(q, 2, r->id);
    return has(q) != SEEN_NOT;
}

static void compare_readings(void)
{
    struct judge *j = judge_here();
    for (; j->next_decoded < j->rows.n && (j->rows.p[j->next_decoded].readings || j->rows.p[j->next_decoded].mute); j->next_decoded++)
        ;
    for (u32 i = j->next_decoded; i < j->rows.n; i++) {
        struct row *r = &j->rows.p[i];
        if (r->mute || r->lost || r->readings || r->said == NOBODY)
            continue;
        enum device_kind kind = j->box->sim.devices[j->said.p[r->said].device].kind;
        r->mute = kind == KIND_TRACKER;
        if (r->mute || (kind == KIND_SNOW && (j->codecs_ill || is_owed(r) || is_refused(r))))
            continue;
        box_broken("R1", "%.*s, event %lld, became no reading%s", STR(judge_what(&j->said.p[r->said])), (long long)r->id,
                   kind == KIND_SNOW ? ", and no script is owed an answer" : "");
        r->mute = true;
    }
}

static void read_owed(void)
{
    struct judge *j = judge_here();
    struct db_query *q = db_query(j->db, "SELECT id FROM intent WHERE tenant = 1 ORDER BY id");
    enum err err;
    while ((err = db_step(q)) == OK) {
        const struct row *r = row_of(db_i64(q, 0));
        if (!r)
            box_broken("R1", "a script is owed an answer for event %lld, which is not there", (long long)db_i64(q, 0));
        else if (j->box->alive && mono_since(j->box->now, r->seen) > OWED_US && mono_since(j->box->now, j->life_began) > OWED_US)
            box_broken("R1", "event %lld waits for its script since %lld s", (long long)r->id,
                       (long long)(mono_since(j->box->now, r->seen) / US_PER_S));
    }
    (void)went(err);
}

static bool read_texts(void)
{
    static const struct { const char *where, *sql; } texts[] = {
        { "an entity",  "SELECT id || ' ' || attributes FROM entity" },
        { "a refusal",  "SELECT detail FROM refusal" },
        { "a downlink", "SELECT mac || ' ' || reason FROM downlink" },
    };
    enum err err = OK;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct db_query *q = db_query(judge_here()->db, texts[i].sql);
        while ((err = db_step(q)) == OK)
            seen_text(texts[i].where, db_str(q, 0));
        if (!went(err))
            return false;
    }
    return true;
}

/* Rows that are new; all rows after a power cut and at the end. */
static bool look(bool all)
{
    if (!store_open())
        return false;
    if (!(all ? compare_rows() : store_read()))
        return false;
    compare_said();
    if (!read_readings())
        return false;
    compare_readings();
    return !all || read_texts();
}

void judge_whole(void)
{
    struct judge *j = judge_here();
    const struct box *b = j->box;
    struct arena mark = j->scratch;
    u64 cuts = b->cuts[CUT_POWER_LOSE] + b->cuts[CUT_POWER_REORDER] + b->cuts[CUT_POWER_TEAR];
    j->whole_due = !look(cuts != j->power_cuts || b->over);
    if (!j->whole_due)
        j->power_cuts = cuts;
    if (!b->alive)
        store_close();
    if (b->over)
        seen_disk();
    j->scratch = mark;
}

void judge_end_life(void)
{
    store_close();
}

/* The city rests, the daemon lives and has had its time. */
void judge_rest(void *arg, i64 number)
{
    struct judge *j = judge_here();
    struct arena mark = j->scratch;
    (void)arg, (void)number;
    if (!j->box->alive || j->box->dead || !look(true)) {
        box_broken("R16", "the city rests, and the daemon is not there");
        return;
    }
    read_owed();
    seen_overdue();
    const u64 *x = j->excused;
    box_log("judge: %u frames, %u stored, %llu looks into the store, %llu blind; %llu overlaps, %llu displaced sessions, "
            "%llu downlinks that nobody listened for, first acknowledgement at most %lld ms after a start",
            j->said.n, j->rows.n, (unsigned long long)j->looks, (unsigned long long)j->blind, (unsigned long long)j->overlaps,
            (unsigned long long)j->displaced, (unsigned long long)j->unlistened, (long long)(j->first_ack_us_max / 1000));
    box_log("judge: answers that could not leave: %llu held up by the disk, %llu on a full disk, %llu of a session that had ended, "
            "%llu overtaken joins, %llu of frames kept too long, %llu without a path, %llu after a gateway's restart",
            (unsigned long long)x[EXCUSE_HELD_UP], (unsigned long long)x[EXCUSE_FULL], (unsigned long long)x[EXCUSE_SESSION],
            (unsigned long long)x[EXCUSE_JOIN], (unsigned long long)x[EXCUSE_OLD], (unsigned long long)x[EXCUSE_PATH],
            (unsigned long long)x[EXCUSE_RESTART]);
    j->scratch = mark;
}
