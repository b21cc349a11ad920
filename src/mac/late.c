// SPDX-License-Identifier: Apache-2.0
/*
 * Late frames: what a gateway kept through an outage and tells afterwards, in any order and between
 * frames of now (promises R3, R11). A counter behind the highest is either a replay or such a frame,
 * and both verify: the counters that were seen decide. They must be known exactly, for ever, through
 * every crash, and cost nothing for the million devices that have no late frame.
 *
 * What is durable is the events themselves: each uplink row has its session, its 32-bit counter and
 * `prev`, the device's uplink before it. So nothing else is stored, and there is nothing that could
 * differ from the events: what is lost with a batch was never seen, what is committed is seen.
 *
 *     last_uplink ─► 105 ─► 98 late ─► 104 ─► 101 ─► 97 ─► … ─► 0, or another session
 *
 * Frames that were not behind have falling counters along the chain, and a frame that was behind lies
 * below one of them that is older than itself. So what stands in the chain before the first of them
 * with a counter at or below n holds every seen counter from there on: to ask about n the walk goes
 * that far and no further. One query for all rows; a row is read once for each window.
 *
 * The window (replay.c) is made when a session's first late frame comes and keeps how far the walk has
 * come (`floor`, `next`). Frames of now move it along. It is a cache: a batch that fails takes all
 * windows with it, the 16,385th session takes the place of the first, and the chain gives each again.
 *
 * Retention may cut the chain, and damage to a row does. Then nobody can say any more what was seen
 * below the cut, and a late frame from there is refused, in words that say so.
 */
#include "core/rows.h"
#include "mac/inside.h"

static_assert((LATE_SESSIONS & (LATE_SESSIONS - 1)) == 0, "places are taken in turn");

/* A session remembers its place; a place that meanwhile is another's has another's id. */
static struct late *find(const struct mac *mac, const struct session *s)
{
    return s->late < mac->late_n && mac->late[s->late].session == s->id ? &mac->late[s->late] : NULL;
}

static struct late *make(struct mac *mac, struct session *s)
{
    if (mac->late_n < LATE_SESSIONS) {
        s->late = mac->late_n;
        (void)pool_at((void **)&mac->late, &mac->late_n, &mac->late_room, sizeof *mac->late);
    } else {
        s->late = mac->late_next++ & (LATE_SESSIONS - 1);
    }
    struct late *l = &mac->late[s->late];
    l->session = s->id;
    l->next    = mac->devices[s->device].last_uplink;
    replay_start(&l->replay, (u32)s->fcnt_up);
    return l;
}

/* The next row of the chain. False: there is nothing more to learn. */
static bool learn(struct late *l, struct db_query *q)
{
    u32 fcnt = (u32)db_i64(q, 4);
    if (!uplink_good(q, 0))
        return false;
    l->next = 0;
    if (db_i64(q, 3) != l->session)
        return false;
    replay_note(&l->replay, fcnt);
    if (!(db_i64(q, 7) & UPLINK_BEHIND))
        l->replay.floor = fcnt;
    l->next = db_i64(q, 5);
    return l->next != 0;
}

static enum err walk(struct env *env, struct late *l, u32 tenant, u32 fcnt)
{
    struct db_query *q = env_query(
        env, "WITH RECURSIVE chain AS ("
             "SELECT " UPLINK_ROW("") " FROM uplink WHERE tenant = $1 AND id = $2 "
             "UNION ALL SELECT " UPLINK_ROW("u.") " FROM chain c JOIN uplink u ON u.tenant = $1 AND u.id = c.prev "
             "WHERE c.session = $3 AND c.prev < c.id AND (c.fcnt > $4 OR (c.flags & 8192) <> 0)) "
             "SELECT " UPLINK_ROW("") " FROM chain");
    static_assert(UPLINK_BEHIND == 8192, "the query says it as a number");
    if (!q)
        return env->failed;
    db_bind_i64(q, 1, tenant);
    db_bind_i64(q, 2, l->next);
    db_bind_i64(q, 3, l->session);
    db_bind_i64(q, 4, fcnt);
    enum err err;
    while ((err = db_step(q)) == OK && learn(l, q))
        ;
    db_reset(q);
    if (err != OK && err != ERR_NOT_FOUND)
        return env->failed = err;
    if (l->next == 0)
        l->replay.floor = 0;                       /* the chain has come to its end: all is known */
    return OK;
}

enum replay_says late_ask(struct env *env, u32 session, u32 fcnt)
{
    struct mac *mac = env->mac;
    struct session *s = &mac->sessions[session];
    if (s->fcnt_up == (i64)fcnt)
        return REPLAY_SEEN;                        /* what devices repeat by themselves needs no window, */
    if (s->fcnt_up - (i64)fcnt > REPLAY_WINDOW)
        return REPLAY_BEYOND;                      /* and a flood of old frames costs no read */
    struct late *l = find(mac, s);
    if (!l)
        l = make(mac, s);
    enum replay_says says = replay_ask(&l->replay, fcnt);
    if (says != REPLAY_UNKNOWN || walk(env, l, mac->devices[s->device].tenant, fcnt) != OK)
        return says;
    return replay_ask(&l->replay, fcnt);
}

void late_note(struct env *env, u32 session, u32 fcnt)
{
    struct late *l = find(env->mac, &env->mac->sessions[session]);
    if (l)
        replay_note(&l->replay, fcnt);
}

void late_forget(struct mac *mac)
{
    for (u32 i = 0; i < mac->late_n; i++)
        mac->late[i].session = 0;
    mac->late_n = mac->late_next = 0;
}
