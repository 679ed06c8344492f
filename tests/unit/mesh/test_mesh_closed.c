/* Every surface of every label map is a closed 2-manifold whose vertices differ as floats. */
#include "mesh_check.h"

static void check_set(const fab_mesh_set *set, const fab_volume *labels)
{
    size_t occurring = 0;
    bool seen[256] = {false};
    const uint8_t *data = fab_volume_data(labels);
    for (size_t i = 0; i < fab_volume_bytes(labels); i++) seen[data[i]] = true;
    for (size_t l = 1; l < 256; l++) occurring += seen[l];
    CHECK(set->count == occurring);
    for (size_t s = 0; s < set->count; s++) {
        const fab_mesh *m = &set->items[s];
        CHECK(m->label > 0 && m->label < 256 && seen[m->label]);
        CHECK(s == 0 || m->label > set->items[s - 1].label);
        CHECK(edges_closed(m));
        CHECK(fans_single(m));
        CHECK(positions_distinct(m));
        CHECK(signed_volume(m) > 0);
    }
}

static void check_volume(fab_volume *labels, int smoothing)
{
    fab_error err;
    fab_mesh_options o;
    fab_mesh_options_default(&o);
    o.smoothing_iterations = smoothing;
    fab_mesh_set set = {0};
    CHECK_OK(fab_mesh_extract(labels, NULL, &o, &set, &err));
    check_set(&set, labels);
    fab_mesh_set_free(&set);
}

static void every_2x2x2(void)
{
    for (int mask = 1; mask < 256; mask++) {
        fab_volume *v = make_labels(2, 2, 2, NULL);
        for (int c = 0; c < 8; c++) *voxel_at(v, c & 1, c >> 1 & 1, c >> 2) = mask >> c & 1;
        check_volume(v, mask % 2 * 5);
        fab_volume_unref(v);
    }
}

/* Two 4-bit layers around each of the 16 middle layers: all neighbours of an ambiguous face. */
static void every_2x2x3(void)
{
    for (int mask = 1; mask < 4096; mask++) {
        fab_volume *v = make_labels(4, 4, 5, NULL);
        for (int c = 0; c < 12; c++)
            *voxel_at(v, 1 + (c & 1), 1 + (c >> 1 & 1), 1 + (c >> 2)) = mask >> c & 1;
        check_volume(v, 0);
        fab_volume_unref(v);
        v = make_labels(4, 4, 5, NULL); /* the same as a hollow */
        memset(fab_volume_data_mut(v), 1, fab_volume_bytes(v));
        for (int c = 0; c < 12; c++)
            *voxel_at(v, 1 + (c & 1), 1 + (c >> 1 & 1), 1 + (c >> 2)) = !(mask >> c & 1);
        check_volume(v, 3);
        fab_volume_unref(v);
    }
}

static void random_noise(void)
{
    fab_rng rng;
    fab_rng_seed(&rng, 7, 1);
    for (int round = 0; round < 300; round++) {
        int n[3];
        for (int a = 0; a < 3; a++) n[a] = 1 + (int)(fab_rng_u32(&rng) % 12);
        uint32_t labels = 1 + fab_rng_u32(&rng) % 6;
        double fill = fab_rng_range(&rng, 0.05, 1.0);
        fab_volume *v = make_labels(n[0], n[1], n[2], NULL);
        *voxel_at(v, 0, 0, 0) = 1;
        uint8_t *data = fab_volume_data_mut(v);
        for (size_t i = 0; i < fab_volume_bytes(v); i++)
            if (fab_rng_uniform(&rng) < fill)
                data[i] = (uint8_t)(1 + fab_rng_u32(&rng) % labels);
        check_volume(v, round % 3 * 10);
        fab_volume_unref(v);
    }
}

static void checkerboards(void)
{
    for (int labels = 1; labels <= 4; labels++) {
        fab_volume *v = make_labels(9, 8, 7, NULL);
        for (int k = 0; k < 7; k++)
            for (int j = 0; j < 8; j++)
                for (int i = 0; i < 9; i++)
                    *voxel_at(v, i, j, k) =
                        (uint8_t)(labels == 1 ? (i + j + k) & 1 : 1 + (i + j + k) % labels);
        check_volume(v, 0);
        check_volume(v, 20);
        fab_volume_unref(v);
    }
}

static void tiny_volumes(void)
{
    static const int size[][3] = {{1, 1, 1}, {1, 1, 2}, {1, 5, 1}, {3, 1, 2}, {1, 9, 9}};
    for (size_t s = 0; s < sizeof size / sizeof *size; s++) {
        fab_volume *v = make_labels(size[s][0], size[s][1], size[s][2], NULL);
        check_volume(v, 20); /* nothing there: no meshes */
        memset(fab_volume_data_mut(v), 3, fab_volume_bytes(v));
        check_volume(v, 20);
        fab_volume_unref(v);
    }
}

static void structures_in_the_corners(void)
{
    fab_volume *v = make_labels(6, 5, 7, NULL);
    for (int c = 0; c < 8; c++)
        *voxel_at(v, (c & 1) * 5, (c >> 1 & 1) * 4, (c >> 2) * 6) = (uint8_t)(c + 1);
    check_volume(v, 20);
    fab_volume_unref(v);
}

/* Blobs of several labels: what anatomy looks like, with thin and diagonal contacts. */
static void random_blobs(void)
{
    fab_rng rng;
    fab_rng_seed(&rng, 11, 2);
    for (int round = 0; round < 20; round++) {
        fab_volume *v = make_labels(30, 28, 26, NULL);
        for (int b = 0; b < 40; b++) {
            double c[3], r = fab_rng_range(&rng, 0.5, 7);
            for (int a = 0; a < 3; a++) c[a] = fab_rng_range(&rng, -2, 31);
            uint8_t label = (uint8_t)(fab_rng_u32(&rng) % 9);
            for (int k = 0; k < 26; k++)
                for (int j = 0; j < 28; j++)
                    for (int i = 0; i < 30; i++)
                        if (hypot(hypot(i - c[0], j - c[1]), k - c[2]) < r)
                            *voxel_at(v, i, j, k) = label;
        }
        check_volume(v, 20);
        fab_volume_unref(v);
    }
}

static void admesh_agrees(void)
{
    if (system("admesh --version >/dev/null 2>&1") != 0) SKIP("admesh is not installed");
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES + 32], command[9000];
    fab_error err;
    fab_rng rng;
    fab_rng_seed(&rng, 5, 3);
    CHECK(fab_test_folder(folder));
    double c = cos(0.4), s = sin(0.4);
    fab_mat34 map = {{{0.7 * c, -0.9 * s, 0, 512.3}, {0.7 * s, 0.9 * c, 0, -733}, {0, 0, 2, 91}}};
    fab_volume *v = make_labels(24, 20, 16, &map);
    uint8_t *data = fab_volume_data_mut(v);
    for (size_t i = 0; i < fab_volume_bytes(v); i++) data[i] = (uint8_t)(fab_rng_u32(&rng) % 5);
    fab_mesh_set set = {0};
    CHECK_OK(fab_mesh_extract(v, NULL, NULL, &set, &err));
    CHECK(set.count == 4);
    for (size_t m = 0; m < set.count; m++) {
        snprintf(path, sizeof path, "%s/%zu.stl", folder, m);
        write_stl(&set.items[m], path);
        snprintf(command, sizeof command,
                 "admesh '%s' | awk '/Total number of facets/ {t = $7} /Facets with/ {if ($(NF-1) "
                 "!= 0 && $NF != 0) bad = 1} /Degenerate facets|Edges fixed|Facets removed|Facets "
                 "added|Facets reversed|Backwards edges|Total disconnected facets/ {for (i = 1; i "
                 "<= NF; i++) if ($i == \":\" && $(i+1) + 0 != 0) bad = 1} END {exit bad}'", path);
        CHECK(system(command) == 0);
    }
    fab_mesh_set_free(&set);
    fab_volume_unref(v);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    fab_test tests[] = {TEST(every_2x2x2), TEST(every_2x2x3), TEST(random_noise),
                        TEST(checkerboards), TEST(tiny_volumes), TEST(structures_in_the_corners),
                        TEST(random_blobs), TEST(admesh_agrees)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
