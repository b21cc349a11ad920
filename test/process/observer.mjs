// SPDX-License-Identifier: Apache-2.0
/*
 * The observer: a city that is never killed speaks to a daemon that is, and keeps the only truth:
 * which frames were acknowledged (a PUSH_ACK promises the frame), which events were delivered under
 * which id, which downlinks went to the air. How a life of the daemon ends is the daemon's own affair:
 * crash.mjs kills it, power.mjs takes its power as well.
 *
 * A device sends its next frame only when the last one was acknowledged or given up, as the air keeps
 * its frames in order; what was not acknowledged when the daemon died is sent again, or never.
 */
import { cpSync, existsSync, rmSync } from 'node:fs';
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { ROOT, Stream, folder } from './daemon.mjs';
import { Device } from './device.mjs';
import { Gateway } from './gateway.mjs';
import { chance, fact, same, skip, sleep, until } from './facts.mjs';

const DEVICES = 20, JOINERS = 4;
const PATIENCE_MS = 20000;          /* a busy disk may take its time; who waits longer waits for ever */
export const ARGS = ['--profiles', path.join(ROOT, 'test/process/profiles'), '--window-ms', '20'];

const key = (n) => `5d1e9b3fa7260c48e1937ab4d2f8${n.toString(16).padStart(4, '0')}`;
const nameOf = (data) => `${data.device}/${data.fcnt}`;

export class City {
    constructor(daemon, seed) {
        this.daemon = daemon;
        this.rnd = chance(seed);
        this.life = 0;
        this.up = false;
        this.pulling = true;
        this.gateways = ['A0000000000000A1', 'A0000000000000A2', 'A0000000000000A3'].map((eui, i) => new Gateway(daemon, eui, { offset_us: 4294967296 - 20e6 * i }));
        this.devices = Array.from({ length: DEVICES }, (_, i) => new Device({ dev_eui: `70B3D57ED0C0${(i + 1).toString(16).padStart(4, '0')}`, app_key: key(i + 1),
            profile: i < 12 ? 'test-level' : i < 16 ? 'hotaru-snow-pump' : 'test-none' }));
        this.payloads = {
            'test-level': () => Buffer.from([0x04, this.rnd.below(256), 80 + this.rnd.below(20)]),
            'hotaru-snow-pump': () => Buffer.from([this.rnd.below(4), 3, this.rnd.below(256), 2, this.rnd.below(256), 0, 20, 1, 44, 90]),
            'test-none': () => this.rnd.bytes(8),
        };
        this.truth = {
            acked: new Map(),                 // "eui/fcnt" -> phy
            sent: 0, datagrams: 0, resent: 0, replayed: 0,
            ids: new Map(),                   // "eui/fcnt" -> set of event ids
            byId: new Map(),                  // id -> "eui/fcnt"
            deliveries: 0, lastOfLife: 0,
            downs: new Map(),                 // devaddr -> Map(fcnt -> {phy, life})
            twice: [], wentBack: [], badMic: 0, acks: 0, downs_n: 0,
            joins: [],                        // join-requests that were acknowledged
            lastEvent: 0, lastEventBack: [],
            ready: [], late: 0, mute: [],
        };
        this.stream = new Stream(daemon, '/v1/stream?kind=uplink&since=0', ({ id, data }) => this.delivered(id, nameOf(data)));
    }

    delivered(id, name) {
        const { truth } = this;
        truth.deliveries++;
        truth.lastOfLife = Math.max(truth.lastOfLife, Number(id));
        if (!truth.ids.has(name)) truth.ids.set(name, new Set());
        truth.ids.get(name).add(id);
        truth.byId.set(id, name);
    }

    /* Every downlink: its counter belongs to one ciphertext, and lives do not share counters. */
    heard(down) {
        const { truth, life } = this;
        truth.downs_n++;
        for (const d of this.devices) {
            if (!d.session || down.phy[0] >> 5 === 1) continue;
            const f = d.read(down.phy);
            if (!f) continue;
            if (!f.mic) truth.badMic++;
            if (f.ack) truth.acks++;
            if (!truth.downs.has(d.dev_eui)) truth.downs.set(d.dev_eui, new Map());
            const seen = truth.downs.get(d.dev_eui), before = seen.get(f.fcnt);
            if (before && !before.phy.equals(down.phy)) truth.twice.push(`${d.dev_eui} FCntDown ${f.fcnt}: ${before.phy.toString('hex')} in life ${before.life}, ${down.phy.toString('hex')} in life ${life}`);
            if (!before) {
                seen.set(f.fcnt, { phy: down.phy, life });
                const older = Math.max(-1, ...[...seen].filter(([, v]) => v.life < life).map(([n]) => n));
                if (f.fcnt < older) truth.wentBack.push(`${d.dev_eui} FCntDown ${f.fcnt} in life ${life} after ${older}`);
            }
        }
    }

    /* ------------------------------------------------------------------ the city */

    /* Gateways and devices are enrolled, and every device joins. */
    async settle() {
        const { daemon, rnd } = this;
        for (const g of this.gateways) {
            await g.open();
            g.answer = () => (rnd.real() < 0.1 ? rnd.of(['TOO_LATE', 'COLLISION_PACKET', 'TX_FREQ']) : rnd.real() < 0.05 ? null : undefined);
        }
        await this.begin();
        const head = 'gateway_eui,name,latitude,longitude,altitude_m,region,simulated';
        same('gateways are enrolled', (await daemon.importTable('gateways', [head, ...this.gateways.map((g, i) => `${g.name},北${i},36.7,137.2,,AS923-1,0`)])).status, 200);
        same('devices are enrolled', (await daemon.importTable('devices', ['dev_eui,join_eui,app_key,nwk_key,name,profile,latitude,longitude,simulated', ...this.devices.map((d) => d.row())])).status, 200);
        for (const g of this.gateways) if (!(await g.pull())) throw new Error('PULL_DATA is not answered');
        same('all devices join', await this.joinAll(this.devices, 1), 0);
        for (const d of this.devices) d.session = d.accepted;
        this.listen();
    }

    async listen() {
        while (this.pulling) {
            if (this.up) for (const g of this.gateways) g.pull({ ms: 300 });
            await sleep(400);
        }
    }

    /* One frame through one to three gateways; true when any of them was told that it is kept. */
    async offer(phy) {
        const { rnd, truth, gateways } = this;
        const first = rnd.below(3), copies = 1 + rnd.below(3), freq = rnd.of([923.2, 923.4, 922.8]);
        const answers = Array.from({ length: copies }, (_, i) => {
            truth.datagrams++;
            return gateways[(first + i) % 3].hear(phy, { freq, lsnr: Math.round(rnd.between(-50, 100)) / 10 }, { ms: PATIENCE_MS });
        });
        return (await Promise.all(answers)).some(Boolean);
    }

    /* A device says one thing after another for as long as the test lasts. */
    async speak(d) {
        const { rnd, truth } = this;
        while (!d.stop) {
            await sleep(rnd.between(8, 40));
            if (!this.up || d.stop) continue;
            const fcnt = d.fcnt++, confirmed = rnd.real() < 0.4;
            const asks = rnd.real() < 0.1 ? '020d' : '';
            const phy = d.up(this.payloads[d.profile](), { fcnt, confirmed, fopts: d.answered ? asks : `09${asks}` });
            d.answered = true;
            truth.sent++;
            for (let tries = 0; tries < 4; tries++) {
                const mine = this.life;
                if (await this.offer(phy)) {
                    truth.acked.set(`${d.dev_eui}/${fcnt}`, phy);
                    d.recent = (d.recent || []).slice(-40).concat(phy);
                    break;
                }
                if (this.up && mine === this.life && this.daemon.alive) truth.late++;      /* alive and silent */
                if (rnd.real() < 0.4) break;                                               /* the device has given this frame up */
                await until(() => this.up || d.stop, 5000);
                truth.resent++;
            }
        }
    }

    /* Frames of any age again, as a thief with a radio would. */
    replay(n) {
        const { rnd, truth } = this;
        const all = [...truth.acked.values()];
        for (let i = 0; i < n && all.length; i++) {
            truth.replayed++;
            const recent = rnd.real() < 0.5 ? rnd.of(this.devices).recent : null;
            rnd.of(this.gateways).hear(recent?.length ? rnd.of(recent) : rnd.of(all), {}, { ms: 300 });
        }
    }

    async health() {
        const { truth, life } = this, before = truth.lastEvent;
        try {
            const now = (await this.daemon.json('/health', { timeout: 5000 })).last_event;
            if (now < before) truth.lastEventBack.push(`${now} in life ${life} after ${before}`);
            truth.lastEvent = Math.max(truth.lastEvent, now);
            return now;
        } catch { return 0; }                                       /* killed meanwhile */
    }

    /* ------------------------------------------------------------------ joins */

    async joinAll(list, dev_nonce) {
        const open = new Set(list);
        const take = (down) => {
            if (down.phy[0] >> 5 !== 1) return;
            for (const d of open) {
                const a = d.readAccept(down.phy, d.waits);
                if (a) { open.delete(d); d.accepted = a; }
            }
        };
        for (const g of this.gateways) g.heard = (down) => { this.heard(down); take(down); };
        for (const d of list) {
            const phy = d.joinRequest(dev_nonce);
            d.waits = d.dev_nonce;
            for (const g of this.gateways) if (!(await g.hear(phy, {}, { ms: 5000 }))) throw new Error(`${d.dev_eui}: the join-request was not acknowledged`);
        }
        await until(() => open.size === 0, 20000);
        return open.size;
    }

    /* A join-request that is acknowledged just before the end of a life. The device goes on in its running
     * session: one that was heard already, for what waits for its first frame gives way to the next join. */
    async joinBeforeTheEnd() {
        const { rnd, truth, life } = this;
        const d = rnd.of(this.devices.slice(0, JOINERS).filter((j) => j.recent));
        if (!d) return;
        const nonce = 1000 + truth.joins.length;
        const phy = d.joinRequest(nonce);
        if (await rnd.of(this.gateways).hear(phy, {}, { ms: 500 })) truth.joins.push({ d, phy, life, nonce });
    }

    /* ------------------------------------------------------------------ one life */

    async begin() {
        const { truth } = this;
        truth.ready.push(await this.daemon.start());
        this.life++;
        const first = await this.health();
        if (first && first < truth.lastOfLife) truth.lastEventBack.push(`life ${this.life} begins at ${first}, behind the delivered ${truth.lastOfLife}`);
        await this.woken();
        this.up = true;
        for (const g of this.gateways) g.pull({ ms: 300 });
        this.stream.start().catch(() => {});
    }

    /* What the daemon still has, asked before the city speaks again. */
    async woken() {}

    async end() {
        this.up = false;
        await this.daemon.kill();
        this.stream.stop();
        for (const g of this.gateways) g.giveUp();
        await sleep(1);
    }

    /* Acknowledgements seen since this life began. */
    acks() { return this.gateways.reduce((n, g) => n + g.acks, 0); }

    async live() {
        const { rnd, truth, daemon } = this, before = this.acks();
        const spent = (ms) => Promise.race([sleep(ms), daemon.exited]);
        if (this.life % 3 === 0) this.replay(20);
        if (!(await until(() => this.acks() > before + 3 || !daemon.alive, PATIENCE_MS, 1))) truth.mute.push(this.life);
        const long = rnd.real() < 0.3;
        const wait = long ? rnd.between(200, 450) : rnd.between(2, 150);
        if (rnd.real() < 0.3) this.joinBeforeTheEnd();
        await spent(wait / 2);
        this.health();
        await spent(wait / 2);
    }

    /* Seconds it took. `each` is asked between two lives. */
    async lives(count, what, each) {
        const { truth } = this, began = Date.now(), seconds = () => (Date.now() - began) / 1000;
        const speakers = this.devices.map((d) => this.speak(d));
        for (let k = 1; k <= count && truth.mute.length < 3; k++) {      /* a daemon that says nothing more: the facts tell why */
            await this.live();
            await this.end();
            await each(k);
            await this.begin();
            if (k % 25 === 0 || k === count)
                console.log(`${k} ${what}, ${truth.acked.size} frames acknowledged, ${truth.ids.size} delivered, ${truth.downs_n} downlinks, ${seconds().toFixed(1)} s`);
        }
        for (const d of this.devices) d.stop = true;
        await Promise.all(speakers);
        return seconds();
    }

    /* ------------------------------------------------------------------ what must hold */

    missing() { return [...this.truth.acked.keys()].filter((name) => !this.truth.ids.has(name)); }

    async judge() {
        const { truth } = this;
        await until(() => this.missing().length === 0, 60000, 50);
        same('every acknowledged frame was delivered', this.missing().slice(0, 5), []);
        const several = [...truth.ids].filter(([, ids]) => ids.size > 1).map(([name, ids]) => `${name}: ${[...ids]}`);
        same('no frame has two ids', several.slice(0, 5), []);

        const all = [];
        const whole = await new Stream(this.daemon, '/v1/stream?kind=uplink&since=0', (e) => all.push(e)).start();
        await until(() => all.length >= truth.ids.size, 60000, 50);
        await sleep(100);
        whole.stop();
        const stored = new Map();
        for (const e of all) stored.set(nameOf(e.data), (stored.get(nameOf(e.data)) || 0) + 1);
        same('every acknowledged frame is stored exactly once', [...truth.acked.keys()].filter((n) => stored.get(n) !== 1).slice(0, 5), []);
        same('nothing is stored twice', [...stored].filter(([, n]) => n > 1).slice(0, 5), []);
        fact('ids rise in the order of delivery', all.every((e, i) => i === 0 || Number(e.id) > Number(all[i - 1].id)));
        same('an id that was delivered names the same frame for ever', all.filter((e) => truth.byId.has(e.id) && truth.byId.get(e.id) !== nameOf(e.data)).slice(0, 5), []);
        same('nothing was delivered that is not stored', [...truth.ids.keys()].filter((n) => !stored.has(n)).slice(0, 5), []);
        this.judgeLives();
    }

    /* What was seen while it happened. */
    judgeLives() {
        const { truth } = this;
        same('no downlink counter carries two ciphertexts', truth.twice.slice(0, 3), []);
        same('downlink counters never go back over a crash', truth.wentBack.slice(0, 3), []);
        same('every downlink has the MIC that lora-packet computes', truth.badMic, 0);
        fact('downlinks were seen in most lives', truth.downs_n > this.life / 4, truth.downs_n);
        same('last_event never goes back', truth.lastEventBack.slice(0, 3), []);
        same('every life acknowledges frames', truth.mute.slice(0, 5), []);
        same('a living daemon leaves no datagram without an answer', truth.late, 0);
    }

    /* All join-requests that were ever acknowledged, and every acknowledged frame, in a life that knows them only from the disk. */
    async replayAll() {
        const { truth, daemon, rnd, gateways } = this;
        await this.end();
        await this.begin();
        const before = await daemon.metrics(), events = truth.byId.size;
        for (const j of truth.joins) await rnd.of(gateways).hear(j.phy, {}, { ms: 1000 });
        const frames = [...truth.acked.values()];
        for (let i = 0; i < frames.length; i += 60)                 /* 1,400 a second each: a gateway's share is 2,000 */
            await Promise.all([sleep(14), ...frames.slice(i, i + 60).map((phy, n) => gateways[n % 3].hear(phy, {}, { ms: 2000 }))]);
        await sleep(100);
        const after = await daemon.metrics();
        same('a DevNonce used before the crash is refused after it', after.drops.DROP_DEVNONCE - before.drops.DROP_DEVNONCE, truth.joins.length);
        same('no replayed join is accepted', after.hotaru_joins_total - before.hotaru_joins_total, 0);
        same('no replayed frame is a new event', [after.hotaru_uplinks_total - before.hotaru_uplinks_total, truth.byId.size - events], [0, 0]);
        const words = {};
        for (const [word, n] of Object.entries(after.drops)) if (n > before.drops[word]) words[word] = n - before.drops[word];
        fact('every replayed frame is called a repetition or a copy of one', words.DROP_REPEATED + (words.DROP_COPY || 0) === frames.length,
            `${JSON.stringify(words)} for ${frames.length} frames`);
    }

    /* R6, R5: sessions live on after joins whose accept never came; the next join gives a JoinNonce that was never given. */
    async joinAgain() {
        const { truth, daemon } = this, joiners = this.devices.slice(0, JOINERS);
        const before = truth.ids.size;
        for (const d of joiners) { const fcnt = d.fcnt++; await this.offer(d.up(Buffer.from([4, 5, 6]), { fcnt })); }
        await until(() => truth.ids.size >= before + JOINERS, 20000);
        same('the running session outlives joins whose accept was never heard', truth.ids.size - before, JOINERS);
        const old = joiners.map((d) => d.session);
        same('all join again', await this.joinAll(joiners, 60000), 0);
        fact('JoinNonces rise over crashes', joiners.every((d, i) => d.accepted.nonce > old[i].nonce + truth.joins.filter((j) => j.d === d).length - 1));
        fact('a new session has a new address or new keys', joiners.every((d, i) => !d.accepted.keys.NwkSKey.equals(old[i].keys.NwkSKey)));
        const start = truth.byId.size;
        for (const d of joiners) { d.session = d.accepted; await this.offer(d.up(Buffer.from([4, 5, 6]), { fcnt: 40000 - 30000 })); }
        await until(() => truth.byId.size >= start + JOINERS, 20000);
        same('the new session is heard', truth.byId.size - start, JOINERS);
        const metrics = await daemon.metrics();
        for (const [i, d] of joiners.entries()) await this.offer(d.up(Buffer.from([4, 5, 6]), { fcnt: d.fcnt++, session: old[i] }));
        const later = await daemon.metrics();
        same('the old session ended with the first frame of the new one', later.hotaru_uplinks_total - metrics.hotaru_uplinks_total, 0);
    }

    /* A copy that can be asked while the daemon's own files stay its own; null without sqlite3. */
    copy() {
        if (spawnSync('sqlite3', ['--version']).error) return null;
        const dir = folder('hotaru-copy-');
        for (const f of ['hotaru.db', 'hotaru.db-wal']) if (existsSync(path.join(this.daemon.dir, f))) cpSync(path.join(this.daemon.dir, f), path.join(dir, f));
        return { ask: (sql) => execFileSync('sqlite3', [path.join(dir, 'hotaru.db'), sql], { encoding: 'utf8' }).trim(),
            close: () => rmSync(dir, { recursive: true, force: true }) };
    }

    /* What only a look into the store shows. */
    async lookInside() {
        const waiting = () => execFileSync('sqlite3', [path.join(this.daemon.dir, 'hotaru.db'), 'SELECT COUNT(*) FROM intent'], { encoding: 'utf8' }).trim();
        if (spawnSync('sqlite3', ['--version']).error) { await this.end(); skip('PRAGMA integrity_check', 'no sqlite3 on this machine'); return; }
        await until(() => waiting() === '0', 10000, 200);
        await this.end();
        const copy = this.copy(), { ask } = copy;
        same('PRAGMA integrity_check', ask('PRAGMA integrity_check'), 'ok');
        same('no script is still owed an answer', ask('SELECT COUNT(*) FROM intent'), '0');
        same('every uplink of a device with a codec became exactly one reading', ask(`WITH n AS (SELECT uplink, COUNT(*) AS readings FROM reading GROUP BY uplink)
            SELECT COUNT(*) FROM uplink u JOIN device d ON d.tenant = u.tenant AND d.dev_eui = u.dev_eui LEFT JOIN n ON n.uplink = u.id
            WHERE d.profile <> 'test-none' AND COALESCE(n.readings, 0) <> 1`), '0');
        same('no device has lost a link of its chain of uplinks', ask(`SELECT COUNT(*) FROM uplink u WHERE u.prev > 0 AND NOT EXISTS
            (SELECT 1 FROM uplink p WHERE p.tenant = u.tenant AND p.id = u.prev AND p.dev_eui = u.dev_eui)`), '0');
        same('each chain begins once', ask('SELECT COUNT(*) FROM (SELECT dev_eui FROM uplink WHERE prev = 0 GROUP BY dev_eui HAVING COUNT(*) <> 1)'), '0');
        copy.close();
    }

    close() {
        this.pulling = false;
        this.stream.stop();
        for (const g of this.gateways) g.close();
    }

    /* The last line: how much was tried. */
    words(count, what, seconds) {
        const { truth } = this;
        truth.ready.sort((a, b) => a - b);
        return `${count} ${what} in ${seconds.toFixed(1)} s (${(seconds / count).toFixed(2)} s each), ready after ${truth.ready[truth.ready.length >> 1].toFixed(0)} ms (median), ${Math.max(...truth.ready).toFixed(0)} ms (slowest); ` +
            `${truth.acked.size} of ${truth.sent} frames acknowledged in ${truth.datagrams} datagrams, ${truth.resent} sent again, ${truth.replayed} replayed in the loop; ` +
            `${truth.downs_n} downlinks (${truth.acks} ACKs), ${truth.joins.length} joins cut off`;
    }
}
