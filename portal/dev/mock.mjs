// SPDX-License-Identifier: Apache-2.0
/*
 * A pretend server for working on the screens: node dev/mock.mjs [--port 8090] [--real] [--token T]
 *
 * Serves dist/ and the HTTP API with made-up data, always marked simulated unless --real is given
 * (to see the pages without the band). The data holds the awkward cases on purpose: values that are
 * null, stale, flagged or text, a device never heard, one without codec, a personal tracker, names
 * with markup and of great length, gateways never heard and unknown ones, 600 points on the map.
 * --token T asks for "Authorization: Bearer T" on every API path.
 */
import { createServer } from 'node:http';
import { readFileSync, existsSync } from 'node:fs';
import { join, normalize, extname } from 'node:path';

const args = process.argv.slice(2);
const option = (name, otherwise) => args.includes(name) ? args[args.indexOf(name) + 1] : otherwise;
const PORT = Number(option('--port', 8090));
const TOKEN = option('--token', null);
const SIMULATED = !args.includes('--real');
const DIST = new URL('../dist/', import.meta.url).pathname;
const CSP = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'; " +
    "require-trusted-types-for 'script'; trusted-types default";

/* A small generator of our own: the same city at every start. */
let seed = 20260210;
const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
const between = (a, b) => a + (b - a) * random();
const pick = (list) => list[Math.floor(random() * list.length)];
const hex = (n, width) => n.toString(16).toUpperCase().padStart(width, '0');
const iso = (ms) => new Date(ms).toISOString();
const MIN = 60e3;

const schools = JSON.parse(readFileSync(new URL('../public/toyama-schools.geojson', import.meta.url))).features;
const RIVERS = ['神通川', '常願寺川', 'いたち川', '松川', '熊野川', '井田川', '山田川', '土川', '坪野川', '白岩川'];
const AREAS = ['新庄', '堀川', '奥田', '呉羽', '水橋', '岩瀬', '大沢野', '八尾', '婦中', '大山', '山室', '藤ノ木'];

const gateways = schools.concat(schools.slice(0, 5)).map((s, i) => {
    const state = i === 11 || i === 40 ? 'silent' : i === 77 ? 'never' : 'works';
    const [lon, lat] = s.geometry.coordinates;
    return {
        eui: `70B3D57ED0${hex(i + 1, 6)}`, name: `${s.properties.name}${i >= 93 ? ' 体育館' : ''}`,
        lat: lat + (i >= 93 ? 0.001 : 0), lon, state,
        last_seen: state === 'never' ? null : iso(Date.now() - (state === 'silent' ? 47 * MIN : between(1e3, 9e3))),
        rx_ok_hour: state === 'works' ? Math.floor(between(300, 4200)) : 0,
        rx_bad_hour: Math.floor(between(0, 90)), tx_hour: Math.floor(between(0, 60)),
        load_pct: state === 'works' ? (i === 3 ? 83 : between(0.3, 12)) : 0,
        ack_ratio: state === 'never' ? null : between(0.96, 1), simulated: SIMULATED,
    };
});

const KINDS = [
    ['river', 67, 'hotaru-river-level', 600, 'WaterObserved', (i) => `${pick(RIVERS)} ${pick(AREAS)}橋 ${i + 1}`],
    ['snow', 160, 'hotaru-snow-pump', 600, 'SnowMeltingDevice', (i) => `消雪 ${pick(AREAS)} ${i + 1} 号`],
    ['weather', 24, 'hotaru-weather', 600, 'WeatherObserved', (i) => `気象 ${pick(AREAS)} ${i + 1}`],
    ['parking', 120, 'hotaru-parking', 3600, 'ParkingSpot', (i) => `市営駐車場 ${pick(AREAS)} ${i + 1}`],
    ['paddy', 90, 'hotaru-paddy', 1800, 'WaterObserved', (i) => `水田 ${pick(AREAS)} ${i + 1}`],
    ['tracker', 40, 'hotaru-bag-tracker', 3600, null, (i) => `見守り端末 ${i + 1}`],
    ['other', 19, 'hotaru-bench', 3600, 'WaterObserved', (i) => `実証 ${i + 1}`],
];

const devices = [];
for (const [kind, n, profile, interval_s, type, named] of KINDS)
    for (let i = 0; i < n; i++) {
        const dev_eui = `70B3D57ED1${hex(devices.length + 1, 6)}`;
        const at = pick(schools).geometry.coordinates;
        const state = random() < 0.93 ? 'works' : pick(['attention', 'silent', 'silent', 'never']);
        const ago = state === 'works' || state === 'attention' ? between(2e3, interval_s * 900)
            : between(3 * interval_s * 1e3, 90 * 3600e3);
        devices.push({
            dev_eui, name: named(i), profile, kind, interval_s, personal: kind === 'tracker',
            lat: kind === 'tracker' ? null : at[1] + between(-0.012, 0.012),
            lon: kind === 'tracker' ? null : at[0] + between(-0.015, 0.015),
            state, last: state === 'never' ? null : Date.now() - ago,
            battery_pct: kind === 'weather' ? null : state === 'never' ? null : Math.round(between(12, 100)),
            entity: type ? `urn:ngsi-ld:${type}:${dev_eui}` : null, flag: state === 'attention' ? pick(['!', '&', '?']) : '',
            fcnt: Math.floor(between(10, 30000)), seed: random() * 6,
        });
    }
/* The awkward ones. */
devices[0].name = '<img src=x onerror=alert(1)><b>太字</b>"\'&amp;';
devices[1].name = '神通川水系井田川支流山田川上流右岸第二観測所（国土交通省富山河川国道事務所との共同設置・予備）';
Object.assign(devices[2], { state: 'attention', flag: '!', last: Date.now() - 3 * MIN });
Object.assign(devices[3], { state: 'silent', last: Date.now() - 26 * 3600e3, flag: '' });
Object.assign(devices[4], { state: 'never', last: null, battery_pct: null });
Object.assign(devices[5], { state: 'works', last: Date.now() - 20e3, empty: true });
Object.assign(devices[6], { state: 'works', last: Date.now() - 20e3, lat: null, lon: null, name: 'いたち川 移動観測（位置の登録なし）' });
const bench = devices.find((d) => d.kind === 'other');
Object.assign(bench, { name: '実証（デコーダなし）', entity: null, codec: false, state: 'works', last: Date.now() - 60e3 });

const wave = (d, ms) => Math.sin(ms / 5400e3 + d.seed) + 0.35 * Math.sin(ms / 1700e3 + d.seed * 3);
const FIELDS = {
    river: [['waterLevel', 'MTR', '水位', 'water level', (d, t) => 1.2 + 0.5 * wave(d, t)], ['batteryLevel', 'P1', '電池', 'battery', (d) => d.battery_pct]],
    snow: [['pumpStatus', null, '運転', 'pump', (d, t) => wave(d, t) > 0.2 ? 'on' : 'off'], ['snowfall', null, '降雪', 'snowfall', (d, t) => wave(d, t) > 0.4],
        ['pressure', 'KPA', '水圧', 'pressure', (d, t) => 180 + 40 * wave(d, t)], ['current', 'AMP', '電流', 'current', (d, t) => 9 + 4 * wave(d, t)],
        ['temperature', 'CEL', '気温', 'air temperature', (d, t) => -0.5 + 2 * wave(d, t)], ['waterTable', 'MTR', '地下水位', 'ground water', (d, t) => 8.4 - 0.3 * wave(d, t)], ['batteryLevel', 'P1', '電池', 'battery', (d) => d.battery_pct]],
    weather: [['temperature', 'CEL', '気温', 'temperature', (d, t) => -1 + 4 * wave(d, t)], ['relativeHumidity', 'P1', '湿度', 'humidity', (d, t) => 80 + 9 * wave(d, t)],
        ['precipitation', 'MMT', '雨量（10分）', 'rain in 10 min', (d, t) => Math.max(0, wave(d, t))], ['snowHeight', 'CMT', '積雪', 'snow depth', (d, t) => 34 + 3 * wave(d, t)], ['batteryVoltage', 'VLT', '電池', 'battery', () => 3.58]],
    parking: [['status', null, '満空', 'status', (d, t) => wave(d, t) > 0 ? 'occupied' : 'free'], ['batteryLevel', 'P1', '電池', 'battery', (d) => d.battery_pct]],
    paddy: [['waterLevel', 'MTR', '水位', 'water level', (d, t) => 0.08 + 0.04 * wave(d, t)], ['temperature', 'CEL', '水温', 'water temperature', (d, t) => 9 + 2 * wave(d, t)], ['batteryLevel', 'P1', '電池', 'battery', (d) => d.battery_pct]],
    tracker: [], other: [['waterLevel', 'MTR', '水位', 'water level', (d, t) => 0.4 + 0.1 * wave(d, t)]],
};
const fieldsOf = (d) => d.codec === false ? [] : FIELDS[d.kind];

function valueAt(d, f, t) {
    const v = f[4](d, t);
    return typeof v === 'number' ? Math.round(v * 1000) / 1000 : v;
}

function values(d) {
    if (!d.last) return [];
    return fieldsOf(d).map((f, i) => {
        const v = i === 0 && d.flag === '!' ? 37.812 : i === 0 && d.empty ? null : valueAt(d, f, d.last);
        return { attr: f[0], ja: f[2], en: f[3], unit: f[1], value: v, flag: i === 0 ? d.flag : '',
            reason: i === 0 && d.flag === '!' ? 'above 15 m' : '', observed_at: iso(d.last), received_at: iso(d.last + 700) };
    });
}

const row = (d) => ({
    dev_eui: d.dev_eui, name: d.name, profile: d.profile, kind: d.kind, lat: d.lat, lon: d.lon, state: d.state,
    last_heard: d.last ? iso(d.last) : null, interval_s: d.interval_s, battery_pct: d.battery_pct, entity: d.entity,
    personal: d.personal, simulated: SIMULATED,
});

function device(d) {
    return { ...row(d), dev_addr: d.last ? `26${hex(d.fcnt * 77 % 0xffffff, 6)}` : null, lorawan: '1.0.3', region: 'AS923-1',
        fcnt_up: d.last ? d.fcnt : 0, fcnt_down: d.last ? Math.floor(d.fcnt / 40) : 0, join_eui: '70B3D57ED0000000',
        joined_at: d.last ? iso(d.last - 9 * 86400e3) : null, values: values(d) };
}

const DROPS = [['DROP_BAD_MIC', 'no session key verifies it'], ['DROP_REPEATED', 'this frame counter was seen before']];
function frames(d) {
    if (!d.last) return [];
    const list = [];
    for (let i = 0; i < 50; i++) {
        const t = d.last - i * d.interval_s * 1000;
        const copies = [0, 1, 2, 3].slice(0, 1 + (i * 7 + d.fcnt) % 4).map((k) => {
            const g = gateways[(d.fcnt + k * 13) % 98];
            return { gateway: g.eui, name: g.name, rssi_dbm: -78 - k * 11 - (i % 9), snr_db: 9.5 - k * 4.25 };
        });
        const drop = i % 17 === 4 ? DROPS[i % 2] : null;
        const base = { id: 9e6 - i, time: iso(t), confirmed: i % 6 === 0, dr: 5, freq_hz: [923200000, 923400000, 922600000][i % 3],
            copies: d.personal ? [] : copies, drop: drop ? drop[0] : null, words: drop ? drop[1] : '', state: null, reason: drop ? 'counter 12 was 13' : '', mac: '' };
        if (i === 49) list.push({ ...base, direction: 'join', fcnt: null, fport: null, size: 23 });
        else if (i % 9 === 3) list.push({ ...base, direction: 'down', fcnt: Math.floor(d.fcnt / 40), fport: 10, size: 1, drop: null, words: '', copies: copies.slice(0, 1).map((c) => ({ ...c, rssi_dbm: undefined, snr_db: undefined })),
            state: ['accepted', 'failed', 'unknown'][i % 3], reason: i % 3 === 1 ? 'TOO_LATE: the gateway had it 12 ms too late' : '' });
        else list.push({ ...base, direction: 'up', fcnt: d.fcnt - i, fport: i % 11 === 7 ? null : 2, size: i % 11 === 7 ? 0 : 11, mac: i % 11 === 7 ? 'LinkADRAns(7) DevStatusAns(254,9)' : '' });
    }
    return list;
}

function series(d, query) {
    const f = fieldsOf(d).find((x) => x[0] === query.get('attr'));
    if (!f || !d.last) return { attr: query.get('attr'), unit: null, points: [] };
    const from = Date.parse(query.get('from') || '') || Date.now() - 86400e3;
    const to = Date.parse(query.get('to') || '') || Date.now();
    const points = [];
    for (let t = d.last; t >= from; t -= d.interval_s * 1000) {
        const n = Math.floor(t / (d.interval_s * 1000));
        if (n % 97 > 88) continue;                                  /* a gap */
        const wild = f[1] === 'MTR' && n % 71 === 5, jump = f[1] === 'MTR' && n % 71 === 30;
        const v = wild ? 37.812 : jump ? valueAt(d, f, t) + 0.2 : valueAt(d, f, t);
        if (t <= to) points.unshift([iso(t), v, wild ? '!' : jump ? '&' : '']);
    }
    if (d.flag && points.length && f === fieldsOf(d)[0]) points[points.length - 1] = [iso(d.last), 37.812, d.flag];
    return { attr: f[0], unit: f[1], points: points.slice(-Number(query.get('limit') || 1000)) };
}

const DOWNLINKS = ['queued', 'offered', 'accepted', 'failed', 'expired', 'unknown', 'confirmed'];
function downlinks(d) {
    if (d.kind !== 'snow' || !d.last) return [];
    return DOWNLINKS.map((state, i) => ({ id: 500 - i, fport: 10, size: 1, confirmed: i % 2 === 0, state,
        reason: state === 'failed' ? 'no gateway heard the device in time' : state === 'expired' ? 'not sent within a day' : '',
        created_at: iso(d.last - i * 3600e3), sent_at: i > 1 && i < 4 ? iso(d.last - i * 3600e3 + 4e3) : null,
        gateway: i > 0 ? gateways[i].eui : null, fcnt: i > 1 ? 200 - i : null }));
}

function map() {
    const points = devices.map((d) => {
        const f = fieldsOf(d)[0];
        const v = values(d)[0];
        return { id: d.entity || `urn:hotaru:device:${d.dev_eui}`, device: d.dev_eui, kind: d.kind, name: d.name, lat: d.lat, lon: d.lon,
            state: d.state, attr: f && !d.personal ? f[0] : null, value: v && !d.personal ? v.value : null, unit: f ? f[1] : null,
            flag: v ? v.flag : '', observed_at: d.last ? iso(d.last) : null, personal: d.personal };
    });
    for (const g of gateways) points.push({ id: `urn:hotaru:gateway:${g.eui}`, device: null, kind: 'gateway', name: g.name, lat: g.lat, lon: g.lon,
        state: g.state, attr: null, value: null, unit: null, flag: '', observed_at: g.last_seen, personal: false });
    return points;
}

function findings() {
    const list = [];
    const of = (d, type = 'device') => ({ type, id: d.dev_eui || d.eui, name: d.name });
    for (const g of gateways) if (g.state === 'silent') list.push({ severity: 'wrong', kind: 'gateway_silent', subject: of(g, 'gateway'), since: g.last_seen, value: null, unit: null,
        ja: 'ゲートウェイの更新が止まっています。', en: 'The gateway has stopped sending.' });
    for (const d of devices) {
        if (d.state === 'attention' && d.flag === '!') list.push({ severity: 'wrong', kind: 'reading_suspect', subject: of(d), since: iso(d.last), value: d.kind === 'snow' ? null : 37.812, unit: FIELDS[d.kind][0] ? FIELDS[d.kind][0][1] : null,
            ja: '値が測れる範囲を外れています。確認中。', en: 'The value is out of the range that can be measured.' });
        else if (d.state === 'attention') list.push({ severity: 'attention', kind: d.flag === '&' ? 'reading_suspect' : 'battery_low', subject: of(d), since: iso(d.last), value: d.battery_pct, unit: 'P1',
            ja: '電池が残り少なくなっています。', en: 'The battery is running low.' });
        else if (d.state === 'silent') list.push({ severity: 'silent', kind: 'device_silent', subject: of(d), since: iso(d.last), value: null, unit: null,
            ja: '更新が止まっています。', en: 'No reading arrives any more.' });
        else if (d.state === 'never') list.push({ severity: 'silent', kind: 'device_never', subject: of(d), since: iso(Date.now() - 6 * 86400e3), value: null, unit: null,
            ja: '登録されてから一度も届いていません。', en: 'Never heard since it was registered.' });
    }
    list.push({ severity: 'attention', kind: 'frames_refused', subject: { type: 'entity', id: 'urn:hotaru:group:frames_refused:other', name: '消雪 新庄 4 号 … (23)' },
        since: iso(Date.now() - 90 * MIN), value: null, unit: null, ja: '23 台の電文を受け付けていません: 消雪 新庄 4 号、消雪 堀川 9 号、水田 八尾 2 ほか。', en: '23 devices have frames refused: 消雪 新庄 4 号, 消雪 堀川 9 号, 水田 八尾 2 and others.' });
    const order = ['wrong', 'attention', 'silent'];
    return list.sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
}

/* ---- live: one device is heard every second --------------------------------------------------- */
let event = 1000;
const log = [];
const listeners = new Set();
setInterval(() => {
    for (const g of gateways) if (g.state === 'works' && random() < 0.2) g.last_seen = iso(Date.now());
    const d = pick(devices.filter((x) => x.state === 'works' || x.state === 'attention'));
    d.last = Date.now();
    d.fcnt++;
    const g = gateways[d.fcnt % 98];
    emit('uplink', { device: d.dev_eui, fcnt: d.fcnt, fport: 2, gateway: g.eui, rssi_dbm: -97, snr_db: 7.5, personal: d.personal });
    if (d.personal || !d.entity || d.empty) return;
    const attrs = Object.fromEntries(values(d).map((v) => [v.attr, { value: v.value, unit: v.unit, flag: v.flag, observed_at: v.observed_at }]));
    emit('change', { entity: d.entity, type: d.entity.split(':')[2], device: d.dev_eui, name: d.name, at: iso(d.last), attrs });
}, 1000).unref();
setInterval(() => listeners.forEach((l) => l.answer.write(': ping\n\n')), 15000).unref();

function emit(kind, data) {
    const e = { kind, id: ++event, data: { id: event, ...data } };
    log.push(e);
    if (log.length > 1000) log.shift();
    for (const l of listeners) if (l.kind === kind) send(l.answer, e);
}

function send(answer, e) {
    answer.write(`id: ${e.id}\nevent: ${e.kind}\ndata: ${JSON.stringify(e.data)}\n\n`);
}

/* ---- HTTP ------------------------------------------------------------------------------------- */
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8',
    '.svg': 'image/svg+xml', '.txt': 'text/plain; charset=utf-8', '.geojson': 'application/geo+json; charset=utf-8' };

function json(answer, body, status = 200) {
    answer.writeHead(status, { 'Content-Type': status >= 400 ? 'application/problem+json' : 'application/json', 'Cache-Control': 'no-store' });
    answer.end(JSON.stringify(body));
}

function problem(answer, status, title) {
    json(answer, { type: 'about:blank', title, status, detail: '' }, status);
}

const heard = (list) => list.filter((x) => x.state === 'works' || x.state === 'attention').length;

function api(path, query, answer, request) {
    if (TOKEN && request.headers.authorization !== `Bearer ${TOKEN}`) return problem(answer, 401, 'Who are you?');
    const now = iso(Date.now());
    if (path === '/health') return json(answer, { status: 'ok', version: '0.1.0', store: 'sqlite', last_event: event, uptime_s: Math.round(process.uptime()) });
    if (path === '/v1/city') return json(answer, { name: '富山市', name_en: 'Toyama City', simulated: SIMULATED, speed: SIMULATED ? 60 : 1, now, version: '0.1.0',
        counts: { gateways: gateways.length, gateways_heard: heard(gateways), devices: devices.length, devices_heard: heard(devices), uplinks: 12345 + event } });
    if (path === '/v1/findings') return json(answer, { now, findings: findings() });
    if (path === '/v1/map') return json(answer, { now, points: map() });
    if (path === '/v1/gateways') return json(answer, { gateways, unknown: [{ eui: 'AABBCCFFFE001122', last_seen: iso(Date.now() - 4 * MIN), datagrams: 812 }] });
    if (path === '/v1/stream') return openStream(query, answer, request);
    if (path === '/v1/devices') {
        const q = (query.get('q') || '').toLowerCase();
        const found = devices.filter((d) => !q || d.name.toLowerCase().includes(q) || d.dev_eui.toLowerCase().includes(q));
        const offset = Number(query.get('offset') || 0), limit = Number(query.get('limit') || 50);
        return json(answer, { total: found.length, devices: found.slice(offset, offset + limit).map(row) });
    }
    const [, , , id, what] = path.split('/');
    const d = devices.find((x) => x.dev_eui === decodeURIComponent(id || ''));
    if (!path.startsWith('/v1/devices/') || !d) return problem(answer, 404, 'Not found');
    if (!what) return json(answer, device(d));
    if (what === 'frames') return json(answer, { frames: frames(d).slice(0, Number(query.get('limit') || 50)) });
    if (what === 'series') return json(answer, series(d, query));
    if (what === 'downlinks') return json(answer, { downlinks: downlinks(d) });
    return problem(answer, 404, 'Not found');
}

function openStream(query, answer, request) {
    answer.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    answer.write(': ping\n\n');
    const kind = query.get('kind') || 'change';
    const since = Number(request.headers['last-event-id'] || query.get('since') || event);
    log.filter((e) => e.kind === kind && e.id > since).forEach((e) => send(answer, e));
    const me = { answer, kind };
    listeners.add(me);
    request.on('close', () => listeners.delete(me));
}

const server = createServer((request, answer) => {
    const url = new URL(request.url, 'http://localhost');
    if (url.pathname === '/health' || url.pathname.startsWith('/v1/')) return api(url.pathname, url.searchParams, answer, request);
    const file = join(DIST, normalize(url.pathname === '/' ? '/index.html' : url.pathname));
    if (!file.startsWith(DIST) || !existsSync(file)) { answer.writeHead(404); answer.end('not found'); return; }
    answer.writeHead(200, { 'Content-Type': TYPES[extname(file)] || 'application/octet-stream', 'Content-Security-Policy': CSP,
        'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-cache' });
    answer.end(readFileSync(file));
});
server.listen(PORT, '127.0.0.1', () => console.log(`http://127.0.0.1:${PORT}/`));
