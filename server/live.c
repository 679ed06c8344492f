/* live.c - the live channel's messages (WebSocket, subprotocol fabrica.live.1): JSON objects with
 * a "type", and batches of samples (ADR 0113). A type is a row of the table. It sees no socket:
 * http.c hands over whole messages and sends the lines that are answered.
 *
 * A recording that cannot go on is finished and told of: "error", then "record.stopped" if the
 * lesson is whole. What a client had under way then is passed over. */
#include "server_internal.h"

#include <stdio.h>
#include <string.h>

static const double quiet_s = 1; /* between two complaints about batches */

struct fab_live {
    fab_studio *studio;
    fab_role role;
    fab_recording *recording;
    int64_t told_us;         /* of record.saved */
    bool told_none;          /* that nothing is being recorded */
    double complained_s;     /* about a batch */
    uint64_t complained;     /* batches dropped since */
};

void fab_live_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)s;
    (void)q;
    (void)rest;
    fab_answer_error(a, 426, "upgrade", "this is a WebSocket");
    fab_answer_header(a, "upgrade:", "websocket");
}

/* ---- what is said ----------------------------------------------------------------------- */

static fab_status put(const fab_json *o, fab_buf *out, fab_error *err)
{
    fab_writer w;
    fab_writer_to_buf(out, &w);
    return fab_json_dump(o, 0, &w, err);
}

static fab_status put_error(const char *code, const char *message, bool ended, fab_buf *out,
                            fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_json_set(o, "type", fab_json_string("error"), err));
    FAB_TRY(fab_json_set(o, "code", fab_json_string(code), err));
    FAB_TRY(fab_json_set(o, "message", fab_json_string(message), err));
    if (ended) FAB_TRY(fab_json_set(o, "ended", fab_json_bool(true), err));
    return put(o, out, err);
}

static fab_status put_hello(fab_role role, fab_buf *out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_json_set(o, "type", fab_json_string("hello"), err));
    FAB_TRY(fab_json_set(o, "role", fab_json_string(fab_role_name(role)), err));
    FAB_TRY(fab_json_set(o, "version", fab_json_string(FAB_VERSION), err));
    return put(o, out, err);
}

static fab_status put_named(const char *type, const char *name, fab_buf *out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_json_set(o, "type", fab_json_string(type), err));
    FAB_TRY(fab_json_set(o, "name", fab_json_string(name), err));
    return put(o, out, err);
}

static fab_status put_saved(int64_t time_us, fab_buf *out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_json_set(o, "type", fab_json_string("record.saved"), err));
    FAB_TRY(fab_json_set(o, "t", fab_json_int(time_us), err));
    return put(o, out, err);
}

static fab_status put_stopped(const fab_recorded *done, fab_buf *out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_json_set(o, "type", fab_json_string("record.stopped"), err));
    FAB_TRY(fab_json_set(o, "name", fab_json_string(done->name), err));
    FAB_TRY(fab_json_set(o, "duration_us", fab_json_int(done->duration_us), err));
    FAB_TRY(fab_json_set(o, "bytes", fab_json_int((int64_t)done->bytes), err));
    FAB_TRY(fab_json_set(o, "sha256", fab_json_string(done->sha256), err));
    FAB_TRY(fab_json_set(o, "dropped", fab_json_int((int64_t)done->dropped), err));
    return put(o, out, err);
}

/* ---- the recording ------------------------------------------------------------------------ */

static const char *code_of(fab_status status, const char *usual)
{
    switch (status) {
    case FAB_ERR_NOSPACE: return "space";
    case FAB_ERR_IO: return "io";
    case FAB_ERR_NOMEM: return "memory";
    case FAB_ERR_LIMIT: return "limit";
    default: return usual;
    }
}

/* Finishes what is recorded; true if it is a whole lesson. */
static bool finish(fab_live *l, fab_recorded *done, fab_error *why)
{
    bool whole = fab_recording_finish(l->recording, done, why) == FAB_OK;
    l->recording = fab_recording_free(l->recording);
    return whole;
}

/* It cannot go on, for this reason. */
static fab_status end(fab_live *l, const char *code, const char *message, fab_buf *out,
                      fab_error *err)
{
    fab_recorded done;
    fab_error why = {0};
    bool whole = finish(l, &done, &why);
    l->told_none = true; /* what was under way is passed over without a word */
    FAB_TRY(put_error(code, message, true, out, err));
    return whole ? put_stopped(&done, out, err) : FAB_OK;
}

/* After each message: tells what is saved, and ends what cannot go on. */
static fab_status look_after(fab_live *l, fab_buf *out, fab_error *err)
{
    fab_error why = {0};
    int64_t saved_us = -1;
    if (!l->recording) return FAB_OK;
    fab_status status = fab_recording_check(l->recording, &saved_us, &why);
    if (saved_us > l->told_us) {
        l->told_us = saved_us;
        FAB_TRY(put_saved(saved_us, out, err));
    }
    return status < 0 ? end(l, code_of(status, "io"), why.message, out, err) : FAB_OK;
}

static bool is_lost(fab_status status)
{
    return status == FAB_ERR_IO || status == FAB_ERR_NOSPACE || status == FAB_ERR_NOMEM;
}

static fab_status on_start(fab_live *l, const fab_json *message, fab_buf *out, fab_error *err)
{
    fab_error why = {0};
    if (l->recording)
        return put_error("busy", "this connection records already", false, out, err);
    fab_status status = fab_recording_start(l->studio, message, &l->recording, &why);
    if (status < 0) return put_error(code_of(status, "start"), why.message, false, out, err);
    l->told_us = -1;
    l->told_none = false;
    l->complained = 0;
    return put_named("record.started", fab_recording_name(l->recording), out, err);
}

/* All after a row that is wrong would be false: it ends the recording. */
static fab_status on_row(fab_live *l, const fab_json *message, fab_buf *out, fab_error *err)
{
    fab_error why = {0};
    fab_status status = fab_recording_row(l->recording, message, &why);
    if (status == FAB_OK) return FAB_OK;
    return end(l, is_lost(status) ? code_of(status, "row") : "row", why.message, out, err);
}

static fab_status refuse(fab_live *l, fab_status status, const char *code, const fab_error *why,
                         fab_buf *out, fab_error *err)
{
    if (is_lost(status)) return end(l, code_of(status, code), why->message, out, err);
    return put_error(code, why->message, false, out, err);
}

static fab_status on_meta(fab_live *l, const fab_json *message, fab_buf *out, fab_error *err)
{
    fab_error why = {0};
    fab_status status = fab_recording_meta(l->recording, message, &why);
    return status == FAB_OK ? FAB_OK : refuse(l, status, "meta", &why, out, err);
}

static fab_status on_attach(fab_live *l, const fab_json *message, fab_buf *out, fab_error *err)
{
    fab_error why = {0};
    fab_status status = fab_recording_attach(l->recording, message, &why);
    return status == FAB_OK ? FAB_OK : refuse(l, status, "attachment", &why, out, err);
}

static fab_status on_stop(fab_live *l, const fab_json *message, fab_buf *out, fab_error *err)
{
    (void)message;
    fab_recorded done;
    fab_error why = {0};
    fab_status status = fab_recording_finish(l->recording, &done, &why);
    l->recording = fab_recording_free(l->recording);
    if (status < 0) return put_error(code_of(status, "io"), why.message, true, out, err);
    return put_stopped(&done, out, err);
}

static fab_status on_ping(fab_live *l, const fab_json *message, fab_buf *out, fab_error *err)
{
    (void)l;
    const fab_json *t = fab_json_find(message, "t");
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_json_set(o, "type", fab_json_string("pong"), err));
    FAB_TRY(fab_json_set(o, "t", fab_json_is_number(t) ? fab_json_real(fab_json_number(t))
                                                       : fab_json_null(), err));
    return put(o, out, err);
}

/* ---- messages --------------------------------------------------------------------------- */

static const struct {
    const char *type;
    fab_role least;
    bool recording; /* only while something is recorded */
    fab_status (*take)(fab_live *l, const fab_json *message, fab_buf *out, fab_error *err);
} types[] = {
    {"ping", FAB_ROLE_VIEW, false, on_ping},
    {"record.start", FAB_ROLE_OWNER, false, on_start},
    {"row", FAB_ROLE_OWNER, true, on_row},
    {"meta", FAB_ROLE_OWNER, true, on_meta},
    {"record.attach", FAB_ROLE_OWNER, true, on_attach},
    {"record.stop", FAB_ROLE_OWNER, true, on_stop},
};

/* Said once; a client that was told that its recording ended may have had more under way. */
static fab_status nothing_recorded(fab_live *l, fab_buf *out, fab_error *err)
{
    if (l->told_none) return FAB_OK;
    l->told_none = true;
    return put_error("not-recording", "nothing is being recorded", false, out, err);
}

static fab_status dispatch(fab_live *l, const fab_json *message, fab_buf *out, fab_error *err)
{
    const char *type = fab_text_of(message, "type");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(type, types[i].type) != 0) continue;
        if (l->role < types[i].least)
            return put_error("role", "only an owner records", false, out, err);
        if (types[i].recording && !l->recording) return nothing_recorded(l, out, err);
        FAB_TRY(types[i].take(l, message, out, err));
        return look_after(l, out, err);
    }
    return put_error("type", "unknown type", false, out, err);
}

fab_status fab_live_text(fab_live *l, const void *text, size_t bytes, double now_s, fab_buf *out,
                         fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *message = NULL;
    fab_error why = {0};
    (void)now_s;
    if (bytes > fab_live_limit(l, false)) return put_error("size", "too long", false, out, err);
    fab_status status = fab_json_parse(text, bytes, "the message", &message, &why);
    if (status == FAB_OK && !fab_json_is_object(message))
        status = fab_error_set(&why, FAB_ERR_FORMAT, "not an object");
    if (status < 0) /* it may have been a row */
        return l->recording ? end(l, "json", why.message, out, err)
                            : put_error("json", why.message, false, out, err);
    return dispatch(l, message, out, err);
}

/* A bad batch is dropped and counted; how many is said once a second. */
static fab_status complain(fab_live *l, const fab_error *why, double now_s, fab_buf *out,
                           fab_error *err)
{
    char message[FAB_MAX_ERROR_BYTES];
    bool first = l->complained++ == 0;
    if (!first && now_s - l->complained_s < quiet_s) return FAB_OK;
    snprintf(message, sizeof message, "%.600s (%llu dropped)", why->message,
             (unsigned long long)l->complained);
    l->complained_s = now_s;
    return put_error("batch", message, false, out, err);
}

fab_status fab_live_binary(fab_live *l, const void *data, size_t bytes, double now_s, fab_buf *out,
                           fab_error *err)
{
    fab_error why = {0};
    if (!l->recording) return nothing_recorded(l, out, err);
    fab_status status = fab_recording_batch(l->recording, data, bytes, &why);
    if (is_lost(status)) return end(l, code_of(status, "io"), why.message, out, err);
    if (status < 0) FAB_TRY(complain(l, &why, now_s, out, err));
    return look_after(l, out, err);
}

fab_status fab_live_poll(fab_live *l, double now_s, fab_buf *out, fab_error *err)
{
    fab_error why = {0};
    fab_status status = l->recording ? fab_recording_rest(l->recording, now_s, &why) : FAB_OK;
    if (status < 0) return end(l, code_of(status, "io"), why.message, out, err);
    return look_after(l, out, err);
}

size_t fab_live_limit(const fab_live *l, bool binary)
{
    if (l->role != FAB_ROLE_OWNER) return FAB_SERVER_MAX_MESSAGE_BYTES;
    return binary ? FAB_SERVER_MAX_BATCH_BYTES : FAB_SERVER_MAX_TEXT_BYTES;
}

fab_status fab_live_open(fab_studio *studio, fab_role role, fab_live **out, fab_buf *text,
                         fab_error *err)
{
    fab_live *l = fab_calloc(1, sizeof *l);
    if (!l) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    l->studio = studio;
    l->role = role;
    fab_status status = put_hello(role, text, err);
    if (status < 0) {
        fab_free(l);
        return status;
    }
    *out = l;
    return FAB_OK;
}

fab_live *fab_live_close(fab_live *l)
{
    if (!l) return NULL;
    if (l->recording) {
        fab_recorded done;
        fab_error why;
        (void)finish(l, &done, &why); /* nobody is there to be told; what was saved stays */
    }
    return fab_free(l);
}
