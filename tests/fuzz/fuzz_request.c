/* A request from any bytes: its lines are method, path, Host, Origin, Cookie, Range, If-Range,
 * If-None-Match and Accept-Encoding; the rest is the body. What comes back must hold together, and
 * nobody comes in. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_target.h"
#include "server_internal.h"

static fab_server server; /* nobody is paired, no case is open */

static void take_line(const char **at, const char *end, char *into, size_t capacity)
{
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    size_t n = (size_t)((stop ? stop : end) - *at);
    if (n >= capacity) n = capacity - 1;
    memcpy(into, *at, n);
    into[n] = '\0';
    *at = stop ? stop + 1 : end;
}

static void read_request(const uint8_t *data, size_t size, fab_request *q)
{
    static const fab_method methods[] = {FAB_GET, FAB_HEAD, FAB_POST, FAB_DELETE, FAB_OTHER};
    const char *at = (const char *)data, *end = at + size;
    char method[4];
    const struct {
        char *into;
        size_t capacity;
    } lines[] = {{method, sizeof method}, {q->path, sizeof q->path}, {q->host, sizeof q->host},
                 {q->origin, sizeof q->origin}, {q->cookie, sizeof q->cookie},
                 {q->range, sizeof q->range}, {q->if_range, sizeof q->if_range},
                 {q->if_none_match, sizeof q->if_none_match},
                 {q->accept_encoding, sizeof q->accept_encoding}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        take_line(&at, end, lines[i].into, lines[i].capacity);
    q->method = methods[(unsigned char)method[0] % 5];
    q->loopback = true;
    q->now_s = 1;
    q->body = (const uint8_t *)at;
    q->body_bytes = (size_t)(end - at);
    if (q->body_bytes > FAB_SERVER_MAX_BODY_BYTES) q->body_bytes = FAB_SERVER_MAX_BODY_BYTES;
}

static void check_answer(fab_request *q)
{
    fab_answer a;
    fab_answer_start(&a);
    fab_routes_answer(&server, q, &a);
    if (a.wait || q->role != FAB_ROLE_NONE || a.status < 200 || a.status >= 600) abort();
    if (a.status == 204) abort(); /* in, or out again: both need a secret */
    if (a.length && (!a.bytes || a.offset + a.length > a.bytes->size)) abort();
    fab_answer_free(&a);
}

static void check_parts(const fab_request *q)
{
    uint64_t first = 0, count = 0, size = q->body_bytes;
    char value[FAB_TOKEN_BYTES];
    fab_login login;
    fab_link_request link;
    fab_answer a;
    fab_range_kind kind = fab_parse_range(q->range, size, &first, &count);
    if (kind == FAB_RANGE_PART && (count == 0 || first + count > size)) abort();
    if (kind == FAB_RANGE_WHOLE && (first || count != size)) abort();
    if (fab_parse_cookie(q->cookie, "a", value, sizeof value) && strchr(value, ';')) abort();
    if (fab_parse_login(q->body, q->body_bytes, &login, NULL) == FAB_OK &&
        (strlen(login.code) == 6) == (login.link[0] != '\0'))
        abort();
    if (fab_parse_link(q->body, q->body_bytes, &link, NULL) == FAB_OK &&
        (link.minutes < 1 || link.minutes > 1440))
        abort();
    fab_answer_start(&a);
    if (fab_answer_part(&a, q, "tag", size) && a.offset + a.length > size) abort();
    fab_answer_free(&a);
}

static void check_message(const fab_request *q)
{
    static fab_studio nothing;
    FAB_AUTO_BUF fab_buf out = {0};
    FAB_AUTO(fab_json_free) fab_json *o = NULL;
    fab_live *l = NULL;
    if (fab_live_open(&nothing, FAB_ROLE_VIEW, &l, &out, NULL) < 0) abort();
    out.size = 0;
    if (fab_live_text(l, q->body, q->body_bytes, 1, &out, NULL) < 0) abort();
    fab_live_close(l);
    if (fab_json_parse(out.data, out.size, "answer", &o, NULL) < 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fab_request q;
    if (!server.files.folder) {
        if (sodium_init() < 0) abort();
        server.files.folder = server.web.folder = -1;
    }
    fab_pairing_start(&server.pairing);
    memset(server.pairing.code, 'x', 6); /* no six digits: nothing can guess it */
    q = (fab_request){0};
    read_request(data, size, &q);
    check_answer(&q);
    check_parts(&q);
    check_message(&q);
    return 0;
}
