/* measure.c - what a mesh is worth: topology, volume, area, self-intersections, and its distance
 * to the mask it was made from, both ways, at points spread evenly over both surfaces. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bvh.h"
#include "mask.h"
#include "mesh_internal.h"
#include "topology.h"

#define BOUND_SLACK_MM 1e-6 /* above rounding, so that the nearest triangle is inside the bound */

enum { MIN_SAMPLES = 2000, MAX_SAMPLES = 6000, SAMPLE_CHUNK = 512 };

typedef struct sampling {
    const fab_bvh *to;     /* or, if NULL, */
    const fab_mask *mask;
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
        within = s->to ? fab_mesh_bvh_distance(s->to, s->point[i], within)
                       : fab_mesh_mask_distance(s->mask, s->point[i], within);
        s->distance[i] = (float)within;
    }
}

/* The value that would be at `place` if they were in order (Hoare's selection). */
static float select_place(float *value, int64_t count, int64_t place)
{
    int64_t low = 0, high = count - 1;
    while (low < high) {
        const float pivot = value[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (value[i] < pivot) i++;
            while (value[j] > pivot) j--;
            if (i > j) break;
            float swap = value[i];
            value[i++] = value[j];
            value[j--] = swap;
        }
        if (place <= j) high = j;
        else if (place >= i) low = i;
        else break;
    }
    return value[place];
}

static int64_t sample_count(int64_t triangles)
{
    return triangles < MIN_SAMPLES ? MIN_SAMPLES : triangles > MAX_SAMPLES ? MAX_SAMPLES
                                                                           : triangles;
}

/* 95th percentile and mean of the points' distances. */
static void one_way(const sampling *s, double *hd95, double *mean)
{
    double sum = 0;
    fab_parallel_for((s->count + SAMPLE_CHUNK - 1) / SAMPLE_CHUNK, measure_chunk, (void *)s);
    for (int64_t i = 0; i < s->count; i++) sum += (double)s->distance[i];
    *mean = sum / (double)s->count;
    *hd95 = (double)select_place(s->distance, s->count, (s->count - 1) * 95 / 100);
}

static fab_status two_ways(const fab_bvh *mesh, double area, const fab_mask *mask,
                           fab_mesh_report *report, fab_error *err)
{
    double hd95[2], mean[2];
    FAB_AUTO_FREE double(*point)[3] = fab_alloc_array(MAX_SAMPLES, sizeof *point);
    FAB_AUTO_FREE float *distance = fab_alloc_array(MAX_SAMPLES, sizeof *distance);
    if (!point || !distance)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d sample points", MAX_SAMPLES);
    const int64_t faces = mask->faces[0] + mask->faces[1] + mask->faces[2];
    sampling s = {.mask = mask, .point = point, .distance = distance,
                  .count = sample_count(mesh->soup.triangles)};
    spread_points(&mesh->soup, area, s.count, point);
    one_way(&s, &hd95[0], &mean[0]);
    s.to = mesh;
    s.count = sample_count(2 * faces);
    fab_mesh_mask_points(mask, s.count, point);
    one_way(&s, &hd95[1], &mean[1]);
    report->hd95_mm = hd95[0] > hd95[1] ? hd95[0] : hd95[1];
    report->mean_mm = (mean[0] + mean[1]) / 2;
    return FAB_OK;
}

static fab_status against_mask(const fab_mesh *mesh, const fab_volume *labels,
                               const fab_label_stats *where, const fab_bvh *tree,
                               fab_mesh_report *report, fab_error *err)
{
    fab_mask mask;
    FAB_TRY(fab_mesh_mask_make(labels, mesh->label, where, &mask, err));
    report->mask_volume_ml =
        (double)mask.voxels * fab_grid_voxel_volume_mm3(fab_volume_grid(labels)) / 1000;
    fab_status status = FAB_OK;
    if (mask.voxels > 0) {
        report->volume_error_percent = (report->volume_ml / report->mask_volume_ml - 1) * 100;
        if (mesh->triangle_count) status = two_ways(tree, report->area_mm2, &mask, report, err);
    }
    fab_mesh_mask_free(&mask);
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
            for (int x = 0; x < 3; x++) {
                const double way = t[c][x] - t[(c + 1) % 3][x];
                side += way * way;
            }
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
    return fab_mesh_measure_at(mesh, labels, NULL, out, err);
}

fab_status fab_mesh_measure_at(const fab_mesh *mesh, const fab_volume *labels,
                               const fab_label_stats *where, fab_mesh_report *out, fab_error *err)
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
                        : labels ? against_mask(mesh, labels, where, &tree, &r, err)
                                 : FAB_OK;
    fab_mesh_bvh_free(&tree);
    if (status == FAB_OK) *out = r;
    return status;
}
