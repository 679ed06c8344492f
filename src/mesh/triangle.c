/* triangle.c - a point and a triangle (Ericson, "Real-Time Collision Detection", 5.1.5), and two
 * triangles by separating axes, where merely touching does not count. */
#include <float.h>
#include <math.h>

#include "bvh.h"

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void cross(const double a[3], const double b[3], double out[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static void subtract(const double a[3], const double b[3], double out[3])
{
    for (int x = 0; x < 3; x++) out[x] = a[x] - b[x];
}

void fab_mesh_corners(const fab_soup *soup, uint32_t triangle, double out[3][3])
{
    for (size_t c = 0; c < 3; c++) {
        const float *p = soup->position + (size_t)soup->index[(size_t)triangle * 3 + c] * 3;
        for (int x = 0; x < 3; x++) out[c][x] = (double)p[x];
    }
}

/* Squared distance from the origin to the segment a + t * ab, t from 0 to 1. */
static double segment_squared(const double a[3], const double ab[3])
{
    const double along = -dot(a, ab), length = dot(ab, ab);
    if (!(along > 0)) return dot(a, a);
    const double t = along < length ? along / length : 1;
    const double p[3] = {a[0] + t * ab[0], a[1] + t * ab[1], a[2] + t * ab[2]};
    return dot(p, p);
}

double fab_mesh_point_triangle_squared(const double p[3], double t[3][3])
{
    double v[3][3], side[3][3], n[3], best = DBL_MAX;
    bool left[3];
    for (int c = 0; c < 3; c++) {
        subtract(t[c], p, v[c]);
        subtract(t[(c + 1) % 3], t[c], side[c]);
    }
    cross(side[0], side[1], n);
    const double area = dot(n, n);
    for (int c = 0; c < 3; c++) { /* is the foot point to the left of every side? */
        double out[3];
        cross(side[c], n, out);
        left[c] = dot(out, v[c]) >= 0;
    }
    if (left[0] && left[1] && left[2] && area > 0) {
        const double height = dot(n, v[0]);
        return height * height / area;
    }
    for (int c = 0; c < 3; c++) { /* the nearest side is one that it is to the right of */
        if (left[c] && area > 0) continue;
        const double d = segment_squared(v[c], side[c]);
        best = d < best ? d : best;
    }
    return best;
}

/* Do the triangles overlap by more than slack along the axis? A vanishing axis says yes. */
static bool overlap(const double axis[3], double a[3][3], double b[3][3], double slack)
{
    double length = sqrt(dot(axis, axis)), low[2], high[2];
    if (length < 1e-12) return true;
    for (int c = 0; c < 3; c++) {
        double x = dot(axis, a[c]), y = dot(axis, b[c]);
        if (c == 0 || x < low[0]) low[0] = x;
        if (c == 0 || x > high[0]) high[0] = x;
        if (c == 0 || y < low[1]) low[1] = y;
        if (c == 0 || y > high[1]) high[1] = y;
    }
    slack *= length;
    return low[0] + slack < high[1] && low[1] + slack < high[0];
}

static bool in_one_plane(const double unit[3], double a[3][3], double b[3][3], double slack)
{
    for (int c = 0; c < 3; c++)
        if (fabs(dot(unit, b[c]) - dot(unit, a[0])) > slack) return false;
    return true;
}

bool fab_mesh_triangles_cross(double a[3][3], double b[3][3], double slack)
{
    double u[3][3], v[3][3], n[2][3], axis[3];
    for (int c = 0; c < 3; c++) {
        subtract(a[(c + 1) % 3], a[c], u[c]);
        subtract(b[(c + 1) % 3], b[c], v[c]);
    }
    cross(u[0], u[1], n[0]);
    cross(v[0], v[1], n[1]);
    double length = sqrt(dot(n[0], n[0]));
    if (!(length > 0) || !(dot(n[1], n[1]) > 0)) return false; /* degenerate: counted elsewhere */
    for (int x = 0; x < 3; x++) axis[x] = n[0][x] / length;
    if (in_one_plane(axis, a, b, slack)) {
        for (int c = 0; c < 6; c++) {
            cross(n[0], c < 3 ? u[c] : v[c - 3], axis);
            if (!overlap(axis, a, b, slack)) return false;
        }
        return true;
    }
    if (!overlap(n[0], a, b, slack) || !overlap(n[1], a, b, slack)) return false;
    for (int i = 0; i < 9; i++) {
        cross(u[i / 3], v[i % 3], axis);
        if (!overlap(axis, a, b, slack)) return false;
    }
    return true;
}
