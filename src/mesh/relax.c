/* relax.c - where in its cell each shared point lies.
 *
 * First the mean of the surface's crossings with the cell's edges: at half way between two voxel
 * centres, or, where the network's margins are known, where the two labels' scores cross. Then,
 * without margins, constrained relaxation (Gibson 1998): each point moves towards the mean of its
 * neighbours and never leaves its cell, so the surface stays within a voxel of the mask.
 *
 * Plain averaging shrinks; every step outwards of Taubin's pair (1995) undoes most of that, and
 * drift.c the rest.
 */
#include <string.h>

#include "mesh_internal.h"

typedef struct placing {
    fab_mesh_net *net;
    const float *margin; /* of voxels, NULL: none */
    const float (*from)[3];
    float (*to)[3];
    float step;
} placing;

/* Axes along which the point is fixed in the plane of the volume's face. */
static unsigned fixed_axes(const fab_mesh_net *net, uint32_t cell)
{
    unsigned fixed = 0;
    for (unsigned a = 0; a < 3; a++) {
        uint16_t c = net->at[cell][a];
        fixed |= (unsigned)(c == 0 || c == net->size[a]) << a;
    }
    return fixed;
}

static float clamp_inside(float x)
{
    const float low = FAB_MESH_INSET, high = 1 - FAB_MESH_INSET;
    return x < low ? low : x > high ? high : x; /* NaN cannot come in: see crossing */
}

static float voxel_margin(const placing *p, uint32_t cell, unsigned corner)
{
    const fab_mesh_net *net = p->net;
    const uint16_t *at = net->at[cell];
    size_t i = (size_t)at[0] - 1 + (corner & 1), j = (size_t)at[1] - 1 + (corner >> 1 & 1);
    size_t k = (size_t)at[2] - 1 + (corner >> 2);
    return p->margin[i + (size_t)net->size[0] * (j + (size_t)net->size[1] * k)];
}

/* Where between the edge's corners the labels change, 0..1. */
static float crossing(const placing *p, uint32_t cell, unsigned low, unsigned high)
{
    const uint16_t *label = p->net->label[cell];
    if (!p->margin || label[low] == FAB_MESH_PAD || label[high] == FAB_MESH_PAD) return 0.5f;
    float a = voxel_margin(p, cell, low), b = voxel_margin(p, cell, high);
    if (!(a >= 0) || !(b >= 0) || !(a + b > 1e-12f) || a > 1e30f || b > 1e30f) return 0.5f;
    return a / (a + b);
}

static void place_cell(const placing *p, uint32_t cell)
{
    fab_mesh_net *net = p->net;
    const uint16_t *label = net->label[cell];
    float sum[3] = {0, 0, 0}, n = 0;
    for (unsigned e = 0; e < 12; e++) {
        unsigned axis = e / 4, low = fab_mesh_edge_low[e], high = low | (1u << axis);
        uint16_t a = label[low], b = label[high];
        bool outside_a = a == 0 || a == FAB_MESH_PAD, outside_b = b == 0 || b == FAB_MESH_PAD;
        if (a == b || (outside_a && outside_b)) continue;
        for (unsigned x = 0; x < 3; x++) sum[x] += (float)(low >> x & 1);
        sum[axis] += crossing(p, cell, low, high);
        n += 1;
    }
    unsigned fixed = fixed_axes(net, cell);
    for (unsigned x = 0; x < 3; x++)
        net->point[cell][x] = fixed >> x & 1 ? 0.5f : clamp_inside(sum[x] / n);
}

static void relax_cell(const placing *p, uint32_t cell)
{
    const fab_mesh_net *net = p->net;
    const float *old = p->from[cell];
    unsigned pull = net->pull[cell], fixed = fixed_axes(net, cell);
    float sum[3] = {0, 0, 0}, n = 0;
    for (unsigned f = 0; f < 6; f++) {
        if (!(pull >> f & 1)) continue;
        const float *other = p->from[net->link[cell][f]];
        for (int x = 0; x < 3; x++) sum[x] += other[x];
        sum[f / 2] += f & 1 ? 1.0f : -1.0f;
        n += 1;
    }
    for (unsigned x = 0; x < 3; x++) {
        float moved = n > 0 ? old[x] + p->step * (sum[x] / n - old[x]) : old[x];
        p->to[cell][x] = fixed >> x & 1 ? 0.5f : clamp_inside(moved);
    }
}

static void work_chunk(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    const placing *p = ctx;
    uint32_t start = (uint32_t)chunk * FAB_MESH_CHUNK, end = start + FAB_MESH_CHUNK;
    if (end > p->net->count) end = p->net->count;
    for (uint32_t cell = start; cell < end; cell++) {
        if (p->to) relax_cell(p, cell);
        else place_cell(p, cell);
    }
}

fab_status fab_mesh_net_place(fab_mesh_net *net, const fab_volume *margin, fab_error *err)
{
    net->point = fab_alloc_array((size_t)net->count + 1, sizeof *net->point);
    if (!net->point) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %u points", net->count);
    placing p = {.net = net, .margin = margin ? fab_volume_data(margin) : NULL};
    fab_parallel_for(fab_mesh_chunks(net->count), work_chunk, &p);
    return FAB_OK;
}

fab_status fab_mesh_net_relax(fab_mesh_net *net, int iterations, const fab_progress *progress,
                              fab_error *err)
{
    if (iterations <= 0 || net->count == 0) return FAB_OK;
    FAB_AUTO_FREE float(*spare)[3] = fab_alloc_array((size_t)net->count + 1, sizeof *spare);
    if (!spare) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %u points", net->count);
    for (int it = 0; it < iterations; it++) {
        placing p = {.net = net, .from = (const float(*)[3])net->point, .to = spare, .step = 0.6f};
        fab_parallel_for(fab_mesh_chunks(net->count), work_chunk, &p);
        float(*old)[3] = net->point;
        net->point = spare;
        spare = old;
        FAB_TRY(fab_progress_step(progress, "mesh: smooth", (it + 1.0) / iterations, err));
    }
    return FAB_OK;
}
