// SPDX-License-Identifier: Apache-2.0
/*
 * The soak (promise R26): a city at three times the demo's load, with people reading, lists imported,
 * commands queued and garbage from strangers, for as long as it is told. Memory and descriptors of the
 * daemon and of its codec child are sampled; after the first quarter, fifteen minutes at least, both must
 * be flat: until then caches fill, and rings of a fixed size are gone round for the first time.
 *
 *     node soak.mjs [minutes] [-v]        HOTARU=program; two minutes unless said; from thirty on, slopes are facts
 *
 * How the slope is judged: the samples after the warm-up are averaged by blocks, a line is fitted through
 * the blocks by least squares, and its standard error follows from how far they lie from it. A process
 * whose slope is above 1 MB an hour by more than twice that error grows; the error itself must be small
 * enough to see 4 MB an hour. What is printed is the slope and its error.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Daemon, PROGRAM, ROOT, Stream } from './daemon.mjs';
import { fact, run, same, skip, sleep, until } from './facts.mjs';

const MINUTES = Number(process.argv.slice(2).find((a) => /^[\d.]+$/.test(a)) ?? 2);
const SCALE = 1 / 65;                        /* the demo's is 1/15; at this one collisions take a third of what is sent */
const SAMPLE_MS = MINUTES >= 10 ? 10000 : 2000, BLOCKS = 9, WARM = 1 / 4;
const SLOPE_MB_H = 1, SEEN_MB_H = 4, SLOPE_FROM_MIN = 30, WARM_MIN = 15;
const GARBAGE_PER_S = 8000;                  /* above what the daemon calls busy, without a pause */
const MB = 1 << 20, HOUR_MS = 3600000;

/* ------------------------------------------------------------------ what a process holds */

const rss = (pid) => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) * 1024;
const descriptors = (pid) => readdirSync(`/proc/${pid}/fd`).length;
const children = (pid) => readdirSync(`/proc/${pid}/task`).flatMap((t) => readFileSync(`/proc/${pid}/task/${t}/children`, 'latin1').split(' ').filter(Boolean).map(Number));

function sample(daemon) {
    const pid = daemon.child.pid, codec = children(pid)[0];
    try {
        return { at: Date.now(), rss: rss(pid), fds: descriptors(pid), codec: codec ?? 0, codecRss: codec ? rss(codec) : 0, codecFds: codec ? descriptors(codec) : 0 };
    } catch { return null; }                 /* the child was just replaced */
}

const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;

/* Slope of a line through the means of blocks, and its standard error; MB an hour. */
function fit(samples, value) {
    const size = Math.max(1, Math.floor(samples.length / BLOCKS)), x = [], y = [];
    for (let i = 0; i + size <= samples.length && x.length < BLOCKS; i += size) {
        x.push(mean(samples.slice(i, i + size).map((s) => s.at)) / HOUR_MS);
        y.push(mean(samples.slice(i, i + size).map(value)) / MB);
    }
    const mx = mean(x), my = mean(y), sxx = x.reduce((a, v) => a + (v - mx) ** 2, 0);
    const slope = x.reduce((a, v, i) => a + (v - mx) * (y[i] - my), 0) / sxx;
    const rest = y.reduce((a, v, i) => a + (v - my - slope * (x[i] - mx)) ** 2, 0);
    return { slope, error: Math.sqrt(rest / Math.max(1, x.length - 2) / sxx), level: my };
}

/* ------------------------------------------------------------------ the city */

const daemon = new Daemon({ args: ['--speed', '60'] });
const truth = { streams: [], pages: 0, bad: [], imports: 0, downlinks: 0, churn: 0, samples: [] };
let running = true, city = null, garbage = null, told = '';

/* The simulated city is a process of its own, as with `hotaru demo`. */
function startCity() {
    const state = path.join(daemon.dir, 'city');
    mkdirSync(state);
    city = spawn(PROGRAM, ['sim', '--state', state, '--http', `http://127.0.0.1:${daemon.httpPort}`, '--udp', `127.0.0.1:${daemon.udpPort}`,
        '--speed', '60', '--interval-scale', SCALE.toFixed(5), '--seed', '3'], { stdio: ['ignore', 'pipe', 'inherit'] });
    city.stdout.on('data', (d) => { told = (told + d).slice(-4000); });
    city.over = new Promise((done) => city.once('exit', done));
}
/* A counter of the city's last report. */
const tally = (name) => Number([...told.matchAll(new RegExp(`\\b${name}=(\\d+)`, 'g'))].at(-1)?.[1] ?? 0);

function startGarbage() {
    const flood = path.join(path.dirname(PROGRAM), 'shim/flood'), { MAKEFLAGS, MFLAGS, MAKELEVEL, ...env } = process.env;
    execFileSync('make', ['-s', `V=${path.relative(ROOT, path.dirname(PROGRAM))}`, path.relative(ROOT, flood)], { cwd: ROOT, env });
    garbage = spawn(flood, [daemon.udpPort, GARBAGE_PER_S, 86400, 'C0000000000000F1', 'C0000000000000F2'].map(String), { stdio: 'ignore' });
}

/* ------------------------------------------------------------------ people */

const again = (what, ms) => (async () => {
    while (running) {
        await what().catch((e) => { if (running) truth.bad.push(String(e)); });
        for (const end = Date.now() + ms; running && Date.now() < end;) await sleep(Math.min(ms, 500));
    }
})();

/* A history that has no reading yet is not found. */
async function page(where) {
    const r = await daemon.get(where, { timeout: 30000 });
    truth.pages++;
    if (r.status !== 200 && !(r.status === 404 && where.includes('/temporal/'))) truth.bad.push(`${where} ${r.status}`);
    return r;
}

/* Histories of the last minutes only: one from the beginning would be a longer answer each time, and no leak. */
let turn = 0, devices = [];
const deviceAt = (n) => devices[(n * 7919) % devices.length];
async function readPages() {
    const d = deviceAt(turn), from = new Date(Date.now() - 120000).toISOString();
    const all = ['/', '/v1/city', '/v1/findings', '/v1/map', '/v1/devices?limit=1000', '/v1/gateways', '/metrics', '/health', `/v1/devices/${d.dev_eui}`, `/v1/devices/${d.dev_eui}/frames`,
        '/ngsi-ld/v1/entities?type=WaterObserved&limit=100', ...(d.entity ? [`/v1/devices/${d.dev_eui}/series?attr=waterLevel&from=${from}`, `/ngsi-ld/v1/temporal/entities/${d.entity}?timerel=after&timeAt=${from}`] : [])];
    await page(all[turn++ % all.length]);
}

/* The same two hundred devices again and again, under a profile that nobody sends for. */
async function importAgain() {
    const rows = Array.from({ length: 200 }, (_, i) => `70B3D57ED0A0${i.toString(16).padStart(4, '0')},70B3D57ED0FFFFFF,8e1d4ab09c77e25f3b6012d4f9a8${i.toString(16).padStart(4, '0')},,予備 ${i},hotaru-parking,36.7,137.2,0`);
    const r = await daemon.importTable('devices', ['dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated', ...rows]);
    truth.imports++;
    if (r.status !== 200) truth.bad.push(`import ${r.status}`);
}

async function queue() {
    const d = deviceAt(truth.downlinks);
    const r = await daemon.post(`/v1/devices/${d.dev_eui}/downlinks`, { fport: 10, payload: '0102', expires_s: 600 });
    truth.downlinks++;
    if (r.status !== 202 && r.status !== 429) truth.bad.push(`downlink ${r.status}`);
}

/* Readers that stay, and readers that come and go. */
async function listen(kind) {
    const seen = { n: 0, last: 0, back: 0 };
    truth.streams.push(seen);
    const s = new Stream(daemon, `/v1/stream?kind=${kind}`, ({ id }) => { seen.n++; if (Number(id) <= seen.last) seen.back++; seen.last = Number(id); s.events.length = 0; });
    await s.start();
    seen.stream = s;
}

async function comeAndGo() {
    const s = await new Stream(daemon, '/v1/stream?kind=uplink').start();
    await sleep(300);
    s.stop();
    await new Promise((done) => {            /* and a connection that ends in the middle of its answer */
        const rq = http.get({ host: '127.0.0.1', port: daemon.httpPort, path: '/v1/devices?limit=1000', agent: false }, (rs) => { rs.once('data', () => { rq.destroy(); done(); }); rs.once('end', done); });
        rq.on('error', done);
    });
    truth.churn++;
}

/* ------------------------------------------------------------------ what must hold */

async function judgeFindings() {
    const { now, findings } = await daemon.json('/v1/findings'), { counts } = await daemon.json('/v1/city');
    fact('findings are in words', findings.every((f) => f.ja && f.en && f.subject.id), findings.slice(0, 2));
    same('none began in the future', findings.filter((f) => Date.parse(f.since) > Date.parse(now)), []);
    const gateways = (await daemon.json('/v1/gateways')).gateways.filter((g) => g.simulated);
    const heard = gateways.filter((g) => g.last_seen && Date.parse(now) - Date.parse(g.last_seen) < 90000).length;
    fact('gateways that speak are not called silent, whatever strangers send', heard > gateways.length * 0.9, `${heard} of ${gateways.length}`);
    const simulated = (await daemon.json('/v1/devices?limit=1000')).devices.filter((d) => d.simulated), works = simulated.filter((d) => ['works', 'attention'].includes(d.state)).length;
    fact('devices that speak are not called silent', works > simulated.length * 0.85, `${works} of ${simulated.length}`);
    return counts;
}

function judgeSlopes() {
    const warm = Math.max((truth.samples.at(-1).at - truth.samples[0].at) * WARM, MINUTES < SLOPE_FROM_MIN ? 0 : WARM_MIN * 60000);
    const from = truth.samples[0].at + warm, late = truth.samples.filter((s) => s.at >= from);
    const lives = [...new Set(late.map((s) => s.codec))].length;
    const lines = [['daemon', fit(late, (s) => s.rss)], ['codec child', fit(late, (s) => s.codecRss)]];
    for (const [name, f] of lines)
        console.log(`soak: memory of the ${name}: ${f.slope >= 0 ? '+' : ''}${f.slope.toFixed(2)} MB/h (± ${f.error.toFixed(2)}), ${f.level.toFixed(1)} MB; ${late.length} samples after the warm-up${name === 'daemon' ? '' : `, ${lives} ${lives === 1 ? 'life' : 'lives'}`}`);
    const half = Math.floor(late.length / 2), most = (list, of) => Math.max(...list.map(of));
    fact('descriptors of the daemon do not grow', most(late.slice(half), (s) => s.fds) <= most(late.slice(0, half), (s) => s.fds) + 8, late.map((s) => s.fds).slice(-20));
    fact('nor those of the codec child', most(late.slice(half), (s) => s.codecFds) <= most(late.slice(0, half), (s) => s.codecFds) + 1, late.map((s) => s.codecFds).slice(-20));
    if (MINUTES < SLOPE_FROM_MIN) return;
    for (const [name, f] of lines) {
        fact(`memory of the ${name} is flat: less than ${SLOPE_MB_H} MB an hour`, f.slope - 2 * f.error < SLOPE_MB_H, `${f.slope.toFixed(2)} ± ${f.error.toFixed(2)} MB/h`);
        fact(`and that would be seen`, f.error < SEEN_MB_H / 2, `± ${f.error.toFixed(2)} MB/h`);
    }
}

function row(s, m, first) {
    const size = ['hotaru.db', 'hotaru.db-wal'].reduce((n, f) => { try { return n + statSync(path.join(daemon.dir, f)).size; } catch { return n; } }, 0);
    console.log(`| ${((s.at - first) / 60000).toFixed(1)} | ${(s.rss / MB).toFixed(1)} | ${s.fds} | ${(s.codecRss / MB).toFixed(1)} | ${s.codecFds} | ${(size / MB).toFixed(0)} | ${m.hotaru_uplinks_total} | ${truth.pages} |`);
}

/* ------------------------------------------------------------------ the test */

console.log(`soak: ${MINUTES} minutes`);
await run(async () => {
    await daemon.start();
    startCity();
    fact('the city is enrolled', await until(async () => (devices = (await daemon.json('/v1/devices?limit=1000')).devices).length >= 500, 30000, 200), devices.length);
    startGarbage();
    await Promise.all(['change', 'uplink', 'change'].map(listen));
    const people = [again(readPages, 150), again(importAgain, 20000), again(queue, 200), again(comeAndGo, 3000)];
    console.log('| minute | daemon MB | fds | codec MB | fds | store MB | uplinks | pages |\n|---|---|---|---|---|---|---|---|');
    const began = Date.now(), every = Math.max(SAMPLE_MS, MINUTES * 60000 / 12);
    let next = began;
    while (Date.now() - began < MINUTES * 60000) {
        const s = sample(daemon);
        if (s) truth.samples.push(s);
        if (s && Date.now() >= next) { row(s, await daemon.metrics(), began); next += every; }
        await sleep(SAMPLE_MS);
    }
    row(truth.samples.at(-1), await daemon.metrics(), began);
    const counts = await judgeFindings();
    judgeSlopes();
    running = false;
    await Promise.all(people);
    city.kill('SIGTERM');
    await city.over;
    garbage.kill();
    const m = await daemon.metrics(), rate = m.hotaru_uplinks_total / ((Date.now() - began) / 1000);
    same('no page, import or command failed', truth.bad.slice(0, 5), []);
    same('streams tell each event once and in order', truth.streams.map((s) => [s.back, s.n > 100]), truth.streams.map(() => [0, true]));
    fact('the city’s datagrams are acknowledged', tally('acked') > 0 && tally('acked') >= tally('pushed') * 0.999 - 20, `${tally('acked')} of ${tally('pushed')}`);
    same('the store refused nothing', m.drops.DROP_STORE, 0);
    fact('it was three times the load of the demo', MINUTES < 5 || rate > 20, `${rate.toFixed(1)} uplinks/s`);
    for (const s of truth.streams) s.stream.stop();
    same('it stops as it is told', await daemon.kill('SIGTERM'), { code: 0, signal: null });
    try {
        same('PRAGMA integrity_check', execFileSync('sqlite3', [path.join(daemon.dir, 'hotaru.db'), 'PRAGMA integrity_check'], { encoding: 'utf8' }).trim(), 'ok');
    } catch (e) { skip('PRAGMA integrity_check', e.code === 'ENOENT' ? 'no sqlite3 on this machine' : String(e)); }
    console.log(`soak: ${MINUTES} min, ${m.hotaru_uplinks_total} uplinks (${rate.toFixed(1)}/s), ${counts.devices_heard} of ${counts.devices} devices heard, ${truth.pages} pages, ${truth.imports} imports, ${truth.downlinks} commands, ${truth.churn} readers that came and went, ${Object.values(m.drops).reduce((a, b) => a + b, 0)} refusals`);
}, async () => {
    running = false;
    city?.kill('SIGKILL');
    garbage?.kill('SIGKILL');
    if (daemon.alive) await daemon.kill();
});
