// SPDX-License-Identifier: Apache-2.0
/*
 * Facts are sentences that are false when they fail. One line for each that failed (all of them with
 * -v), and at the end the plain line that test/run.sh adds up.
 */
const VERBOSE = process.argv.includes('-v');

let passed = 0, failed = 0, skipped = 0;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export function fact(sentence, truth, got) {
    if (truth) {
        passed++;
        if (VERBOSE) console.log(`  ok  ${sentence}`);
        return true;
    }
    failed++;
    const shown = got === undefined ? '' : (typeof got === 'string' ? got : JSON.stringify(got));
    console.log(`FALSE ${sentence}${shown === '' ? '' : `\n      got ${shown.length > 1200 ? `${shown.slice(0, 1200)} …` : shown}`}`);
    return false;
}

export const same = (sentence, got, want) =>
    fact(sentence, JSON.stringify(got) === JSON.stringify(want), `${JSON.stringify(got)}, not ${JSON.stringify(want)}`);

/* Counted and printed, never silent. */
export function skip(sentence, why) {
    skipped++;
    console.log(`skip  ${sentence}: ${why}`);
}

export const section = (words) => { if (VERBOSE) console.log(`-- ${words}`); };

/* The value as soon as `probe` gives one that is not false; false when the time is over. */
export async function until(probe, ms = 3000, step = 5) {
    const end = Date.now() + ms;
    for (;;) {
        const value = await probe();
        if (value || Date.now() >= end) return value;
        await sleep(step);
    }
}

function close(started) {
    console.log(`${((Date.now() - started) / 1000).toFixed(1)} s`);
    console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
    process.exit(failed ? 1 : 0);
}

/* Nothing can follow: say so and stop. */
export function fatal(sentence, got) {
    fact(sentence, false, got);
    close(Date.now() - performance.now());
}

/* Every program ends here, whatever happened to it. */
export async function run(body, after = async () => {}) {
    const started = Date.now() - performance.now();
    try {
        await body();
    } catch (e) {
        fact('the test itself runs to its end', false, e.stack || String(e));
    }
    try {
        await after();
    } catch (e) {
        fact('the test cleans up after itself', false, e.stack || String(e));
    }
    close(started);
}

/* Chance that can be repeated: mulberry32. */
export function chance(seed) {
    let a = seed >>> 0;
    const next = () => {
        a = (a + 0x6D2B79F5) >>> 0;
        let t = Math.imul(a ^ (a >>> 15), 1 | a);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    return {
        real: next,
        below: (n) => Math.floor(next() * n),
        between: (a, b) => a + next() * (b - a),
        of: (list) => list[Math.floor(next() * list.length)],
        bytes: (n) => Buffer.from(Array.from({ length: n }, () => Math.floor(next() * 256))),
    };
}
