// SPDX-License-Identifier: Apache-2.0
/* src + public -> dist. The same input gives the same bytes: no time stamps, no absolute paths. */
import { build } from 'esbuild';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const here = new URL('.', import.meta.url).pathname;
process.chdir(here);
rmSync('dist', { recursive: true, force: true });
mkdirSync('dist');
cpSync('public', 'dist', { recursive: true });
writeFileSync('dist/map-worker.js',
    readFileSync('node_modules/maplibre-gl/dist/maplibre-gl-worker.mjs', 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n'));

/* What we ship of others comes with their licences. */
const theirs = ['maplibre-gl', 'uplot', '@digital-go-jp/design-tokens'];
writeFileSync('dist/licences.txt', theirs.map((name) => {
    const folder = `node_modules/${name}`;
    const { version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
    const file = readdirSync(folder).find((f) => /^licen[cs]e/i.test(f));
    return `${name} ${version}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`;
}).join(`\n${'-'.repeat(72)}\n\n`));

await build({
    entryPoints: { app: 'src/app.js' },
    outdir: 'dist',
    bundle: true, splitting: true, format: 'esm', minify: true,
    target: ['chrome100', 'firefox100', 'safari15.4'],
    chunkNames: '[name]-[hash]',
    legalComments: 'eof',
    logLevel: 'warning',
});
await build({
    entryPoints: { app: 'src/app.css' },
    outdir: 'dist', bundle: true, minify: true, logLevel: 'warning',
});

let first = 0;
for (const name of readdirSync('dist').sort()) {
    const bytes = readFileSync(`dist/${name}`);
    const packed = gzipSync(bytes).length;
    if (/^(index\.html|app\.(js|css)|icon\.svg|chunk-)/.test(name)) first += packed;
    console.log(`${name.padEnd(32)} ${String(bytes.length).padStart(9)}  gzip ${String(packed).padStart(8)}`);
}
console.log(`before the map and the chart: ${(first / 1024).toFixed(1)} KB gzip`);
