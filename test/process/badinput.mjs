// SPDX-License-Identifier: Apache-2.0
/*
 * The bad-input corpus against the real program: every file is sent over a real socket, and exactly
 * the word of its row is counted, no other. Good neighbours in the same text are accepted and the
 * text acknowledged; what is refused changes nothing; an answer is never longer than its question.
 *
 *     node badinput.mjs [-v]        HOTARU=program
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Daemon, ROOT } from './daemon.mjs';
import { Device } from './device.mjs';
import { Gateway } from './gateway.mjs';
import { fact, run, same, section, until } from './facts.mjs';

const CORPUS = path.join(ROOT, 'test/corpus');
const daemon = new Daemon({ args: ['--profiles', path.join(ROOT, 'test/process/profiles')] });
const gateway = new Gateway(daemon, 'C0000000000000C1');
const thief = new Gateway(daemon, 'C0000000000000C1', { host: '127.0.0.2' });
const device = new Device({ dev_eui: '70B3D57ED0E00001', app_key: 'c3e90a7716bd4f52a8801d3be5f64c29', profile: 'test-none' });

/* ------------------------------------------------------------------ the table: what each file comes to */

/* Acknowledged and without a word. */
const UDP = {
    PASS: 'version-1 push-stat-only pull-with-text',
    DROP_SHORT_DATAGRAM: 'bytes-00 bytes-01 bytes-02 bytes-03 bytes-04 bytes-05 bytes-06 bytes-07 bytes-08 bytes-09 bytes-10 bytes-11',
    DROP_UDP_VERSION: 'version-0 version-3 version-255',
    DROP_UDP_KIND: 'kind-1 kind-3 kind-4 kind-6 kind-7 kind-255',
    DROP_UNKNOWN_GATEWAY: 'eui-unknown eui-unknown-garbage',
    DROP_JSON: 'push-empty push-array push-cut push-binary push-two-texts push-nul-behind tx-ack-bad-json',
    DROP_RXPK_FIELD: 'push-rxpk-object push-rxpk-text',
    DROP_TXACK: 'tx-ack-not-asked',
};
/* Between two good neighbours that are kept; PASS: it is kept itself. */
const RXPK = {
    PASS: 'good good-no-time good-chan-minus-1 good-minus-zero good-stat-0 good-stat-absent good-size-absent good-tmst-largest good-time-1970 good-time-2038 good-time-9999 ' +
          'good-time-nonsense good-time-number good-unknown-bad-values good-rsig-8-antennas good-blanks good-base64-url good-base64-unpadded good-base64-mixed good-base64-crlf good-fsk good-bom good-deep-elsewhere',
    DROP_RXPK_FIELD: 'twice-data twice-tmst twice-escaped data-missing data-null data-number data-array data-raw-nul data-not-utf8 data-lone-surrogate data-bad-escape ' +
          'tmst-missing tmst-33-bits tmst-64-bits tmst-minus tmst-fraction tmst-text tmst-nan tmst-huge freq-missing freq-nan freq-1e999 freq-minus-zero freq-hertz freq-text ' +
          'rssi-nan rssi-text rssi-missing rssi-huge lsnr-missing lsnr-infinity rsig-empty rsig-number stat-2 stat-text stat-true element-number element-null element-text element-array element-empty element-deep deep-65',
    DROP_SIZE_DIFFERS: 'size-smaller size-larger size-text size-minus size-null',
    DROP_BASE64: 'base64-foreign base64-lone-digit base64-blank base64-tab base64-pad-inside base64-nul base64-kanji',
    DROP_TOO_LONG: 'data-256-bytes data-400-bytes data-30000-bytes',
    DROP_TRUNCATED: 'data-0-bytes data-11-bytes',
    DROP_UNKNOWN_DEVADDR: 'data-12-bytes data-255-bytes',
    DROP_FREQUENCY: 'freq-europe freq-2g4 freq-just-outside',
    DROP_MODULATION: 'modu-missing modu-lr-fhss modu-unknown modu-lower modu-surrogate modu-not-utf8 datr-missing datr-number datr-sf13 datr-cut datr-fsk-text datr-fsk-zero',
    DROP_BAD_CRC: 'stat-minus-1',
    /* the structure is broken: the whole text is refused, and nothing of it acknowledged */
    DROP_JSON: 'text-cut text-comma text-no-quotes text-single-quotes text-comment text-utf16 text-two-boms',
};
const PHY = {
    DROP_TRUNCATED: 'mtype-0-join-22 mtype-0-join-1 fopts-longer-than-frame fopts-15-of-14 mic-only mhdr-only mhdr-and-mic bytes-11 zeros-12',
    DROP_TOO_LONG: 'mtype-0-join-24',
    DROP_UNKNOWN_DEVICE: 'mtype-0-join-unknown',
    DROP_MTYPE: 'mtype-1-join-accept mtype-1-join-accept-33 mtype-3-down mtype-5-down',
    DROP_UNKNOWN_DEVADDR: 'mtype-2-nobody mtype-4-nobody fport-absent fport-0 fport-0-empty fport-224 fport-255 rfu-bits relay-in-relay relay-cut',
    DROP_REJOIN: 'mtype-6-rejoin-0 mtype-6-rejoin-1 mtype-6-rejoin-2 mtype-6-rejoin-3 mtype-6-cut',
    DROP_PROPRIETARY: 'mtype-7-proprietary mtype-7-one-byte mtype-7-255-bytes',
    DROP_MAJOR: 'major-1 major-2 major-3 major-1-join ones-12 ones-255',
    DROP_MAC_TWICE: 'fopts-15-fport-0 fopts-1-fport-0',
};

function rows(table, kind, ext) {
    const out = Object.entries(table).flatMap(([word, names]) => names.split(' ').map((name) => ({ name, word, bytes: readFileSync(path.join(CORPUS, kind, `${name}${ext}`)) })));
    const there = readdirSync(path.join(CORPUS, kind)).map((f) => f.slice(0, -ext.length)).sort();
    same(`every file of ${kind}/ has a row`, there.filter((f) => !out.some((r) => r.name === f)), []);
    return out;
}

/* ------------------------------------------------------------------ what one input comes to */

const COUNTS = ['hotaru_uplinks_total', 'hotaru_joins_total', 'hotaru_readings_total', 'hotaru_downlinks_total'];

function difference(a, b) {
    const out = {};
    for (const [word, n] of Object.entries(b.drops)) if (n !== a.drops[word]) out[word] = n - a.drops[word];
    for (const name of COUNTS) if (b[name] !== a[name]) out[name] = b[name] - a[name];
    return out;
}

/* Runs `send`, then a question that is answered behind it; what was counted until then. */
async function counted(send, want) {
    const before = await daemon.metrics();
    const acked = send();
    const alive = await gateway.pull({ ms: 3000 });
    let got;
    await until(async () => JSON.stringify(got = difference(before, await daemon.metrics())) === JSON.stringify(want), 600, 3);
    return { alive, got, acked: await Promise.race([acked, new Promise((done) => setTimeout(done, 5, false))]) };
}

async function check(name, send, want, acknowledged = true) {
    const ordered = {};
    for (const k of [...Object.keys((await daemon.metrics()).drops), ...COUNTS]) if (want[k]) ordered[k] = want[k];
    const { alive, got, acked } = await counted(send, ordered);
    fact(`${name}: the daemon lives`, alive);
    same(`${name}: counted`, got, ordered);
    same(`${name}: acknowledged`, acked, acknowledged);
}

/* ------------------------------------------------------------------ the three rows */

const good = (more) => gateway.rxpk(device.up(Buffer.from('ab')), more);

async function headers() {
    section('UDP header');
    for (const { name, word, bytes } of rows(UDP, 'udp', '.bin')) {
        const wait = word === 'PASS' ? ackOf(bytes) : Promise.resolve(false);
        await check(`udp/${name}`, () => { gateway.send(bytes, gateway.up); return wait; }, word === 'PASS' ? {} : { [word]: 1 }, word === 'PASS');
    }
    /* What is too large to keep in a repository. */
    const blank = Buffer.concat([Buffer.from('{"rxpk":[]}'), Buffer.alloc(65507 - 12 - 11, 0x20)]);
    await check('65,507 bytes that are JSON', () => gateway.pushText(blank), {});
    await check('65,507 bytes that are not', () => gateway.pushText(Buffer.alloc(65507 - 12, 0x5b)), { DROP_JSON: 1 }, false);
    await check('the same token twice', () => Promise.all([gateway.push({ rxpk: [] }, { token: 77 }), gateway.push({ stat: {} }, { token: 77 })]).then((a) => a.some(Boolean)), {});
    await check('PULL_DATA from another address', () => thief.pull({ ms: 100 }), { DROP_FOREIGN_SOURCE: 1 }, false);
    await check('PUSH_DATA from another address', () => thief.push({ rxpk: [thief.rxpk(device.up(Buffer.from('x'), { fcnt: device.fcnt }))] }, { ms: 100 }), { DROP_FOREIGN_SOURCE: 1 }, false);
    await check('TX_ACK from another address', () => { thief.send(Buffer.concat([thief.head(5, 1), thief.eui]), thief.down); return false; }, { DROP_FOREIGN_SOURCE: 1 }, false);
    same('the thief was told nothing', thief.replies, []);
}

/* The files bring their own token: wait for the acknowledgement of that. */
function ackOf(bytes) {
    const key = (bytes[3] === 2 ? 4 : 1) << 16 | bytes.readUInt16BE(1);
    return new Promise((done) => gateway.waiting.set(key, { done, timer: setTimeout(() => done(false), 5000), bytes: bytes.length }));
}

function filled(text) {
    const phy = device.up(Buffer.from('filled'), { fcnt: device.fcnt });
    const plain = phy.toString('base64');
    const url = plain.replaceAll('+', '-').replaceAll('/', '_');
    const mixed = [...plain].map((c, i) => (i % 2 ? c : { '+': '-', '/': '_' }[c] || c)).join('');
    const fill = { '@DATA@': plain, '@SIZE@': String(phy.length), '@URL@': url, '@UNPADDED@': plain.replaceAll('=', ''), '@MIXED@': mixed, '@CRLF@': `${plain.slice(0, 8)}\\r\\n${plain.slice(8)}\\r\\n` };
    let out = text.toString('latin1');
    for (const [k, v] of Object.entries(fill)) out = out.replaceAll(k, v);
    return out;
}

async function objects() {
    section('rxpk');
    for (const { name, word, bytes } of rows(RXPK, 'rxpk', '.json')) {
        const whole = bytes.includes('rxpk') || bytes.includes('r\0x\0p\0k\0');
        let text, kept = word === 'PASS' ? 1 : 0;
        if (whole) {
            text = bytes.toString('latin1').replace('@GOOD@', () => JSON.stringify(good()));
            if (word !== 'PASS') device.fcnt--;                           /* nothing of it is kept */
        } else {
            const first = JSON.stringify(good()), middle = filled(bytes);
            if (word === 'PASS') device.fcnt++;
            text = `{"rxpk":[${first},${middle},${JSON.stringify(good())}]}`;
            kept += 2;
        }
        if (bytes.includes('utf16') || name === 'text-utf16') device.fcnt++;
        const refused = word === 'DROP_JSON';
        await check(`rxpk/${name}`, () => gateway.pushText(Buffer.from(text, 'latin1')), { ...(word === 'PASS' ? {} : { [word]: 1 }), ...(refused ? {} : { hotaru_uplinks_total: kept }) }, !refused);
    }
    section('rxpk too large to keep');
    const nest = (n) => `{"rxpk":[${JSON.stringify(good())}],"x":${'['.repeat(n)}${']'.repeat(n)}}`;
    for (const n of [65, 10000, 30000])
        await check(`nesting ${n} deep beside a good object`, () => gateway.pushText(nest(n)), { hotaru_uplinks_total: 1 });
    await check('nesting 60,000 deep without an end', () => gateway.pushText(`{"rxpk":${'['.repeat(60000)}`), { DROP_JSON: 1 }, false);
    const small = '{"tmst":1,"freq":923.2,"modu":"LORA","datr":"SF9BW125","rssi":-9,"lsnr":1,"data":""}';
    await check('700 rxpk in one datagram', () => gateway.pushText(`{"rxpk":[${Array(700).fill(small).join(',')}]}`), { DROP_RXPK_TOO_MANY: 1, DROP_TRUNCATED: 255 }, false);
    await check('1,000 rxpk of nothing', () => gateway.pushText(`{"rxpk":[${Array(1000).fill('{}').join(',')}]}`), { DROP_RXPK_TOO_MANY: 1, DROP_RXPK_FIELD: 255 }, false);
    await check('20,000 rxpk of nothing', () => gateway.pushText(`{"rxpk":[${Array(20000).fill('{}').join(',')}]}`), { DROP_JSON: 1 }, false);
    await check('255 rxpk, all good', () => gateway.push({ rxpk: Array.from({ length: 150 }, () => good({ time: undefined })) }), { hotaru_uplinks_total: 150 });
}

async function payloads() {
    section('PHYPayload');
    for (const { name, word, bytes } of rows(PHY, 'phy', '.hex')) {
        const phy = Buffer.from(bytes.toString().trim(), 'hex');
        const text = { rxpk: [good(), gateway.rxpk(phy), good()] };
        await check(`phy/${name}`, () => gateway.push(text), { [word]: 1, hotaru_uplinks_total: 2 });
    }
    /* What needs a session: lora-packet seals it, so that only the shape is wrong. */
    section('PHYPayload under a session');
    const one = (phy) => () => gateway.push({ rxpk: [gateway.rxpk(phy)] });
    const flip = (phy, at) => { const b = Buffer.from(phy); b[at < 0 ? b.length + at : at] ^= 1; return b; };
    const kept = { hotaru_uplinks_total: 1 };
    await check('FPort 224: the test port is stored, not decoded', one(device.up(Buffer.from('x'), { port: 224 })), kept);
    await check('FPort 255', one(device.up(Buffer.from('x'), { port: 255 })), kept);
    await check('FPort absent', one(device.up(undefined, { port: null })), kept);
    await check('FOptsLen 15', one(device.up(undefined, { port: null, fopts: '03'.padEnd(30, '0') })), kept);
    await check('truncated MAC commands in FOpts', one(device.up(Buffer.from('x'), { fopts: '06ff' })), kept);
    await check('truncated MAC commands on port 0', one(device.up(Buffer.from('03', 'hex'), { port: 0 })), kept);
    await check('an unknown CID in the middle ends the list', one(device.up(Buffer.from('x'), { fopts: '03077f0d' })), kept);
    await check('proprietary CIDs', one(device.up(Buffer.from('x'), { fopts: '80ffff' })), kept);
    await check('242 bytes', one(device.up(Buffer.alloc(242), {})), kept);
    await check('a storm of answers that nobody asked for', one(device.up(Buffer.from('0303030303030303030307070707050505'.repeat(6), 'hex'), { port: 0 })), kept);
    const last = device.up(Buffer.from('last'), {});
    await check('the newest frame', one(last), kept);
    await check('the same FCnt with another MIC', one(flip(last, -1)), { DROP_BAD_MIC: 1 });
    await check('the same FCnt with another payload', one(flip(last, -5)), { DROP_BAD_MIC: 1 });
    await check('the same frame under another MType', one(flip(last, 0)), { DROP_MAJOR: 1 });
    await check('the same frame, confirmed', one(Buffer.concat([Buffer.from([0x80]), last.subarray(1)])), { DROP_BAD_MIC: 1 });
    await check('FCnt + 16,385', one(device.up(Buffer.from('x'), { fcnt: device.fcnt - 1 + 16385 })), { DROP_FCNT_GAP: 1 });
    const before = device.up(Buffer.from('x'), { fcnt: device.fcnt + 16382 });
    await check('FCnt + 16,384', one(device.up(Buffer.from('x'), { fcnt: device.fcnt += 16383 })), kept);
    device.fcnt++;
    await check('FCnt − 1, heard by nobody yet: late', one(before), kept);
    await check('FCnt − 1, the same again', one(before), { DROP_COPY: 1 });
    await check('another session’s keys', one(device.up(Buffer.from('x'), { session: { ...device.session, keys: { AppSKey: Buffer.alloc(16, 1), NwkSKey: Buffer.alloc(16, 2) } } })), { DROP_BAD_MIC: 1 });
    await check('a join-request with a wrong MIC', one(flip(device.joinRequest(9), -1)), { DROP_JOIN_MIC: 1 });
    await check('a join-request for another JoinEUI', one(new Device({ dev_eui: device.dev_eui, join_eui: '1111111111111111', app_key: device.app_key }).joinRequest(9)), { DROP_UNKNOWN_DEVICE: 1 });
    await check('a DevNonce that was used', one(device.joinRequest(1)), { DROP_DEVNONCE: 1 });
    await check('a relay’s frame inside another', one(device.up(Buffer.concat([Buffer.from('4032', 'hex'), device.up(Buffer.concat([Buffer.from('4032', 'hex'), last]), { port: 226, fcnt: 1 })]), { port: 226 })), kept);
    await check('after all that: a good frame', one(device.up(Buffer.from('ok'))), kept);
}

/* ------------------------------------------------------------------ the test */

const HEAD = 'dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated';

await run(async () => {
    await gateway.open();
    await thief.open();
    await daemon.start();
    await daemon.importTable('gateways', ['gateway_eui,name,latitude,longitude,altitude_m,region,simulated', `${gateway.name},北,,,,AS923-1,0`]);
    await daemon.importTable('devices', [HEAD, device.row()]);
    await gateway.pull();
    await gateway.hear(device.joinRequest(1));
    const accept = await until(() => gateway.downs.find((d) => device.readAccept(d.phy)), 6000);
    if (!accept) throw new Error('no join-accept');
    device.takeAccept(accept.phy);
    for (const fopts of ['', '090703', '']) {                     /* it does what is asked of its radio */
        const heard = gateway.downs.length;
        await gateway.hear(device.up(Buffer.from('first'), { fopts }));
        await until(async () => (await daemon.metrics()).hotaru_windows_open === 0, 8000, 20);
        if (fopts !== '' || device.fcnt === 1) await until(() => gateway.downs.length > heard, 8000, 20);
    }
    const downs = gateway.downs.length;
    gateway.replies.length = 0;
    await headers();
    await objects();
    await payloads();
    same('nothing of it was answered with a transmission that nobody needs', gateway.downs.length - downs, 0);
    fact('no answer is longer than its question', gateway.replies.every((n) => n === 4));
    same('nothing came that was not asked for, but the second answer to the token sent twice', gateway.strangers, 1);
    same('one device, one gateway, as before', [(await daemon.json('/v1/devices')).total, (await daemon.json('/v1/gateways')).gateways.length], [1, 1]);
    const { code } = await daemon.kill('SIGTERM');
    same('it stops in order', code, 0);
}, async () => {
    if (daemon.alive) await daemon.kill();
    gateway.close();
    thief.close();
});
