/* files.c - the files of one folder, by a table made at the start.
 *
 * A request names a row of the table; only the row's own path, which was checked when it came in,
 * is opened, below the folder's descriptor and through no link (openat2, RESOLVE_BENEATH). So no
 * text from outside ever becomes a path. */
#include "server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHEAP_GZIP_BYTES = 1 << 20 };

/* ---- the table -------------------------------------------------------------------------- */

static bool path_is_inside(const char *path)
{
    if (!path[0] || path[0] == '/' || strlen(path) >= FAB_SERVER_MAX_TARGET_BYTES) return false;
    for (const char *at = path; *at;) {
        size_t n = strcspn(at, "/");
        if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at += n;
        if (*at && !*++at) return false;
    }
    return true;
}

fab_status fab_files_add(fab_file_table *t, const char *path, uint64_t bytes, const char *sha256,
                         fab_error *err)
{
    if (!path_is_inside(path))
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"%.100s\" is no path inside the folder", path);
    if (strlen(sha256) != 64 || strspn(sha256, "0123456789abcdef") != 64)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: \"sha256\" is not one", path);
    if (t->count >= FAB_SERVER_MAX_FILES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d files", FAB_SERVER_MAX_FILES);
    fab_file *items = fab_realloc(t->items, (t->count + 1) * sizeof *items);
    if (!items) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    t->items = items;
    char *copy = fab_strdup(path);
    if (!copy) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    items[t->count] = (fab_file){.path = copy, .bytes = bytes};
    memcpy(items[t->count++].sha256, sha256, 65);
    return FAB_OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const fab_file *)a)->path, ((const fab_file *)b)->path);
}

void fab_files_sort(fab_file_table *t)
{
    if (t->count > 1) qsort(t->items, t->count, sizeof *t->items, by_path);
}

const fab_file *fab_files_find(const fab_file_table *t, const char *path)
{
    fab_file key = {.path = (char *)(uintptr_t)path};
    return t->count ? bsearch(&key, t->items, t->count, sizeof key, by_path) : NULL;
}

static fab_status add_rows(fab_file_table *t, const fab_json *rows, fab_error *err)
{
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        const fab_json *row = fab_json_at(rows, i);
        const char *path = NULL, *sha256 = NULL;
        int64_t bytes = 0;
        FAB_TRY(fab_json_get_string(row, "path", &path, err));
        FAB_TRY(fab_json_get_int(row, "bytes", 0, INT64_MAX, &bytes, err));
        FAB_TRY(fab_json_get_string(row, "sha256", &sha256, err));
        FAB_TRY(fab_files_add(t, path, (uint64_t)bytes, sha256, err));
    }
    fab_files_sort(t);
    return FAB_OK;
}

fab_status fab_files_open(const char *folder, const fab_json *rows, fab_file_table *out,
                          fab_error *err)
{
    fab_file_table t = {.folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (t.folder < 0)
        FAB_FAIL(err, errno == ENOENT ? FAB_ERR_NOTFOUND : FAB_ERR_IO, "cannot open %s: %s",
                 folder, strerror(errno));
    fab_status status = add_rows(&t, rows, err);
    if (status < 0) {
        fab_files_close(&t);
        return status;
    }
    *out = t;
    return FAB_OK;
}

void fab_files_close(fab_file_table *t)
{
    for (size_t i = 0; i < t->count; i++) fab_free(t->items[i].path);
    fab_free(t->items);
    if (t->folder >= 0) close(t->folder);
    *t = (fab_file_table){.folder = -1};
}

/* ---- types ------------------------------------------------------------------------------ */

static const struct type {
    const char *ending, *type;
    bool active; /* a browser may run it */
} types[] = {
    {".html", "text/html; charset=utf-8", true},
    {".js", "text/javascript; charset=utf-8", true},
    {".mjs", "text/javascript; charset=utf-8", true},
    {".css", "text/css; charset=utf-8", true},
    {".wasm", "application/wasm", true},
    {".svg", "image/svg+xml", true},
    {".webmanifest", "application/manifest+json", true},
    {".json", "application/json", false},
    {".map", "application/json", false},
    {".txt", "text/plain; charset=utf-8", false},
    {".png", "image/png", false},
    {".jpg", "image/jpeg", false},
    {".webp", "image/webp", false},
    {".ktx2", "image/ktx2", false},
    {".ico", "image/vnd.microsoft.icon", false},
    {".woff2", "font/woff2", false},
    {".ogg", "audio/ogg", false},
    {".opus", "audio/ogg", false},
    {".mp3", "audio/mpeg", false},
    {".glb", "model/gltf-binary", false},
    {".stl", "model/stl", false},
    {".obj", "model/obj", false},
    {".mtl", "model/mtl", false},
    {".3mf", "model/3mf", false},
    {".dcm", "application/dicom", false},
    {".gz", "application/gzip", false},
};

const char *fab_files_type(const char *path, bool own)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t n = strlen(types[i].ending);
        if (length < n || strcasecmp(path + length - n, types[i].ending) != 0) continue;
        if (own || !types[i].active) return types[i].type;
    }
    return "application/octet-stream";
}

static bool compressible(const char *type)
{
    static const char *const list[] = {"text/", "application/json", "application/wasm",
                                       "image/svg", "model/obj", "model/mtl"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (strncmp(type, list[i], strlen(list[i])) == 0) return true;
    return false;
}

/* ---- answers ---------------------------------------------------------------------------- */

int fab_files_open_beneath(int folder, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd < 0 && errno == ENOSYS) /* Linux before 5.6; the row's path has no ".." */
        fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    return fd;
}

/* A small text, compressed on the spot: true if *a is it. */
static bool answer_gzip(const fab_file *f, const fab_request *q, int fd, fab_answer *a)
{
    char tag[80];
    FAB_AUTO_FREE uint8_t *text = fab_malloc(f->bytes + 1);
    if (!text || pread(fd, text, f->bytes, 0) != (ssize_t)f->bytes) return false;
    fab_bytes *packed = fab_bytes_gzip(text, f->bytes, 6);
    if (!packed) return false;
    snprintf(tag, sizeof tag, "%s-gz", f->sha256);
    fab_answer_header(a, "content-encoding:", "gzip");
    if (fab_answer_part(a, q, tag, packed->size)) a->bytes = packed;
    else fab_bytes_unref(packed);
    return true;
}

void fab_files_answer(const fab_file_table *t, const fab_file *f, const fab_request *q,
                      const char *type, fab_answer *a)
{
    struct stat st;
    int fd = fab_files_open_beneath(t->folder, f->path);
    bool same = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                (uint64_t)st.st_size == f->bytes;
    if (!same) {
        if (fd >= 0) close(fd);
        fab_answer_error(a, 500, "changed", "this file is gone or changed on disk");
        return;
    }
    a->type = type;
    if (compressible(type)) fab_answer_header(a, "vary:", "accept-encoding");
    bool small = f->bytes > 256 && f->bytes <= CHEAP_GZIP_BYTES && compressible(type);
    if (small && !q->range[0] && fab_parse_accepts_gzip(q->accept_encoding) &&
        answer_gzip(f, q, fd, a)) {
        close(fd);
        return;
    }
    if (fab_answer_part(a, q, f->sha256, f->bytes)) a->fd = fd;
    else close(fd);
}
