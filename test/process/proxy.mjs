// SPDX-License-Identifier: Apache-2.0
/*
 * A bad road between gateways and the daemon: every datagram, either way, may be lost, doubled, held
 * back or overtaken; while the road is cut nothing passes. Each socket of a gateway has a socket of
 * its own towards the daemon, as behind a router. Gateways take it for the daemon: address, udpPort.
 */
import dgram from 'node:dgram';

export const GOOD = { loss: 0, twice: 0, reorder: 0, jitter_ms: 0 };
export const BAD = { loss: 0.1, twice: 0.05, reorder: 0.25, jitter_ms: 500 };
const OVERTAKEN_MS = 60;                 /* so long the overtaken ones wait more than the others */

export class Road {
    constructor(daemon, rnd, fate = GOOD) {
        Object.assign(this, { daemon, rnd, fate, address: '127.0.0.1', cut: false, ways: new Map(), waiting: new Set(),
            lost: 0, doubled: 0, held: 0, passed: 0, stopped: 0 });
    }

    open() {
        return new Promise((done, fail) => {
            this.front = dgram.createSocket('udp4');
            this.front.on('error', fail);
            this.front.on('message', (m, from) => this.travel(m, (b) => this.way(from).send(b, this.daemon.udpPort, this.daemon.address, () => {})));
            this.front.bind(0, this.address, () => { this.udpPort = this.front.address().port; done(this); });
        });
    }

    way(from) {
        const name = `${from.address}:${from.port}`;
        if (!this.ways.has(name)) {
            const back = dgram.createSocket('udp4');
            back.on('error', () => {});
            back.on('message', (m) => this.travel(m, (b) => this.front.send(b, from.port, from.address, () => {})));
            back.bind(0, this.address);
            this.ways.set(name, back);
        }
        return this.ways.get(name);
    }

    travel(bytes, arrive) {
        const { rnd, fate } = this;
        if (this.cut) { this.stopped++; return; }
        if (rnd.real() < fate.loss) { this.lost++; return; }
        const copies = rnd.real() < fate.twice ? 2 : 1;
        this.doubled += copies - 1;
        for (let i = 0; i < copies; i++) {
            const overtaken = rnd.real() < fate.reorder;
            const ms = rnd.real() * rnd.real() * fate.jitter_ms + (overtaken ? OVERTAKEN_MS : 0);
            this.held += overtaken;
            const timer = setTimeout(() => { this.waiting.delete(timer); this.passed++; arrive(bytes); }, ms);
            this.waiting.add(timer);
        }
    }

    close() {
        for (const timer of this.waiting) clearTimeout(timer);
        for (const back of this.ways.values()) try { back.close(); } catch { /* closed */ }
        try { this.front.close(); } catch { /* closed */ }
    }

    words() { return `${this.passed} passed, ${this.lost} lost, ${this.doubled} doubled, ${this.held} overtaken, ${this.stopped} before a closed road`; }
}
