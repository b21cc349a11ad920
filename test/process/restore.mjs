// SPDX-License-Identifier: Apache-2.0
/*
 * A backup under load, and the restore drill (promises R22, R4): a city speaks while its store is
 * copied, goes on, loses the store and gets the backup back. No downlink counter may then carry two
 * ciphertexts, all that the backup holds is there as it was, and the devices are heard again. The same
 * with a backup of yesterday, whose counters cannot simply jump, and with all sessions ended.
 *
 *     node restore.mjs [seed] [-v]        HOTARU=program
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Daemon, PROGRAM, folder } from './daemon.mjs';
import { ARGS, City } from './observer.mjs';
import { fact, run, same, section, sleep, until } from './facts.mjs';

const SEED = Number(process.argv.slice(2).find((a) => /^\d+$/.test(a)) ?? Date.now() % 1000000);
const place = folder('hotaru-restore-'), at = (name) => path.join(place, name);
const daemon = new Daemon({ dir: at('data'), args: ARGS });
const city = new City(daemon, SEED);

/* {code, out, rows}: stdout and stderr together, and stdout alone. `cut`: killed as soon as that file is there. */
function hotaru(words, cut = null) {
    return new Promise((done) => {
        const child = spawn(PROGRAM, words, { stdio: ['ignore', 'pipe', 'pipe'] });
        let out = '', rows = '';
        child.stdout.on('data', (d) => { rows += d; });
        for (const s of [child.stdout, child.stderr]) s.on('data', (d) => { out += d; });
        const watch = cut && setInterval(() => existsSync(cut) && child.kill('SIGKILL'), 1);
        child.on('close', (code, signal) => { clearInterval(watch); done({ code: code ?? signal, out, rows }); });
    });
}

const backup = (name, ...more) => hotaru(['backup', at(name), '--data', daemon.dir, ...more]);
const restore = (from, to, ...more) => hotaru(['restore', at(from), '--data', at(to), ...more]);
const rows = async (dir) => (await hotaru(['fsck', '--data', dir, '--dump'])).rows.split('\n').filter((r) => r.includes('\t'));
const of = (list, table) => new Set(list.filter((r) => r.startsWith(`${table}\t`)));

/* The city speaks for a while; true when every device was heard. */
async function speak(ms) {
    const before = new Map(city.devices.map((d) => [d.dev_eui, [...city.truth.acked.keys()].filter((k) => k.startsWith(d.dev_eui)).length]));
    for (const d of city.devices) d.stop = false;
    const speakers = city.devices.map((d) => city.speak(d));
    await sleep(ms);
    for (const d of city.devices) d.stop = true;
    await Promise.all(speakers);
    await sleep(300);
    return city.devices.filter((d) => [...city.truth.acked.keys()].filter((k) => k.startsWith(d.dev_eui)).length <= before.get(d.dev_eui)).map((d) => d.dev_eui);
}

async function stored() {
    const { Stream } = await import('./daemon.mjs');
    const seen = new Map();
    const s = await new Stream(daemon, '/v1/stream?kind=uplink&since=0', (e) => { const k = `${e.data.device}/${e.data.fcnt}`; seen.set(k, (seen.get(k) || 0) + 1); }).start();
    let n = -1;
    await until(async () => { const was = n; n = seen.size; await sleep(300); return n === was; }, 10000, 1);
    s.stop();
    return seen;
}

/* The store is lost; what a restore made takes its place. */
async function moveTo(dir) {
    await city.end();
    if (!existsSync(path.join(dir, 'kek'))) cpSync(path.join(at('data'), 'kek'), path.join(dir, 'kek'));
    daemon.dir = dir;
    city.truth.ids.clear(), city.truth.byId.clear();
    city.truth.lastOfLife = city.truth.lastEvent = 0;        /* a restored store knows less than was delivered */
    city.stream.last = null;
    await city.begin();
}

await run(async () => {
    console.log(`restore: seed ${SEED}`);
    await city.settle();
    same('all devices are heard', await speak(2500), []);

    section('a backup under load');
    const acked = new Set(city.truth.acked.keys());
    const talking = speak(3000);
    await sleep(500);
    const began = Date.now(), first = await backup('one');
    console.log(`restore: a backup took ${Date.now() - began} ms while ${city.devices.length} devices spoke`);
    same('a backup is taken while the city speaks', first.code, 0);
    fact('it says that the key is not in it', /key file is not in it/.test(first.out) && /鍵/.test(first.out), first.out);
    same('what is in it', readdirSync(at('one')).sort(), ['backup.json', 'hotaru.db']);
    same('a second one into the same folder is refused', (await backup('one')).code, 1);
    await talking;
    const keyed = await backup('keyed', '--with-key');
    same('with the key when that is asked for', [keyed.code, existsSync(at('keyed/kek')) && (statSync(at('keyed/kek')).mode & 0o777)], [0, 0o600]);
    let cut;
    for (let n = 0; n < 20; n++) {
        const got = await hotaru(['backup', at(`cut${n}`), '--data', daemon.dir], at(`cut${n}/hotaru.db`));
        if (got.code === 'SIGKILL' && existsSync(at(`cut${n}`)) && !existsSync(at(`cut${n}/backup.json`))) { cut = `cut${n}`; break; }
    }
    if (fact('a backup was interrupted', cut)) same('and is recognised', await restore(cut, 'never').then((r) => [r.code, /not finished/.test(r.out)]), [1, true]);
    await sleep(200);
    await city.end();
    const before = await rows(at('data'));

    section('the drill');
    const back = await restore('one', 'again');
    same('a restore into an empty place', back.code, 0);
    fact('it says what it did and what cannot be known', /jumped ahead by 10\d\d/.test(back.out) && /play each of/.test(back.out), back.out);
    same('never over a store', (await restore('one', 'again')).code, 1);
    const after = await rows(at('again'));
    for (const table of ['uplink', 'reading', 'uplink_copies', 'device', 'dev_nonce', 'subject_key', 'token'])
        same(`every ${table} in it is as it was`, [...of(after, table)].filter((r) => !of(before, table).has(r)).slice(0, 2), []);
    fact('and it is not the whole store: the city had gone on', of(after, 'uplink').size < of(before, 'uplink').size, [of(after, 'uplink').size, of(before, 'uplink').size]);
    same('a store without its key does not start', await new Daemon({ dir: at('again'), args: ARGS }).startOnce().then(() => 'ready', (e) => (/key file .* is missing/.test(String(e)) ? 'says so' : String(e))), 'says so');
    await moveTo(at('again'));
    const held = await stored();
    same('every frame acknowledged before the backup began is there once', [...acked].filter((k) => held.get(k) !== 1).slice(0, 3), []);
    const downs = city.truth.downs_n, acks = city.truth.acks;
    same('every device is heard again', await speak(3000), []);
    fact('and answered', city.truth.downs_n > downs + 20 && city.truth.acks > acks + 20, [city.truth.downs_n - downs, city.truth.acks - acks]);
    same('no downlink counter carries two ciphertexts', city.truth.twice.slice(0, 3), []);
    same('downlink counters went on ahead', city.truth.wentBack.slice(0, 3), []);
    same('every downlink has its MIC', city.truth.badMic, 0);
    const now = await stored();
    same('nothing is stored twice', [...now].filter(([, n]) => n > 1).slice(0, 3), []);

    section('yesterday');
    same('a fresh backup', (await backup('two')).code, 0);
    await speak(500);
    const json = JSON.parse(readFileSync(at('two/backup.json')));
    writeFileSync(at('two/backup.json'), JSON.stringify({ ...json, taken_at: new Date(Date.parse(json.taken_at) - 86400e3).toISOString() }));
    const old = await restore('two', 'yesterday');
    fact('a backup of yesterday is restored, and nothing is sent in its sessions', old.code === 0 && /nothing is sent to them until/.test(old.out), old.out);
    await moveTo(at('yesterday'));
    const quiet = city.truth.downs_n;
    same('its devices are heard', await speak(1500), []);
    same('and not answered', city.truth.downs_n - quiet, 0);
    const why = (await daemon.json(`/v1/devices/${city.devices[0].dev_eui}/why`)).refusals.map((r) => r.drop);
    fact('why is said', why.includes('DROP_SPENT'), why);
    same('they join again', await city.joinAll(city.devices, 777), 0);
    const olds = city.devices.map((d) => d.session);
    for (const d of city.devices) { d.session = d.accepted; d.fcnt = 0; city.truth.downs.delete(d.dev_eui); for (const k of [...city.truth.acked.keys()].filter((x) => x.startsWith(d.dev_eui))) city.truth.acked.delete(k); }
    fact('with keys of their own', city.devices.every((d, i) => !d.session.keys.NwkSKey.equals(olds[i].keys.NwkSKey)));
    const again = city.truth.downs_n;
    same('are heard', await speak(1500), []);
    fact('and answered as before', city.truth.downs_n > again + 10, city.truth.downs_n - again);
    same('still no counter carries two ciphertexts', city.truth.twice.slice(0, 3), []);

    section('all sessions ended');
    same('a backup once more', (await backup('three')).code, 0);
    const gap = [...city.truth.acked.keys()].length;
    await speak(500);
    const late = [...city.truth.acked.values()].slice(gap);
    same('restored with --end-sessions', (await restore('three', 'ended', '--end-sessions')).code, 0);
    await moveTo(at('ended'));
    const metrics = await daemon.metrics();
    for (const phy of late) await city.gateways[0].hear(phy, {}, { ms: 2000 });
    same('no frame from the gap is believed', (await daemon.metrics()).hotaru_uplinks_total - metrics.hotaru_uplinks_total, 0);
    same('devices join again', await city.joinAll(city.devices.slice(0, 4), 888), 0);

    section('what is no backup');
    const bytes = readFileSync(at('one/hotaru.db'));
    bytes[bytes.length >> 1] ^= 4;
    writeFileSync(at('one/hotaru.db'), bytes);
    same('a backup with a flipped bit is refused', await restore('one', 'never').then((r) => [r.code, /SHA-256/.test(r.out)]), [1, true]);
    same('and nothing is left behind at its place', existsSync(at('never')), false);
    await city.end();
    for (const dir of ['again', 'yesterday', 'ended']) same(`fsck of ${dir}`, (await hotaru(['fsck', '--data', at(dir)])).out.split('\n').filter((l) => l && !/^sound/.test(l)).slice(0, 3), []);
}, async () => {
    city.close();
    if (daemon.alive) await daemon.kill();
});
