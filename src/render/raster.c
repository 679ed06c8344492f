/* raster.c - triangles to samples, tile by tile. Triangles are first counted into 64 x 64 tiles;
 * then each tile is walked by one worker, so no two workers touch a sample and the result does not
 * depend on their number: of two surfaces at the same depth the one with the smaller id stays.
 *
 * A sample is inside when all three barycentric weights at its centre are >= 0. */
#include <math.h>
#include <string.h>

#include "render_internal.h"

/* ---- one triangle ----------------------------------------------------------------------- */

bool fab_render_setup_make(const fab_render_item *item, uint32_t triangle, const int tile[4],
                           fab_render_setup *s)
{
    const uint32_t *index = item->mesh->index + 3 * (size_t)triangle;
    for (int i = 0; i < 3; i++) s->v[i] = &item->vertices[index[i]];
    double x[3], y[3];
    for (int i = 0; i < 3; i++) x[i] = s->v[i]->x, y[i] = s->v[i]->y;
    /* y runs down, so a triangle facing the viewer has a negative area here */
    double area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]);
    if (!(area < -1e-9)) return false;
    double low_x = fmin(x[0], fmin(x[1], x[2])), high_x = fmax(x[0], fmax(x[1], x[2]));
    double low_y = fmin(y[0], fmin(y[1], y[2])), high_y = fmax(y[0], fmax(y[1], y[2]));
    if (high_x < tile[0] || low_x > tile[2] + 1 || high_y < tile[1] || low_y > tile[3] + 1)
        return false;
    s->low[0] = (int)fmax(floor(low_x - 0.5), tile[0]);
    s->low[1] = (int)fmax(floor(low_y - 0.5), tile[1]);
    s->high[0] = (int)fmin(ceil(high_x - 0.5), tile[2]);
    s->high[1] = (int)fmin(ceil(high_y - 0.5), tile[3]);
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        s->edge[i][0] = (y[j] - y[k]) / area;
        s->edge[i][1] = (x[k] - x[j]) / area;
        s->edge[i][2] = (x[j] * y[k] - x[k] * y[j]) / area;
    }
    return s->low[0] <= s->high[0] && s->low[1] <= s->high[1];
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

/* Tiles the triangle's box touches: first x, first y, last x, last y. False: none. */
static bool tiles_of(const fab_render_frame *f, const fab_render_item *item, uint32_t triangle,
                     int out[4])
{
    const uint32_t *index = item->mesh->index + 3 * (size_t)triangle;
    float low[2] = {FAB_RENDER_FAR, FAB_RENDER_FAR}, high[2] = {-FAB_RENDER_FAR, -FAB_RENDER_FAR};
    for (int i = 0; i < 3; i++) {
        const fab_render_vertex *v = &item->vertices[index[i]];
        low[0] = v->x < low[0] ? v->x : low[0], high[0] = v->x > high[0] ? v->x : high[0];
        low[1] = v->y < low[1] ? v->y : low[1], high[1] = v->y > high[1] ? v->y : high[1];
    }
    if (!(low[0] < (float)f->width && low[1] < (float)f->height && high[0] > 0 && high[1] > 0))
        return false;
    int tiles[2] = {f->tiles_x, f->tiles_y};
    for (int i = 0; i < 2; i++) {
        out[i] = (int)(fmaxf(low[i] - 1, 0) / FAB_RENDER_TILE);
        out[2 + i] = (int)fminf((high[i] + 1) / FAB_RENDER_TILE, (float)(tiles[i] - 1));
    }
    return true;
}

/* Adds every triangle to its tiles' counts, or (filling) its id to their lists. */
static void walk_bins(const fab_render_frame *f, uint64_t *next, uint32_t *ids)
{
    for (size_t i = 0; i < f->item_count; i++)
        for (uint32_t t = 0; t < f->items[i].mesh->triangle_count; t++) {
            int box[4];
            if (!tiles_of(f, &f->items[i], t, box)) continue;
            for (int y = box[1]; y <= box[3]; y++)
                for (int x = box[0]; x <= box[2]; x++) {
                    uint64_t at = next[(size_t)y * (size_t)f->tiles_x + (size_t)x]++;
                    if (ids) ids[at] = (uint32_t)(f->items[i].first_triangle + t);
                }
        }
}

fab_status fab_render_bin(fab_render_frame *f, fab_error *err)
{
    size_t tiles = (size_t)f->tiles_x * (size_t)f->tiles_y;
    FAB_AUTO_FREE uint64_t *next = fab_calloc(tiles, sizeof *next);
    f->bins.start = fab_calloc(tiles + 1, sizeof *f->bins.start);
    if (!next || !f->bins.start) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for tiles");
    walk_bins(f, next, NULL);
    for (size_t i = 0; i < tiles; i++) {
        f->bins.start[i + 1] = f->bins.start[i] + next[i];
        next[i] = f->bins.start[i];
    }
    f->bins.ids = fab_alloc_array((size_t)f->bins.start[tiles] + 1, sizeof *f->bins.ids);
    if (!f->bins.ids) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for tile lists");
    walk_bins(f, next, f->bins.ids);
    return FAB_OK;
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

static void put_triangle(fab_render_frame *f, const fab_render_setup *s, uint16_t mark)
{
    for (int y = s->low[1]; y <= s->high[1]; y++)
        for (int x = s->low[0]; x <= s->high[0]; x++) {
            float depth, n[3];
            double share[3];
            if (!fab_render_setup_at(s, x, y, &depth, share)) continue;
            fab_render_sample *sample = &f->samples[(size_t)y * (size_t)f->width + (size_t)x];
            if (depth >= sample->depth_mm) continue;
            fab_render_setup_normal(s, share, n);
            sample->depth_mm = depth;
            sample->item = mark;
            for (int c = 0; c < 3; c++) sample->normal[c] = (int16_t)lrintf(n[c] * 32767);
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
        if (it->opacity < 1 || !fab_render_setup_make(it, triangle, box, &setup)) continue;
        bool cap = it->mesh->flags && it->mesh->flags[triangle] & FAB_TRI_SCAN_EDGE;
        put_triangle(f, &setup, (uint16_t)((item + 1) | (cap ? FAB_RENDER_CAP : 0)));
    }
}

void fab_render_opaque(fab_render_frame *f)
{
    fab_parallel_for((int64_t)f->tiles_x * f->tiles_y, opaque_tile, f);
}
