/* static.c - the web client: files of one folder, listed when the server starts. */
#include "server_internal.h"

#include <stdio.h>
#include <string.h>

static const char no_client[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Fabrica</title>\n"
    "<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 "
    "1rem}</style></head>\n<body><h1>The web client is not here</h1>\n"
    "<p>The server runs, but the folder with its viewer was not found. It is built by "
    "<code>make web</code>; <code>fabrica view --web DIR</code> or the environment variable "
    "<code>FABRICA_WEB</code> names another folder.</p>\n"
    "<p>Not for diagnostic use.</p></body></html>\n";

static void send_file(fab_server *s, const fab_request *q, const char *path, fab_answer *a)
{
    char packed_path[FAB_SERVER_MAX_TARGET_BYTES + 4];
    const fab_file *f = fab_files_find(&s->web, path);
    if (!f) {
        fab_answer_error(a, 404, "not-found", "the web client has no such file");
        return;
    }
    const char *type = fab_files_type(path, true);
    snprintf(packed_path, sizeof packed_path, "%s.gz", path);
    const fab_file *packed = fab_files_find(&s->web, packed_path);
    if (!packed || q->range[0] || !fab_parse_accepts_gzip(q->accept_encoding)) {
        if (packed) fab_answer_header(a, "vary:", "accept-encoding");
        fab_files_answer(&s->web, f, q, type, a);
        return;
    }
    fab_answer_header(a, "vary:", "accept-encoding");
    fab_files_answer(&s->web, packed, q, "application/gzip", a);
    if (a->status == 500) return;
    a->type = type;
    fab_answer_header(a, "content-encoding:", "gzip");
}

void fab_static_index(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)rest;
    if (!s->info.has_web) {
        fab_answer_text(a, 200, "text/html; charset=utf-8", no_client);
        fab_answer_header(a, "cache-control:", "no-store");
        return;
    }
    send_file(s, q, "index.html", a);
    fab_answer_header(a, "cache-control:", "no-cache");
}

/* Names below assets/ carry a hash of their content (the bundler's), so they may be kept. */
void fab_static_asset(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    char path[FAB_SERVER_MAX_TARGET_BYTES + 8];
    snprintf(path, sizeof path, "assets/%s", rest); /* a name to look up in the table */
    send_file(s, q, path, a);
    bool kept = a->status == 200 || a->status == 206 || a->status == 304;
    if (kept) fab_answer_header(a, "cache-control:", "public, max-age=31536000, immutable");
}
