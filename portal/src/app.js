// SPDX-License-Identifier: Apache-2.0
/*
 * The portal: one frame around five screens.
 *
 * A screen is an object: title, load() what it asks the server, draw(data) the elements, and how
 * often. This file owns everything else: the address, the language, the stream with its fallback,
 * what is said about the connection, and the ticking of ages. Screens never touch each other.
 *
 * The address is the part after '#', so the server need not know any page but index.html.
 */
import { h, morph } from './dom.js';
import * as say from './say.js';
import { languageChoose, languageChosen, speaker } from './words.js';
import { makeClock } from './clock.js';
import { headers, makeApi, tokenKeep } from './api.js';
import { makeStream } from './stream.js';
import { makeLive } from './live.js';
import { icon } from './icons.js';
import { ageWords, empty, sinceWords } from './parts.js';
import { wrongScreen } from './screens/wrong.js';
import { mapScreen } from './screens/map.js';
import { devicesScreen } from './screens/devices.js';
import { deviceScreen } from './screens/device.js';
import { gatewaysScreen } from './screens/gateways.js';
import { aboutScreen } from './screens/about.js';

const SCREENS = {
    '': wrongScreen, map: mapScreen, devices: devicesScreen, device: deviceScreen,
    gateways: gatewaysScreen, about: aboutScreen,
};
const NAV = [['', 'wrong'], ['map', 'map'], ['devices', 'devices'], ['gateways', 'gateways'], ['about', 'about']];
const CITY_EVERY_S = 15;
const LOST_EVERY_S = 5;

const clock = makeClock();
const live = makeLive(clock, liveChanged);
const get = makeApi(live, clock);
const ctx = {
    get, clock, t: null, lang: null, city: null,
    kind: (k) => { const key = `kind.${k}`; const w = ctx.t(key); return w === key ? String(k ?? '–') : w; },
    redraw: () => redraw(),
    reload: () => load(),
    replace,
    theme: () => window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light',
};

const frame = {};       /* the standing elements */
let screen = null;      /* the open screen, its latest data, its timers */

const stream = makeStream({
    headers,
    heard: (event, data) => { if (screen) streamed(event, data); },
    opened: () => live.opened(),
    closed: () => live.closed(),
    alive: () => live.alive(),
});

async function start() {
    ctx.lang = languageChosen();
    ctx.t = speaker(ctx.lang);
    build();
    window.addEventListener('hashchange', () => { keepScroll(); open(); });
    window.addEventListener('online', () => again());
    document.addEventListener('visibilitychange', () => { if (!document.hidden) wake(); });
    document.addEventListener('click', (e) => { if (e.target.closest && e.target.closest('a')) followed = true; });
    window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => open());
    history.scrollRestoration = 'manual';
    setInterval(tick, 1000);
    /* The number of the last event first, then what is shown: nothing falls between the two. */
    try {
        const health = await get('/health');
        if (Number.isFinite(health.last_event)) stream.start(health.last_event);
    } catch { /* said by the frame; the screen tries on */ }
    await loadCity();
    open(true);
}

/* ---- the frame ---------------------------------------------------------------------------- */

function build() {
    const { t } = ctx;
    document.documentElement.lang = ctx.lang;
    frame.band = h('div', { class: 'band', id: 'simulated', hidden: true });
    frame.clock = h('span', { class: 'clock' });
    frame.live = h('span', { class: 'live' });
    frame.alert = h('div', { class: 'alert', id: 'live', role: 'status' });
    frame.last = h('span', { class: 'last' });
    frame.nav = h('nav', { class: 'nav', 'aria-label': t('nav.label') });
    frame.title = h('h1', { id: 'title', tabindex: '-1' });
    frame.tools = h('div', { class: 'tools' });
    frame.body = h('div', { class: 'body', id: 'body' });
    frame.main = h('main', { id: 'main', tabindex: '-1' },
        h('div', { class: 'title-row' }, frame.title), frame.tools, frame.body);
    frame.city = h('span', { class: 'city' });
    const skip = h('a', { class: 'skip', href: '#main', onclick: (e) => {
        e.preventDefault(); e.stopPropagation(); frame.title.focus(); frame.title.scrollIntoView();
    } }, t('skip'));
    document.body.replaceChildren(
        skip,
        h('div', { class: 'top' }, frame.band, frame.alert),
        h('header', { class: 'head' },
            h('a', { class: 'brand', href: '#/' },
                h('img', { src: 'icon.svg', alt: '', width: 28, height: 28 }),
                h('span', { class: 'brand-name' }, 'Hotaru'), frame.city),
            languages(),
            h('div', { class: 'status' }, frame.live, frame.last, frame.clock)),
        frame.nav,
        frame.main,
        h('footer', { class: 'foot' },
            h('a', { href: '#/about' }, t('about.title')), ' ',
            h('span', {}, t('provisional'))));
    settleFrame();
}

function languages() {
    return h('div', { class: 'languages segments', role: 'group', 'aria-label': ctx.t('lang.label') },
        [['ja', '日本語'], ['en', 'English']].map(([code, own]) => h('button', {
            type: 'button', lang: code, 'aria-pressed': String(ctx.lang === code), 'data-lang': code,
            onclick: () => speak(code),
        }, own)));
}

function speak(lang) {
    if (lang === ctx.lang) return;
    languageChoose(lang);
    ctx.lang = lang;
    ctx.t = speaker(lang);
    build();
    open();
    document.querySelector(`[data-lang="${lang}"]`).focus();
}

/* What the frame says follows from the city, the connection and the address. */
function settleFrame() {
    const { t, city } = ctx;
    const simulated = Boolean(city && city.simulated);
    frame.band.hidden = !simulated;
    if (simulated) morph(frame.band, [
        h('strong', {}, t('sim.band')), ' / ',
        h('strong', { lang: ctx.lang === 'ja' ? 'en' : 'ja' }, t('sim.other')),
        h('span', { class: 'band-text' }, ` ${t('sim.text')}`),
        city.speed > 1 ? t('sim.speed', { n: city.speed }) : null,
    ]);
    frame.city.textContent = city ? (ctx.lang === 'ja' ? city.name : city.name_en || city.name) || '' : '';
    const here = screen ? (screen.path[0] === 'device' ? 'devices' : screen.path[0]) : '';
    morph(frame.nav, h('ul', {}, NAV.map(([where, word]) => h('li', {},
        h('a', { href: `#/${where}`, 'aria-current': here === where ? 'page' : null }, icon(word), h('span', {}, t(`nav.${word}`)))))));
    sayLive();
    sayTitle();
}

function sayTitle() {
    if (!screen) return;
    const words = screen.data && screen.titleOf ? screen.titleOf(screen.data) : screen.title();
    if (frame.title.textContent !== words) frame.title.textContent = words;
    if (ctx.lang !== 'ja' && say.isJapanese(words)) frame.title.lang = 'ja';
    else frame.title.removeAttribute('lang');
    const page = `${words} – Hotaru ${frame.city.textContent}`;
    document.title = ctx.city && ctx.city.simulated ? ctx.t('sim.title', { title: page }) : page;
}

function liveChanged() {
    if (frame.live) sayLive();
}

/* Said politely and only when it changes; the running age beside it is outside the live region. */
let said = null;
function sayLive() {
    const { t } = ctx;
    const state = live.state();
    document.body.classList.toggle('lost', state === 'lost');
    const now = [state, ctx.lang, live.state() === 'lost' ? live.last() : 0].join();
    if (now !== said || !frame.live.firstChild) {
        said = now;
        morph(frame.alert, state !== 'lost' ? [] : [
            h('span', { class: 'live-lost' }, h('span', { 'aria-hidden': 'true' }, '✕ '),
                h('span', { class: 'live-words' }, lostWords())),
            h('button', { type: 'button', class: 'small', onclick: () => again() }, t('live.retry')),
        ]);
        morph(frame.live, h('span', { class: `live-${state}` },
            h('span', { 'aria-hidden': 'true' }, { live: '● ', lost: '✕ ' }[state] || '○ '),
            t(state === 'lost' ? 'live.off' : `live.${state}`, { n: screen ? screen.every_s : CITY_EVERY_S })));
    }
    frame.last.textContent = live.last() === null ? '' : t('live.last', { at: say.clockTimeSeconds(live.last()) });
}

function lostWords() {
    const at = live.last();
    return ctx.t('live.lost', { at: say.shortTime(ctx.lang, at, clock.now()), ago: say.age(ctx.t, (clock.now() - at) / 1000) });
}

/* ---- screens ------------------------------------------------------------------------------ */

const scrolls = new Map();
let followed = false, standing = location.hash;

function keepScroll() {
    scrolls.set(standing, window.scrollY);
    standing = location.hash;
}

function address() {
    const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
    return { path: path.split('/'), query: new URLSearchParams(query || '') };
}

function replace(hash) {
    history.replaceState(null, '', hash);
    standing = hash;
    open(false, true);
}

function open(first = false, typing = false) {
    const { path, query } = address();
    if (screen) shut();
    const make = SCREENS[path[0]];
    if (!make) {
        screen = { title: () => ctx.t('error.route'), path, every_s: 60 };
        settleFrame();
        morph(frame.tools, []);
        morph(frame.body, empty(ctx.t('error.route'), ctx.t('error.route.hint')));
        return;
    }
    screen = Object.assign(make(ctx, path, query), { path, query, asked: 0, shown: false });
    settleFrame();
    if (!typing) {
        morph(frame.tools, screen.tools ? screen.tools() : []);
        morph(frame.body, []);
        const back = !followed && scrolls.get(location.hash);
        screen.scroll = back || 0;
        if (!first) {
            window.scrollTo(0, 0);
            frame.title.focus({ preventScroll: true });
        }
    }
    followed = false;
    stream.connect(screen.kind || 'change');
    load();
}

function shut() {
    clearTimeout(screen.timer);
    clearTimeout(screen.soon);
    screen.closed = true;
    if (screen.close) screen.close();
}

async function load() {
    const mine = screen;
    if (!mine.load) return;
    clearTimeout(mine.timer);
    clearTimeout(mine.soon);
    mine.soon = null;
    const asked = ++mine.asked;
    try {
        const data = await mine.load();
        if (mine.closed || asked !== mine.asked) return;
        mine.data = data;
        mine.loaded_ms = performance.now();
        redraw();
        if (!mine.shown) {
            mine.shown = true;
            if (mine.scroll) window.scrollTo(0, mine.scroll);
        }
    } catch (e) {
        if (mine.closed || asked !== mine.asked) return;
        if (e.status === undefined) throw e;
        refused(mine, e);
    }
    sayLive();
    plan(mine);
}

function plan(mine) {
    if (mine.closed) return;
    clearTimeout(mine.timer);
    const wait = live.state() === 'lost' ? LOST_EVERY_S : mine.every_s;
    mine.timer = setTimeout(load, wait * 1000);
}

function redraw() {
    if (!screen || !screen.data) return;
    morph(frame.body, screen.draw(screen.data));
    sayTitle();
    screen.drawn_ms = performance.now();
    if (screen.drawn) screen.drawn(frame.body);
}

/* A refusal replaces the page only if there is nothing to keep: old values with their age, under a
   line that says the connection is lost, are worth more than an error. */
function refused(mine, e) {
    if (e.status === 401 || e.status === 403) morph(frame.body, signIn());
    else if (e.status === 404 && mine.missing) morph(frame.body, mine.missing());
    else if (!mine.data) morph(frame.body, h('div', { class: 'error', role: 'alert' },
        h('p', {}, h('strong', {}, ctx.t('error.title'))),
        h('p', {}, e.status === 0 ? ctx.t('error.network')
            : ctx.t('error.status', { status: e.status, title: e.title || '' })),
        h('button', { type: 'button', onclick: () => again() }, ctx.t('error.retry'))));
}

function signIn() {
    return h('form', { class: 'signin', 'data-key': 'signin', onsubmit: (e) => {
        e.preventDefault();
        tokenKeep(e.target.token.value.trim());
        loadCity();
        again();
    } },
    h('p', {}, h('strong', {}, ctx.t('signin.title'))),
    h('label', { for: 'token' }, ctx.t('signin.label')),
    h('input', { id: 'token', name: 'token', type: 'password', autocomplete: 'off', required: true }),
    headers().Authorization ? h('p', { class: 'drop', role: 'alert' }, ctx.t('signin.refused')) : null,
    h('button', { type: 'submit' }, ctx.t('signin.go')),
    h('p', { class: 'sub' }, ctx.t('signin.hint')));
}

async function loadCity() {
    try {
        const before = ctx.city;
        ctx.city = await get('/v1/city');
        settleFrame();
        tick();
        if (!before || before.simulated !== ctx.city.simulated) redraw();
    } catch { /* the connection line says it */ }
    clearTimeout(loadCity.timer);
    loadCity.timer = setTimeout(loadCity, CITY_EVERY_S * 1000);
}

/* A change that concerns the screen is either put in at once (heard) or makes it ask again soon. */
function streamed(event, data) {
    const mine = screen;
    if (mine.heard) {
        if (mine.data && mine.heard(event, data)) later(() => redraw());
    } else if (mine.concerns && mine.concerns(event, data)) {
        later(() => load());
    }
}

function later(what) {
    const mine = screen;
    if (mine.soon) return;
    const since = performance.now() - (mine.heard ? mine.drawn_ms : mine.loaded_ms) || 0;
    mine.soon = setTimeout(() => {
        mine.soon = null;
        if (!mine.closed && !document.hidden) what();
    }, Math.max(300, mine.settle_s * 1000 - since));
}

function again() {
    stream.again();
    loadCity();
    if (screen) load();
}

/* A phone taken out of a pocket asks at once. */
function wake() {
    if (screen && performance.now() - (screen.loaded_ms || 0) > 3000) { loadCity(); load(); }
}

/* ---- the ticking of ages ------------------------------------------------------------------ */

function tick() {
    if (document.hidden) return;
    const now = clock.now();
    if (clock.known()) {
        const words = ctx.t('clock', { at: say.dayTime(ctx.lang, now) });
        if (frame.clock.textContent !== words) frame.clock.textContent = words;
    }
    for (const el of frame.body.querySelectorAll('[data-ago]')) {
        const limit = Number(el.dataset.limit) || null;
        const ms = Number(el.dataset.ago);
        put(el.firstChild, ageWords(ctx, ms, limit));
        el.classList.toggle('old', Boolean(limit) && (now - ms) / 1000 > limit);
    }
    for (const el of frame.body.querySelectorAll('[data-since]')) put(el, sinceWords(ctx, Number(el.dataset.since)));
    if (live.state() === 'lost') {
        const words = frame.alert.querySelector('.live-words');
        if (words) {
            words.setAttribute('aria-live', 'off');
            put(words, lostWords());
        }
    } else sayLive();
    if (screen && screen.redraw_s && screen.drawn_ms && performance.now() - screen.drawn_ms > screen.redraw_s * 1000)
        redraw();
}

function put(el, words) {
    if (el.textContent !== words) el.textContent = words;
}

start();
