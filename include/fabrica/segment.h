/* fabrica/segment.h - layer 2: model packages, sliding window, label maps. */
#ifndef FABRICA_SEGMENT_H
#define FABRICA_SEGMENT_H

#include "fabrica/anatomy.h"
#include "fabrica/nn.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A model package: a folder with model.json and safetensors weights (docs/formats/model.md). */
typedef struct fab_model fab_model;
fab_status fab_model_load(const char *folder, fab_model **out, fab_error *err);
fab_model *fab_model_free(fab_model *m);
FAB_DEFINE_AUTO(fab_model, fab_model_free)
const char *fab_model_name(const fab_model *m);
const char *fab_model_version(const fab_model *m);
const char *fab_model_weights_sha256(const fab_model *m);
const fab_json *fab_model_card(const fab_model *m); /* borrowed */
/* Re-hashes the weights against the card: FAB_ERR_INTEGRITY if they differ. */
fab_status fab_model_verify(const char *folder, fab_error *err);

typedef struct fab_segment_options {
    double step;              /* fraction of the patch; 0 = the model's */
    size_t max_memory_bytes;  /* 0 = no cap; refuses before starting if it cannot be kept */
    const fab_progress *progress;
} fab_segment_options;

typedef struct fab_segment_result {
    fab_volume *labels;       /* U8/U16 on the input's own grid */
    fab_label_set set;        /* values that can occur, after the left/right split */
    fab_volume *fine_labels;  /* the same at the meshing grid (canonical, finer than or equal to the
                                 network's), for smooth sub-voxel surfaces */
    fab_volume *fine_margin;  /* F32 on fine_labels' grid: winner minus second, >= 0 */
    double *confidence;       /* per set row: mean softmax probability of the winner, 0..1 */
    char notes[1024];
} fab_segment_result;
void fab_segment_result_free(fab_segment_result *r);

fab_status fab_segment(const fab_model *m, const fab_volume *image,
                       const fab_segment_options *options, fab_segment_result *out,
                       fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
