// SPDX-License-Identifier: Apache-2.0
/*
 * The city's clock as this page knows it.
 *
 * A phone's own clock may be minutes wrong, and a simulated city may run sixty times as fast as we
 * do. So ages are told against the "now" of the server's answers, and between two answers against
 * the pace that was seen, not against the wall of the phone.
 */
export function makeClock(mono_ms = () => performance.now()) {
    let at = null, mark = 0;            /* the latest sample */
    let base = null, base_mark = 0;     /* an older one, to measure the pace against */
    let pace = 1;

    return {
        heard(iso) {
            const now = Date.parse(iso);
            if (!Number.isFinite(now)) return;
            const m = mono_ms();
            if (base === null) { base = now; base_mark = m; }
            if (m - base_mark >= 2000) {
                const seen = (now - base) / (m - base_mark);
                pace = seen > 2 ? seen : 1;     /* a real city runs at 1, jitter or not */
                base = now; base_mark = m;
            }
            at = now; mark = m;
        },
        now() {
            return at === null ? Date.now() : at + (mono_ms() - mark) * pace;
        },
        known() {
            return at !== null;
        },
    };
}
