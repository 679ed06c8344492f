/* predict.c - images to labels: prepare once, slide once a fold, finish.
 *
 * With one fold labels are made while the windows go on, and logits are alive for one patch depth
 * only; several folds must all have spoken first.
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

static fab_status run_fold(const fab_nnunet *m, int fold, const fab_nnunet_case *c,
                           const fab_nnunet_slide_options *o, uint16_t *logits, int *patches,
                           fab_error *err)
{
    FAB_AUTO(fab_net_session_free) fab_net_session *session = NULL;
    FAB_TRY(fab_net_session_create(m->net[fold], m->plan.patch, &session, err));
    runner r = {.session = session};
    FAB_TRY(fab_nnunet_slide(&m->plan, c, o, run_patch, &r, logits, err));
    *patches += r.evaluations;
    return FAB_OK;
}

/* Who looks at planes of logits while they are alive. */
typedef struct lookers {
    fab_nnunet_finisher *finisher;
    fab_nnunet_softener *softener; /* NULL: not wanted */
} lookers;

static fab_status planes_ready(void *ctx, int planes, fab_error *err)
{
    const lookers *l = ctx;
    if (l->softener) fab_nnunet_softener_planes(l->softener, planes);
    return fab_nnunet_finisher_planes(l->finisher, planes, err);
}

/* logits: heads x o->depth planes. */
static fab_status run_one_fold(const fab_nnunet *m, const fab_nnunet_case *c,
                               fab_nnunet_slide_options *o, uint16_t *logits,
                               fab_nnunet_softener *soft, fab_volume **labels, int *patches,
                               fab_error *err)
{
    FAB_AUTO(fab_nnunet_finisher_free) fab_nnunet_finisher *f = NULL;
    FAB_TRY(fab_nnunet_finisher_create(&m->plan, c, logits, o->depth, o->progress, &f, err));
    lookers l = {f, soft};
    o->ready = planes_ready;
    o->ready_ctx = &l;
    FAB_TRY(run_fold(m, 0, c, o, logits, patches, err));
    *labels = fab_nnunet_finisher_take(f);
    return FAB_OK;
}

static fab_status run_folds(const fab_nnunet *m, const fab_nnunet_case *c,
                            fab_nnunet_slide_options *o, uint16_t *logits,
                            fab_nnunet_softener *soft, fab_volume **labels, int *patches,
                            fab_error *err)
{
    const fab_progress *whole = o->progress;
    int64_t count = m->plan.head_count;
    for (int fold = 0; fold < m->fold_count; fold++) {
        fab_progress_span span;
        fab_progress_span_start(&span, whole, (double)fold / (m->fold_count + 0.1),
                                (fold + 1.0) / (m->fold_count + 0.1));
        o->progress = &span.progress;
        o->add = fold > 0;
        FAB_TRY(run_fold(m, fold, c, o, logits, patches, err));
    }
    for (int a = 0; a < 3; a++) count *= c->size[a];
    fab_nnunet_mean_of_folds(logits, count, m->fold_count);
    if (soft) fab_nnunet_softener_planes(soft, c->size[0]);
    fab_progress_span last;
    fab_progress_span_start(&last, whole, m->fold_count / (m->fold_count + 0.1), 1);
    return fab_nnunet_finish(&m->plan, c, logits, &last.progress, labels, err);
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

static size_t voxels_of(const int size[3])
{
    return (size_t)size[0] * (size_t)size[1] * (size_t)size[2];
}

/* Of a cascade: both stages'. */
static size_t weight_bytes(const fab_nnunet *m)
{
    if (!m || !m->net[0]) return 0;
    size_t sum = weight_bytes(m->previous);
    for (int f = 0; f < m->fold_count; f++) sum += fab_net_bytes(m->net[f]);
    return sum;
}

/* Images, labels, the case, weights, one session, sums and logits. */
static size_t planned_bytes(const fab_nnunet *m, const fab_volume *const *images,
                            const fab_nnunet_case *c, fab_nnunet_slide_options so, size_t logits)
{
    const int64_t image_voxels = fab_grid_voxels(fab_volume_grid(images[0]));
    so.add = m->fold_count > 1; /* later folds need a ring of sums */
    size_t sum = 2 * logits + fab_nnunet_slide_bytes(&m->plan, c, &so)
                 + (size_t)c->channels * voxels_of(c->size) * sizeof *c->data
                 + (c->stage ? voxels_of(c->size) * sizeof *c->stage : 0)
                 + fab_net_session_bytes(m->net[0], m->plan.patch)
                 + (size_t)image_voxels * (m->plan.head_count > 256 ? 2 : 1) + weight_bytes(m);
    for (int i = 0; i < m->plan.channels; i++) sum += fab_volume_bytes(images[i]);
    if (m->previous) sum += (size_t)image_voxels * (m->plan.head_count > 256 ? 2 : 1);
    return sum;
}

static fab_status check_memory(size_t planned, size_t most, fab_error *err)
{
    if (most == 0 || planned <= most) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_LIMIT, "this image and network need %zu MB of memory, the cap is %zu MB",
             (planned + 999999) / 1000000, most / 1000000);
}

static fab_status predict(const fab_nnunet *m, const fab_volume *const *images,
                          const fab_nnunet_case *c, const fab_nnunet_options *o,
                          fab_volume **labels, int *patches, fab_error *err)
{
    fab_nnunet_slide_options so = {.step = o->step > 0 ? o->step : 0.5, .exact = o->exact,
                                   .progress = o->progress};
    for (int a = 0; a < 3; a++) so.mirror[a] = m->mirror[a] && !o->no_mirroring;
    const bool single = m->fold_count == 1;
    const int kept[3] = {single ? fab_nnunet_slide_depth(&m->plan, c) : c->size[0], c->size[1],
                         c->size[2]};
    const size_t count = (size_t)m->plan.head_count * voxels_of(kept);
    so.depth = single ? kept[0] : 0;
    const size_t planned = planned_bytes(m, images, c, so, count) + o->held_bytes +
                           (o->soft ? fab_nnunet_softener_bytes(&m->plan, c, o->surfaces) : 0);
    FAB_TRY(check_memory(planned, o->max_memory_bytes, err));
    FAB_AUTO_FREE uint16_t *logits = fab_alloc_array(count, sizeof *logits);
    if (!logits) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu logits", count);
    FAB_AUTO(fab_nnunet_softener_free) fab_nnunet_softener *soft = NULL;
    if (o->soft)
        FAB_TRY(fab_nnunet_softener_create(&m->plan, c, logits, kept[0], o->surfaces, &soft, err));
    FAB_TRY((single ? run_one_fold : run_folds)(m, c, &so, logits, soft, labels, patches, err));
    if (soft) *o->soft = fab_nnunet_softener_take(soft);
    return FAB_OK;
}

/* One stage; a cascade's second one sees the labels of the first. */
static fab_status run_stage(const fab_nnunet *m, const fab_volume *const *images,
                            const fab_volume *previous, const fab_nnunet_options *o,
                            fab_volume **labels, int *patches, fab_error *err)
{
    fab_nnunet_case c = {0};
    fab_nnunet_options inner = *o;
    fab_progress_span first, rest;
    fab_progress_span_start(&first, o->progress, 0, 0.03);
    fab_progress_span_start(&rest, o->progress, 0.03, 1);
    inner.progress = &rest.progress;
    if (!m->net[0]) FAB_FAIL(err, FAB_ERR_ARG, "%s was loaded without weights", m->folder);
    fab_status status = fab_nnunet_prepare(&m->plan, images, &first.progress, &c, err);
    if (status == FAB_OK && previous) status = fab_nnunet_add_stage(&m->plan, previous, &c, err);
    if (status == FAB_OK) status = predict(m, images, &c, &inner, labels, patches, err);
    fab_nnunet_case_free(&c);
    return status;
}

fab_status fab_nnunet_predict(const fab_nnunet *m, const fab_volume *const *images,
                              const fab_volume *previous, const fab_nnunet_options *options,
                              fab_volume **labels, fab_nnunet_report *report, fab_error *err)
{
    fab_nnunet_options o = {0};
    fab_nnunet_report r = {0};
    fab_nnunet_soft soft = {0};
    FAB_AUTO(fab_volume_unref) fab_volume *first = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *second = NULL;
    if (options) o = *options;
    o.soft = NULL; /* the last stage's */
    FAB_TRY(check_images(&m->plan, images, previous, err));
    const bool cascade = m->previous && !previous;
    fab_progress_span half[2];
    fab_progress_span_start(&half[0], o.progress, 0, 0.5);
    fab_progress_span_start(&half[1], o.progress, 0.5, 1);
    const fab_progress *whole = o.progress;
    o.progress = cascade ? &half[0].progress : whole;
    const size_t cap = o.max_memory_bytes, own = weight_bytes(m) - weight_bytes(m->previous);
    if (cascade && cap) o.max_memory_bytes = cap > own ? cap - own : 1; /* both stages' weights */
    if (cascade) FAB_TRY(run_stage(m->previous, images, NULL, &o, &first, &r.patches, err));
    o.progress = cascade ? &half[1].progress : whole;
    o.max_memory_bytes = cap;
    if (options && options->soft) o.soft = &soft;
    FAB_TRY(run_stage(m, images, previous ? previous : first, &o, &second, &r.patches, err));
    const fab_status status =
        fab_nnunet_postprocess(&m->postprocessing, second, &r.removed_voxels, err);
    if (status < 0) fab_nnunet_soft_free(&soft);
    FAB_TRY(status);
    if (o.soft) *options->soft = soft;
    *labels = second;
    second = NULL;
    if (report) *report = r;
    return FAB_OK;
}
