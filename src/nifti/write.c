/* write.c - a fab_volume to NIfTI-1, the same bytes every time: no time stamp, no name, one
 * compressor (libdeflate) for .gz.
 *
 * The sform holds the grid. The qform is computed from it, rebuilt as a reader would, and kept only
 * if it puts every corner within a hundredth of a voxel: it cannot hold a sheared grid. */
#include <libdeflate.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "header_internal.h"

#define DATA_OFFSET 352
#define LABELS_LEVEL 6 /* long runs: level 1 takes 1.4 times the bytes */
#define IMAGE_LEVEL 1  /* noise: level 6 saves 0.01 % for 1.5 times the time */
#define UNITS_MM 2
#define XFORM_SCANNER 1

static const struct {
    int16_t code, bits;
} types[] = {
    [FAB_U8] = {2, 8},   [FAB_I16] = {4, 16},  [FAB_U16] = {512, 16},
    [FAB_I32] = {8, 32}, [FAB_F32] = {16, 32},
};

static void put_i16(uint8_t *h, size_t at, int value)
{
    h[at] = (uint8_t)(value & 0xff);
    h[at + 1] = (uint8_t)(value >> 8 & 0xff);
}

static void put_f32(uint8_t *h, size_t at, double value)
{
    float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    for (size_t i = 0; i < 4; i++) h[at + i] = (uint8_t)(bits >> (8 * i));
}

/* Unit quaternion (a, b, c, d), a >= 0, of a proper rotation. Shepperd's method: divide by the
 * largest part. */
static void quaternion_of(double r[3][3], double q[4])
{
    double t[4] = {r[0][0] + r[1][1] + r[2][2], r[0][0], r[1][1], r[2][2]};
    int big = 0;
    for (int i = 1; i < 4; i++)
        if (t[i] > t[big]) big = i;
    double s = sqrt(fmax(0, 1 + 2 * t[big] - t[0])) * 2; /* 4 x the largest part */
    if (big == 0) {
        s = sqrt(1 + t[0]) * 2;
        q[0] = s / 4;
        q[1] = (r[2][1] - r[1][2]) / s;
        q[2] = (r[0][2] - r[2][0]) / s;
        q[3] = (r[1][0] - r[0][1]) / s;
        return;
    }
    int i = big - 1, j = (i + 1) % 3, k = (i + 2) % 3;
    q[0] = (r[k][j] - r[j][k]) / s;
    q[1 + i] = s / 4;
    q[1 + j] = (r[j][i] + r[i][j]) / s;
    q[1 + k] = (r[k][i] + r[i][k]) / s;
    if (q[0] < 0)
        for (int n = 0; n < 4; n++) q[n] = -q[n];
}

/* Fills quatern and pixdim[0..3]; false if a qform cannot hold the matrix. */
static bool qform_from(const fab_mat34 *ras, const int32_t size[3], double quatern[3],
                       double pixdim[4])
{
    double r[3][3], q[4], offset[3];
    fab_mat34 back;
    pixdim[0] = fab_mat34_determinant(ras) < 0 ? -1 : 1;
    for (int j = 0; j < 3; j++) {
        pixdim[j + 1] = (double)(float)hypot(hypot(ras->m[0][j], ras->m[1][j]), ras->m[2][j]);
        for (int i = 0; i < 3; i++)
            r[i][j] = ras->m[i][j] / pixdim[j + 1] * (j == 2 ? pixdim[0] : 1);
        offset[j] = ras->m[j][3];
    }
    quaternion_of(r, q);
    for (int i = 0; i < 3; i++) quatern[i] = (double)(float)q[i + 1];
    if (fab_nifti_qform(quatern, offset, pixdim, &back, NULL) < 0) return false;
    for (int i = 0; i < 3; i++) {
        double apart = 0;
        for (int j = 0; j < 3; j++) apart += fabs(ras->m[i][j] - back.m[i][j]) * size[j];
        if (!(apart <= 0.01 * fmin(pixdim[1], fmin(pixdim[2], pixdim[3])))) return false;
    }
    return true;
}

static void put_geometry(uint8_t *h, const fab_grid *g)
{
    fab_mat34 ras = g->world_from_voxel;
    double quatern[3] = {0}, pixdim[4];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++) ras.m[i][j] = -ras.m[i][j];
    bool has_qform = qform_from(&ras, g->size, quatern, pixdim);
    put_i16(h, 40, 3);
    for (size_t i = 0; i < 7; i++) put_i16(h, 42 + 2 * i, i < 3 ? g->size[i] : 1);
    for (size_t i = 0; i < 8; i++) put_f32(h, 76 + 4 * i, i < 4 ? pixdim[i] : 0);
    put_i16(h, 252, has_qform ? XFORM_SCANNER : 0);
    put_i16(h, 254, XFORM_SCANNER);
    for (size_t i = 0; i < 3; i++) {
        put_f32(h, 256 + 4 * i, has_qform ? quatern[i] : 0);
        put_f32(h, 268 + 4 * i, has_qform ? ras.m[i][3] : 0);
        for (size_t j = 0; j < 4; j++) put_f32(h, 280 + 16 * i + 4 * j, ras.m[i][j]);
    }
}

static void fill_header(uint8_t *h, const fab_volume *v, const char *description)
{
    fab_dtype type = fab_volume_dtype(v);
    memset(h, 0, DATA_OFFSET);
    put_i16(h, 0, FAB_NIFTI1_BYTES);
    h[38] = 'r'; /* "regular": the standard asks for it */
    put_i16(h, 70, types[type].code);
    put_i16(h, 72, types[type].bits);
    put_f32(h, 108, DATA_OFFSET);
    put_f32(h, 112, 1);
    h[123] = UNITS_MM;
    if (description) snprintf((char *)h + 148, 80, "%s", description);
    put_geometry(h, fab_volume_grid(v));
    memcpy(h + 344, "n+1", 4);
}

static fab_status write_gzip(const fab_volume *v, const uint8_t *header, fab_writer *w,
                           fab_error *err)
{
    size_t data = fab_volume_bytes(v), bound;
    fab_dtype type = fab_volume_dtype(v);
    int level = type == FAB_U8 || type == FAB_U16 ? LABELS_LEVEL : IMAGE_LEVEL;
    FAB_AUTO_FREE uint8_t *plain = fab_malloc(DATA_OFFSET + data);
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
    bound = c ? libdeflate_gzip_compress_bound(c, DATA_OFFSET + data) : 0;
    FAB_AUTO_FREE uint8_t *packed = c ? fab_malloc(bound) : NULL;
    size_t size = 0;
    if (plain && packed) {
        memcpy(plain, header, DATA_OFFSET);
        memcpy(plain + DATA_OFFSET, fab_volume_data(v), data);
        size = libdeflate_gzip_compress(c, plain, DATA_OFFSET + data, packed, bound);
    }
    libdeflate_free_compressor(c);
    if (!size) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to compress a NIfTI file");
    return fab_writer_write(w, packed, size, err);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

fab_status fab_nifti_write(const fab_volume *v, const char *path, const char *description,
                           fab_error *err)
{
    uint8_t header[DATA_OFFSET];
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    FAB_TRY(fab_grid_check(fab_volume_grid(v), err));
    fill_header(header, v, description);
    FAB_TRY(fab_atomic_open(path, &file, err));
    fab_writer *w = fab_atomic_writer(file);
    if (ends_with(path, ".gz")) {
        FAB_TRY(write_gzip(v, header, w, err));
    } else {
        FAB_TRY(fab_writer_write(w, header, sizeof header, err));
        FAB_TRY(fab_writer_write(w, fab_volume_data(v), fab_volume_bytes(v), err));
    }
    return fab_atomic_commit(&file, err);
}
