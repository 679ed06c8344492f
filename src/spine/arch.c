/* arch.c - which arch belongs to which body.
 *
 * The nearest body is the wrong answer: a thoracic spinous process ends behind the next body but
 * one, and the facets of neighbours touch. So every vertebra grows its own arch, from where its
 * pedicles meet the body (the upper two thirds of it) along shortest paths inside the arch class.
 * How high an arch lies is known for each place behind and beside the body (the table below): a
 * path that strays from there grows longer with every millimetre. An arch voxel goes to the
 * vertebra that has the shortest way to it and in whose band it lies best.
 */
#include <stdlib.h>
#include <string.h>

#include "spine_internal.h"

#define HALF 0.2       /* of the band's height, pitches */
#define BAND_COST 10.0 /* times the length, a pitch outside the band */
#define PLACE_COST 20.0 /* mm for lying a pitch off the band's middle */

/* Mean height of an arch above the middle of its body, in pitches: by level (T1-T3, T4-T7, T8-T10,
 * T11-T12, L1-L3, L4-L6), distance from the midline (under 6, 6 to 14, over 14 mm) and distance
 * behind the body's back wall (-2 to 43 mm, every 5 mm). Means over three phantoms and one person
 * (TotalSegmentator case s0328, from T10 down; CC BY 4.0). */
enum { GROUPS = 6, COLUMNS = 3, ROWS = 10 };
static const double band[GROUPS][COLUMNS][ROWS] = {
    {{-0.16, -0.16, -0.16, -0.16, -0.16, -0.27, -0.43, -0.62, -0.75, -0.72},
     {0.10, 0.10, 0.11, 0.25, -0.24, -0.43, -0.43, -0.43, -0.43, -0.43},
     {0.08, 0.08, 0.12, 0.17, 0.07, 0.07, 0.07, 0.07, 0.07, 0.07}},
    {{-0.14, -0.14, -0.14, -0.14, -0.14, -0.26, -0.51, -0.95, -1.25, -1.17},
     {0.12, 0.12, 0.10, 0.28, -0.09, -0.49, -0.49, -0.49, -0.49, -0.49},
     {0.18, 0.18, 0.18, 0.18, 0.16, -0.12, -0.12, -0.12, -0.12, -0.12}},
    {{-0.16, -0.16, -0.16, -0.16, -0.16, -0.25, -0.43, -0.83, -1.10, -1.10},
     {0.08, 0.08, 0.09, 0.21, -0.12, -0.50, -0.50, -0.50, -0.50, -0.50},
     {0.09, 0.09, 0.09, 0.18, 0.15, -0.28, -0.28, -0.28, -0.28, -0.28}},
    {{-0.05, -0.05, -0.07, -0.08, -0.09, -0.19, -0.25, -0.32, -0.37, -0.43},
     {-0.02, -0.02, 0.09, 0.25, 0.05, -0.34, -0.55, -0.55, -0.55, -0.55},
     {0.01, 0.01, 0.09, 0.17, 0.25, -0.10, 0.07, 0.07, 0.07, 0.07}},
    {{-0.08, -0.08, -0.05, -0.03, -0.00, -0.16, -0.18, -0.22, -0.23, -0.21},
     {0.07, 0.07, 0.10, 0.16, -0.06, -0.29, -0.46, -0.46, -0.46, -0.46},
     {0.07, 0.07, 0.08, 0.22, 0.29, 0.03, -0.10, 0.36, 0.36, 0.36}},
    {{0.07, 0.07, 0.07, 0.07, 0.07, 0.08, -0.03, -0.04, -0.03, -0.04},
     {0.36, 0.36, 0.36, 0.26, 0.10, -0.10, -0.28, -0.28, -0.28, -0.28},
     {0.17, 0.17, 0.29, 0.37, 0.29, -0.01, -0.12, -0.33, -0.33, -0.33}},
};

typedef struct heap_item { float cost; int32_t point; } heap_item;

typedef struct grower {
    sp_work *w;
    float *best;         /* of any vertebra so far */
    float *cost;         /* of this vertebra; stamp says whether it is valid */
    int32_t *stamp;
    heap_item *heap;
    int32_t size, capacity;
    float step_mm[27];
    int vertebra;
    double wall;         /* from the body's centre to its back wall, mm */
} grower;

static void heap_push(grower *g, float cost, int32_t point)
{
    if (g->size == g->capacity) return; /* cannot be: one item a point and neighbour */
    int32_t i = g->size++;
    while (i > 0 && g->heap[(i - 1) / 2].cost > cost) {
        g->heap[i] = g->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    g->heap[i] = (heap_item){cost, point};
}

static heap_item heap_pop(grower *g)
{
    const heap_item top = g->heap[0], last = g->heap[--g->size];
    int32_t i = 0;
    for (;;) {
        int32_t child = 2 * i + 1;
        if (child >= g->size) break;
        if (child + 1 < g->size && g->heap[child + 1].cost < g->heap[child].cost) child++;
        if (g->heap[child].cost >= last.cost) break;
        g->heap[i] = g->heap[child];
        i = child;
    }
    g->heap[i] = last;
    return top;
}

static void local_of(const fab_spine_vertebra *v, const sp_point *p, double q[3])
{
    const sp_vec d = sp_sub(sp_at(p), sp_from(v->centre));
    q[0] = sp_dot(d, sp_from(v->left));
    q[1] = sp_dot(d, sp_from(v->back));
    q[2] = sp_dot(d, sp_from(v->up));
}

/* Linear between entries of a row, its ends continued. */
static double row_at(const double row[ROWS], double behind)
{
    const double at = sp_clamp((behind + 2) / 5, 0, ROWS - 1.001);
    const int i = (int)at;
    return row[i] + (row[i + 1] - row[i]) * (at - i);
}

static double column_at(int group, double beside, double behind)
{
    static const double middle[COLUMNS] = {3, 10, 18};
    const int i = beside < middle[1] ? 0 : 1;
    const double f = sp_clamp((beside - middle[i]) / (middle[i + 1] - middle[i]), 0, 1);
    return row_at(band[group][i], behind) * (1 - f) + row_at(band[group][i + 1], behind) * f;
}

static double band_middle(int level, double beside, double behind)
{
    static const double centre[GROUPS] = {8, 11.5, 15, 17.5, 20, 22.5}; /* 8: T2 */
    int g = 0;
    while (g < GROUPS - 2 && level > centre[g + 1]) g++;
    const double f = sp_clamp((level - centre[g]) / (centre[g + 1] - centre[g]), 0, 1);
    return column_at(g, beside, behind) * (1 - f) + column_at(g + 1, beside, behind) * f;
}

/* How many pitches a point lies above (or below, negative) the middle of the vertebra's band. */
static double band_height(const grower *g, const sp_point *p)
{
    const fab_spine_vertebra *v = &g->w->out->items[g->vertebra];
    double q[3];
    local_of(v, p, q);
    return q[2] / v->pitch_mm - band_middle(v->level, fabs(q[0]), q[1] - g->wall);
}

static double path_factor(const grower *g, const sp_point *p)
{
    return 1 + BAND_COST * fmax(fabs(band_height(g, p)) - HALF, 0);
}

static void seed_at(grower *g, int32_t i, double cost)
{
    if (g->stamp[i] == g->vertebra && (double)g->cost[i] <= cost) return;
    g->stamp[i] = g->vertebra;
    g->cost[i] = (float)cost;
    heap_push(g, (float)cost, i);
}

/* Arch voxels beside this vertebra's body, at the height of its pedicles. */
static void seed(grower *g)
{
    const sp_work *w = g->w;
    const fab_spine_vertebra *v = &w->out->items[g->vertebra];
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        double q[3];
        if (p->role != SP_BODY || p->part != g->vertebra + 1) continue;
        local_of(v, p, q);
        if (q[2] < -0.18 * v->pitch_mm || q[2] > 0.55 * v->pitch_mm || q[1] < 0) continue;
        for (int k = 0; k < 27; k++) {
            const int32_t n = sp_neighbour(w, p, k % 3 - 1, k / 3 % 3 - 1, k / 9 - 1);
            if (n >= 0 && w->points[n].role == SP_ARCH) seed_at(g, n, (double)g->step_mm[k]);
        }
    }
}

static void visit(grower *g, heap_item item)
{
    sp_work *w = g->w;
    const sp_point *p = &w->points[item.point];
    for (int k = 0; k < 27; k++) {
        const int32_t n = sp_neighbour(w, p, k % 3 - 1, k / 3 % 3 - 1, k / 9 - 1);
        if (n < 0 || w->points[n].role != SP_ARCH) continue;
        const double cost =
            (double)item.cost + (double)g->step_mm[k] * path_factor(g, &w->points[n]);
        if (cost > 200) continue;
        seed_at(g, n, cost);
    }
}

static void grow(grower *g)
{
    g->size = 0;
    seed(g);
    while (g->size > 0) {
        const heap_item item = heap_pop(g);
        if (item.cost > g->cost[item.point]) continue;
        sp_point *p = &g->w->points[item.point];
        const double h = band_height(g, p);
        const float total = item.cost + (float)(PLACE_COST * h * h);
        if (total < g->best[item.point]) {
            g->best[item.point] = total;
            p->part = (uint8_t)(g->vertebra + 1);
        }
        visit(g, item);
    }
}

/* Distance from centre to the back wall of the body: the 90th percentile of its depth. */
static double wall_of(const sp_work *w, int k)
{
    const fab_spine_vertebra *v = &w->out->items[k];
    int64_t bins[64] = {0}, n = 0, sum = 0;
    for (int32_t i = 0; i < w->count; i++) {
        double q[3];
        if (w->points[i].role != SP_BODY || w->points[i].part != k + 1) continue;
        local_of(v, &w->points[i], q);
        bins[(int)sp_clamp(q[1] + 32, 0, 63)]++;
        n++;
    }
    if (n == 0) return 0.4 * v->width_mm;
    int b = 63;
    for (; b > 0 && sum + bins[b] < n / 10; b--) sum += bins[b];
    return b - 32;
}

/* What no pedicle reaches (a tip broken off, an arch whose body was not seen) goes to the band it
 * lies in. */
static void assign_rest(grower *g)
{
    sp_work *w = g->w;
    for (int32_t i = 0; i < w->count; i++) {
        sp_point *p = &w->points[i];
        double best = 1.0;
        if (p->role != SP_ARCH || p->part != 0 || (double)p->off > 75) continue;
        for (int k = 0; k < w->out->count; k++) {
            g->vertebra = k;
            g->wall = 0.4 * w->out->items[k].width_mm;
            const double h = fabs(band_height(g, p));
            if (h < best) best = h, p->part = (uint8_t)(k + 1);
        }
    }
}

static void set_steps(grower *g)
{
    const fab_mat34 *m = &g->w->grid.world_from_voxel;
    for (int k = 0; k < 27; k++) {
        double v[3] = {k % 3 - 1, k / 3 % 3 - 1, k / 9 - 1};
        fab_mat34_apply_vector(m, v, v);
        g->step_mm[k] = (float)sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    }
}

fab_status fab_spine_arches(sp_work *w, fab_error *err)
{
    grower g = {.w = w};
    int64_t arch = 0;
    for (int32_t i = 0; i < w->count; i++) {
        if (w->points[i].role != SP_ARCH) continue;
        w->points[i].part = 0;
        arch++;
    }
    for (int k = 0; k < w->out->count; k++) w->out->items[k].arch_voxels = 0;
    g.capacity = (int32_t)(arch * 27 + 27 < INT32_MAX ? arch * 27 + 27 : INT32_MAX);
    FAB_AUTO_FREE float *best = fab_alloc_array((size_t)w->count + 1, sizeof *best);
    FAB_AUTO_FREE float *cost = fab_alloc_array((size_t)w->count + 1, sizeof *cost);
    FAB_AUTO_FREE int32_t *stamp = fab_alloc_array((size_t)w->count + 1, sizeof *stamp);
    FAB_AUTO_FREE heap_item *heap = fab_alloc_array((size_t)g.capacity, sizeof *heap);
    if (!best || !cost || !stamp || !heap) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for arches");
    g.best = best, g.cost = cost, g.stamp = stamp, g.heap = heap;
    for (int32_t i = 0; i < w->count; i++) best[i] = 1e30f, stamp[i] = -1;
    set_steps(&g);
    for (int k = 0; k < w->out->count; k++) {
        g.vertebra = k;
        g.wall = wall_of(w, k);
        grow(&g);
    }
    assign_rest(&g);
    for (int32_t i = 0; i < w->count; i++)
        if (w->points[i].role == SP_ARCH && w->points[i].part)
            w->out->items[w->points[i].part - 1].arch_voxels++;
    return FAB_OK;
}
