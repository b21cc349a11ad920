// SPDX-License-Identifier: Apache-2.0
/*
 * The daemon as a process of its own, on a folder and ports of its own; seen only through what the
 * world sees: its ready line, its sockets, its exit.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import http from 'node:http';
import path from 'node:path';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { fatal } from './facts.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
export const ROOT = path.resolve(HERE, '../..');
export const PROGRAM = process.env.HOTARU || path.join(ROOT, 'build/hotaru');

const folders = new Set(), running = new Set();
process.on('exit', () => {
    for (const child of running) try { process.kill(child.pid, 'SIGKILL'); } catch { /* gone */ }
    if (!process.env.KEEP) for (const dir of folders) try { rmSync(dir, { recursive: true, force: true }); } catch { /* a mount: its test ends it */ }
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

export function folder(prefix = 'hotaru-test-') {
    const dir = mkdtempSync(path.join(process.env.HOTARU_TMP || os.tmpdir(), prefix));
    folders.add(dir);
    return dir;
}

const port = () => 20000 + Math.floor(Math.random() * 12000);

export class Daemon {
    /* `env` stands beside the environment of this process. */
    constructor({ dir = folder(), dev = true, args = [], address = '127.0.0.1', env = {}, under = [] } = {}) {
        Object.assign(this, { dir, dev, args, address, env, under, httpPort: port(), udpPort: port(), child: null, log: '' });
        this.agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    }

    /* Milliseconds from the start of the process to its ready line. */
    async start() {
        for (let tries = 0; ; tries++) {
            try {
                return await this.startOnce();
            } catch (e) {
                if (tries >= 5 || !/listen for HTTP|receive datagrams/.test(this.log) || this.wasReady) throw e;
                this.httpPort = port(), this.udpPort = port();      /* another program was there first */
            }
        }
    }

    startOnce() {
        const began = process.hrtime.bigint();
        this.log = '';
        this.agent.destroy();
        const [program, ...before] = [...this.under, PROGRAM];      /* `under`: a program that becomes the daemon, such as prlimit */
        const child = spawn(program, [...before, 'serve', '--data', this.dir, '--http', `${this.address}:${this.httpPort}`,
            '--udp', `${this.address}:${this.udpPort}`, ...(this.dev ? ['--dev'] : []), ...this.args],
            { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...this.env } });
        this.child = child;
        running.add(child);
        this.exited = new Promise((done) => child.once('exit', (code, signal) => {
            running.delete(child);
            done({ code, signal });
            if (this.ready === child && this.killed !== child) fatal('the daemon lives until it is told to stop', `${code ?? signal}: ${this.log}`);
        }));
        child.stderr.on('data', (d) => { this.log = (this.log + d).slice(-20000); });
        return new Promise((ready, fail) => {
            let line = '';
            child.once('error', fail);
            this.exited.then(({ code, signal }) => fail(new Error(`daemon ended with ${code ?? signal}: ${this.log}`)));
            child.stdout.on('data', (d) => {
                line += d;
                if (!/ ready: \S+ udp \S+/.test(line)) return;
                this.wasReady = true;
                this.ready = child;
                ready(Number(process.hrtime.bigint() - began) / 1e6);
            });
        });
    }

    /* The process is gone when this returns; its codec child too, or it is named. */
    async kill(signal = 'SIGKILL') {
        if (!this.alive) return null;
        this.killed = this.child;
        process.kill(this.child.pid, signal);
        return await this.exited;
    }

    get alive() { return this.child && this.child.exitCode === null && this.child.signalCode === null; }

    /* Processes that still carry our folder in their command line. */
    leftovers() {
        return readdirSync('/proc').filter((n) => /^\d+$/.test(n)).filter((pid) => {
            try {
                return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(this.dir) &&
                       readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('serve');
            } catch { return false; }
        }).map(Number);
    }

    /* {status, headers, text, json()}; never throws for a status. */
    call(method, where, { body, headers = {}, timeout = 10000 } = {}) {
        const data = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
        return new Promise((done, fail) => {
            const rq = http.request({ host: this.address, port: this.httpPort, method, path: where, agent: this.agent, timeout,
                headers: { ...(data ? { 'Content-Length': data.length } : {}), ...headers } }, (rs) => {
                const parts = [];
                rs.on('data', (d) => parts.push(d));
                rs.on('error', fail);
                rs.on('end', () => {
                    const text = Buffer.concat(parts).toString();
                    done({ status: rs.statusCode, headers: rs.headers, text, json: () => JSON.parse(text) });
                });
            });
            rq.on('timeout', () => rq.destroy(new Error(`${method} ${where}: no answer in ${timeout} ms`)));
            rq.on('error', fail);
            rq.end(data);
        });
    }

    get(where, options) { return this.call('GET', where, options); }
    post(where, body, options = {}) { return this.call('POST', where, { ...options, body }); }
    async json(where, options) { return (await this.get(where, options)).json(); }

    async importTable(kind, lines, query = '') {
        return this.post(`/v1/import/${kind}${query}`, lines.join('\n') + '\n', { headers: { 'Content-Type': 'text/csv' } });
    }

    /* {drops: {word: n}, and every counter without labels by its name} */
    async metrics() {
        const out = { drops: {} };
        for (const line of (await this.get('/metrics')).text.split('\n')) {
            const drop = /^hotaru_drops_total\{word="(\w+)"\} (\d+)$/.exec(line);
            const plain = /^(\w+) (-?\d+)$/.exec(line);
            if (drop) out.drops[drop[1]] = Number(drop[2]);
            else if (plain) out[plain[1]] = Number(plain[2]);
        }
        return out;
    }

    /* Bytes as they are over TCP; the answer as text when the other side closes or `ms` are over. */
    raw(bytes, ms = 2000) {
        return new Promise((done) => {
            const parts = [];
            const s = createConnection({ host: this.address, port: this.httpPort });
            const end = () => { clearTimeout(timer); s.destroy(); done(Buffer.concat(parts).toString('latin1')); };
            const timer = setTimeout(end, ms);
            s.on('connect', () => s.write(bytes));
            s.on('data', (d) => parts.push(d));
            s.on('error', end);
            s.on('close', end);
        });
    }
}

/* A reader of /v1/stream that remembers where it was. `each` gets every event as {id, event, data}. */
export class Stream {
    constructor(daemon, where, each = () => {}) {
        Object.assign(this, { daemon, where, each, last: null, events: [], comments: 0, open: false });
    }

    start(headers = {}) {
        return new Promise((ready, fail) => {
            const rq = http.request({ host: this.daemon.address, port: this.daemon.httpPort, path: this.where, agent: false,
                headers: { ...(this.last === null ? {} : { 'Last-Event-ID': String(this.last) }), ...headers } }, (rs) => {
                let text = '';
                this.status = rs.statusCode;
                this.type = rs.headers['content-type'];
                this.open = true;
                rs.setEncoding('utf8');
                rs.on('data', (d) => {
                    text += d;
                    for (let at; (at = text.indexOf('\n\n')) >= 0; text = text.slice(at + 2)) this.take(text.slice(0, at));
                });
                rs.on('close', () => { this.open = false; });
                rs.on('error', () => { this.open = false; });
                ready(this);
            });
            rq.on('error', (e) => { this.open = false; fail(e); });
            this.rq = rq;
            rq.end();
        });
    }

    take(block) {
        const event = { event: 'message' };
        for (const line of block.split('\n')) {
            if (line.startsWith(':')) { this.comments++; return; }
            const [name, ...rest] = line.split(': ');
            event[name] = rest.join(': ');
        }
        if (event.id !== undefined) this.last = event.id;
        event.data = JSON.parse(event.data);
        this.events.push(event);
        this.each(event);
    }

    stop() {
        this.rq?.destroy();
        this.open = false;
    }
}
