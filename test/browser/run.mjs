// SPDX-License-Identifier: Apache-2.0
/*
 * The portal as a person meets it, in a real browser.
 *
 *     node test/browser/run.mjs http://127.0.0.1:8080 [word]      only facts that contain the word
 *     CHROMIUM=/usr/bin/chromium  TOKEN=...  SHOTS=folder          (all three optional)
 *
 * It runs against the daemon or against portal/dev/mock.mjs and knows no name of any city: what
 * should stand on a screen is asked from the API first. One line per fact; the last line is
 * "N passed, N failed"; the exit code is 1 if anything failed.
 */
import { chromium } from 'playwright-core';
import { mkdirSync } from 'node:fs';

const BASE = (process.argv[2] || 'http://127.0.0.1:8080').replace(/\/$/, '');
const WORD = process.argv[3] || '';
const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';
const TOKEN = process.env.TOKEN || '';
const SHOTS = process.env.SHOTS || '';
const ORIGIN = new URL(BASE).origin;
const DESK = { width: 1280, height: 800 }, PHONE = { width: 375, height: 740 };
const PAYLOAD = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>"\'><svg onload=window.owned=1>';
const FIRST_BYTES_MAX = 250 * 1024;
const TARGET_PX = 44;

let passed = 0, failed = 0;
const facts = [];
const fact = (name, run) => facts.push([name, run]);
const must = (truth, words) => { if (!truth) throw new Error(words); };
const same = (got, want, words) => must(got === want, `${words}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);

async function api(path) {
    const answer = await fetch(BASE + path, { headers: TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {} });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
}

/* ---- what there is to see ------------------------------------------------------------------ */

const city = await api('/v1/city');
const places = (await api('/v1/map')).points;
const all_devices = (await api('/v1/devices?limit=1000&offset=0')).devices;
const all_gateways = (await api('/v1/gateways')).gateways;
const placed = places.filter((p) => !p.personal && typeof p.lat === 'number' && typeof p.lon === 'number');
const charted = await firstCharted();
const personal = all_devices.find((d) => d.personal);

async function firstCharted() {
    const from = new Date(Date.parse(city.now) - 24 * 3600e3).toISOString();
    for (const d of all_devices.filter((x) => !x.personal && x.last_heard).slice(0, 40)) {
        const { values = [] } = await api(`/v1/devices/${d.dev_eui}`);
        const v = values.find((x) => typeof x.value === 'number' && !/^battery/.test(x.attr));
        if (!v) continue;
        const { points } = await api(`/v1/devices/${d.dev_eui}/series?attr=${v.attr}&from=${from}&limit=5000`);
        if (points.length) return { ...d, attr: v.attr };
    }
    return null;
}

const SCREENS = {
    'what is wrong now': '#/', map: '#/map', devices: '#/devices', gateways: '#/gateways', about: '#/about',
};
if (charted) SCREENS['one device'] = `#/device/${charted.dev_eui}`;
if (personal) SCREENS['a personal device'] = `#/device/${personal.dev_eui}`;

/* ---- a browser that remembers what happened ------------------------------------------------- */

const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--enable-unsafe-swiftshader', '--use-angle=swiftshader'],
});

async function visit(hash, { viewport = DESK, lang = 'ja', prepare, touch = false } = {}) {
    const context = await browser.newContext({ viewport, locale: lang === 'ja' ? 'ja-JP' : 'en-GB', hasTouch: touch, isMobile: touch });
    const page = await context.newPage();
    const seen = { errors: [], foreign: [], violations: [], paths: [], bytes: 0 };
    page.on('console', (m) => { if (m.type() === 'error') seen.errors.push(m.text()); });
    page.on('pageerror', (e) => seen.errors.push(e.message));
    page.on('dialog', (d) => { seen.errors.push(`dialog: ${d.message()}`); d.dismiss(); });
    page.on('request', (r) => {
        const url = new URL(r.url());
        if (!['blob:', 'data:'].includes(url.protocol) && url.origin !== ORIGIN) seen.foreign.push(r.url());
        seen.paths.push(url.pathname + url.search);
    });
    await page.addInitScript((token) => {
        window.violations = [];
        document.addEventListener('securitypolicyviolation', (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
        if (token) sessionStorage.setItem('hotaru.token', token);
    }, TOKEN);
    if (prepare) await prepare(page, context);
    await page.goto(`${BASE}/${hash}`);
    await page.waitForSelector('#body > *', { timeout: 20000 });
    if (hash.startsWith('#/map')) await mapDrawn(page);
    if (charted && hash.includes(charted.dev_eui)) await page.waitForSelector('#chart canvas', { timeout: 20000 });
    return { page, context, seen, done: () => context.close() };
}

async function mapDrawn(page) {
    if (!placed.length) return;
    await page.waitForFunction(() => Number(document.querySelector('#map')?.dataset.drawn) > 0, null, { timeout: 40000 });
}

async function clean({ page, seen }) {
    const violations = await page.evaluate(() => window.violations);
    must(!seen.errors.length, `console: ${seen.errors[0]}`);
    must(!seen.foreign.length, `left the origin: ${seen.foreign[0]}`);
    must(!violations.length, `CSP: ${violations[0]}`);
}

/* ---- the facts ------------------------------------------------------------------------------ */

fact('the pages come with a content security policy of self', async () => {
    const policy = (await fetch(`${BASE}/`)).headers.get('content-security-policy') || '';
    must(/default-src 'self'/.test(policy), `policy: ${policy || 'none'}`);
    must(!/unsafe-inline|unsafe-eval|\*/.test(policy), policy);
    must(/require-trusted-types-for 'script'/.test(policy), `no Trusted Types: ${policy}`);
});

for (const [name, hash] of Object.entries(SCREENS)) {
    fact(`${name}: opens without an error, stays in its origin and within its policy`, async () => {
        const v = await visit(hash);
        await v.page.waitForTimeout(1500);
        await clean(v);
        await v.done();
    });

    for (const lang of ['ja', 'en'])
        fact(`${name} (${lang}): the simulated band is ${city.simulated ? 'in sight, also on paper' : 'absent'}`, async () => {
            const v = await visit(hash, { lang, viewport: PHONE });
            const band = v.page.locator('#simulated');
            same(await band.isVisible(), Boolean(city.simulated), 'band');
            if (city.simulated) {
                const text = await band.innerText();
                must(text.includes('模擬データ') && /simulated/i.test(text), text);
                await v.page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
                must(await band.evaluate((el) => el.getBoundingClientRect().bottom > 0), 'scrolled away');
                await v.page.emulateMedia({ media: 'print' });
                must(await band.isVisible(), 'absent on paper');
            }
            if (SHOTS) { mkdirSync(SHOTS, { recursive: true }); await v.page.emulateMedia({ media: 'screen' }); await v.page.evaluate(() => window.scrollTo(0, 0)); await v.page.screenshot({ path: `${SHOTS}/${name.replaceAll(' ', '-')}-${lang}.png` }); }
            await v.done();
        });

    for (const [width, height, what] of [[375, 740, 'a phone'], [320, 568, 'a small phone'], [320, 200, '400 % zoom'], [800, 1100, 'a tablet']])
        fact(`${name}: no sideways scroll on ${what}`, async () => {
            for (const lang of ['ja', 'en']) {
                const v = await visit(hash, { viewport: { width, height }, touch: true, lang });
                const over = await v.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
                must(over <= 0, `${over} px too wide (${lang})`);
                await v.done();
            }
        });

    fact(`${name}: what is touched on a phone is at least ${TARGET_PX} px high`, async () => {
        const v = await visit(hash, { viewport: PHONE, touch: true });
        const small = await v.page.evaluate((least) => [...document.querySelectorAll('button, select, summary, input:not([type=checkbox]), nav a, li > a, td a, th a, label.check, .brand, .back a, .foot a')]
            .filter((el) => el.offsetParent !== null || getComputedStyle(el).position === 'fixed')
            .map((el) => [el.getBoundingClientRect(), el])
            .filter(([r]) => r.height > 0 && r.height < least - 0.5)
            .map(([r, el]) => `${el.tagName} ${el.className} "${el.textContent.slice(0, 30)}" ${r.height.toFixed(1)}`), TARGET_PX);
        must(!small.length, small.slice(0, 3).join('; '));
        await v.done();
    });

    fact(`${name}: no value stands without its age`, async () => {
        const v = await visit(hash);
        const bare = await v.page.evaluate(() => [...document.querySelectorAll('#body .value')]
            .filter((el) => !el.closest('li, tr, .picked')?.querySelector('.age')).map((el) => el.textContent));
        must(!bare.length, `bare: ${bare[0]}`);
        const times = await v.page.evaluate(() => [...document.querySelectorAll('#body time')].map((el) => el.getAttribute('datetime')));
        must(times.every((t) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+09:00$/.test(t)), `datetime: ${times.find((t) => !/\+09:00$/.test(t))}`);
        await v.done();
    });
}

fact('what is wrong now: every finding of the server stands in the list', async () => {
    const v = await visit('#/');
    for (const more of await v.page.locator('button.more').all()) await more.click();
    const { findings } = await api('/v1/findings');
    const shown = await v.page.locator('.findings li').count();
    must(Math.abs(shown - findings.length) <= 2, `${shown} shown, ${findings.length} told`);
    if (!findings.length) must(await v.page.locator('.empty').isVisible(), 'an empty list says nothing');
    await v.done();
});

fact('the start page weighs less than 250 KB and does not load the map', async () => {
    let bytes = 0;
    const v = await visit('#/', { prepare: async (page, context) => {
        const cdp = await context.newCDPSession(page);
        await cdp.send('Network.enable');
        const files = new Set();
        cdp.on('Network.responseReceived', (e) => { if (!/\/(v1|health)/.test(new URL(e.response.url).pathname)) files.add(e.requestId); });
        cdp.on('Network.dataReceived', (e) => { if (files.has(e.requestId)) bytes += e.encodedDataLength || e.dataLength; });
    } });
    await v.page.waitForTimeout(1000);
    must(!v.seen.paths.some((p) => /map-(view|worker)/.test(p)), 'the map was loaded');
    must(bytes > 0 && bytes <= FIRST_BYTES_MAX, `${bytes} bytes`);
    await v.done();
});

fact('the map draws every place that has a position, and no other', async () => {
    must(placed.length > 0, 'the API gives no place');
    const v = await visit('#/map');
    await v.page.waitForFunction((n) => Number(document.querySelector('#map').dataset.drawn) === n, placed.length, { timeout: 20000 })
        .catch(() => {});
    same(Number(await v.page.locator('#map').getAttribute('data-points')), placed.length, 'points given to the map');
    same(Number(await v.page.locator('#map').getAttribute('data-drawn')), placed.length, 'points drawn');
    await v.done();
});

fact('the table beside the map has every place, also on a phone', async () => {
    for (const viewport of [DESK, PHONE]) {
        const v = await visit('#/map', { viewport });
        const more = v.page.locator('.map-list button.more[aria-expanded=false]');
        if (await more.count()) await more.click();
        same(await v.page.locator('#map-table tbody tr').count(), places.length, 'rows');
        await v.done();
    }
});

fact('a place chosen on the map shows its value and age in words', async () => {
    const v = await visit('#/map');
    await v.page.locator('#map-table td.aim button').first().click();
    await v.page.waitForSelector('#picked .picked-value');
    must(await v.page.locator('#picked .age').count() === 1, 'no age');
    await v.done();
});

fact('the map page works without WebGL', async () => {
    const v = await visit('#/about', { prepare: (page) => page.addInitScript(() => {
        HTMLCanvasElement.prototype.getContext = () => null;
    }) });
    await v.page.evaluate(() => { location.hash = '#/map'; });
    await v.page.waitForSelector('#map-table tbody tr');
    await v.page.waitForSelector('.map-note');
    await v.done();
});

fact('one device has a chart, its table and its frames', async () => {
    must(charted, 'no device has a series');
    const v = await visit(`#/device/${charted.dev_eui}`);
    must(await v.page.locator('#chart canvas').isVisible(), 'no chart');
    const inked = await v.page.locator('#chart canvas').evaluate((c) => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size);
    must(inked > 2, 'the chart is blank');
    must(await v.page.locator('#series-table tbody tr').count() > 0, 'no table beside the chart');
    const { frames } = await api(`/v1/devices/${charted.dev_eui}/frames?limit=50`);
    const more = v.page.locator('section:has(#frame-table) > button.more');
    if (await more.count()) await more.click();
    must(Math.abs(await v.page.locator('#frame-table tbody tr').count() - frames.length) <= 1, 'frames');
    const best = frames.find((f) => f.copies && f.copies.length && typeof f.copies[0].rssi_dbm === 'number');
    if (best) must(/dBm/.test(await v.page.locator('#frame-table').innerText()), 'no RSSI');
    await v.done();
});

fact('a refused frame says why', async () => {
    for (const d of all_devices.filter((x) => !x.personal && x.last_heard).slice(0, 60)) {
        const { frames } = await api(`/v1/devices/${d.dev_eui}/frames?limit=50`);
        const refused = frames.findIndex((f) => f.drop);
        if (refused < 0) continue;
        const v = await visit(`#/device/${d.dev_eui}`, { lang: 'en' });
        await v.page.waitForSelector('#frame-table');
        const more = v.page.locator('section:has(#frame-table) > button.more');
        if (await more.count()) await more.click();
        must((await v.page.locator('#frame-table').innerText()).includes(frames[refused].drop), frames[refused].drop);
        await v.done();
        return;
    }
});

fact('a personal device shows battery and last heard, says why, and asks for nothing else', async () => {
    if (!personal) return;
    const v = await visit(`#/device/${personal.dev_eui}`);
    must(await v.page.locator('.personal').isVisible(), 'no reason given');
    same(await v.page.locator('#chart, #frame-table, #values').count(), 0, 'chart, frames or values');
    must(!v.seen.paths.some((p) => /\/(frames|series|downlinks)/.test(p)), 'its frames were asked for');
    await v.done();
});

fact('the search finds a device by its DevEUI and by its name', async () => {
    const d = all_devices[all_devices.length - 1];
    for (const q of [d.dev_eui, d.name].filter(Boolean)) {
        const v = await visit('#/devices');
        await v.page.fill('#q', q);
        await v.page.waitForFunction((eui) => [...document.querySelectorAll('#device-table a')].some((a) => a.hash.endsWith(eui)), d.dev_eui, { timeout: 5000 });
        must(await v.page.evaluate(() => document.activeElement.id === 'q'), 'the search field lost the focus');
        await v.done();
    }
});

fact('the gateways are all there, the silent ones first', async () => {
    const v = await visit('#/gateways');
    same(await v.page.locator('#gateway-table tbody tr').count(), all_gateways.length, 'rows');
    const quiet = all_gateways.filter((g) => g.state === 'silent' || g.state === 'never').length;
    const first = await v.page.locator('#gateway-table tbody tr').evaluateAll((rows, n) => rows.slice(0, n).filter((r) => r.querySelector('.is-works')).length, quiet);
    same(first, 0, 'working gateways before silent ones');
    await v.done();
});

fact('the language changes every word, is kept, and says itself to screen readers', async () => {
    const v = await visit('#/', { lang: 'ja' });
    same(await v.page.getAttribute('html', 'lang'), 'ja', 'lang');
    const before = await v.page.locator('#title').innerText();
    await v.page.click('[data-lang=en]');
    await v.page.waitForFunction((t) => document.querySelector('#title').textContent !== t, before);
    same(await v.page.getAttribute('html', 'lang'), 'en', 'lang');
    await v.page.reload();
    await v.page.waitForSelector('#body > *');
    same(await v.page.getAttribute('html', 'lang'), 'en', 'lang after a reload');
    must(!/[\u3040-\u30ff]/.test(await v.page.locator('nav').innerText()), 'Japanese left in the navigation');
    await v.done();
});

/* Every text the server sends is made hostile on its way; numbers and ids stay. */
fact('markup in names, reasons and words stays text', async () => {
    const poison = (x, key) => Array.isArray(x) ? x.map((y) => poison(y, key))
        : x && typeof x === 'object' ? Object.fromEntries(Object.entries(x).map(([k, y]) => [k, poison(y, k)]))
            : typeof x === 'string' && ['name', 'name_en', 'ja', 'en', 'words', 'reason', 'mac', 'profile', 'drop', 'flag', 'kind', 'state', 'unit', 'lorawan', 'region', 'version', 'store', 'title'].includes(key)
                ? x + PAYLOAD : x;
    for (const [name, hash] of Object.entries(SCREENS)) {
        const v = await visit('#/about', { prepare: (page) => page.route(/\/(v1|health)/, async (route) => {
            if (/\/v1\/stream/.test(route.request().url())) return route.continue();
            const answer = await route.fetch();
            await route.fulfill({ response: answer, json: poison(await answer.json()) });
        }) });
        await v.page.evaluate((to) => { location.hash = to; }, hash);
        await v.page.waitForTimeout(2500);
        must(!await v.page.evaluate(() => window.owned), `${name}: script ran`);
        same(await v.page.locator('#body img, #body script, #body [onload], #body [onerror]').count(), 0, `${name}: elements made from text`);
        same((await v.page.evaluate(() => window.violations)).length, 0, `${name}: violations`);
        must((await v.page.locator('body').innerText()).includes('onerror="window.owned=1"'), `${name}: the text is not shown`);
        await v.done();
    }
});

fact('a lost connection is said with its time, the values stay, and it comes back', async () => {
    const v = await visit('#/devices');
    const rows = await v.page.locator('#device-table tbody tr').count();
    await v.page.waitForTimeout(3500);
    await v.context.setOffline(true);
    await v.page.evaluate(() => { window.dispatchEvent(new Event('online')); });
    await v.page.waitForSelector('body.lost #live .live-words', { timeout: 10000 });
    must(/\d\d:\d\d/.test(await v.page.locator('#live').innerText()), 'no time');
    same(await v.page.locator('#device-table tbody tr').count(), rows, 'rows kept');
    await v.context.setOffline(false);
    await v.page.locator('#live button').click({ timeout: 1000 }).catch(() => {});      /* it may have come back by itself */
    await v.page.waitForFunction(() => !document.body.classList.contains('lost'), null, { timeout: 15000 });
    await v.done();
});

fact('a renewed list keeps the focus and the scroll', async () => {
    const v = await visit('#/devices', { viewport: PHONE });
    const link = v.page.locator('#device-table a').nth(Math.min(5, all_devices.length - 1));
    await link.focus();
    const before = await v.page.evaluate(() => [document.activeElement.hash, window.scrollY]);
    await v.page.waitForTimeout(3500);
    const asked = v.seen.paths.filter((p) => p.startsWith('/v1/devices')).length;
    await v.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    for (let i = 0; i < 50 && v.seen.paths.filter((p) => p.startsWith('/v1/devices')).length === asked; i++) await v.page.waitForTimeout(100);
    await v.page.waitForTimeout(500);
    const after = await v.page.evaluate(() => [document.activeElement.hash, window.scrollY]);
    same(after[0], before[0], 'focus');
    must(Math.abs(after[1] - before[1]) < 2, `scroll moved by ${after[1] - before[1]}`);
    await v.done();
});

fact('the first Tab is a way past the navigation', async () => {
    const v = await visit('#/');
    await v.page.keyboard.press('Tab');
    must(await v.page.evaluate(() => document.activeElement.classList.contains('skip')), 'not the skip link');
    await v.page.keyboard.press('Enter');
    same(await v.page.evaluate(() => document.activeElement.id), 'title', 'focus');
    await v.done();
});

fact('an unknown device and an unknown page say so', async () => {
    const v = await visit('#/device/0000000000000000');
    must(await v.page.locator('.empty').isVisible(), 'nothing said');
    await v.page.evaluate(() => { location.hash = '#/nowhere'; });
    await v.page.waitForTimeout(300);
    must(await v.page.locator('.empty').isVisible(), 'nothing said');
    await v.done();
});

fact('the live stream reaches the page', async () => {
    const v = await visit('#/');
    await v.page.waitForSelector('.live-live', { timeout: 10000 });
    must(v.seen.paths.some((p) => p.startsWith('/v1/stream?')), 'no stream asked for');
    await v.done();
});

/* ---- run ------------------------------------------------------------------------------------ */

for (const [name, run] of facts) {
    if (!name.includes(WORD)) continue;
    try {
        await run();
        passed++;
        console.log(`ok    ${name}`);
    } catch (e) {
        failed++;
        console.log(`FAIL  ${name}: ${String(e && e.message).split('\n')[0]}`);
    }
    for (const context of browser.contexts()) await context.close();
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
