/* tape.c - the file of a recording: there from the start, grows, hashed on the way. A thread of its
 * own brings it to the disk when the writer asks (once a chunk), so that a slow disk never holds
 * up the event loop: the loop only puts bytes into the page cache.
 *
 *     loop      write ... mark(t) write sync?      write ...            saved()? -> t
 *     thread                          |--fdatasync--| saved = t, wake
 */
#include "server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct fab_tape {
    int fd;
    fab_writer writer;
    fab_sha256 hash;
    uint64_t bytes;
    int64_t mark_us;
    void (*wake)(void *ctx);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool quit, wanted;             /* below: under lock */
    int64_t wanted_us, saved_us;
    int sync_errno;
};

static fab_status failed(int code, const char *what, fab_error *err)
{
    bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
    FAB_FAIL(err, full ? FAB_ERR_NOSPACE : FAB_ERR_IO, "the lesson's file: %s: %s", what,
             strerror(code));
}

static fab_status write_all(void *ctx, const void *bytes, size_t count, fab_error *err)
{
    fab_tape *t = ctx;
    const uint8_t *from = bytes;
    fab_sha256_update(&t->hash, bytes, count);
    t->bytes += count;
    while (count) {
        ssize_t put = write(t->fd, from, count);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return failed(errno, "write", err);
        from += put;
        count -= (size_t)put;
    }
    return FAB_OK;
}

/* The writer has written a chunk: the thread shall save it. */
static fab_status ask(void *ctx, fab_error *err)
{
    fab_tape *t = ctx;
    pthread_mutex_lock(&t->lock);
    int code = t->sync_errno;
    t->wanted = true;
    t->wanted_us = t->mark_us;
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
    return code ? failed(code, "fdatasync", err) : FAB_OK;
}

static void *thread_main(void *arg)
{
    fab_tape *t = arg;
    pthread_mutex_lock(&t->lock);
    while (!t->quit) {
        if (!t->wanted) {
            pthread_cond_wait(&t->work, &t->lock);
            continue;
        }
        int64_t time_us = t->wanted_us;
        t->wanted = false;
        pthread_mutex_unlock(&t->lock);
        int code = fdatasync(t->fd) == 0 ? 0 : errno;
        pthread_mutex_lock(&t->lock);
        if (code) t->sync_errno = code;
        else t->saved_us = time_us;
        pthread_mutex_unlock(&t->lock);
        t->wake(t->ctx);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static int start_thread(fab_tape *t)
{
    sigset_t all, before; /* signals belong to the thread that runs the server */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&t->thread, NULL, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

fab_status fab_tape_open(int folder, const char *name, void (*wake)(void *ctx), void *ctx,
                         fab_tape **out, fab_mcap_sink *sink, fab_error *err)
{
    fab_tape *t = fab_calloc(1, sizeof *t);
    if (!t) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to record");
    t->wake = wake;
    t->ctx = ctx;
    t->saved_us = t->mark_us = -1;
    fab_sha256_init(&t->hash);
    t->fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (t->fd < 0) {
        int code = errno;
        fab_free(t);
        if (code == EEXIST) FAB_FAIL(err, FAB_ERR_ARG, "%s is there already", name);
        return failed(code, "create", err);
    }
    (void)fsync(folder); /* its name too; what cannot be synced says so with the first chunk */
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, NULL);
    int code = start_thread(t);
    if (code) {
        pthread_cond_destroy(&t->work);
        pthread_mutex_destroy(&t->lock);
        close(t->fd);
        (void)unlinkat(folder, name, 0);
        fab_free(t);
        FAB_FAIL(err, FAB_ERR_IO, "cannot start a thread: %s", strerror(code));
    }
    t->writer = (fab_writer){.ctx = t, .write = write_all};
    *sink = (fab_mcap_sink){&t->writer, t, ask};
    *out = t;
    return FAB_OK;
}

void fab_tape_mark(fab_tape *t, int64_t time_us) { t->mark_us = time_us; }

fab_status fab_tape_sync(fab_tape *t, fab_error *err) { return ask(t, err); }

uint64_t fab_tape_bytes(const fab_tape *t) { return t->bytes; }

fab_status fab_tape_saved(fab_tape *t, int64_t *time_us, fab_error *err)
{
    pthread_mutex_lock(&t->lock);
    int code = t->sync_errno;
    *time_us = t->saved_us;
    pthread_mutex_unlock(&t->lock);
    return code ? failed(code, "fdatasync", err) : FAB_OK;
}

fab_status fab_tape_finish(fab_tape *t, uint64_t *bytes, char sha256[65], fab_error *err)
{
    uint8_t digest[32];
    int64_t ignored = 0;
    FAB_TRY(fab_tape_saved(t, &ignored, err));
    if (fdatasync(t->fd) != 0) return failed(errno, "fdatasync", err);
    fab_sha256_final(&t->hash, digest);
    fab_sha256_hex(digest, sha256);
    *bytes = t->bytes;
    return FAB_OK;
}

fab_tape *fab_tape_close(fab_tape *t)
{
    if (!t) return NULL;
    pthread_mutex_lock(&t->lock);
    t->quit = true;
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    pthread_cond_destroy(&t->work);
    pthread_mutex_destroy(&t->lock);
    close(t->fd);
    return fab_free(t);
}
