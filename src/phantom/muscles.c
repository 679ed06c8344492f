/* muscles.c - named muscles, then the layers of the wall from the inside out: diaphragm, fat of
 * the cavity, obliques, other muscle, fat beneath the skin, skin; and the couch. */
#include <stdio.h>

#include "phantom_internal.h"

typedef struct column {
    const char *stem;
    bool on_spine;
    int count;
    ph_knot k[11]; /* z, x, y (from the spine if on_spine), half width, front, back */
} column;

static const column columns[] = {
    {"autochthon", true, 11, {{-168, 10, 66, 8, 5, 5}, {-125, 20, 58, 19, 12, 13},
     {-60, 32, 53, 26, 22, 23}, {0, 34, 55, 29, 26, 27}, {60, 32, 54, 29, 25, 25},
     {104, 30, 53, 27, 21, 21}, {160, 26, 50, 23, 15, 17}, {220, 24, 46, 21, 13, 15},
     {290, 24, 43, 20, 12, 14}, {350, 22, 39, 18, 12, 13}, {420, 20, 32, 16, 12, 13}}},
    {"iliopsoas", false, 10, {{-268, 102, 12, 7, 7, 7}, {-240, 97, -16, 11, 12, 12},
     {-205, 88, -46, 17, 14, 14}, {-165, 78, -45, 20, 17, 17}, {-120, 64, -27, 22, 20, 20},
     {-80, 52, -8, 21, 21, 21}, {-40, 44, -3, 19, 20, 20}, {0, 38, 0, 15, 17, 17},
     {35, 32, 3, 12, 13, 13}, {72, 25, 5, 6, 6, 6}}},
    {"quadratus_lumborum", false, 4, {{-60, 66, 28, 12, 7, 8}, {0, 60, 26, 18, 7, 8},
     {50, 48, 30, 15, 6, 7}, {88, 38, 36, 7, 4, 5}}},
    {"rectus_abdominis", false, 6, {{-216, 22, -74, 16, 5, 5}, {-150, 30, -90, 27, 5.5, 5.5},
     {-50, 33, -100, 30, 5.5, 5.5}, {0, 34, -104, 31, 5.5, 5.5}, {60, 36, -112, 32, 5, 5},
     {112, 38, -121, 32, 4.5, 4.5}}},
};

static ph_shape *muscle(ph_scene *s, const char *stem, int side)
{
    char name[48];
    snprintf(name, sizeof name, "%s_%s", stem, side > 0 ? "left" : "right");
    s->mirror = side;
    ph_shape *shape = fab_ph_shape(s, name, PH_CANONICAL, PH_MUSCLE);
    shape->wobble_mm = 1.2, shape->wobble_scale_mm = 15;
    shape->wall = PH_FAT, shape->wall_mm = 0.7; /* the fat plane that parts it from the next */
    return shape;
}

static void add_gluteals(ph_scene *s, int side)
{
    double w = 4 * s->wide;
    (void)muscle(s, "gluteus_minimus", side);
    fab_ph_triangle(s, V(112 + w, -38, -122), V(84 + w, 34, -132), V(126 + w, 8, -202), 8, 7, 8);
    fab_ph_close(s);
    (void)muscle(s, "gluteus_medius", side);
    fab_ph_triangle(s, V(124 + w, -46, -98), V(130 + w, -5, -118), V(138 + w, 10, -205), 8, 19, 9);
    fab_ph_triangle(s, V(92 + w, 56, -105), V(130 + w, -5, -118), V(138 + w, 10, -205), 11, 19, 9);
    fab_ph_triangle(s, V(92 + w, 56, -105), V(122 + w, 0, -75), V(130 + w, -5, -118), 9, 6, 17);
    fab_ph_blend(s, 6);
    fab_ph_close(s);
    (void)muscle(s, "gluteus_maximus", side);
    fab_ph_triangle(s, V(50, 78, -125), V(34, 80, -222), V(112 + w, 50, -200), 14, 22, 22);
    fab_ph_triangle(s, V(34, 80, -222), V(112 + w, 50, -200), V(114 + w, 32, -272), 22, 22, 20);
    fab_ph_blend(s, 6);
    fab_ph_close(s);
    (void)muscle(s, "iliopsoas", side); /* iliacus */
    fab_ph_triangle(s, V(110 + w, -40, -92), V(84 + w, 30, -92), V(90, -36, -165), 8, 8, 12);
    fab_ph_close(s);
}

void fab_ph_add_muscles(ph_scene *s)
{
    for (int side = -1; side <= 1; side += 2) {
        for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
            const column *c = &columns[i];
            (void)muscle(s, c->stem, side);
            fab_ph_loft_prim(s, fab_ph_loft(s, c->k, c->count, i == 3 ? 2.5 : 2, c->on_spine));
            fab_ph_close(s);
        }
        add_gluteals(s, side);
        (void)muscle(s, "pectoralis_major", side);
        fab_ph_triangle(s, V(26, -117, 232), V(24, -90, 312), V(138, -52, 322), 6, 6, 10);
        fab_ph_triangle(s, V(26, -117, 232), V(98, -98, 250), V(138, -52, 322), 6, 6, 10);
        fab_ph_blend(s, 4);
        fab_ph_close(s);
    }
    s->mirror = 1;
}

/* ---- layers ------------------------------------------------------------------------------ */

/* par: half thickness */
static double diaphragm_distance(const ph_scene *s, const double *par, ph_vec p)
{
    return fabs(fab_ph_dome(s, p)) - par[0];
}

/* par: side, low z, high z, back y: a box open to the front and the side */
static double flank_distance(const ph_scene *s, const double *par, ph_vec p)
{
    (void)s;
    double d = ph_max(par[1] - p.z, p.z - par[2]);
    return ph_max(d, ph_max(p.y - par[3], 8 - par[0] * p.x));
}

static const ph_knot thigh[] = {{-520, 88, 0, 60, 58, 64}, {-400, 90, 2, 67, 66, 70},
                                {-300, 94, 5, 70, 70, 76}, {-240, 98, 6, 62, 72, 78},
                                {-205, 104, 8, 40, 58, 62}};

/* The trunk with thighs, buttocks and breasts; inset mm from the skin. */
static void surface(ph_scene *s, double inset)
{
    ph_loft *l;
    double fat = 14 * s->fat;
    for (int side = -1; side <= 1; side += 2) {
        ph_knot k[5];
        for (int i = 0; i < 5; i++) {
            k[i] = thigh[i];
            k[i].rx += fat - inset, k[i].ry_front += fat - inset, k[i].ry_back += fat - inset;
        }
        s->mirror = side;
        fab_ph_loft_prim(s, fab_ph_loft(s, k, 5, 2, false))->blend = 12;
        double r = 8 * s->fat - inset;
        fab_ph_ball(s, V(64, 62, -205), V(62 + r, 52 + r, 66 + r))->blend = 22;
        fab_ph_cone(s, V(138, -12, 318), V(172, -22, 440), 42 - inset, 46 - inset)->blend = 30;
        if (s->wide > 0)
            fab_ph_ball(s, V(78, -112, 205), V(52 - inset, 40 - inset, 50 - inset))->blend = 14;
    }
    s->mirror = 1;
    int copy = fab_ph_loft(s, (ph_knot[2]){{0, 0, 0, 1, 1, 1}, {8, 0, 0, 1, 1, 1}}, 2, 2.5, false);
    if (s->failed) return;
    s->lofts[copy] = s->lofts[s->skin];
    l = &s->lofts[copy];
    for (int i = 0; i < l->rows; i++)
        l->row[i].rx -= inset, l->row[i].front -= inset, l->row[i].back -= inset;
    fab_ph_loft_prim(s, copy)->blend = 12;
}

static void add_muscle_layer(ph_scene *s)
{
    for (int side = -1; side <= 1; side += 2) {
        (void)muscle(s, "abdominal_oblique", side);
        fab_ph_loft_prim(s, s->body);
        double par[4] = {side, -88, 96, 34};
        fab_ph_field(s, flank_distance, par, 4, V(0, 0, 0), -1)->op = PH_CLIP;
        fab_ph_close(s);
    }
    ph_shape *shape = fab_ph_shape(s, "skeletal_muscle", PH_CANONICAL, PH_MUSCLE);
    shape->wobble_mm = 2, shape->wobble_scale_mm = 22;
    for (int side = -1; side <= 1; side += 2) {
        s->mirror = side;
        fab_ph_loft_prim(s, fab_ph_loft(s, thigh, 5, 2, false))->blend = 4;
        fab_ph_cone(s, V(140, -10, 322), V(172, -22, 440), 32, 36)->blend = 20;
    }
    s->mirror = 1;
    fab_ph_loft_prim(s, s->body)->blend = 4;
    fab_ph_close(s);
}

static double couch_distance(const ph_scene *s, const double *par, ph_vec p)
{
    (void)s;
    double dy = p.y - (par[0] - 900), r = sqrt(p.x * p.x + dy * dy);
    double shell = fabs(r - 900) - par[1];
    return ph_max(shell, fabs(p.x) - 215);
}

static void add_couch(ph_scene *s)
{
    ph_frame f = {V(0, 0, 0), V(1, 0, 0), V(0, 1, 0), V(0, 0, 1), 1};
    double soft = 34 * ph_max(s->fat - 1, 0);
    double back = (156 + soft - s->canonical_s1.y) * s->scale + 0.3 * s->o->cobb_deg;
    for (int k = 0; k < 2; k++) {
        double par[2] = {back + (k ? 20 : 0), k ? 9.0 : 0.9};
        fab_ph_shape(s, NULL, fab_ph_frame_add(s, &f), k ? PH_FOAM : PH_COUCH)->wall_mm = k;
        if (!s->failed) s->shapes[s->shape_count - 1].wall = PH_COUCH;
        fab_ph_field(s, couch_distance, par, 2, V(0, back, 0), 5000);
        fab_ph_close(s);
    }
}

void fab_ph_add_wall(ph_scene *s)
{
    double zero = 0;
    fab_ph_shape(s, "diaphragm", PH_CANONICAL, PH_MUSCLE);
    double half = 1.7;
    fab_ph_field(s, diaphragm_distance, &half, 1, V(0, -15, 120), 170);
    fab_ph_field(s, fab_ph_field_cavity, &zero, 1, V(0, 0, 0), -1)->op = PH_CLIP;
    fab_ph_close(s);
    fab_ph_shape(s, "torso_fat", PH_CANONICAL, PH_FAT);
    fab_ph_loft_prim(s, s->cavity);
    fab_ph_close(s);
    add_muscle_layer(s);
    fab_ph_shape(s, "subcutaneous_fat", PH_CANONICAL, PH_FAT);
    surface(s, 2.2);
    fab_ph_close(s);
    fab_ph_shape(s, "skin", PH_CANONICAL, PH_SKIN);
    surface(s, 0);
    fab_ph_close(s);
    if (s->o->modality == FAB_PHANTOM_CT) add_couch(s);
}
