/* fabrica/segment.h - layer 2: model packages, sliding window, label maps. */
#ifndef FABRICA_SEGMENT_H
#define FABRICA_SEGMENT_H

#include "fabrica/anatomy.h"
#include "fabrica/nn.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- model packages --------------------------------------------------------------------- */

/* A model package: a folder with model.json and safetensors weights (docs/formats/model.md).
 * Immutable once loaded; shared by threads. */
typedef struct fab_model fab_model;
/* Reads and checks card and weights, the weights' SHA-256 included (FAB_ERR_INTEGRITY). Messages
 * name the file and the field. */
fab_status fab_model_load(const char *folder, fab_precision precision, fab_model **out,
                          fab_error *err);
/* The same from a card and weights that lie anywhere; card_name is what messages call the card. */
fab_status fab_model_load_parts(const fab_json *card, const char *card_name,
                                const fab_reader *weights, fab_precision precision,
                                fab_model **out, fab_error *err);
fab_model *fab_model_free(fab_model *m);
FAB_DEFINE_AUTO(fab_model, fab_model_free)
const char *fab_model_name(const fab_model *m);
const char *fab_model_version(const fab_model *m);
const char *fab_model_weights_sha256(const fab_model *m);
const fab_json *fab_model_card(const fab_model *m); /* borrowed */
/* Re-hashes the weights against the card: FAB_ERR_INTEGRITY if they differ. */
fab_status fab_model_verify(const char *folder, fab_error *err);

/* ---- calibration ------------------------------------------------------------------------ */

/* What a card's optional "calibration" knows: the Dice to expect of a mean probability, measured on
 * held-out cases (docs/formats/model.md). */
typedef struct fab_calibration fab_calibration;
/* *out NULL if the card has none. FAB_ERR_FORMAT names what does not hold. */
fab_status fab_calibration_read(const fab_json *card, fab_calibration **out, fab_error *err);
fab_calibration *fab_calibration_free(fab_calibration *c);
FAB_DEFINE_AUTO(fab_calibration, fab_calibration_free)
/* 0..1 by the structure's own table, else that of all ("*"), linear between knots and constant
 * beyond; NaN without a table or without a confidence. */
double fab_calibration_expected(const fab_calibration *c, const char *structure,
                                double confidence);

/* ---- segmentation ----------------------------------------------------------------------- */

typedef struct fab_segment_options {
    double step;              /* fraction of the patch, 0.1..1; 0 = the model's */
    size_t max_memory_bytes;  /* 0 = no cap; refuses before starting if it cannot be kept */
    const fab_progress *progress;
    const uint8_t *groups;    /* fab_segment_classes only: group of each class, FAB_UNET_MAX_CLASSES
                                 of them. The group with the highest sum of probabilities wins, in
                                 it the likeliest class; NULL: each class by itself */
    const fab_volume *wanted; /* fab_segment_classes only: U8 on any grid; windows that have no
                                 non-zero voxel within wanted_mm are left out, and what lies in
                                 none of the others means nothing. NULL: all are run */
    double wanted_mm;
} fab_segment_options;

/* What a reader should know about one structure (or, value 0, about the whole run). */
typedef enum fab_finding_kind {
    FAB_FINDING_NOTHING_FOUND,  /* no structure at all */
    FAB_FINDING_CUT_BY_EDGE,    /* touches the volume's edge: incomplete */
    FAB_FINDING_FRAGMENTS,      /* more than one big component where the card expects one */
    FAB_FINDING_SIDE_FALLBACK,  /* left and right split without a spine to go by */
    FAB_FINDING_LOW_CONFIDENCE, /* mean probability below 0.6 */
    FAB_FINDING_MISPLACED,      /* components too far from where the structure lies, left out */
    FAB_FINDING_OTHER_TISSUE,   /* fluid, fat under the skin, a part of another organ */
    FAB_FINDING_TRANSITIONAL,   /* sacrum and ribs do not fit five lumbar vertebrae */
    FAB_FINDING_NAMES_UNCERTAIN, /* the vertebrae may be named one level off */
    FAB_FINDING_KINDS
} fab_finding_kind;
const char *fab_finding_name(fab_finding_kind kind); /* "cut_by_edge", ... */

typedef struct fab_finding {
    int value; /* of the label set, 0 for all */
    fab_finding_kind kind;
    char text[256]; /* for a person */
} fab_finding;

typedef struct fab_segment_result {
    fab_volume *labels;       /* U8/U16 on the input's own grid */
    fab_label_set set;        /* values that can occur, after the left/right split */
    fab_volume *fine_labels;  /* the same at the meshing grid (canonical axes, half the network's
                                 spacing), for smooth sub-voxel surfaces */
    fab_volume *fine_margin;  /* F32 on fine_labels' grid: logit of the winner minus the largest
                                 one that would give another label, >= 0 */
    double *confidence;       /* per set row: mean softmax probability of the winner over the
                                 structure at the network's resolution, 0..1; 0 if not found.
                                 Vertebrae named by counting: times the name's probability */
    bool checked;             /* findings are complete: pieces, sides and confidences looked at */
    size_t finding_count;
    fab_finding *findings;
    char notes[1024];         /* the findings as text, one sentence each */
    int patches;              /* network evaluations */
    size_t planned_bytes;     /* peak memory planned before the start, input included */
    fab_isa isa;              /* kernels used, and so the precision */
} fab_segment_result;
void fab_segment_result_free(fab_segment_result *r);

/* Segments `image` (HU for CT). The image may have any orientation; the network sees it reordered
 * to L, P, S and resampled as the card says. At no time is there an array of classes x the
 * image's voxels: logits exist at the network's resolution for about one patch depth only.
 * Outputs depend on the image, the model and options->step only. */
fab_status fab_segment(const fab_model *m, const fab_volume *image,
                       const fab_segment_options *options, fab_segment_result *out,
                       fab_error *err);
/* What the network itself sees and says, before any post-processing, on its own grid: for training
 * on scans that nobody labelled. Owned; freed by fab_segment_view_free. */
typedef struct fab_segment_view {
    fab_volume *hu;          /* F32, clipped as the card says */
    fab_volume *classes;     /* U16, the network's class of highest probability */
    fab_volume *probability; /* F32, of that class, or of its group */
    int patches;             /* network evaluations */
} fab_segment_view;
fab_status fab_segment_classes(const fab_model *m, const fab_volume *image,
                               const fab_segment_options *options, fab_segment_view *out,
                               fab_error *err);
void fab_segment_view_free(fab_segment_view *v);
/* What fab_segment would plan for an image on this grid: bytes at the peak. */
fab_status fab_segment_plan_bytes(const fab_model *m, const fab_volume *image, double step,
                                  size_t *bytes, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
