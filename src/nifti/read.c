/* read.c - a NIfTI file to a fab_volume. */
#include <math.h>
#include <string.h>

#include "header_internal.h"

/* NIFTI_TYPE_*: what we read, and what we refuse by name. */
static const struct {
    int code, bits;
    bool readable;
    fab_nifti_raw raw;
    const char *name;
} datatypes[] = {
    {2, 8, true, FAB_RAW_U8, "uint8"},      {4, 16, true, FAB_RAW_I16, "int16"},
    {8, 32, true, FAB_RAW_I32, "int32"},    {16, 32, true, FAB_RAW_F32, "float32"},
    {64, 64, true, FAB_RAW_F64, "float64"}, {256, 8, true, FAB_RAW_I8, "int8"},
    {512, 16, true, FAB_RAW_U16, "uint16"}, {768, 32, true, FAB_RAW_U32, "uint32"},
    {1024, 64, true, FAB_RAW_I64, "int64"}, {1280, 64, true, FAB_RAW_U64, "uint64"},
    {.code = 1, .name = "binary"},          {.code = 32, .name = "complex64"},
    {.code = 128, .name = "rgb24"},         {.code = 1536, .name = "float128"},
    {.code = 1792, .name = "complex128"},   {.code = 2048, .name = "complex256"},
    {.code = 2304, .name = "rgba32"},
};

static fab_status set_datatype(const fab_nifti_header *h, const char *name, fab_nifti_payload *p,
                               fab_error *err)
{
    for (size_t i = 0; i < sizeof datatypes / sizeof datatypes[0]; i++) {
        if (datatypes[i].code != h->datatype) continue;
        if (!datatypes[i].readable)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: voxels of type %s; one whole or real number a "
                     "voxel is read", name, datatypes[i].name);
        if (datatypes[i].bits != h->bitpix)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: type %s has %d bits, the header says %d", name,
                     datatypes[i].name, datatypes[i].bits, h->bitpix);
        p->raw = datatypes[i].raw;
        return FAB_OK;
    }
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: unknown voxel type %d", name, h->datatype);
}

/* A slope of 0 means "not scaled"; nibabel writes NaN for the same. */
static void set_scaling(const fab_nifti_header *h, fab_nifti_payload *p)
{
    bool scaled = isfinite(h->slope) && h->slope != 0 && isfinite(h->inter);
    p->slope = scaled ? h->slope : 1;
    p->inter = scaled ? h->inter : 0;
}

static fab_status set_offset(const fab_nifti_header *h, const char *name, fab_nifti_payload *p,
                             fab_error *err)
{
    double least = h->version == 1 ? FAB_NIFTI1_BYTES : FAB_NIFTI2_BYTES;
    if (!(h->vox_offset >= least && h->vox_offset <= 1e15) || h->vox_offset != rint(h->vox_offset))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: vox_offset is %g, must be a whole number of at least %g",
                 name, h->vox_offset, least);
    p->skip = (uint64_t)h->vox_offset;
    return FAB_OK;
}

static fab_status read_header(const fab_reader *r, bool gzip, fab_nifti_header *h, fab_error *err)
{
    FAB_AUTO_STREAM fab_nifti_stream s = {0};
    uint8_t bytes[FAB_NIFTI2_BYTES];
    size_t got = 0;
    FAB_TRY(fab_nifti_stream_open(&s, r, 0, gzip, err));
    FAB_TRY(fab_nifti_stream_some(&s, bytes, sizeof bytes, &got, err));
    return fab_nifti_header_parse(bytes, got, r->name, h, err);
}

/* All that the header says. */
static fab_status read_head(const fab_reader *r, fab_nifti_payload *p, fab_grid *g, char *notes,
                            size_t capacity, fab_error *err)
{
    uint8_t magic[2] = {0};
    fab_nifti_header h;
    if (notes && capacity) notes[0] = 0;
    if (!r->size) FAB_FAIL(err, FAB_ERR_FORMAT, "%s: empty file", r->name);
    if (r->size >= 2) FAB_TRY(fab_reader_read(r, 0, magic, 2, err));
    *p = (fab_nifti_payload){.r = r, .gzip = magic[0] == 0x1f && magic[1] == 0x8b};
    FAB_TRY(read_header(r, p->gzip, &h, err));
    p->swap = h.swap;
    FAB_TRY(set_datatype(&h, r->name, p, err));
    FAB_TRY(set_offset(&h, r->name, p, err));
    set_scaling(&h, p);
    return fab_nifti_header_grid(&h, r->name, g, notes, capacity, err);
}

fab_status fab_nifti_read_from(const fab_reader *r, fab_volume **out, char *notes, size_t capacity,
                               fab_error *err)
{
    fab_nifti_payload p;
    fab_grid g;
    FAB_TRY(read_head(r, &p, &g, notes, capacity, err));
    return fab_nifti_read_voxels(&p, &g, out, notes, capacity, err);
}

fab_status fab_nifti_read_grid(const char *path, fab_grid *out, bool *bytes, fab_error *err)
{
    fab_reader r;
    fab_nifti_payload p;
    fab_grid g;
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = read_head(&r, &p, &g, NULL, 0, err);
    fab_reader_close(&r);
    FAB_TRY(status);
    if (bytes) *bytes = p.raw == FAB_RAW_U8 && p.slope == 1 && p.inter == 0;
    *out = g;
    return FAB_OK;
}

fab_status fab_nifti_read(const char *path, fab_volume **out, char *notes, size_t capacity,
                          fab_error *err)
{
    fab_reader r;
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = fab_nifti_read_from(&r, out, notes, capacity, err);
    fab_reader_close(&r);
    return status;
}
