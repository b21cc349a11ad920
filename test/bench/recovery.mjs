// SPDX-License-Identifier: Apache-2.0
/*
 * How long it takes from a SIGKILL at the height of a load to the first PUSH_ACK of the next life
 * (promise R16). The folder is one that `hotaru bench-fill` made; the load goes on all the while, as a
 * city's would, and a gateway asks every two milliseconds. Beside it, on a copy of the same files as
 * the kill left them: how long a bare sqlite3 takes to open and ask for the newest event, and to read
 * every row that a start must read.
 *
 * CPU time of the new process, user and kernel, is told beside the time on the clock: it says the same on a
 * machine that does something else as well, nearly.
 *
 *     node recovery.mjs FOLDER DEVICES RATE RUNS FCNT        HOTARU=program
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { Daemon, PROGRAM } from '../process/daemon.mjs';
import { Gateway } from '../process/gateway.mjs';
import { sleep } from '../process/facts.mjs';

const [dir, DEVICES, RATE, RUNS] = [process.argv[2], ...process.argv.slice(3, 6).map(Number)];
let fcnt = Number(process.argv[6] || 1);
if (!(RUNS > 0)) {
    console.error('node recovery.mjs FOLDER DEVICES RATE RUNS FCNT');
    process.exit(2);
}
const PEAK_S = 8, AFTER_S = 6, ASK_MS = 2, LIMIT_MS = 60000;
const GATEWAY = '02484F5443000063';          /* the hundredth of the bench's: the load leaves it alone below */

const pin = (core) => (spawnSync('taskset', ['--version']).error ? [] : ['taskset', '-c', String(core)]);
const daemon = new Daemon({ dir, args: ['--keys_cached', '16384'], under: pin(0) });
const gateway = new Gateway(daemon, GATEWAY);
const now = () => Number(process.hrtime.bigint()) / 1e6;

function load() {
    const words = ['sim', '--load', '--devices', DEVICES, '--rate', RATE, '--seconds', PEAK_S + AFTER_S, '--warm-up', 1, '--gateways', 99,
        '--udp', `127.0.0.1:${daemon.udpPort}`, '--fcnt', fcnt].map(String);
    const [program, ...before] = [...pin(1), PROGRAM];
    const child = spawn(program, [...before, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
    fcnt += 1 + Math.ceil(RATE * (PEAK_S + AFTER_S + 2) / DEVICES);
    child.over = new Promise((done) => child.once('exit', done));
    return child;
}

/* Milliseconds of CPU that a process has used. Below `under` it is the same process: taskset becomes it. */
function cpu(pid) {
    const after = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return 10 * (Number(after[11]) + Number(after[12]));
}

/* The store as the kill left it, apart from the daemon's own. */
function copy() {
    const to = `${dir}.copy`;
    rmSync(to, { recursive: true, force: true });
    mkdirSync(to);
    for (const f of ['hotaru.db', 'hotaru.db-wal']) if (existsSync(path.join(dir, f))) cpSync(path.join(dir, f), path.join(to, f));
    return to;
}

function bare(to) {
    if (spawnSync('sqlite3', ['--version']).error) return null;
    const time = (sql) => {
        const began = now();
        execFileSync('sqlite3', [path.join(to, 'hotaru.db'), sql], { stdio: ['ignore', 'pipe', 'inherit'] });
        return now() - began;
    };
    return { open: time('SELECT MAX(id) FROM uplink WHERE tenant = 1'),
        read: time('SELECT SUM(LENGTH(name) + LENGTH(app_key)) FROM device; SELECT SUM(LENGTH(f_nwk_s_int_key) + LENGTH(app_s_key) + down_reserved) FROM session; SELECT MAX(last_uplink + fcnt_up) FROM device_state') };
}

/* Milliseconds from the kill to the first PUSH_ACK and to the ready line. */
async function once() {
    await daemon.start();
    const sender = load();
    await sleep((PEAK_S + 1) * 1000 + 2000);               /* two seconds go into building the frames */
    const before = await daemon.metrics();
    const wal = existsSync(path.join(dir, 'hotaru.db-wal')) ? statSync(path.join(dir, 'hotaru.db-wal')).size : 0;
    let acked = 0, used = 0;
    const killed = now();
    await daemon.kill();
    const dead = now();
    const next = daemon.startOnce().then(() => now());
    while (!acked && now() - killed < LIMIT_MS) {
        gateway.push({ stat: { rxnb: 0 } }, { ms: 5000 }).then((good) => { if (good && !acked) { acked = now(); used = cpu(daemon.child.pid); } });
        await sleep(ASK_MS);
    }
    const ready = await next;
    await sender.over;
    const m = await daemon.metrics();
    await daemon.kill();
    const forward = Number(/rolled_forward=(\d+)/.exec(daemon.log)?.[1] ?? 0);
    return { ack: acked - killed, used, dead: dead - killed, ready: ready - killed, wal: wal / 1e6, before: before.hotaru_uplinks_total, after: m.hotaru_uplinks_total, forward };
}

await gateway.open();
const results = [];
for (let run = 1; run <= RUNS; run++) {
    const r = await once();
    results.push(r);
    console.log(`  run ${run}: first PUSH_ACK ${r.ack.toFixed(0)} ms after the kill (gone ${r.dead.toFixed(0)} ms, ready ${r.ready.toFixed(0)} ms), ${r.used} ms of CPU; log of ${r.wal.toFixed(0)} MB, ${r.forward} uplinks rolled forward; ${r.before} uplinks before, ${r.after} after`);
}
const to = copy(), b = bare(to);
rmSync(to, { recursive: true, force: true });
const sorted = results.map((r) => r.ack).sort((a, c) => a - c);
console.log(`R16: ${DEVICES} devices, ${RATE}/s offered: first PUSH_ACK ${sorted[sorted.length >> 1].toFixed(0)} ms after SIGKILL (median of ${RUNS}; ${sorted[0].toFixed(0)} to ${sorted.at(-1).toFixed(0)}), ${results.map((r) => r.used).sort((a, c) => a - c)[RUNS >> 1]} ms of CPU` +
    (b ? `; bare sqlite3 on the same files: open and newest event ${b.open.toFixed(0)} ms, every row of devices, sessions and states ${b.read.toFixed(0)} ms` : ''));
gateway.close();
process.exit(0);
