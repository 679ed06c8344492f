/* server_internal.h - what the parts of the server share.
 *
 *     http.c      sockets, TLS, HTTP and WebSocket framing: the only file that knows libwebsockets
 *        |  fab_request               ^  fab_answer
 *        v                            |
 *     routes.c    one table row a route: methods, least role, handler
 *        |
 *     static.c case.c session.c lessons.c live.c   a route family each; they see no socket
 *        |
 *     parse.c pairing.c files.c privacy.c levels.c shelf.c record.c tape.c
 *                                          what they are made of: testable without a network
 *
 * All of it runs on the thread of fab_server_run, but for what takes time: levels.c (volumes),
 * shelf.c (lessons read and checked) and tape.c (a recording brought to the disk) have a thread of
 * their own and wake the loop when something is ready. */
#ifndef FAB_SERVER_INTERNAL_H
#define FAB_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "fabrica/json.h"
#include "fabrica/record.h"
#include "fabrica/server.h"
#include "fabrica/twin.h"
#include "fabrica/volume.h"

/* ---- requests and answers --------------------------------------------------------------- */

typedef enum fab_method {
    FAB_GET = 1, FAB_HEAD = 2, FAB_POST = 4, FAB_DELETE = 8, FAB_OTHER = 16
} fab_method;

typedef enum fab_role { FAB_ROLE_NONE, FAB_ROLE_VIEW, FAB_ROLE_OWNER } fab_role;
const char *fab_role_name(fab_role role); /* NULL for none */

enum { FAB_TOKEN_BYTES = 48, FAB_ADDRESS_BYTES = 48 };

typedef struct fab_request {
    fab_method method;
    bool secure, loopback;       /* over TLS; came in by this machine's own port */
    double now_s;                /* monotonic */
    fab_role role;               /* of its session: set by fab_routes_answer */
    char token[FAB_TOKEN_BYTES]; /* its session's, empty without: as above */
    char address[FAB_ADDRESS_BYTES];
    char path[FAB_SERVER_MAX_TARGET_BYTES]; /* decoded, begins with a slash */
    char host[256], origin[280], cookie[1024], range[128], if_range[128], if_none_match[512];
    char accept_encoding[256], protocols[128];
    const uint8_t *body;
    size_t body_bytes;
} fab_request;

/* Bytes that several answers share: own memory, or voxels. */
typedef struct fab_bytes {
    atomic_int references;
    uint8_t *memory;
    fab_volume *volume;
    const void *data;
    size_t size;
} fab_bytes;
/* Takes memory (also on failure) or one reference of volume; NULL when out of memory. */
fab_bytes *fab_bytes_own(uint8_t *memory, size_t size);
fab_bytes *fab_bytes_of_volume(fab_volume *volume);
fab_bytes *fab_bytes_ref(fab_bytes *b);
fab_bytes *fab_bytes_unref(fab_bytes *b);
/* gzip of them, NULL when out of memory. */
fab_bytes *fab_bytes_gzip(const void *data, size_t size, int level);

enum { FAB_ANSWER_HEADERS = 8 };

typedef struct fab_answer {
    int status;
    bool wait;        /* nothing yet: ask again when the loop is woken */
    bool sandbox;     /* content of a case, never to run as a page of ours */
    bool close;       /* the connection too */
    const char *type; /* of the content; NULL: none */
    const char *route;/* for the log */
    struct {
        const char *name; /* with its colon, lower case */
        char value[480];
    } headers[FAB_ANSWER_HEADERS];
    int header_count;
    fab_bytes *bytes; /* what is sent: [offset, offset + length) of this, or of the file */
    int fd;           /* -1: none */
    uint64_t offset, length;
} fab_answer;

void fab_answer_start(fab_answer *a);
void fab_answer_free(fab_answer *a);
void fab_answer_header(fab_answer *a, const char *name, const char *format, ...) FAB_PRINTF(3, 4);
/* {"error":{"code","message"}}: what was there before is dropped. */
void fab_answer_error(fab_answer *a, int status, const char *code, const char *format, ...)
    FAB_PRINTF(4, 5);
/* Takes value, also on failure; NULL is an error about memory. */
void fab_answer_json(fab_answer *a, int status, fab_json *value);
/* A whole text that stays. */
void fab_answer_text(fab_answer *a, int status, const char *type, const char *text);
/* 304, 206, 416 or 200 for `size` bytes known by their strong tag (without quotes): sets offset,
 * length, and the headers. The caller gives the source. False: there is nothing to send. */
bool fab_answer_part(fab_answer *a, const fab_request *q, const char *tag, uint64_t size);

/* ---- parse.c: text from outside --------------------------------------------------------- */

typedef enum fab_range_kind { FAB_RANGE_WHOLE, FAB_RANGE_PART, FAB_RANGE_BAD } fab_range_kind;
/* "bytes=a-b", "a-", "-n" (RFC 9110, 14): anything else, several ranges too, is the whole. */
fab_range_kind fab_parse_range(const char *text, uint64_t size, uint64_t *first, uint64_t *count);
/* The first cookie of that name; false if there is none, or it is longer than capacity. */
bool fab_parse_cookie(const char *header, const char *name, char *into, size_t capacity);
/* Is "tag" (strong, given without quotes) in an If-None-Match or If-Range? */
bool fab_parse_has_tag(const char *header, const char *tag, bool weak_too);
/* gzip with a weight above 0 in an Accept-Encoding. */
bool fab_parse_accepts_gzip(const char *header);
/* Is name in a list of words separated by commas. */
bool fab_parse_has_word(const char *list, const char *name);
/* "https://HOST" or "http://HOST" equals the Host header, letter case apart. */
bool fab_parse_same_origin(const char *origin, const char *host, bool secure);
/* A Host header of this machine's own names. */
bool fab_parse_local_host(const char *host);
/* The body of POST session: exactly one of code (six digits) and link. */
typedef struct fab_login {
    char code[8], link[FAB_TOKEN_BYTES];
} fab_login;
fab_status fab_parse_login(const void *body, size_t bytes, fab_login *out, fab_error *err);
/* The body of POST links; without a field its default: view, 60 minutes (1..1440). */
typedef struct fab_link_request {
    fab_role role;
    int minutes;
} fab_link_request;
fab_status fab_parse_link(const void *body, size_t bytes, fab_link_request *out, fab_error *err);

/* ---- pairing.c: codes, sessions, links; every time is passed in ------------------------- */

enum {
    FAB_PAIRING_TRIES = 5, FAB_PAIRING_LOCK_S = 300, FAB_PAIRING_ALL_TRIES = 20,
    FAB_SESSION_S = 12 * 3600
};

typedef struct fab_session {
    uint8_t hash[32]; /* of its token: the token itself is not kept */
    fab_role role;    /* none: a free place */
    double until_s;
} fab_session;

typedef struct fab_link {
    uint8_t hash[32];
    fab_role role;
    double until_s;
    bool once, used;
} fab_link;

typedef struct fab_tries {
    char address[FAB_ADDRESS_BYTES];
    int wrong;
    double locked_until_s, last_s;
} fab_tries;

typedef struct fab_pairing {
    char code[8];
    int wrong; /* since the code was made */
    fab_session sessions[FAB_SERVER_MAX_SESSIONS];
    fab_link links[FAB_SERVER_MAX_LINKS];
    fab_tries tries[FAB_SERVER_MAX_ADDRESSES];
} fab_pairing;

typedef enum fab_pair {
    FAB_PAIR_OK, FAB_PAIR_WRONG, FAB_PAIR_LOCKED, FAB_PAIR_EXPIRED, FAB_PAIR_UNKNOWN
} fab_pair;

void fab_pairing_start(fab_pairing *p);
/* On FAB_PAIR_OK token (FAB_TOKEN_BYTES) is a new session's. *retry_s: how long an address is
 * locked out. *renewed: the code is another one now. */
fab_pair fab_pairing_try_code(fab_pairing *p, const char *address, const char *code, double now_s,
                              char *token, int *retry_s, bool *renewed);
fab_pair fab_pairing_try_link(fab_pairing *p, const char *link, double now_s, char *token);
void fab_pairing_add_link(fab_pairing *p, fab_role role, double seconds, bool once, double now_s,
                          char *token);
/* NULL for none or an expired one. */
const fab_session *fab_pairing_find(const fab_pairing *p, const char *token, double now_s);
void fab_pairing_end(fab_pairing *p, const char *token);

/* ---- files.c: a folder's files by a table; no text from outside becomes a path ----------- */

typedef struct fab_file {
    char *path; /* relative, as the table says */
    uint64_t bytes;
    char sha256[65];
} fab_file;

typedef struct fab_file_table {
    int folder; /* descriptor, -1: none */
    fab_file *items; /* by path */
    size_t count;
} fab_file_table;

/* From rows [{"path","bytes","sha256"}]; the table owns what it holds. */
fab_status fab_files_open(const char *folder, const fab_json *rows, fab_file_table *out,
                          fab_error *err);
fab_status fab_files_add(fab_file_table *t, const char *path, uint64_t bytes, const char *sha256,
                         fab_error *err);
void fab_files_sort(fab_file_table *t);
/* A descriptor of folder/path, through no link and not out of it; -1 with errno. */
int fab_files_open_beneath(int folder, const char *path);
void fab_files_close(fab_file_table *t);
const fab_file *fab_files_find(const fab_file_table *t, const char *path);
/* Media type by the ending; `own`: types that a browser runs are among them. */
const char *fab_files_type(const char *path, bool own);
/* The answer to GET and HEAD of one file. */
void fab_files_answer(const fab_file_table *t, const fab_file *f, const fab_request *q,
                      const char *type, fab_answer *a);

/* ---- privacy.c: what a viewer is not shown ------------------------------------------------ */

typedef struct fab_private {
    fab_bytes *raw, *gzip; /* the manifest as a viewer gets it */
    char sha256[65];
} fab_private;
/* May a viewer have this file of a case? By kinds that hold no name; all others are the owner's. */
bool fab_privacy_file(const char *path);
/* A copy without the patient's and the study's identity, and without the files above. */
fab_status fab_privacy_manifest(const fab_json *manifest, fab_json **out, fab_error *err);
fab_status fab_privacy_open(const fab_json *manifest, fab_private *out, fab_error *err);
void fab_privacy_close(fab_private *p);
void fab_privacy_answer(const fab_private *p, const fab_request *q, fab_answer *a);

/* ---- levels.c: the volume and the labels at three resolutions ---------------------------- */

enum { FAB_LEVELS = 3, FAB_LEVEL1_SIDE = 256, FAB_LEVEL2_SIDE = 96, FAB_NATIVE_KEEP_S = 60 };
typedef enum fab_level_kind { FAB_LEVEL_VOLUME, FAB_LEVEL_LABELS, FAB_LEVEL_KINDS } fab_level_kind;

typedef struct fab_level {
    bool known, measured; /* grid and type are; low and high are too */
    fab_grid grid;
    fab_dtype type;
    double low, high;     /* of the values */
    fab_bytes *raw, *gzip;
} fab_level;

typedef struct fab_levels fab_levels;
/* path of a kind may be NULL: there is none. Grids and types are known at once, from the files'
 * headers; wide_labels: labels above 255 are expected. wake(ctx) is called from the thread. */
fab_status fab_levels_open(const char *const path[FAB_LEVEL_KINDS], bool wide_labels,
                           void (*wake)(void *ctx), void *ctx, fab_levels **out, fab_error *err);
fab_levels *fab_levels_close(fab_levels *l);
/* FAB_OK and a copy with references in raw and gzip (or NULL), 1: later, or the failure of
 * reading. With `voxels` the bytes are wanted too, else only what is known of them. */
fab_status fab_levels_get(fab_levels *l, fab_level_kind kind, int level, bool voxels, double now_s,
                          fab_level *out, fab_error *err);
/* Lets native voxels go that nobody asked for lately. */
void fab_levels_tidy(fab_levels *l, double now_s);
/* The grid of a level: at most `side` voxels along each axis, isotropic but for rounding, the
 * same box, never finer than the finest native spacing. Level 0 is the native grid. */
fab_grid fab_levels_grid(const fab_grid *native, int side);
/* Mean over the part of the native voxels that each voxel of `to` covers; linear where `to` is
 * finer. Both grids fill the same box along the same axes. I16. */
fab_status fab_levels_average(const fab_volume *v, const fab_grid *to, fab_volume **out,
                              fab_error *err);

/* ---- shelf.c: the lessons of a case ------------------------------------------------------ */

enum { FAB_LESSON_NAME_BYTES = 208, FAB_LESSON_SLUG_BYTES = 64 };

typedef struct fab_shelf fab_shelf;

typedef struct fab_shelf_lesson {
    int fd; /* the caller's */
    uint64_t bytes;
    char sha256[65];
} fab_shelf_lesson;

/* What lessons name of their twin: one of the two is enough, as the manifest also says how and when
 * the twin was made, and which formats. */
typedef struct fab_model_hashes {
    const char *manifest_sha256, *labels_sha256; /* labels: empty for none */
} fab_model_hashes;

/* folder: CASE/lessons, which need not be there. given (may be NULL): a lesson anywhere, listed
 * first; it is checked from end to end, the error names it. wake(ctx) is called from the thread
 * that fab_shelf_start starts. */
fab_status fab_shelf_open(const char *folder, const char *given, const fab_model_hashes *model,
                          void (*wake)(void *ctx), void *ctx, fab_shelf **out, fab_error *err);
fab_status fab_shelf_start(fab_shelf *s, fab_error *err);
void fab_shelf_stop(fab_shelf *s); /* its thread; s may be NULL */
fab_shelf *fab_shelf_close(fab_shelf *s);
FAB_DEFINE_AUTO(fab_shelf, fab_shelf_close)
const char *fab_shelf_given(const fab_shelf *s); /* name of the given one, or empty */
/* Appends {"lessons": [...]}. 1: later. */
fab_status fab_shelf_list(fab_shelf *s, double now_s, fab_buf *out, fab_error *err);
/* 1: later; FAB_ERR_NOTFOUND; FAB_ERR_FORMAT: it is broken, and why. */
fab_status fab_shelf_find(fab_shelf *s, const char *name, double now_s, fab_shelf_lesson *out,
                          fab_error *err);
/* 1: later; FAB_ERR_NOTFOUND; FAB_ERR_ARG: it is given, or being recorded; FAB_ERR_IO. */
fab_status fab_shelf_remove(fab_shelf *s, const char *name, double now_s, fab_error *err);
void fab_shelf_changed(fab_shelf *s);
/* The row of one lesson anywhere, checked as fab_shelf_open checks the given one. */
fab_status fab_shelf_describe(const char *path, const fab_model_hashes *model,
                              char name[FAB_LESSON_SLUG_BYTES], fab_json **row, fab_error *err);
/* While it is recorded a lesson is not listed. */
void fab_shelf_hold(fab_shelf *s, const char *name, bool held);

/* "Where the portal vein divides" to "where-the-portal-vein-divides": letters, digits, hyphens. */
void fab_shelf_slug(const char *title, char slug[FAB_LESSON_SLUG_BYTES]);

/* ---- tape.c: the file of a recording ------------------------------------------------------ */

/* Grows while it is written, hashed on the way, and is brought to the disk by a thread of its
 * own; as a sink of fab_lesson_writer. */
typedef struct fab_tape fab_tape;
/* A new file in folder, never an old one (FAB_ERR_ARG). wake(ctx) is called from the thread. */
fab_status fab_tape_open(int folder, const char *name, void (*wake)(void *ctx), void *ctx,
                         fab_tape **out, fab_mcap_sink *sink, fab_error *err);
/* What the next sync saves: a time of the lesson. */
void fab_tape_mark(fab_tape *t, int64_t time_us);
uint64_t fab_tape_bytes(const fab_tape *t);
/* Asks for a sync of the mark; the sink does so by itself at most once a second of the lesson. */
fab_status fab_tape_sync(fab_tape *t, fab_error *err);
/* The mark that is on the disk, -1 if none is yet; or why nothing gets there any more. */
fab_status fab_tape_saved(fab_tape *t, int64_t *time_us, fab_error *err);
/* All of it to the disk. Then nothing is written any more. */
fab_status fab_tape_finish(fab_tape *t, uint64_t *bytes, char sha256[65], fab_error *err);
fab_tape *fab_tape_close(fab_tape *t);

/* ---- record.c: one recording ---------------------------------------------------------------- */

/* What a recording needs of the server. */
typedef struct fab_studio {
    char folder[FAB_MAX_PATH_BYTES]; /* CASE/lessons, made when the first recording starts */
    fab_shelf *shelf;                /* told of what is recorded; NULL: none */
    char manifest_sha256[65], labels_sha256[65];
    const uint16_t *structures;
    size_t structure_count;
    uint64_t spare_bytes;     /* left free on the disk */
    uint64_t most_bytes;      /* of one lesson */
    int running;              /* recordings at the moment */
    void (*wake)(void *ctx);
    void *ctx;
} fab_studio;

typedef struct fab_recording fab_recording;

typedef struct fab_recorded {
    char name[FAB_LESSON_SLUG_BYTES];
    int64_t duration_us;
    uint64_t bytes, dropped; /* dropped: batches that were refused */
    char sha256[65];
} fab_recorded;

/* From the message record.start. The studio is borrowed. */
fab_status fab_recording_start(fab_studio *studio, const fab_json *message, fab_recording **out,
                               fab_error *err);
const char *fab_recording_name(const fab_recording *r);
fab_status fab_recording_row(fab_recording *r, const fab_json *message, fab_error *err);
fab_status fab_recording_meta(fab_recording *r, const fab_json *message, fab_error *err);
fab_status fab_recording_attach(fab_recording *r, const fab_json *message, fab_error *err);
/* A binary message of the channel. FAB_ERR_FORMAT, _LIMIT, _UNSUPPORTED, _ARG: dropped, counted. */
fab_status fab_recording_batch(fab_recording *r, const void *bytes, size_t count, fab_error *err);
/* Brings to the disk what came before a silence; asked now and then. */
fab_status fab_recording_rest(fab_recording *r, double now_s, fab_error *err);
/* May it go on? FAB_ERR_NOSPACE, FAB_ERR_LIMIT (too long, too large): finish it now. FAB_ERR_IO:
 * its file can no longer be written. *saved_us: all before it is on the disk, -1: nothing yet. */
fab_status fab_recording_check(fab_recording *r, int64_t *saved_us, fab_error *err);
/* Index, keyframe, duration; out may be NULL. On failure what was saved stays as a cut lesson. */
fab_status fab_recording_finish(fab_recording *r, fab_recorded *out, fab_error *err);
fab_recording *fab_recording_free(fab_recording *r); /* without finish: cut */

/* ---- live.c ----------------------------------------------------------------------------- */

/* One live channel. Answers are lines of JSON, appended to `out`: a line a message. A negative
 * status ends the connection. */
typedef struct fab_live fab_live;
fab_status fab_live_open(fab_studio *studio, fab_role role, fab_live **out, fab_buf *text,
                         fab_error *err);
fab_live *fab_live_close(fab_live *l); /* finishes what is being recorded */
/* The longest message it takes. */
size_t fab_live_limit(const fab_live *l, bool binary);
fab_status fab_live_text(fab_live *l, const void *text, size_t bytes, double now_s, fab_buf *out,
                         fab_error *err);
fab_status fab_live_binary(fab_live *l, const void *data, size_t bytes, double now_s, fab_buf *out,
                           fab_error *err);
/* Asked when the loop was woken, and once a second: what has got to the disk. */
fab_status fab_live_poll(fab_live *l, double now_s, fab_buf *out, fab_error *err);

/* ---- tls.c ------------------------------------------------------------------------------ */

typedef struct fab_tls {
    uint8_t *certificate, *key; /* DER */
    char *ca_pem;               /* the authority's certificate */
    size_t certificate_bytes, key_bytes;
    char ca_path[FAB_MAX_PATH_BYTES];
    char fingerprint[96];
} fab_tls;
/* The user's authority in folder (made if it is not there: ca.pem, ca.key 0600), and a fresh
 * certificate by it for these addresses and this host name. */
fab_status fab_tls_open(const char *folder, const char *const *addresses, const char *host_name,
                        fab_tls *out, fab_error *err);
void fab_tls_close(fab_tls *t);
long fab_tls_options(void); /* for OpenSSL: TLS 1.2 and above */

/* ---- net.c ------------------------------------------------------------------------------ */

enum { FAB_NET_ADDRESSES = 8 };
typedef struct fab_net {
    char address[FAB_NET_ADDRESSES][FAB_ADDRESS_BYTES]; /* IPv4, not loopback */
    const char *list[FAB_NET_ADDRESSES + 1];            /* of them, ends with NULL */
    char host_name[65];
} fab_net;
void fab_net_read(fab_net *out);
/* Can this port be listened on? *port 0 becomes a free one. */
fab_status fab_net_try_port(const char *address, int *port, fab_error *err);

/* ---- the server ------------------------------------------------------------------------- */

typedef struct fab_http fab_http;

struct fab_server {
    fab_server_options options;
    fab_server_info info;
    int local_port, network_port; /* network: 0 for none */
    atomic_bool stop;
    fab_case twin;
    fab_file_table files, web;
    fab_pairing pairing;
    fab_levels *levels;
    fab_tls tls;
    fab_net net;
    fab_http *http;
    char query[FAB_LESSON_SLUG_BYTES + 16]; /* "?lesson=NAME" of the given one, or empty */
    char volume_tag[20], labels_tag[20]; /* of the files, for the levels' */
    fab_private shown; /* the manifest for viewers */
    fab_shelf *shelf;
    fab_studio studio;
    uint16_t *structures;                /* label values of the model */
};

/* ---- http.c ----------------------------------------------------------------------------- */

fab_status fab_http_open(fab_server *s, fab_http **out, fab_error *err);
fab_status fab_http_run(fab_http *h, double seconds, fab_error *err);
void fab_http_wake(fab_http *h); /* any thread */
/* Looks after the live channels: closes those whose session is over. h may be NULL. */
void fab_http_check_live(fab_http *h);
fab_http *fab_http_close(fab_http *h);

/* ---- routes.c --------------------------------------------------------------------------- */

typedef void (*fab_route_fn)(fab_server *s, const fab_request *q, const char *rest,
                             fab_answer *a);
typedef struct fab_route {
    const char *path; /* as in openapi.json; {name} at the end takes the rest */
    int methods;      /* FAB_GET includes FAB_HEAD */
    fab_role least;
    fab_route_fn answer; /* rest: what {name} stands for */
} fab_route;
const fab_route *fab_routes(size_t *count);
/* Fills q's role and token and *a. */
void fab_routes_answer(fab_server *s, fab_request *q, fab_answer *a);
/* May this upgrade to the live channel go on? If not *a says why. */
bool fab_routes_allow_live(fab_server *s, fab_request *q, fab_answer *a);

/* Rows of the case's description; NULL when out of memory. */
fab_json *fab_case_file_json(const fab_file *f);
fab_json *fab_case_level_json(int index, const fab_level *l);

enum { FAB_COOKIE_BYTES = 32 };
/* The session's cookie is named by the port: cookies of all ports of a host are one jar. */
const char *fab_session_cookie(const fab_server *s, const fab_request *q, char *name);

void fab_static_index(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_static_asset(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_health_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_session_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_session_post(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_session_delete(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_links_post(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_case_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_case_file(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_case_volume(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_case_labels(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_ca_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_lessons_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_lesson_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_lesson_delete(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);
void fab_live_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a);

#endif
