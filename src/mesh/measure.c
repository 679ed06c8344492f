/* measure.c - what a mesh is worth: topology, volume, area, self-intersections, and its distance
 * to the mask it was made from, both ways, at points spread evenly over both surfaces. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bvh.h"
#include "mask_surface.h"
#include "mesh_internal.h"
#include "topology.h"

#define BOUND_SLACK_MM 1e-6 /* above rounding, so that the nearest triangle is inside the bound */

enum { MIN_SAMPLES = 2000, MAX_SAMPLES = 6000, SAMPLE_CHUNK = 512 };

typedef struct sampling {
    const fab_bvh *to;
    double (*point)[3];
    float *distance;
    int64_t count;
} sampling;

static double triangle_area(double t[3][3])
{
    double a[3], b[3], n[3];
    for (int x = 0; x < 3; x++) {
        a[x] = t[1][x] - t[0][x];
        b[x] = t[2][x] - t[0][x];
    }
    n[0] = a[1] * b[2] - a[2] * b[1];
    n[1] = a[2] * b[0] - a[0] * b[2];
    n[2] = a[0] * b[1] - a[1] * b[0];
    return sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) / 2;
}

static double soup_area(const fab_soup *soup)
{
    double sum = 0;
    for (uint32_t i = 0; i < soup->triangles; i++) {
        double t[3][3];
        fab_mesh_corners(soup, i, t);
        sum += triangle_area(t);
    }
    return sum;
}

/* count points, each standing for the same area; where in its triangle by the R2 sequence. */
static void spread_points(const fab_soup *soup, double area, int64_t count, double (*point)[3])
{
    double step = area / (double)count, passed = 0, u = 0.5, v = 0.5;
    int64_t made = 0;
    for (uint32_t i = 0; i < soup->triangles && made < count; i++) {
        double t[3][3];
        fab_mesh_corners(soup, i, t);
        passed += triangle_area(t);
        bool last = i + 1 == soup->triangles;
        while (made < count && (last || ((double)made + 0.5) * step < passed)) {
            u = fmod(u + 0.7548776662466927, 1);
            v = fmod(v + 0.5698402909980532, 1);
            double a = u + v > 1 ? 1 - u : u, b = u + v > 1 ? 1 - v : v;
            for (int x = 0; x < 3; x++)
                point[made][x] = t[0][x] + a * (t[1][x] - t[0][x]) + b * (t[2][x] - t[0][x]);
            made++;
        }
    }
}

static double gap_squared(const double a[3], const double b[3])
{
    double sum = 0;
    for (int x = 0; x < 3; x++) sum += (a[x] - b[x]) * (a[x] - b[x]);
    return sum;
}

/* A point is no farther from the surface than its neighbour is, plus the way between the two. */
static void measure_chunk(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    const sampling *s = ctx;
    int64_t start = chunk * SAMPLE_CHUNK, end = start + SAMPLE_CHUNK;
    if (end > s->count) end = s->count;
    double within = 1e6;
    for (int64_t i = start; i < end; i++) {
        if (i > start) within += sqrt(gap_squared(s->point[i], s->point[i - 1])) + BOUND_SLACK_MM;
        within = fab_mesh_bvh_distance(s->to, s->point[i], within);
        s->distance[i] = (float)within;
    }
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* 95th percentile and mean of the distances from one surface to the other. */
static fab_status one_way(const fab_soup *from, const fab_bvh *to, double *hd95, double *mean,
                          fab_error *err)
{
    int64_t count = from->triangles;
    if (count < MIN_SAMPLES) count = MIN_SAMPLES;
    if (count > MAX_SAMPLES) count = MAX_SAMPLES;
    FAB_AUTO_FREE double(*point)[3] = fab_calloc((size_t)count, sizeof *point);
    FAB_AUTO_FREE float *distance = fab_alloc_array((size_t)count, sizeof *distance);
    if (!point || !distance)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %lld sample points", (long long)count);
    spread_points(from, soup_area(from), count, point);
    sampling s = {.to = to, .point = point, .distance = distance, .count = count};
    fab_parallel_for((count + SAMPLE_CHUNK - 1) / SAMPLE_CHUNK, measure_chunk, &s);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)distance[i];
    qsort(distance, (size_t)count, sizeof *distance, compare_floats);
    *mean = sum / (double)count;
    *hd95 = (double)distance[(count - 1) * 95 / 100];
    return FAB_OK;
}

static fab_status two_ways(const fab_bvh *mesh, const fab_mask_surface *mask,
                           fab_mesh_report *report, fab_error *err)
{
    fab_soup faces = {mask->position, mask->index, mask->faces * 2, .quads = true};
    fab_bvh tree;
    double hd95[2], mean[2];
    FAB_TRY(fab_mesh_bvh_build(&faces, &tree, err));
    fab_status status = one_way(&mesh->soup, &tree, &hd95[0], &mean[0], err);
    if (status == FAB_OK) status = one_way(&faces, mesh, &hd95[1], &mean[1], err);
    fab_mesh_bvh_free(&tree);
    FAB_TRY(status);
    report->hd95_mm = hd95[0] > hd95[1] ? hd95[0] : hd95[1];
    report->mean_mm = (mean[0] + mean[1]) / 2;
    return FAB_OK;
}

static fab_status against_mask(const fab_mesh *mesh, const fab_volume *labels,
                               const fab_bvh *tree, fab_mesh_report *report, fab_error *err)
{
    fab_mask_surface mask;
    FAB_TRY(fab_mesh_mask_surface(labels, mesh->label, &mask, err));
    report->mask_volume_ml =
        (double)mask.voxels * fab_grid_voxel_volume_mm3(fab_volume_grid(labels)) / 1000;
    fab_status status = FAB_OK;
    if (mask.voxels > 0) {
        report->volume_error_percent = (report->volume_ml / report->mask_volume_ml - 1) * 100;
        if (mesh->triangle_count) status = two_ways(tree, &mask, report, err);
    }
    fab_mesh_mask_surface_free(&mask);
    return status;
}

/* Area, volume, degenerate triangles. Returns the largest coordinate. */
static double measure_shape(const fab_mesh *mesh, const fab_soup *soup, fab_mesh_report *report)
{
    double six = 0, far = 0;
    const float *base = mesh->position;
    for (uint32_t i = 0; i < soup->triangles; i++) {
        double t[3][3], longest = 0;
        fab_mesh_corners(soup, i, t);
        for (int c = 0; c < 3; c++) {
            double side = 0;
            for (int x = 0; x < 3; x++) side += pow(t[c][x] - t[(c + 1) % 3][x], 2);
            longest = side > longest ? side : longest;
        }
        double area = triangle_area(t);
        report->area_mm2 += area;
        report->degenerate += !(area > 1e-7 * longest);
        for (int c = 0; c < 9; c++) {
            far = fabs(t[c / 3][c % 3]) > far ? fabs(t[c / 3][c % 3]) : far;
            t[c / 3][c % 3] -= (double)base[c % 3];
        }
        six += t[0][0] * (t[1][1] * t[2][2] - t[1][2] * t[2][1])
               + t[0][1] * (t[1][2] * t[2][0] - t[1][0] * t[2][2])
               + t[0][2] * (t[1][0] * t[2][1] - t[1][1] * t[2][0]);
    }
    report->volume_ml = six / 6000;
    return far;
}

fab_status fab_mesh_measure(const fab_mesh *mesh, const fab_volume *labels,
                            fab_mesh_report *out, fab_error *err)
{
    fab_mesh_report r = {.mask_volume_ml = NAN, .volume_error_percent = NAN, .hd95_mm = NAN,
                         .mean_mm = NAN};
    fab_soup soup = {mesh->position, mesh->index, mesh->triangle_count, .quads = false};
    fab_topology topology;
    FAB_TRY(fab_mesh_topology(mesh, &topology, err));
    r.closed = topology.closed;
    r.manifold = topology.manifold;
    r.components = topology.components;
    r.genus = topology.genus;
    double far = measure_shape(mesh, &soup, &r);
    double slack = 4 * far * (double)FLT_EPSILON; /* what rounding to float can do */
    fab_bvh tree;
    FAB_TRY(fab_mesh_bvh_build(&soup, &tree, err));
    r.self_intersections = fab_mesh_bvh_self_intersections(&tree, slack);
    fab_status status = r.self_intersections < 0
                            ? fab_error_set(err, FAB_ERR_NOMEM, "no memory to find crossings")
                        : labels ? against_mask(mesh, labels, &tree, &r, err)
                                 : FAB_OK;
    fab_mesh_bvh_free(&tree);
    if (status == FAB_OK) *out = r;
    return status;
}
