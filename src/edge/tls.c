// SPDX-License-Identifier: Apache-2.0
#include "edge/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdio.h>

#define OUT_ROOM 16384
#define HOST_ROOM 256

struct tls {
    SSL_CTX *ctx;
    char host[HOST_ROOM];              /* whom we call; empty: we are the server */
    bool literal;                      /* it is an address */
    char words[256];
    u8   out[OUT_ROOM];
};
struct tls_link { struct tls *tls; SSL *ssl; BIO *in, *out; unsigned long why; bool over; };

/* What Station's mbedTLS and all browsers of the last ten years can do. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

/* The handshake itself proves that the client holds the key; whose it is, is asked of the store. */
static int any_certificate(int good, X509_STORE_CTX *store)
{
    (void)good, (void)store;
    return 1;
}

static struct str last_words(struct arena *arena)
{
    char text[256];
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    ERR_clear_error();
    return str_copy(arena, str_z(text));
}

static SSL_CTX *context(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx)
        die("TLS: no memory");
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_cipher_list(ctx, CIPHERS);
    (void)SSL_CTX_set_max_cert_list(ctx, 16384);
    return ctx;
}

static bool show(SSL_CTX *ctx, const char *certificate, const char *key, struct str *why, struct arena *arena)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1) {
        *why = str_fmt(arena, "%s: no certificate in PEM (%.*s)", certificate, STR(last_words(arena)));
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ctx) == 1)
        return true;
    *why = str_fmt(arena, "%s: not the key of %s in PEM (%.*s)", key, certificate, STR(last_words(arena)));
    return false;
}

static struct tls *made(SSL_CTX *ctx)
{
    struct tls *tls = boot_take(sizeof *tls);
    tls->ctx = ctx;
    return tls;
}

struct tls *tls_open(const char *certificate, const char *key, struct str *why, struct arena *arena)
{
    SSL_CTX *ctx = context(TLS_server_method());
    (void)SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, any_certificate);
    if (show(ctx, certificate, key, why, arena))
        return made(ctx);
    SSL_CTX_free(ctx);
    return NULL;
}

struct tls *tls_open_client(struct str host, const char *ca, const char *certificate, const char *key, struct str *why,
                            struct arena *arena)
{
    SSL_CTX *ctx = context(TLS_client_method());
    bool six  = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    bool good = host.n < HOST_ROOM;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    *why = S("a host name of that length cannot be");
    if (good && SSL_CTX_load_verify_file(ctx, ca) != 1) {
        *why = str_fmt(arena, "%s: no certificates in PEM (%.*s)", ca, STR(last_words(arena)));
        good = false;
    }
    if (!good || (certificate && !show(ctx, certificate, key, why, arena))) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    struct tls *tls = made(ctx);
    memcpy(tls->host, host.p + six, host.n - 2u * six);        /* zero-ended: boot memory is zero */
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(tls->host);
    tls->literal = address != NULL;
    ASN1_OCTET_STRING_free(address);
    ERR_clear_error();
    return tls;
}

void tls_close(struct tls *tls)
{
    SSL_CTX_free(tls->ctx);
    boot_release(tls);
}

struct bytes tls_trust(const struct tls *tls, struct arena *arena)
{
    STACK_OF(X509) *above = NULL;
    X509 *x = SSL_CTX_get0_certificate(tls->ctx);
    (void)SSL_CTX_get0_chain_certs(tls->ctx, &above);
    if (above && sk_X509_num(above) > 0)
        x = sk_X509_value(above, sk_X509_num(above) - 1);
    int n = i2d_X509(x, NULL);
    if (n <= 0)
        return (struct bytes){ NULL, 0 };
    u8 *p = arena_take(arena, (size_t)n, 1), *end = p;
    (void)i2d_X509(x, &end);
    return (struct bytes){ p, (size_t)n };
}

/* ------------------------------------------------------------------ one connection */

/* Who answers has to prove to be the host we meant; the first word of the handshake is ours. */
static void call(struct tls_link *l)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(l->ssl);
    int named = l->tls->literal ? X509_VERIFY_PARAM_set1_ip_asc(param, l->tls->host) : SSL_set1_host(l->ssl, l->tls->host);
    if (named != 1 || (!l->tls->literal && SSL_set_tlsext_host_name(l->ssl, l->tls->host) != 1))
        die("TLS: no memory");
    SSL_set_connect_state(l->ssl);
    (void)SSL_do_handshake(l->ssl);
    ERR_clear_error();
}

struct tls_link *tls_link(struct tls *tls)
{
    struct tls_link *l = boot_take(sizeof *l);
    *l = (struct tls_link){ .tls = tls, .ssl = SSL_new(tls->ctx), .in = BIO_new(BIO_s_mem()), .out = BIO_new(BIO_s_mem()) };
    if (!l->ssl || !l->in || !l->out)
        die("TLS: no memory");
    (void)BIO_set_mem_eof_return(l->in, -1);
    SSL_set_bio(l->ssl, l->in, l->out);
    if (tls->host[0])
        call(l);
    else
        SSL_set_accept_state(l->ssl);
    return l;
}

void tls_forget(struct tls_link *l)
{
    SSL_free(l->ssl);
    boot_release(l);
}

static bool went_well(struct tls_link *l, int rc)
{
    int what = SSL_get_error(l->ssl, rc);
    unsigned long why = ERR_peek_error();
    ERR_clear_error();
    if (rc > 0 || what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE)
        return true;
    l->over = true;
    l->why  = why;
    return what == SSL_ERROR_ZERO_RETURN;
}

bool tls_take(struct tls_link *l, struct bytes wire)
{
    if (l->over || BIO_write(l->in, wire.p, (int)wire.n) != (int)wire.n)
        return false;
    return SSL_is_init_finished(l->ssl) || went_well(l, SSL_do_handshake(l->ssl));
}

size_t tls_read(struct tls_link *l, u8 *out, size_t room)
{
    if (l->over || !SSL_is_init_finished(l->ssl))
        return 0;
    int n = SSL_read(l->ssl, out, (int)room);
    (void)went_well(l, n);
    return n > 0 ? (size_t)n : 0;
}

bool tls_is_up(const struct tls_link *l) { return SSL_is_init_finished(l->ssl) != 0; }
bool tls_is_over(const struct tls_link *l) { return l->over; }


struct str tls_words(const struct tls_link *l)
{
    long verdict = SSL_get_verify_result(l->ssl);
    const char *reason = l->why ? ERR_reason_error_string(l->why) : NULL;
    if (l->tls->host[0] && verdict != X509_V_OK)
        reason = X509_verify_cert_error_string(verdict);
    (void)snprintf(l->tls->words, sizeof l->tls->words, "TLS: %s", reason ? reason : "the other side ended it");
    return str_z(l->tls->words);
}

bool tls_write(struct tls_link *l, struct bytes clear)
{
    if (l->over || !SSL_is_init_finished(l->ssl))
        return false;
    int n = clear.n > 0 ? SSL_write(l->ssl, clear.p, (int)clear.n) : 0;
    return clear.n == 0 || (went_well(l, n) && n == (int)clear.n);
}

void tls_goodbye(struct tls_link *l)
{
    if (!l->over && SSL_is_init_finished(l->ssl))
        (void)went_well(l, SSL_shutdown(l->ssl) < 0 ? -1 : 1);
}

struct bytes tls_out(struct tls_link *l)
{
    int n = BIO_read(l->out, l->tls->out, OUT_ROOM);
    return (struct bytes){ l->tls->out, n > 0 ? (size_t)n : 0 };
}

bool tls_client(const struct tls_link *l, u8 print[TLS_PRINT])
{
    unsigned n = 0;
    X509 *x = SSL_get0_peer_certificate(l->ssl);
    return x && X509_digest(x, EVP_sha256(), print, &n) == 1 && n == TLS_PRINT;
}

bool tls_print(const char *pem, u8 print[TLS_PRINT])
{
    unsigned n = 0;
    BIO *file = BIO_new_file(pem, "r");
    X509 *x = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
    bool good = x && X509_digest(x, EVP_sha256(), print, &n) == 1 && n == TLS_PRINT;
    X509_free(x);
    BIO_free(file);
    ERR_clear_error();
    return good;
}
