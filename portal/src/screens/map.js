// SPDX-License-Identifier: Apache-2.0
/*
 * Every place with its live value and age: the list first, the map beside it.
 *
 * The list is the page; the map is an enhancement that is loaded only here and may fail (no WebGL,
 * a weak phone) without anything being lost. People's trackers have no position on either.
 */
import { h } from '../dom.js';
import { icon } from '../icons.js';
import { age, empty, legend, mark, name, section, table, valueOf } from '../parts.js';
import * as say from '../say.js';

const ORDER = { attention: 0, silent: 1, never: 2, works: 3 };
const FIRST = 3;
const KINDS = ['river', 'snow', 'weather', 'parking', 'paddy', 'tracker', 'other', 'gateway'];
const HIDDEN = 'hotaru.map.hidden';

export function mapScreen(ctx, path, query) {
    const hidden = new Set(stored());
    const at = query.get('at');
    let points = [];
    let by_entity = new Map();
    let view = null, making = false, failed = false, closed = false, schools = false;
    let picked = null, all = wide(), aimed = false;

    function visible() {
        return points.filter((p) => !hidden.has(p.kind));
    }

    async function load() {
        const data = await ctx.get('/v1/map');
        return data;
    }

    function take(data) {
        points = data.points;
        by_entity = new Map(points.map((p) => [p.id, p]));
    }

    /* A change from the stream is put into the point at once; the next load confirms it. */
    function heard(event, data) {
        const p = by_entity.get(data.entity) || points.find((q) => q.device && q.device === data.device);
        if (!p || p.personal || data.behind) return false;         // history: what is shown is younger
        const change = p.attr && data.attrs && data.attrs[p.attr];
        if (!change) return false;
        p.value = change.value;
        p.unit = change.unit ?? p.unit;
        p.flag = change.flag || '';
        p.observed_at = change.observed_at || data.at;
        p.state = p.flag ? 'attention' : 'works';
        return true;
    }

    function draw(data) {
        take(data);
        const list = [...visible()].sort(byMatter);
        const placed = list.filter(hasPlace);
        const shown = all ? list : list.slice(0, FIRST);
        return [
            filter(),
            h('div', { class: 'map-page', 'data-key': 'map-page' },
                h('section', { class: 'map-list', 'aria-labelledby': 'map-list', 'data-key': 'list' },
                    h('h2', { id: 'map-list', tabindex: '-1' }, all ? ctx.t('map.list') : ctx.t('map.matters')),
                    list.length ? placesTable(shown) : empty(ctx.t('map.empty')),
                    list.length > FIRST ? h('button', {
                        type: 'button', class: 'more', 'aria-expanded': String(all), 'aria-controls': 'map-table',
                        onclick: () => { all = !all; ctx.redraw(); },
                    }, all ? ctx.t('map.fewer') : ctx.t('map.all', { n: list.length })) : null),
                h('div', { class: 'map-side', 'data-key': 'side' },
                    h('div', { class: 'map-box', 'data-key': 'box' },
                        h('div', { id: 'map', class: 'map', role: 'region', 'aria-label': ctx.t('map.canvas'),
                            'data-keep': true, 'data-key': 'map' }),
                        failed ? h('p', { class: 'map-note', role: 'status' }, ctx.t('map.none'))
                            : view ? null : h('p', { class: 'map-note', role: 'status' }, ctx.t('map.loading')),
                        h('div', { class: 'map-tools', 'data-key': 'tools' },
                            tool('plus', 'map.in', () => view && view.zoom(1)),
                            tool('minus', 'map.out', () => view && view.zoom(-1)),
                            tool('fit', 'map.fit', () => view && view.fit())),
                        h('div', { class: 'map-scale', id: 'map-scale', 'data-keep': true, 'data-key': 'scale' })),
                    pickedPanel(),
                    h('p', { class: 'sub' }, ctx.t('map.drawn', { n: placed.length, all: list.length }), ' ', ctx.t('provisional')),
                    h('p', { class: 'credit' }, ctx.t('about.credit.n03'), schools ? [' · ', ctx.t('about.credit.schools')] : null),
                    h('label', { class: 'check' }, h('input', { type: 'checkbox', id: 'schools', checked: schools,
                        onchange: (e) => { schools = e.target.checked; if (view) view.schools(schools); ctx.redraw(); } }),
                    ctx.t('map.schools')),
                    h('details', { class: 'map-legend', 'data-key': 'legend' },
                        h('summary', {}, ctx.t('map.legend')), legend(ctx)))),
        ];
    }

    function filter() {
        const present = KINDS.filter((k) => points.some((p) => p.kind === k));
        if (present.length < 2) return null;
        const off = present.filter((k) => hidden.has(k)).length;
        return h('details', { class: 'filter-box', open: wide(), 'data-key': 'filter' },
            h('summary', {}, ctx.t('map.filter'), off ? ` (${ctx.t('map.filter.off', { n: off })})` : null),
            h('div', { class: 'filter', role: 'group', 'aria-label': ctx.t('map.filter') }, present.map((k) => h('button', {
                type: 'button', 'data-key': k, 'aria-pressed': String(!hidden.has(k)),
                onclick: () => {
                    if (!hidden.delete(k)) hidden.add(k);
                    keep([...hidden]);
                    ctx.redraw();
                },
            }, h('span', { 'aria-hidden': 'true' }, hidden.has(k) ? '☐ ' : '☑ '), ctx.kind(k),
            ` ${points.filter((p) => p.kind === k).length}`))));
    }

    function placesTable(rows) {
        return table(ctx, {
            id: 'map-table', caption: ctx.t('map.list'), hideCaption: true, rows, key: (p) => p.id,
            rowClass: (p) => p.id === picked ? 'wanted' : null,
            columns: [
                { head: ctx.t('f.name'), header: true, class: 'wide', cell: (p) => [mark(ctx, p.state), ' ', link(p)] },
                { head: ctx.t('f.value'), cell: (p) => whatOf(p) },
                { head: ctx.t('f.observed'), cell: (p) => age(ctx, p.observed_at) },
                { head: ctx.t('f.place'), class: 'aim', cell: (p) => hasPlace(p)
                    ? h('button', { type: 'button', class: 'small', onclick: () => aim(p), 'aria-label': `${ctx.t('map.show')}: ${p.name}` }, icon('aim'))
                    : h('span', { class: 'sub' }, ctx.t(p.personal ? 'map.hidden' : 'map.noplace')) },
            ],
        });
    }

    function whatOf(p) {
        if (p.personal) return h('span', { class: 'sub' }, ctx.kind(p.kind));
        if (!p.attr) return h('span', { class: 'sub' }, ctx.kind(p.kind));
        return valueOf(ctx, p);
    }

    function link(p) {
        const text = name(ctx, p.name || p.id);
        if (p.kind === 'gateway') return h('a', { class: 'rowlink', href: `#/gateways/${encodeURIComponent(gatewayOf(p))}` }, text);
        return p.device ? h('a', { class: 'rowlink', href: `#/device/${encodeURIComponent(p.device)}` }, text)
            : h('span', { class: 'strong' }, text);
    }

    function pickedPanel() {
        const p = points.find((q) => q.id === picked);
        return h('div', { class: 'picked', role: 'status', 'aria-label': ctx.t('map.picked'), 'data-key': 'picked', id: 'picked' },
            p ? [
                h('p', { class: 'picked-name' }, mark(ctx, p.state), ' ', link(p)),
                h('p', { class: 'picked-value' }, p.attr ? [valueOf(ctx, p), ' '] : [ctx.kind(p.kind), ' '], age(ctx, p.observed_at)),
            ] : h('p', { class: 'sub' }, ctx.t('map.pick')));
    }

    function tool(sign, word, onclick) {
        return h('button', { type: 'button', 'aria-label': ctx.t(word), title: ctx.t(word), 'data-key': word, onclick }, icon(sign));
    }

    function aim(p) {
        pick(p.id);
        if (!view) return;
        view.aim(p);
        document.getElementById('map').scrollIntoView({ block: 'center' });
    }

    function pick(id) {
        picked = id;
        ctx.redraw();
    }

    function features() {
        return visible().filter(hasPlace).map((p) => ({
            p, label: labelOf(p), picked: p.id === picked,
        }));
    }

    /* One short line under the mark: the value and how old it is. */
    function labelOf(p) {
        const ms = say.millis(p.observed_at);
        const old = Number.isFinite(ms) ? say.age(ctx.t, (ctx.clock.now() - ms) / 1000) : ctx.t('heard.never');
        if (p.kind === 'gateway') return p.state === 'works' ? '' : old;
        if (!p.attr || p.value === null || p.value === undefined) return old;
        return `${say.value(ctx.t, p.value, p.unit)}${p.flag ? ` ${p.flag}` : ''}\n${old}`;
    }

    async function drawn(host) {
        const box = host.querySelector('#map');
        if (!box || failed) return;
        if (view) { view.show(features()); return; }
        if (making) return;
        making = true;
        try {
            const { makeMap } = await import('../map-view.js');
            const made = await makeMap(ctx, box, { pick, scale: host.querySelector('#map-scale') });
            if (closed) { made.close(); return; }
            view = made;
            view.show(features());
            view.fit(false);
            const wanted = at && points.find((p) => (p.device === at || p.id === at) && hasPlace(p));
            if (wanted && !aimed) { aimed = true; view.aim(wanted); picked = wanted.id; }
        } catch (e) {
            failed = true;
            console.warn('the map cannot be drawn:', e && e.message);
        }
        if (!closed) ctx.redraw();
    }

    return {
        title: () => ctx.t('map.title'),
        every_s: 30,
        settle_s: 1,
        redraw_s: 10,           /* the ages under the marks */
        load, draw, drawn, heard,
        close: () => { closed = true; if (view) view.close(); },
    };
}

function wide() {
    return window.matchMedia('(min-width: 60rem)').matches;
}

function hasPlace(p) {
    return !p.personal && typeof p.lat === 'number' && typeof p.lon === 'number';
}

function gatewayOf(p) {
    return p.device || String(p.id).split(':').pop();
}

function byMatter(a, b) {
    return (ORDER[a.state] ?? 1) - (ORDER[b.state] ?? 1) ||
        KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) ||
        String(a.name).localeCompare(String(b.name), 'ja');
}

function stored() {
    try { return JSON.parse(localStorage.getItem(HIDDEN)) || []; } catch { return []; }
}

function keep(list) {
    try { localStorage.setItem(HIDDEN, JSON.stringify(list)); } catch { /* it lasts as long as the page */ }
}
