/* emit.c - labels from finished planes of logits, at the network's and at any other lattice.
 *
 * A label elsewhere is the argmax of trilinearly interpolated logits. Where all eight network
 * voxels around a point have the same winner, that winner's logit is the largest at every one of
 * them and so at every mean of them: nothing needs to be interpolated, exactly. Only cells that
 * a border runs through are computed, and for margins the cells around those: a surface lies
 * between two voxels of different labels, and asks no others.
 */
#include <math.h>
#include <string.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "segment_internal.h"

typedef struct emit_job {
    fab_slide *s;
    fab_target *t;
    int from;
} emit_job;

static float *logits_at(const fab_slide *s, int z, int y, int x)
{
    return s->ring +
           (((ptrdiff_t)(z % s->depth) * s->size[1] + y) * s->size[2] + x) * s->pitch;
}

/* ---- four classes at once; every result as one by one ---- */

enum { LANES = 4 }; /* pitch is a multiple of 16 */
typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t lane_bits __attribute__((vector_size(4 * LANES)));

static inline lanes load(const float *from)
{
    lanes v;
    memcpy(&v, from, sizeof v);
    return v;
}

/* a where it is larger than b, else b (also where a is NaN). */
static inline lanes larger(lanes a, lanes b)
{
#ifdef __SSE__
    return (lanes)_mm_max_ps((__m128)a, (__m128)b);
#else
    const lane_bits yes = a > b;
    return (lanes)(((lane_bits)a & yes) | ((lane_bits)b & ~yes));
#endif
}

static float largest_lane(lanes v)
{
    float most = v[0];
    for (int i = 1; i < LANES; i++) most = v[i] > most ? v[i] : most;
    return most;
}

/* ---- the network's own lattice -------------------------------------------------------------- */

/* A term of a softmax this far below the largest is less than half the last bit of the sum. */
static const float negligible = -18;

/* The winning class; *probability gets its softmax. */
static int winner_of(const float *l, int classes, float *probability)
{
    int best = 0;
    float sum = 0;
    for (int c = 1; c < classes; c++)
        if (l[c] > l[best]) best = c;
    for (int c = 0; c < classes; c++)
        if (l[c] - l[best] > negligible) sum += expf(l[c] - l[best]);
    *probability = 1.0f / sum;
    return best;
}

/* The same with classes' probabilities added up by group; *probability gets the group's. */
static int group_winner_of(const float *l, int classes, const uint8_t *group, float *probability)
{
    float sum[FAB_UNET_MAX_CLASSES] = {0}, e[FAB_UNET_MAX_CLASSES], all = 0, top = l[0];
    int best = 0;
    for (int c = 1; c < classes; c++) top = l[c] > top ? l[c] : top;
    for (int c = 0; c < classes; c++) {
        e[c] = expf(l[c] - top);
        sum[group[c]] += e[c];
        all += e[c];
    }
    for (int c = 1; c < classes; c++) {
        const float mine = sum[group[c]], leads = sum[group[best]];
        if (mine > leads || (group[c] == group[best] && e[c] > e[best])) best = c;
    }
    *probability = sum[group[best]] / all;
    return best;
}

/* Class 0 comes last where it is enclosed by others: the best of them wins there. */
static void fill_enclosed(const fab_slide *s, int z)
{
    const int classes = s->model->config.classes;
    const ptrdiff_t plane = (ptrdiff_t)s->size[1] * s->size[2];
    uint16_t *winner = s->winner + z * plane;
    fab_plane_mark_enclosed(winner, s->size[1], s->size[2]);
    for (ptrdiff_t i = 0; i < plane; i++) {
        if (winner[i] != FAB_ENCLOSED) continue;
        float *l = logits_at(s, z, 0, 0) + i * s->pitch, lowest = l[1];
        for (int c = 2; c < classes; c++) lowest = l[c] < lowest ? l[c] : lowest;
        l[0] = lowest;
        winner[i] = (uint16_t)winner_of(l, classes, &s->probability[z * plane + i]);
    }
}

static void winners_plane(void *ctx, int64_t index, int worker)
{
    (void)worker;
    const emit_job *job = ctx;
    fab_slide *s = job->s;
    const int z = job->from + (int)index, classes = s->model->config.classes;
    const ptrdiff_t plane = (ptrdiff_t)s->size[1] * s->size[2];
    for (ptrdiff_t i = 0; i < plane; i++) {
        const float *l = logits_at(s, z, 0, 0) + i * s->pitch;
        float *p = &s->probability[z * plane + i];
        s->winner[z * plane + i] = (uint16_t)(s->groups ? group_winner_of(l, classes, s->groups, p)
                                                        : winner_of(l, classes, p));
    }
    if (s->model->outside_reaches_edge) fill_enclosed(s, z);
}

/* ---- cells: eight network voxels, called by the lowest; the last voxel counts twice ----------
 *
 * Even: one winner. Settled: it and all cells around it are even. */

static int clamped(int i, int size)
{
    return i < 0 ? 0 : i < size ? i : size - 1;
}

/* First voxel of a row of the network's lattice; of the last row beyond the end. */
static ptrdiff_t row_near(const fab_slide *s, int z, int y)
{
    return ((ptrdiff_t)clamped(z, s->size[0]) * s->size[1] + clamped(y, s->size[1])) * s->size[2];
}

/* Whether the cells of a plane are even; their voxels are those of plane z and the one after. */
static void even_plane(void *ctx, int64_t index, int worker)
{
    (void)worker;
    const emit_job *job = ctx;
    fab_slide *s = job->s;
    const int z = job->from + (int)index, nx = s->size[2];
    for (int y = 0; y < s->size[1]; y++) {
        const uint16_t *w[4];
        for (int k = 0; k < 4; k++) w[k] = s->winner + row_near(s, z + (k >> 1), y + (k & 1));
        uint8_t *cell = s->even + row_near(s, z, y);
        for (int x = 0; x < nx; x++) {
            const int x1 = clamped(x + 1, nx);
            unsigned other = 0;
            for (int k = 0; k < 4; k++)
                other |= (unsigned)(w[k][x] ^ w[0][x]) | (unsigned)(w[k][x1] ^ w[0][x]);
            cell[x] = !other;
        }
    }
}

/* Cells whose neighbours are even too. The planes beside must be known. */
static void settled_plane(void *ctx, int64_t index, int worker)
{
    (void)worker;
    const emit_job *job = ctx;
    fab_slide *s = job->s;
    const int z = job->from + (int)index, nx = s->size[2];
    for (int y = 0; y < s->size[1]; y++) {
        const uint8_t *near[9];
        for (int k = 0; k < 9; k++) near[k] = s->even + row_near(s, z + k / 3 - 1, y + k % 3 - 1);
        uint8_t *cell = s->settled + row_near(s, z, y);
        for (int x = 0; x < nx; x++) {
            unsigned even = 1;
            for (int k = 0; k < 9; k++)
                even &= near[k][clamped(x - 1, nx)] & near[k][x] & near[k][clamped(x + 1, nx)];
            cell[x] = (uint8_t)even;
        }
    }
}

/* Cells that the winners of planes before `to` decide; the others stay 0: borders, for all one
 * knows. */
static void look_at_cells(fab_slide *s, int from, int to)
{
    const bool last = to == s->size[0];
    const int even_from = from ? from - 1 : 0, even_to = last ? to : to - 1;
    const int settled_from = even_from ? even_from - 1 : 0, settled_to = last ? to : to - 2;
    emit_job job = {.s = s, .from = even_from};
    if (even_to > even_from) fab_parallel_for(even_to - even_from, even_plane, &job);
    job.from = settled_from;
    if (settled_to > settled_from)
        fab_parallel_for(settled_to - settled_from, settled_plane, &job);
}

/* ---- another lattice ------------------------------------------------------------------------ */

/* The margin of a voxel far from any border, in logits: surfaces do not ask it, and it is sure. */
static const float settled_margin = 16;

/* The four network rows around a target row, and what is interpolated from them. */
typedef struct rows {
    const fab_slide *s;
    ptrdiff_t at[4];   /* of the network's voxel x = 0 in winner */
    const float *l[4];
    float w[4];
    float *column[2];  /* logits at network voxels x, x + 1 of the target row */
    int have[2];       /* which x they hold, -1: none */
} rows;

static rows rows_of(const fab_slide *s, const fab_target *t, int z, int y, float *columns)
{
    rows r = {.s = s, .column = {columns, columns + s->pitch}, .have = {-1, -1}};
    for (int k = 0; k < 4; k++) {
        const int dz = k >> 1, dy = k & 1;
        const fab_axis *az = &t->axis[0], *ay = &t->axis[1];
        const int nz = az->first[z] + (dz < az->taps ? dz : 0);
        const int ny = ay->first[y] + (dy < ay->taps ? dy : 0);
        r.w[k] = (dz < az->taps ? az->weight[z * az->taps + dz] : 0.0f) *
                 (dy < ay->taps ? ay->weight[y * ay->taps + dy] : 0.0f);
        r.at[k] = ((ptrdiff_t)nz * s->size[1] + ny) * s->size[2];
        r.l[k] = logits_at(s, nz, ny, 0);
    }
    return r;
}

static const float *column_at(rows *r, int x, int slot)
{
    if (r->have[slot] == x) return r->column[slot];
    const ptrdiff_t at = (ptrdiff_t)x * r->s->pitch;
    float *to = r->column[slot];
    for (int c = 0; c < r->s->pitch; c += LANES) {
        const float *const *l = r->l;
        const lanes mean = (load(l[0] + at + c) * r->w[0] + load(l[1] + at + c) * r->w[1]) +
                           (load(l[2] + at + c) * r->w[2] + load(l[3] + at + c) * r->w[3]);
        memcpy(to + c, &mean, sizeof mean);
    }
    r->have[slot] = x;
    return to;
}

/* First structure's class that has this logit. */
static int structure_with(const fab_slide *s, const float *logit, float value)
{
    for (int c = 0; c < s->model->config.classes; c++)
        if (logit[c] == value && s->structure[c]) return c;
    return 0;
}

/* Winner of the two columns mixed; *margin gets its lead over the best class that would give
 * another label: classes that are no structure are all one background. */
static int mixed_winner(const float *a, const float *b, float w, const fab_slide *s,
                        float *margin)
{
    float v[FAB_UNET_MAX_CLASSES + 16], none = -INFINITY;
    lanes top = (lanes){0} - INFINITY, second = top;
    int winner = 0;
    for (int c = 0; c < s->pitch; c += LANES) {
        const lanes from = load(a + c), mixed = from + (load(b + c) - from) * w;
        memcpy(v + c, &mixed, sizeof mixed);
        top = larger(mixed + load(s->barred + c), top);
    }
    for (int i = 0; i < s->none_count; i++) {
        const float logit = v[s->none[i]];
        if (logit > none) winner = s->none[i];
        if (logit > none) none = logit;
    }
    const float some = largest_lane(top);
    *margin = none - some;
    if (none > some || (none == some && winner < structure_with(s, v, some))) return winner;
    winner = structure_with(s, v, some);
    v[winner] = -INFINITY;
    if (s->same[winner]) v[s->same[winner] - 1] = -INFINITY;
    for (int c = 0; c < s->pitch; c += LANES)
        second = larger(load(v + c) + load(s->barred + c), second);
    const float rival = largest_lane(second);
    *margin = some - (rival > none ? rival : none);
    return winner;
}

static void store(const fab_target *t, int64_t at, int label, float margin)
{
    if (t->wide) ((uint16_t *)t->labels)[at] = (uint16_t)label;
    else ((uint8_t *)t->labels)[at] = (uint8_t)label;
    if (t->margin) t->margin[at] = margin;
}

static void target_plane(void *ctx, int64_t index, int worker)
{
    (void)worker;
    const emit_job *job = ctx;
    const fab_target *t = job->t;
    const fab_axis *ax = &t->axis[2];
    const int z = job->from + (int)index;
    const uint8_t *known = t->margin ? job->s->settled : job->s->even;
    float columns[2 * (FAB_UNET_MAX_CLASSES + 16)];
    for (int y = 0; y < t->size[1]; y++) {
        rows r = rows_of(job->s, t, z, y, columns);
        const uint16_t *winner = job->s->winner + r.at[0];
        int64_t at = t->start + z * t->step[0] + y * t->step[1];
        for (int x = 0; x < t->size[2]; x++, at += t->step[2]) {
            const int x0 = ax->first[x], x1 = x0 + (ax->taps > 1);
            float margin = settled_margin;
            int label = winner[x0];
            if (!known[r.at[0] + x0])
                label = mixed_winner(column_at(&r, x0, x0 & 1), column_at(&r, x1, x1 & 1),
                                     ax->taps > 1 ? ax->weight[x * ax->taps + 1] : 0.0f, job->s,
                                     &margin);
            store(t, at, label, margin);
        }
    }
}

/* First target plane that touches network plane `ready` or one after it. */
static int planes_ready(const fab_target *t, int ready)
{
    const fab_axis *a = &t->axis[0];
    int z = t->next;
    while (z < t->size[0] && a->first[z] + a->taps - 1 < ready) z++;
    return z;
}

void fab_slide_emit(fab_slide *s, int from, int to)
{
    emit_job job = {.s = s, .from = from};
    if (to > from) fab_parallel_for(to - from, winners_plane, &job);
    if (s->target_count) look_at_cells(s, from, to);
    for (int i = 0; i < s->target_count; i++) {
        job.t = &s->targets[i];
        const int end = planes_ready(job.t, to);
        job.from = job.t->next;
        if (end > job.t->next) fab_parallel_for(end - job.t->next, target_plane, &job);
        job.t->next = end;
    }
}
