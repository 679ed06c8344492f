/* pressure.h - volumes of neighbours that share borders, corrected together (this folder).
 *
 * Each structure gets one unknown, a pressure p (mm); the border between A and B moves along its
 * normal, out of A, by p[A] - p[B] (the background's is 0). That changes A's volume by the sum
 * over its borders of area[AB] * (p[A] - p[B]): a graph Laplacian, solved by conjugate gradients.
 * Because a border moves as one, it stays shared.
 */
#ifndef FAB_MESH_PRESSURE_H
#define FAB_MESH_PRESSURE_H

#include "fabrica/base.h"

#define FAB_BACKGROUND UINT32_MAX

typedef struct fab_border {
    uint32_t a, b; /* a < b, b may be the background */
    double area;   /* mm2; slot unused while 0 */
} fab_border;

typedef struct fab_borders { /* a hash table; zero-initialised, capacity set by the first add */
    fab_border *slot;
    size_t capacity, used;
} fab_borders;

fab_status fab_borders_add(fab_borders *t, uint32_t low, uint32_t high, double area,
                           fab_error *err);
void fab_borders_free(fab_borders *t);
/* Pressures of n structures that let each grow by wanted[] mm3. work: 3 n values. */
void fab_borders_solve(const fab_borders *t, size_t n, const double *wanted, double *pressure,
                       double *work);

#endif
