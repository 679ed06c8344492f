/* nifti_internal.h - what the NIfTI and NRRD readers share: a byte stream that may be gzipped, and
 * the way from stored numbers to a fab_volume. */
#ifndef FAB_NIFTI_INTERNAL_H
#define FAB_NIFTI_INTERNAL_H

#include <zlib.h>

#include "fabrica/nifti.h"

/* ---- stream ----------------------------------------------------------------------------- */

/* Bytes in order from a reader, inflated on the way if gzip. Never holds more than its small input
 * buffer, so a file that would inflate to more than is asked for costs nothing. */
typedef struct fab_nifti_stream {
    const fab_reader *r;
    uint64_t next; /* offset in r of the next byte not yet taken */
    bool gzip, inflating, ended;
    z_stream z;
    uint8_t *input;
} fab_nifti_stream;

fab_status fab_nifti_stream_open(fab_nifti_stream *s, const fab_reader *r, uint64_t offset,
                                 bool gzip, fab_error *err);
/* Up to count bytes; *got < count only at the end. */
fab_status fab_nifti_stream_some(fab_nifti_stream *s, void *into, size_t count, size_t *got,
                                 fab_error *err);
/* Exactly count bytes, else FAB_ERR_FORMAT "truncated". */
fab_status fab_nifti_stream_read(fab_nifti_stream *s, void *into, size_t count, fab_error *err);
fab_status fab_nifti_stream_skip(fab_nifti_stream *s, uint64_t count, fab_error *err);
void fab_nifti_stream_close(fab_nifti_stream *s);
#define FAB_AUTO_STREAM __attribute__((cleanup(fab_nifti_stream_close)))

/* ---- voxels ----------------------------------------------------------------------------- */

typedef enum fab_nifti_raw {
    FAB_RAW_I8, FAB_RAW_U8, FAB_RAW_I16, FAB_RAW_U16, FAB_RAW_I32, FAB_RAW_U32, FAB_RAW_I64,
    FAB_RAW_U64, FAB_RAW_F32, FAB_RAW_F64
} fab_nifti_raw;

/* Where the numbers are and what they mean: value = slope * stored + inter. */
typedef struct fab_nifti_payload {
    const fab_reader *r;
    uint64_t offset; /* in r, of the (gzip) data */
    uint64_t skip;   /* bytes of the stream before the first voxel */
    bool gzip, ascii, swap;
    fab_nifti_raw raw;
    double slope, inter;
} fab_nifti_payload;

/* Reads all voxels. The type is the narrowest of ours that holds the stored type exactly (I8: I16;
 * U32, I64, U64: I32 if every value fits, else F32; F64: F32). A whole-number slope and intercept
 * on 8- or 16-bit numbers stays I16 if every value fits; any other scaling gives F32. NaN and
 * infinite voxels become 0, and notes say how many. */
fab_status fab_nifti_read_voxels(const fab_nifti_payload *p, const fab_grid *g, fab_volume **out,
                                 char *notes, size_t capacity, fab_error *err);
/* Adds a remark to notes (may be NULL), after "; " if it has one already. */
void fab_nifti_note(char *notes, size_t capacity, const char *format, ...) FAB_PRINTF(3, 4);

#endif
