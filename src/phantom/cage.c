/* cage.c - ribs on the thoracic wall, costal cartilages, sternum, shoulder girdle, the trunk's
 * nested envelopes (cavity, muscle surface, skin) and the diaphragm. Ribs run at a fixed distance
 * outside the cavity, so wall and ribs always agree. */
#include <stdio.h>

#include "phantom_internal.h"

static const double pi = 3.14159265358979323846;

/* z, centre x, y, half width, front, back: inner wall of chest, abdomen and pelvis */
static const ph_knot cavity_knots[] = {
    {-280, 0, 20, 8, 12, 12},   {-258, 0, 15, 40, 42, 42},
    {-220, 0, 8, 55, 62, 62},   {-170, 0, 5, 74, 80, 72},
    {-118, 0, 0, 104, 92, 62},  {-60, 0, -5, 120, 92, 46},  {0, 0, -10, 122, 92, 46},
    {50, 0, -14, 125, 98, 66},  {100, 0, -15, 129, 104, 80}, {150, 0, -18, 131, 100, 86},
    {200, 0, -20, 127, 94, 88}, {250, 0, -16, 116, 90, 80}, {300, 0, -10, 93, 73, 62},
    {335, 0, -12, 62, 45, 40},  {362, 0, -14, 34, 26, 24},
};

/* the muscle surface, and the fat beneath the skin there: side, front, back (mm at factor 1) */
static const struct { ph_knot k; double side, front, back; } trunk[] = {
    {{-304, 0, 16, 9, 9, 10}, 5, 5, 5},        {{-300, 0, 15, 26, 24, 26}, 8, 7, 8},
    {{-292, 0, 14, 54, 40, 44}, 14, 11, 13},   {{-276, 0, 12, 92, 58, 60}, 23, 17, 19},
    {{-240, 0, 10, 138, 74, 62}, 40, 22, 42},
    {{-195, 0, 8, 148, 90, 78}, 38, 22, 42},  {{-150, 0, 5, 146, 104, 84}, 34, 22, 38},
    {{-105, 0, 2, 149, 108, 95}, 20, 24, 18},  {{-50, 0, -2, 139, 107, 86}, 20, 22, 15},
    {{0, 0, -5, 137, 108, 90}, 18, 19, 12},    {{50, 0, -8, 141, 113, 94}, 15, 16, 11},
    {{100, 0, -10, 147, 119, 97}, 13, 12, 10}, {{150, 0, -12, 150, 120, 99}, 11, 10, 9},
    {{200, 0, -14, 152, 116, 101}, 10, 9, 9},  {{250, 0, -12, 156, 112, 98}, 10, 9, 9},
    {{300, 0, -8, 160, 98, 88}, 10, 9, 9},     {{340, 0, -8, 150, 74, 74}, 10, 9, 9},
    {{380, 0, -14, 96, 56, 58}, 9, 8, 9},      {{420, 0, -16, 66, 52, 52}, 8, 7, 8},
};

void fab_ph_make_envelopes(ph_scene *s)
{
    ph_knot body[20], skin[20];
    int n = (int)(sizeof trunk / sizeof trunk[0]);
    double hips = 1 + 0.05 * s->wide;
    for (int i = 0; i < n; i++) {
        body[i] = skin[i] = trunk[i].k;
        if (body[i].z < -80) body[i].rx *= hips;
        if (body[i].z > 130) body[i].rx *= 1 - 0.04 * s->wide;
        skin[i].rx = body[i].rx + trunk[i].side * s->fat;
        skin[i].ry_front += trunk[i].front * s->fat;
        skin[i].ry_back += trunk[i].back * s->fat;
        if (body[i].z < -280) /* below the pelvic floor there is skin and fat only */
            body[i].rx *= 0.3, body[i].ry_front *= 0.5, body[i].ry_back *= 0.5;
    }
    s->cavity = fab_ph_loft(s, cavity_knots, (int)(sizeof cavity_knots / sizeof *cavity_knots),
                            2.5, false);
    s->body = fab_ph_loft(s, body, n, 2.5, false);
    s->skin = fab_ph_loft(s, skin, n, 2.5, false);
}

double fab_ph_field_cavity(const ph_scene *s, const double *par, ph_vec p)
{
    return fab_ph_loft_distance(&s->lofts[s->cavity], p) + par[0];
}

/* Millimetres above the diaphragm: two domes, the right one higher, deep recesses at the back. */
double fab_ph_dome(const ph_scene *s, ph_vec p)
{
    (void)s;
    double z[2];
    for (int k = 0; k < 2; k++) {
        double x = (p.x - (k ? 62 : -60)) / 68, dy = p.y + 16, y = dy / (dy > 0 ? 82 : 96);
        double rho2 = x * x + y * y, rho = sqrt(rho2);
        double drop = 58 + 24 * ph_clamp(dy / 80, -1, 1);
        z[k] = (k ? 152 : 166) - drop * rho2 * (0.35 + 0.65 * ph_min(rho, 1.6));
    }
    double h = ph_max(30 - fabs(z[0] - z[1]), 0) / 30;
    return (p.z - ph_max(z[0], z[1]) - h * h * 7.5) * 0.7;
}

/* ---- ribs -------------------------------------------------------------------------------- */

static const struct { double x, y, z, tall; } rib_end[12] = {
    {38, -82, 306, 8},  {54, -100, 272, 7}, {50, -110, 236, 6.5}, {52, -117, 201, 6.5},
    {60, -119, 168, 6.5}, {74, -113, 138, 6.5}, {90, -100, 108, 6.5}, {106, -80, 84, 6.5},
    {117, -62, 68, 6.5}, {125, -40, 64, 6.2}, {122, -14, 56, 5.5}, {104, 20, 48, 4.5},
};
/* where cartilages 1..7 meet the sternum */
static const double sternum_z[7] = {309, 290, 266, 244, 226, 212, 202};

static double sternum_y(double z) { return -77 - 42 * ph_clamp((316 - z) / 118, 0, 1.2); }

/* Point `out` mm outside the cavity at an angle (0: back, pi: front) and height. */
static ph_vec on_wall(const ph_scene *s, double angle, double z, double out)
{
    if (s->failed) return V(0, 0, z); /* no lofts; nobody will see it */
    const ph_loft *l = &s->lofts[s->cavity];
    double at = ph_clamp((z - l->z_low) / PH_LOFT_STEP, 0, l->rows - 1);
    const struct ph_loft_row *r = &l->row[(int)at];
    double c = cos(angle), n = sin(angle), ry = c > 0 ? r->back : r->front;
    double sum = pow(fabs(n) / r->rx, l->exponent) + pow(fabs(c) / ry, l->exponent);
    double radius = pow(sum, -1 / l->exponent) + out;
    return V(r->cx + n * radius, r->cy + c * radius, z);
}

static double wall_angle(const ph_scene *s, ph_vec p)
{
    if (s->failed) return 0;
    const ph_loft *l = &s->lofts[s->cavity];
    double at = ph_clamp((p.z - l->z_low) / PH_LOFT_STEP, 0, l->rows - 1);
    return atan2(p.x, p.y - l->row[(int)at].cy);
}

static void rib_piece(ph_scene *s, ph_vec a, ph_vec b, double tall)
{
    ph_vec mid = ph_lerp(a, b, 0.5), out = ph_unit(V(mid.x, mid.y + 15, 0));
    fab_ph_flat(s, a, b, 3.3, tall, out);
}

static void add_rib(ph_scene *s, int rib, int side)
{
    const ph_vertebra *v = &s->ref.v[4 + 13 - rib]; /* ref: 5 lumbar, then T12 .. T1 */
    const ph_vertebra_size *z = &v->size;
    ph_frame f = v->frame;
    f.o = ph_add(f.o, s->canonical_s1);
    char name[24];
    snprintf(name, sizeof name, "rib_%s_%d", side > 0 ? "left" : "right", rib);
    ph_shape *shape = fab_ph_shape(s, name, PH_CANONICAL, PH_CANCELLOUS);
    shape->wall = PH_CORTICAL, shape->wall_mm = 1.1;
    s->mirror = side;
    double tall = rib_end[rib - 1].tall * 0.95;
    ph_vec head = fab_ph_to_world(&f, V(z->w_sup / 2 + 3, z->d_sup / 2 - 1, z->height / 2 - 2));
    ph_vec neck = fab_ph_to_world(&f, V(z->tp_x - 2, z->tp_y - 7, z->tp_z + 1));
    ph_vec end = V(rib_end[rib - 1].x, rib_end[rib - 1].y, rib_end[rib - 1].z), before = neck;
    fab_ph_cone(s, head, neck, 4.4, 4);
    double a0 = wall_angle(s, neck), a1 = wall_angle(s, end);
    if (rib > 10) a1 = ph_min(a1, rib == 12 ? 1.15 : 1.7);
    const int pieces = 14;
    for (int i = 1; i <= pieces; i++) {
        double t = (double)i / pieces, flatten = 1 - (1 - t) * (1 - t) * (1 - t);
        double drop = ph_mix(neck.z, end.z, t * (0.8 + 0.2 * t));
        ph_vec wall = on_wall(s, ph_mix(a0, a1, t), drop, 4.2);
        ph_vec now = i == 1 ? ph_lerp(neck, wall, 0.75 * flatten + 0.4) : wall;
        rib_piece(s, before, now, tall);
        before = now;
    }
    fab_ph_blend(s, 1.5);
    fab_ph_close(s);
    s->mirror = 1;
}

static void add_cartilage(ph_scene *s, int rib, int side)
{
    ph_shape *shape = fab_ph_shape(s, "costal_cartilages", PH_CANONICAL, PH_CARTILAGE);
    shape->wobble_mm = 0.6, shape->wobble_scale_mm = 8;
    s->mirror = side;
    ph_vec end = V(rib_end[rib - 1].x, rib_end[rib - 1].y, rib_end[rib - 1].z);
    double z1 = rib <= 7 ? sternum_z[rib - 1] : rib_end[rib - 2].z + 22;
    double a0 = wall_angle(s, end), a1 = rib <= 7 ? pi - 0.13 : wall_angle(s, V(
        rib_end[rib - 2].x - 14, rib_end[rib - 2].y - 6, rib_end[rib - 2].z));
    ph_vec before = on_wall(s, a0, end.z, 4.2);
    const int pieces = 7;
    for (int i = 1; i <= pieces; i++) {
        double t = (double)i / pieces, bend = rib >= 4 ? t * t * (3 - 2 * t) : t;
        ph_vec now = on_wall(s, ph_mix(a0, a1, t), ph_mix(end.z, z1, ph_mix(t, bend, 0.7)), 4.2);
        if (rib <= 7) now.y = ph_mix(now.y, sternum_y(now.z), t * t * t);
        fab_ph_flat(s, before, now, 3.6, 6.2, V(before.x, before.y + 15, 0));
        before = now;
    }
    fab_ph_close(s);
    s->mirror = 1;
}

static void add_sternum(ph_scene *s)
{
    ph_shape *shape = fab_ph_shape(s, "sternum", PH_CANONICAL, PH_CANCELLOUS);
    shape->wall = PH_CORTICAL, shape->wall_mm = 1;
    for (int side = -1; side <= 1; side += 2) {
        s->mirror = side;
        fab_ph_triangle(s, V(0, sternum_y(314), 312), V(23, sternum_y(310), 311),
                        V(10, sternum_y(282), 280), 6, 6, 5);
        fab_ph_triangle(s, V(0, sternum_y(314), 312), V(0, sternum_y(280), 280),
                        V(10, sternum_y(282), 280), 6, 5, 5);
        fab_ph_triangle(s, V(0, sternum_y(280), 280), V(9, sternum_y(280), 280),
                        V(13, sternum_y(210), 212), 5, 5, 5);
        fab_ph_triangle(s, V(0, sternum_y(280), 280), V(13, sternum_y(210), 212),
                        V(0, sternum_y(198), 196), 5, 5, 5);
    }
    s->mirror = 1;
    fab_ph_flat(s, V(0, sternum_y(198), 198), V(0, sternum_y(180) + 3, 172), 3, 6, V(0, 1, 0));
    fab_ph_blend(s, 2);
    fab_ph_close(s);
}

void fab_ph_add_cage(ph_scene *s)
{
    for (int side = -1; side <= 1; side += 2)
        for (int rib = 1; rib <= 12; rib++) add_rib(s, rib, side);
    add_sternum(s);
    for (int side = -1; side <= 1; side += 2)
        for (int rib = 1; rib <= 10; rib++) add_cartilage(s, rib, side);
}

static ph_shape *bone(ph_scene *s, const char *stem, int side, double wall)
{
    char name[40];
    snprintf(name, sizeof name, "%s_%s", stem, side > 0 ? "left" : "right");
    s->mirror = side;
    ph_shape *shape = fab_ph_shape(s, name, PH_CANONICAL, PH_CANCELLOUS);
    shape->wall = PH_CORTICAL, shape->wall_mm = wall;
    return shape;
}

/* Arms raised, as patients lie in the scanner: blade turned out, upper arm up and out of view. */
void fab_ph_add_shoulder(ph_scene *s)
{
    const ph_vec top = V(66, 64, 335), low = V(104, 74, 226), socket = V(134, 4, 336);
    const ph_vec acromion = V(143, 26, 356), mid = V(100, 52, 300);
    for (int side = -1; side <= 1; side += 2) {
        (void)bone(s, "scapula", side, 1.2);
        fab_ph_triangle(s, top, mid, socket, 2.4, 1.8, 5);
        fab_ph_triangle(s, top, low, mid, 2.4, 3, 1.8);
        fab_ph_triangle(s, low, socket, mid, 3.5, 5, 1.8);
        fab_ph_triangle(s, V(74, 72, 325), mid, acromion, 3, 2, 4.5);
        fab_ph_cone(s, socket, V(139, 0, 337), 9, 12);
        fab_ph_cone(s, socket, V(116, -32, 344), 6, 5);
        fab_ph_cone(s, top, low, 3, 4);
        fab_ph_blend(s, 4);
        fab_ph_close(s);
        (void)bone(s, "humerus", side, 3);
        fab_ph_ball(s, V(158, -12, 345), V(22, 22, 22));
        fab_ph_cone(s, V(160, -14, 352), V(176, -30, 440), 15, 12);
        fab_ph_blend(s, 6);
        fab_ph_close(s);
        (void)bone(s, "clavicula", side, 1.6);
        fab_ph_tube(s, (const double[][4]){{17, -76, 322, 10}, {48, -84, 333, 6.5},
                                           {95, -52, 350, 6}, {132, -6, 358, 7}}, 4, 3);
        fab_ph_close(s);
    }
    s->mirror = 1;
}
