/* raster.c - triangles to samples, tile by tile. Triangles are first counted into 64 x 64 tiles;
 * then each tile is walked by one worker, so no two workers touch a sample and the result does not
 * depend on their number: of two surfaces at the same depth the one with the smaller id stays.
 *
 * A sample is inside when all three barycentric weights at its centre are >= 0. Weights, depth and
 * normal (over w) are linear on the screen, and four samples of a row are worked on together in
 * single precision. So that rounding leaves no gap between neighbours, a weight may be below 0 by
 * what rounding can do: less than 1e-4 of a sample. */
#include <math.h>
#include <string.h>

#include "render_internal.h"

/* ---- one triangle ----------------------------------------------------------------------- */

static double least(const double v[3])
{
    double a = v[0] < v[1] ? v[0] : v[1];
    return a < v[2] ? a : v[2];
}

static double most(const double v[3])
{
    double a = v[0] > v[1] ? v[0] : v[1];
    return a > v[2] ? a : v[2];
}

/* Samples whose centres lie from low to high, within those from first to last, all >= 0. */
static void sample_range(double low, double high, int first, int last, int *from, int *to)
{
    low -= 0.5, high -= 0.5;
    *from = first, *to = -1;
    if (!(low <= last && high >= first)) return;
    if (low > first) *from = (int)low + ((int)low < low);
    *to = high < last ? (int)high : last;
}

/* How the weights change and what they are at sample `low`, whose centre is half a sample in. */
static void set_weights(fab_render_setup *s, const double x[3], const double y[3], double area,
                        double across[3])
{
    const double at[2] = {s->low[0] + 0.5, s->low[1] + 0.5};
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        across[i] = (y[j] - y[k]) / area;
        s->down[i] = (x[k] - x[j]) / area;
        s->corner[i] = across[i] * (at[0] - x[j]) + s->down[i] * (at[1] - y[j]);
        s->across[i] = (float)across[i];
    }
}

/* Depth, normal and 1/w at the corners, and so everywhere. */
static void set_values(fab_render_setup *s, const fab_render_vertex *const v[3],
                       const double across[3])
{
    for (int w = FAB_RENDER_SCALE; w < FAB_RENDER_VARYING; w++) {
        double x = 0;
        s->down[w] = s->corner[w] = 0;
        for (int i = 0; i < 3; i++) {
            const double q = (double)v[i]->q;
            const double value = w == FAB_RENDER_SCALE ? q
                                 : w == FAB_RENDER_DEPTH
                                     ? q * (double)v[i]->depth_mm
                                     : q * (double)v[i]->normal[w - FAB_RENDER_NORMAL];
            x += across[i] * value;
            s->down[w] += s->down[i] * value;
            s->corner[w] += s->corner[i] * value;
        }
        s->across[w] = (float)x;
    }
}

/* Lets the weights be below 0 by what single precision can lose over the triangle's samples. */
static void add_slack(fab_render_setup *s)
{
    const double columns = s->high[0] - s->low[0] + LANES, rows = s->high[1] - s->low[1];
    for (int i = 0; i < 3; i++) {
        double most_of = fabs((double)s->across[i]) * columns + fabs(s->down[i]) * rows
                         + fabs(s->corner[i]);
        s->corner[i] += 5e-7 * most_of;
    }
}

bool fab_render_setup_make(const fab_render_item *item, uint32_t triangle, const int tile[4],
                           fab_render_setup *s)
{
    const uint32_t *index = item->mesh->index + 3 * (size_t)triangle;
    const fab_render_vertex *const v[3] = {&item->vertices[index[0]], &item->vertices[index[1]],
                                           &item->vertices[index[2]]};
    const double x[3] = {v[0]->x, v[1]->x, v[2]->x};
    const double y[3] = {v[0]->y, v[1]->y, v[2]->y};
    const double depth[3] = {v[0]->depth_mm, v[1]->depth_mm, v[2]->depth_mm};
    double area, across[3];
    if (!fab_render_faces(x, y, &area)) return false;
    sample_range(least(x), most(x), tile[0], tile[2], &s->low[0], &s->high[0]);
    sample_range(least(y), most(y), tile[1], tile[3], &s->low[1], &s->high[1]);
    if (s->low[0] > s->high[0] || s->low[1] > s->high[1]) return false;
    s->nearest_mm = (float)least(depth);
    s->farthest_mm = (float)most(depth);
    set_weights(s, x, y, area, across);
    set_values(s, v, across);
    add_slack(s);
    return true;
}

/* ---- bins ------------------------------------------------------------------------------- */

/* A triangle that is turned to the viewer, and the tiles its box touches. */
typedef struct binned {
    uint32_t id;
    uint16_t low[2], high[2];
} binned;

/* False: none. */
static bool tiles_of(const fab_render_frame *f, const fab_render_item *item, uint32_t triangle,
                     binned *out)
{
    const uint32_t *index = item->mesh->index + 3 * (size_t)triangle;
    double x[3], y[3], area;
    for (int i = 0; i < 3; i++) {
        x[i] = item->vertices[index[i]].x;
        y[i] = item->vertices[index[i]].y;
    }
    if (!fab_render_faces(x, y, &area)) return false;
    const double low[2] = {least(x) - 1, least(y) - 1}, high[2] = {most(x) + 1, most(y) + 1};
    const int size[2] = {f->width, f->height}, tiles[2] = {f->tiles_x, f->tiles_y};
    for (int i = 0; i < 2; i++) {
        if (!(low[i] + 1 < size[i] && high[i] > 1)) return false;
        out->low[i] = low[i] > 0 ? (uint16_t)(low[i] / FAB_RENDER_TILE) : 0;
        out->high[i] = high[i] < size[i] ? (uint16_t)(high[i] / FAB_RENDER_TILE)
                                         : (uint16_t)(tiles[i] - 1);
    }
    return true;
}

/* Lists what is to be drawn; how many. */
static size_t list_triangles(const fab_render_frame *f, binned *list)
{
    size_t n = 0;
    for (size_t i = 0; i < f->item_count; i++)
        for (uint32_t t = 0; t < f->items[i].mesh->triangle_count; t++) {
            if (!tiles_of(f, &f->items[i], t, &list[n])) continue;
            list[n++].id = (uint32_t)(f->items[i].first_triangle + t);
        }
    return n;
}

/* Adds every triangle to its tiles' counts, or (filling) its id to their lists. */
static void walk_bins(const fab_render_frame *f, const binned *list, size_t count, uint64_t *next,
                      uint32_t *ids)
{
    for (size_t i = 0; i < count; i++)
        for (size_t y = list[i].low[1]; y <= list[i].high[1]; y++)
            for (size_t x = list[i].low[0]; x <= list[i].high[0]; x++) {
                uint64_t at = next[y * (size_t)f->tiles_x + x]++;
                if (ids) ids[at] = list[i].id;
            }
}

fab_status fab_render_bin(fab_render_frame *f, fab_error *err)
{
    size_t tiles = (size_t)f->tiles_x * (size_t)f->tiles_y;
    FAB_AUTO_FREE uint64_t *next = fab_calloc(tiles, sizeof *next);
    FAB_AUTO_FREE binned *list = fab_alloc_array((size_t)f->triangle_count + 1, sizeof *list);
    f->bins.start = fab_calloc(tiles + 1, sizeof *f->bins.start);
    if (!next || !list || !f->bins.start)
        FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for tiles");
    size_t count = list_triangles(f, list);
    walk_bins(f, list, count, next, NULL);
    for (size_t i = 0; i < tiles; i++) {
        f->bins.start[i + 1] = f->bins.start[i] + next[i];
        next[i] = f->bins.start[i];
    }
    f->bins.ids = fab_alloc_array((size_t)f->bins.start[tiles] + 1, sizeof *f->bins.ids);
    if (!f->bins.ids) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for tile lists");
    walk_bins(f, list, count, next, f->bins.ids);
    return FAB_OK;
}

void fab_render_fetch_ahead(const fab_render_frame *f, uint64_t i, uint64_t end,
                            const fab_render_item *item)
{
    enum { INDEX = 16, VERTICES = 8 };
    if (i + INDEX >= end) return;
    uint64_t far = f->bins.ids[i + INDEX] - item->first_triangle;
    uint64_t near = f->bins.ids[i + VERTICES] - item->first_triangle;
    if (far >= item->mesh->triangle_count) return; /* of the next item */
    __builtin_prefetch(item->mesh->index + 3 * far);
    for (int c = 0; c < 3; c++)
        __builtin_prefetch(&item->vertices[item->mesh->index[3 * near + (uint64_t)c]]);
}

const fab_render_item *fab_render_item_of(const fab_render_frame *f, uint32_t id, size_t *item)
{
    while (*item + 1 < f->item_count && f->items[*item + 1].first_triangle <= id) (*item)++;
    return &f->items[*item];
}

void fab_render_tile_box(const fab_render_frame *f, int64_t tile, int box[4])
{
    box[0] = (int)(tile % f->tiles_x) * FAB_RENDER_TILE;
    box[1] = (int)(tile / f->tiles_x) * FAB_RENDER_TILE;
    box[2] = box[0] + FAB_RENDER_TILE - 1 < f->width ? box[0] + FAB_RENDER_TILE - 1
                                                     : f->width - 1;
    box[3] = box[1] + FAB_RENDER_TILE - 1 < f->height ? box[1] + FAB_RENDER_TILE - 1
                                                      : f->height - 1;
}

/* ---- the opaque surface ----------------------------------------------------------------- */

/* The planes without anything in them. */
fab_status fab_render_planes_make(fab_render_frame *f, fab_error *err)
{
    fab_render_planes *p = &f->seen;
    f->pitch = (f->width + LANES - 1) / LANES * LANES + 2 * FAB_RENDER_RIM;
    const size_t count = (size_t)f->pitch * (size_t)(f->height + 2 * FAB_RENDER_RIM);
    p->depth_mm = fab_alloc_array(count, sizeof *p->depth_mm);
    p->item = fab_calloc(count, sizeof *p->item);
    p->occlusion = fab_calloc(count, sizeof *p->occlusion);
    bool made = p->depth_mm && p->item && p->occlusion;
    for (int c = 0; c < 3; c++) {
        p->normal[c] = fab_calloc(count, sizeof **p->normal);
        made &= p->normal[c] != NULL;
    }
    if (!made) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for a frame");
    for (size_t i = 0; i < count; i++) p->depth_mm[i] = FAB_RENDER_FAR;
    return FAB_OK;
}

void fab_render_planes_free(fab_render_planes *p)
{
    fab_free(p->depth_mm);
    fab_free(p->item);
    fab_free(p->occlusion);
    for (int c = 0; c < 3; c++) fab_free(p->normal[c]);
}

static void keep_shorts(int16_t *at, lane_shorts yes, lane_shorts now)
{
    lanes_store_shorts(at, (now & yes) | (lanes_load_shorts(at) & ~yes));
}

/* Puts the samples of `in` that are nearer than what is there. */
static void put_lanes(fab_render_frame *f, const fab_render_setup *s, const fab_render_row *row,
                      lanes columns, size_t at, lane_bits in, int16_t mark)
{
    const lanes zero = {0};
    lanes n[3], was = lanes_load(f->seen.depth_mm + at), depth = fab_render_depth(s, row, columns);
    in &= depth < was;
    if (!lanes_where(in)) return;
    fab_render_normals(s, row, columns, n);
    lanes_store(f->seen.depth_mm + at, lanes_pick(in, depth, was));
    const lane_shorts yes = __builtin_convertvector(in, lane_shorts);
    keep_shorts(f->seen.item + at, yes, (lane_shorts){mark, mark, mark, mark});
    for (int c = 0; c < 3; c++) {
        lanes half = lanes_pick(n[c] < zero, zero - 0.5f, zero + 0.5f);
        lane_bits whole = __builtin_convertvector(n[c] * 32767.0f + half, lane_bits);
        keep_shorts(f->seen.normal[c] + at, yes, __builtin_convertvector(whole, lane_shorts));
    }
}

static void put_triangle(fab_render_frame *f, const fab_render_setup *s, int16_t mark)
{
    const int first = s->low[0] / LANES * LANES; /* never of the tile to the left */
    for (int y = s->low[1]; y <= s->high[1]; y++) {
        const size_t line = fab_render_at(f, 0, y);
        fab_render_row row;
        bool been = false;
        fab_render_setup_row(s, y, &row);
        for (int x = first; x <= s->high[0]; x += LANES) {
            const lanes columns = fab_render_columns(s, x);
            lane_bits in = fab_render_inside(s, &row, columns);
            bool any = lanes_where(in) != 0;
            if (been && !any) break;
            been = any;
            if (any) put_lanes(f, s, &row, columns, line + (size_t)x, in, mark);
        }
    }
}

static void opaque_tile(void *ctx, int64_t tile, int worker)
{
    (void)worker;
    fab_render_frame *f = ctx;
    int box[4];
    size_t item = 0;
    fab_render_tile_box(f, tile, box);
    for (uint64_t i = f->bins.start[tile]; i < f->bins.start[tile + 1]; i++) {
        const fab_render_item *it = fab_render_item_of(f, f->bins.ids[i], &item);
        fab_render_setup setup;
        uint32_t triangle = (uint32_t)(f->bins.ids[i] - it->first_triangle);
        fab_render_fetch_ahead(f, i, f->bins.start[tile + 1], it);
        if (it->opacity < 1 || !fab_render_setup_make(it, triangle, box, &setup)) continue;
        bool cap = it->mesh->flags && it->mesh->flags[triangle] & FAB_TRI_SCAN_EDGE;
        put_triangle(f, &setup, (int16_t)((item + 1) | (cap ? FAB_RENDER_CAP : 0)));
    }
}

void fab_render_opaque(fab_render_frame *f)
{
    fab_parallel_for((int64_t)f->tiles_x * f->tiles_y, opaque_tile, f);
}
