/* segment.c - from an image to label maps: plan the memory, run, post-process. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "segment_internal.h"

#define SPINE_BYTES 12  /* a network voxel, while vertebrae are counted */
#define EVIDENCE_BYTES 17 /* a network voxel, of evidence.c and neck.c, before components */
#define FINE_MIN_MM 2.0 /* networks finer than this are fine enough to mesh from */

typedef struct job {
    const fab_model *model;
    const fab_volume *image;
    fab_view view;
    fab_slide slide;
    fab_target targets[2]; /* the image's own grid, the meshing grid */
    int fine_size[3];
    fab_grid fine_grid;
    bool wide;             /* labels are U16 */
    size_t planned;
    size_t outside;        /* of it, the image that the body was cut out of, and its labels */
    int *starts;
    float *gauss, *image_floats;
    fab_decision decision;
} job;

static size_t voxels_of(const int size[3])
{
    return (size_t)size[0] * (size_t)size[1] * (size_t)size[2];
}

/* ---- geometry and memory plan ---------------------------------------------------------------- */

/* The image on the network's lattice, and its windows: of the card's size, or of the size whose
 * windows have fewest voxels in all. */
static fab_status plan_lattices(job *j, double step, bool fit, fab_error *err)
{
    const fab_model *m = j->model;
    fab_slide *s = &j->slide;
    int by[3];
    FAB_TRY(fab_network_size(m, &j->view, s->size, err));
    fab_unet_config_divisor(&m->config, by);
    for (int a = 0; a < 3; a++) {
        const int most = fit ? m->patch_max[a] : m->patch[a];
        s->patch[a] = fab_window_fit(s->size[a], m->patch[a], most, by[a], step);
        const int missing = s->patch[a] > s->size[a] ? s->patch[a] - s->size[a] : 0;
        s->padded[a] = s->size[a] + missing;
        s->low[a] = missing / 2; /* the odd voxel goes to the high end, as nnU-Net does */
        const int fine = m->spacing_mm[a] >= FINE_MIN_MM ? 2 : 1;
        j->fine_size[a] = s->size[a] * fine;
    }
    s->depth = s->size[0] < s->patch[0] + 1 ? s->size[0] : s->patch[0] + 1;
    s->pitch = fab_net_logit_pitch(m->net);
    const double all = (double)s->padded[0] * s->padded[1] * s->padded[2];
    if (all > (double)INT32_MAX)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%.3g voxels at the network's spacing, at most %d", all,
                 INT32_MAX);
    return FAB_OK;
}

static void plan_bytes(job *j)
{
    const fab_slide *s = &j->slide;
    const fab_model *m = j->model;
    const size_t label = j->wide ? 2 : 1, workers = (size_t)fab_threads_get();
    const size_t ring = (size_t)s->depth * (size_t)s->size[1] * (size_t)s->size[2] *
                        (size_t)s->pitch * sizeof(float);
    const size_t slices = workers * (size_t)j->view.size[1] * (size_t)j->view.size[2] *
                          sizeof(float);
    const size_t network = fab_net_session_bytes(m->net, s->patch) +
                           voxels_of(s->patch) * sizeof(float);
    size_t after = sizeof(int32_t) + (m->counts_vertebrae ? SPINE_BYTES : 0); /* components */
    if (fab_wants_evidence(m) || fab_wants_necks(m))
        after = after + 1 > EVIDENCE_BYTES ? after + 1 : EVIDENCE_BYTES;
    j->planned = j->outside + fab_volume_bytes(j->image) + fab_net_bytes(m->net) +
                 voxels_of(j->view.size) * label + voxels_of(s->padded) * sizeof(float) +
                 voxels_of(s->size) * (sizeof(uint16_t) + sizeof(float) + 2 + after) +
                 voxels_of(j->fine_size) * (label + sizeof(float)) +
                 (slices > ring + network ? slices : ring + network);
}

/* `size` voxels an axis over the network's lattice, as a grid that shares the image's centre. */
static fab_grid lattice(const job *j, const int size[3])
{
    fab_mat34 view_from_lattice = {0};
    fab_grid g;
    for (int w = 0; w < 3; w++) {
        const int a = 2 - w;
        const double mm = j->model->spacing_mm[a] * j->slide.size[a] / (double)size[a];
        const double scale = mm / j->view.spacing_mm[a];
        view_from_lattice.m[w][w] = scale;
        view_from_lattice.m[w][3] = (j->view.size[a] - 1) / 2.0 - scale * (size[a] - 1) / 2.0;
        g.size[w] = size[a];
    }
    g.world_from_voxel =
        fab_mat34_multiply(&j->view.grid.world_from_voxel, &view_from_lattice);
    return g;
}

/* Values of the label set, at most. */
static int label_values(const fab_model *m)
{
    int n = 2 * m->label_count;
    for (int i = 0; i < m->label_count && m->counts_vertebrae; i++) n += fab_row_values(m, i);
    return n;
}

static fab_status plan_windows(job *j, double step, bool fit, fab_error *err)
{
    const fab_model *m = j->model;
    fab_slide *s = &j->slide;
    FAB_TRY(fab_grid_check(fab_volume_grid(j->image), err));
    j->view = fab_view_of(fab_volume_grid(j->image));
    FAB_TRY(plan_lattices(j, step, fit, err));
    j->wide = m->config.classes > 256 || label_values(m) > 255;
    for (int a = 0; a < 3; a++) {
        s->count[a] = fab_window_starts(s->padded[a], s->patch[a], step, NULL);
        if (s->count[a] > FAB_MAX_WINDOWS_PER_AXIS)
            FAB_FAIL(err, FAB_ERR_LIMIT, "%d windows along an axis, at most %d", s->count[a],
                     FAB_MAX_WINDOWS_PER_AXIS);
    }
    plan_bytes(j);
    j->fine_grid = lattice(j, j->fine_size); /* network voxels halved, where they are */
    return fab_grid_check(&j->fine_grid, err);
}

/* Windows that fit the image, or where those need more than `cap` bytes (0: any) the card's. */
static fab_status plan(job *j, double step, size_t cap, fab_error *err)
{
    FAB_TRY(plan_windows(j, step, true, err));
    if (cap > 0 && j->planned > cap) FAB_TRY(plan_windows(j, step, false, err));
    return FAB_OK;
}

/* ---- preparation ------------------------------------------------------------------------- */

/* Weights of an axis' windows, divided by their sum at every voxel. */
static void weigh_axis(const fab_slide *s, int axis, double scale, float *sums)
{
    const int patch = s->patch[axis];
    float *g = s->gauss[axis];
    memset(sums, 0, (size_t)s->padded[axis] * sizeof *sums);
    for (int w = 0; w < s->count[axis]; w++) {
        fab_window_gaussian(patch, scale, g + (ptrdiff_t)w * patch);
        for (int i = 0; i < patch; i++)
            sums[s->starts[axis][w] + i] += g[(ptrdiff_t)w * patch + i];
    }
    for (int w = 0; w < s->count[axis]; w++)
        for (int i = 0; i < patch; i++)
            g[(ptrdiff_t)w * patch + i] /= sums[s->starts[axis][w] + i];
}

static fab_status prepare_windows(job *j, double step, fab_error *err)
{
    fab_slide *s = &j->slide;
    size_t starts = 0, weights = 0, longest = 0;
    for (int a = 0; a < 3; a++) {
        starts += (size_t)s->count[a];
        weights += (size_t)s->count[a] * (size_t)s->patch[a];
        if ((size_t)s->padded[a] > longest) longest = (size_t)s->padded[a];
    }
    FAB_AUTO_FREE float *sums = fab_alloc_array(longest, sizeof *sums);
    j->starts = fab_alloc_array(starts, sizeof *j->starts);
    j->gauss = fab_alloc_array(weights, sizeof *j->gauss);
    if (!sums || !j->starts || !j->gauss) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for windows");
    int *next_start = j->starts;
    float *next_weight = j->gauss;
    for (int a = 0; a < 3; a++) {
        s->starts[a] = next_start;
        s->gauss[a] = next_weight;
        next_start += s->count[a];
        next_weight += (ptrdiff_t)s->count[a] * s->patch[a];
        fab_window_starts(s->padded[a], s->patch[a], step, s->starts[a]);
        weigh_axis(s, a, s->model->sigma_scale, sums);
    }
    return FAB_OK;
}

static fab_status prepare_target(job *j, fab_target *t, const int size[3], const double mm[3],
                                 fab_volume *labels, fab_volume *margin, fab_error *err)
{
    memcpy(t->size, size, sizeof t->size);
    t->labels = fab_volume_data_mut(labels);
    t->wide = fab_volume_dtype(labels) == FAB_U16;
    t->margin = margin ? fab_volume_data_mut(margin) : NULL;
    for (int a = 0; a < 3; a++)
        FAB_TRY(fab_axis_make(j->slide.size[a], j->model->spacing_mm[a], size[a], mm[a], false,
                              &t->axis[a], err));
    return FAB_OK;
}

static fab_status prepare_outputs(job *j, fab_segment_result *r, fab_error *err)
{
    const fab_dtype type = j->wide ? FAB_U16 : FAB_U8;
    fab_target *own = &j->targets[0], *fine = &j->targets[1];
    double fine_mm[3];
    FAB_TRY(fab_volume_create(fab_volume_grid(j->image), type, &r->labels, err));
    FAB_TRY(fab_volume_create(&j->fine_grid, type, &r->fine_labels, err));
    FAB_TRY(fab_volume_create(&j->fine_grid, FAB_F32, &r->fine_margin, err));
    own->start = j->view.start;
    memcpy(own->step, j->view.step, sizeof own->step);
    FAB_TRY(prepare_target(j, own, j->view.size, j->view.spacing_mm, r->labels, NULL, err));
    for (int a = 0; a < 3; a++)
        fine_mm[a] = j->model->spacing_mm[a] * j->slide.size[a] / (double)j->fine_size[a];
    fine->step[2] = 1;
    fine->step[1] = j->fine_size[2];
    fine->step[0] = (int64_t)j->fine_size[2] * j->fine_size[1];
    return prepare_target(j, fine, j->fine_size, fine_mm, r->fine_labels, r->fine_margin, err);
}

static void group_classes(const fab_model *m, fab_slide *s)
{
    for (int i = 0; i < m->label_count; i++) {
        const int c = m->labels[i].value;
        s->structure[c] = 1;
        s->same[c] = (int16_t)(fab_same_label_class(m, c) + 1);
    }
    for (int c = 0; c < s->pitch; c++) {
        const bool structure = c < m->config.classes && s->structure[c];
        s->barred[c] = structure ? 0 : -INFINITY;
        if (c < m->config.classes && !structure) s->none[s->none_count++] = c;
    }
}

static fab_status prepare_slide(job *j, fab_error *err)
{
    fab_slide *s = &j->slide;
    FAB_TRY(fab_progress_step(s->progress, "resample", 0.0, err));
    FAB_TRY(fab_preprocess(j->model, j->image, &j->view, s->size, s->padded, s->low,
                           &j->image_floats, err));
    s->image = j->image_floats;
    s->ring = fab_alloc_array((size_t)s->depth * (size_t)s->size[1] * (size_t)s->size[2] *
                                  (size_t)s->pitch, sizeof *s->ring);
    s->winner = fab_alloc_array(voxels_of(s->size), sizeof *s->winner);
    s->probability = fab_alloc_array(voxels_of(s->size), sizeof *s->probability);
    s->even = fab_calloc(voxels_of(s->size), 1);
    s->settled = fab_calloc(voxels_of(s->size), 1);
    if (!s->ring || !s->winner || !s->probability || !s->even || !s->settled)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for logits (%zu MiB planned in all)",
                 j->planned >> 20);
    group_classes(j->model, s);
    s->targets = j->targets;
    s->target_count = 2;
    return FAB_OK;
}

/* ---- results ----------------------------------------------------------------------------- */

static fab_status make_set(const job *j, fab_segment_result *r, fab_error *err)
{
    for (int i = 0; i < j->model->label_count; i++) {
        char name[FAB_MAX_NAME_BYTES];
        const int value = j->decision.value_of[i];
        for (int k = 0; k < fab_row_values(j->model, i); k++)
            FAB_TRY(fab_label_set_add(&r->set, value + k, fab_row_name(j->model, i, k, name),
                                      err));
    }
    return FAB_OK;
}

static fab_status make_confidence(const job *j, fab_segment_result *r, fab_error *err)
{
    const size_t values = (size_t)j->decision.value_count;
    FAB_AUTO_FREE double *sums = fab_calloc(values, sizeof *sums);
    FAB_AUTO_FREE int64_t *voxels = fab_calloc(values, sizeof *voxels);
    r->confidence = fab_calloc(r->set.count, sizeof *r->confidence);
    if (!sums || !voxels || !r->confidence)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for confidences");
    fab_decision_confidence(&j->decision, sums, voxels);
    for (size_t i = 0; i < r->set.count; i++) {
        const int value = r->set.items[i].value;
        if (voxels[value] > 0)
            r->confidence[i] = sums[value] / (double)voxels[value] *
                               fab_decision_name_confidence(&j->decision, value);
    }
    return FAB_OK;
}

static fab_status finish(job *j, fab_segment_result *r, fab_error *err)
{
    FAB_TRY(fab_progress_step(j->slide.progress, "post-process", 0.0, err));
    FAB_TRY(fab_decide(j->model, &j->slide, &j->decision, err));
    FAB_TRY(make_set(j, r, err));
    FAB_TRY(make_confidence(j, r, err));
    for (int i = 0; i < 2; i++) fab_decision_apply(&j->decision, &j->targets[i]);
    return fab_findings_make(&j->decision, r, err);
}

static void free_job(job *j)
{
    for (int i = 0; i < 2; i++)
        for (int a = 0; a < 3; a++) fab_axis_free(&j->targets[i].axis[a]);
    fab_free(j->starts);
    fab_free(j->gauss);
    fab_free(j->image_floats);
    fab_free(j->slide.ring);
    fab_free(j->slide.winner);
    fab_free(j->slide.even);
    fab_free(j->slide.settled);
    fab_volume_unref(j->slide.wanted);
    fab_free(j->slide.probability);
    fab_decision_free(&j->decision);
}

void fab_segment_result_free(fab_segment_result *r)
{
    fab_volume_unref(r->labels);
    fab_volume_unref(r->fine_labels);
    fab_volume_unref(r->fine_margin);
    fab_label_set_free(&r->set);
    fab_free(r->confidence);
    fab_free(r->findings);
    memset(r, 0, sizeof *r);
}

static fab_status run(job *j, double step, size_t cap, fab_segment_result *r, fab_error *err)
{
    FAB_TRY(plan(j, step, cap, err));
    if (cap > 0 && j->planned > cap)
        FAB_FAIL(err, FAB_ERR_LIMIT,
                 "segmenting this image with model %s needs %zu MiB, the cap is %zu MiB",
                 j->model->name, (j->planned + (1u << 20) - 1) >> 20, cap >> 20);
    FAB_TRY(prepare_windows(j, step, err));
    FAB_TRY(prepare_outputs(j, r, err));
    FAB_TRY(prepare_slide(j, err));
    FAB_TRY(fab_slide_run(&j->slide, &r->patches, err));
    r->planned_bytes = j->planned;
    r->isa = fab_net_isa(j->model->net);
    return finish(j, r, err);
}

static fab_status check_step(const fab_model *m, double *step, fab_error *err)
{
    if (*step == 0.0) *step = m->step;
    if (!(*step >= 0.1 && *step <= 1.0))
        FAB_FAIL(err, FAB_ERR_ARG, "a window step of %g: it must be from 0.1 to 1", *step);
    return FAB_OK;
}

/* What the network is to look at: the image, or the part of it that the patient is in; and the
 * bytes in memory beside that part. */
static fab_status look_at(const fab_model *m, const fab_volume *image, job *j, int32_t low[3],
                          fab_volume **body, fab_error *err)
{
    *j = (job){.model = m, .image = image, .slide = {.model = m}};
    FAB_TRY(fab_grid_check(fab_volume_grid(image), err));
    if (!m->body_only) return FAB_OK;
    FAB_TRY(fab_body_crop(image, low, body, err));
    j->image = *body;
    j->outside = fab_volume_bytes(image) + (size_t)fab_grid_voxels(fab_volume_grid(image)) * 2;
    return FAB_OK;
}

/* The labels of a part of `image` as labels of the whole. */
static fab_status widen(const fab_volume *image, const int32_t low[3], fab_segment_result *r,
                        fab_error *err)
{
    fab_volume *whole = NULL;
    FAB_TRY(fab_body_paste(r->labels, low, fab_volume_grid(image), &whole, err));
    fab_volume_unref(r->labels);
    r->labels = whole;
    return FAB_OK;
}

fab_status fab_segment(const fab_model *m, const fab_volume *image,
                       const fab_segment_options *options, fab_segment_result *out,
                       fab_error *err)
{
    double step = options ? options->step : 0;
    int32_t low[3];
    FAB_AUTO(fab_volume_unref) fab_volume *body = NULL;
    job j;
    FAB_TRY(check_step(m, &step, err));
    FAB_TRY(look_at(m, image, &j, low, &body, err));
    fab_segment_result r = {0};
    j.slide.progress = options ? options->progress : NULL;
    fab_status status = run(&j, step, options ? options->max_memory_bytes : 0, &r, err);
    free_job(&j);
    if (status == FAB_OK && body) status = widen(image, low, &r, err);
    if (status < 0) {
        fab_segment_result_free(&r);
        return status;
    }
    *out = r;
    return FAB_OK;
}

fab_status fab_segment_plan_bytes(const fab_model *m, const fab_volume *image, double step,
                                  size_t *bytes, fab_error *err)
{
    int32_t low[3];
    FAB_AUTO(fab_volume_unref) fab_volume *body = NULL;
    job j;
    FAB_TRY(check_step(m, &step, err));
    FAB_TRY(look_at(m, image, &j, low, &body, err));
    FAB_TRY(plan(&j, step, 0, err));
    *bytes = j.planned;
    return FAB_OK;
}

/* ---- the network's own view ---------------------------------------------------------------- */

static fab_status fill_view(const job *j, fab_segment_view *v, fab_error *err)
{
    const fab_grid g = lattice(j, j->slide.size);
    const fab_slide *s = &j->slide;
    FAB_TRY(fab_volume_create(&g, FAB_F32, &v->hu, err));
    FAB_TRY(fab_volume_create(&g, FAB_U16, &v->classes, err));
    FAB_TRY(fab_volume_create(&g, FAB_F32, &v->probability, err));
    const size_t n = voxels_of(s->size);
    memcpy(fab_volume_data_mut(v->classes), s->winner, n * sizeof *s->winner);
    memcpy(fab_volume_data_mut(v->probability), s->probability, n * sizeof *s->probability);
    float *hu = fab_volume_data_mut(v->hu);
    for (int z = 0; z < s->size[0]; z++)
        for (int y = 0; y < s->size[1]; y++) {
            const float *from = s->image + (((ptrdiff_t)z + s->low[0]) * s->padded[1] + y +
                                            s->low[1]) * s->padded[2] + s->low[2];
            for (int x = 0; x < s->size[2]; x++)
                *hu++ = from[x] * (float)j->model->std + (float)j->model->mean;
        }
    return FAB_OK;
}

void fab_segment_view_free(fab_segment_view *v)
{
    fab_volume_unref(v->hu);
    fab_volume_unref(v->classes);
    fab_volume_unref(v->probability);
    memset(v, 0, sizeof *v);
}

/* Where windows must reach, on the network's grid. */
static fab_status prepare_wanted(job *j, const fab_segment_options *o, fab_error *err)
{
    const fab_grid g = lattice(j, j->slide.size);
    if (!o || !o->wanted) return FAB_OK;
    if (fab_volume_dtype(o->wanted) != FAB_U8)
        FAB_FAIL(err, FAB_ERR_ARG, "what is wanted must be U8");
    for (int a = 0; a < 3; a++)
        j->slide.wanted_reach[a] = (int)ceil(o->wanted_mm / j->model->spacing_mm[a]);
    return fab_volume_resample(o->wanted, &g, FAB_NEAREST, 0, &j->slide.wanted, err);
}

static fab_status run_view(job *j, double step, const fab_segment_options *o,
                           fab_segment_view *v, fab_error *err)
{
    FAB_TRY(plan(j, step, 0, err));
    FAB_TRY(prepare_windows(j, step, err));
    FAB_TRY(prepare_slide(j, err));
    FAB_TRY(prepare_wanted(j, o, err));
    j->slide.target_count = 0;
    FAB_TRY(fab_slide_run(&j->slide, &v->patches, err));
    return fill_view(j, v, err);
}

fab_status fab_segment_classes(const fab_model *m, const fab_volume *image,
                               const fab_segment_options *options, fab_segment_view *out,
                               fab_error *err)
{
    double step = options ? options->step : 0;
    int32_t low[3];
    FAB_AUTO(fab_volume_unref) fab_volume *body = NULL;
    job j;
    FAB_TRY(check_step(m, &step, err));
    FAB_TRY(look_at(m, image, &j, low, &body, err));
    fab_segment_view v = {0};
    j.slide.progress = options ? options->progress : NULL;
    j.slide.groups = options ? options->groups : NULL;
    const fab_status status = run_view(&j, step, options, &v, err);
    free_job(&j);
    if (status < 0) {
        fab_segment_view_free(&v);
        return status;
    }
    *out = v;
    return FAB_OK;
}
