/* soft.c - what nnU-Net's networks know beside their labels becomes what our own networks' results
 * have: a confidence a structure, and volumes to make sub-voxel surfaces from.
 *
 * The label map of the image's grid is the result: it is what nnU-Net would write, postprocessing
 * and chosen structures included. The network's lattices follow it: a voxel whose label the result
 * does not have nearby is cleared.
 */
#include <math.h>

#include "network.h"

static int label_of(const fab_volume *v, int64_t at)
{
    return fab_volume_dtype(v) == FAB_U8 ? ((const uint8_t *)fab_volume_data(v))[at]
                                         : ((const uint16_t *)fab_volume_data(v))[at];
}

static void put_label(void *data, fab_dtype type, int64_t at, int label)
{
    if (type == FAB_U8) ((uint8_t *)data)[at] = (uint8_t)label;
    else ((uint16_t *)data)[at] = (uint16_t)label;
}

/* ---- following the result --------------------------------------------------------------- */

typedef struct follow_job {
    const fab_volume *result;
    const fab_grid *lattice;
    fab_mat34 result_from_lattice;
    fab_volume *labels;
    void *data;
} follow_job;

/* Whether one of the eight voxels of the result around the place has the label. */
static bool has_nearby(const follow_job *job, const double at[3], int label)
{
    const int32_t *n = fab_volume_grid(job->result)->size;
    int64_t from[3], to[3];
    for (int a = 0; a < 3; a++) {
        const double low = floor(at[a]);
        from[a] = low < 0 ? 0 : low > n[a] - 1 ? n[a] - 1 : (int64_t)low;
        to[a] = low + 1 < 0 ? 0 : low + 1 > n[a] - 1 ? n[a] - 1 : (int64_t)low + 1;
    }
    for (int64_t k = from[2]; k <= to[2]; k++)
        for (int64_t j = from[1]; j <= to[1]; j++)
            for (int64_t i = from[0]; i <= to[0]; i++)
                if (label_of(job->result, i + n[0] * (j + n[1] * k)) == label) return true;
    return false;
}

static void follow_row(void *ctx, int64_t row, int worker)
{
    const follow_job *job = ctx;
    const int32_t *n = job->lattice->size;
    (void)worker;
    for (int i = 0; i < n[0]; i++) {
        const int label = label_of(job->labels, row * n[0] + i);
        double at[3] = {i, (double)(row % n[1]), (double)(row / n[1])};
        if (!label) continue;
        fab_mat34_apply(&job->result_from_lattice, at, at);
        if (!has_nearby(job, at, label))
            put_label(job->data, fab_volume_dtype(job->labels), row * n[0] + i, 0);
    }
}

static fab_status follow(const fab_volume *result, fab_volume *labels, fab_error *err)
{
    follow_job job = {.result = result, .lattice = fab_volume_grid(labels), .labels = labels,
                      .data = fab_volume_data_mut(labels)};
    FAB_TRY(fab_mat34_invert(&fab_volume_grid(result)->world_from_voxel,
                             &job.result_from_lattice, err));
    job.result_from_lattice =
        fab_mat34_multiply(&job.result_from_lattice, &job.lattice->world_from_voxel);
    fab_parallel_for((int64_t)job.lattice->size[1] * job.lattice->size[2], follow_row, &job);
    return FAB_OK;
}

/* ---- confidence ------------------------------------------------------------------------- */

static fab_status make_confidence(const fab_nnunet_soft *soft, fab_segment_result *r,
                                  fab_error *err)
{
    const int64_t n = fab_grid_voxels(fab_volume_grid(soft->labels));
    const uint8_t *share = fab_volume_data(soft->share);
    FAB_AUTO_FREE int64_t *sums = fab_calloc(2 * ((size_t)FAB_MAX_LABELS + 1), sizeof *sums);
    r->confidence = fab_calloc(r->set.count + 1, sizeof *r->confidence);
    if (!sums || !r->confidence) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for confidences");
    int64_t *voxels = sums + FAB_MAX_LABELS + 1;
    for (int64_t i = 0; i < n; i++) {
        const int label = label_of(soft->labels, i);
        sums[label] += share[i];
        voxels[label]++;
    }
    for (size_t i = 0; i < r->set.count; i++) {
        const int v = r->set.items[i].value;
        if (voxels[v]) r->confidence[i] = (double)sums[v] / (double)voxels[v] / 255;
    }
    return FAB_OK;
}

/* ---- volumes to make surfaces from ------------------------------------------------------ */

typedef struct decode_job {
    const uint8_t *codes;
    float *margin;
    int64_t row;
    float value[256];
} decode_job;

static void decode_row(void *ctx, int64_t row, int worker)
{
    const decode_job *job = ctx;
    (void)worker;
    for (int64_t i = row * job->row; i < (row + 1) * job->row; i++)
        job->margin[i] = job->value[job->codes[i]];
}

static fab_status make_fine(fab_nnunet_soft *soft, fab_segment_result *r, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(soft->fine_margin);
    decode_job job = {.codes = fab_volume_data(soft->fine_margin), .row = g->size[0]};
    for (int code = 0; code < 256; code++) job.value[code] = fab_nnunet_margin((uint8_t)code);
    FAB_TRY(fab_volume_create(g, FAB_F32, &r->fine_margin, err));
    job.margin = fab_volume_data_mut(r->fine_margin);
    fab_parallel_for((int64_t)g->size[1] * g->size[2], decode_row, &job);
    r->fine_labels = soft->fine_labels;
    soft->fine_labels = NULL;
    return FAB_OK;
}

static fab_status apply(fab_nnunet_soft *soft, fab_segment_result *r, fab_error *err)
{
    const bool same = soft->fine_labels == soft->labels;
    if (same) soft->fine_labels = fab_volume_unref(soft->fine_labels);
    FAB_TRY(follow(r->labels, soft->labels, err));
    if (same) soft->fine_labels = fab_volume_ref(soft->labels);
    else if (soft->fine_labels) FAB_TRY(follow(r->labels, soft->fine_labels, err));
    FAB_TRY(make_confidence(soft, r, err));
    return soft->fine_labels ? make_fine(soft, r, err) : FAB_OK;
}

fab_status fab_soft_apply(fab_nnunet_soft *soft, fab_segment_result *r, fab_error *err)
{
    const fab_status status = apply(soft, r, err);
    fab_nnunet_soft_free(soft);
    return status;
}
