/* drift.c - brings every structure's volume back to that of its mask.
 *
 * Smoothing changes volumes. The borders are moved by the pressures of pressure.h; a point still
 * never leaves its cell. Where cells leave no room, the points of the structures concerned are
 * drawn towards the middle of their cells: there the surface is the mask's own, so the volume can
 * always be met (but for sheets drawn apart, see sheets.c).
 */
#include <math.h>
#include <string.h>

#include "mesh_internal.h"
#include "pressure.h"

typedef struct drift {
    fab_mesh_net *net;
    double *volume;   /* structures: voxels enclosed now */
    double *part;     /* chunk x structure */
    double *pressure; /* structures; mm, one step */
    double *blend;    /* structures; towards the cells' middle, 0..1 */
    double voxel_mm3;
} drift;

enum { PRESSURE_ROUNDS = 6, BLEND_ROUNDS = 8 };

/* ---- volumes ---- */

static double quad_volume(double q[4][3], bool diagonal)
{
    static const uint8_t split[2][6] = {{0, 1, 2, 0, 2, 3}, {0, 1, 3, 1, 2, 3}};
    double six = 0;
    for (int t = 0; t < 6; t += 3) {
        const double *a = q[split[diagonal][t]], *b = q[split[diagonal][t + 1]];
        const double *c = q[split[diagonal][t + 2]];
        six += a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2])
               + a[2] * (b[0] * c[1] - b[1] * c[0]);
    }
    return six / 6;
}

static void add_quad(const drift *d, const fab_mesh_quad *quad, double *part)
{
    const fab_mesh_net *net = d->net;
    bool diagonal = fab_mesh_net_quad_diagonal(net, quad), singular = false;
    double q[4][3];
    for (int i = 0; i < 4; i++) singular |= net->singular[quad->cell[i]];
    uint16_t label[2] = {quad->low, quad->high};
    double volume = 0;
    for (int side = 0; side < 2; side++) {
        if (label[side] == 0 || label[side] == FAB_MESH_PAD) continue;
        if (singular || volume == 0) {
            fab_mesh_net_quad_points(net, quad, label[side], q);
            volume = quad_volume(q, diagonal);
        }
        part[net->dense[label[side]]] += side ? -volume : volume;
    }
}

static void add_chunk(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    const drift *d = ctx;
    const fab_mesh_net *net = d->net;
    double *part = d->part + (size_t)chunk * net->structures;
    uint32_t start = (uint32_t)chunk * FAB_MESH_CHUNK, end = start + FAB_MESH_CHUNK;
    if (end > net->count) end = net->count;
    memset(part, 0, net->structures * sizeof *part);
    for (uint32_t cell = start; cell < end; cell++) {
        for (int axis = 0; axis < 3; axis++) {
            fab_mesh_quad quad;
            if (fab_mesh_net_quad(net, cell, axis, &quad)) add_quad(d, &quad, part);
        }
    }
}

/* Fills volume; returns the largest error in percent. */
static double measure(drift *d)
{
    const fab_mesh_net *net = d->net;
    int64_t chunks = fab_mesh_chunks(net->count);
    fab_parallel_for(chunks, add_chunk, d);
    double worst = 0;
    for (size_t s = 0; s < net->structures; s++) {
        d->volume[s] = 0;
        for (int64_t c = 0; c < chunks; c++)
            d->volume[s] += d->part[(size_t)c * net->structures + s];
        double error = fabs(d->volume[s] / (double)net->voxels[s] - 1) * 100;
        worst = error > worst ? error : worst;
    }
    return worst;
}

/* ---- areas of the borders ---- */

static double quad_area(const fab_mesh_net *net, const fab_mesh_quad *quad)
{
    double d[2][3], n[3];
    for (int i = 0; i < 2; i++) {
        uint32_t a = quad->cell[i], b = quad->cell[i + 2];
        for (int x = 0; x < 3; x++)
            d[i][x] = ((double)net->point[b][x] - (double)net->point[a][x] + net->at[b][x]
                       - net->at[a][x]) * net->spacing[x];
    }
    n[0] = d[0][1] * d[1][2] - d[0][2] * d[1][1];
    n[1] = d[0][2] * d[1][0] - d[0][0] * d[1][2];
    n[2] = d[0][0] * d[1][1] - d[0][1] * d[1][0];
    return sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) / 2 + 1e-12;
}

static uint32_t owner(const fab_mesh_net *net, uint16_t label)
{
    return label == 0 ? FAB_BACKGROUND : net->dense[label];
}

static fab_status collect_borders(const fab_mesh_net *net, fab_borders *t, fab_error *err)
{
    for (uint32_t cell = 0; cell < net->count; cell++) {
        for (int axis = 0; axis < 3; axis++) {
            fab_mesh_quad quad;
            if (!fab_mesh_net_quad(net, cell, axis, &quad)) continue;
            if (quad.low == FAB_MESH_PAD || quad.high == FAB_MESH_PAD) continue; /* cap: fixed */
            FAB_TRY(fab_borders_add(t, owner(net, quad.low), owner(net, quad.high),
                                    quad_area(net, &quad), err));
        }
    }
    return FAB_OK;
}

/* ---- moving points ---- */

static double of_label(const drift *d, const double *value, uint16_t label)
{
    return label == 0 || label == FAB_MESH_PAD ? 0 : value[d->net->dense[label]];
}

/* Moves the cell's point along its surfaces' normals by the difference of pressures. */
static void push_point(const drift *d, uint32_t cell)
{
    const fab_mesh_net *net = d->net;
    const uint16_t *label = net->label[cell];
    double move[3] = {0, 0, 0}, normal[3] = {0, 0, 0}, length = 0;
    double face = net->spacing[0] * net->spacing[1] * net->spacing[2];
    for (unsigned e = 0; e < 12; e++) {
        unsigned axis = e / 4, low = fab_mesh_edge_low[e];
        uint16_t a = label[low], b = label[low | (1u << axis)];
        if (a == b || a == FAB_MESH_PAD || b == FAB_MESH_PAD) continue;
        double area = face / net->spacing[axis];
        move[axis] += area * (of_label(d, d->pressure, a) - of_label(d, d->pressure, b));
        normal[axis] += area;
    }
    for (int x = 0; x < 3; x++) length += normal[x] * normal[x];
    if (!(length > 0)) return;
    for (int x = 0; x < 3; x++) {
        uint16_t c = net->at[cell][x];
        if (c == 0 || c == net->size[x]) continue;
        float moved = net->point[cell][x] + (float)(move[x] / sqrt(length) / net->spacing[x]);
        net->point[cell][x] = moved < FAB_MESH_INSET       ? FAB_MESH_INSET
                              : moved > 1 - FAB_MESH_INSET ? 1 - FAB_MESH_INSET
                                                           : moved;
    }
}

static void blend_point(const drift *d, uint32_t cell)
{
    double most = 0;
    for (int c = 0; c < 8; c++) {
        double wanted = of_label(d, d->blend, d->net->label[cell][c]);
        most = wanted > most ? wanted : most;
    }
    for (int x = 0; x < 3; x++)
        d->net->point[cell][x] += (float)most * (0.5f - d->net->point[cell][x]);
}

static void move_chunk(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    const drift *d = ctx;
    uint32_t start = (uint32_t)chunk * FAB_MESH_CHUNK, end = start + FAB_MESH_CHUNK;
    if (end > d->net->count) end = d->net->count;
    for (uint32_t cell = start; cell < end; cell++) {
        if (d->blend) blend_point(d, cell);
        else push_point(d, cell);
    }
}

static fab_status correct(drift *d, fab_borders *t, double *work, double limit,
                          const fab_progress *progress, fab_error *err)
{
    size_t n = d->net->structures;
    double *wanted = work + 5 * n, worst = measure(d);
    if (worst <= limit) return FAB_OK;
    FAB_TRY(collect_borders(d->net, t, err));
    for (int round = 0; round < PRESSURE_ROUNDS && worst > limit; round++) {
        for (size_t s = 0; s < n; s++)
            wanted[s] = ((double)d->net->voxels[s] - d->volume[s]) * d->voxel_mm3;
        fab_borders_solve(t, n, wanted, d->pressure, work);
        fab_parallel_for(fab_mesh_chunks(d->net->count), move_chunk, d);
        worst = measure(d);
        FAB_TRY(fab_progress_step(progress, "mesh: keep volumes", (round + 1.0) / PRESSURE_ROUNDS,
                                  err));
    }
    d->blend = work;
    for (int round = 0; round < BLEND_ROUNDS && worst > limit; round++) {
        for (size_t s = 0; s < n; s++) {
            double error = fabs(d->volume[s] / (double)d->net->voxels[s] - 1) * 100;
            d->blend[s] = error <= limit ? 0 : round + 1 == BLEND_ROUNDS ? 1 : 0.3;
        }
        fab_parallel_for(fab_mesh_chunks(d->net->count), move_chunk, d);
        worst = measure(d);
    }
    return FAB_OK;
}

fab_status fab_mesh_net_correct_volume(fab_mesh_net *net, double max_error_percent,
                                       const fab_progress *progress, fab_error *err)
{
    size_t n = net->structures, chunks = (size_t)fab_mesh_chunks(net->count);
    if (n == 0) return FAB_OK;
    FAB_AUTO_FREE double *part = fab_alloc_array(chunks * n, sizeof *part);
    FAB_AUTO_FREE double *work = fab_alloc_array(n * 6, sizeof *work);
    fab_borders table = {0};
    if (!part || !work) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to correct %zu volumes", n);
    drift d = {.net = net, .volume = work + 3 * n, .pressure = work + 4 * n, .part = part,
               .voxel_mm3 = fabs(fab_mat34_determinant(&net->world_from_voxel))};
    fab_status status = correct(&d, &table, work, max_error_percent, progress, err);
    fab_borders_free(&table);
    return status;
}
