/* predict.c - images to labels: prepare once, slide once a fold, finish. Of an ensemble's members
 * (ensemble.c): images to logits.
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

/* All folds, then their mean; logits of all planes. */
static fab_status hear_folds(const fab_nnunet *m, const fab_nnunet_case *c,
                             fab_nnunet_slide_options *o, uint16_t *logits, int *patches,
                             fab_error *err)
{
    const fab_progress *whole = o->progress;
    int64_t count = m->plan.head_count;
    for (int fold = 0; fold < m->fold_count; fold++) {
        fab_progress_span span;
        fab_progress_span_start(&span, whole, (double)fold / m->fold_count,
                                (fold + 1.0) / m->fold_count);
        o->progress = &span.progress;
        o->add = fold > 0;
        FAB_TRY(run_fold(m, fold, c, o, logits, patches, err));
    }
    for (int a = 0; a < 3; a++) count *= c->size[a];
    if (m->fold_count > 1) fab_nnunet_mean_of_folds(logits, count, m->fold_count);
    return FAB_OK;
}

static fab_status run_folds(const fab_nnunet *m, const fab_nnunet_case *c,
                            fab_nnunet_slide_options *o, uint16_t *logits,
                            fab_nnunet_softener *soft, fab_volume **labels, int *patches,
                            fab_error *err)
{
    fab_progress_span folds, last;
    const double part = m->fold_count / (m->fold_count + 0.1);
    fab_progress_span_start(&folds, o->progress, 0, part);
    fab_progress_span_start(&last, o->progress, part, 1);
    o->progress = &folds.progress;
    FAB_TRY(hear_folds(m, c, o, logits, patches, err));
    if (soft) fab_nnunet_softener_planes(soft, c->size[0]);
    return fab_nnunet_finish(&m->plan, c, logits, &last.progress, labels, err);
}

fab_status fab_nnunet_check_images(const fab_nnunet_plan *p, const fab_volume *const *images,
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

/* ---- memory ------------------------------------------------------------------------------ */

static size_t voxels_of(const int size[3])
{
    return (size_t)size[0] * (size_t)size[1] * (size_t)size[2];
}

size_t fab_nnunet_weight_bytes(const fab_nnunet *m)
{
    if (!m || !m->net[0]) return 0;
    size_t sum = fab_nnunet_weight_bytes(m->previous);
    for (int f = 0; f < m->fold_count; f++) sum += fab_net_bytes(m->net[f]);
    return sum;
}

size_t fab_nnunet_label_bytes(const fab_nnunet *m, const fab_volume *image)
{
    return (size_t)fab_grid_voxels(fab_volume_grid(image)) * (m->plan.head_count > 256 ? 2 : 1);
}

static fab_nnunet_slide_options slide_options(const fab_nnunet *m, const fab_nnunet_case *c,
                                              const fab_nnunet_options *o, bool keep)
{
    fab_nnunet_slide_options so = {.step = o->step > 0 ? o->step : 0.5, .exact = o->exact,
                                   .progress = o->progress};
    for (int a = 0; a < 3; a++) so.mirror[a] = m->mirror[a] && !o->no_mirroring;
    if (m->fold_count == 1 && !keep) so.depth = fab_nnunet_slide_depth(&m->plan, c);
    return so;
}

static size_t logit_count(const fab_nnunet *m, const fab_nnunet_case *c, int depth)
{
    const int kept[3] = {depth ? depth : c->size[0], c->size[1], c->size[2]};
    return (size_t)m->plan.head_count * voxels_of(kept);
}

size_t fab_nnunet_stage_bytes(const fab_nnunet *m, const fab_nnunet_case *c,
                              const fab_nnunet_options *o, bool keep)
{
    fab_nnunet_slide_options so = slide_options(m, c, o, keep);
    const size_t stage = m->plan.previous_stage[0] ? sizeof *c->stage : 0;
    so.add = m->fold_count > 1; /* later folds need a ring of sums */
    return sizeof(uint16_t) * logit_count(m, c, so.depth) + fab_nnunet_slide_bytes(&m->plan, c, &so)
           + (size_t)c->channels * voxels_of(c->size) * sizeof *c->data
           + voxels_of(c->size) * stage + fab_net_session_bytes(m->net[0], m->plan.patch);
}

/* Images, labels, the case, weights, one session, sums and logits. */
static size_t planned_bytes(const fab_nnunet *m, const fab_volume *const *images,
                            const fab_nnunet_case *c, const fab_nnunet_options *o)
{
    size_t sum = fab_nnunet_stage_bytes(m, c, o, false) + fab_nnunet_weight_bytes(m)
                 + fab_nnunet_label_bytes(m, images[0]) * (m->previous ? 2 : 1) + o->held_bytes
                 + (o->soft ? fab_nnunet_softener_bytes(&m->plan, c, o->surfaces) : 0);
    for (int i = 0; i < m->plan.channels; i++) sum += fab_volume_bytes(images[i]);
    return sum;
}

fab_status fab_nnunet_check_memory(size_t planned, size_t most, fab_error *err)
{
    if (most == 0 || planned <= most) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_LIMIT, "this image and network need %zu MB of memory, the cap is %zu MB",
             (planned + 999999) / 1000000, most / 1000000);
}

/* ---- one stage --------------------------------------------------------------------------- */

static fab_status predict(const fab_nnunet *m, const fab_volume *const *images,
                          const fab_nnunet_case *c, const fab_nnunet_options *o,
                          fab_volume **labels, int *patches, fab_error *err)
{
    fab_nnunet_slide_options so = slide_options(m, c, o, false);
    const size_t count = logit_count(m, c, so.depth);
    FAB_TRY(fab_nnunet_check_memory(planned_bytes(m, images, c, o), o->max_memory_bytes, err));
    FAB_AUTO_FREE uint16_t *logits = fab_alloc_array(count, sizeof *logits);
    if (!logits) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu logits", count);
    FAB_AUTO(fab_nnunet_softener_free) fab_nnunet_softener *soft = NULL;
    if (o->soft)
        FAB_TRY(fab_nnunet_softener_create(&m->plan, c, logits, so.depth ? so.depth : c->size[0],
                                           o->surfaces, &soft, err));
    FAB_TRY((so.depth ? run_one_fold : run_folds)(m, c, &so, logits, soft, labels, patches, err));
    if (soft) *o->soft = fab_nnunet_softener_take(soft);
    return FAB_OK;
}

static fab_status prepare(const fab_nnunet *m, const fab_volume *const *images,
                          const fab_volume *previous, const fab_progress *progress,
                          fab_nnunet_case *c, fab_error *err)
{
    if (!m->net[0]) FAB_FAIL(err, FAB_ERR_ARG, "%s was loaded without weights", m->folder);
    FAB_TRY(fab_nnunet_prepare(&m->plan, images, progress, c, err));
    return previous ? fab_nnunet_add_stage(&m->plan, previous, c, err) : FAB_OK;
}

fab_status fab_nnunet_run_stage(const fab_nnunet *m, const fab_volume *const *images,
                                const fab_volume *previous, const fab_nnunet_options *o,
                                fab_volume **labels, int *patches, fab_error *err)
{
    fab_nnunet_case c = {0};
    fab_nnunet_options inner = *o;
    fab_progress_span first, rest;
    fab_progress_span_start(&first, o->progress, 0, 0.03);
    fab_progress_span_start(&rest, o->progress, 0.03, 1);
    inner.progress = &rest.progress;
    fab_status status = prepare(m, images, previous, &first.progress, &c, err);
    if (status == FAB_OK) status = predict(m, images, &c, &inner, labels, patches, err);
    fab_nnunet_case_free(&c);
    return status;
}

static fab_status speak(const fab_nnunet *m, const fab_volume *const *images,
                        const fab_volume *previous, const fab_nnunet_options *o,
                        fab_nnunet_voice *v, int *patches, fab_error *err)
{
    fab_progress_span first, rest;
    fab_progress_span_start(&first, o->progress, 0, 0.03);
    fab_progress_span_start(&rest, o->progress, 0.03, 1);
    FAB_TRY(prepare(m, images, previous, &first.progress, &v->c, err));
    fab_nnunet_slide_options so = slide_options(m, &v->c, o, true);
    const size_t count = logit_count(m, &v->c, 0);
    so.progress = &rest.progress;
    v->plan = &m->plan;
    v->logits = fab_alloc_array(count, sizeof *v->logits);
    if (!v->logits) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu logits", count);
    return hear_folds(m, &v->c, &so, v->logits, patches, err);
}

fab_status fab_nnunet_speak(const fab_nnunet *m, const fab_volume *const *images,
                            const fab_volume *previous, const fab_nnunet_options *o,
                            fab_nnunet_voice *v, int *patches, fab_error *err)
{
    const fab_status status = speak(m, images, previous, o, v, patches, err);
    v->c.data = fab_free(v->c.data);
    v->c.stage = fab_free(v->c.stage);
    if (status < 0) v->logits = fab_free(v->logits);
    return status;
}

/* A cascade's first stage without soft results, if its labels are not given. */
static fab_status run_stages(const fab_nnunet *m, const fab_volume *const *images,
                             const fab_volume *previous, const fab_nnunet_options *options,
                             fab_volume **labels, int *patches, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *first = NULL;
    fab_nnunet_options o = *options;
    if (!m->previous || previous)
        return fab_nnunet_run_stage(m, images, previous, options, labels, patches, err);
    const size_t own = fab_nnunet_weight_bytes(m) - fab_nnunet_weight_bytes(m->previous);
    fab_progress_span half[2];
    fab_progress_span_start(&half[0], options->progress, 0, 0.5);
    fab_progress_span_start(&half[1], options->progress, 0.5, 1);
    o.soft = NULL;
    o.held_bytes += own; /* both stages' weights */
    o.progress = &half[0].progress;
    FAB_TRY(fab_nnunet_run_stage(m->previous, images, NULL, &o, &first, patches, err));
    o = *options;
    o.progress = &half[1].progress;
    return fab_nnunet_run_stage(m, images, first, &o, labels, patches, err);
}

fab_status fab_nnunet_predict(const fab_nnunet *m, const fab_volume *const *images,
                              const fab_volume *previous, const fab_nnunet_options *options,
                              fab_volume **labels, fab_nnunet_report *report, fab_error *err)
{
    fab_nnunet_options o = {0};
    fab_nnunet_report r = {0};
    fab_nnunet_soft soft = {0};
    FAB_AUTO(fab_volume_unref) fab_volume *made = NULL;
    if (options) o = *options;
    if (o.soft) o.soft = &soft;
    if (m->member_count && previous)
        FAB_FAIL(err, FAB_ERR_ARG, "an ensemble takes no labels of an earlier stage");
    FAB_TRY(fab_nnunet_check_images(&m->plan, images, previous, err));
    if (m->member_count) FAB_TRY(fab_nnunet_run_members(m, images, &o, &made, &r.patches, err));
    else FAB_TRY(run_stages(m, images, previous, &o, &made, &r.patches, err));
    const fab_status status =
        fab_nnunet_postprocess(&m->postprocessing, made, &r.removed_voxels, err);
    if (status < 0) fab_nnunet_soft_free(&soft);
    FAB_TRY(status);
    if (o.soft) *options->soft = soft;
    *labels = made;
    made = NULL;
    if (report) *report = r;
    return FAB_OK;
}
