/* mask.h - the voxel faces around one label: how many, points spread over them, and how far a point
 * is from the nearest (this folder). */
#ifndef FAB_MESH_MASK_H
#define FAB_MESH_MASK_H

#include "fabrica/volume.h"

/* The box of a label's voxels. Faces are those to other labels or out of the volume. */
typedef struct fab_mask {
    int64_t voxels;         /* of the label; 0: nothing else is set */
    int64_t faces[3];       /* across each axis */
    int32_t low[3], size[3];
    uint8_t *exposed;       /* a voxel, i fastest: bit 2 axis + side of each of its faces */
    int64_t *row_faces;     /* a row of the box, 3: across each axis */
    fab_mat34 world_from_box, box_from_world; /* voxels counted from the box's first */
    double pitch_mm[3];     /* between the planes of neighbouring voxels' centres */
    double area_mm2[3];     /* of a face across each axis */
    bool square;            /* the axes are at right angles */
} fab_mask;

/* where: of this label in fab_labels_stats, or NULL. */
fab_status fab_mesh_mask_make(const fab_volume *labels, int label, const fab_label_stats *where,
                              fab_mask *out, fab_error *err);
void fab_mesh_mask_free(fab_mask *mask);
double fab_mesh_mask_area(const fab_mask *mask);
/* `count` points in world mm, each standing for the same area. The mask has faces. */
void fab_mesh_mask_points(const fab_mask *mask, int64_t count, double (*point)[3]);
/* Distance (mm) from p to the nearest face, looked for no farther than `within`; `within` if there
 * is none. Costs what the voxels no farther than that cost. */
double fab_mesh_mask_distance(const fab_mask *mask, const double p[3], double within);

#endif
