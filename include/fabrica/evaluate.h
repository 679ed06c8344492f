/* fabrica/evaluate.h - layer 2: agreement of two label maps on one grid, per structure. */
#ifndef FABRICA_EVALUATE_H
#define FABRICA_EVALUATE_H

#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Agreement of one structure. Surface measures, in mm, weight each surface element by its area, as
 * DeepMind's surface-distance defines them (Nikolov et al. 2018, arXiv:1809.04430; areas by
 * marching cubes on the corners between voxels; beyond the volume is outside):
 *   hd95  the larger of the two distances within which 95 % of one surface lies from the other
 *   assd  mean distance over both surfaces together (sum of area x distance / sum of areas)
 *   nsd   share of both surfaces that lies within tolerance_mm of the other (surface Dice)
 * If one side is empty Dice is 0 and the surface measures are NaN; if both are, Dice is NaN too. */
typedef struct fab_agreement {
    int64_t reference_voxels, predicted_voxels, overlap_voxels;
    double dice, volume_reference_ml, volume_predicted_ml;
    double hd95_mm, assd_mm, nsd; /* NSD = surface Dice at tolerance_mm */
} fab_agreement;

/* reference and predicted: U8 or U16 (FAB_ERR_ARG otherwise) on equal grids with orthogonal axes
 * (FAB_ERR_GEOMETRY otherwise; resample first). values_* list the label values, 0..65535, that
 * together make the structure on each side. *out is untouched on failure. */
fab_status fab_evaluate(const fab_volume *reference, const int *values_reference,
                        size_t count_reference, const fab_volume *predicted,
                        const int *values_predicted, size_t count_predicted, double tolerance_mm,
                        fab_agreement *out, fab_error *err);

enum { FAB_EVALUATE_TOLERANCES = 4 };
/* The same with the surface Dice at several tolerances (1..FAB_EVALUATE_TOLERANCES of them) for the
 * price of one: nsd[t] belongs to tolerances_mm[t]; out->nsd is nsd[0]. */
fab_status fab_evaluate_within(const fab_volume *reference, const int *values_reference,
                               size_t count_reference, const fab_volume *predicted,
                               const int *values_predicted, size_t count_predicted,
                               const double *tolerances_mm, size_t tolerance_count, double *nsd,
                               fab_agreement *out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
