// SPDX-License-Identifier: Apache-2.0
/*
 * The mistakes. Each says in words what is wrong, where it is put, and which promises forbid it (the names that
 * the judge prints). The first five are the ones that every such program has made somewhere.
 */
const one = (bug, rule, file, find, put) => ({ bug, rule, edits: [[file, find, put]] });

export const plants = [
    one('the sync is removed', 'R1 R2 R16', 'src/db/sqlite.c', '"PRAGMA synchronous = FULL",     "PRAGMA synchronous",        S("2"),   S("2")',
        '"PRAGMA synchronous = NORMAL",   "PRAGMA synchronous",        S("1"),   S("1")'),
    one('PUSH_ACK leaves before the commit', 'R1 R5', 'src/edge/gateways.c',
        '    enum err err = flow_commit(env);\n    if (err == OK)\n        (void)udp_send(g->udp, g->out, g->out_n);',
        '    (void)udp_send(g->udp, g->out, g->out_n);\n    enum err err = flow_commit(env);\n    if (err == OK)\n        (void)0;'),
    one('a DevNonce is forgotten', 'R5', 'src/mac/join.c',
        '    if (env_run(env, q) != OK)\n        return DROP_STORE;\n    return db_changes(env->db) > 0 ? PASS : DROP_DEVNONCE;', '    db_reset(q);\n    return PASS;'),
    one('a downlink counter is used again after a start', 'R4', 'src/mac/session.c', '.down_next         = (u32)db_i64(q, 9),', '.down_next         = (u32)db_i64(q, 9) - DOWN_AHEAD,'),
    one('the outbox forgets: what waits for a script is not kept', 'R1', 'src/flow/steps.c',
        '    if (env_run(env, q) != OK)\n        return DROP_STORE;\n    struct intent *i', '    db_reset(q);\n    struct intent *i'),

    one('what was not committed is acknowledged', 'R1', 'src/edge/gateways.c',
        '    if (err == OK)\n        (void)udp_send(g->udp, g->out, g->out_n);', '    if (err == OK || err == ERR_FULL || err == ERR_IO)\n        (void)udp_send(g->udp, g->out, g->out_n);'),
    one('the counters reserved ahead are not written', 'R4', 'src/mac/session.c',
        '        s->app_down_reserved = s->app_down_next + DOWN_AHEAD;\n    return session_save(env, index);', '        s->app_down_reserved = s->app_down_next + DOWN_AHEAD;\n    return OK;'),
    { bug: 'a JoinNonce is not kept', rule: 'R5', edits: [
        ['src/mac/join.c', '    if (keep_join_nonce(env, d) != OK || put', '    if (put'],
        ['src/mac/join.c', 'static enum err keep_join_nonce(', '__attribute__((unused)) static enum err keep_join_nonce(']] },
    one('only one session waits for its first frame', 'R6 intents', 'src/mac/inside.h', '#define WAITING_MAX 4', '#define WAITING_MAX 1'),
    { bug: 'intents of a failed batch are carried out', rule: 'intents R4 R1', edits: [
        ['src/flow/steps.c', '    mac_undo(env);\n    env->outbox = (struct outbox){ 0 };', '    mac_undo(env);'],
        ['src/main/serve.c', '    if (committed != OK) {\n        flow_done(&d->env);', '    if (committed != OK) {\n        carry_out(d);']] },
    one('a failed batch is not undone in memory', 'R1', 'src/flow/steps.c', '    mac_undo(env);\n    env->outbox', '    mac_keep(env);\n    env->outbox'),
    one('a stream skips events', 'R1', 'src/api/stream.c', '        s->at = db_i64(q, 0);', '        s->at = db_i64(q, 0) + 3000;'),
    one('a stream repeats events', 'R7', 'src/api/stream.c', '        s->at = db_i64(q, 0);\n', '        s->at = db_i64(q, 0) - (db_i64(q, 0) % 50 == 0);\n'),
    one('counters are not rolled forward at a start', 'R3', 'src/mac/session.c', 'err = roll_forward(env, damaged ? 0 : mark);', 'err = damaged ? roll_forward(env, 0) : OK;'),
    one('the replay window is off', 'R3', 'src/mac/uplink.c', '    if (hit->says == REPLAY_NEW)\n        return PASS;',
        '    if (hit->says == REPLAY_NEW || hit->says == REPLAY_SEEN)\n        return hit->says = REPLAY_NEW, PASS;'),
    one('late frames are refused', 'R1', 'src/mac/uplink.c', '    if (hit->says == REPLAY_NEW)\n        return PASS;', '    if (hit->says == REPLAY_NEW)\n        return DROP_REPEATED;'),
    one('RX1 opens a millisecond late', 'window', 'src/mac/answer.c', '.tmst_us    = r->tmst_us + delay_us,', '.tmst_us    = r->tmst_us + delay_us + 1000,'),
    one('confirmed frames get no ACK flag now and then', 'answer', 'src/mac/answer.c', '(w->confirmed ? FCTRL_ACK : 0)', '(w->confirmed && w->fcnt % 4 ? FCTRL_ACK : 0)'),
    one('an accepted frame gets no answer now and then', 'answer', 'src/mac/window.c', 'if (w->kind != WINDOW_LATE)\n', 'if (w->kind != WINDOW_LATE && w->fcnt % 20 != 7)\n'),
    one('an answer whose batch failed is forgotten', 'answer', 'src/mac/window.c', '    u64 again = MAX(mac->window_kept, mac->window_first);', '    u64 again = mac->window_open;'),
    one('a downlink leaves when the loop happens to look', 'window', 'src/main/serve.c', 'loop_timer_at(d->timer, mono_before(due, at) ? due : at);', '(void)due, loop_timer_at(d->timer, at);'),
    one('a datagram is not acknowledged now and then', 'R16 R13', 'src/edge/gateways.c', '    if (drop == PASS)\n        acknowledge(', '    if (drop == PASS && m.token % 200 != 7)\n        acknowledge('),
    one('a tracker\'s payload is not sealed', 'personal', 'src/mac/uplink.c',
        '    enum err err = subject_seal(env, payload, u->device.tenant, u->device.dev_eui, u->id, *payload);', '    (void)u, (void)payload; enum err err = OK;'),
    one('a full store stays full', 'R13', 'src/main/serve.c', '    if (d->env.full && db_has_room(d->env.db)) {', '    if (0 && d->env.full && db_has_room(d->env.db)) {'),
    one('a payload loses its last byte now and then', 'R1', 'src/mac/uplink.c', '    db_bind_bytes(q, 9, open->fopts);',
        '    if (u->fcnt % 50 == 7 && payload.n > 2 && !personal) payload.n--;\n    db_bind_bytes(q, 9, open->fopts);'),
];
