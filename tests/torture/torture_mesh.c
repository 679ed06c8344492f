/* torture_mesh.c - every allocation of extracting, simplifying and measuring fails once. */
#include "harness.h"

#include "fabrica/mesh.h"

static fab_status whole_chain(void *ctx)
{
    fab_error err;
    fab_mesh_options o;
    fab_mesh_options_default(&o);
    o.smoothing_iterations = 6;
    o.max_volume_error_percent = 0.05; /* so that the borders are solved for */
    fab_mesh_set set = {0}, less = {0};
    fab_status s = fab_mesh_extract(ctx, NULL, &o, &set, &err);
    fab_mesh_set levels[2] = {{0}};
    const fab_mesh_level wanted[2] = {{1200, 0}, {600, 0}};
    if (s == FAB_OK) s = fab_mesh_simplify_levels(&set, wanted, 2, levels, &err);
    less = levels[0];
    fab_mesh_set_free(&levels[1]);
    fab_mesh_report report;
    if (s == FAB_OK) s = fab_mesh_measure(&less.items[0], ctx, &report, &err);
    if (s == FAB_OK) s = fab_mesh_compute_normals(&less.items[1], &err);
    CHECK(s != FAB_OK || (less.count == 2 && report.closed && report.manifold));
    fab_mesh_set_free(&set);
    fab_mesh_set_free(&less);
    return s;
}

static void every_allocation_fails_once(void)
{
    fab_error err;
    fab_volume *v = NULL;
    fab_grid g = {.size = {20, 18, 16}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 1.5;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    uint8_t *data = fab_volume_data_mut(v);
    for (int n = 0; n < 20 * 18 * 16; n++) {
        int i = n % 20, j = n / 20 % 18, k = n / 360;
        data[n] = (uint8_t)(hypot(hypot(i - 10, j - 9), k - 6) < 7.7 ? 1 + (i + j > 20) : 0);
    }
    fab_threads_set(1);
    fab_test_torture(whole_chain, v);
    fab_volume_unref(v);
}

int main(void)
{
    fab_test tests[] = {TEST(every_allocation_fails_once)};
    return fab_test_run(tests, 1);
}
