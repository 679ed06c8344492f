/* mask_surface.h - the voxel faces around one label, as triangles (this folder). */
#ifndef FAB_MESH_MASK_SURFACE_H
#define FAB_MESH_MASK_SURFACE_H

#include "fabrica/volume.h"

typedef struct fab_mask_surface {
    int64_t voxels;      /* of the label */
    uint32_t faces;      /* voxel faces to other labels or out of the volume */
    float *position;     /* faces x 4 x 3, mm */
    uint32_t *index;     /* faces x 2 triangles x 3 */
} fab_mask_surface;

fab_status fab_mesh_mask_surface(const fab_volume *labels, int label, fab_mask_surface *out,
                                 fab_error *err);
void fab_mesh_mask_surface_free(fab_mask_surface *surface);

#endif
