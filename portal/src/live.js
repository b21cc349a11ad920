// SPDX-License-Identifier: Apache-2.0
/*
 * What we may say about the connection.
 *
 *   start     nothing has answered yet
 *   live      the stream is open
 *   polling   the stream is not, but questions are answered
 *   lost      nothing answers: since when is the time of the last answer
 *
 * One failed question with the stream open is a hiccup; with the stream closed it is a loss.
 */
export function makeLive(clock, changed) {
    let streaming = false, failing = false, last_ms = null;

    function state() {
        if (streaming && !failing) return 'live';
        if (failing && !streaming) return 'lost';
        if (last_ms === null) return 'start';
        return streaming ? 'live' : 'polling';
    }

    function tell(change) {
        const before = state();
        change();
        if (state() !== before) changed(state(), before);
    }

    return {
        state,
        last: () => last_ms,
        opened: () => tell(() => { streaming = true; failing = false; last_ms = clock.now(); }),
        closed: () => tell(() => { streaming = false; }),
        alive: () => tell(() => { failing = false; last_ms = clock.now(); }),
        succeeded: () => tell(() => { failing = false; last_ms = clock.now(); }),
        failed: () => tell(() => { failing = true; if (last_ms === null) last_ms = clock.now(); }),
    };
}
