/* render_internal.h - what the renderer's files share: colour, buffers, passes, glyphs. */
#ifndef FAB_RENDER_INTERNAL_H
#define FAB_RENDER_INTERNAL_H

#include "fabrica/render.h"
#include "lanes.h"

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

#define FAB_RENDER_FAR 1e30f
/* CAP marks the item of a sample that is a scan-edge cap. */
enum { FAB_RENDER_CAP = 0x8000, FAB_RENDER_RIM = 8 };

/* The nearest opaque surface at every sample: one plane a quantity, rows of `pitch`, with a rim of
 * FAB_RENDER_RIM samples where nothing is around the frame, so that nobody who looks at neighbours
 * asks whether there are any. */
typedef struct fab_render_planes {
    float *depth_mm;     /* FAB_RENDER_FAR where nothing is */
    int16_t *normal[3];  /* times 32767; of what is seen */
    int16_t *item;       /* + 1, with FAB_RENDER_CAP; 0: nothing */
    float *occlusion;    /* 1 open .. 0 shut */
} fab_render_planes;

typedef struct fab_render_frame {
    int width, height;     /* supersampled */
    int scale;             /* samples a pixel along one axis */
    int tiles_x, tiles_y;
    int pitch;
    double mm_per_sample;
    float near_mm, far_mm; /* depth range of what is visible */
    fab_render_item *items;
    size_t item_count;
    uint64_t triangle_count;
    fab_render_bins bins;
    fab_render_planes seen;
    float *rgba;           /* linear, premultiplied, one a sample, no rim */
} fab_render_frame;

/* Where sample (x, y) is in the planes; also within the rim. */
static inline size_t fab_render_at(const fab_render_frame *f, int x, int y)
{
    return (size_t)(y + FAB_RENDER_RIM) * (size_t)f->pitch + (size_t)(x + FAB_RENDER_RIM);
}

/* Is the triangle turned to the viewer? x and y of its corners. */
static inline bool fab_render_faces(const double x[3], const double y[3], double *area)
{
    /* y runs down, so a triangle facing the viewer has a negative area here */
    *area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]);
    return *area < -1e-9;
}

/* What varies over a triangle, each linear on the screen: the corners' weights (>= 0 inside), 1/w,
 * and depth and normal divided by w. */
enum { FAB_RENDER_SCALE = 3, FAB_RENDER_DEPTH, FAB_RENDER_NORMAL, FAB_RENDER_VARYING = 8 };

/* A triangle made ready for walking its samples. */
typedef struct fab_render_setup {
    int low[2], high[2];   /* samples, inclusive, clipped to the tile */
    float nearest_mm, farthest_mm;
    float across[FAB_RENDER_VARYING];                             /* a sample to the right */
    double down[FAB_RENDER_VARYING], corner[FAB_RENDER_VARYING];  /* a row; at sample `low` */
} fab_render_setup;
/* False when turned away, without area, or without a sample in the tile. */
bool fab_render_setup_make(const fab_render_item *item, uint32_t triangle, const int tile[4],
                           fab_render_setup *out);

/* What a row of samples shares: values at the triangle's first column. */
typedef struct fab_render_row {
    float at[FAB_RENDER_VARYING];
} fab_render_row;
static inline void fab_render_setup_row(const fab_render_setup *s, int y, fab_render_row *row)
{
    const double steps = y - s->low[1];
    for (int i = 0; i < FAB_RENDER_VARYING; i++)
        row->at[i] = (float)(s->corner[i] + s->down[i] * steps);
}

/* Columns of samples x to x + LANES - 1, counted from the triangle's first. */
static inline lanes fab_render_columns(const fab_render_setup *s, int x)
{
    const lanes one = {0, 1, 2, 3};
    return one + (float)(x - s->low[0]);
}
static inline lanes fab_render_varying(const fab_render_setup *s, const fab_render_row *row,
                                       int which, lanes columns)
{
    return columns * s->across[which] + row->at[which];
}
/* Which of these samples the triangle covers. */
static inline lane_bits fab_render_inside(const fab_render_setup *s, const fab_render_row *row,
                                          lanes columns)
{
    const lanes none = {0}, last = none + (float)(s->high[0] - s->low[0]);
    return (fab_render_varying(s, row, 0, columns) >= none)
           & (fab_render_varying(s, row, 1, columns) >= none)
           & (fab_render_varying(s, row, 2, columns) >= none) & (columns >= none)
           & (columns <= last);
}
static inline lanes fab_render_depth(const fab_render_setup *s, const fab_render_row *row,
                                     lanes columns)
{
    lanes d = fab_render_varying(s, row, FAB_RENDER_DEPTH, columns)
              / fab_render_varying(s, row, FAB_RENDER_SCALE, columns);
    return lanes_least(lanes_most(d, lanes_of(s->nearest_mm)), lanes_of(s->farthest_mm));
}
/* View-space unit normals. */
static inline void fab_render_normals(const fab_render_setup *s, const fab_render_row *row,
                                      lanes columns, lanes n[3])
{
    lanes square = {0};
    for (int c = 0; c < 3; c++) {
        n[c] = fab_render_varying(s, row, FAB_RENDER_NORMAL + c, columns);
        square += n[c] * n[c];
    }
    const lanes length = lanes_root(lanes_most(square, lanes_of(1e-20f)));
    for (int c = 0; c < 3; c++) n[c] /= length;
}
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
/* Planes with nothing in them; fab_render_planes_free frees what there is. */
fab_status fab_render_planes_make(fab_render_frame *f, fab_error *err);
void fab_render_planes_free(fab_render_planes *p);
void fab_render_opaque(fab_render_frame *f);
fab_status fab_render_occlude(fab_render_frame *f, fab_error *err);
/* Makes f->rgba. */
fab_status fab_render_shade(fab_render_frame *f, fab_error *err);
fab_status fab_render_translucent(fab_render_frame *f, fab_error *err);
void fab_render_resolve(const fab_render_frame *f, fab_render_background background,
                        fab_image *out);
/* Light leaving surfaces of linear colour rgb with view-space normals n. */
void fab_render_light(const lanes rgb[3], const lanes n[3], lanes occlusion, lanes out[3]);

#endif
