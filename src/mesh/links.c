/* links.c - which active cells are neighbours across a face that a surface crosses, and which of
 * those links pull in smoothing.
 *
 * Where three or more labels meet on a face (the world outside the scan counts as one) a junction
 * curve passes through it. Points on such a curve are smoothed along the curve only, so that
 * borders, and the rims of the flat caps at the end of the scan, become smooth curves instead of
 * being dragged into one of the surfaces.
 */
#include <string.h>

#include "mesh_internal.h"

/* The cell at (ci, row) or NONE; `hint` walks along the row. */
static uint32_t find_in_row(const fab_mesh_net *net, uint32_t *hint, uint32_t end, uint16_t ci)
{
    while (*hint < end && net->at[*hint][0] < ci) ++*hint;
    return *hint < end && net->at[*hint][0] == ci ? *hint : FAB_MESH_NONE;
}

/* Distinct labels on the low face of an axis; 0 if no structure's surface crosses it. */
static int face_labels(const uint16_t label[8], int face)
{
    static const uint8_t corner[6][4] = {{0, 2, 4, 6}, {1, 3, 5, 7}, {0, 1, 4, 5},
                                         {2, 3, 6, 7}, {0, 1, 2, 3}, {4, 5, 6, 7}};
    uint16_t seen[4];
    int n = 0;
    bool structure = false;
    for (int i = 0; i < 4; i++) {
        uint16_t l = label[corner[face][i]];
        int j = 0;
        while (j < n && seen[j] != l) j++;
        if (j == n) seen[n++] = l;
        structure |= l != 0 && l != FAB_MESH_PAD;
    }
    return structure && n > 1 ? n : 0;
}

static void link_cells(fab_mesh_net *net, uint32_t cell, uint32_t other, int axis)
{
    if (other == FAB_MESH_NONE || face_labels(net->label[cell], axis * 2) == 0) return;
    net->link[cell][axis * 2] = other;     /* each slot is written by one cell only */
    net->link[other][axis * 2 + 1] = cell;
}

static void link_plane(void *ctx, int64_t plane, int worker)
{
    (void)worker;
    fab_mesh_net *net = ctx;
    size_t rows = (size_t)net->size[1] + 1;
    for (size_t cj = 0; cj < rows; cj++) {
        size_t row = cj + rows * (size_t)plane;
        uint32_t start = net->row_start[row], end = net->row_start[row + 1];
        uint32_t y = cj ? net->row_start[row - 1] : 0, y_end = cj ? start : 0;
        uint32_t z = plane ? net->row_start[row - rows] : 0;
        uint32_t z_end = plane ? net->row_start[row - rows + 1] : 0;
        for (uint32_t cell = start; cell < end; cell++) {
            uint16_t ci = net->at[cell][0];
            if (cell > start && net->at[cell - 1][0] + 1 == ci) link_cells(net, cell, cell - 1, 0);
            link_cells(net, cell, find_in_row(net, &y, y_end, ci), 1);
            link_cells(net, cell, find_in_row(net, &z, z_end, ci), 2);
        }
    }
}

static void choose_pull(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    fab_mesh_net *net = ctx;
    uint32_t start = (uint32_t)chunk * FAB_MESH_CHUNK, end = start + FAB_MESH_CHUNK;
    if (end > net->count) end = net->count;
    for (uint32_t cell = start; cell < end; cell++) {
        uint8_t all = 0, junction = 0;
        int n = 0;
        for (int f = 0; f < 6; f++) {
            if (net->link[cell][f] == FAB_MESH_NONE) continue;
            all |= (uint8_t)(1 << f);
            if (face_labels(net->label[cell], f) < 3) continue;
            junction |= (uint8_t)(1 << f);
            n++;
        }
        net->pull[cell] = n >= 2 ? junction : all;
    }
}

fab_status fab_mesh_net_link(fab_mesh_net *net, fab_error *err)
{
    size_t n = (size_t)net->count + 1;
    net->link = fab_alloc_array(n, sizeof *net->link);
    net->pull = fab_malloc(n);
    if (!net->link || !net->pull)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %u surface cells", net->count);
    memset(net->link, 0xFF, n * sizeof *net->link);
    fab_parallel_for(net->size[2] + 1, link_plane, net);
    fab_parallel_for(fab_mesh_chunks(net->count), choose_pull, net);
    return FAB_OK;
}
