/* fabrica/nifti.h - layer 2: NIfTI-1/2 (.nii, .nii.gz) and NRRD (.nrrd, .nhdr attached) volumes. */
#ifndef FABRICA_NIFTI_H
#define FABRICA_NIFTI_H

#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Scaled values (scl_slope/inter); LPS grid from sform, else qform (world is RAS+ in the file).
 * notes (capacity bytes, may be NULL) gets remarks such as "sform and qform disagree by 0.3 mm". */
fab_status fab_nifti_read(const char *path, fab_volume **out, char *notes, size_t capacity,
                          fab_error *err);
/* sform and qform agree, RAS+, mm; gz by suffix; deterministic bytes (no time stamp). A sheared
 * grid that a qform cannot hold gets sform only (qform_code 0). */
fab_status fab_nifti_write(const fab_volume *v, const char *path, const char *description,
                           fab_error *err);
fab_status fab_nrrd_read(const char *path, fab_volume **out, fab_error *err);
/* In-memory entry points for the fuzzers. */
fab_status fab_nifti_read_from(const fab_reader *r, fab_volume **out, char *notes, size_t capacity,
                               fab_error *err);
fab_status fab_nrrd_read_from(const fab_reader *r, fab_volume **out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
