// SPDX-License-Identifier: Apache-2.0
/*
 * Server-sent events over fetch, not EventSource: we need the Authorization header, and a phone that
 * slept keeps a dead connection open for minutes. The server sends a comment every 15 s, so silence
 * of 40 s is a dead line: we hang up and dial again with the last id we saw.
 */

const SILENCE_MS = 40000;
const RETRY_MS = [1000, 2000, 5000, 10000, 15000];

/* text/event-stream, WHATWG HTML 9.2.6. Feed it any slices; it calls back with whole events. */
export function makeParser(heard) {
    let rest = '';
    let event = blank();

    function blank() { return { id: null, event: 'message', data: [] }; }

    function line(text) {
        if (text === '') {
            if (event.data.length) heard({ id: event.id, event: event.event, data: event.data.join('\n') });
            event = blank();
            return;
        }
        if (text.startsWith(':')) return;
        const colon = text.indexOf(':');
        const field = colon < 0 ? text : text.slice(0, colon);
        let value = colon < 0 ? '' : text.slice(colon + 1);
        if (value.startsWith(' ')) value = value.slice(1);
        if (field === 'data') event.data.push(value);
        else if (field === 'event') event.event = value;
        else if (field === 'id') event.id = value;
    }

    return function feed(text) {
        rest += text;
        /* A CR at the very end may be half of a CRLF: wait for its other half. */
        const whole = rest.endsWith('\r') ? rest.slice(0, -1) : rest;
        const lines = whole.split(/\r\n|\n|\r/);
        rest = lines.pop() + rest.slice(whole.length);
        lines.forEach(line);
    };
}

/* connect(kind) may be called again to change the kind; close() is for good. */
export function makeStream({ headers, heard, opened, closed, alive }) {
    let last_id = null, kind = null, control = null, timer = null, watch = null, failures = 0;

    async function dial() {
        clearTimeout(timer);
        const mine = control = new AbortController();
        const query = new URLSearchParams({ kind });
        if (last_id !== null) query.set('since', last_id);
        try {
            const answer = await fetch(`/v1/stream?${query}`, {
                headers: {
                    Accept: 'text/event-stream', ...headers(),
                    ...(last_id === null ? {} : { 'Last-Event-ID': String(last_id) }),
                },
                cache: 'no-store', signal: mine.signal,
            });
            if (!answer.ok || !answer.body) throw new Error(String(answer.status));
            opened();
            await read(answer.body, mine);
        } catch { /* said below: an end and a failure look the same to the reader */ }
        clearTimeout(watch);
        if (mine !== control) return;       /* another call took over */
        closed();
        const wait = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)];
        timer = setTimeout(dial, wait * (0.75 + Math.random() / 2));
    }

    async function read(body, mine) {
        const reader = body.getReader();
        const text = new TextDecoder();
        const feed = makeParser((event) => {
            if (event.id) last_id = event.id;
            let data = null;
            try { data = JSON.parse(event.data); } catch { return; }
            heard(event.event, data);
        });
        for (;;) {
            clearTimeout(watch);
            watch = setTimeout(() => mine.abort(), SILENCE_MS);
            const { done, value } = await reader.read();
            if (done) return;
            failures = 0;
            alive();
            feed(text.decode(value, { stream: true }));
        }
    }

    return {
        start(id) { if (last_id === null) last_id = id; },
        connect(wanted) {
            if (wanted === kind && control) return;
            kind = wanted;
            this.again();
        },
        again() {
            if (kind === null) return;
            const old = control;
            control = null;
            if (old) old.abort();
            failures = 0;
            dial();
        },
    };
}
