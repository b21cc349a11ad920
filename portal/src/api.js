// SPDX-License-Identifier: Apache-2.0
/* The server's JSON. Every answer and every failure is told to the connection (live.js). */

const TIMEOUT_MS = 15000;
const TOKEN = 'hotaru.token';

export class ApiError extends Error {
    constructor(status, title) {
        super(title);
        this.status = status;       /* 0: no answer at all */
        this.title = title;
    }
}

export function tokenKeep(token) {
    try { sessionStorage.setItem(TOKEN, token); } catch { /* it lasts as long as the page */ }
    kept = token;
}

let kept = null;
export function headers() {
    let token = kept;
    try { token = token || sessionStorage.getItem(TOKEN); } catch { /* private window */ }
    return token ? { Authorization: `Bearer ${token}` } : {};
}

export function makeApi(live, clock) {
    return async function get(path) {
        const control = new AbortController();
        const timer = setTimeout(() => control.abort(), TIMEOUT_MS);
        let answer, body;
        try {
            answer = await fetch(path, {
                headers: { Accept: 'application/json', ...headers() },
                cache: 'no-store', signal: control.signal,
            });
            body = await answer.json().catch(() => null);
        } catch (e) {
            live.failed();
            throw new ApiError(0, String(e && e.message));
        } finally {
            clearTimeout(timer);
        }
        if (answer.status >= 500) live.failed();
        else live.succeeded();
        if (!answer.ok) throw new ApiError(answer.status, body && body.title ? body.title : answer.statusText);
        if (body === null) throw new ApiError(answer.status, 'not JSON');
        if (body.now) clock.heard(body.now);
        return body;
    };
}
