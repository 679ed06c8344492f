/* atomic_file.c - files that appear whole or not at all; a process that is killed leaves nothing.
 *
 *     the file system knows O_TMPFILE:  a file without a name -> fsync -> link to PATH
 *                                       (PATH exists: link to PATH.tmp-XXXXXX -> rename)
 *     it does not (NFS, FAT, FUSE):     PATH.tmp-XXXXXX -> fsync -> rename; on a list, so that a
 *                                       process that is told to stop can remove it
 *     both:                             fsync of the folder
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fabrica/base.h"

enum { BUFFER_BYTES = 1 << 18, SUFFIX_LETTERS = 6, NAME_TRIES = 100 };

struct fab_atomic_file {
    int fd;
    bool named; /* temporary is a name in the folder, and the file is on the list */
    fab_atomic_file *next;
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

/* The folder that path is in, in a buffer of FAB_MAX_PATH_BYTES. */
static const char *folder_of(const char *path, char *into)
{
    snprintf(into, FAB_MAX_PATH_BYTES, "%s", path);
    char *slash = strrchr(into, '/');
    if (!slash) return ".";
    slash[slash == into] = 0;
    return into;
}

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static fab_atomic_file *list; /* those with a name */

static void remember(fab_atomic_file *f)
{
    f->named = true;
    f->next = list;
    list = f;
}

/* Renames the temporary to its place, or removes it, and takes it off the list. */
static int drop_name(fab_atomic_file *f, bool keep)
{
    pthread_mutex_lock(&list_lock);
    int failed = keep ? rename(f->temporary, f->path) : unlink(f->temporary);
    if (!keep || !failed) {
        fab_atomic_file **at = &list;
        while (*at != f) at = &(*at)->next;
        *at = f->next;
        f->named = false;
    }
    int code = errno;
    pthread_mutex_unlock(&list_lock);
    errno = code;
    return failed;
}

void fab_atomic_remove_unfinished(void)
{
    pthread_mutex_lock(&list_lock); /* for good: the process ends here */
    for (const fab_atomic_file *f = list; f; f = f->next) unlink(f->temporary);
}

static int try_create(fab_atomic_file *f)
{
    f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    return f->fd < 0 ? -1 : 0;
}

/* The name under /proc is what links a file without one (AT_EMPTY_PATH needs a privilege). */
static int try_link_to(const fab_atomic_file *f, const char *path)
{
    char from[32];
    snprintf(from, sizeof from, "/proc/self/fd/%d", f->fd);
    return linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

static int try_link(fab_atomic_file *f)
{
    return try_link_to(f, f->temporary);
}

/* Calls make with one name after another until one is free; the file is on the list then. */
static int with_free_name(fab_atomic_file *f, int (*make)(fab_atomic_file *))
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    char *suffix = f->temporary + strlen(f->temporary) - SUFFIX_LETTERS;
    int failed = -1;
    for (int n = 0; n < NAME_TRIES && failed; n++) {
        uint8_t random[SUFFIX_LETTERS];
        if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return -1;
        for (int i = 0; i < SUFFIX_LETTERS; i++)
            suffix[i] = letters[random[i] % (sizeof letters - 1)];
        pthread_mutex_lock(&list_lock);
        failed = make(f);
        if (!failed) remember(f);
        int code = errno;
        pthread_mutex_unlock(&list_lock);
        errno = code;
        if (failed && code != EEXIST) return -1;
    }
    return failed;
}

/* False: the file system has none, or what would give it a name later is not there (no /proc). */
static bool create_nameless(fab_atomic_file *f)
{
    char folder[FAB_MAX_PATH_BYTES], proc[32];
    f->fd = open(folder_of(f->path, folder), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
    if (f->fd < 0) return false;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", f->fd);
    if (access(proc, F_OK) == 0) return true;
    close(f->fd);
    return false;
}

fab_status fab_atomic_open(const char *path, fab_atomic_file **out, fab_error *err)
{
    FAB_TRY(check_place(path, err));
    fab_atomic_file *f = fab_malloc(sizeof *f);
    if (!f) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory for a write buffer", path);
    f->filled = 0;
    f->named = false;
    f->writer = (fab_writer){.ctx = f, .write = buffered_write};
    int a = snprintf(f->path, sizeof f->path, "%s", path);
    int b = snprintf(f->temporary, sizeof f->temporary, "%s.tmp-XXXXXX", path);
    if (a < 0 || b < 0 || (size_t)b >= sizeof f->temporary) {
        fab_free(f);
        FAB_FAIL(err, FAB_ERR_ARG, "%.80s...: path longer than %d bytes", path,
                 FAB_MAX_PATH_BYTES);
    }
    if (!create_nameless(f) && with_free_name(f, try_create) != 0) {
        fab_status status = write_failed(f, "creating it", err);
        fab_free(f);
        return status;
    }
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
    int fd = open(folder_of(path, folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

/* Puts a file without a name in its place; where something is there already, by way of a name
 * beside it that is renamed next. */
static fab_status give_name(fab_atomic_file *f, bool *placed, fab_error *err)
{
    *placed = try_link_to(f, f->path) == 0;
    if (*placed) return FAB_OK;
    if (errno != EEXIST || with_free_name(f, try_link) != 0) return write_failed(f, "link", err);
    return FAB_OK;
}

fab_status fab_atomic_commit(fab_atomic_file **file, fab_error *err)
{
    fab_atomic_file *f = *file;
    bool placed = false;
    FAB_TRY(flush_buffer(f, err));
    if (fsync(f->fd) != 0) return write_failed(f, "fsync", err);
    if (!f->named) FAB_TRY(give_name(f, &placed, err));
    int fd = f->fd;
    f->fd = -1;
    if (close(fd) != 0 && !placed) return write_failed(f, "close", err);
    if (!placed && drop_name(f, true) != 0) return write_failed(f, "rename", err);
    sync_folder_of(f->path);
    *file = fab_free(f);
    return FAB_OK;
}

fab_atomic_file *fab_atomic_abort(fab_atomic_file *f)
{
    if (!f) return NULL;
    if (f->fd >= 0) close(f->fd);
    if (f->named) drop_name(f, false);
    return fab_free(f);
}

fab_status fab_file_write_atomic(const char *path, const void *bytes, size_t count, fab_error *err)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *f = NULL;
    FAB_TRY(fab_atomic_open(path, &f, err));
    FAB_TRY(fab_writer_write(fab_atomic_writer(f), bytes, count, err));
    return fab_atomic_commit(&f, err);
}
