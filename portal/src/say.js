// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers, times and ages as people say them. Pure: no page, no clock of its own.
 *
 * A function that needs words takes the speaker t(key, values) of words.js, so every word stands in
 * the language files and these rules are tested without a browser.
 */

const ZONE = 'Asia/Tokyo';
const MINUTE = 60, HOUR = 3600, DAY = 86400;

/* UN/CEFACT Recommendation 20 codes that profiles use: what to print, and how many decimals.
   A river level has two (水文水質データベース); more would claim what a gauge cannot know. */
const UNITS = {
    MTR: ['m', 2], CMT: ['cm', 0], MMT: ['mm', 1], KMT: ['km', 1], CEL: ['°C', 1], P1: ['%', 0],
    KPA: ['kPa', 1], A97: ['hPa', 1], AMP: ['A', 2], VLT: ['V', 2], DD: ['°', 0], MTS: ['m/s', 1],
    LUX: ['lx', 0], LTR: ['L', 0], MTQ: ['m³', 1], KWH: ['kWh', 1], GP: ['mg/m³', 2],
};

const VALUE_WORDS = ['on', 'off', 'free', 'occupied'];
export const FLAGS = ['!', '&', '?', 'M', '#', '@', 'c', 'm', '*', '-'];
export const STATES = ['works', 'attention', 'silent', 'never'];
export const SHAPES = { works: '●', attention: '▲', silent: '○', never: '✕' };

export function unit(code) {
    if (!code) return '';
    return UNITS[code] ? UNITS[code][0] : code;
}

/* −0 and −0.004 are 0.00; a true minus sign, so that a line break cannot part it from its digits. */
export function number(value, code) {
    if (typeof value !== 'number' || !Number.isFinite(value)) return null;
    const text = UNITS[code] ? value.toFixed(UNITS[code][1]) : String(Number(value.toFixed(3)));
    const bare = text.replace('-', '');
    return text.startsWith('-') && Number(bare) !== 0 ? `−${bare}` : bare;
}

/* What a reading says, without its age: never use alone. */
export function value(t, v, code) {
    if (v === null || v === undefined || v === '') return t('value.none');
    if (typeof v === 'boolean') return t(`value.${v}`);
    if (typeof v === 'number') {
        const n = number(v, code);
        if (n === null) return t('value.none');
        return unit(code) ? `${n}\u00a0${unit(code)}` : n;
    }
    if (typeof v === 'object') return JSON.stringify(v);
    return VALUE_WORDS.includes(v) ? t(`value.${v}`) : String(v);
}

export function flagWord(t, flag) {
    if (!flag) return '';
    return FLAGS.includes(flag) ? t(`flag.${flag}`) : t('flag.other', { flag });
}

/* The largest unit and, where it helps, the next one: 59 s, 3 min, 2 h 5 min, 3 d 4 h. */
function span(t, kind, seconds) {
    const s = Math.floor(seconds);
    if (s < MINUTE) return t(`${kind}.s`, { n: s });
    if (s < HOUR) return t(`${kind}.min`, { n: Math.floor(s / MINUTE) });
    if (s < DAY) return pair(t, kind, 'h', 'hmin', Math.floor(s / HOUR), Math.floor(s % HOUR / MINUTE));
    return pair(t, kind, 'd', 'dh', Math.floor(s / DAY), Math.floor(s % DAY / HOUR));
}

function pair(t, kind, whole, both, n, m) {
    return m ? t(`${kind}.${both}`, { n, m }) : t(`${kind}.${whole}`, { n });
}

/* A device's clock may run a little ahead of ours; more than five seconds is worth a word. */
export function age(t, seconds) {
    if (!Number.isFinite(seconds)) return t('age.none');
    if (seconds < -5) return t('age.ahead', { n: Math.round(-seconds) });
    return span(t, 'age', Math.max(0, seconds));
}

export function duration(t, seconds) {
    if (!Number.isFinite(seconds)) return t('age.none');
    return span(t, 'for', Math.max(0, seconds));
}

export function every(t, seconds) {
    if (seconds >= HOUR && seconds % HOUR === 0) return t('every.h', { n: seconds / HOUR });
    if (seconds >= MINUTE) return t('every.min', { n: Math.round(seconds / MINUTE) });
    return t('every.s', { n: seconds });
}

/* The city's silence rule: two intervals and half a minute. */
export function silentAfter(interval_s) {
    return interval_s > 0 ? 2 * interval_s + 30 : null;
}

const formats = new Map();
function format(lang, options) {
    const key = lang + JSON.stringify(options);
    if (!formats.has(key))
        formats.set(key, new Intl.DateTimeFormat(lang, { timeZone: ZONE, hourCycle: 'h23', ...options }));
    return formats.get(key);
}

function fields(ms) {
    const parts = format('en-GB', {
        year: 'numeric', month: '2-digit', day: '2-digit',
        hour: '2-digit', minute: '2-digit', second: '2-digit',
    }).formatToParts(ms);
    return Object.fromEntries(parts.map((p) => [p.type, p.value]));
}

export function millis(iso) {
    if (iso === null || iso === undefined || iso === '') return NaN;
    return Date.parse(iso);
}

/* For the datetime attribute: date and zone always. */
export function jstIso(ms) {
    const f = fields(ms);
    return `${f.year}-${f.month}-${f.day}T${f.hour}:${f.minute}:${f.second}+09:00`;
}

export function clockTime(ms) {
    const f = fields(ms);
    return `${f.hour}:${f.minute}`;
}

export function clockTimeSeconds(ms) {
    const f = fields(ms);
    return `${f.hour}:${f.minute}:${f.second}`;
}

export function day(lang, ms) {
    return lang === 'ja' ? format('ja', { month: 'numeric', day: 'numeric', weekday: 'short' }).format(ms)
                         : format('en-GB', { day: 'numeric', month: 'short' }).format(ms);
}

export function dayTime(lang, ms) {
    const date = format(lang === 'ja' ? 'ja' : 'en-GB', { month: 'short', day: 'numeric' }).format(ms);
    return `${date} ${clockTime(ms)}`;
}

export function fullTime(lang, ms) {
    const date = format(lang === 'ja' ? 'ja' : 'en-GB',
        { year: 'numeric', month: 'short', day: 'numeric' }).format(ms);
    return `${date} ${clockTimeSeconds(ms)} JST`;
}

/* The hour alone is enough today; on another day the date must stand with it. */
export function shortTime(lang, ms, now_ms) {
    return jstIso(ms).slice(0, 10) === jstIso(now_ms).slice(0, 10) ? clockTime(ms) : dayTime(lang, ms);
}

export function megahertz(hz) {
    if (typeof hz !== 'number') return '';
    const text = (hz / 1e6).toFixed(4).replace(/0+$/, '');
    return `${text.endsWith('.') ? `${text}0` : text}\u00a0MHz`;
}

export function signed(n, decimals) {
    if (typeof n !== 'number' || !Number.isFinite(n)) return '?';
    const text = n.toFixed(decimals);
    return text.startsWith('-') ? `−${text.slice(1)}` : text;
}

export function count(n) {
    return typeof n === 'number' ? n.toLocaleString('en-US') : '–';
}

export function isJapanese(text) {
    return /[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]/.test(text);
}
