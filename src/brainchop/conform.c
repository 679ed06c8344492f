/* conform.c - a T1 on FreeSurfer's conformed grid, values 0 to 255.
 *
 *     centre: voxel (n/2, n/2, n/2) lies where the image's voxel (size/2) does
 *     axes:   x to the left, y down, z to the front; 1 mm
 *     values: from the smallest to about the 98 % quantile of what is not 0, by a histogram of
 *             1000 bins, then trilinear, then rounded
 *
 * Arithmetic as stated by FastSurfer (Henschel et al. 2020) and by niimath, which brainchop runs:
 * f_low = 0, f_high = 0.98. An image that is conformed already keeps its values.
 */
#include <math.h>
#include <string.h>

#include "brainchop_internal.h"

enum { BINS = 1000 };
#define HIGH_SHARE 0.98
#define EDGE 1e-4 /* voxels by which a position may miss the image through rounding */

/* Conformed axes in LPS: x to L, y to I, z to A. */
static const double axes[3][3] = {{1, 0, 0}, {0, 0, -1}, {0, -1, 0}};

fab_status fab_brainchop_grid(const fab_grid *image, fab_grid *out, fab_error *err)
{
    double spacing[3], middle[3], most = 0;
    fab_grid g = {0};
    fab_grid_spacing(image, spacing);
    for (int a = 0; a < 3; a++) {
        most = fmax(most, spacing[a] * image->size[a]);
        middle[a] = image->size[a] / 2.0;
    }
    if (most > FAB_BRAINCHOP_MAX_SIZE + 0.5)
        FAB_FAIL(err, FAB_ERR_LIMIT, "the image spans %.0f x %.0f x %.0f mm; a network for the "
                 "brain looks at %d mm at most: crop the image to the head",
                 spacing[0] * image->size[0], spacing[1] * image->size[1],
                 spacing[2] * image->size[2], FAB_BRAINCHOP_MAX_SIZE);
    const int n = most > FAB_BRAINCHOP_SIZE + 0.5 ? (int)ceil(most - 0.5) : FAB_BRAINCHOP_SIZE;
    fab_mat34_apply(&image->world_from_voxel, middle, middle);
    for (int a = 0; a < 3; a++) {
        g.size[a] = n;
        for (int r = 0; r < 3; r++) g.world_from_voxel.m[r][a] = axes[2 - a][r];
    }
    for (int r = 0; r < 3; r++) {
        double offset = 0;
        for (int a = 0; a < 3; a++) offset += axes[a][r] * n / 2.0;
        g.world_from_voxel.m[r][3] = middle[r] - offset;
    }
    *out = g;
    return FAB_OK;
}

/* ---- values ------------------------------------------------------------------------------ */

static double value_at(const fab_volume *v, int64_t index)
{
    const double value = fab_volume_at(v, index);
    return isfinite(value) ? value : 0;
}

static bool is_conformed(const fab_volume *image, const fab_grid *grid)
{
    const fab_grid *g = fab_volume_grid(image);
    if (fab_volume_dtype(image) != FAB_U8) return false;
    for (int a = 0; a < 3; a++) {
        if (g->size[a] != FAB_BRAINCHOP_SIZE) return false;
        for (int r = 0; r < 3; r++)
            if (fabs(g->world_from_voxel.m[r][a] - grid->world_from_voxel.m[r][2 - a]) > 1e-3)
                return false;
    }
    return true;
}

static void count_values(const fab_volume *image, double low, double bin, int64_t counts[BINS],
                         int64_t *not_zero)
{
    const int64_t n = fab_grid_voxels(fab_volume_grid(image));
    *not_zero = 0;
    memset(counts, 0, BINS * sizeof *counts);
    for (int64_t i = 0; i < n; i++) {
        const double v = value_at(image, i), at = (v - low) / bin;
        counts[at < BINS - 1 ? (int)at : BINS - 1]++;
        *not_zero += fabs(v) >= 1e-15;
    }
}

/* The upper end is the bin before the one that holds the last but 2 % of the values that are not
 * zero, as the published code has it. */
static fab_status find_range(const fab_volume *image, fab_brainchop_range *out, fab_error *err)
{
    int64_t counts[BINS], not_zero, sum = 0;
    double low = INFINITY, high = -INFINITY;
    const int64_t n = fab_grid_voxels(fab_volume_grid(image));
    for (int64_t i = 0; i < n; i++) {
        const double v = value_at(image, i);
        low = fmin(low, v);
        high = fmax(high, v);
    }
    if (!(high > low))
        FAB_FAIL(err, FAB_ERR_FORMAT, "every voxel of the image is %g: there is no head in it",
                 low);
    const double bin = (high - low) / BINS;
    count_values(image, low, bin, counts, &not_zero);
    const int64_t wanted = n - (int64_t)((1.0 - HIGH_SHARE) * (double)not_zero);
    int at = 0;
    for (sum = counts[0]; at + 1 < BINS; at++) {
        sum += counts[at + 1];
        if (sum >= wanted) break;
    }
    const double top = at * bin;
    *out = (fab_brainchop_range){low, top > 0 ? 255.0 / top : 1.0, false};
    return FAB_OK;
}

/* ---- resampling -------------------------------------------------------------------------- */

typedef struct conform_job {
    const fab_volume *image;
    const fab_grid *from, *to;
    fab_mat34 from_to; /* image voxel from conformed voxel */
    fab_brainchop_range range;
    float *out;
} conform_job;

static double scaled(const conform_job *job, int64_t index)
{
    const double v = value_at(job->image, index);
    if (job->range.as_is) return v;
    return fmin(fmax(job->range.scale * (v - job->range.low), 0), 255);
}

static double sample(const conform_job *job, const double at[3])
{
    const int32_t *n = job->from->size;
    int64_t low[3], step[3];
    double w[3], sum = 0;
    for (int a = 0; a < 3; a++) {
        if (!(at[a] >= -EDGE && at[a] <= n[a] - 1 + EDGE)) return 0;
        const double x = fmin(fmax(at[a], 0), n[a] - 1);
        low[a] = (int64_t)x;
        w[a] = x - (double)low[a];
        step[a] = low[a] + 1 < n[a];
    }
    for (int corner = 0; corner < 8; corner++) {
        double share = 1;
        int64_t p[3];
        for (int a = 0; a < 3; a++) {
            const int up = corner >> a & 1;
            share *= up ? w[a] : 1 - w[a];
            p[a] = low[a] + (up ? step[a] : 0);
        }
        if (share > 0) sum += share * scaled(job, p[0] + n[0] * (p[1] + n[1] * p[2]));
    }
    return sum;
}

static void conform_row(void *ctx, int64_t index, int worker)
{
    const conform_job *job = ctx;
    const int32_t *n = job->to->size;
    float *row = job->out + index * n[0];
    (void)worker;
    for (int i = 0; i < n[0]; i++) {
        double at[3] = {i, (double)(index % n[1]), (double)(index / n[1])};
        fab_mat34_apply(&job->from_to, at, at);
        row[i] = (float)nearbyint(sample(job, at));
    }
}

fab_status fab_brainchop_conform(const fab_volume *image, const fab_grid *grid,
                                 fab_brainchop_range *range, fab_volume **out, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    conform_job job = {.image = image, .from = fab_volume_grid(image), .to = grid,
                       .range = {0, 1, true}};
    if (!is_conformed(image, grid)) FAB_TRY(find_range(image, &job.range, err));
    FAB_TRY(fab_mat34_invert(&job.from->world_from_voxel, &job.from_to, err));
    job.from_to = fab_mat34_multiply(&job.from_to, &grid->world_from_voxel);
    FAB_TRY(fab_volume_create(grid, FAB_F32, &v, err));
    job.out = fab_volume_data_mut(v);
    fab_parallel_for((int64_t)grid->size[1] * grid->size[2], conform_row, &job);
    *range = job.range;
    *out = v;
    v = NULL;
    return FAB_OK;
}

static int value_of_rank(const int64_t histogram[256], int64_t rank)
{
    int value = 0;
    for (int64_t sum = histogram[0]; value < 255 && sum <= rank; sum += histogram[value]) value++;
    return value;
}

double fab_brainchop_quantile(const int64_t histogram[256], double q)
{
    int64_t n = 0;
    for (int v = 0; v < 256; v++) n += histogram[v];
    const double at = q * (double)(n - 1);
    const int64_t below = (int64_t)at;
    const int a = value_of_rank(histogram, below);
    const int b = value_of_rank(histogram, below + 1 < n ? below + 1 : below);
    return a + (b - a) * (at - (double)below);
}
