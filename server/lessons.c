/* lessons.c - the lessons: listed, sent by ranges, taken away. */
#include "server_internal.h"

#include <string.h>

static void refuse(fab_status status, const fab_error *err, fab_answer *a)
{
    if (status == FAB_ERR_NOTFOUND) fab_answer_error(a, 404, "not-found", "%s", err->message);
    else if (status == FAB_ERR_ARG) fab_answer_error(a, 409, "kept", "%s", err->message);
    else if (status == FAB_ERR_FORMAT) fab_answer_error(a, 409, "broken", "%s", err->message);
    else fab_answer_error(a, 500, fab_status_name(status), "%s", err->message);
}

void fab_lessons_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)rest;
    fab_error err = {0};
    fab_buf text = {0};
    fab_status status = fab_shelf_list(s->shelf, q->now_s, &text, &err);
    if (status == FAB_OK) {
        a->length = text.size;
        a->bytes = fab_bytes_own(text.data, text.size);
        a->status = a->bytes ? 200 : 500;
        a->type = a->bytes ? "application/json" : NULL;
        if (!a->bytes) a->length = 0;
        fab_answer_header(a, "cache-control:", "no-store");
        return;
    }
    fab_buf_free(&text);
    if (status > 0) a->wait = true;
    else refuse(status, &err, a);
}

void fab_lesson_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    fab_error err = {0};
    fab_shelf_lesson l = {.fd = -1};
    fab_status status = fab_shelf_find(s->shelf, rest, q->now_s, &l, &err);
    a->sandbox = true;
    if (status > 0) a->wait = true;
    else if (status < 0) refuse(status, &err, a);
    else {
        a->type = "application/x-mcap";
        a->fd = l.fd;
        (void)fab_answer_part(a, q, l.sha256, l.bytes);
        fab_answer_header(a, "cache-control:", "private, no-cache");
    }
    a->sandbox = true;
}

void fab_lesson_delete(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    fab_error err = {0};
    fab_status status = fab_shelf_remove(s->shelf, rest, q->now_s, &err);
    if (status > 0) a->wait = true;
    else if (status < 0) refuse(status, &err, a);
    else a->status = 204;
}
