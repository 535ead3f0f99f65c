/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config_source.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/buf.h"

static void free_bio(BIO **b)
{
	BIO_free(*b);
}

static void free_x509(X509 **x)
{
	X509_free(*x);
}

static void free_pkey(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

#define auto_bio attr_cleanup(free_bio)
#define auto_x509 attr_cleanup(free_x509)
#define auto_pkey attr_cleanup(free_pkey)

char *config_forget(char *secret)
{
	if (secret) {
		OPENSSL_cleanse(secret, strlen(secret));
		free(secret);
	}
	return NULL;
}

/* Never asks on the terminal for the password of an encrypted key. */
static int no_password(char *buf attr_unused, int size attr_unused, int rw attr_unused, void *ctx)
{
	*(bool *)ctx = true;
	return -1;
}

int config_check_ca(const char *pem, const char *from, struct err *err)
{
	auto_bio BIO *bio = BIO_new_mem_buf(pem, -1);
	int n = 0;

	if (!bio) {
		abort();
	}
	for (;; n++) {
		auto_x509 X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

		if (!x) {
			break;
		}
	}
	/* The loop ends with "no start line" at the end of a whole file, with anything else in a
	 * broken block. */
	if (n && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return err_set(
			err,
			"%s: certificate %d is broken or half written; write the PEM bundle anew",
			from, n + 1);
	}
	ERR_clear_error();
	if (!n) {
		return err_set(
			err,
			"%s: holds no certificate; give a PEM bundle (-----BEGIN CERTIFICATE-----)",
			from);
	}
	return 0;
}

static X509 *first_certificate(const char *pem)
{
	auto_bio BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	ERR_clear_error();
	return x;
}

static EVP_PKEY *private_key(const char *pem, bool *ret_encrypted)
{
	auto_bio BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *k = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, ret_encrypted) : NULL;

	ERR_clear_error();
	return k;
}

int config_check_pair(const char *cert, const char *key, const char *cert_from,
		      const char *key_from, struct err *err)
{
	bool encrypted = false;
	auto_x509 X509 *x = first_certificate(cert);
	auto_pkey EVP_PKEY *k = private_key(key, &encrypted);
	int match;

	if (!x) {
		return err_set(
			err,
			"%s: holds no whole certificate; give a PEM file (-----BEGIN CERTIFICATE-----)",
			cert_from);
	}
	if (!k && encrypted) {
		return err_set(err,
			       "%s: the private key is encrypted; decrypt it with `openssl pkey`",
			       key_from);
	}
	if (!k) {
		return err_set(
			err,
			"%s: holds no whole private key; give a PEM file (-----BEGIN PRIVATE KEY-----)",
			key_from);
	}
	match = X509_check_private_key(x, k);
	ERR_clear_error();
	if (!match) {
		return err_set(
			err,
			"%s: the key does not belong to the certificate of %s; give the two that were issued together",
			key_from, cert_from);
	}
	return 0;
}

/* RFC 6750's token68 is narrower; what must not pass is what would end the header line. */
int config_check_token(const char *token, const char *from, struct err *err)
{
	if (!*token) {
		return err_set(
			err,
			"%s: is empty; wait until the token is written, or create one (kubectl create token)",
			from);
	}
	for (const char *p = token; *p; p++) {
		if (*p <= ' ' || *p == 0x7f) {
			return err_set(
				err,
				"%s: is no token: it holds blanks, line ends or bytes beyond ASCII; write it anew",
				from);
		}
	}
	return 0;
}

static int digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

int config_base64(const char *s, size_t max, char **ret, const char *from, struct err *err)
{
	auto_buf struct buf b;
	uint32_t bits = 0;
	int have = 0, pad = 0;

	buf_init(&b, max);
	for (; *s; s++) {
		int v = digit(*s);

		if (strchr(" \t\r\n", *s)) {
			continue;
		}
		if (*s == '=' && have % 4 >= 2 && pad < 2) {
			pad++;
			continue;
		}
		if (v < 0 || pad) {
			return err_set(err, "%s: is no base64; encode it with `base64 -w0`", from);
		}
		bits = bits << 6 | (uint32_t)v;
		if (have++ % 4) {
			buf_char(&b, (char)(bits >> (6 - 2 * ((have - 1) % 4))));
		}
	}
	if ((have + pad) % 4 || have % 4 == 1) {
		return err_set(err, "%s: is base64 cut short; encode it anew with `base64 -w0`",
			       from);
	}
	if (!buf_ok(&b) || (b.len && memchr(b.bytes, 0, b.len))) {
		return err_set(err, "%s: is no text, or larger than %zu KiB; encode the PEM file",
			       from, max / KiB);
	}
	*ret = b.bytes ? take(b.bytes) : xstrdup("");
	return 0;
}
