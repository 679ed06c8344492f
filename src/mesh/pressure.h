/* pressure.h - volumes and places of neighbours that share borders, corrected together (this
 * folder).
 *
 * Each structure gets a pressure that varies linearly over it, p(x) = p0 + g . (x - b), in mm: four
 * unknowns, b the centroid of its borders. The border between A and B moves along its normal, out
 * of A, by pA(x) - pB(x) (the background's is 0). That changes A's volume by the integral of
 * that difference over its borders and A's first moment by the integral of x times it: seen
 * from the unknowns a symmetric, positive system, solved by conjugate gradients. Because
 * a border moves as one, it stays shared.
 *
 * Integrals over a body and functions of place are homogeneous 4-vectors here: (volume, first
 * moment about the origin) in mm3 and mm4, and (value at the origin, gradient).
 */
#ifndef FAB_MESH_PRESSURE_H
#define FAB_MESH_PRESSURE_H

#include "fabrica/base.h"

#define FAB_BACKGROUND UINT32_MAX

typedef double fab_homogeneous[4];

typedef struct fab_border {
    uint32_t a, b; /* a < b, b may be the background */
    double area;   /* mm2; slot unused while 0 */
    double moment[3], second[6]; /* integrals of x, y, z and of xx yy zz xy xz yz */
} fab_border;

typedef struct fab_borders { /* a hash table; zero-initialised, capacity set by the first add */
    fab_border *slot;
    size_t capacity, used;
} fab_borders;

/* Adds a piece of border of this area (mm2) around the point `at`. */
fab_status fab_borders_add(fab_borders *t, uint32_t low, uint32_t high, double area,
                           const double at[3], fab_error *err);
void fab_borders_free(fab_borders *t);

/* Pressures of n structures that change each one's integrals by wanted[]. A gradient along
 * which a structure's borders reach less far than some `resolution` mm is damped. */
fab_status fab_borders_solve(const fab_borders *t, size_t n, fab_homogeneous *wanted,
                             double resolution, fab_homogeneous *pressure, fab_error *err);

static inline double fab_pressure_at(const fab_homogeneous p, const double at[3])
{
    return p[0] + p[1] * at[0] + p[2] * at[1] + p[3] * at[2];
}

/* Adds the integrals over the tetrahedron from the origin to a, b, c. */
static inline void fab_add_cone(const double a[3], const double b[3], const double c[3],
                                fab_homogeneous sum)
{
    double volume = (a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2])
                     + a[2] * (b[0] * c[1] - b[1] * c[0])) / 6;
    sum[0] += volume;
    for (int x = 0; x < 3; x++) sum[1 + x] += volume * (a[x] + b[x] + c[x]) / 4;
}

/* How far apart two bodies' centroids are, in units of `unit` mm; 0 where one is empty. */
double fab_centroids_apart(const fab_homogeneous a, const fab_homogeneous b,
                           const double unit[3]);

#endif
