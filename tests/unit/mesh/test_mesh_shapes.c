/* Known shapes: volume, area, distance, genus, borders, caps, orientation of the grid. */
#include "mesh_check.h"

typedef double (*inside_fn)(double x, double y, double z); /* > 0: the shape has the point */

static double ball(double x, double y, double z) { return 12.3 - sqrt(x * x + y * y + z * z); }

static double ring(double x, double y, double z)
{
    double r = hypot(x, y) - 12;
    return 5 - hypot(r, z);
}

static fab_volume *fill_shape(inside_fn inside, int n, const fab_mat34 *map)
{
    fab_volume *v = make_labels(n, n, n, map);
    for (int k = 0; k < n; k++)
        for (int j = 0; j < n; j++)
            for (int i = 0; i < n; i++) {
                double c = (n - 1) / 2.0 + 0.13;
                *voxel_at(v, i, j, k) = inside(i - c, j - c, k - c) > 0 ? 7 : 0;
            }
    return v;
}

static fab_mesh_set extract(fab_volume *v, const fab_volume *margin)
{
    fab_error err;
    fab_mesh_set set = {0};
    CHECK_OK(fab_mesh_extract(v, margin, NULL, &set, &err));
    return set;
}

static fab_mesh_report measure(const fab_mesh *m, const fab_volume *v)
{
    fab_error err;
    fab_mesh_report r;
    CHECK_OK(fab_mesh_measure(m, v, &r, &err));
    CHECK(r.closed && r.manifold);
    CHECK(r.closed == edges_closed(m) && r.manifold == fans_single(m));
    CHECK(r.degenerate == 0);
    CHECK_NEAR(r.volume_ml, signed_volume(m) / 1000, 1e-6 + 1e-5 * fabs(r.volume_ml));
    return r;
}

static void sphere(void)
{
    const double volume = 4 / 3.0 * M_PI * pow(12.3, 3) / 1000, area = 4 * M_PI * 12.3 * 12.3;
    fab_volume *v = fill_shape(ball, 30, NULL);
    fab_mesh_set set = extract(v, NULL);
    CHECK(set.count == 1 && set.items[0].label == 7);
    fab_mesh_report r = measure(&set.items[0], v);
    CHECK(r.components == 1 && r.genus == 0 && r.self_intersections == 0);
    CHECK_NEAR(r.volume_error_percent, 0, 0.5);
    CHECK_NEAR(r.volume_ml / volume, 1, 0.01);
    CHECK_NEAR(r.area_mm2 / area, 1, 0.01); /* the staircase's own area is 1.5 times as large */
    CHECK(r.hd95_mm < 0.6 && r.mean_mm < 0.3 && r.mean_mm > 0.05);
    double c = 29 / 2.0 + 0.13, worst = 0;
    CHECK(fab_mesh_compute_normals(&set.items[0], NULL) == FAB_OK);
    for (size_t i = 0; i < set.items[0].vertex_count; i++) {
        const float *p = set.items[0].position + i * 3, *n = set.items[0].normal + i * 3;
        double d[3] = {(double)p[0] - c, (double)p[1] - c, (double)p[2] - c};
        double radius = sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]), dot = 0;
        for (int x = 0; x < 3; x++) dot += d[x] / radius * (double)n[x];
        worst = fabs(radius - 12.3) > worst ? fabs(radius - 12.3) : worst;
        CHECK(dot > cos(20 * M_PI / 180)); /* no staircase: a step would be at 45 degrees */
    }
    CHECK(worst < 0.45);
    fab_mesh_set_free(&set);
    fab_volume_unref(v);
}

/* Known margins: the surface is where the shape's own field is zero, far below a voxel. */
static void sphere_with_margin(void)
{
    fab_error err;
    fab_volume *v = fill_shape(ball, 30, NULL), *margin = NULL;
    CHECK_OK(fab_volume_create(fab_volume_grid(v), FAB_F32, &margin, &err));
    float *m = fab_volume_data_mut(margin);
    double c = 29 / 2.0 + 0.13;
    for (int i = 0; i < 27000; i++)
        m[i] = (float)fabs(ball(i % 30 - c, i / 30 % 30 - c, i / 900 - c));
    fab_mesh_set set = extract(v, margin);
    measure(&set.items[0], v);
    double worst = 0;
    for (size_t i = 0; i < set.items[0].vertex_count; i++) {
        const float *p = set.items[0].position + i * 3;
        double off = fabs(ball((double)p[0] - c, (double)p[1] - c, (double)p[2] - c));
        worst = off > worst ? off : worst;
    }
    CHECK(worst < 0.15);
    fab_mesh_set_free(&set);
    fab_volume_unref(margin);
    fab_volume_unref(v);
}

static void torus(void)
{
    fab_volume *v = fill_shape(ring, 40, NULL);
    fab_mesh_set set = extract(v, NULL);
    fab_mesh_report r = measure(&set.items[0], v);
    CHECK(r.components == 1 && r.genus == 1 && r.self_intersections == 0);
    CHECK_NEAR(r.area_mm2 / (4 * M_PI * M_PI * 12 * 5), 1, 0.02);
    fab_mesh_set_free(&set);
    fab_volume_unref(v);
}

/* A box that fills the volume: all caps, exact, flat and flagged. */
static void box_of_caps(void)
{
    fab_volume *v = make_labels(6, 5, 4, NULL);
    memset(fab_volume_data_mut(v), 2, fab_volume_bytes(v));
    fab_mesh_set set = extract(v, NULL);
    fab_mesh_report r = measure(&set.items[0], v);
    CHECK_NEAR(r.volume_ml, 0.120, 1e-9);
    CHECK_NEAR(r.area_mm2, 2 * (30 + 24 + 20), 1e-4);
    for (size_t t = 0; t < set.items[0].triangle_count; t++)
        CHECK(set.items[0].flags[t] == FAB_TRI_SCAN_EDGE);
    fab_mesh_set_free(&set);
    fab_volume_unref(v);
}

/* A bar that leaves the volume: flagged triangles lie in the volume's face, the others do not. */
static void bar_through_the_edge(void)
{
    fab_volume *v = make_labels(20, 20, 12, NULL);
    for (int k = 0; k < 12; k++)
        for (int j = 0; j < 20; j++)
            for (int i = 0; i < 20; i++)
                *voxel_at(v, i, j, k) = hypot(i - 9.5, j - 9.2) < 6 ? 1 : 0;
    fab_mesh_set set = extract(v, NULL);
    fab_mesh_report r = measure(&set.items[0], v);
    CHECK_NEAR(r.volume_error_percent, 0, 0.5);
    size_t caps = 0;
    for (size_t t = 0; t < set.items[0].triangle_count; t++) {
        int at_edge = 0;
        for (size_t c = 0; c < 3; c++) {
            float z = set.items[0].position[(size_t)set.items[0].index[t * 3 + c] * 3 + 2];
            at_edge += z == -0.5f || z == 11.5f;
        }
        CHECK((set.items[0].flags[t] == FAB_TRI_SCAN_EDGE) == (at_edge == 3));
        caps += at_edge == 3;
    }
    CHECK(caps > 300);
    fab_mesh_set_free(&set);
    fab_volume_unref(v);
}

/* Does every triangle of `a` between the two labels occur, turned round, in `b`? */
static size_t shared_triangles(const fab_mesh *a, const fab_mesh *b)
{
    size_t shared = 0;
    for (size_t s = 0; s < a->triangle_count; s++)
        for (size_t t = 0; t < b->triangle_count; t++)
            for (size_t turn = 0; turn < 3; turn++) {
                bool same = true;
                for (size_t c = 0; same && c < 3; c++)
                    same = memcmp(a->position + (size_t)a->index[s * 3 + c] * 3,
                                  b->position + (size_t)b->index[t * 3 + (6 + turn - c) % 3] * 3,
                                  3 * sizeof(float)) == 0;
                shared += same;
            }
    return shared;
}

static fab_volume *three_in_a_ball(void)
{
    fab_volume *v = make_labels(18, 18, 18, NULL);
    for (int k = 0; k < 18; k++)
        for (int j = 0; j < 18; j++)
            for (int i = 0; i < 18; i++) {
                bool in = hypot(hypot(i - 8.6, j - 8.4), k - 8.5) < 7.3;
                *voxel_at(v, i, j, k) = (uint8_t)(!in ? 0 : i + k / 5 < 10 ? 1 : j < 8 ? 2 : 3);
            }
    return v;
}

static size_t faces_between(fab_volume *v, int a, int b)
{
    const int32_t *n = fab_volume_grid(v)->size;
    size_t faces = 0;
    for (int k = 0; k < n[2]; k++)
        for (int j = 0; j < n[1]; j++)
            for (int i = 0; i < n[0]; i++)
                for (int x = 0; x < 3; x++) {
                    int q[3] = {i + (x == 0), j + (x == 1), k + (x == 2)};
                    if (q[0] >= n[0] || q[1] >= n[1] || q[2] >= n[2]) continue;
                    int one = *voxel_at(v, i, j, k), two = *voxel_at(v, q[0], q[1], q[2]);
                    faces += (one == a && two == b) || (one == b && two == a);
                }
    return faces;
}

static void neighbours_share_their_border(void)
{
    fab_volume *v = three_in_a_ball();
    fab_mesh_set set = extract(v, NULL);
    CHECK(set.count == 3);
    for (int a = 0; a < 3; a++) {
        fab_mesh_report r = measure(&set.items[a], v);
        CHECK_NEAR(r.volume_error_percent, 0, 0.5);
        for (int b = a + 1; b < 3; b++) {
            size_t faces = faces_between(v, a + 1, b + 1);
            CHECK(faces > 30);
            CHECK(shared_triangles(&set.items[a], &set.items[b]) == 2 * faces);
        }
    }
    fab_mesh_set_free(&set);
    fab_volume_unref(v);
}

/* A ball with bristles on one side: what smoothing takes from the bristles, pressures give back,
 * and push the ball away with it, if nothing holds it in its place. */
static void ball_with_bristles_keeps_its_place(void)
{
    fab_error err;
    static fab_label_stats stats[256];
    double moment[3];
    fab_volume *v = make_labels(30, 30, 30, NULL);
    for (int k = 1; k < 29; k++)
        for (int j = 1; j < 29; j++)
            for (int i = 1; i < 29; i++) {
                double x = i - 14.2, y = j - 10.3, z = k - 14.4;
                bool bristle = y > 0 && x * x + z * z < 81 && i % 3 < 2 && k % 3 == 0;
                if (x * x + y * y + z * z < 81) *voxel_at(v, i, j, k) = 7;
                else if (bristle) *voxel_at(v, i, j, k) = 8;
            }
    fab_mesh_set set = extract(v, NULL);
    CHECK(set.count == 2);
    CHECK_OK(fab_labels_stats(v, 256, stats, &err));
    for (size_t m = 0; m < 2; m++) {
        const fab_mesh *mesh = &set.items[m];
        double volume = signed_integrals(mesh, moment);
        for (int x = 0; x < 3; x++)
            CHECK_NEAR((double)mesh->position[x] + moment[x] / volume,
                       stats[7 + m].centroid_voxel[x], 0.05);
        CHECK_NEAR(measure(mesh, v).volume_error_percent, 0, 0.5);
    }
    fab_mesh_set_free(&set);
    fab_volume_unref(v);
}

/* Rotated, anisotropic, sheared by nothing, left-handed: outward everywhere, same volume. */
static void any_grid(void)
{
    double c = cos(0.7), s = sin(0.7);
    const fab_mat34 map[] = {
        {{{-0.8, 0, 0, 90}, {0, -0.8, 0, 70}, {0, 0, 2.5, -300}}},
        {{{0.8, 0, 0, 90}, {0, -0.8, 0, 70}, {0, 0, 2.5, -300}}}, /* left-handed */
        {{{c, 0, -s, 9}, {0, 0.7, 0, -70}, {s, 0, c, 30}}},
        {{{0, 0, 1.5, 0}, {c, s, 0, 5}, {-s, c, 0, 6}}},
        {{{0, 1, 0, 0}, {1, 0, 0, 0}, {0, 0, 1, 0}}}, /* left-handed */
    };
    for (size_t m = 0; m < sizeof map / sizeof *map; m++) {
        fab_volume *v = fill_shape(ball, 30, &map[m]);
        fab_mesh_set set = extract(v, NULL);
        fab_mesh_report r = measure(&set.items[0], v);
        CHECK(r.volume_ml > 0);
        CHECK_NEAR(r.volume_error_percent, 0, 0.5);
        double centre[3] = {29 / 2.0 + 0.13, 29 / 2.0 + 0.13, 29 / 2.0 + 0.13}, mean[3] = {0};
        fab_mat34_apply(&map[m], centre, centre);
        for (size_t i = 0; i < set.items[0].vertex_count * 3; i++)
            mean[i % 3] += (double)set.items[0].position[i] / set.items[0].vertex_count;
        for (int x = 0; x < 3; x++) CHECK_NEAR(mean[x], centre[x], 0.2);
        fab_mesh_set_free(&set);
        fab_volume_unref(v);
    }
}

static void threads_do_not_matter(void)
{
    fab_volume *v = three_in_a_ball();
    fab_threads_set(1);
    fab_mesh_set one = extract(v, NULL);
    fab_threads_set(5);
    fab_mesh_set five = extract(v, NULL);
    fab_threads_set(0);
    for (size_t m = 0; m < 3; m++) {
        const fab_mesh *a = &one.items[m], *b = &five.items[m];
        CHECK(a->vertex_count == b->vertex_count && a->triangle_count == b->triangle_count);
        CHECK(memcmp(a->position, b->position, a->vertex_count * 3 * sizeof(float)) == 0);
        CHECK(memcmp(a->index, b->index, a->triangle_count * 3 * sizeof(uint32_t)) == 0);
    }
    fab_mesh_set_free(&one);
    fab_mesh_set_free(&five);
    fab_volume_unref(v);
}

static void wrong_input(void)
{
    fab_error err;
    fab_mesh_set set = {0};
    fab_grid g = {.size = {3, 3, 3}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 0.01;
    fab_volume *f = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_F32, &f, &err));
    memset(fab_volume_data_mut(f), 0, fab_volume_bytes(f));
    CHECK_FAILS(FAB_ERR_ARG, "u8 or u16", fab_mesh_extract(f, NULL, NULL, &set, &err));
    fab_volume *v = make_labels(3, 3, 3, NULL);
    CHECK_FAILS(FAB_ERR_ARG, "f32", fab_mesh_extract(v, v, NULL, &set, &err));
    CHECK_FAILS(FAB_ERR_GEOMETRY, "grid", fab_mesh_extract(v, f, NULL, &set, &err));
    fab_volume_unref(v);
    g.world_from_voxel.m[0][3] = 90000;
    v = make_labels(3, 3, 3, &g.world_from_voxel);
    *voxel_at(v, 1, 1, 1) = 1;
    CHECK_FAILS(FAB_ERR_GEOMETRY, "32-bit", fab_mesh_extract(v, NULL, NULL, &set, &err));
    fab_volume_unref(v);
    fab_volume_unref(f);
}

int main(void)
{
    fab_test tests[] = {TEST(sphere), TEST(sphere_with_margin), TEST(torus), TEST(box_of_caps),
                        TEST(bar_through_the_edge), TEST(neighbours_share_their_border),
                        TEST(ball_with_bristles_keeps_its_place), TEST(any_grid),
                        TEST(threads_do_not_matter), TEST(wrong_input)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
