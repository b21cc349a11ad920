// SPDX-License-Identifier: Apache-2.0
/*
 * The door for gateways that run Basics Station, from outside: the WebSocket client is npm's `ws`, the frames are
 * lora-packet's, and what Station says and how is written here from its own sources (2.0.6), byte for byte where it
 * matters: an xtime above 2^53 must come back as it went.
 *
 *     node station.mjs [-v]        HOTARU=program
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect as tcpConnect } from 'node:net';
import https from 'node:https';
import path from 'node:path';
import { crc32 as zlibCrc } from 'node:zlib';
import WebSocket from 'ws';
import { Daemon, PROGRAM, folder } from './daemon.mjs';
import { Device } from './device.mjs';
import { fact, run, same, section, sleep, until } from './facts.mjs';

const EUI = 'B0000000000000A1', OTHER = 'B0000000000000A2', STRANGER = 'B0000000000000FF';
const dashed = (eui) => eui.match(/../g).join('-');
const lnsPort = 20000 + Math.floor(Math.random() * 12000);

const dir = folder(), secureDir = folder();
const daemon = new Daemon({ dir, args: ['--lns', `127.0.0.1:${lnsPort}`] });
const secure = new Daemon({ dir: secureDir, dev: false, args: ['--lns', `127.0.0.1:${lnsPort + 1}`] });
const river = new Device({ dev_eui: '70B3D57ED0D00001', app_key: '9b7de21fc4083a5516af82d0e76b0001', profile: 'hotaru-river-level', name: '神通川' });

const GATEWAY_HEAD = 'gateway_eui,name,latitude,longitude,altitude_m,region,simulated';
const DEVICE_HEAD = 'dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated';

function crc32(bytes) {
    if (zlibCrc) return zlibCrc(bytes);
    let crc = ~0;
    for (const b of bytes) {
        crc ^= b;
        for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0xEDB88320 : crc >>> 1;
    }
    return ~crc >>> 0;
}

/* ------------------------------------------------------------------ a Station */

/* The clock of its radio: unit 0, a session byte that is never 0, microseconds. */
const xtimeOf = (session, us) => (BigInt(session) << 48n) | BigInt(us);

class Station {
    constructor(url, options = {}) {
        Object.assign(this, { url, options, said: [], texts: [], code: null, status: null, pings: 0 });
    }

    open() {
        return new Promise((done) => {
            const ws = this.ws = new WebSocket(this.url, { perMessageDeflate: false, rejectUnauthorized: false, ...this.options });
            ws.on('open', () => done(true));
            ws.on('message', (data) => { this.texts.push(data.toString()); this.said.push(JSON.parse(data)); });
            ws.on('ping', () => { this.pings++; });
            ws.on('close', (code) => { this.code = code; done(false); });
            ws.on('unexpected-response', (rq, rs) => { this.status = rs.statusCode; rs.resume(); rs.on('end', () => done(false)); });
            ws.on('error', () => done(false));
        });
    }

    /* Numbers above 2^53 are written by hand: {"xtime":"#123"} becomes {"xtime":123}. */
    say(object) { this.ws.send(typeof object === 'string' ? object : JSON.stringify(object).replace(/"#(-?\d+)"/g, '$1')); }

    version(station = '2.0.6(linux/std) 2022-01-01') {
        this.say({ msgtype: 'version', station, firmware: null, package: null, model: 'linux', protocol: 2, features: 'rmtsh' });
    }

    wait(kind, from = 0, ms = 3000) { return until(() => this.said.slice(from).find((m) => m.msgtype === kind), ms); }
    close() { this.ws?.terminate(); }
}

const upinfo = (xtime, { rctx = 0, rssi = -71, snr = 9.25, gpstime = 0 } = {}) =>
    ({ rctx, xtime: `#${xtime}`, gpstime, fts: -1, rssi, snr, rxtime: Date.now() / 1000 });

/* As Station takes a join-request apart. */
function jreq(phy, xtime, how) {
    const eui = (at) => dashed(Buffer.from(phy.subarray(at, at + 8)).reverse().toString('hex').toUpperCase());
    return { msgtype: 'jreq', MHdr: phy[0], JoinEui: eui(1), DevEui: eui(9), DevNonce: phy.readUInt16LE(17), MIC: phy.readInt32LE(19),
        RefTime: 0, DR: 2, Freq: 923200000, upinfo: upinfo(xtime, how) };
}

function updf(phy, xtime, how) {
    const opts = phy[5] & 15, at = 8 + opts, end = phy.length - 4;
    return { msgtype: 'updf', MHdr: phy[0], DevAddr: phy.readInt32LE(1), FCtrl: phy[5], FCnt: phy.readUInt16LE(6),
        FOpts: phy.subarray(8, at).toString('hex'), FPort: at === end ? -1 : phy[at], FRMPayload: at === end ? '' : phy.subarray(at + 1, end).toString('hex'),
        MIC: phy.readInt32LE(end), RefTime: 0, DR: how?.dr ?? 2, Freq: 923200000, upinfo: upinfo(xtime, how) };
}

const drops = async (word) => (await daemon.metrics()).drops[word] ?? 0;
const dropGrows = (word, before) => until(async () => (await drops(word)) > before, 3000, 20);

/* ------------------------------------------------------------------ who comes in */

async function discover(router, base = `ws://127.0.0.1:${lnsPort}`, options = {}) {
    const s = new Station(`${base}/router-info`, options);
    if (!await s.open()) return s;
    s.say({ router });
    await until(() => s.code !== null, 3000);
    return s;
}

async function discovery() {
    section('discovery');
    for (const [how, router] of [['an ID6', 'b000::a1'], ['dashes', dashed(EUI)], ['digits', EUI], ['a number', `#${BigInt(`0x${EUI}`)}`]]) {
        const s = new Station(`ws://127.0.0.1:${lnsPort}/router-info`);
        await s.open();
        s.say({ router });
        await until(() => s.code !== null);
        same(`a gateway that names itself by ${how} is told where to connect`,
            [s.said[0]?.router, s.said[0]?.uri, s.code], [dashed(EUI), `ws://127.0.0.1:${lnsPort}/router/${EUI}`, 1000]);
    }
    const stranger = await discover(dashed(STRANGER));
    fact('one that is not registered is told an error', typeof stranger.said[0]?.error === 'string' && !stranger.said[0].uri, stranger.said);
    fact('and stands in the list of those that knocked',
        await until(async () => (await daemon.json('/v1/gateways')).unknown.some((g) => g.eui.toUpperCase() === STRANGER), 8000, 100));
    const direct = new Station(`ws://127.0.0.1:${lnsPort}/router/${STRANGER}`);
    same('nor does it come in by the back door', [await direct.open(), direct.status], [false, 403]);
    const before = await drops('DROP_STATION_HTTP');
    const lost = new Station(`ws://127.0.0.1:${lnsPort}/elsewhere`);
    same('another path is none', [await lost.open(), lost.status], [false, 404]);
    fact('which is counted', await dropGrows('DROP_STATION_HTTP', before));
}

async function configured(station, words) {
    const s = new Station(`ws://127.0.0.1:${lnsPort}/router/${EUI}`);
    await s.open();
    s.version(station);
    const c = await s.wait('router_config');
    if (!fact(`${words} is given its settings`, c, s.said)) return s;
    s.config = c;
    return s;
}

async function settings() {
    section('router_config');
    const old = await configured('2.0.5(corecell/std) 2021-01-01', 'a Station of 2.0.5');
    same('the region by the name that it knows', old.config.region, 'AS923JP');
    const s = await configured('2.0.6(linux/std) 2022-01-01', 'a Station of 2.0.6');
    const c = s.config;
    same('the region by the name that this one knows', [c.region, c.hwspec], ['AS923-1', 'sx1301/1']);
    same('no filters, which lose frames without a word', [c.NetID, c.JoinEui], [null, null]);
    same('16 data rates', [c.DRs.length, c.DRs[0], c.DRs[5], c.DRs[6], c.DRs[7], c.DRs[8]],
        [16, [12, 125, 0], [7, 125, 0], [7, 250, 0], [0, 0, 0], [-1, 0, 0]]);
    same('the channels of the plan', c.upchannels.map((u) => u[0]),
        [923200000, 923400000, 922800000, 923000000, 922600000, 922000000, 922200000, 922400000]);
    fact('with data rates below 8', c.upchannels.every((u) => u[1] === 0 && u[2] === 5));
    same('the power that the law allows', c.max_eirp, 13);
    same('the band', c.freq_range, [920600000, 928000000]);
    const conf = c.sx1301_conf?.[0] ?? {};
    const heard = Array.from({ length: 8 }, (_, i) => conf[`chan_multiSF_${i}`]).map((ch) => ch.enable && conf[`radio_${ch.radio}`].freq + ch.if);
    same('two receivers that hear all of them', [...heard].sort(), [...c.upchannels.map((u) => u[0])].sort());
    fact('none further from its centre than 400 kHz', Array.from({ length: 8 }, (_, i) => conf[`chan_multiSF_${i}`]).every((ch) => Math.abs(ch.if) <= 400000));
    old.close();
    return s;
}

/* ------------------------------------------------------------------ a device's life */

async function life(s) {
    section('join, uplink, downlinks');
    const started = process.hrtime.bigint();
    const us = () => (process.hrtime.bigint() - started) / 1000n + 264000000n;
    const session = 40;                                             /* above 2^53: doubles lose it */
    let x = xtimeOf(session, us());
    s.say(jreq(river.joinRequest(301), x, { rctx: 0 }));
    let down = await s.wait('dnmsg', 0, 6000);
    if (!fact('a join-request is answered', down, s.said)) return;
    same('both windows, as pairs', [down.RX1DR, down.RX1Freq, down.RX2DR, down.RX2Freq, down.RxDelay, down.dC], [2, 923200000, 2, 923200000, 5, 0]);
    fact('with the radio’s time as it was', s.texts.at(-1).includes(`"xtime":${x},`), s.texts.at(-1));
    same('for the device', down.DevEui, dashed(river.dev_eui));
    fact('lora-packet opens the join-accept', river.takeAccept(Buffer.from(down.pdu, 'hex')));
    s.say({ msgtype: 'dntxed', seqno: down.diid, diid: down.diid, DR: 2, Freq: 923200000, DevEui: down.DevEui, rctx: 0, xtime: `#${x + 5000000n}`, txtime: 1.5, gpstime: 0 });

    x = 11258999338915241n;                                         /* the same session, six seconds later */
    let from = s.said.length;
    const began = (await daemon.metrics()).hotaru_uplinks_total;
    s.say(updf(river.up(Buffer.from([0x04, 0xd2, 90]), { confirmed: true }), x));
    fact('an uplink is kept', await until(async () => (await daemon.metrics()).hotaru_uplinks_total > began));
    fact('and read', await until(async () => (await daemon.json(`/v1/devices/${river.dev_eui}`)).values.some((v) => v.attr === 'waterLevel' && v.value === 1.234)));
    down = await s.wait('dnmsg', from, 7000);
    if (!fact('a confirmed one is answered', down)) return;
    fact('xtime 11258999338915241 comes back exactly', s.texts.at(-1).includes('"xtime":11258999338915241,'), s.texts.at(-1));
    const f = river.read(Buffer.from(down.pdu, 'hex'));
    same('with the acknowledgement, and a MIC that holds', [f?.ack, f?.mic], [true, true]);
    s.say({ msgtype: 'dntxed', seqno: down.diid, diid: down.diid, DR: 2, Freq: 923200000, DevEui: down.DevEui, rctx: 0, xtime: `#${x + 6000000n}`, txtime: 2.5, gpstime: 0 });

    section('what became of it');
    const posted = (await daemon.post(`/v1/devices/${river.dev_eui}/downlinks`, { fport: 10, payload: '0102', confirmed: false })).json();
    from = s.said.length;
    x += 20000000n;
    s.say(updf(river.up(Buffer.from([0x04, 0xd3, 90])), x));
    down = await s.wait('dnmsg', from, 7000);
    if (!fact('an order leaves with the next uplink', down)) return;
    s.say({ msgtype: 'dntxed', seqno: down.diid, diid: down.diid, DR: 2, Freq: 923200000, DevEui: down.DevEui, rctx: 0, xtime: `#${x + 6000000n}`, txtime: 3.5, gpstime: 0 });
    const order = async () => (await daemon.json(`/v1/devices/${river.dev_eui}/downlinks`)).downlinks.find((d) => d.id === posted.id);
    fact('dntxed in RX2 ends it as accepted, and says which window', await until(async () => (await order()).state === 'accepted', 3000, 50), await order());
    same('with the window in its reason', (await order()).reason, 'in RX2');
    same('and the gateway', (await order()).gateway, EUI);

    const silent = (await daemon.post(`/v1/devices/${river.dev_eui}/downlinks`, { fport: 10, payload: '0304', confirmed: false })).json();
    from = s.said.length;
    x += 20000000n;
    s.say(updf(river.up(Buffer.from([0x04, 0xd4, 90])), x));
    fact('another one leaves', await s.wait('dnmsg', from, 7000));
    const quiet = async () => (await daemon.json(`/v1/devices/${river.dev_eui}/downlinks`)).downlinks.find((d) => d.id === silent.id);
    fact('without dntxed it ends as unknown, after its last window', await until(async () => (await quiet()).state === 'unknown', 12000, 100), await quiet());

    const before = await drops('DROP_TXACK');
    s.say({ msgtype: 'dntxed', diid: 4711, xtime: 1 });
    fact('a dntxed that nobody asked for is counted', await dropGrows('DROP_TXACK', before));
}

async function time(s) {
    section('timesync');
    const from = s.said.length;
    s.say({ msgtype: 'timesync', txtime: 9007199254740993 });
    const t = await s.wait('timesync', from);
    const gps = (Date.now() / 1000 - 315964800 + 18) * 1e6;
    fact('is answered at once with the time of GPS', t && Math.abs(t.gpstime - gps) < 2e6, t);
    s.say('{"msgtype":"timesync","txtime":9007199254740993}');
    fact('and its own time as it was', await until(() => s.texts.some((x) => x.includes('"txtime":9007199254740993'))), s.texts.at(-1));
}

/* ------------------------------------------------------------------ what is refused */

async function hostile(s) {
    section('refusals');
    let before = await drops('DROP_JSON');
    s.say('{"msgtype":');
    fact('a text that is no JSON costs itself', await dropGrows('DROP_JSON', before));
    before = await drops('DROP_STATION_FIELD');
    s.say({ ...updf(river.up(Buffer.from([1])), 11258999338915999n), FOpts: '01' });
    fact('FOpts that contradict FCtrl too', await dropGrows('DROP_STATION_FIELD', before));
    before = await drops('DROP_STATION_KIND');
    s.say({ msgtype: 'rmtsh', term: 'xterm' });
    fact('a remote shell too', await dropGrows('DROP_STATION_KIND', before));
    before = await drops('DROP_FREQUENCY');
    s.say({ ...updf(river.up(Buffer.from([1])), 11258999338916000n), Freq: 868100000 });
    fact('a frame from another band too', await dropGrows('DROP_FREQUENCY', before));
    same('and the connection lives', s.code, null);

    before = await drops('DROP_STATION_LONG');
    const long = new Station(`ws://127.0.0.1:${lnsPort}/router/${OTHER}`);
    await long.open();
    long.ws.send(JSON.stringify({ msgtype: 'version', station: 'x'.repeat(20000) }));
    fact('a message of 20 kB ends it', await until(() => long.code !== null), long.code);
    same('with the code for that', [long.code, (await drops('DROP_STATION_LONG')) - before], [1009, 1]);

    before = await drops('DROP_STATION_KIND');
    const binary = new Station(`ws://127.0.0.1:${lnsPort}/router/${OTHER}`);
    await binary.open();
    binary.ws.send(Buffer.from([1, 2, 3]));
    fact('so do bytes for a shell', await until(() => binary.code === 1008), binary.code);

    const raw = (bytes) => new Promise((done) => {
        const c = tcpConnect(lnsPort, '127.0.0.1'), parts = [];
        c.on('connect', () => c.write(bytes));
        c.on('data', (d) => parts.push(d));
        c.on('close', () => done(Buffer.concat(parts).toString('latin1')));
        c.on('error', () => {});
        setTimeout(() => c.destroy(), 4000);
    });
    const answers = await Promise.all([
        'GET / HTTP/1.0\r\n\r\n', 'nonsense\r\n\r\n', `GET /router/${EUI} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`,
        'POST /update-info HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n', 'POST /update-info HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n',
        `GET /${'a'.repeat(5000)} HTTP/1.1\r\n\r\n`, 'GET /x HTTP/1.1\n\n', 'GET /x HTTP/1.1\r\n folded: yes\r\n\r\n',
    ].map(raw));
    fact('requests that can be read in two ways are 400', answers.every((a) => a.startsWith('HTTP/1.1 400 ')), answers.map((a) => a.slice(0, 20)));
    fact('a body without an end is 413', (await raw('POST /update-info HTTP/1.1\r\nContent-Length: 9000\r\n\r\n')).startsWith('HTTP/1.1 413 '));

    const again = new Station(`ws://127.0.0.1:${lnsPort}/router/${EUI}`);
    fact('a gateway that comes again comes in', await again.open());
    fact('and its old connection ends', await until(() => s.code === 1000), s.code);
    again.close();

    before = await drops('DROP_STATION_SILENT');
    const half = tcpConnect(lnsPort, '127.0.0.1');
    half.on('error', () => {});
    half.write('GET /router');
    const began = Date.now();
    const ended = await new Promise((done) => { half.on('close', () => done(true)); setTimeout(() => done(false), 15000); });
    fact('who says half a sentence is hung up on', ended && Date.now() - began > 5000, Date.now() - began);
    fact('and counted', await dropGrows('DROP_STATION_SILENT', before));
}

/* ------------------------------------------------------------------ TLS, keys, CUPS */

function certificate(name, where) {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`,
        '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', `${where}.key`, '-out', `${where}.crt`], { stdio: 'ignore' });
    return { key: readFileSync(`${where}.key`), cert: readFileSync(`${where}.crt`) };
}
const derOf = (pem) => Buffer.from(pem.toString().replace(/-----[^-]+-----|\s/g, ''), 'base64');
const hotaru = (...words) => execFileSync(PROGRAM, words, { encoding: 'utf8' });

async function encrypted() {
    section('TLS, tokens, certificates');
    const own = certificate('localhost', path.join(secureDir, 'lns'));
    const client = certificate('gateway', path.join(secureDir, 'client'));
    const row = (eui) => `${eui},庁舎,36.7,137.2,12,AS923-1,0`;
    await secure.start();
    const admin = readFileSync(path.join(secureDir, 'admin.token'), 'utf8').trim();
    await secure.post('/v1/import/gateways', [GATEWAY_HEAD, row(EUI), row(OTHER)].join('\n') + '\n', { headers: { 'Content-Type': 'text/csv', Authorization: `Bearer ${admin}` } });
    await secure.kill('SIGTERM');
    const token = /hotaru\.[0-9a-f]{64}/.exec(hotaru('gateway', 'key', EUI, '--data', secureDir))[0];
    hotaru('gateway', 'key', OTHER, path.join(secureDir, 'client.crt'), '--data', secureDir);
    await secure.start();
    const base = `wss://127.0.0.1:${lnsPort + 1}`, bearer = { headers: { Authorization: `Bearer ${token}` } };

    const open = async (eui, options) => { const s = new Station(`${base}/router/${eui}`, options); const good = await s.open(); s.close(); return [good, s.status]; };
    same('a gateway with its token comes in', await open(EUI, bearer), [true, null]);
    same('without one it does not', await open(EUI, {}), [false, 401]);
    same('nor with a wrong one', await open(EUI, { headers: { Authorization: `Bearer ${token.slice(0, -1)}0` } }).then((r) => r[0]), false);
    same('nor with that of another', await open(OTHER, bearer), [false, 401]);
    same('one with its certificate comes in', await open(OTHER, client), [true, null]);
    same('which opens no other gateway’s door', await open(EUI, client), [false, 401]);
    const found = await discover(dashed(EUI), base, bearer);
    same('discovery asks for it, too', [found.said[0]?.uri, (await discover(dashed(EUI), base)).said[0]?.uri], [`${base}/router/${EUI}`, undefined]);
    const plain = new Station(`ws://127.0.0.1:${lnsPort + 1}/router/${EUI}`, bearer);
    same('without TLS nobody is heard', await plain.open(), false);
    const old = await new Promise((done) => { const w = new WebSocket(`${base}/router/${EUI}`, { ...bearer, rejectUnauthorized: false, maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }); w.on('open', () => done('open')); w.on('error', (e) => done(e.code || e.message)); });
    fact('TLS 1.1 is none', old !== 'open', old);

    section('CUPS');
    const ask = (body, headers = bearer.headers) => new Promise((done) => {
        const text = typeof body === 'string' ? body : JSON.stringify(body);
        const rq = https.request({ host: '127.0.0.1', port: lnsPort + 1, path: '/update-info', method: 'POST', rejectUnauthorized: false, agent: false,
            headers: { 'Content-Length': Buffer.byteLength(text), ...headers } }, (rs) => {
            const parts = [];
            rs.on('data', (d) => parts.push(d));
            rs.on('end', () => done({ status: rs.statusCode, body: Buffer.concat(parts) }));
        });
        rq.on('error', (e) => done({ status: 0, body: Buffer.from(String(e)) }));
        rq.end(text);
    });
    const question = (tcCredCrc, keys = []) => ({ router: 'b000::a1', cupsUri: 'https://x:1', tcUri: 'wss://x:1', cupsCredCrc: 1, tcCredCrc, station: '2.0.6', model: 'linux', package: null, keys });
    let a = await ask(question(5));
    same('nothing new is 14 zero bytes', [a.status, a.body.toString('hex')], [200, '00'.repeat(14)]);
    same('no update is given, whatever keys it has', (await ask(question(5, [1, 2]))).body.length, 14);
    same('without its key nothing is said', (await ask(question(5), {})).status, 401);
    same('a body that is no JSON is 400', (await ask('{')).status, 400);
    await secure.kill('SIGTERM');
    hotaru('gateway', 'key', EUI, '--rotate', '--data', secureDir);
    await secure.start();
    a = await ask(question(5));
    same('a token that is to be replaced is: the length is there twice', [a.status, a.body.readUInt16LE(4) + 14], [200, a.body.length]);
    const segment = a.body.subarray(6, a.body.length - 8), trust = derOf(own.cert);
    fact('behind our certificate and no certificate of its own', segment.subarray(0, trust.length).equals(trust) && segment.readUInt32LE(trust.length) === 0);
    const line = segment.subarray(trust.length + 4).toString();
    const fresh = /^Authorization: Bearer (hotaru\.[0-9a-f]{64})\r\n$/.exec(line)?.[1];
    fact('stands a new one as a header', fresh && fresh !== token, line.slice(0, 24));
    same('the old one is good until the new one was used', (await open(EUI, bearer))[0], true);
    const second = await ask(question(5));
    fact('an answer that was lost is given anew', second.body.length === a.body.length && !second.body.equals(a.body));
    same('and the token of the lost one opens nothing', (await open(EUI, { headers: { Authorization: `Bearer ${fresh}` } }))[1], 401);
    const held = second.body.subarray(6, second.body.length - 8);
    same('who has it is given nothing more', (await ask(question(crc32(held)))).body.length, 14);
    const now = /Bearer (\S+)\r\n$/.exec(held.subarray(trust.length + 4).toString())[1];
    same('it opens the door', await open(EUI, { headers: { Authorization: `Bearer ${now}` } }), [true, null]);
    same('and from then on the old one does not', await open(EUI, bearer), [false, 401]);
    same('which still asks for settings', (await ask(question(crc32(held)))).status, 200);
    fact('no token stands in the store', !createHash('sha256').update(now).digest('hex').includes('x') && !readFileSync(path.join(secureDir, 'hotaru.db')).includes(now));
}

await run(async () => {
    await daemon.start();
    await daemon.importTable('gateways', [GATEWAY_HEAD, `${EUI},役所,36.7,137.2,12,AS923-1,0`, `${OTHER},二,36.7,137.2,12,AS923-1,0`]);
    await daemon.importTable('devices', [DEVICE_HEAD, river.row()]);
    await discovery();
    const s = await settings();
    await life(s);
    await time(s);
    await hostile(s);
    s.close();
    await encrypted();
    await sleep(10);
}, async () => {
    await daemon.kill('SIGTERM');
    await secure.kill('SIGTERM');
});
