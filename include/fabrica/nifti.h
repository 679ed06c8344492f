/* fabrica/nifti.h - layer 2: NIfTI-1/2 (.nii, .nii.gz) and NRRD (.nrrd, .nhdr) volumes. */
#ifndef FABRICA_NIFTI_H
#define FABRICA_NIFTI_H

#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One volume, scaled values (scl_slope, scl_inter), on an LPS mm grid: from the sform if its code
 * is above 0, else the qform; a file with neither does not say where left is: FAB_ERR_GEOMETRY.
 * Type: U8, I16, U16, I32 and F32 as stored; int8 as I16; uint32, int64, uint64 as I32 if every
 * value fits, else F32; float64 as F32; whole-number scaling of 8- and 16-bit numbers as I16 if
 * every value fits; other scaling as F32. NaN and infinite voxels are 0.
 * notes (capacity bytes, may be NULL) gets remarks such as "sform and qform disagree by 0.3 mm" or
 * "2 voxels were not a number or infinite; read as 0"; empty if none.
 * *out is owned by the caller, untouched on failure.
 * FAB_ERR_FORMAT (damaged, truncated), FAB_ERR_UNSUPPORTED (rgb, complex, several volumes, two
 * files, Analyze), FAB_ERR_GEOMETRY, FAB_ERR_LIMIT (gzip bombs too). Source: nifti1.h, nifti2.h. */
fab_status fab_nifti_read(const char *path, fab_volume **out, char *notes, size_t capacity,
                          fab_error *err);
/* The grid alone, from the header, in a moment. *bytes (may be NULL): stored as unscaled uint8. */
fab_status fab_nifti_read_grid(const char *path, fab_grid *out, bool *bytes, fab_error *err);
/* NIfTI-1 with sform and qform agreeing, RAS+, mm; gzip if the path ends in ".gz"; deterministic
 * bytes (no time stamp). A sheared grid, which a qform cannot hold, gets the sform only
 * (qform_code 0). description (may be NULL) is cut at 79 bytes. Atomic. */
fab_status fab_nifti_write(const fab_volume *v, const char *path, const char *description,
                           fab_error *err);
/* NRRD, attached (.nrrd) or detached (.nhdr with its data file in the same folder); raw, gzip,
 * ascii; space LPS, RAS or LAS with directions and origin, else FAB_ERR_GEOMETRY. Types and notes
 * as above. Source: teem.sourceforge.net/nrrd/format.html. */
fab_status fab_nrrd_read(const char *path, fab_volume **out, char *notes, size_t capacity,
                         fab_error *err);
/* The same from any bytes; a detached NRRD is FAB_ERR_UNSUPPORTED here. */
fab_status fab_nifti_read_from(const fab_reader *r, fab_volume **out, char *notes, size_t capacity,
                               fab_error *err);
fab_status fab_nrrd_read_from(const fab_reader *r, fab_volume **out, char *notes, size_t capacity,
                              fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
