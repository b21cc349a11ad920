// SPDX-License-Identifier: Apache-2.0
/*
 * Elements from words, and the one way a screen changes.
 *
 * h() builds an element; everything that is not an element becomes a text node, so a device's name
 * can never become markup: the portal has no other way to make a page.
 *
 * morph() makes a living element look like a freshly built one and touches only what differs.
 * That is what lets a list renew itself every few seconds without moving focus, scroll, an open
 * <details> or the reader's place. Children that carry data-key are recognised wherever they move.
 * An element with data-keep is left alone inside: a chart or a map lives there.
 */

const HANDLERS = ['onclick', 'oninput', 'onchange', 'onsubmit', 'ontoggle'];

export function h(tag, props, ...kids) {
    const el = document.createElement(tag);
    for (const [name, value] of Object.entries(props || {})) {
        if (value === null || value === undefined || value === false) continue;
        if (name.startsWith('on')) el[name] = value;
        else el.setAttribute(name, value === true ? '' : String(value));
    }
    append(el, kids);
    return el;
}

function append(el, kids) {
    for (const kid of kids.flat(Infinity)) {
        if (kid === null || kid === undefined || kid === false || kid === '') continue;
        el.append(kid instanceof Node ? kid : document.createTextNode(String(kid)));
    }
}

export function morph(host, kids) {
    const focused = document.activeElement;
    const box = document.createElement('div');
    append(box, [kids]);
    settleChildren(host, [...box.childNodes]);
    if (focused && focused !== document.activeElement && focused !== document.body &&
        host.contains(focused))
        focused.focus({ preventScroll: true });
}

function keyOf(node) {
    return node.nodeType === 1 ? node.getAttribute('data-key') : null;
}

function same(a, b) {
    return a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}

function settleChildren(host, wanted) {
    const known = new Map();
    for (const kid of host.children)
        if (keyOf(kid) !== null) known.set(keyOf(kid), kid);

    let cursor = host.firstChild;
    for (const want of wanted) {
        const key = keyOf(want);
        const match = key !== null ? known.get(key) : cursor && same(cursor, want) ? cursor : null;
        if (!match || !same(match, want)) {
            host.insertBefore(want, cursor);
            continue;
        }
        known.delete(key);
        settle(match, want);
        if (match === cursor) cursor = cursor.nextSibling;
        else host.insertBefore(match, cursor);
    }
    while (cursor) {
        const next = cursor.nextSibling;
        cursor.remove();
        cursor = next;
    }
}

function settle(old, want) {
    if (old.nodeType !== 1) {
        if (old.data !== want.data) old.data = want.data;
        return;
    }
    for (const handler of HANDLERS) old[handler] = want[handler];
    if (old.hasAttribute('data-keep')) return;
    for (const { name } of [...old.attributes])
        if (!want.hasAttribute(name) && !(name === 'open' && old.nodeName === 'DETAILS'))
            old.removeAttribute(name);
    for (const { name, value } of want.attributes)
        if (!(name === 'open' && old.nodeName === 'DETAILS') && old.getAttribute(name) !== value)
            old.setAttribute(name, value);
    settleChildren(old, [...want.childNodes]);
}
