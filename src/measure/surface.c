/* surface.c - an endplate as the smooth surface that parts the voxels inside from those outside.
 *
 * An endplate that lies along the slices is a few flat terraces in the mask; a plane through their
 * tops is wrong by degrees on thick slices. What the mask does say is on which side of the surface
 * every voxel centre lies. So the surface
 *
 *     z(u, v) = p0 + p1 u + p2 v + p3 u^2 + p4 u v + p5 v^2 + p6 r     r^2 = u^2 + v^2
 *
 * (u, v: shares of the half width and depth; r: endplates are hollow like a cone) is fitted by
 * logistic regression of inside against outside: convex, hence one answer, and a stray voxel pulls
 * no more than any other. Its tilt is that of p1 and p2, the even terms having none. */
#include <string.h>

#include "measure_internal.h"

enum { N = ME_SURFACE_TERMS };

typedef struct problem {
    const me_mask *m;
    const me_frame *f;
    double half_width, half_depth, outer, sign, tau, band;
    fab_mat34 world_from_voxel;
    int32_t low[3], high[3];
    double gradient[N], hessian[N * N];
    int voxels;
} problem;

void fab_me_surface_terms(double u, double v, double t[ME_SURFACE_TERMS])
{
    const double all[N] = {1, u, v, u * u, u * v, v * v, sqrt(u * u + v * v)};
    memcpy(t, all, sizeof all);
}

double fab_me_surface_at(const me_surface *s, double u, double v)
{
    double t[N], z = 0;
    fab_me_surface_terms(u, v, t);
    for (int i = 0; i < N; i++) z += s->p[i] * t[i];
    return z;
}

double fab_me_surface_zone(const me_surface *s, double v)
{
    const me_zone zone = me_zone_of(1, 1);
    double sum = 0;
    for (int i = 0; i < ME_ZONE_X; i++)
        for (int j = 0; j < ME_ZONE_Y; j++)
            sum += fab_me_surface_at(s, me_zone_x(zone, i), v + me_zone_y(zone, j));
    return sum / (ME_ZONE_X * ME_ZONE_Y);
}

/* The voxels that the footprint's box can hold. */
static void bounds(problem *q, double middle, double tall)
{
    double least[3] = {1e9, 1e9, 1e9}, most[3] = {-1e9, -1e9, -1e9};
    for (int c = 0; c < 8; c++) {
        double w[3], at[3];
        me_to(me_world(q->f, c & 1 ? q->half_width : -q->half_width,
                       c & 2 ? q->half_depth : -q->half_depth,
                       middle + (c & 4 ? tall : -tall)), w);
        fab_mat34_apply(&q->m->voxel_from_world, w, at);
        for (int a = 0; a < 3; a++)
            least[a] = fmin(least[a], at[a]), most[a] = fmax(most[a], at[a]);
    }
    for (int a = 0; a < 3; a++) {
        q->low[a] = (int32_t)fmax(0, floor(least[a]));
        q->high[a] = (int32_t)fmin(q->m->size[a] - 1, ceil(most[a]));
    }
}

/* One voxel's share: loss log(1 + exp(-y d / tau)), d the depth below the surface. */
static void add_voxel(problem *q, const me_surface *s, me_vec p, bool in)
{
    double u = p.x / q->half_width, v = p.y / q->half_depth, r = sqrt(u * u + v * v), t[N];
    if (r > q->outer) return;
    double d = q->sign * (fab_me_surface_at(s, u, v) - p.z);
    if (fabs(d) > q->band) return;
    double y = in ? 1 : -1, w = r < 0.5 ? 0.3 : 1; /* less for the hollow than for its border */
    double miss = 1 / (1 + exp(y * d / q->tau)), curve = w * miss * (1 - miss) / (q->tau * q->tau);
    double slope = -w * y * q->sign * miss / q->tau;
    fab_me_surface_terms(u, v, t);
    for (int i = 0; i < N; i++) {
        q->gradient[i] += slope * t[i];
        for (int j = 0; j <= i; j++) q->hessian[i * N + j] += curve * t[i] * t[j];
    }
    q->voxels++;
}

static void visit(problem *q, const me_surface *s)
{
    const me_mask *m = q->m;
    memset(q->gradient, 0, sizeof q->gradient);
    memset(q->hessian, 0, sizeof q->hessian);
    q->voxels = 0;
    for (int32_t k = q->low[2]; k <= q->high[2]; k++)
        for (int32_t j = q->low[1]; j <= q->high[1]; j++)
            for (int32_t i = q->low[0]; i <= q->high[0]; i++) {
                double at[3] = {i, j, k}, w[3];
                fab_mat34_apply(&q->world_from_voxel, at, w);
                bool in = m->data[i + m->size[0] * (j + (int64_t)m->size[1] * k)];
                add_voxel(q, s, me_local(q->f, me_from(w)), in);
            }
    for (int i = 0; i < N; i++) { /* bends of some millimetres are as likely as not */
        double prior = i < 3 ? 1e-4 : 0.1;
        q->hessian[i * N + i] += prior;
        q->gradient[i] += prior * s->p[i];
    }
}

bool fab_me_surface_fit(const me_mask *m, const me_frame *f, double half_width, double half_depth,
                        double outer, double sign, const me_plane *first, me_surface *out)
{
    double voxel = fab_me_voxel_along(m, f->z);
    problem q = {.m = m, .f = f, .half_width = half_width, .half_depth = half_depth,
                 .outer = outer, .sign = sign, .tau = 0.08 + 0.16 * voxel,
                 .band = 1.5 + 1.3 * voxel,
                 .world_from_voxel = fab_volume_grid(m->volume)->world_from_voxel};
    me_surface s = {.p = {first->a, first->b * half_width, first->c * half_depth}};
    bounds(&q, first->a, q.band + 0.5 * (fabs(s.p[1]) + fabs(s.p[2])) + 4);
    for (int round = 0; round < 14; round++) {
        double step[N], most = 0;
        visit(&q, &s);
        if (q.voxels < 30 || !fab_me_factor(N, q.hessian)) return false;
        fab_me_solve(N, q.hessian, q.gradient, step);
        for (int i = 0; i < N; i++) most = fmax(most, fabs(step[i]));
        double share = most > 0.8 ? 0.8 / most : 1; /* the loss is flat far away: short steps */
        for (int i = 0; i < N; i++) s.p[i] -= share * step[i];
        if (most < 1e-4) break;
    }
    for (int k = 1; k <= 2; k++) { /* standard errors: the inverse Hessian's diagonal */
        double unit[N] = {0}, column[N];
        unit[k] = 1;
        fab_me_solve(N, q.hessian, unit, column);
        s.sigma[k - 1] = sqrt(column[k]) / (k == 1 ? half_width : half_depth);
    }
    double off = hypot(s.p[1] / half_width - first->b, s.p[2] / half_depth - first->c);
    if (!(off < 0.25) || fabs(fab_me_surface_at(&s, 0, 0) - first->a) > 4 + voxel) return false;
    *out = s;
    return true;
}
