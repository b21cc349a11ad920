// SPDX-License-Identifier: Apache-2.0
/*
 * The power loop (promises R2, R3, R4, R5): as crash.mjs, but each life ends in a power cut. The daemon
 * runs with test/shim/power.c, which keeps what every write overwrites until a sync covers it. After
 * the end test/shim/undo.c takes back what no sync covered: all of it, a part in any order, or all
 * behind a moment, with a write torn between two sectors.
 *
 *     node power.mjs [cuts] [seed]        HOTARU=program   KEEP=1 keeps the folder
 *     node power.mjs --must-fail          passes when a disk that lies makes these facts fail
 *
 * A life ends by the clock, at the n-th change of a file (also while a start recovers from the cut
 * before), or now and then by an orderly stop which the cut follows.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Daemon, Stream, folder } from './daemon.mjs';
import { ARGS, City } from './observer.mjs';
import { build, shim } from './shims.mjs';
import { chance, fact, run, same, section, sleep, until } from './facts.mjs';

const NUMBERS = process.argv.slice(2).filter((a) => /^\d+$/.test(a)).map(Number);
const CUTS = NUMBERS[0] ?? 250, SEED = NUMBERS[1] ?? Date.now() % 1000000;
const LIE = process.env.HOTARU_SHIM_LIE === '1';
const MODES = ['loss', 'reorder', 'tear'];
const NUMBERS_SAID = 100;
const ALL_EVERY = 100, LOOK_EVERY = 25;
const rnd = chance(SEED ^ 0x5EED);

const SHIMS = ['power.so', 'undo', 'act'], [POWER, UNDO, ACT] = SHIMS.map(shim);

/* A folder, and on the same disk the place where what it loses is kept. */
function disk() {
    const home = folder('hotaru-power-'), watched = path.join(home, 'disk'), log = path.join(home, 'log');
    mkdirSync(watched);
    mkdirSync(log);
    return { watched, log, env: { LD_PRELOAD: POWER, HOTARU_SHIM_DIR: watched, HOTARU_SHIM_LOG: log, HOTARU_SHIM_LIE: '0', HOTARU_SHIM_CUT: '0' } };
}

const cut = (on, mode, seed) => JSON.parse(execFileSync(UNDO, [on.watched, on.log, mode, String(seed)], { encoding: 'utf8' }));

/* ------------------------------------------------------------------ the shim itself */

/* What stands on a disk after some acts and a cut: {name: text}, a folder as null. */
function after(acts, mode = 'loss', seed = 1, env = {}) {
    const on = disk();
    const ended = spawnSync(ACT, [on.watched, ...acts], { env: { ...process.env, ...on.env, ...env }, encoding: 'utf8' });
    if (ended.signal !== 'SIGKILL') throw new Error(`act ${acts.join(' ')}: ${ended.status} ${ended.stderr}`);
    cut(on, mode, seed);
    return Object.fromEntries(readdirSync(on.watched, { withFileTypes: true }).map((e) => [e.name, e.isDirectory() ? null : readFileSync(path.join(on.watched, e.name), 'latin1')]));
}

const A = (n) => 'A'.repeat(n), B = (n) => 'B'.repeat(n);
const KEPT = ['write:a:0:3000:A', 'folder', 'sync:a'];

function names() {
    /*    the sentence                                                   what is done, and then the power goes                   what is there */
    const table = [
        ['a write without a sync is gone',                               [...KEPT, 'write:a:0:3000:B'],                          { a: A(3000) }],
        ['a synced write stays',                                         [...KEPT, 'write:a:0:3000:B', 'sync:a'],                { a: B(3000) }],
        ['what was written behind the end is gone, and the end is back', [...KEPT, 'write:a:2000:9000:B'],                       { a: A(3000) }],
        ['a sync of one file says nothing about another',                [...KEPT, 'write:a:0:9:B', 'write:b:0:9:B', 'sync:b'],  { a: A(3000) }],
        ['a file without a sync of its folder is gone, synced or not',   ['write:a:0:9:A', 'sync:a'],                            {}],
        ['a name without its bytes is an empty file',                    ['write:a:0:9:A', 'folder'],                            { a: '' }],
        ['a new folder without a sync of the one above is gone',         ['mkdir:d', 'write:d/a:0:9:A', 'sync:d/a'],             {}],
        ['a synced new folder stays',                                    ['mkdir:d', 'folder'],                                  { d: null }],
        ['what was cut off is back',                                     [...KEPT, 'cut:a:100'],                                 { a: A(3000) }],
        ['a synced cut stays',                                           [...KEPT, 'cut:a:100', 'sync:a'],                       { a: A(100) }],
        ['reserved room is gone',                                        [...KEPT, 'grow:a:90000'],                              { a: A(3000) }],
        ['an unlinked file is back with its bytes',                      [...KEPT, 'unlink:a'],                                  { a: A(3000) }],
        ['… and without those that were not synced',                     [...KEPT, 'write:a:0:9:B', 'unlink:a'],                 { a: A(3000) }],
        ['a synced unlink stays',                                        [...KEPT, 'unlink:a', 'folder'],                        {}],
        ['a rename goes back, and what it replaced is back',             [...KEPT, 'write:b:0:9:B', 'sync:b', 'folder', 'rename:b:a'], { a: A(3000), b: B(9) }],
        ['a synced rename stays',                                        [...KEPT, 'write:b:0:9:B', 'sync:b', 'rename:b:a', 'folder'], { a: B(9) }],
        ['renamed, synced folder, bytes not: an empty file',             ['write:b:0:9:B', 'rename:b:a', 'folder'],              { a: '' }],
    ];
    for (const [sentence, acts, want] of table) same(`shim: ${sentence}`, after(acts), want);
    same('shim: a disk that lies keeps nothing', after(KEPT, 'loss', 1, { HOTARU_SHIM_LIE: '1' }), {});
}

/* One write over older bytes, torn: what is new begins and ends at the write's own ends or between two sectors. */
function tears() {
    const seen = new Set();
    for (let seed = 1; seed <= 60; seed++) {
        const { a } = after([...KEPT, 'write:a:100:2500:B'], 'tear', seed);
        const from = a.indexOf('B'), to = a.lastIndexOf('B') + 1;
        seen.add(from < 0 ? 'nothing' : from === 100 && to === 2600 ? 'all' : from === 100 ? `head to ${to % 512}` : `tail from ${from % 512}`);
    }
    same('shim: a write is torn between two sectors only', [...seen].sort(), ['all', 'head to 0', 'tail from 0']);
}

/* Writes that a disk does in any order, or not: every subset comes up, and a later one hides an earlier one. */
function orders() {
    const seen = new Set();
    for (let seed = 1; seed <= 80; seed++) seen.add(after([...KEPT, 'write:a:0:1:B', 'write:a:0:1:C', 'write:a:9:1:B'], 'reorder', seed).a.replace(/A+/g, '.'));
    same('shim: writes reach the disk in any order or not at all', [...seen].sort(), ['.', '.B.', 'B.', 'B.B.', 'C.', 'C.B.']);
}

/* Says its numbers until it is killed; those that are on the disk after the cut. */
async function append(synced) {
    const on = disk(), file = path.join(on.watched, 'a');
    const child = spawn(ACT, [on.watched, ...KEPT, 'cut:a:0', 'sync:a', `append:a:${synced}`], { env: { ...process.env, ...on.env }, stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (d) => { text += d; });
    const exited = new Promise((done) => child.once('close', done));
    await until(() => text.split('\n').length > NUMBERS_SAID, 20000);
    child.kill('SIGKILL');
    await exited;
    cut(on, 'loss', 1);
    return { said: Number(text.split('\n').at(-2)), kept: readFileSync(file).length / 8 };
}

async function appender() {
    const [without, with_] = [await append(0), await append(1)];
    fact('shim: an appender that never syncs has said its numbers', without.said >= NUMBERS_SAID, without);
    same('shim: … and none of them is on the disk', without.kept, 0);
    fact('shim: of one that syncs each, every number it has said is there', with_.said >= NUMBERS_SAID && with_.kept >= with_.said, with_);
    console.log(`appender: ${without.said} said and ${without.kept} kept without a sync, ${with_.said} and ${with_.kept} with`);
}

/* ------------------------------------------------------------------ a daemon whose power goes */

class Powered extends Daemon {
    constructor(on) {
        super({ dir: path.join(on.watched, 'data'), args: ARGS });
        Object.assign(this, { on, births: 0, wrong: [], tally: { cuts: 0, starting: 0, counted: 0, orderly: 0, unsynced: 0, kept: 0, torn: 0, empty: 0 } });
    }

    /* How many changes the next life may make; 0: until it is killed. A start makes about a dozen. */
    plan() {
        const dice = rnd.real();
        return this.births === 0 || this.calm || dice > 0.35 ? 0 : dice > 0.1 ? 10 + rnd.below(400) : 1 + rnd.below(16);
    }

    startOnce() {
        this.cutAt = this.plan();
        this.env = { ...this.on.env, HOTARU_SHIM_CUT: String(this.cutAt), HOTARU_SHIM_LIE: LIE && this.births > 0 ? '1' : '0' };
        const started = super.startOnce();
        if (this.cutAt) this.killed = this.child;              /* it may end at any time, and is meant to */
        return started;
    }

    async start() {
        for (;;) {
            try {
                const ms = await super.start();
                this.births++;
                return ms;
            } catch (e) {
                if (!this.cutAt || this.child.signalCode !== 'SIGKILL') throw e;
                this.tally.starting++;
                this.goDark();
            }
        }
    }

    async kill() {
        const counted = !this.alive, orderly = !counted && !this.cutAt && rnd.real() < 0.05;
        const end = counted ? await this.exited : await super.kill(orderly ? 'SIGTERM' : 'SIGKILL');
        if (orderly ? end.code !== 0 : end.signal !== 'SIGKILL') this.wrong.push(`${end.code ?? end.signal}: ${this.log.slice(-300)}`);
        this.tally.counted += counted;
        this.tally.orderly += orderly;
        this.goDark();
        return end;
    }

    goDark() {
        const { tally } = this, mode = LIE ? 'loss' : rnd.of(MODES);
        const told = cut(this.on, mode, rnd.below(2 ** 31));
        tally.cuts++;
        tally.empty += told.unsynced === 0;
        for (const word of ['unsynced', 'kept', 'torn']) tally[word] += told[word];
    }
}

/* A city that asks after every cut for what was acknowledged since it last asked, and for all of it every hundredth time. */
class Watched extends City {
    constructor(...args) {
        super(...args);
        Object.assign(this, { stored: new Map(), asked: 0, top: 0, checks: 0, lost: [], twice: [], broken: [] });
    }

    async woken() {
        const { daemon, truth, stored } = this;
        if (this.life % ALL_EVERY === 0) { stored.clear(); this.asked = this.top = 0; }
        const names = [...truth.acked.keys()].slice(this.asked), missing = () => names.filter((n) => !stored.has(n));
        const reader = new Stream(daemon, `/v1/stream?kind=uplink&since=${this.top}`, ({ id, data }) => {
            const name = `${data.device}/${data.fcnt}`;
            if (stored.has(name)) this.twice.push(`${name}: ${stored.get(name)}, ${id}`);
            stored.set(name, id);
            this.top = Math.max(this.top, Number(id));
        });
        try { await reader.start(); } catch { return; }         /* the power went again: the next life will be asked */
        await until(() => missing().length === 0 || !daemon.alive, LIE ? 300 : 60000, names.length > 1000 ? 100 : 2);
        reader.stop();
        if (missing().length && !daemon.alive) return;
        for (const name of missing()) this.lost.push(`${name} before life ${this.life}`);
        this.asked += names.length;
        this.checks++;
    }

    look(k) {
        const copy = k % LOOK_EVERY === 0 ? this.copy() : null;
        if (!copy) return;
        const words = copy.ask('PRAGMA integrity_check');
        if (words !== 'ok') this.broken.push(`after cut ${k}: ${words}`);
        copy.close();
    }

    judgeCuts() {
        const { tally, wrong } = this.daemon;
        same('after every cut every acknowledged frame is stored', this.lost.slice(0, 5), []);
        same('… once', this.twice.slice(0, 5), []);
        same('the store passes PRAGMA integrity_check after a cut', this.broken.slice(0, 3), []);
        same('the daemon ends as it is told', wrong.slice(0, 3), []);
        fact('most cuts took something', tally.empty < tally.cuts / 2, tally);
        fact('nearly every life was asked for what it still has', this.checks > this.life * 0.8, this.checks);
    }
}

async function loop() {
    const daemon = new Powered(disk()), city = new Watched(daemon, SEED);
    console.log(`power loop: ${CUTS} cuts, seed ${SEED}${LIE ? ', on a disk that lies' : ''}`);
    try {
        await city.settle();
        const seconds = await city.lives(CUTS, 'cuts', (k) => { daemon.calm = k === CUTS; city.look(k); });
        city.judgeCuts();
        if (LIE) { city.judgeLives(); return; }                 /* the rest waits for what is lost */
        await city.judge();
        await city.replayAll();
        await city.joinAgain();
        city.pulling = false;
        await city.lookInside();
        const { tally } = daemon;
        console.log(`${city.words(CUTS, 'lives', seconds)}; ${tally.cuts} power cuts, ${tally.starting} of them during a start, ${tally.counted} at a counted change, ${tally.orderly} after an orderly stop, ${tally.empty} with nothing to take; ` +
            `${tally.unsynced} changes without a sync, ${tally.kept} kept, ${tally.torn} torn; ${city.checks} lives asked; seed ${SEED}`);
    } finally {
        city.close();
        if (daemon.alive) await daemon.kill();
    }
}

/* The same loop on a disk that says "synced" and lies: a proof that the facts can fail. */
async function mustFail() {
    const child = spawn(process.execPath, [process.argv[1], '12', String(SEED)], { env: { ...process.env, HOTARU_SHIM_LIE: '1' }, stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (d) => { text += d; });
    const code = await Promise.race([new Promise((done) => child.once('close', done)), sleep(120000)]);
    if (code === undefined) child.kill('SIGKILL');
    const failed = text.split('\n').filter((l) => l.startsWith('FALSE ')).map((l) => l.slice(6));
    console.log(`on a disk that lies: ${failed.length} fail: ${failed.join('; ')}`);
    same('without its syncs the loop fails', code, 1);
    const lost = 'after every cut every acknowledged frame is stored';
    fact(`without its syncs this fails: ${lost}`, failed.includes(lost), text.slice(-3000));
}

await run(async () => {
    build(...SHIMS);
    if (process.argv.includes('--must-fail')) {
        await mustFail();
        return;
    }
    if (!LIE) {
        section('the shim');
        names();
        tears();
        orders();
        await appender();
    }
    section('the loop');
    await loop();
});
