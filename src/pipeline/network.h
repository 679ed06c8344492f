/* network.h - a model of any kind: our own package, nnU-Net result folders, or brainchop's.
 *
 * All lie in a folder with a model.json. "fabrica-model" is read by `segment`. Those written by
 * fab_models_add point at folders below: "fabrica-nnunet" at result folders, run by `nnunet` or,
 * with TotalSegmentator's resampling around it, by `totalseg`; "fabrica-brainchop" at one of
 * brainchop's.
 */
#ifndef FAB_PIPELINE_NETWORK_H
#define FAB_PIPELINE_NETWORK_H

#include "pipeline_internal.h"

#define FAB_NETWORK_OWN "fabrica-model"
#define FAB_NETWORK_NNUNET "fabrica-nnunet"
#define FAB_NETWORK_BRAINCHOP "fabrica-brainchop"

/* The model called name (NULL: the newest for the study's modality), fit for this study. */
fab_status fab_network_choose(const char *const *folders, const char *name,
                              const fab_study *study, fab_network **out, fab_error *err);
fab_network *fab_network_free(fab_network *n);
FAB_DEFINE_AUTO(fab_network, fab_network_free)
const char *fab_network_name(const fab_network *n);
const char *fab_network_version(const fab_network *n);
const char *fab_network_weights_sha256(const fab_network *n);
const fab_json *fab_network_card(const fab_network *n);

typedef struct fab_network_run {
    double step;
    size_t max_memory_bytes;
    fab_totalseg_quality quality;
    const char *structures; /* comma list; NULL: all */
    const fab_progress *progress;
} fab_network_run;
/* Where part number `part` of an added package lies; FAB_ERR_FORMAT if its card names
 * none, or one outside of the package. */
fab_status fab_network_part_folder(const char *folder, const fab_json *card, size_t part,
                                   char *out, size_t room, fab_error *err);
/* What is no structure (a card's classes without members) is taken out again. */
fab_status fab_network_segment(const fab_network *n, const fab_volume *image,
                               const fab_network_run *how, fab_segment_result *out,
                               fab_error *err);

#endif
