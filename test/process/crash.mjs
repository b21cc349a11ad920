// SPDX-License-Identifier: Apache-2.0
/*
 * The crash loop (promises R1, R3, R4, R5, R6, R7): a city that is never killed (observer.mjs) speaks
 * to a daemon that is killed with SIGKILL at random moments and started again on the same folder.
 *
 *     node crash.mjs [kills] [seed]        HOTARU=program   KEEP=1 keeps the folder
 *
 * SIGKILL leaves the page cache whole: this proves the order of commit and acknowledgement and the
 * recovery, not the disk. That is power.mjs.
 */
import { Daemon } from './daemon.mjs';
import { ARGS, City } from './observer.mjs';
import { run, same, sleep } from './facts.mjs';

const [KILLS, SEED] = [Number(process.argv[2] || 200), Number(process.argv[3] || Date.now() % 1000000)];
const daemon = new Daemon({ args: ARGS });
const city = new City(daemon, SEED);

async function noneStays(k) {
    if (k % 20 !== 0 || daemon.leftovers().length === 0) return;
    await sleep(300);
    same('no process of a killed daemon stays', daemon.leftovers(), []);
}

console.log(`crash loop: ${KILLS} kills, seed ${SEED}`);
await run(async () => {
    await city.settle();
    const seconds = await city.lives(KILLS, 'kills', noneStays);
    await city.judge();
    await city.replayAll();
    await city.joinAgain();
    city.pulling = false;
    await city.lookInside();
    console.log(`${city.words(KILLS, 'kills', seconds)}; seed ${SEED}`);
}, async () => {
    if (daemon.alive) await daemon.kill();
    city.close();
});
