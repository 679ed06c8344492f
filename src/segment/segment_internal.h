/* segment_internal.h - what the files of src/segment share.
 *
 * Axes: [0] is z, [1] is y, [2] is x of a volume whose x runs to the patient's left, y to the back
 * and z to the head ("LPS order"), as in the model card. fab_grid sizes are the other way round.
 */
#ifndef FAB_SEGMENT_INTERNAL_H
#define FAB_SEGMENT_INTERNAL_H

#include "fabrica/segment.h"
#include "fabrica/spine.h"

#define FAB_MODEL_MAX_TEXT 128
#define FAB_MODEL_MAX_NEAR 4

typedef struct fab_model_label {
    int value; /* the network's class */
    char name[FAB_MAX_NAME_BYTES], left[FAB_MAX_NAME_BYTES], right[FAB_MAX_NAME_BYTES];
    bool split;
    int keep_components;     /* 0: all; else the largest n (of each side if split) */
    double min_component_ml; /* smaller components are dropped */
    double needs_hu, needs_share; /* so are those with a smaller share of voxels above needs_hu */
    int near[FAB_MODEL_MAX_NEAR], near_count; /* rows: and those further than within_mm from them */
    double within_mm;
    double fluid_below_hu; /* 0, or: fluid beside this solid organ is darker */
    double neck_mm;        /* 0, or: a part on a thinner neck may be another organ, of this row */
    int yields_to;
    bool not_under_skin;   /* what is as dark as fat in the fat under the skin is not this */
} fab_model_label;

struct fab_model {
    char name[FAB_MODEL_MAX_TEXT], version[FAB_MODEL_MAX_TEXT], sha256[65];
    fab_json *card;
    fab_unet_config config;
    fab_net *net;
    double spacing_mm[3];
    double clip_hu[2], mean, std, padding_hu;
    int patch[3], patch_max[3]; /* of the window; equal where the card gives one size only */
    double step, sigma_scale;
    bool mirror[3];
    bool body_only;            /* air around the patient is left out before the network */
    bool outside_reaches_edge; /* class 0 is the air around the patient: never enclosed by others */
    int label_count;
    fab_model_label labels[FAB_UNET_MAX_CLASSES];
    bool counts_vertebrae; /* body, arch and disc become vertebrae and discs by name */
    fab_spine_classes spine;
};

/* What a card's label becomes in the label set. */
typedef enum fab_row_kind { FAB_ROW_PLAIN, FAB_ROW_BODY, FAB_ROW_ARCH, FAB_ROW_DISC } fab_row_kind;

/* ---- the image as the network's axes see it ----------------------------------------------- */

/* Voxels of a volume addressed in LPS order without moving them. */
typedef struct fab_view {
    int size[3];
    int64_t start, step[3];
    double spacing_mm[3];
    fab_grid grid; /* canonical; x, y, z */
} fab_view;
fab_view fab_view_of(const fab_grid *g);

/* One axis of a separable resampling: target i = sum over k of weight[k] * source[first + k]. */
typedef struct fab_axis {
    int count, taps; /* targets; entries of weight per target */
    int *first;
    float *weight; /* [count][taps] */
} fab_axis;
void fab_axis_free(fab_axis *a);
/* Both grids share their centre. `smooth`: a Gaussian against aliasing comes first when the target
 * is coarser ("fabrica-gauss-linear-1", docs/formats/model.md). */
fab_status fab_axis_make(int source_size, double source_mm, int size, double mm, bool smooth,
                         fab_axis *out, fab_error *err);

/* The network's grid for an image: size in LPS order. */
fab_status fab_network_size(const fab_model *m, const fab_view *view, int size[3],
                            fab_error *err);
/* Resampled, clipped, normalised, and padded to at least the patch (low = padding / 2): `padded`
 * voxels, `low` of them before the image. *out from fab_malloc. */
fab_status fab_preprocess(const fab_model *m, const fab_volume *image, const fab_view *view,
                          const int size[3], const int padded[3], const int low[3], float **out,
                          fab_error *err);

/* The part of an image that the patient is in (its grid moves along), and where it began. */
fab_status fab_body_crop(const fab_volume *image, int32_t low[3], fab_volume **out,
                         fab_error *err);
/* A crop's voxels back at their place, zeros around. */
fab_status fab_body_paste(const fab_volume *crop, const int32_t low[3], const fab_grid *whole,
                          fab_volume **out, fab_error *err);

/* ---- sliding window ----------------------------------------------------------------------- */

#define FAB_MAX_WINDOWS_PER_AXIS 4096
/* nnU-Net's starts along one axis (round half to even); returns how many. starts may be NULL. */
int fab_window_starts(int size, int patch, double step, int *starts);
/* The window along one axis, from `patch` to `most` by `by`, of which `size` voxels take fewest in
 * all; the smaller of two equal ones. */
int fab_window_fit(int size, int patch, int most, int by, double step);
/* exp(-(i - patch / 2)^2 / (2 sigma^2)), sigma = patch * scale. */
void fab_window_gaussian(int patch, double scale, float *out);

/* A lattice that logits are interpolated at: labels (and margins) wanted there. */
typedef struct fab_target {
    int size[3];
    int64_t start, step[3];  /* of a voxel (z, y, x) in labels and margin */
    fab_axis axis[3];        /* two taps each, from the network's grid */
    void *labels;            /* U8 or U16 */
    bool wide;               /* labels are U16 */
    float *margin;           /* or NULL */
    int next;                /* first z plane not made yet */
} fab_target;

typedef struct fab_slide {
    const fab_model *model;
    int size[3], padded[3], low[3]; /* of the network's grid; with padding; padding before */
    int patch[3];                   /* of this image's windows: fab_window_fit */
    int count[3];
    int *starts[3];
    float *gauss[3];       /* per axis: [window][patch] weights, already divided by their sum */
    const float *image;    /* padded */
    int depth;             /* planes of the ring */
    int pitch;             /* floats per voxel: classes rounded up to 16 */
    float *ring;           /* [depth][size y][size x][pitch]; plane z is at z % depth */
    uint8_t structure[FAB_UNET_MAX_CLASSES]; /* 1: the class has a label, 0: background */
    float barred[FAB_UNET_MAX_CLASSES + 16]; /* 0 for structures' classes, else -infinity */
    int none[FAB_UNET_MAX_CLASSES], none_count; /* the other classes */
    int16_t same[FAB_UNET_MAX_CLASSES]; /* another class that gives the same label + 1, or 0 */
    fab_volume *wanted;    /* NULL, or U8 on the network's grid: where a window must reach */
    int wanted_reach[3];   /* voxels beyond a window */
    const uint8_t *groups; /* NULL, or the group of each class: fab_segment_options */
    uint16_t *winner;      /* [z][y][x] of the network's grid: class */
    float *probability;    /* of the winner */
    uint8_t *even;         /* of the network's grid: 1: eight winners are one (emit.c) ... */
    uint8_t *settled;      /* ... and those of all cells around too */
    fab_target *targets;
    int target_count;
    const fab_progress *progress;
} fab_slide;

fab_status fab_slide_run(fab_slide *s, int *patches, fab_error *err);
/* Winners and probabilities of network planes [from, to), then every target plane that needs no
 * plane at or after `to`. */
void fab_slide_emit(fab_slide *s, int from, int to);

#define FAB_ENCLOSED 0xfffeu /* no class has this number */
/* Zeros of a plane of classes that no path of zeros (4 neighbours) joins to the plane's border
 * become FAB_ENCLOSED. */
void fab_plane_mark_enclosed(uint16_t *plane, int rows, int columns);

/* ---- after the network -------------------------------------------------------------------- */

/* Connected components (26 neighbours) of equal non-zero values, all values in one pass.
 * component[voxel] is -1 for value 0, else an index into *regions (fab_malloc'd), numbered in
 * order of their first voxel. */
typedef struct fab_region {
    int value;
    int64_t voxels;
    int64_t left;   /* of them, left of the mid-sagittal surface */
    int64_t dense;  /* of them, above the HU its structure needs; 0 where it needs none */
    bool misplaced; /* further from its landmarks than its structure lies */
    int final;      /* label set value, 0: dropped, -1: cut along the mid-sagittal surface */
} fab_region;
fab_status fab_regions_find(const uint16_t *values, const int size[3], int32_t *component,
                            fab_region **regions, int32_t *count, fab_error *err);

/* The patient's mid-sagittal surface on the network's lattice: x = at[z] + tilt[z] (y - y0[z]).
 * Larger x is the patient's left. See midline.c. */
typedef struct fab_midline {
    int planes;
    double *x, *y, *tilt; /* one array each, [planes] */
    bool from_spine;
} fab_midline;
fab_status fab_midline_find(const fab_model *m, const uint16_t *winner, const int size[3],
                            fab_midline *out, fab_error *err);
void fab_midline_free(fab_midline *m);
double fab_midline_x(const fab_midline *m, double z, double y);

/* What post-processing decided. */
typedef struct fab_decision {
    const fab_model *model;
    int size[3];
    const uint16_t *winner;
    const float *probability;
    int32_t *component;
    fab_region *regions;
    int32_t region_count;
    fab_midline midline;
    int row_of[FAB_UNET_MAX_CLASSES];   /* class -> row of model->labels, -1 */
    int value_of[FAB_UNET_MAX_CLASSES]; /* row -> first value in the label set */
    int fragments[FAB_UNET_MAX_CLASSES]; /* row -> big components before any were dropped */
    uint8_t *removed; /* of the network's lattice, or NULL: taken out by the image's evidence */
    double denied_ml[FAB_UNET_MAX_CLASSES];    /* row -> so much of it */
    uint8_t *renamed; /* of the network's lattice, or NULL: 0, or the class that neck.c gave it */
    double yielded_ml[FAB_UNET_MAX_CLASSES];   /* row -> so much of it */
    double misplaced_ml[FAB_UNET_MAX_CLASSES]; /* row -> dropped for its place */
    int value_count;
    fab_spine spine;       /* count 0: the model does not count vertebrae, or found none */
    uint16_t *spine_value; /* of body, arch and disc voxels of the network's lattice; or NULL */
} fab_decision;
fab_status fab_decide(const fab_model *m, const fab_slide *s, fab_decision *out, fab_error *err);
void fab_decision_free(fab_decision *d);
/* Classes in the target's labels become values of the label set. */
void fab_decision_apply(const fab_decision *d, fab_target *t);
/* sums[value] of the winner's probability and voxels[value] on the network's lattice. */
void fab_decision_confidence(const fab_decision *d, double *sums, int64_t *voxels);

/* Before all else: voxels whose image says that they are not what they are called (evidence.c)
 * become class 0, and d->removed. */
bool fab_wants_evidence(const fab_model *m); /* its card asks for that */
fab_status fab_decide_evidence(fab_decision *d, const fab_slide *s, fab_error *err);
bool fab_wants_necks(const fab_model *m);
/* Parts of labels that neck_mm speaks of become the other organ: winners and d->renamed. */
fab_status fab_decide_necks(fab_decision *d, const fab_slide *s, fab_error *err);

/* Of decided regions, marks those that lie too far from what their structure is near to. */
fab_status fab_decide_places(fab_decision *d, fab_error *err);

/* ---- vertebrae by name (vertebrae.c) ------------------------------------------------------ */

fab_row_kind fab_row_kind_of(const fab_model *m, int row);
/* How many values of the label set a row takes, and the name of the k-th of them. An arch takes
 * none: it gets its vertebra's. */
int fab_row_values(const fab_model *m, int row);
const char *fab_row_name(const fab_model *m, int row, int k, char into[FAB_MAX_NAME_BYTES]);
/* Class -> the other class that gives the same label (body and arch), or -1. */
int fab_same_label_class(const fab_model *m, int class_value);
/* After the regions are decided: d->spine and d->spine_value. */
fab_status fab_decide_spine(fab_decision *d, fab_error *err);
/* Probability of the name of a value; 1 for what is not named by counting. */
double fab_decision_name_confidence(const fab_decision *d, int value);
/* The card's optional block "spine". */
fab_status fab_model_read_spine(const fab_json *card, fab_model *m, fab_error *err);

/* Fills r->findings and r->notes from the finished labels. */
fab_status fab_findings_make(const fab_decision *d, fab_segment_result *r, fab_error *err);

#endif
