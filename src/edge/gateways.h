/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_GATEWAYS_H
#define HOTARU_EDGE_GATEWAYS_H

/*
 * The door for gateways that speak Semtech UDP. Datagrams come by the batch, run through the spine,
 * and are acknowledged after the commit that holds them: an acknowledged frame is on the disk.
 *
 * The protocol has no authentication, so the door is careful with what it can: only registered EUIs
 * are answered, an EUI moves to another address only when the old one has been silent, one gateway
 * cannot take more than its share, and an answer is never longer than the question.
 */
#include "core/core.h"
#include "sys/sys.h"

struct gateways;

struct gateways *gateways_make(struct env *env, struct udp *udp);
void gateways_close(struct gateways *g);
/* What arrives is kept there as well; NULL: nowhere. Borrowed. */
struct capture;
void gateways_capture(struct gateways *g, struct capture *capture);
/* Takes what has arrived, commits it, acknowledges it. Not OK: the store failed, and nothing was acknowledged. */
enum err gateways_receive(struct gateways *g);
/* Where downlinks wait; other roads than UDP join there. */
struct downs;
struct downs *gateways_downs(struct gateways *g);
/* Sends a downlink when its time comes; its outcome enters by mac_downlink_result. */
void gateways_send(struct gateways *g, const struct downlink *downlink);
/* Transmissions whose gateway did not answer, and those whose time to leave has come. Opens a batch
 * when there is something to say; the caller commits. Returns when to come again. */
struct mono gateways_tick(struct gateways *g);
/* When that is, or earlier; cheap. */
struct mono gateways_due(const struct gateways *g);

#endif
