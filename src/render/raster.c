/* raster.c - triangles to samples, tile by tile. Triangles are first counted into 64 x 64 tiles;
 * then each tile is walked by one worker, so no two workers touch a sample and the result does not
 * depend on their number: of two surfaces at the same depth the one with the smaller id stays.
 *
 * A sample is inside when all three barycentric weights at its centre are >= 0. */
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

bool fab_render_setup_make(const fab_render_item *item, uint32_t triangle, const int tile[4],
                           fab_render_setup *s)
{
    const uint32_t *index = item->mesh->index + 3 * (size_t)triangle;
    for (int i = 0; i < 3; i++) s->v[i] = &item->vertices[index[i]];
    const double x[3] = {s->v[0]->x, s->v[1]->x, s->v[2]->x};
    const double y[3] = {s->v[0]->y, s->v[1]->y, s->v[2]->y};
    const double depth[3] = {s->v[0]->depth_mm, s->v[1]->depth_mm, s->v[2]->depth_mm};
    double area;
    if (!fab_render_faces(x, y, &area)) return false;
    sample_range(least(x), most(x), tile[0], tile[2], &s->low[0], &s->high[0]);
    sample_range(least(y), most(y), tile[1], tile[3], &s->low[1], &s->high[1]);
    if (s->low[0] > s->high[0] || s->low[1] > s->high[1]) return false;
    s->nearest_mm = (float)least(depth);
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        s->edge[i][0] = (y[j] - y[k]) / area;
        s->edge[i][1] = (x[k] - x[j]) / area;
        s->edge[i][2] = (x[j] * y[k] - x[k] * y[j]) / area;
    }
    return true;
}

void fab_render_setup_normal(const fab_render_setup *s, const double share[3], float normal[3])
{
    double n[3] = {0}, length = 0;
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < 3; c++) n[c] += share[i] * (double)s->v[i]->normal[c];
    for (int c = 0; c < 3; c++) length += n[c] * n[c];
    length = length > 1e-20 ? 1 / sqrt(length) : 0;
    for (int c = 0; c < 3; c++) normal[c] = (float)(n[c] * length);
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

static void put_sample(fab_render_sample *sample, const fab_render_setup *s, double w[3],
                       uint16_t mark)
{
    float n[3], depth = fab_render_setup_depth(s, w);
    if (depth >= sample->depth_mm) return;
    fab_render_setup_normal(s, w, n);
    sample->depth_mm = depth;
    sample->item = mark;
    for (int c = 0; c < 3; c++) sample->normal[c] = (int16_t)lrintf(n[c] * 32767);
}

static void put_triangle(fab_render_frame *f, const fab_render_setup *s, uint16_t mark)
{
    for (int y = s->low[1]; y <= s->high[1]; y++) {
        fab_render_sample *line = f->samples + (size_t)y * (size_t)f->width;
        double row[3], w[3];
        bool been = false;
        fab_render_setup_row(s, y, row);
        for (int x = s->low[0]; x <= s->high[0]; x++) {
            bool in = fab_render_setup_in(s, row, x, w);
            if (been && !in) break;
            been = in;
            if (in && s->nearest_mm < line[x].depth_mm) put_sample(&line[x], s, w, mark);
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
    for (int y = box[1]; y <= box[3]; y++)
        for (int x = box[0]; x <= box[2]; x++)
            f->samples[(size_t)y * (size_t)f->width + (size_t)x] =
                (fab_render_sample){.depth_mm = FAB_RENDER_FAR};
    for (uint64_t i = f->bins.start[tile]; i < f->bins.start[tile + 1]; i++) {
        const fab_render_item *it = fab_render_item_of(f, f->bins.ids[i], &item);
        fab_render_setup setup;
        uint32_t triangle = (uint32_t)(f->bins.ids[i] - it->first_triangle);
        fab_render_fetch_ahead(f, i, f->bins.start[tile + 1], it);
        if (it->opacity < 1 || !fab_render_setup_make(it, triangle, box, &setup)) continue;
        bool cap = it->mesh->flags && it->mesh->flags[triangle] & FAB_TRI_SCAN_EDGE;
        put_triangle(f, &setup, (uint16_t)((item + 1) | (cap ? FAB_RENDER_CAP : 0)));
    }
}

void fab_render_opaque(fab_render_frame *f)
{
    fab_parallel_for((int64_t)f->tiles_x * f->tiles_y, opaque_tile, f);
}
