/* look.c - what a first look at the whole image says about the second: the box around some of its
 * labels, and which voxels lie near some; and labels of a box put back where it was. */
#include "look.h"

#include <string.h>

static int label_at(const fab_volume *v, int64_t i)
{
    return fab_volume_dtype(v) == FAB_U16 ? ((const uint16_t *)fab_volume_data(v))[i]
                                          : ((const uint8_t *)fab_volume_data(v))[i];
}

static bool is_member(const fab_volume *labels, const bool *member, int64_t i)
{
    const int label = label_at(labels, i);
    if (!member) return label != 0;
    return label <= FAB_MAX_STRUCTURES && member[label];
}

static void widen(int32_t low[3], int32_t high[3], const int32_t place[3])
{
    for (int a = 0; a < 3; a++) {
        low[a] = place[a] < low[a] ? place[a] : low[a];
        high[a] = place[a] > high[a] ? place[a] : high[a];
    }
}

/* TotalSegmentator divides by the spacing as a NIfTI header holds it, in single precision: of
 * 0.8 mm 20 mm are 24 voxels, not 25. (Floats, and not doubles rounded to floats in place: of those
 * gcc 12 at -O3 forgot the first two.) */
static void nifti_spacing(const fab_grid *g, float mm[3])
{
    double exact[3];
    fab_grid_spacing(g, exact);
    for (int a = 0; a < 3; a++) mm[a] = (float)exact[a];
}

bool fab_totalseg_box(const fab_volume *labels, const bool *member, double addon_mm,
                      int32_t low[3], int32_t size[3])
{
    const fab_grid *g = fab_volume_grid(labels);
    int32_t high[3] = {-1, -1, -1}, place[3];
    int64_t at = 0;
    float mm[3];
    nifti_spacing(g, mm);
    memcpy(low, g->size, sizeof g->size);
    for (place[2] = 0; place[2] < g->size[2]; place[2]++)
        for (place[1] = 0; place[1] < g->size[1]; place[1]++)
            for (place[0] = 0; place[0] < g->size[0]; place[0]++, at++)
                if (is_member(labels, member, at)) widen(low, high, place);
    if (high[0] < 0) return false;
    for (int a = 0; a < 3; a++) {
        const double voxels = addon_mm / (double)mm[a]; /* may be more than there are */
        const int32_t margin = voxels < g->size[a] ? (int32_t)voxels : g->size[a];
        low[a] = low[a] > margin ? low[a] - margin : 0;
        const int32_t room = g->size[a] - 1 - high[a];
        size[a] = high[a] + (margin < room ? margin : room) + 1 - low[a];
    }
    return true;
}

fab_status fab_totalseg_paste(const fab_volume *part, const int32_t low[3], const fab_grid *grid,
                              fab_volume **out, fab_error *err)
{
    const int32_t *n = fab_volume_grid(part)->size;
    const size_t bytes = fab_dtype_bytes(fab_volume_dtype(part));
    FAB_AUTO(fab_volume_unref) fab_volume *whole = NULL;
    FAB_TRY(fab_volume_create(grid, fab_volume_dtype(part), &whole, err));
    uint8_t *to = fab_volume_data_mut(whole);
    const uint8_t *from = fab_volume_data(part);
    memset(to, 0, fab_volume_bytes(whole));
    for (ptrdiff_t k = 0; k < n[2]; k++)
        for (ptrdiff_t j = 0; j < n[1]; j++) {
            const ptrdiff_t row =
                low[0] + grid->size[0] * (low[1] + j + (ptrdiff_t)grid->size[1] * (low[2] + k));
            memcpy(to + row * (ptrdiff_t)bytes, from, (size_t)n[0] * bytes);
            from += (size_t)n[0] * bytes;
        }
    *out = whole;
    whole = NULL;
    return FAB_OK;
}

/* ---- near some labels --------------------------------------------------------------------- */

/* n values, one every `stride` bytes: one more than the one before, if that is less. */
static void grow(uint8_t *at, int64_t n, int64_t stride, int64_t width)
{
    for (int64_t i = 1; i < n; i++)
        for (int64_t x = 0; x < width; x++) {
            uint8_t *to = at + i * stride + x;
            const int other = to[-stride] + 1;
            if (other < *to) *to = (uint8_t)other;
        }
    for (int64_t i = n - 1; i > 0; i--)
        for (int64_t x = 0; x < width; x++) {
            uint8_t *to = at + (i - 1) * stride + x;
            const int other = to[stride] + 1;
            if (other < *to) *to = (uint8_t)other;
        }
}

int fab_totalseg_reach_voxels(const fab_grid *grid, double mm)
{
    float spacing[3];
    nifti_spacing(grid, spacing);
    const float mean = (spacing[0] + spacing[1] + spacing[2]) / 3;
    const double voxels = mm / (double)mean;
    return voxels < 254 ? (int)voxels : 254;
}

/* Steps from voxel to voxel through faces: each axis by itself, forth and back. */
fab_status fab_totalseg_steps(const fab_volume *labels, const bool *member, int most,
                              fab_volume **out, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(labels);
    const int64_t x = g->size[0], plane = x * g->size[1], n = fab_grid_voxels(g);
    FAB_AUTO(fab_volume_unref) fab_volume *steps = NULL;
    FAB_TRY(fab_volume_create(g, FAB_U8, &steps, err));
    uint8_t *at = fab_volume_data_mut(steps);
    for (int64_t i = 0; i < n; i++) at[i] = is_member(labels, member, i) ? 0 : (uint8_t)(most + 1);
    for (int64_t row = 0; row < n; row += x) grow(at + row, x, 1, 1);
    for (int64_t k = 0; k < n; k += plane) grow(at + k, g->size[1], x, x);
    grow(at, g->size[2], plane, plane);
    *out = steps;
    steps = NULL;
    return FAB_OK;
}

int64_t fab_totalseg_keep_near(fab_volume *labels, const fab_volume *steps, int most)
{
    const int64_t n = fab_grid_voxels(fab_volume_grid(labels));
    const uint8_t *at = fab_volume_data(steps);
    const bool wide = fab_volume_dtype(labels) == FAB_U16;
    void *data = fab_volume_data_mut(labels);
    int64_t removed = 0;
    for (int64_t i = 0; i < n; i++) {
        if (at[i] <= most || label_at(labels, i) == 0) continue;
        if (wide) ((uint16_t *)data)[i] = 0;
        else ((uint8_t *)data)[i] = 0;
        removed++;
    }
    return removed;
}
