/* pressure.c - the table of borders and the solver for pressures. */
#include <math.h>
#include <string.h>

#include "pressure.h"

static fab_border *find_border(const fab_borders *t, uint32_t a, uint32_t b)
{
    uint64_t key = ((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(key >> 32) & (t->capacity - 1);
    while (t->slot[i].area > 0 && (t->slot[i].a != a || t->slot[i].b != b))
        i = (i + 1) & (t->capacity - 1);
    return &t->slot[i];
}

static fab_status grow_borders(fab_borders *t, fab_error *err)
{
    fab_borders bigger = {.capacity = t->capacity ? t->capacity * 2 : 256, .used = t->used};
    bigger.slot = fab_calloc(bigger.capacity, sizeof *bigger.slot);
    if (!bigger.slot) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the table of borders");
    for (size_t i = 0; i < t->capacity; i++)
        if (t->slot[i].area > 0)
            *find_border(&bigger, t->slot[i].a, t->slot[i].b) = t->slot[i];
    fab_free(t->slot);
    *t = bigger;
    return FAB_OK;
}

fab_status fab_borders_add(fab_borders *t, uint32_t low, uint32_t high, double area,
                           const double at[3], fab_error *err)
{
    if (!(area > 0)) return FAB_OK;
    if (t->used * 2 >= t->capacity) FAB_TRY(grow_borders(t, err));
    uint32_t a = low < high ? low : high, b = low < high ? high : low;
    fab_border *slot = find_border(t, a, b);
    if (!(slot->area > 0)) {
        slot->a = a;
        slot->b = b;
        t->used++;
    }
    slot->area += area;
    for (int x = 0; x < 3; x++) {
        slot->moment[x] += area * at[x];
        slot->second[x] += area * at[x] * at[x];
    }
    for (int i = 0; i < 3; i++) slot->second[3 + i] += area * at[i / 2] * at[1 + (i + 1) / 2];
    return FAB_OK;
}

void fab_borders_free(fab_borders *t)
{
    fab_free(t->slot);
    memset(t, 0, sizeof *t);
}

/* ---- the system ---- */

typedef struct solving {
    const fab_borders *borders;
    size_t n;
    double (*middle)[3];       /* centroid of a structure's borders */
    fab_homogeneous *diagonal; /* with the damping in it */
    fab_homogeneous *damping;
    fab_homogeneous *residual, *scaled, *step, *image;
} solving;

/* out += the border's integral of (value, value * x) for value = q0 + q . x. */
static void integrate(const fab_border *b, const fab_homogeneous q, fab_homogeneous out)
{
    const double *m = b->moment, *s = b->second;
    out[0] += q[0] * b->area + q[1] * m[0] + q[2] * m[1] + q[3] * m[2];
    out[1] += q[0] * m[0] + q[1] * s[0] + q[2] * s[3] + q[3] * s[4];
    out[2] += q[0] * m[1] + q[1] * s[3] + q[2] * s[1] + q[3] * s[5];
    out[3] += q[0] * m[2] + q[1] * s[4] + q[2] * s[5] + q[3] * s[2];
}

/* A structure's unknowns, around its middle, as a function of place; and that map transposed. */
static void to_place(const double middle[3], const fab_homogeneous p, fab_homogeneous q)
{
    q[0] = p[0] - p[1] * middle[0] - p[2] * middle[1] - p[3] * middle[2];
    for (int x = 1; x < 4; x++) q[x] = p[x];
}

static void about_middle(const double middle[3], const fab_homogeneous m, fab_homogeneous out)
{
    out[0] = m[0];
    for (int x = 0; x < 3; x++) out[1 + x] = m[1 + x] - middle[x] * m[0];
}

static void multiply(const solving *s, fab_homogeneous *p, fab_homogeneous *out)
{
    for (size_t i = 0; i < s->n; i++)
        for (int x = 0; x < 4; x++) out[i][x] = s->damping[i][x] * p[i][x];
    for (size_t i = 0; i < s->borders->capacity; i++) {
        const fab_border *b = &s->borders->slot[i];
        fab_homogeneous rise, other, flow = {0, 0, 0, 0}, part;
        if (!(b->area > 0)) continue;
        to_place(s->middle[b->a], p[b->a], rise);
        if (b->b != FAB_BACKGROUND) {
            to_place(s->middle[b->b], p[b->b], other);
            for (int x = 0; x < 4; x++) rise[x] -= other[x];
        }
        integrate(b, rise, flow);
        about_middle(s->middle[b->a], flow, part);
        for (int x = 0; x < 4; x++) out[b->a][x] += part[x];
        if (b->b == FAB_BACKGROUND) continue;
        about_middle(s->middle[b->b], flow, part);
        for (int x = 0; x < 4; x++) out[b->b][x] -= part[x];
    }
}

static void add_to_diagonal(solving *s, uint32_t body, const fab_border *b)
{
    const double *m = s->middle[body];
    s->diagonal[body][0] += b->area;
    for (int x = 0; x < 3; x++)
        s->diagonal[body][1 + x] += b->second[x] - 2 * m[x] * b->moment[x] + m[x] * m[x] * b->area;
}

static void add_to_middle(solving *s, uint32_t body, const fab_border *b)
{
    s->diagonal[body][0] += b->area;
    for (int x = 0; x < 3; x++) s->middle[body][x] += b->moment[x];
}

static void add_borders(solving *s, void (*add)(solving *s, uint32_t body, const fab_border *b))
{
    for (size_t i = 0; i < s->borders->capacity; i++) {
        const fab_border *b = &s->borders->slot[i];
        if (!(b->area > 0)) continue;
        add(s, b->a, b);
        if (b->b != FAB_BACKGROUND) add(s, b->b, b);
    }
}

/* Middles, damping and diagonal. A structure that touches nothing that could move keeps 0. */
static void prepare(solving *s, double resolution)
{
    add_borders(s, add_to_middle);
    for (size_t i = 0; i < s->n; i++) {
        double area = s->diagonal[i][0] > 0 ? s->diagonal[i][0] : 1;
        for (int x = 0; x < 3; x++) s->middle[i][x] /= area;
        for (int x = 0; x < 4; x++)
            s->damping[i][x] = area * (x ? 0.02 * resolution * resolution : 1e-9);
        memcpy(s->diagonal[i], s->damping[i], sizeof s->damping[i]);
    }
    add_borders(s, add_to_diagonal);
}

static double inner(fab_homogeneous *a, fab_homogeneous *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        for (int x = 0; x < 4; x++) sum += a[i][x] * b[i][x];
    return sum;
}

/* Conjugate gradients, preconditioned by the diagonal; residual holds what is wanted. */
static void descend(solving *s, fab_homogeneous *p)
{
    size_t n = s->n;
    double now = 0, first = 0;
    for (int it = 0; it < 1000; it++) {
        for (size_t i = 0; i < n; i++)
            for (int x = 0; x < 4; x++)
                s->scaled[i][x] = s->residual[i][x] / s->diagonal[i][x];
        double before = now;
        now = inner(s->residual, s->scaled, n);
        if (it == 0) first = now;
        if (!(now > 1e-12 * first)) break;
        for (size_t i = 0; i < n; i++)
            for (int x = 0; x < 4; x++)
                s->step[i][x] = s->scaled[i][x] + (it ? now / before * s->step[i][x] : 0);
        multiply(s, s->step, s->image);
        double curve = inner(s->step, s->image, n), length = now / curve;
        if (!(curve > 0)) break;
        for (size_t i = 0; i < n; i++)
            for (int x = 0; x < 4; x++) {
                p[i][x] += length * s->step[i][x];
                s->residual[i][x] -= length * s->image[i][x];
            }
    }
}

fab_status fab_borders_solve(const fab_borders *t, size_t n, fab_homogeneous *wanted,
                             double resolution, fab_homogeneous *pressure, fab_error *err)
{
    FAB_AUTO_FREE fab_homogeneous *block = fab_calloc(n * 7 + 1, sizeof *block);
    FAB_AUTO_FREE double(*middle)[3] = fab_calloc(n + 1, sizeof *middle);
    if (!block || !middle) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu pressures", n);
    solving s = {.borders = t, .n = n, .middle = middle, .diagonal = block, .damping = block + n,
                 .residual = block + 2 * n, .scaled = block + 3 * n, .step = block + 4 * n,
                 .image = block + 5 * n};
    fab_homogeneous *p = block + 6 * n;
    prepare(&s, resolution);
    for (size_t i = 0; i < n; i++) about_middle(middle[i], wanted[i], s.residual[i]);
    descend(&s, p);
    for (size_t i = 0; i < n; i++) to_place(middle[i], p[i], pressure[i]);
    return FAB_OK;
}

double fab_centroids_apart(const fab_homogeneous a, const fab_homogeneous b, const double unit[3])
{
    double sum = 0;
    if (a[0] == 0 || b[0] == 0) return 0;
    for (int x = 1; x < 4; x++) sum += pow((a[x] / a[0] - b[x] / b[0]) / unit[x - 1], 2);
    return sqrt(sum);
}
