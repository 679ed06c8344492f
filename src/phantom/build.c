/* build.c - adding shapes and primitives to a scene; lofts and tubes from knots. */
#include <string.h>

#include "phantom_internal.h"

static bool grow(ph_scene *s, void **items, int count, int *max, size_t size)
{
    if (s->failed) return false;
    if (count < *max) return true;
    int wanted = *max ? *max * 2 : 64;
    void *bigger = fab_realloc(*items, (size_t)wanted * size);
    if (!bigger) {
        s->failed = true;
        return false;
    }
    *items = bigger;
    *max = wanted;
    return true;
}

int fab_ph_frame_add(ph_scene *s, const ph_frame *f)
{
    if (!grow(s, (void **)&s->frames, s->frame_count, &s->frame_max, sizeof *s->frames)) return 0;
    s->frames[s->frame_count] = *f;
    return s->frame_count++;
}

/* What a builder writes to when memory has run out: nobody reads it. */
static _Thread_local ph_shape spare_shape;
static _Thread_local ph_prim spare_prim;

ph_shape *fab_ph_shape(ph_scene *s, const char *label, int frame, ph_tissue core)
{
    if (!grow(s, (void **)&s->shapes, s->shape_count, &s->shape_max, sizeof *s->shapes))
        return &spare_shape;
    ph_shape *shape = &s->shapes[s->shape_count++];
    *shape = (ph_shape){.label = label ? fab_torso_value(label) : 0, .frame = frame,
                        .first = s->prim_count, .core = core, .wall = core, .gas_y = NAN,
                        .gain = 1};
    shape->seed = (uint32_t)shape->label * 256u + s->label_used[shape->label]++;
    return shape;
}

static ph_prim *prim_add(ph_scene *s, ph_kind kind)
{
    if (!grow(s, (void **)&s->prims, s->prim_count, &s->prim_max, sizeof *s->prims))
        return &spare_prim;
    ph_prim *q = &s->prims[s->prim_count++];
    *q = (ph_prim){.kind = kind, .radius = -1,
                   .axis = {V(1, 0, 0), V(0, 1, 0), V(0, 0, 1)}};
    s->shapes[s->shape_count - 1].count++;
    return q;
}

static ph_vec side(const ph_scene *s, ph_vec v) { return V(v.x * s->mirror, v.y, v.z); }

static ph_vec turn(ph_vec v, ph_vec deg)
{
    double r = acos(-1.0) / 180, cx = cos(deg.x * r), sx = sin(deg.x * r), cy = cos(deg.y * r),
           sy = sin(deg.y * r), cz = cos(deg.z * r), sz = sin(deg.z * r);
    v = V(v.x, cx * v.y - sx * v.z, sx * v.y + cx * v.z);
    v = V(cy * v.x + sy * v.z, v.y, cy * v.z - sy * v.x);
    return V(cz * v.x - sz * v.y, sz * v.x + cz * v.y, v.z);
}

static void set_axes(const ph_scene *s, ph_prim *q, ph_vec deg)
{
    for (int i = 0; i < 3; i++) q->axis[i] = side(s, turn(q->axis[i], deg));
}

ph_prim *fab_ph_ball_turned(ph_scene *s, ph_vec c, ph_vec r, ph_vec deg)
{
    ph_prim *q = prim_add(s, PH_ELLIPSOID);
    q->a = q->centre = side(s, c);
    q->r[0] = r.x, q->r[1] = r.y, q->r[2] = r.z;
    q->radius = ph_max(r.x, ph_max(r.y, r.z));
    set_axes(s, q, deg);
    return q;
}

ph_prim *fab_ph_ball(ph_scene *s, ph_vec c, ph_vec r)
{
    return fab_ph_ball_turned(s, c, r, V(0, 0, 0));
}

static ph_prim *segment(ph_scene *s, ph_kind kind, ph_vec a, ph_vec b, double thick)
{
    ph_prim *q = prim_add(s, kind);
    q->a = side(s, a), q->b = side(s, b);
    q->centre = ph_lerp(q->a, q->b, 0.5);
    q->radius = 0.5 * ph_len(ph_sub(b, a)) + thick;
    return q;
}

ph_prim *fab_ph_cone(ph_scene *s, ph_vec a, ph_vec b, double ra, double rb)
{
    ph_prim *q = segment(s, PH_CONE, a, b, ph_max(ra, rb));
    q->r[0] = ra, q->r[1] = rb;
    return q;
}

ph_prim *fab_ph_flat(ph_scene *s, ph_vec a, ph_vec b, double thin, double tall, ph_vec normal)
{
    ph_prim *q = segment(s, PH_FLAT, a, b, ph_max(thin, tall));
    q->r[0] = thin, q->r[1] = tall;
    q->axis[0] = side(s, ph_unit(normal));
    return q;
}

ph_prim *fab_ph_triangle(ph_scene *s, ph_vec a, ph_vec b, ph_vec c, double ra, double rb,
                         double rc)
{
    ph_prim *q = prim_add(s, PH_TRIANGLE);
    q->a = side(s, a), q->b = side(s, b), q->c = side(s, c);
    q->r[0] = ra, q->r[1] = rb, q->r[2] = rc;
    q->centre = ph_mul(ph_add(ph_add(q->a, q->b), q->c), 1.0 / 3);
    double far = ph_max(ph_len(ph_sub(q->a, q->centre)),
                      ph_max(ph_len(ph_sub(q->b, q->centre)), ph_len(ph_sub(q->c, q->centre))));
    q->radius = far + ph_max(ra, ph_max(rb, rc));
    return q;
}

ph_prim *fab_ph_box(ph_scene *s, ph_vec c, ph_vec half, double round, ph_vec deg)
{
    ph_prim *q = fab_ph_ball_turned(s, c, half, deg);
    q->kind = PH_BOX;
    q->par[0] = round;
    q->radius = ph_len(half);
    return q;
}

ph_prim *fab_ph_field(ph_scene *s, ph_field_fn fn, const double *par, int count, ph_vec centre,
                      double radius)
{
    ph_prim *q = prim_add(s, PH_FIELD);
    q->field = fn;
    if (count > 0) memcpy(q->par, par, (size_t)count * sizeof *par);
    q->centre = side(s, centre);
    q->radius = radius;
    return q;
}

ph_prim *fab_ph_loft_prim(ph_scene *s, int loft)
{
    ph_prim *q = prim_add(s, PH_LOFT);
    q->loft = loft;
    if (s->failed) return q;
    const ph_loft *l = &s->lofts[loft];
    double low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9};
    for (int i = 0; i < l->rows; i++) {
        low[0] = ph_min(low[0], l->row[i].cx - l->row[i].rx);
        high[0] = ph_max(high[0], l->row[i].cx + l->row[i].rx);
        low[1] = ph_min(low[1], l->row[i].cy - l->row[i].front);
        high[1] = ph_max(high[1], l->row[i].cy + l->row[i].back);
    }
    ph_vec a = V(low[0], low[1], l->z_low), b = V(high[0], high[1], l->z_high);
    q->centre = ph_lerp(a, b, 0.5);
    q->radius = 0.5 * ph_len(ph_sub(b, a));
    return q;
}

void fab_ph_blend(ph_scene *s, double blend)
{
    if (s->failed || !s->shape_count) return;
    const ph_shape *shape = &s->shapes[s->shape_count - 1];
    for (int i = shape->first; i < shape->first + shape->count; i++)
        if (s->prims[i].op == PH_JOIN) s->prims[i].blend = blend;
}

/* The box comes from what is joined; cuts and clips only make a shape smaller. */
void fab_ph_close(ph_scene *s)
{
    if (s->failed || !s->shape_count) return;
    ph_shape *shape = &s->shapes[s->shape_count - 1];
    shape->low = V(1e9, 1e9, 1e9), shape->high = V(-1e9, -1e9, -1e9);
    for (int i = shape->first; i < shape->first + shape->count; i++) {
        const ph_prim *q = &s->prims[i];
        if (q->op != PH_JOIN) continue;
        double r = q->radius < 0 ? 1e6 : q->radius + q->blend * 0.5 + shape->wobble_mm;
        ph_vec c = q->centre, *low = &shape->low, *high = &shape->high;
        *low = V(ph_min(low->x, c.x - r), ph_min(low->y, c.y - r), ph_min(low->z, c.z - r));
        *high = V(ph_max(high->x, c.x + r), ph_max(high->y, c.y + r), ph_max(high->z, c.z + r));
    }
}

/* Cubic Hermite through (x[i], y[i]) with slopes of the neighbours, monotone x (ascending). */
double fab_ph_spline(const double *x, const double *y, int count, int stride, double at)
{
    int i = 0;
    if (at <= x[0]) return y[0];
    while (i < count - 2 && at > x[(i + 1) * stride]) i++;
    if (at >= x[(count - 1) * stride]) return y[(count - 1) * stride];
    double x0 = x[i * stride], x1 = x[(i + 1) * stride], h = x1 - x0, t = (at - x0) / h;
    double y0 = y[i * stride], y1 = y[(i + 1) * stride], m = (y1 - y0) / h, m0 = m, m1 = m;
    if (i > 0) {
        double before = (y0 - y[(i - 1) * stride]) / (x0 - x[(i - 1) * stride]);
        m0 = before * m > 0 ? 2 * before * m / (before + m) : 0;
    }
    if (i < count - 2) {
        double after = (y[(i + 2) * stride] - y1) / (x[(i + 2) * stride] - x1);
        m1 = after * m > 0 ? 2 * after * m / (after + m) : 0;
    }
    double t2 = t * t, t3 = t2 * t;
    return (2 * t3 - 3 * t2 + 1) * y0 + (t3 - 2 * t2 + t) * h * m0 + (3 * t2 - 2 * t3) * y1 +
           (t3 - t2) * h * m1;
}

int fab_ph_loft(ph_scene *s, const ph_knot *k, int count, double exponent, bool on_spine)
{ /* exponent: 2 or 2.5 */
    if (!grow(s, (void **)&s->lofts, s->loft_count, &s->loft_max, sizeof *s->lofts)) return 0;
    ph_loft *l = &s->lofts[s->loft_count];
    *l = (ph_loft){.z_low = k[0].z, .z_high = k[count - 1].z, .exponent = exponent};
    l->rows = (int)ceil((l->z_high - l->z_low) / PH_LOFT_STEP) + 1;
    if (l->rows > PH_LOFT_ROWS) l->rows = PH_LOFT_ROWS;
    const int stride = (int)(sizeof *k / sizeof(double));
    for (int i = 0; i < l->rows; i++) {
        double z = l->z_low + PH_LOFT_STEP * i, col[5];
        const double *first[5] = {&k->cx, &k->cy, &k->rx, &k->ry_front, &k->ry_back};
        for (int c = 0; c < 5; c++) col[c] = fab_ph_spline(&k->z, first[c], count, stride, z);
        ph_vec spine = on_spine ? fab_ph_spine_ref(s, z) : V(0, 0, 0);
        l->row[i] = (struct ph_loft_row){col[0] * s->mirror, col[1] + spine.y, col[2], col[3],
                                         col[4], 1};
    }
    for (int i = 1; i + 1 < l->rows; i++) {
        double dx = (l->row[i + 1].cx - l->row[i - 1].cx) / (2 * PH_LOFT_STEP);
        double dy = (l->row[i + 1].cy - l->row[i - 1].cy) / (2 * PH_LOFT_STEP);
        l->row[i].shrink = 1 / sqrt(1 + dx * dx + dy * dy);
    }
    return s->loft_count++;
}

double fab_ph_loft_distance(const ph_loft *l, ph_vec p)
{
    double at = ph_clamp((p.z - l->z_low) / PH_LOFT_STEP, 0, l->rows - 1.001);
    int i = (int)at;
    double t = at - i;
    const struct ph_loft_row *a = &l->row[i], *b = &l->row[i + 1];
    double rx = ph_mix(a->rx, b->rx, t), dy = p.y - ph_mix(a->cy, b->cy, t);
    double ry = dy < 0 ? ph_mix(a->front, b->front, t) : ph_mix(a->back, b->back, t);
    double x = fabs(p.x - ph_mix(a->cx, b->cx, t)) / rx, y = fabs(dy) / ry, rho, grad;
    if (l->exponent == 2) {
        rho = sqrt(x * x + y * y);
        grad = sqrt(x * x / (rx * rx) + y * y / (ry * ry)) / (rho + 1e-9);
    } else {
        /* exponent 2.5, the only other one */
        double px = x * sqrt(x), py = y * sqrt(y), sum = px * x + py * y;
        rho = pow(sum, 0.4);
        grad = sqrt(px * px / (rx * rx) + py * py / (ry * ry)) * rho / (sum + 1e-12);
    }
    double d = rho < 1e-4 ? -ph_min(rx, ry) : (rho - 1) / grad * ph_mix(a->shrink, b->shrink, t);
    d = ph_max(d, -ph_min(rx, ry));
    double end = ph_max(l->z_low - p.z, p.z - l->z_high);
    return end > 0 && d > 0 ? sqrt(end * end + d * d) : ph_max(d, end);
}

void fab_ph_tube(ph_scene *s, const double (*k)[4], int count, int pieces)
{
    double before[4];
    for (int c = 0; c < 4; c++) before[c] = k[0][c];
    for (int i = 0; i + 1 < count; i++) {
        const double *p0 = k[i > 0 ? i - 1 : i], *p1 = k[i], *p2 = k[i + 1],
                     *p3 = k[i + 2 < count ? i + 2 : i + 1];
        for (int j = 1; j <= pieces; j++) {
            double t = (double)j / pieces, t2 = t * t, t3 = t2 * t, now[4];
            for (int c = 0; c < 4; c++)
                now[c] = 0.5 * (2 * p1[c] + (p2[c] - p0[c]) * t +
                                (2 * p0[c] - 5 * p1[c] + 4 * p2[c] - p3[c]) * t2 +
                                (3 * p1[c] - p0[c] - 3 * p2[c] + p3[c]) * t3);
            fab_ph_cone(s, V(before[0], before[1], before[2]), V(now[0], now[1], now[2]),
                        before[3], now[3]);
            for (int c = 0; c < 4; c++) before[c] = now[c];
        }
    }
}
