/* collapse.h - may vertex u be moved into its neighbour v? (this folder) */
#ifndef FAB_MESH_COLLAPSE_H
#define FAB_MESH_COLLAPSE_H

#include "complex.h"

#define FAB_COLLAPSE_MAX_RING 96 /* neighbours of a vertex that is still considered */

typedef struct fab_ring { /* neighbours of a vertex */
    uint32_t vertex[FAB_COLLAPSE_MAX_RING];
    bool feature[FAB_COLLAPSE_MAX_RING]; /* the edge is where patches meet; unset if none is */
    int count;
    int features; /* 0: inside a patch; 2: on a curve; else a corner, which stays */
} fab_ring;

/* False if the vertex has too many neighbours. */
bool fab_collapse_ring(const fab_complex *c, uint32_t u, fab_ring *out);
/* Keeps every mesh that u belongs to a closed 2-manifold, and turns no triangle over. */
bool fab_collapse_allowed(const fab_complex *c, uint32_t u, uint32_t v);

#endif
