/* fabrica/evaluate.h - layer 2: agreement of two label maps on one grid, per structure. */
#ifndef FABRICA_EVALUATE_H
#define FABRICA_EVALUATE_H

#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Surface measures as DeepMind's surface-distance defines them (surfel areas), mm. NaN where a
 * side is empty (Dice of two empties is NaN too). */
typedef struct fab_agreement {
    int64_t reference_voxels, predicted_voxels, overlap_voxels;
    double dice, volume_reference_ml, volume_predicted_ml;
    double hd95_mm, assd_mm, nsd; /* NSD = surface Dice at tolerance_mm */
} fab_agreement;

/* reference and predicted must be on equal grids (FAB_ERR_GEOMETRY otherwise; resample first).
 * values_* list the label values that together make the structure on each side. */
fab_status fab_evaluate(const fab_volume *reference, const int *values_reference,
                        size_t count_reference, const fab_volume *predicted,
                        const int *values_predicted, size_t count_predicted, double tolerance_mm,
                        fab_agreement *out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
