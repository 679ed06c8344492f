/* nrrd.c - a NRRD file (attached or detached header) to a fab_volume.
 *
 * Geometry comes from "space", "space directions" and "space origin". A file without one of them
 * does not say where it lies in the patient, and is refused rather than guessed at. An axis whose
 * direction is "none" (a vector or list axis) is dropped if it has one entry, refused otherwise. */
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

#include "nrrd_internal.h"

/* ---- header ----------------------------------------------------------------------------- */

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) text++;
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) text[--n] = 0;
    return text;
}

static fab_status parse_line(fab_nrrd_header *h, char *line, fab_error *err)
{
    char *colon = strchr(line, ':');
    if (line[0] == '#') return FAB_OK;
    if (!colon)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: NRRD header line \"%.60s\" has no colon", h->name, line);
    if (colon[1] == '=') return FAB_OK; /* key := value, free text */
    *colon = 0;
    return fab_nrrd_field(h, trim(line), trim(colon + 1), err);
}

/* Splits text (NUL-terminated, `count` bytes) at line ends up to the empty line. */
static fab_status parse_text(fab_nrrd_header *h, char *text, size_t count, fab_error *err)
{
    size_t at = 0;
    for (int line = 0; at < count; line++) {
        char *start = text + at, *end = memchr(start, '\n', count - at);
        size_t length = end ? (size_t)(end - start) : count - at;
        at += length + (end != NULL);
        start[length] = 0;
        if (length && start[length - 1] == '\r') start[--length] = 0;
        if (strlen(start) != length)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: NRRD header holds a zero byte", h->name);
        if (line == 0) continue; /* the magic, already checked */
        if (!length) {
            h->end = at;
            return FAB_OK;
        }
        FAB_TRY(parse_line(h, start, err));
    }
    h->end = at; /* a detached header may end without an empty line */
    return FAB_OK;
}

static fab_status check_complete(const fab_nrrd_header *h, fab_error *err)
{
    const char *missing = !h->has_type ? "type" : !h->has_sizes ? "sizes"
                          : !h->has_encoding ? "encoding" : NULL;
    if (missing) FAB_FAIL(err, FAB_ERR_FORMAT, "%s: NRRD without \"%s\"", h->name, missing);
    missing = h->sign[0] == 0 ? "space" : !h->has_directions ? "space directions"
              : !h->has_origin ? "space origin" : NULL;
    if (missing)
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "%s: NRRD without \"%s\": it does not say where it lies in "
                 "the patient", h->name, missing);
    if (h->raw_bytes > 1 && h->encoding != FAB_NRRD_ASCII && h->endian == FAB_NRRD_NO_ENDIAN)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: NRRD without \"endian\"", h->name);
    if (h->byte_skip < 0 && h->encoding != FAB_NRRD_RAW)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: NRRD \"byte skip: -1\" needs encoding raw", h->name);
    return FAB_OK;
}

fab_status fab_nrrd_header_read(const fab_reader *r, fab_nrrd_header *h, fab_error *err)
{
    *h = (fab_nrrd_header){.name = r->name};
    size_t count = r->size < FAB_MAX_NRRD_HEADER_BYTES ? (size_t)r->size
                                                       : FAB_MAX_NRRD_HEADER_BYTES;
    FAB_AUTO_FREE char *text = fab_malloc(count + 1);
    if (!text) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to read it", r->name);
    FAB_TRY(fab_reader_read(r, 0, text, count, err));
    text[count] = 0;
    if (count < 8 || memcmp(text, "NRRD000", 7) || !isdigit((unsigned char)text[7]))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: not a NRRD file", r->name);
    FAB_TRY(parse_text(h, text, count, err));
    if (h->end == count && r->size > count)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: NRRD header longer than %u bytes", r->name,
                 FAB_MAX_NRRD_HEADER_BYTES);
    return check_complete(h, err);
}

fab_status fab_nrrd_grid(const fab_nrrd_header *h, fab_grid *out, fab_error *err)
{
    fab_grid g = {0};
    int axes = 0;
    for (int i = 0; i < h->dimension; i++) {
        if (h->direction_none[i]) {
            if (h->sizes[i] != 1)
                FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NRRD axis %d has no direction and %lld "
                         "entries; one value a voxel is read", h->name, i,
                         (long long)h->sizes[i]);
            continue;
        }
        if (axes == 3)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NRRD of more than 3 spatial axes", h->name);
        g.size[axes] = (int32_t)h->sizes[i];
        for (int k = 0; k < 3; k++)
            g.world_from_voxel.m[k][axes] = h->direction[i][k] * (k < 2 ? h->sign[k] : 1);
        axes++;
    }
    if (axes < 3)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NRRD of %d spatial %s; 3 are needed", h->name, axes,
                 fab_plural(axes, "axis", "axes"));
    for (int k = 0; k < 3; k++)
        g.world_from_voxel.m[k][3] = h->origin[k] * (k < 2 ? h->sign[k] : 1);
    if (fab_grid_check(&g, err) < 0) return err ? fab_error_prefix(err, "%s", h->name)
                                                : FAB_ERR_GEOMETRY;
    *out = g;
    return FAB_OK;
}

/* ---- data ------------------------------------------------------------------------------- */

static fab_status skip_lines(const fab_reader *r, int64_t lines, uint64_t *offset, fab_error *err)
{
    FAB_AUTO_STREAM fab_nifti_stream s = {0};
    char block[4096];
    if (!lines) return FAB_OK;
    FAB_TRY(fab_nifti_stream_open(&s, r, *offset, false, err));
    while (lines > 0) {
        size_t got = 0;
        FAB_TRY(fab_nifti_stream_some(&s, block, sizeof block, &got, err));
        if (!got) FAB_FAIL(err, FAB_ERR_FORMAT, "%s: truncated: fewer lines than \"line skip\"",
                           r->name);
        for (size_t i = 0; i < got && lines > 0; i++) {
            ++*offset;
            if (block[i] == '\n') lines--;
        }
    }
    return FAB_OK;
}

static fab_status read_data(const fab_nrrd_header *h, const fab_reader *r, uint64_t offset,
                            fab_volume **out, char *notes, size_t capacity, fab_error *err)
{
    fab_grid g;
    FAB_TRY(fab_nrrd_grid(h, &g, err));
    fab_nifti_payload p = {.r = r, .offset = offset, .raw = h->raw, .slope = 1,
                           .gzip = h->encoding == FAB_NRRD_GZIP,
                           .ascii = h->encoding == FAB_NRRD_ASCII,
                           .swap = h->endian == FAB_NRRD_BIG};
    FAB_TRY(skip_lines(r, h->line_skip, &p.offset, err));
    if (h->byte_skip < 0) { /* the data are the last bytes of the file */
        uint64_t bytes = (uint64_t)fab_grid_voxels(&g) * (uint64_t)h->raw_bytes;
        if (bytes > r->size)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: truncated: %llu bytes of voxels expected, %llu "
                     "there", r->name, (unsigned long long)bytes, (unsigned long long)r->size);
        p.offset = r->size - bytes;
    } else {
        p.skip = (uint64_t)h->byte_skip;
    }
    return fab_nifti_read_voxels(&p, &g, out, notes, capacity, err);
}

fab_status fab_nrrd_read_from(const fab_reader *r, fab_volume **out, char *notes, size_t capacity,
                              fab_error *err)
{
    if (notes && capacity) notes[0] = 0;
    FAB_AUTO_FREE fab_nrrd_header *h = fab_malloc(sizeof *h);
    if (!h) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to read it", r->name);
    FAB_TRY(fab_nrrd_header_read(r, h, err));
    if (h->data_file[0])
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NRRD with its data in another file (\"%.80s\")",
                 r->name, h->data_file);
    return read_data(h, r, h->end, out, notes, capacity, err);
}

/* Opens "<folder of path>/<data file>", which must be a plain file there, not a link. */
static fab_status open_data(const char *path, const fab_nrrd_header *h, fab_reader *out,
                            fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES], data[FAB_MAX_PATH_BYTES];
    struct stat st;
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    if (length >= sizeof folder)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: path longer than %d bytes", h->name, FAB_MAX_PATH_BYTES);
    memcpy(folder, path, length);
    folder[length] = 0;
    FAB_TRY(fab_path_join(data, sizeof data, length ? folder : ".", h->data_file, err));
    if (lstat(data, &st) == 0 && S_ISLNK(st.st_mode))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NRRD data file \"%s\" is a link", h->name,
                 h->data_file);
    fab_status status = fab_reader_open_file(data, out, err);
    if (status < 0 && err) fab_error_prefix(err, "%s", h->name);
    return status;
}

fab_status fab_nrrd_read(const char *path, fab_volume **out, char *notes, size_t capacity,
                         fab_error *err)
{
    if (notes && capacity) notes[0] = 0;
    fab_reader r, data;
    FAB_AUTO_FREE fab_nrrd_header *h = fab_malloc(sizeof *h);
    if (!h) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to read it", path);
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = fab_nrrd_header_read(&r, h, err);
    if (status == FAB_OK && !h->data_file[0]) {
        status = read_data(h, &r, h->end, out, notes, capacity, err);
    } else if (status == FAB_OK) {
        status = open_data(path, h, &data, err);
        if (status == FAB_OK) {
            status = read_data(h, &data, 0, out, notes, capacity, err);
            fab_reader_close(&data);
        }
    }
    fab_reader_close(&r);
    return status;
}
