/* mean.c - the mean of several networks' probabilities, as nnUNetv2_ensemble makes it of the files
 * that nnUNetv2_predict --save_probabilities leaves.
 *
 * Each network's fp16 logits are resampled to the cropped image and rounded to fp16, their softmax
 * (of regions: sigmoid) is taken in fp32, the networks' are added in fp32 in their order and
 * divided by their number; the first greatest head wins, or every region above one half. nnU-Net
 * does that with all heads of all voxels at once. Here one row of the result exists at a time:
 *
 *     logits of A, on A's lattice --+-> row of A: heads x width -> softmax --+
 *                                                                            +-> mean -> labels
 *     logits of B, on B's lattice --+-> row of B: heads x width -> softmax --+
 *
 * Where confident networks disagree, both probabilities are exactly 1 and the lower label wins, so
 * every rounding is nnU-Net's (e^x alone may be off by a unit in the last place).
 *
 * Networks may have turned the image's axes differently, or read them backwards: a row of the
 * result runs along the leader's last axis and is looked up along whichever axis of another that
 * is. All have the same crop, since it hangs on the images alone; outside it each is sure of
 * background.
 */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "nnunet_internal.h"

#define CHUNK 32 /* slices between two looks at the progress */

/* How one voice is looked up from the result's grid, which has the leader's axes. */
typedef struct source {
    const fab_nnunet_voice *voice;
    int along[3];            /* the result's axis -> the voice's */
    fab_nnunet_axis axis[3]; /* by the result's axis */
    bool as_is;              /* nothing to turn or interpolate */
} source;

typedef struct scratch {
    uint16_t *line[2];          /* gathered along an axis: [longest] */
    double *mixed, *near, *far; /* [longest], [width] twice */
    float *logits, *sum;        /* [heads][width] */
    int32_t *label;             /* [width] */
    float *best;                /* [width] */
} scratch;

typedef struct mean_job {
    const fab_nnunet_voice *leader;
    const fab_nnunet_kernels *kernels;
    source *sources;
    int count, size[3], longest; /* voices; the result; a line of any voice */
    scratch *workers;
    int worker_count, first_slice;
    int64_t start, step[3];      /* in the label map */
    fab_dtype dtype;
    void *labels;                /* its voxels; NULL: the leader's logits are made */
} mean_job;

/* ---- one row ------------------------------------------------------------------------------ */

/* The voice's logits along the result's last axis, through what `z` and `y` mean for it. */
static const uint16_t *line_of(const source *s, int head, int z, int y, uint16_t *into)
{
    const fab_nnunet_case *c = &s->voice->c;
    int at[3] = {0};
    at[s->along[0]] = z;
    at[s->along[1]] = y;
    const uint16_t *logits = s->voice->logits;
    if (s->along[2] == 2)
        return logits + fab_nnunet_row(s->voice->plan, c, c->size[0], head, at[0], at[1]);
    for (int i = 0; i < s->axis[2].n; i++) {
        at[s->along[2]] = i;
        into[i] = logits[fab_nnunet_row(s->voice->plan, c, c->size[0], head, at[0], at[1]) + at[2]];
    }
    return into;
}

/* Between planes, then along the row; `y` is one of the voice's lines. */
static void mix_line(const mean_job *job, const source *s, int head, int slice, int y,
                     scratch *to, double *row)
{
    const fab_nnunet_axis *z = &s->axis[0], *x = &s->axis[2];
    const double t = z->t[slice];
    const uint16_t *a = line_of(s, head, z->first[slice], y, to->line[0]);
    const uint16_t *b = t > 0 ? line_of(s, head, z->second[slice], y, to->line[1]) : a;
    job->kernels->mix_half(a, b, t, to->mixed, x->n);
    job->kernels->spread(to->mixed, x->first, x->second, x->t, row, x->m);
}

/* Row (slice, row) of the result as one voice has it: to->logits, rounded to fp16. */
static void sample_row(const mean_job *job, const source *s, int slice, int row, scratch *to)
{
    const fab_nnunet_axis *y = &s->axis[1];
    const int width = job->size[2];
    const double t = y->t[row];
    for (int head = 0; head < s->voice->plan->head_count; head++) {
        float *logits = to->logits + (ptrdiff_t)head * width;
        if (s->as_is) {
            job->kernels->half_to_float(line_of(s, head, slice, row, to->line[0]), logits, width);
            continue;
        }
        mix_line(job, s, head, slice, y->first[row], to, to->near);
        if (t > 0) mix_line(job, s, head, slice, y->second[row], to, to->far);
        job->kernels->blend(to->near, t > 0 ? to->far : to->near, t, logits, width);
    }
}

/* The mean's row: s->sum. */
static void mean_row(const mean_job *job, int slice, int row, scratch *s)
{
    const fab_nnunet_plan *plan = job->leader->plan;
    const size_t values = (size_t)plan->head_count * (size_t)job->size[2];
    memset(s->sum, 0, values * sizeof *s->sum);
    for (int i = 0; i < job->count; i++) {
        sample_row(job, &job->sources[i], slice, row, s);
        job->kernels->add_shares(s->logits, job->size[2], plan->head_count, plan->regions, s->sum,
                                 job->size[2]);
    }
    for (size_t i = 0; i < values; i++) s->sum[i] /= (float)job->count;
}

static void choose_labels(const mean_job *job, scratch *s)
{
    const fab_nnunet_plan *plan = job->leader->plan;
    const int width = job->size[2];
    for (int i = 0; i < width; i++) {
        s->label[i] = 0;
        s->best[i] = plan->regions ? 0.5f : -1.0f;
    }
    for (int head = 0; head < plan->head_count; head++) {
        const float *share = s->sum + (ptrdiff_t)head * width;
        const int32_t value = plan->head[head].value;
        for (int i = 0; i < width; i++) s->label[i] = share[i] > s->best[i] ? value : s->label[i];
        if (plan->regions) continue;
        for (int i = 0; i < width; i++) s->best[i] = share[i] > s->best[i] ? share[i] : s->best[i];
    }
}

static void paste_labels(const mean_job *job, int slice, int row, const int32_t *label)
{
    const int64_t at = job->start + slice * job->step[0] + row * job->step[1];
    for (int x = 0; x < job->size[2]; x++) {
        const int64_t to = at + x * job->step[2];
        if (job->dtype == FAB_U8) ((uint8_t *)job->labels)[to] = (uint8_t)label[x];
        else ((uint16_t *)job->labels)[to] = (uint16_t)label[x];
    }
}

static void replace_logits(const mean_job *job, int slice, int row, const scratch *s)
{
    const fab_nnunet_voice *v = job->leader;
    const int width = job->size[2];
    for (int head = 0; head < v->plan->head_count; head++)
        job->kernels->logits_of_shares(
            s->sum + (ptrdiff_t)head * width, v->plan->regions,
            v->logits + fab_nnunet_row(v->plan, &v->c, v->c.size[0], head, slice, row), width);
}

static void make_row(void *ctx, int64_t index, int worker)
{
    const mean_job *job = ctx;
    const int slice = job->first_slice + (int)(index / job->size[1]);
    const int row = (int)(index % job->size[1]);
    scratch *s = &job->workers[worker];
    mean_row(job, slice, row, s);
    if (!job->labels) {
        replace_logits(job, slice, row, s);
        return;
    }
    choose_labels(job, s);
    paste_labels(job, slice, row, s->label);
}

/* ---- all of it ---------------------------------------------------------------------------- */

/* The image's axis that a case's axis is, and whether it runs backwards there. */
static int image_axis(const fab_nnunet_voice *v, int axis, bool *flipped)
{
    const int before = v->plan->transpose_forward[axis];
    *flipped = v->c.flipped[before];
    return v->c.axis_of[before];
}

static void turn_back(fab_nnunet_axis *a)
{
    for (int i = 0, k = a->m - 1; i < k; i++, k--) {
        const int32_t first = a->first[i], second = a->second[i];
        const double t = a->t[i];
        a->first[i] = a->first[k];
        a->second[i] = a->second[k];
        a->t[i] = a->t[k];
        a->first[k] = first;
        a->second[k] = second;
        a->t[k] = t;
    }
}

static fab_status find_source(const mean_job *job, const fab_nnunet_voice *v, source *s,
                              fab_error *err)
{
    int order[3];
    s->voice = v;
    s->as_is = true;
    FAB_TRY(fab_nnunet_export_orders(v->plan, &v->c, order, err));
    for (int a = 0; a < 3; a++) {
        bool flipped, other;
        const int axis = image_axis(job->leader, a, &flipped);
        while (image_axis(v, s->along[a], &other) != axis) s->along[a]++;
        const int along = s->along[a], n = v->c.size[along];
        FAB_TRY(fab_nnunet_axis_make(n, job->size[a], order[along], &s->axis[a], err));
        if (flipped != other) turn_back(&s->axis[a]);
        s->as_is = s->as_is && along == a && flipped == other && n == job->size[a];
    }
    return FAB_OK;
}

static fab_status make_sources(mean_job *job, const fab_nnunet_voice *voice, fab_error *err)
{
    job->sources = fab_calloc((size_t)job->count, sizeof *job->sources);
    if (!job->sources) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for an ensemble");
    for (int i = 0; i < job->count; i++) {
        FAB_TRY(find_source(job, &voice[i], &job->sources[i], err));
        for (int a = 0; a < 3; a++)
            if (voice[i].c.size[a] > job->longest) job->longest = voice[i].c.size[a];
    }
    return FAB_OK;
}

static fab_status make_workers(mean_job *job, fab_error *err)
{
    const size_t width = (size_t)job->size[2], longest = (size_t)job->longest;
    const size_t values = (size_t)job->leader->plan->head_count * width;
    job->worker_count = fab_threads_get();
    job->workers = fab_calloc((size_t)job->worker_count, sizeof *job->workers);
    if (!job->workers) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for rows");
    for (int i = 0; i < job->worker_count; i++) {
        scratch *s = &job->workers[i];
        s->line[0] = fab_alloc_array(2 * longest, sizeof *s->line[0]);
        s->mixed = fab_alloc_array(longest, sizeof *s->mixed);
        s->near = fab_alloc_array(2 * width, sizeof *s->near);
        s->logits = fab_alloc_array(2 * values, sizeof *s->logits);
        s->label = fab_alloc_array(width, sizeof *s->label);
        s->best = fab_alloc_array(width, sizeof *s->best);
        if (!s->line[0] || !s->mixed || !s->near || !s->logits || !s->label || !s->best)
            FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for rows of %zu voxels", width);
        s->line[1] = s->line[0] + longest;
        s->far = s->near + width;
        s->sum = s->logits + values;
    }
    return FAB_OK;
}

static void job_free(mean_job *job)
{
    for (int i = 0; job->workers && i < job->worker_count; i++) {
        const scratch *s = &job->workers[i];
        fab_free(s->line[0]);
        fab_free(s->mixed);
        fab_free(s->near);
        fab_free(s->logits);
        fab_free(s->label);
        fab_free(s->best);
    }
    fab_free(job->workers);
    for (int i = 0; job->sources && i < job->count; i++)
        for (int a = 0; a < 3; a++) fab_nnunet_axis_free(&job->sources[i].axis[a]);
    fab_free(job->sources);
}

static fab_status run(mean_job *job, const fab_nnunet_voice *voice, const fab_progress *progress,
                      fab_error *err)
{
    job->kernels = fab_nnunet_kernels_best();
    FAB_TRY(make_sources(job, voice, err));
    FAB_TRY(make_workers(job, err));
    for (int z = 0; z < job->size[0]; z += CHUNK) {
        const int slices = job->size[0] - z < CHUNK ? job->size[0] - z : CHUNK;
        FAB_TRY(fab_progress_step(progress, "finish", (double)z / job->size[0], err));
        job->first_slice = z;
        fab_parallel_for((int64_t)slices * job->size[1], make_row, job);
    }
    return fab_progress_step(progress, "finish", 1, err);
}

fab_status fab_nnunet_mean_labels(const fab_nnunet_voice *voice, int count,
                                  const fab_progress *progress, fab_volume **labels,
                                  fab_error *err)
{
    mean_job job = {.leader = &voice[0], .count = count, .dtype = FAB_U8};
    const fab_nnunet_plan *plan = voice[0].plan;
    FAB_AUTO(fab_volume_unref) fab_volume *map = NULL;
    for (int h = 0; h < plan->head_count; h++)
        if (plan->head[h].value > 255) job.dtype = FAB_U16;
    FAB_TRY(fab_volume_create(&voice[0].c.grid, job.dtype, &map, err));
    job.labels = fab_volume_data_mut(map);
    memset(job.labels, 0, fab_volume_bytes(map));
    fab_nnunet_case_steps(plan, &voice[0].c, &job.start, job.step);
    for (int a = 0; a < 3; a++) job.size[a] = voice[0].c.box[a][1] - voice[0].c.box[a][0];
    const fab_status status = run(&job, voice, progress, err);
    job_free(&job);
    FAB_TRY(status);
    *labels = map;
    map = NULL;
    return FAB_OK;
}

fab_status fab_nnunet_mean_logits(const fab_nnunet_voice *voice, int count, int leader,
                                  const fab_progress *progress, fab_error *err)
{
    mean_job job = {.leader = &voice[leader], .count = count};
    memcpy(job.size, voice[leader].c.size, sizeof job.size);
    const fab_status status = run(&job, voice, progress, err);
    job_free(&job);
    return status;
}

size_t fab_nnunet_mean_bytes(const fab_nnunet_voice *voice, int count)
{
    size_t longest = 0, axes = 0, workers = (size_t)fab_threads_get();
    for (int i = 0; i < count; i++)
        for (int a = 0; a < 3; a++) {
            const fab_nnunet_case *c = &voice[i].c;
            const size_t wide = (size_t)(c->box[a][1] - c->box[a][0]), n = (size_t)c->size[a];
            longest = wide > longest ? wide : longest;
            longest = n > longest ? n : longest;
            axes += wide > n ? wide : n;
        }
    return workers * longest * (40 + 8 * (size_t)voice[0].plan->head_count) + axes * 16;
}
