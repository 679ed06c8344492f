/* raster.c - from shapes to voxels. Space is walked in blocks of 8x8x4 voxels; for each block the
 * shapes (and of each shape the primitives) that can matter inside it are picked by their distance
 * at its centre, so a voxel meets only a handful. Edges are softened by the distance itself: a
 * shape covers clamp(1/2 - d / pixel) of a voxel. Thick slices are averaged over three planes. */
#include "phantom_internal.h"

#define BLOCK_X 8
#define BLOCK_Y 8
#define BLOCK_Z 4
#define MAX_NEAR 40
#define MAX_NEAR_PRIMS 1600
#define PATCH 1.35 /* how much the way to canonical space may stretch distances */

typedef struct near_shape {
    const ph_shape *shape;
    int first, count;
    bool full; /* covers the whole block, deeper than its wall */
} near_shape;

typedef struct block {
    const ph_scene *s;
    ph_image *image;
    int count, prims;
    near_shape near[MAX_NEAR];
    uint16_t prim[MAX_NEAR_PRIMS];
    bool solid;                  /* the first shape covers all of it */
    double pixel;
} block;

typedef struct spot { ph_vec w, q, along; bool has_q, has_along; } spot;

static ph_vec local_of(const ph_scene *s, int frame, spot *at)
{
    if (frame == PH_CANONICAL) {
        if (!at->has_q) at->q = fab_ph_canonical(s, at->w), at->has_q = true;
        return at->q;
    }
    if (frame == PH_ALONG) {
        if (!at->has_along) at->along = fab_ph_along(s, at->w), at->has_along = true;
        return at->along;
    }
    return fab_ph_to_local(&s->frames[frame], at->w);
}

static double scale_of(const ph_scene *s, const ph_shape *shape)
{
    if (shape->frame == PH_ALONG) return 1;
    return shape->frame == PH_CANONICAL ? s->scale : s->frames[shape->frame].scale;
}

double fab_ph_wobble(const ph_scene *s, const ph_shape *shape, ph_vec p)
{
    if (shape->wobble_mm <= 0) return 0;
    ph_vec at = ph_mul(p, 1 / shape->wobble_scale_mm);
    return shape->wobble_mm * fab_ph_noise(s->hash + 31u * shape->seed, at);
}

static double box_distance(const ph_shape *b, ph_vec p)
{
    double x = ph_max(ph_max(b->low.x - p.x, p.x - b->high.x), 0);
    double y = ph_max(ph_max(b->low.y - p.y, p.y - b->high.y), 0);
    double z = ph_max(ph_max(b->low.z - p.z, p.z - b->high.z), 0);
    return sqrt(x * x + y * y + z * z);
}

/* Which primitives of a shape can matter within `reach` (shape units) of p; the shape's distance
 * at p. */
static double gather(block *b, const ph_shape *shape, ph_vec p, double reach, near_shape *out)
{
    const ph_scene *s = b->s;
    double d = INFINITY, joined = INFINITY;
    float x[512];
    int n = shape->count > 512 ? 512 : shape->count;
    for (int i = 0; i < n; i++) {
        const ph_prim *q = &s->prims[shape->first + i];
        double ball = q->radius < 0 ? -1e9 : ph_len(ph_sub(p, q->centre)) - q->radius;
        bool far = q->op == PH_JOIN && ball > joined + 2 * reach + q->blend;
        double v = far ? ball : fab_ph_prim_distance(s, q, p);
        x[i] = (float)v;
        if (q->op == PH_JOIN) joined = ph_min(joined, v);
        d = d == INFINITY ? v : fab_ph_fold(d, q, v);
    }
    *out = (near_shape){shape, b->prims, 0, false};
    for (int i = 0; i < n && b->prims < MAX_NEAR_PRIMS; i++) {
        const ph_prim *q = &s->prims[shape->first + i];
        double v = (double)x[i];
        bool keep = q->op == PH_JOIN ? v - reach <= joined + reach + q->blend
                    : q->op == PH_CUT ? v - reach < 14 + q->blend
                                      : v + reach > -14 - q->blend;
        if (keep) b->prim[b->prims++] = (uint16_t)(shape->first + i), out->count++;
    }
    return d;
}

static double near_distance(const block *b, const near_shape *n, ph_vec p)
{
    const ph_scene *s = b->s;
    double d = INFINITY;
    for (int i = 0; i < n->count; i++) {
        const ph_prim *q = &s->prims[b->prim[n->first + i]];
        double v = fab_ph_prim_distance(s, q, p);
        d = d == INFINITY ? v : fab_ph_fold(d, q, v);
    }
    return d + fab_ph_wobble(s, n->shape, p);
}

static void collect(block *b, ph_vec centre, double radius)
{
    const ph_scene *s = b->s;
    spot at = {.w = centre};
    b->count = b->prims = 0;
    b->solid = false;
    for (int i = 0; i < s->shape_count && b->count < MAX_NEAR; i++) {
        const ph_shape *shape = &s->shapes[i];
        double scale = scale_of(s, shape), reach = radius / scale;
        if (shape->frame < 0) reach *= PATCH;
        reach = reach * 1.1 + b->pixel / scale + shape->wobble_mm;
        ph_vec p = local_of(s, shape->frame, &at);
        double apart = box_distance(shape, p);
        if (shape->frame == PH_ALONG ? apart > reach * s->scale * 1.2 : apart > reach) continue;
        int mark = b->prims;
        double d = gather(b, shape, p, reach, &b->near[b->count]);
        if (d > reach) {
            b->prims = mark;
            continue;
        }
        near_shape *n = &b->near[b->count++];
        n->full = d < -1.5 * reach - 2 - shape->wall_mm / scale;
        if (d < -1.5 * reach - 2) {
            b->solid = b->count == 1 && n->full;
            return;
        }
    }
}

/* Colour and owner of one point; *edge: how near (mm) the nearest border is. */
static double shade(const block *b, spot *at, int *label, double *edge)
{
    const ph_scene *s = b->s;
    double left = 1, sum = 0;
    bool owned = false;
    *label = 0;
    for (int i = 0; i < b->count && left > 0.004; i++) {
        const near_shape *n = &b->near[i];
        double d = -1e3;
        if (!n->full)
            d = near_distance(b, n, local_of(s, n->shape->frame, at)) * scale_of(s, n->shape);
        *edge = ph_min(*edge, fabs(d));
        if (n->shape->wall_mm > 0) *edge = ph_min(*edge, fabs(d + n->shape->wall_mm));
        double cover = ph_clamp(0.5 - d / b->pixel, 0, 1);
        if (cover <= 0) continue;
        ph_vec q = isnan(n->shape->gas_y) ? at->w : local_of(s, PH_CANONICAL, at);
        sum += left * cover * fab_ph_value(s, n->shape, d, q, at->w, b->pixel);
        left *= 1 - cover;
        if (!owned && d <= 0) *label = n->shape->label, owned = true;
    }
    return sum + left * s->hu[PH_AIR];
}

static void voxel(const block *b, const int ijk[3], int64_t index)
{
    const fab_mat34 *m = &b->image->grid.world_from_voxel;
    double v[3] = {ijk[0], ijk[1], ijk[2]}, w[3], edge = 1e9;
    fab_mat34_apply(m, v, w);
    spot at = {.w = V(w[0], w[1], w[2])};
    int label, other;
    double value = shade(b, &at, &label, &edge), thick = b->s->o->slice_thickness_mm;
    if (thick > 1.6 && edge < 0.45 * thick && !b->solid) {
        double near = 1e9;
        for (int k = -1; k <= 1; k += 2) {
            spot beside = {.w = V(w[0], w[1], w[2] + k * thick / 3)};
            value += shade(b, &beside, &other, &near);
        }
        value /= 3;
    }
    b->image->value[index] = (float)value;
    b->image->label[index] = (uint8_t)label;
}

static void fill(block *b, const int low[3], const int high[3])
{
    const int32_t *size = b->image->grid.size;
    for (int k = low[2]; k < high[2]; k++)
        for (int j = low[1]; j < high[1]; j++) {
            int64_t row = (int64_t)size[0] * (j + (int64_t)size[1] * k);
            for (int i = low[0]; i < high[0]; i++) voxel(b, (int[3]){i, j, k}, row + i);
        }
}

static void one_block(block *b, const int low[3])
{
    int high[3];
    const int step[3] = {BLOCK_X, BLOCK_Y, BLOCK_Z};
    const int32_t *size = b->image->grid.size;
    double mid[3], w[3], spacing[3];
    fab_grid_spacing(&b->image->grid, spacing);
    double r2 = 0;
    for (int a = 0; a < 3; a++) {
        high[a] = low[a] + step[a] < size[a] ? low[a] + step[a] : size[a];
        mid[a] = 0.5 * (low[a] + high[a] - 1);
        double half = 0.5 * step[a] * spacing[a];
        if (a == 2) half += b->s->o->slice_thickness_mm / 3;
        r2 += half * half;
    }
    fab_mat34_apply(&b->image->grid.world_from_voxel, mid, w);
    collect(b, V(w[0], w[1], w[2]), sqrt(r2));
    fill(b, low, high);
}

typedef struct job { const ph_scene *s; ph_image *image; } job;

static void one_row(void *ctx, int64_t index, int worker)
{
    (void)worker;
    const job *j = ctx;
    const int32_t *size = j->image->grid.size;
    double spacing[3];
    fab_grid_spacing(&j->image->grid, spacing);
    block b = {.s = j->s, .image = j->image, .pixel = ph_max(spacing[0], spacing[1])};
    int rows = (size[1] + BLOCK_Y - 1) / BLOCK_Y;
    int low[3] = {0, (int)(index % rows) * BLOCK_Y, (int)(index / rows) * BLOCK_Z};
    if (fab_progress_cancelled(j->s->o->progress)) return;
    for (low[0] = 0; low[0] < size[0]; low[0] += BLOCK_X) one_block(&b, low);
}

fab_status fab_ph_raster(const ph_scene *s, ph_image *image, fab_error *err)
{
    job j = {s, image};
    const int32_t *size = image->grid.size;
    int rows = (size[1] + BLOCK_Y - 1) / BLOCK_Y, layers = (size[2] + BLOCK_Z - 1) / BLOCK_Z;
    int64_t total = (int64_t)rows * layers;
    FAB_TRY(fab_progress_step(s->o->progress, "shapes", 0, err));
    fab_parallel_for(total, one_row, &j);
    return fab_progress_step(s->o->progress, "shapes", 1, err);
}
