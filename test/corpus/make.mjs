// SPDX-License-Identifier: Apache-2.0
/*
 * Writes the corpus of bad input beside this file: one file for each item of the rows "UDP header",
 * "rxpk JSON" and "PHYPayload". What each one must come to stands in test/process/badinput.mjs.
 *
 *     udp/*.bin     whole datagrams of the gateway C0000000000000C1
 *     rxpk/*.json   one object of rxpk[], with @DATA@ and @SIZE@ for a frame that is good; or, when it
 *                   names "rxpk" itself, a whole text, with @GOOD@ for whole good objects
 *     phy/*.hex     PHYPayloads that need no session
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const EUI = 'c0000000000000c1';
const put = (kind, name, content) => writeFileSync(path.join(HERE, kind, name), content);
for (const kind of ['udp', 'rxpk', 'phy']) {
    rmSync(path.join(HERE, kind), { recursive: true, force: true });
    mkdirSync(path.join(HERE, kind));
}

/* ------------------------------------------------------------------ UDP header */
const datagram = (version, kind, json = '', eui = EUI) => Buffer.concat([Buffer.from([version, 0xbe, 0xef, kind]), Buffer.from(eui, 'hex'), Buffer.from(json)]);
for (let n = 0; n < 12; n++) put('udp', `bytes-${String(n).padStart(2, '0')}.bin`, datagram(2, n % 2 ? 0 : 2).subarray(0, n));
for (const v of [0, 3, 255]) put('udp', `version-${v}.bin`, datagram(v, 0, '{"rxpk":[]}'));
put('udp', 'version-1.bin', datagram(1, 0, '{"rxpk":[]}'));
for (const k of [1, 3, 4, 6, 7, 255]) put('udp', `kind-${k}.bin`, datagram(2, k, '{}'));
put('udp', 'eui-unknown.bin', datagram(2, 0, '{"rxpk":[]}', 'deadbeefdeadbeef'));
put('udp', 'eui-unknown-garbage.bin', datagram(2, 0, '\xff'.repeat(200), 'deadbeefdeadbeef'));
put('udp', 'push-empty.bin', datagram(2, 0));
put('udp', 'push-array.bin', datagram(2, 0, '[]'));
put('udp', 'push-cut.bin', datagram(2, 0, '{"rxpk":[{"tmst":1,'));
put('udp', 'push-binary.bin', datagram(2, 0, Buffer.from(Array.from({ length: 256 }, (_, i) => i))));
put('udp', 'push-two-texts.bin', datagram(2, 0, '{"rxpk":[]}{"rxpk":[]}'));
put('udp', 'push-nul-behind.bin', datagram(2, 0, '{"rxpk":[]}\0'));
put('udp', 'push-rxpk-object.bin', datagram(2, 0, '{"rxpk":{}}'));
put('udp', 'push-rxpk-text.bin', datagram(2, 0, '{"rxpk":"x"}'));
put('udp', 'push-stat-only.bin', datagram(2, 0, '{"stat":{"time":"2014-01-12 08:59:28 GMT","lati":46.24,"long":3.2523,"alti":145,"rxnb":2,"rxok":2,"rxfw":2,"ackr":100.0,"dwnb":2,"txnb":2}}'));
put('udp', 'pull-with-text.bin', datagram(2, 2, '{"rxpk":[{"tmst":1}]}'));
put('udp', 'tx-ack-not-asked.bin', datagram(2, 5));
put('udp', 'tx-ack-bad-json.bin', datagram(2, 5, '{"txpk_ack":{"error":'));

/* ------------------------------------------------------------------ rxpk */
const rx = (over = {}, raw = '') => {
    const members = { tmst: '12', chan: '0', rfch: '0', freq: '923.2', stat: '1', modu: '"LORA"', datr: '"SF10BW125"', codr: '"4/5"', rssi: '-90', lsnr: '5', size: '@SIZE@', data: '"@DATA@"', ...over };
    return `{${Object.entries(members).filter(([, v]) => v !== null).map(([k, v]) => `"${k}":${v}`).join(',')}${raw}}`;
};
const b64 = (n) => `"${Buffer.alloc(n, 0x40).toString('base64')}"`;
const files = {
    /* accepted all the same */
    'good.json': rx(), 'good-no-time.json': rx({ time: null }), 'good-chan-minus-1.json': rx({ chan: '-1' }), 'good-minus-zero.json': rx({ rssi: '-0', lsnr: '-0.0', chan: '-0' }),
    'good-stat-0.json': rx({ stat: '0' }), 'good-stat-absent.json': rx({ stat: null }), 'good-size-absent.json': rx({ size: null }), 'good-tmst-largest.json': rx({ tmst: '4294967295' }),
    'good-time-1970.json': rx({ time: '"1970-01-01T00:00:00Z"' }), 'good-time-2038.json': rx({ time: '"2038-01-19T03:14:08.000000Z"' }), 'good-time-9999.json': rx({ time: '"9999-12-31T23:59:59Z"' }),
    'good-time-nonsense.json': rx({ time: '"yesterday"' }), 'good-time-number.json': rx({ time: '5' }),
    'good-unknown-bad-values.json': rx({}, ',"foff":NaN,"mid":1e999,"x":"\xff"'), 'good-rsig-8-antennas.json': rx({ rssi: null, lsnr: null },
        `,"rsig":[${Array.from({ length: 8 }, (_, i) => `{"ant":${i},"chan":${i},"rssic":-${90 + i},"rssis":-${95 + i},"rssisd":0,"lsnr":${i - 4}.5,"foff":0}`).join(',')}]`),
    'good-blanks.json': '{ "tmst" : 12 , "chan":  0, "rfch": 0, "freq" : 923.200000, "stat" :1, "mid": 0,\t"modu":"LORA",\r\n"datr": "SF10BW125", "codr":"4/5", "rssi": -90, "lsnr": 5.0 , "size": @SIZE@ , "data":"@DATA@" }',
    'good-base64-url.json': rx({ data: '"@URL@"' }), 'good-base64-unpadded.json': rx({ data: '"@UNPADDED@"' }), 'good-base64-mixed.json': rx({ data: '"@MIXED@"' }), 'good-base64-crlf.json': rx({ data: '"@CRLF@"' }),
    'good-fsk.json': rx({ modu: '"FSK"', datr: '50000' }),
    'good-bom.json': Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from('{"rxpk":[@GOOD@]}')]),
    'good-deep-elsewhere.json': `{"rxpk":[@GOOD@],"x":${'['.repeat(100)}${']'.repeat(100)}}`,
    /* names twice */
    'twice-data.json': rx({}, ',"data":"QAECAwQAAAABAgME"'), 'twice-tmst.json': rx({}, ',"tmst":12'), 'twice-escaped.json': rx({}, ',"d\\u0061ta":"QAECAwQAAAABAgME"'),
    /* data */
    'data-missing.json': rx({ data: null }), 'data-null.json': rx({ data: 'null' }), 'data-number.json': rx({ data: '5' }), 'data-array.json': rx({ data: '["@DATA@"]' }),
    'size-smaller.json': rx({ size: '3' }), 'size-larger.json': rx({ size: '250' }), 'size-text.json': rx({ size: '"@SIZE@"' }), 'size-minus.json': rx({ size: '-1' }), 'size-null.json': rx({ size: 'null' }),
    'data-0-bytes.json': rx({ size: '0', data: '""' }), 'data-11-bytes.json': rx({ size: '11', data: b64(11) }), 'data-12-bytes.json': rx({ size: '12', data: '"QP////8AAAAB//8C"' }),
    'data-255-bytes.json': rx({ size: '255', data: b64(255) }), 'data-256-bytes.json': rx({ size: '256', data: b64(256) }), 'data-400-bytes.json': rx({ size: '400', data: b64(400) }),
    'data-30000-bytes.json': rx({ size: '30000', data: b64(30000) }),
    'base64-foreign.json': rx({ data: '"QAEC!wQAAAABAgME"' }), 'base64-lone-digit.json': rx({ size: null, data: '"QAECAwQAAAABAgMEQ"' }), 'base64-blank.json': rx({ data: '"QAEC AwQAAAABAgME"' }),
    'base64-tab.json': rx({ data: '"QAEC\\tAwQAAAABAgME"' }), 'base64-pad-inside.json': rx({ data: '"QA==ECAwQAAAABAgME"' }), 'base64-nul.json': rx({ data: '"QAEC\\u0000AwQAAAABAgME"' }),
    'base64-kanji.json': rx({ data: '"富山市"' }), 'data-raw-nul.json': rx({ data: '"QAEC\0AwQAAAAB"' }), 'data-not-utf8.json': Buffer.from(rx({ data: '"QAEC\xff"' }), 'latin1'),
    'data-lone-surrogate.json': rx({ data: '"\\ud83d"' }), 'data-bad-escape.json': rx({ data: '"\\q"' }),
    /* numbers */
    'tmst-missing.json': rx({ tmst: null }), 'tmst-33-bits.json': rx({ tmst: '4294967296' }), 'tmst-64-bits.json': rx({ tmst: '18446744073709551616' }), 'tmst-minus.json': rx({ tmst: '-1' }),
    'tmst-fraction.json': rx({ tmst: '1.5' }), 'tmst-text.json': rx({ tmst: '"12"' }), 'tmst-nan.json': rx({ tmst: 'NaN' }), 'tmst-huge.json': rx({ tmst: '1'.repeat(400) }),
    'freq-missing.json': rx({ freq: null }), 'freq-nan.json': rx({ freq: 'NaN' }), 'freq-1e999.json': rx({ freq: '1e999' }), 'freq-minus-zero.json': rx({ freq: '-0' }), 'freq-hertz.json': rx({ freq: '923200000' }),
    'freq-text.json': rx({ freq: '"923.2"' }), 'freq-europe.json': rx({ freq: '868.1' }), 'freq-2g4.json': rx({ freq: '2403' }), 'freq-just-outside.json': rx({ freq: '933.7' }),
    'rssi-nan.json': rx({ rssi: 'NaN' }), 'rssi-text.json': rx({ rssi: '"-90"' }), 'rssi-missing.json': rx({ rssi: null }), 'rssi-huge.json': rx({ rssi: '1e300' }), 'lsnr-missing.json': rx({ lsnr: null }), 'lsnr-infinity.json': rx({ lsnr: '-Infinity' }),
    'rsig-empty.json': rx({ rssi: null, lsnr: null }, ',"rsig":[]'), 'rsig-number.json': rx({ rssi: null, lsnr: null }, ',"rsig":8'),
    /* modulation */
    'modu-missing.json': rx({ modu: null }), 'modu-lr-fhss.json': rx({ modu: '"LR-FHSS"', datr: '"M0CW137"' }), 'modu-unknown.json': rx({ modu: '"QAM"' }), 'modu-lower.json': rx({ modu: '"lora"' }),
    'modu-surrogate.json': rx({ modu: '"\\udc00"' }), 'modu-not-utf8.json': Buffer.from(rx({ modu: '"LOR\xff"' }), 'latin1'), 'datr-missing.json': rx({ datr: null }), 'datr-number.json': rx({ datr: '50000' }), 'datr-sf13.json': rx({ datr: '"SF13BW125"' }),
    'datr-cut.json': rx({ datr: '"SF10"' }), 'datr-fsk-text.json': rx({ modu: '"FSK"', datr: '"50000"' }), 'datr-fsk-zero.json': rx({ modu: '"FSK"', datr: '0' }),
    /* checksum */
    'stat-minus-1.json': rx({ stat: '-1' }), 'stat-2.json': rx({ stat: '2' }), 'stat-text.json': rx({ stat: '"1"' }), 'stat-true.json': rx({ stat: 'true' }),
    /* shapes */
    'element-number.json': '5', 'element-null.json': 'null', 'element-text.json': '"x"', 'element-array.json': '[]', 'element-empty.json': '{}', 'element-deep.json': `${'['.repeat(63)}${']'.repeat(63)}`,
    'deep-65.json': rx({}, `,"x":${'['.repeat(65)}${']'.repeat(65)}`).replace('"tmst":12,', ''),
    /* whole texts that cannot be read */
    'text-cut.json': '{"rxpk":[@GOOD@', 'text-comma.json': '{"rxpk":[@GOOD@,]}', 'text-no-quotes.json': '{rxpk:[@GOOD@],"rxpk":1}', 'text-single-quotes.json': "{'rxpk':[@GOOD@],\"rxpk\":1}",
    'text-comment.json': '/* x */{"rxpk":[@GOOD@]}', 'text-utf16.json': Buffer.from('{"rxpk":[]}', 'utf16le'), 'text-two-boms.json': Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf]), Buffer.from('{"rxpk":[@GOOD@]}')]),
};
for (const [name, text] of Object.entries(files)) put('rxpk', name, text);

/* ------------------------------------------------------------------ PHYPayload */
const ADDR = 'ffff0b26';                               /* 260BFFFF: of nobody here */
const MIC = '01020304';
const phy = {
    'mtype-0-join-22': `00${'11'.repeat(8)}${'22'.repeat(8)}0100${'33'.repeat(3)}`, 'mtype-0-join-24': `00${'11'.repeat(8)}${'22'.repeat(8)}0100${'33'.repeat(5)}`,
    'mtype-0-join-unknown': `00${'11'.repeat(8)}${'22'.repeat(8)}0100${MIC}`, 'mtype-0-join-1': '00',
    'mtype-1-join-accept': `20${'00'.repeat(16)}`, 'mtype-1-join-accept-33': `20${'00'.repeat(32)}`,
    'mtype-2-nobody': `40${ADDR}00010002aabb${MIC}`, 'mtype-3-down': `60${ADDR}00010002aabb${MIC}`, 'mtype-4-nobody': `80${ADDR}00010002aabb${MIC}`, 'mtype-5-down': `a0${ADDR}00010002aabb${MIC}`,
    'mtype-6-rejoin-0': `c000${'00'.repeat(17)}`, 'mtype-6-rejoin-1': `c001${'00'.repeat(22)}`, 'mtype-6-rejoin-2': `c002${'00'.repeat(17)}`, 'mtype-6-rejoin-3': `c003${'00'.repeat(17)}`, 'mtype-6-cut': 'c0',
    'mtype-7-proprietary': 'e0deadbeef', 'mtype-7-one-byte': 'e0', 'mtype-7-255-bytes': `e0${'aa'.repeat(254)}`,
    'major-1': `41${ADDR}00010002aabb${MIC}`, 'major-2': `42${ADDR}00010002aabb${MIC}`, 'major-3': `43${ADDR}00010002aabb${MIC}`, 'major-1-join': `01${'11'.repeat(8)}${'22'.repeat(8)}0100${MIC}`,
    'fopts-longer-than-frame': `40${ADDR}0f0100020304${MIC}`, 'fopts-15-of-14': `40${ADDR}0f0100${'02'.repeat(14)}${MIC}`, 'fopts-15-fport-0': `40${ADDR}0f0100${'02'.repeat(15)}00aa${MIC}`, 'fopts-1-fport-0': `40${ADDR}0101000200${MIC}`,
    'fport-absent': `40${ADDR}000100${MIC}`, 'fport-0': `40${ADDR}00010000aabb${MIC}`, 'fport-0-empty': `40${ADDR}00010000${MIC}`, 'fport-224': `40${ADDR}000100e0aabb${MIC}`, 'fport-255': `40${ADDR}000100ffaabb${MIC}`,
    'mic-only': '40020304', 'mhdr-only': '40', 'mhdr-and-mic': `40${MIC}`, 'bytes-11': `40${ADDR}0001${MIC}`, 'rfu-bits': `5c${ADDR}00010002aabb${MIC}`,
    'relay-in-relay': `40${ADDR}000100e240${ADDR}000100e240${ADDR}00010002aa${MIC}${MIC}${MIC}`, 'relay-cut': `40${ADDR}000100e2${MIC}`,
    'zeros-12': '00'.repeat(12), 'ones-12': 'ff'.repeat(12), 'ones-255': 'ff'.repeat(255),
};
for (const [name, hex] of Object.entries(phy)) put('phy', `${name}.hex`, `${hex}\n`);
