/* sheets.c - each label's own vertices in each cell, and the quads between labels. */
#include <string.h>

#include "mesh_internal.h"

static unsigned corner_mask(const uint16_t label[8], uint16_t wanted)
{
    unsigned mask = 0;
    for (unsigned c = 0; c < 8; c++) mask |= (unsigned)(label[c] == wanted) << c;
    return mask;
}

/* The structures at a cell's corners, in corner order; at most 8. */
static unsigned cell_structures(const uint16_t label[8], uint16_t out[8])
{
    unsigned n = 0;
    for (unsigned c = 0; c < 8; c++) {
        unsigned j = 0;
        if (label[c] == 0 || label[c] == FAB_MESH_PAD) continue;
        while (j < n && out[j] != label[c]) j++;
        if (j == n) out[n++] = label[c];
    }
    return n;
}

static void count_sheets(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    fab_mesh_net *net = ctx;
    uint32_t start = (uint32_t)chunk * FAB_MESH_CHUNK, end = start + FAB_MESH_CHUNK;
    uint16_t found[8];
    if (end > net->count) end = net->count;
    for (uint32_t cell = start; cell < end; cell++)
        net->sheet_start[cell + 1] = cell_structures(net->label[cell], found);
}

/* A face is joined only if it is the candidate of both cells that share it (cases.c). */
static bool is_joined(const fab_mesh_net *net, uint32_t cell, uint16_t label, unsigned mask)
{
    int face = net->cases->candidate[mask];
    if (face < 0 || net->link[cell][face] == FAB_MESH_NONE) return false;
    unsigned other = corner_mask(net->label[net->link[cell][face]], label);
    return net->cases->candidate[other] == (face ^ 1);
}

static void fill_sheets(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    fab_mesh_net *net = ctx;
    uint32_t start = (uint32_t)chunk * FAB_MESH_CHUNK, end = start + FAB_MESH_CHUNK;
    uint16_t found[8];
    if (end > net->count) end = net->count;
    for (uint32_t cell = start; cell < end; cell++) {
        unsigned n = cell_structures(net->label[cell], found);
        net->singular[cell] = 0;
        for (unsigned i = 0; i < n; i++) {
            fab_mesh_sheet *sheet = &net->sheet[net->sheet_start[cell] + i];
            unsigned mask = corner_mask(net->label[cell], found[i]);
            sheet->label = found[i];
            sheet->mask = (uint8_t)mask;
            sheet->joined = is_joined(net, cell, found[i], mask);
            net->singular[cell] |= net->cases->item[mask][sheet->joined].loops > 1;
        }
    }
}

fab_status fab_mesh_net_split(fab_mesh_net *net, fab_error *err)
{
    net->cases = fab_malloc(sizeof *net->cases);
    net->sheet_start = fab_alloc_array((size_t)net->count + 1, sizeof *net->sheet_start);
    net->singular = fab_malloc((size_t)net->count + 1);
    if (!net->cases || !net->sheet_start || !net->singular)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %u surface cells", net->count);
    fab_mesh_cases_fill(net->cases);
    net->sheet_start[0] = 0;
    fab_parallel_for(fab_mesh_chunks(net->count), count_sheets, net);
    uint64_t total = 0;
    for (uint32_t cell = 0; cell < net->count; cell++) {
        total += net->sheet_start[cell + 1];
        if (total >= FAB_MESH_NONE / FAB_MESH_MAX_SHEETS)
            FAB_FAIL(err, FAB_ERR_LIMIT, "the label map's surfaces have more than 2^32 vertices");
        net->sheet_start[cell + 1] = (uint32_t)total;
    }
    net->sheet = fab_alloc_array((size_t)total + 1, sizeof *net->sheet);
    if (!net->sheet) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %u sheets", (unsigned)total);
    fab_parallel_for(fab_mesh_chunks(net->count), fill_sheets, net);
    return FAB_OK;
}

const fab_mesh_sheet *fab_mesh_net_sheet(const fab_mesh_net *net, uint32_t cell, uint16_t label)
{
    const fab_mesh_sheet *sheet = &net->sheet[net->sheet_start[cell]];
    while (sheet->label != label) sheet++; /* asked only for labels at the cell's corners */
    return sheet;
}

/* Sheets that meet in a cell are drawn apart, each towards the middle of the edges it crosses:
 * loops that two labels have in common move alike, so that their border stays shared. */
static void spread(const fab_mesh_net *net, uint32_t cell, const fab_mesh_sheet *sheet,
                   unsigned loop, double point[3])
{
    const fab_mesh_case *pattern = &net->cases->item[sheet->mask][sheet->joined];
    double sum[3] = {0, 0, 0}, n = 0;
    for (unsigned e = 0; e < 12; e++) {
        if (pattern->edge_loop[e] != loop) continue;
        for (unsigned x = 0; x < 3; x++)
            sum[x] += x == e / 4 ? 0.5 : (double)(fab_mesh_edge_low[e] >> x & 1);
        n += 1;
    }
    for (unsigned x = 0; x < 3; x++) {
        uint16_t c = net->at[cell][x];
        if (c == 0 || c == net->size[x]) continue; /* caps stay flat */
        point[x] += (double)FAB_MESH_SPREAD * (sum[x] / n - point[x]);
    }
}

void fab_mesh_net_vertex(const fab_mesh_net *net, uint32_t cell, const fab_mesh_sheet *sheet,
                         unsigned loop, double out[3])
{
    for (int x = 0; x < 3; x++) out[x] = (double)net->point[cell][x];
    if (net->singular[cell]) spread(net, cell, sheet, loop, out);
    for (int x = 0; x < 3; x++) out[x] += (double)net->at[cell][x] - 1;
}

bool fab_mesh_net_quad(const fab_mesh_net *net, uint32_t cell, int axis, fab_mesh_quad *out)
{
    static const uint8_t other[3][2] = {{1, 2}, {0, 2}, {0, 1}};
    uint16_t low = net->label[cell][0], high = net->label[cell][1 << axis];
    bool structure = (low != 0 && low != FAB_MESH_PAD) || (high != 0 && high != FAB_MESH_PAD);
    if (low == high || !structure) return false;
    int u = other[axis][0] * 2, v = other[axis][1] * 2;
    uint32_t below_u = net->link[cell][u], below_v = net->link[cell][v];
    uint8_t edge = (uint8_t)(axis * 4);
    int second = axis == 1 ? 3 : 1; /* i x k points along -j */
    out->low = low;
    out->high = high;
    out->axis = axis;
    out->cell[0] = net->link[below_u][v];
    out->local[0] = edge + 3;
    out->cell[second] = below_v;
    out->local[second] = edge + 2;
    out->cell[2] = cell;
    out->local[2] = edge;
    out->cell[4 - second] = below_u;
    out->local[4 - second] = edge + 1;
    return true;
}

void fab_mesh_net_quad_points(const fab_mesh_net *net, const fab_mesh_quad *quad, uint16_t label,
                              double out[4][3])
{
    for (int i = 0; i < 4; i++) {
        uint32_t cell = quad->cell[i];
        const fab_mesh_sheet *sheet = NULL;
        unsigned loop = 0;
        if (net->singular[cell]) {
            sheet = fab_mesh_net_sheet(net, cell, label);
            loop = net->cases->item[sheet->mask][sheet->joined].edge_loop[quad->local[i]];
        }
        fab_mesh_net_vertex(net, cell, sheet, loop, out[i]);
    }
}

bool fab_mesh_net_quad_diagonal(const fab_mesh_net *net, const fab_mesh_quad *quad)
{
    double length[2] = {0, 0};
    for (int d = 0; d < 2; d++) {
        uint32_t a = quad->cell[d], b = quad->cell[d + 2];
        for (int x = 0; x < 3; x++) {
            double step = (double)net->point[b][x] - (double)net->point[a][x]
                          + (double)net->at[b][x] - (double)net->at[a][x];
            length[d] += step * step * net->spacing[x] * net->spacing[x];
        }
    }
    return length[1] < length[0];
}
