// SPDX-License-Identifier: Apache-2.0
/*
 * Planted bugs: a copy of the sources gets one defect at a time, and the city in a box must find it
 * by the rule that forbids it. A test that cannot fail proves nothing; this is the proof that these can.
 *
 *     node test/plant/plant.mjs [word]        builds in build-plant/, after `make build/city`
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const TREE = path.join(ROOT, 'build-plant');
const SEEDS = ['--seeds', '1-6', '--hours', '1'];

/* What is said in words, where, and which promise must break. Every `find` stands exactly once. */
const plants = [
    { bug: 'the sync is removed: the disk may keep what it likes', file: 'src/db/sqlite.c', rule: /^R(1|2|16)$/,
        find: '{ "PRAGMA synchronous = FULL",     "PRAGMA synchronous",        S("2"),   S("2")   }',
        put: '{ "PRAGMA synchronous = OFF",      "PRAGMA synchronous",        S("0"),   S("0")   }' },
    { bug: 'PUSH_ACK leaves before the commit', file: 'src/edge/gateways.c', rule: /^R1$/,
        find: '    enum err err = flow_commit(env);\n    if (err == OK)\n        (void)udp_send(g->udp, g->out, g->out_n);\n    else\n',
        put: '    (void)udp_send(g->udp, g->out, g->out_n);\n    enum err err = flow_commit(env);\n    if (err != OK)\n' },
    { bug: 'a DevNonce is forgotten', file: 'src/mac/join.c', rule: /^R5$/,
        find: '    if (err == OK)\n        return DROP_DEVNONCE;\n    if (err == ERR_NOT_FOUND)', put: '    if (err == OK || err == ERR_NOT_FOUND)',
        also: [{ find: 'return db_changes(env->db) > 0 ? PASS : DROP_DEVNONCE;', put: 'return PASS;' }] },
    { bug: 'a downlink counter is used again after a start', file: 'src/mac/session.c', rule: /^R4$/,
        find: '.down_next         = (u32)db_i64(q, 9),', put: '.down_next         = (u32)db_i64(q, 9) - DOWN_AHEAD,' },
    { bug: 'the outbox cursor is dropped: what waited for a script is not asked again', file: 'src/flow/steps.c', rule: /^R(1|7)$/,
        find: '    size_t n = 0;\n    if (!q)\n        return 0;\n    db_bind_i64(q, 1, after);', put: '    size_t n = 0;\n    max = 0;\n    if (!q)\n        return 0;\n    db_bind_i64(q, 1, after);' },
    { bug: 'the running session is dropped when a join is accepted', file: 'src/mac/join.c', rule: /^R(1|6)$/,
        find: '    if (d->session[1] != MAC_NONE)\n        session_drop(env, d->session[1]);',
        put: '    for (int i = 0; i < 2; i++)\n        if (d->session[i] != MAC_NONE)\n            session_drop(env, d->session[i]);\n    d->session[0] = MAC_NONE;' },
];

function prepare() {
    rmSync(TREE, { recursive: true, force: true });
    mkdirSync(TREE);
    for (const what of ['src', 'sim', 'box', 'data', 'schema', 'dist', 'test/fuzz/rules.mk', 'test/shim/rules.mk', 'portal/dist', 'Makefile', 'VERSION', 'FLOORS', 'build/o', 'build/embedded.o', 'build/embedded.S'])
        if (existsSync(path.join(ROOT, what))) {
            mkdirSync(path.dirname(path.join(TREE, what)), { recursive: true });
            execFileSync('cp', ['-a', path.join(ROOT, what), path.join(TREE, what)]);
        }
}

function replace(file, text) {
    writeFileSync(path.join(TREE, file), text);
}

function plant(p) {
    const sound = readFileSync(path.join(ROOT, p.file), 'utf8');
    let sick = sound;
    for (const { find, put } of [p, ...(p.also || [])]) {
        if (sick.split(find).length !== 2) throw new Error(`${p.file} does not have this text exactly once any more:\n${find}`);
        sick = sick.replace(find, () => put);
    }
    replace(p.file, sick);
    const made = spawnSync('make', ['-s', '-j2', 'build/city'], { cwd: TREE, encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`${p.bug}: does not build\n${made.stderr}`);
    const began = Date.now();
    const run = spawnSync(path.join(TREE, 'build/city'), p.run || SEEDS, { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 26 });
    replace(p.file, sound);
    const broken = [...new Set([...run.stdout.matchAll(/^FALSE (\S+?),/gm)].map((m) => m[1]))];
    return { broken, seconds: (Date.now() - began) / 1000, first: (/^FALSE .*/m.exec(run.stdout) || ['nothing was found'])[0].slice(0, 160) };
}

let passed = 0, failed = 0;
prepare();
const chosen = plants.filter((p) => (!process.argv[2] || p.bug.includes(process.argv[2])));
for (const p of chosen) {
    const { broken, seconds, first } = plant(p);
    const found = broken.some((r) => p.rule.test(r));
    found ? passed++ : failed++;
    console.log(`${found ? 'found ' : 'FALSE '} ${p.bug}: broken ${broken.join(' ') || 'nothing'}; ${seconds.toFixed(1)} s\n         ${first}`);
}
if (!process.env.KEEP) rmSync(TREE, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
