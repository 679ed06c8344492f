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

/* The corner after each one, clockwise and counter-clockwise. */
static const uint8_t after[2][3] = {{2, 0, 1}, {1, 2, 0}};

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

/* The vertex after u in the triangle, as this mesh goes round it. */
static uint32_t next_vertex(const fab_complex_triangle *t, uint32_t u, uint32_t mesh)
{
    return t->v[after[t->front == mesh][corner_of(t, u)]];
}

/* Inside a patch the triangles go round u once: each brings the neighbour after u. False if they
 * are of several patches or have an edge that is not shared. */
static bool ring_in_patch(const fab_complex *c, uint32_t u, fab_ring *out)
{
    uint32_t n = c->around[u].count, open = 0;
    if (n > FAB_COLLAPSE_MAX_RING) return false;
    for (uint32_t i = 0; i < n; i++) {
        const fab_complex_triangle *t = fab_complex_at(c, u, i);
        int at = corner_of(t, u);
        if (i && !same_patch(t, fab_complex_at(c, u, 0))) return false;
        out->vertex[i] = t->v[after[1][at]];
        open += out->vertex[i] - t->v[after[0][at]]; /* what comes in goes out again */
    }
    out->count = (int)n;
    out->features = 0;
    return open == 0;
}

/* An edge lies inside a patch if just two triangles of one patch meet there. */
bool fab_collapse_ring(const fab_complex *c, uint32_t u, fab_ring *out)
{
    const fab_complex_triangle *first[FAB_COLLAPSE_MAX_RING];
    uint8_t uses[FAB_COLLAPSE_MAX_RING];
    int n = 0;
    if (ring_in_patch(c, u, out)) return true;
    for (uint32_t i = 0; i < c->around[u].count; i++) {
        const fab_complex_triangle *t = fab_complex_at(c, u, i);
        for (int k = 0; k < 3; k++) {
            uint32_t w = t->v[k];
            int j = 0;
            if (w == u) continue;
            while (j < n && out->vertex[j] != w) j++;
            if (j < n) {
                uses[j] = (uint8_t)(uses[j] == 1 && same_patch(first[j], t) ? 2 : 3);
                continue;
            }
            if (n == FAB_COLLAPSE_MAX_RING) return false;
            out->vertex[n] = w;
            first[n] = t;
            uses[n++] = 1;
        }
    }
    out->count = n;
    out->features = 0;
    for (int j = 0; j < n; j++) out->features += out->feature[j] = uses[j] != 2;
    return true;
}

/* Neighbours of u in one mesh, each once; -1 if too many. */
static int mesh_ring(const fab_complex *c, uint32_t u, uint32_t mesh, uint32_t *out)
{
    int n = 0;
    for (uint32_t i = 0; i < c->around[u].count; i++) {
        const fab_complex_triangle *t = fab_complex_at(c, u, i);
        if (!of_mesh(t, mesh)) continue;
        if (n == FAB_COLLAPSE_MAX_RING) return -1;
        out[n++] = next_vertex(t, u, mesh);
    }
    return n;
}

/* u has more than three triangles of the mesh. */
static bool can_lose_one(const fab_complex *c, uint32_t u, uint32_t mesh)
{
    int n = 0;
    for (uint32_t i = 0; i < c->around[u].count && n <= 3; i++)
        n += of_mesh(fab_complex_at(c, u, i), mesh);
    return n > 3;
}

static bool keeps_manifold(const fab_complex *c, uint32_t u, uint32_t v, uint32_t mesh)
{
    uint32_t around[FAB_COLLAPSE_MAX_RING], common[2];
    int n = mesh_ring(c, u, mesh, around), m = 0, shared = 0;
    bool edge = false;
    for (int i = 0; i < n; i++) edge |= around[i] == v;
    if (n < 3 || !edge) return false;
    for (uint32_t i = 0; i < c->around[v].count; i++) {
        const fab_complex_triangle *t = fab_complex_at(c, v, i);
        if (!of_mesh(t, mesh)) continue;
        uint32_t w = next_vertex(t, v, mesh);
        int j = 0;
        while (j < n && around[j] != w) j++;
        m++;
        if (j == n) continue;
        if (shared == 2) return false;
        common[shared++] = w;
    }
    return m >= 3 && m <= FAB_COLLAPSE_MAX_RING && shared == 2 && can_lose_one(c, common[0], mesh)
           && can_lose_one(c, common[1], mesh);
}

static void from_to(const fab_complex *c, uint32_t from, uint32_t to, double out[3])
{
    for (int x = 0; x < 3; x++)
        out[x] = (double)c->position[to][x] - (double)c->position[from][x];
}

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* Twice the area vector of the triangle with sides a and b from one corner. */
static void area_vector(const double a[3], const double b[3], double n[3])
{
    n[0] = a[1] * b[2] - a[2] * b[1];
    n[1] = a[2] * b[0] - a[0] * b[2];
    n[2] = a[0] * b[1] - a[1] * b[0];
}

/* The triangle with u moved to v must face the same way and not become a needle. Squared: a
 * shape's quality is twice its area over its sides' squares, 0.29 for an equilateral triangle. */
static bool keeps_shape(const fab_complex *c, const fab_complex_triangle *t, uint32_t u,
                        uint32_t v)
{
    enum { BEFORE, AFTER };
    int at = corner_of(t, u);
    uint32_t p = t->v[(at + 1) % 3], q = t->v[(at + 2) % 3];
    double opposite[3], n[2][3], sides[2], area[2];
    from_to(c, p, q, opposite);
    for (int when = BEFORE; when <= AFTER; when++) {
        double a[3], b[3];
        from_to(c, when == BEFORE ? u : v, p, a);
        from_to(c, when == BEFORE ? u : v, q, b);
        area_vector(a, b, n[when]);
        double sum = dot(a, a) + dot(b, b) + dot(opposite, opposite);
        sides[when] = sum * sum;
        area[when] = dot(n[when], n[when]);
    }
    double turn = dot(n[BEFORE], n[AFTER]);
    if (area[AFTER] < 0.03 * 0.03 * sides[AFTER]
        && area[AFTER] * sides[BEFORE] < area[BEFORE] * sides[AFTER])
        return false;
    return area[AFTER] > 1e-8 * sides[AFTER] && turn > 0
           && turn * turn > 0.25 * area[BEFORE] * area[AFTER];
}

bool fab_collapse_allowed(const fab_complex *c, uint32_t u, uint32_t v)
{
    uint32_t mesh[MAX_MESHES];
    int meshes = 0;
    for (uint32_t i = 0; i < c->around[u].count; i++) {
        const fab_complex_triangle *t = fab_complex_at(c, u, i);
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
