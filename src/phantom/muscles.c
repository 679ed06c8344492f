/* muscles.c - named muscles, the muscles of the pelvic wall and floor, and the fat planes inside
 * the back and the thigh. */
#include <stdio.h>
#include <string.h>

#include "phantom_internal.h"

typedef struct column {
    const char *stem;
    bool on_spine;
    int count;
    ph_knot k[11]; /* z, x, y (from the spine if on_spine), half width, front, back */
} column;

static const column columns[] = {
    {"autochthon", true, 11, {{-168, 10, 66, 8, 5, 5}, {-125, 21, 58, 20, 12, 13},
     {-60, 34, 53, 29, 22, 23}, {0, 36, 55, 31, 25, 26}, {60, 35, 54, 31, 24, 24},
     {104, 33, 53, 29, 20, 21}, {160, 28, 50, 24, 14, 17}, {220, 25, 46, 22, 12, 15},
     {290, 24, 43, 20, 12, 14}, {350, 22, 39, 18, 12, 13}, {420, 20, 32, 16, 12, 13}}},
    {"iliopsoas", false, 10, {{-268, 102, 12, 7, 7, 7}, {-240, 97, -16, 11, 12, 12},
     {-205, 88, -46, 17, 14, 14}, {-165, 78, -45, 20, 17, 17}, {-120, 64, -27, 22, 20, 20},
     {-80, 52, -8, 21, 21, 21}, {-40, 44, -3, 19, 20, 20}, {0, 38, 0, 15, 17, 17},
     {35, 32, 3, 12, 13, 13}, {72, 25, 5, 6, 6, 6}}},
    {"autochthon", true, 4, {{-110, 10, 60, 11, 12, 12}, {-60, 12, 58, 13, 24, 20},
     {60, 12, 56, 13, 24, 20}, {140, 10, 50, 11, 14, 16}}}, /* beside the spinous processes */
    {"quadratus_lumborum", false, 5, {{-74, 79, 38, 6, 4, 4}, {-54, 68, 29, 13, 7, 8},
     {0, 60, 26, 18, 7, 8}, {50, 48, 30, 15, 6, 7}, {88, 38, 36, 7, 4, 5}}},
    {"rectus_abdominis", false, 6, {{-216, 22, -74, 16, 5, 5}, {-150, 30, -90, 27, 5.5, 5.5},
     {-50, 33, -100, 30, 5.5, 5.5}, {0, 34, -104, 31, 5.5, 5.5}, {60, 36, -112, 32, 5, 5},
     {112, 38, -121, 32, 4.5, 4.5}}},
};

ph_shape *fab_ph_muscle(ph_scene *s, const char *stem, int side)
{
    char name[48];
    snprintf(name, sizeof name, "%s_%s", stem, side > 0 ? "left" : "right");
    if (!strcmp(stem, "skeletal_muscle")) snprintf(name, sizeof name, "%s", stem);
    s->mirror = side;
    ph_shape *shape = fab_ph_shape(s, name, PH_CANONICAL, PH_MUSCLE);
    shape->wobble_mm = 1.2, shape->wobble_scale_mm = 15;
    shape->wall = PH_FAT, shape->wall_mm = 0.7; /* the fat plane that parts it from the next */
    return shape;
}

static void add_gluteals(ph_scene *s, int side)
{
    double w = 4 * s->wide;
    (void)fab_ph_muscle(s, "gluteus_minimus", side);
    fab_ph_triangle(s, V(112 + w, -38, -122), V(84 + w, 34, -132), V(126 + w, 8, -202), 8, 7, 8);
    fab_ph_close(s);
    (void)fab_ph_muscle(s, "gluteus_medius", side);
    fab_ph_triangle(s, V(124 + w, -46, -98), V(130 + w, -5, -118), V(138 + w, 10, -205), 8, 19, 9);
    fab_ph_triangle(s, V(92 + w, 56, -105), V(130 + w, -5, -118), V(138 + w, 10, -205), 11, 19, 9);
    fab_ph_triangle(s, V(92 + w, 56, -105), V(122 + w, 0, -75), V(130 + w, -5, -118), 9, 6, 17);
    fab_ph_blend(s, 6);
    fab_ph_close(s);
    (void)fab_ph_muscle(s, "gluteus_maximus", side);
    fab_ph_triangle(s, V(50, 78, -125), V(34, 80, -222), V(112 + w, 50, -200), 14, 22, 22);
    fab_ph_triangle(s, V(34, 80, -222), V(112 + w, 50, -200), V(114 + w, 32, -272), 22, 22, 20);
    fab_ph_blend(s, 6);
    fab_ph_close(s);
    (void)fab_ph_muscle(s, "iliopsoas", side); /* iliacus */
    fab_ph_triangle(s, V(111 + w, -46, -92), V(106 + w, 4, -68), V(86 + w, -34, -165), 8, 7, 13);
    fab_ph_triangle(s, V(106 + w, 4, -68), V(73 + w, 36, -116), V(86 + w, -34, -165), 7, 6, 13);
    fab_ph_blend(s, 5);
    fab_ph_close(s);
}

/* Obturator internus on the side wall, piriformis through the notch, levator ani as the floor. */
static void add_pelvic_wall(ph_scene *s, int side)
{
    double w = 4 * s->wide;
    (void)fab_ph_muscle(s, "skeletal_muscle", side);
    fab_ph_triangle(s, V(64 + w, -34, -192), V(64 + w, 34, -176), V(54 + w, -8, -250), 6, 7, 6);
    fab_ph_triangle(s, V(64 + w, 34, -176), V(56 + w, 26, -238), V(54 + w, -8, -250), 7, 7, 6);
    fab_ph_blend(s, 5);
    fab_ph_close(s);
    (void)fab_ph_muscle(s, "skeletal_muscle", side);
    fab_ph_flat(s, V(24, 58, -150), V(72 + w, 52, -168), 8, 13, V(0.2, 1, 0));
    fab_ph_flat(s, V(72 + w, 52, -168), V(128 + w, 20, -196), 8, 6, V(0.4, 1, 0));
    fab_ph_blend(s, 5);
    fab_ph_close(s);
    (void)fab_ph_muscle(s, "skeletal_muscle", side);
    fab_ph_triangle(s, V(55 + w, -26, -226), V(54 + w, 34, -214), V(15, 36, -249), 2, 2, 3);
    fab_ph_triangle(s, V(54 + w, 34, -214), V(15, 36, -249), V(2, 58, -238), 2, 3, 3);
    fab_ph_tube(s, (const double[][4]){{10, -44, -240, 3}, {18, 6, -250, 3.2}, {16, 42, -250, 3.6},
                                       {0, 58, -246, 3.6}}, 4, 3); /* puborectalis */
    fab_ph_blend(s, 3);
    fab_ph_close(s);
}

/* ---- fat planes inside a muscle mass ----------------------------------------------------- */

/* par: count, then lofts. The seams of a mosaic: the border of each loft, as far as no earlier one
 * covers it. */
static double seam_distance(const ph_scene *s, const double *par, ph_vec p)
{
    double best = 1e3;
    for (int i = 0; i < (int)par[0]; i++) {
        double d = fab_ph_loft_distance(&s->lofts[(int)par[i + 1]], p);
        best = ph_min(best, fabs(d));
        if (d < 0) break;
    }
    return best - 0.45;
}

static const ph_knot back_part[2][5] = {
    {{-150, 12, 62, 12, 10, 12}, {-60, 17, 56, 16, 16, 20}, {0, 17, 58, 16, 17, 21},
     {80, 15, 55, 13, 14, 18}, {330, 12, 42, 9, 8, 10}},
    {{-90, 58, 54, 16, 16, 20}, {-60, 60, 54, 18, 18, 22}, {0, 62, 56, 18, 20, 24},
     {80, 58, 54, 17, 18, 20}, {330, 40, 42, 12, 10, 12}}};

/* Multifidus in the middle, iliocostalis at the side, longissimus between. */
static void add_back_seams(ph_scene *s, int side)
{
    double par[3] = {2};
    s->mirror = side;
    int outer = fab_ph_loft(s, columns[0].k, columns[0].count, 2, true);
    for (int i = 0; i < 2; i++) par[i + 1] = fab_ph_loft(s, back_part[i], 5, 2, true);
    fab_ph_shape(s, side > 0 ? "autochthon_left" : "autochthon_right", PH_CANONICAL, PH_FAT);
    fab_ph_loft_prim(s, outer);
    fab_ph_field(s, seam_distance, par, 3, V(0, 0, 0), -1)->op = PH_CLIP;
    fab_ph_close(s);
}

static const ph_knot thigh_part[5][5] = {
    {{-520, 102, -44, 18, 12, 12}, {-400, 102, -48, 22, 14, 14}, {-300, 102, -52, 21, 14, 14},
     {-240, 100, -54, 15, 12, 12}, {-160, 98, -54, 6, 6, 6}},             /* rectus femoris */
    {{-520, 48, -20, 9, 16, 12}, {-400, 56, -44, 12, 9, 9}, {-300, 78, -54, 11, 7, 7},
     {-240, 98, -70, 9, 6, 6}, {-160, 118, -68, 6, 5, 5}},                /* sartorius */
    {{-520, 112, -12, 40, 34, 22}, {-400, 116, -12, 42, 36, 24}, {-300, 122, -12, 38, 34, 24},
     {-255, 128, -10, 26, 28, 20}, {-225, 132, -8, 10, 12, 12}},          /* vasti */
    {{-520, 56, 6, 16, 18, 18}, {-400, 58, 0, 30, 36, 26}, {-300, 56, 0, 36, 42, 30},
     {-250, 46, -12, 28, 34, 28}, {-222, 30, -40, 12, 14, 14}},           /* adductors */
    {{-520, 86, 42, 44, 20, 26}, {-400, 88, 44, 42, 22, 24}, {-300, 82, 48, 32, 20, 20},
     {-262, 66, 40, 20, 16, 16}, {-240, 60, 34, 8, 8, 8}}};               /* hamstrings */

static void add_thigh_seams(ph_scene *s, int side)
{
    double par[6] = {5};
    s->mirror = side;
    for (int i = 0; i < 5; i++) par[i + 1] = fab_ph_loft(s, thigh_part[i], 5, 2, false);
    fab_ph_shape(s, "skeletal_muscle", PH_CANONICAL, PH_FAT);
    fab_ph_field(s, seam_distance, par, 6, V(92, -4, -360), 235);
    ph_prim *q = fab_ph_loft_prim(s, fab_ph_thigh(s));
    q->op = PH_CLIP;
    fab_ph_close(s);
}

void fab_ph_add_muscles(ph_scene *s)
{
    for (int side = -1; side <= 1; side += 2) {
        add_back_seams(s, side);
        for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
            const column *c = &columns[i];
            (void)fab_ph_muscle(s, c->stem, side);
            double exponent = !strcmp(c->stem, "rectus_abdominis") ? 2.5 : 2;
            fab_ph_loft_prim(s, fab_ph_loft(s, c->k, c->count, exponent, c->on_spine));
            fab_ph_close(s);
        }
        add_gluteals(s, side);
        add_pelvic_wall(s, side);
        add_thigh_seams(s, side);
        (void)fab_ph_muscle(s, "pectoralis_major", side);
        fab_ph_triangle(s, V(26, -117, 232), V(24, -90, 312), V(138, -52, 322), 6, 6, 10);
        fab_ph_triangle(s, V(26, -117, 232), V(98, -98, 250), V(138, -52, 322), 6, 6, 10);
        fab_ph_blend(s, 4);
        fab_ph_close(s);
    }
    s->mirror = 1;
}
