/* render_internal.h - what the renderer's files share: colour, buffers, passes, glyphs. */
#ifndef FAB_RENDER_INTERNAL_H
#define FAB_RENDER_INTERNAL_H

#include "fabrica/render.h"

/* ---- colour ----------------------------------------------------------------------------- */

float fab_render_linear(uint8_t srgb);       /* 0..1 */
uint8_t fab_render_srgb(float linear);       /* clamped, rounded */
/* Blends a colour of this coverage (0..1, times its alpha) over pixel (x, y), in linear light. */
void fab_image_blend(fab_image *image, int x, int y, const uint8_t rgba[4], double coverage);

/* A bar of a round length at most most_px long, its left end at (x, y), its length above it. */
void fab_render_scale_bar(fab_image *image, double mm_per_pixel, double x, double y,
                          double most_px, double height_px);

/* The body's outer surface (one mesh with this label, coarse) of a CT in HU; an empty set if there
 * is no body in it. */
fab_status fab_render_body_surface(const fab_volume *image, int label, fab_mesh_set *out,
                                   fab_error *err);

/* ---- font ------------------------------------------------------------------------------- */

typedef struct fab_glyph {
    uint32_t code;
    double width;
    const char *path;
} fab_glyph;
extern const fab_glyph fab_glyphs[]; /* ascending code */
extern const size_t fab_glyph_count;
extern const fab_glyph fab_glyph_missing;

/* ---- 3D --------------------------------------------------------------------------------- */

/* A vertex on the screen: pixels of the supersampled frame, y down; depth_mm grows away from the
 * viewer; q = 1/w for perspective; normal in view space (x right, y up, z to the viewer). */
typedef struct fab_render_vertex {
    float x, y, depth_mm, q, normal[3];
} fab_render_vertex;

typedef struct fab_render_item {
    const fab_mesh *mesh;
    fab_render_vertex *vertices;
    float rgb[3];          /* linear */
    float opacity;         /* 1: opaque */
    uint64_t first_triangle;
} fab_render_item;

enum { FAB_RENDER_TILE = 64 };

/* Triangles by tile, in compressed rows; ids count through all items in order. */
typedef struct fab_render_bins {
    uint64_t *start;   /* tiles + 1 */
    uint32_t *ids;
} fab_render_bins;

typedef struct fab_render_sample {
    float depth_mm;        /* FAR_AWAY where nothing is */
    int16_t normal[3];     /* times 32767 */
    uint16_t item;         /* + 1; 0: nothing. The top bit marks a scan-edge cap */
} fab_render_sample;
#define FAB_RENDER_FAR 1e30f
enum { FAB_RENDER_CAP = 0x8000 };

typedef struct fab_render_frame {
    int width, height;     /* supersampled */
    int scale;             /* samples a pixel along one axis */
    int tiles_x, tiles_y;
    double mm_per_sample;
    float near_mm, far_mm; /* depth range of what is visible */
    fab_render_item *items;
    size_t item_count;
    uint64_t triangle_count;
    fab_render_bins bins;
    fab_render_sample *samples; /* opaque surface nearest the viewer */
    float *occlusion;           /* 1 open .. 0 shut, one a sample */
    float *rgba;                /* linear, premultiplied, one a sample */
} fab_render_frame;

/* NULL outside the frame. */
static inline const fab_render_sample *fab_render_sample_at(const fab_render_frame *f, int x, int y)
{
    if (x < 0 || y < 0 || x >= f->width || y >= f->height) return NULL;
    return &f->samples[(size_t)y * (size_t)f->width + (size_t)x];
}

/* A triangle made ready for walking its samples. */
typedef struct fab_render_setup {
    const fab_render_vertex *v[3];
    double edge[3][3];     /* barycentric_i(x, y) = edge[i][0] x + edge[i][1] y + edge[i][2] */
    int low[2], high[2];   /* samples, inclusive, clipped to the tile */
    float nearest_mm;      /* no sample of it is nearer */
} fab_render_setup;
/* False when turned away, without area, or without a sample in the tile. */
bool fab_render_setup_make(const fab_render_item *item, uint32_t triangle, const int tile[4],
                           fab_render_setup *out);
/* Is the triangle turned to the viewer? x and y of its corners. */
static inline bool fab_render_faces(const double x[3], const double y[3], double *area)
{
    /* y runs down, so a triangle facing the viewer has a negative area here */
    *area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]);
    return *area < -1e-9;
}
/* The weights' part that a row of samples shares. */
static inline void fab_render_setup_row(const fab_render_setup *s, int y, double row[3])
{
    for (int i = 0; i < 3; i++) row[i] = s->edge[i][1] * (y + 0.5);
}
/* The corners' weights at a sample of the row; false when outside. */
static inline bool fab_render_setup_in(const fab_render_setup *s, const double row[3], int x,
                                       double w[3])
{
    const double at = x + 0.5;
    w[0] = s->edge[0][0] * at + row[0] + s->edge[0][2];
    w[1] = s->edge[1][0] * at + row[1] + s->edge[1][2];
    w[2] = s->edge[2][0] * at + row[2] + s->edge[2][2];
    return (w[0] >= 0) & (w[1] >= 0) & (w[2] >= 0);
}
/* Weights to the corners' shares in perspective; the depth there. */
static inline float fab_render_setup_depth(const fab_render_setup *s, double w[3])
{
    double sum = 0, z = 0;
    for (int i = 0; i < 3; i++) sum += w[i] *= (double)s->v[i]->q;
    for (int i = 0; i < 3; i++) {
        w[i] /= sum;
        z += w[i] * (double)s->v[i]->depth_mm;
    }
    return (float)z;
}
/* The view-space unit normal there. */
void fab_render_setup_normal(const fab_render_setup *s, const double share[3], float normal[3]);
/* The item a triangle id belongs to; *item is where the last one was, ids ascend. */
const fab_render_item *fab_render_item_of(const fab_render_frame *f, uint32_t id, size_t *item);
/* Asks memory for triangles soon to come after entry i of ids, before `end`, if of this item. */
void fab_render_fetch_ahead(const fab_render_frame *f, uint64_t i, uint64_t end,
                            const fab_render_item *item);
void fab_render_tile_box(const fab_render_frame *f, int64_t tile, int box[4]);

fab_status fab_render_project(const fab_mesh_set *meshes, const fab_label_set *set,
                              const fab_render_view *view, fab_render_frame *f, fab_error *err);
/* Width and height (mm) of what is visible; false when nothing is. */
bool fab_render_extent(const fab_mesh_set *meshes, const fab_render_view *view, double mm[2]);
fab_status fab_render_bin(fab_render_frame *f, fab_error *err);
void fab_render_opaque(fab_render_frame *f);
fab_status fab_render_occlude(fab_render_frame *f, fab_error *err);
void fab_render_shade(fab_render_frame *f);
fab_status fab_render_translucent(fab_render_frame *f, fab_error *err);
void fab_render_resolve(const fab_render_frame *f, fab_render_background background,
                        fab_image *out);
/* Light leaving a surface of linear colour rgb with view-space normal n. */
void fab_render_light(const float rgb[3], const float n[3], float occlusion, float out[3]);

#endif
