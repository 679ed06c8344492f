/* http.c - sockets, TLS, HTTP and WebSocket framing: the only file that knows libwebsockets.
 *
 *     LWS_CALLBACK_HTTP      -> exchange made, head copied -> (body) -> fab_routes_answer
 *         wait               -> in the list of those who wait; asked again when the loop is woken
 *         else               -> head sent; each LWS_CALLBACK_HTTP_WRITEABLE sends one piece
 *     LWS_CALLBACK_RECEIVE   -> message put together -> fab_live_text, _binary -> queue
 *     woken, or closed       -> fab_live_poll, fab_live_close
 *
 * One event loop, one thread. A piece is at most 64 KiB, read from the file when the socket takes
 * it, so that memory does not grow with the size of what is sent. */
#include "server_internal.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 64 << 10, HEAD_BYTES = 4096, WAIT_S = 600, IDLE_S = 15, HEAD_S = 10,
    TICK_US = 200000, TIDY_TICKS = 25, LIVE_TICKS = 5, KEPT_BYTES = 64 << 10
};

static const char policy[] =
    "default-src 'self'; connect-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; script-src 'self' "
    "'wasm-unsafe-eval'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/* One request and its answer. */
typedef struct exchange {
    fab_http *h;
    struct lws *wsi;
    fab_request q;
    fab_answer a;
    fab_buf body;
    bool answered, waits, closing;
    uint64_t sent, body_wanted;
    double began_s;
    struct exchange *next; /* of those that wait */
} exchange;

typedef struct exchange_slot {
    exchange *x;
} exchange_slot;

typedef struct message {
    struct message *next;
    size_t size;
    uint8_t bytes[]; /* LWS_PRE, then size */
} message;

typedef struct live {
    fab_live *channel;
    struct lws *wsi;
    char token[FAB_TOKEN_BYTES];
    bool viewer, binary, woken; /* binary: the message that comes; woken: to be polled */
    fab_buf in;
    message *first, **last;
    int queued;
    struct live *next; /* of all that are open */
} live;

typedef struct live_slot {
    live *l;
} live_slot;

typedef struct peer {
    char address[FAB_ADDRESS_BYTES];
    int count;
} peer;

typedef struct timer { /* the sorted list's element first: libwebsockets hands back its address */
    lws_sorted_usec_list_t sul;
    fab_http *h;
} timer;

struct fab_http {
    fab_server *s;
    struct lws_context *context;
    struct lws_vhost *local, *network;
    exchange *waiting;
    live *lives;
    peer peers[FAB_SERVER_MAX_CONNECTIONS];
    int connections;
    timer tick;
    unsigned ticks;
    bool ended;
    double until_s; /* 0: no end */
    uint8_t *piece; /* LWS_PRE + PIECE_BYTES */
};

/* ---- connections by address ------------------------------------------------------------- */

static bool peer_enter(fab_http *h, struct lws *wsi)
{
    char address[FAB_ADDRESS_BYTES] = "";
    peer *mine = NULL;
    lws_get_peer_simple(wsi, address, sizeof address);
    for (size_t i = 0; i < FAB_SERVER_MAX_CONNECTIONS; i++) {
        peer *p = &h->peers[i];
        if (p->count && strcmp(p->address, address) == 0) {
            mine = p;
            break;
        }
        if (!p->count && !mine) mine = p;
    }
    if (!mine || mine->count >= FAB_SERVER_MAX_PER_ADDRESS ||
        h->connections >= FAB_SERVER_MAX_CONNECTIONS)
        return false;
    snprintf(mine->address, sizeof mine->address, "%s", address);
    mine->count++;
    h->connections++;
    lws_set_opaque_user_data(wsi, mine);
    return true;
}

static void peer_leave(fab_http *h, struct lws *wsi)
{
    peer *mine = lws_get_opaque_user_data(wsi);
    if (!mine) return;
    lws_set_opaque_user_data(wsi, NULL);
    mine->count--;
    h->connections--;
}

/* ---- reading a request ------------------------------------------------------------------ */

static bool copy_header(struct lws *wsi, enum lws_token_indexes token, char *into, size_t capacity)
{
    into[0] = '\0';
    if (lws_hdr_total_length(wsi, token) == 0) return true;
    int n = lws_hdr_copy(wsi, into, (int)capacity, token);
    if (n < 0) into[0] = '\0';
    return n >= 0;
}

static fab_method method_of(int lws_method)
{
    switch (lws_method) {
    case LWSHUMETH_GET: return FAB_GET;
    case LWSHUMETH_HEAD: return FAB_HEAD;
    case LWSHUMETH_POST: return FAB_POST;
    case LWSHUMETH_DELETE: return FAB_DELETE;
    default: return FAB_OTHER;
    }
}

/* Fills q; false with an error in *a for what no route takes. */
static bool read_head(fab_http *h, struct lws *wsi, fab_request *q, fab_answer *a)
{
    const struct {
        enum lws_token_indexes token;
        char *into;
        size_t capacity;
    } wanted[] = {
        {WSI_TOKEN_HOST, q->host, sizeof q->host},
        {WSI_TOKEN_ORIGIN, q->origin, sizeof q->origin},
        {WSI_TOKEN_HTTP_COOKIE, q->cookie, sizeof q->cookie},
        {WSI_TOKEN_HTTP_RANGE, q->range, sizeof q->range},
        {WSI_TOKEN_HTTP_IF_RANGE, q->if_range, sizeof q->if_range},
        {WSI_TOKEN_HTTP_IF_NONE_MATCH, q->if_none_match, sizeof q->if_none_match},
        {WSI_TOKEN_HTTP_ACCEPT_ENCODING, q->accept_encoding, sizeof q->accept_encoding},
        {WSI_TOKEN_PROTOCOL, q->protocols, sizeof q->protocols},
    };
    char *uri = NULL;
    int uri_bytes = 0, method = lws_http_get_uri_and_method(wsi, &uri, &uri_bytes);
    q->method = method_of(method);
    q->secure = lws_is_ssl(wsi) != 0;
    q->loopback = lws_get_vhost(wsi) == h->local;
    q->now_s = fab_time_wall_s();
    lws_get_peer_simple(wsi, q->address, sizeof q->address);
    if (method < 0 || uri_bytes <= 0 || (size_t)uri_bytes >= sizeof q->path || uri[0] != '/') {
        fab_answer_error(a, 414, "target", "the path is too long or none");
        return false;
    }
    memcpy(q->path, uri, (size_t)uri_bytes);
    q->path[uri_bytes] = '\0';
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (copy_header(wsi, wanted[i].token, wanted[i].into, wanted[i].capacity)) continue;
        fab_answer_error(a, 431, "header", "a header line is too long");
        return false;
    }
    return true;
}

/* How long the body is; false with an error in *a for one that is not wanted. */
static bool body_is_fine(struct lws *wsi, exchange *x)
{
    char text[24];
    bool fits = copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof text);
    bool given = text[0] != '\0', number = strspn(text, "0123456789") == strlen(text);
    bool chunked = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
    x->body_wanted = 0;
    for (const char *at = text; number && *at && x->body_wanted <= FAB_SERVER_MAX_BODY_BYTES; at++)
        x->body_wanted = x->body_wanted * 10 + (uint64_t)(*at - '0');
    if (!number) fab_answer_error(&x->a, 400, "length", "Content-Length is not a number");
    else if (x->body_wanted > FAB_SERVER_MAX_BODY_BYTES || !fits)
        fab_answer_error(&x->a, 413, "body", "the body is larger than %d bytes",
                         FAB_SERVER_MAX_BODY_BYTES);
    else if (chunked || (x->q.method == FAB_POST && !given))
        fab_answer_error(&x->a, 411, "length", "say the length of the body");
    else if (x->body_wanted && x->q.method != FAB_POST && x->q.method != FAB_OTHER)
        fab_answer_error(&x->a, 400, "body", "this method takes no body");
    else return true;
    return false;
}

/* ---- sending an answer ------------------------------------------------------------------ */

static void log_answer(const exchange *x)
{
    static const struct {
        fab_method method;
        const char *name;
    } names[] = {{FAB_GET, "GET"}, {FAB_HEAD, "HEAD"}, {FAB_POST, "POST"}, {FAB_DELETE, "DELETE"}};
    const fab_server *s = x->h->s;
    const char *method = "?";
    char line[256];
    if (!s->options.log) return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].method == x->q.method) method = names[i].name;
    snprintf(line, sizeof line, "%s %s %d %llu bytes %.1f ms", method,
             x->a.route ? x->a.route : "none", x->a.status, (unsigned long long)x->sent,
             (fab_time_wall_s() - x->began_s) * 1000);
    s->options.log(s->options.ctx, line);
}

static bool put(struct lws *wsi, const char *name, const char *value, uint8_t **p, uint8_t *end)
{
    return lws_add_http_header_by_name(wsi, (const uint8_t *)name, (const uint8_t *)value,
                                       (int)strlen(value), p, end) == 0;
}

/* The lines every answer has. */
static bool put_common(struct lws *wsi, const fab_answer *a, uint8_t **p, uint8_t *end)
{
    return put(wsi, "content-security-policy:",
               a->sandbox ? "default-src 'none'; sandbox; frame-ancestors 'none'" : policy, p,
               end) &&
           put(wsi, "x-content-type-options:", "nosniff", p, end) &&
           put(wsi, "referrer-policy:", "no-referrer", p, end) &&
           put(wsi, "permissions-policy:",
               "xr-spatial-tracking=(self), microphone=(self), camera=(), geolocation=()", p,
               end) &&
           put(wsi, "cross-origin-opener-policy:", "same-origin", p, end) &&
           put(wsi, "cross-origin-embedder-policy:", "require-corp", p, end) &&
           put(wsi, "cross-origin-resource-policy:", "same-origin", p, end);
}

static bool send_head(struct lws *wsi, const fab_answer *a)
{
    uint8_t head[LWS_PRE + HEAD_BYTES], *start = head + LWS_PRE, *p = start;
    uint8_t *end = head + sizeof head - 1;
    bool has_length = a->status != 204 && a->status != 304;
    bool good = lws_add_http_header_status(wsi, (unsigned)a->status, &p, end) == 0 &&
                put_common(wsi, a, &p, end);
    if (good && a->type && has_length) good = put(wsi, "content-type:", a->type, &p, end);
    if (good && a->close) good = put(wsi, "connection:", "close", &p, end);
    for (int i = 0; i < a->header_count && good; i++)
        good = put(wsi, a->headers[i].name, a->headers[i].value, &p, end);
    if (good && has_length) good = lws_add_http_header_content_length(wsi, a->length, &p, end) == 0;
    return good && lws_finalize_write_http_header(wsi, start, &p, end) == 0;
}

/* The end of an exchange; what the callback returns. */
static int finish(exchange *x)
{
    bool close = x->a.close;
    log_answer(x);
    return lws_http_transaction_completed(x->wsi) || close ? -1 : 0;
}

static int begin_answer(exchange *x)
{
    x->answered = true;
    if (!send_head(x->wsi, &x->a)) return -1;
    bool bare = x->q.method == FAB_HEAD || x->a.length == 0 || x->a.status == 204 ||
                x->a.status == 304;
    if (bare) return finish(x);
    lws_set_timeout(x->wsi, PENDING_TIMEOUT_HTTP_CONTENT, FAB_SERVER_STALL_S);
    lws_callback_on_writable(x->wsi);
    return 0;
}

static void stop_waiting(exchange *x)
{
    for (exchange **at = &x->h->waiting; *at; at = &(*at)->next) {
        if (*at != x) continue;
        *at = x->next;
        break;
    }
    x->waits = false;
}

static int answer(exchange *x)
{
    fab_answer_start(&x->a);
    x->q.now_s = fab_time_wall_s();
    x->q.body = x->body.data;
    x->q.body_bytes = x->body.size;
    fab_routes_answer(x->h->s, &x->q, &x->a);
    if (!x->a.wait) {
        if (x->waits) stop_waiting(x);
        return begin_answer(x);
    }
    fab_answer_free(&x->a);
    if (!x->waits) {
        x->waits = true;
        x->next = x->h->waiting;
        x->h->waiting = x;
        lws_set_timeout(x->wsi, PENDING_TIMEOUT_HTTP_CONTENT, WAIT_S);
    }
    return 0;
}

static int send_piece(exchange *x)
{
    uint8_t *to = x->h->piece + LWS_PRE;
    uint64_t left = x->a.length - x->sent, at = x->a.offset + x->sent;
    size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    if (x->a.fd >= 0) {
        if (pread(x->a.fd, to, n, (off_t)at) != (ssize_t)n) return -1; /* changed meanwhile */
    } else memcpy(to, (const uint8_t *)x->a.bytes->data + at, n);
    bool last = n == left;
    if (lws_write(x->wsi, to, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int)n) return -1;
    x->sent += n;
    if (last) return finish(x);
    lws_set_timeout(x->wsi, PENDING_TIMEOUT_HTTP_CONTENT, FAB_SERVER_STALL_S);
    lws_callback_on_writable(x->wsi);
    return 0;
}

/* ---- HTTP ------------------------------------------------------------------------------- */

static exchange *exchange_free(exchange *x)
{
    if (!x) return NULL;
    if (x->waits) stop_waiting(x);
    fab_answer_free(&x->a);
    fab_buf_free(&x->body);
    return fab_free(x);
}

static int on_request(fab_http *h, struct lws *wsi, exchange_slot *slot)
{
    slot->x = exchange_free(slot->x);
    exchange *x = fab_calloc(1, sizeof *x);
    if (!x) return -1;
    slot->x = x;
    x->h = h;
    x->wsi = wsi;
    x->body.max_bytes = FAB_SERVER_MAX_BODY_BYTES;
    x->began_s = fab_time_wall_s();
    fab_answer_start(&x->a);
    if (!read_head(h, wsi, &x->q, &x->a) || !body_is_fine(wsi, x)) {
        x->a.close = true; /* what follows could be the unread body */
        return begin_answer(x);
    }
    if (x->body_wanted == 0) return answer(x);
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, HEAD_S);
    return 0;
}

static int on_body(exchange *x, const void *bytes, size_t count)
{
    if (!x || x->answered) return x ? 0 : -1;
    if (fab_time_wall_s() - x->began_s > HEAD_S) return -1; /* however small the drops come */
    return fab_buf_append(&x->body, bytes, count, NULL) < 0 ? -1 : 0;
}

/* An upgrade to the live channel: 0 goes on, 1 was answered with a refusal. */
static int on_upgrade(fab_http *h, struct lws *wsi)
{
    fab_answer a;
    exchange x = {.h = h, .wsi = wsi, .began_s = fab_time_wall_s()};
    fab_answer_start(&a);
    bool good = read_head(h, wsi, &x.q, &a) && fab_routes_allow_live(h->s, &x.q, &a);
    if (good) a.status = 101;
    else {
        a.close = true;
        if (send_head(wsi, &a) && a.bytes && a.length <= PIECE_BYTES) {
            memcpy(h->piece + LWS_PRE, a.bytes->data, (size_t)a.length);
            (void)lws_write(wsi, h->piece + LWS_PRE, (size_t)a.length, LWS_WRITE_HTTP_FINAL);
        }
    }
    x.a = a;
    log_answer(&x);
    fab_answer_free(&a);
    return good ? 0 : 1;
}

void fab_http_check_live(fab_http *h)
{
    for (live *l = h ? h->lives : NULL; l; l = l->next) {
        l->woken = true;
        lws_callback_on_writable(l->wsi);
    }
}

/* Something is ready: for those who wait, and for those who record. */
static void on_woken(fab_http *h)
{
    for (exchange *w = h ? h->waiting : NULL; w; w = w->next) lws_callback_on_writable(w->wsi);
    fab_http_check_live(h);
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t len)
{
    struct lws_context *context = lws_get_context(wsi);
    fab_http *h = context ? lws_context_user(context) : NULL;
    exchange_slot *slot = user;
    exchange *x = slot ? slot->x : NULL;
    switch (reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED: return peer_enter(h, wsi) ? 0 : -1;
    case LWS_CALLBACK_WSI_DESTROY: peer_leave(h, wsi); return 0;
    case LWS_CALLBACK_HTTP: return on_request(h, wsi, slot);
    case LWS_CALLBACK_HTTP_BODY: return on_body(x, in, len);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION: return x && !x->answered ? answer(x) : 0;
    case LWS_CALLBACK_HTTP_WRITEABLE:
        if (!x) return 0;
        return x->answered ? send_piece(x) : x->waits ? answer(x) : 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return on_upgrade(h, wsi);
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        on_woken(h);
        return 0;
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
    case LWS_CALLBACK_CLOSED_HTTP:
        if (slot) slot->x = exchange_free(x);
        return 0;
    default: return 0;
    }
}

/* ---- the live channel ------------------------------------------------------------------- */

static live *live_free(fab_http *h, live *l)
{
    if (!l) return NULL;
    for (live **at = &h->lives; *at; at = &(*at)->next) {
        if (*at != l) continue;
        *at = l->next;
        break;
    }
    for (message *m = l->first; m;) {
        message *next = m->next;
        fab_free(m);
        m = next;
    }
    fab_live_close(l->channel);
    fab_buf_free(&l->in);
    return fab_free(l);
}

static int queue_line(live *l, const uint8_t *text, size_t n)
{
    if (l->queued >= FAB_SERVER_MAX_QUEUE) return -1;
    message *m = fab_malloc(sizeof *m + LWS_PRE + n);
    if (!m) return -1;
    m->next = NULL;
    m->size = n;
    memcpy(m->bytes + LWS_PRE, text, n);
    *l->last = m;
    l->last = &m->next;
    l->queued++;
    lws_callback_on_writable(l->wsi);
    return 0;
}

/* A line a message. */
static int queue(live *l, const fab_buf *text)
{
    for (size_t at = 0; at < text->size;) {
        const uint8_t *end = memchr(text->data + at, '\n', text->size - at);
        size_t n = end ? (size_t)(end - text->data) - at : text->size - at;
        if (n && queue_line(l, text->data + at, n) < 0) return -1;
        at += n + 1;
    }
    return 0;
}

static int live_open(fab_http *h, struct lws *wsi, live_slot *slot)
{
    fab_answer a;
    fab_request q = {0};
    FAB_AUTO_BUF fab_buf text = {0};
    fab_answer_start(&a);
    bool good = read_head(h, wsi, &q, &a) && fab_routes_allow_live(h->s, &q, &a);
    fab_answer_free(&a);
    live *l = good ? fab_calloc(1, sizeof *l) : NULL;
    if (!l) return -1;
    slot->l = l;
    l->wsi = wsi;
    l->viewer = q.role != FAB_ROLE_OWNER;
    l->last = &l->first;
    l->next = h->lives;
    h->lives = l;
    memcpy(l->token, q.token, sizeof l->token);
    if (fab_live_open(&h->s->studio, q.role, &l->channel, &text, NULL) < 0) return -1;
    return queue(l, &text);
}

static int live_close(struct lws *wsi, enum lws_close_status why, const char *text)
{
    uint8_t copy[64];
    size_t n = strlen(text);
    memcpy(copy, text, n);
    lws_close_reason(wsi, why, copy, n);
    return -1;
}

/* Puts a message together: 1 when it is whole, 0 when more follows, -1 when it is refused. */
static int live_gather(struct lws *wsi, live *l, const void *bytes, size_t count)
{
    if (lws_is_first_fragment(wsi)) {
        l->binary = lws_frame_is_binary(wsi) != 0;
        l->in.size = 0;
        l->in.max_bytes = fab_live_limit(l->channel, l->binary);
        if (l->binary && l->viewer)
            return live_close(wsi, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "text only");
    }
    if (fab_buf_append(&l->in, bytes, count, NULL) < 0)
        return live_close(wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "message too long");
    return lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi);
}

static int live_receive(fab_http *h, struct lws *wsi, live *l, const void *bytes, size_t count)
{
    FAB_AUTO_BUF fab_buf text = {0};
    double now_s = fab_time_wall_s();
    int whole = live_gather(wsi, l, bytes, count);
    if (whole <= 0) return whole;
    if (!fab_pairing_find(&h->s->pairing, l->token, now_s))
        return live_close(wsi, LWS_CLOSE_STATUS_POLICY_VIOLATION, "session ended");
    fab_status status =
        l->binary ? fab_live_binary(l->channel, l->in.data, l->in.size, now_s, &text, NULL)
                  : fab_live_text(l->channel, l->in.data, l->in.size, now_s, &text, NULL);
    l->in.size = 0;
    if (l->in.capacity > KEPT_BYTES) fab_buf_free(&l->in);
    if (status < 0) return -1;
    if (queue(l, &text) == 0) return 0;
    return live_close(wsi, LWS_CLOSE_STATUS_POLICY_VIOLATION, "read what is sent");
}

/* What was saved meanwhile, once the client has read what was said before. */
static int live_poll(live *l)
{
    FAB_AUTO_BUF fab_buf text = {0};
    if (l->first || !l->woken) return 0;
    l->woken = false;
    if (fab_live_poll(l->channel, fab_time_wall_s(), &text, NULL) < 0) return -1;
    return queue(l, &text);
}

static int live_send(fab_http *h, struct lws *wsi, live *l)
{
    if (!fab_pairing_find(&h->s->pairing, l->token, fab_time_wall_s()))
        return live_close(wsi, LWS_CLOSE_STATUS_POLICY_VIOLATION, "session ended");
    if (live_poll(l) < 0) return -1;
    message *m = l->first;
    if (!m) return 0;
    int n = lws_write(wsi, m->bytes + LWS_PRE, m->size, LWS_WRITE_TEXT);
    bool good = n >= (int)m->size;
    l->first = m->next;
    if (!l->first) l->last = &l->first;
    l->queued--;
    fab_free(m);
    if (l->first || l->woken) lws_callback_on_writable(wsi);
    return good ? 0 : -1;
}

static int on_live(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t len)
{
    fab_http *h = lws_context_user(lws_get_context(wsi));
    live_slot *slot = user;
    live *l = slot ? slot->l : NULL;
    switch (reason) {
    case LWS_CALLBACK_WSI_DESTROY: peer_leave(h, wsi); return 0;
    case LWS_CALLBACK_ESTABLISHED: return live_open(h, wsi, slot);
    case LWS_CALLBACK_RECEIVE: return l ? live_receive(h, wsi, l, in, len) : -1;
    case LWS_CALLBACK_SERVER_WRITEABLE: return l ? live_send(h, wsi, l) : -1;
    case LWS_CALLBACK_CLOSED:
        if (slot) slot->l = live_free(h, l);
        return 0;
    default: return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {"fabrica-http", on_http, sizeof(exchange_slot), 0, 0, NULL, 0},
    {"fabrica.live.1", on_live, sizeof(live_slot), 16384, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0}};

/* ---- the loop --------------------------------------------------------------------------- */

static void on_tick(lws_sorted_usec_list_t *sul)
{
    timer *t = lws_container_of(sul, timer, sul);
    fab_http *h = t->h;
    const fab_server_options *o = &h->s->options;
    double now_s = fab_time_wall_s();
    if (o->stopped && o->stopped(o->ctx)) atomic_store(&h->s->stop, true);
    if (h->until_s > 0 && now_s >= h->until_s) h->ended = true;
    if (h->ticks % TIDY_TICKS == 0 && h->s->levels) fab_levels_tidy(h->s->levels, now_s);
    if (h->ticks++ % LIVE_TICKS == 0) fab_http_check_live(h);
    lws_sul_schedule(h->context, 0, &h->tick.sul, on_tick, TICK_US);
}

/* A live channel that is silent is asked after a while, and closed if nothing comes. */
static const lws_retry_bo_t silence = {.secs_since_valid_ping = 20, .secs_since_valid_hangup = 30};

static fab_status open_vhosts(fab_http *h, fab_error *err)
{
    fab_server *s = h->s;
    struct lws_context_creation_info info = {
        .port = s->local_port, .iface = "127.0.0.1", .vhost_name = "local", .protocols = protocols,
        .options = LWS_SERVER_OPTION_DISABLE_IPV6 | LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND,
        .keepalive_timeout = IDLE_S, .timeout_secs = HEAD_S, .server_string = "fabrica",
        .retry_and_idle_policy = &silence};
    h->local = lws_create_vhost(h->context, &info);
    if (!h->local)
        FAB_FAIL(err, FAB_ERR_IO, "cannot listen on port %d: taken meanwhile?", s->local_port);
    if (!s->network_port) return FAB_OK;
    info.port = s->network_port;
    info.iface = s->options.host;
    info.vhost_name = "network";
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.server_ssl_cert_mem = s->tls.certificate;
    info.server_ssl_cert_mem_len = (unsigned)s->tls.certificate_bytes;
    info.server_ssl_private_key_mem = s->tls.key;
    info.server_ssl_private_key_mem_len = (unsigned)s->tls.key_bytes;
    info.ssl_options_set = fab_tls_options();
    info.alpn = "http/1.1";
    h->network = lws_create_vhost(h->context, &info);
    if (!h->network)
        FAB_FAIL(err, FAB_ERR_IO, "cannot listen with TLS on port %d", s->network_port);
    return FAB_OK;
}

fab_status fab_http_open(fab_server *s, fab_http **out, fab_error *err)
{
    fab_http *h = fab_calloc(1, sizeof *h);
    if (!h) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    h->s = s;
    h->tick.h = h;
    h->piece = fab_malloc(LWS_PRE + PIECE_BYTES);
    lws_set_log_level(0, NULL); /* the library never prints */
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols, .user = h,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_IPV6 |
                   (s->network_port ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .max_http_header_data = FAB_SERVER_MAX_HEAD_BYTES, .alpn = "http/1.1",
        .max_http_header_pool = FAB_SERVER_MAX_CONNECTIONS, .timeout_secs = HEAD_S,
        .server_string = "fabrica"};
    h->context = h->piece ? lws_create_context(&info) : NULL;
    fab_status status = h->context ? open_vhosts(h, err)
                                   : fab_error_set(err, FAB_ERR_IO, "cannot start the server");
    if (status < 0) {
        fab_http_close(h);
        return status;
    }
    *out = h;
    return FAB_OK;
}

fab_status fab_http_run(fab_http *h, double seconds, fab_error *err)
{
    h->until_s = seconds > 0 ? fab_time_wall_s() + seconds : 0;
    h->ended = false;
    on_tick(&h->tick.sul);
    int failed = 0;
    while (!failed && !h->ended && !atomic_load(&h->s->stop)) failed = lws_service(h->context, 0);
    lws_sul_cancel(&h->tick.sul);
    if (failed < 0 && !atomic_load(&h->s->stop))
        FAB_FAIL(err, FAB_ERR_IO, "the event loop failed");
    return FAB_OK;
}

void fab_http_wake(fab_http *h) { lws_cancel_service(h->context); }

fab_http *fab_http_close(fab_http *h)
{
    if (!h) return NULL;
    /* recordings end, and their threads, while they can still wake the loop */
    for (live *l = h->lives; l; l = l->next) l->channel = fab_live_close(l->channel);
    if (h->context) lws_context_destroy(h->context);
    fab_free(h->piece);
    return fab_free(h);
}
