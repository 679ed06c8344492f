/* predict.c - images to labels: prepare once, slide once a fold, finish once.
 *
 * Every fold's logits are rounded to fp16 and summed in fp16, as nnU-Net does, then divided by the
 * number of folds.
 */
#include <math.h>

#include "model_internal.h"
#include "nnunet_internal.h"

typedef struct runner {
    fab_net_session *session;
    int evaluations;
} runner;

static fab_status run_patch(void *ctx, const float *patch, fab_net_sink sink, void *sink_ctx,
                            fab_error *err)
{
    runner *r = ctx;
    r->evaluations++;
    return fab_net_session_run(r->session, patch, sink, sink_ctx, err);
}

static fab_status run_folds(const fab_nnunet *m, const fab_nnunet_case *c,
                            fab_nnunet_slide_options *o, uint16_t *logits, int *patches,
                            fab_error *err)
{
    for (int fold = 0; fold < m->fold_count; fold++) {
        FAB_AUTO(fab_net_session_free) fab_net_session *session = NULL;
        FAB_TRY(fab_net_session_create(m->net[fold], m->plan.patch, &session, err));
        runner r = {.session = session};
        o->add = fold > 0;
        FAB_TRY(fab_nnunet_slide(&m->plan, c, o, run_patch, &r, logits, err));
        *patches += r.evaluations;
    }
    int64_t count = m->plan.head_count;
    for (int a = 0; a < 3; a++) count *= c->size[a];
    if (m->fold_count > 1) fab_nnunet_mean_of_folds(logits, count, m->fold_count);
    return FAB_OK;
}

static fab_status check_images(const fab_nnunet_plan *p, const fab_volume *const *images,
                               const fab_volume *previous, fab_error *err)
{
    const fab_grid *grid = fab_volume_grid(images[0]);
    double mm[3];
    fab_grid_spacing(grid, mm);
    const double near_mm = 0.1 * fmin(fmin(mm[0], mm[1]), mm[2]); /* files round differently */
    for (int i = 1; i < p->channels; i++)
        if (!fab_grid_equal(grid, fab_volume_grid(images[i]), near_mm))
            FAB_FAIL(err, FAB_ERR_GEOMETRY, "channel %d is not on the first channel's grid", i);
    if (previous && !p->previous_stage[0])
        FAB_FAIL(err, FAB_ERR_ARG, "configuration %s is no cascade", p->configuration);
    if (previous && !fab_grid_equal(grid, fab_volume_grid(previous), near_mm))
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "the labels of %s are not on the images' grid",
                 p->previous_stage);
    return FAB_OK;
}

static size_t weight_bytes(const fab_nnunet *m)
{
    size_t sum = m->previous ? weight_bytes(m->previous) : 0;
    for (int f = 0; f < m->fold_count; f++) sum += fab_net_bytes(m->net[f]);
    return sum;
}

/* Images, labels, the case, weights, one session, sums and logits. */
static size_t planned_bytes(const fab_nnunet *m, const fab_volume *const *images,
                            const fab_nnunet_case *c, fab_nnunet_slide_options so, size_t logits,
                            const fab_nnunet_options *o)
{
    const int64_t image_voxels = fab_grid_voxels(fab_volume_grid(images[0]));
    so.add = m->fold_count > 1; /* later folds need a ring of sums */
    size_t sum = 2 * logits + fab_nnunet_slide_bytes(&m->plan, c, &so)
                 + (size_t)c->channels * (logits / (size_t)m->plan.head_count) * sizeof *c->data
                 + fab_net_session_bytes(m->net[0], m->plan.patch)
                 + (size_t)image_voxels * (m->plan.head_count > 256 ? 2 : 1) + weight_bytes(m);
    for (int i = 0; i < m->plan.channels; i++) sum += fab_volume_bytes(images[i]);
    if (o->soft) sum += fab_nnunet_softener_bytes(&m->plan, c, o->surfaces);
    if (m->previous) sum += (size_t)image_voxels * (m->plan.head_count > 256 ? 2 : 1);
    return sum;
}

static fab_status check_memory(size_t planned, size_t most, fab_error *err)
{
    if (most == 0 || planned <= most) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_LIMIT, "this image and network need %zu MB of memory, the cap is %zu MB",
             (planned + 999999) / 1000000, most / 1000000);
}

static fab_status soften(const fab_nnunet *m, const fab_nnunet_case *c, const uint16_t *logits,
                         const fab_nnunet_options *o, fab_error *err)
{
    FAB_AUTO(fab_nnunet_softener_free) fab_nnunet_softener *s = NULL;
    FAB_TRY(fab_nnunet_softener_create(&m->plan, c, logits, c->size[0], o->surfaces, &s, err));
    fab_nnunet_softener_planes(s, c->size[0]);
    *o->soft = fab_nnunet_softener_take(s);
    return FAB_OK;
}

static fab_status predict(const fab_nnunet *m, const fab_volume *const *images,
                          const fab_nnunet_case *c, const fab_nnunet_options *o,
                          fab_volume **labels, int *patches, fab_error *err)
{
    fab_nnunet_slide_options so = {.step = o->step > 0 ? o->step : 0.5, .exact = o->exact,
                                   .progress = o->progress};
    for (int a = 0; a < 3; a++) so.mirror[a] = m->mirror[a] && !o->no_mirroring;
    size_t count = (size_t)m->plan.head_count;
    for (int a = 0; a < 3; a++) count *= (size_t)c->size[a];
    FAB_TRY(check_memory(planned_bytes(m, images, c, so, count, o), o->max_memory_bytes, err));
    FAB_AUTO_FREE uint16_t *logits = fab_alloc_array(count, sizeof *logits);
    if (!logits) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu logits", count);
    FAB_TRY(run_folds(m, c, &so, logits, patches, err));
    if (o->soft) FAB_TRY(soften(m, c, logits, o, err));
    return fab_nnunet_finish(&m->plan, c, logits, o->progress, labels, err);
}

/* One stage; a cascade's second one sees the labels of the first. */
static fab_status run_stage(const fab_nnunet *m, const fab_volume *const *images,
                            const fab_volume *previous, const fab_nnunet_options *o,
                            fab_volume **labels, int *patches, fab_error *err)
{
    fab_nnunet_case c = {0};
    if (!m->net[0]) FAB_FAIL(err, FAB_ERR_ARG, "%s was loaded without weights", m->folder);
    fab_status status = fab_nnunet_prepare(&m->plan, images, o->progress, &c, err);
    if (status == FAB_OK && previous) status = fab_nnunet_add_stage(&m->plan, previous, &c, err);
    if (status == FAB_OK) status = predict(m, images, &c, o, labels, patches, err);
    fab_nnunet_case_free(&c);
    return status;
}

fab_status fab_nnunet_predict(const fab_nnunet *m, const fab_volume *const *images,
                              const fab_volume *previous, const fab_nnunet_options *options,
                              fab_volume **labels, fab_nnunet_report *report, fab_error *err)
{
    fab_nnunet_options o = {0}, before;
    fab_nnunet_report r = {0};
    fab_nnunet_soft soft = {0};
    FAB_AUTO(fab_volume_unref) fab_volume *first = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *second = NULL;
    if (options) o = *options;
    before = o;
    before.soft = NULL;
    if (o.soft) o.soft = &soft;
    FAB_TRY(check_images(&m->plan, images, previous, err));
    if (m->previous && !previous)
        FAB_TRY(run_stage(m->previous, images, NULL, &before, &first, &r.patches, err));
    fab_status status = run_stage(m, images, previous ? previous : first, &o, &second, &r.patches,
                                  err);
    if (status == FAB_OK)
        status = fab_nnunet_postprocess(&m->postprocessing, second, &r.removed_voxels, err);
    if (status < 0) {
        fab_nnunet_soft_free(&soft);
        return status;
    }
    if (o.soft) *options->soft = soft;
    *labels = second;
    second = NULL;
    if (report) *report = r;
    return FAB_OK;
}
