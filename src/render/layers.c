/* layers.c - translucent structures. Every fragment in front of the opaque surface is kept in a
 * list a sample, sorted by depth and composited, so the order of structures never matters. A layer
 * is thin where it faces the viewer and denser where it turns away, like a shell of glass: what
 * lies inside stays readable and the outline still shows. */
#include <math.h>
#include <string.h>

#include "render_internal.h"

enum { TILE_SAMPLES = FAB_RENDER_TILE * FAB_RENDER_TILE, MAX_LAYERS = 24 };

typedef struct fragment {
    float depth, rgb[3], alpha;
    uint32_t next; /* + 1; 0: last */
} fragment;

typedef struct layer_list {
    uint32_t first[TILE_SAMPLES]; /* + 1 */
    fragment *fragments;
    size_t count, capacity;
} layer_list;

typedef struct layer_job {
    fab_render_frame *frame;
    layer_list *workers;
    bool no_memory[FAB_MAX_THREADS];
} layer_job;

static bool reserve(layer_list *list)
{
    if (list->count < list->capacity) return true;
    size_t more = list->capacity ? 2 * list->capacity : TILE_SAMPLES;
    if (more > UINT32_MAX) return false;
    fragment *grown = fab_realloc(list->fragments, more * sizeof *grown);
    if (!grown) return false;
    list->fragments = grown;
    list->capacity = more;
    return true;
}

static lanes shell_alpha(float opacity, lanes facing)
{
    const lanes zero = {0}, away = lanes_most(facing, zero - facing);
    const lanes turned = 1 - lanes_least(away, zero + 1);
    return lanes_least(opacity * (0.22f + 2.6f * turned * turned * turned), zero + 0.97f);
}

/* A fragment for each of the samples `where` of the four that begin at `first`. */
static bool put_fragments(const fab_render_item *item, const lanes n[3], lanes depth, int where,
                          uint32_t *first, layer_list *list)
{
    const lanes zero = {0}, alpha = shell_alpha(item->opacity, n[2]);
    const lanes rgb[3] = {zero + item->rgb[0], zero + item->rgb[1], zero + item->rgb[2]};
    lanes light[3];
    fab_render_light(rgb, n, zero + 1, light);
    for (int i = 0; i < LANES; i++) {
        if (!(where >> i & 1)) continue;
        if (!reserve(list)) return false;
        fragment *made = &list->fragments[list->count++];
        *made = (fragment){.depth = depth[i], .next = first[i], .alpha = alpha[i]};
        for (int c = 0; c < 3; c++) made->rgb[c] = light[c][i] * 1.15f;
        first[i] = (uint32_t)list->count;
    }
    return true;
}

static bool put_layer(fab_render_frame *f, const fab_render_item *item, const fab_render_setup *s,
                      const int box[4], layer_list *list)
{
    const int from = s->low[0] / LANES * LANES;
    for (int y = s->low[1]; y <= s->high[1]; y++) {
        const float *line = f->seen.depth_mm + fab_render_at(f, 0, y);
        uint32_t *first = list->first + (y - box[1]) * FAB_RENDER_TILE;
        fab_render_row row;
        fab_render_setup_row(s, y, &row);
        for (int x = from; x <= s->high[0]; x += LANES) {
            const lanes columns = fab_render_columns(s, x);
            lane_bits in = fab_render_inside(s, &row, columns);
            if (!lanes_where(in)) continue;
            const lanes depth = fab_render_depth(s, &row, columns);
            const int where = lanes_where(in & (depth < lanes_load(line + x)));
            lanes n[3];
            if (!where) continue;
            fab_render_normals(s, &row, columns, n);
            if (!put_fragments(item, n, depth, where, &first[x - box[0]], list)) return false;
        }
    }
    return true;
}

/* Puts a fragment into its place by depth; beyond MAX_LAYERS the farthest is dropped. */
static int insert(const fragment **sorted, int count, const fragment *made)
{
    int place = count;
    if (count == MAX_LAYERS) {
        if (sorted[count - 1]->depth <= made->depth) return count;
        place = --count;
    }
    for (; place > 0 && sorted[place - 1]->depth > made->depth; place--)
        sorted[place] = sorted[place - 1];
    sorted[place] = made;
    return count + 1;
}

static void composite(const layer_list *list, uint32_t first, float rgba[4])
{
    const fragment *sorted[MAX_LAYERS];
    int count = 0;
    for (uint32_t at = first; at; at = list->fragments[at - 1].next)
        count = insert(sorted, count, &list->fragments[at - 1]);
    for (int i = count - 1; i >= 0; i--) {
        float a = sorted[i]->alpha;
        for (int c = 0; c < 3; c++) rgba[c] = rgba[c] * (1 - a) + sorted[i]->rgb[c] * a;
        rgba[3] = rgba[3] * (1 - a) + a;
    }
}

static bool gather(fab_render_frame *f, int64_t tile, const int box[4], layer_list *list)
{
    size_t item = 0;
    list->count = 0;
    memset(list->first, 0, sizeof list->first);
    for (uint64_t i = f->bins.start[tile]; i < f->bins.start[tile + 1]; i++) {
        const fab_render_item *it = fab_render_item_of(f, f->bins.ids[i], &item);
        fab_render_setup setup;
        uint32_t triangle = (uint32_t)(f->bins.ids[i] - it->first_triangle);
        bool cap = it->mesh->flags && it->mesh->flags[triangle] & FAB_TRI_SCAN_EDGE;
        fab_render_fetch_ahead(f, i, f->bins.start[tile + 1], it);
        if (it->opacity >= 1 || cap || !fab_render_setup_make(it, triangle, box, &setup)) continue;
        if (!put_layer(f, it, &setup, box, list)) return false;
    }
    return true;
}

static void layer_tile(void *ctx, int64_t tile, int worker)
{
    layer_job *job = ctx;
    fab_render_frame *f = job->frame;
    layer_list *list = &job->workers[worker];
    int box[4];
    fab_render_tile_box(f, tile, box);
    if (!gather(f, tile, box, list)) {
        job->no_memory[worker] = true;
        return;
    }
    if (!list->count) return;
    for (int y = box[1]; y <= box[3]; y++)
        for (int x = box[0]; x <= box[2]; x++) {
            uint32_t first = list->first[(y - box[1]) * FAB_RENDER_TILE + x - box[0]];
            float *rgba = f->rgba + 4 * ((size_t)y * (size_t)f->width + (size_t)x);
            if (first) composite(list, first, rgba);
        }
}

fab_status fab_render_translucent(fab_render_frame *f, fab_error *err)
{
    bool any = false, failed = false;
    for (size_t i = 0; i < f->item_count; i++) any |= f->items[i].opacity < 1;
    if (!any) return FAB_OK;
    int workers = fab_threads_get();
    layer_job job = {.frame = f, .workers = fab_calloc((size_t)workers, sizeof *job.workers)};
    if (!job.workers) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for layers");
    fab_parallel_for((int64_t)f->tiles_x * f->tiles_y, layer_tile, &job);
    for (int i = 0; i < workers; i++) {
        failed |= job.no_memory[i];
        fab_free(job.workers[i].fragments);
    }
    fab_free(job.workers);
    if (failed) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for translucent layers");
    return FAB_OK;
}
