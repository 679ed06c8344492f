/* test_tube.c - a canal of known shape in a drawn CT: a ring of bone with foramina, and a label
 * that runs out into them. */
#include "harness.h"
#include "measure_internal.h"

static const double wide = 11, deep = 8; /* half axes, mm */

static bool foramen(const double p[3])
{
    return fabs(p[2]) < 8 && fabs(p[0]) > fabs(p[1]);
}

static double round_the_axis(const double p[3], double more)
{
    return hypot(p[0] / (wide + more), p[1] / (deep + more));
}

static double hu(const double p[3])
{
    double r = hypot(p[0], p[1]);
    if (round_the_axis(p, -1.5) < 1) return 20;                       /* sac */
    if (round_the_axis(p, 0) < 1 || r > 20 || foramen(p)) return -90; /* fat */
    return round_the_axis(p, 1) < 1 ? 700 : 220;                      /* compact, spongy */
}

static double labelled(const double p[3])
{
    return round_the_axis(p, foramen(p) ? 5 : 0.5) < 1;
}

/* Means of 27 points of each voxel. */
static fab_volume *drawn(fab_dtype type, double spacing, double (*at)(const double p[3]))
{
    fab_grid g = {0};
    fab_volume *v = NULL;
    fab_error err;
    for (int a = 0; a < 3; a++) {
        g.size[a] = (int32_t)((a == 2 ? 80 : 60) / spacing);
        g.world_from_voxel.m[a][a] = spacing;
        g.world_from_voxel.m[a][3] = -0.5 * spacing * (g.size[a] - 1);
    }
    CHECK_OK(fab_volume_create(&g, type, &v, &err));
    int64_t n = 0;
    for (int k = 0; k < g.size[2]; k++)
        for (int j = 0; j < g.size[1]; j++)
            for (int i = 0; i < g.size[0]; i++, n++) {
                double sum = 0;
                for (int c = 0; c < 27; c++) {
                    double q[3] = {i + (c % 3 - 1) / 3.0, j + (c / 3 % 3 - 1) / 3.0,
                                   k + (c / 9 - 1) / 3.0};
                    fab_mat34_apply(&g.world_from_voxel, q, q);
                    sum += at(q) / 27;
                }
                if (type == FAB_U8) ((uint8_t *)fab_volume_data_mut(v))[n] = sum >= 0.5;
                else ((float *)fab_volume_data_mut(v))[n] = (float)sum;
            }
    return v;
}

static void section_at(double spacing, double from_top, fab_canal_section *out)
{
    static const bool member[2] = {false, true};
    fab_volume *image = drawn(FAB_F32, spacing, hu), *label = drawn(FAB_U8, spacing, labelled);
    fab_label_stats stats[2];
    me_mask mask;
    me_tube *tube = NULL;
    fab_error err;
    const me_node node[3] = {{me_v(0.5, 0.7, 25), me_v(0, 1, 0), 0},
                             {me_v(-0.5, -0.5, 0), me_v(0, 1, 0), 25},
                             {me_v(0.5, 0.3, -25), me_v(0, 1, 0), 50}}; /* not quite the middle */
    CHECK_OK(fab_labels_stats(label, 2, stats, &err));
    CHECK_OK(fab_me_mask_make(label, member, stats, 2, false, &mask, &err));
    CHECK_OK(fab_me_tube_make(image, &mask, node, 3, &tube, &err));
    fab_me_tube_section(tube, from_top, 1.5, out);
    fab_me_tube_free(tube);
    fab_me_mask_free(&mask);
    fab_volume_unref(image);
    fab_volume_unref(label);
}

static const double pi = 3.14159265358979323846;

static void a_ring_of_bone(void)
{
    fab_canal_section c;
    section_at(1, 5, &c);
    fprintf(stderr, "ring: %.1f mm2, %.2f x %.2f mm, seen %.2f\n", c.area_mm2, c.ap_mm,
            c.transverse_mm, c.border_seen);
    CHECK_NEAR(c.area_mm2, pi * wide * deep, 0.05 * pi * wide * deep);
    CHECK_NEAR(c.ap_mm, 2 * deep, 0.6);
    CHECK_NEAR(c.transverse_mm, 2 * wide, 0.8);
    CHECK_NEAR(c.centre[0], 0, 0.3);
    CHECK_NEAR(c.centre[1], 0, 0.3);
    CHECK(c.border_seen > 0.9 && c.quality == FAB_MEASURE_GOOD);
}

static void foramina_are_closed(void)
{
    fab_canal_section c;
    section_at(1, 25, &c);
    fprintf(stderr, "between foramina: %.1f mm2, %.2f x %.2f mm, seen %.2f\n", c.area_mm2, c.ap_mm,
            c.transverse_mm, c.border_seen);
    CHECK_NEAR(c.area_mm2, pi * wide * deep, 0.06 * pi * wide * deep); /* the label: 60 % more */
    CHECK(c.border_seen > 0.3 && c.border_seen < 0.8);
}

static void coarse_pixels_are_fair_at_most(void)
{
    fab_canal_section c;
    section_at(3, 5, &c);
    CHECK(c.measured && c.quality <= FAB_MEASURE_FAIR);
}

int main(void)
{
    static const fab_test tests[] = {TEST(a_ring_of_bone), TEST(foramina_are_closed),
                                     TEST(coarse_pixels_are_fair_at_most)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
