/* complex.h - all meshes of a set as one net of shared vertices and shared triangles, the form in
 * which they are simplified together (this folder). */
#ifndef FAB_MESH_COMPLEX_H
#define FAB_MESH_COMPLEX_H

#include "fabrica/mesh.h"

#define FAB_COMPLEX_NONE UINT32_MAX

typedef struct fab_complex_triangle {
    uint32_t v[3];        /* counter-clockwise seen from outside `front` */
    uint32_t front, back; /* positions in the set; back may be NONE: the background */
    uint8_t flags;
    bool dead;
} fab_complex_triangle;

typedef struct fab_star { /* the live triangles around a vertex: entries of fab_complex.star */
    uint32_t first, count;
} fab_star;

typedef struct fab_complex {
    const fab_mesh_set *set;
    uint32_t vertices, triangles, dead; /* dead: of the triangles */
    float (*position)[3];
    fab_complex_triangle *triangle;
    fab_star *around; /* per vertex */
    uint32_t *star;   /* triangles, ascending within a vertex's own */
    uint32_t used, room; /* entries of star */
    double (*goal)[4]; /* per mesh of the set: volume and first moment (restore.c) */
} fab_complex;

static inline const fab_complex_triangle *fab_complex_at(const fab_complex *c, uint32_t v,
                                                         uint32_t i)
{
    return &c->triangle[c->star[c->around[v].first + i]];
}

fab_status fab_complex_build(const fab_mesh_set *set, fab_complex *out, fab_error *err);
void fab_complex_free(fab_complex *c);
/* Lists the live triangles around each vertex anew, and numbers them anew. */
void fab_complex_find_stars(fab_complex *c);
/* Drops vertices that have no triangle and dead triangles, in order; stars are right again.
 * number[old] is a vertex's new number, FAB_COMPLEX_NONE if it is gone. */
void fab_complex_compact(fab_complex *c, uint32_t *number);
/* Moves u into its neighbour v: triangles that had both are dead, the others of u are v's, and the
 * stars of all their vertices are right again. Returns how many triangles of meshes died. May
 * number triangles anew. */
uint32_t fab_complex_collapse(fab_complex *c, uint32_t u, uint32_t v);
/* Triangles of all meshes: a shared one counts for both. */
int64_t fab_complex_count(const fab_complex *c);
/* restore.c: brings volumes and centroids back to those of the set the net was built from. */
fab_status fab_complex_restore(fab_complex *c, fab_error *err);
fab_status fab_complex_emit(const fab_complex *c, fab_mesh_set *out, fab_error *err);

#endif
