// SPDX-License-Identifier: Apache-2.0
/* The shims of test/shim stand beside the program that is tested; make builds them when they are asked for. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { PROGRAM, ROOT } from './daemon.mjs';

const V = path.relative(ROOT, path.dirname(path.resolve(PROGRAM)));

export const shim = (name) => path.join(ROOT, V, 'shim', name);

export function build(...names) {
    const { MAKEFLAGS, MFLAGS, MAKELEVEL, ...env } = process.env;
    execFileSync('make', ['-s', `V=${V}`, ...names.map((name) => `${V}/shim/${name}`)], { cwd: ROOT, env });
}
