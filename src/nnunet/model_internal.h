/* model_internal.h - a loaded result folder: folder.c fills it, predict.c runs it; or several,
 * which ensemble.c joins and runs. */
#ifndef FAB_NNUNET_MODEL_INTERNAL_H
#define FAB_NNUNET_MODEL_INTERNAL_H

#include "fabrica/nnunet.h"

struct fab_nnunet_case; /* nnunet_internal.h */

#define FAB_NNUNET_FOLD_ALL (-1) /* "fold_all": trained on every case */

struct fab_nnunet {
    fab_nnunet_plan plan;
    char folder[FAB_MAX_PATH_BYTES], sha256[65];
    bool mirror[3];
    int fold_count, fold[FAB_NNUNET_MAX_FOLDS];
    fab_net *net[FAB_NNUNET_MAX_FOLDS];
    fab_nnunet_postprocessing postprocessing;
    struct fab_nnunet *previous; /* of a cascade: its first stage */
    int member_count;            /* > 0: an ensemble; plan is the first one's, it has no net */
    struct fab_nnunet *member[FAB_NNUNET_MAX_MEMBERS];
};

/* folder.c: postprocessing.json of that folder. */
fab_status fab_nnunet_load_postprocessing(const char *folder, fab_nnunet_postprocessing *out,
                                          fab_error *err);

/* ---- predict.c, for ensemble.c ------------------------------------------------------------ */

struct fab_nnunet_voice;
fab_status fab_nnunet_check_images(const fab_nnunet_plan *p, const fab_volume *const *images,
                                   const fab_volume *previous, fab_error *err);
/* Of all folds, and a cascade's first stage. */
size_t fab_nnunet_weight_bytes(const fab_nnunet *m);
size_t fab_nnunet_label_bytes(const fab_nnunet *m, const fab_volume *image);
/* What one stage takes beside images, weights and labels; keep: with the logits of all planes. Of
 * the case its size counts. */
size_t fab_nnunet_stage_bytes(const fab_nnunet *m, const struct fab_nnunet_case *c,
                              const fab_nnunet_options *o, bool keep);
fab_status fab_nnunet_check_memory(size_t planned, size_t most, fab_error *err);
/* One stage to labels, without postprocessing; a cascade's second one sees the labels of the first.
 * Adds to *patches. */
fab_status fab_nnunet_run_stage(const fab_nnunet *m, const fab_volume *const *images,
                                const fab_volume *previous, const fab_nnunet_options *o,
                                fab_volume **labels, int *patches, fab_error *err);
/* One stage to logits, which the caller frees. Memory is not checked. */
fab_status fab_nnunet_speak(const fab_nnunet *m, const fab_volume *const *images,
                            const fab_volume *previous, const fab_nnunet_options *o,
                            struct fab_nnunet_voice *v, int *patches, fab_error *err);
/* ensemble.c: all members to the labels of their mean, without postprocessing. */
fab_status fab_nnunet_run_members(const fab_nnunet *m, const fab_volume *const *images,
                                  const fab_nnunet_options *o, fab_volume **labels, int *patches,
                                  fab_error *err);

/* flat.c: weights [out][in][y][x] of a 2d network as [out][in][1][y][x]. */
fab_status fab_nnunet_unflatten(const fab_tensors *t, fab_tensors **out, fab_error *err);

#endif
