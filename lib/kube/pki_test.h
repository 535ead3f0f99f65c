/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pki_test.h: certificates for tests, made on the spot. Included by tests only.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/base.h"

struct pki {
	char *cert, *key; /* PEM */
};

static char *pki_text_(BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);
	char *s = xstrndup(p, (size_t)n);

	BIO_free(b);
	return s;
}

static void pki_extension_(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!e || !X509_add_ext(x, e, -1)) {
		abort();
	}
	X509_EXTENSION_free(e);
}

static X509 *pki_cert_(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

	BIO_free(b);
	return x;
}

static EVP_PKEY *pki_key_(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);

	BIO_free(b);
	return k;
}

/* issuer NULL: a CA that signs itself. san: "DNS:localhost,IP:127.0.0.1" or NULL. seconds: how long
 * it is valid, also < 0. */
static struct pki pki_make(const char *cn, const struct pki *issuer, const char *san, long seconds)
{
	static long serial;
	EVP_PKEY *key = EVP_EC_gen("P-256"), *sign = issuer ? pki_key_(issuer->key) : key;
	X509 *x = X509_new(), *by = issuer ? pki_cert_(issuer->cert) : x;
	BIO *cert_text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_mem());

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -86400);
	X509_gmtime_adj(X509_getm_notAfter(x), seconds);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
				   (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(by));
	X509_set_pubkey(x, key);
	pki_extension_(x, by, NID_basic_constraints,
		       issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (san) {
		pki_extension_(x, by, NID_subject_alt_name, san);
	}
	if (!X509_sign(x, sign, EVP_sha256())) {
		abort();
	}
	PEM_write_bio_X509(cert_text, x);
	PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL);
	if (issuer) {
		X509_free(by);
		EVP_PKEY_free(sign);
	}
	X509_free(x);
	EVP_PKEY_free(key);
	return (struct pki){pki_text_(cert_text), pki_text_(key_text)};
}

attr_unused static void pki_finish(struct pki *p)
{
	free(p->cert);
	free(p->key);
	*p = (struct pki){0};
}
