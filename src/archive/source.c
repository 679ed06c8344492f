/* source.c - lets libzip read through a fab_reader instead of opening files itself. */
#include <string.h>

#include "archive_internal.h"

#define ZIP_LEAST_BYTES 22 /* the end record of an empty zip */

typedef struct source {
    const fab_reader *r;
    uint64_t at;
    zip_error_t error;
} source;

static zip_int64_t source_read(source *s, void *into, zip_uint64_t count)
{
    uint64_t left = s->r->size - s->at;
    if (count > left) count = left;
    if (fab_reader_read(s->r, s->at, into, (size_t)count, NULL) < 0) {
        zip_error_set(&s->error, ZIP_ER_READ, 0);
        return -1;
    }
    s->at += count;
    return (zip_int64_t)count;
}

static zip_int64_t source_seek(source *s, void *args, zip_uint64_t length)
{
    zip_int64_t to = zip_source_seek_compute_offset(s->at, s->r->size, args, length, &s->error);
    if (to < 0) return -1;
    s->at = (uint64_t)to;
    return 0;
}

static zip_int64_t source_stat(const source *s, void *into)
{
    zip_stat_t *st = into;
    zip_stat_init(st);
    st->valid |= ZIP_STAT_SIZE;
    st->size = s->r->size;
    return (zip_int64_t)sizeof *st;
}

static zip_int64_t source_call(void *ctx, void *data, zip_uint64_t length, zip_source_cmd_t command)
{
    source *s = ctx;
    switch (command) {
    case ZIP_SOURCE_OPEN: s->at = 0; return 0;
    case ZIP_SOURCE_READ: return source_read(s, data, length);
    case ZIP_SOURCE_SEEK: return source_seek(s, data, length);
    case ZIP_SOURCE_TELL: return (zip_int64_t)s->at;
    case ZIP_SOURCE_STAT: return source_stat(s, data);
    case ZIP_SOURCE_CLOSE: return 0;
    case ZIP_SOURCE_ERROR: return zip_error_to_data(&s->error, data, length);
    case ZIP_SOURCE_FREE:
        zip_error_fini(&s->error);
        fab_free(s);
        return 0;
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                              ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
                                              ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
                                              ZIP_SOURCE_SUPPORTS, -1);
    default: zip_error_set(&s->error, ZIP_ER_OPNOTSUPP, 0); return -1;
    }
}

fab_status fab_archive_zip_open(const fab_reader *r, zip_t **out, fab_error *err)
{
    zip_error_t error;
    if (r->size < ZIP_LEAST_BYTES)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: not a readable zip file: %llu %s", r->name,
                 (unsigned long long)r->size, fab_plural((int64_t)r->size, "byte", "bytes"));
    source *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to open it", r->name);
    s->r = r;
    zip_error_init(&s->error);
    zip_error_init(&error);
    zip_source_t *zs = zip_source_function_create(source_call, s, &error);
    if (!zs) {
        zip_error_fini(&error);
        fab_free(s);
        FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to open it", r->name);
    }
    zip_t *zip = zip_open_from_source(zs, ZIP_RDONLY, &error);
    if (!zip) {
        bool memory = zip_error_code_zip(&error) == ZIP_ER_MEMORY;
        fab_error_set(err, memory ? FAB_ERR_NOMEM : FAB_ERR_FORMAT,
                      "%s: not a readable zip file, or a truncated one (%s)", r->name,
                      zip_error_strerror(&error));
        zip_source_free(zs);
        zip_error_fini(&error);
        return memory ? FAB_ERR_NOMEM : FAB_ERR_FORMAT;
    }
    zip_error_fini(&error);
    *out = zip;
    return FAB_OK;
}
