/* cells.c - one pass over the label volume: which structures occur and which cells they touch.
 *
 * The volume is read twice row by row (count, then fill), four voxel rows at a time through
 * small buffers of 16-bit labels that the compiler turns into vector code. Everything after this
 * file works on active cells only, so cost follows the surface, not labels times volume.
 */
#include <string.h>

#include "mesh_internal.h"

typedef struct label_sum { /* over a label's voxels */
    int64_t voxels, at[3];
} label_sum;

typedef struct scan {
    fab_mesh_net *net;
    const void *data;
    bool wide; /* 16-bit labels */
    uint16_t *rows;    /* per worker: 4 label rows and 1 result row of `pitch` */
    size_t pitch;
    label_sum *sum; /* per worker, 65536 */
} scan;

/* Labels of voxel row (j, k) with a background voxel at both ends. True if all are background. */
static bool load_row(const scan *s, int32_t j, int32_t k, uint16_t *row)
{
    const int32_t *size = s->net->size;
    size_t n = (size_t)size[0];
    if (j < 0 || k < 0 || j >= size[1] || k >= size[2]) {
        memset(row, 0, (n + 2) * sizeof *row);
        return true;
    }
    size_t first = n * ((size_t)j + (size_t)size[1] * (size_t)k);
    unsigned any = 0;
    row[0] = row[n + 1] = 0;
    if (s->wide) {
        const uint16_t *from = (const uint16_t *)s->data + first;
        memcpy(row + 1, from, n * sizeof *row);
        for (size_t i = 0; i < n; i++) any |= from[i];
    } else {
        const uint8_t *from = (const uint8_t *)s->data + first;
        for (size_t i = 0; i < n; i++) row[i + 1] = from[i];
        for (size_t i = 0; i < n; i++) any |= from[i];
    }
    return any == 0;
}

static void count_labels(const uint16_t *row, size_t n, int32_t j, int32_t k, label_sum *sum)
{
    for (size_t i = 1; i <= n;) {
        size_t start = i;
        uint16_t label = row[i];
        while (i <= n && row[i] == label) i++;
        int64_t run = (int64_t)(i - start);
        sum[label].voxels += run;
        sum[label].at[0] += run * (int64_t)(start + i - 3) / 2; /* voxels start - 1 .. i - 2 */
        sum[label].at[1] += run * j;
        sum[label].at[2] += run * k;
    }
}

/* differs[ci] != 0 where the eight corners of cell ci are not all equal. Returns how many. */
static uint32_t compare_rows(const uint16_t *a, const uint16_t *b, const uint16_t *c,
                             const uint16_t *d, size_t cells, uint16_t *differs)
{
    uint32_t n = 0;
    for (size_t i = 0; i < cells; i++) {
        uint16_t ref = a[i];
        differs[i] = (uint16_t)((ref ^ a[i + 1]) | (ref ^ b[i]) | (ref ^ b[i + 1]) | (ref ^ c[i])
                                | (ref ^ c[i + 1]) | (ref ^ d[i]) | (ref ^ d[i + 1]));
    }
    for (size_t i = 0; i < cells; i++) n += differs[i] != 0;
    return n;
}

static void fill_cell(fab_mesh_net *net, uint32_t cell, const int32_t at[3],
                      const uint16_t *const row[4], size_t ci)
{
    for (int a = 0; a < 3; a++) net->at[cell][a] = (uint16_t)at[a];
    for (unsigned c = 0; c < 8; c++) {
        int32_t v[3] = {at[0] - 1 + (int32_t)(c & 1), at[1] - 1 + (int32_t)(c >> 1 & 1),
                        at[2] - 1 + (int32_t)(c >> 2)};
        bool outside = false;
        for (int a = 0; a < 3; a++) outside |= v[a] < 0 || v[a] >= net->size[a];
        net->label[cell][c] = outside ? FAB_MESH_PAD : row[c >> 1][ci + (c & 1)];
    }
}

static void fill_row(fab_mesh_net *net, uint32_t cell, int32_t cj, int32_t ck,
                     const uint16_t *const row[4], const uint16_t *differs)
{
    size_t cells = (size_t)net->size[0] + 1;
    for (size_t ci = 0; ci < cells; ci++) {
        if (!differs[ci]) continue;
        fill_cell(net, cell++, (int32_t[3]){(int32_t)ci, cj, ck}, row, ci);
    }
}

/* All cell rows of one plane ck: counts (first pass, row_start[row + 1]) or fills. */
static void scan_plane(void *ctx, int64_t plane, int worker)
{
    scan *s = ctx;
    fab_mesh_net *net = s->net;
    int32_t ck = (int32_t)plane, rows = net->size[1] + 1;
    size_t cells = (size_t)net->size[0] + 1;
    uint16_t *buffer[4], *differs = s->rows + ((size_t)worker * 5 + 4) * s->pitch;
    for (size_t r = 0; r < 4; r++) buffer[r] = s->rows + ((size_t)worker * 5 + r) * s->pitch;
    bool empty[4];
    empty[1] = load_row(s, -1, ck - 1, buffer[1]);
    empty[3] = load_row(s, -1, ck, buffer[3]);
    for (int32_t cj = 0; cj < rows; cj++) {
        for (size_t r = 0; r < 4; r += 2) { /* the high row becomes the low one */
            uint16_t *low = buffer[r];
            buffer[r] = buffer[r + 1];
            buffer[r + 1] = low;
            empty[r] = empty[r + 1];
            empty[r + 1] = load_row(s, cj, ck - 1 + (int32_t)(r / 2), buffer[r + 1]);
        }
        size_t row = (size_t)cj + (size_t)rows * (size_t)ck;
        bool filling = net->at != NULL;
        if (!filling && !empty[3] && cj < net->size[1] && ck < net->size[2])
            count_labels(buffer[3], cells - 1, cj, ck, s->sum + (size_t)worker * 65536);
        if (filling && net->row_start[row] == net->row_start[row + 1]) continue;
        if (empty[0] && empty[1] && empty[2] && empty[3]) continue;
        uint32_t n = compare_rows(buffer[0], buffer[1], buffer[2], buffer[3], cells, differs);
        const uint16_t *const four[4] = {buffer[0], buffer[1], buffer[2], buffer[3]};
        if (filling) fill_row(net, net->row_start[row], cj, ck, four, differs);
        else net->row_start[row + 1] = n;
    }
}

static void join_sums(scan *s, int workers)
{
    for (size_t w = 1; w < (size_t)workers; w++)
        for (size_t l = 0; l < 65536; l++) {
            s->sum[l].voxels += s->sum[w * 65536 + l].voxels;
            for (int x = 0; x < 3; x++) s->sum[l].at[x] += s->sum[w * 65536 + l].at[x];
        }
}

/* Turns the labels' sums into the ascending list of structures. */
static fab_status list_structures(const scan *s, fab_error *err)
{
    fab_mesh_net *net = s->net;
    const label_sum *sum = s->sum;
    if (sum[FAB_MESH_PAD].voxels > 0)
        FAB_FAIL(err, FAB_ERR_LIMIT, "label 65535 occurs; labels up to 65534 can be meshed");
    for (size_t l = 1; l < 65536; l++) net->structures += sum[l].voxels > 0;
    net->structure = fab_alloc_array(net->structures + 1, sizeof *net->structure);
    net->voxels = fab_alloc_array(net->structures + 1, sizeof *net->voxels);
    net->centroid = fab_alloc_array(net->structures + 1, sizeof *net->centroid);
    net->dense = fab_alloc_array(65536, sizeof *net->dense);
    if (!net->structure || !net->voxels || !net->centroid || !net->dense)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the list of structures");
    memset(net->dense, 0xFF, 65536 * sizeof *net->dense);
    size_t n = 0;
    for (size_t l = 1; l < 65536; l++) {
        if (sum[l].voxels <= 0) continue;
        net->structure[n] = (uint16_t)l;
        net->voxels[n] = sum[l].voxels;
        for (int x = 0; x < 3; x++)
            net->centroid[n][x] = (double)sum[l].at[x] / (double)sum[l].voxels;
        net->dense[l] = (uint16_t)n++;
    }
    return FAB_OK;
}

static fab_status sum_rows(fab_mesh_net *net, size_t rows, fab_error *err)
{
    uint64_t total = 0;
    for (size_t r = 1; r <= rows; r++) {
        total += net->row_start[r];
        if (total >= FAB_MESH_NONE - 8)
            FAB_FAIL(err, FAB_ERR_LIMIT, "the label map's surface has more than 2^32 cells");
        net->row_start[r] = (uint32_t)total;
    }
    net->count = (uint32_t)total;
    return FAB_OK;
}

static fab_status run_scan(scan *s, const fab_progress *progress, fab_error *err)
{
    fab_mesh_net *net = s->net;
    size_t rows = ((size_t)net->size[1] + 1) * ((size_t)net->size[2] + 1);
    net->row_start = fab_calloc(rows + 1, sizeof *net->row_start);
    if (!net->row_start) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu cell rows", rows);
    fab_parallel_for(net->size[2] + 1, scan_plane, s);
    join_sums(s, fab_threads_get());
    FAB_TRY(list_structures(s, err));
    FAB_TRY(sum_rows(net, rows, err));
    FAB_TRY(fab_progress_step(progress, "mesh: find surfaces", 0.5, err));
    size_t n = (size_t)net->count + 1;
    net->label = fab_alloc_array(n, sizeof *net->label);
    net->at = fab_alloc_array(n, sizeof *net->at); /* non-NULL: the fill pass */
    if (!net->label || !net->at)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %u surface cells", net->count);
    fab_parallel_for(net->size[2] + 1, scan_plane, s);
    return fab_progress_step(progress, "mesh: find surfaces", 1.0, err);
}

fab_status fab_mesh_net_find_cells(fab_mesh_net *net, const fab_volume *labels,
                                   const fab_progress *progress, fab_error *err)
{
    fab_dtype type = fab_volume_dtype(labels);
    if (type != FAB_U8 && type != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "label map has voxels of type %s; u8 or u16 wanted",
                 fab_dtype_name(type));
    const fab_grid *grid = fab_volume_grid(labels);
    memcpy(net->size, grid->size, sizeof net->size);
    net->world_from_voxel = grid->world_from_voxel;
    fab_grid_spacing(grid, net->spacing);
    net->mirrored = fab_mat34_determinant(&grid->world_from_voxel) < 0;
    size_t workers = (size_t)fab_threads_get(), pitch = (size_t)grid->size[0] + 34;
    FAB_AUTO_FREE uint16_t *rows = fab_alloc_array(workers * 5 * pitch, sizeof *rows);
    FAB_AUTO_FREE label_sum *sum = fab_calloc(workers * 65536, sizeof *sum);
    if (!rows || !sum) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to scan the label map");
    scan s = {.net = net, .data = fab_volume_data(labels), .wide = type == FAB_U16, .rows = rows,
              .pitch = pitch, .sum = sum};
    return run_scan(&s, progress, err);
}

void fab_mesh_net_free(fab_mesh_net *net)
{
    void *block[] = {net->row_start, net->at, net->label, net->link, net->pull, net->point,
                     net->singular, net->sheet_start, net->sheet, net->cases, net->structure,
                     net->dense, net->voxels, net->centroid};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++) fab_free(block[i]);
    memset(net, 0, sizeof *net);
}
