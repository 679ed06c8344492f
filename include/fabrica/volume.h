/* fabrica/volume.h - layer 1: the one geometry object, voxels, and what is done to them.
 *
 * World space is the DICOM patient coordinate system: LPS, millimetres (PS3.3 C.7.6.2.1.1:
 * +x to the patient's left, +y posterior, +z to the head). A grid maps voxel *centres*:
 *
 *     world = M * (i, j, k, 1)      M = world_from_voxel, 3x4, double
 *
 * Memory is x-fastest: index = i + size[0] * (j + size[1] * k). No module flips planes: whoever
 * needs another orientation builds another grid and resamples or permutes with these functions.
 */
#ifndef FABRICA_VOLUME_H
#define FABRICA_VOLUME_H

#include "fabrica/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- geometry --------------------------------------------------------------------------- */

typedef struct fab_mat34 {
    double m[3][4];
} fab_mat34;

void fab_mat34_apply(const fab_mat34 *a, const double p[3], double out[3]); /* out may be p */
void fab_mat34_apply_vector(const fab_mat34 *a, const double v[3], double out[3]);
fab_mat34 fab_mat34_multiply(const fab_mat34 *a_from_b, const fab_mat34 *b_from_c);
/* FAB_ERR_GEOMETRY if singular (|det| tiny against the column lengths) or not finite. */
fab_status fab_mat34_invert(const fab_mat34 *a, fab_mat34 *out, fab_error *err);
double fab_mat34_determinant(const fab_mat34 *a);

typedef struct fab_grid {
    int32_t size[3];            /* voxels along i, j, k; each 1..FAB_MAX_DIM */
    fab_mat34 world_from_voxel; /* LPS mm, voxel centres */
} fab_grid;

/* Checks sizes, finiteness, spacing limits and that the axes are not degenerate. */
fab_status fab_grid_check(const fab_grid *g, fab_error *err);
int64_t fab_grid_voxels(const fab_grid *g);
void fab_grid_spacing(const fab_grid *g, double spacing_mm[3]); /* column lengths */
double fab_grid_voxel_volume_mm3(const fab_grid *g);            /* |det| */
bool fab_grid_equal(const fab_grid *a, const fab_grid *b, double tolerance_mm);
/* "LPS", "RAS", "PIR"...: the patient direction each voxel axis points to most. */
void fab_grid_orientation(const fab_grid *g, char code[4]);
/* An axis-aligned LPS grid (i to L, j to P, k to S) covering g's voxel box at the spacing given
 * per axis (x, y, z); size = round(extent / spacing), at least 1, centred on g's box. */
fab_status fab_grid_axis_aligned(const fab_grid *g, const double spacing_mm[3], fab_grid *out,
                                 fab_error *err);
/* The same voxels seen with permuted and flipped axes so that the axes point nearest to L, P, S. */
fab_grid fab_grid_canonical(const fab_grid *g, int axis_of[3], bool flip[3]);

/* ---- voxels ----------------------------------------------------------------------------- */

typedef enum fab_dtype { FAB_U8, FAB_I16, FAB_U16, FAB_I32, FAB_F32 } fab_dtype;
size_t fab_dtype_bytes(fab_dtype t);
const char *fab_dtype_name(fab_dtype t);

/* Reference-counted voxels on a grid. Read-only once shared; write only before the first ref. */
typedef struct fab_volume fab_volume;

fab_status fab_volume_create(const fab_grid *g, fab_dtype t, fab_volume **out, fab_error *err);
fab_volume *fab_volume_ref(fab_volume *v);
fab_volume *fab_volume_unref(fab_volume *v); /* NULL */
FAB_DEFINE_AUTO(fab_volume, fab_volume_unref)
const fab_grid *fab_volume_grid(const fab_volume *v);
fab_dtype fab_volume_dtype(const fab_volume *v);
const void *fab_volume_data(const fab_volume *v);
void *fab_volume_data_mut(fab_volume *v); /* NULL if shared (more than one reference) */
size_t fab_volume_bytes(const fab_volume *v);
double fab_volume_get(const fab_volume *v, int32_t i, int32_t j, int32_t k);
double fab_volume_at(const fab_volume *v, int64_t index); /* in storage order, i fastest */

/* Other type, rounded half away from zero and clamped to the range (NaN becomes 0). */
fab_status fab_volume_convert(const fab_volume *v, fab_dtype t, fab_volume **out, fab_error *err);
/* Same voxels reordered so that the axes run nearest to L, P, S. No interpolation. */
fab_status fab_volume_canonical(const fab_volume *v, fab_volume **out, fab_error *err);
/* Box [low, low + size) of v; the grid's origin moves with it. */
fab_status fab_volume_crop(const fab_volume *v, const int32_t low[3], const int32_t size[3],
                           fab_volume **out, fab_error *err);

typedef enum fab_interpolation { FAB_NEAREST, FAB_LINEAR } fab_interpolation;
/* v sampled at the voxel centres of `to`; `outside` where the point is more than half a voxel
 * beyond v's box, clamped inside. Type of v is kept. */
fab_status fab_volume_resample(const fab_volume *v, const fab_grid *to, fab_interpolation how,
                               double outside, fab_volume **out, fab_error *err);
/* Separable Gaussian, sigma per voxel axis in voxels (0: none), truncated at 3 sigma, edges
 * clamped. Result is F32. */
fab_status fab_volume_gaussian(const fab_volume *v, const double sigma_voxels[3],
                               fab_volume **out, fab_error *err);
void fab_volume_minmax(const fab_volume *v, double *low, double *high);

/* ---- label maps ------------------------------------------------------------------------- */

typedef struct fab_label_stats {
    int64_t voxels;
    double centroid_voxel[3]; /* mean voxel index */
    int32_t low[3], high[3];  /* inclusive box */
    bool touches_edge[6];     /* -i +i -j +j -k +k faces of the volume */
} fab_label_stats;

/* stats[value] for values 0..count-1; FAB_ERR_ARG for a dtype other than U8/U16. Values at or
 * above count are FAB_ERR_LIMIT. */
fab_status fab_labels_stats(const fab_volume *labels, size_t count, fab_label_stats *stats,
                            fab_error *err);

/* Connected components of {voxel == value}, 26- or 6-connected, by size: component id 1 is the
 * largest. `components` is a FAB_I32 volume (0 outside). sizes (may be NULL) gets a fab_malloc'd
 * array of n sizes in voxels. */
fab_status fab_labels_components(const fab_volume *labels, int value, bool face_connected,
                                 fab_volume **components, int32_t *n, int64_t **sizes,
                                 fab_error *err);

typedef struct fab_label_piece {
    int64_t voxels;
    double centroid_voxel[3];
    int32_t low[3], high[3]; /* inclusive box, in the label map's voxels */
} fab_label_piece;

/* The same components, in the box of `where` (that value's own from fab_labels_stats), the largest
 * first, without a volume of them: a few words a run of voxels in memory. *pieces: n, to be freed
 * by fab_free. */
fab_status fab_labels_pieces(const fab_volume *labels, const fab_label_stats *where, int value,
                             bool face_connected, int32_t *n, fab_label_piece **pieces,
                             fab_error *err);

/* What a clean-up keeps of the components of some values taken together. */
typedef struct fab_component_rule {
    bool face_connected; /* 6 neighbours, else 26 */
    bool largest;        /* only the largest; all of its size, if several share it */
    int64_t above;       /* only those of more voxels than this */
} fab_component_rule;
/* Components of {member[voxel]}, values at and above count being no members: those that the rule
 * does not keep become `background`, in place. removed (may be NULL): voxels changed. A few words
 * a run of voxels in memory, nothing a voxel. */
fab_status fab_labels_keep_components(fab_volume *labels, const bool *member, size_t count,
                                      const fab_component_rule *rule, int background,
                                      int64_t *removed, fab_error *err);

/* Exact Euclidean distance (mm, Felzenszwalb and Huttenlocher 2012) from each voxel centre to the
 * nearest voxel centre where labels == value (inside == false) or != value (inside == true), on
 * the grid's own spacing (axes assumed orthogonal). F32; infinity becomes FLT_MAX if none. */
fab_status fab_labels_distance(const fab_volume *labels, int value, bool inside, fab_volume **out,
                               fab_error *err);
/* U8: 1 where the centre of a voxel of `value` lies within mm of the voxel's own, else 0; for
 * reaches of some voxels cheaper than the distances. FAB_ERR_ARG unless mm is in [0, 1e6). */
fab_status fab_labels_within(const fab_volume *labels, int value, double mm, fab_volume **out,
                             fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
