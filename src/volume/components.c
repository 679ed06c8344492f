/* components.c - connected components by runs and union-find, relabelled by size.
 *
 * Each x-run of the wanted value is one node; runs of neighbouring rows that touch are united
 * (He, Chao, Suzuki 2008). Memory is a few words a run, not a voxel.
 */
#include <stdlib.h>
#include <string.h>

#include "volume_internal.h"

typedef struct run {
    int32_t begin, end; /* [begin, end) along x */
    int32_t parent;
    int64_t size; /* voxels of the run, then of the component at its root */
} run;

typedef struct run_list {
    run *items;
    int32_t count, capacity;
    int32_t *row_start; /* rows + 1 */
} run_list;

static int32_t find_root(run *runs, int32_t at)
{
    while (runs[at].parent != at) {
        runs[at].parent = runs[runs[at].parent].parent;
        at = runs[at].parent;
    }
    return at;
}

static void unite(run *runs, int32_t a, int32_t b)
{
    a = find_root(runs, a);
    b = find_root(runs, b);
    if (a < b) runs[b].parent = a;
    else runs[a].parent = b;
}

static fab_status push_run(run_list *list, int32_t begin, int32_t end, fab_error *err)
{
    if (list->count == list->capacity) {
        if (list->capacity > INT32_MAX / 2)
            FAB_FAIL(err, FAB_ERR_LIMIT, "more than 2^30 runs in a label map");
        int32_t capacity = list->capacity ? list->capacity * 2 : 1024;
        run *grown = fab_realloc(list->items, (size_t)capacity * sizeof *grown);
        if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for connected components");
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count] = (run){begin, end, list->count, end - begin};
    list->count++;
    return FAB_OK;
}

/* Which values count: one, or some. */
typedef struct wanted {
    int value;
    const bool *member; /* NULL: value only */
    size_t count;
} wanted;

static bool is_wanted(const wanted *w, int value)
{
    return w->member ? (size_t)value < w->count && w->member[value] : value == w->value;
}

/* A part of a label map. */
typedef struct box {
    const fab_volume *v;
    int32_t low[3], size[3];
} box;

static box whole_of(const fab_volume *v)
{
    box b = {.v = v};
    memcpy(b.size, v->grid.size, sizeof b.size);
    return b;
}

/* The first wanted voxel at or after `i` of the `width` from `row` on; `width` if there is none. */
static int32_t next_wanted(const fab_volume *v, const wanted *w, int64_t row, int32_t width,
                           int32_t i)
{
    if (!w->member && v->dtype == FAB_U8 && w->value <= UINT8_MAX) {
        const uint8_t *from = (const uint8_t *)v->data + row;
        const uint8_t *at = i < width ? memchr(from + i, w->value, (size_t)(width - i)) : NULL;
        return at ? (int32_t)(at - from) : width;
    }
    while (i < width && !is_wanted(w, fab_volume_label_(v, row + i))) i++;
    return i;
}

static fab_status find_runs(const box *b, const wanted *w, run_list *list, fab_error *err)
{
    const int32_t *n = b->v->grid.size, width = b->size[0];
    const int64_t rows = (int64_t)b->size[1] * b->size[2];
    for (int64_t row = 0; row < rows; row++) {
        const int64_t j = b->low[1] + row % b->size[1], k = b->low[2] + row / b->size[1];
        const int64_t at = (k * n[1] + j) * n[0] + b->low[0];
        list->row_start[row] = list->count;
        for (int32_t i = 0; (i = next_wanted(b->v, w, at, width, i)) < width;) {
            int32_t begin = i;
            while (i < width && is_wanted(w, fab_volume_label_(b->v, at + i))) i++;
            FAB_TRY(push_run(list, begin, i, err));
        }
    }
    list->row_start[rows] = list->count;
    return FAB_OK;
}

/* Unites touching runs of two rows; reach 1 lets diagonal neighbours touch. */
static void join_rows(run_list *list, int64_t row, int64_t other, int32_t reach)
{
    int32_t a = list->row_start[row], a_end = list->row_start[row + 1];
    int32_t b = list->row_start[other], b_end = list->row_start[other + 1];
    run *runs = list->items;
    while (a < a_end && b < b_end) {
        if (runs[a].begin < runs[b].end + reach && runs[b].begin < runs[a].end + reach)
            unite(runs, a, b);
        if (runs[a].end < runs[b].end) a++;
        else b++;
    }
}

static void join_all(run_list *list, const int32_t size[3], bool face_connected)
{
    static const int offsets[4][2] = {{-1, 0}, {0, -1}, {-1, -1}, {1, -1}}; /* dj, dk */
    int count = face_connected ? 2 : 4;
    int32_t reach = face_connected ? 0 : 1;
    for (int64_t k = 0; k < size[2]; k++)
        for (int64_t j = 0; j < size[1]; j++)
            for (int o = 0; o < count; o++) {
                int64_t oj = j + offsets[o][0], ok = k + offsets[o][1];
                if (oj >= 0 && oj < size[1] && ok >= 0)
                    join_rows(list, j + k * size[1], oj + ok * size[1], reach);
            }
}

typedef struct ranked {
    int64_t size;
    int32_t root;
} ranked;

static int by_size(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->size != y->size) return x->size < y->size ? 1 : -1;
    return x->root < y->root ? -1 : x->root > y->root;
}

/* Replaces each root's size by its rank (1 = largest); gives n and sizes. */
static fab_status rank_components(run_list *list, int32_t *n, int64_t **sizes, fab_error *err)
{
    run *runs = list->items;
    int32_t count = 0;
    for (int32_t i = 0; i < list->count; i++) {
        int32_t root = find_root(runs, i);
        if (root == i) count++;
        else runs[root].size += runs[i].size;
    }
    FAB_AUTO_FREE ranked *order = fab_alloc_array((size_t)count, sizeof *order);
    FAB_AUTO_FREE int64_t *by_rank = fab_alloc_array((size_t)count, sizeof *by_rank);
    if (!order || !by_rank) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for connected components");
    for (int32_t i = 0, c = 0; i < list->count; i++)
        if (runs[i].parent == i) order[c++] = (ranked){runs[i].size, i};
    qsort(order, (size_t)count, sizeof *order, by_size);
    for (int32_t c = 0; c < count; c++) {
        runs[order[c].root].size = c + 1;
        by_rank[c] = order[c].size;
    }
    *n = count;
    if (sizes) {
        *sizes = by_rank;
        by_rank = NULL;
    }
    return FAB_OK;
}

static void paint(run_list *list, const int32_t size[3], int32_t *to)
{
    int64_t rows = (int64_t)size[1] * size[2];
    for (int64_t row = 0; row < rows; row++) {
        for (int32_t r = list->row_start[row]; r < list->row_start[row + 1]; r++) {
            int32_t id = (int32_t)list->items[find_root(list->items, r)].size;
            int32_t *line = to + row * size[0];
            for (int32_t i = list->items[r].begin; i < list->items[r].end; i++) line[i] = id;
        }
    }
}

/* The runs of one value, joined and ranked; the caller frees list->items. */
static fab_status find_components(const box *b, int value, bool face_connected, run_list *list,
                                  int32_t *n, int64_t **sizes, fab_error *err)
{
    FAB_TRY(find_runs(b, &(wanted){.value = value}, list, err));
    join_all(list, b->size, face_connected);
    return rank_components(list, n, sizes, err);
}

fab_status fab_labels_components(const fab_volume *labels, int value, bool face_connected,
                                 fab_volume **components, int32_t *n, int64_t **sizes,
                                 fab_error *err)
{
    FAB_TRY(fab_volume_need_labels_(labels, err));
    const box all = whole_of(labels);
    int64_t rows = (int64_t)all.size[1] * all.size[2];
    FAB_AUTO_FREE int32_t *row_start = fab_alloc_array((size_t)rows + 1, sizeof *row_start);
    if (!row_start) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for connected components");
    FAB_AUTO(fab_volume_unref) fab_volume *r = NULL;
    FAB_TRY(fab_volume_create(&labels->grid, FAB_I32, &r, err));
    run_list list = {.row_start = row_start};
    fab_status status = find_components(&all, value, face_connected, &list, n, sizes, err);
    if (status == FAB_OK) paint(&list, all.size, r->data);
    fab_free(list.items);
    if (status < 0) return status;
    *components = r;
    r = NULL;
    return FAB_OK;
}

/* A run of `row` of the box joins its piece. */
static void add_run(fab_label_piece *piece, const run *r, int64_t row, const box *b)
{
    const int64_t n = r->end - r->begin;
    const int32_t j = b->low[1] + (int32_t)(row % b->size[1]);
    const int32_t k = b->low[2] + (int32_t)(row / b->size[1]);
    const int32_t low[3] = {b->low[0] + r->begin, j, k}, high[3] = {b->low[0] + r->end - 1, j, k};
    for (int a = 0; a < 3; a++) {
        if (piece->voxels == 0 || low[a] < piece->low[a]) piece->low[a] = low[a];
        if (piece->voxels == 0 || high[a] > piece->high[a]) piece->high[a] = high[a];
        piece->centroid_voxel[a] += 0.5 * (double)n * ((double)low[a] + high[a]);
    }
    piece->voxels += n;
}

static fab_status pieces_of(run_list *list, const box *b, int32_t n, fab_label_piece **out,
                            fab_error *err)
{
    const int64_t rows = (int64_t)b->size[1] * b->size[2];
    fab_label_piece *pieces = fab_alloc_array((size_t)n, sizeof *pieces);
    if (!pieces) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for connected components");
    memset(pieces, 0, (size_t)n * sizeof *pieces);
    for (int64_t row = 0; row < rows; row++)
        for (int32_t r = list->row_start[row]; r < list->row_start[row + 1]; r++) {
            const int64_t id = list->items[find_root(list->items, r)].size;
            add_run(&pieces[id - 1], &list->items[r], row, b);
        }
    for (int32_t i = 0; i < n; i++)
        for (int a = 0; a < 3; a++) pieces[i].centroid_voxel[a] /= (double)pieces[i].voxels;
    *out = pieces;
    return FAB_OK;
}

fab_status fab_labels_pieces(const fab_volume *labels, const fab_label_stats *where, int value,
                             bool face_connected, int32_t *n, fab_label_piece **pieces,
                             fab_error *err)
{
    FAB_TRY(fab_volume_need_labels_(labels, err));
    box b = {.v = labels};
    for (int a = 0; a < 3; a++) {
        b.low[a] = where->low[a];
        b.size[a] = where->high[a] - where->low[a] + 1;
        if (b.low[a] < 0 || b.size[a] < 1 || where->high[a] >= labels->grid.size[a])
            FAB_FAIL(err, FAB_ERR_ARG, "a structure's box is not in its label map");
    }
    int64_t rows = (int64_t)b.size[1] * b.size[2];
    FAB_AUTO_FREE int32_t *row_start = fab_alloc_array((size_t)rows + 1, sizeof *row_start);
    if (!row_start) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for connected components");
    run_list list = {.row_start = row_start};
    fab_status status = find_components(&b, value, face_connected, &list, n, NULL, err);
    if (status == FAB_OK) status = pieces_of(&list, &b, *n, pieces, err);
    fab_free(list.items);
    return status;
}

/* ---- keeping some ----------------------------------------------------------------------- */

/* Sums sizes at the roots; the largest of them. */
static int64_t largest_size(run_list *list)
{
    int64_t most = 0;
    for (int32_t i = 0; i < list->count; i++) {
        const int32_t root = find_root(list->items, i);
        if (root != i) list->items[root].size += list->items[i].size;
    }
    for (int32_t i = 0; i < list->count; i++)
        if (list->items[i].parent == i && list->items[i].size > most) most = list->items[i].size;
    return most;
}

static void store_run(fab_volume *v, int64_t at, int32_t count, int value)
{
    if (v->dtype == FAB_U8) {
        memset((uint8_t *)v->data + at, value, (size_t)count);
        return;
    }
    uint16_t *to = (uint16_t *)v->data + at;
    for (int32_t i = 0; i < count; i++) to[i] = (uint16_t)value;
}

static int64_t drop_runs(run_list *list, const fab_component_rule *rule, int background,
                         fab_volume *v)
{
    const int64_t rows = (int64_t)v->grid.size[1] * v->grid.size[2], most = largest_size(list);
    int64_t removed = 0;
    for (int64_t row = 0; row < rows; row++)
        for (int32_t r = list->row_start[row]; r < list->row_start[row + 1]; r++) {
            const int64_t size = list->items[find_root(list->items, r)].size;
            const int32_t begin = list->items[r].begin, count = list->items[r].end - begin;
            if (size > rule->above && (!rule->largest || size == most)) continue;
            store_run(v, row * v->grid.size[0] + begin, count, background);
            removed += count;
        }
    return removed;
}

fab_status fab_labels_keep_components(fab_volume *labels, const bool *member, size_t count,
                                      const fab_component_rule *rule, int background,
                                      int64_t *removed, fab_error *err)
{
    FAB_TRY(fab_volume_need_labels_(labels, err));
    if (background < 0 || background > (labels->dtype == FAB_U8 ? 255 : 65535))
        FAB_FAIL(err, FAB_ERR_ARG, "background %d does not fit the label map", background);
    if (!fab_volume_data_mut(labels)) FAB_FAIL(err, FAB_ERR_ARG, "the label map is shared");
    const int64_t rows = (int64_t)labels->grid.size[1] * labels->grid.size[2];
    FAB_AUTO_FREE int32_t *row_start = fab_alloc_array((size_t)rows + 1, sizeof *row_start);
    if (!row_start) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for connected components");
    run_list list = {.row_start = row_start};
    const box all = whole_of(labels);
    const fab_status status =
        find_runs(&all, &(wanted){.member = member, .count = count}, &list, err);
    if (status == FAB_OK) {
        join_all(&list, labels->grid.size, rule->face_connected);
        const int64_t dropped = drop_runs(&list, rule, background, labels);
        if (removed) *removed = dropped;
    }
    fab_free(list.items);
    return status;
}
