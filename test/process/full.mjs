// SPDX-License-Identifier: Apache-2.0
/*
 * The disk is full (promise R13): new data are refused with an error, reading goes on, nothing that
 * was acknowledged is lost, and when there is room again the daemon goes on without a restart.
 *
 *     node full.mjs [-v]        needs root: a small tmpfs of its own
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, statSync, statfsSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { Daemon, ROOT, Stream, folder } from './daemon.mjs';
import { Device } from './device.mjs';
import { Gateway } from './gateway.mjs';
import { fact, run, same, section, skip, sleep, until } from './facts.mjs';

const SIZE_MB = 24;
const dir = folder('hotaru-full-');
const daemon = new Daemon({ dir: path.join(dir, 'data'), args: ['--profiles', path.join(ROOT, 'test/process/profiles')] });
const gateway = new Gateway(daemon, 'D0000000000000A1');
const device = new Device({ dev_eui: '70B3D57ED0F00001', app_key: 'a4127be90c5f3386d21e97c80bd54f63', profile: 'test-level' });
const wish = path.join(dir, 'ballast');
const acked = new Map();
let refused = null;                        /* the last frame that was not acknowledged */

const room = () => { const f = statfsSync(dir); return f.bavail * f.bsize; };

/* One frame; true when it was promised. */
async function say(payload = Buffer.from([4, 0, 80]), ms = 600) {
    const fcnt = device.fcnt++;
    const phy = device.up(payload, { fcnt });
    const good = await gateway.hear(phy, {}, { ms });
    if (good) acked.set(fcnt, phy);
    else refused = { fcnt, phy };
    return good;
}

async function stored() {
    const seen = new Map();
    const s = await new Stream(daemon, '/v1/stream?kind=uplink&since=0', (e) => seen.set(e.data.fcnt, (seen.get(e.data.fcnt) || 0) + 1)).start();
    await until(() => seen.size >= acked.size, 5000, 30);
    await sleep(50);
    s.stop();
    return seen;
}

async function readsGoOn() {
    const answers = await Promise.all(['/health', '/v1/city', '/v1/devices', `/v1/devices/${device.dev_eui}`, '/v1/map', '/v1/findings', '/metrics', '/',
        `/ngsi-ld/v1/entities/urn:ngsi-ld:WaterObserved:${device.dev_eui.toLowerCase()}`, `/v1/devices/${device.dev_eui}/series?attr=waterLevel`].map((p) => daemon.get(p).then((r) => `${p} ${r.status}`)));
    same('every page is still answered', answers.filter((a) => !a.endsWith(' 200')), []);
}

/* Fills what is left but `keep` bytes, as another program's files would. */
function fill(keep = 0) {
    const had = existsSync(wish) ? statSync(wish).size : 0;
    try { execFileSync('dd', ['if=/dev/zero', `of=${wish}`, 'bs=4096', `count=${Math.max(0, Math.floor((room() - keep) / 4096))}`, `seek=${Math.floor(had / 4096)}`, 'conv=notrunc'], { stdio: 'ignore' }); } catch { /* full is what we want */ }
}

async function round(n) {
    section(`round ${n}`);
    for (let i = 0; i < 20; i++) same('with room, a frame is acknowledged', await say(), true);
    fill();
    fact('the disk is full', room() < 4096 * 4, room());
    /* The log may still have room in its own file; the store has a reserve. All of that ends. */
    let silent = 0, kept = 0;
    const began = Date.now();
    while (silent < 5 && Date.now() - began < 30000) {
        const good = await say(Buffer.from([4, 1, 80]), 400);
        if (good) { kept++; silent = 0; if (kept % 50 === 0) fill(); } else silent++;
    }
    fact('frames are refused: no PUSH_ACK', silent === 5, `${kept} more were acknowledged`);
    fact('the daemon lives', daemon.alive);
    const health = await daemon.json('/health');
    same('/health says that it is full', [health.status, health.store], ['full', 'full']);
    fact('and so do the findings', (await daemon.json('/v1/findings')).findings.some((f) => f.kind === 'store_full' && /full/.test(f.en)), 'no store_full');
    same('the reserve was given to what was promised already', statSync(path.join(daemon.dir, 'hotaru.reserve')).size, 0);
    const table = ['gateway_eui,name,latitude,longitude,altitude_m,region,simulated', ...Array.from({ length: 2000 }, (_, i) => `D1${String(n).padStart(2, '0')}${String(i).padStart(12, '0')},役所 ${i},36.7,137.2,,AS923-1,0`)];
    const before = (await daemon.json('/v1/gateways')).gateways.length;
    const answer = await daemon.importTable('gateways', table);
    same('an import is refused with 507', answer.status, 507);
    same('and leaves nothing behind', (await daemon.json('/v1/gateways')).gateways.length, before);
    const downlink = await daemon.post(`/v1/devices/${device.dev_eui}/downlinks`, { fport: 10, payload: 'ab'.repeat(200) });
    fact('a downlink is refused with 507, or kept where there is still room', downlink.status === 507 || downlink.status === 202, downlink.status);
    await readsGoOn();
    const drops = (await daemon.metrics()).drops.DROP_STORE;
    fact('what the store refused is counted', drops > 0, drops);

    unlinkSync(wish);
    const freed = Date.now();
    const good = await until(() => gateway.hear(refused.phy, {}, { ms: 300 }), 30000, 20);
    const took = Date.now() - freed;
    acked.set(refused.fcnt, refused.phy);      /* the device says it again: it was never accepted, so it is new */
    same('and newer ones', await say(), true);
    fact('room again: frames are acknowledged, without a restart', good);
    same('/health is well again', (await daemon.json('/health')).status, 'ok');
    fact('and the reserve is back', await until(() => statSync(path.join(daemon.dir, 'hotaru.reserve')).size > 0, 5000, 100));
    same('and tables taken', (await daemon.importTable('gateways', table)).status, 200);
    const seen = await stored();
    same('nothing that was acknowledged is lost', [...acked.keys()].filter((f) => seen.get(f) !== 1).slice(0, 5), []);
    console.log(`full, round ${n}: ${acked.size} frames acknowledged so far, ${drops} datagrams refused, ${took} ms until the next acknowledgement`);
}

await run(async () => {
    if (process.getuid() !== 0 || spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MB}m,mode=700`, 'tmpfs', dir]).status !== 0) {
        skip('a full disk', 'a tmpfs needs root and the right to mount');
        return;
    }
    process.on('exit', () => { spawnSync('umount', ['-l', dir]); spawnSync('rmdir', [dir]); });
    await gateway.open();
    await daemon.start();
    same('gateways', (await daemon.importTable('gateways', ['gateway_eui,name,latitude,longitude,altitude_m,region,simulated', `${gateway.name},北,,,,AS923-1,0`])).status, 200);
    same('devices', (await daemon.importTable('devices', ['dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated', device.row()])).status, 200);
    await gateway.pull();
    await gateway.hear(device.joinRequest(1));
    const accept = await until(() => gateway.downs.find((d) => device.readAccept(d.phy)), 6000);
    if (!accept) throw new Error('no join-accept');
    device.takeAccept(accept.phy);
    for (let n = 1; n <= 3; n++) await round(n);
    await daemon.kill();
    await daemon.start();
    const seen = await stored();
    same('nor after a crash', [...acked.keys()].filter((f) => seen.get(f) !== 1).slice(0, 5), []);
    await gateway.pull();
    same('and it goes on', await say(), true);

    section('a start on a full disk');
    fill();
    await daemon.kill('SIGTERM');
    fill();
    let words = '';
    try { await daemon.startOnce(); words = 'ready'; } catch (e) { words = String(e); }
    fact('a start on a full disk is ready to be read, or says why not', words === 'ready' || /store|disk|written|full/.test(words), words);
    if (daemon.alive) {
        await readsGoOn();
        await daemon.kill();
    }
    unlinkSync(wish);
    await daemon.start();
    const last = await stored();
    same('nothing is lost by it', [...acked.keys()].filter((f) => last.get(f) !== 1).slice(0, 5), []);
}, async () => {
    if (daemon.alive) await daemon.kill();
    gateway.close();
});
