// SPDX-License-Identifier: Apache-2.0
/*
 * From points to what a chart draws. Pure.
 *
 * points: [ISO time, value, flag], oldest first. A null is put in wherever the pause is longer than
 * the device's silence rule: the line must not cross a time in which nobody knew.
 */
export function plan(points, { gap_s = null, from_s, to_s }) {
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

    const [low, high] = states ? [-0.3, states.length - 0.7] : scale(good.length ? good : doubtful);
    return {
        x, y, all, states, doubtful, low, high, gaps,
        from: from_s, to: Math.max(to_s, all.length ? all[all.length - 1].x : to_s),
        outside: doubtful.filter((p) => p.y < low || p.y > high).length,
        decimals: states ? 0 : decimals(high - low),
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

function scale(points) {
    if (!points.length) return [0, 1];
    let low = Infinity, high = -Infinity;
    for (const p of points) { low = Math.min(low, p.y); high = Math.max(high, p.y); }
    const room = high > low ? (high - low) * 0.12 : Math.max(Math.abs(high) * 0.1, 0.5);
    return [low - room, high + room];
}

function decimals(span) {
    if (span >= 20) return 0;
    if (span >= 2) return 1;
    return span >= 0.2 ? 2 : 3;
}
