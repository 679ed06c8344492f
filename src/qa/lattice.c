/* lattice.c - every n-th voxel of a volume along its axes put in order L, P, S: coarse enough to be
 * quick, with nothing interpolated, so that a value is one that was measured. */
#include "qa_internal.h"

#include <math.h>

static int stride_for(double spacing_mm, double wanted_mm, int size)
{
    int stride = (int)lround(wanted_mm / spacing_mm);
    if (stride < 1) stride = 1;
    if (stride > size) stride = size;
    return stride;
}

void fab_lattice_plan(const fab_grid *g, const double wanted_mm[3], fab_lattice *out)
{
    double spacing[3];
    const fab_grid c = fab_grid_canonical(g, out->axis, out->flip);
    fab_grid_spacing(&c, spacing);
    out->from = *g;
    out->grid = c;
    for (int a = 0; a < 3; a++) {
        out->stride[a] = stride_for(spacing[a], wanted_mm[a], c.size[a]);
        out->n[a] = (c.size[a] - 1) / out->stride[a] + 1;
        out->first[a] = (c.size[a] - 1 - (out->n[a] - 1) * out->stride[a]) / 2;
        out->step_mm[a] = spacing[a] * out->stride[a];
        out->grid.size[a] = out->n[a];
    }
    for (int r = 0; r < 3; r++) {
        double *row = out->grid.world_from_voxel.m[r];
        for (int a = 0; a < 3; a++) {
            row[3] += row[a] * out->first[a];
            row[a] *= out->stride[a];
        }
    }
}

int64_t fab_lattice_source(const fab_lattice *l, int i, int j, int k)
{
    const int at[3] = {i, j, k};
    int64_t index[3];
    for (int a = 0; a < 3; a++) {
        const int64_t v = l->first[a] + (int64_t)at[a] * l->stride[a];
        index[l->axis[a]] = l->flip[a] ? l->from.size[l->axis[a]] - 1 - v : v;
    }
    return index[0] + l->from.size[0] * (index[1] + l->from.size[1] * index[2]);
}

static int16_t clamped(double v)
{
    if (!(v > INT16_MIN)) return INT16_MIN; /* NaN too */
    return v < INT16_MAX ? (int16_t)lround(v) : INT16_MAX;
}

/* Places of a row are the same way apart. */
static int64_t step_of(const fab_lattice *l)
{
    return l->n[0] > 1 ? fab_lattice_source(l, 1, 0, 0) - fab_lattice_source(l, 0, 0, 0) : 0;
}

void fab_lattice_values(const fab_lattice *l, const fab_volume *v, int16_t *out)
{
    const int64_t step = step_of(l);
    const int16_t *shorts = fab_volume_dtype(v) == FAB_I16 ? fab_volume_data(v) : NULL;
    for (int64_t row = 0; row < (int64_t)l->n[1] * l->n[2]; row++) {
        int64_t at = fab_lattice_source(l, 0, (int)(row % l->n[1]), (int)(row / l->n[1]));
        for (int i = 0; i < l->n[0]; i++, at += step)
            *out++ = shorts ? shorts[at] : clamped(fab_volume_at(v, at));
    }
}

void fab_lattice_rows(const fab_lattice *l, const fab_volume *labels, const uint16_t *row_of,
                      size_t values, uint16_t *out)
{
    const int64_t step = step_of(l);
    const uint8_t *bytes = fab_volume_dtype(labels) == FAB_U8 ? fab_volume_data(labels) : NULL;
    for (int64_t row = 0; row < (int64_t)l->n[1] * l->n[2]; row++) {
        int64_t at = fab_lattice_source(l, 0, (int)(row % l->n[1]), (int)(row / l->n[1]));
        for (int i = 0; i < l->n[0]; i++, at += step) {
            const size_t v = bytes ? bytes[at] : (size_t)fab_volume_at(labels, at);
            *out++ = v < values ? row_of[v] : 0;
        }
    }
}

void fab_lattice_boxes(const fab_lattice *l, const uint16_t *row, size_t count,
                       fab_lattice_box *out)
{
    for (size_t s = 0; s < count; s++)
        out[s] = (fab_lattice_box){{l->n[0], l->n[1], l->n[2]}, {-1, -1, -1}};
    for (int k = 0; k < l->n[2]; k++)
        for (int j = 0; j < l->n[1]; j++, row += l->n[0])
            for (int i = 0, end; i < l->n[0]; i = end) {
                for (end = i + 1; end < l->n[0] && row[end] == row[i];) end++;
                if (!row[i] || row[i] > count) continue;
                fab_lattice_box *b = &out[row[i] - 1];
                const int low[3] = {i, j, k}, high[3] = {end - 1, j, k};
                for (int a = 0; a < 3; a++) {
                    b->low[a] = low[a] < b->low[a] ? low[a] : b->low[a];
                    b->high[a] = high[a] > b->high[a] ? high[a] : b->high[a];
                }
            }
}

int64_t fab_lattice_count(const fab_lattice *l)
{
    return (int64_t)l->n[0] * l->n[1] * l->n[2];
}
