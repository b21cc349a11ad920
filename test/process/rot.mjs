// SPDX-License-Identifier: Apache-2.0
/*
 * Disks rot (promise R15): in copies of a real store one bit is flipped, pages are zeroed, doubled or
 * lost, at random places. `hotaru fsck` must then say so, or nothing that is read may differ; and what
 * is read as sound must be true either way. Some of the copies are served by a daemon, whose pages may
 * leave something out but never show something else.
 *
 *     node rot.mjs [trials] [seed] [-v]        HOTARU=program
 */
import { execFile } from 'node:child_process';
import { closeSync, cpSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { Daemon, PROGRAM, ROOT, folder } from './daemon.mjs';
import { Device } from './device.mjs';
import { Gateway } from './gateway.mjs';
import { chance, fact, run, same, section, sleep, until } from './facts.mjs';

const [TRIALS = 500, SEED = Date.now() % 1000000] = process.argv.slice(2).filter((a) => /^\d+$/.test(a)).map(Number);
const SERVED = Math.min(30, Math.ceil(TRIALS / 20)), AT_ONCE = 2, DAY_S = 86400;
const ARGS = ['--profiles', path.join(ROOT, 'test/process/profiles'), '--window-ms', '20'];
const SHIM = path.join(path.dirname(PROGRAM), 'shim/clock.so');
const rnd = chance(SEED);

/* ------------------------------------------------------------------ a real store, three days old */

const place = folder('hotaru-rot-'), data = path.join(place, 'truth');
const clock = openSync(path.join(place, 'offset'), 'w+');
const setClock = (offset_s) => {
    const b = Buffer.alloc(8);
    b.writeBigInt64LE(BigInt(Math.round(offset_s * 1e6)));
    writeSync(clock, b, 0, 8, 0);
};
const daemon = new Daemon({ dir: data, args: ARGS, env: { LD_PRELOAD: SHIM, HOTARU_CLOCK: path.join(place, 'offset') } });
const gateways = ['A0000000000000B1', 'A0000000000000B2'].map((eui) => new Gateway(daemon, eui));
const devices = Array.from({ length: 6 }, (_, i) => new Device({ dev_eui: `70B3D57ED0D0000${i + 1}`, name: `水位 ${i + 1}`,
    app_key: `4a1e9b3fa7260c48e1937ab4d2f8000${i + 1}`, profile: i < 5 ? 'test-level' : 'test-none' }));

async function join(d, nonce) {
    await gateways[0].hear(d.joinRequest(nonce));
    const accept = await until(() => gateways[0].downs.find((x) => !x.taken && x.phy[0] >> 5 === 1 && d.readAccept(x.phy)), 8000);
    if (!accept) throw new Error(`${d.dev_eui}: no join-accept`);
    accept.taken = true;
    d.takeAccept(accept.phy);
}

async function say(d, i) {
    const phy = d.up(Buffer.from([4, i & 255, 80]), { confirmed: i % 7 === 0 });
    const heard = await Promise.all(gateways.slice(0, 1 + (i % 2)).map((g) => g.hear(phy)));
    if (!heard.some(Boolean)) throw new Error('a frame was not acknowledged');
}

async function day(offset_s, first) {
    setClock(offset_s);
    await daemon.start();
    if (first) {
        await daemon.importTable('gateways', ['gateway_eui,name,latitude,longitude,altitude_m,region,simulated', ...gateways.map((g) => `${g.name},北,36.7,137.2,,AS923-1,0`)]);
        await daemon.importTable('devices', ['dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated', ...devices.map((d) => d.row())]);
    }
    for (const g of gateways) await g.pull();
    await Promise.all(devices.filter((d, i) => first || i === 1).map((d) => join(d, first ? 1 : 1000 + Math.round(offset_s / DAY_S))));
    for (let i = 0; i < 60; i++) await say(devices[i % devices.length], i);
    await daemon.post(`/v1/devices/${devices[0].dev_eui}/downlinks`, { fport: 10, payload: '0102' });
    await gateways[0].hear(devices[3].up(Buffer.from([1]), { fcnt: 0 }));      /* a replay: a refusal is kept */
    await sleep(2500);                                                         /* gateways' rows are written every two seconds */
    await daemon.kill('SIGTERM');
}

/* ------------------------------------------------------------------ what is read */

function fsck(dir) {
    return new Promise((done) => execFile(PROGRAM, ['fsck', '--data', dir, '--dump'], { maxBuffer: 64 << 20 }, (e, out, words) =>
        done({ code: e ? e.code ?? `signal ${e.signal}` : 0, rows: out.split('\n').filter(Boolean), words })));
}

async function pages(served) {
    const items = new Set(), add = (kind, list) => { for (const x of list) items.add(`${kind} ${JSON.stringify(x)}`); };
    /* A frame and each of its copies: a damaged row of copies leaves the first one, one of a gateway no name. */
    const addFrames = (list) => { for (const { copies, ...f } of list) { add('frame', [f]); add('copy', copies.map(({ name, ...c }) => [f.id, c])); } };
    for (const d of devices) {
        const get = async (where) => { const r = await served.get(where); return r.status === 200 ? r.json() : null; };
        addFrames((await get(`/v1/devices/${d.dev_eui}/frames?limit=200`))?.frames ?? []);
        add('point', (await get(`/v1/devices/${d.dev_eui}/series?attr=waterLevel&from=2020-01-01T00:00:00Z`))?.points ?? []);
        add('value', (await get(`/v1/devices/${d.dev_eui}`))?.values ?? []);
        const e = await get(`/ngsi-ld/v1/entities/urn:ngsi-ld:WaterObserved:${d.dev_eui.toLowerCase()}`);
        if (e) add('entity', [e]);
    }
    return items;
}

/* ------------------------------------------------------------------ what happens to a disk */

const PAGE = 4096;
const faults = {
    'a flipped bit': (f) => { f[rnd.below(f.length)] ^= 1 << rnd.below(8); return f; },
    'two flipped bits': (f) => { for (let i = 0; i < 2; i++) f[rnd.below(f.length)] ^= 1 << rnd.below(8); return f; },
    'a zeroed sector': (f) => { const at = 512 * rnd.below(f.length / 512); f.fill(0, at, at + 512); return f; },
    'zeroed pages': (f) => { const at = PAGE * rnd.below(f.length / PAGE); f.fill(0, at, Math.min(f.length, at + PAGE * (1 + rnd.below(4)))); return f; },
    'doubled pages': (f) => {
        const n = 1 + rnd.below(4), from = PAGE * rnd.below(f.length / PAGE - n), to = PAGE * rnd.below(f.length / PAGE - n);
        f.copy(f, to, from, from + PAGE * n);
        return f;
    },
    'a truncated file': (f) => f.subarray(0, rnd.below(f.length)),
    'noise': (f) => { const at = rnd.below(f.length - 64); rnd.bytes(64).copy(f, at); return f; },
};

await run(async () => {
    console.log(`rot: ${TRIALS} trials, seed ${SEED}`);
    section('a store of three days');
    for (const g of gateways) await g.open();
    for (const [i, offset] of [-2 * DAY_S, -DAY_S, 0].entries()) await day(offset, i === 0);
    setClock(0);
    await daemon.start();
    await until(async () => (await daemon.metrics()).hotaru_behind_rows === 0, 5000, 50);
    await sleep(500);
    const shown = await pages(daemon);
    await daemon.kill('SIGTERM');
    const sound = readFileSync(path.join(data, 'hotaru.db')), truth = await fsck(data), known = new Set(truth.rows);
    same('the store is sound before', [truth.code, /sound/.test(truth.words)], [0, true]);
    fact('and has something of everything that is kept', ['device', 'session', 'uplink', 'reading', 'entity', 'downlink', 'dev_nonce', 'day_seal', 'uplink_copies',
        'refusal', 'gateway_hour', 'device_state', 'token', 'mark'].every((t) => truth.rows.some((r) => r.startsWith(`${t}\t`))), truth.rows.map((r) => r.split('\t')[0]).filter((t, i, a) => a.indexOf(t) === i));
    same('two days are sealed', truth.rows.filter((r) => r.startsWith('day_seal\t')).length, 2);
    fact('pages show something', shown.size > 200, shown.size);

    section('trials');
    const table = Object.fromEntries(Object.keys(faults).map((k) => [k, { trials: 0, said: 0, harmless: 0, silent: 0 }]));
    const silent = [], untrue = [], fell = [], wordless = [];
    async function trial(n) {
        const kind = Object.keys(faults)[n % 2 ? 0 : n / 2 % Object.keys(faults).length], dir = path.join(place, `t${n}`);
        mkdirSync(dir);
        const bytes = faults[kind](Buffer.from(sound));
        writeFileSync(path.join(dir, 'hotaru.db'), bytes);
        const got = await fsck(dir), t = table[kind];
        t.trials++;
        if (![0, 1, 2].includes(got.code)) fell.push(`${n} ${kind}: ${got.code} ${got.words.slice(0, 300)}`);
        if (got.code === 0 && (got.rows.length !== truth.rows.length || got.rows.some((r) => !known.has(r)))) {
            t.silent++;
            silent.push(`${n} ${kind}: ${got.rows.filter((r) => !known.has(r)).slice(0, 2)} / ${got.rows.length} of ${truth.rows.length} rows`);
        } else if (got.code === 0) t.harmless++;
        else t.said++;
        if (got.code && !/ \/ /.test(got.words)) wordless.push(`${n} ${kind}: ${got.words.slice(0, 200)}`);
        const lies = got.rows.filter((r) => !known.has(r));
        if (lies.length) untrue.push(`${n} ${kind}: ${lies.slice(0, 2)}`);
        if (!process.env.KEEP && (got.code === 0 || n >= SERVED)) rmSync(dir, { recursive: true, force: true });
        else served.push({ n, kind, dir });
    }
    const served = [];
    for (let n = 0; n < TRIALS; n += AT_ONCE) await Promise.all(Array.from({ length: Math.min(AT_ONCE, TRIALS - n) }, (_, i) => trial(n + i)));
    for (const [kind, t] of Object.entries(table))
        if (t.trials) console.log(`rot: ${kind.padEnd(18)} ${String(t.trials).padStart(5)} trials: ${t.said} said, ${t.harmless} without effect on any row, ${t.silent} silent`);
    same('nothing that is read is silently another', silent, []);
    same('and no row that is read as sound is untrue, whatever fsck says of the rest', untrue, []);
    same('fsck ends each time with its own exit code', fell, []);
    same('and says it in words', wordless, []);

    section('a daemon on damaged stores');
    const shownWrong = [];
    let ready = 0, refused = 0;
    for (const { n, kind, dir } of served) {
        const d = new Daemon({ dir, args: ARGS });
        cpSync(path.join(data, 'kek'), path.join(dir, 'kek'));
        try { await d.start(); } catch (e) {
            refused++;
            section(`${n} ${kind}: ${String(e).slice(0, 300).replace(/\s+/g, ' ')}`);
            if (!/hotaru: |store failed/.test(String(e))) shownWrong.push(`${n} ${kind}: it did not start, and said only ${String(e).slice(0, 200)}`);
            continue;
        }
        ready++;
        d.killed = d.child;                          /* from here on it may stop by itself: an I/O error is final */
        try {
            const items = await pages(d);
            const lies = [...items].filter((x) => !shown.has(x));
            if (lies.length) shownWrong.push(`${n} ${kind}: ${lies[0]}`);
        } catch (e) {
            const end = await Promise.race([d.exited, sleep(2000)]);
            if (![1, 75].includes(end?.code)) shownWrong.push(`${n} ${kind}: ${e}, and ended with ${JSON.stringify(end)}: ${d.log.slice(-300)}`);
        }
        if (d.alive) await d.kill();
        rmSync(dir, { recursive: true, force: true });
    }
    console.log(`rot: of ${served.length} damaged stores ${ready} were served, ${refused} refused to start`);
    same('no page shows what was never there', shownWrong, []);
    fact('some of them were served', ready > 0, { ready, refused });
}, async () => {
    if (daemon.alive) await daemon.kill();
    for (const g of gateways) g.close();
    closeSync(clock);
});
