/* cascade.c - the first stage's labels as further channels of the second stage's input.
 *
 * nnU-Net crops them like the image, resamples each label's mask by itself (resize_segmentation:
 * linear, a voxel belongs to the last label whose mask reaches one half there) and appends one
 * channel of zeros and ones a label, after normalisation; here those channels are made patch by
 * patch (slide.c) from two bytes a voxel, however many labels there are. One half is reached
 * exactly wherever a sample lies midway between two voxels, as the middle one of an axis often
 * does, so the weights are those of scipy's zoom, multiplied and added in its order, in float64.
 * All labels are done at once: only those of the eight voxels around a sample can reach anything
 * there.
 */
#include <math.h>
#include <string.h>

#include "nnunet_internal.h"

enum { CORNERS = 8, VALUES = 65536 };

typedef struct stage_axis {
    int *first, *second;  /* [m] */
    double *near, *far;   /* weights of them */
} stage_axis;

typedef struct stage_job {
    const void *labels;
    fab_dtype dtype;
    int64_t start, step[3];
    stage_axis axis[3];
    const int *size;      /* of the result */
    const uint16_t *channel_of; /* [VALUES]: 1 + the label's channel; 0: none */
    uint16_t *into;       /* [size] */
} stage_job;

static void axis_free(stage_axis *a)
{
    fab_free(a->first);
    fab_free(a->second);
    fab_free(a->near);
    fab_free(a->far);
}

static fab_status axis_make(int n, int m, int order, stage_axis *a, fab_error *err)
{
    a->first = fab_alloc_array((size_t)m, sizeof *a->first);
    a->second = fab_alloc_array((size_t)m, sizeof *a->second);
    a->near = fab_alloc_array((size_t)m, sizeof *a->near);
    a->far = fab_alloc_array((size_t)m, sizeof *a->far);
    if (!a->first || !a->second || !a->near || !a->far)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d weights", m);
    for (int k = 0; k < m; k++) {
        const double x = fmin(fmax(fab_nnunet_coordinate(k, n, m), 0.0), n - 1.0);
        const int i = order == 0 ? fab_nnunet_nearest(k, n, m) : (int)floor(x);
        a->first[k] = i;
        a->second[k] = i + 1 < n ? i + 1 : i;
        a->near[k] = order == 0 ? 1.0 : 1.0 - (x - floor(x));
        a->far[k] = 1.0 - a->near[k];
    }
    return FAB_OK;
}

static int label_at(const stage_job *job, int64_t at)
{
    return job->dtype == FAB_U8 ? ((const uint8_t *)job->labels)[at]
                                : ((const uint16_t *)job->labels)[at];
}

/* The label of the largest value whose weights reach one half; 0 if none does. */
static int decide(const int label[CORNERS], const double weight[CORNERS])
{
    int best = 0;
    for (int c = 0; c < CORNERS; c++) {
        double sum = 0;
        if (label[c] <= best) continue;
        for (int o = 0; o < CORNERS; o++)
            if (label[o] == label[c]) sum += weight[o];
        if (sum >= 0.5) best = label[c];
    }
    return best;
}

static int sample(const stage_job *job, int z, int y, int x)
{
    const stage_axis *a = job->axis;
    int label[CORNERS];
    double weight[CORNERS];
    bool same = true;
    for (int c = 0; c < CORNERS; c++) {
        const int iz = (c & 4 ? a[0].second : a[0].first)[z];
        const int iy = (c & 2 ? a[1].second : a[1].first)[y];
        const int ix = (c & 1 ? a[2].second : a[2].first)[x];
        label[c] = label_at(job, job->start + iz * job->step[0] + iy * job->step[1]
                                     + ix * job->step[2]);
        weight[c] = (c & 4 ? a[0].far : a[0].near)[z] * (c & 2 ? a[1].far : a[1].near)[y]
                    * (c & 1 ? a[2].far : a[2].near)[x];
        same = same && label[c] == label[0];
    }
    return same ? label[0] : decide(label, weight);
}

static void sample_plane(void *ctx, int64_t index, int worker)
{
    const stage_job *job = ctx;
    const int *size = job->size;
    size_t at = (size_t)index * (size_t)size[1] * (size_t)size[2];
    (void)worker;
    for (int y = 0; y < size[1]; y++)
        for (int x = 0; x < size[2]; x++, at++)
            job->into[at] = job->channel_of[sample(job, (int)index, y, x)];
}

static fab_status make_channels(const fab_nnunet_plan *plan, stage_job *job,
                                const fab_nnunet_case *c, fab_error *err)
{
    FAB_AUTO_FREE uint16_t *channel_of = fab_calloc(VALUES, sizeof *channel_of);
    if (!channel_of) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of labels");
    for (int i = 0; i < plan->stage_labels; i++)
        channel_of[plan->stage_label[i]] = (uint16_t)(i + 1);
    job->channel_of = channel_of;
    double target_mm[3];
    fab_nnunet_target_spacing(plan, c, target_mm);
    const int apart = fab_nnunet_separate_axis(&plan->stage, c->spacing_mm, target_mm);
    for (int a = 0; a < 3; a++)
        FAB_TRY(axis_make(c->box[a][1] - c->box[a][0], c->size[a],
                          a == apart ? plan->stage.order_z : plan->stage.order, &job->axis[a],
                          err));
    fab_parallel_for(c->size[0], sample_plane, job);
    return FAB_OK;
}

fab_status fab_nnunet_add_stage(const fab_nnunet_plan *plan, const fab_volume *labels,
                                fab_nnunet_case *c, fab_error *err)
{
    stage_job job = {.labels = fab_volume_data(labels), .dtype = fab_volume_dtype(labels),
                     .size = c->size};
    if (job.dtype != FAB_U8 && job.dtype != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "the labels of %s are no label map", plan->previous_stage);
    const size_t count = (size_t)c->size[0] * (size_t)c->size[1] * (size_t)c->size[2];
    fab_nnunet_case_steps(plan, c, &job.start, job.step);
    FAB_AUTO_FREE uint16_t *stage = fab_alloc_array(count, sizeof *stage);
    if (!stage)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the labels of %s (%zu MiB)",
                 plan->previous_stage, count * sizeof *stage >> 20);
    job.into = stage;
    const fab_status status = make_channels(plan, &job, c, err);
    for (int a = 0; a < 3; a++) axis_free(&job.axis[a]);
    FAB_TRY(status);
    c->stage = stage;
    stage = NULL;
    c->stage_labels = plan->stage_labels;
    return FAB_OK;
}
