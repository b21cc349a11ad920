// SPDX-License-Identifier: Apache-2.0
/*
 * From points to what a chart draws. Pure.
 *
 * points: [ISO time, value, flag], oldest first. A null is put in wherever the pause is longer than
 * the device's silence rule: the line must not cross a time in which nobody knew.
 */
export function plan(points, { gap_s = null, from_s, to_s, unit = null }) {
    const all = points.map(([iso, value, flag]) => ({ x: Date.parse(iso) / 1000, value, flag: flag || '' }))
        .filter((p) => Number.isFinite(p.x) && p.value !== null && p.value !== undefined);
    const states = all.some((p) => typeof p.value !== 'number') ? distinct(all) : null;
    for (const p of all) p.y = states ? states.indexOf(p.value) : p.value;

    const good = all.filter((p) => !p.flag);
    const doubtful = all.filter((p) => p.flag);
    const x = [], y = [];
    let last = null, gaps = 0;
    for (const p of good) {
        if (last !== null && gap_s && p.x - last > gap_s) { x.push((p.x + last) / 2); y.push(null); gaps++; }
        x.push(p.x); y.push(p.y);
        last = p.x;
    }
    if (!x.length) { x.push(from_s); y.push(null); }

    const [low, high] = states ? [-0.3, states.length - 0.7] : scale(good.length ? good : doubtful, unit);
    return {
        x, y, all, states, doubtful, low, high, gaps,
        from: from_s, to: Math.max(to_s, all.length ? all[all.length - 1].x : to_s),
        outside: doubtful.filter((p) => p.y < low || p.y > high).length,
    };
}

function distinct(all) {
    return [...new Set(all.map((p) => p.value))].sort((a, b) => order(a) - order(b));
}

/* What is at rest lies at the bottom. */
const REST = ['off', 'free', false];
function order(value) {
    return REST.includes(value) ? 0 : 1;
}

/* What a chart shows at least, high to low: a tenth of a degree must not look like a frost. */
const SPAN_MIN = {
    MTR: 0.1, CMT: 5, MMT: 2, KMT: 1, CEL: 1, P1: 5, KPA: 10, A97: 2, AMP: 1, VLT: 0.2, DD: 10, MTS: 1, LUX: 50,
};
const NEVER_NEGATIVE = ['P1', 'CMT', 'MMT', 'KPA', 'A97', 'AMP', 'VLT', 'MTS', 'LUX'];
const ROOM = 0.12;          /* above and below the values, as a part of the span */
const EDGE = 0.04;          /* below a zero, or above 100 %, that no value can pass: room for the mark */

function scale(points, unit) {
    if (!points.length) return [0, 1];
    let low = Infinity, high = -Infinity;
    for (const p of points) { low = Math.min(low, p.y); high = Math.max(high, p.y); }
    const least = SPAN_MIN[unit] || (high > low ? 0 : Math.max(Math.abs(high) * 0.2, 1));
    const span = Math.max(high - low, least);
    const from = (low + high) / 2 - span * (0.5 + ROOM), size = span * (1 + 2 * ROOM);
    const floor = NEVER_NEGATIVE.includes(unit) && low >= 0 ? -EDGE * size : -Infinity;
    const top = unit === 'P1' && high <= 100 ? 100 + EDGE * size : Infinity;
    const base = Math.max(floor, Math.min(from, top - size));
    return [base, base + size];
}

/*
 * The ranges one can choose, shortest first. A new city is shown by the shortest range that holds
 * all there is; one with more than a day of history by its last day.
 */
const HOUR_MS = 3600e3;
export const RANGES = [['h1', HOUR_MS], ['h6', 6 * HOUR_MS], ['h24', 24 * HOUR_MS], ['d7', 168 * HOUR_MS]];
const USUAL = 'h24';
const YOUNG_MS = 600e3;     /* the shortest range begins with the first value, but shows at least this */

export function rangeMs(range) {
    return RANGES.find((r) => r[0] === range)[1];
}

/* first_ms: when the oldest value of the last day was observed; older: there is more before it. */
export function rangeFor(first_ms, older, now_ms) {
    if (older || !Number.isFinite(first_ms)) return USUAL;
    return RANGES.find(([key, ms]) => key === USUAL || now_ms - first_ms <= ms)[0];
}

export function rangeFrom(range, began_ms, now_ms) {
    const from = now_ms - rangeMs(range);
    if (range !== RANGES[0][0] || !Number.isFinite(began_ms)) return from;
    return Math.max(from, Math.min(began_ms, now_ms - YOUNG_MS));
}

/* How many decimals the steps of an axis need: 0.02 needs two, 2.5 one, 50 none. */
export function decimalsOf(step) {
    for (let d = 0; d < 6; d++)
        if (Math.abs(step * 10 ** d - Math.round(step * 10 ** d)) < 1e-6) return d;
    return 6;
}
