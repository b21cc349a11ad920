// SPDX-License-Identifier: Apache-2.0
/* The gateways: those not heard first, then the busiest. */
import { h } from '../dom.js';
import { bar } from '../icons.js';
import { age, empty, mark, name, section, simulatedTag, table } from '../parts.js';
import * as say from '../say.js';

const ORDER = { silent: 0, never: 1, attention: 2, works: 3 };

export function gatewaysScreen(ctx, path) {
    const wanted = path[1] ? decodeURIComponent(path[1]) : null;
    let pointed = false;

    return {
        title: () => ctx.t('gateways.title'),
        every_s: 10,
        load: async () => ctx.get('/v1/gateways'),
        draw: (data) => [
            data.gateways.length ? [
                h('p', { class: 'sum' }, ctx.t('gateways.sum', {
                    all: say.count(data.gateways.length),
                    heard: say.count(data.gateways.filter((g) => g.state === 'works' || g.state === 'attention').length),
                })),
                h('p', { class: 'sub' }, ctx.t('gateways.order')),
                list(ctx, sorted(data.gateways), wanted),
            ] : empty(ctx.t('gateways.empty')),
            unknown(ctx, data.unknown || []),
        ],
        drawn: (host) => {
            if (!wanted || pointed) return;
            const row = [...host.querySelectorAll('tr[data-key]')].find((r) => r.dataset.key === wanted);
            if (!row) return;
            pointed = true;
            row.scrollIntoView({ block: 'center' });
            row.querySelector('th').setAttribute('tabindex', '-1');
            row.querySelector('th').focus({ preventScroll: true });
        },
    };
}

function sorted(gateways) {
    return [...gateways].sort((a, b) =>
        (ORDER[a.state] ?? 2) - (ORDER[b.state] ?? 2) ||
        (b.load_pct || 0) - (a.load_pct || 0) ||
        String(a.name).localeCompare(String(b.name), 'ja'));
}

function list(ctx, gateways, wanted) {
    return table(ctx, {
        id: 'gateway-table', caption: ctx.t('gateways.title'), hideCaption: true, rows: gateways, key: (g) => g.eui,
        rowClass: (g) => g.eui === wanted ? 'wanted' : null,
        columns: [
            { head: ctx.t('f.name'), header: true, class: 'wide', cell: (g) => [
                h('span', { class: 'strong' }, name(ctx, g.name || g.eui)), ' ',
                h('span', { class: 'mono sub' }, g.eui)] },
            { head: ctx.t('f.state'), class: 'tight', cell: (g) => [mark(ctx, g.state), ' ', simulatedTag(ctx, g.simulated)] },
            { head: ctx.t('f.seen'), cell: (g) => age(ctx, g.last_seen) },
            { head: ctx.t('f.load'), cell: (g) => load(ctx, g) },
            { head: ctx.t('f.rxok'), class: 'num', cell: (g) => say.count(g.rx_ok_hour) },
            { head: ctx.t('f.rxbad'), class: 'num', cell: (g) => say.count(g.rx_bad_hour) },
            { head: ctx.t('f.tx'), class: 'num', cell: (g) => say.count(g.tx_hour) },
            /* Told by some packet forwarders only: no column of dashes. */
            gateways.some((g) => typeof g.ack_ratio === 'number')
                ? { head: ctx.t('f.ack'), class: 'num', cell: (g) => ratio(g.ack_ratio) } : null,
        ].filter(Boolean),
    });
}

function load(ctx, g) {
    if (typeof g.load_pct !== 'number' || g.state === 'silent' || g.state === 'never') return '–';
    const pct = Math.max(0, Math.min(100, g.load_pct));
    return h('span', { class: 'load' },
        bar(pct), ` ${say.number(pct, pct < 10 ? 'CEL' : 'P1')}\u00a0%`);
}

/* The last acknowledgement ratio the gateway told: 1 or 100, as its packet forwarder counts. */
function ratio(r) {
    if (typeof r !== 'number') return '–';
    return `${Math.round(r <= 1 ? r * 100 : r)}\u00a0%`;
}

function unknown(ctx, gateways) {
    if (!gateways.length) return null;
    return section(ctx.t('gateways.unknown'), 'unknown', h('p', {}, ctx.t('gateways.unknown.hint')),
        table(ctx, {
            id: 'unknown-table', caption: ctx.t('gateways.unknown'), hideCaption: true, rows: gateways, key: (g) => g.eui,
            columns: [
                { head: ctx.t('f.eui'), header: true, class: 'wide', cell: (g) => h('span', { class: 'mono' }, g.eui) },
                { head: ctx.t('f.seen'), cell: (g) => age(ctx, g.last_seen) },
                { head: ctx.t('f.datagrams'), class: 'num', cell: (g) => say.count(g.datagrams) },
            ],
        }));
}
