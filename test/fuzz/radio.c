// SPDX-License-Identifier: Apache-2.0
/* Any bytes as the stored copies of an uplink: what is read is written again byte for byte, but for the
 * reserved byte. And as the sealed payload of a personal device: it does not open; sealed by us it does. */
#include "test/fuzz/kit/city.h"
#include "test/fuzz/fuzz.h"

#include "mac/inside.h"

static void subject(struct bytes in)
{
    struct city *c = city_begin();
    struct bytes sealed, clear;
    struct env *env = &c->env;
    enum err err = subject_seal(env, &sealed, 1, TRACKER, 7, in);
    assert(err == OK && sealed.n == in.n + 16);
    err = mac_subject_open(&clear, env->db, mac_kek(env->mac), 1, TRACKER, 7, sealed, &env->event);
    assert(err == OK && bytes_eq(clear, in));
    assert(mac_subject_open(&clear, env->db, mac_kek(env->mac), 1, TRACKER, 8, sealed, &env->event) != OK);
    assert(mac_subject_open(&clear, env->db, mac_kek(env->mac), 1, TRACKER, 7, in, &env->event) != OK);
    arena_reset(&env->event);
}

FUZZ(p, n)
{
    struct cur c = cur_of((struct bytes){ p, n });
    struct radio radio;
    while (mac_radio_read(&radio, &c)) {
        u8 room[MAC_RADIO_BYTES];
        struct buf b = BUF(room);
        const u8 *was = c.p - MAC_RADIO_BYTES;
        radio_write(&b, &radio);
        assert(!b.bad && b.n == MAC_RADIO_BYTES);
        for (size_t i = 0; i < b.n; i++)
            assert(room[i] == was[i] || i == 31);
    }
    assert(c.n < MAC_RADIO_BYTES);
    subject((struct bytes){ p, MIN(n, 242) });
    return 0;
}
