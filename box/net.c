// SPDX-License-Identifier: Apache-2.0
/*
 * The network between gateways and the daemon: second body of sys's datagrams and of the city's
 * sockets. A datagram in flight is an entry of the agenda:
 *
 *     gateway -> judge_up -> path: lost, twice, late -> judge_arrived -> queue of the daemon's socket -> its watch
 *     daemon  -> boundary -> judge_down -> path      -> sim_door_receive
 *
 * Every gateway stands behind a NAT: 10.g.g.1, a port for each of its two sockets, and another port
 * when it was quiet for so long that the NAT forgot it. What the daemon then sends to the old port
 * goes nowhere; the judge sees that it left.
 *
 * A path that is cut passes nothing, in both directions. A gateway that keeps its frames sends them
 * when the way is back, ten times as fast as they came and mixed with what it hears now; bytes and
 * tokens as they were. The judge hears of a datagram when it leaves the gateway, of a kept one late.
 *
 * Memory: packets are taken from one arena and given back to free lists by their size, so that it
 * grows to the most that was ever in flight and no further.
 */
#include "box/box.h"

enum { SOCKET_FD = 1000, PORT_DEFAULT = 1700, PORT_FIRST = 1024, PORT_TURNS = 30000 };
enum { SIZE_LEAST = 256, SIZES = 9 };              /* 256 << 8 holds the largest datagram */
enum { KEPT_MAX = 10000, KEPT_FASTER = 10, PACKET_COST = 768 };   /* cost: what a kernel adds to each */
enum { HEAD_BYTES = 12, KIND_AT = 3, PUSH_DATA = 0 };

#define NO_GATEWAY  UINT32_MAX
#define NAT_US      (60 * US_PER_S)                /* a NAT forgets who was quiet for so long */
#define BATCH_US    US_PER_MS                      /* until the daemon looks what has come */
#define OVERTAKE_US (50 * US_PER_MS)

struct packet {
    struct packet *next;
    struct address from;                           /* on its way up */
    struct mono at;                                /* kept: when it would have left */
    u32    gateway;
    u8     size;                                   /* its free list */
    bool   pull;
    size_t n;
    u8     bytes[];
};
struct queue { struct packet *first, *last; u32 n; };

/* One of a gateway's two sockets, as the NAT shows it. */
struct way { struct mono passed; u16 turn; };

struct udp {
    struct address at;
    i64    room_bytes, used_bytes;
    struct queue arrived, lent;
    bool   woken;                                  /* the watch will be called */
};

/* What stands for the kernel and the cables: one process holds one box. */
static struct {
    struct arena memory;
    struct packet *free[SIZES];
    struct path  *paths;
    struct way  (*ways)[2];
    struct queue *kept;                            /* of each gateway */
    u32    gateways;
    struct udp *udp;                               /* NULL: nobody listens */
    struct net_counts counts;
} net;

/* ------------------------------------------------------------------ packets */

static struct packet *packet_make(u32 gateway, bool pull, struct bytes bytes)
{
    u8 size = 0;
    while (((size_t)SIZE_LEAST << size) < bytes.n)
        size++;
    assert(size < SIZES);
    struct packet *p = net.free[size];
    if (p)
        net.free[size] = p->next;
    else
        p = arena_take(&net.memory, sizeof *p + ((size_t)SIZE_LEAST << size), alignof(struct packet));
    *p = (struct packet){ .gateway = gateway, .pull = pull, .size = size, .n = bytes.n };
    if (bytes.n > 0)
        memcpy(p->bytes, bytes.p, bytes.n);
    return p;
}

static void packet_give(struct packet *p)
{
    p->next           = net.free[p->size];
    net.free[p->size] = p;
}

static void queue_put(struct queue *q, struct packet *p)
{
    p->next = NULL;
    if (q->last)
        q->last->next = p;
    else
        q->first = p;
    q->last = p;
    q->n++;
}

static struct packet *queue_take(struct queue *q)
{
    struct packet *p = q->first;
    if (!p)
        return NULL;
    q->first = p->next;
    if (!q->first)
        q->last = NULL;
    q->n--;
    return p;
}

static void queue_give(struct queue *q)
{
    for (struct packet *p; (p = queue_take(q));)
        packet_give(p);
}

/* ------------------------------------------------------------------ a path */

static bool is_cut(u32 gateway)
{
    return gateway != NO_GATEWAY && mono_before(box_here()->now, net.paths[gateway].cut_until);
}

static i64 delay(const struct path *path)
{
    struct chance *c = box_chance(CHANCE_NET);
    i64 us = path->delay_us + (i64)(sim_chance_unit(c) * (double)path->jitter_us);
    if (!box_happens(CHANCE_NET, path->reorder))
        return us;
    net.counts.late++;
    return us + (i64)sim_chance_between(c, 1, (double)(OVERTAKE_US + 2 * (path->delay_us + path->jitter_us)));
}

/* Lost, once or twice; each copy takes its own time. */
static void carry(struct packet *p, box_call *arrive)
{
    const struct path *path = &net.paths[p->gateway];
    struct mono now = box_here()->now;
    if (is_cut(p->gateway) || box_happens(CHANCE_NET, path->loss)) {
        net.counts.lost++;
        packet_give(p);
        return;
    }
    if (box_happens(CHANCE_NET, path->twice)) {
        struct packet *copy = packet_make(p->gateway, p->pull, (struct bytes){ p->bytes, p->n });
        copy->from = p->from;
        net.counts.twice++;
        box_at(mono_after(now, delay(path)), BOX_ALWAYS, arrive, copy, 0);
    }
    box_at(mono_after(now, delay(path)), BOX_ALWAYS, arrive, p, 0);
}

/* ------------------------------------------------------------------ addresses */

static struct address address_of(u32 gateway, bool pull)
{
    u16 turn = net.ways[gateway][pull].turn;
    return (struct address){ .family = 4,
                             .ip     = { 10, (u8)(gateway >> 8), (u8)gateway, 1 },
                             .port   = (u16)(PORT_FIRST + 2 * turn + pull) };
}

/* What the daemon sees of a datagram that leaves now. */
static struct address passed(u32 gateway, bool pull)
{
    struct way *w   = &net.ways[gateway][pull];
    struct mono now = box_here()->now;
    if (mono_since(now, w->passed) > NAT_US)
        w->turn = (u16)((w->turn + 1) % PORT_TURNS);
    w->passed = now;
    return address_of(gateway, pull);
}

/* The mirror; false: a stranger. */
static bool is_gateways(u32 *gateway, bool *pull, struct address to)
{
    *gateway = (u32)to.ip[1] << 8 | to.ip[2];
    *pull    = to.port & 1;
    return to.family == 4 && to.ip[0] == 10 && *gateway < net.gateways;
}

/* ------------------------------------------------------------------ up */

static void arrive_up(void *arg, i64 number)
{
    struct packet *p = arg;
    struct udp    *u = net.udp;
    const struct box *b = box_here();
    i64 cost = (i64)p->n + PACKET_COST;
    (void)number;
    if (is_cut(p->gateway)) {
        net.counts.lost++;
        packet_give(p);
        return;
    }
    if (!u || b->dead || u->used_bytes + cost > u->room_bytes) {
        net.counts.unheard++;
        packet_give(p);
        return;
    }
    u->used_bytes += cost;
    queue_put(&u->arrived, p);
    if (p->gateway != NO_GATEWAY)
        judge_arrived(p->gateway, (struct bytes){ p->bytes, p->n });
    if (u->woken)
        return;
    u->woken = true;
    box_readable(SOCKET_FD, mono_after(b->now, (i64)(sim_chance_unit(box_chance(CHANCE_NET)) * (double)BATCH_US)));
}

static void leave(struct packet *p)
{
    judge_up(p->gateway, p->pull, (struct bytes){ p->bytes, p->n });
    net.counts.up++;
    if (!is_cut(p->gateway))
        p->from = passed(p->gateway, p->pull);
    carry(p, arrive_up);
}

static bool has_frames(struct bytes datagram)
{
    return datagram.n > HEAD_BYTES && datagram.p[KIND_AT] == PUSH_DATA &&
           str_find(str_of(datagram), S("\"rxpk\"")) >= 0;
}

/* The oldest of what a gateway kept; then the next, in a tenth of the time that lay between them. */
static void send_kept(void *arg, i64 gateway)
{
    const struct box *b = box_here();
    struct queue *kept  = &net.kept[gateway];
    struct mono back    = net.paths[gateway].cut_until, on = b->sim.gateways[gateway].silent_until;
    (void)arg;
    if (mono_before(b->now, back) || mono_before(b->now, on)) {
        box_at(mono_before(back, on) ? on : back, BOX_ALWAYS, send_kept, NULL, gateway);
        return;
    }
    struct packet *p  = queue_take(kept);
    struct mono    at = p->at;
    leave(p);
    if (kept->n == 0)
        return;
    double gap_us = (double)mono_since(kept->first->at, at) / KEPT_FASTER;
    gap_us *= sim_chance_between(box_chance(CHANCE_NET), 0.5, 1.5);
    box_at(mono_after(b->now, MAX((i64)gap_us, US_PER_MS)), BOX_ALWAYS, send_kept, NULL, gateway);
}

static void keep(struct packet *p)
{
    struct queue *kept = &net.kept[p->gateway];
    if (kept->n == KEPT_MAX) {
        net.counts.lost++;
        packet_give(p);
        return;
    }
    p->at = box_here()->now;
    queue_put(kept, p);
    if (kept->n == 1)
        box_at(net.paths[p->gateway].cut_until, BOX_ALWAYS, send_kept, NULL, p->gateway);
}

void sim_socket_send(struct sim *s, const struct gateway *g, bool pull, struct bytes datagram)
{
    struct packet *p = packet_make(g->index, pull, datagram);
    (void)s;
    if (is_cut(g->index) && net.paths[g->index].keeps && has_frames(datagram))
        keep(p);
    else
        leave(p);
}

void sim_socket_open(struct sim *s, struct gateway *g)
{
    (void)s;
    assert(g->index < net.gateways);
    g->push_fd = g->pull_fd = -1;
}

bool sim_door_server(struct address *out, struct str text)
{
    return address_read(out, text) && out->family == 4 && out->port != 0;
}

void net_inject(struct address from, struct bytes datagram, struct mono at)
{
    struct packet *p = packet_make(NO_GATEWAY, false, datagram);
    p->from = from;
    box_at(at, BOX_ALWAYS, arrive_up, p, 0);
}

/* ------------------------------------------------------------------ the daemon's socket */

struct udp *udp_open(struct address at, int receive_buffer_bytes, struct str *why, struct arena *arena)
{
    if (net.udp) {
        *why = str_fmt(arena, "cannot receive datagrams at %.*s: the address is taken", STR(address_str(arena, at)));
        return NULL;
    }
    net.udp  = boot_take(sizeof *net.udp);
    *net.udp = (struct udp){ .at = at, .room_bytes = receive_buffer_bytes };
    if (at.port == 0)
        net.udp->at.port = PORT_DEFAULT;
    return net.udp;
}

int udp_fd(const struct udp *udp)
{
    (void)udp;
    return SOCKET_FD;
}

struct address udp_address(const struct udp *udp)
{
    return udp->at;
}

size_t udp_receive(struct udp *udp, struct datagram out[UDP_BATCH])
{
    size_t n = 0;
    queue_give(&udp->lent);
    udp->woken = false;
    for (struct packet *p; n < UDP_BATCH && (p = queue_take(&udp->arrived)); n++) {
        udp->used_bytes -= (i64)p->n + PACKET_COST;
        queue_put(&udp->lent, p);
        out[n] = (struct datagram){ p->from, { p->bytes, p->n } };
    }
    if (udp->arrived.n > 0) {
        udp->woken = true;
        box_readable(SOCKET_FD, box_here()->now);
    }
    return n;
}

void udp_close(struct udp *udp)
{
    assert(udp == net.udp);
    net_end_life();
}

/* ------------------------------------------------------------------ down */

static void arrive_down(void *arg, i64 number)
{
    struct packet *p = arg;
    struct box    *b = box_here();
    (void)number;
    if (is_cut(p->gateway))
        net.counts.lost++;
    else
        sim_door_receive(&b->sim, &b->sim.gateways[p->gateway], p->pull, (struct bytes){ p->bytes, p->n }, b->now);
    packet_give(p);
}

size_t udp_send(struct udp *udp, const struct datagram *datagrams, size_t n)
{
    u32  gateway;
    bool pull;
    (void)udp;
    for (size_t i = 0; i < n; i++) {
        if (!box_boundary(BOUNDARY_DATAGRAM))
            continue;
        net.counts.down++;
        bool known = !replay_given() && is_gateways(&gateway, &pull, datagrams[i].peer);
        if (known)
            judge_down(gateway, datagrams[i].bytes);
        else if (replay_given())
            replay_sent(datagrams[i].peer, datagrams[i].bytes);
        if (!known || !address_eq(datagrams[i].peer, address_of(gateway, pull))) {
            net.counts.lost++;                             /* the NAT has forgotten that port */
            continue;
        }
        carry(packet_make(gateway, pull, datagrams[i].bytes), arrive_down);
    }
    return n;
}

/* ------------------------------------------------------------------ begin and end */

struct path *net_path(u32 gateway)
{
    assert(gateway < net.gateways);
    return &net.paths[gateway];
}

struct net_counts net_counts(void)
{
    return net.counts;
}

void net_end_life(void)
{
    if (!net.udp)
        return;
    net.counts.unheard += net.udp->arrived.n;
    queue_give(&net.udp->arrived);
    queue_give(&net.udp->lent);
    boot_release(net.udp);
    net.udp = NULL;
}

void net_begin(struct box *b, u32 gateways)
{
    (void)b;
    net_end_life();
    if (net.memory.first)
        arena_free(&net.memory);
    memset(&net, 0, sizeof net);
    net.memory   = arena_make(1 << 20);
    net.gateways = gateways;
    net.paths    = arena_array(&net.memory, struct path, gateways);
    net.kept     = arena_array(&net.memory, struct queue, gateways);
    net.ways     = arena_take(&net.memory, sizeof *net.ways * gateways, alignof(struct way));
}
