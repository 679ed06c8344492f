/* emit.c - each structure's own mesh, cut out of the shared net. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "mesh_internal.h"

typedef struct emission {
    const fab_mesh_net *net;
    fab_mesh *mesh;     /* per structure */
    uint32_t *triangle; /* chunk x structure: count, then first triangle */
} emission;

static uint32_t *chunk_slots(const emission *e, int64_t chunk)
{
    return e->triangle + (size_t)chunk * e->net->structures;
}

static void chunk_range(const emission *e, int64_t chunk, uint32_t range[2])
{
    range[0] = (uint32_t)chunk * FAB_MESH_CHUNK;
    range[1] = e->net->count - range[0] < FAB_MESH_CHUNK ? e->net->count
                                                         : range[0] + FAB_MESH_CHUNK;
}

static bool is_structure(uint16_t label)
{
    return label != 0 && label != FAB_MESH_PAD;
}

static void count_triangles(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    const emission *e = ctx;
    const fab_mesh_net *net = e->net;
    uint32_t *slots = chunk_slots(e, chunk), range[2];
    chunk_range(e, chunk, range);
    for (uint32_t cell = range[0]; cell < range[1]; cell++) {
        const uint16_t *label = net->label[cell];
        for (int axis = 0; axis < 3; axis++) {
            uint16_t low = label[0], high = label[1 << axis];
            if (low == high) continue;
            if (is_structure(low)) slots[net->dense[low]] += 2;
            if (is_structure(high)) slots[net->dense[high]] += 2;
        }
    }
}

static void write_vertices(const emission *e, uint32_t cell)
{
    const fab_mesh_net *net = e->net;
    for (uint32_t s = net->sheet_start[cell]; s < net->sheet_start[cell + 1]; s++) {
        const fab_mesh_sheet *sheet = &net->sheet[s];
        fab_mesh *mesh = &e->mesh[net->dense[sheet->label]];
        unsigned loops = net->cases->item[sheet->mask][sheet->joined].loops;
        for (unsigned loop = 0; loop < loops; loop++) {
            double p[3];
            fab_mesh_net_vertex(net, cell, sheet, loop, p);
            fab_mat34_apply(&net->world_from_voxel, p, p);
            float *to = mesh->position + ((size_t)sheet->vertex + loop) * 3;
            for (int x = 0; x < 3; x++) to[x] = (float)p[x];
        }
    }
}

static void write_quad(const emission *e, const fab_mesh_quad *quad, uint16_t label, bool diagonal,
                       uint32_t *slots)
{
    static const uint8_t split[2][6] = {{0, 1, 2, 0, 2, 3}, {0, 1, 3, 1, 2, 3}};
    const fab_mesh_net *net = e->net;
    size_t structure = net->dense[label];
    fab_mesh *mesh = &e->mesh[structure];
    bool turn = (label == quad->high) != net->mirrored;
    uint32_t vertex[4];
    for (int i = 0; i < 4; i++) {
        const fab_mesh_sheet *sheet = fab_mesh_net_sheet(net, quad->cell[i], label);
        const fab_mesh_case *pattern = &net->cases->item[sheet->mask][sheet->joined];
        vertex[i] = sheet->vertex + pattern->edge_loop[quad->local[i]];
    }
    uint32_t *to = mesh->index + (size_t)slots[structure] * 3;
    for (int i = 0; i < 6; i++) {
        int from = turn ? (i < 3 ? 2 - i : 8 - i) : i;
        to[i] = vertex[split[diagonal][from]];
    }
    uint8_t flag = quad->low == FAB_MESH_PAD || quad->high == FAB_MESH_PAD ? FAB_TRI_SCAN_EDGE : 0;
    mesh->flags[slots[structure]] = mesh->flags[slots[structure] + 1] = flag;
    slots[structure] += 2;
}

static void write_chunk(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    const emission *e = ctx;
    const fab_mesh_net *net = e->net;
    uint32_t *slots = chunk_slots(e, chunk), range[2];
    chunk_range(e, chunk, range);
    for (uint32_t cell = range[0]; cell < range[1]; cell++) {
        write_vertices(e, cell);
        for (int axis = 0; axis < 3; axis++) {
            fab_mesh_quad quad;
            if (!fab_mesh_net_quad(net, cell, axis, &quad)) continue;
            bool diagonal = fab_mesh_net_quad_diagonal(net, &quad);
            if (is_structure(quad.low)) write_quad(e, &quad, quad.low, diagonal, slots);
            if (is_structure(quad.high)) write_quad(e, &quad, quad.high, diagonal, slots);
        }
    }
}

/* Gives every sheet its vertex numbers; counts vertices and triangles per structure. */
static fab_status number_all(emission *e, fab_mesh_net *net, fab_error *err)
{
    for (uint32_t cell = 0; cell < net->count; cell++) {
        for (uint32_t s = net->sheet_start[cell]; s < net->sheet_start[cell + 1]; s++) {
            fab_mesh_sheet *sheet = &net->sheet[s];
            fab_mesh *mesh = &e->mesh[net->dense[sheet->label]];
            sheet->vertex = mesh->vertex_count;
            mesh->vertex_count += net->cases->item[sheet->mask][sheet->joined].loops;
        }
    }
    for (size_t i = 0; i < net->structures; i++) {
        uint64_t total = 0;
        for (int64_t c = 0; c < fab_mesh_chunks(net->count); c++) {
            uint32_t *slot = chunk_slots(e, c) + i, n = *slot;
            *slot = (uint32_t)total;
            total += n;
        }
        if (total >= FAB_MESH_NONE / 3)
            FAB_FAIL(err, FAB_ERR_LIMIT, "label %d: more than 2^32 / 3 triangles",
                     net->structure[i]);
        e->mesh[i].label = net->structure[i];
        e->mesh[i].triangle_count = (uint32_t)total;
    }
    return FAB_OK;
}

static fab_status allocate_all(emission *e, fab_error *err)
{
    for (size_t i = 0; i < e->net->structures; i++) {
        fab_mesh *m = &e->mesh[i];
        m->position = fab_alloc_array((size_t)m->vertex_count * 3, sizeof *m->position);
        m->index = fab_alloc_array((size_t)m->triangle_count * 3, sizeof *m->index);
        m->flags = fab_malloc(m->triangle_count);
        if (!m->position || !m->index || !m->flags)
            FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the %u triangles of label %d",
                     m->triangle_count, m->label);
    }
    return FAB_OK;
}

/* Neighbouring vertices must stay apart when rounded to float (STL readers join by position). */
static fab_status check_resolution(const fab_mesh_net *net, fab_error *err)
{
    double far = 0, fine = net->spacing[0];
    for (unsigned c = 0; c < 8; c++) {
        double p[3];
        for (unsigned x = 0; x < 3; x++) p[x] = c >> x & 1 ? (double)net->size[x] : -1.0;
        fab_mat34_apply(&net->world_from_voxel, p, p);
        for (int x = 0; x < 3; x++) far = fabs(p[x]) > far ? fabs(p[x]) : far;
    }
    for (int x = 1; x < 3; x++) fine = net->spacing[x] < fine ? net->spacing[x] : fine;
    if (fine * (double)FAB_MESH_INSET < 4 * far * (double)FLT_EPSILON)
        FAB_FAIL(err, FAB_ERR_GEOMETRY,
                 "voxels of %g mm lie up to %g mm from the origin: too far for 32-bit mesh "
                 "positions", fine, far);
    return FAB_OK;
}

fab_status fab_mesh_net_emit(fab_mesh_net *net, fab_mesh_set *out, fab_error *err)
{
    FAB_TRY(check_resolution(net, err));
    size_t slots = (size_t)fab_mesh_chunks(net->count) * net->structures;
    FAB_AUTO_FREE uint32_t *triangle = fab_calloc(slots + 1, sizeof *triangle);
    fab_mesh_set set = {.count = net->structures};
    set.items = fab_calloc(net->structures + 1, sizeof *set.items);
    if (!triangle || !set.items) {
        fab_free(set.items);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu meshes", net->structures);
    }
    emission e = {.net = net, .mesh = set.items, .triangle = triangle};
    fab_parallel_for(fab_mesh_chunks(net->count), count_triangles, &e);
    fab_status status = number_all(&e, net, err);
    if (status == FAB_OK) status = allocate_all(&e, err);
    if (status < 0) {
        fab_mesh_set_free(&set);
        return status;
    }
    fab_parallel_for(fab_mesh_chunks(net->count), write_chunk, &e);
    *out = set;
    return FAB_OK;
}
