// SPDX-License-Identifier: Apache-2.0
/*
 * The door for MQTT gateways with the real Mosquitto: a gateway of ChirpStack's world is played by npm's `mqtt`, its
 * protobuf is written and read by ChirpStack's own bindings, its JSON by hand, every frame is lora-packet's.
 *
 *     node mqtt.mjs [-v]        HOTARU=program
 */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import path from 'node:path';
import mqtt from 'mqtt';
import { Daemon, ROOT, folder } from './daemon.mjs';
import { Device } from './device.mjs';
import { fact, run, same, section, skip, sleep, until } from './facts.mjs';
import { build, shim } from './shims.mjs';

const require = createRequire(import.meta.url);
const gw = require('@chirpstack/chirpstack-api/gw/gw_pb');

const somePort = () => 20000 + Math.floor(Math.random() * 12000);
const key = (n) => `9b7de21fc4083a5516af82d0e76b${n.toString(16).padStart(4, '0')}`;
const device = (n, profile) => new Device({ dev_eui: `70B3D57ED0D0${n.toString(16).padStart(4, '0')}`, app_key: key(n), profile, name: `機器 ${n}` });

/* ------------------------------------------------------------------ the broker */

const hasMosquitto = () => { try { execFileSync('mosquitto', ['-h'], { stdio: 'pipe' }); return true; } catch (e) { return e.code !== 'ENOENT'; } };

/* As docs/operating.md advises: names and passwords, each gateway in its own topics, nothing lost in a restart. */
class Broker {
    constructor() {
        Object.assign(this, { dir: folder('hotaru-broker-'), port: somePort(), tlsPort: somePort(), log: '' });
        const file = (name, text) => { writeFileSync(path.join(this.dir, name), text, { mode: 0o600 }); return path.join(this.dir, name); };
        mkdirSync(path.join(this.dir, 'store'));
        const passwords = file('passwords', '');
        for (const user of ['hotaru', A.name, B.name, STRANGER.name]) execFileSync('mosquitto_passwd', ['-b', passwords, user, `${user}-secret`], { stdio: 'pipe' });
        const acl = file('acl', 'user hotaru\ntopic read as923/gateway/+/event/+\ntopic read as923/gateway/+/state/+\ntopic write as923/gateway/+/command/+\n' +
            'pattern write as923/gateway/%u/event/+\npattern write as923/gateway/%u/state/+\npattern read as923/gateway/%u/command/+\n');
        this.certificates();
        this.conf = file('mosquitto.conf', [process.getuid() === 0 ? 'user root' : '', 'per_listener_settings false', 'allow_anonymous false',
            `password_file ${passwords}`, `acl_file ${acl}`, 'persistence true', `persistence_location ${this.dir}/store/`, 'autosave_interval 1',
            'autosave_on_changes true', 'max_inflight_messages 500', 'max_queued_messages 0', 'set_tcp_nodelay true', 'log_dest stderr', 'log_type all',
            `listener ${this.port} 127.0.0.1`,
            `listener ${this.tlsPort} 127.0.0.1`, `cafile ${this.dir}/ca.pem`, `certfile ${this.dir}/broker.pem`, `keyfile ${this.dir}/broker.key`,
            'require_certificate true', 'use_identity_as_username true'].join('\n') + '\n');
    }

    certificates() {
        const ssl = (...args) => execFileSync('openssl', args, { cwd: this.dir, stdio: 'pipe' });
        const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
        for (const ca of ['ca', 'other']) ssl('req', '-x509', ...fresh, '-subj', `/CN=${ca}`, '-keyout', `${ca}.key`, '-out', `${ca}.pem`);
        for (const [name, cn, ca] of [['broker', '127.0.0.1', 'ca'], ['hotaru', 'hotaru', 'ca'], ['false', 'hotaru', 'other']]) {
            ssl('req', ...fresh, '-subj', `/CN=${cn}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
            writeFileSync(path.join(this.dir, `${name}.ext`), name === 'broker' ? 'subjectAltName=IP:127.0.0.1\n' : 'extendedKeyUsage=clientAuth\n');
            ssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`, '-out', `${name}.pem`);
        }
    }

    async start() {
        const mark = this.log.length;
        this.child = spawn('mosquitto', ['-c', this.conf], { stdio: ['ignore', 'pipe', 'pipe'] });
        this.exited = new Promise((done) => this.child.once('exit', done));
        for (const out of [this.child.stdout, this.child.stderr]) out.on('data', (d) => { this.log += d; });
        return fact('Mosquitto runs', await until(() => / running\n/.test(this.log.slice(mark)), 10000, 20), this.log);
    }

    async stop(signal = 'SIGTERM') {
        this.child.kill(signal);
        await this.exited;
    }
}

/* ------------------------------------------------------------------ a gateway */

const base64 = (b) => Buffer.from(b).toString('base64');

class Bridge {
    constructor(eui, { json = false } = {}) {
        Object.assign(this, { name: eui.toLowerCase(), json, downs: [], qos: 1, tmst: 1000000 });
        this.topic = `as923/gateway/${this.name}`;
        this.answer = (down) => down.items.map((_, i) => (i === 0 ? 1 : 0));       /* OK, IGNORED */
    }

    async open(broker) {
        this.client = mqtt.connect(`mqtt://127.0.0.1:${broker.port}`, { clientId: this.name, username: this.name, password: `${this.name}-secret`,
            clean: false, reconnectPeriod: 200, protocolVersion: 4 });
        this.client.on('error', () => {});
        this.client.on('message', (_, body) => this.take(body));
        await new Promise((done) => this.client.once('connect', done));
        await this.client.subscribeAsync(`${this.topic}/command/+`, { qos: 1 });
    }

    close() { return this.client?.endAsync(true); }

    /* Resolves with the broker's PUBACK. */
    publish(tail, body, options = {}) { return this.client.publishAsync(`${this.topic}/${tail}`, body, { qos: this.qos, ...options }); }

    clock() { return Number((process.hrtime.bigint() / 1000n) % 4294967296n); }

    /* An UplinkFrame in the form in which this gateway speaks. */
    frame(phy, { tmst = this.clock(), freq = 923200000, sf = 10, rssi = -97, snr = 7.5, eui = this.name, crc = 2, time = null } = {}) {
        const context = Buffer.alloc(4);
        context.writeUInt32BE(tmst);
        if (this.json)
            return JSON.stringify({ phyPayload: base64(phy), txInfoLegacy: null, rxInfoLegacy: null,
                txInfo: { frequency: freq, modulation: { lora: { bandwidth: 125000, spreadingFactor: sf, codeRateLegacy: '', codeRate: 'CR_4_5', polarizationInversion: false } } },
                rxInfo: { gatewayId: eui, uplinkId: 12345, gwTime: time && new Date(time).toISOString(), nsTime: null, timeSinceGpsEpoch: null, rssi, snr, channel: 1,
                    rfChain: 0, board: 0, antenna: 0, location: null, context: base64(context), metadata: {}, crcStatus: ['NO_CRC', 'BAD_CRC', 'CRC_OK'][crc] } });
        const u = new gw.UplinkFrame(), tx = new gw.UplinkTxInfo(), rx = new gw.UplinkRxInfo(), m = new gw.Modulation(), l = new gw.LoraModulationInfo();
        l.setBandwidth(125000); l.setSpreadingFactor(sf); l.setCodeRate(gw.CodeRate.CR_4_5); m.setLora(l);
        tx.setFrequency(freq); tx.setModulation(m);
        rx.setGatewayId(eui); rx.setUplinkId(12345); rx.setRssi(rssi); rx.setSnr(snr); rx.setChannel(1); rx.setContext(context); rx.setCrcStatus(crc);
        rx.getMetadataMap().set('region_config_id', 'as923');
        if (time) {
            const t = new (require('google-protobuf/google/protobuf/timestamp_pb').Timestamp)();
            t.setSeconds(Math.floor(time / 1000)); t.setNanos(time % 1000 * 1e6); rx.setGwTime(t);
        }
        u.setPhyPayload(phy); u.setTxInfo(tx); u.setRxInfo(rx);
        return Buffer.from(u.serializeBinary());
    }

    hear(phy, how) { return this.publish('event/up', this.frame(phy, how)); }

    stats() {
        const s = new gw.GatewayStats();
        s.setGatewayId(this.name); s.setRxPacketsReceived(3); s.getMetadataMap().set('model', 'test'); s.getRxPacketsPerFrequencyMap().set(923200000, 3);
        return this.publish('event/stats', this.json ? JSON.stringify({ gatewayId: this.name, rxPacketsReceived: 3 }) : Buffer.from(s.serializeBinary()));
    }

    ack(id, statuses) {
        const a = new gw.DownlinkTxAck(), words = Object.entries(gw.TxAckStatus);
        a.setGatewayId(this.name); a.setDownlinkId(id);
        for (const s of statuses) { const i = new gw.DownlinkTxAckItem(); i.setStatus(s); a.addItems(i); }
        return this.publish('event/ack', this.json
            ? JSON.stringify({ gatewayId: this.name, downlinkId: id, items: statuses.map((s) => ({ status: words.find(([, v]) => v === s)[0] })) })
            : Buffer.from(a.serializeBinary()));
    }

    read(body) {
        if (body[0] === 0x7b) {
            const d = JSON.parse(body.toString());
            return { form: 'json', id: d.downlinkId, eui: d.gatewayId, items: d.items.map((i) => ({ phy: Buffer.from(i.phyPayload, 'base64'), freq: i.txInfo.frequency,
                power: i.txInfo.power, sf: i.txInfo.modulation.lora.spreadingFactor, inverted: i.txInfo.modulation.lora.polarizationInversion,
                delay: parseFloat(i.txInfo.timing.delay.delay), context: Buffer.from(i.txInfo.context, 'base64').readUInt32BE(0) })) };
        }
        const d = gw.DownlinkFrame.deserializeBinary(new Uint8Array(body));
        return { form: 'protobuf', id: d.getDownlinkId(), eui: d.getGatewayId(), items: d.getItemsList().map((i) => {
            const t = i.getTxInfo(), lora = t.getModulation().getLora(), delay = t.getTiming().getDelay().getDelay();
            return { phy: Buffer.from(i.getPhyPayload_asU8()), freq: t.getFrequency(), power: t.getPower(), sf: lora.getSpreadingFactor(),
                inverted: lora.getPolarizationInversion(), delay: delay.getSeconds() + delay.getNanos() / 1e9, context: Buffer.from(t.getContext_asU8()).readUInt32BE(0) };
        }) };
    }

    take(body) {
        const down = { at: Date.now(), gateway: this, ...this.read(body) };
        this.downs.push(down);
        const statuses = this.answer(down);
        if (statuses) void this.ack(down.id, statuses);
    }
}

const A = new Bridge('b0000000000000a1'), B = new Bridge('b0000000000000a2', { json: true }), STRANGER = new Bridge('b0000000000000ff');
const river = device(1, 'hotaru-river-level'), level = device(2, 'test-level');
const GATEWAY_HEAD = 'gateway_eui,name,latitude,longitude,altitude_m,region,simulated';
const DEVICE_HEAD = 'dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated';

let broker, daemon;
const downs = () => [...A.downs, ...B.downs].sort((x, y) => x.at - y.at);
const isUp = (log = daemon.log) => log.lastIndexOf('mqtt up') > log.lastIndexOf('mqtt lost');
const uplinks = async (d) => (await daemon.json(`/v1/devices/${d.dev_eui}/frames?limit=500`)).frames.filter((f) => f.direction === 'up' && !f.drop);
const fcnts = async (d) => (await uplinks(d)).map((f) => f.fcnt).sort((x, y) => x - y);
const stored = (d, n, ms = 5000) => until(async () => (await uplinks(d)).length >= n, ms, 20);

async function enrol() {
    section('enrolment');
    fact('the daemon is at the broker', await until(() => isUp(), 10000, 20), daemon.log);
    await A.open(broker);
    await B.open(broker);
    await STRANGER.open(broker);
    await daemon.importTable('gateways', [GATEWAY_HEAD, ...[A, B].map((g, i) => `${g.name},役所${i},36.7,137.2,12,AS923-1,0`)]);
    same('devices are enrolled', (await daemon.importTable('devices', [DEVICE_HEAD, river.row(), level.row()])).json().created, 2);
}

async function join(d, bridge, nonce) {
    const phy = d.joinRequest(nonce), tmst = bridge.clock(), from = downs().length;
    await bridge.hear(phy, { tmst });
    const down = await until(() => downs().slice(from).find((x) => d.readAccept(x.items[0].phy)), 7000);
    if (!fact('a join-request over MQTT is answered, and lora-packet opens it', down, daemon.log)) return;
    d.takeAccept(down.items[0].phy);
    same('by the gateway that heard it, in the form in which it speaks', [down.eui, down.form], [bridge.name, bridge.json ? 'json' : 'protobuf']);
    same('both windows in one message, behind the context of the request', down.items.map((i) => [i.delay, i.context]).sort(), [[5, tmst], [6, tmst]]);
    same('RX1 on the channel and data rate of the request, RX2 on AS923’s', down.items.map((i) => [i.freq, i.sf]), [[923200000, 10], [923200000, 10]]);
    fact('as a downlink is sent, within what the law allows', down.items.every((i) => i.inverted && i.power > 0 && i.power <= 13), down.items);
}

async function ways() {
    section('uplinks and downlinks');
    await join(river, A, 300);
    await join(level, B, 301);
    await A.hear(river.up(Buffer.from([0x04, 0xd2, 90]), { fopts: '09' }));
    const e = await until(async () => { const r = await daemon.get(`/ngsi-ld/v1/entities/urn:ngsi-ld:WaterObserved:${river.dev_eui.toLowerCase()}`); return r.status === 200 && r.json(); });
    same('a reading over MQTT becomes an entity', e && e.waterLevel.value, 1.234);
    const twice = river.up(Buffer.from([0x04, 0xd8, 89]));
    await Promise.all([A.hear(twice, { snr: 3 }), B.hear(twice, { snr: 8 }), A.hear(twice, { snr: 3 })]);
    const frame = await until(async () => (await uplinks(river)).find((f) => f.fcnt === river.fcnt - 1 && f.copies.length === 2));
    fact('two gateways and a repetition are one event with two copies', frame, await uplinks(river));

    let from = downs().length;
    const tmst = B.clock(), phy = level.up(Buffer.from([4, 0, 80]), { confirmed: true });
    await B.hear(phy, { tmst, freq: 922800000, sf: 9 });
    let down = await until(() => downs().slice(from)[0], 3000);
    const f = down && level.read(down.items[0].phy);                 /* which window comes first is the calendar's to say */
    same('a confirmed uplink is answered one and two seconds behind it', down && down.items.map((i) => [i.delay, i.context, i.freq, i.sf]).sort((x, y) => x[0] - y[0]),
        [[1, tmst, 922800000, 9], [2, tmst, 923200000, 10]]);
    same('with lora-packet’s MIC', f && [f.mic, f.ack, f.fcnt], [true, true, 0]);

    await daemon.post(`/v1/devices/${level.dev_eui}/downlinks`, { fport: 10, payload: '0102' });
    from = downs().length;
    await B.hear(level.up(Buffer.from([4, 1, 80]), { fopts: '09' }));
    down = await until(() => downs().slice(from)[0], 3000);
    const told = await until(async () => { const x = (await daemon.json(`/v1/devices/${level.dev_eui}/downlinks`)).downlinks[0]; return x.state === 'accepted' && x; });
    fact('an order is sent, and its page says that the gateway took it', down && told, told);

    section('what a gateway refuses');
    A.answer = () => [2, 7];                               /* TOO_LATE, TX_POWER */
    await daemon.post(`/v1/devices/${level.dev_eui}/downlinks`, { fport: 10, payload: '03' });
    from = downs().length;
    const both = level.up(Buffer.from([4, 2, 80]));
    await Promise.all([A.hear(both, { snr: 9 }), B.hear(both, { snr: -9 })]);
    const two = await until(() => downs().slice(from).length === 2 && downs().slice(from), 3000);
    same('what one gateway refuses goes to the next', two && two.map((d) => d.gateway.name), [A.name, B.name]);
    same('the same bytes, never sealed anew', two && two[0].items[0].phy.equals(two[1].items[0].phy), true);
    B.answer = () => [2, 1];
    await daemon.post(`/v1/devices/${level.dev_eui}/downlinks`, { fport: 10, payload: '04' });
    await B.hear(level.up(Buffer.from([4, 3, 80])));
    let last = await until(async () => { const x = (await daemon.json(`/v1/devices/${level.dev_eui}/downlinks`)).downlinks[0]; return !['queued', 'offered'].includes(x.state) && x; }, 4000);
    fact('the next window is told with the reason', last && last.state === 'accepted' && /too late/.test(last.reason), last);
    B.answer = () => [9, 9];
    await daemon.post(`/v1/devices/${level.dev_eui}/downlinks`, { fport: 10, payload: '05' });
    await B.hear(level.up(Buffer.from([4, 4, 80])));
    last = await until(async () => { const x = (await daemon.json(`/v1/devices/${level.dev_eui}/downlinks`)).downlinks[0]; return !['queued', 'offered'].includes(x.state) && x; }, 4000);
    fact('where no other gateway is, the refusal is the outcome', last && last.state === 'failed' && /queue is full/.test(last.reason), last);
    A.answer = B.answer = (d) => d.items.map((_, i) => (i === 0 ? 1 : 0));
}

async function refusals() {
    section('what is refused');
    const check = async (what, say, drops) => {
        const before = (await daemon.metrics()).drops;
        await say();
        const names = Object.keys(drops);
        let got;
        await until(async () => { const now = (await daemon.metrics()).drops; got = Object.fromEntries(names.map((n) => [n, now[n] - (before[n] || 0)])); return names.every((n) => got[n] === drops[n]); }, 3000, 30);
        same(`${what} is counted by its name`, got, drops);
    };
    const phy = () => river.up(Buffer.from([4, 0xd2, 90]), { fcnt: river.fcnt + 50 });
    await check('a gateway that is not registered', () => STRANGER.hear(phy()), { DROP_UNKNOWN_GATEWAY: 1 });
    fact('and listed, to be enrolled', await until(async () => (await daemon.json('/v1/gateways')).unknown.find((g) => g.eui.toLowerCase() === STRANGER.name), 5000, 100));
    await check('another gateway’s EUI inside the message', () => A.hear(phy(), { eui: B.name }), { DROP_MQTT_EUI: 1 });
    await check('a message that cannot be read', () => A.publish('event/up', Buffer.from('0affff', 'hex')), { DROP_MQTT_MESSAGE: 1 });
    await check('JSON that cannot be read', () => B.publish('event/up', '{"phyPayload":'), { DROP_MQTT_MESSAGE: 1 });
    await check('a message of 100 kB', () => A.publish('event/up', Buffer.alloc(100000)), { DROP_TOO_LONG: 1 });
    await check('a message of 2 MB', () => A.publish('event/up', Buffer.alloc(2000000)), { DROP_TOO_LONG: 1 });
    await check('a bad checksum', () => A.hear(phy(), { crc: 1 }), { DROP_BAD_CRC: 1 });
    await check('a frequency of another continent', () => A.hear(phy(), { freq: 868100000 }), { DROP_FREQUENCY: 1 });
    await check('an answer that nobody asked for', () => A.ack(77, [1]), { DROP_TXACK: 1 });
    const hop = new gw.UplinkFrame(), tx = new gw.UplinkTxInfo(), rx = new gw.UplinkRxInfo(), m = new gw.Modulation(), l = new gw.LrFhssModulationInfo();
    m.setLrFhss(l); tx.setModulation(m); tx.setFrequency(923200000); rx.setGatewayId(A.name); rx.setCrcStatus(2); hop.setTxInfo(tx); hop.setRxInfo(rx); hop.setPhyPayload(phy());
    await check('LR-FHSS', () => A.publish('event/up', Buffer.from(hop.serializeBinary())), { DROP_MODULATION: 1 });
    const n = (await uplinks(river)).length;
    await A.publish('event/up', A.frame(phy()), { retain: true });           /* we are subscribed: it comes now, as news */
    await stored(river, n + 1);
    river.fcnt += 51;
    await A.publish('event/up', '', { retain: true });
    await A.stats();
    await A.hear(river.up(Buffer.from([4, 0xd2, 90])));
    fact('and all this stands in nobody’s way', await stored(river, n + 2), daemon.log);
}

/* ------------------------------------------------------------------ nothing acknowledged is lost */

const connectedSince = (mark) => until(() => /mqtt up/.test(daemon.log.slice(mark)), 20000, 20);

async function kills() {
    section('kills');
    /* The kernel has it, the daemon has not: stopped, told, killed. */
    let before = await fcnts(river);
    process.kill(daemon.child.pid, 'SIGSTOP');
    const sent = [];
    for (let i = 0; i < 30; i++) { sent.push(river.fcnt); await A.hear(river.up(Buffer.from([4, i, 90])), { time: Date.now() }); }
    await sleep(100);
    await daemon.kill();
    await daemon.start();
    fact('the daemon comes back to its session', await until(() => /mqtt session=kept/.test(daemon.log), 20000, 20), daemon.log);
    await stored(river, before.length + sent.length, 10000);
    same('what was given to it and not committed comes again: nothing is lost, nothing is twice', await fcnts(river), [...before, ...sent]);

    before = await fcnts(level);
    const told = [];
    for (let life = 0; life < 8; life++) {
        for (let i = 0; i < 12; i++) { told.push(level.fcnt); void B.hear(level.up(Buffer.from([4, i, 80])), { time: Date.now() }).catch(() => {}); }
        await sleep(Math.random() * 60);
        await daemon.kill();
        await daemon.start();
    }
    fact('and again', await until(() => isUp(), 20000, 20), daemon.log);
    await stored(level, before.length + told.length, 15000);
    same('eight kills in the middle of traffic: all is there, once each', await fcnts(level), [...before, ...told]);
}

/* The commit itself fails: what was in it had been taken from the broker, and was not acknowledged to it. */
async function failing() {
    section('a commit that fails');
    build('fail.so');
    const before = await fcnts(river), told = [], codes = [];
    for (let life = 0; life < 3; life++) {
        const board = path.join(broker.dir, `board-${life}`), armed = Buffer.alloc(296);
        writeFileSync(board, armed);
        await daemon.kill();
        daemon.env = { LD_PRELOAD: shim('fail.so'), HOTARU_FAIL_DIR: daemon.dir, HOTARU_FAIL_WHAT: 'sync', HOTARU_FAIL_ERRNO: '5', HOTARU_FAIL_BOARD: board };
        await daemon.start();
        await until(() => isUp(), 20000, 20);
        armed.writeBigUInt64LE(1n, 0), armed.writeBigUInt64LE(1n, 8);        /* the next sync */
        const fd = openSync(board, 'r+');                  /* as it lies: the daemon has it mapped */
        writeSync(fd, armed, 0, 16, 0);
        closeSync(fd);
        daemon.killed = daemon.child;                      /* it will end, and may */
        told.push(river.fcnt);
        await A.hear(river.up(Buffer.from([4, life, 90])), { time: Date.now() });
        codes.push((await daemon.exited).code);
        daemon.env = {};
        await daemon.start();
    }
    same('the daemon ends, to be started again', codes, [75, 75, 75]);
    await stored(river, before.length + told.length, 15000);
    same('and has from the broker again what it could not keep', await fcnts(river), [...before, ...told]);
}

async function outages() {
    section('outages');
    let before = await fcnts(river), mark = daemon.log.length;
    await broker.stop();
    fact('the loss of the broker is told', await until(() => /mqtt lost/.test(daemon.log.slice(mark)), 5000, 20), daemon.log);
    const told = [];
    const waiting = [];
    for (let i = 0; i < 5; i++) { told.push(river.fcnt); waiting.push(A.hear(river.up(Buffer.from([4, i, 90])))); }
    await sleep(300);
    await broker.start();
    fact('the daemon finds it again by itself', await connectedSince(mark), daemon.log.slice(mark));
    await Promise.all(waiting);
    await stored(river, before.length + told.length, 10000);
    same('what the gateway had kept meanwhile is there', await fcnts(river), [...before, ...told]);

    /* The daemon is away, the broker keeps, and is restarted besides. */
    before = await fcnts(river);
    await daemon.kill('SIGTERM');
    const kept = [];
    for (let i = 0; i < 20; i++) { kept.push(river.fcnt); await A.hear(river.up(Buffer.from([4, i, 90]), { confirmed: i % 2 === 0 }), { time: Date.now() }); }
    await sleep(1500);                                     /* it writes its store once a second */
    await broker.stop();
    await broker.start();
    await sleep(6000);                                     /* until nobody listens for an answer */
    const from = A.downs.length;
    await daemon.start();
    await stored(river, before.length + kept.length, 15000);
    same('what the broker had kept through its own restart comes in its order, once', await fcnts(river), [...before, ...kept]);
    await sleep(1200);
    same('and is not answered: its windows are over', A.downs.length - from, 0);
    fact('a frame of now is', await (async () => {
        await A.hear(river.up(Buffer.from([4, 1, 90]), { confirmed: true }), { time: Date.now() });
        return until(() => A.downs.length > from, 6000);
    })());

    mark = daemon.log.length;
    const thief = mqtt.connect(`mqtt://127.0.0.1:${broker.port}`, { clientId: 'hotaru', username: 'hotaru', password: 'hotaru-secret', reconnectPeriod: 0, clean: false });
    await new Promise((done) => thief.once('connect', done));
    fact('another client under our name puts us out', await until(() => /mqtt lost/.test(daemon.log.slice(mark)), 5000, 20), daemon.log);
    await sleep(2500);
    const losses = daemon.log.slice(mark).match(/mqtt lost/g).length;
    fact('which makes no storm', losses <= 3, losses);
    await thief.endAsync(true);
    fact('and passes', await until(() => isUp(), 20000, 20), daemon.log.slice(mark));
}

/* ------------------------------------------------------------------ TLS, wrong words, a broker that is none */

async function tls() {
    section('TLS');
    const at = (name) => path.join(broker.dir, name);
    const other = (args) => new Daemon({ args: ['--mqtt-gateways', `127.0.0.1:${broker.tlsPort}`, '--mqtt-client', 'hotaru-two', ...args] });
    const own = ['--mqtt-cert-file', at('hotaru.pem'), '--mqtt-key-file', at('hotaru.key')];
    for (const [what, args, good] of [
        ['a broker whose certificate our CA signed, and our own certificate', ['--mqtt-ca-file', at('ca.pem'), ...own], /mqtt up/],
        ['a broker of another CA is not believed', ['--mqtt-ca-file', at('other.pem'), ...own], /mqtt lost why="TLS: self-signed certificate|mqtt lost why="TLS: unable to get local issuer/],
        ['a broker under another name is not believed', ['--mqtt-ca-file', at('ca.pem'), ...own, '--mqtt-gateways', `localhost.localdomain:${broker.tlsPort}`], /mqtt lost why="(TLS: hostname|.*(not known|resolution|Name))/],
        ['without a certificate the broker lets nobody in', ['--mqtt-ca-file', at('ca.pem')], /mqtt lost/],
        ['nor with one of another CA', ['--mqtt-ca-file', at('ca.pem'), '--mqtt-cert-file', at('false.pem'), '--mqtt-key-file', at('false.key')], /mqtt lost/],
    ]) {
        const d = other(args);
        await d.start();
        fact(what, await until(() => good.test(d.log), 10000, 20), d.log);
        if (!/mqtt up/.test(good.source)) fact('and nothing is subscribed', !/mqtt up/.test(d.log), d.log);
        await d.kill('SIGTERM');
    }
    section('settings');
    for (const [what, args, words] of [
        ['a broker without a port', ['--mqtt-gateways', 'broker'], /host and a port/], ['port 0', ['--mqtt-gateways', 'b:0'], /host and a port/],
        ['a prefix with a wildcard', ['--mqtt-gateways', 'b:1', '--mqtt-prefix', 'as/+'], /mqtt_prefix/],
        ['a certificate without TLS', ['--mqtt-gateways', 'b:1', '--mqtt-cert-file', 'x'], /mqtt_ca_file/],
        ['a key without its certificate', ['--mqtt-gateways', 'b:1', '--mqtt-ca-file', at('ca.pem'), '--mqtt-key-file', 'x'], /alone/],
        ['a CA file that is none', ['--mqtt-gateways', 'b:1', '--mqtt-ca-file', at('acl')], /no certificates/],
        ['a password file that is not there', ['--mqtt-gateways', 'b:1', '--mqtt-user', 'u', '--mqtt-password-file', '/nowhere'], /mqtt_password_file/],
        ['no name', ['--mqtt-gateways', 'b:1', '--mqtt-client', ''], /mqtt_client/],
    ]) {
        const d = new Daemon({ args });
        const started = await d.start().then(() => true, () => false);
        fact(`${what} is no start, in words`, !started && words.test(d.log), d.log);
        if (started) await d.kill();
    }
}

async function nonsense() {
    section('a broker that is none');
    const answers = ['30ffffffff7f', '200200002002', 'd000', '20020000900400010101' + '3405000161000163', '20020000900400010101' + '3002000061',
        '1000', '2002000590040001', '20020000900400010101' + 'f0ff', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n').toString('hex')];
    let calls = 0, ended = 0;
    const server = createServer((s) => {
        const answer = answers[calls++ % answers.length];
        s.on('error', () => {});
        s.on('close', () => { ended++; });
        s.on('data', () => s.write(Buffer.from(answer, 'hex')));
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    const d = new Daemon({ args: ['--mqtt-gateways', `127.0.0.1:${server.address().port}`] });
    await d.start();
    await until(() => ended >= 3, 12000, 50);
    fact('it is left after each wrong word, and asked again ever more rarely', calls >= 3 && calls <= 6 && ended >= 3, [calls, ended, d.log]);
    same('while the daemon serves', (await d.get('/health')).status, 200);
    await d.kill('SIGTERM');
    server.close();
}

await run(async () => {
    if (!hasMosquitto()) return skip('gateways over MQTT', 'there is no mosquitto here');
    broker = new Broker();
    await broker.start();
    const password = path.join(broker.dir, 'ours');
    writeFileSync(password, 'hotaru-secret\n', { mode: 0o600 });
    daemon = new Daemon({ args: ['--profiles', path.join(ROOT, 'test/process/profiles'), '--mqtt-gateways', `127.0.0.1:${broker.port}`, '--mqtt-user', 'hotaru',
        '--mqtt-password-file', password] });
    await daemon.start();
    await enrol();
    await ways();
    await refusals();
    await kills();
    await failing();
    await outages();
    await tls();
    await nonsense();
}, async () => {
    for (const g of [A, B, STRANGER]) await g.close();
    if (daemon?.alive) await daemon.kill('SIGTERM');
    if (broker?.child) await broker.stop();
});
