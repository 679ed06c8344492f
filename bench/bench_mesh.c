/* bench_mesh.c - meshes of every structure of a raw label map; one JSON line of CPU seconds.
 *
 *   bench_mesh LABELS.u8 nx ny nz sx sy sz [budget]
 */
#include "harness.h"

#include "fabrica/mesh.h"

static size_t triangles(const fab_mesh_set *set)
{
    size_t n = 0;
    for (size_t m = 0; m < set->count; m++) n += set->items[m].triangle_count;
    return n;
}

static fab_status load(char **argv, fab_volume **out, fab_error *err)
{
    fab_grid g = {0};
    for (int a = 0; a < 3; a++) {
        g.size[a] = atoi(argv[2 + a]);
        g.world_from_voxel.m[a][a] = atof(argv[5 + a]);
    }
    fab_reader reader;
    FAB_TRY(fab_volume_create(&g, FAB_U8, out, err));
    FAB_TRY(fab_reader_open_file(argv[1], &reader, err));
    fab_status status =
        fab_reader_read(&reader, 0, fab_volume_data_mut(*out), fab_volume_bytes(*out), err);
    fab_reader_close(&reader);
    return status;
}

int main(int argc, char **argv)
{
    fab_error err;
    fab_volume *labels = NULL;
    fab_mesh_set set = {0}, less = {0};
    if (argc < 8) {
        fprintf(stderr, "bench_mesh LABELS.u8 nx ny nz sx sy sz [budget]\n");
        return 2;
    }
    fab_status status = load(argv, &labels, &err);
    double cpu = fab_time_cpu_s(), wall = fab_time_wall_s(), cpu_simplify = 0;
    if (status >= 0) status = fab_mesh_extract(labels, NULL, NULL, &set, &err);
    double cpu_extract = fab_time_cpu_s() - cpu, wall_extract = fab_time_wall_s() - wall;
    uint64_t peak = fab_peak_rss_bytes();
    if (status >= 0 && argc > 8) {
        cpu = fab_time_cpu_s();
        status = fab_mesh_simplify(&set, (uint32_t)atoi(argv[8]), 0, &less, &err);
        cpu_simplify = fab_time_cpu_s() - cpu;
    }
    if (status < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("{\"structures\": %zu, \"triangles\": %zu, \"cpu_s\": %.3f, \"wall_s\": %.3f, "
           "\"peak_rss_mb\": %.0f, \"simplified\": %zu, \"cpu_simplify_s\": %.3f}\n", set.count,
           triangles(&set), cpu_extract, wall_extract, (double)peak / 1e6, triangles(&less),
           cpu_simplify);
    fab_mesh_set_free(&set);
    fab_mesh_set_free(&less);
    fab_volume_unref(labels);
    return 0;
}
