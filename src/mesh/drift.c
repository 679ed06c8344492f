/* drift.c - brings every structure's volume and centroid back to those of its mask.
 *
 * Smoothing changes both. The borders are moved by the pressures of pressure.h; a point still
 * never leaves its cell. Where cells leave no room, the points of the structures concerned are
 * drawn towards the middle of their cells: there the surface is the mask's own, so the mask can
 * always be met (but for sheets drawn apart, see sheets.c).
 *
 * Lengths are mm along the grid's axes: voxel coordinates times the spacing.
 */
#include <math.h>
#include <string.h>

#include "mesh_internal.h"
#include "pressure.h"

typedef struct drift {
    fab_mesh_net *net;
    const fab_mesh_options *options;
    fab_homogeneous *goal, *now, *wanted; /* structures: integrals over the mask; enclosed now */
    fab_homogeneous *part;                /* chunk x structure */
    fab_homogeneous *pressure;            /* structures; mm, one step */
    double *error, *before;               /* structures; 1 is the most allowed; last round's */
    double *gain;                         /* structures; share of what is wanted to ask for */
    double *blend;                        /* structures; towards the cells' middle, 0..1 */
    bool blending;                        /* what move_chunk does */
} drift;

enum { ROUNDS = 12, BLEND_ROUND = 6 };

#define HOPELESS 20 /* times the error allowed */

/* ---- volumes and moments ---- */

static void add_quad(const drift *d, const fab_mesh_quad *quad, fab_homogeneous *part)
{
    static const uint8_t split[2][6] = {{0, 1, 2, 0, 2, 3}, {0, 1, 3, 1, 2, 3}};
    const fab_mesh_net *net = d->net;
    const uint8_t *corner = split[fab_mesh_net_quad_diagonal(net, quad)];
    bool singular = false;
    for (int i = 0; i < 4; i++) singular |= net->singular[quad->cell[i]];
    uint16_t label[2] = {quad->low, quad->high};
    fab_homogeneous sum = {0, 0, 0, 0};
    for (int side = 0, known = 0; side < 2; side++) {
        if (label[side] == 0 || label[side] == FAB_MESH_PAD) continue;
        if (singular || !known++) {
            double q[4][3];
            fab_mesh_net_quad_points(net, quad, label[side], q);
            for (int i = 0; i < 12; i++) q[i / 3][i % 3] *= net->spacing[i % 3];
            memset(sum, 0, sizeof sum);
            fab_add_cone(q[corner[0]], q[corner[1]], q[corner[2]], sum);
            fab_add_cone(q[corner[3]], q[corner[4]], q[corner[5]], sum);
        }
        double *into = part[net->dense[label[side]]];
        for (int x = 0; x < 4; x++) into[x] += side ? -sum[x] : sum[x];
    }
}

static void add_chunk(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    const drift *d = ctx;
    const fab_mesh_net *net = d->net;
    fab_homogeneous *part = d->part + (size_t)chunk * net->structures;
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

static void set_goals(drift *d)
{
    const fab_mesh_net *net = d->net;
    for (size_t s = 0; s < net->structures; s++) {
        d->goal[s][0] = (double)net->voxels[s];
        for (int x = 0; x < 3; x++) d->goal[s][0] *= net->spacing[x];
        for (int x = 0; x < 3; x++)
            d->goal[s][1 + x] = d->goal[s][0] * net->centroid[s][x] * net->spacing[x];
    }
}

/* Fills now, wanted and error; returns the largest error. */
static double measure(drift *d)
{
    const fab_mesh_net *net = d->net;
    int64_t chunks = fab_mesh_chunks(net->count);
    fab_parallel_for(chunks, add_chunk, d);
    double worst = 0;
    for (size_t s = 0; s < net->structures; s++) {
        for (int x = 0; x < 4; x++) {
            d->now[s][x] = 0;
            for (int64_t c = 0; c < chunks; c++)
                d->now[s][x] += d->part[(size_t)c * net->structures + s][x];
            d->wanted[s][x] = d->goal[s][x] - d->now[s][x];
        }
        double volume = fabs(d->now[s][0] / d->goal[s][0] - 1) * 100;
        double apart = fab_centroids_apart(d->now[s], d->goal[s], net->spacing);
        d->error[s] = fmax(volume / d->options->max_volume_error_percent,
                           apart / d->options->max_centroid_error_voxels);
        worst = fmax(worst, d->error[s]);
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

static void quad_middle(const fab_mesh_net *net, const fab_mesh_quad *quad, double at[3])
{
    for (int x = 0; x < 3; x++) {
        double sum = 0;
        for (int i = 0; i < 4; i++) {
            uint32_t cell = quad->cell[i];
            sum += (double)net->point[cell][x] + net->at[cell][x] - 1;
        }
        at[x] = sum / 4 * net->spacing[x];
    }
}

static fab_status collect_borders(const fab_mesh_net *net, fab_borders *t, fab_error *err)
{
    for (uint32_t cell = 0; cell < net->count; cell++) {
        for (int axis = 0; axis < 3; axis++) {
            fab_mesh_quad quad;
            double at[3];
            if (!fab_mesh_net_quad(net, cell, axis, &quad)) continue;
            if (quad.low == FAB_MESH_PAD || quad.high == FAB_MESH_PAD) continue; /* cap: fixed */
            quad_middle(net, &quad, at);
            FAB_TRY(fab_borders_add(t, owner(net, quad.low), owner(net, quad.high),
                                    quad_area(net, &quad), at, err));
        }
    }
    return FAB_OK;
}

/* ---- moving points ---- */

static double pressure_of(const drift *d, uint16_t label, const double at[3])
{
    bool outside = label == 0 || label == FAB_MESH_PAD;
    return outside ? 0 : fab_pressure_at(d->pressure[d->net->dense[label]], at);
}

/* The pressures at a cell's corners; few labels meet there. */
static void corner_pressures(const drift *d, const uint16_t label[8], const double at[3],
                             double out[8])
{
    for (int c = 0; c < 8; c++) {
        int same = 0;
        while (label[same] != label[c]) same++;
        out[c] = same < c ? out[same] : pressure_of(d, label[c], at);
    }
}

/* Moves the cell's point along its surfaces' normals by the difference of pressures. */
static void push_point(const drift *d, uint32_t cell)
{
    const fab_mesh_net *net = d->net;
    const uint16_t *label = net->label[cell];
    double move[3] = {0, 0, 0}, normal[3] = {0, 0, 0}, at[3], pressure[8], length = 0;
    double face = net->spacing[0] * net->spacing[1] * net->spacing[2];
    for (int x = 0; x < 3; x++)
        at[x] = ((double)net->point[cell][x] + net->at[cell][x] - 1) * net->spacing[x];
    const double area[3] = {face / net->spacing[0], face / net->spacing[1], face / net->spacing[2]};
    corner_pressures(d, label, at, pressure);
    for (unsigned e = 0; e < 12; e++) {
        unsigned axis = e / 4, low = fab_mesh_edge_low[e], high = low | (1u << axis);
        if (label[low] == label[high] || label[low] == FAB_MESH_PAD || label[high] == FAB_MESH_PAD)
            continue;
        move[axis] += area[axis] * (pressure[low] - pressure[high]);
        normal[axis] += area[axis];
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
        uint16_t label = d->net->label[cell][c];
        if (label == 0 || label == FAB_MESH_PAD) continue;
        most = fmax(most, d->blend[d->net->dense[label]]);
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
        if (d->blending) blend_point(d, cell);
        else push_point(d, cell);
    }
}

static void move_points(drift *d, bool blending)
{
    d->blending = blending;
    fab_parallel_for(fab_mesh_chunks(d->net->count), move_chunk, d);
}

/* Draws structures that pressures alone do not mend towards their cells' middles, those far off
 * all the way. Once: sheets drawn apart lose volume by it, which more pressures then mend. */
static void blend(drift *d)
{
    for (size_t s = 0; s < d->net->structures; s++)
        d->blend[s] = d->error[s] <= 1 ? 0 : d->error[s] > HOPELESS ? 1 : 0.3;
    move_points(d, true);
    measure(d);
    for (size_t s = 0; s < d->net->structures; s++) {
        d->before[s] = INFINITY;
        d->gain[s] = d->blend[s] < 1 ? 1 : 0;
    }
}

/* Where a round hardly helped (the cells' walls are in the way), asks for less the next time. */
static void ask_less(drift *d)
{
    for (size_t s = 0; s < d->net->structures; s++) {
        if (d->error[s] > 0.7 * d->before[s]) d->gain[s] /= 2;
        d->before[s] = d->error[s];
        for (int x = 0; x < 4; x++) d->wanted[s][x] *= d->gain[s];
    }
}

static fab_status correct(drift *d, fab_borders *t, const fab_progress *progress, fab_error *err)
{
    const double *mm = d->net->spacing, edge = cbrt(mm[0] * mm[1] * mm[2]);
    size_t n = d->net->structures;
    set_goals(d);
    double worst = measure(d);
    if (worst <= 1) return FAB_OK;
    FAB_TRY(collect_borders(d->net, t, err));
    for (int round = 0; round < ROUNDS && worst > 1; round++) {
        if (round == BLEND_ROUND) blend(d);
        ask_less(d);
        FAB_TRY(fab_borders_solve(t, n, d->wanted, edge, d->pressure, err));
        move_points(d, false);
        worst = measure(d);
        FAB_TRY(fab_progress_step(progress, "mesh: keep volumes", (round + 1.0) / ROUNDS, err));
    }
    return FAB_OK;
}

fab_status fab_mesh_net_correct(fab_mesh_net *net, const fab_mesh_options *options, fab_error *err)
{
    size_t n = net->structures, chunks = (size_t)fab_mesh_chunks(net->count);
    if (n == 0) return FAB_OK;
    FAB_AUTO_FREE fab_homogeneous *work = fab_calloc((chunks + 4) * n, sizeof *work);
    FAB_AUTO_FREE double *value = fab_calloc(4 * n, sizeof *value);
    fab_borders table = {0};
    if (!work || !value) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to correct %zu volumes", n);
    drift d = {.net = net, .options = options, .goal = work, .now = work + n,
               .wanted = work + 2 * n, .pressure = work + 3 * n, .part = work + 4 * n,
               .error = value, .before = value + n, .gain = value + 2 * n, .blend = value + 3 * n};
    for (size_t s = 0; s < n; s++) {
        d.before[s] = INFINITY;
        d.gain[s] = 1;
    }
    fab_status status = correct(&d, &table, options->progress, err);
    fab_borders_free(&table);
    return status;
}
