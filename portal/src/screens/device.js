// SPDX-License-Identifier: Apache-2.0
/*
 * One device: is it heard, what does it say, how did that change, and what became of its frames.
 *
 * A personal device (a child's tracker) shows its battery and when it was last heard, and nothing
 * else is even asked for: a list of the gateways that heard it would be a track.
 */
import { h } from '../dom.js';
import { age, battery, empty, english, mark, name, reading, section, simulatedTag, table, valueOf } from '../parts.js';
import { RANGES, plan, rangeFor, rangeFrom, rangeMs } from '../plan.js';
import * as say from '../say.js';

const POINTS_MAX = 5000;
const ROWS_MAX = 100;
const FRAMES_FIRST = 10;
const BATTERY = ['batteryLevel', 'batteryVoltage'];

export function deviceScreen(ctx, path) {
    const id = decodeURIComponent(path[1] || '');
    const base = `/v1/devices/${encodeURIComponent(id)}`;
    let range = null, began = NaN;      /* began: the first value, where the history is young */
    let attr = null;
    let all_frames = false;
    let chart = null, making = null, series = null, shown = null;

    async function load() {
        const device = await ctx.get(base);
        if (device.personal) return { device };
        const list = device.values || [];
        if (!attr || !list.some((v) => v.attr === attr)) attr = mainAttr(list);
        if (attr && !range) await chooseRange();
        const from = ctx.clock.now() - rangeMs(range || 'h24');
        const [frames, downlinks, points] = await Promise.all([
            ctx.get(`${base}/frames?limit=50`),
            ctx.get(`${base}/downlinks`).catch(() => ({ downlinks: [] })),
            attr ? readings(from) : { points: [], unit: null },
        ]);
        return {
            device, frames: frames.frames, downlinks: downlinks.downlinks,
            series: { ...points, attr, began, from: rangeFrom(range || 'h24', began, ctx.clock.now()), value: list.find((v) => v.attr === attr) },
        };
    }

    function readings(from_ms, more) {
        return ctx.get(`${base}/series?${new URLSearchParams({
            attr, from: new Date(from_ms).toISOString(), limit: POINTS_MAX, ...more })}`);
    }

    /* Once for each visit: a chart must not change its range under the eyes of who reads it. */
    async function chooseRange() {
        const now = ctx.clock.now(), day = now - rangeMs('h24');
        const [recent, before] = await Promise.all([
            readings(day), readings(now - rangeMs('d7'), { to: new Date(day).toISOString(), limit: 1 })]);
        const first = recent.points.length ? say.millis(recent.points[0][0]) : NaN;
        const older = before.points.length > 0;
        range = range || rangeFor(first, older, now);
        began = older ? NaN : first;
    }

    function choose(change) {
        change();
        ctx.reload();
    }

    function draw({ device, frames, downlinks, series: s }) {
        series = s || null;
        shown = device;
        const limit_s = say.silentAfter(device.interval_s);
        return [
            h('p', { class: 'back', 'data-key': 'back' }, h('a', { href: '#/devices' }, `‹ ${ctx.t('device.back')}`)),
            h('div', { class: 'device-head', 'data-key': 'head' },
                mark(ctx, device.state),
                h('span', {}, `${ctx.t('f.heard')} `, age(ctx, device.last_heard)),
                typeof device.battery_pct === 'number'
                    ? h('span', {}, `${ctx.t('f.battery')} `, battery(ctx, device.battery_pct)) : null,
                simulatedTag(ctx, device.simulated)),
            device.personal
                ? h('p', { class: 'personal', 'data-key': 'personal' }, ctx.t('device.personal'))
                : [
                    values(ctx, device, limit_s),
                    attr ? chartSection(s, device) : null,
                    framesSection(ctx, frames, all_frames, () => { all_frames = true; ctx.redraw(); }),
                    downlinksSection(ctx, downlinks),
                ],
            facts(ctx, device),
        ];
    }

    function chartSection(s, device) {
        const title = label(ctx, s.value);
        const newest = [...s.points].reverse();
        return section(ctx.t('device.chart'), 'chart-title',
            h('div', { class: 'choices', 'data-key': 'choices' },
                (device.values || []).length > 1 ? h('label', { class: 'choice' }, ctx.t('device.attr'), ' ',
                    h('select', { id: 'attr', onchange: (e) => choose(() => { attr = e.target.value; }) },
                        device.values.map((v) => h('option', { value: v.attr, selected: v.attr === s.attr }, label(ctx, v))))) : null,
                h('div', { class: 'segments', role: 'group', 'aria-label': ctx.t('device.range') },
                    RANGES.map(([key]) => h('button', {
                        type: 'button', 'aria-pressed': String(range === key),
                        onclick: () => choose(() => { range = key; }),
                    }, ctx.t(`device.range.${key}`))))),
            s.points.length ? [
                h('p', { class: 'chart-words', id: 'chart-words', 'data-key': 'words' }, words(ctx, s, range, say.silentAfter(device.interval_s))),
                h('div', { class: 'chart', id: 'chart', role: 'img', 'aria-labelledby': 'chart-words',
                    'data-keep': true, 'data-key': 'chart' }),
                h('p', { class: 'chart-read', id: 'chart-read', 'data-keep': true, 'data-key': 'read' }, ctx.t('device.chart.read')),
                h('details', { class: 'table-of', open: wide(), 'data-key': 'points' },
                    h('summary', {}, s.points.length > ROWS_MAX
                        ? ctx.t('device.table.part', { n: s.points.length, m: ROWS_MAX })
                        : ctx.t('device.table', { n: s.points.length })),
                    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': title },
                        table(ctx, {
                            id: 'series-table', caption: title, hideCaption: true, rows: newest.slice(0, ROWS_MAX), key: (p) => p[0],
                            columns: [
                                { head: ctx.t('f.observed'), cell: (p) => age(ctx, p[0]) },
                                { head: title, class: 'num', cell: (p) => valueOf(ctx, { value: p[1], unit: s.unit, flag: p[2] }) },
                            ],
                        }))),
            ] : empty(ctx.t('device.nopoints')));
    }

    /* The chart is drawn after the page, into a box that morph() leaves alone. */
    async function drawn(host) {
        const box = host.querySelector('#chart');
        if (!box || !series || !series.points.length) {
            if (chart) { chart.destroy(); chart = null; }
            return;
        }
        if (chart && chart.box !== box) { chart.destroy(); chart = null; }
        making = making || import('../chart.js');
        const { makeChart } = await making;
        if (!box.isConnected) return;
        const read = host.querySelector('#chart-read');
        if (!chart) chart = makeChart(ctx, box, read);
        chart.show(series, say.silentAfter(shown.interval_s));
    }

    return {
        title: () => shown ? shown.name || shown.dev_eui : ctx.t('device.title'),
        titleOf: (data) => data.device.name || data.device.dev_eui,
        kind: 'uplink',
        every_s: 15,
        settle_s: 2,
        concerns: (event, data) => data.device === id,
        load,
        draw,
        drawn,
        missing: () => empty(ctx.t('device.unknown', { id })),
        close: () => { if (chart) chart.destroy(); chart = null; },
    };
}

function wide() {
    return window.matchMedia('(min-width: 60rem)').matches;
}

function label(ctx, v) {
    return (v && (v[ctx.lang] || v.ja || v.en || v.attr)) || '';
}

/* The first thing a device measures; its battery only if there is nothing else. */
function mainAttr(values) {
    const measured = values.find((v) => !BATTERY.includes(v.attr));
    return measured ? measured.attr : values.length ? values[0].attr : null;
}

function values(ctx, device, limit_s) {
    const list = device.values || [];
    return section(ctx.t('device.values'), 'values',
        list.length ? [
            h('ul', { class: 'values' }, list.map((v) => h('li', { 'data-key': v.attr },
                h('span', { class: 'values-name' }, name(ctx, label(ctx, v))),
                h('span', { class: 'values-main' }, valueOf(ctx, v)),
                v.reason ? h('span', { class: 'values-reason' }, english(ctx, v.reason)) : null,
                h('span', { class: 'values-when' }, age(ctx, v.observed_at, { limit_s, none: 'age.none' }))))),
            h('p', { class: 'sub' }, ctx.t('provisional')),
        ] : empty(ctx.t(device.last_heard ? 'device.nocodec' : 'device.novalues')));
}

/* What the chart says, for those who cannot see it and for those in a hurry. */
function words(ctx, s, range, gap_s) {
    const p = plan(s.points, { gap_s, from_s: s.from / 1000, to_s: ctx.clock.now() / 1000, unit: s.unit });
    const last = p.all[p.all.length - 1];
    if (!last) return ctx.t('device.nopoints');
    const good = p.all.filter((q) => !q.flag).map((q) => q.y);
    const text = {
        name: label(ctx, s.value), range: ctx.t(`device.range.${range}`), n: p.all.length,
        last: say.value(ctx.t, last.value, s.unit) + (last.flag ? ` ${last.flag} ${say.flagWord(ctx.t, last.flag)}` : ''),
        at: say.shortTime(ctx.lang, last.x * 1000, ctx.clock.now()),
    };
    const notes = [
        p.doubtful.length ? ctx.t('device.chart.flagged', { n: p.doubtful.length }) : '',
        p.outside ? ctx.t('device.chart.outside', { n: p.outside }) : '',
        p.gaps ? ctx.t('device.chart.gap') : '',
        s.began > ctx.clock.now() - rangeMs(range) ? ctx.t('device.chart.young', { at: say.shortTime(ctx.lang, s.began, ctx.clock.now()) }) : '',
    ].filter(Boolean).map((note) => ` ${note}`).join('');
    if (p.states || !good.length) return ctx.t('device.chart.states', text) + notes;
    return ctx.t('device.chart.words', {
        ...text,
        min: say.value(ctx.t, good.reduce((a, b) => Math.min(a, b)), s.unit),
        max: say.value(ctx.t, good.reduce((a, b) => Math.max(a, b)), s.unit),
    }) + notes;
}

function framesSection(ctx, frames, all, show_all) {
    if (!frames.length) return section(ctx.t('device.frames'), 'frames', empty(ctx.t('device.noframes')));
    const shown = all ? frames : frames.slice(0, FRAMES_FIRST);
    return section(ctx.t('device.frames'), 'frames', table(ctx, {
        id: 'frame-table', caption: ctx.t('device.frames'), hideCaption: true, rows: shown, key: (f) => `${f.id} ${f.direction} ${f.drop || ''}`,
        rowClass: (f) => f.drop ? 'refused' : null,
        columns: [
            { head: ctx.t('f.time'), header: true, class: 'wide', cell: (f) => [direction(ctx, f), ' ', age(ctx, f.time, { none: 'age.none' })] },
            { head: ctx.t('f.result'), class: 'wide', cell: (f) => result(ctx, f) },
            { head: ctx.t('f.gateways'), class: 'wide', cell: (f) => copies(ctx, f) },
            { head: ctx.t('f.fcnt'), class: 'num', cell: (f) => f.fcnt ?? '–' },
            { head: ctx.t('f.fport'), class: 'num', cell: (f) => f.fport ?? '–' },
            { head: ctx.t('f.size'), class: 'num', cell: (f) => typeof f.size === 'number' ? ctx.t('f.bytes', { n: f.size }) : '–' },
            { head: ctx.t('f.radio'), cell: (f) => [
                typeof f.dr === 'number' ? `DR${f.dr}` : '', say.megahertz(f.freq_hz)].filter(Boolean).join(' ') || '–' },
        ],
    }), shown.length < frames.length ? h('button', { type: 'button', class: 'more', onclick: show_all },
        ctx.t('wrong.more', { n: frames.length - shown.length })) : null);
}

const ARROWS = { up: '↑', down: '↓', join: '⇄' };

function direction(ctx, f) {
    const known = ARROWS[f.direction];
    return h('span', { class: 'direction' }, h('span', { 'aria-hidden': 'true' }, `${known || '·'} `),
        known ? ctx.t(`dir.${f.direction}`) : f.direction);
}

function result(ctx, f) {
    return [
        f.drop ? h('span', { class: 'drop' }, h('span', { 'aria-hidden': 'true' }, '▲ '),
            `${ctx.t('frame.dropped')}: `, dropWords(ctx, f),
            h('span', { class: 'sub' }, h('span', { class: 'mono' }, f.drop), f.reason ? [' ', english(ctx, f.reason)] : null))
            : f.state ? downlinkState(ctx, f.state, f.reason)
                : h('span', {}, ctx.t('frame.taken')),
        f.confirmed ? h('span', { class: 'sub' }, ctx.t('f.confirmed')) : null,
        f.mac ? h('span', { class: 'mono sub' }, f.mac) : null,
    ];
}

/* The server's words are English; the Japanese ones stand in our file under the same name. */
function dropWords(ctx, f) {
    const key = `drop.${f.drop}`;
    const word = ctx.t(key);
    return word === key ? f.words || '' : word;
}

function downlinkState(ctx, state, reason) {
    const key = `dl.${state}`;
    const word = ctx.t(key) === key ? state : ctx.t(key);
    const bad = state === 'failed' || state === 'expired';
    return h('span', { class: bad ? 'drop' : null },
        bad ? h('span', { 'aria-hidden': 'true' }, '▲ ') : null, word,
        reason ? [' ', h('span', { class: 'sub' }, english(ctx, reason))] : null);
}

function copies(ctx, f) {
    const list = [...(f.copies || [])].sort((a, b) => (b.snr_db ?? -99) - (a.snr_db ?? -99) || b.rssi_dbm - a.rssi_dbm);
    if (!list.length) return h('span', { class: 'sub' }, ctx.t('frame.nogateway'));
    const [best, ...rest] = list;
    return [copy(ctx, best), rest.length ? h('details', { class: 'copies', 'data-key': 'copies' },
        h('summary', {}, ctx.t('frame.more', { n: rest.length })),
        h('ul', { class: 'plain' }, rest.map((c) => h('li', {}, copy(ctx, c))))) : null];
}

function copy(ctx, c) {
    return [name(ctx, c.name || c.gateway), ' ', h('span', { class: 'nowrap' },
        typeof c.rssi_dbm !== 'number' ? null : typeof c.snr_db !== 'number'
            ? ctx.t('frame.rssi', { rssi: say.signed(c.rssi_dbm, 0) })
            : ctx.t('frame.snr', { rssi: say.signed(c.rssi_dbm, 0), snr: say.signed(c.snr_db, 1) }))];
}

function downlinksSection(ctx, downlinks) {
    return section(ctx.t('device.downlinks'), 'downlinks', downlinks.length ? table(ctx, {
        id: 'downlink-table', caption: ctx.t('device.downlinks'), hideCaption: true, rows: downlinks, key: (d) => d.id,
        columns: [
            { head: ctx.t('f.created'), header: true, class: 'wide', cell: (d) => age(ctx, d.created_at, { none: 'age.none' }) },
            { head: ctx.t('f.result'), class: 'wide', cell: (d) => [downlinkState(ctx, d.state, d.reason),
                d.confirmed ? h('span', { class: 'sub' }, ctx.t('f.confirmed')) : null] },
            { head: ctx.t('f.sent'), cell: (d) => d.sent_at ? age(ctx, d.sent_at) : '–' },
            { head: ctx.t('f.gateway'), cell: (d) => d.gateway ? h('span', { class: 'mono' }, d.gateway) : '–' },
            { head: ctx.t('f.fcnt'), class: 'num', cell: (d) => d.fcnt ?? '–' },
            { head: ctx.t('f.fport'), class: 'num', cell: (d) => d.fport ?? '–' },
            { head: ctx.t('f.size'), class: 'num', cell: (d) => ctx.t('f.bytes', { n: d.size ?? '–' }) },
        ],
    }) : empty(ctx.t('device.nodownlinks')));
}

function facts(ctx, d) {
    const { t } = ctx;
    const mono = (text) => text ? h('span', { class: 'mono' }, text) : '–';
    const rows = [
        [t('f.deveui'), mono(d.dev_eui)],
        [t('f.kind'), ctx.kind(d.kind)],
        [t('f.profile'), mono(d.profile)],
        [t('f.interval'), d.interval_s ? say.every(t, d.interval_s) : '–'],
        [t('f.lorawan'), [d.lorawan, d.region].filter(Boolean).join(' · ') || '–'],
    ];
    if (!d.personal) rows.push(
        [t('f.joined'), d.joined_at ? age(ctx, d.joined_at) : t('f.notjoined')],
        [t('f.devaddr'), mono(d.dev_addr)],
        [t('f.joineui'), mono(d.join_eui)],
        [t('f.fcntup'), d.fcnt_up ?? '–'],
        [t('f.fcntdown'), d.fcnt_down ?? '–'],
        [t('f.place'), place(ctx, d)],
        [t('f.entity'), mono(d.entity)]);
    return section(t('device.facts'), 'facts', h('dl', { class: 'facts' },
        rows.map(([k, v]) => h('div', {}, h('dt', {}, k), h('dd', {}, v)))));
}

function place(ctx, d) {
    if (typeof d.lat !== 'number' || typeof d.lon !== 'number') return ctx.t('map.noplace');
    const at = `${d.lat.toFixed(5)}, ${d.lon.toFixed(5)}`;
    return h('a', { href: `#/map?at=${encodeURIComponent(d.dev_eui)}` }, at, ' ',
        h('span', { class: 'nowrap' }, ctx.lang === 'ja' ? `（${ctx.t('map.show')}）` : `(${ctx.t('map.show')})`));
}
