/* Simplified sets keep every mesh closed, borders shut, caps flat, volumes; and measuring finds
 * what is wrong with a mesh that is wrong. */
#include "mesh_check.h"

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, 9 * sizeof(float));
}

/* Triangles as nine floats, smallest corner first, turned round if asked; sorted. */
static float (*keys(const fab_mesh *m, bool turned))[9]
{
    float(*key)[9] = malloc((m->triangle_count + 1) * sizeof *key);
    for (size_t t = 0; t < m->triangle_count; t++) {
        const float *p[3];
        size_t first = 0;
        for (size_t c = 0; c < 3; c++) p[c] = m->position + (size_t)m->index[t * 3 + c] * 3;
        for (size_t c = 1; c < 3; c++)
            if (compare_points(p[c], p[first]) < 0) first = c;
        for (size_t c = 0; c < 3; c++)
            memcpy(key[t] + c * 3, p[(first + (turned ? 3 - c : c)) % 3], 12);
    }
    qsort(key, m->triangle_count, sizeof *key, compare_keys);
    return key;
}

static size_t shared_triangles(const fab_mesh *a, const fab_mesh *b)
{
    float(*x)[9] = keys(a, false), (*y)[9] = keys(b, true);
    size_t i = 0, j = 0, shared = 0;
    while (i < a->triangle_count && j < b->triangle_count) {
        int order = memcmp(x[i], y[j], sizeof *x);
        shared += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    free(x);
    free(y);
    return shared;
}

/* Four parts of a ball that is cut off by the volume's lower face, and a bead. */
static fab_volume *body(void)
{
    fab_volume *v = make_labels(48, 48, 40, NULL);
    for (int k = 0; k < 40; k++)
        for (int j = 0; j < 48; j++)
            for (int i = 0; i < 48; i++) {
                double r = hypot(hypot(i - 23.4, j - 23.6), k - 14.2);
                uint8_t label = r < 9 ? 4 : (uint8_t)(i + k / 3 < 29 ? 1 : 2 + (j > 25));
                *voxel_at(v, i, j, k) = r < 20 ? label : 0;
                if (hypot(hypot(i - 6, j - 6), k - 34) < 3.3) *voxel_at(v, i, j, k) = 5;
            }
    return v;
}

static void check_simplified(uint32_t budget, double error_mm, fab_status expected)
{
    fab_error err;
    fab_volume *v = body();
    fab_mesh_set full = {0}, less = {0};
    CHECK_OK(fab_mesh_extract(v, NULL, NULL, &full, &err));
    CHECK(fab_mesh_simplify(&full, budget, error_mm, &less, &err) == expected);
    CHECK(less.count == full.count && full.count == 5);
    size_t total = 0, before = 0;
    for (size_t m = 0; m < less.count; m++) {
        const fab_mesh *mesh = &less.items[m];
        fab_mesh_report r, was;
        total += mesh->triangle_count;
        before += full.items[m].triangle_count;
        CHECK(mesh->label == full.items[m].label);
        CHECK(edges_closed(mesh) && fans_single(mesh) && positions_distinct(mesh));
        CHECK_OK(fab_mesh_measure(mesh, v, &r, &err));
        CHECK_OK(fab_mesh_measure(&full.items[m], v, &was, &err));
        CHECK(r.closed && r.manifold && r.degenerate == 0 && was.closed && was.manifold);
        CHECK(r.components == was.components && r.genus == was.genus);
        CHECK_NEAR(r.volume_error_percent, 0, 0.6);
        CHECK(r.hd95_mm < 1.0);
        for (size_t t = 0; t < mesh->triangle_count; t++)
            for (size_t c = 0; mesh->flags[t] & FAB_TRI_SCAN_EDGE && c < 3; c++)
                CHECK(mesh->position[(size_t)mesh->index[t * 3 + c] * 3 + 2] == -0.5f);
    }
    CHECK(expected == FAB_OK && budget ? total <= budget : total < before);
    for (size_t a = 0; a < less.count; a++) { /* no gap: who touched still touches, fully */
        size_t mine = 0, whole = 0;
        for (size_t b = 0; b < less.count; b++) {
            if (a == b) continue;
            mine += shared_triangles(&less.items[a], &less.items[b]);
            whole += shared_triangles(&full.items[a], &full.items[b]);
        }
        CHECK((mine > 0) == (whole > 0));
        if (less.items[a].label == 4) CHECK(mine == less.items[a].triangle_count);
    }
    fab_mesh_set_free(&full);
    fab_mesh_set_free(&less);
    fab_volume_unref(v);
}

static void to_a_budget(void) { check_simplified(3000, 0, FAB_OK); }
static void to_an_error(void) { check_simplified(0, 0.1, FAB_OK); }
static void over_budget(void) { check_simplified(100, 0.05, FAB_MESH_OVER_BUDGET); }

static size_t triangles_of(const fab_mesh_set *set)
{
    size_t n = 0;
    for (size_t m = 0; m < set->count; m++) n += set->items[m].triangle_count;
    return n;
}

/* The first of several levels is what simplifying to it alone gives; the others keep their promises
 * against the full set; what cannot be reached is said, and the levels are there all the same. */
static void levels_go_on(void)
{
    fab_error err;
    fab_volume *v = body();
    fab_mesh_set full = {0}, alone = {0}, level[3] = {{0}};
    const fab_mesh_level wanted[3] = {{3000, 0}, {1200, 0}, {20, 0.5}};
    CHECK_OK(fab_mesh_extract(v, NULL, NULL, &full, &err));
    CHECK_OK(fab_mesh_simplify(&full, 3000, 0, &alone, &err));
    CHECK(fab_mesh_simplify_levels(&full, wanted, 3, level, &err) == FAB_MESH_OVER_BUDGET);
    CHECK(triangles_of(&level[0]) <= 3000 && triangles_of(&level[1]) <= 1200);
    CHECK(triangles_of(&level[2]) > 20 && triangles_of(&level[2]) <= triangles_of(&level[1]));
    for (size_t m = 0; m < full.count; m++) {
        const fab_mesh *a = &alone.items[m], *b = &level[0].items[m];
        CHECK(a->triangle_count == b->triangle_count && a->vertex_count == b->vertex_count);
        CHECK(memcmp(a->position, b->position, a->vertex_count * 12) == 0);
        CHECK(memcmp(a->index, b->index, a->triangle_count * 12) == 0);
        for (int l = 0; l < 3; l++) {
            fab_mesh_report r;
            const fab_mesh *mesh = &level[l].items[m];
            CHECK_OK(fab_mesh_measure(mesh, v, &r, &err));
            CHECK(r.closed && r.manifold && r.degenerate == 0 && edges_closed(mesh));
            CHECK_NEAR(r.volume_error_percent, 0, l == 2 ? 3 : 0.6);
            CHECK(r.hd95_mm < (l == 2 ? 2 : 1.2));
        }
    }
    const fab_mesh_level bad[2] = {{100, 0}, {50, -1}};
    fab_mesh_set none[2] = {{0}};
    CHECK(fab_mesh_simplify_levels(&full, bad, 2, none, &err) == FAB_ERR_ARG && !none[0].items);
    CHECK(fab_mesh_simplify_levels(&full, bad, 99, none, &err) == FAB_ERR_LIMIT);
    for (int l = 0; l < 3; l++) fab_mesh_set_free(&level[l]);
    fab_mesh_set_free(&alone);
    fab_mesh_set_free(&full);
    fab_volume_unref(v);
}

/* Blocks of four labels in a ball that the volume's lower face cuts: its many small borders meet in
 * corners, which hold more triangles than the budget has. */
static void corners_are_not_in_the_way(void)
{
    enum { BLOCK = 5, BUDGET = 4000 };
    fab_error err;
    fab_rng rng;
    uint8_t label[10][10][10];
    fab_volume *v = make_labels(48, 48, 40, NULL);
    fab_mesh_set full = {0}, less = {0};
    fab_rng_seed(&rng, 7, 7);
    for (int b = 0; b < 1000; b++)
        label[b / 100][b / 10 % 10][b % 10] = (uint8_t)(1 + fab_rng_u32(&rng) % 4);
    for (int k = 0; k < 40; k++)
        for (int j = 0; j < 48; j++)
            for (int i = 0; i < 48; i++)
                if (hypot(hypot(i - 23.4, j - 23.6), k - 14.2) < 20)
                    *voxel_at(v, i, j, k) = label[k / BLOCK][j / BLOCK][i / BLOCK];
    CHECK_OK(fab_mesh_extract(v, NULL, NULL, &full, &err));
    CHECK_OK(fab_mesh_simplify(&full, BUDGET, 0, &less, &err));
    CHECK(triangles_of(&less) <= BUDGET && less.count == 4);
    for (size_t m = 0; m < less.count; m++) {
        const fab_mesh *mesh = &less.items[m];
        fab_mesh_report r;
        CHECK(edges_closed(mesh) && fans_single(mesh) && positions_distinct(mesh));
        CHECK_OK(fab_mesh_measure(mesh, v, &r, &err));
        CHECK(r.degenerate == 0);
        CHECK_NEAR(r.volume_error_percent, 0, 5);
        for (size_t t = 0; t < mesh->triangle_count; t++)
            for (size_t c = 0; mesh->flags[t] & FAB_TRI_SCAN_EDGE && c < 3; c++)
                CHECK(mesh->position[(size_t)mesh->index[t * 3 + c] * 3 + 2] == -0.5f);
    }
    fab_mesh_set_free(&full);
    fab_mesh_set_free(&less);
    fab_volume_unref(v);
}

/* Noise to the bone: nothing may break, however few triangles are asked for. */
static void noise_stays_closed(void)
{
    fab_error err;
    fab_rng rng;
    fab_rng_seed(&rng, 3, 9);
    for (int round = 0; round < 12; round++) {
        fab_volume *v = make_labels(9, 8, 7, NULL);
        uint8_t *data = fab_volume_data_mut(v);
        uint32_t labels = 2 + (uint32_t)round % 5;
        for (size_t i = 0; i < fab_volume_bytes(v); i++)
            data[i] = (uint8_t)(fab_rng_u32(&rng) % labels);
        fab_mesh_options o;
        fab_mesh_options_default(&o);
        o.max_triangles = 4;
        fab_mesh_set set = {0};
        CHECK(fab_mesh_extract(v, NULL, &o, &set, &err) == FAB_MESH_OVER_BUDGET);
        for (size_t m = 0; m < set.count; m++) {
            CHECK(edges_closed(&set.items[m]) && fans_single(&set.items[m]));
            CHECK(positions_distinct(&set.items[m]));
        }
        fab_mesh_set_free(&set);
        fab_volume_unref(v);
    }
}

static void faults_are_found(void)
{
    fab_error err;
    fab_volume *v = body();
    fab_mesh_set set = {0};
    fab_mesh_report r;
    CHECK_OK(fab_mesh_extract(v, NULL, NULL, &set, &err));
    fab_mesh *bead = &set.items[4];
    bead->triangle_count--; /* a hole */
    CHECK_OK(fab_mesh_measure(bead, NULL, &r, &err));
    CHECK(!r.closed && !r.manifold && isnan(r.hd95_mm) && isnan(r.volume_error_percent));
    bead->triangle_count++;
    uint32_t kept = bead->index[0];
    bead->index[0] = bead->index[1]; /* a degenerate triangle */
    CHECK_OK(fab_mesh_measure(bead, NULL, &r, &err));
    CHECK(!r.closed && r.degenerate == 1);
    bead->index[0] = kept;
    float *p = bead->position + (size_t)kept * 3, old[3] = {p[0], p[1], p[2]};
    const float centre[3] = {6, 6, 34};
    for (int x = 0; x < 3; x++) p[x] = centre[x] - 2 * (p[x] - centre[x]); /* a spike through it */
    CHECK_OK(fab_mesh_measure(bead, NULL, &r, &err));
    CHECK(r.closed && r.self_intersections > 3);
    memcpy(p, old, sizeof old);
    for (size_t i = 0; i < (size_t)bead->vertex_count * 3; i += 3) bead->position[i] += 2.5f;
    CHECK_OK(fab_mesh_measure(bead, v, &r, &err)); /* shifted: the distance says so */
    CHECK(r.self_intersections == 0);
    CHECK(r.hd95_mm > 2.0 && r.hd95_mm < 2.8 && r.mean_mm > 1.0);
    bead->index[5] = bead->vertex_count;
    CHECK_FAILS(FAB_ERR_ARG, "vertex", fab_mesh_measure(bead, NULL, &r, &err));
    fab_mesh_set_free(&set);
    fab_volume_unref(v);
}

/* The default follows the grid, and what it costs stays within it. */
static void default_follows_voxels(void)
{
    fab_error err;
    fab_volume *v = body();
    const fab_grid *g = fab_volume_grid(v);
    fab_grid fine = *g;
    double spacing[3], error = fab_mesh_default_error_mm(g);
    fab_grid_spacing(g, spacing);
    CHECK_NEAR(error, 0.1 * fmin(spacing[0], fmin(spacing[1], spacing[2])), 1e-9);
    for (int i = 0; i < 9; i++) fine.world_from_voxel.m[i / 3][i % 3] /= 4;
    CHECK_NEAR(fab_mesh_default_error_mm(&fine), error / 4, 1e-9);
    fab_mesh_set full = {0}, less = {0};
    CHECK_OK(fab_mesh_extract(v, NULL, NULL, &full, &err));
    CHECK_OK(fab_mesh_simplify(&full, 0, error, &less, &err));
    CHECK(triangles_of(&less) * 4 < triangles_of(&full) * 3);
    for (size_t m = 0; m < full.count; m++) {
        fab_mesh_report before, after;
        CHECK_OK(fab_mesh_measure(&full.items[m], v, &before, &err));
        CHECK_OK(fab_mesh_measure(&less.items[m], v, &after, &err));
        CHECK(after.closed && after.manifold && after.degenerate == 0);
        CHECK_NEAR(after.volume_ml, before.volume_ml, 2e-3 * before.volume_ml);
        CHECK(after.hd95_mm < before.hd95_mm + 2 * error);
    }
    fab_mesh_set_free(&full);
    fab_mesh_set_free(&less);
    fab_volume_unref(v);
}

int main(void)
{
    fab_test tests[] = {TEST(to_a_budget), TEST(to_an_error), TEST(over_budget), TEST(levels_go_on),
                        TEST(corners_are_not_in_the_way), TEST(noise_stays_closed),
                        TEST(faults_are_found), TEST(default_follows_voxels)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
