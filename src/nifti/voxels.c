/* voxels.c - stored numbers to a fab_volume: byte order, scaling, and the choice of type.
 *
 * The type must not depend on luck, and whole numbers must stay whole: so a plan names the wished
 * type, the data are read once, and only if a value does not fit are they read again as F32. */
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nifti_internal.h"

#define CHUNK 65536 /* voxels converted at a time */

/* ---- loading: stored bytes to double ---------------------------------------------------- */

#define LOADER(name, type)                                                                        \
    static void load_##name(const uint8_t *from, size_t n, double *to)                            \
    {                                                                                             \
        for (size_t i = 0; i < n; i++) {                                                          \
            type v;                                                                               \
            memcpy(&v, from + i * sizeof v, sizeof v);                                            \
            to[i] = (double)v;                                                                    \
        }                                                                                         \
    }
LOADER(i8, int8_t)
LOADER(u8, uint8_t)
LOADER(i16, int16_t)
LOADER(u16, uint16_t)
LOADER(i32, int32_t)
LOADER(u32, uint32_t)
LOADER(i64, int64_t)
LOADER(u64, uint64_t)
LOADER(f32, float)
LOADER(f64, double)

static const struct {
    size_t bytes;
    void (*load)(const uint8_t *from, size_t n, double *to);
    fab_dtype exact; /* type of ours for unscaled values */
} raw_types[] = {
    [FAB_RAW_I8] = {1, load_i8, FAB_I16},   [FAB_RAW_U8] = {1, load_u8, FAB_U8},
    [FAB_RAW_I16] = {2, load_i16, FAB_I16}, [FAB_RAW_U16] = {2, load_u16, FAB_U16},
    [FAB_RAW_I32] = {4, load_i32, FAB_I32}, [FAB_RAW_U32] = {4, load_u32, FAB_I32},
    [FAB_RAW_I64] = {8, load_i64, FAB_I32}, [FAB_RAW_U64] = {8, load_u64, FAB_I32},
    [FAB_RAW_F32] = {4, load_f32, FAB_F32}, [FAB_RAW_F64] = {8, load_f64, FAB_F32},
};

static void swap_bytes(uint8_t *bytes, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++, bytes += size)
        for (size_t b = 0; b < size / 2; b++) {
            uint8_t t = bytes[b];
            bytes[b] = bytes[size - 1 - b];
            bytes[size - 1 - b] = t;
        }
}

/* ---- storing: double to our type -------------------------------------------------------- */

/* Each returns false if a value does not fit; a whole-number type holds whole numbers only. */
#define STORER(name, type, low, high)                                                             \
    static bool store_##name(const double *from, size_t n, uint8_t *to)                           \
    {                                                                                             \
        for (size_t i = 0; i < n; i++) {                                                          \
            if (!(from[i] >= (low) && from[i] <= (high))) return false;                           \
            type v = (type)from[i];                                                               \
            if ((double)v != from[i]) return false;                                               \
            memcpy(to + i * sizeof v, &v, sizeof v);                                              \
        }                                                                                         \
        return true;                                                                              \
    }
STORER(u8, uint8_t, 0, UINT8_MAX)
STORER(i16, int16_t, INT16_MIN, INT16_MAX)
STORER(u16, uint16_t, 0, UINT16_MAX)
STORER(i32, int32_t, INT32_MIN, INT32_MAX)

/* After clear_nonfinite everything fits. */
static bool store_f32(const double *from, size_t n, uint8_t *to)
{
    for (size_t i = 0; i < n; i++) {
        float v = (float)from[i];
        memcpy(to + i * sizeof v, &v, sizeof v);
    }
    return true;
}

static bool (*const store[])(const double *from, size_t n, uint8_t *to) = {
    [FAB_U8] = store_u8,   [FAB_I16] = store_i16, [FAB_U16] = store_u16,
    [FAB_I32] = store_i32, [FAB_F32] = store_f32,
};

/* NaN and what float cannot hold become 0; returns how many. */
static int64_t clear_nonfinite(double *v, size_t n)
{
    int64_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(v[i]) <= (double)FLT_MAX)) {
            v[i] = 0;
            count++;
        }
    return count;
}

static bool is_scaled(const fab_nifti_payload *p)
{
    return p->slope != 1 || p->inter != 0;
}

static fab_dtype wished_type(const fab_nifti_payload *p)
{
    fab_dtype exact = raw_types[p->raw].exact;
    if (!is_scaled(p) || exact == FAB_F32) return exact;
    bool whole = p->slope == rint(p->slope) && p->inter == rint(p->inter);
    return whole && raw_types[p->raw].bytes <= 2 ? FAB_I16 : FAB_F32;
}

/* ---- the two ways to read a chunk ------------------------------------------------------- */

typedef struct ascii_source {
    char text[4096];
    size_t at, size;
} ascii_source;

typedef struct chunk_reader {
    fab_nifti_stream stream;
    ascii_source ascii;
    uint8_t raw[CHUNK * 8];
    double value[CHUNK];
} chunk_reader;

static fab_status next_char(chunk_reader *c, int *out, fab_error *err)
{
    ascii_source *a = &c->ascii;
    if (a->at == a->size) {
        a->at = 0;
        FAB_TRY(fab_nifti_stream_some(&c->stream, a->text, sizeof a->text, &a->size, err));
    }
    *out = a->at < a->size ? (unsigned char)a->text[a->at++] : -1;
    return FAB_OK;
}

static fab_status read_number(chunk_reader *c, double *out, fab_error *err)
{
    char token[64], *end = NULL;
    size_t length = 0;
    int ch = 0;
    do FAB_TRY(next_char(c, &ch, err));
    while (ch >= 0 && (isspace(ch) || ch == ','));
    if (ch < 0) FAB_FAIL(err, FAB_ERR_FORMAT, "%s: truncated: too few numbers in the text data",
                         c->stream.r->name);
    while (ch >= 0 && !isspace(ch) && ch != ',' && length < sizeof token - 1) {
        token[length++] = (char)ch;
        FAB_TRY(next_char(c, &ch, err));
    }
    token[length] = 0;
    *out = strtod(token, &end);
    if (!length || *end) FAB_FAIL(err, FAB_ERR_FORMAT, "%s: \"%s\" in the text data is no number",
                                  c->stream.r->name, token);
    return FAB_OK;
}

static fab_status read_chunk(chunk_reader *c, const fab_nifti_payload *p, size_t n, fab_error *err)
{
    size_t bytes = raw_types[p->raw].bytes;
    if (p->ascii) {
        for (size_t i = 0; i < n; i++) FAB_TRY(read_number(c, &c->value[i], err));
    } else {
        FAB_TRY(fab_nifti_stream_read(&c->stream, c->raw, n * bytes, err));
        if (p->swap) swap_bytes(c->raw, n, bytes);
        raw_types[p->raw].load(c->raw, n, c->value);
    }
    if (is_scaled(p))
        for (size_t i = 0; i < n; i++) c->value[i] = c->value[i] * p->slope + p->inter;
    return FAB_OK;
}

/* Whole numbers that need no change go straight to their place. */
static bool is_plain(const fab_nifti_payload *p, fab_dtype type)
{
    bool same_layout = p->raw == FAB_RAW_U8 || p->raw == FAB_RAW_I16 || p->raw == FAB_RAW_U16 ||
                       p->raw == FAB_RAW_I32;
    return same_layout && !p->ascii && !p->swap && !is_scaled(p) &&
           type == raw_types[p->raw].exact;
}

/* Positive status: a value does not fit `type`. */
enum { DOES_NOT_FIT = 1 };

static fab_status convert_all(chunk_reader *c, const fab_nifti_payload *p, fab_volume *v,
                              int64_t *nonfinite, fab_error *err)
{
    fab_dtype type = fab_volume_dtype(v);
    uint8_t *to = fab_volume_data_mut(v);
    size_t total = (size_t)fab_grid_voxels(fab_volume_grid(v));
    if (is_plain(p, type)) return fab_nifti_stream_read(&c->stream, to, fab_volume_bytes(v), err);
    for (size_t done = 0; done < total;) {
        size_t n = total - done < CHUNK ? total - done : CHUNK;
        FAB_TRY(read_chunk(c, p, n, err));
        if (type == FAB_F32) *nonfinite += clear_nonfinite(c->value, n);
        if (!store[type](c->value, n, to + done * fab_dtype_bytes(type))) return DOES_NOT_FIT;
        done += n;
    }
    return FAB_OK;
}

static fab_status read_as(const fab_nifti_payload *p, const fab_grid *g, fab_dtype type,
                          fab_volume **out, int64_t *nonfinite, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    FAB_AUTO_FREE chunk_reader *c = fab_calloc(1, sizeof *c);
    if (!c) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to read it", p->r->name);
    FAB_TRY(fab_volume_create(g, type, &v, err));
    *nonfinite = 0;
    fab_status status = fab_nifti_stream_open(&c->stream, p->r, p->offset, p->gzip, err);
    if (status == FAB_OK) status = fab_nifti_stream_skip(&c->stream, p->skip, err);
    if (status == FAB_OK) status = convert_all(c, p, v, nonfinite, err);
    fab_nifti_stream_close(&c->stream);
    if (status != FAB_OK) return status;
    *out = v;
    v = NULL;
    return FAB_OK;
}

/* Refuses before any memory is taken what cannot be there, and gzip bombs. */
static fab_status check_size(const fab_nifti_payload *p, const fab_grid *g, fab_error *err)
{
    uint64_t have = p->offset < p->r->size ? p->r->size - p->offset : 0;
    uint64_t need = (uint64_t)fab_grid_voxels(g) * (p->ascii ? 2 : raw_types[p->raw].bytes);
    if (p->ascii) need -= 1; /* a digit and a blank each, the last blank may lack */
    if (!p->gzip && (p->skip > have || need > have - p->skip))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: truncated: %llu bytes of voxels expected, %llu there",
                 p->r->name, (unsigned long long)need,
                 (unsigned long long)(p->skip > have ? 0 : have - p->skip));
    /* deflate's own maximum is 1032 : 1 */
    if (p->gzip && need / 1032 > have)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: truncated: %llu bytes of voxels cannot be in %llu bytes "
                 "of gzip data", p->r->name, (unsigned long long)need, (unsigned long long)have);
    if (p->gzip && need > FAB_MAX_GZIP_BOMB_BYTES && need / FAB_MAX_GZIP_RATIO > have)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: %llu bytes of gzip data claim %llu bytes of voxels, more "
                 "than %d to 1: refused as a bomb", p->r->name, (unsigned long long)have,
                 (unsigned long long)need, FAB_MAX_GZIP_RATIO);
    return FAB_OK;
}

fab_status fab_nifti_read_voxels(const fab_nifti_payload *p, const fab_grid *g, fab_volume **out,
                                 char *notes, size_t capacity, fab_error *err)
{
    int64_t nonfinite = 0;
    FAB_TRY(check_size(p, g, err));
    fab_status status = read_as(p, g, wished_type(p), out, &nonfinite, err);
    if (status == DOES_NOT_FIT) status = read_as(p, g, FAB_F32, out, &nonfinite, err);
    FAB_TRY(status);
    if (nonfinite)
        fab_nifti_note(notes, capacity, "%lld %s not a number or infinite; read as 0",
                       (long long)nonfinite, fab_plural(nonfinite, "voxel was", "voxels were"));
    return FAB_OK;
}
