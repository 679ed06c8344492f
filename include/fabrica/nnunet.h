/* fabrica/nnunet.h - layer 3: nnU-Net v2 result folders, used as nnU-Net writes them.
 *
 * Isensee et al., nnU-Net, Nature Methods 18 (2021); behaviour of version 2. Axes are nnU-Net's:
 * a file's (x, y, z) become (z, y, x), then transpose_forward; [0] is the slowest in memory.
 */
#ifndef FABRICA_NNUNET_H
#define FABRICA_NNUNET_H

#include "fabrica/anatomy.h"
#include "fabrica/nn.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- plans.json and dataset.json -------------------------------------------------------- */

#define FAB_NNUNET_MAX_CHANNELS 16 /* images of one patient */
#define FAB_NNUNET_MAX_FOLDS 16
#define FAB_NNUNET_MAX_MEMBERS 8 /* of an ensemble */
#define FAB_NNUNET_MAX_REGION 64 /* label values one region may unite */

typedef enum fab_nnunet_norm {
    FAB_NNUNET_CT,         /* clip to percentiles, subtract mean, divide by standard deviation */
    FAB_NNUNET_ZSCORE,     /* of the image itself, or of its non-zero part */
    FAB_NNUNET_NONE,       /* "NoNormalization" */
    FAB_NNUNET_RESCALE_01, /* minimum to maximum becomes 0..1 */
    FAB_NNUNET_RGB_01      /* divide by 255 */
} fab_nnunet_norm;

typedef struct fab_nnunet_channel {
    char name[FAB_MAX_NAME_BYTES]; /* as dataset.json calls it: "CT", "T2" */
    fab_nnunet_norm norm;
    bool use_mask;                /* ZSCORE: only inside the non-zero mask */
    double mean, std;             /* CT: of the training set's foreground ... */
    double low, high;             /* ... with its 0.5 and 99.5 percentiles */
} fab_nnunet_channel;

typedef struct fab_nnunet_resampling {
    int order, order_z;  /* splines: 0 nearest, 1 linear, 3 cubic; order_z along a separate axis */
    int separate_z;      /* -1: where the spacing is anisotropic; 0: never; 1: always */
} fab_nnunet_resampling;

typedef struct fab_nnunet_label {
    char name[FAB_MAX_NAME_BYTES];
    int value;                         /* written to the label map */
    int region_count;                  /* > 0: a region, the union of these label values */
    int region[FAB_NNUNET_MAX_REGION];
} fab_nnunet_label;

/* One configuration ("3d_fullres") of plans.json, with what dataset.json says. */
typedef struct fab_nnunet_plan {
    char dataset[FAB_MAX_NAME_BYTES], configuration[FAB_MAX_NAME_BYTES];
    char previous_stage[FAB_MAX_NAME_BYTES]; /* of a cascade: its 3d_lowres; "" if none */
    bool reorients;                /* NibabelIOWithReorient: arrays in RAS order */
    int channels;                  /* image channels; net.input_channels: with stage_labels */
    fab_nnunet_channel channel[FAB_NNUNET_MAX_CHANNELS];
    int transpose_forward[3], transpose_backward[3];
    bool flat;                     /* "2d": patch[0] is 1, every slice across axis 0 is a window
                                      and keeps its place; spacing_mm[0] is 0 */
    double spacing_mm[3];          /* in transposed axes, like patch */
    int patch[3];
    fab_nnunet_resampling data, probabilities, stage; /* stage: of the previous stage's labels */
    fab_unet_config net;           /* net.classes: heads */
    bool regions;                  /* sigmoid heads, one a region, written in order */
    int ignore_value;              /* label without a head; -1 if none */
    int head_count;                /* = net.classes */
    int stage_labels;              /* of a cascade: the previous stage's labels, a channel each */
    uint16_t stage_label[FAB_UNET_MAX_INPUT_CHANNELS];
    fab_nnunet_label head[FAB_UNET_MAX_CLASSES]; /* by head; without regions head 0 is background */
} fab_nnunet_plan;

/* Names are what messages call the files. `configuration`: which to take. FAB_ERR_FORMAT,
 * FAB_ERR_UNSUPPORTED (unknown networks, norms or resampling functions) naming the field. */
fab_status fab_nnunet_plan_read(const fab_json *plans, const char *plans_name,
                                const fab_json *dataset, const char *dataset_name,
                                const char *configuration, fab_nnunet_plan *out, fab_error *err);

/* ---- a trained network ------------------------------------------------------------------ */

typedef struct fab_nnunet fab_nnunet; /* immutable; shared by threads */

/* What nnU-Net found to help after the network: components taken away. Isensee et al., supplement;
 * `determine_postprocessing` of version 2 writes it to crossval_results_folds_.../. */
typedef struct fab_nnunet_step {
    int background;                       /* what is taken away becomes this */
    int count;                            /* values taken together, all but the largest ... */
    uint16_t *value;                      /* ... 26-connected component of them goes */
} fab_nnunet_step;

typedef struct fab_nnunet_postprocessing {
    char file[FAB_MAX_PATH_BYTES]; /* "" if there is none */
    int count;
    fab_nnunet_step *step;         /* in this order */
} fab_nnunet_postprocessing;

/* postprocessing.json: "postprocessing_fns" and "postprocessing_kwargs". FAB_ERR_FORMAT or
 * FAB_ERR_UNSUPPORTED (another function) naming the field. */
fab_status fab_nnunet_postprocessing_read(const fab_json *json, const char *name,
                                          fab_nnunet_postprocessing *out, fab_error *err);
void fab_nnunet_postprocessing_free(fab_nnunet_postprocessing *p);
/* In place; U8 or U16. removed (may be NULL): voxels taken away. */
fab_status fab_nnunet_postprocess(const fab_nnunet_postprocessing *p, fab_volume *labels,
                                  int64_t *removed, fab_error *err);

typedef struct fab_nnunet_load_options {
    const char *configuration; /* or TRAINER__PLANS__CONFIGURATION; NULL: 3d_fullres, else the
                                  cascade, else the only one there is */
    int fold_count;            /* 0: all that are there */
    int fold[FAB_NNUNET_MAX_FOLDS];
    const char *checkpoint;    /* NULL: checkpoint_final.pth */
    bool plan_only;            /* no weights: such a model cannot predict */
    bool no_postprocessing;    /* not even looked for */
    fab_precision precision;   /* of the network's arithmetic */
} fab_nnunet_load_options;

/* path: a result folder (TRAINER__PLANS__CONFIGURATION with plans.json, dataset.json and
 * fold_N/checkpoint_final.pth) or a data set's folder that holds such. options may be NULL.
 * Messages name the file and the field. Weights are read once and repacked: about their size in
 * memory, per fold. */
fab_status fab_nnunet_load(const char *path, const fab_nnunet_load_options *options,
                           fab_nnunet **out, fab_error *err);
fab_nnunet *fab_nnunet_free(fab_nnunet *m);
FAB_DEFINE_AUTO(fab_nnunet, fab_nnunet_free)
const fab_nnunet_plan *fab_nnunet_plan_of(const fab_nnunet *m);
const char *fab_nnunet_folder(const fab_nnunet *m);
const char *fab_nnunet_weights_sha256(const fab_nnunet *m); /* over the folds' files, in order */
int fab_nnunet_folds(const fab_nnunet *m);
/* The folder of fold `index` of those: "fold_0", "fold_all". */
void fab_nnunet_fold_name(const fab_nnunet *m, int index, char name[16]);
/* postprocessing.json of the folder itself, else of crossval_results_folds_... for the folds that
 * are used, else of the only such folder; count 0 and file "" if there is none. */
const fab_nnunet_postprocessing *fab_nnunet_postprocessing_of(const fab_nnunet *m);
/* Of a cascade: the network of its first stage, found beside it (TRAINER__PLANS__3d_lowres). */
const fab_nnunet *fab_nnunet_previous(const fab_nnunet *m);

/* ---- ensembles -------------------------------------------------------------------------- */

/* What nnUNetv2_find_best_configuration chose, as inference_information.json of a data set's folder
 * says it. */
typedef struct fab_nnunet_choice {
    int count; /* 1: a single configuration */
    char member[FAB_NNUNET_MAX_MEMBERS][256]; /* folders' names: TRAINER__PLANS__CONFIGURATION */
    int fold_count;
    int fold[FAB_NNUNET_MAX_FOLDS]; /* -1: fold_all */
    char postprocessing[256]; /* name of the folder that its postprocessing file lies in: one below
                                 "ensembles", or crossval_results_folds_...; "" if none is named */
} fab_nnunet_choice;
/* name: what messages call the file. FAB_ERR_FORMAT and FAB_ERR_LIMIT name the field. */
fab_status fab_nnunet_choice_read(const fab_json *json, const char *name, fab_nnunet_choice *out,
                                  fab_error *err);
/* The name of the folder below "ensembles" that is theirs; "" where their folds differ. */
void fab_nnunet_ensemble_name(const fab_nnunet *const *members, int count, char *out, size_t room);

/* Joins networks of one data set: fab_nnunet_predict then gives the labels of the mean of their
 * probabilities, as nnUNetv2_ensemble does. Takes members[0..count) over on success. Their own
 * postprocessing is not applied; postprocessing: a folder with a postprocessing.json for the
 * result, or NULL. FAB_ERR_FORMAT where labels or channels are not the same, naming file and
 * field. */
fab_status fab_nnunet_join(fab_nnunet *const *members, int count, const char *postprocessing,
                           fab_nnunet **out, fab_error *err);
/* 0: no ensemble. */
int fab_nnunet_members(const fab_nnunet *m);
const fab_nnunet *fab_nnunet_member(const fab_nnunet *m, int index);

/* How sure the network is, within the box that is not zero: what confidences and sub-voxel
 * surfaces are made of. Before any postprocessing. */
typedef struct fab_nnunet_soft {
    fab_volume *labels;      /* on the network's lattice; U8, or U16 above 255 */
    fab_volume *share;       /* there: the label's probability (softmax; regions: sigmoid); U8, in
                                255ths */
    fab_volume *fine_labels; /* axes of 2 mm and more halved; may be `labels`. NULL: not wanted */
    fab_volume *fine_margin; /* U8: lead of the label's logit over the next: fab_nnunet_margin */
} fab_nnunet_soft;
#define FAB_NNUNET_HALVE_FROM_MM 2.0
/* parts[a] (1 or 2) voxels in the place of each along axis a of the grid. */
fab_grid fab_nnunet_fine_grid(const fab_grid *lattice, const int parts[3]);
void fab_nnunet_soft_free(fab_nnunet_soft *s); /* members only */
/* Logits that a margin's code stands for: 0, else 2^((code - 1) / 16 - 10), at most 59. */
float fab_nnunet_margin(uint8_t code);
uint8_t fab_nnunet_margin_code(float margin); /* the nearest */

typedef struct fab_nnunet_options {
    double step;       /* of the patch; 0: nnU-Net's 0.5 */
    bool no_mirroring; /* else the axes the checkpoint allows */
    bool exact;        /* fp16 sums as nnU-Net's, for parity; else fp32 */
    size_t max_memory_bytes; /* 0: no cap; FAB_ERR_LIMIT before the network starts if not enough */
    size_t held_bytes;       /* what the caller holds meanwhile beside the images: counts too */
    fab_nnunet_soft *soft;   /* NULL: not wanted; else filled on success, the caller frees */
    bool surfaces;           /* soft's fine volumes are wanted */
    const fab_progress *progress;
} fab_nnunet_options;

typedef struct fab_nnunet_report {
    int patches;             /* network evaluations, of all stages */
    int64_t removed_voxels;  /* by postprocessing */
} fab_nnunet_report;

/* Segments images (plan->channels of them, on one grid) to labels (U8, or U16 above 255) on their
 * own grid. options and report may be NULL. A cascade takes its first stage's labels, on the same
 * grid, from `previous`; NULL: that stage is run before. An ensemble runs its members one after
 * another and keeps the logits of each; its soft result is the mean's, on the finest lattice. */
fab_status fab_nnunet_predict(const fab_nnunet *m, const fab_volume *const *images,
                              const fab_volume *previous, const fab_nnunet_options *options,
                              fab_volume **labels, fab_nnunet_report *report, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
