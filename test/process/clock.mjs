// SPDX-License-Identifier: Apache-2.0
/*
 * The wall clock jumps (promise R10): an hour on, an hour back, 400 days on, over 2038-01-19 03:14:08,
 * while the daemon runs (test/shim/clock.c) and between two lives of it. The city of the observer
 * speaks all the while; one of its gateways has the right time in its rxpk. Windows and timers live on
 * the monotonic clock and must not notice; times that people read follow the clock, and a clock that
 * comes back leaves nothing in the future that would hide a silence.
 *
 *     node clock.mjs [seed] [-v]        HOTARU=program
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { Daemon, PROGRAM, ROOT, folder } from './daemon.mjs';
import { ARGS, City } from './observer.mjs';
import { fact, run, same, section, sleep, until } from './facts.mjs';

const SEED = Number(process.argv.slice(2).find((a) => /^\d+$/.test(a)) ?? Date.now() % 1000000);
const SHIM = path.join(path.dirname(PROGRAM), 'shim/clock.so');
const HOUR_S = 3600, DAY_S = 24 * HOUR_S, PHASE_MS = 1500;
const NEAR_MS = 60000;                       /* jumps are an hour at least; a busy machine may take its time */
const GPS_1970_S = 315964800, GPS_LEAP_S = 18;

/* ------------------------------------------------------------------ the clock in our hands */

const file = path.join(folder('hotaru-clock-'), 'offset'), fd = openSync(file, 'w+');
const moves = [];                            /* {at, offset_s}: what the clock was when */
function move(offset_s) {
    const b = Buffer.alloc(8);
    b.writeBigInt64LE(BigInt(Math.round(offset_s * 1e6)));
    writeSync(fd, b, 0, 8, 0);
    moves.push({ at: Date.now(), offset_s });
}
const offset = () => moves.at(-1).offset_s;
const clock = () => Date.now() + offset() * 1000;
/* What the clock may have said in the last `ms`. */
const clocks = (ms) => moves.filter((m, i) => i === moves.length - 1 || moves[i + 1].at > Date.now() - ms).map((m) => Date.now() + m.offset_s * 1000);
const to2038 = () => Date.UTC(2038, 0, 19, 3, 14, 8) / 1000 - Date.now() / 1000;

move(0);
const daemon = new Daemon({ args: ARGS, env: { LD_PRELOAD: SHIM, HOTARU_CLOCK: file } });
const city = new City(daemon, SEED);
/* Heard only when the test says so: one whose silence must be seen, one whose downlinks wait, one whose values are judged. */
const [still, waiting, judged] = city.devices.slice(9, 12);
const silent = [still, waiting, judged];
/* A third of the others: above 500 datagrams a second the daemon takes its time with what pages show. */
const speaking = city.devices.filter((d) => !silent.includes(d)).filter((_, i) => i % 3 === 0);

/* ------------------------------------------------------------------ what is heard */

const times = { wrong: [], n: 0 }, windows = { wrong: [], n: 0 };

/* A gateway remembers when it heard what: an answer belongs to one of these, a second or two later (a join five or six). */
for (const [i, g] of city.gateways.entries()) {
    const plain = g.rxpk.bind(g);
    g.ends = new Set();
    g.rxpk = (phy, how) => {
        const one = plain(phy, i === 2 ? { time: new Date().toISOString(), ...how } : how);
        g.ends.add(one.tmst);
        return one;
    };
}

function checkWindow(down) {
    const { tmst } = down.txpk, g = down.gateway, early_us = (tmst - g.tmst()) >>> 0;
    const d = down.phy[0] >> 5 === 1 ? null : city.devices.find((x) => x.session && x.read(down.phy));
    const first_s = d ? d.session.rx_delay || 1 : 5, delays = [first_s * 1e6, (first_s + 1) * 1e6];
    windows.n++;
    if (!delays.some((d) => g.ends.has((tmst - d + 4294967296) % 4294967296))) windows.wrong.push(`tmst ${tmst} belongs to no window`);
    else if (early_us > 7e6) windows.wrong.push(`told ${4294967296 - early_us} us after its time`);
}

/* DeviceTimeAns (LoRaWAN 1.0.3, 5.9): GPS seconds and 1/256 at the end of the uplink. */
function checkTime(down) {
    for (const d of city.devices) {
        const f = d.session && down.phy[0] >> 5 !== 1 ? d.read(down.phy) : null;
        if (!f || !f.fopts) continue;
        const at = /^(?:02....)?0d(........)/.exec(f.fopts);
        if (!at) continue;
        const ms = (Buffer.from(at[1], 'hex').readUInt32LE() + GPS_1970_S - GPS_LEAP_S) * 1000;
        times.n++;
        if (!clocks(10000).some((c) => Math.abs(c - ms) < 10000)) times.wrong.push(`${new Date(ms).toISOString()}, not ${new Date(clock()).toISOString()}`);
    }
}
const heard = city.heard.bind(city);
city.heard = (down) => { heard(down); checkWindow(down); checkTime(down); };

/* One frame of a device that is silent otherwise. */
async function say(d, level = 1, options = {}) {
    const payload = Buffer.alloc(3);
    payload.writeInt16BE(Math.round(level * 1000));
    payload[2] = 80;
    const fcnt = d.fcnt++, phy = d.up(payload, { fcnt, ...options });
    const good = await city.gateways[0].hear(phy, {}, { ms: 20000 });
    if (good) city.truth.acked.set(`${d.dev_eui}/${fcnt}`, phy);
    return same('a frame of a quiet device is acknowledged', good, true);
}

/* ------------------------------------------------------------------ what the pages say */

const near = (iso) => Math.abs(Date.parse(iso) - clock()) < NEAR_MS;
const deviceOf = (d) => daemon.json(`/v1/devices/${d.dev_eui}`);
const becomes = (d, ...states) => until(async () => states.includes((await deviceOf(d)).state), 30000, 50);

async function readPages(when) {
    const paths = ['/v1/city', '/v1/devices?limit=100', '/v1/findings', '/v1/map', '/v1/gateways', '/metrics', '/health', `/v1/devices/${speaking[0].dev_eui}/frames`,
        `/v1/devices/${speaking[0].dev_eui}/series?attr=waterLevel`, `/ngsi-ld/v1/entities/urn:ngsi-ld:WaterObserved:${speaking[0].dev_eui.toLowerCase()}`];
    const bad = (await Promise.all(paths.map(async (p) => `${p} ${(await daemon.get(p)).status}`))).filter((p) => !p.endsWith(' 200'));
    same(`${when}: every page answers`, bad, []);
    fact(`${when}: the city's page has the clock's time`, near((await daemon.json('/v1/city')).now), await daemon.json('/v1/city'));
}

/* Those who speak are heard now; nobody's silence began in the future. */
async function readStates(when) {
    const wrong = await until(async () => {
        const { devices } = await daemon.json('/v1/devices?limit=100');
        const bad = devices.filter((d) => speaking.some((s) => s.dev_eui === d.dev_eui) && !(near(d.last_heard) && ['works', 'attention'].includes(d.state)));
        return bad.length === 0 ? 'none' : (readStates.bad = bad.map((d) => `${d.dev_eui} ${d.state} ${d.last_heard}`), false);
    }, 30000, 100);
    fact(`${when}: devices that speak are heard now`, wrong === 'none', readStates.bad);
    const gateways = await until(async () => {
        const bad = (await daemon.json('/v1/gateways')).gateways.filter((g) => !(near(g.last_seen) && g.state === 'works'));
        return bad.length === 0 ? 'none' : (readStates.gateways = bad, false);
    }, 30000, 100);
    fact(`${when}: gateways that speak are heard now`, gateways === 'none', readStates.gateways);
    const { now, findings } = await daemon.json('/v1/findings');
    same(`${when}: no finding began in the future`, findings.filter((f) => Date.parse(f.since) > Date.parse(now)).slice(0, 3), []);
}

async function look(when) {
    section(when);
    const before = { acks: city.acks(), downs: city.truth.downs_n };
    await sleep(PHASE_MS);
    fact(`${when}: frames are acknowledged and answered`, await until(() => city.acks() > before.acks + 20 && city.truth.downs_n > before.downs + 3, 20000, 20));
    await readPages(when);
    await readStates(when);
    await city.health();
}

async function restart(offset_s) {
    await city.end();
    move(offset_s);
    await city.begin();
}

/* ------------------------------------------------------------------ silence, expiry, judgement */

const post = async (expires_s) => (await daemon.post(`/v1/devices/${waiting.dev_eui}/downlinks`, { fport: 10, payload: 'c10c', expires_s })).json().id;
const list = () => daemon.json(`/v1/devices/${waiting.dev_eui}/downlinks`).then((r) => r.downlinks);
const downlink = async (id) => (await list()).find((d) => d.id === id);
const ended = (id) => until(async () => { const d = await downlink(id); return d && !['queued', 'offered'].includes(d.state) && d; }, 8000, 50);

async function expiries() {
    section('expiry');
    move(0);
    const soon = await post(1800), far = await post(30 * DAY_S);
    move(HOUR_S);
    await say(waiting);
    const gone = await ended(soon), sent = await ended(far);
    fact('a downlink whose time is over expires, in words', gone?.state === 'expired' && gone.reason.length > 0, gone);
    fact('one whose time is not over is sent', sent && sent.state !== 'expired', sent);
    move(0);
    const kept = await post(600);
    move(-HOUR_S);
    await say(waiting);
    const back = await ended(kept);
    fact('a clock set back expires nothing', back && back.state !== 'expired', back);
    move(0);
    const day = await post(DAY_S);
    move(400 * DAY_S);
    await say(waiting);
    const late = await ended(day);
    fact('400 days on, a day is over', late?.state === 'expired', late);
}

async function silences() {
    section('silence');
    move(0);
    await say(still);
    fact('a device that was heard works', await becomes(still, 'works'), await deviceOf(still));
    move(HOUR_S);
    fact('an hour on it is silent', await becomes(still, 'silent'), await deviceOf(still));
    const found = (await daemon.json('/v1/findings')).findings.find((f) => f.subject.id === still.dev_eui && f.kind === 'device_silent');
    fact('and found to be', found, (await daemon.json('/v1/findings')).findings.map((f) => `${f.kind} ${f.subject.id}`));
    await say(still);
    fact('until it is heard', await becomes(still, 'works'), await deviceOf(still));
    move(400 * DAY_S);
    await say(still);
    fact('400 days on, too', await becomes(still, 'works'), await deviceOf(still));
    move(0);
    fact('a clock that comes back does not leave it working for 400 days', await becomes(still, 'silent'), await deviceOf(still));
    await say(still);
    fact('heard again, it works again', await becomes(still, 'works'), await deviceOf(still));
    fact('and was heard now', await until(async () => near((await deviceOf(still)).last_heard), 30000, 50), await deviceOf(still));
    move(HOUR_S);
    fact('and an hour later it is silent', await becomes(still, 'silent'), await deviceOf(still));
    move(0);
}

async function judgements() {
    section('judgement');
    const flag = async () => (await deviceOf(judged)).values.find((v) => v.attr === 'waterLevel');
    move(400 * DAY_S);
    await say(judged, 1.0);
    const first = await flag();
    same('the first value is believed', [first.value, first.flag], [1, '']);
    move(0);
    await say(judged, 3.0);
    const second = await flag();
    same('no change is too quick when the clock went back', [second.value, second.flag], [3, '']);
    await say(judged, 8.0);
    same('a leap is a leap again after that', (await flag()).flag, '&');
}

/* Ids are given once, whatever the clock says: two downlinks under one id would be one row. */
async function ids() {
    section('ids');
    move(400 * DAY_S);
    city.up = false;                                      /* nothing but downlinks takes ids now */
    await sleep(300);
    for (let i = 0; i < 3; i++) await post(DAY_S);
    const before = (await list()).map((d) => d.id), last = Math.max(...before);
    await city.end();
    move(0);
    await daemon.start();
    const next = [await post(DAY_S), await post(DAY_S)];
    fact('ids of downlinks rise over a start with the clock set back', next[0] > last && next[1] > next[0], { last, next });
    same('and each is a row of its own', (await list()).length, before.length + 2);
    await daemon.kill();
    await city.begin();
}

/* ------------------------------------------------------------------ the test */

console.log(`clock: seed ${SEED}`);
await run(async () => {
    const { MAKEFLAGS, MFLAGS, MAKELEVEL, ...env } = process.env;
    execFileSync('make', ['-s', `V=${path.relative(ROOT, path.dirname(PROGRAM))}`, path.relative(ROOT, SHIM)], { cwd: ROOT, env });
    await city.settle();
    for (const d of silent) await say(d, 1, { fopts: '09' });
    const speakers = speaking.map((d) => city.speak(d));
    for (const [words, at] of [['as it is', 0], ['an hour on', HOUR_S], ['back', 0], ['an hour back', -HOUR_S], ['right again', 0],
        ['400 days on', 400 * DAY_S], ['and back', 0], ['2038-01-19 03:14:06', null], ['2040', 14 * 365 * DAY_S], ['and right', 0]]) {
        move(at ?? to2038() - 2);
        await look(words);
    }
    await expiries();
    await silences();
    await judgements();
    await ids();
    for (const [words, at] of [['a start an hour on', HOUR_S], ['a start an hour back', -HOUR_S], ['a start 400 days on', 400 * DAY_S], ['a start after 2038', to2038() + HOUR_S], ['a start at the right time', 0]]) {
        await restart(at);
        await look(words);
    }
    for (const d of city.devices) d.stop = true;
    await Promise.all(speakers);
    await city.judge();
    same('every downlink belongs to a window of its uplink and comes before it', windows.wrong.slice(0, 5), []);
    fact('downlinks were looked at', windows.n > 50, windows.n);
    same('DeviceTimeAns is what the clock says', times.wrong.slice(0, 5), []);
    fact('and was asked for', times.n > 10, times.n);
    await city.replayAll();
    await city.joinAgain();
    city.pulling = false;
    await city.lookInside();
    console.log(`clock: ${moves.length} jumps, ${city.life} lives, ${city.truth.acked.size} frames acknowledged, ${windows.n} downlinks in their windows, ${times.n} DeviceTimeAns; seed ${SEED}`);
}, async () => {
    city.close();
    if (daemon.alive) await daemon.kill();
    closeSync(fd);
});
