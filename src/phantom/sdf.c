/* sdf.c - signed distances of the primitives, how they fold into a shape, and smooth noise. The
 * ellipsoid and flat cone use the first-order distance k0 (k0 - 1) / k1 (Quilez). */
#include "phantom_internal.h"

ph_vec fab_ph_to_world(const ph_frame *f, ph_vec l)
{
    ph_vec v = ph_add(ph_add(ph_mul(f->ax, l.x), ph_mul(f->ay, l.y)), ph_mul(f->az, l.z));
    return ph_add(f->o, ph_mul(v, f->scale));
}

ph_vec fab_ph_to_local(const ph_frame *f, ph_vec w)
{
    ph_vec d = ph_mul(ph_sub(w, f->o), 1 / f->scale);
    return V(ph_dot(d, f->ax), ph_dot(d, f->ay), ph_dot(d, f->az));
}

static ph_vec into_axes(const ph_prim *q, ph_vec p)
{
    ph_vec d = ph_sub(p, q->a);
    return V(ph_dot(d, q->axis[0]), ph_dot(d, q->axis[1]), ph_dot(d, q->axis[2]));
}

static double ellipsoid(const ph_prim *q, ph_vec p)
{
    ph_vec d = into_axes(q, p);
    ph_vec k = V(d.x / q->r[0], d.y / q->r[1], d.z / q->r[2]);
    ph_vec g = V(k.x / q->r[0], k.y / q->r[1], k.z / q->r[2]);
    double k0 = ph_len(k), k1 = ph_len(g), low = ph_min(q->r[0], ph_min(q->r[1], q->r[2]));
    if (k0 < 1e-6) return -low;
    return ph_max(k0 * (k0 - 1) / k1, -low);
}

static double cone(const ph_prim *q, ph_vec p)
{
    ph_vec pa = ph_sub(p, q->a), ba = ph_sub(q->b, q->a);
    double h = ph_clamp(ph_dot(pa, ba) / (ph_dot(ba, ba) + 1e-12), 0, 1);
    return ph_len(ph_sub(pa, ph_mul(ba, h))) - ph_mix(q->r[0], q->r[1], h);
}

/* a capsule whose cross-section is an ellipse: r[0] along the normal, r[1] across it */
static double flat_cone(const ph_prim *q, ph_vec p)
{
    ph_vec pa = ph_sub(p, q->a), ba = ph_sub(q->b, q->a);
    double h = ph_clamp(ph_dot(pa, ba) / (ph_dot(ba, ba) + 1e-12), 0, 1);
    ph_vec w = ph_sub(pa, ph_mul(ba, h));
    double n = ph_dot(w, q->axis[0]), rest = sqrt(ph_max(ph_dot(w, w) - n * n, 0));
    double a = n / q->r[0], b = rest / q->r[1];
    double k0 = sqrt(a * a + b * b), low = ph_min(q->r[0], q->r[1]);
    double k1 = sqrt(a * a / (q->r[0] * q->r[0]) + b * b / (q->r[1] * q->r[1]));
    return k0 < 1e-6 ? -low : ph_max(k0 * (k0 - 1) / k1, -low);
}

/* closest point of a triangle by regions (Ericson 2005, 5.1.5), thickness blended over corners */
static void triangle_weights(const ph_prim *q, ph_vec p, double w[3])
{
    ph_vec ab = ph_sub(q->b, q->a), ac = ph_sub(q->c, q->a), ap = ph_sub(p, q->a);
    double d00 = ph_dot(ab, ab), d01 = ph_dot(ab, ac), d11 = ph_dot(ac, ac);
    double d20 = ph_dot(ap, ab), d21 = ph_dot(ap, ac), det = d00 * d11 - d01 * d01;
    double v = (d11 * d20 - d01 * d21) / det, u = (d00 * d21 - d01 * d20) / det;
    if (v >= 0 && u >= 0 && v + u <= 1) {
        w[0] = 1 - v - u, w[1] = v, w[2] = u;
        return;
    }
    const ph_vec corner[3] = {q->a, q->b, q->c};
    double best = INFINITY;
    for (int e = 0; e < 3; e++) {
        ph_vec a = corner[e], edge = ph_sub(corner[(e + 1) % 3], a), d = ph_sub(p, a);
        double t = ph_clamp(ph_dot(d, edge) / (ph_dot(edge, edge) + 1e-12), 0, 1);
        ph_vec r = ph_sub(d, ph_mul(edge, t));
        double dist = ph_dot(r, r);
        if (dist >= best) continue;
        best = dist;
        w[e] = 1 - t, w[(e + 1) % 3] = t, w[(e + 2) % 3] = 0;
    }
}

static double triangle(const ph_prim *q, ph_vec p)
{
    double w[3] = {1, 0, 0};
    triangle_weights(q, p, w);
    ph_vec at = ph_add(ph_add(ph_mul(q->a, w[0]), ph_mul(q->b, w[1])), ph_mul(q->c, w[2]));
    return ph_len(ph_sub(p, at)) - (w[0] * q->r[0] + w[1] * q->r[1] + w[2] * q->r[2]);
}

static double box(const ph_prim *q, ph_vec p)
{
    ph_vec d = into_axes(q, p);
    double round = q->par[0];
    double x = fabs(d.x) - q->r[0] + round, y = fabs(d.y) - q->r[1] + round;
    double z = fabs(d.z) - q->r[2] + round;
    ph_vec out = V(ph_max(x, 0), ph_max(y, 0), ph_max(z, 0));
    return ph_len(out) + ph_min(ph_max(x, ph_max(y, z)), 0) - round;
}

double fab_ph_prim_distance(const ph_scene *s, const ph_prim *q, ph_vec p)
{
    switch (q->kind) {
    case PH_ELLIPSOID: return ellipsoid(q, p);
    case PH_CONE: return cone(q, p);
    case PH_FLAT: return flat_cone(q, p);
    case PH_TRIANGLE: return triangle(q, p);
    case PH_BOX: return box(q, p);
    case PH_LOFT: return fab_ph_loft_distance(&s->lofts[q->loft], p);
    case PH_FIELD: return q->field(s, q->par, p);
    }
    return INFINITY;
}

static double smooth_min(double a, double b, double k)
{
    if (k <= 0) return ph_min(a, b);
    double h = ph_max(k - fabs(a - b), 0) / k;
    return ph_min(a, b) - h * h * k * 0.25;
}

double fab_ph_fold(double d, const ph_prim *q, double x)
{
    if (q->op == PH_JOIN) return smooth_min(d, x, q->blend);
    if (q->op == PH_CUT) return -smooth_min(-d, x, q->blend);
    return -smooth_min(-d, -x, q->blend);
}

double fab_ph_shape_distance(const ph_scene *s, const ph_shape *shape, ph_vec p)
{
    double d = INFINITY;
    for (int i = shape->first; i < shape->first + shape->count; i++) {
        const ph_prim *q = &s->prims[i];
        if (q->op == PH_JOIN && q->radius >= 0 &&
            ph_len(ph_sub(p, q->centre)) - q->radius > d + q->blend)
            continue;
        double x = fab_ph_prim_distance(s, q, p);
        d = d == INFINITY ? x : fab_ph_fold(d, q, x);
    }
    return d;
}

/* ---- noise ------------------------------------------------------------------------------- */

uint32_t fab_ph_hash(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    uint32_t h = a * 0x9E3779B1u ^ (b * 0x85EBCA77u + 0x165667B1u);
    h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
    h ^= c * 0xC2B2AE3Du;
    h = (h ^ (h >> 13)) * 0x297A2D39u;
    h ^= d * 0x27D4EB2Fu;
    h = (h ^ (h >> 16)) * 0x7FEB352Du;
    h = (h ^ (h >> 15)) * 0x846CA68Bu;
    return h ^ (h >> 16);
}

double fab_ph_noise(uint32_t seed, ph_vec p)
{
    double fx = floor(p.x), fy = floor(p.y), fz = floor(p.z);
    double tx = p.x - fx, ty = p.y - fy, tz = p.z - fz;
    uint32_t ix = (uint32_t)(int32_t)fx, iy = (uint32_t)(int32_t)fy, iz = (uint32_t)(int32_t)fz;
    double sx = tx * tx * (3 - 2 * tx), sy = ty * ty * (3 - 2 * ty), sz = tz * tz * (3 - 2 * tz);
    double plane[2];
    for (uint32_t k = 0; k < 2; k++) {
        double c[4];
        for (uint32_t j = 0; j < 4; j++)
            c[j] = (double)fab_ph_hash(seed, ix + (j & 1), iy + (j >> 1), iz + k);
        plane[k] = ph_mix(ph_mix(c[0], c[1], sx), ph_mix(c[2], c[3], sx), sy);
    }
    return ph_mix(plane[0], plane[1], sz) * (2.0 / 4294967295.0) - 1;
}
