/* file.c - the file of a live recording. Unlike an atomic file it is there from the start: what was
 * said so far must be there after a crash. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bytes_internal.h"

struct fab_record_file {
    int fd;
    fab_writer writer;
    char path[FAB_MAX_PATH_BYTES];
};

static fab_status failed(const fab_record_file *f, const char *what, fab_error *err)
{
    int code = errno;
    bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
    FAB_FAIL(err, full ? FAB_ERR_NOSPACE : FAB_ERR_IO, "%s: %s failed: %s", f->path, what,
             strerror(code));
}

static fab_status write_all(void *ctx, const void *bytes, size_t count, fab_error *err)
{
    fab_record_file *f = ctx;
    const uint8_t *from = bytes;
    while (count) {
        ssize_t put = write(f->fd, from, count);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return failed(f, "write", err);
        from += put;
        count -= (size_t)put;
    }
    return FAB_OK;
}

static fab_status sync_file(void *ctx, fab_error *err)
{
    fab_record_file *f = ctx;
    return fdatasync(f->fd) == 0 ? FAB_OK : failed(f, "fdatasync", err);
}

fab_status fab_record_file_open(const char *path, fab_record_file **out, fab_mcap_sink *sink,
                                fab_error *err)
{
    size_t length = strlen(path);
    fab_record_file *f = fab_calloc(1, sizeof *f);
    if (!f) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to record", path);
    if (length >= sizeof f->path) {
        fab_free(f);
        FAB_FAIL(err, FAB_ERR_ARG, "%.80s...: path longer than %d bytes", path,
                 FAB_MAX_PATH_BYTES);
    }
    memcpy(f->path, path, length + 1);
    f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f->fd < 0) {
        int code = errno;
        fab_free(f);
        FAB_FAIL(err, code == EEXIST ? FAB_ERR_ARG : FAB_ERR_IO, "%s: %s", path, strerror(code));
    }
    f->writer = (fab_writer){.ctx = f, .write = write_all};
    *sink = (fab_mcap_sink){&f->writer, f, sync_file};
    *out = f;
    return FAB_OK;
}

fab_record_file *fab_record_file_close(fab_record_file *f)
{
    if (!f) return NULL;
    close(f->fd);
    return fab_free(f);
}
