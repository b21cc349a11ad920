// SPDX-License-Identifier: Apache-2.0
/* All devices, found by name or DevEUI. The search stands in the address, so it can be sent on. */
import { h } from '../dom.js';
import { age, battery, empty, mark, name, simulatedTag, table } from '../parts.js';
import * as say from '../say.js';

const STEP = 50;
const MOST = 1000;        /* what the server gives at once; beyond it, search */

export function devicesScreen(ctx, path, query) {
    const q = query.get('q') || '';
    let limit = STEP;
    let timer = null;

    function look(text) {
        clearTimeout(timer);
        timer = setTimeout(() => ctx.replace(text ? `#/devices?q=${encodeURIComponent(text)}` : '#/devices'), 300);
    }

    return {
        title: () => ctx.t('devices.title'),
        every_s: 20,
        settle_s: 10,
        load: async () => ctx.get(`/v1/devices?${new URLSearchParams({ limit, offset: 0, q })}`),
        tools: () => h('form', { class: 'search', role: 'search', 'data-key': 'search',
            onsubmit: (e) => { e.preventDefault(); look(e.target.q.value.trim()); } },
        h('label', { for: 'q' }, ctx.t('devices.search')),
        h('input', { id: 'q', name: 'q', type: 'search', value: q, autocomplete: 'off',
            spellcheck: 'false', enterkeyhint: 'search',
            oninput: (e) => { if (!e.isComposing) look(e.target.value.trim()); },
            onchange: (e) => look(e.target.value.trim()) })),
        draw: (data) => [
            h('p', { class: 'sum', role: 'status', 'data-key': 'sum' },
                q ? ctx.t('devices.found', { q, n: say.count(data.total) }) : null, ' ',
                data.devices.length < data.total
                    ? ctx.t('devices.shown', { n: data.devices.length, total: say.count(data.total) })
                    : q ? null : ctx.t('devices.total', { n: say.count(data.total) })),
            data.devices.length ? list(ctx, data.devices)
                : q ? empty(ctx.t('devices.none', { q })) : empty(ctx.t('devices.empty')),
            data.devices.length < Math.min(data.total, MOST) ? h('button', {
                type: 'button', class: 'more', 'data-key': 'more',
                onclick: () => { limit = Math.min(limit + STEP, MOST); ctx.reload(); },
            }, ctx.t('devices.more', { n: Math.min(STEP, data.total - data.devices.length, MOST - data.devices.length) })) : null,
        ],
    };
}

function list(ctx, devices) {
    return table(ctx, {
        id: 'device-table', caption: ctx.t('devices.title'), hideCaption: true, rows: devices, key: (d) => d.dev_eui,
        columns: [
            { head: ctx.t('f.name'), header: true, class: 'wide', cell: (d) => [
                h('a', { class: 'rowlink', href: `#/device/${encodeURIComponent(d.dev_eui)}` },
                    name(ctx, d.name || d.dev_eui))] },
            { head: ctx.t('f.state'), class: 'tight', cell: (d) => [mark(ctx, d.state), ' ', simulatedTag(ctx, d.simulated)] },
            { head: ctx.t('f.heard'), cell: (d) => age(ctx, d.last_heard) },
            { head: ctx.t('f.kind'), class: 'tight', cell: (d) => ctx.kind(d.kind) },
            { head: ctx.t('f.battery'), class: 'num', cell: (d) => battery(ctx, d.battery_pct) },
            { head: ctx.t('f.deveui'), class: 'desk', cell: (d) => h('span', { class: 'mono' }, d.dev_eui) },
        ],
    });
}
