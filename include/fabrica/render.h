/* fabrica/render.h - layer 3: small software renderer for previews and reports, PNG out. */
#ifndef FABRICA_RENDER_H
#define FABRICA_RENDER_H

#include "fabrica/anatomy.h"
#include "fabrica/mesh.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fab_image { int width, height; uint8_t *rgba; } fab_image; /* row-major, top first */
fab_status fab_image_create(int width, int height, fab_image *out, fab_error *err);
void fab_image_free(fab_image *image);
fab_status fab_image_encode_png(const fab_image *image, fab_buf *out, fab_error *err);

typedef struct fab_render_view {
    double azimuth_deg, elevation_deg; /* 0,0 = from the front (looking along +y), head up */
    int width, height;
    const bool *visible;               /* per mesh, NULL = all */
    const double *opacity;             /* per mesh, NULL = 1 */
} fab_render_view;
fab_status fab_render_meshes(const fab_mesh_set *meshes, const fab_label_set *set,
                             const fab_render_view *view, fab_image *out, fab_error *err);

typedef enum fab_plane { FAB_AXIAL, FAB_CORONAL, FAB_SAGITTAL } fab_plane;
/* One slice in radiological convention with label outlines; window in image units. */
fab_status fab_render_slice(const fab_volume *image, const fab_volume *labels,
                            const fab_label_set *set, fab_plane plane, const double world[3],
                            double window_center, double window_width, int width, int height,
                            fab_image *out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
