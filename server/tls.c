/* tls.c - a certificate authority of this user's own, made once, and a fresh certificate by it
 * each time the server starts (its key never touches the disk). The only file that knows OpenSSL.
 *
 *     FOLDER/ca.key   EC P-256, PKCS #8, mode 0600, never sent anywhere
 *     FOLDER/ca.pem   to be trusted by the devices that shall open the twin
 *
 * What a stolen ca.key could forge is limited by name constraints (RFC 5280, 4.2.1.10): IPv4
 * addresses, this host's name, localhost and .local; no site of the public web. */
#include "server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CA_DAYS = 3650, SERVER_DAYS = 90, SECONDS_A_DAY = 86400 };

static fab_status ssl_fail(fab_error *err, const char *what)
{
    char text[160] = "unknown";
    unsigned long code = ERR_peek_last_error();
    if (code) ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    FAB_FAIL(err, FAB_ERR_IO, "cannot %s: %s", what, text);
}

long fab_tls_options(void) { return (long)(SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1); }

/* ---- certificates ----------------------------------------------------------------------- */

static bool extension(X509 *cert, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, kind, value);
    bool good = e && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    return good;
}

/* Version 3, random serial number, valid from an hour ago (clocks differ). */
static X509 *new_certificate(const char *name, int days, EVP_PKEY *key, X509 *issuer)
{
    uint8_t serial[16];
    X509 *cert = X509_new();
    bool good = cert && RAND_bytes(serial, sizeof serial) == 1;
    serial[0] &= 0x7f;
    BIGNUM *n = good ? BN_bin2bn(serial, sizeof serial, NULL) : NULL;
    good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) &&
           X509_set_version(cert, 2) == 1 && X509_set_pubkey(cert, key) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), (long)days * SECONDS_A_DAY);
    BN_free(n);
    X509_NAME *subject = good ? X509_get_subject_name(cert) : NULL;
    good = subject &&
           X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const uint8_t *)"Fabrica", -1,
                                      -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const uint8_t *)name, -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject) == 1;
    if (good) return cert;
    X509_free(cert);
    return NULL;
}

/* A host name may go into a certificate if it is made of letters, digits, '-' and '.'. */
static bool plain_name(const char *name)
{
    size_t n = strlen(name);
    return n && n < 64 && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == n;
}

static X509 *new_authority(EVP_PKEY *key, const char *host)
{
    char name[128], allowed[256];
    bool plain = plain_name(host);
    snprintf(name, sizeof name, "Fabrica on %.64s", plain ? host : "this machine");
    snprintf(allowed, sizeof allowed,
             "critical,permitted;IP:0.0.0.0/0.0.0.0,permitted;DNS:localhost,permitted;DNS:local"
             "%s%s", plain ? ",permitted;DNS:" : "", plain ? host : "");
    X509 *cert = new_certificate(name, CA_DAYS, key, NULL);
    bool good = cert &&
                extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                extension(cert, cert, NID_subject_key_identifier, "hash") &&
                extension(cert, cert, NID_name_constraints, allowed) &&
                X509_sign(cert, key, EVP_sha256()) > 0;
    if (good) return cert;
    X509_free(cert);
    return NULL;
}

static X509 *new_server(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *const *addresses,
                        const char *host)
{
    char names[1024];
    bool plain = plain_name(host);
    int n = snprintf(names, sizeof names, "DNS:localhost,IP:127.0.0.1");
    if (plain) n += snprintf(names + n, sizeof names - (size_t)n, ",DNS:%s", host);
    if (plain && !strchr(host, '.'))
        n += snprintf(names + n, sizeof names - (size_t)n, ",DNS:%s.local", host);
    for (size_t i = 0; addresses[i] && (size_t)n + 64 < sizeof names; i++)
        n += snprintf(names + n, sizeof names - (size_t)n, ",IP:%s", addresses[i]);
    X509 *cert = new_certificate("Fabrica twin", SERVER_DAYS, key, ca);
    bool good = cert && extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
                extension(cert, ca, NID_key_usage, "critical,digitalSignature") &&
                extension(cert, ca, NID_ext_key_usage, "serverAuth") &&
                extension(cert, ca, NID_subject_key_identifier, "hash") &&
                extension(cert, ca, NID_authority_key_identifier, "keyid") &&
                extension(cert, ca, NID_subject_alt_name, names) &&
                X509_sign(cert, ca_key, EVP_sha256()) > 0;
    if (good) return cert;
    X509_free(cert);
    return NULL;
}

/* ---- the authority on disk -------------------------------------------------------------- */

static fab_status take_text(BIO *bio, uint8_t **text, size_t *bytes, fab_error *err)
{
    char *data = NULL;
    long n = BIO_get_mem_data(bio, &data);
    *text = n > 0 ? fab_malloc((size_t)n) : NULL;
    if (!*text) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    memcpy(*text, data, (size_t)n);
    *bytes = (size_t)n;
    return FAB_OK;
}

/* Never over an old one, never readable by others, not even for a moment. */
static fab_status save_key(EVP_PKEY *key, const char *path, fab_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!f) {
        int code = errno;
        if (fd >= 0) close(fd);
        FAB_FAIL(err, FAB_ERR_IO, "cannot write %s: %s", path, strerror(code));
    }
    bool good = PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1;
    good = fflush(f) == 0 && fsync(fileno(f)) == 0 && good;
    good = fclose(f) == 0 && good;
    if (good) return FAB_OK;
    (void)unlink(path);
    return ssl_fail(err, "write the authority's key");
}

static fab_status make_authority(const char *key_path, const char *pem_path, const char *host,
                                 fab_error *err)
{
    FAB_AUTO_FREE uint8_t *text = NULL;
    size_t bytes = 0;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? new_authority(key, host) : NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    fab_status status = cert && bio && PEM_write_bio_X509(bio, cert) == 1
                            ? save_key(key, key_path, err) : ssl_fail(err, "make an authority");
    if (status == FAB_OK) status = take_text(bio, &text, &bytes, err);
    if (status == FAB_OK) status = fab_file_write_atomic(pem_path, text, bytes, err);
    BIO_free(bio);
    X509_free(cert);
    EVP_PKEY_free(key);
    return status;
}

/* Belongs the key to the certificate, and is that still good? */
static bool is_valid(EVP_PKEY *key, X509 *cert)
{
    return key && cert && X509_check_private_key(cert, key) == 1 &&
           X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

static fab_status load_authority(const char *key_path, const char *pem_path, EVP_PKEY **key,
                                 X509 **cert, fab_error *err)
{
    struct stat st;
    FILE *k = fopen(key_path, "re"), *c = fopen(pem_path, "re");
    bool open = k && c, secret = k && fstat(fileno(k), &st) == 0 && !(st.st_mode & 077);
    *key = open && secret ? PEM_read_PrivateKey(k, NULL, NULL, NULL) : NULL;
    *cert = open && secret ? PEM_read_X509(c, NULL, NULL, NULL) : NULL;
    if (k) fclose(k);
    if (c) fclose(c);
    if (open && !secret)
        FAB_FAIL(err, FAB_ERR_ARG, "%s may be read by others: remove it and %s, or chmod 600 it",
                 key_path, pem_path);
    if (is_valid(*key, *cert)) return FAB_OK;
    EVP_PKEY_free(*key);
    X509_free(*cert);
    *key = NULL;
    *cert = NULL;
    ERR_clear_error();
    FAB_FAIL(err, FAB_ERR_FORMAT, "%s and %s are not a valid authority: remove both to have a new "
             "one made", key_path, pem_path);
}

/* ---- all of it -------------------------------------------------------------------------- */

static fab_status encode(EVP_PKEY *key, X509 *cert, fab_tls *t, fab_error *err)
{
    unsigned char *der = NULL;
    int n = i2d_X509(cert, &der);
    if (n <= 0) return ssl_fail(err, "encode the certificate");
    t->certificate = fab_malloc((size_t)n);
    if (t->certificate) memcpy(t->certificate, der, (size_t)n);
    t->certificate_bytes = (size_t)n;
    OPENSSL_free(der);
    der = NULL;
    n = i2d_PrivateKey(key, &der);
    if (n <= 0) return ssl_fail(err, "encode the key");
    t->key = fab_malloc((size_t)n);
    if (t->key) memcpy(t->key, der, (size_t)n);
    t->key_bytes = (size_t)n;
    OPENSSL_clear_free(der, (size_t)n);
    if (!t->key || !t->certificate) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    return FAB_OK;
}

/* The certificate alone, whatever else its file may hold. */
static fab_status keep_authority(X509 *ca, fab_tls *t, fab_error *err)
{
    size_t bytes = 0;
    FAB_AUTO_FREE uint8_t *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    fab_status status = bio && PEM_write_bio_X509(bio, ca) == 1
                            ? take_text(bio, &text, &bytes, err)
                            : ssl_fail(err, "write a certificate");
    BIO_free(bio);
    FAB_TRY(status);
    t->ca_pem = fab_calloc(1, bytes + 1);
    if (!t->ca_pem) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    memcpy(t->ca_pem, text, bytes);
    return FAB_OK;
}

static void fingerprint(X509 *cert, char into[96])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    into[0] = '\0';
    if (X509_digest(cert, EVP_sha256(), digest, &n) != 1 || n != 32) return;
    for (unsigned i = 0; i < n; i++)
        snprintf(into + i * 3, 4, "%02X%s", digest[i], i + 1 < n ? ":" : "");
}

fab_status fab_tls_open(const char *folder, const char *const *addresses, const char *host_name,
                        fab_tls *out, fab_error *err)
{
    char key_path[FAB_MAX_PATH_BYTES];
    fab_tls t = {0};
    EVP_PKEY *ca_key = NULL, *key = NULL;
    X509 *ca = NULL, *cert = NULL;
    FAB_TRY(fab_path_make_folder(folder, err));
    FAB_TRY(fab_path_join(key_path, sizeof key_path, folder, "ca.key", err));
    FAB_TRY(fab_path_join(t.ca_path, sizeof t.ca_path, folder, "ca.pem", err));
    if (access(key_path, F_OK) != 0 && access(t.ca_path, F_OK) != 0)
        FAB_TRY(make_authority(key_path, t.ca_path, host_name, err));
    FAB_TRY(load_authority(key_path, t.ca_path, &ca_key, &ca, err));
    fingerprint(ca, t.fingerprint);
    key = EVP_EC_gen("P-256");
    cert = key ? new_server(key, ca, ca_key, addresses, host_name) : NULL;
    fab_status status = cert ? encode(key, cert, &t, err) : ssl_fail(err, "make a certificate");
    if (status == FAB_OK) status = keep_authority(ca, &t, err);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    X509_free(ca);
    X509_free(cert);
    if (status == FAB_OK) *out = t;
    else fab_tls_close(&t);
    return status;
}

void fab_tls_close(fab_tls *t)
{
    if (t->key) OPENSSL_cleanse(t->key, t->key_bytes);
    fab_free(t->key);
    fab_free(t->certificate);
    fab_free(t->ca_pem);
    *t = (fab_tls){0};
}
