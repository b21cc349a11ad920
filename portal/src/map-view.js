// SPDX-License-Identifier: Apache-2.0
/*
 * The map itself (MapLibre GL JS, loaded only by the map screen).
 *
 * Nothing comes from elsewhere: the basemap is the prefecture's municipal boundaries, letters are
 * drawn from the device's own fonts (no glyphs address in the style), marks are drawn here. All
 * marks and labels are drawn by the graphics card: ten thousand as DOM elements would not move.
 */
import { Map as Renderer, setWorkerUrl } from 'maplibre-gl';
import { SHAPES } from './say.js';

const ICON = 44;                /* pixels of a mark at ratio 2 */
const EMPTY = { type: 'FeatureCollection', features: [] };
const TOYAMA = [[137.03, 36.37], [137.44, 36.78]];

export async function makeMap(ctx, box, { pick, scale }) {
    const colours = read(box);
    const boundary = await (await fetch('toyama-boundary.geojson')).json();
    setWorkerUrl(trusted(new URL('map-worker.js', document.baseURI).href));

    const map = new Renderer({
        container: box,
        style: style(ctx, boundary, colours),
        bounds: TOYAMA,
        fitBoundsOptions: { padding: 24 },
        attributionControl: false,      /* the credit stands below the map, on paper too */
        dragRotate: false, pitchWithRotate: false, touchPitch: false,
        cooperativeGestures: true,
        maxZoom: 17, minZoom: 6,
        fadeDuration: 0,
        localIdeographFontFamily: '"Noto Sans JP", "Hiragino Sans", "Noto Sans CJK JP", sans-serif',
        locale: {
            'CooperativeGesturesHandler.WindowsHelpText': ctx.t('map.gestures.mouse'),
            'CooperativeGesturesHandler.MacHelpText': ctx.t('map.gestures.mac'),
            'CooperativeGesturesHandler.MobileHelpText': ctx.t('map.gestures.touch'),
            'Map.Title': ctx.t('map.canvas'),
        },
    });
    map.touchZoomRotate.disableRotation();
    map.keyboard.disableRotation();

    await new Promise((done, fail) => {
        map.once('load', done);
        map.once('error', (e) => fail(e.error || new Error('map')));
    });
    for (const state of [...Object.keys(SHAPES), 'unknown'])
        for (const kind of ['device', 'gateway'])
            for (const doubt of ['', '-doubt'])
                map.addImage(`${kind}-${state}${doubt}`, icon(state, kind, doubt !== '', colours), { pixelRatio: 2 });

    let shown = [];
    map.on('click', (e) => {
        const near = map.queryRenderedFeatures([[e.point.x - 18, e.point.y - 18], [e.point.x + 18, e.point.y + 18]],
            { layers: ['points'] });
        if (near.length) pick(nearest(map, near, e.point).properties.id);
    });
    map.on('mousemove', 'points', () => { map.getCanvas().style.cursor = 'pointer'; });
    map.on('mouseleave', 'points', () => { map.getCanvas().style.cursor = ''; });
    map.on('idle', () => {
        const seen = new Set(map.queryRenderedFeatures({ layers: ['points'] }).map((f) => f.properties.id));
        box.dataset.drawn = seen.size;
    });
    map.on('move', () => ruler(ctx, map, scale));
    ruler(ctx, map, scale);

    return {
        show(features) {
            shown = features;
            map.getSource('points').setData({ type: 'FeatureCollection', features: features.map(feature) });
            box.dataset.points = features.length;
        },
        fit(animate = true) {
            map.fitBounds(bounds(shown), { padding: 40, maxZoom: 13, animate: animate && !still() });
        },
        zoom(by) {
            map.easeTo({ zoom: map.getZoom() + by, duration: still() ? 0 : 200 });
        },
        aim(p) {
            map.easeTo({ center: [p.lon, p.lat], zoom: Math.max(map.getZoom(), 13), duration: still() ? 0 : 400 });
        },
        async schools(on) {
            if (on && !map.getSource('schools').loaded_once) {
                map.getSource('schools').setData(await (await fetch('toyama-schools.geojson')).json());
                map.getSource('schools').loaded_once = true;
            }
            for (const layer of ['schools', 'school-names'])
                map.setLayoutProperty(layer, 'visibility', on ? 'visible' : 'none');
        },
        close() { map.remove(); },
    };
}

/* Under Trusted Types a worker's address must be vouched for: this one and no other. */
function trusted(worker) {
    if (window.trustedTypes && !window.trustedTypes.defaultPolicy)
        window.trustedTypes.createPolicy('default', { createScriptURL: (url) => url === worker ? url : null });
    return worker;
}

function still() {
    return window.matchMedia('(prefers-reduced-motion: reduce)').matches;
}

function read(box) {
    const css = getComputedStyle(box);
    const get = (name) => css.getPropertyValue(name).trim();
    return {
        works: get('--works'), attention: get('--attention'), silent: get('--silent'), never: get('--never'),
        unknown: get('--silent'), paper: get('--paper'), text: get('--text'), land: get('--land'),
        sea: get('--sea'), border: get('--border'), quiet: get('--quiet'), picked: get('--key'),
    };
}

function style(ctx, boundary, c) {
    const names = {
        type: 'FeatureCollection',
        features: boundary.features.map((f) => ({
            type: 'Feature', properties: { name: ctx.t(`place.${f.properties.N03_007}`) },
            geometry: { type: 'Point', coordinates: middle(f.geometry) },
        })),
    };
    const letters = { 'text-font': ['Noto Sans JP', 'Hiragino Sans', 'Noto Sans CJK JP', 'sans-serif'], 'text-padding': 1 };
    return {
        version: 8,
        sources: {
            boundary: { type: 'geojson', data: boundary },
            names: { type: 'geojson', data: names },
            schools: { type: 'geojson', data: EMPTY },
            points: { type: 'geojson', data: EMPTY },
        },
        layers: [
            { id: 'sea', type: 'background', paint: { 'background-color': c.sea } },
            { id: 'land', type: 'fill', source: 'boundary', paint: { 'fill-color': c.land } },
            { id: 'borders', type: 'line', source: 'boundary', paint: { 'line-color': c.border, 'line-width': 1.2 } },
            { id: 'schools', type: 'circle', source: 'schools', layout: { visibility: 'none' },
                paint: { 'circle-radius': 3, 'circle-color': c.paper, 'circle-stroke-color': c.quiet, 'circle-stroke-width': 1.5 } },
            { id: 'picked', type: 'circle', source: 'points', filter: ['get', 'picked'],
                paint: { 'circle-radius': 17, 'circle-color': c.paper, 'circle-opacity': 0.7,
                    'circle-stroke-color': c.picked, 'circle-stroke-width': 3 } },
            { id: 'labels', type: 'symbol', source: 'points', filter: ['!=', ['get', 'label'], ''],
                layout: { ...letters, 'text-field': ['get', 'label'], 'text-size': 12, 'text-max-width': 40, 'text-line-height': 1.15,
                    'text-variable-anchor': ['top', 'bottom', 'left', 'right'], 'text-radial-offset': ['case', ['get', 'picked'], 1.9, 1.3],
                    'text-justify': 'auto', 'symbol-sort-key': ['-', 10, ['get', 'rank']] },
                paint: { 'text-color': c.text, 'text-halo-color': c.paper, 'text-halo-width': 1.6 } },
            { id: 'school-names', type: 'symbol', source: 'schools', minzoom: 12, layout: { ...letters, visibility: 'none',
                'text-field': ['get', 'name'], 'text-size': 11, 'text-anchor': 'top', 'text-offset': [0, 0.5] },
            paint: { 'text-color': c.quiet, 'text-halo-color': c.land, 'text-halo-width': 1.5 } },
            { id: 'names', type: 'symbol', source: 'names', layout: { ...letters, 'text-field': ['get', 'name'], 'text-size': 13 },
                paint: { 'text-color': c.quiet, 'text-halo-color': c.land, 'text-halo-width': 1.5 } },
            /* Last, so that it is placed first: labels and names keep clear of the marks. */
            { id: 'points', type: 'symbol', source: 'points',
                layout: { 'icon-image': ['get', 'icon'], 'icon-allow-overlap': true, 'icon-padding': 0,
                    'icon-size': ['interpolate', ['linear'], ['zoom'], 9, 0.6, 12, 1],
                    'symbol-sort-key': ['get', 'rank'] } },
        ],
    };
}

const RANK = { works: 1, never: 2, silent: 3, attention: 4 };

function feature({ p, label, picked }) {
    const state = SHAPES[p.state] ? p.state : 'unknown';
    const kind = p.kind === 'gateway' ? 'gateway' : 'device';
    return {
        type: 'Feature',
        geometry: { type: 'Point', coordinates: [p.lon, p.lat] },
        properties: {
            id: p.id, label, picked, rank: (RANK[state] || 1) - (kind === 'gateway' ? 0.5 : 0) + (picked ? 5 : 0),
            icon: `${kind}-${state}${p.flag ? '-doubt' : ''}`,
        },
    };
}

/* ● ▲ ○ ✕ on a paper ground; a gateway in a frame; a doubtful value hollow. */
function icon(state, kind, doubt, c) {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = ICON;
    const g = canvas.getContext('2d');
    const m = ICON / 2, colour = c[state];
    g.lineJoin = 'round';
    if (kind === 'gateway') {
        g.fillStyle = c.paper; g.strokeStyle = colour; g.lineWidth = 3;
        g.beginPath(); g.rect(4, 4, ICON - 8, ICON - 8); g.fill(); g.stroke();
    }
    const r = kind === 'gateway' ? 9 : 13;
    g.beginPath();
    if (state === 'attention') { g.moveTo(m, m - r); g.lineTo(m + r, m + r * 0.8); g.lineTo(m - r, m + r * 0.8); g.closePath(); }
    else if (state === 'never') { g.moveTo(m - r * 0.8, m - r * 0.8); g.lineTo(m + r * 0.8, m + r * 0.8); g.moveTo(m + r * 0.8, m - r * 0.8); g.lineTo(m - r * 0.8, m + r * 0.8); }
    else g.arc(m, m, r * 0.85, 0, 2 * Math.PI);
    g.lineWidth = 8; g.strokeStyle = c.paper; g.stroke();
    if (state === 'silent' || doubt) { g.fillStyle = c.paper; g.fill(); g.lineWidth = 4; g.strokeStyle = colour; g.stroke(); }
    else if (state === 'never') { g.lineWidth = 5; g.strokeStyle = colour; g.stroke(); }
    else { g.fillStyle = colour; g.fill(); }
    return g.getImageData(0, 0, ICON, ICON);
}

/* The middle of the largest ring, weighted by area: where a name stands. */
function middle(geometry) {
    const rings = geometry.type === 'Polygon' ? [geometry.coordinates[0]] : geometry.coordinates.map((p) => p[0]);
    let best = [0, 0], most = -1;
    for (const ring of rings) {
        let area = 0, x = 0, y = 0;
        for (let i = 0; i + 1 < ring.length; i++) {
            const cross = ring[i][0] * ring[i + 1][1] - ring[i + 1][0] * ring[i][1];
            area += cross; x += (ring[i][0] + ring[i + 1][0]) * cross; y += (ring[i][1] + ring[i + 1][1]) * cross;
        }
        if (Math.abs(area) > most) { most = Math.abs(area); best = [x / (3 * area), y / (3 * area)]; }
    }
    return best;
}

function bounds(features) {
    if (!features.length) return TOYAMA;
    const lon = features.map((f) => f.p.lon), lat = features.map((f) => f.p.lat);
    return [[Math.min(...lon), Math.min(...lat)], [Math.max(...lon), Math.max(...lat)]];
}

function nearest(map, features, at) {
    const far = (f) => {
        const q = map.project(f.geometry.coordinates);
        return (q.x - at.x) ** 2 + (q.y - at.y) ** 2;
    };
    return features.reduce((best, f) => far(f) < far(best) ? f : best);
}

/* A scale bar: a round length that fits a quarter of the map. */
function ruler(ctx, map, host) {
    const y = map.getContainer().clientHeight - 20;
    const a = map.unproject([0, y]), b = map.unproject([100, y]);
    const metres = a.distanceTo(b);
    const power = 10 ** Math.floor(Math.log10(metres));
    const round = [5, 2, 1].map((n) => n * power).find((n) => n <= metres) || power;
    host.style.width = `${Math.round(100 * round / metres)}px`;
    host.textContent = round >= 1000 ? ctx.t('map.scale', { n: round / 1000 }) : ctx.t('map.scale.m', { n: round });
}
