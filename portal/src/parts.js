// SPDX-License-Identifier: Apache-2.0
/* The pieces screens are made of. Each takes the context: { t, lang, clock, city, ... }. */
import { h } from './dom.js';
import * as say from './say.js';

/* State is a shape and a word; colour only repeats them. */
export function mark(ctx, state, word) {
    const known = say.SHAPES[state] ? state : 'unknown';
    return h('span', { class: `mark is-${known}` },
        h('span', { class: 'shape', 'aria-hidden': 'true' }, say.SHAPES[state] || '–'),
        h('span', { class: 'word' }, word || ctx.t(`state.${known}`)));
}

/* Names come in the language of who gave them. */
export function name(ctx, text) {
    if (!text) return '–';
    return ctx.lang !== 'ja' && say.isJapanese(text) ? h('span', { lang: 'ja' }, text) : text;
}

/* A detail that the server has only in English: behind our own words, and read out in its language. */
export function english(ctx, text) {
    return ctx.lang !== 'en' && !say.isJapanese(text) ? h('span', { lang: 'en' }, text) : text;
}

/* A time always says its age too. app.js renews the age each second from data-ago. */
export function age(ctx, iso, { limit_s = null, none = 'heard.never' } = {}) {
    const ms = say.millis(iso);
    if (!Number.isFinite(ms)) return h('span', { class: 'age never' }, ctx.t(none));
    const now = ctx.clock.now();
    return h('time', {
        class: 'age', datetime: say.jstIso(ms), title: say.fullTime(ctx.lang, ms),
        'data-ago': ms, 'data-limit': limit_s,
    }, h('span', { class: 'ago' }, ageWords(ctx, ms, limit_s)), ' ',
    h('span', { class: 'at' }, say.shortTime(ctx.lang, ms, now)));
}

export function ageWords(ctx, ms, limit_s) {
    const seconds = (ctx.clock.now() - ms) / 1000;
    const words = say.age(ctx.t, seconds);
    return limit_s && seconds > limit_s ? `${words} · ${ctx.t('age.old')}` : words;
}

export function since(ctx, iso) {
    const ms = say.millis(iso);
    if (!Number.isFinite(ms)) return h('span', { class: 'age' }, ctx.t('age.none'));
    return h('time', {
        class: 'age', datetime: say.jstIso(ms), title: say.fullTime(ctx.lang, ms), 'data-since': ms,
    }, sinceWords(ctx, ms));
}

export function sinceWords(ctx, ms) {
    const now = ctx.clock.now();
    return ctx.t('since', {
        at: say.shortTime(ctx.lang, ms, now), for: say.duration(ctx.t, (now - ms) / 1000),
    });
}

/* The value with its flag in words; doubtful values are hollow. Its age stands beside it: see reading(). */
export function valueOf(ctx, v) {
    const text = say.value(ctx.t, v.value, v.unit);
    if (!v.flag) return h('span', { class: 'value' }, text);
    return h('span', { class: 'value flagged' },
        h('span', { class: 'hollow' }, text), ' ',
        h('span', { class: 'flag' }, `${v.flag} ${say.flagWord(ctx.t, v.flag)}`));
}

export function reading(ctx, v, limit_s) {
    return [valueOf(ctx, v), ' ', age(ctx, v.observed_at, { limit_s, none: 'age.none' })];
}

/*
 * A table that a phone shows as cards: each cell knows its own heading (data-label). The roles are
 * said out loud because display:block takes them away from some screen readers.
 */
export function table(ctx, { id, caption, columns, rows, key, rowClass, hideCaption }) {
    return h('table', { class: 'cards', id, role: 'table' },
        h('caption', { class: hideCaption ? 'unseen' : null }, caption),
        h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' },
            columns.map((c) => h('th', { scope: 'col', role: 'columnheader', class: c.class }, c.head)))),
        h('tbody', { role: 'rowgroup' }, rows.map((row) =>
            h('tr', { role: 'row', 'data-key': key(row), class: rowClass ? rowClass(row) : null },
                columns.map((c, i) => cell(c, row, i === 0 && c.header))))));
}

/* What is a dash among columns is nothing at all on a card. */
function cell(c, row, header) {
    const content = c.cell(row);
    return h(header ? 'th' : 'td', {
        role: header ? 'rowheader' : 'cell', scope: header ? 'row' : null,
        class: [c.class, content === '–' ? 'blank' : null].filter(Boolean).join(' ') || null, 'data-label': c.head,
    }, h('span', { class: 'cell' }, content));
}

export function empty(words, hint) {
    return h('p', { class: 'empty' }, h('strong', {}, words), hint ? [' ', hint] : null);
}

export function section(title, id, ...kids) {
    return h('section', { 'aria-labelledby': id, 'data-key': `section-${id}` },
        h('h2', { id, tabindex: '-1' }, title), kids);
}

export function battery(ctx, pct) {
    if (typeof pct !== 'number') return '–';
    return h('span', { class: pct <= 20 ? 'battery low' : 'battery' }, `${Math.round(pct)}\u00a0%`);
}

export function simulatedTag(ctx, on) {
    return on ? h('span', { class: 'simtag' }, ctx.t('sim.one')) : null;
}

export function legend(ctx) {
    return h('dl', { class: 'legend' }, say.STATES.map((s) => h('div', {},
        h('dt', {}, mark(ctx, s)), h('dd', {}, ctx.t(`state.${s}.what`)))));
}
