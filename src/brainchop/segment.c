/* segment.c - a T1 to labels.
 *
 *     image -> conformed cube, 0..255 -> scaled -> network, plane after plane
 *       -> of every voxel: class, lead over the second, probability
 *       -> what is not joined (26 neighbours) to the largest component of all classes is removed
 *       -> nearest conformed voxel -> the image's own grid
 */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "brainchop_internal.h"

#define FAINT 17.0f       /* a logit so far below the best adds less than 2^-24 of its share */
#define SHARE_UNIT 65535.0f

typedef struct job {
    const fab_brainchop *m;
    const fab_volume *image;
    fab_grid grid;
    int size[3];          /* of the cube, as the network has it */
    fab_brainchop_range range;
    double low, high;     /* the quantiles' values */
    fab_volume *input, *labels, *margin;
    uint16_t *share;      /* probability of every voxel's class */
    int64_t found, removed;
    size_t planned;
} job;

/* ---- memory ------------------------------------------------------------------------------ */

static size_t cube_of(const job *j)
{
    return (size_t)fab_grid_voxels(&j->grid);
}

static size_t label_bytes(const job *j)
{
    return j->m->classes > 256 ? 2 : 1;
}

/* The network's peak, or that of removing components: a mask and their numbers. */
static fab_status plan(job *j, size_t cap, fab_error *err)
{
    const size_t cube = cube_of(j), session = fab_net_session_bytes(j->m->net, j->size);
    const size_t keep = cube * (label_bytes(j) + sizeof(float) + sizeof *j->share);
    const size_t run = cube * sizeof(float) + session, clean = cube * (1 + sizeof(int32_t));
    if (!session)
        FAB_FAIL(err, FAB_ERR_LIMIT, "the network cannot take %d x %d x %d voxels", j->size[0],
                 j->size[1], j->size[2]);
    j->planned = fab_volume_bytes(j->image) + fab_net_bytes(j->m->net) + keep +
                 (run > clean ? run : clean) +
                 (size_t)fab_grid_voxels(fab_volume_grid(j->image)) * label_bytes(j);
    if (cap == 0 || j->planned <= cap) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_LIMIT, "segmenting this image needs %zu MiB, the cap is %zu MiB",
             (j->planned + (1u << 20) - 1) >> 20, cap >> 20);
}

/* ---- scaling ----------------------------------------------------------------------------- */

static fab_status scale_values(job *j, fab_error *err)
{
    int64_t histogram[256] = {0};
    float table[256];
    const fab_brainchop_scale *s = &j->m->scale;
    float *v = fab_volume_data_mut(j->input);
    const size_t n = cube_of(j);
    for (size_t i = 0; i < n; i++) histogram[(int)v[i]]++;
    j->low = fab_brainchop_quantile(histogram, s->low);
    j->high = fab_brainchop_quantile(histogram, s->high);
    if (!(j->high > j->low))
        FAB_FAIL(err, FAB_ERR_FORMAT, "the conformed image is %g nearly everywhere: there is no "
                 "head in it", j->low);
    for (int b = 0; b < 256; b++) {
        const double x = (b - j->low) / (j->high - j->low + s->widen);
        table[b] = (float)(s->clip ? fmin(fmax(x, 0), 1) : x);
    }
    for (size_t i = 0; i < n; i++) v[i] = table[(int)v[i]];
    return FAB_OK;
}

/* ---- the network ------------------------------------------------------------------------- */

typedef struct sink_job {
    const job *j;
    void *labels;
    float *margin;
    bool wide;
    atomic_bool bad;
} sink_job;

/* The first largest logit, as numpy's argmax; its lead; its softmax. */
static int decide(const float *logits, int classes, float *lead, float *share)
{
    int best = 0;
    float second = -INFINITY, sum = 0;
    for (int c = 1; c < classes; c++) {
        if (logits[c] > logits[best]) {
            second = logits[best];
            best = c;
        } else if (logits[c] > second) second = logits[c];
    }
    const float floor = logits[best] - FAINT;
    for (int c = 0; c < classes; c++)
        if (logits[c] > floor) sum += expf(logits[c] - logits[best]);
    *lead = logits[best] - second;
    *share = 1 / sum;
    return best;
}

static void sink(void *ctx, int z, int y, int x0, int count, const float *logits, int pitch)
{
    sink_job *s = ctx;
    const int *n = s->j->size;
    const ptrdiff_t at = ((ptrdiff_t)z * n[1] + y) * n[2] + x0;
    for (int x = 0; x < count; x++) {
        float share = 0;
        const int label = decide(logits + (ptrdiff_t)x * pitch, s->j->m->classes,
                                 &s->margin[at + x], &share);
        if (!(s->margin[at + x] >= 0)) atomic_store(&s->bad, true);
        s->j->share[at + x] = (uint16_t)(share * SHARE_UNIT + 0.5f);
        if (s->wide) ((uint16_t *)s->labels)[at + x] = (uint16_t)label;
        else ((uint8_t *)s->labels)[at + x] = (uint8_t)label;
    }
}

static fab_status run_network(job *j, const fab_progress *progress, fab_error *err)
{
    FAB_AUTO(fab_net_session_free) fab_net_session *session = NULL;
    const fab_dtype type = j->m->classes > 256 ? FAB_U16 : FAB_U8;
    FAB_TRY(fab_volume_create(&j->grid, type, &j->labels, err));
    FAB_TRY(fab_volume_create(&j->grid, FAB_F32, &j->margin, err));
    j->share = fab_alloc_array(cube_of(j), sizeof *j->share);
    if (!j->share) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for probabilities");
    sink_job s = {.j = j, .labels = fab_volume_data_mut(j->labels),
                  .margin = fab_volume_data_mut(j->margin), .wide = type == FAB_U16};
    FAB_TRY(fab_net_session_create(j->m->net, j->size, &session, err));
    fab_net_session_progress(session, progress);
    FAB_TRY(fab_net_session_run(session, fab_volume_data(j->input), sink, &s, err));
    if (atomic_load(&s.bad))
        FAB_FAIL(err, FAB_ERR_FORMAT, "the network's outputs are not finite numbers");
    j->input = fab_volume_unref(j->input);
    return FAB_OK;
}

/* ---- cleaning up ------------------------------------------------------------------------- */

static int label_at(const fab_volume *v, int64_t i)
{
    return fab_volume_dtype(v) == FAB_U8 ? ((const uint8_t *)fab_volume_data(v))[i]
                                         : ((const uint16_t *)fab_volume_data(v))[i];
}

static void clear_at(fab_volume *v, int64_t i)
{
    void *data = fab_volume_data_mut(v);
    if (fab_volume_dtype(v) == FAB_U8) ((uint8_t *)data)[i] = 0;
    else ((uint16_t *)data)[i] = 0;
}

static fab_status keep_largest(job *j, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *mask = NULL, *components = NULL;
    int32_t count = 0;
    const int64_t n = fab_grid_voxels(&j->grid);
    FAB_TRY(fab_volume_create(&j->grid, FAB_U8, &mask, err));
    uint8_t *m = fab_volume_data_mut(mask);
    for (int64_t i = 0; i < n; i++) j->found += m[i] = label_at(j->labels, i) != 0;
    FAB_TRY(fab_labels_components(mask, 1, false, &components, &count, NULL, err));
    const int32_t *component = fab_volume_data(components);
    for (int64_t i = 0; i < n; i++) {
        if (component[i] <= 1) continue;
        clear_at(j->labels, i);
        j->removed++;
    }
    return FAB_OK;
}

/* ---- results ----------------------------------------------------------------------------- */

static fab_status make_confidence(const job *j, fab_segment_result *r, fab_error *err)
{
    const size_t classes = (size_t)j->m->classes;
    const int64_t n = fab_grid_voxels(&j->grid);
    FAB_AUTO_FREE uint64_t *sums = fab_calloc(classes, sizeof *sums);
    FAB_AUTO_FREE int64_t *voxels = fab_calloc(classes, sizeof *voxels);
    r->confidence = fab_calloc(r->set.count + 1, sizeof *r->confidence);
    if (!sums || !voxels || !r->confidence)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for confidences");
    for (int64_t i = 0; i < n; i++) {
        const int label = label_at(j->labels, i);
        sums[label] += j->share[i];
        voxels[label]++;
    }
    for (size_t i = 0; i < r->set.count; i++) {
        const int v = r->set.items[i].value;
        if (voxels[v]) r->confidence[i] = (double)sums[v] / (double)voxels[v] / SHARE_UNIT;
    }
    return FAB_OK;
}

/* What was done, for the manifest. */
static void make_notes(const job *j, fab_segment_result *r)
{
    const fab_brainchop_scale *s = &j->m->scale;
    char values[120] = "its values as they are", scale[120];
    if (!j->range.as_is)
        snprintf(values, sizeof values, "values from %.6g to %.6g brought to 0 to 255",
                 j->range.low, j->range.low + 255 / j->range.scale);
    if (s->low > 0 || s->high < 1)
        snprintf(scale, sizeof scale, "%.4g %% and %.4g %% quantiles (%.6g and %.6g)%s",
                 100 * s->low, 100 * s->high, j->low, j->high, s->clip ? ", clipped" : "");
    else snprintf(scale, sizeof scale, "smallest and largest value (%.6g and %.6g)", j->low,
                  j->high);
    snprintf(r->notes, sizeof r->notes,
             "T1 conformed to %d x %d x %d voxels of 1 mm (axes L, I, A), %s; scaled by the %s. "
             "%lld of %lld voxels outside of the largest component removed. Labels brought back "
             "by the nearest voxel.", j->size[0], j->size[1], j->size[2], values, scale,
             (long long)j->removed, (long long)j->found);
}

static fab_status finish(job *j, fab_segment_result *r, fab_error *err)
{
    FAB_TRY(keep_largest(j, err));
    FAB_TRY(fab_label_set_copy(&j->m->set, &r->set, err));
    FAB_TRY(make_confidence(j, r, err));
    FAB_TRY(fab_volume_resample(j->labels, fab_volume_grid(j->image), FAB_NEAREST, 0, &r->labels,
                                err));
    make_notes(j, r);
    r->fine_labels = j->labels;
    r->fine_margin = j->margin;
    j->labels = j->margin = NULL;
    r->patches = 1;
    r->planned_bytes = j->planned;
    r->isa = fab_net_isa(j->m->net);
    return FAB_OK;
}

static fab_status run(job *j, const fab_brainchop_options *o, fab_segment_result *r,
                      fab_error *err)
{
    FAB_TRY(fab_grid_check(fab_volume_grid(j->image), err));
    FAB_TRY(fab_brainchop_grid(fab_volume_grid(j->image), &j->grid, err));
    for (int a = 0; a < 3; a++) j->size[a] = j->grid.size[2 - a];
    FAB_TRY(plan(j, o->max_memory_bytes, err));
    FAB_TRY(fab_progress_step(o->progress, "conform", 0, err));
    FAB_TRY(fab_brainchop_conform(j->image, &j->grid, &j->range, &j->input, err));
    FAB_TRY(scale_values(j, err));
    FAB_TRY(run_network(j, o->progress, err));
    FAB_TRY(fab_progress_step(o->progress, "clean up", 0, err));
    return finish(j, r, err);
}

fab_status fab_brainchop_segment(const fab_brainchop *m, const fab_volume *image,
                                 const fab_brainchop_options *options, fab_segment_result *out,
                                 fab_error *err)
{
    const fab_brainchop_options none = {0};
    fab_segment_result r = {0};
    job j = {.m = m, .image = image};
    fab_status status = run(&j, options ? options : &none, &r, err);
    fab_volume_unref(j.input);
    fab_volume_unref(j.labels);
    fab_volume_unref(j.margin);
    fab_free(j.share);
    if (status < 0) {
        fab_segment_result_free(&r);
        return status;
    }
    *out = r;
    return FAB_OK;
}
