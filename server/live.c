/* live.c - the live channel's messages (WebSocket, subprotocol fabrica.live.1): JSON objects with
 * a "type". The seed of rooms: today it greets and answers a ping. */
#include "server_internal.h"

#include <string.h>

void fab_live_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)s;
    (void)q;
    (void)rest;
    fab_answer_error(a, 426, "upgrade", "this is a WebSocket");
    fab_answer_header(a, "upgrade:", "websocket");
}

static fab_status put(fab_json *o, fab_buf *out, fab_error *err)
{
    fab_writer w;
    fab_writer_to_buf(out, &w);
    return fab_json_dump(o, 0, &w, err);
}

fab_status fab_live_hello(fab_role role, fab_buf *out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_json_set(o, "type", fab_json_string("hello"), err));
    FAB_TRY(fab_json_set(o, "role", fab_json_string(fab_role_name(role)), err));
    FAB_TRY(fab_json_set(o, "version", fab_json_string(FAB_VERSION), err));
    return put(o, out, err);
}

static fab_status put_error(const char *code, const char *message, fab_buf *out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_json_set(o, "type", fab_json_string("error"), err));
    FAB_TRY(fab_json_set(o, "code", fab_json_string(code), err));
    FAB_TRY(fab_json_set(o, "message", fab_json_string(message), err));
    return put(o, out, err);
}

fab_status fab_live_answer(const void *text, size_t bytes, fab_buf *out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *message = NULL, *o = NULL;
    fab_error why = {0};
    if (bytes > FAB_SERVER_MAX_MESSAGE_BYTES) return put_error("size", "too long", out, err);
    if (fab_json_parse(text, bytes, "the message", &message, &why) < 0)
        return put_error("json", why.message, out, err);
    if (!fab_json_is_object(message)) return put_error("json", "not an object", out, err);
    const fab_json *t = fab_json_find(message, "t");
    if (strcmp(fab_text_of(message, "type"), "ping") != 0)
        return put_error("type", "unknown type", out, err);
    o = fab_json_object();
    FAB_TRY(fab_json_set(o, "type", fab_json_string("pong"), err));
    FAB_TRY(fab_json_set(o, "t", fab_json_is_number(t) ? fab_json_real(fab_json_number(t))
                                                       : fab_json_null(), err));
    return put(o, out, err);
}
