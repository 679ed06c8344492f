/* mask.c - the voxel faces around one label. They lie on the lattice, so neither a list of them nor
 * a tree is needed: the nearest one to a point is found by looking at the voxels around it, cube
 * shell by cube shell, until no voxel farther out can be nearer (ADR 0106). */
#include "mask.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "bvh.h"

/* ---- finding the faces ------------------------------------------------------------------ */

/* The label's voxels in its box as bytes 0 and 1, with a rim of 0 around. */
typedef struct member_map {
    uint8_t *in;
    size_t row, plane;
} member_map;

static void mark_voxels(const fab_volume *labels, int label, fab_mask *m, const member_map *map)
{
    const int32_t *n = fab_volume_grid(labels)->size;
    const bool wide = fab_volume_dtype(labels) == FAB_U16;
    for (int32_t k = 0; k < m->size[2]; k++)
        for (int32_t j = 0; j < m->size[1]; j++) {
            const size_t from = (size_t)m->low[0]
                                + (size_t)n[0] * ((size_t)(m->low[1] + j)
                                                  + (size_t)n[1] * (size_t)(m->low[2] + k));
            uint8_t *out = map->in + map->plane * (size_t)(k + 1) + map->row * (size_t)(j + 1) + 1;
            const uint16_t *words = (const uint16_t *)fab_volume_data(labels) + (wide ? from : 0);
            const uint8_t *bytes = (const uint8_t *)fab_volume_data(labels) + (wide ? 0 : from);
            int32_t sum = 0;
            for (int32_t i = 0; wide && i < m->size[0]; i++) sum += out[i] = words[i] == label;
            for (int32_t i = 0; !wide && i < m->size[0]; i++) sum += out[i] = bytes[i] == label;
            m->voxels += sum;
        }
}

/* A row's faces: of each voxel, and how many across each axis. */
static void expose_row(const member_map *map, const uint8_t *in, int32_t count, uint8_t *exposed,
                       int64_t faces[3])
{
    const uint8_t *back = in - map->row, *front = in + map->row;
    const uint8_t *below = in - map->plane, *above = in + map->plane;
    int32_t across[3] = {0};
    for (int32_t i = 0; i < count; i++) {
        const int left = in[i] & ~in[i - 1], right = in[i] & ~in[i + 1];
        const int behind = in[i] & ~back[i], before = in[i] & ~front[i];
        const int under = in[i] & ~below[i], over = in[i] & ~above[i];
        exposed[i] = (uint8_t)(left | right << 1 | behind << 2 | before << 3 | under << 4
                               | over << 5);
        across[0] += left + right;
        across[1] += behind + before;
        across[2] += under + over;
    }
    for (int a = 0; a < 3; a++) faces[a] = across[a];
}

static void expose(fab_mask *m, const member_map *map)
{
    const size_t row = (size_t)m->size[0];
    for (int32_t k = 0; k < m->size[2]; k++)
        for (int32_t j = 0; j < m->size[1]; j++) {
            const size_t at = (size_t)j + (size_t)m->size[1] * (size_t)k;
            const uint8_t *in = map->in + map->plane * (size_t)(k + 1)
                                + map->row * (size_t)(j + 1) + 1;
            int64_t *faces = m->row_faces + 3 * at;
            expose_row(map, in, m->size[0], m->exposed + row * at, faces);
            for (int a = 0; a < 3; a++) m->faces[a] += faces[a];
        }
}

static fab_status find_faces(const fab_volume *labels, int label, fab_mask *m, fab_error *err)
{
    member_map map = {.row = (size_t)m->size[0] + 2};
    map.plane = map.row * ((size_t)m->size[1] + 2);
    const size_t rows = (size_t)m->size[1] * (size_t)m->size[2];
    FAB_AUTO_FREE uint8_t *in = fab_calloc((size_t)m->size[2] + 2, map.plane);
    m->exposed = fab_alloc_array(rows, (size_t)m->size[0]);
    m->row_faces = fab_alloc_array(rows, 3 * sizeof *m->row_faces);
    if (!in || !m->exposed || !m->row_faces)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the voxels of label %d", label);
    map.in = in;
    mark_voxels(labels, label, m, &map);
    expose(m, &map);
    return FAB_OK;
}

/* ---- geometry --------------------------------------------------------------------------- */

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static fab_status set_geometry(const fab_grid *grid, fab_mask *m, fab_error *err)
{
    const double first[3] = {m->low[0], m->low[1], m->low[2]};
    double origin[3], column[3][3];
    m->world_from_box = grid->world_from_voxel;
    fab_mat34_apply(&grid->world_from_voxel, first, origin);
    for (int x = 0; x < 3; x++) m->world_from_box.m[x][3] = origin[x];
    FAB_TRY(fab_mat34_invert(&m->world_from_box, &m->box_from_world, err));
    m->square = true;
    for (int a = 0; a < 3; a++) {
        m->pitch_mm[a] = 1 / sqrt(dot(m->box_from_world.m[a], m->box_from_world.m[a]));
        for (int x = 0; x < 3; x++) column[a][x] = m->world_from_box.m[x][a];
    }
    for (int a = 0; a < 3; a++) {
        const double *u = column[(a + 1) % 3], *w = column[(a + 2) % 3];
        const double uu = dot(u, u), ww = dot(w, w), uw = dot(u, w);
        m->area_mm2[a] = sqrt(uu * ww - uw * uw);
        m->square &= fabs(uw) <= 1e-9 * sqrt(uu * ww);
    }
    return FAB_OK;
}

fab_status fab_mesh_mask_make(const fab_volume *labels, int label, const fab_label_stats *where,
                              fab_mask *out, fab_error *err)
{
    const fab_grid *grid = fab_volume_grid(labels);
    const fab_dtype type = fab_volume_dtype(labels);
    *out = (fab_mask){0};
    if (type != FAB_U8 && type != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "label map has voxels of type %s; u8 or u16 wanted",
                 fab_dtype_name(type));
    if (label < 0 || label > (type == FAB_U8 ? UINT8_MAX : UINT16_MAX)) return FAB_OK;
    fab_mask m = {0};
    if (where && !where->voxels) return FAB_OK;
    for (int a = 0; a < 3; a++) {
        m.low[a] = where ? where->low[a] : 0;
        m.size[a] = where ? where->high[a] - where->low[a] + 1 : grid->size[a];
    }
    fab_status status = set_geometry(grid, &m, err);
    if (status == FAB_OK) status = find_faces(labels, label, &m, err);
    if (status == FAB_OK) *out = m;
    else fab_mesh_mask_free(&m);
    return status;
}

void fab_mesh_mask_free(fab_mask *mask)
{
    fab_free(mask->exposed);
    fab_free(mask->row_faces);
    *mask = (fab_mask){0};
}

static double area_of(const fab_mask *m, const int64_t faces[3])
{
    double sum = 0;
    for (int a = 0; a < 3; a++) sum += (double)faces[a] * m->area_mm2[a];
    return sum;
}

double fab_mesh_mask_area(const fab_mask *m)
{
    return area_of(m, m->faces);
}

/* ---- points over the faces -------------------------------------------------------------- */

/* Two triangles a face: halves along the diagonal from its first corner to its last. */
static void face_triangle(const fab_mask *m, const double voxel[3], int face, int half,
                          double t[3][3])
{
    static const int corners[2][3] = {{0, 1, 3}, {0, 3, 2}};
    const int axis = face / 2, u = (axis + 1) % 3, w = (axis + 2) % 3;
    for (int c = 0; c < 3; c++) {
        double p[3] = {voxel[0], voxel[1], voxel[2]};
        p[axis] += face & 1 ? 0.5 : -0.5;
        p[u] += corners[half][c] & 1 ? 0.5 : -0.5;
        p[w] += corners[half][c] >> 1 ? 0.5 : -0.5;
        fab_mat34_apply(&m->world_from_box, p, t[c]);
    }
}

typedef struct spreading {
    const fab_mask *mask;
    int64_t count, made, passed[3]; /* points; faces before this one */
    double step, u, v;              /* area a point; of the R2 sequence */
    double (*point)[3];
} spreading;

static bool is_due(const spreading *s, double area)
{
    return s->made < s->count && ((double)s->made + 0.5) * s->step < area;
}

static void put_points(spreading *s, const double voxel[3], int face)
{
    const fab_mask *m = s->mask;
    for (int half = 0; half < 2; half++) {
        double t[3][3];
        const double area = area_of(m, s->passed)
                            + (half + 1) * m->area_mm2[face / 2] / 2;
        if (!is_due(s, area)) continue;
        face_triangle(m, voxel, face, half, t);
        while (is_due(s, area)) {
            s->u = fmod(s->u + 0.7548776662466927, 1);
            s->v = fmod(s->v + 0.5698402909980532, 1);
            const bool flip = s->u + s->v > 1;
            const double a = flip ? 1 - s->u : s->u, b = flip ? 1 - s->v : s->v;
            for (int x = 0; x < 3; x++)
                s->point[s->made][x] = t[0][x] + a * (t[1][x] - t[0][x]) + b * (t[2][x] - t[0][x]);
            s->made++;
        }
    }
    s->passed[face / 2]++;
}

static void walk_row(spreading *s, int32_t j, int32_t k, const uint8_t *exposed)
{
    for (int32_t i = 0; i < s->mask->size[0]; i++)
        for (int face = 0; exposed[i] >> face; face++)
            if (exposed[i] >> face & 1) put_points(s, (double[3]){i, j, k}, face);
}

void fab_mesh_mask_points(const fab_mask *m, int64_t count, double (*point)[3])
{
    spreading s = {.mask = m, .count = count, .u = 0.5, .v = 0.5, .point = point,
                   .step = fab_mesh_mask_area(m) / (double)count};
    for (int32_t k = 0; k < m->size[2]; k++)
        for (int32_t j = 0; j < m->size[1]; j++) {
            const size_t at = (size_t)j + (size_t)m->size[1] * (size_t)k;
            const int64_t *faces = m->row_faces + 3 * at;
            int64_t after[3];
            for (int a = 0; a < 3; a++) after[a] = s.passed[a] + faces[a];
            if (is_due(&s, area_of(m, after)))
                walk_row(&s, j, k, m->exposed + (size_t)m->size[0] * at);
            else memcpy(s.passed, after, sizeof after);
        }
}

/* ---- the nearest face ------------------------------------------------------------------- */

typedef struct search {
    const fab_mask *mask;
    double world[3], at[3]; /* the point; in the box's voxels */
    int32_t base[3];        /* the voxel it is in, or the box's nearest */
    double squared;         /* distance of the nearest face so far, mm2 */
} search;

/* How far the point is from the slab of voxels at v along the axis, squared. */
static double slab_squared(const search *s, int axis, int32_t v)
{
    const double gap = fabs(s->at[axis] - v) - 0.5;
    return gap > 0 ? gap * gap * s->mask->pitch_mm[axis] * s->mask->pitch_mm[axis] : 0;
}

static double face_squared(const search *s, const int32_t v[3], int face)
{
    const fab_mask *m = s->mask;
    const int axis = face / 2;
    if (!m->square) {
        const double voxel[3] = {v[0], v[1], v[2]};
        double t[2][3][3];
        for (int half = 0; half < 2; half++) face_triangle(m, voxel, face, half, t[half]);
        return fmin(fab_mesh_point_triangle_squared(s->world, t[0]),
                    fab_mesh_point_triangle_squared(s->world, t[1]));
    }
    const double off = (s->at[axis] - v[axis] - (face & 1 ? 0.5 : -0.5)) * m->pitch_mm[axis];
    const int u = (axis + 1) % 3, w = (axis + 2) % 3;
    return off * off + slab_squared(s, u, v[u]) + slab_squared(s, w, v[w]);
}

static void look_at(search *s, int32_t i, int32_t j, int32_t k)
{
    const fab_mask *m = s->mask;
    const size_t row = (size_t)j + (size_t)m->size[1] * (size_t)k;
    const int exposed = m->exposed[(size_t)i + (size_t)m->size[0] * row];
    for (int face = 0; exposed >> face; face++) {
        if (!(exposed >> face & 1)) continue;
        const double squared = face_squared(s, (int32_t[3]){i, j, k}, face);
        if (squared < s->squared) s->squared = squared;
    }
}

static int32_t clamped(int32_t v, int32_t size)
{
    return v < 0 ? 0 : v >= size ? size - 1 : v;
}

/* The voxels r away from the base along the axis that is farthest. */
static void look_at_shell(search *s, int32_t r)
{
    const int32_t *n = s->mask->size, *b = s->base;
    for (int32_t k = clamped(b[2] - r, n[2]); k <= clamped(b[2] + r, n[2]); k++) {
        if (slab_squared(s, 2, k) >= s->squared) continue;
        for (int32_t j = clamped(b[1] - r, n[1]); j <= clamped(b[1] + r, n[1]); j++) {
            const int64_t *faces =
                s->mask->row_faces + 3 * ((size_t)j + (size_t)n[1] * (size_t)k);
            if (!(faces[0] | faces[1] | faces[2]) || slab_squared(s, 1, j) >= s->squared) continue;
            const bool side = k == b[2] - r || k == b[2] + r || j == b[1] - r || j == b[1] + r;
            const int32_t step = side || !r ? 1 : 2 * r;
            for (int32_t i = b[0] - r; i <= b[0] + r; i += step)
                if (i >= 0 && i < n[0]) look_at(s, i, j, k);
        }
    }
}

/* No voxel farther than r from the base is nearer than this, squared. */
static double beyond_squared(const search *s, int32_t r)
{
    double least = DBL_MAX;
    for (int a = 0; a < 3; a++) {
        const double pitch = s->mask->pitch_mm[a];
        const double up = (s->base[a] + r + 0.5 - s->at[a]) * pitch;
        const double down = (s->at[a] - (s->base[a] - r - 0.5)) * pitch;
        if (s->base[a] + r + 1 < s->mask->size[a]) least = fmin(least, up);
        if (s->base[a] - r - 1 >= 0) least = fmin(least, down);
    }
    return least > 0 ? least < DBL_MAX ? least * least : DBL_MAX : 0;
}

double fab_mesh_mask_distance(const fab_mask *mask, const double p[3], double within)
{
    search s = {.mask = mask, .world = {p[0], p[1], p[2]}, .squared = within * within};
    if (!mask->voxels) return within;
    fab_mat34_apply(&mask->box_from_world, p, s.at);
    for (int a = 0; a < 3; a++) {
        const double nearest = floor(s.at[a] + 0.5), last = mask->size[a] - 1;
        s.base[a] = nearest > 0 ? nearest < last ? (int32_t)nearest : (int32_t)last : 0;
    }
    for (int32_t r = 0; r == 0 || beyond_squared(&s, r - 1) < s.squared; r++) look_at_shell(&s, r);
    return sqrt(s.squared);
}
