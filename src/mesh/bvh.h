/* bvh.h - boxes around triangles, for the distance and self-intersection checks (this folder). */
#ifndef FAB_MESH_BVH_H
#define FAB_MESH_BVH_H

#include "fabrica/base.h"

/* A triangle soup it does not own; positions in mm. */
typedef struct fab_soup {
    const float *position;
    const uint32_t *index;
    uint32_t triangles;
    bool quads; /* each two triangles are halves of a quad: they stay together in the tree */
} fab_soup;

typedef struct fab_bvh_node {
    float low[3], high[3];
    uint32_t first; /* leaf: first entry of order; else: right child (the left one follows) */
    uint32_t count; /* triangles of a leaf; 0: inner node */
} fab_bvh_node;

typedef struct fab_bvh {
    fab_soup soup;
    fab_bvh_node *node;
    uint32_t *order; /* triangles, leaf by leaf */
    uint32_t nodes;
} fab_bvh;

fab_status fab_mesh_bvh_build(const fab_soup *soup, fab_bvh *out, fab_error *err);
void fab_mesh_bvh_free(fab_bvh *bvh);
/* Distance (mm) from p to the nearest triangle, looked for no farther than `within`; `within` if
 * there is none. */
double fab_mesh_bvh_distance(const fab_bvh *bvh, const double p[3], double within);
/* Pairs of triangles that share no vertex and cut through each other, or overlap in one plane,
 * by more than `slack` mm. */
int64_t fab_mesh_bvh_self_intersections(const fab_bvh *bvh, double slack);

/* triangle.c */
void fab_mesh_corners(const fab_soup *soup, uint32_t triangle, double out[3][3]);
double fab_mesh_point_triangle_squared(const double p[3], double t[3][3]);
bool fab_mesh_triangles_cross(double a[3][3], double b[3][3], double slack);

#endif
