// SPDX-License-Identifier: Apache-2.0
/*
 * Planted bugs: a copy of the sources gets one defect at a time (plants.mjs), and the city in a box must find it
 * by a promise that forbids it. A test that cannot fail proves nothing; this is the proof that these can.
 *
 *     node test/plant/plant.mjs [word]        after `make build/city`; a copy grows in build-plant/
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { plants } from './plants.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const TREE = path.join(ROOT, 'build-plant');
const CITIES = ['--seeds', '1-10', '--hours', '1', '--for', '60'];
const NEEDED = ['src', 'sim', 'box', 'data', 'schema', 'dist', 'test/fuzz/rules.mk', 'test/shim/rules.mk', 'portal/dist', 'Makefile', 'VERSION', 'FLOORS', 'build/o', 'build/embedded.o', 'build/embedded.S'];

function prepare() {
    rmSync(TREE, { recursive: true, force: true });
    for (const what of NEEDED.filter((w) => existsSync(path.join(ROOT, w)))) {
        mkdirSync(path.dirname(path.join(TREE, what)), { recursive: true });
        cpSync(path.join(ROOT, what), path.join(TREE, what), { recursive: true, preserveTimestamps: true });
    }
}

/* The texts of the files as they are and as the plant wants them. A text that is gone is an error of ours. */
function bend(plant) {
    const sound = new Map(), sick = new Map();
    for (const [file, find, put] of plant.edits) {
        if (!sound.has(file)) sound.set(file, readFileSync(path.join(ROOT, file), 'utf8'));
        const text = sick.get(file) ?? sound.get(file);
        if (!text.includes(find)) throw new Error(`${plant.bug}: ${file} does not have this text any more:\n${find}`);
        sick.set(file, text.replace(find, () => put));
    }
    return { sound, sick };
}

const write = (texts) => { for (const [file, text] of texts) writeFileSync(path.join(TREE, file), text); };

function look(plant) {
    const { sound, sick } = bend(plant);
    write(sick);
    const made = spawnSync('make', ['-s', '-j2', 'CFLAGS=-O2 -g -Wno-error', 'build/city'], { cwd: TREE, encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`${plant.bug}: does not build\n${made.stderr.slice(-2000)}`);
    const run = spawnSync(path.join(TREE, 'build/city'), CITIES, { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 26, timeout: 240000 });
    write(sound);
    const found = [...run.stdout.matchAll(/^FALSE (\S+?), seed (\d+), (.*)/gm)];
    return { rules: [...new Set(found.map((m) => m[1]))], cities: new Set(found.map((m) => m[2])).size, first: found[0] ? `${found[0][1]}: ${found[0][3]}`.slice(0, 110) : 'nothing' };
}

let passed = 0, failed = 0;
prepare();
for (const plant of plants.filter((p) => !process.argv[2] || p.bug.includes(process.argv[2]))) {
    const { rules, cities, first } = look(plant);
    const good = rules.some((r) => plant.rule.split(' ').includes(r));
    good ? passed++ : failed++;
    console.log(`${good ? '' : 'FALSE '}| ${plant.bug} | ${rules.join(' ') || 'not found'} | ${cities} | ${first.replaceAll('|', '/')} |`);
}
if (!process.env.KEEP) rmSync(TREE, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
