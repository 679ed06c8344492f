/* nnunet_internal.h - the stages between an image and its label map, shared by this folder's files.
 *
 *   images -> axes, float32 -> crop to non-zero -> normalise -> resample      fab_nnunet_prepare
 *     -> pad, windows, mirrored networks, Gaussian, fp16 sums -> logits       fab_nnunet_slide
 *     -> resample slab by slab, argmax or regions, paste into the image's     fab_nnunet_finish
 *
 * Every number is rounded where nnU-Net rounds it (docs/adr/0082).
 */
#ifndef FAB_NNUNET_INTERNAL_H
#define FAB_NNUNET_INTERNAL_H

#include "fabrica/nnunet.h"

/* A preprocessed case. Axes as in fabrica/nnunet.h. */
typedef struct fab_nnunet_case {
    fab_grid grid;          /* of the images as they came */
    int axis_of[3];         /* nnU-Net axis before transposing -> grid axis (0 = i) */
    bool flipped[3];        /* along which nnU-Net's axis runs against the grid's */
    int whole[3];           /* transposed shape before cropping */
    int box[3][2];          /* crop, half open */
    double spacing_mm[3];   /* transposed, of the image: float32 values as nibabel's zooms give */
    int size[3];            /* after resampling */
    int channels;           /* of images */
    float *data;            /* [channel][size]; owned */
    int stage_labels;       /* of a cascade: as many channels of 0 and 1 follow the images' ... */
    uint16_t *stage;        /* [size]: 1 + which of them is 1 there, 0: none; owned, or NULL */
} fab_nnunet_case;
/* What the network sees. */
static inline int fab_nnunet_case_channels(const fab_nnunet_case *c)
{
    return c->channels + c->stage_labels;
}
void fab_nnunet_case_free(fab_nnunet_case *c);
/* Where the crop's first voxel lies in the images, and how far apart its neighbours along each
 * transposed axis are, in voxels. */
void fab_nnunet_case_steps(const fab_nnunet_plan *plan, const fab_nnunet_case *c, int64_t *start,
                           int64_t step[3]);

/* The network's spacing for this case: a 2d one takes the distance of slices as it is. */
void fab_nnunet_target_spacing(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                               double mm[3]);

/* All of a case but its data: crop, spacing, size. images: plan->channels volumes on one grid. */
fab_status fab_nnunet_outline(const fab_nnunet_plan *plan, const fab_volume *const *images,
                              fab_nnunet_case *out, fab_error *err);
fab_status fab_nnunet_prepare(const fab_nnunet_plan *plan, const fab_volume *const *images,
                              const fab_progress *progress, fab_nnunet_case *out, fab_error *err);

/* cascade.c: the labels of the stage before, on the images' grid, as further channels: one of 0
 * and 1 for each of plan->stage_label, cropped and resampled like the images. */
fab_status fab_nnunet_add_stage(const fab_nnunet_plan *plan, const fab_volume *labels,
                                fab_nnunet_case *c, fab_error *err);

/* ---- resample.c: nnU-Net's resample_data_or_seg ------------------------------------------- */

/* Where the samples come from: slice `index` across `axis`, as [first other axis][second]. Called
 * from several threads. */
typedef struct fab_nnunet_source {
    void (*plane)(const void *ctx, int axis, int index, float *into);
    const void *ctx;
} fab_nnunet_source;

/* Which axis is resampled apart from the two others, -1 if none. */
int fab_nnunet_separate_axis(const fab_nnunet_resampling *how, const double spacing_mm[3],
                             const double new_spacing_mm[3]);
/* Coordinate of sample k of m in an axis of n samples: ends of both axes meet. */
double fab_nnunet_coordinate(int k, int n, int m);
/* The sample a separate axis of order 0 takes there: halves go up. */
int fab_nnunet_nearest(int k, int n, int m);
/* One float32 channel: splines in float64, clipped to its own range (a separate axis: each slice
 * to the slice's own). Equal sizes: copied. */
fab_status fab_nnunet_resample(const fab_nnunet_source *from, const int size[3],
                               const double spacing_mm[3], const double new_spacing_mm[3],
                               const int new_size[3], const fab_nnunet_resampling *how,
                               float *into, fab_error *err);

/* ---- logits ------------------------------------------------------------------------------- */

/* Logits lie [plane][row][head][x], plane z of a case at z % depth where `depth` planes are kept:
 * what a window says of a row of voxels goes to one piece of memory, though heads are many. This is
 * where row (z, y) of `head` begins. */
static inline ptrdiff_t fab_nnunet_row(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                                       int depth, int head, int z, int y)
{
    const ptrdiff_t row = (ptrdiff_t)(z % depth) * c->size[1] + y;
    return (row * plan->head_count + head) * c->size[2];
}

/* ---- slide.c ------------------------------------------------------------------------------ */

/* A network on one patch (case channels x patch, fp32): gives every voxel's logits to the sink
 * once, as fab_net_session_run does. */
typedef fab_status (*fab_nnunet_patch_fn)(void *ctx, const float *patch, fab_net_sink sink,
                                          void *sink_ctx, fab_error *err);
typedef struct fab_nnunet_slide_options {
    double step;          /* of the patch; nnU-Net's default 0.5 */
    bool mirror[3];       /* axes allowed for test-time mirroring */
    bool exact;           /* sums in fp16 as nnU-Net has them; else fp32 */
    bool add;             /* to the logits of earlier folds; else they are written */
    /* Planes of logits that are kept: 0 for all, else fab_nnunet_slide_depth, and plane z is found
     * at z % depth. Whenever more planes are final, ready(ctx, planes) says that those below
     * `planes` are; those below the last call's `planes` - 1 are gone then. */
    int depth;
    fab_status (*ready)(void *ctx, int planes, fab_error *err);
    void *ready_ctx;
    const fab_progress *progress;
} fab_nnunet_slide_options;
/* Fewest planes that can be kept of a case. */
int fab_nnunet_slide_depth(const fab_nnunet_plan *plan, const fab_nnunet_case *c);
/* One fold: `logits` is depth or size[0] x size[1] x heads x size[2], as raw fp16 bits.
 * FAB_ERR_LIMIT where fp16 overflows, as in nnU-Net. */
fab_status fab_nnunet_slide(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                            const fab_nnunet_slide_options *o, fab_nnunet_patch_fn run, void *ctx,
                            uint16_t *logits, fab_error *err);
/* What it takes beside the logits, the case and the network. */
size_t fab_nnunet_slide_bytes(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                              const fab_nnunet_slide_options *o);
/* The mean of `folds` added up: count fp16 values, in place. */
void fab_nnunet_mean_of_folds(uint16_t *logits, int64_t count, int folds);
/* importance[patch]: the Gaussian as fp16 bits. */
fab_status fab_nnunet_gaussian(const int patch[3], uint16_t *importance, fab_error *err);
/* Starts of the windows along an axis of size >= patch; returns how many. starts may be NULL. */
int fab_nnunet_window_starts(int size, int patch, double step, int *starts);

/* ---- finish.c ----------------------------------------------------------------------------- */

/* Along an axis: sample k of m lies between logits first[k] and second[k] of n, t[k] of the way. */
typedef struct fab_nnunet_axis {
    int n, m;
    int32_t *first, *second; /* [m] */
    double *t;
} fab_nnunet_axis;
/* order 0 or 1. What was made is freed by the caller, after a failure too. */
fab_status fab_nnunet_axis_make(int n, int m, int order, fab_nnunet_axis *a, fab_error *err);
void fab_nnunet_axis_free(fab_nnunet_axis *a);
/* By which order logits go back to the image along each axis. */
fab_status fab_nnunet_export_orders(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                                    int order[3], fab_error *err);

/* Labels being made while planes of logits become final, depth of them kept as
 * fab_nnunet_slide_options says. Plan, case and logits must stay. */
typedef struct fab_nnunet_finisher fab_nnunet_finisher;
fab_status fab_nnunet_finisher_create(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                                      const uint16_t *logits, int depth,
                                      const fab_progress *progress, fab_nnunet_finisher **out,
                                      fab_error *err);
fab_nnunet_finisher *fab_nnunet_finisher_free(fab_nnunet_finisher *f);
FAB_DEFINE_AUTO(fab_nnunet_finisher, fab_nnunet_finisher_free)
/* Makes every slice that only looks at planes below `planes`; never fewer than before. */
fab_status fab_nnunet_finisher_planes(fab_nnunet_finisher *f, int planes, fab_error *err);
/* Labels (U8, or U16 above 255) on the images' own grid, once all planes were given. */
fab_volume *fab_nnunet_finisher_take(fab_nnunet_finisher *f);
/* All of it, from the logits of all planes. */
fab_status fab_nnunet_finish(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                             const uint16_t *logits, const fab_progress *progress,
                             fab_volume **labels, fab_error *err);

/* ---- mean.c ------------------------------------------------------------------------------- */

/* A member of an ensemble that has spoken: logits of all its planes. */
typedef struct fab_nnunet_voice {
    const fab_nnunet_plan *plan;
    fab_nnunet_case c; /* its data may be gone */
    uint16_t *logits;
} fab_nnunet_voice;
/* Labels of the mean of the voices' probabilities, on the images' own grid. The voices have the
 * same heads and saw the same images. */
fab_status fab_nnunet_mean_labels(const fab_nnunet_voice *voice, int count,
                                  const fab_progress *progress, fab_volume **labels,
                                  fab_error *err);
/* On the lattice of voice[leader]: its logits become those whose softmax (of regions: sigmoid) is
 * the mean. */
fab_status fab_nnunet_mean_logits(const fab_nnunet_voice *voice, int count, int leader,
                                  const fab_progress *progress, fab_error *err);
/* What either takes beside labels and logits; of the voices only plan and c's size count. */
size_t fab_nnunet_mean_bytes(const fab_nnunet_voice *voice, int count);

/* ---- soft.c ------------------------------------------------------------------------------- */

/* A fab_nnunet_soft in the making; logits as for finish.c, `depth` planes of them. Plan, case and
 * logits must stay. */
typedef struct fab_nnunet_softener fab_nnunet_softener;
size_t fab_nnunet_softener_bytes(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                                 bool surfaces);
fab_status fab_nnunet_softener_create(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                                      const uint16_t *logits, int depth, bool surfaces,
                                      fab_nnunet_softener **out, fab_error *err);
fab_nnunet_softener *fab_nnunet_softener_free(fab_nnunet_softener *s);
FAB_DEFINE_AUTO(fab_nnunet_softener, fab_nnunet_softener_free)
/* Planes below `planes` that were not made yet: their logits are final. Those of plane `planes` - 1
 * must stay until the next call. */
void fab_nnunet_softener_planes(fab_nnunet_softener *s, int planes);
/* Once all planes were given; the caller frees. */
fab_nnunet_soft fab_nnunet_softener_take(fab_nnunet_softener *s);

#endif
