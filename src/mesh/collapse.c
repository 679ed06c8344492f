/* collapse.c - the link condition (Dey et al. 1999), for each mesh that the edge belongs to.
 *
 * Moving u into v keeps a closed 2-manifold one if the neighbours that u and v have in common are
 * exactly the two opposite them, and those two have more than three triangles. A border between
 * two structures is one set of triangles here, so what is allowed is allowed for both, and what
 * is done is done to both: borders stay shut however far the simplification goes.
 */
#include <math.h>

#include "collapse.h"

enum { MAX_MESHES = 16 };

static int corner_of(const fab_complex_triangle *t, uint32_t v)
{
    return t->v[0] == v ? 0 : t->v[1] == v ? 1 : 2;
}

static bool has_vertex(const fab_complex_triangle *t, uint32_t v)
{
    return t->v[0] == v || t->v[1] == v || t->v[2] == v;
}

static bool of_mesh(const fab_complex_triangle *t, uint32_t mesh)
{
    return t->front == mesh || t->back == mesh;
}

static bool same_patch(const fab_complex_triangle *a, const fab_complex_triangle *b)
{
    return a->front == b->front && a->back == b->back && a->flags == b->flags;
}

/* An edge lies inside a patch if just two triangles of one patch meet there. */
static bool is_feature(const fab_complex *c, uint32_t u, uint32_t w)
{
    const fab_complex_triangle *first = NULL;
    int n = 0;
    bool same = true;
    for (uint32_t i = c->star_start[u]; i < c->star_start[u + 1]; i++) {
        const fab_complex_triangle *t = &c->triangle[c->star[i]];
        if (!has_vertex(t, w)) continue;
        if (first) same &= same_patch(first, t);
        else first = t;
        n++;
    }
    return n != 2 || !same;
}

bool fab_collapse_ring(const fab_complex *c, uint32_t u, fab_ring *out)
{
    out->count = out->features = 0;
    for (uint32_t i = c->star_start[u]; i < c->star_start[u + 1]; i++) {
        const fab_complex_triangle *t = &c->triangle[c->star[i]];
        int at = corner_of(t, u);
        for (int step = 1; step < 3; step++) {
            uint32_t w = t->v[(at + step) % 3];
            int j = 0;
            while (j < out->count && out->vertex[j] != w) j++;
            if (j < out->count) continue;
            if (j == FAB_COLLAPSE_MAX_RING) return false;
            out->vertex[out->count++] = w;
        }
    }
    for (int j = 0; j < out->count; j++) {
        out->feature[j] = is_feature(c, u, out->vertex[j]);
        out->features += out->feature[j];
    }
    return true;
}

/* Neighbours of u in one mesh, each once; -1 if too many. */
static int mesh_ring(const fab_complex *c, uint32_t u, uint32_t mesh, uint32_t *out)
{
    int n = 0;
    for (uint32_t i = c->star_start[u]; i < c->star_start[u + 1]; i++) {
        const fab_complex_triangle *t = &c->triangle[c->star[i]];
        if (!of_mesh(t, mesh)) continue;
        if (n == FAB_COLLAPSE_MAX_RING) return -1;
        out[n++] = t->v[(corner_of(t, u) + (t->front == mesh ? 1 : 2)) % 3];
    }
    return n;
}

static int degree_in(const fab_complex *c, uint32_t u, uint32_t mesh)
{
    int n = 0;
    for (uint32_t i = c->star_start[u]; i < c->star_start[u + 1]; i++)
        n += of_mesh(&c->triangle[c->star[i]], mesh);
    return n;
}

static bool keeps_manifold(const fab_complex *c, uint32_t u, uint32_t v, uint32_t mesh)
{
    uint32_t around_u[FAB_COLLAPSE_MAX_RING], around_v[FAB_COLLAPSE_MAX_RING];
    int n = mesh_ring(c, u, mesh, around_u), m = mesh_ring(c, v, mesh, around_v), common = 0;
    bool edge = false;
    if (n < 3 || m < 3) return false;
    for (int i = 0; i < n; i++) {
        edge |= around_u[i] == v;
        for (int j = 0; j < m; j++) {
            if (around_u[i] != around_v[j]) continue;
            if (++common > 2 || degree_in(c, around_u[i], mesh) < 4) return false;
        }
    }
    return edge && common == 2;
}

static void corner_points(const fab_complex *c, const fab_complex_triangle *t, uint32_t u,
                          uint32_t now, double p[3][3])
{
    for (int i = 0; i < 3; i++)
        for (int x = 0; x < 3; x++)
            p[i][x] = (double)c->position[t->v[i] == u ? now : t->v[i]][x];
}

/* Twice the triangle's area vector; returns the sum of squared side lengths. */
static double area_vector(double p[3][3], double n[3])
{
    double a[3], b[3], sides = 0;
    for (int x = 0; x < 3; x++) {
        a[x] = p[1][x] - p[0][x];
        b[x] = p[2][x] - p[0][x];
        sides += a[x] * a[x] + b[x] * b[x] + (a[x] - b[x]) * (a[x] - b[x]);
    }
    n[0] = a[1] * b[2] - a[2] * b[1];
    n[1] = a[2] * b[0] - a[0] * b[2];
    n[2] = a[0] * b[1] - a[1] * b[0];
    return sides;
}

/* The triangle with u moved to v must face the same way and not become a needle. */
static bool keeps_shape(const fab_complex *c, const fab_complex_triangle *t, uint32_t u,
                        uint32_t v)
{
    double p[3][3], before[3], after[3];
    corner_points(c, t, u, u, p);
    double old_sides = area_vector(p, before);
    corner_points(c, t, u, v, p);
    double sides = area_vector(p, after), turn = 0, length[2] = {0, 0};
    for (int x = 0; x < 3; x++) {
        turn += before[x] * after[x];
        length[0] += before[x] * before[x];
        length[1] += after[x] * after[x];
    }
    double quality = sqrt(length[1]) / sides, old_quality = sqrt(length[0]) / old_sides;
    if (quality < 0.03 && quality < old_quality) return false; /* equilateral: 0.29 */
    return quality > 1e-4 && turn > 0.3 * sqrt(length[0] * length[1]);
}

bool fab_collapse_allowed(const fab_complex *c, uint32_t u, uint32_t v)
{
    uint32_t mesh[MAX_MESHES];
    int meshes = 0;
    for (uint32_t i = c->star_start[u]; i < c->star_start[u + 1]; i++) {
        const fab_complex_triangle *t = &c->triangle[c->star[i]];
        for (int side = 0; side < 2; side++) {
            uint32_t m = side ? t->back : t->front;
            int j = 0;
            while (j < meshes && mesh[j] != m) j++;
            if (j < meshes || m == FAB_COMPLEX_NONE) continue;
            if (meshes == MAX_MESHES) return false;
            mesh[meshes++] = m;
        }
        if (!has_vertex(t, v) && !keeps_shape(c, t, u, v)) return false;
    }
    for (int i = 0; i < meshes; i++)
        if (!keeps_manifold(c, u, v, mesh[i])) return false;
    return true;
}
