/* model_internal.h - a loaded result folder: folder.c fills it, predict.c runs it. */
#ifndef FAB_NNUNET_MODEL_INTERNAL_H
#define FAB_NNUNET_MODEL_INTERNAL_H

#include "fabrica/nnunet.h"

#define FAB_NNUNET_FOLD_ALL (-1) /* "fold_all": trained on every case */

struct fab_nnunet {
    fab_nnunet_plan plan;
    char folder[FAB_MAX_PATH_BYTES], sha256[65];
    bool mirror[3];
    int fold_count, fold[FAB_NNUNET_MAX_FOLDS];
    fab_net *net[FAB_NNUNET_MAX_FOLDS];
    fab_nnunet_postprocessing postprocessing;
    struct fab_nnunet *previous; /* of a cascade: its first stage */
};

/* flat.c: weights [out][in][y][x] of a 2d network as [out][in][1][y][x]. */
fab_status fab_nnunet_unflatten(const fab_tensors *t, fab_tensors **out, fab_error *err);

#endif
