// SPDX-License-Identifier: Apache-2.0
/*
 * The start page: what is wrong now, in the order the server gives (what matters first).
 *
 * An empty list must not read as "all is well" when nothing is being heard, so how many are heard
 * stands above it, and the list is never drawn as empty before an answer has come.
 */
import { h } from '../dom.js';
import { empty, english, name, since, valueOf } from '../parts.js';
import * as say from '../say.js';

const SEVERITIES = ['wrong', 'attention', 'silent'];
const SHAPES = { wrong: '▲', attention: '△', silent: '○' };
const FIRST = 20;       /* of each kind, until asked for all */

export function wrongScreen(ctx) {
    const whole = new Set();

    return {
        title: () => ctx.t('wrong.title'),
        every_s: 15,
        settle_s: 5,            /* a busy city changes every second; the list need not */
        load: async () => ctx.get('/v1/findings'),
        concerns: () => true,
        draw: (data) => [
            heard(ctx),
            ...SEVERITIES.map((s) => group(ctx, whole, s, data.findings.filter((f) => f.severity === s))),
            data.findings.length ? null : empty(ctx.t('wrong.none'), ctx.t('wrong.none.hint')),
        ],
    };
}

function heard(ctx) {
    const c = ctx.city && ctx.city.counts;
    if (!c) return null;
    return h('ul', { class: 'heard', 'data-key': 'heard' },
        tile(ctx, '#/gateways', ctx.t('wrong.gateways'), c.gateways_heard, c.gateways),
        tile(ctx, '#/devices', ctx.t('wrong.devices'), c.devices_heard, c.devices));
}

function tile(ctx, href, title, heard, all) {
    const missing = all - heard;
    return h('li', {}, h('a', { href },
        h('span', { class: 'tile-title' }, title),
        h('span', { class: 'tile-main' },
            all === 0 ? ctx.t('wrong.none.registered')
                : missing ? ctx.t('wrong.heard', { heard: say.count(heard), all: say.count(all) })
                    : ctx.t('wrong.all.heard', { all: say.count(all) })),
        missing > 0 ? h('span', { class: 'tile-sub' },
            h('span', { 'aria-hidden': 'true' }, '○ '), ctx.t('wrong.missing', { n: missing })) : null));
}

function group(ctx, whole, severity, findings) {
    if (!findings.length) return null;
    const shown = whole.has(severity) ? findings : findings.slice(0, FIRST);
    const id = `severity-${severity}`;
    return h('section', { class: `findings ${severity}`, 'aria-labelledby': id, 'data-key': id },
        h('h2', { id },
            h('span', { class: `severity ${severity}` },
                h('span', { 'aria-hidden': 'true' }, `${SHAPES[severity]} `),
                ctx.t(`severity.${severity}`)),
            ' ', h('span', { class: 'count' }, ctx.t('wrong.count', { n: findings.length }))),
        h('ul', { class: 'list', 'aria-label': ctx.t('wrong.list', { severity: ctx.t(`severity.${severity}`) }) },
            shown.map((f) => finding(ctx, f))),
        shown.length < findings.length
            ? h('button', { type: 'button', class: 'more',
                onclick: () => { whole.add(severity); ctx.redraw(); } },
            ctx.t('wrong.more', { n: findings.length - shown.length }))
            : null);
}

function finding(ctx, f) {
    const href = hrefOf(f);
    const body = [
        h('span', { class: 'finding-head' },
            h('span', { class: 'finding-name' }, name(ctx, subject(ctx, f.subject))),
            h('span', { class: 'finding-kind' }, word(ctx, `finding.${f.kind}`, f.kind))),
        h('span', { class: 'finding-words' }, words(ctx, f)),
        h('span', { class: 'finding-when' },
            typeof f.value === 'number' ? [
                `${ctx.t('wrong.measured')} `,
                f.kind === 'reading_suspect'
                    ? h('span', { class: 'value hollow' }, say.value(ctx.t, f.value, f.unit))
                    : valueOf(ctx, f), ' · ',
            ] : null,
            since(ctx, f.since)),
    ];
    return h('li', { 'data-key': `${f.kind} ${f.subject.type} ${f.subject.id}` },
        href ? h('a', { class: 'finding', href }, body) : h('div', { class: 'finding' }, body));
}

/* Devices that nobody registered have no name, and a line for many bears the first one's and their number. */
function subject(ctx, { id, name: given }) {
    if (String(id).startsWith('urn:hotaru:refused:')) return ctx.t('finding.unregistered');
    const many = /^(.*) … \((\d+)\)$/.exec(given || '');
    return many ? ctx.t('finding.many', { name: many[1], n: many[2] - 1 }) : given || id;
}

/* The server's sentence. A reason it has only in English stands small behind our own words. */
function words(ctx, f) {
    const said = f[ctx.lang] || f.ja || f.en || '';
    if (ctx.lang === 'en' || !f.ja) return name(ctx, said);
    const [, sentence, detail] = /^(.*?): ([\x20-\x7e]*)$/.exec(said) || [];
    if (sentence === undefined) return said;
    const known = word(ctx, `drop.${detail}`, '');
    if (known) return `${sentence}: ${known}`;
    return [`${sentence}。`, detail ? h('span', { class: 'sub' }, english(ctx, detail)) : null];
}

/* A line that speaks for many (the server groups more than twenty) leads to where they all stand. */
const MANY = {
    gateway_silent: '#/gateways', device_silent: '#/map', device_never: '#/map', reading_suspect: '#/map',
    battery_low: '#/devices', frames_refused: '#/devices', downlink_failed: '#/devices',
};

function hrefOf({ kind, subject }) {
    if (subject.type === 'device') return `#/device/${encodeURIComponent(subject.id)}`;
    if (subject.type === 'gateway') return `#/gateways/${encodeURIComponent(subject.id)}`;
    return MANY[kind] || null;
}

function word(ctx, key, otherwise) {
    const text = ctx.t(key);
    return text === key ? otherwise : text;
}
