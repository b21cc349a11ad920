// SPDX-License-Identifier: Apache-2.0
/*
 * `hotaru sim --load`: uplinks of a whole city, open loop. Every frame is built beforehand; every
 * datagram has its time in a schedule that never waits for an answer, and latencies count from that
 * time: a stall of the daemon, or of this program, is seen and not omitted. Each uplink goes out as
 * `copies` datagrams of different gateways: one at once, the others within `spread` ms.
 *
 * One thread keeps the schedule (a wheel of ticks of 250 µs), one reads the answers.
 */
#include "sim/inside.h"
#include "sim/sim.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_US = 250,
    WHEEL = 4096,
    BATCH = 128,
    SOCKETS = 8,
    PAYLOAD = 11,
    FRAME = 1 + LORA_FHDR_MIN + 1 + PAYLOAD + LORA_MIC_SIZE,
    DATA = (FRAME + 2) / 3 * 4,
    DATAGRAM = 320,
};

#define BENCH_DEVICE_EUI  0x02484F5442000000u
#define BENCH_GATEWAY_EUI 0x02484F5443000000u
#define BENCH_NET_ID      0x000001u          /* for experiments (TS002) */

void sim_bench_device(u64 n, u64 *dev_eui, u32 *devaddr, u8 nwk_s_key[16], u8 app_s_key[16])
{
    *dev_eui = BENCH_DEVICE_EUI + n;
    *devaddr = lora_devaddr_make(BENCH_NET_ID, (u32)n);
    for (u64 i = 0; i < 2; i++) {
        put_u64be(nwk_s_key + 8 * i, sim_hash(0xBE7C4, n, i));
        put_u64be(app_s_key + 8 * i, sim_hash(0xBE7C4, n, 2 + i));
    }
}

u64 sim_bench_gateway(u64 n)
{
    return BENCH_GATEWAY_EUI + n;
}

/* ------------------------------------------------------------------ types */

struct slot { u32 unique; u16 gateway, copy; };
struct tick { struct slot *slots; u32 n, room; };
struct post {
    u8 bytes[BATCH][DATAGRAM];
    struct mmsghdr msgs[BATCH];
    struct iovec iov[BATCH];
    u32 n;
};

struct load {
    /* asked */
    const char *udp, *subscribe, *token_file;
    u64 devices, rate, seconds, warm_s, gateways, copies, spread_ms, fcnt, gateway_base;
    /* built */
    u64   total, warm;    /* unique uplinks; of them the first, not counted */
    char (*data)[DATA];
    size_t template_n, tmst_at, rssi_at, data_at;
    u8    template[DATAGRAM];
    int   fds[SOCKETS];
    /* running */
    struct chance chance;
    struct tick   wheel[WHEEL];
    struct post  *posts;
    u16  token[SOCKETS];
    i64  (*planned_us)[65536];                   /* by socket and token: when it should have gone */
    u32  (*unique_of)[65536];
    i64  *first_us;                              /* by uplink, for the watch */
    u8   *acked_once;
    u64  sent, unsent, acked, unique, downlinks;
    struct spread latency, lateness;
    bool stop;
};

/* ------------------------------------------------------------------ building */

static void build_frame(struct load *l, u64 i)
{
    u64 n = i % l->devices, dev_eui;
    u32 fcnt = (u32)(l->fcnt + i / l->devices), devaddr;
    u8  nwk[16], app[16], payload[PAYLOAD] = { 0 }, room[FRAME];
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct lora_key nwk_key = { 0 }, app_key = { 0 };
    struct buf out = BUF(room);
    sim_bench_device(n, &dev_eui, &devaddr, nwk, app);
    lora_key_set(&nwk_key, nwk);
    lora_key_set(&app_key, app);
    put_u16be(payload, (u16)(1000 + (i * 37) % 2000));       /* 1 to 3 m, in millimetres */
    put_u64be(payload + 2, i);
    struct lora_session session = { false, &nwk_key, &nwk_key, &nwk_key, &app_key };
    struct lora_frame frame = { .mtype = MTYPE_DATA_UP, .devaddr = devaddr, .fport = READING_PORT,
                                .payload = { payload, PAYLOAD } };
    if (lora_frame_seal(&out, &frame, &session, fcnt, (struct lora_mic_terms){ 0 }) != LORA_OK ||
        out.n != FRAME)
        die("a bench frame cannot be built");
    for (size_t b = 0; b < FRAME / 3; b++) {
        u32 v = (u32)room[3 * b] << 16 | (u32)room[3 * b + 1] << 8 | room[3 * b + 2];
        for (int d = 0; d < 4; d++)
            l->data[i][4 * b + (size_t)d] = digits[v >> (18 - 6 * d) & 63];
    }
    lora_key_clear(&nwk_key);
    lora_key_clear(&app_key);
}

/* Blanks stand where numbers come: JSON allows that, and real forwarders pad too. */
static void build_template(struct load *l)
{
    static const char json[] =
        "............{\"rxpk\":[{\"tmst\":          ,\"chan\":0,\"rfch\":0,\"freq\":923.200000,"
        "\"stat\":1,\"modu\":\"LORA\",\"datr\":\"SF7BW125\",\"codr\":\"4/5\",\"rssi\":    ,"
        "\"lsnr\":7.5,\"size\":24,\"data\":\"________________________________\"}]}";
    static_assert(FRAME == 24 && DATA == 32 && sizeof json < DATAGRAM,
                  "the template fits the frame");
    struct str s = { json, sizeof json - 1 };
    memcpy(l->template, s.p, s.n);
    l->template_n = s.n;
    l->tmst_at    = (size_t)str_find(s, S("\"tmst\":")) + 7;
    l->rssi_at    = (size_t)str_find(s, S("\"rssi\":")) + 7;
    l->data_at    = (size_t)str_find(s, S("____"));
    l->template[0] = 2;
    l->template[3] = 0;
}

static void prepare_posts(struct load *l)
{
    l->posts = boot_take(SOCKETS * sizeof *l->posts);
    for (u32 s = 0; s < SOCKETS; s++)
        for (u32 i = 0; i < BATCH; i++) {
            struct post *p = &l->posts[s];
            memcpy(p->bytes[i], l->template, l->template_n);
            p->iov[i]  = (struct iovec){ p->bytes[i], l->template_n };
            p->msgs[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &p->iov[i], .msg_iovlen = 1 } };
        }
}

static void open_sockets(struct load *l)
{
    struct address at;
    if (!sim_door_server(&at, str_z(l->udp)))
        die("not an IPv4 address with a port: %s", l->udp);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(at.port) };
    memcpy(&to.sin_addr, at.ip, 4);
    for (u32 i = 0; i < SOCKETS; i++) {
        int bytes = 1 << 22;
        l->fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        (void)setsockopt(l->fds[i], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
        (void)setsockopt(l->fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        if (l->fds[i] < 0 || connect(l->fds[i], (struct sockaddr *)&to, sizeof to) != 0)
            die("no socket for the load");
    }
}

/* ------------------------------------------------------------------ sending */

static void write_number(u8 *at, int width, u64 v, bool negative)
{
    for (int i = width - 1; i >= 0; i--, v /= 10) {
        bool first = v == 0 && i < width - 1;
        at[i] = first ? ' ' : (u8)('0' + v % 10);
        if (first && negative) {
            at[i]    = '-';
            negative = false;
        }
    }
}

static void post(struct load *l, u32 socket)
{
    struct post *p = &l->posts[socket];
    u32 done = 0;
    while (done < p->n) {
        int n = sendmmsg(l->fds[socket], p->msgs + done, p->n - done, 0);
        if (n > 0) {
            done    += (u32)n;
            l->sent += (u32)n;
        } else if (errno != EINTR) {    /* a refusal by ICMP: that one is gone */
            done++;
            l->unsent++;
        }
    }
    p->n = 0;
}

static void write_slot(struct load *l, const struct slot *slot, i64 planned_us)
{
    u32 socket = slot->gateway % SOCKETS;
    struct post *p = &l->posts[socket];
    u8 *bytes = p->bytes[p->n++];
    u16 token = l->token[socket]++;
    u64 gateway = slot->gateway;
    put_u16be(bytes + 1, token);
    put_u64be(bytes + 4, l->gateway_base + gateway);
    /* one concentrator, one clock: the same uplink bears each gateway's own counter */
    write_number(bytes + l->tmst_at, 10, (u32)((u64)planned_us + gateway * 7919u), false);
    write_number(bytes + l->rssi_at, 4, 70 + (slot->unique * 7u + slot->copy * 11u) % 45, true);
    memcpy(bytes + l->data_at, l->data[slot->unique], DATA);
    __atomic_store_n(&l->planned_us[socket][token], planned_us, __ATOMIC_RELAXED);
    __atomic_store_n(&l->unique_of[socket][token], slot->unique, __ATOMIC_RELAXED);
    if (p->n == BATCH)
        post(l, socket);
}

static void plan_slot(struct load *l, u64 tick, struct slot slot)
{
    struct tick *t = &l->wheel[tick % WHEEL];
    if (t->n == t->room) {
        u32 room = MAX(64u, t->room * 2);
        t->slots = boot_grow(t->slots, t->room * sizeof *t->slots, room * sizeof *t->slots);
        t->room  = room;
    }
    t->slots[t->n++] = slot;
}

static void plan_uplink(struct load *l, u64 tick, u32 unique, i64 planned_us)
{
    u64 first = sim_chance_below(&l->chance, (u32)l->gateways);
    u64 stride = 1 + sim_chance_below(&l->chance, (u32)MAX(l->gateways / MAX(l->copies, 1u), 1u));
    if (l->first_us)
        __atomic_store_n(&l->first_us[unique], planned_us, __ATOMIC_RELAXED);
    for (u64 copy = 0; copy < l->copies; copy++) {
        u64 late =
            copy == 0 ? 0 : sim_chance_below(&l->chance, (u32)(l->spread_ms * 1000 / TICK_US) + 1);
        plan_slot(l, tick + late,
                  (struct slot){ unique, (u16)((first + copy * stride) % l->gateways), (u16)copy });
    }
}

static void pull_all(struct load *l)
{
    for (u64 g = 0; g < l->gateways; g++) {
        u8 bytes[12] = { 2, 0, 0, 2 };
        put_u64be(bytes + 4, l->gateway_base + g);
        (void)!send(l->fds[g % SOCKETS], bytes, sizeof bytes, 0);
    }
}

static void sleep_until(i64 us)
{
    struct mono now = sys_now();
    if (us <= now.us)
        return;
    i64 ns = (us - now.us) * 1000;
    struct timespec t = { ns / 1000000000, ns % 1000000000 };
    (void)nanosleep(&t, NULL);
}

static void keep_schedule(struct load *l)
{
    i64 start_us = sys_now().us + 200000;
    u64 per_second = 1000000 / TICK_US, planned = 0;
    u64 ticks = (l->warm_s + l->seconds) * per_second + l->spread_ms * 1000 / TICK_US + 1;
    pull_all(l);
    for (u64 tick = 0; tick < ticks; tick++) {
        i64 due_us = start_us + (i64)tick * TICK_US;
        for (; planned < l->total && planned * per_second < (tick + 1) * l->rate; planned++)
            plan_uplink(l, tick, (u32)planned, due_us);
        sleep_until(due_us);
        if (tick % (5 * per_second) == 5 * per_second - 1)
            pull_all(l);
        struct tick *t = &l->wheel[tick % WHEEL];
        for (u32 i = 0; i < t->n; i++)
            write_slot(l, &t->slots[i], due_us);
        for (u32 s = 0; s < SOCKETS; s++)
            post(l, s);
        if (t->n)
            sim_spread_add(&l->lateness, sys_now().us - due_us);
        t->n = 0;
    }
}

/* ------------------------------------------------------------------ answers */

static void answered(struct load *l, u32 socket, u16 token, i64 now_us)
{
    i64 planned_us = __atomic_exchange_n(&l->planned_us[socket][token], 0, __ATOMIC_RELAXED);
    u32 unique     = __atomic_load_n(&l->unique_of[socket][token], __ATOMIC_RELAXED);
    if (planned_us == 0)
        return;                                              /* answered twice */
    __atomic_fetch_add(&l->acked, 1, __ATOMIC_RELAXED);
    if (!(l->acked_once[unique / 8] >> unique % 8 & 1)) {
        l->acked_once[unique / 8] |= (u8)(1u << unique % 8);
        l->unique++;
    }
    if (unique >= l->warm)
        sim_spread_add(&l->latency, now_us - planned_us);
}

static void *read_answers(void *arg)
{
    struct load *l = arg;
    struct pollfd fds[SOCKETS];
    u8 bytes[BATCH][16];
    struct iovec iov[BATCH];
    struct mmsghdr msgs[BATCH];
    for (u32 i = 0; i < BATCH; i++) {
        iov[i]  = (struct iovec){ bytes[i], sizeof bytes[i] };
        msgs[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
    }
    for (u32 i = 0; i < SOCKETS; i++)
        fds[i] = (struct pollfd){ .fd = l->fds[i], .events = POLLIN };
    while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE)) {
        if (poll(fds, SOCKETS, 100) <= 0)
            continue;
        for (u32 s = 0; s < SOCKETS; s++) {
            if (!(fds[s].revents & (POLLIN | POLLERR)))
                continue;
            int n = recvmmsg(l->fds[s], msgs, BATCH, MSG_DONTWAIT, NULL);
            i64 now_us = sys_now().us;
            for (int i = 0; i < n; i++) {
                if (msgs[i].msg_len >= 4 && bytes[i][3] == 1)
                    answered(l, s, get_u16be(bytes[i] + 1), now_us);
                l->downlinks += msgs[i].msg_len >= 4 && bytes[i][3] == 3;
            }
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ the story */

static void print_spread(const struct spread *s)
{
    printf(" p50_us=%lld p99_us=%lld p999_us=%lld max_us=%lld", (long long)sim_spread_at(s, 0.50),
           (long long)sim_spread_at(s, 0.99), (long long)sim_spread_at(s, 0.999),
           (long long)s->max);
}

static void report(const struct load *l, const struct watch *w)
{
    printf("load sent=%llu acked=%llu unique=%llu", (unsigned long long)l->sent,
           (unsigned long long)l->acked, (unsigned long long)l->unique);
    print_spread(&l->latency);
    printf(" offered=%llu unsent=%llu late_p99_us=%lld downlinks=%llu rate=%llu/s seconds=%llu "
           "warm_s=%llu simulated=1\n",
           (unsigned long long)l->total, (unsigned long long)l->unsent,
           (long long)sim_spread_at(&l->lateness, 0.99), (unsigned long long)l->downlinks,
           (unsigned long long)l->rate, (unsigned long long)l->seconds,
           (unsigned long long)l->warm_s);
    if (!w->url)
        return;
    printf("watch events=%llu", (unsigned long long)w->seen);
    print_spread(&w->spread);
    printf(" simulated=1\n");
}

static void run(struct load *l)
{
    pthread_t answers, stream;
    struct watch *w = boot_take(sizeof *w);
    *w = (struct watch){ .url = l->subscribe,
                         .token_file = l->token_file,
                         .devices = l->devices,
                         .fcnt_base = l->fcnt,
                         .total = l->total,
                         .warm = l->warm,
                         .first_sent_us = l->first_us };
    if (pthread_create(&answers, NULL, read_answers, l) != 0 ||
        (w->url && pthread_create(&stream, NULL, sim_watch_run, w) != 0))
        die("no thread for the load");
    for (int i = 0; w->url && i < 50 && !__atomic_load_n(&w->connected, __ATOMIC_ACQUIRE); i++)
        sleep_until(sys_now().us + 100000);
    keep_schedule(l);
    for (int i = 0; i < 30 && __atomic_load_n(&l->acked, __ATOMIC_RELAXED) < l->sent; i++)       /* stragglers */
        sleep_until(sys_now().us + 100000);
    __atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
    __atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
    (void)pthread_join(answers, NULL);
    if (w->url)
        (void)pthread_join(stream, NULL);
    report(l, w);
}

static const struct number {
    const char *name;
    size_t      member;
    const char *words;
} numbers[] = {
    { "--devices", offsetof(struct load, devices), "sessions, at most 1,000,000 [1000000]" },
    { "--rate", offsetof(struct load, rate), "unique uplinks a second [1000]" },
    { "--seconds", offsetof(struct load, seconds), "how long it is counted [10]" },
    { "--warm-up", offsetof(struct load, warm_s), "seconds before that [2]" },
    { "--gateways", offsetof(struct load, gateways), "at most 10,000 [100]" },
    { "--copies", offsetof(struct load, copies), "of each uplink [3]" },
    { "--spread", offsetof(struct load, spread_ms), "ms until the last copy, at most 1000 [150]" },
    { "--fcnt", offsetof(struct load, fcnt),
      "the first frame counter: above what was sent before [1]" },
};

static int usage(const char *bad)
{
    (void)fprintf(stderr, "hotaru sim --load: %s\n", bad);
    for (size_t i = 0; i < COUNT(numbers); i++)
        (void)fprintf(stderr, "  %-20s %s\n", numbers[i].name, numbers[i].words);
    (void)fprintf(
        stderr,
        "  --udp A              gateway door [127.0.0.1:1700]\n"
        "  --gateway-eui-base H sixteen hex digits: that one and the next ones [02484F5443000000]\n"
        "  --subscribe URL      measure until the event leaves GET /v1/stream?kind=uplink\n"
        "  --token-file F       bearer token for that\n");
    return 64;
}

static bool set(struct load *l, struct str name, struct str value)
{
    i64 n;
    u8  eui[8];
    size_t eui_n;
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (str_eq(name, str_z(numbers[i].name))) {
            if (!str_to_i64(&n, value) || n < 0)
                return false;
            *(u64 *)(void *)((char *)l + numbers[i].member) = (u64)n;
            return true;
        }
    if (str_eq(name, S("--udp")))
        l->udp = value.p;
    else if (str_eq(name, S("--subscribe")))
        l->subscribe = value.p;
    else if (str_eq(name, S("--token-file")))
        l->token_file = value.p;
    else if (str_eq(name, S("--gateway-eui-base")) && hex_read(eui, 8, &eui_n, value) && eui_n == 8)
        l->gateway_base = get_u64be(eui);
    else
        return false;
    return true;
}

static bool within_limits(const struct load *l)
{
    return l->devices > 0 && l->devices <= 1000000 && l->rate > 0 && l->rate <= 1000000 &&
           l->seconds > 0 && (l->seconds + l->warm_s) * l->rate <= 50000000 && l->gateways > 0 &&
           l->gateways <= 10000 && l->copies > 0 && l->copies <= 32 && l->spread_ms <= 1000 &&
           l->fcnt <= UINT32_MAX / 2;
}

int sim_load_main(int argc, char **argv)
{
    struct load *l = boot_take(sizeof *l);
    *l = (struct load){ .udp = "127.0.0.1:1700",
                        .devices = 1000000,
                        .rate = 1000,
                        .seconds = 10,
                        .warm_s = 2,
                        .gateways = 100,
                        .copies = 3,
                        .spread_ms = 150,
                        .fcnt = 1,
                        .gateway_base = sim_bench_gateway(0),
                        .chance = { 1 } };
    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !set(l, str_z(argv[i]), str_z(argv[i + 1])))
            return usage(argv[i]);
    if (!within_limits(l))
        return usage("a number beyond its limit");
    l->total = l->rate * (l->seconds + l->warm_s);
    l->warm  = l->rate * l->warm_s;
    l->data       = boot_take(l->total * sizeof *l->data);
    l->planned_us = boot_take(SOCKETS * sizeof *l->planned_us);
    l->unique_of  = boot_take(SOCKETS * sizeof *l->unique_of);
    l->acked_once = boot_take(l->total / 8 + 1);
    l->first_us   = l->subscribe ? boot_take(l->total * sizeof *l->first_us) : NULL;
    for (u64 i = 0; i < l->total; i++)
        build_frame(l, i);
    build_template(l);
    prepare_posts(l);
    open_sockets(l);
    run(l);
    return 0;
}
