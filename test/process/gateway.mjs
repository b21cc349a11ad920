// SPDX-License-Identifier: Apache-2.0
/*
 * A gateway's packet forwarder, written from Semtech's PROTOCOL.TXT and independent of wire/: two
 * sockets (up and down, as the forwarders have), a concentrator clock that wraps, and a promise for
 * every datagram: true when its acknowledgement came, false when the time was over.
 */
import dgram from 'node:dgram';

const PUSH_DATA = 0, PUSH_ACK = 1, PULL_DATA = 2, PULL_RESP = 3, PULL_ACK = 4, TX_ACK = 5;

export class Gateway {
    constructor(daemon, eui, { host = '127.0.0.1', version = 2, offset_us = 0 } = {}) {
        Object.assign(this, { daemon, eui: Buffer.from(eui, 'hex'), name: eui.toUpperCase(), host, version, offset_us, token: 0,
            waiting: new Map(), downs: [], strangers: 0, acks: 0, replies: [] });
        /* What to say to a PULL_RESP: undefined: taken; a word: that error; null: nothing at all. */
        this.answer = () => undefined;
        this.heard = () => {};
        this.acked = () => {};
    }

    async open() {
        this.up = await this.socket();
        this.down = await this.socket();
        return this;
    }

    socket(host = this.host) {
        return new Promise((done, fail) => {
            const s = dgram.createSocket('udp4');
            s.on('error', fail);
            s.on('message', (m) => this.take(s, m));
            s.bind(0, host, () => done(s));
        });
    }

    close() {
        for (const s of [this.up, this.down]) try { s.close(); } catch { /* closed */ }
        for (const w of this.waiting.values()) { clearTimeout(w.timer); w.done(false); }
        this.waiting.clear();
    }

    /* The concentrator's 32-bit microseconds. */
    tmst() { return Number((process.hrtime.bigint() / 1000n + BigInt(this.offset_us)) % 4294967296n); }

    nextToken() { return (this.token = (this.token + 1) & 0xFFFF); }

    head(kind, token, version = this.version) {
        const h = Buffer.alloc(4);
        h[0] = version;
        h.writeUInt16BE(token, 1);
        h[3] = kind;
        return h;
    }

    send(bytes, socket = this.up) {
        socket.send(bytes, this.daemon.udpPort, this.daemon.address, () => {});
    }

    /* Sends and waits for the acknowledgement with the same token. */
    ask(kind, body, { ms = 5000, socket, token = this.nextToken() } = {}) {
        const want = kind === PULL_DATA ? PULL_ACK : PUSH_ACK;
        const bytes = Buffer.concat([this.head(kind, token), this.eui, body]);
        return new Promise((done) => {
            const key = want << 16 | token;
            const old = this.waiting.get(key);
            if (old) { clearTimeout(old.timer); old.done(false); }
            const timer = setTimeout(() => { this.waiting.delete(key); done(false); }, ms);
            this.waiting.set(key, { done, timer, bytes: bytes.length });
            this.send(bytes, socket || (kind === PULL_DATA ? this.down : this.up));
        });
    }

    /* All that waits is over: the daemon is dead. */
    giveUp() {
        for (const w of this.waiting.values()) { clearTimeout(w.timer); w.done(false); }
        this.waiting.clear();
    }

    pushText(text, options) { return this.ask(PUSH_DATA, Buffer.from(text), options); }
    push(object, options) { return this.pushText(JSON.stringify(object), options); }
    pull(options) { return this.ask(PULL_DATA, Buffer.alloc(0), options); }

    /* How this gateway heard a frame, as its forwarder writes it. */
    rxpk(phy, { tmst = this.tmst(), freq = 923.2, datr = 'SF10BW125', rssi = -97, lsnr = 7.5, ...more } = {}) {
        return { tmst, chan: 0, rfch: 0, freq, stat: 1, modu: 'LORA', datr, codr: '4/5', rssi, lsnr, size: phy.length,
            data: phy.toString('base64'), ...more };
    }

    hear(phy, how, options) { return this.push({ rxpk: [this.rxpk(phy, how)] }, options); }

    take(socket, m) {
        this.replies.push(m.length);
        if (m.length < 4) { this.strangers++; return; }
        const token = m.readUInt16BE(1), kind = m[3];
        if (kind === PULL_RESP) { this.takeDown(token, m.subarray(4)); return; }
        const waiting = this.waiting.get(kind << 16 | token);
        if (m.length !== 4 || !waiting) { this.strangers++; return; }
        this.waiting.delete(kind << 16 | token);
        clearTimeout(waiting.timer);
        this.acks++;
        waiting.done(true);
    }

    takeDown(token, json) {
        const txpk = JSON.parse(json.toString()).txpk;
        const down = { at: Date.now(), token, txpk, phy: Buffer.from(txpk.data, 'base64'), gateway: this };
        this.downs.push(down);
        this.heard(down);
        const error = this.answer(down);
        if (error === null || this.version === 1) return;
        const body = error === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify({ txpk_ack: { error } }));
        this.send(Buffer.concat([this.head(TX_ACK, token), this.eui, body]), this.down);
    }
}
