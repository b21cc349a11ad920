// SPDX-License-Identifier: Apache-2.0
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import * as say from '../src/say.js';

const words = (lang) => JSON.parse(readFileSync(new URL(`../src/words/${lang}.json`, import.meta.url)));
const JA = words('ja'), EN = words('en');
const speaker = (w) => (key, values) => (w[key] ?? key).replace(/\{(\w+)\}/g, (all, n) => values && n in values ? values[n] : all);
const ja = speaker(JA), en = speaker(EN);

test('an age is told in the largest unit and, where it helps, the next', () => {
    /*   seconds    Japanese            English             */
    for (const [s, j, e] of [
        [0,         '0秒前',            '0 s ago'],
        [59.9,      '59秒前',           '59 s ago'],
        [60,        '1分前',            '1 min ago'],
        [3599,      '59分前',           '59 min ago'],
        [3600,      '1時間前',          '1 h ago'],
        [7500,      '2時間5分前',       '2 h 5 min ago'],
        [86400,     '1日前',            '1 d ago'],
        [97200,     '1日3時間前',       '1 d 3 h ago'],
        [-3,        '0秒前',            '0 s ago'],
        [-120,      '120秒先の時刻（時計のずれ）', '120 s ahead (clock error)'],
        [NaN,       '時刻不明',         'time unknown'],
    ]) {
        assert.equal(say.age(ja, s), j);
        assert.equal(say.age(en, s), e);
    }
});

test('no value is never shown as zero', () => {
    for (const v of [null, undefined, '', NaN, Infinity]) assert.equal(say.value(en, v, 'MTR'), 'no value');
    assert.equal(say.value(en, 0, 'MTR'), '0.00\u00a0m');
    assert.equal(say.value(en, false, null), 'no');
});

test('a value carries its unit and only the decimals its gauge can know', () => {
    assert.equal(say.value(en, 1.2345, 'MTR'), '1.23\u00a0m');
    assert.equal(say.value(en, -0.74, 'MTR'), '−0.74\u00a0m');
    assert.equal(say.value(en, -0.001, 'MTR'), '0.00\u00a0m');
    assert.equal(say.value(en, 21.55, 'CEL'), '21.6\u00a0°C');
    assert.equal(say.value(en, 1.23456, 'XYZ'), '1.235\u00a0XYZ');
    assert.equal(say.value(en, 7, null), '7');
    assert.equal(say.value(ja, 'on', null), '運転');
    assert.equal(say.value(en, '<b>odd</b>', null), '<b>odd</b>');
});

test('times are those of Japan, whatever the machine thinks', () => {
    const ms = Date.parse('2026-02-09T22:00:05.000Z');
    assert.equal(say.jstIso(ms), '2026-02-10T07:00:05+09:00');
    assert.equal(say.clockTime(ms), '07:00');
    assert.equal(say.clockTime(Date.parse('2026-02-09T15:00:00Z')), '00:00');
    assert.equal(say.dayTime('ja', ms), '2月10日 07:00');
    assert.equal(say.dayTime('en', ms), '10 Feb 07:00');
    assert.equal(say.fullTime('en', ms), '10 Feb 2026 07:00:05 JST');
});

test('the date stands with the hour unless it is today in Japan', () => {
    const now = Date.parse('2026-02-10T00:00:00Z');            /* 9:00 on the 10th */
    assert.equal(say.shortTime('ja', Date.parse('2026-02-09T15:00:00Z'), now), '00:00');
    assert.equal(say.shortTime('ja', Date.parse('2026-02-09T14:59:00Z'), now), '2月9日 23:59');
});

test('a device is late after two intervals and half a minute', () => {
    assert.equal(say.silentAfter(600), 1230);
    assert.equal(say.silentAfter(0), null);
    assert.equal(say.silentAfter(undefined), null);
});

test('radio figures keep their sign and drop empty digits', () => {
    assert.equal(say.megahertz(923200000), '923.2\u00a0MHz');
    assert.equal(say.megahertz(924000000), '924.0\u00a0MHz');
    assert.equal(say.signed(-97, 0), '−97');
    assert.equal(say.signed(null, 0), '?');
});

test('every flag has a word and an unknown one says itself', () => {
    for (const f of say.FLAGS) assert.notEqual(say.flagWord(ja, f), `flag.${f}`);
    assert.equal(say.flagWord(en, 'Z'), 'flag Z');
    assert.equal(say.flagWord(en, ''), '');
});

test('an interval is said as people say it', () => {
    assert.equal(say.every(en, 600), 'every 10 min');
    assert.equal(say.every(en, 3600), 'every 1 h');
    assert.equal(say.every(ja, 45), '45秒ごと');
});

test('both languages have the same keys and the same blanks to fill', () => {
    assert.deepEqual(Object.keys(JA), Object.keys(EN));
    const blanks = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort();
    for (const key of Object.keys(JA)) {
        assert.deepEqual([...new Set(blanks(JA[key]))], [...new Set(blanks(EN[key]))], key);
        assert.notEqual(JA[key].trim(), '', key);
    }
});

/* 気象業務法 23条 and reference to it in the design: words that only others may use, and words
   that make silence sound like safety. */
test('no text uses a word that a city may not use', () => {
    const forbidden = ['警報', '注意報', '予報', '予測水位', '解除', '異常なし', '警戒レベル', 'warning', 'forecast', 'all clear', 'successful'];
    for (const text of [...Object.values(JA), ...Object.values(EN)])
        for (const word of forbidden) assert.ok(!text.toLowerCase().includes(word), `${word}: ${text}`);
});

test('every key that the screens ask for has words', () => {
    const files = ['app', 'parts', 'say', 'chart', 'map-view', 'screens/wrong', 'screens/map', 'screens/devices',
        'screens/device', 'screens/gateways', 'screens/about'];
    for (const file of files) {
        const text = readFileSync(new URL(`../src/${file}.js`, import.meta.url), 'utf8');
        for (const [, key] of text.matchAll(/\bt\('([\w.]+)'/g)) assert.ok(key in JA, `${file}: ${key}`);
    }
});

test('every refusal of the server has Japanese words', () => {
    let header;
    try { header = readFileSync(new URL('../../src/core/core.h', import.meta.url), 'utf8'); } catch { return; }
    for (const [, drop] of header.matchAll(/X\((DROP_\w+),/g)) assert.ok(`drop.${drop}` in JA, drop);
});

test('every state of a downlink has words', () => {
    let header;
    try { header = readFileSync(new URL('../../src/core/core.h', import.meta.url), 'utf8'); } catch { return; }
    for (const [, state] of header.matchAll(/X\(DOWN_\w+,\s+"(\w+)"/g)) assert.ok(`dl.${state}` in JA, state);
});
