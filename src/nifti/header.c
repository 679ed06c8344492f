/* header.c - the NIfTI-1 and NIfTI-2 headers, field by field, and the geometry they state.
 *
 * Source: nifti1.h and nifti2.h of the NIfTI Data Format Working Group. Offsets are in the tables
 * below; nothing is overlaid on a struct, so byte order and alignment are of no concern.
 *
 * Geometry: the sform if its code is above 0, else the qform if its code is above 0, else the file
 * does not say where left and right are and is refused. NIfTI's world is RAS+; ours is LPS.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "header_internal.h"

/* ---- numbers at an offset --------------------------------------------------------------- */

static uint64_t bits_at(const uint8_t *p, size_t size, bool swap)
{
    uint8_t b[8] = {0};
    for (size_t i = 0; i < size; i++) b[i] = p[swap ? size - 1 - i : i];
    uint64_t v = 0;
    for (size_t i = size; i-- > 0;) v = v << 8 | b[i]; /* little endian order now */
    return v;
}

static int64_t int_at(const uint8_t *p, size_t size, bool swap)
{
    uint64_t v = bits_at(p, size, swap), sign = (uint64_t)1 << (8 * size - 1);
    return size == 8 ? (int64_t)v : (int64_t)((v ^ sign) - sign);
}

static double real_at(const uint8_t *p, size_t size, bool swap)
{
    uint64_t v = bits_at(p, size, swap);
    double d;
    if (size == 8) {
        memcpy(&d, &v, sizeof d);
        return d;
    }
    uint32_t low = (uint32_t)v;
    float f;
    memcpy(&f, &low, sizeof f);
    return (double)f;
}

/* Where each field is, and how wide. */
typedef struct layout {
    size_t dim, dim_size, pixdim, real_size, vox_offset, slope, inter, datatype, bitpix, units,
        units_size, qform_code, code_size, quatern, qoffset, srow;
} layout;

static const layout layouts[3] = {
    [1] = {.dim = 40, .dim_size = 2, .pixdim = 76, .real_size = 4, .vox_offset = 108, .slope = 112,
           .inter = 116, .datatype = 70, .bitpix = 72, .units = 123, .units_size = 1,
           .qform_code = 252, .code_size = 2, .quatern = 256, .qoffset = 268, .srow = 280},
    [2] = {.dim = 16, .dim_size = 8, .pixdim = 104, .real_size = 8, .vox_offset = 168,
           .slope = 176, .inter = 184, .datatype = 12, .bitpix = 14, .units = 500, .units_size = 4,
           .qform_code = 344, .code_size = 4, .quatern = 352, .qoffset = 376, .srow = 400},
};

static void read_fields(const uint8_t *b, fab_nifti_header *h)
{
    const layout *l = &layouts[h->version];
    for (size_t i = 0; i < 8; i++) {
        h->dim[i] = int_at(b + l->dim + i * l->dim_size, l->dim_size, h->swap);
        h->pixdim[i] = real_at(b + l->pixdim + i * l->real_size, l->real_size, h->swap);
    }
    for (size_t i = 0; i < 3; i++) {
        h->quatern[i] = real_at(b + l->quatern + i * l->real_size, l->real_size, h->swap);
        h->qoffset[i] = real_at(b + l->qoffset + i * l->real_size, l->real_size, h->swap);
        for (size_t j = 0; j < 4; j++)
            h->srow[i][j] = real_at(b + l->srow + (4 * i + j) * l->real_size, l->real_size,
                                    h->swap);
    }
    h->vox_offset = h->version == 1 ? real_at(b + l->vox_offset, 4, h->swap)
                                    : (double)int_at(b + l->vox_offset, 8, h->swap);
    h->slope = real_at(b + l->slope, l->real_size, h->swap);
    h->inter = real_at(b + l->inter, l->real_size, h->swap);
    h->datatype = (int)int_at(b + l->datatype, 2, h->swap);
    h->bitpix = (int)int_at(b + l->bitpix, 2, h->swap);
    h->xyzt_units = (int)int_at(b + l->units, l->units_size, h->swap);
    h->qform_code = (int)int_at(b + l->qform_code, l->code_size, h->swap);
    h->sform_code = (int)int_at(b + l->qform_code + l->code_size, l->code_size, h->swap);
}

/* Version and byte order from the first number; 0 if it is neither. */
static int version_of(const uint8_t *b, bool *swap)
{
    for (int s = 0; s < 2; s++) {
        uint64_t size = bits_at(b, 4, s);
        *swap = s;
        if (size == FAB_NIFTI1_BYTES) return 1;
        if (size == FAB_NIFTI2_BYTES) return 2;
    }
    return 0;
}

static fab_status check_magic(const uint8_t *b, int version, const char *name, fab_error *err)
{
    const uint8_t *magic = version == 1 ? b + 344 : b + 4;
    const char *single = version == 1 ? "n+1" : "n+2", *pair = version == 1 ? "ni1" : "ni2";
    if (!memcmp(magic, single, 4)) return FAB_OK;
    if (!memcmp(magic, pair, 4))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NIfTI in two files (.hdr and .img); write it as "
                 "one .nii file", name);
    if (version == 1 && !magic[0])
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: an Analyze 7.5 header, which does not say where "
                 "left and right are; write it as NIfTI", name);
    FAB_FAIL(err, FAB_ERR_FORMAT, "%s: not NIfTI: no \"%s\" in the header", name, single);
}

fab_status fab_nifti_header_parse(const uint8_t *bytes, size_t count, const char *name,
                                  fab_nifti_header *out, fab_error *err)
{
    fab_nifti_header h = {0};
    h.version = count >= 4 ? version_of(bytes, &h.swap) : 0;
    if (!h.version) FAB_FAIL(err, FAB_ERR_FORMAT, "%s: not a NIfTI file", name);
    if (count < (h.version == 1 ? FAB_NIFTI1_BYTES : FAB_NIFTI2_BYTES))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: truncated: it ends inside the NIfTI header", name);
    FAB_TRY(check_magic(bytes, h.version, name, err));
    read_fields(bytes, &h);
    *out = h;
    return FAB_OK;
}

/* ---- geometry --------------------------------------------------------------------------- */

void fab_nifti_note(char *notes, size_t capacity, const char *format, ...)
{
    if (!notes || !capacity) return;
    size_t used = strnlen(notes, capacity);
    if (used && used + 2 < capacity) {
        memcpy(notes + used, "; ", 3);
        used += 2;
    }
    va_list args;
    va_start(args, format);
    if (used < capacity) vsnprintf(notes + used, capacity - used, format, args);
    va_end(args);
}

static fab_status read_size(const fab_nifti_header *h, const char *name, int32_t size[3],
                            fab_error *err)
{
    int64_t n = h->dim[0];
    if (n < 1 || n > 7)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: dim[0] is %lld, must be 1..7", name, (long long)n);
    for (int i = 1; i <= 3; i++) {
        int64_t d = i <= n ? h->dim[i] : 1;
        if (d < 1 || d > FAB_MAX_DIM)
            FAB_FAIL(err, d < 1 ? FAB_ERR_FORMAT : FAB_ERR_LIMIT,
                     "%s: dim[%d] is %lld, must be 1..%d", name, i, (long long)d, FAB_MAX_DIM);
        size[i - 1] = (int32_t)d;
    }
    for (int i = 4; i <= n; i++)
        if (h->dim[i] > 1)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: %s (dim[%d] is %lld); only one volume of one "
                     "value a voxel is read", name, i == 4 ? "several time points"
                     : i == 5 ? "several values a voxel" : "more than five dimensions", i,
                     (long long)h->dim[i]);
    return FAB_OK;
}

fab_status fab_nifti_qform(const double quatern[3], const double qoffset[3],
                           const double pixdim[4], fab_mat34 *out, fab_error *err)
{
    double b = quatern[0], c = quatern[1], d = quatern[2], sum = b * b + c * c + d * d;
    if (!(sum <= 1.01))
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "qform quaternion (%g, %g, %g) is longer than 1", b, c, d);
    double a = sum < 1 ? sqrt(1 - sum) : 0;
    if (a < 1e-7) { /* as the standard's own code: a half turn, made unit length */
        double length = sqrt(sum);
        a = 0;
        b /= length;
        c /= length;
        d /= length;
    }
    double qfac = pixdim[0] < 0 ? -1 : 1;
    double r[3][3] = {
        {a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
        {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
        {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c},
    };
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            out->m[i][j] = r[i][j] * pixdim[j + 1] * (j == 2 ? qfac : 1);
        out->m[i][3] = qoffset[i];
    }
    return FAB_OK;
}

static fab_status qform_of(const fab_nifti_header *h, fab_mat34 *out, fab_error *err)
{
    for (int i = 1; i <= 3; i++)
        if (!(h->pixdim[i] > 0) || !isfinite(h->pixdim[i]))
            FAB_FAIL(err, FAB_ERR_GEOMETRY, "voxel size pixdim[%d] is %g", i, h->pixdim[i]);
    return fab_nifti_qform(h->quatern, h->qoffset, h->pixdim, out, err);
}

static void sform_of(const fab_nifti_header *h, fab_mat34 *out)
{
    memcpy(out->m, h->srow, sizeof out->m);
}

/* RAS in the file's units to LPS in millimetres. */
static void to_lps_mm(fab_mat34 *m, double mm_per_unit)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) m->m[i][j] *= i < 2 ? -mm_per_unit : mm_per_unit;
}

/* The note does not name the file: it goes into manifests, and names may be a person's. */
static double unit_mm(const fab_nifti_header *h, char *notes, size_t capacity)
{
    int code = h->xyzt_units & 7;
    if (code == 1 || code == 3) fab_nifti_note(notes, capacity, "in %s, read as mm",
                                               code == 1 ? "metres" : "micrometres");
    return code == 1 ? 1000 : code == 3 ? 1e-3 : 1;
}

/* Largest distance between the places two geometries give a corner of the volume. */
static double disagreement_mm(const fab_grid *g, const fab_mat34 *other)
{
    double worst = 0;
    for (int corner = 0; corner < 8; corner++) {
        double p[3], a[3], b[3];
        for (int k = 0; k < 3; k++) p[k] = corner >> k & 1 ? g->size[k] - 1 : 0;
        fab_mat34_apply(&g->world_from_voxel, p, a);
        fab_mat34_apply(other, p, b);
        worst = fmax(worst, hypot(hypot(a[0] - b[0], a[1] - b[1]), a[2] - b[2]));
    }
    return worst;
}

fab_status fab_nifti_header_grid(const fab_nifti_header *h, const char *name, fab_grid *out,
                                 char *notes, size_t capacity, fab_error *err)
{
    fab_grid g = {0};
    fab_mat34 q = {0};
    FAB_TRY(read_size(h, name, g.size, err));
    double mm = unit_mm(h, notes, capacity);
    fab_status status = FAB_OK;
    if (h->sform_code > 0) {
        sform_of(h, &g.world_from_voxel);
    } else if (h->qform_code > 0) {
        status = qform_of(h, &g.world_from_voxel, err);
    } else {
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "%s: neither sform nor qform: the file does not say where "
                 "left and right are", name);
    }
    to_lps_mm(&g.world_from_voxel, mm);
    if (status == FAB_OK) status = fab_grid_check(&g, err);
    if (status < 0) return err ? fab_error_prefix(err, "%s", name) : status;
    if (h->sform_code > 0 && h->qform_code > 0 && qform_of(h, &q, NULL) == FAB_OK) {
        to_lps_mm(&q, mm);
        double apart = disagreement_mm(&g, &q);
        if (!(apart <= 0.1))
            fab_nifti_note(notes, capacity, "sform and qform disagree by %.1f mm; sform is used",
                           apart);
    }
    *out = g;
    return FAB_OK;
}
