/* Unit tests of geometry, voxels and label maps. */
#include <float.h>

#include "fabrica/volume.h"
#include "harness.h"

static fab_grid oblique_grid(void)
{
    /* 20 degrees about x, then 10 about z, spacing 0.8 x 0.9 x 2.5, left-handed third axis */
    double a = 0.349, b = 0.1745, s[3] = {0.8, 0.9, -2.5};
    double r[3][3] = {{cos(b), -sin(b) * cos(a), sin(b) * sin(a)},
                      {sin(b), cos(b) * cos(a), -cos(b) * sin(a)},
                      {0, sin(a), cos(a)}};
    fab_grid g = {.size = {13, 11, 7}};
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) g.world_from_voxel.m[i][j] = r[i][j] * s[j];
        g.world_from_voxel.m[i][3] = 10.0 * i - 40;
    }
    return g;
}

static fab_grid simple_grid(int nx, int ny, int nz)
{
    return (fab_grid){{nx, ny, nz}, {{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}}};
}

static void inverse_undoes_the_matrix(void)
{
    fab_error err;
    fab_grid g = oblique_grid();
    fab_mat34 inverse;
    CHECK_OK(fab_mat34_invert(&g.world_from_voxel, &inverse, &err));
    fab_mat34 one = fab_mat34_multiply(&inverse, &g.world_from_voxel);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) CHECK_NEAR(one.m[i][j], i == j, 1e-12);
    fab_mat34 flat = {{{1, 0, 1, 0}, {0, 1, 0, 0}, {1, 0, 1, 0}}};
    CHECK_FAILS(FAB_ERR_GEOMETRY, "inverted", fab_mat34_invert(&flat, &inverse, &err));
}

static void bad_grids_are_refused_by_name(void)
{
    fab_error err;
    fab_grid g = simple_grid(4, 4, 4);
    CHECK_OK(fab_grid_check(&g, &err));
    g.size[1] = 0;
    CHECK_FAILS(FAB_ERR_LIMIT, "4 x 0 x 4", fab_grid_check(&g, &err));
    g = simple_grid(4, 4, 4);
    g.world_from_voxel.m[2][1] = NAN;
    CHECK_FAILS(FAB_ERR_GEOMETRY, "not finite (row 2, column 1)", fab_grid_check(&g, &err));
    g = simple_grid(4, 4, 4);
    g.world_from_voxel.m[0][0] = 0;
    CHECK_FAILS(FAB_ERR_GEOMETRY, "spacing 0", fab_grid_check(&g, &err));
    g = simple_grid(8192, 8192, 8192);
    CHECK_FAILS(FAB_ERR_LIMIT, "2^32", fab_grid_check(&g, &err));
}

static void canonical_keeps_every_voxel_in_place(void)
{
    fab_error err;
    fab_grid g = oblique_grid();
    fab_volume *v = NULL, *c = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    int16_t *data = fab_volume_data_mut(v);
    for (int i = 0; i < 13 * 11 * 7; i++) data[i] = (int16_t)i;
    CHECK_OK(fab_volume_canonical(v, &c, &err));
    char code[4];
    fab_grid_orientation(&g, code);
    CHECK(strcmp(code, "LPI") == 0);
    fab_grid_orientation(fab_volume_grid(c), code);
    CHECK(strcmp(code, "LPS") == 0);
    const fab_grid *cg = fab_volume_grid(c);
    fab_mat34 inverse;
    CHECK_OK(fab_mat34_invert(&g.world_from_voxel, &inverse, &err));
    for (int k = 0; k < cg->size[2]; k++)
        for (int j = 0; j < cg->size[1]; j++)
            for (int i = 0; i < cg->size[0]; i++) {
                double p[3] = {i, j, k};
                fab_mat34_apply(&cg->world_from_voxel, p, p);
                fab_mat34_apply(&inverse, p, p);
                double want = fab_volume_get(v, (int)lround(p[0]), (int)lround(p[1]),
                                             (int)lround(p[2]));
                CHECK(fab_volume_get(c, i, j, k) == want);
            }
    fab_volume_unref(v);
    fab_volume_unref(c);
}

static void crop_moves_the_origin(void)
{
    fab_error err;
    fab_grid g = oblique_grid();
    fab_volume *v = NULL, *c = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_F32, &v, &err));
    float *data = fab_volume_data_mut(v);
    for (int i = 0; i < 13 * 11 * 7; i++) data[i] = (float)i;
    CHECK_OK(fab_volume_crop(v, (int32_t[]){2, 3, 4}, (int32_t[]){5, 4, 3}, &c, &err));
    CHECK(fab_volume_get(c, 1, 2, 1) == fab_volume_get(v, 3, 5, 5));
    double a[3] = {1, 2, 1}, b[3] = {3, 5, 5};
    fab_mat34_apply(&fab_volume_grid(c)->world_from_voxel, a, a);
    fab_mat34_apply(&g.world_from_voxel, b, b);
    for (int i = 0; i < 3; i++) CHECK_NEAR(a[i], b[i], 1e-9);
    CHECK_FAILS(FAB_ERR_ARG, "crop",
                fab_volume_crop(v, (int32_t[]){9, 0, 0}, (int32_t[]){5, 1, 1}, &c, &err));
    fab_volume_unref(c);
    fab_volume_unref(v);
}

static void linear_resampling_is_exact_on_linear_functions(void)
{
    fab_error err;
    fab_grid g = oblique_grid(), to;
    fab_volume *v = NULL, *r = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_F32, &v, &err));
    float *data = fab_volume_data_mut(v);
    for (int k = 0, at = 0; k < 7; k++)
        for (int j = 0; j < 11; j++)
            for (int i = 0; i < 13; i++, at++) {
                double p[3] = {i, j, k};
                fab_mat34_apply(&g.world_from_voxel, p, p);
                data[at] = (float)(0.3 * p[0] - 0.2 * p[1] + 0.1 * p[2]);
            }
    CHECK_OK(fab_grid_axis_aligned(&g, (double[]){1, 1, 1}, &to, &err));
    CHECK_OK(fab_volume_resample(v, &to, FAB_LINEAR, -999, &r, &err));
    fab_mat34 inverse;
    CHECK_OK(fab_mat34_invert(&g.world_from_voxel, &inverse, &err));
    int inside = 0, outside = 0;
    for (int k = 0; k < to.size[2]; k++)
        for (int j = 0; j < to.size[1]; j++)
            for (int i = 0; i < to.size[0]; i++) {
                double p[3] = {i, j, k}, q[3];
                fab_mat34_apply(&to.world_from_voxel, p, p);
                fab_mat34_apply(&inverse, p, q);
                bool interior = true, beyond = false;
                for (int a = 0; a < 3; a++) {
                    if (q[a] < 0 || q[a] > g.size[a] - 1) interior = false;
                    if (q[a] < -0.51 || q[a] > g.size[a] - 0.49) beyond = true;
                }
                double got = fab_volume_get(r, i, j, k);
                if (interior) CHECK_NEAR(got, 0.3 * p[0] - 0.2 * p[1] + 0.1 * p[2], 1e-4);
                if (beyond) CHECK(got == -999);
                inside += interior;
                outside += beyond;
            }
    CHECK(inside > 500 && outside > 100);
    fab_volume_unref(v);
    fab_volume_unref(r);
}

static void gaussian_keeps_mass_and_has_its_sigma(void)
{
    fab_error err;
    fab_grid g = simple_grid(61, 41, 41);
    fab_volume *v = NULL, *r = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_F32, &v, &err));
    ((float *)fab_volume_data_mut(v))[30 + 61 * (20 + 41 * 20)] = 1000;
    CHECK_OK(fab_volume_gaussian(v, (double[]){3, 2, 0}, &r, &err));
    double mass = 0, x2 = 0, y2 = 0, z2 = 0;
    for (int k = 0; k < 41; k++)
        for (int j = 0; j < 41; j++)
            for (int i = 0; i < 61; i++) {
                double w = fab_volume_get(r, i, j, k);
                mass += w;
                x2 += w * (i - 30) * (i - 30);
                y2 += w * (j - 20) * (j - 20);
                z2 += w * (k - 20) * (k - 20);
            }
    CHECK_NEAR(mass, 1000, 0.01);
    CHECK_NEAR(sqrt(x2 / mass), 3, 0.06);
    CHECK_NEAR(sqrt(y2 / mass), 2, 0.06);
    CHECK_NEAR(z2, 0, 1e-6);
    fab_volume_unref(v);
    fab_volume_unref(r);
}

static fab_volume *random_labels(int nx, int ny, int nz, uint64_t seed, double density)
{
    fab_grid g = simple_grid(nx, ny, nz);
    g.world_from_voxel.m[1][1] = 1.5;
    g.world_from_voxel.m[2][2] = 2.25;
    fab_volume *v = NULL;
    fab_error err;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    uint8_t *data = fab_volume_data_mut(v);
    fab_rng rng;
    fab_rng_seed(&rng, seed, 1);
    for (int i = 0; i < nx * ny * nz; i++) data[i] = fab_rng_uniform(&rng) < density;
    return v;
}

static void distance_equals_brute_force(void)
{
    fab_error err;
    for (uint64_t seed = 0; seed < 6; seed++) {
        fab_volume *v = random_labels(9, 8, 7, seed, seed == 5 ? 0 : 0.03), *d = NULL;
        CHECK_OK(fab_labels_distance(v, 1, false, &d, &err));
        for (int at = 0; at < 9 * 8 * 7; at++) {
            int i = at % 9, j = at / 9 % 8, k = at / 72;
            double best = DBL_MAX;
            for (int other = 0; other < 9 * 8 * 7; other++) {
                if (!((const uint8_t *)fab_volume_data(v))[other]) continue;
                double dx = i - other % 9, dy = 1.5 * (j - other / 9 % 8);
                double dz = 2.25 * (k - other / 72);
                best = fmin(best, sqrt(dx * dx + dy * dy + dz * dz));
            }
            double got = fab_volume_get(d, i, j, k);
            if (best == DBL_MAX) CHECK(got == (double)FLT_MAX);
            else CHECK_NEAR(got, best, 1e-5);
        }
        fab_volume_unref(v);
        fab_volume_unref(d);
    }
}

static void within_equals_the_distance(void)
{
    static const double reaches[] = {0, 0.9, 1, 1.5, 2.25, 3.2, 7, 100};
    fab_error err;
    for (uint64_t seed = 0; seed < 6; seed++)
        for (size_t k = 0; k < sizeof reaches / sizeof *reaches; k++) {
            fab_volume *v = random_labels(9, 8, 7, seed, seed == 5 ? 0 : 0.03);
            fab_volume *d = NULL, *near = NULL;
            CHECK_OK(fab_labels_distance(v, 1, false, &d, &err));
            CHECK_OK(fab_labels_within(v, 1, reaches[k], &near, &err));
            for (int at = 0; at < 9 * 8 * 7; at++) {
                const bool in = (double)((const float *)fab_volume_data(d))[at] <= reaches[k];
                CHECK(((const uint8_t *)fab_volume_data(near))[at] == in);
            }
            fab_volume_unref(v);
            fab_volume_unref(d);
            fab_volume_unref(near);
        }
    fab_volume *v = random_labels(3, 3, 3, 1, 0.5), *near = NULL;
    CHECK(fab_labels_within(v, 1, -1, &near, &err) == FAB_ERR_ARG);
    CHECK(fab_labels_within(v, 1, (double)NAN, &near, &err) == FAB_ERR_ARG);
    fab_volume_unref(v);
}

/* Reference: flood fill. Fills `to` with 1-based ids in scan order; returns how many. */
static int flood_fill(const uint8_t *in, int *to, const int n[3], bool face)
{
    static int stack[4096];
    int count = 0, total = n[0] * n[1] * n[2];
    memset(to, 0, (size_t)total * sizeof *to);
    for (int seed = 0; seed < total; seed++) {
        if (!in[seed] || to[seed]) continue;
        int top = 0;
        to[seed] = ++count;
        stack[top++] = seed;
        while (top) {
            int at = stack[--top], c[3] = {at % n[0], at / n[0] % n[1], at / n[0] / n[1]};
            for (int o = 0; o < 27; o++) {
                int d[3] = {o % 3 - 1, o / 3 % 3 - 1, o / 9 - 1}, q[3], ok = 1;
                if (face && abs(d[0]) + abs(d[1]) + abs(d[2]) != 1) continue;
                for (int a = 0; a < 3; a++) {
                    q[a] = c[a] + d[a];
                    if (q[a] < 0 || q[a] >= n[a]) ok = 0;
                }
                int next = q[0] + n[0] * (q[1] + n[1] * q[2]);
                if (!ok || !in[next] || to[next]) continue;
                to[next] = count;
                stack[top++] = next;
            }
        }
    }
    return count;
}

/* A piece against the voxels of the component with its number. */
static void check_piece(const fab_volume *components, int32_t id, const fab_label_piece *piece)
{
    fab_label_piece p = {.low = {99, 99, 99}, .high = {-1, -1, -1}};
    const int32_t *got = fab_volume_data(components);
    for (int i = 0; i < 12 * 9 * 8; i++) {
        const int at[3] = {i % 12, i / 12 % 9, i / 108};
        if (got[i] != id) continue;
        p.voxels++;
        for (int a = 0; a < 3; a++) {
            p.low[a] = at[a] < p.low[a] ? at[a] : p.low[a];
            p.high[a] = at[a] > p.high[a] ? at[a] : p.high[a];
            p.centroid_voxel[a] += at[a];
        }
    }
    CHECK(p.voxels == piece->voxels);
    for (int a = 0; a < 3; a++) {
        CHECK(p.low[a] == piece->low[a] && p.high[a] == piece->high[a]);
        CHECK_NEAR(p.centroid_voxel[a] / (double)p.voxels, piece->centroid_voxel[a], 1e-12);
    }
}

static void components_equal_flood_fill(void)
{
    fab_error err;
    int n[3] = {12, 9, 8}, reference[12 * 9 * 8];
    for (uint64_t seed = 0; seed < 20; seed++) {
        fab_volume *v = random_labels(12, 9, 8, seed, 0.02 + 0.04 * (double)(seed % 10)), *c = NULL;
        bool face = seed & 1;
        int32_t count = 0;
        int64_t *sizes = NULL;
        CHECK_OK(fab_labels_components(v, 1, face, &c, &count, &sizes, &err));
        CHECK(count == flood_fill(fab_volume_data(v), reference, n, face));
        const int32_t *got = fab_volume_data(c);
        fab_label_stats where[2];
        int32_t again = 0;
        fab_label_piece *pieces = NULL;
        CHECK_OK(fab_labels_stats(v, 2, where, &err));
        CHECK_OK(fab_labels_pieces(v, &where[1], 1, face, &again, &pieces, &err));
        CHECK(again == count);
        for (int32_t id = 1; id <= count; id++) check_piece(c, id, &pieces[id - 1]);
        fab_free(pieces);
        int32_t map[1000] = {0};
        int64_t seen[1000] = {0};
        for (int i = 0; i < 12 * 9 * 8; i++) {
            CHECK((reference[i] == 0) == (got[i] == 0));
            if (!reference[i]) continue;
            if (!map[reference[i]]) map[reference[i]] = got[i];
            CHECK(map[reference[i]] == got[i]);
            seen[got[i]]++;
        }
        for (int32_t id = 1; id <= count; id++) {
            CHECK(seen[id] == sizes[id - 1]);
            CHECK(id == 1 || sizes[id - 1] <= sizes[id - 2]);
        }
        fab_free(sizes);
        fab_volume_unref(v);
        fab_volume_unref(c);
    }
}

/* Two values taken together; what is kept keeps its own value. */
static void kept_components_equal_flood_fill(void)
{
    static const bool member[4] = {false, true, false, true};
    fab_error err;
    int n[3] = {12, 9, 8}, reference[12 * 9 * 8];
    for (uint64_t seed = 0; seed < 40; seed++) {
        fab_volume *v = random_labels(12, 9, 8, seed, 0.02 + 0.01 * (double)(seed % 20));
        const fab_component_rule rule = {.face_connected = seed & 1, .largest = seed & 2,
                                         .above = seed & 4 ? 3 : 0};
        const int count = flood_fill(fab_volume_data(v), reference, n, seed & 1);
        uint8_t *data = fab_volume_data_mut(v), before[12 * 9 * 8];
        int64_t sizes[1000] = {0}, most = 0, expected = 0, removed = -1;
        for (int i = 0; i < 12 * 9 * 8; i++) {
            data[i] = before[i] = data[i] == 1 ? (uint8_t)(i % 5 ? 1 : 3) : i % 7 ? 0 : 2;
            sizes[reference[i]]++;
        }
        for (int id = 1; id <= count; id++) most = sizes[id] > most ? sizes[id] : most;
        CHECK_OK(fab_labels_keep_components(v, member, 4, &rule, 9, &removed, &err));
        for (int i = 0; i < 12 * 9 * 8; i++) {
            const int64_t size = sizes[reference[i]];
            const bool kept = !reference[i] ||
                              (size > rule.above && (!rule.largest || size == most));
            CHECK(data[i] == (kept ? before[i] : 9));
            expected += !kept;
        }
        CHECK(removed == expected);
        fab_volume_unref(v);
    }
}

static void components_are_kept_only_in_label_maps(void)
{
    static const bool member[2] = {false, true};
    const fab_component_rule rule = {.largest = true};
    fab_error err;
    fab_grid g = simple_grid(5, 6, 7);
    fab_volume *v = NULL, *image = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    CHECK_OK(fab_volume_create(&g, FAB_F32, &image, &err));
    CHECK(fab_labels_keep_components(image, member, 2, &rule, 0, NULL, &err) < 0);
    CHECK_FAILS(FAB_ERR_ARG, "background 256",
                fab_labels_keep_components(v, member, 2, &rule, 256, NULL, &err));
    fab_volume *shared = fab_volume_ref(v);
    CHECK_FAILS(FAB_ERR_ARG, "is shared",
                fab_labels_keep_components(v, member, 2, &rule, 0, NULL, &err));
    fab_volume_unref(shared);
    fab_volume_unref(v);
    fab_volume_unref(image);
}

static void label_stats_count_and_find_edges(void)
{
    fab_error err;
    fab_grid g = simple_grid(5, 6, 7);
    fab_volume *v = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    uint8_t *data = fab_volume_data_mut(v);
    data[0] = 1;
    data[2 + 5 * (3 + 6 * 3)] = 2;
    data[3 + 5 * (3 + 6 * 3)] = 2;
    fab_label_stats stats[3];
    CHECK_OK(fab_labels_stats(v, 3, stats, &err));
    CHECK(stats[1].voxels == 1 && stats[2].voxels == 2 && stats[0].voxels == 207);
    CHECK_NEAR(stats[2].centroid_voxel[0], 2.5, 1e-12);
    CHECK(stats[1].touches_edge[0] && !stats[1].touches_edge[1] && !stats[2].touches_edge[0]);
    CHECK_FAILS(FAB_ERR_LIMIT, "label value 2", fab_labels_stats(v, 2, stats, &err));
    fab_volume_unref(v);
}

static void conversion_rounds_and_clamps(void)
{
    fab_error err;
    fab_grid g = simple_grid(4, 1, 1);
    fab_volume *v = NULL, *r = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_F32, &v, &err));
    float *data = fab_volume_data_mut(v);
    data[0] = -2.5f, data[1] = 1e9f, data[2] = NAN, data[3] = 2.4f;
    CHECK_OK(fab_volume_convert(v, FAB_I16, &r, &err));
    const int16_t *got = fab_volume_data(r);
    CHECK(got[0] == -3 && got[1] == 32767 && got[2] == 0 && got[3] == 2);
    fab_volume_unref(fab_volume_ref(r));
    CHECK(fab_volume_data_mut(r));
    fab_volume_unref(v);
    fab_volume_unref(r);
}

static fab_status volume_work(void *ctx)
{
    (void)ctx;
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *a = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *b = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *c = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *d = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *e = NULL;
    FAB_AUTO_FREE int64_t *sizes = NULL;
    int32_t n;
    fab_grid g = simple_grid(8, 7, 6);
    FAB_TRY(fab_volume_create(&g, FAB_U8, &v, NULL));
    ((uint8_t *)fab_volume_data_mut(v))[100] = 1;
    FAB_TRY(fab_volume_canonical(v, &a, NULL));
    FAB_TRY(fab_volume_gaussian(v, (double[]){1, 1, 1}, &b, NULL));
    FAB_TRY(fab_labels_components(v, 1, true, &c, &n, &sizes, NULL));
    FAB_TRY(fab_labels_distance(v, 1, false, &d, NULL));
    return fab_labels_within(v, 1, 3, &e, NULL);
}

static void every_allocation_may_fail(void)
{
    fab_test_torture(volume_work, NULL);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(inverse_undoes_the_matrix), TEST(bad_grids_are_refused_by_name),
        TEST(canonical_keeps_every_voxel_in_place), TEST(crop_moves_the_origin),
        TEST(linear_resampling_is_exact_on_linear_functions),
        TEST(gaussian_keeps_mass_and_has_its_sigma), TEST(distance_equals_brute_force),
        TEST(within_equals_the_distance),
        TEST(components_equal_flood_fill), TEST(kept_components_equal_flood_fill),
        TEST(components_are_kept_only_in_label_maps), TEST(label_stats_count_and_find_edges),
        TEST(conversion_rounds_and_clamps), TEST(every_allocation_may_fail)};
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
