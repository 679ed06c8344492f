/* buffer.c - growable bytes with a cap. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fabrica/base.h"

fab_status fab_buf_reserve(fab_buf *buf, size_t extra, fab_error *err)
{
    size_t max = buf->max_bytes ? buf->max_bytes : FAB_MAX_ALLOC_BYTES;
    if (extra > max || buf->size > max - extra)
        FAB_FAIL(err, FAB_ERR_LIMIT, "buffer would grow beyond %zu bytes", max);
    size_t need = buf->size + extra;
    if (need <= buf->capacity) return FAB_OK;
    size_t capacity = buf->capacity ? buf->capacity : 256;
    while (capacity < need) capacity += capacity / 2;
    uint8_t *grown = fab_realloc(buf->data, capacity);
    if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a buffer of %zu bytes", capacity);
    buf->data = grown;
    buf->capacity = capacity;
    return FAB_OK;
}

fab_status fab_buf_append(fab_buf *buf, const void *bytes, size_t count, fab_error *err)
{
    if (!count) return FAB_OK;
    FAB_TRY(fab_buf_reserve(buf, count, err));
    memcpy(buf->data + buf->size, bytes, count);
    buf->size += count;
    return FAB_OK;
}

fab_status fab_buf_appendf(fab_buf *buf, fab_error *err, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int count = vsnprintf(NULL, 0, format, args);
    va_end(args);
    fab_status status = count < 0 ? fab_error_set(err, FAB_ERR_ARG, "bad format string")
                                  : fab_buf_reserve(buf, (size_t)count + 1, err);
    if (status == FAB_OK) {
        vsnprintf((char *)buf->data + buf->size, (size_t)count + 1, format, again);
        buf->size += (size_t)count;
    }
    va_end(again);
    return status;
}

void fab_buf_free(fab_buf *buf)
{
    fab_free(buf->data);
    buf->data = NULL;
    buf->size = buf->capacity = 0;
}
