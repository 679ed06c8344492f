/* fabrica/server.h - layer 5: a twin over HTTP and WebSocket, to browsers on this machine and on
 * the local network. contract/openapi.json lists every route; docs/guide/viewing.md explains.
 *
 *   browser here   http://localhost:PORT        never leaves the machine: no TLS
 *   others         https://ADDRESS:PORT+1       TLS by an authority made once for this user
 *
 * A browser is let in by a one-time link (role owner) or by the six-digit code (role view).
 */
#ifndef FABRICA_SERVER_H
#define FABRICA_SERVER_H

#include "fabrica/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fab_server fab_server;

typedef struct fab_server_options {
    const char *case_path;  /* a case folder; only lessons/ in it is written to */
    const char *lesson;     /* a lesson's file, listed first and opened by the links; NULL: none */
    const char *web_folder; /* the built web client; NULL: a page says that there is none */
    const char *host;       /* IPv4 address for the network; NULL: all; "127.0.0.1": none */
    int port;               /* of this machine, 0: a free one; the network's is the next */
    bool network;           /* false: this machine only */
    const char *tls_folder; /* where the authority is kept or made; needed with network */
    void *ctx;              /* of the callbacks, which may be NULL */
    /* One line a request: method, route, status, bytes, time; no token, no name, no address. */
    void (*log)(void *ctx, const char *line);
    /* The pairing code was replaced after too many wrong ones. */
    void (*new_code)(void *ctx, const char *code);
    /* Asked five times a second by fab_server_run; true ends it. */
    bool (*stopped)(void *ctx);
} fab_server_options;

/* What a person needs to get in. Empty texts where there is none. */
typedef struct fab_server_info {
    char local_url[64];                /* http://localhost:PORT/ */
    char owner_link[240];              /* the same with the one-time link, for this machine */
    char network_url[240];             /* https://ADDRESS:PORT/, ?lesson=NAME behind it */
    char code[8];                      /* six digits */
    char ca_path[FAB_MAX_PATH_BYTES];  /* the authority's certificate, to be trusted by a headset */
    char ca_fingerprint[96];           /* SHA-256 of it, pairs of hexadecimal digits with colons */
    bool has_web;
} fab_server_info;

/* Reads the case's manifest, opens the ports and starts to prepare the volume on a thread of its
 * own. Nothing is answered before fab_server_run. *out is the caller's: fab_server_close.
 * FAB_ERR_NOTFOUND, FAB_ERR_FORMAT: not a case, or no lesson; the message names the file.
 * FAB_ERR_ARG: host is no IPv4 address of this machine; FAB_ERR_IO: a port is taken, the authority
 * cannot be written. */
fab_status fab_server_open(const fab_server_options *options, fab_server **out, fab_error *err);
void fab_server_info_get(const fab_server *s, fab_server_info *out);
/* Answers until fab_server_stop, options.stopped or for so many seconds (0: no limit). */
fab_status fab_server_run(fab_server *s, double seconds, fab_error *err);
/* From any thread or a signal handler: fab_server_run returns soon. */
void fab_server_stop(fab_server *s);
fab_server *fab_server_close(fab_server *s); /* NULL */
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_server, fab_server_close)
#endif

/* ---- a twin as one file ------------------------------------------------------------------ */

typedef struct fab_bundle_options {
    const char *case_path, *web_folder; /* the built client: its bundle/bundle.html */
    const char *lesson;                 /* a lesson's file, or NULL */
    int level;                          /* of volume and labels: 0 to 2, -1: none */
    uint64_t max_bytes;                 /* of the page */
} fab_bundle_options;

/* Bytes in the page, base64 and all. */
typedef struct fab_bundle_info {
    uint64_t page, structures, volume, labels, lesson, total;
} fab_bundle_info;

/* Writes one HTML file that shows the twin from the disk, without server, network or patient:
 * what a viewer's role would be sent, in the page. Atomic. FAB_ERR_NOTFOUND, FAB_ERR_FORMAT: no
 * case, no headset model, no client, no lesson; FAB_ERR_LIMIT: larger than max_bytes. */
fab_status fab_bundle_write(const fab_bundle_options *options, const char *path,
                            fab_bundle_info *out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
