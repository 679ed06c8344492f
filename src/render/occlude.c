/* occlude.c - ambient occlusion from the depth buffer at two radii: the small one draws facets,
 * foramina and rib edges, the large one lets the inside of the chest fall dark (after McGuire's
 * "Alchemy" form, HPG 2011). Samples turn in a 4 x 4 pattern that a 4 x 4 blur removes when
 * samples are shaded.
 *
 * Samples of one turn look the same way, so they are worked on together: depths are kept in four
 * parts a row, every fourth sample in one (after Bavoil and Jansz, "Deinterleaved texturing", GDC
 * 2013). Then what a turn's neighbours of one row see through one tap is a stretch of memory.
 *
 *     x        0 1 2 3 4 5 6 7 8 ...        part 0: 0 4 8 ...    part 1: 1 5 9 ...    and so on
 */
#include <math.h>
#include <string.h>

#include "render_internal.h"

enum { PATTERN = 4, TURNS = PATTERN * PATTERN, MAX_TAPS = 16, RADII = 2, BUFFERS = 5 };
static const float radius_mm[RADII] = {7, 42}, strength[RADII] = {1.55f, 1.75f};
static const double golden_angle = 2.39996322972865332;

/* Where to look around a sample, in samples: a sunflower spiral for each turn of the pattern. The
 * more samples a pixel has, the fewer taps each needs. */
typedef struct occlusion_taps {
    int count;
    int at[RADII][TURNS][MAX_TAPS][2];
} occlusion_taps;

typedef struct occlusion_job {
    fab_render_frame *frame;
    occlusion_taps taps;
    int pitch;     /* floats of a part of a row: a quarter of the width, and LANES to run over */
    float *depth;  /* [height][PATTERN][pitch] */
    float *work;   /* [workers][BUFFERS][pitch] */
} occlusion_job;

/* The samples of one turn in a row. */
typedef struct stretch {
    int first, end;    /* those that something is seen at, in steps of PATTERN */
    const float *depth;
    float *n[3], *sum, *open;
} stretch;

static void set_taps(const fab_render_frame *f, occlusion_taps *taps)
{
    taps->count = f->scale == 1 ? MAX_TAPS : f->scale == 2 ? 12 : 6;
    for (int k = 0; k < RADII; k++)
        for (int turn = 0; turn < TURNS; turn++)
            for (int i = 0; i < taps->count; i++) {
                double share = (i + 0.5) / taps->count, r = (double)radius_mm[k] * sqrt(share);
                double angle = 6.28318530717958648 * turn / TURNS + golden_angle * i + 1.7 * k;
                double reach = fmin(r / f->mm_per_sample, 8192);
                taps->at[k][turn][i][0] = (int)lrint(reach * cos(angle));
                taps->at[k][turn][i][1] = (int)lrint(reach * sin(angle));
            }
}

static void split_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    const occlusion_job *job = ctx;
    const float *row = job->frame->seen.depth_mm + fab_render_at(job->frame, 0, (int)y);
    float *out = job->depth + (size_t)y * PATTERN * (size_t)job->pitch;
    for (int i = 0; i < PATTERN * job->pitch; i++) out[i] = FAB_RENDER_FAR;
    for (int x = 0; x < job->frame->width; x++)
        out[x % PATTERN * job->pitch + x / PATTERN] = row[x];
}

/* What samples first to end of the stretch see through one tap, `v` away from them to the right
 * and up (mm): the depth there is that of the same sample of `there`. Lanes beyond the end see
 * nothing, or are nobody's. */
static void add_tap(const stretch *s, int first, int end, const float *there, const float v[2],
                    float radius)
{
    const lanes zero = {0}, bias = zero + 0.06f * radius, most = zero + radius * radius * 2.25f;
    const lanes right = zero + v[0], up = zero + v[1], flat = right * right + up * up;
    for (int k = first; k < end; k += LANES) {
        lanes away = lanes_load(s->depth + k) - lanes_load(there + (k - first));
        lanes facing = right * lanes_load(s->n[0] + k) + up * lanes_load(s->n[1] + k)
                       + away * lanes_load(s->n[2] + k) - bias;
        lanes square = flat + away * away, near = 1 - square / most;
        lanes seen = lanes_load(s->sum + k)
                     + lanes_only((facing > 0) & (near > 0), near * facing / lanes_root(square));
        lanes_store(s->sum + k, seen);
    }
}

/* How many samples a part of a row has. */
static int part_size(const occlusion_job *job, int part)
{
    return (job->frame->width - part + PATTERN - 1) / PATTERN;
}

static const float *part_at(const occlusion_job *job, int64_t y, int part)
{
    return job->depth + (y * PATTERN + part) * job->pitch;
}

static void look(const occlusion_job *job, const stretch *s, int64_t y, int part, int turn,
                 int which)
{
    const fab_render_frame *f = job->frame;
    const float mm = (float)f->mm_per_sample;
    for (int i = 0; i < job->taps.count; i++) {
        const int *d = job->taps.at[which][turn][i];
        if (y + d[1] < 0 || y + d[1] >= f->height || (!d[0] && !d[1])) continue;
        int to = part + d[0], other = (to % PATTERN + PATTERN) % PATTERN;
        int shift = (to - other) / PATTERN, end = part_size(job, other) - shift;
        int first = s->first < -shift ? -shift : s->first;
        if (end > s->end) end = s->end;
        if (first >= end) continue;
        const float v[2] = {(float)d[0] * mm, (float)-d[1] * mm};
        add_tap(s, first, end, part_at(job, y + d[1], other) + first + shift, v, radius_mm[which]);
    }
}

/* Gathers the part's normals; false if there is nothing to be seen in it. */
static bool gather(const fab_render_frame *f, int64_t y, int part, stretch *s)
{
    const size_t row = fab_render_at(f, 0, (int)y);
    s->end = 0;
    for (int x = part, k = 0; x < f->width; x += PATTERN, k++) {
        const size_t at = row + (size_t)x;
        for (int c = 0; c < 3; c++) s->n[c][k] = (float)f->seen.normal[c][at] * (1.0f / 32767);
        if (!f->seen.item[at]) continue;
        if (!s->end) s->first = k;
        s->end = k + 1;
    }
    return s->end > 0;
}

static void occlude_part(const occlusion_job *job, int64_t y, int part, stretch *s)
{
    static const uint8_t order[TURNS] = {0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5};
    const fab_render_frame *f = job->frame;
    const int turn = order[y % PATTERN * PATTERN + part];
    s->depth = part_at(job, y, part);
    for (int k = 0; k < job->pitch; k++) s->open[k] = 1;
    for (int which = 0; which < RADII; which++) {
        memset(s->sum, 0, (size_t)job->pitch * sizeof *s->sum);
        look(job, s, y, part, turn, which);
        for (int k = s->first; k < s->end; k++) {
            float shut = strength[which] * s->sum[k] / (float)job->taps.count;
            s->open[k] *= 1 - (shut < 0.85f ? shut : 0.85f);
        }
    }
    float *row = f->seen.occlusion + fab_render_at(f, part, (int)y);
    for (int k = s->first; k < s->end; k++) row[k * PATTERN] = s->open[k];
}

static void occlude_row(void *ctx, int64_t y, int worker)
{
    const occlusion_job *job = ctx;
    const fab_render_frame *f = job->frame;
    float *work = job->work + (ptrdiff_t)worker * BUFFERS * job->pitch;
    stretch s = {.n = {work, work + job->pitch, work + 2 * job->pitch},
                 .sum = work + 3 * job->pitch, .open = work + 4 * job->pitch};
    for (int part = 0; part < PATTERN; part++)
        if (gather(f, y, part, &s)) occlude_part(job, y, part, &s);
}

fab_status fab_render_occlude(fab_render_frame *f, fab_error *err)
{
    occlusion_job job = {.frame = f, .pitch = f->width / PATTERN + 1 + LANES};
    size_t part = (size_t)job.pitch;
    FAB_AUTO_FREE float *depth = fab_alloc_array((size_t)f->height * PATTERN, part * sizeof *depth);
    size_t works = (size_t)fab_threads_get() * BUFFERS;
    FAB_AUTO_FREE float *work = fab_calloc(works, part * sizeof *work);
    if (!depth || !work)
        FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for a frame");
    job.depth = depth;
    job.work = work;
    set_taps(f, &job.taps);
    fab_parallel_for(f->height, split_row, &job);
    fab_parallel_for(f->height, occlude_row, &job);
    return FAB_OK;
}
