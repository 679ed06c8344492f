/* relax.c - where in its cell each shared point lies.
 *
 * First the mean of the surface's crossings with the cell's edges: at half way between two voxel
 * centres, or, where the network's margins are known, where the two labels' scores cross. Then,
 * without margins, constrained relaxation (Gibson 1998): each point moves towards the mean of its
 * neighbours and never leaves its cell, so the surface stays within a voxel of the mask.
 *
 * Plain averaging shrinks, and then prints the inner walls of the cells (the staircase) on the
 * surface. So steps go in pairs, one inwards and an equal one outwards (Taubin 1995 with equal
 * factors): together the descent of the squared Laplacian, a thin plate that leaves volume and
 * curvature nearly alone. Nesterov's momentum makes 20 pairs reach as far as some 100 would.
 */
#include <string.h>

#include "mesh_internal.h"

#define RELAX_STEP 0.5f /* largest for which a pair is stable on any net */

typedef struct placing {
    fab_mesh_net *net;
    const float *margin; /* of voxels, NULL: none */
    const float (*from)[3];
    float (*to)[3];
    float (*next)[3];
    float step, momentum;
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

/* to = from + step * (mean of from's neighbours - from). The second half of a pair is kept in the
 * cell and, with momentum, `next` gets the point from which the next pair starts. */
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
        if (fixed >> x & 1) moved = 0.5f;
        if (!p->next) {
            p->to[cell][x] = moved;
            continue;
        }
        float before = p->to[cell][x], now = clamp_inside(moved);
        p->to[cell][x] = now;
        p->next[cell][x] = now + p->momentum * (now - before);
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
    if (iterations < 2 || net->count == 0) return FAB_OK;
    size_t n = (size_t)net->count + 1;
    FAB_AUTO_FREE float(*start)[3] = fab_alloc_array(n, sizeof *start);
    FAB_AUTO_FREE float(*half)[3] = fab_alloc_array(n, sizeof *half);
    if (!start || !half) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %u points", net->count);
    memcpy(start, net->point, n * sizeof *start);
    for (int pair = 0; pair < iterations / 2; pair++) {
        placing p = {.net = net, .from = (const float(*)[3])start, .to = half, .step = RELAX_STEP};
        fab_parallel_for(fab_mesh_chunks(net->count), work_chunk, &p);
        p.from = (const float(*)[3])half;
        p.to = net->point;
        p.next = start;
        p.step = -RELAX_STEP;
        p.momentum = (float)pair / ((float)pair + 3);
        fab_parallel_for(fab_mesh_chunks(net->count), work_chunk, &p);
        FAB_TRY(fab_progress_step(progress, "mesh: smooth", (pair + 1.0) * 2 / iterations, err));
    }
    return FAB_OK;
}
