/* wall.c - the layers of the trunk from the inside out: diaphragm, fat of the cavity, flat muscles
 * of the belly, other muscle with its fat planes, fat beneath the skin, skin; and the couch. */
#include "phantom_internal.h"

/* par: half thickness */
static double diaphragm_distance(const ph_scene *s, const double *par, ph_vec p)
{
    return fabs(fab_ph_dome(s, p)) - par[0];
}

/* How thick the flat muscles of the belly are outside the cavity: thick in the flank, a sheath
 * beside the rectus, thin towards the back. */
static double flank_mm(ph_vec p)
{
    double front = ph_clamp((fabs(p.x) - 58) / 28, 0, 1), x = p.y < -40 ? front : 1;
    double back = ph_clamp((48 - p.y) / 40, 0.35, 1);
    return ph_mix(2.2, 13.5, x * x * (3 - 2 * x)) * back;
}

/* par: side, low z, high z */
static double flank_distance(const ph_scene *s, const double *par, ph_vec p)
{
    double d = ph_max(ph_max(par[1] - p.z, p.z - par[2]), 6 - par[0] * p.x);
    return ph_max(d, fab_ph_loft_distance(&s->lofts[s->cavity], p) - flank_mm(p));
}

/* par: as above. Fat between external and internal oblique and transversus. */
static double flank_seams(const ph_scene *s, const double *par, ph_vec p)
{
    double thick = flank_mm(p), out = fab_ph_loft_distance(&s->lofts[s->cavity], p);
    double d = ph_min(fabs(out - 0.3 * thick), fabs(out - 0.64 * thick)) - 0.4;
    return ph_max(ph_max(d, 8.5 - thick), ph_max(par[1] + 4 - p.z, p.z - par[2] + 4));
}

/* Between the ribs' layer and latissimus and serratus. */
static double chest_seam(const ph_scene *s, const double *par, ph_vec p)
{
    (void)par;
    double out = fab_ph_loft_distance(&s->lofts[s->cavity], p);
    double at = 11 + 1.2 * fab_ph_noise(s->hash + 21, ph_mul(p, 0.03));
    double thick = 0.45 + 0.5 * fab_ph_noise(s->hash + 22, ph_mul(p, 0.05));
    return ph_max(fabs(out - at) - thick, 88 - p.z);
}

/* What the loins have instead of muscle: outside the flat muscles and the deep back, fat.
 * Latissimus thins out downwards over the ribs; the buttock begins at the iliac crest. */
static double loin_distance(const ph_scene *s, const double *par, ph_vec p)
{
    (void)par;
    double sheet = 0.25 * ph_max(p.z - 60, 0) + 2 * ph_max(-54 - p.z, 0) - 4;
    return sheet - fab_ph_loft_distance(&s->lofts[s->cavity], p);
}

static const ph_knot thigh[5] = {{-520, 88, 0, 60, 58, 64}, {-400, 88, 2, 67, 66, 70},
                                {-300, 90, 5, 72, 70, 76}, {-240, 96, 6, 64, 72, 78},
                                {-205, 104, 8, 40, 58, 62}};

int fab_ph_thigh(ph_scene *s) { return fab_ph_loft(s, thigh, 5, 2, false); }

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
    fab_ph_loft_prim(s, copy)->blend = 20;
}

static void add_muscle_layer(ph_scene *s)
{
    for (int side = -1; side <= 1; side += 2) {
        double par[3] = {side, -92, 96};
        const char *name = side > 0 ? "abdominal_oblique_left" : "abdominal_oblique_right";
        for (int k = 0; k < 2; k++) { /* first the seams, then the muscle */
            if (k) (void)fab_ph_muscle(s, "abdominal_oblique", side);
            else fab_ph_shape(s, name, PH_CANONICAL, PH_FAT);
            fab_ph_loft_prim(s, s->body);
            fab_ph_field(s, flank_distance, par, 3, V(0, 0, 0), -1)->op = PH_CLIP;
            if (!k) fab_ph_field(s, flank_seams, par, 3, V(0, 0, 0), -1)->op = PH_CLIP;
            fab_ph_close(s);
        }
    }
    s->mirror = 1;
    fab_ph_shape(s, "skeletal_muscle", PH_CANONICAL, PH_FAT);
    fab_ph_loft_prim(s, s->body);
    fab_ph_field(s, chest_seam, NULL, 0, V(0, 0, 0), -1)->op = PH_CLIP;
    fab_ph_close(s);
    ph_shape *shape = fab_ph_shape(s, "skeletal_muscle", PH_CANONICAL, PH_MUSCLE);
    shape->wobble_mm = 2, shape->wobble_scale_mm = 22;
    for (int side = -1; side <= 1; side += 2) {
        s->mirror = side;
        fab_ph_loft_prim(s, fab_ph_thigh(s))->blend = 4;
        fab_ph_cone(s, V(140, -10, 322), V(172, -22, 440), 32, 36)->blend = 20;
    }
    s->mirror = 1;
    fab_ph_loft_prim(s, s->body)->blend = 4;
    ph_prim *q = fab_ph_field(s, loin_distance, NULL, 0, V(0, 0, 0), -1);
    q->op = PH_CUT, q->blend = 4;
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
        double par[2] = {back + (k ? 20 : 0), k ? 9.0 : 1.4};
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
