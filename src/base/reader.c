/* reader.c - byte sources (file, memory) and sinks. Parsers see only these. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fabrica/base.h"

static fab_status file_read_at(void *ctx, uint64_t offset, void *into, size_t count,
                               fab_error *err)
{
    int fd = (int)(intptr_t)ctx;
    uint8_t *to = into;
    while (count) {
        ssize_t got = pread(fd, to, count, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) FAB_FAIL(err, FAB_ERR_IO, "read failed: %s", strerror(errno));
        if (got == 0) FAB_FAIL(err, FAB_ERR_FORMAT, "file ends early, at byte %llu",
                               (unsigned long long)offset);
        to += got;
        count -= (size_t)got;
        offset += (uint64_t)got;
    }
    return FAB_OK;
}

static void file_close(void *ctx)
{
    close((int)(intptr_t)ctx);
}

fab_status fab_reader_open_file(const char *path, fab_reader *out, fab_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* no wait for a pipe */
    if (fd < 0) {
        fab_status status = errno == ENOENT ? FAB_ERR_NOTFOUND : FAB_ERR_IO;
        FAB_FAIL(err, status, "%s: %s", path, strerror(errno));
    }
    struct stat st = {0};
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        FAB_FAIL(err, FAB_ERR_IO, "%s is %s, not a file", path, fab_path_kind(st.st_mode));
    }
    *out = (fab_reader){.ctx = (void *)(intptr_t)fd, .size = (uint64_t)st.st_size,
                        .read_at = file_read_at, .close = file_close};
    const char *slash = strrchr(path, '/');
    snprintf(out->name, sizeof out->name, "%s", slash ? slash + 1 : path);
    return FAB_OK;
}

static fab_status memory_read_at(void *ctx, uint64_t offset, void *into, size_t count,
                                 fab_error *err)
{
    (void)err;
    memcpy(into, (const uint8_t *)ctx + offset, count);
    return FAB_OK;
}

void fab_reader_from_memory(const void *bytes, size_t count, const char *name, fab_reader *out)
{
    *out = (fab_reader){.size = count, .read_at = memory_read_at};
    memcpy(&out->ctx, &bytes, sizeof bytes); /* read only: memory_read_at never writes */
    snprintf(out->name, sizeof out->name, "%s", name);
}

fab_status fab_reader_read(const fab_reader *r, uint64_t offset, void *into, size_t count,
                           fab_error *err)
{
    if (offset > r->size || count > r->size - offset)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: truncated: %zu bytes wanted at %llu, file has %llu",
                 r->name, count, (unsigned long long)offset, (unsigned long long)r->size);
    if (!count) return FAB_OK;
    fab_status status = r->read_at(r->ctx, offset, into, count, err);
    if (status < 0) fab_error_prefix(err, "%s", r->name);
    return status;
}

fab_status fab_reader_read_all(const fab_reader *r, size_t max_bytes, uint8_t **out, size_t *count,
                               fab_error *err)
{
    if (r->size > max_bytes)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: %llu bytes, at most %zu are read", r->name,
                 (unsigned long long)r->size, max_bytes);
    FAB_AUTO_FREE uint8_t *bytes = fab_malloc((size_t)r->size + 1);
    if (!bytes) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to read it", r->name);
    FAB_TRY(fab_reader_read(r, 0, bytes, (size_t)r->size, err));
    bytes[r->size] = 0;
    *count = (size_t)r->size;
    *out = bytes;
    bytes = NULL;
    return FAB_OK;
}

void fab_reader_close(fab_reader *r)
{
    if (r->close) r->close(r->ctx);
    *r = (fab_reader){0};
}

fab_status fab_writer_write(fab_writer *w, const void *bytes, size_t count, fab_error *err)
{
    if (!count) return FAB_OK;
    FAB_TRY(w->write(w->ctx, bytes, count, err));
    w->written += count;
    return FAB_OK;
}

fab_status fab_writer_printf(fab_writer *w, fab_error *err, const char *format, ...)
{
    char small[512];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int count = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    fab_status status = FAB_OK;
    if (count < 0) {
        status = fab_error_set(err, FAB_ERR_ARG, "bad format string");
    } else if ((size_t)count < sizeof small) {
        status = fab_writer_write(w, small, (size_t)count, err);
    } else {
        FAB_AUTO_FREE char *large = fab_malloc((size_t)count + 1);
        if (large) {
            vsnprintf(large, (size_t)count + 1, format, again);
            status = fab_writer_write(w, large, (size_t)count, err);
        } else {
            status = fab_error_set(err, FAB_ERR_NOMEM, "no memory to format text");
        }
    }
    va_end(again);
    return status;
}

static fab_status buf_write(void *ctx, const void *bytes, size_t count, fab_error *err)
{
    return fab_buf_append(ctx, bytes, count, err);
}

void fab_writer_to_buf(fab_buf *buf, fab_writer *out)
{
    *out = (fab_writer){.ctx = buf, .write = buf_write};
}
