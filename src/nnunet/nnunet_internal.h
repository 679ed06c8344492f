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
    int channels;
    float *data;            /* [channel][size]; owned */
    int8_t *outside;        /* [size]: -1 outside the non-zero mask, 0 inside; owned; may be NULL */
} fab_nnunet_case;
void fab_nnunet_case_free(fab_nnunet_case *c);

/* images: plan->channels volumes on one grid. */
fab_status fab_nnunet_prepare(const fab_nnunet_plan *plan, const fab_volume *const *images,
                              const fab_progress *progress, fab_nnunet_case *out, fab_error *err);

/* resample.c: nnU-Net's resample_data_or_seg of one float32 channel. */
fab_status fab_nnunet_resample(const float *from, const int size[3], const double spacing_mm[3],
                               const double new_spacing_mm[3], const int new_size[3],
                               const fab_nnunet_resampling *how, float *into, fab_error *err);

/* A network on one patch: plan->channels x patch in, heads x patch out (fp32). */
typedef fab_status (*fab_nnunet_patch_fn)(void *ctx, const float *patch, float *logits,
                                          fab_error *err);
typedef struct fab_nnunet_slide_options {
    double step;          /* of the patch; nnU-Net's default 0.5 */
    bool mirror[3];       /* axes allowed for test-time mirroring */
    bool exact;           /* sums in fp16 as nnU-Net has them; else fp32 */
    const fab_progress *progress;
} fab_nnunet_slide_options;
/* Adds one fold's logits: `logits` is heads x size, as raw fp16 bits. */
fab_status fab_nnunet_slide(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                            const fab_nnunet_slide_options *o, fab_nnunet_patch_fn run, void *ctx,
                            uint16_t *logits, fab_error *err);
/* importance[patch]: the Gaussian as fp16 bits. */
void fab_nnunet_gaussian(const int patch[3], uint16_t *importance);

/* Labels (U8, or U16 above 255) on the images' own grid. */
fab_status fab_nnunet_finish(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                             const uint16_t *logits, const fab_progress *progress,
                             fab_volume **labels, fab_error *err);

#endif
