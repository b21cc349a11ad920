// SPDX-License-Identifier: Apache-2.0
/*
 * Bad networks and bad neighbours (promises R1, R3, R12, R19, R20, and what of R18 there is already).
 *
 *     node net.mjs [seed] [-v] [roads|dropped|flood|readers]      HOTARU=program
 *     node net.mjs --dropped SEED           inside a network namespace of its own, made by the first form
 *
 * roads    loss, doubles, reordering, jitter and cuts between gateways and daemon (proxy.mjs)
 * dropped  the same facts where the kernel drops packets: a namespace with nftables; root only
 * flood    garbage beside a healthy city: every legitimate datagram is answered
 * readers  connections that say nothing, and streams that are never read, beside others that are
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Daemon, PROGRAM, ROOT, Stream } from './daemon.mjs';
import { Device } from './device.mjs';
import { Gateway } from './gateway.mjs';
import { ARGS, City } from './observer.mjs';
import { BAD, GOOD, Road } from './proxy.mjs';
import { chance, fact, run, same, section, skip, sleep, until } from './facts.mjs';

const DROPPED = process.argv.includes('--dropped');
const SEED = Number(process.argv.slice(2).find((a) => /^\d+$/.test(a)) ?? Date.now() % 1000000);
const ROAD_MS = 8000, CUT_MS = 4000, ACK_MS = 2500;
const LATE_MS = 30;                          /* a concentrator wants so much time before it sends */

const rssOf = (pid) => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024;

/* ------------------------------------------------------------------ roads */

/* A city whose gateways are far away: a datagram without an answer is the road's fault, and is said again or not. */
class FarCity extends City {
    async offer(phy) {
        const { rnd, gateways } = this, first = rnd.below(3), copies = 1 + rnd.below(3);
        const answers = Array.from({ length: copies }, (_, i) => {
            this.truth.datagrams++;
            return gateways[(first + i) % 3].hear(phy, { lsnr: Math.round(rnd.between(-50, 100)) / 10 }, { ms: ACK_MS });
        });
        /* The first answer will do; other copies may still be on their way when the device speaks next. */
        return new Promise((done) => {
            for (const one of answers) one.then((good) => good && done(true));
            Promise.all(answers).then(() => done(false));
        });
    }
}

/* What each gateway said to each downlink: a concentrator refuses what comes too late, or a second time. */
const said = new Map();                      /* dev_eui/fcnt -> ['TAKEN' or the refusal] */
function honest(city, g) {
    const taken = new Set();
    return (down) => {
        const left_us = ((down.txpk.tmst - g.tmst()) << 0), twice = taken.has(down.token);
        const word = left_us < LATE_MS * 1000 ? 'TOO_LATE' : twice ? 'COLLISION_PACKET' : city.rnd.real() < 0.15 ? 'TX_FREQ' : 'TAKEN';
        taken.add(down.token);
        for (const d of city.devices) {
            const f = d.session && down.phy[0] >> 5 !== 1 ? d.read(down.phy) : null;
            if (!f) continue;
            const name = `${d.dev_eui}/${f.fcnt}`;
            said.set(name, [...(said.get(name) || []), word]);
        }
        return word === 'TAKEN' ? undefined : word;
    };
}

/* An accepted downlink was taken in time by somebody; every refused one says why. */
async function judgeDownlinks(city) {
    const rows = [];
    for (const d of city.devices) {
        const { downlinks } = await city.daemon.json(`/v1/devices/${d.dev_eui}/downlinks?limit=500`);
        for (const row of downlinks) rows.push({ name: `${d.dev_eui}/${row.fcnt}`, ...row });
    }
    const states = {};
    for (const r of rows) states[r.state] = (states[r.state] || 0) + 1;
    const accepted = rows.filter((r) => r.state === 'accepted');
    same('no downlink is called accepted that no gateway took in time', accepted.filter((r) => !(said.get(r.name) || []).includes('TAKEN')).slice(0, 3), []);
    same('every downlink that did not go out says why', rows.filter((r) => ['failed', 'expired', 'unknown'].includes(r.state) && !r.reason).slice(0, 3), []);
    same('no downlink waits for an answer for ever', rows.filter((r) => r.state === 'offered').slice(0, 3), []);
    fact('some went out', accepted.length > 20, states);
    const late = [...said].filter(([, words]) => words.every((w) => w !== 'TAKEN'));
    const wrong = late.filter(([name]) => rows.some((r) => r.name === name && !['failed', 'unknown', 'confirmed'].includes(r.state)));
    same('what every gateway refused has failed, in words', wrong.slice(0, 3), []);
    return `${rows.length} application downlinks ${JSON.stringify(states)}, ${late.length} of all were refused everywhere`;
}

const post = (city, d) => city.daemon.post(`/v1/devices/${d.dev_eui}/downlinks`, { fport: 10, payload: '01', expires_s: 3600 });
async function command(city) {
    while (city.up) {
        await post(city, city.rnd.of(city.devices));
        await sleep(40);
    }
}

async function judgeCity(city) {
    city.truth.late = 0;                                        /* a lossy road leaves datagrams without answer */
    await city.judge();
    const stored = new Set(city.truth.byId.values()).size, m = await city.daemon.metrics();
    same('the counter of uplinks is the number of frames that were stored', m.hotaru_uplinks_total, stored);
    fact('copies were heard and counted', m.hotaru_copies_total > 0, m.hotaru_copies_total);
}

async function finish(city, speakers) {
    for (const d of city.devices) d.stop = true;
    city.up = false;
    await Promise.all(speakers);
    await sleep(7000 - 2500);                                   /* the last windows and their answers are over */
    city.up = true;
}

async function roads() {
    section('roads');
    const daemon = new Daemon({ args: ARGS }), city = new FarCity(daemon, SEED), ways = [];
    try {
        for (const g of city.gateways) {
            const road = await new Road(daemon, city.rnd).open();
            g.daemon = road;
            ways.push(road);
        }
        await city.settle();
        for (const g of city.gateways) g.answer = honest(city, g);
        for (const road of ways) road.fate = BAD;
        const speakers = city.devices.map((d) => city.speak(d));
        command(city);
        await sleep(ROAD_MS);
        const before = city.acks();
        fact('frames are acknowledged on bad roads', before > 100, before);
        ways[0].cut = true;
        await sleep(CUT_MS);
        fact('one gateway cut off: the others go on', city.acks() > before + 20, city.acks() - before);
        for (const road of ways) road.cut = true;
        await sleep(CUT_MS);
        const silent = city.acks();
        for (const road of ways) road.cut = false;
        fact('all roads open again: frames are acknowledged again', await until(() => city.acks() > silent + 50, 20000, 20), city.acks() - silent);
        await finish(city, speakers);
        await judgeCity(city);
        const words = await judgeDownlinks(city);
        for (const road of ways) road.fate = GOOD;
        await city.replayAll();
        console.log(`roads: ${city.truth.acked.size} of ${city.truth.sent} frames acknowledged, ${city.truth.ids.size} stored; ${words}; ${ways.map((r) => r.words()).join('; ')}`);
    } finally {
        city.close();
        if (daemon.alive) await daemon.kill();
        for (const road of ways) road.close();
    }
}

/* ------------------------------------------------------------------ dropped by the kernel */

const nft = (...words) => execFileSync('nft', words, { encoding: 'utf8' });

async function inside() {
    const daemon = new Daemon({ args: ARGS }), city = new FarCity(daemon, SEED);
    try {
        await city.settle();
        for (const g of city.gateways) g.answer = honest(city, g);
        nft('add table inet hotaru');
        nft('add chain inet hotaru bad { type filter hook input priority 0 ; }');
        nft(`add rule inet hotaru bad meta l4proto udp numgen random mod 100 < 15 counter drop`);
        const speakers = city.devices.map((d) => city.speak(d));
        command(city);
        await sleep(ROAD_MS);
        const n = Number(/packets (\d+)/.exec(nft('list', 'table', 'inet', 'hotaru'))[1]);
        fact('the kernel drops datagrams', n > 100, n);
        fact('frames are acknowledged all the same', city.acks() > 100, city.acks());
        nft('delete table inet hotaru');
        await finish(city, speakers);
        await judgeCity(city);
        const words = await judgeDownlinks(city);
        console.log(`dropped: ${city.truth.acked.size} of ${city.truth.sent} frames acknowledged, ${n} datagrams dropped by the kernel; ${words}`);
    } finally {
        city.close();
        if (daemon.alive) await daemon.kill();
    }
}

/* The facts again, in a namespace where only we are. Its closing line is added up with ours. */
async function dropped() {
    section('dropped');
    const name = `hotaru-${process.pid}`, ip = (...words) => spawnSync('ip', words, { encoding: 'utf8' });
    if (process.getuid() !== 0) { skip('packets dropped by the kernel', 'a network namespace needs root'); return; }
    if (spawnSync('nft', ['--version']).error) { skip('packets dropped by the kernel', 'no nftables on this machine'); return; }
    if (ip('netns', 'add', name).status !== 0) { skip('packets dropped by the kernel', 'no network namespace can be made'); return; }
    try {
        ip('netns', 'exec', name, 'ip', 'link', 'set', 'lo', 'up');
        const works = spawnSync('ip', ['netns', 'exec', name, 'nft', 'add table inet hotaru_try; add chain inet hotaru_try c { type filter hook input priority 0 ; }; add rule inet hotaru_try c meta l4proto udp numgen random mod 100 < 1 drop; delete table inet hotaru_try'], { encoding: 'utf8' });
        if (works.status !== 0) { skip('packets dropped by the kernel', `nftables refuses here: ${works.stderr.split('\n')[0]}`); return; }
        const child = spawn('ip', ['netns', 'exec', name, process.execPath, ...process.argv.slice(1, 2), '--dropped', String(SEED), ...process.argv.slice(2).filter((a) => a === '-v')], { stdio: ['ignore', 'pipe', 'inherit'] });
        let out = '';
        child.stdout.on('data', (d) => { out += d; });
        await new Promise((done) => child.once('exit', done));
        console.log(out.trimEnd());
    } finally {
        ip('netns', 'del', name);
    }
}

/* ------------------------------------------------------------------ a flood */

const FLOOD = path.join(path.dirname(PROGRAM), 'shim/flood');
const FOREIGN = 'B0000000000000F1', MAD = 'B0000000000000F2';
const GATEWAYS = 20, FLOOD_S = 4, RATES = [50000, 30000, 15000];

/* Datagrams that the kernel threw away because the daemon's buffer was full. */
function kernelDrops(port) {
    const want = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const row = readFileSync('/proc/net/udp', 'latin1').split('\n').map((l) => l.trim().split(/\s+/)).find((w) => w[1]?.endsWith(want));
    return Number(row?.at(-1) ?? 0);
}

/* One round; how many legitimate datagrams had no answer, and whether the kernel had thrown any away. */
async function floodOnce(daemon, gateways, devices, truth, rate) {
    const before = { drops: kernelDrops(daemon.udpPort), rss: rssOf(daemon.child.pid), m: await daemon.metrics() };
    const child = spawn(FLOOD, [daemon.udpPort, rate, FLOOD_S, FOREIGN, MAD].map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
    let garbage = '', running = true, asked = 0, unanswered = 0;
    child.stdout.on('data', (d) => { garbage += d; });
    const over = new Promise((done) => child.once('exit', () => { running = false; done(); }));
    const speak = async (g, d) => {
        while (running) {
            const fcnt = d.fcnt++, phy = d.up(Buffer.from([4, fcnt & 255, 80]), { fcnt });
            const good = await Promise.all([g.hear(phy, {}, { ms: 15000 }), g.pull({ ms: 15000 })]);
            asked += 2;
            unanswered += good.filter((x) => !x).length;
            if (good[0]) truth.acked.add(`${d.dev_eui}/${fcnt}`);
            await sleep(50);
        }
    };
    await Promise.all([...gateways.map((g, i) => speak(g, devices[i])), over]);
    const after = { drops: kernelDrops(daemon.udpPort), rss: rssOf(daemon.child.pid), m: await daemon.metrics() };
    const words = Object.keys(after.m.drops).filter((w) => after.m.drops[w] > (before.m.drops[w] || 0));
    return { rate, garbage: Number(garbage), asked, unanswered, dropped: after.drops - before.drops, grown: after.rss - before.rss, words };
}

async function flood() {
    section('flood');
    execFileSync('make', ['-s', `V=${path.relative(ROOT, path.dirname(PROGRAM))}`, path.relative(ROOT, FLOOD)], { cwd: ROOT, env: plainEnv() });
    const daemon = new Daemon({ args: [...ARGS.filter((a) => !/^(--window-ms|20)$/.test(a))] });
    const eui = (n) => `B000000000000${n.toString(16).padStart(3, '0').toUpperCase()}`;
    const gateways = Array.from({ length: GATEWAYS }, (_, i) => new Gateway(daemon, eui(i + 1)));
    const [foreign] = [new Gateway(daemon, FOREIGN)];
    const devices = Array.from({ length: GATEWAYS }, (_, i) => new Device({ dev_eui: `70B3D57ED0E0${(i + 1).toString(16).padStart(4, '0')}`, app_key: `7c24e9b05d81f36a92ce47d0b8f5${(i + 1).toString(16).padStart(4, '0')}`, profile: 'test-level' }));
    const truth = { acked: new Set(), stored: new Map() };
    let stream = null;
    try {
        await daemon.start();
        for (const g of [...gateways, foreign]) await g.open();
        await daemon.importTable('gateways', ['gateway_eui,name,latitude,longitude,altitude_m,region,simulated', ...[...gateways.map((g) => g.name), FOREIGN, MAD].map((g) => `${g},役所,36.7,137.2,,AS923-1,0`)]);
        await daemon.importTable('devices', ['dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated', ...devices.map((d) => d.row())]);
        await Promise.all([...gateways, foreign].map((g) => g.pull()));
        for (const [i, d] of devices.entries()) await gateways[i].hear(d.joinRequest(1));
        const joined = await until(() => devices.every((d, i) => d.session || gateways[i].downs.some((x) => d.takeAccept(x.phy))), 8000, 50);
        if (!fact('the healthy city joins', joined)) return;
        stream = await new Stream(daemon, '/v1/stream?kind=uplink&since=0', ({ data }) => truth.stored.set(`${data.device}/${data.fcnt}`, (truth.stored.get(`${data.device}/${data.fcnt}`) || 0) + 1)).start();
        /* A machine that is busy elsewhere may lose datagrams in its kernel: then a lower rate must do. */
        let one = null;
        for (const rate of RATES) {
            await foreign.pull();                                    /* its host speaks: another host is foreign */
            one = await floodOnce(daemon, gateways, devices, truth, rate);
            console.log(`flood: ${one.garbage} pieces of garbage at ${rate}/s, ${one.asked} legitimate datagrams, ${one.unanswered} without an answer, ${one.dropped} thrown away by the kernel, RSS ${one.grown >= 0 ? '+' : ''}${one.grown.toFixed(1)} MB; ${one.words.join(' ')}`);
            if (one.dropped === 0) break;
        }
        same('every legitimate datagram is answered', [one.dropped, one.unanswered], [0, 0]);
        for (const word of ['DROP_UNKNOWN_GATEWAY', 'DROP_FOREIGN_SOURCE', 'DROP_GATEWAY_FLOOD', 'DROP_JSON', 'DROP_UDP_VERSION', 'DROP_UDP_KIND', 'DROP_SHORT_DATAGRAM'])
            fact(`garbage is counted under ${word}`, one.words.includes(word), one.words);
        fact('memory does not grow with it', one.grown < 24, one.grown);
        await until(() => [...truth.acked].every((n) => truth.stored.has(n)), 10000, 50);
        same('every acknowledged frame is stored and delivered once', [...truth.acked].filter((n) => truth.stored.get(n) !== 1).slice(0, 5), []);
        const strangers = await until(async () => (await daemon.json('/v1/gateways')).unknown.length, 10000, 100);
        fact('strangers are listed, and no more than a hundred', strangers > 0 && strangers <= 100, strangers);
    } finally {
        stream?.stop();
        if (daemon.alive) await daemon.kill();
        for (const g of [...gateways, foreign]) g.close();
    }
}

/* ------------------------------------------------------------------ readers */

const LORISES = 200, NEVER_READ = 20;

/* A connection that says a little of its request now and then, or asks and never listens. */
function loris(daemon, bytes) {
    const s = net.createConnection({ host: daemon.address, port: daemon.httpPort });
    s.on('error', () => {});
    s.on('connect', () => s.write(bytes));
    s.pause();
    return s;
}

async function readers() {
    section('readers');
    const daemon = new Daemon({ args: ARGS }), city = new City(daemon, SEED), open = [];
    try {
        await city.settle();
        const speakers = city.devices.map((d) => city.speak(d));
        await sleep(1500);
        const before = rssOf(daemon.child.pid);
        for (let i = 0; i < LORISES; i++) open.push(loris(daemon, i % 2 ? 'GET /v1/city HTTP/1.1\r\nHost: a\r\nX-Slow: ' : 'POST /v1/import/devices HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\ndev_eui'));
        const slow = setInterval(() => { for (const s of open.slice(0, LORISES)) if (!s.destroyed) s.write('a'); }, 500);
        for (let i = 0; i < NEVER_READ; i++) open.push(loris(daemon, `GET /v1/stream?kind=uplink&since=0 HTTP/1.1\r\nHost: a\r\n\r\n`));
        const events = city.truth.deliveries, acks = city.acks();
        await sleep(5000);
        const pages = await Promise.all(['/health', '/v1/city', '/v1/devices', '/v1/map', '/v1/findings', '/metrics', '/'].map(async (p) => `${p} ${(await daemon.get(p)).status}`));
        same('pages are answered beside those who say nothing', pages.filter((p) => !p.endsWith(' 200')), []);
        fact('frames are acknowledged', city.acks() > acks + 50, city.acks() - acks);
        fact('a stream that is read goes on', city.truth.deliveries > events + 20, city.truth.deliveries - events);
        const grown = rssOf(daemon.child.pid) - before;
        fact('memory is bounded', grown < 64, `${grown.toFixed(1)} MB for ${LORISES} slow connections and ${NEVER_READ} streams nobody reads`);
        clearInterval(slow);
        for (const d of city.devices) d.stop = true;
        await Promise.all(speakers);
        await city.judge();
        console.log(`readers: ${LORISES} slow connections, ${NEVER_READ} streams that are never read: RSS ${grown >= 0 ? '+' : ''}${grown.toFixed(1)} MB; ${city.truth.acked.size} frames acknowledged`);
    } finally {
        for (const s of open) s.destroy();
        city.close();
        if (daemon.alive) await daemon.kill();
    }
}

/* ------------------------------------------------------------------ the test */

function plainEnv() {
    const { MAKEFLAGS, MFLAGS, MAKELEVEL, ...env } = process.env;
    return env;
}

console.log(`net: seed ${SEED}`);
await run(async () => {
    if (DROPPED) { await inside(); return; }
    const wanted = process.argv.slice(2);
    for (const one of [roads, dropped, flood, readers])
        if (!wanted.some((w) => /^[a-z]+$/.test(w)) || wanted.includes(one.name)) await one();
});
