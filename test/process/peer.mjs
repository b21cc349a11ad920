// SPDX-License-Identifier: Apache-2.0
/*
 * The real program with a peer that we did not write: lora-packet makes every frame that goes in and
 * reads every frame that comes out, over real sockets. What people and programs see of it is asked
 * from the API.
 *
 *     node peer.mjs [-v]        HOTARU=program
 */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { Daemon, ROOT, Stream } from './daemon.mjs';
import { Device } from './device.mjs';
import { Gateway } from './gateway.mjs';
import { fact, run, same, section, sleep, until } from './facts.mjs';

const key = (n) => `9b7de21fc4083a5516af82d0e76b${n.toString(16).padStart(4, '0')}`;
const device = (n, profile, name) => new Device({ dev_eui: `70B3D57ED0D0${n.toString(16).padStart(4, '0')}`, app_key: key(n), profile, name });

const daemon = new Daemon({ args: ['--profiles', path.join(ROOT, 'test/process/profiles')] });
const open = new Daemon({ dev: false });
const A = new Gateway(daemon, 'B0000000000000A1', { offset_us: 4294967296 - 3e6 });        /* its clock wraps during the test */
const B = new Gateway(daemon, 'B0000000000000A2');
const C = new Gateway(daemon, 'B0000000000000A3');
const stranger = new Gateway(daemon, 'B0000000000000FF');
const river = device(1, 'hotaru-river-level', '神通川 大沢野');
const level = device(2, 'test-level', '水位 二');
const snow = device(3, 'hotaru-snow-pump', '消雪 一番町');
const bag = device(4, 'hotaru-bag-tracker', 'かばん');
const quiet = device(5, 'test-none', 'raw');
const second = device(6, 'test-level', '水位 六');
const everyone = [river, level, snow, bag, quiet, second];

const GATEWAY_HEAD = 'gateway_eui,name,latitude,longitude,altitude_m,region,simulated';
const DEVICE_HEAD = 'dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated';
const entityOf = (d, type) => `urn:ngsi-ld:${type}:${d.dev_eui.toLowerCase()}`;
const iso = (ms) => new Date(ms).toISOString();

/* The first downlink at any gateway since `from` that the device can read. */
const downs = () => [...A.downs, ...B.downs, ...C.downs].sort((x, y) => x.at - y.at);
async function downFor(d, already, ms = 2500) {
    return until(() => downs().slice(already).map((down) => ({ down, f: down.phy[0] >> 5 === 1 ? null : d.read(down.phy) })).find((x) => x.f), ms);
}
const marks = () => downs().length;

/* ------------------------------------------------------------------ enrolment */

async function enrolment() {
    section('enrolment');
    const gateways = [GATEWAY_HEAD, ...[A, B, C].map((g, i) => `${g.name},役所${i},36.7,137.2,12,AS923-1,0`)];
    let r = (await daemon.importTable('gateways', gateways, '?dry_run=1')).json();
    same('a dry run counts', [r.rows, r.created, r.updated, r.dry_run, r.errors], [3, 3, 0, true, []]);
    same('and leaves nothing behind', (await daemon.json('/v1/gateways')).gateways.length, 0);
    r = (await daemon.importTable('gateways', gateways)).json();
    same('gateways are created', [r.rows, r.created, r.updated], [3, 3, 0]);
    r = (await daemon.importTable('gateways', gateways)).json();
    same('the same table again updates', [r.rows, r.created, r.updated], [3, 0, 3]);

    const bad = [DEVICE_HEAD, river.row(),
        level.row().replace(level.app_key, '00112233445566778899AABBCCDDEEFF'),                 /* line 3: counts up */
        snow.row().replace('hotaru-snow-pump', 'no-such-profile'),                              /* line 4 */
        '', bag.row().replace(bag.dev_eui, '70B3'),                                             /* line 6 */
        quiet.row(), quiet.row(),                                                               /* line 8: twice */
        second.row().replace('36.7', '96.7')];                                                  /* line 9 */
    const wrong = await daemon.importTable('devices', bad);
    same('a table with mistakes is refused', wrong.status, 422);
    same('each mistake by its line and column', wrong.json().errors.map((e) => `${e.line} ${e.column}`),
        ['3 app_key', '4 profile', '6 dev_eui', '8 dev_eui', '8 app_key', '9 latitude']);
    fact('in two languages', wrong.json().errors.every((e) => /[ぁ-ん]/.test(e.ja) && /^[\x20-\x7e]+$/.test(e.en)));
    same('and nothing of it is kept', (await daemon.json('/v1/devices')).total, 0);
    for (const [what, body, words] of [
        ['an unclosed quote', `${DEVICE_HEAD}\n"${river.row()}\n`, /quote/],
        ['Shift_JIS', Buffer.concat([Buffer.from(`${DEVICE_HEAD}\n70B3D57ED0D00001,70B3D57ED0FFFFFF,${key(1)},,`), Buffer.from('90CC92CA90EC', 'hex'), Buffer.from(',hotaru-river-level,,,0\n')]), /UTF-8/],
        ['a NUL', `${DEVICE_HEAD}\n${river.row()}\0\n`, /NUL/],
        ['an unknown column', `${DEVICE_HEAD},colour\n${river.row()},red\n`, /not known/],
        ['an empty body', '', /empty/],
        ['65 columns', `${'a,'.repeat(64)}b\n`, /columns/],
    ]) {
        const answer = await daemon.post('/v1/import/devices', body);
        fact(`${what} refuses the table in words`, answer.status === 422 && words.test(answer.json().errors.map((e) => e.en).join()), answer.text);
    }
    same('still nothing', (await daemon.json('/v1/devices')).total, 0);
    /* As a spreadsheet writes it: a byte order mark, CRLF, semicolons. */
    const sheet = Buffer.from('\ufeff' + [DEVICE_HEAD, ...everyone.map((d) => d.row())].join('\r\n').replaceAll(',', ';') + '\r\n');
    r = (await daemon.post('/v1/import/devices', sheet)).json();
    same('a spreadsheet’s own table is read', [r.rows, r.created, r.errors], [everyone.length, everyone.length, []]);
    const page = await daemon.json(`/v1/devices/${river.dev_eui}`);
    same('the device is there, never heard', [page.name, page.state, page.last_heard, page.dev_addr], [river.name, 'never', null, null]);
    fact('no answer ever shows a key', ![...everyone].some((d) => JSON.stringify(page).toLowerCase().includes(d.app_key)));
}

async function strangers() {
    section('gateways');
    same('PULL_DATA is acknowledged with its token', await Promise.all([A.pull(), B.pull()]), [true, true]);
    same('a gateway that is not registered hears nothing', [await stranger.pull({ ms: 150 }), await stranger.hear(Buffer.alloc(12), {}, { ms: 150 })], [false, false]);
    const seen = await until(async () => (await daemon.json('/v1/gateways')).unknown.find((g) => g.eui === stranger.name), 5000, 100);
    fact('but is listed, to be enrolled', seen && seen.datagrams === 2, seen);
}

/* ------------------------------------------------------------------ join */

async function joins() {
    section('join');
    const sent = new Map();
    for (const [i, d] of everyone.entries()) {
        if (i && i % 2 === 0) await sleep(600);                 /* two gateways, one answer each in the air at a time */
        const phy = d.joinRequest(300 + i);
        const [near, far] = i % 2 ? [A, B] : [B, A];
        const tmst = { [near.name]: near.tmst(), [far.name]: far.tmst() };
        sent.set(d, { near, tmst, at: Date.now(), phy });
        same('a join-request is acknowledged', await Promise.all([near.hear(phy, { lsnr: 9, tmst: tmst[near.name] }), far.hear(phy, { lsnr: -11, tmst: tmst[far.name] })]), [true, true]);
    }
    for (const d of everyone) {
        const down = await until(() => downs().find((x) => x.phy[0] >> 5 === 1 && d.readAccept(x.phy)), 6000);
        if (!fact('lora-packet opens the join-accept', down)) continue;
        const t = down.txpk, s = sent.get(d), accept = d.takeAccept(down.phy);
        same('it leaves by the gateway that heard best, 5 s after the request on that gateway’s clock',
            [down.gateway.name, t.tmst], [s.near.name, (s.tmst[s.near.name] + 5000000) % 4294967296]);
        same('in RX1: the channel and the data rate of the request', [t.freq, t.datr, t.modu, t.codr], [923.2, 'SF10BW125', 'LORA', '4/5']);
        same('as a downlink is sent', [t.ipol, t.imme, t.ncrc, t.size, t.rfch], [true, false, true, down.phy.length, 0]);
        fact('within what the law allows', t.powe <= 13, t.powe);
        same('RxDelay is the profile’s', accept.rx_delay, d.profile.startsWith('test') ? 1 : 5);
        same('RX2 is AS923’s', [accept.rx1_offset, accept.rx2_dr], [0, 2]);
        same('the CFList names Japan’s further channels', Array.from({ length: 5 }, (_, n) => accept.cflist.readUIntLE(3 * n, 3) / 10000), [922.8, 923, 922.6, 922, 922.2]);
        fact('NetID 0: the address begins with seven zero bits', accept.devaddr[0] < 2, accept.devaddr.toString('hex'));
    }
    same('one answer for each join, however many heard it', downs().filter((x) => x.phy[0] >> 5 === 1).length, everyone.length);
    const before = await daemon.metrics();
    await A.hear(sent.get(river).phy);
    const after = await daemon.metrics();
    same('the same request again is no second join', after.hotaru_joins_total - before.hotaru_joins_total, 0);
}

/* Each is told what its radio shall do, does it, and hears that its answer came: then nothing more is owed. */
async function settle(devices) {
    section('parameters');
    await Promise.all(devices.map(async (d) => {
        let at = marks();
        await B.hear(d.up(undefined, { port: null }));
        const x = await downFor(d, at, 6000);
        same('a device is told its power, its dwell time and its eighth channel', x && x.f.fopts, '0903070740bf8c50');
        at = marks();
        await B.hear(d.up(undefined, { port: null, fopts: '090703' }));
        const y = await downFor(d, at, 6000);
        same('and its answer, which it repeats until then, is answered', y && y.f.fopts, '');
    }));
    await sleep(1500);                                          /* the last answer is off the air */
}

/* ------------------------------------------------------------------ the way of a reading */

async function readings() {
    section('readings');
    const began = Date.now();
    const phy = river.up(Buffer.from([0x04, 0xd2, 90]));
    same('an uplink is acknowledged', await A.hear(phy, { freq: 922.4, time: iso(began) }), true);
    const entity = await daemon.get(`/ngsi-ld/v1/entities/${entityOf(river, 'WaterObserved')}`);
    same('its entity is there when the acknowledgement is', entity.status, 200);
    const e = entity.json();
    same('with value, unit and quality', [e.type, e.waterLevel?.value, e.waterLevel?.unitCode, e.batteryLevel?.value], ['WaterObserved', 1.234, 'MTR', 90]);
    fact('observed when it was heard', Math.abs(Date.parse(e.waterLevel.observedAt) - began) < 3000, e.waterLevel.observedAt);
    same('keyValues', (await daemon.json(`/ngsi-ld/v1/entities/${entityOf(river, 'WaterObserved')}?options=keyValues`)).waterLevel, 1.234);
    const list = await daemon.get('/ngsi-ld/v1/entities?type=WaterObserved&count=true&limit=10');
    same('the query finds and counts it', [list.headers['ngsild-results-count'], list.json().length], ['1', 1]);
    const value = async (d, attr) => (await daemon.json(`/v1/devices/${d.dev_eui}`)).values.find((v) => v.attr === attr);
    same('the page shows the same', [(await value(river, 'waterLevel')).value, (await value(river, 'waterLevel')).flag], [1.234, '']);

    await A.hear(river.up(Buffer.from([0x4e, 0x20, 90])));                                    /* 20 m: no river is that deep */
    const high = await value(river, 'waterLevel');
    same('a value out of range is kept and flagged', [high.value, high.flag], [20, '!']);
    fact('with the reason in words', high.reason.length > 0, high.reason);
    await A.hear(river.up(Buffer.from([0x0d, 0x48, 90])));                                    /* 3.4 m: two metres in a moment */
    same('a leap is kept and flagged', [(await value(river, 'waterLevel')).value, (await value(river, 'waterLevel')).flag], [3.4, '&']);

    const many = river.up(Buffer.from([0x04, 0xd8, 89]));
    const before = await daemon.metrics();
    await Promise.all([A.hear(many, { lsnr: 3 }), B.hear(many, { lsnr: -2 }), C.hear(many, { lsnr: 8 }), B.hear(many, { lsnr: -2 }), C.hear(many, { lsnr: 1, ant: 1 })]);
    const after = await until(async () => { const m = await daemon.metrics(); return m.hotaru_copies_total === before.hotaru_copies_total + 4 && m; }, 5000) || await daemon.metrics();
    same('three gateways and two repetitions are one event', after.hotaru_uplinks_total - before.hotaru_uplinks_total, 1);
    const frame = await until(async () => {
        const f = (await daemon.json(`/v1/devices/${river.dev_eui}/frames?limit=5`)).frames.find((x) => x.direction === 'up' && x.fcnt === river.fcnt - 1);
        return f?.copies.length === 3 && f;
    }, 2000, 50);
    fact('that names its three gateways', frame && new Set(frame.copies.map((c) => c.gateway)).size === 3, frame);
    same('and how it stood in the air', [frame.fport, frame.size, frame.dr, frame.freq_hz, frame.confirmed], [2, 3, 2, 923200000, false]);
}

async function scripts() {
    section('codecs');
    await B.hear(snow.up(Buffer.from([3, 0x0f, 0xa1, 0x05, 0xdc, 0xff, 0xe7, 0x01, 0x2c, 88])));
    const e = await until(async () => {
        const rs = await daemon.get(`/ngsi-ld/v1/entities/${entityOf(snow, 'SnowMeltingDevice')}?options=keyValues`);
        return rs.status === 200 && rs.json();
    }, 5000, 50);
    same('a JavaScript codec’s answer becomes an entity', e && [e.pumpStatus, e.snowfall, e.pressure, e.current, e.temperature, e.waterTable], ['on', true, 400.1, 15, -2.5, 3]);
    const before = await daemon.metrics();
    await B.hear(snow.up(Buffer.from([1, 2, 3])));
    const why = await until(async () => (await daemon.metrics()).drops.DROP_CODEC > before.drops.DROP_CODEC, 8000, 50);
    fact('what the codec cannot read is counted', why);
    const told = await daemon.json(`/v1/devices/${snow.dev_eui}/why`);
    fact('and the device’s page says why', JSON.stringify(told).includes('expected 10'), told);
    await B.hear(quiet.up(Buffer.from('fe01', 'hex')));
    const page = await until(async () => { const p = await daemon.json(`/v1/devices/${quiet.dev_eui}`); return p.state === 'works' && p; }, 8000, 30);
    same('a device without a codec is heard all the same', page && [page.entity, page.values], [null, []]);
}

/* ------------------------------------------------------------------ what goes back */

async function answers() {
    section('downlinks');
    let at = marks();
    const [ta, tb] = [A.tmst(), B.tmst()];
    let phy = level.up(Buffer.from([0x04, 0x00, 80]), { confirmed: true });
    await Promise.all([A.hear(phy, { lsnr: -3, freq: 922.8, datr: 'SF9BW125', tmst: ta }), B.hear(phy, { lsnr: 6, freq: 922.8, datr: 'SF9BW125', tmst: tb })]);
    let x = await downFor(level, at);
    if (!fact('a confirmed uplink is answered', x)) return;
    same('by the gateway that heard best, one second later on its clock', [x.down.gateway.name, x.down.txpk.tmst], [B.name, (tb + 1000000) % 4294967296]);
    same('in RX1', [x.down.txpk.freq, x.down.txpk.datr], [922.8, 'SF9BW125']);
    same('with ACK, the first counter and lora-packet’s MIC', [x.f.ack, x.f.fcnt, x.f.mic, x.f.port, x.f.confirmed], [true, 0, true, null, false]);
    same('an AS923 device is told the dwell time of its country', x.f.fopts.slice(0, 2), '09');

    at = marks();
    await A.hear(phy, { tmst: A.tmst() });                                                     /* a copy: the window is closed, the frame is known */
    await sleep(350);
    same('a late copy is not answered', marks() - at, 0);

    phy = level.up(Buffer.from([0x04, 0x01, 80]), { confirmed: true, fopts: '090703' });
    await A.hear(phy);
    x = await downFor(level, at);
    same('the next answer takes the next counter, and asks no more for what was answered', x && [x.f.ack, x.f.fcnt, x.f.mic, x.f.fopts], [true, 1, true, '']);

    at = marks();
    await A.hear(level.up(Buffer.from([0x04, 0x02, 80])));
    await sleep(350);
    same('an unconfirmed uplink to which nothing is owed is not answered', marks() - at, 0);

    at = marks();
    phy = level.up(Buffer.from([0x04, 0x03, 80]), { fopts: '020d' });
    const began = Date.now();
    await Promise.all([A.hear(phy, { lsnr: 7.5, time: '9999-12-31T23:59:59Z' }), B.hear(phy, { lsnr: -4 })]);   /* a clock that nobody believes */
    x = await downFor(level, at);
    const fopts = x ? Buffer.from(x.f.fopts, 'hex') : Buffer.alloc(9);
    same('LinkCheckAns: margin over SF10’s −15 dB, two gateways', [...fopts.subarray(0, 3)], [2, 22, 2]);
    const gps = fopts.readUInt32LE(4) + 315964800 - 18;
    fact('DeviceTimeAns: GPS time at the end of the uplink', fopts[3] === 0x0d && Math.abs(gps * 1000 - began) < 2500, `${fopts.toString('hex')}: ${gps - began / 1000} s away`);

    at = marks();
    const before = await daemon.metrics();
    await A.hear(level.up(Buffer.from([0x02]), { port: 0 }));
    x = await downFor(level, at);
    same('MAC commands on port 0 are answered', x && [x.f.fopts.slice(0, 2), x.f.mic], ['02', true]);
    same('and are no reading', (await daemon.metrics()).hotaru_readings_total - before.hotaru_readings_total, 0);

    at = marks();
    await A.hear(level.up(undefined, { port: null, confirmed: true }));
    x = await downFor(level, at);
    same('a confirmed frame without a port is answered', x && [x.f.ack, x.f.mic], [true, true]);
    fact('no counter was used twice', new Set(downs().map((d) => level.session && level.read(d.phy)).filter(Boolean).map((f) => f.fcnt)).size ===
        downs().map((d) => level.read(d.phy)).filter(Boolean).length);
}

const queue = async (d, body) => (await daemon.post(`/v1/devices/${d.dev_eui}/downlinks`, body));
const stateOf = async (d, id) => (await daemon.json(`/v1/devices/${d.dev_eui}/downlinks`)).downlinks.find((x) => x.id === id);
const settled = (d, id, states) => until(async () => { const s = await stateOf(d, id); return states.includes(s?.state) && s; }, 4000, 30);

async function commands() {
    section('application downlinks');
    let at = marks();
    let r = await queue(level, { fport: 10, payload: '0102ff', confirmed: false });
    same('a downlink is queued', [r.status, r.json().state], [202, 'queued']);
    const first = r.json().id;
    const more = (await queue(level, { fport: 11, payload: '03', confirmed: true })).json().id;
    const t = B.tmst();
    await B.hear(level.up(Buffer.from([0x04, 0x04, 80])), { tmst: t, freq: 923.4, datr: 'SF7BW125' });
    let x = await downFor(level, at);
    same('it leaves in RX1 of the gateway that heard the device', x && [x.down.gateway.name, x.down.txpk.tmst, x.down.txpk.freq, x.down.txpk.datr], [B.name, (t + 1000000) % 4294967296, 923.4, 'SF7BW125']);
    same('lora-packet reads what was asked for', x && [x.f.port, x.f.payload.toString('hex'), x.f.mic, x.f.confirmed], [10, '0102ff', true, false]);
    same('FPending: another one waits', x && x.f.pending, true);
    let s = await settled(level, first, ['accepted']);
    same('TX_ACK makes it accepted', s && [s.state, s.gateway, s.fcnt], ['accepted', B.name, x.f.fcnt]);

    at = marks();
    await B.hear(level.up(Buffer.from([0x04, 0x05, 80])));
    x = await downFor(level, at);
    same('the next uplink brings the next one, confirmed', x && [x.f.port, x.f.payload.toString('hex'), x.f.confirmed, x.f.pending], [11, '03', true, false]);
    await settled(level, more, ['accepted']);
    await B.hear(level.up(Buffer.from([0x04, 0x06, 80]), { ack: true }));
    fact('the device’s ACK makes it confirmed', await settled(level, more, ['confirmed']), await stateOf(level, more));

    const unheard = (await queue(level, { fport: 12, payload: '04', confirmed: true })).json().id;
    await B.hear(level.up(Buffer.from([0x04, 0x07, 80])));
    await settled(level, unheard, ['accepted']);
    await B.hear(level.up(Buffer.from([0x04, 0x08, 80])));
    fact('an uplink without ACK makes it failed', await settled(level, unheard, ['failed']), await stateOf(level, unheard));

    for (const [body, status] of [[{ fport: 0, payload: '00' }, 400], [{ fport: 224, payload: '00' }, 400], [{ fport: 10, payload: '0' }, 400], [{ fport: 10, payload: 'zz' }, 400],
        [{ fport: 10 }, 400], [{ payload: '00' }, 400], [{ fport: 10, payload: '00'.repeat(243) }, 413], [{ fport: 10, payload: '00', expires_s: 0 }, 400], ['{"fport":', 400]])
        same(`refused: ${JSON.stringify(body).slice(0, 40)}`, (await queue(level, body)).status, status);
    same('a device that is not there', (await daemon.post('/v1/devices/70B3D57ED0DFFFFF/downlinks', { fport: 1, payload: '00' })).status, 404);
}

async function refusals() {
    section('what gateways refuse');
    let at = marks();
    const tries = [];
    const says = (words) => (down) => { if (second.read(down.phy)) { tries.push([down.gateway.name, down.txpk.tmst, down.txpk.freq, down.phy.toString('hex')]); return words; } return undefined; };
    await A.hear(second.up(Buffer.from([4, 0, 80])));
    await sleep(300);
    A.answer = says('TOO_LATE');
    B.answer = says(undefined);
    let id = (await queue(second, { fport: 20, payload: 'aa' })).json().id;
    let [ta, tb] = [A.tmst(), B.tmst()];
    let phy = second.up(Buffer.from([4, 1, 80]));
    await Promise.all([A.hear(phy, { lsnr: 9, tmst: ta, freq: 922.6 }), B.hear(phy, { lsnr: -9, tmst: tb, freq: 922.6 })]);
    let s = await settled(second, id, ['accepted', 'failed', 'unknown']);
    same('TX_ACK with an error: RX2 of the same gateway, then the other gateway', tries.map((t) => t.slice(0, 3)),
        [[A.name, (ta + 1e6) % 2 ** 32, 922.6], [A.name, (ta + 2e6) % 2 ** 32, 923.2], [B.name, (tb + 2e6) % 2 ** 32, 923.2]].slice(0, tries.length));
    fact('until one takes it', tries.length === 3 && s?.state === 'accepted' && s.gateway === B.name, [tries.length, s]);
    same('the same bytes every time: one counter, one ciphertext', new Set(tries.map((t) => t[3])).size, 1);

    A.answer = B.answer = says('COLLISION_PACKET');
    id = (await queue(second, { fport: 20, payload: 'bb' })).json().id;
    await A.hear(second.up(Buffer.from([4, 2, 80])));
    s = await settled(second, id, ['failed']);
    fact('refused everywhere: failed, with the gateway’s word', s && /COLLISION_PACKET/.test(s.reason), s);

    A.answer = B.answer = says(null);
    id = (await queue(second, { fport: 20, payload: 'cc' })).json().id;
    await A.hear(second.up(Buffer.from([4, 3, 80])));
    s = await settled(second, id, ['unknown']);
    fact('no TX_ACK: unknown, and it is said', s && /did not answer/.test(s.reason), s);

    const before = await daemon.metrics();
    for (const [g, token] of [[A, 0x1234], [B, 0x4321]]) g.send(Buffer.concat([g.head(5, token), g.eui]), g.down);
    await until(async () => (await daemon.metrics()).drops.DROP_TXACK >= before.drops.DROP_TXACK + 2, 5000);
    same('TX_ACKs that nobody asked for are refused', (await daemon.metrics()).drops.DROP_TXACK - before.drops.DROP_TXACK, 2);

    A.answer = (down) => (second.read(down.phy) ? 'NONE' : undefined);                         /* forwarders before v1.5 */
    id = (await queue(second, { fport: 20, payload: 'dd' })).json().id;
    await A.hear(second.up(Buffer.from([4, 4, 80])));
    fact('the old word for “taken” is understood', await settled(second, id, ['accepted']), await stateOf(second, id));
    A.answer = B.answer = () => undefined;

    at = marks();
    id = (await queue(second, { fport: 21, payload: 'ee' })).json().id;
    phy = second.up(Buffer.from([4, 5, 80]));
    await Promise.all([C.hear(phy, { lsnr: 10 }), A.hear(phy, { lsnr: -10 })]);
    const x = await downFor(second, at);
    same('a gateway that never asked for downlinks gets none: the next best does', x && x.down.gateway.name, A.name);

    id = (await queue(second, { fport: 22, payload: '01', expires_s: 1 })).json().id;
    await sleep(1100);
    await A.hear(second.up(Buffer.from([4, 6, 80])));
    fact('past its time it expires', await settled(second, id, ['expired']), await stateOf(second, id));
}

/* ------------------------------------------------------------------ people */

async function personal() {
    section('personal devices');
    const change = await new Stream(daemon, '/v1/stream?kind=change').start();
    const uplinks = await new Stream(daemon, '/v1/stream?kind=uplink').start();
    const where = Buffer.alloc(9);
    where.writeInt32BE(367123456, 0);
    where.writeInt32BE(1372345678, 4);
    where[8] = 77;
    await A.hear(bag.up(where));
    const page = await until(async () => { const p = await daemon.json(`/v1/devices/${bag.dev_eui}`); return p.battery_pct === 77 && p; }, 8000, 30);
    same('its battery is shown', page && page.battery_pct, 77);
    same('and nothing that it read', [page.personal, page.values, page.lat, page.lon, page.entity], [true, [], null, null, null]);
    await until(() => uplinks.events.length, 8000);
    same('the stream of uplinks says only that it spoke', uplinks.events.map((e) => [e.data.personal, e.data.gateway, e.data.rssi_dbm, e.data.fport]), [[true, null, null, null]]);
    same('there is no change to stream', change.events.length, 0);
    change.stop(), uplinks.stop();
    same('no entity is made', (await daemon.json('/ngsi-ld/v1/entities?limit=100&type=WaterObserved,SnowMeltingDevice')).filter((e) => JSON.stringify(e).toLowerCase().includes(bag.dev_eui.toLowerCase())).length, 0);
    const frames = (await daemon.json(`/v1/devices/${bag.dev_eui}/frames`)).frames;
    fact('its frames have no size, no port and no gateway', frames.length > 0 && frames.every((f) => f.size === null && f.fport === null && f.copies.length === 0), frames);
    const places = ['/v1/map', '/v1/devices?limit=100', '/v1/findings', '/v1/city', `/v1/devices/${bag.dev_eui}`, `/v1/devices/${bag.dev_eui}/frames`, `/v1/devices/${bag.dev_eui}/why`,
        `/v1/devices/${bag.dev_eui}/series?attr=latitude`, '/metrics', '/ngsi-ld/v1/entities?type=WaterObserved&limit=100', '/v1/stream'];
    const leak = /36\.712|137\.234|367123456|1372345678|15e1d6c0|51cc1ece/i;
    const leaks = [];
    for (const p of places.slice(0, -1)) if (leak.test((await daemon.get(p)).text)) leaks.push(p);
    same('where it was appears on no page', leaks, []);
    same('nor in the log', leak.test(daemon.log), false);
}

/* ------------------------------------------------------------------ history and streams */

async function history() {
    section('history');
    const at = [];
    for (let i = 0; i < 5; i++) {
        await sleep(20);
        await A.hear(level.up(Buffer.from([0x05, i, 80])));
        at.push(Date.now());
        await sleep(20);
    }
    const id = entityOf(level, 'WaterObserved'), values = [0, 1, 2, 3, 4].map((i) => (0x500 + i) / 1000);
    const from = iso(at[0] + 1), to = iso(at[3] + 1);
    const temporal = await daemon.get(`/ngsi-ld/v1/temporal/entities/${id}?timerel=between&timeAt=${from}&endTimeAt=${to}&attrs=waterLevel&options=temporalValues`);
    const simple = temporal.status === 200 ? temporal.json() : {};
    const got = (simple.waterLevel?.values || simple.waterLevel || []).map((v) => (Array.isArray(v) ? v[0] : v.value));
    same('between two times stands what was heard between them', [...got].sort(), values.slice(1, 4));
    same('and only the attribute that was asked for', Object.keys(simple).filter((k) => !['id', 'type', '@context', 'waterLevel'].includes(k)), []);
    const series = await daemon.json(`/v1/devices/${level.dev_eui}/series?attr=waterLevel&from=${from}&to=${to}`);
    same('the series says the same, oldest first', [series.unit, series.points.map((p) => p[1])], ['MTR', values.slice(1, 4)]);
    same('a range that is turned round is refused', (await daemon.get(`/ngsi-ld/v1/temporal/entities/${id}?timerel=between&timeAt=${to}&endTimeAt=${from}`)).status, 400);
    same('an entity that is not there', (await daemon.get('/ngsi-ld/v1/entities/urn:ngsi-ld:WaterObserved:none')).status, 404);
}

async function streams() {
    section('streams');
    const s = new Stream(daemon, '/v1/stream?kind=uplink');
    await s.start();
    same('server-sent events', [s.status, s.type.split(';')[0]], [200, 'text/event-stream']);
    const say = async (n) => { for (let i = 0; i < n; i++) await A.hear(level.up(Buffer.from([0x05, 0x10, 80]))); };
    await say(3);
    await until(() => s.events.length === 3, 8000);
    same('each uplink, as it is stored', s.events.map((e) => e.data.fcnt), [level.fcnt - 3, level.fcnt - 2, level.fcnt - 1]);
    fact('id and data agree, and rise', s.events.every((e, i) => Number(e.id) === e.data.id && (i === 0 || e.data.id > s.events[i - 1].data.id)));
    s.stop();
    await say(4);
    const middle = s.last;
    await s.start();
    await until(() => s.events.length === 7, 8000);
    same('with Last-Event-ID it goes on where it was: nothing lost, nothing twice', s.events.map((e) => e.data.fcnt), Array.from({ length: 7 }, (_, i) => level.fcnt - 7 + i));
    s.stop();
    const since = new Stream(daemon, `/v1/stream?kind=uplink&since=${middle}`);
    await since.start();
    await until(() => since.events.length === 4, 8000);
    same('since= is the same for those who cannot send headers', since.events.length, 4);
    since.stop();
    const change = new Stream(daemon, '/v1/stream');
    await change.start();
    await A.hear(level.up(Buffer.from([0x05, 0x11, 79])));
    await until(() => change.events.length, 8000);
    const c = change.events[0];
    same('changes carry what changed', c && [c.event, c.data.entity, c.data.device, c.data.attrs.waterLevel.value, c.data.attrs.waterLevel.unit, c.data.attrs.batteryLevel.value],
        ['change', entityOf(level, 'WaterObserved'), level.dev_eui, 1.297, 'MTR', 79]);
    change.stop();
    same('a kind that does not exist', (await daemon.get('/v1/stream?kind=all')).status, 400);
    const many = await Promise.all(Array.from({ length: 40 }, () => new Stream(daemon, '/v1/stream?kind=uplink').start()));
    await A.hear(level.up(Buffer.from([0x05, 0x12, 79])));
    await until(() => many.every((m) => m.events.length === 1), 8000);
    same('forty listeners hear the same', many.filter((m) => m.events.length === 1).length, 40);
    for (const m of many) m.stop();
}

/* ------------------------------------------------------------------ who may */

async function access() {
    section('access');
    await open.start();
    const token = readFileSync(path.join(open.dir, 'admin.token'), 'utf8').trim();
    same('the first key is for the daemon’s user only', statSync(path.join(open.dir, 'admin.token')).mode & 0o777, 0o600);
    const auth = (t) => ({ headers: { Authorization: `Bearer ${t}` } });
    const closed = await open.get('/v1/city');
    same('without a key there is no reading', [closed.status, closed.headers['www-authenticate'], closed.headers['content-type']], [401, 'Bearer', 'application/problem+json']);
    same('health is for everybody', (await open.get('/health')).status, 200);
    same('the screens too', (await open.get('/')).status, 200);
    same('with the key there is', (await open.get('/v1/city', auth(token))).status, 200);
    for (const [what, t] of [['a wrong key', `${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`], ['half a key', token.slice(0, 40)], ['no key', ''], ['a very long key', 'x'.repeat(8000)]])
        same(`${what} opens nothing`, (await open.get('/v1/city', auth(t))).status, 401);
    same('another scheme opens nothing', (await open.get('/v1/city', { headers: { Authorization: `Basic ${Buffer.from(`admin:${token}`).toString('base64')}` } })).status, 401);
    same('a tenant that does not exist', (await open.get('/v1/city', { headers: { ...auth(token).headers, 'NGSILD-Tenant': 'elsewhere' } })).status, 404);
    const routes = (await open.json('/v1/routes')).routes;
    const guarded = [];
    for (const r of routes.filter((x) => x.right !== 'public')) {
        const where = r.path.replace(':dev_eui', level.dev_eui).replace(':id', 'urn:x:y');
        const rs = await open.call(r.method, where, r.method === 'POST' ? { body: 'x' } : {});
        if (rs.status !== 401) guarded.push(`${r.method} ${where}: ${rs.status}`);
    }
    same('no route of the table answers without a key unless it is public', guarded, []);
    const imported = await open.post('/v1/import/gateways', `${GATEWAY_HEAD}\n${A.name},役所,,,,AS923-1,0\n`, auth(token));
    same('the key writes', imported.status, 200);
    same('the store keeps no key', readFileSync(path.join(open.dir, 'hotaru.db')).includes(token) || readFileSync(path.join(open.dir, 'hotaru.db-wal')).includes(token), false);
    same('405 names what the path takes', [(await daemon.call('DELETE', '/v1/city')).status, (await daemon.call('DELETE', '/v1/city')).headers.allow], [405, 'GET']);
    const outside = new Daemon({ address: '0.0.0.0' });
    let words = '';
    try { await outside.startOnce(); await outside.kill(); } catch (e) { words = String(e); }
    fact('--dev is refused on addresses that others reach', /machine only/.test(words), words);
    const another = new Daemon({ dir: open.dir });
    try { await another.startOnce(); words = 'started'; await another.kill(); } catch (e) { words = String(e); }
    fact('one folder, one daemon', /daemon ended/.test(words), words);
}

/* ------------------------------------------------------------------ the HTTP door against those who push */

async function smuggling() {
    section('HTTP');
    const status = (text) => Number(/^HTTP\/1\.[01] (\d+)/.exec(text)?.[1] || 0);
    const head = 'Host: x\r\nConnection: close\r\n';
    for (const [what, bytes, want] of [
        ['two Content-Length', `POST /v1/import/gateways HTTP/1.1\r\n${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`, [400]],
        ['two equal Content-Length', `POST /v1/import/gateways HTTP/1.1\r\n${head}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`, [400]],
        ['Content-Length and Transfer-Encoding', `POST /v1/import/gateways HTTP/1.1\r\n${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, [400]],
        ['Transfer-Encoding and Content-Length', `POST /v1/import/gateways HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`, [400]],
        ['two Transfer-Encoding', `POST /v1/import/gateways HTTP/1.1\r\n${head}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, [400]],
        ['a negative length', `POST /v1/import/gateways HTTP/1.1\r\n${head}Content-Length: -1\r\n\r\n`, [400, 0]],
        ['a length beyond 64 bits', `POST /v1/import/gateways HTTP/1.1\r\n${head}Content-Length: 99999999999999999999\r\n\r\n`, [400, 413, 0]],
        ['a length with a sign', `POST /v1/import/gateways HTTP/1.1\r\n${head}Content-Length: +5\r\n\r\nhello`, [400, 0]],
        ['a huge head', `GET /health HTTP/1.1\r\n${head}X: ${'a'.repeat(1 << 20)}\r\n\r\n`, [413, 431, 400, 0]],
        ['10,000 heads', `GET /health HTTP/1.1\r\n${head}${'X: a\r\n'.repeat(10000)}\r\n`, [413, 431, 400, 0]],
        ['a long address', `GET /${'a'.repeat(1 << 16)} HTTP/1.1\r\n${head}\r\n`, [414, 431, 413, 400, 0]],
        ['%00 in the address', `GET /v1/city%00/../../etc/passwd HTTP/1.1\r\n${head}\r\n`, [400]],
        ['/../', `GET /../../etc/passwd HTTP/1.1\r\n${head}\r\n`, [400]],
        ['%2e%2e%2f', `GET /%2e%2e%2f%2e%2e%2fetc/passwd HTTP/1.1\r\n${head}\r\n`, [400]],
        ['..%5c', `GET /..%5c..%5cwindows HTTP/1.1\r\n${head}\r\n`, [400]],
        ['bytes that are not UTF-8', `GET /%ff%fe HTTP/1.1\r\n${head}\r\n`, [400]],
        ['no version', `GET /health\r\n\r\n`, [400, 0, 505]],
        ['no words at all', `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n`, [400, 0]],
        ['no Host', `GET /health HTTP/1.1\r\nConnection: close\r\n\r\n`, [400]],
        ['a space before the colon', `GET /health HTTP/1.1\r\n${head}Content-Length : 5\r\n\r\n`, [400, 0]],
        ['a chunk without a size', `POST /v1/import/gateways HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n`, [400, 0]],
        ['a body above the limit', `POST /v1/devices/${level.dev_eui}/downlinks HTTP/1.1\r\n${head}Content-Length: 20000\r\n\r\n${'x'.repeat(20000)}`, [413]],
    ]) {
        const answer = await daemon.raw(Buffer.from(bytes, 'latin1'), 1500);
        fact(`${what}: refused`, want.includes(status(answer)), answer.slice(0, 200) || 'nothing');
        fact(`${what}: nothing of the machine in the answer`, !/root:|bin\/sh/.test(answer));
    }
    /* The second request must not be read out of the first one's body. */
    const two = await daemon.raw(`POST /v1/devices/x/downlinks HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/city HTTP/1.1\r\nHost: x\r\n\r\n`, 800);
    same('a smuggled request is never answered', (two.match(/HTTP\/1\.1 200/g) || []).length, 0);
    same('the daemon still answers', (await daemon.get('/health')).status, 200);
    same('three hundred parameters are refused', (await daemon.get(`/ngsi-ld/v1/entities?${'a=1&'.repeat(300)}`)).status, 400);
    fact('three thousand are not answered', status(await daemon.raw(`GET /ngsi-ld/v1/entities?${'a=1&'.repeat(3000)} HTTP/1.1\r\n${head}\r\n`, 500)) !== 200);
    same('a NUL in the request line brings no file', status(await daemon.raw(`GET /../etc/passwd\0.html HTTP/1.1\r\n${head}\r\n`)), 400);
}

/* ------------------------------------------------------------------ off and on again */

async function restart() {
    section('restart');
    const before = level.fcnt;
    const { code } = await daemon.kill('SIGTERM');
    same('told to stop, it stops in order', code, 0);
    await daemon.start();
    same('all devices are there', (await daemon.json('/v1/devices')).total, everyone.length);
    await A.pull();
    const at = marks();
    await A.hear(level.up(Buffer.from([0x05, 0x20, 78]), { confirmed: true }));
    const x = await downFor(level, at);
    const older = Math.max(...downs().slice(0, at).map((d) => (d.phy[0] >> 5 === 1 ? null : level.read(d.phy))).filter(Boolean).map((f) => f.fcnt));
    fact('sessions go on, with counters that were never used', x && x.f.mic && x.f.fcnt > older, x && [x.f.fcnt, older]);
    const page = await until(async () => { const p = await daemon.json(`/v1/devices/${level.dev_eui}`); return p.fcnt_up === before && p; }, 8000, 30);
    fact('the page counts on', page, (await daemon.json(`/v1/devices/${level.dev_eui}`)).fcnt_up);
    const was = await daemon.metrics();
    await A.hear(level.joinRequest(301));
    fact('a DevNonce is remembered over the years', await until(async () => (await daemon.metrics()).drops.DROP_DEVNONCE === was.drops.DROP_DEVNONCE + 1, 5000));
    /* A session is long: counters turn over their low sixteen bits. */
    let f = level.fcnt - 1;
    while (f < 65530) { f = Math.min(f + 16384, 65534); await A.hear(level.up(Buffer.from([0x05, 0x21, 78]), { fcnt: f })); }
    for (let i = 0; i < 4; i++) await A.hear(level.up(Buffer.from([0x05, 0x22, 78]), { fcnt: ++f }));
    same('FCnt 65535 is followed by 65536', (await until(async () => { const p = await daemon.json(`/v1/devices/${level.dev_eui}`); return p.fcnt_up === f && p; }, 8000, 30)).fcnt_up, 65538);
}

await run(async () => {
    for (const g of [A, B, C, stranger]) await g.open();
    await daemon.start();
    await enrolment();
    await strangers();
    await joins();
    await settle(everyone.filter((d) => d !== level));
    await readings();
    await scripts();
    await answers();
    await commands();
    await refusals();
    await personal();
    await history();
    await streams();
    await access();
    await smuggling();
    await restart();
}, async () => {
    for (const d of [daemon, open]) if (d.alive) await d.kill();
    for (const g of [A, B, C, stranger]) g.close();
});
