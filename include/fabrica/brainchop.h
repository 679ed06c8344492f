/* fabrica/brainchop.h - layer 3: MeshNet networks for brain MR as brainchop publishes them.
 *
 * Fedorov et al., End-to-end learning of brain tissue segmentation from imperfect labeling, 2017;
 * Plis et al., Brainchop, Aperture Neuro 4 (2024). A folder holds model.json (TensorFlow.js or
 * brainchop's own list of layers), the weights and the names of the classes. Around the network:
 * the T1 is conformed as FreeSurfer does (a cube of 1 mm voxels, axes L, I, A, values 0 to 255),
 * its values scaled, and what is not joined to the largest component is removed. No network is
 * shipped: a user brings the folder.
 */
#ifndef FABRICA_BRAINCHOP_H
#define FABRICA_BRAINCHOP_H

#include "fabrica/segment.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FAB_BRAINCHOP_SIZE 256         /* voxels along an edge of the conformed cube */
#define FAB_BRAINCHOP_MAX_SIZE 320     /* images that span more millimetres are refused */
#define FAB_BRAINCHOP_FILES 3

/* Conformed values v become (v - low) / (high - low + widen), low and high being quantiles of the
 * conformed volume. */
typedef struct fab_brainchop_scale {
    double low, high; /* 0 and 1: smallest and largest value */
    double widen;
    bool clip;        /* to 0..1 */
} fab_brainchop_scale;

typedef struct fab_brainchop fab_brainchop; /* immutable; shared by threads */

/* folder: model.json, its weights (the file weightsManifest names; or model.pth or
 * model.safetensors, holding safetensors) and colormap*.json or labels.json with as many names as
 * the network has classes; without such a file classes are called class_N. Messages name the file
 * and the field. */
fab_status fab_brainchop_load(const char *folder, fab_brainchop **out, fab_error *err);
fab_brainchop *fab_brainchop_free(fab_brainchop *m);
FAB_DEFINE_AUTO(fab_brainchop, fab_brainchop_free)
/* Whether the folder's model.json is of that kind, whatever else is wrong with it. */
bool fab_brainchop_is_folder(const char *folder);
/* Classes 1.. with the names of the table of structures where it knows them (names.c). */
const fab_label_set *fab_brainchop_labels(const fab_brainchop *m); /* borrowed */
const fab_brainchop_scale *fab_brainchop_scale_of(const fab_brainchop *m);
const char *fab_brainchop_weights_sha256(const fab_brainchop *m);
/* The files that were read: model.json, weights, names; NULL where there is none. */
const char *fab_brainchop_file(const fab_brainchop *m, int index);

typedef struct fab_brainchop_options {
    size_t max_memory_bytes; /* 0: no cap; FAB_ERR_LIMIT before the network starts if not enough */
    const fab_progress *progress;
} fab_brainchop_options;

/* Segments a T1-weighted MR volume of any orientation. out->labels lie on its own grid (nearest
 * conformed voxel), out->fine_labels and fine_margin on the conformed one; out->notes say what was
 * done. FAB_ERR_LIMIT: an image that spans more than FAB_BRAINCHOP_MAX_SIZE mm; FAB_ERR_FORMAT:
 * one value everywhere. */
fab_status fab_brainchop_segment(const fab_brainchop *m, const fab_volume *image,
                                 const fab_brainchop_options *options, fab_segment_result *out,
                                 fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
