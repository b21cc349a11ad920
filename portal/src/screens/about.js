// SPDX-License-Identifier: Apache-2.0
/* What the marks mean, where the data comes from, whose software this is. */
import { h } from '../dom.js';
import { legend, section } from '../parts.js';
import * as say from '../say.js';

const SOFTWARE = [
    ['MapLibre GL JS', 'BSD-3-Clause'],
    ['uPlot', 'MIT'],
    ['@digital-go-jp/design-tokens（デジタル庁）', 'MIT'],
];

export function aboutScreen(ctx) {
    const { t } = ctx;
    return {
        title: () => t('about.title'),
        every_s: 30,
        load: async () => ctx.get('/health'),
        draw: (health) => [
            h('p', { class: 'lead' }, t('about.what')),
            section(t('about.legend'), 'legend', legend(ctx)),
            section(t('about.flags'), 'flags', h('p', {}, t('about.flags.what')),
                h('dl', { class: 'flags' }, say.FLAGS.map((f) => h('div', {},
                    h('dt', {}, h('span', { class: 'mono' }, f)), h('dd', {}, say.flagWord(t, f)))))),
            section(t('about.time'), 'time', h('p', {}, t('about.time.what'), ' ', t('provisional'))),
            section(t('about.personal'), 'personal', h('p', {}, t('device.personal'))),
            section(t('about.keys'), 'keys', h('p', {}, t('about.keys.what'))),
            section(t('about.credits'), 'credits', h('ul', { class: 'plain' },
                h('li', {}, t('about.credit.n03'), h('br'), h('span', { class: 'sub' }, t('about.credit.n03.what'))),
                h('li', {}, t('about.credit.schools'), h('br'), h('span', { class: 'sub' }, t('about.credit.schools.what'))))),
            section(t('about.software'), 'software', h('ul', { class: 'plain' },
                SOFTWARE.map(([what, licence]) => h('li', {}, `${what} — ${licence}`))),
                h('p', { class: 'back' }, h('a', { href: 'licences.txt' }, t('about.licences')))),
            section('Hotaru', 'hotaru', h('dl', { class: 'facts' },
                fact(t('about.version'), health.version),
                fact(t('about.uptime'), say.duration(t, health.uptime_s)),
                fact(t('about.uplinks'), ctx.city && ctx.city.counts ? say.count(ctx.city.counts.uplinks) : '–'),
                fact(t('about.store'), health.store))),
        ],
    };
}

function fact(name, value) {
    return h('div', {}, h('dt', {}, name), h('dd', {}, value ?? '–'));
}
