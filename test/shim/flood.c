// SPDX-License-Identifier: Apache-2.0
/*
 * Garbage at a steady rate to a gateway door, from 127.0.0.2: gateways that nobody registered, JSON
 * that is none, datagrams that are too short, versions that do not exist, a registered gateway's EUI
 * from the wrong host, and a registered gateway that has gone mad.
 *
 *     flood PORT RATE SECONDS FOREIGN_EUI MAD_EUI     prints how many were sent
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, ROOM = 256, KINDS = 8 };

static uint64_t state = 88172645463325252u;
static uint64_t chance(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void put_eui(uint8_t *at, uint64_t eui)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(eui >> (56 - 8 * i));
}

/* Version 2, a token, PUSH_DATA, the EUI, then what is meant to be JSON. */
static size_t build(uint8_t *out, uint64_t foreign, uint64_t mad)
{
    static const char fine[] = "{\"rxpk\":[{\"tmst\":1,\"freq\":923.2,\"datr\":\"SF10BW125\",\"modu\":\"LORA\",\"codr\":\"4/5\","
                               "\"rssi\":-90,\"lsnr\":7,\"size\":14,\"data\":\"QAEAAAGAAQACq80BAgM=\"}]}";
    uint64_t kind = chance() % KINDS, eui = chance();
    size_t n = sizeof fine - 1;
    out[0] = 2;
    out[1] = (uint8_t)chance();
    out[2] = (uint8_t)chance();
    out[3] = kind == 1 ? 2 : 0;                                          /* PULL_DATA or PUSH_DATA */
    put_eui(out + 4, kind == 2 ? foreign : kind == 3 ? mad : eui);
    memcpy(out + 12, fine, n);
    if (kind == 3 || kind == 4)
        memset(out + 12 + chance() % n, kind == 3 ? '[' : 0xFF, 4);
    if (kind == 5)
        out[0] = (uint8_t)chance();
    if (kind == 6)
        out[3] = (uint8_t)(6 + chance() % 250);
    return kind == 7 ? chance() % 12 : 12 + n;
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static int open_socket(void)
{
    struct sockaddr_in from = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    from.sin_addr.s_addr = inet_addr("127.0.0.2");
    return bind(fd, (struct sockaddr *)&from, sizeof from) == 0 ? fd : -1;
}

int main(int argc, char **argv)
{
    static uint8_t bytes[BATCH][ROOM + 8];
    struct mmsghdr msgs[BATCH];
    struct iovec parts[BATCH];
    if (argc != 6)
        return 2;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])) };
    int64_t rate = atoll(argv[2]), began = now_us(), until = began + atoll(argv[3]) * 1000000, sent = 0;
    uint64_t foreign = strtoull(argv[4], NULL, 16), mad = strtoull(argv[5], NULL, 16);
    int fd = open_socket();
    to.sin_addr.s_addr = inet_addr("127.0.0.1");
    for (int64_t now; fd >= 0 && (now = now_us()) < until;) {
        if (sent >= (now - began) * rate / 1000000) {
            usleep(500);
            continue;
        }
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){ bytes[i], build(bytes[i], foreign, mad) };
            msgs[i]  = (struct mmsghdr){ .msg_hdr = { .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &parts[i],
                                                      .msg_iovlen = 1 } };
        }
        int n = sendmmsg(fd, msgs, BATCH, 0);
        sent += n > 0 ? n : 0;
    }
    printf("%lld\n", (long long)sent);
    return fd < 0;
}
