/* axis.c - one-dimensional resampling weights, and views of a volume in LPS order.
 *
 * "fabrica-gauss-linear-1": target voxel centres lie where both grids share their centre, clamped
 * to the source's first and last centre; linear interpolation; when the target is coarser, the
 * source is first smoothed with a Gaussian of sigma = 0.4 sqrt(r^2 - 1) source voxels (r = target
 * / source spacing), cut at ceil(3 sigma) voxels, normalised, edges repeated.
 */
#include <math.h>
#include <string.h>

#include "segment_internal.h"

fab_view fab_view_of(const fab_grid *g)
{
    fab_view v = {0};
    int axis_of[3];
    bool flip[3];
    double spacing[3];
    v.grid = fab_grid_canonical(g, axis_of, flip);
    fab_grid_spacing(&v.grid, spacing);
    const int64_t stride[3] = {1, g->size[0], (int64_t)g->size[0] * g->size[1]};
    for (int w = 0; w < 3; w++) {
        const int a = axis_of[w];
        v.size[2 - w] = v.grid.size[w];
        v.spacing_mm[2 - w] = spacing[w];
        v.step[2 - w] = flip[w] ? -stride[a] : stride[a];
        if (flip[w]) v.start += (g->size[a] - 1) * stride[a];
    }
    return v;
}

void fab_axis_free(fab_axis *a)
{
    fab_free(a->first);
    fab_free(a->weight);
    memset(a, 0, sizeof *a);
}

/* Lowest source voxel and weights of a target at `position`, before smoothing. */
static int linear_at(double position, int source_size, double weight[2])
{
    const double last = source_size - 1;
    const double p = position < 0 ? 0 : position > last ? last : position;
    int first = (int)floor(p);
    if (first > source_size - 2) first = source_size > 1 ? source_size - 2 : 0;
    weight[1] = p - first;
    weight[0] = 1 - weight[1];
    return first;
}

/* Adds weight w of (possibly outside) source voxel `at` to a target's row. */
static void add_clamped(fab_axis *a, int target, int source_size, int at, double w)
{
    const int inside = at < 0 ? 0 : at >= source_size ? source_size - 1 : at;
    a->weight[(ptrdiff_t)target * a->taps + inside - a->first[target]] += (float)w;
}

static double gaussian_sum(double sigma, int radius)
{
    double sum = 0;
    for (int k = -radius; k <= radius; k++) sum += exp(-0.5 * (k / sigma) * (k / sigma));
    return sum;
}

fab_status fab_axis_make(int source_size, double source_mm, int size, double mm, bool smooth,
                         fab_axis *out, fab_error *err)
{
    const double ratio = mm / source_mm;
    const bool wide = smooth && ratio > 1;
    const double sigma = wide ? 0.4 * sqrt(ratio * ratio - 1) : 0;
    const int radius = (int)ceil(3 * sigma);
    fab_axis a = {.count = size, .taps = 2 * radius + 2};
    if (a.taps > source_size) a.taps = source_size;
    a.first = fab_alloc_array((size_t)size, sizeof *a.first);
    a.weight = fab_calloc((size_t)size * (size_t)a.taps, sizeof *a.weight);
    if (!a.first || !a.weight) {
        fab_axis_free(&a);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for resampling weights");
    }
    const double norm = wide ? gaussian_sum(sigma, radius) : 1;
    for (int i = 0; i < size; i++) {
        double w[2];
        const double position = (i - (size - 1) / 2.0) * ratio + (source_size - 1) / 2.0;
        const int at = linear_at(position, source_size, w), most = source_size - a.taps;
        a.first[i] = at - radius < 0 ? 0 : at - radius > most ? most : at - radius;
        for (int side = 0; side < 2; side++)
            for (int k = -radius; k <= radius; k++) {
                const double g = wide ? exp(-0.5 * (k / sigma) * (k / sigma)) / norm : 1;
                add_clamped(&a, i, source_size, at + side + k, w[side] * g);
            }
    }
    *out = a;
    return FAB_OK;
}
