/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_EDGE_TLS_H
#define HOTARU_EDGE_TLS_H

/*
 * TLS over memory: bytes of the wire in and out, clear bytes out and in. It has no socket, so whoever has one
 * carries. TLS 1.2 and later, no renegotiation, no compression, no tickets.
 *
 * A client may show a certificate. Nobody's signature is asked for: the handshake proves that the client holds its
 * key, and whose it is says its SHA-256, which was registered for one gateway.
 */
#include "base/base.h"

struct tls;
struct tls_link;
#define TLS_PRINT 32

/* PEM files: our certificate with those above it, and its key. NULL with words. */
struct tls *tls_open(const char *certificate, const char *key, struct str *why, struct arena *arena);
/* For connections that we open to `host`, which has to show a certificate that somebody in the PEM file `ca` signed for it.
 * Ours and its key, or NULL: we show none. */
struct tls *tls_open_client(struct str host, const char *ca, const char *certificate, const char *key, struct str *why,
                            struct arena *arena);
void tls_close(struct tls *tls);
/* DER of our own certificate, or of the last above it that the file holds: what a client can trust. */
struct bytes tls_trust(const struct tls *tls, struct arena *arena);

struct tls_link *tls_link(struct tls *tls);
void tls_forget(struct tls_link *link);
/* From the wire. False: it is no TLS, or broken; what tls_out then holds is the alert. */
bool tls_take(struct tls_link *link, struct bytes wire);
/* Clear bytes that have come, at most `room`. 0: none now. */
size_t tls_read(struct tls_link *link, u8 *out, size_t room);
bool tls_is_up(const struct tls_link *link);                   /* the handshake is done */
bool tls_is_over(const struct tls_link *link);                 /* broken, or the other side said goodbye */
/* Why it is over, for people; lives until the next call. */
struct str tls_words(const struct tls_link *link);
bool tls_write(struct tls_link *link, struct bytes clear);     /* false: not up, or broken */
void tls_goodbye(struct tls_link *link);
/* What is to go to the wire now; empty: nothing. Lives until the next call. */
struct bytes tls_out(struct tls_link *link);
/* SHA-256 of the certificate that the client showed. False: none. */
bool tls_client(const struct tls_link *link, u8 print[TLS_PRINT]);
/* The same of a certificate in a PEM file. False: there is none in it. */
bool tls_print(const char *pem, u8 print[TLS_PRINT]);

#endif
