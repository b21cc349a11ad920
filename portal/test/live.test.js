// SPDX-License-Identifier: Apache-2.0
import test from 'node:test';
import assert from 'node:assert/strict';
import { makeClock } from '../src/clock.js';
import { makeLive } from '../src/live.js';
import { makeParser } from '../src/stream.js';
import { decimalsOf, plan, rangeFor, rangeFrom } from '../src/plan.js';

function clockAt() {
    const state = { ms: 0 };
    return [makeClock(() => state.ms), state];
}

test("the city's clock follows the server, not the phone", () => {
    const [clock, state] = clockAt();
    clock.heard('2026-02-10T00:00:00.000Z');
    state.ms = 5000;
    assert.equal(new Date(clock.now()).toISOString(), '2026-02-10T00:00:05.000Z');
});

test('a city that runs sixty times as fast ages sixty times as fast', () => {
    const [clock, state] = clockAt();
    clock.heard('2026-02-10T00:00:00.000Z');
    state.ms = 10000;
    clock.heard('2026-02-10T00:10:00.000Z');
    state.ms = 11000;
    assert.equal(new Date(clock.now()).toISOString(), '2026-02-10T00:11:00.000Z');
});

test('the jitter of a slow line is not taken for a fast city', () => {
    const [clock, state] = clockAt();
    clock.heard('2026-02-10T00:00:00.000Z');
    state.ms = 2000;
    clock.heard('2026-02-10T00:00:03.500Z');
    state.ms = 3000;
    assert.equal(new Date(clock.now()).toISOString(), '2026-02-10T00:00:04.500Z');
});

test('a time that cannot be read changes nothing', () => {
    const [clock] = clockAt();
    clock.heard('soon');
    assert.equal(clock.known(), false);
});

test('events arrive whole, however the bytes were cut', () => {
    const text = ': ping\n\nid: 7\nevent: change\ndata: {"a":\ndata: 1}\n\nid: 8\r\ndata:x\r\n\r\n';
    for (let cut = 0; cut <= text.length; cut++) {
        const seen = [];
        const feed = makeParser((e) => seen.push(e));
        feed(text.slice(0, cut));
        feed(text.slice(cut));
        assert.deepEqual(seen, [
            { id: '7', event: 'change', data: '{"a":\n1}' },
            { id: '8', event: 'message', data: 'x' },
        ], `cut at ${cut}`);
    }
});

test('half an event is not an event', () => {
    const seen = [];
    makeParser((e) => seen.push(e))('id: 7\ndata: {}\n');
    assert.deepEqual(seen, []);
});

test('the connection is lost only when neither stream nor question is answered', () => {
    const told = [];
    const live = makeLive({ now: () => 5 }, (state) => told.push(state));
    assert.equal(live.state(), 'start');
    live.succeeded();
    assert.equal(live.state(), 'polling');
    live.opened();
    assert.equal(live.state(), 'live');
    live.failed();
    assert.equal(live.state(), 'live', 'a hiccup under an open stream');
    live.closed();
    assert.equal(live.state(), 'lost');
    live.succeeded();
    assert.equal(live.state(), 'polling');
    assert.deepEqual(told, ['polling', 'live', 'lost', 'polling']);
});

const at = (minute) => new Date(Date.UTC(2026, 1, 10, 0, minute)).toISOString();
const window_s = { from_s: Date.UTC(2026, 1, 10) / 1000, to_s: Date.UTC(2026, 1, 10, 6) / 1000 };

test('a line is broken where the device was silent', () => {
    const p = plan([[at(0), 1, ''], [at(10), 2, ''], [at(60), 3, ''], [at(70), 4, '']], { gap_s: 1230, ...window_s });
    assert.deepEqual(p.y, [1, 2, null, 3, 4]);
    assert.equal(p.gaps, 1);
});

test('a doubtful value is not on the line and does not stretch the scale', () => {
    const p = plan([[at(0), 1, ''], [at(10), 37.8, '!'], [at(20), 2, '']], { gap_s: null, ...window_s });
    assert.deepEqual(p.y, [1, 2]);
    assert.equal(p.doubtful.length, 1);
    assert.equal(p.outside, 1);
    assert.ok(p.high < 3);
});

test('when all values are doubtful they make the scale', () => {
    const p = plan([[at(0), 37, '!'], [at(10), 38, '!']], { ...window_s });
    assert.equal(p.outside, 0);
    assert.deepEqual(p.y, [null]);
});

test('states become steps, with rest at the bottom', () => {
    const p = plan([[at(0), 'on', ''], [at(10), 'off', ''], [at(20), 'on', '']], { ...window_s });
    assert.deepEqual(p.states, ['off', 'on']);
    assert.deepEqual(p.y, [1, 0, 1]);
});

test('points without a value or a time are left out', () => {
    const p = plan([[at(0), null, ''], ['never', 3, ''], [at(10), 1, '']], { ...window_s });
    assert.deepEqual(p.y, [1]);
    assert.equal(plan([], window_s).y.length, 1);
});

test('a flat value does not fill the chart, and a zero has nothing below it', () => {
    const river = plan([[at(0), 0.96, ''], [at(10), 0.97, '']], { ...window_s, unit: 'MTR' });
    assert.ok(river.high - river.low >= 0.1);
    assert.ok(Math.abs((river.high + river.low) / 2 - 0.965) < 1e-9);
    const wide = plan([[at(0), 1, ''], [at(10), 5, '']], { ...window_s, unit: 'MTR' });
    assert.ok(wide.low < 1 && wide.low > 0 && wide.high > 5 && wide.high < 6);
    const full = plan([[at(0), 100, ''], [at(10), 100, '']], { ...window_s, unit: 'P1' });
    assert.ok(full.high < 101 && full.high > 100 && full.low < 96);
    const dry = plan([[at(0), 0, ''], [at(10), 0, '']], { ...window_s, unit: 'MMT' });
    assert.ok(dry.low < 0 && dry.low > -0.2 && dry.high >= 2);
    const frost = plan([[at(0), -3, '']], { ...window_s, unit: 'CEL' });
    assert.ok(frost.low < -3.5 && frost.high > -2.5);
});

test('the chart begins with the shortest range that holds all there is', () => {
    const now = Date.UTC(2026, 1, 10), minutes = (n) => now - n * 60e3;
    assert.equal(rangeFor(minutes(3), false, now), 'h1');
    assert.equal(rangeFor(minutes(61), false, now), 'h6');
    assert.equal(rangeFor(minutes(7 * 60), false, now), 'h24');
    assert.equal(rangeFor(minutes(3), true, now), 'h24', 'there is more before the last day');
    assert.equal(rangeFor(NaN, false, now), 'h24');
});

test('the first minutes of a city fill the shortest range, and no other', () => {
    const now = Date.UTC(2026, 1, 10), minutes = (n) => now - n * 60e3;
    assert.equal(rangeFrom('h1', minutes(3), now), minutes(10));
    assert.equal(rangeFrom('h1', minutes(30), now), minutes(30));
    assert.equal(rangeFrom('h1', minutes(90), now), minutes(60));
    assert.equal(rangeFrom('h1', NaN, now), minutes(60), 'a device that was silent before');
    assert.equal(rangeFrom('h6', minutes(3), now), minutes(360));
});

test('an axis has the decimals that its steps need', () => {
    for (const [step, n] of [[50, 0], [2.5, 1], [0.5, 1], [0.02, 2], [0.025, 3], [0.001, 3]]) assert.equal(decimalsOf(step), n);
});
