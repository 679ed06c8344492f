/* fabrica/render.h - layer 3: small software renderer for previews and reports, PNG out.
 *
 * Pictures are for orientation, not for diagnosis. Everything is computed in linear light, runs on
 * fab_parallel_for by tiles, and gives the same bytes whatever the number of threads.
 */
#ifndef FABRICA_RENDER_H
#define FABRICA_RENDER_H

#include "fabrica/anatomy.h"
#include "fabrica/mesh.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- images ----------------------------------------------------------------------------- */

/* sRGB, 8 bits, straight (not premultiplied) alpha; row-major, top row first. */
typedef struct fab_image { int width, height; uint8_t *rgba; } fab_image;
/* All pixels transparent black. FAB_ERR_LIMIT above FAB_MAX_IMAGE_DIM a side. */
fab_status fab_image_create(int width, int height, fab_image *out, fab_error *err);
void fab_image_free(fab_image *image); /* members only; also as __attribute__((cleanup)) */
/* PNG without a date or other varying chunk; RGB if every pixel is opaque. Appends to out. */
fab_status fab_image_encode_png(const fab_image *image, fab_buf *out, fab_error *err);

/* ---- meshes ----------------------------------------------------------------------------- */

typedef enum fab_render_background {
    FAB_BACKGROUND_DARK,       /* neutral dark gradient */
    FAB_BACKGROUND_LIGHT,      /* neutral light gradient */
    FAB_BACKGROUND_TRANSPARENT
} fab_render_background;

/* Zero-initialise, then set what matters; only width and height must be set. */
typedef struct fab_render_view {
    double azimuth_deg, elevation_deg; /* 0,0 = from the front (looking along +y), head up; azimuth
                                          90 = from the patient's left, 180 = from behind */
    int width, height;
    const bool *visible;               /* per mesh, NULL = all */
    const double *opacity;             /* per mesh, NULL = 1; 0 = hidden */
    double field_of_view_deg;          /* vertical; 0 = orthographic */
    double mm_per_pixel;               /* at the centre; 0 = fit what is visible */
    const double *center;              /* 3, world; NULL = centre of what is visible */
    fab_render_background background;
    int supersample;                   /* samples a pixel along one axis, 1..4; 0 = 2 */
    const fab_progress *progress;
} fab_render_view;

/* Normals are computed for meshes that have none. Caps where the scan ends are drawn greyer than
 * their structure (opaque) or not at all (translucent): they are not anatomy. Translucency is
 * order-independent: fragments are sorted a pixel. Nothing visible: an empty background.
 * FAB_ERR_ARG for sizes, angles or maps that make no sense, FAB_ERR_LIMIT, FAB_ERR_CANCELLED. */
fab_status fab_render_meshes(const fab_mesh_set *meshes, const fab_label_set *set,
                             const fab_render_view *view, fab_image *out, fab_error *err);
/* The scale and centre that fab_render_meshes would choose, so that several views can share them
 * and a scale bar can be drawn. */
void fab_render_fit(const fab_mesh_set *meshes, const fab_render_view *view, double *mm_per_pixel,
                    double center[3]);

/* ---- slices ----------------------------------------------------------------------------- */

typedef enum fab_plane { FAB_AXIAL, FAB_CORONAL, FAB_SAGITTAL } fab_plane;
/* One slice in radiological convention (patient's right on the image's left; sagittal: front on
 * the left; head up) with label outlines, letters for the directions and a scale bar; window in
 * image units. The plane is the world plane through `world`, whatever the volumes' orientation;
 * the scale is the same along both axes. labels and set may be NULL: no outlines. */
fab_status fab_render_slice(const fab_volume *image, const fab_volume *labels,
                            const fab_label_set *set, fab_plane plane, const double world[3],
                            double window_center, double window_width, int width, int height,
                            fab_image *out, fab_error *err);

/* ---- text and composing ----------------------------------------------------------------- */

typedef enum fab_text_align { FAB_TEXT_LEFT, FAB_TEXT_CENTER, FAB_TEXT_RIGHT } fab_text_align;
typedef struct fab_text_style {
    double height_px;     /* of a capital letter */
    double weight;        /* stroke width / capital height; 0 = 0.12 */
    uint8_t rgba[4];
    fab_text_align align;
} fab_text_style;
/* Built-in stroke font: ASCII and a few signs; others show as a small box. (x, y) is on the
 * baseline, in pixels from the top left. Clipped to the image. Returns the width in pixels. */
double fab_render_text(fab_image *image, double x, double y, const char *utf8,
                       const fab_text_style *style);
double fab_render_text_width(const char *utf8, const fab_text_style *style);
/* Draws `from` over `image` at (x, y), clipped. */
void fab_image_draw(fab_image *image, int x, int y, const fab_image *from);
/* A filled rectangle with rounded corners, anti-aliased, clipped. */
void fab_image_fill_box(fab_image *image, double x, double y, double width, double height,
                        double radius, const uint8_t rgba[4]);

/* ---- the preview ------------------------------------------------------------------------ */

/* Everything but meshes may be NULL or zero. */
typedef struct fab_render_preview_options {
    const fab_mesh_set *meshes;
    const fab_label_set *set;
    const fab_volume *image, *labels; /* NULL image: no slice views */
    bool image_is_hu;                 /* CT: the body's outline is drawn from the image if no
                                         structure is skin; window defaults to 40 / 400 */
    double window_center, window_width;
    const char *title, *subtitle;     /* NULL: "Digital twin", none */
    int width;                        /* 0 = 1920; height follows */
    const fab_progress *progress;
} fab_render_preview_options;
/* The twin at a glance: three views in 3D (front, left, behind; one scale) above three slices
 * through the middle of what was segmented, with outlines, captions and scale bars. */
fab_status fab_render_preview(const fab_render_preview_options *options, fab_image *out,
                              fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
