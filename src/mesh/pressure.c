/* pressure.c - the table of borders and the solver for pressures. */
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
                           fab_error *err)
{
    if (!(area > 0)) return FAB_OK;
    if (t->used * 2 >= t->capacity) FAB_TRY(grow_borders(t, err));
    uint32_t a = low < high ? low : high, b = low < high ? high : low;
    fab_border *slot = find_border(t, a, b);
    if (slot->area > 0) {
        slot->area += area;
        return FAB_OK;
    }
    *slot = (fab_border){a, b, area};
    t->used++;
    return FAB_OK;
}

void fab_borders_free(fab_borders *t)
{
    fab_free(t->slot);
    memset(t, 0, sizeof *t);
}

/* The tiny diagonal settles structures that touch nothing that could move. */
static void laplacian(const fab_borders *t, size_t n, const double *x, double *out)
{
    for (size_t s = 0; s < n; s++) out[s] = 1e-9 * x[s];
    for (size_t i = 0; i < t->capacity; i++) {
        const fab_border *b = &t->slot[i];
        if (!(b->area > 0)) continue;
        double flow = b->area * (x[b->a] - (b->b == FAB_BACKGROUND ? 0 : x[b->b]));
        out[b->a] += flow;
        if (b->b != FAB_BACKGROUND) out[b->b] -= flow;
    }
}

static double inner(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

void fab_borders_solve(const fab_borders *t, size_t n, const double *wanted, double *pressure,
                       double *work)
{
    double *residual = work, *step = work + n, *image = work + 2 * n;
    for (size_t s = 0; s < n; s++) {
        pressure[s] = 0;
        step[s] = residual[s] = wanted[s];
    }
    double now = inner(residual, residual, n), first = now;
    for (int it = 0; it < 500 && now > 1e-12 * first && now > 0; it++) {
        laplacian(t, n, step, image);
        double curve = inner(step, image, n);
        if (!(curve > 0)) break;
        double length = now / curve, before = now;
        for (size_t s = 0; s < n; s++) {
            pressure[s] += length * step[s];
            residual[s] -= length * image[s];
        }
        now = inner(residual, residual, n);
        for (size_t s = 0; s < n; s++) step[s] = residual[s] + now / before * step[s];
    }
}
