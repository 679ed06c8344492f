/* levels.c - volume and labels at three resolutions, prepared on a thread of their own.
 *
 *     level 0   the native voxels: read again when asked for, let go a minute after the last use
 *     level 1   at most 256 a side, level 2 at most 96: made once at the start, kept, and gzipped
 *
 * The event loop never waits: fab_levels_get says "later", and the thread wakes the loop. */
#include "server_internal.h"

#include <signal.h>
#include <string.h>

#include "fabrica/nifti.h"

enum { GZIP_LEVEL = 3 };

struct fab_levels {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool quit;                      /* below: under lock */
    bool present[FAB_LEVEL_KINDS], wanted[FAB_LEVEL_KINDS];
    bool wide_labels;               /* set at the start: announced as U16 */
    double used_s[FAB_LEVEL_KINDS]; /* when level 0 was asked for */
    fab_level level[FAB_LEVEL_KINDS][FAB_LEVELS];
    fab_error failed[FAB_LEVEL_KINDS];
    char path[FAB_LEVEL_KINDS][FAB_MAX_PATH_BYTES];
    void (*wake)(void *ctx);
    void *ctx;
};

/* ---- making one ------------------------------------------------------------------------- */

/* The file as the type that is sent: I16, and U8 or U16 for labels. */
static fab_status read_native(const fab_levels *l, fab_level_kind kind, fab_volume **out,
                              fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    fab_dtype type = FAB_I16;
    double low = 0, high = 0;
    FAB_TRY(fab_nifti_read(l->path[kind], &v, NULL, 0, err));
    if (kind == FAB_LEVEL_LABELS) {
        fab_volume_minmax(v, &low, &high);
        if (low < 0 || high > FAB_MAX_LABELS)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s is not a label map", l->path[kind]);
        type = high > 255 || l->wide_labels ? FAB_U16 : FAB_U8;
    }
    if (fab_volume_dtype(v) != type) return fab_volume_convert(v, type, out, err);
    *out = v;
    v = NULL;
    return FAB_OK;
}

static void publish(fab_levels *l, fab_level_kind kind, int index, const fab_level *made)
{
    pthread_mutex_lock(&l->lock);
    fab_level *at = &l->level[kind][index];
    fab_bytes *raw = at->raw, *gzip = at->gzip;
    *at = *made;
    pthread_mutex_unlock(&l->lock);
    fab_bytes_unref(raw);
    fab_bytes_unref(gzip);
}

/* What is known of v as a level; with its bytes if asked. */
static fab_status describe(fab_volume *v, bool bytes, bool packed, fab_level *out, fab_error *err)
{
    fab_level l = {.known = true, .measured = true, .grid = *fab_volume_grid(v),
                   .type = fab_volume_dtype(v)};
    fab_volume_minmax(v, &l.low, &l.high);
    if (bytes) l.raw = fab_bytes_of_volume(v);
    if (packed) l.gzip = fab_bytes_gzip(fab_volume_data(v), fab_volume_bytes(v), GZIP_LEVEL);
    if (bytes && !l.raw) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory for the volume");
    *out = l;
    return FAB_OK;
}

static const int sides[FAB_LEVELS] = {0, FAB_LEVEL1_SIDE, FAB_LEVEL2_SIDE};

static fab_status make_levels(fab_levels *l, fab_level_kind kind, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *native = NULL;
    fab_level made;
    FAB_TRY(read_native(l, kind, &native, err));
    FAB_TRY(describe(native, false, false, &made, err));
    publish(l, kind, 0, &made);
    for (int i = FAB_LEVELS - 1; i > 0; i--) {
        FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
        fab_grid grid = fab_levels_grid(fab_volume_grid(native), sides[i]);
        if (kind == FAB_LEVEL_VOLUME) FAB_TRY(fab_levels_average(native, &grid, &v, err));
        else FAB_TRY(fab_volume_resample(native, &grid, FAB_NEAREST, 0, &v, err));
        FAB_TRY(describe(v, true, true, &made, err));
        publish(l, kind, i, &made);
        l->wake(l->ctx);
    }
    return FAB_OK;
}

static fab_status make_native(fab_levels *l, fab_level_kind kind, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *native = NULL;
    fab_level made;
    FAB_TRY(read_native(l, kind, &native, err));
    FAB_TRY(describe(native, true, false, &made, err));
    publish(l, kind, 0, &made);
    return FAB_OK;
}

static void keep_failure(fab_levels *l, fab_level_kind kind, fab_status status,
                         const fab_error *err)
{
    if (status == FAB_OK) return;
    pthread_mutex_lock(&l->lock);
    l->failed[kind] = *err;
    l->failed[kind].status = status;
    pthread_mutex_unlock(&l->lock);
}

/* Waits for a wish; FAB_LEVEL_KINDS: the end. */
static fab_level_kind next_wish(fab_levels *l)
{
    fab_level_kind kind = FAB_LEVEL_KINDS;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        if (l->quit) break;
        if (l->wanted[FAB_LEVEL_VOLUME]) kind = FAB_LEVEL_VOLUME;
        else if (l->wanted[FAB_LEVEL_LABELS]) kind = FAB_LEVEL_LABELS;
        if (kind != FAB_LEVEL_KINDS) break;
        pthread_cond_wait(&l->work, &l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return kind;
}

static bool quits(fab_levels *l)
{
    pthread_mutex_lock(&l->lock);
    bool quit = l->quit;
    pthread_mutex_unlock(&l->lock);
    return quit;
}

static void *thread_main(void *arg)
{
    fab_levels *l = arg;
    for (int kind = 0; kind < FAB_LEVEL_KINDS && !quits(l); kind++) {
        fab_error err = {0};
        if (l->present[kind])
            keep_failure(l, (fab_level_kind)kind, make_levels(l, (fab_level_kind)kind, &err),
                         &err);
        l->wake(l->ctx);
    }
    for (fab_level_kind kind; (kind = next_wish(l)) != FAB_LEVEL_KINDS;) {
        fab_error err = {0};
        keep_failure(l, kind, make_native(l, kind, &err), &err);
        pthread_mutex_lock(&l->lock);
        l->wanted[kind] = false;
        pthread_mutex_unlock(&l->lock);
        l->wake(l->ctx);
    }
    return NULL;
}

/* ---- from the event loop ---------------------------------------------------------------- */

/* Before a voxel is read: the grids, by the file's header. */
static void announce(fab_levels *l, fab_level_kind kind, bool wide_labels)
{
    fab_error err = {0};
    fab_grid native;
    bool bytes = false;
    fab_status status = fab_nifti_read_grid(l->path[kind], &native, &bytes, &err);
    keep_failure(l, kind, status, &err);
    if (status < 0) return;
    if (kind == FAB_LEVEL_LABELS) l->wide_labels = wide_labels && !bytes;
    for (int i = 0; i < FAB_LEVELS; i++)
        l->level[kind][i] =
            (fab_level){.known = true,
                        .grid = i ? fab_levels_grid(&native, sides[i]) : native,
                        .type = kind == FAB_LEVEL_VOLUME ? FAB_I16
                                : l->wide_labels         ? FAB_U16
                                                         : FAB_U8};
}

fab_status fab_levels_open(const char *const path[FAB_LEVEL_KINDS], bool wide_labels,
                           void (*wake)(void *ctx), void *ctx, fab_levels **out, fab_error *err)
{
    fab_levels *l = fab_calloc(1, sizeof *l);
    if (!l) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    l->wake = wake;
    l->ctx = ctx;
    pthread_mutex_init(&l->lock, NULL);
    for (int kind = 0; kind < FAB_LEVEL_KINDS; kind++) {
        l->present[kind] = path[kind] != NULL && strlen(path[kind]) < FAB_MAX_PATH_BYTES;
        if (!l->present[kind]) continue;
        memcpy(l->path[kind], path[kind], strlen(path[kind]) + 1);
        announce(l, (fab_level_kind)kind, wide_labels);
    }
    pthread_cond_init(&l->work, NULL);
    sigset_t all, before; /* signals belong to the thread that runs the server */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&l->thread, NULL, thread_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        fab_free(l);
        FAB_FAIL(err, FAB_ERR_IO, "cannot start a thread: %s", strerror(failed));
    }
    *out = l;
    return FAB_OK;
}

fab_levels *fab_levels_close(fab_levels *l)
{
    if (!l) return NULL;
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    for (int i = 0; i < FAB_LEVEL_KINDS * FAB_LEVELS; i++) {
        fab_bytes_unref(l->level[i / FAB_LEVELS][i % FAB_LEVELS].raw);
        fab_bytes_unref(l->level[i / FAB_LEVELS][i % FAB_LEVELS].gzip);
    }
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
    return fab_free(l);
}

/* lock held */
static fab_status get(fab_levels *l, fab_level_kind kind, int level, bool voxels, double now_s,
                      fab_level *out, fab_error *err)
{
    const fab_level *at = &l->level[kind][level];
    bool ready = voxels ? at->raw != NULL : at->known;
    if (!l->present[kind]) FAB_FAIL(err, FAB_ERR_NOTFOUND, "the case has none");
    if (!ready && l->failed[kind].status < 0)
        FAB_FAIL(err, l->failed[kind].status, "%s", l->failed[kind].message);
    if (voxels && level == 0) l->used_s[kind] = now_s;
    if (!ready) {
        l->wanted[kind] |= level == 0 && voxels;
        pthread_cond_signal(&l->work);
        return 1;
    }
    *out = *at;
    out->raw = voxels ? fab_bytes_ref(at->raw) : NULL;
    out->gzip = voxels ? fab_bytes_ref(at->gzip) : NULL;
    return FAB_OK;
}

fab_status fab_levels_get(fab_levels *l, fab_level_kind kind, int level, bool voxels, double now_s,
                          fab_level *out, fab_error *err)
{
    pthread_mutex_lock(&l->lock);
    fab_status status = get(l, kind, level, voxels, now_s, out, err);
    pthread_mutex_unlock(&l->lock);
    return status;
}

void fab_levels_tidy(fab_levels *l, double now_s)
{
    for (int kind = 0; kind < FAB_LEVEL_KINDS; kind++) {
        fab_bytes *old = NULL;
        pthread_mutex_lock(&l->lock);
        fab_level *at = &l->level[kind][0];
        if (at->raw && now_s - l->used_s[kind] > FAB_NATIVE_KEEP_S) {
            old = at->raw;
            at->raw = NULL;
        }
        pthread_mutex_unlock(&l->lock);
        fab_bytes_unref(old);
    }
}
