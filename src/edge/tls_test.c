// SPDX-License-Identifier: Apache-2.0
/* Our half of TLS against OpenSSL's client, over memory; certificates are made here. */
#include "base/test.h"
#include "edge/tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

struct paper { X509 *x; EVP_PKEY *key; };

static struct paper paper(const char *name)
{
    struct paper p = { X509_new(), EVP_EC_gen("P-256") };
    X509_NAME *n = X509_get_subject_name(p.x);
    TRUE(X509_set_version(p.x, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(p.x), 1) == 1);
    TRUE(X509_gmtime_adj(X509_getm_notBefore(p.x), -60) && X509_gmtime_adj(X509_getm_notAfter(p.x), 3600));
    TRUE(X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const u8 *)name, -1, -1, 0) == 1);
    TRUE(X509_set_issuer_name(p.x, n) == 1 && X509_set_pubkey(p.x, p.key) == 1 && X509_sign(p.x, p.key, EVP_sha256()) > 0);
    return p;
}

static void paper_end(struct paper p)
{
    X509_free(p.x);
    EVP_PKEY_free(p.key);
}

static const char *file(const char *name)
{
    return str_fmt(test_arena(), "%s/%s", test_folder(), name).p;
}

static void write_pem(struct paper p, const char *crt, const char *key)
{
    BIO *c = BIO_new_file(crt, "w"), *k = BIO_new_file(key, "w");
    TRUE(PEM_write_bio_X509(c, p.x) == 1 && PEM_write_bio_PrivateKey(k, p.key, NULL, NULL, 0, NULL, NULL) == 1);
    BIO_free(c);
    BIO_free(k);
}

struct pair { struct paper own; struct tls *tls; struct tls_link *link; SSL_CTX *ctx; SSL *ssl; BIO *in, *out; };

static struct pair pair(const struct paper *client, int most_version)
{
    struct pair p = { .own = paper("door") };
    struct str why = S("");
    write_pem(p.own, file("lns.crt"), file("lns.key"));
    p.tls  = tls_open(file("lns.crt"), file("lns.key"), &why, test_arena());
    p.link = tls_link(p.tls);
    p.ctx  = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(p.ctx, 0);
    if (most_version)
        TRUE(SSL_CTX_set_min_proto_version(p.ctx, TLS1_VERSION) == 1 && SSL_CTX_set_max_proto_version(p.ctx, most_version) == 1);
    if (client)
        TRUE(SSL_CTX_use_certificate(p.ctx, client->x) == 1 && SSL_CTX_use_PrivateKey(p.ctx, client->key) == 1);
    p.ssl = SSL_new(p.ctx);
    p.in  = BIO_new(BIO_s_mem());
    p.out = BIO_new(BIO_s_mem());
    SSL_set_bio(p.ssl, p.in, p.out);
    SSL_set_connect_state(p.ssl);
    return p;
}

static void pair_end(struct pair *p)
{
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
    tls_forget(p->link);
    tls_close(p->tls);
    paper_end(p->own);
}

/* All that either has to say to the other. False: ours refused. */
static bool talk(struct pair *p)
{
    u8 room[4096];
    bool good = true;
    for (int i = 0; i < 10; i++) {
        (void)SSL_do_handshake(p->ssl);
        int n;
        while ((n = BIO_read(p->out, room, sizeof room)) > 0)
            good &= tls_take(p->link, (struct bytes){ room, (size_t)n });
        struct bytes out;
        while ((out = tls_out(p->link)).n > 0)
            (void)BIO_write(p->in, out.p, (int)out.n);
    }
    return good;
}

TEST(bytes_go_both_ways_under_tls_1_2_and_1_3)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    for (size_t i = 0; i < COUNT(versions); i++) {
        struct pair p = pair(NULL, versions[i]);
        u8 room[64], print[TLS_PRINT];
        TRUE(!tls_is_up(p.link) && !tls_write(p.link, bytes_of(S("early"))));
        TRUE(talk(&p) && tls_is_up(p.link) && SSL_version(p.ssl) == versions[i]);
        TRUE(!tls_client(p.link, print));
        EQ(SSL_write(p.ssl, "up", 2), 2);
        TRUE(talk(&p));
        EQ(tls_read(p.link, room, sizeof room), 2);
        EQ(tls_read(p.link, room, sizeof room), 0);
        TRUE(tls_write(p.link, bytes_of(S("down"))));
        TRUE(talk(&p));
        EQ(SSL_read(p.ssl, room, sizeof room), 4);
        TRUE(!tls_is_over(p.link));
        (void)SSL_shutdown(p.ssl);
        TRUE(talk(&p));
        EQ(tls_read(p.link, room, sizeof room), 0);
        TRUE(tls_is_over(p.link) && !tls_write(p.link, bytes_of(S("late"))));
        pair_end(&p);
    }
}

TEST(tls_1_1_is_none)
{
    struct pair p = pair(NULL, TLS1_1_VERSION);
    TRUE(!talk(&p));
    TRUE(!tls_is_up(p.link) && tls_is_over(p.link));
    pair_end(&p);
}

TEST(what_is_no_tls_ends_it)
{
    struct pair p = pair(NULL, 0);
    TRUE(!tls_take(p.link, bytes_of(S("GET / HTTP/1.1\r\n\r\n"))));
    TRUE(tls_is_over(p.link));
    TRUE(!tls_take(p.link, bytes_of(S("more"))));
    pair_end(&p);
}

TEST(a_client_is_known_by_its_certificate)
{
    struct paper gateway = paper("gateway");
    struct pair p = pair(&gateway, 0);
    u8 print[TLS_PRINT], same[TLS_PRINT];
    TRUE(talk(&p) && tls_client(p.link, print));
    write_pem(gateway, file("client.crt"), file("client.key"));
    TRUE(tls_print(file("client.crt"), same) && memcmp(print, same, TLS_PRINT) == 0);
    TRUE(tls_print(file("lns.crt"), same) && memcmp(print, same, TLS_PRINT) != 0);
    TRUE(!tls_print(file("client.key"), same) && !tls_print(file("none"), same));
    pair_end(&p);
    paper_end(gateway);
}

TEST(no_renegotiation_is_had)
{
    struct pair p = pair(NULL, TLS1_2_VERSION);
    u8 room[16];
    TRUE(talk(&p));
    (void)SSL_renegotiate(p.ssl);
    (void)talk(&p);
    (void)tls_read(p.link, room, sizeof room);
    (void)talk(&p);
    EQ(SSL_total_renegotiations(p.ssl), 1);              /* asked once, */
    TRUE(SSL_renegotiate_pending(p.ssl) || tls_is_over(p.link) || !SSL_is_init_finished(p.ssl));   /* and not had */
    pair_end(&p);
}

TEST(files_that_do_not_fit_are_said)
{
    struct paper a = paper("a"), b = paper("b");
    struct str why = S("");
    write_pem(a, file("a.crt"), file("a.key"));
    write_pem(b, file("b.crt"), file("b.key"));
    TRUE(tls_open(file("none"), file("a.key"), &why, test_arena()) == NULL && str_find(why, S("no certificate")) > 0);
    TRUE(tls_open(file("a.crt"), file("b.key"), &why, test_arena()) == NULL && str_find(why, S("not the key of")) > 0);
    struct tls *tls = tls_open(file("a.crt"), file("a.key"), &why, test_arena());
    struct bytes trust = tls_trust(tls, test_arena());
    EQ(trust.n, i2d_X509(a.x, NULL));
    EQ(trust.p[0], 0x30);
    tls_close(tls);
    paper_end(a), paper_end(b);
}
