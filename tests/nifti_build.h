/* nifti_build.h - NIfTI files made in memory, field by field, for tests: either version, either
 * byte order. The default is a good 3 x 4 x 5 int16 file; a test edits what it is about. */
#ifndef FAB_TEST_NIFTI_BUILD_H
#define FAB_TEST_NIFTI_BUILD_H

#include <zlib.h>

#include "harness.h"

typedef struct nifti_file {
    int version;
    bool big;
    int datatype, bitpix, units, qform_code, sform_code;
    int64_t dim[8];
    double pixdim[8], vox_offset, slope, inter, quatern[3], qoffset[3], srow[3][4];
    const char *magic;    /* NULL: the version's own */
    const void *data;     /* NULL: zeros */
    size_t data_bytes;
    size_t cut;           /* bytes taken off the end */
} nifti_file;

static inline nifti_file nifti_default(void)
{
    return (nifti_file){
        .version = 1, .datatype = 4, .bitpix = 16, .units = 2, .sform_code = 1,
        .dim = {3, 3, 4, 5, 1, 1, 1, 1}, .pixdim = {1, 1, 1, 1}, .vox_offset = 352, .slope = 1,
        .srow = {{1, 0, 0, -10}, {0, 1, 0, -20}, {0, 0, 1, 30}}, .data_bytes = 3 * 4 * 5 * 2};
}

static inline void nifti_put(uint8_t *at, uint64_t bits, size_t size, bool big)
{
    for (size_t i = 0; i < size; i++)
        at[big ? size - 1 - i : i] = (uint8_t)(bits >> (8 * i));
}

static inline void nifti_put_real(uint8_t *at, double value, size_t size, bool big)
{
    uint64_t bits = 0;
    float f = (float)value;
    if (size == 8) {
        memcpy(&bits, &value, 8);
    } else {
        uint32_t low;
        memcpy(&low, &f, 4);
        bits = low;
    }
    nifti_put(at, bits, size, big);
}

/* Lays the file out in `into` (zeroed here); returns its size. */
static inline size_t nifti_build(const nifti_file *f, uint8_t *into, size_t capacity)
{
    bool two = f->version == 2, big = f->big;
    size_t real = two ? 8 : 4, start = (size_t)(f->vox_offset > 0 && f->vox_offset < 4096
                                                    ? f->vox_offset : 0);
    memset(into, 0, capacity);
    nifti_put(into, two ? 540 : 348, 4, big);
    const char *magic = f->magic ? f->magic : two ? "n+2\0\r\n\032\n" : "n+1";
    memcpy(into + (two ? 4 : 344), magic, two ? 8 : 4);
    nifti_put(into + (two ? 12 : 70), (uint64_t)f->datatype, 2, big);
    nifti_put(into + (two ? 14 : 72), (uint64_t)f->bitpix, 2, big);
    for (size_t i = 0; i < 8; i++) {
        nifti_put(into + (two ? 16 + 8 * i : 40 + 2 * i), (uint64_t)f->dim[i], two ? 8 : 2, big);
        nifti_put_real(into + (two ? 104 : 76) + real * i, f->pixdim[i], real, big);
    }
    if (two) nifti_put(into + 168, (uint64_t)f->vox_offset, 8, big);
    else nifti_put_real(into + 108, f->vox_offset, 4, big);
    nifti_put_real(into + (two ? 176 : 112), f->slope, real, big);
    nifti_put_real(into + (two ? 184 : 116), f->inter, real, big);
    nifti_put(into + (two ? 500 : 123), (uint64_t)f->units, two ? 4 : 1, big);
    nifti_put(into + (two ? 344 : 252), (uint64_t)f->qform_code, two ? 4 : 2, big);
    nifti_put(into + (two ? 348 : 254), (uint64_t)f->sform_code, two ? 4 : 2, big);
    for (size_t i = 0; i < 3; i++) {
        nifti_put_real(into + (two ? 352 : 256) + real * i, f->quatern[i], real, big);
        nifti_put_real(into + (two ? 376 : 268) + real * i, f->qoffset[i], real, big);
        for (size_t j = 0; j < 4; j++)
            nifti_put_real(into + (two ? 400 : 280) + real * (4 * i + j), f->srow[i][j], real,
                           big);
    }
    if (f->data) memcpy(into + start, f->data, f->data_bytes);
    size_t size = start + f->data_bytes;
    return size > f->cut ? size - f->cut : 0;
}

/* gzip of bytes[0..n) as one member. */
static inline size_t nifti_gzip(const uint8_t *bytes, size_t n, uint8_t *into, size_t capacity)
{
    z_stream z = {0};
    deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
    uint8_t *in = NULL;
    memcpy(&in, &bytes, sizeof in); /* zlib's next_in is not const; it does not write there */
    z.next_in = in;
    z.avail_in = (unsigned)n;
    z.next_out = into;
    z.avail_out = (unsigned)capacity;
    deflate(&z, Z_FINISH);
    size_t size = capacity - z.avail_out;
    deflateEnd(&z);
    return size;
}

#endif
