// SPDX-License-Identifier: Apache-2.0
/* What a start reads of a row, what it leaves to the first frame, and what damage costs then (docs/adr/0015). */
#include "mac/rig.h"

static struct device *device_of(struct rig *c, u64 dev_eui)
{
    return &c->env.mac->devices[map_get(&c->env.mac->by_eui, dev_eui)];
}

static void bend(struct rig *c, const char *sql) { EQ(db_exec(c->env.db, sql), OK); }

/* The process dies, and what the next one finds damaged is counted. */
static struct db_damage *crash_watched(struct rig *c)
{
    struct db_damage *damage = db_damage_make();
    rig_crash(c);
    db_damage_watch(c->env.db, damage);
    return damage;
}

static u64 noted(struct db_damage *damage, struct db_damaged *first)
{
    u64 count;
    (void)db_damage_list(damage, first, 1, &count);
    return count;
}

static void read_all(struct rig *c)
{
    while (mac_read_on(&c->env, 2) > 0)
        EQ(c->env.failed, OK);
}

static enum drop next(struct rig *c, struct node *n) { return rig_alone(c, NULL, rig_plain(n, n->fcnt++), NOW); }

TEST(a_row_is_read_by_the_first_frame_or_in_idle_moments)
{
    struct rig *c = rig_make();
    struct node n = rig_node(COUNTING), other = rig_node(NEWER);
    rig_join(c, &n), rig_join(c, &other);
    EQ(next(c, &n), PASS);
    EQ(next(c, &other), PASS);
    rig_crash(c);
    EQ(device_of(c, RIVER)->row, ROW_READ);                     /* the first says whether the key file is right */
    EQ(device_of(c, COUNTING)->row, ROW_UNREAD);
    EQ(next(c, &n), PASS);
    EQ(device_of(c, COUNTING)->row, ROW_READ);
    STR_EQ(name_of(c->env.mac, device_of(c, COUNTING)->name), S("b"));
    EQ(device_of(c, NEWER)->row, ROW_UNREAD);
    read_all(c);
    EQ(mac_read_on(&c->env, 100), 0);
    for (u32 i = 0; i < c->env.mac->devices_n; i++)
        EQ(c->env.mac->devices[i].row, ROW_READ);
    for (u32 i = 0; i < c->env.mac->sessions_n; i++)
        EQ(c->env.mac->sessions[i].row, ROW_READ);
    EQ(next(c, &other), PASS);
    rig_forget(&n), rig_forget(&other), rig_stop(c);
}

/* Each column of a session, by a frame and by idle moments: refused, told once, and mended by a join. */
TEST(a_damaged_session_is_used_by_nobody_and_told_once)
{
    static const struct { const char *sql; bool at_start; } bends[] = {
        { "UPDATE session SET down_reserved = 0", false },
        { "UPDATE session SET state = 1 - state", false },
        { "UPDATE session SET devaddr = devaddr + 1", false },
        { "UPDATE session SET id = id + 1", false },
        { "UPDATE session SET app_s_key = f_nwk_s_int_key", false },
        { "UPDATE session SET dev_eui = dev_eui + 99", true },                   /* of nobody: all rows are looked at */
        { "UPDATE session SET tenant = tenant + 1", true },
    };
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    for (u32 i = 0; i < COUNT(bends) * 2; i++) {
        struct db_damaged first;
        n.dev_nonce++;
        bend(c, "DELETE FROM session");
        rig_crash(c);
        rig_join(c, &n);
        EQ(next(c, &n), PASS);
        bend(c, bends[i / 2].sql);
        struct db_damage *damage = crash_watched(c);
        if (i % 2)
            read_all(c);
        EQ(next(c, &n), DROP_UNKNOWN_DEVADDR);
        EQ(next(c, &n), DROP_UNKNOWN_DEVADDR);
        read_all(c);
        if (bends[i / 2].at_start)
            EQ(sessions_load(&c->env), OK);                                     /* again: the rig's start has no list */
        EQ(noted(damage, &first), 1);
        STR_EQ(str_z(first.table), S("session"));
        n.dev_nonce++;
        rig_join(c, &n);
        EQ(next(c, &n), PASS);
        db_damage_watch(c->env.db, NULL);
        db_damage_free(damage);
    }
    rig_forget(&n), rig_stop(c);
}

/* A session that waits and says that it is the current one takes nothing away from that one. */
TEST(of_two_current_sessions_the_sums_decide)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER), again = rig_node(RIVER);
    rig_join(c, &n);
    EQ(next(c, &n), PASS);
    struct bytes heard = rig_plain(&n, 0);
    again.dev_nonce = 1;
    rig_join(c, &again);
    bend(c, "UPDATE session SET state = 1 WHERE state = 0");
    rig_crash(c);
    EQ(rig_alone(c, NULL, heard, NOW), DROP_REPEATED);
    EQ(next(c, &again), DROP_UNKNOWN_DEVADDR);
    EQ(next(c, &n), PASS);
    /* Rows without sums are believed where there were such: the newer one is it, and the other is not both. */
    bend(c, "INSERT INTO mark (tenant, name, value) VALUES (0, 'unsummed', 1) ON CONFLICT (tenant, name) DO NOTHING");
    bend(c, "UPDATE session SET sum = NULL");
    rig_crash(c);
    EQ(next(c, &n), DROP_UNKNOWN_DEVADDR);
    EQ(next(c, &again), PASS);
    rig_forget(&n), rig_forget(&again), rig_stop(c);
}

TEST(a_damaged_device_is_refused_until_it_is_registered_anew_and_keeps_its_join_nonces)
{
    static const char row[] = "dev_eui,join_eui,app_key,nwk_key,name,profile\n"
                              "70B3D57ED0000002,70B3D57ED0FFFFFF,5d1e9b3fa7260c48e1937ab4d2f80002,,b,count\n";
    static const char *const bends[] = { "UPDATE device SET name = 'x' WHERE profile = 'count'",
                                         "UPDATE device SET profile = 'nothing' WHERE profile = 'count'",
                                         "UPDATE device SET tenant = 2 WHERE profile = 'count'" };
    struct rig *c = rig_make();
    struct node n = rig_node(COUNTING);
    for (u32 i = 0; i < COUNT(bends); i++) {
        struct downlink_new order = { 1, COUNTING, 10, false, { NULL, 0 }, 0 };
        struct import_report report;
        struct device_ref ref;
        struct str why;
        i64 id;
        n.dev_nonce++;
        rig_join(c, &n);
        EQ(next(c, &n), PASS);
        u32 nonce = n.join_nonce;
        bend(c, bends[i]);
        struct db_damage *damage = crash_watched(c);
        EQ(next(c, &n), DROP_UNKNOWN_DEVADDR);
        n.dev_nonce++;
        EQ(rig_hear(c, NULL, rig_request(&n), NOW), DROP_UNKNOWN_DEVICE);
        EQ(mac_downlink_add(&c->env, &order, &id, &why), ERR_NOT_FOUND);
        TRUE(!mac_device_ref(&c->env, COUNTING, &ref));
        EQ(rig_commit(c, NULL), OK);
        db_damage_watch(c->env.db, NULL);
        db_damage_free(damage);
        EQ(mac_import(&c->env, 1, IMPORT_DEVICES, str_z(row), false, &report, test_arena()), OK);
        EQ(report.created, 1);
        rig_pass(c, 10 * US_PER_S);
        rig_join(c, &n);
        EQ(n.join_nonce, nonce + 1);
        EQ(next(c, &n), PASS);
        bend(c, "DELETE FROM device WHERE tenant = 2");
    }
    rig_forget(&n), rig_stop(c);
}

/* The row is sound and its profile is not here: that is no damage, and the start says so. */
TEST(an_unknown_profile_is_told_at_start_unless_its_row_is_damaged)
{
    struct rig *c = rig_make();
    struct str why;
    bend(c, "INSERT INTO mark (tenant, name, value) VALUES (0, 'unsummed', 1)");
    bend(c, "UPDATE device SET profile = 'gone', sum = NULL WHERE profile = 'bag'");
    rig_stop(c);
    EQ(rig_open(c, rig_kek(), &why), ERR_INVALID);
    STR_EQ(why, S("device 70b3d57ed0000008 uses the profile gone, which is not in data/profiles"));
    rig_stop(c);
}

/* One EUI in two rows: whichever of them is damaged, nothing is accepted twice. */
TEST(an_eui_that_stands_twice_is_one_device)
{
    struct rig *c = rig_make();
    struct node n = rig_node(RIVER);
    rig_join(c, &n);
    EQ(next(c, &n), PASS);
    bend(c, "INSERT INTO device SELECT 0, dev_eui, join_eui, name, profile, app_key, nwk_key, latitude, longitude, simulated, "
            "created_us, sum FROM device WHERE profile = 'any'");
    rig_crash(c);
    EQ(next(c, &n), DROP_UNKNOWN_DEVADDR);                      /* the damaged row was found first */
    n.dev_nonce++;
    EQ(rig_hear(c, NULL, rig_request(&n), NOW), DROP_UNKNOWN_DEVICE);
    EQ(rig_commit(c, NULL), OK);
    read_all(c);
    rig_forget(&n), rig_stop(c);
}

/* What was read in a batch that fails is read again, or is still there. */
TEST(a_failed_batch_takes_no_row_away)
{
    struct rig *c = rig_make();
    struct node n = rig_node(COUNTING);
    rig_join(c, &n);
    EQ(next(c, &n), PASS);
    rig_crash(c);
    mac_downlink_result(&c->env, 1, COUNTING, 5, DOWN_EXPIRED, S(""), 0);       /* touches the device before it is read */
    EQ(rig_hear(c, NULL, rig_plain(&n, 1), NOW), PASS);
    c->env.failed = ERR_FULL;
    EQ(rig_commit(c, NULL), ERR_FULL);
    n.fcnt = 1;
    EQ(next(c, &n), PASS);
    STR_EQ(name_of(c->env.mac, device_of(c, COUNTING)->name), S("b"));
    rig_forget(&n), rig_stop(c);
}

/* A store that cannot be read is no damage: nothing is refused for good, and no frame is acknowledged. */
TEST(what_cannot_be_read_is_refused_by_the_store)
{
    static const char *const tables[] = { "device", "session", "join_state" };
    struct rig *c = rig_make();
    struct node n = rig_node(COUNTING);
    for (size_t i = 0; i < COUNT(tables); i++) {
        struct downlink_new order = { 1, COUNTING, 10, false, { NULL, 0 }, 0 };
        struct str why;
        i64 id;
        n.dev_nonce++;
        rig_join(c, &n);
        EQ(next(c, &n), PASS);
        rig_crash(c);
        rig_break(c, tables[i]);
        EQ(rig_hear(c, NULL, rig_plain(&n, 1), NOW), DROP_STORE);
        TRUE(rig_commit(c, NULL) != OK);
        if (i != 1) {
            n.dev_nonce++;
            EQ(rig_hear(c, NULL, rig_request(&n), NOW), DROP_STORE);
            TRUE(rig_commit(c, NULL) != OK);
            TRUE(mac_downlink_add(&c->env, &order, &id, &why) != ERR_NOT_FOUND);
            TRUE(rig_commit(c, NULL) != OK);
            n.dev_nonce--;
        }
        TRUE(mac_read_on(&c->env, 100) < 100 && c->env.failed != OK);
        TRUE(rig_commit(c, NULL) != OK);
        rig_mend(c, tables[i]);
        EQ(rig_alone(c, NULL, rig_plain(&n, 1), NOW), PASS);
    }
    rig_forget(&n), rig_stop(c);
}
