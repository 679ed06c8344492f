/* restore.c - gives simplified meshes their volumes and centroids back.
 *
 * Moving vertices onto their neighbours cuts convex corners: up to 4 % of a small structure at
 * 300 k triangles. The pressures of pressure.h move the borders outwards again, every shared
 * vertex once, by at most a fifth of its shortest edge, and caps only within their plane.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "complex.h"
#include "pressure.h"

#define MAX_VOLUME_ERROR 1e-3
#define MAX_CENTROID_ERROR_MM 0.02

enum { ROUNDS = 4 };

/* What the triangles around a vertex ask of it. */
typedef struct pull {
    float move[3];  /* areas times the differences of pressure, then the move */
    float whole[3]; /* sum of the areas as vectors */
    float area;
    float shortest; /* edge, squared */
} pull;

typedef struct restoring {
    fab_complex *net;
    fab_homogeneous *now, *wanted, *pressure; /* per mesh */
    pull *pulls;                              /* per vertex */
} restoring;

static void corners(const fab_complex *c, const uint32_t v[3], double p[3][3])
{
    for (int i = 0; i < 3; i++)
        for (int x = 0; x < 3; x++) p[i][x] = (double)c->position[v[i]][x];
}

/* The triangle's area as a vector. */
static void area_of(double p[3][3], double n[3])
{
    double a[3], b[3];
    for (int x = 0; x < 3; x++) {
        a[x] = p[1][x] - p[0][x];
        b[x] = p[2][x] - p[0][x];
    }
    n[0] = (a[1] * b[2] - a[2] * b[1]) / 2;
    n[1] = (a[2] * b[0] - a[0] * b[2]) / 2;
    n[2] = (a[0] * b[1] - a[1] * b[0]) / 2;
}

static double norm(const double n[3])
{
    return sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
}

static fab_status measure_goals(fab_complex *c, fab_error *err)
{
    const fab_mesh_set *set = c->set;
    if (c->goal) return FAB_OK;
    c->goal = fab_calloc(set->count + 1, sizeof *c->goal);
    if (!c->goal) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu volumes", set->count);
    for (size_t m = 0; m < set->count; m++) {
        const fab_mesh *mesh = &set->items[m];
        for (size_t t = 0; t < mesh->triangle_count; t++) {
            double p[3][3];
            for (size_t i = 0; i < 9; i++)
                p[i / 3][i % 3] =
                    (double)mesh->position[(size_t)mesh->index[t * 3 + i / 3] * 3 + i % 3];
            fab_add_cone(p[0], p[1], p[2], c->goal[m]);
        }
    }
    return FAB_OK;
}

/* Largest error, 1 the most allowed; fills now and wanted. */
static double measure_now(restoring *r)
{
    static const double mm[3] = {1, 1, 1};
    const fab_complex *c = r->net;
    double worst = 0;
    memset(r->now, 0, c->set->count * sizeof *r->now);
    for (uint32_t t = 0; t < c->triangles; t++) {
        const fab_complex_triangle *tri = &c->triangle[t];
        double p[3][3];
        fab_homogeneous cone = {0, 0, 0, 0};
        corners(c, tri->v, p);
        fab_add_cone(p[0], p[1], p[2], cone);
        for (int x = 0; x < 4; x++) r->now[tri->front][x] += cone[x];
        if (tri->back == FAB_COMPLEX_NONE) continue;
        for (int x = 0; x < 4; x++) r->now[tri->back][x] -= cone[x];
    }
    for (size_t m = 0; m < c->set->count; m++) {
        for (int x = 0; x < 4; x++) r->wanted[m][x] = c->goal[m][x] - r->now[m][x];
        double volume = fabs(r->wanted[m][0]) / (fabs(c->goal[m][0]) + DBL_MIN);
        double apart = fab_centroids_apart(r->now[m], c->goal[m], mm);
        worst = fmax(worst, fmax(volume / MAX_VOLUME_ERROR, apart / MAX_CENTROID_ERROR_MM));
    }
    return worst;
}

static double pressure_of(const restoring *r, uint32_t mesh, const double at[3])
{
    return mesh == FAB_COMPLEX_NONE ? 0 : fab_pressure_at(r->pressure[mesh], at);
}

/* Takes the part along the caps' normal out of the move; false where caps meet at an angle. */
static bool keep_in_caps(const fab_complex *c, uint32_t u, double move[3])
{
    double cap[3] = {0, 0, 0};
    bool any = false;
    for (uint32_t i = 0; i < c->around[u].count; i++) {
        const fab_complex_triangle *t = fab_complex_at(c, u, i);
        double p[3][3], n[3], along = 0;
        if (!(t->flags & FAB_TRI_SCAN_EDGE)) continue;
        corners(c, t->v, p);
        area_of(p, n);
        for (int x = 0; x < 3; x++) along += n[x] * cap[x];
        if (any && !(along > 0.99 * norm(n))) return false;
        for (int x = 0; x < 3 && !any; x++) cap[x] = n[x] / norm(n);
        any = true;
    }
    double out = move[0] * cap[0] + move[1] * cap[1] + move[2] * cap[2];
    for (int x = 0; x < 3; x++) move[x] -= out * cap[x];
    return true;
}

static void note_edge(pull *p, double squared)
{
    if (squared < (double)p->shortest) p->shortest = (float)squared;
}

/* Adds what a triangle asks of its vertices. */
static void pull_corners(const restoring *r, const fab_complex_triangle *t)
{
    double p[3][3], n[3];
    corners(r->net, t->v, p);
    area_of(p, n);
    double area = norm(n);
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3;
        double d[3] = {p[j][0] - p[i][0], p[j][1] - p[i][1], p[j][2] - p[i][2]};
        double squared = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
        note_edge(&r->pulls[t->v[i]], squared);
        note_edge(&r->pulls[t->v[j]], squared);
    }
    if (t->flags & FAB_TRI_SCAN_EDGE) return;
    for (int i = 0; i < 3; i++) {
        pull *into = &r->pulls[t->v[i]];
        double rise = pressure_of(r, t->front, p[i]) - pressure_of(r, t->back, p[i]);
        into->area += (float)area;
        for (int x = 0; x < 3; x++) {
            into->move[x] += (float)(rise * n[x]);
            into->whole[x] += (float)n[x];
        }
    }
}

/* Turns what is asked of a vertex into its move. */
static void find_move(const restoring *r, uint32_t u)
{
    pull *p = &r->pulls[u];
    double sum[3] = {(double)p->move[0], (double)p->move[1], (double)p->move[2]};
    const double whole[3] = {(double)p->whole[0], (double)p->whole[1], (double)p->whole[2]};
    double area = (double)p->area, scale = norm(whole) > 0.5 * area ? norm(whole) : area;
    memset(p->move, 0, sizeof p->move);
    if (!(scale > 0) || !keep_in_caps(r->net, u, sum)) return;
    double length = norm(sum) / scale, most = sqrt((double)p->shortest) / 5;
    double fit = length > most ? most / length : 1;
    for (int x = 0; x < 3; x++) p->move[x] = (float)(sum[x] / scale * fit);
}

static fab_status collect_borders(const fab_complex *c, fab_borders *borders, double *edge,
                                  fab_error *err)
{
    double whole = 0;
    uint32_t count = 0;
    for (uint32_t t = 0; t < c->triangles; t++) {
        const fab_complex_triangle *tri = &c->triangle[t];
        double n[3], p[3][3], at[3];
        if (tri->flags & FAB_TRI_SCAN_EDGE) continue;
        corners(c, tri->v, p);
        for (int x = 0; x < 3; x++) at[x] = (p[0][x] + p[1][x] + p[2][x]) / 3;
        area_of(p, n);
        whole += norm(n);
        count++;
        FAB_TRY(fab_borders_add(borders, tri->front, tri->back, norm(n), at, err));
    }
    *edge = sqrt(2 * whole / (count + 1.0));
    return FAB_OK;
}

static fab_status move_round(restoring *r, fab_error *err)
{
    fab_complex *c = r->net;
    fab_borders borders = {0};
    double edge = 0;
    fab_status status = collect_borders(c, &borders, &edge, err);
    if (status == FAB_OK)
        status = fab_borders_solve(&borders, c->set->count, r->wanted, edge, r->pressure, err);
    fab_borders_free(&borders);
    FAB_TRY(status);
    for (uint32_t u = 0; u < c->vertices; u++) r->pulls[u] = (pull){.shortest = FLT_MAX};
    for (uint32_t t = 0; t < c->triangles; t++) pull_corners(r, &c->triangle[t]);
    for (uint32_t u = 0; u < c->vertices; u++) find_move(r, u);
    for (uint32_t u = 0; u < c->vertices; u++)
        for (int x = 0; x < 3; x++) c->position[u][x] += r->pulls[u].move[x];
    return FAB_OK;
}

fab_status fab_complex_restore(fab_complex *c, fab_error *err)
{
    size_t n = c->set->count;
    FAB_AUTO_FREE fab_homogeneous *value = fab_calloc(n * 3 + 1, sizeof *value);
    FAB_AUTO_FREE pull *pulls = fab_alloc_array((size_t)c->vertices + 1, sizeof *pulls);
    if (!value || !pulls) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to restore %zu volumes", n);
    restoring r = {.net = c, .now = value, .wanted = value + n, .pressure = value + 2 * n,
                   .pulls = pulls};
    FAB_TRY(measure_goals(c, err));
    fab_complex_find_stars(c);
    for (int round = 0; round < ROUNDS && measure_now(&r) > 1; round++)
        FAB_TRY(move_round(&r, err));
    return FAB_OK;
}
