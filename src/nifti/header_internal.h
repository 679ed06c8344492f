/* header_internal.h - a NIfTI header of either version, in one form. */
#ifndef FAB_NIFTI_HEADER_INTERNAL_H
#define FAB_NIFTI_HEADER_INTERNAL_H

#include "nifti_internal.h"

#define FAB_NIFTI1_BYTES 348
#define FAB_NIFTI2_BYTES 540

typedef struct fab_nifti_header {
    int version; /* 1 or 2 */
    bool swap;   /* file has the other byte order */
    int datatype, bitpix, xyzt_units, qform_code, sform_code;
    int64_t dim[8];
    double pixdim[8], vox_offset, slope, inter, quatern[3], qoffset[3], srow[3][4];
} fab_nifti_header;

/* bytes: at least FAB_NIFTI1_BYTES, FAB_NIFTI2_BYTES if the header is that long. */
fab_status fab_nifti_header_parse(const uint8_t *bytes, size_t count, const char *name,
                                  fab_nifti_header *out, fab_error *err);
/* Size and LPS mm geometry; notes as fab_nifti_read's. */
fab_status fab_nifti_header_grid(const fab_nifti_header *h, const char *name, fab_grid *out,
                                 char *notes, size_t capacity, fab_error *err);
/* The qform's matrix (world_from_voxel, RAS, in the file's units) from its parts. */
fab_status fab_nifti_qform(const double quatern[3], const double qoffset[3],
                           const double pixdim[4], fab_mat34 *out, fab_error *err);

#endif
