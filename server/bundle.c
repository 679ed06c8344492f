/* bundle.c - a twin as one HTML file that opens from the disk, without server or network.
 *
 *     web/dist/bundle/bundle.html   the viewer in one script, its policy by the script's hash
 *       ... <!--fabrica-data--> ...  here go the answers of the routes, each a block
 *           <script type="text/plain" data-path="/api/v1/case" ...>base64</script>
 *
 * What a viewer's role would get is what goes in: no patient. Base64 has no character that HTML
 * knows, so nothing is escaped; paths in attributes are ours or made of plain letters. */
#include "server_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MARK "<!--fabrica-data-->"
#define MODEL "export/twin.headset.glb"
enum { PIECE = 3 << 14, BEST_GZIP = 9, MOST_TEMPLATE = 16 << 20 };

typedef struct bundle {
    const fab_bundle_options *o;
    fab_case twin;
    fab_file_table files;
    fab_levels *levels;
    fab_writer *w;
    char manifest_sha256[65];
    pthread_mutex_t lock;
    pthread_cond_t ready;
    unsigned woken; /* under lock */
} bundle;

/* ---- blocks ----------------------------------------------------------------------------- */

/* Base64 in pieces of a multiple of three bytes, so that only the last is padded. */
static fab_status put_base64(bundle *b, const uint8_t *bytes, size_t size, fab_error *err)
{
    char text[sodium_base64_ENCODED_LEN(PIECE, sodium_base64_VARIANT_ORIGINAL)];
    for (size_t at = 0; at < size; at += PIECE) {
        size_t n = size - at < PIECE ? size - at : PIECE;
        sodium_bin2base64(text, sizeof text, bytes + at, n, sodium_base64_VARIANT_ORIGINAL);
        FAB_TRY(fab_writer_write(b->w, text, strlen(text), err));
    }
    return FAB_OK;
}

/* Compressed where that saves a twentieth. *used: bytes in the page. */
static fab_status put_block(bundle *b, const char *path, const char *type, const void *bytes,
                            size_t size, uint64_t *used, fab_error *err)
{
    uint64_t before = b->w->written;
    fab_bytes *packed = fab_bytes_gzip(bytes, size, BEST_GZIP);
    if (!packed) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory for %s", path);
    bool small = packed->size < size - size / 20;
    fab_status status = fab_writer_printf(
        b->w, err, "<script type=\"text/plain\" data-path=\"%s\" data-type=\"%s\"%s>", path, type,
        small ? " data-packed" : "");
    if (status == FAB_OK)
        status = small ? put_base64(b, packed->data, packed->size, err)
                       : put_base64(b, bytes, size, err);
    fab_bytes_unref(packed);
    FAB_TRY(status);
    FAB_TRY(fab_writer_write(b->w, "</script>\n", 10, err));
    *used += b->w->written - before;
    if (b->w->written <= b->o->max_bytes) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_LIMIT, "the page would be larger than %.0f MB: take a coarser CT "
             "(--bundle-ct 2 or none)", (double)b->o->max_bytes * 1e-6);
}

static fab_status put_json(bundle *b, const char *path, const fab_json *value, uint64_t *used,
                           fab_error *err)
{
    FAB_AUTO_BUF fab_buf text = {0};
    fab_writer w;
    fab_writer_to_buf(&text, &w);
    FAB_TRY(fab_json_dump(value, 0, &w, err));
    return put_block(b, path, "application/json", text.data, text.size, used, err);
}

static fab_status put_lesson(bundle *b, const char *route, uint64_t *used, fab_error *err)
{
    fab_reader r;
    FAB_AUTO_FREE uint8_t *bytes = NULL;
    size_t size = 0;
    FAB_TRY(fab_reader_open_file(b->o->lesson, &r, err));
    fab_status status = fab_reader_read_all(&r, (size_t)b->o->max_bytes, &bytes, &size, err);
    fab_reader_close(&r);
    FAB_TRY(status);
    return put_block(b, route, "application/x-mcap", bytes, size, used, err);
}

/* The structures: through no link, as a case may come from anywhere, and as the manifest says. */
static fab_status put_model(bundle *b, uint64_t *used, fab_error *err)
{
    const fab_file *f = fab_files_find(&b->files, MODEL);
    if (f->bytes > b->o->max_bytes)
        FAB_FAIL(err, FAB_ERR_LIMIT, MODEL " has %.0f MB", (double)f->bytes * 1e-6);
    FAB_AUTO_FREE uint8_t *bytes = fab_malloc(f->bytes + 1);
    if (!bytes) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory for " MODEL);
    int fd = fab_files_open_beneath(b->files.folder, MODEL);
    size_t got = 0;
    for (ssize_t n = 1; fd >= 0 && n > 0 && got <= f->bytes; got += n > 0 ? (size_t)n : 0)
        n = pread(fd, bytes + got, f->bytes + 1 - got, (off_t)got);
    if (fd >= 0) close(fd);
    if (got != f->bytes)
        FAB_FAIL(err, FAB_ERR_IO, "%s/" MODEL " is gone, a link, or changed", b->twin.path);
    return put_block(b, "/api/v1/case/files/" MODEL, "model/gltf-binary", bytes, got, used, err);
}

/* ---- volume and labels ------------------------------------------------------------------ */

static void wake(void *ctx)
{
    bundle *b = ctx;
    pthread_mutex_lock(&b->lock);
    b->woken++;
    pthread_cond_signal(&b->ready);
    pthread_mutex_unlock(&b->lock);
}

static fab_status open_levels(bundle *b, fab_error *err)
{
    static const char *const names[] = {"volume.nii.gz", "labels.nii.gz"};
    char paths[FAB_LEVEL_KINDS][FAB_MAX_PATH_BYTES];
    const char *list[FAB_LEVEL_KINDS] = {NULL};
    const fab_json *rows = fab_json_find(b->twin.manifest, "structures");
    bool wide = false;
    for (int kind = 0; kind < FAB_LEVEL_KINDS && b->o->level >= 0; kind++) {
        if (!fab_files_find(&b->files, names[kind])) continue;
        FAB_TRY(fab_path_join(paths[kind], sizeof paths[kind], b->twin.path, names[kind], err));
        list[kind] = paths[kind];
    }
    for (size_t i = 0; i < fab_json_count(rows); i++)
        wide |= fab_real_of(fab_json_at(rows, i), "value") > 255;
    return fab_levels_open(list, wide, wake, b, &b->levels, err);
}

/* Waits for the voxels of a level. */
static fab_status wait_level(bundle *b, fab_level_kind kind, fab_level *out, fab_error *err)
{
    for (;;) {
        pthread_mutex_lock(&b->lock);
        unsigned seen = b->woken;
        pthread_mutex_unlock(&b->lock);
        fab_status status = fab_levels_get(b->levels, kind, b->o->level, true, fab_time_wall_s(),
                                           out, err);
        if (status <= 0) return status;
        pthread_mutex_lock(&b->lock);
        while (b->woken == seen) pthread_cond_wait(&b->ready, &b->lock);
        pthread_mutex_unlock(&b->lock);
    }
}

/* The voxels as a block, and the level as the case tells of it; null where there are none. */
static fab_status put_level(bundle *b, fab_level_kind kind, fab_json **out, uint64_t *used,
                            fab_error *err)
{
    static const char *const names[] = {"volume", "labels"};
    static const char *const files[] = {"volume.nii.gz", "labels.nii.gz"};
    const bool wanted = b->o->level >= 0 && fab_files_find(&b->files, files[kind]);
    char path[64];
    fab_level l = {0};
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    fab_json *levels = fab_json_array();
    fab_status status = b->o->level < 0 ? FAB_ERR_NOTFOUND : wait_level(b, kind, &l, err);
    if (status == FAB_ERR_NOTFOUND && !wanted) {
        fab_json_free(levels);
        *out = fab_json_null();
        return FAB_OK;
    }
    snprintf(path, sizeof path, "/api/v1/case/%s/%d", names[kind], b->o->level);
    if (status == FAB_OK)
        status =
            put_block(b, path, "application/octet-stream", l.raw->data, l.raw->size, used, err);
    fab_bytes_unref(l.raw);
    fab_bytes_unref(l.gzip);
    if (status == FAB_OK)
        status = fab_json_append(levels, fab_case_level_json(b->o->level, &l), err);
    if (status < 0) {
        fab_json_free(levels);
        return status;
    }
    FAB_TRY(fab_json_set(o, "levels", levels, err));
    *out = fab_json_retain(o);
    return FAB_OK;
}

/* ---- the case --------------------------------------------------------------------------- */

/* The files that the page holds, and the label map's hash, by which lessons know their twin. */
static fab_status file_rows(const bundle *b, const fab_private *shown, fab_json **out,
                            fab_error *err)
{
    static const char *const names[] = {MODEL, "labels.nii.gz"};
    FAB_AUTO(fab_json_free) fab_json *rows = fab_json_array();
    fab_file manifest = {.path = (char *)(uintptr_t)"manifest.json", .bytes = shown->raw->size};
    memcpy(manifest.sha256, shown->sha256, sizeof manifest.sha256);
    FAB_TRY(fab_json_append(rows, fab_case_file_json(&manifest), err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const fab_file *f = fab_files_find(&b->files, names[i]);
        if (f) FAB_TRY(fab_json_append(rows, fab_case_file_json(f), err));
    }
    *out = fab_json_retain(rows);
    return FAB_OK;
}

static fab_status put_case(bundle *b, fab_bundle_info *info, fab_error *err)
{
    static const char manifest_path[] = "/api/v1/case/files/manifest.json";
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object(), *volume = NULL, *labels = NULL,
                                     *rows = NULL;
    fab_private shown = {0};
    FAB_TRY(put_level(b, FAB_LEVEL_VOLUME, &volume, &info->volume, err));
    FAB_TRY(put_level(b, FAB_LEVEL_LABELS, &labels, &info->labels, err));
    FAB_TRY(fab_privacy_open(b->twin.manifest, &shown, err));
    fab_status status = put_block(b, manifest_path, "application/json", shown.raw->data,
                                  shown.raw->size, &info->page, err);
    if (status == FAB_OK) status = file_rows(b, &shown, &rows, err);
    fab_privacy_close(&shown);
    FAB_TRY(status);
    FAB_TRY(fab_json_set(o, "format", fab_json_string("fabrica-case-view"), err));
    FAB_TRY(fab_json_set(o, "format_version", fab_json_int(1), err));
    FAB_TRY(fab_json_set(o, "name", fab_json_string("Twin"), err));
    FAB_TRY(fab_json_set(o, "manifest", fab_json_string(manifest_path), err));
    FAB_TRY(fab_json_set(o, "manifest_sha256", fab_json_string(b->manifest_sha256), err));
    FAB_TRY(fab_json_set(o, "files", fab_json_retain(rows), err));
    FAB_TRY(fab_json_set(o, "volume", fab_json_retain(volume), err));
    FAB_TRY(fab_json_set(o, "labels", fab_json_retain(labels), err));
    FAB_TRY(fab_json_set(o, "role", fab_json_string("view"), err));
    FAB_TRY(fab_json_set(o, "read_only", fab_json_bool(true), err));
    return put_json(b, "/api/v1/case", o, &info->page, err);
}

static fab_status put_session(bundle *b, fab_bundle_info *info, fab_error *err)
{
    static const char text[] = "{\"paired\":true,\"role\":\"view\",\"expires_s\":86400}";
    return put_block(b, "/api/v1/session", "application/json", text, sizeof text - 1, &info->page,
                     err);
}

static fab_status put_lessons(bundle *b, fab_bundle_info *info, fab_error *err)
{
    char name[FAB_LESSON_SLUG_BYTES], path[FAB_LESSON_SLUG_BYTES + 32];
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    fab_json *rows = fab_json_array(), *row = NULL;
    const fab_file *labels = fab_files_find(&b->files, "labels.nii.gz");
    const fab_model_hashes model = {b->manifest_sha256, labels ? labels->sha256 : ""};
    fab_status status = FAB_OK;
    if (b->o->lesson)
        status = fab_shelf_describe(b->o->lesson, &model, name, &row, err);
    if (status == FAB_OK && row) status = fab_json_append(rows, row, err);
    if (status < 0) {
        fab_json_free(rows);
        return status;
    }
    FAB_TRY(fab_json_set(o, "lessons", rows, err));
    FAB_TRY(put_json(b, "/api/v1/lessons", o, &info->page, err));
    if (!b->o->lesson) return FAB_OK;
    snprintf(path, sizeof path, "/api/v1/lessons/%s", name);
    return put_lesson(b, path, &info->lesson, err);
}

/* ---- the page --------------------------------------------------------------------------- */

static fab_status read_template(const bundle *b, uint8_t **text, size_t *size, const char **mark,
                                fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_reader r;
    if (!b->o->web_folder)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "no web client found (make web; --web DIR, FABRICA_WEB)");
    FAB_TRY(fab_path_join(path, sizeof path, b->o->web_folder, "bundle/bundle.html", err));
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = fab_reader_read_all(&r, MOST_TEMPLATE, text, size, err);
    fab_reader_close(&r);
    FAB_TRY(status);
    *mark = strstr((const char *)*text, MARK);
    if (!*mark || strstr(*mark + 1, MARK))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: not one place for data (%s)", path, MARK);
    return FAB_OK;
}

static fab_status open_twin(bundle *b, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_case_open(b->o->case_path, &b->twin, err));
    FAB_TRY(fab_path_join(path, sizeof path, b->twin.path, "manifest.json", err));
    fab_status status = fab_files_open(b->twin.path, fab_json_find(b->twin.manifest, "files"),
                                       &b->files, err);
    if (status < 0) fab_error_prefix(err, "%s", path);
    FAB_TRY(status);
    FAB_TRY(fab_sha256_file(path, b->manifest_sha256, err));
    if (fab_json_count(fab_json_find(b->twin.manifest, "structures")) == 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s holds no structures: there is nothing to show",
                 b->o->case_path);
    if (!fab_files_find(&b->files, MODEL))
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s holds no " MODEL ": fabrica export CASE --format "
                 "glb-headset makes one", b->o->case_path);
    return open_levels(b, err);
}

static fab_status put_page(bundle *b, fab_bundle_info *info, fab_error *err)
{
    FAB_AUTO_FREE uint8_t *text = NULL;
    size_t size = 0;
    const char *mark = NULL;
    FAB_TRY(read_template(b, &text, &size, &mark, err));
    size_t before = (size_t)(mark - (const char *)text), behind = before + strlen(MARK);
    FAB_TRY(fab_writer_write(b->w, text, before, err));
    FAB_TRY(put_session(b, info, err));
    FAB_TRY(put_case(b, info, err));
    FAB_TRY(put_model(b, &info->structures, err));
    FAB_TRY(put_lessons(b, info, err));
    FAB_TRY(fab_writer_write(b->w, text + behind, size - behind, err));
    info->page += size - strlen(MARK);
    info->total = b->w->written;
    return FAB_OK;
}

fab_status fab_bundle_write(const fab_bundle_options *options, const char *path,
                            fab_bundle_info *out, fab_error *err)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    bundle b = {.o = options, .files.folder = -1};
    fab_bundle_info info = {0};
    if (sodium_init() < 0) FAB_FAIL(err, FAB_ERR_IO, "libsodium has no random numbers");
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.ready, NULL);
    fab_status status = open_twin(&b, err);
    if (status == FAB_OK) status = fab_atomic_open(path, &file, err);
    if (status == FAB_OK) {
        b.w = fab_atomic_writer(file);
        status = put_page(&b, &info, err);
    }
    fab_levels_close(b.levels); /* its thread wakes us */
    fab_files_close(&b.files);
    fab_case_close(&b.twin);
    pthread_cond_destroy(&b.ready);
    pthread_mutex_destroy(&b.lock);
    FAB_TRY(status);
    FAB_TRY(fab_atomic_commit(&file, err));
    *out = info;
    return FAB_OK;
}
