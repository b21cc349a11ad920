// SPDX-License-Identifier: Apache-2.0
/* The speaker: t('age.min', {n: 3}) in the chosen language. A key without words says its own name,
   so that a hole is seen; a test holds both files to the same keys. */
import ja from './words/ja.json';
import en from './words/en.json';

const LANGUAGES = { ja, en };
const STORED = 'hotaru.lang';

export function languageChosen() {
    let stored = null;
    try { stored = localStorage.getItem(STORED); } catch { /* private window: ask the browser */ }
    if (LANGUAGES[stored]) return stored;
    return (navigator.language || 'ja').startsWith('ja') ? 'ja' : 'en';
}

export function languageChoose(lang) {
    try { localStorage.setItem(STORED, lang); } catch { /* it lasts as long as the page */ }
}

export function speaker(lang) {
    const words = LANGUAGES[lang];
    return (key, values) => fill(words[key] ?? key, values);
}

export function fill(text, values) {
    if (!values) return text;
    return text.replace(/\{(\w+)\}/g, (whole, name) => name in values ? String(values[name]) : whole);
}
