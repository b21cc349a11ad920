// SPDX-License-Identifier: Apache-2.0
/*
 * The readings chart (uPlot, loaded when a device is opened).
 *
 * A line with marks; a gap where nothing arrived stays a gap; doubtful values are hollow and never
 * joined by the line. The scale follows the trusted values: one wild value must not flatten a
 * river, but it must not vanish either, so beyond the scale it stands at the edge as a hollow
 * triangle. States (on/off, free/occupied) are steps with their words on the axis.
 */
import uPlot from 'uplot';
import * as say from './say.js';
import { decimalsOf, plan } from './plan.js';

const HEIGHT = 272;
const MARK_PX = 7;          /* points closer than this are a line without marks */
const FONT = '13px sans-serif';
const LABEL_PX_MIN = 40;    /* of the y axis, beside its ticks; wider where its words are */
const TICKS_PX = 20;
const MINUTE = 60, HOUR = 3600, DAY = 86400;
const STEPS_S = [MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY];

export function makeChart(ctx, box, read) {
    let plot = null, shape = null, s = null, p = null;
    const watch = new ResizeObserver(() => {
        if (plot && box.clientWidth) plot.setSize({ width: box.clientWidth, height: HEIGHT });
    });
    watch.observe(box);

    function colour(name) {
        return getComputedStyle(box).getPropertyValue(name).trim();
    }

    function build() {
        const line = colour('--line'), text = colour('--text'), grid = colour('--rule');
        const doubt = colour('--attention');
        return new uPlot({
            width: Math.max(200, box.clientWidth), height: HEIGHT,
            tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), 'Asia/Tokyo'),
            legend: { show: false },
            cursor: { drag: { x: false, y: false }, points: { size: 10 } },
            scales: {
                x: { time: true, range: () => [p.from, p.to] },
                y: { range: () => [p.low, p.high] },
            },
            axes: [
                { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid }, font: FONT, size: 54,
                    space: 64, incs: STEPS_S, values: (u, ticks) => ticks.map((t, i) => tick(ctx, t, ticks[i - 1])) },
                { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid }, font: FONT,
                    size: (u, words) => roomFor(u.ctx, words), splits: p.states ? () => p.states.map((_, i) => i) : undefined,
                    values: (u, ticks, i, space, step) => ticks.map((t) => p.states ? state(ctx, p.states[t]) : level(t, decimalsOf(step))) },
            ],
            series: [{}, {
                stroke: line, width: 2, spanGaps: false,
                paths: p.states ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
                points: { show: sparse(), size: 6, fill: line },
            }],
            hooks: {
                draw: [(u) => doubtful(u, doubt)],
                setCursor: [(u) => tell(u)],
            },
        }, [p.x, p.y], box);
    }

    function sparse() {
        return p.x.length <= box.clientWidth / MARK_PX;
    }

    function level(n, decimals) {
        return `${say.signed(n, decimals)}${say.unit(s.unit) ? ` ${say.unit(s.unit)}` : ''}`;
    }

    function doubtful(u, stroke) {
        const g = u.ctx, size = 5 * devicePixelRatio;
        g.save();
        g.strokeStyle = stroke;
        g.lineWidth = 2 * devicePixelRatio;
        for (const d of p.doubtful) {
            if (d.x < p.from || d.x > p.to) continue;
            const x = u.valToPos(d.x, 'x', true);
            const y = u.valToPos(Math.min(p.high, Math.max(p.low, d.y)), 'y', true);
            g.beginPath();
            if (d.y > p.high) triangle(g, x, y, size, 1);
            else if (d.y < p.low) triangle(g, x, y, size, -1);
            else g.arc(x, y, size, 0, 2 * Math.PI);
            g.stroke();
        }
        g.restore();
    }

    function tell(u) {
        const { left } = u.cursor;
        if (left === undefined || left < 0 || !s) return;
        const at = u.posToVal(left, 'x');
        const nearest = p.all.reduce((best, q) => Math.abs(q.x - at) < Math.abs(best.x - at) ? q : best, p.all[0]);
        if (!nearest) return;
        const flag = nearest.flag ? ` ${nearest.flag} ${say.flagWord(ctx.t, nearest.flag)}` : '';
        const ms = nearest.x * 1000;
        read.textContent = `${say.value(ctx.t, nearest.value, s.unit)}${flag} — ${say.fullTime(ctx.lang, ms)}` +
            `（${say.age(ctx.t, (ctx.clock.now() - ms) / 1000)}）`;
    }

    return {
        box,
        show(series, gap_s) {
            s = series;
            p = plan(series.points, { gap_s, from_s: series.from / 1000, to_s: ctx.clock.now() / 1000, unit: series.unit });
            const now = JSON.stringify([s.attr, p.states, sparse(), s.unit, ctx.theme()]);
            if (plot && now === shape) { plot.setData([p.x, p.y]); return; }
            if (plot) plot.destroy();
            if (now !== shape && shape) read.textContent = ctx.t('device.chart.read');
            shape = now;
            plot = build();
        },
        destroy() {
            watch.disconnect();
            if (plot) plot.destroy();
        },
    };
}

function triangle(g, x, y, r, up) {
    g.moveTo(x, y + 2 * up);
    g.lineTo(x + r, y + (2 + 2 * r) * up);
    g.lineTo(x - r, y + (2 + 2 * r) * up);
    g.closePath();
}

/* Nothing of a label may be cut: "0.962 m" is not ".962 m". */
function roomFor(g, words) {
    g.save();
    g.font = FONT;
    const widest = Math.max(LABEL_PX_MIN, ...(words || []).map((w) => g.measureText(w).width));
    g.restore();
    return Math.ceil(widest) + TICKS_PX;
}

function state(ctx, value) {
    return value === undefined ? '' : say.value(ctx.t, value, null);
}

/* The hour, and the day where it changes. */
function tick(ctx, t, before) {
    const ms = t * 1000;
    const hour = say.clockTime(ms);
    const new_day = before === undefined || say.jstIso(before * 1000).slice(0, 10) !== say.jstIso(ms).slice(0, 10);
    return new_day ? `${hour}\n${say.day(ctx.lang, ms)}` : hour;
}
