/* relief.c - what an endplate stands out from its smooth surface by.
 *
 * Bone is not second-order: a lip of the rim, the ring of the apophysis or a dent make the surface
 * of gap.c wrong by half a millimetre just where a disc's height is read off. So, with the blur and
 * the HU that the whole gap has given, the plate may move up and down locally: nodes 3 mm apart in
 * a band about the plane of symmetry, between them linear. Every voxel near the plate says how far
 * it is off by what its HU differ, divided by how steep the HU are there; Tukey's weights keep
 * veins and spurs out. Nodes are tied to their neighbours and to the surface, so that without
 * voxels that say so nothing moves. Plates are moved in turns (the other's blur is in the voxels
 * of a thin disc), each by Gauss and Newton. */
#include <string.h>

#include "gap_internal.h"

enum { COLUMNS = ME_RELIEF_COLUMNS, NODES = ME_RELIEF_NODES, ROUNDS = 5 };
static const double OUTER = 0.93;    /* share of the footprint; beyond is the rounded corner */
static const double OFF_SD = 0.5, STEP_SD = 0.25; /* mm: of a node, of neighbours' difference */
static const double INTO = 3;        /* mm of bone to look at, besides the slice */
static const double WIDE = 5;        /* times the noise: no part of the model */
static const double PATCHY = 1.5;    /* neighbouring voxels share their noise */

typedef struct work {
    const me_gap *g;
    const me_blur *blur;
    const me_gap_model *m;
    me_gap_sample *samples;
    int count, rows, used;           /* rows in use, about the middle; nodes in them */
    double noise;
    me_relief relief[2];
    double *normal, *factor, slope[NODES]; /* NODES x NODES, lower halves */
} work;

/* The four nodes about (x, y) and their shares; false: outside of the band. */
static bool nodes_at(int rows, double x, double y, int node[4], double share[4])
{
    double u = x / ME_RELIEF_MM + 0.5 * (COLUMNS - 1), v = y / ME_RELIEF_MM + 0.5 * (rows - 1);
    if (!(u >= 0 && u < COLUMNS - 1 && v >= 0 && v < rows - 1)) return false;
    int i = (int)u, j = (int)v;
    u -= i, v -= j;
    for (int c = 0; c < 4; c++) {
        node[c] = (j + (c >> 1)) * COLUMNS + i + (c & 1);
        share[c] = (c & 1 ? u : 1 - u) * (c >> 1 ? v : 1 - v);
    }
    return true;
}

static int rows_of(const me_gap *g)
{
    int half = (int)ceil(0.95 * g->half_depth / ME_RELIEF_MM);
    return 2 * half + 1 < ME_RELIEF_ROWS ? 2 * half + 1 : ME_RELIEF_ROWS;
}

static double relief_at(const me_relief *r, int rows, double x, double y)
{
    const double far_x = 0.4999 * (COLUMNS - 1) * ME_RELIEF_MM;
    const double far_y = 0.4999 * (rows - 1) * ME_RELIEF_MM;
    int node[4];
    double share[4], up = 0;
    x = fmax(-far_x, fmin(far_x, x)), y = fmax(-far_y, fmin(far_y, y));
    if (!nodes_at(rows, x, y, node, share)) return 0;
    for (int c = 0; c < 4; c++) up += share[c] * r->up[node[c]];
    return up;
}

double fab_me_gap_height(const me_gap *g, int k, double x, double y, me_zone zone)
{
    double sum = 0;
    const int rows = rows_of(g);
    for (int i = 0; i < ME_ZONE_X; i++)
        for (int j = 0; j < ME_ZONE_Y; j++) {
            double at_x = x + me_zone_x(zone, i), at_y = y + me_zone_y(zone, j);
            sum += relief_at(&g->relief[k], rows, at_x, at_y) +
                   fab_me_surface_at(&g->plate[k], at_x / g->half_width, at_y / g->half_depth);
        }
    return sum / (ME_ZONE_X * ME_ZONE_Y);
}

/* ---- samples ------------------------------------------------------------------------------ */

static bool sample_at(const work *w, me_vec p, me_gap_sample *s)
{
    const me_gap *g = w->g;
    double u = p.x / g->half_width, v = p.y / g->half_depth, share[4];
    int node[4];
    if (u * u + v * v > OUTER * OUTER || !nodes_at(w->rows, p.x, p.y, node, share)) return false;
    fab_me_surface_terms(u, v, s->t);
    double high = me_terms_height(w->m->plate[0], s->t);
    double low = me_terms_height(w->m->plate[1], s->t);
    double into = INTO + 0.5 * w->blur->box;
    if (!g->there[0]) high = low + into;
    if (!g->there[1]) low = high - into;
    s->x = p.x, s->y = p.y, s->z = p.z;
    return p.z < high + into && p.z > low - into;
}

static void gather(work *w, const fab_volume *image, const fab_mat34 *voxel_from_world)
{
    const fab_grid *grid = fab_volume_grid(image);
    const me_gap *g = w->g;
    int32_t low[3], high[3];
    fab_me_gap_box(g, grid, voxel_from_world, low, high);
    double tall = 2 * INTO + w->blur->box + 4 + fabs(w->m->plate[0][0] - w->m->plate[1][0]);
    double expected = (COLUMNS - 1) * ME_RELIEF_MM * 2 * OUTER * g->half_depth * tall /
                      fab_grid_voxel_volume_mm3(grid);
    double keep = 0.9 * ME_GAP_SAMPLES / expected;
    uint32_t below = keep >= 1 ? UINT32_MAX : (uint32_t)(keep * UINT32_MAX);
    for (int32_t k = low[2]; k <= high[2]; k++)
        for (int32_t j = low[1]; j <= high[1]; j++)
            for (int32_t i = low[0]; i <= high[0] && w->count < ME_GAP_SAMPLES; i++) {
                if (me_scatter((uint32_t)k, (uint32_t)i, (uint32_t)j) > below) continue;
                double at[3] = {i, j, k}, p[3];
                fab_mat34_apply(&grid->world_from_voxel, at, p);
                me_gap_sample *s = &w->samples[w->count];
                if (!sample_at(w, me_local(&g->f, me_from(p)), s)) continue;
                s->hu = fab_me_gap_hu(image, i, j, k);
                w->count++;
            }
}

/* ---- the fit ------------------------------------------------------------------------------ */

/* Ties of the nodes to the surface and to each other, in the voxels' currency. */
static void add_ties(work *w, const me_relief *r)
{
    const double unit = PATCHY * PATCHY * w->noise * w->noise;
    const double still = unit / (OFF_SD * OFF_SD), tie = unit / (STEP_SD * STEP_SD);
    for (int a = 0; a < w->used; a++) {
        w->normal[a * NODES + a] += still;
        w->slope[a] -= still * r->up[a];
        for (int side = 0; side < 2; side++) {
            int b = side ? a + COLUMNS : a + 1;
            if (side ? b >= w->used : b % COLUMNS == 0) continue;
            double apart = r->up[b] - r->up[a];
            w->normal[a * NODES + a] += tie, w->normal[b * NODES + b] += tie;
            w->normal[b * NODES + a] -= tie;
            w->slope[a] += tie * apart, w->slope[b] -= tie * apart;
        }
    }
}

static void add_sample(work *w, int k, const me_gap_sample *s)
{
    int node[4];
    double share[4], of[ME_HU_TERMS], d[2], is = 0;
    if (!nodes_at(w->rows, s->x, s->y, node, share)) return;
    for (int p = 0; p < 2; p++) {
        double z = me_terms_height(w->m->plate[p], s->t);
        for (int c = 0; c < 4; c++) z += share[c] * w->relief[p].up[node[c]];
        d[p] = p == 0 ? z - s->z : s->z - z;
    }
    double by_d = me_gap_slope(w->blur, w->m, k, d[k]), by_up = k == 0 ? by_d : -by_d;
    if (by_up == 0) return;
    me_gap_shares(w->blur, w->m, w->g->there, d, of);
    for (int i = 0; i < ME_HU_TERMS; i++) is += w->m->hu[i] * of[i];
    double r = s->hu - is, e = r / (WIDE * w->noise), left = fmax(0, 1 - e * e);
    for (int a = 0; a < 4; a++) {
        double weighted = left * left * by_up * share[a];
        w->slope[node[a]] += weighted * r;
        for (int b = 0; b <= a; b++)
            w->normal[node[a] * NODES + node[b]] += weighted * by_up * share[b];
    }
}

/* Moves plate k once; false: not to be solved. */
static bool move(work *w, int k)
{
    double *a = w->factor, step[NODES];
    memset(w->normal, 0, NODES * NODES * sizeof *w->normal);
    memset(w->slope, 0, sizeof w->slope);
    for (int n = 0; n < w->count; n++) add_sample(w, k, &w->samples[n]);
    add_ties(w, &w->relief[k]);
    for (int i = 0; i < w->used; i++)
        for (int j = 0; j <= i; j++) a[i * w->used + j] = w->normal[i * NODES + j];
    if (!fab_me_factor(w->used, a)) return false;
    fab_me_solve(w->used, a, w->slope, step);
    for (int i = 0; i < w->used; i++)
        w->relief[k].up[i] += fmax(-1, fmin(1, step[i]));
    return true;
}

void fab_me_relief_fit(const fab_volume *image, const fab_mat34 *voxel_from_world,
                       me_gap_room *room, const me_blur *blur, const me_gap_model *m,
                       double noise, me_gap *g)
{
    work q = {.g = g, .blur = blur, .m = m, .samples = room->samples, .noise = noise,
              .rows = rows_of(g), .normal = room->normal, .factor = room->factor};
    q.used = q.rows * COLUMNS;
    gather(&q, image, voxel_from_world);
    for (int round = 0; round < ROUNDS; round++)
        for (int k = 0; k < 2; k++)
            if (g->found[k] && !move(&q, k)) return;
    for (int k = 0; k < 2; k++)
        if (g->found[k]) g->relief[k] = q.relief[k];
}
