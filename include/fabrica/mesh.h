/* fabrica/mesh.h - layer 2: closed surfaces of every structure of a label map in one pass. */
#ifndef FABRICA_MESH_H
#define FABRICA_MESH_H

#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Triangle flags. */
enum { FAB_TRI_SCAN_EDGE = 1 }; /* cap where the scan ends: not anatomy */

/* One structure's surface. LPS mm in world space, counter-clockwise seen from outside. */
typedef struct fab_mesh {
    int label;
    uint32_t vertex_count, triangle_count;
    float *position;     /* vertex_count x 3, mm */
    float *normal;       /* vertex_count x 3, unit; NULL until fab_mesh_compute_normals */
    uint32_t *index;     /* triangle_count x 3 */
    uint8_t *flags;      /* triangle_count, FAB_TRI_* */
} fab_mesh;

typedef struct fab_mesh_set {
    size_t count;
    fab_mesh *items;     /* ascending label; only labels that occur */
} fab_mesh_set;
void fab_mesh_set_free(fab_mesh_set *set);
void fab_mesh_free(fab_mesh *mesh); /* members only */

/* Measured, never assumed. */
typedef struct fab_mesh_report {
    bool closed;                 /* every edge has exactly two oppositely directed triangles */
    bool manifold;               /* and each vertex one fan */
    int components, genus;
    int64_t self_intersections;  /* pairs of triangles, BVH; -1 = not counted */
    int64_t degenerate;          /* zero-area triangles */
    double volume_ml, area_mm2;
    double mask_volume_ml, volume_error_percent;
    double hd95_mm, mean_mm;     /* symmetric, mesh surface to mask surface */
} fab_mesh_report;

typedef struct fab_mesh_options {
    int smoothing_iterations;    /* constrained relaxation, in pairs; default 40; not with margin */
    double max_volume_error_percent; /* correct drift to this; default 0.5 */
    double max_centroid_error_voxels; /* and this, distance in voxels; default 0.05 */
    double target_error_mm;      /* simplification error allowed; 0 = do not simplify */
    uint32_t max_triangles;      /* for the whole set, 0 = no limit */
    const fab_progress *progress;
} fab_mesh_options;
void fab_mesh_options_default(fab_mesh_options *o);

/* Sub-voxel input where there is one: for every voxel of the label grid, the winning margin
 * (winner's score minus the second's, >= 0, F32, same grid). NULL otherwise. labels: U8 or U16,
 * 0 is background. Every mesh is a closed 2-manifold whose vertices differ as floats; vertices
 * on a border are bitwise those of the neighbour, except where sheets of one structure touch
 * along a voxel edge or corner: there they are drawn up to 0.2 voxels apart (ADR 0030).
 * FAB_MESH_OVER_BUDGET as fab_mesh_simplify. */
fab_status fab_mesh_extract(const fab_volume *labels, const fab_volume *margin,
                            const fab_mesh_options *options, fab_mesh_set *out, fab_error *err);
/* Levels of detail: a simplified copy of the set, all structures together, neighbours' borders
 * kept shut, every mesh still closed. Stops at max_triangles over the whole set (0: no limit) or
 * where the next step would err by more than max_error_mm (root mean square distance to the
 * planes it replaces; 0: no limit), whichever comes first; small structures keep relatively more.
 * FAB_MESH_OVER_BUDGET (positive: *out is valid) if the error, or topology, stopped it above
 * max_triangles. Normals are not copied. */
enum { FAB_MESH_OVER_BUDGET = 1 };
fab_status fab_mesh_simplify(const fab_mesh_set *set, uint32_t max_triangles, double max_error_mm,
                             fab_mesh_set *out, fab_error *err);
/* Several levels at once, finest first: each goes on collapsing where the one before stopped, with
 * the errors summed up since the full set, so its error is against that one. On failure out is
 * untouched. FAB_MESH_OVER_BUDGET if any level is. */
enum { FAB_MESH_MAX_LEVELS = 8 };
typedef struct fab_mesh_level {
    uint32_t max_triangles; /* over the whole set; 0: no limit */
    double max_error_mm;    /* 0: no limit */
} fab_mesh_level;
fab_status fab_mesh_simplify_levels(const fab_mesh_set *set, const fab_mesh_level *levels,
                                    size_t count, fab_mesh_set *out, fab_error *err);
/* What a label map on this grid bears unseen: a tenth of its smallest voxel side (mm, ADR 0102). */
double fab_mesh_default_error_mm(const fab_grid *grid);
/* Unit normals at the vertices, weighted by the angle of each triangle there. */
fab_status fab_mesh_compute_normals(fab_mesh *mesh, fab_error *err);
/* labels may be NULL: then the mask fields are NaN. */
fab_status fab_mesh_measure(const fab_mesh *mesh, const fab_volume *labels,
                            fab_mesh_report *out, fab_error *err);
/* The same, with the label's place in `labels` (fab_labels_stats) for the caller who knows it: then
 * only that box is looked at. where NULL: unknown. */
fab_status fab_mesh_measure_at(const fab_mesh *mesh, const fab_volume *labels,
                               const fab_label_stats *where, fab_mesh_report *out,
                               fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
