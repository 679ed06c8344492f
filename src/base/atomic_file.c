/* atomic_file.c - files that appear whole or not at all: temporary, fsync, rename, fsync folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fabrica/base.h"

enum { BUFFER_BYTES = 1 << 18 };

struct fab_atomic_file {
    int fd;
    size_t filled;
    fab_writer writer;
    char path[FAB_MAX_PATH_BYTES], temporary[FAB_MAX_PATH_BYTES];
    uint8_t buffer[BUFFER_BYTES];
};

static fab_status write_failed(const fab_atomic_file *f, const char *what, fab_error *err)
{
    int code = errno;
    bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
    FAB_FAIL(err, full ? FAB_ERR_NOSPACE : FAB_ERR_IO, "%s: %s failed: %s", f->path, what,
             strerror(code));
}

static fab_status write_out(fab_atomic_file *f, const uint8_t *bytes, size_t count, fab_error *err)
{
    while (count) {
        ssize_t put = write(f->fd, bytes, count);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return write_failed(f, "write", err);
        bytes += put;
        count -= (size_t)put;
    }
    return FAB_OK;
}

static fab_status flush_buffer(fab_atomic_file *f, fab_error *err)
{
    size_t count = f->filled;
    f->filled = 0;
    return write_out(f, f->buffer, count, err);
}

static fab_status buffered_write(void *ctx, const void *bytes, size_t count, fab_error *err)
{
    fab_atomic_file *f = ctx;
    if (count > sizeof f->buffer - f->filled) FAB_TRY(flush_buffer(f, err));
    if (count >= sizeof f->buffer) return write_out(f, bytes, count, err);
    memcpy(f->buffer + f->filled, bytes, count);
    f->filled += count;
    return FAB_OK;
}

/* A rename would put a file in the place of /dev/null. */
static fab_status check_place(const char *path, fab_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_ARG, "%s is a device or a pipe: give the name of a file", path);
}

fab_status fab_atomic_open(const char *path, fab_atomic_file **out, fab_error *err)
{
    FAB_TRY(check_place(path, err));
    fab_atomic_file *f = fab_malloc(sizeof *f);
    if (!f) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory for a write buffer", path);
    f->filled = 0;
    f->writer = (fab_writer){.ctx = f, .write = buffered_write};
    int a = snprintf(f->path, sizeof f->path, "%s", path);
    int b = snprintf(f->temporary, sizeof f->temporary, "%s.tmp-XXXXXX", path);
    if (a < 0 || b < 0 || (size_t)b >= sizeof f->temporary) {
        fab_free(f);
        FAB_FAIL(err, FAB_ERR_ARG, "%.80s...: path longer than %d bytes", path,
                 FAB_MAX_PATH_BYTES);
    }
    f->fd = mkostemp(f->temporary, O_CLOEXEC);
    if (f->fd < 0) {
        fab_status status = write_failed(f, "creating it", err);
        fab_free(f);
        return status;
    }
    mode_t mask = umask(0);
    umask(mask);
    (void)!fchmod(f->fd, 0666 & ~mask);
    *out = f;
    return FAB_OK;
}

fab_writer *fab_atomic_writer(fab_atomic_file *file)
{
    return &file->writer;
}

static void sync_folder_of(const char *path)
{
    char folder[FAB_MAX_PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = 0;
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

fab_status fab_atomic_commit(fab_atomic_file **file, fab_error *err)
{
    fab_atomic_file *f = *file;
    FAB_TRY(flush_buffer(f, err));
    if (fsync(f->fd) != 0) return write_failed(f, "fsync", err);
    int fd = f->fd;
    f->fd = -1;
    if (close(fd) != 0) return write_failed(f, "close", err);
    if (rename(f->temporary, f->path) != 0) return write_failed(f, "rename", err);
    sync_folder_of(f->path);
    *file = fab_free(f);
    return FAB_OK;
}

fab_atomic_file *fab_atomic_abort(fab_atomic_file *f)
{
    if (!f) return NULL;
    if (f->fd >= 0) close(f->fd);
    unlink(f->temporary);
    return fab_free(f);
}

fab_status fab_file_write_atomic(const char *path, const void *bytes, size_t count, fab_error *err)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *f = NULL;
    FAB_TRY(fab_atomic_open(path, &f, err));
    FAB_TRY(fab_writer_write(fab_atomic_writer(f), bytes, count, err));
    return fab_atomic_commit(&f, err);
}
