/* plane.c - a plane through points of an endplate that does not follow its osteophytes, Schmorl's
 * nodes or stray voxels: least squares weighted by Tukey's biweight, iterated from the median. */
#include "measure_internal.h"

enum { MAX_POINTS = 512, ROUNDS = 12 };

typedef struct sums { double w, x, y, xx, xy, yy, z, xz, yz; } sums;

/* Normal equations of three unknowns about the weighted mean. */
static bool solve(const sums *s, me_plane *p)
{
    double x = s->x / s->w, y = s->y / s->w, z = s->z / s->w;
    double xx = s->xx / s->w - x * x, yy = s->yy / s->w - y * y, xy = s->xy / s->w - x * y;
    double xz = s->xz / s->w - x * z, yz = s->yz / s->w - y * z;
    double det = xx * yy - xy * xy;
    if (!(det > 1e-6)) return false;
    p->b = (xz * yy - yz * xy) / det;
    p->c = (yz * xx - xz * xy) / det;
    p->a = z - p->b * x - p->c * y;
    return true;
}

static double miss(const me_plane *p, const double q[3])
{
    return q[2] - (p->a + p->b * q[0] + p->c * q[1]);
}

bool fab_me_plane_fit(const double (*points)[3], int count, double floor_mm, me_plane *out)
{
    double off[MAX_POINTS], scale = INFINITY;
    me_plane p = {0};
    if (count > MAX_POINTS) count = MAX_POINTS;
    for (int round = 0; round < ROUNDS; round++) {
        sums s = {0};
        double sq = 0;
        p.used = 0;
        for (int i = 0; i < count; i++) {
            const double *q = points[i];
            if (isnan(q[2])) continue;
            double r = round ? miss(&p, q) / (4.685 * scale) : 0;
            if (fabs(r) >= 1) continue;
            double w = (1 - r * r) * (1 - r * r);
            s.w += w, s.x += w * q[0], s.y += w * q[1], s.z += w * q[2];
            s.xx += w * q[0] * q[0], s.yy += w * q[1] * q[1], s.xy += w * q[0] * q[1];
            s.xz += w * q[0] * q[2], s.yz += w * q[1] * q[2];
            p.used++;
        }
        if (p.used < 12 || !solve(&s, &p)) return false;
        int n = 0;
        for (int i = 0; i < count; i++)
            if (!isnan(points[i][2])) off[n++] = fabs(miss(&p, points[i]));
        for (int i = 0; i < n; i++) sq += off[i] * off[i];
        p.rms = sqrt(sq / n);
        scale = fmax(1.4826 * fab_me_median(off, n), floor_mm);
    }
    *out = p;
    return true;
}

bool fab_me_factor(int n, double *a)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (int k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
            if (i == j && !(sum > 1e-12)) return false;
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    return true;
}

void fab_me_solve(int n, const double *a, const double *b, double *x)
{
    for (int i = 0; i < n; i++) {
        x[i] = b[i];
        for (int k = 0; k < i; k++) x[i] -= a[i * n + k] * x[k];
        x[i] /= a[i * n + i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++) x[i] -= a[k * n + i] * x[k];
        x[i] /= a[i * n + i];
    }
}
