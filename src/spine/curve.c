/* curve.c - the curve through the middle of bodies and discs (a principal curve).
 *
 * First guess: the centre of body and disc in every slab of z. Then three rounds of: project every
 * voxel on the curve, take the centres of what lies in each 2 mm of arc length, and smooth them by
 * local quadratic regression (Gaussian weights, sigma 15 mm), which follows a bend where a mean
 * would cut its corner. Projections, not slabs of z: a Cobb angle of 70 degrees or a kyphosis that
 * tilts C7 by 50 degrees makes no difference. Beyond the data the curve goes straight on.
 */
#include <stdlib.h>
#include <string.h>

#include "spine_internal.h"

#define ROUNDS 2
#define SIGMA_MM 24.0
#define FAR_MM 38.0     /* body voxels further from the curve belong to nothing */
#define STRAIGHT_MM 45  /* continued beyond the data */
#define MIN_BODY_ML 1.0
#define BIN_MM 2.0
#define BEND 0.25       /* how much a parabola must gain to bend: keeps the ends straight */
#define THIN 0.45       /* of the usual area: the slanting ends of the first and last body */

typedef struct bin {
    double n, p[3];
} bin;

/* Solves the 3x3 normal equations for the value and slope at 0 of a weighted parabola; falls back
 * to a line or a mean where the data do not carry one. */
static void fit_parabola(const double m[5], const double r[3], double *value, double *slope)
{
    const double a = m[0], b = m[1], c = m[2], d = m[3], e = m[4] + BEND * m[0];
    const double det = a * (c * e - d * d) - b * (b * e - c * d) + c * (b * d - c * c);
    const double line = a * c - b * b;
    if (det > 1e-3 * a * c * e) {
        *value = (r[0] * (c * e - d * d) - b * (r[1] * e - d * r[2]) +
                  c * (r[1] * d - c * r[2])) / det;
        *slope = (a * (r[1] * e - r[2] * d) - r[0] * (b * e - c * d) +
                  c * (b * r[2] - c * r[1])) / det;
    } else if (line > 1e-3 * a * c) {
        *value = (r[0] * c - r[1] * b) / line;
        *slope = (a * r[1] - b * r[0]) / line;
    } else {
        *value = r[0] / fmax(a, 1e-12);
        *slope = 0;
    }
}

/* Position and derivative at parameter t of the smoothed bins. */
static void smooth_at(const bin *bins, int count, double step, double t, double value[3],
                      double slope[3])
{
    double m[5] = {0}, r[3][3] = {{0}};
    const int reach = (int)(3 * SIGMA_MM / step) + 1, middle = (int)floor(t / step);
    for (int i = middle - reach; i <= middle + reach; i++) {
        if (i < 0 || i >= count || bins[i].n <= 0) continue;
        const double u = ((i + 0.5) * step - t) / SIGMA_MM;
        double w = exp(-0.5 * u * u);
        for (int a = 0; a < 3; a++) {
            r[0][a] += w * bins[i].p[a];
            r[1][a] += w * u * bins[i].p[a];
            r[2][a] += w * u * u * bins[i].p[a];
        }
        for (int k = 0; k < 5; k++, w *= u) m[k] += w;
    }
    for (int a = 0; a < 3; a++) {
        fit_parabola(m, (double[]){r[0][a], r[1][a], r[2][a]}, &value[a], &slope[a]);
        slope[a] /= SIGMA_MM;
    }
}

static bool near_data(const bin *bins, int count, double step, double t)
{
    const int reach = (int)(2 * SIGMA_MM / step), middle = (int)floor(t / step);
    double n = 0;
    for (int i = middle - reach; i <= middle + reach; i++)
        if (i >= 0 && i < count && bins[i].n > 0) n += 1;
    return n >= 3;
}

/* Nodes 1 mm apart along a dense polyline. */
static int resample(const sp_vec *p, int count, sp_node *out)
{
    int n = 0;
    double carry = 0;
    out[n++].p = p[0];
    for (int i = 1; i < count; i++) {
        const double len = sp_len(sp_sub(p[i], p[i - 1]));
        double at = 1.0 - carry;
        for (; at <= len && n < SP_CURVE_MAX; at += 1.0)
            out[n++].p = sp_add(p[i - 1], sp_mul(sp_sub(p[i], p[i - 1]), at / len));
        carry = len - (at - 1.0);
    }
    return n;
}

static void set_tangents(sp_node *c, int n)
{
    for (int i = 0; i < n; i++) {
        const int a = i > 3 ? i - 4 : 0, b = i + 4 < n ? i + 4 : n - 1;
        c[i].t = sp_unit(sp_sub(c[b].p, c[a].p));
    }
}

/* The first and last millimetres hold slanting endplates and pull the curve aside: it leaves them
 * out and goes straight on, in the direction of the 25 mm before. */
static int go_straight(sp_vec *p, int n)
{
    const int length = n - STRAIGHT_MM, trim = length > 60 ? 9 : length / 6;
    const int first = STRAIGHT_MM + trim, last = n - 1 - trim;
    const int base = length > 60 ? 25 : (last - first) / 2 + 1;
    const sp_vec head = sp_unit(sp_sub(p[first], p[first + base]));
    const sp_vec foot = sp_unit(sp_sub(p[last], p[last - base]));
    for (int i = 1; i <= first; i++) p[first - i] = sp_add(p[first], sp_mul(head, i));
    n += STRAIGHT_MM;
    for (int i = last + 1; i < n; i++) p[i] = sp_add(p[last], sp_mul(foot, i - last));
    return n;
}

/* The curve from bins over `from`.. along some parameter that runs down the spine. */
static fab_status curve_from(sp_work *w, const bin *bins, int count, double step, fab_error *err)
{
    int first = 0, last = count - 1;
    while (first < last && bins[first].n <= 0) first++;
    while (last > first && bins[last].n <= 0) last--;
    const int dense = 2 * STRAIGHT_MM + (int)((last - first + 1) * step) + 8;
    FAB_AUTO_FREE sp_vec *p = fab_alloc_array((size_t)dense, sizeof *p);
    if (!p) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's curve");
    int n = STRAIGHT_MM;
    double value[3], slope[3];
    for (double t = first * step; t <= (last + 1) * step && n < dense - STRAIGHT_MM; t += 1.0) {
        if (!near_data(bins, count, step, t)) continue; /* a gap is bridged straight */
        smooth_at(bins, count, step, t, value, slope);
        p[n++] = sp_from(value);
    }
    if (n - STRAIGHT_MM < 4) {
        w->nodes = 0;
        return FAB_OK;
    }
    n = go_straight(p, n);
    w->nodes = resample(p, n, w->curve);
    set_tangents(w->curve, w->nodes);
    return FAB_OK;
}

static bool makes_curve(const sp_point *p)
{
    return p->role == SP_BODY || p->role == SP_DISC;
}

static void bin_add(bin *b, const sp_point *p, double unit)
{
    const double n = (double)p->weight * unit;
    b->n += n;
    for (int a = 0; a < 3; a++) b->p[a] += n * (double)p->p[a];
}

/* The mean of what lies within 40 mm. */
static double usual(const bin *bins, int count, double step, int at)
{
    const int reach = (int)(40 / step);
    double sum = 0, n = 0;
    for (int i = at - reach; i <= at + reach; i++)
        if (i >= 0 && i < count && bins[i].n > 0) sum += bins[i].n, n += 1;
    return sum / fmax(n, 1);
}

/* Sums become centres with weight 1, or 0 for bins that hold too little to go by. */
static fab_status bins_finish(bin *bins, int count, double step, fab_error *err)
{
    FAB_AUTO_FREE bool *thin = fab_calloc((size_t)count, sizeof *thin);
    if (!thin) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's curve");
    for (int i = 0; i < count; i++)
        thin[i] = bins[i].n < THIN * usual(bins, count, step, i);
    for (int i = 0; i < count; i++) {
        for (int a = 0; a < 3 && !thin[i]; a++) bins[i].p[a] /= fmax(bins[i].n, 1e-9);
        bins[i].n = bins[i].n > 0 && !thin[i];
    }
    return FAB_OK;
}

static fab_status first_guess(sp_work *w, fab_error *err)
{
    double low = 1e30, high = -1e30;
    for (int32_t i = 0; i < w->count; i++)
        if (makes_curve(&w->points[i])) {
            low = fmin(low, (double)w->points[i].p[2]);
            high = fmax(high, (double)w->points[i].p[2]);
        }
    const double step = fmax(BIN_MM, w->voxel_mm * 1.5);
    const int count = (int)((high - low) / step) + 1;
    w->nodes = 0;
    if (high - low > SP_CURVE_MAX - 3 * STRAIGHT_MM) return FAB_OK; /* longer than a spine */
    FAB_AUTO_FREE bin *bins = fab_calloc((size_t)count, sizeof *bins);
    if (!bins) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's curve");
    for (int32_t i = 0; i < w->count; i++)
        if (makes_curve(&w->points[i]))
            bin_add(&bins[(int)((high - (double)w->points[i].p[2]) / step)], &w->points[i],
                    w->voxel_ml);
    FAB_TRY(bins_finish(bins, count, step, err));
    return curve_from(w, bins, count, step, err);
}

/* ---- projection ----------------------------------------------------------------------------- */

static double distance2(const sp_work *w, int node, sp_vec p)
{
    const sp_vec d = sp_sub(p, w->curve[node].p);
    return sp_dot(d, d);
}

static void project(const sp_work *w, sp_point *point)
{
    const sp_vec p = sp_at(point);
    int best = 0;
    double found = 1e300;
    for (int i = 0; i < w->nodes; i += 6) {
        const double d = distance2(w, i, p);
        if (d < found) found = d, best = i;
    }
    const int from = best > 6 ? best - 6 : 0, to = best + 6 < w->nodes ? best + 6 : w->nodes - 1;
    for (int i = from; i <= to; i++) {
        const double d = distance2(w, i, p);
        if (d < found) found = d, best = i;
    }
    const double along = sp_dot(sp_sub(p, w->curve[best].p), w->curve[best].t);
    point->s = (float)(best + sp_clamp(along, -0.5, 0.5));
    point->off = (float)sqrt(found);
}

static void project_range(void *ctx, int64_t block, int worker)
{
    (void)worker;
    sp_work *w = ctx;
    for (int32_t i = (int32_t)block * 1024; i < (int32_t)(block + 1) * 1024 && i < w->count; i++)
        if (w->points[i].role != SP_NONE) project(w, &w->points[i]);
}

static void project_all(sp_work *w)
{
    fab_parallel_for((w->count + 1023) / 1024, project_range, w);
}

static fab_status refine(sp_work *w, fab_error *err)
{
    const int count = (int)(w->nodes / BIN_MM) + 1;
    FAB_AUTO_FREE bin *bins = fab_calloc((size_t)count, sizeof *bins);
    if (!bins) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's curve");
    project_all(w);
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        if (!makes_curve(p) || (double)p->off > FAR_MM) continue;
        bin_add(&bins[(int)sp_clamp((double)p->s / BIN_MM, 0, count - 1)], p, w->voxel_ml);
    }
    FAB_TRY(bins_finish(bins, count, BIN_MM, err));
    return curve_from(w, bins, count, BIN_MM, err);
}

sp_node fab_spine_node(const sp_work *w, double s)
{
    const double last = w->nodes - 1, at = sp_clamp(s, 0, last);
    const int i = at >= last ? w->nodes - 2 : (int)at;
    sp_node n = w->curve[at - i > 0.5 ? i + 1 : i];
    n.p = sp_add(w->curve[i].p, sp_mul(sp_sub(w->curve[i + 1].p, w->curve[i].p), s - i));
    return n;
}

/* ---- which way is back ---------------------------------------------------------------------- */

/* The direction across the curve to the canal, or to the arches where no canal was seen, smoothed
 * along s. */
static void smooth_back(sp_work *w, const bin *bins, double sigma)
{
    for (int i = 0; i < w->nodes; i++) {
        sp_vec sum = {0, 1e-6, 0};
        for (int k = -(int)(4 * sigma); k <= (int)(4 * sigma); k++) {
            if (i + k < 0 || i + k >= w->nodes) continue;
            const bin *b = &bins[i + k];
            const double f = b->n > 0 ? exp(-0.5 * (k / sigma) * (k / sigma)) : 0;
            sum = sp_add(sum, sp_mul(sp_from(b->p), f));
        }
        const sp_vec t = w->curve[i].t;
        w->curve[i].back = sp_unit(sp_sub(sum, sp_mul(t, sp_dot(sum, t))));
    }
}

static fab_status find_back(sp_work *w, fab_error *err)
{
    const sp_role from = w->organ[SP_CANAL].voxels ? SP_CANAL : SP_ARCH;
    FAB_AUTO_FREE bin *bins = fab_calloc((size_t)w->nodes, sizeof *bins);
    if (!bins) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's curve");
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        if (p->role != from || (double)p->off > 60) continue;
        const int s = (int)sp_clamp((double)p->s, 0, w->nodes - 1);
        const sp_vec d = sp_sub(sp_at(p), w->curve[s].p);
        bins[s].n += 1;
        bins[s].p[0] += d.x, bins[s].p[1] += d.y, bins[s].p[2] += d.z;
    }
    for (int s = 0; s < w->nodes; s++)
        for (int a = 0; a < 3 && bins[s].n > 0; a++) bins[s].p[a] /= bins[s].n;
    smooth_back(w, bins, 10.0);
    return FAB_OK;
}

fab_status fab_spine_curve(sp_work *w, bool *found, fab_error *err)
{
    double body_ml = 0;
    for (int32_t i = 0; i < w->count; i++)
        body_ml += w->points[i].role == SP_BODY ? w->voxel_ml : 0;
    *found = false;
    if (body_ml < MIN_BODY_ML) return FAB_OK;
    w->curve = fab_calloc(SP_CURVE_MAX + 1, sizeof *w->curve);
    if (!w->curve) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's curve");
    FAB_TRY(first_guess(w, err));
    for (int i = 0; i < ROUNDS && w->nodes > 0; i++) FAB_TRY(refine(w, err));
    if (w->nodes == 0) return FAB_OK;
    project_all(w);
    for (int32_t i = 0; i < w->count; i++)
        if (w->points[i].role == SP_BODY && (double)w->points[i].off > FAR_MM)
            w->points[i].role = SP_NONE;
    *found = true;
    return find_back(w, err);
}
