/* cases.c - how often one label's surface passes through a cell, worked out for all 256 patterns.
 *
 * Seen from one label, a cell's corners are inside or outside. On the cell's surface (a sphere)
 * the boundary between them is a set of closed loops; each loop becomes one vertex (dual marching
 * cubes, Nielson 2004), so every vertex has one fan of quads and the surface is a 2-manifold.
 * On a face whose corners alternate in-out-in-out the loops are ambiguous; we keep the inside
 * corners apart there:
 *
 *        in ----- out                 in ----- out
 *         |  \     |                   |     /  |
 *         |   \    |    apart          |  /     |    joined
 *         |  \     |                   | /   /  |
 *        out --\- in                  out / -- in
 *
 * One trap is left (Wenger, "Isosurfaces", 2013, manifold dual contouring): if both arcs on such
 * a face belong to one loop in *both* cells that share it, two mesh edges join the same two
 * vertices. Then, and only then, that face is joined instead, which cuts the loop in two in both
 * cells. A pattern has at most one such candidate face, so the decisions do not interact; the
 * unit test checks both facts for all patterns.
 */
#include <string.h>

#include "mesh_internal.h"

const uint8_t fab_mesh_edge_low[12] = {0, 2, 4, 6, 0, 1, 4, 5, 0, 1, 2, 3};

/* Corners of each face in cyclic order. */
static const uint8_t face_corner[6][4] = {{0, 2, 6, 4}, {1, 3, 7, 5}, {0, 1, 5, 4},
                                          {2, 3, 7, 6}, {0, 1, 3, 2}, {4, 5, 7, 6}};

static unsigned edge_between(unsigned a, unsigned b)
{
    unsigned low = a < b ? a : b, axis = (a ^ b) >> 1; /* 1,2,4 -> 0,1,2 */
    for (unsigned e = axis * 4; e < axis * 4 + 4; e++)
        if (fab_mesh_edge_low[e] == low) return e;
    return 0; /* not reached for neighbouring corners */
}

static uint8_t root_of(const uint8_t parent[12], uint8_t e)
{
    while (parent[e] != e) e = parent[e];
    return e;
}

static void unite(uint8_t parent[12], unsigned a, unsigned b)
{
    parent[root_of(parent, (uint8_t)a)] = root_of(parent, (uint8_t)b);
}

/* Joins the crossings of one face; returns how many edges of the face cross. */
static int join_face(unsigned mask, int face, bool joined, uint8_t parent[12])
{
    unsigned edge[4], crossing[4], n = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned a = face_corner[face][i], b = face_corner[face][(i + 1) % 4];
        edge[i] = edge_between(a, b);
        if (((mask >> a) ^ (mask >> b)) & 1) crossing[n++] = edge[i];
    }
    if (n == 2) unite(parent, crossing[0], crossing[1]);
    for (unsigned i = 0; n == 4 && i < 4; i++) { /* around corner i: edges i-1 and i */
        bool inside = (mask >> face_corner[face][i]) & 1;
        if (inside != joined) unite(parent, edge[i], edge[(i + 3) % 4]);
    }
    return (int)n;
}

static void fill_case(unsigned mask, int joined_face, fab_mesh_case *out, int8_t *candidate)
{
    uint8_t parent[12], id[12];
    bool ambiguous[6];
    for (uint8_t e = 0; e < 12; e++) parent[e] = e;
    for (int f = 0; f < 6; f++) ambiguous[f] = join_face(mask, f, f == joined_face, parent) == 4;
    memset(id, 255, sizeof id);
    out->loops = 0;
    for (uint8_t e = 0; e < 12; e++) {
        unsigned low = fab_mesh_edge_low[e], high = low | (1u << (e / 4));
        out->edge_loop[e] = 255;
        if (!(((mask >> low) ^ (mask >> high)) & 1)) continue;
        uint8_t root = root_of(parent, e);
        if (id[root] == 255) id[root] = out->loops++;
        out->edge_loop[e] = id[root];
    }
    for (int8_t f = 0; candidate && f < 6; f++) {
        if (!ambiguous[f]) continue;
        unsigned a = edge_between(face_corner[f][0], face_corner[f][1]);
        unsigned b = edge_between(face_corner[f][1], face_corner[f][2]);
        unsigned c = edge_between(face_corner[f][2], face_corner[f][3]);
        if (out->edge_loop[a] == out->edge_loop[b] && out->edge_loop[b] == out->edge_loop[c])
            *candidate = f;
    }
}

void fab_mesh_cases_fill(fab_mesh_cases *cases)
{
    for (unsigned mask = 0; mask < 256; mask++) {
        cases->candidate[mask] = -1;
        fill_case(mask, -1, &cases->item[mask][0], &cases->candidate[mask]);
        cases->item[mask][1] = cases->item[mask][0];
        if (cases->candidate[mask] >= 0)
            fill_case(mask, cases->candidate[mask], &cases->item[mask][1], NULL);
    }
}
