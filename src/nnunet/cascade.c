/* cascade.c - the first stage's labels as further channels of the second stage's input.
 *
 * nnU-Net crops them like the image, resamples each label's mask by itself (resize_segmentation:
 * linear, a voxel belongs to the last label whose mask reaches one half there) and appends one
 * channel of zeros and ones a label, after normalisation.
 */
#include <string.h>

#include "nnunet_internal.h"

typedef struct mask_source {
    const void *labels;
    fab_dtype dtype;
    int value;
    int size[3];
    int64_t start, step[3];
} mask_source;

static int label_at(const mask_source *m, int64_t at)
{
    return m->dtype == FAB_U8 ? ((const uint8_t *)m->labels)[at]
                              : ((const uint16_t *)m->labels)[at];
}

/* fab_nnunet_source of one label's mask. */
static void mask_plane(const void *ctx, int axis, int index, float *into)
{
    const mask_source *m = ctx;
    const int p = axis == 0 ? 1 : 0, q = axis == 2 ? 1 : 2;
    const int64_t start = m->start + index * m->step[axis];
    for (int y = 0; y < m->size[p]; y++)
        for (int x = 0; x < m->size[q]; x++)
            *into++ = label_at(m, start + y * m->step[p] + x * m->step[q]) == m->value;
}

/* What reaches one half and is not taken by a later label. */
static void decide(float *mask, uint8_t *taken, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const bool here = mask[i] >= 0.5f && !taken[i];
        mask[i] = here;
        taken[i] |= here;
    }
}

static fab_status make_masks(const fab_nnunet_plan *plan, mask_source *m,
                             const fab_nnunet_case *c, size_t count, float *into, fab_error *err)
{
    const fab_nnunet_source source = {mask_plane, m};
    FAB_AUTO_FREE uint8_t *taken = fab_calloc(count, 1);
    if (!taken) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the labels of the stage before");
    for (int i = plan->stage_labels - 1; i >= 0; i--) {
        float *mask = into + (size_t)i * count;
        m->value = plan->stage_label[i];
        FAB_TRY(fab_nnunet_resample(&source, m->size, c->spacing_mm, plan->spacing_mm, c->size,
                                    &plan->stage, mask, err));
        decide(mask, taken, count);
    }
    return FAB_OK;
}

fab_status fab_nnunet_add_stage(const fab_nnunet_plan *plan, const fab_volume *labels,
                                fab_nnunet_case *c, fab_error *err)
{
    mask_source m = {.labels = fab_volume_data(labels), .dtype = fab_volume_dtype(labels)};
    if (m.dtype != FAB_U8 && m.dtype != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "the labels of %s are no label map", plan->previous_stage);
    size_t count = 1;
    for (int a = 0; a < 3; a++) {
        m.size[a] = c->box[a][1] - c->box[a][0];
        count *= (size_t)c->size[a];
    }
    fab_nnunet_case_steps(plan, c, &m.start, m.step);
    const size_t channels = (size_t)(c->channels + plan->stage_labels);
    float *grown = fab_realloc(c->data, channels * count * sizeof *grown);
    if (!grown)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d labels of %s (%zu MiB)", plan->stage_labels,
                 plan->previous_stage, channels * count * sizeof *grown >> 20);
    c->data = grown;
    FAB_TRY(make_masks(plan, &m, c, count, grown + (size_t)c->channels * count, err));
    c->channels += plan->stage_labels;
    return FAB_OK;
}
