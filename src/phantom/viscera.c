/* viscera.c - lungs, abdominal and pelvic organs. Sizes and places are those of an average adult
 * (ICRP 89 reference masses; kidneys 11 cm at T12-L3, spleen 195 ml, liver 1500 ml, bladder 200 ml)
 * and vary with the seed by about 5 % and 3 mm. */
#include "phantom_internal.h"

/* Moves and scales the last shape by the seed's draw. Balls, cones and triangles only. */
static void vary(ph_scene *s, double move_mm, double size)
{
    double grow = 1 + size * ph_clamp(fab_rng_normal(&s->rng), -2, 2);
    ph_vec by = V(0, 0, 0);
    by.x = move_mm * ph_clamp(fab_rng_normal(&s->rng), -2, 2);
    by.y = 0.5 * move_mm * ph_clamp(fab_rng_normal(&s->rng), -2, 2);
    by.z = move_mm * ph_clamp(fab_rng_normal(&s->rng), -2, 2);
    if (s->failed || !s->shape_count) return;
    ph_shape *shape = &s->shapes[s->shape_count - 1];
    if (!shape->count) return;
    ph_vec mid = s->prims[shape->first].centre;
    for (int i = shape->first; i < shape->first + shape->count; i++) {
        ph_prim *q = &s->prims[i];
        if (q->kind == PH_FIELD || q->kind == PH_LOFT) continue;
        ph_vec *at[4] = {&q->a, &q->b, &q->c, &q->centre};
        for (int k = 0; k < 4; k++)
            *at[k] = ph_add(ph_add(mid, ph_mul(ph_sub(*at[k], mid), grow)), by);
        for (int k = 0; k < 3; k++) q->r[k] *= grow;
        q->radius *= grow;
    }
}

/* Keeps the last shape inside the abdomen: below the diaphragm and off the wall. */
static double below_dome(const ph_scene *s, const double *par, ph_vec p)
{
    return fab_ph_dome(s, p) + par[0];
}

static void confine(ph_scene *s, double wall_mm)
{
    double off = 1.8; /* what the diaphragm itself takes */
    fab_ph_field(s, below_dome, &off, 1, V(0, 0, 0), -1)->op = PH_CLIP;
    ph_prim *q = fab_ph_field(s, fab_ph_field_cavity, &wall_mm, 1, V(0, 0, 0), -1);
    q->op = PH_CLIP, q->blend = 6;
}

/* ---- lungs ------------------------------------------------------------------------------- */

/* par: side, lobe (0 all, 1 in front of the oblique fissure, 2 and above the horizontal one) */
static double lung_distance(const ph_scene *s, const double *par, ph_vec p)
{
    double x = par[0] * p.x, d = fab_ph_field_cavity(s, (double[1]){2}, p);
    d = ph_max(d, 2 - fab_ph_dome(s, p));
    double medial = 23 + 3.5 * sin(p.z * 0.045 + par[0]);
    if (p.y > 12) medial += ph_mix(0, -3, ph_clamp((p.y - 12) / 15, 0, 1)) + 0.22 * (p.y - 12);
    if (p.y < -68) medial = ph_mix(23, 5, ph_clamp((-68 - p.y) / 26, 0, 1));
    if (p.z > 300) medial += 0.25 * (p.z - 300);
    d = ph_max(d, medial - x);
    if (par[1] > 0) d = ph_max(d, -(-0.768 * (p.y - 58) + 0.64 * (p.z - 296)));
    if (par[1] > 1) d = ph_max(d, 234 - p.z + 0.1 * (p.y + 40));
    return d;
}

static void add_lobe(ph_scene *s, const char *name, double side, double lobe)
{
    ph_shape *shape = fab_ph_shape(s, name, PH_CANONICAL, PH_LUNG);
    shape->wobble_mm = 1.6, shape->wobble_scale_mm = 18;
    shape->gas_y = -INFINITY; /* none, but its texture wants canonical points */
    double par[2] = {side, lobe};
    fab_ph_field(s, lung_distance, par, 2, V(70 * side, -10, 220), 165);
    fab_ph_close(s);
}

void fab_ph_add_lungs(ph_scene *s)
{
    add_lobe(s, "lung_upper_lobe_left", 1, 1);
    add_lobe(s, "lung_lower_lobe_left", 1, 0);
    add_lobe(s, "lung_upper_lobe_right", -1, 2);
    add_lobe(s, "lung_middle_lobe_right", -1, 1);
    add_lobe(s, "lung_lower_lobe_right", -1, 0);
}

/* ---- solid organs ------------------------------------------------------------------------ */

static void add_kidney(ph_scene *s, int side)
{
    double z = side > 0 ? 60 : 48, y = side > 0 ? 20 : 24;
    s->mirror = side;
    fab_ph_shape(s, "torso_fat", PH_CANONICAL, PH_FAT); /* renal sinus */
    fab_ph_ball_turned(s, V(53, y - 7, z), V(11, 8, 21), V(-6, 10, -25));
    fab_ph_close(s);
    ph_shape *shape = fab_ph_shape(s, side > 0 ? "kidney_left" : "kidney_right", PH_CANONICAL,
                                   PH_MEDULLA);
    shape->wall = PH_CORTEX, shape->wall_mm = 7;
    shape->wobble_mm = 1.2, shape->wobble_scale_mm = 17;
    fab_ph_ball_turned(s, V(65, y, z), V(28, 27, 55), V(-6, 10, -25));
    vary(s, 3, 0.05);
    ph_prim *q = fab_ph_ball_turned(s, V(45, y - 10, z), V(14, 12, 20), V(-6, 10, -25));
    q->op = PH_CUT, q->blend = 8;
    fab_ph_close(s);
    fab_ph_shape(s, side > 0 ? "adrenal_gland_left" : "adrenal_gland_right", PH_CANONICAL,
                 PH_ADRENAL);
    double x = side > 0 ? 37 : 36, up = side > 0 ? 92 : 98;
    fab_ph_triangle(s, V(x, y - 22, up + 8), V(x - 5, y - 10, up - 12), V(x - 1, y - 20, up - 10),
                    2.8, 2.2, 2.8);
    fab_ph_triangle(s, V(x, y - 22, up + 8), V(x + 11, y - 12, up - 14), V(x + 1, y - 20, up - 10),
                    2.8, 2.2, 2.8);
    fab_ph_close(s);
    s->mirror = 1;
}

static void add_liver(ph_scene *s)
{
    ph_shape *shape = fab_ph_shape(s, "liver", PH_CANONICAL, PH_LIVER);
    shape->wobble_mm = 2, shape->wobble_scale_mm = 40;
    fab_ph_ball_turned(s, V(-80, -18, 102), V(68, 88, 82), V(0, 0, 10));
    fab_ph_ball_turned(s, V(-18, -66, 122), V(68, 40, 34), V(0, -10, 12));
    fab_ph_cone(s, V(-94, -20, 60), V(-104, -12, 22), 44, 20);
    fab_ph_blend(s, 22);
    vary(s, 3, 0.035);
    ph_prim *q = fab_ph_ball(s, V(-62, 40, 48), V(40, 34, 54)); /* right kidney's bed */
    q->op = PH_CUT, q->blend = 12;
    q = fab_ph_ball(s, V(-34, -64, 52), V(40, 46, 44)); /* porta and gallbladder bed */
    q->op = PH_CUT, q->blend = 18;
    q = fab_ph_cone(s, V(-20, -60, 96), V(-30, -112, 86), 7, 10); /* falciform fissure */
    q->op = PH_CUT, q->blend = 8;
    confine(s, 1.5);
    fab_ph_close(s);
}

static void add_spleen(ph_scene *s)
{
    fab_ph_shape(s, "spleen", PH_CANONICAL, PH_SPLEEN);
    fab_ph_ball_turned(s, V(96, 14, 98), V(32, 54, 58), V(24, 0, -14));
    vary(s, 3, 0.05);
    ph_prim *q = fab_ph_ball(s, V(58, -8, 94), V(28, 36, 48));
    q->op = PH_CUT, q->blend = 8;
    confine(s, 1.5);
    fab_ph_close(s);
}

static void add_upper(ph_scene *s)
{
    ph_shape *shape = fab_ph_shape(s, "gallbladder", PH_CANONICAL, PH_BILE);
    fab_ph_cone(s, V(-52, -50, 66), V(-70, -78, 44), 6, 14);
    vary(s, 2, 0.08);
    fab_ph_close(s);
    shape = fab_ph_shape(s, "pancreas", PH_CANONICAL, PH_PANCREAS);
    shape->wobble_mm = 2.2, shape->wobble_scale_mm = 8;
    fab_ph_tube(s, (const double[][4]){{-30, -34, 22, 12}, {-28, -40, 45, 14}, {-8, -52, 62, 10},
                                       {18, -54, 70, 11}, {48, -34, 82, 11}, {76, -10, 96, 9}},
                6, 2);
    vary(s, 2, 0.03);
    fab_ph_close(s);
    shape = fab_ph_shape(s, "duodenum", PH_CANONICAL, PH_CHYME);
    shape->wall = PH_GUT, shape->wall_mm = 2.5;
    fab_ph_tube(s, (const double[][4]){{-32, -66, 58, 11}, {-48, -48, 56, 12}, {-54, -32, 40, 13},
                                       {-52, -28, 8, 12.5}, {-34, -42, -10, 12},
                                       {0, -52, -10, 10}, {28, -44, 2, 11}, {40, -48, 26, 11}},
                8, 2);
    fab_ph_close(s);
}

static void add_stomach(ph_scene *s)
{
    ph_shape *shape = fab_ph_shape(s, "stomach", PH_CANONICAL, PH_CHYME);
    shape->wall = PH_GUT, shape->wall_mm = 4.5, shape->gas_y = -72, shape->stool = 0.15;
    shape->wobble_mm = 1.5, shape->wobble_scale_mm = 12;
    fab_ph_tube(s, (const double[][4]){{60, -16, 124, 30}, {66, -38, 112, 35}, {58, -66, 92, 30},
                                       {36, -84, 64, 24}, {4, -84, 50, 18}, {-24, -74, 54, 13},
                                       {-34, -66, 58, 11}}, 7, 3);
    vary(s, 3, 0.04);
    confine(s, 4);
    fab_ph_close(s);
}

static void add_pelvic(ph_scene *s)
{
    bool female = s->o->female;
    ph_shape *shape = fab_ph_shape(s, "urinary_bladder", PH_CANONICAL, PH_URINE);
    shape->wall = PH_GUT, shape->wall_mm = 3;
    fab_ph_ball(s, V(0, -18, -205), V(40, 33, 30));
    vary(s, 1.5, 0.1);
    fab_ph_close(s);
    if (female) {
        fab_ph_shape(s, "uterus", PH_CANONICAL, PH_UTERUS);
        fab_ph_ball_turned(s, V(3, 4, -170), V(25, 21, 32), V(35, 8, 0));
        fab_ph_cone(s, V(2, 18, -190), V(0, 26, -215), 13, 11);
        fab_ph_blend(s, 8);
    } else {
        fab_ph_shape(s, "prostate", PH_CANONICAL, PH_PROSTATE);
        fab_ph_ball(s, V(0, -2, -239), V(23, 16, 17));
    }
    vary(s, 1, 0.06);
    fab_ph_close(s);
}

void fab_ph_add_abdomen(ph_scene *s)
{
    for (int side = -1; side <= 1; side += 2) add_kidney(s, side);
    add_upper(s);
    add_spleen(s);
    add_stomach(s);
    add_liver(s);
    add_pelvic(s);
}

/* ---- bowel ------------------------------------------------------------------------------- */

typedef struct gut { const char *label; double gas_y, stool; int count; double k[7][4]; } gut;

static const gut guts[] = {
    {"rectum", NAN, 0.5, 6, {{-6, 34, -142, 14}, {2, 62, -164, 15}, {0, 66, -190, 19},
     {0, 52, -222, 19}, {0, 44, -240, 13}, {0, 42, -262, 9}}},
    {"colon", -64, 0.75, 6, {{-70, -58, -128, 20}, {-82, -48, -108, 27}, {-90, -36, -70, 26},
     {-93, -28, -30, 24}, {-94, -30, 5, 23}, {-88, -46, 28, 22}}},
    {"colon", -84, 0.5, 7, {{-88, -46, 28, 22}, {-72, -74, 24, 21}, {-40, -90, 4, 20},
     {0, -92, -10, 20}, {42, -88, 4, 19}, {78, -66, 48, 19}, {100, -26, 74, 19}}},
    {"colon", -40, 0.6, 6, {{100, -26, 74, 19}, {106, 0, 58, 17}, {104, 8, 20, 15},
     {100, 2, -30, 14}, {92, -16, -80, 14}, {80, -40, -118, 15}}},
    {"colon", -48, 0.6, 6, {{80, -40, -118, 15}, {52, -50, -150, 15}, {24, -36, -148, 15},
     {10, -8, -128, 15}, {-14, 8, -124, 14}, {-6, 34, -142, 14}}},
};

static void add_colon(ph_scene *s, const gut *g)
{
    ph_shape *shape = fab_ph_shape(s, g->label, PH_CANONICAL, PH_STOOL);
    shape->wall = PH_GUT, shape->wall_mm = 2.2, shape->gas_y = g->gas_y;
    shape->stool = g->stool * fab_rng_range(&s->rng, 0.6, 1.1);
    shape->wobble_mm = 3.2, shape->wobble_scale_mm = 13; /* haustra */
    double k[7][4];
    double size = fab_rng_range(&s->rng, 0.88, 1.08);
    for (int i = 0; i < g->count; i++) {
        bool inner = i > 0 && i + 1 < g->count;
        k[i][0] = g->k[i][0] + inner * fab_rng_range(&s->rng, -5, 5);
        k[i][1] = g->k[i][1];
        k[i][2] = g->k[i][2] + inner * fab_rng_range(&s->rng, -6, 6);
        k[i][3] = g->k[i][3] * size;
    }
    fab_ph_tube(s, (const double(*)[4])k, g->count, 4);
    confine(s, 3);
    fab_ph_close(s);
}

/* Loops of small bowel: serpentines in rows and three layers, much jittered by the seed, so that
 * they lie against one another and the wall. */
static void add_coils(ph_scene *s)
{
    const int rows = 7, columns = 5, layers = 3;
    double k[6][4];
    ph_vec last = V(40, -48, 26);
    for (int row = 0; row < rows; row++)
        for (int layer = 0; layer < layers; layer++) {
            ph_shape *shape = fab_ph_shape(s, "small_bowel", PH_CANONICAL, PH_CHYME);
            shape->wall = PH_GUT, shape->wall_mm = 2.2, shape->stool = 0.05;
            shape->wobble_mm = 1.6, shape->wobble_scale_mm = 7;
            shape->gas_y = fab_rng_uniform(&s->rng) < 0.2 ? -84 : NAN;
            k[0][0] = last.x, k[0][1] = last.y, k[0][2] = last.z, k[0][3] = 11;
            double narrow = row > 4 ? 0.78 : 1, phase = fab_rng_range(&s->rng, -0.12, 0.12);
            double tilt = fab_rng_range(&s->rng, -16, 16);
            for (int c = 0; c < columns; c++) {
                double across = ((row + layer) & 1 ? 1 - 0.5 * c : -1 + 0.5 * c) + phase;
                k[c + 1][0] = 2 + across * 64 * narrow + fab_rng_range(&s->rng, -9, 9);
                k[c + 1][1] = -38 - 24 * layer + fab_rng_range(&s->rng, -9, 9);
                k[c + 1][2] = 14 - 25 * row + ((c & 1) ? 7 : -7) + tilt * across +
                              fab_rng_range(&s->rng, -8, 8);
                k[c + 1][3] = fab_rng_range(&s->rng, 9, 14.5);
            }
            fab_ph_tube(s, (const double(*)[4])k, columns + 1, 3);
            confine(s, 3);
            fab_ph_close(s);
            last = V(k[columns][0], k[columns][1], k[columns][2]);
        }
}

void fab_ph_add_bowel(ph_scene *s)
{
    for (size_t i = 0; i < sizeof guts / sizeof guts[0]; i++) add_colon(s, &guts[i]);
    add_coils(s);
}
