/* topology.c - what kind of surface the triangles form, from the indices alone. */
#include <string.h>

#include "topology.h"

typedef struct corners { /* corners of triangles, grouped by vertex */
    const fab_mesh *mesh;
    uint32_t *start; /* vertex_count + 1 */
    uint32_t *corner;
} corners;

static uint32_t after(const fab_mesh *m, uint32_t corner, uint32_t steps)
{
    return m->index[corner - corner % 3 + (corner + steps) % 3];
}

static void group_corners(corners *c)
{
    const fab_mesh *m = c->mesh;
    uint32_t n = m->triangle_count * 3;
    memset(c->start, 0, ((size_t)m->vertex_count + 2) * sizeof *c->start);
    for (uint32_t i = 0; i < n; i++) c->start[m->index[i] + 2]++;
    for (uint32_t v = 0; v < m->vertex_count; v++) c->start[v + 2] += c->start[v + 1];
    for (uint32_t i = 0; i < n; i++) c->corner[c->start[m->index[i] + 1]++] = i;
}

/* Corner of vertex v whose triangle has the directed edge v -> to; count of them in *found. */
static uint32_t leaving(const corners *c, uint32_t v, uint32_t to, unsigned *found)
{
    uint32_t last = UINT32_MAX;
    *found = 0;
    for (uint32_t i = c->start[v]; i < c->start[v + 1]; i++) {
        if (after(c->mesh, c->corner[i], 1) != to) continue;
        last = c->corner[i];
        ++*found;
    }
    return last;
}

/* Around v: every edge out must come back once in the next triangle, and in one round. */
static void check_vertex(const corners *c, uint32_t v, fab_topology *t)
{
    uint32_t degree = c->start[v + 1] - c->start[v], walked = 0;
    if (degree == 0) return;
    for (uint32_t i = c->start[v]; i < c->start[v + 1]; i++) {
        unsigned same, opposite;
        leaving(c, v, after(c->mesh, c->corner[i], 1), &same);
        leaving(c, v, after(c->mesh, c->corner[i], 2), &opposite);
        if (same != 1 || opposite != 1) {
            t->closed = t->manifold = false;
            return;
        }
    }
    uint32_t first = c->corner[c->start[v]], at = first;
    do {
        unsigned found;
        at = leaving(c, v, after(c->mesh, at, 2), &found);
        walked++;
    } while (at != first && walked < degree);
    if (at != first || walked != degree) t->manifold = false;
}

static uint32_t root_of(uint32_t *parent, uint32_t v)
{
    while (parent[v] != v) {
        parent[v] = parent[parent[v]];
        v = parent[v];
    }
    return v;
}

static void count_components(const fab_mesh *m, const corners *c, uint32_t *parent,
                             fab_topology *t)
{
    int64_t used = 0;
    for (uint32_t v = 0; v < m->vertex_count; v++) parent[v] = v;
    for (uint32_t i = 0; i < m->triangle_count * 3; i++) {
        uint32_t a = root_of(parent, m->index[i]), b = root_of(parent, after(m, i, 1));
        if (a < b) parent[b] = a;
        else parent[a] = b;
    }
    for (uint32_t v = 0; v < m->vertex_count; v++) {
        if (c->start[v] == c->start[v + 1]) continue;
        used++;
        t->components += parent[v] == v;
    }
    int64_t euler = used - (int64_t)m->triangle_count / 2; /* V - E + F with E = 3F/2 */
    t->genus = t->manifold ? (int)(t->components - euler / 2) : -1;
}

fab_status fab_mesh_topology(const fab_mesh *mesh, fab_topology *out, fab_error *err)
{
    fab_topology t = {.closed = mesh->triangle_count > 0, .manifold = mesh->triangle_count > 0};
    size_t vertices = (size_t)mesh->vertex_count + 2, n = (size_t)mesh->triangle_count * 3;
    FAB_AUTO_FREE uint32_t *start = fab_alloc_array(vertices, sizeof *start);
    FAB_AUTO_FREE uint32_t *corner = fab_alloc_array(n + 1, sizeof *corner);
    FAB_AUTO_FREE uint32_t *parent = fab_alloc_array(vertices, sizeof *parent);
    if (!start || !corner || !parent)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to check the %u triangles of label %d",
                 mesh->triangle_count, mesh->label);
    for (size_t i = 0; i < n; i++)
        if (mesh->index[i] >= mesh->vertex_count)
            FAB_FAIL(err, FAB_ERR_ARG, "mesh of label %d: vertex %u of %u", mesh->label,
                     mesh->index[i], mesh->vertex_count);
    corners c = {.mesh = mesh, .start = start, .corner = corner};
    group_corners(&c);
    for (uint32_t v = 0; v < mesh->vertex_count; v++) check_vertex(&c, v, &t);
    count_components(mesh, &c, parent, &t);
    *out = t;
    return FAB_OK;
}
