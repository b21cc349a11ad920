// SPDX-License-Identifier: Apache-2.0
/* Line drawings on a 24 x 24 ground, drawn by us: no icon font, nothing that a phone may lack. */
const SVG = 'http://www.w3.org/2000/svg';

const LINES = {
    wrong: ['M12 3.5 21.5 20h-19z', 'M12 9.5v5', 'M12 17v.6'],
    map: ['M12 21s-7-6.4-7-11.3a7 7 0 0 1 14 0C19 14.6 12 21 12 21z', 'M12 7.6a2.2 2.2 0 1 0 .01 0z'],
    devices: ['M8 6h12', 'M8 12h12', 'M8 18h12', 'M3.8 6h.6', 'M3.8 12h.6', 'M3.8 18h.6'],
    gateways: ['M12 12v9', 'M8.5 21h7', 'M8.5 8.5a5 5 0 0 0 0 7', 'M15.5 8.5a5 5 0 0 1 0 7', 'M5.6 5.6a9 9 0 0 0 0 12.8',
        'M18.4 5.6a9 9 0 0 1 0 12.8', 'M12 11.6v.8'],
    about: ['M12 3a9 9 0 1 0 .01 0z', 'M12 11v5.5', 'M12 7.4v.4'],
    aim: ['M12 5.5a6.5 6.5 0 1 0 .01 0z', 'M12 2v6', 'M12 16v6', 'M2 12h6', 'M16 12h6'],
    fit: ['M4 9V4h5', 'M20 9V4h-5', 'M4 15v5h5', 'M20 15v5h-5'],
    plus: ['M12 5v14', 'M5 12h14'],
    minus: ['M5 12h14'],
};

export function icon(name) {
    const svg = make('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false' });
    for (const d of LINES[name]) svg.append(make('path', { d }));
    return svg;
}

/* A plain bar; its number always stands beside it. */
export function bar(pct) {
    const svg = make('svg', { class: 'bar', viewBox: '0 0 100 12', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    svg.append(make('rect', { class: 'bar-all', width: 100, height: 12 }), make('rect', { class: 'bar-part', width: pct, height: 12 }));
    return svg;
}

function make(tag, attributes) {
    const el = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, value);
    return el;
}
