/* pelvis.c - sacrum, coccyx, hip bones and femurs. The sacrum sits in a rigid frame under the
 * sacral endplate (drawn for a slope of 36 degrees and turned by the difference); hip bones are
 * skins of triangles of varying thickness, rolled at the crest, with struts for the rami. */
#include <stdio.h>

#include "phantom_internal.h"

static const double deg = 3.14159265358979323846 / 180;

static void sacral_bodies(ph_scene *s)
{
    static const struct { ph_vec c, half; double tilt; } body[5] = {
        {{0, 8.8, -12.2}, {25, 16.5, 14}, 36}, {{0, 27, -37}, {20, 12, 13}, 44},
        {{0, 43, -60}, {17, 9, 12}, 47},       {{0, 56, -81}, {14.5, 7, 10.5}, 30},
        {{0, 62, -100}, {12, 6, 9.5}, 8},
    };
    for (int i = 0; i < 5; i++)
        fab_ph_box(s, body[i].c, body[i].half, 5, V(body[i].tilt, 0, 0));
}

static void sacral_wings(ph_scene *s)
{
    ph_vec a = V(22, 14, -8), b = V(46, 30, -17), c = V(42, 48, -52), d = V(20, 34, -42);
    ph_vec e = V(27, 55, -78), f = V(15, 60, -98), roof = V(0, 51, -24), roof2 = V(0, 70, -62);
    fab_ph_triangle(s, a, b, d, 9, 10, 8);
    fab_ph_triangle(s, b, c, d, 10, 9, 8);
    fab_ph_triangle(s, d, c, e, 8, 8, 6.5);
    fab_ph_triangle(s, d, e, f, 7, 6, 5);
    fab_ph_triangle(s, V(28, 42, -14), V(34, 56, -45), roof, 5, 5, 3);
    fab_ph_triangle(s, V(34, 56, -45), roof, roof2, 5, 3, 3.5);
    fab_ph_triangle(s, V(34, 56, -45), e, roof2, 5, 5, 3.5);
    fab_ph_triangle(s, e, roof2, V(8, 73, -92), 5, 3.5, 3);
    fab_ph_cone(s, V(20, 36, 2), V(24, 36, -12), 5, 6); /* facet for L5 */
}

static void sacral_holes(ph_scene *s)
{
    static const struct { ph_vec a, b; double r; } hole[4] = {
        {{21, 8, -34}, {24, 72, -22}, 5.5}, {{19, 26, -58}, {20, 80, -44}, 5},
        {{16, 42, -80}, {17, 88, -66}, 4.2}, {{13, 52, -98}, {13, 92, -92}, 3.2},
    };
    for (int k = -1; k <= 1; k += 2) {
        s->mirror = k;
        for (int i = 0; i < 4; i++) {
            ph_prim *q = fab_ph_cone(s, hole[i].a, hole[i].b, hole[i].r, hole[i].r * 0.6);
            q->op = PH_CUT, q->blend = 2;
        }
    }
    s->mirror = 1;
    static const double canal[4][4] = {{0, 26, 6, 10}, {0, 40, -30, 8}, {0, 55, -60, 6},
                                       {0, 68, -88, 4}};
    for (int i = 0; i < 3; i++) {
        ph_prim *q = fab_ph_cone(s, V(canal[i][0], canal[i][1], canal[i][2]),
                                 V(canal[i + 1][0], canal[i + 1][1], canal[i + 1][2]),
                                 canal[i][3], canal[i + 1][3]);
        q->op = PH_CUT, q->blend = 1;
    }
}

static void add_sacrum(ph_scene *s)
{
    double turn = s->spine.slope_s1 - 36 * deg, c = cos(turn), n = sin(turn);
    ph_frame f = {V(0, 0, 0), V(1, 0, 0), V(0, c, n), V(0, -n, c), s->scale};
    int frame = fab_ph_frame_add(s, &f);
    ph_shape *shape = fab_ph_shape(s, "sacrum", frame, PH_CANCELLOUS);
    shape->wall = PH_CORTICAL, shape->wall_mm = 1.1;
    shape->wobble_mm = 0.8, shape->wobble_scale_mm = 10;
    sacral_bodies(s);
    for (int k = -1; k <= 1; k += 2) {
        s->mirror = k;
        sacral_wings(s);
    }
    s->mirror = 1;
    fab_ph_cone(s, V(0, 53, -20), V(0, 71, -60), 3.5, 4.5);
    fab_ph_cone(s, V(0, 71, -60), V(0, 75, -88), 4.5, 3.5);
    fab_ph_blend(s, 5);
    sacral_holes(s);
    fab_ph_close(s);
    shape = fab_ph_shape(s, "coccyx", frame, PH_CANCELLOUS);
    shape->wall = PH_CORTICAL, shape->wall_mm = 1;
    fab_ph_tube(s, (const double[][4]){{0, 62, -112, 8}, {0, 57, -122, 7}, {0, 48, -134, 5},
                                       {0, 38, -142, 3.5}}, 4, 2);
    fab_ph_close(s);
}

typedef struct hip_points {
    ph_vec asis, aiis, crest_f, crest, crest_b, psis, piis, groin, fossa, body, head;
} hip_points;

/* A woman's pelvis is wider and lower: more between the hips, flared wings. */
static hip_points points(const ph_scene *s)
{
    double w = 4 * s->wide, low = 6 * s->wide;
    return (hip_points){
        V(121 + w, -64, -94 - low), V(98 + w, -54, -148), V(127 + w, -32, -68 - low),
        V(117 + w, 8, -56 - low),   V(84, 46, -68 - low), V(44, 76, -112),
        V(44, 66, -142),            V(60 + w, 46, -156),  V(106 + w, -2, -112),
        V(86 + w, -4, -172),        V(88 + w, -8, -203)};
}

/* Catmull-Rom through the rim's points i and i + 1 */
static ph_vec between(const ph_vec *rim, int i, double t)
{
    ph_vec p1 = rim[i], p2 = rim[i + 1], p0 = i ? rim[i - 1] : p1, p3 = rim[i + 2];
    ph_vec m1 = ph_mul(ph_sub(p2, p0), 0.5), m2 = ph_mul(ph_sub(p3, p1), 0.5);
    double t2 = t * t, t3 = t2 * t;
    ph_vec a = ph_add(ph_mul(p1, 2 * t3 - 3 * t2 + 1), ph_mul(p2, 3 * t2 - 2 * t3));
    return ph_add(a, ph_add(ph_mul(m1, t3 - 2 * t2 + t), ph_mul(m2, t3 - t2)));
}

static void ilium(ph_scene *s, const hip_points *h)
{
    const ph_vec rim[8] = {h->asis, h->crest_f, h->crest, h->crest_b, h->groin, h->body, h->aiis,
                           h->asis};
    static const double thick[8] = {5, 6, 6.5, 6.5, 7, 10, 7, 5};
    for (int i = 0; i < 7; i++) {
        const int cuts = i < 3 ? 4 : 2; /* the crest is round, the rest nearly straight */
        ph_vec before = rim[i];
        for (int k = 1; k <= cuts; k++) {
            double t = (double)k / cuts;
            ph_vec now = i < 3 ? between(rim, i, t) : ph_lerp(rim[i], rim[i + 1], t);
            double r = ph_mix(thick[i], thick[i + 1], t);
            fab_ph_triangle(s, before, now, h->fossa, r, r, 3);
            if (i < 3) fab_ph_cone(s, before, now, 5.8, 6);
            before = now;
        }
    }
    fab_ph_triangle(s, h->crest_b, h->psis, h->piis, 6, 7, 6.5);
    fab_ph_triangle(s, h->crest_b, h->piis, h->groin, 6, 6.5, 7);
    fab_ph_cone(s, h->crest_b, h->psis, 6.5, 7);
    fab_ph_cone(s, h->groin, h->body, 8, 11);
}

static void rami(ph_scene *s, const hip_points *h)
{
    double w = 4 * s->wide;
    ph_vec sit = V(58 + 2 * w, 30, -262), low = V(8, -50, -250 + w), top = V(10, -62, -222);
    fab_ph_cone(s, h->body, V(70 + w, 26, -196), 12, 11);
    fab_ph_cone(s, V(70 + w, 26, -196), V(63 + w, 34, -232), 11, 10);
    fab_ph_cone(s, V(63 + w, 34, -232), sit, 10, 15);
    fab_ph_cone(s, V(72 + w, 34, -206), V(56 + w, 42, -216), 7, 3); /* ischial spine */
    fab_ph_cone(s, V(76 + w, -28, -198), V(46 + w, -50, -206), 11, 8);
    fab_ph_cone(s, V(46 + w, -50, -206), V(20, -63, -218), 8, 9);
    fab_ph_triangle(s, V(20, -63, -218), top, low, 7, 6.5, 6);
    fab_ph_triangle(s, V(20, -63, -218), V(20, -50, -244), low, 7, 6, 6);
    fab_ph_cone(s, low, V(36 + w, -14, -262), 7, 6);
    fab_ph_cone(s, V(36 + w, -14, -262), sit, 6, 11);
}

static void add_hip(ph_scene *s, int side, int frame)
{
    hip_points h = points(s);
    s->mirror = side;
    ph_shape *shape =
        fab_ph_shape(s, side > 0 ? "hip_left" : "hip_right", frame, PH_CANCELLOUS);
    shape->wall = PH_CORTICAL, shape->wall_mm = 1.6;
    shape->wobble_mm = 0.7, shape->wobble_scale_mm = 14;
    ilium(s, &h);
    rami(s, &h);
    fab_ph_ball(s, ph_add(h.head, V(-4, 0, 4)), V(30, 31, 31));
    fab_ph_blend(s, 7);
    ph_prim *q = fab_ph_ball(s, h.head, V(26, 26, 26));
    q->op = PH_CUT, q->blend = 1;
    q = fab_ph_ball(s, ph_add(h.head, V(32, -8, -16)), V(29, 29, 29));
    q->op = PH_CUT, q->blend = 3;
    fab_ph_close(s);
}

static void add_femur(ph_scene *s, int side, int frame)
{
    const char *name = side > 0 ? "femur_left" : "femur_right";
    double w = 4 * s->wide;
    ph_vec head = points(s).head;
    s->mirror = side;
    ph_shape *shape = fab_ph_shape(s, name, frame, PH_MARROW);
    shape->wall = PH_CORTICAL, shape->wall_mm = 5.5;
    fab_ph_tube(s, (const double[][4]){{122 + w, 3, -262, 17}, {119 + w, 1, -290, 14.5},
                                       {114 + w, -3, -350, 13.5}, {106 + w, -6, -480, 14}}, 4, 3);
    fab_ph_close(s);
    shape = fab_ph_shape(s, name, frame, PH_CANCELLOUS);
    shape->wall = PH_CORTICAL, shape->wall_mm = 1.8;
    fab_ph_ball(s, head, V(23.5, 23.5, 23.5));
    fab_ph_cone(s, head, V(122 + w, 3, -226), 14.5, 17);
    fab_ph_ball(s, V(136 + w, 10, -212), V(13, 19, 20));
    fab_ph_cone(s, V(122 + w, 3, -226), V(122 + w, 3, -262), 21, 17.5);
    fab_ph_ball(s, V(104 + w, 20, -254), V(9, 9, 13));
    fab_ph_blend(s, 8);
    fab_ph_close(s);
}

void fab_ph_add_pelvis(ph_scene *s)
{
    ph_frame still = {ph_mul(s->canonical_s1, -s->scale), V(1, 0, 0), V(0, 1, 0), V(0, 0, 1),
                      s->scale};
    int frame = fab_ph_frame_add(s, &still); /* the spine's curve does not bend the pelvis */
    add_sacrum(s);
    for (int side = -1; side <= 1; side += 2) {
        add_femur(s, side, frame);
        add_hip(s, side, frame);
    }
    s->mirror = 1;
}
