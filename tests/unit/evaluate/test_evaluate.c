/* Surface measures against the published examples, exact shapes, and a direct computation that
 * shares nothing with the implementation but the definition. */
#include "harness.h"

#include "fabrica/evaluate.h"

static fab_error err;
static const int one[] = {1};

static fab_volume *empty(int x, int y, int z, const double spacing[3], fab_dtype t)
{
    fab_grid g = {.size = {x, y, z}};
    fab_volume *v = NULL;
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = spacing[a];
    CHECK_OK(fab_volume_create(&g, t, &v, &err));
    memset(fab_volume_data_mut(v), 0, fab_volume_bytes(v));
    return v;
}

static uint8_t *voxel(fab_volume *v, int i, int j, int k)
{
    const fab_grid *g = fab_volume_grid(v);
    return (uint8_t *)fab_volume_data_mut(v) + i + g->size[0] * (j + g->size[1] * k);
}

static void fill(fab_volume *v, const int low[3], const int high[3])
{
    for (int k = low[2]; k < high[2]; k++)
        for (int j = low[1]; j < high[1]; j++)
            for (int i = low[0]; i < high[0]; i++) *voxel(v, i, j, k) = 1;
}

static fab_agreement compare(fab_volume *a, fab_volume *b, double tolerance)
{
    fab_agreement out;
    CHECK_OK(fab_evaluate(a, one, 1, b, one, 1, tolerance, &out, &err));
    return out;
}

/* ---- published examples (surface_distance_test.py, 3-D) --------------------------------- */

static void two_voxels_two_mm_apart(void)
{
    static const double spacing[3] = {1, 2, 3};
    fab_volume *a = empty(128, 128, 128, spacing, FAB_U8);
    fab_volume *b = empty(128, 128, 128, spacing, FAB_U8);
    *voxel(a, 70, 60, 50) = 1;
    *voxel(b, 72, 60, 50) = 1;
    fab_agreement r = compare(a, b, 1);
    CHECK(r.dice == 0 && r.reference_voxels == 1 && r.overlap_voxels == 0);
    CHECK_NEAR(r.assd_mm, 1.5, 1e-6);
    CHECK_NEAR(r.hd95_mm, 2, 1e-6);
    CHECK_NEAR(r.nsd, 0.5, 1e-9);
    CHECK_NEAR(r.volume_reference_ml, 0.006, 1e-12);
    fab_volume_unref(a);
    fab_volume_unref(b);
}

static void two_blocks_shifted_by_one(void)
{
    static const double spacing[3] = {1, 1, 2};
    fab_volume *a = empty(100, 100, 100, spacing, FAB_U8);
    fab_volume *b = empty(100, 100, 100, spacing, FAB_U8);
    fill(a, (const int[]){0, 0, 0}, (const int[]){100, 100, 50});
    fill(b, (const int[]){0, 0, 0}, (const int[]){100, 100, 51});
    fab_agreement r = compare(a, b, 1);
    CHECK_NEAR(r.hd95_mm, 2, 1e-6);
    CHECK_NEAR(r.nsd, 0.836, 5e-4);
    CHECK_NEAR(r.dice, 0.990, 5e-4);
    CHECK(r.assd_mm > 0.322 && r.assd_mm < 0.339); /* between the two published one-way means */
    fab_volume_unref(a);
    fab_volume_unref(b);
}

/* ---- exact shapes ----------------------------------------------------------------------- */

static void a_structure_equals_itself(void)
{
    static const double spacing[3] = {0.7, 0.7, 3};
    fab_volume *a = empty(20, 20, 20, spacing, FAB_U8);
    fill(a, (const int[]){3, 4, 5}, (const int[]){9, 12, 20});
    fab_agreement r = compare(a, a, 0);
    CHECK(r.dice == 1 && r.hd95_mm == 0 && r.assd_mm == 0 && r.nsd == 1);
    fab_volume_unref(a);
}

static void a_tolerance_met_exactly_counts(void)
{
    static const double spacing[3] = {0.3, 1, 1};
    fab_volume *a = empty(40, 12, 12, spacing, FAB_U8), *b = empty(40, 12, 12, spacing, FAB_U8);
    fill(a, (const int[]){5, 1, 1}, (const int[]){20, 11, 11});
    fill(b, (const int[]){6, 1, 1}, (const int[]){21, 11, 11});
    CHECK(compare(a, b, 0.3).nsd == 1);
    CHECK(compare(a, b, 0.29).nsd < 1);
    CHECK_NEAR(compare(a, b, 0).hd95_mm, 0.3, 1e-6);
    fab_volume_unref(a);
    fab_volume_unref(b);
}

static void empty_sides(void)
{
    static const double spacing[3] = {1, 1, 1};
    fab_volume *a = empty(8, 8, 8, spacing, FAB_U8), *b = empty(8, 8, 8, spacing, FAB_U8);
    fab_agreement r = compare(a, b, 1);
    CHECK(isnan(r.dice) && isnan(r.hd95_mm) && isnan(r.assd_mm) && isnan(r.nsd));
    *voxel(a, 4, 4, 4) = 1;
    r = compare(a, b, 1);
    CHECK(r.dice == 0 && isnan(r.hd95_mm) && isnan(r.assd_mm) && isnan(r.nsd));
    r = compare(b, a, 1);
    CHECK(r.dice == 0 && isnan(r.nsd) && r.predicted_voxels == 1);
    fab_volume_unref(a);
    fab_volume_unref(b);
}

static void several_values_make_one_structure(void)
{
    static const double spacing[3] = {1, 1, 1};
    static const int parts[] = {300, 7}, whole[] = {1};
    fab_volume *a = empty(9, 9, 9, spacing, FAB_U16), *b = empty(9, 9, 9, spacing, FAB_U8);
    fill(b, (const int[]){2, 2, 2}, (const int[]){6, 6, 6});
    uint16_t *data = fab_volume_data_mut(a);
    for (int i = 0; i < 9 * 9 * 9; i++)
        if (((const uint8_t *)fab_volume_data(b))[i]) data[i] = i % 2 ? 300 : 7;
    data[0] = 8; /* another structure */
    fab_agreement r;
    CHECK_OK(fab_evaluate(a, parts, 2, b, whole, 1, 1, &r, &err));
    CHECK(r.dice == 1 && r.nsd == 1 && r.overlap_voxels == 64);
    fab_volume_unref(a);
    fab_volume_unref(b);
}

static void what_makes_no_sense_is_refused(void)
{
    static const double spacing[3] = {1, 1, 1};
    static const int large[] = {65536};
    fab_volume *a = empty(4, 4, 4, spacing, FAB_U8), *b = empty(4, 4, 5, spacing, FAB_U8);
    fab_volume *f = empty(4, 4, 4, spacing, FAB_F32);
    fab_agreement r;
    CHECK_FAILS(FAB_ERR_GEOMETRY, "same grid", fab_evaluate(a, one, 1, b, one, 1, 1, &r, &err));
    CHECK_FAILS(FAB_ERR_ARG, "U8 or U16", fab_evaluate(a, one, 1, f, one, 1, 1, &r, &err));
    CHECK_FAILS(FAB_ERR_ARG, "tolerance", fab_evaluate(a, one, 1, a, one, 1, -1, &r, &err));
    CHECK_FAILS(FAB_ERR_ARG, "65536", fab_evaluate(a, large, 1, a, one, 1, 1, &r, &err));
    fab_volume_unref(b);
    fab_grid sheared = *fab_volume_grid(a);
    sheared.world_from_voxel.m[1][2] = 0.1;
    CHECK_OK(fab_volume_create(&sheared, FAB_U8, &b, &err));
    CHECK_FAILS(FAB_ERR_GEOMETRY, "orthogonal", fab_evaluate(b, one, 1, b, one, 1, 1, &r, &err));
    fab_volume_unref(a);
    fab_volume_unref(b);
    fab_volume_unref(f);
}

/* ---- against a direct computation ------------------------------------------------------- */

/* Boxes only: their surface elements are faces, edges and corners, whose areas are known in closed
 * form. The other shapes of cell are checked by tests/interop/evaluate.py. */
typedef struct point {
    double at[3], area;
} point;

static bool inside_box(const int low[3], const int high[3], int i, int j, int k)
{
    return i >= low[0] && i < high[0] && j >= low[1] && j < high[1] && k >= low[2] && k < high[2];
}

/* Surface points of a box: corner, edge or face elements by how many axes have an end there. */
static size_t box_points(const int low[3], const int high[3], const double s[3], point *out)
{
    size_t n = 0;
    for (int k = low[2]; k <= high[2]; k++)
        for (int j = low[1]; j <= high[1]; j++)
            for (int i = low[0]; i <= high[0]; i++) {
                int p[3] = {i, j, k}, ends = 0;
                double face[3] = {s[1] * s[2], s[0] * s[2], s[0] * s[1]}, sum = 0;
                for (int a = 0; a < 3; a++) ends += p[a] == low[a] || p[a] == high[a];
                if (!ends) continue;
                for (int a = 0; a < 3; a++)
                    if (p[a] == low[a] || p[a] == high[a]) sum += face[a] * face[a];
                /* a face is whole; an edge is a rectangle with sides of half steps; a corner a
                 * triangle through three half steps */
                double share = ends == 1 ? 1 : ends == 2 ? 0.5 : 0.125;
                out[n++] = (point){{i * s[0], j * s[1], k * s[2]}, share * sqrt(sum)};
            }
    return n;
}

static double nearest(const point *p, const point *of, size_t n)
{
    double best = INFINITY;
    for (size_t i = 0; i < n; i++) {
        double d = 0;
        for (int a = 0; a < 3; a++) d += pow(p->at[a] - of[i].at[a], 2);
        best = fmin(best, d);
    }
    return sqrt(best);
}

static int point_order(const void *a, const void *b)
{
    double x = ((const point *)a)->at[0], y = ((const point *)b)->at[0];
    return (x > y) - (x < y);
}

/* Sums of one direction; at[0] becomes the distance. */
static double direct(point *from, size_t n, const point *to, size_t m, double tolerance,
                     double *area, double *moment, double *near)
{
    double total = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        double d = nearest(&from[i], to, m);
        from[i].at[0] = d;
        total += from[i].area;
        *moment += d * from[i].area;
        if (d <= tolerance + 1e-9) *near += from[i].area;
    }
    *area += total;
    qsort(from, n, sizeof *from, point_order);
    for (size_t i = 0; i < n; i++)
        if ((sum += from[i].area) >= 0.95 * total) return from[i].at[0];
    return NAN;
}

static void boxes_against_direct_sums(void)
{
    static point pa[4000], pb[4000], qa[4000], qb[4000];
    fab_rng rng;
    fab_rng_seed(&rng, 11, 0);
    for (int round = 0; round < 60; round++) {
        double s[3];
        int low[2][3], high[2][3], n[3] = {14, 12, 11};
        for (int a = 0; a < 3; a++) s[a] = fab_rng_range(&rng, 0.4, 3);
        fab_volume *v[2];
        for (int w = 0; w < 2; w++) {
            v[w] = empty(n[0], n[1], n[2], s, FAB_U8);
            for (int a = 0; a < 3; a++) {
                int most = n[a] - 2; /* at least two voxels along each axis */
                low[w][a] = (int)(fab_rng_u32(&rng) % (uint32_t)(most + 1));
                high[w][a] = low[w][a] + 2 +
                             (int)(fab_rng_u32(&rng) % (uint32_t)(most - low[w][a] + 1));
            }
            fill(v[w], low[w], high[w]);
        }
        double tolerance = fab_rng_range(&rng, 0, 5);
        fab_agreement r = compare(v[0], v[1], tolerance);
        size_t na = box_points(low[0], high[0], s, pa), nb = box_points(low[1], high[1], s, pb);
        memcpy(qa, pa, sizeof pa);
        memcpy(qb, pb, sizeof pb);
        double area = 0, moment = 0, near = 0;
        double h1 = direct(pa, na, qb, nb, tolerance, &area, &moment, &near);
        double h2 = direct(pb, nb, qa, na, tolerance, &area, &moment, &near);
        int64_t both = 0;
        for (int k = 0; k < n[2]; k++)
            for (int j = 0; j < n[1]; j++)
                for (int i = 0; i < n[0]; i++)
                    both += inside_box(low[0], high[0], i, j, k) &&
                            inside_box(low[1], high[1], i, j, k);
        CHECK(r.overlap_voxels == both);
        CHECK_NEAR(r.assd_mm, moment / area, 1e-5);
        CHECK_NEAR(r.nsd, near / area, 1e-6);
        CHECK_NEAR(r.hd95_mm, fmax(h1, h2), 1e-5);
        fab_volume_unref(v[0]);
        fab_volume_unref(v[1]);
    }
}

/* A ball in a ball of 5 more in radius. Elements sit on voxel corners in a layer of up to two, and
 * the nearest of the other layer counts, so the measure reads somewhat short by its definition. */
static void concentric_balls(void)
{
    static const double spacing[3] = {1, 1, 1};
    fab_volume *a = empty(70, 70, 70, spacing, FAB_U8), *b = empty(70, 70, 70, spacing, FAB_U8);
    for (int k = 0; k < 70; k++)
        for (int j = 0; j < 70; j++)
            for (int i = 0; i < 70; i++) {
                double r = sqrt(pow(i - 34.5, 2) + pow(j - 34.5, 2) + pow(k - 34.5, 2));
                *voxel(a, i, j, k) = r < 25;
                *voxel(b, i, j, k) = r < 30;
            }
    fab_agreement r = compare(a, b, 2);
    CHECK(r.assd_mm > 4.2 && r.assd_mm < 5);
    CHECK_NEAR(r.hd95_mm, 5, 0.3);
    CHECK(r.nsd == 0);
    fab_volume_unref(a);
    fab_volume_unref(b);
}

static fab_status evaluate_once(void *ctx)
{
    fab_volume **v = ctx;
    fab_agreement r;
    return fab_evaluate(v[0], one, 1, v[1], one, 1, 1, &r, &err);
}

static void survives_failing_memory(void)
{
    static const double spacing[3] = {1, 1, 1};
    fab_volume *v[2] = {empty(9, 9, 9, spacing, FAB_U8), empty(9, 9, 9, spacing, FAB_U8)};
    fill(v[0], (const int[]){2, 2, 2}, (const int[]){6, 6, 6});
    fill(v[1], (const int[]){3, 2, 2}, (const int[]){7, 6, 6});
    fab_test_torture(evaluate_once, v);
    fab_volume_unref(v[0]);
    fab_volume_unref(v[1]);
}

static void threads_change_nothing(void)
{
    static const double spacing[3] = {0.8, 1.3, 2.1};
    fab_volume *a = empty(40, 30, 25, spacing, FAB_U8), *b = empty(40, 30, 25, spacing, FAB_U8);
    fab_rng rng;
    fab_rng_seed(&rng, 3, 3);
    for (int i = 0; i < 40 * 30 * 25; i++) {
        ((uint8_t *)fab_volume_data_mut(a))[i] = fab_rng_u32(&rng) % 3 == 0;
        ((uint8_t *)fab_volume_data_mut(b))[i] = fab_rng_u32(&rng) % 3 == 0;
    }
    fab_threads_set(1);
    fab_agreement x = compare(a, b, 1);
    fab_threads_set(5);
    fab_agreement y = compare(a, b, 1);
    fab_threads_set(0);
    CHECK(!memcmp(&x, &y, sizeof x));
    fab_volume_unref(a);
    fab_volume_unref(b);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(two_voxels_two_mm_apart), TEST(two_blocks_shifted_by_one),
        TEST(a_structure_equals_itself), TEST(a_tolerance_met_exactly_counts), TEST(empty_sides),
        TEST(several_values_make_one_structure), TEST(what_makes_no_sense_is_refused),
        TEST(boxes_against_direct_sums), TEST(concentric_balls), TEST(survives_failing_memory),
        TEST(threads_change_nothing),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
