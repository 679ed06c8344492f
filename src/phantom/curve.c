/* curve.c - the spine's centreline, the vertebrae on it, and the way from the world back to the
 * canonical torso.
 *
 * The centreline runs by arc length s from the middle of the sacral endplate (world origin). Its
 * tangent has a coronal tilt (scoliosis) and a sagittal tilt (lordosis, kyphosis):
 *
 *      x(s) = A cos^2(pi u / 2), u = (s - apex) / L above and below the apex     _
 *      a single balanced curve: steepest, so the end vertebrae, at u = +-1/2,   ( )  convex side
 *      straight again at u = +-1; axial rotation goes with x(s).                 T
 *
 * A is solved by bisection so that the angle measured on the finished vertebrae's endplates is the
 * Cobb angle asked for. Vertebral sizes follow Panjabi et al. 1991 (thoracic) and 1992 (lumbar),
 * enlarged by 5 % to a man of 175 cm; disc heights Koeller et al. 1986. */
#include <stdio.h>
#include <string.h>

#include "phantom_internal.h"

static const double pi = 3.14159265358979323846;

/* lowest first for the lumbar five; then T12 up to T1 and C7 */
static const ph_vertebra_size sizes[18] = {
    {"L5", 27.5, 10.5, 49, 50, 35, 34, 15, 14, 27, 18, 46, 13, 1, 63, -12, 1},
    {"L4", 27.5, 11.5, 48, 49, 36, 35, 12, 14.5, 25, 17, 42, 15, 2, 72, -10, 1},
    {"L3", 27.5, 11, 46, 48, 36, 36, 10, 14.5, 24, 17, 46, 17, 1, 76, -9, 1},
    {"L2", 27, 10, 44, 46, 35, 36, 8.8, 15, 23.5, 17.5, 41, 18, 0, 75, -9, 1},
    {"L1", 26, 8.5, 42, 44, 34, 35, 8.5, 15.5, 23, 18, 36, 19, 1, 71, -9, 1},
    {"T12", 24.5, 7, 40, 42, 33, 34, 9, 16, 22, 18, 24, 24, 2, 64, -12, 0.7},
    {"T11", 23, 6, 37, 39, 32, 33, 8.8, 16, 20, 17.5, 27, 26, 4, 61, -17, 0.25},
    {"T10", 21.5, 5.5, 34, 36, 31, 32, 8, 14.5, 18.5, 17, 30, 28, 6, 58, -24, 0},
    {"T9", 20.5, 5, 32, 34, 30, 31, 7.5, 13.5, 18, 17, 31, 29, 6, 57, -30, 0},
    {"T8", 20, 5, 30.5, 32, 29, 30, 6.8, 12.5, 18, 17, 32, 29.5, 6, 56, -34, 0},
    {"T7", 19.5, 4.5, 29, 30.5, 28, 29, 6.2, 12, 17.5, 17, 32, 29, 6, 55, -34, 0},
    {"T6", 19, 4.5, 28, 29.5, 27, 28, 5.8, 11.5, 17.5, 16.5, 32, 28, 6, 54, -32, 0},
    {"T5", 18.5, 4, 27, 28.5, 25, 26.5, 5.8, 11.5, 17.5, 16.5, 32.5, 27, 5, 53, -28, 0},
    {"T4", 18, 4, 26.5, 27.5, 24, 25, 5.8, 11.5, 17.5, 16.5, 33, 26, 5, 53, -24, 0},
    {"T3", 17.5, 4, 27, 27.5, 22.5, 23.5, 6.2, 11.5, 18.5, 16, 34, 24, 5, 52, -20, 0},
    {"T2", 17, 4.5, 28.5, 28, 20.5, 21.5, 7.2, 11, 20, 16, 36, 22, 5, 51, -16, 0},
    {"T1", 16, 4.5, 29, 29.5, 18.5, 20, 8, 10, 22, 16.5, 40, 20, 4, 52, -12, 0},
    {"C7", 14.5, 4.5, 27, 28.5, 17.5, 18.5, 7, 8.5, 24, 15.5, 34, 12, 2, 50, -8, 0},
};

static ph_vertebra_size size_between(const ph_vertebra_size *a, const ph_vertebra_size *b, double t)
{
    ph_vertebra_size r = *a;
    double *into = &r.height;
    const double *from = &a->height, *to = &b->height;
    int count = (int)((sizeof r - offsetof(ph_vertebra_size, height)) / sizeof(double));
    for (int i = 0; i < count; i++) into[i] = ph_mix(from[i], to[i], t);
    return r;
}

/* Names, sizes and arc lengths of all vertebrae, from the lowest lumbar up. */
static void stack(ph_spine *sp, int lumbar, double scale)
{
    double s = 0;
    sp->count = lumbar + 13;
    for (int i = 0; i < sp->count; i++) {
        ph_vertebra *v = &sp->v[i];
        if (i < lumbar) {
            double at = 4.0 * i / (lumbar - 1);
            int low = at >= 4 ? 3 : (int)at;
            v->size = size_between(&sizes[low], &sizes[low + 1], at - low);
            snprintf(v->name, sizeof v->name, "L%d", lumbar - i);
        } else {
            v->size = sizes[i - lumbar + 5];
            snprintf(v->name, sizeof v->name, "%s", v->size.name);
        }
        s += v->size.disc * scale;
        v->s_low = s;
        s += v->size.height * scale;
        v->s_high = s;
        char label[32];
        snprintf(label, sizeof label, "vertebrae_%s", v->name);
        v->label = fab_torso_value(label);
        snprintf(v->disc_name, sizeof v->disc_name, "disc_%.4s_%.4s", v->name,
                 i ? sp->v[i - 1].name : "S1");
        v->disc_label = fab_torso_value(v->disc_name);
    }
    sp->length = s;
    sp->rows = (int)(s / 0.5) + 1;
    if (sp->rows > PH_CURVE_MAX) sp->rows = PH_CURVE_MAX;
    sp->step = s / (sp->rows - 1);
}

static double bump(const ph_spine *sp, double s, double *slope)
{
    double len = s > sp->apex_s ? sp->up_mm : sp->down_mm, u = (s - sp->apex_s) / len;
    *slope = 0;
    if (fabs(u) >= 1) return 0;
    *slope = -pi / (2 * len) * sin(pi * u);
    double c = cos(pi * u / 2);
    return c * c;
}

/* knots of the sagittal tilt (positive: leaning forward going up) */
static int sagittal_knots(const ph_spine *sp, int lumbar, double lordosis, double kyphosis,
                          double *s, double *angle)
{
    int n = 0;
    double bottom = sp->slope_s1;
    s[n] = 0, angle[n++] = bottom;
    for (int i = 0; i < lumbar; i++) {
        double u = (double)(i + 1) / lumbar;
        s[n] = sp->v[i].s_high, angle[n++] = bottom - lordosis * (1 - pow(1 - u, 1.9));
    }
    double top = bottom - lordosis;
    s[n] = sp->v[lumbar].s_low, angle[n++] = top;
    s[n] = sp->v[lumbar + 4].s_high, angle[n++] = top + 0.48 * kyphosis; /* T8 */
    s[n] = sp->v[lumbar + 8].s_high, angle[n++] = top + kyphosis;        /* T4 */
    s[n] = sp->length, angle[n++] = top + kyphosis + 0.12;
    return n;
}

static void integrate(ph_spine *sp, int lumbar, double lordosis, double kyphosis, double rotation)
{
    double ks[16], ka[16];
    int n = sagittal_knots(sp, lumbar, lordosis, kyphosis, ks, ka);
    ph_vec p = V(0, 0, 0), before = V(0, 0, 0);
    for (int i = 0; i < sp->rows; i++) {
        double s = i * sp->step, slope, at = bump(sp, s, &slope);
        double phi = sp->side * atan(sp->amplitude * slope);
        double psi = fab_ph_spline(ks, ka, n, 1, s);
        ph_vec t = V(sin(phi), -sin(psi) * cos(phi), cos(psi) * cos(phi));
        if (i) p = ph_add(p, ph_mul(ph_add(t, before), 0.5 * sp->step));
        before = t;
        sp->row[i] = (ph_curve_row){p, t, phi, psi, sp->side * rotation * at, 0};
    }
}

void fab_ph_spine_at(const ph_spine *sp, double s, ph_curve_row *out)
{
    double at = ph_clamp(s / sp->step, 0, sp->rows - 1.0001), t;
    int i = (int)at;
    t = at - i;
    const ph_curve_row *a = &sp->row[i], *b = &sp->row[i + 1];
    *out = (ph_curve_row){ph_lerp(a->p, b->p, t), ph_unit(ph_lerp(a->t, b->t, t)),
                          ph_mix(a->coronal, b->coronal, t), ph_mix(a->sagittal, b->sagittal, t),
                          ph_mix(a->rotation, b->rotation, t), ph_mix(a->z_ref, b->z_ref, t)};
    double over = s - i * sp->step - t * sp->step;
    out->p = ph_add(out->p, ph_mul(out->t, over));
}

ph_frame fab_ph_curve_frame(const ph_curve_row *r)
{
    ph_vec back = ph_unit(ph_sub(V(0, 1, 0), ph_mul(r->t, r->t.y)));
    ph_vec left = ph_cross(back, r->t);
    double c = cos(r->rotation), s = sin(r->rotation);
    return (ph_frame){r->p, ph_add(ph_mul(left, c), ph_mul(back, s)),
                      ph_sub(ph_mul(back, c), ph_mul(left, s)), r->t, 1};
}

static void place(ph_spine *sp, double scale)
{
    for (int i = 0; i < sp->count; i++) {
        ph_vertebra *v = &sp->v[i];
        ph_curve_row mid, low, high;
        fab_ph_spine_at(sp, 0.5 * (v->s_low + v->s_high), &mid);
        fab_ph_spine_at(sp, v->s_low, &low);
        fab_ph_spine_at(sp, v->s_high, &high);
        v->frame = fab_ph_curve_frame(&mid);
        v->frame.scale = scale;
        v->rotation_deg = mid.rotation * 180 / pi;
        ph_vec turn = ph_mul(ph_sub(high.t, low.t), 0.5);
        /* the share of the bend that the body takes; discs take the rest */
        v->wedge_x = -0.7 * ph_dot(turn, v->frame.ax);
        v->wedge_y = -ph_mix(0.95, 0.45, v->size.lumbar) * ph_dot(turn, v->frame.ay);
    }
}

void fab_ph_endplate(const ph_vertebra *v, bool upper, ph_vec *centre, ph_vec *normal)
{
    double h = 0.5 * v->size.height, k = upper ? 1 : -1;
    *centre = fab_ph_to_world(&v->frame, V(0, 0, k * h));
    ph_vec n = ph_add(ph_mul(v->frame.ax, -k * v->wedge_x), ph_mul(v->frame.ay, -k * v->wedge_y));
    *normal = ph_unit(ph_add(v->frame.az, n));
}

double fab_ph_measure_cobb(const ph_spine *sp, int *upper, int *lower)
{
    double best = -1;
    *upper = *lower = 0;
    for (int a = 0; a < sp->count - 1; a++) /* without C7 */
        for (int b = 0; b < a; b++) {
            ph_vec c, na, nb;
            fab_ph_endplate(&sp->v[a], true, &c, &na);
            fab_ph_endplate(&sp->v[b], false, &c, &nb);
            double angle = fabs(atan2(na.x, na.z) - atan2(nb.x, nb.z)) * 180 / pi;
            if (angle > best + 1e-9) best = angle, *upper = a, *lower = b;
        }
    return best;
}

static void shape_curve(ph_scene *s, ph_spine *sp, int lumbar, double lordosis, double kyphosis)
{
    double rotation = s->o->axial_rotation_deg;
    if (isnan(rotation)) rotation = 0.4 * s->o->cobb_deg;
    double low = 0, high = 400, ask = s->o->cobb_deg;
    for (int i = 0; i < 60 && ask > 0; i++) {
        sp->amplitude = 0.5 * (low + high);
        integrate(sp, lumbar, lordosis, kyphosis, rotation * pi / 180);
        place(sp, s->scale);
        if (fab_ph_measure_cobb(sp, &sp->end_upper, &sp->end_lower) < ask) low = sp->amplitude;
        else high = sp->amplitude;
    }
    if (ask <= 0) {
        sp->amplitude = 0;
        integrate(sp, lumbar, lordosis, kyphosis, 0);
        place(sp, s->scale);
    }
    sp->cobb_deg = fab_ph_measure_cobb(sp, &sp->end_upper, &sp->end_lower);
    if (ask <= 0) sp->cobb_deg = 0;
}

/* Where the curve sits: thoracolumbar (left), thoracic (right) or lumbar (left), by the seed. */
static void choose_curve(ph_scene *s, ph_spine *sp, int lumbar)
{
    static const struct { double apex, up, side; } kinds[] = {{0, 225, 1}, {4, 165, -1},
                                                             {-1, 200, 1}};
    double draw = fab_rng_uniform(&s->rng);
    int k = draw < 0.55 ? 0 : draw < 0.85 ? 1 : 2;
    double level = kinds[k].apex;
    if (!isnan(s->o->apex)) level = s->o->apex, k = level >= 2 ? 1 : 0;
    double at = ph_clamp(lumbar - 0.5 + level, 1, sp->count - 5), low = floor(at);
    double c0 = 0.5 * (sp->v[(int)low].s_low + sp->v[(int)low].s_high);
    double c1 = 0.5 * (sp->v[(int)low + 1].s_low + sp->v[(int)low + 1].s_high);
    sp->apex_s = ph_mix(c0, c1, at - low);
    sp->up_mm = fmin(kinds[k].up * s->scale, sp->length - sp->apex_s);
    sp->down_mm = fmin(kinds[k].up * 1.25 * s->scale, sp->apex_s);
    sp->side = kinds[k].side > 0 ? 1 : -1;
    if (s->o->convex_side) sp->side = s->o->convex_side > 0 ? 1 : -1;
}

static void index_heights(ph_spine *sp)
{
    int row = 0;
    double bottom = sp->row[0].p.z, span = sp->row[sp->rows - 1].p.z - bottom;
    for (int i = 0; i <= PH_BINS; i++) {
        /* a hair low, so that rounding in row_at cannot start above the row it wants */
        double z = bottom + span * (i - 1e-6) / PH_BINS;
        while (row + 2 < sp->rows && sp->row[row + 1].p.z <= z) row++;
        sp->bin[i] = (uint16_t)row;
    }
}

static void heights(ph_scene *s, int lumbar)
{
    const ph_spine *ref = &s->ref;
    double join = s->spine.v[lumbar].s_low, join_ref = ref->v[5].s_low;
    for (int i = 0; i < s->spine.rows; i++) {
        double at = i * s->spine.step;
        double to = at < join ? at / join * join_ref
                              : join_ref + (at - join) / (s->spine.length - join) *
                                               (ref->length - join_ref);
        ph_curve_row r;
        fab_ph_spine_at(ref, to, &r);
        s->spine.row[i].z_ref = r.p.z + s->canonical_s1.z;
    }
}

fab_status fab_ph_spine_build(ph_scene *s, fab_error *err)
{
    const fab_phantom_options *o = s->o;
    fab_phantom_options plain = *o;
    plain.cobb_deg = 0;
    double scale = s->scale;
    ph_scene still = {.o = &plain, .scale = 1};
    stack(&s->ref, 5, 1);
    s->ref.slope_s1 = 36 * pi / 180;
    s->ref.side = 1, s->ref.apex_s = 150, s->ref.up_mm = s->ref.down_mm = 100;
    shape_curve(&still, &s->ref, 5, 46 * pi / 180, 38 * pi / 180);
    s->canonical_s1 = ph_mul(s->ref.v[2].frame.o, -1);
    stack(&s->spine, o->lumbar_count, scale);
    s->spine.slope_s1 = (36 + 0.45 * (o->lordosis_deg - 46)) * pi / 180;
    choose_curve(s, &s->spine, o->lumbar_count);
    shape_curve(s, &s->spine, o->lumbar_count, o->lordosis_deg * pi / 180,
                o->kyphosis_deg * pi / 180);
    if (fabs(s->spine.cobb_deg - o->cobb_deg) > 0.25)
        FAB_FAIL(err, FAB_ERR_ARG, "phantom: a Cobb angle of %.1f degrees cannot be made here",
                 o->cobb_deg);
    heights(s, o->lumbar_count);
    index_heights(&s->spine);
    index_heights(&s->ref);
    return FAB_OK;
}

/* Row of the centreline at height z (z rises along it). */
static double row_at(const ph_spine *sp, double z)
{
    int low = 0, high = sp->rows - 1;
    if (z <= sp->row[0].p.z) return 0;
    if (z >= sp->row[high].p.z) return high;
    double span = sp->row[high].p.z - sp->row[0].p.z;
    int bin = (int)((z - sp->row[0].p.z) / span * PH_BINS);
    low = sp->bin[bin];
    if (bin < PH_BINS && sp->bin[bin + 1] + 1 < high) high = sp->bin[bin + 1] + 1;
    while (high - low > 1) {
        int mid = (low + high) / 2;
        if (sp->row[mid].p.z <= z) low = mid;
        else high = mid;
    }
    return low + (z - sp->row[low].p.z) / (sp->row[high].p.z - sp->row[low].p.z);
}

ph_vec fab_ph_spine_ref(const ph_scene *s, double z)
{
    double at = z - s->canonical_s1.z;
    ph_curve_row r;
    fab_ph_spine_at(&s->ref, row_at(&s->ref, at) * s->ref.step, &r);
    return ph_add(r.p, s->canonical_s1);
}

/* The trunk follows the spine wholly near it and partly at the skin: shift 0.72, rotation 0.6,
 * tilt 0.5 (rib cage against spine, Stokes 1989, of the same order). */
ph_vec fab_ph_canonical(const ph_scene *s, ph_vec w)
{
    const ph_spine *sp = &s->spine;
    ph_curve_row r;
    fab_ph_spine_at(sp, row_at(sp, w.z) * sp->step, &r);
    double dx = w.x - r.p.x, dy = w.y - r.p.y, far = sqrt(dx * dx + dy * dy) / s->scale;
    double f = ph_clamp((far - 40) / 120, 0, 1);
    f = f * f * (3 - 2 * f);
    double fade = ph_clamp(w.z / (90 * s->scale), 0, 1); /* the pelvis stays level */
    double tilt = tan(r.coronal) * dx * ph_mix(w.z < 0 ? 0 : 1, 0.5 * fade, f), z = w.z - tilt;
    fab_ph_spine_at(sp, row_at(sp, z) * sp->step, &r);
    double z_ref = r.z_ref, top = sp->row[sp->rows - 1].p.z;
    if (z < 0) z_ref += z / s->scale;
    if (z > top) z_ref += (z - top) / s->scale;
    ph_vec ref = fab_ph_spine_ref(s, z_ref);
    dx = (w.x - r.p.x * ph_mix(1, 0.72 * fade, f)) / s->scale;
    dy = (w.y - r.p.y) / s->scale;
    double turn = r.rotation * ph_mix(1, 0.6 * fade, f), c = cos(turn), n = sin(turn);
    return V(c * dx + n * dy, ref.y + c * dy - n * dx, z_ref);
}

ph_vec fab_ph_along(const ph_scene *s, ph_vec w)
{
    const ph_spine *sp = &s->spine;
    double at = row_at(sp, w.z) * sp->step;
    ph_curve_row r;
    for (int i = 0; i < 3; i++) {
        fab_ph_spine_at(sp, at, &r);
        if (at <= 0) r.p = ph_add(sp->row[0].p, ph_mul(sp->row[0].t, at));
        double move = ph_dot(ph_sub(w, r.p), r.t);
        at = ph_clamp(at + ph_clamp(move, -25, 25), -80, sp->length + 40);
    }
    fab_ph_spine_at(sp, at, &r);
    if (at <= 0) r.p = ph_add(sp->row[0].p, ph_mul(sp->row[0].t, at));
    ph_frame f = fab_ph_curve_frame(&r);
    ph_vec d = ph_mul(ph_sub(w, r.p), 1 / s->scale);
    return V(ph_dot(d, f.ax), ph_dot(d, f.ay), at);
}
