/* geometry.c - the one map from voxels to the patient, and questions about it. */
#include <math.h>
#include <string.h>

#include "fabrica/volume.h"

void fab_mat34_apply_vector(const fab_mat34 *a, const double v[3], double out[3])
{
    double r[3];
    for (int i = 0; i < 3; i++) r[i] = a->m[i][0] * v[0] + a->m[i][1] * v[1] + a->m[i][2] * v[2];
    memcpy(out, r, sizeof r);
}

void fab_mat34_apply(const fab_mat34 *a, const double p[3], double out[3])
{
    fab_mat34_apply_vector(a, p, out);
    for (int i = 0; i < 3; i++) out[i] += a->m[i][3];
}

fab_mat34 fab_mat34_multiply(const fab_mat34 *a_from_b, const fab_mat34 *b_from_c)
{
    fab_mat34 r;
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 4; j++) {
            double sum = j == 3 ? a_from_b->m[i][3] : 0;
            for (int k = 0; k < 3; k++) sum += a_from_b->m[i][k] * b_from_c->m[k][j];
            r.m[i][j] = sum;
        }
    }
    return r;
}

double fab_mat34_determinant(const fab_mat34 *a)
{
    const double(*m)[4] = a->m;
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
           m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

static void column_lengths(const fab_mat34 *a, double length[3])
{
    for (int j = 0; j < 3; j++)
        length[j] = sqrt(a->m[0][j] * a->m[0][j] + a->m[1][j] * a->m[1][j] +
                         a->m[2][j] * a->m[2][j]);
}

fab_status fab_mat34_invert(const fab_mat34 *a, fab_mat34 *out, fab_error *err)
{
    double length[3], det = fab_mat34_determinant(a);
    column_lengths(a, length);
    double scale = length[0] * length[1] * length[2];
    if (!isfinite(det) || !(fabs(det) > 1e-6 * scale))
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "matrix cannot be inverted (determinant %g)", det);
    const double(*m)[4] = a->m;
    fab_mat34 r;
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) { /* cofactor of (j, i), cyclic indices carry the sign */
            int p = (j + 1) % 3, q = (j + 2) % 3, s = (i + 1) % 3, t = (i + 2) % 3;
            r.m[i][j] = (m[p][s] * m[q][t] - m[p][t] * m[q][s]) / det;
        }
    }
    double origin[3] = {m[0][3], m[1][3], m[2][3]}, moved[3];
    fab_mat34_apply_vector(&r, origin, moved);
    for (int i = 0; i < 3; i++) r.m[i][3] = -moved[i];
    *out = r;
    return FAB_OK;
}

fab_status fab_grid_check(const fab_grid *g, fab_error *err)
{
    for (int a = 0; a < 3; a++)
        if (g->size[a] < 1 || g->size[a] > FAB_MAX_DIM)
            FAB_FAIL(err, FAB_ERR_LIMIT, "volume of %d x %d x %d voxels; each axis must be 1..%d",
                     g->size[0], g->size[1], g->size[2], FAB_MAX_DIM);
    if (fab_grid_voxels(g) > FAB_MAX_VOXELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "volume of %d x %d x %d voxels is larger than 2^32",
                 g->size[0], g->size[1], g->size[2]);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            if (!isfinite(g->world_from_voxel.m[i][j]))
                FAB_FAIL(err, FAB_ERR_GEOMETRY, "voxel-to-patient matrix holds a number that is "
                                                "not finite (row %d, column %d)", i, j);
    double spacing[3];
    fab_grid_spacing(g, spacing);
    for (int a = 0; a < 3; a++)
        if (spacing[a] < FAB_MIN_SPACING_MM || spacing[a] > FAB_MAX_SPACING_MM)
            FAB_FAIL(err, FAB_ERR_GEOMETRY, "voxel spacing %g x %g x %g mm; each must be %g..%g",
                     spacing[0], spacing[1], spacing[2], FAB_MIN_SPACING_MM, FAB_MAX_SPACING_MM);
    fab_mat34 inverse;
    return fab_mat34_invert(&g->world_from_voxel, &inverse, err);
}

int64_t fab_grid_voxels(const fab_grid *g)
{
    return (int64_t)g->size[0] * g->size[1] * g->size[2];
}

void fab_grid_spacing(const fab_grid *g, double spacing_mm[3])
{
    column_lengths(&g->world_from_voxel, spacing_mm);
}

double fab_grid_voxel_volume_mm3(const fab_grid *g)
{
    return fabs(fab_mat34_determinant(&g->world_from_voxel));
}

bool fab_grid_equal(const fab_grid *a, const fab_grid *b, double tolerance_mm)
{
    if (memcmp(a->size, b->size, sizeof a->size) != 0) return false;
    for (int corner = 0; corner < 8; corner++) { /* affine maps agree inside if at the corners */
        double p[3], wa[3], wb[3];
        for (int k = 0; k < 3; k++) p[k] = corner >> k & 1 ? a->size[k] - 1 : 0;
        fab_mat34_apply(&a->world_from_voxel, p, wa);
        fab_mat34_apply(&b->world_from_voxel, p, wb);
        for (int k = 0; k < 3; k++)
            if (!(fabs(wa[k] - wb[k]) <= tolerance_mm)) return false;
    }
    return true;
}

/* axis_of[w] = voxel axis assigned to world axis w; the assignment (of 6) with the largest sum of
 * direction cosines, so that oblique grids never use one axis twice. */
static void assign_axes(const fab_grid *g, int axis_of[3], bool flip[3])
{
    static const int permutations[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                           {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    double length[3], best = -1;
    column_lengths(&g->world_from_voxel, length);
    for (int p = 0; p < 6; p++) {
        double sum = 0;
        for (int w = 0; w < 3; w++) {
            int axis = permutations[p][w];
            sum += fabs(g->world_from_voxel.m[w][axis]) / (length[axis] > 0 ? length[axis] : 1);
        }
        if (sum <= best + 1e-9) continue;
        best = sum;
        memcpy(axis_of, permutations[p], sizeof permutations[p]);
    }
    for (int w = 0; w < 3; w++) flip[w] = g->world_from_voxel.m[w][axis_of[w]] < 0;
}

void fab_grid_orientation(const fab_grid *g, char code[4])
{
    static const char positive[] = "LPS", negative[] = "RAI";
    int axis_of[3];
    bool flip[3];
    assign_axes(g, axis_of, flip);
    for (int w = 0; w < 3; w++) code[axis_of[w]] = flip[w] ? negative[w] : positive[w];
    code[3] = 0;
}

fab_grid fab_grid_canonical(const fab_grid *g, int axis_of[3], bool flip[3])
{
    assign_axes(g, axis_of, flip);
    fab_grid r;
    double start[3] = {0, 0, 0};
    for (int w = 0; w < 3; w++) {
        r.size[w] = g->size[axis_of[w]];
        double sign = flip[w] ? -1 : 1;
        if (flip[w]) start[axis_of[w]] = g->size[axis_of[w]] - 1;
        for (int i = 0; i < 3; i++)
            r.world_from_voxel.m[i][w] = sign * g->world_from_voxel.m[i][axis_of[w]];
    }
    double origin[3];
    fab_mat34_apply(&g->world_from_voxel, start, origin);
    for (int i = 0; i < 3; i++) r.world_from_voxel.m[i][3] = origin[i];
    return r;
}

fab_status fab_grid_axis_aligned(const fab_grid *g, const double spacing_mm[3], fab_grid *out,
                                 fab_error *err)
{
    double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (int corner = 0; corner < 8; corner++) {
        double p[3], w[3];
        for (int k = 0; k < 3; k++) p[k] = corner >> k & 1 ? g->size[k] - 0.5 : -0.5;
        fab_mat34_apply(&g->world_from_voxel, p, w);
        for (int k = 0; k < 3; k++) {
            low[k] = fmin(low[k], w[k]);
            high[k] = fmax(high[k], w[k]);
        }
    }
    fab_grid r = {0};
    for (int k = 0; k < 3; k++) {
        if (!(spacing_mm[k] >= FAB_MIN_SPACING_MM && spacing_mm[k] <= FAB_MAX_SPACING_MM))
            FAB_FAIL(err, FAB_ERR_ARG, "spacing of %g mm asked for", spacing_mm[k]);
        double count = floor((high[k] - low[k]) / spacing_mm[k] + 0.5);
        if (count < 1) count = 1;
        if (!(count <= FAB_MAX_DIM))
            FAB_FAIL(err, FAB_ERR_LIMIT, "%g voxels along an axis, at most %d", count, FAB_MAX_DIM);
        r.size[k] = (int32_t)count;
        r.world_from_voxel.m[k][k] = spacing_mm[k];
        r.world_from_voxel.m[k][3] = 0.5 * (low[k] + high[k]) - 0.5 * (count - 1) * spacing_mm[k];
    }
    FAB_TRY(fab_grid_check(&r, err));
    *out = r;
    return FAB_OK;
}
