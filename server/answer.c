/* answer.c - making an answer: JSON, errors, shared bytes, conditions and ranges (RFC 9110). */
#include "server_internal.h"

#include <inttypes.h>
#include <libdeflate.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- shared bytes ----------------------------------------------------------------------- */

fab_bytes *fab_bytes_own(uint8_t *memory, size_t size)
{
    fab_bytes *b = fab_calloc(1, sizeof *b);
    if (!b) return fab_free(memory);
    b->memory = memory;
    b->data = memory;
    b->size = size;
    atomic_store(&b->references, 1);
    return b;
}

fab_bytes *fab_bytes_of_volume(fab_volume *volume)
{
    fab_bytes *b = fab_bytes_own(NULL, fab_volume_bytes(volume));
    if (!b) return NULL;
    b->volume = fab_volume_ref(volume);
    b->data = fab_volume_data(volume);
    return b;
}

fab_bytes *fab_bytes_ref(fab_bytes *b)
{
    if (b) atomic_fetch_add(&b->references, 1);
    return b;
}

fab_bytes *fab_bytes_unref(fab_bytes *b)
{
    if (!b || atomic_fetch_sub(&b->references, 1) > 1) return NULL;
    fab_free(b->memory);
    fab_volume_unref(b->volume);
    return fab_free(b);
}

fab_bytes *fab_bytes_gzip(const void *data, size_t size, int level)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
    if (!c) return NULL;
    size_t bound = libdeflate_gzip_compress_bound(c, size);
    uint8_t *memory = fab_malloc(bound);
    size_t used = memory ? libdeflate_gzip_compress(c, data, size, memory, bound) : 0;
    libdeflate_free_compressor(c);
    if (!used) return fab_free(memory);
    uint8_t *fitting = fab_realloc(memory, used);
    return fab_bytes_own(fitting ? fitting : memory, used);
}

/* ---- answers ---------------------------------------------------------------------------- */

void fab_answer_start(fab_answer *a) { *a = (fab_answer){.status = 500, .fd = -1}; }

void fab_answer_free(fab_answer *a)
{
    const char *route = a->route;
    a->bytes = fab_bytes_unref(a->bytes);
    if (a->fd >= 0) close(a->fd);
    fab_answer_start(a);
    a->route = route;
}

void fab_answer_header(fab_answer *a, const char *name, const char *format, ...)
{
    va_list args;
    if (a->header_count == FAB_ANSWER_HEADERS) return;
    int n = a->header_count++;
    a->headers[n].name = name;
    va_start(args, format);
    vsnprintf(a->headers[n].value, sizeof a->headers[n].value, format, args);
    va_end(args);
}

void fab_answer_text(fab_answer *a, int status, const char *type, const char *text)
{
    size_t size = strlen(text);
    char *copy = fab_strdup(text);
    fab_answer_free(a);
    a->bytes = copy ? fab_bytes_own((uint8_t *)copy, size) : NULL;
    a->status = a->bytes ? status : 500;
    a->type = a->bytes ? type : NULL;
    a->length = a->bytes ? size : 0;
}

static void take_json(fab_answer *a, int status, fab_json *value)
{
    fab_buf buf = {0};
    fab_writer w;
    fab_writer_to_buf(&buf, &w);
    bool good = value && fab_json_dump(value, 0, &w, NULL) == FAB_OK;
    size_t size = buf.size;
    fab_answer_free(a);
    if (good) a->bytes = fab_bytes_own(buf.data, size);
    else fab_buf_free(&buf);
    a->status = a->bytes ? status : 500;
    a->type = a->bytes ? "application/json" : NULL;
    a->length = a->bytes ? size : 0;
    fab_answer_header(a, "cache-control:", "no-store");
}

void fab_answer_json(fab_answer *a, int status, fab_json *value)
{
    take_json(a, status, value);
    fab_json_free(value);
}

void fab_answer_error(fab_answer *a, int status, const char *code, const char *format, ...)
{
    char message[FAB_MAX_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    fab_json *inner = fab_json_object();
    bool good = inner && fab_json_set(inner, "code", fab_json_string(code), NULL) == FAB_OK &&
                fab_json_set(inner, "message", fab_json_string(message), NULL) == FAB_OK;
    good = o && fab_json_set(o, "error", inner, NULL) == FAB_OK && good;
    take_json(a, status, good ? o : NULL);
}

bool fab_answer_part(fab_answer *a, const fab_request *q, const char *tag, uint64_t size)
{
    uint64_t first = 0, count = size;
    fab_range_kind kind = FAB_RANGE_WHOLE;
    if (q->range[0] && (!q->if_range[0] || fab_parse_has_tag(q->if_range, tag, false)))
        kind = fab_parse_range(q->range, size, &first, &count);
    fab_answer_header(a, "etag:", "\"%s\"", tag);
    fab_answer_header(a, "accept-ranges:", "bytes");
    if (q->if_none_match[0] && fab_parse_has_tag(q->if_none_match, tag, true)) {
        a->status = 304;
        return false;
    }
    if (kind == FAB_RANGE_BAD) {
        fab_answer_error(a, 416, "range", "the range is outside of %" PRIu64 " bytes", size);
        fab_answer_header(a, "content-range:", "bytes */%" PRIu64, size);
        return false;
    }
    a->status = kind == FAB_RANGE_PART ? 206 : 200;
    a->offset = first;
    a->length = count;
    if (kind == FAB_RANGE_PART)
        fab_answer_header(a, "content-range:", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                          first + count - 1, size);
    return true;
}
