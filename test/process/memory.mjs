// SPDX-License-Identifier: Apache-2.0
/*
 * Little memory (issue: a cgroup's limit, else a limit of the address space). A city is enrolled,
 * speaks and is read while the limit stands. The daemon lives, or ends with plain words and code 70;
 * what it had acknowledged is there after the next start either way.
 *
 *     node memory.mjs [seed] [-v]        HOTARU=program
 *
 * cgroup   96 MB above what it has at its start: it must live. The group counts the page cache too.
 * address  a running daemon may take a few MB more and no further: it may end, in words.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { Daemon, Stream } from './daemon.mjs';
import { ARGS, City } from './observer.mjs';
import { fact, run, same, section, skip, sleep, until } from './facts.mjs';

const SEED = Number(process.argv.slice(2).find((a) => /^\d+$/.test(a)) ?? Date.now() % 1000000);
const MB = 1 << 20, ROWS = 20000, ABOVE_MB = 96, STEPS_MB = [1, 4, 16, 48];

const status = (pid, name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) * 1024;

/* Rows of a large table; `from` keeps tables apart. */
const table = (from, n = ROWS) => ['dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated', ...Array.from({ length: n }, (_, i) => {
    const hex = (from + i).toString(16).padStart(8, '0');
    return `70B3D57E${hex.toUpperCase()},70B3D57ED0FFFFFF,${createHash('sha256').update(hex).digest('hex').slice(0, 32)},,水位計 ${from + i},test-level,${36 + i % 1000 / 1000},${137 + i % 997 / 997},0`;
})];

const PAGES = ['/v1/map', '/v1/devices?limit=1000', '/v1/findings', '/v1/city', '/v1/gateways', '/metrics', '/ngsi-ld/v1/entities?type=WaterObserved&limit=1000', '/'];

/* What people ask for at once: every page four times over, histories, and streams from the first event on. */
async function read(city) {
    const d = city.devices[0], urn = `urn:ngsi-ld:WaterObserved:${d.dev_eui.toLowerCase()}`;
    const paths = [...PAGES, ...PAGES, ...PAGES, ...PAGES, ...city.devices.map((x) => `/v1/devices/${x.dev_eui}/series?attr=waterLevel&limit=10000`),
        ...city.devices.map((x) => `/v1/devices/${x.dev_eui}/frames?limit=500`), `/ngsi-ld/v1/temporal/entities/${urn}?timerel=after&timeAt=2020-01-01T00:00:00Z`];
    const answers = await Promise.all(paths.map((p) => city.daemon.get(p, { timeout: 60000 }).then((r) => ({ p, status: r.status }), () => ({ p, status: 0 }))));
    return answers;
}

/* The whole load on one daemon; what it answered. */
async function strain(city, from) {
    const streams = [];
    for (let i = 0; i < 10; i++) streams.push(await new Stream(city.daemon, `/v1/stream?kind=${i % 2 ? 'change' : 'uplink'}&since=0`).start().catch(() => null));
    const imported = await city.daemon.importTable('devices', table(from)).then((r) => r.status, () => 0);
    const answers = await read(city);
    for (const s of streams) s?.stop();
    return { imported, answers };
}

/* Nobody speaks to sockets that are closed, also when a test ends early. */
async function leave(city) {
    city.up = false;
    for (const d of city.devices) d.stop = true;
    for (const g of city.gateways) g.giveUp();
    await sleep(100);
    city.close();
    if (city.daemon.alive) await city.daemon.kill();
}

/* The group under `dir`, and how to get a process into it; null where there is none to be had. */
function group() {
    const name = `hotaru-${process.pid}`;
    const kinds = [{ dir: `/sys/fs/cgroup/memory/${name}`, limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' },
        { dir: `/sys/fs/cgroup/${name}`, limit: 'memory.max', peak: 'memory.peak' }];
    for (const kind of kinds) {
        try {
            if (!existsSync(path.dirname(kind.dir))) continue;
            mkdirSync(kind.dir);
            if (existsSync(path.join(kind.dir, kind.limit))) return kind;
            rmdirSync(kind.dir);
        } catch { /* not ours to make */ }
    }
    return null;
}

async function inGroup() {
    section('cgroup');
    const g = group();
    if (!g) { skip('a limit of memory', 'no memory cgroup can be made here'); return; }
    const daemon = new Daemon({ args: ARGS, under: ['sh', '-c', `echo $$ > ${g.dir}/cgroup.procs && exec "$@"`, 'sh'] }), city = new City(daemon, SEED);
    try {
        await city.settle();
        const limit = Math.ceil((status(daemon.child.pid, 'VmRSS') / MB + ABOVE_MB)) * MB;
        writeFileSync(path.join(g.dir, g.limit), String(limit));
        const speakers = city.devices.map((d) => city.speak(d));
        await sleep(1500);
        const { imported, answers } = await strain(city, 1);
        same('20,000 devices are imported', imported, 200);
        same('every page is answered', answers.filter((a) => a.status !== 200).slice(0, 5), []);
        fact('the daemon lives', daemon.alive);
        await sleep(1000);
        for (const d of city.devices) d.stop = true;
        await Promise.all(speakers);
        await city.judge();
        const peak = existsSync(path.join(g.dir, g.peak)) ? `${(Number(readFileSync(path.join(g.dir, g.peak), 'latin1')) / MB).toFixed(0)} MB at most with the page cache` : 'no peak here';
        console.log(`cgroup: limit ${(limit / MB).toFixed(0)} MB, ${peak}, RSS ${(status(daemon.child.pid, 'VmHWM') / MB).toFixed(0)} MB at most; ${city.truth.acked.size} frames acknowledged`);
    } finally {
        await leave(city);
        await until(() => { try { rmdirSync(g.dir); return true; } catch { return false; } }, 3000, 50);
    }
}

/* RLIMIT_AS from outside: from now on every page that is taken must fit. Each step begins with a new life. */
async function inAddressSpace() {
    section('address');
    if (spawnSync('prlimit', ['--version']).error) { skip('a limit of the address space', 'no prlimit on this machine'); return; }
    const daemon = new Daemon({ args: ARGS }), city = new City(daemon, SEED + 1), ends = [];
    try {
        await city.settle();
        const speakers = city.devices.map((d) => city.speak(d));
        for (const [i, mb] of STEPS_MB.entries()) {
            await sleep(500);
            const limit = status(daemon.child.pid, 'VmSize') + mb * MB, child = daemon.child;
            daemon.killed = child;                                     /* it may end: that is what is looked at */
            spawnSync('prlimit', ['--pid', String(child.pid), `--as=${limit}`]);
            const { imported, answers } = await strain(city, (i + 1) << 20);
            const bad = answers.filter((a) => a.status !== 200).length;
            const ended = daemon.alive ? null : await daemon.exited;
            city.up = false;
            if (ended) {
                same(`with ${mb} MB more it ends with code 70`, ended, { code: 70, signal: null });
                fact('and says why in words', /memory/.test(daemon.log) && !/\n\s*at /.test(daemon.log), daemon.log);
            } else {
                fact(`with ${mb} MB more it lives and takes the table, or refuses it`, imported === 200 || imported >= 500, imported);
            }
            ends.push(`+${mb} MB: ${ended ? `ended with ${ended.code ?? ended.signal}` : `lived, import ${imported}, ${bad} of ${answers.length} pages not answered`}`);
            await city.end();
            await city.begin();
            const { total } = await daemon.json(`/v1/devices?limit=1&q=70B3D57E00${i + 1}`);
            fact('the table is there whole or not at all, and whole when that was promised', total === ROWS || (total === 0 && imported !== 200), total);
        }
        await sleep(1000);
        for (const d of city.devices) d.stop = true;
        await Promise.all(speakers);
        city.truth.late = 0;                                           /* what a dying life left unanswered */
        city.truth.mute = [];
        await city.judge();
        await city.replayAll();
        city.pulling = false;
        await city.lookInside();
        console.log(`address: ${ends.join('; ')}; ${city.truth.acked.size} frames acknowledged`);
    } finally {
        await leave(city);
    }
}

console.log(`memory: seed ${SEED}`);
await run(async () => {
    await inGroup();
    await inAddressSpace();
});
