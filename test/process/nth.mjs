// SPDX-License-Identifier: Apache-2.0
/*
 * The n-th failure (promise R14): the 1st, 2nd, 3rd … write, sync, open, resize, change of a name or
 * allocation fails once, in a start on an empty folder, a start on a store that was killed, and in traffic
 * (uplinks, a join, a downlink, an import), until a run has none left to fail.
 *
 *     node nth.mjs [max] [seed] [word …]        HOTARU=program        max: every n up to it, then as many by
 *                                               chance; words: only these scenarios and kinds
 *
 * Whatever fails: the daemon goes on, or refuses in words that are counted, or ends with a plain line
 * and the code for it: 75 the store failed, 70 no memory. Never a signal, never silence;
 * never a second sync of a file whose first one failed. A daemon without the shim then starts on what is
 * left and has all that was acknowledged.
 */
import { closeSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { Daemon, PROGRAM, ROOT, Stream, folder } from './daemon.mjs';
import { Device } from './device.mjs';
import { Gateway } from './gateway.mjs';
import { ARGS } from './observer.mjs';
import { build, shim } from './shims.mjs';
import { chance, fact, run, same, sleep, until } from './facts.mjs';

const NUMBERS = process.argv.slice(2).filter((a) => /^\d+$/.test(a)).map(Number);
const WORDS = process.argv.slice(2).filter((a) => /^[a-z]+$/.test(a));
const MAX = NUMBERS[0] ?? 60, SEED = NUMBERS[1] ?? Date.now() % 1000000;
const LANES = 3;
const HANG_MS = 20000;
const asked = (...all) => (all.some((w) => WORDS.includes(w)) ? all.filter((w) => WORDS.includes(w)) : all);
const SCENARIOS = asked('empty', 'existing', 'traffic'), KINDS = asked('write', 'sync', 'open', 'resize', 'name', 'malloc');
const [EIO, ENOSPC] = [5, 28];
const rnd = chance(SEED);
const FAIL = shim('fail.so');
const home = folder('hotaru-nth-');

/* ------------------------------------------------------------------ what is shared with the shim */

const BOARD = { armed: 0, n: 8, seen: 16, failed: 24, again: 32, words: 40, size: 296 };

class Board {
    constructor(name) {
        this.path = path.join(home, `${name}.board`);
        writeFileSync(this.path, Buffer.alloc(BOARD.size));
    }

    set(values) {
        const fd = openSync(this.path, 'r+');
        for (const [name, value] of Object.entries(values)) {
            const b = Buffer.alloc(8);
            b.writeBigUInt64LE(BigInt(value));
            writeSync(fd, b, 0, 8, BOARD[name]);
        }
        closeSync(fd);
    }

    get() {
        const b = readFileSync(this.path), number = (name) => Number(b.readBigUInt64LE(BOARD[name]));
        return { seen: number('seen'), failed: number('failed') === 1, again: number('again'), words: b.toString('latin1', BOARD.words, b.indexOf(0, BOARD.words)) };
    }
}

/* ------------------------------------------------------------------ a store that was killed in the middle of its work */

const HEADS = { gateways: 'gateway_eui,name,latitude,longitude,altitude_m,region,simulated', devices: 'dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated' };
const GATEWAY = 'B0000000000000A1', OTHER = 'B0000000000000A2';
const template = path.join(home, 'template');
const devices = () => [1, 2].map((n) => new Device({ dev_eui: `70B3D57ED0AF000${n}`, app_key: `9b1e9b3fa7260c48e1937ab4d2f8000${n}`, profile: 'test-level' }));
const past = { session: null, fcnt: 0, acked: [] };

async function makeTemplate() {
    const daemon = new Daemon({ dir: template, args: ARGS }), gateway = new Gateway(daemon, GATEWAY), [device, joiner] = devices();
    await gateway.open();
    await daemon.start();
    same('gateways are enrolled', (await daemon.importTable('gateways', [HEADS.gateways, `${GATEWAY},北,,,,AS923-1,0`])).status, 200);
    same('devices are enrolled', (await daemon.importTable('devices', [HEADS.devices, device.row(), joiner.row()])).status, 200);
    await gateway.pull();
    await gateway.hear(device.joinRequest(1));
    const accept = await until(() => gateway.downs.find((d) => device.readAccept(d.phy)), 8000);
    if (!accept) throw new Error('no join-accept');
    device.takeAccept(accept.phy);
    for (let n = 0; n < 5; n++) {
        same('a frame is acknowledged', await gateway.hear(device.up(Buffer.from([4, n, 80]))), true);
        past.acked.push(device.fcnt - 1);
    }
    Object.assign(past, { session: device.session, fcnt: device.fcnt });
    await daemon.kill();
    gateway.close();
    for (const f of ['hotaru.db-shm', 'hotaru.reserve', 'hotaru.lock']) rmSync(path.join(template, f), { force: true });
}

/* ------------------------------------------------------------------ one run */

/* What the world does with a daemon, and what it was promised for it. */
class Try {
    constructor(lane, scenario, kind, n) {
        this.what = `${scenario}, ${kind} ${n}`;
        Object.assign(this, { scenario, kind, n, promised: { frames: [], gateway: false, downlinks: [], join: null }, unanswered: 0, refused: 0 });
        this.dir = path.join(home, `lane${lane}`, 'data');
        rmSync(path.dirname(this.dir), { recursive: true, force: true });
        mkdirSync(path.dirname(this.dir));
        if (scenario !== 'empty') {
            cpSync(template, this.dir, { recursive: true });
            this.promised.frames.push(...past.acked);
        }
        this.board = new Board(`lane${lane}`);
        this.board.set({ armed: scenario === 'traffic' ? 0 : 1, n });
        const error = kind === 'malloc' ? 12 : n % 2 ? EIO : ENOSPC;
        this.daemon = new Daemon({ dir: this.dir, args: ARGS, env: { LD_PRELOAD: FAIL, HOTARU_FAIL_DIR: this.dir, HOTARU_FAIL_WHAT: kind, HOTARU_FAIL_ERRNO: String(error), HOTARU_FAIL_BOARD: this.board.path } });
        this.gateway = new Gateway(this.daemon, GATEWAY);
        [this.device, this.joiner] = devices();
        Object.assign(this.device, { session: past.session, fcnt: past.fcnt });
    }

    /* Ready, or how it ended. A port that another program has is nobody's failure. */
    async start() {
        const { daemon } = this;
        for (;;) {
            const started = daemon.startOnce().then(() => 'ready', () => 'ended');
            daemon.killed = daemon.child;                    /* it may end, and is looked at then */
            this.told = new Promise((done) => daemon.child.once('close', done));
            const how = await Promise.race([started, sleep(HANG_MS).then(() => 'hangs')]);
            if (how !== 'ended' || !/Address already in use/.test(daemon.log)) return how;
            daemon.httpPort++, daemon.udpPort++;
        }
    }

    /* An answer, or null when the daemon died meanwhile. */
    async asked(promise) {
        try { return await Promise.race([promise, this.daemon.exited.then(() => null)]); } catch { return null; }
    }

    /* True when it was acknowledged: then, or when the device says it again a little later. */
    async say(phy) {
        for (let tries = 0; tries < 3 && this.daemon.alive; tries++) {
            if (await this.asked(this.gateway.hear(phy, {}, { ms: 250 }))) return true;
            this.unanswered++;
        }
        return false;
    }

    async uplink() {
        const fcnt = this.device.fcnt++;
        if (await this.say(this.device.up(Buffer.from([4, fcnt & 255, 80]), { fcnt, confirmed: fcnt % 2 === 0 }))) this.promised.frames.push(fcnt);
        else if (this.daemon.alive) this.silent = `frame ${fcnt} was never acknowledged`;
    }

    /* 2xx is a promise; a refusal has words; a connection that is cut is neither. */
    async post(call) {
        const a = await this.asked(call);
        if (a && a.status >= 300) {
            this.refused++;
            if (![429, 500, 503, 507].includes(a.status) || !/"title"|\w{3}/.test(a.text)) this.silent = `${a.status} ${a.text}`;
        }
        return a && a.status < 300 ? a : null;
    }

    async traffic() {
        const { daemon, gateway, promised } = this;
        await this.asked(gateway.pull({ ms: 1000 }));
        this.board.set({ armed: 1 });
        await this.uplink();
        promised.gateway = !!(await this.post(daemon.importTable('gateways', [HEADS.gateways, `${OTHER},南,,,,AS923-1,0`])));
        const kept = await this.post(daemon.post(`/v1/devices/${this.device.dev_eui}/downlinks`, { fport: 10, payload: '0102' }));
        if (kept) promised.downlinks.push(kept.json().id);
        const join = this.joiner.joinRequest(7);
        if (await this.say(join)) promised.join = join;
        await this.uplink();
        await Promise.race([until(() => gateway.downs.length > 0, 450), daemon.exited]);
        await this.asked(daemon.get('/v1/findings'));
        await this.uplink();
        this.drops = daemon.alive ? await this.asked(daemon.metrics()) : null;
    }

    async go() {
        await this.gateway.open();
        this.how = await this.start();
        if (this.how === 'ready' && this.scenario === 'traffic') await this.traffic();
        if (this.how === 'ready') this.board.set({ armed: 0 });
        if (this.daemon.alive) await this.daemon.kill(this.n % 4 < 2 ? 'SIGKILL' : 'SIGTERM');
        this.end = await this.daemon.exited;
        await this.told;
        this.saw = this.board.get();
        this.judgeEnd();
        await this.judgeLeft();
        this.gateway.close();
        return this.saw;
    }

    wrong(words) {
        failures.push(`${this.what} (${this.saw?.words ?? ''}): ${words}; ${this.daemon.log.trim().split('\n').slice(process.env.HOTARU_FAIL_TRACE ? -40 : -3).join(' | ')}`);
    }

    judgeEnd() {
        const { how, end, saw, daemon } = this, stopped = end.signal === 'SIGKILL' || end.code === 0;
        const words = daemon.log.trim().split('\n').filter((l) => !l.startsWith('info')).at(-1) ?? '';
        if (how === 'hangs') this.wrong('no ready line, and no end');
        else if (how === 'ready' && stopped) {
            if (this.silent) this.wrong(this.silent);
            this.outcome = this.unanswered || this.refused ? 'refused' : 'went on';
            if (this.unanswered && this.drops && !Object.entries(this.drops.drops).some(([w, c]) => w !== 'DROP_REPEATED' && c > 0)) this.wrong('a datagram without an answer, and nothing counted');
        } else {
            this.outcome = `exit ${end.code}`;
            /* At a start 1 is good too: a library without memory may only be able to say that it cannot begin, and
             * SQLite calls a file read-only that it could not open for writing, whatever the reason. */
            const code = this.kind === 'malloc' ? 70 : 75;
            const good = how === 'ready' || !['malloc', 'open'].includes(this.kind) ? [code] : [code, 1];
            if (!good.includes(end.code)) this.wrong(`ended with ${end.signal ?? end.code}`);
            if (!/^(hotaru: |error ).*\w \w+/.test(words)) this.wrong('ended without words');
            if (!saw.failed) this.wrong('ended although nothing had failed');
        }
        /* A new store begins with a rollback journal: to undo, SQLite writes the old pages again and syncs those. */
        if (saw.again && !(this.scenario === 'empty' && how === 'ended')) this.wrong(`${saw.again} syncs of a file whose sync had failed`);
    }

    /* A daemon on a whole disk, on what this one has left. */
    async judgeLeft() {
        const daemon = new Daemon({ dir: this.dir, args: ARGS }), { promised, device } = this, gateway = new Gateway(daemon, GATEWAY);
        try { await daemon.start(); } catch (e) { this.wrong(`no start afterwards: ${e.message}`); return; }
        if (this.scenario !== 'empty') {
            const seen = new Map();
            const stream = await new Stream(daemon, '/v1/stream?kind=uplink&since=0', ({ data }) => seen.set(data.fcnt, (seen.get(data.fcnt) ?? 0) + 1)).start();
            await until(() => promised.frames.every((f) => seen.has(f)), 2000);
            stream.stop();
            const lost = promised.frames.filter((f) => seen.get(f) !== 1);
            if (lost.length) this.wrong(`frames ${lost} were acknowledged and are not stored once: ${JSON.stringify([...seen])}`);
        }
        if (promised.gateway && !(await daemon.json('/v1/gateways')).gateways.some((g) => g.eui === OTHER)) this.wrong('an import was answered with 200 and is not there');
        if (promised.downlinks.length) {
            const kept = (await daemon.json(`/v1/devices/${device.dev_eui}/downlinks`)).downlinks.map((d) => d.id);
            if (!promised.downlinks.every((id) => kept.includes(id))) this.wrong('a downlink was answered with 202 and is not there');
        }
        if (promised.join) {
            await gateway.open();
            await gateway.hear(promised.join, {}, { ms: 3000 });
            if (!(await until(async () => (await daemon.metrics()).drops.DROP_DEVNONCE === 1, 3000, 20))) this.wrong('a DevNonce that was acknowledged is not refused');
            gateway.close();
        }
        await daemon.kill();
    }
}

/* ------------------------------------------------------------------ all n */

const failures = [], table = [];

/* Every n up to MAX, and then MAX of those behind it by chance; ends where nothing is left to fail. */
async function series(scenario, kind) {
    const row = { scenario, kind, of: Infinity, tried: 0 };
    const one = async (lane, n) => {
        const t = new Try(lane, scenario, kind, n), saw = await t.go();
        if (!saw.failed) { row.of = Math.min(row.of, saw.seen); return; }
        row.tried++;
        row[t.outcome ?? 'wrong'] = (row[t.outcome ?? 'wrong'] ?? 0) + 1;
    };
    const all = async (next) => Promise.all(Array.from({ length: LANES }, async (_, lane) => { for (let n; (n = next()) !== null;) await one(lane, n); }));
    let n = 0;
    await all(() => (n < Math.min(MAX, row.of) ? ++n : null));
    if (row.of === Infinity) await one(0, Number.MAX_SAFE_INTEGER);            /* how many are there? */
    const rest = Array.from({ length: Math.max(0, Math.min(MAX, row.of - MAX)) }, () => MAX + 1 + rnd.below(row.of - MAX));
    await all(() => rest.pop() ?? null);
    table.push(row);
    const outcomes = ['went on', 'refused', 'exit 75', 'exit 70', 'exit 1', 'wrong'].filter((o) => row[o]).map((o) => `${row[o]} ${o}`);
    console.log(`${scenario.padEnd(8)} ${kind.padEnd(7)} ${String(row.tried).padStart(4)} of ${row.of}: ${outcomes.join(', ')}`);
}

await run(async () => {
    build('fail.so');
    await makeTemplate();
    console.log(`n-th failures: every n up to ${MAX}, then ${MAX} by chance, seed ${SEED}`);
    for (const scenario of SCENARIOS) for (const kind of KINDS) {
        const before = failures.length;
        await series(scenario, kind);
        same(`${scenario}: whatever ${kind} fails, it goes on, refuses or ends in words, and keeps what it has acknowledged`, failures.slice(before).slice(0, 6), []);
    }
    const tried = table.reduce((sum, r) => sum + r.tried, 0);
    fact('failures were really met', tried > 100 || WORDS.length > 0, tried);
    console.log(`${tried} failures; ${failures.length} met badly; seed ${SEED}`);
});
