/* mask.c - a label as a field between voxels: its surface is where the trilinear mask is one half,
 * which does not move when the grid is permuted and hardly when it is turned. */
#include <stdlib.h>
#include <string.h>

#include "measure_internal.h"

enum { MARGIN = 2 };
static const double STEP = 0.4; /* mm, of the walk along a ray */

me_frame fab_me_frame(me_vec o, me_vec up, me_vec back)
{
    me_frame f = {.o = o, .z = me_unit(up)};
    f.y = me_unit(me_sub(back, me_mul(f.z, me_dot(back, f.z))));
    f.x = me_cross(f.y, f.z);
    return f;
}

static bool union_box(const bool *member, const fab_label_stats *stats, size_t count,
                      int32_t low[3], int32_t high[3])
{
    bool any = false;
    for (size_t v = 1; v < count; v++) {
        if (!member[v] || !stats[v].voxels) continue;
        for (int a = 0; a < 3; a++) {
            if (!any || stats[v].low[a] < low[a]) low[a] = stats[v].low[a];
            if (!any || stats[v].high[a] > high[a]) high[a] = stats[v].high[a];
        }
        any = true;
    }
    return any;
}

static int value_at(const fab_volume *v, int64_t index)
{
    const void *data = fab_volume_data(v);
    return fab_volume_dtype(v) == FAB_U8 ? ((const uint8_t *)data)[index]
                                         : ((const uint16_t *)data)[index];
}

/* Row by row; the box lies inside labels, the volume has MARGIN voxels more on every side. */
static void copy_members(const fab_volume *labels, const bool *member, size_t count,
                         const int32_t low[3], const int32_t size[3], uint8_t *into)
{
    const int32_t *n = fab_volume_grid(labels)->size;
    for (int32_t k = MARGIN; k < size[2] - MARGIN; k++)
        for (int32_t j = MARGIN; j < size[1] - MARGIN; j++) {
            int64_t from = low[0] + n[0] * ((low[1] + j - MARGIN) +
                                            (int64_t)n[1] * (low[2] + k - MARGIN));
            int64_t to = MARGIN + size[0] * (j + (int64_t)size[1] * k);
            for (int32_t i = 0; i < size[0] - 2 * MARGIN; i++) {
                int value = value_at(labels, from + i);
                into[to + i] = (size_t)value < count && member[value];
            }
        }
}

static fab_status describe(me_mask *m, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(m->volume);
    memcpy(m->size, g->size, sizeof m->size);
    m->data = fab_volume_data(m->volume);
    fab_grid_spacing(g, m->spacing);
    for (int a = 0; a < 3; a++)
        m->axis[a] = me_unit(me_v(g->world_from_voxel.m[0][a], g->world_from_voxel.m[1][a],
                                  g->world_from_voxel.m[2][a]));
    FAB_TRY(fab_mat34_invert(&g->world_from_voxel, &m->voxel_from_world, err));
    double sum[3] = {0}, centre[3];
    int64_t at = 0;
    m->voxels = 0;
    for (int32_t k = 0; k < m->size[2]; k++)
        for (int32_t j = 0; j < m->size[1]; j++)
            for (int32_t i = 0; i < m->size[0]; i++)
                if (m->data[at++]) sum[0] += i, sum[1] += j, sum[2] += k, m->voxels++;
    for (int a = 0; a < 3; a++) sum[a] /= m->voxels ? (double)m->voxels : 1;
    fab_mat34_apply(&g->world_from_voxel, sum, centre);
    m->centroid = me_from(centre);
    return FAB_OK;
}

fab_status fab_me_mask_make(const fab_volume *labels, const bool *member,
                            const fab_label_stats *stats, size_t count, bool largest,
                            me_mask *out, fab_error *err)
{
    int32_t low[3], high[3];
    *out = (me_mask){0};
    if (!union_box(member, stats, count, low, high)) return FAB_OK;
    fab_grid g = *fab_volume_grid(labels);
    double corner[3], origin[3];
    for (int a = 0; a < 3; a++) {
        corner[a] = low[a] - MARGIN;
        g.size[a] = high[a] - low[a] + 1 + 2 * MARGIN;
    }
    fab_mat34_apply(&g.world_from_voxel, corner, origin);
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][3] = origin[a];
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    FAB_TRY(fab_volume_create(&g, FAB_U8, &v, err));
    memset(fab_volume_data_mut(v), 0, fab_volume_bytes(v));
    copy_members(labels, member, count, low, g.size, fab_volume_data_mut(v));
    if (largest) {
        static const bool one[2] = {false, true};
        const fab_component_rule rule = {.face_connected = true, .largest = true};
        FAB_TRY(fab_labels_keep_components(v, one, 2, &rule, 0, NULL, err));
    }
    me_mask m = {.volume = v};
    FAB_TRY(describe(&m, err));
    v = NULL;
    *out = m;
    return FAB_OK;
}

void fab_me_mask_free(me_mask *m)
{
    fab_volume_unref(m->volume);
    *m = (me_mask){0};
}

double fab_me_at(const me_mask *m, me_vec w)
{
    if (!m->data) return 0;
    const double (*t)[4] = m->voxel_from_world.m;
    double q[3], f[3];
    int32_t at[3];
    for (int a = 0; a < 3; a++) {
        q[a] = t[a][0] * w.x + t[a][1] * w.y + t[a][2] * w.z + t[a][3];
        if (!(q[a] >= 0 && q[a] < m->size[a] - 1)) return 0;
        at[a] = (int32_t)q[a];
        f[a] = q[a] - at[a];
    }
    const int64_t dj = m->size[0], dk = dj * m->size[1];
    const uint8_t *p = m->data + at[0] + dj * at[1] + dk * at[2];
    double c00 = p[0] + f[0] * (p[1] - p[0]), c10 = p[dj] + f[0] * (p[dj + 1] - p[dj]);
    double c01 = p[dk] + f[0] * (p[dk + 1] - p[dk]);
    double c11 = p[dk + dj] + f[0] * (p[dk + dj + 1] - p[dk + dj]);
    double c0 = c00 + f[1] * (c10 - c00), c1 = c01 + f[1] * (c11 - c01);
    return c0 + f[2] * (c1 - c0);
}

static double along(const me_mask *m, me_vec p, me_vec d, double t)
{
    return fab_me_at(m, me_add(p, me_mul(d, t)));
}

/* Between two samples, one on either side of one half. */
static double crossing(double t, double at, double next)
{
    return t + STEP * (at - 0.5) / (at - next);
}

double fab_me_last_exit(const me_mask *m, me_vec p, me_vec d, double reach)
{
    int steps = (int)(reach / STEP);
    double outer = along(m, p, d, steps * STEP);
    if (outer >= 0.5) return NAN; /* goes on beyond */
    for (int i = steps - 1; i >= 0; i--) {
        double here = along(m, p, d, i * STEP);
        if (here >= 0.5) return crossing(i * STEP, here, outer);
        outer = here;
    }
    return NAN;
}

double fab_me_first_exit(const me_mask *m, me_vec p, me_vec d, double reach, double gap)
{
    int steps = (int)(reach / STEP), quiet = 0, need = (int)ceil(gap / STEP);
    double before = along(m, p, d, 0), found = NAN;
    if (before < 0.5) return NAN;
    for (int i = 1; i <= steps; i++) {
        double here = along(m, p, d, i * STEP);
        if (here >= 0.5) quiet = 0;
        else if (++quiet == 1) found = crossing((i - 1) * STEP, before, here);
        if (quiet >= need) return found;
        before = here;
    }
    return NAN;
}

double fab_me_first_entry(const me_mask *m, me_vec p, me_vec d, double reach)
{
    int steps = (int)(reach / STEP);
    double before = along(m, p, d, 0);
    if (before >= 0.5) return NAN;
    for (int i = 1; i <= steps; i++) {
        double here = along(m, p, d, i * STEP);
        if (here >= 0.5) return crossing((i - 1) * STEP, before, here);
        before = here;
    }
    return NAN;
}

fab_status fab_me_thickest(const me_mask *m, me_vec *centre, double *radius, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *depth = NULL;
    FAB_TRY(fab_labels_distance(m->volume, 1, true, &depth, err));
    const float *d = fab_volume_data(depth);
    int64_t n = fab_grid_voxels(fab_volume_grid(depth)), at = 0;
    float most = 0;
    for (int64_t i = 0; i < n; i++)
        if (d[i] > most) most = d[i];
    double sum[3] = {0}, count = 0, mean[3], world[3];
    for (int32_t k = 0; k < m->size[2]; k++)
        for (int32_t j = 0; j < m->size[1]; j++)
            for (int32_t i = 0; i < m->size[0]; i++)
                if (d[at++] >= 0.85f * most) sum[0] += i, sum[1] += j, sum[2] += k, count++;
    for (int a = 0; a < 3; a++) mean[a] = sum[a] / (count > 0 ? count : 1);
    fab_mat34_apply(&fab_volume_grid(m->volume)->world_from_voxel, mean, world);
    *centre = me_from(world);
    *radius = most;
    return FAB_OK;
}

double fab_me_voxel_along(const me_mask *m, me_vec d)
{
    double sum = 0;
    for (int a = 0; a < 3; a++) sum += fabs(me_dot(m->axis[a], d)) * m->spacing[a];
    return sum;
}

/* Hoare's selection: the value that would be at `place` in order; none after it is smaller. */
static double select_place(double *values, int count, int place)
{
    int low = 0, high = count - 1;
    while (low < high) {
        const double pivot = values[low + (high - low) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i > j) break;
            const double swap = values[i];
            values[i++] = values[j];
            values[j--] = swap;
        }
        if (place <= j) high = j;
        else if (place >= i) low = i;
        else break;
    }
    return values[place];
}

double fab_me_median(double *values, int count)
{
    int n = 0;
    for (int i = 0; i < count; i++)
        if (!isnan(values[i])) values[n++] = values[i];
    if (!n) return NAN;
    const double upper = select_place(values, n, n / 2);
    if (n % 2) return upper;
    double lower = values[0]; /* the largest of those before */
    for (int i = 1; i < n / 2; i++) lower = values[i] > lower ? values[i] : lower;
    return 0.5 * (lower + upper);
}
