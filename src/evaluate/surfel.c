/* surfel.c - how much surface passes through a cell whose corners are eight voxels, for each of
 * the 256 ways they can be inside or outside (Lorensen and Cline 1987, marching cubes; as weights
 * of surface measures: Nikolov et al. 2018, arXiv:1809.04430).
 *
 *        o-------o        The surface cuts each edge between an inside and an outside corner at its
 *       /|      /|        middle. Corners of the smaller kind (inside, unless more than four are)
 *      / |     / |        that hang together along edges are one group, and each group is cut off
 *     o--x----o  |        by itself: by the convex hull of its corners and its edge middles. The
 *     | / \   |  |        surface is the part of that hull which is not on the cube's faces.
 *     |/   x--|--o        Here one corner (@) is cut off by a triangle (x x x).
 *     x   /   | /
 *     @--x----o/          So an area depends on the code only up to exchanging inside and outside.
 *
 * One group is an exception: four corners along a path that turns twice in space (a loop of six
 * middles, not in one plane) is cut by a triangle of every second middle and the three triangles
 * beside it, as the published table does; of the two ways to choose them the mean is taken. So at
 * equal spacings every area is that of DeepMind's surface-distance.
 *
 * The hull is found by trying every plane through three edge middles: at most nine points a group,
 * 256 codes, done once a comparison. Facets are computed on the unit cube; an area vector then
 * scales by the products of the spacings, since stretching keeps hulls hulls.
 */
#include "surfel_internal.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define EPS 1e-9

typedef struct group {
    double middle[12][3]; /* of cut edges */
    int middles;
    double corner[8][3];
    int corners;
} group;

static void corner_at(int b, double p[3])
{
    for (int k = 0; k < 3; k++) p[k] = b >> k & 1;
}

/* The corners of `set` that hang together with `seed` along edges, as a set. */
static int connected(int set, int seed)
{
    int found = 1 << seed, before = 0;
    while (found != before) {
        before = found;
        for (int b = 0; b < 8; b++)
            for (int k = 0; k < 3; k++)
                if (found >> b & 1 && set >> (b ^ 1 << k) & 1) found |= 1 << (b ^ 1 << k);
    }
    return found;
}

static void fill_group(int set, group *g)
{
    *g = (group){0};
    for (int b = 0; b < 8; b++) {
        if (!(set >> b & 1)) continue;
        corner_at(b, g->corner[g->corners++]);
        for (int k = 0; k < 3; k++) {
            if (set >> (b ^ 1 << k) & 1) continue;
            corner_at(b, g->middle[g->middles]);
            g->middle[g->middles++][k] = 0.5;
        }
    }
}

static void cross(const double a[3], const double b[3], double out[3])
{
    for (int k = 0; k < 3; k++)
        out[k] = a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3];
}

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* Plane through three middles; false if they are in a line. */
static bool plane_through(const group *g, const int pick[3], double normal[3], double *offset)
{
    double u[3], v[3];
    for (int k = 0; k < 3; k++) {
        u[k] = g->middle[pick[1]][k] - g->middle[pick[0]][k];
        v[k] = g->middle[pick[2]][k] - g->middle[pick[0]][k];
    }
    cross(u, v, normal);
    double length = sqrt(dot(normal, normal));
    if (length < EPS) return false;
    for (int k = 0; k < 3; k++) normal[k] /= length;
    *offset = dot(normal, g->middle[pick[0]]);
    return true;
}

/* Whether all of the group lies on one side, its corners strictly: then the plane carries a facet.
 * A cube face has the group's corners on it and so is none. */
static bool carries_facet(const group *g, const double normal[3], double offset)
{
    int sides = 0;
    for (int i = 0; i < g->corners; i++) {
        double d = dot(normal, g->corner[i]) - offset;
        if (fabs(d) < EPS) return false;
        sides |= d > 0 ? 1 : 2;
    }
    for (int i = 0; i < g->middles; i++) {
        double d = dot(normal, g->middle[i]) - offset;
        if (fabs(d) >= EPS) sides |= d > 0 ? 1 : 2;
    }
    return sides != 3;
}

/* Area vector of the convex polygon of all middles in the plane: they are put in order around
 * their mean by repeatedly taking the next one with everything on its left. */
static void facet_vector(const group *g, const int *in, int n, const double normal[3],
                         double area[3])
{
    memset(area, 0, 3 * sizeof *area);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            const double *a = g->middle[in[i]], *b = g->middle[in[j]];
            double edge[3], part[3];
            bool outer = i != j;
            for (int k = 0; k < 3; k++) edge[k] = b[k] - a[k];
            for (int m = 0; m < n && outer; m++) {
                double to[3], turn[3];
                for (int k = 0; k < 3; k++) to[k] = g->middle[in[m]][k] - a[k];
                cross(edge, to, turn);
                outer = m == i || m == j || dot(turn, normal) > EPS;
            }
            if (!outer) continue;
            cross(a, b, part);
            for (int k = 0; k < 3; k++) area[k] += 0.5 * part[k];
        }
}

static double weighted(const double vector[3], const double weight[3])
{
    double v[3];
    for (int k = 0; k < 3; k++) v[k] = vector[k] * weight[k];
    return sqrt(dot(v, v));
}

/* Adds the facets of one group. Each plane is met by several triples: it is counted at the triple
 * that is the first three of its points. */
static double hull_area(const group *g, const double weight[3])
{
    double sum = 0;
    for (int a = 0; a < g->middles; a++)
        for (int b = a + 1; b < g->middles; b++)
            for (int c = b + 1; c < g->middles; c++) {
                double normal[3], offset, area[3];
                int pick[3] = {a, b, c}, in[12], n = 0;
                if (!plane_through(g, pick, normal, &offset)) continue;
                if (!carries_facet(g, normal, offset)) continue;
                for (int i = 0; i < g->middles; i++)
                    if (fabs(dot(normal, g->middle[i]) - offset) < EPS) in[n++] = i;
                if (in[0] != a || in[1] != b || in[2] != c) continue;
                facet_vector(g, in, n, normal, area);
                sum += weighted(area, weight);
            }
    return sum;
}

static bool on_one_face(const double a[3], const double b[3])
{
    for (int k = 0; k < 3; k++)
        if (a[k] == b[k] && (a[k] == 0 || a[k] == 1)) return true;
    return false;
}

/* Puts the six middles in their order around the loop: neighbours lie on one face of the cube. */
static void order_loop(const group *g, int loop[6])
{
    bool used[6] = {true};
    loop[0] = 0;
    for (int at = 1; at < 6; at++)
        for (int i = 0; i < 6; i++)
            if (!used[i] && on_one_face(g->middle[loop[at - 1]], g->middle[i])) {
                used[i] = true;
                loop[at] = i;
                break;
            }
}

static double triangle_area(const group *g, int a, int b, int c, const double weight[3])
{
    double u[3], v[3], n[3];
    for (int k = 0; k < 3; k++) {
        u[k] = 0.5 * (g->middle[b][k] - g->middle[a][k]);
        v[k] = g->middle[c][k] - g->middle[a][k];
    }
    cross(u, v, n);
    return weighted(n, weight);
}

static double twisted_area(const group *g, const double weight[3])
{
    int loop[6];
    double sum = 0;
    order_loop(g, loop);
    for (int odd = 0; odd < 2; odd++)
        sum += triangle_area(g, loop[odd], loop[2 + odd], loop[4 + odd], weight);
    for (int i = 0; i < 6; i++)
        sum += triangle_area(g, loop[i], loop[(i + 1) % 6], loop[(i + 2) % 6], weight);
    return sum / 2;
}

/* Of the groups of four corners two have six middles: a corner with its three neighbours, whose
 * middles have one plane, and the twisted path, where no three neighbours meet. */
static bool is_twisted(int set, const group *g)
{
    for (int b = 0; b < 8; b++) {
        int neighbours = 0;
        for (int k = 0; k < 3; k++) neighbours += set >> (b ^ 1 << k) & 1;
        if (set >> b & 1 && neighbours == 3) return false;
    }
    return g->corners == 4 && g->middles == 6;
}

static int count_bits(int set)
{
    int n = 0;
    for (; set; set &= set - 1) n++;
    return n;
}

void fab_surfel_areas(const double spacing_mm[3], double area[256])
{
    const double weight[3] = {spacing_mm[1] * spacing_mm[2], spacing_mm[0] * spacing_mm[2],
                              spacing_mm[0] * spacing_mm[1]};
    for (int code = 0; code < 256; code++) {
        int left = count_bits(code) > 4 ? 255 - code : code;
        area[code] = 0;
        while (left) {
            int seed = 0;
            while (!(left >> seed & 1)) seed++;
            int set = connected(left, seed);
            group g;
            fill_group(set, &g);
            area[code] += is_twisted(set, &g) ? twisted_area(&g, weight)
                                              : hull_area(&g, weight);
            left &= ~set;
        }
    }
}
